package healer

import (
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// many is a book of n services that are only observed.
func many(t *testing.T, n int) []string {
	t.Helper()
	var services strings.Builder
	for i := range n {
		fmt.Fprintf(&services, "  - { name: s%03d, members: 'min by (node) (node_up)', healthy: { query: 'vip_up == 1' } }\n", i)
	}
	return []string{
		"  - name: web\n    members: 'min by (node) (node_up)'\n    healthy: { query: 'vip_up == 1' }\n", services.String(),
		`'service="web"'`, `'service=~"s[0-9]+"'`, "mode: auto", "mode: observe",
	}
}

func TestTenThousandAlertsOf500ServicesAreAllDecidedOnce(t *testing.T) {
	const services, each = 500, 20
	book := shopWith(t, many(t, services)...)
	before := 0
	inShop(t, book, func(s *shop) {
		s.set(func() { s.up["b"] = false })
		synctest.Wait()
		before = runtime.NumGoroutine()
		for i := range services {
			var alerts []any
			for n := range each {
				labels := map[string]string{"alertname": "FaultDetected", "service": fmt.Sprintf("s%03d", i), "signal": fmt.Sprint(n)}
				if n == 0 {
					labels["alertname"], labels["scope"], labels["member"], labels["node"] = alertLocated, "node", "b", "b"
				}
				a := Alert{Fingerprint: fingerprint(labels), Labels: labels, StartsAt: time.Now(), Firing: true}
				s.set(func() { s.firing[a.Fingerprint] = a })
				alerts = append(alerts, map[string]any{"status": "firing", "labels": labels, "startsAt": a.StartsAt})
			}
			body, err := json.Marshal(map[string]any{"version": "4", "alerts": alerts})
			if err != nil {
				t.Fatal(err)
			}
			if err := s.engine.Accept(background, "main", body); err != nil {
				t.Fatal(err)
			}
		}
		s.wait(30 * time.Second) // 10s of gather, and the turns of all
		list, err := s.store.Incidents(background, true, 0x7fffffff)
		if err != nil || len(list) != services {
			t.Fatalf("%d incidents, want %d (%v)", len(list), services, err)
		}
		for _, in := range list {
			if in.State != stateWithHuman || in.Reason != codeObserve {
				t.Fatalf("the incident of %s is %s (%s)", in.Service, in.State, in.Reason)
			}
		}
		s.wait(30 * time.Second)
		handed := map[string]int{}
		for _, m := range s.sent {
			handed[m.Incident+m.Kind]++
		}
		if len(handed) != services || len(s.sent) != services {
			t.Errorf("%d messages of %d incidents, want one each", len(s.sent), len(handed))
		}
		if s.readings > 30 {
			t.Errorf("Alertmanager was read %d times for %d decisions", s.readings, services)
		}
		if after := runtime.NumGoroutine(); after > before+turns+10 {
			t.Errorf("%d goroutines, %d before the alerts", after, before)
		}
		s.acts()
	})
}
