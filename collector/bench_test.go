package collector

import (
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-kit/log"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/onefiveten/onefiveten/probe"
)

// phases are what a probe of HTTP gives, as package probe does.
var phases = []string{"resolve", "connect", "tls", "processing", "transfer"}

func httpResult() probe.Result {
	r := good(12345 * time.Microsecond)
	for i, p := range phases {
		r.Samples = append(r.Samples, probe.Sample{Name: "probe_http_duration_seconds", Help: "Duration of http request by phase, summed over all redirects", Labels: []probe.Label{{Name: "phase", Value: p}}, Value: .00123456 * float64(i+1)})
	}
	for name, v := range map[string]float64{
		"probe_dns_lookup_time_seconds": .000123, "probe_ip_protocol": 4, "probe_ip_addr_hash": 1268118805, "probe_http_status_code": 200,
		"probe_http_content_length": 512, "probe_http_uncompressed_body_length": 512, "probe_http_redirects": 0, "probe_http_ssl": 0,
		"probe_http_version": 1.1, "probe_failed_due_to_regex": 0,
	} {
		r.Samples = append(r.Samples, probe.Sample{Name: name, Help: "Help of " + name, Value: v})
	}
	return r
}

// many is a collector of n targets that have each been probed a few times.
func many(b testing.TB, n int) *Collector { return manyUnder(b, n, exporter) }

// manyUnder is many under a backend.
func manyUnder(b testing.TB, n int, backend string) *Collector {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf(`{url: "http://10.0.%d.%d:8080/health", labels: {node: node-%d, zone: z%d}}`, i/250, i%250, i, i%3))
	}
	c := New("a", log.NewNopLogger())
	text := strings.Replace(shop, `{url: "http://n1/", labels: {node: n1, zone: za}}`, strings.Join(list, ", "), 1)
	text = "backend: " + backend + "\nbaselines: {default: {min_samples: 2}}\n" + text
	if err := c.Apply(parse(b, text), (&fake{}).modules(), proved, nil); err != nil {
		b.Fatal(err)
	}
	for _, t := range c.table.Load().targets {
		for range 4 {
			t.finish(c, httpResult())
		}
	}
	return c
}

// vectors holds the same series in GaugeVec and CounterVec of client_golang.
func vectors(b testing.TB, page string) http.Handler {
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(page))
	if err != nil {
		b.Fatal(err)
	}
	r := prometheus.NewRegistry()
	for name, f := range families {
		if !slices.Contains(labelNames(f.Metric[0]), "instance") {
			continue // the few that do not grow with the targets
		}
		if f.GetType() == dto.MetricType_HISTOGRAM {
			names := labelNames(f.Metric[0])
			v := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: f.GetHelp(), NativeHistogramBucketFactor: 1.1}, names)
			for _, m := range f.Metric {
				v.With(labelMap(m)).Observe(.1)
			}
			r.MustRegister(v)
			continue
		}
		v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: f.GetHelp()}, labelNames(f.Metric[0]))
		for _, m := range f.Metric {
			v.With(labelMap(m)).Set(m.GetGauge().GetValue() + m.GetCounter().GetValue())
		}
		r.MustRegister(v)
	}
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{DisableCompression: true})
}

func labelNames(m *dto.Metric) (names []string) {
	for _, l := range m.Label {
		names = append(names, l.GetName())
	}
	return names
}

func labelMap(m *dto.Metric) prometheus.Labels {
	all := prometheus.Labels{}
	for _, l := range m.Label {
		all[l.GetName()] = l.GetValue()
	}
	return all
}

// sinkhole is a client that reads everything and keeps nothing.
type sinkhole struct {
	header http.Header
	n      int64
}

func (s *sinkhole) Header() http.Header         { return s.header }
func (s *sinkhole) WriteHeader(int)             {}
func (s *sinkhole) Write(b []byte) (int, error) { s.n += int64(len(b)); return len(b), nil }

func scrapes(b *testing.B, h http.Handler, accept string) time.Duration {
	r := httptest.NewRequestWithContext(b.Context(), http.MethodGet, "/metrics/probes", nil)
	r.Header.Set("Accept", accept)
	w := &sinkhole{header: http.Header{}}
	h.ServeHTTP(w, r)
	w.n = 0
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(w, r)
	}
	b.ReportMetric(float64(w.n)/float64(b.N)/1e6, "MB/scrape")
	return b.Elapsed() / time.Duration(b.N)
}

// BenchmarkScrape measures a scrape of 5,000 targets with their default series
// beside GaugeVec and promhttp with the same series, neither compressed.
func BenchmarkScrape(b *testing.B) {
	c := many(b, 5000)
	page := scrape(b, c, "").Body.String()
	var ours, theirs, proto, theirProto time.Duration
	b.Run("ours/text", func(b *testing.B) {
		ours = scrapes(b, c, "")
		b.ReportMetric(float64(strings.Count(page, "instance=")), "series")
	})
	b.Run("ours/protobuf", func(b *testing.B) { proto = scrapes(b, c, protobuf) })
	h := vectors(b, page)
	b.Run("promhttp/text", func(b *testing.B) { theirs = scrapes(b, h, "") })
	b.Run("promhttp/protobuf", func(b *testing.B) { theirProto = scrapes(b, h, protobuf) })
	b.Run("ratio", func(b *testing.B) {
		for b.Loop() {
		}
		if theirs > 0 && theirProto > 0 {
			b.ReportMetric(float64(ours)/float64(theirs), "text")
			b.ReportMetric(float64(proto)/float64(theirProto), "protobuf")
		}
	})
}

