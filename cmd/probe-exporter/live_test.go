package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/onefiveten/onefiveten/rules"
	"github.com/onefiveten/onefiveten/rules/living"
)

// system is what a Prometheus and an Alertmanager tell: of paths of the API the data,
// of queries the series.
type system struct {
	paths, queries map[string]string
	ahead          time.Duration // of its clock
	am             string        // configuration of Alertmanager; empty: it does not answer
	peers          int
}

// runs is a system that is as the configuration says.
func runs(t *testing.T, file string) *system {
	t.Helper()
	s, err := load(files{file: file}, "")
	if err != nil {
		t.Fatal(err)
	}
	spec := s.spec()
	files, _, err := rules.Generate(spec)
	if err != nil {
		t.Fatal(err)
	}
	scrape := s.Prometheus.Scrape
	sys := &system{am: string(files[rules.AlertmanagerFile]), peers: 1, queries: map[string]string{renamed(time.Duration(scrape.Interval)): "", slowest: "", missed: "", ahead: "", behind: ""}, paths: map[string]string{
		"targets":       fmt.Sprintf(`{"activeTargets":[{"scrapePool":"p","scrapeUrl":"http://a.test/x/metrics/probes","scrapeInterval":"%s","scrapeTimeout":"%s","health":"up"}]}`, scrape.Interval, scrape.Wait()),
		"status/config": `{"yaml":"scrape_configs: [{job_name: p, honor_labels: true}]"}`,
		"status/flags":  `{"query.lookback-delta":"5m","rules.alert.resend-delay":"1m"}`,
		"alertmanagers": `{"activeAlertmanagers":[{"url":"http://a.test:9093/api/v2/alerts"}]}`,
	}}
	written, err := ourGroups(spec)
	if err != nil {
		t.Fatal(err)
	}
	sys.load(t, written)
	told := map[string][]string{}
	for _, o := range spec.Observers {
		told["onefiveten_observer_info"] = append(told["onefiveten_observer_info"], series(map[string]string{"observer": o}, 1))
		told["probe_exporter_config_hash_info"] = append(told["probe_exporter_config_hash_info"], series(map[string]string{"observer": o, "hash": s.hash}, 1))
	}
	for _, f := range facts(spec, rules.Prove(spec)) {
		labels, value := maps.Clone(f.Who), 1.
		maps.Copy(labels, f.Labels)
		if f.Value != nil {
			value = *f.Value
		}
		told[f.Metric] = append(told[f.Metric], series(labels, value))
	}
	for metric, query := range exposed() {
		sys.queries[query] = strings.Join(told[metric], ",")
	}
	return sys
}

// series writes one element of a vector.
func series(labels map[string]string, value float64) string {
	text, _ := json.Marshal(labels)
	return fmt.Sprintf(`{"metric":%s,"value":[1e9,"%v"]}`, text, value)
}

// load makes groups those that the system has loaded.
func (s *system) load(t *testing.T, groups []living.Group) {
	t.Helper()
	type object = map[string]any
	var all []object
	for _, g := range groups {
		one := object{"name": g.Name, "file": g.File, "interval": g.Interval.Seconds(), "evaluationTime": .01, "lastEvaluation": "2026-11-21T13:00:00Z"}
		var list []object
		for _, r := range g.Rules {
			kind := "recording"
			if r.Alerting {
				kind = "alerting"
			}
			list = append(list, object{"type": kind, "name": r.Name, "query": r.Expr, "labels": r.Labels, "annotations": r.Annotations, "duration": r.For.Seconds(), "keepFiringFor": r.Keep.Seconds(), "health": "ok"})
		}
		one["rules"] = list
		all = append(all, one)
	}
	text, err := json.Marshal(object{"groups": all})
	if err != nil {
		t.Fatal(err)
	}
	s.paths["rules"] = string(text)
}

// serve answers as both servers.
func (s *system) serve(t *testing.T) string {
	t.Helper()
	return "http://" + site(t, s.answer)
}

// answer is one answer.
func (s *system) answer(w http.ResponseWriter, r *http.Request) {
	path, query := strings.TrimPrefix(r.URL.Path, "/api/v1/"), r.FormValue("query")
	data := s.paths[path]
	switch {
	case path == "/api/v2/status":
		s.status(w)
		return
	case query == "time()":
		data = fmt.Sprintf(`{"resultType":"scalar","result":[%f,"0"]}`, float64(time.Now().Add(s.ahead).UnixMilli())/1000)
	case path == "query":
		data = `{"resultType":"vector","result":[` + s.queries[query] + `]}`
	}
	if data == "" {
		http.Error(w, "", http.StatusForbidden)
		return
	}
	fmt.Fprintf(w, `{"status":"success","data":%s}`, data)
}

