package lint

import (
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"
)

// text is a value with the place where it stands in its file.
type text struct {
	value string
	node  *yaml.Node
	lines []string // of the whole file
}

// line is the line of the file on which the byte at offset of the value stands.
// Blocks, folded or not, and texts in quotes differ from their value in space and
// in escapes alone, so both are walked side by side by what is no space. Where that
// fails it is the line on which the value begins.
func (t text) line(offset int) int {
	offset = max(0, min(offset, len(t.value)))
	before := 0
	for _, c := range t.value[:offset] {
		if !unicode.IsSpace(c) {
			before++
		}
	}
	want := []rune(strings.Join(strings.Fields(t.value), ""))
	if len(want) == 0 {
		return t.node.Line
	}
	before = min(before, len(want)-1)
	row, column := t.node.Line-1, max(t.node.Column-1, 0)
	switch {
	case t.node.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		row, column = row+1, 0
	case t.node.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0:
		column++
	}
	return t.walk(want[:before+1], row, column)
}

// walk looks for the characters in the file from a place on, and gives the line of
// the last of them.
func (t text) walk(want []rune, row, column int) int {
	seen := 0
	for ; row < len(t.lines); row, column = row+1, 0 {
		source := []rune(t.lines[row])
		for _, c := range source[min(column, len(source)):] {
			switch {
			case unicode.IsSpace(c):
			case c == want[seen]:
				if seen++; seen == len(want) {
					return row + 1
				}
			case c == '\\' || c == '\'': // an escape
			default:
				return t.node.Line
			}
		}
	}
	return t.node.Line
}
