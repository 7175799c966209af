package check_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/onefiveten/onefiveten/demo/process"
	"github.com/onefiveten/onefiveten/demo/stack"
	"github.com/onefiveten/onefiveten/e2e/wait"
)

// upTo bounds every wait. It is no promise of a program: only a failing test waits
// so long.
const upTo = time.Minute

// world is a shop, two observers of it, and the servers.
type world struct {
	t                        *testing.T
	dir                      string
	shop                     *httptest.Server
	observers                []*process.Port
	prometheus, alertmanager *process.Port
	am, second               *process.Process // Alertmanager, and the observer b
	group                    process.Group
}

func newWorld(t *testing.T, generation, backend string) *world {
	t.Helper()
	parts, err := stack.Find(t.Context(), stack.Options{Which: generation})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{
		t: t, dir: t.TempDir(), prometheus: reserve(t), alertmanager: reserve(t), observers: []*process.Port{reserve(t), reserve(t)},
		shop: httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})),
	}
	t.Cleanup(w.shop.Close)
	t.Cleanup(w.group.Close)
	w.write("probe-exporter.yml", w.settings(backend))
	w.write("heal.token", "secret")
	if code, out := w.run("rules", "--output.dir="+w.file("out"), "--no-tests"); code != 0 {
		t.Fatalf("probe-exporter rules ended with %d:\n%s", code, out)
	}
	w.write("alertmanager.yml", w.read("out/alertmanager/alertmanager.example.yml"))
	w.write("prometheus.yml", w.scraping())
	for i, o := range w.observers {
		name := string(rune('a' + i))
		w.second = w.start(process.Command{
			Name: "observer " + name, Path: os.Getenv(exporterPath), Log: w.file(name + ".log"), Ready: o.URL() + "/-/healthy",
			Args: []string{"--config.file=" + w.file("probe-exporter.yml"), "--observer=" + name, "--web.listen-address=" + o.Addr()},
		})
	}
	w.am = w.start(parts.AlertmanagerCommand(stack.Server{Config: w.file("alertmanager.yml"), Data: w.file("am"), Addr: w.alertmanager.Addr(), Log: w.file("alertmanager.log")}))
	w.start(parts.PrometheusCommand(stack.Server{Config: w.file("prometheus.yml"), Data: w.file("data"), Addr: w.prometheus.Addr(), Log: w.file("prometheus.log")}))
	return w
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

// settings are those of both observers. The webhook is nobody's: nothing fires. hold is
// a key that backend promql does not have.
func (w *world) settings(backend string) string {
	window := "window: 40m, hold: 16m"
	if backend == "promql" {
		window = "window: 40m"
	}
	return fmt.Sprintf(`modules: {http: {prober: http, timeout: 400ms, http: {preferred_ip_protocol: ip4}}}
prometheus:
  scrape: {interval: 1s, timeout: 400ms}
  evaluation: {interval: 1s, delay: 900ms}
alertmanager: {group_interval: 10s, webhook: {url: "http://127.0.0.1:1/api/v1/alertmanager", credentials_file: %s}}
observers: [a, b]
backend: %s
baselines: {default: {%s, min_samples: 3}}
probes:
- {name: nodes, service: shop, module: http, interval: 1s, targets: [{url: '%[4]s/1', labels: {node: n1}}, {url: '%[4]s/2', labels: {node: n2}}]}
services:
- {name: shop, owner: team}
`, w.file("heal.token"), backend, window, w.shop.URL)
}

// scraping is the configuration of Prometheus.
func (w *world) scraping() string {
	return fmt.Sprintf(`global: {scrape_interval: 1s, scrape_timeout: 400ms, evaluation_interval: 1s}
rule_files: ["%s/rules/*.yml"]
alerting: {alertmanagers: [{static_configs: [{targets: [%q]}]}]}
scrape_configs:
- job_name: probes
  honor_labels: true
  metrics_path: /metrics/probes
  static_configs: [{targets: [%[3]q, %[4]q]}]
- {job_name: probe-exporter, static_configs: [{targets: [%[3]q, %[4]q]}]}
`, w.file("out"), w.alertmanager.Addr(), w.observers[0].Addr(), w.observers[1].Addr())
}

