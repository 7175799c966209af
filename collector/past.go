package collector

import (
	"math"
	"slices"
	"time"

	"github.com/onefiveten/onefiveten/promapi"
	"github.com/onefiveten/onefiveten/sigma"
)

// How far back is asked, and how closely. A step below the interval at which
// values change would judge one of them many times.
const (
	seasonPast  = 14 * 24 * time.Hour // ten hours of each kind of a working day, four of a weekend
	seasonStep  = 5 * time.Minute     // Prometheus looks back so far for a value
	windowSteps = 600                 // ten in each bucket of the baseline
	mostTimes   = 20                  // that one value is taken
)

// mostBacklog is how many live samples of a series are kept while its past is read,
// at most: as many as decide about a fault, and some more.
const mostBacklog = 1000

// mostKept is how many of them the series of one probe or of one signal keep
// together, 8 MB: of more series each keeps its part, one at least.
const mostKept = 200_000

// backlog are the newest live samples of a series that waits for its past.
type backlog struct {
	withheld bool // it is not judged until its past is there
	early    bool // it is judged since its past takes long, and nothing has failed
	seen     int  // all that were kept, those too that were dropped again
	most     int
	samples  []sample
}

// newBacklog begins to keep samples of a series that is not judged yet.
func newBacklog(r rules) *backlog {
	return &backlog{withheld: true, most: min(r.fault.Slots(r.interval)+50, mostBacklog)}
}

// narrow makes the backlog one of so many series: it keeps no more than its part.
func (l *backlog) narrow(series int) {
	l.most = min(l.most, max(1, mostKept/max(series, 1)))
	if surplus := len(l.samples) - l.most; surplus > 0 {
		l.samples = slices.Clone(l.samples[surplus:])
	}
}

// full tells whether the next sample costs the oldest one.
func (l *backlog) full() bool { return len(l.samples) >= l.most }

// sample is one live sample, of the instant at by the clock that sigma is told.
type sample struct {
	at           time.Time
	value, start float64
}

// add keeps a sample, in the place of the oldest if there are too many.
func (l *backlog) add(s sample) {
	l.seen++
	if len(l.samples) == l.most {
		copy(l.samples, l.samples[1:])
		l.samples = l.samples[:l.most-1]
	}
	l.samples = append(l.samples, s)
}

// first is the instant from which on samples are kept; false: none is yet.
func (l *backlog) first() (time.Time, bool) {
	if len(l.samples) == 0 {
		return time.Time{}, false
	}
	return l.samples[0].at, true
}

// take judges a live sample as add does, unless the series waits for its past:
// then it is kept, and there is no verdict. It waits no longer than it would take to
// be judged without a past: a Prometheus that is slow must not be worse than none.
// Nor does it wait until a sample that was kept would be lost.
func (j *judged) take(at time.Time, value, start float64, before verdict) (verdict, error) {
	if j.past == nil || math.IsNaN(value) || math.IsInf(value, 0) {
		return j.add(at, value, start, before)
	}
	j.past.add(sample{at, value, start})
	switch {
	case !j.past.withheld:
		return j.add(at, value, start, before)
	case j.past.seen <= j.rules.baseline.MinSamples && !j.past.full():
		return before, nil
	}
	return j.hasten(before), nil
}

// hasten judges a series that waits by what it has kept. It goes on waiting.
func (j *judged) hasten(v verdict) verdict {
	v = j.release(v)
	j.past.early = true
	return v
}

// narrow makes a series that may wait one of so many: before what it has kept is
// dropped, it is judged by that.
func (j *judged) narrow(series int, v verdict) verdict {
	switch {
	case j.past == nil:
		return v
	case j.past.withheld && len(j.past.samples) >= max(1, mostKept/max(series, 1)):
		v = j.hasten(v)
	}
	j.past.narrow(series)
	return v
}

// replay gives the samples that were kept to a series that has its past. Those
// that it knows already are refused, and do not matter.
func (l *backlog) replay(j *judged, v verdict) verdict {
	for _, s := range l.samples {
		if next, err := j.add(s.at, s.value, s.start, v); err == nil {
			v = next
		}
	}
	return v
}

// fill puts what was made from the past in the place of a series that waits, unless
// the series knows better: a Prometheus that was away itself must neither end a fault
// of which it has seen nothing nor take a threshold away. It tells whether it did, 1 or 0.
func (j *judged) fill(b *blank, v verdict) (verdict, int) {
	made := j.past.replay(&b.made, b.verdict)
	if v.Ready && !made.Ready || v.Fault && !made.Fault && made.Samples < v.Samples {
		v = j.release(v)
		j.past = nil
		return v, 0
	}
	*j = b.made
	return made, 1
}

// release lets a series begin without its past, which it goes on waiting for.
func (j *judged) release(v verdict) verdict {
	if j.past == nil {
		return v
	}
	j.past.early = false
	if !j.past.withheld {
		return v
	}
	j.past.withheld = false
	return j.past.replay(j, v)
}

// warm tells whether a series that began without its past has no more need of
// it. One whose past is still on its way has: it may have begun in a fault.
func (j *judged) warm(v verdict) bool {
	return !j.past.withheld && !j.past.early && !j.rules.cold(v)
}

