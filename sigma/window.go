package sigma

import "time"

// clock is what the time in a stamp is counted to before it begins again.
const clock = 1 << 23

// stamp is one sample of the fault window, in three bytes since there are many:
// units of time modulo clock and, in the lowest bit, whether it was an anomaly.
type stamp [3]byte

func newStamp(units int64, bad bool) stamp {
	v := uint64(units) << 1
	if bad {
		v |= 1
	}
	return stamp{byte(v), byte(v >> 8), byte(v >> 16)}
}

// age is in units. It is right below clock.
func (s stamp) age(now stamp) int64 { return (now.units() - s.units()) & (clock - 1) }

func (s stamp) units() int64 { return int64(s[0])>>1 | int64(s[1])<<7 | int64(s[2])<<15 }

func (s stamp) bad() int { return int(s[0] & 1) }

// window holds the samples of the last span, both ends included, and never more
// than its ring is long. A unit is a millisecond in windows of up to 69 minutes;
// in longer ones, of up to a day, it is 21 ms at most, and a sample may stay so
// much longer. No sample is kept for two spans, and two are less than clock: the
// series empties the window on any gap longer than one.
type window struct {
	ring         []stamp
	unit         int64 // ns
	span         int64 // units
	oldest, n, a int   // a: anomalies among the n samples
}

func newWindow(slots int, span time.Duration) window {
	ms := span.Milliseconds()
	unit := 1 + 2*ms/clock
	return window{ring: make([]stamp, slots+1), unit: unit * 1e6, span: (ms + unit - 1) / unit}
}

// add drops what is too old, then takes a sample of the instant t in.
func (w *window) add(t int64, bad bool) {
	s := newStamp(floorDiv(t, w.unit), bad)
	for w.n > 0 && (w.n == len(w.ring) || w.ring[w.oldest].age(s) > w.span) {
		w.a -= w.ring[w.oldest].bad()
		w.oldest = w.place(1)
		w.n--
	}
	w.ring[w.place(w.n)] = s
	w.n++
	w.a += s.bad()
}

// place is that of the i-th oldest sample, 0 <= i < len(ring).
func (w *window) place(i int) int {
	if i += w.oldest; i >= len(w.ring) {
		i -= len(w.ring)
	}
	return i
}

func (w *window) empty() { w.oldest, w.n, w.a = 0, 0, 0 }

// e is the fault probability. Until the window holds as many samples as whole
// intervals fit, that number is the divisor: the first failure after a start is
// not a probability of 1.
func (w *window) e() float64 {
	return float64(w.a) / float64(max(w.n, w.slots()))
}

// slots is the number of whole intervals in the span.
func (w *window) slots() int { return len(w.ring) - 1 }
