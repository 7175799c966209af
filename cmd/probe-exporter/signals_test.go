package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/onefiveten/onefiveten/collector"
)

// withQueries is a service with a probe and two signals of queries. What expr is of the
// second one stands in for EXPR, and its settings in the service for SIGNAL.
const withQueries = `modules: {tcp: {prober: tcp, timeout: 2s}}
prometheus: {url: "http://127.0.0.1:1", timeout: 3s, scrape: {interval: 5s, timeout: 1s}, evaluation: {interval: 5s}}
observers: [a]
probes:
- {name: shop-nodes, service: shop, module: tcp, interval: 5s, targets: [{url: "127.0.0.1:1", labels: {node: n1}}]}
signals:
- {name: busy, service: shop, expr: 'max by (node) (busy_ratio)', interval: 10s, scrape_interval: 500ms}
- {name: queue, service: shop, expr: 'EXPR'}
services:
- {name: shop, owner: team-shop, signals: {queue: SIGNAL, busy: {mode: page, targets: {detect: 130s}}}}
`

func TestCheck_PrintsTheBoundsOfQueries(t *testing.T) {
	file := write(t, strings.NewReplacer("EXPR", "rate(jobs_total[20s])", "SIGNAL", "{mode: ticket}").Replace(withQueries))
	code, stdout, stderr := call(t, "check", "--config.file="+file)
	want := `SERVICE  SIGNAL        MODE    PROBE       TARGET  BOUND  N   M   CAP   LOSS FOUND  TERMS
shop     availability  page    shop-nodes  60s     49s    13  7   0.5   91 %        P 5s + d_p 2s + (m-1)·P 30s + S 5s + d_s 1s + E 5s + d_e 1s
shop     busy          page    signals[0]  130s    126s   19  11  0.57  100 %       S_src 0.5s + d_src 0.5s + P_q 10s + d_q 3s + (m-1)·P_q 100s + S 5s + d_s 1s + E 5s + d_e 1s
shop     latency       ticket  shop-nodes  180s    129s   37  23  0.6   81 %        P 5s + d_p 2s + (m-1)·P 110s + S 5s + d_s 1s + E 5s + d_e 1s
shop     queue         ticket  signals[1]  300s    180s   13  8   0.6   82 %        S_src 15s + d_src 10s + R 20s + P_q 15s + d_q 3s + (m-1)·P_q 105s + S 5s + d_s 1s + E 5s + d_e 1s

`
	_, got, _ := strings.Cut(stdout, "\n\n")
	if got, _, _ := strings.Cut(got, "BOUND    "); code != 0 || stderr != "" || got != want {
		t.Errorf("ended with %d: %s\n%s", code, stderr, cmp.Diff(want, got))
	}
}

func TestCheck_SaysWhatWouldKeepTheTargetOfAQuery(t *testing.T) {
	file := write(t, strings.NewReplacer("EXPR", "rate(jobs_total[5m])", "SIGNAL", "{mode: ticket}").Replace(withQueries))
	code, _, stderr := call(t, "check", "--config.file="+file)
	want := file + ":10: services[0].signals.queue: signals[1] takes 460s from fault to webhook at best, over the target of 300s: shorten the range in signals[1].expr from 300s to 140s or less; " +
		"or give the signal a target of its own: targets.detect of 460s or more\n"
	if code != 1 || !strings.HasPrefix(stderr, want) {
		t.Errorf("ended with %d:\n%s", code, cmp.Diff(want, stderr))
	}
	file = write(t, strings.NewReplacer("EXPR", "rate(jobs_total[5m])", "SIGNAL", "{mode: ticket, targets: {detect: 460s}}").Replace(withQueries))
	if code, _, stderr := call(t, "check", "--config.file="+file); code != 0 {
		t.Errorf("with the target that was named: ended with %d: %s", code, stderr)
	}
}

