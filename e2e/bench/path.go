package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/onefiveten/onefiveten/demo/process"
)

const (
	askEvery = 5 * time.Second
	asks     = 4 // queries that are measured
	ahead    = 4 * time.Minute
)

// path is what one series and query costs on the whole way, in µs.
type path struct{ ours, prometheus float64 }

// path measures the exporter with a signal of all series, which it reads from that
// Prometheus, and what the Prometheus uses for the answers.
func (b *bench) path(ctx context.Context, group *process.Group, p *program, h history) (path, error) {
	if err := p.reload(ctx, "global: {}\n"); err != nil {
		return path{}, err
	}
	// The samples of the next minutes are there before their time, so that nothing is
	// written while it is measured.
	if err := h.write(ctx, p.url, int(h.span/every), int((time.Since(h.start())+ahead)/every)); err != nil {
		return path{}, err
	}
	if err := p.rest(ctx); err != nil {
		return path{}, err
	}
	idle, err := p.idle(ctx, 2*time.Second)
	if err != nil {
		return path{}, err
	}
	ours, err := b.start(ctx, group, "signals", b.ours, b.signal(p.url, h), asBench)
	if err != nil {
		return path{}, err
	}
	from, err := ours.asked(ctx, h, 1)
	if err != nil {
		return path{}, err
	}
	// What is read from the past at the start is not measured.
	if err := ours.filled(ctx); err != nil {
		return path{}, err
	}
	if from, err = ours.asked(ctx, h, from+1); err != nil {
		return path{}, err
	}
	return ours.answers(ctx, p, h, from, idle)
}

// answers measures some queries: from is how many there were, idle the share of a
// CPU that the Prometheus uses without them.
func (p *program) answers(ctx context.Context, prometheus *program, h history, from, idle float64) (path, error) {
	var theirs, took time.Duration
	to := from
	mine, _, err := p.uses(func() (err error) {
		theirs, took, err = prometheus.uses(func() (err error) {
			to, err = p.asked(ctx, h, from+asks)
			return err
		})
		return err
	})
	n := (to - from) * float64(h.series)
	return path{mine.Seconds() * 1e6 / n, (theirs.Seconds() - idle*took.Seconds()) * 1e6 / n}, err
}

// signal is a configuration with one entry of all series.
func (b *bench) signal(url string, h history) string {
	return fmt.Sprintf(`prometheus: {url: %s, timeout: 5s, scrape: {interval: 5s, timeout: 1s}, evaluation: {interval: 5s, delay: 1s}}
services: [{name: bench, owner: bench, signals: {queue: {mode: ticket, targets: {detect: 10m}}}}]
%sprobes: [{name: bench, service: bench, module: tcp, role: entry, interval: 20s, targets: ["127.0.0.1:9"]}]
signals: [{name: queue, service: bench, expr: 'max by (node) (%s)', interval: %s, max_series: %d}]
`, url, b.modules(time.Second), h.name, askEvery, h.series)
}

// filled waits until the past was read.
func (p *program) filled(ctx context.Context) error {
	const long = 3 * time.Minute
	ctx, cancel := context.WithTimeoutCause(ctx, long, fmt.Errorf("the past of the signal was not read in %s", long))
	defer cancel()
	for {
		page, err := p.get(ctx, http.DefaultClient, "/metrics", nil)
		if err != nil {
			return err
		}
		took, err := figure(page, `(?m)^probe_exporter_backfill_seconds (\S+)$`)
		if err != nil || took > 0 {
			return err
		}
		if err := wait(ctx, 500*time.Millisecond); err != nil {
			return err
		}
	}
}

// asked waits until the signal was asked for that often and every series has a
// verdict, and tells how often it was. It looks seldom: the page costs CPU, too.
func (p *program) asked(ctx context.Context, h history, want float64) (float64, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, 2*time.Minute, fmt.Errorf("the signal was not answered %g times in time", want))
	defer cancel()
	for {
		page, err := p.get(ctx, http.DefaultClient, "/metrics", nil)
		if err != nil {
			return 0, err
		}
		n, err := figure(page, `(?m)^signal_queries_total\{\S+\} (\S+)$`)
		if err != nil {
			return 0, err
		}
		if series, err := figure(page, `(?m)^signal_series\{\S+\} (\S+)$`); err == nil && n >= want && int(series) == h.series {
			return n, nil
		}
		if err := wait(ctx, 500*time.Millisecond); err != nil {
			return 0, err
		}
	}
}
