package journal

import (
	"database/sql"
	"testing"
	"time"

	"github.com/onefiveten/onefiveten/healer"
)

// older makes a journal of the first schema, as the program before the dead man's
// check left it, with an alert that fires in it.
func older(t *testing.T) (file string) {
	t.Helper()
	file = tempFile(t)
	db, err := sql.Open("sqlite", dsn(file, "_txlock=immediate", "_pragma=journal_mode(wal)"))
	if err != nil {
		t.Fatal(err)
	}
	if err := migrate(t.Context(), db, migrations()[:1], time.UnixMilli(1)); err != nil {
		t.Fatal(err)
	}
	for _, row := range []string{
		"insert into alert_key (source, fingerprint) values ('main', 'f')",
		"insert into outbox (id, kind, sink, dedup, body, created_at, next_at) values ('m', 'tell', 'desk', 'd', '{}', 1, 1)",
	} {
		if _, err := db.Exec(row); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return file
}

// Commands that only read do not change the file: they say who does. The start of the
// new program keeps what is there, and an older program refuses the file from then on.
func TestMigrate_AJournalOfBeforeTheDeadMansCheckGoesOn(t *testing.T) {
	file := older(t)
	_, err := OpenReadOnly(file)
	wantError(t, err, file, "schema version is 1, want 2", "start heal-receiver once to bring it up to date")
	s := openTest(t, file, time.Now)
	if due, err := s.DueMessages(t.Context(), 10); len(due) != 1 || due[0].ID != "m" || err != nil {
		t.Errorf("due = %+v (%v), want the message that waited before", due, err)
	}
	if _, err := s.Accept(t.Context(), healer.Notification{Source: "main", Body: []byte(`{"version":"4"}`), Watchdog: true}); err != nil {
		t.Fatal(err)
	}
	if list, err := s.Pulses(t.Context()); len(list) != 1 || list[0].Source != "main" || list[0].SeenAt.IsZero() || err != nil {
		t.Errorf("pulses = %+v (%v), want that of main", list, err)
	}
	ro, err := OpenReadOnly(file)
	if err != nil {
		t.Fatal(err)
	}
	defer ro.Close()
	if err := refuseNewer(len(migrations()), 1); err == nil {
		t.Error("a program of the first schema would write a journal of the second")
	}
}
