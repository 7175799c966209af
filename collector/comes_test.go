package collector

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/onefiveten/onefiveten/probe"
)

// Whoever adds prometheus.url to a configuration that runs need not restart the
// exporter to have its baselines filled.
func TestFill_APrometheusThatComesByAReloadFillsWhatIsCold(t *testing.T) {
	for name, c := range map[string]struct {
		text   string
		before time.Duration
		asks   bool
	}{
		"cold":                                  {judgedShop, time.Minute, true},
		"at once":                               {judgedShop, 0, true},
		"warm by itself":                        {judgedShop, 4 * time.Minute, false},
		"warm, without the hours of other days": {strings.Replace(judgedShop, "hold: 16m", "hold: 16m, season: daily", 1), 4 * time.Minute, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fake{}
				f.set(func(context.Context, string) probe.Result { return good(100 * time.Millisecond) })
				coll, _ := remembering(t, c.text, f, nil)
				pass(c.before)
				s := coll.table.Load().targets[0].state
				before, runs := s.signals[ofLatency].series, f.runs()
				p := &past{series: n1(), value: calm, wait: 1900 * time.Millisecond}
				if err := coll.Apply(parse(t, c.text), f.modules(), proved, p); err != nil {
					t.Fatal(err)
				}
				pass(time.Second)
				if got := lines(text(t, coll), "ksigma_value", `signal="latency"`); (got == "") != (runs == 0) {
					t.Errorf("while the past is read: got %q after %d runs, want what there was", got, runs)
				}
				pass(2 * time.Minute)
				if got := len(p.questions()) > 0; got != c.asks {
					t.Errorf("got %d questions, want some: %v", len(p.questions()), c.asks)
				}
				if filled := s.signals[ofLatency].series != before; filled != c.asks || s.signals[ofLatency].past != nil {
					t.Errorf("the past has taken its place: %v, want %v; it waits: %v", filled, c.asks, s.signals[ofLatency].past != nil)
				}
				page := text(t, coll)
				if got := lines(page, "ksigma_fault{", `signal="latency"`); !strings.HasSuffix(got, " 0\n") {
					t.Errorf("got %q, want a verdict", got)
				}
				if got := lines(page, "ksigma_season_mean", `signal="latency"`); (got != "") != strings.Contains(c.text, "daily") {
					t.Errorf("got the season %q", got)
				}
				// A reload of the same reads nothing again.
				asked := len(p.questions())
				if err := coll.Apply(parse(t, c.text), f.modules(), proved, p); err != nil {
					t.Fatal(err)
				}
				pass(time.Minute)
				if got := len(p.questions()); got != asked {
					t.Errorf("%d more questions after a reload of the same", got-asked)
				}
			})
		})
	}
}

// One that has no season has its own state by then; one with a season is asked for
// it, and a Prometheus that was away meanwhile knows nothing of the fault.
func TestFill_APastThatHasNotSeenAFaultDoesNotEndIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		season := strings.Replace(judgedShop, "hold: 16m", "hold: 16m, season: daily", 1)
		f, n := &fake{}, 0
		f.set(func(context.Context, string) probe.Result {
			n++
			return good(time.Duration(100+n%7) * time.Millisecond)
		})
		coll, _ := remembering(t, season, f, nil)
		pass(20 * time.Minute)
		f.set(func(context.Context, string) probe.Result { return good(900 * time.Millisecond) })
		pass(10 * time.Minute)
		fault := func() string { return lines(text(t, coll), `signal="latency"`, "ksigma_fault") }
		before, away := fault(), time.Now().Add(-2*time.Hour)
		if !strings.Contains(before, "} 1\n") {
			t.Fatalf("got %q, want a fault", before)
		}
		p := &past{series: n1(), value: func(labels map[string]string, at time.Time) float64 {
			if at.After(away) {
				return math.NaN()
			}
			return calm(labels, at)
		}}
		if err := coll.Apply(parse(t, season), f.modules(), proved, p); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if len(p.questions()) == 0 {
			t.Error("nobody has asked")
		}
		for range 3 {
			if got := lines(fault(), "ksigma_fault{"); !strings.HasSuffix(got, " 1\n") {
				t.Errorf("got %q, want the fault of before", got)
			}
			if got, want := lines(fault(), "ksigma_fault_start"), lines(before, "ksigma_fault_start"); got != want {
				t.Errorf("got %q, want its start %q", got, want)
			}
			pass(30 * time.Second)
		}
	})
}

