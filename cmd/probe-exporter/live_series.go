package main

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/onefiveten/onefiveten/collector"
	"github.com/onefiveten/onefiveten/config"
	"github.com/onefiveten/onefiveten/rules"
	"github.com/onefiveten/onefiveten/rules/living"
)

// exposed are the questions for what exporters expose, by the metric that facts are
// about.
func exposed() map[string]string {
	return map[string]string{
		collector.KsigmaFault:   "count by (service, signal, observer) (" + collector.KsigmaFault + ")",
		recordedFault:           "count by (service, signal, observer) (" + recordedFault + ")",
		collector.ServiceInfo:   collector.ServiceInfo,
		collector.SignalInfo:    collector.SignalInfo,
		collector.TargetSeconds: collector.TargetSeconds,
		collector.DetectBound:   collector.DetectBound,
		configHash:              "group by (observer, hash) (" + configHash + ")",
		collector.ObserverInfo:  "group by (observer) (" + collector.ObserverInfo + ")",
	}
}

const (
	recordedFault = "onefiveten:ksigma_fault:fresh" // by the rules, in the place of collector.KsigmaFault
	configHash    = "probe_exporter_config_hash_info"
)

// How old the youngest result of each observer is by the clock of Prometheus: below 0
// it is of the future, and one that is stale has no vote.
const (
	ahead  = `min by (observer) (timestamp(probe_last_run_timestamp_seconds{service!=""}) - probe_last_run_timestamp_seconds) < -1`
	behind = `min by (observer) (timestamp(probe_last_run_timestamp_seconds{service!=""}) - probe_last_run_timestamp_seconds)
	>= on (observer) max by (observer) (probe_stale_after_seconds)`
)

// ages looks for observers whose clock is not that of Prometheus.
func (l *live) ages(ctx context.Context) {
	for _, c := range []struct {
		query, text string
		into        *config.Mistakes
	}{
		{ahead, "the clock of the observer %q is %.1f s ahead of that of this Prometheus, want 1s at most: a probe of it that hangs keeps its vote as much longer", &l.unwise},
		{behind, "the youngest result of the observer %q is %.1f s old, and none of its votes counts: its probes hang, or its clock is behind that of this Prometheus", &l.wrong},
	} {
		found, err := l.client.Query(ctx, c.query)
		if err != nil {
			l.unasked("the ages of results were", err)
			return
		}
		for _, p := range found {
			*c.into = append(*c.into, l.where(fmt.Sprintf(c.text, p.Labels["observer"], math.Abs(p.Value))))
		}
	}
}

// series looks at what each observer exposes.
func (l *live) series(ctx context.Context) {
	got := map[string][]living.Series{}
	for metric, query := range exposed() {
		points, err := l.client.Query(ctx, query)
		if err != nil {
			l.unasked("what observers expose was", err)
			return
		}
		for _, p := range points {
			got[metric] = append(got[metric], living.Series{Labels: p.Labels, Value: p.Value})
		}
	}
	var seen []string
	for _, s := range got[collector.ObserverInfo] {
		seen = append(seen, s.Labels["observer"])
	}
	slices.Sort(seen)
	l.report(living.Observers(l.spec.Observers, seen), l.where)
	l.report(living.Missing(facts(l.spec, rules.Prove(l.spec)), got, seen), l.where)
	l.report(living.Hashes(got[configHash], l.settings.hash), l.where)
}

// facts are all series that the rules need: votes of each observer, and of each
// service what joins the votes to it, which any observer may tell.
func facts(s rules.Spec, bounds []rules.Bound) []living.Fact {
	var all []living.Fact
	for i, v := range s.Services {
		observers := v.Observers
		if len(observers) == 0 {
			observers = s.Observers
		}
		all = append(all, ofService(fmt.Sprintf("services[%d]", i), v)...)
		for _, g := range v.Signals {
			path := fmt.Sprintf("services[%d].signals.%s", i, g.Name)
			all = append(all, ofSignal(path, v, g, bounds)...)
			for _, o := range observers {
				all = append(all, votes(voting(s), path, v, g, o))
			}
		}
	}
	return all
}

// ofService are the facts about a service as a whole.
func ofService(path string, v rules.Service) []living.Fact {
	who := map[string]string{"service": v.Name}
	all := []living.Fact{{
		Metric: collector.ServiceInfo, Path: path, Who: who, Hint: "no rule finds the service",
		Labels: map[string]string{"owner": v.Owner, "severity": v.Severity, "dimensions": strings.Join(slices.Sorted(slices.Values(v.Dimensions)), ",")},
	}}
	for _, stage := range []struct {
		name   string
		target time.Duration
	}{{"detect", v.Detect}, {"locate", v.Locate}, {"recover", v.Recover}} {
		seconds := stage.target.Seconds()
		all = append(all, living.Fact{
			Metric: collector.TargetSeconds, Path: path + ".targets." + stage.name, Value: &seconds, Hint: "the clock of that stage does not run",
			Who: map[string]string{"service": v.Name, "stage": stage.name},
		})
	}
	return all
}

// ofSignal are the facts about one signal.
func ofSignal(path string, v rules.Service, g rules.Signal, bounds []rules.Bound) []living.Fact {
	who := map[string]string{"service": v.Name, "signal": g.Name}
	all := []living.Fact{{Metric: collector.SignalInfo, Path: path, Who: who, Labels: map[string]string{"mode": g.Mode}, Hint: "no rule finds the signal"}}
	for _, b := range bounds {
		if b.Service == v.Name && b.Signal == g.Name {
			total := b.Total.Seconds()
			all = append(all, living.Fact{Metric: collector.DetectBound, Path: path, Who: who, Value: &total, Hint: "alerts cannot tell the bound"})
		}
	}
	return all
}

// voting is the metric that verdicts have: that of the exporter, or what the rules
// record of its results.
func voting(s rules.Spec) string {
	if s.Backend == rules.PromQL {
		return recordedFault
	}
	return collector.KsigmaFault
}

// votes are those of one observer about a signal. What has a baseline has none while
// that is young: of a ticket that is advice.
func votes(metric, path string, v rules.Service, g rules.Signal, observer string) living.Fact {
	hint := "no fault of it is seen"
	if g.Name != availabilitySignal {
		hint += "; a signal with a baseline votes from min_samples on"
	}
	who := map[string]string{"service": v.Name, "signal": g.Name, "observer": observer}
	return living.Fact{Metric: metric, Path: path, Who: who, Advice: g.Mode != "page", Hint: hint}
}
