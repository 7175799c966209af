package living

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"
)

// ours begins the names of groups and recorded series that are generated.
const ours = "onefiveten:"

// near is the part of its interval from which on a group is said to take nearly all
// of it.
const near = .8

// sampled is the record that is a sample itself, one for each evaluation (DETECTION 6.4).
const sampled = "onefiveten:probe_duration_seconds:success"

// Group is one rule group: of a file, or as a server has loaded it.
type Group struct {
	File, Name string
	Interval   time.Duration
	Took       time.Duration // the last evaluation
	Slowest    time.Duration // of the last minutes; 0: not known
	Evaluated  bool          // at least once
	Rules      []Rule
}

// Rule is one rule of a group. For and Keep are nil where a server does not tell
// them, and then not compared.
type Rule struct {
	Alerting            bool
	Name, Expr          string
	Labels, Annotations map[string]string
	For, Keep           *time.Duration
	Health, Error       string
}

// ruleFile is a file of rules as Prometheus reads it.
type ruleFile struct {
	Groups []struct {
		Name     string         `yaml:"name"`
		Interval model.Duration `yaml:"interval"`
		Rules    []struct {
			Record      string            `yaml:"record"`
			Alert       string            `yaml:"alert"`
			Expr        string            `yaml:"expr"`
			For         model.Duration    `yaml:"for"`
			Keep        model.Duration    `yaml:"keep_firing_for"`
			Labels      map[string]string `yaml:"labels"`
			Annotations map[string]string `yaml:"annotations"`
		} `yaml:"rules"`
	} `yaml:"groups"`
}

// Written gives the groups of rule files, by the names of these.
func Written(files map[string][]byte) ([]Group, error) {
	var all []Group
	for _, name := range slices.Sorted(maps.Keys(files)) {
		var f ruleFile
		if err := yaml.Unmarshal(files[name], &f); err != nil {
			return nil, fmt.Errorf("reading the rules of %s: %w", name, err)
		}
		for _, g := range f.Groups {
			group := Group{File: name, Name: g.Name, Interval: time.Duration(g.Interval), Evaluated: true}
			for _, r := range g.Rules {
				wait, keep := time.Duration(r.For), time.Duration(r.Keep)
				group.Rules = append(group.Rules, Rule{
					Alerting: r.Alert != "", Name: r.Alert + r.Record, Expr: r.Expr,
					Labels: r.Labels, Annotations: r.Annotations, For: &wait, Keep: &keep,
				})
			}
			all = append(all, group)
		}
	}
	return all, nil
}

// Compare sets what is loaded against what was written. delay is d_e: no evaluation
// may take longer.
func Compare(written, loaded []Group, delay time.Duration) []Finding {
	var f findings
	known := map[string]bool{}
	for _, w := range written {
		known[w.Name] = true
		var found []Group
		for _, g := range loaded {
			if g.Name == w.Name {
				found = append(found, g)
			}
		}
		if len(found) == 0 {
			f.wrong("", fmt.Sprintf("the group %q is not loaded, and its rules are missing: %s: want %s among rule_files", w.Name, kinds(w.Rules), w.File))
			continue
		}
		if len(found) > 1 {
			f.wrong("", fmt.Sprintf("the group %q is loaded %d times, from %s: its rules count twice: want it in one file", w.Name, len(found), files(found)))
		}
		for _, g := range found {
			f.pace(w, g, delay)
			f.rules(w, g)
		}
	}
	f.leftOver(known, loaded)
	return f
}

