package sigma

import (
	"math"
	"time"
)

// What a Score is made of. All of it was set before the first figure was read
// and is the same for every series: round numbers, every weight 1. The result of
// e2e/nab is exact to these; change one and it has to be measured anew.
const (
	shortOver = 10  // samples of the short level
	longOver  = 100 // samples of the long level

	// lasting is how many samples the mean and sigma of a feature remember: about
	// a month at 5 minutes. 200 to 4000 cost up to a point of the benchmark.
	lasting = 8000
	// lastingHour is the same for the mean of one hour of the season.
	lastingHour = lasting / 24.
	knownHour   = 7 // samples that an hour needs before others are compared with it

	// surprise is the distance of what differs from a past without any spread.
	surprise = 1e6
	// farthest keeps the square of any distance finite.
	farthest = 1e100

	// Distances are counted in bins of ln(1+Z), so wide that one holds 5 %.
	bins       = 400
	binsPerE   = 20
	halveAbove = 4000 // counts are halved when there are more samples

	rarityWeight = .5 // of the logarithm of the rarity, against that of 1+Z
	warmUp       = 30 // samples before the first score: sigma of fewer is a guess

	outsideMargin = .05 // of the range seen; beyond it a sample is outside
	outsideAdds   = 3
	halfScore     = 3   // sum that makes a score of one half
	onsetOver     = 100 // samples of which a score has to be the greatest
)

// Feature is one of the views of a series that a Score compares with its past.
type Feature string

// The features of a Score: the level of about 10 samples, that of about 100, and
// the distance to the mean of the same hour of the season.
const (
	ShortLevel Feature = "short"
	LongLevel  Feature = "long"
	InSeason   Feature = "season"
)

// Finding is what a Score says of one sample. The zero value: it was not judged.
type Finding struct {
	Score   float64 // 0 to below 1; 0 unless it is the greatest of the last 100
	Rarity  float64 // share of the samples before that were as far off, above 0 to 1
	Outside bool    // farther from all samples before than 5 % of their range
	Feature Feature // the one that is farthest off

	// Of that feature: what was judged, mean and sample standard deviation before
	// it, and how many of these lie between; 1e6 of either sign where there was no
	// deviation at all. Of InSeason the value is the sample itself and the mean
	// that of its hour, so that both can be drawn over the series.
	Value, Mean, StdDev, Distance float64
}

// Score tells how unusual the samples of one series are, compared with all that
// came before them. It learns every sample, those of a fault, too: a score that
// does not would alarm for ever after one step. Nothing but the hour and the day
// of the week is taken from the time of a sample, so samples may be missing, late
// or double. A Score is not safe for concurrent use.
type Score struct {
	zone        *time.Location
	n           uint64
	short, long level
	features    [3]trace // of the short level, the long one, and the season
	hours       hourly
	tail        tail
	seen        extent
	onset       onset
}

// NewScore gives a score that has seen nothing. Hours are those of zone; nil: UTC.
func NewScore(zone *time.Location) *Score {
	if zone == nil {
		zone = time.UTC
	}
	return &Score{zone: zone}
}

// Add judges one sample and then learns it. What is no finite number, or beyond
// 1e100, is neither judged nor learned. Add allocates nothing.
func (s *Score) Add(t time.Time, v float64) Finding {
	if !(math.Abs(v) <= limit) {
		return Finding{}
	}
	s.n++
	s.short.add(s.n, shortOver, v)
	s.long.add(s.n, longOver, v)
	_, hour := hourOf(t.UnixNano(), s.zone)
	usual, known := s.hours.mean(hour)
	s.hours.add(hour, v)

	judged := [3]float64{float64(s.short), float64(s.long), v - usual}
	of := len(judged)
	if !known {
		of--
	}
	f, z := s.compare(judged[:of])
	if f.Feature == InSeason {
		f.Value, f.Mean = v, f.Mean+usual
	}
	far := math.Log(1 + z)
	f.Rarity = s.tail.rarity(far)
	f.Outside = s.n > warmUp && s.seen.beyond(v)
	s.seen.add(s.n, v)
	f.Score = s.onset.first(s.sum(far, f))
	return f
}

// compare judges the features that there are and learns them. It gives the one
// that is farthest off, and how far all are together.
func (s *Score) compare(judged []float64) (f Finding, z float64) {
	names := [...]Feature{ShortLevel, LongLevel, InSeason}
	squares, most := 0., -1.
	for i, y := range judged {
		p := &s.features[i]
		d := p.distance(y)
		squares += d * d
		if d > most {
			most = d
			f = Finding{Feature: names[i], Value: y, Mean: p.mean, StdDev: p.stdDev()}
			f.Distance = p.signed(y)
		}
		p.add(y)
	}
	return f, math.Sqrt(squares)
}

