package ruletest

import (
	"fmt"
	"time"

	"go.yaml.in/yaml/v3"
)

// longest is how many evaluations a case may take that waits for an alert; a query
// may be asked once a day.
const longest = 2000

// queryCases are the scenes of a signal that is the answers to a query. What leads
// from a vote to an alert is that of all signals, and shown by others.
func (c *scene) queryCases() []func(*scene) {
	all := []func(*scene){(*scene).vanished}
	if len(c.observers()) > 1 {
		all = append(all, (*scene).differing)
		if c.values {
			all = append(all, (*scene).untold)
		}
	}
	if c.spec.Unanswered/c.every <= longest {
		all = append(all, (*scene).unanswered, (*scene).neverAnswered, (*scene).removed)
	}
	switch {
	case c.signal.Mode == ticket:
		return append(all, (*scene).ticketOnly)
	case c.lateForClocks():
		return all // the clocks of the other cases would ring before there is an alert
	}
	all = append(all, (*scene).healthy, (*scene).oneNode, (*scene).allNodes, (*scene).singleNode, (*scene).isolated)
	return append(all, c.groupCases()...)
}

// lateForClocks tells of a query whose faults are found after they should be located.
func (c *scene) lateForClocks() bool { return c.proof.Bound > c.service.Locate }

// untold is an observer that gets no answers any more, and then a fault: the other
// one decides alone.
func (c *scene) untold() {
	c.name = "an observer gets no answers: it has no vote, and a fault is found without it"
	fault := c.next(onset + 2*c.stale() + c.reach())
	c.end = c.next(fault + c.reach())
	c.furnish([]Service{c.service}, nil)
	var tr track
	for i, o := range c.watching() {
		for _, n := range []string{"n1", "n2", "n3"} {
			f := fate{}
			if i > 0 {
				f.hangs = from(onset)
			}
			if n == "n2" {
				f.bad = from(fault)
			}
			if played := c.playFor(c.service.Name, actor{observer: o, instance: n, role: roleNode, fate: f}); i == 0 && n == "n2" {
				tr = played
			}
		}
	}
	fires := c.seen(tr.fault, 1000, fault)
	stale := firing{"SignalStale", c.service.Name, 1}
	c.expectAll(fires-c.step, stale)
	c.expectAll(fires, stale, firing{"FaultDetected", c.service.Name, 1}, firing{"FaultLocated", c.service.Name, 1})
}

// unanswered is a Prometheus that answers no query, or an exporter that asks none.
// The verdicts stand as they were; without a vote they are neither well nor bad.
// The votes of the probes stay what they are.
func (c *scene) unanswered() {
	c.name = "a query is not answered: stale, not healthy, not a fault"
	c.end = c.next(onset + 2*c.stale() + 2*c.reach())
	c.furnish([]Service{c.service}, nil)
	var tr track
	for _, n := range []string{"n1", "n2", "n3"} {
		tr = c.play(c.service.Name, n, roleNode, fate{hangs: from(onset)})
	}
	n := len(c.watching())
	left := c.probed(n)
	late := c.grownOld(tr)
	c.expect(late - c.step)
	c.expectAll(late, firing{"SignalStale", c.service.Name, n})
	c.expectAll(c.end, firing{"SignalStale", c.service.Name, n})
	c.query(late, `count by (reason) (ALERTS{alertname="SignalStale",alertstate="firing"})`, sample(`{reason="not_run"}`, fmt.Sprint(n)))
	votes := "count by (signal) (onefiveten:vote:bool)"
	c.query(late-c.step, votes, append(left, vote(c.signal.Name, 3*n))...)
	c.query(late, votes, left...)
}

