package rules

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"

	"github.com/onefiveten/onefiveten/collector"
)

var update = flag.Bool("update", false, "rewrite testdata")

// written is a rule file as Prometheus reads it.
type written struct {
	Groups []struct {
		Name     string
		Interval string
		Rules    []writtenRule
	}
}

type writtenRule struct {
	Record, Alert, Expr string
	For                 string
	KeepFiringFor       string `yaml:"keep_firing_for"`
	Labels, Annotations map[string]string
}

// generate gives the files of a spec that must be accepted.
func generate(t *testing.T, s Spec) map[string][]byte {
	t.Helper()
	files, bounds, err := Generate(s)
	if err != nil {
		t.Fatal(err)
	}
	if len(bounds) == 0 {
		t.Fatal("no bounds")
	}
	return files
}

// read gives the rules of the generated files, file by file.
func read(t *testing.T, files map[string][]byte) map[string]written {
	t.Helper()
	all := map[string]written{}
	for name, data := range files {
		if ok, err := filepath.Match(RulesGlob, name); err != nil || !ok {
			continue
		}
		var w written
		if err := yaml.Unmarshal(data, &w); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all[name] = w
	}
	return all
}

// forEachRule visits every rule of a spec.
func forEachRule(t *testing.T, s Spec, visit func(group string, r writtenRule, expr parser.Expr)) {
	t.Helper()
	forEachWritten(t, generate(t, s), visit)
}

// forEachWritten visits every rule of generated files.
func forEachWritten(t *testing.T, files map[string][]byte, visit func(group string, r writtenRule, expr parser.Expr)) {
	t.Helper()
	for _, w := range read(t, files) {
		for _, g := range w.Groups {
			for _, r := range g.Rules {
				expr, err := parser.NewParser(parser.Options{}).ParseExpr(r.Expr)
				if err != nil {
					t.Fatalf("%s%s: %v", r.Record, r.Alert, err)
				}
				visit(g.Name, r, expr)
			}
		}
	}
}

// full has both classes, two probes, latency and two observers.
func full() Spec {
	s := shop(timed{5, 2, 5, 1, 0})
	s.Observers = []string{"a", "b"}
	s.Services[0].Signals = append(s.Services[0].Signals, slow())
	s.Services[0].Probes = append(s.Services[0].Probes, Probe{Name: "shop-entry", Role: roleEntry, Interval: dur(10), Timeout: dur(3)})
	bill := shop(timed{10, 3, 0, 0, 0}).Services[0]
	bill.Name, bill.Owner, bill.Severity = "bill", "team-bill", ticket
	bill.Dimensions = []string{"zone", "version", "node"}
	s.Services = append(s.Services, bill)
	return s
}

// valued is full with a signal of a query that may page, and a latency that may.
func valued() Spec {
	s := full()
	errors := asked(page, "errors:ratio", 10, 2, 10)
	errors.Detect = 10 * time.Minute
	bill := &s.Services[len(s.Services)-1]
	bill.Signals = append(bill.Signals, errors)
	g := slow()
	g.Mode, g.Detect = page, 10*time.Minute
	pay := shop(timed{5, 2, 5, 1, 0}).Services[0]
	pay.Name, pay.Dimensions, pay.Signals = "pay", []string{"node", "zone"}, append(pay.Signals, g)
	s.Services = append(s.Services, pay)
	return s
}

