package lint

import (
	"github.com/prometheus/prometheus/promql/parser"
)

// fate is what becomes of a quotient whose denominator is 0.
type fate int

const (
	kept     fate = iota // NaN and infinity are a result of the rule
	gone                 // neither is
	infinite             // a comparison drops NaN, and infinity passes it
	poisons              // NaN makes a sum or mean of others NaN
)

// divisions tells of quotients whose denominator may be 0 where that shows.
func (l *linter) divisions(r *rule) {
	parser.Inspect(r.expr, func(n parser.Node, path []parser.Node) error {
		q, ok := n.(*parser.BinaryExpr)
		if !ok || q.Op != parser.DIV && q.Op != parser.MOD || l.known(q.RHS).nonzero {
			return nil
		}
		line := r.at(q.RHS)
		if c, fixed := constant(q.RHS); fixed {
			l.tell(r, line, Division, Error, "division by %v", c)
			return nil
		}
		d := shown(q.RHS)
		switch fate, by := l.fate(q, path); fate {
		case poisons:
			l.tell(r, line, Division, Error, "%s may be 0, and one NaN makes all of %s NaN: want (%s > 0)", d, by, d)
		case infinite:
			l.tell(r, line, Division, Warning, "%s may be 0, and what is not 0 divided by it is infinite, which passes the comparison: want (%s > 0)", d, d)
		case kept:
			l.tell(r, line, Division, Warning, "%s may be 0, and the result NaN or infinite: want (%s > 0), or clamp_min", d, d)
		}
		return nil
	})
}

// shown is an expression in the text of a finding, cut where it is long.
func shown(e parser.Expr) string {
	const most = 60
	text := []rune(bare(e).String())
	if len(text) > most {
		return string(text[:most]) + "…"
	}
	return string(text)
}

// way follows a quotient outwards, through what is made of it. sign is -1 while a
// greater quotient makes the value smaller, and endless says that the value may be
// infinite. passed is set behind a comparison that infinity passes: NaN is gone
// there. replaced says that such a comparison gave another value, that of its other
// side, or 0 or 1: only "and" and "unless" can still drop it then.
type way struct {
	linter           *linter
	denominator      parser.Expr
	sign             int
	endless          bool
	passed, replaced bool
}

// fate follows a quotient through what stands around it, the innermost first.
func (l *linter) fate(q *parser.BinaryExpr, path []parser.Node) (fate, string) {
	w := &way{linter: l, denominator: q.RHS, sign: 1, endless: q.Op == parser.DIV && !share(q.LHS, q.RHS)}
	var child parser.Node = q
	for i := len(path) - 1; i >= 0; i-- {
		switch end, by, ended := w.through(path[i], child); {
		case !ended:
		case w.passed && end != gone:
			return infinite, ""
		default:
			return end, by
		}
		child = path[i]
	}
	if w.passed {
		return infinite, ""
	}
	return kept, ""
}

// through is one step: the fate, if it is decided there.
func (w *way) through(p, child parser.Node) (fate, string, bool) {
	switch p := p.(type) {
	case *parser.UnaryExpr:
		if p.Op == parser.SUB {
			w.sign = -w.sign
		}
	case *parser.AggregateExpr:
		switch p.Op {
		case parser.COUNT, parser.GROUP:
			return gone, "", !w.passed
		case parser.SUM, parser.AVG, parser.STDDEV, parser.STDVAR:
			return poisons, p.Op.String(), true
		}
	case *parser.Call:
		switch p.Func.Name {
		case "absent", "timestamp", "count_over_time", "present_over_time", "absent_over_time":
			return gone, "", !w.passed
		case "sum_over_time", "avg_over_time", "stddev_over_time", "stdvar_over_time":
			return poisons, p.Func.Name, true
		}
	case *parser.BinaryExpr:
		end, ended := w.beside(p, p.LHS == child)
		return end, "", ended
	}
	return kept, "", false
}

// beside is a step through an operator of two.
func (w *way) beside(p *parser.BinaryExpr, left bool) (fate, bool) {
	switch {
	case p.Op == parser.LAND, p.Op == parser.LUNLESS:
		// On the right only that it is there counts.
		return gone, !left && !w.passed || left && w.linter.guards(p, w.denominator)
	case w.replaced:
	case p.Op.IsComparisonOperator():
		return w.compared(p, left)
	case p.Op == parser.SUB && !left:
		w.sign = -w.sign
	case p.Op == parser.MUL, p.Op == parser.DIV:
		w.scaled(p, left)
	}
	return kept, false
}

// scaled is a step through a product or another quotient.
func (w *way) scaled(p *parser.BinaryExpr, left bool) {
	other := p.RHS
	if !left {
		other = p.LHS
		w.endless = w.endless && p.Op == parser.MUL // c / infinity is 0
	}
	if c, ok := constant(other); ok && c < 0 {
		w.sign = -w.sign
	}
}

// compared is a step through a comparison. NaN passes none but that for a
// difference.
func (w *way) compared(p *parser.BinaryExpr, left bool) (fate, bool) {
	switch p.Op {
	case parser.NEQ:
		return kept, true
	case parser.EQLC:
		return gone, true
	}
	greater := p.Op == parser.GTR || p.Op == parser.GTE
	if !w.endless || (w.sign > 0) != (greater == left) {
		return gone, true
	}
	w.passed = true
	w.replaced = !left || p.ReturnBool
	return kept, false
}
