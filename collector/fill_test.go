package collector

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-kit/log"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/onefiveten/onefiveten/probe"
	"github.com/onefiveten/onefiveten/promapi"
	"github.com/onefiveten/onefiveten/sigma"
)

// question is one that a past was asked.
type question struct {
	expr     string
	at       time.Time
	from, to time.Time
	step     time.Duration
}

// past is a Prometheus that remembers what value says.
type past struct {
	mu    sync.Mutex
	asked []question
	begun []string // questions for the starts of episodes
	open  int
	most  int // that were open at once

	wait   time.Duration
	err    error
	series []map[string]string
	value  func(labels map[string]string, at time.Time) float64
	starts []promapi.Track
	now    []promapi.Point // of an expression
	ahead  time.Duration   // of its clock before ours
	clocks int             // how often it was asked for it
}

func (p *past) Query(_ context.Context, query string) ([]promapi.Point, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if query == instantQuery {
		p.clocks++
		at := time.Now().Add(p.ahead)
		return []promapi.Point{{At: time.UnixMilli(at.UnixMilli()), Value: seconds(at)}}, p.err
	}
	return p.now, nil
}

func (p *past) Range(ctx context.Context, query string, from, to time.Time, step time.Duration) ([]promapi.Track, error) {
	p.mu.Lock()
	if strings.Contains(query, KsigmaStart) {
		defer p.mu.Unlock()
		p.begun = append(p.begun, query)
		return p.starts, p.err
	}
	p.asked = append(p.asked, question{query, time.Now(), from, to, step})
	p.open++
	p.most = max(p.most, p.open)
	wait, err := p.wait, p.err
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		p.open--
		p.mu.Unlock()
	}()
	select {
	case <-time.After(wait):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, err
	}
	var tracks []promapi.Track
	for _, labels := range p.series {
		track := promapi.Track{Labels: labels}
		for at := from; !at.After(to); at = at.Add(step) {
			// Of its future it repeats what it knew last.
			seen := at.Add(-p.ahead)
			if now := time.Now(); seen.After(now) {
				seen = now
			}
			if v := p.value(labels, seen); !math.IsNaN(v) {
				track.Samples = append(track.Samples, promapi.Sample{At: at, Value: v})
			}
		}
		tracks = append(tracks, track)
	}
	return tracks, nil
}

// set changes the past while nobody asks.
func (p *past) set(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
}

// questions gives what was asked so far.
func (p *past) questions() []question {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.asked)
}

// calm is a value around .1 that differs from minute to minute.
func calm(_ map[string]string, at time.Time) float64 { return .1 + .01*math.Sin(float64(at.Unix()/7)) }

// judgedShop is the shop with everything of its latency on the page.
const judgedShop = shop + "expose: full\nbaselines: {default: {window: 40m, min_samples: 30, hold: 16m}}\n"

// remembering is a collector that runs until the test ends, with a past.
func remembering(t *testing.T, text string, f *fake, p Source) (*Collector, *bytes.Buffer) {
	t.Helper()
	var out bytes.Buffer
	c := New("a", log.NewLogfmtLogger(log.NewSyncWriter(&out)))
	if err := c.Apply(parse(t, text), f.modules(), proved, p); err != nil {
		t.Fatalf("Apply: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- c.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	synctest.Wait()
	return c, &out
}

// startAt is the start of an episode, as Prometheus remembers it.
func startAt(labels map[string]string, start float64) []promapi.Track {
	return []promapi.Track{{Labels: labels, Samples: []promapi.Sample{{At: time.Now(), Value: start}}}}
}

// n1 is the only target of the shop.
func n1() []map[string]string { return []map[string]string{{"instance": "http://n1/"}} }

func TestFill_LatencyIsAbsentUntilItsPastIsThereAndWarmThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &past{series: n1(), value: calm, wait: 1900 * time.Millisecond}
		f := &fake{}
		f.set(func(context.Context, string) probe.Result { return good(100 * time.Millisecond) })
		c, out := remembering(t, judgedShop, f, p)
		for len(p.questions()) < 2 {
			pass(time.Second)
		}
		pass(100 * time.Millisecond)
		if got := lines(text(t, c), `signal="latency"`, "ksigma_fault"); got != "" {
			t.Errorf("while the past is read: got\n%swant nothing of the latency", got)
		}
		pass(time.Minute)
		page := text(t, c)
		if got := lines(page, `signal="latency"`, "ksigma_fault{"); !strings.HasSuffix(got, " 0\n") {
			t.Errorf("got %q, want a verdict from the first minute on", got)
		}
		if got := lines(page, `signal="availability"`, "ksigma_fault{"); !strings.HasSuffix(got, " 0\n") {
			t.Errorf("got %q, want availability", got)
		}
		mean, samples := gaugeOf(t, page, "ksigma_mean{"), gaugeOf(t, page, "ksigma_baseline_samples{")
		if math.Abs(mean-.1) > .005 || samples < 60 {
			t.Errorf("got the mean %v of %v samples, want .1 of those of the window", mean, samples)
		}
		for _, want := range []string{`msg="reading the past of series from Prometheus" jobs=1`, `msg="the past of series has been read" jobs=1 series=1`} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("the log lacks %s:\n%s", want, out)
			}
		}
		own := c.own.backfill
		if testutil.ToFloat64(own.seconds) < 3 || testutil.ToFloat64(own.samples) < 40 || testutil.ToFloat64(own.jobs.WithLabelValues(fillDone)) != 1 {
			t.Errorf("got %v s, %v samples, %v jobs done", testutil.ToFloat64(own.seconds), testutil.ToFloat64(own.samples), testutil.ToFloat64(own.jobs.WithLabelValues(fillDone)))
		}
	})
}

