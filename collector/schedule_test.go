package collector

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-kit/log"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/onefiveten/onefiveten/probe"
)

// hang answers when its context ends, as a prober should.
func hang(ctx context.Context, _ string) probe.Result {
	start := time.Now()
	<-ctx.Done()
	return probe.Result{Reason: probe.Timeout, Start: start, Duration: time.Since(start)}
}

// own gives some of the metrics of the schedule.
func own(t *testing.T, c *Collector, want string, names ...string) {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(c.Metrics())
	if err := testutil.GatherAndCompare(r, strings.NewReader(want), names...); err != nil {
		t.Error(err)
	}
}

func TestSchedule_RunsAtAStablePhase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		c := begun(t, shop, f)
		pass(time.Minute)
		want := phase("a", "http://n1/", "shop-nodes", 5*time.Second)
		for i, at := range f.started {
			if got := time.Duration(at.UnixNano()) % (5 * time.Second); got != want {
				t.Errorf("run %d at phase %v, want %v", i, got, want)
			}
		}
		if f.runs() != 12 {
			t.Errorf("got %d runs in a minute, want 12", f.runs())
		}
		own(t, c, `
# HELP probe_skipped_total Planned runs that did not take place, by reason.
# TYPE probe_skipped_total counter
probe_skipped_total{probe="shop-nodes",reason="late"} 0
probe_skipped_total{probe="shop-nodes",reason="overlap"} 0
# HELP probe_targets Targets on the schedule.
# TYPE probe_targets gauge
probe_targets 1
`, "probe_skipped_total", "probe_targets")
	})
}

func TestPhase_DiffersByObserverInstanceAndProbe(t *testing.T) {
	seen := map[time.Duration]string{}
	for _, who := range [][3]string{{"a", "n1", "p"}, {"b", "n1", "p"}, {"a", "n2", "p"}, {"a", "n1", "q"}, {"a", "n1p", ""}, {"an1", "", "p"}} {
		got := phase(who[0], who[1], who[2], 15*time.Second)
		if got < 0 || got >= 15*time.Second || seen[got] != "" {
			t.Errorf("%v: got phase %v, as %s", who, got, seen[got])
		}
		seen[got] = fmt.Sprint(who)
	}
	// What a restart must find again.
	if got, want := phase("a", "http://n1/", "shop-nodes", 5*time.Second), 1876*time.Millisecond; got.Truncate(time.Millisecond) != want {
		t.Errorf("got phase %v, want %v", got, want)
	}
}

func TestPhase_SpreadsTargetsEvenly(t *testing.T) {
	var parts [10]int
	for i := range 5000 {
		parts[phase("a", fmt.Sprintf("http://10.0.%d.%d:8080/health", i/250, i%250), "p", 10*time.Second)/time.Second]++
	}
	for i, n := range parts {
		if n < 400 || n > 600 {
			t.Errorf("second %d of ten holds %d of 5000 targets, want about 500", i, n)
		}
	}
}

func TestSchedule_EndsARunAtItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{answer: hang}
		c := begun(t, shop, f)
		pass(5 * time.Second)
		got := lines(text(t, c), "probe_duration_seconds{")
		if !strings.HasSuffix(got, " 2\n") {
			t.Errorf("got %q, want the 2 s of the module", got)
		}
	})
}

func TestSchedule_ModuleWithoutATimeoutHasTheInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{answer: hang}
		c := New("a", log.NewNopLogger())
		if err := c.Apply(parse(t, shop), map[string]Module{"fake": {Probe: f.probe}}, proved, nil); err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]string{"probe_timeout_seconds{": " 5\n", "probe_stale_after_seconds{": " 15\n"} {
			if got := lines(text(t, c), name); !strings.HasSuffix(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		}
	})
}

