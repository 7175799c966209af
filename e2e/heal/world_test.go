// Package heal_test runs heal-receiver as the process that people run, with a
// real Prometheus and a real Alertmanager, and judges it by an outside witness:
// an HTTP server that is the service, its balancer and the desk of the people
// on duty, and counts what reaches it.
package heal_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/onefiveten/onefiveten/demo/process"
	"github.com/onefiveten/onefiveten/demo/stack"
	"github.com/onefiveten/onefiveten/e2e/program"
)

// witness is a service of three nodes behind a balancer. It is no part of the
// product: what it counts is what was really done.
type witness struct {
	*httptest.Server

	mu      sync.Mutex
	bad     map[string]bool
	drained map[string]bool
	calls   []string // "drain n2", "ready n2", in order of arrival
	runs    []string // X-Heal-Run of each call
	notes   []note
	hang    chan struct{} // not nil: drain calls never answer until it is closed
	effect  bool          // a hanging drain takes effect all the same
}

// note is what the desk got.
type note struct {
	Kind string `json:"kind"`
	Code string `json:"code"`
	Text string `json:"text"`
	raw  string
}

func newWitness(t *testing.T) *witness {
	w := &witness{bad: map[string]bool{}, drained: map[string]bool{}, effect: true}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", w.metrics)
	mux.HandleFunc("POST /drain/{node}", w.drain)
	mux.HandleFunc("POST /ready/{node}", func(_ http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.count("ready", r)
		delete(w.drained, r.PathValue("node"))
	})
	mux.HandleFunc("POST /desk", w.desk)
	w.Server = httptest.NewServer(mux)
	t.Cleanup(func() { w.release(); w.CloseClientConnections(); w.Close() })
	return w
}

func (w *witness) metrics(out http.ResponseWriter, _ *http.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	out.Header().Set("Content-Type", "text/plain; version=0.0.4")
	entry := 1
	fmt.Fprintln(out, "# TYPE shop_up gauge")
	for _, n := range []string{"n1", "n2", "n3"} {
		up := 1
		if w.bad[n] {
			up = 0
			if !w.drained[n] {
				entry = 0
			}
		}
		fmt.Fprintf(out, "shop_up{service=\"shop\",role=\"node\",node=%q} %d\n", n, up)
	}
	fmt.Fprintf(out, "shop_up{service=\"shop\",role=\"entry\"} %d\n", entry)
}

// count must be called with mu held.
func (w *witness) count(what string, r *http.Request) {
	w.calls = append(w.calls, what+" "+r.PathValue("node"))
	w.runs = append(w.runs, r.Header.Get("X-Heal-Run"))
}

func (w *witness) drain(out http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	w.count("drain", r)
	if w.effect {
		w.drained[r.PathValue("node")] = true
	}
	hang := w.hang
	w.mu.Unlock()
	if hang != nil {
		<-hang
	}
	out.WriteHeader(http.StatusNoContent)
}

func (w *witness) desk(_ http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	var n note
	_ = json.Unmarshal(body, &n)
	n.raw = string(body)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.notes = append(w.notes, n)
}

func (w *witness) release() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.hang != nil {
		close(w.hang)
		w.hang = nil
	}
}

func (w *witness) set(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
}

func (w *witness) called() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.calls)
}

func (w *witness) noted() []note {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.notes)
}

func (w *witness) told(part string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.ContainsFunc(w.notes, func(n note) bool { return strings.Contains(n.raw, part) })
}

// world is the witness with the real servers around it.
type world struct {
	*witness
	t                        *testing.T
	dir, binary              string
	prometheus, alertmanager string
	receiver                 *process.Port
	group                    process.Group
	heal                     *process.Process
}

// upTo bounds every wait for something that comes within seconds on a machine
// that is idle. It is no promise of the product: only a failing test waits so long.
const upTo = 3 * time.Minute

type option func(*options)

type options struct {
	inhibit string // an inhibit rule of Alertmanager
	gather  string // how long heal-receiver gathers before it chooses
	verify  string // how long a proof may take; what is expected to fail waits for all of it
}

// slowly leaves a test the time to do something between acceptance and choice,
// on a busy machine, too.
func slowly(o *options) { o.gather = "20s" }

