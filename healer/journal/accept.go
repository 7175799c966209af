package journal

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/onefiveten/onefiveten/healer"
)

// badBody bounds what is kept of a body that could not be read, in bytes.
const badBody = 64 << 10

// Accept keeps a notification and applies its alerts, one per fingerprint, in
// the order of their fingerprints, which is the order of locking. Of several
// alerts with one fingerprint the one with the latest instant counts.
func (s *Store) Accept(ctx context.Context, n healer.Notification) (healer.Accepted, error) {
	var a healer.Accepted
	n.Source = clean(n.Source)
	list, err := ordered(n.Source, n.Alerts)
	if err != nil {
		return a, fmt.Errorf("accepting a notification of %q: %w", n.Source, err)
	}
	body := clean(string(n.Body))
	err = s.change(ctx, func(t *tx) error {
		a = healer.Accepted{ID: t.newID()}
		if err := t.keep(a.ID, n.Source, body, "done", ""); err != nil {
			return err
		}
		for _, alert := range list {
			if err := t.apply(n.Source, alert, &a); err != nil {
				return fmt.Errorf("alert %s: %w", alert.Fingerprint, err)
			}
		}
		if n.Watchdog {
			return t.heard(n.Source)
		}
		return nil
	})
	if err != nil {
		return healer.Accepted{}, fmt.Errorf("accepting a notification of %q: %w", n.Source, err)
	}
	s.inbox.Add(int64(len(body)))
	return a, nil
}

// Refuse keeps the first 64 KiB of a body that could not be read, as "bad",
// with the reason.
func (s *Store) Refuse(ctx context.Context, source string, body []byte, reason string) error {
	if len(body) > badBody {
		reason = fmt.Sprintf("%s (the first %d of %d bytes are kept)", reason, badBody, len(body))
		body = body[:badBody]
	}
	text := clean(string(body))
	err := s.change(ctx, func(t *tx) error { return t.keep(t.newID(), source, text, "bad", clean(reason)) })
	if err != nil {
		return fmt.Errorf("keeping a bad notification of %q: %w", source, err)
	}
	s.inbox.Add(int64(len(text)))
	return nil
}

// keep writes the inbox row, which stands for the whole transaction if its
// commit has to be read again. size is what is kept, in bytes. A row is "done"
// from the start: its alerts are applied in the same transaction.
func (t *tx) keep(id, source, body, state, reason string) error {
	t.see("select 1 from inbox where id = ?", id)
	_, err := t.exec("insert into inbox (id, received_at, source, size, body, state, error) values (?, ?, ?, ?, ?, ?, ?)",
		id, t.now.UnixMilli(), clean(source), len(body), body, state, reason)
	return err
}

// ordered checks alerts and gives one per fingerprint, sorted: two processes
// that write overlapping fingerprints in the same order cannot deadlock. What
// has no identity or no instant is refused with the whole notification, before
// anything is written.
func ordered(source string, alerts []healer.Alert) ([]healer.Alert, error) {
	if source == "" {
		return nil, errors.New("it names no source")
	}
	latest := make(map[string]healer.Alert, len(alerts))
	for i, a := range alerts {
		a.Fingerprint = clean(a.Fingerprint)
		switch {
		case a.Fingerprint == "":
			return nil, fmt.Errorf("alerts[%d] has no fingerprint", i)
		case a.Firing && a.StartsAt.IsZero():
			return nil, fmt.Errorf("alerts[%d] (%s) fires, but has no start", i, a.Fingerprint)
		case !a.Firing && a.EndsAt.IsZero():
			return nil, fmt.Errorf("alerts[%d] (%s) is resolved, but has no end", i, a.Fingerprint)
		}
		if old, ok := latest[a.Fingerprint]; !ok || !instant(a).Before(instant(old)) {
			latest[a.Fingerprint] = a
		}
	}
	list := make([]healer.Alert, 0, len(latest))
	for _, a := range latest {
		list = append(list, a)
	}
	slices.SortFunc(list, func(a, b healer.Alert) int { return cmp.Compare(a.Fingerprint, b.Fingerprint) })
	return list, nil
}

// instant is when an alert began to fire or ended, by the source's clock.
func instant(a healer.Alert) time.Time {
	if a.Firing {
		return a.StartsAt
	}
	return a.EndsAt
}

// known is what the journal holds of one (source, fingerprint). Instants are
// the source's clock, unix milliseconds, 0 = never.
type known struct {
	row                  bool // alert_key exists
	lastStarts, lastEnds int64
	open                 string // id of the open episode, "" = none
	startsAt             int64  // of the open episode
}

// move is what an alert does to an episode.
type move int

// The moves, in the order of the table.
const (
	moveOpen    move = iota // a new episode
	moveRefresh             // the open one goes on
	moveClose               // the open one has ended
	moveEnd                 // none is open: only the end is remembered
	moveStale               // older than what is known: counted, not applied
)

