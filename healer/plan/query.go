package plan

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// Query is a three-valued question: comparisons of an instant vector with a
// number, joined by and. Who asks it queries each Left and compares itself: all
// samples of all parts hold = yes, one does not = no, anything else = cannot
// tell.
type Query struct {
	Text      string // PromQL, canonical once no template is left in it; empty = no query
	Parts     []Part
	Selectors []string      // each vector selector, for min(timestamp(selector))
	Range     time.Duration // the largest range + offset + subquery
	Recorded  bool          // a name with ':' (or no fixed name) hides its range

	pieces []piece // of a query that still holds templates
}

// Part is one comparison: every sample of Left must be Op Right.
type Part struct {
	Left  string
	Op    string // == != < <= > >=
	Right float64
}

// ParseQuery parses a three-valued query without templates, or says why it is
// none.
func ParseQuery(text string) (Query, error) {
	expr, err := parsePromQL(text)
	if err != nil {
		return Query{}, err
	}
	return analyse(expr)
}

// parsePromQL parses the stable language: no experimental functions, so that an
// older Prometheus understands it, too.
func parsePromQL(text string) (parser.Expr, error) {
	expr, err := parser.NewParser(parser.Options{}).ParseExpr(text)
	if err != nil {
		return nil, fmt.Errorf("parsing %q as PromQL: %w", text, err)
	}
	return expr, nil
}

// parseVector accepts any instant vector, such as the members of a service.
func parseVector(text string) error {
	expr, err := parsePromQL(text)
	if err == nil && expr.Type() != parser.ValueTypeVector {
		return fmt.Errorf("%q is a %s, want an instant vector", text, parser.DocumentedType(expr.Type()))
	}
	return err
}

// analyse takes a tree apart and notes what it reads.
func analyse(expr parser.Expr) (Query, error) {
	q := Query{Text: expr.String()}
	if err := q.split(expr); err != nil {
		return Query{}, err
	}
	var wrong error
	parser.Inspect(expr, func(node parser.Node, path []parser.Node) error {
		switch n := node.(type) {
		case *parser.VectorSelector:
			wrong = errors.Join(wrong, q.selector(n, path))
		case *parser.SubqueryExpr:
			if n.Timestamp != nil || n.StartOrEnd != 0 {
				wrong = errors.Join(wrong, fmt.Errorf("%q reads a fixed instant, want the present one without @", n))
			}
		}
		return nil
	})
	if wrong == nil && len(q.Selectors) == 0 {
		wrong = fmt.Errorf("%q reads no series, so it proves nothing", q.Text)
	}
	return q, wrong
}

// split takes the comparisons out of a tree of plain ands.
func (q *Query) split(expr parser.Expr) error {
	b, ok := unwrap(expr).(*parser.BinaryExpr)
	switch {
	case !ok:
		return fmt.Errorf("%q is no comparison, want an instant vector compared with a number, such as x == 1", expr)
	case b.Op == parser.LAND:
		if m := b.VectorMatching; m.On || len(m.MatchingLabels) > 0 {
			return fmt.Errorf("%q joins with on or ignoring, want a plain and", expr)
		}
		return errors.Join(q.split(b.LHS), q.split(b.RHS))
	case !b.Op.IsComparisonOperator():
		return fmt.Errorf("%q is joined by %s, want comparisons with a number, joined by and", expr, b.Op)
	}
	return q.compare(b)
}

// compare keeps one comparison. What is nested in a left side stays there: a
// filter inside an aggregation is Prometheus' work.
func (q *Query) compare(b *parser.BinaryExpr) error {
	right, literal := unwrap(b.RHS).(*parser.NumberLiteral)
	left, nested := unwrap(b.LHS).(*parser.BinaryExpr)
	switch {
	case b.ReturnBool:
		return fmt.Errorf("%q returns bool, want a plain comparison: the receiver compares itself", b)
	case !literal:
		return fmt.Errorf("%q has no number on its right side", b)
	case math.IsNaN(right.Val):
		return fmt.Errorf("%q compares with NaN, which nothing equals", b)
	case nested && left.Op.IsComparisonOperator():
		return fmt.Errorf("%q compares a comparison: join the two by and", b)
	}
	q.Parts = append(q.Parts, Part{Left: b.LHS.String(), Op: b.Op.String(), Right: right.Val})
	return nil
}

// unwrap takes the parentheses off.
func unwrap(expr parser.Expr) parser.Expr {
	for {
		paren, ok := expr.(*parser.ParenExpr)
		if !ok {
			return expr
		}
		expr = paren.Expr
	}
}

