package rules_test

import (
	"testing"
	"time"

	"github.com/onefiveten/onefiveten/collector"
	"github.com/onefiveten/onefiveten/rules"
)

// graded is a service of a severity of the built-in windows, with its targets and
// rows. P, S and E are one figure, in seconds.
func graded(severity string, every float64) rules.Spec {
	s := spec("shop", every, min(10, every/2), every, min(10, every/2), "a", "b")
	windows := collector.DefaultWindows()
	v, targets := &s.Services[0], windows.Severities[severity].Targets
	v.Severity = severity
	v.Detect, v.Locate, v.Recover = time.Duration(targets.Detect), time.Duration(targets.Locate), time.Duration(targets.Recover)
	for i, g := range v.Signals {
		row := windows.Row(severity, g.Name)
		v.Signals[i].Fault, v.Signals[i].MaxCap = row.Fault().Sigma(), *row.MaxCap
		if row.Detect != nil {
			v.Signals[i].Detect = time.Duration(*row.Detect)
		}
	}
	return s
}

func TestPromtool_AcceptsWhatIsGeneratedOfSeverities(t *testing.T) {
	both := graded("P1", 10)
	other := graded("P3", 10).Services[0]
	other.Name = "mail"
	both.Services = append(both.Services, other)
	pass(t, map[string]rules.Spec{"slow P3": graded("P3", 60), "P2": graded("P2", 20), "P1 and P3": both}, "slow P3")
}

// A shop that is looked at once a minute: a restart takes longer than the two
// minutes for which the start of a fault is carried elsewhere.
func TestMutations_TheStartIsCarriedOverASlowRestart(t *testing.T) {
	mutate(t, graded("P3", 60), []mutation{
		{"the start is carried for two minutes", "record: onefiveten:fault_start", "[5m500ms]", "[1m59s500ms]", restarts},
	})
}
