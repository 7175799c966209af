package promapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
)

// envelope is what surrounds every answer of the API. Unknown keys are let pass:
// servers of the same API add their own.
type envelope struct {
	Status    string          `json:"status"`
	Data      json.RawMessage `json:"data"`
	ErrorType string          `json:"errorType"`
	Error     string          `json:"error"`
	Warnings  []string        `json:"warnings"`
	Partial   bool            `json:"isPartial"` // VictoriaMetrics: a storage node was away
}

// open unwraps an answer and reads its data.
func open[T any](body []byte) (data T, err error) {
	var e envelope
	if err := json.Unmarshal(body, &e); err != nil {
		return data, fmt.Errorf("reading the answer: %w; is this the URL of a Prometheus API?", err)
	}
	if err := e.whole(); err != nil {
		return data, err
	}
	if err := json.Unmarshal(e.Data, &data); err != nil {
		return data, fmt.Errorf("reading the answer: %w", err)
	}
	return data, nil
}

// gaveUp is the errorType of a server whose own time-out has ended the question:
// Prometheus sends it with 503, others with 422 or 504.
const gaveUp = "timeout"

// kindError is an error of a kind, ErrTimeout or ErrQuestion, with a text of its own.
type kindError struct {
	error
	kind error
}

// Is tells the kind.
func (e kindError) Is(kind error) bool { return kind == e.kind }

// Unwrap gives the error itself.
func (e kindError) Unwrap() error { return e.error }

// kindOf gives an error that comes of waiting its kind.
func kindOf(err error) error {
	if waited := net.Error(nil); errors.As(err, &waited) && waited.Timeout() {
		return kindError{err, ErrTimeout}
	}
	return err
}

// whole tells whether an answer is a success and complete. Infos of the API
// ("might not be a counter") are no warnings and do not matter here.
func (e envelope) whole() error {
	switch {
	case e.Status != "success":
		return e.kind(http.StatusOK, fmt.Errorf("got status %q, want \"success\": %s: %s", cut(e.Status), cut(e.ErrorType), cut(e.Error)))
	case len(e.Warnings) > 0:
		return fmt.Errorf("the answer is not whole: %s", cut(strings.Join(e.Warnings, "; ")))
	case e.Partial:
		return errors.New("the answer is not whole: isPartial is true")
	}
	return nil
}

// kind gives an error of which the server tells the kind.
func (e envelope) kind(status int, err error) error {
	switch {
	case e.ErrorType == gaveUp:
		return kindError{err, ErrTimeout}
	case status == http.StatusBadRequest || status == http.StatusUnprocessableEntity:
		return kindError{err, ErrQuestion}
	}
	return err
}

// refusal says why an answer is not 200, in the server's words if it has some:
// Prometheus explains a bad query so, a proxy before it does not.
func refusal(status int, body []byte) error {
	err := fmt.Errorf("got %d %s, want 200", status, http.StatusText(status))
	var e envelope
	if json.Unmarshal(body, &e) == nil && e.Error != "" {
		err = e.kind(status, fmt.Errorf("%w: %s: %s", err, cut(e.ErrorType), cut(e.Error)))
	} else if status == http.StatusUnauthorized {
		err = fmt.Errorf("%w; want its user or token under http_config", err)
	} else if status == http.StatusNotFound {
		err = fmt.Errorf("%w; is this the URL of a Prometheus API?", err)
	}
	if status == http.StatusGatewayTimeout { // a proxy has given up
		err = kindError{err, ErrTimeout}
	}
	return err
}

// cut shortens foreign text, which ends in logs and in the journal.
func cut(text string) string { return cutTo(text, errorLimit) }

// cutTo shortens a text to so many bytes.
func cutTo(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit], "") + " …"
}

// stamped is [unix seconds, "value"].
type stamped struct {
	At    time.Time
	Value float64
}

