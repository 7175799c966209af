package main

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/onefiveten/onefiveten/config"
	"github.com/onefiveten/onefiveten/promapi"
)

// resultsPath is how the path ends under which results are scraped, with or
// without a prefix before it.
const resultsPath = "/metrics/probes"

// renamed finds results whose labels Prometheus has renamed.
const renamed = `count by (job) ({__name__=~"probe_success|ksigma_fault",exported_probe!=""})`

// living compares the settings with a Prometheus.
type living struct {
	*findings
	settings *settings
	client   *promapi.Client
	where    func(text string) config.Mistake // a finding about that Prometheus as a whole
}

// compare asks the Prometheus of the flag or of the file. One that was asked for
// on the command line and does not answer is an error; of the one in the file only
// a warning: what checks a file may not reach it.
func (a *app) compare(ctx context.Context, s *settings, f *findings) {
	where := cmp.Or(a.prometheusURL, s.Prometheus.URL)
	if where == "" {
		return
	}
	l := living{findings: f, settings: s, where: func(text string) config.Mistake { return s.places.Mistake("prometheus.url", text) }}
	silent := &f.unwise
	if a.prometheusURL != "" {
		silent = &f.wrong
		l.where = func(text string) config.Mistake { return config.Mistake{File: "--prometheus.url", Text: text} }
	}
	client, err := promapi.New(promapi.Settings{
		Name: config.Masked(where), URL: where, HTTPConfig: s.Prometheus.HTTPConfig, Timeout: s.Prometheus.Timeout,
	})
	if err == nil {
		defer client.Close()
		l.client = client
		err = l.targets(ctx)
	}
	if err != nil {
		*silent = append(*silent, l.where(config.Masked(err.Error())))
	}
}

// targets looks at those that are ours. An error is that of asking.
func (l living) targets(ctx context.Context) error {
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
			l.unwise = append(l.unwise, l.where(config.Masked(fmt.Sprintf("%s is down: %s", t.URL, t.Error))))
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
func (l living) times(t promapi.Target) {
	if len(l.settings.Services) == 0 {
		return
	}
	scrape := l.settings.Prometheus.Scrape
	for _, c := range []struct {
		path      string
		got, want time.Duration
	}{
		{"prometheus.scrape.interval", t.Interval, time.Duration(scrape.Interval)},
		{"prometheus.scrape.timeout", t.Timeout, scrape.Wait()},
	} {
		if c.got == c.want || c.got == 0 {
			continue
		}
		m := l.settings.places.Mistake(c.path, fmt.Sprintf("reckons with %s, the job %q has %s", c.want, t.Job, c.got))
		if c.got > c.want {
			m.Text += ": the bounds are too short"
			l.wrong = append(l.wrong, m)
		} else {
			m.Text += ": the bounds are longer than need be"
			l.unwise = append(l.unwise, m)
		}
	}
}

// honor wants honor_labels of every job that scrapes results.
func (l living) honor(ctx context.Context, jobs map[string]bool) {
	scrapes, err := l.client.Scrapes(ctx)
	if err != nil {
		l.unwise = append(l.unwise, l.where(config.Masked("honor_labels was not looked at: "+err.Error())))
		return
	}
	for _, s := range scrapes {
		if jobs[s.Job] && !s.HonorLabels {
			l.wrong = append(l.wrong, l.where(fmt.Sprintf("the job %q lacks honor_labels: true: labels of results arrive as exported_…, and no rule finds them", s.Job)))
		}
	}
}

// labels looks for results that have been renamed nevertheless.
func (l living) labels(ctx context.Context) {
	found, err := l.client.Query(ctx, renamed)
	if err != nil {
		l.unwise = append(l.unwise, l.where(config.Masked("labels of results were not looked at: "+err.Error())))
		return
	}
	for _, p := range found {
		l.wrong = append(l.wrong, l.where(fmt.Sprintf("results of the job %q carry the label exported_probe: no rule finds them", p.Labels["job"])))
	}
}
