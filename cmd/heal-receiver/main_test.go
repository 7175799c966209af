package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// output is a writer that may be read while it is written to.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// command runs the program to its end and answers exit code and outputs.
func command(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err output
	code = run(t.Context(), args, &out, &err)
	return code, out.String(), err.String()
}

const plain = `
cluster: test
storage: {sqlite: DIR/journal.db}
prometheus: [{name: main, url: 'http://127.0.0.1:9'}]
alertmanagers: [{name: main, peers: ['http://127.0.0.1:9']}]
auth:
  clients:
  - {name: alertmanager, roles: [notify], source: main, bearer_file: am.token}
  - {name: sre, roles: [admin], bearer_file: sre.token}
gather: 5s
http: {allowed_hosts: ['127.0.0.1:1']}
services:
- {name: shop, owner: team, members: 'min by (node) (up{service="shop"})', healthy: {query: 'min(up{service="shop"}) == 1'}}
plans:
  drain:
    kind: isolate
    mode: MODE
    target: 'node:{{ .Member.Labels.node }}'
    steps: [{http: {method: POST, url: 'http://127.0.0.1:1/drain/{{ .Member.Labels.node }}'}, timeout: 5s}]
    undo: [{http: {method: POST, url: 'http://127.0.0.1:1/ready/{{ .Member.Labels.node }}'}, timeout: 5s, idempotent: true}]
    verify: {healthy: service, for: 5s, within: 30s, every: 1s}
    release: manual
scenarios:
- {name: bad-node, match: ['service="shop"'], owner: team, severity: P1, ladders: {node: [drain]}, escalate: {to: [desk]}}
escalate: {to: [desk]}
notify: {desk: {webhook: {url: 'http://127.0.0.1:9/desk'}}}
`

// folder holds a configuration whose plan has the mode, and its credentials.
func folder(t *testing.T, mode string) (dir, file string) {
	t.Helper()
	dir = t.TempDir()
	file = filepath.Join(dir, "heal.yml")
	text := strings.NewReplacer("DIR", dir, "MODE", mode).Replace(plain)
	for name, text := range map[string]string{"heal.yml": text, "am.token": "am-secret", "sre.token": "sre-secret"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir, file
}

// serving is a whole receiver in this process.
type serving struct {
	url, dir, file string
	stderr         *output
	stop           func() int
}

func serve(t *testing.T, args ...string) *serving {
	t.Helper()
	dir, file := folder(t, "observe")
	s := &serving{dir: dir, file: file, stderr: &output{}}
	ctx, cancel := context.WithCancel(context.Background())
	bound, ended := make(chan string, 1), make(chan int, 1)
	a := &app{stdout: io.Discard, stderr: s.stderr, bound: func(at []string) { bound <- at[0] }}
	args = append([]string{"--config.file=" + file, "serve", "--web.listen-address=127.0.0.1:0"}, args...)
	go func() { ended <- a.run(ctx, args) }()
	select {
	case at := <-bound:
		s.url = "http://" + at
	case code := <-ended:
		t.Fatalf("serve ended with %d before it listened:\n%s", code, s.stderr)
	}
	s.stop = sync.OnceValue(func() int { cancel(); return <-ended })
	t.Cleanup(func() { s.stop() })
	return s
}

func (s *serving) call(t *testing.T, method, path, token, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// ask runs a command of people against the receiver.
func (s *serving) ask(t *testing.T, args ...string) (int, string, string) {
	t.Helper()
	return command(t, append([]string{"--url=" + s.url, "--token-file=" + filepath.Join(s.dir, "sre.token")}, args...)...)
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not within 20s: %s", what)
		}
	}
}

const notification = `{"version":"4","alerts":[{"status":"firing","startsAt":"2026-01-01T00:00:00Z","endsAt":"0001-01-01T00:00:00Z","fingerprint":"f1",
"labels":{"alertname":"FaultLocated","service":"shop","scope":"node","member":"n2","node":"n2","severity":"page"},"annotations":{}}]}`

