package healer

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// hanging is a journal whose commits of a run hang, once a hand-over stands in them.
type hanging struct {
	*memory
	on atomic.Bool
}

func (h *hanging) Update(ctx context.Context, incident, run string, by Claim, change func(*Case) error) error {
	if run == "" || !h.on.Load() {
		return h.memory.Update(ctx, incident, run, by, change)
	}
	c, err := h.Read(ctx, incident)
	if err != nil {
		return err
	}
	c.World = h.memory
	if err := change(c); err != nil {
		return err
	}
	<-ctx.Done() // the disk does not answer
	return ctx.Err()
}

func TestAHandOverIsSentDirectlyWhereTheJournalHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t, shopWith(t))
		h := &hanging{memory: s.store}
		s.kept = h
		s.open()
		defer s.shut()
		s.breakNode("b")
		s.wait(15 * time.Second)
		s.in(stateActing, codeAct)
		s.set(func() { s.blind = true })
		s.wait(30 * time.Second)
		h.on.Store(true)
		s.wait(3 * time.Minute) // the proof cannot be told, and this cannot be kept
		if got := s.said(); !slices.Contains(got, "oncall hand_over unresolved") {
			t.Errorf("people were told %v, want a hand-over", got)
		}
	})
}
