package collector

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-kit/log"
	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/onefiveten/onefiveten/probe"
	"github.com/onefiveten/onefiveten/sigma"
)

func TestSettings_Defaults(t *testing.T) {
	s := parse(t, `
services: [{name: shop, owner: team-shop}]
probes: [{name: p, service: shop, module: fake, targets: [{url: h}]}]
`).Complete("host")
	if diff := cmp.Diff([]string{"host"}, s.Observers); diff != "" {
		t.Errorf("observers: %s", diff)
	}
	p, v := s.Probes[0], s.Services[0]
	got := fmt.Sprintln(p.Role, p.Interval, p.Overlap, v.Severity, v.Dimensions, v.Observers, v.Targets, s.Expose, s.Backend, s.Job)
	if want := "node 15s 1 page [node] [host] {1m 5m 10m} minimal exporter probe"; got != want+"\n" {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := s.BaselineOf(s.Services[0], "latency").Sigma(), (sigma.Baseline{Window: time.Hour, K: 3, MinSamples: 30, Direction: sigma.Upper, Season: sigma.NoSeason, Hold: 30 * time.Minute}); got != want {
		t.Errorf("baseline: got %+v, want %+v", got, want)
	}
	a, l := v.Signals["availability"], v.Signals["latency"]
	if got, want := a.Fault.Sigma(), (sigma.Fault{Window: time.Minute, Floor: .05, MinAnomalies: 2, K: 3, Clear: 3}); got != want || a.Mode != "page" || a.Baseline != "" || a.Targets.Detect != 0 {
		t.Errorf("availability: got %+v %+v, want %+v without a cap, mode page", a, got, want)
	}
	if got, want := l.Fault.Sigma(), (sigma.Fault{Window: 3 * time.Minute, Floor: .55, MinAnomalies: 3, K: 3, Clear: 3}); got != want || l.Mode != "ticket" || l.Baseline != "default" || time.Duration(l.Targets.Detect) != 3*time.Minute {
		t.Errorf("latency: got %+v %+v, want %+v without a cap, mode ticket, detect 3m", l, got, want)
	}
}

func TestSettings_WhatIsWrittenHolds(t *testing.T) {
	s := parse(t, `
observers: [a, b]
baselines: {default: {k: 4}, slow: {window: 1d, min_samples: 100, floor: 0.1, direction: both, hold: 40m}}
services:
- name: shop
  owner: team-shop
  severity: ticket
  dimensions: [zone, node]
  observers: [b]
  targets: {detect: 30s}
  signals:
    availability: {mode: ticket, targets: {detect: 45s}, fault: {fault_window: 2m, floor: 0, cap: .3, min_anomalies: 1, k_e: 0, clear: 5}}
    latency: {mode: page, baseline: slow, expose: full}
probes: [{name: p, service: shop, module: fake, role: entry, interval: 2s, overlap: 3, targets: [{url: h, labels: {zone: za}}]}]
`).Complete("a")
	v := s.Services[0]
	if got, want := v.Signals["availability"].Fault.Sigma(), (sigma.Fault{Window: 2 * time.Minute, Cap: .3, MinAnomalies: 1, Clear: 5}); got != want {
		t.Errorf("availability: got %+v, want %+v", got, want)
	}
	if got := s.Baselines["slow"].Sigma(); got.Window != 24*time.Hour || got.K != 3 || got.Direction != sigma.Both || got.Floor != .1 {
		t.Errorf("baseline slow: got %+v", got)
	}
	if got := s.Baselines["default"]; got.K != 4 || got.MinSamples != 30 {
		t.Errorf("baseline default: got %+v, want k 4 and the other defaults", got)
	}
	if l := v.Signals["latency"]; l.Mode != "page" || l.Baseline != "slow" || l.Expose != "full" {
		t.Errorf("latency: got %+v", l)
	}
	if v.Severity != "ticket" || time.Duration(v.Targets.Detect) != 30*time.Second || time.Duration(v.Targets.Recover) != 10*time.Minute || !slices.Equal(v.Observers, []string{"b"}) {
		t.Errorf("service: got %+v", v)
	}
}

// mistakes gives what a user sees.
func mistakes(text string) string {
	_, err := load(strings.TrimPrefix(text, "\n"))
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestSettings_EveryMistakeAtOnce(t *testing.T) {
	got := mistakes(everythingWrong)
	if diff := cmp.Diff(everyMistake, got+"\n"); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

const everythingWrong = `
observers: [a, a, ""]
expose: all
backend: thanos
duration_buckets: [0.1, 0.1, -1]
signals: [{name: queue, expr: up}]
baselines:
  default: {window: 10s, k: -1, min_samples: 1, floor: -2, direction: left, season: weekly, timezone: Mars/Olympus, hold: 15m}
services:
- name: shop
  severity: ticket
  dimensions: [node, node, "a b", service]
  observers: [a, c]
  targets: {detect: 6m, locate: 5m}
  signals:
    availability: {mode: loud, baseline: default, expose: some, fault: {fault_window: 500ms, floor: 1, cap: 2, min_anomalies: 0, k_e: -1, clear: 0}}
    latency: {baseline: none, targets: {detect: 1m}, fault: {floor: .8, cap: .6}}
    queue: {mode: ticket}
- {name: shop, owner: x, severity: high}
- {name: "", owner: x}
probes:
- name: p
  service: gone
  role: master
  interval: 0s
  overlap: 0
  targets: [{url: ""}, {url: h, labels: {exported_x: a, __y: a, le: a, "a-b": a, zone: ""}}, {url: h}]
- {name: p, service: shop, module: fake, role: entry, targets: [{url: h, labels: {node: n1}}]}
- {name: q, service: shop, module: fake, file_sd: {files: ["*/x.yml", x.txt, "[.json"], refresh: 10ms, refresh_interval: 1s}, http_sd: {url: x, refresh_interval: 0s}}
- {name: s, service: shop, module: fake, file_sd: {refresh: 1m}, http_sd: {url: "http://me:it@h/", http_config: {follow: true}}}
- {name: r, service: shop, module: fake}
`

const everyMistake = `probe.yml:1: observers[1]: name "a" stands twice in observers
probe.yml:1: observers[2]: name "", want a text in UTF-8
probe.yml:2: expose: got "all", want minimal or full
probe.yml:3: backend: got "thanos", want exporter or promql
probe.yml:4: duration_buckets[1]: got 0.1, want seconds above 0 that rise
probe.yml:4: duration_buckets[2]: got -1, want seconds above 0 that rise
probe.yml:5: signals[0].service: no service, want the one that the signal is of
probe.yml:7: baselines.default.direction: got "left", want upper, lower or both
probe.yml:7: baselines.default.floor: got -2, want 0 or more
probe.yml:7: baselines.default.hold: got 15m, want more than 15m: the recover target of service "shop" and 5m; the window of 10s allows at most half of itself: want a window of more than 30m, and a hold between 15m and half of it
probe.yml:7: baselines.default.k: got -1, want 0 to 1e6
probe.yml:7: baselines.default.min_samples: got 1, want 2 or more
probe.yml:7: baselines.default.season: got "weekly", want none or daily
probe.yml:7: baselines.default.timezone: got "Mars/Olympus", want a name such as UTC or Asia/Shanghai: unknown time zone Mars/Olympus
probe.yml:7: baselines.default.window: got 10s, want 1m or more
probe.yml:9: services[0].owner: no owner, want who answers for the service
probe.yml:11: services[0].dimensions[1]: name "node" stands twice in dimensions
probe.yml:11: services[0].dimensions[2]: got "a b", want the name of a label of targets, such as node
probe.yml:11: services[0].dimensions[3]: got "service", want the name of a label of targets, such as node
probe.yml:12: services[0].observers[1]: "c" is not listed in observers
probe.yml:13: services[0].targets: got detect 6m, locate 5m, recover 10m, want 0 < detect <= locate <= recover
probe.yml:15: services[0].signals.availability.baseline: availability has none: a failed probe is bad at once
probe.yml:15: services[0].signals.availability.expose: got "some", want minimal or full
probe.yml:15: services[0].signals.availability.fault.cap: got 2, want above 0 and below 1
probe.yml:15: services[0].signals.availability.fault.clear: got 0, want 1 or more
probe.yml:15: services[0].signals.availability.fault.fault_window: got 500ms, want 1s to 24h
probe.yml:15: services[0].signals.availability.fault.floor: got 1, want 0 or more and below 1
probe.yml:15: services[0].signals.availability.fault.k_e: got -1, want 0 to 1e6
probe.yml:15: services[0].signals.availability.fault.min_anomalies: got 0, want 1 or more
probe.yml:15: services[0].signals.availability.mode: got "loud", want page or ticket
probe.yml:16: services[0].signals.latency.baseline: "none" is not among the baselines
probe.yml:16: services[0].signals.latency.fault.cap: got 0.6, want the floor of 0.8 or more
probe.yml:17: services[0].signals.queue: got queue, want availability, latency or the name of an entry of signals whose service is "shop"
probe.yml:18: services[1].name: name "shop" stands twice in services
probe.yml:18: services[1].severity: got "high", want one of P1, P2, P3, P4, P5, page, ticket
probe.yml:19: services[2].name: name "", want a text in UTF-8
probe.yml:21: probes[0].module: no module named
probe.yml:22: probes[0].service: "gone" is not among the services
probe.yml:23: probes[0].role: got "master", want node or entry
probe.yml:24: probes[0].interval: got 0s, want 1s or more
probe.yml:25: probes[0].overlap: got 0, want 1 to 1000
probe.yml:26: probes[0].targets[0].url: got "", want an address
probe.yml:26: probes[0].targets[1].labels.__y: label name "__y" is reserved
probe.yml:26: probes[0].targets[1].labels.a-b: label name "a-b", want letters, digits and _
probe.yml:26: probes[0].targets[1].labels.exported_x: label name "exported_x" is reserved
probe.yml:26: probes[0].targets[1].labels.le: label name "le" is reserved
probe.yml:26: probes[0].targets[1].labels.zone: got "", want a text in UTF-8
probe.yml:26: probes[0].targets[2].url: "h" is target 1 of this probe already
probe.yml:27: probes[1].name: name "p" stands twice in probes
probe.yml:27: probes[1].targets[0].labels.node: an entry is no node: leave the label out, or set role: node
probe.yml:28: probes[2].file_sd.files[0]: got "*/x.yml", want a pattern in the last part of the name alone
probe.yml:28: probes[2].file_sd.files[1]: got "x.txt", want a name that ends in .json, .yml or .yaml
probe.yml:28: probes[2].file_sd.files[2]: got "[.json", want a pattern in the last part of the name alone
probe.yml:28: probes[2].file_sd.refresh: got 10ms, want 1s or more
probe.yml:28: probes[2].file_sd.refresh_interval: refresh is given too; want one of the two
probe.yml:28: probes[2].http_sd.refresh_interval: got 0s, want 1s or more
probe.yml:28: probes[2].http_sd.url: want http://host/path or https://host/path
probe.yml:29: probes[3].file_sd.files: no file named
probe.yml:29: probes[3].http_sd.http_config.follow: unknown key
probe.yml:29: probes[3].http_sd.url: it holds a user; want it in http_config, as basic_auth
probe.yml:30: probes[4].targets: no target, want at least one, or file_sd or http_sd
`

// The command hands every signal on, those with a mistake too: all mistakes are
// told at once.
func TestSettings_ASignalWithoutItsQueryCanBeHandedOn(t *testing.T) {
	s, err := load(strings.Replace(shop, "owner: team-shop", "owner: team-shop, signals: {queue: {mode: ticket, fault: {cap: 0.3}}}", 1))
	if err == nil {
		t.Fatal("the signal was taken")
	}
	if got, want := s.Complete("a").Services[0].Signals["queue"].Fault.Sigma(), (sigma.Fault{Cap: .3}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// YAML brings any bytes into a text by !!binary. Prometheus refuses the whole
// page for one label that is not UTF-8.
func TestEveryTextThatBecomesALabelIsUTF8(t *testing.T) {
	text := "job: J\nobservers: [a, O]\n" + strings.TrimPrefix(strings.Replace(shop, "owner: team-shop", "owner: W", 1), "\nobservers: [a]\n")
	for _, at := range []string{"J", "O", "W", "shop", "shop-nodes", `"http://n1/"`, "n1,"} {
		bad := strings.Replace(text, ": "+at, ": !!binary /w=="+strings.Repeat(",", strings.Count(at, ",")), 1)
		bad = strings.Replace(bad, "a, "+at+"]", "a, !!binary /w==]", 1)
		if got := mistakes(bad); !strings.Contains(got, `"\xff"`) || !strings.Contains(got, "UTF-8") && at != `"http://n1/"` {
			t.Errorf("%s: got %q", at, got)
		}
	}
}

func TestSettings_HTTPConfigIsCheckedAndShowsNoSecret(t *testing.T) {
	asking := func(http string) string { return discovering(`http_sd: {url: "http://h/", http_config: ` + http + "}") }
	got := mistakes(asking("{basic_auth: {username: u, password: hidden, password_file: b}}"))
	if !strings.Contains(got, "at most one of basic_auth password") || strings.Contains(got, "hidden") {
		t.Errorf("got %q, want a mistake that names no password", got)
	}
	s := parse(t, asking("{authorization: {credentials_file: sd.token}, http_headers: {X-Token: {secrets: [hidden], files: [t]}}}"))
	s.SetDirectory("/etc/probe")
	shown, err := yaml.Marshal(s)
	if err != nil || strings.Contains(string(shown), "hidden") || !strings.Contains(string(shown), "credentials_file: /etc/probe/sd.token") {
		t.Errorf("got %v and\n%s\nwant the file in its folder and no secret", err, shown)
	}
	if h := s.Probes[0].HTTPSD.HTTPConfig; !h.FollowRedirects || !h.EnableHTTP2 {
		t.Errorf("got %+v, want Prometheus' defaults", h)
	}
}

// A label that stands twice on a line costs the whole page.
func TestSettings_ADimensionIsALabelThatTargetsMayCarry(t *testing.T) {
	for name, refused := range map[string]bool{"zone": false, "exported_node": true, "__name__": true, "le": true, "a b": true} {
		got := mistakes(strings.Replace(shop, "owner: team-shop", fmt.Sprintf("owner: x, dimensions: [node, %q]", name), 1))
		if strings.Contains(got, fmt.Sprintf("dimensions[1]: got %q, want the name of a label of targets", name)) != refused || !refused && got != "" {
			t.Errorf("%s: got %q, refused %t", name, got, refused)
		}
	}
}

func TestSettings_EveryLabelThatThePageAddsIsReserved(t *testing.T) {
	all := slices.Clone(reasonLabels)
	for _, p := range append(ofSignal[:], ofQuery) {
		all = append(append(all, p.signal, p.lower, p.upper), slices.Collect(maps.Values(p.features))...)
	}
	for _, l := range all {
		for _, p := range l.pairs {
			if !isReserved(p.name) {
				t.Errorf("%s: a target may carry the label %q too", l.text, p.name)
			}
		}
	}
}

func TestSettings_ReservedLabelNames(t *testing.T) {
	for _, name := range strings.Fields("exported_x __x le quantile reason signal bound feature phase alertname observer probe instance job service role owner mode severity heal scope dimension member rule_set") {
		got := mistakes(strings.Replace(shop, "node: n1", name+": n1", 1))
		if want := fmt.Sprintf("label name %q is reserved", name); !strings.Contains(got, want) {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	for _, name := range []string{"zone", "version", "node", "cluster", "exporter"} {
		if got := mistakes(strings.Replace(shop, "node: n1, zone: za", name+": x", 1)); got != "" {
			t.Errorf("%s: got %q, want no mistake", name, got)
		}
	}
}

func TestSettings_HoldOutlivesTheTimeToRecover(t *testing.T) {
	for hold, ok := range map[string]bool{"14m59s": false, "15m": false, "15m1s": true} {
		got := mistakes(fmt.Sprintf("baselines: {default: {hold: %s}}\n%s", hold, shop))
		want := "got " + hold + ", want more than 15m: the recover target of service \"shop\" and 5m"
		if ok && got != "" || !ok && !strings.Contains(got, want) {
			t.Errorf("hold %s: got %q", hold, got)
		}
	}
}

func TestSettings_Modules(t *testing.T) {
	s := parse(t, strings.Replace(shop, "module: fake", "module: fake\n  overlap: 1", 1))
	answer := func(context.Context, string) probe.Result { return probe.Result{} }
	for _, c := range []struct {
		modules map[string]Module
		overlap int
		want    string
	}{
		{map[string]Module{"fake": {Probe: answer, Timeout: 5 * time.Second}}, 1, ""},
		{map[string]Module{"fake": {Probe: answer}}, 1, ""},
		{map[string]Module{"tcp": {}, "http": {}}, 1, `probes[0].module: "fake" is not among the modules: http, tcp`},
		{map[string]Module{"fake": {Probe: answer, Timeout: 12 * time.Second}}, 1, "probes[0].module: its timeout of 12s is longer than the interval of 5s: shorten it, or set overlap to 3"},
		{map[string]Module{"fake": {Probe: answer, Timeout: 12 * time.Second}}, 2, "probes[0].module: its timeout of 12s is longer than the interval of 5s: shorten it, or set overlap to 3"},
		{map[string]Module{"fake": {Probe: answer, Timeout: 12 * time.Second}}, 3, ""},
	} {
		s.Probes[0].Overlap = c.overlap
		got := ""
		s.CheckModules(c.modules, func(path, text string) { got += path + ": " + text })
		if got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

// FuzzSettings gives any text. What passes Check must be applied, as long as
// its modules are there and a cap is proved that is not below the floor. Rules
// refuse what no cap can prove.
func FuzzSettings(f *testing.F) {
	for _, text := range []string{shop, fullShop, everythingWrong, "", "services: [{name: s, owner: o, signals: {availability: {fault: {floor: .3}}}}]",
		queue, wrongQueries, strings.Replace(queue, "unit: items", "range: {min: 0}, max_series: 3, scrape_interval: 5s", 1),
		plain, plainShop, "probes: [{name: p, module: m, role: entry, targets: [h, ~, [h], {url: g, labels: {node: n, le: x}}]}]", "probes: [{name: p, module: m, targets: &t [a, {url: b}]}, {name: q, module: m, targets: *t}]"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := load(text)
		if err != nil {
			return
		}
		modules, proofs := map[string]Module{}, []Proof{}
		for _, p := range s.Probes {
			modules[p.Module] = Module{Probe: (&fake{}).probe}
			for _, signal := range signalNames {
				proofs = append(proofs, Proof{Service: p.Service, Signal: signal, Cap: .5})
			}
		}
		for _, q := range s.Signals {
			proofs = append(proofs, Proof{Service: q.Service, Signal: q.Name, Cap: .5})
		}
		name := "a"
		if len(s.Observers) > 0 {
			name = s.Observers[0]
		}
		c := New(name, log.NewNopLogger())
		if err := c.Apply(s, modules, proofs, &lake{}); err != nil && !strings.Contains(err.Error(), "cap 0.5: want") && !strings.Contains(err.Error(), "is sure to pass cap") {
			t.Errorf("Check has passed and Apply has not: %v\n%s", err, text)
		}
	})
}
