package replay

import (
	"fmt"
	"time"
)

// Fault is what happens to a service, from an instant on and for a time.
type Fault struct {
	Name string
	File string // of the picture, without its ending
	For  time.Duration
	// Harmless: nobody wants to be woken by it, every alert is false.
	Harmless bool
	// Base is the healthy service underneath; without values: the one that the
	// table is for.
	Base Healthy

	// change gives what is seen instead of a healthy sample. since is the time since
	// the fault began, last the value of the sample before that. Samples after the
	// fault are not given to it.
	change func(s Sample, since time.Duration, last float64) Sample
}

// Faults are the replays, each with its definition in the docstring of its maker.
func Faults() []Fault {
	all := []Fault{dropToZero(), flatline()}
	for _, part := range []float64{-.7, -.4, -.2, .2, .4, .7, 2} {
		all = append(all, step(part))
	}
	return append(all, slowLeak(), peak(), spike(), missing(), counterReset())
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
	f := Fault{Name: fmt.Sprintf("step %+.0f %%", 100*part), File: fmt.Sprintf("step%+.0f", 100*part), For: time.Hour}
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

// peak: nothing happens but the smooth peak of a working day that follows others
// like it. The 12 h from 8 to 20 h are looked at.
func peak() Fault {
	return Fault{Name: "daily peak that is normal", File: "daily-peak", For: 12 * time.Hour, Harmless: true, Base: SmoothPeak(), change: same}
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
	return Fault{Name: "counter reset under rate()", File: "counter-reset", For: time.Hour, Harmless: true, Base: Counted(), change: func(s Sample, since time.Duration, _ float64) Sample {
		if since < time.Minute {
			s.V -= Level * every.Seconds() / 60 / 2
		}
		return s
	}}
}
