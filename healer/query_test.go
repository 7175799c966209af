package healer

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/onefiveten/onefiveten/healer/plan"
)

func TestMembersAreOneOrZero(t *testing.T) {
	labelled := func(node string, v float64) Point {
		return Point{Labels: map[string]string{"node": node, "haproxy": "a"}, Value: v}
	}
	got, err := askMembers(t.Context(), answerTable{"m": {labelled("web2", 0), labelled("web1", 1)}}, "m")
	want := []member{
		{Labels: map[string]string{"node": "web1", "haproxy": "a"}, Healthy: true},
		{Labels: map[string]string{"node": "web2", "haproxy": "a"}, Healthy: false},
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("got %v, -want +got:\n%s", err, diff)
	}
	for want, world := range map[string]answerTable{
		"got no series, want one per member":               {},
		"asking main: no answer within 2s":                 {"m": nil},
		`got {haproxy="a",node="web1"} 0.5, want 0 or 1`:   {"m": {labelled("web2", 1), labelled("web1", 0.5)}},
		`got {haproxy="a",node="web1"} NaN, want 0 or 1`:   {"m": {labelled("web1", math.NaN())}},
		"got a series without labels, want one per member": {"m": one(1)},
		`got {haproxy="a",node="web1"} +Inf, want 0 or 1`:  {"m": {labelled("web1", math.Inf(1))}},
	} {
		if got, err := askMembers(t.Context(), world, "m"); got != nil || err == nil || err.Error() != "ask for the members by m: "+want {
			t.Errorf("got  %v, %v\nwant %s", got, err, want)
		}
	}
}

func TestAFaultMustBeSeenByPrometheusItself(t *testing.T) {
	mapped := map[string]string{"service": "web", "node": "web2"}
	const alerts = `ALERTS{alertname="FaultLocated",alertstate="firing",node="web2",service="web"}`
	for _, test := range []struct {
		name, confirm, alert string
		mapped               map[string]string
		world                answerTable
		want                 Answer
	}{
		{"it fires there, too", "", "FaultLocated", mapped, answerTable{alerts: one(1)}, Good},
		{"only Alertmanager knows it", "", "FaultLocated", mapped, answerTable{}, Bad},
		{"Prometheus is away", "", "FaultLocated", mapped, answerTable{alerts: nil}, CannotTell},
		{"no name", "", "", mapped, answerTable{}, CannotTell},
		{"no mapped label", "", "FaultLocated", nil, answerTable{`ALERTS{alertname="FaultLocated",alertstate="firing"}`: one(1)}, CannotTell},
		{"an empty label", "", "FaultLocated", map[string]string{"service": ""}, answerTable{}, CannotTell},
		{"confirmed", "q", "FaultLocated", mapped, answerTable{"q": one(0.2)}, Good},
		{"one sample confirms", "q", "FaultLocated", nil, answerTable{"q": values(0, 1)}, Good},
		{"not confirmed", "q", "FaultLocated", mapped, answerTable{alerts: one(1)}, Bad},
		{"a bool that is false", "q", "FaultLocated", mapped, answerTable{"q": values(0, 0)}, Bad},
		{"NaN confirms nothing", "q", "FaultLocated", mapped, answerTable{"q": values(1, math.NaN())}, CannotTell},
		{"no answer", "q", "FaultLocated", mapped, answerTable{"q": nil}, CannotTell},
	} {
		if got, numbers := corroborated(t.Context(), test.world, test.confirm, test.alert, test.mapped); got != test.want {
			t.Errorf("%s: got %s, want %s: %s", test.name, got, test.want, numbers)
		}
	}
}

func TestTheFreshnessOfASelectorIsAskedByItsKind(t *testing.T) {
	for selector, want := range map[string][]string{
		`up{job="web"}`: {`min(timestamp(up{job="web"}))`},
		`probe_success`: {`min(timestamp(probe_success))`, `min(probe_last_run_timestamp_seconds)`},
		`ksigma_fault{signal="latency",service=~"web|db",bound!="upper"}`: {
			`min(timestamp(ksigma_fault{signal="latency",service=~"web|db",bound!="upper"}))`,
			`min(probe_last_run_timestamp_seconds{service=~"web|db"})`,
		},
		`{__name__=~"probe_.*",probe="vip"}`: {
			`min(timestamp({__name__=~"probe_.*",probe="vip"}))`, `min(probe_last_run_timestamp_seconds{probe="vip"})`,
		},
		`{"probe_success","observer"="a","k.8s"="x"}`: {
			`min(timestamp({"probe_success","observer"="a","k.8s"="x"}))`, `min(probe_last_run_timestamp_seconds{"k.8s"="x",observer="a"})`,
		},
		`probe_success{probe="vip"} offset 5m`: {
			`min(timestamp(probe_success{probe="vip"} offset 5m))`, `min(probe_last_run_timestamp_seconds{probe="vip"} offset 5m)`,
		},
		`sli:errors:ratio1m{probe="vip"}`: {`min(timestamp(sli:errors:ratio1m{probe="vip"}))`},
	} {
		var got []string
		for _, q := range freshness(selector, time.UnixMilli(1000)) {
			got = append(got, q.query)
			if q.broken != "" || q.want != "> 1" {
				t.Errorf("%s: got %+v", selector, q)
			}
			if _, err := parser.NewParser(parser.Options{}).ParseExpr(q.query); err != nil {
				t.Errorf("%s: %v", q.query, err)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: -want +got:\n%s", selector, diff)
		}
	}
}

// TestEverySelectorOfAQueryCanBeAskedForItsAge joins the parser of the
// configuration with the questions made of it.
func TestEverySelectorOfAQueryCanBeAskedForItsAge(t *testing.T) {
	q, err := plan.ParseQuery(`rate(x{a="b"}[1m] offset 5m) > 1 and min(max_over_time(probe_success{probe="v"}[30s:5s])) == 1 and {"k.8s"} < 2`)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, selector := range q.Selectors {
		for _, one := range freshness(selector, time.UnixMilli(1000)) {
			got = append(got, one.query+one.broken)
		}
	}
	want := []string{
		`min(timestamp(x{a="b"} offset 5m))`, `min(timestamp(probe_success{probe="v"}))`,
		`min(probe_last_run_timestamp_seconds{probe="v"})`, `min(timestamp({__name__="k.8s"}))`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// FuzzALabelStaysInsideItsMatcher: whatever an alert's label holds, the
// question asks for that one series and nothing else.
func FuzzALabelStaysInsideItsMatcher(f *testing.F) {
	f.Add("service", `web1"}) or vector(1) #`)
	f.Add("a.b", "x\xff\n`'\\")
	f.Add(`x="y",z`, "}")
	f.Fuzz(func(t *testing.T, name, value string) {
		selector, err := alertSelector("FaultLocated", map[string]string{name: value})
		if value == "" {
			if err == nil {
				t.Error("an empty label was asked for")
			}
			return
		}
		matchers, err := parser.NewParser(parser.Options{}).ParseMetricSelector(selector)
		if err != nil {
			return // Prometheus refuses it as well: cannot tell
		}
		var got []string
		for _, m := range matchers {
			got = append(got, m.Name+m.Type.String()+m.Value)
		}
		want := []string{"alertname=FaultLocated", "alertstate=firing", name + "=" + value, "__name__=ALERTS"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: -want +got:\n%s", selector, diff)
		}
	})
}
