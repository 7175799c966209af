package main

import (
	"context"
	"fmt"
	"hash/fnv"
	"net/http"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/onefiveten/onefiveten/demo/process"
)

const (
	lagTargets  = 2000
	lagInterval = 5 * time.Second
	fewTargets  = 100
)

// weight is the memory of ours with a number of targets, in bytes.
type weight struct{ resident, heap float64 }

// lag measures how late probes begin with one CPU for the prober and one for the
// targets, and by the way what a target costs in memory.
func (b *bench) lag(ctx context.Context) error {
	var few, many weight
	var late []time.Duration
	var page []byte
	err := b.say.During(ctx, "schedule lag and memory", nil, func(ctx context.Context) (err error) {
		if few, _, _, err = b.weigh(ctx, fewTargets); err != nil {
			return err
		}
		many, late, page, err = b.weigh(ctx, lagTargets)
		return err
	})
	if err != nil {
		return err
	}
	p50, p99, most := late[len(late)/2], late[len(late)*99/100], late[len(late)-1]
	b.say.Line("\nSchedule lag, %d HTTP targets every %s: p99 %.1f ms   goal ≤ 250 ms   %s   (p50 %.1f ms, greatest %.1f ms, %d probes)",
		lagTargets, lagInterval, ms(p99), verdict(p99 <= 250*time.Millisecond), ms(p50), ms(most), len(late))
	b.say.Line("  Method: from the planned instant (DETECTION 3.1) to the request at the target, so with connecting and any wait for a CPU;\n  %s.", where())
	return b.tellMemory(few, many, page)
}

// where says on which CPUs lag is measured.
func where() string {
	if runtime.NumCPU() < 2 {
		return "this machine has one CPU, which prober and targets share"
	}
	return "the prober is bound to CPU 0 (GOMAXPROCS=1), the targets to CPU 1"
}

// weigh runs ours with n targets: how late each request came, and at the end the
// memory and the page.
func (b *bench) weigh(ctx context.Context, n int) (w weight, late []time.Duration, page []byte, err error) {
	var group process.Group
	defer group.Close()
	targets, addresses, err := b.startTargets(ctx, &group)
	if err != nil {
		return w, nil, nil, err
	}
	module, list := named(plainHTTP, "127.0.0.1", addresses[plainHTTP], n)
	ours, err := b.start(ctx, &group, "schedule", b.ours, b.modules(2*time.Second), asBench)
	if err != nil {
		return w, nil, nil, err
	}
	if runtime.NumCPU() > 1 {
		for cpu, p := range []*program{ours, targets} {
			if err := pin(p.Pid(), cpu); err != nil {
				return w, nil, nil, err
			}
		}
	}
	if err := ours.reload(ctx, b.schedule(module, list, lagInterval, 2*time.Second)); err != nil {
		return w, nil, nil, err
	}
	late, page, err = b.watch(ctx, ours, targets, list)
	if err != nil {
		return w, nil, nil, err
	}
	w, err = ours.weight(ctx)
	return w, late, page, err
}

// watch notes the arrivals of three intervals, after one to settle.
func (b *bench) watch(ctx context.Context, ours, targets *program, list []string) (late []time.Duration, page []byte, err error) {
	if err := wait(ctx, lagInterval); err != nil {
		return nil, nil, err
	}
	var arrivals map[string][]int64
	if err := targets.ask(ctx, "/arrivals", &arrivals); err != nil {
		return nil, nil, err
	}
	for range 3 {
		if err := wait(ctx, lagInterval); err != nil {
			return nil, nil, err
		}
		// As Prometheus does meanwhile.
		if page, err = ours.get(ctx, http.DefaultClient, "/metrics/probes", nil); err != nil {
			return nil, nil, err
		}
	}
	if err := targets.ask(ctx, "/arrivals", &arrivals); err != nil {
		return nil, nil, err
	}
	for _, target := range list {
		u, err := url.Parse(target)
		if err != nil {
			return nil, nil, err
		}
		for _, at := range arrivals[u.Path] {
			late = append(late, since(target, at))
		}
	}
	if want := len(list) * 3; len(late) < want*9/10 {
		return nil, nil, fmt.Errorf("the targets got %d probes, want %d", len(late), want)
	}
	slices.Sort(late)
	return late, page, nil
}

