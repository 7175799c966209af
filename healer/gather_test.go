package healer

import (
	"strconv"
	"testing"
	"time"
)

// late lets the alerts of a fault that began long ago come one by one, as they do
// when the receiver was away meanwhile.
func (s *shop) late(begin time.Time, nodes ...string) {
	s.t.Helper()
	s.set(func() { s.annotations = map[string]string{"fault_start": strconv.FormatInt(begin.Unix(), 10)} })
	for _, node := range nodes {
		s.set(func() { s.up[node] = false })
		s.alert("FaultLocated", "signal", "availability", "scope", "node", "member", node, "node", node)
		s.wait(2 * time.Second)
	}
}

func TestAFaultThatIsLocatedTooLateIsGatheredAllTheSame(t *testing.T) {
	inShop(t, shopWith(t), func(s *shop) {
		s.late(time.Now().Add(-6*time.Minute), "a", "b", "c")
		s.acts()
		s.wait(20 * time.Second)
		s.in(stateWithHuman, codeTooManyMembers)
		s.acts()
	})
}

func TestTheMembersOfARelapseAreGatheredAsThoseOfAFault(t *testing.T) {
	inShop(t, shopWith(t), func(s *shop) {
		s.breakNode("b")
		s.wait(time.Minute)
		s.in(stateRecovered, "")
		s.acts("/opt/balancer drain b")
		s.resolve()
		s.set(func() { s.up["a"], s.up["c"] = false, false })
		s.wait(40 * time.Second)
		s.in(stateDeciding, "")
		for _, node := range []string{"a", "c"} { // each comes in its own request
			s.alert("FaultLocated", "signal", "availability", "scope", "node", "member", node, "node", node)
			s.wait(6 * time.Second)
		}
		s.wait(20 * time.Second)
		s.in(stateWithHuman, codeTooManyMembers)
		s.acts("/opt/balancer drain b")
	})
}

func TestTheMembersOfARelapseAreGatheredThoughAnOldLocationStillHolds(t *testing.T) {
	inShop(t, shopWith(t), func(s *shop) {
		s.breakNode("b")
		s.wait(time.Minute)
		s.in(stateRecovered, "")
		s.acts("/opt/balancer drain b")
		s.set(func() { s.up["a"], s.up["c"] = false, false }) // the alert of b goes on firing
		for s.incident().Incident.State == stateRecovered {
			s.wait(time.Second)
		}
		for _, node := range []string{"a", "c"} {
			s.wait(2 * time.Second)
			s.alert("FaultLocated", "signal", "availability", "scope", "node", "member", node, "node", node)
		}
		s.wait(30 * time.Second)
		s.in(stateWithHuman, codeTooManyMembers)
		s.acts("/opt/balancer drain b")
	})
}
