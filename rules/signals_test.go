package rules

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/onefiveten/onefiveten/rules/ruletest"
	"github.com/onefiveten/onefiveten/sigma"
)

// asked is a signal of a query with the shipped defaults; times in seconds.
func asked(mode, expr string, interval, timeout, source float64) Signal {
	return Signal{
		Name: "queue", Mode: mode, Detect: 3 * time.Minute,
		Fault: sigma.Fault{Window: 3 * time.Minute, Floor: .55, MinAnomalies: 3, K: 3, Clear: 3},
		Query: &Query{Path: "signals[0]", Expr: expr, Interval: dur(interval), Timeout: dur(timeout), Source: dur(source), SourceTimeout: dur(min(source, 1))},
	}
}

// queued is a service with the signal beside its availability.
func queued(t timed, g Signal) Spec {
	s := shop(t)
	s.Services[0].Signals = append(s.Services[0].Signals, g)
	return s
}

// TestProve_AQueryIsTheSumOfItsTerms is the row "exporter, signal" of DETECTION 6.2.
func TestProve_AQueryIsTheSumOfItsTerms(t *testing.T) {
	s := queued(timed{5, 2, 5, 1, .4}, asked(ticket, "avg_over_time(queue_length[10s] offset 2s)", 15, 2, 8))
	s.Prometheus.Evaluation.QueryOffset = sec(.3)
	s.Alertmanager.Peers, s.Alertmanager.PeerTimeout, s.Alertmanager.Webhook.Delay = 3, sec(.6), sec(.7)
	b := Prove(s)[1]
	var got []string
	for _, term := range b.Terms {
		got = append(got, term.Name+" "+span(term.Length))
	}
	want := "S_src 8s, d_src 1s, R 12s, P_q 15s, d_q 2s, (m-1)·P_q 105s, S 5s, d_s 1s, E 5s, d_e 1s, Q 0.3s, G 0.4s, p·PT 1.2s, t_wh 0.7s"
	if got := strings.Join(got, ", "); got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
	if b.Total != dur(157.6) || b.Samples != 13 || b.Bad != 8 || b.Cap != .61-.01 || b.Probe != "" || b.Refusal != "" {
		t.Errorf("got T %s, n %d, m %d, cap %v, probe %q, refusal %q, want 157.6s, 13, 8, .6", b.Total, b.Samples, b.Bad, b.Cap, b.Probe, b.Refusal)
	}
}

// The defaults as DETECTION 6.2 tells of them.
func TestProve_TheDefaultsOfAQueryReadTwoMinutesBack(t *testing.T) {
	ask := func(expr string) Signal {
		g := asked(ticket, expr, 15, 2, 15)
		g.Detect = 5 * time.Minute
		return g
	}
	for expr, want := range map[string]string{"x": "2m30s 0.6 ", "rate(x[2m])": "4m30s 0.6 ", "rate(x[3m])": "5m30s 0.55 refused: targets.detect of 330s or more"} {
		b := Prove(queued(timed{5, 2, 5, 1, 0}, ask(expr)))[1]
		got := fmt.Sprint(b.Total, " ", b.Cap, " ")
		if _, hint, refused := strings.Cut(b.Refusal, "; or give the signal a target of its own: "); refused {
			got += "refused: " + hint
		}
		if got != want {
			t.Errorf("%s: got %s, want %s", expr, got, want)
		}
	}
	// Where scrapes are as slow as Prometheus lets them be by default.
	slow := ask("rate(x[1m])")
	slow.Query.SourceTimeout = dur(10)
	if b := Prove(queued(timed{15, 2, 15, 10, 0}, slow))[1]; b.Total != dur(248) || b.Cap != .6 || b.Bad != 8 || b.Refusal != "" {
		t.Errorf("of scrapes that may take 10s: got %s, %v, %d %s, want 248s, .6, 8", b.Total, b.Cap, b.Bad, b.Refusal)
	}
}