// sum makes one figure from 0 to below 1 of all that was found.
func (s *Score) sum(far float64, f Finding) float64 {
	q := 0.
	if s.n >= warmUp {
		q = max(0, far-rarityWeight*math.Log(f.Rarity))
	}
	if f.Outside {
		q += outsideAdds
	}
	return q / (q + halfScore)
}

// level is an exponential mean that begins with the first sample.
type level float64

func (l *level) add(n uint64, over, v float64) {
	*l += level(max(1/float64(n), 1/over) * (v - float64(*l)))
}

// trace is the exponential mean and variance of what it was given. While it has
// seen less than lasting, all of that weighs the same.
type trace struct {
	n        uint64 // as many as weigh: lasting at most
	mean     float64
	variance float64 // with n as the divisor
}

// distance is how many standard deviations lie between y and the past.
func (p *trace) distance(y float64) float64 {
	switch {
	case p.n < 2:
		return 0
	case p.variance > 0:
		return min(math.Abs(y-p.mean)/math.Sqrt(p.variance), farthest)
	case y == p.mean:
		return 0
	}
	return surprise
}

// stdDev is the sample standard deviation: with n-1 as the divisor.
func (p *trace) stdDev() float64 {
	if p.n < 2 {
		return 0
	}
	return math.Sqrt(p.variance * float64(p.n) / float64(p.n-1))
}

// signed is the distance in sample standard deviations, negative below the mean.
func (p *trace) signed(y float64) float64 {
	d := p.distance(y)
	if stdDev := p.stdDev(); stdDev > 0 {
		d = min(math.Abs(y-p.mean)/stdDev, farthest)
	}
	return math.Copysign(d, y-p.mean)
}

func (p *trace) add(y float64) {
	p.n = min(p.n+1, lasting)
	a := 1 / float64(p.n)
	d := y - p.mean
	p.mean += a * d
	p.variance = (1 - a) * (p.variance + a*d*d)
}

// hourly are the means of every hour of working days and of weekends.
type hourly struct {
	means  [48]float64
	counts [48]uint16 // no more than it takes to reach lastingHour
}

// mean tells whether the hour is known, and its mean; 0 if it is not.
func (h *hourly) mean(hour uint8) (mean float64, known bool) {
	if h.counts[hour] < knownHour {
		return 0, false
	}
	return h.means[hour], true
}

func (h *hourly) add(hour uint8, v float64) {
	n := min(h.counts[hour]+1, lasting)
	h.counts[hour] = n
	h.means[hour] += max(1/float64(n), 1/lastingHour) * (v - h.means[hour])
}

// tail counts distances, so that it can tell how many of them were at least as
// far as a given one: a Fenwick tree that begins with the farthest. Halves are
// exact in 24 bits for the first 26,000 samples; after that a count is off by
// less than a millionth of itself.
type tail struct {
	tree  [bins]float32
	total float64
}

// rarity is the share of the distances before that were at least so far, each
// given as ln(1+distance). It then counts this one, too.
func (t *tail) rarity(far float64) float64 {
	place := bins - int(min(bins-1, binsPerE*far))
	above := 0.
	for i := place; i > 0; i &= i - 1 {
		above += float64(t.tree[i-1])
	}
	p := (above + .5) / (t.total + 1)
	for i := place; i <= bins; i += i & -i {
		t.tree[i-1]++
	}
	if t.total++; t.total > halveAbove {
		t.halve()
	}
	return p
}

func (t *tail) halve() {
	for i := range t.tree {
		t.tree[i] /= 2
	}
	t.total /= 2
}

// extent is the least and the greatest sample so far.
type extent struct{ least, most float64 }

// beyond tells whether v is out of the extent by more than the margin. One that
// holds a single value has no margin, and nothing is beyond it.
func (e *extent) beyond(v float64) bool {
	size := e.most - e.least
	return size > 0 && (v < e.least-outsideMargin*size || v > e.most+outsideMargin*size)
}

func (e *extent) add(n uint64, v float64) {
	if n == 1 {
		*e = extent{v, v}
	}
	e.least, e.most = min(e.least, v), max(e.most, v)
}

// onset lets only the first of a row of high scores through. It goes through its
// ring in rounds: from at on lie the maxima from each place to the end of the
// round before, below at the scores of this round, and newest is their maximum.
type onset struct {
	ring   [onsetOver]float64
	newest float64
	at     int
}

// first gives the score if it is greater than those of the last 100 samples, else
// 0.
func (o *onset) first(score float64) float64 {
	before := max(o.ring[o.at], o.newest)
	o.ring[o.at], o.newest = score, max(o.newest, score)
	if o.at++; o.at == len(o.ring) {
		for i := len(o.ring) - 2; i >= 0; i-- {
			o.ring[i] = max(o.ring[i], o.ring[i+1])
		}
		o.at, o.newest = 0, 0
	}
	if score > before {
		return score
	}
	return 0
}
