package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"

	"github.com/onefiveten/onefiveten/config"
	"github.com/onefiveten/onefiveten/probe"
)

const (
	defaultModule  = "http_2xx"
	scrapeTimeout  = "X-Prometheus-Scrape-Timeout-Seconds"
	defaultTimeout = 120.0 // seconds, without that header
	maxTimeout     = 3600.0
)

// probe answers /probe?module=&target=&hostname=&debug= with the series of one
// probe, as blackbox_exporter does. What it checks comes in the same order.
func (e *exporter) probe(w http.ResponseWriter, r *http.Request) {
	query, now := r.URL.Query(), e.current.Load()
	name := cmp.Or(query.Get("module"), defaultModule)
	p := now.probers[name]
	if p == nil {
		e.metrics.unknown.Inc()
		http.Error(w, fmt.Sprintf("unknown module %q, want one of %s", name, strings.Join(slices.Sorted(maps.Keys(now.probers)), ", ")), http.StatusBadRequest)
		return
	}
	timeout, err := deadline(r.Header.Get(scrapeTimeout), p.Timeout(), e.offset)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	target, hostname := query.Get("target"), query.Get("hostname")
	if target == "" {
		http.Error(w, "parameter target is missing", http.StatusBadRequest)
		return
	}
	if hostname != "" {
		if p, err = p.Named(hostname); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
	}
	allow(w, timeout)
	ctx, cancel := context.WithTimeout(r.Context(), timeout)
	defer cancel()
	debug := query.Get("debug") == "true"
	asked := &entry{module: name, target: target, hostname: hostname, timeout: timeout, settings: now.modules[name]}
	asked.result = e.run(ctx, p, target, debug)
	now.tallies[name].count(asked.result)
	e.report(asked)
	e.answer(w, asked, debug)
}

// run probes, with notes where somebody may want to read them.
func (e *exporter) run(ctx context.Context, p *probe.Prober, target string, debug bool) probe.Result {
	if debug || e.history.limit > 0 || e.verbose {
		return p.Explain(ctx, target)
	}
	return p.Run(ctx, target)
}

// answer writes the page that was asked for and keeps the probe for later.
func (e *exporter) answer(w http.ResponseWriter, asked *entry, debug bool) {
	page := exposition(asked.result)
	e.history.add(asked)
	if debug {
		plain(w)
		w.Write(explained(asked))
		return
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	w.Write(page)
}

// report tells the log of a probe, as --log.prober wants: failures as errors,
// successes and every note as debug.
func (e *exporter) report(asked *entry) {
	r := asked.result
	logger := log.With(e.prober, "module", asked.module, "target", named(cut(asked.target)))
	if e.verbose {
		for _, n := range r.Notes {
			values := []any{"msg", n.Text, "after", n.After}
			for i := 0; i+1 < len(n.Values); i += 2 {
				values = append(values, n.Values[i], config.Masked(fmt.Sprint(small(n.Values[i+1]))))
			}
			level.Debug(logger).Log(values...)
		}
	}
	if r.Success {
		level.Debug(logger).Log("msg", "probe succeeded", "duration", r.Duration)
		return
	}
	level.Error(logger).Log("msg", "probe failed", "duration", r.Duration, "reason", r.Reason, "err", config.Masked(cut(fmt.Sprint(r.Err))))
}

// deadline is how long a probe may take: the module's own timeout, unless the
// scrape that asks, less the offset, ends before.
func deadline(header string, module time.Duration, offset float64) (time.Duration, error) {
	scrape := 0.0
	if header != "" {
		var err error
		if scrape, err = strconv.ParseFloat(header, 64); err != nil || math.IsNaN(scrape) {
			return 0, fmt.Errorf("header %s: want seconds, got %q", scrapeTimeout, header)
		}
	}
	if scrape == 0 {
		scrape = defaultTimeout
	}
	longest := min(scrape-offset, maxTimeout)
	if own := module.Seconds(); longest < 0 || own > 0 && own < longest {
		return module, nil
	}
	return time.Duration(longest * float64(time.Second)), nil
}

// exposition writes a result as a page of metrics (text format 0.0.4).
func exposition(r probe.Result) []byte {
	success := 0.0
	if r.Success {
		success = 1
	}
	samples := append([]probe.Sample{
		{Name: "probe_success", Help: "1 when the probe succeeded.", Value: success},
		{Name: "probe_duration_seconds", Help: "Seconds that the probe took.", Value: r.Duration.Seconds()},
	}, r.Samples...)
	if !r.Success {
		samples = append(samples, probe.Sample{
			Name: "probe_failure_reason", Help: "1 for the first thing that went wrong, out of a closed set.", Value: 1,
			Labels: []probe.Label{{Name: "reason", Value: string(r.Reason)}},
		})
	}
	var b bytes.Buffer
	last := ""
	for _, s := range samples {
		if s.Name != last {
			fmt.Fprintf(&b, "# HELP %s %s\n# TYPE %s gauge\n", s.Name, s.Help, s.Name)
		}
		last = s.Name
		b.WriteString(s.Name)
		writeLabels(&b, s.Labels)
		fmt.Fprintf(&b, " %s\n", strconv.FormatFloat(s.Value, 'g', -1, 64))
	}
	return b.Bytes()
}

// writeLabels escapes what a server put into a certificate or a banner: it must
// not be able to add lines to the page.
func writeLabels(b *bytes.Buffer, labels []probe.Label) {
	escape := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)
	for i, label := range labels {
		b.WriteString(map[bool]string{true: "{", false: ","}[i == 0])
		fmt.Fprintf(b, `%s="%s"`, label.Name, escape.Replace(strings.ToValidUTF8(label.Value, "\uFFFD")))
	}
	if len(labels) > 0 {
		b.WriteString("}")
	}
}
