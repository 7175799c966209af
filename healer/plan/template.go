package plan

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"text/template"
	"text/template/parse"
	"unicode/utf8"

	amtemplate "github.com/prometheus/alertmanager/template"
)

// defaultValues is what a value from outside may be unless a plan says
// otherwise: no quote, no slash, no space, no dash at its beginning.
const defaultValues = `[A-Za-z0-9][A-Za-z0-9._:-]{0,252}`

// scope says what a template may name, and what values must match.
type scope struct {
	values         *regexp.Regexp
	member, alert  bool // .Member; .Alert, .Incident and .Run
	noTemplate     bool
	params         map[string]bool
	controlAllowed bool // if and else
}

// tmpl is one compiled text. Without exec it is the text itself.
type tmpl struct {
	text string
	exec *template.Template
	refs []ref
}

// ref is one value that a template names: {"Member.Labels", "node"}.
type ref struct{ root, key string }

// String writes the name as the template does.
func (r ref) String() string { return strings.Replace("."+r.root+"."+r.key, "..", ".", 1) }

// compileText parses a template and refuses what could not be judged value by
// value: a whole label map, a variable, a loop, another template.
func compileText(text string, c scope) (tmpl, error) {
	if !strings.Contains(text, "{{") {
		return tmpl{text: text}, nil
	}
	if c.noTemplate {
		return tmpl{}, fmt.Errorf("%q: no template may stand here", text)
	}
	t := tmpl{text: text}
	exec, err := template.New("").Option("missingkey=error").Funcs(functions(c.values)).Parse(text)
	if err != nil {
		return tmpl{}, fmt.Errorf("parsing template %q: %w", text, err)
	}
	if len(exec.Templates()) > 1 || exec.Tree == nil {
		return tmpl{}, fmt.Errorf("template %q: define is not allowed", text)
	}
	if err := t.walk(exec.Root, c); err != nil {
		return tmpl{}, fmt.Errorf("template %q: %w", text, err)
	}
	t.exec = exec
	return t, nil
}

// functions are Alertmanager's without safe* and without routeLabels, which
// answers nothing here. What decodes is judged again: it could bring back what
// the pattern keeps out.
func functions(values *regexp.Regexp) template.FuncMap {
	out := template.FuncMap{}
	maps.Copy(out, template.FuncMap(amtemplate.DefaultFuncs))
	for _, name := range []string{"safeHtml", "safeUrl", "routeLabels"} {
		delete(out, name)
	}
	judged := func(decode func(string) (string, error)) func(string) (string, error) {
		return func(s string) (string, error) {
			text, err := decode(s)
			if err == nil && !safe(text, values) {
				return "", unsafe("the decoded value %s does not match the plan's values %s", short(text), values)
			}
			return text, err
		}
	}
	out["urlUnescape"] = judged(url.QueryUnescape)
	if decode, ok := amtemplate.DefaultFuncs["base64decode"].(func(string) (string, error)); ok {
		out["base64decode"] = judged(decode)
	}
	return out
}

// walk checks a parse tree and collects the values that it names.
func (t *tmpl) walk(node parse.Node, c scope) error {
	switch n := node.(type) {
	case *parse.ListNode:
		return each(n.Nodes, func(n parse.Node) error { return t.walk(n, c) })
	case *parse.ActionNode:
		return t.walk(n.Pipe, c)
	case *parse.PipeNode:
		if len(n.Decl) > 0 {
			return errors.New("variables are not allowed")
		}
		return each(n.Cmds, func(n *parse.CommandNode) error {
			return each(n.Args, func(n parse.Node) error { return t.walk(n, c) })
		})
	case *parse.IfNode:
		if !c.controlAllowed {
			return errors.New("if is not allowed here, only values and functions")
		}
		err := errors.Join(t.walk(n.Pipe, c), t.walk(n.List, c))
		if n.ElseList != nil {
			err = errors.Join(err, t.walk(n.ElseList, c))
		}
		return err
	case *parse.FieldNode:
		return t.field(n.Ident, c)
	case *parse.IdentifierNode:
		if n.Ident == "index" {
			return errors.New("index is not allowed: name the label itself, such as .Member.Labels.node")
		}
		return nil
	case *parse.TextNode, *parse.StringNode, *parse.NumberNode, *parse.BoolNode, *parse.CommentNode:
		return nil
	}
	return fmt.Errorf("%s is not allowed, only values, functions and if", node)
}

// each goes through a list up to the first error.
func each[T any](list []T, do func(T) error) error {
	for _, item := range list {
		if err := do(item); err != nil {
			return err
		}
	}
	return nil
}

// facts are the names under .Incident and .Run.
var facts = map[string][]string{
	"Incident": {"ID", "Scenario", "Scope", "Severity", "Round", "FaultStart", "OpenedAt"},
	"Run":      {"ID", "Attempt", "Fence"},
}

