package backtest

import (
	"cmp"
	"slices"
	"time"

	"github.com/onefiveten/onefiveten/sigma"
)

// Report is what one can decide from.
type Report struct {
	Settings    Settings      // the interval filled in
	Step        time.Duration // the median of the first steps; 0: they tell none
	Samples     uint64        // that were taken
	First, Last time.Time
	Refused     sigma.Refused
	Labelled    bool

	Own   Outcome   // that of the settings
	ByK   []Outcome // rising, the own k among them; none for availability
	ByCap []Outcome // rising, at the own k and floor, the own cap among them

	ByFloor []Outcome // rising, at the own k: the own floor and higher ones, with no cap below them

	Faults  []Episode // of the settings, in order: the longest, up to 100
	Windows []Window  // of the labels, in order: the first, up to 100
	Scores  []Scored  // the greatest, falling
}

// newReport takes together what the lanes have found. The first is that of the
// settings.
func newReport(s Settings, lanes []*lane) *Report {
	main := lanes[0]
	r := &Report{
		Settings: s, Own: main.end(), Samples: main.samples, First: main.first, Last: main.last,
		Refused: main.series.Refused(), Labelled: main.labelled, Faults: main.episodes, Windows: main.windows, Scores: main.scores,
	}
	slices.SortFunc(r.Faults, func(a, b Episode) int { return a.Start.Compare(b.Start) })
	r.ByCap, r.ByFloor = []Outcome{r.Own}, []Outcome{r.Own}
	if !s.Availability {
		r.ByK = []Outcome{r.Own}
	}
	for _, l := range lanes[1:] {
		switch {
		case l.settings.Baseline.K != s.Baseline.K:
			r.ByK = append(r.ByK, l.end())
		case l.settings.Fault.Floor != s.Fault.Floor:
			r.ByFloor = append(r.ByFloor, l.end())
		default:
			r.ByCap = append(r.ByCap, l.end())
		}
	}
	slices.SortFunc(r.ByK, func(a, b Outcome) int { return cmp.Compare(a.K, b.K) })
	slices.SortFunc(r.ByCap, func(a, b Outcome) int { return cmp.Compare(a.Cap, b.Cap) })
	return r
}

// KFor is the smallest k that keeps to a rate, at the cap of the settings; false:
// there is none.
func (r *Report) KFor(wanted Rate) (Outcome, bool) { return r.within(r.ByK, wanted) }

// CapFor is the smallest cap that does, at the k of the settings; false: there is
// none.
func (r *Report) CapFor(wanted Rate) (Outcome, bool) { return r.within(r.ByCap, wanted) }

// FloorFor is the lowest floor that does, at the k of the settings; false: there
// is none. Where e is mostly 0 its threshold is the floor, and another cap changes
// nothing.
func (r *Report) FloorFor(wanted Rate) (Outcome, bool) { return r.within(r.ByFloor, wanted) }

// within finds the first that keeps to the rate.
func (r *Report) within(all []Outcome, wanted Rate) (Outcome, bool) {
	i := slices.IndexFunc(all, func(o Outcome) bool { return o.Refusal == "" && o.Time > 0 && r.counted(o) <= wanted.PerDay() })
	if i < 0 {
		return Outcome{}, false
	}
	return all[i], true
}

// counted is the rate of an outcome that is held against the wanted one: an alert
// that the labels ask for is none too many.
func (r *Report) counted(o Outcome) float64 {
	if r.Labelled {
		return o.FalsePerDay()
	}
	return o.PerDay()
}