// status is that of Alertmanager.
func (s *system) status(w http.ResponseWriter) {
	if s.am == "" {
		http.Error(w, "", http.StatusServiceUnavailable)
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"config": map[string]string{"original": s.am}, "cluster": map[string]any{"status": "ready", "peers": make([]struct{}, s.peers)}})
}

// shortly is house with a scrape of which nothing warns.
func shortly(t *testing.T) string {
	return write(t, strings.NewReplacer("HOST", "127.0.0.1:1", "timeout: 500ms}, eval", "timeout: 400ms}, eval").Replace(house))
}

func TestCheck_ASystemThatIsAsWrittenHasNoFindingAndTheBoundsThatWereProved(t *testing.T) {
	file := shortly(t)
	url := runs(t, file).serve(t)
	code, stdout, stderr := call(t, "check", "--config.file="+file, "--prometheus.url="+url, "--alertmanager.url="+url)
	// Prometheus sends to a.test, and the one that was asked has another address.
	if want := "--alertmanager.url: warning: Prometheus sends alerts to http://a.test:9093/api/v2/alerts, and not to " + url; code != 0 || strings.Count(stdout, "warning: ") != 1 || !strings.Contains(stdout, want) {
		t.Errorf("ended with %d: %s%s", code, stdout, stderr)
	}
	_, table, found := strings.Cut(stdout, "\nAs the system runs:\nSERVICE ")
	if !found || strings.Count(table, "\nshop ") != 2 {
		t.Errorf("want the living bounds below those that were proved: %s", stdout)
	}
	code, stdout, _ = call(t, "check", "--json", "--config.file="+file, "--prometheus.url="+url)
	var got struct {
		Bounds []bound
		Living []bound `json:"living_bounds"`
	}
	if err := json.Unmarshal([]byte(stdout), &got); err != nil || code != 0 || len(got.Living) != 2 {
		t.Fatalf("ended with %d: %v, %+v", code, err, got)
	}
	for i, b := range got.Living {
		// The evaluation was seen to take 10 ms, where 200 ms are reckoned with.
		if want := got.Bounds[i].Bound - .19; b.Bound < want-1e-6 || b.Bound > want+1e-6 {
			t.Errorf("got the living bound %v, want %v", b.Bound, want)
		}
	}
}

