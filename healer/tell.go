package healer

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// notice is the body of a message to people, sent as JSON. Kind is hand_over
// (the machine has stopped), reminder (nobody has acknowledged), tell (the
// machine goes on) or held (a mitigation is still in place). Text is one line
// for people; what others wrote stands in it quoted.
type notice struct {
	Version    string    `json:"version"` // "1"
	Kind       string    `json:"kind"`
	Code       string    `json:"code,omitempty"` // why: a code of HEALING 6, or what is told
	Text       string    `json:"text"`
	At         time.Time `json:"at"`
	Incident   string    `json:"incident"`
	Cluster    string    `json:"cluster"`
	Service    string    `json:"service"`
	Scenario   string    `json:"scenario,omitempty"`
	Severity   int       `json:"severity"` // 1 (worst) to 5
	State      string    `json:"state"`
	Round      int       `json:"round"`
	Scope      string    `json:"scope,omitempty"`
	Members    []string  `json:"members,omitempty"`
	FaultStart time.Time `json:"fault_start"`
	Held       []string  `json:"held,omitempty"` // targets on which a mitigation is in place
}

// say puts one message to each contact into the outbox. Where there is none nothing
// is said, and the audit trail says no word of it either: nobody would remember that
// it was said, and it would be said again at each look.
func (d desk) say(c *Case, kind, code, dedup, text string) {
	in, to := c.Incident, d.escalate(c).To
	if len(to) == 0 {
		return
	}
	n := notice{
		Version: "1", Kind: kind, Code: code, Text: fmt.Sprintf("%s: %s", in.Service, text), At: c.Now.UTC(),
		Incident: in.ID, Cluster: in.Cluster, Service: in.Service, Scenario: in.Scenario, Severity: in.Severity,
		State: string(in.State), Round: in.Round, Scope: string(in.Verdict.Scope), Members: in.Verdict.Members,
		FaultStart: c.instant("fault_start").UTC(),
	}
	for _, m := range c.remaining() {
		n.Held = append(n.Held, m.Target+" ("+m.Kind+", "+m.State+")")
	}
	for _, contact := range to {
		c.Messages = append(c.Messages, Message{
			ID: d.id(), Incident: in.ID, Kind: kind, Sink: contact,
			Dedup: in.ID + "/" + dedup, Body: asJSON(n), CreatedAt: c.Now, NextAt: c.Now,
		})
	}
	c.note("", "said_"+kind, Code(code), time.Time{}, map[string]any{"text": n.Text, "to": to})
}

// handOver stops the machine: the incident is with a human from now on. next
// is a word more for people.
func (d desk) handOver(c *Case, on event, why Code, text, actor string) error {
	if err := c.step(on, why, c.Now.Add(look), actor); err != nil {
		return err
	}
	c.Incident.WaitUntil = c.Now.Add(d.remindEvery(c))
	if actor == "" {
		d.say(c, "hand_over", string(why), fmt.Sprintf("hand_over/%d/%d", c.Incident.Round, c.Now.UnixMilli()),
			fmt.Sprintf("handed over to people (%s): %s", why, text))
	}
	return nil
}

// remindEvery is the time between reminders.
func (d desk) remindEvery(c *Case) time.Duration {
	if every := d.escalate(c).Remind; every > 0 {
		return every
	}
	return 5 * time.Minute
}

// remind asks again while nobody has acknowledged a hand-over.
func (d desk) remind(c *Case) {
	if c.Incident.AckedBy != "" {
		return
	}
	d.say(c, "reminder", string(c.Incident.Reason), fmt.Sprintf("reminder/%d", c.Incident.WaitUntil.UnixMilli()),
		fmt.Sprintf("still with people (%s), not acknowledged", c.Incident.Reason))
}

// tell informs people once a round about one thing; the machine goes on. That
// it was said before is known by the store, and for the incident at hand here.
func (d desk) tell(c *Case, what, code, text string) {
	dedup := fmt.Sprintf("tell/%d/%s/%s", c.Incident.Round, what, code)
	if d.toldBefore == nil || !d.toldBefore(c.Incident.ID+"/"+dedup) {
		d.say(c, "tell", code, dedup, text)
	}
}

// remindHeld names once a day what is still in place on the service, whichever
// incident has left it there.
func (d desk) remindHeld(c *Case) {
	for _, m := range c.remaining() {
		if days := int(c.Now.Sub(m.Since) / (24 * time.Hour)); days > 0 {
			dedup := fmt.Sprintf("held/%s/%d", m.ID, days)
			if d.toldBefore == nil || !d.toldBefore(c.Incident.ID+"/"+dedup) {
				d.say(c, "held", "", dedup, fmt.Sprintf("%s on %s is still %s after %d days", m.Kind, m.Target, m.State, days))
			}
		}
	}
}

// tellDue says what has come or passed and is to be told: deadlines, instants
// and times since the fault's start.
func (d desk) tellDue(c *Case) {
	start := c.instant("fault_start")
	if start.IsZero() || c.Incident.State == stateClosed {
		return
	}
	say := d.escalate(c)
	for _, what := range say.Tell {
		if d.tellable(c, what, start) {
			d.tell(c, what, what, tellText(c, what))
		}
	}
	for _, after := range say.After {
		if c.instant("verified").IsZero() && !c.Now.Before(start.Add(after)) {
			d.tell(c, "after", after.String(), fmt.Sprintf("in fault for %s, state %s", after, c.Incident.State))
		}
	}
}

// tellable reports whether one word of `tell` has come true.
func (d desk) tellable(c *Case, what string, start time.Time) bool {
	switch targets := d.targets(c); what {
	case "locate_deadline":
		return missed(c, "located", start.Add(targets.Locate))
	case "recover_deadline":
		return missed(c, "verified", start.Add(targets.Recover))
	}
	return !c.instant(what).IsZero()
}

// missed reports whether an instant has not come by its deadline. One that came
// late is missed as well; a fault that is over misses nothing any more.
func missed(c *Case, name string, deadline time.Time) bool {
	at := c.instant(name)
	if at.IsZero() {
		at = c.instant("verified")
	}
	if at.IsZero() {
		at = c.Now
	}
	return at.After(deadline)
}

// tellText says in words what is told.
func tellText(c *Case, what string) string {
	switch what {
	case "locate_deadline":
		return "nobody knows where the fault lies, and the time to locate it is over"
	case "recover_deadline":
		return "the fault is not over, and the time to recover is"
	case "located":
		return "the fault is located: " + strings.Join(slices.Concat([]string{string(c.Incident.Verdict.Scope)}, c.Incident.Verdict.Members), " ")
	}
	return what + " at " + stamp(c.instant(what))
}
