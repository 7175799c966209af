package rules_test

import (
	"testing"
	"time"

	"github.com/onefiveten/onefiveten/rules"
)

// ofNoService adds a probe of no service that runs in time, then hangs while it is
// scraped, and then is gone. Nobody has promised anything for it.
func (p *play) ofNoService(observer string) {
	id := []string{"job", "probe", "instance", "http://wiki/", "observer", observer, "probe", "intranet"}
	p.add("probe_stale_after_seconds", p.always("3"), "observer", observer, "probe", "intranet")
	p.add("probe_last_run_timestamp_seconds", "0+5x12 60+0x24 stale", id...)
	p.add("probe_success", "0x36 stale", id...)
	p.add("probe_first_failure_timestamp_seconds", "5x36 stale", id...)
}

// The rules are of services: what is of none raises no alert, whatever happens to
// it, and breaks none of those that are of a service.
func TestProbesOfNoServiceRaiseNothingAndBreakNothing(t *testing.T) {
	p := newPlay(t, 6*time.Minute, "a")
	p.receiver(p.always("1"), p.always("1"), "")
	p.node("a", "n1", "0x36 1x36", "0x36 180x36")
	p.node("a", "n2", p.always("0"), p.always("0"))
	p.ofNoService("a")
	p.firing(time.Minute)
	p.firing(2 * time.Minute) // hangs
	p.firing(210*time.Second, "FaultDetected", "FaultLocated")
	p.firing(5*time.Minute, "FaultDetected", "FaultLocated") // gone
	p.gives(5*time.Minute, `sum by (service) (onefiveten:fault_members:sum)`, map[string]float64{`{service="shop"}`: 1})
	p.run(spec("shop", 5, 2, 5, 1, "a"))
}

// An observer that is gone is missed by its name, not once more for each target.
func TestProbesOfNoServiceThatAreGoneWithTheirObserverRaiseNothing(t *testing.T) {
	p := newPlay(t, 6*time.Minute)
	p.receiver(p.always("1"), p.always("1"), "")
	p.add("onefiveten_observer_info", "1x36 stale", "observer", "a")
	p.ofNoService("a")
	p.firing(time.Minute)
	p.firing(5*time.Minute, "ProbeExporterDown")
	p.run(spec("shop", 5, 2, 5, 1, "a"))
}

// Without any service the watchers are all that there is.
func TestPromtool_AcceptsTheRulesOfNoService(t *testing.T) {
	s := rules.Spec{Prometheus: rules.DefaultPrometheus(), Alertmanager: rules.DefaultAlertmanager(), Observers: []string{"a"}}
	p := newPlay(t, 6*time.Minute)
	p.receiver(p.always("1"), p.always("1"), "")
	p.add("onefiveten_observer_info", p.always("1"), "observer", "a")
	p.ofNoService("a")
	p.firing(2 * time.Minute)
	p.firing(5 * time.Minute)
	p.run(s)
}
