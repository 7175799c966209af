package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/onefiveten/onefiveten/collector"
	"github.com/onefiveten/onefiveten/probe"
)

// ids are the numbers of the entries that are kept, failures negative.
func ids(h *history) []int64 {
	var all []int64
	for _, e := range h.list() {
		if !e.result.Success {
			e = &entry{id: -e.id}
		}
		all = append(all, e.id)
	}
	return all
}

func TestHistory_KeepsFailuresLongerThanSuccesses(t *testing.T) {
	h := &history{limit: 3, next: 1}
	for i := range 12 {
		h.add(&entry{result: probe.Result{Success: i%2 == 1 || i > 8}})
	}
	// The three newest, then the three newest failures before them.
	if diff := cmp.Diff([]int64{12, 11, 10, -9, -7, -5}, ids(h)); diff != "" {
		t.Error(diff)
	}
	for range 20 {
		h.add(&entry{result: probe.Result{Success: true}})
	}
	if diff := cmp.Diff([]int64{32, 31, 30, -9, -7, -5}, ids(h)); diff != "" {
		t.Error(diff)
	}
	none := &history{}
	none.add(&entry{})
	if got := none.list(); len(got) != 0 || none.next != 1 {
		t.Errorf("limit 0 keeps %v, next %d", got, none.next)
	}
}

func TestHistory_KeepsNothingThatATargetCanMakeLarge(t *testing.T) {
	long := strings.Repeat("ä", 1<<14)
	r := probe.Result{Err: errors.New(long)}
	for range 10 * maxNotes {
		r.Notes = append(r.Notes, probe.Note{Text: long, Values: []any{"s", long, "b", []byte(long), "e", errors.New(long), "n", 1, "d", time.Second}})
	}
	r.Samples = []probe.Sample{{Name: "x", Labels: []probe.Label{{Name: "subject", Value: long}}}}
	h := &history{limit: 1}
	h.add(&entry{target: long, hostname: long, settings: &probe.Module{}, result: r})
	e := h.list()[0]
	if size := len(fmt.Sprintf("%+v", *e)); size > 6*maxNotes*maxText {
		t.Errorf("an entry has %d bytes", size)
	}
	if len(e.result.Notes) != maxNotes+1 || !strings.Contains(e.result.Notes[maxNotes].Text, "1800 more notes") || e.result.Notes[0].Values[9] != time.Second {
		t.Errorf("%d notes, the last is %+v", len(e.result.Notes), e.result.Notes[maxNotes])
	}
	if len(r.Notes) != 10*maxNotes || r.Samples[0].Labels[0].Value != long {
		t.Error("the result of the caller was changed")
	}
	if text := string(explained(e)); len(text) > 2<<20 || !strings.Contains(text, " …") {
		t.Errorf("the page has %d bytes", len(text))
	}
}

func TestDebug_ShowsNotesMetricsAndTheModuleButNoSecret(t *testing.T) {
	host := site(t, fine)
	r := start(t, "--config.file="+write(t, `modules:
  http_2xx:
    prober: http
    timeout: 5s
    http: {preferred_ip_protocol: ip4, headers: {Authorization: Bearer topsecret1, X-Token: topsecret2}, http_headers: {X-More: {secrets: [topsecret3]}}}
`))
	got := r.get("/probe?debug=true&hostname=named.test&target=http://me:topsecret4@" + host)
	for _, text := range []string{
		"Probe of http://<secret>@" + host + " by module http_2xx\n", "hostname: named.test\n", "of 5s\n", "address:  127.0.0.1\n", "result:   success\n",
		"\nNotes:\n", "\nMetrics:\n# HELP probe_success ", "\nprobe_success 1\n", "\nModule:\nprober: http\ntimeout: 5s\n", "Authorization: <secret>", "X-Token: <secret>",
	} {
		if !strings.Contains(got, text) {
			t.Errorf("no %q in\n%s", text, got)
		}
	}
	logs := r.get("/logs?id=0")
	if logs != got {
		t.Errorf("/logs is not what debug=true has shown:\n%s", cmp.Diff(got, logs))
	}
	if all := got + r.get("/") + r.get("/config") + r.log.String(); strings.Contains(all, "topsecret") {
		t.Errorf("a secret is shown:\n%s", all)
	}
	// Only true is, as with blackbox_exporter; of other parameters nothing is said.
	if got := r.get("/probe?debug=1&unknown=x&module=&target=" + host); !strings.HasPrefix(got, "# HELP probe_success ") {
		t.Errorf("debug=1: %s", got)
	}
}

