package collector

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/onefiveten/onefiveten/probe"
)

// grace is how long after its deadline a run may still answer. A prober that
// needs longer has lost its word: the run is a time-out.
const grace = 250 * time.Millisecond

// reasons is how many reasons of a failure there are (DETECTION 3.4).
const reasons = 12

// errNoAnswer is the error of a run that is given up.
var errNoAnswer = errors.New("the prober did not end at its deadline")

// target is one address of one probe under the present settings. It does not
// change; its state does.
type target struct {
	probe    string
	service  string // empty: of none, not judged
	url      string
	module   Module
	interval time.Duration
	deadline time.Duration
	overlap  int32
	phase    time.Duration
	labels   *labels
	exposed  [signals]exposure
	rules    [signals]rules
	judged   bool
	ends     int // successes in a row that end an episode where nothing is judged
	state    *state
}

// bound is the upper end of a classic bucket.
type bound struct {
	le   float64
	text string
}

// state is what outlives a reload: the series of both signals, the counters
// and the newest snapshot.
type state struct {
	open   atomic.Int32 // runs that have not returned
	shown  atomic.Pointer[snapshot]
	bounds []bound
	native prometheus.Histogram

	mu       sync.Mutex // protects what follows
	last     time.Time  // of the newest sample
	signals  [signals]judged
	failures [keptFailures]*failure
	oldest   int // place of the oldest failure
}

// snapshot is everything that the page says about one target after one run. It
// is never changed once it is shown.
type snapshot struct {
	ran      bool
	success  bool
	reason   int     // of the last run, if that failed: place in probe.Reasons
	duration float64 // of the last run, s

	attempts uint64
	failures [reasons]uint64
	seconds  float64  // sum of all durations
	buckets  []uint64 // runs per classic bucket

	lastRun, lastSuccess float64 // unix seconds; 0: never
	failing              float64 // start of the first failed run of the episode where nothing is judged, unix seconds; 0: none
	good                 int     // runs since the last failed one, of an episode
	verdicts             [signals]verdict
	samples              []series
	of                   *target // whose labels the samples do not repeat; nil: there are none
}

// series is one sample that the prober gave, ready to be written.
type series struct {
	family *family
	labels *labels
	value  float64
}

// newState is that of a target which has never run, with counters at 0.
func newState(buckets []float64) *state {
	s := &state{native: prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: runDuration.name, Help: runDuration.help, Buckets: buckets,
		NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 100,
		NativeHistogramMinResetDuration: time.Hour,
	})}
	for _, le := range buckets {
		s.bounds = append(s.bounds, bound{le: le, text: strconv.FormatFloat(le, 'g', -1, 64)})
	}
	s.shown.Store(&snapshot{buckets: make([]uint64, len(buckets))})
	return s
}

// begin starts a signal anew, under other rules. One without a series is not
// judged any more.
func (s *state) begin(signal int, fresh judged) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.signals[signal] = fresh
	p := *s.shown.Load()
	p.verdicts[signal] = verdict{}
	s.shown.Store(&p)
}

// remember lets a signal that is judged keep its samples while its past is read.
func (s *state) remember(signal int, past *backlog) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.signals[signal].past = past
}

// run makes the probe that was planned for the instant slot and takes its result
// in, unless ctx ends first. The probe ends at its deadline, or at the instant
// until if that comes first. run returns when the prober has.
func (t *target) run(ctx context.Context, c *Collector, slot, until time.Time) {
	start := time.Now()
	c.own.lag.Observe(start.Sub(slot).Seconds())
	allowed := min(t.deadline, until.Sub(start))
	deadline, cancel := context.WithDeadline(ctx, start.Add(allowed))
	defer cancel()
	late := time.AfterFunc(allowed+grace, func() {
		if ctx.Err() != nil {
			return
		}
		t.finish(c, probe.Result{Reason: probe.Timeout, Err: errNoAnswer, Start: start, Duration: time.Since(start)})
	})
	r := t.attempt(deadline, start)
	// Whoever comes first, the answer or the end of patience, is heard alone.
	if late.Stop() && ctx.Err() == nil {
		t.finish(c, r)
	}
}

