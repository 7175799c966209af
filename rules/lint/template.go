package lint

import (
	"regexp"
	"strconv"
	"strings"
	"text/template"
	"text/template/parse"

	"github.com/prometheus/prometheus/promql/parser"
)

// head declares what Prometheus declares before each template of a rule.
const head = `{{$labels := .Labels}}{{$externalLabels := .ExternalLabels}}{{$externalURL := .ExternalURL}}{{$value := .Value}}`

// declared is how many actions head has.
const declared = 4

// functions are the names that a template of Prometheus may call beside those of
// Go. They are never called here.
func functions() template.FuncMap {
	all := template.FuncMap{}
	for name := range strings.FieldsSeq(`query first label value strvalue args reReplaceAll safeHtml match title toUpper toLower graphLink tableLink
		sortByLabel stripPort stripDomain humanize humanize1024 humanizeDuration humanizePercentage humanizeTimestamp toTime toDuration now
		pathPrefix externalURL parseDuration urlQueryEscape`) {
		all[name] = func() string { return "" }
	}
	return all
}

// templates judges the labels and annotations of an alert. Those of a record are
// no templates.
func (l *linter) templates(r *rule) {
	if r.record {
		return
	}
	for _, e := range r.labels {
		if tree := l.template(r, "label", e); tree != nil {
			l.changing(r, e, tree)
		}
	}
	for _, e := range r.annotations {
		l.template(r, "annotation", e)
	}
}

// template parses one and follows its queries. It gives nil where there is nothing
// in it to judge.
func (l *linter) template(r *rule, what string, e entry) *parse.ListNode {
	if !strings.Contains(e.value, "{{") {
		return nil
	}
	t, err := template.New("template").Funcs(functions()).Parse(head + e.value)
	if err != nil {
		line, text := 1, strings.TrimPrefix(err.Error(), "template: template:")
		if number, rest, ok := strings.Cut(text, ": "); ok {
			if n, err := strconv.Atoi(number); err == nil {
				line, text = n, rest
			}
		}
		l.tell(r, e.line(lineStart(e.value, line)), Syntax, Error, "%s %s: parsing the template: %s", what, e.name, text)
		return nil
	}
	if t.Tree == nil || t.Root == nil || len(t.Root.Nodes) < declared {
		return nil
	}
	root := &parse.ListNode{NodeType: parse.NodeList, Nodes: t.Root.Nodes[declared:]}
	walk(root, false, func(n parse.Node, _ bool) {
		if q, ok := asked(n); ok {
			l.asks(r, what, e, q)
		}
	})
	return root
}

// lineStart is the offset at which a line begins, the first is 1.
func lineStart(s string, line int) int {
	offset := 0
	for ; line > 1; line-- {
		i := strings.IndexByte(s[offset:], '\n')
		if i < 0 {
			break
		}
		offset += i + 1
	}
	return offset
}

// walk visits the nodes of a template that can name a value. condition says that
// the node only decides what is shown and is not shown itself.
func walk(n parse.Node, condition bool, visit func(n parse.Node, condition bool)) {
	switch n := n.(type) {
	case *parse.ListNode:
		walkList(n, condition, visit)
	case *parse.ActionNode:
		walk(n.Pipe, condition, visit)
	case *parse.TemplateNode:
		walk(n.Pipe, condition, visit)
	case *parse.IfNode:
		walkBranch(&n.BranchNode, true, condition, visit)
	case *parse.WithNode:
		walkBranch(&n.BranchNode, condition, condition, visit)
	case *parse.RangeNode:
		walkBranch(&n.BranchNode, condition, condition, visit)
	case *parse.PipeNode:
		walkPipe(n, condition, visit)
	case *parse.ChainNode:
		walk(n.Node, condition, visit)
	default:
		visit(n, condition)
	}
}

// walkList visits a list, which is nil for an "else" that is not there.
func walkList(list *parse.ListNode, condition bool, visit func(n parse.Node, condition bool)) {
	if list == nil {
		return
	}
	for _, n := range list.Nodes {
		walk(n, condition, visit)
	}
}

// walkPipe visits a pipe, which is nil for a template without an argument.
func walkPipe(pipe *parse.PipeNode, condition bool, visit func(n parse.Node, condition bool)) {
	if pipe == nil {
		return
	}
	visit(pipe, condition)
	for _, c := range pipe.Cmds {
		for _, a := range c.Args {
			walk(a, condition, visit)
		}
	}
}

