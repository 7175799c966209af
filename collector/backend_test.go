package collector

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/onefiveten/onefiveten/probe"
)

const scrapedShop = "backend: promql\n" + shop

// settingsShown are the series by which rules in Prometheus judge.
const settingsShown = `onefiveten_baseline_floor_seconds{service="shop",signal="latency"} 0
onefiveten_baseline_k{service="shop",signal="latency",bound="upper"} 3
onefiveten_baseline_min_samples{service="shop",signal="latency"} 30
onefiveten_fault_cap_ratio{service="shop",signal="availability"} 0.25
onefiveten_fault_cap_ratio{service="shop",signal="latency"} 0.6
onefiveten_fault_min_anomalies{service="shop",signal="availability"} 2
onefiveten_fault_min_anomalies{service="shop",signal="latency"} 3
`

// settingLines are those of a page, sorted.
func settingLines(page string) string {
	var all []string
	for _, name := range []string{FaultCap, FaultLeast, BaselineLeast, BaselineFloor, BaselineK} {
		for line := range strings.Lines(lines(page, name)) {
			all = append(all, line)
		}
	}
	slices.Sort(all)
	return strings.Join(all, "")
}

func TestBackend_RulesThatJudgeFindWhatTheyJudgeBy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := begun(t, scrapedShop, &fake{})
		pass(5 * time.Second)
		page := text(t, c)
		if got := lines(page, "ksigma_"); got != "" {
			t.Errorf("something is judged here, too:\n%s", got)
		}
		if diff := cmp.Diff(settingsShown, settingLines(page)); diff != "" {
			t.Error(diff)
		}
		if got := lines(short(page), "probe_success"); got != "probe_success{COMMON} 1\n" {
			t.Errorf("got %q", got)
		}
	})
}

func TestBackend_ADirectionIsTheBoundsThatThereAre(t *testing.T) {
	for direction, want := range map[string]string{
		"upper": `bound="upper"} 4`, "lower": `bound="lower"} 4`, "both": `bound="upper"} 4,bound="lower"} 4`,
	} {
		synctest.Test(t, func(t *testing.T) {
			c := begun(t, fmt.Sprintf("baselines: {default: {k: 4, direction: %s}}", direction)+"\n"+scrapedShop, &fake{})
			var got []string
			for line := range strings.Lines(lines(text(t, c), BaselineK)) {
				got = append(got, line[strings.Index(line, "bound="):len(line)-1])
			}
			if strings.Join(got, ",") != want {
				t.Errorf("%s: got %q, want %q", direction, got, want)
			}
		})
	}
}

// The start of a fault is that of DETECTION 4.6: single successes do not end it.
func TestBackend_AnEpisodeEndsWithThreeSuccesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		c := begun(t, scrapedShop, f)
		pass(5 * time.Second)
		first := func() float64 { return gaugeOf(t, text(t, c), "probe_first_failure_timestamp_seconds{") }
		f.set(refused)
		pass(5 * time.Second)
		began := first()
		if got := time.Since(time.UnixMilli(int64(began * 1000))); began == 0 || got > 5*time.Second {
			t.Fatalf("got %v, %s ago", began, got)
		}
		well := func(context.Context, string) probe.Result { return good(time.Millisecond) }
		for i, want := range []float64{began, began, began, began, began, 0} {
			f.set(well)
			if i == 2 { // two successes are not three in a row
				f.set(refused)
			}
			pass(5 * time.Second)
			if got := first(); got != want {
				t.Errorf("run %d: got %v, want %v", i, got, want)
			}
		}
	})
}

func TestBackend_AReloadLeadsToTheOtherAndBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		c := inFault(t, f)
		apply(t, c, f, scrapedShop)
		pass(5 * time.Second)
		page := text(t, c)
		if got := lines(page, "ksigma_"); got != "" {
			t.Errorf("still judged:\n%s", got)
		}
		if got := c.table.Load().targets[0].state.signals; got[ofAvailability].series != nil || got[ofLatency].series != nil {
			t.Error("the series are kept")
		}
		if gaugeOf(t, page, "probe_first_failure_timestamp_seconds{") == 0 {
			t.Error("the start of the fault is forgotten")
		}
		apply(t, c, f, shop)
		pass(15 * time.Second)
		page = text(t, c)
		if got := lines(short(page), "ksigma_fault{", "availability"); got != faultOn || settingLines(page) != "" {
			t.Errorf("back under the exporter: got %q and %q, want a fault, and no settings of rules", got, settingLines(page))
		}
	})
}