// gaugeOf is the value of the only line of the page that begins so.
func gaugeOf(t *testing.T, page, name string) (v float64) {
	t.Helper()
	for line := range strings.Lines(page) {
		if strings.HasPrefix(line, name) {
			if _, err := fmt.Sscan(line[strings.LastIndex(line, " ")+1:], &v); err != nil {
				t.Fatal(err)
			}
			return v
		}
	}
	t.Fatalf("no %s on the page:\n%s", name, page)
	return 0
}

// What is asked names the observer and the probe as they are written, and only
// what succeeded.
func TestFill_AsksForItsOwnSuccessesAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &past{series: n1(), value: calm}
		c, _ := remembering(t, strings.ReplaceAll(judgedShop, "shop-nodes", `'a"b'`), &fake{}, p)
		_ = c
		asked := p.questions()
		const who = `observer="a",probe="a\"b"`
		want := "max by (instance) (probe_duration_seconds{" + who + "} and on (observer, probe, instance) probe_success{" + who + "} == 1)"
		if len(asked) == 0 || asked[0].expr != want {
			t.Errorf("got %v, want\n%s", asked, want)
		}
		if want := `max by (instance) (last_over_time(ksigma_fault_start_timestamp_seconds{` + who + `,signal="latency"}[1140000ms]))`; len(p.begun) == 0 || p.begun[0] != want {
			t.Errorf("got %v, want\n%s", p.begun, want)
		}
		begun, last := asked[0].at, asked[len(asked)-1]
		if from := begun.Sub(asked[0].from); from != 40*time.Minute || asked[0].step != 15*time.Second {
			t.Errorf("got %s back by %s, want the window by the interval of scrapes", from, asked[0].step)
		}
		if left := begun.Sub(last.to); left < 0 || left >= 5*time.Second || last.step != 5*time.Second {
			t.Errorf("got the end %s ago by %s, want the newest by the interval of the probe", left, last.step)
		}
	})
}

func TestFill_APingOfSeveralPacketsIsAskedForByItsRoundTrip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, f := &past{series: n1(), value: calm}, &fake{}
		modules := f.modules()
		m := modules["fake"]
		m.Latency = PhaseSeries{"probe_icmp_duration_seconds", "rtt"}
		modules["fake"] = m
		c := New("a", log.NewNopLogger())
		if err := c.Apply(parse(t, judgedShop), modules, proved, p); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		go func() { _ = c.Run(ctx) }()
		synctest.Wait()
		cancel()
		const want = `(probe_icmp_duration_seconds{observer="a",probe="shop-nodes",phase="rtt"} and `
		if asked := p.questions(); len(asked) == 0 || !strings.Contains(asked[0].expr, want) {
			t.Errorf("got %v, want %s", asked, want)
		}
	})
}

// ill is calm until fault, and ten times as long from then on.
func ill(fault time.Time) func(map[string]string, time.Time) float64 {
	return func(labels map[string]string, at time.Time) float64 {
		if at.Before(fault) {
			return calm(labels, at)
		}
		return 1
	}
}

func TestFill_AFaultUnderWayIsOneAgainWithItsStart(t *testing.T) {
	for name, ago := range map[string]time.Duration{"young": 3 * time.Minute, "old": 14 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fault := time.Now().Add(-ago)
				p := &past{series: n1(), value: ill(fault), starts: startAt(n1()[0], seconds(fault.Add(-1234*time.Millisecond)))}
				f := &fake{}
				f.set(func(context.Context, string) probe.Result { return good(time.Second) })
				c, _ := remembering(t, judgedShop, f, p)
				pass(6 * time.Second) // the first run
				page := text(t, c)
				if got := lines(page, `signal="latency"`, "ksigma_fault{"); !strings.HasSuffix(got, " 1\n") {
					t.Errorf("got %q, want the fault", got)
				}
				const name = "ksigma_fault_start_timestamp_seconds{"
				if got := lines(page, `signal="latency"`, name); !strings.HasSuffix(got, fmt.Sprintf(" %.3f\n", seconds(fault.Add(-1234*time.Millisecond)))) {
					t.Errorf("got %q, want the start of before, %v", got, seconds(fault.Add(-1234*time.Millisecond)))
				}
			})
		})
	}
}

