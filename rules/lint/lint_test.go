package lint

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"
)

// many is a group of n rules.
func many(n int) string {
	var text strings.Builder
	text.WriteString("groups:\n- name: small\n  rules: []\n- name: big\n  rules:\n")
	for i := range n {
		fmt.Fprintf(&text, "  - {record: 'r%d:x', expr: x}\n", i)
	}
	return text.String()
}

func TestGroupSize_IsThatOfMimir(t *testing.T) {
	wants(t, told(Options{}, many(21)), `a.yml:4: group "big": warning: 21 rules, and Mimir takes 20 in a group unless it is told otherwise`)
	wants(t, told(Options{}, many(20)), "")
}

func TestInterval_IsNoLongerThanPrometheusLooksBack(t *testing.T) {
	const group = "groups:\n- rules: [{record: 'a:b', expr: x}]\n  name: slow\n  interval: %s\n"
	wants(t, told(Options{}, fmt.Sprintf(group, "5m1s")), `a.yml:4: group "slow": warning: the interval of 5m1s is longer than the 5m`)
	wants(t, told(Options{}, fmt.Sprintf(group, "5m")), "")
}

// records is a file that records two series, of which one has a label; reader is
// one that reads them.
const (
	recorder = `groups:
- name: records
  interval: 1m
  rules:
  - record: job:x:sum
    expr: sum by (job) (x)
  - record: job:y:sum
    labels: {set: one}
    expr: sum by (job) (y)
`
	reader2 = `groups:
- name: reads
  interval: 30s
  rules:
  - alert: High
    expr: |
      z > 3
      and on (job)
      # a comment
      %s > 4
`
)

func TestDependency_NamesBothPlaces(t *testing.T) {
	for selector, want := range map[string]string{
		`job:x:sum`:                           `b.yml:10: "High": warning: reads job:x:sum, which the group "records" records (a.yml:5): up to 1m old, and a unit test sees it or not at random; want both rules in one group (dependency)`,
		`{__name__="job:x:sum"}`:              `b.yml:10: "High": warning: reads job:x:sum, which the group "records" records (a.yml:5)`,
		`{__name__=~"job:x:.*"}`:              `b.yml:10: "High": warning: reads job:x:sum, which the group "records" records (a.yml:5)`,
		`job:y:sum{set="one"}`:                `b.yml:10: "High": warning: reads job:y:sum, which the group "records" records (a.yml:7)`,
		`max_over_time(job:x:sum[5m1s])`:      `b.yml:10: "High": warning: reads job:x:sum, which the group "records" records (a.yml:5)`,
		`job:x:sum + job:x:sum`:               `b.yml:10: "High": warning: reads job:x:sum, which the group "records" records (a.yml:5)`,
		`ALERTS_FOR_STATE{alertname="Other"}`: `b.yml:10: "High": warning: reads ALERTS_FOR_STATE, which is an evaluation late`,
		`job:y:sum{set="two"}`:                "",
		`job:x:mean`:                          "",
		`ALERTS_OF_OURS`:                      "",
		`{job=~".+"}`:                         "",
	} {
		t.Run(selector, func(t *testing.T) { wants(t, told(Options{}, recorder, fmt.Sprintf(reader2, selector)), want) })
	}
}

// What one group records and reads in this order costs nothing.
func TestDependency_WithinAGroupGoesByTheOrder(t *testing.T) {
	const group = `groups:
- name: g
  rules:
  - {record: 'a:b', expr: %s}
  - {record: 'c:d', expr: 'sum(x)'}
  - {alert: A, expr: 'c:d > 1'}
`
	wants(t, told(Options{}, fmt.Sprintf(group, "c:d")), `a.yml:4: "a:b": warning: reads c:d, which this group records further down (a.yml:5)`)
	for _, past := range []string{"c:d offset 15s", "'last_over_time(c:d[14s500ms])'", "a:b", "y"} {
		wants(t, told(Options{}, fmt.Sprintf(group, past)), "")
	}
}