// UnmarshalJSON reads the pair. Instants beyond the year 5138 are refused: they
// do not fit into what time.Time can be asked for.
func (s *stamped) UnmarshalJSON(text []byte) error {
	if s.readPlain(text) {
		return nil
	}
	var pair []json.RawMessage
	if err := json.Unmarshal(text, &pair); err != nil {
		return fmt.Errorf("reading the sample %s: %w", cut(string(text)), err)
	}
	if len(pair) != 2 {
		return fmt.Errorf("reading the sample %s: got %d elements, want 2", cut(string(text)), len(pair))
	}
	var seconds float64
	if err := json.Unmarshal(pair[0], &seconds); err != nil || math.Abs(seconds) > 1e11 {
		return fmt.Errorf("reading the sample %s: its first element is no unix time", cut(string(text)))
	}
	s.At = instantOf(seconds)
	return s.readValue(text, pair[1])
}

// instantOf gives the instant of a unix time, to the millisecond.
func instantOf(seconds float64) time.Time { return time.UnixMilli(int64(math.Round(seconds * 1000))) }

// readPlain reads a pair as every server writes it, without a copy of its parts: a
// matrix has a hundred thousand of them. It leaves all others, and every mistake,
// to be read with care.
func (s *stamped) readPlain(text []byte) bool {
	inner, isList := bytes.CutPrefix(text, []byte(`[`))
	at, value, two := bytes.Cut(inner, []byte(`,"`))
	value, ends := bytes.CutSuffix(value, []byte(`"]`))
	if !isList || !two || !ends || bytes.ContainsAny(value, `\"`) {
		return false
	}
	seconds, err := strconv.ParseFloat(string(at), 64)
	if err != nil || !(math.Abs(seconds) <= 1e11) {
		return false
	}
	v, err := strconv.ParseFloat(string(value), 64)
	if err != nil {
		return false
	}
	s.At, s.Value = instantOf(seconds), v
	return true
}

// readValue reads a number that is written as text, since JSON has neither NaN
// nor Inf.
func (s *stamped) readValue(sample, text []byte) (err error) {
	var value string
	if err := json.Unmarshal(text, &value); err != nil {
		return fmt.Errorf("reading the sample %s: its second element is no text", cut(string(sample)))
	}
	if s.Value, err = strconv.ParseFloat(value, 64); err != nil {
		return fmt.Errorf("reading the sample %s: %w", cut(string(sample)), err)
	}
	return nil
}

// instant is the answer to an instant query.
type instant struct {
	Type   string          `json:"resultType"`
	Result json.RawMessage `json:"result"`
}

// parseVector reads the answer to an instant query: a vector of numbers or a
// scalar. A matrix or a text is no answer to a question that is compared.
func parseVector(body []byte) ([]Point, error) {
	answer, err := open[instant](body)
	if err != nil {
		return nil, err
	}
	switch answer.Type {
	case "vector":
		return parseElements(answer.Result)
	case "scalar":
		return parseScalar(answer.Result)
	default:
		return nil, fmt.Errorf("reading the answer: got the type %q, want vector or scalar", cut(answer.Type))
	}
}

// parseScalar reads the one sample of a scalar.
func parseScalar(text json.RawMessage) ([]Point, error) {
	var s *stamped // null stays nil
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, err
	}
	if s == nil {
		return nil, errors.New("reading the answer: a scalar without value")
	}
	return []Point{{At: s.At, Value: s.Value}}, nil
}

// element is one element of a vector; a native histogram has no value.
type element struct {
	Metric map[string]string `json:"metric"`
	Value  *stamped          `json:"value"`
}

// parseElements reads the elements of a vector. An empty one is a list, too;
// null is not.
func parseElements(text json.RawMessage) ([]Point, error) {
	var elements []element
	if err := json.Unmarshal(text, &elements); err != nil {
		return nil, err
	}
	if elements == nil {
		return nil, errors.New("reading the answer: a vector without result")
	}
	points := make([]Point, len(elements))
	for i, x := range elements {
		if x.Value == nil {
			return nil, kindError{fmt.Errorf("reading the answer: %s has no number; a native histogram is none", cut(fmt.Sprint(x.Metric))), ErrQuestion}
		}
		points[i] = x.point()
	}
	return points, nil
}

