package ruletest

import (
	"fmt"
	"time"
)

// healthy is the silence without which no other case means anything.
func (c *scene) healthy() {
	c.stage("healthy: only the dead-man's switch fires", 2*time.Minute, nil)
	c.expect(c.next(10 * time.Second))
	c.expect(c.end)
	c.query(c.end, `count by (alertname, heal) (ALERTS{alertstate="firing"})`, sample(`{alertname="Watchdog",heal="true"}`, "1"))
}

// oneNode is the whole way: detected, located, overdue, recovered.
func (c *scene) oneNode() {
	over := onset + c.service.Recover + c.reach()
	n2 := c.stage("one node is down, located, overdue, recovered", over+c.reach()+c.keep(),
		map[string]fate{"n2": {bad: between(onset, over)}})["n2"]
	fires := c.seen(n2.fault, 1000, onset)
	start, began := c.startOf(n2, fires)
	overdue := c.overdue(start, c.service.Recover)
	good := c.seen(n2.fault, 0, over)
	// From here on: silent before, firing at, and each stage at its minute.
	c.expect(fires - c.step)
	c.expect(fires, "FaultDetected", "FaultLocated")
	// keep_firing_for would hide a member that is located now and then only.
	c.query(fires+c.every, "count by (member) (onefiveten:member_located:ratio)", sample(`{member="n2"}`, "1"))
	c.expect(c.overdue(start, c.service.Locate), "FaultDetected", "FaultLocated")
	c.expect(overdue-c.step, "FaultDetected", "FaultLocated")
	c.expect(overdue, "FaultDetected", "FaultLocated", "RecoveryOverdue")
	c.expect(good-c.step, "FaultDetected", "FaultLocated", "RecoveryOverdue")
	c.expect(good, "FaultDetected", "FaultLocated")
	c.expect(good+c.keep()-c.step, "FaultDetected", "FaultLocated")
	c.expect(good + c.keep())
	c.alert(fires, "FaultDetected", c.who(), []label{
		{"summary", c.service.Name + " is in fault by " + c.signal.Name + "; members bad: 1"},
		{"bad", "node n2"},
		{"detect_bound_seconds", seconds(c.proof.Bound)},
		began,
	})
	c.alert(fires, "FaultLocated", c.who(label{"scope", "node"}, label{"member", "n2"}, label{"node", "n2"}), []label{
		{"summary", c.service.Name + ": the fault is in node n2"},
		{"evidence", c.evidence(fires, roleNode, "n2", "100% of node n2 bad, 33.33% of all nodes")},
		began,
	})
	c.alert(overdue, "RecoveryOverdue", c.who(), []label{
		{"summary", fmt.Sprintf("%s has been in fault by %s for %s, longer than its target: a person has to take over", c.service.Name, c.signal.Name, humanized(overdue-time.Duration(start)*time.Millisecond))},
		{"bad", "node n2"},
		began,
	})
}

// allNodes is a fault of every node behind an entry that still answers.
func (c *scene) allNodes() {
	down := fate{bad: from(onset)}
	n1 := c.stage("all nodes are down: the service as a whole", onset+c.reach(),
		map[string]fate{"n1": down, "n2": down, "n3": down})["n1"]
	fires := c.seen(n1.fault, 1000, onset)
	_, began := c.startOf(n1, fires)
	c.expect(fires - c.step)
	c.expect(fires, "FaultDetected", "FaultLocated")
	c.alert(fires, "FaultLocated", c.who(label{"scope", "service"}), []label{
		{"summary", c.service.Name + ": the fault is in the service as a whole; members bad: 3"}, {"evidence", "100% of all nodes bad"}, began,
	})
}

// singleNode is a service that has no other node to compare with.
func (c *scene) singleNode() {
	c.name = "the only node is down: the service as a whole"
	c.end = c.next(onset + c.reach())
	c.furnish([]Service{c.service}, nil)
	n1 := c.play(c.service.Name, "n1", roleNode, fate{bad: from(onset)})
	fires := c.seen(n1.fault, 1000, onset)
	c.expect(fires, "FaultDetected", "FaultLocated")
	c.query(fires, `count by (scope) (ALERTS{alertname="FaultLocated"})`, sample(`{scope="service"}`, "1"))
}

