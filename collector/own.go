package collector

import (
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/onefiveten/onefiveten/sigma"
)

// Reasons for which a planned run did not take place.
const (
	skipOverlap = "overlap" // as many runs of the target as may be were still open
	skipLate    = "late"    // the process was not running at that time
)

// ownMetrics are about the schedule, for /metrics.
type ownMetrics struct {
	lag     prometheus.Histogram
	skipped *prometheus.CounterVec
	refused *prometheus.CounterVec
	targets prometheus.Gauge
	present *present

	// Of probes whose targets are found.
	discoveryFailures *prometheus.CounterVec
	discoverySuccess  *prometheus.GaugeVec
	discoveryTargets  *prometheus.GaugeVec
	discoveryRefused  *prometheus.GaugeVec
	discoveryLost     *prometheus.GaugeVec

	queries  queryMetrics
	backfill backfillMetrics
}

// backfillMetrics are about the past that is read from Prometheus.
type backfillMetrics struct {
	seconds  prometheus.Gauge
	jobs     *prometheus.GaugeVec
	samples  prometheus.Counter
	failures prometheus.Counter
}

// The states of a job that reads the past.
const (
	fillWaiting = "waiting"
	fillRunning = "running"
	fillDone    = "done"
	fillFailed  = "failed" // it will be tried again
)

// fillStates are all of them.
var fillStates = [...]string{fillWaiting, fillRunning, fillDone, fillFailed}

// queryMetrics are about the signals of queries.
type queryMetrics struct {
	total    *prometheus.CounterVec
	failures *prometheus.CounterVec
	skipped  *prometheus.CounterVec
	series   *prometheus.GaugeVec
	duration *prometheus.HistogramVec
}

// present are the probes and signals of the table in force. The schedule may be a
// moment behind it, and must not bring back the counters of one that is gone.
type present struct {
	mu      sync.Mutex
	probes  []string
	queries map[queryKey]*queryState
}

// newOwnMetrics makes the metrics with every reason at 0, so that the first
// refusal is seen as an increase.
func newOwnMetrics() ownMetrics {
	o := ownMetrics{
		lag: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "probe_schedule_lag_seconds", Help: "How much later than planned runs began.",
			Buckets: []float64{.001, .01, .1, .25, 1, 10}, NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 100,
		}),
		skipped: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "probe_skipped_total", Help: "Planned runs that did not take place, by reason.",
		}, []string{"probe", "reason"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ksigma_refused_samples_total", Help: "Samples that could not be judged, by reason.",
		}, []string{"signal", "reason"}),
		targets: prometheus.NewGauge(prometheus.GaugeOpts{Name: "probe_targets", Help: "Targets on the schedule."}),
		present: &present{}, queries: newQueryMetrics(), backfill: newBackfillMetrics(),

		discoveryFailures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "probe_discovery_failures_total", Help: "Readings of targets that failed, in part or as a whole.",
		}, []string{"probe"}),
		discoverySuccess: ofProbe("probe_discovery_last_success_timestamp_seconds", "Last time that all targets of the probe could be read, 0: never."),
		discoveryTargets: ofProbe("probe_discovery_targets", "Targets that were found and are on the schedule."),
		discoveryRefused: ofProbe("probe_discovery_refused_targets", "Targets that were found and are left out, since they cannot be probed or stand twice."),
		discoveryLost:    ofProbe("probe_discovery_refused_labels", "Labels that are left out of targets that were found, since they are reserved; one for each target."),
	}
	for _, name := range signalNames {
		for _, reason := range []string{"not_finite", "out_of_order", "duplicate", "time"} {
			o.refused.WithLabelValues(name, reason)
		}
	}
	return o
}

