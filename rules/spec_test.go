package rules

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"

	"github.com/onefiveten/onefiveten/collector"
	"github.com/onefiveten/onefiveten/config"
	"github.com/onefiveten/onefiveten/sigma"
)

// sec makes a model.Duration of seconds.
func sec(s float64) model.Duration { return model.Duration(dur(s)) }

func dur(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// timed is one row of the tables of DETECTION 6.3: P, d_p, S = E, d_s, G; d_e is 1s.
type timed struct{ p, dp, s, ds, g float64 }

// shop is a service with the shipped defaults, watched by one probe.
func shop(t timed) Spec {
	s := Spec{Prometheus: DefaultPrometheus(), Alertmanager: DefaultAlertmanager(), Observers: []string{"a"}}
	s.Prometheus.Scrape = Scrape{Interval: sec(t.s), Timeout: sec(t.ds)}
	s.Prometheus.Evaluation.Interval = sec(t.s)
	s.Alertmanager.GroupWait = sec(t.g)
	s.Services = []Service{{
		Name: "shop", Owner: "team-shop", Severity: page, Dimensions: []string{"node"},
		Detect: time.Minute, Locate: 5 * time.Minute, Recover: 10 * time.Minute,
		Signals: []Signal{{Name: availability, Mode: page, Fault: shipped()}},
		Probes:  []Probe{{Name: "shop-nodes", Role: roleNode, Interval: dur(t.p), Timeout: dur(t.dp)}},
	}}
	return s
}

// shipped are the defaults of availability, with the cap left to be solved.
func shipped() sigma.Fault {
	return sigma.Fault{Window: time.Minute, Floor: .05, MinAnomalies: 2, K: 3, Clear: 3}
}

// slow is the latency signal with its defaults.
func slow() Signal {
	return Signal{
		Name: latency, Mode: ticket, Detect: 3 * time.Minute,
		Fault: sigma.Fault{Window: 3 * time.Minute, Floor: .55, MinAnomalies: 3, K: 3, Clear: 3},
	}
}

// demo is the timing of DETECTION 12.
func demo() Spec {
	s := shop(timed{1, .5, 1, .5, 0})
	s.Prometheus.Evaluation.Delay = sec(.2)
	s.Alertmanager.GroupInterval = sec(10)
	s.Services[0].Signals[0].Fault.Cap = .1
	return s
}

// mistakes collects what Check reports.
func mistakes(check func(func(path, text string))) []string {
	var all []string
	check(func(path, text string) { all = append(all, path+": "+text) })
	slices.Sort(all)
	return all
}

func wantMistakes(t *testing.T, check func(func(path, text string)), want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, mistakes(check)); diff != "" {
		t.Errorf("mistakes (-want +got):\n%s", diff)
	}
}

func TestSettings_DefaultsAreThoseOfTheTable(t *testing.T) {
	p, a := DefaultPrometheus(), DefaultAlertmanager()
	got := fmt.Sprint(p.Scrape.Interval, p.Scrape.Wait(), p.Evaluation.Interval, p.Evaluation.Delay, p.Evaluation.QueryOffset,
		a.GroupWait, a.GroupInterval, a.Peers, a.PeerTimeout, a.Webhook.Delay)
	if want := "15s 10s 15s 1s 0s 0s 15s 1 15s 0s"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	wantMistakes(t, p.Check)
	wantMistakes(t, a.Check)
}

func TestSettings_ScrapeTimeoutLeftOutIsWhatPrometheusTakes(t *testing.T) {
	for _, c := range []struct{ interval, timeout, want float64 }{{15, 0, 10}, {5, 0, 5}, {5, 1, 1}, {60, 0, 10}} {
		s := Scrape{Interval: sec(c.interval), Timeout: sec(c.timeout)}
		if got := s.Wait(); got != dur(c.want) {
			t.Errorf("interval %v, timeout %v: got %s, want %vs", c.interval, c.timeout, got, c.want)
		}
	}
}

