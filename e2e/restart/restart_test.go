// Package restart_test ends the process of probe-exporter in the middle of faults,
// with a real Prometheus that evaluates the generated rules: no fault may end with
// it, and none may begin anew.
package restart_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/onefiveten/onefiveten/demo/process"
	"github.com/onefiveten/onefiveten/demo/stack"
	"github.com/onefiveten/onefiveten/e2e/program"
	"github.com/onefiveten/onefiveten/e2e/wait"
)

// upTo bounds every wait. It is no promise of a program: only a failing test
// waits so long.
const upTo = 3 * time.Minute

// shop is what is probed and asked about: a node that answers later, one that
// answers with errors, and the length of a queue, once they are told to.
type shop struct {
	slow, broken *httptest.Server
	queue        *httptest.Server
	ill          atomic.Bool
}

func newShop(t *testing.T) *shop {
	s := &shop{}
	serve := func(answer http.HandlerFunc) *httptest.Server {
		server := httptest.NewServer(answer)
		t.Cleanup(server.Close)
		return server
	}
	s.slow = serve(func(_ http.ResponseWriter, r *http.Request) {
		if s.ill.Load() {
			select { // this is how long it takes
			case <-time.After(500 * time.Millisecond):
			case <-r.Context().Done():
			}
		}
	})
	s.broken = serve(func(w http.ResponseWriter, _ *http.Request) {
		if s.ill.Load() {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	var turn atomic.Int64
	s.queue = serve(func(w http.ResponseWriter, _ *http.Request) {
		length := 100 + turn.Add(1)%7
		if s.ill.Load() {
			length *= 10
		}
		fmt.Fprintf(w, "shop_queue{node=\"n1\"} %d\nshop_queue{node=\"n2\"} 100\n", length)
	})
	return s
}

// house is the shop with an exporter and a Prometheus around it.
type house struct {
	t                    *testing.T
	shop                 *shop
	dir, binary          string
	parts                stack.Parts
	exporter, prometheus *process.Port
	running, server      *process.Process
	starts               int
}

func newHouse(t *testing.T) *house {
	t.Helper()
	parts, err := stack.Find(t.Context(), stack.Options{Which: "build"})
	if err != nil {
		t.Fatal(err)
	}
	h := &house{t: t, shop: newShop(t), dir: t.TempDir(), parts: parts, exporter: reserve(t), prometheus: reserve(t)}
	if h.binary, err = program.Build(t.Context(), "probe-exporter"); err != nil {
		t.Fatal(err)
	}
	h.write("probe.yml", h.configuration())
	rules := exec.CommandContext(t.Context(), h.binary, "--config.file="+h.file("probe.yml"), "--observer=a", "rules", "--output.dir="+h.file("out"))
	if out, err := rules.CombinedOutput(); err != nil {
		t.Fatalf("writing the rules: %v\n%s", err, out)
	}
	h.write("prometheus.yml", fmt.Sprintf(`global: {scrape_interval: 1s, scrape_timeout: 500ms, evaluation_interval: 1s}
rule_files: [out/rules/*.yml]
scrape_configs:
- {job_name: probes, honor_labels: true, metrics_path: /metrics/probes, static_configs: [{targets: [%q]}]}
- {job_name: shop, static_configs: [{targets: [%q]}]}
`, h.exporter.Addr(), strings.TrimPrefix(h.shop.queue.URL, "http://")))
	return h
}

// configuration has short fault windows. A node gives more than a minute of
// samples before it has a verdict: one that is there sooner comes from its past.
func (h *house) configuration() string {
	return fmt.Sprintf(`modules: {http: {prober: http, timeout: 900ms, http: {preferred_ip_protocol: ip4}}}
prometheus:
  url: %s
  timeout: 1s
  scrape: {interval: 1s, timeout: 500ms}
  evaluation: {interval: 1s, delay: 200ms}
alertmanager: {group_wait: 0s}
observers: [a]
baselines: {default: {window: 12m, hold: 6m, min_samples: 60, floor: .03}}
probes:
- {name: web, service: shop, module: http, interval: 1s, targets: [{url: %q, labels: {node: n1}}, {url: %q, labels: {node: n2}}]}
signals:
- {name: queue, service: shop, expr: 'max by (node) (shop_queue)', interval: 1s}
services:
- name: shop
  owner: team
  targets: {detect: 30s, locate: 40s, recover: 50s}
  signals:
    availability: {fault: {fault_window: 10s}}
    latency: {expose: full, fault: {fault_window: 20s, floor: .2, cap: .3}, targets: {detect: 1m}}
    queue: {expose: full, fault: {fault_window: 20s, floor: .2, cap: .3}, targets: {detect: 1m}}
`, h.prometheus.URL(), h.shop.slow.URL, h.shop.broken.URL)
}

func reserve(t *testing.T) *process.Port {
	t.Helper()
	p, err := process.Reserve()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func (h *house) file(name string) string { return filepath.Join(h.dir, name) }

func (h *house) write(name, text string) {
	h.t.Helper()
	if err := os.WriteFile(h.file(name), []byte(text), 0o600); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) start(c process.Command) *process.Process {
	h.t.Helper()
	var group process.Group
	h.t.Cleanup(group.Close)
	p, err := group.Start(h.t.Context(), time.Minute, c)
	if err != nil {
		h.t.Fatal(err)
	}
	return p
}

// export starts the exporter, with a log of its own.
func (h *house) export() {
	h.t.Helper()
	h.starts++
	h.running = h.start(process.Command{Name: "probe-exporter", Path: h.binary, Log: h.log(), Ready: h.exporter.URL() + "/-/ready",
		Args: []string{"--config.file=" + h.file("probe.yml"), "--observer=a", "--web.listen-address=" + h.exporter.Addr()}})
}

// log is that of the running exporter.
func (h *house) log() string { return h.file(fmt.Sprintf("exporter%d.log", h.starts)) }

// remember starts Prometheus, with what it knew before.
func (h *house) remember() {
	h.t.Helper()
	h.server = h.start(h.parts.PrometheusCommand(stack.Server{
		Config: h.file("prometheus.yml"), Data: h.file("data"), Addr: h.prometheus.Addr(), Log: h.file("prometheus.log"),
	}))
}

// eventually asks until nothing is wrong any more.
func (h *house) eventually(what string, wrong func() string) {
	h.t.Helper()
	wait.Until(h.t, what, upTo, wrong, func() string { return process.Tail(h.log(), 30) })
}

// page reads a page of the exporter.
func (h *house) page(path string) string {
	h.t.Helper()
	return fetch(h.t, h.exporter.URL()+path)
}

func fetch(t *testing.T, address string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s, %v: %s", address, resp.Status, err, text)
	}
	return string(text)
}

// gauge gives the value of the only line of a text that has all the words, and
// nothing where there is none.
func gauge(text string, words ...string) string {
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "#") && !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(line, w) }) {
			return strings.TrimSpace(line[strings.LastIndexByte(line, ' ')+1:])
		}
	}
	return ""
}

