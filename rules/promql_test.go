package rules

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/onefiveten/onefiveten/sigma"
)

// scrapedShop has both signals of a probe, and everything every 15s.
func scrapedShop(dimensions ...string) Spec {
	s := scraping(shop(timed{5, 2, 15, 5, 0}))
	v := &s.Services[0]
	v.Dimensions = append([]string{"node"}, dimensions...)
	v.Signals = append(v.Signals[:1:1], Signal{
		Name: latency, Mode: ticket, Detect: 3 * time.Minute, Fault: sigma.Fault{Window: 3 * time.Minute, Floor: .55, MinAnomalies: 3, K: 3, Clear: 3},
		Baseline: sigma.Baseline{Window: time.Hour, K: 3, MinSamples: 30, Direction: sigma.Upper},
	})
	return s
}

// checked are the mistakes of a spec but for those of bounds.
func checked(s Spec) (got []string) {
	s.Check(func(path, text string) { got = append(got, path+": "+text) })
	return got
}

func TestPromQL_ASetIsOneOfWindows(t *testing.T) {
	s := scrapedShop()
	more := scrapedShop().Services[0]
	more.Name = "pay"
	more.Signals = slices.Clone(more.Signals)
	more.Signals[0].Fault.Window = 2 * time.Minute
	s.Services = append(s.Services, more)
	var got []string
	for name := range s.groups() {
		got = append(got, name)
	}
	slices.Sort(got)
	want := []string{
		"rules/onefiveten-page-node-availability-1m.yml", "rules/onefiveten-page-node-availability-2m.yml",
		"rules/onefiveten-page-node-latency-3m-1h.yml", "rules/onefiveten-watchers.yml",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got := s.RuleSet("pay", availability); got != "page-node-availability-2m" {
		t.Errorf("got %q", got)
	}
	s.Backend = Exporter
	if got := s.RuleSet("pay", availability); got != "" {
		t.Errorf("under backend exporter: got %q, want none", got)
	}
}

// What is not read is not needed: the page has none of it under this backend.
func TestPromQL_ReadsNoGaugeOfTheExportersJudgement(t *testing.T) {
	for name, groups := range scrapedShop("zone", "version").groups() {
		for _, g := range groups {
			if len(g.rules) > mostRules {
				t.Errorf("%s: %d rules, want %d at most", g.name, len(g.rules), mostRules)
			}
			for _, r := range g.rules {
				if strings.Contains(strings.ReplaceAll(r.expr, verdicts, ""), "ksigma_") || strings.ContainsAny(r.expr, "<>") && strings.Contains(r.expr, "<set>") {
					t.Errorf("%s: %s%s: %s", name, r.record, r.alert, r.expr)
				}
			}
		}
	}
}

func TestPromQL_RangesHoldTheirSamplesAndEndBetweenThem(t *testing.T) {
	for _, row := range []struct {
		n    int
		tick time.Duration
		want string
	}{
		{13, 5 * time.Second, "1m4s500ms"}, {61, time.Second, "1m500ms"}, {240, 15 * time.Second, "59m59s500ms"},
		{9, 1500 * time.Millisecond, "13s250ms"}, {5, 1200 * time.Millisecond, "5s900ms"},
	} {
		if got := holding(row.n, row.tick); got != row.want {
			t.Errorf("%d every %s: got %s, want %s", row.n, row.tick, got, row.want)
		}
	}
}

func TestPromQL_RefusesWhatItsRulesCannotJudge(t *testing.T) {
	if got := checked(scrapedShop()); got != nil {
		t.Fatalf("got %q", got)
	}
	for want, change := range map[string]func(s *Spec){
		"prometheus.evaluation.interval: got 5s, want the scrape interval of 15s: backend promql takes one sample of a latency at each evaluation": func(s *Spec) { s.Prometheus.Evaluation.Interval /= 3 },
		"services[0].signals.latency.mode: got page, want ticket: under backend promql a latency has no start that clocks could run from":          func(s *Spec) { s.Services[0].Signals[1].Mode = page },
		"signals[0]: backend promql judges probes alone: leave the entry out, or set backend: exporter": func(s *Spec) {
			s.Services[0].Signals = append(s.Services[0].Signals, Signal{
				Name: "queue", Mode: ticket, Detect: 10 * time.Minute, Fault: s.Services[0].Signals[1].Fault,
				Query: &Query{Path: "signals[0]", Expr: "up", Interval: 15 * time.Second, Timeout: time.Second, Source: 15 * time.Second, SourceTimeout: time.Second},
			})
		},
		"services[0].signals.latency.baseline: its window of 30m holds 120 samples, and with k 3 and m 8 a step hides itself before it is a fault: backend promql keeps nothing out of it: want a window of 36m or more, a lower k or a lower cap": func(s *Spec) {
			s.Services[0].Signals[1].Baseline.Window /= 2
		},
	} {
		s := scrapedShop()
		change(&s)
		if diff := cmp.Diff([]string{want}, checked(s)); diff != "" {
			t.Error(diff)
		}
		s.Backend = Exporter
		if got := fmt.Sprint(checked(s)); strings.Contains(got, "promql") {
			t.Errorf("under backend exporter: %s", got)
		}
	}
}

// Of n samples j that are alike, however high, lie sqrt((n-j)/j) population deviations
// above the mean: the least window leaves the last of m bad ones beyond k of them, with
// the others in the baseline, and one of half of it need not.
func TestPromQL_TheLeastWindowShowsTheLastOfTheBadSamples(t *testing.T) {
	seen := func(n, bad int, k float64) bool {
		var past sigma.Moments
		for i := range n {
			v := 0.
			if i >= n-bad+1 {
				v = 1
			}
			past.Add(v)
		}
		return 1 > past.Mean+k*past.StdDev()
	}
	for _, k := range []float64{1, 2, 3, 4} {
		for m := 2; m < 120; m++ {
			least := int(young * k * k * float64(m))
			if !seen(least, m, k) {
				t.Errorf("k %v, m %d: not seen in a window of %d", k, m, least)
			}
		}
	}
	if seen(8*9/2, 8, 3) {
		t.Error("8 bad ones are seen in 36 samples: the check asks for nothing")
	}
}
