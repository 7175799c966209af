package rules_test

import (
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/onefiveten/onefiveten/rules"
)

// paging has a signal of a query that pages, and the dimensions beside node.
func paging(further ...string) rules.Spec {
	s := with(spec("shop", 5, 2, 5, 1, "a"), asked("errors", "page", "x", 5, 2))
	s.Services[0].Signals[2].Detect = 10 * time.Minute
	s.Services[0].Dimensions = append(s.Services[0].Dimensions, further...)
	return s
}

// valued is a node as an observer sees it by the signal errors, in promtool's
// shorthand. One without a fault has no past yet, and so no mean; one without a
// traffic none.
type valued struct {
	labels                                 string // name=value, the node first
	fault, value, mean, threshold, traffic string
}

// values sets the stage for a signal of a query, of which a low value is bad where
// the direction is lower.
func (p *play) values(dimensions, direction string, nodes ...valued) {
	p.add("onefiveten_observer_info", p.always("1"), "observer", "a")
	p.add("onefiveten_service_info", p.always("1"), "observer", "a", "service", "shop", "owner", "team-shop", "severity", "page", "dimensions", dimensions)
	p.receiver(p.always("1"), p.always("7"), "")
	p.judged("errors", direction, nodes...)
}

// judged adds one signal with all that is told of it.
func (p *play) judged(name, direction string, nodes ...valued) {
	signal := []string{"observer", "a", "service", "shop", "signal", name}
	p.add("onefiveten_signal_info", p.always("1"), append(signal[:6:6], "mode", "page")...)
	p.add("ksigma_signal_info", p.always("1"), append(signal[:6:6], "direction", direction)...)
	p.add("signal_stale_after_seconds", p.always("12"), signal...)
	p.add("signal_last_run_timestamp_seconds", "0+5x"+strconv.Itoa(p.ticks), signal...)
	for _, n := range nodes {
		id := append(signal[:6:6], "job", "probe", "role", "node")
		var members []string
		for _, pair := range strings.Fields(n.labels) {
			name, value, _ := strings.Cut(pair, "=")
			id, members = append(id, name, value), append(members, value)
		}
		id = append(id, "instance", strings.Join(members, ","))
		bound := append(id[:len(id):len(id)], "bound", strings.Replace(direction, "both", "upper", 1))
		for _, series := range []struct {
			name, values string
			labels       []string
		}{
			{"ksigma_value", n.value, id}, {"ksigma_mean", n.mean, id}, {"ksigma_threshold", n.threshold, bound},
			{"ksigma_fault", n.fault, id}, {"ksigma_fault_start_timestamp_seconds", n.fault, id}, {"signal_traffic", n.traffic, id},
		} {
			if series.values != "" {
				p.add(series.name, series.values, series.labels...)
			}
		}
	}
}

// stage is a play of one signal of a query.
func stage(t *testing.T, lasts time.Duration) *play {
	t.Helper()
	return &play{t: t, ticks: int(lasts / tick)}
}

// rounded expects an expression to give these numbers, to a millionth: generations
// add up in different orders.
func (p *play) rounded(at time.Duration, expr string, want map[string]float64) {
	near := map[string]float64{}
	for labels, v := range want {
		near[labels] = math.Floor(v*1e6+.5) / 1e6
	}
	p.gives(at, "round("+expr+", 0.000001)", near)
}

// located expects exactly these places, as scope and member, and never a member
// beside the service.
func (p *play) located(at time.Duration, places ...string) {
	want := map[string]float64{}
	for _, place := range places {
		scope, member, named := strings.Cut(place, " ")
		labels := fmt.Sprintf("{scope=%q}", scope)
		if named {
			labels = fmt.Sprintf("{member=%q, scope=%q}", member, scope)
		}
		want[labels] = 1
	}
	p.gives(at, `count by (scope, member) (ALERTS{alertname="FaultLocated"})`, want)
	p.gives(at, `onefiveten:member_candidate:ratio and on (service, signal) onefiveten:service_located:sum`, nil)
}

