package rules_test

import (
	"testing"
	"time"

	"github.com/onefiveten/onefiveten/rules"
	"github.com/onefiveten/onefiveten/sigma"
)

// valuedBy has a signal of a query that pages, which may be bad in a direction, and the
// dimensions beside node.
func valuedBy(direction sigma.Direction, further ...string) rules.Spec {
	s := queued("page", "a", "b")
	s.Services[0].Signals[2].Baseline = sigma.Baseline{Window: time.Hour, K: 3, MinSamples: 30, Direction: direction, Hold: 30 * time.Minute}
	s.Services[0].Dimensions = append(s.Services[0].Dimensions, further...)
	return s
}

// slow has a latency that pages.
func slow() rules.Spec {
	s := spec("shop", 5, 2, 15, 5, "a", "b")
	s.Services[0].Signals[1].Mode = "page"
	return s
}

// Where a value pages, its size tells the place: all of it from raw samples.
func TestPromtool_AcceptsWhatIsGeneratedOfValues(t *testing.T) {
	pass(t, map[string]rules.Spec{"latency": slow(), "zones": valuedBy(sigma.Upper, "zone"), "lower": valuedBy(sigma.Lower), "both": valuedBy(sigma.Both)}, "latency", "zones")
}
