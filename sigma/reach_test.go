package sigma

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// The farthest of n values from their mean, in sample standard deviations.
func TestMaxK_IsTheBoundOfGrubbs(t *testing.T) {
	for n, want := range map[int]float64{3: 1.155, 5: 1.789, 6: 2.041, 10: 2.846, 11: 3.015, 18: 4.007, 27: 5.004, 30: 5.295, 38: 6.002, 60: 7.617} {
		if got := MaxK(n); math.Abs(got-want) > 5e-4 {
			t.Errorf("%d values: got %v, want %v", n, got, want)
		}
	}
	for _, n := range []int{-1, 0, 1} {
		if got := MaxK(n); got != 0 {
			t.Errorf("%d values: got %v, want 0", n, got)
		}
	}
	// How many values it takes until one of them can lie beyond k.
	for k, want := range map[float64]int{2: 6, 2.5: 9, 3: 11, 4: 18, 5: 27, 6: 38} {
		n := 2
		for MaxK(n) <= k {
			n++
		}
		if n != want {
			t.Errorf("k %v: can fire from %d values on, want %d", k, n, want)
		}
	}
}

// The bound is attained by one value apart from all others, and by nothing else
// exceeded.
func TestMaxK_IsAttainedAndNeverExceeded(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 5))
	for n := 2; n < 200; n++ {
		var apart, any Moments
		var far float64
		for i := range n {
			v := math.Exp(3 * r.NormFloat64())
			far = max(far, v)
			any.Add(v)
			apart.Add(flagOf(i == 0))
		}
		if got := (1 - apart.Mean) / apart.StdDev(); !alike(got, MaxK(n)) {
			t.Errorf("one of %d apart: lies %v off, want %v", n, got, MaxK(n))
		}
		if got := (far - any.Mean) / any.StdDev(); got > MaxK(n)+1e-12 {
			t.Errorf("the largest of %d lies %v off, want at most %v", n, got, MaxK(n))
		}
	}
}

func TestNew_RefusesAFaultThatCanNeverFire(t *testing.T) {
	for _, c := range []struct {
		interval time.Duration
		f        Fault
		want     string // empty: taken
	}{
		{15 * time.Second, Fault{Window: time.Minute, Cap: .8, MinAnomalies: 1, Clear: 3},
			"no number of bad samples in a row is sure to pass cap 0.8 and min_anomalies 1: fault window 1m holds 4 intervals of 15s; lower them, or lengthen the window"},
		{15 * time.Second, Fault{Window: time.Minute, Cap: .79, MinAnomalies: 1, Clear: 3}, ""},
		{2 * time.Minute, Fault{Window: 3 * time.Minute, Cap: .4, MinAnomalies: 3, Clear: 3},
			"no number of bad samples in a row is sure to pass cap 0.4 and min_anomalies 3: fault window 3m holds 1 intervals of 2m; lower them, or lengthen the window"},
		{2 * time.Minute, Fault{Window: 6 * time.Minute, Cap: .6, MinAnomalies: 3, Clear: 3}, ""},
	} {
		_, errA := NewAvailability(c.interval, c.f)
		_, errV := NewValue(c.interval, c.f, hour())
		for _, err := range []error{errA, errV} {
			switch {
			case c.want == "" && err != nil:
				t.Errorf("every %v, %+v: got %v, want none", c.interval, c.f, err)
			case c.want != "" && (err == nil || !strings.HasSuffix(err.Error(), c.want)):
				t.Errorf("every %v, %+v: got %v, want %s", c.interval, c.f, err, c.want)
			}
		}
	}
}

func TestNew_RefusesAHoldOfMoreThanHalfTheWindow(t *testing.T) {
	for hold, want := range map[time.Duration]string{
		30 * time.Minute: "", 30*time.Minute + 1: "values every 10s: hold is 30m0.000000001s, want at most 30m, half of the window of 1h: a fault must not empty what it is judged by",
	} {
		b := hour()
		b.Hold = hold
		if _, err := NewValue(10*time.Second, plainFault(.25), b); want == "" && err != nil || want != "" && (err == nil || err.Error() != want) {
			t.Errorf("hold %v: got %v, want %q", hold, err, want)
		}
	}
}

