package rules_test

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/onefiveten/onefiveten/rules"
)

// tick is the distance of two values and of two evaluations in a play.
const tick = 5 * time.Second

// play is a test of the rules with series written by hand: states that probes of
// one simulated exporter never come to, such as observers that contradict each
// other. Values are in promtool's shorthand, one each tick.
type play struct {
	t      *testing.T
	ticks  int
	series []map[string]string
	checks []map[string]any
	alerts []map[string]any
}

// newPlay furnishes a healthy stage for the observers, with a receiver that is up.
func newPlay(t *testing.T, lasts time.Duration, observers ...string) *play {
	t.Helper()
	p := &play{t: t, ticks: int(lasts / tick)}
	for _, o := range observers {
		p.add("onefiveten_observer_info", p.always("1"), "observer", o)
		p.add("probe_stale_after_seconds", p.always("12"), "observer", o, "probe", "shop-nodes")
		p.add("onefiveten_service_info", p.always("1"), "observer", o, "service", "shop", "owner", "team-shop", "severity", "page", "dimensions", "node")
		p.add("onefiveten_signal_info", p.always("1"), "observer", o, "service", "shop", "signal", "availability", "mode", "page")
		p.add("onefiveten_target_seconds", p.always("300"), "observer", o, "service", "shop", "stage", "locate")
		p.add("onefiveten_target_seconds", p.always("600"), "observer", o, "service", "shop", "stage", "recover")
	}
	return p
}

// receiver says when heal-receiver is scraped, when it tells of its incidents,
// and what it then says of the node n2.
func (p *play) receiver(up, incidents, isolated string) {
	me := []string{"job", "heal-receiver", "instance", "heal:9099"}
	p.add("up", up, me...)
	p.add("heal_incidents", incidents, append(me, "state", "closed")...)
	if isolated != "" {
		p.add("heal_isolated", isolated, append(me, "service", "shop", "node", "n2")...)
	}
}

// always is one value from the beginning to the end.
func (p *play) always(v string) string { return v + "x" + strconv.Itoa(p.ticks) }

// add gives one series; labels are names and values in turn.
func (p *play) add(name, values string, labels ...string) {
	var set []string
	for i := 0; i < len(labels); i += 2 {
		set = append(set, labels[i]+"="+strconv.Quote(labels[i+1]))
	}
	p.series = append(p.series, map[string]string{"series": name + "{" + strings.Join(set, ",") + "}", "values": values})
}

// node adds one node as one observer sees it, with a probe that runs in time.
func (p *play) node(observer, node, fault, start string) {
	p.nodeSeen(observer, node, fault, start, "0+5x"+strconv.Itoa(p.ticks))
}

// nodeSeen adds one node whose probe ran last at the moments given.
func (p *play) nodeSeen(observer, node, fault, start, last string) {
	id := []string{"job", "probe", "instance", node + ":8080", "observer", observer, "probe", "shop-nodes", "service", "shop", "role", "node", "node", node}
	p.add("probe_last_run_timestamp_seconds", last, id...)
	id = append(id, "signal", "availability")
	p.add("ksigma_fault", fault, id...)
	p.add("ksigma_fault_start_timestamp_seconds", start, id...)
}

// firing expects exactly these alerts at a moment, beside the dead-man's switch.
func (p *play) firing(at time.Duration, alerts ...string) {
	var samples []map[string]any
	for _, a := range alerts {
		samples = append(samples, map[string]any{"labels": fmt.Sprintf("{alertname=%q}", a), "value": 1})
	}
	p.expect(at, `group by (alertname) (ALERTS{alertstate="firing",alertname!="Watchdog"})`, samples)
}

// gives expects an expression to give exactly these samples, by their labels.
func (p *play) gives(at time.Duration, expr string, want map[string]float64) {
	var samples []map[string]any
	for labels, v := range want {
		samples = append(samples, map[string]any{"labels": labels, "value": v})
	}
	p.expect(at, expr, samples)
}

func (p *play) expect(at time.Duration, expr string, samples []map[string]any) {
	p.checks = append(p.checks, map[string]any{"expr": expr, "eval_time": at.String(), "exp_samples": samples})
}