// bad is a node in fault with the value, a usual one of 0 and a limit of 0.3.
func (p *play) bad(labels string, value float64) valued {
	return valued{labels: labels, fault: p.always("1"), value: p.always(fmt.Sprint(value)), mean: p.always("0"), threshold: p.always("0.3")}
}

// failing is a node with a failure ratio, the one that it usually has, and requests
// per second. It is in fault above .05.
func (p *play) failing(labels string, ratio, usual, traffic float64) valued {
	number := func(v float64) string { return p.always(strconv.FormatFloat(v, 'f', -1, 64)) }
	fault := "0"
	if ratio > .05 {
		fault = "1"
	}
	return valued{labels, p.always(fault), number(ratio), number(usual), number(.05), number(traffic)}
}

// leaveOneOut is how many deviations of the others a value lies from their mean, by
// the definition in two passes.
func leaveOneOut(x []float64, i int) float64 {
	rest := slices.Delete(slices.Clone(x), i, i+1)
	mean, squares := 0., 0.
	for _, v := range rest {
		mean += v / float64(len(rest))
	}
	for _, v := range rest {
		squares += (v - mean) * (v - mean)
	}
	return (x[i] - mean) / max(math.Sqrt(squares/float64(len(rest)-1)), .1)
}

func median(x []float64) float64 {
	x = slices.Sorted(slices.Values(x))
	return (x[(len(x)-1)/2] + x[len(x)/2]) / 2
}

// byMAD is how many scaled deviations a value lies from the median: the median of all
// distances from it times 1.4826.
func byMAD(x []float64, i int) float64 {
	m, far := median(x), make([]float64, len(x))
	for j, v := range x {
		far[j] = math.Abs(v - m)
	}
	return (x[i] - m) / max(1.4826*median(far), .1)
}

// Both methods with values whose result is published: of 10, 11, 9, 10 and 40 the last lies
// 20.234723 spreads off by MAD; against others with the same mean and deviation as
// those four, 36.742346 by leaving it out. A limit of 0.3 gives the floor of 0.1.
func TestPeers_AreComparedAsPublished(t *testing.T) {
	d := math.Sqrt(2. / 3)
	for name, c := range map[string]struct {
		values []float64
		by     func(x []float64, i int) float64
		last   float64
	}{
		"five by MAD":          {[]float64{10, 11, 9, 10, 40}, byMAD, 20.234723},
		"four by the others":   {[]float64{10 - d, 10, 10 + d, 40}, leaveOneOut, 36.742346},
		"three by the others":  {[]float64{9, 11, 40}, leaveOneOut, 21.213203},
		"a spread of nothing":  {[]float64{10, 10, 10, 40}, leaveOneOut, 300},
		"most alike":           {[]float64{10, 10, 10, 10, 10, 40}, byMAD, 300},
		"far above their mean": {[]float64{1e3 + 9, 1e3 + 11, 1e3 + 40}, leaveOneOut, 21.213203},
		"two are not compared": {[]float64{9, 40}, nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := stage(t, time.Minute)
			var nodes []valued
			want := map[string]float64{}
			for i, v := range c.values {
				nodes = append(nodes, p.bad(fmt.Sprint("node=n", i), v))
				if c.by != nil {
					want[fmt.Sprintf(`{member="n%d"}`, i)] = c.by(c.values, i)
				}
			}
			if last := want[fmt.Sprintf(`{member="n%d"}`, len(c.values)-1)]; math.Abs(last-c.last) > 1e-6 {
				t.Fatalf("the definition gives %v, want %v", last, c.last)
			}
			p.values("node", "upper", nodes...)
			p.rounded(30*time.Second, `sum by (member) (onefiveten:member_excess:ratio{feature="z"})`, want)
			p.run(paging())
		})
	}
}