// pace compares the interval of a group, and what of it the evaluation takes.
func (f *findings) pace(w, g Group, delay time.Duration) {
	at := fmt.Sprintf("the group %q ", g.Name)
	switch {
	case g.Interval > w.Interval:
		f.wrong("prometheus.evaluation.interval", at+fmt.Sprintf("is evaluated every %s, reckoned with %s: the bounds are too short", g.Interval, w.Interval))
	case g.Interval < w.Interval && slices.ContainsFunc(w.Rules, func(r Rule) bool { return r.Name == sampled }):
		f.wrong("prometheus.evaluation.interval", at+fmt.Sprintf("is evaluated every %s, reckoned with %s: it takes a sample of each latency at every evaluation, and its windows hold other ones than were proved", g.Interval, w.Interval))
	case g.Interval < w.Interval:
		f.unwise("prometheus.evaluation.interval", at+fmt.Sprintf("is evaluated every %s, reckoned with %s: the bounds are longer than need be", g.Interval, w.Interval))
	}
	switch {
	case !g.Evaluated:
		f.unwise("", at+"has not been evaluated yet: look again after "+g.Interval.String())
	case g.Took > delay:
		f.wrong("prometheus.evaluation.delay", at+fmt.Sprintf("has taken %s, reckoned with %s: the bounds are too short", short(g.Took), delay))
	case g.Slowest > delay:
		f.unwise("prometheus.evaluation.delay", at+fmt.Sprintf("has taken %s within the last minutes, reckoned with %s: for that long the bounds were too short", short(g.Slowest), delay))
	case max(g.Took, g.Slowest).Seconds() > near*g.Interval.Seconds():
		f.unwise("prometheus.evaluation.delay", at+fmt.Sprintf("has taken %s of its interval of %s: if it takes longer, evaluations are missed", short(max(g.Took, g.Slowest)), g.Interval))
	}
}

// rules pairs the rules of a group with those that were written: first those that
// are the same, then of each name those that are most alike.
func (f *findings) rules(w, g Group) {
	left := slices.Clone(g.Rules)
	var odd []Rule
	for _, r := range w.Rules {
		i := slices.IndexFunc(left, func(l Rule) bool { return len(differences(r, l)) == 0 })
		if i < 0 {
			odd = append(odd, r)
			continue
		}
		f.health(g, left[i])
		left = slices.Delete(left, i, i+1)
	}
	for _, r := range odd {
		i := likest(r, left)
		if i < 0 {
			f.wrong("", fmt.Sprintf("the group %q lacks the rule %s: load the files that were written last", g.Name, r.Name))
			continue
		}
		f.wrong("", fmt.Sprintf("the rule %s of the group %q is not the one that was written: %s", r.Name, g.Name, strings.Join(differences(r, left[i]), "; ")))
		f.health(g, left[i])
		left = slices.Delete(left, i, i+1)
	}
	for _, r := range left {
		f.wrong("", fmt.Sprintf("the group %q has a rule too many, %s: it was left over or added by hand, and is no part of what is promised", g.Name, r.Name))
	}
	if len(odd)+len(left) == 0 && names(w.Rules) != names(g.Rules) {
		f.wrong("", fmt.Sprintf("the rules of the group %q stand in another order than they were written, and read what others recorded one evaluation before: got %s", g.Name, names(g.Rules)))
	}
}

// health wants a rule that is evaluated without an error: else it gives nothing.
func (f *findings) health(g Group, r Rule) {
	if r.Health == "err" {
		f.wrong("", fmt.Sprintf("the rule %s of the group %q fails, and gives nothing: %s", r.Name, g.Name, r.Error))
	}
}

// leftOver looks for what is named as ours and stands elsewhere.
func (f *findings) leftOver(known map[string]bool, loaded []Group) {
	for _, g := range loaded {
		switch {
		case known[g.Name]:
		case strings.HasPrefix(g.Name, ours):
			f.wrong("", fmt.Sprintf("the group %q of %s is left over from another configuration: remove the file, its rules go on: %s", g.Name, g.File, kinds(g.Rules)))
		default:
			for _, r := range g.Rules {
				if !r.Alerting && strings.HasPrefix(r.Name, ours) {
					f.wrong("", fmt.Sprintf("the group %q of %s records %s, which the generated rules read as their own: want another name", g.Name, g.File, r.Name))
				}
			}
		}
	}
}

