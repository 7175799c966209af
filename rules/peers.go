package rules

import "strings"

// Where votes do not tell the place, values do (DETECTION 5.4): which part of the
// excess a member carries, and how far it lies from its peers.
const (
	leastShare = "0.7"   // of the excess that a place must carry
	leastLift  = "0.2"   // of it above its part of the traffic
	nearly     = "0.02"  // of the excess, by which nodes must explain more than a group does
	same       = "1e-09" // lifts that differ by less are equal: sums have an order
	farFrom    = "3"     // spreads from the peers
)

// figures are what the labels of values and excesses stand for in the expressions.
func figures() *strings.Replacer {
	return strings.NewReplacer(
		"<member>", "service, owner, signal, mode, dimension, member, <by>",
		"<figure>", "service, signal, feature",
		"<judged>", `and on (service, signal, observer, probe, instance) onefiveten:ksigma_fault:fresh{rule_set="<set>", mode="page", role="node"}`,
		"<told>", `and on (service, signal, observer) onefiveten:ksigma_fault:fresh{rule_set="<set>", mode="page", role="node"}`,
		"<shares>", `onefiveten:member_value:avg{rule_set="<set>", feature=~"excess|traffic"}`,
		"<off>", `onefiveten:member_value:avg{rule_set="<set>", feature=~"own|shared"}`,
		"<excess>", `onefiveten:member_excess:ratio{rule_set="<set>", feature="excess", `,
		"<lift>", `onefiveten:member_lift:ratio{rule_set="<set>", `,
		"<bad>", `onefiveten:member_fault:bool{rule_set="<set>", dimension="node"}`,
	)
}

// outOfRotation are the nodes that heal-receiver has isolated.
const outOfRotation = `label_replace(label_replace(
				(` + isolated + `) == 1,
				"member", "$1", "node", "(?s:(.+))"), "dimension", "node", "node", "(?s:.+)")`

// Series of one node as one observer sees it.
const (
	// How far the threshold is from the mean.
	limit = `(
								abs(ksigma_threshold{bound="upper"} - ignoring (bound) ksigma_mean)
								or abs(ksigma_threshold{bound="lower"} - ignoring (bound) ksigma_mean)
							)`
	// A node without a past of its own is held against the mean of the others, each
	// by its traffic: it may be the new version that has broken the service.
	usual = `(
									ksigma_mean <judged>
								or
									0 * ksigma_value{role="node"} + on (service, signal, observer) group_left ()
									(
										sum by (service, signal, observer) (ksigma_mean * signal_traffic <judged>)
										/ (sum by (service, signal, observer) (signal_traffic and ksigma_mean <judged>) > 0)
									)
							)`
	// 1, or -1 where a low value is the bad one.
	direction = `min by (service, signal) (ksigma_signal_info{direction!="lower"} or -ksigma_signal_info{direction="lower"})`
)

// valueRecord has several features of each node, told apart by the label feature,
// so that what holds for all of them is said once. Observers are averaged after
// each has compared the node with its own baseline. It exists only while a node is
// bad by the signal.
func valueRecord() rule {
	arms := []struct{ feature, expr string }{
		{"value", `ksigma_value <judged>`},
		{"own", `(ksigma_value - ksigma_mean) / (` + limit + ` > 0) <judged>`},
		{"shared", `(ksigma_value - ksigma_mean) / on (service, signal) group_left ()
							(quantile by (service, signal) (0.5, ` + limit + ` <judged>) > 0)
							<judged>`},
		{"traffic", `signal_traffic{role="node"} and ksigma_value <told>`},
		{"excess", `clamp_min(
							(ksigma_value - ` + usual + `)
							* on (service, signal) group_left () ` + direction + `
							* signal_traffic, 0)
							<told>`},
	}
	var series []string
	for _, a := range arms {
		series = append(series, `
						label_replace(
							`+a.expr+`,
							"feature", "`+a.feature+`", "", "")`)
	}
	return rule{
		comment: "V Nodes in rotation while one is bad by the signal: value; distance from the own mean in units of its own limit and of that of most nodes (own, shared); traffic; excess, which is traffic times what the value is worse than the mean.",
		record:  "onefiveten:member_value:avg",
		expr: figures().Replace(`
			avg by (<member>, feature) (
				label_replace(label_replace(label_replace(
					(` + strings.Join(series, `
					or`) + `
					)
					unless on (service, signal, observer) (onefiveten:observer_suspect:bool{rule_set="<set>"} == 1),
					"dimension", "$1", "role", "(.+)"), "member", "$1", "instance", "(?s:(.+))"), "member", "$1", "node", "(?s:(.+))")
				* on (service, signal) group_left (owner, mode)
					topk by (service, signal) (1, group by (service, owner, signal, mode) (<bad> == 1))
			)
			unless on (service, dimension, member)
			` + outOfRotation),
	}
}

