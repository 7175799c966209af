package journal

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/onefiveten/onefiveten/healer"
)

// The kill tests start this test program again as a child, which works on a
// journal, says on its output what it was answered, and kills itself (or is
// killed) with SIGKILL. The parent then opens the file and judges it.
const (
	killFile  = "JOURNAL_KILL_FILE"
	killPoint = "JOURNAL_KILL_POINT" // NAME/before or NAME/after; "" = works until it is killed
)

func TestMain(m *testing.M) {
	if file := os.Getenv(killFile); file != "" {
		os.Exit(child(file, os.Getenv(killPoint)))
	}
	os.Exit(m.Run())
}

// stage is one transaction of a run's life, by the name of its kill point.
type stage struct {
	name string
	do   func(ctx context.Context, s *Store) error
}

// life is what the child does, in order.
func life() []stage {
	const lease = time.Minute
	by := healer.Claim{Owner: "w", Fence: 1}
	edit := func(change func(c *healer.Case, r *healer.Run)) func(context.Context, *Store) error {
		return func(ctx context.Context, s *Store) error {
			return s.Update(ctx, "I-shop", "R", by, func(c *healer.Case) error {
				change(c, &c.Runs[0])
				c.Entries = append(c.Entries, healer.Entry{Run: "R", Actor: "heal-receiver", Event: "step"})
				return nil
			})
		}
	}
	return []stage{
		{"accept", func(ctx context.Context, s *Store) error {
			_, err := s.Accept(ctx, healer.Notification{Source: "main", Body: []byte("{}"), Alerts: []healer.Alert{firing("a", 1), firing("b", 1)}})
			return err
		}},
		{"open", func(ctx context.Context, s *Store) error {
			open, err := s.Orphans(ctx)
			if err != nil {
				return err
			}
			return s.Join(ctx, fresh("shop", time.Now()), []string{open[0].ID, open[1].ID}, func(c *healer.Case) error {
				c.Entries = append(c.Entries, healer.Entry{Actor: "heal-receiver", Event: "opened"})
				return nil
			})
		}},
		{"claim", func(ctx context.Context, s *Store) error {
			_, _, err := s.ClaimIncident(ctx, "w", lease)
			return err
		}},
		{"decide", func(ctx context.Context, s *Store) error {
			return s.Update(ctx, "I-shop", "", by, decideRun)
		}},
		{"intent", edit(func(c *healer.Case, r *healer.Run) {
			r.Steps = append(r.Steps, healer.Step{Phase: "act", Try: 1, Fence: 1, What: "drain", IntentAt: c.Now})
			c.Mitigations = append(c.Mitigations, healer.Mitigation{ID: "M", Run: "R", Service: "shop", Target: r.Target, Kind: "isolate", State: "unknown", ReleaseManual: true})
		})},
		{"outcome", edit(func(c *healer.Case, r *healer.Run) {
			r.Steps[0].Outcome, r.Steps[0].FinishedAt = healer.OK, c.Now
			r.State, r.FenceAt = "verifying", c.Now
		})},
		{"verify", edit(func(c *healer.Case, r *healer.Run) {
			r.Samples = append(r.Samples, healer.Sample{At: c.Now, Answer: healer.Good, Numbers: "{}"})
		})},
		{"end", edit(func(c *healer.Case, r *healer.Run) {
			r.State, r.EndedAt, r.DueAt = "succeeded", c.Now, time.Time{}
			r.Claim.Owner, r.Claim.LeaseUntil = "", time.Time{}
			c.Mitigations[0].State = "held"
			c.Incident.State, c.Incident.NextAt = "recovered", c.Now.Add(time.Minute)
		})},
	}
}