// entryOnly is a fault that nobody can locate, beside one that was located.
func (c *scene) entryOnly() {
	other := c.other()
	c.name = "an entry alone is down: not located in time; all nodes of another service are: located"
	c.end = c.next(onset + c.service.Locate + c.reach())
	c.furnish([]Service{c.service, other}, nil)
	var lb track
	for _, n := range []string{"n1", "n2", "n3"} {
		c.play(c.service.Name, n, roleNode, fate{})
		c.play(other.Name, "x"+n, roleNode, fate{bad: from(onset)})
	}
	lb = c.play(c.service.Name, "lb", roleEntry, fate{bad: from(onset)})
	fires := c.seen(lb.fault, 1000, onset)
	start, began := c.startOf(lb, fires)
	late := max(fires, c.overdue(start, c.service.Locate))
	located := []firing{{"FaultDetected", other.Name, 1}, {"FaultLocated", other.Name, 1}, {"FaultDetected", c.service.Name, 1}}
	if late > fires {
		c.expectAll(fires, located...)
		c.expectAll(late-c.step, located...)
	}
	c.expectAll(late, append(located, firing{"FaultNotLocated", c.service.Name, 1})...)
	c.alert(late, "FaultNotLocated", c.who(), []label{
		{"summary", c.service.Name + ": no rule has located the fault for " + humanized(late-time.Duration(start)*time.Millisecond) + "; heal-receiver may know more"},
		{"bad", "entry lb"},
		began,
	})
}

// other is a second service, equal but for its names.
func (c *scene) other() Service {
	v := c.service
	v.Name, v.Owner = c.service.Name+"-2", c.service.Owner+"-2"
	return v
}

// anotherNode falls at the very evaluation at which the first one is isolated:
// it must be a candidate twice before it is named.
func (c *scene) anotherNode() {
	later := onset + c.reach()
	n3 := c.stage("another node falls as the first is isolated: located an evaluation later", later+c.reach()+c.keep(),
		map[string]fate{"n2": {bad: from(onset)}, "n3": {bad: from(later)}})["n3"]
	swap := c.seen(n3.fault, 1000, later)
	c.isolate("n2", c.first(n3.fault, 1000, later), c.end)
	c.heard(0)
	located := `count by (member) (ALERTS{alertname="FaultLocated",alertstate="firing"})`
	c.query(swap, located, sample(`{member="n2"}`, "1"))
	c.query(swap+c.every, located, sample(`{member="n2"}`, "1"), sample(`{member="n3"}`, "1"))
	c.query(swap+c.keep(), located, sample(`{member="n3"}`, "1"))
}

// isolate has heal-receiver say that a node is out of rotation, until it says so
// no more.
func (c *scene) isolate(node string, at, gone time.Duration) {
	before, held := int(at/c.step), int((gone-at)/c.step)
	c.add("heal_isolated", append(receiver(), label{"service", c.service.Name}, label{"node", node}), fmt.Sprintf("_x%d 1x%d stale", before, held-1))
}

// heard has heal-receiver tell of its incidents, until a moment before the end or
// to the end: so long it is believed that it names every node that is isolated.
func (c *scene) heard(until time.Duration) {
	c.add("heal_incidents", append(receiver(), label{"state", "closed"}), c.constant("0", until))
}

// receiver are the labels that a scrape gives to what heal-receiver exposes.
func receiver() []label { return []label{{"job", "heal-receiver"}, {"instance", "127.0.0.1:9099"}} }

// restarted loses the state of every exporter in a fault, just before a scrape.
func (c *scene) restarted() {
	again := c.scrapeAt + ceil(onset+c.reach()-c.scrapeAt, c.scrape)
	n2 := c.stageAll("an exporter restarts in a fault: the alert stays, and so does its clock", again+c.spec.Restart+2*c.reach(),
		fate{restart: again, away: between(again, again+c.spec.Restart)}, map[string]fate{"n2": {bad: from(onset)}})["n2"]
	fires := c.seen(n2.fault, 1000, onset)
	start, began := c.startOf(n2, fires)
	// Rules that judge at a seldom E may never see that it was away.
	gone := c.seen(n2.last, missing, again)
	back := c.seen(n2.fault, 1000, gone)
	c.expect(back-c.every, "FaultDetected", "FaultLocated")
	c.expect(back, "FaultDetected", "FaultLocated")
	c.expect(back+c.every, "FaultDetected", "FaultLocated")
	c.alert(back, "FaultDetected", c.who(), []label{
		{"summary", c.service.Name + " is in fault by " + c.signal.Name + "; members bad: 1"},
		{"bad", "node n2"},
		{"detect_bound_seconds", seconds(c.proof.Bound)},
		began,
	})
	c.query(back, starts, sample(c.named(starts), thousandths(start)))
}

