package lint

import "github.com/prometheus/prometheus/promql/parser"

// comparison tells of an alert that fires whatever the values are. One that reads
// nothing at all, such as vector(1), means to.
func (l *linter) comparison(r *rule) {
	if r.record || len(reads(r.expr)) == 0 || l.filtered(r.expr) {
		return
	}
	if v, ok := bare(r.expr).(*parser.VectorSelector); ok {
		if records := l.sources(v, false); len(records) > 0 {
			l.tell(r, r.at(v), Comparison, Error, "fires for every series of %s, whatever its value: %s records a value that is always there; want a comparison such as == 1 or > 0",
				v.Name, records[0].place())
			return
		}
	}
	l.tell(r, r.at(r.expr), Comparison, Warning, "no comparison can make the expression empty: it fires as long as the series are there, whatever their values; want one such as == 1 or > 0")
}

// filtered says that an expression may have no result because of the values that
// it reads, or because of what is absent. A recorded series may where the
// expression that records it may.
func (l *linter) filtered(e parser.Expr) bool {
	switch e := bare(e).(type) {
	case *parser.UnaryExpr:
		return l.filtered(e.Expr)
	case *parser.AggregateExpr:
		return l.filtered(e.Expr)
	case *parser.SubqueryExpr:
		return l.filtered(e.Expr)
	case *parser.MatrixSelector:
		return l.filtered(e.VectorSelector)
	case *parser.Call:
		return l.filteredCall(e)
	case *parser.BinaryExpr:
		return l.filteredBinary(e)
	case *parser.VectorSelector:
		return l.filteredSeries(e)
	}
	return false
}

// filteredCall is filtered of a function: it has no result where an argument has none.
func (l *linter) filteredCall(e *parser.Call) bool {
	switch e.Func.Name {
	case "absent", "absent_over_time":
		return true
	case "scalar": // always there
		return false
	}
	for _, a := range e.Args {
		if l.filtered(a) {
			return true
		}
	}
	return false
}

// filteredBinary is filtered of an operator of two. With "or" one side that is always
// there is enough.
func (l *linter) filteredBinary(e *parser.BinaryExpr) bool {
	switch {
	case e.Op == parser.LUNLESS, e.Op.IsComparisonOperator() && !e.ReturnBool:
		return true
	case e.Op == parser.LOR:
		return l.filtered(e.LHS) && l.filtered(e.RHS)
	}
	return l.filtered(e.LHS) || l.filtered(e.RHS)
}

// filteredSeries knows recorded series, and ALERTS, which are there while an alert is.
func (l *linter) filteredSeries(v *parser.VectorSelector) bool {
	records := l.sources(v, false)
	for _, r := range records {
		if !l.filteredRecord(r) {
			return false
		}
	}
	return len(records) > 0 || ofAlerts(v.Name)
}

// filteredRecord is filtered of a recorded series. One that reads itself tells
// nothing of itself.
func (l *linter) filteredRecord(r *rule) bool {
	may, ok := l.empty[r]
	if !ok {
		l.empty[r] = false
		may = r.expr != nil && l.filtered(r.expr)
		l.empty[r] = may
	}
	return may
}