// neverAnswered is a query of which nothing is known but that it is asked.
func (c *scene) neverAnswered() {
	c.name = "a query is never answered: told when the slowest one would be stale"
	told := c.next(c.spec.Unanswered)
	c.end = told + c.every
	c.furnish([]Service{c.service}, nil)
	n := len(c.watching())
	left := c.probed(n)
	c.expect(told - c.step)
	c.expectAll(told, firing{"SignalStale", c.service.Name, n})
	c.query(told, `count by (reason) (ALERTS{alertname="SignalStale",alertstate="firing"})`, sample(`{reason="never_run"}`, fmt.Sprint(n)))
	c.query(told, "count by (signal) (onefiveten:vote:bool)", left...)
}

// differing observers are told the same, but not at the same time, and remember
// another past. One that sees all bad is not cut off: that one is told nothing.
func (c *scene) differing() {
	c.name = "one of two observers sees all bad: they disagree, and neither is suspect"
	c.end = c.next(onset + c.reach() + c.spec.Disagree + 2*c.every)
	c.furnish([]Service{c.service}, nil)
	o := c.watching()
	c.playFor(c.service.Name, actor{observer: o[0], role: roleEntry})
	bad := c.playFor(c.service.Name, actor{observer: o[1], role: roleEntry, fate: fate{bad: from(onset)}})
	told := c.seen(bad.fault, 1000, onset) + c.next(c.spec.Disagree)
	c.expect(told - c.step)
	c.expect(told, "ObserverDisagrees")
	c.query(told, "count by (dimension, member) (onefiveten:member_fault:ratio)", sample(fmt.Sprintf(`{dimension="entry",member=%s}`, quoted(c.signal.Name)), "1"))
}

// removed is a query that the configuration holds no longer: its exporters go on.
func (c *scene) removed() {
	c.name = "a query is removed: nothing is left of it, and nothing is told"
	c.leaves = c.next(onset)
	c.end = c.next(c.leaves+c.scrape+c.scrapeTakes) + c.next(max(c.spec.Dwell, c.spec.Unanswered)) + c.every
	c.furnish([]Service{c.service}, nil)
	for _, n := range []string{"n1", "n2", "n3"} {
		c.play(c.service.Name, n, roleNode, fate{removed: from(c.leaves - c.scrapeTakes)})
	}
	left := c.probed(len(c.watching()))
	c.expect(c.end)
	c.query(c.end, "count by (signal) (onefiveten:vote:bool)", left...)
}

// probed adds healthy probes of the service, where it has any, and gives the votes
// that they lead to.
func (c *scene) probed(observers int) []*yaml.Node {
	for _, p := range c.spec.Proofs {
		if p.Query == nil && p.Service == c.service.Name {
			for _, o := range c.watching() {
				c.probedBy(o, p)
			}
			return []*yaml.Node{vote(p.Signal, 3*observers)}
		}
	}
	return nil
}

// probedBy adds the probes of one observer, each as fresh as can be.
func (c *scene) probedBy(observer string, p Proof) {
	var now []int64
	for at := time.Duration(0); at <= c.end; at += c.step {
		now = append(now, at.Milliseconds())
	}
	me := label{"observer", observer}
	c.add("probe_stale_after_seconds", []label{me, {"probe", p.Probe}}, c.constant(seconds(2*p.Interval+p.Timeout), 0))
	for _, n := range []string{"n1", "n2", "n3"} {
		id := []label{{"job", "probe"}, {"instance", n + ":8080"}, me, {"probe", p.Probe}, {"service", c.service.Name}, {"role", roleNode}, {"node", n}}
		c.add("probe_last_run_timestamp_seconds", id, notation(now))
		signal := append(id[:len(id):len(id)], label{"signal", p.Signal})
		c.add("ksigma_fault", signal, c.constant("0", 0))
		c.add("ksigma_fault_start_timestamp_seconds", signal, c.constant("0", 0))
	}
}

// vote is how many votes there are for a signal.
func vote(signal string, n int) *yaml.Node {
	return sample(fmt.Sprintf("{signal=%s}", quoted(signal)), fmt.Sprint(n))
}
