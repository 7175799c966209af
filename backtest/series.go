package backtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"github.com/onefiveten/onefiveten/promapi"
)

// maxPoints is how many points one question asks for: Prometheus answers no
// more than 11,000.
const maxPoints = 10000

// Ranger answers range queries. promapi.Client is one.
type Ranger interface {
	Range(ctx context.Context, query string, from, to time.Time, step time.Duration) ([]promapi.Track, error)
}

// Question is a range query: the value at From and at every Step after it up to To.
type Question struct {
	Query    string
	From, To time.Time
	Step     time.Duration
}

// Points is how many values the answer holds at most.
func (q Question) Points() int64 { return int64(q.To.Sub(q.From)/q.Step) + 1 }

// series reads the one series of a range query, a chunk at a time.
type series struct {
	Question
	ctx    context.Context
	api    Ranger
	labels map[string]string
	known  bool
	next   time.Time // first instant of the next chunk
	chunk  []promapi.Sample
}

// NewSeries reads the one series that a query gives. Several of them are an error.
func NewSeries(ctx context.Context, api Ranger, q Question) (Source, error) {
	if q.Step < time.Millisecond || q.To.Before(q.From) {
		return nil, fmt.Errorf("from %s to %s by %s: want a step of 1ms or more, and an end that is not before the beginning", q.From.Format(time.RFC3339), q.To.Format(time.RFC3339), q.Step)
	}
	return &series{Question: q, ctx: ctx, api: api, next: q.From}, nil
}

// Read is part of Source.
func (s *series) Read() (Sample, error) {
	for len(s.chunk) == 0 {
		if s.next.After(s.To) {
			return Sample{}, s.end()
		}
		if err := s.ask(); err != nil {
			return Sample{}, err
		}
	}
	p := s.chunk[0]
	s.chunk = s.chunk[1:]
	return Sample{At: p.At, Value: p.Value}, nil
}

// end is io.EOF unless there was no sample at all.
func (s *series) end() error {
	if s.known {
		return io.EOF
	}
	return fmt.Errorf("%s gives nothing from %s to %s", s.Query, s.From.Format(time.RFC3339), s.To.Format(time.RFC3339))
}

// ask reads the next chunk.
func (s *series) ask() error {
	from := s.next
	to := from.Add((maxPoints - 1) * s.Step)
	if to.After(s.To) {
		to = s.To
	}
	s.next = to.Add(s.Step)
	tracks, err := s.api.Range(s.ctx, s.Query, from, to, s.Step)
	if err != nil {
		return err
	}
	if s.known {
		tracks = append(tracks, promapi.Track{Labels: s.labels})
	}
	if err := alone(s.Query, tracks); err != nil || len(tracks) == 0 {
		return err
	}
	s.known, s.labels, s.chunk = true, tracks[0].Labels, tracks[0].Samples
	return nil
}

// alone wants all tracks to be of one series.
func alone(query string, tracks []promapi.Track) error {
	const shown = 5
	var names []string
	for _, t := range tracks {
		if name := nameOf(t.Labels); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if len(names) <= 1 {
		return nil
	}
	slices.Sort(names)
	more := ""
	if n := len(names) - shown; n > 0 {
		more = fmt.Sprintf(" and %d more", n)
	}
	return errors.New(query + " gives several series: " + strings.Join(names[:min(len(names), shown)], ", ") + more + "; want one: name the labels of one in the selector, or aggregate, such as max(…)")
}

// nameOf writes labels as PromQL does.
func nameOf(labels map[string]string) string {
	set := make(model.LabelSet, len(labels))
	for name, value := range maps.All(labels) {
		set[model.LabelName(name)] = model.LabelValue(value)
	}
	return set.String()
}
