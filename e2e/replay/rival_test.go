package replay

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// measured feeds what the rule files themselves were run on with promtool: three
// days of 95/100/105/100 every minute, then an hour of one value. It gives for each
// minute of that hour whether the alert fires.
func measured(t *testing.T, a alerting, value float64) (fires [60]bool) {
	t.Helper()
	for i := range 73 * 60 {
		v := []float64{95, 100, 105, 100}[i%4]
		if i >= 72*60 {
			v = value
		}
		switch on := a.alert(Sample{At: begin().Add(time.Duration(i) * time.Minute), V: v}); {
		case i >= 72*60:
			fires[i-72*60] = on
		case on:
			t.Fatalf("fires before the fault, in minute %d", i)
		}
	}
	return fires
}

// The minutes are those of the measurement on the published rule files: without
// them the comparison would be one with our reading of the formulas.
func TestRivals_DoWhatTheirOwnRuleFilesDid(t *testing.T) {
	for _, c := range []struct {
		name       string
		fresh      func() alerting
		value      float64
		on, silent []int // minutes
		never      bool
	}{
		{name: "adaptive, x3", fresh: func() alerting { return newAdaptive() }, value: 300, on: []int{5, 10, 14}, silent: []int{4, 15, 59}},
		{name: "adaptive, +65 %", fresh: func() alerting { return newAdaptive() }, value: 165, on: []int{5, 8}, silent: []int{4, 15, 59}},
		{name: "adaptive, +40 %", fresh: func() alerting { return newAdaptive() }, value: 140, never: true},
		{name: "adaptive, -40 %", fresh: func() alerting { return newAdaptive() }, value: 60, never: true},
		{name: "adaptive, -70 %", fresh: func() alerting { return newAdaptive() }, value: 30, on: []int{5, 20}, silent: []int{4, 30, 59}},
		{name: "adaptive, to 0", fresh: func() alerting { return newAdaptive() }, value: 0, never: true},
		{name: "robust, x3", fresh: func() alerting { return newRobust() }, value: 300, on: []int{34, 59}, silent: []int{5, 33}},
		{name: "robust, +65 %", fresh: func() alerting { return newRobust() }, value: 165, on: []int{45}, silent: []int{30}},
		{name: "robust, +40 %", fresh: func() alerting { return newRobust() }, value: 140, never: true},
		{name: "robust, -40 %", fresh: func() alerting { return newRobust() }, value: 60, never: true},
		{name: "robust, -70 %", fresh: func() alerting { return newRobust() }, value: 30, on: []int{45}, silent: []int{30}},
		{name: "robust, to 0", fresh: func() alerting { return newRobust() }, value: 0, never: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			fires := measured(t, c.fresh(), c.value)
			for i, on := range fires {
				if on && c.never {
					t.Errorf("fires in minute %d, want never", i)
				}
			}
			for _, i := range c.on {
				if !fires[i] {
					t.Errorf("is silent in minute %d, want an alert", i)
				}
			}
			for _, i := range c.silent {
				if fires[i] {
					t.Errorf("fires in minute %d, want none", i)
				}
			}
		})
	}
}

// The long-term band knows yesterday: what happened then at this hour is no
// anomaly today.
func TestRivals_AnHourLikeYesterdaysIsInTheBand(t *testing.T) {
	for name, a := range map[string]alerting{"adaptive": newAdaptive(), "robust": newRobust()} {
		var days [4]int // minutes with an alert
		for i := range 4 * 24 * 60 {
			v := []float64{95, 100, 105, 100}[i%4]
			if i%(24*60) >= 12*60 && i%(24*60) < 14*60 && i >= 24*60 {
				v *= 3
			}
			if a.alert(Sample{At: begin().Add(time.Duration(i) * time.Minute), V: v}) {
				days[i/(24*60)]++
			}
		}
		if days[0] != 0 || days[1] == 0 || days[3] >= days[1] {
			t.Errorf("%s: minutes with an alert on each day: got %v, want none, some, and fewer once the hour is known", name, days)
		}
	}
}

func TestPlain_IsBoundedByItsOwnSample(t *testing.T) {
	p := newPlain()
	for i := range 20 {
		v := 100.
		if i == 9 || i == 19 {
			v = 1e9
		}
		// Of n samples one is at most sqrt(n-1) deviations away: 3 of the tenth, and
		// with another like it in the range never more.
		if p.alert(Sample{At: begin().Add(time.Duration(i) * time.Minute), V: v}) {
			t.Errorf("sample %d alerts, want none", i)
		}
	}
	if at := begin().Add(2 * time.Hour); p.alert(Sample{At: at, V: 1}) || p.alert(Sample{At: at.Add(time.Minute), Gone: true}) {
		t.Error("alerts with nothing to compare, or on nothing")
	}
	for i := range 11 {
		if got := p.alert(Sample{At: begin().Add(4*time.Hour + time.Duration(i)*time.Minute), V: float64(i / 10)}); got != (i == 10) {
			t.Errorf("value %d of 11: alerts %v", i, got)
		}
	}
}

func TestRanked_HasTheMedianOfItsWidth(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 110))
	m, all, at := newRanked(time.Minute), newTrack(time.Hour), int64(0)
	for range 2000 {
		at += 1 + r.Int64N(20)
		if r.IntN(50) == 0 {
			at += 100
		}
		v := math.Floor(10 * r.Float64()) // many are equal
		m.add(at, v)
		all.add(at, v)
		later := at + r.Int64N(50)
		got, ok := m.median(later)
		want := all.over(later, time.Minute)
		if ok != (len(want) > 0) || ok && got != medianOf(want) {
			t.Fatalf("at %d: got %v, %v of %v", later, got, ok, want)
		}
		at = later
	}
}
