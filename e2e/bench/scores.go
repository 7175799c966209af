package main

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/common/model"

	"github.com/onefiveten/onefiveten/e2e/replay"
	"github.com/onefiveten/onefiveten/sigma"
)

// How often a score is above a limit where nothing is wrong.
const (
	scoredAtOnce = 4 // probes of each kind and interval, less where there are too many samples
	unscored     = 7 // days of each that are learned and not counted
	scoredDays   = 14
)

// limits are those that are counted.
func limits() []float64 { return []float64{.7, .75, .8, .82, .84} }

// scoredEvery are the intervals. A score counts samples: it is another one at each.
func scoredEvery() []time.Duration {
	return []time.Duration{time.Second, 5 * time.Second, 15 * time.Second, time.Minute, 5 * time.Minute}
}

// strong counts the scores of a healthy service above each limit, per day.
func strong(h replay.Healthy, every time.Duration) (perDay []float64, days int) {
	perDay = make([]float64, len(limits()))
	probes := scoredAtOnce
	if every < 5*time.Second {
		probes = 1
	}
	for seed := range uint64(probes) {
		s, began := sigma.NewScore(nil), time.Time{}
		for v := range h.Samples(seed, every, (unscored+scoredDays)*24*time.Hour) {
			if began.IsZero() {
				began = v.At
			}
			f := s.Add(v.At, v.V)
			for i, limit := range limits() {
				if f.Score > limit && v.At.Sub(began) >= unscored*24*time.Hour {
					perDay[i]++
				}
			}
		}
	}
	days = probes * scoredDays
	for i := range perDay {
		perDay[i] /= float64(days)
	}
	return perDay, days
}

// scores prints how often a score is high where nothing is wrong.
func (b *bench) scores(ctx context.Context) error {
	var text string
	if err := b.say.During(ctx, "scores of healthy services", nil, func(context.Context) error {
		text = strongScores()
		return nil
	}); err != nil {
		return err
	}
	b.say.Line("\nStrong scores of the same services: what a limit for ksigma_score would alert on")
	b.say.Line("%s", aligned(text))
	b.say.Line("  Method: sigma.Score in UTC, no threshold; the first %d days are not counted. A score has no goal: its limit is chosen per signal.", unscored)
	return nil
}

// strongScores is a table of all kinds and intervals.
func strongScores() string {
	heads := "healthy service, scores per day above"
	for _, limit := range limits() {
		heads += fmt.Sprintf("|%g", limit)
	}
	text := heads + "|probe-days\n"
	for _, every := range scoredEvery() {
		for _, h := range replay.Kinds() {
			perDay, days := strong(h, every)
			text += fmt.Sprintf("%s, every %s", h.Name, model.Duration(every))
			for _, n := range perDay {
				text += fmt.Sprintf("|%.3f", n)
			}
			text += fmt.Sprintf("|%d\n", days)
		}
	}
	return text
}
