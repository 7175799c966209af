package healer

import (
	"testing"
	"time"
)

func TestAMitigationIsChangedThroughAnIncidentOfItsOwnCluster(t *testing.T) {
	inShop(t, shopWith(t), func(s *shop) {
		s.breakNode("b")
		s.wait(time.Minute)
		c := s.in(stateRecovered, "")
		other := c.Incident // the service of that name in another cluster, opened later
		other.ID, other.Key, other.Cluster = "z-other", "far/web", "far"
		s.store.mu.Lock()
		s.store.Incs[other.ID] = &other
		s.store.mu.Unlock()
		if err := s.engine.Forget(background, c.Mitigations[0].ID, "anna"); err != nil {
			s.t.Fatal(err)
		}
		for _, x := range s.store.Log {
			if x.Event == "mitigation_released" && x.Incident != c.Incident.ID {
				t.Errorf("released through incident %s, want %s", x.Incident, c.Incident.ID)
			}
		}
	})
}

func TestAClusterMayHaveASlashInItsName(t *testing.T) {
	inShop(t, shopWith(t, "cluster: shop", "cluster: eu/shop"), func(s *shop) {
		s.breakNode("b")
		s.wait(time.Minute)
		c := s.in(stateRecovered, "")
		if in := c.Incident; in.Cluster != "eu/shop" || in.Service != "web" {
			t.Errorf("service %q of cluster %q, want web of eu/shop", in.Service, in.Cluster)
		}
	})
}
