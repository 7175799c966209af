package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image/png"
	"io"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/onefiveten/onefiveten/probe"
)

// outages is a CSV of a value every 30s for 30 hours: 20 and a little, and 15 more
// for a quarter of an hour from 05:00 and from 20:30 on.
func outages() string {
	var text strings.Builder
	text.WriteString("timestamp,value\n")
	for i := range 30 * 120 {
		v := 20 + float64(i*7919%13)/10
		if hour := float64(i) / 120; hour >= 5 && hour < 5.25 || hour >= 20.5 && hour < 20.75 {
			v += 15
		}
		fmt.Fprintf(&text, "%d,%.1f\n", 1772409600+30*i, v)
	}
	return text.String()
}

func TestBacktest_PrintsWhatOneCanDecideFrom(t *testing.T) {
	file := write(t, outages())
	code, stdout, stderr := call(t, "backtest", file, "--direction=both")
	for _, want := range []string{
		file + ": 3600 samples every 30s from 2026-03-02 00:00:00 to 2026-03-03 05:59:30 UTC (1d6h), none refused\n",
		"judged: 3570 (1d6h); an anomaly is beyond mean ± 3·σ of the last 1h; a fault is more than 55 % to 60 % of them in 3m\n",
		"\n3 *  2       1.613    14m30s   1.625 %   1.681 %\n", "\nFor 1/20d (0.05 a day) at most:\n  no k up to 6 with cap 0.6\n",
		"\n2026-03-02 05:00:00  2026-03-02 05:01:30  2026-03-02 05:16:00  14m30s    36     0.5714  0.55\n",
	} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q", want)
		}
	}
	if code != 0 || stderr != "" || t.Failed() {
		t.Errorf("ended with %d: %s\n%s", code, stderr, stdout)
	}
	// The same through standard input, in another zone and at another rate.
	var out, errs bytes.Buffer
	a := &app{stdout: &out, stderr: &errs, bound: func([]string) {}, ping: probe.CheckICMP}
	a.backtesting.stdin = strings.NewReader(outages())
	code = a.run(t.Context(), []string{"backtest", "-", "--direction=both", "--timezone=Asia/Shanghai", "--rate=2/d"})
	for _, want := range []string{"standard input: 3600 samples every 30s from 2026-03-02 08:00:00 to 2026-03-03 13:59:30 Asia/Shanghai", "\nFor 2/1d (2 a day) at most:\n  k 2 with cap 0.6 (1.613 a day)\n  cap 0.6 with k 3 (1.613 a day)\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
	if code != 0 || errs.Len() > 0 {
		t.Errorf("ended with %d: %s", code, &errs)
	}
}

func TestBacktest_PrintsEverySample(t *testing.T) {
	file := write(t, strings.Replace(outages(), "\n1772409660,", "\n1772409600,7\n1772409630,NaN\n1772409660,", 1))
	_, stdout, stderr := call(t, "backtest", file, "--format=csv", "--timezone=Europe/Berlin")
	lines := strings.Split(stdout, "\n")
	if len(lines) != 3602 || lines[0] != "timestamp,value,mean,stddev,upper,lower,anomaly,fault_probability,fault" || lines[1] != "2026-03-02T01:00:00+01:00,20,,,,,,," {
		t.Errorf("got %d lines, the first are %q", len(lines), lines[:2])
	}
	if want := "probe-exporter: " + file + ": refused: 1 without a finite value up to 1e100, 1 out of order\n"; stderr != want {
		t.Errorf("got %q, want %q", stderr, want)
	}
	_, stdout, _ = call(t, "backtest", file, "--format=json", "--score")
	faults := 0
	for d := json.NewDecoder(strings.NewReader(stdout)); d.More(); {
		var row struct {
			Timestamp                 time.Time
			Value, Score, Mean, Lower *float64
			Fault                     *int
		}
		if err := d.Decode(&row); err != nil || row.Value == nil || row.Score == nil || row.Lower != nil || (row.Mean == nil) != (row.Fault == nil) {
			t.Fatalf("got %+v, %v", row, err)
		}
		if row.Fault != nil {
			faults += *row.Fault
		}
	}
	if faults == 0 {
		t.Error("no sample is in fault")
	}
}

