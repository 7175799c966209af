package collector

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestCrew_RunsAtOnceHoweverManyStillRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var open sync.WaitGroup
		c := newCrew(t.Context(), &open)
		var runs atomic.Int32
		gate := make(chan struct{})
		for range 100 {
			c.do(func() {
				runs.Add(1)
				<-gate
			})
		}
		synctest.Wait()
		if got := runs.Load(); got != 100 {
			t.Errorf("got %d runs at once, want 100", got)
		}
		close(gate)
		open.Wait()
	})
}

func TestCrew_KeepsFewGoroutinesAndNoneAfterItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var open sync.WaitGroup
		c := newCrew(ctx, &open)
		for range 3 {
			for range 100 {
				c.do(func() {})
			}
			open.Wait()
			synctest.Wait()
			if got := c.waits.Load(); got > rested {
				t.Errorf("%d goroutines wait, want %d at most", got, rested)
			}
		}
		cancel() // a goroutine that still waited would keep the bubble from ending, which is an error
	})
}

func TestSchedule_WaitsOnlyForOthersThatAreDueSoon(t *testing.T) {
	first := time.Unix(1000, 0)
	for _, c := range []struct {
		others []time.Duration
		want   time.Duration
	}{
		{nil, 0},
		{[]time.Duration{time.Second}, 0},
		{[]time.Duration{together, together}, 0},
		{[]time.Duration{together - 1}, together},
		{[]time.Duration{time.Second, 0}, together},
	} {
		s := slots{{at: first}}
		for _, d := range c.others {
			s.Push(slot{at: first.Add(d)})
		}
		if got := s.wake().Sub(first); got != c.want {
			t.Errorf("%v: got %v, want %v", c.others, got, c.want)
		}
	}
}