// The queries of a template are read where they can be seen.
func TestDependency_IsSeenInTemplates(t *testing.T) {
	const alert = `groups:
- name: g
  rules:
  - alert: A
    expr: z > 1
    annotations:
      summary: |-
        first
        %s
`
	found := `b.yml:9: "A": warning: annotation summary reads job:x:sum, which the group "records" records (a.yml:5)`
	for template, want := range map[string]string{
		`{{ query "job:x:sum" | first | value }}`:                                                found,
		`{{ with printf "max(job:x:sum{job=%q})" $labels.job | query }}{{ . }}{{ end }}`:         found,
		`{{ range query (printf "job:x:sum{job='%s'}" .Labels.job) }}{{ .Value }}{{ end }}`:      found,
		`{{ if "job:x:sum" | query }}x{{ end }}`:                                                 found,
		`{{ with printf "job:y:sum{set=%q}" $labels.set | query }}{{ . }}{{ end }}`:              strings.Replace(found, "job:x:sum", "job:y:sum", 1),
		`{{ query "job:y:sum{set=\"two\"}" }}`:                                                   "",
		`{{ with printf "max_over_time(job:x:sum[%s])" $labels.range | query }}{{ . }}{{ end }}`: "",
		`{{ $q := "job:x:sum" }}{{ query $q }}`:                                                  "",
		`job:x:sum`:                                                                              "",
		`{{ query "sum(" }}`:                                                                     `b.yml:9: "A": error: annotation summary: parsing the query: 1:5: parse error: unclosed left parenthesis (syntax)`,
	} {
		t.Run(template, func(t *testing.T) {
			got := told(Options{}, recorder, fmt.Sprintf(alert, template))
			if strings.Contains(want, "job:y:sum") {
				want = strings.Replace(want, "a.yml:5", "a.yml:7", 1)
			}
			wants(t, got, want)
		})
	}
}

func TestComparison_IsMissedWhereNoValueEndsTheAlert(t *testing.T) {
	const missing = `a.yml:5: "A": warning: no comparison can make the expression empty`
	for expr, want := range map[string]string{
		`up`:                                    missing,
		`up == bool 0`:                          missing,
		`up == 0 or node`:                       missing,
		`up or vector(0) > 5`:                   missing,
		`vector(scalar(up == 0))`:               missing,
		`rate(e[5m]) * 2`:                       missing,
		`a and b`:                               missing,
		`max(a)`:                                missing,
		`max_over_time(a[5m])`:                  missing,
		`-a`:                                    missing,
		`vector(1)`:                             "",
		`absent(up)`:                            "",
		`absent_over_time(up[5m])`:              "",
		`up == 0`:                               "",
		`sum(up == 0)`:                          "",
		`a unless b`:                            "",
		`up == 0 or a > 1`:                      "",
		`a and b > 1`:                           "",
		`a * on (job) (b > 1)`:                  "",
		`(a > bool 1) == 1`:                     "",
		`max_over_time((a > 1)[5m:])`:           "",
		`label_replace(a < 1, "b", "", "", "")`: "",
		`-(a > 1)`:                              "",
		`count(a > bool 1) > 2`:                 "",
		`ALERTS{alertstate="firing"}`:           `a.yml:5: "A": warning: reads ALERTS`,
	} {
		t.Run(expr, func(t *testing.T) { wants(t, told(Options{}, alerting(expr)), want) })
	}
}

// A series that a rule of the files records is known: its expression may be empty,
// or the alert on it never ends.
func TestComparison_KnowsWhatIsRecorded(t *testing.T) {
	const group = `groups:
- name: g
  rules:
  - {record: 'a:fault:bool', labels: {set: one}, expr: '%s'}
  - alert: A
    expr: |
      (%s)
`
	for _, c := range []struct{ record, alert, want string }{
		{"x > bool 1", "a:fault:bool", `a.yml:7: "A": error: fires for every series of a:fault:bool, whatever its value: a.yml:4 records a value that is always there; want a comparison such as == 1 or > 0 (comparison)`},
		{"x", "max(a:fault:bool)", `a.yml:7: "A": warning: no comparison can make the expression empty`},
		{"a:fault:bool or x > 1", "a:fault:bool", `a.yml:7: "A": error: fires for every series`},
		{"x > 1", `a:fault:bool{set="two"}`, `a.yml:7: "A": warning: no comparison`},
		{"x > 1", "max(a:fault:bool)", ""},
		{"x > 1", `a:fault:bool{set="one"}`, ""},
		{"x > bool 1", "a:fault:bool == 1", ""},
		{"x > bool 1", "a:fault:bool > 0", ""},
		{"a:fault:bool unless x", "a:fault:bool", ""},
	} {
		wants(t, told(Options{}, fmt.Sprintf(group, c.record, c.alert)), c.want)
	}
}

