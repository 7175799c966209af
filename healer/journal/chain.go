package journal

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"

	"github.com/onefiveten/onefiveten/healer"
)

// digest is the hash of an entry: SHA-256 over prev, seq, at (unix
// milliseconds), incident, run, actor, event, code and body. Each field is
// written as its length in bytes, a colon and itself, so that no two different
// entries give the same bytes.
func digest(e healer.Entry) string {
	h := sha256.New()
	for _, field := range []string{
		e.PrevHash, strconv.FormatInt(e.Seq, 10), strconv.FormatInt(e.At.UnixMilli(), 10),
		e.Incident, e.Run, e.Actor, e.Event, string(e.Code), e.Body,
	} {
		fmt.Fprintf(h, "%d:%s", len(field), field)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// appendAudit numbers and chains entries and moves the head. The first entry is
// number 1 and has an empty prev. It comes last in every change: with several
// writers the head is the one row that all of them need, and it is held for the
// shortest time.
func (t *tx) appendAudit(list []healer.Entry) error {
	if len(list) == 0 {
		return nil
	}
	seq, hash, err := head(t.ctx, t)
	if err != nil {
		return err
	}
	for i := range list {
		e := &list[i]
		for _, s := range []*string{&e.Incident, &e.Run, &e.Actor, &e.Event, (*string)(&e.Code), &e.Body} {
			*s = clean(*s) // the hash must be that of the row as it is read again
		}
		seq++
		e.Seq, e.PrevHash = seq, hash
		e.Hash = digest(*e)
		hash = e.Hash
		r, err := entries.record("", e)
		if err == nil {
			err = t.insert(r)
		}
		if err != nil {
			return fmt.Errorf("writing audit entry %d (%s): %w", seq, e.Event, err)
		}
	}
	_, err = t.exec(`insert into chain_head (one, seq, hash) values (1, ?, ?)
		on conflict (one) do update set seq = excluded.seq, hash = excluded.hash`, seq, hash)
	t.see("select 1 from audit where hash = ?", hash)
	return err
}

// head is the number and hash of the latest entry; 0 and "" before the first.
func head(ctx context.Context, q querier) (seq int64, hash string, err error) {
	err = q.QueryRowContext(ctx, "select seq, hash from chain_head").Scan(&seq, &hash)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return 0, "", fmt.Errorf("reading the chain's head: %w", err)
	}
	return seq, hash, nil
}

// verifyPage is how many entries Verify reads at a time.
const verifyPage = 1000

// Verify follows the audit chain from its first entry to its head and gives the
// head. The error names the first entry that is missing or was changed. It
// proves that nothing was changed between two published heads, and nothing
// against one who can rewrite the whole table.
func (s *Store) Verify(ctx context.Context) (seq int64, hash string, err error) {
	tx, err := s.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err == nil {
		defer tx.Rollback()
		seq, hash, err = verifyIn(ctx, tx)
	}
	if err != nil {
		return 0, "", fmt.Errorf("verifying the audit chain: %w", err)
	}
	return seq, hash, nil
}

// verifyIn follows the chain within one snapshot, a page at a time, so that a
// chain of any length takes the memory of a page.
func verifyIn(ctx context.Context, q querier) (seq int64, hash string, err error) {
	for more := true; more; {
		page, err := audit(ctx, q, "", seq, verifyPage)
		if err != nil {
			return 0, "", err
		}
		for _, e := range page {
			if err := follows(e, seq, hash); err != nil {
				return 0, "", err
			}
			seq, hash = e.Seq, e.Hash
		}
		more = len(page) == verifyPage
	}
	headSeq, headHash, err := head(ctx, q)
	if err != nil {
		return 0, "", err
	}
	if headSeq != seq || headHash != hash {
		return 0, "", fmt.Errorf("it ends at entry %d (%.12s), but the head says %d (%.12s)", seq, hash, headSeq, headHash)
	}
	return seq, hash, nil
}

// follows judges one entry after the one with seq and hash.
func follows(e healer.Entry, seq int64, hash string) error {
	switch {
	case e.Seq != seq+1:
		return fmt.Errorf("entry %d is missing, the next one is %d", seq+1, e.Seq)
	case e.PrevHash != hash:
		return fmt.Errorf("entry %d names %.12q as its predecessor, want %.12q", e.Seq, e.PrevHash, hash)
	case e.Hash != digest(e):
		return fmt.Errorf("entry %d was changed: its hash is %.12s, want %.12s", e.Seq, e.Hash, digest(e))
	}
	return nil
}