// One that goes ends what was asked of it, and leaves nothing that is kept for it;
// when it comes back, what is cold still is filled.
func TestFill_APrometheusThatGoesAndComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &past{series: n1(), value: calm, wait: time.Hour}
		f := &fake{}
		coll, _ := remembering(t, judgedShop, f, p)
		pass(7 * time.Second)
		s := coll.table.Load().targets[0].state
		if err := coll.Apply(parse(t, judgedShop), f.modules(), proved, nil); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if p.open != 0 || s.signals[ofLatency].past != nil {
			t.Errorf("%d questions are open, and samples are kept: %v", p.open, s.signals[ofLatency].past != nil)
		}
		if got := lines(text(t, coll), "ksigma_value", `signal="latency"`); got == "" {
			t.Error("what it has kept is not judged")
		}
		p.set(func() { p.wait = 0 })
		if err := coll.Apply(parse(t, judgedShop), f.modules(), proved, p); err != nil {
			t.Fatal(err)
		}
		pass(6 * time.Second)
		if got := lines(text(t, coll), "ksigma_fault{", `signal="latency"`); !strings.HasSuffix(got, " 0\n") {
			t.Errorf("got %q, want a verdict since there is a past", got)
		}
		if got := testutil.ToFloat64(coll.own.backfill.jobs.WithLabelValues(fillDone)); got != 1 {
			t.Errorf("got %v jobs done, want 1", got)
		}
	})
}

// A job that is under way at a reload goes on with the Prometheus of the newest
// settings.
func TestFill_AReloadAsksNobodyWhoWasNamedBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old := &past{series: n1(), value: calm, wait: 1500 * time.Millisecond}
		coll, _ := remembering(t, judgedShop, &fake{}, old)
		pass(time.Second)
		fresh := &past{series: n1(), value: calm}
		if err := coll.Apply(parse(t, judgedShop), (&fake{}).modules(), proved, fresh); err != nil {
			t.Fatal(err)
		}
		pass(10 * time.Second)
		if len(old.questions()) != 1 || len(fresh.questions()) == 0 {
			t.Errorf("the old one was asked %d times, the new one %d times, want the rest", len(old.questions()), len(fresh.questions()))
		}
	})
}

// A Prometheus that answers, but slowly, must not keep a verdict longer than none
// would.
func TestFill_NobodyWaitsLongerForThePastThanWithoutOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		text := "observers: [a]\nservices: [{name: shop, owner: o}]\nbaselines: {default: {window: 40m, min_samples: 30, hold: 16m}}\nprobes:\n"
		for i := range 300 {
			text += fmt.Sprintf("- {name: p%d, service: shop, module: fake, interval: 5s, targets: [n]}\n", i)
		}
		p := &past{series: []map[string]string{{"instance": "n"}}, value: calm, wait: 1900 * time.Millisecond}
		f := &fake{}
		f.set(func(context.Context, string) probe.Result { return good(100 * time.Millisecond) })
		c, _ := remembering(t, text, f, p)
		for _, at := range []time.Duration{30 * time.Second, 160 * time.Second, 20 * time.Minute} {
			pass(at)
			ready, waits := 0, 0
			for _, target := range c.table.Load().targets {
				if target.state.shown.Load().verdicts[ofLatency].Ready {
					ready++
				}
				target.state.mu.Lock()
				if target.state.signals[ofLatency].past != nil {
					waits++
				}
				target.state.mu.Unlock()
			}
			switch at {
			case 30 * time.Second:
				if ready == 300 || waits == 0 {
					t.Fatalf("%d are ready and %d wait after 30s, want it to take longer", ready, waits)
				}
			case 160 * time.Second:
				if ready != 300 || waits == 0 {
					t.Errorf("%d of 300 are ready, and %d wait still; want all, as without a Prometheus, and some", ready, waits)
				}
			default:
				if ready != 300 || waits != 0 {
					t.Errorf("%d of 300 are ready, and %d wait still; want the end", ready, waits)
				}
			}
		}
	})
}
