package healer

import "testing"

func TestAnObserverFaultVetoesBeforeItHasJoinedTheIncident(t *testing.T) {
	for name, x := range map[string]struct {
		source string
		labels map[string]string
		vetoes bool
	}{
		"of the service":            {"main", map[string]string{"alertname": alertObserver, "service": "web", "observer": "o"}, true},
		"of no service":             {"main", map[string]string{"alertname": alertObserver, "observer": "o"}, true},
		"of another service":        {"main", map[string]string{"alertname": alertObserver, "service": "db", "observer": "o"}, false},
		"of another cluster":        {"far", map[string]string{"alertname": alertObserver, "service": "web", "observer": "o"}, false},
		"no ObserverFault":          {"main", map[string]string{"alertname": "Other", "service": "web"}, false},
		"no service, other cluster": {"far", map[string]string{"alertname": alertObserver, "observer": "o"}, false},
	} {
		s := newShop(t, shopWith(t))
		s.store.Eps = []*Episode{{ID: "e", Source: x.source, Labels: x.labels, OpenedAt: now0}} // came a moment ago
		e := &Engine{Options: Options{Store: s.store, Book: s.inForce, Outside: func() Outside {
			return Outside{Clusters: map[string]string{"far": "far"}}
		}}}
		c := &Case{Now: now0, Incident: Incident{ID: "i", Key: "shop/web", Cluster: "shop", Service: "web"}}
		if got := e.veto(t.Context(), c); (got != "") != x.vetoes {
			t.Errorf("%s: vetoed by %q, want a veto: %v", name, got, x.vetoes)
		}
	}
}