// newQueryMetrics makes the metrics of signals of queries.
func newQueryMetrics() queryMetrics {
	names := []string{"service", "signal"}
	counter := func(name, help string, names ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, names)
	}
	return queryMetrics{
		total:    counter("signal_queries_total", "Queries of the signal that have ended.", names...),
		failures: counter("signal_failures_total", "Queries of the signal whose answer was of no use as a whole or in part, by reason; with the reasons range and traffic it was judged all the same.", "service", "signal", "reason"),
		skipped:  counter("signal_skipped_total", "Planned queries of the signal that did not take place, by reason.", "service", "signal", "reason"),
		series: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "signal_series", Help: "Series of the signal that have a verdict after its last query.",
		}, names),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "signal_query_duration_seconds", Help: "Duration of the queries of the signal.",
			Buckets: []float64{.01, .1, .5, 1, 2, 5}, NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 100,
		}, names),
	}
}

// begin makes the series of a signal, every reason at 0.
func (m queryMetrics) begin(k queryKey) {
	m.total.WithLabelValues(k.service, k.name)
	m.series.WithLabelValues(k.service, k.name)
	m.duration.WithLabelValues(k.service, k.name)
	for _, reason := range queryReasons {
		m.failures.WithLabelValues(k.service, k.name, reason)
	}
	for _, reason := range []string{skipOverlap, skipLate} {
		m.skipped.WithLabelValues(k.service, k.name, reason)
	}
}

// drop removes them.
func (m queryMetrics) drop(k queryKey) {
	labels := prometheus.Labels{"service": k.service, "signal": k.name}
	m.total.Delete(labels)
	m.series.Delete(labels)
	m.duration.Delete(labels)
	m.failures.DeletePartialMatch(labels)
	m.skipped.DeletePartialMatch(labels)
}

// tookQuery counts a query of a signal that is still there, by the same rules, and
// what was wrong with its answer.
func (o ownMetrics) tookQuery(k queryKey, s *queryState, duration time.Duration, refused refusals, series int) {
	o.present.mu.Lock()
	defer o.present.mu.Unlock()
	if o.present.queries[k] != s {
		return
	}
	o.queries.total.WithLabelValues(k.service, k.name).Inc()
	o.queries.duration.WithLabelValues(k.service, k.name).Observe(duration.Seconds())
	o.queries.series.WithLabelValues(k.service, k.name).Set(float64(series))
	for _, r := range refused {
		o.queries.failures.WithLabelValues(k.service, k.name, r.reason).Inc()
	}
}

// lostTraffic counts an answer about the traffic of a signal that was of no use, by
// the same rules.
func (o ownMetrics) lostTraffic(k queryKey, s *queryState) {
	o.present.mu.Lock()
	defer o.present.mu.Unlock()
	if o.present.queries[k] == s {
		o.queries.failures.WithLabelValues(k.service, k.name, queryTraffic).Inc()
	}
}

// skipQuery counts n queries that did not take place, of a signal that is still
// there.
func (o ownMetrics) skipQuery(k queryKey, reason string, n int) {
	if n <= 0 {
		return
	}
	o.present.mu.Lock()
	defer o.present.mu.Unlock()
	if o.present.queries[k] != nil {
		o.queries.skipped.WithLabelValues(k.service, k.name, reason).Add(float64(n))
	}
}

// followQueries drops the series of signals that are gone, and makes those of the
// present ones. The lock is held.
func (o ownMetrics) followQueries(before, after []*query) {
	states := map[queryKey]*queryState{}
	o.present.queries = states
	for _, q := range after {
		states[q.key()] = q.state
		o.queries.begin(q.key())
	}
	for _, q := range before {
		if states[q.key()] == nil {
			o.queries.drop(q.key())
		} else if states[q.key()] != q.state { // other rules: nothing has a verdict
			o.queries.series.WithLabelValues(q.service, q.name).Set(0)
		}
	}
}

// newBackfillMetrics makes the metrics of the past that is read, every state at 0.
func newBackfillMetrics() backfillMetrics {
	m := backfillMetrics{
		seconds: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "probe_exporter_backfill_seconds", Help: "Duration of the last backfill of baselines from Prometheus that was completed, 0: none was.",
		}),
		jobs: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "probe_exporter_backfill_jobs", Help: "Probes and signals of the present backfill by state; failed ones are tried again.",
		}, []string{"state"}),
		samples: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "probe_exporter_backfill_samples_total", Help: "Samples that baselines were filled with.",
		}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "probe_exporter_backfill_failures_total", Help: "Attempts to read the past of a probe or a signal that failed.",
		}),
	}
	for _, state := range fillStates {
		m.jobs.WithLabelValues(state)
	}
	return m
}

