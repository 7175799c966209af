package sigma

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"
)

// Direction tells on which side of the mean an anomaly lies.
type Direction string

// The directions of a baseline. Upper is meant where none is named.
const (
	Upper Direction = "upper"
	Lower Direction = "lower"
	Both  Direction = "both"
)

// Season tells which hours are compared with each other.
type Season string

// The seasons of a baseline. NoSeason is meant where none is named. Daily keeps an
// hour of working days and one of weekends apart: 48 of them.
const (
	NoSeason Season = "none"
	Daily    Season = "daily"
)

// MaxSlots is the largest number of intervals that one fault window may hold.
// It bounds the memory of a series: 3 bytes each.
const MaxSlots = 3600

// Fault says when anomalies become a fault (DETECTION 4.4 and 4.5).
type Fault struct {
	Window       time.Duration // the sliding window of e, 1s to 24h
	Floor, Cap   float64       // limits of the threshold of e, 0 <= Floor <= Cap < 1
	MinAnomalies int           // fewer anomalies in the window are no fault, >= 1
	K            float64       // standard deviations of e above its mean, >= 0
	Clear        int           // consecutive good samples that end a fault, >= 1
}

// Baseline says what is normal for a value (DETECTION 4.2 and 4.3).
type Baseline struct {
	Window     time.Duration // what came before is remembered this long, >= 1m
	K          float64       // standard deviations between mean and threshold, >= 0
	MinSamples int           // no threshold with fewer samples, >= 2
	Floor      float64       // least standard deviation, in the unit of the value
	Direction  Direction
	Hold       time.Duration // buckets of a fault stay out at most this long
	Low, High  float64       // range of the value; Low >= High: it has none
	Season     Season
	Zone       *time.Location // in which the hours of the season are counted; nil: UTC
}

// Slots is the number of whole intervals in the fault window: the divisor of e
// until the window is full. A window holds at most Slots+1 samples.
func (f Fault) Slots(interval time.Duration) int {
	return int(f.Window / max(interval, 1))
}

// Bad is m of DETECTION 6.1: how many bad samples in a row after good ones turn
// the fault on, whatever the history of e was. It is 0 when no number does: such
// a fault can never fire.
//
// It compares as Add does, so that rounding cannot set the two apart.
func (f Fault) Bad(interval time.Duration) int { return f.bad(f.Slots(interval)) }

// bad is Bad for a fault window of that many whole intervals.
func (f Fault) bad(slots int) int {
	n := float64(slots + 1)
	m := max(1, int(f.Cap*n))
	for m <= slots && float64(m)/n <= f.Cap {
		m++
	}
	if m = max(m, f.MinAnomalies); m > slots {
		return 0
	}
	return m
}

// MaxK is how many sample standard deviations the farthest of n values can lie
// from their mean at most: (n-1)/sqrt(n) (Grubbs 1950). With strict comparison a
// k of that much or more never finds one of them beyond the threshold.
func MaxK(n int) float64 {
	if n < 2 {
		return 0
	}
	return float64(n-1) / math.Sqrt(float64(n))
}

// Holds is how many samples a window holds that gets one every interval.
func (b Baseline) Holds(interval time.Duration) int { return int(b.Window / max(interval, 1)) }

// Keeps is how many of them are left at least, whatever faults keep out for the
// hold: it may begin and end inside a bucket, and whole buckets are kept out.
func (b Baseline) Keeps(interval time.Duration) int {
	bucket := max(b.Window/buckets, 1)
	out := (b.Hold + bucket - 1) / bucket
	return int(max(buckets-out, 0) * bucket / max(interval, 1))
}

// check names everything that is wrong with f for samples every interval. Only a
// fault without a mistake is asked whether it can ever fire.
func (f Fault) check(interval time.Duration) error {
	if err := f.limits(interval); err != nil {
		return err
	}
	return want(f.Bad(interval) > 0, "no number of bad samples in a row is sure to pass cap %v and min_anomalies %d: fault window %v holds %d intervals of %v; lower them, or lengthen the window",
		f.Cap, f.MinAnomalies, span(f.Window), f.Slots(interval), span(interval))
}

func (f Fault) limits(interval time.Duration) error {
	return errors.Join(
		want(interval > 0, "interval is %v, want more than 0", span(interval)),
		want(f.Window >= time.Second && f.Window <= 24*time.Hour, "fault window is %v, want 1s to 24h", span(f.Window)),
		want(f.Slots(interval) >= 1, "fault window %v is shorter than the interval %v", span(f.Window), span(interval)),
		want(f.Slots(interval) <= MaxSlots, "fault window %v holds more than %d intervals of %v", span(f.Window), MaxSlots, span(interval)),
		want(f.Floor >= 0 && f.Floor <= f.Cap && f.Cap < 1, "floor %v and cap %v: want 0 <= floor <= cap < 1", f.Floor, f.Cap),
		want(f.MinAnomalies >= 1, "min_anomalies is %d, want at least 1", f.MinAnomalies),
		want(within(f.K, 0, 1e6), "k_e is %v, want 0 to 1e6", f.K),
		want(f.Clear >= 1, "clear is %d, want at least 1", f.Clear),
	)
}

// check names everything that is wrong with b.
func (b Baseline) check() error {
	side := b.Direction == "" || b.Direction == Upper || b.Direction == Lower || b.Direction == Both
	return errors.Join(
		want(b.Window >= time.Minute, "baseline window is %v, want at least 1m", span(b.Window)),
		want(within(b.K, 0, 1e6), "k is %v, want 0 to 1e6", b.K),
		want(b.MinSamples >= 2, "min_samples is %d, want at least 2", b.MinSamples),
		want(within(b.Floor, 0, limit), "baseline floor is %v, want a number from 0", b.Floor),
		want(side, "direction is %q, want upper, lower or both", b.Direction),
		want(b.Hold >= 0, "hold is %v, want 0 or more", span(b.Hold)),
		want(b.Hold <= max(b.Window, 0)/2, "hold is %v, want at most %v, half of the window of %v: a fault must not empty what it is judged by", span(b.Hold), span(b.Window/2), span(b.Window)),
		want(b.Season == "" || b.Season == NoSeason || b.Season == Daily, "season is %q, want none or daily", b.Season),
		want(!math.IsNaN(b.Low) && !math.IsNaN(b.High), "the range is %v to %v, want numbers", b.Low, b.High),
	)
}

// within is false for NaN.
func within(v, low, high float64) bool { return v >= low && v <= high }

func want(ok bool, format string, args ...any) error {
	if ok {
		return nil
	}
	return fmt.Errorf(format, args...)
}

// span is a duration that is written as the configuration writes it: 5m, 1d, 1h30m.
type span time.Duration

// String is that of Prometheus, whose weeks and years are whole ones alone, and what
// Go says where whole milliseconds do not tell it.
func (s span) String() string {
	left := time.Duration(s)
	if left <= 0 || left%time.Millisecond != 0 {
		return left.String()
	}
	text := ""
	for _, unit := range []struct {
		length time.Duration
		name   string
		whole  bool
	}{
		{365 * 24 * time.Hour, "y", true},
		{7 * 24 * time.Hour, "w", true},
		{24 * time.Hour, "d", false}, {time.Hour, "h", false}, {time.Minute, "m", false},
		{time.Second, "s", false}, {time.Millisecond, "ms", false},
	} {
		if n := left / unit.length; n > 0 && (!unit.whole || left%unit.length == 0) {
			text += strconv.FormatInt(int64(n), 10) + unit.name
			left %= unit.length
		}
	}
	return text
}