// attempt calls the prober. One that panics has failed for an internal reason.
func (t *target) attempt(ctx context.Context, start time.Time) (r probe.Result) {
	defer func() {
		if p := recover(); p != nil {
			r = probe.Result{Reason: probe.Internal, Err: fmt.Errorf("the prober panicked: %v", p), Start: start, Duration: time.Since(start)}
		}
	}()
	r = t.module.Probe(ctx, t.url)
	if r.Start.IsZero() {
		r.Start, r.Duration = start, time.Since(start)
	}
	return r
}

// finish judges a result and shows it.
func (t *target) finish(c *Collector, r probe.Result) {
	s := t.state
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	// Runs of one target may end out of order of their starts, never of their ends.
	at := c.sampleTime(now)
	if !at.After(s.last) {
		at = s.last.Add(1) // two runs that ended together
	}
	s.last = at
	p := s.shown.Load().after(r, s.bounds, t.ends)
	p.lastRun = seconds(now)
	if r.Success {
		p.lastSuccess = p.lastRun
	}
	t.judge(c, p, ofAvailability, at, r, flag(!r.Success))
	if r.Success {
		t.judge(c, p, ofLatency, at, r, cmp.Or(r.Latency, r.Duration).Seconds())
	}
	p.samples, p.of = c.families.series(t, p.samples, r.Samples), t
	if !r.Success {
		s.keep(r, p.samples)
	}
	// The snapshot counts for itself; this is for the native buckets alone.
	s.native.Observe(r.Duration.Seconds())
	before := s.shown.Swap(p)
	t.tell(c.logger, before, p, r)
}

// tell logs where a fault of availability begins and ends.
func (t *target) tell(logger log.Logger, before, after *snapshot, r probe.Result) {
	was, is := before.verdicts[ofAvailability].Fault, after.verdicts[ofAvailability].Fault
	if was == is {
		return
	}
	who := []any{"probe", t.probe, "instance", t.url, "service", t.service}
	if was {
		_ = level.Info(logger).Log(append([]any{"msg", "the target is good again"}, who...)...)
		return
	}
	var err any // null where there is none
	if r.Err != nil {
		err = cut(r.Err.Error())
	}
	_ = level.Info(logger).Log(append(append([]any{"msg", "the target is in fault"}, who...), "reason", r.Reason, "err", err)...)
}

// after counts a result: the snapshot that follows p. So many successes in a row as
// ends says end an episode.
func (p *snapshot) after(r probe.Result, bounds []bound, ends int) *snapshot {
	n := *p
	n.ran, n.success, n.duration = true, r.Success, r.Duration.Seconds()
	n.attempts++
	n.seconds += n.duration
	if r.Success {
		if n.good++; n.good >= ends {
			n.failing, n.good = 0, 0
		}
	} else {
		n.failing, n.good = cmp.Or(n.failing, seconds(r.Start)), 0
		n.reason = reasonIndex(r.Reason)
		n.failures[n.reason]++
	}
	n.buckets = slices.Clone(p.buckets) // the old ones may be on their way out
	for i, b := range bounds {
		if n.duration <= b.le {
			n.buckets[i]++
			break
		}
	}
	return &n
}

// judge adds a sample to a signal, if there is a series of it. One that is refused
// leaves the verdict, and so does one of a run that was begun under other rules.
func (t *target) judge(c *Collector, p *snapshot, signal int, at time.Time, r probe.Result, value float64) {
	of := &t.state.signals[signal]
	if of.series == nil || of.rules != t.rules[signal] {
		return
	}
	v, err := of.take(at, value, seconds(r.Start), p.verdicts[signal])
	if err != nil {
		c.own.refuse(signal, err)
	}
	p.verdicts[signal] = v
}

// reasonIndex takes a reason outside of the closed set for an internal one.
func reasonIndex(reason probe.Reason) int {
	if i := slices.Index(probe.Reasons(), reason); i >= 0 {
		return i
	}
	return slices.Index(probe.Reasons(), probe.Internal)
}

// seconds is unix time with the precision of Prometheus' own timestamps.
func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

// flag is a truth as a gauge has it.
func flag(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
