package collector

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/prometheus/common/model"

	"github.com/onefiveten/onefiveten/sigma"
)

// holdExtra is by how much more the hold must outlive recover.
const holdExtra = 5 * time.Minute

// reserved are label names that targets may not carry: the exporter sets them,
// or rules and Alertmanager give them a meaning (DETECTION 3.3).
var reserved = []string{
	"le", "quantile", "reason", "signal", "bound", "feature", "phase", "alertname", "observer", "probe", "instance", "job",
	"service", "role", "owner", "mode", "severity", "heal", "scope", "dimension", "member", "rule_set",
}

// exportedPrefix begins the names that Prometheus gives to labels which it finds
// under a name that it sets itself.
const exportedPrefix = "exported_"

// isReserved tells whether targets may not carry a label of that name.
func isReserved(name string) bool {
	return slices.Contains(reserved, name) || strings.HasPrefix(name, exportedPrefix)
}

// reporter takes one mistake and the path of the key that it is about.
type reporter func(path, text string)

// once tells the same of the same path one time.
func (r reporter) once() reporter {
	told := map[[2]string]bool{}
	return func(path, text string) {
		if key := [2]string{path, text}; !told[key] {
			told[key] = true
			r(path, text)
		}
	}
}

// under puts a prefix before each path.
func (r reporter) under(format string, args ...any) reporter {
	prefix := fmt.Sprintf(format, args...)
	return func(path, text string) { r(strings.TrimSuffix(prefix+path, "."), text) }
}

// unless reports when ok is false.
func (r reporter) unless(ok bool, path, format string, args ...any) {
	if !ok {
		r(path, fmt.Sprintf(format, args...))
	}
}

// Check reports every mistake that the settings hold by themselves. Modules are
// looked at by CheckModules.
func (s Settings) Check(report func(path, text string)) {
	r := reporter(report)
	s.Windows = s.windows() // made once
	r.unless(slices.Contains([]string{"", exporter, promql}, s.Backend), "backend", "got %q, want exporter or promql", s.Backend)
	checkExpose(r, s.Expose)
	r.unless(s.Job == "" || utf8.ValidString(s.Job), "job", "got %q, want a text in UTF-8", s.Job)
	s.checkBuckets(r)
	checkNames(r, "observers", s.Observers, func(i int) string { return fmt.Sprintf("observers[%d]", i) })
	s.checkBaselines(r)
	s.checkProbes(r)
	s.checkServices(r)
	s.checkQueries(r)
}

// checkExpose takes nothing for the default.
func checkExpose(r reporter, word string) {
	r.unless(slices.Contains([]string{"", minimal, full}, word), "expose", "got %q, want minimal or full", word)
}

// checkNames reports empty names and doubles; at gives the path of a name.
func checkNames(r reporter, what string, names []string, at func(int) string) {
	for i, n := range names {
		switch {
		case n == "" || !utf8.ValidString(n):
			r(at(i), fmt.Sprintf("name %q, want a text in UTF-8", n))
		case slices.Index(names, n) < i:
			r(at(i), fmt.Sprintf("name %q stands twice in %s", n, what))
		}
	}
}

// checkBuckets wants what a histogram can be made of: bounds that rise.
func (s Settings) checkBuckets(r reporter) {
	for i, b := range s.DurationBuckets {
		rising := i == 0 || b > s.DurationBuckets[i-1]
		r.unless(b > 0 && !math.IsInf(b, 0) && rising, fmt.Sprintf("duration_buckets[%d]", i), "got %v, want seconds above 0 that rise", b)
	}
}

// checkBaselines looks at the default one too: its hold may be too short for a
// service that takes longer to recover, though nobody has written it down. What a
// baseline leaves to the severities it is for each of its users.
func (s Settings) checkBaselines(r reporter) {
	complete := s.Complete("self")
	for _, name := range slices.Sorted(maps.Keys(complete.Baselines)) {
		b, at := complete.Baselines[name], r.under("baselines.%s.", name).once()
		b.check(at)
		uses := complete.uses(name)
		if len(uses) == 0 && b.Window > 0 {
			at.unless(b.Hold <= b.Window/2, "hold", tooLong, b.Hold, b.Window/2, b.Window)
		}
		for _, u := range uses {
			u.checkHold(at)
			checkReach(at, u.baseline, u.intervals)
		}
	}
}