// since is how long after its planned instant a probe came: the phase of a
// target is hash(observer, instance, probe) mod interval.
func since(target string, at int64) time.Duration {
	h := fnv.New64a()
	for _, text := range []string{observer, target, probeName} {
		h.Write([]byte(text))
		h.Write([]byte{0})
	}
	phase := int64(h.Sum64() % uint64(lagInterval))
	return time.Duration(((at-phase)%int64(lagInterval) + int64(lagInterval)) % int64(lagInterval))
}

// weight is the memory now: all of it, and the heap that the last collection
// left.
func (p *program) weight(ctx context.Context) (weight, error) {
	rss, err := resident(p.Pid())
	if err != nil {
		return weight{}, err
	}
	page, err := p.get(ctx, http.DefaultClient, "/metrics", nil)
	if err != nil {
		return weight{}, err
	}
	families, err := parsePage(page)
	if err != nil {
		return weight{}, err
	}
	next := families["go_memstats_next_gc_bytes"]
	if next == nil {
		return weight{}, fmt.Errorf("/metrics of %s has no go_memstats_next_gc_bytes", p.Name())
	}
	// With GOGC=100 the next collection comes when the heap has doubled.
	return weight{rss, next.Metric[0].GetGauge().GetValue() / 2}, nil
}

// parsePage reads a page of metrics.
func parsePage(page []byte) (map[string]*dto.MetricFamily, error) {
	parser := expfmt.NewTextParser(model.LegacyValidation)
	return parser.TextToMetricFamilies(strings.NewReader(string(page)))
}

// tellMemory prints what a target costs, and what the same series cost in the
// vectors of client_golang.
func (b *bench) tellMemory(few, many weight, page []byte) error {
	vectors, series, err := vectorBytes(page)
	if err != nil {
		return err
	}
	per := func(m, f float64) float64 { return (m - f) / (lagTargets - fewTargets) }
	b.say.Line("\nMemory per target (%d series): %.0f B of RSS, %.0f B of live heap; the same series in GaugeVec: %.0f B of live heap, ratio %.2f",
		series/lagTargets, per(many.resident, few.resident), per(many.heap, few.heap), vectors/lagTargets, per(many.heap, few.heap)/(vectors/lagTargets))
	b.say.Line("  Method: growth of the process from %d to %d targets, each probed four times, goroutines and buffers of running probes\n  included (RSS %.1f to %.1f MB); blackbox_exporter keeps no targets, and its results live in Prometheus alone.",
		fewTargets, lagTargets, few.resident/1e6, many.resident/1e6)
	return nil
}

// vectorBytes is the heap that the series of a page take in vectors of
// client_golang: those of targets alone.
func vectorBytes(page []byte) (bytes float64, series int, err error) {
	families, err := parsePage(page)
	if err != nil {
		return 0, 0, err
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var kept []prometheus.Collector
	for name, f := range families {
		names := labelNames(f.Metric[0])
		if !slices.Contains(names, "instance") {
			continue
		}
		if f.GetType() == dto.MetricType_HISTOGRAM {
			v := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, NativeHistogramBucketFactor: 1.1}, names)
			for _, m := range f.Metric {
				v.WithLabelValues(labelValues(m)...).Observe(.1)
			}
			kept, series = append(kept, v), series+len(f.Metric)
			continue
		}
		v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name}, names)
		for _, m := range f.Metric {
			v.WithLabelValues(labelValues(m)...).Set(1)
		}
		kept, series = append(kept, v), series+len(f.Metric)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(kept)
	runtime.KeepAlive(families) // else what it held would count as given back
	runtime.KeepAlive(page)
	return float64(after.HeapAlloc) - float64(before.HeapAlloc), series, nil
}

func labelNames(m *dto.Metric) (names []string) {
	for _, l := range m.Label {
		names = append(names, l.GetName())
	}
	return names
}

// labelValues are the strings of the page: vectors share theirs, too.
func labelValues(m *dto.Metric) (values []string) {
	for _, l := range m.Label {
		values = append(values, l.GetValue())
	}
	return values
}

// ms is a duration in milliseconds.
func ms(d time.Duration) float64 { return d.Seconds() * 1000 }
