package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// folder makes files of a test and gives the folder.
func folder(t *testing.T, texts map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range texts {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		rewrite(t, file, text)
	}
	return dir
}

// house in parts: modules, probes and services each in a file of their own.
func parts(t *testing.T, host string) string {
	t.Helper()
	lines := strings.SplitAfter(strings.ReplaceAll(house, "HOST", host), "\n")
	return folder(t, map[string]string{
		"conf.d/10-modules.yml": strings.Join(lines[:3], ""), "conf.d/20-rest.yaml": strings.Join(lines[3:6], "") + lines[6] + lines[7],
		"conf.d/30-services.yml": strings.Join(lines[9:], ""), "conf.d/40-entry.yml": "probes:\n" + lines[8],
		"conf.d/.hidden.yml": "nonsense", "conf.d/README": "nonsense",
	})
}

func TestFiles_AFolderIsOneConfiguration(t *testing.T) {
	host := site(t, fine)
	dir := filepath.Join(parts(t, host), "conf.d")
	t.Chdir(t.TempDir())
	code, stdout, stderr := call(t, "check", "--config.dir="+dir)
	if code != 0 || !strings.HasPrefix(stdout, dir+": no mistakes; 2 modules, 2 probes, 2 targets, 1 services\n") {
		t.Fatalf("ended with %d: %s%s", code, stdout, stderr)
	}
	r := start(t, "--config.dir="+dir, "--observer=a")
	r.eventually("/metrics/probes", `probe="shop-nodes"`, `probe="shop-entry"`)
	rewrite(t, filepath.Join(dir, "15-more.yml"), "modules: {more: {prober: tcp}}\n")
	if code, body := r.ask("POST", "/-/reload"); code != 200 {
		t.Fatal(body)
	}
	if got := r.get("/probe?module=more&target=" + host); !strings.Contains(got, "probe_success 1\n") {
		t.Errorf("the new file was not read: %s", got)
	}
}

func TestFiles_AMistakeStandsInItsFile(t *testing.T) {
	dir := parts(t, "127.0.0.1:1")
	conf := filepath.Join(dir, "conf.d")
	rewrite(t, filepath.Join(conf, "50-bad.yml"), `modules:
  tcp: {prober: tcp}
  http: {prober: htp}
probes:
- {name: shop-entry, service: shop, module: tcp, interval: 1s, targets: [{url: "127.0.0.1:1"}]}
- {name: other, service: nobody, module: none, interval: 1s, targets: [{url: "127.0.0.1:1"}]}
services:
- {name: shop, owner: me}
observers: [c]
`)
	main := filepath.Join(dir, "main.yml")
	rewrite(t, main, "module_files: [no.yml, 'x/*.yml', '[', 'mods/*']\n")
	if err := os.Mkdir(filepath.Join(dir, "mods"), 0o700); err != nil {
		t.Fatal(err)
	}
	rewrite(t, filepath.Join(dir, "mods", "m.yml"), "modules: {m: {prober: tcp}, tcp: {prober: icmp}}\nprobes: []\n")
	code, _, stderr := call(t, "check", "--config.file="+main, "--config.dir="+conf)
	want := `DIR/main.yml:1: module_files[0]: no file is named "no.yml"
DIR/main.yml:1: module_files[2]: got "[": syntax error in pattern
DIR/conf.d/50-bad.yml:2: modules.tcp: stands twice, first in DIR/conf.d/10-modules.yml:3
DIR/conf.d/50-bad.yml:3: modules.http.prober: unknown prober "htp"; want dns, grpc, http, icmp, tcp or unix
DIR/conf.d/50-bad.yml:5: probes[0].name: name "shop-entry" stands twice, first in DIR/conf.d/40-entry.yml:2
DIR/conf.d/50-bad.yml:6: probes[1].module: "none" is not among the modules: http, http_2xx, m, tcp
DIR/conf.d/50-bad.yml:6: probes[1].service: "nobody" is not among the services
DIR/conf.d/50-bad.yml:8: services[0].name: name "shop" stands twice, first in DIR/conf.d/30-services.yml:2
DIR/conf.d/50-bad.yml:9: observers: stands twice, first in DIR/conf.d/20-rest.yaml:3
DIR/mods/m.yml:1: modules.tcp: stands twice, first in DIR/conf.d/10-modules.yml:3
DIR/mods/m.yml:2: probes: want only modules in this file
probe-exporter: DIR/main.yml and DIR/conf.d has mistakes: 11
`
	if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(strings.ReplaceAll(stderr, dir, "DIR"), "\n")); diff != "" || code != 1 {
		t.Errorf("ended with %d\n%s", code, diff)
	}
}

