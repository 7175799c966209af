package sigma

import (
	"math"
	"time"
)

// What a Score is made of. These are the constants of detector D, round numbers
// with every weight 1, the same for every series. They were chosen on the whole of
// the Numenta benchmark, where windows of 200 to 4000 samples differ by a point and
// leaving out the season, the rarity, the onset or the range costs 4 to 9. What
// was added to D since has no constant of its own but the width of a bin, and what
// is believed.
// The results of e2e/nab hold for these: change one and measure anew.
const (
	shortOver = 10  // samples of the short level
	longOver  = 100 // samples of the long level

	// lasting is how many samples the mean and sigma of a feature remember: four
	// weeks at 5 minutes.
	lasting = 8000
	// lastingHour is the same for the mean of one hour of the season.
	lastingHour = lasting / 24.
	knownHour   = 7 // samples that an hour needs before others are compared with it

	// surprise is the distance of what differs from a past without any spread.
	surprise = 1e6
	// farthest keeps the square of any distance finite. It is ours.
	farthest = 1e100

	// Distances are counted in bins of ln(1+Z), so wide that one holds 5 %.
	bins       = 400
	binsPerE   = 20
	halveAbove = 4000 // counts are halved when there are more of them

	rarityWeight = .5 // of the logarithm of the rarity, against that of 1+Z
	warmUp       = 30 // samples before the first score: sigma of fewer is a guess

	// believed is how many ranges of what was seen a sample may lie beyond it and
	// still be learned as it is. It is ours: without it a single 1e15 of a counter
	// that ran over would be all the deviation that there is, for 385,000 samples.
	// In the files of e2e/nab none lies beyond 19.
	believed = 100

	outsideMargin = .05 // of the range seen; beyond it a sample is outside
	outsideAdds   = 3
	halfScore     = 3   // sum that makes a score of one half
	onsetOver     = 100 // samples of which a score has to be the greatest

	onsetBins = 100 // of equal width, for scores of 0 to 1. It is ours
)

// Feature is one of the views of a series that a Score compares with its past.
type Feature string

// The features of a Score: the level of about 10 samples and that of about 100;
// the distance of a sample to the mean of its hour of the season, and the levels
// of that distance. PlainSample stands for these three while the hour is not known yet.
const (
	ShortLevel    Feature = "short"
	LongLevel     Feature = "long"
	InSeason      Feature = "season"
	ShortInSeason Feature = "season_short"
	LongInSeason  Feature = "season_long"
	PlainSample   Feature = "sample"
)

// Features are all that a Finding can name.
func Features() []Feature {
	return []Feature{ShortLevel, LongLevel, InSeason, ShortInSeason, LongInSeason, PlainSample}
}

// Finding is what a Score says of one sample. The zero value: it was not judged.
type Finding struct {
	Score   float64 // 0 to below 1; 0 unless it is an onset: greater than for 100 samples
	Rarity  float64 // share of the samples before that were as far off, above 0 to 1
	Outside bool    // farther from all samples before than 5 % of their range
	Feature Feature // the one that is farthest off

	// OnsetRarity is the share of the onsets before that were as strong, above 0
	// to 1. It is 0 where there is no onset.
	OnsetRarity float64

	// Of that feature: what was judged, mean and sample standard deviation before
	// it, and how many of these lie between; 1e6 of either sign where there was no
	// deviation at all. Of features in season the mean of the hour is added to the
	// value and to the mean, so that both can be drawn over the series.
	Value, Mean, StdDev, Distance float64
}

// Score tells how unusual the samples of one series are, compared with all that
// came before them. It learns every sample, those of a fault, too: a score that
// does not would alarm for ever after one step. Nothing but the hour and the day
// of the week is taken from the time of a sample, so samples may be missing, late
// or double. A Score is not safe for concurrent use.
//
// It counts samples, not time. What that means for the interval between them:
//
//	                                             1s     15s      1m      5m
//	samples of which an onset is the greatest   1m40s   25m   1h40m   8h20m
//	what mean and sigma of a feature remember    2h13m  33h     6d     28d
//	days of which the mean of an hour is         .1     1.4     6      28
//
// So at intervals far below 15s an hour of the season is compared with the end of
// that hour of the day before, and a slow leak is learned within hours. There are
// as many more onsets as there are samples, too: a limit for alerts has to be
// higher, the shorter the interval is. Healthy services are above .8 once in some
// days at 15s and some times a day at 1s, where it takes .84 (make bench counts
// them); 20 deviations at once give .84 to .85, and 1e6 of them .89.
//
// A series that only grows is never unusual beside its past: of a counter, score
// the rate. The first 30 samples are believed, whatever they are, and so is a step
// that lasts: its own size, as a deviation, falls to 1/e in 16,000 samples, and
// what is far below that is not seen until then.
type Score struct {
	zone        *time.Location
	basic       bool
	n           uint64
	short, long level
	traces      [6]trace // in the order of the features
	inShort     level    // of the distance to the hour
	inLong      level
	hours       hourly
	tail        tail
	seen        extent
	onset       onset
	onsets      onsets
}

// NewScore gives a score that has seen nothing. Hours are those of zone; nil: UTC.
func NewScore(zone *time.Location) *Score {
	if zone == nil {
		zone = time.UTC
	}
	return &Score{zone: zone}
}