func TestFill_AStartOfAnotherEpisodeIsNotTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fault := time.Now().Add(-3 * time.Minute)
		p := &past{series: n1(), value: ill(fault), starts: startAt(n1()[0], seconds(fault.Add(-4*time.Minute)))}
		f := &fake{}
		f.set(func(context.Context, string) probe.Result { return good(time.Second) })
		c, _ := remembering(t, judgedShop, f, p)
		pass(6 * time.Second)
		v := c.table.Load().targets[0].state.shown.Load().verdicts[ofLatency]
		if !v.Fault || v.start != seconds(v.FirstBad) || v.FirstBad.Before(fault) {
			t.Errorf("got %+v, want a fault since its first bad sample", v)
		}
	})
}

// Without its Prometheus an exporter is no worse than one that names none: it
// says so, judges, and goes on asking.
func TestFill_WithoutPrometheusItStartsColdAndIsFilledLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &past{series: n1(), value: calm, err: errors.New("asking prometheus: connection refused")}
		f := &fake{}
		f.set(func(context.Context, string) probe.Result { return good(100 * time.Millisecond) })
		c, out := remembering(t, strings.ReplaceAll(judgedShop, "min_samples: 30", "min_samples: 100"), f, p)
		pass(6 * time.Second)
		if got := lines(text(t, c), "ksigma_value", `signal="latency"`); got == "" {
			t.Error("it withholds values that it could learn from")
		}
		pass(130 * time.Second)
		// At 0, 10, 30 and 70 seconds.
		if got := testutil.ToFloat64(c.own.backfill.failures); got != 4 {
			t.Errorf("got %v attempts in 136 s, want 4", got)
		}
		want := `msg="the past of series could not be read, they start cold" err="asking prometheus: connection refused" jobs=1 retry_in=10s probe=shop-nodes`
		if n := strings.Count(out.String(), "start cold"); n != 4 || !strings.Contains(out.String(), want) {
			t.Errorf("got %d lines:\n%swant 4 as\n%s", n, out, want)
		}
		if got := testutil.ToFloat64(c.own.backfill.jobs.WithLabelValues(fillFailed)); got != 1 {
			t.Errorf("got %v failed jobs, want 1", got)
		}
		if got := lines(text(t, c), "ksigma_fault{", `signal="latency"`); got != "" {
			t.Errorf("got %q, want no verdict of so few samples", got)
		}
		p.set(func() { p.err = nil })
		pass(20 * time.Second)
		page := text(t, c)
		if got := lines(page, "ksigma_fault{", `signal="latency"`); !strings.HasSuffix(got, " 0\n") {
			t.Errorf("got %q, want a verdict since there is a past", got)
		}
		if got := testutil.ToFloat64(c.own.backfill.jobs.WithLabelValues(fillFailed)); got != 0 {
			t.Errorf("got %v failed jobs, want none", got)
		}
		before := len(p.questions())
		pass(time.Hour)
		if got := len(p.questions()); got != before {
			t.Errorf("it asks again: %d questions after the end", got-before)
		}
	})
}

// Live samples of the time in which the past was read are judged after it, each
// once.
func TestFill_NoLiveSampleIsLostOrTakenTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &past{series: n1(), value: calm, wait: 1900 * time.Millisecond}
		f := &fake{}
		f.set(func(context.Context, string) probe.Result { return good(100 * time.Millisecond) })
		c, _ := remembering(t, strings.ReplaceAll(judgedShop, "interval: 5s", "interval: 1s"), f, p)
		// The fault window holds one sample a second: what was lost would be missing.
		pass(4 * time.Minute)
		v := c.table.Load().targets[0].state.shown.Load().verdicts[ofLatency]
		if v.InWindow != 181 || !v.Ready {
			t.Errorf("got %d samples in the fault window, want 181", v.InWindow)
		}
		if got := testutil.ToFloat64(c.own.refused.WithLabelValues("latency", "out_of_order")); got != 0 {
			t.Errorf("%v samples were refused", got)
		}
	})
}

func TestFill_OneThatHasBecomeReadyByItselfKeepsItsState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &past{series: n1(), value: calm, err: errors.New("away")}
		f := &fake{}
		f.set(func(context.Context, string) probe.Result { return good(100 * time.Millisecond) })
		c, _ := remembering(t, judgedShop, f, p)
		pass(4 * time.Minute)
		s := c.table.Load().targets[0].state
		own := s.signals[ofLatency].series
		if v := s.shown.Load().verdicts[ofLatency]; !v.Ready {
			t.Fatal("it is not ready after 48 samples")
		}
		p.set(func() { p.err = nil })
		pass(10 * time.Minute)
		if s.signals[ofLatency].series != own || s.signals[ofLatency].past != nil || len(p.questions()) != 0 {
			t.Errorf("its state was replaced, or is still to be: %d questions", len(p.questions()))
		}
		if got := testutil.ToFloat64(c.own.backfill.jobs.WithLabelValues(fillFailed)); got != 0 {
			t.Errorf("got %v failed jobs, want none", got)
		}
	})
}

