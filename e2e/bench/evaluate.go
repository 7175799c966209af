package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/prometheus/common/model"

	"github.com/onefiveten/onefiveten/demo/process"
	"github.com/onefiveten/onefiveten/demo/stack"
	"github.com/onefiveten/onefiveten/promapi"
	"github.com/onefiveten/onefiveten/sigma"
)

const (
	perRound  = 3       // queries of a round
	calm      = .02     // of one CPU: what counts as idle
	evenlyFor = 1e-9    // relative; how far mean and sigma may differ
	sampled   = 20      // series that are compared
	ruleEvery = 2       // seconds
	ruleRuns  = 4       // evaluations that are measured
	held      = 3600000 // samples of each span: 10,000 series over an hour
)

// evaluation is what Prometheus uses for one series and evaluation, in µs.
type evaluation struct {
	span    time.Duration
	series  int
	queries []float64 // a value per round
	ours    []float64 // what ours uses for a sample, likewise, in µs
	ratios  []float64 // of both within each round
	rule    float64   // 0: not measured
	apart   float64   // the greatest relative difference from ours
	path    path      // zero: not measured
}

// prometheus runs an empty one that takes remote write, until the group ends.
func (b *bench) startPrometheus(ctx context.Context, group *process.Group, name string) (*program, error) {
	port, err := process.Reserve()
	if err != nil {
		return nil, err
	}
	group.Add(func() { port.Close() })
	p := &program{url: port.URL(), config: filepath.Join(b.dir, name+".yml")}
	if err := os.WriteFile(p.config, []byte("global: {}\n"), 0o644); err != nil {
		return nil, err
	}
	command := stack.Parts{Prometheus: stack.Program{Name: name, Path: b.prometheus}}.PrometheusCommand(
		stack.Server{Config: p.config, Data: filepath.Join(b.dir, name), Addr: port.Addr(), Log: filepath.Join(b.dir, name+".log")})
	command.Args = slices.DeleteFunc(command.Args, func(a string) bool { return a == "--storage.tsdb.retention.time=1d" })
	command.Args = append(command.Args, "--storage.tsdb.retention.time=30d", "--web.enable-remote-write-receiver")
	command.Env = []string{"GOMAXPROCS=1"} // as for every program that is measured
	p.Process, err = group.Start(ctx, time.Minute, command)
	return p, err
}

// evaluations measures every span, each with a Prometheus of its own.
func (b *bench) evaluations(ctx context.Context, values *noise) (all []evaluation, err error) {
	err = b.say.During(ctx, "the same in Prometheus", nil, func(ctx context.Context) error {
		for _, span := range spans {
			e, err := b.evaluate(ctx, span, values)
			if err != nil {
				return fmt.Errorf("window %s: %w", days(span), err)
			}
			all = append(all, e)
		}
		return nil
	})
	return all, err
}

// evaluate measures one span.
func (b *bench) evaluate(ctx context.Context, span time.Duration, values *noise) (e evaluation, err error) {
	var group process.Group
	defer group.Close()
	name := "prometheus-" + days(span)
	defer func() { err = errors.Join(err, os.RemoveAll(filepath.Join(b.dir, name))) }()
	defer group.Close()
	p, err := b.startPrometheus(ctx, &group, name)
	if err != nil {
		return e, err
	}
	h := history{name: "queue_length", series: held / int(span/every), span: span, end: time.Now().Truncate(span / buckets), values: values}
	e = evaluation{span: span, series: h.series}
	if err := h.send(ctx, p.url); err != nil {
		return e, err
	}
	if err := p.rest(ctx); err != nil {
		return e, err
	}
	if e.apart, err = h.compare(ctx, p.url); err != nil {
		return e, err
	}
	if err := e.turns(ctx, p, h, b.rounds); err != nil {
		return e, err
	}
	if span != spans[0] {
		return e, nil
	}
	if e.rule, err = p.rules(ctx, h); err != nil {
		return e, err
	}
	e.path, err = b.path(ctx, &group, p, h)
	return e, err
}

