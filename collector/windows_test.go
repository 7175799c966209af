package collector

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-kit/log"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"

	"github.com/onefiveten/onefiveten/config"
	"github.com/onefiveten/onefiveten/sigma"
)

// read gives windows as the command reads them.
func read(text string) (*Windows, error) {
	w := new(Windows)
	return w, config.Parse("windows.yml", []byte(text), w)
}

func TestWindows_TheBuiltInFileIsReadAsThatOfAUser(t *testing.T) {
	got, err := read(WindowsFile)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(got, DefaultWindows()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(DefaultWindows(), DefaultWindows().Mended()); diff != "" {
		t.Errorf("mended, though nothing is wrong: %s", diff)
	}
	text, err := yaml.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	again, err := read(string(text))
	if diff := cmp.Diff(got, again); err != nil || diff != "" {
		t.Errorf("written and read again: %v %s", err, diff)
	}
}

// cells are those of the rows of a table of DETECTION.md whose first cell matches.
func cells(t *testing.T, first string) (rows [][]string) {
	t.Helper()
	page, err := os.ReadFile("../docs/DETECTION.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range regexp.MustCompile("(?m)^\\| ("+first+") \\|.*\\|$").FindAllString(string(page), -1) {
		row := strings.Split(strings.Trim(line, "| "), " | ")
		for i := range row {
			row[i] = strings.Trim(row[i], "` ")
		}
		rows = append(rows, row)
	}
	return rows
}

func TestWindows_TheDocumentationShowsTheBuiltInRows(t *testing.T) {
	var want [][]string
	plain := func(x float64) string { return strings.TrimPrefix(fmt.Sprint(x), "0") }
	for _, name := range []string{"availability", "latency", "query"} {
		r, shown := DefaultWindows().Row("page", name), name
		detect := "the service's"
		if r.Detect != nil {
			detect = r.Detect.String()
		}
		if name == "query" {
			shown = "signals:"
		}
		want = append(want, []string{shown, r.Window.String(), plain(*r.Floor), "solved, at most " + plain(*r.MaxCap), fmt.Sprint(*r.MinAnomalies), fmt.Sprint(*r.K), fmt.Sprint(*r.Clear), r.Mode, detect})
	}
	rows := cells(t, "`availability`|`latency`|`signals:`")
	if diff := cmp.Diff(want, rows); diff != "" {
		t.Errorf("the table of rows (-built in +page):\n%s", diff)
	}
}

func TestWindows_TheDocumentationShowsTheBuiltInSeverities(t *testing.T) {
	var want [][]string
	w := DefaultWindows()
	for _, name := range w.Names() {
		v := w.Severities[name]
		targets := fmt.Sprintf("%s, %s, %s", v.Targets.Detect, v.Targets.Locate, v.Targets.Recover)
		row := []string{name, targets, v.Baseline.Window.String(), v.Baseline.Hold.String()}
		for _, kind := range rowNames() {
			r := w.Row(name, kind)
			if text := r.Window.String(); r.Detect == nil {
				row = append(row, text)
			} else {
				row = append(row, fmt.Sprintf("%s, %s", text, r.Detect))
			}
		}
		want = append(want, row)
	}
	if diff := cmp.Diff(want, cells(t, "P[1-5]|page|ticket")); diff != "" {
		t.Errorf("the table of severities (-built in +page):\n%s", diff)
	}
}

const wrongWindows = `signals:
  availability: {mode: loud, fault_window: 500ms, floor: 1, max_cap: 1, min_anomalies: 0, k_e: -1, clear: 0, detect: 0s}
  latency: {mode: ticket, floor: .7, max_cap: .6, min_anomalies: 3, cap: .5}
  queue: {mode: page}
severities:
  P1: {targets: {detect: 10m, locate: 5m, recover: 4m}, baseline: {window: 30s, hold: 1m}}
  p1: {targets: {detect: 1m, locate: 5m, recover: 0s}}
  a-b: {targets: {detect: 1m, locate: 5m, recover: 10m}, baseline: {window: 30m, hold: 16m}}
  P3:
    targets: {detect: 1m, locate: 5m, recover: 10m, repair: 1h}
    baseline: {window: 1h, hold: 30m}
    signals:
      availability: {floor: .9, detect: soon}
      latency: {max_cap: .65, clear: 0}
      disk: {}
  P4: {targets: {locate: 5m}}
`

const everyWrongWindow = `windows.yml:1: signals: no row query, want one for each of availability, latency and query
windows.yml:2: signals.availability.clear: got 0, want 1 or more
windows.yml:2: signals.availability.detect: got 0s, want more than 0s; leave it out for the target of the service
windows.yml:2: signals.availability.fault_window: got 500ms, want 1s to 24h
windows.yml:2: signals.availability.floor: got 1, want 0 or more and below 1
windows.yml:2: signals.availability.k_e: got -1, want 0 to 1e6
windows.yml:2: signals.availability.max_cap: got 1, want above 0 and below 1
windows.yml:2: signals.availability.min_anomalies: got 0, want 1 or more
windows.yml:2: signals.availability.mode: got "loud", want page or ticket
windows.yml:3: signals.latency.cap: unknown key
windows.yml:3: signals.latency.clear: missing: want every key but detect
windows.yml:3: signals.latency.fault_window: missing: want every key but detect
windows.yml:3: signals.latency.k_e: missing: want every key but detect
windows.yml:3: signals.latency.max_cap: got 0.6, want the floor of 0.7 or more
windows.yml:4: signals.queue: no such kind of signal, want availability, latency and query
windows.yml:6: severities.P1.baseline.hold: got 1m, want more than 9m: the recover target of 4m and 5m
windows.yml:6: severities.P1.baseline.window: got 30s, want 1m or more
windows.yml:6: severities.P1.targets: got detect 10m, locate 5m, recover 4m, want 0 < detect <= locate <= recover
windows.yml:7: severities.p1: it differs from "P1" by capitals alone: their rules would be one file where names of files do not
windows.yml:7: severities.p1.baseline.hold: got 0s, want more than the recover target and 5m, and at most half of the window
windows.yml:7: severities.p1.baseline.window: got 0s, want 1m or more
windows.yml:7: severities.p1.targets: recover: got 0s, want more than 0s
windows.yml:7: severities.p1.targets.recover: missing
windows.yml:8: severities.a-b: got the name "a-b", want letters, digits and _, a letter first, 64 at most
windows.yml:8: severities.a-b.baseline.hold: got 16m, want at most half of the window of 30m: a fault must leave something to judge it by
windows.yml:10: severities.P3.targets.repair: unknown key
windows.yml:13: severities.P3.signals.availability.detect: want a duration with its unit, such as 30s or 5m, got "soon"
windows.yml:14: severities.P3.signals.latency.clear: got 0, want 1 or more
windows.yml:14: severities.P3.signals.latency.max_cap: got 0.65, want the floor of 0.7 or more
windows.yml:15: severities.P3.signals.disk: no such kind of signal, want availability, latency and query
windows.yml:16: severities.P4.baseline.hold: got 0s, want more than the recover target and 5m, and at most half of the window
windows.yml:16: severities.P4.baseline.window: got 0s, want 1m or more
windows.yml:16: severities.P4.targets.detect: missing
windows.yml:16: severities.P4.targets.recover: missing
`

func TestWindows_EveryMistakeAtOnce(t *testing.T) {
	_, err := read(wrongWindows)
	if diff := cmp.Diff(everyWrongWindow, fmt.Sprint(err)+"\n"); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestWindows_WhatIsLeftOutIsNamed(t *testing.T) {
	rows, severities, _ := strings.Cut(WindowsFile, "\nseverities:\n")
	for name, c := range map[string]struct{ text, want string }{
		"nothing": {"", `windows.yml:1: severities: none, want at least one, such as page
windows.yml:1: signals: no row availability, want one for each of availability, latency and query
windows.yml:1: signals: no row latency, want one for each of availability, latency and query
windows.yml:1: signals: no row query, want one for each of availability, latency and query`},
		"no severity": {rows, "severities: none, want at least one, such as page"},
		"no row": {"severities:\n" + severities, `windows.yml:1: signals: no row availability, want one for each of availability, latency and query
windows.yml:1: signals: no row latency, want one for each of availability, latency and query
windows.yml:1: signals: no row query, want one for each of availability, latency and query`},
		"an empty severity": {rows + "\nseverities: {P1: }", "severities.P1.targets.locate: missing"},
	} {
		if _, err := read(c.text); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got\n%v\nwant\n%s", name, err, c.want)
		}
	}
}

// gold are windows with two severities of a user, the second with rows of its own.
const gold = `
signals:
  availability: {mode: page, fault_window: 2m, floor: 0, max_cap: .4, min_anomalies: 3, k_e: 0, clear: 2}
  latency: {mode: page, fault_window: 4m, floor: .5, max_cap: .7, min_anomalies: 2, k_e: 4, clear: 5}
  query: {mode: ticket, detect: 7m, fault_window: 6m, floor: .5, max_cap: .8, min_anomalies: 1, k_e: 1, clear: 1}
severities:
  gold: {targets: {detect: 30s, locate: 1m, recover: 2m}, baseline: {window: 20m, hold: 8m}}
  silver:
    targets: {detect: 5m, locate: 30m, recover: 1h}
    baseline: {window: 3h, hold: 75m}
    signals: {latency: {detect: 15m, floor: .6, mode: ticket}}
`

// metals are services of these windows, and of the ones that are built in.
const metals = `
observers: [a]
baselines: {slow: {window: 4h}, own: {window: 6h, hold: 2h}}
services:
- {name: one, owner: o, severity: FIRST}
- {name: two, owner: o, severity: SECOND, targets: {locate: 20m}, signals: {queue: {baseline: slow}, depth: {baseline: own}}}
probes:
- {name: p, service: one, module: fake, targets: [{url: a}]}
- {name: q, service: two, module: fake, targets: [{url: b}]}
signals:
- {name: queue, service: two, expr: x}
- {name: depth, service: two, expr: y}
`

// under gives the settings of metals with windows in force.
func under(t testing.TB, windows, first, second string) (Settings, []string) {
	t.Helper()
	w, err := read(windows)
	if err != nil {
		t.Fatal(err)
	}
	var s Settings
	if err := yaml.Unmarshal([]byte(strings.NewReplacer("FIRST", first, "SECOND", second).Replace(metals)), &s); err != nil {
		t.Fatal(err)
	}
	s.Windows = w
	var told []string
	s.Check(func(path, text string) { told = append(told, path+": "+text) })
	return s.Complete("a"), told
}

func TestWindows_EachServiceHasWhatItsSeveritySays(t *testing.T) {
	s, told := under(t, gold, "gold", "silver")
	if len(told) > 0 {
		t.Errorf("got mistakes: %q", told)
	}
	one, two := s.Services[0], s.Services[1]
	got := fmt.Sprint(one.Targets, two.Targets)
	if want := "{30s 1m 2m} {5m 20m 1h}"; got != want {
		t.Errorf("targets: got %s, want %s", got, want)
	}
	if got, want := one.Signals["availability"].Fault.Sigma(), (sigma.Fault{Window: 2 * time.Minute, MinAnomalies: 3, Clear: 2}); got != want {
		t.Errorf("availability: got %+v, want %+v", got, want)
	}
	latency := func(v Service) string {
		g := v.Signals["latency"]
		return fmt.Sprint(g.Mode, g.Targets.Detect, g.MaxCap, g.Fault.Sigma().Floor, g.Fault.Sigma().K)
	}
	if got, want := latency(one)+", "+latency(two), "page0s 0.7 0.5 4, ticket15m 0.7 0.6 4"; got != want {
		t.Errorf("latency: got %s, want %s", got, want)
	}
	spans := map[string]string{}
	for _, v := range s.Services {
		for name := range v.Signals {
			b := s.BaselineOf(v, name).Sigma()
			spans[v.Name+"/"+name] = fmt.Sprint(b.Window, " ", b.Hold)
		}
	}
	delete(spans, "one/availability") // which has none
	delete(spans, "two/availability")
	want := map[string]string{"one/latency": "20m0s 8m0s", "two/latency": "3h0m0s 1h15m0s", "two/queue": "4h0m0s 1h15m0s", "two/depth": "6h0m0s 2h0m0s"}
	if diff := cmp.Diff(want, spans); diff != "" {
		t.Errorf("baselines: %s", diff)
	}
}

func TestWindows_AServiceHasASeverityThatThereIs(t *testing.T) {
	for _, c := range []struct{ windows, first, second, want string }{
		{gold, "iron", "silver", `services[0].severity: got "iron", want one of gold, silver`},
		{gold, `""`, "silver", "services[0].severity: no severity, and there is none named page: want one of gold, silver"},
		{gold, "silver", "Silver", `services[1].severity: got "Silver", want one of gold, silver`},
		{gold, "silver", "gold", "services[1].targets: got detect 30s, locate 20m, recover 2m, want 0 < detect <= locate <= recover"},
		{WindowsFile, `""`, "P3", ""},
	} {
		s, told := under(t, c.windows, c.first, c.second)
		if got := strings.Join(told, "\n"); got != c.want {
			t.Errorf("%s, %s: got %q, want %q", c.first, c.second, got, c.want)
		}
		if c.want == "" && s.Services[0].Severity != "page" {
			t.Errorf("got severity %q by default, want page", s.Services[0].Severity)
		}
	}
}

// The hold of a baseline must do for each of its users; one that is left to the
// severities does, unless a service takes longer than its severity.
func TestWindows_ABaselineSuitsEachOfItsUsers(t *testing.T) {
	for baselines, want := range map[string]string{
		"{}":                                   "",
		"{default: {window: 3h, hold: 70m}}":   "",
		"{default: {hold: 30m}}":               `hold: got 30m, want more than 1h5m: the recover target of service "two" and 5m`,
		"{default: {window: 90m}}":             `hold: got 1h15m, want more than 1h5m: the recover target of service "two" and 5m; the window of 1h30m allows at most half of itself: want a window of more than 2h10m, and a hold between 1h5m and half of it`,
		"{default: {min_samples: 100}}":        "min_samples: got 100, but while a fault is kept out for a hold of 30m a window of 1h holds only",
		"{other: {hold: 30m, window: 50m}}":    "hold: got 30m, want at most 25m, half of the window of 50m",
		"{other: {hold: 30m}}":                 "",
		"{default: {window: 0s}}":              "window: got 0s, want more than 0s",
		"{default: {window: 3h, hold: 0s}}":    "hold: got 0s, want more than 0s",
		"{default: {window: 3h, hold: 1h5m}}":  "hold: got 1h5m, want more than 1h5m",
		"{default: {window: 2h20m, hold: 8h}}": "hold: got 8h, want at most 1h10m, half of the window of 2h20m",
	} {
		got := mistakes(fmt.Sprintf(`
baselines: %s
services: [{name: one, owner: o, severity: P1}, {name: two, owner: o, severity: P3}]
probes:
- {name: p, service: one, module: fake, interval: 30s, targets: [{url: a}]}
- {name: q, service: two, module: fake, interval: 30s, targets: [{url: b}]}
`, baselines))
		if (want == "") != (got == "") || !strings.Contains(got, want) || strings.Count(got, "\n") > 0 {
			t.Errorf("%s: got %q, want %q", baselines, got, want)
		}
	}
}

func TestSettings_ATargetIsNotZero(t *testing.T) {
	got := mistakes(strings.Replace(shop, "owner: team-shop", "owner: x, targets: {detect: 0s}", 1))
	if want := "services[0].targets: detect: got 0s, want more than 0s"; !strings.HasSuffix(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Another severity of equal windows keeps the state; another window begins the
// latency anew, and nothing else.
func TestWindows_StateIsKeptWhereNothingChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		c := New("a", log.NewNopLogger())
		put := func(severity string) *state {
			s := parse(t, strings.Replace(shop, "owner: team-shop", "owner: x, severity: "+severity, 1))
			if err := c.Apply(s, f.modules(), proved, nil); err != nil {
				t.Fatal(err)
			}
			return c.table.Load().targets[0].state
		}
		first := put("page")
		series := [signals]*sigma.Series{}
		for i := range series {
			series[i] = first.signals[i].series
		}
		if again := put("P1"); again != first || again.signals[ofLatency].series != series[ofLatency] {
			t.Error("the state of latency is gone, though P1 says the same")
		}
		other := put("P3")
		if other.signals[ofLatency].series == series[ofLatency] || other.signals[ofLatency].rules.baseline.Window != 3*time.Hour {
			t.Errorf("latency goes on with a window of %s", other.signals[ofLatency].rules.baseline.Window)
		}
	})
}

