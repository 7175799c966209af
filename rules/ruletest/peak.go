package ruletest

import (
	"fmt"
	"math"
	"time"

	"github.com/onefiveten/onefiveten/sigma"
)

const (
	day      = 24 * time.Hour
	swing    = 6 * time.Minute // so much of the steepest rise a case shows
	mostPast = 300_000         // samples before a case: more would change nothing and take long
)

// dailyPeak is the rise of every day, from a value to its double and back, where it
// is steepest, as the signal's own baseline judges it. Most baselines call it
// normal; of one that does not, the test says so, as the alerts will every day.
func (c *scene) dailyPeak() {
	c.name = fmt.Sprintf("a normal daily peak of %s: nothing fires", c.signal.Name)
	c.daily = &c.proof.Baseline
	c.end = c.next(swing)
	c.furnish([]Service{c.service}, nil)
	var tr track
	for _, n := range []string{"n1", "n2", "n3"} {
		tr = c.play(c.service.Name, n, roleNode, fate{})
	}
	at := c.first(tr.fault, 1000, 0)
	if at < 0 {
		c.expect(c.next(swing / 2))
		c.expect(c.end)
		return
	}
	c.name = fmt.Sprintf("a daily peak of %s is a fault to its baseline", c.signal.Name)
	if c.signal.Mode == ticket {
		c.expect(c.next(at), "SignalFault")
	} else {
		c.expect(c.next(at), "FaultDetected", "FaultLocated")
	}
}

// risen is the level of the day at a moment, 1 to 2, steepest in the middle of the
// case, and a tenth up and down from sample to sample.
func (t timing) risen(at time.Duration) float64 {
	level := 1.5 + math.Sin(2*math.Pi*(at-swing/2).Seconds()/day.Seconds())/2
	v := level + float64(phase(at/t.probe, 2))/10
	if b := t.daily; b.Low < b.High {
		low, high := ends(b.Low, b.High)
		v = low + v*(high-low)/4
	}
	return v
}

// ends are those of a range, of which one or both may lie in the infinite.
func ends(low, high float64) (from, to float64) {
	switch {
	case !math.IsInf(low, -1) && !math.IsInf(high, 1):
		return low, high
	case math.IsInf(low, -1):
		return min(high, 4) - 4, min(high, 4)
	}
	return low, low + 4
}

// ofDays judges by the baseline of the signal, which knows the days before.
func (t timing) ofDays(f sigma.Fault) (s *sigma.Series, begin time.Duration, err error) {
	past := 2 * t.daily.Window
	if t.daily.Season == sigma.Daily {
		past = max(past, 3*day)
	}
	s, err = sigma.NewValue(t.probe, f, *t.daily)
	return s, -min(past, mostPast*t.probe), err
}