// A service with several probes still has one way for each entry of signals.
func TestProve_AQueryHasOneWayWhateverTheProbes(t *testing.T) {
	s := queued(timed{5, 2, 5, 1, 0}, asked(ticket, "queue_length", 15, 2, 15))
	before := Prove(s)[1]
	s.Services[0].Probes = append(s.Services[0].Probes, Probe{Name: "slow", Role: roleEntry, Interval: dur(20), Timeout: dur(5)})
	if after := Prove(s)[1]; after.Total != before.Total || after.Cap != before.Cap {
		t.Errorf("got %s with another probe, want %s", after.Total, before.Total)
	}
	s.Services[0].Probes = nil
	if after := Prove(s)[1]; after.Total != before.Total {
		t.Errorf("got %s %s without a probe, want %s", after.Total, after.Refusal, before.Total)
	}
}

func TestProve_RefusesQueriesAndNamesTheirSettings(t *testing.T) {
	change := func(g Signal, f func(*Signal)) Signal {
		f(&g)
		return g
	}
	const at = "signals[0] takes "
	for name, c := range map[string]struct {
		signal Signal
		want   string
	}{
		"range": {
			asked(ticket, "rate(errors_total[5m])", 15, 2, 15),
			at + "450s from fault to webhook at best, over the target of 180s: shorten the range in signals[0].expr from 300s to 30s or less; or give the signal a target of its own: targets.detect of 450s or more",
		},
		"interval": {
			asked(ticket, "queue_length", 35, 2, 35),
			at + "190s from fault to webhook at best, over the target of 180s: shorten signals[0].interval and scrape_interval from 35s to 33s or less; or give the signal a target of its own: targets.detect of 190s or more",
		},
		"scrape_timeout": {
			change(asked(ticket, "queue_length", 15, 2, 15), func(g *Signal) { g.Query.SourceTimeout, g.Detect = dur(200), dur(170) }),
			at + "349s from fault to webhook at best, over the target of 170s: shorten signals[0].scrape_timeout from 200s to 21s or less; or give the signal a target of its own: targets.detect of 349s or more",
		},
		"page like any other": {
			change(asked(page, "queue_length", 15, 2, 15), func(g *Signal) { g.Detect = 0 }),
			at + "150s from fault to webhook at best, over the target of 60s: lower fault.floor, now 0.55; that alone is not enough; or give the signal a target of its own: targets.detect of 150s or more",
		},
		"cap by hand": {
			change(asked(ticket, "queue_length", 15, 2, 15), func(g *Signal) { g.Fault.Cap = .9 }),
			"cap 0.9 lets signals[0] take 210s from fault to webhook, over the target of 180s: it may be 0.76 at most; leave it out to have it solved",
		},
		"never": {
			asked(ticket, "queue_length", 90, 2, 15),
			"signals[0] can never fire: a fault_window of 180s holds 2 whole intervals of 90s, and floor 0.55 with min_anomalies 3 needs more bad samples in a row: shorten signals[0].interval and scrape_interval from 90s to 50s or less",
		},
	} {
		if got := Prove(queued(timed{5, 2, 5, 1, 0}, c.signal))[1].Refusal; got != c.want && (!strings.HasPrefix(c.want, ";") || !strings.HasSuffix(got, c.want)) {
			t.Errorf("%s:\n got %s\nwant %s", name, got, c.want)
		}
	}
}

// The hint of a refusal leads out of it: with the target that it names the bound is
// kept, and with a second less it is not.
func TestProve_TheTargetThatARefusalNamesIsTheLeast(t *testing.T) {
	s := queued(timed{5, 2, 5, 1, 0}, asked(ticket, "rate(errors_total[5m])", 15, 2, 15))
	g := &s.Services[0].Signals[1]
	for _, c := range []struct {
		seconds float64
		kept    bool
	}{{450, true}, {449, false}} {
		g.Detect = dur(c.seconds)
		if b := Prove(s)[1]; (b.Refusal == "") != c.kept {
			t.Errorf("target %vs: got %s, refusal %q", c.seconds, b.Total, b.Refusal)
		}
	}
}

