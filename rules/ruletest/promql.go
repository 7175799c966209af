package ruletest

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/onefiveten/onefiveten/sigma"
)

// gap is a step between two samples.
const gap = missing + 1

// lively is the k from which on good values of a case go up and down: below it they
// would be anomalies themselves.
const lively = 2

// scrapedCases are the scenes of a signal that rules judge by what scrapes find. What
// leads from a verdict to an alert is the same, and so are the cases.
func (c *scene) scrapedCases() []func(*scene) {
	if c.signal.Name != availability {
		return []func(*scene){(*scene).slowNode}
	}
	if c.signal.Mode == ticket {
		return []func(*scene){(*scene).ticketOnly}
	}
	all := []func(*scene){
		(*scene).healthy, (*scene).oneNode, (*scene).allNodes, (*scene).singleNode, (*scene).entryOnly, (*scene).anotherNode,
		(*scene).hung, (*scene).vanished, (*scene).isolated, (*scene).putBack, (*scene).twoServices, (*scene).restarted,
	}
	n := len(c.observers())
	if n > 1 {
		all = append(all, (*scene).cutOff, (*scene).disagreeing, (*scene).mostlyBad)
	}
	if n > 2 {
		all = append(all, (*scene).outvoted)
	}
	return append(all, c.groupCases()...)
}

// slowNode is a latency, once there is a baseline that shows a step.
func (c *scene) slowNode() {
	c.name = "one node is slow: a ticket and never more"
	begins := c.next(c.warm() + onset)
	c.end = c.next(begins + c.reach())
	c.furnish([]Service{c.service}, nil)
	tracks := map[string]track{}
	for _, n := range []string{"n1", "n2", "n3"} {
		f := fate{}
		if n == "n2" {
			f.bad = from(begins)
		}
		tracks[n] = c.play(c.service.Name, n, roleNode, f)
	}
	fires := c.seen(tracks["n2"].fault, 1000, begins)
	c.expect(c.next(begins))
	c.expect(fires - c.step)
	c.expect(fires, "SignalFault")
	c.alert(fires, "SignalFault", []label{
		{"service", c.service.Name}, {"owner", c.service.Owner}, {"signal", c.signal.Name}, {"severity", ticket},
	}, []label{{"summary", fmt.Sprintf("%s: %s is beyond its threshold; members bad: 1", c.service.Name, c.signal.Name)}, {"bad", "node n2"}})
}

// set is the name of the rules that judge the signal.
func (c *scene) set() string {
	if c.proof.RuleSet != "" {
		return c.proof.RuleSet
	}
	return c.service.set()
}

// warm is how long a case runs before its fault, so that the windows of rules that
// judge hold what they must: a test begins without a past.
func (c *scene) warm() time.Duration {
	if !c.scraped {
		return 0
	}
	b := c.proof.Baseline
	samples := max(2*b.K*b.K*float64(c.proof.Bad), float64(b.MinSamples+1))
	if b.Window == 0 {
		samples = 0
	}
	return c.next(max(c.fault.Window, time.Duration(samples)*c.scrape) + 2*c.every)
}

// turns is when, after a fault began, the last sample has ended that a verdict needs,
// and shows when a verdict with it can be seen: where rules judge, the scrapes after
// the first bad result are the samples.
func (c *scene) turns(told time.Duration) (turns, shows time.Duration) {
	const moment = time.Millisecond
	if c.scraped {
		turns = c.probe + c.probeTakes - moment
		return turns, turns - moment + time.Duration(c.proof.Bad)*c.scrape + c.scrapeTakes
	}
	turns = told + time.Duration(c.proof.Bad)*c.probe + c.probeTakes - moment
	return turns, turns - moment + c.scrape + c.scrapeTakes
}

