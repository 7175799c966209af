package sigma

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// limit is the largest magnitude that is taken: squares of it, and sums of
// those, are still finite.
const limit = 1e100

// Reasons for which Add refuses a sample. A refused sample changes nothing but
// its count in Refused.
var (
	ErrNotFinite  = errors.New("the value is not a finite number, or beyond 1e100")
	ErrOutOfOrder = errors.New("the sample is older than the one before")
	ErrDuplicate  = errors.New("there is a sample of this instant already")
	ErrTime       = errors.New("the instant is not in the years 1830 to 2110")
)

// Refused counts the samples that Add has refused.
type Refused struct{ NotFinite, OutOfOrder, Duplicate, Time uint64 }

// Band is what a threshold comes from: the farther of two counts.
type Band uint8

// The bands of a Judgement: mean and standard deviation of the window, or those of
// the same hour of other days.
const (
	OfWindow Band = iota
	OfSeason
)

// String is "window" or "season".
func (b Band) String() string {
	if b == OfSeason {
		return "season"
	}
	return "window"
}

// Judgement is what is known at one sample. Mean, StdDev and the thresholds
// come from before it; e and everything below include it.
type Judgement struct {
	Samples      uint64  // in the baseline; 0 for availability
	Mean, StdDev float64 // of the baseline: while that is small, without the present episode
	Ready        bool    // the sample was judged; always true for availability
	HasUpper     bool
	HasLower     bool
	Upper, Lower float64 // thresholds, if there are such
	UpperBand    Band    // whose threshold Upper is
	LowerBand    Band    // likewise
	Anomaly      bool    // strictly beyond a threshold; for availability: failed

	// Of the hours like this one that are over, 0 without a season. Older hours
	// weigh less, so that the samples are no whole number. They give a threshold
	// from MinSamples on.
	SeasonSamples, SeasonMean, SeasonStdDev float64

	Anomalies, InWindow int     // in the fault window
	E, ThetaE           float64 // fault probability and its threshold
	Fault               bool
	Turned              bool // the fault began with this sample

	// FirstBad is the first anomaly of the present episode, zero outside of one.
	// An episode lasts until Clear consecutive good samples and may be over
	// before it becomes a fault; a fault always lies in an episode.
	FirstBad time.Time
	LastGood time.Time // the last judged sample that was no anomaly; zero: none
}

// Series judges the samples of one series.
type Series struct {
	fault    Fault
	baseline *baseline // nil: any value but 0 is an anomaly
	window   window
	history  history

	begun, inFault, bad, good bool   // bad: in an episode; good: lastGood is set
	run                       uint32 // good samples in a row
	last, firstBad, lastGood  int64
	refused                   Refused
}

// NewAvailability makes a series whose value is 1 for a failed probe and 0 for
// a good one. It has no baseline and needs no warm-up. Samples are expected
// every interval.
func NewAvailability(interval time.Duration, f Fault) (*Series, error) {
	if err := f.check(interval); err != nil {
		return nil, fmt.Errorf("availability every %v: %w", span(interval), err)
	}
	return &Series{fault: f, window: newWindow(f.Slots(interval), f.Window)}, nil
}

// NewValue makes a series of any value, judged against its own past. Until the
// baseline holds MinSamples nothing is judged, and there is no fault.
func NewValue(interval time.Duration, f Fault, b Baseline) (*Series, error) {
	if err := errors.Join(f.check(interval), b.check()); err != nil {
		return nil, fmt.Errorf("values every %v: %w", span(interval), err)
	}
	if b.Direction == "" {
		b.Direction = Upper
	}
	s, err := NewAvailability(interval, f)
	if err != nil {
		return nil, err
	}
	s.baseline = newBaseline(b)
	return s, nil
}

// Add judges one sample and then learns it. The error is one of the Err values;
// nothing is judged or learned then. Add allocates nothing.
func (s *Series) Add(t time.Time, v float64) (Judgement, error) {
	now := t.UnixNano()
	if err := s.admit(t, now, v); err != nil {
		return Judgement{}, err
	}
	if s.begun && now-s.last > int64(s.fault.Window) {
		s.window.empty() // stamps hold only part of the time
	}
	s.begun, s.last = true, now
	j := Judgement{Ready: true, Anomaly: v != 0}
	if s.baseline != nil {
		s.compare(now, v, &j)
	}
	if j.Ready {
		s.weigh(now, &j)
	} else {
		s.reset()
	}
	if s.baseline != nil {
		s.baseline.learn(now, v, s.inFault)
	}
	s.tell(&j)
	return j, nil
}

