package rules

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/onefiveten/onefiveten/rules/ruletest"
)

// Files that Generate gives: slash-separated, below the directory of the output.
// There is one file per group of rules that read each other, and RulesGlob, what
// Prometheus loads, finds nothing else: promtool takes rules of one name and one
// set of labels in a file for doubles, and equal alerts of two groups are none.
const (
	RulesGlob        = "rules/*.yml"
	TestsFile        = "tests/onefiveten_test.yml"
	RouteFile        = "alertmanager/route.yml"
	AlertmanagerFile = "alertmanager/alertmanager.example.yml"
	BoundsFile       = "bounds.txt"
)

const rulesHead = `Written by "probe-exporter rules"; do not edit, change the configuration instead.
Load it in Prometheus with rule_files. keep_firing_for needs Prometheus 2.42.
`

// Generate gives the files of a spec by name, and its bounds. The same spec gives
// the same bytes. The error names every mistake and every refused bound, one a
// line; there are no files then. Of a spec without services there are none either:
// nothing is promised, and its watchers would watch what nobody relies on.
func Generate(s Spec) (map[string][]byte, []Bound, error) {
	var mistakes []string
	s.Check(func(path, text string) { mistakes = append(mistakes, path+": "+text) })
	if len(mistakes) > 0 {
		return nil, nil, fmt.Errorf("generating rules: %s", strings.Join(mistakes, "\n"))
	}
	if len(s.Services) == 0 {
		return map[string][]byte{}, nil, nil
	}
	bounds := Prove(s)
	files := map[string][]byte{BoundsFile: []byte(Table(bounds))}
	writers := map[string]func() ([]byte, error){
		TestsFile:        func() ([]byte, error) { return ruletest.Generate(s.tested(bounds)) },
		RouteFile:        s.Alertmanager.routeFile,
		AlertmanagerFile: s.Alertmanager.exampleFile,
	}
	for name, groups := range s.groups() {
		writers[name] = func() ([]byte, error) {
			return file(rulesHead, time.Duration(s.Prometheus.Evaluation.Interval), groups)
		}
	}
	for name, write := range writers {
		data, err := write()
		if err != nil {
			return nil, nil, fmt.Errorf("generating %s: %w", name, err)
		}
		files[name] = data
	}
	return files, bounds, nil
}

// tested is what the unit tests of the rules are made from: the spec with what
// was proved of it.
func (s Spec) tested(bounds []Bound) ruletest.Spec {
	t := ruletest.Spec{
		Observers: s.Observers, Every: time.Duration(s.Prometheus.Evaluation.Interval),
		Scrape: time.Duration(s.Prometheus.Scrape.Interval), ScrapeTakes: s.Prometheus.Scrape.Wait(),
		Restart: restartTime, Differ: s.differ(), Disagree: s.disagree(), Dwell: dwell, Unanswered: s.unanswered(),
		Reload: holdDwell, Receiver: s.Alertmanager.watched(), Scraped: s.Backend == PromQL,
	}
	for _, name := range slices.Sorted(maps.Keys(s.groups())) {
		t.Files = append(t.Files, "../"+name)
	}
	for _, v := range s.Services {
		one := ruletest.Service{
			Name: v.Name, Owner: v.Owner, Severity: v.Severity, Dimensions: setOf(v).dimensions, Observers: v.Observers,
			Locate: v.Locate, Recover: v.Recover, Keep: s.keep(v.Severity),
		}
		for _, g := range v.Signals {
			one.Signals = append(one.Signals, ruletest.Signal{Name: g.Name, Mode: g.Mode})
		}
		t.Services = append(t.Services, one)
	}
	for _, b := range bounds {
		p := b.tested()
		p.RuleSet = s.RuleSet(b.Service, b.Signal)
		t.Proofs = append(t.Proofs, p)
	}
	return t
}

// tested is the bound as the tests reckon with it.
func (b Bound) tested() ruletest.Proof {
	c := b.chain
	p := ruletest.Proof{
		Service: b.Service, Signal: b.Signal, Probe: b.Probe, Interval: c.interval, Timeout: c.timeout,
		Fault: c.signal.Fault, Baseline: c.signal.Baseline, Bad: b.Bad, Bound: b.Total,
	}
	if c.signal.Query != nil {
		p.Query = &ruletest.Query{Source: c.source, SourceTimeout: c.sourceTimeout, Reach: c.reach}
	}
	return p
}

// groups has one file per set in use, and the watchers.
func (s Spec) groups() map[string][]group {
	files := map[string][]group{rulesFile("watchers"): s.watcherGroups()}
	if s.Backend == PromQL {
		maps.Copy(files, s.scrapedGroups())
		return files
	}
	for _, v := range s.Services {
		if t := setOf(v); files[rulesFile(t.name())] == nil {
			files[rulesFile(t.name())] = []group{s.group(t)}
		}
	}
	return files
}

// rulesFile is the file of one rule set.
func rulesFile(set string) string { return strings.Replace(RulesGlob, "*", "onefiveten-"+set, 1) }
