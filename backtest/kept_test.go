package backtest

import (
	"strings"
	"testing"
	"time"

	"github.com/onefiveten/onefiveten/sigma"
)

// lost are settings for probes every 30s.
func lost() Settings {
	return Settings{
		Availability: true, Interval: 30 * time.Second,
		Fault: sigma.Fault{Window: 5 * time.Minute, Floor: .05, Cap: .5, MinAnomalies: 2, K: 3, Clear: 3},
	}
}

// outagesOf makes probes every 30s: a good quarter of an hour, and then as many failed
// ones as the number says, for each number.
func outagesOf(outages ...int) (samples []Sample) {
	for _, n := range outages {
		for i := range 30 + n {
			down := i >= 30
			s := Sample{At: begin.Add(time.Duration(len(samples)) * 30 * time.Second), Value: flagOf(down), Label: Normal}
			if down {
				s.Label = Faulty
			}
			samples = append(samples, s)
		}
	}
	return samples
}

func TestReport_KeepsTheLongestFaultsAndTheFirstWindows(t *testing.T) {
	var outages []int
	for i := range maxEpisodes + 20 { // rising for a while and falling after
		outages = append(outages, 10+min(i, maxEpisodes+20-i))
	}
	r := run(t, outagesOf(outages...), lost())
	if r.Own.Alerts != len(outages) || r.Own.Found != len(outages) || len(r.Faults) != maxEpisodes || len(r.Windows) != maxWindows {
		t.Fatalf("got %d alerts, %d found, %d faults and %d windows, want %d, as many, %d and %d", r.Own.Alerts, r.Own.Found, len(r.Faults), len(r.Windows), len(outages), maxEpisodes, maxWindows)
	}
	shortest := r.Faults[0].Lasted
	for i, f := range r.Faults {
		shortest = min(shortest, f.Lasted)
		if i > 0 && !f.Start.After(r.Faults[i-1].Start) {
			t.Errorf("fault %d is not after the one before", i)
		}
	}
	// Of each length there are two but for the least and the greatest one, so that
	// the 20 that are left out have 10 to 20 failed probes, and one of 20 may stay.
	if least := run(t, outagesOf(20, 1), lost()).Faults[0].Lasted; shortest < least {
		t.Errorf("the shortest fault that is kept lasted %s, want %s or more", shortest, least)
	}
	if !r.Windows[0].Start.Equal(begin.Add(15*time.Minute)) || !r.Windows[99].Start.Before(r.Faults[99].Start) {
		t.Errorf("the windows are from %s to %s, want the first ones", r.Windows[0].Start, r.Windows[99].Start)
	}
}

func TestRun_AStepOfMoreThanTenIntervalsIsAGap(t *testing.T) {
	for _, c := range []struct{ step, want time.Duration }{
		{5 * time.Minute, 5 * time.Minute}, {5*time.Minute + time.Second, 30 * time.Second},
	} {
		samples := outagesOf(0)
		without := run(t, samples, lost()).Own.Time
		samples = append(samples, Sample{At: samples[len(samples)-1].At.Add(c.step)})
		if got := run(t, samples, lost()).Own.Time - without; got != c.want {
			t.Errorf("a step of %s: got %s under judgement, want %s", c.step, got, c.want)
		}
	}
}

func TestRun_AHigherFloorKeepsTheCapOrTakesItAlong(t *testing.T) {
	for _, s := range []Settings{half(), lost()} {
		r := run(t, outagesOf(3, 20), s)
		if len(r.ByFloor) < 3 {
			t.Fatalf("got %d floors", len(r.ByFloor))
		}
		for _, o := range r.ByFloor {
			if want := max(o.Floor, s.Fault.Cap); o.Floor < s.Fault.Floor || o.Cap != want {
				t.Errorf("floor %v: got cap %v, want %v", o.Floor, o.Cap, want)
			}
		}
	}
}

func TestRun_RefusesAFileOfWhichAQuarterGoesNotForward(t *testing.T) {
	s := lost()
	s.Interval = 0
	for late, want := range map[int]string{24: "", 25: "25 of the first 101 samples are not later than the one before"} {
		samples := outagesOf(120)
		for i := range late {
			samples[2+4*i].At = samples[1+4*i].At
		}
		_, err := Run(&made{samples: samples}, s, nil)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%d not later: got %v, want %q", late, err, want)
		}
	}
}
