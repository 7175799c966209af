package replay

import (
	"slices"
	"time"

	"github.com/onefiveten/onefiveten/sigma"
)

// threshold alerts as ours does: while the series is in fault. What is Gone is not
// given to it, and changes nothing.
type threshold struct {
	series *sigma.Series
	said   sigma.Judgement
}

// newThreshold has the shipped defaults for a value, on both sides of the mean.
func newThreshold(s sigma.Season) *threshold {
	return &threshold{series: values(every, sigma.Both, s)}
}

// newMinute is the article's: k·σ of an hour, and the fault probability of one
// minute against the mean and three deviations of what it was before, with no more
// than a small floor. It is that of DETECTION 4.8, left column.
func newMinute() *threshold {
	_, f, b := shipped()
	f.Window, f.Floor, f.Cap, f.MinAnomalies = time.Minute, .05, .25, 1
	b.Direction = sigma.Both
	return &threshold{series: must(sigma.NewValue(every, f, b))}
}

func (h *threshold) alert(s Sample) bool {
	if !s.Gone {
		j, err := h.series.Add(s.At, s.V)
		if err != nil {
			panic(err)
		}
		h.said = j
	}
	return h.said.Fault
}

// scored alerts as ours does with score: true and an alert on ksigma_score beside
// that on the fault.
type scored struct {
	threshold
	scores *sigma.Score
	limit  float64
	window time.Duration // the gauge shows the greatest of so long
	until  time.Time     // the score is above the limit
}

func newScored(s sigma.Season, limit float64) *scored {
	_, f, _ := shipped()
	return &scored{threshold: *newThreshold(s), scores: sigma.NewScore(time.UTC), limit: limit, window: f.Window}
}

func (c *scored) alert(s Sample) bool {
	fault := c.threshold.alert(s)
	if !s.Gone && c.scores.Add(s.At, s.V).Score > c.limit {
		c.until = s.At.Add(c.window)
	}
	return fault || s.At.Before(c.until)
}

// calibration is on seeds that no replay has.
const (
	calibrationSeed = 1000
	calibrationRuns = 60
	calibrationDays = 4
)

// warm is what is not counted of a healthy service: the longest that one of the
// others needs to have all of its past.
const warm = 26 * time.Hour

// sameRate gives the limit of the score at which it would have alerted as often as
// the threshold on healthy samples: with n false faults the score that n others
// were above.
func sameRate(h Healthy) float64 {
	type result struct {
		faults int
		scores []float64
	}
	runs := make([]uint64, calibrationRuns)
	for i := range runs {
		runs[i] = calibrationSeed + uint64(i)
	}
	var all result
	for _, r := range parallel(runs, func(seed uint64) (r result) {
		r.faults, r.scores = highest(h, seed)
		return r
	}) {
		all.faults += r.faults
		all.scores = append(all.scores, r.scores...)
	}
	slices.Sort(all.scores)
	return all.scores[max(0, len(all.scores)-1-all.faults)]
}

// highest gives the false faults of one healthy service and its greatest scores.
func highest(h Healthy, seed uint64) (faults int, scores []float64) {
	own, score, was := newThreshold(sigma.NoSeason), sigma.NewScore(time.UTC), false
	for s := range h.Samples(seed, every, calibrationDays*day) {
		fault, found := own.alert(s), score.Add(s.At, s.V)
		if s.At.Sub(begin()) < warm {
			continue
		}
		if fault && !was {
			faults++
		}
		was, scores = fault, append(scores, found.Score)
	}
	slices.Sort(scores)
	return faults, scores[max(0, len(scores)-100):]
}