// Method B with the published values: of 100, 100 and 50 requests in 15 s 1, 1 and 31
// fail, where 1 in 100 and 1 in 50 did. All of the excess, 2 a second, is the third's.
func TestExcess_IsSharedAsPublished(t *testing.T) {
	p := stage(t, time.Minute)
	p.values("node", "upper",
		p.failing("node=n1", .01, .01, 100./15), p.failing("node=n2", .01, .01, 100./15), p.failing("node=n3", .62, .02, 50./15))
	at := 30 * time.Second
	p.rounded(at, `sum by (member) (onefiveten:member_value:avg{feature="excess"})`, map[string]float64{`{member="n1"}`: 0, `{member="n2"}`: 0, `{member="n3"}`: 2})
	p.rounded(at, `sum by (member) (onefiveten:member_lift:ratio)`, map[string]float64{`{member="n1"}`: -.4, `{member="n2"}`: -.4, `{member="n3"}`: .8})
	p.located(at, "node n3")
	p.run(paging())
}

// Places are found by what they carry. Ratios are failures per request; each has its
// reason in the name.
func TestExcess_LiesWhereItIsCarried(t *testing.T) {
	well := func(p *play, labels string) valued { return p.failing(labels, .01, .01, 10) }
	for name, c := range map[string]struct {
		dimensions []string
		nodes      func(p *play) []valued
		want       []string
	}{
		"one of two nodes": {nil, func(p *play) []valued {
			return []valued{well(p, "node=n1"), p.failing("node=n2", .5, .01, 10)}
		}, []string{"node n2"}},
		"evenly spread": {nil, func(p *play) []valued {
			return []valued{p.failing("node=n1", .5, .01, 10), p.failing("node=n2", .5, .01, 10), p.failing("node=n3", .5, .01, 10)}
		}, []string{"service"}},
		"all are bad, and one is far worse": {nil, func(p *play) []valued {
			return []valued{p.failing("node=n1", .06, .01, 10), p.failing("node=n2", .06, .01, 10), p.failing("node=n3", .9, .01, 10)}
		}, []string{"node n3"}},
		"the greatest node carries no more than its traffic": {nil, func(p *play) []valued {
			return []valued{p.failing("node=n1", .2, .01, 800), p.failing("node=n2", .2, .01, 100), p.failing("node=n3", .2, .01, 100)}
		}, []string{"service"}},
		"a zone": {[]string{"zone"}, func(p *play) []valued {
			return []valued{well(p, "node=n1 zone=za"), well(p, "node=n2 zone=za"), well(p, "node=n3 zone=zb"), well(p, "node=n4 zone=zb"),
				p.failing("node=n5 zone=zc", .5, .01, 10), p.failing("node=n6 zone=zc", .5, .01, 10)}
		}, []string{"zone zc"}},
		"a zone whose nodes are too slow to vote": {[]string{"zone"}, func(p *play) []valued {
			late := p.failing("node=n5 zone=zc", .5, .01, 10)
			late.fault = p.always("0")
			return []valued{well(p, "node=n1 zone=za"), well(p, "node=n2 zone=za"), well(p, "node=n3 zone=zb"), well(p, "node=n4 zone=zb"),
				late, p.failing("node=n6 zone=zc", .5, .01, 10)}
		}, []string{"zone zc"}},
		"two nodes of a zone of five": {[]string{"zone"}, func(p *play) []valued {
			nodes := []valued{p.failing("node=n1 zone=za", .5, .01, 10), p.failing("node=n2 zone=za", .5, .01, 10)}
			for i := 3; i <= 10; i++ {
				nodes = append(nodes, well(p, fmt.Sprintf("node=n%d zone=z%c", i, "ab"[i/6])))
			}
			return nodes
		}, []string{"node n1", "node n2"}},
		"a zone of one node is that node": {[]string{"zone"}, func(p *play) []valued {
			return []valued{well(p, "node=n1 zone=za"), well(p, "node=n2 zone=zb"), p.failing("node=n3 zone=zc", .5, .01, 10)}
		}, []string{"node n3"}},
		"a node without a zone": {[]string{"zone"}, func(p *play) []valued {
			return []valued{well(p, "node=n1 zone=za"), well(p, "node=n2 zone=za"), well(p, "node=n3 zone=zb"), well(p, "node=n4 zone=zb"), p.failing("node=n5", .5, .01, 10)}
		}, []string{"node n5"}},
		"a version that is the whole of a zone is both": {[]string{"zone", "version"}, func(p *play) []valued {
			return []valued{well(p, "node=n1 version=v1 zone=za"), well(p, "node=n2 version=v1 zone=za"), well(p, "node=n3 version=v1 zone=zb"), well(p, "node=n4 version=v1 zone=zb"),
				p.failing("node=n5 version=v2 zone=zc", .5, .01, 10), p.failing("node=n6 version=v2 zone=zc", .4, .01, 30)}
		}, []string{"zone zc", "version v2"}},
		"a node without traffic is no share": {nil, func(p *play) []valued {
			return []valued{well(p, "node=n1"), p.failing("node=n2", .5, .01, 10), p.failing("node=n3", 1, .01, 0)}
		}, []string{"node n2"}},
		"no traffic at all: by votes": {nil, func(p *play) []valued {
			return []valued{p.failing("node=n1", .01, .01, 0), p.failing("node=n2", .5, .01, 0)}
		}, []string{"node n2"}},
		"better than usual: by votes": {nil, func(p *play) []valued {
			calm := p.failing("node=n2", .01, .02, 10)
			calm.fault = p.always("1")
			return []valued{p.failing("node=n1", .01, .02, 10), calm}
		}, []string{"node n2"}},
		"a version without a past": {[]string{"version"}, func(p *play) []valued {
			young := func(node string) valued {
				v := p.failing(node, .5, 0, 10)
				v.fault, v.mean, v.threshold = "", "", ""
				return v
			}
			return []valued{p.failing("node=n1 version=v1", .06, .01, 10), p.failing("node=n2 version=v1", .02, .01, 10), well(p, "node=n3 version=v1"), well(p, "node=n4 version=v1"),
				young("node=n5 version=v2"), young("node=n6 version=v2")}
		}, []string{"version v2"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := stage(t, time.Minute)
			dimensions := append([]string{"node"}, c.dimensions...)
			slices.Sort(dimensions)
			p.values(strings.Join(dimensions, ","), "upper", c.nodes(p)...)
			p.located(30*time.Second, c.want...)
			for _, name := range []string{"onefiveten:member_value:avg", "onefiveten:member_excess:ratio", "onefiveten:member_lift:ratio"} {
				p.gives(30*time.Second, name+" != "+name, nil) // which NaN alone is
			}
			p.run(paging(c.dimensions...))
		})
	}
}

