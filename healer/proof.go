package healer

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"sync"
	"time"

	"github.com/onefiveten/onefiveten/healer/plan"
)

// ask puts a three-valued question to Prometheus (HEALING 2). It asks the left
// side of every part and compares itself: all samples of all parts hold = Good,
// one does not = Bad. Empty, NaN, an error or a time-out of one part is
// CannotTell, and so is a definite no beside a part that cannot be told: an
// action must never rest on half an answer. The second result is a JSON list
// with one object per reading: what was asked, what was wanted, what came.
func ask(ctx context.Context, p Prometheus, q plan.Query) (Answer, string) {
	return askAll(ctx, p, parts(q))
}

// askFresh is ask behind the time fence (HEALING 10): every vector selector of
// the query must have been sampled beyond the fence, and series of
// probe-exporter's own schedule must come from a run that ended beyond it.
// Otherwise the answer is CannotTell, whatever the values say. The fence is an
// instant of Prometheus' clock, as fenceNow gives it.
func askFresh(ctx context.Context, p Prometheus, q plan.Query, fence time.Time) (Answer, string) {
	questions := parts(q)
	if len(q.Selectors) == 0 {
		questions = append(questions, question{broken: "the query has no selector whose age could be read"})
	}
	for _, s := range q.Selectors {
		questions = append(questions, freshness(s, fence)...)
	}
	return askAll(ctx, p, questions)
}

// fenceNow reads Prometheus' own clock, to the millisecond.
func fenceNow(ctx context.Context, p Prometheus) (time.Time, error) {
	points, err := p.Query(ctx, "time()")
	if err != nil {
		return time.Time{}, fmt.Errorf("read the time fence: %w", err)
	}
	if len(points) != 1 {
		return time.Time{}, fmt.Errorf("read the time fence: got %d samples, want 1", len(points))
	}
	seconds := points[0].Value
	if !(seconds > 0 && seconds < 1e11) {
		return time.Time{}, fmt.Errorf("read the time fence: got %v, want unix seconds", seconds)
	}
	return time.UnixMilli(int64(math.Round(seconds * 1000))), nil
}

// streak is the proof's rule over its evaluations (HEALING 10). From and the
// samples are instants of one clock, whichever: with the store's clock From is
// the moment at which the fence was read, not the fence itself.
type streak struct {
	From                       time.Time
	Settle, For, Within, Every time.Duration
}

// fewest is the least number of evaluations that make a streak.
const fewest = 3

// Begin is the first instant that counts: From + Settle.
func (s streak) Begin() time.Time { return s.From.Add(s.Settle) }

// End is the last instant that counts: Begin + Within.
func (s streak) End() time.Time { return s.Begin().Add(s.Within) }

// Next is the instant of the next evaluation: Begin, then one each Every after
// the newest sample.
func (s streak) Next(samples []Sample) time.Time {
	next := s.Begin()
	if n := len(samples); n > 0 {
		if after := samples[n-1].At.Add(s.Every); after.After(next) {
			return after
		}
	}
	return next
}

// Judge gives the proof's answer over the samples, oldest first, and whether it
// is final. Good: the newest evaluations are an unbroken streak of Good for
// For. At End without one: CannotTell if no evaluation of the last For could be
// told (none at all is none that could), else Bad. Before End the answer is
// CannotTell and not final.
func (s streak) Judge(now time.Time, samples []Sample) (answer Answer, final bool) {
	var counted []Sample
	for _, x := range samples {
		if !x.At.Before(s.Begin()) && !x.At.After(s.End()) {
			counted = append(counted, x)
		}
	}
	if unbroken(counted, Good, s.For, s.Every) {
		return Good, true
	}
	if now.Before(s.End()) {
		return CannotTell, false
	}
	for _, x := range counted {
		if x.Answer != CannotTell && !x.At.Before(s.End().Add(-s.For)) {
			return Bad, true
		}
	}
	return CannotTell, true
}

// unbroken reports whether the newest samples, oldest first, are all the given
// answer over at least span, are at least three, and stand no further apart
// than one and a half times every: a missed evaluation is a gap.
func unbroken(samples []Sample, answer Answer, span, every time.Duration) bool {
	n := 0
	for i := len(samples) - 1; i >= 0 && samples[i].Answer == answer; i-- {
		if n > 0 && samples[i+1].At.Sub(samples[i].At) > every+every/2 {
			break
		}
		n++
	}
	if n < fewest {
		return false
	}
	return samples[len(samples)-1].At.Sub(samples[len(samples)-n].At) >= span
}

// question is one instant query and the comparison that its samples must pass.
type question struct {
	query  string
	want   string // for people: "== 1"
	holds  func(float64) bool
	failed Answer // what one sample that does not hold means
	empty  Answer // what an empty answer means
	why    string // what is said of a sample that does not hold
	any    bool   // one sample that holds is enough
	broken string // why it cannot be asked at all
}

// reading is one answered question, as it is kept in the journal. Numbers are
// text, since NaN and Inf are no JSON.
type reading struct {
	Query  string   `json:"query,omitempty"`
	Want   string   `json:"want,omitempty"`
	Count  int      `json:"samples"`
	Got    []string `json:"got,omitempty"`
	Answer Answer   `json:"answer"`
	Why    string   `json:"why,omitempty"`
}

// askAll asks all questions at once, since the guards have five seconds for all
// of theirs. The number of questions is the configuration's.
func askAll(ctx context.Context, p Prometheus, questions []question) (Answer, string) {
	readings := make([]reading, len(questions))
	var all sync.WaitGroup
	for i, q := range questions {
		all.Go(func() { readings[i] = q.ask(ctx, p) })
	}
	all.Wait()
	return together(readings), written(readings)
}

// written gives readings as JSON for people: without HTML's escapes.
func written(readings []reading) string {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(readings); err != nil { // strings and ints alone: cannot happen
		return "[]"
	}
	return strings.TrimSpace(text.String())
}

// together joins readings: one that cannot be told spoils all.
func together(readings []reading) Answer {
	answer := Good
	for _, r := range readings {
		switch r.Answer {
		case Good:
		case Bad:
			answer = Bad
		default:
			return CannotTell
		}
	}
	if len(readings) == 0 {
		return CannotTell
	}
	return answer
}