func TestGenerate_IsAsReviewed(t *testing.T) {
	for name, s := range map[string]Spec{"demo": demo(), "full": full(), "valued": valued()} {
		files := generate(t, s)
		for _, file := range slices.Sorted(maps.Keys(files)) {
			golden := filepath.Join("testdata", name, file)
			if name != "demo" && file == TestsFile || name == "valued" && file != "rules/onefiveten-page-node-zone.yml" {
				continue // those of the demo are reviewed, and e2e runs all; the rest is that of full
			}
			if *update {
				if err := os.MkdirAll(filepath.Dir(golden), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(golden, files[file], 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatalf("%v (go test ./rules -update writes it)", err)
			}
			if diff := cmp.Diff(string(want), string(files[file])); diff != "" {
				t.Errorf("%s (-want +got; go test ./rules -update rewrites it):\n%s", golden, diff)
			}
		}
	}
}

func TestGenerate_GivesTheSameBytesEveryTime(t *testing.T) {
	first := generate(t, full())
	for range 5 {
		for name, data := range generate(t, full()) {
			if !bytes.Equal(first[name], data) {
				t.Errorf("%s differs", name)
			}
		}
	}
	want := []string{
		"alertmanager/alertmanager.example.yml", "alertmanager/route.yml", "bounds.txt",
		"rules/onefiveten-page-node.yml", "rules/onefiveten-ticket-node-version-zone.yml", "rules/onefiveten-watchers.yml", "tests/onefiveten_test.yml",
	}
	if got := slices.Sorted(maps.Keys(first)); !slices.Equal(got, want) {
		t.Errorf("got files %v, want %v", got, want)
	}
}

func TestGenerate_ASecondServiceAddsNoRule(t *testing.T) {
	one, many := shop(timed{5, 2, 5, 1, 0}), shop(timed{5, 2, 5, 1, 0})
	for i := range 199 {
		v := many.Services[0]
		v.Name = fmt.Sprintf("shop-%d", i)
		many.Services = append(many.Services, v)
	}
	a, b := generate(t, one), generate(t, many)
	for name, data := range a {
		if name != BoundsFile && string(b[name]) != string(data) {
			t.Errorf("%s differs between 1 and 200 services of one timing", name)
		}
	}
}

func TestGenerate_ClassesHaveGroupsOfTheirOwn(t *testing.T) {
	severities := map[string][]string{}
	forEachRule(t, full(), func(group string, r writtenRule, _ parser.Expr) {
		if r.Alert == "FaultDetected" {
			severities[group] = append(severities[group], r.Labels["severity"])
		}
		if r.Record != "" && r.Labels["rule_set"] != strings.TrimPrefix(group, "onefiveten:") {
			t.Errorf("%s in %s has rule_set %q", r.Record, group, r.Labels["rule_set"])
		}
		if set := strings.TrimPrefix(group, "onefiveten:"); strings.Contains(r.Expr, "rule_set=") &&
			strings.Count(r.Expr, "rule_set=") != strings.Count(r.Expr, `rule_set="`+set+`"`) {
			t.Errorf("%s%s in %s reads another set:\n%s", r.Record, r.Alert, group, r.Expr)
		}
	})
	want := map[string][]string{"onefiveten:page-node": {page}, "onefiveten:ticket-node-version-zone": {ticket}}
	if diff := cmp.Diff(want, severities); diff != "" {
		t.Errorf("severities of FaultDetected (-want +got):\n%s", diff)
	}
}

// TestRules_KeepTheLawsOfTheHouse is the lint of DETECTION 5.6 and 7.
func TestRules_KeepTheLawsOfTheHouse(t *testing.T) {
	ranges := regexp.MustCompile(`\[[^\]]*\]`)
	for _, s := range []Spec{demo(), full(), valued(), shop(timed{5, 2, 15, 10, 5})} {
		forEachRule(t, s, func(_ string, r writtenRule, expr parser.Expr) {
			name := r.Record + r.Alert
			for _, found := range ranges.FindAllString(r.Expr, -1) {
				if !strings.HasSuffix(found, "500ms]") {
					t.Errorf("%s: the range %s may end on a sample", name, found)
				}
			}
			parser.Inspect(expr, func(n parser.Node, _ []parser.Node) error {
				if v, ok := n.(*parser.VectorSelector); ok && strings.HasPrefix(v.Name, "ALERTS") {
					t.Errorf("%s is built on %s", name, v.Name)
				}
				if c, ok := n.(*parser.Call); ok && c.Func.Experimental {
					t.Errorf("%s: %s is experimental", name, c.Func.Name)
				}
				return nil
			})
			if r.Record != "" && !strings.HasPrefix(r.Record, "onefiveten:") {
				t.Errorf("record %s, want onefiveten:<metric>:<operation>", r.Record)
			}
			if r.Alert == "FaultDetected" && r.For != "" {
				t.Errorf("FaultDetected waits for %s", r.For)
			}
			if r.Alert != "" && r.Annotations["summary"] == "" {
				t.Errorf("%s has no summary", name)
			}
		})
	}
}

func TestRules_ReadOnlyWhatIsThere(t *testing.T) {
	read, recorded := map[string]bool{}, map[string]bool{}
	forEachRule(t, valued(), func(_ string, r writtenRule, expr parser.Expr) {
		recorded[r.Record] = true
		parser.Inspect(expr, func(n parser.Node, _ []parser.Node) error {
			if v, ok := n.(*parser.VectorSelector); ok {
				read[v.Name] = true
			}
			return nil
		})
	})
	// Of the bound only an annotation tells; the rest are not the collector's.
	want := []string{
		collector.KsigmaFault, collector.KsigmaStart, collector.LastRun, collector.StaleAfter,
		collector.SignalLastRun, collector.SignalStaleAfter, collector.ServiceInfo, collector.SignalInfo, collector.TargetSeconds, collector.ObserverInfo,
		collector.KsigmaValue, collector.KsigmaMean, collector.KsigmaThreshold, collector.KsigmaInfo, collector.SignalTraffic,
		"heal_isolated", "heal_incidents", "up",
	}
	want = append(want, watched...)
	for name := range recorded {
		delete(read, name)
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(read))); diff != "" {
		t.Errorf("metrics that the rules read (-want +got):\n%s", diff)
	}
	if text := string(generate(t, valued())["rules/onefiveten-page-node.yml"]); !strings.Contains(text, "max("+collector.DetectBound+"{") {
		t.Errorf("no annotation tells %s", collector.DetectBound)
	}
}

func TestRules_ReadNoRecordOfAnotherFileOrOfALaterRule(t *testing.T) {
	// What is read with an offset is that of the evaluation before, wherever it stands.
	past := regexp.MustCompile(`onefiveten:[a-z_]+:[a-z]+\{[^}]*\} offset `)
	for name, w := range read(t, generate(t, valued())) {
		var before []string
		for _, r := range w.Groups[0].Rules {
			for _, found := range regexp.MustCompile(`onefiveten:[a-z_]+:[a-z]+`).FindAllString(past.ReplaceAllString(r.Expr, ""), -1) {
				// A rule reads its own past over a range.
				if !slices.Contains(before, found) && found != r.Record {
					t.Errorf("%s: %s%s reads %s before it is recorded", name, r.Record, r.Alert, found)
				}
			}
			before = append(before, r.Record)
		}
	}
}

func TestRules_OfOneNameDifferInALabel(t *testing.T) {
	for name, w := range read(t, generate(t, valued())) {
		seen := map[string]bool{}
		for _, g := range w.Groups {
			if len(g.Rules) > mostRules {
				t.Errorf("%s: group %s has %d rules", name, g.Name, len(g.Rules))
			}
			for _, r := range g.Rules {
				id := fmt.Sprint(r.Record, r.Alert, r.Labels)
				if seen[id] {
					t.Errorf("%s: %s is there twice", name, id)
				}
				seen[id] = true
			}
		}
	}
}

func TestRules_EvaluationIntervalIsEverywhere(t *testing.T) {
	s := shop(timed{5, 2, 5, 1, 0})
	s.Prometheus.Evaluation.Interval = sec(7.5)
	offsets := 0
	for _, w := range read(t, generate(t, s)) {
		for _, g := range w.Groups {
			if g.Interval != "7s500ms" {
				t.Errorf("group %s: interval %s, want 7s500ms", g.Name, g.Interval)
			}
			for _, r := range g.Rules {
				offsets += strings.Count(r.Expr, "offset 7s500ms")
				if strings.Count(r.Expr, "offset") != strings.Count(r.Expr, "offset 7s500ms") {
					t.Errorf("%s: another offset than E", r.Record)
				}
			}
		}
	}
	if offsets == 0 {
		t.Error("no rule reads the evaluation before")
	}
}

// TestContract_IsWhatTheRulesEmit reads the labels of each alert out of its
// expression.
func TestContract_IsWhatTheRulesEmit(t *testing.T) {
	kept := map[string]int{}
	forEachRule(t, valued(), func(_ string, r writtenRule, expr parser.Expr) {
		if r.Labels["heal"] != "true" {
			return
		}
		i := slices.IndexFunc(Contract(), func(p Promise) bool { return p.Alert == r.Alert })
		if i < 0 {
			t.Errorf("%s has heal but no promise", r.Alert)
			return
		}
		p := Contract()[i]
		kept[r.Alert]++
		got := slices.Concat(outputs(t, expr), slices.Collect(maps.Keys(r.Labels)))
		for _, l := range p.Labels {
			if !slices.Contains(got, l) {
				t.Errorf("%s has no label %s", r.Alert, l)
			}
		}
		for _, l := range got {
			if !slices.Contains(p.Labels, l) && !slices.Contains(p.Sometimes, l) && !slices.Contains([]string{"zone", "version"}, l) {
				t.Errorf("%s has the label %s, which was not promised", r.Alert, l)
			}
		}
		for _, a := range p.Annotations {
			if r.Annotations[a] == "" {
				t.Errorf("%s has no annotation %s", r.Alert, a)
			}
		}
	})
	for _, p := range Contract() {
		if kept[p.Alert] == 0 {
			t.Errorf("no rule keeps the promise of %s", p.Alert)
		}
	}
}

// outputs are the labels of what an expression gives.
func outputs(t *testing.T, expr parser.Expr) []string {
	t.Helper()
	switch e := expr.(type) {
	case *parser.ParenExpr:
		return outputs(t, e.Expr)
	case *parser.AggregateExpr:
		return e.Grouping
	case *parser.BinaryExpr:
		if e.LHS.Type() == parser.ValueTypeScalar {
			return outputs(t, e.RHS)
		}
		return outputs(t, e.LHS)
	case *parser.Call:
		if e.Func.Name == "vector" {
			return nil
		}
	}
	t.Fatalf("the labels of %s cannot be told", expr)
	return nil
}

// A place is named once, whatever it is: one rule makes all FaultLocated, so that
// a service and one of its nodes are told apart by the label scope alone.
func TestFaultLocated_IsOneRule(t *testing.T) {
	rules := map[string]int{}
	forEachRule(t, full(), func(group string, r writtenRule, _ parser.Expr) {
		if r.Alert == "FaultLocated" {
			rules[group]++
			if _, fixed := r.Labels["scope"]; fixed || !strings.Contains(r.Expr, `"scope", "service"`) {
				t.Errorf("%s: got labels %v, want the scope from the expression:\n%s", group, r.Labels, r.Expr)
			}
		}
	})
	if want := map[string]int{"onefiveten:page-node": 1, "onefiveten:ticket-node-version-zone": 1}; !maps.Equal(rules, want) {
		t.Errorf("got %v, want %v", rules, want)
	}
}

func TestFaultDetected_CarriesWhatTheReceiverReads(t *testing.T) {
	forEachRule(t, demo(), func(_ string, r writtenRule, _ parser.Expr) {
		if r.Alert != "FaultDetected" {
			return
		}
		want := writtenRule{
			Alert:         "FaultDetected",
			Expr:          `sum by (service, owner, signal) (onefiveten:fault_members:sum{rule_set="page-node", mode="page"}) > 0`,
			KeepFiringFor: "30s",
			Labels:        map[string]string{"severity": "page", "heal": "true"},
			Annotations: map[string]string{
				"summary":              `{{ $labels.service }} is in fault by {{ $labels.signal }}; members bad: {{ $value }}`,
				"bad":                  `{{ range $i, $m := printf "onefiveten:member_fault:bool{service=%q,signal=%q} == 1" $labels.service $labels.signal | query | sortByLabel "member" }}{{ if lt $i 5 }}{{ if $i }}, {{ end }}{{ $m.Labels.dimension }} {{ $m.Labels.member }}{{ else if eq $i 5 }} and others{{ end }}{{ end }}`,
				"detect_bound_seconds": `{{ with printf "max(onefiveten_detect_bound_seconds{service=%q,signal=%q})" $labels.service $labels.signal | query }}{{ . | first | value }}{{ end }}`,
				"fault_start":          `{{ with printf "onefiveten:fault_start_timestamp_seconds:min{service=%q,signal=%q}" $labels.service $labels.signal | query }}{{ . | first | value | printf "%.3f" }}{{ end }}`,
			},
		}
		if diff := cmp.Diff(want, r); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestKeepFiring_BridgesTheRestartOfAnExporter(t *testing.T) {
	for _, c := range []struct {
		timed
		want time.Duration
	}{
		{timed{1, .5, 1, .5, 0}, 30 * time.Second},
		{timed{5, 2, 5, 1, 0}, 30 * time.Second},
		{timed{5, 2, 15, 5, 0}, time.Minute}, // 5 + 2·5 + 2 + 15 + 5 + 15 = 52, in steps of 15
		{timed{15, 2, 10, 1, 0}, time.Minute},
	} {
		if got := shop(c.timed).keep(page); got != c.want {
			t.Errorf("%v: got %s, want %s", c.timed, got, c.want)
		}
	}
}

// hostile are names that would break a file, an expression or a template if they
// were pasted into it.
func hostile() []string {
	return []string{`a"b`, `a\`, "a\nb: c", `{{ $labels.x }}`, "'", "- x", "# x", `"}) or vector(1) #`, "é", "yes", "~", "[1m]", "%s", "\x00\x1b"}
}

func TestNames_CannotBreakAFile(t *testing.T) {
	for _, name := range hostile() {
		s := shop(timed{10, 3, 10, 2, 5})
		s.Observers = []string{name, "b"}
		s.Services[0].Name, s.Services[0].Owner = name, name
		s.Services[0].Probes[0].Name = name
		down := ""
		files := generate(t, s)
		forEachWritten(t, files, func(_ string, r writtenRule, expr parser.Expr) {
			if r.Alert == "ProbeExporterDown" && down == "" {
				down = strings.ReplaceAll(r.Labels["observer"], `{{"{{"}}`, "{{")
				want := fmt.Sprintf("absent(onefiveten_observer_info{observer=%s})", quoted(name))
				if expr.String() != parserString(t, want) {
					t.Errorf("%q: got %s, want %s", name, expr, want)
				}
			}
		})
		if down != name {
			t.Errorf("label observer: got %q, want %q", down, name)
		}
		var tests struct{ Tests []map[string]any }
		if err := yaml.Unmarshal(files[TestsFile], &tests); err != nil || len(tests.Tests) < 10 {
			t.Errorf("%q: got %d tests, %v", name, len(tests.Tests), err)
		}
	}
}

func parserString(t *testing.T, s string) string {
	t.Helper()
	e, err := parser.NewParser(parser.Options{}).ParseExpr(s)
	if err != nil {
		t.Fatal(err)
	}
	return e.String()
}

func TestWatchers_ManyObserversAreSplit(t *testing.T) {
	s := demo()
	s.Observers = nil
	for i := range 50 {
		s.Observers = append(s.Observers, fmt.Sprintf("o%d", i))
	}
	w := read(t, generate(t, s))["rules/onefiveten-watchers.yml"]
	var names []string
	down := 0
	for _, g := range w.Groups {
		names = append(names, fmt.Sprintf("%s %d", g.Name, len(g.Rules)))
		for _, r := range g.Rules {
			if r.Alert == "ProbeExporterDown" {
				down++
			}
		}
	}
	want := []string{"onefiveten:watchers 20", "onefiveten:watchers-2 20", "onefiveten:watchers-3 20", "onefiveten:watchers-4 9"}
	if !slices.Equal(names, want) || down != 50 {
		t.Errorf("got %v with %d observers, want %v with 50", names, down, want)
	}
}

// TestGenerate_WritesTestsForEveryTiming tries timings at random: whatever is
// not refused has tests, and none of them is at odds with itself.
func TestGenerate_WritesTestsForEveryTiming(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 10))
	pick := func(of ...float64) float64 { return of[random.IntN(len(of))] }
	made := 0
	for range 60 {
		s := full()
		s.Services = s.Services[:1]
		for i := range s.Services[0].Probes {
			s.Services[0].Probes[i].Interval = dur(pick(1, 1.5, 2, 3, 5, 7, 10, 13, 15, 20))
			s.Services[0].Probes[i].Timeout = dur(pick(.2, .5, 1, 2, 3, 5, 8))
		}
		s.Prometheus.Scrape = Scrape{Interval: sec(pick(1, 2, 3, 5, 10, 11, 15, 30)), Timeout: sec(pick(0, .3, .5, 1, 2, 5, 10))}
		s.Prometheus.Evaluation = Evaluation{Interval: sec(pick(.5, 1, 2, 3, 5, 7, 10, 15, 20, 30)), Delay: sec(pick(0, .2, 1))}
		s.Observers = []string{"a", "b", "c"}[:1+random.IntN(3)]
		if len(mistakes(s.Check)) > 0 {
			continue
		}
		made++
		if _, _, err := Generate(s); err != nil {
			t.Errorf("probes %v, %+v, %d observers: %v", s.Services[0].Probes, s.Prometheus, len(s.Observers), err)
		}
	}
	if made < 8 {
		t.Errorf("only %d of 60 specs were accepted", made)
	}
}
