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

	"github.com/onefiveten/onefiveten/probe"
)

// apply puts a changed text in force and lets the schedule follow it, in a bubble.
func apply(t *testing.T, c *Collector, f *fake, text string, changes ...string) {
	t.Helper()
	applied(t, c, f, strings.NewReplacer(changes...).Replace(text))
	synctest.Wait()
}

// applied puts a text in force.
func applied(t *testing.T, c *Collector, f *fake, text string) {
	t.Helper()
	if err := c.Apply(parse(t, text), f.modules(), proved, nil); err != nil {
		t.Fatalf("Apply: %v", err)
	}
}

// inFault begins a collector and brings its target into a fault.
func inFault(t *testing.T, f *fake) *Collector {
	t.Helper()
	c := begun(t, shop, f)
	pass(60 * time.Second)
	f.set(refused)
	pass(15 * time.Second)
	if got := lines(short(text(t, c)), "ksigma_fault{", "availability"); got != faultOn {
		t.Fatalf("got %q, want a fault", got)
	}
	return c
}

const faultOn = "ksigma_fault{COMMON,signal=\"availability\"} 1\n"

func TestApply_SameSettingsKeepEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		c := inFault(t, f)
		before, runs := text(t, c), f.runs()
		apply(t, c, f, shop)
		if got := text(t, c); got != before {
			t.Errorf("the page has changed:\n%s", got)
		}
		if f.runs() != runs {
			t.Errorf("the reload itself has probed")
		}
		pass(10 * time.Second)
		if got := f.runs() - runs; got != 2 {
			t.Errorf("got %d runs in 10s after the reload, want 2", got)
		}
	})
}

func TestApply_ReloadsNeitherSkipNorDoubleARun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		c := begun(t, shop, f)
		for range 600 {
			pass(100 * time.Millisecond)
			apply(t, c, f, shop)
		}
		for i, at := range f.started[1:] {
			if got := at.Sub(f.started[i]); got != 5*time.Second {
				t.Errorf("run %d came %v after the one before, want 5s", i+1, got)
			}
		}
		if f.runs() != 12 {
			t.Errorf("got %d runs in a minute, want 12", f.runs())
		}
	})
}

func TestApply_ANewTargetLeavesTheOthersAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		c := inFault(t, f)
		apply(t, c, f, shop, "targets: [", `targets: [{url: "http://n2/"}, `)
		got := short(text(t, c))
		if lines(got, "ksigma_fault{", "COMMON", "availability") != faultOn {
			t.Errorf("the fault of n1 is lost:\n%s", lines(got, "ksigma_fault"))
		}
		pass(5 * time.Second)
		if got := lines(text(t, c), "probe_attempts_total", "n2"); !strings.HasSuffix(got, " 1\n") {
			t.Errorf("n2 is not probed: %q", got)
		}
	})
}

func TestApply_AVanishedTargetLeavesThePage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		c := inFault(t, f)
		apply(t, c, f, shop, "http://n1/", "http://n9/", "name: shop-nodes", "name: others")
		got := text(t, c)
		if strings.Contains(got, "n1/") || strings.Contains(got, "shop-nodes") {
			t.Errorf("it is still there:\n%s", lines(got, "shop-nodes"))
		}
		own(t, c, `
# HELP probe_skipped_total Planned runs that did not take place, by reason.
# TYPE probe_skipped_total counter
probe_skipped_total{probe="others",reason="late"} 0
probe_skipped_total{probe="others",reason="overlap"} 0
`, "probe_skipped_total")
		runs := f.runs()
		pass(10 * time.Second)
		for _, target := range f.targets[runs:] {
			if target != "http://n9/" {
				t.Errorf("%s is probed after its end", target)
			}
		}
	})
}

