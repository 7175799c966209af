package replay

import (
	"fmt"
	"strings"
	"time"
)

// Fault is what happens to a service, from an instant on and for a time.
type Fault struct {
	Name string
	File string // of the picture, without its ending
	For  time.Duration
	// Harmless: nobody wants to be woken by it, every alert is false.
	Harmless bool
	// Base is the healthy service underneath. Own: no other would do. Past is how
	// much of it comes before; 0: three days and some minutes.
	Base Healthy
	Own  bool
	Past time.Duration

	// change gives what is seen instead of a healthy sample. since is the time since
	// the fault began, last the value of the sample before that. Samples after the
	// fault are not given to it.
	change func(s Sample, since time.Duration, last float64) Sample
}

// Faults are the replays on a healthy service, each with its definition in the
// docstring of its maker. Some have a service of their own.
func Faults(on Healthy) []Fault {
	all := []Fault{dropToZero(), flatline()}
	for _, part := range []float64{-.7, -.4, -.2, .2, .4, .7} {
		all = append(all, step(part))
	}
	all = append(all, slowLeak(), spike(), missing(), peak(SmoothPeak(), 8*time.Hour), peak(SharpPeak(), 9*time.Hour), counterReset())
	for i := range all {
		if !all[i].Own {
			all[i].Base = on
		}
	}
	return all
}

// dropToZero: every value is 0 for an hour.
func dropToZero() Fault {
	return Fault{Name: "drop to zero", File: "drop-to-zero", For: time.Hour, change: func(s Sample, _ time.Duration, _ float64) Sample {
		s.V = 0
		return s
	}}
}

// flatline: the last value before the fault is repeated for an hour.
func flatline() Fault {
	return Fault{Name: "flatline", File: "flatline", For: time.Hour, change: func(s Sample, _ time.Duration, last float64) Sample {
		s.V = last
		return s
	}}
}

// step: every value is changed by a part of itself for an hour, its noise with it.
func step(part float64) Fault {
	f := Fault{Name: fmt.Sprintf("step +%.0f %%", 100*part), File: fmt.Sprintf("step-up-%.0f", 100*part), For: time.Hour}
	if part < 0 {
		f.Name, f.File = fmt.Sprintf("step −%.0f %%", -100*part), fmt.Sprintf("step-down-%.0f", -100*part)
	}
	f.change = func(s Sample, _ time.Duration, _ float64) Sample {
		s.V *= 1 + part
		return s
	}
	return f
}

// slowLeak: Level/2 is added per hour, so that the value has doubled after two.
func slowLeak() Fault {
	return Fault{Name: "slow leak, +100 % over 2 h", File: "slow-leak", For: 2 * time.Hour, change: func(s Sample, since time.Duration, _ float64) Sample {
		s.V += Level * since.Hours() / 2
		return s
	}}
}

// peak: nothing happens but the peak of a working day that follows six others
// like it. What is looked at begins with the peak, at the given hour, and takes 12 h.
func peak(h Healthy, from time.Duration) Fault {
	return Fault{
		Name: h.Name + ", normal", File: strings.NewReplacer(",", "", " ", "-").Replace(h.Name),
		For: 12 * time.Hour, Harmless: true, Base: h, Own: true, Past: 8*day + from, change: same,
	}
}

func same(s Sample, _ time.Duration, _ float64) Sample { return s }

// spike: one sample is ten times what it was. An hour is looked at.
func spike() Fault {
	return Fault{Name: "single spike × 10", File: "spike", For: time.Hour, Harmless: true, change: func(s Sample, since time.Duration, _ float64) Sample {
		if since == 0 {
			s.V *= 10
		}
		return s
	}}
}

// missing: there is no sample for 20 min. That is for the alert on stale data to
// tell; here no false alert may come of it, nor when the samples are back. An hour
// is looked at.
func missing() Fault {
	return Fault{Name: "missing data, 20 min", File: "missing", For: time.Hour, Harmless: true, change: func(s Sample, since time.Duration, _ float64) Sample {
		s.Gone = since < 20*time.Minute
		return s
	}}
}

// counterReset: the process behind a counter begins anew. rate(c[1m]) takes a
// smaller count for a reset and adds what was counted since, so what is lost is
// what was counted between the last scrape and the reset: with the reset half way
// between two scrapes half an interval's growth, for the minute that it stays in
// the range. At 15 s the rate is an eighth too small for four samples. An hour is
// looked at.
func counterReset() Fault {
	return Fault{Name: "counter reset under rate()", File: "counter-reset", For: time.Hour, Harmless: true, Base: Counted(), Own: true, change: func(s Sample, since time.Duration, _ float64) Sample {
		if since < time.Minute {
			s.V -= Level * every.Seconds() / 60 / 2
		}
		return s
	}}
}

// onset is when the fault of a seed begins. Different seeds begin in different
// phases of the minute.
func (f Fault) onset(seed uint64) time.Duration {
	if f.Past > 0 {
		return f.Past
	}
	return 3*day + time.Duration(seed)*7*every
}

// tail is how much of the healthy service comes after a fault.
const tail = 30 * time.Minute

// samples are those of a replay: the past, the fault, and the time after it.
func (f Fault) samples(seed uint64) (all []Sample) {
	onset, last := f.onset(seed), 0.
	for s := range f.Base.Samples(seed, every, onset+f.For+tail) {
		switch since := s.At.Sub(begin().Add(onset)); {
		case since < 0:
			last = s.V
		case since < f.For:
			s = f.change(s, since, last)
		}
		all = append(all, s)
	}
	return all
}
