package signals_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
)

// member is a node that can be broken.
type member struct {
	*httptest.Server
	broken atomic.Bool
}

func newMember(t *testing.T) *member {
	t.Helper()
	m := &member{}
	m.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if m.broken.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(m.Close)
	return m
}

// scraped are settings under which rules in Prometheus judge three nodes.
func scraped(members []*member) func(*world) string {
	return func(*world) string {
		var targets []string
		for i, m := range members {
			targets = append(targets, fmt.Sprintf("{url: '%s/', labels: {node: n%d}}", m.URL, i+1))
		}
		return fmt.Sprintf(`backend: promql
modules: {http: {prober: http, timeout: 500ms, http: {preferred_ip_protocol: ip4}}}
prometheus:
  scrape: {interval: 1s, timeout: 500ms}
  evaluation: {interval: 1s, delay: 500ms}
observers: [a]
probes: [{name: nodes, service: shop, module: http, interval: 1s, targets: [%s]}]
services:
- name: shop
  owner: team
  targets: {detect: 60s, locate: 2m, recover: 4m}
  signals:
    availability: {fault: {fault_window: 10s, cap: 0.3}}
`, strings.Join(targets, ", "))
	}
}

// located are the members that alerts name, sorted.
func (w *world) located() string {
	var all []string
	for _, s := range w.ask(`ALERTS{alertstate="firing", alertname="FaultLocated"}`) {
		all = append(all, s.Metric["scope"]+" "+s.Metric["member"])
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// judged is what the rules say of each node.
func (w *world) judged() string {
	var all []string
	for _, s := range w.ask(`onefiveten:ksigma_fault:fresh{signal="availability"}`) {
		all = append(all, fmt.Sprintf("%s=%v", s.Metric["node"], s.Value[1]))
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// The exporter as it is shipped only probes; a real Prometheus finds the fault by the
// rules that it has generated, names the node, and sees the end of it.
func TestPromQL_RulesOverScrapesFindTheNode(t *testing.T) {
	members := []*member{newMember(t), newMember(t), newMember(t)}
	w := newWorldOf(t, scraped(members))
	w.becomes("every node is judged by the rules", healthy, w.judged)
	if got := w.alerts("FaultDetected"); got != "" {
		t.Fatalf("got %q while all is well", got)
	}
	for name := range w.results() {
		if strings.HasPrefix(name, "ksigma_") {
			t.Errorf("%s is on the page", name)
		}
	}
	members[1].broken.Store(true)
	w.becomes("the fault is detected", "availability", func() string { return w.alerts("FaultDetected") })
	w.becomes("the node is named", "node n2", w.located)
	if began := w.results().one("probe_first_failure_timestamp_seconds", "node=n2"); strings.HasSuffix(began, "=0") {
		t.Error("a fault has no start")
	}
	members[1].broken.Store(false)
	w.becomes("the node is well again", healthy, w.judged)
}