const starts = "onefiveten:fault_start_timestamp_seconds:min"

// named is the one series of a record that belongs to this scene.
func (c *scene) named(record string) string {
	return fmt.Sprintf(`%s{mode=%s,owner=%s,rule_set=%s,service=%s,signal=%s}`, record,
		quoted(c.signal.Mode), quoted(c.service.Owner), quoted(c.set()), quoted(c.service.Name), quoted(c.signal.Name))
}

// stageAll is stage with one fate added to that of every target.
func (c *scene) stageAll(name string, lasts time.Duration, all fate, fates map[string]fate) map[string]track {
	mixed := map[string]fate{}
	for _, n := range []string{"n1", "n2", "n3", "lb"} {
		f := all
		f.bad = fates[n].bad
		mixed[n] = f
	}
	return c.stage(name, lasts, mixed)
}

// flapping comes back while its clock is carried, and once more after that.
func (c *scene) flapping() {
	lasts := c.reach() // of each fault
	bad := func(at time.Duration) bool { return at >= onset && at < onset+lasts }
	probe, err := c.follow(c.fault, fate{bad: bad}, onset+2*lasts)
	if err != nil {
		c.err = err
		return
	}
	// The first evaluation of a fault, and the first one after it.
	fires := c.seen(probe.fault, 1000, onset)
	good := c.seen(probe.fault, 0, onset+lasts)
	turn := func(pause time.Duration) time.Duration { return ceil(good+pause-fires, c.cycle()) }
	second := turn(c.carried() - 2*c.every - c.cycle())
	third := second + turn(c.carried()+c.every)
	f := during(func(at time.Duration) bool { return bad(at) || bad(at-second) || bad(at-third) })
	n2 := c.stage("a fault comes back: within 2m the clock goes on, later it begins anew", onset+third+2*lasts, map[string]fate{"n2": {bad: f}})["n2"]
	start, _ := c.startOf(n2, fires)
	anew, _ := c.startOf(n2, fires+third)
	c.query(fires, starts, sample(c.named(starts), thousandths(start)))
	c.query(good, starts)
	c.query(fires+second, starts, sample(c.named(starts), thousandths(start)))
	c.query(fires+third, starts, sample(c.named(starts), thousandths(anew)))
}

// carried is the range of the rule that carries the start of a fault.
func (c *scene) carried() time.Duration {
	if keep := c.keep(); keep >= 2*time.Minute {
		return keep + 500*time.Millisecond
	}
	return outOfSight
}

// outOfSight is how long the last word of a receiver holds that is gone.
const outOfSight = 2*time.Minute - 500*time.Millisecond

// cycle is when probes, scrapes and evaluations stand to each other as at 0.
func (c *scene) cycle() time.Duration {
	lcm := func(a, b time.Duration) time.Duration { return a / divisor(a, b) * b }
	all := lcm(lcm(c.probe, c.scrape), c.every)
	if c.asking {
		all = lcm(all, c.source)
	}
	return all
}

// hung probes and removed targets are no fault, and no recovery either.
func (c *scene) hung() {
	tracks := c.stage("a probe hangs: stale, not healthy, not a fault; a removed target is silent", onset+2*c.reach()+2*c.probe,
		map[string]fate{"n2": {hangs: from(onset)}, "n3": {removed: from(onset)}})
	// The verdict of a probe that hangs stays on the page. Its age at the scrape
	// is judged, so the vote is lost at the evaluation at which the alert fires.
	late := c.grownOld(tracks["n2"])
	n := len(c.watching())
	c.expect(late - c.step)
	c.expectAll(late, firing{"ProbeStale", c.service.Name, n})
	c.expectAll(c.next(onset+2*c.reach()), firing{"ProbeStale", c.service.Name, n})
	c.query(late, `count by (reason) (ALERTS{alertname="ProbeStale",alertstate="firing"})`, sample(`{reason="not_run"}`, fmt.Sprint(n)))
	votes := fmt.Sprintf(`count by (node) (onefiveten:vote:bool{signal=%s,node=~"n[12]"})`, quoted(c.signal.Name))
	c.query(late-c.step, votes, sample(`{node="n1"}`, fmt.Sprint(n)), sample(`{node="n2"}`, fmt.Sprint(n)))
	c.query(late, votes, sample(`{node="n1"}`, fmt.Sprint(n)))
}