func TestExperimental_IsOneFindingAndNoMistakeOfSyntax(t *testing.T) {
	const found = `a.yml:5: "A": error: experimental, Prometheus refuses it without its feature flag, and it may change or vanish: `
	for expr, want := range map[string]string{
		`mad_over_time(x[5m]) > 1`:       found + `function "mad_over_time" is not enabled (experimental)`,
		`ts_of_max_over_time(x[5m]) > 1`: found,
		`limitk(3, x) > 1`:               found,
		`rate(x[5m + 1m]) > 1`:           `a.yml:5: "A": warning: arithmetic of durations, which only a recent Prometheus 3 takes without its feature flag: experimental duration expression is not enabled (experimental)`,
		`x > fill(0) y`:                  found,
		`increase(x[5m] anchored) > 1`:   found,
		`sort(x) > 1`:                    "",
		`max_over_time(x[5m]) > 1`:       "",
		`sum(mad_over_time(x[5m]) > 1`:   `a.yml:5: "A": error: parsing the expression: unclosed left parenthesis (syntax)`,
		`mad_over_time > 1`:              "",
	} {
		t.Run(expr, func(t *testing.T) { wants(t, told(Options{}, alerting(expr)), want) })
	}
}

func TestRangeEdge_IsFoundWhereTheDistanceIsKnown(t *testing.T) {
	// r:x is recorded by its own group every 15s.
	const own, chance = `a.yml:5: "r:x": error: `, `a.yml:5: "r:x": warning: `
	for expr, want := range map[string]string{
		`last_over_time(r:x[1m])`:                own + "last_over_time of 1m ends on a sample of r:x, which are 15s apart: Prometheus 3 holds 4 of them, Prometheus 2 5; want 59s500ms (range-edge)",
		`count_over_time(r:x[1m] offset 5s)`:     "",
		`count_over_time(r:x[55s] offset 5s)`:    own + "count_over_time of 55s ends on a sample of r:x, which are 15s apart: Prometheus 3 holds 3 of them, Prometheus 2 4",
		`changes(r:x[1m] offset 30s)`:            own,
		`rate(r:x[15s])`:                         own + "rate of 15s reads samples of r:x that are 15s apart: Prometheus 3 finds 1 of them and needs two; want 30s or more (range-edge)",
		`avg_over_time(s[1m])`:                   chance + "avg_over_time of 1m ends on a sample of s, which are 15s apart: Prometheus 3 holds 4 of them, Prometheus 2 5, in unit tests always",
		`rate(s[15s])`:                           chance,
		`count_over_time(s[5m:1m])`:              chance,
		`avg_over_time(s[5m:1m])`:                "",
		`sum_over_time(s[4m59s:1m])`:             "",
		`last_over_time(r:x[59s500ms])`:          "",
		`last_over_time(r:x[1m1s])`:              "",
		`rate(r:x[30s])`:                         "",
		`rate(r:x[1m])`:                          "",
		`rate(s[5m])`:                            "",
		`avg_over_time(s[1m] @ 60)`:              "",
		`quantile_over_time(0.5, s[1m59s500ms])`: "",
	} {
		t.Run(expr, func(t *testing.T) { wants(t, told(scraped, recording(expr)), want) })
	}
	wants(t, told(Options{}, recording(`avg_over_time(s[1m])`)), "") // nobody says how far apart they are

	// Those of another group are a minute apart, and lie between the instants of this one.
	wants(t, told(Options{}, recorder, recording(`avg_over_time(job:x:sum[5m])`)), `
b.yml:5: "r:x": warning: reads job:x:sum
b.yml:5: "r:x": warning: avg_over_time of 5m ends on a sample of job:x:sum, which are 1m apart: Prometheus 3 holds 5 of them, Prometheus 2 6, in unit tests always
`)
	// Nobody knows the distance of those that two groups record.
	wants(t, told(Options{}, recorder, strings.Replace(recorder, "1m", "30s", 1), recording(`avg_over_time(job:x:sum[5m])`)), `
c.yml:5: "r:x": warning: reads job:x:sum, which the group "records" records (a.yml:5)
c.yml:5: "r:x": warning: reads job:x:sum, which the group "records" records (b.yml:5)
`)
}

