package ruletest

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/onefiveten/onefiveten/sigma"
)

// far is how much farther off than others a node lies that is to be told from them.
const far = 20

// seenAs is a node as Prometheus holds its value.
type seenAs struct {
	actor
	track
}

// valueCases are the scenes of places that values tell, and votes do not.
func (c *scene) valueCases() []func(*scene) {
	all := []func(*scene){(*scene).restarted, (*scene).worstOfFew, (*scene).worstOfMany}
	if !c.asking || c.worse == sigma.Both || c.lateForClocks() {
		return all // probes have no traffic, and neither has what may be too high or too low
	}
	all = append(all, (*scene).carriesExcess, (*scene).carriesItsPart)
	for _, d := range c.service.further() {
		all = append(all, func(c *scene) { c.groupCarries(d) })
	}
	return all
}

// ownCases are those of a value of probes where availability shows the rest.
func (c *scene) ownCases() []func(*scene) {
	all := []func(*scene){(*scene).healthy, (*scene).oneNode, (*scene).allNodes, (*scene).hung}
	if len(c.observers()) > 1 {
		all = append(all, (*scene).cutOff)
	}
	return all
}

// votesPage tells whether the availability of a service of the set pages, so that its
// cases are shown anyway.
func (c *scene) votesPage() bool {
	return slices.ContainsFunc(c.spec.Services, func(v Service) bool {
		return v.set() == c.service.set() && slices.ContainsFunc(v.Signals, func(g Signal) bool { return g.Name == availability && g.Mode != ticket })
	})
}

// side is where bad values lie in a case.
func (t timing) side() sigma.Direction {
	if t.worse == sigma.Lower {
		return sigma.Lower
	}
	return sigma.Upper
}

// thousandth rounds a value to what a test writes.
func thousandth(v float64) int64 { return int64(math.Round(v * 1000)) }

// add appends what is shown of a value at one step.
func (tr *track) add(r result) {
	tr.sample, tr.mean, tr.threshold = append(tr.sample, r.sample), append(tr.mean, r.mean), append(tr.threshold, r.threshold)
}

// tell adds the gauges by which values are located. Those of a day are left out, since
// there every node has the same.
func (c *scene) tell(signal []label, a actor, tr track) {
	if !c.values || c.daily != nil {
		return
	}
	c.add("ksigma_value", signal, notation(tr.sample))
	c.add("ksigma_mean", signal, notation(tr.mean))
	c.add("ksigma_threshold", append(signal[:len(signal):len(signal)], label{"bound", string(c.side())}), notation(tr.threshold))
	if a.traffic > 0 {
		c.add("signal_traffic", signal, c.constant(fmt.Sprint(a.traffic), 0))
	}
	if a.observer == c.watching()[0] && a.role == roleNode {
		c.nodes = append(c.nodes, seenAs{a, tr})
	}
}

// nodesOf plays nodes with a fate each, as every observer sees them alike.
func (c *scene) nodesOf(lasts time.Duration, groups func(i int) []label, fates ...fate) {
	c.end = c.next(lasts)
	c.furnish([]Service{c.service}, nil)
	for i, f := range fates {
		for _, o := range c.watching() {
			c.playFor(c.service.Name, actor{observer: o, instance: fmt.Sprint("n", i+1), role: roleNode, fate: f, groups: groups(i)})
		}
	}
}

func noGroups(int) []label { return nil }