// selector notes one selector: how old its samples may be, and whether a
// recording rule may hide more.
func (q *Query) selector(v *parser.VectorSelector, path []parser.Node) error {
	if v.Timestamp != nil || v.StartOrEnd != 0 {
		return fmt.Errorf("%q reads a fixed instant, want the present one without @", v)
	}
	if text := v.String(); !slices.Contains(q.Selectors, text) {
		q.Selectors = append(q.Selectors, text)
	}
	q.Range = max(q.Range, age(v, path))
	q.Recorded = q.Recorded || recorded(v)
	return nil
}

// age is how far back a selector reads: its own range and offset, and those of
// the subqueries around it. What lies in the future adds nothing.
func age(v *parser.VectorSelector, path []parser.Node) time.Duration {
	sum := v.OriginalOffset
	for _, node := range path {
		switch n := node.(type) {
		case *parser.MatrixSelector:
			sum += n.Range
		case *parser.SubqueryExpr:
			sum += n.Range + n.OriginalOffset
		}
	}
	return max(sum, 0)
}

// recorded tells whether a recording rule may stand behind a selector: a name
// with ':' (the convention of recording rules), or no fixed name.
func recorded(v *parser.VectorSelector) bool {
	name := v.Name
	for _, m := range v.LabelMatchers {
		if m.Name == model.MetricNameLabel && m.Type == labels.MatchEqual {
			name = m.Value
		}
	}
	return name == "" || strings.Contains(name, ":")
}

// compileQuery parses a query that may hold templates, each inside a quoted
// value of a label matcher.
func compileQuery(text string, c scope) (Query, error) {
	pieces, err := cut(text, c)
	if err != nil {
		return Query{}, err
	}
	expr, err := parsePromQL(withHoles(pieces))
	if err != nil {
		return Query{}, shown(err, pieces)
	}
	if held, err := fill(expr, holeNames(pieces)); err != nil || held != holes(pieces) {
		return Query{}, fmt.Errorf("%q: a template may stand only inside the quoted value of a label matcher", text)
	}
	q, err := analyse(expr)
	if holes(pieces) > 0 {
		q.Text, q.pieces = text, pieces
	}
	return q, shown(err, pieces)
}

// shown puts the templates back into a message about the text with holes.
func shown(err error, pieces []piece) error {
	if err == nil || holes(pieces) == 0 {
		return err
	}
	text := err.Error()
	for _, p := range pieces {
		if p.hole != "" {
			text = strings.ReplaceAll(text, p.hole, p.tmpl.text)
		}
	}
	return errors.New(text)
}

// fill replaces each hole in a matcher's value by what stands for it, and counts
// the holes that it found. In a regular expression a value stands for itself
// alone.
func fill(expr parser.Expr, values map[string]string) (held int, wrong error) {
	var plain, quoted []string
	for hole, value := range values {
		plain = append(plain, hole, value)
		quoted = append(quoted, hole, regexp.QuoteMeta(value))
	}
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		v, ok := node.(*parser.VectorSelector)
		for i := 0; ok && i < len(v.LabelMatchers); i++ {
			m, pairs := v.LabelMatchers[i], plain
			if m.Name == model.MetricNameLabel {
				continue
			}
			if m.Type == labels.MatchRegexp || m.Type == labels.MatchNotRegexp {
				pairs = quoted
			}
			for hole := range values {
				held += strings.Count(m.Value, hole)
			}
			fresh, err := labels.NewMatcher(m.Type, m.Name, strings.NewReplacer(pairs...).Replace(m.Value))
			if err != nil {
				wrong = err
				continue
			}
			v.LabelMatchers[i] = fresh
		}
		return nil
	})
	return held, wrong
}

// rendered puts values into the holes of a query's tree, prints it, and proves
// on the text, read again, that nothing but these matcher values differs.
func (q Query) rendered(values map[string]string) (Query, *Refusal) {
	want, err := parsePromQL(withHoles(q.pieces))
	if err != nil {
		return Query{}, unsafe("query %q: %v", q.Text, err)
	}
	if _, err := fill(want, values); err != nil {
		return Query{}, unsafe("query %q: %v", q.Text, err)
	}
	out, err := analyse(want)
	if err != nil {
		return Query{}, unsafe("query %q: %v", q.Text, err)
	}
	got, err := parsePromQL(out.Text)
	if err != nil || !slices.Equal(stripped(want), stripped(got)) {
		return Query{}, unsafe("query %q: a value changes its structure: %q", q.Text, out.Text)
	}
	return out, nil
}

// stripped lists the matchers of a tree and, last, the tree without them. The
// tree is of no use afterwards.
func stripped(expr parser.Expr) (list []string) {
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		if v, ok := node.(*parser.VectorSelector); ok {
			start := len(list)
			for _, m := range v.LabelMatchers {
				list = append(list, m.String())
			}
			slices.Sort(list[start:]) // printing sorts them, too
			v.LabelMatchers = nil
		}
		return nil
	})
	return append(list, expr.String())
}
