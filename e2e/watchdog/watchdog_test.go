// Package watchdog_test is the dead man's check on the real programs: Prometheus
// with the generated rules, Alertmanager with the generated route, and
// heal-receiver as the process that people run. The chain is cut and joined again,
// and the desk of the people on duty says what it heard.
package watchdog_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/common/model"

	"github.com/onefiveten/onefiveten/demo/process"
	"github.com/onefiveten/onefiveten/demo/stack"
	"github.com/onefiveten/onefiveten/e2e/program"
	"github.com/onefiveten/onefiveten/e2e/wait"
	"github.com/onefiveten/onefiveten/rules"
	"github.com/onefiveten/onefiveten/sigma"
)

// upTo bounds a wait that only a failing test waits for.
const upTo = 3 * time.Minute

// desk counts what reaches people: words of heal-receiver and pages of
// Alertmanager.
type desk struct {
	*httptest.Server
	mu    sync.Mutex
	words []string // codes, in order of arrival
	pages []string // names of alerts
}

func newDesk(t *testing.T) *desk {
	d := &desk{}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /desk", func(_ http.ResponseWriter, r *http.Request) {
		var n struct{ Kind, Code string }
		d.read(t, r, &n)
		d.mu.Lock()
		defer d.mu.Unlock()
		d.words = append(d.words, n.Kind+" "+n.Code)
	})
	mux.HandleFunc("POST /people", func(_ http.ResponseWriter, r *http.Request) {
		var n struct {
			Alerts []struct{ Labels map[string]string }
		}
		d.read(t, r, &n)
		d.mu.Lock()
		defer d.mu.Unlock()
		for _, a := range n.Alerts {
			d.pages = append(d.pages, a.Labels["alertname"])
		}
	})
	d.Server = httptest.NewServer(mux)
	t.Cleanup(func() { d.CloseClientConnections(); d.Close() })
	return d
}

func (d *desk) read(t *testing.T, r *http.Request, into any) {
	body, err := io.ReadAll(r.Body)
	if err == nil {
		err = json.Unmarshal(body, into)
	}
	if err != nil {
		t.Errorf("%s: %v: %q", r.URL.Path, err, body)
	}
}

func (d *desk) heard() (words, pages []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.words), slices.Clone(d.pages)
}

// world is the chain.
type world struct {
	*desk
	t                                  *testing.T
	dir                                string
	parts                              stack.Parts
	prometheus, alertmanager, receiver *process.Port
	group                              process.Group
}

// faster repeats Watchdog at a fifteenth of its time, ticks and repetition alike, so
// that what takes minutes is seen within one.
var faster = strings.NewReplacer("group_interval: 30s", "group_interval: 2s", "repeat_interval: 45s", "repeat_interval: 3s")

func newWorld(t *testing.T, generation string) *world {
	t.Helper()
	parts, err := stack.Find(t.Context(), stack.Options{Which: generation})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{desk: newDesk(t), t: t, dir: t.TempDir(), parts: parts}
	t.Cleanup(w.group.Close)
	w.prometheus, w.alertmanager, w.receiver = w.port(), w.port(), w.port()
	w.write("am.token", "am-secret")
	w.write("heal.yml", strings.NewReplacer("DIR", w.dir, "PROMETHEUS", w.prometheus.URL(), "ALERTMANAGER", w.alertmanager.URL(), "DESK", w.URL).Replace(healConfig))
	w.generate()
	w.write("prometheus.yml", fmt.Sprintf(prometheusConfig, w.alertmanager.Addr(), w.receiver.Addr()))
	binary, err := program.Build(t.Context(), "heal-receiver")
	if err != nil {
		t.Fatal(err)
	}
	w.start(process.Command{Name: "heal-receiver", Path: binary, Log: w.file("heal.log"), Ready: w.receiver.URL() + "/-/ready",
		Args: []string{"--config.file=" + w.file("heal.yml"), "serve", "--web.listen-address=" + w.receiver.Addr()}})
	c := parts.PrometheusCommand(stack.Server{Config: w.file("prometheus.yml"), Data: w.file("prom"), Addr: w.prometheus.Addr(), Log: w.file("prom.log")})
	c.Args = append(c.Args, "--rules.alert.resend-delay=1s") // an Alertmanager that starts anew is told within a second, not a minute
	w.start(c)
	return w
}

const healConfig = `
cluster: e2e
storage: {sqlite: DIR/journal.db}
prometheus: [{name: main, url: PROMETHEUS}]
alertmanagers: [{name: main, peers: [ALERTMANAGER]}]
auth: {clients: [{name: alertmanager, roles: [notify], source: main, bearer_file: am.token}]}
escalate: {to: [desk]}
watchdog: {within: 20s, remind: 1h}
notify: {desk: {webhook: {url: 'DESK/desk'}}}
`

