package collector

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/onefiveten/onefiveten/promapi"
)

// mostSeries is the largest max_series: each holds a window of its own.
const mostSeries = 100_000

// mostValue is the greatest magnitude that sigma takes.
const mostValue = 1e100

// checkQueries looks at each entry of signals.
func (s Settings) checkQueries(r reporter) {
	first, baselines := map[queryKey]int{}, s.Complete("self").Baselines
	for i, q := range s.Signals {
		at := r.under("signals[%d].", i)
		q.check(at)
		v := slices.IndexFunc(s.Services, func(v Service) bool { return v.Name == q.Service })
		before, double := first[queryKey{q.Service, q.Name}]
		switch {
		case q.Service == "":
			at("service", "no service, want the one that the signal is of")
		case v < 0:
			at("service", fmt.Sprintf("%q is not among the services", q.Service))
		case double:
			at("name", fmt.Sprintf("%q is a signal of service %q already, as signals[%d]", q.Name, q.Service, before))
		default:
			first[queryKey{q.Service, q.Name}] = i
			checkLabels(at, "expr", q.Expr, s.Services[v])
			q.checkTraffic(at, s.Services[v], baselines)
		}
		_, known := baselines[q.Baseline]
		at.unless(q.Baseline == "" || known, "baseline", "%q is not among the baselines", q.Baseline)
	}
}

// check looks at one entry by itself.
func (q Query) check(r reporter) {
	r.unless(q.Name != "" && utf8.ValidString(q.Name), "name", "got %q, want a text in UTF-8", q.Name)
	r.unless(q.Name != availability && q.Name != latency, "name", "%q is a signal of every probe; want another name", q.Name)
	interval, scraped := time.Duration(q.Interval), time.Duration(q.ScrapeInterval)
	r.unless(interval >= time.Second, "interval", "got %s, want 1s or more", q.Interval)
	r.unless(scraped >= 0, "scrape_interval", "got %s, want 1s or more", q.ScrapeInterval)
	r.unless(scraped <= interval, "interval", "got %s, want the scrape_interval of %s or more: the same sample would be judged twice", q.Interval, q.ScrapeInterval)
	r.unless(q.ScrapeTimeout >= 0 && q.ScrapeTakes() <= max(q.Scraped(), 0), "scrape_timeout", "got %s, want 0s to the scrape_interval of %s", q.ScrapeTimeout, model.Duration(q.Scraped()))
	r.unless(utf8.ValidString(q.Unit), "unit", "got %q, want a text in UTF-8", q.Unit)
	r.unless(q.MaxSeries >= 1 && q.MaxSeries <= mostSeries, "max_series", "got %d, want 1 to %d", q.MaxSeries, mostSeries)
	q.Range.check(r.under("range."))
	if _, err := parsed(q.Expr); err != nil {
		r("expr", err.Error())
	}
	if q.Traffic != "" {
		if _, err := parsed(q.Traffic); err != nil {
			r("traffic", err.Error())
		}
	}
}

// check wants numbers between which something lies.
func (g Range) check(r reporter) {
	finite := func(key string, v *float64) bool {
		ok := v == nil || !math.IsNaN(*v) && !math.IsInf(*v, 0)
		r.unless(ok, key, "got %v, want a number; leave it out where there is no end", written(v))
		return ok
	}
	low, high := finite("min", g.Min), finite("max", g.Max)
	if low && high && g.Min != nil && g.Max != nil {
		r.unless(*g.Min < *g.Max, "max", "got %v, want more than the min of %v", *g.Max, *g.Min)
	}
}

// parsed reads an expression, whose value must be one that an instant query answers
// with numbers.
func parsed(text string) (parser.Expr, error) {
	if strings.TrimSpace(text) == "" {
		return nil, errors.New("no expression")
	}
	expr, err := parser.NewParser(parser.Options{}).ParseExpr(text)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", cut(text), err)
	}
	if t := expr.Type(); t != parser.ValueTypeVector && t != parser.ValueTypeScalar {
		return nil, fmt.Errorf("got a %s, want an instant vector or a scalar", parser.DocumentedType(t))
	}
	return expr, nil
}

// Unwise reports what the exporter takes and had better be otherwise: a comparison
// without bool, which has no value wherever it does not hold.
func (q Query) Unwise(report func(path, text string)) {
	expr, err := parsed(q.Expr)
	if err != nil {
		return // it has been told
	}
	c := filter(expr)
	if c == nil {
		return
	}
	value, number := c.LHS, *c
	if value.Type() == parser.ValueTypeScalar {
		value = c.RHS
	}
	number.ReturnBool = true
	report("expr", fmt.Sprintf("it has no value while the comparison does not hold: a signal that is empty while all is well has no baseline when it is not; write the value itself, %s, or what is 0 or 1, %s",
		cut(value.String()), cut(number.String())))
}

