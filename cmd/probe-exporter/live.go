package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/common/model"

	"github.com/onefiveten/onefiveten/collector"
	"github.com/onefiveten/onefiveten/config"
	"github.com/onefiveten/onefiveten/promapi"
	"github.com/onefiveten/onefiveten/rules"
	"github.com/onefiveten/onefiveten/rules/living"
)

// resultsPath is how the path ends under which results are scraped, with or
// without a prefix before it.
const resultsPath = "/metrics/probes"

// renamed finds results whose labels Prometheus has renamed: those that its own job
// has, too. It always has job and instance, and others where people write them there.
// What is older than two scrapes is of before: a reload that puts honor_labels right
// leaves no mark, and Prometheus goes on showing such series for 5m.
func renamed(scrape time.Duration) string {
	var arms []string
	for _, label := range []string{"instance", "job", "service", "node", "probe", "observer"} {
		ours := `observer!="",`
		if label == "probe" || label == "observer" {
			ours = "" // labels that nobody else has
		}
		arms = append(arms, fmt.Sprintf(`timestamp({__name__=~"probe_success|ksigma_fault",%sexported_%s!=""})`, ours, label))
	}
	return fmt.Sprintf("count by (job) ((%s) > time() - %v)", strings.Join(arms, " or "), (2*scrape + 5*time.Second).Seconds())
}

// live compares the settings with a Prometheus and an Alertmanager that run.
type live struct {
	*findings
	settings *settings
	spec     rules.Spec
	client   *promapi.Client
	where    func(text string) config.Mistake // a finding about that Prometheus as a whole

	now    rules.Living    // the timing that was told
	config *promapi.Config // of Prometheus; nil: not told
	sends  []string        // addresses of the Alertmanagers that it sends to
}

// compare asks the servers of the flags or of the file.
func (a *app) compare(ctx context.Context, s *settings, f *findings) {
	l := &live{findings: f, settings: s, spec: s.spec()}
	a.askPrometheus(ctx, l)
	a.askAlertmanager(ctx, l)
	l.bounds()
}

// server is how findings about a server as a whole are written, and where it goes
// when it is silent. Of the one that was asked for on the command line that is an
// error; of the one in the file only a warning: what checks a file may not reach it.
func (l *live) server(flag, given, path string) (where func(text string) config.Mistake, silent *config.Mistakes) {
	if given != "" {
		return func(text string) config.Mistake { return config.Mistake{File: flag, Text: config.Masked(text)} }, &l.wrong
	}
	return func(text string) config.Mistake { return l.settings.places.Mistake(path, config.Masked(text)) }, &l.unwise
}

// askPrometheus looks at all that Prometheus tells.
func (a *app) askPrometheus(ctx context.Context, l *live) {
	s := l.settings
	address := cmp.Or(a.prometheusURL, s.Prometheus.URL)
	if address == "" {
		return
	}
	where, silent := l.server("--prometheus.url", a.prometheusURL, "prometheus.url")
	l.where = where
	client, err := promapi.New(promapi.Settings{
		Name: config.Masked(address), URL: address, HTTPConfig: s.Prometheus.HTTPConfig, Timeout: s.Prometheus.Timeout,
	})
	if err == nil {
		defer client.Close()
		l.client = client
		err = l.targets(ctx)
	}
	if err != nil {
		*silent = append(*silent, where(err.Error()))
		return
	}
	l.clock(ctx)
	l.signals(ctx)
	if len(s.Services) > 0 {
		l.status(ctx)
		l.rules(ctx)
		l.series(ctx)
		l.ages(ctx)
	}
}

// report takes the findings about a server: those without a path are of it as a
// whole.
func (l *live) report(all []living.Finding, where func(text string) config.Mistake) {
	for _, f := range all {
		into, m := &l.unwise, where(f.Text)
		if f.Path != "" {
			m = l.settings.places.Mistake(f.Path, config.Masked(f.Text))
		}
		if f.Broken {
			into = &l.wrong
		}
		*into = append(*into, m)
	}
}

// targets looks at those that are ours. An error is that of asking.
func (l *live) targets(ctx context.Context) error {
	all, err := l.client.Targets(ctx)
	if err != nil {
		return err
	}
	jobs := map[string]bool{}
	for _, t := range all {
		if u, err := url.Parse(t.URL); err != nil || !strings.HasSuffix(u.Path, resultsPath) {
			continue
		}
		if !jobs[t.Job] {
			l.times(t)
		}
		jobs[t.Job] = true
		if t.Health == "down" {
			l.unwise = append(l.unwise, l.where(fmt.Sprintf("%s is down: %s", t.URL, t.Error)))
		}
	}
	if len(jobs) == 0 {
		if len(l.settings.Probes)+len(l.settings.Signals) > 0 {
			l.wrong = append(l.wrong, l.where("no target has the path "+resultsPath+": nobody reads the results of probes and signals"))
		}
		return nil
	}
	l.honor(ctx, jobs)
	l.labels(ctx)
	return nil
}

