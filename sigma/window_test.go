package sigma

import (
	"math"
	"testing"
	"time"
)

// The clock of a stamp begins again every 2.3 hours in short windows and every
// two days in the longest: a window holds what belongs to it at any instant.
func TestWindow_HoldsItsSpanWhereverTheClockBegins(t *testing.T) {
	for _, c := range []struct{ span, interval time.Duration }{
		{time.Second, time.Second},
		{time.Minute, time.Second},
		{3 * time.Minute, 7 * time.Second},
		{time.Hour, 13 * time.Second},
		{69 * time.Minute, time.Minute},
		{70 * time.Minute, time.Minute},
		{6 * time.Hour, 11 * time.Second},
		{24 * time.Hour, 24 * time.Second},
		{24 * time.Hour, time.Hour},
	} {
		slots := int(c.span / c.interval)
		w := newWindow(slots, c.span)
		if age := 2 * c.span / time.Duration(w.unit); age >= clock {
			t.Fatalf("a window of %v: two spans are %d units of %d ns, want fewer than %d", c.span, age, w.unit, clock)
		}
		// Begin a little before 1970, and go on over several turns of the clock.
		at := -3 * int64(c.interval)
		for i := range 5*slots + int(6*time.Hour/c.interval) {
			w.add(at, i%3 == 0)
			if want := min(i, slots) + 1; w.n != want {
				t.Fatalf("span %v, every %v: sample %d: got %d in the window, want %d", c.span, c.interval, i, w.n, want)
			}
			bad := 0
			for k := i; k > i-w.n; k-- {
				if k%3 == 0 {
					bad++
				}
			}
			if i%97 == 0 && w.a != bad {
				t.Fatalf("span %v, every %v: sample %d: got %d anomalies, want %d", c.span, c.interval, i, w.a, bad)
			}
			at += int64(c.interval)
		}
	}
}

// What is older than the span is gone, and in a long window not much later.
func TestWindow_ForgetsWhatIsOlderThanItsSpan(t *testing.T) {
	for _, c := range []struct{ span, late time.Duration }{
		{time.Minute, time.Millisecond}, {time.Hour, time.Millisecond}, {24 * time.Hour, 43 * time.Millisecond},
	} {
		for at := int64(0); at < int64(time.Minute); at += int64(time.Second) + 1234567 {
			w := newWindow(10, c.span)
			w.add(at, true)
			if w.add(at+int64(c.span), false); w.n != 2 {
				t.Errorf("span %v from %d: a sample of the age of the span is gone", c.span, at)
			}
			w = newWindow(10, c.span)
			w.add(at, true)
			if w.add(at+int64(c.span+c.late), false); w.n != 1 || w.a != 0 {
				t.Errorf("span %v from %d: a sample is there %v after it", c.span, at, c.late)
			}
		}
	}
}

// A bucket is kept out for the hold from its first sample in fault on, to a part
// of a bucket, whatever the window.
func TestBaseline_HoldIsExactToAPartOfABucket(t *testing.T) {
	for _, window := range []time.Duration{time.Minute, time.Hour, 24 * time.Hour, 365 * 24 * time.Hour, math.MaxInt64} {
		for _, hold := range []time.Duration{time.Second, window / 3, window / 2} {
			b := newBaseline(Baseline{Window: window, K: 3, MinSamples: 2, Hold: hold})
			for _, offset := range []int64{0, b.size / 3, b.size - 1} {
				at := 1_700_000_000e9/b.size*b.size + offset
				b.at(at)
				b.held[slot(b.open)] = 0
				b.learn(at, 1, true)
				late := at + int64(b.Hold) - b.counts(slot(b.open))
				if late < 0 || late > b.part() {
					t.Errorf("window %v, hold %v, offset %d: counts %v too soon, want %v at most", window, hold, offset, time.Duration(late), time.Duration(b.part()))
				}
			}
		}
	}
}