// grownOld is the first evaluation at which a verdict has no vote any more; -1 when
// there is none.
func (c *scene) grownOld(tr track) time.Duration {
	for i, v := range tr.last {
		if at := time.Duration(i) * c.step; at.Milliseconds()-v >= c.stale().Milliseconds() {
			return c.next(at)
		}
	}
	return -1
}

// vanished takes one exporter away for good, and heal-receiver with it.
func (c *scene) vanished() {
	c.name = "an exporter and heal-receiver are gone: both are told, nothing is a fault"
	seenFor := 10*time.Minute - 500*time.Millisecond
	c.end = c.next(onset + seenFor + 2*c.every + c.reach())
	o := c.watching()[0]
	gone := ceil(onset+c.scrape+c.scrapeTakes, c.step)
	c.furnish([]Service{c.service}, map[string]time.Duration{o: gone, "heal-receiver": gone})
	var tr track
	for _, w := range c.watching() {
		f := fate{}
		if w == o {
			f.away = from(gone - c.scrape - c.scrapeTakes)
		}
		for _, n := range []string{"n1", "n2", "n3"} {
			if t := c.playFor(c.service.Name, actor{observer: w, instance: n, role: roleNode, fate: f}); w == o {
				tr = t
			}
		}
	}
	alert, n := "ProbeStale", 3
	if c.asking {
		alert, n = "SignalStale", 1
	}
	stale := c.seen(tr.last, missing, onset)
	down := c.next(gone)
	// Both wait for one missed scrape; the later one tells when both fire.
	c.expectAll(min(stale, down) + c.next(c.spec.Dwell) - c.step)
	at := max(stale, down) + c.next(c.spec.Dwell)
	both := []firing{{"HealReceiverDown", "", 1}, {"ProbeExporterDown", "", 1}}
	if c.spec.Receiver == nil {
		both = both[1:]
	}
	c.expectAll(at, append(both, firing{alert, c.service.Name, n})...)
	c.query(at, fmt.Sprintf(`count by (reason) (ALERTS{alertname=%q,alertstate="firing"})`, alert), sample(`{reason="not_scraped"}`, fmt.Sprint(n)))
	c.query(at, `count by (observer) (ALERTS{alertname="ProbeExporterDown",alertstate="firing"})`, sample(fmt.Sprintf("{observer=%s}", quoted(o)), "1"))
	last := c.first(tr.last, missing, onset) - c.step
	forgotten := c.next(last + seenFor)
	if c.every >= coarse {
		c.expectAll(forgotten-c.every, append(both, firing{alert, c.service.Name, n})...)
		c.expectAll(forgotten, both...)
	}
}

// isolated takes the bad node out of rotation; a receiver that restarts does
// not bring it back, one that is gone for 2m does.
func (c *scene) isolated() {
	fires := onset + c.reach()
	out := c.next(fires + c.every)
	lost := c.next(out + c.keep() + 2*c.every)
	back := lost + outOfSight
	n2 := c.stage("an isolated node leaves the fault and stays a ticket", back+3*c.every+c.reach(), map[string]fate{"n2": {bad: from(onset)}})["n2"]
	if at := c.seen(n2.fault, 1000, onset); c.err == nil && at >= out {
		c.err = fmt.Errorf("found at %s, want before %s", at, out)
	}
	c.isolate("n2", out, lost)
	c.heard(lost)
	// Out of rotation at once, but the alert is kept; then the receiver is gone,
	// and with it the gauge, whose last word holds for two minutes.
	c.expect(out-c.step, "FaultDetected", "FaultLocated")
	c.expect(out, "FaultDetected", "FaultLocated", "NodeOutOfRotation")
	c.expect(out+c.keep()-c.step, "FaultDetected", "FaultLocated", "NodeOutOfRotation")
	c.expect(out+c.keep(), "NodeOutOfRotation")
	c.expect(lost, "NodeOutOfRotation")
	c.expect(c.next(back)-2*c.every, "NodeOutOfRotation")
	c.expect(c.next(back)+c.every, "FaultDetected", "FaultLocated")
}