const prometheusConfig = `global: {scrape_interval: 1s, scrape_timeout: 500ms, evaluation_interval: 1s}
rule_files: [rules/*.yml]
alerting: {alertmanagers: [{static_configs: [{targets: [%q]}]}]}
scrape_configs:
- {job_name: heal-receiver, static_configs: [{targets: [%q]}]}
`

// generate writes rules and Alertmanager's configuration as "rules" does; the
// example has no address of people.
func (w *world) generate() {
	w.t.Helper()
	s := rules.Spec{Prometheus: rules.DefaultPrometheus(), Alertmanager: rules.DefaultAlertmanager(), Observers: []string{"a"}}
	s.Prometheus.Scrape = rules.Scrape{Interval: model.Duration(time.Second)}
	s.Prometheus.Evaluation = rules.Evaluation{Interval: model.Duration(time.Second)}
	s.Services = []rules.Service{{ // without one there are no rules; what fires for it is of no account here
		Name: "shop", Severity: "page", Dimensions: []string{"node"}, Detect: time.Minute, Locate: 5 * time.Minute, Recover: 10 * time.Minute,
		Signals: []rules.Signal{{Name: "availability", Mode: "page", Fault: sigma.Fault{Window: time.Minute, Floor: .05, Cap: .1, MinAnomalies: 2, K: 3, Clear: 3}}},
		Probes:  []rules.Probe{{Name: "shop-nodes", Role: "node", Interval: 5 * time.Second, Timeout: time.Second}},
	}}
	s.Alertmanager.Webhook = rules.Webhook{URL: w.receiver.URL() + "/api/v1/alertmanager", CredentialsFile: w.file("am.token")}
	files, _, err := rules.Generate(s)
	if err != nil {
		w.t.Fatal(err)
	}
	for name, data := range files {
		w.write(name, string(data))
	}
	people := "  - name: people\n"
	config := faster.Replace(string(files[rules.AlertmanagerFile]))
	w.write("alertmanager.yml", strings.Replace(config, people, people+"    webhook_configs: [{url: '"+w.URL+"/people'}]\n", 1))
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
	if err := os.MkdirAll(filepath.Dir(w.file(name)), 0o755); err != nil {
		w.t.Fatal(err)
	}
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

// startAlertmanager begins with an empty folder: it remembers nothing of what it
// has sent.
func (w *world) startAlertmanager(data string) *process.Process {
	w.t.Helper()
	return w.start(w.parts.AlertmanagerCommand(stack.Server{Config: w.file("alertmanager.yml"), Data: w.file(data), Addr: w.alertmanager.Addr(), Log: w.file(data + ".log")}))
}

// metric gives the value of one line of heal-receiver's page.
func (w *world) metric(name string) string {
	resp, err := http.Get(w.receiver.URL() + "/metrics")
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	if err != nil {
		return err.Error()
	}
	found := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + ` (\S+)$`).FindSubmatch(page)
	if found == nil {
		return "absent"
	}
	return string(found[1])
}

func (w *world) until(what string, wrong func() string) {
	w.t.Helper()
	wait.Until(w.t, what, upTo, wrong, func() string {
		return process.Tail(w.file("heal.log"), 20) + process.Tail(w.file("am-1.log"), 20) + process.Tail(w.file("prom.log"), 20)
	})
}

// is waits until a metric has a value.
func (w *world) is(name, want string) {
	w.t.Helper()
	w.until(name+" is "+want, func() string {
		if got := w.metric(name); got != want {
			return "got " + got
		}
		return ""
	})
}

// says waits for all that people have heard from heal-receiver.
func (w *world) says(want ...string) {
	w.t.Helper()
	w.until(fmt.Sprintf("people heard %q", want), func() string {
		if words, _ := w.heard(); !slices.Equal(words, want) {
			return fmt.Sprintf("got %q", words)
		}
		return ""
	})
}

const (
	seen    = `heal_watchdog_last_seen_timestamp_seconds{source="main"}`
	overdue = `heal_watchdog_overdue{source="main"}`
	accept  = `heal_notifications_total{code="200",source="main"}`
)

// Alertmanager sends Watchdog again and again by the generated route; when it is
// gone people hear of it from heal-receiver, and again when it is back. No page ever
// says that all is well.
func TestWatchdog_PeopleHearThatTheChainIsCut(t *testing.T) {
	for _, generation := range []string{"build", "debian"} {
		t.Run(generation, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, generation)
			am := w.startAlertmanager("am-1")
			w.is(accept, "3") // once at the beginning, and repeated twice
			w.is(overdue, "0")
			w.says()
			am.Kill()
			w.is(overdue, "1")
			w.says("tell watchdog_silent")
			last := w.metric(seen)
			w.startAlertmanager("am-2")
			w.is(overdue, "0")
			w.says("tell watchdog_silent", "tell watchdog_back")
			if got := w.metric(seen); got == last || got == "0" {
				t.Errorf("it was seen last at %s, want later than %s", got, last)
			}
			if _, pages := w.heard(); slices.Contains(pages, "Watchdog") {
				t.Errorf("people were paged by %q", pages)
			}
		})
	}
}
