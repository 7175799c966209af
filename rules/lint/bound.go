package lint

import (
	"math"

	"github.com/prometheus/prometheus/promql/parser"
)

// linear is a sum of atoms, by their text, each times a number, and a constant.
type linear struct {
	of map[string]float64
	c  float64
}

// plus adds k times another sum.
func (s linear) plus(o linear, k float64) linear {
	sum := linear{map[string]float64{}, s.c + k*o.c}
	for name, v := range s.of {
		sum.of[name] += v
	}
	for name, v := range o.of {
		sum.of[name] += k * v
	}
	return sum
}

// spread is a standard deviation in an expression, with the mean of the same values
// and the value that both hold.
type spread struct {
	node        parser.Expr
	mean, value string
	window      parser.Expr // nil where it is over a group of series
}

// flat writes an expression as a sum. What is no sum is an atom; spreads gathers
// the standard deviations among them.
func flat(e parser.Expr, spreads map[string]spread) linear {
	if c, ok := constant(e); ok {
		return linear{c: c}
	}
	e = bare(e)
	switch x := e.(type) {
	case *parser.UnaryExpr:
		if x.Op == parser.SUB {
			return linear{}.plus(flat(x.Expr, spreads), -1)
		}
		return flat(x.Expr, spreads)
	case *parser.BinaryExpr:
		if sum, ok := flatBoth(x, spreads); ok {
			return sum
		}
	case *parser.Call:
		// A floor only makes the threshold wider.
		if inner, ok := spreadOf(x.Args); ok && x.Func.Name == "clamp_min" {
			spreads[inner.node.String()] = inner
			return linear{of: map[string]float64{inner.node.String(): 1}}
		}
	}
	if s, ok := spreadOf(parser.Expressions{e}); ok {
		spreads[e.String()] = s
	}
	return linear{of: map[string]float64{e.String(): 1}}
}

// flatBoth is flat of two with an operator between them, if that gives a sum.
func flatBoth(x *parser.BinaryExpr, spreads map[string]spread) (linear, bool) {
	left, isLeft := constant(x.LHS)
	right, isRight := constant(x.RHS)
	switch {
	case x.Op == parser.ADD:
		return flat(x.LHS, spreads).plus(flat(x.RHS, spreads), 1), true
	case x.Op == parser.SUB:
		return flat(x.LHS, spreads).plus(flat(x.RHS, spreads), -1), true
	case x.Op == parser.MUL && isLeft:
		return linear{}.plus(flat(x.RHS, spreads), left), true
	case x.Op == parser.MUL && isRight:
		return linear{}.plus(flat(x.LHS, spreads), right), true
	case x.Op == parser.DIV && isRight && right != 0:
		return linear{}.plus(flat(x.LHS, spreads), 1/right), true
	}
	return linear{}, false
}

// spreadOf recognises stddev_over_time and stddev in the first of some expressions.
func spreadOf(args parser.Expressions) (spread, bool) {
	if len(args) == 0 {
		return spread{}, false
	}
	switch e := bare(args[0]).(type) {
	case *parser.AggregateExpr:
		if e.Op != parser.STDDEV {
			break
		}
		mean := *e
		mean.Op = parser.AVG
		return spread{e, mean.String(), bare(e.Expr).String(), nil}, true
	case *parser.Call:
		if e.Func.Name != "stddev_over_time" {
			break
		}
		s := spread{e, "avg_over_time(" + e.Args[0].String() + ")", "", bare(e.Args[0])}
		switch m := bare(e.Args[0]).(type) {
		case *parser.MatrixSelector:
			s.value = m.VectorSelector.String()
		case *parser.SubqueryExpr:
			s.value = bare(m.Expr).String()
		}
		return s, s.value != ""
	}
	return spread{}, false
}

// bounds tells of thresholds that no sample can pass, because it is one of those
// that the threshold is made of.
func (l *linter) bounds(r *rule) {
	parser.Inspect(r.expr, func(n parser.Node, _ []parser.Node) error {
		if c, ok := n.(*parser.BinaryExpr); ok && c.Op.IsComparisonOperator() {
			l.bound(r, c)
		}
		return nil
	})
}

// bound judges one comparison, brought into the form a·(x − mean) > k·σ. Of n
// values none is more than √(n−1) population standard deviations off their mean
// (Thompson 1935; Samuelson 1968), and that is what PromQL's stddev is.
func (l *linter) bound(r *rule, c *parser.BinaryExpr) {
	op, more, less := c.Op, c.LHS, c.RHS
	if op == parser.LSS || op == parser.LTE {
		op, more, less = flipped(op), less, more
	}
	if op != parser.GTR && op != parser.GTE {
		return
	}
	spreads := map[string]spread{}
	sum := excess(more, less, spreads)
	for name, s := range spreads {
		switch k, ok := sum.k(name, s); {
		case !ok:
		case s.window != nil:
			l.boundOfWindow(r, s, k, op == parser.GTE)
		case k > 1 && k < 1000:
			l.tell(r, r.at(s.node), KBound, Warning, "of n series none is more than sqrt(n-1) standard deviations off: k = %.4g needs groups of %.0f or more, and in smaller ones it never fires",
				k, math.Floor(k*k+1)+1)
		}
	}
}

// boundOfWindow judges a window by the most samples that it can hold. equal says that
// a sample that is k off is enough.
func (l *linter) boundOfWindow(r *rule, s spread, k float64, equal bool) {
	w, ok := l.window(r, s.window)
	if _, sub := s.window.(*parser.SubqueryExpr); !ok || sub && w.offset != 0 {
		return // the judged sample is not among them
	}
	most := float64(w.length/w.apart) + 1
	if k*k > most-1 || k*k == most-1 && !equal {
		l.tell(r, r.at(s.node), KBound, Error, "%s at %s holds %.0f samples at most, of which none is more than sqrt(n-1) = %.4g standard deviations off: with k = %.4g it can never fire; want a longer range or an offset, which leaves the judged sample out",
			span(w.length), span(w.apart), most, math.Sqrt(most-1), k)
	}
}

// excess is how far one side is above the other. A score, which is divided by its
// standard deviation, is multiplied by it; of an absolute value one side is enough.
func excess(more, less parser.Expr, spreads map[string]spread) linear {
	more = bare(more)
	k, fixed := constant(less)
	if q, ok := more.(*parser.BinaryExpr); ok && q.Op == parser.DIV && fixed {
		if _, ok := constant(q.RHS); !ok {
			return flat(side(q.LHS), spreads).plus(flat(q.RHS, spreads), -k)
		}
	}
	if inner := side(more); inner != more && fixed {
		if q, ok := inner.(*parser.BinaryExpr); ok {
			return excess(q, less, spreads)
		}
	}
	return flat(side(more), spreads).plus(flat(less, spreads), -1)
}

// side is what an absolute value is of, or the expression itself.
func side(e parser.Expr) parser.Expr {
	e = bare(e)
	if c, ok := e.(*parser.Call); ok && c.Func.Name == "abs" {
		return bare(c.Args[0])
	}
	return e
}

// k is how many standard deviations the value must be off its mean for the sum to
// be above 0; a constant that helps it is another question.
func (s linear) k(name string, of spread) (float64, bool) {
	value := s.of[of.value]
	if len(s.of) != 3 || value == 0 || s.of[of.mean] != -value || s.c > 0 {
		return 0, false
	}
	k := -s.of[name] / math.Abs(value)
	return k, k > 0
}
