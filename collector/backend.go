package collector

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/onefiveten/onefiveten/sigma"
)

// promql is the backend under which nothing is judged here: rules in Prometheus
// judge what scrapes find (DETECTION 6.4).
const promql = "promql"

// scraped tells whether rules in Prometheus judge the samples of probes.
func (s Settings) scraped() bool { return s.Backend == promql }

// CheckBackend reports what is written and has no meaning under backend promql.
// Written tells whether a path stands in a file: a default that nobody wrote is no
// mistake.
func (s Settings) CheckBackend(written func(path string) bool, report func(path, text string)) {
	if !s.scraped() {
		return
	}
	r := reporter(report)
	none := func(at, key string) {
		r.unless(!written(at+key), at+key, "has no meaning under backend promql, whose rules judge by a window, a cap and a baseline alone: leave it out, or set backend: exporter")
	}
	r.unless(s.Expose != full, "expose", "full has no meaning under backend promql: nothing is judged here")
	for _, name := range slices.Sorted(maps.Keys(s.Baselines)) {
		for _, key := range []string{"hold", "season", "timezone"} {
			none("baselines."+name+".", key)
		}
	}
	for i := range s.Signals {
		r(fmt.Sprintf("signals[%d]", i), "backend promql judges probes alone: leave the entry out, or set backend: exporter")
	}
	for i, v := range s.Services {
		for _, name := range slices.Sorted(maps.Keys(v.Signals)) {
			at := fmt.Sprintf("services[%d].signals.%s.", i, name)
			for _, key := range []string{"score", "fault.floor", "fault.k_e", "fault.clear"} {
				none(at, key)
			}
			r.unless(v.Signals[name].Expose != full, at+"expose", "full has no meaning under backend promql: nothing is judged here")
		}
		v.checkLatency(r.under("services[%d].signals.%s.", i, latency), s)
	}
}

// checkLatency wants people alone to hear of a latency: what its alert starts needs a
// start and peers, and of a latency only the exporter knows them.
func (v Service) checkLatency(r reporter, s Settings) {
	if g := v.complete(s.Complete("self")).Signals[latency]; g.Mode == page {
		r("mode", "got page, want ticket: under backend promql the latency has no start that clocks could run from; set backend: exporter for one that pages")
	}
}

// checkPhases refuses a probe whose latency is one of its phases: the rules would
// take the pauses between its packets for the target's.
func (s Settings) checkPhases(r reporter, p Probe, m Module) {
	r.unless(!s.scraped() || p.Service == "" || m.Latency == PhaseSeries{}, "module",
		"its latency is a phase of it, and backend promql judges probe_duration_seconds, pauses included: send one packet, or set backend: exporter")
}

// settingInfo adds the figures by which the rules of backend promql judge a signal.
// The label rule_set names the rules that are meant: those of its windows. A bound
// that the direction does not have has no k.
func (s Settings) settingInfo(list []info, v Service, name string, proof Proof) {
	g := v.Signals[name]
	id := []label{{"service", v.Name}, {"signal", name}, {"rule_set", proof.RuleSet}}
	limit := proof.Cap
	if g.Fault.Cap != nil {
		limit = *g.Fault.Cap
	}
	list[infoCap].add(limit, id...)
	list[infoLeast].add(float64(written(g.Fault.MinAnomalies)), id...)
	if name == availability {
		return
	}
	b := s.BaselineOf(v, name)
	list[infoMinSamples].add(float64(b.MinSamples), id...)
	list[infoFloor].add(b.Floor, id...)
	if b.Direction != sigma.Lower {
		list[infoK].add(b.K, append(id, label{"bound", "upper"})...)
	}
	if b.Direction != sigma.Upper {
		list[infoK].add(b.K, append(id, label{"bound", "lower"})...)
	}
}

// sampled are the intervals at which the samples of the probes of a service come
// that are judged: their own, or that of the scrapes.
func (s Settings) sampled(service string) []time.Duration {
	all := s.intervals(service)
	if s.scraped() && len(all) > 0 {
		return []time.Duration{s.Asking.Scrape}
	}
	return all
}
