package collector

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-kit/log"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/expfmt"

	"github.com/onefiveten/onefiveten/probe"
)

// plain is the smallest configuration of all: no service.
const plain = `
probes:
- name: intranet
  module: fake
  interval: 1s
  targets: ["http://wiki/"]
`

// plainShop is the shop without its service, under the same name of the probe.
const plainShop = `
observers: [a]
probes:
- name: shop-nodes
  module: fake
  interval: 5s
  targets: [{url: "http://n1/", labels: {node: n1, zone: za}}]
`

// ofNoService are the labels of the results of plain.
const ofNoService = `job="probe",instance="http://wiki/",observer="a",probe="intranet"`

const plainPage = `# HELP probe_interval_seconds Time between two runs of the probe.
# TYPE probe_interval_seconds gauge
probe_interval_seconds{observer="a",probe="intranet"} 1
# HELP probe_timeout_seconds Deadline of one run of the probe.
# TYPE probe_timeout_seconds gauge
probe_timeout_seconds{observer="a",probe="intranet"} 1
# HELP probe_stale_after_seconds Age of its last run at which a result has no vote: two intervals and the timeout.
# TYPE probe_stale_after_seconds gauge
probe_stale_after_seconds{observer="a",probe="intranet"} 3
# HELP onefiveten_observer_info 1, with the name of the running observer.
# TYPE onefiveten_observer_info gauge
onefiveten_observer_info{observer="a"} 1
# HELP probe_success 1 if the last run was a success, else 0.
# TYPE probe_success gauge
probe_success{COMMON} 0
# HELP probe_duration_seconds Duration of the last run.
# TYPE probe_duration_seconds gauge
probe_duration_seconds{COMMON} 0.125
# HELP probe_last_run_timestamp_seconds End of the last run that was completed.
# TYPE probe_last_run_timestamp_seconds gauge
probe_last_run_timestamp_seconds{COMMON} LAST
# HELP probe_last_success_timestamp_seconds End of the last run that was a success, 0: none was.
# TYPE probe_last_success_timestamp_seconds gauge
probe_last_success_timestamp_seconds{COMMON} GOOD
# HELP probe_first_failure_timestamp_seconds Start of the first failed run of the fault episode, 0: there is none.
# TYPE probe_first_failure_timestamp_seconds gauge
probe_first_failure_timestamp_seconds{COMMON} FIRST
# HELP probe_attempts_total Runs that were completed.
# TYPE probe_attempts_total counter
probe_attempts_total{COMMON} 40
# HELP probe_failures_total Runs that failed, by reason.
# TYPE probe_failures_total counter
probe_failures_total{COMMON,reason="dns"} 0
probe_failures_total{COMMON,reason="refused"} 30
probe_failures_total{COMMON,reason="unreachable"} 0
probe_failures_total{COMMON,reason="timeout"} 0
probe_failures_total{COMMON,reason="reset"} 0
probe_failures_total{COMMON,reason="tls"} 0
probe_failures_total{COMMON,reason="certificate"} 0
probe_failures_total{COMMON,reason="protocol"} 0
probe_failures_total{COMMON,reason="status"} 0
probe_failures_total{COMMON,reason="content"} 0
probe_failures_total{COMMON,reason="size"} 0
probe_failures_total{COMMON,reason="internal"} 0
# HELP probe_failure_reason 1 for the reason of the last run, while that is a failure.
# TYPE probe_failure_reason gauge
probe_failure_reason{COMMON,reason="refused"} 1
# HELP probe_run_duration_seconds Duration of the runs of a probe.
# TYPE probe_run_duration_seconds histogram
probe_run_duration_seconds_bucket{COMMON,le="+Inf"} 40
probe_run_duration_seconds_sum{COMMON} 6.25
probe_run_duration_seconds_count{COMMON} 40
`

// timeless is a prober without a time-out of its own.
func (f *fake) timeless() map[string]Module { return map[string]Module{"fake": {Probe: f.probe}} }

