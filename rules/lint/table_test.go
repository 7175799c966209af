package lint

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// told are findings as lines, without the name of the file.
func told(o Options, texts ...string) []string {
	var files []File
	for i, text := range texts {
		files = append(files, File{Name: string(rune('a'+i)) + ".yml", Data: []byte(text)})
	}
	var all []string
	for _, f := range Check(files, o) {
		all = append(all, f.String())
	}
	return all
}

// wants holds findings against their expected beginnings, one a line.
func wants(t *testing.T, got []string, want string) {
	t.Helper()
	var short []string
	lines := strings.Split(strings.TrimSpace(want), "\n")
	if want == "" {
		lines = nil
	}
	for i, g := range got {
		if i < len(lines) && strings.HasPrefix(g, lines[i]) {
			g = lines[i]
		}
		short = append(short, g)
	}
	if diff := cmp.Diff(lines, short); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}

// alerting is a file of one alert, whose expression begins at line 5.
func alerting(expr string) string {
	return "groups:\n- name: g\n  interval: 15s\n  rules:\n  - {alert: A, expr: '" + strings.ReplaceAll(expr, "'", "''") + "'}\n"
}

// recording is the same of a record.
func recording(expr string) string {
	return strings.Replace(alerting(expr), "alert: A", "record: 'r:x'", 1)
}

var scraped = Options{Scrape: 15 * time.Second}