// BenchmarkFinish measures what the schedule adds to one probe.
func BenchmarkFinish(b *testing.B) {
	c := many(b, 1)
	t, r := c.table.Load().targets[0], httpResult()
	b.ReportAllocs()
	for b.Loop() {
		t.finish(c, r)
	}
}

// BenchmarkMemoryPerTarget measures what one target holds with its default
// series, what of it is the histogram of the library, and what the failures of a
// target that fails add.
func BenchmarkMemoryPerTarget(b *testing.B) {
	const n = 2000
	for b.Loop() {
		var c *Collector
		whole := held(func() any { c = many(b, n); return c })
		b.ReportMetric(whole/n, "B/target")
		failures := held(func() any {
			for i, t := range c.table.Load().targets {
				for j := range keptFailures {
					r := httpResult()
					r.Success, r.Reason, r.Err = false, probe.Status, fmt.Errorf("target %d has failed %d times: got status 503, want 200 to 299", i, j)
					t.finish(c, r)
				}
			}
			return c
		})
		b.ReportMetric(failures/n, "B/failures")
		histograms := held(func() any {
			list := make([]*state, n)
			for i := range list {
				list[i] = newState(nil)
				for range 4 + keptFailures {
					list[i].native.Observe(.012345)
				}
			}
			return list
		})
		b.ReportMetric(histograms/n, "B/histogram")
		if err := c.write(&textSink{w: io.Discard}, &buffers{}); err != nil {
			b.Fatal(err)
		}
	}
}

// held is how many bytes what is made holds.
func held(made func() any) float64 {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	kept := made()
	runtime.GC()
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(kept)
	return float64(after.HeapAlloc) - float64(before.HeapAlloc)
}

// lags is the histogram of the lag with every value kept.
type lags struct {
	prometheus.Histogram
	mu  sync.Mutex
	all []float64
}

func (l *lags) Observe(v float64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, v)
}

// quantile gives one of the lags, in seconds.
func (l *lags) quantile(q float64) float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.all) == 0 {
		return math.NaN()
	}
	slices.Sort(l.all)
	return l.all[int(q*float64(len(l.all)-1))]
}

// BenchmarkScheduleLag runs 2,000 targets at 5 s for two intervals of real time
// and tells how late the runs begin. The prober answers at once: the rest of the
// lag is the business of the probers.
func BenchmarkScheduleLag(b *testing.B) {
	const n, intervals = 2000, 2
	for b.Loop() {
		c, l := many(b, n), &lags{}
		c.own.lag = l
		ctx, cancel := context.WithTimeout(b.Context(), intervals*5*time.Second)
		before := cpu(b)
		if err := c.Run(ctx); err != nil {
			b.Fatal(err)
		}
		cancel()
		b.ReportMetric(float64(cpu(b)-before)/float64(len(l.all))/1e3, "cpu-µs/run")
		b.ReportMetric(l.quantile(.5)*1e3, "p50-ms")
		b.ReportMetric(l.quantile(.99)*1e3, "p99-ms")
		b.ReportMetric(l.quantile(1)*1e3, "max-ms")
		b.ReportMetric(float64(len(l.all))/n/intervals, "runs/slot")
	}
}

// cpu is the processor time that this process has used.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkStart measures what the schedule adds to one run: heap, goroutine,
// time-out, result and snapshot.
func BenchmarkStart(b *testing.B) {
	const n = 2000
	c := many(b, n)
	plan := c.schedule(nil, time.Now())
	var open sync.WaitGroup
	at, runs := time.Now().Add(-time.Hour), newCrew(b.Context(), &open)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if i%n == 0 { // every target is due, each at its phase
			open.Wait()
			for j := range plan {
				plan[j].at = at.Add(time.Duration(j))
			}
		}
		next := plan[0].at
		c.start(b.Context(), runs, plan, next)
	}
	open.Wait()
}

// BenchmarkDiscover measures what it takes to put a list of 5,000 targets in
// force of which one is new, and to find that a list has not changed.
func BenchmarkDiscover(b *testing.B) {
	dir := newFolder(b)
	write := func(last string) {
		var text strings.Builder
		for i := range 5000 {
			fmt.Fprintf(&text, "- {targets: ['http://10.0.%d.%d:8080/health'], labels: {node: node-%d, zone: z%d}}\n", i/250, i%250, i, i%3)
		}
		dir.write("a.yml", text.String()+"- targets: ['"+last+"']\n")
	}
	write("http://n0/")
	c := New("a", log.NewNopLogger())
	if err := c.Apply(parse(b, discovering(dir.sd("*.yml"))), (&fake{}).modules(), proved, nil); err != nil {
		b.Fatal(err)
	}
	read := func(b *testing.B) {
		s := c.force.sources[0]
		found, err := s.reading(b.Context())
		if c.take(s, found, err); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("changed", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			b.StopTimer()
			write(fmt.Sprintf("http://n%d/", i+1))
			b.StartTimer()
			read(b)
		}
	})
	b.Run("unchanged", func(b *testing.B) {
		for b.Loop() {
			read(b)
		}
	})
}
