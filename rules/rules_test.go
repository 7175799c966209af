package rules

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	promlabels "github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/onefiveten/onefiveten/collector"
	"github.com/onefiveten/onefiveten/rules/ruletest"
	"github.com/onefiveten/onefiveten/sigma"
)

// bare takes the parentheses off an expression.
func bare(e parser.Expr) parser.Expr {
	if p, ok := e.(*parser.ParenExpr); ok {
		return bare(p.Expr)
	}
	return e
}

// TestRules_NoJoinCanFindManyOnBothSides: two observers of different settings
// expose the same information with different labels. A join that finds two of
// them is an error, and an error empties the rule: so the one side is always
// reduced to the labels that it is joined on.
func TestRules_NoJoinCanFindManyOnBothSides(t *testing.T) {
	joins := 0
	forEachRule(t, valued(), func(_ string, r writtenRule, expr parser.Expr) {
		parser.Inspect(expr, func(n parser.Node, _ []parser.Node) error {
			b, ok := n.(*parser.BinaryExpr)
			if !ok || b.VectorMatching == nil || b.Op.IsSetOperator() {
				return nil
			}
			switch match := b.VectorMatching; match.Card { //nolint:exhaustive // the default refuses the rest
			case parser.CardManyToOne:
				joins++
				if one := reduced(b.RHS); !match.On || !slices.Equal(one, slices.Sorted(slices.Values(match.MatchingLabels))) {
					t.Errorf("%s%s joins on %v what is one per %v:\n%s", r.Record, r.Alert, match.MatchingLabels, one, b)
				}
			case parser.CardOneToOne:
				if left, right := shape(b.LHS), shape(b.RHS); left != right || match.On || !tells(b, match.MatchingLabels) {
					t.Errorf("%s%s sets %s against %s:\n%s", r.Record, r.Alert, left, right, b)
				}
			default:
				t.Errorf("%s%s joins many on its right:\n%s", r.Record, r.Alert, b)
			}
			return nil
		})
	})
	if joins < 10 {
		t.Errorf("got only %d joins", joins)
	}
}

// reduced are the labels of which an expression has one series each.
func reduced(e parser.Expr) []string {
	switch e := bare(e).(type) {
	case *parser.AggregateExpr:
		if e.Op == parser.TOPK && bare(e.Param).String() != "1" || e.Without {
			return nil
		}
		return slices.Sorted(slices.Values(e.Grouping))
	case *parser.Call:
		if e.Func.Name == "clamp_min" {
			return reduced(e.Args[0])
		}
	case *parser.BinaryExpr: // of such ones and numbers
		switch left, right := reduced(e.LHS), reduced(e.RHS); {
		case e.RHS.Type() == parser.ValueTypeScalar || slices.Equal(left, right) && e.VectorMatching.Card == parser.CardOneToOne:
			return left
		case e.LHS.Type() == parser.ValueTypeScalar:
			return right
		}
	}
	return nil
}

// shape tells what the series of an expression are: equal ones match one to one.
func shape(e parser.Expr) string {
	switch e := bare(e).(type) {
	case *parser.VectorSelector:
		for _, family := range []string{"ksigma_", "signal_traffic"} { // labels are those of the member
			if strings.HasPrefix(e.Name, family) {
				return "series of members"
			}
		}
		return "series of " + e.Name
	case *parser.AggregateExpr:
		return fmt.Sprint("one per ", reduced(e))
	case *parser.Call:
		for _, a := range e.Args {
			if a.Type() == parser.ValueTypeVector {
				return shape(a)
			}
		}
	case *parser.UnaryExpr:
		return shape(e.Expr)
	case *parser.BinaryExpr:
		if e.LHS.Type() == parser.ValueTypeScalar {
			return shape(e.RHS)
		}
		return shape(e.LHS)
	}
	return "unknown: " + e.String()
}

// tells tells whether both sides have one value of each label that the match ignores.
func tells(b *parser.BinaryExpr, ignored []string) bool {
	for _, name := range ignored {
		fixed := 0
		for _, side := range []parser.Expr{b.LHS, b.RHS} {
			v, ok := bare(side).(*parser.VectorSelector)
			if ok && (v.Name == collector.KsigmaMean || slices.ContainsFunc(v.LabelMatchers, func(m *promlabels.Matcher) bool { return m.Name == name && m.Type == promlabels.MatchEqual })) {
				fixed++
			}
		}
		if fixed < 2 {
			return false
		}
	}
	return true
}