// CheckAnswer looks at what the expression of entry i of the signals gives at the
// moment. wrong takes what no other moment mends, unwise what another one may.
func (s Settings) CheckAnswer(i int, points []promapi.Point, wrong, unwise func(path, text string)) {
	entry, bad, odd := s.Signals[i], reporter(wrong), reporter(unwise)
	v := slices.IndexFunc(s.Services, func(v Service) bool { return v.Name == entry.Service })
	if v < 0 {
		return // it has been told
	}
	odd.unless(len(points) > 0, "expr", "it gives no series now: while it does not, the signal has no verdict")
	bad.unless(len(points) <= entry.MaxSeries, "max_series", "got %d series now, want %d at most: aggregate, or raise it", len(points), entry.MaxSeries)
	for _, r := range entry.oddities(s.Services[v].Dimensions, points) {
		switch r.reason {
		case queryLabels:
			bad("expr", r.err.Error())
		case queryRange:
			odd("range", r.err.Error())
		default:
			odd("expr", r.err.Error())
		}
	}
}

// oddities gives the first of each kind: of labels, of a value that is no number, of
// one outside of the range.
func (q Query) oddities(dimensions []string, points []promapi.Point) (all refusals) {
	entry := query{service: q.Service, dimensions: dimensions}
	low, high := q.Range.Sigma()
	seen := map[string]bool{}
	for _, p := range points {
		_, key, err := entry.dimensionsOf(p.Labels)
		switch {
		case err != nil:
			all.add(queryLabels, err)
			continue
		case seen[key]:
			all.add(queryLabels, fmt.Errorf("got two series of {%s}: aggregate by service and the dimensions %v", key, dimensions))
		case !(math.Abs(p.Value) <= mostValue):
			all.add(queryNumber, fmt.Errorf("got the value %v for {%s} now: while it is no number, the series has no verdict", p.Value, key))
		case low < high && (p.Value < low || p.Value > high):
			all.add(queryRange, fmt.Errorf("got the value %v for {%s} now, want %v to %v: is the range right?", p.Value, key, low, high))
		}
		seen[key] = true
	}
	return all
}

// filter gives the outermost comparison where it drops what it does not hold for,
// nil where there is none.
func filter(expr parser.Expr) *parser.BinaryExpr {
	switch e := expr.(type) {
	case *parser.ParenExpr:
		return filter(e.Expr)
	case *parser.UnaryExpr:
		return filter(e.Expr)
	case *parser.BinaryExpr:
		if e.Op.IsComparisonOperator() && !e.ReturnBool {
			return e
		}
	}
	return nil
}

// checkLabels refuses an aggregation that leaves labels which no series of the
// service may carry: each answer would be refused.
func checkLabels(r reporter, key, text string, v Service) {
	expr, err := parsed(text)
	if err != nil {
		return // it has been told
	}
	var extra []string
	for _, name := range kept(expr) {
		if name != "service" && !slices.Contains(v.Dimensions, name) {
			extra = append(extra, name)
		}
	}
	r.unless(len(extra) == 0, key, "it leaves the labels %s, want service and the dimensions of the service alone: %s",
		strings.Join(extra, ", "), strings.Join(v.Dimensions, ", "))
}

// kept gives the labels that the outermost aggregation keeps, as far as it says
// so: topk and its like keep those of their argument.
func kept(expr parser.Expr) []string {
	switch e := expr.(type) {
	case *parser.ParenExpr:
		return kept(e.Expr)
	case *parser.UnaryExpr:
		return kept(e.Expr)
	case *parser.BinaryExpr:
		if e.LHS.Type() == parser.ValueTypeScalar {
			return kept(e.RHS)
		} else if e.RHS.Type() == parser.ValueTypeScalar {
			return kept(e.LHS)
		}
	case *parser.AggregateExpr:
		if e.Without || slices.Contains([]parser.ItemType{parser.TOPK, parser.BOTTOMK, parser.LIMITK, parser.LIMIT_RATIO}, e.Op) {
			return nil
		}
		if name, ok := e.Param.(*parser.StringLiteral); ok && e.Op == parser.COUNT_VALUES {
			return append(slices.Clone(e.Grouping), name.Val)
		}
		return e.Grouping
	}
	return nil
}

// queryOf gives the entry of signals that a signal of a service is, and false for
// one that probes give.
func (s Settings) queryOf(service, signal string) (Query, bool) {
	i := slices.IndexFunc(s.Signals, func(q Query) bool { return q.Service == service && q.Name == signal })
	if i < 0 || signal == availability || signal == latency {
		return Query{}, false
	}
	return s.Signals[i], true
}
