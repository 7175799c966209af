package collector

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// turn is one planned evaluation of an entry.
type turn struct {
	at time.Time
	q  *query
}

// deadline is when its answer must be there. It counts from the planned instant:
// whoever waits for a place has so much less time, and the bound holds (DETECTION 6).
func (t turn) deadline() time.Time { return t.at.Add(t.q.timeout) }

// tooLate is why a turn has no answer in time, after it has waited for a place.
func (t turn) tooLate(waited time.Duration) error {
	if waited < time.Millisecond {
		return fmt.Errorf("no answer within %s: %w", t.q.timeout, context.DeadlineExceeded)
	}
	return fmt.Errorf("no answer within %s, of which it waited %s for other queries: are those too slow, or is prometheus.concurrency too low? %w",
		t.q.timeout, min(waited, t.q.timeout).Round(time.Millisecond), context.DeadlineExceeded)
}

// asking is the schedule of the queries: what is planned, what is due and waits
// for its turn, and what has been begun.
type asking struct {
	c       *Collector
	planned []turn
	waiting []turn
	begun   int
	busy    map[*queryState]bool // they are under way; true: begun
	ended   chan *queryState
}

// ask evaluates every query at its own instants until ctx ends; open counts what
// is under way.
func (c *Collector) ask(ctx context.Context, open *sync.WaitGroup) {
	a := &asking{c: c, busy: map[*queryState]bool{}, ended: make(chan *queryState)}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.requeried:
			a.plan(time.Now())
		case s := <-a.ended:
			if a.busy[s] {
				a.begun--
			}
			delete(a.busy, s)
		case <-timer.C:
			a.due(time.Now())
		}
		a.expire(ctx, open, time.Now())
		a.begin(ctx, open)
		timer.Stop()
		if at, any := a.wake(); any { // with none the timer rests, until settings come
			timer.Reset(time.Until(at))
		}
	}
}

// plan takes the entries of the present table. One that was planned before keeps
// its slot; what waits and is gone waits no more.
func (a *asking) plan(now time.Time) {
	kept, present := map[*queryState]turn{}, map[*queryState]*query{}
	for _, t := range a.planned {
		kept[t.q.state] = t
	}
	a.planned = nil
	for _, q := range a.c.table.Load().queries {
		at := next(now, q.phase, q.interval)
		if old, ok := kept[q.state]; ok {
			at = old.at // the interval is the same, since the state is
		}
		a.planned = append(a.planned, turn{at, q})
		present[q.state] = q
	}
	waiting := a.waiting
	a.waiting = nil
	for _, t := range waiting {
		if fresh, ok := present[t.q.state]; ok {
			a.waiting = append(a.waiting, turn{t.at, fresh})
		} else {
			delete(a.busy, t.q.state)
		}
	}
}

// due lets wait whatever is due and plans its next turn. A slot that was slept
// through is skipped, and so is one whose deadline has passed by then, or that finds
// the query before it under way: another one would not be answered sooner.
func (a *asking) due(now time.Time) {
	for i := range a.planned {
		t := &a.planned[i]
		if t.at.After(now) {
			continue
		}
		missed := now.Sub(t.at) / t.q.interval
		slot := turn{t.at.Add(missed * t.q.interval), t.q}
		t.at = slot.at.Add(t.q.interval)
		a.c.own.skipQuery(t.q.key(), skipLate, int(missed))
		_, busy := a.busy[t.q.state]
		switch {
		case busy:
			a.c.own.skipQuery(t.q.key(), skipOverlap, 1)
		case !now.Before(slot.deadline()):
			a.c.own.skipQuery(t.q.key(), skipLate, 1)
		default:
			a.busy[t.q.state] = false
			a.waiting = append(a.waiting, slot)
		}
	}
}

// expire gives up those that have waited until their deadline. They have failed as
// if they had been asked: nobody knows how their series are.
func (a *asking) expire(ctx context.Context, open *sync.WaitGroup, now time.Time) {
	a.waiting = slices.DeleteFunc(a.waiting, func(t turn) bool {
		over := !now.Before(t.deadline())
		if over {
			a.do(ctx, open, t, func() {
				t.q.took(a.c, answer{began: t.at, ended: now, err: t.tooLate(t.q.timeout)})
			})
		}
		return over
	})
}

// begin evaluates those who wait, as many at once as may be, the first come first.
func (a *asking) begin(ctx context.Context, open *sync.WaitGroup) {
	for len(a.waiting) > 0 && a.begun < a.c.table.Load().concurrency {
		t := a.waiting[0]
		a.waiting = a.waiting[1:]
		a.begun++
		a.busy[t.q.state] = true
		a.do(ctx, open, t, func() { t.ask(ctx, a.c) })
	}
}

// do carries out what ends a turn. It is no work for the schedule: whoever reads the
// past of the signal may hold its lock.
func (a *asking) do(ctx context.Context, open *sync.WaitGroup, t turn, f func()) {
	open.Go(func() {
		f()
		select {
		case a.ended <- t.q.state:
		case <-ctx.Done():
		}
	})
}

// wake is when the next turn is due or the patience of one that waits ends; false:
// there is none.
func (a *asking) wake() (at time.Time, any bool) {
	for _, t := range a.planned {
		if !any || t.at.Before(at) {
			at, any = t.at, true
		}
	}
	for _, t := range a.waiting {
		if end := t.deadline(); end.Before(at) {
			at = end
		}
	}
	return at, any
}

// ask evaluates the query of a turn and takes the answer in, unless ctx ends first.
// How much traffic there is it asks afterwards, in what is left of the time: no
// verdict waits for it.
func (t turn) ask(ctx context.Context, c *Collector) {
	got := answer{began: time.Now()}
	limited, cancel := context.WithDeadlineCause(ctx, t.deadline(), t.tooLate(got.began.Sub(t.at)))
	defer cancel()
	got.points, got.err = t.q.source.Query(limited, t.q.expr)
	got.ended = time.Now()
	if got.err == nil {
		got.err = context.Cause(limited) // an answer that comes too late is none
	}
	if ctx.Err() == nil {
		t.q.took(c, got)
	}
	if ctx.Err() == nil && got.err == nil && t.q.traffic != "" {
		points, err := t.q.source.Query(limited, t.q.traffic)
		if err == nil {
			err = context.Cause(limited)
		}
		if ctx.Err() == nil {
			t.q.carried(c, points, err)
		}
	}
}

// took takes an answer in, unless the entry is gone.
func (q *query) took(c *Collector, got answer) {
	if c.asks(q.state) {
		q.state.take(c, got)
	}
}

// asks tells whether the state is that of an entry in force: an answer may come
// after a reload.
func (c *Collector) asks(s *queryState) bool {
	return slices.ContainsFunc(c.table.Load().queries, func(q *query) bool { return q.state == s })
}
