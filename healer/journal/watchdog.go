package journal

import (
	"context"
	"fmt"

	"github.com/onefiveten/onefiveten/healer"
)

// pulses are kept for as long as the journal: a source that has left the
// configuration leaves its row.
var pulses = table[healer.Pulse]{"watchdog", 1, func(_ *string, x *healer.Pulse) []cell {
	return []cell{text("source", &x.Source), moment("seen_at", &x.SeenAt), moment("silent_at", &x.SilentAt), moment("said_at", &x.SaidAt)}
}}

// Pulses lists what is known of the Watchdog of each source that was ever looked
// at.
func (s *Store) Pulses(ctx context.Context) ([]healer.Pulse, error) {
	list, _, err := pulses.load(ctx, s.read, "from watchdog order by source")
	return list, wrap("listing the pulses", err)
}

// Pulse runs a step over the Watchdog of one source and keeps it with what it says,
// in one transaction. A message that was said before is dropped.
func (s *Store) Pulse(ctx context.Context, source string, step func(*healer.Vigil)) error {
	err := s.change(ctx, func(t *tx) error {
		v := healer.Vigil{Now: t.now, Pulse: healer.Pulse{Source: clean(source)}}
		known, _, err := pulses.load(t.ctx, t, "from watchdog where source = ?", v.Pulse.Source)
		if err != nil {
			return err
		}
		if len(known) > 0 {
			v.Pulse = known[0]
		}
		step(&v)
		r, err := pulses.record("", &v.Pulse)
		if err != nil {
			return err
		}
		if err := t.upsert(r, "on conflict (source) do update set seen_at = excluded.seen_at, silent_at = excluded.silent_at, said_at = excluded.said_at"); err != nil {
			return err
		}
		t.seeRecord(r)
		if err := t.saveMessages(v.Messages); err != nil {
			return err
		}
		return t.appendAudit(v.Entries)
	})
	return wrap(fmt.Sprintf("watching the Watchdog of %q", source), err)
}

// heard keeps that a Watchdog fires, in the transaction that takes it.
func (t *tx) heard(source string) error {
	_, err := t.exec(`insert into watchdog (source, seen_at) values (?, ?)
		on conflict (source) do update set seen_at = excluded.seen_at`, source, t.now.UnixMilli())
	return err
}
