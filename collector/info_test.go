package collector

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-kit/log"
	"github.com/google/go-cmp/cmp"

	"github.com/onefiveten/onefiveten/probe"
)

const twoServices = `
observers: [a, b]
job: checks
baselines: {slow: {window: 1d, k: 2.5, direction: both, hold: 1h}}
services:
- {name: shop, owner: team-shop, dimensions: [zone, node], targets: {detect: 45s}}
- name: mail
  owner: 'team "post"'
  severity: ticket
  observers: [b]
  signals:
    availability: {mode: ticket}
    latency: {mode: page, baseline: slow}
probes:
- {name: shop-nodes, service: shop, module: fake, interval: 5s, targets: [{url: h1}]}
- {name: shop-entry, service: shop, module: fake, role: entry, targets: [{url: lb}]}
- {name: mail, service: mail, module: fake, interval: 10s, targets: [{url: mx}]}
`

// Everything that a reload alone changes, and the counters of two targets that
// have never run. Observer a leaves mail to b, and tells of it all the same.
func TestPage_BeforeTheFirstRun(t *testing.T) {
	c := New("a", log.NewNopLogger())
	if err := c.Apply(parse(t, twoServices), (&fake{}).modules(), []Proof{proved[0], {Service: "shop", Signal: latency, Cap: .6}}, nil); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(twoServicesPage, text(t, c)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The whole page with everything that there is to show.
func TestPage_FullAndWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{answer: httpLike}
		c := begun(t, fullShop, f)
		pass(60 * time.Second)
		f.set(func(ctx context.Context, target string) probe.Result {
			r := httpLike(ctx, target)
			r.Success, r.Reason, r.Samples[0].Value = false, probe.Status, 503
			return r
		})
		pass(10 * time.Second)
		if diff := cmp.Diff(fullPage, short(text(t, c))); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestText_Values(t *testing.T) {
	for _, c := range []struct {
		v    float64
		want string
	}{
		{0, "0"},
		{math.Copysign(0, -1), "0"},
		{1, "1"},
		{-17, "-17"},
		{.1, "0.1"},
		{1. / 3, "0.3333333333333333"},
		{946684806.876, "946684806.876"},
		{1763254123.457, "1763254123.457"},
		{-62135596800, "-62135596800"},
		{999999999999999, "999999999999999"},
		{1e15, "1e+15"},
		{1e300, "1e+300"},
		{1.25e-6, "0.00000125"},
		{1.25e-7, "1.25e-07"},
		{5e-324, "5e-324"},
		{math.NaN(), "NaN"},
		{math.Inf(1), "+Inf"},
		{math.Inf(-1), "-Inf"},
	} {
		if got := string(appendValue(nil, c.v)); got != c.want {
			t.Errorf("%v: got %s, want %s", c.v, got, c.want)
		}
	}
}

func TestText_LabelsAndHelp(t *testing.T) {
	l := newLabels(label{"a", `q"b\c`}, label{"none", ""}, label{"b", "line\nbreak"}, label{"c", "käse €"})
	if want := `a="q\"b\\c",b="line\nbreak",c="käse €"`; l.text != want || len(l.pairs) != 3 {
		t.Errorf("got %s of %d pairs, want %s of 3", l.text, len(l.pairs), want)
	}
	if got, want := string(appendEscaped(nil, "a \"b\" \\ c\nd", false)), `a "b" \\ c\nd`; got != want {
		t.Errorf("help: got %s, want %s", got, want)
	}
}

// The page is handed on in parts: no scrape holds it as a whole.
func TestText_IsFlushedInParts(t *testing.T) {
	c := many(t, 500)
	var w parts
	b := &buffers{}
	s := &textSink{w: &w}
	if err := c.write(s, b); err != nil {
		t.Fatal(err)
	}
	if w.n < 10 || w.most > flushAt+1<<10 {
		t.Errorf("got %d parts of at most %d bytes, want many of about %d", w.n, w.most, flushAt)
	}
	if got := scrape(t, c, "").Body.Bytes(); !bytes.Equal(got, w.all.Bytes()) {
		t.Error("the parts are not the page")
	}
	for _, v := range b.views {
		if v.t != nil {
			t.Fatal("the buffer keeps targets alive")
		}
	}
}

type parts struct {
	n, most int
	all     bytes.Buffer
}

func (p *parts) Write(b []byte) (int, error) {
	p.n++
	p.most = max(p.most, len(b))
	return p.all.Write(b)
}

// A collector is given its settings, runs, and answers scrapes.
func ExampleCollector() {
	c := New("a", log.NewNopLogger())
	module := Module{Timeout: time.Second, Probe: func(context.Context, string) probe.Result {
		return probe.Result{Success: true}
	}}
	settings, err := load(shop)
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := c.Apply(settings, map[string]Module{"fake": module}, proved, nil); err != nil {
		fmt.Println(err)
		return
	}
	var page strings.Builder
	if err := c.write(&textSink{w: &page}, &buffers{}); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(lines(page.String(), "probe_attempts_total"))
	// Output:
	// probe_attempts_total{job="probe",instance="http://n1/",observer="a",probe="shop-nodes",service="shop",role="node",node="n1",zone="za"} 0
}

const twoServicesPage = `# HELP probe_interval_seconds Time between two runs of the probe.
# TYPE probe_interval_seconds gauge
probe_interval_seconds{observer="a",probe="shop-nodes"} 5
probe_interval_seconds{observer="a",probe="shop-entry"} 15
# HELP probe_timeout_seconds Deadline of one run of the probe.
# TYPE probe_timeout_seconds gauge
probe_timeout_seconds{observer="a",probe="shop-nodes"} 2
probe_timeout_seconds{observer="a",probe="shop-entry"} 2
# HELP probe_stale_after_seconds Age of its last run at which a result has no vote: two intervals and the timeout.
# TYPE probe_stale_after_seconds gauge
probe_stale_after_seconds{observer="a",probe="shop-nodes"} 12
probe_stale_after_seconds{observer="a",probe="shop-entry"} 32
# HELP ksigma_signal_info 1, with unit, direction and k of the signal.
# TYPE ksigma_signal_info gauge
ksigma_signal_info{service="shop",signal="availability",unit="failures",direction="upper"} 1
ksigma_signal_info{service="shop",signal="latency",unit="seconds",direction="upper",k="3"} 1
ksigma_signal_info{service="mail",signal="availability",unit="failures",direction="upper"} 1
ksigma_signal_info{service="mail",signal="latency",unit="seconds",direction="both",k="2.5"} 1
# HELP onefiveten_service_info 1, with owner, severity and dimensions of the service.
# TYPE onefiveten_service_info gauge
onefiveten_service_info{service="shop",owner="team-shop",severity="page",dimensions="node,zone"} 1
onefiveten_service_info{service="mail",owner="team \"post\"",severity="ticket",dimensions="node"} 1
# HELP onefiveten_signal_info 1, with the mode of the signal.
# TYPE onefiveten_signal_info gauge
onefiveten_signal_info{service="shop",signal="availability",mode="page"} 1
onefiveten_signal_info{service="shop",signal="latency",mode="ticket"} 1
onefiveten_signal_info{service="mail",signal="availability",mode="ticket"} 1
onefiveten_signal_info{service="mail",signal="latency",mode="page"} 1
# HELP onefiveten_target_seconds Target of the stage, from the beginning of a fault.
# TYPE onefiveten_target_seconds gauge
onefiveten_target_seconds{service="shop",stage="detect"} 45
onefiveten_target_seconds{service="shop",stage="locate"} 300
onefiveten_target_seconds{service="shop",stage="recover"} 600
onefiveten_target_seconds{service="mail",stage="detect"} 60
onefiveten_target_seconds{service="mail",stage="locate"} 300
onefiveten_target_seconds{service="mail",stage="recover"} 600
# HELP onefiveten_detect_bound_seconds Proved longest time from a fault to the webhook.
# TYPE onefiveten_detect_bound_seconds gauge
onefiveten_detect_bound_seconds{service="shop",signal="availability"} 33
# HELP onefiveten_expected_observers Observers that should watch the service.
# TYPE onefiveten_expected_observers gauge
onefiveten_expected_observers{service="shop"} 2
onefiveten_expected_observers{service="mail"} 1
# HELP onefiveten_observer_info 1, with the name of the running observer.
# TYPE onefiveten_observer_info gauge
onefiveten_observer_info{observer="a"} 1
# HELP probe_attempts_total Runs that were completed.
# TYPE probe_attempts_total counter
probe_attempts_total{job="checks",instance="h1",observer="a",probe="shop-nodes",service="shop",role="node"} 0
probe_attempts_total{job="checks",instance="lb",observer="a",probe="shop-entry",service="shop",role="entry"} 0
# HELP probe_failures_total Runs that failed, by reason.
# TYPE probe_failures_total counter
probe_failures_total{job="checks",instance="h1",observer="a",probe="shop-nodes",service="shop",role="node",reason="dns"} 0
probe_failures_total{job="checks",instance="h1",observer="a",probe="shop-nodes",service="shop",role="node",reason="refused"} 0
probe_failures_total{job="checks",instance="h1",observer="a",probe="shop-nodes",service="shop",role="node",reason="unreachable"} 0
probe_failures_total{job="checks",instance="h1",observer="a",probe="shop-nodes",service="shop",role="node",reason="timeout"} 0
probe_failures_total{job="checks",instance="h1",observer="a",probe="shop-nodes",service="shop",role="node",reason="reset"} 0
probe_failures_total{job="checks",instance="h1",observer="a",probe="shop-nodes",service="shop",role="node",reason="tls"} 0
probe_failures_total{job="checks",instance="h1",observer="a",probe="shop-nodes",service="shop",role="node",reason="certificate"} 0
probe_failures_total{job="checks",instance="h1",observer="a",probe="shop-nodes",service="shop",role="node",reason="protocol"} 0
probe_failures_total{job="checks",instance="h1",observer="a",probe="shop-nodes",service="shop",role="node",reason="status"} 0
probe_failures_total{job="checks",instance="h1",observer="a",probe="shop-nodes",service="shop",role="node",reason="content"} 0
probe_failures_total{job="checks",instance="h1",observer="a",probe="shop-nodes",service="shop",role="node",reason="size"} 0
probe_failures_total{job="checks",instance="h1",observer="a",probe="shop-nodes",service="shop",role="node",reason="internal"} 0
probe_failures_total{job="checks",instance="lb",observer="a",probe="shop-entry",service="shop",role="entry",reason="dns"} 0
probe_failures_total{job="checks",instance="lb",observer="a",probe="shop-entry",service="shop",role="entry",reason="refused"} 0
probe_failures_total{job="checks",instance="lb",observer="a",probe="shop-entry",service="shop",role="entry",reason="unreachable"} 0
probe_failures_total{job="checks",instance="lb",observer="a",probe="shop-entry",service="shop",role="entry",reason="timeout"} 0
probe_failures_total{job="checks",instance="lb",observer="a",probe="shop-entry",service="shop",role="entry",reason="reset"} 0
probe_failures_total{job="checks",instance="lb",observer="a",probe="shop-entry",service="shop",role="entry",reason="tls"} 0
probe_failures_total{job="checks",instance="lb",observer="a",probe="shop-entry",service="shop",role="entry",reason="certificate"} 0
probe_failures_total{job="checks",instance="lb",observer="a",probe="shop-entry",service="shop",role="entry",reason="protocol"} 0
probe_failures_total{job="checks",instance="lb",observer="a",probe="shop-entry",service="shop",role="entry",reason="status"} 0
probe_failures_total{job="checks",instance="lb",observer="a",probe="shop-entry",service="shop",role="entry",reason="content"} 0
probe_failures_total{job="checks",instance="lb",observer="a",probe="shop-entry",service="shop",role="entry",reason="size"} 0
probe_failures_total{job="checks",instance="lb",observer="a",probe="shop-entry",service="shop",role="entry",reason="internal"} 0
# HELP probe_run_duration_seconds Duration of the runs of a probe.
# TYPE probe_run_duration_seconds histogram
probe_run_duration_seconds_bucket{job="checks",instance="h1",observer="a",probe="shop-nodes",service="shop",role="node",le="+Inf"} 0
probe_run_duration_seconds_sum{job="checks",instance="h1",observer="a",probe="shop-nodes",service="shop",role="node"} 0
probe_run_duration_seconds_count{job="checks",instance="h1",observer="a",probe="shop-nodes",service="shop",role="node"} 0
probe_run_duration_seconds_bucket{job="checks",instance="lb",observer="a",probe="shop-entry",service="shop",role="entry",le="+Inf"} 0
probe_run_duration_seconds_sum{job="checks",instance="lb",observer="a",probe="shop-entry",service="shop",role="entry"} 0
probe_run_duration_seconds_count{job="checks",instance="lb",observer="a",probe="shop-entry",service="shop",role="entry"} 0
`

const fullPage = `# HELP probe_interval_seconds Time between two runs of the probe.
# TYPE probe_interval_seconds gauge
probe_interval_seconds{observer="a",probe="shop-nodes"} 5
# HELP probe_timeout_seconds Deadline of one run of the probe.
# TYPE probe_timeout_seconds gauge
probe_timeout_seconds{observer="a",probe="shop-nodes"} 2
# HELP probe_stale_after_seconds Age of its last run at which a result has no vote: two intervals and the timeout.
# TYPE probe_stale_after_seconds gauge
probe_stale_after_seconds{observer="a",probe="shop-nodes"} 12
# HELP ksigma_signal_info 1, with unit, direction and k of the signal.
# TYPE ksigma_signal_info gauge
ksigma_signal_info{service="shop",signal="availability",unit="failures",direction="upper"} 1
ksigma_signal_info{service="shop",signal="latency",unit="seconds",direction="both",k="2"} 1
# HELP onefiveten_service_info 1, with owner, severity and dimensions of the service.
# TYPE onefiveten_service_info gauge
onefiveten_service_info{service="shop",owner="team-shop",severity="page",dimensions="node"} 1
# HELP onefiveten_signal_info 1, with the mode of the signal.
# TYPE onefiveten_signal_info gauge
onefiveten_signal_info{service="shop",signal="availability",mode="page"} 1
onefiveten_signal_info{service="shop",signal="latency",mode="ticket"} 1
# HELP onefiveten_target_seconds Target of the stage, from the beginning of a fault.
# TYPE onefiveten_target_seconds gauge
onefiveten_target_seconds{service="shop",stage="detect"} 60
onefiveten_target_seconds{service="shop",stage="locate"} 300
onefiveten_target_seconds{service="shop",stage="recover"} 600
# HELP onefiveten_detect_bound_seconds Proved longest time from a fault to the webhook.
# TYPE onefiveten_detect_bound_seconds gauge
onefiveten_detect_bound_seconds{service="shop",signal="availability"} 33
onefiveten_detect_bound_seconds{service="shop",signal="latency"} 170
# HELP onefiveten_expected_observers Observers that should watch the service.
# TYPE onefiveten_expected_observers gauge
onefiveten_expected_observers{service="shop"} 1
# HELP onefiveten_observer_info 1, with the name of the running observer.
# TYPE onefiveten_observer_info gauge
onefiveten_observer_info{observer="a"} 1
# HELP probe_success 1 if the last run was a success, else 0.
# TYPE probe_success gauge
probe_success{COMMON} 0
# HELP probe_duration_seconds Duration of the last run.
# TYPE probe_duration_seconds gauge
probe_duration_seconds{COMMON} 0.01
# HELP probe_last_run_timestamp_seconds End of the last run that was completed.
# TYPE probe_last_run_timestamp_seconds gauge
probe_last_run_timestamp_seconds{COMMON} 946684866.876
# HELP probe_last_success_timestamp_seconds End of the last run that was a success, 0: none was.
# TYPE probe_last_success_timestamp_seconds gauge
probe_last_success_timestamp_seconds{COMMON} 946684856.876
# HELP probe_first_failure_timestamp_seconds Start of the first failed run of the fault episode, 0: there is none.
# TYPE probe_first_failure_timestamp_seconds gauge
probe_first_failure_timestamp_seconds{COMMON} 946684861.876
# HELP probe_attempts_total Runs that were completed.
# TYPE probe_attempts_total counter
probe_attempts_total{COMMON} 14
# HELP probe_failures_total Runs that failed, by reason.
# TYPE probe_failures_total counter
probe_failures_total{COMMON,reason="dns"} 0
probe_failures_total{COMMON,reason="refused"} 0
probe_failures_total{COMMON,reason="unreachable"} 0
probe_failures_total{COMMON,reason="timeout"} 0
probe_failures_total{COMMON,reason="reset"} 0
probe_failures_total{COMMON,reason="tls"} 0
probe_failures_total{COMMON,reason="certificate"} 0
probe_failures_total{COMMON,reason="protocol"} 0
probe_failures_total{COMMON,reason="status"} 2
probe_failures_total{COMMON,reason="content"} 0
probe_failures_total{COMMON,reason="size"} 0
probe_failures_total{COMMON,reason="internal"} 0
# HELP probe_failure_reason 1 for the reason of the last run, while that is a failure.
# TYPE probe_failure_reason gauge
probe_failure_reason{COMMON,reason="status"} 1
# HELP probe_run_duration_seconds Duration of the runs of a probe.
# TYPE probe_run_duration_seconds histogram
probe_run_duration_seconds_bucket{COMMON,le="0.01"} 14
probe_run_duration_seconds_bucket{COMMON,le="0.1"} 14
probe_run_duration_seconds_bucket{COMMON,le="+Inf"} 14
probe_run_duration_seconds_sum{COMMON} 0.13999999999999999
probe_run_duration_seconds_count{COMMON} 14
# HELP ksigma_fault 1 if the signal is in fault, else 0.
# TYPE ksigma_fault gauge
ksigma_fault{COMMON,signal="availability"} 1
ksigma_fault{COMMON,signal="latency"} 0
# HELP ksigma_fault_probability Anomalies among the samples of the fault window, a ratio from 0 to 1.
# TYPE ksigma_fault_probability gauge
ksigma_fault_probability{COMMON,signal="availability"} 0.15384615384615385
ksigma_fault_probability{COMMON,signal="latency"} 0
# HELP ksigma_fault_probability_threshold The ratio above which the signal is in fault.
# TYPE ksigma_fault_probability_threshold gauge
ksigma_fault_probability_threshold{COMMON,signal="availability"} 0.05
ksigma_fault_probability_threshold{COMMON,signal="latency"} 0.55
# HELP ksigma_fault_start_timestamp_seconds Start of the run that gave the first anomaly of the fault episode, 0: there is none.
# TYPE ksigma_fault_start_timestamp_seconds gauge
ksigma_fault_start_timestamp_seconds{COMMON,signal="availability"} 946684861.876
ksigma_fault_start_timestamp_seconds{COMMON,signal="latency"} 0
# HELP ksigma_value The last sample.
# TYPE ksigma_value gauge
ksigma_value{COMMON,signal="latency"} 0.01
# HELP ksigma_baseline_samples Samples in the baseline.
# TYPE ksigma_baseline_samples gauge
ksigma_baseline_samples{COMMON,signal="latency"} 11
# HELP ksigma_mean Mean of the baseline before the last sample.
# TYPE ksigma_mean gauge
ksigma_mean{COMMON,signal="latency"} 0.01
# HELP ksigma_stddev Sample standard deviation of the baseline before the last sample.
# TYPE ksigma_stddev gauge
ksigma_stddev{COMMON,signal="latency"} 0
# HELP ksigma_threshold Beyond this value a sample is an anomaly.
# TYPE ksigma_threshold gauge
ksigma_threshold{COMMON,signal="latency",bound="lower"} 0
ksigma_threshold{COMMON,signal="latency",bound="upper"} 0.02
# HELP ksigma_anomaly 1 if the last sample was beyond its threshold, else 0.
# TYPE ksigma_anomaly gauge
ksigma_anomaly{COMMON,signal="latency"} 0
# HELP probe_http_duration_seconds Duration by phase
# TYPE probe_http_duration_seconds gauge
probe_http_duration_seconds{COMMON,phase="connect"} 0.001
probe_http_duration_seconds{COMMON,phase="transfer"} 0.0025
# HELP probe_http_status_code Response HTTP status code
# TYPE probe_http_status_code gauge
probe_http_status_code{COMMON} 503
`