// run has promtool of both generations play it on the rules of a spec.
func (p *play) run(s rules.Spec) {
	p.t.Helper()
	file := p.file(write(p.t, s))
	for _, generation := range generations {
		promtool := find(p.t, generation).Promtool
		if out, ok := run(p.t, promtool.Path, "test", "rules", file); !ok {
			p.t.Errorf("promtool %s:\n%s", promtool.Version, out)
		}
	}
}

// file writes the test into the folder of the rules.
func (p *play) file(dir string) string {
	p.t.Helper()
	text, err := yaml.Marshal(map[string]any{
		"rule_files":          []string{filepath.Join(dir, rules.RulesGlob)},
		"evaluation_interval": tick.String(),
		"tests": []any{map[string]any{
			"interval": tick.String(), "input_series": p.series, "promql_expr_test": p.checks, "alert_rule_test": p.alerts,
		}},
	})
	if err != nil {
		p.t.Fatal(err)
	}
	file := filepath.Join(dir, "play.yml")
	put(p.t, file, text)
	return file
}

// A node that heal-receiver puts back while it is still bad is a fault at that
// evaluation: the receiver is heard, and does not name it any more.
func TestANodeThatIsPutBackBadIsFoundAtOnce(t *testing.T) {
	for said, isolated := range map[string]string{"no longer": "1x11 stale", "explicitly not": "1x11 0x28"} {
		t.Run(said, func(t *testing.T) {
			t.Parallel()
			p := newPlay(t, 3*time.Minute, "a")
			p.receiver(p.always("1"), p.always("7"), isolated)
			for _, n := range []string{"n1", "n3"} {
				p.node("a", n, p.always("0"), p.always("0"))
			}
			p.node("a", "n2", p.always("1"), p.always("1"))
			p.firing(55*time.Second, "NodeOutOfRotation")
			p.firing(time.Minute, "FaultDetected", "FaultLocated")
			p.run(spec("shop", 5, 2, 5, 1, "a"))
		})
	}
}

// While the receiver is not heard its last word holds for two minutes: neither
// its restart nor a journal that cannot be read brings a node back.
func TestARestartOfTheReceiverBringsNoNodeBack(t *testing.T) {
	for why, up := range map[string]string{"not scraped": "1x11 0x17 1x30", "gone": "1x11 stale _x17 1x30"} {
		t.Run(why, func(t *testing.T) {
			t.Parallel()
			p := newPlay(t, 5*time.Minute, "a")
			p.receiver(up, "7x11 stale _x17 7x30", "1x11 stale _x17 1x11 stale")
			p.node("a", "n1", p.always("0"), p.always("0"))
			p.node("a", "n2", p.always("1"), p.always("1"))
			p.firing(55*time.Second, "NodeOutOfRotation")
			p.firing(time.Minute, "NodeOutOfRotation")
			p.firing(2*time.Minute, "HealReceiverDown", "NodeOutOfRotation")
			p.firing(145*time.Second, "HealReceiverDown", "NodeOutOfRotation")
			p.firing(150*time.Second, "NodeOutOfRotation")
			p.firing(205*time.Second, "NodeOutOfRotation")
			p.firing(210*time.Second, "FaultDetected", "FaultLocated")
			p.run(spec("shop", 5, 2, 5, 1, "a"))
		})
	}
}

// The receiver is scraped, but its journal cannot be read: it says nothing of any
// incident, and so nothing of the node.
func TestAJournalThatCannotBeReadBringsNoNodeBack(t *testing.T) {
	p := newPlay(t, 4*time.Minute, "a")
	p.receiver(p.always("1"), "7x11 stale", "1x11 stale")
	p.node("a", "n1", p.always("0"), p.always("0"))
	p.node("a", "n2", p.always("1"), p.always("1"))
	p.firing(time.Minute, "NodeOutOfRotation")
	p.firing(170*time.Second, "NodeOutOfRotation")
	p.firing(3*time.Minute, "FaultDetected", "FaultLocated")
	p.run(spec("shop", 5, 2, 5, 1, "a"))
}

