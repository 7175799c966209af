package rules_test

import (
	"testing"
	"time"

	"github.com/onefiveten/onefiveten/rules"
	"github.com/onefiveten/onefiveten/sigma"
)

// scrapedOf is spec under backend promql: P, d_p, S = E and d_s in seconds.
func scrapedOf(p, dp, s, ds float64, observers ...string) rules.Spec {
	spec := spec("shop", p, dp, s, ds, observers...)
	spec.Backend = rules.PromQL
	spec.Services[0].Signals[1].Baseline = sigma.Baseline{Window: time.Hour, K: 3, MinSamples: 30, Direction: sigma.Upper}
	return spec
}

// Every case of the generated tests, from raw samples alone.
func TestPromQL_RulesPassTheirTests(t *testing.T) {
	zoned := scrapedOf(5, 2, 15, 5, "a", "b", "c")
	zoned.Services[0].Dimensions = []string{"node", "zone"}
	versioned := scrapedOf(5, 2, 15, 5, "a", "b")
	versioned.Services[0].Dimensions = []string{"zone", "node", "version"}
	seldom := scrapedOf(5, 2, 5, 1, "a", "b")
	seldom.Services[0].Signals = seldom.Services[0].Signals[:1]
	seldom.Prometheus.Evaluation = rules.Evaluation{Interval: seconds(10), Delay: seconds(1)}
	pass(t, map[string]rules.Spec{
		"zones and versions": versioned,
		"evaluated seldom":   seldom,
		"every 10s":          scrapedOf(5, 2, 10, 2, "a", "b"),
		"scraped less often": scrapedOf(1, .5, 15, 5, "a"),
		"zones by scrapes":   zoned,
	}, "zones and versions")
}