// worstOfFew are four nodes, of which three are bad: by votes it is the service. The
// worst of them is told by leaving each out, and another one only after it was the
// worst twice.
func (c *scene) worstOfFew() {
	c.name = "three of four nodes are bad, and one is far worse: it is located, another one an evaluation later"
	swap := onset + c.reach()
	bad := func(worst during) fate {
		return fate{bad: from(onset), size: func(at time.Duration) float64 {
			if worst.at(at) {
				return far
			}
			return 1
		}}
	}
	c.nodesOf(swap+2*c.reach()+c.keep(), noGroups, fate{}, bad(between(onset, swap)), bad(from(swap)), bad(nil))
	fires := c.seen(c.nodes[1].fault, 1000, onset)
	c.expect(fires - c.step)
	c.expect(fires, "FaultDetected", "FaultLocated")
	c.placed(fires, c.nodes[1].track, roleNode, "n2", label{"node", "n2"})
	if c.err != nil {
		return
	}
	// The sample that shows the other one as the worst.
	at := int(swap / c.step)
	for at < len(c.nodes[2].sample)-1 && distance(c.nodes[2].sample[at], c.nodes[1].sample[at], c.side()) <= 0 {
		at++
	}
	turned := c.next(time.Duration(at) * c.step)
	located := `count by (member) (ALERTS{alertname="FaultLocated",alertstate="firing"})`
	c.query(turned, located, sample(`{member="n2"}`, "1"))
	c.query(turned+c.every, located, sample(`{member="n2"}`, "1"), sample(`{member="n3"}`, "1"))
	c.query(turned+c.keep(), located, sample(`{member="n3"}`, "1"))
}

// distance is how much worse one value is than another.
func distance(a, b int64, side sigma.Direction) int64 {
	if side == sigma.Lower {
		return b - a
	}
	return a - b
}

// worstOfMany are six nodes, of which five are bad: the worst is told by median and
// MAD.
func (c *scene) worstOfMany() {
	c.name = "five of six nodes are bad, and one is far worse: it is located"
	bad := fate{bad: from(onset)}
	worst := fate{bad: from(onset), size: func(time.Duration) float64 { return far }}
	c.nodesOf(onset+c.reach(), noGroups, fate{}, bad, bad, bad, worst, bad)
	fires := c.seen(c.nodes[4].fault, 1000, onset)
	c.expect(fires, "FaultDetected", "FaultLocated")
	c.placed(fires, c.nodes[4].track, roleNode, "n5", label{"node", "n5"})
}

// carriesExcess is a node that most of what is too much goes through, beside one that
// is far worse and carries next to nothing.
func (c *scene) carriesExcess() {
	c.name = "the node that carries the excess is located, not one that is worse and idle"
	bad := func(by float64, traffic int) fate {
		return fate{bad: from(onset), traffic: traffic, size: func(time.Duration) float64 { return by }}
	}
	c.nodesOf(onset+c.reach(), noGroups, bad(far, 1), bad(far/4, 40), fate{traffic: 40}, fate{traffic: 40})
	fires := c.seen(c.nodes[1].fault, 1000, onset)
	c.expect(fires - c.step)
	c.expect(fires, "FaultDetected", "FaultLocated")
	c.placed(fires, c.nodes[1].track, roleNode, "n2", label{"node", "n2"})
}

// carriesItsPart is a fault of all in which most of the excess is that of the node with
// most of the traffic: it is no worse than the others.
func (c *scene) carriesItsPart() {
	c.name = "the greatest node carries its part of what fails everywhere: the service as a whole"
	bad := func(traffic int) fate { return fate{bad: from(onset), traffic: traffic} }
	c.nodesOf(onset+c.reach(), noGroups, bad(85), bad(5), bad(5), bad(5))
	fires := c.seen(c.nodes[0].fault, 1000, onset)
	c.expect(fires, "FaultDetected", "FaultLocated")
	c.query(fires, `count by (scope) (ALERTS{alertname="FaultLocated"})`, sample(`{scope="service"}`, "1"))
}

