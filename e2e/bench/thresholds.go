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
	b.say.Line("\nCPU per series and evaluation, µs: ours judging a sample, and Prometheus; median of %d rounds (least … greatest)", b.rounds)
	b.say.Line("  %-6s %7s %-24s %-24s %-28s %s", "window", "series", "ours, thresholds", "Prometheus, query", "ours/Prometheus", "goal")
	var apart float64
	for _, e := range theirs {
		ratio, _, _ := spread(e.ratios)
		b.say.Line("  %-6s %7d %-24s %-24s %-28s ≤ %g  %s", days(e.span), e.series, ranged("%.3f", e.ours), ranged("%.1f", e.queries),
			ranged("%.2g", e.ratios), share, verdict(ratio <= share))
		mine, _, _ := spread(e.ours)
		median, _, _ := spread(e.queries)
		if e.rule > 0 {
			b.say.Line("  %-6s %7s %-24s %-24s %.2g", "", "", "", fmt.Sprintf("%.1f as a recording rule", e.rule), mine/e.rule)
		}
		whole := find(ours, "season and score", e.span).cold / 1000
		b.say.Line("  %-6s %7s %-24s %-24s %.2g", "", "", fmt.Sprintf("%.3f season and score", whole), "", whole/median)
		apart = max(apart, e.apart)
	}
	b.say.Line("  Mean and sigma of ours and avg_over_time, stddev_over_time * sqrt(n/(n-1)) of theirs over the same samples: greatest relative difference %.1g   goal ≤ %.0g   %s",
		apart, evenlyFor, verdict(apart <= evenlyFor))
	b.say.Line(`  Method: ours as in the table before, with thresholds, e and fault, on %d series; both take turns, a ratio is of one turn of
  both. Prometheus is the real one with GOMAXPROCS=1; it got the same values every %s by remote write, %d samples of each
  window (so fewer series of the longer ones), and was let come to rest. A query is
  count(avg_over_time(x[W]) + 3 * stddev_over_time(x[W])), %d in a round; CPU is its process clock less what it uses idle, divided by
  the series. The goal is for thresholds; what season and score use more is of the table before. Compared on %d series whose
  windows end at an edge of ours.`, crowd, every, held, perRound, sampled)
	b.tellPath(theirs)
}

// ranged is a median with its range.
func ranged(form string, values []float64) string {
	median, least, greatest := spread(values)
	return fmt.Sprintf(form+" ("+form+" … "+form+")", median, least, greatest)
}

// tellPath prints what a series costs where nothing but thresholds is read: what
// was judged above has to be asked for first.
func (b *bench) tellPath(theirs []evaluation) {
	e := theirs[0]
	b.say.Line("\nA signal of %d series on the whole way, µs per series and query: probe-exporter %.1f, Prometheus for the answer %.1f",
		e.series, e.path.ours, e.path.prometheus)
	for _, of := range theirs {
		median, _, _ := spread(of.queries)
		b.say.Line("  Together %.2g times what the query over %s above uses", (e.path.ours+e.path.prometheus)/median, days(of.span))
	}
	b.say.Line(`  Method: the real probe-exporter with one entry of "signals:" asks max by (node) (x) every %s, %d times; JSON, labels and verdicts are
  in it. It does not hang on the window. The ratios above are of judging alone, as for the results of own probes: a value that
  is fetched from Prometheus costs more than it takes to judge it.`, askEvery, asks)
}
