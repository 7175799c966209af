package collector

import (
	"context"
	"sync"
	"sync/atomic"
)

// rested is how many goroutines of a crew wait for work.
const rested = 8

// crew runs what it is given at once, on goroutines that stay for the next run:
// a probe needs a deep stack, and each new goroutine would have to grow its own.
type crew struct {
	ctx   context.Context // ends those that wait
	open  *sync.WaitGroup // of what runs
	next  chan func()
	waits atomic.Int32
}

// newCrew gives a crew that keeps nobody waiting after the end of ctx; open
// counts what runs.
func newCrew(ctx context.Context, open *sync.WaitGroup) *crew {
	return &crew{ctx: ctx, open: open, next: make(chan func())}
}

// do runs f on a goroutine that waits, or on a new one.
func (c *crew) do(f func()) {
	c.open.Add(1)
	select {
	case c.next <- f:
	default:
		go c.work(f)
	}
}

// work runs f and then what comes, while there are not enough that wait.
func (c *crew) work(f func()) {
	for {
		f()
		c.open.Done()
		if c.waits.Add(1) > rested {
			c.waits.Add(-1)
			return
		}
		select {
		case f = <-c.next:
			c.waits.Add(-1)
		case <-c.ctx.Done():
			return
		}
	}
}