func TestServe_AcceptsShowsAndHandsOver(t *testing.T) {
	s := serve(t)
	if code, text := s.call(t, "POST", "/api/v1/alertmanager", "am-secret", notification); code != 200 {
		t.Fatalf("the notification is answered %d %s", code, text)
	}
	eventually(t, "an incident of shop is listed", func() bool {
		_, out, _ := s.ask(t, "incidents", "list", "--open")
		return strings.Contains(out, "shop")
	})
	_, out, _ := s.ask(t, "incidents", "list")
	id := strings.Fields(strings.Split(out, "\n")[1])[0]
	for _, c := range []struct {
		args []string
		code int
		has  string
	}{
		{[]string{"incidents", "show", id}, 0, "fault_start"},
		{[]string{"incidents", "show", id, "--json"}, 0, `"service": "shop"`},
		{[]string{"review", id}, 0, "# Incident `" + id},
		{[]string{"incidents", "list", "--limit=1"}, 0, "these are the newest 1; there may be more (--limit)"},
		{[]string{"incidents", "list", "--limit=0"}, 1, "--limit: got 0, want a number from 1 to 1000"},
		{[]string{"mitigations", "list"}, 0, "MITIGATION"},
		{[]string{"incidents", "take", id}, 0, "take " + id + ": done"},
		{[]string{"ack", id}, 0, "ack " + id + ": done"},
		{[]string{"incidents", "close", id}, 0, "close " + id + ": done"},
		{[]string{"incidents", "close", id}, 1, "409"},
		{[]string{"incidents", "show", "01NONE"}, 1, "404"},
		{[]string{"resolve", "01NONE", "--changed=yes"}, 1, "404"},
		{[]string{"mitigations", "forget", "01NONE"}, 1, "404"},
		{[]string{"incidents", "abort", "01NONE"}, 1, "404"},
	} {
		code, out, errs := s.ask(t, c.args...)
		if code != c.code || !strings.Contains(out+errs, c.has) {
			t.Errorf("%q: got %d\n%s%s\nwant %d with %q", c.args, code, out, errs, c.code, c.has)
		}
	}
	if code := s.stop(); code != 0 {
		t.Errorf("a stop is exit code %d, want 0:\n%s", code, s.stderr)
	}
	journal := filepath.Join(s.dir, "journal.db")
	for _, args := range [][]string{{"incidents", "list"}, {"incidents", "show", id}, {"review", id}, {"mitigations"}} {
		code, out, errs := command(t, append([]string{"--storage=" + journal}, args...)...)
		if code != 0 || (!strings.Contains(out, id) && args[0] != "mitigations") {
			t.Errorf("with the receiver down, %q: got %d\n%s%s", args, code, out, errs)
		}
	}
}

func TestServe_ASecondProcessOnOneJournalIsRefused(t *testing.T) {
	s := serve(t)
	code, _, errs := command(t, "--config.file="+s.file, "serve", "--web.listen-address=127.0.0.1:0")
	if code != 1 || !strings.Contains(errs, "journal") {
		t.Errorf("got %d %s, want 1 and the journal named", code, errs)
	}
}

