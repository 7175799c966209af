package plan

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// targetTypes are what a target may name.
var targetTypes = []string{"node", "pod", "deployment", "zone", "version", "service"}

// Target renders the plan's target, type:name. The error is a *Refusal:
// empty_target if a value of it is missing, unsafe_value if one does not match.
func (p *Plan) Target(d Data) (string, error) {
	v := p.view(d)
	v.missing = emptyTarget
	text, refusal := v.text(p.target)
	if refusal != nil {
		return "", refusal
	}
	if err := checkTarget(text); err != nil {
		return "", &Refusal{emptyTarget, err.Error()}
	}
	return text, nil
}

// checkTarget wants a name behind the type, and ns/name for deployments. The
// type itself was judged when the plan was compiled.
func checkTarget(text string) error {
	kind, name, _ := strings.Cut(text, ":")
	space, inner, cut := strings.Cut(name, "/")
	switch {
	case name == "":
		return fmt.Errorf("target %q has no name", text)
	case kind == "deployment" && (!cut || space == "" || inner == "" || strings.Contains(inner, "/")):
		return fmt.Errorf("target %q: want deployment:namespace/name", text)
	}
	return nil
}

// Render renders steps of the plan, in order. The error is a *Refusal; nothing
// may be carried out then, evidence included: render undo as well before the
// first step.
func (p *Plan) Render(steps []Step, d Data) ([]Rendered, error) {
	v := p.view(d)
	out := make([]Rendered, 0, len(steps))
	for _, s := range steps {
		r, refusal := v.step(s)
		if refusal != nil {
			return nil, refusal
		}
		out = append(out, r)
	}
	return out, nil
}

// step renders one step: each element of argv stays one element.
func (v view) step(s Step) (Rendered, *Refusal) {
	r := Rendered{Step: s, Method: s.method}
	for _, t := range s.argv {
		arg, refusal := v.text(t)
		if refusal != nil {
			return r, refusal
		}
		r.Exec = append(r.Exec, arg)
	}
	if s.method == "" {
		return r, nil
	}
	var refusal *Refusal
	if r.URL, refusal = v.url(s.url); refusal != nil || s.body == nil {
		return r, refusal
	}
	tree, refusal := v.tree(s.body)
	if refusal != nil {
		return r, refusal
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(tree); err != nil {
		return r, unsafe("body: %v", err)
	}
	r.Body = bytes.TrimSpace(out.Bytes())
	return r, nil
}

// tree renders the leaves of a body.
func (v view) tree(node any) (any, *Refusal) {
	switch n := node.(type) {
	case tmpl:
		return v.text(n)
	case []any:
		out := make([]any, len(n))
		for i, item := range n {
			var refusal *Refusal
			if out[i], refusal = v.tree(item); refusal != nil {
				return nil, refusal
			}
		}
		return out, nil
	case map[string]any:
		out := map[string]any{}
		for key, item := range n {
			var refusal *Refusal
			if out[key], refusal = v.tree(item); refusal != nil {
				return nil, refusal
			}
		}
		return out, nil
	}
	return node, nil
}

// Query puts the data into a query of the plan. The error is a *Refusal.
func (p *Plan) Query(q Query, d Data) (Query, error) {
	if holes(q.pieces) == 0 {
		return q, nil
	}
	values, refusal := p.view(d).fillings(q.pieces)
	if refusal != nil {
		return Query{}, refusal
	}
	out, refusal := q.rendered(values)
	if refusal != nil {
		return Query{}, refusal
	}
	return out, nil
}