// FuzzWindows gives any file. What passes suits a service of each severity, with no
// baseline written, and sigma takes it. What does not pass can be mended.
func FuzzWindows(f *testing.F) {
	for _, text := range []string{WindowsFile, wrongWindows, gold, "", "signals: []", "severities: {P1: }", "severities: {P1: {targets: {detect: 1m}, baseline: }}"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		w, err := read(text)
		if err != nil {
			w = w.Mended()
		}
		for _, name := range w.Names() {
			if err != nil && !severityName.MatchString(name) {
				continue
			}
			s := Settings{Windows: w, Services: []Service{{Name: "shop", Owner: "o", Severity: name, Dimensions: []string{"node"}}}}.Complete("a")
			v := s.Services[0]
			for signal, g := range v.Signals {
				fault := g.Fault.Sigma()
				fault.Cap = g.MaxCap
				every := min(fault.Window, time.Minute)
				if g.MaxCap <= 0 || g.MaxCap >= 1 || fault.Window/every > sigma.MaxSlots {
					t.Fatalf("%s, %s: got a greatest cap of %v of %s", name, signal, g.MaxCap, fault.Window)
				}
			}
			b := s.BaselineOf(v, latency)
			if b.Hold <= v.Targets.Recover+model.Duration(holdExtra) || b.Hold > b.Window/2 {
				t.Fatalf("%s: got hold %s and window %s, recover %s", name, b.Hold, b.Window, v.Targets.Recover)
			}
			var told []string
			s.Check(func(path, text string) { told = append(told, path+": "+text) })
			if i := slices.IndexFunc(told, func(m string) bool { return !strings.HasPrefix(m, "baselines.default.min_samples") }); i >= 0 {
				t.Fatalf("%s: passed, and then %s", name, told[i])
			}
		}
	})
}
