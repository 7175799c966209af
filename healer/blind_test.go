package healer

import (
	"fmt"
	"testing"
	"time"
)

func TestABlindPrometheusKeepsNoFaultFromBeingHeardOf(t *testing.T) {
	const services = 40
	inShop(t, shopWith(t, many(t, services)...), func(s *shop) {
		s.set(func() { s.slow = time.Hour })
		for i := range services { // no annotation tells when these faults began
			s.alert("FaultDetected", "service", fmt.Sprintf("s%03d", i))
		}
		s.wait(10 * time.Second)
		list, err := s.store.Incidents(background, false, 1000)
		if err != nil || len(list) != services {
			t.Errorf("after 10s %d of %d faults have an incident (%v)", len(list), services, err)
		}
	})
}