// putBack ends the isolation of a node that is bad: a receiver that is heard and
// names it no more is believed at once.
func (c *scene) putBack() {
	out := c.next(onset + c.reach() + c.every)
	back := c.next(out + c.keep() + 2*c.every)
	c.stage("a node that is put back while it is bad is a fault at once", back+c.reach(), map[string]fate{"n2": {bad: from(onset)}})
	c.isolate("n2", out, back)
	c.heard(0)
	c.expect(back-c.step, "NodeOutOfRotation")
	c.expect(back, "FaultDetected", "FaultLocated")
}

// twoServices are in fault at once, each in its own way. One node of the second
// has two probes, and only one of them is bad.
func (c *scene) twoServices() {
	other := c.other()
	c.name = "two services at once: one node of the one, half of the other"
	c.end = c.next(onset + c.reach())
	c.furnish([]Service{c.service, other}, nil)
	down := fate{bad: from(onset)}
	fates := map[string]fate{"n2": down, "m1": down, "m2": down}
	tracks := map[string]track{}
	for _, n := range []string{"1", "2", "3", "4"} {
		tracks["n"+n] = c.play(c.service.Name, "n"+n, roleNode, fates["n"+n])
		c.play(other.Name, "m"+n, roleNode, fates["m"+n])
	}
	for _, o := range c.watching() {
		c.playFor(other.Name, actor{observer: o, instance: "m1:8081", role: roleNode, node: "m1"})
	}
	// The member with a good and a bad probe is bad: half of four nodes is more
	// than a candidate may hold, so the second service is located as a whole.
	fires := c.seen(tracks["n2"].fault, 1000, onset)
	c.expectAll(fires,
		firing{"FaultDetected", c.service.Name, 1}, firing{"FaultLocated", c.service.Name, 1},
		firing{"FaultDetected", other.Name, 1}, firing{"FaultLocated", other.Name, 1})
	c.query(fires, `count by (service, scope, member, owner) (ALERTS{alertname="FaultLocated",alertstate="firing"})`,
		sample(fmt.Sprintf(`{member="n2",owner=%s,scope="node",service=%s}`, quoted(c.service.Owner), quoted(c.service.Name)), "1"),
		sample(fmt.Sprintf(`{owner=%s,scope="service",service=%s}`, quoted(other.Owner), quoted(other.Name)), "1"))
}

// ticketOnly is a signal that may not page.
func (c *scene) ticketOnly() {
	n2 := c.stage(fmt.Sprintf("%s is a ticket and never more", c.signal.Name), onset+c.reach(), map[string]fate{"n2": {bad: from(onset)}})["n2"]
	fires := c.seen(n2.fault, 1000, onset)
	c.expect(fires - c.step)
	c.expect(fires, "SignalFault")
	c.alert(fires, "SignalFault", []label{
		{"service", c.service.Name}, {"owner", c.service.Owner}, {"signal", c.signal.Name}, {"severity", ticket},
	}, []label{{"summary", fmt.Sprintf("%s: %s is beyond its threshold; members bad: 1", c.service.Name, c.signal.Name)}, {"bad", "node n2"}})
}

// cutOff has two parts, since a suspect must lose its vote in both directions:
// it can neither make a fault nor prevent one. It is an observer that reaches nothing any more, and then a fault that
// the other one sees.
func (c *scene) cutOff() {
	c.name = "an observer is cut off: suspected, and without a vote"
	fault := onset + c.reach() + c.spec.Differ + 2*c.every
	c.end = c.next(fault + c.reach())
	c.furnish([]Service{c.service}, nil)
	o := c.watching()
	var cut, seen track
	for _, n := range []string{"n1", "n2", "n3"} {
		f := fate{}
		if n == "n2" {
			f.bad = from(fault)
		}
		tr := c.playFor(c.service.Name, actor{observer: o[0], instance: n, role: roleNode, fate: f})
		if n == "n2" {
			seen = tr
		}
		cut = c.playFor(c.service.Name, actor{observer: o[1], instance: n, role: roleNode, fate: fate{bad: from(onset)}})
	}
	suspect := c.seen(cut.fault, 1000, onset)
	told := suspect + c.next(c.spec.Differ)
	c.expect(suspect)
	c.expect(told - c.step)
	c.expect(told, "ObserverFault")
	c.alert(told, "ObserverFault", []label{
		{"service", c.service.Name}, {"signal", c.signal.Name}, {"observer", o[1]}, {"severity", ticket}, {"heal", "true"},
	}, []label{{"summary", fmt.Sprintf("observer %s alone sees all of %s bad: suspect the observer", o[1], c.service.Name)}})
	// The fault of one node: the observer that is left decides alone, and the
	// start is its own, not that of the one that was cut off.
	fires := c.seen(seen.fault, 1000, fault)
	start, _ := c.startOf(seen, fires)
	c.expect(fires, "ObserverFault", "FaultDetected", "FaultLocated")
	c.query(fires, starts, sample(c.named(starts), thousandths(start)))
}