// A prober that does not end at its deadline has failed by time-out all the
// same, and what it says later is not heard.
func TestSchedule_ProberThatHangsHasFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		free := make(chan struct{})
		f := &fake{answer: func(context.Context, string) probe.Result {
			<-free
			return good(time.Second)
		}}
		c := begun(t, shop, f)
		pass(1876*time.Millisecond + 2*time.Second + grace + time.Millisecond)
		want := `probe_failures_total{COMMON,reason="timeout"} 1
probe_failure_reason{COMMON,reason="timeout"} 1
`
		if got := lines(short(text(t, c)), "timeout", "COMMON"); got != want {
			t.Errorf("after the deadline: got\n%swant\n%s", got, want)
		}
		pass(10 * time.Second)
		own(t, c, `
# HELP probe_skipped_total Planned runs that did not take place, by reason.
# TYPE probe_skipped_total counter
probe_skipped_total{probe="shop-nodes",reason="late"} 0
probe_skipped_total{probe="shop-nodes",reason="overlap"} 2
`, "probe_skipped_total")
		close(free)
		synctest.Wait()
		if got := lines(short(text(t, c)), "probe_attempts_total"); got != "probe_attempts_total{COMMON} 1\n" {
			t.Errorf("the late answer counts: %s", got)
		}
		pass(5 * time.Second)
		if got := lines(short(text(t, c)), "probe_attempts_total"); got != "probe_attempts_total{COMMON} 2\n" {
			t.Errorf("once it has ended the next run takes place: got %s", got)
		}
	})
}

// A timeout as long as the interval must not cost every second run.
func TestSchedule_TimeoutAsLongAsTheInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{answer: hang}
		c := begun(t, strings.Replace(shop, "interval: 5s", "interval: 2s", 1), f)
		pass(time.Minute)
		if got := testutil.ToFloat64(c.own.skipped.WithLabelValues("shop-nodes", skipOverlap)); got != 0 || f.runs() != 30 {
			t.Errorf("got %d runs and %v skipped, want 30 and none", f.runs(), got)
		}
		if got := lines(text(t, c), "probe_duration_seconds{"); !strings.HasSuffix(got, " 1.95\n") {
			t.Errorf("got %q, want a run that ends 50 ms before the next", got)
		}
	})
}

func TestSchedule_OverlapAllowsSoManyOpenRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		open, most := 0, 0
		f := &fake{}
		f.answer = func(context.Context, string) probe.Result {
			f.mu.Lock()
			open++
			most = max(most, open)
			f.mu.Unlock()
			<-time.After(5 * time.Second) // whatever its deadline says
			f.mu.Lock()
			open--
			f.mu.Unlock()
			return bad(probe.Timeout)
		}
		c := New("a", log.NewNopLogger())
		s := parse(t, strings.Replace(shop, "interval: 5s", "interval: 2s\n  overlap: 2", 1))
		ctx, cancel := context.WithCancel(t.Context())
		if err := c.Apply(s, map[string]Module{"fake": {Probe: f.probe, Timeout: 4 * time.Second}}, proved, nil); err != nil {
			t.Fatal(err)
		}
		done := make(chan error)
		go func() { done <- c.Run(ctx) }()
		pass(20 * time.Second)
		if most != 2 {
			t.Errorf("got %d runs open at once, want 2", most)
		}
		// Of three slots in 6 s one is skipped.
		if got := testutil.ToFloat64(c.own.skipped.WithLabelValues("shop-nodes", skipOverlap)); got != 3 {
			t.Errorf("got %v skipped runs, want 3", got)
		}
		cancel()
		pass(5 * time.Second) // until the last of them has ended
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

func TestSchedule_PanicIsAnInternalFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{answer: func(context.Context, string) probe.Result { panic("a bug") }}
		c := begun(t, shop, f)
		pass(5 * time.Second)
		want := "probe_failure_reason{COMMON,reason=\"internal\"} 1\n"
		if got := lines(short(text(t, c)), "probe_failure_reason"); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

func TestSchedule_UnknownReasonIsAnInternalFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{answer: func(context.Context, string) probe.Result { return bad("a mood") }}
		c := begun(t, shop, f)
		pass(5 * time.Second)
		want := "probe_failures_total{COMMON,reason=\"internal\"} 1\n"
		if got := lines(short(text(t, c)), "probe_failures_total", " 1\n"); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// The end of the program is no failure of a target.
func TestRun_EndDropsOpenRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{answer: hang}
		c := New("a", log.NewNopLogger())
		if err := c.Apply(parse(t, shop), f.modules(), proved, nil); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- c.Run(ctx) }()
		pass(2 * time.Second)
		cancel()
		if err := <-done; err != nil || f.runs() != 1 {
			t.Fatalf("Run: got %v after %d runs, want nil after 1", err, f.runs())
		}
		if got := lines(short(text(t, c)), "probe_attempts_total"); got != "probe_attempts_total{COMMON} 0\n" {
			t.Errorf("got %q, want no attempt", got)
		}
	})
}

// A prober that never returns does not keep the program from ending.
func TestRun_EndsThoughAProberDoesNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		free := make(chan struct{})
		defer close(free)
		f := &fake{answer: func(context.Context, string) probe.Result {
			<-free
			return good(time.Second)
		}}
		var b strings.Builder
		c := New("a", log.NewLogfmtLogger(&b))
		if err := c.Apply(parse(t, shop), f.modules(), proved, nil); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- c.Run(ctx) }()
		pass(2 * time.Second)
		cancel()
		pass(patience)
		select {
		case err := <-done:
			if err != nil || !strings.Contains(b.String(), "level=warn msg=\"probers still run") {
				t.Errorf("got %v and the log %q, want nil and a warning", err, b.String())
			}
		default:
			t.Errorf("Run still waits %v after its end", patience)
		}
	})
}

// A pause of the process must not look like a fault of everything it watches: a
// run that would have hardly any time is skipped.
func TestSchedule_LateRunsAreNotCutShort(t *testing.T) {
	for _, x := range []struct {
		lag  time.Duration
		runs int
		late float64
	}{{0, 1, 0}, {2 * time.Second, 1, 0}, {3900 * time.Millisecond, 1, 0}, {3960 * time.Millisecond, 0, 1}, {4960 * time.Millisecond, 0, 1}, {9 * time.Second, 0, 2}, {10 * time.Second, 1, 2}} {
		synctest.Test(t, func(t *testing.T) {
			f := &fake{}
			c := New("a", log.NewNopLogger())
			if err := c.Apply(parse(t, shop), f.modules(), proved, nil); err != nil {
				t.Fatal(err)
			}
			plan := c.schedule(nil, time.Now())
			pass(time.Until(plan[0].at) + x.lag)
			var open sync.WaitGroup
			c.start(t.Context(), newCrew(t.Context(), &open), plan, time.Now())
			open.Wait()
			if got := testutil.ToFloat64(c.own.skipped.WithLabelValues("shop-nodes", skipLate)); f.runs() != x.runs || got != x.late {
				t.Errorf("%v late: got %d runs and %v skipped, want %d and %v", x.lag, f.runs(), got, x.runs, x.late)
			}
		})
	}
}