// Where values carry no traffic, votes decide as they always did, and peers only
// where too many nodes are bad.
func TestPeers_TellTheWorstOfManyBadNodes(t *testing.T) {
	for name, c := range map[string]struct {
		values []float64 // .3 and more is in fault
		want   []string
	}{
		"few are bad: by votes":            {[]float64{.1, .1, .4, .1}, []string{"node n2"}},
		"all alike":                        {[]float64{1, 1.1, .9, 1, 1}, []string{"service"}},
		"all bad, one far worse":           {[]float64{1, 1.1, .9, 1, 40}, []string{"node n4"}},
		"of three, one far worse":          {[]float64{.9, 1.1, 40}, []string{"node n2"}},
		"of four, one far worse":           {[]float64{.9, 1, 1.1, 40}, []string{"node n3"}},
		"of four two are: they hide":       {[]float64{1, 1, 40, 40}, []string{"service"}},
		"of seven two are":                 {[]float64{1, 1.1, .9, 1, 1, 40, 41}, []string{"node n5", "node n6"}},
		"of six two are: too many":         {[]float64{1, 1.1, .9, 1, 40, 41}, []string{"service"}},
		"of two nobody is the worse":       {[]float64{1, 40}, []string{"service"}},
		"far better is not worse":          {[]float64{40, 40, 40, 40, 1}, []string{"service"}},
		"no farther off than a limit lies": {[]float64{1, 1, 1, 1, 1.29}, []string{"service"}},
		"farther off than a limit lies":    {[]float64{1, 1, 1, 1, 1.31}, []string{"node n4"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := stage(t, time.Minute)
			var nodes []valued
			for i, v := range c.values {
				n := p.bad(fmt.Sprint("node=n", i), v)
				if v < .3 {
					n.fault = p.always("0")
				}
				nodes = append(nodes, n)
			}
			p.values("node", "both", nodes...)
			p.located(30*time.Second, c.want...)
			p.run(paging())
		})
	}
}