// crowd is a shop of n targets.
func crowd(n int, more string) (string, []map[string]string) {
	var text strings.Builder
	text.WriteString("observers: [a]\nservices: [{name: shop, owner: o}]\nprobes:\n- {name: shop-nodes, service: shop, module: fake, interval: 15s, " + more + " targets: [")
	var series []map[string]string
	for i := range n {
		fmt.Fprintf(&text, "n%d, ", i)
		series = append(series, map[string]string{"instance": fmt.Sprintf("n%d", i)})
	}
	return text.String() + "]}\n", series
}

func TestFill_ThousandsOfSeriesAreAskedForInParts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shop, series := crowd(5000, "")
		p := &past{series: series, value: calm, wait: 100 * time.Millisecond}
		c, out := remembering(t, shop, &fake{}, p)
		for _, target := range c.table.Load().targets {
			target.state.mu.Lock()
			l := target.state.signals[ofLatency].past
			target.state.mu.Unlock()
			if l == nil || l.most != mostKept/5000 { // set before anybody else knew of it
				t.Fatalf("%s keeps %+v, want its part of %d", target.url, l, mostKept)
			}
		}
		pass(5 * time.Minute)
		asked := p.questions()
		for i, q := range asked {
			steps := int(q.to.Sub(q.from)/q.step) + 1
			if steps*len(series) > mostValues {
				t.Fatalf("question %d: %d steps of %d series, want %d values at most", i, steps, len(series), mostValues)
			}
			if i > 0 && !q.from.After(asked[i-1].to) {
				t.Fatalf("question %d begins at %s, the one before ended at %s", i, q.from, asked[i-1].to)
			}
		}
		// An hour by 15 seconds, and what went by meanwhile.
		if len(asked) < 24 || len(asked) > 30 {
			t.Errorf("got %d questions, want about 24 of 10 steps each", len(asked))
		}
		for _, target := range c.table.Load().targets {
			if v := target.state.shown.Load().verdicts[ofLatency]; !v.Ready || target.state.signals[ofLatency].past != nil {
				t.Fatalf("%s is not ready: %+v", target.url, v)
			}
		}
		if !strings.Contains(out.String(), `msg="the past of series has been read" jobs=1 series=5000 samples=12`) {
			t.Errorf("got the log\n%s", out)
		}
	})
}

func TestFill_TellsOfItsProgressNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shop, series := crowd(2500, "")
		p := &past{series: series, value: calm, wait: 1900 * time.Millisecond}
		_, out := remembering(t, shop, &fake{}, p)
		pass(5 * time.Minute)
		n := strings.Count(out.String(), "still reading the past of series")
		if asked := p.questions(); n < 2 || n > len(asked)*2/10 || !strings.Contains(out.String(), "left=1") || !strings.Contains(out.String(), "percent=50") && !strings.Contains(out.String(), "percent=4") {
			t.Errorf("%d questions of 2 s, %d lines of progress:\n%s", len(asked), n, out)
		}
	})
}

func TestFill_TwoQuestionsAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text strings.Builder
		text.WriteString("observers: [a]\nservices: [{name: shop, owner: o}]\nprobes:\n")
		for i := range 20 {
			fmt.Fprintf(&text, "- {name: p%d, service: shop, module: fake, targets: [n]}\n", i)
		}
		p := &past{series: []map[string]string{{"instance": "n"}}, value: calm, wait: time.Second}
		c, _ := remembering(t, text.String(), &fake{}, p)
		if got := testutil.ToFloat64(c.own.backfill.jobs.WithLabelValues(fillWaiting)); got != 18 {
			t.Errorf("got %v jobs that wait, want 18", got)
		}
		pass(10 * time.Minute)
		if got := testutil.ToFloat64(c.own.backfill.jobs.WithLabelValues(fillDone)); p.most != 2 || got != 20 {
			t.Errorf("got %d at once and %v jobs done, want 2 and 20", p.most, got)
		}
	})
}

// A Prometheus that takes no connection must not be waited for by each of many
// probes, one after the other.
func TestFill_AfterTwoFailuresNobodyElseWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text strings.Builder
		text.WriteString("observers: [a]\nservices: [{name: shop, owner: o}]\nprobes:\n")
		for i := range 20 {
			fmt.Fprintf(&text, "- {name: p%d, service: shop, module: fake, targets: [n]}\n", i)
		}
		p := &past{wait: time.Hour} // none of its answers comes in time
		c, out := remembering(t, text.String(), &fake{}, p)
		pass(3 * time.Second)
		if len(p.questions()) != 2 || strings.Count(out.String(), "start cold") != 2 || !strings.Contains(out.String(), "jobs=19 retry_in=10s") {
			t.Errorf("got %d questions and the log\n%s", len(p.questions()), out)
		}
		for _, target := range c.table.Load().targets {
			if target.state.signals[ofLatency].past.withheld {
				t.Errorf("%s is withheld still", target.probe)
			}
		}
	})
}

