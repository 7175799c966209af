package rules

import (
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"

	"github.com/onefiveten/onefiveten/rules/layout"
)

// mostRules is Mimir's default limit of rules in one group.
const mostRules = 20

// rule is one recording or alerting rule. keep is keep_firing_for.
type rule struct {
	comment             string
	record, alert, expr string
	wait, keep          time.Duration
	labels, annotations []label
}

// label is a label or an annotation; the order is that of the file.
type label struct{ name, value string }

// group is a list of rules that Prometheus evaluates in order.
type group struct {
	name, comment string
	rules         []rule
}

// file writes groups and parses every expression first.
func file(head string, every time.Duration, groups []group) ([]byte, error) {
	var nodes []*yaml.Node
	for _, g := range groups {
		n, err := g.node(every)
		if err != nil {
			return nil, fmt.Errorf("group %s: %w", g.name, err)
		}
		nodes = append(nodes, n)
	}
	return layout.Encode(head, layout.Mapping(layout.Pair{Key: "groups", Value: layout.List(nodes...)}))
}

// node is the group as Prometheus reads it. Every expression is parsed: what
// would not load is not written.
func (g group) node(every time.Duration) (*yaml.Node, error) {
	if len(g.rules) > mostRules {
		return nil, fmt.Errorf("got %d rules, want at most %d", len(g.rules), mostRules)
	}
	var nodes []*yaml.Node
	for _, r := range g.rules {
		if _, err := parser.NewParser(parser.Options{}).ParseExpr(r.expr); err != nil {
			return nil, fmt.Errorf("rule %s%s: %w", r.record, r.alert, err)
		}
		nodes = append(nodes, r.node())
	}
	return layout.Remark(layout.Mapping(
		layout.Pair{Key: "name", Value: layout.Text(g.name)},
		layout.Pair{Key: "interval", Value: layout.Plain(model.Duration(every).String())},
		layout.Pair{Key: "rules", Value: layout.List(nodes...)},
	), g.comment), nil
}

// node keeps the order of keys that people write: name, expr, times, labels.
func (r rule) node() *yaml.Node {
	var p []layout.Pair
	if r.record != "" {
		p = append(p, layout.Pair{Key: "record", Value: layout.Text(r.record)})
	} else {
		p = append(p, layout.Pair{Key: "alert", Value: layout.Text(r.alert)})
	}
	p = append(p, layout.Pair{Key: "expr", Value: layout.Text(r.expr)})
	if r.wait > 0 {
		p = append(p, layout.Pair{Key: "for", Value: layout.Plain(model.Duration(r.wait).String())})
	}
	if r.keep > 0 {
		p = append(p, layout.Pair{Key: "keep_firing_for", Value: layout.Plain(model.Duration(r.keep).String())})
	}
	if len(r.labels) > 0 {
		p = append(p, layout.Pair{Key: "labels", Value: layout.Inline(labels(r.labels))})
	}
	if len(r.annotations) > 0 {
		p = append(p, layout.Pair{Key: "annotations", Value: labels(r.annotations)})
	}
	n := layout.Mapping(p...)
	if r.comment != "" {
		layout.Remark(n, r.comment)
	}
	return n
}

// labels is a mapping in the order of the list.
func labels(ls []label) *yaml.Node {
	var p []layout.Pair
	for _, l := range ls {
		p = append(p, layout.Pair{Key: l.name, Value: layout.Text(l.value)})
	}
	return layout.Mapping(p...)
}

// expression fills the words of a rule set into an expression and cuts the
// indent that it has in this source.
func expression(s string, words *strings.Replacer) string {
	s = strings.Trim(s, "\n")
	indent := s[:len(s)-len(strings.TrimLeft(s, "\t"))]
	var out strings.Builder
	for line := range strings.Lines(s) {
		out.WriteString(strings.TrimPrefix(line, indent))
	}
	text := strings.ReplaceAll(strings.TrimRight(out.String(), "\t\n"), "\t", "  ")
	if strings.Contains(text, "\n") {
		text += "\n"
	}
	return words.Replace(text)
}

// noWords leaves an expression as it is.
func noWords() *strings.Replacer { return strings.NewReplacer() }
