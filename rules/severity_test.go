package rules

import (
	"strings"
	"testing"
	"time"

	"github.com/onefiveten/onefiveten/sigma"
)

func TestProve_TheCapIsSolvedUpToTheGreatestOne(t *testing.T) {
	for most, want := range map[float64]float64{0: .5, .3: .3, .57: .57, .29: .29, .999: .99} {
		s := shop(timed{1, .5, 1, .5, 0})
		s.Services[0].Detect, s.Services[0].Signals = time.Hour, s.Services[0].Signals[:1]
		s.Services[0].Signals[0].MaxCap = most
		s.Services[0].Signals[0].Fault = sigma.Fault{Window: time.Minute * 10, Floor: .05, MinAnomalies: 2, K: 3, Clear: 3}
		if b := Prove(s)[0]; b.Cap != want || b.Refusal != "" {
			t.Errorf("max_cap %v: got cap %v %s, want %v", most, b.Cap, b.Refusal, want)
		}
	}
	s := shop(timed{5, 2, 5, 1, 0})
	s.Services[0].Signals[0].MaxCap = .01
	wantMistakes(t, s.Check, "services[0].signals.availability.fault.max_cap: got 0.01, want the floor of 0.05 or more and below 1")
}

// An alert that is kept goes on: so does its clock.
func TestGenerate_TheStartIsCarriedForAsLongAsTheAlertIsKept(t *testing.T) {
	for name, c := range map[string]struct {
		interval float64
		long     bool // kept for longer than two minutes
	}{"quick": {5, false}, "slow": {60, true}} {
		s := shop(timed{c.interval, 2, c.interval, 1, 0})
		v := &s.Services[0]
		v.Severity, v.Detect, v.Locate, v.Recover = "P4", 15*time.Minute, time.Hour, 4*time.Hour
		for i := range v.Signals {
			v.Signals[i].Fault.Window, v.Signals[i].Detect = 30*time.Minute, time.Hour
		}
		v.Signals[0].Detect = 0
		if keep := s.keep("P4"); (keep > 2*time.Minute) != c.long {
			t.Errorf("%s: kept for %s", name, keep)
		}
		gap, reach := carried(s.keep("P4"))
		text := string(generate(t, s)["rules/onefiveten-P4-node.yml"])
		if !strings.Contains(text, "fault_start_timestamp_seconds:min{rule_set=\"P4-node\"}["+reach.String()+"]") || !strings.Contains(text, "gaps of up to "+gap.String()+".") {
			t.Errorf("%s: got\n%s", name, text)
		}
	}
}

func TestCarried_NoRangeEndsOnASample(t *testing.T) {
	for keep, want := range map[time.Duration]string{
		30 * time.Second: "2m 1m59s500ms", 2*time.Minute - time.Second: "2m 1m59s500ms", 2 * time.Minute: "2m 2m500ms", 5 * time.Minute: "5m 5m500ms",
	} {
		if gap, reach := carried(keep); gap.String()+" "+reach.String() != want {
			t.Errorf("kept for %s: got %s %s, want %s", keep, gap, reach, want)
		}
	}
}
