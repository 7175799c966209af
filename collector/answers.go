package collector

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-kit/log/level"

	"github.com/onefiveten/onefiveten/promapi"
	"github.com/onefiveten/onefiveten/sigma"
)

// Reasons for which a query gave no usable answer, or one of which a part is of
// no use.
const (
	queryTimeout = "timeout"         // no answer in time, or the server has given up
	queryFailed  = "query"           // an error in the place of an answer
	queryEmpty   = "empty"           // no series
	queryMany    = "too_many_series" // more than max_series: nothing is taken
	queryLabels  = "labels"          // a series that is none of the service's members
	queryNumber  = "not_finite"      // a value that is no number to reckon with
	queryOrder   = "order"           // a sample that is not after the one before
	queryRange   = "range"           // a value that the range rules out; it is judged all the same
	queryTraffic = "traffic"         // nobody says how much traffic the members carry; they are judged all the same
)

// queryReasons are all of them.
var queryReasons = [...]string{queryTimeout, queryFailed, queryEmpty, queryMany, queryLabels, queryNumber, queryOrder, queryRange, queryTraffic}

// answer is what came of one evaluation.
type answer struct {
	began, ended time.Time
	points       []promapi.Point
	err          error
}

// refusal is why an answer, or a part of it, is of no use.
type refusal struct {
	reason string
	err    error
}

// refusals keeps the first of each reason.
type refusals []refusal

// add keeps one.
func (r *refusals) add(reason string, err error) {
	if !slices.ContainsFunc(*r, func(x refusal) bool { return x.reason == reason }) {
		*r = append(*r, refusal{reason, err})
	}
}

// take judges an answer and shows what came of it. What failed as a whole leaves
// the verdicts, which grow old by themselves.
func (s *queryState) take(c *Collector, got answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := *s.shown.Load()
	wasUp := next.up
	next.ended, next.up = true, false
	refused := s.failure(got)
	if len(refused) == 0 {
		next.series, refused = s.judge(c, got)
		next.up = len(next.series) > 0
	}
	if next.up {
		next.lastRun, next.until = seconds(got.ended), got.ended.Add(s.query.stale())
	}
	s.shown.Store(&next)
	c.own.tookQuery(s.query.key(), s, got.ended.Sub(got.began), refused, len(next.fresh(got.ended)))
	s.tell(c, wasUp, next.up, s.tellRange(c, refused))
}

// failure tells why the answer is of no use as a whole.
func (s *queryState) failure(got answer) (refused refusals) {
	switch n := len(got.points); {
	case errors.Is(got.err, promapi.ErrTimeout) || errors.Is(got.err, context.DeadlineExceeded):
		refused.add(queryTimeout, got.err)
	case got.err != nil:
		refused.add(queryFailed, got.err)
	case n > s.query.most:
		refused.add(queryMany, fmt.Errorf("got %d series, want max_series of %d at most: aggregate, or raise it", n, s.query.most))
	}
	return refused
}

// judge adds one sample to each series of an answer. It gives those that took
// theirs, by their labels; a series that is not among them is not known to be well
// and leaves the page.
func (s *queryState) judge(c *Collector, got answer) ([]shownMember, refusals) {
	at := c.sampleTime(got.began)
	if !at.After(s.last) {
		at = s.last.Add(1)
	}
	s.last = at
	var refused refusals
	if len(got.points) == 0 {
		refused.add(queryEmpty, errors.New("got no series"))
	}
	values := s.values(got.points, at, &refused)
	s.narrow()
	list := make([]shownMember, 0, len(values))
	for m, value := range values {
		v, err := m.judged.take(at, value, seconds(got.began), m.verdict)
		switch {
		case errors.Is(err, sigma.ErrNotFinite):
			refused.add(queryNumber, fmt.Errorf("got the value %v for {%s}: %w", value, m.labels.text, err))
		case err != nil:
			refused.add(queryOrder, fmt.Errorf("got a sample for {%s}: %w", m.labels.text, err))
		default:
			m.verdict, m.seen = v, at
			list = append(list, shownMember{m.labels, v})
			if b := s.rules.baseline; b.Low < b.High && (value < b.Low || value > b.High) {
				refused.add(queryRange, fmt.Errorf("got the value %v for {%s}, want %v to %v: it is judged all the same, and with a wrong range may always be an anomaly", value, m.labels.text, b.Low, b.High))
			}
		}
	}
	s.forget(at)
	slices.SortFunc(list, func(a, b shownMember) int { return strings.Compare(a.labels.text, b.labels.text) })
	return list, refused
}

// narrow lets the series that wait for their past keep together no more than the
// signal may. The state is locked.
func (s *queryState) narrow() {
	if s.past == noPast {
		return
	}
	for _, m := range s.members {
		m.verdict = m.judged.narrow(len(s.members), m.verdict)
	}
}

// values gives each series of an answer its value. Two of one member cannot both
// be right: neither is taken.
func (s *queryState) values(points []promapi.Point, at time.Time, refused *refusals) map[*member]float64 {
	all, double := make(map[*member]float64, len(points)), map[*member]bool{}
	for _, p := range points {
		m, err := s.member(p.Labels, at)
		if err != nil {
			refused.add(queryLabels, err)
			continue
		}
		if _, ok := all[m]; ok {
			refused.add(queryLabels, fmt.Errorf("got two series of {%s}", m.labels.text))
			double[m] = true
		}
		all[m] = p.Value
	}
	for m := range double {
		delete(all, m)
	}
	return all
}

// fresh gives the series that may be shown at the instant now.
func (a *answered) fresh(now time.Time) []shownMember {
	if now.After(a.until) {
		return nil
	}
	return a.series
}

// tellRange logs the first value that the range of the signal rules out: the range
// is wrong, and will be so again. It gives what else was wrong.
func (s *queryState) tellRange(c *Collector, refused refusals) refusals {
	i := slices.IndexFunc(refused, func(r refusal) bool { return r.reason == queryRange })
	if i < 0 {
		return refused
	}
	if !s.beyond {
		s.beyond = true
		_ = level.Warn(c.logger).Log("msg", "a value lies outside of the range of its signal: is that right?", "err", cut(refused[i].err.Error()),
			"service", s.query.service, "signal", s.query.name)
	}
	return slices.Delete(slices.Clone(refused), i, i+1)
}

// tell logs where a signal begins to fail, as a whole or in part, or goes on failing
// for another reason, and where it is well again.
func (s *queryState) tell(c *Collector, wasUp, up bool, refused refusals) {
	before, now := s.reason, ""
	if len(refused) > 0 {
		now = refused[0].reason
	}
	s.reason = now
	who := []any{"service", s.query.service, "signal", s.query.name}
	switch {
	case now != "" && (before != now || wasUp && !up):
		text := "a signal has no usable answer"
		if up {
			text = "a part of the answer for a signal is refused"
		}
		_ = level.Warn(c.logger).Log(append([]any{"msg", text, "reason", now, "err", cut(refused[0].err.Error())}, who...)...)
	case before != "" && now == "":
		_ = level.Info(c.logger).Log(append([]any{"msg", "a signal is answered again", "reason", before}, who...)...)
	}
}
