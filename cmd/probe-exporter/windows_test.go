package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"

	"github.com/onefiveten/onefiveten/collector"
	"github.com/onefiveten/onefiveten/rules"
)

// slowShop is probed, scraped and evaluated once a minute.
const slowShop = `
modules: {web: {prober: http, timeout: 10s}}
prometheus: {url: "http://127.0.0.1:1", scrape: {interval: 60s, timeout: 10s}, evaluation: {interval: 60s, delay: 1s}}
alertmanager: {group_wait: 30s}
observers: [a, b]
services: [{name: shop, owner: team-shop, severity: SEVERITY}]
probes: [{name: shop-nodes, service: shop, module: web, interval: 60s, targets: [{url: "http://127.0.0.1:1", labels: {node: n1}}]}]
signals: [{name: errors, service: shop, expr: "max by (node) (rate(errors_total[5m]))", interval: 60s, scrape_interval: 60s}]
`

// severe is a configuration of a severity, as settings.
func severe(t *testing.T, text, severity string) (*settings, error) {
	t.Helper()
	return load(files{file: write(t, strings.Replace(text, "SEVERITY", severity, 1))}, "a")
}

func TestWindows_ASlowShopKeepsTheTargetsOfP3AndNotThoseOfP1(t *testing.T) {
	s, err := severe(t, slowShop, "P3")
	if err != nil {
		t.Fatal(err)
	}
	bounds := rules.Prove(s.spec())
	if len(bounds) != 3 {
		t.Fatalf("got %d bounds, want those of availability, of latency and of the query", len(bounds))
	}
	for _, b := range bounds {
		if b.Refusal != "" || b.Total > b.Target || b.Mode == "page" && b.Target != 5*time.Minute {
			t.Errorf("%s: bound %s, target %s, refused: %q", b.Signal, b.Total, b.Target, b.Refusal)
		}
	}
	for _, severity := range []string{"P1", "P2", "page", "ticket"} {
		if _, err := severe(t, slowShop, severity); err == nil || !strings.Contains(err.Error(), "services[0].signals.availability: probe \"shop-nodes\"") {
			t.Errorf("%s: got %v, want availability refused", severity, err)
		}
	}
	for _, severity := range []string{"P4", "P5"} {
		if _, err := severe(t, slowShop, severity); err != nil {
			t.Errorf("%s: %v", severity, err)
		}
	}
}

// mixed has services of two severities, at the timing of the demo.
const mixed = `
modules: {tcp: {prober: tcp, timeout: 1s}}
prometheus: {scrape: {interval: 5s, timeout: 1s}, evaluation: {interval: 5s, delay: 1s}}
services: [{name: shop, owner: o, severity: P1}, {name: mail, owner: o, severity: P3}]
probes:
- {name: shop, service: shop, module: tcp, interval: 5s, targets: ["127.0.0.1:1"]}
- {name: mail, service: mail, module: tcp, interval: 5s, targets: ["127.0.0.1:2"]}
`

func TestWindows_EachSeverityHasAGroupOfRulesWithItsTargets(t *testing.T) {
	s, err := load(files{file: write(t, mixed)}, "a")
	if err != nil {
		t.Fatal(err)
	}
	made, _, err := rules.Generate(s.spec())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, name := range slices.Sorted(maps.Keys(made)) {
		if strings.HasPrefix(name, "rules/") {
			names = append(names, name)
		}
	}
	want := []string{"rules/onefiveten-P1-node.yml", "rules/onefiveten-P3-node.yml", "rules/onefiveten-watchers.yml"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Error(diff)
	}
	for _, severity := range []string{"P1", "P3"} {
		text := string(made["rules/onefiveten-"+severity+"-node.yml"])
		for _, part := range []string{"name: onefiveten:" + severity + "-node", "rule_set: " + severity + "-node", `severity="` + severity + `"`, "severity: " + severity} {
			if !strings.Contains(text, part) {
				t.Errorf("the rules of %s have no %s", severity, part)
			}
		}
	}
	for service, targets := range map[string][2]time.Duration{"shop": {5 * time.Minute, 10 * time.Minute}, "mail": {30 * time.Minute, time.Hour}} {
		for alert, target := range map[string]time.Duration{"FaultNotLocated": targets[0], "RecoveryOverdue": targets[1]} {
			// A fault of a test begins at 1m or with the first sample after it.
			if at := firstFiring(t, made[rules.TestsFile], service, alert); at < time.Minute+target || at > time.Minute+target+30*time.Second {
				t.Errorf("%s of %s fires first at %s, want about 1m and %s", alert, service, at, target)
			}
		}
	}
}