// TestCheck_TellsEachWayInWhichARunningSystemBreaksThePromise changes one thing at a
// time, in what Prometheus and Alertmanager tell.
func TestCheck_TellsEachWayInWhichARunningSystemBreaksThePromise(t *testing.T) {
	file := shortly(t)
	right := *runs(t, file)
	change := func(key, old, by string) func(*system) {
		return func(s *system) {
			into := s.paths
			if _, query := s.queries[key]; query {
				into = s.queries
			}
			changed := strings.Replace(into[key], old, by, 1)
			if key == "am" {
				changed = strings.ReplaceAll(s.am, old, by)
				s.am, into = changed, map[string]string{}
			}
			if into[key] == changed {
				t.Errorf("%s holds no %q", key, old)
			}
			into[key] = changed
		}
	}
	for name, c := range map[string]struct {
		change  func(*system)
		wrong   string // what errors hold; empty: there are none
		warning string
	}{
		"rule edited":           {change("rules", `mode=\"page\"}) \u003e 0`, `mode=\"page\"}) \u003e 1`), `--prometheus.url: the rule FaultDetected of the group "onefiveten:page-node" is not the one that was written: expr has "`, ""},
		"slow evaluation":       {change("rules", `"evaluationTime":0.01`, `"evaluationTime":0.3`), `FILE:4: prometheus.evaluation.delay: the group "onefiveten:page-node" has taken 300ms, reckoned with 200ms`, ""},
		"was slow":              {change(slowest, "", series(map[string]string{"rule_group": "rules/onefiveten-watchers.yml;onefiveten:watchers"}, .9)), "", `FILE:4: prometheus.evaluation.delay: warning: the group "onefiveten:watchers" has taken 900ms within the last minutes`},
		"missed evaluations":    {change(missed, "", series(map[string]string{"rule_group": "f;onefiveten:watchers"}, 2.1)), "", `warning: the group "f;onefiveten:watchers" has missed about 3 evaluations in the last 10m`},
		"group interval":        {change("rules", `"interval":1`, `"interval":70`), `as the system runs, a fault takes 78.91s to the webhook, over the target of 60s; proved were 10.1s: E has grown from 1s to 70s`, ""},
		"offset":                {change("status/config", `yaml":"`, `yaml":"global: {rule_query_offset: 3s}\n`), `FILE:4: prometheus.evaluation.query_offset: reckons with 0s, rule_query_offset of Prometheus is 3s: the bounds are too short`, ""},
		"resend delay":          {change("status/flags", `resend-delay":"1m`, `resend-delay":"5m`), "", "--rules.alert.resend-delay is 5m: one alert that is lost"},
		"short lookback":        {change("status/flags", `delta":"5m`, `delta":"1s`), "--query.lookback-delta is 1s, and scrapes may lie 1.4s apart", ""},
		"long lookback":         {change("status/flags", `delta":"5m`, `delta":"1h`), "", "--query.lookback-delta is 1h: the last votes"},
		"alerts to nobody":      {change("alertmanagers", `{"url":"http://a.test:9093/api/v2/alerts"}`, ""), "--prometheus.url: alerts are sent to nobody", ""},
		"secretive about rules": {change("rules", `{"groups"`, `{"other"`), "", "--prometheus.url: warning: rules were not looked at"},
		"an observer away":      {change("group by (observer) (onefiveten_observer_info)", series(map[string]string{"observer": "b"}, 1), series(map[string]string{"observer": "c"}, 1)), `FILE:6: observers: "b" gives no results, onefiveten_observer_info is not there; seen: a, c`, `FILE:6: observers: warning: "c" gives results and is not listed`},
		"no votes":              {change("count by (service, signal, observer) (ksigma_fault)", `"observer":"b","service":"shop","signal":"availability"`, `"observer":"b","service":"shop","signal":"other"`), `FILE:11: services[0].signals.availability: ksigma_fault{observer="b", service="shop", signal="availability"} is not there: no fault of it is seen`, ""},
		"no votes of a ticket":  {change("count by (service, signal, observer) (ksigma_fault)", `"observer":"b","service":"shop","signal":"latency"`, `"signal":"other"`), "", `warning: ksigma_fault{observer="b", service="shop", signal="latency"} is not there: no fault of it is seen; a signal with a baseline votes from min_samples on`},
		"another severity":      {change("onefiveten_service_info", `"severity":"page"`, `"severity":"ticket"`), `FILE:11: services[0]: onefiveten_service_info{service="shop"} has severity="ticket", want "page"`, ""},
		"another mode":          {change("onefiveten_signal_info", `"mode":"page"`, `"mode":"ticket"`), `has mode="ticket", want "page"`, ""},
		"another target":        {change("onefiveten_target_seconds", `"60"`, `"90"`), `onefiveten_target_seconds{service="shop", stage="detect"} is 90, want 60`, ""},
		"another bound":         {change("onefiveten_detect_bound_seconds", `"10.1"`, `"19"`), `onefiveten_detect_bound_seconds{service="shop", signal="availability"} is 19, want 10.1`, ""},
		"a clock ahead":         {change(ahead, "", series(map[string]string{"observer": "a"}, -4.25)), "", `--prometheus.url: warning: the clock of the observer "a" is 4.2 s ahead`},
		"a clock behind":        {change(behind, "", series(map[string]string{"observer": "b"}, 40)), `--prometheus.url: the youngest result of the observer "b" is 40.0 s old, and none of its votes counts`, ""},
		"another configuration": {change("group by (observer, hash) (probe_exporter_config_hash_info)", `"hash":"`, `"hash":"0`), "", "--prometheus.url: warning: a runs a configuration of the hash 0"},
		"group_wait":            {change("am", "group_wait: 0s", "group_wait: 30s"), "FILE:5: alertmanager.group_wait: FaultDetected, FaultLocated, FaultNotLocated, ObserverFault, RecoveryOverdue: waits for group_wait 30s, reckoned with 0s: the bounds are too short", ""},
		"group_by":              {change("am", "group_by: ['...']", "group_by: [service]"), "its route groups by [service], without alertname, member, node, observer, scope, signal", ""},
		"a long group_wait":     {change("am", "group_wait: 0s", "group_wait: 2m"), "over the target of 60s; proved were 10.1s: G has grown from 0s to 120s", ""},
		"no route":              {change("am", `heal="true"`, `heal="yes"`), `FILE:5: alertmanager.webhook.url: FaultDetected, FaultLocated, FaultNotLocated, ObserverFault, RecoveryOverdue, Watchdog: goes to "people", and never to "heal"`, ""},
		"people left out":       {change("am", "    - matchers: [heal=\"true\"]\n      group_by: [service]\n", ""), "", "only heal-receiver is told"},
		"a slow pulse":          {change("am", "repeat_interval: 45s", "repeat_interval: 4h"), "", "--alertmanager.url: warning: Watchdog: comes every 4h, where a dead man"},
		"inhibited": {func(s *system) {
			s.am += "inhibit_rules: [{source_matchers: [a=\"b\"], target_matchers: [alertname=FaultLocated]}]\n"
		}, "--alertmanager.url: FaultLocated: inhibit_rules[0] can mute it", ""},
		"no YAML":         {func(s *system) { s.am = "route: secretive" }, "--alertmanager.url: reading Alertmanager's configuration: its 16 bytes are no YAML of Alertmanager", ""},
		"no Alertmanager": {func(s *system) { s.am = "" }, "--alertmanager.url: asking http://127.0.0.1:", ""},
		"more peers":      {func(s *system) { s.peers = 3 }, "FILE:5: alertmanager.peers: reckons with 1, the cluster has 3: the bounds are too short", ""},
		"external labels": {change("status/config", `yaml":"`, `yaml":"global: {external_labels: {heal: x, dc: a}}\n`), "", ""},
		"relabelled":      {change("status/config", `yaml":"`, `yaml":"alerting: {alert_relabel_configs: [{action: labeldrop, regex: heal}]}\n`), `goes to "people", and never to "heal"`, ""},
		"dropped":         {change("status/config", `yaml":"`, `yaml":"alerting: {alert_relabel_configs: [{action: drop, source_labels: [alertname], regex: Watchdog}]}\n`), "Watchdog: alert_relabel_configs of Prometheus drop it", ""},
	} {
		sys := right
		sys.paths, sys.queries = maps.Clone(right.paths), maps.Clone(right.queries)
		c.change(&sys)
		url := sys.serve(t)
		code, stdout, stderr := call(t, "check", "--config.file="+file, "--prometheus.url="+url, "--alertmanager.url="+url)
		stdout, stderr = strings.ReplaceAll(stdout, file, "FILE"), strings.ReplaceAll(stderr, file, "FILE")
		if (code != 0) != (c.wrong != "") || !strings.Contains(stderr, c.wrong) {
			t.Errorf("%s: ended with %d: %s\nwant %s", name, code, stderr, c.wrong)
		}
		want := 1 // that of the other address
		if c.warning != "" {
			want = 2
		}
		if got := strings.Count(stdout, "warning: "); !strings.Contains(stdout, c.warning) || c.wrong == "" && got != want {
			t.Errorf("%s: told %d warnings: %s\nwant %d and %s", name, got, stdout, want, c.warning)
		}
	}
}

