package journal

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/onefiveten/onefiveten/healer"
)

// testPulse: what was heard, what was said and the word itself are one transaction.
func testPulse(t *testing.T, s subject, h *hand) {
	ctx := context.Background()
	bark := healer.Notification{Source: "main", Body: []byte(`{"version":"4"}`), Watchdog: true}
	if list, err := s.Pulses(ctx); len(list) > 0 || err != nil {
		t.Fatalf("pulses of an empty journal = %+v (%v)", list, err)
	}
	if _, err := s.Accept(ctx, bark); err != nil {
		t.Fatal(err)
	}
	seen := h.now()
	silent := h.add(5 * time.Minute)
	for range 2 { // the second time the word is known already
		err := s.Pulse(ctx, "main", func(v *healer.Vigil) {
			if v.Now != silent || v.Pulse.SeenAt != seen {
				t.Errorf("got %+v, want it seen at %s, now %s", v, seen, silent)
			}
			v.Pulse.SilentAt, v.Pulse.SaidAt = v.Now, v.Now
			v.Messages = []healer.Message{{ID: healerID(v), Kind: "tell", Sink: "desk", Dedup: "watchdog/main/1", Body: "{}", CreatedAt: v.Now, NextAt: v.Now}}
			v.Entries = []healer.Entry{{At: v.Now, Actor: "heal-receiver", Event: "watchdog_silent", Body: "{}"}}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	back := h.add(time.Minute)
	if _, err := s.Accept(ctx, bark); err != nil {
		t.Fatal(err)
	}
	if err := s.Pulse(ctx, "other", func(*healer.Vigil) {}); err != nil {
		t.Fatal(err)
	}
	got, err := s.Pulses(ctx)
	want := []healer.Pulse{{Source: "main", SeenAt: back, SilentAt: silent, SaidAt: silent}, {Source: "other"}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("pulses: %v (-want +got):\n%s", err, diff)
	}
	due, err := s.DueMessages(ctx, 10)
	if len(due) != 1 || due[0].Incident != "" || err != nil {
		t.Errorf("due = %+v (%v), want one message of no incident", due, err)
	}
	if seq, _, err := s.Verify(ctx); seq != 2 || err != nil {
		t.Errorf("the audit trail ends at %d (%v), want 2", seq, err)
	}
}

// healerID is another one for each look.
func healerID(v *healer.Vigil) string { return "m" + v.Pulse.SaidAt.Format(time.RFC3339) }

// TestCounts_HoldsInForce: a hold that has ended or expired stops nothing.
func TestCounts_HoldsInForce(t *testing.T) {
	h := &hand{at: time.UnixMilli(1000)}
	s := openTest(t, tempFile(t), h.now)
	for _, row := range []string{
		"('a', 'pause', '{}', 'ann', 'r', 1, null, null, null)",
		"('b', 'pause', '{}', 'ann', 'r', 1, 1001, null, null)",
		"('c', 'maintenance', '{}', 'ann', 'r', 1, 1000, null, null)",
		"('d', 'kill', '{}', 'ann', 'r', 1, null, 2, 'bob')",
		"('e', 'breaker', '{}', 'heal-receiver', 'r', 1, null, null, null)",
	} {
		if _, err := s.write.Exec("insert into hold (id, kind, matchers, holder, reason, created_at, expires_at, ended_at, ended_by) values " + row); err != nil {
			t.Fatal(err)
		}
	}
	got, err := s.Counts(t.Context())
	if diff := cmp.Diff(map[string]int{"pause": 2, "breaker": 1}, got.Holds); diff != "" || err != nil {
		t.Errorf("holds: %v (-want +got):\n%s", err, diff)
	}
}
