package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/onefiveten/onefiveten/probe"
)

func TestCheck_TellsWhatIsUnwise(t *testing.T) {
	dir := folder(t, map[string]string{"main.yml": `modules:
  none: {prober: tcp}
  long: {prober: http, timeout: 5s, http: {valid_http_versions: [HTTP/1.1, h2], basic_auth: {username: u, password: topsecret}, headers: {Authorization: topsecret, Accept: x}}}
  files:
    prober: http
    timeout: 1s
    http:
      authorization: {credentials_file: open.token}
      tls_config: {ca_file: none.pem, insecure_skip_verify: true}
      http_headers: {X-Token: {files: [shut.token]}}
module_files: ['none/*.yml']
prometheus: {scrape: {interval: 15s}, evaluation: {interval: 5s}, http_config: {basic_auth: {username: u, password: topsecret}}}
probes:
- {name: a, service: shop, module: none, interval: 5s, targets: [{url: "a.test:1"}]}
- {name: b, service: shop, module: long, interval: 5s, targets: [{url: "http://a.test"}]}
- {name: c, service: shop, module: long, interval: 3s, overlap: 2, targets: [{url: "http://a.test"}]}
- {name: d, service: shop, module: long, interval: 6s, file_sd: {files: [none.yml, found.yml]}, http_sd: {url: "http://a.test/?x", http_config: {authorization: {credentials: topsecret}}}}
services: [{name: shop, owner: team}]
`, "open.token": "x", "shut.token": "x", "found.yml": "- targets: ['ftp://a.test']"})
	for name, mode := range map[string]os.FileMode{"main.yml": 0o644, "open.token": 0o644} {
		if err := os.Chmod(filepath.Join(dir, name), mode); err != nil {
			t.Fatal(err)
		}
	}
	s, err := load(files{file: filepath.Join(dir, "main.yml")}, "")
	if err != nil {
		t.Fatal(err)
	}
	s.Modules["ping"], s.Modules["pong"] = probe.Module{Prober: "icmp"}, probe.Module{Prober: "icmp"}
	var got []string
	for _, m := range s.unwise(func() error { return errors.New("operation not permitted") }) {
		got = append(got, strings.ReplaceAll(m.String(), dir, "DIR"))
	}
	want := []string{
		`DIR/main.yml:11: module_files[0]: no file is named "none/*.yml"`,
		`DIR/main.yml:17: probes[3].file_sd.files: left out: DIR/found.yml: group 1, target 1: target: scheme is "ftp"; want http or https`,
		`DIR/main.yml:14: probes[0].module: module "none" has no timeout: a target that does not answer is a failure only after the whole interval of 5s`,
		`DIR/main.yml:15: probes[1].module: the timeout of 5s of module "long" is as long as the interval: a target that does not answer is probed with no pause`,
		`DIR/main.yml:12: prometheus.scrape.timeout: 10s, the default, is half of the scrape interval of 15s or more: it counts into every bound; a scrape takes milliseconds: write prometheus: {scrape: {timeout: 1s}} here, and the same for the job in Prometheus`,
		`DIR/main.yml:1: modules.ping.prober: no ping can be sent from here: operation not permitted`,
		`DIR/main.yml:8: modules.files.http.authorization.credentials_file: everybody may read DIR/open.token: chmod o-r`,
		`DIR/main.yml:9: modules.files.http.tls_config.ca_file: stat DIR/none.pem: no such file or directory: probes that need it fail`,
		`DIR/main.yml:9: modules.files.http.tls_config.insecure_skip_verify: no certificate is checked: an expired one, and one of somebody else, is no failure`,
		`DIR/main.yml:3: modules.long.http.valid_http_versions[1]: no answer has the version "h2"; want HTTP/1.0, HTTP/1.1 or HTTP/2.0`,
		`DIR/main.yml:3: modules.long.http.headers.Authorization: this secret stands in a file that everybody may read: chmod o-r, or name a file with the secret instead`,
		`DIR/main.yml:3: modules.long.http.basic_auth.password: this secret stands in a file that everybody may read: chmod o-r, or name a file with the secret instead`,
		`DIR/main.yml:17: probes[3].http_sd.http_config.authorization.credentials: this secret stands in a file that everybody may read: chmod o-r, or name a file with the secret instead`,
		`DIR/main.yml:12: prometheus.http_config.basic_auth.password: this secret stands in a file that everybody may read: chmod o-r, or name a file with the secret instead`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	// Unwise is not wrong.
	code, stdout, stderr := call(t, "check", "--config.file="+filepath.Join(dir, "main.yml"))
	if code != 0 || !strings.Contains(stdout, "main.yml:14: probes[0].module: warning: module") || !strings.Contains(stdout, " 4 probes, 3 targets and 3 sources of targets, 1 services\n") || strings.Contains(stdout, "topsecret") {
		t.Errorf("ended with %d: %s%s", code, stdout, stderr)
	}
}

func TestCheck_SaysOfADefaultThatItIsOne(t *testing.T) {
	const plain = `modules: {a: {prober: tcp, timeout: 1s}}
probes: [{name: p, service: s, module: a, interval: 2s, targets: [{url: "a.test:1"}]}]
services: [{name: s, owner: o}]
`
	for more, want := range map[string]string{
		"": ":1: prometheus.scrape.timeout: warning: 10s, the default, is half of the default scrape interval of 15s or more: it counts into every bound; a scrape takes milliseconds: write prometheus: {scrape: {timeout: 1s}} here",
		"prometheus: {evaluation: {interval: 1s}}":            ":4: prometheus.evaluation.delay: got 1s, the default, want less than the evaluation interval of 1s",
		"prometheus: {evaluation: {interval: 1s, delay: 1s}}": ":4: prometheus.evaluation.delay: got 1s, want less than the evaluation interval of 1s",
		"prometheus: {evaluation: {delay: 20s}}":              ":4: prometheus.evaluation.delay: got 20s, want less than the default evaluation interval of 15s",
		"prometheus: {scrape: {timeout: 20s}}":                ":4: prometheus.scrape.timeout: got 20s, want 0s to the default scrape interval of 15s",
		"prometheus: {scrape: {interval: 5s, timeout: 5s}}":   ":4: prometheus.scrape.timeout: warning: 5s is half of the scrape interval of 5s or more: it counts into every bound; a scrape takes milliseconds\n",
		"baselines: {default: {hold: 10m}}":                   ":4: baselines.default.hold: got 10m, want more than 15m",
	} {
		_, stdout, stderr := call(t, "check", "--config.file="+write(t, plain+more))
		if !strings.Contains(stdout+stderr, want) {
			t.Errorf("%s: no %q in %s%s", more, want, stdout, stderr)
		}
	}
	_, _, stderr := call(t, "check", "--config.file="+write(t, strings.Replace(plain, "owner: o", "owner: o, targets: {recover: 40m}", 1)))
	if !strings.Contains(stderr, "baselines.default.hold: got 30m, the default, want more than 45m") {
		t.Errorf("got %s", stderr)
	}
}

// blackbox_exporter starts with an empty file, too.
func TestCheck_AnEmptyFileIsUnwise(t *testing.T) {
	file := write(t, "")
	code, stdout, stderr := call(t, "check", "--config.file="+file)
	if code != 0 || stderr != "" || !strings.Contains(stdout, file+":1: modules: warning: there is none: nothing can be probed") {
		t.Errorf("ended with %d: %s%s", code, stdout, stderr)
	}
	if got := start(t, "--config.file="+file).get("/-/ready"); got != "Ready\n" {
		t.Errorf("got %s", got)
	}
}

func TestCheck_TakesOnlyForASecretWhatSoundsLikeOne(t *testing.T) {
	file := write(t, `modules:
  web:
    prober: http
    timeout: 1s
    http:
      headers: {Origin: topsecret, X-Plain: topsecret, X-Auth: topsecret, Cookie: topsecret, X-API-Key: topsecret, X-Author: topsecret}
      http_headers: {X-Plain: {secrets: [topsecret]}}
      oauth2: {client_id: c, client_secret: topsecret, token_url: "http://a.test/t", endpoint_params: {grant_type: topsecret, audience: topsecret, password: topsecret, subject_token_type: topsecret}}
      proxy_url: "http://a.test:1"
      proxy_connect_header: {X-Plain: [topsecret]}
  rpc: {prober: grpc, timeout: 1s, grpc: {metadata: {plain: [topsecret], token: [topsecret, topsecret]}}}
`)
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	s, err := load(files{file: file}, "")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range s.unwise(nil) {
		got = append(got, m.Path)
		if !strings.HasPrefix(m.Text, "this secret stands in a file that everybody may read") {
			t.Errorf("got %s", m)
		}
	}
	slices.Sort(got)
	if diff := cmp.Diff([]string{
		"modules.rpc.grpc.metadata.token[0]", "modules.rpc.grpc.metadata.token[1]",
		"modules.web.http.headers.Cookie", "modules.web.http.headers.X-API-Key", "modules.web.http.headers.X-Auth", "modules.web.http.http_headers.X-Plain.secrets[0]",
		"modules.web.http.oauth2.client_secret", "modules.web.http.oauth2.endpoint_params.password", "modules.web.http.proxy_connect_header.X-Plain[0]",
	}, got); diff != "" {
		t.Error(diff)
	}
	if code, stdout, stderr := call(t, "check", "--config.file="+file); code != 0 || strings.Contains(stdout+stderr, "topsecret") {
		t.Errorf("ended with %d: %s%s", code, stdout, stderr)
	}
	text, err := s.shown()
	if err != nil || strings.Contains(string(text), "topsecret") {
		t.Errorf("a value that may be a secret is shown: %s, %v", text, err)
	}
}

// answers is the API of a Prometheus: what it says of its targets and its
// configuration, and whether results have been renamed.
type answers struct {
	targets, config, renamed string
}

// api serves the answers of a Prometheus in which all else is as the file says.
func api(t *testing.T, file string, a answers) string {
	t.Helper()
	sys := runs(t, file)
	sys.paths["targets"], sys.queries[renamed(time.Second)] = `{"activeTargets":[`+a.targets+`]}`, a.renamed
	if sys.paths["status/config"] = ""; a.config != "" {
		sys.paths["status/config"] = `{"yaml":"scrape_configs: ` + a.config + `"}`
	}
	return sys.serve(t)
}

func TestCheck_ComparesWithThePrometheusThatRuns(t *testing.T) {
	const (
		good  = `{"scrapePool":"p","scrapeUrl":"http://a.test/x/metrics/probes","scrapeInterval":"1s","scrapeTimeout":"400ms","health":"up"}`
		honor = `[{job_name: p, honor_labels: true}]`
	)
	file := shortly(t)
	for name, c := range map[string]struct {
		answers  answers
		wrong    []string
		warnings []string
	}{
		"good":           {answers: answers{good, honor, ""}},
		"nobody scrapes": {answers{`{"scrapeUrl":"http://a.test/metrics"}`, honor, ""}, []string{"--prometheus.url: no target has the path /metrics/probes"}, nil},
		"slower": {answers{strings.NewReplacer(`"1s"`, `"5s"`, "400ms", "1s").Replace(good), honor, ""}, []string{
			`FILE:4: prometheus.scrape.interval: reckons with 1s, the job "p" has 5s: the bounds are too short`, `FILE:4: prometheus.scrape.timeout: reckons with 400ms, the job "p" has 1s: the bounds are too short`}, nil},
		"faster":             {answers{strings.Replace(good, "400ms", "200ms", 1), honor, ""}, nil, []string{`FILE:4: prometheus.scrape.timeout: warning: reckons with 400ms, the job "p" has 200ms`}},
		"labels not honored": {answers{good, `[{job_name: p}, {job_name: other}]`, ""}, []string{`--prometheus.url: the job "p" lacks honor_labels: true`}, nil},
		"labels renamed":     {answers{good, honor, `{"metric":{"job":"q"},"value":[1,"3"]}`}, []string{`--prometheus.url: results of the job "q" carry labels exported_…`}, nil},
		"secretive":          {answers{good, "", ""}, nil, []string{"--prometheus.url: warning: honor_labels was not looked at: asking http://127.0.0.1:"}},
		"down":               {answers{strings.Replace(good, `"up"`, `"down","lastError":"refused"`, 1), honor, ""}, nil, []string{"--prometheus.url: warning: http://a.test/x/metrics/probes is down: refused"}},
	} {
		code, stdout, stderr := call(t, "check", "--config.file="+file, "--prometheus.url="+api(t, file, c.answers))
		if (code != 0) != (len(c.wrong) > 0) || strings.Contains(stdout, "warning: ") != (len(c.warnings) > 0) || !strings.Contains(stdout, "\nSERVICE ") {
			t.Errorf("%s: ended with %d: %s%s", name, code, stdout, stderr)
		}
		for _, text := range c.wrong {
			if !strings.Contains(strings.ReplaceAll(stderr, file, "FILE"), text) {
				t.Errorf("%s: no %q in %s", name, text, stderr)
			}
		}
		for _, text := range c.warnings {
			if !strings.Contains(strings.ReplaceAll(stdout, file, "FILE"), text) {
				t.Errorf("%s: no %q in %s", name, text, stdout)
			}
		}
	}
}

func TestCheck_APrometheusThatIsSilentIsAnErrorWhereItWasAskedFor(t *testing.T) {
	text := strings.NewReplacer("HOST", "127.0.0.1:1", "prometheus: {", `prometheus: {url: "http://me:topsecret@127.0.0.1:1", timeout: 1s, `).Replace(house)
	file := write(t, text)
	code, stdout, stderr := call(t, "check", "--config.file="+file)
	if code != 0 || !strings.Contains(stdout, file+":4: prometheus.url: warning: asking http://<secret>@127.0.0.1:1 for its targets: dial tcp 127.0.0.1:1") {
		t.Errorf("by the file: ended with %d: %s%s", code, stdout, stderr)
	}
	if strings.Contains(stdout+stderr, "topsecret") {
		t.Errorf("a secret is shown: %s%s", stdout, stderr)
	}
	code, stdout, stderr = call(t, "check", "--config.file="+file, "--prometheus.url=http://127.0.0.1:1")
	if code != 1 || !strings.Contains(stdout, "mistakes: 1; 2 modules") || !strings.HasPrefix(stderr, "--prometheus.url: asking http://127.0.0.1:1 for its targets: dial tcp") {
		t.Errorf("by the flag: ended with %d: %s%s", code, stdout, stderr)
	}
	if code, stdout, stderr := call(t, "--config.check", "--config.file="+file, "--observer=a"); code != 0 || strings.Contains(stdout, "asking") {
		t.Errorf("--config.check asked: %d: %s%s", code, stdout, stderr)
	}
	code, _, stderr = call(t, "check", "--config.file="+write(t, "prometheus: {url: 'ftp://me:topsecret@a.test'}\n"))
	if code != 1 || !strings.Contains(stderr, `:1: prometheus.url: got "ftp://<secret>@a.test", want http://host:port`) {
		t.Errorf("ended with %d: %s", code, stderr)
	}
}

func TestConfigCheck_RefusesWhatWouldNotStart(t *testing.T) {
	file, free := write(t, strings.ReplaceAll(house, "HOST", "127.0.0.1:1")), "--web.listen-address=127.0.0.1:0"
	web := "--web.config.file=" + write(t, "nonsense: 1\n")
	for _, args := range [][]string{{"--config.file=" + file}, {"--config.file=" + file, "--observer=c"}, {"--config.file=" + file, "--observer=a", web}} {
		ended, _, first := call(t, append(args, free)...)
		code, _, stderr := call(t, append(args, "--config.check")...)
		if ended != 1 || code != 1 || !strings.HasSuffix(first, stderr) || stderr == "" {
			t.Errorf("%v: serve ended with %d: %s\n--config.check with %d: %s", args, ended, first, code, stderr)
		}
	}
	if code, _, stderr := call(t, "check", "--config.file="+file); code != 0 {
		t.Errorf("check stands for all observers, and ended with %d: %s", code, stderr)
	}
}

func TestCheck_JSONHoldsTheSameFindings(t *testing.T) {
	var got struct {
		Errors, Warnings []finding
		Bounds           []bound
	}
	ask := func(file string, want int) {
		t.Helper()
		code, stdout, stderr := call(t, "check", "--json", "--config.file="+file)
		if code != want || stderr != "" || strings.Contains(stdout, "null") {
			t.Errorf("ended with %d: %s", code, stderr)
		}
		got.Errors = nil // else what is left out now keeps its value
		if err := json.Unmarshal([]byte(stdout), &got); err != nil {
			t.Fatal(err)
		}
	}
	file := write(t, strings.ReplaceAll(house, "HOST", "127.0.0.1:1"))
	ask(file, 0)
	if len(got.Errors) != 0 || len(got.Warnings) != 1 || got.Warnings[0].Path != "prometheus.scrape.timeout" || got.Warnings[0].Line != 4 {
		t.Errorf("got %+v", got)
	}
	loss := .21
	want := bound{
		"shop", "availability", "page", "shop-nodes", 60, 10.2, .1,
		[]term{{"P", 1}, {"d_p", .5}, {"(m-1)·P", 6}, {"S", 1}, {"d_s", .5}, {"E", 1}, {"d_e", .2}, {"Q", 0}, {"G", 0}, {"p·PT", 0}, {"t_wh", 0}},
		61, 7, &loss, "",
	}
	if diff := cmp.Diff(want, got.Bounds[0]); diff != "" {
		t.Error(diff)
	}
	file = write(t, "modulse: {}\n")
	ask(file, 1)
	if diff := cmp.Diff([]finding{{file, 1, "modulse", `unknown key; did you mean "modules"?`}}, got.Errors); diff != "" || len(got.Bounds) != 0 {
		t.Errorf("%s %+v", diff, got)
	}
	file += ".gone"
	ask(file, 1)
	if diff := cmp.Diff([]finding{{Text: "reading configuration: open " + file + ": no such file or directory"}}, got.Errors); diff != "" {
		t.Errorf("a file that is not there: %s", diff)
	}
}
