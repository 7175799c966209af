package rules_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// scored is the test of docs/examples/score.rules.yml: two observers, one of which
// saw an onset at the long level. What is expected is what people read.
const scored = `rule_files: [score.rules.yml]
evaluation_interval: 15s
tests:
- interval: 15s
  input_series:
  - {series: 'ksigma_score{job="probe",instance="n1",observer="a",service="shop",role="node",node="n1",signal="queue"}', values: '0 .818x10 0x10'}
  - {series: 'ksigma_score{job="probe",instance="n1",observer="b",service="shop",role="node",node="n1",signal="queue"}', values: '0x20'}
  - {series: 'ksigma_score_rarity{job="probe",instance="n1",observer="a",service="shop",role="node",node="n1",signal="queue"}', values: '.004x20'}
  - {series: 'ksigma_score_value{job="probe",instance="n1",observer="a",service="shop",role="node",node="n1",signal="queue",feature="long"}', values: '_ 180x10'}
  - {series: 'ksigma_score_mean{job="probe",instance="n1",observer="a",service="shop",role="node",node="n1",signal="queue",feature="long"}', values: '_ 100x10'}
  - {series: 'ksigma_score_stddev{job="probe",instance="n1",observer="a",service="shop",role="node",node="n1",signal="queue",feature="long"}', values: '_ 3.5x10'}
  - {series: 'ksigma_score_distance{job="probe",instance="n1",observer="a",service="shop",role="node",node="n1",signal="queue",feature="long"}', values: '_ 22.857x10'}
  - {series: 'ksigma_score_distance{job="probe",instance="n1",observer="b",service="shop",role="node",node="n1",signal="queue",feature="short"}', values: '.5x20'}
  alert_rule_test:
  - {eval_time: 0s, alertname: UnusualSignal, exp_alerts: []}
  - eval_time: 1m
    alertname: UnusualSignal
    exp_alerts:
    - exp_labels: {severity: ticket, service: shop, signal: queue, instance: n1, observer: a, job: probe, role: node, node: n1}
      exp_annotations:
        summary: 'queue of shop at n1 is unusual: score 0.82'
        description: 'The feature long was 180: 22.9 sigma from its mean of 100, sigma 3.5. As far off were 0.4% of all samples before.'
  - {eval_time: 4m, alertname: UnusualSignal, exp_alerts: []}
`

func TestScore_AnAlertCanNameFeatureMeanSigmaAndDistance(t *testing.T) {
	rules, err := os.ReadFile("../../docs/examples/score.rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	for _, generation := range generations {
		promtool := find(t, generation).Promtool
		t.Run(generation, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			put(t, filepath.Join(dir, "score.rules.yml"), rules)
			put(t, filepath.Join(dir, "test.yml"), []byte(scored))
			if out, ok := run(t, promtool.Path, "check", "rules", filepath.Join(dir, "score.rules.yml")); !ok {
				t.Errorf("promtool %s check rules:\n%s", promtool.Version, out)
			}
			if out, ok := run(t, promtool.Path, "test", "rules", filepath.Join(dir, "test.yml")); !ok {
				t.Errorf("promtool %s test rules:\n%s", promtool.Version, out)
			}
			// A test that passes whatever the text says would pass here, too.
			wrong := strings.Replace(scored, "22.9 sigma", "23.9 sigma", 1)
			put(t, filepath.Join(dir, "test.yml"), []byte(wrong))
			if out, ok := run(t, promtool.Path, "test", "rules", filepath.Join(dir, "test.yml")); ok || !strings.Contains(out, "22.9 sigma") {
				t.Errorf("promtool %s took a wrong text:\n%s", promtool.Version, out)
			}
		})
	}
}
