package collector

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-kit/log"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/onefiveten/onefiveten/probe"
)

// Module is a prober made ready.
type Module struct {
	// Probe probes a target once and returns at the deadline of ctx. It is called
	// by many goroutines at a time.
	Probe   func(ctx context.Context, target string) probe.Result
	Timeout time.Duration // the module's own; 0: the interval of the probe
	// CheckTarget tells why a target could never be probed; nil takes any.
	CheckTarget func(target string) error
	// Version tells two settings of a module apart: a target keeps the state of
	// its signals only under the same.
	Version string
	// Latency is the series that tells the latency of a success; the zero value:
	// probe_duration_seconds.
	Latency PhaseSeries
}

// PhaseSeries names one phase in a family of a prober.
type PhaseSeries struct{ Name, Phase string }

// Proof is what was proved for a signal of a service: the cap of its fault
// probability, used where none was written, and the longest time of detection,
// exposed as it is. RuleSet names the rules that judge it under backend promql.
type Proof struct {
	Service, Signal string
	RuleSet         string
	Cap             float64
	Bound           time.Duration
}

// proofOf gives the proof of a signal, and zeros for one that has none.
func proofOf(proofs []Proof, service, signal string) Proof {
	for _, p := range proofs {
		if p.Service == service && p.Signal == signal {
			return p
		}
	}
	return Proof{}
}

// Collector runs the schedule and answers with the page: it is the http.Handler
// of /metrics/probes.
type Collector struct {
	observer string
	logger   log.Logger
	clock    *clock
	columns  []column
	families *families
	pool     *sync.Pool
	own      ownMetrics
	filler   *filler

	table     atomic.Pointer[table]
	changed   chan struct{} // holds one token while the schedule must be made anew
	resourced chan struct{} // likewise for the sources of targets
	requeried chan struct{} // likewise for the queries of signals

	applying sync.Mutex // one change at a time
	force    force
	zones    zones
}

// force is what the last Apply was given.
type force struct {
	settings Settings // completed
	modules  map[string]Module
	proofs   []Proof
	sources  []*source
	past     Source // nil: there is none
}

// table is everything that one Apply has put in force.
type table struct {
	targets []*target
	byKey   map[key]*target
	info    []info
	probes  []string
	found   map[string]int      // by probe that discovers: targets that were found and are in force
	refused map[string][]string // likewise: why others were left out
	lost    map[string]tally    // likewise: labels that were left out

	queries     []*query
	concurrency int // queries that may be open at once
}

// key names a target over reloads.
type key struct{ probe, url string }

// New makes a collector that probes nothing yet; observer is its name.
func New(observer string, logger log.Logger) *Collector {
	c := &Collector{
		observer: observer, logger: logger, clock: &clock{origin: time.Now()}, columns: columns(),
		families: newFamilies(), pool: newPool(), own: newOwnMetrics(), changed: make(chan struct{}, 1),
		resourced: make(chan struct{}, 1), requeried: make(chan struct{}, 1), zones: zones{},
	}
	c.table.Store(&table{})
	c.filler = newFiller(c)
	return c
}

// Apply puts settings in force, before or during Run. When it gives an error,
// nothing has changed. Otherwise each target that was there before keeps its
// counters, and each of its signals whose settings are the same keeps its
// state; series of targets that are gone leave the page. Files with targets are
// read, and servers with targets will be asked anew; those that fail are no error.
//
// The settings must have passed Check and CheckModules. A signal without a cap
// of its own needs a proof. Signals are read from source, and so is the past of
// every baseline that begins anew; without one there are no signals of queries.
func (c *Collector) Apply(s Settings, modules map[string]Module, proofs []Proof, source Source) error {
	c.applying.Lock()
	defer c.applying.Unlock()
	s = s.Complete(c.observer)
	if err := c.zones.settle(s.Baselines); err != nil {
		return err
	}
	if !slices.Contains(s.Observers, c.observer) {
		return fmt.Errorf("observer %q is not listed in observers: %s", c.observer, strings.Join(s.Observers, ", "))
	}
	sources, err := c.sourcesOf(s)
	if err != nil {
		return err
	}
	readings := make([]error, len(sources))
	for i, s := range sources {
		if s.kind == fileSD {
			s.found, readings[i] = s.reading(context.Background())
		}
	}
	if err := c.put(force{s, modules, proofs, sources, source}); err != nil {
		return err
	}
	for i, s := range sources {
		if s.kind == fileSD {
			c.took(s, s.found, readings[i])
			s.first = s.pause()
		}
	}
	c.own.discovered(sources)
	signal(c.resourced)
	return nil
}