// The prober of http puts the scheme before a target that lacks it.
func TestDebug_ATargetWithoutASchemeShowsNoPasswordEither(t *testing.T) {
	host := site(t, fine)
	r := start(t, "--config.file="+write(t, "modules: {http_2xx: {prober: http, http: {preferred_ip_protocol: ip4}}}\n"), "--log.prober=debug")
	got := r.get("/probe?debug=true&target=me:topsecret@" + host + "/")
	if !strings.Contains(got, "Probe of <secret>@"+host+"/ by module http_2xx\n") || !strings.Contains(got, "result:   success\n") {
		t.Errorf("got %s", got)
	}
	got += r.get("/") + r.get("/logs?id=0") + r.get("/logs?target=me:topsecret@"+host+"/") + r.log.String()
	if strings.Contains(got, "topsecret") {
		t.Errorf("a password is shown:\n%s", got)
	}
}

func TestDebug_TellsWhyAProbeFailed(t *testing.T) {
	r := start(t, "--config.file="+write(t, "modules: {http_2xx: {prober: http}}\n"), "--history.limit=0")
	got := r.get("/probe?debug=true&target=http://127.0.0.1:1/")
	if !strings.Contains(got, "result:   failure, reason refused: ") || !strings.Contains(got, `probe_failure_reason{reason="refused"} 1`) {
		t.Error(got)
	}
	if page := r.get("/"); !strings.Contains(page, "None is kept: --history.limit is 0.") {
		t.Errorf("with --history.limit=0: %s", page)
	}
	if code, _ := r.ask("GET", "/logs?id=0"); code != http.StatusNotFound {
		t.Errorf("with --history.limit=0: status %d", code)
	}
	own := r.get("/metrics")
	for _, text := range []string{
		`probe_exporter_probes_total{module="http_2xx"} 1`, `probe_exporter_probe_failures_total{module="http_2xx",reason="refused"} 1`,
		`probe_exporter_probe_failures_total{module="http_2xx",reason="timeout"} 0`,
	} {
		if !strings.Contains(own, text+"\n") {
			t.Errorf("/metrics: no %q", text)
		}
	}
}

func TestDebug_ATargetAddsNoLineToThePage(t *testing.T) {
	e := &entry{target: "a\nresult: success", module: "m x", settings: &probe.Module{Prober: "tcp"}, result: probe.Result{
		Reason: probe.Content, Err: errors.New("got \"a\nb\x1b[2J\""),
		Notes: []probe.Note{{After: 1500 * time.Microsecond, Text: "read\nx", Values: []any{"line", "220 a\r\nb", "n", 3}}},
	}}
	got := string(explained(e))
	for _, text := range []string{"Probe of \"a\\nresult: success\" by module \"m x\"\n", "reason content: got \"a\uFFFDb\uFFFD[2J\"\n", "  0.001500  read\uFFFDx line=\"220 a\\r\\nb\" n=3\n"} {
		if !strings.Contains(got, text) {
			t.Errorf("no %q in\n%s", text, got)
		}
	}
}

func TestLogs_AnswersAsBlackboxExporterDoes(t *testing.T) {
	host := site(t, fine)
	r := start(t, "--config.file="+write(t, "modules: {http_2xx: {prober: http}, tcp: {prober: tcp}}\n"), "--history.limit=2")
	for _, path := range []string{"target=127.0.0.1:1", "module=tcp&target=" + host, "target=" + host, "module=tcp&target=" + host} {
		r.get("/probe?" + path)
	}
	for query, want := range map[string]int{
		"": 400, "id=x": 400, "id=1&target=a": 400, "module=tcp": 400, "id=2&module=tcp": 400, "id=99": 404, "id=1": 404, "target=nobody": 404,
		"target=127.0.0.1:1&module=tcp": 404, "id=0": 200, "id=3": 200, "target=" + host: 200, "target=127.0.0.1:1": 200, "id=x&target=" + host: 200,
	} {
		code, body := r.ask("GET", "/logs?"+query)
		if code != want {
			t.Errorf("%s: status %d, want %d: %s", query, code, want, body)
		}
	}
	if got := r.get("/logs?target=" + host); !strings.Contains(got, "by module tcp\n") {
		t.Errorf("want the newest: %s", got)
	}
	if got := r.get("/logs?module=http_2xx&target=" + host); !strings.Contains(got, "by module http_2xx\n") {
		t.Errorf("want that of the module: %s", got)
	}
	page := r.get("/")
	for _, text := range []string{`<a href="logs?id=3">`, `<a href="logs?id=2">`, `<a href="logs?id=0">`, "failure: refused", "<td>success</td>"} {
		if !strings.Contains(page, text) {
			t.Errorf("no %q in\n%s", text, page)
		}
	}
}

