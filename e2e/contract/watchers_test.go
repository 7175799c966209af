package contract_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/onefiveten/onefiveten/rules"
)

// page is what heal-receiver shows, as its own rooms hold it; the last two are those
// of its webhook and of its file.
func page(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../healer/testdata/metrics.txt")
	if err != nil {
		t.Fatal(err)
	}
	return string(text) + "\n# TYPE heal_notifications_total counter\n# TYPE heal_config_last_reload_successful gauge\n# TYPE heal_outbox_failures_total counter\n"
}

func watchers(t *testing.T) string {
	t.Helper()
	files, _, err := rules.Generate(shop())
	if err != nil {
		t.Fatal(err)
	}
	return string(files["rules/onefiveten-watchers.yml"])
}

// A rule over a metric that nobody shows would be silent for ever.
func TestWatchers_ReadWhatTheReceiverShows(t *testing.T) {
	shown := page(t)
	names := regexp.MustCompile(`\bheal_[a-z_]+`).FindAllString(watchers(t), -1)
	if len(names) < 10 {
		t.Fatalf("found only %q", names)
	}
	for _, name := range names {
		if !strings.Contains(shown, "# TYPE "+name+" ") {
			t.Errorf("the rules read %s, which heal-receiver does not show", name)
		}
	}
}

// The codes at which the machine could not do its work begin at 0 in the receiver,
// and are those that the rule counts.
func TestWatchers_CountTheCodesThatBeginAtZero(t *testing.T) {
	rule := regexp.MustCompile(`heal_handed_over_total\{code=~"([^"]+)"\}`).FindStringSubmatch(watchers(t))
	if rule == nil {
		t.Fatal("no rule reads heal_handed_over_total")
	}
	var began []string
	for _, m := range regexp.MustCompile(`(?m)^heal_handed_over_total\{code="([a-z_]+)"\} 0$`).FindAllStringSubmatch(page(t), -1) {
		began = append(began, m[1])
	}
	if want := strings.Split(rule[1], "|"); !slices.Equal(began, want) {
		t.Errorf("the receiver begins %q at 0, the rule counts %q", began, want)
	}
}

// An alert that tells of the chain starts nothing, even where a scenario takes every
// alert of its service.
func TestWatchers_StartNothing(t *testing.T) {
	b := book(t)
	for _, m := range regexp.MustCompile(`(?m)- alert: (\S+)$`).FindAllStringSubmatch(watchers(t), -1) {
		if b.Trigger(map[string]string{"alertname": m[1], "service": "shop", "severity": "page"}) {
			t.Errorf("%s would start an incident of its service", m[1])
		}
	}
}
