package sigma

import (
	"fmt"
	"testing"
	"time"
)

var intervals = []int{1, 2, 5, 10, 15, 20, 30}

// The table of DETECTION 6.1: (m-1)*P in seconds, -1 = can never fire.
func TestBad_TableOfTheSpecification(t *testing.T) {
	caps := []float64{.05, .1, .2, .25, .5, .8}
	want := map[int][]int{
		1:  {3, 6, 12, 15, 30, 48},
		2:  {2, 6, 12, 14, 30, 48},
		5:  {0, 5, 10, 15, 30, 50},
		10: {0, 0, 10, 10, 30, 50},
		15: {0, 0, 15, 15, 30, -1},
		20: {0, 0, 0, 20, 40, -1},
		30: {0, 0, 0, 0, 30, -1},
	}
	for _, p := range intervals {
		for i, most := range caps {
			f := Fault{Window: time.Minute, Floor: .01, Cap: most, MinAnomalies: 1, Clear: 3}
			m := f.Bad(time.Duration(p) * time.Second)
			got := (m - 1) * p
			if m == 0 {
				got = -1
			}
			if got != want[p][i] {
				t.Errorf("P %ds, cap %v: got (m-1)P = %d, want %d", p, most, got, want[p][i])
			}
			f.MinAnomalies = 2
			if m2 := f.Bad(time.Duration(p) * time.Second); m > 0 && m2 != max(m, 2) {
				t.Errorf("P %ds, cap %v, min_anomalies 2: got m = %d, want %d", p, most, m2, max(m, 2))
			}
		}
	}
}

// What the floor of values costs where nothing happens: m at a floor of .5 and of
// .55, and at the cap of .6, for a fault window of 3m.
func TestBad_OfValuesByTheirFloorAndCap(t *testing.T) {
	for p, want := range map[int][3]int{1: {91, 100, 109}, 2: {46, 51, 55}, 5: {19, 21, 23}, 10: {10, 11, 12}, 15: {7, 8, 8}, 30: {4, 4, 5}, 60: {3, 3, 3}} {
		var got [3]int
		for i, limit := range []float64{.5, .55, .6} {
			got[i] = Fault{Window: 3 * time.Minute, Floor: limit, Cap: limit, MinAnomalies: 3, K: 3, Clear: 3}.Bad(time.Duration(p) * time.Second)
		}
		if got != want {
			t.Errorf("P %ds: got m = %v, want %v", p, got, want)
		}
	}
}

// outage feeds good samples, then bad ones until the fault is on, and gives how
// many bad ones that took. lead is how many good samples came before.
func outage(t *testing.T, p time.Duration, f Fault, lead int, jitter func(i int) time.Duration) (bad int, j Judgement) {
	t.Helper()
	s := availability(t, p, f)
	for i := range lead + 2*f.Slots(p) + 2 {
		when := start.Add(time.Duration(i)*p + jitter(i))
		v := 0.
		if i >= lead {
			v, bad = 1, bad+1
		}
		if j = add(t, s, when, v); j.Fault {
			return bad, j
		}
	}
	return 0, j
}

// noHistory makes theta stay at the cap, as the bound assumes.
func noHistory(f Fault) Fault { f.Floor = f.Cap; return f }

func TestSeries_FaultAfterTheMthBadResultAtEveryPhase(t *testing.T) {
	steady := func(int) time.Duration { return 0 }
	late := func(i int) time.Duration { return time.Duration(i%7) * 3 * time.Millisecond }
	for _, seconds := range intervals {
		p := time.Duration(seconds) * time.Second
		for _, most := range []float64{.05, .07, .1, .2, .25, .29, .5, .58, .8} {
			for _, least := range []int{1, 2} {
				f := noHistory(Fault{Window: time.Minute, Cap: most, MinAnomalies: least, K: 3, Clear: 3})
				m := f.Bad(p)
				if m == 0 {
					continue // only with luck about the phase, so it is not promised
				}
				for lead := range 3*f.Slots(p) + 3 {
					for name, jitter := range map[string]func(int) time.Duration{"steady": steady, "late": late} {
						got, j := outage(t, p, f, lead, jitter)
						full := lead >= f.Slots(p)+1
						if got > m || got == 0 || full && name == "steady" && got != m {
							t.Fatalf("P %v, cap %v, %d good before, %s: fault after %d bad results, want %d (%+v)", p, most, lead, name, got, m, j)
						}
					}
				}
			}
		}
	}
}

