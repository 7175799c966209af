package rules_test

import (
	"testing"
	"time"
)

// While the fault moves from one node to the other, and while the last node of an
// outage recovers, the place is known: FaultNotLocated does not come in between.
func TestAPlaceThatChangesIsNotUnknown(t *testing.T) {
	for name, c := range map[string]struct{ n1, n2 string }{
		"from node to node":    {"0x11 1x71 0x60", "0x83 1x60"},
		"from service to node": {"0x11 1x71 0x60", "0x11 1x150"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlay(t, 9*time.Minute, "a")
			p.receiver(p.always("1"), p.always("7"), "")
			p.node("a", "n1", c.n1, "60x200")
			p.node("a", "n2", c.n2, "60x200")
			p.node("a", "n3", c.n2, "60x200")
			if name == "from node to node" {
				p.series[len(p.series)-2]["values"] = p.always("0") // of n3
			}
			for at := 6 * time.Minute; at < 8*time.Minute; at += tick {
				p.firing(at, "FaultDetected", "FaultLocated")
			}
			p.run(spec("shop", 5, 2, 5, 1, "a"))
		})
	}
}

// Of an outage of the whole service the last node that recovers is not the place,
// unless it stays bad: another place takes two evaluations, as any change does.
func TestTheLastNodeOfAnOutageIsNotItsPlace(t *testing.T) {
	p := newPlay(t, 5*time.Minute, "a")
	p.receiver(p.always("1"), p.always("7"), "")
	p.node("a", "n1", "0x11 1x11 0x60", "0x11 60x60")
	p.node("a", "n2", "0x11 1x11 0x60", "0x11 60x60")
	p.node("a", "n3", "0x11 1x12 0x60", "0x11 60x60")
	for at := time.Minute; at < 150*time.Second; at += tick {
		p.gives(at, `count by (scope) (ALERTS{alertname="FaultLocated"})`, map[string]float64{`{scope="service"}`: 1})
	}
	p.run(spec("shop", 5, 2, 5, 1, "a"))
}

// mapped is a stage of a service whose nodes have zones.
func mapped(t *testing.T, observers ...string) *play {
	t.Helper()
	p := &play{t: t, ticks: 24}
	for _, o := range observers {
		p.add("onefiveten_observer_info", p.always("1"), "observer", o)
		for _, probe := range []string{"http", "tcp"} {
			p.add("probe_stale_after_seconds", p.always("12"), "observer", o, "probe", probe)
		}
		p.add("onefiveten_service_info", p.always("1"), "observer", o, "service", "shop", "owner", "team-shop", "severity", "page", "dimensions", "node,zone")
		p.add("onefiveten_signal_info", p.always("1"), "observer", o, "service", "shop", "signal", "availability", "mode", "page")
	}
	p.receiver(p.always("1"), p.always("7"), "")
	return p
}

// Under backend promql, too, an evaluation is one of the rules, however seldom is
// scraped: from one place to another it takes two of them.
func TestPromQL_AnotherPlaceTakesTwoEvaluations(t *testing.T) {
	p := mapped(t, "a")
	for _, name := range []string{"onefiveten_fault_cap_ratio", "onefiveten_fault_min_anomalies"} {
		values := map[string]string{"onefiveten_fault_cap_ratio": "0.2", "onefiveten_fault_min_anomalies": "2"}[name]
		p.add(name, p.always(values), "observer", "a", "service", "shop", "signal", "availability", "rule_set", "page-node-zone-availability-1m")
	}
	for node, c := range map[string]struct{ zone, success string }{"n1": {"za", "1x11 0x40"}, "n2": {"za", "1x12 0x40"}, "n3": {"zb", "1x60"}, "n4": {"zb", "1x60"}} {
		id := []string{"job", "probe", "instance", node, "observer", "a", "probe", "http", "service", "shop", "role", "node", "node", node, "zone", c.zone}
		p.add("probe_last_run_timestamp_seconds", "0+5x60", id...)
		p.add("probe_success", c.success, id...)
		p.add("probe_first_failure_timestamp_seconds", "1x60", id...)
	}
	s := scrapedOf(5, 2, 15, 5, "a")
	s.Services[0].Signals = s.Services[0].Signals[:1]
	s.Services[0].Dimensions = []string{"node", "zone"}
	s.Prometheus.Evaluation.Interval = seconds(5)
	for at, places := range map[time.Duration]map[string]float64{
		70 * time.Second: nil,
		75 * time.Second: {`{member="n1"}`: 1},
		80 * time.Second: nil, // both, for the first time
		85 * time.Second: {`{member="za"}`: 1},
	} {
		p.gives(at, "count by (member) (onefiveten:member_located:ratio)", places)
	}
	p.run(s)
}
