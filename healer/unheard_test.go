package healer

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestWhereNobodyIsToBeToldTheTrailDoesNotGrow(t *testing.T) {
	inShop(t, shopWith(t, "    escalate: { to: [oncall] }\nescalate: { to: [duty] }\n", "", "mode: auto", "mode: observe"), func(s *shop) {
		s.breakNode("b")
		s.wait(11 * time.Minute) // handed over, and past every deadline
		s.in(stateWithHuman, codeObserve)
		before := len(s.store.Log)
		s.wait(time.Hour)
		if after := len(s.store.Log); after != before {
			t.Errorf("%d entries were added in an hour in which nothing happened, the last is %s", after-before, s.store.Log[after-1].Event)
		}
		if i := slices.IndexFunc(s.store.Log, func(x Entry) bool { return strings.HasPrefix(x.Event, "said_") }); i >= 0 {
			t.Errorf("the trail holds %s, though nobody was to be told", s.store.Log[i].Event)
		}
	})
}
