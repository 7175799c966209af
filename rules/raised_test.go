package rules

import (
	"fmt"
	"maps"
	"slices"
	"testing"
)

func TestAlerts_AreThoseOfTheContractAndDifferInTheirIdentity(t *testing.T) {
	s := full()
	promises := map[string]Promise{}
	for _, p := range Contract() {
		promises[p.Alert] = p
	}
	identity, seen, names := s.Identity(), map[string]bool{}, map[string]bool{}
	for _, alert := range s.Alerts() {
		names[alert["alertname"]] = true
		p, known := promises[alert["alertname"]]
		if !known {
			t.Errorf("%v is no alert of the contract", alert)
		}
		for _, name := range p.Labels {
			if alert[name] == "" {
				t.Errorf("%v lacks the label %s", alert, name)
			}
		}
		key := ""
		for _, name := range identity {
			key += fmt.Sprintf("%q", alert[name])
		}
		if seen[key] {
			t.Errorf("another alert has the same %v: %v", identity, alert)
		}
		seen[key] = true
	}
	if !maps.Equal(names, map[string]bool{"FaultDetected": true, "FaultLocated": true, "FaultNotLocated": true, "RecoveryOverdue": true, "ObserverFault": true, "Watchdog": true}) {
		t.Errorf("got %v, want every alert of the contract", names)
	}
	located := slices.ContainsFunc(s.Alerts(), func(a map[string]string) bool {
		return a["alertname"] == "FaultLocated" && a["service"] == "bill" && a["scope"] == "zone" && a["zone"] != "" && a["member"] != "" && a["severity"] == ticket
	})
	if !located {
		t.Error("no alert is located in a zone")
	}
}
