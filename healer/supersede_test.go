package healer

import (
	"testing"
	"time"
)

// Nodes that die one scrape apart are located as a node first and as the
// service an evaluation later; keep_firing_for leaves both open.
func TestTheLaterOfAServiceClaimAndANodeClaimHolds(t *testing.T) {
	book := shopWith(t)
	inShop(t, book, func(s *shop) {
		s.breakNode("b")
		s.wait(time.Second)
		s.alert("FaultLocated", "signal", "availability", "scope", "service")
		s.wait(15 * time.Second)
		if c := s.incident(); c.Incident.Verdict.Scope != scopeService {
			t.Errorf("the verdict is %s, want service", c.Incident.Verdict.Scope)
		}
		s.acts("/opt/restart web")
	})
	inShop(t, book, func(s *shop) {
		s.alert("FaultLocated", "signal", "availability", "scope", "service")
		s.wait(time.Second)
		s.breakNode("b")
		s.wait(15 * time.Second)
		s.acts("/opt/balancer drain b")
	})
}

// So are the nodes of a zone: the first by itself, then the zone. Which of two groups
// it is nobody knows.
func TestTheLaterOfAGroupClaimAndANodeClaimHolds(t *testing.T) {
	inShop(t, shopWith(t), func(s *shop) {
		s.breakNode("b")
		s.wait(time.Second)
		s.alert("FaultLocated", "signal", "availability", "scope", "zone", "member", "za", "zone", "za")
		s.wait(15 * time.Second)
		if v := s.incident().Incident.Verdict; v.Scope != scopeZone {
			t.Errorf("the verdict is %s, want zone", v.Scope)
		}
		s.acts()
	})
	inShop(t, shopWith(t), func(s *shop) {
		s.alert("FaultLocated", "signal", "availability", "scope", "zone", "member", "za", "zone", "za")
		s.wait(time.Second)
		s.alert("FaultLocated", "signal", "availability", "scope", "rack", "member", "r1", "rack", "r1")
		s.wait(15 * time.Second)
		s.in(stateWithHuman, codeVerdictDisagrees)
		s.acts()
	})
}

// Of different signals nobody knows which is the fault and which its echo.
func TestClaimsOfDifferentSignalsStillDisagree(t *testing.T) {
	inShop(t, shopWith(t), func(s *shop) {
		s.breakNode("b")
		s.wait(time.Second)
		s.alert("FaultLocated", "signal", "latency", "scope", "service")
		s.wait(15 * time.Second)
		s.in(stateWithHuman, codeVerdictDisagrees)
		s.acts()
	})
}