// turns lets ours and Prometheus take turns, so that both are measured on the same
// machine at the same load.
func (e *evaluation) turns(ctx context.Context, p *program, h history, rounds int) error {
	all, _, err := variant{}.fill(e.span, crowd, h.values)
	if err != nil {
		return err
	}
	order := rand.New(rand.NewPCG(3, 7)).Perm(crowd)
	for round := range rounds {
		ours, err := perSample(ctx, all, order, round*ofTurn, (round+1)*ofTurn, h.values)
		if err != nil {
			return err
		}
		theirs, err := p.queries(ctx, h)
		if err != nil {
			return err
		}
		e.ours, e.queries, e.ratios = append(e.ours, ours/1000), append(e.queries, theirs), append(e.ratios, ours/1000/theirs)
	}
	return nil
}

// rest waits until a program is idle: Prometheus has packed what it was given.
func (p *program) rest(ctx context.Context) error {
	const look, often = 500 * time.Millisecond, 120
	for quiet, n := 0, 0; quiet < 3; n++ {
		used, err := p.idle(ctx, look)
		if err != nil {
			return err
		}
		if quiet++; used > calm {
			quiet = 0
		}
		if n > often {
			return fmt.Errorf("%s does not come to rest: %.0f %% of a CPU for %s", p.Name(), 100*used, often*look)
		}
	}
	return nil
}

// idle is the share of one CPU that a program uses by itself.
func (p *program) idle(ctx context.Context, d time.Duration) (float64, error) {
	used, took, err := p.uses(func() error { return wait(ctx, d) })
	return used.Seconds() / took.Seconds(), err
}

// uses is the CPU time of a program while something is done, and how long that
// took.
func (p *program) uses(do func() error) (used, took time.Duration, err error) {
	began := time.Now()
	before, err := cpuTime(p.Pid())
	if err != nil {
		return 0, 0, err
	}
	if err := do(); err != nil {
		return 0, 0, err
	}
	after, err := cpuTime(p.Pid())
	return after - before, time.Since(began), err
}

// threshold is what is compared: mean and k times the standard deviation.
func (h history) threshold(at string) string {
	return fmt.Sprintf("avg_over_time(%[1]s[%[2]s]%[3]s) + 3 * stddev_over_time(%[1]s[%[2]s]%[3]s)", h.name, days(h.span), at)
}

// pinned is the modifier that ends the window with the last sample.
func (h history) pinned() string { return fmt.Sprintf(" @ %d", h.last().Unix()) }

// queries is a round of instant queries: µs per series and query.
func (p *program) queries(ctx context.Context, h history) (float64, error) {
	idle, err := p.idle(ctx, time.Second)
	if err != nil {
		return 0, err
	}
	path := "/api/v1/query?" + url.Values{
		"query": {"count(" + h.threshold("") + ")"}, "time": {fmt.Sprint(h.last().Unix())}, "timeout": {"1m"},
	}.Encode()
	used, took, err := p.uses(func() error {
		for range perRound {
			var answer struct {
				Data struct{ Result []struct{ Value [2]any } }
			}
			if err := p.ask(ctx, path, &answer); err != nil {
				return err
			}
			if r := answer.Data.Result; len(r) != 1 || r[0].Value[1] != fmt.Sprint(h.series) {
				return fmt.Errorf("GET %s: got %v, want %d series", path, r, h.series)
			}
		}
		return nil
	})
	return (used.Seconds() - idle*took.Seconds()) * 1e6 / float64(perRound*h.series), err
}

