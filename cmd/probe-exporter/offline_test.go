package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/onefiveten/onefiveten/probe"
)

func TestCheck_PrintsTheBounds(t *testing.T) {
	file := write(t, strings.ReplaceAll(house, "HOST", "127.0.0.1:1"))
	for _, args := range [][]string{{"check", "--config.file=" + file}, {"--config.check", "--config.file=" + file, "--observer=b"}} {
		code, stdout, stderr := call(t, args...)
		want := file + `: no mistakes; 2 modules, 2 probes, 2 targets, 1 services
` + file + `:4: prometheus.scrape.timeout: warning: 500ms is half of the scrape interval of 1s or more: it counts into every bound; a scrape takes milliseconds

SERVICE  SIGNAL        MODE    PROBE       TARGET  BOUND   N    M    CAP  LOSS FOUND  TERMS
shop     availability  page    shop-nodes  60s     10.2s   61   7    0.1  21 %        P 1s + d_p 0.5s + (m-1)·P 6s + S 1s + d_s 0.5s + E 1s + d_e 0.2s
shop     latency       ticket  shop-nodes  180s    112.2s  181  109  0.6  68 %        P 1s + d_p 0.5s + (m-1)·P 108s + S 1s + d_s 0.5s + E 1s + d_e 0.2s
`
		if code != 0 || stderr != "" || !strings.HasPrefix(stdout, want) {
			t.Errorf("%v: ended with %d: %s\n%s", args, code, stderr, cmp.Diff(want, stdout))
		}
	}
	code, stdout, _ := call(t, "check", "--config.file="+write(t, "modules: {a: {prober: tcp}}\n"))
	if code != 0 || !strings.Contains(stdout, "no mistakes; 1 modules, 0 probes, 0 targets, 0 services\nNothing is probed on the own schedule: ") {
		t.Errorf("modules alone: ended with %d: %s", code, stdout)
	}
}

func TestCheck_PrintsAllMistakesAtOnce(t *testing.T) {
	file := write(t, `modules:
  web: {prober: http, http: {valid_status_code: [200], fail_if_body_matches_regexp: ["("]}}
  ping: {prober: websocket}
prometheus: {url: "http://127.0.0.1:9090", scrape: {interval: 5}}
alertmanager: {group_interval: 1s}
observers: [a, a]
probes:
- {name: p, service: shop, module: none, interval: 1s, targets: [{url: ""}]}
- {name: p, service: nobody, module: web, file_sd: {files: [x]}}
signals: [{name: queue}]
services:
- {name: shop, owner: team, dimensions: [zone], signals: {availability: {fault: {cap: 2}}}}
`)
	code, stdout, stderr := call(t, "check", "--config.file="+file, "--observer=c")
	want := `FILE:2: modules.web.http.fail_if_body_matches_regexp[0]: regular expression "(": error parsing regexp: missing closing ): ` + "`(`" + `
FILE:2: modules.web.http.valid_status_code: unknown key; did you mean "valid_status_codes"?
FILE:3: modules.ping.prober: "websocket" is known, not yet available; want dns, grpc, http, icmp, tcp or unix
FILE:4: prometheus.scrape.interval: want a duration with its unit, such as 30s or 5m, got "5"
FILE:5: alertmanager.group_interval: got 1s, want 10s or more: Alertmanager gives a delivery no less
FILE:6: observers: "c", the --observer of this exporter, is not listed: a, a
FILE:6: observers[1]: name "a" stands twice in observers
FILE:8: probes[0].module: "none" is not among the modules: ping, web
FILE:8: probes[0].targets[0].url: got "", want an address
FILE:9: probes[1].file_sd.files[0]: got "x", want a name that ends in .json, .yml or .yaml
FILE:9: probes[1].name: name "p" stands twice in probes
FILE:9: probes[1].service: "nobody" is not among the services
FILE:10: signals[0].expr: no expression
FILE:10: signals[0].service: no service, want the one that the signal is of
FILE:12: services[0].dimensions: got [zone], want node among them
FILE:12: services[0].signals.availability.fault.cap: got 2, want above 0 and below 1
probe-exporter: FILE has mistakes: 16
`
	if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(strings.ReplaceAll(stderr, file, "FILE"), "\n")); diff != "" || code != 1 || stdout != "" {
		t.Errorf("ended with %d, printed %s\n%s", code, stdout, diff)
	}
}

