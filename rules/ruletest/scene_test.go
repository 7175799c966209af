package ruletest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/onefiveten/onefiveten/rules/layout"
	"github.com/onefiveten/onefiveten/sigma"
)

// dur makes a duration of seconds.
func dur(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// shop is a service with the shipped defaults, of one node-like probe: P, d_p,
// S = E, d_s in seconds, and the cap. d_e is 1s.
func shop(p, dp, s, ds, limit float64) Spec {
	fault := sigma.Fault{Window: time.Minute, Floor: .05, Cap: limit, MinAnomalies: 2, K: 3, Clear: 3}
	m := fault.Bad(dur(p))
	return Spec{
		Files: []string{"../rules/a.yml"}, Observers: []string{"a"},
		Every: dur(s), Scrape: dur(s), ScrapeTakes: dur(ds),
		Restart: dur(5), Differ: dur(30), Disagree: dur(30), Dwell: dur(15), Receiver: &Receiver{},
		Services: []Service{{
			Name: "shop", Owner: "team-shop", Severity: "page", Dimensions: []string{roleNode}, Signals: []Signal{{availability, "page"}},
			Locate: 5 * time.Minute, Recover: 10 * time.Minute, Keep: (30*time.Second + dur(s) - 1) / dur(s) * dur(s),
		}},
		Proofs: []Proof{{
			Service: "shop", Signal: availability, Probe: "shop-nodes", Interval: dur(p), Timeout: dur(dp), Fault: fault,
			Bad: m, Bound: dur(p+dp+s+ds+s+1) + time.Duration(m-1)*dur(p),
		}},
	}
}

// stage is an empty scene of a spec.
func stage(t *testing.T, s Spec) *scene {
	t.Helper()
	c, err := s.scene(s.Proofs[0])
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestWorstPhase_IsWithinTheBoundByNoMoreThanWhatPromtoolCannotShow(t *testing.T) {
	for _, s := range []Spec{shop(5, 2, 5, 1, .5), shop(1, .5, 1, .5, .5), shop(5, 2, 15, 10, .15), shop(10, 3, 10, 2, .28), shop(2, 5, 5, 1, .3)} {
		c := stage(t, s)
		if c = c.worstPhase(); c.err != nil {
			t.Fatal(c.err)
		}
		var began, fires, bound float64
		if _, err := fmt.Sscanf(c.name, "worst phase of availability: the fault begins at %fs, fires at %fs, bound %fs", &began, &fires, &bound); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		// promtool knows no d_e, no group_wait and no delivery.
		if gap := began + bound - fires - 1; gap < 0 || gap > .0031 {
			t.Errorf("%s: the gap is %v, want 3 ms", c.name, gap)
		}
	}
}

func TestScene_SaysWhatCannotBeMade(t *testing.T) {
	s := shop(5, 2, 5, 1, .5)
	if _, err := s.scene(Proof{Service: "other", Signal: availability}); err == nil || err.Error() != `there is no service "other" with a signal "availability", of which a proof tells` {
		t.Errorf("got %v", err)
	}
	c := stage(t, s)
	c.expect(time.Second)
	if c.err == nil || c.err.Error() != "a check at 1s, after the end at 0s" {
		t.Errorf("got %v", c.err)
	}
	s.Proofs[0].Bad = 1
	if _, err := Generate(s); err == nil || !strings.Contains(err.Error(), "fires at") {
		t.Errorf("a bound that sigma does not keep: got %v", err)
	}
}

// text is a scene as it stands in the file.
func text(t *testing.T, c *scene) string {
	t.Helper()
	data, err := layout.Encode("", layout.List(c.node()))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func wantText(t *testing.T, c *scene, want string) {
	t.Helper()
	if diff := cmp.Diff(strings.TrimPrefix(want, "\n"), text(t, c)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if c.err != nil {
		t.Error(c.err)
	}
}

func TestScene_IsWrittenAsPromtoolReadsIt(t *testing.T) {
	c := stage(t, shop(5, 2, 5, 1, .25))
	c.name, c.end = `a "name": of #1`, 10*time.Second
	c.add("up", []label{{"job", `a"b\`}, {"instance", ""}}, "1x10")
	c.add("up", []label{{"job", `a"b\`}}, "0x10") // the same series: the first one holds
	c.add("up", nil, "0x10")
	c.expect(5 * time.Second)
	c.expect(c.end, "FaultDetected")
	c.expectAll(c.end, firing{"HealReceiverDown", "", 2})
	c.query(1500*time.Millisecond, "count(up)", sample("{}", "2"))
	c.alert(c.end, "FaultDetected", c.who(label{"node", "n1"}), []label{{"summary", "{{ no template }}"}})
	wantText(t, c, `
- name: 'a "name": of #1'
  interval: 1s
  input_series:
    - {series: 'up{job="a\"b\\"}', values: 1x10}
    - {series: 'up{}', values: "0x10"}
  promql_expr_test:
    - {expr: 'count by (service, alertname) (ALERTS{alertstate="firing",alertname!="Watchdog"})', eval_time: 5s, exp_samples: []}
    - {expr: 'count by (service, alertname) (ALERTS{alertstate="firing",alertname!="Watchdog"})', eval_time: 10s, exp_samples: [{labels: '{alertname="FaultDetected",service="shop"}', value: 1}]}
    - {expr: 'count by (service, alertname) (ALERTS{alertstate="firing",alertname!="Watchdog"})', eval_time: 10s, exp_samples: [{labels: '{alertname="HealReceiverDown"}', value: 2}]}
    - {expr: count(up), eval_time: 1s500ms, exp_samples: [{labels: '{}', value: 2}]}
  alert_rule_test:
    - eval_time: 10s
      alertname: FaultDetected
      exp_alerts:
        - exp_labels: {service: shop, owner: team-shop, signal: availability, severity: page, heal: "true", node: n1}
          exp_annotations:
            summary: '{{ no template }}'
`)
}

// The series that are not about a target, of an observer that goes away and one
// that does not watch the service.
func TestScene_FurnishesWhatRulesJoin(t *testing.T) {
	s := shop(5, 2, 5, 1, .25)
	s.Observers, s.Services[0].Observers = []string{"a", "b", "c"}, []string{"a", "b"}
	s.Services[0].Signals = append(s.Services[0].Signals, Signal{"latency", "ticket"})
	c := stage(t, s)
	c.name, c.end = "furnished", 20*time.Second
	c.furnish(s.Services, map[string]time.Duration{"b": 9500 * time.Millisecond, "heal-receiver": 5 * time.Second})
	wantText(t, c, `
- name: furnished
  interval: 1s
  input_series:
    - {series: 'onefiveten_observer_info{observer="a"}', values: 1x20}
    - {series: 'probe_stale_after_seconds{observer="a",probe="shop-nodes"}', values: 12x20}
    - {series: 'onefiveten_service_info{service="shop",owner="team-shop",severity="page",dimensions="node",observer="a"}', values: 1x20}
    - {series: 'onefiveten_signal_info{service="shop",signal="availability",mode="page",observer="a"}', values: 1x20}
    - {series: 'onefiveten_signal_info{service="shop",signal="latency",mode="ticket",observer="a"}', values: 1x20}
    - {series: 'onefiveten_target_seconds{service="shop",stage="locate",observer="a"}', values: 300x20}
    - {series: 'onefiveten_target_seconds{service="shop",stage="recover",observer="a"}', values: 600x20}
    - {series: 'onefiveten_detect_bound_seconds{service="shop",signal="availability",observer="a"}', values: 34x20}
    - {series: 'onefiveten_observer_info{observer="b"}', values: 1x9 stale}
    - {series: 'probe_stale_after_seconds{observer="b",probe="shop-nodes"}', values: 12x9 stale}
    - {series: 'onefiveten_service_info{service="shop",owner="team-shop",severity="page",dimensions="node",observer="b"}', values: 1x9 stale}
    - {series: 'onefiveten_signal_info{service="shop",signal="availability",mode="page",observer="b"}', values: 1x9 stale}
    - {series: 'onefiveten_signal_info{service="shop",signal="latency",mode="ticket",observer="b"}', values: 1x9 stale}
    - {series: 'onefiveten_target_seconds{service="shop",stage="locate",observer="b"}', values: 300x9 stale}
    - {series: 'onefiveten_target_seconds{service="shop",stage="recover",observer="b"}', values: 600x9 stale}
    - {series: 'onefiveten_detect_bound_seconds{service="shop",signal="availability",observer="b"}', values: 34x9 stale}
    - {series: 'onefiveten_observer_info{observer="c"}', values: 1x20}
    - {series: 'up{job="heal-receiver",instance="127.0.0.1:9099"}', values: 1x4 0x15}
  promql_expr_test: []
`)
}

// A target as its observers see it: the node of a second port, and an entry.
func TestScene_PlaysATargetForEachObserver(t *testing.T) {
	s := shop(5, 2, 5, 1, .25)
	s.Observers = []string{"a", "b", "c"} // two are enough for a quorum
	c := stage(t, s)
	c.name, c.end = "played", 20*time.Second
	c.play("shop", "lb", roleEntry, fate{})
	tr := c.playFor("shop", actor{observer: "a", instance: "n1:8081", role: roleNode, node: "n1", fate: fate{bad: from(0)}})
	wantText(t, c, `
- name: played
  interval: 1s
  input_series:
    - {series: 'ksigma_fault{job="probe",instance="lb",observer="a",probe="shop-nodes",service="shop",role="entry",signal="availability"}', values: "0x20"}
    - {series: 'ksigma_fault_start_timestamp_seconds{job="probe",instance="lb",observer="a",probe="shop-nodes",service="shop",role="entry",signal="availability"}', values: "0x20"}
    - {series: 'probe_last_run_timestamp_seconds{job="probe",instance="lb",observer="a",probe="shop-nodes",service="shop",role="entry"}', values: -1.674+1x20}
    - {series: 'ksigma_fault{job="probe",instance="lb",observer="b",probe="shop-nodes",service="shop",role="entry",signal="availability"}', values: "0x20"}
    - {series: 'ksigma_fault_start_timestamp_seconds{job="probe",instance="lb",observer="b",probe="shop-nodes",service="shop",role="entry",signal="availability"}', values: "0x20"}
    - {series: 'probe_last_run_timestamp_seconds{job="probe",instance="lb",observer="b",probe="shop-nodes",service="shop",role="entry"}', values: -1.674+1x20}
    - {series: 'ksigma_fault{job="probe",instance="n1:8081",observer="a",probe="shop-nodes",service="shop",role="node",node="n1",signal="availability"}', values: 0x14 1x5}
    - {series: 'ksigma_fault_start_timestamp_seconds{job="probe",instance="n1:8081",observer="a",probe="shop-nodes",service="shop",role="node",node="n1",signal="availability"}', values: 0x9 1.666x10}
    - {series: 'probe_last_run_timestamp_seconds{job="probe",instance="n1:8081",observer="a",probe="shop-nodes",service="shop",role="node",node="n1"}', values: -1.674+1x4 -1.674+1x4 5.326+1x10}
  promql_expr_test: []
`)
	if at := c.seen(tr.fault, 1000, 0); at != 15*time.Second {
		t.Errorf("seen at %s, want at the evaluation of 15s", at)
	}
	if start, annotation := c.startOf(tr, 15*time.Second); start != 1666 || annotation.value != "1.666" {
		t.Errorf("got a start of %d and %v, want 1666", start, annotation)
	}
	if c.seen(tr.fault, 1000, 21*time.Second); c.err == nil || c.err.Error() != "nothing to be seen from 21s to 20s" {
		t.Errorf("got %v, want the reason why there is nothing to be seen", c.err)
	}
}

func TestScene_ConstantEndsBeforeItIsStale(t *testing.T) {
	c := stage(t, shop(5, 2, 5, 1, .25))
	c.end = 20 * time.Second
	for until, want := range map[time.Duration]string{
		0: "7x20", time.Second: "7x0 stale", 1500 * time.Millisecond: "7x1 stale", 19 * time.Second: "7x18 stale",
		20 * time.Second: "7x20", time.Hour: "7x20",
	} {
		if got := c.constant("7", until); got != want {
			t.Errorf("until %s: got %q, want %q", until, got, want)
		}
	}
}

func TestScene_IsolatesANodeAsTheReceiverSays(t *testing.T) {
	c := stage(t, shop(5, 2, 5, 1, .25))
	c.name, c.end = "isolated", 20*time.Second
	c.isolate("n2", 5*time.Second, 15*time.Second)
	c.heard(10 * time.Second)
	for _, want := range []string{
		`{series: 'heal_isolated{job="heal-receiver",instance="127.0.0.1:9099",service="shop",node="n2"}', values: _x5 1x9 stale}`,
		`{series: 'heal_incidents{job="heal-receiver",instance="127.0.0.1:9099",state="closed"}', values: 0x9 stale}`,
	} {
		if got := text(t, c); !strings.Contains(got, want) {
			t.Errorf("got\n%swant in it %s", got, want)
		}
	}
}

// The times that cases reckon with, at P = S = E = 5, d_p = 2, d_s = 1, m = 4.
func TestScene_Times(t *testing.T) {
	c := stage(t, shop(5, 2, 5, 1, .25))
	for name, x := range map[string]struct{ got, want time.Duration }{
		"keep":                {c.keep(), dur(30)},
		"reach":               {c.reach(), dur(34 + 4*5 + 5 + 1 + 10)},
		"cycle":               {c.cycle(), dur(5)},
		"overdue on the tick": {c.overdue(60_000, dur(300)), dur(360)},
		"overdue after it":    {c.overdue(60_001, dur(300)), dur(365)},
		"next":                {c.next(dur(5.001)), dur(10)},
		"step":                {c.step, dur(1)},
	} {
		if x.got != x.want {
			t.Errorf("%s: got %s, want %s", name, x.got, x.want)
		}
	}
	odd := stage(t, shop(7, 2, 11, 1, .25))
	if got := odd.cycle(); got != dur(77) {
		t.Errorf("cycle of 7 and 11: got %s, want 77s", got)
	}
}

func TestScene_OtherServiceDiffersInItsNames(t *testing.T) {
	c := stage(t, shop(5, 2, 5, 1, .25))
	want := c.service
	want.Name, want.Owner = "shop-2", "team-shop-2"
	if diff := cmp.Diff(want, c.other()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestHumanized_IsAsPrometheusWritesIt(t *testing.T) {
	for d, want := range map[time.Duration]string{
		5*time.Minute + 2*time.Second: "5m 2s", 600 * time.Second: "10m 0s", 3601 * time.Second: "1h 0m 1s",
		90061 * time.Second: "1d 1h 1m 1s", 33500 * time.Millisecond: "33.5s",
	} {
		if got := humanized(d); got != want {
			t.Errorf("%s: got %q, want %q", d, got, want)
		}
	}
}
