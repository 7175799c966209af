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
		{"exporter, 2 observers, faults", "exporter", []string{"node", "zone"}, both(), true},
		{"promql, 2 observers, faults", "promql", []string{"node", "zone"}, both(), true},
		{"by hand, 2 observers", "", nil, both(), true},
	}
}

// set is the part of rule_set that all rules of a turn have.
func (t turn) set() string { return "page-" + strings.Join(t.dimensions, "-") }

// latencySet is the rule_set of latency under backend promql, with the default windows.
func (t turn) latencySet() string { return t.set() + "-latency-3m-1h" }

// verdicts is how many there are: of both signals, by hand of latency alone.
func (t turn) verdicts() int {
	each := ruleServices * ruleNodes * len(t.observers)
	if t.backend == "" {
		return each
	}
	return 2 * each
}

// groups are those that are measured, the one that detects first.
func (t turn) groups() []string {
	switch t.backend {
	case "":
		return []string{"byhand"}
	case "promql":
		return []string{"onefiveten:" + t.set() + "-availability-1m", "onefiveten:" + t.latencySet(), "onefiveten:watchers"}
	}
	return []string{"onefiveten:" + t.set(), "onefiveten:watchers"}
}

// world is what the rules are evaluated on.
type world struct {
	b          *bench
	crowd      *crowdOf
	broken     atomic.Bool
	exporters  []*program
	prometheus *program
	scraped    turn    // of whose observers and backend it is known
	alone      float64 // what share of a CPU Prometheus takes to scrape them alone
}