func TestAFileThatNobodyWroteByHandIsNotTakenIn(t *testing.T) {
	file := write(t, "")
	if err := os.Truncate(file, 16<<20+1); err != nil { // a hole: it takes no room
		t.Fatal(err)
	}
	code, _, stderr := call(t, "check", "--config.file="+file)
	if want := "probe-exporter: reading configuration: " + file + " is larger than 16 MiB\n"; code != 1 || stderr != want {
		t.Errorf("code %d, got:\n%swant:\n%s", code, stderr, want)
	}
}

func TestATargetThatItsModuleCannotProbeIsAMistake(t *testing.T) {
	file := write(t, strings.NewReplacer("http://HOST", "http://me:topsecret@127.0.0.1", `"HOST"`, `"localhost"`).Replace(house))
	code, _, stderr := call(t, "check", "--config.file="+file)
	want := strings.ReplaceAll(`FILE:8: probes[0].targets[0].url: target: the URL holds a user, which every result would show; want it in basic_auth of the module
FILE:9: probes[1].targets[0].url: target: missing port in address; want host:port
probe-exporter: FILE has mistakes: 2
`, "FILE", file)
	if code != 1 || stderr != want {
		t.Errorf("code %d, got:\n%swant:\n%s", code, stderr, want)
	}
}

func TestCheck_RefusesABoundThatCannotBeKept(t *testing.T) {
	text := strings.NewReplacer("HOST", "127.0.0.1:1", "scrape: {interval: 1s, timeout: 500ms}", "scrape: {interval: 55s}").Replace(house)
	file := write(t, text)
	for _, command := range []string{"check", "rules"} {
		out := filepath.Join(t.TempDir(), "out")
		args := []string{command, "--config.file=" + file}
		if command == "rules" {
			args = append(args, "--output.dir="+out)
		}
		code, _, stderr := call(t, args...)
		if code != 1 || !strings.Contains(stderr, "services[0].signals.availability") {
			t.Errorf("%s: ended with %d: %s", command, code, stderr)
		}
		if _, err := os.Stat(out); err == nil {
			t.Error("files were written")
		}
	}
}

// tree lists the files below a folder.
func tree(t *testing.T, dir string) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			name, _ := filepath.Rel(dir, path)
			names = append(names, filepath.ToSlash(name))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestRules_WritesAllFilesAndRemovesItsOldOnes(t *testing.T) {
	text := strings.ReplaceAll(house, "HOST", "127.0.0.1:1")
	out := filepath.Join(t.TempDir(), "deep", "out")
	code, stdout, stderr := call(t, "rules", "--config.file="+write(t, text), "--output.dir="+out)
	if code != 0 || stderr != "" || !strings.Contains(stdout, "10.2s") {
		t.Fatalf("ended with %d: %s%s", code, stdout, stderr)
	}
	all := []string{"alertmanager/alertmanager.example.yml", "alertmanager/route.yml", "bounds.txt", "rules/onefiveten-page-node.yml", "rules/onefiveten-watchers.yml", "tests/onefiveten_test.yml"}
	if diff := cmp.Diff(all, tree(t, out)); diff != "" {
		t.Error(diff)
	}
	// A person's own rules stay; those of a class that is gone do not.
	own := filepath.Join(out, "rules", "own.yml")
	rewrite(t, own, "groups: []\n")
	ticket := strings.Replace(text, "owner: team-shop,", "owner: team-shop, severity: ticket,", 1)
	code, stdout, stderr = call(t, "rules", "--config.file="+write(t, ticket), "--output.dir="+out, "--no-tests")
	if code != 0 || !strings.Contains(stdout, "removed "+filepath.Join(out, "rules", "onefiveten-page-node.yml")) {
		t.Fatalf("ended with %d: %s%s", code, stdout, stderr)
	}
	want := slices.Sorted(slices.Values([]string{"rules/onefiveten-ticket-node.yml", "rules/own.yml", all[0], all[1], all[2], all[4]}))
	if diff := cmp.Diff(want, tree(t, out)); diff != "" {
		t.Error(diff)
	}
}

