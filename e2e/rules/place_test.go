package rules_test

import (
	"testing"
	"time"
)

// While the fault moves from one node to the other, and while the last node of an
// outage recovers, the place is known: FaultNotLocated does not come in between.
func TestAPlaceThatChangesIsNotUnknown(t *testing.T) {
	for name, c := range map[string]struct{ n1, n2 string }{
		"from node to node":    {"0x11 1x71 0x60", "0x83 1x60"},
		"from service to node": {"0x11 1x71 0x60", "0x11 1x150"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlay(t, 9*time.Minute, "a")
			p.receiver(p.always("1"), p.always("7"), "")
			p.node("a", "n1", c.n1, "60x200")
			p.node("a", "n2", c.n2, "60x200")
			p.node("a", "n3", c.n2, "60x200")
			if name == "from node to node" {
				p.series[len(p.series)-2]["values"] = p.always("0") // of n3
			}
			for at := 6 * time.Minute; at < 8*time.Minute; at += tick {
				p.firing(at, "FaultDetected", "FaultLocated")
			}
			p.run(spec("shop", 5, 2, 5, 1, "a"))
		})
	}
}

// Of an outage of the whole service the last node that recovers is not the place,
// unless it stays bad: another place takes two evaluations, as any change does.
func TestTheLastNodeOfAnOutageIsNotItsPlace(t *testing.T) {
	p := newPlay(t, 5*time.Minute, "a")
	p.receiver(p.always("1"), p.always("7"), "")
	p.node("a", "n1", "0x11 1x11 0x60", "0x11 60x60")
	p.node("a", "n2", "0x11 1x11 0x60", "0x11 60x60")
	p.node("a", "n3", "0x11 1x12 0x60", "0x11 60x60")
	for at := time.Minute; at < 150*time.Second; at += tick {
		p.gives(at, `count by (scope) (ALERTS{alertname="FaultLocated"})`, map[string]float64{`{scope="service"}`: 1})
	}
	p.run(spec("shop", 5, 2, 5, 1, "a"))
}
