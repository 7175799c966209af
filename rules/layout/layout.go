// Package layout writes YAML as people write it: in a given order, with comments,
// and in one line where that reads better.
//
// It is given nodes that its own functions make, and gives one document. The
// rules and their tests are laid out with it.
package layout

import (
	"bytes"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Pair is one entry of a mapping, in the order of the file.
type Pair struct {
	Key   string
	Value *yaml.Node
}

// Text is a string; more than one line makes a literal block.
func Text(s string) *yaml.Node {
	n := &yaml.Node{}
	n.SetString(s)
	return n
}

// Plain is a value that needs no quotes: a number, a duration, true.
func Plain(s string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Value: s} }

// Mapping keeps the order of its entries.
func Mapping(pairs ...Pair) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode}
	for _, p := range pairs {
		n.Content = append(n.Content, Plain(p.Key), p.Value)
	}
	return n
}

// List is one item per line unless it is made inline.
func List(items ...*yaml.Node) *yaml.Node {
	return &yaml.Node{Kind: yaml.SequenceNode, Content: items}
}

// Inline writes a mapping or a list in one line.
func Inline(n *yaml.Node) *yaml.Node {
	n.Style = yaml.FlowStyle
	return n
}

// Remark sets a comment above a mapping or an item; it may have several lines.
func Remark(n *yaml.Node, comment string) *yaml.Node {
	n.HeadComment = "# " + strings.ReplaceAll(strings.TrimSpace(comment), "\n", "\n# ")
	return n
}

// Encode writes one document with a comment at its head.
func Encode(head string, n *yaml.Node) ([]byte, error) {
	var out bytes.Buffer
	for line := range strings.Lines(head) {
		out.WriteString("# " + line)
	}
	e := yaml.NewEncoder(&out)
	e.SetIndent(2)
	if err := e.Encode(n); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
