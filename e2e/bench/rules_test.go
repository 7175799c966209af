package main

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/prometheus/prompb"
)

// answered is what Prometheus says of two groups, one of which has not been
// evaluated yet.
const answered = `{"status":"success","data":{"groups":[
{"name":"set","file":"x","evaluationTime":0.7,"lastEvaluation":"2026-01-02T03:04:05Z","rules":[
 {"name":"onefiveten:vote:bool","query":"a","evaluationTime":0.3,"lastEvaluation":"2026-01-02T03:04:05Z","type":"recording"},
 {"name":"FaultDetected","query":"b","evaluationTime":0.1,"type":"alerting","lastError":""},
 {"name":"FaultLocated","query":"c","evaluationTime":0.25,"type":"alerting"},
 {"name":"Last","query":"d","evaluationTime":0.05,"type":"alerting","lastError":"no memory"}]},
{"name":"late","evaluationTime":0,"lastEvaluation":"0001-01-01T00:00:00Z","rules":[]}]}}`

func answer(t *testing.T) []evaluatedGroup {
	t.Helper()
	var all ruleList
	if err := json.Unmarshal([]byte(answered), &all); err != nil {
		t.Fatal(err)
	}
	return all.Data.Groups
}

func TestFindGroup_OneThatWasNotEvaluatedIsNone(t *testing.T) {
	for name, want := range map[string]bool{"set": true, "late": false, "other": false} {
		if g, got := findGroup(answer(t), name); got != want || got && g.Name != name {
			t.Errorf("%s: got %+v, %t", name, g, got)
		}
	}
}

func TestRuleCost_CountsUpToTheAlertThatDetects(t *testing.T) {
	g := answer(t)[0]
	got := ruleCost("turn", []evaluatedGroup{g, g})
	want := ruleTime{what: "turn", group: "set", rules: 4, whole: []float64{700, 700}, detect: []float64{400, 400},
		dearest: "vote:bool 43 %, FaultLocated 36 %, FaultDetected 14 %"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	g.Rules = g.Rules[2:]
	if got := ruleCost("turn", []evaluatedGroup{g}); got.detect != nil {
		t.Errorf("without FaultDetected: got %v", got.detect)
	}
}

func TestEvaluatedGroup_TellsWhichRuleDoesNotWork(t *testing.T) {
	if err := answer(t)[0].err(); err == nil || err.Error() != "rule Last of group set: no memory" {
		t.Errorf("got %v", err)
	}
	if err := answer(t)[1].err(); err != nil {
		t.Errorf("of a group without mistakes: got %v", err)
	}
}

func TestPast_EndsBeforeTheFirstScrape(t *testing.T) {
	end := time.Unix(1000, 0)
	series := [][]prompb.Label{{{Name: "node", Value: "n1"}}, {{Name: "node", Value: "n2"}}}
	got := past(series, end, -3, 0, newNoise())
	if len(got.Timeseries) != 2 || !reflect.DeepEqual(got.Timeseries[1].Labels, series[1]) {
		t.Fatalf("got %v", got)
	}
	var at []int64
	for _, s := range got.Timeseries[1].Samples {
		if at = append(at, s.Timestamp); s.Value <= 0 || s.Value > .01 {
			t.Errorf("got %g, want the latency of a probe on loopback in seconds", s.Value)
		}
	}
	if want := []int64{985000, 990000, 995000}; !reflect.DeepEqual(at, want) {
		t.Errorf("got %v, want %v", at, want)
	}
}

func TestStored_LabelsAreSorted(t *testing.T) {
	text := func(s string) *string { return &s }
	m := &dto.Metric{Label: []*dto.LabelPair{{Name: text("zone"), Value: text("za")}, {Name: text("Az"), Value: text("1")}, {Name: text("node"), Value: text("n1")}}}
	want := []prompb.Label{{Name: "Az", Value: "1"}, {Name: "__name__", Value: "m"}, {Name: "node", Value: "n1"}, {Name: "zone", Value: "za"}}
	if got := stored("m", m); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestBrokenHere_BreaksAsManyServicesAsAreWaitedFor(t *testing.T) {
	services, whole := 0, 0
	for s := range ruleServices {
		bad := 0
		for n := range ruleNodes {
			if brokenHere(s, n) {
				bad++
			}
		}
		if bad > 0 {
			services++
		}
		if bad == ruleNodes {
			whole++
		}
	}
	if services != brokenServices || whole != 1 {
		t.Errorf("got %d services, %d of them as a whole, want %d and 1", services, whole, brokenServices)
	}
}

func TestRuleTurns_EndWithTheRuleByHand(t *testing.T) {
	all := ruleTurns()
	for i, turn := range all {
		if last := i == len(all)-1; (turn.backend == "") != last {
			t.Errorf("%s: got backend %q", turn.what, turn.backend)
		}
	}
}

func TestCrowd_EveryNodeHasAnAddressOfItsOwn(t *testing.T) {
	c := &crowdOf{addresses: []string{"127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"}}
	text, seen := c.rulesConfig("exporter", []string{"node", "zone"}, both()), map[string]bool{}
	for s := range ruleServices {
		for n := range ruleNodes {
			u := c.url(s, n)
			if seen[u] || strings.Count(text, "\""+u+"\"") != 1 {
				t.Fatalf("%s stands for more than one node, or is not in the configuration once", u)
			}
			seen[u] = true
		}
	}
}
