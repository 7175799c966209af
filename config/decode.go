package config

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"
)

// maxNodes bounds the values of one file with all aliases followed: far more
// than anybody writes, far less than a file made to exhaust memory.
const maxNodes = 1 << 18

// decoder fills settings from nodes, one value at a time, so that one mistake
// does not hide the next. The YAML library does the leaves only.
type decoder struct {
	places   *Places
	mistakes Mistakes
	wrong    map[string]bool // paths with a mistake of decoding

	// Of the file that is being decoded.
	file  string
	only  []string
	nodes int
	open  []*yaml.Node // aliases being followed
}

// newDecoder gives one that knows no file yet.
func newDecoder() *decoder {
	return &decoder{places: newPlaces(), wrong: map[string]bool{}}
}

// begin turns to the next file.
func (d *decoder) begin(s Source) {
	d.file, d.only, d.nodes, d.open = s.File, s.Only, 0, nil
	d.places.files = append(d.places.files, s.File)
}

// oldUnmarshaler is the form that needs no import of a YAML library: rooms use
// it, too. It is the form of UnmarshalYAML that prometheus/common has.
type oldUnmarshaler interface {
	UnmarshalYAML(unmarshal func(any) error) error
}

var (
	unmarshalerType     = reflect.TypeFor[yaml.Unmarshaler]()
	oldUnmarshalerType  = reflect.TypeFor[oldUnmarshaler]()
	textUnmarshalerType = reflect.TypeFor[encoding.TextUnmarshaler]()
	nodeType            = reflect.TypeFor[yaml.Node]()
	durationType        = reflect.TypeFor[time.Duration]()
	promDurationType    = reflect.TypeFor[model.Duration]()
)

// value decodes one node into v, which is addressable. line is that of the
// key, or of the node when it has none.
func (d *decoder) value(n *yaml.Node, v reflect.Value, path string, line int) {
	if d.nodes++; d.nodes > maxNodes {
		if d.nodes == maxNodes+1 {
			d.mistake(line, path, fmt.Sprintf("more than %d values with all aliases followed", maxNodes))
		}
		return
	}
	d.places.set(path, d.file, line)
	if n.Kind == yaml.AliasNode {
		d.alias(n, path, func(target *yaml.Node) { d.value(target, v, path, line) })
		return
	}
	switch {
	case isNull(n):
		setNull(v)
	case v.Kind() == reflect.Pointer && v.Type().Elem() != nodeType:
		// A fresh value, so that a pointer that is set already is not shared.
		fresh := reflect.New(v.Type().Elem())
		d.value(n, fresh.Elem(), path, line)
		v.Set(fresh)
	case unmarshals(v.Type()) && v.Type() != promDurationType:
		d.custom(n, v, path, line)
	default:
		d.plain(n, v, path, line)
	}
}

// alias follows an alias unless it stands within itself.
func (d *decoder) alias(n *yaml.Node, path string, follow func(*yaml.Node)) {
	for _, o := range d.open {
		if o == n {
			d.mistake(n.Line, path, fmt.Sprintf("anchor %q contains itself", n.Value))
			return
		}
	}
	d.open = append(d.open, n)
	follow(n.Alias)
	d.open = d.open[:len(d.open)-1]
}

// plain decodes by kind, for types that do not decode themselves.
func (d *decoder) plain(n *yaml.Node, v reflect.Value, path string, line int) {
	switch kind := v.Kind(); {
	case kind == reflect.Struct && v.Type() != nodeType && !unmarshalsText(v.Type()):
		d.mapping(n, v, path, line)
	case kind == reflect.Map:
		d.mapping(n, v, path, line)
	case kind == reflect.Slice && v.Type().Elem().Kind() != reflect.Uint8:
		d.list(n, v, path, line)
	default:
		d.leaf(n, v, path, line)
	}
}

// custom lets a type decode itself, after its parts have been tried on a
// scratch value: only so does strictness reach into a type that calls back into
// the YAML library, and only so do its mistakes carry their own paths.
func (d *decoder) custom(n *yaml.Node, v reflect.Value, path string, line int) {
	before := len(d.mistakes)
	// Only where node and type have the same shape: a type of its own may well
	// take a mapping into a string.
	walk := n.Kind == yaml.MappingNode && (v.Kind() == reflect.Struct || v.Kind() == reflect.Map) ||
		n.Kind == yaml.SequenceNode && v.Kind() == reflect.Slice
	scratch := reflect.New(v.Type()).Elem()
	if walk && v.Type() != nodeType {
		d.plain(n, scratch, path, line)
	}
	if len(d.mistakes) == before {
		d.leaf(n, v, path, line)
		return
	}
	// What is right is kept, so that Check speaks of the rest of it only.
	if d.pruned(n, path).Decode(v.Addr().Interface()) != nil {
		v.Set(scratch)
	}
}