func TestBacktest_DrawsIntoAFile(t *testing.T) {
	file, dir := write(t, outages()), t.TempDir()
	for _, name := range []string{"a.svg", "b.PNG"} {
		if code, stdout, stderr := call(t, "backtest", file, "--plot="+filepath.Join(dir, name)); code != 0 || !strings.Contains(stdout, "ALERTS") {
			t.Fatalf("ended with %d: %s", code, stderr)
		}
	}
	svg, err := os.ReadFile(filepath.Join(dir, "a.svg"))
	if err != nil || !bytes.Contains(svg, []byte("probe.yml: an anomaly is above mean + 3·σ of the last 1h")) {
		t.Errorf("got %v, %.300s", err, svg)
	}
	f, err := os.Open(filepath.Join(dir, "b.PNG"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if c, err := png.DecodeConfig(f); err != nil || c.Width != 1200 || c.Height != 500 {
		t.Errorf("got %+v, %v", c, err)
	}
	if code, _, stderr := call(t, "backtest", file, "--plot="+filepath.Join(file, "x.svg")); code != 1 || !strings.Contains(stderr, "writing the plot: ") {
		t.Errorf("ended with %d: %s", code, stderr)
	}
}

func TestBacktest_EndsWithTwoOnWrongUsage(t *testing.T) {
	for args, want := range map[string]string{
		"":                         "backtest: want a CSV file, - for standard input, --query or --signal",
		"a.csv --query=x":          "backtest: got a CSV and --query, want one of them",
		"a.csv --prometheus.url=x": "backtest: --prometheus.url goes with --query or --signal, not with a CSV",
		"a.csv --to=1d":            "backtest: --to goes with --query or --signal, not with a CSV",
		"a.csv --step=15s":         "backtest: --step goes with --query or --signal, not with a CSV",
		"--query=x --skip-bad":     "backtest: --skip-bad goes with a CSV, not with --query or --signal",
		"a.csv --plot=":            `--plot: want a name that ends in .svg or .png, got ""`,
		"a.csv --plot=x.pdf":       `--plot: want a name that ends in .svg or .png, got "x.pdf"`,
		"--signal=shop":            `--signal: want service/name, got "shop"`,
		"a.csv --window=60":        `--window: want a duration with its unit, such as 30s or 5m, got "60"`,
		"a.csv --k=NaN":            `--k: want a number, got "NaN"`,
		"a.csv --fault.clear=1.5":  `--fault.clear: want a whole number, got "1.5"`,
		"a.csv --direction=up":     `--direction: want upper, lower, both, got "up"`,
		"a.csv --kind=x":           `--kind: want value or availability, got "x"`,
		"a.csv --rate=1":           `--rate: want alerts/time such as 1/20d, got "1"`,
		"a.csv --format=xml":       `--format: want summary, csv or json, got "xml"`,
		"a.csv --timezone=Nowhere": `--timezone: want a name such as Asia/Shanghai, got "Nowhere"`,
		"a.csv b.csv":              "unexpected b.csv",
		"--query=x --step=0s":      `--step: want a duration with its unit, such as 30s or 5m, got "0s"`,
	} {
		if code, _, stderr := call(t, append([]string{"backtest"}, strings.Fields(args)...)...); code != 2 || !strings.Contains(stderr, want) {
			t.Errorf("%s: ended with %d: %s", args, code, stderr)
		}
	}
}

func TestBacktest_EndsWithOneOnAMistake(t *testing.T) {
	good, bad := write(t, outages()), write(t, "timestamp,value\n1,1\n2;2\n3,3\n")
	t.Chdir(t.TempDir())
	for args, want := range map[string]string{
		"none.csv":                            "probe-exporter: open none.csv: no such file",
		bad:                                   bad + ": line 3: the columns are set apart by ';'; want commas: timestamp,value",
		write(t, ""):                          "there is no sample",
		good + " --fault.window=20s":          "fault window 20s is shorter than the interval 30s; samples every 30s need --fault.window=1m30s or more",
		good + " --k=20":                      "k 20 cannot be reached: of 120 samples",
		good + " --hold=40m":                  "hold is 40m, want at most 30m",
		good + " --range.max=4 --range.min=6": "--range.min and --range.max: the range is 6 to 4, want the least value below the greatest",
		good + " --kind=availability --k=4":   "availability has no baseline and no score, it is 0 or 1: leave out --score and the flags from --window to --range.max",
		good + " --kind=availability --score": "availability has no baseline and no score",
		"--query=up --prometheus.url=http://127.0.0.1:1 --step=15s --interval=30s": "--interval and --step: got 30s and 15s; the interval of a query is its step, give one of them",
		good + " --fault.cap=.95":       "no number of bad samples in a row is sure to pass cap 0.95",
		good + " --signal=a/b":          "reading configuration: open probe-exporter.yml",
		"--query=up":                    "--query: whom to ask? Give --prometheus.url, or a --config.file with prometheus.url",
		"--query=up --prometheus.url=x": `url: got "x", want http://host:port`,
		"--query=up --prometheus.url=http://127.0.0.1:1 --from=yesterday":         `--from: the timestamp is "yesterday"; want how long ago, such as 14d, or unix seconds`,
		"--query=up --prometheus.url=http://127.0.0.1:1 --from=1d --to=2d":        "--from, --to and --step: from ",
		"--query=up --prometheus.url=http://127.0.0.1:1 --http.config.file=x.yml": "--http.config.file: x.yml: open x.yml",
	} {
		if code, stdout, stderr := call(t, append([]string{"backtest"}, strings.Fields(args)...)...); code != 1 || stdout != "" || !strings.Contains(stderr, want) {
			t.Errorf("%s: ended with %d: %s%s, want %q", args, code, stdout, stderr, want)
		}
	}
	code, stdout, stderr := call(t, "backtest", bad, "--skip-bad", "--fault.window=10s", "--window=1m", "--min-samples=2")
	if code != 0 || !strings.Contains(stdout, "2 samples every 2s") || stderr != "probe-exporter: "+bad+": 1 lines that are no samples were left out, the first is line 3\n" {
		t.Errorf("ended with %d: %s%s", code, stdout, stderr)
	}
}

// past serves range queries of one series, noise that has an outage.
func past(t *testing.T, series int) (url string, asked *safeBuffer) {
	asked = &safeBuffer{}
	return "http://" + site(t, func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user+password != "metopsecret" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		var from, to, step float64
		for name, into := range map[string]*float64{"start": &from, "end": &to, "step": &step} {
			if _, err := fmt.Sscan(r.FormValue(name), into); err != nil {
				http.Error(w, name+": "+err.Error(), http.StatusBadRequest)
				return
			}
		}
		fmt.Fprintf(asked, "%s %v %v %v\n", r.FormValue("query"), from, to, step)
		var tracks []string
		for n := range series {
			var values []string
			for at := from; at <= to; at += step {
				v := 20 + math.Mod(at/step*7919, 13)/10
				if hour := math.Mod(at/3600, 24); hour >= 5 && hour < 5.5 {
					v += 15
				}
				values = append(values, fmt.Sprintf(`[%.3f,"%.2f"]`, at, v))
			}
			tracks = append(tracks, fmt.Sprintf(`{"metric":{"node":"n%d"},"values":[%s]}`, n, strings.Join(values, ",")))
		}
		fmt.Fprintf(w, `{"status":"success","data":{"resultType":"matrix","result":[%s]}}`, strings.Join(tracks, ","))
	}), asked
}

func TestBacktest_AsksPrometheus(t *testing.T) {
	url, asked := past(t, 1)
	http := write(t, "basic_auth: {username: me, password: topsecret}\n")
	code, stdout, stderr := call(t, "backtest", "--prometheus.url="+url, "--http.config.file="+http, "--query=queue", "--from=2026-03-01 00:00:00", "--to=2026-03-04T00:00:00Z", "--step=15s")
	if code != 0 || stderr != "" || !strings.Contains(stdout, "queue: 17281 samples every 15s from 2026-03-01 00:00:00 to 2026-03-04 00:00:00 UTC (3d)") || !strings.Contains(stdout, "\n3 *  3       1.002    28m45s ") {
		t.Errorf("ended with %d: %s%s", code, stdout, stderr)
	}
	if want := "queue 1.7723232e+09 1.772473185e+09 15\nqueue 1.7724732e+09 1.7725824e+09 15\n"; asked.String() != want {
		t.Errorf("asked\n%swant\n%s", asked, want)
	}
	url, _ = past(t, 7)
	config := write(t, "prometheus: {url: \""+url+"\", http_config: {basic_auth: {username: me, password: topsecret}}}\n")
	code, stdout, stderr = call(t, "backtest", "--config.file="+config, "--query=queue", "--from=1h")
	want := `probe-exporter: queue gives several series: {node="n0"}, {node="n1"}, {node="n2"}, {node="n3"}, {node="n4"} and 2 more; want one: name the labels of one in the selector, or aggregate, such as max(…)` + "\n"
	if code != 1 || stdout != "" || stderr != want {
		t.Errorf("ended with %d: %s%s", code, stdout, stderr)
	}
	// The secrets of the configuration are for the Prometheus of the configuration.
	other, _ := past(t, 1)
	if code, _, stderr := call(t, "backtest", "--config.file="+config, "--query=queue", "--prometheus.url="+other); code != 1 || !strings.Contains(stderr, "401") || strings.Contains(stderr, "topsecret") {
		t.Errorf("ended with %d: %s", code, stderr)
	}
}

func TestBacktest_TakesTheSettingsOfASignal(t *testing.T) {
	config := write(t, strings.Replace(strings.ReplaceAll(house, "HOST", "127.0.0.1:1"), "owner: team-shop, ", "owner: team-shop, ", 1)+
		"baselines: {default: {window: 2h, k: 4, min_samples: 20, direction: both, season: none, hold: 20m}}\n")
	file := write(t, outages())
	code, stdout, stderr := call(t, "backtest", file, "--config.file="+config, "--signal=shop/latency")
	if code != 0 || !strings.Contains(stdout, "an anomaly is beyond mean ± 4·σ of the last 2h; a fault is more than 55 % to 60 % of them in 3m") {
		t.Errorf("ended with %d: %s%s", code, stdout, stderr)
	}
	code, stdout, stderr = call(t, "backtest", file, "--config.file="+config, "--signal=shop/latency", "--k=5", "--window=1h")
	if code != 0 || !strings.Contains(stdout, "an anomaly is beyond mean ± 5·σ of the last 1h") {
		t.Errorf("ended with %d: %s%s", code, stdout, stderr)
	}
	up := write(t, "1772409600,0\n1772409630,1\n1772409660,0\n1772409690,0\n")
	code, stdout, stderr = call(t, "backtest", up, "--config.file="+config, "--signal=shop/availability", "--fault.window=5m")
	if code != 0 || !strings.Contains(stdout, "an anomaly is a failed probe; a fault is more than 5 % to 10 % of them in 5m") {
		t.Errorf("ended with %d: %s%s", code, stdout, stderr)
	}
	for args, want := range map[string]string{
		"--signal=shop/queue":                       "--signal: shop/queue is not in the configuration, which has: shop/availability, shop/latency",
		"--signal=shop/latency --kind=availability": "--kind: shop/latency is no signal of that kind; leave it out",
	} {
		if code, _, stderr := call(t, append([]string{"backtest", file, "--config.file=" + config}, strings.Fields(args)...)...); code != 1 || !strings.Contains(stderr, want) {
			t.Errorf("%s: ended with %d: %s", args, code, stderr)
		}
	}
	for args, want := range map[string]string{"": "has no prometheus.url: give --prometheus.url", "--prometheus.url=http://127.0.0.1:1": "--signal: shop/latency has no expression: give a CSV or --query"} {
		if code, _, stderr := call(t, append([]string{"backtest", "--config.file=" + config, "--signal=shop/latency"}, strings.Fields(args)...)...); code != 1 || !strings.Contains(stderr, want) {
			t.Errorf("%s: ended with %d: %s", args, code, stderr)
		}
	}
}

func TestBacktest_AsksForTheExpressionOfASignal(t *testing.T) {
	url, asked := past(t, 1)
	config := write(t, strings.Replace(strings.ReplaceAll(house, "HOST", "127.0.0.1:1"), "prometheus: {", "prometheus: {timeout: 2s, url: \""+url+"\", http_config: {basic_auth: {username: me, password: topsecret}}, ", 1)+`
signals: [{name: queue, service: shop, expr: 'max by (node) (queue{service="shop"})', interval: 30s, baseline: slow, range: {max: 40}}]
baselines: {slow: {window: 2h, k: 3.5, direction: upper, season: daily, timezone: Europe/Berlin, hold: 30m}}
`)
	code, stdout, stderr := call(t, "backtest", "--config.file="+config, "--signal=shop/queue", "--from=2026-03-01 00:00:00", "--to=2026-03-03 00:00:00")
	if code != 0 || stderr != "" || !strings.Contains(stdout, `max by (node) (queue{service="shop"}): 5761 samples every 30s from`) ||
		!strings.Contains(stdout, "an anomaly is above mean + 3.5·σ of the last 2h and of the same hour of other days; a fault is more than 55 % to ") {
		t.Errorf("ended with %d: %s%s", code, stdout, stderr)
	}
	code, stdout, stderr = call(t, "backtest", "--config.file="+config, "--signal=shop/queue", "--query=other", "--step=1m", "--from=2026-03-01 00:00:00", "--to=2026-03-02 00:00:00")
	if code != 0 || !strings.Contains(stdout, "other: 1441 samples every 1m from") || !strings.Contains(asked.String(), "\nother 1.7723232e+09 1.7724096e+09 60\n") {
		t.Errorf("ended with %d: %s%s%s", code, stdout, stderr, asked)
	}
}

// The baseline of a signal may stand with its service, too.
func TestBacktest_TakesTheBaselineThatTheServiceNames(t *testing.T) {
	config := write(t, strings.NewReplacer("EXPR", "x", "SIGNAL", "{mode: ticket, baseline: slow}").Replace(withQueries)+"baselines: {slow: {window: 2h, k: 3.5}}\n")
	code, stdout, stderr := call(t, "backtest", write(t, outages()), "--config.file="+config, "--signal=shop/queue")
	if code != 0 || !strings.Contains(stdout, "an anomaly is above mean + 3.5·σ of the last 2h") {
		t.Errorf("ended with %d: %s%s", code, stdout, stderr)
	}
}

// silent is an input that never says anything.
type silent struct{ asked chan struct{} }

func (s silent) Read([]byte) (int, error) {
	close(s.asked)
	select {}
}

func TestBacktest_AnInterruptEndsIt(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var out, errs bytes.Buffer
	a := &app{stdout: &out, stderr: &errs}
	in := silent{make(chan struct{})}
	a.backtesting.stdin = io.MultiReader(strings.NewReader("1,1\n2,2\n3,3\n"), in)
	go func() {
		<-in.asked
		cancel()
	}()
	if code := a.run(ctx, []string{"backtest", "-", "--plot=none.svg"}); code != 1 || out.Len() > 0 || errs.String() != "probe-exporter: backtest: interrupted after 3 samples\n" {
		t.Errorf("ended with %d: %s%s", code, &out, &errs)
	}
	if _, err := os.Stat("none.svg"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("there is a plot: %v", err)
	}
}

func TestProgress_IsToldAsLongAsItTakes(t *testing.T) {
	for _, c := range []struct {
		bar, lines bool
		after      time.Duration
		p          func(*progress)
		want       string
	}{
		{true, false, 900 * time.Millisecond, func(*progress) {}, ""},
		{true, false, 1100 * time.Millisecond, func(p *progress) { p.size = 400; p.bytes.Add(100); p.rows.Add(10) }, "\r\x1b[K[=======                       ]  25 %  10 samples, 10 a second, 3s left\r\x1b[K"},
		{true, false, 1100 * time.Millisecond, func(p *progress) { p.rows.Add(10) }, "\r\x1b[K10 samples, 10 a second\r\x1b[K"},
		{false, true, 11 * time.Second, func(p *progress) { p.points = 40; p.rows.Add(10) }, "probe-exporter:  25 %  10 samples, 1 a second, 30s left\n"},
		{false, true, 9 * time.Second, func(p *progress) { p.rows.Add(10) }, ""},
		{false, false, time.Hour, func(p *progress) { p.rows.Add(10) }, ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := &progress{}
			c.p(p)
			var out safeBuffer
			stop := p.watch(&out, c.bar, c.lines)
			time.Sleep(c.after)
			stop()
			if diff := cmp.Diff(c.want, out.String()); diff != "" {
				t.Error(diff)
			}
		})
	}
	if isTerminal(&bytes.Buffer{}) {
		t.Error("a buffer is taken for a terminal")
	}
	file, err := os.Create(filepath.Join(t.TempDir(), "x"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if isTerminal(file) {
		t.Error("a file is taken for a terminal")
	}
}

func TestBacktest_HelpShowsHow(t *testing.T) {
	code, stdout, _ := call(t, "backtest", "--help")
	for _, want := range []string{"usage: probe-exporter backtest [<flags>] [<csv>]", "\n  probe-exporter backtest latency.csv --plot=latency.svg\n", "--rate=1/20d", "--fault.cap=NUMBER"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q in\n%s", want, stdout)
		}
	}
	if code != 0 || strings.Contains(stdout, "web.listen-address") {
		t.Errorf("ended with %d, or tells of other commands", code)
	}
}
