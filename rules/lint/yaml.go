package lint

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"
)

// deepest is how many merged mappings may stand in each other.
const deepest = 10

// reader reads one file. group and rule are where it is, ignored and
// groupIgnored what comments turn off there.
type reader struct {
	*linter
	file  string
	lines []string
	group string
	rule  string

	ignored, groupIgnored []string
}

// comment gives the checks that the comments right above a line turn off, as in
// "# lint: ignore division, comparison". What Prometheus refuses stays refused.
func (r *reader) comment(line int) (checks []string) {
	for line--; line >= 1 && line <= len(r.lines); line-- {
		text, ok := strings.CutPrefix(strings.TrimSpace(r.lines[line-1]), "#")
		if !ok {
			break
		}
		if text, ok = strings.CutPrefix(strings.TrimSpace(text), "lint: ignore "); !ok {
			continue
		}
		for name := range strings.FieldsFuncSeq(text, func(c rune) bool { return c == ',' || c == ' ' }) {
			if name = strings.TrimSpace(name); !slices.Contains(optional(), name) {
				r.say(line, Warning, "no check that could be ignored is named %s, want one of %s", quoted(name), strings.Join(optional(), ", "))
			}
			checks = append(checks, name)
		}
	}
	return checks
}

// optional are the checks that may be turned off.
func optional() []string {
	return []string{Duplicate, GroupSize, Interval, Dependency, Division, Comparison, Experimental, RangeEdge, KBound, LabelValue}
}

// wrong tells of what Prometheus would refuse.
func (r *reader) wrong(line int, format string, args ...any) { r.say(line, Error, format, args...) }

// say tells of what no comment turns off.
func (r *reader) say(line int, s Severity, format string, args ...any) {
	r.found = append(r.found, Finding{
		File: r.file, Line: line, Group: r.group, Rule: r.rule, Check: Syntax, Severity: s, Text: fmt.Sprintf(format, args...),
	})
}

// lineBefore is how the library begins an error that has a place.
var lineBefore = regexp.MustCompile(`^line (\d+): `)

// broken tells of YAML that cannot be read. The library says the line in its text.
func (r *reader) broken(line int, err error) {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	text = strings.TrimPrefix(text, "unmarshal errors:\n  ")
	if m := lineBefore.FindStringSubmatch(text); m != nil {
		if n, err := strconv.Atoi(m[1]); err == nil {
			line, text = n, text[len(m[0]):]
		}
	}
	r.wrong(line, "reading YAML: %s", text)
}

// resolved is what an alias stands for.
func resolved(n *yaml.Node) *yaml.Node {
	if n != nil && n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// empty says that nothing stands there.
func empty(n *yaml.Node) bool {
	return n == nil || n.Kind == 0 || n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null"
}

// mapping gives the values of a mapping by key. Unknown keys and those that stand
// twice are told; what is merged yields to what stands there.
func (r *reader) mapping(n *yaml.Node, what string, known ...string) map[string]*yaml.Node {
	return r.merge(n, what, known, deepest)
}

// merge is mapping with a limit: aliases may stand in each other without an end.
func (r *reader) merge(n *yaml.Node, what string, known []string, depth int) map[string]*yaml.Node {
	all := map[string]*yaml.Node{}
	n = resolved(n)
	if empty(n) {
		return all
	}
	if n.Kind != yaml.MappingNode || depth == 0 {
		r.wrong(n.Line, "%s: want a mapping of %s", what, strings.Join(known, ", "))
		return all
	}
	var merged []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := resolved(n.Content[i]), n.Content[i+1]
		switch {
		case key.Kind == yaml.ScalarNode && key.ShortTag() == "!!merge":
			merged = append(merged, value)
		case key.Kind != yaml.ScalarNode || !slices.Contains(known, key.Value):
			r.wrong(key.Line, "%s: unknown key %q, want %s", what, key.Value, strings.Join(known, ", "))
		case all[key.Value] != nil:
			r.wrong(key.Line, "%s: the key %q stands twice", what, key.Value)
		default:
			all[key.Value] = value
		}
	}
	for _, m := range merged {
		r.fill(all, m, what, known, depth)
	}
	return all
}

// fill adds what a merged mapping, or a list of them, has and all has not.
func (r *reader) fill(all map[string]*yaml.Node, m *yaml.Node, what string, known []string, depth int) {
	m = resolved(m)
	from := []*yaml.Node{m}
	if m.Kind == yaml.SequenceNode {
		from = m.Content
	}
	for _, one := range from {
		for key, value := range r.merge(one, what, known, depth-1) {
			if all[key] == nil {
				all[key] = value
			}
		}
	}
}

// list gives the entries of a list; nothing is an empty one, and entries of nothing
// are left out, as Prometheus does.
func (r *reader) list(n *yaml.Node, what string) []*yaml.Node {
	n = resolved(n)
	if empty(n) {
		return nil
	}
	if n.Kind != yaml.SequenceNode {
		r.wrong(n.Line, "%s: want a list", what)
		return nil
	}
	return slices.DeleteFunc(slices.Clone(n.Content), func(one *yaml.Node) bool { return empty(resolved(one)) })
}

// text gives a text with its place. Nothing is an empty one.
func (r *reader) text(n *yaml.Node) text {
	n = resolved(n)
	if n == nil {
		n = &yaml.Node{}
	}
	t := text{node: n, lines: r.lines}
	if empty(n) {
		return t
	}
	if err := n.Decode(&t.value); err != nil {
		r.broken(n.Line, err)
	}
	return t
}

// duration reads a duration of Prometheus; nothing is 0.
func (r *reader) duration(n *yaml.Node, key string) time.Duration {
	if empty(resolved(n)) {
		return 0
	}
	t := r.text(n)
	d, err := model.ParseDuration(t.value)
	if err != nil {
		r.wrong(t.node.Line, "%s: want a duration such as 30s or 5m, got %q", key, t.value)
	}
	return time.Duration(d)
}

// entry is a label or an annotation.
type entry struct {
	name string
	text
}

// entries reads labels or annotations. The names are those of Prometheus 3, where
// every text is one; a name that Prometheus 2 refuses is a warning.
func (r *reader) entries(n *yaml.Node, what string) []entry {
	n = resolved(n)
	if empty(n) {
		return nil
	}
	var decoded map[string]string
	if err := n.Decode(&decoded); err != nil {
		r.broken(n.Line, err)
		return nil
	}
	var all []entry
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := resolved(n.Content[i])
		if key.ShortTag() == "!!merge" {
			continue // it is judged where it stands
		}
		e := entry{name: key.Value, text: r.text(n.Content[i+1])}
		r.named(key.Line, what, e.name)
		if what == "label" && !model.LabelValue(e.value).IsValid() {
			r.wrong(key.Line, "label %s: the value is no UTF-8", e.name)
		}
		all = append(all, e)
		delete(decoded, e.name)
	}
	for _, name := range sorted(decoded) {
		all = append(all, entry{name: name, text: text{value: decoded[name], node: n}})
		r.named(n.Line, what, name)
	}
	return all
}

// named judges the name of a label or of an annotation.
func (r *reader) named(line int, what, name string) {
	switch {
	case !model.UTF8Validation.IsValidLabelName(name) || what == "label" && name == model.MetricNameLabel:
		r.wrong(line, "%s: %q is no name of one", what, name)
	case !model.LegacyValidation.IsValidLabelName(name):
		r.say(line, Warning, "%s: Prometheus before 3.0 refuses the name %q", what, name)
	}
}
