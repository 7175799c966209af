package lint

import (
	"slices"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// share says that a counts a part of what b counts, so that a is 0 wherever b is:
// the same series, but for more matchers of a, in the same functions, or rates of two
// counters of one exporter. Their quotient may be NaN and is never infinite.
func share(a, b parser.Expr) bool {
	a, b = bare(a), bare(b)
	if n, ok := a.(*parser.BinaryExpr); ok {
		return shareOfBoth(n, b)
	}
	switch d := b.(type) {
	case *parser.BinaryExpr: // hits / (hits + misses)
		return d.Op == parser.ADD && (share(a, d.LHS) || share(a, d.RHS)) || d.Op == parser.LOR && share(a, d.LHS)
	case *parser.VectorSelector:
		n, ok := a.(*parser.VectorSelector)
		return ok && shareOfSeries(n, d)
	}
	return shareOfSame(a, b)
}

// shareOfSame is share of the same aggregation, function or range of two.
func shareOfSame(a, b parser.Expr) bool {
	switch d := b.(type) {
	case *parser.AggregateExpr:
		n, ok := a.(*parser.AggregateExpr)
		return ok && n.Op == d.Op && slices.Contains([]parser.ItemType{parser.SUM, parser.COUNT, parser.MAX}, d.Op) && share(n.Expr, d.Expr)
	case *parser.Call:
		n, ok := a.(*parser.Call)
		return ok && n.Func == d.Func && len(n.Args) == 1 && shareOfCall(n.Func.Name, n.Args[0], d.Args[0])
	case *parser.MatrixSelector:
		n, ok := a.(*parser.MatrixSelector)
		return ok && n.Range == d.Range && share(n.VectorSelector, d.VectorSelector)
	}
	return false
}

// shareOfBoth is share of an expression of two: each of a sum, the greater one of a
// difference, and a part times a number.
func shareOfBoth(n *parser.BinaryExpr, b parser.Expr) bool {
	_, left := constant(n.LHS)
	_, right := constant(n.RHS)
	switch n.Op {
	case parser.ADD:
		return share(n.LHS, b) && share(n.RHS, b)
	case parser.SUB, parser.LAND, parser.LUNLESS:
		return share(n.LHS, b)
	case parser.MUL:
		return left && share(n.RHS, b) || right && share(n.LHS, b)
	case parser.DIV:
		return right && share(n.LHS, b)
	}
	return n.String() == b.String()
}

// shareOfCall is share of the same function of two arguments.
func shareOfCall(function string, a, b parser.Expr) bool {
	return counts(function) && share(a, b) || increases(function) && related(a, b)
}

// counts says that a function of less gives no more.
func counts(function string) bool {
	return slices.Contains([]string{"rate", "increase", "irate", "sum_over_time", "count_over_time", "max_over_time", "last_over_time"}, function)
}

// increases says that a function tells what happened within a range.
func increases(function string) bool { return function == "rate" || function == "increase" }

// related says that two ranges are of counters of one exporter, by the first word of
// their names, and equally long: of errors_total and requests_total both stand still
// while nothing happens.
func related(a, b parser.Expr) bool {
	n, ok := bare(a).(*parser.MatrixSelector)
	d, also := bare(b).(*parser.MatrixSelector)
	if !ok || !also || n.Range != d.Range {
		return false
	}
	first, _, long := strings.Cut(n.VectorSelector.(*parser.VectorSelector).Name, "_")
	second, _, longToo := strings.Cut(d.VectorSelector.(*parser.VectorSelector).Name, "_")
	return long && longToo && first == second
}

// shareOfSeries compares selectors. The parts of a histogram or summary are 0
// together.
func shareOfSeries(n, d *parser.VectorSelector) bool {
	if n.OriginalOffset != d.OriginalOffset || family(n.Name) != family(d.Name) {
		return false
	}
	for _, m := range d.LabelMatchers {
		if m.Name != model.MetricNameLabel && !slices.ContainsFunc(n.LabelMatchers, func(o *labels.Matcher) bool { return o.String() == m.String() }) {
			return false
		}
	}
	return true
}

// family is the name of a histogram or summary, of which a series is a part.
func family(name string) string {
	for _, part := range []string{"_bucket", "_count", "_sum"} {
		if whole, ok := strings.CutSuffix(name, part); ok {
			return whole
		}
	}
	return name
}