// rules measures how long Prometheus takes to evaluate the rules of 200 services.
func (b *bench) rules(ctx context.Context) error {
	parts, err := stack.Find(ctx, stack.Options{Which: b.generation, Progress: b.say})
	if err != nil {
		return err
	}
	var all []ruleTime
	err = b.say.During(ctx, "evaluation of the rules", nil, func(ctx context.Context) error {
		var group process.Group
		defer group.Close()
		w, err := b.newWorld(ctx, &group, parts)
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
	b.tellRules(parts, all)
	return nil
}

// newWorld starts targets, both exporters and a Prometheus with an hour of their
// past, until the group ends.
func (b *bench) newWorld(ctx context.Context, group *process.Group, parts stack.Parts) (w *world, err error) {
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
	if w.prometheus, err = b.startEvaluating(ctx, group, parts); err != nil {
		return nil, err
	}
	return w, w.remember(ctx)
}

// startEvaluating runs an empty Prometheus that takes remote write. It has all CPUs,
// since the time that rules take there is what is asked for.
func (b *bench) startEvaluating(ctx context.Context, group *process.Group, parts stack.Parts) (*program, error) {
	port, err := process.Reserve()
	if err != nil {
		return nil, err
	}
	group.Add(port.Close)
	p := &program{url: port.URL(), config: filepath.Join(b.dir, "evaluating.yml")}
	if err := os.WriteFile(p.config, []byte("global: {}\n"), 0o644); err != nil {
		return nil, err
	}
	command := parts.PrometheusCommand(
		stack.Server{Config: p.config, Data: filepath.Join(b.dir, "evaluating"), Addr: port.Addr(), Log: filepath.Join(b.dir, "evaluating.log")})
	command.Args = append(command.Args, "--web.enable-remote-write-receiver")
	p.Process, err = group.Start(ctx, time.Minute, command)
	return p, err
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
// first scrape and the first evaluation: what rules that reckon with a window read.
// Those of backend promql read what they have recorded.
func (w *world) remember(ctx context.Context) error {
	values, end := newNoise(), time.Now()
	for _, e := range w.exporters {
		series, err := e.labelled(ctx, "probe_duration_seconds", ruleServices*ruleNodes)
		if err != nil {
			return err
		}
		for _, t := range ruleTurns() {
			if t.backend == "promql" {
				series = append(series, recorded(series, t)...)
			}
		}
		some := max(atOnce/len(series), 1)
		for from := -int(time.Hour / ruleInterval); from < 0; from += some {
			if err := post(ctx, w.prometheus.url+"/api/v1/write", past(series, end, from, min(from+some, 0), values)); err != nil {
				return fmt.Errorf("writing an hour of latency: %w", err)
			}
		}
	}
	return nil
}

// recorded are the series that the rules of a turn make of latencies.
func recorded(series [][]prompb.Label, t turn) (all [][]prompb.Label) {
	for _, labels := range series {
		one := []prompb.Label{{Name: "__name__", Value: "onefiveten:probe_duration_seconds:success"}, {Name: "rule_set", Value: t.latencySet()}, {Name: "signal", Value: "latency"}}
		one = append(one, slices.DeleteFunc(slices.Clone(labels), func(l prompb.Label) bool { return l.Name == "__name__" })...)
		all = append(all, sorted(one))
	}
	return all
}

// sorted are labels in the order that Prometheus wants.
func sorted(labels []prompb.Label) []prompb.Label {
	slices.SortFunc(labels, func(a, b prompb.Label) int { return strings.Compare(a.Name, b.Name) })
	return labels
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

// stored are the labels of a series of the page.
func stored(name string, m *dto.Metric) []prompb.Label {
	labels := []prompb.Label{{Name: "__name__", Value: name}}
	for _, l := range m.Label {
		labels = append(labels, prompb.Label{Name: l.GetName(), Value: l.GetValue()})
	}
	return sorted(labels)
}

// measure puts a turn in force, waits until the rules see all of it, and watches.
func (w *world) measure(ctx context.Context, i int, t turn) ([]ruleTime, error) {
	if err := w.scrapesAlone(ctx, t); err != nil {
		return nil, err
	}
	w.broken.Store(t.faults)
	if err := w.force(ctx, w.b.rulesFolder(i), t); err != nil {
		return nil, err
	}
	if err := w.settled(ctx, t); err != nil {
		return nil, err
	}
	of, err := w.prometheus.watchGroups(ctx, t.groups(), w.alone)
	if err != nil {
		return nil, err
	}
	var all []ruleTime
	for i, name := range t.groups() {
		if len(of.seen[name]) == 0 {
			return nil, fmt.Errorf("group %s was not evaluated beside %s", name, t.groups()[0])
		}
		cost := ruleCost(t.what, of.seen[name])
		if cost.samples, err = w.prometheus.reads(ctx, of.seen[name][0]); err != nil {
			return nil, err
		}
		if i == 0 {
			cost.cpu, cost.verdicts = ms(of.cpu), t.verdicts()
		}
		all = append(all, cost)
	}
	return all, nil
}

// scrapesAlone lets Prometheus scrape what a turn needs without any rule, and notes
// what that costs. Where the same is scraped already it is known.
func (w *world) scrapesAlone(ctx context.Context, t turn) error {
	if t.backend == "" || slices.Equal(w.scraped.observers, t.observers) && w.scraped.backend == t.backend {
		return nil
	}
	for _, e := range w.exporters {
		if err := e.reload(ctx, w.crowd.rulesConfig(t.backend, t.dimensions, both())); err != nil {
			return err
		}
	}
	if err := w.prometheus.reload(ctx, w.scraping("", t.observers)); err != nil {
		return err
	}
	if err := w.prometheus.counts(ctx, "count(probe_success)", ruleServices*ruleNodes*len(t.observers)); err != nil {
		return err
	}
	used, err := w.prometheus.idle(ctx, ruleAlone)
	w.scraped, w.alone = t, used
	return err
}

// force makes the rules of a turn, and lets Prometheus take them.
func (w *world) force(ctx context.Context, dir string, t turn) error {
	if t.backend == "" {
		if err := writeByHand(dir); err != nil {
			return err
		}
		return w.prometheus.reload(ctx, w.scraping(dir, t.observers))
	}
	cmd := exec.CommandContext(ctx, w.b.ours, "rules", "--observer=a", "--no-tests", "--config.file="+w.exporters[0].config, "--output.dir="+dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("probe-exporter rules: %w\n%s", err, out)
	}
	return w.prometheus.reload(ctx, w.scraping(dir, t.observers))
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

// scraping is the configuration of Prometheus that scrapes some observers, with the
// rules of a folder; empty: with none.
func (w *world) scraping(dir string, observers []string) string {
	var list []string
	for i, e := range w.exporters {
		if slices.Contains(observers, both()[i]) {
			list = append(list, fmt.Sprintf("%q", strings.TrimPrefix(e.url, "http://")))
		}
	}
	var files string
	if dir != "" {
		files = fmt.Sprintf("rule_files: [%q]\n", filepath.Join(dir, "rules", "*.yml"))
	}
	return fmt.Sprintf(`global: {scrape_interval: %[1]s, scrape_timeout: 4s, evaluation_interval: %[1]s}
%[2]s
scrape_configs:
- {job_name: probes, honor_labels: true, metrics_path: /metrics/probes, static_configs: [{targets: [%[3]s]}]}
`, ruleInterval, files, strings.Join(list, ", "))
}

// settled waits until the rules know of every node by every observer, and of every
// fault.
func (w *world) settled(ctx context.Context, t turn) error {
	if t.backend == "" {
		return w.prometheus.counts(ctx, "count(latency:threshold)", t.verdicts())
	}
	if err := w.prometheus.counts(ctx, fmt.Sprintf("count(onefiveten:vote:bool{rule_set=~\"%s.*\",signal=~\"availability|latency\"})", t.set()), t.verdicts()); err != nil {
		return err
	}
	if !t.faults {
		return nil
	}
	return w.prometheus.counts(ctx, `count(ALERTS{alertname="FaultDetected",alertstate="firing"})`, brokenServices)
}

// tellRules prints what each group costs, and what the rules cost beside thresholds
// that are written by hand.
func (b *bench) tellRules(parts stack.Parts, all []ruleTime) {
	b.say.Line("\nEvaluation of the rules for %d services of %d nodes, E = %s: ms, median of %d evaluations (greatest)", ruleServices, ruleNodes, ruleInterval, ruleRounds)
	b.say.Line("  %-29s %-43s %5s %9s %12s %6s %14s %-10s %6s  %s", "", "group", "rules", "samples", "whole group", "of E", "FaultDetected", "d_e of "+ruleDelay.String(), "CPU", "dearest rules")
	byHand := all[len(all)-1].cpu
	for _, t := range all {
		whole, _, most := spread(t.whole)
		detect, kept, cpu := "", "", ""
		if len(t.detect) > 0 {
			median, _, late := spread(t.detect)
			detect, kept = fmt.Sprintf("%.0f (%.0f)", median, late), verdict(late <= ms(ruleDelay))
		}
		if t.cpu > 0 {
			cpu = fmt.Sprintf("%.0f", t.cpu)
		}
		b.say.Line("  %-29s %-43s %5d %9.0f %12s %4.0f %% %14s %-10s %6s  %s", t.what, t.group, t.rules, t.samples, fmt.Sprintf("%.0f (%.0f)", whole, most),
			100*whole/ms(ruleInterval), detect, kept, cpu, t.dearest)
	}
	for _, t := range all {
		if t.cpu > 0 {
			b.say.Line("  %-29s CPU %4.0f µs per verdict (observer, node, signal), %.2f times that of the thresholds by hand", t.what, 1000*t.cpu/float64(t.verdicts), t.cpu/byHand)
		}
	}
	b.say.Line(`  Method: %s, with all CPUs, scrapes real probe-exporters that probe %d HTTP servers every %s on this
  machine, two signals each; rules as generated. Times are what /api/v1/rules says of each evaluation (the group's is
  prometheus_rule_group_last_duration_seconds): they are time, and grow where others use the machine. CPU is the process clock
  over %d intervals, less what scraping alone takes, of all groups of a turn together. FaultDetected is the time up to the end of that
  rule, which the bound calls d_e, %s unless prometheus.evaluation.delay says otherwise: MISSED asks for more there. Samples are those
  that one evaluation reads, as the engine counts them. By hand: avg_over_time(probe_duration_seconds[1h]) + 3 * stddev_over_time(…)
  alone, of an hour that was written before, for as many nodes and observers. Faults: %d services, of 20 one node, of 2 a zone, 1 as a
  whole. Repeat: cd e2e && go run ./bench -only rules (-stack debian for the older generation).`,
		parts, ruleServices*ruleNodes, ruleInterval, ruleRounds, ruleDelay, brokenServices)
}
