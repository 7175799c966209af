package sigma

import (
	"math"
	"time"
)

// buckets is the number of closed buckets that make the window of a baseline.
const buckets = 60

// spread times k^2*m samples keep a step visible for m bad samples in a row: j of
// them among n, however high, lie sqrt(n/j) standard deviations of all above the
// mean. Once as many would leave nothing for steps of a few standard deviations.
const spread = 2

// never is an instant after all others. A hold, half of a window at most, added to
// an instant that is taken does not come near it.
const never = math.MaxInt64

// baseline keeps the moments of the last 60 closed buckets and of the open one.
// Bucket b covers [b*size, (b+1)*size) and lies in slot b mod 61.
type baseline struct {
	Baseline
	size   int64   // of a bucket, ns
	open   int64   // number of the open bucket
	first  float64 // sample of the open bucket, whose mean is kept less that: differences are small, and exact
	due    int64   // instant at which a bucket that was kept out begins to count, ns
	closed Moments
	past   Moments // that the last sample was judged by
	season *season // nil: all hours are alike

	sums  [buckets + 1]struct{ mean, m2 float64 }
	count [buckets + 1]uint32
	held  [buckets + 1]uint16 // 1 + the part of the bucket from which a fault was in it; 0: never kept out
}

func newBaseline(b Baseline) *baseline {
	made := &baseline{Baseline: b, size: int64(b.Window) / buckets, open: math.MinInt64, due: never}
	if b.Season == Daily {
		made.season = newSeason()
	}
	if b.Zone == nil {
		made.Zone = time.UTC
	}
	return made
}

// at moves the baseline to the instant t: buckets that have left the window are
// emptied, and those whose hold is over begin to count.
func (b *baseline) at(t int64) {
	if b.season != nil {
		b.season.at(t, b.Zone)
	}
	number := floorDiv(t, b.size)
	if b.open == math.MinInt64 {
		b.open = number
	}
	if number == b.open && t < b.due {
		return
	}
	if number != b.open {
		b.sums[slot(b.open)].mean += b.first
		b.first = 0
	}
	for i := max(b.open+1, number-buckets); i <= number; i++ {
		b.empty(slot(i))
	}
	b.open = number
	b.merge(t)
}

func (b *baseline) empty(i int) {
	b.sums[i].mean, b.sums[i].m2 = 0, 0
	b.count[i], b.held[i] = 0, 0
}

// merge computes the moments of the closed buckets that count at t: Chan's
// formula for many parts at once, which needs no division per bucket. Means are
// taken less one of them, so that what they have in common costs no digits.
func (b *baseline) merge(t int64) {
	var parts [buckets]uint8
	var n uint64
	var total, common float64
	k, open := 0, slot(b.open)
	b.due = never
	for i, c := range b.count {
		if b.held[i] != 0 && b.out(i, t) {
			b.due = min(b.due, b.counts(i))
		} else if c != 0 && i != open {
			if n == 0 {
				common = b.sums[i].mean
			}
			n += uint64(c)
			total += float64(c) * (b.sums[i].mean - common)
			parts[k] = uint8(i)
			k++
		}
	}
	b.closed = Moments{N: n}
	if n == 0 {
		return
	}
	total /= float64(n)
	var m2 float64
	for _, i := range parts[:k] {
		d := b.sums[i].mean - common - total
		m2 += b.sums[i].m2 + float64(b.count[i])*d*d
	}
	b.closed.Mean, b.closed.M2 = common+total, m2
}

// before gives the moments of everything that counts at the instant of the
// last call of at, before the next value is learned.
func (b *baseline) before(t int64) Moments {
	m := b.closed
	if i := slot(b.open); !b.out(i, t) {
		open := b.bucket(i)
		open.Mean += b.first
		m.Merge(open)
	}
	return m
}

// exclude keeps the buckets since an instant out, each until the hold after a fault
// was first in it: the bad samples of a fault are older than its gauge. A hold that
// is over by now keeps nothing out, however far back the instant lies, so that never
// more is out than what the last hold touches.
func (b *baseline) exclude(since int64) {
	for number := max(floorDiv(since, b.size), b.open-buckets); number <= b.open; number++ {
		if i := slot(number); b.held[i] == 0 {
			b.held[i] = 1 + uint16(max(0, since-number*b.size)/b.part())
		}
	}
	b.due = math.MinInt64 // closed buckets are among them: what counts is merged anew
}

// learn takes v into the open bucket. A fault keeps the bucket out from now on,
// for the hold.
func (b *baseline) learn(t int64, v float64, fault bool) {
	i := slot(b.open)
	m := b.bucket(i)
	if m.N == 0 {
		b.first = v
	}
	m.Add(v - b.first)
	b.sums[i].mean, b.sums[i].m2, b.count[i] = m.Mean, m.M2, uint32(m.N)
	if b.season != nil {
		b.season.learn(t, v, fault, b.Hold)
	}
	if fault && b.held[i] == 0 && b.Hold > 0 {
		b.held[i] = 1 + uint16((t-b.open*b.size)/b.part())
		b.due = min(b.due, b.counts(i))
	}
}

func (b *baseline) bucket(i int) Moments {
	return Moments{N: uint64(b.count[i]), Mean: b.sums[i].mean, M2: b.sums[i].m2}
}

// out tells whether bucket i is kept out at t.
func (b *baseline) out(i int, t int64) bool { return b.held[i] != 0 && t < b.counts(i) }

// counts is the instant from which a bucket that was kept out counts: the hold
// after the first sample in fault.
func (b *baseline) counts(i int) int64 {
	number := b.open - int64(slot(b.open-int64(i)))
	return number*b.size + int64(b.held[i]-1)*b.part() + int64(b.Hold)
}

// part is the precision of held: a bucket has fewer than 65,535 of them.
func (b *baseline) part() int64 { return b.size/(math.MaxUint16-1) + 1 }

// thresholds are mean -+ k*max(sigma, floor), strictly inside the range: a
// threshold at the end of the range could never be passed.
func (b *baseline) thresholds(mean, stddev float64) (lower, upper float64) {
	width := b.K * max(stddev, b.Floor)
	lower, upper = mean-width, mean+width
	if b.Low < b.High {
		least, most := math.Nextafter(b.Low, math.Inf(1)), math.Nextafter(b.High, math.Inf(-1))
		lower, upper = min(max(lower, least), most), min(max(upper, least), most)
	}
	return lower, upper
}

// band gives the thresholds for a value: those of the window, widened to those of
// the season once that has enough samples. What either explains is no anomaly.
func (b *baseline) band(j *Judgement) (lower, upper float64) {
	lower, upper = b.thresholds(j.Mean, j.StdDev)
	if b.season == nil || j.SeasonSamples < float64(b.MinSamples) {
		return lower, upper
	}
	least, most := b.thresholds(j.SeasonMean, j.SeasonStdDev)
	if j.HasLower && least < lower {
		lower, j.LowerBand = least, OfSeason
	}
	if j.HasUpper && most > upper {
		upper, j.UpperBand = most, OfSeason
	}
	return lower, upper
}

func slot(number int64) int {
	return int(number - floorDiv(number, buckets+1)*(buckets+1))
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
