package healer

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The payloads are what a real Alertmanager sent; e2e/webhook holds them
// against both generations.
func TestRealPayloads_AreReadAlertByAlert(t *testing.T) {
	for name, want := range map[string][]string{
		"firing.json":    {"a firing", "truncated 0"},
		"resolved.json":  {"b resolved", "truncated 0"},
		"mixed.json":     {"a resolved", "b firing", "truncated 0"},
		"truncated.json": {"a firing", "b firing", "truncated 2"},
	} {
		body, err := os.ReadFile(filepath.Join("testdata", "webhook", name))
		if err != nil {
			t.Fatal(err)
		}
		alerts, w, err := parseWebhook(body)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var got []string
		for _, a := range alerts {
			state := "resolved"
			if a.Firing {
				state = "firing"
			}
			got = append(got, a.Labels["instance"]+" "+state)
			if a.Firing != a.EndsAt.IsZero() {
				t.Errorf("%s: firing %t with the end %s", name, a.Firing, a.EndsAt)
			}
			// The fingerprint that we compute where none is sent is Alertmanager's own.
			sent := a.Fingerprint
			again, _, err := parseWebhook([]byte(strings.ReplaceAll(string(body), `"fingerprint":"`+sent+`"`, `"fingerprint":""`)))
			if err != nil {
				t.Fatalf("%s without fingerprints: %v", name, err)
			}
			for _, b := range again {
				if cmp.Equal(b.Labels, a.Labels) && b.Fingerprint != sent {
					t.Errorf("%s: computed fingerprint %s, Alertmanager sent %s", name, b.Fingerprint, sent)
				}
			}
		}
		got = append(got, fmt.Sprintf("truncated %d", w.TruncatedAlerts))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