// A probe of no service needs nothing but a module and targets, gives everything
// that its runs say, and nothing that only a service could.
func TestPlain_AProbeOfNoServiceIsProbedAndNotJudged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b strings.Builder
		f := &fake{}
		c := New("a", log.NewLogfmtLogger(&b))
		if err := c.Apply(parse(t, plain), f.timeless(), nil, nil); err != nil {
			t.Fatal(err)
		}
		target := c.table.Load().targets[0]
		begin := time.Now()
		for i := range 40 {
			r := good(250 * time.Millisecond) // whole in binary, and so is their sum
			if i >= 10 {
				r = bad(probe.Refused)
				r.Duration = 125 * time.Millisecond
			}
			target.finish(c, r)
			pass(time.Second)
		}
		at := func(second int) string {
			return string(appendValue(nil, seconds(begin.Add(time.Duration(second)*time.Second))))
		}
		want := strings.NewReplacer("LAST", at(39), "GOOD", at(9), "FIRST", at(10)).Replace(plainPage)
		if diff := cmp.Diff(want, strings.ReplaceAll(text(t, c), ofNoService, "COMMON")); diff != "" {
			t.Errorf("the page differs (-want +got):\n%s", diff)
		}
		if b.Len() > 0 {
			t.Errorf("nobody has declared a fault, and the log tells of one:\n%s", &b)
		}
		if got := c.Failures(); len(got) != keptFailures || got[0].Service != "" || got[0].Probe != "intranet" {
			t.Errorf("got failures %+v, want %d of no service", got, keptFailures)
		}
		if target.state.signals != [signals]judged{} {
			t.Error("there is a series of a signal that nobody judges")
		}
	})
}

// Prometheus 3 asks for protobuf.
func TestPlain_ProtobufSaysTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		c := New("a", log.NewNopLogger())
		if err := c.Apply(parse(t, plain), f.timeless(), nil, nil); err != nil {
			t.Fatal(err)
		}
		c.table.Load().targets[0].finish(c, bad(probe.Refused))
		got := scrape(t, c, string(expfmt.NewFormat(expfmt.TypeProtoText))).Body.String()
		if !strings.Contains(got, `"probe_first_failure_timestamp_seconds"`) || !strings.Contains(got, "schema:") {
			t.Errorf("a family or the native histogram is missing:\n%s", got)
		}
		for _, word := range []string{`"service"`, `"role"`, "ksigma_"} {
			if strings.Contains(got, word) {
				t.Errorf("%s is on the page of a probe of no service", word)
			}
		}
	})
}

func TestPlain_RunsOnTheScheduleAsAllOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		c := begun(t, shop+plainShop[strings.Index(plainShop, "- name"):strings.Index(plainShop, "shop-nodes")]+"intranet\n  module: fake\n  interval: 2s\n  targets: [http://wiki/]\n", f)
		pass(time.Minute)
		if got := len(f.gaps("http://wiki/")); got != 29 {
			t.Errorf("got %d pauses in a minute, want 29 of 2s", got)
		}
		page := text(t, c)
		if value(page, "probe_success{", "wiki") != "1" || value(page, "probe_success{", `service="shop"`) != "1" {
			t.Errorf("one of the two probes is not on the page:\n%s", lines(page, "probe_success"))
		}
		if got := lines(page, "ksigma_", "intranet"); got != "" {
			t.Errorf("a verdict on a probe of no service:\n%s", got)
		}
		own(t, c, `
# HELP probe_targets Targets on the schedule.
# TYPE probe_targets gauge
probe_targets 2
`, "probe_targets")
	})
}

// Without rules that say when an episode ends, it ends with the first success.
func TestPlain_FirstFailureIsThatSinceTheLastSuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New("a", log.NewNopLogger())
		if err := c.Apply(parse(t, plain), (&fake{}).timeless(), nil, nil); err != nil {
			t.Fatal(err)
		}
		target := c.table.Load().targets[0]
		first := func() string { return value(text(t, c), "probe_first_failure_timestamp_seconds{") }
		if got := first(); got != "" {
			t.Errorf("before the first run: got %q, want no series", got)
		}
		since := ""
		for i, success := range []bool{true, false, false, true, false, true, true, false} {
			if success {
				since = "0"
				target.finish(c, good(time.Millisecond))
			} else {
				if since == "0" {
					since = string(appendValue(nil, seconds(time.Now())))
				}
				target.finish(c, bad(probe.Reset))
			}
			if got := first(); got != since {
				t.Errorf("after run %d: got %s, want %s", i, got, since)
			}
			pass(time.Second)
		}
	})
}