func (w *world) file(name string) string { return filepath.Join(w.dir, name) }

func (w *world) read(name string) string {
	w.t.Helper()
	text, err := os.ReadFile(w.file(name))
	if err != nil {
		w.t.Fatal(err)
	}
	return string(text)
}

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

// run is one call of probe-exporter: its exit code and all that it says.
func (w *world) run(command string, args ...string) (int, string) {
	w.t.Helper()
	out, err := exec.CommandContext(w.t.Context(), os.Getenv(exporterPath), append([]string{"--config.file=" + w.file("probe-exporter.yml"), command}, args...)...).CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		w.t.Fatalf("probe-exporter %s: %v", command, err)
	}
	if w.t.Context().Err() != nil {
		w.t.Fatal(context.Cause(w.t.Context()))
	}
	code := 0
	if err != nil {
		code = 1
	}
	return code, string(out)
}

// report is what check says as JSON.
type report struct {
	Errors, Warnings []struct{ Path, Text string }
	Living           []struct {
		Service, Signal string
		Bound           float64 `json:"bound_seconds"`
	} `json:"living_bounds"`
}

// check asks both servers.
func (w *world) check() (int, report) {
	w.t.Helper()
	code, out := w.run("check", "--json", "--prometheus.url="+w.prometheus.URL(), "--alertmanager.url="+w.alertmanager.URL())
	var r report
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		w.t.Fatalf("%v: %s", err, out)
	}
	return code, r
}

// String writes the findings, one a line.
func (r report) String() string {
	var text strings.Builder
	for _, f := range r.Errors {
		fmt.Fprintf(&text, "error: %s: %s\n", f.Path, f.Text)
	}
	for _, f := range r.Warnings {
		fmt.Fprintf(&text, "warning: %s: %s\n", f.Path, f.Text)
	}
	return text.String()
}

// reload lets a server read its files again.
func (w *world) reload(p *process.Port) {
	w.t.Helper()
	w.ask(http.MethodPost, p.URL()+"/-/reload")
}

func (w *world) get(address string) string {
	w.t.Helper()
	return w.ask(http.MethodGet, address)
}

// ask wants status 200.
func (w *world) ask(method, address string) string {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, address, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		w.t.Fatalf("%s %s: %s, %v: %s", method, address, resp.Status, err, text)
	}
	return string(text)
}

// becomesRight waits until check finds nothing: after a start, or a repair.
func (w *world) becomesRight(what string) {
	w.t.Helper()
	w.eventually(what, func() string {
		code, r := w.check()
		if code == 0 && len(r.Errors)+len(r.Warnings) == 0 {
			return ""
		}
		return fmt.Sprintf("ended with %d:\n%s", code, r)
	})
}

// becomesWrong waits until check ends with 1 and these errors, each at its path, and
// gives what it found then.
func (w *world) becomesWrong(what string, wants ...string) report {
	w.t.Helper()
	var r report
	w.eventually(what, func() string {
		var code int
		code, r = w.check()
		for _, want := range wants {
			if !slices.ContainsFunc(strings.Split(r.String(), "\n"), func(line string) bool { return strings.HasPrefix(line, "error: ") && strings.Contains(line, want) }) {
				return fmt.Sprintf("no error %q in\n%s", want, r)
			}
		}
		if code != 1 {
			return fmt.Sprintf("ended with %d", code)
		}
		return ""
	})
	return r
}

func (w *world) eventually(what string, wrong func() string) {
	w.t.Helper()
	// Prometheus takes a second to see what has changed, and each question is a process.
	wait.Each(w.t, 500*time.Millisecond, what, upTo, wrong, func() string { return process.Tail(w.file("prometheus.log"), 10) })
}
