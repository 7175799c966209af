package config

import (
	"fmt"
	"strconv"
	"strings"
)

// Places tells where each value of a configuration stands: in which file, in
// which line, and under which path there. [ParseAll] gives them to settings with
// a method SetPlaces, before Check.
type Places struct {
	files   []string // in the order of reading
	spots   map[string]spot
	lengths map[string]int // path of an outermost list -> elements so far
	first   map[piece]int  // where the part of a file begins in such a list
}

// spot is a line of a file.
type spot struct {
	file string
	line int
}

// piece is the part of an outermost list that stands in one file.
type piece struct{ file, path string }

// newPlaces knows nothing yet.
func newPlaces() *Places {
	return &Places{spots: map[string]spot{}, lengths: map[string]int{}, first: map[piece]int{}}
}

// set notes where a path stands. The first file keeps what goes on in others.
func (p *Places) set(path, file string, line int) {
	if _, _, before := p.before(path, file); !before {
		p.spots[path] = spot{file, line}
	}
}

// before tells where a path stands in a file before this one.
func (p *Places) before(path, file string) (in string, line int, known bool) {
	s, known := p.spots[path]
	return s.file, s.line, known && s.file != file
}

// join adds the elements that a file holds of an outermost list.
func (p *Places) join(path, file string, elements int) {
	p.first[piece{file, path}] = p.lengths[path]
	p.lengths[path] += elements
}

// at is where a path stands, or else the nearest part of the file around it.
func (p *Places) at(path string) spot {
	for path != "" {
		if s, ok := p.spots[path]; ok {
			return s
		}
		path = path[:max(strings.LastIndexAny(path, ".["), 0)]
	}
	return p.spots[""]
}

// File is the file in which a path stands, or what is around it.
func (p *Places) File(path string) string { return p.at(path).file }

// Written tells whether a path stands in a file: what does not has its default.
func (p *Places) Written(path string) bool {
	_, written := p.spots[path]
	return written
}

// Mistake is one about a path, as [ParseAll] gives those that Check reports.
func (p *Places) Mistake(path, text string) Mistake {
	s := p.at(path)
	return Mistake{File: s.file, Line: s.line, Path: p.local(s.file, path), Text: text}
}

// local is a path as the reader of the file counts: the elements of a list begin
// at 0 in each file.
func (p *Places) local(file, path string) string {
	list, rest, found := strings.Cut(path, "[")
	index, rest, closed := strings.Cut(rest, "]")
	n, err := strconv.Atoi(index)
	first := p.first[piece{file, list}]
	if !found || !closed || err != nil || n < first {
		return path
	}
	return fmt.Sprintf("%s[%d]%s", list, n-first, rest)
}

// outermost tells whether a path is a key of the document itself.
func outermost(path string) bool { return path != "" && !strings.ContainsAny(path, ".[") }
