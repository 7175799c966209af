package collector

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/go-kit/log/level"

	"github.com/onefiveten/onefiveten/promapi"
)

const (
	atOnce       = 2                // questions about the past at a time
	firstPause   = 10 * time.Second // after a failure; twice that after the next one
	longestPause = 5 * time.Minute
	inARow       = 2                // failures after which nothing else is tried for a while
	tellEvery    = 10 * time.Second // how often the log tells of progress
)

// filler reads the past of every series with a baseline that begins anew, from
// the Prometheus that has scraped it. It never keeps the schedule waiting: a
// series is made aside and put in its place when it is whole.
type filler struct {
	c     *Collector
	woken chan struct{} // holds one token while there may be something to do

	mu     sync.Mutex // protects what follows
	source Source
	open   []*work // that are not done
	failed int     // attempts in a row
	round  round
}

// work is a job and where it stands.
type work struct {
	job      *job
	due      time.Time
	failures int
	share    float64            // that has been read
	cancel   context.CancelFunc // not nil: it is under way
}

// round is all that is read until nothing is left.
type round struct {
	begun                 time.Time
	done, series, samples int
	told                  time.Time
	skewed                bool // it has been told that clocks differ
}

func newFiller(c *Collector) *filler { return &filler{c: c, woken: make(chan struct{}, 1)} }

// follow takes new jobs on and gives up those whose series are gone. With another
// source those that have failed are tried at once; with none the series begin
// without their past.
func (f *filler) follow(t *table, source Source, jobs []*job) {
	f.mu.Lock()
	defer f.mu.Unlock()
	again := source != f.source
	f.source = source
	for _, w := range f.open {
		if again {
			w.due, w.failures = time.Time{}, 0
		}
		if source == nil {
			w.job.settle(nil) // there is no past to wait for
		}
		if w.cancel != nil && (source == nil || !w.job.waits(t)) {
			w.cancel()
		}
	}
	f.open = slices.DeleteFunc(f.open, func(w *work) bool { return w.cancel == nil && (source == nil || !w.job.waits(t)) })
	if len(jobs) > 0 {
		f.begin(jobs)
	}
	f.end()
	f.count()
	signal(f.woken)
}

// begin takes jobs on. The lock is held.
func (f *filler) begin(jobs []*job) {
	if len(f.open) == 0 {
		f.round = round{begun: time.Now(), told: time.Now()}
	}
	for _, j := range jobs {
		f.open = append(f.open, &work{job: j})
	}
	_ = level.Info(f.c.logger).Log("msg", "reading the past of series from Prometheus", "jobs", len(jobs))
}

// end closes the round when nothing is left. The lock is held.
func (f *filler) end() {
	if len(f.open) > 0 || f.round.begun.IsZero() {
		return
	}
	r, took := f.round, time.Since(f.round.begun)
	f.round.begun = time.Time{}
	if r.done == 0 {
		return // all were given up
	}
	f.c.own.backfill.seconds.Set(took.Seconds())
	_ = level.Info(f.c.logger).Log("msg", "the past of series has been read", "jobs", r.done, "series", r.series, "samples", r.samples, "duration", took)
}

// count shows how many jobs are in which state. The lock is held.
func (f *filler) count() {
	n := map[string]int{}
	for _, w := range f.open {
		switch {
		case w.cancel != nil:
			n[fillRunning]++
		case w.failures > 0:
			n[fillFailed]++
		default:
			n[fillWaiting]++
		}
	}
	n[fillDone] = f.round.done
	for _, s := range fillStates {
		f.c.own.backfill.jobs.WithLabelValues(s).Set(float64(n[s]))
	}
}

// run carries jobs out until ctx ends; open counts what is under way.
func (f *filler) run(ctx context.Context, open *sync.WaitGroup) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.woken:
		case <-timer.C:
		}
		timer.Stop()
		if wait, any := f.start(ctx, open, time.Now()); any {
			timer.Reset(wait)
		}
	}
}

// start begins what is due, as much at once as may be. It gives the time until it
// has to look again, if it has to.
func (f *filler) start(ctx context.Context, open *sync.WaitGroup, now time.Time) (wait time.Duration, any bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	defer f.count()
	running, most := 0, atOnce
	if f.failed > 0 {
		most = 1 // it may be away: one finds out
	}
	for _, w := range f.open {
		if w.cancel != nil {
			running++
		}
	}
	for _, w := range f.open {
		switch {
		case w.cancel != nil:
		case !w.due.After(now) && running < most:
			running++
			limited, cancel := context.WithCancel(ctx)
			w.cancel = cancel
			open.Go(func() {
				defer cancel()
				f.try(limited, w)
			})
		case w.due.After(now) && (!any || w.due.Sub(now) < wait):
			wait, any = w.due.Sub(now), true
		}
	}
	return wait, any
}

