package main

import (
	"math"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/collectors/version"
)

// metrics are those of the process, for /metrics.
type metrics struct {
	registry   *prometheus.Registry
	successful atomic.Uint64 // 1 when the last load of the configuration succeeded
	reloaded   atomic.Uint64 // Unix time of the last successful one, as bits of a float
	unknown    prometheus.Counter
	hash       *prometheus.GaugeVec
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
	}
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), schedule, m.unknown, m.hash)
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

// took notes a configuration that is in force now.
func (m *metrics) took(s *settings, at time.Time) {
	m.successful.Store(1)
	m.reloaded.Store(math.Float64bits(float64(at.UnixNano()) / 1e9))
	m.hash.Reset()
	m.hash.WithLabelValues(s.observer, s.hash).Set(1)
}
