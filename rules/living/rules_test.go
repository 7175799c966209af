package living

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const file = `groups:
- name: onefiveten:page-node
  interval: 5s
  rules:
  - {record: 'onefiveten:a:sum', expr: 'sum by (service) (a{x="1"}) > 0', labels: {rule_set: page-node}}
  - {alert: A, expr: 'onefiveten:a:sum > 0', keep_firing_for: 40s, labels: {heal: "true"}, annotations: {summary: 'of {{ $labels.service }}'}}
  - {alert: A, expr: 'onefiveten:a:sum > 1', for: 15s, labels: {heal: "true", scope: service}}
`

// written are the groups of file, and loaded the same as a server would tell them.
func written(t testing.TB) []Group {
	t.Helper()
	groups, err := Written(map[string][]byte{"rules/a.yml": []byte(file)})
	if err != nil {
		t.Fatal(err)
	}
	return groups
}

// texts of findings, those that break a promise marked.
func told(all []Finding) []string {
	var texts []string
	for _, f := range all {
		mark := "warning "
		if f.Broken {
			mark = "error "
		}
		texts = append(texts, mark+f.Path+": "+f.Text)
	}
	return texts
}

func TestCompare_TakesWhatIsTheSameInOtherWords(t *testing.T) {
	loaded := written(t)
	rules := loaded[0].Rules
	rules[0].Expr = "sum by(service)(\n  a{x='1'}\n)   >   0" // as people and other versions write it
	rules[1].For, rules[1].Keep = nil, nil                    // not told
	if got := told(Compare(written(t), append(loaded, Group{Name: "others", Rules: []Rule{{Name: "x:y", Expr: "1"}}}), time.Second)); got != nil {
		t.Errorf("got %v", got)
	}
}