func TestKBound_IsFoundBeyondWhatTheWindowHolds(t *testing.T) {
	const never, groups = `a.yml:5: "A": error: `, `a.yml:5: "A": warning: `
	for expr, want := range map[string]string{
		// 1m59.5s at 15s holds 8 samples at most: the square root of 7 is 2.646.
		`x > avg_over_time(x[1m59s500ms]) + 3 * stddev_over_time(x[1m59s500ms])`:                      never + "1m59s500ms at 15s holds 8 samples at most, of which none is more than sqrt(n-1) = 2.646 standard deviations off: with k = 3 it can never fire",
		`x > stddev_over_time(x[1m59s500ms]) * 3 + avg_over_time(x[1m59s500ms]) + 5`:                  never,
		`avg_over_time(x[1m59s500ms]) - 2.7 * (stddev_over_time(x[1m59s500ms])) >= x`:                 never,
		`(x - avg_over_time(x[1m59s500ms])) / stddev_over_time(x[1m59s500ms] ) > 3 and y > 1`:         never,
		`abs(x - avg_over_time(x[1m59s500ms])) > 3 * clamp_min(stddev_over_time(x[1m59s500ms]), 0.1)`: never,
		`abs((x - avg_over_time(x[1m59s500ms])) / (stddev_over_time(x[1m59s500ms]) > 0)) > 3`:         "",
		`x > bool avg_over_time(x[1m59s500ms]) + 3 * stddev_over_time(x[1m59s500ms]) == 1`:            never,
		`x{a="b"} > avg_over_time(x{a="b"}[44s]) + 2 * stddev_over_time(x{a="b"}[44s])`:               never,
		`x > avg_over_time(x[2m16s]) + 3 * stddev_over_time(x[2m16s])`:                                never, // 10 samples, and the square root of 9
		`x >= avg_over_time(x[2m16s]) + 3 * stddev_over_time(x[2m16s])`:                               "",
		`x > avg_over_time(x[1m59s500ms]) + 2.6 * stddev_over_time(x[1m59s500ms])`:                    "",
		`x > avg_over_time(x[1h1s]) + 3 * stddev_over_time(x[1h1s])`:                                  "",
		`x > avg_over_time(x[1m59s500ms] offset 5m) + 3 * stddev_over_time(x[1m59s500ms] offset 5m)`:  "",
		`y > avg_over_time(x[1m59s500ms]) + 3 * stddev_over_time(x[1m59s500ms])`:                      "",
		`x > avg_over_time(x[1m59s500ms]) + 3 * stddev_over_time(x[1m59s500ms]) - 5`:                  "",
		`x > avg_over_time(y[1m59s500ms]) + 3 * stddev_over_time(x[1m59s500ms])`:                      "",
		`x > avg_over_time(x[1m59s500ms]) + y * stddev_over_time(x[1m59s500ms])`:                      "",
		`x > avg_over_time(x[1m59s500ms]) - 3 * stddev_over_time(x[1m59s500ms])`:                      "",
		`y > 1 and avg_over_time(y[1m59s500ms]) + 3 * stddev_over_time(y[1m59s500ms]) > 5`:            "",
		`x > on (job) group_left () (avg by (job) (x) + 3 * stddev by (job) (x))`:                     groups + "of n series none is more than sqrt(n-1) standard deviations off: k = 3 needs groups of 11 or more, and in smaller ones it never fires (k-bound)",
		`(x - on (job) group_left () avg by (job) (x)) / on (job) stddev by (job) (x) > 2`:            groups + "of n series none is more than sqrt(n-1) standard deviations off: k = 2 needs groups of 6 or more",
		`x > on (job) group_left () (avg by (zone) (x) + 3 * stddev by (job) (x))`:                    "",
		`x > on (job) group_left () (avg by (job) (x) + 0.9 * stddev by (job) (x))`:                   "",
	} {
		t.Run(expr, func(t *testing.T) {
			var got []string
			for _, f := range told(scraped, alerting(expr)) {
				if strings.HasSuffix(f, "("+KBound+")") {
					got = append(got, f)
				}
			}
			wants(t, got, want)
		})
	}
}

