package healer

import (
	"testing"
	"time"
)

func TestWhatIsPutBackLaterIsRenderedLikeWhatWasDone(t *testing.T) {
	// The pool stands in the alert alone, and the next incident's alert names another.
	book := []string{
		"[/opt/balancer, drain, '{{ .Member.Labels.node }}']", "[/opt/balancer, drain, '{{ .Member.Labels.node }}', '{{ .Alert.Labels.pool }}']",
		"[/opt/balancer, ready, '{{ .Member.Labels.node }}']", "[/opt/balancer, ready, '{{ .Member.Labels.node }}', '{{ .Alert.Labels.pool }}']",
	}
	located := func(s *shop, node, pool string) {
		s.set(func() { s.up[node] = false })
		s.alert(alertLocated, "signal", "availability", "scope", "node", "member", node, "node", node, "pool", pool)
		s.wait(12 * time.Second)
		s.set(func() { s.drained[node] = true }) // the shop's balancer knows no pools
		s.wait(time.Minute)
	}
	for name, end := range map[string]func(s *shop, incident string){
		"closed by a person": func(s *shop, incident string) {
			if err := s.engine.Close(background, incident, "anna"); err != nil {
				s.t.Fatal(err)
			}
			s.resolve()
		},
		"still open": func(s *shop, _ string) { s.resolve() },
	} {
		t.Run(name, func(t *testing.T) {
			inShop(t, shopWith(t, book...), func(s *shop) {
				located(s, "b", "p1")
				c := s.incident()
				m := c.Mitigations[0]
				end(s, c.Incident.ID)
				s.wait(10 * time.Second)
				located(s, "c", "p2")
				if err := s.engine.Release(background, m.ID, "anna"); err != nil {
					s.t.Fatalf("%v\n%s", err, s.story())
				}
				s.wait(10 * time.Second)
				if got, want := s.did[len(s.did)-1], "/opt/balancer ready b p1"; got != want {
					t.Errorf("put back by %q, want %q: it was drained by %q\n%s", got, want, s.did[0], s.story())
				}
			})
		})
	}
}