func TestLanding_EscapesWhatARequestHasSaid(t *testing.T) {
	r := start(t, "--config.file="+write(t, "modules: {tcp: {prober: tcp}}\n"))
	r.get("/probe?module=tcp&target=%3Cscript%3Ealert(1)%3C/script%3E")
	if page := r.get("/"); strings.Contains(page, "<script") || !strings.Contains(page, "&lt;script&gt;") {
		t.Error(page)
	}
}

// down are two failures as the collector gives them.
func down() []collector.Failure {
	at := time.Date(2026, 11, 21, 13, 0, 0, 5e6, time.FixedZone("", 3600))
	phase := func(name string, seconds float64) probe.Sample {
		return probe.Sample{Name: "probe_http_duration_seconds", Labels: []probe.Label{{Name: "phase", Value: name}}, Value: seconds}
	}
	return []collector.Failure{
		{Probe: "shop-nodes", Service: "shop", Instance: "http://me:topsecret@10.0.0.1/<b>", Labels: map[string]string{"zone": "za", "node": "n 1"}, Result: probe.Result{
			Reason: probe.Status, Err: errors.New("status is 503 for http://me:topsecret@10.0.0.1/\n<i>"), Start: at, Duration: 12345 * time.Microsecond,
			Samples: []probe.Sample{phase("connect", .0021), phase("processing", .2), phase("resolve", .001), phase("tls", 4e-5), phase("transfer", 0), {Name: "probe_http_status_code", Value: 503}},
		}},
		{Probe: "shop-entry", Service: "shop", Instance: "a:1", Result: probe.Result{Reason: probe.Timeout, Start: at}},
	}
}

func TestFailures_SayWhatWasWrongAndWhere(t *testing.T) {
	want := `2026-11-21T12:00:00.005Z probe=shop-nodes service=shop target=http://<secret>@10.0.0.1/<b> node="n 1" zone=za
  status after 12.3ms: status is 503 for http://<secret>@10.0.0.1/` + "\uFFFD" + `<i>
  resolve 1ms, connect 2.1ms, processing 200ms

2026-11-21T12:00:00.005Z probe=shop-entry service=shop target=a:1
  timeout after 0s: 
`
	if diff := cmp.Diff(want, string(faultsText(faults(down())))); diff != "" {
		t.Error(diff)
	}
	w := httptest.NewRecorder()
	e := &exporter{templates: newTemplates()}
	e.show(w, e.templates.failures, faults(down()))
	page := w.Body.String()
	for _, text := range []string{"http://&lt;secret&gt;@10.0.0.1/&lt;b&gt;", "<td class=\"failure\">status</td>", "zone=za<br>", "<td class=\"whole\">resolve 1ms<br>connect 2.1ms<br>processing 200ms<br></td>", "<td>12.3ms</td>", "<td class=\"whole\">2026-11-21T12:00:00.005Z</td>", "<td class=\"whole\" title=\"a:1\">a:1</td>"} {
		if !strings.Contains(page, text) {
			t.Errorf("no %q in\n%s", text, page)
		}
	}
	if strings.Contains(page, "topsecret") || strings.Contains(page, "<i>") {
		t.Error(page)
	}
}

func TestLanding_TellsWhatItDoesNotShowYet(t *testing.T) {
	const hint = "<p>Nothing is probed on the own schedule: "
	r := start(t, "--config.file="+write(t, "modules: {tcp: {prober: tcp}}\n"))
	if page := r.get("/"); !strings.Contains(page, "<p>None yet.</p>") || !strings.Contains(page, hint) {
		t.Errorf("modules alone: %s", page)
	}
	r = start(t, "--config.file="+write(t, strings.ReplaceAll(house, "HOST", "127.0.0.1:1")), "--observer=a", "--history.limit=0")
	if page := r.get("/"); strings.Contains(page, "None yet") || strings.Contains(page, hint) {
		t.Errorf("a schedule, and no history: %s", page)
	}
}

// phaseNames finds the phases that the probers give in their source: a new one
// needs its place in the order.
var phaseNames = regexp.MustCompile(`\{"phase", "(\w+)"\}`)

