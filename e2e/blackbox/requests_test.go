package blackbox_test

import (
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const asked = `modules:
  http_2xx: {prober: http}
  named: {prober: http, http: {headers: {Host: host.test}}}
`

func TestOracle_BothRefuseTheSameRequests(t *testing.T) {
	p := start(t, asked)
	for name, c := range map[string]struct {
		path, header string
		want         int
	}{
		"no target":                      {"/probe", "", http.StatusBadRequest},
		"an empty target":                {"/probe?target=", "", http.StatusBadRequest},
		"the default module":             {"/probe?target=127.0.0.1:9", "", http.StatusOK},
		"an unknown module":              {"/probe?module=none&target=127.0.0.1:9", "", http.StatusBadRequest},
		"an unknown module, no target":   {"/probe?module=none", "", http.StatusBadRequest},
		"a bad header":                   {"/probe?target=127.0.0.1:9", "soon", http.StatusInternalServerError},
		"a bad header, unknown module":   {"/probe?module=none&target=127.0.0.1:9", "soon", http.StatusBadRequest},
		"a bad header, no target":        {"/probe", "soon", http.StatusInternalServerError},
		"a header with a unit":           {"/probe?target=127.0.0.1:9", "10s", http.StatusInternalServerError},
		"a great header":                 {"/probe?target=127.0.0.1:9", "1e3", http.StatusOK},
		"a negative header":              {"/probe?target=127.0.0.1:9", "-1", http.StatusOK},
		"hostname":                       {"/probe?target=127.0.0.1:9&hostname=other.test", "", http.StatusOK},
		"hostname that contradicts":      {"/probe?module=named&target=127.0.0.1:9&hostname=other.test", "", http.StatusBadRequest},
		"hostname that is the same":      {"/probe?module=named&target=127.0.0.1:9&hostname=host.test", "", http.StatusOK},
		"another parameter":              {"/probe?target=127.0.0.1:9&x=y", "", http.StatusOK},
		"debug=false":                    {"/probe?target=127.0.0.1:9&debug=false", "", http.StatusOK},
		"a module twice takes the first": {"/probe?module=http_2xx&module=none&target=127.0.0.1:9", "", http.StatusOK},
		"no page":                        {"/none", "", http.StatusOK}, // theirs answers its first page to every path
	} {
		t.Run(name, func(t *testing.T) {
			ours, theirs := p.status(t, c.path, c.header)
			if theirs != c.want {
				t.Errorf("theirs answers %s with %d, want %d: the case is not what it says", c.path, theirs, c.want)
			}
			if name == "no page" {
				c.want = http.StatusNotFound // a wrong path is told, not hidden
			}
			if ours != c.want {
				t.Errorf("ours answers %s with %d, want %d", c.path, ours, c.want)
			}
		})
	}
}

// status asks both for a page and gives their codes.
func (p *pair) status(t *testing.T, path, header string) (ours, theirs int) {
	t.Helper()
	var codes [2]int
	for i, base := range []string{p.ours, p.theirs} {
		code, _ := fetch(t, http.MethodGet, base+path, header)
		codes[i] = code
	}
	return codes[0], codes[1]
}

// fetch asks for a page as it is.
func fetch(t *testing.T, method, url, header string) (code int, text string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if header != "" {
		req.Header.Set("X-Prometheus-Scrape-Timeout-Seconds", header)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

const secrets = `modules:
  http_2xx:
    prober: http
    timeout: 5s
    http:
      headers: {Authorization: Bearer hidden-header, X-Token: hidden-token, Accept: text/html}
      basic_auth: {username: user, password: hidden-password}
      http_headers: {X-Key: {secrets: [hidden-key]}}
      proxy_url: http://user:hidden-proxy@127.0.0.1:3128
      proxy_connect_header: {Proxy-Authorization: [hidden-connect]}
  http_oauth:
    prober: http
    http:
      oauth2: {client_id: id, client_secret: hidden-client, token_url: http://127.0.0.1/token}
  tcp_send:
    prober: tcp
    tcp:
      query_response: [{expect: "^220", send: "QUIT"}]
`

// Theirs shows the headers of a module: ours masks whatever may be a secret, and
// what it shows is still YAML that people can read.
func TestOracle_OurConfigurationPageIsReadableAndHidesEverySecret(t *testing.T) {
	p := start(t, secrets)
	_, theirs := fetch(t, http.MethodGet, p.theirs+"/config", "")
	if !strings.Contains(theirs, "hidden-header") {
		t.Errorf("theirs hides its headers now, want the defect of v0.28.0:\n%s", theirs)
	}
	code, ours := fetch(t, http.MethodGet, p.ours+"/config", "")
	if code != http.StatusOK || strings.Contains(ours, "hidden-") {
		t.Errorf("got %d and\n%s\nwant 200 and no hidden-…", code, ours)
	}
	for name, text := range map[string]string{"ours": ours, "theirs": theirs} {
		var page struct {
			Modules map[string]struct {
				Prober  string `yaml:"prober"`
				Timeout string `yaml:"timeout"`
			} `yaml:"modules"`
		}
		if err := yaml.Unmarshal([]byte(text), &page); err != nil {
			t.Errorf("%s: /config is no YAML: %v\n%s", name, err, text)
		}
		if m := page.Modules["http_2xx"]; len(page.Modules) != 3 || m.Prober != "http" || m.Timeout != "5s" {
			t.Errorf("%s: /config has the modules %+v, want the three of the file", name, page.Modules)
		}
	}
}

func TestOracle_HealthAndReload(t *testing.T) {
	p := start(t, asked)
	for _, c := range []struct {
		method, path string
		want         int
	}{
		{http.MethodGet, "/-/healthy", http.StatusOK}, {http.MethodHead, "/-/healthy", http.StatusOK}, {http.MethodGet, "/-/reload", http.StatusMethodNotAllowed},
		{http.MethodPost, "/-/reload", http.StatusOK}, {http.MethodGet, "/", http.StatusOK}, {http.MethodGet, "/metrics", http.StatusOK},
		{http.MethodGet, "/logs", http.StatusBadRequest}, {http.MethodGet, "/logs?id=1&target=a", http.StatusBadRequest},
		{http.MethodGet, "/logs?id=1&module=a", http.StatusBadRequest}, {http.MethodGet, "/logs?id=999999", http.StatusNotFound},
		{http.MethodGet, "/logs?target=never", http.StatusNotFound},
	} {
		for name, base := range map[string]string{"ours": p.ours, "theirs": p.theirs} {
			if code, text := fetch(t, c.method, base+c.path, ""); code != c.want {
				t.Errorf("%s: %s %s: got %d, want %d\n%.300s", name, c.method, c.path, code, c.want, text)
			}
		}
	}
	if err := os.WriteFile(p.files+"/blackbox.yml", []byte("modules: {http_2xx: {prober: http, http: {method: []}}}"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, base := range map[string]string{"ours": p.ours, "theirs": p.theirs} {
		if code, text := fetch(t, http.MethodPost, base+"/-/reload", ""); code != http.StatusInternalServerError {
			t.Errorf("%s: a reload of a bad file: got %d, want 500\n%s", name, code, text)
		}
		if code, text := fetch(t, http.MethodGet, base+"/probe?target=127.0.0.1:9", ""); code != http.StatusOK {
			t.Errorf("%s: /probe after a bad reload: got %d, want 200 by the configuration before\n%s", name, code, text)
		}
	}
}

// A debug page has the series that the probe would have had, after a log.
func TestOracle_DebugPageHoldsTheSeries(t *testing.T) {
	p := start(t, asked)
	for name, base := range map[string]string{"ours": p.ours, "theirs": p.theirs} {
		code, text := fetch(t, http.MethodGet, base+"/probe?target=127.0.0.1:9&debug=true", "")
		if code != http.StatusOK {
			t.Errorf("%s: got %d, want 200\n%s", name, code, text)
		}
		for _, want := range []string{"\nprobe_success 0\n", "\nprobe_http_status_code 0\n", "prober: http"} {
			if !strings.Contains(text, want) {
				t.Errorf("%s: the debug page has no %q:\n%s", name, want, text)
			}
		}
	}
}

// alerted are the metrics of the process that alerts of shops are made of.
func alerted() []string {
	return []string{
		"blackbox_exporter_build_info", "blackbox_exporter_config_last_reload_successful",
		"blackbox_exporter_config_last_reload_success_timestamp_seconds", "blackbox_module_unknown_total",
		"process_cpu_seconds_total", "process_open_fds", "process_max_fds", "process_resident_memory_bytes", "process_start_time_seconds",
		"go_goroutines", "go_info", "go_memstats_heap_alloc_bytes", "promhttp_metric_handler_requests_total", "promhttp_metric_handler_requests_in_flight",
	}
}

func TestOracle_MetricsThatShopsAlertOnKeepTheirNames(t *testing.T) {
	p := start(t, asked)
	for _, base := range []string{p.ours, p.theirs} {
		fetch(t, http.MethodGet, base+"/probe?module=none&target=a", "")
	}
	ours, theirs := p.ask(t, "/metrics", "")
	for _, name := range alerted() {
		if ours.types[name] == "" || ours.types[name] != theirs.types[name] {
			t.Errorf("%s: ours has the type %q, theirs %q, want the same", name, ours.types[name], theirs.types[name])
		}
	}
	for _, name := range []string{"blackbox_module_unknown_total", "blackbox_exporter_config_last_reload_successful"} {
		if a, b := ours.show(name), theirs.show(name); a != "1" || b != "1" {
			t.Errorf("%s: ours %s, theirs %s, want 1", name, a, b)
		}
	}
}
