package rules

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/prometheus/common/model"

	"github.com/onefiveten/onefiveten/sigma"
)

// Spec is all that rules and proofs are made from. The command composes it from
// the collector's settings, with every default filled in.
type Spec struct {
	Backend      string // Exporter, which empty means, too, or PromQL
	Prometheus   Prometheus
	Alertmanager Alertmanager
	Observers    []string // every expected --observer, at least one
	Services     []Service
}

// The backends: who judges the samples of probes. PromQL sees of them what a scrape
// sees, one result every scrape interval.
const (
	Exporter = "exporter"
	PromQL   = "promql"
)

// Service is what the 1-5-10 targets are promised for.
type Service struct {
	Name, Owner string
	Severity    string   // the name of a class: with Dimensions the group of its rules
	Dimensions  []string // a set; the order has no meaning
	Observers   []string // who watches it; empty means all of Spec.Observers

	Detect, Locate, Recover time.Duration // targets, from the fault's start

	Signals []Signal
	Probes  []Probe
}

// Signal is one kind of sample of a service. Fault.Cap 0 asks for the largest
// one that meets the target: pass it wherever nobody wrote a cap by hand.
type Signal struct {
	Name   string        // availability, latency, or that of a query
	Mode   string        // page or ticket
	Detect time.Duration // 0 means the service's
	Fault  sigma.Fault
	MaxCap float64 // the largest cap that is solved; 0: .5 for availability, else .6
	Query  *Query  // nil: the probes give the samples

	Baseline sigma.Baseline // that judges a value; availability has none
}

// Query is the timing of one entry of "signals:", whose answers are the samples.
type Query struct {
	Path              string // of the entry in the configuration: signals[0]
	Expr              string
	Interval, Timeout time.Duration // P_q and d_q

	// S_src and d_src: interval and timeout of the scrape of what Expr reads.
	Source, SourceTimeout time.Duration
}

// Probe is the timing of one entry of "probes:". Timeout is the longest time a
// probe may take; it is above Interval where probes may overlap.
type Probe struct {
	Name, Role        string // role is node or entry
	Interval, Timeout time.Duration
}

// Signals of a probe, their modes, and roles.
const (
	availability = "availability"
	latency      = "latency"
	page         = "page"
	ticket       = "ticket"
	roleNode     = "node"
	roleEntry    = "entry"
)

