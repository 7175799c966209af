package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/bcrypt"

	"github.com/onefiveten/onefiveten/probe"
)

// update rewrites testdata with what the program gives: go test -update.
var update = flag.Bool("update", false, "rewrite testdata")

// house is a configuration of one service with a node and an entry.
const house = `modules:
  http_2xx: {prober: http, timeout: 500ms, http: {preferred_ip_protocol: ip4, basic_auth: {username: u, password: hidden}}}
  tcp: {prober: tcp, timeout: 500ms}
prometheus: {scrape: {interval: 1s, timeout: 500ms}, evaluation: {interval: 1s, delay: 200ms}}
alertmanager: {group_interval: 10s}
observers: [a, b]
probes:
- {name: shop-nodes, service: shop, module: http_2xx, interval: 1s, targets: [{url: "http://HOST/", labels: {node: n1, zone: za}}]}
- {name: shop-entry, service: shop, module: tcp, role: entry, interval: 1s, targets: [{url: "HOST"}]}
services:
- {name: shop, owner: team-shop, signals: {availability: {fault: {cap: .1}}}}
`

// write makes a file of a test.
func write(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "probe.yml")
	rewrite(t, file, text)
	return file
}

func rewrite(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// call runs a command to its end.
func call(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), args, &out, &errs)
	return code, out.String(), errs.String()
}

// running is a program that serves.
type running struct {
	t    *testing.T
	url  string
	stop func()
	code chan int
	log  *safeBuffer
}

// safeBuffer is a log that is read while it is written.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// start serves on a free port of loopback, and waits until it listens.
func start(t *testing.T, args ...string) *running {
	t.Helper()
	return startWhere(t, probe.CheckICMP, args...)
}

// startWhere is start where ping tells whether pings can be sent.
func startWhere(t *testing.T, ping func() error, args ...string) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r := &running{t: t, stop: cancel, code: make(chan int, 1), log: &safeBuffer{}}
	bound := make(chan string, 1)
	a := &app{stdout: io.Discard, stderr: r.log, bound: func(addresses []string) { bound <- addresses[0] }, ping: ping}
	go func() { r.code <- a.run(ctx, append(args, "--web.listen-address=127.0.0.1:0")) }()
	select {
	case address := <-bound:
		r.url = "http://" + address
	case code := <-r.code:
		t.Fatalf("ended with %d:\n%s", code, r.log)
	}
	t.Cleanup(func() {
		cancel()
		select {
		case <-r.code:
		case <-time.After(30 * time.Second):
			t.Error("did not stop")
		}
	})
	return r
}

// ended waits for the exit code and leaves it for the cleanup.
func (r *running) ended() int {
	r.t.Helper()
	select {
	case code := <-r.code:
		r.code <- code
		return code
	case <-time.After(30 * time.Second):
		r.t.Fatal("did not stop")
		return -1
	}
}

