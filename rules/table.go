package rules

import (
	"fmt"
	"math"
	"strings"
	"text/tabwriter"
	"time"
)

// Table prints the bounds with every term, and below what is not in them.
func Table(bounds []Bound) string { return Rows(bounds) + legend }

// Rows is Table without the legend.
func Rows(bounds []Bound) string {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprint(w, "SERVICE\tSIGNAL\tMODE\tPROBE\tTARGET\tBOUND\tN\tM\tCAP\tLOSS FOUND\tTERMS\n")
	for _, b := range bounds {
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", cell(b.Service), cell(b.Signal), b.Mode, b.sampler(), span(b.Target), b.figures())
	}
	_ = w.Flush() // a text in memory takes everything
	for _, b := range bounds {
		if b.Refusal != "" {
			fmt.Fprintf(&text, "refused: service %q, signal %s: %s\n", b.Service, cell(b.Signal), b.Refusal)
		}
	}
	return text.String()
}

const legend = `
BOUND      longest time from the beginning of a total failure to the webhook
N, M, CAP  the fault window holds N samples; M bad ones in a row are a fault while the threshold is at CAP
LOSS FOUND share of failing probes, or of a query's anomalies, that is found within the target with 95 % probability
TERMS      P interval and d_p timeout of the probe, S and d_s of the scrape, E and d_e of the rules, Q query offset,
           G group_wait, p·PT place in the Alertmanager cluster, t_wh delivery; terms of 0 are left out.
           Of a query: S_src interval and d_src timeout of the scrape of what it reads, R how far back it reads,
           P_q its interval, d_q prometheus.timeout. Under backend promql N and M count scrapes: (m-1)·S
Not in it: one failed send (up to 10s), one lost send (1m and E), one observer that hangs at that moment (2P + d_p,
           or 2P_q + d_q), a fault that comes again within 30s of its resolved message (group_interval for G).
`

// sampler is the cell of the probe. A query has its place in the configuration.
func (b Bound) sampler() string {
	if b.chain.signal.Query != nil {
		return b.chain.sampler()
	}
	return cell(b.Probe)
}

// figures are the cells from BOUND on.
func (b Bound) figures() string {
	switch {
	case b.Samples == 0: // what the system counts is not what was proved
		return fmt.Sprintf("-\t-\t-\t%v\t-\t", b.Cap)
	case b.Total == 0:
		return fmt.Sprintf("never\t%d\t-\t%v\t-\t", b.Samples, b.Cap)
	}
	found := "-"
	if b.Loss <= 1 {
		found = fmt.Sprintf("%.0f %%", math.Round(b.Loss*100))
	}
	var terms []string
	for _, t := range b.Terms {
		if t.Length > 0 {
			terms = append(terms, t.Name+" "+shown(t.Length))
		}
	}
	return fmt.Sprintf("%s\t%d\t%d\t%v\t%s\t%s", shown(b.Total), b.Samples, b.Bad, b.Cap, found, strings.Join(terms, " + "))
}

// shown is a time to the millisecond above it: what is measured, as d_e of a living
// Prometheus, has digits that tell nothing.
func shown(d time.Duration) string {
	return span((d + time.Millisecond - 1).Truncate(time.Millisecond))
}

// cell keeps a name in its cell: control characters are written as escapes.
func cell(name string) string {
	if q := fmt.Sprintf("%q", name); q[1:len(q)-1] != name {
		return q
	}
	return name
}