// decideRun is the transaction of decision, run, lock, slot and message.
func decideRun(c *healer.Case) error {
	r := running("R", "node:n1", c.Now)
	r.Claim.Owner = "w"
	c.Runs = append(c.Runs, r)
	c.Decisions = append(c.Decisions, healer.Decision{ID: "D", Plan: r.Plan, Target: r.Target, Verb: "act", Code: "act", Run: "R"})
	c.Incident.State, c.Incident.NextAt = "acting", time.Time{}
	c.Messages = append(c.Messages, healer.Message{ID: "O", Kind: "tell", Sink: "ops", Dedup: "acting"})
	c.Instants = append(c.Instants, healer.Instant{Name: "acted", At: c.Now, Source: "store"})
	c.Entries = append(c.Entries, healer.Entry{Run: "R", Actor: "heal-receiver", Event: "decided"})
	return nil
}

func child(file, point string) int {
	s, err := Open(file, Options{})
	if err != nil {
		fmt.Println("error", err)
		return 1
	}
	name, when, _ := strings.Cut(point, "/")
	current := ""
	s.commit = func(tx *sql.Tx) error {
		if current == name && when == "before" {
			die()
		}
		err := tx.Commit()
		if current == name && when == "after" {
			die()
		}
		return err
	}
	if point == "" {
		return flood(s)
	}
	for _, stage := range life() {
		current = stage.name
		if err := stage.do(context.Background(), s); err != nil {
			fmt.Println("error", stage.name, err)
			return 1
		}
		fmt.Println("answered", stage.name)
	}
	return 0
}

func die() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {} // the signal is on its way; nothing may be done meanwhile
}

// flood accepts until it is killed.
func flood(s *Store) int {
	for i := range 1_000_000 {
		got, err := s.Accept(context.Background(), healer.Notification{
			Source: "main", Body: []byte("{}"),
			Alerts: []healer.Alert{firing("x"+strconv.Itoa(i), i), firing("all", i)},
		})
		if err != nil {
			fmt.Println("error", err)
			return 1
		}
		fmt.Println("answered", got.ID)
	}
	return 0
}

// startChild runs the child and gives the lines that it was answered. each is
// called after every line and says when to kill it.
func startChild(t *testing.T, file, point string, each func(n int) (kill bool)) []string {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), killFile+"="+file, killPoint+"="+point)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var answered []string
	for lines := bufio.NewScanner(out); lines.Scan(); {
		word, rest, _ := strings.Cut(lines.Text(), " ")
		if word != "answered" {
			t.Errorf("child: %s", lines.Text())
			continue
		}
		answered = append(answered, rest)
		if each(len(answered)) {
			if err := cmd.Process.Kill(); err != nil {
				t.Error(err)
			}
		}
	}
	err = cmd.Wait()
	if state, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || state.Signal() != syscall.SIGKILL {
		t.Errorf("child ended with %v, want it killed", err)
	}
	return answered
}

// sound opens what a killed process has left and judges it as a whole.
func sound(t *testing.T, file string) *Store {
	t.Helper()
	s := openTest(t, file, time.Now)
	var verdict string
	if err := s.write.QueryRow("pragma integrity_check").Scan(&verdict); err != nil || verdict != "ok" {
		t.Errorf("integrity: %s (%v)", verdict, err)
	}
	rows, err := s.write.Query("pragma foreign_key_check")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	if rows.Next() {
		t.Error("a row refers to one that is not there")
	}
	if _, _, err := s.Verify(t.Context()); err != nil {
		t.Error(err)
	}
	return s
}