// times compares S and d_s. What is longer than proved breaks the bound; without a
// service there is none.
func (l *live) times(t promapi.Target) {
	if len(l.settings.Services) == 0 {
		return
	}
	l.now.Scrape, l.now.ScrapeTimeout = longer(l.now.Scrape, t.Interval), longer(l.now.ScrapeTimeout, t.Timeout)
	scrape := l.settings.Prometheus.Scrape
	for _, c := range []struct {
		path      string
		got, want time.Duration
		windows   bool // are made of it
	}{
		{"prometheus.scrape.interval", t.Interval, time.Duration(scrape.Interval), l.spec.Backend == rules.PromQL},
		{"prometheus.scrape.timeout", t.Timeout, scrape.Wait(), false},
	} {
		if c.got == c.want || c.got == 0 {
			continue
		}
		m := l.settings.places.Mistake(c.path, fmt.Sprintf("reckons with %s, the job %q has %s", c.want, t.Job, c.got))
		switch {
		case c.windows:
			m.Text += ": the windows of backend promql hold other samples than were proved"
			l.wrong = append(l.wrong, m)
		case c.got > c.want:
			m.Text += ": the bounds are too short"
			l.wrong = append(l.wrong, m)
		default:
			m.Text += ": the bounds are longer than need be"
			l.unwise = append(l.unwise, m)
		}
	}
}

// longer is the longer of two times, of which 0 is not told.
func longer(old *time.Duration, d time.Duration) *time.Duration {
	if d <= 0 || old != nil && *old >= d {
		return old
	}
	return &d
}

// honor wants honor_labels of every job that scrapes results.
func (l *live) honor(ctx context.Context, jobs map[string]bool) {
	c, err := l.client.Config(ctx)
	if err != nil {
		l.unwise = append(l.unwise, l.where("honor_labels was not looked at: "+err.Error()))
		return
	}
	l.config = &c
	for _, s := range c.Scrapes {
		if jobs[s.Job] && !s.HonorLabels {
			l.wrong = append(l.wrong, l.where(fmt.Sprintf("the job %q lacks honor_labels: true: labels of results arrive as exported_…, and no rule finds them", s.Job)))
		}
	}
}

// labels looks for results that have been renamed nevertheless.
func (l *live) labels(ctx context.Context) {
	found, err := l.client.Query(ctx, renamed(time.Duration(l.settings.Prometheus.Scrape.Interval)))
	if err != nil {
		l.unwise = append(l.unwise, l.where("labels of results were not looked at: "+err.Error()))
		return
	}
	for _, p := range found {
		l.wrong = append(l.wrong, l.where(fmt.Sprintf("results of the job %q carry labels exported_…: no rule finds what they are of", p.Labels["job"])))
	}
}

// clock compares the clock of that Prometheus with the one of this machine, which
// need not be the one that the exporter runs on.
func (l *live) clock(ctx context.Context) {
	ahead, err := collector.Skew(ctx, l.client)
	switch {
	case err != nil:
		l.unwise = append(l.unwise, l.where("its clock was not looked at: "+err.Error()))
	case ahead.Abs() > collector.MostSkew:
		side := "ahead of"
		if ahead < 0 {
			side = "behind"
		}
		l.unwise = append(l.unwise, l.where(fmt.Sprintf("its clock is %s %s the one of this machine, want %s at most: if the exporter runs here, verdicts look older or younger to the rules than they are",
			model.Duration(ahead.Abs().Round(100*time.Millisecond)), side, collector.MostSkew)))
	}
}

// longest is how long all signals together are asked at most.
const longest = 30 * time.Second

// reply is what one question of a signal is answered.
type reply struct {
	signal    int    // its place in the configuration
	key, text string // of the question: expr, or traffic beside it
	points    []promapi.Point
	err       error
}

// signals asks each entry once, as many at a time as the exporter does, and looks at
// the answers.
func (l *live) signals(ctx context.Context) {
	for _, got := range l.ask(ctx) {
		finding := func(into *config.Mistakes) func(path, text string) {
			return func(path, text string) {
				*into = append(*into, l.settings.places.Mistake(fmt.Sprintf("signals[%d].%s", got.signal, path), config.Masked(text)))
			}
		}
		wrong, unwise := finding(&l.wrong), finding(&l.unwise)
		look := l.settings.CheckAnswer
		if got.key == "traffic" {
			look = l.settings.CheckTraffic
		}
		switch {
		case errors.Is(got.err, promapi.ErrQuestion):
			wrong(got.key, got.err.Error())
		case got.err != nil:
			unwise(got.key, got.err.Error())
		default:
			look(got.signal, got.points, wrong, unwise)
		}
	}
}

// questions are those of all signals, in their order.
func (l *live) questions() []reply {
	var all []reply
	for i, q := range l.settings.Signals {
		all = append(all, reply{signal: i, key: "expr", text: q.Expr})
		if q.Traffic != "" {
			all = append(all, reply{signal: i, key: "traffic", text: q.Traffic})
		}
	}
	return all
}

// ask gives the answer to each question.
func (l *live) ask(ctx context.Context) []reply {
	ctx, cancel := context.WithTimeoutCause(ctx, longest, fmt.Errorf("no answer within %s, which all signals have together: %w", longest, context.DeadlineExceeded))
	defer cancel()
	all, places := l.questions(), make(chan struct{}, l.settings.Prometheus.Concurrency)
	var open sync.WaitGroup
	for i, q := range all {
		places <- struct{}{}
		open.Go(func() {
			defer func() { <-places }()
			all[i].points, all[i].err = l.client.Query(ctx, q.text)
		})
	}
	open.Wait()
	return all
}
