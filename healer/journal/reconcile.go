package journal

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/onefiveten/onefiveten/healer"
)

// reading is what one reading of a source left to be confirmed by the next.
// It lives in memory: after a restart the first reading confirms nothing, so
// that an episode stays open one reading longer, which is the safe side, and
// no reading costs a write for what did not change.
type reading struct {
	absent map[string]bool // ids of open episodes that were not seen
	stale  map[string]bool // fingerprints that were seen, but are older than their last end
}

// readings keeps the last reading of each source.
type readings struct {
	mu   sync.Mutex // one reconciling at a time; protects last
	last map[string]reading
}

// Reconcile applies one reading of all reachable peers of a source. A reading
// may be older than what a webhook has brought since; so what contradicts the
// webhook happens only when two readings in a row say it: closing what is
// absent ("gone", last_ends unchanged), and opening what is older than its last
// known end. What no webhook has brought is opened at once if it is Routed
// (truncation), and else not at all: it is another receiver's. A muted alert
// opens nothing: Alertmanager would not send it either.
func (s *Store) Reconcile(ctx context.Context, source string, seen []healer.Alert) error {
	source = clean(source)
	list, err := ordered(source, seen)
	if err != nil {
		return fmt.Errorf("reconciling %q: %w", source, err)
	}
	s.readings.mu.Lock()
	defer s.readings.mu.Unlock()
	var next reading
	err = s.change(ctx, func(t *tx) (err error) {
		next, err = t.reconcile(source, list, s.readings.last[source])
		return err
	})
	if err != nil {
		return fmt.Errorf("reconciling %q: %w", source, err)
	}
	s.readings.last[source] = next
	return nil
}

// reconcile compares a reading with the open episodes and gives what the next
// reading has to confirm. The caller keeps it only if the transaction was kept.
func (t *tx) reconcile(source string, list []healer.Alert, last reading) (reading, error) {
	next := reading{absent: map[string]bool{}, stale: map[string]bool{}}
	rows, _, err := episodes.load(t.ctx, t, "from episode where source = ? and closed_at is null order by fingerprint", source)
	if err != nil {
		return next, err
	}
	open := make(map[string]healer.Episode, len(rows))
	for _, e := range rows {
		open[e.Fingerprint] = e
	}
	for _, a := range list {
		if !a.Firing {
			continue
		}
		e, ok := open[a.Fingerprint]
		delete(open, a.Fingerprint)
		if ok {
			err = t.sight(source, e, a)
		} else if a.MutedBy == "" {
			err = t.repair(source, a, last, next)
		}
		if err != nil {
			return next, fmt.Errorf("alert %s: %w", a.Fingerprint, err)
		}
	}
	for _, e := range rows { // in the order of locking
		if _, absent := open[e.Fingerprint]; !absent {
			continue
		}
		if !last.absent[e.ID] {
			next.absent[e.ID] = true
		} else if err := t.closeEpisode(e.ID, "gone"); err != nil {
			return next, err
		}
	}
	return next, nil
}

// sight keeps what a reading says of an open episode, if it says anything new.
// Labels and annotations are left as the webhook brought them.
func (t *tx) sight(source string, e healer.Episode, a healer.Alert) error {
	starts := time.UnixMilli(a.StartsAt.UnixMilli())
	if starts.After(e.StartsAt) { // fired anew unnoticed: a resolved from before must not close it
		k, err := t.known(source, a.Fingerprint)
		if err == nil {
			err = t.setKey(source, a.Fingerprint, k, starts.UnixMilli(), 0)
		}
		if err != nil {
			return err
		}
		starts = e.StartsAt
	}
	if e.MutedBy == clean(a.MutedBy) && starts.Equal(e.StartsAt) {
		return nil
	}
	_, err := t.exec("update episode set muted_by = ?, seen_at = ?, starts_at = ? where id = ?",
		clean(a.MutedBy), t.now.UnixMilli(), starts.UnixMilli(), e.ID)
	return err
}

// repair opens an episode for an active alert that has none: its message was
// cut off, or came before a late "resolved". The latter has to be seen twice.
func (t *tx) repair(source string, a healer.Alert, last, next reading) error {
	k, err := t.known(source, a.Fingerprint)
	if err != nil || !k.row && !a.Routed {
		return err
	}
	if judge(k, true, a.StartsAt.UnixMilli()) == moveStale && !last.stale[a.Fingerprint] {
		next.stale[a.Fingerprint] = true
		return nil
	}
	return t.open(source, a, k)
}
