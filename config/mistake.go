package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Mistake is one thing that is wrong in a file.
type Mistake struct {
	File string
	Line int    // from 1; 0 when the file has no line for it
	Path string // empty for the document as a whole
	Text string
}

// String writes the mistake as file:line: path: text, leaving out what is
// not known.
func (m Mistake) String() string {
	var b strings.Builder
	b.WriteString(m.File)
	if m.Line > 0 {
		fmt.Fprintf(&b, ":%d", m.Line)
	}
	if m.Path != "" {
		b.WriteString(": " + m.Path)
	}
	b.WriteString(": " + m.Text)
	return b.String()
}

// Mistakes are all mistakes of a configuration, sorted by file, line, then path.
// It is the error of [Load], [Parse] and [ParseAll] whenever the files could be
// read.
type Mistakes []Mistake

// Error writes one mistake a line.
func (m Mistakes) Error() string {
	lines := make([]string, len(m))
	for i, one := range m {
		lines[i] = one.String()
	}
	return strings.Join(lines, "\n")
}

// sorted gives the mistakes in the order of the files, each once, as an error
// that is nil when there are none.
func (m Mistakes) sorted(files []string) error {
	if len(m) == 0 {
		return nil
	}
	slices.SortStableFunc(m, func(a, b Mistake) int {
		return cmp.Or(cmp.Compare(slices.Index(files, a.File), slices.Index(files, b.File)),
			cmp.Compare(a.Line, b.Line), cmp.Compare(a.Path, b.Path), cmp.Compare(a.Text, b.Text))
	})
	return slices.Compact(m)
}