// NewBasicScore gives detector D alone, as a yardstick for NewScore: without the
// levels in season, without a view of samples whose hour is not known yet, without
// the rarity of onsets, and believing every sample.
func NewBasicScore(zone *time.Location) *Score {
	s := NewScore(zone)
	s.basic = true
	return s
}

// Add judges one sample and then learns it. What is no finite number, or beyond
// 1e100, is neither judged nor learned. Add allocates nothing.
func (s *Score) Add(t time.Time, v float64) Finding {
	if !(math.Abs(v) <= limit) {
		return Finding{}
	}
	s.n++
	_, hour := hourOf(t.UnixNano(), s.zone)
	usual, known := s.hours.mean(hour)
	learned := s.learned(v)
	s.hours.add(hour, learned)
	c := s.compare(v, learned, usual, known)
	far := math.Log(1 + math.Sqrt(c.squares))
	f := c.finding()
	f.Rarity = s.tail.rarity(far)
	f.Outside = s.n > warmUp && s.seen.beyond(v)
	if learned != v {
		learned = s.seen.clamp(v, 1)
	}
	s.seen.add(s.n, learned)
	s.rate(far, &f)
	return f
}

// learned is what is learned of a sample: itself, but for one that is farther off
// than is believed. It makes the range twice as large, so that what stays there is
// believed before long.
func (s *Score) learned(v float64) float64 {
	if s.basic || s.n <= warmUp {
		return v
	}
	return s.seen.clamp(v, believed)
}

// compare judges all features that there are and learns them. The levels are
// those of what is learned.
func (s *Score) compare(v, learned, usual float64, known bool) comparison {
	c := comparison{most: -1}
	s.short.add(s.n, shortOver, learned)
	s.long.add(s.n, longOver, learned)
	c.level(&s.traces[0], ShortLevel, s.short, 0)
	c.level(&s.traces[1], LongLevel, s.long, 0)
	if !known {
		if !s.basic {
			c.judge(&s.traces[5], PlainSample, v, learned, 0)
		}
		return c
	}
	off := learned - usual
	c.judge(&s.traces[2], InSeason, v-usual, off, usual)
	if s.basic {
		return c
	}
	n := s.traces[3].n + 1
	s.inShort.add(n, shortOver, off)
	s.inLong.add(n, longOver, off)
	c.level(&s.traces[3], ShortInSeason, s.inShort, usual)
	c.level(&s.traces[4], LongInSeason, s.inLong, usual)
	return c
}

// rate makes one figure of all that was found. An onset counts for more if few
// before were as strong in this series: that is what makes scores of different
// series alike.
func (s *Score) rate(far float64, f *Finding) {
	q := 0.
	if s.n >= warmUp {
		q = max(0, far-rarityWeight*math.Log(f.Rarity))
	}
	if f.Outside {
		q += outsideAdds
	}
	if f.Score = s.onset.first(q / (q + halfScore)); f.Score == 0 {
		return
	}
	f.OnsetRarity = s.onsets.rarity(f.Score)
	if !s.basic {
		q -= math.Log(f.OnsetRarity)
		f.Score = q / (q + halfScore)
	}
}

// comparison is how far all features of a sample are off, and which is farthest:
// its past, what was judged, and by how much both are moved up to be told.
type comparison struct {
	squares, most float64
	feature       Feature
	past          trace
	y, plus       float64
}

// level judges a level and learns it.
func (c *comparison) level(past *trace, feature Feature, l level, plus float64) {
	c.judge(past, feature, float64(l), float64(l), plus)
}

// judge compares y with the past of a feature, which then learns what is learned.
func (c *comparison) judge(past *trace, feature Feature, y, learned, plus float64) {
	d := past.distance(y)
	c.squares += d * d
	if d > c.most {
		c.most, c.feature, c.past, c.y, c.plus = d, feature, *past, y, plus
	}
	past.add(learned)
}

// finding tells of the feature that is farthest off.
func (c *comparison) finding() Finding {
	f := Finding{Feature: c.feature, Value: c.y + c.plus, Mean: c.past.mean + c.plus, StdDev: c.past.stdDev()}
	f.Distance = c.most
	if f.StdDev > 0 {
		f.Distance = min(math.Abs(c.y-c.past.mean)/f.StdDev, farthest)
	}
	if c.y < c.past.mean {
		f.Distance = 0 - f.Distance // never -0
	}
	return f
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

// clamp keeps v within so many sizes of the extent. One that holds a single value
// has no size, and keeps nothing.
func (e *extent) clamp(v, sizes float64) float64 {
	if size := e.most - e.least; size > 0 {
		return max(e.least-sizes*size, min(e.most+sizes*size, v))
	}
	return v
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

// onsets counts how strong they were.
type onsets struct {
	counts [onsetBins]uint16
	total  uint16
}

// rarity is the share of the onsets before that were in the bin of this score or
// above. It then counts this one, too.
func (o *onsets) rarity(score float64) float64 {
	bin := min(onsetBins-1, int(onsetBins*score))
	var above uint16
	for _, n := range o.counts[bin:] {
		above += n
	}
	p := (float64(above) + .5) / (float64(o.total) + 1)
	o.counts[bin]++
	if o.total++; o.total > halveAbove {
		o.halve()
	}
	return p
}

func (o *onsets) halve() {
	o.total = 0
	for i := range o.counts {
		o.counts[i] /= 2
		o.total += o.counts[i]
	}
}
