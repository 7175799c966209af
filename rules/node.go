package rules

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	keepLeast   = 30 * time.Second // keep_firing_for, where 2·(S + P) + restart is less
	restartTime = 5 * time.Second  // of an exporter, until it is scraped again
	differLeast = 30 * time.Second // observers may disagree, where their timing allows less
)

// isolated is heal_isolated as heal-receiver says it now, and for two minutes what
// one said last that is not heard: a restart brings no node back. A receiver is
// heard while it tells of its incidents, which it reads from the journal together
// with what is isolated; up alone is no proof, since it is scraped without either
// when the journal cannot be read. A node that it does not name then is back at
// once. The range edge lies between samples, never on one.
const isolated = `heal_isolated or last_over_time(heal_isolated[1m59s500ms]) unless on (job, instance) heal_incidents`

// set is what one group of rules stands for: a severity class and the dimensions of
// its services, sorted, node among them.
type set struct {
	class      string
	dimensions []string
}

// setOf is that of a service. The order of its dimensions has no meaning.
func setOf(v Service) set {
	return set{v.Severity, slices.Compact(slices.Sorted(slices.Values(v.Dimensions)))}
}

// name is the word of the set in names of groups and files, and its rule_set.
func (t set) name() string { return t.class + "-" + strings.Join(t.dimensions, "-") }

// further are the dimensions above node: each groups nodes.
func (t set) further() []string {
	return slices.DeleteFunc(slices.Clone(t.dimensions), func(d string) bool { return d == roleNode })
}

// words are what stands for the set in the expressions.
func (t set) words(every string) *strings.Replacer {
	return strings.NewReplacer("<set>", t.name(), "<class>", t.class, "<E>", every,
		"<dimensions>", strings.Join(t.dimensions, ","), "<by>", strings.Join(t.dimensions, ", "))
}