// A target is told in whole seconds, and never less than what is needed.
func TestProve_ARefusalRoundsTheTargetUp(t *testing.T) {
	s := queued(timed{5, 2, 5, 1.25, 0}, asked(ticket, "rate(errors_total[5m])", 15, 2, 15))
	g := &s.Services[0].Signals[1]
	for _, c := range []struct {
		seconds float64
		kept    bool
	}{{451, true}, {450, false}} {
		g.Detect = dur(c.seconds)
		b := Prove(s)[1]
		if (b.Refusal == "") != c.kept || !c.kept && !strings.HasSuffix(b.Refusal, "targets.detect of 451s or more") {
			t.Errorf("target %vs: got %s, refusal %q, want 451s to be enough and said so", c.seconds, b.Total, b.Refusal)
		}
	}
}

// Whatever the timing, a bound is the sum of its terms; one that is not refused
// keeps its target, and a solved cap is the largest that does.
func TestProve_HoldsForRandomQueries(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 11))
	pick := func(of ...float64) float64 { return of[random.IntN(len(of))] }
	kept, refused := 0, 0
	for range 3000 {
		p := pick(-1, 0, .5, 1, 5, 15, 30, 60, 600)
		expr := []string{"x", "rate(x[1m])", "x offset 2h", "x offset 200y", "(", "x @ 5", ""}[random.IntN(7)]
		g := asked([]string{page, ticket, ""}[random.IntN(3)], expr, p, pick(0, 1, 2, 30), pick(0, 1, p))
		g.Detect = dur(pick(0, 60, 180, 900, 7200))
		g.Fault.Window, g.Fault.MinAnomalies = dur(pick(0, 30, 60, 180, 3600)), random.IntN(5)
		g.Fault.Cap = pick(0, 0, .5, .6, .9)
		s := queued(timed{pick(1, 5, 15), 1, pick(1, 5, 15), pick(0, 1), pick(0, 5)}, g)
		wrong := mistakes(s.Check)
		if !s.timed() {
			continue
		}
		b := Prove(s)[1]
		var sum time.Duration
		for _, term := range b.Terms {
			sum += term.Length
		}
		if sum != b.Total {
			t.Fatalf("%+v: got %s, its terms are %s", g, b.Total, sum)
		}
		if b.Refusal != "" {
			refused++
			if len(wrong) == 0 {
				t.Fatalf("%+v is refused, and no mistake: %s", g, b.Refusal)
			}
			continue
		}
		kept++
		if b.Total > b.Target || b.Bad == 0 {
			t.Fatalf("%+v: takes %s with m %d, over %s", g, b.Total, b.Bad, b.Target)
		}
		s.Services[0].Signals[1].Fault.Cap = b.Cap + .01
		if next := Prove(s)[1]; g.Fault.Cap == 0 && b.Cap < .6 && next.Bad > 0 && next.Total <= b.Target {
			t.Fatalf("%+v: cap %v was solved, but %v takes %s", g, b.Cap, b.Cap+.01, next.Total)
		}
	}
	if kept < 100 || refused < 100 {
		t.Errorf("%d were kept and %d refused, want 100 of each", kept, refused)
	}
}