// field checks one name such as .Member.Labels.node.
func (t *tmpl) field(ident []string, c scope) error {
	r := ref{strings.Join(ident[:len(ident)-1], "."), ident[len(ident)-1]}
	known, allowed := true, c.alert
	switch r.root {
	case "Member.Labels":
		allowed = c.member
	case "Params":
		known, allowed = c.params == nil || c.params[r.key], true
	case "Service":
		known, allowed = r.key == "Name", true
	case "Alert.Labels", "Alert.Annotations":
	default:
		known = slices.Contains(facts[r.root], r.key)
	}
	switch {
	case !known:
		return fmt.Errorf("%s is not known", r)
	case !allowed && r.root == "Member.Labels":
		return fmt.Errorf("%s: a plan whose target names no member has none", r)
	case !allowed:
		return fmt.Errorf("%s may not stand here: a target is made of .Member, .Service and .Params alone", r)
	}
	t.refs = append(t.refs, r)
	return nil
}

// view is one Data as templates see it: only values that may be used.
type view struct {
	data   Data
	params map[string]string
	values *regexp.Regexp
	shown  map[string]any
	// missing is the code for a value that is absent or empty.
	missing string
}

// view keeps what may be used and leaves out the rest, so that naming it is an
// error. Parameters of the plan go before those of the service; both come from
// the configuration and are not judged.
func (p *Plan) view(d Data) view {
	if d.Service == nil {
		d.Service = &Service{}
	}
	v := view{data: d, values: p.Values, params: map[string]string{}, missing: unsafeValue}
	maps.Copy(v.params, d.Service.Params)
	maps.Copy(v.params, p.Params)
	keep := func(all map[string]string) map[string]string {
		kept := map[string]string{}
		for name, value := range all {
			if safe(value, p.Values) {
				kept[name] = value
			}
		}
		return kept
	}
	v.shown = map[string]any{
		"Member":   map[string]any{"Labels": keep(d.Member)},
		"Alert":    map[string]any{"Labels": keep(d.Labels), "Annotations": keep(d.Annotations)},
		"Service":  map[string]string{"Name": d.Service.Name},
		"Params":   v.params,
		"Incident": d.Incident,
		"Run":      d.Run,
	}
	return v
}

// safe tells whether a value may enter a text: non-empty, sound UTF-8, matched
// wholly by the pattern.
func safe(value string, values *regexp.Regexp) bool {
	return value != "" && utf8.ValidString(value) && !strings.ContainsRune(value, 0) && values.MatchString(value)
}

// wholly makes a pattern match from the first to the last byte.
func wholly(pattern string) (*regexp.Regexp, error) {
	if _, err := regexp.Compile(pattern); err != nil {
		return nil, fmt.Errorf("compiling pattern %q: %w", pattern, err)
	}
	return regexp.Compile(`\A(?:` + pattern + `)\z`)
}

// text renders a template. A text that turns out empty is refused, too: it
// would be an argument or a name that nobody wrote.
func (v view) text(t tmpl) (string, *Refusal) {
	if t.exec == nil {
		return t.text, nil
	}
	var out strings.Builder
	err := t.exec.Execute(&out, v.shown)
	var refusal *Refusal
	switch {
	case errors.As(err, &refusal):
		return "", refusal
	case err != nil:
		return "", v.explain(t, err)
	case out.Len() == 0:
		return "", &Refusal{v.missing, fmt.Sprintf("template %q gives an empty text", t.text)}
	}
	return out.String(), nil
}

// explain says which value of a template was missing or unsafe. With if, only
// the one that the error names is meant.
func (v view) explain(t tmpl, err error) *Refusal {
	for _, r := range t.refs {
		if !strings.Contains(err.Error(), fmt.Sprintf("%q", r.key)) {
			continue
		}
		value := v.lookup(r)
		if value == "" {
			return &Refusal{v.missing, fmt.Sprintf("template %q: %s is missing", t.text, r)}
		}
		return unsafe("template %q: %s is %s, which does not match the plan's values %s", t.text, r, short(value), v.values)
	}
	return unsafe("template %q: %v", t.text, err)
}

// lookup gives the value as it came, for messages.
func (v view) lookup(r ref) string {
	switch r.root {
	case "Member.Labels":
		return v.data.Member[r.key]
	case "Alert.Labels":
		return v.data.Labels[r.key]
	case "Alert.Annotations":
		return v.data.Annotations[r.key]
	}
	return v.params[r.key]
}

// The codes of HEALING 6 that a Refusal carries.
const (
	unsafeValue = "unsafe_value"
	emptyTarget = "empty_target"
)

// unsafe makes a refusal of a value.
func unsafe(format string, args ...any) *Refusal {
	return &Refusal{unsafeValue, fmt.Sprintf(format, args...)}
}

// short quotes a value for people, cut to 80 bytes.
func short(value string) string {
	if len(value) > 80 {
		value = value[:80] + "…"
	}
	return fmt.Sprintf("%q", value)
}
