package sigma

import "time"

// Feature is one of the views of a series that a Score compares with its past.
type Feature string

// The features of a Score: the level of about 10 samples, that of about 100, and
// the distance to the mean of the same hour of the season.
const (
	ShortLevel Feature = "short"
	LongLevel  Feature = "long"
	InSeason   Feature = "season"
)

// Finding is what a Score says of one sample.
type Finding struct {
	Score   float64 // 0 to below 1; 0 unless it is the greatest of the last 100
	Rarity  float64 // share of the samples before that were as far off, 0 to 1
	Feature Feature // the one that is farthest off

	// Of that feature: what was judged, mean and sample standard deviation before
	// it, and how many of these lie between.
	Value, Mean, StdDev, Distance float64
}

// Score tells how unusual the samples of one series are.
type Score struct{ zone *time.Location }

// NewScore gives a score that has seen nothing. Hours are those of zone; nil: UTC.
func NewScore(zone *time.Location) *Score { return &Score{zone: zone} }

// Add judges one sample and then learns it. Samples come as Series.Add takes them.
func (s *Score) Add(t time.Time, v float64) Finding { return Finding{} }
