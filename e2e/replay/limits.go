package replay

import (
	"fmt"
	"strings"
	"time"

	"github.com/onefiveten/onefiveten/sigma"
)

// limits are the scores that an alert may be asked for above.
func limits() []float64 { return []float64{.7, .75, .8, .85} }

// limited is how often the score of a healthy service was above each of the limits.
type limited struct {
	kind   Healthy
	every  time.Duration
	days   int
	alerts []int // by limit
}

// perDay counts alerts on probes of four weeks, the first two days of each left out.
// Every score above a limit is an alert: no other follows for 100 samples but a
// greater one.
func (l limited) perDay() limited {
	const probes, weeks, learn = 12, 4, 2
	l.alerts, l.days = make([]int, len(limits())), probes*(7*weeks-learn)
	for seed := range uint64(probes) {
		score := sigma.NewScore(nil)
		for v := range l.kind.Samples(seed, l.every, weeks*week) {
			f := score.Add(v.At, v.V)
			for i, limit := range limits() {
				if f.Score > limit && v.At.Sub(begin()) >= learn*day {
					l.alerts[i]++
				}
			}
		}
	}
	return l
}

// Limits is a table of the alerts that a limit of the score would give on healthy
// services: the more samples a day, the more of them are unusual.
func Limits() string {
	var cases []limited
	for _, h := range []Healthy{Normal(), LogNormalMemory()} {
		for _, p := range []time.Duration{every, time.Minute, 5 * time.Minute} {
			cases = append(cases, limited{kind: h, every: p})
		}
	}
	var s strings.Builder
	s.WriteString("| healthy service | interval | probe-days |")
	for _, limit := range limits() {
		fmt.Fprintf(&s, " score > %v |", limit)
	}
	s.WriteString("\n|---|--:|--:|" + strings.Repeat("--:|", len(limits())) + "\n")
	for _, l := range parallel(cases, limited.perDay) {
		fmt.Fprintf(&s, "| %s | %s | %d |", l.kind.Name, short(l.every), l.days)
		for _, n := range l.alerts {
			fmt.Fprintf(&s, " %.3f |", float64(n)/float64(l.days))
		}
		s.WriteString("\n")
	}
	return s.String() + "\nAlerts per probe and day, all of them false.\n"
}