// Whatever is not refused has tests, and none of them is at odds with itself.
func TestGenerate_WritesTestsForEveryQuery(t *testing.T) {
	random := rand.New(rand.NewPCG(6, 12))
	pick := func(of ...float64) float64 { return of[random.IntN(len(of))] }
	made := 0
	for range 30 {
		p := pick(1, 2, 5, 7, 10, 15, 20, 30)
		g := asked([]string{page, ticket}[random.IntN(2)], []string{"x", "rate(x[30s])", "x offset 3s"}[random.IntN(3)], p, pick(.5, 1, 2), pick(1, p, p/2))
		g.Detect = dur(pick(180, 240))
		s := queued(timed{5, 2, pick(1, 3, 5, 10), .5, 0}, g)
		s.Prometheus.Evaluation.Interval = sec(pick(1, 3, 5, 10))
		s.Observers = []string{"a", "b"}[:1+random.IntN(2)]
		if len(mistakes(s.Check)) > 0 {
			continue
		}
		made++
		if _, _, err := Generate(s); err != nil {
			t.Errorf("%+v, %+v: %v", *g.Query, s.Prometheus, err)
		}
	}
	if made < 10 {
		t.Errorf("only %d of 30 specs were accepted", made)
	}
}

func TestTable_ShowsTheTermsOfQueries(t *testing.T) {
	s := queued(timed{5, 2, 5, 1, 0}, asked(ticket, "rate(x[30s])", 15, 2, 15))
	s.Services[0].Signals[1].Name = "a\tb"
	want := `SERVICE  SIGNAL        MODE    PROBE       TARGET  BOUND  N   M  CAP  LOSS FOUND  TERMS
shop     availability  page    shop-nodes  60s     49s    13  7  0.5  91 %        P 5s + d_p 2s + (m-1)·P 30s + S 5s + d_s 1s + E 5s + d_e 1s
shop     "a\tb"        ticket  signals[0]  180s    180s   13  8  0.6  100 %       S_src 15s + d_src 1s + R 30s + P_q 15s + d_q 2s + (m-1)·P_q 105s + S 5s + d_s 1s + E 5s + d_e 1s

`
	got := Table(Prove(s))
	if got, _, _ := strings.Cut(got, "BOUND    "); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	for _, term := range Prove(s)[1].Terms {
		if _, legend, _ := strings.Cut(got, "\nTERMS "); !strings.Contains(legend, strings.TrimPrefix(term.Name, "(m-1)·")+" ") && term.Name != "Q" {
			t.Errorf("the legend does not tell what %s is", term.Name)
		}
	}
}

func TestSpec_NamesTheMistakesOfQueries(t *testing.T) {
	s := queued(timed{5, 2, 5, 1, 0}, asked(ticket, "sum(", 1, 2, 1))
	wantMistakes(t, s.Check,
		"signals[0].expr: reading the expression: 1:5: parse error: unclosed left parenthesis",
		"signals[0].interval: got 1s, want prometheus.timeout, 2s, or more: a query that takes longer makes the next one late",
	)
	g := asked(ticket, "x", 15, 2, 0)
	g.Name = availability
	s = queued(timed{5, 2, 5, 1, 0}, g)
	s.Services[0].Signals = s.Services[0].Signals[1:]
	wantMistakes(t, s.Check,
		"services[0].signals.availability: probes give \"availability\", want another name for what signals[0] gives",
		"services[0].signals: no signal of mode page is found within the service's target of 60s, want at least one",
		"signals[0].interval: got interval 15s, prometheus.timeout 2s, scrape_interval 0s with a timeout of 0s, want more than 0s",
	)
}

// An alert of a query outlives the restart of its exporter, too: the query is told
// the past, and goes on with its first answer.
func TestKeepFiring_BridgesARestartForQueriesThatPage(t *testing.T) {
	s := queued(timed{5, 2, 5, 1, 0}, asked(page, "x", 15, 2, 15))
	if got, want := s.keep(page), dur(35); got != want { // 5 + 15 + 2 + 5 + 1 + 5 = 33, in steps of 5
		t.Errorf("got %s, want %s", got, want)
	}
	s.Services[0].Signals[1].Mode = ticket
	if got, want := s.keep(page), dur(30); got != want {
		t.Errorf("a ticket: got %s, want %s", got, want)
	}
}

