package run

import (
	"context"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

// customers ask the shop's entry a few times a second, at random moments, and
// count what goes wrong: the outside view of how long a fault hurts.
type customers struct {
	entry string
	stop  context.CancelFunc
	done  chan struct{}

	mu            sync.Mutex
	asked, failed int
	failAt        time.Time
}

const customersPerSecond = 8

// sendCustomers lets them come until close.
func sendCustomers(entry string) *customers {
	ctx, stop := context.WithCancel(context.Background())
	c := &customers{entry: entry, stop: stop, done: make(chan struct{})}
	go c.walk(ctx)
	return c
}

// walk pauses a random time between two customers: at fixed steps they would
// meet the balancer's turns always at the same node.
func (c *customers) walk(ctx context.Context) {
	defer close(c.done)
	shopper := &http.Client{Timeout: 2 * time.Second}
	for {
		pause := time.NewTimer(time.Duration(rand.Int64N(int64(2 * time.Second / customersPerSecond))))
		select {
		case <-ctx.Done():
			pause.Stop()
			return
		case <-pause.C:
			c.buy(ctx, shopper)
		}
	}
}

// buy is one request. One that was cut short by close counts for nothing.
func (c *customers) buy(ctx context.Context, shopper *http.Client) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.entry, nil)
	if err != nil {
		return
	}
	resp, err := shopper.Do(req)
	if err == nil {
		resp.Body.Close()
	}
	if ctx.Err() != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked++
	if err == nil && resp.StatusCode == http.StatusOK {
		return
	}
	c.failed++
	c.failAt = time.Now()
}

// seen gives how many asked, how many were failed, and the last time one was.
func (c *customers) seen() (asked, failed int, last time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asked, c.failed, c.failAt
}

// close returns when the last customer has gone.
func (c *customers) close() {
	c.stop()
	<-c.done
}