// cold tells whether its past would tell a series something: until its window has
// filled, and of a season always.
func (r rules) cold(v verdict) bool { return !v.Ready || r.baseline.Season == sigma.Daily }

// blank is a series that is made from the past.
type blank struct {
	labels  map[string]string
	made    judged
	verdict verdict
	last    time.Time // of the newest sample

	every   time.Duration // at which what is read changes at most
	few     []told        // until they are enough for a threshold
	values  int           // of those that lie so far apart that each can be another
	counted time.Time     // the newest of them
}

// told is a value of the past, at an instant by the clock that sigma is told, that
// stands for the step which ends there.
type told struct {
	at   time.Time
	of   promapi.Sample
	step time.Duration
}

// take judges one value of the past, once there are as many as a threshold wants:
// three that were scraped, each told many times, are no baseline. NaN is none.
func (b *blank) take(v told) bool {
	if math.IsNaN(v.of.Value) || math.IsInf(v.of.Value, 0) {
		return false
	}
	if b.few == nil && b.values > 0 && v.at.Sub(b.last) <= b.made.rules.baseline.Window {
		return b.learn(v)
	}
	if v.at.Sub(b.last) > b.made.rules.baseline.Window { // nothing of before is left
		b.end()
	}
	b.few, b.last = append(b.few, v), v.at
	if v.at.Sub(b.counted) >= b.every {
		b.values, b.counted = b.values+1, v.at
	}
	if b.values >= b.made.rules.baseline.MinSamples {
		for _, one := range b.few {
			b.learn(one)
		}
		b.few = nil
	}
	return true
}

// learn gives a value to sigma. It weighs as much as live samples of that time did:
// parts that are asked in steps of different length would otherwise count the more,
// the shorter the step, and a fault that has just begun would be half of all that
// is known. What sigma refuses is no sample.
func (b *blank) learn(v told) bool {
	interval := b.made.rules.interval
	times := min(max(v.step/interval, 1), mostTimes)
	taken := false
	for n := times - 1; n >= 0; n-- {
		back := n * (v.step / times)
		next, err := b.made.add(v.at.Add(-back), v.of.Value, seconds(v.of.At.Add(-back)), b.verdict)
		if err == nil {
			b.verdict, b.last, taken = next, v.at, true
		}
	}
	return taken
}

// end learns the values that have remained too few, each that can be another one
// once.
func (b *blank) end() {
	var counted time.Time
	for _, v := range b.few {
		if v.at.Sub(counted) >= b.every {
			counted, v.step = v.at, 0
			b.learn(v)
		}
	}
	b.few, b.values, b.counted = nil, 0, time.Time{}
}

// stretch is one question: the values at from and at every step after it up to to.
type stretch struct {
	from, to time.Time
	step     time.Duration
	finest   bool // it is of the last part
}

// reach says how far back a series looks, and how closely: a season coarsely, the
// window of the baseline, and at the interval itself what may be a fault under way.
type reach struct {
	season, window, finest time.Duration // before now; season 0: none
	coarse, middle, fine   time.Duration // steps
}

// reachOf works it out for samples of the rules' interval that change no more
// often than every scrape.
func reachOf(r rules, scrape time.Duration) reach {
	whole := func(d time.Duration) time.Duration { // intervals, and milliseconds
		return ((d + r.interval - 1) / r.interval * r.interval).Truncate(time.Millisecond)
	}
	every := max(r.interval, scrape)
	b := r.baseline
	p := reach{
		window: b.Window, finest: 2*r.fault.Window + every + r.interval,
		coarse: whole(max(seasonStep, every)), middle: whole(max(b.Window/windowSteps, every)), fine: whole(r.interval),
	}
	if b.Season == sigma.Daily {
		p.season = seasonPast
	}
	return p
}

// since makes the last part begin before a fault that began so long ago: in
// coarser steps it would be none, and be learned as normal. Nothing older than the
// hold is kept out of the baseline anyway.
func (p reach) since(ago time.Duration, r rules) reach {
	p.finest = max(p.finest, min(ago, r.baseline.Hold)+r.fault.Window)
	return p
}

// next gives the question that follows the instant after, of so many steps at most
// and of what lies before the instant end. It gives none when nothing is left.
func (p reach) next(after, end time.Time, steps int) (stretch, bool) {
	begin := end.Add(-max(p.season, p.window, p.finest))
	for _, part := range []struct {
		to   time.Time
		step time.Duration
	}{
		{end.Add(-max(p.window, p.finest)), p.coarse},
		{end.Add(-p.finest), p.middle},
		{end, p.fine},
	} {
		from := after.Add(part.step)
		if after.Before(begin) {
			from = begin
		}
		if !from.Before(part.to) {
			continue
		}
		n := min(part.to.Sub(from)/part.step, time.Duration(max(steps, 1)-1))
		return stretch{from, from.Add(n * part.step), part.step, part.to.Equal(end)}, true
	}
	return stretch{}, false
}

// done is the share of the past before end that lies before the instant after.
func (p reach) done(after, end time.Time) float64 {
	all := max(p.season, p.window, p.finest)
	return min(1, max(0, 1-end.Sub(after).Seconds()/all.Seconds()))
}