// Observers ask at different times: they disagree longer than their probes do, and
// that is no reason to wait with ObserverFault.
func TestObserversMayDisagreeAsLongAsTheirQueriesAreApart(t *testing.T) {
	s := queued(timed{5, 2, 5, 1, 0}, asked(ticket, "x", 30, 2, 15))
	s.Services[0].Signals[1].Detect = 5 * time.Minute
	// 4 or 5 of 7: (5 - 4 + 1)·30 + 2 + 5 + 1 = 68, in steps of 5.
	if got, want := fmt.Sprint(s.differ(), s.disagree()), "40s 1m10s"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	wait := map[string]string{}
	for _, w := range read(t, generate(t, s)) {
		for _, r := range w.Groups[0].Rules {
			wait[r.Alert] = r.For
		}
	}
	if wait["ObserverFault"] != "40s" || wait["ObserverDisagrees"] != "1m10s" {
		t.Errorf("ObserverFault waits for %s, ObserverDisagrees for %s", wait["ObserverFault"], wait["ObserverDisagrees"])
	}
}

func TestSignalStale_WaitsForTheSlowestQuery(t *testing.T) {
	s := queued(timed{5, 2, 5, 1, 0}, asked(ticket, "x", 15, 2, 15))
	if got, want := s.unanswered(), dur(35); got != want { // 2·15 + 2, in steps of 5
		t.Errorf("got %s, want %s", got, want)
	}
	var waits []string
	forEachWritten(t, generate(t, s), func(_ string, r writtenRule, _ parser.Expr) {
		if r.Alert == "SignalStale" {
			waits = append(waits, r.Labels["reason"]+" "+r.For)
		}
	})
	slices.Sort(waits)
	if want := []string{"never_run 35s", "not_run ", "not_scraped 15s"}; !slices.Equal(waits, want) {
		t.Errorf("got %q, want %q", waits, want)
	}
}

func TestTested_HoldsTheTimingOfQueries(t *testing.T) {
	s := queued(timed{5, 2, 5, 1, 0}, asked(ticket, "rate(x[30s])", 15, 2, 10))
	b := Prove(s)[1]
	want := ruletest.Proof{
		Service: "shop", Signal: "queue", Interval: dur(15), Timeout: dur(2), Fault: s.Services[0].Signals[1].Fault, Bad: b.Bad, Bound: b.Total,
		Query: &ruletest.Query{Source: dur(10), SourceTimeout: dur(1), Reach: dur(30)},
	}
	want.Fault.Cap = b.Cap
	if diff := cmp.Diff(want, s.tested([]Bound{b}).Proofs[0]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A service of queries alone is a service as any other: its rules, its tests and its
// target are the same, and nothing is said of what nobody probes.
func TestGenerate_NeedsNoProbe(t *testing.T) {
	for _, observers := range [][]string{{"a"}, {"a", "b"}, {"a", "b", "c"}} {
		s := queued(timed{5, 2, 5, 1, 0}, asked(page, "x", 10, 2, 5))
		s.Observers, s.Services[0].Observers = observers, nil
		s.Services[0].Probes, s.Services[0].Signals = nil, s.Services[0].Signals[1:]
		wantMistakes(t, s.Check, "services[0].signals: no signal of mode page is found within the service's target of 60s, want at least one")
		s.Services[0].Detect = 3 * time.Minute
		wantMistakes(t, s.Check)
		files, bounds, err := Generate(s)
		if err != nil {
			t.Fatal(err)
		}
		if len(bounds) != 1 || bounds[0].Signal != "queue" {
			t.Errorf("got %v, want the bound of the query alone", bounds)
		}
		tests := string(files[TestsFile])
		if !strings.Contains(tests, "FaultDetected") || strings.Contains(tests, availability) || strings.Contains(tests, "probe_last_run") {
			t.Errorf("the tests are\n%s", tests)
		}
	}
}