// e after m bad results of a fresh outage, at every phase of the window.
func TestSeries_ProbabilityAfterBadResults(t *testing.T) {
	p := 5 * time.Second
	for lead := range 40 {
		s := availability(t, p, plainFault(.9))
		for i := range lead {
			add(t, s, start.Add(time.Duration(i)*p), 0)
		}
		for m := 1; m <= 12; m++ {
			j := add(t, s, start.Add(time.Duration(lead+m-1)*p), 1)
			// Until the window is full the divisor is 12; then it holds 13.
			want := float64(m) / float64(min(13, max(12, lead+m)))
			if j.E != want {
				t.Fatalf("%d good, then %d bad: got e = %v, want %v", lead, m, j.E, want)
			}
		}
	}
}

func TestSeries_FirstFailureAfterAStartIsNoFault(t *testing.T) {
	s := availability(t, 5*time.Second, Fault{Window: time.Minute, Floor: .05, Cap: .5, MinAnomalies: 1, Clear: 3})
	if j := add(t, s, at(0), 1); j.E != 1./12 || !j.Fault {
		t.Errorf("got e = %v, fault %v, want 1/12 and, with a floor of .05, a fault", j.E, j.Fault)
	}
	s = availability(t, 5*time.Second, Fault{Window: time.Minute, Floor: .1, Cap: .5, MinAnomalies: 1, Clear: 3})
	if j := add(t, s, at(0), 1); j.Fault {
		t.Errorf("floor .1: got a fault at e = %v", j.E)
	}
}

// The table of DETECTION 13: how long e alone would outlive a 20 s outage.
func TestSeries_WindowAloneOutlivesAnOutage(t *testing.T) {
	for most, want := range map[float64]int{.05: 56, .1: 53, .2: 47, .25: 44} {
		f := noHistory(Fault{Window: time.Minute, Cap: most, MinAnomalies: 1, Clear: 1000})
		s := availability(t, time.Second, f)
		last := 0
		for i := range 300 {
			v := 0.
			if i >= 100 && i < 120 {
				v = 1
			}
			if j := add(t, s, at(float64(i)), v); j.E > j.ThetaE {
				last = i
			}
		}
		// The outage ends with the first good sample, at 120.
		if got := last - 120; got != want {
			t.Errorf("theta_e %v: e stays above it until %d s after the outage, want %d", most, got, want)
		}
	}
}

func TestSeries_ClearEndsAFaultAndEmptiesTheWindow(t *testing.T) {
	s := availability(t, time.Second, plainFault(.1))
	for i := range 100 {
		add(t, s, at(float64(i)), 0)
	}
	for i := 100; i < 120; i++ {
		add(t, s, at(float64(i)), 1)
	}
	var got string
	for i, v := range []float64{0, 0, 1, 0, 0, 0, 0} {
		j := add(t, s, at(float64(120+i)), v)
		got += fmt.Sprintf("%v: fault %v, %d of %d bad, e %.4f, first bad %v, last good %v\n",
			v, j.Fault, j.Anomalies, j.InWindow, j.E, unix(j.FirstBad), unix(j.LastGood))
	}
	want := `0: fault true, 20 of 61 bad, e 0.3279, first bad 100, last good 120
0: fault true, 20 of 61 bad, e 0.3279, first bad 100, last good 121
1: fault true, 21 of 61 bad, e 0.3443, first bad 100, last good 121
0: fault true, 21 of 61 bad, e 0.3443, first bad 100, last good 123
0: fault true, 21 of 61 bad, e 0.3443, first bad 100, last good 124
0: fault false, 0 of 0 bad, e 0.0000, first bad -, last good 125
0: fault false, 0 of 1 bad, e 0.0000, first bad -, last good 126
`
	if got != want {
		t.Errorf("got:\n%swant:\n%s", got, want)
	}
}

// unix gives seconds since start, and "-" for no time.
func unix(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return fmt.Sprint(t.Sub(start).Seconds())
}

func TestSeries_EpisodeBeginsAtTheFirstBadSample(t *testing.T) {
	s := availability(t, 5*time.Second, plainFault(.5))
	var j Judgement
	for i, v := range []float64{0, 0, 0, 1, 0, 1, 0, 0, 0, 1, 1} {
		j = add(t, s, at(float64(5*i)), v)
		if i == 7 && unix(j.FirstBad) != "15" {
			t.Errorf("single successes: got first bad %v, want 15", unix(j.FirstBad))
		}
		if i == 8 && !j.FirstBad.IsZero() {
			t.Errorf("after 3 good ones: got first bad %v, want none", unix(j.FirstBad))
		}
	}
	if unix(j.FirstBad) != "45" || unix(j.LastGood) != "40" {
		t.Errorf("got first bad %v, last good %v, want 45 and 40", unix(j.FirstBad), unix(j.LastGood))
	}
}