// judgeBy adds the figures by which the rules judge a signal of a service.
func (c *scene) judgeBy(name label, me label, whole func(string) string) {
	if !c.scraped {
		return
	}
	id := []label{name, {"signal", c.signal.Name}, {"rule_set", c.proof.RuleSet}, me}
	number := func(v float64) string { return whole(strconv.FormatFloat(v, 'g', -1, 64)) }
	c.add("onefiveten_fault_cap_ratio", id, number(c.fault.Cap))
	c.add("onefiveten_fault_min_anomalies", id, number(float64(c.fault.MinAnomalies)))
	b := c.proof.Baseline
	if b.Window == 0 {
		return
	}
	c.add("onefiveten_baseline_min_samples", id, number(float64(b.MinSamples)))
	c.add("onefiveten_baseline_floor_seconds", id, number(b.Floor))
	if b.Direction != sigma.Lower {
		c.add("onefiveten_baseline_k", append(id, label{"bound", "upper"}), number(b.K))
	}
	if b.Direction != sigma.Upper {
		c.add("onefiveten_baseline_k", append(id, label{"bound", "lower"}), number(b.K))
	}
}

// show adds the results of a target as scrapes find them.
func (c *scene) show(id []label, tr track) {
	c.add("probe_success", id, scattered(tr.success))
	c.add("probe_last_run_timestamp_seconds", id, notation(tr.last))
	if c.valued() {
		c.add("probe_duration_seconds", id, scattered(tr.value))
	} else {
		c.add("probe_first_failure_timestamp_seconds", id, notation(tr.start))
	}
}

// valued tells of a signal that has a value, of which successes alone tell.
func (t timing) valued() bool { return t.baseline.Window > 0 }

// scattered writes samples that lie some steps apart.
func scattered(values []int64) string {
	var items []string
	for i := 0; i < len(values); {
		n := 1
		for i+n < len(values) && values[i+n] == values[i] {
			n++
		}
		switch v := values[i]; {
		case v == gap || v == missing && i == 0:
			items = append(items, "_x"+strconv.Itoa(n))
		case v == missing:
			items = append(items, "stale")
			if n > 1 {
				items = append(items, "_x"+strconv.Itoa(n-1))
			}
		case n == 1:
			items = append(items, thousandths(v))
		default:
			items = append(items, thousandths(v)+"x"+strconv.Itoa(n-1))
		}
		i += n
	}
	return strings.Join(items, " ")
}

// followScraped is follow where rules judge: the samples are what scrapes find. What
// the rules must say of them is reckoned here, sample by sample.
func (t timing) followScraped(f sigma.Fault, w fate, end time.Duration) track {
	tr, results := track{}, t.outcomes(f, w, end)
	begin := -(4*t.scrape + 4*t.probe)
	sc := begin + phase(t.scrapeAt-begin, t.scrape)
	known, shown, verdict := 0, time.Duration(math.MinInt64), int64(missing)
	for at := time.Duration(0); at <= end; at += t.step {
		for sc+t.scrape+t.scrapeTakes <= at {
			sc += t.scrape
		}
		for known < len(results) && results[known].end <= sc {
			known++
		}
		now := found{success: missing, value: missing, start: missing, last: missing}
		if r := results[max(known-1, 0)]; known > 0 && !r.gone && !w.away.at(sc) && !w.removed.at(sc) {
			now = found{t.success(r), t.duration(sc, r), r.start, (at - (sc - r.end)).Milliseconds()}
		}
		tr.start, tr.last = append(tr.start, now.start), append(tr.last, now.last)
		if shown == sc { // no scrape has come since
			now.success, now.value = pause(now.success), pause(now.value)
		}
		shown = sc
		tr.success, tr.value = append(tr.success, now.success), append(tr.value, now.value)
		if at%t.every == 0 {
			verdict = t.verdict(f, &tr)
		}
		tr.fault = append(tr.fault, verdict)
	}
	return tr
}

// found is what a scrape finds of a target.
type found struct{ success, value, start, last int64 }

// pause is a gap where there is a sample, and none where there is none.
func pause(v int64) int64 {
	if v == missing {
		return missing
	}
	return gap
}

// success is that of a result: of a signal that has a value all are.
func (t timing) success(r result) int64 {
	if t.valued() {
		return 1000
	}
	return 1000 - r.fault
}

