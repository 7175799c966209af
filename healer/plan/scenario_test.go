package plan_test

import (
	"strings"
	"testing"
	"time"

	"github.com/onefiveten/onefiveten/healer/plan"
)

const mapped = `labels:
  service: [service, app, job]
  node: [node, instance]
  severity: [level, severity]
`

func TestTheFirstLabelThatIsPresentWins(t *testing.T) {
	b := book(t, base+mapped)
	for _, c := range []struct {
		labels map[string]string
		want   plan.Mapped
	}{
		{
			map[string]string{"service": "web", "app": "other", "node": "n1", "scope": "node", "severity": "P1"},
			plan.Mapped{Service: "web", Node: "n1", Scope: "node", Severity: 1, Member: "n1"},
		},
		{
			map[string]string{"service": "", "app": "web", "job": "x", "instance": "n2:80", "member": "pod-1", "level": "page"},
			plan.Mapped{Service: "web", Node: "n2:80", Severity: 2, Member: "pod-1"},
		},
		{map[string]string{"level": "ticket"}, plan.Mapped{Severity: 4}},
		{map[string]string{"level": "P6"}, plan.Mapped{Severity: 3}},
		{nil, plan.Mapped{Severity: 3}},
	} {
		if got := b.Map(c.labels); got != c.want {
			t.Errorf("%v: got %+v, want %+v", c.labels, got, c.want)
		}
	}
}

const db = "  - { name: db, healthy: { query: 'up{job=\"db\"} == 1' } }\n"

const more = `  - name: off
    match: ['service="db"']
    enabled: false
  - name: db-slow
    match: ['service="db", signal=~"latency|saturation"', 'zone!="z9"']
    severity: ticket
  - name: db-any
    match: ['{service="db"}']
    targets: { recover: 30m }
escalate`

func TestTheFirstEnabledScenarioThatMatchesWins(t *testing.T) {
	b := book(t, mapped+strings.Replace(with(t, "\nescalate", "\n"+more), "plans:\n", db+"plans:\n", 1))
	for _, c := range []struct {
		labels map[string]string
		want   string
	}{
		{map[string]string{"service": "web"}, "web-bad"},
		{map[string]string{"app": "web"}, "web-bad"}, // the mapped word
		{map[string]string{"service": "db", "signal": "latency"}, "db-slow"},
		{map[string]string{"service": "db", "signal": "latency", "zone": "z9"}, "db-any"},
		{map[string]string{"service": "db", "signal": "latency", "heal_scenario": "db-any"}, "db-any"},
		{map[string]string{"service": "db", "signal": "latency", "heal_scenario": "web-bad"}, "db-slow"}, // chosen, but no match
		{map[string]string{"service": "db", "signal": "latency", "heal_scenario": "off"}, "db-slow"},
		{map[string]string{"service": "cache"}, ""},
		{nil, ""},
	} {
		got := ""
		if s := b.Scenario(c.labels); s != nil {
			got = s.Name
		}
		if got != c.want {
			t.Errorf("%v: got %q, want %q", c.labels, got, c.want)
		}
	}
	if s := b.Scenarios[3]; s.Targets != (plan.Targets{Detect: time.Minute, Locate: 5 * time.Minute, Recover: 30 * time.Minute}) || s.Severity != 0 {
		t.Errorf("db-any: got %+v, severity %d, want the targets of the top with recover 30m, and 0", s.Targets, s.Severity)
	}
	if s := b.Scenarios[2]; s.Severity != 4 || s.Escalate.To[0] != "oncall" {
		t.Errorf("db-slow: got severity %d, escalate %+v, want 4 and that of the top", s.Severity, s.Escalate)
	}
}

func TestOnlyFaultsAndForeseenAlertsAreTriggers(t *testing.T) {
	b := book(t, base)
	for _, c := range []struct {
		alertname, service string
		want               bool
	}{
		{"FaultDetected", "web", true},
		{"FaultLocated", "unknown", true},
		{"HighLatency", "web", true}, // of others, foreseen by a scenario
		{"HighLatency", "db", false},
		{"FaultNotLocated", "web", false},
		{"RecoveryOverdue", "web", false},
		{"ObserverFault", "web", false},
		{"ObserverDisagrees", "web", false},
		{"ProbeStale", "web", false},
		{"NodeOutOfRotation", "web", false},
		{"Watchdog", "web", false},
	} {
		if got := b.Trigger(map[string]string{"alertname": c.alertname, "service": c.service}); got != c.want {
			t.Errorf("%s of %s: got %t, want %t", c.alertname, c.service, got, c.want)
		}
	}
}

func TestLimitsOfAllLevelsMustAllow(t *testing.T) {
	text := with(t, "    params: { backend", "    limits: { attempts: 2, cooldown: { first: 1h, factor: 1, max: 1h } }\n    params: { backend")
	b := book(t, "limits: { attempts: 3 }\n"+text)
	p, s := b.Plans["drain"], b.Services["web"]
	for failures, want := range map[int]time.Duration{-1: time.Hour, 0: time.Hour, 2: time.Hour, 3: 2 * time.Hour, 4: 4 * time.Hour, 5000: 4 * time.Hour} {
		cooldown, attempts := b.Limit(p, s, failures)
		if cooldown != want || attempts != 2 {
			t.Errorf("%d failures: got %s, %d attempts, want %s, 2", failures, cooldown, attempts, want)
		}
	}
}