// firstFiring is the earliest moment at which a generated test wants an alert of a
// service to fire.
func firstFiring(t *testing.T, tests []byte, service, alert string) time.Duration {
	t.Helper()
	var file struct {
		Tests []struct {
			Checks []struct {
				At   model.Duration `yaml:"eval_time"`
				Want []struct {
					Labels string `yaml:"labels"`
				} `yaml:"exp_samples"`
			} `yaml:"promql_expr_test"`
		} `yaml:"tests"`
	}
	if err := yaml.Unmarshal(tests, &file); err != nil {
		t.Fatal(err)
	}
	first := time.Duration(1<<63 - 1)
	for _, test := range file.Tests {
		for _, c := range test.Checks {
			for _, w := range c.Want {
				if strings.Contains(w.Labels, fmt.Sprintf("alertname=%q", alert)) && strings.Contains(w.Labels, fmt.Sprintf("service=%q", service)) {
					first = min(first, time.Duration(c.At))
				}
			}
		}
	}
	return first
}

// metals are windows of a user, for services of severity gold and tin.
const metals = `signals:
  availability: {mode: page, fault_window: 1m, floor: .05, max_cap: .2, min_anomalies: 2, k_e: 3, clear: 3}
  latency: {mode: ticket, detect: 4m, fault_window: 3m, floor: .55, max_cap: .6, min_anomalies: 3, k_e: 3, clear: 3}
  query: {mode: ticket, detect: 5m, fault_window: 3m, floor: .55, max_cap: .6, min_anomalies: 3, k_e: 3, clear: 3}
severities:
  gold: {targets: {detect: 45s, locate: 2m, recover: 3m}, baseline: {window: 40m, hold: 10m}}
  tin: {targets: {detect: 10m, locate: 1h, recover: 2h}, baseline: {window: 5h, hold: 130m}}
`

// smith is a configuration that names them.
var smith = "windows_file: own/windows.yml\n" + strings.NewReplacer("P1", "gold", "P3", "tin").Replace(strings.TrimPrefix(mixed, "\n"))

func TestWindows_AFileTakesThePlaceOfThoseThatAreBuiltIn(t *testing.T) {
	dir := folder(t, map[string]string{"conf.d/a.yml": smith, "conf.d/own/windows.yml": metals})
	s, err := load(files{dir: filepath.Join(dir, "conf.d")}, "a")
	if err != nil {
		t.Fatal(err)
	}
	spec := s.spec()
	if got, want := fmt.Sprint(spec.Services[0].Detect, spec.Services[1].Recover, spec.Services[0].Signals[1].Detect), "45s 2h0m0s 4m0s"; got != want {
		t.Errorf("got targets %s, want %s", got, want)
	}
	if b := rules.Prove(spec)[0]; b.Cap != .2 {
		t.Errorf("the cap of %s is solved to %v, want the max_cap of .2", b.Signal, b.Cap)
	}
	text, err := s.shown()
	if err != nil {
		t.Fatal(err)
	}
	of, shown, found := strings.Cut(string(text), "---\n")
	if !found || !strings.Contains(of, "severity: gold\n") || !strings.Contains(of, "detect: 45s\n") {
		t.Errorf("what is in force is not shown:\n%s", text)
	}
	rewrite(t, filepath.Join(dir, "conf.d/own/windows.yml"), shown)
	if again, err := load(files{dir: filepath.Join(dir, "conf.d")}, "a"); err != nil || !cmp.Equal(again.spec(), spec) {
		t.Errorf("the windows that are shown, as a file: %v", err)
	}
}

