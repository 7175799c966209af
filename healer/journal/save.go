package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/onefiveten/onefiveten/healer"
)

// Update loads a case, lets change edit it and keeps the difference. The claim
// is judged on what was loaded, within the same transaction. What change leaves
// empty is filled: ids, the incident of what belongs to it, and the instants of
// the journal's clock. It answers healer.ErrLost for a claim that is another's,
// healer.ErrTaken where another run was first, healer.ErrNotFound for an
// unknown incident or run, and otherwise the error of change itself.
func (s *Store) Update(ctx context.Context, incident, run string, by healer.Claim, change func(*healer.Case) error) error {
	err := s.change(ctx, func(t *tx) error {
		c, before, err := t.load(incident)
		if err != nil {
			return err
		}
		if err := checkClaim(c, run, by); err != nil {
			return err
		}
		return t.edit(c, before, change)
	})
	if err != nil {
		return fmt.Errorf("updating incident %s: %w", incident, err)
	}
	return nil
}

// checkClaim refuses who is not, or no longer, the owner under this fence. A
// lease that is over is still the owner's until somebody else has claimed: the
// fence decides, not a clock.
func checkClaim(c *healer.Case, run string, by healer.Claim) error {
	if by.Owner == "" && by.Fence == 0 {
		return nil // a person
	}
	what, have := "incident "+c.Incident.ID, c.Incident.Claim
	if run != "" {
		i := slices.IndexFunc(c.Runs, func(r healer.Run) bool { return r.ID == run })
		if i < 0 {
			return fmt.Errorf("run %s: %w", run, healer.ErrNotFound)
		}
		what, have = "run "+run, c.Runs[i].Claim
	}
	if have.Owner != by.Owner || have.Fence != by.Fence {
		return fmt.Errorf("%s is owned by %q under fence %d, not by %q under %d: %w", what, have.Owner, have.Fence, by.Owner, by.Fence, healer.ErrLost)
	}
	return nil
}

// Join gives episodes to the open incident of fresh's key, or to fresh, which
// is written only after change has filled it. An episode that has an incident
// already, or has ended, stays as it is; when none is left nothing happens and
// change is not called, so that a repetition is harmless.
func (s *Store) Join(ctx context.Context, fresh healer.Incident, episodes []string, change func(*healer.Case) error) error {
	err := s.change(ctx, func(t *tx) error {
		free, err := t.orphans(episodes)
		if err != nil || len(free) == 0 {
			return err
		}
		c, before, err := t.caseOf(fresh)
		if err != nil {
			return err
		}
		if err := before.add(free); err != nil {
			return err
		}
		for i := range free {
			free[i].Incident = c.Incident.ID
		}
		c.Episodes = append(c.Episodes, free...)
		slices.SortStableFunc(c.Episodes, func(a, b healer.Episode) int { return a.OpenedAt.Compare(b.OpenedAt) })
		return t.edit(c, before, change)
	})
	if err != nil {
		return fmt.Errorf("joining episodes to an incident of %s: %w", fresh.Key, err)
	}
	return nil
}

// orphans gives those of the episodes that are open and without incident.
func (t *tx) orphans(ids []string) ([]healer.Episode, error) {
	var free []healer.Episode
	for i, id := range ids {
		found, _, err := episodes.load(t.ctx, t, "from episode where id = ?", id)
		if err != nil {
			return nil, err
		}
		if len(found) == 0 {
			return nil, fmt.Errorf("episode %s: %w", id, healer.ErrNotFound)
		}
		if e := found[0]; e.Incident == "" && e.ClosedAt.IsZero() && !slices.Contains(ids[:i], id) {
			free = append(free, e)
		}
	}
	return free, nil
}

// caseOf gives the case of the open incident of fresh's key, or one of fresh
// alone, of which no row is written yet.
func (t *tx) caseOf(fresh healer.Incident) (*healer.Case, snapshot, error) {
	var id string
	err := t.one("select id from incident where key = ? and state <> 'closed'", []any{clean(fresh.Key)}, &id)
	if err == nil {
		return t.load(id)
	}
	if !errors.Is(err, sql.ErrNoRows) {
		return nil, snapshot{}, err
	}
	if fresh.ID == "" {
		fresh.ID = t.newID()
	}
	c := &healer.Case{Now: t.now, Incident: fresh, World: world{t.ctx, t}}
	if c.Mitigations, err = loadMitigations(t.ctx, t, fresh); err != nil {
		return nil, snapshot{}, err
	}
	before, err := snap(c)
	delete(before.rows, incidentKey(fresh.ID))
	return c, before, err
}

// load reads a case and takes its snapshot.
func (t *tx) load(incident string) (*healer.Case, snapshot, error) {
	c, err := loadCase(t.ctx, t, incident, t.now)
	if err != nil {
		return nil, snapshot{}, err
	}
	c.World = world{t.ctx, t}
	before, err := snap(c)
	return c, before, err
}

// edit runs a change on a loaded case and keeps the difference. The order is
// that of locking (HEALING 13), but that runs come before their slots and locks,
// which refer to them.
func (t *tx) edit(c *healer.Case, before snapshot, change func(*healer.Case) error) error {
	if err := change(c); err != nil {
		return err
	}
	t.fill(c, before)
	if err := t.saveRows(c, before); err != nil {
		return err
	}
	if err := t.saveLocks(c.Runs, before); err != nil {
		return err
	}
	if err := t.saveMessages(c.Messages); err != nil {
		return err
	}
	return t.appendAudit(c.Entries)
}

