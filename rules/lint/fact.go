package lint

import (
	"math"
	"strings"

	"github.com/prometheus/prometheus/promql/parser"
)

// fact is what is known of every value of an expression, NaN aside.
type fact struct{ nonneg, nonzero bool }

// positive says that all values are above 0.
func (f fact) positive() bool { return f.nonneg && f.nonzero }

// both is what is known of a value that is one or the other.
func both(f, g fact) fact { return fact{f.nonneg && g.nonneg, f.nonzero && g.nonzero} }

// summed is what is known of a sum or a mean of such values. Where signs differ they
// may cancel, so nonzero alone says nothing of it.
func summed(f fact) fact { return fact{f.nonneg, f.positive()} }

// constantFact is what is known of a number.
func constantFact(c float64) fact { return fact{c >= 0, c != 0 && !math.IsNaN(c)} }

// bare is an expression without the parentheses around it.
func bare(e parser.Expr) parser.Expr {
	for {
		switch p := e.(type) {
		case *parser.ParenExpr:
			e = p.Expr
		case *parser.StepInvariantExpr:
			e = p.Expr
		default:
			return e
		}
	}
}

// same says that two expressions are written alike.
func same(a, b parser.Expr) bool { return bare(a).String() == bare(b).String() }

// constant is the value of an expression of numbers alone.
func constant(e parser.Expr) (float64, bool) {
	switch e := bare(e).(type) {
	case *parser.NumberLiteral:
		return e.Val, true
	case *parser.UnaryExpr:
		c, ok := constant(e.Expr)
		if e.Op == parser.SUB {
			c = -c
		}
		return c, ok
	case *parser.BinaryExpr:
		a, ok := constant(e.LHS)
		b, also := constant(e.RHS)
		if !ok || !also {
			return 0, false
		}
		return calculated(e.Op, a, b)
	}
	return 0, false
}

// calculated is the result of the operators that thresholds are written with.
func calculated(op parser.ItemType, a, b float64) (float64, bool) {
	switch op {
	case parser.ADD:
		return a + b, true
	case parser.SUB:
		return a - b, true
	case parser.MUL:
		return a * b, true
	case parser.DIV:
		return a / b, true
	case parser.POW:
		return math.Pow(a, b), true
	}
	return 0, false
}

// known gives what is known of the values of an expression. Series that no rule
// here records are taken to be counts, sizes and the like, never below 0. Else every
// "x + 1", which people write so that a denominator is not 0, would be a finding.
func (l *linter) known(e parser.Expr) fact {
	e = bare(e)
	f, ok := l.facts[e]
	if !ok {
		l.facts[e] = fact{} // a record that reads itself tells nothing of itself
		f = l.look(e)
		l.facts[e] = f
	}
	return f
}

// look is known of an expression that was not looked at before.
func (l *linter) look(e parser.Expr) fact {
	if c, ok := constant(e); ok {
		return constantFact(c)
	}
	switch e := e.(type) {
	case *parser.UnaryExpr:
		f := l.known(e.Expr)
		return fact{f.nonneg && e.Op == parser.ADD, f.nonzero}
	case *parser.AggregateExpr:
		return l.knownAggregate(e)
	case *parser.BinaryExpr:
		return l.knownBinary(e)
	case *parser.Call:
		return l.knownCall(e)
	case *parser.SubqueryExpr:
		return l.known(e.Expr)
	case *parser.MatrixSelector:
		return l.known(e.VectorSelector)
	case *parser.VectorSelector:
		return l.knownSeries(e)
	}
	return fact{}
}

// knownSeries is what is known of recorded series by their expressions, and of
// information by its name: its value is 1.
func (l *linter) knownSeries(v *parser.VectorSelector) fact {
	records := l.sources(v, false)
	if len(records) == 0 {
		return fact{true, strings.HasSuffix(v.Name, "_info")}
	}
	f := fact{true, true}
	for _, r := range records {
		if r.expr == nil {
			return fact{}
		}
		f = both(f, l.known(r.expr))
	}
	return f
}

// knownAggregate is what is known of an aggregation. A group that is there has one
// series at least, so a count of it is never 0.
func (l *linter) knownAggregate(e *parser.AggregateExpr) fact {
	f := l.known(e.Expr)
	switch e.Op {
	case parser.COUNT, parser.GROUP, parser.COUNT_VALUES:
		return fact{true, true}
	case parser.SUM, parser.AVG, parser.QUANTILE:
		return summed(f)
	case parser.STDDEV, parser.STDVAR:
		return fact{nonneg: true}
	}
	return f // of min, max, topk and the like one of the values itself
}

