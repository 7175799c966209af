package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-kit/log/level"

	"github.com/onefiveten/onefiveten/probe"
)

const (
	defaultModule  = "http_2xx"
	scrapeTimeout  = "X-Prometheus-Scrape-Timeout-Seconds"
	defaultTimeout = 120.0 // seconds, without that header
	maxTimeout     = 3600.0
)

// probe answers /probe?module=&target=&hostname= with the series of one probe,
// as blackbox_exporter does.
func (e *exporter) probe(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	name := query.Get("module")
	if name == "" {
		name = defaultModule
	}
	p := e.current.Load().probers[name]
	if p == nil {
		e.metrics.unknown.Inc()
		http.Error(w, fmt.Sprintf("unknown module %q, want one of %s", name, strings.Join(slices.Sorted(maps.Keys(e.current.Load().probers)), ", ")), http.StatusBadRequest)
		return
	}
	timeout, err := deadline(r.Header.Get(scrapeTimeout), p.Timeout(), e.offset)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	if err := allowed(query.Get("target"), query.Get("debug")); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if hostname := query.Get("hostname"); hostname != "" {
		if p, err = p.Named(hostname); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
	}
	allow(w, timeout)
	ctx, cancel := context.WithTimeout(r.Context(), timeout)
	defer cancel()
	result := p.Run(ctx, query.Get("target"))
	if !result.Success {
		level.Debug(e.logger).Log("msg", "probe failed", "module", name, "target", query.Get("target"), "reason", result.Reason, "err", result.Err)
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	w.Write(exposition(result))
}

// allowed refuses requests that cannot be answered as they are meant.
func allowed(target, debug string) error {
	switch {
	case target == "":
		return errors.New("parameter target is missing")
	case debug != "" && debug != "false":
		return errors.New("parameter debug: known, not yet available")
	}
	return nil
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
