package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/onefiveten/onefiveten/healer"
)

// querier is what a transaction and a pool have in common.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// tx is one writing transaction with the instant at which it happens.
type tx struct {
	*sql.Tx
	ctx    context.Context
	now    time.Time
	behind time.Duration // of the host's clock
	newID  func() string
	stmts  map[string]*sql.Stmt // parsed once for the whole transaction, which closes them

	// A query that answers a row if and only if the transaction was kept.
	witness string
	about   []any
}

// change runs one writing transaction. An error of do, or of the commit, means
// that nothing was kept. The instant is taken when the write lock is held, so
// that instants rise in the order of commits. A panic in do rolls back.
func (s *Store) change(ctx context.Context, do func(*tx) error) error {
	if s.write == nil {
		return errReadOnly
	}
	s.using.RLock()
	defer s.using.RUnlock()
	db, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("beginning: %w", err)
	}
	defer db.Rollback() // does nothing after a commit
	t := &tx{Tx: db, ctx: ctx, stmts: map[string]*sql.Stmt{}}
	t.now, t.behind = s.clock.read()
	t.newID = func() string { return s.newID(t.now) }
	if err := do(t); err != nil {
		return err
	}
	if err := s.commit(db); err != nil {
		return s.settle(ctx, t, err)
	}
	return nil
}

// settle finds out what became of a commit that answered an error: it may have
// reached the disk all the same. The witness is asked on a fresh connection,
// even if the request has been cancelled meanwhile. A commit that database/sql
// did not try (cancelled, done) was surely not kept.
func (s *Store) settle(ctx context.Context, t *tx, cause error) error {
	if errors.Is(cause, sql.ErrTxDone) && ctx.Err() != nil {
		cause = ctx.Err() // the request was cancelled: database/sql took the transaction back before it was asked to
	}
	cause = fmt.Errorf("committing: %w", cause)
	if t.witness == "" || errors.Is(cause, sql.ErrTxDone) || errors.Is(cause, context.Canceled) || errors.Is(cause, context.DeadlineExceeded) {
		return cause
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), busyTimeout)
	defer cancel()
	var one int
	switch err := s.read.QueryRowContext(ctx, t.witness, t.about...).Scan(&one); {
	case err == nil:
		return nil
	case errors.Is(err, sql.ErrNoRows):
		return cause
	default:
		return fmt.Errorf("%w (and reading it again: %w)", cause, err)
	}
}

// see names the query that tells later whether this transaction was kept.
func (t *tx) see(query string, args ...any) { t.witness, t.about = query, args }

// prepare parses a statement on its first use: a notification runs the same few
// for each of its alerts, and parsing costs as much as running.
func (t *tx) prepare(query string) (*sql.Stmt, error) {
	if s, ok := t.stmts[query]; ok {
		return s, nil
	}
	s, err := t.PrepareContext(t.ctx, query)
	if err == nil {
		t.stmts[query] = s
	}
	return s, err
}

// exec runs a statement and gives the number of rows that it changed.
func (t *tx) exec(query string, args ...any) (int64, error) {
	s, err := t.prepare(query)
	if err != nil {
		return 0, err
	}
	r, err := s.ExecContext(t.ctx, args...)
	if err != nil {
		return 0, refusal(err)
	}
	return r.RowsAffected()
}

// one reads a single row into the values; sql.ErrNoRows if there is none.
func (t *tx) one(query string, args []any, into ...any) error {
	s, err := t.prepare(query)
	if err != nil {
		return err
	}
	return s.QueryRowContext(t.ctx, args...).Scan(into...)
}

// taken are the unique keys whose violation means that another run was first.
var taken = []string{
	"UNIQUE constraint failed: run.incident (", // run_active
	"UNIQUE constraint failed: target_lock.target",
	"UNIQUE constraint failed: slot.",
	"UNIQUE constraint failed: mitigation.target, mitigation.kind", // mitigation_one
}

// refusal turns a violated unique key into healer.ErrTaken where it is one.
func refusal(err error) error {
	var e *sqlite.Error
	if !errors.As(err, &e) || e.Code() != sqlite3.SQLITE_CONSTRAINT_UNIQUE && e.Code() != sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY {
		return err
	}
	for _, key := range taken {
		if strings.Contains(e.Error(), key) {
			return fmt.Errorf("%w: %w", healer.ErrTaken, err)
		}
	}
	return err
}
