package lint

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/prometheus/promql/parser"
)

// window is a range over samples that lie a known distance apart. aligned says that
// its ends lie on samples whenever both lengths are multiples of the distance;
// else they do in unit tests, and elsewhere by chance.
type window struct {
	node                  parser.Node
	length, offset, apart time.Duration
	aligned               bool
	name                  string // of what is read
}

// windows tells of ranges that end on a sample: Prometheus 2 counts it, Prometheus
// 3 does not. Where only the slope between samples matters nobody can tell.
func (l *linter) windows(r *rule) {
	parser.Inspect(r.expr, func(n parser.Node, _ []parser.Node) error {
		c, ok := n.(*parser.Call)
		if !ok {
			return nil
		}
		i := slices.IndexFunc(c.Args, func(a parser.Expr) bool { return a.Type() == parser.ValueTypeMatrix })
		if i < 0 {
			return nil
		}
		w, ok := l.window(r, c.Args[i])
		if !ok || (w.length+w.offset)%w.apart != 0 {
			return nil
		}
		severity, when := Warning, ", in unit tests always and elsewhere by chance"
		if w.aligned {
			severity, when = Error, ""
		}
		held := int64((w.length+w.offset)/w.apart - (w.offset+w.apart-1)/w.apart)
		switch {
		case held < 2 && slope(c.Func.Name):
			l.tell(r, r.at(w.node), RangeEdge, severity, "%s of %s reads samples of %s that are %s apart: Prometheus 3 finds %d of them and needs two%s; want %s or more",
				c.Func.Name, span(w.length), w.name, span(w.apart), held, when, span(2*w.apart))
		case w.counted(c.Func.Name):
			l.tell(r, r.at(w.node), RangeEdge, severity, "%s of %s ends on a sample of %s, which are %s apart: Prometheus 3 holds %d of them, Prometheus 2 %d%s; want %s",
				c.Func.Name, span(w.length), w.name, span(w.apart), held, held+1, when, span(w.length-min(500*time.Millisecond, w.apart/2)))
		}
		return nil
	})
}

// counted says that one sample more shows in what a function gives. The steps of a
// subquery meet the end of its range in unit tests alone, and so they are told where
// the result grows with their number.
func (w window) counted(function string) bool {
	if _, sub := w.node.(*parser.SubqueryExpr); sub {
		return function == "count_over_time" || function == "sum_over_time"
	}
	return strings.HasSuffix(function, "_over_time") || function == "changes" || function == "resets"
}

// slope says that a function reckons between two samples at least.
func slope(function string) bool {
	return slices.Contains([]string{"rate", "irate", "increase", "delta", "idelta", "deriv", "predict_linear"}, function)
}

// window is a range whose samples lie a known distance apart.
func (l *linter) window(r *rule, e parser.Expr) (window, bool) {
	switch e := bare(e).(type) {
	case *parser.MatrixSelector:
		v := e.VectorSelector.(*parser.VectorSelector) // the parser makes no other
		apart, aligned := l.distance(r, v)
		w := window{e, e.Range, v.OriginalOffset, apart, aligned, cmp.Or(v.Name, shown(v))}
		return w, w.known(e.RangeExpr, v.OriginalOffsetExpr) && v.Timestamp == nil && v.StartOrEnd == 0
	case *parser.SubqueryExpr:
		w := window{e, e.Range, e.OriginalOffset, cmp.Or(e.Step, l.options.Evaluation), false, "the subquery"}
		return w, w.known(e.RangeExpr, e.StepExpr, e.OriginalOffsetExpr) && e.Timestamp == nil && e.StartOrEnd == 0
	}
	return window{}, false
}

// known says that nothing of it is reckoned at evaluation time.
func (w window) known(reckoned ...*parser.DurationExpr) bool {
	return w.apart > 0 && w.length > 0 && !slices.ContainsFunc(reckoned, func(d *parser.DurationExpr) bool { return d != nil })
}
