package main

import (
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/collectors/version"

	"github.com/onefiveten/onefiveten/probe"
)

// metrics are those of the process, for /metrics.
type metrics struct {
	registry   *prometheus.Registry
	successful atomic.Uint64 // 1 when the last load of the configuration succeeded
	reloaded   atomic.Uint64 // Unix time of the last successful one, as bits of a float
	unknown    prometheus.Counter
	hash       *prometheus.GaugeVec
	asked      *asked
}

// newMetrics registers everything, with schedule, the metrics of the collector.
// Some stand there twice, under our name and under that of blackbox_exporter, so
// that existing alerts go on working.
func newMetrics(schedule prometheus.Collector) *metrics {
	m := &metrics{
		registry: prometheus.NewPedanticRegistry(),
		unknown: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "blackbox_module_unknown_total", Help: "Requests to /probe for a module that is not configured.",
		}),
		hash: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "probe_exporter_config_hash_info", Help: "Hash of the text of the configuration in force, to compare observers.",
		}, []string{"observer", "hash"}),
		asked: newAsked(),
	}
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), schedule, m.unknown, m.hash, m.asked)
	for _, program := range []string{"probe_exporter", "blackbox_exporter"} {
		m.registry.MustRegister(
			version.NewCollector(program),
			prometheus.NewGaugeFunc(prometheus.GaugeOpts{
				Name: program + "_config_last_reload_successful", Help: "1 when the last attempt to load the configuration succeeded.",
			}, func() float64 { return float64(m.successful.Load()) }),
			prometheus.NewGaugeFunc(prometheus.GaugeOpts{
				Name: program + "_config_last_reload_success_timestamp_seconds", Help: "Unix time of the last successful load of the configuration.",
			}, func() float64 { return math.Float64frombits(m.reloaded.Load()) }),
		)
	}
	return m
}

// asked counts the probes of /probe by module and reason. Targets come from the
// request and are no label: there may be any number of them.
type asked struct {
	probes, failures *prometheus.Desc
	current          atomic.Pointer[map[string]*tally]
}

// tally counts the probes of one module. It is carried over from configuration
// to configuration and goes with its module, so that there are never more series
// than modules.
type tally struct {
	mu       sync.Mutex
	probes   float64
	failures map[probe.Reason]float64
}

// newAsked counts nothing yet.
func newAsked() *asked {
	return &asked{
		probes:   prometheus.NewDesc("probe_exporter_probes_total", "Probes asked for on /probe.", []string{"module"}, nil),
		failures: prometheus.NewDesc("probe_exporter_probe_failures_total", "Probes asked for on /probe that failed, by reason.", []string{"module", "reason"}, nil),
	}
}

// follow gives the tallies of modules: those that were there before go on.
func (a *asked) follow(modules map[string]probe.Module) map[string]*tally {
	before, after := a.current.Load(), map[string]*tally{}
	for name := range modules {
		if before != nil {
			after[name] = (*before)[name]
		}
		if after[name] == nil {
			after[name] = &tally{failures: map[probe.Reason]float64{}}
		}
	}
	a.current.Store(&after)
	return after
}

// count takes in one probe.
func (t *tally) count(r probe.Result) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.probes++
	if !r.Success {
		t.failures[r.Reason]++
	}
}

// Describe is part of prometheus.Collector.
func (a *asked) Describe(ch chan<- *prometheus.Desc) {
	ch <- a.probes
	ch <- a.failures
}

// Collect is part of prometheus.Collector. Every reason stands there from the
// beginning, so that the first failure is seen as an increase.
func (a *asked) Collect(ch chan<- prometheus.Metric) {
	tallies := a.current.Load()
	if tallies == nil {
		return
	}
	for name, t := range *tallies {
		t.mu.Lock()
		ch <- prometheus.MustNewConstMetric(a.probes, prometheus.CounterValue, t.probes, name)
		for _, reason := range probe.Reasons() {
			ch <- prometheus.MustNewConstMetric(a.failures, prometheus.CounterValue, t.failures[reason], name, string(reason))
		}
		t.mu.Unlock()
	}
}

// took notes a configuration that is in force now.
func (m *metrics) took(s *settings, at time.Time) {
	m.successful.Store(1)
	m.reloaded.Store(math.Float64bits(float64(at.UnixNano()) / 1e9))
	m.hash.Reset()
	m.hash.WithLabelValues(s.observer, s.hash).Set(1)
}
