// Package rules_test holds the generated files against the real programs: the
// rules and their tests against promtool, the route against amtool, both of two
// generations.
package rules_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"

	"github.com/onefiveten/onefiveten/demo/stack"
	"github.com/onefiveten/onefiveten/rules"
	"github.com/onefiveten/onefiveten/sigma"
)

// generations are where the programs of both generations come from.
var generations = []string{"build", "debian"}

// find gives the programs of one generation; what cannot be had is a failure.
func find(t *testing.T, generation string) stack.Parts {
	t.Helper()
	parts, err := stack.Find(t.Context(), stack.Options{Which: generation})
	if err != nil {
		t.Fatal(err)
	}
	return parts
}

// write generates the files of a spec into a folder of their own.
func write(t *testing.T, s rules.Spec) string {
	t.Helper()
	files, _, err := rules.Generate(s)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, data := range files {
		put(t, filepath.Join(dir, name), data)
	}
	return dir
}

func put(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// run gives what a program says, and whether it was content.
func run(t *testing.T, program string, args ...string) (string, bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, program, args...).CombinedOutput()
	return string(out), err == nil
}

func seconds(s float64) model.Duration { return model.Duration(s * float64(time.Second)) }

// spec is a service with the shipped defaults: P, d_p, S = E and d_s in seconds.
func spec(name string, p, dp, s, ds float64, observers ...string) rules.Spec {
	spec := rules.Spec{Prometheus: rules.DefaultPrometheus(), Alertmanager: rules.DefaultAlertmanager(), Observers: observers}
	spec.Prometheus.Scrape = rules.Scrape{Interval: seconds(s), Timeout: seconds(ds)}
	spec.Prometheus.Evaluation = rules.Evaluation{Interval: seconds(s), Delay: seconds(min(1, s/5))}
	spec.Services = []rules.Service{{
		Name: name, Owner: "team-" + name, Severity: "page", Dimensions: []string{"node"},
		Detect: time.Minute, Locate: 5 * time.Minute, Recover: 10 * time.Minute,
		Signals: []rules.Signal{
			{Name: "availability", Mode: "page", Fault: sigma.Fault{Window: time.Minute, Floor: .05, MinAnomalies: 2, K: 3, Clear: 3}},
			{Name: "latency", Mode: "ticket", Detect: 3 * time.Minute, Fault: sigma.Fault{Window: 3 * time.Minute, Floor: .55, MinAnomalies: 3, K: 3, Clear: 3},
				Baseline: sigma.Baseline{Window: time.Hour, K: 3, MinSamples: 30, Direction: sigma.Upper, Hold: 30 * time.Minute}},
		},
		Probes: []rules.Probe{{Name: name + "-nodes", Role: "node",
			Interval: time.Duration(seconds(p)), Timeout: time.Duration(seconds(dp))}},
	}}
	return spec
}

// demo is the timing of the demo: everything every second, cap .1.
func demo() rules.Spec {
	s := spec("shop", 1, .5, 1, .5, "a")
	s.Alertmanager.GroupInterval = seconds(10)
	s.Services[0].Signals = s.Services[0].Signals[:1]
	s.Services[0].Signals[0].Fault.Cap = .1
	return s
}

// crowd has both severity classes, services of one timing and of another, an
// entry, and more observers than one group of rules holds.
func crowd() rules.Spec {
	s := spec("shop", 10, 3, 14, 2, "a", "b")
	for i := range 14 {
		s.Observers = append(s.Observers, fmt.Sprintf("far-%d", i))
	}
	bill := spec("bill", 10, 3, 14, 2).Services[0]
	bill.Severity = "ticket"
	bill.Probes = append(bill.Probes, rules.Probe{Name: "bill-entry", Role: "entry", Interval: 5 * time.Second, Timeout: time.Second})
	s.Services = append(s.Services, spec("pay", 10, 3, 14, 2).Services[0], bill)
	return s
}

// zones is located by groups of nodes, too, one of them named as nobody else would.
func zones() rules.Spec {
	s := spec("shop", 10, 3, 15, 2, "a", "b")
	s.Services[0].Dimensions = []string{"zone", "node", "az"}
	return s
}

func specs() map[string]rules.Spec {
	return map[string]rules.Spec{
		"demo":          demo(),
		"two observers": spec("shop", 5, 2, 5, 1, "a", "b"),
		"defaults":      spec("shop", 5, 2, 15, 10, "a"),
		"overlap":       spec("shop", 2, 5, 5, 1, "a", "b"),
		"odd intervals": spec("shop", 7, 3, 11, 2, "a", "b"),
		"hostile names": spec(`a"b\{{ $labels.x }}'`+"\n#: é", 10, 3, 15, 2, `a"b`, `{{ template }}`, "- x: [y"),
		"crowd":         crowd(),
		"zones":         zones(),
	}
}

