package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"sync/atomic"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/prometheus/prompb"

	"github.com/onefiveten/onefiveten/demo/process"
	"github.com/onefiveten/onefiveten/demo/stack"
)

// turn is one way to evaluate the same 4,000 nodes.
type turn struct {
	what       string
	backend    string // empty: a rule by hand, of the thresholds of latency alone
	dimensions []string
	observers  []string // that are scraped
	faults     bool
}

// both are the observers of the rules' world.
func both() []string { return []string{"a", "b"} }

// ruleTurns are what is compared, in an order in which each keeps what the one before has.
func ruleTurns() []turn {
	return []turn{
		{"exporter, 1 observer", "exporter", []string{"node"}, []string{"a"}, false},
		{"exporter, 2 observers", "exporter", []string{"node"}, both(), false},
		{"exporter, 2 observers, faults", "exporter", []string{"node", "zone"}, both(), true},
		{"by hand, 2 observers", "", nil, both(), true},
	}
}

// group is the name of the group that is measured.
func (t turn) group() string {
	if t.backend == "" {
		return "byhand"
	}
	return "onefiveten:page-" + strings.Join(t.dimensions, "-")
}

// world is what the rules are evaluated on.
type world struct {
	b          *bench
	crowd      *crowdOf
	broken     atomic.Bool
	exporters  []*program
	prometheus *program
}

// rules measures how long Prometheus takes to evaluate the rules of 200 services.
func (b *bench) rules(ctx context.Context) error {
	if err := b.real(ctx); err != nil {
		return err
	}
	var all []ruleTime
	err := b.say.During(ctx, "evaluation of the rules", nil, func(ctx context.Context) error {
		var group process.Group
		defer group.Close()
		w, err := b.newWorld(ctx, &group)
		if err != nil {
			return err
		}
		for i, t := range ruleTurns() {
			of, err := w.measure(ctx, i, t)
			if err != nil {
				return fmt.Errorf("%s: %w", t.what, err)
			}
			all = append(all, of...)
		}
		return nil
	})
	if err != nil {
		return err
	}
	b.tellRules(all)
	return nil
}

// real takes the Prometheus of the generation that was asked for.
func (b *bench) real(ctx context.Context) error {
	parts, err := stack.Find(ctx, stack.Options{Which: b.generation, Progress: b.say})
	b.prometheus = parts.Prometheus.Path
	return err
}

// newWorld starts targets, both exporters and a Prometheus with an hour of their
// past, until the group ends.
func (b *bench) newWorld(ctx context.Context, group *process.Group) (w *world, err error) {
	w = &world{b: b}
	if err := w.serve(group); err != nil {
		return nil, err
	}
	first := ruleTurns()[0]
	for _, o := range both() {
		p, err := b.start(ctx, group, "exporter-"+o, b.ours, w.crowd.rulesConfig(first.backend, first.dimensions, both()), "--observer="+o)
		if err != nil {
			return nil, err
		}
		w.exporters = append(w.exporters, p)
	}
	if w.prometheus, err = b.startPrometheus(ctx, group, "rules"); err != nil {
		return nil, err
	}
	return w, w.remember(ctx)
}

// serve opens the nodes.
func (w *world) serve(group *process.Group) error {
	w.crowd = &crowdOf{bad: func(service, node int) bool { return w.broken.Load() && brokenHere(service, node) }}
	for range ports[plainHTTP] {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		server := &http.Server{Handler: w.crowd, ReadHeaderTimeout: time.Minute}
		group.Add(func() { server.Close() })
		w.crowd.addresses = append(w.crowd.addresses, l.Addr().String())
		go server.Serve(l)
	}
	return nil
}

// remember writes an hour of latency of every node, by both observers, before the
// first scrape: what rules that reckon with a window read.
func (w *world) remember(ctx context.Context) error {
	values, end := newNoise(), time.Now()
	for _, e := range w.exporters {
		series, err := e.labelled(ctx, "probe_duration_seconds", ruleServices*ruleNodes)
		if err != nil {
			return err
		}
		some := atOnce / len(series)
		for from := -int(time.Hour / ruleInterval); from < 0; from += some {
			if err := post(ctx, w.prometheus.url+"/api/v1/write", past(series, end, from, min(from+some, 0), values)); err != nil {
				return fmt.Errorf("writing an hour of latency: %w", err)
			}
		}
	}
	return nil
}

// past are the steps from … to-1 before end of every series, in milliseconds of
// latency.
func past(series [][]prompb.Label, end time.Time, from, to int, values *noise) *prompb.WriteRequest {
	all := &prompb.WriteRequest{Timeseries: make([]prompb.TimeSeries, len(series))}
	for i, labels := range series {
		one := &all.Timeseries[i]
		one.Labels = labels
		for step := from; step < to; step++ {
			one.Samples = append(one.Samples, prompb.Sample{Timestamp: end.Add(time.Duration(step) * ruleInterval).UnixMilli(), Value: values.at(i, step) / 1e5})
		}
	}
	return all
}

// labelled waits until the page has a family with as many series, and gives their
// labels as a scrape that honours them stores them.
func (p *program) labelled(ctx context.Context, family string, want int) (all [][]prompb.Label, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, ruleSettled, fmt.Errorf("%s has not %d series of %s within %s", p.Name(), want, family, ruleSettled))
	defer cancel()
	for {
		page, err := p.get(ctx, http.DefaultClient, "/metrics/probes", nil)
		if err != nil {
			return nil, err
		}
		families, err := parsePage(page)
		if err != nil {
			return nil, err
		}
		if f := families[family]; f != nil && len(f.Metric) == want {
			for _, m := range f.Metric {
				all = append(all, stored(family, m))
			}
			return all, nil
		}
		if err := wait(ctx, time.Second); err != nil {
			return nil, err
		}
	}
}