// expressions are one that must be found and those that look alike.
func TestDivision_IsFoundWhereItShows(t *testing.T) {
	const warning, infinite, poison = `a.yml:5: "r:x": warning: `, `a.yml:5: "A": warning: `, `a.yml:5: "r:x": error: `
	for expr, want := range map[string]string{
		`rate(e[5m]) / rate(t[5m])`:      warning + "rate(t[5m]) may be 0, and the result NaN or infinite: want (rate(t[5m]) > 0), or clamp_min (division)",
		`a % b`:                          warning + "b may be 0",
		`a / 0`:                          poison + "division by 0",
		`a / (count by (job) (b) - 1)`:   warning + "count by (job) (b) - 1 may be 0",
		`sum(a / b)`:                     poison + "b may be 0, and one NaN makes all of sum NaN: want (b > 0) (division)",
		`avg_over_time((a / b)[5m:15s])`: poison + "b may be 0, and one NaN makes all of avg_over_time NaN",
		`a / (b >= 0)`:                   warning,
		`a / clamp_min(b, 0)`:            warning,
		`a / (b > bool 0)`:               warning,
		`a / b and c > 0`:                warning,
		`a / (b or vector(0))`:           warning,
		`a / (b - 1)`:                    warning,
		`sum(e) / sum(t) != 0.5`:         warning,
		`a / (b != 0)`:                   "",
		`a / (b > 0)`:                    "",
		`a / (0 < b)`:                    "",
		`a / (b >= 1)`:                   "",
		`a / (b == 4)`:                   "",
		`a / (b > c)`:                    "",
		`a / clamp_min(b, 1e-9)`:         "",
		`a / clamp(b, 0.1, 5)`:           "",
		`a / (b < 0)`:                    "",
		`a / (b <= -1)`:                  "",
		`a / (b <= 0)`:                   warning,
		`a / clamp_min(b + 1, 0)`:        "",
		`a / clamp_max(b + 1, 5)`:        "",
		`a / clamp_max(b + 1, 0)`:        warning,
		`a / clamp_max(b, 5)`:            warning,
		`a / sum(b - 5 != 0)`:            warning,
		`a / (b > -1)`:                   warning,
		`a / abs(b != 0)`:                "",
		`a / ((count(b) > 1) - 1)`:       "",
		`a / ((count(b) >= 1) - 1)`:      warning,
		`a / (count(b) - 0.5)`:           "",
		`a / (count(b) - 1 + 1)`:         "",
		`a / (count by (j) (b) - 2) and on (j) (count by (j) (b) >= 3 < 5)`: "",
		`a / (count by (j) (b) - 2) and on (j) (count by (j) (b) > 2)`:      "",
		`a / (count by (j) (b) - 1) and on (j) (count by (j) (b) != 1)`:     "",
		`a / (count by (j) (b) - 2) and on (j) (count by (j) (b) != 1)`:     warning,
		`a / (count by (j) (b) - 2) and on (j) (count by (j) (b) >= 2)`:     warning,
		`a / (count by (j) (b) - 2) and on (j) (count by (j) (b) < 3)`:      warning,
		`a / (count by (j) (b) - 2) and on (j) (count by (j) (b) > bool 2)`: warning,
		`a / (count by (j) (b) - 2) and on (j) (count by (j) (c) > 2)`:      warning,
		`a / ((b == 3) - 3)`:                   warning,
		`a / ((b == 4) - 3)`:                   "",
		`a / 100`:                              "",
		`a / (2 * 50)`:                         "",
		`a / -2`:                               "",
		`a / count by (job) (b)`:               "",
		`a / count_over_time(b[4m59s])`:        "",
		`a / on () group_left () group(b)`:     "",
		`a / (b + 1)`:                          "",
		`a / on (job) group_left (v) go_info`:  "",
		`a / scalar(count(b))`:                 "",
		`a / vector(60)`:                       "",
		`a / (b and b > 0)`:                    "",
		`a / (b unless b == 0)`:                "",
		`a / b and b > 0`:                      "",
		`(a / b) and on () (c == 1 and b > 3)`: "",
		`a / b unless b == 0`:                  "",
		`sum(a / (b > 0))`:                     "",
		`count(a / b)`:                         "",
		`c and a / b`:                          "",
		`a / (b > 0 or vector(1))`:             "",
		`sum(a) / count(a)`:                    "",
		`a / exp(b)`:                           "",
		`a / sum by (job) (up + 1)`:            "",
		`sum(a / b > 0.1 < 1)`:                 "",
		`sum(rate(t{code="5"}[4m59s]) / rate(t[4m59s]) > 0.1)`:             "",
		`sum(rate(s_sum[4m59s]) / rate(s_count[4m59s]) > 0.1)`:             "",
		`(t - t{ok="1"}) / t > 0.1`:                                        "",
		`hits / (hits + misses) > 0.1`:                                     "",
		`100 * rate(s_bucket{le="1"}[4m59s]) / rate(s_count[4m59s]) > 0.1`: "",
		`a / b < 0.1`:           "",
		`0.1 > a / b`:           "",
		`1 - a / b > 0.9`:       "",
		`-2 * (a / b) > 0.9`:    "",
		`1 / (a / (b > 0)) > 3`: nested,
		`time() / timestamp(a)`: "",
	} {
		t.Run(expr, func(t *testing.T) { wants(t, told(Options{}, recording(expr)), want) })
	}
	for expr, want := range map[string]string{
		`a / b > 0.9`:                          infinite + "b may be 0, and what is not 0 divided by it is infinite, which passes the comparison: want (b > 0) (division)",
		`0.9 < a / b`:                          infinite,
		`a{x="1"} / a{x="2"} > 2`:              infinite,
		`rate(t{c="5"}[5m]) / rate(t[1m]) > 1`: infinite,
		`1 - a / b < 0.1`:                      infinite,
		`sum(a / b > 2)`:                       infinite,
		`a / b > 2 < 5`:                        "",
		`c < a / b`:                            infinite,
		`c > a / b`:                            "",
		`a / b > bool 1 == 1`:                  infinite,
		`(c and a / b > 2) > 4`:                infinite,
		`sum(rate(x_failed_total[5m])) / sum(rate(x_total[5m])) > 0.1`: "",
		`rate(x_failed_total[5m]) / rate(x_total[1m]) > 0.1`:           infinite,
		`rate(x_failed_total[5m]) / rate(y_total[5m]) > 0.1`:           infinite,
		`x_failed / x_limit > 0.1`:                                     infinite,
		`count(a / b > 2) > 1`:                                         infinite,
		`1 / ((a > 0) / b) > 3`:                                        "",
		`(a / b > bool 1) < 5`:                                         infinite,
		`(c < a / b) < 5`:                                              infinite,
		`(a / b != bool 1) == 1`:                                       asItIs,
		`clamp_max(a / b, 5) > 3`:                                      infinite,
		`a / (a or b) > 0.5`:                                           "",
		`t{c="5"} / t offset 1d > 1`:                                   infinite,
		`a / b == 1`:                                                   "",
		`a / b > 0.9 and b > 0`:                                        "",
	} {
		t.Run("alert "+expr, func(t *testing.T) { wants(t, told(Options{}, alerting(expr)), want) })
	}
}

const (
	asItIs = `a.yml:5: "A": warning: b may be 0, and the result NaN or infinite`
	nested = `a.yml:5: "r:x": warning: a / (b > 0) may be 0, and what is not 0`
)
