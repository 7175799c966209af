package backtest

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
)

// Forms are the forms of a timestamp that are read, for messages.
const Forms = "unix seconds such as 1700000000 or 1700000000.25, RFC 3339 such as 2023-11-14T22:13:20Z, or 2023-11-14 22:13:20[.25]"

// columns are those of a line, for messages.
const columns = "timestamp,value or timestamp,value,label"

// maxRecord is how many bytes one line may have: an unclosed quote would read the
// rest of the file into one field.
const maxRecord = 64 << 10

// Sample is one value at one instant. Value is NaN where there was none.
type Sample struct {
	At    time.Time
	Value float64
	Label Label
}

// Label says whether a sample is known to lie in a fault.
type Label int8

// The labels of a sample.
const (
	Unlabelled Label = iota // the source has no labels
	Normal
	Faulty
)

// Source gives samples one after the other, and io.EOF after the last.
type Source interface {
	Read() (Sample, error)
}

// Reader reads samples from CSV: timestamp,value[,label] with or without a header.
type Reader struct {
	// SkipBad counts lines that are no samples in Bad instead of ending with an error.
	SkipBad bool
	Bad     uint64 // lines that were skipped
	FirstAt int    // line of the first of them

	csv   *csv.Reader
	text  *bufio.Reader
	limit *limited
	zone  *time.Location
	begun bool
}

// NewReader reads CSV from r. Timestamps without a zone are of zone; nil: UTC.
func NewReader(r io.Reader, zone *time.Location) *Reader {
	if zone == nil {
		zone = time.UTC
	}
	limit := &limited{from: r}
	text := bufio.NewReaderSize(limit, maxRecord)
	c := csv.NewReader(text)
	c.FieldsPerRecord, c.ReuseRecord = -1, true
	return &Reader{csv: c, text: text, limit: limit, zone: zone}
}

// Read gives the next sample. A value that is empty, NaN or infinite is given as
// it is: it is for sigma to refuse. An error names the line.
func (r *Reader) Read() (Sample, error) {
	if !r.begun {
		if err := foreign(r.text); err != nil {
			return Sample{}, err
		}
		dropMark(r.text)
	}
	for {
		r.limit.from0 = r.csv.InputOffset()
		record, err := r.csv.Read()
		first := !r.begun
		r.begun = true
		if err == nil {
			var s Sample
			if s, err = r.sample(record); err == nil {
				return s, nil
			}
			if first && isHeader(record) {
				continue
			}
			line, _ := r.csv.FieldPos(0)
			err = &lineError{line, err}
		}
		if err = r.skip(err); err != nil {
			return Sample{}, err
		}
	}
}

// skip tells whether reading can go on after err: nil if so.
func (r *Reader) skip(err error) error {
	var quotes *csv.ParseError
	var line *lineError
	switch {
	case errors.As(err, &quotes):
		line = &lineError{quotes.StartLine, fmt.Errorf("%w; want %s", quotes.Err, columns)}
	case !errors.As(err, &line):
		return err
	}
	if !r.SkipBad {
		return line
	}
	if r.Bad++; r.Bad == 1 {
		r.FirstAt = line.line
	}
	return nil
}

// lineError is what is wrong with one line.
type lineError struct {
	line int
	err  error
}

// Error is part of error.
func (e *lineError) Error() string {
	return fmt.Sprintf("line %d: %v", e.line, e.err)
}

// Unwrap is what errors.As looks through.
func (e *lineError) Unwrap() error { return e.err }

// sample reads one record.
func (r *Reader) sample(record []string) (s Sample, err error) {
	if other := strings.IndexAny(record[0], ";\t|"); other >= 0 {
		return s, fmt.Errorf("the columns are set apart by %q; want commas: %s", record[0][other], columns)
	}
	if len(record) < 2 || len(record) > 3 {
		return s, fmt.Errorf("columns: got %d, want %s", len(record), columns)
	}
	if s.At, err = ParseTime(strings.TrimSpace(record[0]), r.zone); err != nil {
		return s, fmt.Errorf("%w; want %s", err, Forms)
	}
	if s.Value, err = parseValue(strings.TrimSpace(record[1])); err != nil {
		return s, err
	}
	if len(record) == 3 {
		s.Label, err = parseLabel(strings.TrimSpace(record[2]))
	}
	return s, err
}

// foreign tells what is no text that can be read. Nothing is used up.
func foreign(text *bufio.Reader) error {
	begin, _ := text.Peek(2) // an error comes again
	switch string(begin) {
	case "\x1f\x8b":
		return errors.New("this is compressed by gzip; want CSV: zcat FILE | probe-exporter backtest -")
	case "\xff\xfe", "\xfe\xff":
		return errors.New("this is UTF-16; want CSV in UTF-8: iconv -f UTF-16 -t UTF-8 FILE | probe-exporter backtest -")
	}
	return nil
}

// dropMark uses up a byte order mark: a quote behind one would not begin its field.
func dropMark(text *bufio.Reader) {
	if begin, _ := text.Peek(3); string(begin) == "\ufeff" { // an error comes again
		_, _ = text.Discard(len(begin))
	}
}

// isHeader tells whether a first line that is no sample names the columns: nothing
// in it is a number.
func isHeader(record []string) bool {
	for _, field := range record {
		if field = strings.TrimSpace(field); field == "" || strings.ContainsAny(field[:1], "0123456789+-.") {
			return false
		}
	}
	return true
}

// parseValue takes what is empty for NaN, and what is too large for infinite.
func parseValue(text string) (float64, error) {
	if text == "" || text == "null" {
		return math.NaN(), nil
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0, fmt.Errorf("the value is %q, want a number", shorten(text))
	}
	return v, nil
}

func parseLabel(text string) (Label, error) {
	switch strings.ToLower(text) {
	case "", "0", "0.0", "false":
		return Normal, nil
	case "1", "1.0", "true":
		return Faulty, nil
	}
	return 0, fmt.Errorf("the label is %q, want 1 in a fault and 0 elsewhere", shorten(text))
}

// shorten cuts foreign text to what an error can show.
func shorten(text string) string {
	const most = 40
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}

// limited ends reading when one record is too long. from0 is where that began.
type limited struct {
	from         io.Reader
	given, from0 int64
}

// Read is part of io.Reader. It is only asked when everything before has been
// used, so that what was given since from0 is one record.
func (l *limited) Read(p []byte) (int, error) {
	if l.given-l.from0 > maxRecord {
		return 0, fmt.Errorf("a line has more than %d KiB: is this CSV, and is every quote closed?", maxRecord>>10)
	}
	n, err := l.from.Read(p)
	l.given += int64(n)
	return n, err
}
