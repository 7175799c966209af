package sigma

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
	"time"
)

// many is the length of a stream. The race detector, which finds nothing in pure
// arithmetic, gets a tenth of it, so that it does not take minutes.
func many() int {
	if raced {
		return 1_000_000
	}
	return 10_000_000
}

// A window of an hour at one sample a second against the textbook's two passes in
// twice the precision, over ten million samples. Where all values are the same,
// sigma is 0 and nothing else. Two parts in 10^8 are asked of the first stream, whose
// values have 7 digits below sigma; sums relative to a sample keep one digit more.
func TestNumerics_TenMillionSamples(t *testing.T) {
	for _, c := range []struct {
		name string
		most float64 // relative error of sigma
		next func(i int, r *rand.Rand) float64
	}{
		{"normal, mean 1e9, sigma 1", 4e-9, func(_ int, r *rand.Rand) float64 { return 1e9 + r.NormFloat64() }},
		{"flat after a spike of 1e15", 1e-9, func(i int, _ *rand.Rand) float64 {
			if i%50_000 == 777 {
				return 1e15
			}
			return 7.3
		}},
		{"normal, mean .2, sigma .01, after a spike of 1e15", 1e-9, func(i int, r *rand.Rand) float64 {
			if i%50_000 == 777 {
				return 1e15
			}
			return .2 + .01*r.NormFloat64()
		}},
		{"flat after noise", 1e-9, func(i int, r *rand.Rand) float64 {
			if i%100_000 < 50_000 {
				return 1e6 + 1e5*r.NormFloat64()
			}
			return 7.3
		}},
		{"normal, mean 100, a spike of 1e9 in 5000", 1e-9, func(i int, r *rand.Rand) float64 {
			if i%5000 == 0 {
				return 1e9
			}
			return 100 + r.NormFloat64()
		}},
		{"normal, mean 100, sigma 10", 1e-9, func(_ int, r *rand.Rand) float64 { return 100 + 10*r.NormFloat64() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			worst := streamed(t, c.next)
			t.Logf("largest relative error of sigma: %.2g", worst)
			if !(worst <= c.most) {
				t.Errorf("got a relative error of %v, want at most %v", worst, c.most)
			}
		})
	}
}

// streamed feeds a stream and gives the largest relative error of sigma. Means
// must be right to the last digits.
func streamed(t *testing.T, next func(int, *rand.Rand) float64) (worst float64) {
	s := values(t, time.Second, plainFault(.25), Baseline{Window: time.Hour, K: 1e6, MinSamples: 2})
	r := rand.New(rand.NewPCG(1, 9))
	var past [61 * 60]float64 // what the window can hold, each second in its place
	for i := range many() {
		v := next(i, r)
		j, err := s.Add(start.Add(time.Duration(i)*time.Second), v)
		if err != nil {
			t.Fatal(err)
		}
		if i%9973 == 0 || i%50_000 == 777+3660 {
			held := min(i, 3600+i%60)
			mean, sigma := twoPasses(past[:], i, held)
			if j.Samples != uint64(held) || math.Abs(j.Mean-mean) > 1e-14*(math.Abs(mean)+sigma) {
				t.Fatalf("sample %d: got %d samples of mean %v, want %d of %v", i, j.Samples, j.Mean, held, mean)
			}
			if off := math.Abs(j.StdDev - sigma); off != 0 {
				worst = max(worst, off/sigma) // infinite where it should be 0
			}
		}
		past[i%len(past)] = v
	}
	return worst
}

// twoPasses computes mean and sample sigma of the last n values before place i,
// with compensated sums (Neumaier) and the mean in two parts.
func twoPasses(ring []float64, i, n int) (mean, sigma float64) {
	if n == 0 {
		return 0, 0
	}
	var total, squares compensated
	for k := i - n; k < i; k++ {
		total.add(ring[k%len(ring)])
	}
	mean = total.sum / float64(n)
	rest := (math.FMA(-mean, float64(n), total.sum) + total.lost) / float64(n)
	mean, rest = mean+rest, mean-(mean+rest)+rest
	for k := i - n; k < i; k++ {
		d := ring[k%len(ring)] - mean
		lost := (ring[k%len(ring)] - (d + mean)) // what the difference has lost
		d += lost - rest
		squares.add(d * d)
	}
	if n < 2 {
		return mean, 0
	}
	return mean, math.Sqrt((squares.sum + squares.lost) / float64(n-1))
}

type compensated struct{ sum, lost float64 }

func (c *compensated) add(v float64) {
	s := c.sum + v
	if math.Abs(c.sum) >= math.Abs(v) {
		c.lost += c.sum - s + v
	} else {
		c.lost += v - s + c.sum
	}
	c.sum = s
}

// The oracle is held against one without rounding.
func TestNumerics_TheOracleIsRight(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 2))
	for _, draw := range []func() float64{
		func() float64 { return 1e9 + r.NormFloat64() }, func() float64 { return 1e15 * float64(r.IntN(50)/49) }, r.NormFloat64,
		func() float64 { return math.Exp(20 * r.NormFloat64()) }, func() float64 { return 7.3 },
	} {
		for n := 2; n < 500; n += 7 {
			ring := make([]float64, n)
			for i := range ring {
				ring[i] = draw()
			}
			mean, sigma := twoPasses(ring, n, n)
			wantMean, wantSigma := exactly(ring)
			if math.Abs(mean-wantMean) > 3e-16*math.Abs(wantMean) || math.Abs(sigma-wantSigma) > 1e-14*wantSigma {
				t.Fatalf("%d values: got mean %v, sigma %v, want %v, %v", n, mean, sigma, wantMean, wantSigma)
			}
		}
	}
}

func exactly(list []float64) (mean, sigma float64) {
	num := func(v float64) *big.Float { return new(big.Float).SetPrec(2000).SetFloat64(v) }
	sum, squares := num(0), num(0)
	for _, v := range list {
		sum.Add(sum, num(v))
	}
	m := num(0).Quo(sum, num(float64(len(list))))
	for _, v := range list {
		d := num(v)
		squares.Add(squares, d.Mul(d.Sub(d, m), d))
	}
	mean, _ = m.Float64()
	sigma, _ = num(0).Sqrt(squares.Quo(squares, num(float64(len(list)-1)))).Float64()
	return mean, sigma
}

// FuzzMoments_MergeIsTheSameInAnyGrouping cuts values into parts and merges these
// in any order, as a tree of any shape.
func FuzzMoments_MergeIsTheSameInAnyGrouping(f *testing.F) {
	for seed := range uint64(200) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 8))
		mean := []float64{0, 1, -100, 1000}[r.IntN(4)]
		var want Moments
		parts := make([]Moments, 1+r.IntN(100)) // some stay without a value
		for range 2 + r.IntN(5000) {
			v := mean + 10*r.NormFloat64()
			want.Add(v)
			parts[r.IntN(len(parts))].Add(v)
		}
		for len(parts) > 1 {
			r.Shuffle(len(parts), func(i, k int) { parts[i], parts[k] = parts[k], parts[i] })
			last := len(parts) - 1
			parts[0].Merge(parts[last])
			parts = parts[:last]
		}
		got, slack := parts[0], 1e-12*(math.Abs(mean)+10)
		if got.N != want.N || math.Abs(got.Mean-want.Mean) > slack || math.Abs(got.M2-want.M2) > 1e-12*want.M2 {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})
}
