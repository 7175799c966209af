package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/onefiveten/onefiveten/healer"
)

// DueMessages gives at most limit messages whose time has come, the longest
// due first. They are not claimed.
func (s *Store) DueMessages(ctx context.Context, limit int) ([]healer.Message, error) {
	now, _ := s.clock.read()
	list, _, err := messages.load(ctx, s.read, "from outbox where sent_at is null and next_at <= ? order by next_at, id limit ?", now.UnixMilli(), limit)
	return list, err
}

// Delivered records one try: sent, or its cause and the next try. A message
// that was sent stays sent, whatever a later try says: two senders may have
// taken it from DueMessages, and at least once is what was promised.
func (s *Store) Delivered(ctx context.Context, id string, cause error, next time.Time) error {
	err := s.change(ctx, func(t *tx) error {
		var sent bool
		var tries int
		err := t.one("select sent_at is not null, tries from outbox where id = ?", []any{id}, &sent, &tries)
		if errors.Is(err, sql.ErrNoRows) {
			return healer.ErrNotFound
		}
		if err != nil || sent {
			return err
		}
		t.see("select 1 from outbox where id = ? and tries = ?", id, tries+1)
		if cause == nil {
			_, err = t.exec("update outbox set tries = tries + 1, sent_at = ?, next_at = null where id = ?", t.now.UnixMilli(), id)
			return err
		}
		_, err = t.exec("update outbox set tries = tries + 1, last_error = ?, next_at = ? where id = ?", clean(cause.Error()), next.UnixMilli(), id)
		return err
	})
	return wrap(fmt.Sprintf("recording the delivery of message %s", id), err)
}
