package journal

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/onefiveten/onefiveten/healer"
)

// subject is what every dialect must be: the whole contract is judged through it.
type subject interface {
	healer.Store
	Verify(ctx context.Context) (seq int64, hash string, err error)
}

// TestSQLite runs the contract of a journal on SQLite. Another dialect passes
// its own open to testStore.
func TestSQLite(t *testing.T) {
	testStore(t, func(t *testing.T, now func() time.Time) subject {
		return openTest(t, filepath.Join(t.TempDir(), "journal.db"), now)
	})
}

// testStore is the contract suite. open gives an empty journal whose clock is now.
func testStore(t *testing.T, open func(t *testing.T, now func() time.Time) subject) {
	for name, test := range map[string]func(*testing.T, subject, *hand){
		"AcceptFollowsTheTable":                testAcceptTable,
		"AcceptTakesTheLatestOfAFingerprint":   testAcceptLatest,
		"AcceptRefusesWhatHasNoIdentity":       testAcceptRefuses,
		"RefuseKeepsABody":                     testRefuse,
		"ReconcileClosesWhatIsTwiceAbsent":     testReconcileGone,
		"ReconcileKeepsMutes":                  testReconcileMutes,
		"ReconcileOpensWhatWasLost":            testReconcileOpens,
		"ReconcileRaisesTheLatestStart":        testReconcileStart,
		"JoinOpensOneIncidentPerKey":           testJoin,
		"JoinLeavesEndedEpisodesAlone":         testJoinEnded,
		"JoinWritesTheIncidentAfterTheChange":  testJoinFresh,
		"AnEpisodeGivenBackIsAnOrphanAgain":    testGiveBack,
		"UpdateKeepsAllThatWasSaid":            testRoundTrip,
		"UpdateFillsWhatWasLeftEmpty":          testFill,
		"UpdateKeepsNothingAfterAnError":       testNothingKept,
		"UpdateRefusesALostClaim":              testFence,
		"UpdateNeverRemoves":                   testNeverRemoves,
		"LocksEndWithTheirRun":                 testLocks,
		"SlotsAreTakenLowestFirst":             testSlots,
		"OneRunAndOneMitigation":               testUnique,
		"AnEndedRunMakesRoomInTheSameChange":   testNextRun,
		"ClaimIncidentOrdersWork":              testClaimOrder,
		"ClaimIncidentLeases":                  testClaimLease,
		"ClaimRunFindsWhatNobodyDrives":        testClaimRun,
		"NothingIsClaimedWhileTheClockIsBack":  testClockBack,
		"RenewNeedsTheClaim":                   testRenew,
		"MessagesAreDeliveredAtLeastOnce":      testOutbox,
		"ThePulseOfASourceIsKept":              testPulse,
		"TheChainHoldsAndIsListed":             testChain,
		"WorldSeesOtherIncidents":              testWorld,
		"ListsAndCounts":                       testLists,
		"MitigationsOfTheServiceBelongToACase": testMitigations,
		"ConcurrentWritersLoseNothing":         testConcurrent,
		"AcceptAgreesWithAModel":               testAcceptModel,
		"ClaimsAreGivenOnce":                   testClaimRace,
		"SlotsAndLocksHoldInARace":             testSlotRace,
		"ReadersSeeWholeCases":                 testReaders,
		"AClosedRequestIsAnswered":             testCancelled,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := &hand{at: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
			test(t, open(t, h.now), h)
		})
	}
}

// hand is a clock that a test moves.
type hand struct {
	mu sync.Mutex
	at time.Time
}

func (h *hand) now() time.Time { h.mu.Lock(); defer h.mu.Unlock(); return h.at }

func (h *hand) add(d time.Duration) time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.at = h.at.Add(d)
	return h.at
}

