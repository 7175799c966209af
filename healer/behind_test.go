package healer

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// ahead is a journal whose clock stands, ahead of the host's.
type ahead struct{ *memory }

func (a ahead) DueMessages(_ context.Context, limit int) (list []Message, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, m := range a.Out {
		if m.SentAt.IsZero() && !m.NextAt.After(a.now().Add(a.behind)) && len(list) < limit {
			list = append(list, *m)
		}
	}
	return list, nil
}

func TestMessagesBackOffThoughTheClockHasJumpedBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t, shopWith(t, "mode: auto", "mode: observe"))
		s.kept = ahead{s.store}
		s.open()
		defer s.shut()
		s.breakNode("b")
		s.set(func() { s.sinkErr = errors.New("connection refused") })
		s.wait(15 * time.Second)
		s.store.mu.Lock()
		s.store.behind = time.Hour
		before := s.store.Out[0].Tries
		s.store.mu.Unlock()
		s.wait(2 * time.Minute)
		s.store.mu.Lock()
		defer s.store.mu.Unlock()
		if got := s.store.Out[0].Tries - before; got > 6 {
			t.Errorf("%d tries in 2m, want them up to a minute apart", got)
		}
	})
}
