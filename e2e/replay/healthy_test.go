package replay

import (
	"math"
	"slices"
	"testing"
	"time"
)

func TestHealthy_EqualSeedsGiveEqualSamples(t *testing.T) {
	for _, h := range append(Kinds(), Counted()) {
		a, b := slices.Collect(h.Samples(7, every, time.Hour)), slices.Collect(h.Samples(7, every, time.Hour))
		other := slices.Collect(h.Samples(8, every, time.Hour))
		if len(a) != 240 || !slices.Equal(a, b) || slices.Equal(a, other) {
			t.Errorf("%s: %d samples, equal to those of the same seed: %v, of another: %v", h.Name, len(a), slices.Equal(a, b), slices.Equal(a, other))
		}
		if last := a[239].At.Sub(begin()); last != time.Hour-every {
			t.Errorf("%s: the last of an hour is at %s", h.Name, last)
		}
	}
}

// logarithms are those of a day of a kind, in units of its s.
func logarithms(h Healthy, p time.Duration) (z []float64) {
	for s := range h.Samples(3, p, 8*day) {
		z = append(z, math.Log(s.V/Level)/.5)
	}
	return z
}

func TestLogNormalMemory_IsForgottenInThirtySeconds(t *testing.T) {
	for _, p := range []time.Duration{5 * time.Second, 15 * time.Second} {
		z := logarithms(LogNormalMemory(), p)
		mean, stddev := moments(z)
		var together float64
		lag := int(30 * time.Second / p)
		for i := range len(z) - lag {
			together += z[i] * z[i+lag] / float64(len(z)-lag)
		}
		if math.Abs(mean) > .03 || math.Abs(stddev-1) > .03 || math.Abs(together-math.Exp(-1)) > .03 {
			t.Errorf("every %s: mean %.3f, deviation %.3f, correlation after 30s %.3f, want 0, 1, 0.368", p, mean, stddev, together)
		}
	}
}

func TestLogNormal_IsIndependent(t *testing.T) {
	z := logarithms(LogNormal(), every)
	var next float64
	for i := range len(z) - 1 {
		next += z[i] * z[i+1] / float64(len(z)-1)
	}
	if mean, stddev := moments(z); math.Abs(mean) > .03 || math.Abs(stddev-1) > .03 || math.Abs(next) > .03 {
		t.Errorf("mean %.3f, deviation %.3f, correlation of neighbours %.3f, want 0, 1, 0", mean, stddev, next)
	}
}

func TestBursts_LastTwentySecondsOfTwentyMinutes(t *testing.T) {
	var starts, high int
	was := true
	for s := range Bursts().Samples(5, time.Second, 10*time.Hour) {
		is := s.V > 200
		if is {
			high++
		}
		if is && !was {
			starts++
		}
		was = is
	}
	if starts != 30 || high != 600 {
		t.Errorf("10 hours: %d bursts of %d seconds, want 30 of 600", starts, high)
	}
}

func TestPeaks_AreThoseOfWorkingDays(t *testing.T) {
	for _, c := range []struct {
		kind Healthy
		want map[float64]float64 // hour of the week, Monday first: factor
	}{
		{SmoothPeak(), map[float64]float64{7: 1, 8: 1, 11: 2, 14: 3, 17: 2, 21: 1, 4*24 + 14: 3, 5*24 + 14: 1, 6*24 + 14: 1, 7*24 + 14: 3}},
		{SharpPeak(), map[float64]float64{8.9: 1, 9: 3, 17.4: 3, 17.5: 1, 5*24 + 12: 1}},
	} {
		values := slices.Collect(c.kind.Samples(1, time.Minute, 8*day))
		for hour, want := range c.want {
			var mean float64 // of five minutes
			for i := range 5 {
				mean += values[int(hour*60)+i].V / 5
			}
			if math.Abs(mean/Level-want) > .2 {
				t.Errorf("%s, hour %v: got %.2f times the level, want %v", c.kind.Name, hour, mean/Level, want)
			}
		}
	}
}