func TestCompare_NamesWhatDiffers(t *testing.T) {
	at := `the group "onefiveten:page-node" `
	of := func(rule string) string {
		return "error : the rule " + rule + ` of the group "onefiveten:page-node" is not the one that was written: `
	}
	for name, c := range map[string]struct {
		change func(g *Group) []Group
		want   []string
	}{
		"nothing is loaded": {func(*Group) []Group { return nil }, []string{"error : " + at + "is not loaded, and its rules are missing: onefiveten:a:sum, A: want rules/a.yml among rule_files"}},
		"loaded twice": {func(g *Group) []Group { other := *g; other.File = "b.yml"; return []Group{*g, other} },
			[]string{"error : " + at + "is loaded 2 times, from rules/a.yml and b.yml: its rules count twice: want it in one file"}},
		"slower":     {func(g *Group) []Group { g.Interval *= 2; return []Group{*g} }, []string{"error prometheus.evaluation.interval: " + at + "is evaluated every 10s, reckoned with 5s: the bounds are too short"}},
		"faster":     {func(g *Group) []Group { g.Interval /= 2; return []Group{*g} }, []string{"warning prometheus.evaluation.interval: " + at + "is evaluated every 2.5s, reckoned with 5s: the bounds are longer than need be"}},
		"takes long": {func(g *Group) []Group { g.Took = 1234567 * time.Microsecond; return []Group{*g} }, []string{"error prometheus.evaluation.delay: " + at + "has taken 1.235s, reckoned with 1s: the bounds are too short"}},
		"took long":  {func(g *Group) []Group { g.Slowest = 2 * time.Second; return []Group{*g} }, []string{"warning prometheus.evaluation.delay: " + at + "has taken 2s within the last minutes, reckoned with 1s: for that long the bounds were too short"}},
		"nearly all": {func(g *Group) []Group { g.Interval, g.Took = time.Second, 900*time.Millisecond; return []Group{*g} }, []string{
			"warning prometheus.evaluation.interval: " + at + "is evaluated every 1s, reckoned with 5s: the bounds are longer than need be",
			"warning prometheus.evaluation.delay: " + at + "has taken 900ms of its interval of 1s: if it takes longer, evaluations are missed"}},
		"not yet":   {func(g *Group) []Group { g.Evaluated = false; return []Group{*g} }, []string{"warning : " + at + "has not been evaluated yet: look again after 5s"}},
		"threshold": {func(g *Group) []Group { g.Rules[1].Expr = "onefiveten:a:sum > 9"; return []Group{*g} }, []string{of("A") + `expr has "onefiveten:a:sum > 9", want "onefiveten:a:sum > 0"`}},
		"no query":  {func(g *Group) []Group { g.Rules[1].Expr = "what ("; return []Group{*g} }, []string{of("A") + `expr has "what (", want "onefiveten:a:sum > 0"`}},
		"times": {func(g *Group) []Group {
			k, f := time.Second, time.Minute
			g.Rules[1].Keep, g.Rules[1].For = &k, &f
			return []Group{*g}
		},
			[]string{of("A") + "for is 1m0s, want 0s; keep_firing_for is 1s, want 40s"}},
		"texts": {func(g *Group) []Group {
			g.Rules[1].Labels, g.Rules[1].Annotations = map[string]string{"more": "x"}, map[string]string{"summary": "of {{ $labels.owner }}"}
			return []Group{*g}
		}, []string{of("A") + `the label heal is missing; the label more is one too many; the annotation summary has "of {{ $labels.owner }}", want "of {{ $labels.service }}"`}},
		"one less": {func(g *Group) []Group { g.Rules = g.Rules[:2]; return []Group{*g} }, []string{"error : " + at + "lacks the rule A: load the files that were written last"}},
		"one more": {func(g *Group) []Group {
			g.Rules = append(g.Rules, Rule{Alerting: true, Name: "B", Expr: "1"})
			return []Group{*g}
		},
			[]string{"error : " + at + "has a rule too many, B: it was left over or added by hand, and is no part of what is promised"}},
		"another kind": {func(g *Group) []Group { g.Rules[0].Alerting = true; return []Group{*g} },
			[]string{"error : " + at + "lacks the rule onefiveten:a:sum: load the files that were written last", "error : " + at + "has a rule too many, onefiveten:a:sum: it was left over or added by hand, and is no part of what is promised"}},
		"another order": {func(g *Group) []Group { g.Rules = []Rule{g.Rules[1], g.Rules[0], g.Rules[2]}; return []Group{*g} },
			[]string{`error : the rules of the group "onefiveten:page-node" stand in another order than they were written, and read what others recorded one evaluation before: got A, onefiveten:a:sum, A`}},
		"fails": {func(g *Group) []Group {
			g.Rules[0].Health, g.Rules[0].Error = "err", "many-to-many"
			return []Group{*g}
		},
			[]string{`error : the rule onefiveten:a:sum of the group "onefiveten:page-node" fails, and gives nothing: many-to-many`}},
		"left over": {func(g *Group) []Group { return []Group{*g, {File: "old.yml", Name: "onefiveten:old", Rules: g.Rules}} },
			[]string{`error : the group "onefiveten:old" of old.yml is left over from another configuration: remove the file, its rules go on: onefiveten:a:sum, A`}},
		"our name": {func(g *Group) []Group { return []Group{*g, {File: "b.yml", Name: "b", Rules: g.Rules[:2]}} },
			[]string{`error : the group "b" of b.yml records onefiveten:a:sum, which the generated rules read as their own: want another name`}},
	} {
		if diff := cmp.Diff(c.want, told(Compare(written(t), c.change(&written(t)[0]), time.Second))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// A group that takes a sample at each evaluation holds other ones when it is faster.
func TestCompare_AFasterEvaluationIsWrongWhereItIsASample(t *testing.T) {
	samples := func() Group {
		g := written(t)[0]
		g.Rules[0].Name = sampled
		return g
	}
	faster := samples()
	faster.Interval /= 2
	want := []string{`error prometheus.evaluation.interval: the group "onefiveten:page-node" is evaluated every 2.5s, reckoned with 5s: it takes a sample of each latency at every evaluation, and its windows hold other ones than were proved`}
	if diff := cmp.Diff(want, told(Compare([]Group{samples()}, []Group{faster}, time.Second))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestCompare_ShowsOfLongTextsWhereTheyDiffer(t *testing.T) {
	long := strings.Repeat("ü", 100)
	a, b := differing(long+"> 2"+long, long+"> 3"+long)
	if want := "…" + strings.Repeat("ü", 14) + "> 2" + strings.Repeat("ü", 15) + "…"; a != want || b != strings.Replace(want, "2", "3", 1) {
		t.Errorf("got %s and %s, want %s", a, b, want)
	}
}

func TestWritten_NamesTheFileThatIsNone(t *testing.T) {
	if _, err := Written(map[string][]byte{"a.yml": []byte("groups: 3")}); err == nil || !strings.HasPrefix(err.Error(), "reading the rules of a.yml: ") {
		t.Errorf("got %v", err)
	}
}

// FuzzCompare_FindsASingleDifferenceAndNoneInWhatIsTheSame: whatever an expression is,
// it equals itself, and another one is told.
func FuzzCompare_FindsASingleDifferenceAndNoneInWhatIsTheSame(f *testing.F) {
	f.Add("up > 0", "up > 1")
	f.Add("sum by (a) (x)", "sum(x) by(a)")
	f.Add("", "\x00")
	f.Fuzz(func(t *testing.T, one, other string) {
		w, l := Group{Name: "g", Rules: []Rule{{Name: "r", Expr: one}}}, Group{Name: "g", Evaluated: true, Rules: []Rule{{Name: "r", Expr: one}}}
		if got := Compare([]Group{w}, []Group{l}, 0); len(got) > 0 {
			t.Errorf("got %v", got)
		}
		l.Rules[0].Expr = other
		if got := Compare([]Group{w}, []Group{l}, 0); (len(got) == 1) != (canonical(one) != canonical(other)) {
			t.Errorf("%q and %q: got %v", one, other, got)
		}
	})
}
