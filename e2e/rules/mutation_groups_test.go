package rules_test

import "testing"

const (
	whole  = "all nodes of one zone are down: "
	alone  = "all nodes are down, and of one zone"
	partly = "one of two nodes of a (az|zone) is"
	both   = "all nodes of two zones"
	az     = "all nodes of one az are down: "
)

// groupMutations are those of the rules that know zones.
var groupMutations = []mutation{
	{"a group is never located", "record: onefiveten:group_candidate", "\"dimension\", \"zone\"", "\"dimension\", \"none\"", whole},
	{"the first of two dimensions is forgotten", "record: onefiveten:group_candidate", "az!=\"\"}) >= 2)", "az!=\"\"}) >= 9)", az},
	{"more than all of a group must be bad", "record: onefiveten:group_candidate", "> 0.5", "> 1", az},
	{"half of a group is a group", "record: onefiveten:group_candidate", "> 0.5) == 1)", "> 0.4) == 1)", "all nodes of one az are down, and half"},
	{"one node is a group", "record: onefiveten:group_candidate", "az!=\"\"}) >= 2)", "az!=\"\"}) >= 1)", "the only node of one az"},
	{"one of several groups is named", "record: onefiveten:group_candidate", "zone!=\"\"}) > 0.5) == 1)", "zone!=\"\"}) > 0.5) >= 1)", both},
	{"a group alone is located", "record: onefiveten:group_candidate", "zone!=\"\"})) >= 2)", "zone!=\"\"})) >= 1)", alone},
	{"nodes are named beside their group", "record: onefiveten:member_candidate", "or\n          onefiveten:group_candidate:ratio{rule_set=\"page-az-node-zone\"}", "", whole},
	{"the service is named beside a group", "record: onefiveten:service_located", "unless on (service, signal) onefiveten:group_candidate:ratio{rule_set=\"page-az-node-zone\"}", "", whole},
	{"one of several azs is named", "record: onefiveten:group_candidate", "az!=\"\"}) > 0.5) == 1)", "az!=\"\"}) > 0.5) >= 1)", "all nodes of two azs"},
	{"an az alone is located", "record: onefiveten:group_candidate", "az!=\"\"})) >= 2)", "az!=\"\"})) >= 1)", "all nodes are down, and of one az"},
	{"half of a zone is a zone", "record: onefiveten:group_candidate", "zone!=\"\"}) > 0.5) == 1)", "zone!=\"\"}) > 0.4) == 1)", "all nodes of one zone are down, and half"},
	{"one of two dimensions is named", "record: onefiveten:group_candidate", "\"dimension\", \"az\"", "\"dimension\", \"none\"", "one az is one zone"},
	{"zones of votes are lost", "record: onefiveten:vote:bool", "group_left (az)", "group_left ()", az},
	{"zones of members are lost", "record: onefiveten:member_fault:ratio", "az, node, zone", "node", whole},
}

func TestMutations_OfGroupsEachFailItsCase(t *testing.T) { mutate(t, zones(), groupMutations) }