func TestLabelValue_IsOneThatStays(t *testing.T) {
	const alert = `groups:
- name: g
  rules:
  - alert: A
    expr: x > 1
    labels:
      job: '{{ $labels.job | toUpper }}'
      level: '%s'
    annotations: {value: '{{ $value }}'}
`
	const found = `a.yml:8: "A": error: the label level shows `
	for template, want := range map[string]string{
		`{{ $value }}`:                               found + "$value, which changes: each change is a new alert, group and episode; want it in an annotation (label-value)",
		`{{ .Value | humanize }}`:                    found + ".Value",
		`{{ printf "%.1f" $.Value }}`:                found + "$.Value",
		`{{ with query "up" }}x{{ end }}`:            found + "query",
		`{{ now }}`:                                  found + "now",
		`{{ $v := $value }}{{ $v }}`:                 found + "$value",
		`{{ if gt $value 9.0 }}a{{ end }}`:           `a.yml:8: "A": warning: the label level depends on $value`,
		`{{ if eq $labels.a "b" }}a{{ end }}`:        "",
		`{{ $labels.value }}{{ $externalLabels.a }}`: "",
		`value`: "",
	} {
		t.Run(template, func(t *testing.T) { wants(t, told(Options{}, fmt.Sprintf(alert, template)), want) })
	}
}

// What Prometheus refuses is told with its line, all at once.
func TestSyntax_TellsEveryMistake(t *testing.T) {
	const text = `groups:
- name: a
  interval: 5
  owner: me
  rules:
  - record: a:b
    alert: C
    expr: x
  - record: a-b
    expr: x
    for: 1m
  - alert: D
    expr: |
      a
        + sum(b
    labels: {a-b: c, __name__: d}
    for: 1 minute
  - alert: E
    expr: up == 0
    expr: up
    annotations: [a]
  - alert: F
  - alert: G
    expr: x > 1
    labels: {a: '{{ .Value'}
    annotations:
      b: "x\n {{ nothing }}"
      c: |-
        {{ if }}
- name: a
  limit: many
  rules: {}
- rules:
  - record: 'a{b="c"}'
    expr: x
version: 2
`
	wants(t, told(Options{}, text), `
a.yml:3: group "a": error: interval: want a duration such as 30s or 5m, got "5" (syntax)
a.yml:4: error: group: unknown key "owner", want name, interval, query_offset, limit, labels, rules (syntax)
a.yml:6: "a:b": error: want either record or alert, got record "a:b" and alert "C" (syntax)
a.yml:9: "a-b": error: a recording rule has no for, keep_firing_for or annotations (syntax)
a.yml:9: "a-b": warning: Prometheus before 3.0 refuses the name "a-b" of a metric (syntax)
a.yml:15: "D": error: parsing the expression: unclosed left parenthesis (syntax)
a.yml:16: "D": error: label: "__name__" is no name of one (syntax)
a.yml:16: "D": warning: label: Prometheus before 3.0 refuses the name "a-b" (syntax)
a.yml:17: "D": error: for: want a duration such as 30s or 5m, got "1 minute" (syntax)
a.yml:20: group "a": error: rule: the key "expr" stands twice (syntax)
a.yml:21: "E": error: reading YAML: cannot unmarshal !!seq into map[string]string (syntax)
a.yml:22: "F": error: no expr (syntax)
a.yml:25: "G": error: label a: parsing the template: unclosed action (syntax)
a.yml:27: "G": error: annotation b: parsing the template: function "nothing" not defined (syntax)
a.yml:29: "G": error: annotation c: parsing the template: missing value for if (syntax)
a.yml:30: error: group "a" stands in this file twice, first at line 2 (syntax)
a.yml:31: group "a": error: reading YAML: cannot unmarshal !!str`+" `many` "+`into int (syntax)
a.yml:32: group "a": error: rules: want a list (syntax)
a.yml:33: error: a group without a name (syntax)
a.yml:34: "a{b=\"c\"}": error: "a{b=\"c\"}" is no name of a metric (syntax)
a.yml:36: error: file: unknown key "version", want groups (syntax)
`)
	wants(t, told(Options{}, "groups: [\n", "", "a: &a [*a]\n<<: 5\n", "groups: []\n---\na: b\n"), `
a.yml:1: error: reading YAML: did not find expected node content (syntax)
b.yml: warning: no groups: Prometheus loads nothing from this file (syntax)
c.yml:1: error: file: unknown key "a", want groups (syntax)
c.yml:2: error: file: want a mapping of groups (syntax)
d.yml:2: warning: Prometheus reads the first document of a file alone: write one list of groups (syntax)
`)
}

