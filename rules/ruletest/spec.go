// Package ruletest writes unit tests of the generated rules, in the form that
// promtool reads (DETECTION 7).
//
// It is given a Spec: which services, signals and probes there are, how often
// things happen, and what was proved of each signal. It gives one file of tests.
// No expected value is written by hand: raw samples go through package sigma and
// a simulated scrape, and what the gauges then show says when which alert must
// fire, to the step.
//
// Where what stands:
//
//	spec.go      what is given; which scenes there are
//	timeline.go  one target as Prometheus sees it, from raw samples
//	notation.go  values in promtool's shorthand
//	scene.go     one test: its series and its checks
//	cases.go     the cases, each a scene
//	groups.go    the cases of dimensions above node
//	signals.go   the cases of signals that are answers to queries
//	values.go    the cases of signals whose values tell where a fault lies
//	peak.go      the case of a daily peak
//	watchers.go  the cases of the alerts that watch both programs
//	promql.go    the samples and cases of backend promql, whose rules judge themselves
//	phase.go     the worst phase of probe or query, scrape and evaluation
//
// It reads no clock, no file and no network.
package ruletest

import (
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"

	"github.com/onefiveten/onefiveten/rules/layout"
	"github.com/onefiveten/onefiveten/sigma"
)

// Spec is what the tests are made from. Its services, signals and figures must
// be those of the rules that are tested.
type Spec struct {
	Files     []string // names of the rule files, relative to that of the tests
	Observers []string // every expected one, at least one

	Every               time.Duration // E, the interval of every group
	Scrape, ScrapeTakes time.Duration // S and d_s

	Restart  time.Duration // how long an exporter is away when it restarts
	Differ   time.Duration // how long an observer is suspect before an alert says so
	Disagree time.Duration // how long observers differ about a member before one does
	Dwell    time.Duration // how long a watched part is away before an alert says so

	Unanswered time.Duration // how long a query has no first answer before an alert says so

	Reload   time.Duration // how long a configuration is refused before an alert says so
	Receiver *Receiver     // how heal-receiver is watched; nil: there is none

	Scraped bool // rules judge the results of probes by what scrapes find: backend promql

	Services []Service
	Proofs   []Proof
}

// Service is one that the rules watch.
type Service struct {
	Name, Owner, Severity string
	Dimensions            []string // sorted, node among them
	Observers             []string // who watches it; empty: all
	Signals               []Signal

	Locate, Recover time.Duration // targets, from the start of a fault
	Keep            time.Duration // keep_firing_for of its alerts, a multiple of E
}

// set is the name of the rules that watch the service.
func (v Service) set() string { return v.Severity + "-" + strings.Join(v.Dimensions, "-") }

// Signal is one kind of sample of a service; its Mode is page or ticket.
type Signal struct{ Name, Mode string }

// Proof is what was proved of one signal of a service, by its slowest probe.
type Proof struct {
	Service, Signal   string
	Probe             string         // empty: the samples are answers to a query
	Interval, Timeout time.Duration  // P and d_p, of a query P_q and d_q
	Query             *Query         // nil: the samples are those of Probe
	Fault             sigma.Fault    // with the cap that is in force
	Baseline          sigma.Baseline // of a value; no window: there is none
	RuleSet           string         // of the rules that judge it, where rules do
	Bad               int            // m: as many bad samples in a row are a fault
	Bound             time.Duration  // T, from fault to webhook
}

// Query is what lies between a fault and the first query that is told of it: the
// scrape of what the query reads, S_src and d_src, and how far back it reads, R.
type Query struct{ Source, SourceTimeout, Reach time.Duration }

// Words of labels, as in package rules.
const (
	availability = "availability"
	ticket       = "ticket"
	roleNode     = "node"
	roleEntry    = "entry"
)

const head = `Written by "probe-exporter rules"; do not edit, change the configuration instead.
Run it with: promtool test rules onefiveten_test.yml
Values come from raw samples through the thresholds and a simulated scrape; time 0 is 1970.
Every check lists all alerts that fire but Watchdog; what is not listed must be silent.
`