// A suspect is one of a minority: of two or four observers half may be cut off,
// of three one. Beyond that the service is in fault, whatever one of them says.
func TestSuspectsAreAMinorityOfTheObservers(t *testing.T) {
	fault := []string{"FaultDetected", "FaultLocated"}
	for _, c := range []struct {
		all, bad int
		want     []string
	}{
		{2, 1, []string{"ObserverFault"}}, {2, 2, fault},
		{3, 1, []string{"ObserverFault"}}, {3, 2, fault}, {3, 3, fault},
		{4, 1, []string{"ObserverFault"}}, {4, 2, []string{"ObserverFault"}}, {4, 3, fault}, {4, 4, fault},
	} {
		t.Run(fmt.Sprintf("%d of %d see all bad", c.bad, c.all), func(t *testing.T) {
			t.Parallel()
			observers := []string{"a", "b", "c", "d"}[:c.all]
			p := newPlay(t, 4*time.Minute, observers...)
			p.receiver(p.always("1"), p.always("7"), "")
			for i, o := range observers {
				for _, n := range []string{"n1", "n2", "n3"} {
					if i < c.bad {
						p.node(o, n, "0x11 1x100", "0x11 55x100")
					} else {
						p.node(o, n, p.always("0"), p.always("0"))
					}
				}
			}
			p.firing(55 * time.Second)
			p.firing(3*time.Minute, c.want...)
			p.run(spec("shop", 5, 2, 5, 1, observers...))
		})
	}
}

// An observer that sees all bad while the other sees most of it bad keeps its
// vote: together they tell which members are.
func TestAnObserverThatSeesAllBadIsNoSuspectWhereMostIsBad(t *testing.T) {
	p := newPlay(t, 3*time.Minute, "a", "b")
	p.receiver(p.always("1"), p.always("7"), "")
	for _, n := range []string{"n1", "n2", "n3"} {
		p.node("a", n, p.always("1"), p.always("1"))
		if n == "n3" {
			p.node("b", n, p.always("0"), p.always("0"))
		} else {
			p.node("b", n, p.always("1"), p.always("1"))
		}
	}
	p.firing(2*time.Minute, "FaultDetected", "FaultLocated", "ObserverDisagrees")
	p.run(spec("shop", 5, 2, 5, 1, "a", "b"))
}

// The gauges of a probe that hangs go on telling of an old fault. They have no
// vote, and give no start: the clocks of a new fault are not an hour old.
func TestAHungProbeGivesNoStart(t *testing.T) {
	p := newPlay(t, 25*time.Minute, "a", "b")
	p.receiver(p.always("1"), p.always("7"), "")
	p.node("a", "n1", p.always("0"), p.always("0"))
	p.node("b", "n1", p.always("0"), p.always("0"))
	p.nodeSeen("a", "n2", p.always("1"), p.always("1"), "0+5x3 15x300")
	p.node("b", "n2", "0x239 1x100", "0x239 1195x100")
	p.firing(1195*time.Second, "ProbeStale")
	p.firing(20*time.Minute, "FaultDetected", "FaultLocated", "ProbeStale")
	p.gives(20*time.Minute, "max by (service) (onefiveten:fault_start_timestamp_seconds:min)", map[string]float64{`{service="shop"}`: 1195})
	p.run(spec("shop", 5, 2, 5, 1, "a", "b"))
}

// Label values are data: whatever stands in the name of a node, the node is a
// member of its own and is told by its name.
func TestNamesOfNodesAreTakenAsTheyAre(t *testing.T) {
	for _, name := range []string{"n\n2", "\n", `n"2`, `n\2`, `n$1`, "n 2", `{{ $labels.x }}`, "é"} {
		t.Run(strconv.Quote(name), func(t *testing.T) {
			t.Parallel()
			p := newPlay(t, 2*time.Minute, "a")
			p.receiver(p.always("1"), p.always("7"), "")
			p.add("heal_isolated", "_x17 1x10", "job", "heal-receiver", "instance", "heal:9099", "service", "shop", "node", name)
			p.node("a", "n1", p.always("0"), p.always("0"))
			p.node("a", name, p.always("1"), p.always("1"))
			p.firing(time.Minute, "FaultDetected", "FaultLocated")
			located := `count by (scope, member, node) (ALERTS{alertname="FaultLocated"})`
			p.gives(time.Minute, located, map[string]float64{fmt.Sprintf(`{member=%q,node=%q,scope="node"}`, name, name): 1})
			p.firing(2*time.Minute, "NodeOutOfRotation")
			p.run(spec("shop", 5, 2, 5, 1, "a"))
		})
	}
}

