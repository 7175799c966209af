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

// Read gives a case as it stands at one instant, without a World.
func (s *Store) Read(ctx context.Context, incident string) (*healer.Case, error) {
	tx, err := s.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return nil, fmt.Errorf("reading incident %s: %w", incident, err)
	}
	defer tx.Rollback()
	now, _ := s.clock.read()
	c, err := loadCase(ctx, tx, incident, now)
	if err != nil {
		return nil, fmt.Errorf("reading incident %s: %w", incident, err)
	}
	return c, nil
}

// loadCase reads an incident with all that belongs to it, in a stable order:
// by instant, then by id, which rises within a process.
func loadCase(ctx context.Context, q querier, incident string, now time.Time) (*healer.Case, error) {
	found, _, err := incidents.load(ctx, q, "from incident where id = ?", incident)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("incident %s: %w", incident, healer.ErrNotFound)
	}
	c := &healer.Case{Now: now, Incident: found[0]}
	var errs [5]error
	c.Episodes, _, errs[0] = episodes.load(ctx, q, "from episode where incident = ? order by opened_at, id", incident)
	c.Instants, _, errs[1] = instants.load(ctx, q, "from instant where incident = ? order by round, at, name", incident)
	c.Decisions, _, errs[2] = decisions.load(ctx, q, "from decision where incident = ? order by at, id", incident)
	c.Mitigations, errs[3] = loadMitigations(ctx, q, c.Incident)
	c.Runs, errs[4] = loadRuns(ctx, q, incident)
	return c, errors.Join(errs[:]...)
}

// loadMitigations reads what an incident has put in place, and what is still in
// place on its service by whatever incident of the same cluster.
func loadMitigations(ctx context.Context, q querier, i healer.Incident) ([]healer.Mitigation, error) {
	list, _, err := mitigations.load(ctx, q, `from mitigation where incident = ? or state <> 'released' and service = ?
		and exists (select 1 from incident i where i.id = mitigation.incident and i.cluster = ?) order by since, id`, i.ID, i.Service, i.Cluster)
	return list, err
}

// loadRuns reads the runs of an incident with steps, samples, locks and slots.
func loadRuns(ctx context.Context, q querier, incident string) ([]healer.Run, error) {
	list, _, err := runs.load(ctx, q, "from run where incident = ? order by created_at, id", incident)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	at := make(map[string]*healer.Run, len(list))
	for i := range list {
		at[list[i].ID] = &list[i]
	}
	const of = "where run in (select id from run where incident = ?)"
	did, owner, err := steps.load(ctx, q, "from step "+of+" order by run, intent_at, phase, n, try", incident)
	if err != nil {
		return nil, err
	}
	for i, step := range did {
		at[owner[i]].Steps = append(at[owner[i]].Steps, step)
	}
	saw, owner, err := samples.load(ctx, q, "from verify_sample "+of+" order by run, at", incident)
	if err != nil {
		return nil, err
	}
	for i, sample := range saw {
		at[owner[i]].Samples = append(at[owner[i]].Samples, sample)
	}
	err = pairs(ctx, q, "select run, target from target_lock "+of+" order by target", incident, func(run, target string) {
		at[run].Locks = append(at[run].Locks, target)
	})
	if err != nil {
		return nil, err
	}
	return list, pairs(ctx, q, "select run, scope from slot "+of+" order by scope", incident, func(run, scope string) {
		at[run].Slots = append(at[run].Slots, healer.Slot{Scope: scope})
	})
}

// pairs reads rows of two texts.
func pairs(ctx context.Context, q querier, query, arg string, each func(a, b string)) error {
	rows, err := q.QueryContext(ctx, query, arg)
	if err != nil {
		return fmt.Errorf("reading locks and slots: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var a, b string
		if err := rows.Scan(&a, &b); err != nil {
			return fmt.Errorf("reading locks and slots: %w", err)
		}
		each(a, b)
	}
	return rows.Err()
}

// world answers a case's questions about other incidents, in the transaction of
// the change and only as long as that lasts.
type world struct {
	ctx context.Context
	q   querier
}

// Lock implements healer.World.
func (w world) Lock(target string) (run string, err error) {
	err = w.q.QueryRowContext(w.ctx, "select run from target_lock where target = ?", target).Scan(&run)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("asking for the lock of %s: %w", target, err)
	}
	return run, nil
}

// Slots implements healer.World.
func (w world) Slots(scope string) (n int, err error) {
	err = w.q.QueryRowContext(w.ctx, "select count(*) from slot where scope = ?", scope).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("counting the slots of %s: %w", scope, err)
	}
	return n, nil
}

// PlanRuns implements healer.World.
func (w world) PlanRuns(plan, target string, since time.Time) ([]healer.Run, error) {
	list, _, err := runs.load(w.ctx, w.q, "from run where plan = ? and target = ? and created_at >= ? order by created_at desc, id desc",
		plan, target, since.UnixMilli())
	return list, err
}

