package replay

import (
	"math"
	"slices"
	"sort"
	"time"
)

// lookback is how old a sample an instant query of Prometheus still shows.
const lookback = 5 * time.Minute

// track is a recorded series: what Prometheus keeps of it. Instants are seconds.
type track struct {
	keep int64
	at   []int64
	v    []float64
}

func newTrack(keep time.Duration) *track { return &track{keep: seconds(keep)} }

// fork gives another of the same past.
func (k *track) fork() *track { return &track{k.keep, slices.Clone(k.at), slices.Clone(k.v)} }

func seconds(d time.Duration) int64 { return int64(d / time.Second) }

func (k *track) add(at int64, v float64) {
	k.at, k.v = append(k.at, at), append(k.v, v)
	if n := k.before(at - k.keep); n > len(k.at)/2 && n > 100 {
		k.at, k.v = slices.Delete(k.at, 0, n), slices.Delete(k.v, 0, n)
	}
}

// before is how many samples are not after the instant.
func (k *track) before(at int64) int {
	return sort.Search(len(k.at), func(i int) bool { return k.at[i] > at })
}

// over gives the values of (at-width, at], as a range selector does.
func (k *track) over(at int64, width time.Duration) []float64 {
	return k.v[k.before(at-seconds(width)):k.before(at)]
}

// last is last_over_time. Nothing is recorded ahead, so mostly it is the newest.
func (k *track) last(at int64, width time.Duration) (float64, bool) {
	n := len(k.at)
	if n > 0 && k.at[n-1] > at {
		n = k.before(at)
	}
	if n == 0 || k.at[n-1] <= at-seconds(width) {
		return 0, false
	}
	return k.v[n-1], true
}

// moments are avg_over_time and stddev_over_time, which divides by the count.
// Four sums at a time: in one alone each addition would wait for the one before.
func moments(values []float64) (mean, stddev float64) {
	var a [4]float64
	n := len(values) &^ 3
	for i := 0; i < n; i += 4 {
		v := values[i : i+4 : i+4]
		a[0], a[1], a[2], a[3] = a[0]+v[0], a[1]+v[1], a[2]+v[2], a[3]+v[3]
	}
	for _, v := range values[n:] {
		a[0] += v
	}
	mean = (a[0] + a[1] + a[2] + a[3]) / float64(len(values))
	a = [4]float64{}
	for i := 0; i < n; i += 4 {
		v := values[i : i+4 : i+4]
		p, q, r, s := v[0]-mean, v[1]-mean, v[2]-mean, v[3]-mean
		a[0], a[1], a[2], a[3] = a[0]+p*p, a[1]+q*q, a[2]+r*r, a[3]+s*s
	}
	for _, v := range values[n:] {
		a[0] += (v - mean) * (v - mean)
	}
	return mean, math.Sqrt((a[0] + a[1] + a[2] + a[3]) / float64(len(values)))
}

// median is quantile_over_time(0.5, …) of sorted values.
func median(sorted []float64) float64 {
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

func medianOf(values []float64) float64 {
	return median(slices.Sorted(slices.Values(values)))
}

// ranked is the last width of a series in the order of its values: a median of a
// day at each evaluation would otherwise sort the day each time.
type ranked struct {
	width  int64
	past   *track
	out    int64 // samples up to here have left
	sorted []float64
}

func newRanked(width time.Duration) *ranked {
	return &ranked{width: seconds(width), past: newTrack(2 * width), out: math.MinInt64}
}

// add takes a value in.
func (r *ranked) add(at int64, v float64) {
	r.move(at)
	r.past.add(at, v)
	i, _ := slices.BinarySearch(r.sorted, v)
	r.sorted = slices.Insert(r.sorted, i, v)
}

// move lets go what is not in (at-width, at].
func (r *ranked) move(at int64) {
	until := at - r.width
	for _, v := range r.past.v[r.past.before(r.out):r.past.before(until)] {
		i, _ := slices.BinarySearch(r.sorted, v)
		r.sorted = slices.Delete(r.sorted, i, i+1)
	}
	r.out = until
}

// median is that of what is left at the instant.
func (r *ranked) median(at int64) (float64, bool) {
	if r.move(at); len(r.sorted) == 0 {
		return 0, false
	}
	return median(r.sorted), true
}

// fork gives another of the same past.
func (r *ranked) fork() *ranked {
	return &ranked{r.width, r.past.fork(), r.out, slices.Clone(r.sorted)}
}
