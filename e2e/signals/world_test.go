package signals_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/onefiveten/onefiveten/demo/process"
	"github.com/onefiveten/onefiveten/demo/stack"
	"github.com/onefiveten/onefiveten/e2e/wait"
)

// upTo bounds every wait. It is no promise of a program: only a failing test
// waits so long.
const upTo = 2 * time.Minute

// world is the page, the Prometheus and the exporter.
type world struct {
	t                    *testing.T
	dir                  string
	page                 *page
	exporter, prometheus *process.Port
	server               *process.Process // the Prometheus
	group                process.Group
}

func newWorld(t *testing.T) *world {
	t.Helper()
	return newWorldOf(t, (*world).settings)
}

// newWorldOf is a world whose exporter has other settings.
func newWorldOf(t *testing.T, settings func(*world) string) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), page: newPage(t), exporter: reserve(t), prometheus: reserve(t)}
	t.Cleanup(w.group.Close)
	w.write("probe-exporter.yml", settings(w))
	w.command("rules", "--config.file="+w.file("probe-exporter.yml"), "--output.dir="+w.file("out"), "--no-tests")
	w.write("prometheus.yml", w.scraping())
	w.server = w.start(stack.Parts{Prometheus: stack.Program{Name: "prometheus", Path: os.Getenv(prometheusPath)}}.PrometheusCommand(
		stack.Server{Config: w.file("prometheus.yml"), Data: w.file("data"), Addr: w.prometheus.Addr(), Log: w.file("prometheus.log")}))
	w.start(process.Command{
		Name: "probe-exporter", Path: os.Getenv(exporterPath), Log: w.file("probe-exporter.log"), Ready: w.exporter.URL() + "/-/healthy",
		Args: []string{"--config.file=" + w.file("probe-exporter.yml"), "--observer=a", "--web.listen-address=" + w.exporter.Addr()},
	})
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

// settings are those of the exporter: signals every second, which tell a fault
// after three bad samples.
func (w *world) settings() string {
	var of, entries strings.Builder
	for _, name := range signalNames() {
		fmt.Fprintf(&entries, "- {name: %s, service: shop, interval: 1s, %s}\n", name, signals()[name])
		fmt.Fprintf(&of, "    %s: {mode: ticket, expose: full, fault: {fault_window: 5s, floor: 0.3, cap: 0.4}}\n", name)
	}
	return fmt.Sprintf(`modules: {http: {prober: http, timeout: 500ms, http: {preferred_ip_protocol: ip4}}}
prometheus:
  url: %s
  timeout: 1s
  scrape: {interval: 1s, timeout: 500ms}
  evaluation: {interval: 1s, delay: 500ms}
observers: [a]
baselines: {default: {window: 20m, hold: 10m, min_samples: 15}}
probes: [{name: page, service: shop, module: http, role: entry, interval: 1s, targets: [{url: '%s/'}]}]
signals:
%sservices:
- name: shop
  owner: team
  targets: {detect: 60s, locate: 2m, recover: 4m}
  signals:
%s`, w.prometheus.URL(), w.page.URL, entries.String(), of.String())
}

