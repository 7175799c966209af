package journal

import (
	"context"
	"fmt"

	"github.com/onefiveten/onefiveten/healer"
)

// Orphans gives the open episodes that belong to no incident, oldest first.
func (s *Store) Orphans(ctx context.Context) ([]healer.Episode, error) {
	list, _, err := episodes.load(ctx, s.read, "from episode where incident is null and closed_at is null order by opened_at, id")
	return list, err
}

// Incidents lists incidents, newest first; limit 0 = all.
func (s *Store) Incidents(ctx context.Context, closed bool, limit int) ([]healer.Incident, error) {
	where := "where state <> 'closed'"
	if closed {
		where = ""
	}
	list, _, err := incidents.load(ctx, s.read, "from incident "+where+" order by opened_at desc, id desc"+bound(limit))
	return list, err
}

// Mitigations lists what is in place, oldest first; service "" = of all.
func (s *Store) Mitigations(ctx context.Context, service string) ([]healer.Mitigation, error) {
	list, _, err := mitigations.load(ctx, s.read, "from mitigation where state <> 'released' and (? = '' or service = ?) order by since, id", service, service)
	return list, err
}

// Audit lists entries numbered above after, in order; incident "" = of all,
// limit 0 = no limit.
func (s *Store) Audit(ctx context.Context, incident string, after int64, limit int) ([]healer.Entry, error) {
	return audit(ctx, s.read, incident, after, limit)
}

// audit reads entries within any transaction.
func audit(ctx context.Context, q querier, incident string, after int64, limit int) ([]healer.Entry, error) {
	list, _, err := entries.load(ctx, q, "from audit where seq > ? and (? = '' or incident = ?) order by seq"+bound(limit), after, incident, incident)
	return list, err
}

// bound is the SQL of a limit; 0 or less = none.
func bound(limit int) string {
	if limit <= 0 {
		return ""
	}
	return fmt.Sprintf(" limit %d", limit)
}

// Counts gives the figures for gauges. Unrouted counts the open episodes that
// no incident has taken: the journal does not know which label names a service.
func (s *Store) Counts(ctx context.Context) (healer.Counts, error) {
	c := healer.Counts{Incidents: map[healer.State]int{}, EpisodesOpen: map[string]int{}, InboxBytes: s.inbox.Load()}
	err := tally(ctx, s.read, "select state, count(*) from incident group by state", c.Incidents)
	if err == nil {
		err = tally(ctx, s.read, "select source, count(*) from episode where closed_at is null group by source", c.EpisodesOpen)
	}
	if err == nil {
		err = s.read.QueryRowContext(ctx, `select (select count(*) from episode where incident is null and closed_at is null),
			(select count(*) from outbox where sent_at is null)`).Scan(&c.Unrouted, &c.Outbox)
	}
	if err == nil {
		now, _ := s.clock.read()
		c.Holds = map[string]int{}
		err = tally(ctx, s.read, "select kind, count(*) from hold where ended_at is null and (expires_at is null or expires_at > ?) group by kind", c.Holds, now.UnixMilli())
	}
	if err == nil {
		c.AuditSeq, c.AuditHash, err = head(ctx, s.read)
	}
	return c, wrap("counting", err)
}

// tally reads rows of a name and a count.
func tally[K ~string](ctx context.Context, q querier, query string, into map[K]int, args ...any) error {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var k K
		var n int
		if err := rows.Scan(&k, &n); err != nil {
			return err
		}
		into[k] = n
	}
	return rows.Err()
}
