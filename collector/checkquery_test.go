package collector

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/go-kit/log"
	"github.com/google/go-cmp/cmp"

	"github.com/onefiveten/onefiveten/promapi"
)

func TestQuery_Defaults(t *testing.T) {
	s := parse(t, strings.Replace(strings.Replace(queue, "interval: 10s, unit: items", "baseline: slow", 1), "baselines: {", "baselines: {slow: {k: 4}, ", 1)).Complete("a")
	q, g := s.Signals[0], s.Services[0].Signals["queue"]
	if time.Duration(q.Interval) != 15*time.Second || q.MaxSeries != 1000 || q.Scraped() != 15*time.Second {
		t.Errorf("got %+v", q)
	}
	if g.Mode != "ticket" || g.Baseline != "slow" || time.Duration(g.Targets.Detect) != 5*time.Minute || g.Fault.Cap != nil || g.Score || g.Expose != "minimal" {
		t.Errorf("got %+v, want the row of signals", g)
	}
	if s.Asking.Timeout != 2*time.Second || s.Asking.Concurrency != 4 {
		t.Errorf("got %+v", s.Asking)
	}
}

const wrongQueries = `observers: [a]
services:
- name: shop
  owner: o
  dimensions: [node, zone]
  signals: {qeue: {mode: page}, depth: {mode: loud, baseline: slow, expose: some, score: true, fault: {cap: 2}}, availability: {score: true}}
baselines: {slow: {window: 1d}}
signals:
- {name: "", service: shop, expr: up}
- {name: latency, service: shop, expr: up}
- {name: depth, service: shop, expr: up, baseline: default}
- {name: depth, service: shop, expr: up}
- {name: a, service: gone, expr: up}
- {name: b, service: shop, expr: "up[5m]"}
- {name: c, service: shop, expr: "sum(("}
- {name: d, service: shop, expr: '"text"'}
- {name: e, service: shop, expr: "(max by (node, pod, service) (up) > 2) * 100"}
- {name: f, service: shop, expr: "mad_over_time(up[5m])"}
- {name: g, service: shop, expr: 'count_values("v", up)'}
- {name: h, service: shop, expr: up, interval: 10s, scrape_interval: 15s}
- {name: i, service: shop, expr: up, interval: 500ms, range: {min: 1, max: 1}, max_series: 0}
- {name: j, service: shop, expr: up, max_series: 100001, range: {min: .nan, max: .inf}, baseline: none}
- {name: k, service: shop, expr: up, interval: 10m, baseline: slow}
- {name: l, service: shop}
`