// How long the scrape of what a query reads may take is a term of its bound: what is
// written, else what Prometheus takes.
func TestCheck_ReckonsWithTheTimeoutOfTheScrapeThatAQueryReads(t *testing.T) {
	for written, want := range map[string]string{
		"":                      "S_src 15s + d_src 10s + R",
		", scrape_timeout: 1s":  "S_src 15s + d_src 1s + R",
		", scrape_timeout: 14s": "S_src 15s + d_src 14s + R",
		", scrape_interval: 7s": "S_src 7s + d_src 7s + R",
		", scrape_interval: 7s, scrape_timeout: 2500ms": "S_src 7s + d_src 2.5s + R",
	} {
		file := write(t, strings.NewReplacer("'EXPR'", "'rate(x[5m])'"+written, "SIGNAL", "{mode: ticket, targets: {detect: 10m}}").Replace(withQueries))
		if code, stdout, stderr := call(t, "check", "--config.file="+file); code != 0 || !strings.Contains(stdout, want) {
			t.Errorf("%s: ended with %d: %s%s\nwant %s", written, code, stdout, stderr, want)
		}
	}
	file := write(t, strings.NewReplacer("'EXPR'", "'x', scrape_interval: 8s, scrape_timeout: 9s", "SIGNAL", "{}").Replace(withQueries))
	code, _, stderr := call(t, "check", "--config.file="+file)
	if want := file + ":8: signals[1].scrape_timeout: got 9s, want 0s to the scrape_interval of 8s\n"; code != 1 || !strings.HasPrefix(stderr, want) {
		t.Errorf("ended with %d:\n%s", code, cmp.Diff(want, stderr))
	}
}

// What a comparison without bool is empty of while all is well has no past.
func TestCheck_WarnsOfASignalThatIsEmptyWhileAllIsWell(t *testing.T) {
	for expr, want := range map[string]string{
		"sum(up) > 5":       "write the value itself, sum(up), or what is 0 or 1, sum(up) > bool 5\n",
		"(5 < (sum(up)))":   "write the value itself, (sum(up)), or what is 0 or 1, 5 < bool (sum(up))\n",
		"-(up == 0)":        "write the value itself, up, or what is 0 or 1, up == bool 0\n",
		"up != on(node) x":  "write the value itself, up, or what is 0 or 1, up != bool on (node) x\n",
		"sum(up) > bool 5":  "",
		"sum(up)":           "",
		"sum(a / (b > 0))":  "", // a guard against dividing by 0
		"max(up) and y > 1": "",
	} {
		file := write(t, strings.NewReplacer("EXPR", expr, "SIGNAL", "{}").Replace(withQueries))
		code, stdout, stderr := call(t, "check", "--config.file="+file)
		if want != "" {
			want = ":8: signals[1].expr: warning: it has no value while the comparison does not hold: a signal that is empty while all is well has no baseline when it is not; " + want
		}
		if code != 0 || !strings.Contains(stdout, want) || strings.Contains(stdout, "while the comparison") != (want != "") {
			t.Errorf("%s: ended with %d: %s%s\nwant %s", expr, code, stdout, stderr, want)
		}
	}
}

// A ratio of failures stands at 0: without a floor one failure would page.
func TestCheck_WarnsOfAQueryThatPagesWithoutAFloor(t *testing.T) {
	const text = `services[0].signals.queue: warning: it pages, and its baseline "default" has no floor`
	for name, c := range map[string]struct {
		signal, floor string
		warned        bool
	}{
		"it pages": {"{mode: page}", "", true}, "a ticket": {"{mode: ticket}", "", false}, "a floor": {"{mode: page}", "\nbaselines: {default: {floor: .01}}\n", false},
	} {
		file := write(t, strings.NewReplacer("EXPR", "sum(up)", "SIGNAL", c.signal).Replace(withQueries)+c.floor)
		if code, stdout, stderr := call(t, "check", "--config.file="+file); code != 0 || strings.Contains(stdout, text) != c.warned {
			t.Errorf("%s: ended with %d: %s%s", name, code, stdout, stderr)
		}
	}
}

// An expression that shows no fault is the rules' to refuse; the collector reads it.
func TestCheck_RefusesAQueryThatShowsNoFault(t *testing.T) {
	file := write(t, strings.NewReplacer("EXPR", "jobs @ 1000", "SIGNAL", "{}").Replace(withQueries))
	code, _, stderr := call(t, "check", "--config.file="+file)
	want := file + ":8: signals[1].expr: it reads no series as it is now, and so shows no fault; want one that reads a series, such as queue_length, without @\nprobe-exporter: " + file + " has mistakes: 1\n"
	if code != 1 || stderr != want {
		t.Errorf("ended with %d:\n%s", code, cmp.Diff(want, stderr))
	}
}