// walkBranch visits if, with or range; pipe says that what is asked there is a
// condition alone.
func walkBranch(b *parse.BranchNode, pipe, condition bool, visit func(n parse.Node, condition bool)) {
	walk(b.Pipe, pipe, visit)
	walk(b.List, condition, visit)
	walk(b.ElseList, condition, visit)
}

// changing tells a label that is not the same as long as an alert fires: it makes
// another alert each time, with its own "for", notification and end.
func (l *linter) changing(r *rule, e entry, tree *parse.ListNode) {
	shown, asked := "", ""
	walk(tree, false, func(n parse.Node, condition bool) {
		name := changes(n)
		switch {
		case name == "":
		case condition:
			asked = name
		case shown == "":
			shown = name
			l.tell(r, e.line(int(n.Position())-len(head)), LabelValue, Error,
				"the label %s shows %s, which changes: each change is a new alert, group and episode; want it in an annotation", e.name, name)
		}
	})
	if shown == "" && asked != "" {
		l.tell(r, e.line(0), LabelValue, Warning,
			"the label %s depends on %s, which changes: when it does the alert ends and another one begins; two rules with a label each keep them apart", e.name, asked)
	}
}

// changes names what in a template is not the same as long as an alert fires.
func changes(n parse.Node) string {
	switch n := n.(type) {
	case *parse.FieldNode:
		if n.Ident[0] == "Value" {
			return ".Value"
		}
	case *parse.VariableNode:
		if n.Ident[0] == "$value" || len(n.Ident) > 1 && n.Ident[0] == "$" && n.Ident[1] == "Value" {
			return n.String()
		}
	case *parse.IdentifierNode:
		if n.Ident == "query" || n.Ident == "now" {
			return n.Ident
		}
	}
	return ""
}

// question is the query of a template. In one that is not exact some parts are
// known at evaluation time alone; blank stands there.
type question struct {
	text   string
	exact  bool
	offset int
}

// blank stands for a text that printf puts in.
const blank = "blank"

// asked finds a query whose text can be seen: query "x", "x" | query, and the same
// with printf.
func asked(n parse.Node) (question, bool) {
	p, ok := n.(*parse.PipeNode)
	if !ok {
		return question{}, false
	}
	for i, c := range p.Cmds {
		if id, ok := c.Args[0].(*parse.IdentifierNode); !ok || id.Ident != "query" {
			continue
		}
		if len(c.Args) > 1 {
			return written(c.Args[1:])
		}
		if i > 0 {
			return written(p.Cmds[i-1].Args)
		}
	}
	return question{}, false
}

// written is the text that a string, or a printf of one, gives.
func written(args []parse.Node) (question, bool) {
	switch first := args[0].(type) {
	case *parse.StringNode:
		return question{first.Text, true, int(first.Pos) - len(head)}, true
	case *parse.PipeNode:
		if len(first.Cmds) == 1 {
			return written(first.Cmds[0].Args)
		}
	case *parse.IdentifierNode:
		if len(args) < 2 || first.Ident != "printf" {
			break
		}
		if format, ok := args[1].(*parse.StringNode); ok {
			return question{filled(format.Text), false, int(format.Pos) - len(head)}, true
		}
	}
	return question{}, false
}

// verbs are the places in a format of printf.
var verbs = regexp.MustCompile(`%[-+# 0]*[0-9.]*[a-zA-Z%]`)

// filled puts something into a format of printf.
func filled(format string) string {
	return verbs.ReplaceAllStringFunc(format, func(verb string) string {
		switch verb[len(verb)-1] {
		case '%':
			return "%"
		case 'q':
			return `"` + blank + `"`
		case 's', 'v':
			return blank
		}
		return "1"
	})
}

// asks judges the query of a template. One that is put together is judged where it
// can be read as an expression.
func (l *linter) asks(r *rule, what string, e entry, q question) {
	line := e.line(q.offset)
	expr, err := parser.NewParser(parser.Options{}).ParseExpr(q.text)
	if err != nil {
		if q.exact {
			l.tell(r, line, Syntax, Error, "%s %s: parsing the query: %v", what, e.name, err)
		}
		return
	}
	l.dependenciesOf(r, expr, what+" "+e.name+" ", !q.exact, func(parser.Node) int { return line })
}