// TestAlerts_AreThoseOfTheTable is the second table of DETECTION 5.1: what each
// alert waits for, how long it stays, and the labels that it always has.
func TestAlerts_AreThoseOfTheTable(t *testing.T) {
	var got []string
	for name, w := range read(t, generate(t, full())) {
		if strings.Contains(name, "ticket-node") {
			continue // of one severity class; the other differs in the severity alone
		}
		for _, g := range w.Groups {
			for _, r := range g.Rules {
				if r.Alert == "" {
					continue
				}
				var labels []string
				for k, v := range r.Labels {
					labels = append(labels, k+"="+v)
				}
				slices.Sort(labels)
				got = append(got, strings.TrimSpace(fmt.Sprintf("%s for=%s keep=%s %s", r.Alert, r.For, r.KeepFiringFor, strings.Join(labels, " "))))
			}
		}
	}
	slices.Sort(got)
	want := []string{
		"ConfigReloadFailed for=1m keep= program=heal-receiver severity=ticket",
		"ConfigReloadFailed for=1m keep= program=probe-exporter severity=ticket",
		"FaultDetected for= keep=40s heal=true severity=page",
		"FaultLocated for= keep=40s heal=true severity=page",
		"FaultNotLocated for= keep= heal=true severity=page",
		"HealFailing for=15s keep= reason=hand_over severity=ticket",
		"HealFailing for=15s keep= reason=run severity=ticket",
		"HealFailing for=15s keep= reason=watchdog severity=page",
		"HealFailing for=1m keep= reason=clock severity=page",
		"HealFailing for=1m keep= reason=journal severity=page",
		"HealFailing for=1m keep= reason=message severity=page",
		"HealFailing for=5m keep= reason=accept severity=ticket",
		"HealPaused for=1m keep= severity=ticket",
		"HealReceiverDown for=15s keep= job=heal-receiver severity=page",
		"MitigationHeld for=15s keep=2m severity=ticket",
		"NodeOutOfRotation for= keep= severity=ticket",
		"ObserverDisagrees for=40s keep= severity=ticket",
		"ObserverFault for=40s keep= heal=true severity=ticket",
		"ProbeExporterDown for=15s keep= observer=a severity=page",
		"ProbeExporterDown for=15s keep= observer=b severity=page",
		"ProbeStale for= keep= reason=not_run severity=ticket",
		"ProbeStale for=15s keep= reason=not_scraped severity=ticket",
		"RecoveryOverdue for= keep= heal=true severity=page",
		"SignalFault for= keep=40s severity=ticket",
		"SignalStale for= keep= reason=not_run severity=ticket",
		"SignalStale for=15s keep= reason=never_run severity=ticket",
		"SignalStale for=15s keep= reason=not_scraped severity=ticket",
		"Watchdog for= keep= heal=true severity=none",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// DETECTION 8: at least 2·(S + P) and a restart, and never less than the restart
// takes until the fault is back: m samples at the floor, a scrape, an evaluation.
func TestKeepFiring_HoldsAtEveryTiming(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 30))
	for range 500 {
		p, s := float64(1+r.IntN(20)), float64(1+r.IntN(30))
		spec := shop(timed{p, min(p, 5), s, min(s, 10), 0})
		spec.Prometheus.Evaluation.Interval = sec(float64(1 + r.IntN(60)))
		keep, e := spec.keep(page), time.Duration(spec.Prometheus.Evaluation.Interval)
		fault := spec.Services[0].Signals[0].Fault
		fault.Cap = fault.Floor
		again := restartTime + time.Duration(fault.Bad(dur(p)))*dur(p) + dur(min(p, 5)) + dur(s) + dur(min(s, 10)) + e
		if keep < keepLeast || keep < restartTime+2*(dur(s)+dur(p)) || keep < again || keep%e != 0 {
			t.Errorf("P %v, S %v, E %s: got %s, want %s at least in steps of E", p, s, e, keep, again)
		}
	}
}