func TestRules_AreWrittenWithTheTestsOfQueries(t *testing.T) {
	file := write(t, strings.NewReplacer("EXPR", "rate(jobs_total[20s])", "SIGNAL", "{mode: ticket}").Replace(withQueries))
	dir := t.TempDir()
	if code, _, stderr := call(t, "rules", "--config.file="+file, "--output.dir="+dir); code != 0 {
		t.Fatalf("ended with %d: %s", code, stderr)
	}
	for name, want := range map[string]string{
		"tests/onefiveten_test.yml":      "worst phase of queue: ",
		"rules/onefiveten-watchers.yml":  "alert: SignalStale",
		"rules/onefiveten-page-node.yml": collector.SignalLastRun,
	} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s holds no %q: %v", name, want, err)
		}
	}
}

// The caps that the proof has solved are those that the collector judges by.
func TestProofs_HoldTheCapsOfQueries(t *testing.T) {
	file := write(t, strings.NewReplacer("EXPR", "rate(jobs_total[20s])", "SIGNAL", "{mode: ticket}").Replace(withQueries))
	s, err := load(files{file: file, given: true}, "a")
	if err != nil {
		t.Fatal(err)
	}
	caps := map[string]float64{}
	for _, p := range s.proofs() {
		caps[p.Service+" "+p.Signal] = p.Cap
	}
	want := map[string]float64{"shop availability": .5, "shop latency": .6, "shop busy": .57, "shop queue": .6}
	if diff := cmp.Diff(want, caps); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// unprobed is a service of which there is nothing but series in Prometheus. MODE is
// that of its signal, TARGET what the service wants of detection.
const unprobed = `prometheus: {url: "http://127.0.0.1:1", timeout: 3s, scrape: {interval: 5s, timeout: 1s}, evaluation: {interval: 5s}}
observers: [a]
signals:
- {name: busy, service: shop, expr: 'max by (node) (busy_ratio)', interval: 10s, scrape_interval: 5s}
services:
- {name: shop, owner: team-shop, targets: {detect: TARGET}, signals: {busy: {mode: MODE, targets: {detect: 3m}}}}
`

func TestCheck_AServiceNeedsNoProbeWhereAQueryPages(t *testing.T) {
	file := write(t, strings.NewReplacer("MODE", "page", "TARGET", "3m").Replace(unprobed))
	code, stdout, stderr := call(t, "check", "--config.file="+file)
	if code != 0 || stderr != "" || !strings.Contains(stdout, "\nshop     busy    page  signals[0]  180s ") {
		t.Errorf("ended with %d: %s%s", code, stdout, stderr)
	}
	for _, never := range []string{"availability", "latency", "nothing can be probed", "Nothing is probed"} {
		if strings.Contains(stdout, never) {
			t.Errorf("it speaks of %q:\n%s", never, stdout)
		}
	}
	dir := t.TempDir()
	if code, _, stderr := call(t, "rules", "--config.file="+file, "--output.dir="+dir); code != 0 {
		t.Fatalf("ended with %d: %s", code, stderr)
	}
	tests, err := os.ReadFile(filepath.Join(dir, "tests/onefiveten_test.yml"))
	if err != nil || !strings.Contains(string(tests), "alertname: FaultDetected") || strings.Contains(string(tests), "signal: availability") {
		t.Errorf("%v: the tests are\n%s", err, tests)
	}
	code, _, stderr = call(t, "backtest", write(t, outages()), "--config.file="+file, "--signal=shop/latency")
	if want := "--signal: shop/latency is not in the configuration, which has: shop/busy"; code != 1 || !strings.Contains(stderr, want) {
		t.Errorf("ended with %d: %s\nwant %s", code, stderr, want)
	}
}

func TestCheck_AServiceWithoutAProbeKeepsItsTargetAllTheSame(t *testing.T) {
	for name, c := range map[string]struct{ mode, target, more, want string }{
		"nobody pages": {"ticket", "3m", "", "services[0].signals: no signal of mode page is found within the service's target of 180s, want at least one"},
		"too late":     {"page", "1m", "", "services[0].signals: no signal of mode page is found within the service's target of 60s, want at least one"},
		"availability is written": {"page", "3m", "availability: {mode: page}, ",
			"services[0].signals.availability: no probe watches the service: want a probe of it, or this signal left out, where entries of signals: watch it"},
	} {
		text := strings.NewReplacer("MODE", c.mode, "TARGET", c.target, "signals: {busy", "signals: {"+c.more+"busy").Replace(unprobed)
		file := write(t, text)
		code, _, stderr := call(t, "check", "--config.file="+file)
		if want := file + ":6: " + c.want + "\nprobe-exporter: " + file + " has mistakes: 1\n"; code != 1 || stderr != want {
			t.Errorf("%s: ended with %d:\n%s", name, code, cmp.Diff(want, stderr))
		}
	}
}