func TestFill_GoesOnWhereItFailedWithLess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shop, series := crowd(1000, "")
		p := &past{series: series, value: calm, wait: time.Second}
		c, _ := remembering(t, shop, &fake{}, p)
		pass(1500 * time.Millisecond) // in the middle of the second
		p.set(func() { p.wait = 3 * time.Second })
		pass(5 * time.Second)
		p.set(func() { p.wait = time.Second })
		pass(2 * time.Minute)
		asked := p.questions()
		if len(asked) < 5 || !asked[3].from.Equal(asked[2].from) && !asked[2].from.Equal(asked[1].from) {
			t.Errorf("got %v, want one question twice", asked)
		}
		last := asked[len(asked)-2]
		if steps := int(last.to.Sub(last.from)/last.step) + 1; steps != mostValues/2/1000 {
			t.Errorf("got %d steps after a failure, want half of %d", steps, mostValues/1000)
		}
		if v := c.table.Load().targets[0].state.shown.Load().verdicts[ofLatency]; !v.Ready {
			t.Errorf("got %+v", v)
		}
	})
}

func TestFill_AReloadGivesUpWhatIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &past{series: n1(), value: calm, wait: 1900 * time.Millisecond}
		c, _ := remembering(t, judgedShop, &fake{}, p)
		pass(time.Second)
		other := strings.ReplaceAll(judgedShop, "http://n1/", "http://n2/")
		if err := c.Apply(parse(t, other), (&fake{}).modules(), proved, p); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := testutil.ToFloat64(c.own.backfill.jobs.WithLabelValues(fillRunning)); got != 1 {
			t.Errorf("got %v jobs under way, want that of the new target", got)
		}
		if err := c.Apply(parse(t, other), (&fake{}).modules(), proved, nil); err != nil {
			t.Fatal(err)
		}
		pass(6 * time.Second)
		if got := lines(text(t, c), "ksigma_value", `signal="latency"`); got == "" {
			t.Error("without a Prometheus it is withheld still")
		}
		for _, state := range fillStates {
			if got := testutil.ToFloat64(c.own.backfill.jobs.WithLabelValues(state)); got != 0 {
				t.Errorf("got %v jobs that are %s, want none", got, state)
			}
		}
	})
}

func TestFill_AReloadOfTheSameReadsNothingAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &past{series: n1(), value: calm}
		c, _ := remembering(t, judgedShop, &fake{}, p)
		before := len(p.questions())
		if err := c.Apply(parse(t, judgedShop), (&fake{}).modules(), proved, p); err != nil {
			t.Fatal(err)
		}
		pass(time.Minute)
		if got := len(p.questions()); got != before || before == 0 {
			t.Errorf("got %d questions, and %d before the reload", got, before)
		}
	})
}

func TestFill_TargetsThatAreFoundAreAskedForByName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := newFolder(t)
		shop, series := crowd(60, dir.sd("*.yml")+",")
		p := &past{series: append(series, map[string]string{"instance": "a.b|c"}), value: calm}
		c, _ := remembering(t, shop, &fake{}, p)
		before := len(p.questions())
		dir.write("found.yml", "[{targets: ['a.b|c']}]")
		pass(time.Minute)
		asked := p.questions()[before:]
		if len(asked) == 0 || !strings.Contains(asked[0].expr, `,instance=~"a\\.b\\|c"}`) {
			t.Fatalf("got %v, want the new target alone", asked)
		}
		found := c.table.Load().byKey[key{"shop-nodes", "a.b|c"}]
		if v := found.state.shown.Load().verdicts[ofLatency]; !v.Ready {
			t.Errorf("got %+v, want it ready", v)
		}
	})
}

func TestFill_ASeasonIsReadFromTwoWeeks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p, slot, r := New("a", log.NewNopLogger()), &past{series: n1(), value: calm}, &slotOfTarget{}, everySecond()
		r.baseline.Season = sigma.Daily
		slot.state, slot.past = newState(nil), newBacklog(r)
		fresh, err := r.fresh()
		if err != nil {
			t.Fatal(err)
		}
		fresh.past = slot.past
		slot.state.begin(ofLatency, fresh)
		j := newJob(&pastOfProbe{"p", map[string]*slotOfTarget{"http://n1/": slot}}, r, 1)
		j.limit, j.starts = time.Second, KsigmaStart
		n, samples := 0, 0
		filled, err := j.read(t.Context(), c, p, func(got int, _ float64) { n, samples = n+1, samples+got })
		if err != nil || filled != 1 || n != len(p.asked) || samples < 14*24*12 || slot.state.signals[ofLatency].past != nil {
			t.Errorf("got %v, %d filled by %d answers of %d samples", err, filled, n, samples)
		}
		if first := p.asked[0]; first.step != 5*time.Minute || first.at.Sub(first.from) != 14*24*time.Hour {
			t.Errorf("got %v, want 14 days by 5 minutes first", first)
		}
	})
}

func TestFill_ASeasonOfTheConfigurationIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &past{series: n1(), value: calm}
		remembering(t, strings.ReplaceAll(judgedShop, "hold: 16m", "hold: 16m, season: daily"), &fake{}, p)
		if asked := p.questions(); len(asked) != 3 || asked[0].at.Sub(asked[0].from) != 14*24*time.Hour {
			t.Errorf("got %v, want the season, the window and the newest", asked)
		}
	})
}