// A latency that nobody has configured must not refuse a probe that is slow: the
// cap is solved for it as for availability. Its floor takes nothing from that: cap
// and m are those that a floor of .5 gives, too.
func TestProve_SlowProbesKeepTheDefaultLatency(t *testing.T) {
	for p, want := range map[float64]struct {
		limit float64
		bad   int
	}{1: {.6, 109}, 2: {.6, 55}, 5: {.6, 23}, 10: {.6, 12}, 15: {.6, 8}, 20: {.59, 6}, 30: {.57, 4}} {
		s := shop(timed{p, min(p, 5), 15, 10, 5})
		defaults := collector.Settings{Services: []collector.Service{{Name: "shop"}}}.Complete("a")
		g := defaults.Services[0].Signals["latency"]
		for _, floor := range []float64{*g.Fault.Floor, .5} {
			fault := g.Fault.Sigma()
			fault.Floor = floor
			s.Services[0].Signals = []Signal{{Name: latency, Mode: g.Mode, Detect: time.Duration(g.Targets.Detect), Fault: fault}}
			b := Prove(s)[0]
			if b.Refusal != "" || b.Total > 3*time.Minute || b.Cap != want.limit || b.Bad != want.bad {
				t.Errorf("P %vs, floor %v: got cap %v, m %d, %s %s, want %v and %d within 3m", p, floor, b.Cap, b.Bad, b.Total, b.Refusal, want.limit, want.bad)
			}
		}
	}
}

// Every setting of the bound is named when it is the one that helps most.
func TestProve_NamesEachKnob(t *testing.T) {
	for want, change := range map[string]func(s *Spec){
		`shorten the interval of probe "shop-nodes" from 25s to 20s or less`:              func(s *Spec) { s.Services[0].Probes[0].Interval = dur(25) },
		`shorten the timeout of the module of probe "shop-nodes" from 55s to 38s or less`: func(s *Spec) { s.Services[0].Probes[0].Timeout = dur(55) },
		"shorten prometheus.scrape.timeout from 60s to 37s or less":                       func(s *Spec) { s.Prometheus.Scrape.Timeout = sec(60) },
		"shorten prometheus.evaluation.delay from 60s to 37s or less":                     func(s *Spec) { s.Prometheus.Evaluation.Delay = sec(60) },
		"shorten prometheus.evaluation.query_offset from 60s to 36s or less":              func(s *Spec) { s.Prometheus.Evaluation.QueryOffset = sec(60) },
		"shorten alertmanager.group_wait from 60s to 36s or less":                         func(s *Spec) { s.Alertmanager.GroupWait = sec(60) },
		"shorten alertmanager.peer_timeout from 15s to 9s or less":                        func(s *Spec) { s.Alertmanager.Peers = 5 },
		"shorten alertmanager.webhook.delay from 60s to 36s or less":                      func(s *Spec) { s.Alertmanager.Webhook.Delay = sec(60) },
	} {
		s := shop(timed{5, 2, 5, 1, 0})
		change(&s)
		if got := Prove(s)[0].Refusal; !strings.HasSuffix(got, ": "+want) {
			t.Errorf("got %q, want %q at its end", got, want)
		}
	}
}

func TestGroup_WritesNothingThatWouldNotLoad(t *testing.T) {
	many := group{name: "many", rules: make([]rule, mostRules+1)}
	if _, err := file("", time.Second, []group{many}); err == nil || err.Error() != "group many: got 21 rules, want at most 20" {
		t.Errorf("got %v", err)
	}
	bad := group{name: "bad", rules: []rule{{alert: "A", expr: "up =="}}}
	if _, err := file("", time.Second, []group{bad}); err == nil || !strings.HasPrefix(err.Error(), "group bad: rule A: ") {
		t.Errorf("got %v", err)
	}
}

