// Package contract_test holds the two halves of the product against each other:
// what the generated rules put on an alert is what heal-receiver reads from it.
// They share no Go state, so nothing but this test keeps the two ends equal.
package contract_test

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-kit/log"
	"go.yaml.in/yaml/v3"

	"github.com/onefiveten/onefiveten/healer"
	"github.com/onefiveten/onefiveten/healer/journal"
	"github.com/onefiveten/onefiveten/healer/plan"
	"github.com/onefiveten/onefiveten/rules"
	"github.com/onefiveten/onefiveten/sigma"
)

const settings = `
cluster: contract
prometheus: [{name: main, url: 'http://127.0.0.1:9'}]
services:
- {name: shop, members: 'min by (node) (up)', healthy: {query: 'min(up) == 1'}}
scenarios:
- {name: bad-node, match: ['service="shop"'], owner: team, severity: P1, ladders: {node: []}}
`

// shop is the least that promises anything: rules are written for services alone.
func shop() rules.Spec {
	fault := sigma.Fault{Window: time.Minute, Floor: .05, Cap: .1, MinAnomalies: 2, K: 3, Clear: 3}
	spec := rules.Spec{Prometheus: rules.DefaultPrometheus(), Alertmanager: rules.DefaultAlertmanager(), Observers: []string{"a"}}
	spec.Services = []rules.Service{{
		Name: "shop", Severity: "page", Dimensions: []string{"node"}, Detect: 2 * time.Minute, Locate: 5 * time.Minute, Recover: 10 * time.Minute,
		Signals: []rules.Signal{{Name: "availability", Mode: "page", Fault: fault}},
		Probes:  []rules.Probe{{Name: "shop-nodes", Role: "node", Interval: 5 * time.Second, Timeout: time.Second}},
	}}
	return spec
}

func book(t *testing.T) *plan.Book {
	t.Helper()
	var s plan.Settings
	if err := yaml.Unmarshal([]byte(settings), &s); err != nil {
		t.Fatal(err)
	}
	b, err := plan.Compile(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// labels of one alert of a promise, as a rule would fill them.
func labels(p rules.Promise, scope string) map[string]string {
	all := map[string]string{"alertname": p.Alert}
	for _, name := range p.Labels {
		all[name] = map[string]string{"service": "shop", "owner": "team", "signal": "availability", "severity": "page", "heal": "true", "scope": scope, "observer": "a"}[name]
	}
	if scope == "node" {
		for _, name := range p.Sometimes {
			all[name] = "n2"
		}
	}
	return all
}

func TestContract_TheReceiverMapsWhatTheRulesEmit(t *testing.T) {
	b := book(t)
	triggers := []string{}
	for _, p := range rules.Contract() {
		if !slices.Contains(p.Labels, "heal") {
			t.Errorf("%s is promised to the receiver without the label heal, by which the route finds it", p.Alert)
		}
		got := b.Map(labels(p, "node"))
		if slices.Contains(p.Labels, "service") && got.Service != "shop" {
			t.Errorf("%s: the receiver reads the service %q, want shop", p.Alert, got.Service)
		}
		if p.Alert == "FaultLocated" && (got.Scope != "node" || got.Member != "n2" || got.Severity != 2) {
			t.Errorf("FaultLocated: the receiver reads %+v, want scope node, member n2, severity 2", got)
		}
		if slices.Contains(p.Labels, "service") && p.Alert != "ObserverFault" && !slices.Contains(p.Annotations, "fault_start") {
			t.Errorf("%s does not promise the annotation fault_start, from which the clocks run", p.Alert)
		}
		if b.Trigger(labels(p, "node")) {
			triggers = append(triggers, p.Alert)
		}
	}
	if want := []string{"FaultDetected", "FaultLocated"}; !slices.Equal(triggers, want) {
		t.Errorf("triggers: got %v, want %v: the others are events", triggers, want)
	}
}

func TestContract_TheClocksRunFromTheAnnotation(t *testing.T) {
	store, err := journal.Open(filepath.Join(t.TempDir(), "journal.db"), journal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	b := book(t)
	engine, err := healer.NewEngine(healer.Options{Store: store, Book: func() *plan.Book { return b }, Outside: func() healer.Outside { return healer.Outside{} },
		Logger: log.NewNopLogger(), Owner: "contract"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- engine.Run(ctx) }()
	defer func() { stop(); <-done }()

	start := time.Now().Add(-7250 * time.Millisecond).Truncate(time.Millisecond)
	if err := engine.Accept(ctx, "main", webhook(t, start)); err != nil {
		t.Fatal(err)
	}
	i := await(t, store)
	if !i.FaultStart.Equal(start) || !strings.Contains(i.FaultStartSource, "annotation") {
		t.Errorf("the fault starts at %s by %q, want %s by the annotation", i.FaultStart, i.FaultStartSource, start)
	}
}

// webhook is a notification with every promised alert, fault_start written as
// the template of the rules writes it.
func webhook(t *testing.T, start time.Time) []byte {
	t.Helper()
	var alerts []map[string]any
	for _, p := range rules.Contract() {
		annotations := map[string]string{}
		for _, name := range p.Annotations {
			annotations[name] = "text"
		}
		if slices.Contains(p.Annotations, "fault_start") {
			annotations["fault_start"] = fmt.Sprintf("%.3f", float64(start.UnixMilli())/1000)
		}
		alerts = append(alerts, map[string]any{"status": "firing", "labels": labels(p, "node"), "annotations": annotations, "startsAt": time.Now()})
	}
	body, err := json.Marshal(map[string]any{"version": "4", "alerts": alerts})
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func await(t *testing.T, store healer.Store) healer.Incident {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for {
		all, err := store.Incidents(t.Context(), true, 10)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range all {
			if i.Service == "shop" {
				return i
			}
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("no incident of shop within 20s")
		}
	}
}
