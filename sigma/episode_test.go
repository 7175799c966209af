package sigma

import (
	"math/rand/v2"
	"testing"
	"time"
)

// shipped is the fault of a value as it is by default, with the cap of the table.
func shipped() Fault {
	return Fault{Window: 3 * time.Minute, Floor: .55, Cap: .6, MinAnomalies: 3, K: 3, Clear: 3}
}

// The proof of a bound says that m bad samples in a row are a fault. A step must
// not stretch the band that judges it, however few samples there were before.
func TestSeries_AStepIsAFaultAfterTheBadSamplesOfTheProof(t *testing.T) {
	for _, interval := range []time.Duration{time.Second, 5 * time.Second, 15 * time.Second, 30 * time.Second} {
		for _, before := range []int{30, 31, 40, 60, 119} {
			for _, step := range []struct{ k, height float64 }{{3, 5}, {3, 50}, {3, 1e6}, {6, 12}, {6, 1e6}} {
				b := hour()
				b.K = step.k
				s := values(t, interval, shipped(), b)
				r := rand.New(rand.NewPCG(1, uint64(before)))
				when := at(0)
				for range before {
					add(t, s, when, 100+r.NormFloat64())
					when = when.Add(interval)
				}
				least, n := shipped().Bad(interval), 0
				for j := (Judgement{}); !j.Fault && n <= least; n++ {
					j = add(t, s, when, 100+step.height)
					when = when.Add(interval)
				}
				if n > least {
					t.Errorf("every %s, %d samples before, k %v, a step of %v: no fault after %d bad samples in a row, want one", interval, before, step.k, step.height, least)
				}
			}
		}
	}
}

// A fault that begins right after the warm-up has few samples before it. It must
// not end for the lack of them.
func TestSeries_AFaultAfterTheWarmUpLastsForTheHold(t *testing.T) {
	for before := 30; before < 70; before++ {
		s := values(t, 15*time.Second, shipped(), hour())
		when := at(0)
		for i := range before {
			add(t, s, when, steady(i))
			when = when.Add(15 * time.Second)
		}
		onset, fault := when, false
		for ; when.Sub(onset) < hour().Hold; when = when.Add(15 * time.Second) {
			j := add(t, s, when, 500)
			if fault && !j.Fault {
				t.Fatalf("%d samples before: the fault ended %s after its first bad sample, want it to last for the hold of %s", before, when.Sub(onset), hour().Hold)
			}
			fault = j.Fault
		}
		if !fault {
			t.Fatalf("%d samples before: there is no fault", before)
		}
	}
}

// What is left out while an episode lasts is learned as soon as it is over: the
// band of a healthy series is no narrower than that of all its samples.
func TestSeries_AnEpisodeThatIsNoFaultIsLearned(t *testing.T) {
	s := values(t, 15*time.Second, shipped(), hour())
	r := rand.New(rand.NewPCG(3, 4))
	var all []float64
	when := at(0)
	var last Judgement
	for i := 0; i < 240 || !last.FirstBad.IsZero(); i++ {
		v := r.NormFloat64()
		if i%40 == 39 {
			v = 20
		}
		all = append(all, v)
		last = add(t, s, when, v)
		when = when.Add(15 * time.Second)
	}
	j := add(t, s, when, 0)
	if mean, stddev := meanAndSigma(all[len(all)-int(j.Samples):]); !alike(j.Mean, mean) || !alike(j.StdDev, stddev) {
		t.Errorf("got mean %v and sigma %v, want those of all samples, %v and %v", j.Mean, j.StdDev, mean, stddev)
	}
}

// The gauges of the sample that turns a fault on say how far off it is of a baseline
// without it, while it was judged by one that holds the bad samples before it.
func TestShown_BandsAreWithoutTheEpisodeFromTheFirstSampleInFaultOn(t *testing.T) {
	s := values(t, 15*time.Second, shipped(), hour())
	var healthy, j Judgement
	when, i := at(0), 0 // 50 minutes: nothing leaves the window
	for ; !j.Fault && i < 300; i++ {
		v := steady(i)
		if i >= 200 {
			v = 30
		}
		j = add(t, s, when, v)
		if shown := s.Shown(j); i <= 200 {
			healthy = j
		} else if !j.Fault && shown != j {
			t.Fatalf("before the fault got %+v shown, want what was said, %+v", shown, j)
		}
		when = when.Add(15 * time.Second)
	}
	shown := s.Shown(j)
	if !j.Turned || j.Upper < healthy.Upper+5 {
		t.Fatalf("got %+v, want a fault that has turned, judged by its own bad samples, too (upper before them %v)", j, healthy.Upper)
	}
	next := add(t, s, when, 30)
	if shown.Samples != next.Samples || !alike(shown.Mean, next.Mean) || !alike(shown.StdDev, next.StdDev) || !alike(shown.Upper, next.Upper) {
		t.Errorf("got n %d, mean %v, sigma %v, upper %v, want what the next sample is judged by, %d, %v, %v, %v",
			shown.Samples, shown.Mean, shown.StdDev, shown.Upper, next.Samples, next.Mean, next.StdDev, next.Upper)
	}
	if got := s.Shown(next); next.Turned || got != next {
		t.Errorf("of the sample after it got %+v shown, want what was said, %+v", got, next)
	}
}

// Thresholds of what is hardly there are none: what was said stays.
func TestShown_StaysWhereTooLittleIsLeft(t *testing.T) {
	b := hour()
	b.MinSamples, b.K = 22, .5 // the last of them lies in the bucket of the first bad sample
	f := Fault{Window: 3 * time.Minute, Floor: .9, Cap: .9, MinAnomalies: 3, K: 3, Clear: 3}
	s := values(t, 15*time.Second, f, b)
	var j Judgement
	for i := 0; !j.Fault && i < 60; i++ {
		v := steady(i)
		if i >= 22 {
			v = 100 * float64(i)
		}
		j = add(t, s, at(float64(15*i)), v)
	}
	if j.Samples <= 22 || !j.Turned {
		t.Fatalf("got %+v, want a fault judged by more than 22 samples, of which fewer are left", j)
	}
	if got := s.Shown(j); got != j {
		t.Errorf("got %+v shown, want what was said, %+v", got, j)
	}
}