// point drops the metric's name: two questions about one thing are compared by
// their labels alone.
func (x element) point() Point {
	delete(x.Metric, model.MetricNameLabel)
	return Point{Labels: x.Metric, At: x.Value.At, Value: x.Value.Value}
}

// row is one series of a matrix. Histograms are the samples of a native one.
type row struct {
	Metric     map[string]string `json:"metric"`
	Values     []stamped         `json:"values"`
	Histograms []json.RawMessage `json:"histograms"`
}

// parseMatrix reads the answer to a range query.
func parseMatrix(body []byte) ([]Track, error) {
	answer, err := open[instant](body)
	if err != nil {
		return nil, err
	}
	if answer.Type != "matrix" {
		return nil, fmt.Errorf("reading the answer: got the type %q, want matrix", cut(answer.Type))
	}
	var rows []row
	if err := json.Unmarshal(answer.Result, &rows); err != nil {
		return nil, err
	}
	if rows == nil {
		return nil, errors.New("reading the answer: a matrix without result")
	}
	tracks := make([]Track, len(rows))
	for i, r := range rows {
		if tracks[i], err = r.track(); err != nil {
			return nil, fmt.Errorf("reading the answer: %s: %w", cut(fmt.Sprint(r.Metric)), err)
		}
		rows[i].Values = nil // a large answer is not kept twice
	}
	return tracks, nil
}

// track drops the metric's name, and wants the samples in rising order: whoever
// learns from them could not go back.
func (r row) track() (Track, error) {
	if len(r.Histograms) > 0 {
		return Track{}, errors.New("it has native histograms, want numbers")
	}
	delete(r.Metric, model.MetricNameLabel)
	t := Track{Labels: r.Metric, Samples: make([]Sample, len(r.Values))}
	for i, v := range r.Values {
		if i > 0 && !v.At.After(t.Samples[i-1].At) {
			return Track{}, fmt.Errorf("its sample of %s comes after that of %s, want rising times", v.At.UTC().Format(time.RFC3339Nano), t.Samples[i-1].At.UTC().Format(time.RFC3339Nano))
		}
		t.Samples[i] = Sample(v)
	}
	return t, nil
}

// rules is the answer to the question for rules, as far as it is read: states,
// expressions and health are left to those who show them.
type rules struct {
	Groups []group `json:"groups"`
}

type group struct {
	Name     string  `json:"name"`
	File     string  `json:"file"`
	Interval float64 `json:"interval"` // seconds
	Rules    []struct {
		Name string `json:"name"`
		Type string `json:"type"` // alerting or recording
	} `json:"rules"`
}

// parseRules reads the groups with alerting rules; those that only record are
// left out.
func parseRules(body []byte) ([]RuleGroup, error) {
	all, err := open[rules](body)
	if err != nil {
		return nil, err
	}
	var groups []RuleGroup
	for _, g := range all.Groups {
		alerts := g.alerts()
		if len(alerts) == 0 {
			continue
		}
		interval, err := g.interval()
		if err != nil {
			return nil, fmt.Errorf("reading the answer: %w", err)
		}
		groups = append(groups, RuleGroup{File: g.File, Name: g.Name, Interval: interval, Alerts: alerts})
	}
	return groups, nil
}

// interval is the time between two evaluations of the group. An absent one is
// refused, since a pause of nothing would be made of it.
func (g group) interval() (time.Duration, error) {
	if !(g.Interval > 0 && g.Interval < 1e9) {
		return 0, fmt.Errorf("group %q has the interval %v, want seconds", g.Name, g.Interval)
	}
	return time.Duration(g.Interval * float64(time.Second)), nil
}

// alerts names the alerting rules of a group, in its order.
func (g group) alerts() []string {
	var names []string
	for _, r := range g.Rules {
		if r.Type == "alerting" {
			names = append(names, r.Name)
		}
	}
	return names
}
