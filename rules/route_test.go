package rules

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/promql/parser"
)

// watched are the metrics of both programs that the watchers read.
var watched = []string{
	"heal_clock_behind_seconds", "heal_config_last_reload_successful", "heal_handed_over_total", "heal_holds", "heal_journal_readable",
	"heal_mitigation_held_since_timestamp_seconds", "heal_notifications_total", "heal_outbox_failures_total", "heal_outbox_pending",
	"heal_runs_total", "heal_watchdog_overdue", "probe_exporter_config_last_reload_successful",
}

func TestRoute_IsThatOfTheSettings(t *testing.T) {
	a := DefaultAlertmanager()
	a.GroupWait, a.GroupInterval = sec(5), sec(30)
	a.Webhook = Webhook{URL: `https://heal.example/api?a="b"`, CredentialsFile: "/etc/heal: token"}
	data, err := a.exampleFile()
	if err != nil {
		t.Fatal(err)
	}
	want := `# A whole Alertmanager configuration around these routes.
# Loads in Alertmanager 0.25 and later.
# People hear in one message of all that fires for a service. No inhibit rule does
# that: inhibition is global, and what heals would lose alerts or their end.
route:
  receiver: people
  group_by: [service]
  routes:
    # Watchdog always fires: once a minute to heal-receiver, which tells people when it
    # stays away, and to nobody else.
    - receiver: heal
      matchers: [alertname="Watchdog", heal="true"]
      group_by: ['...']
      group_wait: 5s
      group_interval: 30s
      repeat_interval: 45s
    # What heals; it goes on to people.
    - receiver: heal
      matchers: [heal="true"]
      group_by: ['...']
      group_wait: 5s
      group_interval: 30s
      repeat_interval: 1h
      continue: true
    # The last one. An alert that a route has taken falls no more to the receiver of the
    # top route by itself: this one gives it to that receiver if no other of yours does.
    - matchers: [heal="true"]
      group_by: [service]
receivers:
  # Your mail, chat or pager.
  - name: people
  - name: heal
    webhook_configs:
      - url: https://heal.example/api?a="b"
        send_resolved: true
        max_alerts: 0
        http_config:
          follow_redirects: false
          authorization:
            credentials_file: '/etc/heal: token'
`
	if diff := cmp.Diff(want, string(data)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	a.Webhook.CredentialsFile = ""
	if data, err := a.routeFile(); err != nil || strings.Contains(string(data), "authorization") || strings.Contains(string(data), "people\n") {
		t.Errorf("without credentials: %v\n%s", err, data)
	}
}

// A shop that has no heal-receiver says so by an empty address: nothing leads to
// one, nothing tells that it is away, and Watchdog pages nobody.
func TestRoute_WithoutAReceiverNothingHeals(t *testing.T) {
	s := full()
	s.Alertmanager.Webhook.URL = ""
	files := generate(t, s)
	for _, name := range []string{RouteFile, AlertmanagerFile} {
		text := string(files[name])
		if strings.Contains(text, "webhook") && !strings.Contains(text, "alertmanager.webhook.url is empty") || strings.Contains(text, "receiver: heal") {
			t.Errorf("%s leads to a receiver:\n%s", name, text)
		}
		if !strings.Contains(text, "    - receiver: nobody\n      matchers: [alertname=\"Watchdog\", heal=\"true\"]\n") {
			t.Errorf("%s has no place for Watchdog:\n%s", name, text)
		}
	}
	forEachRule(t, s, func(_ string, r writtenRule, _ parser.Expr) {
		if strings.HasPrefix(r.Alert, "Heal") || r.Alert == "MitigationHeld" || r.Labels["program"] == "heal-receiver" {
			t.Errorf("%s of %v tells of a receiver that is not there", r.Alert, r.Labels)
		}
	})
	if text := string(files[TestsFile]); strings.Contains(text, "HealReceiverDown") || strings.Contains(text, "HealFailing") {
		t.Errorf("the tests expect alerts that are not there")
	}
}
