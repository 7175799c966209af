package healer

import (
	"time"

	"github.com/onefiveten/onefiveten/healer/plan"
)

// The two readings of each clock: the first decides.
const (
	fromFaultStart = "fault_start"
	fromDetection  = "detection"
)

// clockReading is one clock of one round, read from the fault's start or from
// its detection. Open = its end has not come; then Took is the time so far.
type clockReading struct {
	Stage  string // detect, locate, recover
	From   string // fault_start or detection
	Took   time.Duration
	Target time.Duration
	Open   bool
	Missed bool // too late, or open past the deadline

	ends string // the instant that ends it
}

// readings are the clocks of a round. Recover ends when recovery is verified.
// A fault that was over before it was located missed nothing there.
func readings(c *Case, round int, targets plan.Targets) []clockReading {
	start, fired, over := c.instantOf(round, "fault_start"), c.instantOf(round, "fired"), c.instantOf(round, "verified")
	if start.IsZero() {
		return nil
	}
	now := c.Now
	if round < c.Incident.Round || !over.IsZero() {
		now = over
	}
	if at := c.Incident.ClosedAt; now.IsZero() || (!at.IsZero() && at.Before(now)) {
		now = latest(start, at)
	}
	list := []clockReading{readClock("detect", fromFaultStart, start, fired, now, targets.Detect, "fired")}
	for _, from := range []string{fromFaultStart, fromDetection} {
		begin := start
		if from == fromDetection {
			begin = fired
		}
		if begin.IsZero() {
			continue
		}
		list = append(list,
			readClock("locate", from, begin, c.instantOf(round, "located"), now, targets.Locate, "located"),
			readClock("recover", from, begin, over, now, targets.Recover, "verified"))
	}
	return list
}

// readClock reads one clock. Instants of two machines may be a little out of order:
// a clock never shows less than nothing.
func readClock(stage, from string, begin, end, now time.Time, target time.Duration, ends string) clockReading {
	r := clockReading{Stage: stage, From: from, Target: target, ends: ends, Open: end.IsZero()}
	if r.Open {
		end = now
	}
	r.Took = max(end.Sub(begin), 0)
	r.Missed = r.Took > target
	return r
}
