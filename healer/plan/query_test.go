package plan_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/onefiveten/onefiveten/healer/plan"
)

func TestThreeValuedQueriesAreTakenApart(t *testing.T) {
	for _, c := range []struct {
		text string
		want plan.Query
	}{
		{`min(probe_success{probe="vip"}) == 1`, plan.Query{
			Text:      `min(probe_success{probe="vip"}) == 1`,
			Parts:     []plan.Part{{Left: `min(probe_success{probe="vip"})`, Op: "==", Right: 1}},
			Selectors: []string{`probe_success{probe="vip"}`},
		}},
		{`(a > 0.95) and b <= -1 and (c != 2 and d < +Inf)`, plan.Query{
			Text: `(a > 0.95) and b <= -1 and (c != 2 and d < +Inf)`,
			Parts: []plan.Part{
				{Left: "a", Op: ">", Right: .95},
				{Left: "b", Op: "<=", Right: -1},
				{Left: "c", Op: "!=", Right: 2},
				{Left: "d", Op: "<", Right: inf},
			},
			Selectors: []string{"a", "b", "c", "d"},
		}},
		{`sum(rate(x[1m] offset 30s)) / sum(rate(y[5m])) >= 0.01`, plan.Query{
			Text:      `sum(rate(x[1m] offset 30s)) / sum(rate(y[5m])) >= 0.01`,
			Parts:     []plan.Part{{Left: `sum(rate(x[1m] offset 30s)) / sum(rate(y[5m]))`, Op: ">=", Right: .01}},
			Selectors: []string{"x offset 30s", "y"}, Range: 5 * time.Minute,
		}},
		{`max_over_time(rate(x[1m])[10m:1m] offset 2m) < 5`, plan.Query{
			Text:      `max_over_time(rate(x[1m])[10m:1m] offset 2m) < 5`,
			Parts:     []plan.Part{{Left: `max_over_time(rate(x[1m])[10m:1m] offset 2m)`, Op: "<", Right: 5}},
			Selectors: []string{"x"}, Range: 13 * time.Minute,
		}},
		{`sli:errors:ratio1m < 0.01 and x offset -1m > 0`, plan.Query{
			Text:      `sli:errors:ratio1m < 0.01 and x offset -1m > 0`,
			Parts:     []plan.Part{{Left: "sli:errors:ratio1m", Op: "<", Right: .01}, {Left: "x offset -1m", Op: ">", Right: 0}},
			Selectors: []string{"sli:errors:ratio1m", "x offset -1m"}, Recorded: true,
		}},
		{`{__name__=~"probe_.*"} == 1`, plan.Query{
			Text:      `{__name__=~"probe_.*"} == 1`,
			Parts:     []plan.Part{{Left: `{__name__=~"probe_.*"}`, Op: "==", Right: 1}},
			Selectors: []string{`{__name__=~"probe_.*"}`}, Recorded: true,
		}},
		{`{__name__="up"} + up == 1`, plan.Query{
			Text:      `{__name__="up"} + up == 1`,
			Parts:     []plan.Part{{Left: `{__name__="up"} + up`, Op: "==", Right: 1}},
			Selectors: []string{`{__name__="up"}`, "up"},
		}},
	} {
		got, err := plan.ParseQuery(c.text)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		if diff := cmp.Diff(c.want, got, cmpopts.IgnoreUnexported(plan.Query{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.text, diff)
		}
	}
}

var inf = func() float64 { x := 1e308; return x * 10 }()

func TestOtherShapesAreRefusedWithTheReason(t *testing.T) {
	for text, want := range map[string]string{
		"up":                                    "is no comparison",
		"up == bool 1":                          "returns bool",
		"1 == up":                               "has no number on its right side",
		"up == on (job) down":                   "has no number on its right side",
		"up == NaN":                             "compares with NaN",
		"time() > 5":                            "comparisons between scalars",
		"scalar(up) == 1":                       "comparisons between scalars",
		"up == 1 or down == 0":                  "is joined by or",
		"up == 1 unless down == 0":              "is joined by unless",
		"up == 1 and on (job) down == 0":        "joins with on or ignoring",
		"up == 1 and ignoring (a) b == 0":       "joins with on or ignoring",
		"up == 1 and on () down == 0":           "joins with on or ignoring",
		"0 < up < 5":                            "compares a comparison",
		"up == 1 and down":                      "is no comparison",
		"up + 1":                                "is joined by +",
		"up @ 1609746000 == 1":                  "reads a fixed instant",
		"max_over_time(up[5m:1m] @ end()) == 1": "reads a fixed instant",
		"vector(1) == 1":                        "reads no series, so it proves nothing",
		"absent(up) == 1 and vector(1) == ":     "parsing",
		"up[5m] == 1":                           "parsing",
		"":                                      "parsing",
	} {
		_, err := plan.ParseQuery(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
}

// A template may stand in the value of a label matcher and nowhere else.
func TestTemplatesOutsideMatcherValuesAreRefused(t *testing.T) {
	for _, query := range []string{
		`up{{ .Params.zone }} == 1`,
		`up{zone={{ .Params.zone }}} == 1`,
		`up{{"{"}}zone="a"} == 1`,
		`up{{{ .Params.zone }}="a"} == 1`,
		`{__name__="{{ .Params.zone }}"} == 1`,
		`rate(up[{{ .Params.zone }}]) == 1`,
		`label_replace(up, "a", "{{ .Params.zone }}", "b", "c") == 1`,
		`up == 1 # {{ .Params.zone }}`,
		`up == 1 {{ .Params.zone }}`,
		`sum by ({{ .Params.zone }}) (up) == 1`,
		`up{zone="a"} == {{ if true }}1{{ end }}`,
		`up{zone="{{ if true }}a{{ end }}"} == 1`,
	} {
		_, err := parsed(with(t, `'up{node="{{ .Member.Labels.node }}"} == 0'`, "'"+query+"'"))
		if err == nil || !strings.Contains(err.Error(), "plans.restart.when[0]: ") {
			t.Errorf("%s: got %v, want a mistake at plans.restart.when[0]", query, err)
		}
	}
}

func TestAQueryWithoutTemplatesIsGivenBackAsItIs(t *testing.T) {
	b := book(t, base)
	healthy := b.Services["web"].Healthy
	got, err := b.Plans["drain"].Query(healthy, plan.Data{})
	if err != nil || got.Text != healthy.Text || !slices.Equal(got.Parts, healthy.Parts) {
		t.Errorf("got %+v, %v", got, err)
	}
}

// A value may break a regular expression that the author wrote around it.
func TestAValueThatNoMatcherTakesIsRefused(t *testing.T) {
	b := book(t, with(t, `'up{node="{{ .Member.Labels.node }}"} == 0'`, `'up{node=~"[{{ .Member.Labels.node }}]"} == 0'`))
	p := b.Plans["restart"]
	if _, err := p.Query(p.When[0], data(b, "a-z")); err != nil {
		t.Error(err)
	}
	_, err := p.Query(p.When[0], data(b, "z-a"))
	refused(t, err, "unsafe_value")
}

func TestSettleIsTheRangeUnlessGiven(t *testing.T) {
	ranged := with(t, `min(probe_success{service="web", probe="vip"}) == 1'`, `rate(errors[2m]) < 1'`)
	b := book(t, ranged)
	if w := b.Services["web"]; w.Settle != 2*time.Minute || w.SettleGiven {
		t.Errorf("got %s, %t, want 2m, not given", w.Settle, w.SettleGiven)
	}
	b = book(t, strings.Replace(ranged, `rate(errors[2m]) < 1'`, `sli:errors:ratio1m < 1', settle: 75s`, 1))
	if w := b.Services["web"]; w.Settle != 75*time.Second || !w.SettleGiven {
		t.Errorf("got %s, %t, want 75s, given", w.Settle, w.SettleGiven)
	}
	b = book(t, with(t, "for: 10s, within: 30s", "settle: 0s, for: 10s, within: 30s"))
	if v := b.Plans["restart"].Verify; v.Settle != 0 || !v.SettleGiven {
		t.Errorf("got %s, %t, want 0s, given", v.Settle, v.SettleGiven)
	}
}

func FuzzParseQuery(f *testing.F) {
	for _, text := range []string{"up == 1", "a > 1 and (b < 2)", `rate(x{a="b"}[1m] offset 5m) != 0`, "0 < up < 5", `{"a:b"} == 1`, "x[5m:1m]", "up == 0x1f"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		q, err := plan.ParseQuery(text)
		if err != nil {
			return
		}
		again, err := plan.ParseQuery(q.Text)
		if err != nil {
			t.Fatalf("%q became %q: %v", text, q.Text, err)
		}
		if len(again.Parts) != len(q.Parts) || len(q.Parts) == 0 || len(q.Selectors) == 0 || again.Range != q.Range || again.Recorded != q.Recorded {
			t.Errorf("%q: got %+v and then %+v", text, q, again)
		}
		for _, part := range q.Parts {
			if _, err := plan.ParseQuery(part.Left + " " + part.Op + " 1"); err != nil && !strings.Contains(err.Error(), "reads no series") {
				t.Errorf("%q: part %q: %v", text, part.Left, err)
			}
		}
	})
}