// The schedule learns of new settings a moment after they are in force.
func TestAScheduleThatLagsBehindBringsNoVanishedProbeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		c := New("a", log.NewNopLogger())
		apply(t, c, f, shop)
		plan := c.schedule(nil, time.Now())
		apply(t, c, f, shop, "name: shop-nodes", "name: others")
		var open sync.WaitGroup
		c.start(t.Context(), newCrew(t.Context(), &open), plan, plan[0].at.Add(17*time.Second))
		open.Wait()
		own(t, c, `
# HELP probe_skipped_total Planned runs that did not take place, by reason.
# TYPE probe_skipped_total counter
probe_skipped_total{probe="others",reason="late"} 0
probe_skipped_total{probe="others",reason="overlap"} 0
`, "probe_skipped_total")
	})
}

func TestApply_KeepsTheSignalWhoseSettingsAreTheSame(t *testing.T) {
	const fault = "owner: team-shop, signals: {latency: {fault: {clear: 9}}}"
	for name, c := range map[string]struct {
		changes            []string
		availability, both bool // kept
	}{
		"label":    {[]string{"zone: za", "zone: zb"}, true, true},
		"owner":    {[]string{"team-shop", "team-other"}, true, true},
		"latency":  {[]string{"owner: team-shop", fault}, true, false},
		"cap":      {[]string{"owner: team-shop", "owner: team-shop, signals: {availability: {fault: {cap: 0.3}}}"}, false, false},
		"interval": {[]string{"interval: 5s", "interval: 6s"}, false, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := &fake{}
			col := inFault(t, f)
			state := col.table.Load().targets[0].state
			was := state.signals
			apply(t, col, f, shop, c.changes...)
			now := col.table.Load().targets[0].state
			if now != state {
				t.Errorf("%s: the counters are lost", name)
			}
			if got := now.signals[ofAvailability].series == was[ofAvailability].series; got != c.availability {
				t.Errorf("%s: availability kept: %v, want %v", name, got, c.availability)
			}
			if got := now.signals[ofLatency].series == was[ofLatency].series; name == "latency" && got || c.both && !got {
				t.Errorf("%s: latency kept: %v", name, got)
			}
			has := strings.Contains(lines(text(t, col), "ksigma_fault{", "availability"), "} 1\n")
			if has != c.availability {
				t.Errorf("%s: in fault after the reload: %v, want %v", name, has, c.availability)
			}
		})
	}
}

// Probers give labels like version, and so may targets from a reload on: no name
// may stand twice in a line, neither before the next run nor by one that is open.
func TestApply_ANewLabelDoesNotClashWithWhatWasProbedBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answer := func(context.Context, string) probe.Result {
			<-time.After(time.Second)
			r := good(time.Second)
			r.Samples = []probe.Sample{
				{Name: "probe_tls_version_info", Help: "TLS version", Labels: []probe.Label{{Name: "version", Value: "TLS 1.3"}}, Value: 1},
				{Name: "probe_http_ssl", Help: "SSL", Value: 1},
			}
			return r
		}
		f := &fake{answer: answer}
		c := begun(t, shop, f)
		want := func(when, tls string) {
			t.Helper()
			page := text(t, c)
			if got := lines(page, "probe_tls_version_info{"); !strings.HasSuffix(got, tls) || tls == "" && got != "" {
				t.Errorf("%s: got %q, want %q at its end", when, got, tls)
			}
			if lines(page, "probe_http_ssl{") == "" {
				t.Errorf("%s: the sample without labels is lost", when)
			}
		}
		pass(4 * time.Second)
		want("before", "zone=\"za\",version=\"TLS 1.3\"} 1\n")
		apply(t, c, f, shop, "zone: za", "version: v2")
		want("after the reload", "")
		pass(5 * time.Second)
		want("after the next run", "version=\"v2\",exported_version=\"TLS 1.3\"} 1\n")
		apply(t, c, f, shop, "zone: za", "zone: zb")
		pass(3 * time.Second) // the next run is open
		apply(t, c, f, shop, "zone: za", "version: v3")
		pass(time.Second)
		want("after a run that was open", "")
	})
}

