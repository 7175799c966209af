package sigma

import "math"

// Moments are count, mean and sum of squared deviations of some values. The
// zero value is that of no values.
type Moments struct {
	N    uint64
	Mean float64
	M2   float64
}

// Add takes one value in (Welford 1962).
func (m *Moments) Add(v float64) {
	m.N++
	d := v - m.Mean
	m.Mean += d / float64(m.N)
	m.M2 += d * (v - m.Mean)
}

// Merge takes the values of o in (Chan, Golub and LeVeque 1979).
func (m *Moments) Merge(o Moments) {
	if o.N == 0 {
		return
	}
	if m.N == 0 {
		*m = o
		return
	}
	na, nb := float64(m.N), float64(o.N)
	n := na + nb
	d := o.Mean - m.Mean
	m.N += o.N
	m.Mean += d * nb / n
	m.M2 += o.M2 + d*d*na*nb/n
}

// StdDev is the sample standard deviation, with n-1 as the divisor; 0 for fewer
// than two values.
func (m Moments) StdDev() float64 {
	if m.N < 2 {
		return 0
	}
	return math.Sqrt(max(0, m.M2) / float64(m.N-1))
}