// A machine that was asleep skips what it missed and says so.
func TestSchedule_SlotsThatWereSleptThroughAreSkipped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		c := New("a", log.NewNopLogger())
		if err := c.Apply(parse(t, shop), f.modules(), proved, nil); err != nil {
			t.Fatal(err)
		}
		plan := c.schedule(nil, time.Now())
		first := plan[0].at
		var open sync.WaitGroup
		pass(time.Until(first) + 17*time.Second)
		c.start(t.Context(), newCrew(t.Context(), &open), plan, time.Now())
		open.Wait()
		if got := plan[0].at.Sub(first); got != 20*time.Second || f.runs() != 1 {
			t.Errorf("got the next run %v later after %d runs, want 20s after one", got, f.runs())
		}
		if got := testutil.ToFloat64(c.own.skipped.WithLabelValues("shop-nodes", skipLate)); got != 3 {
			t.Errorf("got %v skipped runs, want 3", got)
		}
		own(t, c, `
# HELP probe_schedule_lag_seconds How much later than planned runs began.
# TYPE probe_schedule_lag_seconds histogram
probe_schedule_lag_seconds_bucket{le="0.001"} 0
probe_schedule_lag_seconds_bucket{le="0.01"} 0
probe_schedule_lag_seconds_bucket{le="0.1"} 0
probe_schedule_lag_seconds_bucket{le="0.25"} 0
probe_schedule_lag_seconds_bucket{le="1"} 0
probe_schedule_lag_seconds_bucket{le="10"} 1
probe_schedule_lag_seconds_bucket{le="+Inf"} 1
probe_schedule_lag_seconds_sum 2
probe_schedule_lag_seconds_count 1
`, "probe_schedule_lag_seconds")
	})
}

func TestSchedule_RunsOfOneInstantAreBothJudged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		c := New("a", log.NewNopLogger())
		if err := c.Apply(parse(t, shop), f.modules(), proved, nil); err != nil {
			t.Fatal(err)
		}
		target := c.table.Load().targets[0]
		for range 3 {
			target.finish(c, bad(probe.Reset)) // the clock stands still
		}
		if j := target.state.shown.Load().verdicts[ofAvailability]; j.Anomalies != 3 || !j.Fault {
			t.Errorf("got %+v, want 3 anomalies and a fault", j)
		}
		if diff := cmp.Diff(0., testutil.ToFloat64(c.own.refused.WithLabelValues(availability, "duplicate"))); diff != "" {
			t.Errorf("refused as duplicates: %s", diff)
		}
	})
}

// What sigma does not take is counted and leaves the verdict as it was.
func TestJudge_RefusedSampleIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		c := begun(t, shop, f)
		pass(5 * time.Second)
		target := c.table.Load().targets[0]
		p := *target.state.shown.Load()
		before := p.verdicts[ofLatency].Judgement
		target.state.mu.Lock()
		target.judge(c, &p, ofLatency, time.Time{}, good(time.Second), 1)
		target.judge(c, &p, ofLatency, target.state.last, good(time.Second), 1)
		target.judge(c, &p, ofLatency, target.state.last.Add(-1), good(time.Second), 1)
		target.judge(c, &p, ofLatency, target.state.last.Add(1), good(time.Second), 1e200)
		target.state.mu.Unlock()
		if p.verdicts[ofLatency].Judgement != before {
			t.Errorf("the verdict has changed to %+v", p.verdicts[ofLatency])
		}
		own(t, c, `
# HELP ksigma_refused_samples_total Samples that could not be judged, by reason.
# TYPE ksigma_refused_samples_total counter
ksigma_refused_samples_total{reason="duplicate",signal="availability"} 0
ksigma_refused_samples_total{reason="duplicate",signal="latency"} 1
ksigma_refused_samples_total{reason="not_finite",signal="availability"} 0
ksigma_refused_samples_total{reason="not_finite",signal="latency"} 1
ksigma_refused_samples_total{reason="out_of_order",signal="availability"} 0
ksigma_refused_samples_total{reason="out_of_order",signal="latency"} 1
ksigma_refused_samples_total{reason="time",signal="availability"} 0
ksigma_refused_samples_total{reason="time",signal="latency"} 1
`, "ksigma_refused_samples_total")
	})
}

func TestMetrics_PassTheLinter(t *testing.T) {
	problems, err := testutil.CollectAndLint(New("a", log.NewNopLogger()).Metrics())
	if err != nil || len(problems) > 0 {
		t.Errorf("got %v, %v, want no problem", problems, err)
	}
}
