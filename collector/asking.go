package collector

import (
	"context"
	"slices"
	"sync"
	"time"
)

// turn is the next planned evaluation of an entry.
type turn struct {
	at time.Time
	q  *query
}

// asking is the schedule of the queries: what is planned, what is due and waits
// for its turn, and what has been begun.
type asking struct {
	c       *Collector
	planned []turn
	waiting []*query
	begun   int
	busy    map[*queryState]bool // they wait or have been begun
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
			a.begun--
			delete(a.busy, s)
		case <-timer.C:
			a.due(time.Now())
		}
		a.begin(ctx, open)
		timer.Stop()
		if len(a.planned) > 0 { // with none the timer rests, until settings come
			timer.Reset(time.Until(a.wake()))
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
	for _, q := range waiting {
		if fresh, ok := present[q.state]; ok {
			a.waiting = append(a.waiting, fresh)
		} else {
			delete(a.busy, q.state)
		}
	}
}

// due lets wait whatever is due and plans its next turn. A slot that was slept
// through is skipped, and so is one that finds the query before it under way:
// another one would not be answered sooner.
func (a *asking) due(now time.Time) {
	for i := range a.planned {
		t := &a.planned[i]
		if t.at.After(now) {
			continue
		}
		missed := now.Sub(t.at) / t.q.interval
		t.at = t.at.Add((missed + 1) * t.q.interval)
		a.c.own.skipQuery(t.q.key(), skipLate, int(missed))
		if a.busy[t.q.state] {
			a.c.own.skipQuery(t.q.key(), skipOverlap, 1)
			continue
		}
		a.busy[t.q.state] = true
		a.waiting = append(a.waiting, t.q)
	}
}

// begin evaluates those who wait, as many at once as may be, the first come first.
func (a *asking) begin(ctx context.Context, open *sync.WaitGroup) {
	for len(a.waiting) > 0 && a.begun < a.c.table.Load().concurrency {
		q := a.waiting[0]
		a.waiting = a.waiting[1:]
		a.begun++
		open.Go(func() {
			q.ask(ctx, a.c)
			select {
			case a.ended <- q.state:
			case <-ctx.Done():
			}
		})
	}
}

// wake is when the next turn is due.
func (a *asking) wake() time.Time {
	return slices.MinFunc(a.planned, func(x, y turn) int { return x.at.Compare(y.at) }).at
}

// ask evaluates the query once and takes the answer in, unless ctx ends first.
func (q *query) ask(ctx context.Context, c *Collector) {
	limited, cancel := context.WithTimeout(ctx, q.timeout)
	defer cancel()
	got := answer{began: time.Now()}
	got.points, got.err = q.source.Query(limited, q.expr)
	got.ended = time.Now()
	if got.err == nil {
		got.err = limited.Err() // an answer that comes too late is none
	}
	if ctx.Err() == nil && c.asks(q.state) {
		q.state.take(c, got)
	}
}

// asks tells whether the state is that of an entry in force: an answer may come
// after a reload.
func (c *Collector) asks(s *queryState) bool {
	return slices.ContainsFunc(c.table.Load().queries, func(q *query) bool { return q.state == s })
}
