package healer

import (
	"testing"
	"time"
)

func TestARunIsNotTakenFromADriverWhoseProofIsSlow(t *testing.T) {
	// Evaluations are wanted every 2s and answered after 3s: none of them waits.
	book := shopWith(t, "node: [drain, restart]", "node: [restart]", "} == 1', for: 20s, within: 60s }", "} == 1', for: 20s, within: 60s, every: 2s }")
	inShop(t, book, func(s *shop) {
		s.breakNode("b")
		s.wait(12 * time.Second)
		s.in(stateActing, codeAct)
		s.set(func() { s.slow = 3 * time.Second })
		s.wait(time.Minute)
		if r := s.in(stateRecovered, "").Runs[0]; r.State != runSucceeded || r.Claim.Fence != 1 {
			t.Errorf("the run is %s under fence %d, want succeeded under 1, its first driver's\n%s", r.State, r.Claim.Fence, s.story())
		}
	})
}