// pruned is a copy of a node without the values that have a mistake.
func (d *decoder) pruned(n *yaml.Node, path string) *yaml.Node {
	if d.nodes++; d.nodes > maxNodes || n.Kind == yaml.AliasNode {
		return n
	}
	kept := *n
	kept.Content = nil
	switch n.Kind { //nolint:exhaustive // scalars have no parts
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			if at := join(path, n.Content[i].Value); !d.wrong[at] {
				kept.Content = append(kept.Content, n.Content[i], d.pruned(n.Content[i+1], at))
			}
		}
	case yaml.SequenceNode:
		for i, item := range n.Content {
			at := fmt.Sprintf("%s[%d]", path, i)
			if d.wrong[at] {
				item = &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null"} // keeps the places of the others
			}
			kept.Content = append(kept.Content, d.pruned(item, at))
		}
	}
	return &kept
}

// list decodes a sequence. An empty one gives an empty slice, not nil, so that
// "none" can be told from "not written". An outermost list goes on after what the
// files before have put into it.
func (d *decoder) list(n *yaml.Node, v reflect.Value, path string, line int) {
	if n.Kind != yaml.SequenceNode {
		d.mistake(line, path, "want a list, got "+form(n))
		return
	}
	before := d.places.lengths[path]
	list := reflect.MakeSlice(v.Type(), before+len(n.Content), before+len(n.Content))
	reflect.Copy(list, v.Slice(0, before))
	if outermost(path) {
		d.places.join(path, d.file, len(n.Content))
	}
	for i, item := range n.Content {
		d.value(item, list.Index(before+i), fmt.Sprintf("%s[%d]", path, before+i), item.Line)
	}
	v.Set(list)
}

// leaf decodes with the YAML library and puts its errors into our words.
func (d *decoder) leaf(n *yaml.Node, v reflect.Value, path string, line int) {
	err := n.Decode(v.Addr().Interface())
	if err == nil {
		return
	}
	var typed *yaml.TypeError
	own := (unmarshals(v.Type()) || unmarshalsText(v.Type())) && !durationLike(v.Type())
	switch want := wanted(v.Type()); {
	case want != "" && (!own || n.Kind != yaml.ScalarNode):
		d.mistake(line, path, "want "+want+", got "+describe(n))
	case !errors.As(err, &typed):
		text := err.Error()
		d.mistake(line, path, text[len(place.FindString(text)):])
	case n.Kind == yaml.ScalarNode && (v.Kind() == reflect.Struct || v.Kind() == reflect.Map):
		d.mistake(line, path, "want a mapping, got "+form(n))
	default:
		d.typeErrors(typed.Errors, path, line)
	}
}

// typeErrors keeps what the library found within one node, each at the line
// that it names.
func (d *decoder) typeErrors(texts []string, path string, line int) {
	for _, text := range texts {
		at := place.FindStringSubmatch(text)
		if inner, err := strconv.Atoi(at[1]); err == nil {
			line = inner
		}
		d.mistake(line, path, text[len(at[0]):])
	}
}

// durationLike tells the two types that hold a duration: a wrong one is worth a
// message that shows a right one.
func durationLike(t reflect.Type) bool { return t == durationType || t == promDurationType }

// unmarshals tells whether a type decodes itself from YAML.
func unmarshals(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	return p.Implements(unmarshalerType) || p.Implements(oldUnmarshalerType)
}

// unmarshalsText tells whether a type decodes itself from a text.
func unmarshalsText(t reflect.Type) bool {
	return reflect.PointerTo(t).Implements(textUnmarshalerType)
}

// setNull is what the YAML library does with null: what can be nil becomes so,
// everything else keeps its default.
func setNull(v reflect.Value) {
	switch v.Kind() { //nolint:exhaustive // the rest cannot be nil
	case reflect.Pointer, reflect.Map, reflect.Slice, reflect.Interface:
		v.SetZero()
	}
}

// isNull tells an empty value, ~ and null from a text that says so.
func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// wanted says what a type holds, for messages.
func wanted(t reflect.Type) string {
	if durationLike(t) {
		return "a duration with its unit, such as 30s or 5m"
	}
	switch t.Kind() { //nolint:exhaustive // of the rest nothing short can be said
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return "a whole number"
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "a whole number that is not negative"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.String:
		return "a text"
	}
	return ""
}

// form says what a node is, and nothing of what it holds: where a mapping is
// wanted it may be a password, as in basic_auth: secret.
func form(n *yaml.Node) string {
	switch n.Kind { //nolint:exhaustive // the rest are scalars
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	return "a plain value"
}

// describe is form with scalars quoted, cut short.
func describe(n *yaml.Node) string {
	if n.Kind == yaml.MappingNode || n.Kind == yaml.SequenceNode {
		return form(n)
	}
	if text := strings.ToValidUTF8(n.Value, "?"); len(text) <= 40 {
		return strconv.Quote(text)
	}
	return "a long text"
}
