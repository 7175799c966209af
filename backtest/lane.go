package backtest

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/onefiveten/onefiveten/sigma"
)

// What of a report is kept one by one; the rest is counted.
const (
	maxEpisodes = 100
	maxWindows  = 100
	maxScores   = 5
)

// longGap is from how many intervals on a step is a gap, which is time that
// nothing was judged in.
const longGap = 10

// Outcome is what one k, and one floor and cap of the threshold of e, would have
// made of the samples.
type Outcome struct {
	K, Floor, Cap float64
	Refusal       string // why these cannot be; the rest is 0 then

	Judged, Anomalies uint64        // samples with a threshold, and those beyond it
	Time, InAlert     time.Duration // under judgement, and in fault of that
	Alerts            int
	Longest           time.Duration // of the alerts

	// Of labelled samples: windows in which the fault came, in which it did not,
	// and of which no sample was judged; alerts that touch no window; and the time
	// from the beginning of a window to its fault, mean and longest.
	Found, Missed, Unjudged, False int
	Delay, LongestDelay            time.Duration
}

// PerDay is how many alerts a day of judged time had.
func (o Outcome) PerDay() float64 { return o.daily(o.Alerts) }

// FalsePerDay is how many of them touched no labelled window.
func (o Outcome) FalsePerDay() float64 { return o.daily(o.False) }

func (o Outcome) daily(n int) float64 {
	if o.Time <= 0 {
		return 0
	}
	return float64(n) / (o.Time.Hours() / 24)
}

// Episode is one fault: its first bad sample, the sample that made it a fault,
// and the one that ended it.
type Episode struct {
	FirstBad, Start, End time.Time
	Open                 bool // it lasts at the end of the samples, where End is
	Labelled             bool // some of it is labelled as faulty

	// Lasted is the time from Start to End, a gap counted as one interval: nobody
	// knows what was in it.
	Lasted time.Duration

	Value, Mean, StdDev float64 // at Start
	E, ThetaE           float64
	Finding             sigma.Finding // the greatest score since FirstBad, with the settings' Score
}

// Window is a run of samples that are labelled as faulty.
type Window struct {
	Start, End    time.Time
	Judged, Found bool
	Delay         time.Duration // from Start to the first sample in fault
}

// Scored is a sample with one of the greatest scores.
type Scored struct {
	At time.Time
	sigma.Finding
}

// lane judges all samples by one k, one floor and one cap.
type lane struct {
	settings Settings
	series   *sigma.Series // nil: these settings cannot be
	refusal  error
	score    *sigma.Score    // nil: there is none
	each     func(Row) error // nil: nobody is told
	err      error           // that of each, or of a value that cannot be

	Outcome
	samples     uint64
	first, last time.Time
	labelled    bool

	inFault  bool
	episode  Episode
	best     sigma.Finding // since the first bad sample
	episodes []Episode     // the longest

	inWindow bool
	window   Window
	windows  []Window // the first
	scores   []Scored // the greatest, falling
}

// add judges one sample. What sigma refuses is counted there.
func (l *lane) add(s Sample) {
	if l.series == nil || l.err != nil {
		return
	}
	j, err := l.series.Add(s.At, s.Value)
	if err != nil {
		return
	}
	if l.settings.Availability && s.Value != 0 && s.Value != 1 {
		l.err = fmt.Errorf("the value at %s is %v, want 1 for a failed probe and 0 for a good one", s.At.Format(time.RFC3339), s.Value)
		return
	}
	step := l.step(s.At)
	row := Row{Sample: s, Judgement: j}
	if l.score != nil {
		row.Finding = l.score.Add(s.At, s.Value)
		l.rank(&row)
	}
	if j.Ready {
		l.Judged++
		l.Time += step
		if j.Anomaly {
			l.Anomalies++
		}
		if j.Fault {
			l.InAlert += step
		}
	}
	l.follow(&row, step)
	if s.Label != Unlabelled {
		l.compare(&row)
	}
	l.last = s.At
	if l.each != nil {
		l.err = l.each(row)
	}
}