// disagreeing observers are no quorum.
func (c *scene) disagreeing() {
	c.name = "one of two observers sees a node bad: a ticket, not a fault"
	c.end = c.next(onset + c.reach() + c.spec.Disagree + 2*c.every)
	c.furnish([]Service{c.service}, nil)
	o := c.watching()
	var bad track
	for _, n := range []string{"n1", "n2", "n3"} {
		c.playFor(c.service.Name, actor{observer: o[0], instance: n, role: roleNode})
		f := fate{}
		if n == "n2" {
			f.bad = from(onset)
		}
		if tr := c.playFor(c.service.Name, actor{observer: o[1], instance: n, role: roleNode, fate: f}); n == "n2" {
			bad = tr
		}
	}
	apart := c.seen(bad.fault, 1000, onset)
	told := apart + c.next(c.spec.Disagree)
	c.expect(told - c.step)
	c.expect(told, "ObserverDisagrees")
	c.alert(told, "ObserverDisagrees", []label{
		{"service", c.service.Name}, {"owner", c.service.Owner}, {"signal", c.signal.Name}, {"member", "n2"}, {"severity", ticket},
	}, []label{{"summary", fmt.Sprintf("only 50%% of the observers see n2 of %s bad by %s: look at its path from each of them", c.service.Name, c.signal.Name)}})
}

// mostlyBad is a fault that one observer sees everywhere and the other on two of
// three nodes: neither is suspect, and they disagree on the third.
func (c *scene) mostlyBad() {
	c.name = "one observer sees all bad, another most of it: neither is suspect"
	c.contradict(func(observer, node int) bool { return observer == 0 || node < 2 })
	c.expect(c.end, "FaultDetected", "FaultLocated", "ObserverDisagrees")
}

// outvoted is an observer that sees all well in a total outage. It makes no
// suspects of two others.
func (c *scene) outvoted() {
	c.name = "one of three observers sees all well in a total outage: the two others are believed"
	c.crowd = 3
	c.contradict(func(observer, _ int) bool { return observer < 2 })
	c.expect(c.end, "FaultDetected", "FaultLocated")
}

// contradict has every observer see its own nodes bad, for longer than observers
// may disagree.
func (c *scene) contradict(bad func(observer, node int) bool) {
	c.end = c.next(onset+c.reach()) + c.next(max(c.spec.Differ, c.spec.Disagree)) + c.every
	c.furnish([]Service{c.service}, nil)
	for i, o := range c.watching() {
		for j, n := range []string{"n1", "n2", "n3"} {
			f := fate{}
			if bad(i, j) {
				f.bad = from(onset)
			}
			c.playFor(c.service.Name, actor{observer: o, instance: n, role: roleNode, fate: f})
		}
	}
	c.expect(c.next(onset))
}

// humanized writes a duration as Prometheus' humanizeDuration does from one
// minute on.
func humanized(d time.Duration) string {
	s := int(d / time.Second)
	switch {
	case s >= 24*3600:
		return fmt.Sprintf("%dd %dh %dm %ds", s/86400, s/3600%24, s/60%60, s%60)
	case s >= 3600:
		return fmt.Sprintf("%dh %dm %ds", s/3600, s/60%60, s%60)
	case s >= 60:
		return fmt.Sprintf("%dm %ds", s/60, s%60)
	}
	return fmt.Sprintf("%.4gs", d.Seconds())
}
