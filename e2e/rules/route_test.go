package rules_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/onefiveten/onefiveten/demo/stack"
	"github.com/onefiveten/onefiveten/rules"
)

// existing is a configuration of somebody who has one already, with an inhibit rule
// that touches none of the alerts that heal.
const existing = `global: {resolve_timeout: 5m}
route:
  receiver: pager
  group_by: [alertname]
  routes:
  - {receiver: db, matchers: ['team="db"']}
  - {receiver: desk, matchers: ['service="shop"', 'severity="ticket"']}
receivers: [{name: pager}, {name: db}, {name: desk}]
inhibit_rules:
- {source_matchers: ['alertname="NetworkDown"'], target_matchers: ['team="db"'], equal: [zone]}
`

type tree = map[string]any

// inserted puts the snippet into the configuration as its comment says: two routes
// before all others, the third after them, the receiver beside the others.
func inserted(t *testing.T, snippet []byte) []byte {
	t.Helper()
	var mine, add tree
	for text, into := range map[string]*tree{existing: &mine, string(snippet): &add} {
		if err := yaml.Unmarshal([]byte(text), into); err != nil {
			t.Fatal(err)
		}
	}
	top := mine["route"].(tree)
	routes := add["route"].(tree)["routes"].([]any)
	before := min(2, len(routes))
	top["routes"] = slices.Concat(routes[:before], top["routes"].([]any), routes[before:])
	mine["receivers"] = append(mine["receivers"].([]any), add["receivers"].([]any)...)
	data, err := yaml.Marshal(mine)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// goesTo asks amtool which receivers an alert reaches, in order.
func goesTo(t *testing.T, amtool stack.Program, config string, labels map[string]string) string {
	t.Helper()
	args := []string{"config", "routes", "test", "--config.file=" + config}
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		args = append(args, fmt.Sprintf("%s=%q", name, labels[name]))
	}
	out, ok := run(t, amtool.Path, args...)
	if !ok {
		t.Fatalf("amtool %s %q:\n%s", amtool.Version, args, out)
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	return lines[len(lines)-1]
}

// promised is an alert as a rule gives it.
func promised(p rules.Promise) map[string]string {
	all := map[string]string{"alertname": p.Alert}
	for _, name := range p.Labels {
		all[name] = "x"
	}
	if _, of := all["service"]; of {
		all["service"], all["severity"] = "shop", "page"
	}
	all["heal"] = "true"
	return all
}

// What heals reaches the receiver first and people after, by whichever of their
// routes; Watchdog reaches the receiver alone; the rest is not touched.
func TestAmtool_TheSnippetFitsIntoAConfigurationThatIsThere(t *testing.T) {
	files, _, err := rules.Generate(demo())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	whole, part := filepath.Join(dir, "whole.yml"), filepath.Join(dir, "part.yml")
	put(t, whole, files[rules.AlertmanagerFile])
	put(t, part, inserted(t, files[rules.RouteFile]))
	for _, generation := range generations {
		t.Run(generation, func(t *testing.T) {
			amtool := find(t, generation).Amtool
			for config, people := range map[string]string{whole: "people", part: "pager"} {
				if out, ok := run(t, amtool.Path, "check-config", config); !ok {
					text, _ := os.ReadFile(config)
					t.Fatalf("amtool %s:\n%s\n%s", amtool.Version, out, text)
				}
				for _, p := range rules.Contract() {
					want := "heal," + people
					if p.Alert == "Watchdog" {
						want = "heal"
					}
					if got := goesTo(t, amtool, config, promised(p)); got != want {
						t.Errorf("amtool %s: %s goes to %s, want %s", amtool.Version, p.Alert, got, want)
					}
				}
				for _, alone := range []string{"ProbeStale", "HealReceiverDown", "HealFailing", "MitigationHeld", "NodeOutOfRotation"} {
					if got := goesTo(t, amtool, config, map[string]string{"alertname": alone, "severity": "page"}); got != people {
						t.Errorf("amtool %s: %s goes to %s, want %s", amtool.Version, alone, got, people)
					}
				}
			}
			for want, labels := range map[string]map[string]string{
				"heal,desk": {"alertname": "ObserverFault", "heal": "true", "service": "shop", "severity": "ticket"},
				"heal,db":   {"alertname": "FaultDetected", "heal": "true", "service": "x", "team": "db"},
				"db":        {"alertname": "Slow", "team": "db"},
				"pager":     {"alertname": "Watchdog", "severity": "none"}, // of somebody else's rules
			} {
				if got := goesTo(t, amtool, part, labels); got != want {
					t.Errorf("amtool %s: %v goes to %s, want %s", amtool.Version, labels, got, want)
				}
			}
		})
	}
}

// Without a receiver both files load as well, and Watchdog pages nobody.
func TestAmtool_AcceptsTheConfigurationWithoutAReceiver(t *testing.T) {
	s := demo()
	s.Alertmanager.Webhook.URL = ""
	files, _, err := rules.Generate(s)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	whole, part := filepath.Join(dir, "whole.yml"), filepath.Join(dir, "part.yml")
	put(t, whole, files[rules.AlertmanagerFile])
	put(t, part, inserted(t, files[rules.RouteFile]))
	for _, generation := range generations {
		amtool := find(t, generation).Amtool
		for config, people := range map[string]string{whole: "people", part: "pager"} {
			if out, ok := run(t, amtool.Path, "check-config", config); !ok {
				t.Fatalf("amtool %s:\n%s", amtool.Version, out)
			}
			for alert, want := range map[string]string{"Watchdog": "nobody", "FaultDetected": people} {
				if got := goesTo(t, amtool, config, map[string]string{"alertname": alert, "heal": "true"}); got != want {
					t.Errorf("amtool %s: %s goes to %s, want %s", amtool.Version, alert, got, want)
				}
			}
		}
	}
}

// The generated tests of a shop without a receiver expect none of its alerts.
func TestPromtool_AcceptsTheRulesWithoutAReceiver(t *testing.T) {
	s := demo()
	s.Alertmanager.Webhook.URL = ""
	dir := write(t, s)
	for _, generation := range generations {
		promtool := find(t, generation).Promtool
		check(t, promtool, dir)
		if out, ok := run(t, promtool.Path, "test", "rules", filepath.Join(dir, rules.TestsFile)); !ok {
			t.Errorf("promtool %s:\n%s", promtool.Version, out)
		}
	}
}
