package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// mapping decodes a mapping into a struct or a map, key by key.
func (d *decoder) mapping(n *yaml.Node, v reflect.Value, path string, line int) {
	if n.Kind != yaml.MappingNode {
		d.mistake(line, path, "want a mapping, got "+form(n))
		return
	}
	var into keys
	if v.Kind() == reflect.Map {
		if v.Type().Key().Kind() != reflect.String {
			d.leaf(n, v, path, line)
			return
		}
		into = keys{rest: v}
	} else {
		into.add(v)
	}
	if into.rest.IsValid() && into.rest.IsNil() {
		into.rest.Set(reflect.MakeMap(into.rest.Type()))
	}
	d.pairs(n, into, path, map[string]int{})
}

// pairs decodes the keys that stand in the mapping itself, then those merged
// into it by <<, which yield to them. seen holds the line of each key so far.
func (d *decoder) pairs(n *yaml.Node, into keys, path string, seen map[string]int) {
	// A key is a double within one mapping only; over a merge the nearer wins.
	here := map[string]bool{}
	var merged []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, item := n.Content[i], n.Content[i+1]
		if key.Kind == yaml.ScalarNode && key.Value == "<<" && key.ShortTag() == "!!merge" {
			merged = append(merged, item)
			continue
		}
		if key.Kind != yaml.ScalarNode {
			d.mistake(key.Line, path, "want a text as key, got "+describe(key))
			continue
		}
		first, known := seen[key.Value]
		switch {
		case here[key.Value]:
			d.mistake(key.Line, join(path, key.Value), fmt.Sprintf("key stands twice, first in line %d", first))
		case !known:
			seen[key.Value] = key.Line
			d.pair(key, item, into, path)
		}
		here[key.Value] = true
	}
	for _, item := range merged {
		d.merge(item, into, path, seen)
	}
}

// merge takes in what stands behind <<: a mapping or a list of mappings.
func (d *decoder) merge(n *yaml.Node, into keys, path string, seen map[string]int) {
	if d.nodes++; d.nodes > maxNodes {
		return
	}
	switch n.Kind { //nolint:exhaustive // the default takes the rest
	case yaml.AliasNode:
		d.alias(n, path, func(target *yaml.Node) { d.merge(target, into, path, seen) })
	case yaml.MappingNode:
		d.nodes += len(n.Content) // keys that are overruled cost time too
		d.pairs(n, into, path, seen)
	case yaml.SequenceNode:
		for _, item := range n.Content {
			d.merge(item, into, path, seen)
		}
	default:
		d.mistake(n.Line, path, "want a mapping to merge, got "+describe(n))
	}
}

// pair decodes one key and its value.
func (d *decoder) pair(key, item *yaml.Node, into keys, path string) {
	at := join(path, key.Value)
	field, known := into.fields[key.Value]
	if path == "" && len(d.only) > 0 && !slices.Contains(d.only, key.Value) {
		d.mistake(key.Line, at, "want only "+strings.Join(d.only, ", ")+" in this file")
		return
	}
	if file, line, before := d.places.before(at, d.file); before && !(known && goesOn(field.Type())) {
		d.mistake(key.Line, at, fmt.Sprintf("stands twice, first in %s:%d", file, line))
		return
	} else if before && isNull(item) {
		return // nothing to add
	}
	if known {
		d.value(item, field, at, key.Line)
		return
	}
	if !into.rest.IsValid() {
		d.mistake(key.Line, at, "unknown key"+hint(key.Value, into.fields))
		return
	}
	fresh := reflect.New(into.rest.Type().Elem()).Elem()
	d.value(item, fresh, at, key.Line)
	into.rest.SetMapIndex(reflect.ValueOf(key.Value).Convert(into.rest.Type().Key()), fresh)
}

// goesOn tells whether a key may stand in several files: it holds things with a
// name each. A list of plain values is one value.
func goesOn(t reflect.Type) bool {
	return t.Kind() == reflect.Map || t.Kind() == reflect.Slice && (t.Elem().Kind() == reflect.Struct || t.Elem().Kind() == reflect.Map)
}

// keys are the places that the keys of a mapping go to: fields of a struct and
// of those inlined into it, and a map for the rest.
type keys struct {
	fields map[string]reflect.Value
	rest   reflect.Value
}

// add collects the fields of a struct as the YAML library names them.
func (k *keys) add(v reflect.Value) {
	if k.fields == nil {
		k.fields = map[string]reflect.Value{}
	}
	for i := range v.NumField() {
		field := v.Type().Field(i)
		name, flags, _ := strings.Cut(field.Tag.Get("yaml"), ",")
		switch {
		case !field.IsExported() || name == "-":
		case !strings.Contains(","+flags+",", ",inline,"):
			if name == "" {
				name = strings.ToLower(field.Name)
			}
			k.fields[name] = v.Field(i)
		case v.Field(i).Kind() == reflect.Map:
			k.rest = v.Field(i)
		case v.Field(i).Kind() == reflect.Struct:
			k.add(v.Field(i))
		}
	}
}

// join puts a key behind a path, as Check writes them.
func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// hint names the known key that is nearest, when one is near.
func hint(key string, known map[string]reflect.Value) string {
	best, least := "", max(2, len(key)/3)+1
	for name := range known {
		if n := distance(key, name); n < least || n == least && name < best {
			best, least = name, n
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// distance counts the letters to insert, delete or replace between two keys
// (Levenshtein). Long keys count as far away.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	// row holds the distances between a[:i] and every beginning of b.
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		corner := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := corner
			if a[i] != b[j] {
				cost++
			}
			corner = row[j+1]
			row[j+1] = min(cost, row[j]+1, corner+1)
		}
	}
	return row[len(b)]
}
