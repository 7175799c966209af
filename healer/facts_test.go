package healer

import (
	"testing"
	"time"
)

func TestAStepMayBeMadeOfAnyFactOfItsRunAndIncident(t *testing.T) {
	for fact, want := range map[string]string{
		".Run.Attempt": "1", ".Run.Fence": "1",
		".Incident.Scenario": "web-bad", ".Incident.Scope": "node", ".Incident.Severity": "1", ".Incident.Round": "0",
	} {
		inShop(t, shopWith(t, "[/opt/balancer, drain, '{{ .Member.Labels.node }}']", "[/opt/balancer, drain, '{{ "+fact+" }}']"), func(s *shop) {
			s.breakNode("b")
			s.wait(15 * time.Second)
			s.in(stateActing, codeAct)
			s.acts("/opt/balancer drain " + want)
		})
	}
	ids := shopWith(t, "[/opt/balancer, drain, '{{ .Member.Labels.node }}']", "[/opt/balancer, '{{ .Incident.ID }}', '{{ .Run.ID }}']")
	inShop(t, ids, func(s *shop) {
		s.breakNode("b")
		s.wait(15 * time.Second)
		c := s.in(stateActing, codeAct)
		s.acts("/opt/balancer " + c.Incident.ID + " " + c.Runs[0].ID)
	})
}