// rules is a recording rule of the same: µs per series and evaluation.
func (p *program) rules(ctx context.Context, h history) (float64, error) {
	idle, err := p.idle(ctx, 2*time.Second)
	if err != nil {
		return 0, err
	}
	file := p.config + ".rules"
	group := fmt.Sprintf("groups: [{name: bench, interval: %ds, rules: [{record: 'queue_length:threshold', expr: %q}]}]\n", ruleEvery, h.threshold(h.pinned()))
	if err := os.WriteFile(file, []byte(group), 0o644); err != nil {
		return 0, err
	}
	if err := p.reload(ctx, fmt.Sprintf("rule_files: [%q]\n", file)); err != nil {
		return 0, err
	}
	// The first evaluation makes the series; after it they are there.
	before, err := p.evaluated(ctx, 1)
	if err != nil {
		return 0, err
	}
	// A second more, so that the last evaluation has ended as the first has.
	used, took, err := p.uses(func() error { return wait(ctx, (ruleRuns*ruleEvery+1)*time.Second) })
	if err != nil {
		return 0, err
	}
	after, err := p.evaluated(ctx, before+ruleRuns)
	return (used.Seconds() - idle*took.Seconds()) * 1e6 / ((after - before) * float64(h.series)), err
}

// evaluated waits until rules have been evaluated that often, and tells how often
// they were.
func (p *program) evaluated(ctx context.Context, want float64) (float64, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, fmt.Errorf("the rule was not evaluated %g times in a minute", want))
	defer cancel()
	for {
		page, err := p.get(ctx, http.DefaultClient, "/metrics", nil)
		if err != nil {
			return 0, err
		}
		if n, err := figure(page, `(?m)^prometheus_rule_evaluations_total\{\S+\} (\S+)$`); err == nil && n >= want {
			return n, nil
		}
		if err := wait(ctx, 100*time.Millisecond); err != nil {
			return 0, err
		}
	}
}

// compare holds mean and sigma of ours against those of Prometheus, on some
// series whose windows hold the same samples: the greatest relative difference.
func (h history) compare(ctx context.Context, url string) (float64, error) {
	client, err := promapi.New(promapi.Settings{Name: "Prometheus", URL: url, Timeout: model.Duration(time.Minute)})
	if err != nil {
		return 0, err
	}
	var apart float64
	for n := range sampled {
		i := n * (h.series - 1) / (sampled - 1)
		ours, err := h.judged(i)
		if err != nil {
			return 0, err
		}
		difference, err := h.differs(ctx, client, i, ours)
		if err != nil {
			return 0, err
		}
		apart = max(apart, difference)
	}
	if apart > evenlyFor {
		return apart, fmt.Errorf("mean or sigma of ours and of Prometheus differ by %g, want %g at most: they are not the same work", apart, evenlyFor)
	}
	return apart, nil
}

// judged is what ours says of a sample at the end of the window.
func (h history) judged(i int) (j sigma.Judgement, err error) {
	k, err := variant{}.fresh(h.span)
	if err != nil {
		return j, err
	}
	for step := range int(h.span / every) {
		if err := k.add(h.start().Add(time.Duration(step)*every), h.values.at(i, step)); err != nil {
			return j, err
		}
	}
	return k.series.Add(h.end, 100)
}

// differs is how far Prometheus is from ours. Its standard deviation divides by
// n, ours by n-1.
func (h history) differs(ctx context.Context, client *promapi.Client, i int, ours sigma.Judgement) (float64, error) {
	var got [3]float64
	for n, function := range []string{"count_over_time", "avg_over_time", "stddev_over_time"} {
		query := fmt.Sprintf("%s(%s{node=%q}[%s]%s)", function, h.name, node(i), days(h.span), h.pinned())
		points, err := client.Query(ctx, query)
		if err != nil {
			return 0, err
		}
		if len(points) != 1 {
			return 0, fmt.Errorf("%s: got %d series, want 1", query, len(points))
		}
		got[n] = points[0].Value
	}
	n, mean, stddev := got[0], got[1], got[2]*math.Sqrt(got[0]/(got[0]-1))
	if n != float64(ours.Samples) {
		return 0, fmt.Errorf("%s: Prometheus has %g samples in the window, ours %d", node(i), n, ours.Samples)
	}
	return max(math.Abs(mean-ours.Mean)/ours.Mean, math.Abs(stddev-ours.StdDev)/ours.StdDev), nil
}
