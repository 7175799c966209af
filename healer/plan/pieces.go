package plan

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"text/template/parse"
)

// piece is a literal part of a query or URL, or a hole that one template fills.
type piece struct {
	text string
	hole string // a name that occurs nowhere else in the text
	tmpl tmpl
}

// cut takes a text with templates apart.
func cut(text string, c scope) ([]piece, error) {
	c.controlAllowed = false
	whole, err := compileText(text, c)
	if err != nil || whole.exec == nil {
		return []piece{{text: text}}, err
	}
	stem := "hole"
	for strings.Contains(text, stem) {
		stem += "x"
	}
	var pieces []piece
	for i, node := range whole.exec.Root.Nodes {
		switch n := node.(type) {
		case *parse.TextNode:
			pieces = append(pieces, piece{text: string(n.Text)})
		case *parse.ActionNode:
			t, err := compileText(n.String(), c)
			if err != nil {
				return nil, err
			}
			pieces = append(pieces, piece{hole: fmt.Sprintf("%s%dx", stem, i), tmpl: t})
		}
	}
	return pieces, nil
}

// withHoles is the text with a name in each hole, to be parsed.
func withHoles(pieces []piece) string {
	var b strings.Builder
	for _, p := range pieces {
		b.WriteString(p.text + p.hole)
	}
	return b.String()
}

// holes counts the holes.
func holes(pieces []piece) (n int) {
	for _, p := range pieces {
		if p.hole != "" {
			n++
		}
	}
	return n
}

// holeNames stand for themselves.
func holeNames(pieces []piece) map[string]string {
	names := map[string]string{}
	for _, p := range pieces {
		if p.hole != "" {
			names[p.hole] = p.hole
		}
	}
	return names
}

// fillings renders what goes into each hole.
func (v view) fillings(pieces []piece) (map[string]string, *Refusal) {
	values := map[string]string{}
	for _, p := range pieces {
		if p.hole == "" {
			continue
		}
		value, refusal := v.text(p.tmpl)
		if refusal != nil {
			return nil, refusal
		}
		values[p.hole] = value
	}
	return values, nil
}

// urlTemplate is a URL whose path and query may hold values.
type urlTemplate struct {
	pieces []piece
	sketch *url.URL // with the holes in it
}

// compileURL parses the URL of a step. Scheme, host and port hold no template.
func compileURL(text string, c scope) (urlTemplate, error) {
	pieces, err := cut(text, c)
	if err != nil {
		return urlTemplate{}, err
	}
	u, err := url.Parse(withHoles(pieces))
	if err != nil {
		return urlTemplate{}, fmt.Errorf("parsing url %q: %w; scheme, host and port hold no template", text, bare(err))
	}
	for hole := range holeNames(pieces) {
		if !strings.Contains(u.EscapedPath()+"?"+u.RawQuery, hole) {
			return urlTemplate{}, fmt.Errorf("url %q: a template may stand in path and query alone", text)
		}
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return urlTemplate{}, fmt.Errorf("url %q: want http://host:port/path or https://…", text)
	case u.User != nil:
		return urlTemplate{}, fmt.Errorf("url %q: credentials belong into http_config", text)
	case u.Fragment != "":
		return urlTemplate{}, fmt.Errorf("url %q: a fragment is never sent", text)
	case dotted(u.Path):
		return urlTemplate{}, fmt.Errorf("url %q: the path holds . or .. as a segment", text)
	}
	return urlTemplate{pieces, u}, nil
}

// bare takes the URL out of a message of net/url: it may hold a secret.
func bare(err error) error {
	if inner, ok := errors.AsType[*url.Error](err); ok {
		return inner.Err
	}
	return err
}

// host is where the URL leads to, with the port of its scheme.
func (t urlTemplate) host() string {
	port := t.sketch.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[t.sketch.Scheme]
	}
	return net.JoinHostPort(t.sketch.Hostname(), port)
}

// url renders the URL, each value escaped, and proves that it leads to the same
// place: same host, same number of segments and of parameters.
func (v view) url(t urlTemplate) (string, *Refusal) {
	values, refusal := v.fillings(t.pieces)
	if refusal != nil {
		return "", refusal
	}
	var b strings.Builder
	query := false
	for _, p := range t.pieces {
		query = query || strings.Contains(p.text, "?")
		value := values[p.hole]
		switch {
		case p.hole == "":
			b.WriteString(p.text)
		case query:
			b.WriteString(url.QueryEscape(value))
		case dotted(value):
			return "", unsafe("url %q: the value %s holds . or .. as a segment", t.sketch, short(value))
		default:
			b.WriteString(url.PathEscape(value))
		}
	}
	got, err := url.Parse(b.String())
	if err != nil || shape(got) != shape(t.sketch) || dotted(got.EscapedPath()) {
		return "", unsafe("url %q: a value changes where it leads to: %q", t.sketch, b.String())
	}
	return b.String(), nil
}

// shape is what a value must not change: where a URL leads to, and how many
// segments and parameters it has.
func shape(u *url.URL) string {
	return fmt.Sprint(u.Scheme, " ", u.Host, " ", u.User != nil, " ", u.Fragment != "", " ",
		strings.Count(u.EscapedPath(), "/"), " ", strings.Count(u.RawQuery, "&"), " ", strings.Count(u.RawQuery, "="))
}

// dotted tells whether a path has a segment . or .., however it is separated.
func dotted(path string) bool {
	for _, s := range strings.FieldsFunc(path, func(r rune) bool { return r == '/' || r == '\\' }) {
		if s == "." || s == ".." {
			return true
		}
	}
	return false
}
