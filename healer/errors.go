package healer

import "fmt"

// BadNotification is a body that is no notification of version "4": the
// answer is 400 and the body is kept.
type BadNotification struct {
	Reason string // got and want
}

func (e *BadNotification) Error() string { return "reading the notification: " + e.Reason }

// Conflict is an operation that the present state forbids: the answer is 409.
type Conflict struct {
	Doing, On string // what was asked, on which incident, run or mitigation
	Got, Want string // its state, and what would allow it
}

func (e *Conflict) Error() string {
	return fmt.Sprintf("%s %s: it is %s, want %s", e.Doing, e.On, e.Got, e.Want)
}
