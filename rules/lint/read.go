package lint

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"
)

// Limits of a file: aliases of YAML can make a few lines as many rules as they like,
// and judging an expression takes longer than parsing it.
const (
	mostOfFile = 50_000   // rules
	mostJudged = 64 << 10 // bytes of an expression
)

// group is a group of rules. interval is 0 where the server's default holds.
type group struct {
	file, name         string
	line, intervalLine int
	interval           time.Duration
	rules              []*rule
	ignored            []string // checks that a comment turns off for it
}

// rule is a rule of a group. expr is nil where it could not be parsed, or where
// nobody can tell whether it is a record or an alert.
type rule struct {
	group               *group
	index, line         int
	name                string
	record              bool
	text                text
	expr                parser.Expr
	labels, annotations []entry // labels with those of the group
	ignored             []string
}

// at is the line of a part of the rule's expression.
func (r *rule) at(n parser.Node) int { return r.text.line(int(n.PositionRange().Start)) }

// label gives the value that a rule gives every series, if any.
func (r *rule) label(name string) (string, bool) {
	for _, e := range r.labels {
		if e.name == name {
			return e.value, true
		}
	}
	return "", false
}

// place names a rule in the text of another's finding.
func (r *rule) place() string { return fmt.Sprintf("%s:%d", r.group.file, r.line) }

// read reads a file. Every mistake is told; what is left is judged further.
func (l *linter) read(f File) []*group {
	r := &reader{linter: l, file: f.Name, lines: strings.Split(string(f.Data), "\n")}
	var document, next yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(f.Data))
	if err := decoder.Decode(&document); err != nil && !errors.Is(err, io.EOF) {
		r.broken(0, err)
		return nil
	}
	if len(document.Content) == 0 {
		r.say(0, Warning, "no groups: Prometheus loads nothing from this file")
		return nil
	}
	if err := decoder.Decode(&next); err == nil {
		r.say(next.Line, Warning, "Prometheus reads the first document of a file alone: write one list of groups")
	} else if !errors.Is(err, io.EOF) {
		r.broken(0, err)
	}
	var groups []*group
	lines, rules := map[string]int{}, 0
	for _, n := range r.list(r.mapping(document.Content[0], "file", "groups")["groups"], "groups") {
		g := r.readGroup(resolved(n), &rules)
		if first, twice := lines[g.name]; twice {
			r.wrong(g.line, "group %s stands in this file twice, first at line %d", quoted(g.name), first)
		} else {
			lines[g.name] = g.line
		}
		groups = append(groups, g)
	}
	if rules > mostOfFile {
		r.wrong(0, "more than %d rules", mostOfFile)
	}
	r.doubles(groups)
	return groups
}

// readGroup reads a group; rules counts those of the file.
func (r *reader) readGroup(n *yaml.Node, rules *int) *group {
	keys := r.mapping(n, "group", "name", "interval", "query_offset", "limit", "labels", "rules")
	g := &group{file: r.file, name: r.text(keys["name"]).value, line: n.Line}
	r.group = g.name
	defer func() { r.group, r.groupIgnored = "", nil }()
	g.ignored = r.comment(n.Line)
	r.groupIgnored = g.ignored
	if g.name == "" {
		r.wrong(n.Line, "a group without a name")
	}
	if i := keys["interval"]; i != nil {
		g.interval, g.intervalLine = r.duration(i, "interval"), i.Line
	}
	r.duration(keys["query_offset"], "query_offset")
	if limit := resolved(keys["limit"]); !empty(limit) {
		if err := limit.Decode(new(int)); err != nil {
			r.broken(limit.Line, err)
		}
	}
	labels := r.entries(keys["labels"], "label")
	for i, n := range r.list(keys["rules"], "rules") {
		if *rules++; *rules > mostOfFile {
			break
		}
		g.rules = append(g.rules, r.readRule(resolved(n), g, i, labels))
	}
	return g
}

