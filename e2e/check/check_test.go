package check_test

import (
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// breach is one way to break the promise: a text of a file that becomes another one,
// and the errors that must be told.
type breach struct {
	file, old, by string
	wants         []string
}

// breaches of what Prometheus has in force, and of what Alertmanager has.
func breaches() (ofPrometheus, ofAlertmanager map[string]breach) {
	const rules, page = "out/rules/", "onefiveten-page-node"
	return map[string]breach{
			"the scrape interval is doubled": {"prometheus.yml", "- job_name: probes\n", "- job_name: probes\n  scrape_interval: 2s\n", []string{
				`prometheus.scrape.interval: reckons with 1s, the job "probes" has 2s: the bounds are too short`}},
			"a scrape interval is beyond the target": {"prometheus.yml", "- job_name: probes\n", "- job_name: probes\n  scrape_interval: 55s\n", []string{
				`services[0].signals.availability: service "shop", signal availability: as the system runs, a fault takes `, "over the target of 60s", "S has grown from 1s to 55s"}},
			"labels are not honored":       {"prometheus.yml", "  honor_labels: true\n", "", []string{`the job "probes" lacks honor_labels: true`, `results of the job "probes" carry labels exported_…`}},
			"alerts are sent to nobody":    {"prometheus.yml", "alerting: ", "#", []string{"alerts are sent to nobody"}},
			"a rule is edited":             {rules + page, `mode="page"}) > 0`, `mode="page"}) < 0`, []string{"the rule FaultDetected of the group \"onefiveten:page-node\" is not the one that was written: expr has "}},
			"a rule waits":                 {rules + page, "alert: FaultDetected\n", "alert: FaultDetected\n        for: 1m\n", []string{"the rule FaultDetected of the group \"onefiveten:page-node\" is not the one that was written: for is 1m0s, want 0s"}},
			"an alert is let go early":     {rules + page, "keep_firing_for: ", "keep_firing_for: 9", []string{"keep_firing_for is "}},
			"a label is another":           {rules + page, `heal: "true"`, `heal: "false"`, []string{`the label heal has "false", want "true"`}},
			"a rule file is missing":       {rules + page, "", "", []string{`the group "onefiveten:page-node" is not loaded, and its rules are missing: onefiveten:`}},
			"the group interval is longer": {rules + page, "interval: 1s", "interval: 3s", []string{`prometheus.evaluation.interval: the group "onefiveten:page-node" is evaluated every 3s, reckoned with 1s: the bounds are too short`}},
		}, map[string]breach{
			"group_wait is longer":    {"", "group_wait: 0s", "group_wait: 30s", []string{"alertmanager.group_wait: FaultDetected, FaultLocated, FaultNotLocated, ObserverFault, RecoveryOverdue: waits for group_wait 30s, reckoned with 0s"}},
			"alerts join others":      {"", "group_by: ['...']", "group_by: [service]", []string{"a second alert joins a group that is there and waits for its group_interval of 10s instead of group_wait 0s"}},
			"an alert is inhibited":   {"", "\nreceivers:", "\ninhibit_rules: [{source_matchers: [alertname=RecoveryOverdue], target_matchers: [alertname=FaultLocated], equal: [service]}]\nreceivers:", []string{": FaultLocated: inhibit_rules[0] can mute it"}},
			"there is no route":       {"", `heal="true"`, `heal="never"`, []string{`goes to "people", and never to "heal", which leads to heal-receiver`}},
			"an older route is first": {"", "  routes:\n", "  routes:\n    - {receiver: people, match_re: {severity: 'page|ticket'}}\n", []string{`FaultDetected, FaultLocated, FaultNotLocated, ObserverFault, RecoveryOverdue: goes to "people", and never to "heal"`}},
		}
}

// TestCheck_TellsEachWayInWhichRealServersBreakThePromise starts the servers of a
// generation once. After every breach all is made right again, and must be found so.
func TestCheck_TellsEachWayInWhichRealServersBreakThePromise(t *testing.T) {
	for _, generation := range generations() {
		t.Run(generation, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, generation, "exporter")
			w.becomesRight("all is as written")
			_, right := w.check()
			if len(right.Living) != 2 {
				t.Errorf("got the living bounds %v, want those of two signals", right.Living)
			}
			ofPrometheus, ofAlertmanager := breaches()
			for _, name := range slices.Sorted(maps.Keys(ofPrometheus)) {
				w.broken(name, ofPrometheus[name])
			}
			for _, name := range slices.Sorted(maps.Keys(ofAlertmanager)) {
				w.misrouted(name, ofAlertmanager[name])
			}
			w.loadedTwice()
			w.becomesRight("all was put back")
			w.tellsOfItself()
			w.am.Kill()
			<-w.am.Done()
			w.becomesWrong("Alertmanager is gone", "asking http://127.0.0.1:")
			w.second.Kill()
			<-w.second.Done()
			w.becomesWrong("an observer is gone", `observers: "b" gives no results, onefiveten_observer_info is not there; seen: a`)
		})
	}
}

