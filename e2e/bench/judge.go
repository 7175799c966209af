package main

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"time"

	"github.com/onefiveten/onefiveten/sigma"
)

const (
	crowd    = 10_000 // series
	every    = 10 * time.Second
	warmUp   = 100     // samples of each series before the measured ones
	hotRound = 100_000 // samples of the one hot series
)

// spans are the windows that are compared.
var spans = []time.Duration{time.Hour, 24 * time.Hour, 7 * 24 * time.Hour}

// variant is what a series is judged by.
type variant struct {
	what          string
	season, score bool
	goal          float64 // bytes per series; 0: none
}

// variants are all of them; the last one is whole.
func variants() []variant {
	return []variant{
		{what: "plain", goal: 2.5 * 1024}, {what: "season", season: true},
		{what: "score", score: true}, {what: "season and score", season: true, score: true, goal: 7 * 1024},
	}
}

// judging is what one sample of one series costs ours.
type judging struct {
	span time.Duration
	variant
	cold, hot float64 // ns per sample: of all series in turn, and of one alone
	bytes     float64 // per series
}

// kept is one series under judgement.
type kept struct {
	series *sigma.Series
	score  *sigma.Score // nil: none
}

// fresh is a series with the defaults of an entry of "signals:".
func (v variant) fresh(span time.Duration) (kept, error) {
	b := sigma.Baseline{Window: span, K: 3, MinSamples: 30, Direction: sigma.Upper, Hold: 30 * time.Minute}
	if v.season {
		b.Season = sigma.Daily
	}
	fault := sigma.Fault{Window: 3 * time.Minute, Floor: .55, Cap: .6, MinAnomalies: 3, K: 3, Clear: 3}
	series, err := sigma.NewValue(every, fault, b)
	k := kept{series: series}
	if v.score {
		k.score = sigma.NewScore(nil)
	}
	return k, err
}

// add judges one sample.
func (k kept) add(at time.Time, v float64) error {
	if _, err := k.series.Add(at, v); err != nil {
		return err
	}
	if k.score != nil {
		k.score.Add(at, v)
	}
	return nil
}

// noise are the values of every series: whole numbers, which Prometheus keeps
// most cheaply, with mean 100 and standard deviation 10.
type noise [1 << 14]float64

func newNoise() *noise {
	var n noise
	random := rand.New(rand.NewPCG(1, 5))
	for i := range n {
		n[i] = math.Round(100 + 10*random.NormFloat64())
	}
	return &n
}

// at is the value of a series at a step.
func (n *noise) at(series, step int) float64 {
	return n[uint(series*7919+step*104729)%uint(len(n))]
}

// measuredFrom is the first measured instant: an edge of the buckets of every
// span, on a working day, in UTC.
func measuredFrom() time.Time {
	const edge = 7 * 24 * time.Hour / buckets
	return time.Date(2026, 6, 18, 9, 0, 0, 0, time.UTC).Truncate(edge)
}

// buckets is the number of closed buckets of a baseline (DETECTION 4.2).
const buckets = 60

// past are the instants that fill a series before it is measured. What a series
// costs depends on the buckets that hold something, not on how many samples are
// in each, so that there are few: three in each bucket of the window, and with a
// season 30 an hour of the same hours of three days before.
func (v variant) past(span time.Duration) []time.Time {
	from := measuredFrom().Add(-warmUp * every)
	var all []time.Time
	for step := span / (3 * buckets); len(all) < 3*buckets; {
		all = append(all, from.Add(-time.Duration(len(all)+1)*step))
	}
	for day := 1; v.season && day <= 3; day++ {
		for m := -60; m < 240; m += 2 {
			all = append(all, measuredFrom().Add(time.Duration(m)*time.Minute-time.Duration(day)*24*time.Hour))
		}
	}
	slices.SortFunc(all, time.Time.Compare)
	all = slices.Compact(all)
	for i := range warmUp {
		all = append(all, from.Add(time.Duration(i)*every))
	}
	return all
}

// fill makes n series with a past, and tells what one weighs.
func (v variant) fill(span time.Duration, n int, values *noise) (all []kept, bytes float64, err error) {
	all = make([]kept, n)
	past := v.past(span)
	before := heap()
	for i := range all {
		if all[i], err = v.fresh(span); err != nil {
			return nil, 0, err
		}
		for step, at := range past {
			if err := all[i].add(at, values.at(i, step)); err != nil {
				return nil, 0, fmt.Errorf("filling a series: %w", err)
			}
		}
	}
	return all, (heap() - before) / float64(n), nil
}

// heap are the bytes in use after a collection.
func heap() float64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

