package collector

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-kit/log"
	"github.com/google/go-cmp/cmp"

	"github.com/onefiveten/onefiveten/probe"
)

// dark answers well until an instant, and then not at all.
func dark(from time.Time) func(context.Context, string) probe.Result {
	return func(ctx context.Context, target string) probe.Result {
		if time.Now().Before(from) {
			return good(10 * time.Millisecond)
		}
		return hang(ctx, target)
	}
}

// The first terms of the bound of DETECTION 6.2: the gauge says fault at the
// latest P + d_p + (m-1)P after the beginning of a total failure.
func TestDetect_GaugeKeepsTheBoundAtEveryPhase(t *testing.T) {
	for _, c := range []struct {
		interval, timeout time.Duration
		limit             float64
	}{{time.Second, 500 * time.Millisecond, .1}, {5 * time.Second, 2 * time.Second, .5}, {10 * time.Second, 10 * time.Second, .25}} {
		synctest.Test(t, func(t *testing.T) {
			f := &fake{}
			text := strings.Replace(shop, "interval: 5s", "interval: "+c.interval.String(), 1)
			text = strings.Replace(text, "owner: team-shop", fmt.Sprintf("owner: team-shop, signals: {availability: {fault: {cap: %v, floor: %v}}}", c.limit, c.limit), 1)
			col := New("a", log.NewNopLogger())
			modules := map[string]Module{"fake": {Probe: f.probe, Timeout: c.timeout}}
			if err := col.Apply(parse(t, text), modules, proved, nil); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error)
			go func() { done <- col.Run(ctx) }()
			synctest.Wait()
			target := col.table.Load().targets[0]
			m := target.rules[ofAvailability].fault.Bad(c.interval)
			bound := c.interval + c.timeout + time.Duration(m-1)*c.interval
			fault := func() bool { return target.state.shown.Load().verdicts[ofAvailability].Fault }
			for i := range 20 {
				f.set(nil)
				pass(2*time.Minute + time.Duration(i)*c.interval/20)
				if fault() {
					t.Fatalf("P %v, outage %d: still in fault 2m after the end of the one before", c.interval, i)
				}
				begin := time.Now()
				f.set(dark(begin))
				pass(bound)
				if !fault() {
					t.Errorf("P %v, d_p %v, m %d, outage %d at %v: no fault after the bound of %v", c.interval, c.timeout, m, i, begin, bound)
				}
				if v := target.state.shown.Load().verdicts[ofAvailability]; v.start < seconds(begin) || v.start > seconds(begin.Add(c.interval)) {
					t.Errorf("outage %d at %v: got a start of %v", i, seconds(begin), v.start)
				}
			}
			cancel()
			if err := <-done; err != nil {
				t.Errorf("Run: %v", err)
			}
		})
	}
}

// A failed probe says nothing about latency: only good ones are its samples.
func TestSignals_AreNeverMixed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		c := begun(t, fullShop, f)
		pass(30 * time.Second)
		before := lines(short(text(t, c)), `signal="latency"`, "COMMON")
		f.set(hang) // 2 s each: far beyond the threshold, were they samples
		pass(time.Minute)
		if diff := cmp.Diff(before, lines(short(text(t, c)), `signal="latency"`, "COMMON")); diff != "" {
			t.Errorf("failures have changed the verdict on latency (-before +after):\n%s", diff)
		}
	})
}

// Several pings take as long as the pauses between them: that is no latency of
// the target, and the prober says what is.
func TestSignals_LatencyIsWhatTheTargetTook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		c := begun(t, fullShop, f)
		f.set(func(context.Context, string) probe.Result {
			r := good(1500 * time.Millisecond)
			r.Latency = 2 * time.Millisecond
			return r
		})
		pass(30 * time.Second)
		page := short(text(t, c))
		if got := lines(page, "ksigma_value{"); !strings.HasSuffix(got, " 0.002\n") {
			t.Errorf("got value %q, want the latency", got)
		}
		if got := lines(page, "probe_duration_seconds{"); !strings.HasSuffix(got, " 1.5\n") {
			t.Errorf("got duration %q, want that of the run", got)
		}
	})
}

func TestSignals_SlowAnswersAreAFaultOfLatencyAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		c := begun(t, fullShop, f)
		pass(30 * time.Minute)
		f.set(func(context.Context, string) probe.Result { return good(1500 * time.Millisecond) })
		pass(3 * time.Minute)
		got := lines(short(text(t, c)), "ksigma_fault{")
		want := "ksigma_fault{COMMON,signal=\"availability\"} 0\nksigma_fault{COMMON,signal=\"latency\"} 1\n"
		if got != want {
			t.Errorf("got\n%swant\n%s", got, want)
		}
		if got := lines(short(text(t, c)), "ksigma_fault_start", "latency"); !strings.HasSuffix(got, " 946686601.876\n") {
			t.Errorf("got start %q, want that of the first slow run", got)
		}
	})
}