// judge is the table of HEALING 3. at is the alert's start, or its end if it is
// resolved. Only instants of one source are compared with each other. Equal
// instants are stale on purpose: to the millisecond, an end and a start that
// are equal cannot be put in order, and the reconciler decides.
func judge(k known, firing bool, at int64) move {
	switch {
	case firing && k.open != "":
		return moveRefresh
	case firing && at > k.lastEnds:
		return moveOpen
	case firing:
		return moveStale
	case k.open == "":
		return moveEnd
	case at > k.lastStarts:
		return moveClose
	}
	return moveStale
}

// known reads alert_key and the open episode of one fingerprint.
func (t *tx) known(source, fingerprint string) (known, error) {
	var k known
	var open sql.NullString
	var starts sql.NullInt64
	err := t.one(`select k.last_starts, k.last_ends, e.id, e.starts_at from alert_key k
		left join episode e on e.source = k.source and e.fingerprint = k.fingerprint and e.closed_at is null
		where k.source = ? and k.fingerprint = ?`, []any{source, fingerprint}, &k.lastStarts, &k.lastEnds, &open, &starts)
	if errors.Is(err, sql.ErrNoRows) {
		return k, nil
	}
	k.row, k.open, k.startsAt = true, open.String, starts.Int64
	return k, err
}

// apply carries out what judge says of one alert.
func (t *tx) apply(source string, a healer.Alert, sum *healer.Accepted) error {
	k, err := t.known(source, a.Fingerprint)
	if err != nil {
		return err
	}
	at := instant(a).UnixMilli()
	switch judge(k, a.Firing, at) {
	case moveOpen:
		sum.Opened++
		return t.open(source, a, k)
	case moveRefresh:
		sum.Refreshed++
		return t.refresh(source, a, k)
	case moveClose:
		sum.Closed++
		if err := t.setKey(source, a.Fingerprint, k, k.lastStarts, at); err != nil {
			return err
		}
		return t.closeEpisode(k.open, "resolved")
	case moveEnd:
		return t.setKey(source, a.Fingerprint, k, k.lastStarts, at)
	}
	sum.Stale++
	return nil
}

// setKey raises the latest start and end of a fingerprint; neither ever falls.
func (t *tx) setKey(source, fingerprint string, k known, starts, ends int64) error {
	starts, ends = max(starts, k.lastStarts), max(ends, k.lastEnds)
	if k.row && starts == k.lastStarts && ends == k.lastEnds {
		return nil
	}
	_, err := t.exec(`insert into alert_key (source, fingerprint, last_starts, last_ends) values (?, ?, ?, ?)
		on conflict (source, fingerprint) do update set last_starts = excluded.last_starts, last_ends = excluded.last_ends`,
		source, fingerprint, starts, ends)
	return err
}

// open makes an episode. Its start is the alert's, even where that is older than
// an episode that has ended: the reconciler opens what was stale, too.
func (t *tx) open(source string, a healer.Alert, k known) error {
	if err := t.setKey(source, a.Fingerprint, k, a.StartsAt.UnixMilli(), k.lastEnds); err != nil {
		return err
	}
	r, err := episodes.record("", &healer.Episode{
		ID: t.newID(), Source: source, Fingerprint: a.Fingerprint, Labels: a.Labels, Annotations: a.Annotations, Trigger: a.Trigger,
		OpenedAt: t.now, StartsAt: a.StartsAt, SeenAt: t.now, MutedBy: a.MutedBy,
	})
	if err != nil {
		return err
	}
	return t.insert(r)
}

// refresh takes labels, annotations and trigger from the latest message and
// keeps the earliest start: Alertmanager moves it backwards when an older
// alert of the same labels comes in. The latest start is kept in alert_key, to
// tell a late "resolved" from a true one. Whether it is muted is not known
// here: a message does not say.
func (t *tx) refresh(source string, a healer.Alert, k known) error {
	labels, err := encode(a.Labels)
	if err != nil {
		return err
	}
	annotations, err := encode(a.Annotations)
	if err != nil {
		return err
	}
	starts := a.StartsAt.UnixMilli()
	if err := t.setKey(source, a.Fingerprint, k, starts, k.lastEnds); err != nil {
		return err
	}
	trigger, _ := flag("trigger", &a.Trigger).get()
	_, err = t.exec("update episode set labels = ?, annotations = ?, trigger = ?, seen_at = ?, starts_at = ? where id = ?",
		labels, annotations, trigger, t.now.UnixMilli(), min(starts, k.startsAt), k.open)
	return err
}

// closeEpisode ends an episode by the journal's clock; the source's end, where
// there is one, is in alert_key.
func (t *tx) closeEpisode(id, reason string) error {
	_, err := t.exec("update episode set closed_at = ?, close_reason = ? where id = ?", t.now.UnixMilli(), reason, id)
	return err
}
