package rules_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/onefiveten/onefiveten/rules"
)

// bySigma stands for the differential test in the place of a case.
const bySigma = "sigma"

// scrapedMutations are mistakes in what rules over scrapes reckon before the verdicts,
// by the signal whose rules they are in. What follows is that of the exporter's.
var scrapedMutations = []struct {
	signal string
	mutation
}{
	{"availability", mutation{"good ones are bad", "record: onefiveten:fault_probability", "- sum_over_time", "+ sum_over_time", bySigma}},
	{"availability", mutation{"the window is longer", "record: onefiveten:fault_probability", "clamp_min(count_over_time(probe_success{observer!=\"\",service!=\"\"}[1m4s500ms])", "clamp_min(count_over_time(probe_success{observer!=\"\",service!=\"\"}[2m4s500ms])", bySigma}},
	{"availability", mutation{"a first failure is all there is", "record: onefiveten:fault_probability", ", 12)", ", 1)", bySigma}},
	{"availability", mutation{"at the cap is above it", "record: onefiveten:ksigma_fault:fresh", "> bool on", ">= bool on", bySigma}},
	{"availability", mutation{"enough anomalies are too few", "record: onefiveten:ksigma_fault:fresh", ">= bool on", "> bool on", "worst phase of availability"}},
	{"availability", mutation{"a probe that hangs votes longer", "record: onefiveten:ksigma_fault:fresh", "max by (observer, probe) (probe_stale_after_seconds)", "2 * max by (observer, probe) (probe_stale_after_seconds)", "a probe hangs"}},
	{"availability", mutation{"no start", "record: onefiveten:fault_start", "probe_first_failure_timestamp_seconds{", "probe_last_failure_timestamp_seconds{", "one node is down"}},
	{"latency", mutation{"failures have a duration", "record: onefiveten:probe_duration_seconds:success", "(probe_success == 1)", "(probe_success >= 0)", bySigma}},
	{"latency", mutation{"the present one is in its own past", "record: onefiveten:probe_duration_seconds:mean", " offset 5s", "", bySigma}},
	{"latency", mutation{"too few are enough", "record: onefiveten:probe_duration_seconds:mean", "onefiveten_baseline_min_samples{rule_set=\"page-node-latency-1m-5m\"})", "onefiveten_baseline_min_samples{rule_set=\"page-node-latency-1m-5m\"}) - 5", bySigma}},
	{"latency", mutation{"of the population", "record: onefiveten:probe_duration_seconds:stddev", "* sqrt(", "* 0 + stddev_over_time(onefiveten:probe_duration_seconds:success{rule_set=\"page-node-latency-1m-5m\"}[4m59s500ms] offset 5s) * (", bySigma}},
	{"latency", mutation{"a threshold out of reach", "record: onefiveten:probe_duration_seconds:threshold", "* on (service) group_left () max by (service) (onefiveten_baseline_k", "* 1000 * on (service) group_left () max by (service) (onefiveten_baseline_k", bySigma}},
	{"latency", mutation{"nothing is an anomaly", "record: onefiveten:probe_anomaly", "* 0 + 1", "* 0", bySigma}},
	{"latency", mutation{"one slow node is no ticket", "alert: SignalFault", "> 0", "> 1", "one node is slow"}},
	{"latency", mutation{"half of the anomalies", "record: onefiveten:fault_probability", "((sum_over_time", "((0.5 * sum_over_time", bySigma}},
}

// Each mistake is seen by the case that is there for it, or by the differential test.
func TestPromQL_MutationsAreSeen(t *testing.T) {
	promtool := find(t, "build").Promtool
	compared, w := differences()[0].against(t, 0)
	played := scrapedOf(5, 2, 5, 1, "a", "b")
	played.Services[0].Signals = played.Services[0].Signals[:1]
	played.Services[0].Signals[0].Fault.Cap, played.Services[0].Signals[0].Fault.MinAnomalies = .1, 3
	for _, m := range scrapedMutations {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			s := played
			switch {
			case m.fails == bySigma:
				s = compared
			case m.signal == "latency":
				s = scrapedOf(5, 2, 5, 1, "a", "b")
			}
			files, _, err := rules.Generate(s)
			if err != nil {
				t.Fatal(err)
			}
			dir, made := t.TempDir(), 0
			for name, data := range files {
				if strings.Contains(name, "node-"+m.signal) {
					data = []byte(m.change(t, string(data)))
					made++
				}
				put(t, filepath.Join(dir, name), data)
			}
			if made != 1 {
				t.Fatalf("the mistake was made in %d files, want 1", made)
			}
			check(t, promtool, dir)
			args := []string{"test", "rules", w.write(t, dir)}
			if m.fails != bySigma {
				args = []string{"test", "rules", "--run", m.fails, filepath.Join(dir, rules.TestsFile)}
			}
			if out, ok := run(t, promtool.Path, args...); ok || !strings.Contains(out, "FAILED") {
				t.Errorf("%q does not see it:\n%.1000s", m.fails, out)
			}
		})
	}
}