// class is a severity that a label value, the name of a file and that of a rule set
// can hold.
var class = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]*$`)

// Check reports every mistake of the spec, refused bounds included. Paths are
// those of probe-exporter's configuration: services[0].signals.availability. Of
// what the collector reports too the path is the same, so that one of the two
// can be left out; probes have no such path, since a spec lists those of a
// service and the configuration all.
func (s Spec) Check(report func(path, text string)) {
	if s.Backend != "" && s.Backend != Exporter && s.Backend != PromQL {
		report("backend", fmt.Sprintf("got %q, want exporter or promql", s.Backend))
	}
	s.Prometheus.Check(func(path, text string) { report("prometheus."+path, text) })
	s.Alertmanager.Check(func(path, text string) { report("alertmanager."+path, text) })
	checkNames(report, "observers[%d]", s.Observers)
	if len(s.Observers) == 0 {
		report("observers", "no observer named, want at least one")
	}
	names := make([]string, len(s.Services))
	for i, v := range s.Services {
		names[i] = v.Name
		v.check(func(path, text string) { report(fmt.Sprintf("services[%d].%s", i, path), text) }, s.Observers)
	}
	checkNames(report, "services[%d].name", names)
	s.checkQueries(report)
	s.checkScraped(report)
	s.CheckBounds(report)
}

// timed tells whether the intervals can be reckoned with at all.
func (s Spec) timed() bool {
	ok := s.Prometheus.Scrape.Interval > 0 && s.Prometheus.Evaluation.Interval > 0
	for _, v := range s.Services {
		for _, p := range v.Probes {
			ok = ok && p.Interval > 0
		}
		for _, g := range v.Signals {
			ok = ok && g.Fault.Window > 0 && (g.Query == nil || g.Query.Interval > 0)
		}
	}
	return ok
}

// checkNames reports what cannot be a label value, and doubles. In path, %d is
// the place of a name.
func checkNames(report func(path, text string), path string, names []string) {
	for i, n := range names {
		at := fmt.Sprintf(path, i)
		switch {
		case n == "" || !utf8.ValidString(n):
			report(at, fmt.Sprintf("name %q, want a text in UTF-8", n))
		case slices.Index(names, n) < i:
			report(at, fmt.Sprintf("name %q is used twice", n))
		}
	}
}

// check reports under paths inside the service.
func (v Service) check(report func(path, text string), observers []string) {
	if !class.MatchString(v.Severity) {
		report("severity", fmt.Sprintf("got %q, want letters, digits and _, a letter first", v.Severity))
	}
	v.checkDimensions(report)
	for i, o := range v.Observers {
		if !slices.Contains(observers, o) {
			report(fmt.Sprintf("observers[%d]", i), fmt.Sprintf("%q is not listed in observers", o))
		}
	}
	if v.Detect <= 0 || v.Locate < v.Detect || v.Recover < v.Locate {
		report("targets", fmt.Sprintf("got detect %s, locate %s, recover %s, want 0 < detect <= locate <= recover", v.Detect, v.Locate, v.Recover))
	}
	for i, p := range v.Probes {
		p.check(func(text string) { report(fmt.Sprintf("probes[%d]", i), text) })
	}
	for _, g := range v.Signals {
		g.check(func(path, text string) { report("signals."+g.Name+path, text) })
	}
}

// scopes are where a fault may lie beside a dimension: no dimension may be named so.
var scopes = []string{"service", "entry", "observer", "unknown"}

// checkDimensions takes any labels, node among them: a member of the others is a
// group of nodes.
func (v Service) checkDimensions(report func(path, text string)) {
	for i, d := range v.Dimensions {
		at := fmt.Sprintf("dimensions[%d]", i)
		switch {
		case !model.LegacyValidation.IsValidLabelName(d) || slices.Contains(scopes, d):
			report(at, fmt.Sprintf("got %q, want the name of a label of targets, such as node", d))
		case slices.Index(v.Dimensions, d) < i:
			report(at, fmt.Sprintf("%q is named twice", d))
		}
	}
	if !slices.Contains(v.Dimensions, roleNode) {
		report("dimensions", fmt.Sprintf("got [%s], want node among them", strings.Join(v.Dimensions, ", ")))
	}
}

// check reports on one probe. How many may be open at once, and so how long one
// may take, is the schedule's to say: here it only makes the bound longer.
func (p Probe) check(report func(text string)) {
	if p.Name == "" || !utf8.ValidString(p.Name) {
		report(fmt.Sprintf("name %q, want a text in UTF-8", p.Name))
	}
	if p.Role != roleNode && p.Role != roleEntry {
		report(fmt.Sprintf("role %q, want node or entry", p.Role))
	}
	if p.Interval <= 0 || p.Timeout <= 0 {
		report(fmt.Sprintf("interval %s and timeout %s, want more than 0s", p.Interval, p.Timeout))
	}
}

// checkQueries reports under the paths of the entries themselves.
func (s Spec) checkQueries(report func(path, text string)) {
	for _, v := range s.Services {
		for _, g := range v.Signals {
			if q := g.Query; q != nil {
				q.check(func(path, text string) { report(q.Path+"."+path, text) })
			}
		}
	}
}

// check reports under paths inside the entry. A query that may take longer than
// its interval would make the next one late, which the bound does not allow for.
func (q Query) check(report func(path, text string)) {
	if q.Interval <= 0 || q.Timeout <= 0 || q.Source <= 0 || q.SourceTimeout <= 0 {
		report("interval", fmt.Sprintf("got interval %s, prometheus.timeout %s, scrape_interval %s with a timeout of %s, want more than 0s",
			q.Interval, q.Timeout, q.Source, q.SourceTimeout))
	} else if q.Timeout > q.Interval {
		report("interval", fmt.Sprintf("got %s, want prometheus.timeout, %s, or more: a query that takes longer makes the next one late", span(q.Interval), span(q.Timeout)))
	}
	if _, err := Reach(q.Expr); err != nil {
		report("expr", err.Error())
	}
}

// check reports under paths that follow the signal's. Of one that nothing gives
// nothing else is worth telling.
func (g Signal) check(report func(path, text string)) {
	if probed := g.Name == availability || g.Name == latency; probed != (g.Query == nil) {
		text := fmt.Sprintf("no entry of signals: gives %q to this service", g.Name)
		if probed {
			text = fmt.Sprintf("probes give %q, want another name for what %s gives", g.Name, g.Query.Path)
		}
		report("", text)
		return
	}
	if g.Mode != page && g.Mode != ticket {
		report(".mode", fmt.Sprintf("got %q, want page or ticket", g.Mode))
	}
	g.checkFault(func(path, text string) { report(".fault."+path, text) })
}

// checkFault takes what sigma takes, and a cap of 0, which is to be solved.
func (g Signal) checkFault(report func(path, text string)) {
	f := g.Fault
	if f.Window <= 0 {
		report("fault_window", fmt.Sprintf("got %s, want more than 0s", f.Window))
	}
	if f.Floor < 0 || f.Floor >= 1 {
		report("floor", fmt.Sprintf("got %v, want 0 or more and below 1", f.Floor))
	}
	if f.Cap < 0 || f.Cap >= 1 || f.Cap > 0 && f.Cap < f.Floor {
		report("cap", fmt.Sprintf("got %v, want the floor of %v or more and below 1", f.Cap, f.Floor))
	}
	if g.MaxCap < 0 || g.MaxCap >= 1 || g.MaxCap > 0 && g.MaxCap < f.Floor {
		report("max_cap", fmt.Sprintf("got %v, want the floor of %v or more and below 1", g.MaxCap, f.Floor))
	}
	if f.MinAnomalies < 1 {
		report("min_anomalies", fmt.Sprintf("got %d, want 1 or more", f.MinAnomalies))
	}
	if f.Clear < 1 {
		report("clear", fmt.Sprintf("got %d, want 1 or more", f.Clear))
	}
}