// saveRows writes the rows that differ, table by table; in each, changes come
// before additions, so that an ended run makes room for the next one. The last
// row written is the transaction's witness.
func (t *tx) saveRows(c *healer.Case, before snapshot) error {
	after, err := records(c)
	if err != nil {
		return err
	}
	kept := 0
	for len(after) > 0 {
		n := slices.IndexFunc(after, func(r record) bool { return r.table != after[0].table })
		if n < 0 {
			n = len(after)
		}
		var fresh []record
		for _, r := range after[:n] {
			old, ok := before.rows[r.key()]
			switch {
			case !ok:
				fresh = append(fresh, r)
				continue
			case !slices.Equal(old, r.values):
				err = t.write(r, t.update)
			}
			kept++
			if err != nil {
				return err
			}
		}
		for _, r := range fresh {
			if err := t.write(r, t.insert); err != nil {
				return err
			}
		}
		after = after[n:]
	}
	if kept != len(before.rows) {
		return fmt.Errorf("a change has lost %d of %d rows of the case: rows are added or edited, never removed", len(before.rows)-kept, len(before.rows))
	}
	return nil
}

// write writes one row and takes it as the witness.
func (t *tx) write(r record, how func(record) error) error {
	if err := how(r); err != nil {
		return fmt.Errorf("writing %s: %w", r.key(), err)
	}
	t.seeRecord(r)
	return nil
}

// saveLocks frees what ended runs held, and the slots of unresolved ones, and
// then takes what the runs want anew: a run that ends and the one that follows
// it may stand in one change.
func (t *tx) saveLocks(list []healer.Run, before snapshot) error {
	for _, r := range list {
		if err := t.free(r); err != nil {
			return fmt.Errorf("freeing what run %s held: %w", r.ID, err)
		}
	}
	for _, r := range list {
		if !r.EndedAt.IsZero() {
			continue
		}
		if err := t.takeSlots(r, before.slots[r.ID]); err != nil {
			return fmt.Errorf("taking the slots of run %s: %w", r.ID, err)
		}
		if err := t.takeLocks(r, before.locks[r.ID]); err != nil {
			return fmt.Errorf("locking for run %s: %w", r.ID, err)
		}
	}
	return nil
}

// unresolved keeps its locks and has no slot (HEALING 9).
const unresolved healer.RunState = "unresolved"

// free gives back what a run no longer holds, whatever the Case still says.
func (t *tx) free(r healer.Run) error {
	if !r.EndedAt.IsZero() {
		if _, err := t.exec("delete from target_lock where run = ?", r.ID); err != nil {
			return err
		}
	}
	if !r.EndedAt.IsZero() || r.State == unresolved {
		if _, err := t.exec("delete from slot where run = ?", r.ID); err != nil {
			return err
		}
	}
	return nil
}

// takeSlots takes the lowest free place in each scope that the run does not
// have. Two writers that see the same place free collide on its key, and one of
// them is told healer.ErrTaken: the cap holds without a lock on the scope.
func (t *tx) takeSlots(r healer.Run, have []string) error {
	if r.State == unresolved {
		return nil
	}
	want := slices.SortedFunc(slices.Values(r.Slots), func(a, b healer.Slot) int { return strings.Compare(a.Scope, b.Scope) })
	if lost := missing(have, scopes(want)); lost != "" {
		return fmt.Errorf("it has lost slot %q: a slot ends with its run", lost)
	}
	for _, slot := range want {
		if slices.Contains(have, slot.Scope) {
			continue
		}
		n, err := t.freePlace(slot.Scope)
		if err != nil {
			return err
		}
		if n > slot.Max {
			return fmt.Errorf("all %d places of %q are in use: %w", slot.Max, slot.Scope, healer.ErrTaken)
		}
		if _, err := t.exec("insert into slot (scope, n, run) values (?, ?, ?)", slot.Scope, n, r.ID); err != nil {
			return err
		}
	}
	return nil
}

// freePlace is the lowest number from 1 that no run has in a scope.
func (t *tx) freePlace(scope string) (n int, err error) {
	err = t.one(`select coalesce(min(n), 0) + 1 from (select 0 as n union all select n from slot where scope = ?) as used
		where not exists (select 1 from slot s where s.scope = ? and s.n = used.n + 1)`, []any{scope, scope}, &n)
	return n, err
}

// takeLocks locks the targets that the run does not have, sorted, all or none:
// the first that is taken ends the transaction.
func (t *tx) takeLocks(r healer.Run, have []string) error {
	want := slices.Sorted(slices.Values(r.Locks))
	if lost := missing(have, want); lost != "" {
		return fmt.Errorf("it has lost the lock of %q: a lock ends with its run", lost)
	}
	for _, target := range want {
		if slices.Contains(have, target) {
			continue
		}
		if _, err := t.exec("insert into target_lock (target, run) values (?, ?)", target, r.ID); err != nil {
			return fmt.Errorf("%s: %w", target, err)
		}
	}
	return nil
}

// missing gives the first of have that is not in want, or "".
func missing(have, want []string) string {
	for _, h := range have {
		if !slices.Contains(want, h) {
			return h
		}
	}
	return ""
}

// saveMessages adds to the outbox; of two with the same sink and dedup the
// first stays, so that a change may be repeated without telling people twice.
func (t *tx) saveMessages(list []healer.Message) error {
	for i := range list {
		r, err := messages.record("", &list[i])
		if err == nil {
			err = t.upsert(r, "on conflict (sink, dedup) do nothing")
		}
		if err != nil {
			return fmt.Errorf("adding a message to %s: %w", list[i].Sink, err)
		}
	}
	return nil
}