func TestDuplicate_IsToldAsPromtoolDoes(t *testing.T) {
	const text = `groups:
- name: a
  rules:
  - {alert: A, expr: x > 1}
  - {alert: A, expr: x > 2, labels: {severity: page}}
  - {alert: A, expr: x > 3}
- name: b
  labels: {severity: page}
  rules:
  - {record: A, expr: x}
  - {alert: A, expr: x > 4}
`
	wants(t, told(Options{}, text, text), `
a.yml:6: "A": warning: the rule at line 4 has the same name and labels: give one of them a label that differs (duplicate)
a.yml:11: "A": warning: the rule at line 5 has the same name and labels
b.yml:6: "A": warning: the rule at line 4 has the same name and labels
b.yml:11: "A": warning: the rule at line 5 has the same name and labels
`)
}

// A comment right above a rule or a group turns checks off for it.
func TestIgnore_IsOfTheRuleOrTheGroup(t *testing.T) {
	const text = `groups:
# lint: ignore division
- name: a
  rules:
  # lint: ignore comparison, experimental
  # and why
  - {alert: A, expr: 'mad_over_time(a[5m])'}
  - {alert: B, expr: b}
  - {record: 'a:b', expr: b / c}
  # lint: ignore comparision syntax

  - {alert: C, expr: c}
  # lint: ignore syntax
  - {alert: D, expr: '('}
- name: b
  rules:
  - {record: 'b:b', expr: b / c}
`
	wants(t, told(Options{}, text), `
a.yml:8: "B": warning: no comparison
a.yml:12: "C": warning: no comparison
a.yml:13: "D": warning: no check that could be ignored is named "syntax", want one of duplicate, group-size, interval,
a.yml:14: "D": error: parsing the expression
a.yml:17: "b:b": warning: c may be 0
`)
}

// Aliases and merged mappings are what they stand for.
func TestRead_FollowsAliases(t *testing.T) {
	wants(t, told(Options{}, `groups:
- name: a
  rules:
  - &first
    alert: A
    expr: &e |
      x
    labels: &l {a: b}
  - <<: *first
    alert: B
    labels: {<<: *l, c: '{{ $value }}'}
  - {alert: C, expr: *e}
`), `
a.yml:7: "A": warning: no comparison
a.yml:7: "B": warning: no comparison
a.yml:7: "C": warning: no comparison
a.yml:11: "B": error: the label c shows $value
`)
}