// Nodes that differ when all is well differ in a fault of all of them, too: it adds
// the same to each, or a multiple. None of them is worse than the others.
func TestPeers_AreHeldAgainstTheirOwnPast(t *testing.T) {
	for name, worse := range map[string]func(mean, limit float64) float64{
		"adds the same": func(mean, _ float64) float64 { return mean + 5 },
		"three times":   func(mean, _ float64) float64 { return 3 * mean },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := stage(t, time.Minute)
			var nodes []valued
			for i, mean := range []float64{.2, .2, .2, .2, 2} {
				limit := mean / 4
				nodes = append(nodes, valued{labels: fmt.Sprint("node=n", i), fault: p.always("1"), value: p.always(fmt.Sprint(worse(mean, limit))),
					mean: p.always(fmt.Sprint(mean)), threshold: p.always(fmt.Sprint(mean + limit))})
			}
			p.values("node", "upper", nodes...)
			p.located(30*time.Second, "service")
			p.run(paging())
		})
	}
}

// Of a ratio of successes the low one is bad.
func TestExcess_KnowsTheBadSide(t *testing.T) {
	p := stage(t, time.Minute)
	success := func(node, fault string, ratio float64) valued {
		return valued{"node=" + node, p.always(fault), p.always(fmt.Sprint(ratio)), p.always("0.9"), p.always("0.8"), p.always("10")}
	}
	p.values("node", "lower", success("n1", "0", 1), success("n2", "1", .3), success("n3", "0", .88))
	p.rounded(30*time.Second, `sum by (member) (onefiveten:member_value:avg{feature="excess"})`, map[string]float64{`{member="n1"}`: 0, `{member="n2"}`: 6, `{member="n3"}`: .2})
	p.located(30*time.Second, "node n2")
	p.run(paging())
}

// A node out of rotation is neither compared nor counted.
func TestPeers_AreThoseInRotation(t *testing.T) {
	p := stage(t, time.Minute)
	p.values("node", "upper", p.bad("node=n1", 1), p.bad("node=n2", 1), p.bad("node=n3", 400), p.bad("node=n4", 1), p.bad("node=n5", 40))
	p.add("heal_isolated", p.always("1"), "job", "heal-receiver", "instance", "heal:9099", "service", "shop", "node", "n3")
	p.gives(30*time.Second, `count(onefiveten:member_value:avg{member="n3"})`, nil)
	p.located(30*time.Second, "node n5")
	p.run(paging())
}