// readRule reads a rule. labels are those of its group.
func (r *reader) readRule(n *yaml.Node, g *group, index int, labels []entry) *rule {
	keys := r.mapping(n, "rule", "record", "alert", "expr", "for", "keep_firing_for", "labels", "annotations")
	record, alert := r.text(keys["record"]).value, r.text(keys["alert"]).value
	one := &rule{group: g, index: index, line: n.Line, name: cmp.Or(record, alert), record: record != "" && alert == ""}
	r.rule = one.name
	one.ignored = r.comment(n.Line)
	r.ignored = one.ignored
	defer func() { r.rule, r.ignored = "", nil }()
	if (record == "") == (alert == "") {
		r.wrong(n.Line, "want either record or alert, got record %q and alert %q", record, alert)
	}
	wait, keep := r.duration(keys["for"], "for"), r.duration(keys["keep_firing_for"], "keep_firing_for")
	one.labels = r.entries(keys["labels"], "label")
	for _, e := range labels {
		if _, ok := one.label(e.name); !ok {
			one.labels = append(one.labels, e)
		}
	}
	one.annotations = r.entries(keys["annotations"], "annotation")
	if record != "" {
		if wait != 0 || keep != 0 || len(one.annotations) > 0 {
			r.wrong(n.Line, "a recording rule has no for, keep_firing_for or annotations")
		}
		r.metric(n.Line, record)
	}
	one.text = r.text(keys["expr"])
	if one.text.value == "" {
		r.wrong(n.Line, "no expr")
	} else if expr := r.parse(one.text); len(one.text.value) > mostJudged {
		r.say(one.text.line(0), Warning, "the expression has more than %d KiB: it was parsed and not judged", mostJudged>>10)
	} else if (record == "") != (alert == "") {
		one.expr = expr
	}
	return one
}

// metric judges the name of a recorded series. Braces are Prometheus' sign of an
// expression in the wrong place.
func (r *reader) metric(line int, name string) {
	switch {
	case !model.UTF8Validation.IsValidMetricName(name) || strings.ContainsAny(name, "{}"):
		r.wrong(line, "%q is no name of a metric", name)
	case !model.LegacyValidation.IsValidMetricName(name):
		r.say(line, Warning, "Prometheus before 3.0 refuses the name %q of a metric", name)
	}
}

// parse parses an expression as Prometheus does by default. What parses with
// everything experimental enabled, and not without, is a finding of its own. So are
// durations that are reckoned: they were experimental until lately.
func (r *reader) parse(t text) parser.Expr {
	expr, err := parser.NewParser(parser.Options{ExperimentalDurationExpr: true}).ParseExpr(t.value)
	if err == nil {
		if _, err := parser.NewParser(parser.Options{}).ParseExpr(t.value); err != nil {
			r.refused(t, mistakes(err)[0], Experimental, Warning, "arithmetic of durations, which only a recent Prometheus 3 takes without its feature flag: ")
		}
		return expr
	}
	all := parser.Options{EnableExperimentalFunctions: true, ExperimentalDurationExpr: true, EnableExtendedRangeSelectors: true, EnableBinopFillModifiers: true}
	expr, again := parser.NewParser(all).ParseExpr(t.value)
	if again == nil {
		for _, one := range mistakes(err) {
			r.refused(t, one, Experimental, Error, "experimental, Prometheus refuses it without its feature flag, and it may change or vanish: ")
		}
		return expr
	}
	// What the parser finds behind the first mistake follows from it.
	r.refused(t, mistakes(again)[0], Syntax, Error, "parsing the expression: ")
	return nil
}

// mistakes are those that the parser found, one or more.
func mistakes(err error) parser.ParseErrors {
	var all parser.ParseErrors
	if !errors.As(err, &all) || len(all) == 0 {
		return parser.ParseErrors{{Err: err}}
	}
	return all
}

// refused tells of a mistake in an expression at its line.
func (r *reader) refused(t text, one parser.ParseErr, check string, s Severity, what string) {
	if check != Syntax && slices.Contains(slices.Concat(r.ignored, r.groupIgnored), check) {
		return
	}
	r.found = append(r.found, Finding{
		File: r.file, Line: t.line(int(one.PositionRange.Start)), Group: r.group, Rule: r.rule, Check: check, Severity: s, Text: what + one.Err.Error(),
	})
}

// doubles tells rules of one kind with the same name and labels in a file, as
// promtool does: of records the one overwrites or loses samples of the other
// wherever they meet, of alerts nobody can tell which one fires.
func (r *reader) doubles(groups []*group) {
	first := map[string]*rule{}
	for _, g := range groups {
		for _, one := range g.rules {
			values := map[string]string{}
			for _, e := range one.labels {
				values[e.name] = e.value
			}
			id := fmt.Sprintf("%t %q %q", one.record, one.name, values)
			if before, twice := first[id]; twice {
				r.tell(one, one.line, Duplicate, Warning, "the rule at line %d has the same name and labels: give one of them a label that differs", before.line)
				continue
			}
			first[id] = one
		}
	}
}

// sorted are the keys of a map in order.
func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// quoted shows a name.
func quoted(s string) string { return strconv.Quote(s) }

// span writes a duration as rule files do.
func span(d time.Duration) string { return model.Duration(d).String() }