// stored are the labels of a series, sorted by name as Prometheus wants them.
func stored(name string, m *dto.Metric) []prompb.Label {
	labels := []prompb.Label{{Name: "__name__", Value: name}}
	for _, l := range m.Label {
		labels = append(labels, prompb.Label{Name: l.GetName(), Value: l.GetValue()})
	}
	sort.Slice(labels, func(i, j int) bool { return labels[i].Name < labels[j].Name })
	return labels
}

// measure puts a turn in force, waits until the rules see all of it, and watches.
func (w *world) measure(ctx context.Context, i int, t turn) ([]ruleTime, error) {
	w.broken.Store(t.faults)
	if err := w.force(ctx, i, t); err != nil {
		return nil, err
	}
	if err := w.settled(ctx, t); err != nil {
		return nil, err
	}
	names := []string{t.group()}
	if i == 1 {
		names = append(names, "onefiveten:watchers")
	}
	var all []ruleTime
	for _, name := range names {
		seen, err := w.prometheus.watchGroup(ctx, name, ruleRounds)
		if err != nil {
			return nil, err
		}
		cost := ruleCost(t.what, seen)
		if cost.samples, err = w.prometheus.reads(ctx, seen[0]); err != nil {
			return nil, err
		}
		all = append(all, cost)
	}
	return all, nil
}

// force makes the rules of a turn, and lets exporters and Prometheus take them.
func (w *world) force(ctx context.Context, i int, t turn) error {
	dir := w.b.rulesFolder(i)
	if t.backend == "" {
		if err := writeByHand(dir); err != nil {
			return err
		}
		return w.prometheus.reload(ctx, w.scraping(dir, t))
	}
	for _, e := range w.exporters {
		if err := e.reload(ctx, w.crowd.rulesConfig(t.backend, t.dimensions, both())); err != nil {
			return err
		}
	}
	cmd := exec.CommandContext(ctx, w.b.ours, "rules", "--observer=a", "--no-tests", "--config.file="+w.exporters[0].config, "--output.dir="+dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("probe-exporter rules: %w\n%s", err, out)
	}
	return w.prometheus.reload(ctx, w.scraping(dir, t))
}

// writeByHand writes the thresholds of latency as people write them: what they cost
// in Prometheus, for scale.
func writeByHand(dir string) error {
	if err := os.MkdirAll(filepath.Join(dir, "rules"), 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "rules", "byhand.yml"), fmt.Appendf(nil,
		"groups: [{name: byhand, interval: %s, rules: [{record: 'latency:threshold', expr: %q}]}]\n", ruleInterval,
		"avg_over_time(probe_duration_seconds[1h]) + 3 * stddev_over_time(probe_duration_seconds[1h])"), 0o644)
}

// scraping is the configuration of Prometheus in a turn.
func (w *world) scraping(dir string, t turn) string {
	var list []string
	for i, e := range w.exporters {
		if slices.Contains(t.observers, both()[i]) {
			list = append(list, fmt.Sprintf("%q", strings.TrimPrefix(e.url, "http://")))
		}
	}
	return fmt.Sprintf(`global: {scrape_interval: %[1]s, scrape_timeout: 4s, evaluation_interval: %[1]s}
rule_files: [%[2]q]
scrape_configs:
- {job_name: probes, honor_labels: true, metrics_path: /metrics/probes, static_configs: [{targets: [%[3]s]}]}
`, ruleInterval, filepath.Join(dir, "rules", "*.yml"), strings.Join(list, ", "))
}

// settled waits until the rules know of every node by every observer, and of every
// fault.
func (w *world) settled(ctx context.Context, t turn) error {
	all := ruleServices * ruleNodes * len(t.observers)
	if t.backend == "" {
		return w.prometheus.counts(ctx, "count(latency:threshold)", all)
	}
	set := strings.TrimPrefix(t.group(), "onefiveten:")
	if err := w.prometheus.counts(ctx, fmt.Sprintf("count(onefiveten:vote:bool{rule_set=%q,signal=~\"availability|latency\"})", set), 2*all); err != nil {
		return err
	}
	if !t.faults {
		return nil
	}
	return w.prometheus.counts(ctx, `count(ALERTS{alertname="FaultDetected",alertstate="firing"})`, brokenServices)
}

// tellRules prints what each group costs.
func (b *bench) tellRules(all []ruleTime) {
	b.say.Line("\nEvaluation of the rules for %d services of %d nodes, E = %s; ms, median of %d evaluations (greatest)", ruleServices, ruleNodes, ruleInterval, ruleRounds)
	b.say.Line("  %-30s %-26s %5s %9s %16s %6s %16s  %-14s %s", "", "group", "rules", "samples", "whole group", "of E", "to FaultDetected", "d_e of "+ruleDelay.String(), "dearest rule")
	for _, t := range all {
		whole, _, most := spread(t.whole)
		detect, _, late := spread(t.detect)
		b.say.Line("  %-30s %-26s %5d %9.0f %16s %5.1f%% %16s  %-14s %s", t.what, t.group, t.rules, t.samples, fmt.Sprintf("%.0f (%.0f)", whole, most),
			whole/10/ruleInterval.Seconds(), fmt.Sprintf("%.0f (%.0f)", detect, late), verdict(late <= 1000*ruleDelay.Seconds()), t.dearest)
	}
}
