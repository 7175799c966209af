package collector

import (
	"io"
	"math"
	"strconv"
)

// flushAt is how much text is gathered before it is handed on.
const flushAt = 64 << 10

// kind is the type of a family, by its name in the text format.
type kind string

const (
	gauge     kind = "gauge"
	counter   kind = "counter"
	histogram kind = "histogram"
)

// family is one metric name with its help and type.
type family struct {
	name, help string
	kind       kind
}

// label is one pair.
type label struct{ name, value string }

// labels are pairs and, so that a scrape only copies, their text.
type labels struct {
	pairs []label
	text  string
}

// newLabels renders pairs; those without a value are left out, since an empty
// label is no label.
func newLabels(pairs ...label) *labels {
	l := &labels{}
	var text []byte
	for _, p := range pairs {
		if p.value != "" {
			l.pairs = append(l.pairs, p)
			text = appendLabel(text, p)
		}
	}
	l.text = string(text)
	return l
}

// appendLabel writes a pair, after a comma unless it is the first.
func appendLabel(b []byte, p label) []byte {
	if len(b) > 0 {
		b = append(b, ',')
	}
	b = append(b, p.name...)
	b = append(b, '=', '"')
	b = appendEscaped(b, p.value, true)
	return append(b, '"')
}

// appendEscaped writes a text as the format wants it. Quotes are escaped in
// label values, and stand as they are in a help.
func appendEscaped(b []byte, value string, quoted bool) []byte {
	for i := range len(value) {
		switch c := value[i]; {
		case c == '\n':
			b = append(b, '\\', 'n')
		case c == '\\', c == '"' && quoted:
			b = append(b, '\\', c)
		default:
			b = append(b, c)
		}
	}
	return b
}

// appendValue writes whole numbers without an exponent, as a reader expects
// them, and everything else in the shortest exact form.
func appendValue(b []byte, v float64) []byte {
	if v == math.Trunc(v) && math.Abs(v) < 1e15 {
		return strconv.AppendInt(b, int64(v), 10)
	}
	form := byte('g')
	if a := math.Abs(v); a >= 1e-6 && a < 1e15 {
		form = 'f'
	}
	return strconv.AppendFloat(b, v, form, -1, 64)
}

// textSink writes the text format 0.0.4. The first error ends the writing.
type textSink struct {
	w      io.Writer
	b      []byte
	family *family
	begun  bool // the head of the family is written
	err    error
}

// begin writes nothing yet: a family without a series has no head.
func (s *textSink) begin(f *family) { s.family, s.begun = f, false }

// head writes help and type before the first series of a family.
func (s *textSink) head() {
	if s.begun {
		return
	}
	s.begun = true
	s.b = append(s.b, "# HELP "...)
	s.b = append(s.b, s.family.name...)
	s.b = append(s.b, ' ')
	s.b = appendEscaped(s.b, s.family.help, false)
	s.b = append(s.b, "\n# TYPE "...)
	s.b = append(s.b, s.family.name...)
	s.b = append(s.b, ' ')
	s.b = append(s.b, s.family.kind...)
	s.b = append(s.b, '\n')
}

// sample writes one series of the present family.
func (s *textSink) sample(common, extra *labels, v float64) {
	s.head()
	s.line("", common, extra, "", v)
}

// line writes one series; suffix belongs to the name, le to a classic bucket.
func (s *textSink) line(suffix string, common, extra *labels, le string, v float64) {
	b := append(s.b, s.family.name...)
	b = append(b, suffix...)
	b = append(b, '{')
	begin := len(b)
	b = append(b, common.text...)
	if extra != nil && extra.text != "" {
		if len(b) > begin {
			b = append(b, ',')
		}
		b = append(b, extra.text...)
	}
	if le != "" {
		if len(b) > begin {
			b = append(b, ',')
		}
		b = append(b, `le="`...)
		b = append(b, le...)
		b = append(b, '"')
	}
	b = append(b, '}', ' ')
	b = appendValue(b, v)
	s.b = append(b, '\n')
	if len(s.b) >= flushAt {
		s.flush()
	}
}

// histogram writes count, sum and the classic buckets that there are.
func (s *textSink) histogram(common *labels, t *target, p *snapshot) {
	s.head()
	var below uint64
	for i, le := range t.state.bounds {
		below += p.buckets[i]
		s.line("_bucket", common, nil, le.text, float64(below))
	}
	s.line("_bucket", common, nil, "+Inf", float64(p.attempts))
	s.line("_sum", common, nil, "", p.seconds)
	s.line("_count", common, nil, "", float64(p.attempts))
}

// flush hands on what is gathered, unless the client is gone.
func (s *textSink) flush() {
	if s.err == nil {
		_, s.err = s.w.Write(s.b)
	}
	s.b = s.b[:0]
}

// end hands on the rest and gives the first error.
func (s *textSink) end() error {
	s.flush()
	return s.err
}
