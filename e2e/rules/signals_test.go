package rules_test

import (
	"testing"
	"time"

	"github.com/onefiveten/onefiveten/rules"
	"github.com/onefiveten/onefiveten/sigma"
)

// asked is a signal of a query with the shipped defaults, that reads what is
// scraped as often as it is asked for.
func asked(name, mode, expr string, interval, timeout float64) rules.Signal {
	every := time.Duration(seconds(interval))
	return rules.Signal{
		Name: name, Mode: mode, Detect: 3 * time.Minute,
		Fault: sigma.Fault{Window: 3 * time.Minute, Floor: .55, MinAnomalies: 3, K: 3, Clear: 3},
		Query: &rules.Query{
			Path: "signals[0]", Expr: expr, Interval: every, Timeout: time.Duration(seconds(timeout)),
			Source: every, SourceTimeout: min(every, time.Second),
		},
	}
}

// with adds signals to the first service of a spec.
func with(s rules.Spec, signals ...rules.Signal) rules.Spec {
	s.Services[0].Signals = append(s.Services[0].Signals, signals...)
	return s
}

// queued has one signal of a query, of the mode.
func queued(mode string, observers ...string) rules.Spec {
	return with(spec("shop", 5, 2, 15, 5, observers...), asked("queue", mode, "max by (node) (queue_length)", 15, 2))
}

func TestPromtool_AcceptsWhatIsGeneratedOfQueries(t *testing.T) {
	late := asked("errors", "ticket", "rate(errors_total[5m])", 30, 5)
	late.Detect = 10 * time.Minute
	quick := asked(`a"b {{ $labels.x }}`, "page", "queue_length offset 7s", 3, 1)
	quick.Fault.Window, quick.Fault.MinAnomalies = time.Minute, 2
	rare := asked("backup", "ticket", "time() - max(backup_seconds)", 60, 2)
	rare.Fault.Window, rare.Detect, rare.Query.Source = 10*time.Minute, 8*time.Minute, 15*time.Second
	pass(t, map[string]rules.Spec{
		"ticket":        queued("ticket", "a", "b"),
		"page":          queued("page", "a", "b"),
		"with a range":  with(spec("shop", 5, 2, 5, 1, "a", "b"), late),
		"odd intervals": with(spec("shop", 5, 2, 7, 1, "a", "b"), quick),
		"rare and page": with(spec("shop", 5, 2, 15, 5, "a"), rare, asked("queue", "page", "queue_length", 10, 2)),
	}, "page", "rare and page")
}