// A restart begins with no verdict, which is no vote for health; the fault is
// back as soon as a fresh window allows, and never without its start.
func TestRestart_InAFaultIsBackWithinWhatTheRulesBridge(t *testing.T) {
	for offset := range 10 {
		synctest.Test(t, func(t *testing.T) {
			f := &fake{}
			before := inFault(t, f)
			began := value(text(t, before), "ksigma_fault_start", "availability")
			pass(time.Minute + time.Duration(offset)*500*time.Millisecond)
			f.set(dark(time.Now()))
			c := begun(t, shop, f)
			again := time.Now()
			if got := lines(text(t, c), "ksigma_fault"); got != "" {
				t.Errorf("a verdict before the first run: %q", got)
			}
			target := c.table.Load().targets[0]
			fault := target.rules[ofAvailability].fault
			fault.Cap = fault.Floor
			// What keep_firing_for reckons with, beside scrape and evaluation.
			limit := time.Duration(fault.Bad(target.interval))*target.interval + target.deadline
			for !target.state.shown.Load().verdicts[ofAvailability].Fault {
				if pass(100 * time.Millisecond); time.Since(again) > limit {
					t.Fatalf("offset %d: no fault %v after the restart", offset, limit)
				}
			}
			page := text(t, c)
			if got := value(page, "ksigma_fault_start", "availability"); got <= began || got != value(page, "probe_first_failure") {
				t.Errorf("got start %s, want one after that of %s before the restart", got, began)
			}
		})
	}
}

func TestApply_AChangedModuleBeginsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		c := inFault(t, f)
		modules := f.modules()
		m := modules["fake"]
		m.Version = "2"
		modules["fake"] = m
		if err := c.Apply(parse(t, shop), modules, proved, nil); err != nil {
			t.Fatal(err)
		}
		got := short(text(t, c))
		if lines(got, "ksigma_fault{") != "" || !strings.Contains(got, `probe_failures_total{COMMON,reason="refused"} 3`) {
			t.Errorf("want no verdict and the counters as they were, got:\n%s", lines(got, "COMMON"))
		}
	})
}

// A run that was begun under other rules must not be the first sample of the
// new ones.
func TestApply_AnOpenRunIsNotJudgedByNewRules(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{answer: hang}
		c := begun(t, shop, f)
		pass(2 * time.Second) // the first run is open
		apply(t, c, f, shop, "interval: 5s", "interval: 10s")
		pass(2 * time.Second)
		got := short(text(t, c))
		if lines(got, "ksigma_fault{") != "" || lines(got, "probe_attempts_total") != "probe_attempts_total{COMMON} 1\n" {
			t.Errorf("want the attempt counted and not judged, got:\n%s", lines(got, "COMMON"))
		}
	})
}

func TestApply_NewBucketsBeginAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		c := begun(t, shop, f)
		pass(10 * time.Second)
		apply(t, c, f, "duration_buckets: [0.02]\n"+shop)
		pass(5 * time.Second)
		want := `probe_run_duration_seconds_bucket{COMMON,le="0.02"} 1
probe_run_duration_seconds_bucket{COMMON,le="+Inf"} 1
`
		if got := lines(short(text(t, c)), "run_duration_seconds_bucket"); got != want {
			t.Errorf("got\n%swant\n%s", got, want)
		}
	})
}