// state tells what the journal holds of the child's life, in one line.
func state(t *testing.T, s *Store) string {
	t.Helper()
	count := func(query string) (n int) {
		if err := s.read.QueryRow(query).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	line := ""
	for _, q := range []struct{ name, query string }{
		{"inbox", "select count(*) from inbox"},
		{"episodes", "select count(*) from episode"},
		{"joined", "select count(*) from episode where incident is not null"},
		{"incidents", "select count(*) from incident"},
		{"claimed", "select count(*) from incident where fence = 1"},
		{"runs", "select count(*) from run"},
		{"locks", "select count(*) from target_lock"},
		{"slots", "select count(*) from slot"},
		{"decisions", "select count(*) from decision"},
		{"messages", "select count(*) from outbox"},
		{"instants", "select count(*) from instant"},
		{"intents", "select count(*) from step"},
		{"mitigations", "select count(*) from mitigation"},
		{"held", "select count(*) from mitigation where state = 'held'"},
		{"outcomes", "select count(*) from step where outcome = 'ok'"},
		{"samples", "select count(*) from verify_sample"},
		{"ended", "select count(*) from run where ended_at is not null"},
		{"audit", "select count(*) from audit"},
	} {
		if n := count(q.query); n > 0 {
			line += fmt.Sprintf("%s %d ", q.name, n)
		}
	}
	return strings.TrimSpace(line)
}

func TestKill_WhatWasAnsweredIsThereAndNothingIsHalf(t *testing.T) {
	const accepted, opened = "inbox 1 episodes 2", "inbox 1 episodes 2 joined 2 incidents 1"
	const decided = opened + " claimed 1 runs 1 locks 2 slots 1 decisions 1 messages 1 instants 1"
	ended := strings.Replace(decided, "locks 2 slots 1 ", "", 1)
	after := map[string]string{ // what is there once a stage has been committed
		"":        "",
		"accept":  accepted,
		"open":    opened + " audit 1",
		"claim":   opened + " claimed 1 audit 1",
		"decide":  decided + " audit 2",
		"intent":  decided + " intents 1 mitigations 1 audit 3",
		"outcome": decided + " intents 1 mitigations 1 outcomes 1 audit 4",
		"verify":  decided + " intents 1 mitigations 1 outcomes 1 samples 1 audit 5",
		"end":     ended + " intents 1 mitigations 1 held 1 outcomes 1 samples 1 ended 1 audit 6",
	}
	last := ""
	for i, stage := range life() {
		for when, want := range map[string]string{"before": after[last], "after": after[stage.name]} {
			t.Run(stage.name+"/"+when, func(t *testing.T) {
				t.Parallel()
				file := tempFile(t)
				answered := startChild(t, file, stage.name+"/"+when, func(int) bool { return false })
				if len(answered) != i {
					t.Errorf("answered %v, want the %d stages before", answered, i)
				}
				if got := state(t, sound(t, file)); got != want {
					t.Errorf("the journal holds\n  %s\nwant\n  %s", got, want)
				}
			})
		}
		last = stage.name
	}
}

func TestKill_LeavesAFileThatCanBeReadWithoutAServer(t *testing.T) {
	file := tempFile(t)
	startChild(t, file, "decide/after", func(int) bool { return false })
	s, err := OpenReadOnly(file) // nobody has folded the WAL into the file
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c := read(t, s, "I-shop")
	if seq, _, err := s.Verify(t.Context()); seq != 2 || err != nil || len(c.Runs) != 1 || len(c.Runs[0].Locks) != 2 {
		t.Errorf("read %d entries (%v) and runs %+v, want what was committed last", seq, err, c.Runs)
	}
}

func TestKill_LosesNoAnsweredNotification(t *testing.T) {
	file := tempFile(t)
	ids := map[string]bool{}
	for round := range 3 { // on the same file, killed in the middle of whatever it does
		for _, id := range startChild(t, file, "", func(n int) bool { return n == 20+31*round }) {
			ids[id] = true
		}
	}
	s := sound(t, file)
	for id := range ids {
		var one int
		if err := s.read.QueryRow("select 1 from inbox where id = ?", id).Scan(&one); err != nil {
			t.Errorf("notification %s was answered, but is not there: %v", id, err)
		}
	}
	var rows, keys int
	err := s.read.QueryRow("select (select count(*) from inbox), (select count(*) from alert_key)").Scan(&rows, &keys)
	if err != nil || rows < len(ids) || rows > len(ids)+3 {
		t.Errorf("%d notifications are kept (%v), want the %d answered and at most one more of each round", rows, err, len(ids))
	}
	if n := len(orphans(t, s)); n != keys {
		t.Errorf("%d episodes of %d fingerprints, want one each", n, keys)
	}
}