// knownBinary is what is known of an operator of two. A result of "and" or "unless" is
// a value of the left side.
func (l *linter) knownBinary(e *parser.BinaryExpr) fact {
	a, b := l.known(e.LHS), l.known(e.RHS)
	switch {
	case e.ReturnBool:
		return fact{nonneg: true}
	case e.Op.IsComparisonOperator():
		return l.compared(e, a, b)
	case e.Op == parser.LAND, e.Op == parser.LUNLESS:
		a.nonzero = a.nonzero || l.guards(e, e.LHS)
		return a
	}
	f := reckoned(e.Op, a, b)
	if core, plus := shifted(e); core != parser.Expr(e) && l.least(core).plus(plus).positive() {
		return fact{true, true}
	}
	return f
}

// reckoned is what is known of a and b with an operator between them. Of "or" each
// value is one of either side.
func reckoned(op parser.ItemType, a, b fact) fact {
	switch op {
	case parser.ADD:
		nonneg := a.nonneg && b.nonneg
		return fact{nonneg, nonneg && (a.nonzero || b.nonzero)}
	case parser.MUL, parser.LOR:
		return both(a, b)
	case parser.DIV:
		return fact{a.nonneg && b.nonneg, a.nonzero}
	case parser.POW:
		return a
	case parser.MOD:
		return fact{nonneg: a.nonneg}
	}
	return fact{}
}

// compared is what is known of the values that a comparison lets through: those on
// the left, or of a scalar on the left those on the right.
func (l *linter) compared(e *parser.BinaryExpr, a, b fact) fact {
	op, limit := e.Op, e.RHS
	if e.LHS.Type() == parser.ValueTypeScalar {
		a, b, op, limit = b, a, flipped(op), e.LHS
	}
	switch op {
	case parser.GTR:
		return fact{a.nonneg || b.nonneg, a.nonzero || b.nonneg}
	case parser.GTE, parser.EQLC:
		return fact{a.nonneg || b.nonneg, a.nonzero || b.positive()}
	}
	if c, fixed := constant(limit); fixed && leavesOut(op, c) {
		a.nonzero = true
	}
	return a
}

// leavesOut says that no value that compares so with c is 0.
func leavesOut(op parser.ItemType, c float64) bool {
	switch op {
	case parser.NEQ:
		return c == 0
	case parser.LSS:
		return c <= 0
	}
	return op == parser.LTE && c < 0
}

// flipped is the comparison with its sides exchanged.
func flipped(op parser.ItemType) parser.ItemType {
	switch op {
	case parser.GTR:
		return parser.LSS
	case parser.LSS:
		return parser.GTR
	case parser.GTE:
		return parser.LTE
	case parser.LTE:
		return parser.GTE
	}
	return op
}

// guards says that a set operation lets no value of d through that is 0: d > 0 on
// the right of "and", d == 0 on the right of "unless".
func (l *linter) guards(e *parser.BinaryExpr, d parser.Expr) bool {
	if e.Op == parser.LUNLESS {
		c, ok := bare(e.RHS).(*parser.BinaryExpr)
		if !ok || c.Op != parser.EQLC && c.Op != parser.LTE || c.ReturnBool || !same(c.LHS, d) {
			return false
		}
		limit, fixed := constant(c.RHS)
		return fixed && limit == 0
	}
	return e.Op == parser.LAND && l.ensures(e.RHS, d)
}

// ensures says that where a condition holds d is not 0.
func (l *linter) ensures(condition, d parser.Expr) bool {
	c, ok := bare(condition).(*parser.BinaryExpr)
	switch {
	case !ok:
		return false
	case c.Op == parser.LAND:
		return l.ensures(c.LHS, d) || l.ensures(c.RHS, d)
	case !c.Op.IsComparisonOperator() || c.ReturnBool:
		return false
	case same(c.LHS, d) || c.LHS.Type() == parser.ValueTypeScalar && same(c.RHS, d):
		return l.known(c).nonzero
	}
	return l.ensuresShifted(c, d)
}