func newWorld(t *testing.T, opts ...option) *world {
	t.Helper()
	o := options{gather: "5s", verify: "60s"}
	for _, f := range opts {
		f(&o)
	}
	parts, err := stack.Find(t.Context(), stack.Options{Which: "build"})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{witness: newWitness(t), t: t, dir: t.TempDir()}
	t.Cleanup(w.group.Close)
	w.build()
	prometheus, alertmanager := w.port(), w.port()
	w.receiver = w.port()
	w.prometheus, w.alertmanager = prometheus.URL(), alertmanager.URL()
	w.write("am.token", "am-secret")
	w.write("admin.token", "admin-secret")
	w.write("alertmanager.yml", w.alertmanagerConfig(o.inhibit))
	w.write("rules.yml", rules)
	w.write("prometheus.yml", w.prometheusConfig(alertmanager))
	w.write("heal.yml", w.healConfig(o))
	w.start(parts.AlertmanagerCommand(stack.Server{Config: w.file("alertmanager.yml"), Data: w.file("am"), Addr: alertmanager.Addr(), Log: w.file("am.log")}))
	w.startHeal()
	w.start(parts.PrometheusCommand(stack.Server{Config: w.file("prometheus.yml"), Data: w.file("prom"), Addr: prometheus.Addr(), Log: w.file("prom.log")}))
	w.eventually("Prometheus sees the three nodes", func() bool {
		return strings.Contains(w.get(w.prometheus+"/api/v1/query?query=count(shop_up)", ""), `"4"`)
	})
	return w
}

func (w *world) build() {
	w.t.Helper()
	binary, err := program.Build(w.t.Context(), "heal-receiver")
	if err != nil {
		w.t.Fatal(err)
	}
	w.binary = binary
}

func (w *world) port() *process.Port {
	w.t.Helper()
	p, err := process.Reserve()
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(p.Close)
	return p
}

func (w *world) file(name string) string { return filepath.Join(w.dir, name) }