// step is the time that a sample stands for: that since the one before, and an
// interval at the beginning and after a gap.
func (l *lane) step(at time.Time) time.Duration {
	l.samples++
	if l.samples == 1 {
		l.first = at
		return l.settings.Interval
	}
	step := at.Sub(l.last)
	if step > longGap*l.settings.Interval {
		return l.settings.Interval
	}
	return step
}

// follow keeps the present fault.
func (l *lane) follow(r *Row, step time.Duration) {
	if l.inFault {
		l.episode.Lasted += step
	}
	if r.FirstBad.IsZero() || r.FirstBad.Equal(r.At) {
		l.best = sigma.Finding{}
	}
	if r.Finding.Score >= l.best.Score {
		l.best = r.Finding
	}
	switch {
	case r.Fault && !l.inFault:
		l.Alerts++
		l.inFault = true
		l.episode = Episode{
			FirstBad: r.FirstBad, Start: r.At, Value: r.Value, Mean: r.Mean, StdDev: r.StdDev, E: r.E, ThetaE: r.ThetaE, Finding: l.best,
		}
	case !r.Fault && l.inFault:
		l.leave(r.At, false)
	}
	if l.inFault && r.Label == Faulty {
		l.episode.Labelled = true
	}
}

// leave ends the present fault.
func (l *lane) leave(at time.Time, open bool) {
	e := l.episode
	e.End, e.Open = at, open
	l.inFault, l.Longest = false, max(l.Longest, e.Lasted)
	if !e.Labelled && l.labelled {
		l.False++
	}
	if len(l.episodes) < maxEpisodes {
		l.episodes = append(l.episodes, e)
		return
	}
	shortest := 0
	for i, other := range l.episodes {
		if other.Lasted < l.episodes[shortest].Lasted {
			shortest = i
		}
	}
	if e.Lasted > l.episodes[shortest].Lasted {
		l.episodes = append(slices.Delete(l.episodes, shortest, shortest+1), e)
	}
}

// compare holds a sample against its label.
func (l *lane) compare(r *Row) {
	l.labelled = true
	if r.Label != Faulty {
		l.shut()
		return
	}
	if !l.inWindow {
		l.inWindow, l.window = true, Window{Start: r.At}
	}
	w := &l.window
	w.End = r.At
	w.Judged = w.Judged || r.Ready
	if r.Fault && !w.Found {
		w.Found, w.Delay = true, r.At.Sub(w.Start)
	}
}

// shut ends the present window of labels.
func (l *lane) shut() {
	if !l.inWindow {
		return
	}
	l.inWindow = false
	switch w := l.window; {
	case w.Found:
		l.Found++
		l.Delay += w.Delay
		l.LongestDelay = max(l.LongestDelay, w.Delay)
	case w.Judged:
		l.Missed++
	default:
		l.Unjudged++
	}
	if len(l.windows) < maxWindows {
		l.windows = append(l.windows, l.window)
	}
}

// rank keeps the greatest scores.
func (l *lane) rank(r *Row) {
	if r.Finding.Score <= 0 || len(l.scores) == maxScores && r.Finding.Score <= l.scores[maxScores-1].Score {
		return
	}
	l.scores = append(l.scores[:min(len(l.scores), maxScores-1)], Scored{r.At, r.Finding})
	slices.SortStableFunc(l.scores, func(a, b Scored) int { return cmp.Compare(b.Score, a.Score) })
}

// end closes what is open after the last sample.
func (l *lane) end() Outcome {
	if l.refusal != nil {
		return Outcome{K: l.settings.Baseline.K, Floor: l.settings.Fault.Floor, Cap: l.settings.Fault.Cap, Refusal: l.refusal.Error()}
	}
	if l.inFault {
		l.leave(l.last, true)
	}
	l.shut()
	if l.Found > 0 {
		l.Delay /= time.Duration(l.Found)
	}
	return l.Outcome
}
