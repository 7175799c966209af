package backtest

import (
	"math"
	"time"
)

// maxBins is how many bins a plot has at most: about one for each of its points.
const maxBins = 1000

// bin is what is drawn of the samples of one stretch of time.
type bin struct {
	n         uint64
	at        float64 // of the first sample, seconds since the first of all
	until     float64 // of the last sample
	low, high float64 // values
	sum       float64

	uppers, lowers         uint64 // samples with such a threshold
	sumOfUpper, sumOfLower float64

	anomalies           uint64
	lowestBad, worstBad float64 // least and greatest anomalous value
	fault, labelled     bool
}

// bins keep any number of samples in a fixed number of stretches of equal length.
// When a sample lies beyond the last, neighbours are merged and the length doubles.
type bins struct {
	origin time.Time
	width  float64 // seconds
	all    [maxBins]bin
	begun  bool
}

// add takes one sample in. They come in order.
func (b *bins) add(r Row) {
	if !b.begun {
		b.begun, b.origin, b.width = true, r.At, 1e-9
	}
	at := seconds(r.At, b.origin)
	for at/b.width >= maxBins {
		b.fold()
	}
	b.all[int(at/b.width)].merge(single(r, at))
}

// seconds is the time from one instant to another. The difference of two instants
// as a duration ends at 292 years.
func seconds(at, origin time.Time) float64 {
	return float64(at.Unix()-origin.Unix()) + float64(at.Nanosecond()-origin.Nanosecond())/1e9
}

// fold merges neighbours.
func (b *bins) fold() {
	for i := range b.all {
		one := b.all[i]
		b.all[i] = bin{}
		b.all[i/2].merge(one)
	}
	b.width *= 2
}

// single is the bin of one sample.
func single(r Row, at float64) bin {
	one := bin{n: 1, at: at, until: at, low: r.Value, high: r.Value, sum: r.Value, fault: r.Fault, labelled: r.Label == Faulty}
	if r.HasUpper {
		one.uppers, one.sumOfUpper = 1, r.Upper
	}
	if r.HasLower {
		one.lowers, one.sumOfLower = 1, r.Lower
	}
	if r.Anomaly {
		one.anomalies, one.lowestBad, one.worstBad = 1, r.Value, r.Value
	}
	return one
}

// merge takes in the later bin o.
func (b *bin) merge(o bin) {
	if o.n == 0 {
		return
	}
	if b.n == 0 {
		*b = o
		return
	}
	if o.anomalies > 0 {
		if b.anomalies == 0 {
			b.lowestBad, b.worstBad = o.lowestBad, o.worstBad
		}
		b.lowestBad, b.worstBad = min(b.lowestBad, o.lowestBad), max(b.worstBad, o.worstBad)
		b.anomalies += o.anomalies
	}
	b.n += o.n
	b.until, b.low, b.high, b.sum = o.until, min(b.low, o.low), max(b.high, o.high), b.sum+o.sum
	b.uppers, b.sumOfUpper = b.uppers+o.uppers, b.sumOfUpper+o.sumOfUpper
	b.lowers, b.sumOfLower = b.lowers+o.lowers, b.sumOfLower+o.sumOfLower
	b.fault, b.labelled = b.fault || o.fault, b.labelled || o.labelled
}

// upper and lower are the mean thresholds; NaN: there was none.
func (b *bin) upper() float64 { return b.sumOfUpper / float64(b.uppers) }
func (b *bin) lower() float64 { return b.sumOfLower / float64(b.lowers) }

// mean is that of the values.
func (b *bin) mean() float64 { return b.sum / float64(b.n) }

// pieces gives the bins that hold samples, parted where more than gap seconds lie
// between two.
func (b *bins) pieces(gap float64) (all [][]bin) {
	gap = max(gap, 3*b.width)
	last := math.Inf(-1)
	for _, one := range b.all {
		if one.n == 0 {
			continue
		}
		if one.at-last > gap {
			all = append(all, nil)
		}
		i := len(all) - 1
		all[i] = append(all[i], one)
		last = one.until
	}
	return all
}
