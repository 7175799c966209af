package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/onefiveten/onefiveten/healer"
)

// urgency is the SQL of the level of severity by which work is ordered: one
// level worse per minute of waiting since a column's instant, at worst 1; what
// comes last (release) starts below P5 and never ages above P4. Waiting counts
// from when the work became due, so that an incident that is looked at often
// does not overtake one that nobody has looked at. Only text of this package
// and a number enter the query.
func urgency(last, severity, since string, now time.Time) string {
	aged := fmt.Sprintf("- (%d - %s) / 60000", now.UnixMilli(), since)
	return fmt.Sprintf(`case when %s then case when 6 %[2]s < 4 then 4 else 6 %[2]s end
		else case when %[3]s %[2]s < 1 then 1 else %[3]s %[2]s end end`, last, aged, severity)
}

// ClaimIncident claims the most urgent due incident; "" when none is due, and
// while the clock has jumped back. An acting incident has no next look and is
// not due: its run goes on by itself. A lease that is over is anybody's, and
// the fence says to the late owner that it was lost.
func (s *Store) ClaimIncident(ctx context.Context, owner string, lease time.Duration) (id string, c healer.Claim, err error) {
	err = s.change(ctx, func(t *tx) error {
		if t.behind > jumpBack {
			return nil
		}
		now := t.now.UnixMilli()
		c = healer.Claim{Owner: owner, LeaseUntil: t.now.Add(lease)}
		err := t.one(`update incident set owner = ?, fence = fence + 1, lease_until = ? where id = (
			select id from incident where state <> 'closed' and next_at <= ? and (owner is null or lease_until <= ?)
			order by `+urgency("state = 'recovered'", "severity", "next_at", t.now)+`, fault_start, id limit 1)
			returning id, fence`, []any{owner, c.LeaseUntil.UnixMilli(), now, now}, &id, &c.Fence)
		t.see("select 1 from incident where id = ? and owner = ? and fence = ?", id, owner, c.Fence)
		return noRow(err)
	})
	if err != nil || id == "" {
		return "", healer.Claim{}, wrap("claiming an incident", err)
	}
	return id, c, nil
}

// ClaimRun claims the most urgent run that nobody drives; "" when there is
// none, and while the clock has jumped back. A run brings its locks and slots:
// they belong to it, not to its owner. Unresolved runs are people's.
func (s *Store) ClaimRun(ctx context.Context, owner string, lease time.Duration) (incident, run string, c healer.Claim, err error) {
	err = s.change(ctx, func(t *tx) error {
		if t.behind > jumpBack {
			return nil
		}
		now := t.now.UnixMilli()
		c = healer.Claim{Owner: owner, LeaseUntil: t.now.Add(lease)}
		err := t.one(`update run set owner = ?, fence = fence + 1, lease_until = ? where id = (
			select r.id from run r join incident i on i.id = r.incident
			where r.ended_at is null and r.state <> 'unresolved' and (r.owner is null or r.lease_until <= ?)
				and (r.state in ('running','verifying','undoing') or r.state = 'ready' and r.not_before <= ? or r.due_at <= ?)
			order by `+urgency("r.purpose in ('repair','put_back')", "i.severity", "r.not_before", t.now)+`, i.fault_start, r.id limit 1)
			returning incident, id, fence`, []any{owner, c.LeaseUntil.UnixMilli(), now, now, now}, &incident, &run, &c.Fence)
		t.see("select 1 from run where id = ? and owner = ? and fence = ?", run, owner, c.Fence)
		return noRow(err)
	})
	if err != nil || run == "" {
		return "", "", healer.Claim{}, wrap("claiming a run", err)
	}
	return incident, run, c, nil
}

// Renew prolongs a lease from now on, if the claim still stands; a lease that
// is over but not taken can still be renewed. The zero claim owns nothing.
func (s *Store) Renew(ctx context.Context, incident, run string, c healer.Claim, lease time.Duration) error {
	query, id := "update incident set lease_until = ? where id = ? and owner = ? and fence = ?", incident
	if run != "" {
		query, id = "update run set lease_until = ? where id = ? and owner = ? and fence = ?", run
	}
	err := s.change(ctx, func(t *tx) error {
		n, err := t.exec(query, t.now.Add(lease).UnixMilli(), id, c.Owner, c.Fence)
		if err == nil && n == 0 {
			err = healer.ErrLost
		}
		return err
	})
	return wrap("renewing the lease of "+id, err)
}

// noRow takes the absence of a row for an answer.
func noRow(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	return err
}

// wrap says what was being done; nil stays nil.
func wrap(doing string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", doing, err)
}
