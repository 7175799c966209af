package journal

import (
	"sync"
	"time"

	"github.com/oklog/ulid/v2"
)

// jumpBack is the jump of the clock that stops claiming (HEALING 13).
const jumpBack = time.Second

// clock gives instants to the millisecond that never run back: while the
// host's clock is behind, time stands still.
type clock struct {
	now func() time.Time

	mu   sync.Mutex // protects high
	high int64      // latest instant given, unix milliseconds
}

// read gives the time and how far the host's clock is behind it.
func (c *clock) read() (now time.Time, behind time.Duration) {
	ms := c.now().UnixMilli() // drops the monotonic reading, which would hide a jump
	c.mu.Lock()
	defer c.mu.Unlock()
	c.high = max(c.high, ms)
	return time.UnixMilli(c.high).UTC(), time.Duration(c.high-ms) * time.Millisecond
}

// newID gives a ULID; those of one process rise, also within a millisecond and
// while the clock stands still, so that an order by id is an order in time.
// MustNew panics only when a single millisecond has used up half of 2^80 ids.
func (s *Store) newID(now time.Time) string {
	return ulid.MustNew(ulid.Timestamp(now), s.ids).String()
}