// By mean and threshold rules locate a value at once: the bad samples that it took to
// turn the gauge are in neither of them any more.
func TestSignals_MeanAndThresholdAreWithoutTheFaultFromItsFirstSampleOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		c := begun(t, fullShop, f)
		pass(time.Hour)
		bands := func() string {
			page := short(text(t, c))
			return lines(page, "ksigma_mean{") + lines(page, "ksigma_threshold{")
		}
		healthy := bands()
		f.set(func(context.Context, string) probe.Result { return good(1500 * time.Millisecond) })
		moved := false
		for range 60 {
			pass(5 * time.Second)
			if strings.HasSuffix(lines(short(text(t, c)), "ksigma_fault{", "latency"), " 1\n") {
				if diff := cmp.Diff(healthy, bands()); diff != "" || !moved {
					t.Errorf("at the first sample in fault (bad ones moved the bands before it: %v) (-healthy +shown):\n%s", moved, diff)
				}
				return
			}
			moved = moved || bands() != healthy
		}
		t.Error("there is no fault after 5m of slow answers")
	})
}

// Targets that do not answer cost the others no time.
func TestSchedule_HangingTargetsDelayNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{answer: func(ctx context.Context, target string) probe.Result {
			if strings.HasPrefix(target, "dead") {
				return hang(ctx, target)
			}
			return good(time.Millisecond)
		}}
		var list []string
		for i := range 200 {
			list = append(list, fmt.Sprintf("{url: dead%d}", i))
		}
		text := strings.Replace(shop, `{url: "http://n1/", labels: {node: n1, zone: za}}`, strings.Join(list, ", ")+", {url: alive}", 1)
		begun(t, text, f)
		pass(time.Minute)
		want := phase("a", "alive", "shop-nodes", 5*time.Second)
		n := 0
		for i, at := range f.started {
			if f.targets[i] != "alive" {
				continue
			}
			if n++; time.Duration(at.UnixNano())%(5*time.Second) != want {
				t.Errorf("run %d at %v, want phase %v", n, at, want)
			}
		}
		if n != 12 || f.runs() != 201*12 {
			t.Errorf("got %d runs of the living target, %d in all, want 12 and 2412", n, f.runs())
		}
	})
}

func TestRun_NothingToDoEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New("a", log.NewNopLogger())
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := c.Run(ctx); err != nil {
			t.Errorf("got %v, want nil", err)
		}
	})
}

// A fault is one line in the log when it begins and one when it ends.
func TestLog_FaultAndItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b strings.Builder
		f := &fake{}
		c := New("a", log.NewLogfmtLogger(&b))
		if err := c.Apply(parse(t, shop), f.modules(), proved, nil); err != nil {
			t.Fatal(err)
		}
		target := c.table.Load().targets[0]
		for i := range 40 {
			r := good(time.Millisecond)
			if i >= 15 && i < 25 {
				r = bad(probe.Reset)
				r.Err = fmt.Errorf("connection reset by peer")
			}
			target.finish(c, r)
			pass(5 * time.Second)
		}
		want := `level=info msg="the target is in fault" probe=shop-nodes instance=http://n1/ service=shop reason=reset err="connection reset by peer"
level=info msg="the target is good again" probe=shop-nodes instance=http://n1/ service=shop
`
		if b.String() != want {
			t.Errorf("got\n%swant\n%s", b.String(), want)
		}
	})
}

// An error may hold what a server has sent, such as thousands of names of its
// certificate.
func TestLog_ALongErrorIsCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b strings.Builder
		c := New("a", log.NewLogfmtLogger(&b))
		if err := c.Apply(parse(t, shop), (&fake{}).modules(), proved, nil); err != nil {
			t.Fatal(err)
		}
		for range 15 {
			r := bad(probe.Certificate)
			r.Err = errors.New(strings.Repeat("name.example.org, ", 10_000))
			c.table.Load().targets[0].finish(c, r)
			pass(5 * time.Second)
		}
		if got := b.String(); !strings.Contains(got, "in fault") || len(got) > 2*maxErrorText {
			t.Errorf("got %d bytes, want a line with a short error", len(got))
		}
	})
}