func TestQueries_EveryMistakeAtOnce(t *testing.T) {
	if diff := cmp.Diff(everyWrongQuery, mistakes(wrongQueries)+"\n"); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

const everyWrongQuery = `probe.yml:6: services[0].signals.availability.score: availability has none: it is 0 or 1
probe.yml:6: services[0].signals.depth.baseline: got "slow", and "default" in signals; want it in one place
probe.yml:6: services[0].signals.depth.expose: got "some", want minimal or full
probe.yml:6: services[0].signals.depth.fault.cap: got 2, want above 0 and below 1
probe.yml:6: services[0].signals.depth.mode: got "loud", want page or ticket
probe.yml:6: services[0].signals.k.fault.fault_window: got 3m, want 1 to 3600 times the interval of 10m
probe.yml:6: services[0].signals.qeue: got qeue, want availability, latency or the name of an entry of signals whose service is "shop"
probe.yml:9: signals[0].name: got "", want a text in UTF-8
probe.yml:10: signals[1].name: "latency" is a signal of every probe; want another name
probe.yml:12: signals[3].name: "depth" is a signal of service "shop" already, as signals[2]
probe.yml:13: signals[4].service: "gone" is not among the services
probe.yml:14: signals[5].expr: got a range vector, want an instant vector or a scalar
probe.yml:15: signals[6].expr: reading sum((: 1:6: parse error: unclosed left parenthesis
probe.yml:16: signals[7].expr: got a string, want an instant vector or a scalar
probe.yml:17: signals[8].expr: it leaves the labels pod, want service and the dimensions of the service alone: node, zone
probe.yml:18: signals[9].expr: reading mad_over_time(up[5m]): 1:1: parse error: function "mad_over_time" is not enabled
probe.yml:19: signals[10].expr: it leaves the labels v, want service and the dimensions of the service alone: node, zone
probe.yml:20: signals[11].interval: got 10s, want the scrape_interval of 15s or more: the same sample would be judged twice
probe.yml:21: signals[12].interval: got 500ms, want 1s or more
probe.yml:21: signals[12].max_series: got 0, want 1 to 100000
probe.yml:21: signals[12].range.max: got 1, want more than the min of 1
probe.yml:22: signals[13].baseline: "none" is not among the baselines
probe.yml:22: signals[13].max_series: got 100001, want 1 to 100000
probe.yml:22: signals[13].range.max: got +Inf, want a number; leave it out where there is no end
probe.yml:22: signals[13].range.min: got NaN, want a number; leave it out where there is no end
probe.yml:24: signals[15].expr: no expression
`

func TestQueries_WhatIsRightPasses(t *testing.T) {
	for _, expr := range []string{
		"up", "vector(1)", "scalar(up)", "1", "sum(up)", "max by (service, node, zone) (up)", "-(min by (node) (up))", "100 * avg by (zone) (up)",
		"topk by (pod) (1, up)", "sum without (pod) (up)", "rate(x_total[5m])", "quantile by (node) (.9, up)", "max by (node) (up) / sum by (node) (up)",
		`max by (node) (label_replace(up, "node", "$1", "instance", "(.*):.*"))`,
	} {
		if got := mistakes(strings.Replace(queue, "max by (node) (queue_length)", expr, 1)); got != "" {
			t.Errorf("%s: got %s", expr, got)
		}
	}
	for _, more := range []string{"range: {min: 0}", "range: {max: 100}", "range: {min: 0, max: 1}", "scrape_interval: 10s", "scrape_interval: 5s", "max_series: 100000"} {
		if got := mistakes(strings.Replace(queue, "unit: items", more, 1)); got != "" {
			t.Errorf("%s: got %s", more, got)
		}
	}
}

func TestRange_HoldsTheThresholdInside(t *testing.T) {
	for text, want := range map[string][2]float64{
		"unit: x": {0, 0}, "range: {min: 0, max: 100}": {0, 100},
	} {
		low, high := parse(t, strings.Replace(queue, "unit: items", text, 1)).Signals[0].Range.Sigma()
		if low != want[0] || high != want[1] {
			t.Errorf("%s: got %v to %v, want %v", text, low, high, want)
		}
	}
	c := New("a", log.NewNopLogger())
	if err := c.Apply(parse(t, strings.Replace(queue, "unit: items", "range: {max: 100}", 1)), nil, ofQueue, &lake{}); err != nil {
		t.Fatal(err)
	}
	s := c.table.Load().queries[0].state
	s.past = noPast
	for i, v := range []float64{90, 99, 90, 99, 100} {
		at := time.Now().Add(time.Duration(i) * time.Minute)
		s.take(c, answer{began: at, ended: at, points: points(map[string]float64{"n1": v})})
	}
	if v := s.shown.Load().series[0].verdict; v.Upper >= 100 || !v.Anomaly {
		t.Errorf("got %+v, want the greatest value that there is to be one beyond the threshold", v)
	}
}

// A range that the values do not keep to makes every sample an anomaly, or hides
// each: it is told once, counted, and judged all the same.
func TestRange_AValueOutsideIsToldOnceAndJudged(t *testing.T) {
	var told strings.Builder
	c := New("a", log.NewLogfmtLogger(&told))
	if err := c.Apply(parse(t, strings.Replace(queue, "unit: items", "range: {max: 1}", 1)), nil, ofQueue, &lake{}); err != nil {
		t.Fatal(err)
	}
	s := c.table.Load().queries[0].state
	s.past = noPast
	told.Reset()
	for i, v := range []float64{.5, 1, 90, 95, .5, 90} {
		at := time.Now().Add(time.Duration(i) * time.Minute)
		s.take(c, answer{began: at, ended: at, points: points(map[string]float64{"n1": v, "n2": .5})})
	}
	shown := s.shown.Load()
	if !shown.up || len(shown.series) != 2 || !shown.series[0].verdict.Anomaly {
		t.Errorf("got %+v, want both judged, and 90 an anomaly", shown)
	}
	if diff := cmp.Diff(map[string]int{queryRange: 3}, failures(c)); diff != "" {
		t.Error(diff)
	}
	got := told.String()
	if strings.Count(got, "\n") != 1 || !strings.Contains(got, "got the value 90 for {") || !strings.Contains(got, "want -Inf to 1") || !strings.Contains(got, "service=shop signal=queue") {
		t.Errorf("the log is\n%s\nwant one line", got)
	}
}

// What check says of an answer is what the exporter would have done with it.
func TestCheckAnswer_TellsWhatIsWrongFromWhatMayPass(t *testing.T) {
	for name, c := range map[string]struct {
		points []promapi.Point
		want   string
	}{
		"good":             {[]promapi.Point{element(5, "node", "n1", "service", "shop"), element(0, "node", "n2", "zone", "za"), element(-1)}, ""},
		"nothing":          {nil, "warning: expr: it gives no series now: while it does not, the signal has no verdict\n"},
		"too many":         {[]promapi.Point{element(1), element(1, "node", "a"), element(1, "node", "b"), element(1, "node", "c")}, "max_series: got 4 series now, want 3 at most: aggregate, or raise it\n"},
		"labels":           {[]promapi.Point{element(1, "pod", "p"), element(1, "pod", "q")}, "expr: got a series with the label \"pod\", want service and the dimensions [node zone] alone: aggregate by them\n"},
		"of another":       {[]promapi.Point{element(1, "service", "till")}, "expr: got a series of service \"till\", want \"shop\"\n"},
		"double":           {[]promapi.Point{element(1, "node", "n"), element(2, "node", "n", "service", "shop")}, "expr: got two series of {node=\"n\"}: aggregate by service and the dimensions [node zone]\n"},
		"NaN":              {[]promapi.Point{element(math.NaN(), "node", "n"), element(math.Inf(1))}, "warning: expr: got the value NaN for {node=\"n\"} now: while it is no number, the series has no verdict\n"},
		"out of the range": {[]promapi.Point{element(101, "node", "n"), element(200)}, "warning: range: got the value 101 for {node=\"n\"} now, want -Inf to 100: is the range right?\n"},
		"too large":        {[]promapi.Point{element(1e101)}, "warning: expr: got the value 1e+101 for {} now: while it is no number, the series has no verdict\n"},
	} {
		var got strings.Builder
		s := parse(t, strings.Replace(queue, "unit: items", "max_series: 3, range: {max: 100}", 1))
		s.CheckAnswer(0, c.points, func(path, text string) { fmt.Fprintf(&got, "%s: %s\n", path, text) }, func(path, text string) { fmt.Fprintf(&got, "warning: %s: %s\n", path, text) })
		if diff := cmp.Diff(c.want, got.String()); diff != "" {
			t.Errorf("%s: (-want +got):\n%s", name, diff)
		}
	}
}