// Without the label node the address is the member, in the same way.
func TestAnAddressOfSeveralLinesIsAMember(t *testing.T) {
	p := newPlay(t, time.Minute, "a")
	p.receiver(p.always("1"), p.always("7"), "")
	for _, n := range []string{"x\n1", "x\n2"} {
		id := []string{"job", "probe", "instance", n, "observer", "a", "probe", "shop-nodes", "service", "shop", "role", "node"}
		p.add("probe_last_run_timestamp_seconds", "0+5x20", id...)
		p.add("ksigma_fault", map[string]string{"x\n1": "0x20", "x\n2": "1x20"}[n], append(id, "signal", "availability")...)
		p.add("ksigma_fault_start_timestamp_seconds", "1x20", append(id, "signal", "availability")...)
	}
	p.gives(30*time.Second, "sum by (member) (onefiveten:member_fault:bool)", map[string]float64{`{member="x\n1"}`: 0, `{member="x\n2"}`: 1})
	p.run(spec("shop", 5, 2, 5, 1, "a"))
}

// A node that leaves the configuration of one observer first is judged by the
// other; one that has left altogether is neither good nor bad.
func TestANodeThatLeavesTheConfigurationIsNoFault(t *testing.T) {
	p := newPlay(t, 5*time.Minute, "a", "b")
	p.receiver(p.always("1"), p.always("7"), "")
	for _, o := range []string{"a", "b"} {
		p.node(o, "n1", p.always("0"), p.always("0"))
		p.node(o, "n3", p.always("0"), p.always("0"))
	}
	p.nodeSeen("a", "n2", "1x11 stale", "1x11 stale", "0+5x11 stale")
	p.nodeSeen("b", "n2", "1x23 stale", "1x23 stale", "0+5x23 stale")
	p.firing(55*time.Second, "FaultDetected", "FaultLocated")
	p.firing(115*time.Second, "FaultDetected", "FaultLocated")
	p.gives(2*time.Minute, "count by (member) (onefiveten:member_fault:bool)", map[string]float64{`{member="n1"}`: 1, `{member="n3"}`: 1})
	p.firing(5 * time.Minute)
	p.run(spec("shop", 5, 2, 5, 1, "a", "b"))
}

// A tie of many votes is a tie, however the mean of them is rounded: Prometheus 2
// adds them up one by one, and the order of the series is that of their arrival.
func TestATieOfManyObserversIsNoFault(t *testing.T) {
	var observers []string
	for i := range 8 {
		observers = append(observers, fmt.Sprintf("o%d", i))
	}
	for turn := range len(observers) {
		t.Run(fmt.Sprint(turn), func(t *testing.T) {
			t.Parallel()
			p := newPlay(t, time.Minute, observers...)
			p.receiver(p.always("1"), p.always("7"), "")
			for i, o := range observers {
				p.node(o, "n1", p.always("0"), p.always("0"))
				bad := "0"
				if (i+turn)%len(observers) < len(observers)/2 {
					bad = "1"
				}
				p.node(o, "n2", p.always(bad), p.always(bad))
			}
			p.firing(time.Minute, "ObserverDisagrees")
			p.run(spec("shop", 5, 2, 5, 1, observers...))
		})
	}
}

// At the edge of a total outage one observer sees it up to 38 s before the other:
// P = S = E = 5, two bad samples or seven. That is neither a suspicion, which would
// keep heal-receiver away, nor a disagreement.
func TestTheEdgeOfAnOutageSuspectsNobody(t *testing.T) {
	p := newPlay(t, 3*time.Minute, "a", "b")
	p.receiver(p.always("1"), p.always("7"), "")
	for _, n := range []string{"n1", "n2", "n3"} {
		p.node("a", n, "0x11 1x30", "0x11 55x30")
		p.node("b", n, "0x18 1x30", "0x11 55x30")
	}
	for at := time.Minute; at < 95*time.Second; at += tick {
		p.firing(at)
	}
	p.firing(95*time.Second, "FaultDetected", "FaultLocated")
	p.run(spec("shop", 5, 2, 5, 1, "a", "b"))
}