func TestRules_SaysWhereItCannotWrite(t *testing.T) {
	file := write(t, strings.ReplaceAll(house, "HOST", "127.0.0.1:1"))
	code, _, stderr := call(t, "rules", "--config.file="+file, "--output.dir="+file)
	if code != 1 || !strings.Contains(stderr, "writing rules: mkdir "+file) {
		t.Errorf("ended with %d: %s", code, stderr)
	}
}

func TestRules_EqualForEveryObserver(t *testing.T) {
	file := write(t, strings.ReplaceAll(house, "HOST", "127.0.0.1:1"))
	read := func(observer ...string) string {
		out := t.TempDir()
		if code, _, stderr := call(t, append(observer, "rules", "--config.file="+file, "--output.dir="+out)...); code != 0 {
			t.Fatal(stderr)
		}
		var all strings.Builder
		for _, name := range tree(t, out) {
			text, err := os.ReadFile(filepath.Join(out, name))
			if err != nil {
				t.Fatal(err)
			}
			all.Write(text)
		}
		return all.String()
	}
	if one := read(); one != read("--observer=a") || one != read("--observer=b") {
		t.Error("the rules depend on the observer")
	}
}

func TestReplace_LeavesNoHalfFileBehind(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "rules.yml")
	for _, text := range []string{"first", "second"} {
		if err := replace(path, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != text {
			t.Errorf("got %q, %v", got, err)
		}
	}
	// A folder stands where the file should go.
	taken := filepath.Join(dir, "taken", "inner")
	if err := os.MkdirAll(taken, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := replace(filepath.Dir(taken), []byte("x")); err == nil {
		t.Error("a folder was replaced")
	}
	if diff := cmp.Diff([]string{"rules.yml"}, tree(t, dir)); diff != "" {
		t.Error(diff)
	}
}

func TestRules_StopsAtWhatItCannotRead(t *testing.T) {
	file := write(t, strings.ReplaceAll(house, "HOST", "127.0.0.1:1"))
	out := t.TempDir()
	if err := os.MkdirAll(filepath.Join(out, "rules", "folder.yml"), 0o700); err != nil {
		t.Fatal(err)
	}
	code, _, stderr := call(t, "rules", "--config.file="+file, "--output.dir="+out)
	if code != 1 || !strings.Contains(stderr, "looking for old rules: read ") {
		t.Errorf("ended with %d: %s", code, stderr)
	}
	if got := tree(t, out); got != nil {
		t.Errorf("files were written: %v", got)
	}
}

func TestCheck_TakesTheHostNameWhereNobodyIsListed(t *testing.T) {
	text := strings.Replace(strings.ReplaceAll(house, "HOST", "127.0.0.1:1"), "observers: [a, b]\n", "", 1)
	for _, observer := range []string{"", "--observer=anybody"} {
		args := []string{"check", "--config.file=" + write(t, text)}
		if observer != "" {
			args = append(args, observer)
		}
		if code, _, stderr := call(t, args...); code != 0 {
			t.Errorf("%s: ended with %d: %s", observer, code, stderr)
		}
	}
}

func TestCheck_ReadsFilesBesideTheConfiguration(t *testing.T) {
	file := write(t, "modules: {a: {prober: http, http: {body_file: body, tls_config: {ca_file: sub/ca.pem}}}}\n")
	s, err := load(files{file: file}, "")
	if err != nil {
		t.Fatal(err)
	}
	got := s.Modules["a"].HTTP
	dir := filepath.Dir(file)
	if got.BodyFile != filepath.Join(dir, "body") || got.HTTPClientConfig.TLSConfig.CAFile != filepath.Join(dir, "sub", "ca.pem") {
		t.Errorf("got %q and %q", got.BodyFile, got.HTTPClientConfig.TLSConfig.CAFile)
	}
}

func TestSettings_TellModulesApartByTheirText(t *testing.T) {
	version := func(text string) string {
		s, err := load(files{file: write(t, "modules: {a: "+text+"}\n")}, "")
		if err != nil {
			t.Fatal(err)
		}
		probers, err := s.probers(probe.NewNetwork())
		if err != nil {
			t.Fatal(err)
		}
		return s.modules(probers)["a"].Version
	}
	one := version("{prober: tcp}")
	if one == "" || one != version("{prober: tcp, tcp: {}}") || one == version("{prober: tcp, timeout: 1s}") || one == version("{prober: http}") {
		t.Error("versions do not follow the modules")
	}
}
