package lint

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/prometheus/promql/parser"
)

// File is a rule file: the name that findings carry, and its text.
type File struct {
	Name string
	Data []byte
}

// Options are what no rule file tells. 0 is unknown; checks that need it are silent.
type Options struct {
	Scrape     time.Duration // between two samples of series that no rule records
	Evaluation time.Duration // of groups without an interval, and of subqueries without a step
}

// Severity says whether a finding is an Error or a Warning.
type Severity string

// Error is what Prometheus refuses or what can never work, Warning what may be meant.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
)

// Names of the checks, as findings carry them.
const (
	Syntax       = "syntax"
	Duplicate    = "duplicate"
	GroupSize    = "group-size"
	Interval     = "interval"
	Dependency   = "dependency"
	Division     = "division"
	Comparison   = "comparison"
	Experimental = "experimental"
	RangeEdge    = "range-edge"
	KBound       = "k-bound"
	LabelValue   = "label-value"
)

// Finding is one thing that is wrong or unwise. Line is 0 where none can be told;
// Group and Rule are empty where it is of neither.
type Finding struct {
	File     string
	Line     int
	Group    string
	Rule     string
	Check    string
	Severity Severity
	Text     string
}

// String is the finding on one line, as compilers write theirs.
func (f Finding) String() string {
	where := f.File
	if f.Line > 0 {
		where += fmt.Sprintf(":%d", f.Line)
	}
	switch {
	case f.Rule != "":
		where += ": " + quoted(f.Rule)
	case f.Group != "":
		where += ": group " + quoted(f.Group)
	}
	return fmt.Sprintf("%s: %s: %s (%s)", where, f.Severity, f.Text, f.Check)
}

// linter gathers the findings of files that are judged together.
type linter struct {
	options Options
	groups  []*group
	records map[string][]*rule // by name, in the order of the files
	found   []Finding
	facts   map[parser.Expr]fact // what was known of expressions
	empty   map[*rule]bool       // records that may have no result
}

// Check gives the findings of files, sorted by file, in the order given, line and severity.
func Check(files []File, o Options) []Finding {
	l := &linter{options: o, records: map[string][]*rule{}, facts: map[parser.Expr]fact{}, empty: map[*rule]bool{}}
	order := map[string]int{}
	for i, f := range files {
		if _, twice := order[f.Name]; !twice {
			order[f.Name] = i
		}
		l.groups = append(l.groups, l.read(f)...)
	}
	for _, g := range l.groups {
		for _, r := range g.rules {
			if r.record {
				l.records[r.name] = append(l.records[r.name], r)
			}
		}
	}
	for _, g := range l.groups {
		l.checkGroup(g)
	}
	slices.SortStableFunc(l.found, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(order[a.File], order[b.File]), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Severity, b.Severity), cmp.Compare(a.Check, b.Check), cmp.Compare(a.Text, b.Text))
	})
	return slices.Compact(l.found)
}

// mostRules is Mimir's default limit, and stale the look-back of an instant query.
const (
	mostRules = 20
	stale     = 5 * time.Minute
)

// checkGroup judges a group, and each of its rules.
func (l *linter) checkGroup(g *group) {
	if len(g.rules) > mostRules {
		l.of(g, g.line, GroupSize, Warning, "%d rules, and Mimir takes %d in a group unless it is told otherwise: split it where no rule reads another", len(g.rules), mostRules)
	}
	if g.interval > stale {
		l.of(g, g.intervalLine, Interval, Warning, "the interval of %s is longer than the 5m that Prometheus looks back: what the group records is missing in between", span(g.interval))
	}
	for _, r := range g.rules {
		l.templates(r)
		if r.expr == nil {
			continue
		}
		l.dependencies(r)
		l.divisions(r)
		l.comparison(r)
		l.windows(r)
		l.bounds(r)
	}
}

// interval is how often a group is evaluated, 0 where nobody says.
func (l *linter) interval(g *group) time.Duration { return cmp.Or(g.interval, l.options.Evaluation) }

// of tells of a group.
func (l *linter) of(g *group, line int, check string, s Severity, format string, args ...any) {
	if slices.Contains(g.ignored, check) {
		return
	}
	l.found = append(l.found, Finding{File: g.file, Line: line, Group: g.name, Check: check, Severity: s, Text: fmt.Sprintf(format, args...)})
}

// tell tells of a rule.
func (l *linter) tell(r *rule, line int, check string, s Severity, format string, args ...any) {
	if check != Syntax && (slices.Contains(r.ignored, check) || slices.Contains(r.group.ignored, check)) {
		return
	}
	l.found = append(l.found, Finding{
		File: r.group.file, Line: line, Group: r.group.name, Rule: r.name, Check: check, Severity: s, Text: fmt.Sprintf(format, args...),
	})
}