// put makes a table of what is given and swaps it in, or changes nothing.
func (c *Collector) put(f force) error {
	next, changes, err := c.build(f)
	if err != nil {
		return err
	}
	// From here on nothing can fail. The states come first: a scrape in between
	// shows the old targets with new verdicts, never new ones with old verdicts.
	for _, begin := range changes.begin {
		begin()
	}
	c.force = f
	before := c.table.Swap(next)
	c.own.follow(before, next)
	for _, name := range next.probes {
		c.tellRefused(name, before.refused[name], next.refused[name])
		c.tellLost(name, before.lost[name], next.lost[name])
	}
	signal(c.changed)
	signal(c.requeried)
	c.filler.follow(next, f.past, changes.jobs)
	return nil
}

// changes are what must be done to put a table in force.
type changes struct {
	begin []func() // begin the signals whose settings are new
	jobs  []*job   // read the past of those
}

// signal leaves a token, unless there is one.
func signal(to chan<- struct{}) {
	select {
	case to <- struct{}{}:
	default:
	}
}

// build makes the next table.
func (c *Collector) build(f force) (*table, changes, error) {
	next := &table{
		byKey: map[key]*target{}, info: newInfo(f.settings, c.observer, f.modules, f.proofs),
		found: map[string]int{}, refused: map[string][]string{}, lost: map[string]tally{},
		concurrency: f.settings.Asking.Concurrency,
	}
	queries, all, err := c.queries(f)
	next.queries = queries
	memory := memory{there: f.past != nil, comes: f.past != nil && c.force.past == nil}
	errs := []error{err}
	for _, p := range f.settings.Probes {
		if !f.settings.mine(p, c.observer) {
			continue
		}
		next.probes = append(next.probes, p.Name)
		plan, err := f.settings.plan(p, f.modules, f.proofs)
		if err != nil {
			errs = append(errs, fmt.Errorf("probe %q: %w", p.Name, err))
			continue
		}
		found := f.found(p.Name)
		targets, refused := p.admit(found, plan.module.CheckTarget)
		if p.discovers() {
			next.found[p.Name], next.refused[p.Name], next.lost[p.Name] = len(targets)-len(p.Targets), refused, found.lost()
		}
		waiting := map[string]*slotOfTarget{}
		for _, address := range targets {
			t := c.target(f.settings, p, plan, address)
			begin, past := plan.begin(t.state, memory)
			all.begin = append(all.begin, begin...)
			if past != nil {
				past.narrow(len(targets))
				waiting[t.url] = &slotOfTarget{t.state, past}
			}
			next.targets = append(next.targets, t)
			next.byKey[key{t.probe, t.url}] = t
		}
		if len(waiting) > 0 {
			all.jobs = append(all.jobs, f.pastOf(c.observer, p, plan, waiting, len(targets)))
		}
	}
	return next, all, errors.Join(errs...)
}

// found gives what the sources of a probe have found.
func (f force) found(probe string) lists {
	all := lists{}
	for _, s := range f.sources {
		if s.probe == probe {
			maps.Copy(all, s.found)
		}
	}
	return all
}

// target makes the target of one address, with the state that it had before.
func (c *Collector) target(s Settings, p Probe, plan plan, address Target) *target {
	t := &target{
		probe: p.Name, service: p.Service, url: address.URL, module: plan.module,
		interval: time.Duration(p.Interval), deadline: p.Timeout(plan.module.Timeout),
		overlap: int32(max(p.Overlap, 1)), exposed: plan.exposed, rules: plan.rules, judged: plan.judged, ends: plan.ends,
	}
	t.phase = phase(c.observer, t.url, t.probe, t.interval)
	pairs := []label{
		{"job", s.Job},
		{"instance", t.url},
		{"observer", c.observer},
		{"probe", t.probe},
	}
	if t.service != "" { // without one, there is nothing that the role would be of
		pairs = append(pairs, label{"service", t.service}, label{"role", p.Role})
	}
	for _, name := range slices.Sorted(maps.Keys(address.Labels)) {
		pairs = append(pairs, label{name, address.Labels[name]})
	}
	t.labels = newLabels(pairs...)
	// Labels may change and the state stays: they are no part of it.
	if old, ok := c.table.Load().byKey[key{t.probe, t.url}]; ok && old.state.fits(s.DurationBuckets) {
		t.state = old.state
	} else {
		t.state = newState(s.DurationBuckets)
	}
	return t
}