// tooLong is a hold that could empty its window.
const tooLong = "got %s, want at most %s, half of the window of %s: a fault must leave something to judge it by; shorten hold, or lengthen the window"

// use is one baseline as some of the signals that it judges use it: those with one
// window and one hold.
type use struct {
	baseline  Baseline
	service   string          // with the longest recover target
	longest   time.Duration   // that target
	intervals []time.Duration // of the samples, each once
	unheld    bool            // nothing is kept out of it
}

// uses are those of the services of completed settings whose severity there is.
// A service without samples asks for its hold all the same.
func (s Settings) uses(baseline string) (all []use) {
	for _, v := range s.Services {
		if _, known := s.Windows.Severities[v.Severity]; !known {
			continue
		}
		for _, signal := range slices.Sorted(maps.Keys(v.Signals)) {
			if v.Signals[signal].Baseline != baseline {
				continue
			}
			b := s.BaselineOf(v, signal)
			i := slices.IndexFunc(all, func(u use) bool { return u.baseline.Window == b.Window && u.baseline.Hold == b.Hold })
			if i < 0 {
				i, all = len(all), append(all, use{baseline: b, unheld: s.scraped()})
			}
			all[i].add(v, s.feeding(v.Name, signal))
		}
	}
	return all
}

// add joins a signal of a service, whose samples come at these intervals.
func (u *use) add(v Service, intervals []time.Duration) {
	if d := time.Duration(v.Targets.Recover); d > u.longest {
		u.service, u.longest = v.Name, d
	}
	u.intervals = append(u.intervals, intervals...)
	slices.Sort(u.intervals)
	u.intervals = slices.Compact(u.intervals)
}

// feeding are the intervals at which the samples of a signal come that a baseline
// judges.
func (s Settings) feeding(service, signal string) []time.Duration {
	if signal == latency {
		return s.sampled(service)
	}
	if q, is := s.queryOf(service, signal); is && q.Interval > 0 {
		return []time.Duration{time.Duration(q.Interval)}
	}
	return nil
}

// checkHold wants a hold that outlives whatever a service takes to recover and
// leaves half of the window: a fault of that length must not become the new
// normal. Where none does both, the window is too short.
func (u use) checkHold(r reporter) {
	b := u.baseline
	least, most := model.Duration(u.longest+holdExtra), max(b.Window, 0)/2
	switch {
	case u.unheld:
	case least >= most:
		r("hold", fmt.Sprintf("got %s, want more than %s: the recover target of service %q and 5m; the window of %s allows at most half of itself: want a window of more than %s, and a hold between %s and half of it",
			b.Hold, least, u.service, b.Window, 2*least, least))
	case b.Hold <= least:
		r("hold", fmt.Sprintf("got %s, want more than %s: the recover target of service %q and 5m", b.Hold, least, u.service))
	case b.Hold > most:
		r("hold", fmt.Sprintf(tooLong, b.Hold, most, b.Window))
	}
}

// checkReach wants every interval at which a baseline gets its samples to be one
// at which it judges at all, and goes on judging while a fault is kept out of it.
// The keys of r are those of the baseline. Of a hold that is too long the longest
// right one stands for it.
func checkReach(r reporter, b Baseline, intervals []time.Duration) {
	if time.Duration(b.Window) < time.Minute || b.Hold < 0 {
		return
	}
	b.Hold = min(b.Hold, b.Window/2)
	m := b.Sigma()
	for _, p := range intervals {
		every, all, left := model.Duration(p), m.Holds(p), m.Keeps(p)
		r.unless(m.K < sigma.MaxK(all) || m.K == 0, "k", "%v can never be reached by the %d samples that a window of %s holds every %s: at most %.3f; lower k, or lengthen the window",
			m.K, all, b.Window, every, sigma.MaxK(all))
		switch {
		case m.MinSamples > all:
			r("min_samples", fmt.Sprintf("%d can never be reached by the %d samples that a window of %s holds every %s: lower it, or lengthen the window", m.MinSamples, all, b.Window, every))
		case m.MinSamples > left:
			r("min_samples", fmt.Sprintf("got %d, but while a fault is kept out for a hold of %s a window of %s holds only %d samples every %s: lower it, shorten hold, or lengthen the window",
				m.MinSamples, b.Hold, b.Window, left, every))
		}
	}
}

