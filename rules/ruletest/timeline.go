package ruletest

import (
	"fmt"
	"math"
	"time"

	"github.com/onefiveten/onefiveten/sigma"
)

// timing is how often things happen in a simulated Prometheus, and when within
// their interval. Rules are evaluated at the multiples of every.
type timing struct {
	probe, probeTakes   time.Duration // P and d_p: a bad probe takes all of it, a good one nothing; so does a query
	scrape, scrapeTakes time.Duration // S and d_s
	every, step         time.Duration // E, and the distance of two values in a test
	probeAt, scrapeAt   time.Duration // phases

	asking                    bool          // the samples are answers to a query, and it reads:
	source, sourceTakes, back time.Duration // what is scraped every S_src within d_src, and R back
	sourceAt                  time.Duration // phase

	daily *sigma.Baseline // nil: good samples have no day

	values bool            // the samples have a value, and may page: what locates is shown
	worse  sigma.Direction // where bad ones lie

	scraped  bool           // rules judge, by what scrapes find:
	baseline sigma.Baseline // of a value; no window: the samples are successes and failures
}

// timing takes the intervals from the spec and phases at which nothing
// coincides.
func (s Spec) timing(p Proof) timing {
	t := timing{
		probe: p.Interval, probeTakes: p.Timeout,
		scrape: s.Scrape, scrapeTakes: s.ScrapeTakes,
		every: s.Every, step: divisor(s.Every, time.Second),
		probeAt: (p.Interval / 3).Truncate(time.Millisecond),
		// 7 ms keep ages from being equal to a limit, where rounding would decide.
		scrapeAt: (s.Scrape * 2 / 3).Truncate(time.Millisecond) + 7*time.Millisecond,
	}
	if s.Scraped {
		t.scraped, t.baseline = true, p.Baseline
	}
	t.worse = p.Baseline.Direction
	if q := p.Query; q != nil {
		t.asking, t.source, t.sourceTakes, t.back = true, q.Source, q.SourceTimeout, q.Reach
		t.sourceAt = (q.Source / 2).Truncate(time.Millisecond) + 11*time.Millisecond
	}
	return t
}

// toldBy is the latest moment of which a query at an instant is told.
func (t timing) toldBy(at time.Duration) time.Duration {
	if !t.asking {
		return at
	}
	seen := at - t.sourceTakes - t.back
	return seen - phase(seen-t.sourceAt, t.source)
}

// divisor is the greatest common one.
func divisor(a, b time.Duration) time.Duration {
	for b > 0 {
		a, b = b, a%b
	}
	return a
}

// next is the first evaluation at or after a moment.
func (t timing) next(at time.Duration) time.Duration { return ceil(at, t.every) }

// ceil is the first multiple of unit at or after a moment, before 0 too.
func ceil(at, unit time.Duration) time.Duration {
	if rest := phase(at, unit); rest > 0 {
		return at + unit - rest
	}
	return at
}

// phase is at modulo unit, never negative.
func phase(at, unit time.Duration) time.Duration { return (at%unit + unit) % unit }

// during tells whether something holds at a moment; nil never does.
type during func(at time.Duration) bool

func (d during) at(t time.Duration) bool { return d != nil && d(t) }

// from and between are the usual ones.
func from(t time.Duration) during { return between(t, math.MaxInt64) }

// between holds from a moment on and until another.
func between(a, b time.Duration) during {
	return func(at time.Duration) bool { return at >= a && at < b }
}

// fate is what happens to one target as one observer sees it.
type fate struct {
	bad     during        // probes that begin then fail
	size    size          // of a value: how far bad ones lie from good ones; nil: 1
	traffic int           // that the member carries; 0: nobody has asked
	hangs   during        // no probe runs, the gauges stay
	away    during        // the observer is not there: no probe, no scrape
	restart time.Duration // when the observer loses its state; 0 means never
	removed during        // the target is not configured: its series are gone
}

// size is a distance at a moment.
type size func(at time.Duration) float64

// by is how far a sample lies from the usual ones.
func (w fate) by(at time.Duration) float64 {
	switch {
	case !w.bad.at(at):
		return 0
	case w.size == nil:
		return 1
	}
	return w.size(at)
}

// missing stands for a step without a value.
const missing = math.MinInt64

// track is what Prometheus holds of one target, one value in thousandths per
// step. It is made from raw samples by sigma and seen through scrapes.
type track struct {
	fault, start, last []int64

	success, value   []int64   // as scrapes find them, where rules judge
	recorded, judged []float64 // one at each evaluation: values, and whether they are anomalies

	sample, mean, threshold []int64 // of a value that may page
}

// result is the state of the gauges after one probe.
type result struct {
	end          time.Duration
	fault, start int64
	gone         bool // nothing is exposed from here on

	sample, mean, threshold int64 // of a value
}