// Whatever the history of e was, as many bad samples in a row as Bad says turn
// the fault on: the threshold of e never rises out of reach.
func FuzzBad_TurnsTheFaultOnAfterAnyHistory(f *testing.F) {
	for seed := range uint64(100) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 6))
		o, s := draw(t, r)
		if o.b != nil {
			s = availability(t, o.interval, o.f)
		}
		when, bad := at(0), 0.
		late := func() time.Duration { return o.interval + time.Duration(r.IntN(3))*time.Millisecond }
		var j Judgement
		for i := range 200 + r.IntN(60*(s.window.slots()+1)) {
			if i%(1+s.window.slots()) == 0 {
				bad = r.Float64() * r.Float64() // of each window another share
			}
			when = when.Add(late())
			j = add(t, s, when, flagOf(r.Float64() < bad))
		}
		for i := 0; i < o.f.Clear; i++ {
			when = when.Add(late())
			j = add(t, s, when, 0)
		}
		if j.Fault {
			t.Fatalf("%v %+v: in fault after %d good samples", o.interval, o.f, o.f.Clear)
		}
		for i := 1; i <= o.f.Bad(o.interval) && !j.Fault; i++ {
			when = when.Add(o.interval)
			j = add(t, s, when, 1)
		}
		if !j.Fault {
			t.Errorf("%v %+v: no fault after %d bad samples: %+v", o.interval, o.f, o.f.Bad(o.interval), j)
		}
	})
}

// A fault of the length of the hold never takes so much out of the baseline that
// what the rest of the window holds is not there any more: it does not end before
// it is the new normal.
func TestBaseline_AFaultNeverEmptiesTheWindow(t *testing.T) {
	for _, c := range []struct {
		window, hold, interval time.Duration
		slots                  int     // of the fault window
		grow                   float64 // of one bad sample to the next
	}{
		{time.Hour, 30 * time.Minute, 15 * time.Second, 3, 1}, {time.Hour, 30 * time.Minute, time.Minute, 3, 1},
		{time.Hour, 29*time.Minute + 30*time.Second, 7 * time.Second, 3, 1}, {10 * time.Minute, 5 * time.Minute, 10 * time.Second, 3, 1},
		{24 * time.Hour, 12 * time.Hour, time.Minute, 3, 1}, {24 * time.Hour, time.Hour, 5 * time.Minute, 3, 1},
		// A fault that grows has begun long before its gauge turns: the bad samples until
		// then are kept out, too, and may be more than the hold, or than the window.
		{time.Hour, 30 * time.Minute, 15 * time.Second, 12, 1.2}, {time.Hour, 20 * time.Minute, 15 * time.Second, 160, 1.2},
		{time.Hour, 7 * time.Minute, time.Minute, 59, 1.2}, {10 * time.Minute, 5 * time.Minute, 10 * time.Second, 90, 1.2},
	} {
		f := Fault{Window: time.Duration(c.slots) * c.interval, Floor: .05, Cap: .6, MinAnomalies: max(2, c.slots/2), K: 3, Clear: 3}
		b := Baseline{Window: c.window, K: 3, Floor: .1, Hold: c.hold}
		least := b.Keeps(c.interval)
		b.MinSamples = least
		for phase := range 7 {
			s := values(t, c.interval, f, b)
			when := start.Add(c.window * time.Duration(phase) / 60 / 7)
			for i := range int(c.window/c.interval) + least {
				when = when.Add(c.interval)
				add(t, s, when, steady(i))
			}
			began, v := time.Time{}, 20.
			for {
				when, v = when.Add(c.interval), v*c.grow
				j := add(t, s, when, v)
				if j.Fault && began.IsZero() {
					began = when
				}
				if !began.IsZero() && when.Sub(began) >= c.hold {
					break
				}
				if !j.Ready || !began.IsZero() && !j.Fault {
					t.Fatalf("%+v, phase %d: %v after its begin the fault is over, or cannot be judged: %+v, want %d samples", c, phase, when.Sub(began), j, least)
				}
			}
		}
	}
}