// check looks at what sigma would refuse, in the words of the configuration.
func (b Baseline) check(r reporter) {
	r.unless(b.Window == 0 || time.Duration(b.Window) >= time.Minute, "window", "got %s, want 1m or more", b.Window)
	r.unless(b.K >= 0 && b.K <= 1e6, "k", "got %v, want 0 to 1e6", b.K)
	r.unless(b.MinSamples >= 2, "min_samples", "got %d, want 2 or more", b.MinSamples)
	r.unless(b.Floor >= 0 && !math.IsInf(b.Floor, 0), "floor", "got %v, want 0 or more", b.Floor)
	sides := []sigma.Direction{sigma.Upper, sigma.Lower, sigma.Both}
	r.unless(slices.Contains(sides, b.Direction), "direction", "got %q, want upper, lower or both", b.Direction)
	r.unless(b.Season == sigma.NoSeason || b.Season == sigma.Daily, "season", "got %q, want none or daily", b.Season)
	_, err := location(b.Timezone)
	r.unless(err == nil, "timezone", "got %q, want a name such as UTC or Asia/Shanghai: %v", b.Timezone, err)
}

// checkProbes looks at each probe and whether its service exists. Two probes of
// one name could not be told apart on the page.
func (s Settings) checkProbes(r reporter) {
	names, services := make([]string, len(s.Probes)), make([]string, len(s.Services))
	for i, v := range s.Services {
		services[i] = v.Name
	}
	for i, p := range s.Probes {
		names[i] = p.Name
		at := r.under("probes[%d].", i)
		p.check(at)
		at.unless(p.Service == "" || slices.Contains(services, p.Service), "service", "%q is not among the services", p.Service)
	}
	checkNames(r, "probes", names, func(i int) string { return fmt.Sprintf("probes[%d].name", i) })
}

// check looks at one probe by itself. A target that stands twice would give each
// of its series twice, and Prometheus would refuse the whole page.
func (p Probe) check(r reporter) {
	p.FileSD.check(r.under("file_sd."))
	p.HTTPSD.check(r.under("http_sd."))
	r.unless(p.Role == roleNode || p.Role == roleEntry, "role", "got %q, want node or entry", p.Role)
	r.unless(time.Duration(p.Interval) >= time.Second, "interval", "got %s, want 1s or more", p.Interval)
	r.unless(p.Overlap >= 1 && p.Overlap <= 1000, "overlap", "got %d, want 1 to 1000", p.Overlap)
	r.unless(p.Module != "", "module", "no module named")
	r.unless(len(p.Targets) > 0 || p.discovers(), "targets", "no target, want at least one, or file_sd or http_sd")
	first := map[string]int{}
	for i, t := range p.Targets {
		at := r.under("targets[%d].", i)
		before, double := first[t.URL]
		at.unless(!double || t.URL == "", "url", "%q is target %d of this probe already", t.URL, before)
		first[t.URL] = i
		p.checkTarget(at, t)
	}
}