func (w *world) write(name, text string) {
	w.t.Helper()
	if err := os.WriteFile(w.file(name), []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) start(c process.Command) *process.Process {
	w.t.Helper()
	p, err := w.group.Start(w.t.Context(), time.Minute, c)
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

func (w *world) startHeal() {
	w.t.Helper()
	w.heal = w.start(process.Command{Name: "heal-receiver", Path: w.binary, Log: w.file("heal.log"), Ready: w.receiver.URL() + "/-/ready",
		Args: []string{"--config.file=" + w.file("heal.yml"), "--accept-risk", "--log.level=debug", "serve", "--web.listen-address=" + w.receiver.Addr()}})
}

const rules = `groups:
- name: shop
  interval: 1s
  rules:
  - alert: FaultDetected
    expr: count by (service) (shop_up{role="node"} == 0) > 0
    labels: {heal: "true", severity: page, signal: availability, owner: team}
  - alert: FaultLocated
    expr: label_replace(shop_up{role="node"} == 0, "member", "$1", "node", "(.+)")
    labels: {heal: "true", severity: page, signal: availability, owner: team, scope: node}
`

func (w *world) prometheusConfig(alertmanager *process.Port) string {
	return fmt.Sprintf(`global: {scrape_interval: 1s, scrape_timeout: 500ms, evaluation_interval: 1s}
rule_files: [rules.yml]
alerting: {alertmanagers: [{static_configs: [{targets: [%q]}]}]}
scrape_configs:
- {job_name: shop, static_configs: [{targets: [%q]}]}
`, alertmanager.Addr(), w.Listener.Addr())
}

func (w *world) alertmanagerConfig(inhibit string) string {
	return fmt.Sprintf(`route:
  receiver: people
  routes:
  - {receiver: heal, matchers: ['heal="true"'], group_by: ['...'], group_wait: 0s, group_interval: 10s, repeat_interval: 1h, continue: true}
receivers:
- name: people
- name: heal
  webhook_configs:
  - {url: '%s/api/v1/alertmanager', send_resolved: true, max_alerts: 0, http_config: {follow_redirects: false, authorization: {credentials_file: %s}}}
%s`, w.receiver.URL(), w.file("am.token"), inhibit)
}

func (w *world) healConfig(o options) string {
	return strings.NewReplacer("DIR", w.dir, "PROMETHEUS", w.prometheus, "ALERTMANAGER", w.alertmanager, "WITNESS", w.Listener.Addr().String(),
		"GATHER", o.gather, "WITHIN", o.verify).Replace(`
cluster: e2e
storage: {sqlite: DIR/journal.db}
prometheus: [{name: main, url: PROMETHEUS, timeout: 2s}]
alertmanagers: [{name: main, peers: [ALERTMANAGER]}]
auth:
  clients:
  - {name: alertmanager, roles: [notify], source: main, bearer_file: am.token}
  - {name: admin, roles: [admin], bearer_file: admin.token}
gather: GATHER
http: {allowed_hosts: ['WITNESS']}
services:
- name: shop
  owner: team
  members: 'min by (node) (shop_up{service="shop",role="node"})'
  healthy: {query: 'min(shop_up{service="shop",role="entry"}) == 1'}
plans:
  drain-node:
    kind: isolate
    mode: auto
    target: 'node:{{ .Member.Labels.node }}'
    steps:
    - {http: {method: POST, url: 'http://WITNESS/drain/{{ .Member.Labels.node }}'}, timeout: 10s}
    verify: {healthy: service, for: 3s, within: WITHIN, every: 1s}
    undo:
    - {http: {method: POST, url: 'http://WITNESS/ready/{{ .Member.Labels.node }}'}, timeout: 5s, idempotent: true}
    release: manual
scenarios:
- {name: bad-node, match: ['service="shop"'], owner: team, severity: P1, ladders: {node: [drain-node]}, escalate: {to: [desk]}}
escalate: {to: [desk]}
notify: {desk: {webhook: {url: 'http://WITNESS/desk'}}}
`)
}

// get answers the body of a GET, or the error as text: callers look for a part.
func (w *world) get(url, token string) string {
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, url, nil)
	if err != nil {
		return err.Error()
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return string(body)
}

// post sends JSON and wants 200.
func (w *world) post(url string, body any) string {
	w.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		w.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, url, bytes.NewReader(text))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusOK {
		w.t.Fatalf("POST %s: %s: %s", url, resp.Status, answer)
	}
	return string(answer)
}

// incident is what the API says of the only incident.
type incident struct {
	ID        string `json:"id"`
	State     string `json:"state"`
	Reason    string `json:"reason"`
	Round     int    `json:"round"`
	Decisions []struct {
		Verb string `json:"decision"`
		Code string `json:"code"`
	} `json:"decisions"`
	Runs []struct {
		ID    string `json:"id"`
		State string `json:"state"`
	} `json:"runs"`
	Mitigations []struct {
		ID    string `json:"id"`
		State string `json:"state"`
	} `json:"mitigations"`
}

func (w *world) incident() (incident, bool) {
	var list struct {
		Incidents []incident `json:"incidents"`
	}
	if json.Unmarshal([]byte(w.get(w.receiver.URL()+"/api/v1/incidents", "admin-secret")), &list) != nil || len(list.Incidents) == 0 {
		return incident{}, false
	}
	var i incident
	ok := json.Unmarshal([]byte(w.get(w.receiver.URL()+"/api/v1/incidents/"+list.Incidents[0].ID, "admin-secret")), &i) == nil
	return i, ok
}

func (w *world) state() string {
	i, _ := w.incident()
	return i.State
}

func (i incident) decided(code string) bool {
	for _, d := range i.Decisions {
		if d.Code == code {
			return true
		}
	}
	return false
}

// eventually polls until a fact holds; if it does not in time the test fails
// with what the receiver logged.
func (w *world) eventually(what string, holds func() bool) {
	w.t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(upTo)
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			i, _ := w.incident()
			w.t.Fatalf("not within %s: %s\nincident %+v\ncalls %q\nthe desk got %+v\n%s", upTo, what, i, w.called(), w.noted(), process.Tail(w.file("heal.log"), 40))
		}
	}
}

// stays polls for a while and fails at once when the fact no longer holds. It
// is how "nothing happens" is seen: bounded, and never as a wait for something.
func (w *world) stays(span time.Duration, what string, holds func() bool) {
	w.t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	end := time.After(span)
	for {
		select {
		case <-end:
			return
		case <-tick.C:
			if !holds() {
				i, _ := w.incident()
				w.t.Fatalf("no longer: %s\nincident %+v\ncalls %q\n%s", what, i, w.called(), process.Tail(w.file("heal.log"), 40))
			}
		}
	}
}

// notify posts a body to the webhook and answers the status code.
func (w *world) notify(token, body string) string {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.receiver.URL()+"/api/v1/alertmanager", strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	return fmt.Sprint(resp.StatusCode)
}

// command runs heal-receiver's command line against the running one.
func (w *world) command(args ...string) string {
	w.t.Helper()
	args = append([]string{"--url=" + w.receiver.URL(), "--token-file=" + w.file("admin.token")}, args...)
	out, err := exec.CommandContext(w.t.Context(), w.binary, args...).CombinedOutput()
	if err != nil {
		w.t.Fatalf("heal-receiver %q: %v\n%s", args, err, out)
	}
	return string(out)
}