func (r *running) ask(method, path string, header ...string) (int, string) {
	r.t.Helper()
	req, err := http.NewRequest(method, r.url+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func (r *running) get(path string) string {
	r.t.Helper()
	code, body := r.ask("GET", path)
	if code != http.StatusOK {
		r.t.Fatalf("%s: status %d: %s", path, code, body)
	}
	return body
}

// eventually asks until the page holds all texts.
func (r *running) eventually(path string, texts ...string) string {
	r.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	late := time.After(30 * time.Second)
	for {
		page := r.get(path)
		missing := ""
		for _, text := range texts {
			if !strings.Contains(page, text) {
				missing = text
			}
		}
		if missing == "" {
			return page
		}
		select {
		case <-tick.C:
		case <-late:
			r.t.Fatalf("%s: no %q in\n%s\nlog:\n%s", path, missing, page, r.log)
		}
	}
}

func site(t *testing.T, handle http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(handle)
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

func fine(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "fine") }

var (
	times   = regexp.MustCompile(`(?m)^(\S*(?:_timestamp_seconds|duration_seconds|duration_seconds_sum|lookup_time_seconds)(?:\{.*\})?) \d[\d.e+-]*[1-9][\d.e+-]*$`)
	counts  = regexp.MustCompile(`(?m)^((?:probe_attempts_total|probe_run_duration_seconds_(?:count|bucket))\{.*\}) [1-9]\d*$`)
	remarks = regexp.MustCompile(`(?m)^# HELP .*\n`)
)

// still replaces what differs from run to run.
func still(page, host string) string {
	page = remarks.ReplaceAllString(page, "")
	page = counts.ReplaceAllString(times.ReplaceAllString(page, "$1 S"), "$1 N")
	page = strings.ReplaceAll(page, host, "HOST")
	page = strings.ReplaceAll(page, `job="probe",instance="http://HOST/",observer="a",probe="shop-nodes",service="shop",role="node",node="n1",zone="za"`, "NODE")
	return strings.ReplaceAll(page, `job="probe",instance="HOST",observer="a",probe="shop-entry",service="shop",role="entry"`, "ENTRY")
}

func TestServe_ShowsTheWholePageOfTheSchedule(t *testing.T) {
	host := site(t, fine)
	r := start(t, "--config.file="+write(t, strings.ReplaceAll(house, "HOST", host)), "--observer=a")
	page := r.eventually("/metrics/probes", `probe_http_status_code{`, `probe_tcp_duration_seconds{`)
	if *update {
		rewrite(t, "testdata/probes.txt", still(page, host))
	}
	want, err := os.ReadFile("testdata/probes.txt")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(still(page, host), "\n")); diff != "" {
		t.Errorf("testdata/probes.txt (-want +got):\n%s", diff)
	}
	own := r.get("/metrics")
	for _, text := range []string{
		"probe_exporter_build_info{", "blackbox_exporter_build_info{", "go_goroutines ", "process_open_fds ", "probe_targets 2\n",
		"probe_exporter_config_last_reload_successful 1\n", "blackbox_exporter_config_last_reload_successful 1\n", "blackbox_module_unknown_total 0\n",
		"probe_schedule_lag_seconds_count ", `probe_skipped_total{probe="shop-nodes",reason="overlap"} 0`, `observer="a"} 1`, "promhttp_metric_handler_requests_total",
	} {
		if !strings.Contains(own, text) {
			t.Errorf("/metrics: no %q", text)
		}
	}
	if got := r.get("/"); !strings.Contains(got, `href="metrics/probes"`) {
		t.Errorf("landing page: %s", got)
	}
	if r.get("/-/healthy") != "Healthy\n" || r.get("/-/ready") != "Ready\n" {
		t.Error("want healthy and ready")
	}
	r.stop()
	if code := r.ended(); code != 0 || !strings.Contains(r.log.String(), "msg=stopping") {
		t.Errorf("ended with %d:\n%s", code, r.log)
	}
}

func TestReload_BadFileLeavesTheOldConfigurationInForce(t *testing.T) {
	host := site(t, fine)
	good := strings.ReplaceAll(house, "HOST", host)
	file := write(t, good)
	r := start(t, "--config.file="+file, "--observer=a")
	before := r.eventually("/metrics/probes", `probe_http_status_code{`)
	rewrite(t, file, strings.NewReplacer("prober: tcp", "prober: udp", "interval: 1s, targets: [{url", "intervall: 1s, targets: [{uri").Replace(good))
	code, body := r.ask("POST", "/-/reload")
	want := strings.ReplaceAll(`the configuration was not loaded, the one before is in force:
FILE:3: modules.tcp.prober: unknown prober "udp"; want dns, grpc, http, icmp, tcp or unix
FILE:8: probes[0].intervall: unknown key; did you mean "interval"?
FILE:8: probes[0].targets[0].uri: unknown key; did you mean "url"?
FILE:8: probes[0].targets[0].url: got "", want an address
FILE:9: probes[1].intervall: unknown key; did you mean "interval"?
FILE:9: probes[1].targets[0].uri: unknown key; did you mean "url"?
FILE:9: probes[1].targets[0].url: got "", want an address
`, "FILE", file)
	if code != http.StatusInternalServerError {
		t.Errorf("status %d", code)
	}
	if diff := cmp.Diff(want, body); diff != "" {
		t.Error(diff)
	}
	own := r.get("/metrics")
	for _, text := range []string{"probe_exporter_config_last_reload_successful 0\n", "blackbox_exporter_config_last_reload_successful 0\n"} {
		if !strings.Contains(own, text) {
			t.Errorf("/metrics: no %q", text)
		}
	}
	// The schedule goes on, with the counters that it had.
	if n := strings.Count(before, `probe_attempts_total{`); strings.Count(r.get("/metrics/probes"), `probe_attempts_total{`) != n {
		t.Error("targets are gone")
	}
	if got := r.get("/probe?module=tcp&target=" + host); !strings.Contains(got, "probe_success 1\n") {
		t.Errorf("the old module is gone:\n%s", got)
	}
	rewrite(t, file, strings.Replace(good, "modules:", "modules:\n  new: {prober: tcp}", 1))
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	r.eventually("/metrics", "probe_exporter_config_last_reload_successful 1\n")
	if got := r.get("/probe?module=new&target=" + host); !strings.Contains(got, "probe_success 1\n") {
		t.Errorf("the new module is not there:\n%s", got)
	}
	rewrite(t, file, good)
	if code, body := r.ask("POST", "/-/reload"); code != http.StatusOK || body != "Reloaded\n" {
		t.Errorf("status %d: %s", code, body)
	}
	if code, _ := r.ask("GET", "/-/reload"); code != http.StatusMethodNotAllowed {
		t.Errorf("GET: status %d", code)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if code, body := r.ask("POST", "/-/reload"); code != http.StatusInternalServerError || !strings.Contains(body, "no such file") {
		t.Errorf("without a file: status %d: %s", code, body)
	}
}

func TestReload_HashTellsConfigurationsApart(t *testing.T) {
	file := write(t, "modules: {a: {prober: tcp}}\n")
	r := start(t, "--config.file="+file, "--observer=a")
	hash := regexp.MustCompile(`probe_exporter_config_hash_info{hash="([0-9a-f]{16})",observer="a"} 1`)
	first := hash.FindAllStringSubmatch(r.get("/metrics"), -1)
	rewrite(t, file, "modules: {b: {prober: tcp}}\n")
	r.ask("POST", "/-/reload")
	second := hash.FindAllStringSubmatch(r.get("/metrics"), -1)
	if len(first) != 1 || len(second) != 1 || first[0][1] == second[0][1] {
		t.Errorf("hashes %v, then %v", first, second)
	}
}

func TestConfig_ShowsNoSecret(t *testing.T) {
	text := strings.ReplaceAll(house, "HOST", "127.0.0.1:1")
	text = strings.Replace(text, "alertmanager: {", `alertmanager: {webhook: {url: "http://me:it's@top@127.0.0.1:1/alerts"}, `, 1)
	r := start(t, "--config.file="+write(t, text), "--observer=a")
	got := r.get("/config")
	if strings.Contains(got, "hidden") || strings.Contains(got, "it's") || strings.Contains(got, "top@") {
		t.Errorf("a secret is shown:\n%s", got)
	}
	for _, text := range []string{"password: <secret>", "url: http://<secret>@127.0.0.1:1/alerts", "name: shop-entry", "interval: 1s"} {
		if !strings.Contains(got, text) {
			t.Errorf("no %q in\n%s", text, got)
		}
	}
}

// TestConfig_WhatItShowsLoadsAlike: what is 0 or empty by intention, where something else
// is the default, is shown.
func TestConfig_WhatItShowsLoadsAlike(t *testing.T) {
	const text = `modules: {tcp: {prober: tcp, timeout: 500ms}}
prometheus: {scrape: {interval: 5s, timeout: 1s}, evaluation: {interval: 5s, delay: 0s}}
alertmanager: {peers: 2, peer_timeout: 0s, webhook: {url: '', credentials_file: ''}}
observers: [a]
probes: [{name: shop-entry, service: shop, module: tcp, role: entry, interval: 5s, targets: [{url: "127.0.0.1:1"}]}]
services: [{name: shop, owner: team-shop}]
`
	for _, webhook := range []string{"{url: '', credentials_file: ''}", "{url: ''}", "{credentials_file: ''}", "{}"} {
		first, err := load(files{file: write(t, strings.Replace(text, "{url: '', credentials_file: ''}", webhook, 1))}, "a")
		if err != nil {
			t.Fatal(err)
		}
		page, err := first.shown()
		if err != nil {
			t.Fatal(err)
		}
		page, _, _ = bytes.Cut(page, []byte("---\n")) // the windows in force
		second, err := load(files{file: write(t, string(page))}, "a")
		if err != nil {
			t.Fatalf("%v:\n%s", err, page)
		}
		if diff := cmp.Diff(first.spec(), second.spec()); diff != "" {
			t.Errorf("%s: what is shown is another configuration (-first +second):\n%s\n%s", webhook, diff, page)
		}
	}
}

// What is sent for a token, and the token in the address of a list.
func TestConfig_ShowsNoSecretOfALibrary(t *testing.T) {
	oauth := `{oauth2: {client_id: c, client_secret: topsecret, token_url: "http://127.0.0.1:1/t", endpoint_params: {password: topsecret, n: "1"}}}`
	r := start(t, "--observer=a", "--config.file="+write(t, `
modules: {m: {prober: http, timeout: 1s, http: `+oauth+`}}
services: [{name: shop, owner: team}]
prometheus: {scrape: {interval: 5s, timeout: 1s}, evaluation: {interval: 5s}, http_config: `+oauth+`}
probes: [{name: p, service: shop, module: m, interval: 5s, http_sd: {url: "http://127.0.0.1:1/list?token=topsecret", http_config: `+oauth+`}}]
`))
	got := r.get("/config")
	if strings.Contains(got, "topsecret") || strings.Count(got, "password: <secret>") != 3 || strings.Count(got, `"n": <secret>`) != 3 {
		t.Errorf("a secret is shown:\n%s", got)
	}
	if !strings.Contains(r.log.String(), "probes=1 targets=0 sources=1 services=1\n") {
		t.Errorf("the log does not tell of the list:\n%s", r.log)
	}
	if !strings.Contains(got, "url: http://127.0.0.1:1/list?<secret>\n") {
		t.Errorf("the address of the list is not shown:\n%s", got)
	}
}

func TestProbe_AnswersAsBlackboxExporterDoes(t *testing.T) {
	host := site(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Host == "named.test" {
			w.WriteHeader(http.StatusTeapot)
		}
		fine(w, r)
	})
	r := start(t, "--config.file="+write(t, `modules:
  http_2xx: {prober: http}
  vhost: {prober: http, http: {headers: {Host: a.test}}}
  banner: {prober: tcp, tcp: {query_response: [{send: "GET / HTTP/1.0\r\n\r"}, {expect: '^(HTTP/.*)$', labels: [{name: line, value: '"$1"\'}]}]}}
`))
	if got := still(r.get("/probe?target="+host), host); got != `# TYPE probe_success gauge
probe_success 1
# TYPE probe_duration_seconds gauge
probe_duration_seconds S
# TYPE probe_dns_lookup_time_seconds gauge
probe_dns_lookup_time_seconds S
# TYPE probe_ip_protocol gauge
probe_ip_protocol 4
# TYPE probe_ip_addr_hash gauge
probe_ip_addr_hash 3.668918509e+09
# TYPE probe_resolved_address_info gauge
probe_resolved_address_info{address="127.0.0.1"} 1
# TYPE probe_http_duration_seconds gauge
probe_http_duration_seconds{phase="resolve"} S
probe_http_duration_seconds{phase="connect"} S
probe_http_duration_seconds{phase="tls"} 0
probe_http_duration_seconds{phase="processing"} S
probe_http_duration_seconds{phase="transfer"} S
# TYPE probe_http_content_length gauge
probe_http_content_length 4
# TYPE probe_http_uncompressed_body_length gauge
probe_http_uncompressed_body_length 4
# TYPE probe_http_redirects gauge
probe_http_redirects 0
# TYPE probe_http_ssl gauge
probe_http_ssl 0
# TYPE probe_http_status_code gauge
probe_http_status_code 200
# TYPE probe_http_version gauge
probe_http_version 1.1
# TYPE probe_failed_due_to_regex gauge
probe_failed_due_to_regex 0
` {
		t.Error(got)
	}
	if got := r.get("/probe?module=http_2xx&hostname=named.test&target=" + host); !strings.Contains(got, "probe_success 0\n") || !strings.Contains(got, "probe_http_status_code 418\n") {
		t.Errorf("hostname: %s", got)
	}
	if got := r.get("/probe?module=banner&debug=false&target=" + host); !strings.Contains(got, `probe_expect_info{line="\"HTTP/1.0 200 OK\"\\"} 1`) {
		t.Errorf("banner: %s", got)
	}
	for _, c := range []struct {
		query, header string
		code          int
		want          string
	}{
		{"module=none&target=x", "", 400, "unknown module \"none\", want one of banner, http_2xx, vhost\n"},
		{"", "", 400, "parameter target is missing\n"},
		{"target=x&module=vhost&hostname=b.test", "", 400, "hostname \"b.test\" contradicts the header Host: a.test of the module\n"},
		{"target=x", "soon", 500, "header X-Prometheus-Scrape-Timeout-Seconds: want seconds, got \"soon\"\n"},
	} {
		code, body := r.ask("GET", "/probe?"+c.query, scrapeTimeout, c.header)
		if code != c.code || body != c.want {
			t.Errorf("%s: status %d: %s", c.query, code, body)
		}
	}
	if own := r.get("/metrics"); !strings.Contains(own, "blackbox_module_unknown_total 1\n") {
		t.Error("the unknown module was not counted")
	}
}

func TestProbe_EndsBeforeTheScrape(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() // connections wait in its queue for ever
	r := start(t, "--config.file="+write(t, "modules: {http_2xx: {prober: http, timeout: 1h}}\n"), "--timeout-offset=0.25")
	code, body := r.ask("GET", "/probe?target="+l.Addr().String(), scrapeTimeout, "0.3")
	if code != http.StatusOK || !strings.Contains(body, "probe_success 0\n") {
		t.Errorf("status %d: %s", code, body)
	}
}

func TestDeadline_IsTheShorterOfModuleAndScrape(t *testing.T) {
	for _, c := range []struct {
		header string
		module time.Duration
		offset float64
		want   time.Duration
	}{
		{"", 0, .5, 119500 * time.Millisecond}, {"", 5 * time.Second, .5, 5 * time.Second}, {"", 200 * time.Second, .5, 119500 * time.Millisecond},
		{"10", 0, .5, 9500 * time.Millisecond}, {"10", 2 * time.Second, .5, 2 * time.Second}, {"10", 9500 * time.Millisecond, .5, 9500 * time.Millisecond},
		{"0", 0, 0, 120 * time.Second}, {"1", 3 * time.Second, 2, 3 * time.Second}, {"1", 0, 2, 0}, {"-5", time.Second, .5, time.Second}, {"+Inf", 0, .5, time.Hour},
	} {
		if got, err := deadline(c.header, c.module, c.offset); err != nil || got != c.want {
			t.Errorf("%+v: got %v, %v", c, got, err)
		}
	}
	for _, header := range []string{"x", "NaN", "1s"} {
		if _, err := deadline(header, 0, 0); err == nil {
			t.Errorf("%q is accepted", header)
		}
	}
}

func TestExposition_EscapesLabels(t *testing.T) {
	got := string(exposition(probe.Result{Success: true, Samples: []probe.Sample{{Name: "x", Help: "h", Value: -62135596800, Labels: []probe.Label{{Name: "a", Value: "\\\"\n\xff"}, {Name: "b"}}}}}))
	if want := "# HELP x h\n# TYPE x gauge\nx{a=\"\\\\\\\"\\n\uFFFD\",b=\"\"} -6.21355968e+10\n"; !strings.HasSuffix(got, want) {
		t.Errorf("got %s", got)
	}
}

// A listener that lives on would take what nobody is to answer.
func TestReady_WhoEndsListensNoMoreAndAnswersWhatIsUnderWay(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	host := site(t, func(w http.ResponseWriter, r *http.Request) {
		close(entered)
		<-release
		fine(w, r)
	})
	r := start(t, "--config.file="+write(t, "modules: {http_2xx: {prober: http}}\n"))
	answer := make(chan string, 1)
	go func() {
		resp, err := http.Get(r.url + "/probe?target=" + host)
		if err != nil {
			answer <- err.Error()
			return
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		answer <- fmt.Sprint(string(body), err)
	}()
	<-entered
	r.get("/-/ready")
	r.stop()
	fresh := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for err := error(nil); !errors.Is(err, syscall.ECONNREFUSED); { // until the listener is closed
		var resp *http.Response
		if resp, err = fresh.Get(r.url + "/-/ready"); err == nil {
			resp.Body.Close()
		}
	}
	close(release)
	if got := <-answer; !strings.Contains(got, "probe_success 1\n") {
		t.Errorf("the answer was cut: %s", got)
	}
	if code := r.ended(); code != 0 {
		t.Errorf("ended with %d:\n%s", code, r.log)
	}
}

func TestServe_WebConfigurationAsksForAPassword(t *testing.T) {
	hash, err := bcrypt.GenerateFromPassword([]byte("word"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	web := write(t, "basic_auth_users: {probe: "+string(hash)+"}\n")
	r := start(t, "--config.file="+write(t, "modules: {a: {prober: tcp}}\n"), "--web.config.file="+web)
	if code, _ := r.ask("GET", "/metrics"); code != http.StatusUnauthorized {
		t.Errorf("without a password: status %d", code)
	}
	if code, body := r.ask("GET", "/metrics/probes", "Authorization", "Basic cHJvYmU6d29yZA=="); code != http.StatusOK {
		t.Errorf("with the password: status %d: %s", code, body)
	}
	code, _, stderr := call(t, "--config.file="+write(t, "modules: {a: {prober: tcp}}\n"), "--web.config.file="+write(t, "nonsense: 1\n"))
	if code != 1 || !strings.Contains(stderr, "--web.config.file: ") {
		t.Errorf("bad web configuration: %d: %s", code, stderr)
	}
}

func TestServe_EndsWithOneOnWhatItCannotDo(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	good := write(t, strings.ReplaceAll(house, "HOST", "127.0.0.1:1"))
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--config.file=" + good + ".none"}, "probe-exporter: reading configuration: open "},
		{[]string{"--config.file=" + good, "--observer=c", "--web.listen-address=127.0.0.1:0"}, `observers: "c", the --observer of this exporter, is not listed: a, b`},
		{[]string{"--config.file=" + good, "--observer=a", "--web.listen-address=127.0.0.1:0", "--web.listen-address=" + l.Addr().String()}, "--web.listen-address: listen tcp " + l.Addr().String()},
		{[]string{"--config.file=" + good, "--observer=a", "--web.listen-address=vsock://x"}, "serving: "},
		{[]string{"backtest", "none.csv"}, "open none.csv: no such file"},
	} {
		if code, _, stderr := call(t, c.args...); code != 1 || !strings.Contains(stderr, c.want) {
			t.Errorf("%v: ended with %d:\n%s", c.args, code, stderr)
		}
	}
}

func TestUsage_EndsWithTwo(t *testing.T) {
	for _, c := range []struct{ arg, want string }{
		{"--no-such-flag", "unknown long flag '--no-such-flag'"}, {"--history.limit=-5", `--history.limit: want a number of 0 or more, got "-5"`},
		{"--web.external-url='http://a.test/'", "--web.external-url: want it without quotes"}, {"--web.external-url=ftp://a.test/", "--web.external-url: want http://, https:// or a path"},
		{"--web.external-url=http://me:topsecret@a.test:port/", "--web.external-url: want a URL such as"}, {"--log.prober=loud", `--log.prober: want debug, info, warn or error, got "loud"`},
		{"--timeout-offset=NaN", "--timeout-offset: want seconds without a unit, got \"NaN\""}, {"--timeout-offset=x", "probe-exporter: --timeout-offset: want seconds without a unit, got \"x\", try --help\n"},
		{"--config.auto-reload-interval=30s", `--config.auto-reload-interval: want seconds without a unit or a fraction, got "30s"`}, {"--config.auto-reload-interval=99999999999", "--config.auto-reload-interval: want seconds"},
		{"--log.format=x", `--log.format: want logfmt or json, got "x"`}, {"--log.level=loud", `--log.level: want debug, info, warn or error, got "loud"`}, {"rules", "required flag(s) '--output.dir' not provided"},
	} {
		if code, _, stderr := call(t, c.arg); code != 2 || !strings.Contains(stderr, c.want) || strings.Contains(stderr, "topsecret") {
			t.Errorf("%s: ended with %d: %s", c.arg, code, stderr)
		}
	}
	if code, _, stderr := call(t, "--config.enable-auto-reload", "--config.auto-reload-interval=0"); code != 2 || !strings.Contains(stderr, "--config.auto-reload-interval: want 1 second or more") {
		t.Errorf("ended with %d: %s", code, stderr)
	}
	for _, arg := range []string{"--help", "-h", "--version"} {
		if code, stdout, stderr := call(t, arg); code != 0 || !strings.Contains(stdout, "probe-exporter") || stderr != "" {
			t.Errorf("%s: ended with %d: %s%s", arg, code, stdout, stderr)
		}
	}
}

func TestLog_KeepsLevelAndFormat(t *testing.T) {
	file := write(t, "modules: {a: {prober: tcp}}\n")
	quiet := start(t, "--config.file="+file, "--log.level=error")
	quiet.stop()
	if quiet.ended(); quiet.log.String() != "" {
		t.Errorf("want silence, got %s", quiet.log)
	}
	json := start(t, "--config.file="+file, "--log.format=json")
	json.get("/-/ready")
	json.stop()
	json.ended()
	for _, text := range []string{`"msg":"starting probe-exporter"`, `"msg":"Listening on"`, `"level":"info"`} {
		if !strings.Contains(json.log.String(), text) {
			t.Errorf("no %s in %s", text, json.log)
		}
	}
}

func TestServe_WarnsOnceThatItMayNotPing(t *testing.T) {
	asked, refused := 0, errors.New("operation not permitted")
	ping := func() error { asked++; return refused }
	file := write(t, "modules: {a: {prober: icmp}, b: {prober: icmp}}\n")
	r := startWhere(t, ping, "--config.file="+file)
	r.ask("POST", "/-/reload")
	want := ` level=warn msg="no ping can be sent from here: probes by icmp will fail" module=a err="operation not permitted"`
	if got := r.log.String(); strings.Count(got, want) != 1 || strings.Count(got, "level=warn") != 1 {
		t.Errorf("got %s", got)
	}
	rewrite(t, file, "modules: {a: {prober: tcp}}\n")
	if got := startWhere(t, ping, "--config.file="+file).log.String(); strings.Contains(got, "level=warn") || asked != 1 {
		t.Errorf("nobody pings, asked %d times: %s", asked, got)
	}
	refused = nil
	rewrite(t, file, "modules: {a: {prober: icmp}}\n")
	if got := startWhere(t, ping, "--config.file="+file).log.String(); strings.Contains(got, "level=warn") {
		t.Errorf("pings are allowed: %s", got)
	}
}

func TestServe_ListensOnSeveralAddresses(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	bound, code := make(chan []string, 1), make(chan int, 1)
	a := &app{stdout: io.Discard, stderr: io.Discard, bound: func(addresses []string) { bound <- addresses }}
	file := write(t, "modules: {a: {prober: tcp}}\n")
	go func() {
		code <- a.run(ctx, []string{"--config.file=" + file, "--web.listen-address=127.0.0.1:0", "--web.listen-address=127.0.0.1:0"})
	}()
	for _, address := range <-bound {
		r := &running{t: t, url: "http://" + address}
		if r.get("/-/healthy") != "Healthy\n" {
			t.Errorf("%s does not answer", address)
		}
		if status, body := r.ask("HEAD", "/probe?module=a&target=127.0.0.1:1"); status != http.StatusOK || body != "" {
			t.Errorf("HEAD: status %d: %s", status, body)
		}
		if status, _ := r.ask("DELETE", "/metrics"); status != http.StatusMethodNotAllowed {
			t.Errorf("DELETE: status %d", status)
		}
	}
	cancel()
	if got := <-code; got != 0 {
		t.Errorf("ended with %d", got)
	}
}

func TestReload_ObserverThatIsTakenOffTheListIsRefused(t *testing.T) {
	good := strings.ReplaceAll(house, "HOST", "127.0.0.1:1")
	file := write(t, good)
	r := start(t, "--config.file="+file, "--observer=a")
	rewrite(t, file, strings.Replace(good, "observers: [a, b]", "observers: [b]", 1))
	code, body := r.ask("POST", "/-/reload")
	if code != http.StatusInternalServerError || !strings.Contains(body, `observers: "a", the --observer of this exporter, is not listed: b`) {
		t.Errorf("status %d: %s", code, body)
	}
}

func TestReload_ManyAtOnceLeaveOneWhole(t *testing.T) {
	host := site(t, fine)
	file := write(t, strings.ReplaceAll(house, "HOST", host))
	r := start(t, "--config.file="+file, "--observer=a")
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			resp, err := http.Post(r.url+"/-/reload", "", nil)
			if err != nil {
				t.Error(err)
				return
			}
			resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				t.Errorf("status %d", resp.StatusCode)
			}
		})
		all.Go(func() {
			resp, err := http.Get(r.url + "/probe?module=tcp&target=" + host)
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			if body, err := io.ReadAll(resp.Body); err != nil || !strings.Contains(string(body), "probe_success 1\n") {
				t.Errorf("%s, %v", body, err)
			}
		})
	}
	all.Wait()
	if got := strings.Count(r.get("/metrics"), "\nprobe_exporter_config_hash_info{"); got != 1 {
		t.Errorf("%d hashes", got)
	}
}

// TestServe_FailureAndRecoveryAreSeenOnThePage goes the whole way of a fault:
// a target that breaks, its reason, and that it is well again.
func TestServe_FailureAndRecoveryAreSeenOnThePage(t *testing.T) {
	var broken sync.Map
	host := site(t, func(w http.ResponseWriter, r *http.Request) {
		if _, down := broken.Load("down"); down {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	r := start(t, "--config.file="+write(t, strings.ReplaceAll(house, "HOST", host)), "--observer=a")
	success := `probe="shop-nodes",service="shop",role="node",node="n1",zone="za"} `
	r.eventually("/metrics/probes", `probe_http_status_code{`, success+"200\n")
	broken.Store("down", true)
	r.eventually("/metrics/probes", success+"503\n", `probe_failure_reason{`, `zone="za",reason="status"} 1`)
	broken.Delete("down")
	page := r.eventually("/metrics/probes", success+"200\n")
	if strings.Contains(page, "probe_failure_reason{") || strings.Contains(page, `zone="za",reason="status"} 0`) {
		t.Errorf("the failure is shown, or was not counted:\n%s", page)
	}
}
