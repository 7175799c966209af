package sigma

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// A series that never moves has no deviation at all, whatever its value is and
// however many samples are in each bucket: with any, the first other value would be
// judged by rounding.
func TestBaseline_AFlatSeriesHasADeviationOfExactlyZero(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 10))
	for range 200 {
		v := math.Exp(20*r.NormFloat64()) * []float64{1, -1}[r.IntN(2)]
		s := values(t, 15*time.Second, plainFault(.25), hour())
		when := at(0)
		for range 500 { // two hours
			when = when.Add(time.Duration(1+r.IntN(30)) * time.Second)
			if j := add(t, s, when, v); j.Samples > 0 && (j.Mean != v || j.StdDev != 0) {
				t.Fatalf("%d samples of %v: got mean %v and sigma %v, want the value and 0", j.Samples, v, j.Mean, j.StdDev)
			}
		}
	}
}