// everySecond are rules of a value of every second.
func everySecond() rules {
	return rules{
		interval: time.Second, fault: sigma.Fault{Window: time.Minute, Cap: .5, MinAnomalies: 1, Clear: 1},
		baseline: sigma.Baseline{Window: time.Hour, K: 3, MinSamples: 2},
	}
}

// The past of another clock than ours must not reach beyond our own present.
func TestFill_NothingIsLearnedFromTheFuture(t *testing.T) {
	c := New("a", log.NewNopLogger())
	r := everySecond()
	slot := &slotOfTarget{newState(nil), newBacklog(r)}
	j := newJob(&pastOfProbe{"p", map[string]*slotOfTarget{"n": slot}}, r, 1)
	now := time.Now()
	track := promapi.Track{Labels: map[string]string{"instance": "n"}}
	for i := -2; i <= 2; i++ {
		track.Samples = append(track.Samples, promapi.Sample{At: now.Add(time.Duration(i) * time.Minute), Value: 1})
	}
	track.Samples[0].Value = math.NaN()
	stranger := promapi.Track{Labels: map[string]string{"instance": "m"}, Samples: track.Samples}
	if got := j.learn(c, []promapi.Track{track, stranger}, time.Second); got != 2 {
		t.Errorf("took %d samples, want that of a minute ago and that of now", got)
	}
	slot.past.add(sample{at: now.Add(-30 * time.Second)})
	track.Samples = []promapi.Sample{{At: now.Add(-25 * time.Second), Value: 1}}
	if got := j.learn(c, []promapi.Track{track}, time.Second); got != 0 {
		t.Errorf("took %d samples of a time that live ones tell of, want none", got)
	}
}

// What is asked at that moment is given up, and nothing runs on.
func TestFill_EndsWithRunInTheMiddleOfAQuestion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &past{series: n1(), value: calm, wait: time.Hour}
		c := New("a", log.NewNopLogger())
		if err := c.Apply(parse(t, judgedShop), (&fake{}).modules(), proved, p); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- c.Run(ctx) }()
		synctest.Wait()
		if p.open != 1 {
			t.Fatalf("%d questions are open, want 1", p.open)
		}
		cancel()
		before := time.Now()
		if err := <-done; err != nil || time.Since(before) != 0 || p.open != 0 {
			t.Errorf("got %v after %s with %d questions open, want the end at once", err, time.Since(before), p.open)
		}
	})
}

func TestBacklog_IsBounded(t *testing.T) {
	for _, test := range []struct {
		window time.Duration
		want   int
	}{{3 * time.Minute, 230}, {time.Hour, mostBacklog}} {
		b := newBacklog(rules{interval: time.Second, fault: sigma.Fault{Window: test.window}})
		for i := range 5000 {
			b.add(sample{at: time.Unix(int64(i), 0)})
		}
		first, _ := b.first()
		if len(b.samples) != test.want || first.Unix() != int64(5000-test.want) || cap(b.samples) > 2*test.want {
			t.Errorf("got %d samples from %d on in room for %d, want the newest %d", len(b.samples), first.Unix(), cap(b.samples), test.want)
		}
	}
}

// However many series wait for their past, what they keep has a bound, and whoever
// could keep no more is judged by it, not by less.
func TestBacklog_OfManySeriesIsBoundedTogether(t *testing.T) {
	const series = 5000
	c := New("a", log.NewNopLogger())
	text := strings.NewReplacer("unit: items", fmt.Sprintf("max_series: %d", series), "min_samples: 2, floor: 1", "min_samples: 55",
		"owner: team-shop", "owner: team-shop, signals: {queue: {fault: {fault_window: 20m, floor: .5}}}").Replace(queue)
	if err := c.Apply(parse(t, text), nil, ofQueue, &lake{}); err != nil {
		t.Fatal(err)
	}
	s, begun := c.table.Load().queries[0].state, time.Now()
	nodes := map[string]float64{}
	kept := func() (samples, room int) {
		for _, m := range s.members {
			if m.judged.past != nil {
				samples, room = samples+len(m.judged.past.samples), room+cap(m.judged.past.samples)
			}
		}
		return samples, room
	}
	for i := range 105 {
		if i == 45 { // the first two keep more by then than each of so many may
			for n := range series {
				nodes[fmt.Sprint("n", n)] = float64(n)
			}
		}
		nodes["n0"], nodes["n1"] = float64(i%2), float64(i%3)
		at := begun.Add(time.Duration(i) * 10 * time.Second)
		s.take(c, answer{began: at, ended: at, points: points(nodes)})
		if n, room := kept(); n > mostKept || room > 2*mostKept {
			t.Fatalf("after %d answers %d samples are kept in room for %d, want %d at most", i+1, n, room, mostKept)
		}
	}
	for _, m := range s.members {
		p, want := m.judged.past, uint64(59)
		if node := m.pairs[0].value; node == "n0" || node == "n1" {
			want = 104
		}
		if p == nil || !p.early || m.verdict.Samples != want {
			t.Fatalf("{%s}: judged by %d samples, want the %d that came before, until its past is there", m.labels.text, m.verdict.Samples, want)
		}
	}
}

