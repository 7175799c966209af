package healer

import (
	"strings"
	"testing"
	"time"
)

func TestAServiceThatIsNotConfiguredIsHandedOverWithoutSpinning(t *testing.T) {
	inShop(t, shopWith(t, `'service="web"'`, `'alertname="FaultLocated"'`), func(s *shop) {
		s.alert(alertLocated, "service", "nobody-knows", "scope", "node", "member", "b", "node", "b")
		s.wait(12 * time.Second)
		s.in(stateWithHuman, codeLadderEnd)
		s.decisions("not_applicable disabled drain", "not_applicable disabled restart")
		if got := strings.Join(s.said(), ", "); got != "oncall hand_over ladder_end" {
			t.Errorf("people were told %s", got)
		}
		s.acts()
	})
}
