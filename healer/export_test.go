package healer

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// OnARealJournal walks the longest way of the engine on a journal that open
// gives: acted, verified, released, relapsed, handed over, acknowledged and
// closed, with a restart in the middle of a proof.
func OnARealJournal(t *testing.T, open func(t *testing.T) (Store, func())) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t, shopWith(t))
		kept, shut := open(t)
		defer shut()
		s.kept = kept
		s.open()
		s.breakNode("b")
		s.wait(15 * time.Second)
		s.in(stateActing, codeAct)
		s.shut() // in the middle of the proof
		s.wait(20 * time.Second)
		s.open()
		defer func() { s.shut() }()
		s.wait(time.Minute)
		c := s.in(stateRecovered, "")
		s.acts("/opt/balancer drain b")

		s.set(func() { s.up["b"] = true })
		if err := s.engine.Release(background, c.Mitigations[0].ID, "anna"); err != nil {
			t.Fatal(err)
		}
		s.wait(time.Minute)
		if m := s.incident().Mitigations[0]; m.State != mitReleased {
			t.Fatalf("the mitigation is %s\n%s", m.State, s.story())
		}
		s.set(func() { s.vip = new(bool) })
		s.wait(4 * time.Minute)
		c = s.in(stateWithHuman, codeLadderEnd)
		s.decisions("act act drain node:b", "not_applicable attempts_spent drain node:b", "act act restart node:b")
		if err := s.engine.Ack(background, c.Incident.ID, "anna"); err != nil {
			t.Fatal(err)
		}
		if _, err := s.engine.Review(background, c.Incident.ID); err != nil {
			t.Fatal(err)
		}
		s.resolve()
		if err := s.engine.Close(background, c.Incident.ID, "anna"); err != nil {
			t.Fatal(err)
		}
		var conflict *Conflict
		if err := s.engine.Close(background, c.Incident.ID, "anna"); !errors.As(err, &conflict) {
			t.Errorf("closed twice: %v", err)
		}
		s.set(func() { s.vip = nil })
		s.wait(10 * time.Second)
		s.breakNode("c")
		s.wait(time.Minute)
		next := s.in(stateRecovered, "")
		if next.Incident.Previous != c.Incident.ID {
			t.Errorf("the next incident follows %q, want %q", next.Incident.Previous, c.Incident.ID)
		}
	})
}
