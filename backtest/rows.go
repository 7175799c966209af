package backtest

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Columns are the names of what is told of each sample.
func Columns(score bool) []string {
	names := []string{"timestamp", "value", "mean", "stddev", "upper", "lower", "anomaly", "score", "fault_probability", "fault"}
	if !score {
		names = slices.DeleteFunc(names, func(n string) bool { return n == "score" })
	}
	return names
}

// Rows writes what is said of each sample, one line each. It is to be flushed.
type Rows struct {
	to    *bufio.Writer
	zone  *time.Location
	json  bool
	score bool
	line  []byte
}

// NewRows writes to w as csv or json (one object a line). Timestamps are RFC 3339
// in zone; nil: UTC.
func NewRows(w io.Writer, format string, zone *time.Location, score bool) (*Rows, error) {
	if format != "csv" && format != "json" {
		return nil, fmt.Errorf("the format is %q, want csv or json", format)
	}
	if zone == nil {
		zone = time.UTC
	}
	r := &Rows{to: bufio.NewWriterSize(w, 64<<10), zone: zone, json: format == "json", score: score}
	if !r.json {
		_, _ = r.to.WriteString(strings.Join(Columns(score), ",") + "\n") // an error stays until Flush
	}
	return r, nil
}

// Write writes one row. What is absent is empty in csv and null in json: all but
// time and value of a sample without a threshold, and the thresholds that the
// direction does not have.
func (r *Rows) Write(row Row) error {
	judged := row.Ready
	r.line = r.line[:0]
	r.begin("timestamp")
	if r.json {
		r.line = append(r.line, '"')
	}
	r.line = row.At.In(r.zone).AppendFormat(r.line, time.RFC3339Nano)
	if r.json {
		r.line = append(r.line, '"')
	}
	r.number("value", row.Value, true)
	baseline := judged && row.Samples > 0
	r.number("mean", row.Mean, baseline)
	r.number("stddev", row.StdDev, baseline)
	r.number("upper", row.Upper, row.HasUpper)
	r.number("lower", row.Lower, row.HasLower)
	r.number("anomaly", flagOf(row.Anomaly), judged)
	if r.score {
		r.number("score", row.Finding.Score, true)
	}
	r.number("fault_probability", row.E, judged)
	r.number("fault", flagOf(row.Fault), judged)
	if r.json {
		r.line = append(r.line, '}')
	}
	r.line = append(r.line, '\n')
	_, err := r.to.Write(r.line)
	return err
}

// Flush writes what is still kept back.
func (r *Rows) Flush() error { return r.to.Flush() }

// begin sets a field apart from the one before, and names it in json.
func (r *Rows) begin(name string) {
	first := len(r.line) == 0
	switch {
	case r.json && first:
		r.line = append(r.line, '{')
	case !first:
		r.line = append(r.line, ',')
	}
	if r.json {
		r.line = append(r.line, '"')
		r.line = append(r.line, name...)
		r.line = append(r.line, `":`...)
	}
}

func (r *Rows) number(name string, v float64, there bool) {
	r.begin(name)
	switch {
	case there:
		r.line = strconv.AppendFloat(r.line, v, 'g', -1, 64)
	case r.json:
		r.line = append(r.line, "null"...)
	}
}

// flagOf is 1 for true.
func flagOf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