func TestGroup_IsWrittenInTheOrderOfPeople(t *testing.T) {
	g := group{name: "g", comment: "What it is.", rules: []rule{
		{comment: "First.", record: "a:b:c", expr: "up", labels: []label{{"rule_set", "x"}}},
		{alert: "A", expr: "up\n> 0\n", wait: time.Minute, keep: 90 * time.Second, annotations: []label{{"summary", "s"}, {"b", "{{ $value }}"}}},
	}}
	got, err := file("Head.\n", 7500*time.Millisecond, []group{g})
	want := `# Head.
groups:
  # What it is.
  - name: g
    interval: 7s500ms
    rules:
      # First.
      - record: a:b:c
        expr: up
        labels: {rule_set: x}
      - alert: A
        expr: |
          up
          > 0
        for: 1m
        keep_firing_for: 1m30s
        annotations:
          summary: s
          b: '{{ $value }}'
`
	if diff := cmp.Diff(want, string(got)); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func TestExpression_LosesTheIndentOfItsSource(t *testing.T) {
	words := strings.NewReplacer("<set>", "page-node")
	for in, want := range map[string]string{
		`up{a="<set>"}`:              `up{a="page-node"}`,
		"\n\t\t\ta\n\t\t\t\tb\n\t\t": "a\n  b\n",
		"\n\ta\n\tor\n\tb":           "a\nor\nb\n",
		"\n\ta\n":                    "a",
	} {
		if got := expression(in, words); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

// What the tests of the rules are made from is what the rules were made from.
func TestTested_IsTheSpecAndItsProof(t *testing.T) {
	s := demo()
	s.Observers, s.Services[0].Observers = []string{"a", "b"}, []string{"b"}
	fault := sigma.Fault{Window: time.Minute, Floor: .05, Cap: .1, MinAnomalies: 2, K: 3, Clear: 3}
	want := ruletest.Spec{
		Files: []string{"../rules/onefiveten-page-node.yml", "../rules/onefiveten-watchers.yml"}, Observers: []string{"a", "b"},
		Every: time.Second, Scrape: time.Second, ScrapeTakes: dur(.5), Restart: dur(5), Differ: dur(30), Disagree: dur(30), Dwell: dur(15), Unanswered: dur(15), Reload: time.Minute,
		Receiver: &ruletest.Receiver{Hold: time.Minute, Accept: 5 * time.Minute, Held: time.Hour, Keep: 2 * time.Minute, Recently: dur(299.5), Lately: dur(899.5)},
		Services: []ruletest.Service{{
			Name: "shop", Owner: "team-shop", Severity: page, Dimensions: []string{"node"}, Observers: []string{"b"}, Signals: []ruletest.Signal{{Name: availability, Mode: page}},
			Locate: 5 * time.Minute, Recover: 10 * time.Minute, Keep: dur(30),
		}},
		Proofs: []ruletest.Proof{{
			Service: "shop", Signal: availability, Probe: "shop-nodes", Interval: time.Second, Timeout: dur(.5), Fault: fault, Bad: 7, Bound: dur(10.2),
		}},
	}
	if diff := cmp.Diff(want, s.tested(Prove(s))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// A cap that was solved is the one that is in force.
	s.Services[0].Signals[0].Fault.Cap = 0
	if got := s.tested(Prove(s)).Proofs[0].Fault.Cap; got != .5 {
		t.Errorf("got a cap of %v, want .5", got)
	}
}

func TestLiteral_KeepsBracesFromTemplates(t *testing.T) {
	for in, want := range map[string]string{"a": "a", "{a}": "{a}", "{{ a }}": `{{"{{"}} a }}`, "{{{{": `{{"{{"}}{{"{{"}}`} {
		if got := literal(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

// Two observers whose thresholds differ as much as they may see a fault up to
// (most - few + 1)·P + d_p + S + d_s apart: an alert that waited for less would
// fire at the edge of a fault, and ObserverFault is a veto.
func TestObserversMayDifferAsLongAsTheirTimingAllows(t *testing.T) {
	for _, c := range []struct {
		spec Spec
		want time.Duration
	}{
		{demo(), 30 * time.Second},                       // 4 or 7 samples: 4·1 + .5 + 1 + .5 = 6
		{shop(timed{5, 2, 5, 1, 0}), 40 * time.Second},   // 2 or 7: 6·5 + 2 + 5 + 1 = 38, in steps of 5
		{shop(timed{5, 2, 15, 5, 0}), 45 * time.Second},  // 2 or 4: 3·5 + 2 + 15 + 5 = 37, in steps of 15
		{shop(timed{15, 2, 10, 1, 0}), 30 * time.Second}, // 2 or 2: 15 + 2 + 10 + 1 = 28
	} {
		s := c.spec
		if got := s.differ(); got != c.want {
			t.Errorf("%v: got %s, want %s", s.Services[0].Probes, got, c.want)
		}
		forEachRule(t, s, func(_ string, r writtenRule, _ parser.Expr) {
			if observers := r.Alert == "ObserverFault" || r.Alert == "ObserverDisagrees"; observers && r.For != model.Duration(c.want).String() {
				t.Errorf("%v: %s waits for %s, want %s", s.Services[0].Probes, r.Alert, r.For, c.want)
			}
		})
	}
}