func TestWindows_MistakesOfTheFileComeWithTheOthers(t *testing.T) {
	wrong := strings.Replace(metals, "detect: 45s, locate: 2m", "detect: 45, locate: 2m", 1)
	wrong = strings.Replace(wrong, "clear: 3}\n  latency", "clean: 3}\n  latency", 1)
	for name, c := range map[string]struct{ config, windows, want string }{
		"both": {strings.Replace(smith, "owner: o, severity: tin", "owner: '', severity: iron", 1), wrong, `c.yml:4: services[1].owner: no owner, want who answers for the service
c.yml:4: services[1].severity: got "iron", want one of gold, tin
own/windows.yml:2: signals.availability.clean: unknown key; did you mean "clear"?
own/windows.yml:2: signals.availability.clear: missing: want every key but detect
own/windows.yml:6: severities.gold.targets.detect: want a duration with its unit, such as 30s or 5m, got "45"`},
		"no YAML": {smith, "signals: {\n", "own/windows.yml:1: did not find expected node content"},
		"no file": {strings.Replace(smith, "own/windows", "windows", 1), metals, `c.yml:1: windows_file: no file is named "windows.yml"`},
		"no text": {strings.Replace(smith, "own/windows.yml", "[x]", 1), metals, "c.yml:1: windows_file: want a text, got a list"},
		"empty":   {smith, "", "own/windows.yml:1: severities: none, want at least one, such as page"},
	} {
		dir := folder(t, map[string]string{"c.yml": c.config, "own/windows.yml": c.windows})
		_, err := load(files{file: filepath.Join(dir, "c.yml")}, "a")
		if got := strings.ReplaceAll(fmt.Sprint(err), dir+"/", ""); !strings.Contains(got, c.want) || name == "both" && got != c.want {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, c.want)
		}
	}
}

func TestWindows_TheFileStandsInOneFile(t *testing.T) {
	dir := folder(t, map[string]string{"a.yml": smith, "b.yml": "windows_file: own/windows.yml\n", "own/windows.yml": metals})
	if _, err := load(files{dir: dir}, "a"); err == nil || !strings.Contains(err.Error(), "b.yml:1: windows_file: ") {
		t.Errorf("got %v, want the second one refused", err)
	}
}

func TestWindows_AReloadReadsTheFileAgain(t *testing.T) {
	dir := folder(t, map[string]string{"c.yml": smith, "own/windows.yml": metals})
	r := start(t, "--config.file="+filepath.Join(dir, "c.yml"))
	hash := regexp.MustCompile(`probe_exporter_config_hash_info\{hash="([0-9a-f]{16})"`)
	target := func() string {
		return regexp.MustCompile(`onefiveten_target_seconds\{service="shop",stage="recover"\} (\d+)`).FindString(r.get("/metrics/probes"))
	}
	before, old := hash.FindString(r.get("/metrics")), target()
	own := filepath.Join(dir, "own/windows.yml")
	rewrite(t, own, strings.Replace(metals, "recover: 3m", "recover: 4m", 1))
	r.ask("POST", "/-/reload")
	if now := hash.FindString(r.get("/metrics")); now == before || !strings.HasSuffix(old, " 180") || !strings.HasSuffix(target(), " 240") {
		t.Errorf("hash %s, then %s; %s, then %s, want another hash, 180 and 240", before, now, old, target())
	}
	rewrite(t, own, strings.Replace(metals, "recover: 3m", "recover: 1m", 1))
	r.ask("POST", "/-/reload")
	if now := target(); !strings.HasSuffix(now, " 240") {
		t.Errorf("a file with a mistake is in force: %s", now)
	}
}

func TestWindows_ThoseThatAreBuiltInArePrinted(t *testing.T) {
	code, stdout, stderr := call(t, "windows")
	if code != 0 || stdout != collector.WindowsFile || stderr != "" {
		t.Errorf("got exit code %d, %s\n%s", code, stderr, stdout)
	}
	dir := folder(t, map[string]string{"c.yml": "windows_file: windows.yml\n" + strings.TrimPrefix(mixed, "\n"), "windows.yml": stdout})
	whole, err := load(files{file: filepath.Join(dir, "c.yml")}, "a")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "windows.yml")); err != nil {
		t.Fatal(err)
	}
	rewrite(t, filepath.Join(dir, "c.yml"), mixed)
	if built, err := load(files{file: filepath.Join(dir, "c.yml")}, "a"); err != nil || !cmp.Equal(whole.spec(), built.spec()) {
		t.Errorf("what is printed, as a windows_file, is not what is built in: %v", err)
	}
}
