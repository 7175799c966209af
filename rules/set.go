package rules

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
)

const (
	keepLeast   = 30 * time.Second // keep_firing_for, where 2·(S + P) + restart is less
	carryLeast  = 2 * time.Minute  // a fault that comes back so soon goes on
	restartTime = 5 * time.Second  // of an exporter, until it is scraped again
	differLeast = 30 * time.Second // observers may disagree, where their timing allows less
)

// set is what one group of rules stands for: a severity class and the dimensions of
// its services, sorted, node among them.
type set struct {
	class      string
	dimensions []string
	values     bool // a value may page: where it lies is told by its size, too
}

// setOf is that of a service. The order of its dimensions has no meaning.
func setOf(v Service) set {
	return set{class: v.Severity, dimensions: slices.Compact(slices.Sorted(slices.Values(v.Dimensions)))}
}

// name is the word of the set in names of groups and files, and its rule_set.
func (t set) name() string { return t.class + "-" + strings.Join(t.dimensions, "-") }

// further are the dimensions above node: each groups nodes.
func (t set) further() []string {
	return slices.DeleteFunc(slices.Clone(t.dimensions), func(d string) bool { return d == roleNode })
}

// words are what stands for the set in the expressions.
func (t set) words(every, keep time.Duration) *strings.Replacer {
	gap, carry := carried(keep)
	return strings.NewReplacer("<set>", t.name(), "<class>", t.class, "<E>", model.Duration(every).String(), "<twice>", holding(2, every), "<gap>", gap.String(), "<carry>", carry.String(),
		"<dimensions>", strings.Join(t.dimensions, ","), "<by>", strings.Join(t.dimensions, ", "))
}

// group gives the rules of one set. They are generic over service and signal: a
// service adds series, not rules. Numbers are those of the table in DETECTION 5.1.
func (s Spec) group(t set) group {
	keep := s.keep(t.class)
	t.values = s.valuesPage(t)
	g := group{
		name:    "onefiveten:" + t.name(),
		comment: fmt.Sprintf("Services of severity %s, located by %s.", t.class, strings.Join(t.dimensions, ", ")),
		rules:   append(t.records(), t.alerts(keep, s.differ(), s.disagree())...),
	}
	return g.filled(t.name(), t.words(time.Duration(s.Prometheus.Evaluation.Interval), keep))
}

// filled puts the words of a set in their places.
func (g group) filled(set string, words *strings.Replacer) group {
	for i, r := range g.rules {
		g.rules[i].expr, g.rules[i].comment = expression(r.expr, words), words.Replace(r.comment)
		for j, a := range r.annotations {
			g.rules[i].annotations[j].value = words.Replace(a.value)
		}
		if r.record != "" {
			g.rules[i].labels = append(r.labels[:len(r.labels):len(r.labels)], label{"rule_set", set})
		}
	}
	return g
}

// valuesPage tells whether a service of the set may be in fault by a value. Only then
// does the exporter show values wherever they are not asked for.
func (s Spec) valuesPage(t set) bool {
	return slices.ContainsFunc(s.Services, func(v Service) bool {
		return setOf(v).name() == t.name() && slices.ContainsFunc(v.Signals, func(g Signal) bool { return g.Name != availability && g.Mode == page })
	})
}

// keep is keep_firing_for: it bridges the restart of an exporter, until its
// first bad samples are seen again. A query is told the past and goes on with its
// first answer; of those that make tickets nobody minds a second one. It is a
// multiple of E, since Prometheus looks at it once in E.
func (s Spec) keep(class string) time.Duration {
	scrape, takes := time.Duration(s.Prometheus.Scrape.Interval), s.Prometheus.Scrape.Wait()
	e := time.Duration(s.Prometheus.Evaluation.Interval)
	keep := keepLeast
	for _, v := range s.Services {
		if v.Severity != class {
			continue
		}
		for _, c := range s.ways(v, isAvailability) {
			again := time.Duration(c.least())*c.interval + c.timeout + scrape + takes + e
			keep = max(keep, restartTime+2*(scrape+c.interval), restartTime+again)
		}
		for _, c := range s.ways(v, isQuery) {
			if c.signal.Mode == page {
				keep = max(keep, restartTime+c.interval+c.timeout+scrape+takes+e)
			}
		}
	}
	return (keep + e - 1) / e * e
}

// carried is the longest pause that a fault may make and keep its start, and the
// range that reaches over it. An alert that is kept goes on, and so does its clock:
// where probes are seldom, a restart takes longer than the usual two minutes.
func carried(keep time.Duration) (gap, reach model.Duration) {
	const edge = 500 * time.Millisecond // no range ends on a sample
	if keep < carryLeast {
		return model.Duration(carryLeast), model.Duration(carryLeast - edge)
	}
	return model.Duration(keep), model.Duration(keep + edge)
}

// differ is how long the probes of two observers may see the same fault apart, and
// disagree how long their probes or their queries may.
func (s Spec) differ() time.Duration   { return s.apart(isAvailability) }
func (s Spec) disagree() time.Duration { return max(s.differ(), s.apart(isQuery)) }

// apart is how long that is for the signals named. One observer may turn
// after the fewest bad samples that any history asks for, seen at once; the other
// after the most, of probes that take their time, seen at the end of a scrape. One
// that restarts in a fault sees all well until the fewest are there again, but for
// a query, of which it sees nothing until it knows the past.
func (s Spec) apart(of func(Signal) bool) time.Duration {
	e, p := time.Duration(s.Prometheus.Evaluation.Interval), s.Prometheus.Scrape
	differ := differLeast
	for _, v := range s.Services {
		for _, c := range s.ways(v, of) {
			few := c.least()
			c.signal.Fault.Cap = s.prove(v, c.signal).Cap
			apart := c.signal.Fault.Bad(c.tick()) - few + 1
			if c.signal.Query == nil {
				apart = max(apart, few-1)
			}
			differ = max(differ, time.Duration(apart)*c.tick()+c.timeout+time.Duration(p.Interval)+p.Wait())
		}
	}
	return (differ + e - 1) / e * e
}

func isAvailability(g Signal) bool { return g.Name == availability }
func isQuery(g Signal) bool        { return g.Query != nil }

// ways are those of some signals of a service: one per probe, or one per query.
func (s Spec) ways(v Service, of func(Signal) bool) []chain {
	var all []chain
	for _, g := range v.Signals {
		if of(g) {
			all = append(all, s.chains(v, g)...)
		}
	}
	return all
}