// verdict is what the page says of the fault of a signal of the first node, and
// when that began.
func verdict(page, signal string) (fault, start string) {
	words := []string{`signal="` + signal + `"`, `node="n1"`}
	return gauge(page, append(words, "ksigma_fault{")...), gauge(page, append(words, "ksigma_fault_start_timestamp_seconds{")...)
}

// alert is one that fires, and since when.
type alert struct {
	Labels   map[string]string
	State    string
	ActiveAt time.Time
}

// firing are the alerts of faults by name and signal.
func (h *house) firing() map[string]time.Time {
	h.t.Helper()
	var answer struct{ Data struct{ Alerts []alert } }
	if err := json.Unmarshal([]byte(fetch(h.t, h.prometheus.URL()+"/api/v1/alerts")), &answer); err != nil {
		h.t.Fatal(err)
	}
	all := map[string]time.Time{}
	for _, a := range answer.Data.Alerts {
		if name := a.Labels["alertname"]; a.State == "firing" && (name == "FaultDetected" || name == "SignalFault") {
			all[name+" "+a.Labels["signal"]] = a.ActiveAt
		}
	}
	return all
}

// faults are the alerts that must fire while the shop is ill.
var faults = []string{"FaultDetected availability", "SignalFault latency", "SignalFault queue"}

// start of the fault of the service, as the rules carry it on.
func (h *house) startOf(signal string) float64 {
	h.t.Helper()
	var answer struct {
		Data struct{ Result []struct{ Value [2]any } }
	}
	query := `onefiveten:fault_start_timestamp_seconds:min{signal="` + signal + `"}`
	if err := json.Unmarshal([]byte(fetch(h.t, h.prometheus.URL()+"/api/v1/query?query="+url.QueryEscape(query))), &answer); err != nil {
		h.t.Fatal(err)
	}
	if len(answer.Data.Result) != 1 {
		h.t.Fatalf("%s: got %d series, want 1", query, len(answer.Data.Result))
	}
	start, err := strconv.ParseFloat(fmt.Sprint(answer.Data.Result[0].Value[1]), 64)
	if err != nil {
		h.t.Fatal(err)
	}
	return start
}

// warm waits until both values have a verdict, with some samples to spare, and
// nothing fires.
func (h *house) warm() {
	h.t.Helper()
	h.eventually("both signals have a verdict", func() string {
		page := h.page("/metrics/probes")
		for _, signal := range []string{"latency", "queue"} {
			if fault, _ := verdict(page, signal); fault != "0" {
				return fmt.Sprintf("the fault of %s is %q, want 0", signal, fault)
			}
			n, err := strconv.Atoi(gauge(page, "ksigma_baseline_samples{", `signal="`+signal+`"`, `node="n1"`))
			if err != nil || n < 80 {
				return fmt.Sprintf("%s has %d samples (%v), want 80", signal, n, err)
			}
		}
		return ""
	})
	if got := h.firing(); len(got) > 0 {
		h.t.Fatalf("%v fire while all is well", got)
	}
}