// duration is that of a result at a scrape, in thousandths of a second. Of a signal
// that has a value a bad one is a success that is slow, or quick where that is bad.
func (t timing) duration(sc time.Duration, r result) int64 {
	b := t.baseline
	usual := 1000 + int64(2000*b.K*b.Floor) // far enough from 0 and from what the floor allows for
	switch {
	case r.fault > 0 && b.Direction == sigma.Lower:
		return 1
	case r.fault > 0:
		return 3 * usual
	case b.K >= lively && phase(sc/t.scrape, 2) == 1:
		return usual + 50
	}
	return usual
}

// outcomes are the results of the probes: whether each is bad, and the start of its
// episode, which so many good ones end as the exporter's.
func (t timing) outcomes(f sigma.Fault, w fate, end time.Duration) []result {
	var all []result
	begin := -(f.Window + 4*t.probe)
	start, good := int64(0), 0
	for at := begin + phase(t.probeAt-begin, t.probe); at <= end; at += t.probe {
		if w.restart > 0 && at >= w.restart {
			for len(all) > 0 && all[len(all)-1].end > w.restart {
				all = all[:len(all)-1] // it never reported
			}
			all = append(all, result{end: w.restart, gone: true})
			w.restart, start, good = 0, 0, 0
		}
		if w.away.at(at) || w.removed.at(at) || w.hangs.at(at) {
			continue
		}
		r := result{end: at}
		if w.bad.at(at) {
			if start == 0 {
				start = at.Milliseconds()
			}
			r.end, r.fault, good = at+t.probeTakes, 1000, 0
		} else if good++; good >= f.Clear {
			start = 0
		}
		r.start = start
		all = append(all, r)
	}
	return all
}

// verdict is what the rules say at the last step of a track, an evaluation.
func (t timing) verdict(f sigma.Fault, tr *track) int64 {
	samples, bad := 0, 0
	count := func(anomaly bool) {
		if samples++; anomaly {
			bad++
		}
	}
	switch {
	case tr.last[len(tr.last)-1] == missing:
		return missing
	case t.valued():
		if !t.weigh(f, tr, count) {
			return missing
		}
	default:
		for _, v := range tr.success[t.since(len(tr.success), f.Slots(t.scrape)+1):] {
			if v != gap && v != missing {
				count(v == 0)
			}
		}
	}
	if e := float64(bad) / float64(max(samples, f.Slots(t.scrape))); e > f.Cap && bad >= f.MinAnomalies {
		return 1000
	}
	return 0
}

// since is the first of so many steps that no more than n scrapes fall on.
func (t timing) since(steps, n int) int { return max(0, steps-n*int(t.scrape/t.step)) }

// weigh judges the value at the last step and counts the anomalies of the fault
// window. It is false until there was a value that could be judged.
func (t timing) weigh(f sigma.Fault, tr *track, count func(anomaly bool)) bool {
	v := latest(tr.value)
	mean, spread, n := t.before(tr.recorded)
	tr.recorded = append(tr.recorded, v)
	if n < t.baseline.MinSamples {
		tr.judged = append(tr.judged, missing)
	} else {
		width := t.baseline.K * max(spread, t.baseline.Floor)
		anomaly := t.baseline.Direction != sigma.Lower && v > mean+width || t.baseline.Direction != sigma.Upper && v < mean-width
		tr.judged = append(tr.judged, map[bool]float64{true: 1}[anomaly])
	}
	seen := false
	for _, a := range tr.judged[max(0, len(tr.judged)-f.Slots(t.scrape)-1):] {
		if a != missing {
			seen = true
			count(a == 1)
		}
	}
	return seen
}

// before gives mean and sample standard deviation of what the baseline holds, in two
// passes.
func (t timing) before(recorded []float64) (mean, spread float64, n int) {
	past := recorded[max(0, len(recorded)-t.baseline.Holds(t.scrape)):]
	for _, v := range past {
		mean += v / float64(len(past))
	}
	for _, v := range past {
		spread += (v - mean) * (v - mean)
	}
	return mean, math.Sqrt(spread / float64(max(len(past)-1, 1))), len(past)
}

// latest is the newest sample, in seconds.
func latest(values []int64) float64 {
	for i := len(values) - 1; i >= 0; i-- {
		if values[i] != gap {
			return float64(values[i]) / 1000
		}
	}
	return 0
}
