package lint

import (
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// read is a selector, and whether it asks for what was before this evaluation.
type read struct {
	*parser.VectorSelector
	past bool
}

// reads are the selectors of an expression.
func reads(expr parser.Expr) []read {
	var all []read
	parser.Inspect(expr, func(n parser.Node, path []parser.Node) error {
		v, ok := n.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		past := v.OriginalOffset > 0 || v.Timestamp != nil || slices.ContainsFunc(path, func(p parser.Node) bool {
			switch p.(type) {
			case *parser.MatrixSelector, *parser.SubqueryExpr:
				return true
			}
			return false
		})
		all = append(all, read{v, past})
		return nil
	})
	return all
}

// sources are the records that a selector may read. A label that a record gives all its
// series is held against the matchers; of the other labels nothing is known. With
// blanks a matcher for such a one says nothing.
func (l *linter) sources(v *parser.VectorSelector, blanks bool) []*rule {
	var all []*rule
	for _, name := range l.names(v) {
		for _, r := range l.records[name] {
			if !slices.ContainsFunc(v.LabelMatchers, func(m *labels.Matcher) bool {
				value, known := r.label(m.Name)
				return m.Name != model.MetricNameLabel && known && !m.Matches(value) && !(blanks && m.Value == blank)
			}) {
				all = append(all, r)
			}
		}
	}
	return all
}

// names are the records whose name a selector asks for.
func (l *linter) names(v *parser.VectorSelector) []string {
	if v.Name != "" {
		return []string{v.Name}
	}
	var all []string
	for _, name := range sorted(l.records) {
		found := false
		if slices.ContainsFunc(v.LabelMatchers, func(m *labels.Matcher) bool {
			found = found || m.Name == model.MetricNameLabel
			return m.Name == model.MetricNameLabel && !m.Matches(name)
		}) || !found {
			continue
		}
		all = append(all, name)
	}
	return all
}

// dependencies tells of what an expression reads that is older than it seems.
func (l *linter) dependencies(r *rule) { l.dependenciesOf(r, r.expr, "", false, r.at) }

// dependenciesOf tells it of an expression of a rule, each group and each record
// once. In a template what the own group records, too, is taken for what is meant.
func (l *linter) dependenciesOf(r *rule, expr parser.Expr, where string, blanks bool, line func(parser.Node) int) {
	told := map[string]bool{}
	once := func(v read, text string) {
		if !told[text] {
			told[text] = true
			l.tell(r, line(v), Dependency, Warning, "%s%s", where, text)
		}
	}
	for _, v := range reads(expr) {
		if ofAlerts(v.Name) {
			once(v, fmt.Sprintf("reads %s, which is an evaluation late and, of what keep_firing_for holds, too long there: read what the alert reads", v.Name))
		}
		records := l.sources(v.VectorSelector, blanks)
		if where != "" && slices.ContainsFunc(records, func(o *rule) bool { return o.group == r.group }) {
			continue
		}
		for _, o := range records {
			switch {
			case o.group != r.group:
				once(v, fmt.Sprintf("reads %s, which the group %s records (%s): up to %s old, and a unit test sees it or not at random; want both rules in one group",
					o.name, quoted(o.group.name), o.place(), l.age(o.group)))
			case o.index > r.index && !v.past && where == "":
				once(v, fmt.Sprintf("reads %s, which this group records further down (%s): it is that of the evaluation before; want the record first", o.name, o.place()))
			}
		}
	}
}

// ofAlerts says that Prometheus itself writes a series for each alert.
func ofAlerts(name string) bool { return name == "ALERTS" || name == "ALERTS_FOR_STATE" }

// age is how old a record of a group may be.
func (l *linter) age(g *group) string {
	if every := l.interval(g); every > 0 {
		return span(every)
	}
	return "an interval"
}

// distance is how far the samples of a selector lie apart: the interval of the
// group that records them, else what the options say. aligned says that they lie on
// the instants at which the rule itself is evaluated.
func (l *linter) distance(r *rule, v *parser.VectorSelector) (d time.Duration, aligned bool) {
	records := l.sources(v, false)
	if len(records) == 0 {
		return l.options.Scrape, false
	}
	aligned = true
	for i, o := range records {
		every := l.interval(o.group)
		if i > 0 && every != d {
			return 0, false // of several distances
		}
		d, aligned = every, aligned && o.group == r.group
	}
	return d, aligned
}