// try carries out one job.
func (f *filler) try(ctx context.Context, w *work) {
	filled, err := 0, error(nil)
	if w.job.waits(f.c.table.Load()) {
		filled, err = w.job.read(ctx, f.c, newest{f}, func(samples int, share float64) { f.progress(w, samples, share) })
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	w.cancel = nil
	switch {
	case ctx.Err() != nil: // the end, or nobody waits for it any more
		f.open = slices.DeleteFunc(f.open, func(o *work) bool { return o == w })
	case err != nil:
		f.fail(w, err)
	default:
		f.failed = 0
		f.round.done++
		f.round.series += filled
		f.open = slices.DeleteFunc(f.open, func(o *work) bool { return o == w })
	}
	f.end()
	f.count()
	signal(f.woken)
}

// newest is the Prometheus of the newest settings: a job that is under way at a
// reload asks nobody who was named before.
type newest struct{ f *filler }

// errNobody is the end of a job whose Prometheus has left the settings.
var errNobody = errors.New("there is no Prometheus to ask any more")

// source is nil where there is none.
func (n newest) source() Source {
	n.f.mu.Lock()
	defer n.f.mu.Unlock()
	return n.f.source
}

// Query is that of the source.
func (n newest) Query(ctx context.Context, query string) ([]promapi.Point, error) {
	if s := n.source(); s != nil {
		return s.Query(ctx, query)
	}
	return nil, errNobody
}

// Range is that of the source.
func (n newest) Range(ctx context.Context, query string, from, to time.Time, step time.Duration) ([]promapi.Track, error) {
	if s := n.source(); s != nil {
		return s.Range(ctx, query, from, to, step)
	}
	return nil, errNobody
}

// progress counts an answer and tells of it now and then.
func (f *filler) progress(w *work, samples int, share float64) {
	f.c.own.backfill.samples.Add(float64(samples))
	f.mu.Lock()
	defer f.mu.Unlock()
	w.share = share
	f.round.samples += samples
	now := time.Now()
	if now.Sub(f.round.told) < tellEvery {
		return
	}
	f.round.told = now
	done := float64(f.round.done)
	for _, o := range f.open {
		done += o.share
	}
	percent := int(100 * done / float64(f.round.done+len(f.open)))
	_ = level.Info(f.c.logger).Log("msg", "still reading the past of series", "done", f.round.done, "left", len(f.open), "percent", percent, "samples", f.round.samples)
}

// MostSkew is how far clocks may differ before somebody is told: the rules compare
// instants of both.
const MostSkew = time.Second

// skewed tells once a round that the clock of Prometheus is so far ahead of ours.
func (f *filler) skewed(ahead time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if ahead.Abs() <= MostSkew || f.round.skewed {
		return
	}
	f.round.skewed = true
	_ = level.Warn(f.c.logger).Log("msg", "the clock of Prometheus differs from the one of this machine: verdicts look older or younger to the rules than they are", "ahead", ahead)
}

// fail puts a job off: its series begin without their past. After some failures in
// a row the others that are due are put off with it: a Prometheus that is away
// would keep each of them waiting for nothing. The lock is held.
func (f *filler) fail(w *work, err error) {
	f.c.own.backfill.failures.Inc()
	f.failed++
	now, off := time.Now(), []*work{w}
	if f.failed >= inARow {
		for _, o := range f.open {
			if o != w && o.cancel == nil && !o.due.After(now) {
				off = append(off, o)
			}
		}
	}
	for _, o := range off {
		o.failures++
		o.due = now.Add(min(longestPause, firstPause<<min(o.failures-1, 10)))
		o.job.release()
	}
	// The next attempt begins with others.
	f.open = append(slices.DeleteFunc(f.open, func(o *work) bool { return o == w }), w)
	_ = level.Warn(f.c.logger).Log(append([]any{"msg", "the past of series could not be read, they start cold", "err", cut(err.Error()),
		"jobs", len(off), "retry_in", w.due.Sub(now)}, w.job.about...)...)
}