func TestFailures_KnowThePlaceOfEveryPhase(t *testing.T) {
	names, err := filepath.Glob("../../probe/*.go")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range phaseNames.FindAllStringSubmatch(string(text), -1) {
			if found++; !slices.Contains(strings.Fields(inTime), m[1]) {
				t.Errorf("%s: phase %q has no place", name, m[1])
			}
		}
	}
	if found < 10 {
		t.Errorf("found %d phases: they are written otherwise now", found)
	}
}

func TestFailures_AreAPageForBrowsersAndTextForOthers(t *testing.T) {
	r := start(t, "--config.file="+write(t, "modules: {a: {prober: tcp}}\n"))
	for _, c := range []struct {
		path, accept string
		code         int
		want         string
	}{
		{"/failures", "text/html,application/xhtml+xml,*/*;q=0.8", 200, "<p>No target of the own schedule has failed.</p>"}, {"/failures", "*/*", 200, "no target of the own schedule has failed\n"},
		{"/failures?format=text", "text/html", 200, "no target of the own schedule has failed\n"}, {"/failures?format=html", "*/*", 200, "<!DOCTYPE html>"},
		{"/failures?format=json", "*/*", 400, `parameter format: got "json", want html or text`},
	} {
		code, body := r.ask("GET", c.path, "Accept", c.accept)
		if code != c.code || !strings.Contains(body, c.want) {
			t.Errorf("%s, %s: status %d: %s", c.path, c.accept, code, body)
		}
	}
}

func TestReload_CountersOfAModuleStayUntilItGoes(t *testing.T) {
	file := write(t, "modules: {a: {prober: tcp}, b: {prober: tcp}}\n")
	r := start(t, "--config.file="+file)
	for _, module := range []string{"a", "b"} {
		r.get("/probe?target=127.0.0.1:1&module=" + module)
	}
	rewrite(t, file, "modules: {a: {prober: tcp, timeout: 1s}, c: {prober: tcp}}\n")
	r.ask("POST", "/-/reload")
	own := r.get("/metrics")
	var got []string
	for line := range strings.Lines(own) {
		if strings.HasPrefix(line, "probe_exporter_probes_total{") {
			got = append(got, strings.TrimSpace(line))
		}
	}
	slices.Sort(got)
	if diff := cmp.Diff([]string{`probe_exporter_probes_total{module="a"} 1`, `probe_exporter_probes_total{module="c"} 0`}, got); diff != "" {
		t.Error(diff)
	}
}

func TestLog_OfProbesHasALevelOfItsOwn(t *testing.T) {
	host := site(t, fine)
	file := write(t, "modules: {http_2xx: {prober: http}}\n")
	for _, c := range []struct {
		level      string
		want, none []string
	}{
		{"info", []string{`level=error`, `msg="probe failed"`, "reason=refused"}, []string{"probe succeeded"}},
		{"DEBUG", []string{`msg="probe failed"`, `level=debug`, `msg="probe succeeded"`}, nil},
	} {
		r := start(t, "--config.file="+file, "--log.level=error", "--log.prober="+c.level)
		r.get("/probe?target=" + host)
		r.get("/probe?target=http://me:topsecret@127.0.0.1:1/")
		text := r.log.String()
		for _, want := range c.want {
			if !strings.Contains(text, want) {
				t.Errorf("%s: no %s in %s", c.level, want, text)
			}
		}
		for _, none := range append(c.none, "starting", "topsecret") {
			if strings.Contains(text, none) {
				t.Errorf("%s: %s in %s", c.level, none, text)
			}
		}
	}
}

// TestFailures_OfTheOwnScheduleAreShown goes the whole way: a target that nobody
// listens on, up to the page.
func TestFailures_OfTheOwnScheduleAreShown(t *testing.T) {
	r := start(t, "--config.file="+write(t, strings.ReplaceAll(house, "HOST", "127.0.0.1:1")), "--observer=a")
	text := r.eventually("/failures", "probe=shop-nodes service=shop target=http://127.0.0.1:1/ node=n1 zone=za\n", "probe=shop-entry service=shop target=127.0.0.1:1\n", "  refused after ", " at 127.0.0.1: ")
	if strings.Contains(text, "hidden") {
		t.Errorf("a secret is shown:\n%s", text)
	}
	if page := r.get("/failures?format=html"); !strings.Contains(page, "<td class=\"failure\">refused</td>") || !strings.Contains(page, "<td>127.0.0.1</td>") {
		t.Error(page)
	}
}