// checkTarget looks at one address. Its labels become labels of every result, so
// that they must not hide those that rules and route read. What is no mapping has
// no key to blame.
func (p Probe) checkTarget(r reporter, t Target) {
	key := "url"
	if t.Labels == nil {
		key = ""
	}
	r.unless(t.URL != "" && utf8.ValidString(t.URL), key, "got %q, want an address", t.URL)
	for _, name := range slices.Sorted(maps.Keys(t.Labels)) {
		value := t.Labels[name]
		at := "labels." + name
		switch {
		case !model.LegacyValidation.IsValidLabelName(name):
			r(at, fmt.Sprintf("label name %q, want letters, digits and _", name))
		case isReserved(name) || strings.HasPrefix(name, "__"):
			r(at, fmt.Sprintf("label name %q is reserved", name))
		case p.Service != "" && p.Role == roleEntry && name == roleNode:
			r(at, "an entry is no node: leave the label out, or set role: node")
		case value == "" || !utf8.ValidString(value):
			r(at, fmt.Sprintf("got %q, want a text in UTF-8", value))
		}
	}
}

// checkServices looks at each service and at what it says of its signals.
func (s Settings) checkServices(r reporter) {
	names, complete := make([]string, len(s.Services)), s.Complete("self")
	for i, v := range s.Services {
		names[i] = v.Name
		at := r.under("services[%d].", i)
		v.check(at)
		s.checkSeverity(at, v)
		v.checkObservers(at, s.Observers)
		s.checkSignals(at, v, complete)
	}
	checkNames(r, "services", names, func(i int) string { return fmt.Sprintf("services[%d].name", i) })
}

// check looks at one service by itself. What a proof needs beyond that, such as
// a mode that can page at all, the rules check.
func (v Service) check(r reporter) {
	r.unless(v.Owner != "", "owner", "no owner, want who answers for the service")
	r.unless(utf8.ValidString(v.Owner), "owner", "got %q, want a text in UTF-8", v.Owner)
	checkNames(r, "dimensions", v.Dimensions, func(i int) string { return fmt.Sprintf("dimensions[%d]", i) })
	for i, d := range v.Dimensions {
		ok := model.LegacyValidation.IsValidLabelName(d) && !isReserved(d) && !strings.HasPrefix(d, "__") // no target could carry it
		r.unless(ok, fmt.Sprintf("dimensions[%d]", i), "got %q, want the name of a label of targets, such as node", d)
	}
}

// checkSeverity wants one of those that there are, and targets in their order: those
// of the severity where the service does not write them.
func (s Settings) checkSeverity(r reporter, v Service) {
	name := cmp.Or(v.Severity, page)
	_, known := s.Windows.Severities[name]
	switch names := strings.Join(s.Windows.Names(), ", "); {
	case known:
		v.complete(s).Targets.check(r)
	case v.Severity == "":
		r("severity", fmt.Sprintf("no severity, and there is none named page: want one of %s", names))
	default:
		r("severity", fmt.Sprintf("got %q, want one of %s", v.Severity, names))
	}
}

// checkObservers wants those who watch a service among all observers: a name
// that nobody bears would be missed for ever.
func (v Service) checkObservers(r reporter, all []string) {
	checkNames(r, "observers", v.Observers, func(i int) string { return fmt.Sprintf("observers[%d]", i) })
	for i, o := range v.Observers {
		r.unless(slices.Contains(all, o), fmt.Sprintf("observers[%d]", i), "%q is not listed in observers", o)
	}
}

// checkSignals looks at the signals that a service names and at those of queries,
// which are there without being named. The fault is looked at with its defaults,
// so that a floor over the default cap is found.
func (s Settings) checkSignals(r reporter, v Service, complete Settings) {
	names := slices.Collect(maps.Keys(v.Signals))
	for _, q := range s.Signals {
		if q.Service == v.Name {
			names = append(names, q.Name)
		}
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		g, at := v.Signals[name], r.under("signals.%s.", name)
		q, isQuery := s.queryOf(v.Name, name)
		if !isQuery && name != availability && name != latency {
			at("", fmt.Sprintf("got %s, want availability, latency or the name of an entry of signals whose service is %q", name, v.Name))
			continue
		}
		g.check(at, name, q, complete.Baselines)
		intervals := complete.sampled(v.Name)
		if isQuery {
			intervals = []time.Duration{time.Duration(q.Interval)}
		}
		g.complete(name, cmp.Or(v.Severity, page), complete).Fault.check(at.under("fault."), intervals)
	}
}