// ill makes everything bad, and waits for the alerts.
func (h *house) ill() map[string]time.Time {
	h.t.Helper()
	h.shop.ill.Store(true)
	h.eventually("the faults are found", func() string {
		got := slices.Sorted(maps.Keys(h.firing()))
		if !slices.Equal(got, faults) {
			return fmt.Sprintf("got %v, want %v", got, faults)
		}
		return ""
	})
	return h.firing()
}

// same fails when an alert has ended or begun anew.
func (h *house) same(when string, want map[string]time.Time) {
	h.t.Helper()
	if got := h.firing(); !maps.EqualFunc(got, want, time.Time.Equal) {
		h.t.Fatalf("%s: got the alerts\n%v\nwant those of before\n%v\n%s", when, got, want, process.Tail(h.log(), 30))
	}
}

func TestRestart_InTheMiddleOfFaultsEndsNone(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.remember()
	h.export()
	h.warm()
	alerts := h.ill()
	before, carried := h.page("/metrics/probes"), map[string]float64{}
	for _, name := range faults {
		_, signal, _ := strings.Cut(name, " ")
		carried[signal] = h.startOf(signal)
	}

	h.running.Kill()
	h.export()

	for _, signal := range []string{"latency", "queue"} {
		_, start := verdict(before, signal)
		h.eventually("the verdict on "+signal+" is back", func() string {
			fault, now := verdict(h.page("/metrics/probes"), signal)
			switch {
			case fault == "":
				return "there is none"
			case fault != "1" || now != start:
				t.Fatalf("%s: the first verdict is %s since %s, want 1 since %s\n%s", signal, fault, now, start, process.Tail(h.log(), 30))
			}
			return ""
		})
		h.same("with the verdict on "+signal, alerts)
	}
	h.eventually("availability is a fault again", func() string {
		page := h.page("/metrics/probes")
		return cmp.Or(strings.TrimPrefix(gauge(page, "ksigma_fault{", `signal="availability"`, `node="n2"`), "1"), missing(page))
	})
	// Longer than anything is kept firing for: what holds them now is seen now.
	h.eventually("a minute goes by", func() string {
		h.same("after the restart", alerts)
		runs, err := strconv.Atoi(gauge(h.page("/metrics/probes"), "probe_attempts_total", `node="n1"`))
		if err != nil || runs < 60 {
			return fmt.Sprintf("%d probes since the restart (%v)", runs, err)
		}
		return ""
	})
	for signal, start := range carried {
		if got := h.startOf(signal); got != start {
			t.Errorf("%s: the fault began at %v, and now at %v", signal, start, got)
		}
	}
	h.shop.ill.Store(false)
	h.eventually("the faults end with their cause", func() string {
		if got := h.firing(); len(got) > 0 {
			return fmt.Sprint(got)
		}
		return ""
	})
}

// missing says that there is no verdict on availability.
func missing(page string) string {
	if gauge(page, "ksigma_fault{", `signal="availability"`, `node="n2"`) == "" {
		return "there is no verdict"
	}
	return ""
}

func TestRestart_WithoutPrometheusItServesColdUntilThatIsBack(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.remember()
	h.export()
	h.warm()
	h.running.Kill()
	h.server.Stop(time.Minute)

	h.export()

	h.eventually("the log says that it starts cold", func() string {
		text, err := os.ReadFile(h.log())
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), "they start cold") || !strings.Contains(string(text), "connection refused") {
			return string(text)
		}
		return ""
	})
	own := h.page("/metrics")
	if failures := gauge(own, "probe_exporter_backfill_failures_total"); failures == "" || failures == "0" {
		t.Errorf("got %q failures, want those that the log tells of", failures)
	}
	if failed := gauge(own, "probe_exporter_backfill_jobs{", `"failed"`); failed != "2" {
		t.Errorf("got %q failed jobs, want the probe and the signal", failed)
	}
	h.eventually("it learns from what it sees itself", func() string {
		page := h.page("/metrics/probes")
		if fault, _ := verdict(page, "latency"); fault != "" {
			t.Fatalf("got the fault %s of so few samples", fault)
		}
		if gauge(page, "ksigma_baseline_samples{", `signal="latency"`, `node="n1"`) == "" {
			return page
		}
		return ""
	})
	h.remember()
	h.eventually("both are filled", func() string {
		own := h.page("/metrics")
		if got := gauge(own, "probe_exporter_backfill_jobs{", `"done"`); got != "2" {
			return "jobs that are done: " + got
		}
		return ""
	})
	h.eventually("both have a verdict", func() string {
		page := h.page("/metrics/probes")
		for _, signal := range []string{"latency", "queue"} {
			if fault, _ := verdict(page, signal); fault != "0" {
				return fmt.Sprintf("the fault of %s is %q, want 0", signal, fault)
			}
		}
		runs, err := strconv.Atoi(gauge(page, "probe_attempts_total", `node="n1"`))
		if err != nil || runs >= 60 {
			t.Fatalf("a verdict after %d probes (%v): it may be its own\n%s", runs, err, process.Tail(h.log(), 30))
		}
		return ""
	})
}