// groupCarries are two groups that are bad, of which one carries next to nothing: by
// votes it is the service.
func (c *scene) groupCarries(d string) {
	c.name = fmt.Sprintf("two %ss are bad, and one of them carries the excess: located as the %s", d, d)
	bad := func(traffic int) fate {
		return fate{bad: from(onset), traffic: traffic, size: func(time.Duration) float64 { return far / 4 }}
	}
	c.nodesOf(onset+c.reach(), twos(d), bad(40), bad(40), bad(1), bad(1), fate{traffic: 40}, fate{traffic: 40})
	fires := c.seen(c.nodes[0].fault, 1000, onset)
	c.expect(fires, "FaultDetected", "FaultLocated")
	c.placed(fires, c.nodes[0].track, d, "g1", label{d, "g1"})
}

// placed expects FaultLocated to name a place, with what speaks for it.
func (c *scene) placed(at time.Duration, tr track, scope, member string, own label) {
	if c.err != nil {
		return
	}
	_, began := c.startOf(tr, at)
	c.alert(at, "FaultLocated", c.who(label{"scope", scope}, label{"member", member}, own), []label{
		{"summary", fmt.Sprintf("%s: the fault is in %s %s", c.service.Name, scope, member)},
		{"evidence", c.evidence(at, scope, member, "")}, began,
	})
}

// evidence is what the annotation says of a place at a moment; without values it is
// what is said of votes.
func (c *scene) evidence(at time.Duration, scope, member, votes string) string {
	i := int(at / c.step)
	if !c.values || c.err != nil || i >= len(c.nodes[0].sample) {
		return votes
	}
	var in, out []float64
	shares := map[string]float64{}
	for _, n := range c.nodes {
		v := float64(n.sample[i]) / 1000
		worse := math.Max(0, float64(distance(n.sample[i], n.mean[i], c.side()))/1000) * float64(n.traffic)
		shares["excess"] += worse
		shares["traffic"] += float64(n.traffic)
		if !n.within(scope, member) {
			out = append(out, v)
			continue
		}
		in = append(in, v)
		shares["excess in"] += worse
		shares["traffic in"] += float64(n.traffic)
	}
	text := fmt.Sprintf("%s %.3g of %s %s, its peers %.3g", c.signal.Name, average(in), scope, member, middle(out))
	if shares["traffic"] > 0 {
		return text + fmt.Sprintf("; %.0f %% of the excess, %.0f %% of the traffic", 100*shares["excess in"]/shares["excess"], 100*shares["traffic in"]/shares["traffic"])
	}
	return text + fmt.Sprintf("; %.1f spreads off", c.outlier(i, member))
}

// within tells whether a node is the place, or belongs to it.
func (n seenAs) within(scope, member string) bool {
	if scope == roleNode {
		return cmp.Or(n.node, n.instance) == member
	}
	return slices.Contains(n.groups, label{scope, member})
}

// outlier is z of a node, by the definition of one-five-ten 3.3: of few by leaving it
// out (A), of five and more by median and MAD (A'). In a case all limits are alike.
func (c *scene) outlier(i int, member string) float64 {
	var all, rest []float64
	x := 0.
	for _, n := range c.nodes {
		limit := math.Abs(float64(n.threshold[i] - n.mean[i]))
		off := float64(distance(n.sample[i], n.mean[i], c.side())) / limit
		all = append(all, off)
		if n.instance == member {
			x = off
		} else {
			rest = append(rest, off)
		}
	}
	const least = 1. / 3
	if len(all) < 5 {
		spread := 0.
		for _, v := range rest {
			spread += (v - average(rest)) * (v - average(rest)) / float64(len(rest)-1)
		}
		return (x - average(rest)) / math.Max(math.Sqrt(spread), least)
	}
	var apart []float64
	for _, v := range all {
		apart = append(apart, math.Abs(v-middle(all)))
	}
	return (x - middle(all)) / math.Max(1.4826*middle(apart), least)
}

func average(x []float64) (mean float64) {
	for _, v := range x {
		mean += v / float64(len(x))
	}
	return mean
}

// middle is the median.
func middle(x []float64) float64 {
	x = slices.Sorted(slices.Values(x))
	return (x[(len(x)-1)/2] + x[len(x)/2]) / 2
}
