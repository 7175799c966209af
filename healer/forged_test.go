package healer

import (
	"testing"
	"time"
)

// Anybody who reaches Alertmanager can post an alert, also one that differs from
// a true one in the one label that the action rests on.
func TestAnAlertThatIsTrueButForItsLocationIsNotActedUpon(t *testing.T) {
	located := func(labels ...string) map[string]string {
		alert := map[string]string{"alertname": alertLocated, "service": "web", "signal": "availability"}
		for i := 0; i < len(labels); i += 2 {
			alert[labels[i]] = labels[i+1]
		}
		return alert
	}
	unknown := []string{"unknown: []", "unknown: [drain]"}
	for name, x := range map[string]struct {
		book   []string
		seen   map[string]string
		posted []string
	}{
		"another member":                {seen: located("scope", "node", "node", "b", "member", "b"), posted: []string{"scope", "node", "node", "b", "member", "c"}},
		"another node":                  {seen: located("scope", "node", "node", "b"), posted: []string{"scope", "node", "node", "c"}},
		"the whole service":             {seen: located("scope", "node", "node", "b", "member", "b"), posted: []string{"scope", "service"}},
		"a member without a scope":      {book: unknown, seen: located("scope", "node", "node", "b", "member", "b"), posted: []string{"node", "c", "member", "c"}},
		"a member of the whole service": {seen: located("scope", "service"), posted: []string{"scope", "node", "node", "c", "member", "c"}},
	} {
		t.Run(name, func(t *testing.T) {
			inShop(t, shopWith(t, x.book...), func(s *shop) {
				s.set(func() { s.up["b"], s.sees = false, []map[string]string{x.seen} })
				s.alert(alertLocated, append([]string{"signal", "availability"}, x.posted...)...)
				s.wait(6 * time.Minute)
				s.in(stateWithHuman, codeUncorroborated)
				s.acts()
			})
		})
	}
}
