package ruletest

import (
	"fmt"
	"slices"
)

// groupCases are the scenes of dimensions above node, each by itself: the nodes
// carry no other label than that of the one that is shown.
func (c *scene) groupCases() []func(*scene) {
	var all []func(*scene)
	for _, d := range c.service.further() {
		all = append(all,
			func(c *scene) { c.groupDown(d) }, func(c *scene) { c.groupAlone(d) },
			func(c *scene) { c.groupPartly(d) }, func(c *scene) { c.groupOfOne(d) },
			func(c *scene) { c.groupMostly(d) }, func(c *scene) { c.twoGroups(d) })
	}
	if d := c.service.further(); len(d) > 1 {
		all = append(all, func(c *scene) { c.sameGroups(d[0], d[1]) })
	}
	return all
}

// further are the dimensions of a service above node.
func (v Service) further() []string {
	return slices.DeleteFunc(slices.Clone(v.Dimensions), func(d string) bool { return d == roleNode })
}

// members plays nodes, each in the groups that it is given, of which those named
// are bad from the onset on, and gives what the first bad one shows.
func (c *scene) members(nodes int, groups func(i int) []label, bad ...string) (tr track) {
	c.end = c.next(onset + c.reach())
	c.furnish([]Service{c.service}, nil)
	for i := range nodes {
		n := fmt.Sprint("n", i+1)
		f := fate{}
		if slices.Contains(bad, n) {
			f.bad = from(onset)
		}
		for _, o := range c.watching() {
			played := c.playFor(c.service.Name, actor{observer: o, instance: n, role: roleNode, fate: f, groups: groups(i)})
			if len(bad) > 0 && n == bad[0] {
				tr = played
			}
		}
	}
	return tr
}

// twos puts two nodes into each group of a dimension.
func twos(dimension string) func(i int) []label {
	return func(i int) []label { return []label{{dimension, fmt.Sprint("g", i/2+1)}} }
}

// groupDown is the whole of a group: it is named, and its nodes are not.
func (c *scene) groupDown(d string) {
	c.name = fmt.Sprintf("all nodes of one %s are down: located as the %s", d, d)
	fires := c.seen(c.members(6, twos(d), "n1", "n2").fault, 1000, onset)
	c.expect(fires - c.step)
	c.expect(fires, "FaultDetected", "FaultLocated")
	c.query(fires+c.every, "count by (dimension, member) (onefiveten:member_located:ratio)", sample(fmt.Sprintf(`{dimension=%s,member="g1"}`, quoted(d)), "1"))
	c.query(fires, located(d), sample(fmt.Sprintf(`{member="g1",scope=%s,%s="g1"}`, quoted(d), d), "1"))
}

// located counts the alerts that say where the fault lies.
func located(dimension string) string {
	return fmt.Sprintf(`count by (scope, member, node, %s) (ALERTS{alertname="FaultLocated",alertstate="firing"})`, dimension)
}

// groupAlone is a group beside which there is no other: it says nothing more than
// the service does.
func (c *scene) groupAlone(d string) {
	c.name = fmt.Sprintf("all nodes are down, and of one %s: the service as a whole", d)
	fires := c.seen(c.members(2, twos(d), "n1", "n2").fault, 1000, onset)
	c.expect(fires, "FaultDetected", "FaultLocated")
	c.query(fires, located(d), sample(`{scope="service"}`, "1"))
}

// groupPartly is one of two nodes of a group: half of it is not more than half.
func (c *scene) groupPartly(d string) {
	c.name = fmt.Sprintf("one of two nodes of a %s is down: located as the node", d)
	fires := c.seen(c.members(6, twos(d), "n1").fault, 1000, onset)
	c.expect(fires, "FaultDetected", "FaultLocated")
	c.query(fires, located(d), sample(fmt.Sprintf(`{member="n1",node="n1",scope="node",%s="g1"}`, d), "1"))
}

// groupOfOne is a group that is a single node: it is the node.
func (c *scene) groupOfOne(d string) {
	c.name = fmt.Sprintf("the only node of one %s is down: located as the node", d)
	fires := c.seen(c.members(5, twos(d), "n5").fault, 1000, onset)
	c.expect(fires, "FaultDetected", "FaultLocated")
	c.query(fires, located(d), sample(fmt.Sprintf(`{member="n5",node="n5",scope="node",%s="g3"}`, d), "1"))
}

// groupMostly is a group that is down while another one has a bad node, too.
func (c *scene) groupMostly(d string) {
	c.name = fmt.Sprintf("all nodes of one %s are down, and half of another: located as the %s", d, d)
	fires := c.seen(c.members(6, twos(d), "n1", "n2", "n3").fault, 1000, onset)
	c.expect(fires, "FaultDetected", "FaultLocated")
	c.query(fires, located(d), sample(fmt.Sprintf(`{member="g1",scope=%s,%s="g1"}`, quoted(d), d), "1"))
}

// twoGroups are more than one: the fault is not in either.
func (c *scene) twoGroups(d string) {
	c.name = fmt.Sprintf("all nodes of two %ss are down, those of a third are not: the service as a whole", d)
	fires := c.seen(c.members(6, twos(d), "n1", "n2", "n3", "n4").fault, 1000, onset)
	c.expect(fires, "FaultDetected", "FaultLocated")
	c.query(fires, located(d), sample(`{scope="service"}`, "1"))
}

// sameGroups are two dimensions that fall together: nobody can tell which it is, and
// both are told.
func (c *scene) sameGroups(d, e string) {
	c.name = fmt.Sprintf("one %s is one %s, and all of its nodes are down: both are named", d, e)
	both := func(i int) []label { return append(twos(d)(i), twos(e)(i)...) }
	fires := c.seen(c.members(6, both, "n1", "n2").fault, 1000, onset)
	c.query(fires, `count by (scope, member) (ALERTS{alertname="FaultLocated",alertstate="firing"})`,
		sample(fmt.Sprintf(`{member="g1",scope=%s}`, quoted(d)), "1"), sample(fmt.Sprintf(`{member="g1",scope=%s}`, quoted(e)), "1"))
}