// scraping is the configuration of Prometheus.
func (w *world) scraping() string {
	return fmt.Sprintf(`global: {scrape_interval: 1s, scrape_timeout: 500ms, evaluation_interval: 1s}
rule_files: ["%s/rules/*.yml"]
scrape_configs:
- {job_name: shop, static_configs: [{targets: [%q]}]}
- {job_name: probes, honor_labels: true, metrics_path: /metrics/probes, static_configs: [{targets: [%q]}]}
- {job_name: probe-exporter, static_configs: [{targets: [%q]}]}
`, w.file("out"), w.page.Listener.Addr(), w.exporter.Addr(), w.exporter.Addr())
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

// command runs the exporter's program once.
func (w *world) command(args ...string) {
	w.t.Helper()
	if out, err := exec.CommandContext(w.t.Context(), os.Getenv(exporterPath), append([]string{"--observer=a"}, args...)...).CombinedOutput(); err != nil {
		w.t.Fatalf("probe-exporter %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// tell sends a signal of the system to Prometheus.
func (w *world) tell(s syscall.Signal) {
	w.t.Helper()
	if err := syscall.Kill(w.server.Pid(), s); err != nil {
		w.t.Fatal(err)
	}
}

// fetch reads a page that must be there.
func (w *world) fetch(address string) []byte {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, address, nil)
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
		w.t.Fatalf("GET %s: %s, %v: %s", address, resp.Status, err, text)
	}
	return text
}

// exposition is a page of the exporter at one instant.
type exposition map[string]*dto.MetricFamily

// results is /metrics/probes.
func (w *world) results() exposition { return w.exposed("/metrics/probes") }

// own is /metrics.
func (w *world) own() exposition { return w.exposed("/metrics") }

func (w *world) exposed(path string) exposition {
	w.t.Helper()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(string(w.fetch(w.exporter.URL() + path))))
	if err != nil {
		w.t.Fatal(err)
	}
	return families
}

// values are those of the series with these labels ("name=value"), with the value
// of the label node, in its order: "n1=0 n2=1". Empty: there is none.
func (e exposition) values(name string, labels ...string) string {
	var all []string
	for _, m := range e[name].GetMetric() {
		has := map[string]bool{}
		node := ""
		for _, l := range m.GetLabel() {
			has[l.GetName()+"="+l.GetValue()] = true
			if l.GetName() == "node" {
				node = l.GetValue()
			}
		}
		if !slices.ContainsFunc(labels, func(l string) bool { return !has[l] }) {
			all = append(all, fmt.Sprintf("%s=%g", node, number(m)))
		}
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// number is the value of a gauge or counter.
func number(m *dto.Metric) float64 {
	return m.GetGauge().GetValue() + m.GetCounter().GetValue() + m.GetUntyped().GetValue()
}

// one is the value of the one series with these labels.
func (e exposition) one(name string, labels ...string) string {
	return strings.TrimPrefix(e.values(name, labels...), "=")
}

// faults are the verdicts of a signal, by node.
func (e exposition) faults(signal string) string { return e.values("ksigma_fault", "signal="+signal) }

// failed tells whether an answer for a signal was of no use for that reason.
func (e exposition) failed(signal, reason string) bool {
	n := e.one("signal_failures_total", "signal="+signal, "reason="+reason)
	return n != "" && n != "0"
}

// ask gives the labels of what an expression gives in Prometheus, and the value.
func (w *world) ask(expr string) (all []sample) {
	w.t.Helper()
	var answer struct{ Data struct{ Result []sample } }
	text := w.fetch(w.prometheus.URL() + "/api/v1/query?query=" + url.QueryEscape(expr))
	if err := json.Unmarshal(text, &answer); err != nil {
		w.t.Fatalf("%s: %v: %s", expr, err, text)
	}
	return answer.Data.Result
}

// sample is one series of an answer.
type sample struct {
	Metric map[string]string
	Value  [2]any
}

// alerts are those of one name that fire: the signals that they tell of, sorted.
func (w *world) alerts(name string) string {
	w.t.Helper()
	var all []string
	for _, s := range w.ask(`ALERTS{alertstate="firing", alertname="` + name + `"}`) {
		all = append(all, s.Metric["signal"])
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// faulty are the signals of which Prometheus says that they are in fault.
func (w *world) faulty() string { return w.alerts("SignalFault") }

// eventually asks until there is nothing wrong any more.
func (w *world) eventually(what string, wrong func() string) {
	w.t.Helper()
	wait.Until(w.t, what, upTo, wrong, func() string { return process.Tail(w.file("probe-exporter.log"), 20) })
}

// becomes waits until a text is as wanted.
func (w *world) becomes(what, want string, get func() string) {
	w.t.Helper()
	w.eventually(what, func() string {
		if got := get(); got != want {
			return fmt.Sprintf("got %q, want %q", got, want)
		}
		return ""
	})
}

// warm waits until every signal but the one that nobody exposes is judged, and
// remembers so much that a bad minute does not become what is normal.
func (w *world) warm() {
	w.t.Helper()
	const enough = 40
	w.eventually("every node has a verdict", func() string {
		now := w.results()
		for _, name := range signalNames() {
			if got := now.faults(name); name != "orders" && got != healthy {
				return fmt.Sprintf("%s: got %q, want %q", name, got, healthy)
			}
		}
		var n float64
		if got := now.one("ksigma_baseline_samples", "signal=queue", "node=n2"); got == "" {
			return "queue has no baseline"
		} else if _, err := fmt.Sscanf(got, "n2=%g", &n); err != nil || n < enough {
			return fmt.Sprintf("the baseline of queue has %s samples, want %d", got, enough)
		}
		return ""
	})
}

// healthy are the verdicts of three good nodes.
const healthy = "n1=0 n2=0 n3=0"

// queries waits until a signal was asked for so often again, whatever came of it,
// and looks at the results in between.
func (w *world) queries(signal string, more float64, look func(exposition)) {
	w.t.Helper()
	count := func() (n float64) {
		_, err := fmt.Sscan(w.own().one("signal_queries_total", "signal="+signal), &n)
		if err != nil {
			w.t.Fatalf("signal_queries_total of %s: %v", signal, err)
		}
		return n
	}
	until := count() + more
	w.eventually(fmt.Sprintf("%s is asked for %g times", signal, more), func() string {
		look(w.results())
		if n := count(); n < until {
			return fmt.Sprintf("got %g, want %g", n, until)
		}
		return ""
	})
}
