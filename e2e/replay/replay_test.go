package replay

import (
	"math"
	"testing"
	"time"
)

// both gives a replay of Normal with a fault, and without.
func both(t *testing.T, name string) (f Fault, with, without []Sample) {
	t.Helper()
	for _, f := range Faults(Normal()) {
		if f.Name == name {
			healthy := f
			healthy.change = same
			return f, f.samples(2), healthy.samples(2)
		}
	}
	t.Fatalf("there is no fault %q", name)
	return
}

func TestFaults_AreWhatTheirDocumentationSays(t *testing.T) {
	for name, want := range map[string]func(healthy, last float64, since time.Duration) (v float64, gone bool){
		"drop to zero": func(float64, float64, time.Duration) (float64, bool) { return 0, false },
		"flatline":     func(_, last float64, _ time.Duration) (float64, bool) { return last, false },
		"step −40 %":   func(v, _ float64, _ time.Duration) (float64, bool) { return .6 * v, false },
		"step +70 %":   func(v, _ float64, _ time.Duration) (float64, bool) { return 1.7 * v, false },
		"slow leak, +100 % over 2 h": func(v, _ float64, since time.Duration) (float64, bool) {
			return v + Level*since.Seconds()/7200, false
		},
		"single spike × 10": func(v, _ float64, since time.Duration) (float64, bool) {
			if since == 0 {
				return 10 * v, false
			}
			return v, false
		},
		"missing data, 20 min": func(v, _ float64, since time.Duration) (float64, bool) { return v, since < 20*time.Minute },
		"counter reset under rate()": func(v, _ float64, since time.Duration) (float64, bool) {
			if since < time.Minute {
				return v - Level/8., false
			}
			return v, false
		},
	} {
		f, with, without := both(t, name)
		onset, last := begin().Add(f.onset(2)), 0.
		for i, s := range with {
			healthy := without[i]
			since := s.At.Sub(onset)
			v, gone := healthy.V, false
			if since < 0 {
				last = healthy.V
			} else if since < f.For {
				v, gone = want(healthy.V, last, since)
			}
			if math.Abs(s.V-v) > 1e-9 || s.Gone != gone {
				t.Fatalf("%s, %s after the onset: got %v, gone %v, want %v, %v", name, since, s.V, s.Gone, v, gone)
			}
		}
	}
}

// script alerts when it is told to.
type script struct {
	on []bool
	i  int
}

func (s *script) alert(Sample) bool {
	s.i++
	return s.on[s.i-1]
}

// TestWatched_CountsAlerts plays a fault of samples 3 to 7 after a warm-up of none.
func TestWatched_CountsAlerts(t *testing.T) {
	at := func(i int) time.Duration { return warm + time.Duration(i)*every }
	for _, c := range []struct {
		name string
		on   string // x: alerts, of 10 samples
		want Outcome
	}{
		{"silent", "..........", Outcome{}},
		{"found at once, to the end", "...xxxxx..", Outcome{Found: true, During: 1}},
		{"found late, silent in it", ".....xx...", Outcome{Found: true, Took: 2 * every, Stopped: true, After: 4 * every, During: 1}},
		{"flaps", "...x.x.xx.", Outcome{Found: true, Stopped: true, After: every, During: 3}},
		{"false before, and on into it", ".xxxx.....", Outcome{False: 1}},
		{"false before, and found", "x.x..xxx..", Outcome{False: 2, Found: true, Took: 2 * every, During: 1}},
		{"false after", "........xx", Outcome{}},
	} {
		s := &script{}
		var samples []Sample
		for i, r := range c.on {
			s.on = append(s.on, r == 'x')
			samples = append(samples, Sample{At: begin().Add(at(i))})
		}
		w := watched{alerting: s, onset: at(3), ends: at(8)}
		w.see(samples)
		if c.want.Healthy = 3 * every; w.Outcome != c.want {
			t.Errorf("%s: got %+v, want %+v", c.name, w.Outcome, c.want)
		}
	}
}

// A fork that shared a slice with its original would spoil both.
func TestRivals_AForkGoesItsOwnWay(t *testing.T) {
	for name, fresh := range map[string]func() alerting{
		"plain":    func() alerting { return newPlain() },
		"adaptive": func() alerting { return newAdaptive() },
		"robust":   func() alerting { return newRobust() },
	} {
		f, with, without := both(t, "step −70 %")
		past := f.onset(2) / every
		straight, forked := fresh(), fresh()
		for _, s := range with[:past] {
			straight.alert(s)
			forked.alert(s)
		}
		one, other := fork(forked)
		for i := range with[past:] {
			bad, good := with[int(past)+i], without[int(past)+i]
			other.alert(good)
			if got, want := one.alert(bad), straight.alert(bad); got != want {
				t.Fatalf("%s, sample %d of the fault: the fork alerts %v, without one it is %v", name, i, got, want)
			}
		}
	}
}

func TestTable_CellsSayWhatHappened(t *testing.T) {
	m := time.Minute
	for _, c := range []struct {
		outcomes []Outcome
		want     string
	}{
		{[]Outcome{{}, {}}, "never"},
		{[]Outcome{{Found: true, Took: 90 * time.Second}, {Found: true, Took: 5 * m}, {Found: true, Took: 2 * m}}, "2m (5m)"},
		{[]Outcome{{Found: true, Took: time.Hour}, {}, {}}, "1h (1h), 1 of 3"},
		{[]Outcome{{Found: true, Stopped: true, After: 10 * m}, {Found: true, Stopped: true, After: 20 * m}, {Found: true}}, "0s (0s), silent after 20m"},
		{[]Outcome{{Found: true, Stopped: true, After: 10 * m}, {Found: true}}, "0s (0s)"},
	} {
		if got := detection(c.outcomes); got != c.want {
			t.Errorf("%+v: got %q, want %q", c.outcomes, got, c.want)
		}
	}
	if got := alarms([]Outcome{{During: 1}, {During: 2}}); got != "1.5 false" {
		t.Errorf("got %q", got)
	}
}
