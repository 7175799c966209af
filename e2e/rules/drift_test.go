package rules_test

import (
	"testing"
	"time"
)

// told is a stage on which one observer tells of the service itself: newPlay, with
// what it says of owner and mode written by hand.
func told(t *testing.T, lasts time.Duration, owners, modes map[string]string) *play {
	t.Helper()
	p := &play{t: t, ticks: int(lasts / tick)}
	p.add("onefiveten_observer_info", p.always("1"), "observer", "a")
	p.add("probe_stale_after_seconds", p.always("12"), "observer", "a", "probe", "shop-nodes")
	for owner, when := range owners {
		p.add("onefiveten_service_info", when, "observer", "a", "service", "shop", "owner", owner, "severity", "page", "dimensions", "node")
	}
	for mode, when := range modes {
		p.add("onefiveten_signal_info", when, "observer", "a", "service", "shop", "signal", "availability", "mode", mode)
	}
	p.add("onefiveten_target_seconds", p.always("300"), "observer", "a", "service", "shop", "stage", "locate")
	p.add("onefiveten_target_seconds", p.always("600"), "observer", "a", "service", "shop", "stage", "recover")
	p.receiver(p.always("1"), p.always("7"), "")
	return p
}

// A reload in mid-fault gives the service another owner. The clock goes on, and runs
// for the new owner alone: the old one is not called for as long as the fault lasts.
func TestAnotherOwnerTakesTheClockAlong(t *testing.T) {
	p := told(t, 12*time.Minute, map[string]string{"old": "1x35 stale", "new": "_x36 1x120"}, map[string]string{"page": "1x200"})
	p.node("a", "n1", p.always("0"), p.always("0"))
	p.node("a", "n2", "0x11 1x150", "0x11 60x23 175x150") // what is told after a restart is later
	start := `sum by (owner) (onefiveten:fault_start_timestamp_seconds:min)`
	p.gives(2*time.Minute, start, map[string]float64{`{owner="old"}`: 60})
	p.gives(5*time.Minute, start, map[string]float64{`{owner="new"}`: 60})
	p.firing(655*time.Second, "FaultDetected", "FaultLocated")
	p.firing(11*time.Minute, "FaultDetected", "FaultLocated", "RecoveryOverdue")
	p.gives(11*time.Minute, `sum by (owner) (ALERTS{alertname="RecoveryOverdue"})`, map[string]float64{`{owner="new"}`: 1})
	p.run(spec("shop", 5, 2, 5, 1, "a"))
}

// A signal that may page no more pages nobody, though its fault began when it might.
func TestASignalThatBecomesATicketInAFaultPagesNoMore(t *testing.T) {
	p := told(t, 12*time.Minute, map[string]string{"team": "1x200"}, map[string]string{"page": "1x35 stale", "ticket": "_x36 1x120"})
	for _, n := range []string{"n1", "n2", "n3"} {
		p.node("a", n, "0x11 1x150", "0x11 60x150")
	}
	p.firing(2*time.Minute, "FaultDetected", "FaultLocated")
	p.firing(5*time.Minute, "SignalFault")
	p.firing(12*time.Minute, "SignalFault")
	p.run(spec("shop", 5, 2, 5, 1, "a"))
}