// TestCheck_WindowsOfPromQLAreOfOneInterval: under backend promql a faster scrape, or a
// faster evaluation of a latency, is as wrong as a slower one, and no bound is told.
func TestCheck_WindowsOfPromQLAreOfOneInterval(t *testing.T) {
	text := strings.NewReplacer("HOST", "127.0.0.1:1", "interval: 1s, timeout: 500ms}, evaluation: {interval: 1s", "interval: 2s, timeout: 400ms}, evaluation: {interval: 2s").Replace(house)
	file := write(t, text+"backend: promql\n")
	for name, c := range map[string]struct {
		path, old, by, wrong string
		refused              int // bounds without a sum
	}{
		"as written":        {"rules", "", "", "", 0},
		"faster scrapes":    {"targets", `"scrapeInterval":"2s"`, `"scrapeInterval":"1s"`, "prometheus.scrape.interval: reckons with 2s, the job \"p\" has 1s: the windows of backend promql hold other samples than were proved", 2},
		"slower scrapes":    {"targets", `"scrapeInterval":"2s"`, `"scrapeInterval":"3s"`, "prometheus.scrape.interval: reckons with 2s, the job \"p\" has 3s: the windows of backend promql hold other samples than were proved", 2},
		"faster evaluation": {"rules", `"interval":2`, `"interval":1`, "is evaluated every 1s, reckoned with 2s: it takes a sample of each latency at every evaluation", 0},
	} {
		sys := runs(t, file)
		sys.paths[c.path] = strings.ReplaceAll(sys.paths[c.path], c.old, c.by)
		url := sys.serve(t)
		code, stdout, stderr := call(t, "check", "--config.file="+file, "--prometheus.url="+url, "--alertmanager.url="+url)
		if (code != 0) != (c.wrong != "") || !strings.Contains(stderr, c.wrong) || strings.Count(stderr, ": no bound holds; ") != c.refused {
			t.Errorf("%s: ended with %d: %s\nwant %s", name, code, stderr, c.wrong)
		}
		_, table, _ := strings.Cut(stdout, "\nAs the system runs:\n")
		if got := strings.Count(table, "refused: "); got != c.refused {
			t.Errorf("%s: got %d refused bounds, want %d: %s", name, got, c.refused, stdout)
		}
	}
}