// Counters are of the target, verdicts of the service.
func TestPlain_AServiceThatGoesTakesItsVerdictsAlong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		c := inFault(t, f)
		before := value(text(t, c), "probe_first_failure_timestamp_seconds{")
		runs := value(text(t, c), "probe_attempts_total{")
		f.set(hang)
		pass(4 * time.Second) // the next run is open
		apply(t, c, f, plainShop)
		pass(2 * time.Second) // and ends under other settings
		page := text(t, c)
		if strings.Contains(page, "ksigma_") || strings.Contains(page, "service=") || strings.Contains(page, "role=") {
			t.Errorf("something of the service is left:\n%s", page)
		}
		if got := value(page, "probe_first_failure_timestamp_seconds{"); got != before {
			t.Errorf("got the first failure at %s, want %s still: there was no success", got, before)
		}
		if got := value(page, "probe_attempts_total{"); got <= runs {
			t.Errorf("got %s runs, want more than the %s of before", got, runs)
		}
		f.set(nil)
		pass(5 * time.Second)
		apply(t, c, f, shop)
		pass(5 * time.Second)
		if got := lines(short(text(t, c)), "ksigma_fault{", "availability"); got != `ksigma_fault{COMMON,signal="availability"} 0`+"\n" {
			t.Errorf("with its service again: got %q, want a verdict that begins anew", got)
		}
	})
}

// Nobody is expected to watch a probe of no service, and so all do.
func TestPlain_EveryObserverProbesWhatIsOfNoService(t *testing.T) {
	const two = "observers: [a, b]\nservices: [{name: shop, owner: o, observers: [b]}]\nprobes:\n" +
		"- {name: p, module: fake, targets: [h]}\n- {name: q, service: shop, module: fake, targets: [h]}\n"
	for observer, want := range map[string]string{"a": "p", "b": "p q"} {
		c := New(observer, log.NewNopLogger())
		if err := c.Apply(parse(t, two), (&fake{}).modules(), proved, nil); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(c.table.Load().probes, " "); got != want {
			t.Errorf("%s runs %q, want %q", observer, got, want)
		}
	}
}

// Without a service a role has no effect, and so forbids no label.
func TestPlain_SettingsThatAreOfNoService(t *testing.T) {
	for text, want := range map[string]string{
		"{name: p, module: m, interval: 60s, targets: [h]}":                            "",
		"{name: p, module: m, service: ~, targets: [h]}":                               "",
		"{name: p, module: m, role: entry, targets: [{url: h, labels: {node: n1}}]}":   "",
		"{name: p, module: m, role: node, targets: [{url: h, labels: {zone: za}}]}":    "",
		"{name: p, module: m, interval: 1ms, targets: [h]}":                            "f.yml:1: probes[0].interval: got 1ms, want 1s or more",
		"{name: p, module: m, role: master, targets: [h]}":                             "f.yml:1: probes[0].role: got \"master\", want node or entry",
		"{name: p, module: m, service: gone, targets: [h]}":                            "f.yml:1: probes[0].service: \"gone\" is not among the services",
		"{name: p, module: m, targets: [{url: h, labels: {service: shop, role: ro}}]}": "f.yml:1: probes[0].targets[0].labels.role: label name \"role\" is reserved\nf.yml:1: probes[0].targets[0].labels.service: label name \"service\" is reserved",
	} {
		if got := strings.ReplaceAll(mistakes("probes: ["+text+"]\n"), "probe.yml", "f.yml"); got != want {
			t.Errorf("%s:\n got %s\nwant %s", text, got, want)
		}
	}
	c := New("a", log.NewNopLogger())
	if err := c.Apply(parse(t, "probes: [{name: p, module: fake, role: entry, targets: [{url: h, labels: {node: n1}}]}]"), (&fake{}).modules(), nil, nil); err != nil {
		t.Fatal(err)
	}
	if got := lines(text(t, c), "probe_attempts_total"); got != `probe_attempts_total{job="probe",instance="h",observer="a",probe="p",node="n1"} 0`+"\n" {
		t.Errorf("got %q, want the label node and no role", got)
	}
	// A service without a name is a mistake, and has none of those probes.
	got := mistakes("services: [{owner: o}]\nprobes: [{name: p, module: m, interval: 10m, targets: [h]}]\n")
	if want := `probe.yml:1: services[0].name: name "", want a text in UTF-8`; got != want {
		t.Errorf("got %s, want %s alone", got, want)
	}
}

func TestPlain_ItsModuleIsCheckedAsAnyOther(t *testing.T) {
	s := parse(t, plain)
	for timeout, want := range map[time.Duration]string{
		time.Second:     "",
		2 * time.Second: "probes[0].module: its timeout of 2s is longer than the interval of 1s: shorten it, or set overlap to 2",
	} {
		got := ""
		s.CheckModules(map[string]Module{"fake": {Timeout: timeout}}, func(path, text string) { got += path + ": " + text })
		if got != want {
			t.Errorf("timeout %v: got %q, want %q", timeout, got, want)
		}
	}
	err := New("a", nil).Apply(s, nil, nil, nil)
	if err == nil || !strings.Contains(err.Error(), `probe "intranet": there is no module "fake"`) {
		t.Errorf("got %v, want an error that names the module", err)
	}
}