// A series of a probe is judged before the first sample that it has kept is dropped.
func TestBacklog_LosesNothingThatNobodyHasJudged(t *testing.T) {
	r := everySecond()
	r.baseline.MinSamples = 30
	j, err := r.fresh()
	if err != nil {
		t.Fatal(err)
	}
	j.past = newBacklog(r)
	j.past.narrow(mostKept / 10)
	var v verdict
	for i := range 15 {
		if v, err = j.take(time.Unix(int64(i), 0), float64(i%3), 0, v); err != nil {
			t.Fatal(err)
		}
		if v.known != (i >= 9) {
			t.Errorf("after %d samples it is judged: %v, want it once ten are kept", i+1, v.known)
		}
	}
	if v.Samples != 14 || len(j.past.samples) != 10 {
		t.Errorf("judged by %d samples with %d kept, want the 14 before and 10", v.Samples, len(j.past.samples))
	}
	if j.past.narrow(2 * mostKept); len(j.past.samples) != 1 {
		t.Errorf("among very many it keeps %d samples, want the newest", len(j.past.samples))
	}
}

// Whatever the settings, the questions rise, overlap nowhere, are not too large,
// and end at the end.
func TestReach_QuestionsRiseFromTheSeasonToThePresent(t *testing.T) {
	end := time.UnixMilli(1795225504724)
	for _, r := range []rules{
		{interval: time.Second, fault: sigma.Fault{Window: 3 * time.Minute}, baseline: sigma.Baseline{Window: time.Hour, Season: sigma.Daily}},
		{interval: 15 * time.Second, fault: sigma.Fault{Window: 3 * time.Minute}, baseline: sigma.Baseline{Window: 7 * 24 * time.Hour}},
		{interval: time.Second, fault: sigma.Fault{Window: time.Hour}, baseline: sigma.Baseline{Window: time.Minute, Season: sigma.Daily}},
		{interval: 5 * time.Second, fault: sigma.Fault{Window: 3 * time.Minute}, baseline: sigma.Baseline{Window: 101 * time.Second}},
		{interval: 10 * time.Minute, fault: sigma.Fault{Window: time.Hour}, baseline: sigma.Baseline{Window: 20 * 24 * time.Hour, Season: sigma.Daily}},
	} {
		for _, steps := range []int{0, 1, 7, 10000} {
			p, after, finest := reachOf(r, 5*time.Second), time.Time{}, false
			begin := end.Add(-max(p.season, p.window, p.finest))
			for n := 0; ; n++ {
				s, more := p.next(after, end, steps)
				if !more {
					break
				}
				got := int(s.to.Sub(s.from)/s.step) + 1
				ok := got <= max(steps, 1) && s.step%time.Millisecond == 0 && s.step >= r.interval && !s.to.After(end) && (s.finest || !finest)
				if n == 0 {
					ok = ok && s.from.Equal(begin)
				} else {
					ok = ok && s.from.After(after) && s.from.Sub(after) <= s.step
				}
				if !ok {
					t.Fatalf("%+v by %d steps: after %s got %+v of %d steps", r, steps, after, s, got)
				}
				after, finest = s.to, s.finest
			}
			if end.Sub(after) > p.fine || !finest {
				t.Errorf("%+v by %d steps: it ends %s before the end", r, steps, end.Sub(after))
			}
			if p.done(after, end) < .95 || p.done(begin, end) > 0 {
				t.Errorf("%+v: got %v done at the end and %v at the beginning", r, p.done(after, end), p.done(begin, end))
			}
		}
	}
}

func TestFill_ASignalIsFilledWithAllItsSeries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fault := time.Now().Add(-4 * time.Minute)
		nodes := []map[string]string{{"node": "n1"}, {"node": "n2"}, {"zone": "stray"}}
		p := &past{series: nodes, wait: 1900 * time.Millisecond, starts: startAt(nodes[0], seconds(fault)-1)}
		p.value = func(labels map[string]string, at time.Time) float64 {
			if labels["node"] == "n1" {
				return ill(fault)(labels, at)
			}
			return calm(labels, at)
		}
		p.now = []promapi.Point{{Labels: nodes[0], Value: 1}}
		text := judgedShop + `signals: [{name: queue, service: shop, expr: q, interval: 5s, baseline: default}]` + "\n"
		text = strings.ReplaceAll(text, "services:\n- {name: shop, owner: team-shop}", "services:\n- {name: shop, owner: team-shop, signals: {queue: {fault: {cap: .6}}}}")
		c, out := remembering(t, text, &fake{}, p)
		pass(time.Minute)
		page := readable(t, c)
		if got := lines(page, "ksigma_fault{", `signal="queue"`, `node="n1"`); !strings.HasSuffix(got, " 1\n") {
			t.Errorf("got %q, want the fault\n%s", got, out)
		}
		if got := lines(page, "ksigma_fault_start_timestamp_seconds{", `signal="queue"`); !strings.HasSuffix(got, fmt.Sprintf(" %.0f\n", seconds(fault)-1)) {
			t.Errorf("got %q, want the start of before", got)
		}
		if got := lines(page, `node="n2"`); got != "" {
			t.Errorf("got %q of a series that is not there now", got)
		}
		p.set(func() { p.now = append(p.now, promapi.Point{Labels: nodes[1], Value: .1}) })
		pass(10 * time.Second)
		if got := lines(readable(t, c), "ksigma_fault{", `signal="queue"`, `node="n2"`); !strings.HasSuffix(got, " 0\n") {
			t.Errorf("got %q, want the past of a series that comes back", got)
		}
		const want = `max by (node) (last_over_time(ksigma_fault_start_timestamp_seconds{observer="a",service="shop",signal="queue"}[1140000ms]))`
		if !slices.Contains(p.begun, want) {
			t.Errorf("got %q, want\n%s", p.begun, want)
		}
	})
}

