package rules

import "strings"

// locateRecords say since when the fault lasts and where it lies.
func (t set) locateRecords() []rule {
	records := []rule{startRecord()}
	if t.values {
		records = append(records, valueRecord(), t.excessRecord(), liftRecord(), t.candidateByValue())
	} else {
		if groups := t.groupRecord(); groups.record != "" {
			records = append(records, groups)
		}
		records = append(records, t.candidateRecord())
	}
	return append(records, t.serviceRecord(), locatedRecord()) // 10 reads the past of 11, too
}

// startRecord takes the earlier of what the gauges say and of what it said itself
// before: an exporter that restarts knows of a later start only. Of the gauges
// those count that have a vote: a probe that hangs tells of an old fault for as
// long as it hangs. It carries for two minutes, or as long as the alerts are kept,
// and only while there is a fault, so that one which comes after a longer pause
// begins anew. What is carried gets owner and mode of now: a reload may change them
// in a fault, and a start under the old ones would call people again and again.
func startRecord() rule {
	return rule{
		comment: "7 Start of the fault: earliest start of a bad member, carried over restarts and gaps of up to <gap>.",
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
					(onefiveten:fault_members:sum{rule_set="<set>"} > bool 0 == 1)
					* on (service, signal) group_left ()
					min by (service, signal) (last_over_time(onefiveten:fault_start_timestamp_seconds:min{rule_set="<set>"}[<carry>]))
			)`,
	}
}

// groupRecord has one arm for each dimension above node; none when there is none.
// Shares are quotients of counts, as in record 4. The only group that is mostly bad
// is where the fault lies, if there are others to compare with: a zone of one node
// is that node.
func (t set) groupRecord() rule {
	if len(t.further()) == 0 {
		return rule{}
	}
	return rule{
		comment: "8 Candidates above node: the only " + strings.Join(t.further(), ", the only ") + " with more than half of its nodes bad, at least two of them, while there are others.",
		record:  "onefiveten:group_candidate:ratio",
		expr:    t.groupArms(),
	}
}

// groupArms are the groups by votes.
func (t set) groupArms() string {
	var arms []string
	for _, d := range t.further() {
		arms = append(arms, strings.ReplaceAll(groupArm, "<group>", d))
	}
	return strings.Join(arms, "\n\t\t\tor")
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

// fewBad are the bad nodes, if they are few and there are others.
const fewBad = `
			(onefiveten:member_fault:bool{rule_set="<set>", dimension="node"} == 1)
			and on (service, signal) (
				sum by (service, signal) (onefiveten:member_fault:bool{rule_set="<set>", dimension="node"})
				<= clamp_min(0.3 * count by (service, signal) (onefiveten:member_fault:bool{rule_set="<set>", dimension="node"}), 1)
			)
			and on (service, signal) (count by (service, signal) (onefiveten:member_fault:bool{rule_set="<set>", dimension="node"}) >= 2)`

// candidateRecord has the groups before the nodes: where a zone is bad its nodes
// are not named one by one.
func (t set) candidateRecord() rule {
	r := rule{
		comment: "9 Candidates: the bad nodes, if they are at most max(1, 30 %) of two or more.",
		record:  "onefiveten:member_candidate:ratio",
		expr:    fewBad,
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
// other was, as the clock runs; another one, or one instead of the service as a
// whole, only when it was a candidate twice, since at the edges of a fault the
// candidates change for one evaluation: the last node of an outage that recovers is
// not its place.
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
				unless on (service, signal) (onefiveten:service_located:sum{rule_set="<set>"} offset <E>)
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
	if t.values {
		r.expr += `
			unless on (service, signal) onefiveten:member_candidate:ratio{rule_set="<set>"}`
	} else if len(t.further()) > 0 {
		r.expr += `
			unless on (service, signal) onefiveten:group_candidate:ratio{rule_set="<set>"}`
	}
	return r
}
