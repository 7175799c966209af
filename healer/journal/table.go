package journal

import (
	"context"
	"fmt"
	"strings"

	"github.com/onefiveten/onefiveten/healer"
)

// table binds rows of one table to values of one type. of is the owner of a
// row whose struct does not name it: a step's run, a decision's incident.
type table[T any] struct {
	name  string
	keys  int // the first columns that make the primary key
	cells func(of *string, x *T) []cell
}

// record is one row as it is written: names and values of its columns, the keys
// first. Values are strings, int64 or nil.
type record struct {
	table  string
	keys   int
	names  []string
	values []any
}

// key identifies a row within a case.
func (r record) key() string { return fmt.Sprintf("%s %#v", r.table, r.values[:r.keys]) }

// incidentKey is the key of an incident's record.
func incidentKey(id string) string {
	return record{table: incidents.name, keys: 1, values: []any{clean(id)}}.key()
}

// record encodes one value.
func (tb table[T]) record(of string, x *T) (record, error) {
	r := record{table: tb.name, keys: tb.keys}
	for _, c := range tb.cells(&of, x) {
		if c.derived {
			continue
		}
		v, err := c.get()
		if err != nil {
			return r, fmt.Errorf("encoding %s.%s: %w", tb.name, c.name, err)
		}
		r.names, r.values = append(r.names, c.name), append(r.values, v)
	}
	return r, nil
}

// load reads rows and, beside them, their owners. tail is the query from
// "from" on. All rows are read before it returns: a transaction has one
// connection, which takes one query at a time.
func (tb table[T]) load(ctx context.Context, q querier, tail string, args ...any) (xs []T, of []string, err error) {
	names := make([]string, 0, 32)
	for _, c := range tb.cells(new(string), new(T)) {
		names = append(names, c.name)
	}
	rows, err := q.QueryContext(ctx, "select "+strings.Join(names, ", ")+" "+tail, args...)
	if err != nil {
		return nil, nil, fmt.Errorf("reading %s: %w", tb.name, err)
	}
	defer rows.Close()
	for rows.Next() {
		var x T
		var owner string
		cells := tb.cells(&owner, &x)
		into := make([]any, len(cells))
		for i, c := range cells {
			into[i] = c
		}
		if err := rows.Scan(into...); err != nil {
			return nil, nil, fmt.Errorf("reading %s: %w", tb.name, err)
		}
		xs, of = append(xs, x), append(of, owner)
	}
	return xs, of, rows.Err()
}

// insert adds a row; one with its key must not exist.
func (t *tx) insert(r record) error { return t.upsert(r, "") }

// upsert inserts a row; clause says what happens where it exists.
func (t *tx) upsert(r record, clause string) error {
	query := fmt.Sprintf("insert into %s (%s) values (?%s) %s", r.table, strings.Join(r.names, ", "), strings.Repeat(", ?", len(r.names)-1), clause)
	_, err := t.exec(query, r.values...)
	return err
}

// update writes all columns of a row that exists.
func (t *tx) update(r record) error {
	query := fmt.Sprintf("update %s set %s = ? where %s = ?", r.table, strings.Join(r.names[r.keys:], " = ?, "), strings.Join(r.names[:r.keys], " = ? and "))
	_, err := t.exec(query, append(r.values[r.keys:len(r.values):len(r.values)], r.values[:r.keys]...)...)
	return err
}

// seeRecord takes a written row, with all its values, as the transaction's witness.
func (t *tx) seeRecord(r record) {
	t.see(fmt.Sprintf("select 1 from %s where %s is not distinct from ?", r.table, strings.Join(r.names, " is not distinct from ? and ")), r.values...)
}