// excessRecord ranks within the signal that fired: the greatest of all signals is
// that of the loudest.
//
// Shares are of the excess and of the traffic (DETECTION 5.4). Denominators are above
// 0, so that no NaN can spread. Groups of one node are that node, and not ranked.
//
// Without traffic there is z, how many spreads a node lies from its peers: of 3 or 4
// nodes by the mean and the deviation of the others, of 5 and more by median and MAD.
// In a sample of few no value is far from a mean that it is part of. What is
// compared is the distance from the node's own mean, which is why
// sums of squares cost no digits, once in units of its own limit and once of a common
// one, and the lesser z counts: nodes differ when all is well, too, and a fault of all
// adds to each the same, or a multiple. No spread is below a third of a limit.
func (t set) excessRecord() rule {
	expr := `
				<shares>
				/ on (<figure>) group_left () (sum by (<figure>) (<shares>) > 0)`
	for _, d := range t.further() {
		expr += `
			or` + strings.ReplaceAll(sharesOfGroup, "<group>", d)
	}
	return rule{
		comment: "X Where the excess lies. Of signals with traffic: the shares of the excess and of the traffic, of each node and group. Of others: z, by how many spreads a node is worse than its peers.",
		record:  "onefiveten:member_excess:ratio",
		expr: figures().Replace(expr + `
			or
				label_replace(
					min by (<member>) (
						sgn(<off>) * (` + outlierOfFew + `
							or` + outlierOfMany + `
						)
					)
					unless on (service, signal) <shares>,
					"feature", "z", "", "")`),
	}
}

const (
	sharesOfGroup = `
				label_replace(label_replace(
					sum by (service, owner, signal, mode, feature, <group>) (<shares>)
					/ on (<figure>) group_left () (sum by (<figure>) (<shares>) > 0)
					and on (service, signal, <group>)
						(count by (service, signal, <group>) (onefiveten:member_value:avg{rule_set="<set>", feature="traffic", <group>!=""}) >= 2),
					"dimension", "<group>", "<group>", "(?s:.+)"), "member", "$1", "<group>", "(?s:(.+))")`

	others       = `(-<off> + on (<figure>) group_left () sum by (<figure>) (<off>))`
	outlierOfFew = `
								(<off> - ` + others + ` / on (<figure>) group_left () (count by (<figure>) (<off>) - 1 > 0))
								/ sqrt(clamp_min(
									(
										-(<off> ^ 2) + on (<figure>) group_left () sum by (<figure>) (<off> ^ 2)
										- ` + others + ` ^ 2 / on (<figure>) group_left () (count by (<figure>) (<off>) - 1 > 0)
									) / on (<figure>) group_left () (count by (<figure>) (<off>) - 2 > 0),
									1 / 9))
								and on (<figure>) (count by (<figure>) (<off>) >= 3 < 5)`

	apart         = `(<off> - on (<figure>) group_left () quantile by (<figure>) (0.5, <off>))`
	outlierOfMany = `
								` + apart + `
								/ on (<figure>) group_left () clamp_min(1.4826 * quantile by (<figure>) (0.5, abs` + apart + `), 1 / 3)
								and on (<figure>) (count by (<figure>) (<off>) >= 5)`
)