func TestPrometheus_NamesEveryMistake(t *testing.T) {
	wantMistakes(t, Prometheus{
		Scrape:     Scrape{Interval: sec(5), Timeout: sec(6)},
		Evaluation: Evaluation{Interval: sec(90), Delay: sec(90), QueryOffset: sec(-1)},
	}.Check,
		"evaluation.delay: got 1m30s, want less than the evaluation interval of 1m30s: a group that takes longer misses its next evaluation",
		"evaluation.interval: got 1m30s, want 1s to 1m",
		"evaluation.query_offset: got -1s, want 0s or more",
		"scrape.timeout: got 6s, want 0s to the scrape interval of 5s",
	)
	wantMistakes(t, Prometheus{}.Check,
		"evaluation.interval: got 0s, want 1s to 1m",
		"scrape.interval: got 0s, want 1s to 1m",
	)
	// Ranges such as [1m59s500ms] would end on a sample.
	wantMistakes(t, Prometheus{Scrape: Scrape{Interval: sec(.25)}, Evaluation: Evaluation{Interval: sec(.5)}}.Check,
		"evaluation.interval: got 500ms, want 1s to 1m",
		"scrape.interval: got 250ms, want 1s to 1m",
	)
	wantMistakes(t, Prometheus{Scrape: Scrape{Interval: sec(1)}, Evaluation: Evaluation{Interval: sec(1)}}.Check)
}

func TestAlertmanager_NamesEveryMistake(t *testing.T) {
	wantMistakes(t, Alertmanager{
		GroupWait: sec(-1), GroupInterval: sec(5), PeerTimeout: sec(-1),
		Webhook: Webhook{URL: "127.0.0.1:9099/x", Delay: sec(-1)},
	}.Check,
		"group_interval: got 5s, want 10s or more: Alertmanager gives a delivery no less",
		"group_wait: got -1s, want 0s or more",
		"peer_timeout: got -1s, want 0s or more",
		"peers: got 0, want 1 or more",
		"webhook.delay: got -1s, want 0s or more",
		`webhook.url: got "127.0.0.1:9099/x", want an address like http://127.0.0.1:9099/api/v1/alertmanager, or '' where there is no heal-receiver`,
	)
}

func TestSpec_NamesEveryMistake(t *testing.T) {
	s := shop(timed{5, 2, 5, 1, 0})
	s.Observers = []string{"a", "a", ""}
	v := s.Services[0]
	v.Severity, v.Dimensions, v.Observers = "P-1", []string{"zone", "entry", "zone"}, []string{"c"}
	v.Detect, v.Locate = 5*time.Minute, time.Minute
	v.Probes = []Probe{{Name: "", Role: "edge", Interval: dur(1), Timeout: 0}}
	v.Signals = []Signal{{Name: "queue", Mode: "mail"}, {Name: latency, Mode: "mail", Fault: sigma.Fault{Window: -1, Floor: 1, Cap: 1}}}
	s.Services = []Service{v, v}
	s.Services[1].Name = string([]byte{0xff})
	got := mistakes(s.Check)
	if i := slices.IndexFunc(got, func(m string) bool { return strings.Contains(m, "signals.queue.") }); i >= 0 {
		t.Errorf("told of a signal that is not available: %s", got[i])
	}
	for i := range s.Services {
		at := fmt.Sprintf("services[%d].", i)
		for _, want := range []string{
			`dimensions[1]: "entry", want`, `dimensions[2]: "zone" is named twice`,
			"dimensions: got [zone, entry, zone], want node among them",
			"severity: got \"P-1\", want letters, digits and _, a letter first", `observers[0]: "c" is not listed in observers`,
			"targets: got detect 5m0s, locate 1m0s, recover 10m0s, want 0 < detect <= locate <= recover",
			`probes[0]: name "", want a text in UTF-8`, `probes[0]: role "edge", want node or entry`,
			"probes[0]: interval 1s and timeout 0s, want more than 0s",
			`signals.queue: no entry of signals: gives "queue" to this service`, "signals.latency.mode: got \"mail\", want page or ticket",
			"signals.latency.fault.fault_window: got -1ns, want more than 0s", "signals.latency.fault.floor: got 1, want 0 or more and below 1",
			"signals.latency.fault.cap: got 1, want the floor of 1 or more and below 1",
			"signals.latency.fault.min_anomalies: got 0, want 1 or more", "signals.latency.fault.clear: got 0, want 1 or more",
		} {
			want = at + strings.Replace(want, `dimensions[1]: "entry", want`, `dimensions[1]: got "entry", want the name of a label of targets, such as node`, 1)
			if !slices.Contains(got, want) {
				t.Errorf("missing: %s", want)
			}
		}
	}
	for _, want := range []string{
		`observers[1]: name "a" is used twice`, `observers[2]: name "", want a text in UTF-8`, `services[1].name: name "\xff", want a text in UTF-8`,
	} {
		if !slices.Contains(got, want) {
			t.Errorf("missing: %s", want)
		}
	}
}