// fits tells whether the state counts into these classic buckets.
func (s *state) fits(buckets []float64) bool {
	return slices.EqualFunc(s.bounds, buckets, func(b bound, le float64) bool { return b.le == le })
}

// plan is what all targets of a probe share.
type plan struct {
	module  Module
	judged  bool // by the rules of a service
	ends    int  // successes in a row that end an episode where nothing is judged
	rules   [signals]rules
	exposed [signals]exposure
}

// plan works out the rules of both signals of a probe and tries them. Of a probe
// of no service there are none.
func (s Settings) plan(p Probe, modules map[string]Module, proofs []Proof) (plan, error) {
	module, ok := modules[p.Module]
	if !ok || module.Probe == nil {
		return plan{}, fmt.Errorf("there is no module %q", p.Module)
	}
	if p.Service == "" {
		return plan{module: module, ends: 1}, nil
	}
	at := slices.IndexFunc(s.Services, func(v Service) bool { return v.Name == p.Service })
	if at < 0 {
		return plan{}, fmt.Errorf("there is no service %q", p.Service)
	}
	if s.scraped() {
		return plan{module: module, ends: written(s.Services[at].Signals[availability].Fault.Clear)}, nil
	}
	made := plan{module: module, judged: true, ends: 1}
	var errs []error
	for i, name := range signalNames {
		r := s.rules(s.Services[at], name, module.Version, time.Duration(p.Interval), proofs)
		made.rules[i], made.exposed[i] = r, s.Services[at].Signals[name].exposed()
		// Making one here finds every mistake before anything has changed.
		_, err := r.fresh()
		errs = append(errs, err)
	}
	return made, errors.Join(errs...)
}

// rules are those of a signal whose samples come every interval. module is what
// gives them.
func (s Settings) rules(v Service, signal, module string, interval time.Duration, proofs []Proof) rules {
	g := v.Signals[signal]
	r := rules{module: module, interval: interval, fault: g.Fault.Sigma()}
	if g.Fault.Cap == nil {
		r.fault.Cap = proofOf(proofs, v.Name, signal).Cap
	}
	if signal != availability {
		r.baseline, r.score = s.BaselineOf(v, signal).Sigma(), g.Score
	}
	return r
}

// memory says whether there is a Prometheus that remembers, and whether there was
// none until now.
type memory struct{ there, comes bool }

// begin gives what must be done so that the state follows the plan. The rules
// have been tried: a series can be made. Where there are none any more, the
// series ends. One with a baseline waits for its past, if there is one, and so does
// one that goes on and is cold yet when a Prometheus comes: what it keeps until then
// is given, too.
func (p plan) begin(s *state, past memory) (list []func(), waits *backlog) {
	for i, r := range p.rules {
		s.mu.Lock()
		has, same := s.signals[i].series != nil, s.signals[i].rules == r
		cold := has && r.cold(s.shown.Load().verdicts[i])
		s.mu.Unlock()
		switch {
		case !p.judged && has:
			list = append(list, func() { s.begin(i, judged{rules: r}) })
		case p.judged && !(has && same):
			fresh, err := r.fresh()
			if err != nil {
				continue
			}
			if past.there && i == ofLatency {
				waits = newBacklog(r)
				fresh.past = waits
			}
			list = append(list, func() { s.begin(i, fresh) })
		case p.judged && past.comes && cold && i == ofLatency:
			waits = newBacklog(r)
			waits.withheld = false
			list = append(list, func() { s.remember(i, waits) })
		}
	}
	return list, waits
}

// phase is hash(observer, instance, probe) mod interval (DETECTION 3.1).
func phase(observer, url, probe string, interval time.Duration) time.Duration {
	h := fnv.New64a()
	// The zero keeps "ab", "c" and "a", "bc" apart.
	for _, text := range []string{observer, url, probe} {
		h.Write([]byte(text))
		h.Write([]byte{0})
	}
	return time.Duration(h.Sum64() % uint64(interval))
}

// sampleTime is the time that sigma is told.
func (c *Collector) sampleTime(now time.Time) time.Time {
	return c.clock.at(now.Round(0), now.Sub(c.clock.origin))
}

// Metrics are those of the schedule itself, for /metrics.
func (c *Collector) Metrics() prometheus.Collector { return c.own }
