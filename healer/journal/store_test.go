package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/onefiveten/onefiveten/healer"
)

func tempFile(t testing.TB) string { return filepath.Join(t.TempDir(), "journal.db") }

// wantError demands an error that says all the words.
func wantError(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one that says %q", words)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q does not say %q", err, w)
		}
	}
}

func TestOpen_KeepsTheFileToItself(t *testing.T) {
	file := tempFile(t)
	first := openTest(t, file, time.Now)
	_, err := Open(file, Options{})
	host, _ := os.Hostname()
	wantError(t, err, file, fmt.Sprintf("in use by process %d on host %q", os.Getpid(), host), "--url")
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	openTest(t, file, time.Now)
	for _, name := range []string{file, file + ".lock"} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v (%v), want it readable by its owner alone", name, info.Mode(), err)
		}
	}
}

func TestOpen_RefusesAnotherHostUntilItIsSilent(t *testing.T) {
	file := tempFile(t)
	h := &hand{at: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	left := fmt.Sprintf("elsewhere 4711 %d\n", h.now().UnixMilli())
	if err := os.WriteFile(file+".lock", []byte(left), 0o600); err != nil {
		t.Fatal(err)
	}
	h.add(30 * time.Second)
	_, err := Open(file, Options{Now: h.now, Host: "here"})
	wantError(t, err, `process 4711 on host "elsewhere", seen 30s ago`, "wait 1m0s", file+".lock")
	h.add(30 * time.Second)
	openTest(t, file, h.now)
}

func TestOpen_TakesOverWhatItsOwnHostLeftInACrash(t *testing.T) {
	file := tempFile(t)
	if err := os.WriteFile(file+".lock", fmt.Appendf(nil, "here 4711 %d\n", time.Now().UnixMilli()), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Open(file, Options{Host: "here"})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Errorf("closing twice: %v", err)
	}
	if text, err := os.ReadFile(file + ".lock"); len(text) != 0 || err != nil {
		t.Errorf("lock says %q (%v), want nothing after a clean end", text, err)
	}
}

func TestLock_BeatsWhileItIsHeld(t *testing.T) {
	file := tempFile(t)
	synctest.Test(t, func(t *testing.T) {
		l, err := takeLock(file, "here", time.Now)
		if err != nil {
			t.Fatal(err)
		}
		<-time.After(3*lockBeat + time.Second)
		text, err := os.ReadFile(file + ".lock")
		want := fmt.Sprintf("here %d %d\n", os.Getpid(), time.Now().Add(-time.Second).UnixMilli())
		if string(text) != want || err != nil {
			t.Errorf("lock says %q (%v), want %q", text, err, want)
		}
		if err := l.release(); err != nil {
			t.Error(err)
		}
	})
}

func TestOpen_RefusesNetworkFileSystems(t *testing.T) {
	kind := func(magic int64, err error) func(string) (int64, error) {
		return func(string) (int64, error) { return magic, err }
	}
	wantError(t, refuseNetwork("/data", kind(0x6969, nil)), "/data lies on NFS", "local disk")
	wantError(t, refuseNetwork("/data", kind(0xff534d42, nil)), "CIFS")
	wantError(t, refuseNetwork("/data", kind(0, os.ErrNotExist)), "looking at the file system of /data")
	if err := refuseNetwork("/data", kind(0xef53, nil)); err != nil {
		t.Errorf("a local disk is refused: %v", err)
	}
	_, err := Open(filepath.Join(t.TempDir(), "absent", "journal.db"), Options{})
	wantError(t, err, "following the links of its folder", "no such file")
}

func TestOpen_TakesOddFileNames(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a b?c#d%41;é.db")
	s := openTest(t, file, time.Now)
	accept(t, s, firing("a", 1))
	if info, err := os.Stat(file); err != nil || info.Size() == 0 {
		t.Errorf("%s: %v, want the journal there", file, err)
	}
	ro, err := OpenReadOnly(file)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(orphans(t, ro)); n != 1 {
		t.Errorf("%d episodes, want 1", n)
	}
	if err := ro.Close(); err != nil {
		t.Error(err)
	}
}

func TestOpen_RefusesWhatIsNoJournal(t *testing.T) {
	file := tempFile(t)
	if err := os.WriteFile(file, []byte(strings.Repeat("not a database ", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Open(file, Options{})
	wantError(t, err, file, "not a database")
	other := tempFile(t)
	db, err := sql.Open("sqlite", dsn(other))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("create table theirs (x)"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = Open(other, Options{})
	wantError(t, err, "holds 1 tables, but no meta")
}

func TestMigrate_GoesForwardOnly(t *testing.T) {
	file := tempFile(t)
	s := openTest(t, file, time.Now)
	ctx := t.Context()
	more := append(migrations(), "create table extra (x); insert into extra values (7)")
	if err := migrate(ctx, s.write, append(more, "create table half (x); insert into nowhere values (1)"), time.Now()); err == nil {
		t.Fatal("a broken migration went through")
	}
	version, err := schemaVersion(ctx, s.write)
	if version != len(more) || err != nil {
		t.Fatalf("version = %d (%v), want %d: each migration is a transaction of its own", version, err, len(more))
	}
	var halves, x int
	err = s.write.QueryRow("select (select count(*) from sqlite_master where name = 'half'), x from extra").Scan(&halves, &x)
	if halves != 0 || x != 7 || err != nil {
		t.Errorf("%d halves, x = %d (%v): want nothing of the broken one", halves, x, err)
	}
	if err := migrate(ctx, s.write, more, time.Now()); err != nil {
		t.Errorf("what is up to date is left alone: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = Open(file, Options{})
	wantError(t, err, "schema version is 3, this program knows up to 2", "newer heal-receiver")
	_, err = OpenReadOnly(file)
	wantError(t, err, "schema version is 3")
}

func TestOpenReadOnly_ReadsAndRefusesChanges(t *testing.T) {
	file := tempFile(t)
	_, err := OpenReadOnly(file)
	wantError(t, err, "no such file")
	s := openTest(t, file, time.Now)
	h := &hand{at: time.Now()}
	id := incident(t, s, h, "shop")
	ro, err := OpenReadOnly(file) // beside the server
	if err != nil {
		t.Fatal(err)
	}
	if got := read(t, ro, id); got.Incident.Service != "shop" {
		t.Errorf("read %+v, want the incident", got.Incident)
	}
	if err := errors.Join(ro.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
	ro, err = OpenReadOnly(file) // after it
	if err != nil {
		t.Fatal(err)
	}
	defer ro.Close()
	if c, err := ro.Counts(t.Context()); c.InboxBytes == 0 || err != nil {
		t.Errorf("counts = %+v (%v), want the inbox", c, err)
	}
	if _, _, err := ro.Verify(t.Context()); err != nil {
		t.Error(err)
	}
	_, err = ro.Accept(t.Context(), healer.Notification{Source: "main"})
	wantError(t, err, "for reading only")
	if _, err := ro.read.Exec("delete from inbox"); err == nil {
		t.Error("the file was written to")
	}
	empty := tempFile(t)
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = OpenReadOnly(empty)
	wantError(t, err, fmt.Sprintf("schema version is 0, want %d", len(migrations())), "start heal-receiver once")
}

// TestChange_ReadsAgainAfterACommitOfUnknownOutcome breaks the commit itself.
func TestChange_ReadsAgainAfterACommitOfUnknownOutcome(t *testing.T) {
	s := openTest(t, tempFile(t), time.Now)
	h := &hand{at: time.Now().Add(-time.Second)}
	id := incident(t, s, h, "shop")
	ctx := t.Context()
	broken := errors.New("disk I/O error")
	_, claim, err := s.ClaimIncident(ctx, "w0", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	update(t, s, id, func(c *healer.Case) {
		r := running("R", "node:n", c.Now)
		r.State, r.Claim = "ready", healer.Claim{}
		c.Runs = append(c.Runs, r)
		c.Messages = append(c.Messages, healer.Message{ID: "M1", Sink: "a", Dedup: "1"}, healer.Message{ID: "M2", Sink: "a", Dedup: "2"})
	})
	for name, act := range map[string]func() error{
		"accept": func() error { _, err := s.Accept(ctx, healer.Notification{Source: "x"}); return err },
		"refuse": func() error { return s.Refuse(ctx, "x", nil, "bad") },
		"update": func() error {
			return s.Update(ctx, id, "", claim, func(c *healer.Case) error { c.Incident.Rung++; return nil })
		},
		"audit": func() error {
			return s.Update(ctx, id, "", healer.Claim{}, func(c *healer.Case) error {
				c.Entries = append(c.Entries, healer.Entry{Actor: "me", Event: "looked"})
				return nil
			})
		},
		"claim run": func() error { _, run, _, err := s.ClaimRun(ctx, "w", 0); return errors.Join(err, want(run == "R")) },
		"delivered": func() error { return s.Delivered(ctx, "M1", nil, time.Time{}) },
		"not delivered": func() error {
			return s.Delivered(ctx, "M2", broken, time.Now())
		},
	} {
		s.commit = func(tx *sql.Tx) error { return errors.Join(tx.Rollback(), broken) }
		if err := act(); !errors.Is(err, broken) {
			t.Errorf("%s: %v, want the error: nothing was kept", name, err)
		}
		s.commit = func(tx *sql.Tx) error { return errors.Join(tx.Commit(), broken) }
		if err := act(); err != nil {
			t.Errorf("%s: %v, want success: it was kept", name, err)
		}
	}
	s.commit = (*sql.Tx).Commit
	if c := read(t, s, id); c.Incident.Rung != 1 {
		t.Errorf("rung = %d, want 1: kept once", c.Incident.Rung)
	}
	if seq, _, err := s.Verify(ctx); seq != 1 || err != nil {
		t.Errorf("audit has %d entries (%v), want 1", seq, err)
	}
}

func want(ok bool) error {
	if !ok {
		return errors.New("not as wanted")
	}
	return nil
}

func TestChange_KeepsNothingOfACancelledRequest(t *testing.T) {
	s := openTest(t, tempFile(t), time.Now)
	ctx, cancel := context.WithCancel(t.Context())
	s.commit = func(tx *sql.Tx) error { cancel(); return tx.Commit() }
	if _, err := s.Accept(ctx, healer.Notification{Source: "main", Alerts: []healer.Alert{firing("a", 1)}}); !errors.Is(err, context.Canceled) {
		t.Errorf("accept: %v, want cancelled", err)
	}
	s.commit = (*sql.Tx).Commit
	if _, err := s.Accept(ctx, healer.Notification{Source: "main"}); !errors.Is(err, context.Canceled) {
		t.Errorf("accept: %v, want cancelled", err)
	}
	if open := orphans(t, s); len(open) != 0 {
		t.Errorf("open = %+v, want nothing of it", open)
	}
	accept(t, s, firing("a", 1))
}

func TestAccept_DiskFullKeepsTheOldState(t *testing.T) {
	s := openTest(t, tempFile(t), time.Now)
	h := &hand{at: time.Now()}
	id := incident(t, s, h, "shop")
	before, err := s.Counts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var pages int
	if err := s.write.QueryRow("pragma page_count").Scan(&pages); err != nil {
		t.Fatal(err)
	}
	limit := func(pages int) {
		if _, err := s.write.Exec(fmt.Sprintf("pragma max_page_count = %d", pages)); err != nil {
			t.Fatal(err)
		}
	}
	limit(pages)
	big := strings.Repeat("x", 1<<20)
	_, err = s.Accept(t.Context(), healer.Notification{Source: "main", Body: []byte(big), Alerts: []healer.Alert{firing("a", 1)}})
	wantError(t, err, "accepting a notification", "full")
	err = s.Update(t.Context(), id, "", healer.Claim{}, func(c *healer.Case) error {
		full(c)
		c.Runs[0].PlanText = big
		return nil
	})
	wantError(t, err, "updating incident", "full")
	if after, err := s.Counts(t.Context()); err != nil || after.InboxBytes != before.InboxBytes || after.EpisodesOpen["main"] != 1 {
		t.Errorf("counts = %+v (%v), want them as before, %+v", after, err, before)
	}
	if c := read(t, s, id); len(c.Runs) != 0 || c.Incident.State != "locating" {
		t.Errorf("incident = %+v, want it as before", c.Incident)
	}
	limit(1 << 30)
	if got := accept(t, s, firing("a", 1)); got.Opened != 1 {
		t.Errorf("accepted %+v once there was room, want opened", got)
	}
}

func TestVerify_NamesTheFirstEntryThatWasTouched(t *testing.T) {
	ctx := t.Context()
	s := openTest(t, tempFile(t), time.Now)
	h := &hand{at: time.Now()}
	id := incident(t, s, h, "shop")
	const last = verifyPage + 3 // more than one page
	update(t, s, id, func(c *healer.Case) {
		for i := range last {
			c.Entries = append(c.Entries, healer.Entry{Actor: "me", Event: "looked", Body: fmt.Sprint(i)})
		}
	})
	if seq, _, err := s.Verify(ctx); seq != last || err != nil {
		t.Fatalf("verified %d entries (%v), want %d", seq, err, last)
	}
	for touch, want := range map[string]string{
		"update audit set body = '{}' where seq = 5":                  "entry 5 was changed",
		"update audit set actor = 'm', event = 'elooked' where seq=6": "entry 6 was changed", // moved from field to field
		"update audit set incident = null where seq = 7":              "entry 7 was changed",
		"update audit set at = at + 1 where seq = 8":                  "entry 8 was changed",
		"update audit set prev = 'x' where seq = 9":                   "entry 9 names",
		"delete from audit where seq = 10":                            "entry 10 is missing",
		"delete from audit where seq = 1003":                          "it ends at entry 1002",
		"update chain_head set hash = 'x'":                            "but the head says 1003",
	} {
		tx, err := s.write.Begin()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(touch); err != nil {
			t.Fatal(err)
		}
		_, _, err = verifyIn(ctx, tx)
		wantError(t, err, want)
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDigest_IsUnambiguous(t *testing.T) {
	a := healer.Entry{Seq: 1, At: source(1), Incident: "ab", Run: "c"}
	b := healer.Entry{Seq: 1, At: source(1), Incident: "a", Run: "bc"}
	if digest(a) == digest(b) {
		t.Error("two different entries have one hash")
	}
	a = healer.Entry{Seq: 1, At: time.UnixMilli(1_772_366_400_000), Incident: "I1", Run: "R1", Actor: "ann", Event: "acked", Code: "taken", Body: "{}"}
	if got, want := digest(a), "49b2867dd26eac0c5c83ce01b88c956a424d0db56742a56fde4e2c6272a50f4e"; got != want {
		t.Errorf("digest = %s, want %s: journals that exist could no longer be verified", got, want)
	}
}

func TestStore_StaysTheSameOverARestart(t *testing.T) {
	file := tempFile(t)
	h := &hand{at: time.Now().UTC().Truncate(time.Millisecond)}
	s := openTest(t, file, h.now)
	id := incident(t, s, h, "shop")
	update(t, s, id, full)
	update(t, s, id, func(c *healer.Case) {
		c.Entries = append(c.Entries, healer.Entry{Actor: "me", Event: "looked"})
	})
	accept(t, s, firing("open", 1), resolved("ended", 1, 9))
	reconcile(t, s, firing("open", 1))
	before, counts := read(t, s, id), must(s.Counts(t.Context()))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openTest(t, file, h.now)
	if diff := cmp.Diff(before, read(t, s, id)); diff != "" {
		t.Errorf("case (-before +after):\n%s", diff)
	}
	if diff := cmp.Diff(counts, must(s.Counts(t.Context()))); diff != "" {
		t.Errorf("counts (-before +after):\n%s", diff)
	}
	if got := accept(t, s, firing("ended", 5)); got.Stale != 1 {
		t.Errorf("accepted %+v, want stale: the end is remembered", got)
	}
	reconcile(t, s)
	if n := len(orphans(t, s)); n != 1 {
		t.Errorf("%d episodes are open, want 1: the first reading after a start closes nothing", n)
	}
	reconcile(t, s)
	if n := len(orphans(t, s)); n != 0 {
		t.Errorf("%d episodes are open, want 0", n)
	}
	update(t, s, id, func(c *healer.Case) {
		c.Entries = append(c.Entries, healer.Entry{Actor: "me", Event: "looked again"})
	})
	if seq, _, err := s.Verify(t.Context()); seq != 2 || err != nil {
		t.Errorf("verified %d entries (%v), want 2: the chain goes on", seq, err)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestClose_WaitsForTheChangeUnderWay(t *testing.T) {
	file := tempFile(t)
	s := openTest(t, file, time.Now)
	id := incident(t, s, &hand{at: time.Now()}, "shop")
	inside, closed := make(chan struct{}), make(chan error)
	go func() {
		<-inside
		closed <- s.Close()
	}()
	update(t, s, id, func(c *healer.Case) {
		close(inside)
		for s.using.TryRLock() { // until Close waits
			s.using.RUnlock()
			runtime.Gosched()
		}
		select {
		case <-closed:
			t.Error("closed in the middle of a change")
		default:
		}
		c.Incident.Rung = 7
	})
	if err := <-closed; err != nil {
		t.Fatal(err)
	}
	if c := read(t, openTest(t, file, time.Now), id); c.Incident.Rung != 7 {
		t.Errorf("rung = %d, want 7", c.Incident.Rung)
	}
	wantError(t, s.Update(t.Context(), id, "", healer.Claim{}, func(*healer.Case) error { return nil }), "closed")
}

func TestClock_StandsStillWhileTheHostsIsBack(t *testing.T) {
	h := &hand{at: time.Date(2026, 3, 1, 12, 0, 0, 999_999, time.UTC)}
	s := openTest(t, tempFile(t), h.now)
	for _, step := range []struct {
		add, behind time.Duration
		now         string
	}{
		{0, 0, "12:00:00"},
		{time.Second, 0, "12:00:01"},
		{-time.Minute, time.Minute, "12:00:01"},
		{30 * time.Second, 30 * time.Second, "12:00:01"},
		{31 * time.Second, 0, "12:00:02"},
	} {
		h.add(step.add)
		behind := s.Behind()
		now, _ := s.clock.read()
		if behind != step.behind || now.Format(time.TimeOnly) != step.now || now.Nanosecond()%int(time.Millisecond) != 0 {
			t.Errorf("after %v: %v, %v behind, want %s, %v behind", step.add, now, behind, step.now, step.behind)
		}
	}
	var ids []string
	for range 1000 {
		now, _ := s.clock.read()
		ids = append(ids, s.newID(now))
	}
	if !slices.IsSorted(ids) || len(slices.Compact(ids)) != 1000 {
		t.Error("ids do not rise")
	}
}

// TestRead_NamesTheColumnThatIsBroken lets somebody else have written the file.
func TestRead_NamesTheColumnThatIsBroken(t *testing.T) {
	s := openTest(t, tempFile(t), time.Now)
	id := incident(t, s, &hand{at: time.Now()}, "shop")
	update(t, s, id, full)
	for column, table := range map[string]string{
		"verdict": "incident", "opened_at": "incident", "rung": "incident", "fault_start_error": "incident",
		"labels": "episode", "seen_at": "episode", "plan_text": "run", "intent_at": "step", "output": "step", "numbers": "decision", "since": "mitigation",
	} {
		tx, err := s.write.Begin()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(fmt.Sprintf("pragma foreign_keys = off; update %s set %s = x'7b'", table, column)); err != nil {
			t.Fatal(err)
		}
		_, err = loadCase(t.Context(), tx, id, time.Now())
		if column == "plan_text" || column == "output" {
			if err != nil { // bytes are a text, too
				t.Errorf("%s: %v", column, err)
			}
		} else {
			wantError(t, err, "reading "+table, "column "+column)
		}
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestClean_KeepsTextThatEveryDialectKeeps(t *testing.T) {
	for in, want := range map[string]string{"": "", "plain": "plain", "ü\n\"": "ü\n\"", "a\x00b": "a\ufffdb", "\xff\xfe": "\ufffd", "a\xc3": "a\ufffd"} {
		if got := clean(in); got != want || clean(got) != got {
			t.Errorf("clean(%q) = %q, want %q", in, got, want)
		}
	}
}

// TestInbox_KeepsWhatCameAsItCame reads the rows that a person would read after
// a fault of the receiver.
func TestInbox_KeepsWhatCameAsItCame(t *testing.T) {
	h := &hand{at: time.UnixMilli(1_772_366_400_123)}
	s := openTest(t, tempFile(t), h.now)
	long := strings.Repeat("é", badBody)
	for _, n := range []healer.Notification{
		{Source: "main", Body: []byte("{\"version\":\"4\",\n \"odd\": \"ü\"}")},
		{Source: "other", Body: nil},
		{Source: "main", Body: []byte(strings.Repeat(" ", 4<<20))},
	} {
		if _, err := s.Accept(t.Context(), n); err != nil {
			t.Fatal(err)
		}
		h.add(time.Second)
	}
	for _, body := range []string{"<html>", long} {
		if err := s.Refuse(t.Context(), "main", []byte(body), "not JSON"); err != nil {
			t.Fatal(err)
		}
		h.add(time.Second)
	}
	rows, err := s.read.Query("select received_at, source, size, length(cast(body as blob)), substr(body, 1, 6), state, error from inbox order by received_at")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var got []string
	for rows.Next() {
		var at, size, length int64
		var source, begin, state, reason string
		if err := rows.Scan(&at, &source, &size, &length, &begin, &state, &reason); err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%d %s %d %d %q %s %q", at, source, size, length, begin, state, reason))
	}
	want := []string{
		`1772366400123 main 29 29 "{\"vers" done ""`,
		`1772366401123 other 0 0 "" done ""`,
		`1772366402123 main 4194304 4194304 "      " done ""`,
		`1772366403123 main 6 6 "<html>" bad "not JSON"`,
		`1772366404123 main 65536 65536 "éééééé" bad "not JSON (the first 65536 of 131072 bytes are kept)"`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("inbox (-want +got):\n%s", diff)
	}
}

// TestLocks_AreHeldThroughTheLifeOfARun walks the live states of a run: locks
// and slot stay until it ends, but for what unresolved gives back.
func TestLocks_AreHeldThroughTheLifeOfARun(t *testing.T) {
	h := &hand{at: time.Now()}
	s := openTest(t, tempFile(t), h.now)
	id := incident(t, s, h, "shop")
	update(t, s, id, func(c *healer.Case) {
		r := running("R", "node:n1", c.Now)
		r.State, r.Claim, r.Locks, r.Slots = "awaiting_approval", healer.Claim{}, nil, nil
		c.Runs = append(c.Runs, r)
	})
	for _, step := range []struct {
		state        healer.RunState
		locks, slots int
	}{
		{"awaiting_approval", 0, 0},
		{"ready", 0, 0},
		{"running", 2, 1},
		{"verifying", 2, 1},
		{"held", 2, 1},
		{"undoing", 2, 1},
		{"unresolved", 2, 0},
		{"failed", 0, 0},
	} {
		update(t, s, id, func(c *healer.Case) {
			r := &c.Runs[0]
			r.State = step.state
			switch step.state {
			case "running":
				r.Claim = healer.Claim{Owner: "me", Fence: 1, LeaseUntil: c.Now.Add(time.Minute)}
				r.Locks, r.Slots = []string{"service:shop", "node:n1"}, []healer.Slot{{Scope: "all", Max: 1}}
			case "failed":
				r.EndedAt, r.DueAt = c.Now, time.Time{}
			}
		})
		r := read(t, s, id).Runs[0]
		if len(r.Locks) != step.locks || len(r.Slots) != step.slots {
			t.Errorf("%s: the run holds %v and %v, want %d locks and %d slots", step.state, r.Locks, r.Slots, step.locks, step.slots)
		}
	}
}

// TestOpen_MakesTheWholeSchema names the tables that a new journal has.
func TestOpen_MakesTheWholeSchema(t *testing.T) {
	s := openTest(t, tempFile(t), time.Now)
	var tables string
	err := s.read.QueryRow("select group_concat(name, ' ') from (select name from sqlite_master where type = 'table' order by name)").Scan(&tables)
	want := "action_event alert_key approval audit budget chain_head checkpoint decision demotion drill duty episode hold inbox incident instant " +
		"meta mitigation outbox own_silence replica run slot step target_lock verify_sample watchdog"
	if tables != want || err != nil {
		t.Errorf("tables = %s (%v)\nwant     %s", tables, err, want)
	}
	if version, err := schemaVersion(t.Context(), s.read); version != len(migrations()) || err != nil {
		t.Errorf("version = %d (%v), want %d", version, err, len(migrations()))
	}
}