// meaningless has every key that the rules cannot follow, and one of each that
// nobody need leave out.
const meaningless = `backend: promql
expose: full
baselines: {default: {window: 30m, k: 4, floor: 0.1, min_samples: 20, direction: both, hold: 10m, season: none, timezone: UTC}, other: {hold: 7m}}
signals: [{name: queue, service: shop, expr: up}]
services:
- name: shop
  owner: team-shop
  signals:
    availability: {mode: ticket, fault: {fault_window: 2m, cap: .3, min_anomalies: 3, floor: .1, k_e: 2, clear: 4}}
    latency: {mode: page, score: true, expose: full, fault: {cap: .4}}
probes: [{name: p, service: shop, module: fake, targets: [h]}]
`

// backendMistakes are those of a text, with what stands in it told by the text.
func backendMistakes(t *testing.T, backend, text string, absent ...string) (got []string) {
	t.Helper()
	s := parse(t, text)
	s.Backend = backend
	s.CheckBackend(
		func(path string) bool {
			return !slices.Contains(absent, path) && strings.Contains(text, path[strings.LastIndex(path, ".")+1:]+":")
		},
		func(path, text string) { got = append(got, path) })
	return got
}

func TestBackend_KeysWithoutAMeaningAreMistakesAllAtOnce(t *testing.T) {
	want := []string{
		"expose", "baselines.default.hold", "baselines.default.season", "baselines.default.timezone", "baselines.other.hold", "signals[0]",
		"services[0].signals.availability.fault.floor", "services[0].signals.availability.fault.k_e", "services[0].signals.availability.fault.clear",
		"services[0].signals.latency.score", "services[0].signals.latency.expose", "services[0].signals.latency.mode",
	}
	absent := []string{"baselines.other.season", "baselines.other.timezone", "services[0].signals.availability.score"}
	for _, key := range []string{"floor", "k_e", "clear"} {
		absent = append(absent, "services[0].signals.latency.fault."+key)
	}
	if diff := cmp.Diff(want, backendMistakes(t, promql, meaningless, absent...)); diff != "" {
		t.Error(diff)
	}
	if got := backendMistakes(t, exporter, meaningless); got != nil {
		t.Errorf("under backend exporter: got %q", got)
	}
	if got := backendMistakes(t, promql, scrapedShop); got != nil {
		t.Errorf("defaults that nobody wrote: got %q", got)
	}
}

// A cap may lie below the least one that a proof would choose, and a window may be
// too short for the default hold: neither has a meaning there.
func TestBackend_DefaultsThatHaveNoMeaningAreNoMistakes(t *testing.T) {
	text := "baselines: {default: {window: 20m}}\n" + strings.Replace(scrapedShop, "owner: team-shop", "owner: x, signals: {latency: {fault: {cap: 0.2}}}", 1)
	if got := mistakes(text); got != "" {
		t.Errorf("got %s", got)
	}
	if got := mistakes(strings.TrimPrefix(strings.Replace(text, "backend: promql\n", "", 1), "\n")); !strings.Contains(got, "hold") || !strings.Contains(got, "cap") {
		t.Errorf("under backend exporter: got %q, want a mistake of the hold and one of the cap", got)
	}
}

func TestBackend_AWindowHoldsWhatScrapesFind(t *testing.T) {
	got := mistakes(strings.Replace(scrapedShop, "owner: team-shop", "owner: x, signals: {availability: {fault: {fault_window: 10s}}}", 1))
	if want := "probe.yml:5: services[0].signals.availability.fault.fault_window: got 10s, want 1 to 3600 times the interval of 15s"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestBackend_RefusesALatencyThatIsAPhase(t *testing.T) {
	modules := map[string]Module{"fake": {Timeout: 2 * time.Second, Latency: PhaseSeries{"probe_icmp_duration_seconds", "rtt"}}}
	for text, want := range map[string]string{
		shop:        "",
		scrapedShop: "probes[0].module: its latency is a phase of it, and backend promql judges probe_duration_seconds, pauses included: send one packet, or set backend: exporter",
		strings.Replace(scrapedShop, "  service: shop\n", "", 1): "",
	} {
		got := ""
		parse(t, text).CheckModules(modules, func(path, text string) { got += path + ": " + text })
		if got != want {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
}

// A target that is judged elsewhere holds less: BenchmarkMemoryPerTarget tells how much.
func BenchmarkMemoryPerScrapedTarget(b *testing.B) {
	const n = 2000
	for b.Loop() {
		b.ReportMetric(held(func() any { return manyUnder(b, n, promql) })/n, "B/target")
		b.ReportMetric(held(func() any { return manyUnder(b, n, exporter) })/n, "B/judged")
	}
}
