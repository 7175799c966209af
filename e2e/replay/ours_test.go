package replay

import (
	"testing"
	"time"

	"github.com/onefiveten/onefiveten/sigma"
)

// afterwards tells whether ours alerts in the half hour after an outage of an hour
// that eight days of past came before.
func afterwards(season sigma.Season) (during, after bool) {
	f := dropToZero()
	f.Base, f.Past = Normal(), 8*day+10*time.Hour+20*time.Minute
	own, ends := newThreshold(season), begin().Add(f.Past+f.For)
	for _, s := range f.samples(1) {
		is := own.alert(s)
		during = during || is && s.At.Before(ends)
		// The alert of the fault itself takes three good samples to end.
		after = after || is && s.At.After(ends.Add(3*every))
	}
	return during, after
}

func TestSeason_KnowsWhatWasNormalBeforeALongFault(t *testing.T) {
	if during, after := afterwards(sigma.NoSeason); !during || !after {
		t.Errorf("without a season: alerts in the outage %v, after it %v, want both: the outage is the new normal", during, after)
	}
	if during, after := afterwards(sigma.Daily); !during || after {
		t.Errorf("with a season: alerts in the outage %v, after it %v, want only the first", during, after)
	}
}

// On the samples that the limit was made from the two alert equally often.
func TestSameRate_IsTheScoreThatAsManyWereAbove(t *testing.T) {
	for _, h := range []Healthy{Normal(), LogNormalMemory()} {
		limit, faults, above := sameRate(h), 0, 0
		for seed := range uint64(calibrationRuns) {
			n, scores := highest(h, calibrationSeed+seed)
			faults += n
			for _, s := range scores {
				if s > limit {
					above++
				}
			}
		}
		if above != faults {
			t.Errorf("%s: %d scores above %.3f, want as many as false faults: %d", h.Name, above, limit, faults)
		}
	}
}