// records encodes all rows of a case that an incident step may change, in the
// order in which they are written: who is referred to comes first, since
// foreign keys are judged at once. All rows of a table stand together.
func records(c *healer.Case) ([]record, error) {
	var all []record
	var errs []error
	add := func(r record, err error) { all, errs = append(all, r), append(errs, err) }
	add(incidents.record("", &c.Incident))
	for i := range c.Episodes {
		add(episodes.record("", &c.Episodes[i]))
	}
	for i := range c.Instants {
		add(instants.record(c.Incident.ID, &c.Instants[i]))
	}
	for i := range c.Runs {
		add(runs.record("", &c.Runs[i]))
	}
	for _, r := range c.Runs {
		for i := range r.Steps {
			add(steps.record(r.ID, &r.Steps[i]))
		}
		for i := range r.Samples {
			add(samples.record(r.ID, &r.Samples[i]))
		}
	}
	for i := range c.Mitigations {
		add(mitigations.record("", &c.Mitigations[i]))
	}
	for i := range c.Decisions {
		add(decisions.record(c.Incident.ID, &c.Decisions[i]))
	}
	return all, errors.Join(errs...)
}

// snapshot is a case as it was loaded, to tell later what a change has changed.
type snapshot struct {
	rows   map[string][]any    // values by record.key
	fences map[string]int64    // claim fences of the incident and its runs, by id
	locks  map[string][]string // targets by run
	slots  map[string][]string // scopes by run
}

// snap encodes a case as it was loaded. Comparing encoded rows, and not
// structs, makes "changed" mean exactly "would be written differently": the
// time zone of an instant, or an empty map for nil, is no change.
func snap(c *healer.Case) (snapshot, error) {
	b := snapshot{map[string][]any{}, map[string]int64{}, map[string][]string{}, map[string][]string{}}
	all, err := records(c)
	if err != nil {
		return b, err
	}
	for _, r := range all {
		b.rows[r.key()] = r.values
	}
	b.fences[c.Incident.ID] = c.Incident.Claim.Fence
	for _, r := range c.Runs {
		b.fences[r.ID] = r.Claim.Fence
		b.locks[r.ID] = slices.Clone(r.Locks)
		b.slots[r.ID] = scopes(r.Slots)
	}
	return b, nil
}

// add takes episodes that are about to join the case as they stand now.
func (b snapshot) add(list []healer.Episode) error {
	for i := range list {
		r, err := episodes.record("", &list[i])
		if err != nil {
			return err
		}
		b.rows[r.key()] = r.values
	}
	return nil
}

// scopes are the names of slots; Max is the plan's and is not kept.
func scopes(slots []healer.Slot) []string {
	var s []string
	for _, slot := range slots {
		s = append(s, slot.Scope)
	}
	return s
}

// fill gives ids, owners and instants where a change has left them empty, and
// keeps the claim fence from falling: a claim given back is Claim{}, and its
// number goes on from there.
func (t *tx) fill(c *healer.Case, before snapshot) {
	i := &c.Incident
	i.OpenedAt = orTime(i.OpenedAt, t.now)
	i.Claim.Fence = max(i.Claim.Fence, before.fences[i.ID])
	for k := range c.Runs {
		r := &c.Runs[k]
		r.ID, r.Incident = cmp.Or(r.ID, t.newID()), cmp.Or(r.Incident, i.ID)
		r.Purpose = cmp.Or(r.Purpose, "rung")
		r.CreatedAt, r.NotBefore = orTime(r.CreatedAt, t.now), orTime(r.NotBefore, t.now)
		r.Claim.Fence = max(r.Claim.Fence, before.fences[r.ID])
	}
	for k := range c.Decisions {
		d := &c.Decisions[k]
		d.ID = cmp.Or(d.ID, t.newID())
		d.At = orTime(d.At, t.now)
		d.LastAt = orTime(d.LastAt, d.At)
	}
	for k := range c.Mitigations {
		m := &c.Mitigations[k]
		m.ID, m.Incident, m.Since = cmp.Or(m.ID, t.newID()), cmp.Or(m.Incident, i.ID), orTime(m.Since, t.now)
	}
	for k := range c.Messages {
		m := &c.Messages[k]
		m.ID, m.Incident, m.CreatedAt = cmp.Or(m.ID, t.newID()), cmp.Or(m.Incident, i.ID), orTime(m.CreatedAt, t.now)
		if m.SentAt.IsZero() {
			m.NextAt = orTime(m.NextAt, t.now)
		}
	}
	for k := range c.Entries {
		e := &c.Entries[k]
		e.Incident, e.At, e.Body = cmp.Or(e.Incident, i.ID), orTime(e.At, t.now), cmp.Or(e.Body, "{}")
	}
}

// orTime gives t, or other where t is zero.
func orTime(t, other time.Time) time.Time {
	if t.IsZero() {
		return other
	}
	return t
}