// Generate writes the file of tests. The same spec gives the same bytes. An
// error names the test that is at odds with itself: a bound that sigma does not
// keep, or a spec whose parts do not fit together.
func Generate(s Spec) ([]byte, error) {
	scenes, err := s.scenes()
	if err != nil {
		return nil, err
	}
	var tests []*yaml.Node
	for _, c := range scenes {
		if c.err != nil {
			return nil, fmt.Errorf("test %q: %w", c.name, c.err)
		}
		tests = append(tests, c.node())
	}
	var loaded []*yaml.Node
	for _, name := range s.Files {
		loaded = append(loaded, layout.Text(name))
	}
	return layout.Encode(head, layout.Mapping(
		layout.Pair{Key: "rule_files", Value: layout.Inline(layout.List(loaded...))},
		layout.Pair{Key: "evaluation_interval", Value: layout.Plain(model.Duration(s.Every).String())},
		layout.Pair{Key: "tests", Value: layout.List(tests...)},
	))
}

// scenes are the worst phase of every timing in use, and all cases once per
// severity class: the rules are generic, so one service stands for the others.
func (s Spec) scenes() ([]*scene, error) {
	var scenes []*scene
	proved, shown := map[string]bool{}, map[string]bool{}
	for _, p := range s.Proofs {
		c, err := s.scene(p)
		if err != nil {
			return nil, err
		}
		// Services of one timing have one worst phase.
		if id := c.identity(); !proved[id] {
			proved[id] = true
			scenes = append(scenes, c.worstPhase())
		}
		id := fmt.Sprint(c.set(), c.signal.Mode, p.Query != nil, c.values)
		if shown[id] {
			continue
		}
		shown[id] = true
		for _, play := range c.cases() {
			// Each case has a stage of its own.
			next, err := s.scene(p)
			if err != nil {
				return nil, err
			}
			play(next)
			if next.asking || next.values && next.daily == nil {
				next.name += " (by " + next.signal.Name + ")"
			}
			scenes = append(scenes, next)
		}
	}
	return append(scenes, s.watchers()...), nil
}

// scene sets the stage for one proof.
func (s Spec) scene(p Proof) (*scene, error) {
	for _, v := range s.Services {
		for _, g := range v.Signals {
			if v.Name == p.Service && g.Name == p.Signal {
				t := s.timing(p)
				t.values = g.Mode != ticket && g.Name != availability && !s.Scraped
				return &scene{timing: t, spec: s, service: v, signal: g, fault: p.Fault, proof: p, known: map[string]bool{}}, nil
			}
		}
	}
	return nil, fmt.Errorf("there is no service %q with a signal %q, of which a proof tells", p.Service, p.Signal)
}

// identity is equal for scenes whose worst phase is the same.
func (c *scene) identity() string {
	return fmt.Sprint(c.set(), c.signal.Mode, c.probe, c.probeTakes, c.fault, c.asking, c.source, c.sourceTakes, c.back)
}

// cases are the scenes that a signal of this mode takes part in.
func (c *scene) cases() []func(*scene) {
	if c.scraped {
		return c.scrapedCases()
	}
	var all []func(*scene)
	if c.proof.Baseline.Window > 0 {
		all = append(all, (*scene).dailyPeak)
	}
	if c.values {
		all = append(all, c.valueCases()...)
	}
	switch {
	case c.asking:
		return append(all, c.queryCases()...)
	case c.signal.Mode == ticket:
		return append(all, (*scene).ticketOnly)
	case c.values && c.votesPage():
		return append(all, c.ownCases()...)
	}
	return append(append(all, c.pageCases()...), c.groupCases()...)
}

// pageCases are those of a signal of probes that pages.
func (c *scene) pageCases() []func(*scene) {
	all := []func(*scene){
		(*scene).healthy, (*scene).oneNode, (*scene).allNodes, (*scene).singleNode, (*scene).entryOnly, (*scene).anotherNode,
		(*scene).hung, (*scene).vanished, (*scene).isolated, (*scene).putBack, (*scene).twoServices,
	}
	if !c.values { // else it is there already
		all = append(all, (*scene).restarted)
	}
	if c.cycle() <= longCycle {
		all = append(all, (*scene).flapping)
	}
	n := len(c.observers())
	if n > 1 {
		all = append(all, (*scene).cutOff, (*scene).disagreeing, (*scene).mostlyBad)
	}
	if n > 2 {
		all = append(all, (*scene).outvoted)
	}
	return all
}