// What was located stays until another place was a candidate twice, also where the
// way of finding it changes.
func TestExcess_AnotherPlaceTakesTwoEvaluations(t *testing.T) {
	p := stage(t, 3*time.Minute)
	n1, n2 := p.failing("node=n1", .5, .01, 10), p.failing("node=n2", .01, .01, 10)
	n1.value, n2.value = "0.5x11 0.01x0 0.5x5 0.01x17", "0.01x11 0.5x0 0.01x5 0.5x17"
	p.values("node", "upper", n1, n2, p.failing("node=n3", .01, .01, 10))
	locates := func(at time.Duration, member string) {
		want := map[string]float64{}
		if member != "" {
			want[fmt.Sprintf("{member=%q}", member)] = 1
		}
		p.gives(at, `count by (member) (onefiveten:member_located:ratio)`, want)
	}
	locates(0, "n1")
	locates(55*time.Second, "n1")
	locates(time.Minute, "")
	p.gives(time.Minute, `count by (member) (onefiveten:member_candidate:ratio)`, map[string]float64{`{member="n2"}`: 1})
	locates(65*time.Second, "n1")
	locates(85*time.Second, "n1")
	p.run(paging())
}

// A node whose values are gone is not held against the others.
func TestPeers_StaleValuesAreNone(t *testing.T) {
	p := stage(t, 2*time.Minute)
	p.values("node", "upper", p.bad("node=n1", 1), p.bad("node=n2", 1), p.bad("node=n3", 1))
	p.gives(30*time.Second, `count(onefiveten:member_value:avg{feature="value"})`, map[string]float64{"{}": 3})
	p.series = slices.DeleteFunc(p.series, func(s map[string]string) bool { return strings.HasPrefix(s["series"], "signal_last_run") })
	p.add("signal_last_run_timestamp_seconds", "0+5x11 55x12", "observer", "a", "service", "shop", "signal", "errors")
	p.gives(2*time.Minute, `count(onefiveten:member_value:avg{feature="value"})`, nil)
	p.run(paging())
}

// evidence expects the one FaultLocated of a moment to carry these labels, and what
// speaks for it.
func (p *play) evidence(at time.Duration, labels map[string]string, summary, evidence string) {
	all := map[string]string{"service": "shop", "owner": "team-shop", "signal": "errors", "severity": "page", "heal": "true"}
	maps.Copy(all, labels)
	p.alerts = append(p.alerts, map[string]any{"eval_time": at.String(), "alertname": "FaultLocated", "exp_alerts": []any{map[string]any{
		"exp_labels":      all,
		"exp_annotations": map[string]string{"summary": summary, "evidence": evidence, "fault_start": "1.000"},
	}}})
}

// Whoever is paged reads why the place was named: its value beside that of its peers,
// and its share, or how far it is off. What is not known is left out.
func TestEvidence_TellsWhatSpeaksForThePlace(t *testing.T) {
	node := map[string]string{"scope": "node", "member": "n3", "node": "n3"}
	for name, c := range map[string]struct {
		further         []string
		nodes           func(p *play) []valued
		labels          map[string]string
		where, evidence string
	}{
		"a share": {nil, func(p *play) []valued {
			return []valued{p.failing("node=n1", .01, .01, 45), p.failing("node=n2", .02, .01, 45), p.failing("node=n3", .61, .01, 10)}
		}, node, "node n3", "errors 0.61 of node n3, its peers 0.015; 93 % of the excess, 10 % of the traffic"},
		"a group": {[]string{"zone"}, func(p *play) []valued {
			return []valued{p.failing("node=n1 zone=za", .01, .01, 10), p.failing("node=n2 zone=za", .01, .01, 10), p.failing("node=n3 zone=zb", .5, .01, 10), p.failing("node=n4 zone=zb", .4, .01, 10)}
		}, map[string]string{"scope": "zone", "member": "zb", "zone": "zb"}, "zone zb", "errors 0.45 of zone zb, its peers 0.01; 100 % of the excess, 50 % of the traffic"},
		"peers": {nil, func(p *play) []valued {
			return []valued{p.bad("node=n1", .5), p.bad("node=n2", .5), p.bad("node=n3", 4.5)}
		}, node, "node n3", "errors 4.5 of node n3, its peers 0.5; 40.0 spreads off"},
		"two nodes": {nil, func(p *play) []valued {
			return []valued{{labels: "node=n1", fault: p.always("0"), value: p.always("0.1"), mean: p.always("0"), threshold: p.always("0.3")}, p.bad("node=n3", .412)}
		}, node, "node n3", "errors 0.412 of node n3, its peers 0.1"},
		"an exporter that tells no values": {nil, func(p *play) []valued {
			return []valued{{labels: "node=n1", fault: p.always("0")}, {labels: "node=n2", fault: p.always("0")}, {labels: "node=n3", fault: p.always("1")}}
		}, node, "node n3", "100% of node n3 bad, 33.33% of all nodes"},
		"the service": {nil, func(p *play) []valued {
			return []valued{p.bad("node=n1", .5), p.bad("node=n2", .5)}
		}, map[string]string{"scope": "service"}, "the service as a whole; members bad: 2", "100% of all nodes bad"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := stage(t, time.Minute)
			p.values(strings.Join(append([]string{"node"}, c.further...), ","), "upper", c.nodes(p)...)
			p.evidence(30*time.Second, c.labels, "shop: the fault is in "+c.where, c.evidence)
			p.run(paging(c.further...))
		})
	}
}