func TestTargets_MayBeAddressesAlone(t *testing.T) {
	s := parse(t, `
probes:
- name: p
  module: m
  targets:
  - http://a.test
  - {url: http://b.test, labels: {zone: za}}
  - 10.0.0.1:22
  - 12
  - &again http://c.test
- {name: q, module: m, targets: [*again, "with: colon", {url: d}]}
`)
	want := []string{"http://a.test map[]", "http://b.test map[zone:za]", "10.0.0.1:22 map[]", "12 map[]", "http://c.test map[]", "http://c.test map[]", "with: colon map[]", "d map[]"}
	var got []string
	for _, p := range s.Probes {
		for _, x := range p.Targets {
			got = append(got, fmt.Sprint(x.URL, " ", x.Labels))
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Each wrong target is one mistake, in its own place.
func TestTargets_AWrongFormIsOneMistake(t *testing.T) {
	const form = "got a list, want an address, or {url: …, labels: …}"
	for target, want := range map[string]string{
		"[http://a.test]":          "targets[0]: " + form,
		"[]":                       "targets[0]: " + form,
		`""`:                       `targets[0]: got "", want an address`,
		"~":                        `targets[0]: got "", want an address`,
		"!!binary /w==":            `targets[0]: got "\xff", want an address`,
		"{}":                       `targets[0].url: got "", want an address`,
		"{labels: {zone: za}}":     `targets[0].url: got "", want an address`,
		"{url: ''}":                `targets[0].url: got "", want an address`,
		"{url: [h]}":               `targets[0].url: want a text, got a list`,
		"{url: {h: h}}":            `targets[0].url: want a text, got a mapping`,
		"{url: h, lables: {}}":     `targets[0].lables: unknown key; did you mean "labels"?`,
		"{url: h, labels: [zone]}": `targets[0].labels: want a mapping, got a list`,
		"{url: h, labels: zone}":   `targets[0].labels: want a mapping, got a plain value`,
		"{url: h, labels: ~}":      "",
		"h":                        "",
		"other":                    "targets[1].url: \"other\" is target 0 of this probe already",
	} {
		if want != "" {
			want = "probe.yml:1: probes[0]." + want
		}
		if got := mistakes("probes: [{name: p, module: m, targets: [" + target + ", other]}]\n"); got != want {
			t.Errorf("%s:\n got %s\nwant %s", target, got, want)
		}
	}
	// The mistakes of those after it stand in their own places.
	got := mistakes("probes: [{name: p, module: m, targets: [[h]]}, {name: q, module: m, targets: [[h], h, ~, {url: h}, {url: g, labels: {le: x}}]}]\n")
	want := "probe.yml:1: probes[0].targets[0]: " + form + "\nprobe.yml:1: probes[1].targets[0]: " + form + `
probe.yml:1: probes[1].targets[2]: got "", want an address
probe.yml:1: probes[1].targets[3].url: "h" is target 1 of this probe already
probe.yml:1: probes[1].targets[4].labels.le: label name "le" is reserved`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := mistakes("probes: [{name: p, module: m, targets: http://a.test}]\n"); got != "probe.yml:1: probes[0].targets: want a list of targets" {
		t.Errorf("an address in place of the list: got %s", got)
	}
}

// A prober may give labels of any name. Those of a service are no exception for a
// probe that is of none, until it is of one.
func TestPlain_LabelsOfAProberDoNotClashWithThoseOfAServiceToCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{answer: func(context.Context, string) probe.Result {
			r := good(time.Millisecond)
			r.Samples = []probe.Sample{{Name: "probe_expect_info", Help: "Info", Value: 1, Labels: []probe.Label{{Name: "service", Value: "smtp"}}}}
			return r
		}}
		c := begun(t, plainShop, f)
		pass(5 * time.Second)
		if got := lines(text(t, c), "probe_expect_info{"); !strings.Contains(got, `,service="smtp"} 1`) {
			t.Errorf("got %q, want the label as it was given", got)
		}
		apply(t, c, f, shop)
		text(t, c)
		pass(5 * time.Second)
		if got := lines(text(t, c), "probe_expect_info{"); !strings.Contains(got, `,exported_service="smtp"} 1`) {
			t.Errorf("got %q, want the label of the service and that of the prober", got)
		}
	})
}