// check looks at what a service writes of one signal, its fault aside. q is the entry
// of signals that gives it; that of probes has none.
func (g Signal) check(r reporter, name string, q Query, baselines map[string]Baseline) {
	checkExpose(r, g.Expose)
	r.unless(g.Mode == "" || g.Mode == page || g.Mode == ticket, "mode", "got %q, want page or ticket", g.Mode)
	r.unless(g.Targets.Detect >= 0, "targets.detect", "got %s, want more than 0s", g.Targets.Detect)
	if name == availability {
		r.unless(g.Baseline == "", "baseline", "availability has none: a failed probe is bad at once")
		r.unless(!g.Score, "score", "availability has none: it is 0 or 1")
	} else if _, known := baselines[g.Baseline]; g.Baseline != "" {
		r.unless(known, "baseline", "%q is not among the baselines", g.Baseline)
	}
	r.unless(g.Baseline == "" || q.Baseline == "" || g.Baseline == q.Baseline, "baseline", "got %q, and %q in signals; want it in one place", g.Baseline, q.Baseline)
}

// intervals are those of the probes of a service, each once. A service without a
// name has none: those of no service are not meant.
func (s Settings) intervals(service string) []time.Duration {
	var all []time.Duration
	for _, p := range s.Probes {
		if p.Service == service && service != "" && p.Interval > 0 {
			all = append(all, time.Duration(p.Interval))
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// check looks at a completed fault and the intervals that it judges.
func (f Fault) check(r reporter, intervals []time.Duration) {
	m := f.Sigma()
	if m.Window < time.Second || m.Window > 24*time.Hour {
		r("fault_window", fmt.Sprintf("got %s, want 1s to 24h", f.Window))
		intervals = nil // they would say the same again
	}
	for _, p := range intervals {
		slots := m.Slots(p)
		r.unless(slots >= 1 && slots <= sigma.MaxSlots, "fault_window", "got %s, want 1 to %d times the interval of %s", f.Window, sigma.MaxSlots, model.Duration(p))
	}
	r.unless(m.Floor >= 0 && m.Floor < 1, "floor", "got %v, want 0 or more and below 1", m.Floor)
	if f.Cap != nil {
		r.unless(m.Cap > 0 && m.Cap < 1, "cap", "got %v, want above 0 and below 1", m.Cap)
		r.unless(m.Floor <= m.Cap, "cap", "got %v, want the floor of %v or more", m.Cap, m.Floor)
	}
	r.unless(m.MinAnomalies >= 1, "min_anomalies", "got %d, want 1 or more", m.MinAnomalies)
	r.unless(m.K >= 0 && m.K <= 1e6, "k_e", "got %v, want 0 to 1e6", m.K)
	r.unless(m.Clear >= 1 && m.Clear <= 1e6, "clear", "got %d, want 1 or more", m.Clear)
}

// CheckModules reports probes whose module is missing, or may take longer than
// the interval allows.
func (s Settings) CheckModules(modules map[string]Module, report func(path, text string)) {
	r := reporter(report)
	for i, p := range s.Probes {
		at := r.under("probes[%d].", i)
		m, ok := modules[p.Module]
		if !ok {
			at.unless(p.Module == "", "module", "%q is not among the modules: %s", p.Module, strings.Join(slices.Sorted(maps.Keys(modules)), ", "))
			continue
		}
		most := time.Duration(p.Interval) * time.Duration(max(p.Overlap, 1))
		at.unless(m.Timeout <= most, "module", "its timeout of %s is longer than the interval of %s: shorten it, or set overlap to %d",
			m.Timeout, p.Interval, overlap(m.Timeout, time.Duration(p.Interval)))
		s.checkPhases(at, p, m)
	}
}

// overlap is how many runs of that length may be open at once.
func overlap(length, interval time.Duration) int64 {
	return int64((length + interval - 1) / max(interval, 1))
}