func TestApply_ErrorLeavesPreviousStateIntact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		c := inFault(t, f)
		before := text(t, c)
		for _, x := range []struct {
			change  []string
			modules map[string]Module
			proofs  []Proof
			want    string
		}{
			{[]string{"observers: [a]", "observers: [b]"}, f.modules(), proved, `observer "a" is not listed in observers: b`},
			{nil, nil, proved, `probe "shop-nodes": there is no module "fake"`},
			{nil, map[string]Module{"fake": {}}, proved, `probe "shop-nodes": there is no module "fake"`},
			{nil, f.modules(), nil, "probe \"shop-nodes\": availability every 5s: floor 0.05 and cap 0: want 0 <= floor <= cap < 1\nvalues every 5s: floor 0.55 and cap 0: want 0 <= floor <= cap < 1"},
			{[]string{"service: shop", "service: gone"}, f.modules(), proved, `probe "shop-nodes": there is no service "gone"`},
		} {
			s, _ := load(strings.NewReplacer(x.change...).Replace(shop))
			if err := c.Apply(s, x.modules, x.proofs, nil); err == nil || err.Error() != x.want {
				t.Errorf("got error %v, want %s", err, x.want)
			}
		}
		if got := text(t, c); got != before {
			t.Errorf("the page has changed:\n%s", got)
		}
		runs := f.runs()
		pass(5 * time.Second)
		if f.runs() != runs+1 {
			t.Errorf("the schedule has stopped")
		}
	})
}

// A service may name those who watch it; the others leave its probes alone but
// tell what they know of it.
func TestApply_ProbesOnlyWhatTheObserverIsExpectedToWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		c := begun(t, strings.NewReplacer("observers: [a]", "observers: [a, b, c]", "owner: team-shop", "owner: team-shop, observers: [b, c]").Replace(shop), f)
		pass(time.Minute)
		got := text(t, c)
		if f.runs() != 0 || strings.Contains(got, "shop-nodes") {
			t.Errorf("got %d runs, want none:\n%s", f.runs(), got)
		}
		if want := "onefiveten_expected_observers{service=\"shop\"} 2\n"; !strings.Contains(got, want) {
			t.Errorf("got %q, want %q", lines(got, "expected"), want)
		}
	})
}

// Scrapes, runs and reloads at once: each target is seen whole. Run with -race.
func TestPage_NeverTears(t *testing.T) {
	f := &fake{answer: func(_ context.Context, target string) probe.Result {
		if strings.HasSuffix(target, "7") {
			return bad(probe.Reset)
		}
		return good(time.Millisecond)
	}}
	c := New("a", log.NewNopLogger())
	var list []string
	for i := range 40 {
		list = append(list, fmt.Sprintf("{url: t%d}", i))
	}
	settings := parse(t, strings.Replace(shop, `{url: "http://n1/", labels: {node: n1, zone: za}}`, strings.Join(list, ", "), 1))
	if err := c.Apply(settings, f.modules(), proved, nil); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for _, target := range c.table.Load().targets {
		all.Go(func() {
			for range 100 {
				target.run(t.Context(), c, time.Now(), time.Now().Add(time.Hour))
			}
		})
	}
	all.Go(func() {
		for range 20 {
			if err := c.Apply(settings, f.modules(), proved, nil); err != nil {
				t.Error(err)
			}
		}
	})
	for range 30 {
		whole(t, scrape(t, c, "").Body.String())
	}
	all.Wait()
	whole(t, text(t, c))
}

// whole checks what must hold of every target in every scrape.
func whole(t *testing.T, page string) {
	t.Helper()
	for i := range 10 {
		at := fmt.Sprintf(`instance="t%d",`, i)
		attempts, count := value(page, "probe_attempts_total{", at), value(page, "run_duration_seconds_count{", at)
		failed := value(page, "probe_failures_total{", at, `reason="reset"`)
		if attempts != count || i%10 == 7 && failed != attempts {
			t.Fatalf("t%d: got %s attempts, %s counted, %s failed", i, attempts, count, failed)
		}
		if fault, start := value(page, "ksigma_fault{", at), value(page, "ksigma_fault_start", at); fault == "1" && start == "0" {
			t.Fatalf("t%d: a fault without a start", i)
		}
	}
}

func value(page string, words ...string) string {
	_, v, _ := strings.Cut(lines(page, words...), "} ")
	return strings.TrimSuffix(v, "\n")
}
