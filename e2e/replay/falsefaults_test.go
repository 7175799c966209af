package replay

import (
	"testing"
	"time"

	"github.com/onefiveten/onefiveten/sigma"
)

func TestShipped_IsWhatTheTableOfDefaultsSays(t *testing.T) {
	availability, value, b := shipped()
	if want := (sigma.Fault{Window: time.Minute, Floor: .05, MinAnomalies: 2, K: 3, Clear: 3}); availability != want {
		t.Errorf("availability: got %+v, want %+v", availability, want)
	}
	if want := (sigma.Fault{Window: 3 * time.Minute, Floor: .55, Cap: .6, MinAnomalies: 3, K: 3, Clear: 3}); value != want {
		t.Errorf("a value: got %+v, want %+v", value, want)
	}
	if b.Window != time.Hour || b.K != 3 || b.Season != sigma.NoSeason {
		t.Errorf("baseline: got %+v", b)
	}
}

// The promise itself, on fewer days than the table of make bench.
func TestShippedDefaults_RaiseNoMoreThanOneFalseFaultInTwentyDays(t *testing.T) {
	var promised []Count
	for _, c := range cases() {
		if c.promised() {
			promised = append(promised, c)
		}
	}
	for _, c := range parallel(promised, func(c Count) Count { return c.count(21) }) {
		if c.PerDay() > Goal {
			t.Errorf("%s every %s, direction %s, season %s: %d false faults in %d probe-days, want one in twenty at most", c.Kind, c.Every, c.Direction, c.Season, c.Faults, c.Days)
		}
	}
}

// Two lost packets in a minute are a fault, since half of all being lost must be one
// soon. Who asks for three has few left; a floor helps where it asks for a third, too.
func TestLostPackets_AreFewerFaultsTheMoreAreAskedFor(t *testing.T) {
	for _, p := range lossIntervals() {
		var got []int
		for _, l := range lossSettings() {
			got = append(got, LostPackets(p, 60, l.change).Faults)
		}
		f, _, _ := shipped()
		f.Floor, f.Cap = .16, .16
		third := f.Bad(p) > 2
		if got[1] > got[0]/4 || third && got[2] > got[0]/4 || !third && got[2] != got[0] {
			t.Errorf("every %s: got %v false faults in 60 days, want far fewer of three packets than of two (floor .16 asks for %d)", p, got, f.Bad(p))
		}
	}
}
