package journal

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/onefiveten/onefiveten/healer"
)

// FuzzAccept feeds odd alerts: whatever comes, the journal answers or refuses
// as a whole, has at most one open episode of a fingerprint, and a repetition
// opens and closes nothing more.
func FuzzAccept(f *testing.F) {
	f.Add("main", "00c0ffee", "service", "shop", int64(1_700_000_000), int64(0), true)
	f.Add("", "", "", "", int64(0), int64(0), false)
	f.Add("s'; drop table inbox; --", "\x00", "\xff\xfe", "ü\n\"\u2028", int64(-1), int64(-62_135_596_800), false)
	f.Add("main", "fp", "a", "b", int64(253_402_300_799), int64(1<<60), false)
	f.Add("a\x00b", "x\xff", "", "{}", int64(5), int64(5), false)
	s := openTest(f, tempFile(f), time.Now)
	f.Fuzz(func(t *testing.T, source, fingerprint, name, value string, start, end int64, firing bool) {
		a := healer.Alert{
			Fingerprint: fingerprint, Firing: firing, Labels: map[string]string{name: value}, Annotations: map[string]string{value: name},
			StartsAt: time.Unix(start, 0), EndsAt: time.Unix(end, 0), MutedBy: value,
		}
		n := healer.Notification{Source: source, Body: []byte(name + value), Alerts: []healer.Alert{a, a}}
		first, err := s.Accept(t.Context(), n)
		if err != nil {
			if source != "" && fingerprint != "" && !a.StartsAt.IsZero() && !a.EndsAt.IsZero() {
				t.Fatalf("refused %+v: %v", n, err)
			}
			return
		}
		again, err := s.Accept(t.Context(), n)
		if err != nil || again.Opened+again.Closed != 0 || again.ID <= first.ID {
			t.Fatalf("repeated: %+v (%v) after %+v, want nothing opened or closed", again, err, first)
		}
		open := 0
		for _, e := range orphans(t, s) {
			if e.Source != clean(source) || e.Fingerprint != clean(fingerprint) {
				continue
			}
			open++
			var want map[string]string // as JSON keeps it
			text, _ := encode(a.Labels)
			if err := json.Unmarshal([]byte(text), &want); err != nil || firing && e.Labels[clean(name)] != want[clean(name)] {
				t.Errorf("labels = %q (%v), want %q", e.Labels, err, want)
			}
		}
		if open > 1 || firing && open+first.Stale != 1 {
			t.Errorf("%d open episodes after %+v, want one", open, first)
		}
		for range 2 {
			if err := s.Reconcile(t.Context(), source, []healer.Alert{a}); err != nil {
				t.Fatal(err)
			}
		}
	})
}