// likest is the place of the rule of that name and kind with the fewest
// differences; -1 where there is none.
func likest(r Rule, among []Rule) int {
	best, least := -1, 0
	for i, l := range among {
		if l.Alerting != r.Alerting || l.Name != r.Name {
			continue
		}
		if n := len(differences(r, l)); best < 0 || n < least {
			best, least = i, n
		}
	}
	return best
}

// differences are those between a rule that was written and one that is loaded.
func differences(w, l Rule) []string {
	var all []string
	if w.Alerting != l.Alerting || w.Name != l.Name {
		all = append(all, fmt.Sprintf("it is %s", l.Name))
	}
	if want, got := canonical(w.Expr), canonical(l.Expr); want != got {
		want, got = differing(want, got)
		all = append(all, fmt.Sprintf("expr has %q, want %q", got, want))
	}
	for _, c := range []struct {
		name      string
		want, got *time.Duration
	}{{"for", w.For, l.For}, {"keep_firing_for", w.Keep, l.Keep}} {
		if c.want != nil && c.got != nil && *c.want != *c.got {
			all = append(all, fmt.Sprintf("%s is %s, want %s", c.name, *c.got, *c.want))
		}
	}
	all = append(all, texts("label", w.Labels, l.Labels)...)
	return append(all, texts("annotation", w.Annotations, l.Annotations)...)
}

// texts compares labels or annotations.
func texts(kind string, want, got map[string]string) []string {
	all := maps.Clone(want)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, got)
	var out []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		switch w, g := want[name], got[name]; {
		case w == g:
		case g == "":
			out = append(out, fmt.Sprintf("the %s %s is missing", kind, name))
		case w == "":
			out = append(out, fmt.Sprintf("the %s %s is one too many", kind, name))
		default:
			w, g = differing(w, g)
			out = append(out, fmt.Sprintf("the %s %s has %q, want %q", kind, name, g, w))
		}
	}
	return out
}

// canonical is an expression as our parser writes it: servers write it each in
// their own way. What it cannot read stays as it is.
func canonical(expr string) string {
	parsed, err := parser.NewParser(parser.Options{}).ParseExpr(expr)
	if err != nil {
		return strings.TrimSpace(expr)
	}
	return parsed.String()
}

// shownAround is how many bytes are shown on both sides of a difference.
const shownAround = 30

// differing cuts two texts to where they differ.
func differing(a, b string) (string, string) {
	from := 0
	for from < min(len(a), len(b)) && a[from] == b[from] {
		from++
	}
	end := 0
	for end < min(len(a), len(b))-from && a[len(a)-1-end] == b[len(b)-1-end] {
		end++
	}
	cut := func(s string) string {
		first, last := max(0, from-shownAround), min(len(s), len(s)-end+shownAround)
		text := strings.ToValidUTF8(s[first:last], "")
		if first > 0 {
			text = "…" + text
		}
		if last < len(s) {
			text += "…"
		}
		return text
	}
	return cut(a), cut(b)
}

// names lists rules in their order.
func names(rules []Rule) string {
	all := make([]string, len(rules))
	for i, r := range rules {
		all[i] = r.Name
	}
	return strings.Join(all, ", ")
}

// kinds lists the names of rules, each once.
func kinds(rules []Rule) string {
	return strings.Join(slices.Compact(strings.Split(names(rules), ", ")), ", ")
}

// files lists where groups are from.
func files(groups []Group) string {
	all := make([]string, len(groups))
	for i, g := range groups {
		all[i] = g.File
	}
	return strings.Join(all, " and ")
}

// short writes a measured time without digits that nobody reads.
func short(d time.Duration) time.Duration {
	if d >= time.Second {
		return d.Round(time.Millisecond)
	}
	return d.Round(10 * time.Microsecond)
}