// liftRecord is what speaks for a place: a large one has a large share of whatever
// fails everywhere.
func liftRecord() rule {
	return rule{
		comment: "L Lift: the share of the excess above that of the traffic.",
		record:  "onefiveten:member_lift:ratio",
		expr: figures().Replace(`
			onefiveten:member_excess:ratio{rule_set="<set>", feature="excess"}
			- ignoring (feature) onefiveten:member_excess:ratio{rule_set="<set>", feature="traffic"}`),
	}
}

const (
	leaders = `(
						<lift>dimension="node"}
						>= on (service, signal) group_left () (max by (service, signal) (<lift>dimension="node"}) / 2)
					)`
	leadingGroups = `
				<excess>dimension!="node"} >= ` + leastShare + `
				and on (service, signal, dimension, member) (<lift>dimension!="node"} >= ` + leastLift + `)
				and on (service, signal, dimension, member)
					(<lift>dimension!="node"} >= on (service, signal) group_left () (max by (service, signal) (<lift>dimension!="node"}) - ` + same + `))`
	leadingNodes = `
				<excess>dimension="node"}
				and on (service, signal, member) ` + leaders + `
				and on (service, signal) (count by (service, signal) ` + leaders + ` <= clamp_min(0.3 * count by (service, signal) (<lift>dimension="node"}), 1))
				and on (service, signal) (sum by (service, signal) ` + leaders + ` >= ` + leastLift + `)
				and on (service, signal) (sum by (service, signal) (<excess>dimension="node"} and on (service, signal, member) ` + leaders + `) >= ` + leastShare + `)`
	// A group that explains as much as its nodes.
	groupForNodes = `
				unless on (service, signal) (
					max by (service, signal) (<lift>dimension!="node"}) >= sum by (service, signal) ` + leaders + ` - ` + nearly + `
					and on (service, signal) (` + leadingGroups + `)
				)`
	// Of a fault of more nodes than may be candidates those that are far worse than
	// the others, if they are few.
	worst = `
				(<bad> == 1) and on (service, signal, member) (onefiveten:member_excess:ratio{rule_set="<set>", feature="z"} > ` + farFrom + `)`
	fewWorst = worst + `
				and on (service, signal) (
					count by (service, signal) (` + worst + `)
					<= clamp_min(0.3 * count by (service, signal) (<bad>), 1)
				)`
)

// candidateByValue takes the first answer that there is. The excess comes before the
// votes: the nodes of half the greatest lift and more, if they are few and carry most
// of it together, or the group of the greatest lift, if it does. Which of both it is
// decides what they explain together: pairs ranked one by one would name a zone for
// two of its ten nodes, since each has half of the lift. Failures that are spread
// evenly give nobody a lift, and votes decide. Where those have no answer either, as
// many nodes are bad, the worst of them is one.
func (t set) candidateByValue() rule {
	next := `
			or on (service, signal)`
	expr := leadingNodes
	if len(t.further()) > 0 {
		expr += groupForNodes + next + leadingGroups
	}
	expr = `
			max by (<member>) (` + expr + `
			)` + next
	if len(t.further()) > 0 {
		expr += `
			(` + t.groupArms() + `
			)` + next
	}
	return rule{
		comment: "9 Candidates: what carries most of the excess, or else a group by votes, or else the bad nodes, if they are at most max(1, 30 %) of two or more, or else the worst of them, if those are.",
		record:  "onefiveten:member_candidate:ratio",
		expr: figures().Replace(expr + `
			(` + fewBad + `
			)` + next + `
			(` + fewWorst + `
			)`),
	}
}
