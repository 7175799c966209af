package main

import (
	"context"
	"fmt"
)

// share is the goal: what ours may use of the CPU that Prometheus does.
const share = .01

// thresholds measures what a threshold costs: ours alone, and beside a real
// Prometheus that works the same out anew at each evaluation.
func (b *bench) thresholds(ctx context.Context) error {
	values := newNoise()
	ours, err := b.judgings(ctx, values)
	if err != nil {
		return err
	}
	b.tellJudging(ours)
	theirs, err := b.evaluations(ctx, values)
	if err != nil {
		return err
	}
	b.tellEvaluations(ours, theirs)
	return nil
}

// tellEvaluations prints both beside each other.
func (b *bench) tellEvaluations(ours []judging, theirs []evaluation) {
	b.say.Line("\nCPU per series and evaluation, µs: ours judging a sample; Prometheus, median of %d rounds (least … greatest)", b.rounds)
	b.say.Line("  %-6s %7s %8s %-24s %-20s %8s   %s", "window", "series", "ours", "Prometheus, query", "with season, score", "ratio", "goal")
	var apart float64
	for _, e := range theirs {
		median, least, greatest := spread(e.queries)
		plain, whole := find(ours, "plain", e.span).cold/1000, find(ours, "season and score", e.span).cold/1000
		b.say.Line("  %-6s %7d %8.3f %-24s %-20s %8.2g   ≤ %g   %s", days(e.span), e.series, plain,
			fmt.Sprintf("%.1f (%.1f … %.1f)", median, least, greatest), fmt.Sprintf("%.3f, ratio %.2g", whole, whole/median), plain/median,
			share, verdict(plain <= share*median))
		if e.rule > 0 {
			b.say.Line("  %-6s %7d %8.3f %-24s %-20s %8.2g", "", e.series, plain, fmt.Sprintf("%.1f as a recording rule", e.rule),
				fmt.Sprintf("%.3f, ratio %.2g", whole, whole/e.rule), plain/e.rule)
		}
		apart = max(apart, e.apart)
	}
	b.say.Line("  Mean and sigma of ours and avg_over_time, stddev_over_time * sqrt(n/(n-1)) of theirs over the same samples: greatest relative difference %.1g   goal ≤ %.0g   %s",
		apart, evenlyFor, verdict(apart <= evenlyFor))
	b.say.Line(`  Method: ours as in the table before, with thresholds, e and fault. Prometheus is the real one with GOMAXPROCS=1; it got the
  same values every %s by remote write, %d samples of each window (so fewer series of the longer ones), and was let come to
  rest. A query is count(avg_over_time(x[W]) + 3 * stddev_over_time(x[W])), %d in a round; CPU is its process clock less what it
  uses idle, divided by the series. Compared on %d series whose windows end at an edge of ours.`, every, held, perRound, sampled)
	b.tellPath(theirs[0])
}

// tellPath prints what a series costs where nothing but thresholds is read.
func (b *bench) tellPath(e evaluation) {
	median, _, _ := spread(e.queries)
	b.say.Line("\nA signal of %d series on the whole way, µs per series and query: probe-exporter %.2f, Prometheus for the answer %.2f; together %.3f of what the query above uses",
		e.series, e.path.ours, e.path.prometheus, (e.path.ours+e.path.prometheus)/median)
	b.say.Line("  Method: the real probe-exporter with one entry of \"signals:\" asks max by (node) (x) every %s; JSON, labels and verdicts are in it. %d queries.", askEvery, asks)
}
