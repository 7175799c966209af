package collector

import (
	"container/heap"
	"context"
	"sync"
	"time"

	"github.com/go-kit/log/level"
)

// margin is how long before the slot that it would cost a run must end. It
// matters where the timeout is as long as the interval: a run that ended with
// the interval would be open still when the next one is due.
const margin = 50 * time.Millisecond

// together is how long a run that is due waits when others are due by then: to
// wake the process costs as much as a small probe.
const together = 2 * time.Millisecond

// patience is how long the end of Run waits for runs that ought to end at once.
const patience = 2 * time.Second

// slot is the next planned run of a target.
type slot struct {
	at time.Time
	t  *target
}

// slots is a heap, the earliest first.
type slots []slot

// Len, Less, Swap, Push and Pop are those of container/heap.
func (s slots) Len() int           { return len(s) }
func (s slots) Less(i, j int) bool { return s[i].at.Before(s[j].at) }
func (s slots) Swap(i, j int)      { s[i], s[j] = s[j], s[i] }
func (s *slots) Push(x any)        { *s = append(*s, x.(slot)) }
func (s *slots) Pop() any {
	last := (*s)[len(*s)-1]
	*s = (*s)[:len(*s)-1]
	return last
}

// wake is when the next runs are to begin: the two next to the first tell
// whether it is worth waiting.
func (s slots) wake() time.Time {
	for _, other := range s[1:min(len(s), 3)] {
		if other.at.Sub(s[0].at) < together {
			return s[0].at.Add(together)
		}
	}
	return s[0].at
}

// Run probes until ctx ends and every open run has returned; probers that do
// not heed their context are left behind after a while, with a line in the log.
// Results of runs that the end has cut short are dropped. It must be called once.
func (c *Collector) Run(ctx context.Context) error {
	var open sync.WaitGroup
	runs := newCrew(ctx, &open)
	defer c.leave(&open)
	open.Go(func() { c.discover(ctx, &open) })
	open.Go(func() { c.ask(ctx, &open) })
	open.Go(func() { c.filler.run(ctx, &open) })
	var plan slots
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-c.changed:
			plan = c.schedule(plan, time.Now())
		case <-timer.C:
			c.start(ctx, runs, plan, time.Now())
		}
		// With no target the timer rests, until settings come.
		timer.Stop()
		if len(plan) > 0 {
			timer.Reset(time.Until(plan.wake()))
		}
	}
}

// leave waits for the open runs. Their context is over: a prober that goes on
// must not keep the program from ending.
func (c *Collector) leave(open *sync.WaitGroup) {
	ended := make(chan struct{})
	go func() {
		open.Wait()
		close(ended)
	}()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-ended:
	case <-timer.C:
		_ = level.Warn(c.logger).Log("msg", "probers still run after the end of their context, they are left behind", "waited", patience)
	}
}

// schedule plans the targets of the present table. One that was planned before
// keeps its slot, so that a reload neither skips nor doubles a run.
func (c *Collector) schedule(before slots, now time.Time) slots {
	kept := make(map[*state]slot, len(before))
	for _, s := range before {
		kept[s.t.state] = s
	}
	targets := c.table.Load().targets
	plan := make(slots, 0, len(targets))
	for _, t := range targets {
		at := next(now, t.phase, t.interval)
		if old, ok := kept[t.state]; ok && old.t.interval == t.interval {
			at = old.at
		}
		plan = append(plan, slot{at, t})
	}
	heap.Init(&plan)
	return plan
}

// next is the first instant from now on that lies at the phase. It carries the
// monotonic clock: a step of the wall clock moves no plan.
func next(now time.Time, phase, interval time.Duration) time.Time {
	wait := (int64(phase) - now.UnixNano()) % int64(interval)
	if wait < 0 {
		wait += int64(interval)
	}
	return now.Add(time.Duration(wait))
}

// start begins every run that is due and plans the next one of each target. A
// slot that was slept through is skipped, and so is one so late that its run
// would be cut short: a pause of this process is no fault of the targets. One
// that finds too many runs of its target still open is skipped too. All are
// counted.
func (c *Collector) start(ctx context.Context, runs *crew, plan slots, now time.Time) {
	for len(plan) > 0 && !plan[0].at.After(now) {
		t, lag := plan[0].t, now.Sub(plan[0].at)
		missed := lag / t.interval
		slot := plan[0].at.Add(missed * t.interval)
		c.own.skip(t.probe, skipLate, int(missed))
		// From the planned instant, not from now: lateness does not add up.
		plan[0].at = plan[0].at.Add((missed + 1) * t.interval)
		heap.Fix(&plan, 0)
		until := slot.Add(t.room())
		if until.Sub(now) < min(t.deadline, t.room())/2 {
			c.own.skip(t.probe, skipLate, 1)
			continue
		}
		if t.state.open.Add(1) > t.overlap {
			t.state.open.Add(-1)
			c.own.skip(t.probe, skipOverlap, 1)
			continue
		}
		runs.do(func() {
			defer t.state.open.Add(-1)
			t.run(ctx, c, slot, until)
		})
	}
}

// room is how long a run may last that begins on time, so that it costs no slot.
func (t *target) room() time.Duration { return time.Duration(t.overlap)*t.interval - margin }
