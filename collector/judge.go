package collector

import (
	"context"
	"time"

	"github.com/onefiveten/onefiveten/promapi"
	"github.com/onefiveten/onefiveten/sigma"
)

// Source is the Prometheus that signals are read from, and that remembers what
// this process has forgotten. promapi.Client is one.
type Source interface {
	Query(ctx context.Context, query string) ([]promapi.Point, error)
	Range(ctx context.Context, query string, from, to time.Time, step time.Duration) ([]promapi.Track, error)
}

// rules are everything that the state of a signal depends on: while they stay
// equal, a reload keeps the state.
type rules struct {
	module   string // of a probe; the expression of a query
	interval time.Duration
	fault    sigma.Fault
	baseline sigma.Baseline // without a window: there is none
	score    bool
}

// judged is one series under judgement.
type judged struct {
	rules  rules
	series *sigma.Series // nil: it is not judged
	score  *sigma.Score  // nil: it has none
	peaks  *peaks        // of the score
	past   *backlog      // what it keeps while it waits for its past; nil: it does not
}

// verdict is the newest judgement of a signal, as gauges show it.
type verdict struct {
	known bool
	value float64
	start float64 // of the first bad probe of the episode, unix seconds; 0: none
	sigma.Judgement
	finding sigma.Finding // the greatest of the last fault window
}

// fresh makes what the rules ask for, without a past.
func (r rules) fresh() (judged, error) {
	j := judged{rules: r}
	var err error
	if r.baseline.Window == 0 {
		j.series, err = sigma.NewAvailability(r.interval, r.fault)
	} else {
		j.series, err = sigma.NewValue(r.interval, r.fault, r.baseline)
	}
	if r.score {
		j.score, j.peaks = sigma.NewScore(r.baseline.Zone), &peaks{}
	}
	return j, err
}

// add judges a sample of the instant at. A first bad one begins an episode at
// start, which is when what it tells of began, in unix seconds. before is the
// verdict on the sample before. An error is one of sigma's: nothing has changed.
func (j *judged) add(at time.Time, value, start float64, before verdict) (verdict, error) {
	said, err := j.series.Add(at, value)
	if err != nil {
		return before, err
	}
	v := verdict{known: true, value: value, Judgement: j.series.Shown(said)}
	if said.FirstBad.Equal(at) {
		v.start = start
	} else if !said.FirstBad.IsZero() {
		v.start = before.start
	}
	if j.score != nil {
		v.finding = j.peaks.add(at, j.rules.fault.Window, j.score.Add(at, value))
	}
	return v, nil
}