func TestPromtool_AcceptsWhatIsGenerated(t *testing.T) {
	pass(t, specs(), "defaults", "zones", "hostile names")
}

// everything has both generations run the tests of every spec.
var everything = flag.Bool("everything", false, "run the tests of every spec on both generations")

// alike are specs whose tests differ in times alone from those of others. Their rules
// are checked, and their tests run with -everything.
var alike = []string{"two observers", "overlap", "with a range", "ticket", "both", "P2", "every 10s", "zones by scrapes"}

// pass has promtool of both generations take the rules of each spec, and run their
// tests: the newer one those of all that are not alike, the older one those of the
// specs that are named. Together they hold every kind of rule and of case; all of them
// would take longer than everything else takes together.
func pass(t *testing.T, specs map[string]rules.Spec, older ...string) {
	t.Helper()
	for name, s := range specs {
		for _, generation := range generations {
			t.Run(generation+"/"+name, func(t *testing.T) {
				t.Parallel()
				dir, promtool := write(t, s), find(t, generation).Promtool
				check(t, promtool, dir)
				if !*everything && (slices.Contains(alike, name) || generation == "debian" && !slices.Contains(older, name)) {
					return
				}
				start := time.Now()
				if out, ok := run(t, promtool.Path, "test", "rules", filepath.Join(dir, rules.TestsFile)); !ok {
					t.Errorf("promtool %s test rules:\n%.6000s", promtool.Version, out)
				}
				t.Logf("promtool %s: %s", promtool.Version, time.Since(start).Round(time.Millisecond))
			})
		}
	}
}

// check has promtool lint the rules: doubles are a failure there.
func check(t *testing.T, promtool stack.Program, dir string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, rules.RulesGlob))
	if err != nil || len(files) < 2 {
		t.Fatalf("got rule files %v, %v, want two or more", files, err)
	}
	if out, ok := run(t, promtool.Path, append([]string{"check", "rules"}, files...)...); !ok {
		t.Errorf("promtool %s check rules:\n%s", promtool.Version, out)
	}
}

// Groups of rules run in a random order in some versions; a test that depends on
// it fails in some runs only.
func TestPromtool_IsContentEveryTime(t *testing.T) {
	dir := write(t, spec("shop", 5, 2, 15, 5, "a", "b"))
	for _, generation := range generations {
		promtool := find(t, generation).Promtool
		for i := range 2 {
			t.Run(fmt.Sprint(generation, i), func(t *testing.T) {
				t.Parallel()
				if out, ok := run(t, promtool.Path, "test", "rules", filepath.Join(dir, rules.TestsFile)); !ok {
					t.Errorf("promtool %s:\n%s", promtool.Version, out)
				}
			})
		}
	}
}

func TestAmtool_AcceptsTheConfiguration(t *testing.T) {
	for _, generation := range generations {
		t.Run(generation, func(t *testing.T) {
			amtool := find(t, generation).Amtool
			out, ok := run(t, amtool.Path, "check-config", filepath.Join(write(t, demo()), rules.AlertmanagerFile))
			if !ok || !strings.Contains(out, "0 inhibit rules") || !strings.Contains(out, "2 receivers") {
				t.Errorf("amtool %s:\n%s", amtool.Version, out)
			}
		})
	}
}

// What is made for the receiver reaches it and goes on to people; the rest
// reaches people alone.
func TestAmtool_RoutesWhatHeals(t *testing.T) {
	for _, generation := range generations {
		t.Run(generation, func(t *testing.T) {
			amtool := find(t, generation).Amtool
			config := filepath.Join(write(t, demo()), rules.AlertmanagerFile)
			for labels, want := range map[string]string{
				"alertname=FaultDetected heal=true service=shop": "heal,people",
				"alertname=ProbeStale service=shop":              "people",
			} {
				args := append([]string{"config", "routes", "test", "--config.file=" + config}, strings.Fields(labels)...)
				if out, ok := run(t, amtool.Path, args...); !ok || !strings.HasSuffix("\n"+strings.TrimSpace(out), "\n"+want) {
					t.Errorf("amtool %s: %s goes to %q, want %q", amtool.Version, labels, out, want)
				}
			}
		})
	}
}
