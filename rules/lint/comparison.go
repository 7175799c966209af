package lint

import "github.com/prometheus/prometheus/promql/parser"

// comparison tells of an alert that fires whatever the values are. One that reads
// nothing at all, such as vector(1), means to.
func (l *linter) comparison(r *rule) {
	if r.record || len(reads(r.expr)) == 0 || l.filtered(r.expr, nil) {
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
// expression that records it may. within are the records that are being looked at.
func (l *linter) filtered(e parser.Expr, within []*rule) bool {
	switch e := bare(e).(type) {
	case *parser.UnaryExpr:
		return l.filtered(e.Expr, within)
	case *parser.AggregateExpr:
		return l.filtered(e.Expr, within)
	case *parser.SubqueryExpr:
		return l.filtered(e.Expr, within)
	case *parser.MatrixSelector:
		return l.filtered(e.VectorSelector, within)
	case *parser.Call:
		return l.filteredCall(e, within)
	case *parser.BinaryExpr:
		return l.filteredBinary(e, within)
	case *parser.VectorSelector:
		return l.filteredSeries(e, within)
	}
	return false
}

func (l *linter) filteredCall(e *parser.Call, within []*rule) bool {
	switch e.Func.Name {
	case "absent", "absent_over_time":
		return true
	case "scalar", "vector": // always there
		return false
	}
	for _, a := range e.Args {
		if l.filtered(a, within) {
			return true
		}
	}
	return false
}

func (l *linter) filteredBinary(e *parser.BinaryExpr, within []*rule) bool {
	switch {
	case e.Op == parser.LUNLESS, e.Op.IsComparisonOperator() && !e.ReturnBool:
		return true
	case e.Op == parser.LOR:
		return l.filtered(e.LHS, within) && l.filtered(e.RHS, within)
	}
	return l.filtered(e.LHS, within) || l.filtered(e.RHS, within)
}

// filteredSeries knows recorded series, and ALERTS, which are there while an alert is.
func (l *linter) filteredSeries(v *parser.VectorSelector, within []*rule) bool {
	records := l.sources(v, false)
	for _, r := range records {
		inner, ok := deeper(r, within)
		if !ok || !l.filtered(r.expr, inner) {
			return false
		}
	}
	return len(records) > 0 || ofAlerts(v.Name)
}