func TestReload_ABadFileLeavesTheOldConfigurationInForce(t *testing.T) {
	s := serve(t)
	good, err := os.ReadFile(s.file)
	if err != nil {
		t.Fatal(err)
	}
	bad := strings.Replace(string(good), "quiet", "", 1) + "\nnonsense: 1\ngather_for: 3s\n"
	if err := os.WriteFile(s.file, []byte(bad), 0o600); err != nil {
		t.Fatal(err)
	}
	code, text := s.call(t, "POST", "/-/reload", "sre-secret", "")
	if code != 500 || !strings.Contains(text, "nonsense") || !strings.Contains(text, "gather_for") {
		t.Errorf("a bad file is answered %d %s, want 500 with both mistakes", code, text)
	}
	if _, text = s.call(t, "GET", "/metrics", "", ""); !strings.Contains(text, "heal_config_last_reload_successful 0") {
		t.Error("the metric does not show the refused reload")
	}
	if code, _ = s.call(t, "POST", "/api/v1/alertmanager", "am-secret", notification); code != 200 {
		t.Errorf("after a refused reload a notification is answered %d, want 200", code)
	}
	moved := strings.Replace(string(good), "journal.db", "other.db", 1)
	if err := os.WriteFile(s.file, []byte(moved), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, text = s.call(t, "POST", "/-/reload", "sre-secret", ""); code != 500 || !strings.Contains(text, "restart") {
		t.Errorf("a moved journal is answered %d %s, want 500 and what to do", code, text)
	}
	for name, text := range map[string]string{"new.token": "new-secret", "heal.yml": strings.Replace(string(good), "sre.token", "new.token", 1)} {
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if code, text = s.call(t, "POST", "/-/reload", "sre-secret", ""); code != 200 {
		t.Errorf("a good file is answered %d %s, want 200", code, text)
	}
	if code, _ = s.call(t, "GET", "/api/v1/incidents", "sre-secret", ""); code != 401 {
		t.Errorf("the credential that the new file no longer has is answered %d, want 401", code)
	}
	if _, text = s.call(t, "GET", "/metrics", "", ""); !strings.Contains(text, "heal_config_last_reload_successful 1") {
		t.Error("the metric does not show the good reload")
	}
}

func TestServe_RefusesWhatWouldBeUnsafe(t *testing.T) {
	dir, file := folder(t, "auto")
	web := filepath.Join(dir, "web.yml")
	if err := os.WriteFile(web, []byte("basic_auth_users: {a: b}\nrate_limit: {interval: 1s}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		args []string
		has  []string
	}{
		{"auto while guards are not built", []string{"serve"}, []string{"plans drain are of mode auto", "--accept-risk"}},
		{"everybody may act", []string{"--accept-risk", "serve", "--insecure.no-auth", "--web.listen-address=0.0.0.0:0"}, []string{"--insecure.no-auth", "loopback"}},
		{"a web file that breaks notifications", []string{"--accept-risk", "serve", "--web.config.file=" + web, "--web.listen-address=127.0.0.1:0"}, []string{"basic_auth_users", "rate_limit", "429"}},
		{"a port that is taken", []string{"--accept-risk", "serve", "--web.listen-address=127.0.0.1:0", "--web.listen-address=256.0.0.1:1"}, []string{"listening on 256.0.0.1:1"}},
	} {
		code, _, errs := command(t, append([]string{"--config.file=" + file}, c.args...)...)
		if code != 1 {
			t.Errorf("%s: got exit code %d, want 1", c.name, code)
		}
		for _, want := range c.has {
			if !strings.Contains(errs, want) {
				t.Errorf("%s: got %s, want %q in it", c.name, errs, want)
			}
		}
	}
}

func TestInsecure_OnLoopbackLetsEverythingThrough(t *testing.T) {
	s := serve(t, "--insecure.no-auth")
	if code, _ := s.call(t, "GET", "/api/v1/incidents", "", ""); code != 200 {
		t.Errorf("got %d, want 200", code)
	}
}

func TestCheck_NamesEveryMistakeOfTheExample(t *testing.T) {
	code, out, _ := command(t, "check", "--config.file=../../healer/plan/testdata/heal-receiver.example.yml")
	if code != 1 {
		t.Errorf("got exit code %d, want 1", code)
	}
	var paths []string
	for line := range strings.Lines(out) {
		if strings.Contains(line, "known, not yet available") {
			paths = append(paths, strings.Split(line, ": ")[2])
		}
	}
	want := []string{"auth.clients[3].client_cert", "held_max", "limits.budgets", "limits.storm", "limits.breaker", "limits.demote", "limits.blockers",
		"limits.startup_grace", "limits.never_touch", "limits.kill_file", "services[0].depends_on", "services[0].blast_radius", "services[1].depends_on",
		"services[1].blast_radius", "services[2].blast_radius", "services[3].blast_radius", "plans.drain-node.release", "plans.restart-node.mode",
		"plans.restart-node.approve", "plans.restart-node.evidence", "plans.k8s-undo.mode", "plans.k8s-undo.approve", "plans.shed-load.release",
		"scenarios[0].escalate.ack_within", "scenarios[0].escalate.to", "scenarios[1].ladders.version", "notify.oncall-web.slack", "notify.oncall-pay.feishu"}
	if diff := cmp.Diff(want, paths); diff != "" {
		t.Errorf("keys that are not yet available (-want +got):\n%s", diff)
	}
}

func TestCheck_ShowsBudgetAndGuardsOfAGoodFile(t *testing.T) {
	_, file := folder(t, "auto")
	code, out, errs := command(t, "check", "--accept-risk", "--config.file="+file)
	if code != 0 {
		t.Fatalf("got exit code %d\n%s%s", code, out, errs)
	}
	for _, want := range []string{"1 services, 1 plans, 1 scenarios", "bad-node", "fits", "guards that are not built yet",
		"dead man's check: desk told when no Watchdog has come from main for 5m, again every 5m\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("got\n%s\nwant %q in it", out, want)
		}
	}
	if code, out, _ = command(t, "check", "--accept-risk", "--detect-bound=10m", "--json", "--config.file="+file); code != 1 || !strings.Contains(out, `"level": "error"`) {
		t.Errorf("with a bound that leaves no time: got %d\n%s\nwant 1 with an error", code, out)
	}
}

// A dead man's check that nothing can feed, or that tells nobody, is found before it
// is needed.
func TestCheck_ShowsHowTheDeadMansCheckWatches(t *testing.T) {
	_, file := folder(t, "observe")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ old, by, want string }{
		"off":        {"\nnotify:", "\nwatchdog: {enabled: false}\nnotify:", "dead man's check: off (watchdog.enabled)\n"},
		"others":     {"\nnotify:", "\nwatchdog: {within: 10m, remind: 1h}\nnotify:", "from main for 10m, again every 1h\n"},
		"impatient":  {"\nnotify:", "\nwatchdog: {within: 1m}\nnotify:", "watchdog.within: got 1m0s, want 2m0s or more"},
		"nobody":     {"\nescalate: {to: [desk]}", "\nescalate: {to: []}", "dead man's check: on, but nobody is told"},
		"two":        {"alertmanagers: [", "alertmanagers: [{name: far, peers: ['http://127.0.0.1:9']}, ", "alertmanagers[0].name: no client of auth.clients has source far: none of its alerts can arrive"},
		"two, shown": {"alertmanagers: [", "alertmanagers: [{name: far, peers: ['http://127.0.0.1:9']}, ", "has come from far, main for 5m"},
	} {
		if !strings.Contains(string(text), c.old) {
			t.Fatalf("%s: the file holds no %q:\n%s", name, c.old, text)
		}
		if err := os.WriteFile(file, []byte(strings.Replace(string(text), c.old, c.by, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		if code, out, errs := command(t, "check", "--config.file="+file); code != 0 || !strings.Contains(out, c.want) {
			t.Errorf("%s: got %d\n%s%s\nwant %q", name, code, out, errs, c.want)
		}
	}
}

func TestSimulate_TellsWhatAWatchdogIsFor(t *testing.T) {
	dir, file := folder(t, "observe")
	body := filepath.Join(dir, "watchdog.json")
	if err := os.WriteFile(body, []byte(`{"version":"4","alerts":[{"status":"firing","labels":{"alertname":"Watchdog","heal":"true"},"startsAt":"2026-11-20T10:00:00Z"}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, errs := command(t, "simulate", body, "--config.file="+file)
	if code != 0 || !strings.Contains(out, "nothing is decided; a Watchdog feeds the dead man's check") {
		t.Errorf("got %d\n%s%s", code, out, errs)
	}
}

func TestSimulate_PrintsTheDecisionAndTouchesNothing(t *testing.T) {
	dir, file := folder(t, "auto")
	var asked atomic.Int64
	prometheus := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		w.Header().Set("Content-Type", "application/json")
		q := r.FormValue("query")
		metric, value := `{}`, "1"
		switch {
		case strings.Contains(q, "by (node)"):
			metric, value = `{"node":"n2"}`, "0"
		case strings.HasPrefix(q, "min(up"):
			value = "0"
		}
		_, _ = io.WriteString(w, `{"status":"success","data":{"resultType":"vector","result":[{"metric":`+metric+`,"value":[1,"`+value+`"]}]}}`)
	}))
	defer prometheus.Close()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(string(text), "url: 'http://127.0.0.1:9'", "url: '"+prometheus.URL+"'", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	body := filepath.Join(dir, "n.json")
	if err := os.WriteFile(body, []byte(notification), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, errs := command(t, "simulate", body, "--config.file="+file)
	for _, want := range []string{"service shop, scenario bad-node: node [n2]", "act", "node:n2", "would do: POST http://127.0.0.1:1/drain/n2", "guards that are not built yet"} {
		if code != 0 || !strings.Contains(out, want) {
			t.Errorf("got %d\n%s%s\nwant 0 with %q", code, out, errs, want)
		}
	}
	if asked.Load() == 0 {
		t.Error("Prometheus was not asked")
	}
	if _, err := os.Stat(filepath.Join(dir, "journal.db")); err == nil {
		t.Error("simulate has made a journal")
	}
	if code, _, errs = command(t, "simulate", file, "--config.file="+file); code != 1 || !strings.Contains(errs, "notification") {
		t.Errorf("a file that is none: got %d %s, want 1 with the reason", code, errs)
	}
}

func TestUsage_IsExitCode2AndWhatComesLaterSaysSo(t *testing.T) {
	for _, c := range []struct {
		args []string
		code int
		has  string
	}{
		{[]string{"--nonsense"}, 2, "try --help"},
		{[]string{"explode"}, 2, "try --help"},
		{[]string{"--help"}, 0, "Carries out remediation"},
		{[]string{"--version"}, 0, "heal-receiver, version"},
		{[]string{"drill", "x"}, 1, "drill: known, not yet available"},
		{[]string{"pause"}, 1, "pause: known, not yet available"},
		{[]string{"--config.file=/nowhere.yml"}, 1, "/nowhere.yml"},
		{[]string{"--url=http://127.0.0.1:1", "incidents"}, 1, "--storage FILE"},
		{[]string{"--token-file=/nowhere", "ack", "x"}, 1, "--token-file"},
		{[]string{"--storage=/nowhere/journal.db", "incidents"}, 1, "/nowhere/journal.db"},
	} {
		code, out, errs := command(t, c.args...)
		if code != c.code || !strings.Contains(out+errs, c.has) {
			t.Errorf("%q: got %d\n%s%s\nwant %d with %q", c.args, code, out, errs, c.code, c.has)
		}
	}
}
