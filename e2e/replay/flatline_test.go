package replay

import (
	"testing"
	"time"

	"github.com/onefiveten/onefiveten/sigma"
)

// moving is what a signal of changes(x[5m]) gives: how often a value differed from
// the one before it among those of the last 5 minutes.
type moving struct{ past *track }

func (m moving) after(s Sample) (changes float64) {
	m.past.add(s.At.Unix(), s.V)
	values := m.past.over(s.At.Unix(), 5*time.Minute)
	for i := 1; i < len(values); i++ {
		if values[i] != values[i-1] {
			changes++
		}
	}
	return changes
}

// The shipped fault with "direction: lower", "floor: 1" and "range: {min: 0}", as the
// documentation advises it for a value that may get stuck.
func newMoving() (moving, *threshold) {
	_, f, b := shipped()
	b.Direction, b.Floor, b.Low, b.High = sigma.Lower, 1, 0, 1e9
	return moving{newTrack(10 * time.Minute)}, &threshold{series: must(sigma.NewValue(every, f, b))}
}

// No band on the value itself finds a value that is stuck at something normal, be
// it on both sides, with a least sigma or without: the band is around it. One on its
// changes does, and is silent while it moves.
func TestFlatline_IsFoundByItsChangesAlone(t *testing.T) {
	const soon = 5 * time.Minute
	for _, h := range []Healthy{Normal(), LogNormalMemory()} {
		f := flatline()
		f.Base = h
		for seed := range uint64(Seeds) {
			changes, ofChanges := newMoving()
			own, found := newThreshold(sigma.NoSeason), time.Duration(-1)
			for _, s := range f.samples(seed) {
				since := s.At.Sub(begin().Add(f.onset(seed)))
				byValue, byChanges := own.alert(s), ofChanges.alert(Sample{At: s.At, V: changes.after(s)})
				switch {
				case since < 0 && byChanges:
					t.Fatalf("%s, seed %d: a false alert %s before the flatline", h.Name, seed, -since)
				case since >= 0 && since < f.For && byValue:
					t.Fatalf("%s, seed %d: the value itself alerts %s into the flatline: the documentation says that it cannot", h.Name, seed, since)
				case since >= 0 && byChanges && found < 0:
					found = since
				}
			}
			if found < 0 || found > soon {
				t.Errorf("%s, seed %d: found after %s, want %s at most", h.Name, seed, found, soon)
			}
		}
	}
}