// ofProbe makes a gauge for each probe.
func ofProbe(name, help string) *prometheus.GaugeVec {
	return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, []string{"probe"})
}

// skip counts n runs that did not take place, of a probe that is still there.
func (o ownMetrics) skip(probe, reason string, n int) {
	if n <= 0 {
		return
	}
	o.present.mu.Lock()
	defer o.present.mu.Unlock()
	if slices.Contains(o.present.probes, probe) {
		o.skipped.WithLabelValues(probe, reason).Add(float64(n))
	}
}

// refuse counts a sample that sigma did not take.
func (o ownMetrics) refuse(signal int, err error) {
	reason := "time"
	switch {
	case errors.Is(err, sigma.ErrNotFinite):
		reason = "not_finite"
	case errors.Is(err, sigma.ErrOutOfOrder):
		reason = "out_of_order"
	case errors.Is(err, sigma.ErrDuplicate):
		reason = "duplicate"
	}
	o.refused.WithLabelValues(signalNames[signal], reason).Inc()
}

// follow drops the counters of probes that are gone and makes those of the
// present ones.
func (o ownMetrics) follow(before, after *table) {
	o.targets.Set(float64(len(after.targets)))
	o.present.mu.Lock()
	defer o.present.mu.Unlock()
	o.present.probes = after.probes
	o.followQueries(before.queries, after.queries)
	for _, name := range before.probes {
		if !slices.Contains(after.probes, name) {
			o.skipped.DeletePartialMatch(prometheus.Labels{"probe": name})
		}
	}
	for name := range before.found {
		if _, ok := after.found[name]; !ok {
			o.discoveryFailures.DeleteLabelValues(name)
			o.discoverySuccess.DeleteLabelValues(name)
			o.discoveryTargets.DeleteLabelValues(name)
			o.discoveryRefused.DeleteLabelValues(name)
			o.discoveryLost.DeleteLabelValues(name)
		}
	}
	for name, n := range after.found {
		o.discoveryTargets.WithLabelValues(name).Set(float64(n))
		o.discoveryRefused.WithLabelValues(name).Set(float64(len(after.refused[name])))
		o.discoveryLost.WithLabelValues(name).Set(float64(after.lost[name].sum()))
	}
	for _, name := range after.probes {
		o.skipped.WithLabelValues(name, skipOverlap)
		o.skipped.WithLabelValues(name, skipLate)
	}
}

// discovered shows how the readings of the sources went. A probe with a source
// that was never read has never been read.
func (o ownMetrics) discovered(sources []*source) {
	oldest := map[string]float64{}
	for _, s := range sources {
		at := 0.
		if !s.success.IsZero() {
			at = seconds(s.success)
		}
		if before, ok := oldest[s.probe]; ok {
			at = min(at, before)
		}
		oldest[s.probe] = at
		o.discoveryFailures.WithLabelValues(s.probe)
		o.discoverySuccess.WithLabelValues(s.probe).Set(oldest[s.probe])
	}
}

// all lists what is registered as one.
func (o ownMetrics) all() []prometheus.Collector {
	return []prometheus.Collector{
		o.lag, o.skipped, o.refused, o.targets,
		o.discoveryFailures, o.discoverySuccess, o.discoveryTargets, o.discoveryRefused, o.discoveryLost,
		o.queries.total, o.queries.failures, o.queries.skipped, o.queries.series, o.queries.duration,
		o.backfill.seconds, o.backfill.jobs, o.backfill.samples, o.backfill.failures,
	}
}

// Describe is part of prometheus.Collector.
func (o ownMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, m := range o.all() {
		m.Describe(ch)
	}
}

// Collect is part of prometheus.Collector.
func (o ownMetrics) Collect(ch chan<- prometheus.Metric) {
	for _, m := range o.all() {
		m.Collect(ch)
	}
}