// Every span is measured in turn, this many samples of each series at a time, so
// that whatever else goes on here befalls all. Together the turns are whole
// buckets of every span: closing one costs more than the samples within.
const (
	turns    = 7
	ofTurn   = 144            // a bucket of a day
	measured = turns * ofTurn // a bucket of a week
)

// judge measures one variant in every span.
func (v variant) judge(ctx context.Context, values *noise) ([]judging, error) {
	list, series := make([]judging, len(spans)), make([][]kept, len(spans))
	var err error
	for i, span := range spans {
		list[i] = judging{span: span, variant: v}
		if list[i].hot, err = v.alone(ctx, span, values); err != nil {
			return nil, err
		}
		if series[i], list[i].bytes, err = v.fill(span, crowd, values); err != nil {
			return nil, err
		}
	}
	order := rand.New(rand.NewPCG(2, 6)).Perm(crowd) // as they lie in no memory
	for from := 0; from < measured; from += ofTurn {
		for i := range spans {
			cost, err := perSample(ctx, series[i], order, from, from+ofTurn, values)
			if err != nil {
				return nil, err
			}
			list[i].cold += cost / turns
		}
	}
	return list, nil
}

// alone is what a sample of the one hot series costs.
func (v variant) alone(ctx context.Context, span time.Duration, values *noise) (float64, error) {
	one, _, err := v.fill(span, 1, values)
	if err != nil {
		return 0, err
	}
	return perSample(ctx, one, []int{0}, 0, hotRound, values)
}

// perSample is the CPU time of one sample, in ns, over the steps from … to-1. At
// each every series gets one, at a phase of its own.
func perSample(ctx context.Context, all []kept, order []int, from, to int, values *noise) (float64, error) {
	before, err := cpuTime(os.Getpid())
	if err != nil {
		return 0, err
	}
	for step := from; step < to; step++ {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		at := measuredFrom().Add(time.Duration(step) * every)
		for turn, i := range order {
			if err := all[i].add(at.Add(every*time.Duration(turn)/time.Duration(len(order))), values.at(i, step)); err != nil {
				return 0, err
			}
		}
	}
	after, err := cpuTime(os.Getpid())
	return float64((after - before).Nanoseconds()) / float64((to-from)*len(order)), err
}

// judgings measures every variant in every span.
func (b *bench) judgings(ctx context.Context, values *noise) (all []judging, err error) {
	err = b.say.During(ctx, "judging one sample", nil, func(ctx context.Context) error {
		for _, v := range variants() {
			list, err := v.judge(ctx, values)
			if err != nil {
				return fmt.Errorf("%s: %w", v.what, err)
			}
			all = append(all, list...)
		}
		return nil
	})
	return all, err
}

// days writes a span as PromQL does.
func days(d time.Duration) string {
	if d >= 24*time.Hour {
		return fmt.Sprintf("%dd", d/(24*time.Hour))
	}
	return fmt.Sprintf("%dh", d/time.Hour)
}

// find is the judging of a variant and span.
func find(all []judging, what string, span time.Duration) judging {
	i := slices.IndexFunc(all, func(j judging) bool { return j.what == what && j.span == span })
	return all[i]
}

// flat is the greatest ratio between spans that counts as independent of them.
const flat = 1.1

// tellJudging prints what ours costs by itself.
func (b *bench) tellJudging(all []judging) {
	b.say.Line("\nJudging one sample every %s: %d series in turn, in an order that no cache knows, beside one hot series", every, crowd)
	b.say.Line("  %-17s %-6s %14s %12s %14s  %s", "judged by", "window", "ns per sample", "one hot", "B per series", "goal")
	for _, j := range all {
		line := fmt.Sprintf("  %-17s %-6s %14.0f %12.0f %14.0f", j.what, days(j.span), j.cold, j.hot, j.bytes)
		if j.goal > 0 {
			line += fmt.Sprintf("  ≤ %.0f  %s", j.goal, verdict(j.bytes <= j.goal))
		}
		b.say.Line("%s", line)
	}
	for _, v := range variants() {
		shortest, longest := find(all, v.what, spans[0]), find(all, v.what, spans[len(spans)-1])
		b.say.Line("  %-17s 7d : 1h   ns %.2f, one hot %.2f, bytes %.2f   goal ≤ %g   %s", v.what,
			longest.cold/shortest.cold, longest.hot/shortest.hot, longest.bytes/shortest.bytes, flat,
			verdict(longest.cold <= flat*shortest.cold && longest.bytes <= flat*shortest.bytes))
	}
	b.say.Line(`  Method: sigma.Series with the defaults of signals (k 3, hold 30m, fault window 3m), filled windows, normal values; the CPU
  clock of this process over %d samples of each series, which are whole buckets of each window, the windows in turns; bytes
  are what the heap grew by after a collection, without labels and verdicts of the exporter. A goal is about bytes, or flatness.`, measured)
}
