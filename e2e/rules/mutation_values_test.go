package rules_test

import "testing"

const (
	few     = "three of four nodes are bad"
	many    = "five of six nodes are bad"
	carries = "the node that carries the excess"
	carried = "two zones are bad"
	part    = "the greatest node carries its part"
	untold  = "an observer gets no answers"
)

// valueMutations are those of the rules that locate by values.
var valueMutations = []mutation{
	{"few are not compared", "record: onefiveten:member_excess", ">= 3 < 5", ">= 3 < 4", few},
	{"many are not compared", "record: onefiveten:member_excess", ">= 5)", ">= 7)", many},
	{"far is not far enough", "record: onefiveten:member_candidate", "feature=\"z\"} > 3", "feature=\"z\"} > 1000", many},
	{"another place at once", "record: onefiveten:member_located", "and on (service, signal, dimension, member) (onefiveten:member_candidate:ratio{rule_set=\"page-node-zone\"} offset 15s)", "", few},
	{"traffic is not asked for", "record: onefiveten:member_value", "signal_traffic{role=\"node\"}", "signal_traffic{role=\"none\"}", carries},
	{"the lift is the share", "record: onefiveten:member_lift", "feature=\"traffic\"}", "feature=\"traffic\"} * 0", part},
	{"groups carry nothing", "record: onefiveten:member_excess", "\"dimension\", \"zone\"", "\"dimension\", \"none\"", carried},
	{"a place carries all or nothing", "record: onefiveten:member_candidate", ">= 0.7", ">= 0.99", carries},
	{"the evidence is that of votes", "alert: FaultLocated", "feature=\\\"value\\\"", "feature=\\\"none\\\"", one},
	{"a query that is not answered votes", "record: onefiveten:ksigma_fault:fresh", "max by (observer, service, signal) (signal_stale_after_seconds)", "100 * max by (observer, service, signal) (signal_stale_after_seconds)", untold},
}

func TestMutations_OfValuesEachFailsItsCase(t *testing.T) {
	mutate(t, valuedBy("upper", "zone"), valueMutations)
}