// late is a past that begins at an instant. Before it there are no series at all.
type late struct {
	*past
	begin time.Time
}

func (l late) Range(ctx context.Context, query string, from, to time.Time, step time.Duration) ([]promapi.Track, error) {
	tracks, err := l.past.Range(ctx, query, from, to, step)
	if to.Before(l.begin) {
		tracks = nil
	}
	return tracks, err
}

// An empty answer does not tell how many series the next one has.
func TestFill_APastThatBeginsLateIsAskedForInPartsToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &past{value: calm}
		for i := range 40 {
			p.series = append(p.series, map[string]string{"node": fmt.Sprint("n", i)})
		}
		text := strings.ReplaceAll(judgedShop, "min_samples: 30", "min_samples: 30, season: daily") + `signals: [{name: queue, service: shop, expr: q, interval: 15s, max_series: 40}]` + "\n"
		text = strings.ReplaceAll(text, "owner: team-shop", "owner: team-shop, signals: {queue: {fault: {cap: .6}}}")
		remembering(t, text, &fake{}, late{p, time.Now().Add(-24 * time.Hour)})
		pass(time.Minute)
		asked := p.questions()
		if len(asked) < 4 {
			t.Fatalf("got %d questions, want a season in parts", len(asked))
		}
		for _, q := range asked {
			if values := 40 * (int(q.to.Sub(q.from)/q.step) + 1); q.expr == "q" && values > mostValues {
				t.Errorf("got a question for %d values from %s to %s, want %d at most", values, q.from, q.to, mostValues)
			}
		}
	})
}

func TestFill_ASignalStartsColdWithoutAPast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &past{series: []map[string]string{{"node": "n1"}}, value: calm, err: errors.New("away")}
		p.now = []promapi.Point{{Labels: map[string]string{"node": "n1"}, Value: .1}}
		text := strings.ReplaceAll(judgedShop, "min_samples: 30", "min_samples: 100") + `signals: [{name: queue, service: shop, expr: q, interval: 5s, baseline: default}]` + "\n"
		text = strings.ReplaceAll(text, "services:\n- {name: shop, owner: team-shop}", "services:\n- {name: shop, owner: team-shop, signals: {queue: {fault: {cap: .6}}}}")
		c, _ := remembering(t, text, &fake{}, p)
		pass(20 * time.Second)
		v := c.table.Load().queries[0].state.shown.Load().series
		if len(v) != 1 || !v[0].verdict.known || v[0].verdict.Ready {
			t.Errorf("got %+v, want one cold series", v)
		}
		p.set(func() { p.err = nil })
		pass(30 * time.Second)
		if got := lines(readable(t, c), "ksigma_fault{", `signal="queue"`); !strings.HasSuffix(got, " 0\n") {
			t.Errorf("got %q, want a verdict since there is a past", got)
		}
	})
}

// BenchmarkFill learns one answer: ten values of 5,000 targets.
func BenchmarkFill(b *testing.B) {
	r := everySecond()
	r.interval = 15 * time.Second
	_, series := crowd(5000, "")
	waiting, tracks, at := map[string]*slotOfTarget{}, []promapi.Track{}, time.Now().Add(-time.Hour)
	for _, labels := range series {
		waiting[labels["instance"]] = &slotOfTarget{newState(nil), newBacklog(r)}
		tracks = append(tracks, promapi.Track{Labels: labels, Samples: make([]promapi.Sample, 10)})
	}
	c, j, values := New("a", log.NewNopLogger()), newJob(&pastOfProbe{"p", waiting}, r, len(series)), 0
	for b.Loop() {
		for _, track := range tracks {
			for i := range track.Samples {
				track.Samples[i] = promapi.Sample{At: at.Add(time.Duration(i) * r.interval), Value: calm(nil, at)}
			}
		}
		values += j.learn(c, tracks, r.interval)
		at = at.Add(10 * r.interval)
		if time.Since(at) < 5*time.Minute {
			j.made, at = map[string]*blank{}, time.Now().Add(-time.Hour)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(values), "ns/value")
}