// group gives the rules of one set. They are generic over service and signal: a
// service adds series, not rules. Numbers are those of the table in DETECTION 5.1.
func (s Spec) group(t set) group {
	g := group{
		name:    "onefiveten:" + t.name(),
		comment: fmt.Sprintf("Services of severity %s, located by %s.", t.class, strings.Join(t.dimensions, ", ")),
		rules:   append(t.records(), t.alerts(s.keep(t.class), s.differ(), s.disagree())...),
	}
	words := t.words(s.Prometheus.Evaluation.Interval.String())
	for i, r := range g.rules {
		g.rules[i].expr = expression(r.expr, words)
		for j, a := range r.annotations {
			g.rules[i].annotations[j].value = words.Replace(a.value)
		}
		if r.record != "" {
			g.rules[i].labels = []label{{"rule_set", t.name()}}
		}
	}
	return g
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
			apart := c.signal.Fault.Bad(c.interval) - few + 1
			if c.signal.Query == nil {
				apart = max(apart, few-1)
			}
			differ = max(differ, time.Duration(apart)*c.interval+c.timeout+time.Duration(p.Interval)+p.Wait())
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

// records stand in the order in which they read each other: within a group
// each result is stored before the next rule runs, so a chain costs no interval.
func (t set) records() []rule {
	return append(voteRecords(), t.locateRecords()...)
}

// voteRecords lead from the gauges to the members that are bad.
func voteRecords() []rule { return append([]rule{freshRecord()}, memberRecords()...) }

// freshRecord asks for the age at the scrape, timestamp(x) - x, and not for time() -
// x: the latter grows by a scrape and an evaluation interval, and a limit that
// allows for them would let a probe that hangs keep its vote as much longer. A
// query has one last run for all its series, which carry no probe. The joins to
// information go through topk or an aggregation: while two observers run different
// configurations there are two series, and two on the one side of a join are an
// error that empties the rule.
func freshRecord() rule {
	return rule{
		comment: "1 Verdicts of probes that ran and of queries that were answered in time. Age is judged at scrape time, so S and E do not enter it.",
		record:  "onefiveten:ksigma_fault:fresh",
		expr: `
			(
					ksigma_fault
					and on (observer, probe, instance)
					(
						timestamp(probe_last_run_timestamp_seconds) - probe_last_run_timestamp_seconds
						< on (observer, probe) group_left ()
						max by (observer, probe) (probe_stale_after_seconds)
					)
				or
					ksigma_fault{probe=""}
					and on (observer, service, signal)
					(
						timestamp(signal_last_run_timestamp_seconds) - signal_last_run_timestamp_seconds
						< on (observer, service, signal) group_left ()
						max by (observer, service, signal) (signal_stale_after_seconds)
					)
			)
			* on (service) group_left (owner)
				topk by (service) (1, onefiveten_service_info{severity="<class>", dimensions="<dimensions>"})
			* on (service, signal) group_left (mode)
				topk by (service, signal) (1, onefiveten_signal_info)`,
	}
}

// memberRecords make votes of the fresh verdicts, and of the votes members.
//
// Record 2 takes the worst of several probes of a member, for one of them alone
// may see what is broken. Its patterns say (?s:…), since a dot of Prometheus 2
// ends at a newline and members of such names would be one. Record 3 needs
// another observer that sees most of it good: without one, everything bad is a
// total outage. Where more than half of the observers see everything bad, which is
// when their median does, it is one too: suspects are a minority. Of queries nobody
// is suspect: who is cut off gets no answer, and a bad one says nothing against the
// observer: it must not veto the healing of the service. Record 5 counts a tie as
// good, since a tie of two is what one observer that is cut off looks like. Shares
// that are compared with a half are no avg: Prometheus 2 reckons it sample by
// sample, and of eight votes on a tie may come out above .5. A median and a
// quotient of two counts are exact.
// The isolated nodes are those of isolated, of whichever receiver.
func memberRecords() []rule {
	return []rule{{
		comment: "2 One vote per observer and member. role gives the dimension (node or entry), node or else instance the member.",
		record:  "onefiveten:vote:bool",
		expr: `
			max by (service, owner, signal, mode, dimension, member, <by>, observer) (
				label_replace(label_replace(label_replace(
					onefiveten:ksigma_fault:fresh{rule_set="<set>"},
					"dimension", "$1", "role", "(.+)"), "member", "$1", "instance", "(?s:(.+))"), "member", "$1", "node", "(?s:(.+))")
			)`,
	}, {
		comment: "3 Suspect: probes see everything bad while another fresh observer sees less than half bad, and at most half of them do. Alone, nobody is suspect.",
		record:  "onefiveten:observer_suspect:bool",
		expr: `
			min by (service, signal, observer) (
				onefiveten:vote:bool{rule_set="<set>"}
				unless on (service, signal) signal_stale_after_seconds
			)
			* on (service, signal) group_left ()
			(
				min by (service, signal) (quantile by (service, signal, observer) (0.5, onefiveten:vote:bool{rule_set="<set>"}))
				< bool 0.5
			)
			* on (service, signal) group_left ()
			(
				quantile by (service, signal) (0.5, min by (service, signal, observer) (onefiveten:vote:bool{rule_set="<set>"}))
				< bool 1
			)`,
	}, {
		comment: "4 Quorum: the share of the votes that are left, without those of suspects.",
		record:  "onefiveten:member_fault:ratio",
		expr: `
			sum by (service, owner, signal, mode, dimension, member, <by>) (
				onefiveten:vote:bool{rule_set="<set>"}
				unless on (service, signal, observer) (onefiveten:observer_suspect:bool{rule_set="<set>"} == 1)
			)
			/
			count by (service, owner, signal, mode, dimension, member, <by>) (
				onefiveten:vote:bool{rule_set="<set>"}
				unless on (service, signal, observer) (onefiveten:observer_suspect:bool{rule_set="<set>"} == 1)
			)`,
	}, {
		comment: "5 Bad when more than half of them say so, and only while in rotation.",
		record:  "onefiveten:member_fault:bool",
		expr: `
			(onefiveten:member_fault:ratio{rule_set="<set>"} > bool 0.5)
			unless on (service, dimension, member)
			label_replace(label_replace(
				(` + isolated + `) == 1,
				"member", "$1", "node", "(?s:(.+))"), "dimension", "node", "node", "(?s:.+)")`,
	}, {
		comment: "6 Bad entries and bad nodes in rotation: the service is in fault while this is above 0.",
		record:  "onefiveten:fault_members:sum",
		expr:    `sum by (service, owner, signal, mode) (onefiveten:member_fault:bool{rule_set="<set>"})`,
	}}
}

// locateRecords say since when the fault lasts and where it lies.
func (t set) locateRecords() []rule {
	records := []rule{startRecord()}
	if groups := t.groupRecord(); groups.record != "" {
		records = append(records, groups)
	}
	return append(records, t.candidateRecord(), locatedRecord(), t.serviceRecord())
}

// startRecord takes the earlier of what the gauges say and of what it said itself
// before: an exporter that restarts knows of a later start only. Of the gauges
// those count that have a vote: a probe that hangs tells of an old fault for as
// long as it hangs. It carries for two minutes, and only while there is a fault,
// so that a fault which comes after a longer pause begins anew.
func startRecord() rule {
	return rule{
		comment: "7 Start of the fault: earliest start of a bad member, carried over restarts and gaps of up to 2m.",
		record:  "onefiveten:fault_start_timestamp_seconds:min",
		expr: `
			min by (service, owner, signal, mode) (
					(onefiveten:member_fault:bool{rule_set="<set>"} == 1)
					* on (service, signal, dimension, member) group_left ()
					min by (service, signal, dimension, member) (
						label_replace(label_replace(label_replace(
							(ksigma_fault_start_timestamp_seconds > 0)
							and on (service, signal, observer, probe, instance) onefiveten:ksigma_fault:fresh{rule_set="<set>"}
							unless on (service, signal, observer) (onefiveten:observer_suspect:bool{rule_set="<set>"} == 1),
							"dimension", "$1", "role", "(.+)"), "member", "$1", "instance", "(?s:(.+))"), "member", "$1", "node", "(?s:(.+))")
					)
				or
					last_over_time(onefiveten:fault_start_timestamp_seconds:min{rule_set="<set>"}[1m59s500ms])
					and on (service, signal) (onefiveten:fault_members:sum{rule_set="<set>"} > 0)
			)`,
	}
}

// groupRecord has one arm for each dimension above node; none when there is none.
// Shares are quotients of counts, as in record 4. The only group that is mostly bad
// is where the fault lies, if there are others to compare with: a zone of one node
// is that node.
func (t set) groupRecord() rule {
	var arms []string
	for _, d := range t.further() {
		arms = append(arms, strings.ReplaceAll(groupArm, "<group>", d))
	}
	if len(arms) == 0 {
		return rule{}
	}
	return rule{
		comment: "8 Candidates above node: the only " + strings.Join(t.further(), ", the only ") + " with more than half of its nodes bad, at least two of them, while there are others.",
		record:  "onefiveten:group_candidate:ratio",
		expr:    strings.Join(arms, "\n\t\t\tor"),
	}
}

const (
	groupArm = `
			label_replace(label_replace(
				` + groupShare + ` > 0.5
				and on (service, signal, <group>)
					(sum by (service, signal, <group>) (onefiveten:member_fault:bool{rule_set="<set>", dimension="node", <group>!=""}) >= 2)
				and on (service, signal) (count by (service, signal) (` + groupShare + ` > 0.5) == 1)
				and on (service, signal)
					(count by (service, signal) (group by (service, signal, <group>) (onefiveten:member_fault:bool{rule_set="<set>", dimension="node", <group>!=""})) >= 2),
				"dimension", "<group>", "<group>", "(?s:.+)"), "member", "$1", "<group>", "(?s:(.+))")`
	groupShare = `sum by (service, owner, signal, mode, <group>) (onefiveten:member_fault:bool{rule_set="<set>", dimension="node", <group>!=""})
					/ count by (service, owner, signal, mode, <group>) (onefiveten:member_fault:bool{rule_set="<set>", dimension="node", <group>!=""})`
)

// candidateRecord has the groups before the nodes: where a zone is bad its nodes
// are not named one by one.
func (t set) candidateRecord() rule {
	r := rule{
		comment: "9 Candidates: the bad nodes, if they are at most max(1, 30 %) of two or more.",
		record:  "onefiveten:member_candidate:ratio",
		expr: `
			(onefiveten:member_fault:bool{rule_set="<set>", dimension="node"} == 1)
			and on (service, signal) (
				sum by (service, signal) (onefiveten:member_fault:bool{rule_set="<set>", dimension="node"})
				<= clamp_min(0.3 * count by (service, signal) (onefiveten:member_fault:bool{rule_set="<set>", dimension="node"}), 1)
			)
			and on (service, signal) (count by (service, signal) (onefiveten:member_fault:bool{rule_set="<set>", dimension="node"}) >= 2)`,
	}
	if len(t.further()) > 0 {
		r.comment = "9 Candidates: a group, or else the bad nodes, if they are at most max(1, 30 %) of two or more."
		r.expr += `
			unless on (service, signal) onefiveten:group_candidate:ratio{rule_set="<set>"}
			or
			onefiveten:group_candidate:ratio{rule_set="<set>"}`
	}
	return r
}

// locatedRecord reads the past of two records with offset, which is the evaluation
// before whatever the order of the rules is. A member is named at once when no
// other was, as the clock runs; another one only when it was a candidate twice,
// since at the edge of a fault the candidates change for one evaluation.
func locatedRecord() rule {
	return rule{
		comment: "10 Located at once when nothing was located before; another member only after two evaluations.",
		record:  "onefiveten:member_located:ratio",
		expr: `
			(
				onefiveten:member_candidate:ratio{rule_set="<set>"}
				and on (service, signal, dimension, member) (onefiveten:member_candidate:ratio{rule_set="<set>"} offset <E>)
			)
			or
			(
				onefiveten:member_candidate:ratio{rule_set="<set>"}
				unless on (service, signal) (onefiveten:member_located:ratio{rule_set="<set>"} offset <E>)
			)`,
	}
}

// serviceRecord and record 10 may both be silent, as for an entry that is bad
// before good nodes: then nobody knows, and FaultNotLocated says so in time.
func (t set) serviceRecord() rule {
	r := rule{
		comment: "11 The service as a whole: too many nodes for a candidate, or fewer than two nodes in rotation.",
		record:  "onefiveten:service_located:sum",
		expr: `
			onefiveten:fault_members:sum{rule_set="<set>"} > 0
			and on (service, signal) (
					sum by (service, signal) (onefiveten:member_fault:bool{rule_set="<set>", dimension="node"})
					> clamp_min(0.3 * count by (service, signal) (onefiveten:member_fault:bool{rule_set="<set>", dimension="node"}), 1)
				or
					onefiveten:fault_members:sum{rule_set="<set>"}
					unless on (service, signal) (count by (service, signal) (onefiveten:member_fault:bool{rule_set="<set>", dimension="node"}) >= 2)
			)`,
	}
	if len(t.further()) > 0 {
		r.expr += `
			unless on (service, signal) onefiveten:group_candidate:ratio{rule_set="<set>"}`
	}
	return r
}

// start is the annotation with the fault's first bad sample in unix seconds.
const start = `{{ with printf "onefiveten:fault_start_timestamp_seconds:min{service=%q,signal=%q}" $labels.service $labels.signal | query }}{{ . | first | value | printf "%.3f" }}{{ end }}`

// alerts follow the records in the same group, for the same reason. Within
// FaultDetected and FaultLocated keep_firing_for bridges the restart of an
// exporter; the others may end and begin again, which costs people nothing.
func (t set) alerts(keep, differ, disagree time.Duration) []rule {
	return append(stageAlerts(t.class, keep), ticketAlerts(keep, differ, disagree)...)
}

// stageAlerts are detect, locate and recover. They carry heal="true", which the
// route sends to heal-receiver, and the severity of the class. Figures that change are
// annotations: a label that changes makes a new alert, and a new episode.
func stageAlerts(class string, keep time.Duration) []rule {
	heal := []label{{"severity", class}, {"heal", "true"}}
	return []rule{{
		comment: "Detect. Nothing in this path has a range or a for.",
		alert:   "FaultDetected",
		expr:    `sum by (service, owner, signal) (onefiveten:fault_members:sum{rule_set="<set>", mode="page"}) > 0`,
		keep:    keep, labels: heal,
		annotations: []label{
			{"summary", `{{ $labels.service }}: members bad by {{ $labels.signal }}: {{ $value }}`},
			{"detect_bound_seconds", `{{ with printf "max(onefiveten_detect_bound_seconds{service=%q,signal=%q})" $labels.service $labels.signal | query }}{{ . | first | value }}{{ end }}`},
			{"fault_start", start},
		},
	}, {
		comment: "Locate: one member.",
		alert:   "FaultLocated",
		expr: `
			max by (service, owner, signal, scope, member, <by>) (
				label_replace(onefiveten:member_located:ratio{rule_set="<set>", mode="page"}, "scope", "$1", "dimension", "(.+)")
			)`,
		keep: keep, labels: heal,
		annotations: []label{
			{"summary", `{{ $labels.service }}: the fault is in {{ $labels.scope }} {{ $labels.member }}`},
			{"evidence", `{{ $value }} of {{ $labels.scope }} {{ $labels.member }} bad, of all nodes {{ with printf "avg(onefiveten:member_fault:bool{service=%q,signal=%q,dimension=\"node\"})" $labels.service $labels.signal | query }}{{ . | first | value | printf "%.2f" }}{{ end }}`},
			{"fault_start", start},
		},
	}, {
		comment: "Locate: the service as a whole.",
		alert:   "FaultLocated",
		expr:    `sum by (service, owner, signal) (onefiveten:service_located:sum{rule_set="<set>", mode="page"})`,
		keep:    keep, labels: append(heal[:2:2], label{"scope", "service"}),
		annotations: []label{
			{"summary", `{{ $labels.service }}: the fault is in the service as a whole; members bad: {{ $value }}`},
			{"fault_start", start},
		},
	}, {
		comment: "Locate: the target is over and nobody knows where.",
		alert:   "FaultNotLocated",
		expr: `
			(
				time() - min by (service, owner, signal) (onefiveten:fault_start_timestamp_seconds:min{rule_set="<set>", mode="page"})
				>= on (service) group_left () max by (service) (onefiveten_target_seconds{stage="locate"})
			)
			unless on (service, signal) onefiveten:member_located:ratio{rule_set="<set>"}
			unless on (service, signal) onefiveten:service_located:sum{rule_set="<set>"}`,
		labels: heal,
		annotations: []label{
			{"summary", `{{ $labels.service }}: no rule has located the fault for {{ $value | humanizeDuration }}; heal-receiver may know more`},
			{"fault_start", start},
		},
	}, {
		comment: "Recover: the target is over and the fault still lasts.",
		alert:   "RecoveryOverdue",
		expr: `
			time() - min by (service, owner, signal) (onefiveten:fault_start_timestamp_seconds:min{rule_set="<set>", mode="page"})
			>= on (service) group_left () max by (service) (onefiveten_target_seconds{stage="recover"})`,
		labels: heal,
		annotations: []label{
			{"summary", `{{ $labels.service }}: in fault for {{ $value | humanizeDuration }}`},
			{"fault_start", start},
		},
	}}
}

// ticketAlerts are for people. A disagreement of observers must last, since at
// the edge of every fault one sees it first. Of the alerts here ObserverFault is
// also for the receiver, which then leaves the service alone: were it too quick,
// each total outage could begin with a veto.
func ticketAlerts(keep, differ, disagree time.Duration) []rule {
	people := []label{{"severity", ticket}}
	return []rule{{
		comment: "A signal that may not page: people only, never automatic.",
		alert:   "SignalFault",
		expr:    `sum by (service, owner, signal) (onefiveten:fault_members:sum{rule_set="<set>", mode="ticket"}) > 0`,
		keep:    keep, labels: people,
		annotations: []label{{"summary", `{{ $labels.service }}: {{ $labels.signal }} beyond its threshold on {{ $value }} members`}},
	}, {
		comment: "An observer that is cut off. It has lost its votes already.",
		alert:   "ObserverFault",
		expr:    `max by (service, signal, observer) (onefiveten:observer_suspect:bool{rule_set="<set>"}) == 1`,
		wait:    differ, labels: append(people[:1:1], label{"heal", "true"}),
		annotations: []label{{"summary", `observer {{ $labels.observer }} alone sees all of {{ $labels.service }} bad: suspect the observer`}},
	}, {
		comment: "A member that only some observers see bad.",
		alert:   "ObserverDisagrees",
		expr: `
			max by (service, owner, signal, member) (
				(onefiveten:member_fault:ratio{rule_set="<set>"} > 0)
				and (onefiveten:member_fault:ratio{rule_set="<set>"} <= 0.5)
			)`,
		wait: disagree, labels: people,
		annotations: []label{{"summary", `only {{ $value | humanizePercentage }} of the observers see {{ $labels.member }} of {{ $labels.service }} bad`}},
	}}
}