// ensuresShifted is ensures of a comparison of what d adds a number to: count(x) - 1
// is not 0 where count(x) >= 2, nor where count(x) != 1.
func (l *linter) ensuresShifted(c *parser.BinaryExpr, d parser.Expr) bool {
	core, plus := shifted(d)
	if limit, fixed := constant(c.RHS); fixed && limit == -plus && c.Op == parser.NEQ {
		return same(c.LHS, core)
	}
	return compares(c, core) && l.least(c).plus(plus).positive()
}

// compares says that what a chain of comparisons lets through are values of e.
func compares(c *parser.BinaryExpr, e parser.Expr) bool {
	for c.Op.IsComparisonOperator() && !c.ReturnBool {
		if same(c.LHS, e) {
			return true
		}
		inner, ok := bare(c.LHS).(*parser.BinaryExpr)
		if !ok {
			return false
		}
		c = inner
	}
	return false
}

// shifted is an expression as another one and a number that is added to it.
func shifted(e parser.Expr) (core parser.Expr, plus float64) {
	core = bare(e)
	for {
		b, ok := core.(*parser.BinaryExpr)
		if !ok || b.Op != parser.ADD && b.Op != parser.SUB {
			return core, plus
		}
		c, fixed := constant(b.RHS)
		if !fixed {
			return core, plus
		}
		if b.Op == parser.SUB {
			c = -c
		}
		core, plus = bare(b.LHS), plus+c
	}
}

// floor is a bound of values from below, which they may reach unless it is strict.
type floor struct {
	value  float64
	strict bool
}

// plus is the floor of values that a number is added to.
func (f floor) plus(c float64) floor { return floor{f.value + c, f.strict} }

// positive says that all values from the floor on are above 0.
func (f floor) positive() bool { return f.value > 0 || f.value == 0 && f.strict }

// least is the floor of an expression's values.
func (l *linter) least(e parser.Expr) floor {
	core, plus := shifted(e)
	f := floor{value: math.Inf(-1)}
	if known := l.known(core); known.nonneg {
		f = floor{0, known.nonzero}
	}
	switch x := core.(type) {
	case *parser.AggregateExpr:
		if x.Op == parser.COUNT {
			f = floor{value: 1}
		}
	case *parser.BinaryExpr:
		f = l.leastOf(x, f)
	}
	return f.plus(plus)
}

// leastOf is the floor of an operator of two, f what is known of it without. What
// lets values of its left side through has the floor of that side.
func (l *linter) leastOf(x *parser.BinaryExpr, f floor) floor {
	if x.ReturnBool || !x.Op.IsComparisonOperator() && x.Op != parser.LAND && x.Op != parser.LUNLESS {
		return f
	}
	f = higher(f, l.least(x.LHS))
	c, fixed := constant(x.RHS)
	if !fixed {
		return f
	}
	switch x.Op {
	case parser.GTR:
		f = higher(f, floor{c, true})
	case parser.GTE, parser.EQLC:
		f = higher(f, floor{c, false})
	}
	return f
}

// higher is the one of two floors that tells more.
func higher(f, g floor) floor {
	if g.value > f.value || g.value == f.value && g.strict {
		return g
	}
	return f
}

// knownCall is what is known of what a function gives.
func (l *linter) knownCall(e *parser.Call) fact {
	var f fact
	if len(e.Args) > 0 {
		f = l.known(e.Args[0])
	}
	switch e.Func.Name {
	case "time", "timestamp", "year", "month", "day_of_month", "day_of_year", "days_in_month", "pi", "exp",
		"count_over_time", "present_over_time", "absent", "absent_over_time":
		return fact{true, true}
	case "vector", "scalar", "label_replace", "label_join", "sort", "sort_desc", "sqrt",
		"last_over_time", "first_over_time", "min_over_time", "max_over_time":
		return f
	case "abs":
		return fact{true, f.nonzero}
	case "sum_over_time", "avg_over_time", "quantile_over_time", "ceil":
		return summed(f)
	case "clamp_min", "clamp":
		g := l.known(e.Args[1])
		return fact{f.nonneg || g.nonneg, f.positive() || g.positive()}
	case "clamp_max":
		g := l.known(e.Args[1])
		return both(f, fact{g.nonneg, g.positive() && f.positive()})
	case "rate", "increase", "irate", "changes", "resets", "stddev_over_time", "stdvar_over_time", "floor", "round",
		"hour", "minute", "day_of_week", "histogram_count", "histogram_quantile":
		return fact{nonneg: true}
	}
	return fact{}
}
