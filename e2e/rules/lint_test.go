package rules_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/onefiveten/onefiveten/rules/lint"
)

// ruleFiles are texts at the edge of what Prometheus takes, each the rest of a file
// behind the name of its first group, unless it begins with a key.
func ruleFiles() []string {
	return []string{
		"", "groups:", "groups: {}", "groups: [~]", "group: []", "groups: []\n---\ngroups: 5", "groups: [{rules: []}]", "groups: [a]", "- groups: []", "groups: [\n", "groups: []\ngroups: []",
		"  rules: [~]", "  rules: {}", "  rules: [[]]", "  rules:\n  - record: a\n  expr: b",
		"  interval: 5", "  interval: 5s", "  interval: ''", "  interval: ~", "  interval: -5s", "  interval: 1h30m", "  interval: [5s]", "  query_offset: 1m", "  query_offset: x",
		"  limit: 5", "  limit: 5.5", "  limit: x", "  limit: 1e3", "  labels: {a: b}", "  labels: {__name__: b}", "  labels: [a]", "  partial_response_strategy: warn", "  interval: 5s\n  interval: 6s",
		"  rules: []\n- name: g", "  rules: []\n- name: h", "  rules: []\n- name: ''", "  rules: [{record: a, expr: a}, {record: a, expr: b}]",
		"  rules: [{record: a, expr: 1}]", "  rules: [{record: a, expr: ''}]", "  rules: [{record: a}]", "  rules: [{expr: a}]", "  rules: [{record: a, alert: b, expr: c}]", "  rules: [{record: '', alert: '', expr: c}]",
		"  rules: [{record: 'a{b=\"c\"}', expr: a}]", "  rules: [{record: 'a b', expr: a}]", "  rules: [{record: a, expr: 'sum(a'}]", "  rules: [{record: a, expr: [a]}]", "  rules: [{record: a, expr: 'foo(a)'}]",
		"  rules: [{record: a, expr: 'rate(a)'}]", "  rules: [{record: a, expr: 'a[5m]'}]", "  rules: [{record: a, expr: '\"x\"'}]", "  rules: [{record: a, expr: '{}'}]", "  rules: [{record: a, expr: 'a == bool b == 1'}]", "  rules: [{record: a, expr: '1 == 1'}]",
		"  rules: [{record: a, expr: a, for: 1m}]", "  rules: [{record: a, expr: a, for: 0s}]", "  rules: [{record: a, expr: a, keep_firing_for: 1m}]", "  rules: [{record: a, expr: a, annotations: {b: c}}]", "  rules: [{record: a, expr: a, annotations: {}}]",
		"  rules: [{record: a, expr: a, labels: {b: '{{'}}]", "  rules: [{record: a, expr: a, labels: {'': b}}]", "  rules: [{record: a, expr: a, labels: {1: 2}}]", "  rules: [{record: a, expr: a, labels: {b: ~}}]", "  rules: [{record: a, expr: a, labels: {b: [c]}}]", "  rules: [{record: a, expr: a, labels: {b: c, b: d}}]", "  rules: [{record: a, expr: a, labels: {'b-c': d}}]",
		"  rules: [{alert: a, expr: a > 1, for: 5}]", "  rules: [{alert: a, expr: a > 1, for: 5m, keep_firing_for: 1d}]", "  rules: [{alert: 'a b', expr: a > 1}]", "  rules: [{alert: a, expr: a > 1, severity: page}]", "  rules: [{alert: a, expr: a > 1, expr: b > 1}]",
		"  rules: [{alert: a, expr: a > 1, labels: {b: '{{'}}]", "  rules: [{alert: a, expr: a > 1, labels: {b: '{{ nothing }}'}}]", "  rules: [{alert: a, expr: a > 1, annotations: {b: '{{ end }}'}}]", "  rules: [{alert: a, expr: a > 1, annotations: {'': c}}]", "  rules: [{alert: a, expr: a > 1, annotations: {__name__: c}}]",
		"  rules: [{alert: a, expr: a > 1, annotations: {b: '{{ $labels.x | humanizeTimestamp | toTime | safeHtml }} {{ urlQueryEscape \"x\" }} {{ $externalURL }}'}}]", "  rules: [{alert: a, expr: a > 1, annotations: {b: '{{ $nothing }}'}}]", "  rules: [{alert: a, expr: a > 1, annotations: {b: '{{ tmpl \"x\" . }}'}}]", "  rules: [{alert: a, expr: a > 1, annotations: {b: '{{ define \"x\" }}{{ end }}'}}]",
		"  rules: [{alert: a, expr: 'mad_over_time(a[5m]) > 1'}]", "  rules: [{alert: a, expr: 'limitk(1, a) > 1'}]", "  rules: [{alert: a, expr: 'rate(a[1m+1m]) > 1'}]", "  rules: [{alert: a, expr: 'a > fill(0) b'}]", "  rules: [{alert: a, expr: 'info(a) > 1'}]", "  rules: [{alert: a, expr: 'max_of(1, 2) > bool 1'}]", "  rules: [{alert: a, expr: 'rate(a[5m] smoothed) > 1'}]", "  rules: [{alert: a, expr: '{\"b.c\"} > 1'}]", "  rules: [{alert: a, expr: 'a > 5m'}]", "  rules: [{alert: a, expr: 'a @ start() > 1'}]",
		"  rules:\n  - &a {alert: a, expr: a > 1}\n  - <<: *a\n    alert: b", "  rules:\n  - &a {alert: a, expr: a > 1, x: y}\n  - <<: *a", "  rules:\n  - {alert: a, expr: &e a > 1, labels: &l {b: c}}\n  - {alert: b, expr: *e, labels: *l}", "  rules:\n  - {alert: a, expr: a > 1, labels: &l {b: c}}\n  - {alert: b, expr: a > 1, labels: {<<: *l, d: e}}", "  rules: [{alert: a, expr: *nothing}]",
		"  rules: [{record: a, expr: !!binary YQ==}]", "  rules: [{record: a, expr: !!int x}]", "  rules: [{record: 5, expr: a}]", "  rules: [{record: true, expr: a}]", "\trules: []",
	}
}

// What promtool refuses the lint refuses, and what it takes the lint takes as far as
// the form goes.
func TestLint_RefusesWhatPromtoolRefuses(t *testing.T) {
	promtool := find(t, "build").Promtool
	refused := 0
	for _, text := range ruleFiles() {
		if strings.HasPrefix(text, "  ") || strings.HasPrefix(text, "\t") {
			text = "groups:\n- name: g\n" + text + "\n"
		}
		file := filepath.Join(t.TempDir(), "rules.yml")
		put(t, file, []byte(text))
		out, ok := run(t, promtool.Path, "check", "rules", file)
		i := slices.IndexFunc(lint.Check([]lint.File{{Name: file, Data: []byte(text)}}, lint.Options{}), func(f lint.Finding) bool {
			return f.Severity == lint.Error && (f.Check == lint.Syntax || f.Check == lint.Experimental)
		})
		if ok != (i < 0) {
			t.Errorf("promtool %s takes it: %t, the lint: %t\n%s\n%s", promtool.Version, ok, i < 0, text, out)
		}
		if !ok {
			refused++
		}
	}
	if all := len(ruleFiles()); refused < all/3 || refused > all*2/3 {
		t.Errorf("promtool refused %d of %d, want some of both", refused, all)
	}
}