// Loss of 30 % is no outage: single good samples between must not empty the
// window, or it would never be found.
func TestSeries_PartialLossIsFoundThoughGoodSamplesComeInRows(t *testing.T) {
	s := availability(t, 5*time.Second, noHistory(Fault{Window: time.Minute, Cap: .2, MinAnomalies: 2, Clear: 3}))
	found := false
	for i := range 26 {
		j := add(t, s, at(float64(5*i)), map[bool]float64{true: 1}[i >= 13 && i%4 == 0])
		found = found || j.Fault
	}
	if !found {
		t.Error("a failure in every fourth probe is never a fault at theta_e .2")
	}
}

func TestSeries_NoFaultBelowMinAnomalies(t *testing.T) {
	f := Fault{Window: time.Minute, Floor: .05, Cap: .05, MinAnomalies: 3, Clear: 3}
	s := availability(t, 10*time.Second, f)
	for i, want := range []bool{false, false, true} {
		if j := add(t, s, at(float64(10*i)), 1); j.Fault != want {
			t.Errorf("bad result %d: got fault %v at e = %v, want %v", i+1, j.Fault, j.E, want)
		}
	}
}

// windowsOf feeds whole windows of ten samples of which some are bad.
func windowsOf(t *testing.T, s *Series, from int, bad ...int) (j Judgement) {
	t.Helper()
	for w, n := range bad {
		for i := range 10 {
			j = add(t, s, at(float64(from+60*w+6*i)), map[bool]float64{true: 1}[i < n])
		}
	}
	return j
}

func TestSeries_ThresholdOfEFollowsTenWindowsOfHistory(t *testing.T) {
	// A cap of .9 and 10 anomalies in a minute keep the series out of a fault.
	f := Fault{Window: time.Minute, Floor: .05, Cap: .9, MinAnomalies: 10, K: 2, Clear: 99}
	s := availability(t, 6*time.Second, f)
	windowsOf(t, s, 0, 1, 2, 3, 4, 5, 1, 2, 3, 4, 5)
	if j := add(t, s, at(599), 0); j.ThetaE != .05 {
		t.Errorf("before the tenth window has ended: got theta_e %v, want the floor", j.ThetaE)
	}
	s = availability(t, 6*time.Second, f)
	windowsOf(t, s, 0, 1, 2, 3, 4, 5, 1, 2, 3, 4, 5)
	// e of .1 to .5 twice: mean .3, sigma sqrt(.2/9) = .149071, not .158114 as for
	// five windows.
	if j := add(t, s, at(600), 0); !alike(j.ThetaE, .3+2*.14907119849998599) {
		t.Errorf("after ten windows: got theta_e %v, want %v", j.ThetaE, .3+2*.14907119849998599)
	}
}

func alike(a, b float64) bool { return a-b < 1e-12 && b-a < 1e-12 }

func TestSeries_ThresholdOfEStaysBetweenFloorAndCap(t *testing.T) {
	for _, c := range []struct {
		bad  []int
		want float64
	}{
		{[]int{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, .05},
		{[]int{9, 0, 9, 0, 9, 0, 9, 0, 9, 0, 9}, .6},
	} {
		f := Fault{Window: time.Minute, Floor: .05, Cap: .6, MinAnomalies: 10, K: 3, Clear: 99}
		s := availability(t, 6*time.Second, f)
		if j := windowsOf(t, s, 0, c.bad...); j.ThetaE != c.want {
			t.Errorf("windows %v: got theta_e %v, want %v", c.bad, j.ThetaE, c.want)
		}
	}
}

func TestSeries_WindowsOfAFaultAreNoHistory(t *testing.T) {
	f := Fault{Window: time.Minute, Floor: .05, Cap: .6, MinAnomalies: 2, K: 3, Clear: 3}
	s := availability(t, 6*time.Second, f)
	for i := range 10 * 60 {
		// Two bad in a row every other minute: a fault each time, and cleared.
		v := map[bool]float64{true: 1}[i%20 == 3 || i%20 == 4]
		if j := add(t, s, at(float64(6*i)), v); i > 320 && j.ThetaE != .05 {
			t.Fatalf("sample %d: got theta_e %v, want the floor: the bad minutes were faults", i, j.ThetaE)
		}
	}
}

func TestSeries_GapLeavesNoWindow(t *testing.T) {
	s := availability(t, 5*time.Second, plainFault(.25))
	for i := range 20 {
		add(t, s, at(float64(5*i)), 1)
	}
	// 25 days later: more than the stamps of the window can tell apart.
	if j := add(t, s, at(25*24*3600), 1); j.InWindow != 1 || j.E != 1./12 {
		t.Errorf("after a gap: got %d samples, e %v, want 1 and 1/12", j.InWindow, j.E)
	}
}
