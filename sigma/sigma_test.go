package sigma

import (
	"errors"
	"math"
	"testing"
	"time"
)

// start is an instant that lies on a boundary of every bucket used here.
var start = time.Unix(1_700_042_400, 0).UTC()

func at(seconds float64) time.Time {
	return start.Add(time.Duration(seconds * float64(time.Second)))
}

// plainFault is the availability row of DETECTION 2 with a cap.
func plainFault(most float64) Fault {
	return Fault{Window: time.Minute, Floor: .05, Cap: most, MinAnomalies: 2, K: 3, Clear: 3}
}

func availability(t testing.TB, interval time.Duration, f Fault) *Series {
	t.Helper()
	s, err := NewAvailability(interval, f)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func values(t testing.TB, interval time.Duration, f Fault, b Baseline) *Series {
	t.Helper()
	s, err := NewValue(interval, f, b)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func add(t testing.TB, s *Series, when time.Time, v float64) Judgement {
	t.Helper()
	j, err := s.Add(when, v)
	if err != nil {
		t.Fatalf("Add(%v, %v): %v", when, v, err)
	}
	return j
}

func hour() Baseline {
	return Baseline{Window: time.Hour, K: 3, MinSamples: 30, Hold: 30 * time.Minute}
}

// The worked example of the SRE practice article is wrong: for 50, 60, 70, 80,
// 90 it prints sigma 10 and threshold 90, for e of .1 to .5 it prints .1 and .5.
// These are the values of its own formulas.
func TestMoments_WorkedExampleCorrected(t *testing.T) {
	for _, c := range []struct {
		values                  []float64
		mean, stddev, threshold float64
	}{
		{[]float64{50, 60, 70, 80, 90}, 70, 15.811388300841896, 101.6227766016838},
		{[]float64{.1, .2, .3, .4, .5}, .3, .15811388300841897, .6162277660168379},
	} {
		var m Moments
		for _, v := range c.values {
			m.Add(v)
		}
		if got := m.Mean; !near(got, c.mean) {
			t.Errorf("mean of %v: got %v, want %v", c.values, got, c.mean)
		}
		if got := m.StdDev(); !near(got, c.stddev) {
			t.Errorf("sigma of %v: got %v, want %v (10 and .1 are the article's error)", c.values, got, c.stddev)
		}
		if got := m.Mean + 2*m.StdDev(); !near(got, c.threshold) {
			t.Errorf("threshold of %v: got %v, want %v (90 and .5 are the article's error)", c.values, got, c.threshold)
		}
	}
}

// near allows the last digit to differ.
func near(a, b float64) bool { return math.Abs(a-b) <= 4e-16*math.Abs(b) }

func TestSeries_WorkedExampleThroughAdd(t *testing.T) {
	b := Baseline{Window: time.Hour, K: 2, MinSamples: 4, Low: 0, High: 1000}
	s := values(t, 5*time.Second, plainFault(.25), b)
	var j Judgement
	for i, v := range []float64{50, 60, 70, 80, 90, 101.6, 102} {
		j = add(t, s, at(float64(5*i)), v)
		if i == 4 && (!near(j.Mean, 65) || !near(j.StdDev, 12.909944487358056) || !near(j.Upper, 90.81988897471611) || j.Anomaly) {
			// Against the four samples before it the newest value is no anomaly.
			t.Errorf("the fifth sample: got %+v, want mean 65, sigma 12.90994, threshold 90.81988 and no anomaly", j)
		}
		if i == 5 && (!near(j.Upper, 101.6227766016838) || j.Anomaly) {
			t.Errorf("a sample of 101.6: got threshold %v, anomaly %v, want 101.6227766016838 and none", j.Upper, j.Anomaly)
		}
	}
}

func TestSeries_ThresholdLiesInsideTheRange(t *testing.T) {
	b := Baseline{Window: time.Hour, K: 2, MinSamples: 5, Direction: Both, Low: 0, High: 100}
	s := values(t, 5*time.Second, plainFault(.25), b)
	var j Judgement
	for i, v := range []float64{50, 60, 70, 80, 90, 100} {
		j = add(t, s, at(float64(5*i)), v)
	}
	// Without the range the threshold would be 101.6, which no CPU reaches.
	if want := math.Nextafter(100, 0); j.Upper != want || !j.Anomaly {
		t.Errorf("100 %% of a CPU: got threshold %v, anomaly %v, want %v and one", j.Upper, j.Anomaly, want)
	}
	if j.Lower <= 0 || j.Lower >= 100 {
		t.Errorf("lower threshold %v, want inside of 0 to 100", j.Lower)
	}
}

func TestSeries_DirectionAndFloor(t *testing.T) {
	for _, c := range []struct {
		direction Direction
		value     float64
		want      bool
	}{
		{Upper, 11, false},
		{Upper, 11.1, true},
		{Upper, 8, false},
		{Lower, 9, false},
		{Lower, 8.9, true},
		{Lower, 12, false},
		{Both, 11.1, true},
		{Both, 8.9, true},
		{Both, 9, false},
		{Both, 11, false},
		{"", 11.1, true},
	} {
		b := Baseline{Window: time.Hour, K: 2, MinSamples: 3, Floor: .5, Direction: c.direction}
		s := values(t, time.Second, plainFault(.25), b)
		for i := range 5 {
			add(t, s, at(float64(i)), 10) // sigma 0: the floor holds, thresholds are 9 and 11
		}
		if j := add(t, s, at(5), c.value); j.Anomaly != c.want {
			t.Errorf("direction %q, value %v: got anomaly %v, want %v", c.direction, c.value, j.Anomaly, c.want)
		}
	}
}

func TestSeries_NothingIsJudgedBeforeMinSamples(t *testing.T) {
	s := values(t, time.Second, plainFault(.25), Baseline{Window: time.Hour, K: 1, MinSamples: 30})
	for i := range 30 {
		if j := add(t, s, at(float64(i)), float64(i%2)*1000); j.Ready || j.Anomaly || j.HasUpper || j.Fault || !j.LastGood.IsZero() {
			t.Fatalf("sample %d: got %+v, want no judgement", i, j)
		}
	}
	if j := add(t, s, at(30), 1e6); !j.Ready || !j.Anomaly || j.Samples != 30 {
		t.Errorf("sample 30: got %+v, want an anomaly after 30 samples", j)
	}
}

func TestSeries_RefusesWhatItCannotOrder(t *testing.T) {
	s := values(t, time.Second, plainFault(.25), hour())
	add(t, s, at(10), 1)
	for _, c := range []struct {
		when time.Time
		v    float64
		want error
	}{
		{at(11), math.NaN(), ErrNotFinite},
		{at(11), math.Inf(1), ErrNotFinite},
		{at(11), math.Inf(-1), ErrNotFinite},
		{at(11), 1e101, ErrNotFinite},
		{at(10), 2, ErrDuplicate},
		{at(9.999), 2, ErrOutOfOrder},
		{time.Time{}, 2, ErrTime},
		{time.Date(3000, 1, 1, 0, 0, 0, 0, time.UTC), 2, ErrTime},
	} {
		if j, err := s.Add(c.when, c.v); !errors.Is(err, c.want) || j != (Judgement{}) {
			t.Errorf("Add(%v, %v): got %+v, %v, want nothing and %v", c.when, c.v, j, err, c.want)
		}
	}
	if want := (Refused{NotFinite: 4, OutOfOrder: 1, Duplicate: 1, Time: 2}); s.Refused() != want {
		t.Errorf("refused: got %+v, want %+v", s.Refused(), want)
	}
	if j := add(t, s, at(11), 1); j.Samples != 1 {
		t.Errorf("after the refusals the baseline holds %d samples, want 1", j.Samples)
	}
}

func TestNew_NamesEveryMistake(t *testing.T) {
	_, err := NewValue(time.Minute, Fault{Window: time.Second, Floor: .5, Cap: .1, K: -1}, Baseline{K: math.NaN(), Direction: "sideways", Hold: -1, Season: "weekly"})
	want := `values every 1m: fault window 1s is shorter than the interval 1m
floor 0.5 and cap 0.1: want 0 <= floor <= cap < 1
min_anomalies is 0, want at least 1
k_e is -1, want 0 to 1e6
clear is 0, want at least 1
baseline window is 0s, want at least 1m
k is NaN, want 0 to 1e6
min_samples is 0, want at least 2
direction is "sideways", want upper, lower or both
hold is -1ns, want 0 or more
season is "weekly", want none or daily`
	if err == nil || err.Error() != want {
		t.Errorf("got:\n%v\nwant:\n%v", err, want)
	}
	if _, err := NewAvailability(time.Second, Fault{Window: 2 * time.Hour, Cap: .5, MinAnomalies: 1, Clear: 1}); err == nil {
		t.Error("7200 intervals in a window: got no error")
	}
	if _, err := NewAvailability(0, plainFault(.25)); err == nil {
		t.Error("interval 0: got no error")
	}
}

func TestSpan_IsWrittenAsTheConfigurationWritesIt(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 10 * time.Millisecond: "10ms", 15 * time.Second: "15s", 5 * time.Minute: "5m", 90 * time.Minute: "1h30m",
		24 * time.Hour: "1d", 7 * 24 * time.Hour: "1w", 10 * 24 * time.Hour: "10d", 730 * 24 * time.Hour: "2y", 25*time.Hour + 1500*time.Millisecond: "1d1h1s500ms",
		-1: "-1ns", time.Minute + 1: "1m0.000000001s",
	} {
		if got := span(d).String(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