func openTest(t testing.TB, file string, now func() time.Time) *Store {
	t.Helper()
	s, err := Open(file, Options{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// source is an instant of the source's clock, in seconds of its own epoch.
func source(seconds int) time.Time { return time.Unix(1_700_000_000+int64(seconds), 0).UTC() }

func firing(fingerprint string, start int) healer.Alert {
	return healer.Alert{
		Fingerprint: fingerprint, Firing: true, Trigger: true, StartsAt: source(start),
		Labels: map[string]string{"alertname": "FaultLocated", "service": "shop"},
	}
}

func resolved(fingerprint string, start, end int) healer.Alert {
	a := firing(fingerprint, start)
	a.Firing, a.EndsAt = false, source(end)
	return a
}

func accept(t testing.TB, s healer.Store, alerts ...healer.Alert) healer.Accepted {
	t.Helper()
	got, err := s.Accept(t.Context(), healer.Notification{Source: "main", Body: []byte(`{"version":"4"}`), Alerts: alerts})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func orphans(t testing.TB, s healer.Store) []healer.Episode {
	t.Helper()
	list, err := s.Orphans(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func reconcile(t testing.TB, s healer.Store, seen ...healer.Alert) {
	t.Helper()
	if err := s.Reconcile(t.Context(), "main", seen); err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, s healer.Store, id string) *healer.Case {
	t.Helper()
	c, err := s.Read(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func update(t testing.TB, s healer.Store, id string, change func(*healer.Case)) {
	t.Helper()
	err := s.Update(t.Context(), id, "", healer.Claim{}, func(c *healer.Case) error { change(c); return nil })
	if err != nil {
		t.Fatal(err)
	}
}

// fresh is an incident as the healer makes it; everything of it may be edited.
func fresh(service string, now time.Time) healer.Incident {
	return healer.Incident{
		ID: "I-" + service, Key: "prod/" + service, Cluster: "prod", Service: service, FaultStart: now.Add(-time.Minute),
		FaultStartSource: "startsAt", State: "locating", NextAt: now, Severity: 3,
	}
}

// incident opens an incident of a service by one alert of it.
func incident(t testing.TB, s healer.Store, h *hand, service string, edits ...func(*healer.Incident)) string {
	t.Helper()
	accept(t, s, firing("fp-"+service, 1))
	i := fresh(service, h.now())
	for _, edit := range edits {
		edit(&i)
	}
	open := orphans(t, s)
	err := s.Join(t.Context(), i, []string{open[len(open)-1].ID}, func(*healer.Case) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	return i.ID
}

// running is a run as mode auto makes it.
func running(id, target string, now time.Time) healer.Run {
	return healer.Run{
		ID: id, Plan: "drain", Kind: "isolate", PlanHash: "h", PlanText: "{}", Target: target, Attempt: 1, Mode: "auto",
		State: "running", DueAt: now.Add(time.Minute), Claim: healer.Claim{Owner: "me", Fence: 1, LeaseUntil: now.Add(15 * time.Second)},
		Locks: []string{"service:x" + id, target}, Slots: []healer.Slot{{Scope: "all", Max: 9}},
	}
}

// lockOf and slotsOf ask the World of a case.
func lockOf(t testing.TB, s healer.Store, id, target string) (run string) {
	t.Helper()
	update(t, s, id, func(c *healer.Case) {
		var err error
		if run, err = c.World.Lock(target); err != nil {
			t.Error(err)
		}
	})
	return run
}

func slotsOf(t testing.TB, s healer.Store, id, scope string) (n int) {
	t.Helper()
	update(t, s, id, func(c *healer.Case) {
		var err error
		if n, err = c.World.Slots(scope); err != nil {
			t.Error(err)
		}
	})
	return n
}

func endRun(c *healer.Case, i int) {
	r := &c.Runs[i]
	r.State, r.EndedAt, r.DueAt, r.Claim = "failed", c.Now, time.Time{}, healer.Claim{}
}

// --- accept

func testAcceptTable(t *testing.T, s subject, _ *hand) {
	opened, refreshed := healer.Accepted{Opened: 1}, healer.Accepted{Refreshed: 1}
	closed, stale, nothing := healer.Accepted{Closed: 1}, healer.Accepted{Stale: 1}, healer.Accepted{}
	for i, test := range []struct {
		name   string
		before []healer.Alert
		then   healer.Alert
		want   healer.Accepted
		start  int // of the open episode afterwards, 0 = none is open
	}{
		{"firing, none open, first ever: open", nil, firing("", 10), opened, 10},
		{"firing, none open, later than the last end: open", []healer.Alert{resolved("", 1, 10)}, firing("", 11), opened, 11},
		{"firing, none open, at the last end: stale", []healer.Alert{resolved("", 1, 10)}, firing("", 10), stale, 0},
		{"firing, none open, before the last end: stale", []healer.Alert{resolved("", 1, 10)}, firing("", 5), stale, 0},
		{"firing, open: refresh", []healer.Alert{firing("", 10)}, firing("", 10), refreshed, 10},
		{"firing, open, earlier start: it moves backwards", []healer.Alert{firing("", 10)}, firing("", 4), refreshed, 4},
		{"firing, open, later start: the earliest stays", []healer.Alert{firing("", 10)}, firing("", 20), refreshed, 10},
		{"resolved, open, after the latest start: close", []healer.Alert{firing("", 10)}, resolved("", 10, 11), closed, 0},
		{"resolved, open, at the latest start: stale", []healer.Alert{firing("", 10)}, resolved("", 5, 10), stale, 10},
		{"resolved, open, before the latest start: stale", []healer.Alert{firing("", 10), firing("", 20)}, resolved("", 10, 15), stale, 10},
		{"resolved, none open: only the end is kept", nil, resolved("", 1, 10), nothing, 0},
		{"resolved twice: the later end is kept", []healer.Alert{resolved("", 1, 20), resolved("", 1, 10)}, firing("", 15), stale, 0},
		{"closed and firing anew: open", []healer.Alert{firing("", 1), resolved("", 1, 10)}, firing("", 12), opened, 12},
		{"closed and the firing comes late: stale", []healer.Alert{firing("", 1), resolved("", 1, 10)}, firing("", 1), stale, 0},
	} {
		fingerprint := fmt.Sprintf("%016x", i)
		for _, a := range test.before {
			a.Fingerprint = fingerprint
			accept(t, s, a)
		}
		test.then.Fingerprint = fingerprint
		got := accept(t, s, test.then)
		if got.ID == "" {
			t.Errorf("%s: no id of the inbox row", test.name)
		}
		if diff := cmp.Diff(test.want, got, cmpopts.IgnoreFields(healer.Accepted{}, "ID")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
		start := 0
		for _, e := range orphans(t, s) {
			if e.Fingerprint == fingerprint {
				start = int(e.StartsAt.Sub(source(0)).Seconds())
			}
		}
		if start != test.start {
			t.Errorf("%s: an episode is open from %d, want %d", test.name, start, test.start)
		}
	}
	if all, err := s.Incidents(t.Context(), true, 0); err != nil || len(all) > 0 {
		t.Errorf("incidents = %v (%v), want none: accept opens no incident", all, err)
	}
	if seq, _, err := s.Verify(t.Context()); seq != 0 || err != nil {
		t.Errorf("audit has %d entries (%v), want none: accept writes none", seq, err)
	}
}

func testAcceptLatest(t *testing.T, s subject, h *hand) {
	first := firing("b", 1)
	first.Annotations = map[string]string{"summary": "old"}
	accept(t, s, first)
	seen := h.add(time.Second)
	again := firing("b", 1)
	again.Trigger, again.Labels = false, map[string]string{"alertname": "Other", "odd": "ü\n\x00"}
	got := accept(t, s, firing("c", 3), resolved("a", 1, 9), firing("a", 5), again, resolved("d", 1, 4), firing("d", 6))
	want := healer.Accepted{ID: got.ID, Opened: 2, Refreshed: 1} // a ended last, c and d fire
	if got != want {
		t.Errorf("accepted %+v, want %+v", got, want)
	}
	for _, e := range orphans(t, s) {
		if e.Fingerprint == "b" && (e.Trigger || e.Annotations != nil || !cmp.Equal(e.Labels, again.Labels) || !e.SeenAt.Equal(seen)) {
			t.Errorf("episode b = %+v, want labels, trigger and seen_at of the second message", e)
		}
	}
}

func testAcceptRefuses(t *testing.T, s subject, _ *hand) {
	for name, n := range map[string]healer.Notification{
		"no source":      {Alerts: []healer.Alert{firing("a", 1)}},
		"no fingerprint": {Source: "main", Alerts: []healer.Alert{firing("a", 1), firing("", 1)}},
		"no start":       {Source: "main", Alerts: []healer.Alert{firing("a", 1), {Fingerprint: "b", Firing: true}}},
		"no end":         {Source: "main", Alerts: []healer.Alert{firing("a", 1), {Fingerprint: "b", StartsAt: source(1)}}},
	} {
		if got, err := s.Accept(t.Context(), n); err == nil {
			t.Errorf("%s: accepted %+v, want an error", name, got)
		}
	}
	if open := orphans(t, s); len(open) > 0 {
		t.Errorf("episodes = %v, want none: what is refused leaves nothing", open)
	}
	if got := accept(t, s); got.ID == "" {
		t.Error("a notification without alerts is kept, too")
	}
}

func testRefuse(t *testing.T, s subject, _ *hand) {
	body := slices.Repeat([]byte("x"), badBody+1000)
	if err := s.Refuse(t.Context(), "main", body, "not JSON"); err != nil {
		t.Fatal(err)
	}
	if err := s.Refuse(t.Context(), "", []byte("a\x00\xffz"), "alerts are absent"); err != nil {
		t.Fatal(err)
	}
	c, err := s.Counts(t.Context())
	if want := int64(badBody + len("a\ufffd\ufffdz")); err != nil || c.InboxBytes != want {
		t.Errorf("inbox holds %d bytes (%v), want %d", c.InboxBytes, err, want)
	}
}

// --- reconcile

func testReconcileGone(t *testing.T, s subject, h *hand) {
	ctx := t.Context()
	accept(t, s, firing("a", 1), firing("b", 1))
	reconcile(t, s, firing("b", 1))
	if n := len(orphans(t, s)); n != 2 {
		t.Fatalf("%d episodes are open after one reading without a, want 2", n)
	}
	reconcile(t, s, firing("a", 1), firing("b", 1)) // seen again: counting begins anew
	reconcile(t, s, firing("b", 1))
	if n := len(orphans(t, s)); n != 2 {
		t.Fatalf("%d episodes are open, want 2: a was not absent twice in a row", n)
	}
	if err := s.Reconcile(ctx, "other", nil); err != nil {
		t.Fatal(err)
	}
	if err := s.Reconcile(ctx, "other", nil); err != nil {
		t.Fatal(err)
	}
	h.add(time.Minute)
	reconcile(t, s, firing("b", 1))
	if open := orphans(t, s); len(open) != 1 || open[0].Fingerprint != "b" {
		t.Fatalf("open = %+v, want b alone", open)
	}
	if got := accept(t, s, firing("a", 1)); got.Opened != 1 {
		t.Errorf("accepted %+v, want opened: gone leaves last_ends as it was", got)
	}
}

func testReconcileMutes(t *testing.T, s subject, h *hand) {
	accept(t, s, firing("a", 5))
	muted := firing("a", 3)
	muted.MutedBy, muted.Labels = "silence:1", map[string]string{"other": "labels"}
	at := h.add(time.Second)
	reconcile(t, s, muted)
	e := orphans(t, s)[0]
	if e.MutedBy != "silence:1" || !e.StartsAt.Equal(source(3)) || !e.SeenAt.Equal(at) || e.Labels["service"] != "shop" {
		t.Errorf("episode = %+v, want it muted from %v, with the webhook's labels", e, source(3))
	}
	h.add(time.Second)
	reconcile(t, s, muted)
	if e := orphans(t, s)[0]; !e.SeenAt.Equal(at) {
		t.Errorf("seen_at = %v, want %v: nothing new is not written", e.SeenAt, at)
	}
	reconcile(t, s, firing("a", 3))
	if e := orphans(t, s)[0]; e.MutedBy != "" {
		t.Errorf("muted by %q, want nobody", e.MutedBy)
	}
}

func testReconcileOpens(t *testing.T, s subject, _ *hand) {
	muted := firing("muted", 1)
	muted.MutedBy = "silence:1"
	cut := firing("truncated", 1)
	cut.Routed, muted.Routed = true, true
	reconcile(t, s, cut, muted, resolved("over", 1, 2), firing("of others", 1))
	if open := orphans(t, s); len(open) != 1 || open[0].Fingerprint != "truncated" {
		t.Fatalf("open = %+v, want what the webhook has cut off", open)
	}
	accept(t, s, resolved("stale", 1, 10))
	if got := accept(t, s, firing("stale", 5)); got.Stale != 1 {
		t.Fatalf("accepted %+v, want stale", got)
	}
	both := []healer.Alert{firing("truncated", 1), firing("stale", 5)}
	reconcile(t, s, both...)
	if n := len(orphans(t, s)); n != 1 {
		t.Fatalf("%d are open, want 1: a single reading may be older than the resolved", n)
	}
	reconcile(t, s, both...)
	if n := len(orphans(t, s)); n != 2 {
		t.Fatalf("%d are open, want 2: two readings say that it is active", n)
	}
	if err := s.Reconcile(t.Context(), "main", []healer.Alert{{Firing: true}}); err == nil {
		t.Error("an alert without fingerprint was taken")
	}
}

func testReconcileStart(t *testing.T, s subject, _ *hand) {
	accept(t, s, firing("a", 1))
	reconcile(t, s, firing("a", 20))
	if got := accept(t, s, resolved("a", 1, 10)); got.Stale != 1 {
		t.Errorf("accepted %+v, want stale: it fires anew since 20", got)
	}
	if e := orphans(t, s)[0]; !e.StartsAt.Equal(source(1)) {
		t.Errorf("starts at %v, want the earliest, %v", e.StartsAt, source(1))
	}
}

// --- join and update

func testJoin(t *testing.T, s subject, h *hand) {
	ctx := t.Context()
	accept(t, s, firing("a", 1), firing("b", 1))
	open := orphans(t, s)
	calls := 0
	count := func(_ *healer.Case) error { calls++; return nil }
	i := fresh("shop", h.now())
	i.ID = ""
	for range 2 { // the repetition after an answer that was lost
		if err := s.Join(ctx, i, []string{open[0].ID}, count); err != nil {
			t.Fatal(err)
		}
	}
	i.ID = "unused"
	err := s.Join(ctx, i, []string{open[0].ID, open[1].ID, open[1].ID}, func(c *healer.Case) error {
		if len(c.Episodes) != 2 || c.Incident.ID == "unused" {
			t.Errorf("joined %d episodes of %s, want both of the first incident", len(c.Episodes), c.Incident.ID)
		}
		c.Incident.State = "deciding"
		return count(c)
	})
	if err != nil {
		t.Fatal(err)
	}
	list, err := s.Incidents(ctx, true, 0)
	if err != nil || len(list) != 1 || list[0].ID == "" || list[0].State != "deciding" || !list[0].OpenedAt.Equal(h.now()) || calls != 2 {
		t.Errorf("incidents = %+v (%v) after %d changes, want one, deciding, after 2", list, err, calls)
	}
	if err := s.Join(ctx, i, []string{"nobody"}, count); !errors.Is(err, healer.ErrNotFound) {
		t.Errorf("joining an unknown episode: %v, want not found", err)
	}
}

func testJoinEnded(t *testing.T, s subject, h *hand) {
	ctx := t.Context()
	accept(t, s, firing("a", 1))
	e := orphans(t, s)[0]
	stop := errors.New("stop")
	if err := s.Join(ctx, fresh("shop", h.now()), []string{e.ID}, func(*healer.Case) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("join: %v, want the error of the change", err)
	}
	accept(t, s, resolved("a", 1, 2))
	if err := s.Join(ctx, fresh("shop", h.now()), []string{e.ID}, func(*healer.Case) error { return stop }); err != nil {
		t.Errorf("join of an ended episode: %v, want nothing done", err)
	}
	if list, _ := s.Incidents(ctx, true, 0); len(list) > 0 {
		t.Errorf("incidents = %+v, want none", list)
	}
}

// testJoinFresh makes the incident as the healer does: only id, key and place
// are known beforehand, and the rest is read from the episodes.
func testJoinFresh(t *testing.T, s subject, h *hand) {
	accept(t, s, firing("a", 7))
	bare := healer.Incident{ID: "I", Key: "prod/shop", Cluster: "prod", Service: "shop", State: "locating", Severity: 3}
	err := s.Join(t.Context(), bare, []string{orphans(t, s)[0].ID}, func(c *healer.Case) error {
		if len(c.Episodes) != 1 || c.Episodes[0].Incident != "I" || c.World == nil || !c.Incident.OpenedAt.IsZero() {
			t.Errorf("case = %+v, want the episode in it, a world, and an incident that is not opened yet", c)
		}
		c.Incident.FaultStart, c.Incident.FaultStartSource, c.Incident.NextAt = c.Episodes[0].StartsAt, "startsAt", c.Now
		c.Instants = append(c.Instants, healer.Instant{Name: "fault_start", At: c.Episodes[0].StartsAt, Source: "startsAt"})
		c.Entries = append(c.Entries, healer.Entry{Actor: "heal-receiver", Event: "incident_opened"})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	c := read(t, s, "I")
	if !c.Incident.FaultStart.Equal(source(7)) || !c.Incident.OpenedAt.Equal(h.now()) || len(c.Episodes) != 1 || len(c.Instants) != 1 || c.World != nil {
		t.Errorf("case = %+v, want it as the change has left it", c)
	}
	accept(t, s, firing("b", 8))
	bare.Key = "prod/cart"
	if err := s.Join(t.Context(), bare, []string{orphans(t, s)[0].ID}, func(*healer.Case) error { return nil }); err == nil {
		t.Error("an incident without a timer was opened")
	}
	if n := len(orphans(t, s)); n != 1 {
		t.Errorf("%d orphans, want 1: nothing of it is kept", n)
	}
}

// testGiveBack closes an incident as superseded; its open episode goes to the
// next one.
func testGiveBack(t *testing.T, s subject, h *hand) {
	id := incident(t, s, h, "shop")
	update(t, s, id, func(c *healer.Case) {
		c.Episodes[0].Incident = ""
		c.Incident.State, c.Incident.NextAt, c.Incident.ClosedAt, c.Incident.CloseReason = "closed", time.Time{}, c.Now, "superseded"
	})
	open := orphans(t, s)
	if len(open) != 1 || open[0].Fingerprint != "fp-shop" {
		t.Fatalf("orphans = %+v, want the episode that was given back", open)
	}
	next := fresh("shop", h.now())
	next.ID, next.Previous = "I-next", id
	if err := s.Join(t.Context(), next, []string{open[0].ID}, func(*healer.Case) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if c := read(t, s, "I-next"); len(c.Episodes) != 1 || c.Incident.Previous != id {
		t.Errorf("case = %+v, want the episode and the link to its predecessor", c)
	}
	if n := len(read(t, s, id).Episodes); n != 0 {
		t.Errorf("%d episodes are left in the first incident, want 0", n)
	}
}

// full edits a case so that every field of every row holds something.
func full(c *healer.Case) {
	now := c.Now
	i := &c.Incident
	i.State, i.Reason, i.NextAt, i.WaitUntil = "acting", "lock", now.Add(time.Second), now.Add(time.Minute)
	i.FaultStartError, i.Scenario, i.Severity, i.Scope = 1500*time.Millisecond, "node-down", 1, "node"
	i.Verdict = healer.Verdict{Scope: "node", Members: []string{"n1"}, Confidence: .75, Evidence: []string{"FaultLocated"}, At: now}
	i.Rung, i.Round, i.AckedBy, i.AckedAt = 1, 2, "ann", now
	i.Claim = healer.Claim{Owner: "w1", Fence: 3, LeaseUntil: now.Add(time.Hour)}
	c.Episodes[0].MutedBy, c.Episodes[0].ClosedAt, c.Episodes[0].CloseReason = "silence:7", now, "person"
	c.Instants = append(c.Instants, healer.Instant{Round: 2, Name: "acted", At: now, Source: "store", Marked: "maintenance"})
	r := running("R1", "node:n1", now)
	r.Incident, r.Purpose, r.Member, r.Overrides, r.AskedBy = i.ID, "manual", map[string]string{"node": "n1"}, "cooldown", "ann"
	r.State, r.Reason, r.NotBefore, r.CreatedAt, r.FenceAt = "verifying", "manual", now, now, now.Add(-time.Second)
	r.Slots = []healer.Slot{{Scope: "all", Max: 1}, {Scope: "plan:drain", Max: 1}}
	r.Locks = []string{"node:n1", "service:shop"}
	r.Steps = []healer.Step{
		{Phase: "act", N: 0, Try: 1, Fence: 1, What: "drain n1", IntentAt: now, FinishedAt: now, Outcome: healer.OK, Output: "done"},
		{Phase: "act", N: 1, Try: 1, Fence: 1, What: "wait", IntentAt: now.Add(time.Millisecond)},
	}
	r.Samples = []healer.Sample{{At: now, Answer: healer.CannotTell, Numbers: `{"up":null}`}}
	c.Runs = append(c.Runs, r)
	c.Decisions = append(c.Decisions, healer.Decision{
		ID: "D1", At: now, LastAt: now, Repeats: 2, Round: 2, Rung: 1, Plan: "drain", Target: "node:n1",
		Verb: "wait", Code: "lock", Numbers: map[string]any{"held_by": "R0", "free": 0.5}, NextAt: now, Run: "R1",
	})
	c.Mitigations = append(c.Mitigations, healer.Mitigation{
		ID: "M1", Incident: i.ID, Run: "R1", Service: "shop", Target: "node:n1", Kind: "isolate",
		State: "released", Since: now, ReleaseManual: true, ReleaseAt: now, Reisolated: true, Member: r.Member, ReleasedAt: now, ReleasedBy: "ann",
	})
}

func testRoundTrip(t *testing.T, s subject, h *hand) {
	id := incident(t, s, h, "shop")
	want := read(t, s, id)
	full(want)
	for i := range want.Runs[0].Slots {
		want.Runs[0].Slots[i].Max = 0 // known to the plan, not to the journal
	}
	update(t, s, id, full)
	got := read(t, s, id)
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(healer.Case{}, "World"), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("what was read is not what was said (-said +read):\n%s", diff)
	}
	update(t, s, id, func(c *healer.Case) { // the second look of the same decision
		c.Decisions[0].Repeats++
		c.Decisions[0].LastAt = c.Now.Add(time.Second)
		c.Runs[0].Steps[1].Outcome, c.Runs[0].Steps[1].FinishedAt = healer.Failed, c.Now
	})
	got = read(t, s, id)
	if len(got.Decisions) != 1 || got.Decisions[0].Repeats != 3 || got.Runs[0].Steps[1].Outcome != healer.Failed {
		t.Errorf("decisions = %+v, steps = %+v: want both rows edited in place", got.Decisions, got.Runs[0].Steps)
	}
}

func testFill(t *testing.T, s subject, h *hand) {
	id := incident(t, s, h, "shop")
	at := h.add(1500 * time.Microsecond).Truncate(time.Millisecond)
	var inside *healer.Case
	update(t, s, id, func(c *healer.Case) {
		r := running("", "node:n1", c.Now)
		c.Runs = append(c.Runs, r)
		c.Decisions = append(c.Decisions, healer.Decision{
			Verb: "refuse", Code: "cannot_tell",
			Numbers: map[string]any{"healthy": math.NaN(), "all": []any{math.Inf(1), 2.0}, "deep": map[string]any{"x": math.Inf(-1)}},
		})
		c.Messages = append(c.Messages, healer.Message{Kind: "tell", Sink: "ops", Dedup: "1", Body: "{}"})
		c.Entries = append(c.Entries, healer.Entry{Actor: "heal-receiver", Event: "decision"})
		inside = c
	})
	if !inside.Now.Equal(at) {
		t.Errorf("now = %v, want the store's clock to the millisecond, %v", inside.Now, at)
	}
	c := read(t, s, id)
	r, d := c.Runs[0], c.Decisions[0]
	if r.ID == "" || r.ID != inside.Runs[0].ID || r.Incident != id || r.Purpose != "rung" || !r.CreatedAt.Equal(at) || !r.NotBefore.Equal(at) {
		t.Errorf("run = %+v, want id, incident, purpose and instants filled", r)
	}
	want := map[string]any{"healthy": "NaN", "all": []any{"+Inf", 2.0}, "deep": map[string]any{"x": "-Inf"}}
	if d.ID == "" || !d.At.Equal(at) || !d.LastAt.Equal(at) || !cmp.Equal(d.Numbers, want) {
		t.Errorf("decision = %+v, want id, instants, and the NaN as a word", d)
	}
	due, err := s.DueMessages(t.Context(), 9)
	if err != nil || len(due) != 1 || due[0].ID == "" || due[0].Incident != id || !due[0].CreatedAt.Equal(at) {
		t.Errorf("due = %+v (%v), want one message of the incident", due, err)
	}
	entries, err := s.Audit(t.Context(), id, 0, 0)
	if err != nil || len(entries) != 1 || entries[0].Seq != 1 || !entries[0].At.Equal(at) || entries[0].Body != "{}" {
		t.Errorf("audit = %+v (%v), want one entry of the incident", entries, err)
	}
}

func testNothingKept(t *testing.T, s subject, h *hand) {
	id := incident(t, s, h, "shop")
	want := read(t, s, id)
	stop := errors.New("stop")
	for name, change := range map[string]func(*healer.Case) error{
		"its own error":      func(c *healer.Case) error { full(c); return stop },
		"a bad state":        func(c *healer.Case) error { full(c); c.Incident.State = "odd"; return nil },
		"a new episode":      func(c *healer.Case) error { c.Episodes = append(c.Episodes, healer.Episode{ID: "E"}); return nil },
		"no actor":           func(c *healer.Case) error { full(c); c.Entries = append(c.Entries, healer.Entry{}); return nil },
		"a confidence of ∞":  func(c *healer.Case) error { c.Incident.Verdict.Confidence = math.Inf(1); return nil },
		"a target of nobody": func(c *healer.Case) error { c.Runs = append(c.Runs, running("R", "", c.Now)); return nil },
		"a lock of nothing": func(c *healer.Case) error {
			full(c)
			c.Runs[0].Locks, c.Entries = []string{""}, []healer.Entry{{Actor: "a", Event: "b"}}
			return nil
		},
	} {
		err := s.Update(t.Context(), id, "", healer.Claim{}, change)
		if err == nil {
			t.Errorf("%s: kept, want an error", name)
		}
		if name == "its own error" && !errors.Is(err, stop) {
			t.Errorf("error = %v, want that of the change", err)
		}
		if diff := cmp.Diff(want, read(t, s, id), cmpopts.IgnoreFields(healer.Case{}, "World")); diff != "" {
			t.Errorf("%s left something behind (-before +after):\n%s", name, diff)
		}
	}
	if seq, _, err := s.Verify(t.Context()); seq != 0 || err != nil {
		t.Errorf("audit has %d entries (%v), want none", seq, err)
	}
	nothing := func(*healer.Case) error { return nil }
	if err := s.Update(t.Context(), "nobody", "", healer.Claim{}, nothing); !errors.Is(err, healer.ErrNotFound) {
		t.Errorf("unknown incident: %v, want not found", err)
	}
	if _, err := s.Read(t.Context(), "nobody"); !errors.Is(err, healer.ErrNotFound) {
		t.Errorf("unknown incident: %v, want not found", err)
	}
}

func testFence(t *testing.T, s subject, h *hand) {
	ctx := t.Context()
	id := incident(t, s, h, "shop")
	_, first, err := s.ClaimIncident(ctx, "w1", 15*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	set := func(reason healer.Code) func(*healer.Case) error {
		return func(c *healer.Case) error { c.Incident.Reason = reason; return nil }
	}
	if err := s.Update(ctx, id, "", first, set("one")); err != nil {
		t.Fatal(err)
	}
	h.add(20 * time.Second)
	_, second, err := s.ClaimIncident(ctx, "w2", 15*time.Second)
	if err != nil || second.Fence != first.Fence+1 {
		t.Fatalf("second claim = %+v (%v), want fence %d", second, err, first.Fence+1)
	}
	for name, claim := range map[string]healer.Claim{"frozen": first, "own name, old fence": {Owner: "w2", Fence: first.Fence}, "no name": {Fence: second.Fence}} {
		if err := s.Update(ctx, id, "", claim, set("lost")); !errors.Is(err, healer.ErrLost) {
			t.Errorf("%s: %v, want lost", name, err)
		}
	}
	err = s.Update(ctx, id, "", second, func(c *healer.Case) error {
		c.Runs = append(c.Runs, running("R1", "node:n1", c.Now))
		c.Incident.Claim = healer.Claim{} // given back
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if c := read(t, s, id); c.Incident.Reason != "one" || c.Incident.Claim != (healer.Claim{Fence: second.Fence}) {
		t.Errorf("incident = %+v, want nobody's, and a fence that did not fall", c.Incident)
	}
	if err := s.Update(ctx, id, "", second, set("late")); !errors.Is(err, healer.ErrLost) {
		t.Errorf("after giving back: %v, want lost", err)
	}
	mine := healer.Claim{Owner: "me", Fence: 1}
	if err := s.Update(ctx, id, "R1", mine, set("run")); err != nil {
		t.Errorf("under the run's claim: %v", err)
	}
	if err := s.Update(ctx, id, "R1", second, set("lost")); !errors.Is(err, healer.ErrLost) {
		t.Errorf("under the incident's claim: %v, want lost", err)
	}
	if err := s.Update(ctx, id, "R2", mine, set("lost")); !errors.Is(err, healer.ErrNotFound) {
		t.Errorf("unknown run: %v, want not found", err)
	}
}

func testNeverRemoves(t *testing.T, s subject, h *hand) {
	id := incident(t, s, h, "shop")
	update(t, s, id, full)
	for name, change := range map[string]func(*healer.Case){
		"an episode":  func(c *healer.Case) { c.Episodes = nil },
		"a decision":  func(c *healer.Case) { c.Decisions[0].ID = "other" },
		"the id":      func(c *healer.Case) { c.Incident.ID = "other" },
		"a live lock": func(c *healer.Case) { c.Runs[0].Locks = c.Runs[0].Locks[:1] },
		"a live slot": func(c *healer.Case) { c.Runs[0].Slots = nil },
	} {
		err := s.Update(t.Context(), id, "", healer.Claim{}, func(c *healer.Case) error { change(c); return nil })
		if err == nil {
			t.Errorf("a change has removed %s, want an error", name)
		}
	}
}

// --- locks, slots and unique rows

func testLocks(t *testing.T, s subject, h *hand) {
	ctx := t.Context()
	a, b := incident(t, s, h, "a"), incident(t, s, h, "b")
	take := func(id, run string, locks ...string) error {
		return s.Update(ctx, id, "", healer.Claim{}, func(c *healer.Case) error {
			r := running(run, locks[0], c.Now)
			r.Locks = locks
			c.Runs = append(c.Runs, r)
			c.Entries = append(c.Entries, healer.Entry{Actor: "me", Event: "claimed"})
			return nil
		})
	}
	if err := take(a, "RA", "node:n1", "service:a"); err != nil {
		t.Fatal(err)
	}
	if err := take(b, "RB", "node:n2", "node:n1"); !errors.Is(err, healer.ErrTaken) {
		t.Fatalf("locking n1 twice: %v, want taken", err)
	}
	if run, n := lockOf(t, s, b, "node:n2"), len(read(t, s, b).Runs); run != "" || n != 0 {
		t.Errorf("n2 is locked by %q, %d runs: want all or none", run, n)
	}
	update(t, s, a, func(c *healer.Case) {
		c.Runs[0].State, c.Runs[0].DueAt, c.Runs[0].Claim = "unresolved", time.Time{}, healer.Claim{}
	})
	if err := take(b, "RB", "node:n1"); !errors.Is(err, healer.ErrTaken) {
		t.Errorf("locking what an unresolved run holds: %v, want taken", err)
	}
	if n := slotsOf(t, s, b, "all"); n != 0 {
		t.Errorf("%d slots are taken, want 0: unresolved frees its slot", n)
	}
	update(t, s, a, func(c *healer.Case) { endRun(c, 0) })
	if err := take(b, "RB", "node:n1"); err != nil {
		t.Errorf("locking what an ended run held: %v", err)
	}
	if run := lockOf(t, s, b, "node:n1"); run != "RB" {
		t.Errorf("n1 is locked by %q, want RB", run)
	}
	update(t, s, b, func(c *healer.Case) { // a run that grows: ready to running
		c.Runs[0].Locks = append(c.Runs[0].Locks, "service:b")
		c.Runs[0].Slots = append(c.Runs[0].Slots, healer.Slot{Scope: "plan:drain", Max: 1})
	})
	if r := read(t, s, b).Runs[0]; !slices.Equal(r.Locks, []string{"node:n1", "service:b"}) || len(r.Slots) != 2 {
		t.Errorf("run holds %v and %v, want one more of each", r.Locks, r.Slots)
	}
}

func testSlots(t *testing.T, s subject, h *hand) {
	var ids []string
	for _, service := range []string{"a", "b", "c", "d"} {
		ids = append(ids, incident(t, s, h, service))
	}
	take := func(i int) error {
		return s.Update(t.Context(), ids[i], "", healer.Claim{}, func(c *healer.Case) error {
			r := running(fmt.Sprintf("R%d", len(c.Runs))+ids[i], "node:"+ids[i], c.Now)
			r.Slots = []healer.Slot{{Scope: "all", Max: 2}}
			c.Runs = append(c.Runs, r)
			return nil
		})
	}
	for i, taken := range []bool{false, false, true} {
		if err := take(i); errors.Is(err, healer.ErrTaken) != taken || err != nil != taken {
			t.Fatalf("slot %d of 2: %v, want taken: %v", i+1, err, taken)
		}
	}
	update(t, s, ids[0], func(c *healer.Case) { endRun(c, 0) })
	if err := take(2); err != nil {
		t.Errorf("a freed place: %v", err)
	}
	if err := take(3); !errors.Is(err, healer.ErrTaken) {
		t.Errorf("a third of two: %v, want taken", err)
	}
	if n := slotsOf(t, s, ids[0], "all"); n != 2 {
		t.Errorf("%d places are taken, want 2", n)
	}
}

func testUnique(t *testing.T, s subject, h *hand) {
	ctx := t.Context()
	a, b := incident(t, s, h, "a"), incident(t, s, h, "b")
	with := func(id string, change func(c *healer.Case)) error {
		return s.Update(ctx, id, "", healer.Claim{}, func(c *healer.Case) error { change(c); return nil })
	}
	mitigation := func(id, run string) func(*healer.Case) {
		return func(c *healer.Case) {
			r := running(run, "node:"+id, c.Now)
			c.Runs = append(c.Runs, r)
			c.Mitigations = append(c.Mitigations, healer.Mitigation{Run: run, Service: "s", Target: "node:n1", Kind: "isolate", State: "unknown"})
		}
	}
	if err := with(a, mitigation("a", "RA")); err != nil {
		t.Fatal(err)
	}
	if err := with(a, func(c *healer.Case) { c.Runs = append(c.Runs, running("RA2", "node:n9", c.Now)) }); !errors.Is(err, healer.ErrTaken) {
		t.Errorf("a second active run: %v, want taken", err)
	}
	if err := with(b, mitigation("b", "RB")); !errors.Is(err, healer.ErrTaken) {
		t.Errorf("a second mitigation of a target and kind: %v, want taken", err)
	}
	again := func(c *healer.Case) {
		endRun(c, 0)
		c.Runs = append(c.Runs, running("RA2", c.Runs[0].Target, c.Now)) // the attempt is not counted up
	}
	if err := with(a, again); err == nil || errors.Is(err, healer.ErrTaken) {
		t.Errorf("the same attempt twice: %v, want an error of its own", err)
	}
}

func testNextRun(t *testing.T, s subject, h *hand) {
	id := incident(t, s, h, "shop")
	update(t, s, id, func(c *healer.Case) {
		r := running("R1", "node:n1", c.Now)
		r.Slots[0].Max = 1
		c.Runs = append(c.Runs, r)
	})
	update(t, s, id, func(c *healer.Case) {
		endRun(c, 0)
		r := running("R2", "node:n1", c.Now)
		r.Attempt, r.Slots[0].Max = 2, 1
		c.Runs = append(c.Runs, r)
	})
	if run, first := lockOf(t, s, id, "node:n1"), read(t, s, id).Runs[0]; run != "R2" || len(first.Locks) != 0 {
		t.Errorf("n1 is locked by %q and R1 holds %v, want R2 alone", run, first.Locks)
	}
}

// --- claims

func testClaimOrder(t *testing.T, s subject, h *hand) {
	now := h.now()
	set := func(state healer.State, severity int, due, fault time.Duration) func(*healer.Incident) {
		return func(i *healer.Incident) {
			i.State, i.Severity, i.NextAt, i.FaultStart = state, severity, now.Add(-due), now.Add(-fault)
		}
	}
	incident(t, s, h, "p3-old", set("deciding", 3, time.Second, 2*time.Minute))
	incident(t, s, h, "release", set("recovered", 1, 20*time.Minute, time.Hour))
	incident(t, s, h, "p1", set("deciding", 1, time.Second, time.Minute))
	incident(t, s, h, "p5-waited", set("waiting", 5, 3*time.Minute, 3*time.Minute)) // now as P2
	incident(t, s, h, "p5", set("deciding", 5, 59*time.Second, time.Minute))
	incident(t, s, h, "p3-new", set("deciding", 3, time.Second, time.Minute))
	incident(t, s, h, "later", set("deciding", 1, -time.Second, time.Minute))
	incident(t, s, h, "acting", func(i *healer.Incident) { i.State, i.NextAt = "acting", time.Time{} })
	incident(t, s, h, "closed", func(i *healer.Incident) { i.State, i.ClosedAt, i.CloseReason = "closed", now, "quiet" })
	var got []string
	for {
		id, c, err := s.ClaimIncident(t.Context(), "w", time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		if id == "" {
			break
		}
		if c.Owner != "w" || c.Fence != 1 || !c.LeaseUntil.Equal(now.Add(time.Minute)) {
			t.Errorf("claim of %s = %+v", id, c)
		}
		got = append(got, id)
	}
	want := []string{"I-p1", "I-p5-waited", "I-p3-old", "I-p3-new", "I-release", "I-p5"}
	if !slices.Equal(got, want) {
		t.Errorf("claimed %v, want %v", got, want)
	}
}

func testClaimLease(t *testing.T, s subject, h *hand) {
	ctx := t.Context()
	id := incident(t, s, h, "shop")
	for fence, owner := range []string{"w1", "w2"} {
		got, c, err := s.ClaimIncident(ctx, owner, 15*time.Second)
		if err != nil || got != id || c.Fence != int64(fence+1) {
			t.Fatalf("%s claimed %q with %+v (%v), want %s under fence %d", owner, got, c, err, id, fence+1)
		}
		if got, _, _ := s.ClaimIncident(ctx, "w3", 15*time.Second); got != "" {
			t.Fatalf("claimed %s, which is owned", got)
		}
		h.add(15 * time.Second)
	}
}

func testClaimRun(t *testing.T, s subject, h *hand) {
	ctx, now := t.Context(), h.now()
	nobody := healer.Claim{}
	over := healer.Claim{Owner: "dead", Fence: 4, LeaseUntil: now.Add(-time.Second)}
	for name, edit := range map[string]func(*healer.Run){
		"1-verifying-left": func(r *healer.Run) { r.State, r.Claim, r.NotBefore = "verifying", over, now.Add(-5*time.Minute) },
		"2-ready":          func(r *healer.Run) { r.State, r.Claim = "ready", nobody },
		"3-unanswered":     func(r *healer.Run) { r.State, r.Claim, r.DueAt = "awaiting_approval", nobody, now },
		"4-held-over":      func(r *healer.Run) { r.State, r.Claim, r.DueAt = "held", nobody, now },
		"5-put-back":       func(r *healer.Run) { r.State, r.Claim, r.Purpose = "ready", nobody, "put_back" },
		"x-driven":         func(r *healer.Run) { r.DueAt = now },
		"x-asked":          func(r *healer.Run) { r.State, r.Claim = "awaiting_approval", nobody },
		"x-not-before":     func(r *healer.Run) { r.State, r.Claim, r.NotBefore = "ready", nobody, now.Add(time.Second) },
		"x-unresolved":     func(r *healer.Run) { r.State, r.Claim, r.DueAt = "unresolved", nobody, now },
		"x-ended":          func(r *healer.Run) { r.State, r.Claim, r.EndedAt = "failed", nobody, now },
	} {
		id := incident(t, s, h, name, func(i *healer.Incident) { i.FaultStart = now.Add(time.Duration(name[0]) * time.Second) })
		update(t, s, id, func(c *healer.Case) {
			r := running("R-"+name, "node:"+name, c.Now)
			edit(&r)
			c.Runs = append(c.Runs, r)
		})
	}
	var got []string
	for {
		incident, run, c, err := s.ClaimRun(ctx, "w", time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		if run == "" {
			break
		}
		if incident != "I-"+run[2:] || c.Owner != "w" || !c.LeaseUntil.Equal(now.Add(time.Minute)) {
			t.Errorf("claimed %s of %s with %+v", run, incident, c)
		}
		if run == "R-1-verifying-left" && c.Fence != 5 {
			t.Errorf("fence = %d, want one more than the dead owner's 4", c.Fence)
		}
		got = append(got, run)
	}
	want := []string{"R-1-verifying-left", "R-2-ready", "R-3-unanswered", "R-4-held-over", "R-5-put-back"}
	if !slices.Equal(got, want) {
		t.Errorf("claimed %v, want %v", got, want)
	}
}

func testClockBack(t *testing.T, s subject, h *hand) {
	ctx := t.Context()
	id := incident(t, s, h, "shop")
	high := h.now()
	update(t, s, id, func(c *healer.Case) {
		r := running("R", "node:n", c.Now)
		r.State, r.Claim = "ready", healer.Claim{}
		c.Runs = append(c.Runs, r)
	})
	h.add(-1001 * time.Millisecond)
	if got, _, err := s.ClaimIncident(ctx, "w", time.Minute); got != "" || err != nil {
		t.Errorf("claimed %q (%v), want nothing due", got, err)
	}
	if _, got, _, err := s.ClaimRun(ctx, "w", time.Minute); got != "" || err != nil {
		t.Errorf("claimed %q (%v), want nothing due", got, err)
	}
	if c := read(t, s, id); !c.Now.Equal(high) {
		t.Errorf("now = %v, want it to stand still at %v", c.Now, high)
	}
	accept(t, s, firing("while-back", 1))
	h.add(time.Millisecond) // a second behind is no jump
	if got, _, err := s.ClaimIncident(ctx, "w", time.Minute); got != id || err != nil {
		t.Errorf("claimed %q (%v), want %s", got, err, id)
	}
	if _, got, _, err := s.ClaimRun(ctx, "w", time.Minute); got != "R" || err != nil {
		t.Errorf("claimed %q (%v), want R", got, err)
	}
}

func testRenew(t *testing.T, s subject, h *hand) {
	ctx := t.Context()
	id := incident(t, s, h, "shop")
	update(t, s, id, func(c *healer.Case) { c.Runs = append(c.Runs, running("R", "node:n", c.Now)) })
	_, c, err := s.ClaimIncident(ctx, "w", 15*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	until := h.add(10 * time.Second).Add(15 * time.Second)
	if err := s.Renew(ctx, id, "", c, 15*time.Second); err != nil {
		t.Fatal(err)
	}
	if err := s.Renew(ctx, id, "R", healer.Claim{Owner: "me", Fence: 1}, 15*time.Second); err != nil {
		t.Fatal(err)
	}
	got := read(t, s, id)
	if !got.Incident.Claim.LeaseUntil.Equal(until) || !got.Runs[0].Claim.LeaseUntil.Equal(until) {
		t.Errorf("leases end at %v and %v, want %v", got.Incident.Claim.LeaseUntil, got.Runs[0].Claim.LeaseUntil, until)
	}
	for name, try := range map[string]func() error{
		"another fence": func() error { return s.Renew(ctx, id, "", healer.Claim{Owner: "w", Fence: c.Fence + 1}, time.Minute) },
		"another owner": func() error { return s.Renew(ctx, id, "R", healer.Claim{Owner: "w", Fence: 1}, time.Minute) },
		"nobody":        func() error { return s.Renew(ctx, id, "", healer.Claim{}, time.Minute) },
		"no such run":   func() error { return s.Renew(ctx, id, "R2", c, time.Minute) },
	} {
		if err := try(); !errors.Is(err, healer.ErrLost) {
			t.Errorf("%s: %v, want lost", name, err)
		}
	}
}

// --- messages, chain, lists

func testOutbox(t *testing.T, s subject, h *hand) {
	ctx, now := t.Context(), h.now()
	id := incident(t, s, h, "shop")
	tell := func(dedup, body string, next time.Time) {
		update(t, s, id, func(c *healer.Case) {
			c.Messages = append(c.Messages, healer.Message{Kind: "tell", Sink: "ops", Dedup: dedup, Body: body, NextAt: next})
		})
	}
	tell("1", "first", now)
	tell("1", "second", now.Add(-time.Hour))
	tell("2", "later", now.Add(time.Minute))
	due, err := s.DueMessages(ctx, 9)
	if err != nil || len(due) != 1 || due[0].Body != "first" {
		t.Fatalf("due = %+v (%v), want the first of the pair alone", due, err)
	}
	if err := s.Delivered(ctx, due[0].ID, errors.New("no route\x00"), now.Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	if due, _ := s.DueMessages(ctx, 9); len(due) != 0 {
		t.Errorf("due = %+v, want none before the next try", due)
	}
	h.add(2 * time.Minute)
	due, _ = s.DueMessages(ctx, 9)
	if len(due) != 2 || due[0].Tries != 1 || due[0].LastError != "no route\ufffd" || due[1].Body != "later" {
		t.Fatalf("due = %+v, want both, the longest due first", due)
	}
	if one, _ := s.DueMessages(ctx, 1); len(one) != 1 {
		t.Errorf("%d messages, want at most 1", len(one))
	}
	for _, cause := range []error{nil, nil, errors.New("a late word of a first try")} {
		if err := s.Delivered(ctx, due[0].ID, cause, h.now()); err != nil {
			t.Fatal(err)
		}
	}
	if left, _ := s.DueMessages(ctx, 9); len(left) != 1 || left[0].Body != "later" {
		t.Errorf("due = %+v, want the other alone: sent is sent", left)
	}
	if err := s.Delivered(ctx, "nobody", nil, now); !errors.Is(err, healer.ErrNotFound) {
		t.Errorf("unknown message: %v, want not found", err)
	}
	if c, err := s.Counts(ctx); c.Outbox != 1 || err != nil {
		t.Errorf("%d in the outbox (%v), want 1", c.Outbox, err)
	}
}

func testChain(t *testing.T, s subject, h *hand) {
	a, b := incident(t, s, h, "a"), incident(t, s, h, "b")
	for i := range 3 {
		for _, id := range []string{a, b} {
			update(t, s, id, func(c *healer.Case) {
				c.Entries = append(c.Entries,
					healer.Entry{Run: "R", Actor: "me\xff", Event: "looked", Code: "act", Body: fmt.Sprintf(`{"i":%d}`, i)},
					healer.Entry{Actor: "me", Event: "said"})
			})
		}
	}
	seq, hash, err := s.Verify(t.Context())
	if err != nil || seq != 12 {
		t.Fatalf("verify: %d %s (%v), want 12 entries", seq, hash, err)
	}
	if c, err := s.Counts(t.Context()); c.AuditSeq != seq || c.AuditHash != hash || err != nil {
		t.Errorf("counts = %+v (%v), want the head", c, err)
	}
	for _, test := range []struct {
		incident string
		after    int64
		limit    int
		want     []int64
	}{
		{"", 0, 3, []int64{1, 2, 3}}, {"", 10, 0, []int64{11, 12}}, {b, 0, 0, []int64{3, 4, 7, 8, 11, 12}}, {a, 5, 1, []int64{6}}, {"x", 0, 0, nil},
	} {
		list, err := s.Audit(t.Context(), test.incident, test.after, test.limit)
		var got []int64
		for _, e := range list {
			got = append(got, e.Seq)
		}
		if err != nil || !slices.Equal(got, test.want) {
			t.Errorf("audit of %q after %d: %v (%v), want %v", test.incident, test.after, got, err, test.want)
		}
	}
}

func testWorld(t *testing.T, s subject, h *hand) {
	a, b := incident(t, s, h, "a"), incident(t, s, h, "b")
	at := h.now()
	for n := 1; n <= 3; n++ {
		update(t, s, a, func(c *healer.Case) {
			if n > 1 {
				endRun(c, n-2)
			}
			r := running(fmt.Sprintf("R%d", n), "node:n1", c.Now)
			r.Attempt = n
			c.Runs = append(c.Runs, r)
		})
		h.add(time.Minute)
	}
	update(t, s, b, func(c *healer.Case) {
		list, err := c.World.PlanRuns("drain", "node:n1", at.Add(time.Minute))
		if err != nil || len(list) != 2 || list[0].ID != "R3" || list[1].ID != "R2" || list[1].State != "failed" {
			t.Errorf("plan runs = %+v (%v), want R3 and R2", list, err)
		}
		run, err := c.World.Lock("node:n1")
		n, err2 := c.World.Slots("all")
		if run != "R3" || n != 1 || err != nil || err2 != nil {
			t.Errorf("lock %q, %d slots (%v, %v), want R3 and 1", run, n, err, err2)
		}
	})
}

func testLists(t *testing.T, s subject, h *hand) {
	ctx := t.Context()
	for _, service := range []string{"a", "b", "c"} {
		incident(t, s, h, service)
		h.add(time.Second)
	}
	update(t, s, "I-b", func(c *healer.Case) {
		c.Incident.State, c.Incident.NextAt, c.Incident.ClosedAt, c.Incident.CloseReason = "closed", time.Time{}, c.Now, "quiet"
	})
	accept(t, s, firing("alone", 1))
	for _, test := range []struct {
		closed bool
		limit  int
		want   []string
	}{{false, 0, []string{"I-c", "I-a"}}, {true, 0, []string{"I-c", "I-b", "I-a"}}, {true, 2, []string{"I-c", "I-b"}}} {
		list, err := s.Incidents(ctx, test.closed, test.limit)
		var got []string
		for _, i := range list {
			got = append(got, i.ID)
		}
		if err != nil || !slices.Equal(got, test.want) {
			t.Errorf("incidents(%v, %d) = %v (%v), want %v", test.closed, test.limit, got, err, test.want)
		}
	}
	got, err := s.Counts(ctx)
	want := healer.Counts{
		Incidents: map[healer.State]int{"locating": 2, "closed": 1}, EpisodesOpen: map[string]int{"main": 4}, Unrouted: 1, Holds: map[string]int{},
		InboxBytes: 4 * int64(len(`{"version":"4"}`)),
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("counts: %v (-want +got):\n%s", err, diff)
	}
}

func testMitigations(t *testing.T, s subject, h *hand) {
	hold := func(service, cluster, node string) {
		id := incident(t, s, h, service+cluster, func(i *healer.Incident) { i.Service, i.Cluster = service, cluster })
		update(t, s, id, func(c *healer.Case) {
			r := running("R"+node, "node:"+node, c.Now)
			r.Member = map[string]string{"node": node}
			c.Runs = append(c.Runs, r)
			c.Mitigations = append(c.Mitigations, healer.Mitigation{ID: "M-" + node, Run: r.ID, Service: service, Target: r.Target, Kind: "isolate", State: "held", ReleaseManual: true})
			endRun(c, 0)
			c.Incident.State, c.Incident.NextAt, c.Incident.ClosedAt, c.Incident.CloseReason = "closed", time.Time{}, c.Now, "superseded"
		})
		h.add(time.Second)
	}
	hold("shop", "prod", "n1")
	hold("shop", "test", "n2")
	hold("cart", "prod", "n3")
	accept(t, s, firing("next", 1))
	next := fresh("shop", h.now())
	next.ID = "next"
	err := s.Join(t.Context(), next, []string{orphans(t, s)[0].ID}, func(c *healer.Case) error {
		if len(c.Mitigations) != 1 || c.Mitigations[0].ID != "M-n1" || c.Mitigations[0].Member["node"] != "n1" {
			t.Errorf("mitigations = %+v, want M-n1 with its member", c.Mitigations)
			return nil
		}
		c.Mitigations[0].State, c.Mitigations[0].ReleasedAt, c.Mitigations[0].ReleasedBy = "released", c.Now, "ann"
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for service, want := range map[string]int{"": 2, "shop": 1, "cart": 1, "none": 0} {
		if list, err := s.Mitigations(t.Context(), service); len(list) != want || err != nil {
			t.Errorf("%d mitigations of %q (%v), want %d", len(list), service, err, want)
		}
	}
}

// testConcurrent lets eight writers meet on one incident and on shared
// fingerprints: no error, and no addition is lost.
func testConcurrent(t *testing.T, s subject, h *hand) {
	const workers, rounds = 8, 12
	id := incident(t, s, h, "shop")
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range rounds {
				err := s.Update(t.Context(), id, "", healer.Claim{}, func(c *healer.Case) error {
					c.Incident.Rung++
					c.Entries = append(c.Entries, healer.Entry{Actor: "me", Event: "counted"})
					c.Decisions = append(c.Decisions, healer.Decision{Verb: "refuse", Code: "cooldown"})
					return nil
				})
				if err != nil {
					t.Errorf("worker %d: %v", w, err)
				}
				alerts := []healer.Alert{firing(fmt.Sprint("x", i%5), 1), firing(fmt.Sprint("w", w), i), firing("all", i)}
				if _, err := s.Accept(t.Context(), healer.Notification{Source: "main", Alerts: alerts}); err != nil {
					t.Errorf("worker %d: %v", w, err)
				}
				if _, err := s.Read(t.Context(), id); err != nil {
					t.Errorf("worker %d: %v", w, err)
				}
			}
		})
	}
	wg.Wait()
	c := read(t, s, id)
	seq, _, err := s.Verify(t.Context())
	if c.Incident.Rung != workers*rounds || len(c.Decisions) != workers*rounds || seq != workers*rounds || err != nil {
		t.Errorf("counted to %d with %d decisions and %d entries (%v), want %d of each", c.Incident.Rung, len(c.Decisions), seq, err, workers*rounds)
	}
	if n := len(orphans(t, s)); n != 5+workers+1 {
		t.Errorf("%d episodes are open, want %d: one per fingerprint", n, 5+workers+1)
	}
}

// modelEpisode is the table of HEALING 3 told a second time, in plain words:
// what one fingerprint looks like to somebody who reads the messages in order.
type modelEpisode struct {
	open                         bool
	earliest, latestStart, ended int
}

func (m *modelEpisode) hear(a healer.Alert) (got healer.Accepted) {
	start, end := int(a.StartsAt.Sub(source(0)).Seconds()), int(a.EndsAt.Sub(source(0)).Seconds())
	if a.Firing {
		if !m.open && start <= m.ended {
			return healer.Accepted{Stale: 1}
		}
		got = healer.Accepted{Refreshed: 1}
		if !m.open {
			m.open, m.earliest, got = true, start, healer.Accepted{Opened: 1}
		}
		m.earliest, m.latestStart = min(m.earliest, start), max(m.latestStart, start)
		return got
	}
	if m.open && end <= m.latestStart {
		return healer.Accepted{Stale: 1}
	}
	if m.open {
		m.open, got = false, healer.Accepted{Closed: 1}
	}
	m.ended = max(m.ended, end)
	return got
}

// testAcceptModel compares the journal with the model over random histories.
func testAcceptModel(t *testing.T, s subject, h *hand) {
	const fingerprints, messages = 6, 400
	r := rand.New(rand.NewPCG(1, 2))
	model := make([]modelEpisode, fingerprints)
	for i := range messages {
		f, start := r.IntN(fingerprints), 1+r.IntN(50)
		a := firing(fmt.Sprint("f", f), start)
		if r.IntN(2) == 0 {
			a = resolved(a.Fingerprint, start, start+r.IntN(10))
		}
		before := model[f]
		got, want := accept(t, s, a), model[f].hear(a)
		want.ID = got.ID
		if got != want {
			t.Fatalf("message %d, firing %v from %d to %v on %+v: %+v, want %+v", i, a.Firing, start, a.EndsAt, before, got, want)
		}
		h.add(time.Millisecond)
	}
	open := map[string]int{}
	for _, e := range orphans(t, s) {
		open[e.Fingerprint] = int(e.StartsAt.Sub(source(0)).Seconds())
	}
	for f, m := range model {
		if start, ok := open[fmt.Sprint("f", f)]; ok != m.open || ok && start != m.earliest {
			t.Errorf("f%d: open %v from %d, want %+v", f, ok, start, m)
		}
	}
}

// testClaimRace lets eight workers claim what is due: nobody gets what another
// one has.
func testClaimRace(t *testing.T, s subject, h *hand) {
	const n = 24
	for i := range n {
		incident(t, s, h, fmt.Sprint("s", i), func(in *healer.Incident) { in.ID = fmt.Sprint("I", i) })
	}
	var mu sync.Mutex
	owners := map[string]string{}
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			owner := fmt.Sprint("w", w)
			for {
				id, _, err := s.ClaimIncident(t.Context(), owner, time.Minute)
				if err != nil {
					t.Error(err)
				}
				if id == "" {
					return
				}
				mu.Lock()
				if other := owners[id]; other != "" {
					t.Errorf("%s was given to %s and to %s", id, other, owner)
				}
				owners[id] = owner
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(owners) != n {
		t.Errorf("%d incidents were claimed, want %d", len(owners), n)
	}
	for id, owner := range owners {
		if got := read(t, s, id).Incident.Claim; got.Owner != owner || got.Fence != 1 {
			t.Errorf("%s has claim %+v, want that of %s", id, got, owner)
		}
	}
}

// testSlotRace lets eight workers start runs on two targets within two places:
// whoever loses keeps nothing.
func testSlotRace(t *testing.T, s subject, h *hand) {
	const workers = 8
	ids := make([]string, workers)
	for i := range ids {
		ids[i] = incident(t, s, h, fmt.Sprint("s", i))
	}
	var wg sync.WaitGroup
	var won atomic.Int32
	for i, id := range ids {
		wg.Go(func() {
			err := s.Update(t.Context(), id, "", healer.Claim{}, func(c *healer.Case) error {
				r := running("R-"+id, fmt.Sprint("node:n", i%4), c.Now)
				r.Slots[0].Max = 2
				c.Runs = append(c.Runs, r)
				c.Entries = append(c.Entries, healer.Entry{Run: r.ID, Actor: "heal-receiver", Event: "run"})
				return nil
			})
			switch {
			case err == nil:
				won.Add(1)
			case !errors.Is(err, healer.ErrTaken):
				t.Errorf("%s: %v, want taken", id, err)
			}
		})
	}
	wg.Wait()
	seq, _, err := s.Verify(t.Context())
	if won.Load() != 2 || seq != 2 || err != nil {
		t.Errorf("%d runs began with %d entries (%v), want 2", won.Load(), seq, err)
	}
	targets := map[string]bool{}
	for _, id := range ids {
		for _, r := range read(t, s, id).Runs {
			if targets[r.Target] {
				t.Errorf("%s is acted upon twice", r.Target)
			}
			targets[r.Target] = true
		}
	}
}

// testReaders lets a reader look while a writer adds to two tables in step.
func testReaders(t *testing.T, s subject, h *hand) {
	id := incident(t, s, h, "shop")
	var wg sync.WaitGroup
	done := make(chan struct{})
	for range 2 {
		wg.Go(func() {
			for more := true; more; {
				select {
				case <-done:
					more = false
				default:
				}
				c, err := s.Read(t.Context(), id)
				if err != nil {
					t.Error(err)
					return
				}
				if len(c.Instants) != len(c.Decisions) || c.Incident.Rung != len(c.Decisions) {
					t.Errorf("read %d instants, %d decisions, rung %d: want them of one instant", len(c.Instants), len(c.Decisions), c.Incident.Rung)
				}
			}
		})
	}
	for i := range 50 {
		update(t, s, id, func(c *healer.Case) {
			c.Instants = append(c.Instants, healer.Instant{Round: i, Name: "acted", At: c.Now, Source: "store"})
			c.Decisions = append(c.Decisions, healer.Decision{Verb: "refuse", Code: "cooldown", Round: i})
			c.Incident.Rung++
		})
	}
	close(done)
	wg.Wait()
}

// testCancelled asks everything with a request that has gone: an error each
// time, and nothing is kept.
func testCancelled(t *testing.T, s subject, h *hand) {
	id := incident(t, s, h, "shop")
	accept(t, s, firing("b", 1))
	episode := orphans(t, s)[0].ID
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	nothing := func(*healer.Case) error { return nil }
	for name, ask := range map[string]func() error{
		"accept":    func() error { _, err := s.Accept(ctx, healer.Notification{Source: "main"}); return err },
		"refuse":    func() error { return s.Refuse(ctx, "main", nil, "bad") },
		"reconcile": func() error { return s.Reconcile(ctx, "main", nil) },
		"orphans":   func() error { _, err := s.Orphans(ctx); return err },
		"join":      func() error { return s.Join(ctx, fresh("x", h.now()), []string{episode}, nothing) },
		"claim":     func() error { _, _, err := s.ClaimIncident(ctx, "w", time.Minute); return err },
		"claim run": func() error { _, _, _, err := s.ClaimRun(ctx, "w", time.Minute); return err },
		"renew":     func() error { return s.Renew(ctx, id, "", healer.Claim{Owner: "w", Fence: 1}, time.Minute) },
		"update":    func() error { return s.Update(ctx, id, "", healer.Claim{}, nothing) },
		"read":      func() error { _, err := s.Read(ctx, id); return err },
		"incidents": func() error { _, err := s.Incidents(ctx, true, 1); return err },
		"mitigated": func() error { _, err := s.Mitigations(ctx, ""); return err },
		"audit":     func() error { _, err := s.Audit(ctx, "", 0, 1); return err },
		"due":       func() error { _, err := s.DueMessages(ctx, 1); return err },
		"delivered": func() error { return s.Delivered(ctx, "m", nil, h.now()) },
		"counts":    func() error { _, err := s.Counts(ctx); return err },
		"verify":    func() error { _, _, err := s.Verify(ctx); return err },
	} {
		if err := ask(); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v, want cancelled", name, err)
		}
	}
	if c, err := s.Counts(t.Context()); c.EpisodesOpen["main"] != 2 || c.Incidents["locating"] != 1 || err != nil {
		t.Errorf("counts = %+v (%v), want them as before", c, err)
	}
}