// Every deliberate mistake in the rules about values is seen by one of the plays.
func TestPeers_MistakesAreSeen(t *testing.T) {
	share := func(p *play) {
		p.values("node,zone", "upper",
			p.failing("node=n1 zone=za", .001, .01, 10), p.failing("node=n2 zone=za", .01, .01, 10), p.failing("node=n3 zone=zb", .06, .01, 10), p.failing("node=n4 zone=zb", .06, .05, 10),
			p.failing("node=n5 zone=zc", .5, .01, 10), p.failing("node=n6 zone=zc", .5, .01, 10), p.failing("node=n7 zone=zc", 1, .01, 0))
		p.rounded(30*time.Second, `sum by (member) (onefiveten:member_lift:ratio)`, map[string]float64{
			`{member="n1"}`: -1. / 6, `{member="n2"}`: -1. / 6, `{member="n3"}`: .5/10.4 - 1./6, `{member="n4"}`: .1/10.4 - 1./6, `{member="n5"}`: 4.9/10.4 - 1./6, `{member="n6"}`: 4.9/10.4 - 1./6, `{member="n7"}`: 0,
			`{member="za"}`: -1. / 3, `{member="zb"}`: .6/10.4 - 1./3, `{member="zc"}`: 9.8/10.4 - 1./3})
		p.located(30*time.Second, "zone zc")
	}
	evenly := func(p *play) {
		p.values("node,zone", "upper", p.failing("node=n1 zone=za", .5, .01, 70), p.failing("node=n2 zone=za", .5, .01, 10), p.failing("node=n3 zone=zb", .5, .01, 10), p.failing("node=n4 zone=zb", .5, .01, 10))
		p.located(30*time.Second, "service")
	}
	some := func(p *play) { // half of the excess is one node's
		p.values("node,zone", "upper", p.failing("node=n1 zone=za", .61, .01, 10), p.failing("node=n2 zone=zb", .21, .01, 10), p.failing("node=n3 zone=za", .21, .01, 10), p.failing("node=n4 zone=zb", .21, .01, 10))
		p.located(30*time.Second, "service")
	}
	half := func(p *play) { // most of it is that of two nodes of four
		p.values("node,zone", "upper", p.failing("node=n1 zone=za", .5, .01, 10), p.failing("node=n2 zone=zb", .5, .01, 10), p.failing("node=n3 zone=za", .06, .01, 10), p.failing("node=n4 zone=zb", .06, .01, 10))
		p.located(30*time.Second, "service")
	}
	pair := func(p *play) {
		nodes := []valued{p.failing("node=n1 zone=za", .5, .01, 10), p.failing("node=n2 zone=za", .5, .01, 10)}
		for i := 3; i <= 10; i++ {
			nodes = append(nodes, p.failing(fmt.Sprintf("node=n%d zone=z%c", i, "ab"[i/6]), .01, .01, 10))
		}
		p.values("node,zone", "upper", nodes...)
		p.located(30*time.Second, "node n1", "node n2")
	}
	young := func(p *play) {
		fresh := p.failing("node=n3 zone=zb", .5, 0, 10)
		fresh.fault, fresh.mean, fresh.threshold = "", "", ""
		p.values("node,zone", "upper", p.failing("node=n1 zone=za", .06, .01, 10), p.failing("node=n2 zone=za", .02, .01, 10), fresh)
		p.located(30*time.Second, "node n3")
	}
	peers := func(values ...float64) func(p *play) {
		return func(p *play) {
			var nodes []valued
			for i, v := range values {
				nodes = append(nodes, p.bad(fmt.Sprintf("node=n%d zone=z", i), v))
			}
			p.values("node,zone", "upper", nodes...)
			p.located(30*time.Second, fmt.Sprint("node n", len(values)-1))
		}
	}
	const value, excess, lift, candidate, service = "onefiveten:member_value:avg", "onefiveten:member_excess:ratio", "onefiveten:member_lift:ratio", "onefiveten:member_candidate:ratio", "onefiveten:service_located:sum"
	for name, c := range map[string]struct {
		rule, old, new string
		sees           func(p *play)
	}{
		"excess below the mean counts": {value, "* signal_traffic, 0)", "* signal_traffic, -1000)", share},
		"excess is not weighed":        {value, "* signal_traffic, 0)", ", 0)", share},
		"no past, no place":            {value, "0 * ksigma_value{", "0 * ksigma_mean{", young},
		"isolated nodes are compared": {value, "== 1,\n            \"member\"", "== 2,\n            \"member\"", func(p *play) {
			peers(1, 1, 1, 1, 40)(p)
			p.add("heal_isolated", p.always("1"), "job", "heal-receiver", "instance", "heal:9099", "service", "shop", "node", "n0")
			p.gives(30*time.Second, `count(onefiveten:member_value:avg{member="n0"})`, nil)
		}},
		"the share of traffic is not taken": {lift, "- ignoring (feature)", "- 0 * ignoring (feature)", evenly},
		"a group of one is ranked":          {excess, ">= 2),", ">= 1),", young},
		"few are compared with all":         {excess, ">= 3 < 5", ">= 30 < 5", peers(1, 1.1, 40)},
		"five are compared by the others":   {excess, ">= 5)", ">= 50)", peers(1, 1.1, 1, 1, 40)},
		"most may be named":                 {candidate, "0.3 * count", "0.6 * count", half},
		"half of the excess is enough":      {candidate, ">= 0.7", ">= 0.3", some},
		"pairs are ranked one by one":       {candidate, "- 0.02", "- 2", pair},
		"the worst need not be far":         {candidate, "> 3)", "> 30000)", peers(1, 1.1, 1, 1, 40)},
		"the service beside the place":      {service, "unless on (service, signal) onefiveten:member_candidate", "unless on (service, owner) onefiveten:fault_members", peers(1, 1.1, 1, 1, 40)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := stage(t, time.Minute)
			c.sees(p)
			promtool := find(t, generations[0]).Promtool
			dir := write(t, paging("zone"))
			file := filepath.Join(dir, "rules", "onefiveten-page-node-zone.yml")
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if out, ok := run(t, promtool.Path, "test", "rules", p.file(dir)); !ok {
				t.Errorf("without the mistake:\n%s", out)
			}
			put(t, file, []byte(mutation{name: name, rule: "record: " + c.rule, old: c.old, new: c.new}.change(t, string(text))))
			if out, ok := run(t, promtool.Path, "test", "rules", p.file(dir)); ok || !strings.Contains(out, "FAILED") {
				t.Errorf("nothing fails:\n%s", out)
			}
		})
	}
}