// Shown gives what Add has said of the last sample as gauges show it. Where the fault
// began with that sample, its own bad samples have just left the baseline: Samples,
// mean, deviation and thresholds are those that are left. The sample was judged with
// those samples in them, and everything else stays as Add said it.
func (s *Series) Shown(j Judgement) Judgement {
	b := s.baseline
	if !j.Turned || b == nil || s.stays(s.last) {
		return j
	}
	b.at(s.last)
	m := b.before(s.last)
	if m.N < uint64(b.MinSamples) {
		return j
	}
	j.Samples, j.Mean, j.StdDev = m.N, m.Mean, m.StdDev()
	j.UpperBand, j.LowerBand = OfWindow, OfWindow
	lower, upper := b.band(&j)
	if j.HasUpper {
		j.Upper = upper
	}
	if j.HasLower {
		j.Lower = lower
	}
	return j
}

// Refused tells how many samples were refused so far, by reason.
func (s *Series) Refused() Refused { return s.refused }

func (s *Series) admit(t time.Time, now int64, v float64) error {
	const far = 1 << 32 // seconds; differences of nanoseconds stay in 64 bits
	switch {
	case t.Unix() < -far || t.Unix() > far:
		s.refused.Time++
		return ErrTime
	case !(math.Abs(v) <= limit):
		s.refused.NotFinite++
		return ErrNotFinite
	case s.begun && now == s.last:
		s.refused.Duplicate++
		return ErrDuplicate
	case s.begun && now < s.last:
		s.refused.OutOfOrder++
		return ErrOutOfOrder
	}
	return nil
}

// compare sets what the baseline says of v. While the baseline holds few samples an
// episode is judged by what came before its first bad one, for as long as a fault
// would be kept out.
func (s *Series) compare(now int64, v float64, j *Judgement) {
	b := s.baseline
	b.at(now)
	if !s.stays(now) {
		b.past = b.before(now)
	}
	m := b.past
	j.Samples, j.Mean, j.StdDev = m.N, m.Mean, m.StdDev()
	if b.season != nil {
		j.SeasonSamples, j.SeasonMean, j.SeasonStdDev = b.season.usual()
	}
	j.Ready, j.Anomaly = m.N >= uint64(b.MinSamples), false
	if !j.Ready {
		return
	}
	j.HasUpper, j.HasLower = b.Direction != Lower, b.Direction != Upper
	lower, upper := b.band(j)
	if j.HasUpper {
		j.Upper, j.Anomaly = upper, v > upper
	}
	if j.HasLower {
		j.Lower, j.Anomaly = lower, j.Anomaly || v < lower
	}
}

// stays tells whether a sample of that instant is judged by what the one before was.
func (s *Series) stays(now int64) bool {
	return s.bad && s.few() && now-s.firstBad < int64(s.baseline.Hold)
}

// few tells whether the baseline holds so few samples that a step could hide itself
// in them before it is a fault.
func (s *Series) few() bool {
	k, m := s.baseline.K, s.fault.bad(s.window.slots())
	return float64(s.baseline.past.N) < spread*k*k*float64(m)
}

// weigh decides about the fault from the window that ends with this sample.
func (s *Series) weigh(now int64, j *Judgement) {
	s.history.at(now, &s.fault, s.window.slots())
	s.window.add(now, j.Anomaly)
	s.follow(now, j.Anomaly)
	before := s.inFault
	j.E, j.ThetaE = s.window.e(), s.history.theta
	if s.bad && j.E > j.ThetaE && s.window.a >= s.fault.MinAnomalies {
		s.inFault = true
	}
	if j.Turned = s.inFault && !before; j.Turned && s.baseline != nil {
		s.baseline.exclude(max(s.firstBad, now-int64(s.fault.Window)))
	}
	if s.inFault && int(s.run) >= s.fault.Clear {
		s.inFault = false
		s.window.empty()
		j.E = 0
	}
	s.history.add(j.Anomaly, before || s.inFault)
}

// follow keeps the episode: from the first bad sample to Clear good ones.
func (s *Series) follow(now int64, anomaly bool) {
	if anomaly {
		if !s.bad {
			s.bad, s.firstBad = true, now
		}
		s.run = 0
		return
	}
	s.good, s.lastGood = true, now
	s.run = min(s.run+1, math.MaxUint32-1)
	s.bad = s.bad && int(s.run) < s.fault.Clear
}

// reset ends what cannot be judged any more: without a baseline there is no
// fault.
func (s *Series) reset() {
	s.inFault, s.bad, s.run = false, false, 0
	s.window.empty()
}

// tell copies the state after the sample into j.
func (s *Series) tell(j *Judgement) {
	j.Fault = s.inFault
	j.Anomalies, j.InWindow = s.window.a, s.window.n
	if !j.Ready {
		j.ThetaE = s.fault.Floor
	}
	if s.bad {
		j.FirstBad = time.Unix(0, s.firstBad).UTC()
	}
	if s.good {
		j.LastGood = time.Unix(0, s.lastGood).UTC()
	}
}