func TestFiles_NamesAreRelativeToTheFileTheyStandIn(t *testing.T) {
	dir := folder(t, map[string]string{
		"main.yml":      "module_files: ['mods/*.yml', mods/b.yml]\nmodules: {a: {prober: http, http: {body_file: body}}}\nprometheus: {http_config: {basic_auth: {username: u, password_file: pass}}}\n",
		"mods/b.yml":    "modules: {b: {prober: http, http: {body_file: body}}}\n",
		"mods/main.yml": "modules: {c: {prober: http, http: {tls_config: {ca_file: ca.pem}}}}\n",
	})
	s, err := load(files{file: filepath.Join(dir, "main.yml")}, "")
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprint(s.Modules["a"].HTTP.BodyFile, " ", s.Modules["b"].HTTP.BodyFile, " ", s.Modules["c"].HTTP.HTTPClientConfig.TLSConfig.CAFile, " ", s.Prometheus.HTTPConfig.BasicAuth.PasswordFile)
	if want := strings.ReplaceAll("DIR/body DIR/mods/body DIR/mods/ca.pem DIR/pass", "DIR", dir); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestFiles_TheHashCoversAllOfThem(t *testing.T) {
	dir := folder(t, map[string]string{"a.yml": "module_files: [m/*]\n", "m/b.yml": "modules: {b: {prober: tcp}}\n"})
	f := files{file: filepath.Join(dir, "a.yml")}
	seen := map[string]string{}
	for _, step := range []struct{ what, file, text string }{
		{"before", "a.yml", "module_files: [m/*]\n"}, {"changed", "m/b.yml", "modules: {b: {prober: icmp}}\n"}, {"added", "m/c.yml", "modules: {}\n"}, {"renamed", "m/d.yml", ""},
	} {
		rewrite(t, filepath.Join(dir, step.file), step.text)
		if before, double := seen[f.fingerprint()]; double {
			t.Errorf("%s: the same as %s", step.what, before)
		}
		seen[f.fingerprint()] = step.what
	}
	if err := os.Remove(f.file); err != nil {
		t.Fatal(err)
	}
	if got := f.fingerprint(); !strings.Contains(got, "no such file") {
		t.Errorf("without the file: %s", got)
	}
}

func TestFiles_TheFileOfBlackboxExporterIsTakenWhereThereIsNoneOfOurs(t *testing.T) {
	t.Chdir(folder(t, map[string]string{"blackbox.yml": "modules:\n  http_2xx:\n    prober: http\n"}))
	r := start(t)
	if host := site(t, fine); !strings.Contains(r.get("/probe?target="+host), "probe_success 1\n") {
		t.Error("the module is not there")
	}
	if got := r.log.String(); !strings.Contains(got, `msg="there is no probe-exporter.yml: taking the file of blackbox_exporter" file=blackbox.yml`) {
		t.Errorf("the log does not say so: %s", got)
	}
	rewrite(t, "probe-exporter.yml", "modules: {ours: {prober: tcp}, two: {prober: tcp}}\n")
	for file, want := range map[string]string{"": "probe-exporter.yml: no mistakes; 2 modules", "--config.file=blackbox.yml": "blackbox.yml: no mistakes; 1 modules"} {
		if code, stdout, stderr := call(t, append([]string{"check"}, strings.Fields(file)...)...); code != 0 || !strings.HasPrefix(stdout, want) {
			t.Errorf("%s: ended with %d: %s%s", file, code, stdout, stderr)
		}
	}
	t.Chdir(t.TempDir())
	for arg, want := range map[string]string{
		"--config.file=": "--config.file: want the name of a file, got none", "--config.dir=.": "--config.dir: no file *.yml or *.yaml in .", "--config.dir=none": "--config.dir: open none: no such file", "--config.check": "open probe-exporter.yml: no such file",
	} {
		if code, _, stderr := call(t, arg); code != 1 || !strings.Contains(stderr, want) {
			t.Errorf("%s: ended with %d: %s", arg, code, stderr)
		}
	}
}

func TestAutoReload_TakesUpAChangeAndTellsAMistakeOnce(t *testing.T) {
	file := write(t, "modules: {a: {prober: tcp}}\n")
	r := start(t, "--config.file="+file, "--config.enable-auto-reload", "--config.auto-reload-interval=1")
	rewrite(t, file, "modules: {b: {prober: tcp}}\n")
	r.eventually("/config", "b:\n")
	rewrite(t, file, "modules: {c: {prober: none}}\n")
	r.eventually("/metrics", "probe_exporter_config_last_reload_successful 0\n")
	rewrite(t, file, "modules: {d: {prober: tcp}}\n")
	r.eventually("/config", "d:\n")
	if got := strings.Count(r.log.String(), "the configuration was not loaded"); got != 1 {
		t.Errorf("the mistake was told %d times", got)
	}
}

func TestAutoReload_LooksAtNoFileThatHasNotChanged(t *testing.T) {
	file := write(t, "modules: {a: {prober: none}}\n")
	var log safeBuffer
	e := (&app{stderr: &log, files: files{file: file, given: true}, logFormat: "logfmt", logLevel: "info", proberLevel: "info"}).exporter()
	if e.reload() == nil {
		t.Fatal("a bad file was loaded")
	}
	for range 3 {
		e.reloadChanged()
	}
	if got := strings.Count(log.String(), "\n"); got != 1 {
		t.Errorf("want one line:\n%s", &log)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		e.reloadChanged()
	}
	if got := strings.Count(log.String(), "\n"); got != 3 {
		t.Errorf("want two more:\n%s", log.String())
	}
}

func TestFiles_TargetsInFilesAreRelativeToo(t *testing.T) {
	dir := folder(t, map[string]string{"conf.d/a.yml": "modules: {tcp: {prober: tcp, timeout: 1s}}\n", "conf.d/b.yml": `probes:
- {name: one, service: s, module: tcp, interval: 5s, file_sd: {files: [t/*.yml]}}
- {name: two, service: s, module: tcp, interval: 5s, file_sd: {files: [t/*.json]}}
services: [{name: s, owner: o}]
`})
	s, err := load(files{dir: filepath.Join(dir, "conf.d")}, "")
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"t/*.yml", "t/*.json"} {
		if got := s.Probes[i].FileSD.Files[0]; got != filepath.Join(dir, "conf.d", want) {
			t.Errorf("got %s", got)
		}
	}
}