// TestCheck_HoldsRealServersAgainstWindowsOfPromQL: the rules judge there, and a faster
// scrape breaks what was proved as much as a slower one.
func TestCheck_HoldsRealServersAgainstWindowsOfPromQL(t *testing.T) {
	for _, generation := range generations() {
		t.Run(generation, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, generation, "promql")
			w.becomesRight("all is as written")
			const job, availability, latency = "- job_name: probes\n", "out/rules/onefiveten-page-node-availability-1m", "out/rules/onefiveten-page-node-latency-3m-40m"
			const other = "the windows of backend promql hold other samples than were proved"
			all := map[string]breach{
				"scrapes are faster":        {"prometheus.yml", job, job + "  scrape_interval: 500ms\n", []string{other, "is scraped every 0.5s, and the windows of backend promql are written for scrapes every 1s: no bound holds"}},
				"scrapes are slower":        {"prometheus.yml", job, job + "  scrape_interval: 2s\n", []string{other, "is scraped every 2s"}},
				"a latency is judged often": {latency, "interval: 1s", "interval: 500ms", []string{"is evaluated every 500ms, reckoned with 1s: it takes a sample of each latency"}},
				"a window is longer":        {availability, "[1m500ms]", "[2m500ms]", []string{"the rule onefiveten:fault_probability:ratio of the group \"onefiveten:page-node-availability-1m\" is not the one that was written"}},
				"a group is missing":        {latency, "", "", []string{`the group "onefiveten:page-node-latency-3m-40m" is not loaded`}},
			}
			for _, name := range slices.Sorted(maps.Keys(all)) {
				w.broken(name, all[name])
			}
			w.becomesRight("all was put back")
			w.second.Kill()
			<-w.second.Done()
			w.becomesWrong("an observer is gone", `observers: "b" gives no results, onefiveten_observer_info is not there; seen: a`)
		})
	}
}

// broken changes one file of Prometheus, wants it to be told, and puts it back.
func (w *world) broken(name string, b breach) {
	w.t.Helper()
	file := b.file
	if !strings.HasSuffix(file, ".yml") { // the file of the rules that hold the text
		file = w.holding(file, b.old)
	}
	text := w.read(file)
	if !strings.Contains(text, b.old) {
		w.t.Fatalf("%s: %s holds no %q", name, file, b.old)
	}
	if b.old == "" {
		if err := os.Remove(w.file(file)); err != nil {
			w.t.Fatal(err)
		}
	} else {
		w.write(file, strings.Replace(text, b.old, b.by, 1))
	}
	w.reload(w.prometheus)
	w.becomesWrong(name, b.wants...)
	w.write(file, text)
	w.reload(w.prometheus)
}

// loadedTwice gives Prometheus a copy of a rule file, as people do to keep the old one.
func (w *world) loadedTwice() {
	w.t.Helper()
	const extra = "out/rules/saved.yml"
	w.write(extra, w.read(w.holding("out/rules/onefiveten-page-node", "interval: 1s")))
	w.reload(w.prometheus)
	w.becomesWrong("a rule file has a copy", `the group "onefiveten:page-node" is loaded 2 times, from `)
	if err := os.Remove(w.file(extra)); err != nil {
		w.t.Fatal(err)
	}
	w.reload(w.prometheus)
}

// tellsOfItself wants the series by which check finds slow and missed evaluations, of
// our groups by that label. They come late, and one slow evaluation is told for ten
// minutes: all else is looked at without them.
func (w *world) tellsOfItself() {
	w.t.Helper()
	w.write("prometheus.yml", w.scraping()+fmt.Sprintf("- {job_name: prometheus, static_configs: [{targets: [%q]}]}\n", w.prometheus.Addr()))
	w.reload(w.prometheus)
	for _, metric := range []string{"prometheus_rule_group_last_duration_seconds", "prometheus_rule_group_iterations_missed_total"} {
		w.eventually(metric+" tells of our groups", func() string {
			answer := w.get(w.prometheus.URL() + "/api/v1/query?query=" + url.QueryEscape(`count(`+metric+`{rule_group=~".+;onefiveten:.+"}) > 1`))
			if !strings.Contains(answer, `"value"`) {
				return answer
			}
			return ""
		})
	}
}

// holding is the first file with that beginning of its name that holds a text.
func (w *world) holding(beginning, text string) string {
	w.t.Helper()
	all, err := filepath.Glob(w.file(beginning + "*.yml"))
	if err != nil {
		w.t.Fatal(err)
	}
	for _, path := range all {
		name, err := filepath.Rel(w.dir, path)
		if err != nil {
			w.t.Fatal(err)
		}
		if strings.Contains(w.read(name), text) {
			return name
		}
	}
	w.t.Fatalf("no file %s* holds %q", beginning, text)
	return ""
}

// misrouted does the same to Alertmanager, everywhere in its file.
func (w *world) misrouted(name string, b breach) {
	w.t.Helper()
	text := w.read("alertmanager.yml")
	if !strings.Contains(text, b.old) {
		w.t.Fatalf("%s: alertmanager.yml holds no %q", name, b.old)
	}
	w.write("alertmanager.yml", strings.ReplaceAll(text, b.old, b.by))
	w.reload(w.alertmanager)
	w.becomesWrong(name, b.wants...)
	w.write("alertmanager.yml", text)
	w.reload(w.alertmanager)
}
