package healer

import (
	"testing"
	"time"
)

func TestAnAlertFromTheFutureIsHandedOverAsAnyOther(t *testing.T) {
	inShop(t, shopWith(t), func(s *shop) {
		s.set(func() { s.up["b"], s.ahead = false, 365*24*time.Hour }) // whoever sends it has another clock
		s.alert("FaultDetected")
		s.wait(5*time.Minute + 20*time.Second)
		c := s.in(stateWithHuman, codeNotLocated)
		if in := c.Incident; in.FaultStart.After(in.OpenedAt) || in.FaultStartSource != "journal" {
			t.Errorf("the fault begins at %s by %s, after the incident at %s", in.FaultStart, in.FaultStartSource, in.OpenedAt)
		}
		if got := count(s.said(), "oncall tell locate_deadline"); got != 1 {
			t.Errorf("people were told %d times that the locate deadline is over, want once: %v", got, s.said())
		}
	})
}