// The tables of a case. A column is named once, for reading and for writing.
var (
	incidents = table[healer.Incident]{"incident", 1, func(_ *string, x *healer.Incident) []cell {
		return []cell{
			text("id", &x.ID), text("key", &x.Key), text("cluster", &x.Cluster), text("service", &x.Service),
			moment("opened_at", &x.OpenedAt), moment("fault_start", &x.FaultStart),
			text("fault_start_source", &x.FaultStartSource), span("fault_start_error", &x.FaultStartError),
			text("state", &x.State), text("reason", &x.Reason), moment("next_at", &x.NextAt), moment("wait_until", &x.WaitUntil),
			text("scenario", &x.Scenario), whole("severity", &x.Severity), text("scope", &x.Scope),
			object("verdict", &x.Verdict), whole("rung", &x.Rung), whole("round", &x.Round),
			optional("drill", &x.Drill), optional("previous", &x.Previous),
			optional("acked_by", &x.AckedBy), moment("acked_at", &x.AckedAt),
			moment("closed_at", &x.ClosedAt), optional("close_reason", &x.CloseReason),
			optional("owner", &x.Claim.Owner), whole("fence", &x.Claim.Fence), moment("lease_until", &x.Claim.LeaseUntil),
		}
	}}

	episodes = table[healer.Episode]{"episode", 1, func(_ *string, x *healer.Episode) []cell {
		return []cell{
			text("id", &x.ID), text("source", &x.Source), text("fingerprint", &x.Fingerprint), optional("incident", &x.Incident),
			mapOf("labels", &x.Labels), mapOf("annotations", &x.Annotations), flag("trigger", &x.Trigger),
			moment("opened_at", &x.OpenedAt), moment("starts_at", &x.StartsAt), moment("seen_at", &x.SeenAt),
			text("muted_by", &x.MutedBy), moment("closed_at", &x.ClosedAt), optional("close_reason", &x.CloseReason),
		}
	}}

	instants = table[healer.Instant]{"instant", 3, func(incident *string, x *healer.Instant) []cell {
		return []cell{
			text("incident", incident), whole("round", &x.Round), text("name", &x.Name),
			moment("at", &x.At), text("source", &x.Source), text("marked", &x.Marked),
		}
	}}

	runs = table[healer.Run]{"run", 1, func(_ *string, x *healer.Run) []cell {
		return []cell{
			text("id", &x.ID), text("incident", &x.Incident), text("purpose", &x.Purpose), text("plan", &x.Plan), text("kind", &x.Kind),
			text("plan_hash", &x.PlanHash), text("plan_text", &x.PlanText), text("target", &x.Target), mapOf("member", &x.Member),
			whole("attempt", &x.Attempt), text("mode", &x.Mode), optional("asked_by", &x.AskedBy), text("overrides", &x.Overrides),
			text("state", &x.State), text("reason", &x.Reason),
			optional("owner", &x.Claim.Owner), whole("fence", &x.Claim.Fence), moment("lease_until", &x.Claim.LeaseUntil),
			moment("not_before", &x.NotBefore), moment("due_at", &x.DueAt), moment("created_at", &x.CreatedAt),
			moment("fence_at", &x.FenceAt), moment("ended_at", &x.EndedAt),
		}
	}}

	steps = table[healer.Step]{"step", 4, func(run *string, x *healer.Step) []cell {
		return []cell{
			text("run", run), text("phase", &x.Phase), whole("n", &x.N), whole("try", &x.Try), whole("fence", &x.Fence),
			text("what", &x.What), moment("intent_at", &x.IntentAt), moment("finished_at", &x.FinishedAt),
			optional("outcome", &x.Outcome), optional("output", &x.Output),
		}
	}}

	samples = table[healer.Sample]{"verify_sample", 2, func(run *string, x *healer.Sample) []cell {
		return []cell{text("run", run), moment("at", &x.At), text("answer", &x.Answer), text("numbers", &x.Numbers)}
	}}

	decisions = table[healer.Decision]{"decision", 1, func(incident *string, x *healer.Decision) []cell {
		return []cell{
			text("id", &x.ID), text("incident", incident), moment("at", &x.At), moment("last_at", &x.LastAt),
			whole("repeats", &x.Repeats), whole("round", &x.Round), whole("rung", &x.Rung), text("plan", &x.Plan), text("target", &x.Target),
			text("decision", &x.Verb), text("code", &x.Code), mapOf("numbers", &x.Numbers),
			moment("next_at", &x.NextAt), optional("run", &x.Run),
		}
	}}

	mitigations = table[healer.Mitigation]{"mitigation", 1, func(_ *string, x *healer.Mitigation) []cell {
		member := mapOf("(select member from run where run.id = mitigation.run)", &x.Member)
		member.derived = true
		return []cell{
			text("id", &x.ID), text("incident", &x.Incident), text("run", &x.Run), text("service", &x.Service),
			text("target", &x.Target), text("kind", &x.Kind), text("state", &x.State), moment("since", &x.Since),
			flag("release_manual", &x.ReleaseManual), moment("release_at", &x.ReleaseAt), flag("reisolated", &x.Reisolated),
			member, moment("released_at", &x.ReleasedAt), optional("released_by", &x.ReleasedBy),
		}
	}}

	messages = table[healer.Message]{"outbox", 1, func(_ *string, x *healer.Message) []cell {
		return []cell{
			text("id", &x.ID), optional("incident", &x.Incident), text("kind", &x.Kind), text("sink", &x.Sink), text("dedup", &x.Dedup),
			text("body", &x.Body), moment("created_at", &x.CreatedAt), moment("next_at", &x.NextAt), whole("tries", &x.Tries),
			text("last_error", &x.LastError), moment("sent_at", &x.SentAt),
		}
	}}

	entries = table[healer.Entry]{"audit", 1, func(_ *string, x *healer.Entry) []cell {
		return []cell{
			whole("seq", &x.Seq), moment("at", &x.At), optional("incident", &x.Incident), optional("run", &x.Run),
			text("actor", &x.Actor), text("event", &x.Event), text("code", &x.Code), text("body", &x.Body),
			text("prev", &x.PrevHash), text("hash", &x.Hash),
		}
	}}
)
