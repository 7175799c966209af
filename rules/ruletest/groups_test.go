package ruletest

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestGroups_HaveCasesForEachDimension(t *testing.T) {
	s := pair()
	s.Services[0].Dimensions = []string{roleNode, "version", "zone"}
	known := map[string]bool{}
	for _, test := range read(t, pair()).Tests {
		known[test.Name] = true
	}
	var got strings.Builder
	for _, test := range read(t, s).Tests {
		if !known[test.Name] && !strings.Contains(test.Name, "version") {
			got.WriteString(story(test))
		}
	}
	want := strings.NewReplacer("LOCATED", `count by (scope, member, node, zone) (ALERTS{alertname="FaultLocated",alertstate="firing"})`).Replace(`all nodes of one zone are down: located as the zone
  1m14s firing: 
  1m15s firing: FaultDetected shop 1, FaultLocated shop 1
  1m20s count by (dimension, member) (onefiveten:member_located:ratio): dimension=zone member=g1 1
  1m15s LOCATED: member=g1 scope=zone zone=g1 1
all nodes are down, and of one zone: the service as a whole
  1m15s firing: FaultDetected shop 1, FaultLocated shop 1
  1m15s LOCATED: scope=service 1
one of two nodes of a zone is down: located as the node
  1m15s firing: FaultDetected shop 1, FaultLocated shop 1
  1m15s LOCATED: member=n1 node=n1 scope=node zone=g1 1
the only node of one zone is down: located as the node
  1m15s firing: FaultDetected shop 1, FaultLocated shop 1
  1m15s LOCATED: member=n5 node=n5 scope=node zone=g3 1
all nodes of one zone are down, and half of another: located as the zone
  1m15s firing: FaultDetected shop 1, FaultLocated shop 1
  1m15s LOCATED: member=g1 scope=zone zone=g1 1
all nodes of two zones are down, those of a third are not: the service as a whole
  1m15s firing: FaultDetected shop 1, FaultLocated shop 1
  1m15s LOCATED: scope=service 1
`)
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