// follow is what stands between a raw sample and a rule: probes that take their
// time, a scrape that sees those that have ended and is itself seen only when it
// is over, and values that stand until the next one. It runs one target from well before 0 until end.
func (t timing) follow(f sigma.Fault, w fate, end time.Duration) (track, error) {
	if t.scraped {
		return t.followScraped(f, w, end), nil
	}
	results, err := t.probes(f, w, end)
	if err != nil {
		return track{}, err
	}
	var tr track
	begin := -(f.Window + 4*t.scrape + 4*t.probe) // at 0 a scrape has been seen
	sc := begin + phase(t.scrapeAt-begin, t.scrape)
	known := 0 // results that had ended at the scrape
	for at := time.Duration(0); at <= end; at += t.step {
		for sc+t.scrape+t.scrapeTakes <= at {
			sc += t.scrape
		}
		for known < len(results) && results[known].end <= sc {
			known++
		}
		fault, start, last := int64(missing), int64(missing), int64(missing)
		now := result{sample: missing, mean: missing, threshold: missing}
		if r := results[max(known-1, 0)]; known > 0 && !r.gone && !w.away.at(sc) && !w.removed.at(sc) {
			now, fault, start = r, r.fault, r.start
			last = (at - (sc - r.end)).Milliseconds() // the age at the scrape is what the rules read
		}
		tr.fault, tr.start, tr.last = append(tr.fault, fault), append(tr.start, start), append(tr.last, last)
		tr.add(now)
	}
	return tr, nil
}

// probes feeds sigma from before 0, so that the fault window is full at 0.
func (t timing) probes(f sigma.Fault, w fate, end time.Duration) ([]result, error) {
	var results []result
	series, begin, err := t.series(f, end)
	if err != nil {
		return nil, err
	}
	for at := begin + phase(t.probeAt-begin, t.probe); at <= end; at += t.probe {
		if w.restart > 0 && at >= w.restart {
			// Of values the past is read from Prometheus: the series is the same.
			if !t.values {
				if series, _, err = t.series(f, end); err != nil {
					return nil, err
				}
			}
			for len(results) > 0 && results[len(results)-1].end > w.restart {
				results = results[:len(results)-1] // it never reported
			}
			results = append(results, result{end: w.restart, gone: true})
			w.restart = 0
		}
		if !w.away.at(at) && !w.removed.at(at) && !w.hangs.at(at) {
			r, err := t.judge(series, at, w.by(t.toldBy(at)))
			if err != nil {
				return nil, err
			}
			results = append(results, r)
		}
	}
	return results, nil
}

// series is what judges the samples, and when they must begin for it to know all
// that it can at 0. The answers to a query have a baseline. It is so long that no
// fault of a test becomes normal, or hides itself before it is one.
func (t timing) series(f sigma.Fault, end time.Duration) (s *sigma.Series, begin time.Duration, err error) {
	if t.daily != nil {
		return t.ofDays(f)
	}
	if !t.asking && !t.values {
		s, err = sigma.NewAvailability(t.probe, f)
		return s, -(f.Window + 4*t.probe), err
	}
	window := max(time.Hour, 4*end, 40*f.Window)
	s, err = sigma.NewValue(t.probe, f, sigma.Baseline{Window: window, K: 3, MinSamples: 30, Direction: t.side(), Hold: window / 2})
	return s, -window, err
}

// judge runs one probe and gives the gauges that stand when it has ended.
func (t timing) judge(series *sigma.Series, at time.Duration, by float64) (result, error) {
	r, v := result{end: at}, t.value(at)
	if by > 0 {
		r.end = at + t.probeTakes
	}
	if t.side() == sigma.Lower {
		by = -by
	}
	v += by
	j, err := series.Add(time.Unix(0, int64(at)), v)
	if err != nil {
		return r, fmt.Errorf("simulating a probe at %s: %w", at, err)
	}
	j = series.Shown(j)
	if j.Fault {
		r.fault = 1000
	}
	if !j.FirstBad.IsZero() {
		r.start = j.FirstBad.UnixMilli()
	}
	r.sample, r.mean, r.threshold = thousandth(v), thousandth(j.Mean), thousandth(j.Upper)
	if t.side() == sigma.Lower {
		r.threshold = thousandth(j.Lower)
	}
	return r, nil
}

// value is a good sample. Those that have a value go up and down by a tenth.
func (t timing) value(at time.Duration) float64 {
	if t.daily != nil {
		return t.risen(at)
	}
	if t.asking || t.values {
		return float64(phase(at/t.probe, 2)) / 10
	}
	return 0
}

// first is the first moment from which on values hold v; -1 when there is none.
func (t timing) first(values []int64, v int64, from time.Duration) time.Duration {
	for i := int(ceil(from, t.step) / t.step); i < len(values); i++ {
		if values[i] == v {
			return time.Duration(i) * t.step
		}
	}
	return -1
}