// Probes that may overlap take longer than their interval: that is in the bound,
// and no mistake.
func TestSpec_TimeoutMayExceedTheIntervalWhereProbesOverlap(t *testing.T) {
	s := shop(timed{2, 5, 5, 1, 0})
	wantMistakes(t, s.Check)
	b := Prove(s)[0]
	if got, want := b.Total, dur(2+5+5+1+5+1)+time.Duration(b.Bad-1)*dur(2); got != want || b.Refusal != "" {
		t.Errorf("got %s %s, want %s", got, b.Refusal, want)
	}
	generate(t, s)
}

// Two rooms look at the same settings: where both find a mistake, they name the
// same path, and the command tells it once.
func TestSpec_NamesThePathsOfTheCollector(t *testing.T) {
	const text = `
observers: [a, a, ""]
services:
- {name: shop, owner: x, severity: P1, dimensions: [node, node], observers: [z], targets: {detect: 6m},
   signals: {availability: {mode: loud, fault: {floor: 2, cap: 3, clear: 0, min_anomalies: 0, fault_window: 0s}}, queue: {}}}
- {name: shop, owner: x, severity: "a b"}
- {name: "", owner: x}
`
	var c collector.Settings
	err := config.Parse("x.yml", []byte(text), &c)
	var found config.Mistakes
	if !errors.As(err, &found) {
		t.Fatalf("got %v, want mistakes", err)
	}
	known := map[string]bool{}
	for _, m := range found {
		known[m.Path] = true
	}
	s := Spec{Observers: []string{"a", "a", ""}, Prometheus: DefaultPrometheus(), Alertmanager: DefaultAlertmanager()}
	for _, v := range c.Complete("a").Services {
		one := Service{Name: v.Name, Severity: v.Severity, Dimensions: v.Dimensions, Observers: v.Observers, Detect: time.Duration(v.Targets.Detect)}
		one.Locate, one.Recover = time.Duration(v.Targets.Locate), time.Duration(v.Targets.Recover)
		for name, g := range v.Signals {
			one.Signals = append(one.Signals, Signal{Name: name, Mode: g.Mode, Fault: g.Fault.Sigma()})
		}
		s.Services = append(s.Services, one)
	}
	s.Check(func(path, text string) {
		if !known[path] {
			t.Errorf("the rules alone name %s: %s", path, text)
		}
	})
	if len(known) < 12 {
		t.Errorf("the collector names only %d paths", len(known))
	}
}

func TestSpec_NeedsAnObserverAProbeAndASignalThatPages(t *testing.T) {
	s := shop(timed{5, 2, 5, 1, 0})
	s.Observers = nil
	s.Services[0].Signals[0].Mode = ticket
	wantMistakes(t, s.Check,
		"observers: no observer named, want at least one",
		"services[0].signals: no signal of mode page is found within the service's target of 60s, want at least one",
	)
	s = shop(timed{5, 2, 5, 1, 0})
	s.Services[0].Detect = 30 * time.Second
	s.Services[0].Signals[0].Detect = time.Minute
	wantMistakes(t, s.Check, "services[0].signals: no signal of mode page is found within the service's target of 30s, want at least one")
	s = shop(timed{5, 2, 5, 1, 0})
	s.Services[0].Probes = nil
	wantMistakes(t, s.Check, "services[0].signals.availability: no probe watches the service: want a probe of it, or this signal left out, where entries of signals: watch it")
}

func TestSpec_RefusedBoundIsAMistakeUnderItsPath(t *testing.T) {
	s := shop(timed{10, 3, 15, 5, 5})
	s.Services = append([]Service{shop(timed{5, 2, 5, 1, 0}).Services[0]}, s.Services...)
	s.Services[0].Name = "first"
	wantMistakes(t, s.Check, `services[1].signals.availability: probe "shop-nodes" takes 64s from fault to webhook at best, over the target of 60s: shorten prometheus.scrape.interval and prometheus.evaluation.interval from 15s to 13s or less`)
	files, _, err := Generate(s)
	if err == nil || files != nil || !strings.Contains(err.Error(), "generating rules: services[1].signals.availability: probe") {
		t.Errorf("got %d files and %v, want none and the refusal", len(files), err)
	}
}
