package collector

import (
	"sync/atomic"
	"time"
)

// asleep is how far the wall clock must have run ahead of the monotonic one before
// that is a machine which has slept, and no clock that was set right.
const asleep = time.Minute

// clock gives an instant that never goes back, whatever happens to the clock of the
// machine. The monotonic clock stands still while the machine is suspended: without
// what was slept the hours of a season would be others from then on, and the window
// of a baseline would hold what is long over.
type clock struct {
	origin time.Time
	slept  atomic.Int64 // nanoseconds; it only grows
}

// at is the instant when the wall clock shows wall and the monotonic one has run for
// so long since the origin.
func (c *clock) at(wall time.Time, ran time.Duration) time.Time {
	began := c.origin.Round(0)
	ahead := int64(wall.Sub(began) - ran)
	for {
		slept := c.slept.Load()
		if ahead-slept <= int64(asleep) {
			return began.Add(ran + time.Duration(slept))
		}
		c.slept.CompareAndSwap(slept, ahead)
	}
}
