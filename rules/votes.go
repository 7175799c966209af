package rules

import "strings"

// isolated is heal_isolated as heal-receiver says it now, and for two minutes what
// one said last that is not heard: a restart brings no node back. A receiver is
// heard while it tells of its incidents, which it reads from the journal together
// with what is isolated; up alone is no proof, since it is scraped without either
// when the journal cannot be read. A node that it does not name then is back at
// once. The range edge lies between samples, never on one.
const isolated = `heal_isolated or last_over_time(heal_isolated[1m59s500ms]) unless on (job, instance) heal_incidents`

// records stand in the order in which they read each other: within a group
// each result is stored before the next rule runs, so a chain costs no interval.
func (t set) records() []rule {
	return append(t.voteRecords(), t.locateRecords()...)
}

// voteRecords lead from the gauges to the members that are bad.
func (t set) voteRecords() []rule { return append([]rule{freshRecord()}, t.memberRecords()...) }

// information is the owner and mode of each signal. The joins of it go through topk:
// while two observers run different configurations there are two series, and two on
// the one side of a join are an error that empties the rule. What is small is joined
// first, so that the verdicts are joined once.
const information = `topk by (service, signal) (1,
				onefiveten_signal_info
				* on (service) group_left (owner)
				topk by (service) (1, onefiveten_service_info{severity="<class>", dimensions="<dimensions>"})
			)`

// freshRecord asks for the age at the scrape, timestamp(x) - x, and not for time() -
// x: the latter grows by a scrape and an evaluation interval, and a limit that
// allows for them would let a probe that hangs keep its vote as much longer. A
// query has one last run for all its series, which carry no probe.
func freshRecord() rule {
	return rule{
		comment: "1 Verdicts of probes that ran and of queries that were answered in time. Age is judged at scrape time, so S and E do not enter it.",
		record:  "onefiveten:ksigma_fault:fresh",
		expr: asMember(`
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
			* on (service, signal) group_left (owner, mode)
			` + information),
	}
}

// asMember gives each verdict the member that it is of: role is its dimension, node
// or else instance its name. What has no condition is label_join, which runs no
// pattern. The one of node says (?s:…), since a dot of Prometheus 2 ends at a newline
// and members of such names would be one.
func asMember(expr string) string {
	return `
			label_replace(label_join(label_join(` + expr + `,
				"dimension", "", "role"), "member", "", "instance"), "member", "$1", "node", "(?s:(.+))")`
}

// voteRecord takes the worst of several probes of a member, for one of them alone
// may see what is broken. A member has one zone, whatever its probes and observers
// say of it: else it would be two members, each with votes of its own. The one that
// most of them tell is taken, and none only where nobody tells one.
func (t set) voteRecord() rule {
	r := rule{
		comment: "2 One vote per observer and member. role gives the dimension (node or entry), node or else instance the member.",
		record:  "onefiveten:vote:bool",
		expr: `
			max by (service, owner, signal, mode, dimension, member, node, observer) (onefiveten:ksigma_fault:fresh{rule_set="<set>"})`,
	}
	for _, d := range t.further() {
		r.expr += strings.ReplaceAll(`
			+ on (service, signal, dimension, member) group_left (<group>)
				0 * topk by (service, signal, dimension, member) (1,
					count by (service, signal, dimension, member, <group>) (onefiveten:ksigma_fault:fresh{rule_set="<set>", <group>!=""})
					or on (service, signal, dimension, member)
					count by (service, signal, dimension, member) (onefiveten:ksigma_fault:fresh{rule_set="<set>", <group>=""})
				)`, "<group>", d)
	}
	return r
}

// memberRecords make votes of the fresh verdicts, and of the votes members.
//
// Record 3 needs
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
func (t set) memberRecords() []rule {
	return []rule{t.voteRecord(), {
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
