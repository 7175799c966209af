package replay

import (
	"iter"
	"math"
	"math/rand/v2"
	"time"

	"github.com/onefiveten/onefiveten/sigma"
)

// Level is the mean of what every simulated service shows outside of its peaks.
const Level = 100

// Sample is one value of a series. Gone: at that instant there was none.
type Sample struct {
	At   time.Time
	V    float64
	Gone bool
}

// Healthy is a service without a fault: whatever alerts on it is false.
type Healthy struct {
	Name   string
	Daily  bool // it has a peak each working day: a season is what it needs
	values func(r *rand.Rand, every time.Duration) func(at time.Time) float64
}

// season is what ours is told of it: a daily one where there is a peak each day.
func (h Healthy) season() sigma.Season {
	if h.Daily {
		return sigma.Daily
	}
	return sigma.NoSeason
}

// begin is the first instant of every simulation, a Monday at midnight.
func begin() time.Time { return time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC) }

// Samples gives one sample every interval, for the length. Equal seeds give
// equal samples.
func (h Healthy) Samples(seed uint64, every, length time.Duration) iter.Seq[Sample] {
	return func(yield func(Sample) bool) {
		value := h.values(rand.New(rand.NewPCG(seed, 110)), every)
		for at := time.Duration(0); at < length; at += every {
			if t := begin().Add(at); !yield(Sample{At: t, V: value(t)}) {
				return
			}
		}
	}
}

// Kinds are the healthy services that the promise about false faults is made for.
func Kinds() []Healthy {
	return []Healthy{Normal(), LogNormal(), LogNormalMemory(), Bursts(), SmoothPeak(), SharpPeak()}
}

// Normal is Level + 5·N: independent, with a standard deviation of 5 %.
func Normal() Healthy {
	return Healthy{Name: "normal", values: func(r *rand.Rand, _ time.Duration) func(time.Time) float64 {
		return func(time.Time) float64 { return noise(r) }
	}}
}

// noise is one value of Normal.
func noise(r *rand.Rand) float64 { return Level + 5*r.NormFloat64() }

// LogNormal is Level·exp(s·N) with s = .5: independent, skewed as latencies are.
func LogNormal() Healthy {
	return Healthy{Name: "log-normal, independent", values: func(r *rand.Rand, _ time.Duration) func(time.Time) float64 {
		return func(time.Time) float64 { return Level * math.Exp(.5*r.NormFloat64()) }
	}}
}

// LogNormalMemory is Level·exp(s·z) with s = .5, where z is autoregressive of
// order 1 with variance 1: z' = φ·z + sqrt(1-φ²)·N and φ = exp(-interval/30s), so
// that the correlation of two logarithms falls to 1/e in 30 seconds whatever the
// interval. The first z is N.
func LogNormalMemory() Healthy {
	return Healthy{Name: "log-normal, 30 s memory", values: func(r *rand.Rand, every time.Duration) func(time.Time) float64 {
		phi := math.Exp(-every.Seconds() / 30)
		z := r.NormFloat64()
		return func(time.Time) float64 {
			v := Level * math.Exp(.5*z)
			z = phi*z + math.Sqrt(1-phi*phi)*r.NormFloat64()
			return v
		}
	}}
}

// Bursts is Normal, and three times its value for 20 s of every 20 min; the seed
// gives the phase.
func Bursts() Healthy {
	return Healthy{Name: "bursts: 20 s × 3 every 20 min", values: func(r *rand.Rand, _ time.Duration) func(time.Time) float64 {
		phase := time.Duration(r.Int64N(int64(20 * time.Minute)))
		return func(at time.Time) float64 {
			if (at.Sub(begin())+phase)%(20*time.Minute) < 20*time.Second {
				return 3 * noise(r)
			}
			return noise(r)
		}
	}}
}

// SmoothPeak is Normal times 1 + 2·sin²(π·(h-8)/12) from 8 to 20 h UTC of
// working days, h in hours: three times as much at 14 h.
func SmoothPeak() Healthy {
	return daily("daily peak, smooth", func(hour float64) float64 {
		if hour < 8 || hour > 20 {
			return 1
		}
		s := math.Sin(math.Pi * (hour - 8) / 12)
		return 1 + 2*s*s
	})
}

// SharpPeak is Normal, and three times its value from 9:00 to 17:30 UTC of
// working days: one edge on a full hour, one inside of it.
func SharpPeak() Healthy {
	return daily("daily peak, sharp edges", func(hour float64) float64 {
		if hour < 9 || hour >= 17.5 {
			return 1
		}
		return 3
	})
}

// daily is Normal times a factor of the hour, on working days.
func daily(name string, factor func(hour float64) float64) Healthy {
	return Healthy{Name: name, Daily: true, values: func(r *rand.Rand, _ time.Duration) func(time.Time) float64 {
		return func(at time.Time) float64 {
			if day := at.Weekday(); day == time.Saturday || day == time.Sunday {
				return noise(r)
			}
			return factor(float64(at.Hour())+float64(at.Minute())/60+float64(at.Second())/3600) * noise(r)
		}
	}}
}

// Counted is the rate over one minute of a counter whose growth per interval is
// Normal's, as rate(c[1m]) shows it: the mean of the last four values at 15 s.
func Counted() Healthy {
	return Healthy{Name: "rate of a counter", values: func(r *rand.Rand, every time.Duration) func(time.Time) float64 {
		last := make([]float64, max(1, time.Minute/every))
		for i := range last {
			last[i] = noise(r)
		}
		n := 0
		return func(time.Time) float64 {
			last[n%len(last)] = noise(r)
			n++
			var sum float64
			for _, v := range last {
				sum += v
			}
			return sum / float64(len(last))
		}
	}}
}