// However an expression is written down, the line is that of its part.
func TestLine_IsThatOfThePart(t *testing.T) {
	for text, want := range map[string]int{
		"expr: |\n      a\n        + b\n      +\n\n      c / d > 1\n":       11,
		"expr: >-\n\n      a\n      + b + c /\n      d > 1\n":               10,
		"expr: a\n      + b\n      / d > 1\n":                               8,
		"expr: 'a{b=''c d''}\n\n      / d > 1'\n":                           8,
		"expr: \"a{b=\\\"c\\\"}\n\n      / d > 1\"\n":                       8,
		"expr: \"a{b='c'} /\\\n      d > 1\"\n":                             7,
		"expr: \"a\\n + b\\n / d > 1\"\n":                                   6,
		"expr: |2\n\n      a / # d\n      d > 1\n":                          9,
		"expr: &x |\n      a{b='é ü'} /\n\n\n      d > 1\n    labels: {}\n": 10,
	} {
		got := Check([]File{{"a.yml", []byte("groups:\n- name: g\n  interval: 15s\n  rules:\n  - alert: A\n    " + text)}}, Options{})
		if len(got) != 1 || got[0].Check != Division || got[0].Line != want {
			t.Errorf("%q: got %v, want a division at line %d", text, got, want)
		}
	}
}

// FuzzCheck: whatever stands in the files, they are judged, the same every time,
// and findings stand on lines that are there.
func FuzzCheck(f *testing.F) {
	for _, seed := range []string{recorder, fmt.Sprintf(reader2, "job:x:sum"), many(2), "groups:\n- name: a\n  rules: [&a {<<: *a}, *a]\n", "a: &a\n  <<: *a\n", "<<: [{groups: []}]\n",
		alerting("(x - avg_over_time(x[1m])) / stddev_over_time(x[1m]) > 3"), recording("sum(a / (b and b > 0)) % clamp(c, 1) or r:x{a!~'b'}"),
		alerting("rate(x[5m + step()]) / max_of(1, 2) > end() or info(x)"), recording("sum_over_time((a / b)[5m:] @ end() offset -1h)"),
		"groups:\n- name: a\n  rules:\n  - {alert: A, expr: \"a\\n/ b\", labels: {a: '{{ with printf \"%q\" .Value | query }}{{ else }}{{ end }}{{ define \"x\" }}{{ end }}{{ (query \"x\").A }}'}}\n",
	} {
		f.Add([]byte(seed), []byte(recorder))
	}
	f.Fuzz(func(t *testing.T, a, b []byte) {
		files := []File{{"a", a}, {"b", b}}
		o := Options{Scrape: 15 * time.Second, Evaluation: time.Minute}
		found := Check(files, o)
		for i, one := range Check(files, o) {
			if one != found[i] {
				t.Fatalf("got %v, and then %v", found[i], one)
			}
			// What ends a line of YAML is more than a newline.
			lines := 1 + len(regexp.MustCompile("[\n\r\u0085\u2028\u2029]").FindAll(map[string][]byte{"a": a, "b": b}[one.File], -1))
			if one.Line < 0 || one.Line > lines || one.Check == "" || one.Text == "" {
				t.Fatalf("got %+v of %d lines", one, lines)
			}
		}
	})
}

// Records that read each other many times over are looked at once each, and one
// that reads itself is no endless way.
func TestRecords_AreLookedAtOnceEach(t *testing.T) {
	var text strings.Builder
	text.WriteString("groups:\n- name: g\n  interval: 15s\n  rules:\n  - {record: 'r:0', expr: 'x + r:0'}\n")
	for i := range 200 {
		before := fmt.Sprintf("r:%d", i)
		fmt.Fprintf(&text, "  - {record: 'r:%d', expr: '%s'}\n", i+1, strings.Join([]string{before, before, before, before}, " * "))
	}
	text.WriteString("  - {alert: A, expr: 'r:200 and on () 1 / r:200 > 0'}\n  - {alert: B, expr: r:200}\n")
	nested := "x"
	for range 200 {
		nested = "(y and y > " + nested + ")"
	}
	text.WriteString("  - {alert: C, expr: 'x / " + nested + " < 1'}\n")
	wants(t, told(Options{}, text.String()), `
a.yml:2: group
a.yml:206: "A": warning: r:200 may be 0
a.yml:207: "B": error: fires for every series of r:200
`)
}
