package backtest

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/common/model"

	"github.com/onefiveten/onefiveten/sigma"
)

// Settings say what samples are judged by.
type Settings struct {
	Interval     time.Duration // between two samples; 0: the median of the first 100 steps
	Availability bool          // 1 is a failed probe and 0 a good one; there is no baseline
	Fault        sigma.Fault
	Baseline     sigma.Baseline
	Score        bool // tell how unusual each sample is, too

	// Alone leaves out what only a report needs: every other k and cap.
	Alone bool
}

// Row is a sample that was taken, and what is said of it.
type Row struct {
	Sample
	sigma.Judgement
	Finding sigma.Finding // zero without a score
}

// The batches that all k are given: large enough that handing them over costs
// nothing, small enough to stay near the processor.
const (
	batchSize  = 1024
	firstSteps = 100 // that tell the interval
)

// Run reads all of the source, judges it by the settings and by every other k and
// cap of the report, and keeps a fixed amount of memory. each is called for every
// sample that was taken, in order, with what the settings alone say of it; its
// error ends the run. It may be nil.
func Run(from Source, s Settings, each func(Row) error) (*Report, error) {
	head, err := readHead(from)
	if err != nil {
		return nil, err
	}
	step, err := medianStep(head)
	if s.Interval == 0 {
		if err != nil {
			return nil, err
		}
		s.Interval = step
	}
	lanes, err := newLanes(s)
	if err != nil {
		return nil, fmt.Errorf("%w%s", err, early(head[0].At))
	}
	lanes[0].each = each
	if err := feed(lanes, head, from); err != nil {
		return nil, err
	}
	r := newReport(s, lanes)
	if r.Step = step; r.Samples == 0 {
		return nil, errors.New("no sample could be taken: " + Refusals(r.Refused))
	}
	return r, nil
}

// early asks about instants that are those of other numbers: a value, or the days
// that a spreadsheet counts, make a timestamp soon after 1970.
func early(first time.Time) string {
	if first.Unix()/(365*24*3600) != 0 {
		return ""
	}
	return "; the first sample is of " + first.UTC().Format(time.DateTime) + ": are its timestamps unix seconds?"
}

// readHead gives the samples that tell the interval.
func readHead(from Source) (head []Sample, err error) {
	for len(head) <= firstSteps {
		s, err := from.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		head = append(head, s)
	}
	if len(head) == 0 {
		return nil, errors.New("there is no sample; want lines of " + columns)
	}
	return head, nil
}

// medianStep is the median of the steps forward. Samples that hardly go forward
// have none: they are refused one by one, and what is left says nothing.
func medianStep(head []Sample) (time.Duration, error) {
	var steps []time.Duration
	for i := 1; i < len(head); i++ {
		if step := head[i].At.Sub(head[i-1].At); step > 0 {
			steps = append(steps, step)
		}
	}
	if len(head) == 1 {
		return 0, errors.New("one sample does not tell the interval: give --interval")
	}
	if late := len(head) - 1 - len(steps); 4*late >= len(head)-1 {
		return 0, fmt.Errorf("%d of the first %d samples are not later than the one before; want one series, sorted by time, the oldest first", late, len(head))
	}
	slices.Sort(steps)
	median := steps[len(steps)/2]
	if median > 100*time.Millisecond { // what is finer is jitter
		median = median.Round(time.Millisecond)
	}
	return median, nil
}

// newLanes makes one lane for the settings, and one for each other k and cap of
// the report. Only what the settings ask for must be possible: another k may be
// one that so few samples cannot reach.
func newLanes(s Settings) ([]*lane, error) {
	main, err := newLane(s)
	if err != nil {
		return nil, err
	}
	if s.Score {
		main.score = sigma.NewScore(s.Baseline.Zone)
	}
	lanes := []*lane{main}
	if s.Alone {
		return lanes, nil
	}
	for _, other := range variants(s) {
		l, err := newLane(other)
		if err != nil {
			l = &lane{settings: other, refusal: err}
		}
		lanes = append(lanes, l)
	}
	return lanes, nil
}

// variants are the settings with every other k, with every other cap, and with
// every higher floor. A floor takes the cap along.
func variants(s Settings) (all []Settings) {
	for k := 2.; k <= 6 && !s.Availability; k += .5 {
		if v := s; k != s.Baseline.K {
			v.Baseline.K = k
			all = append(all, v)
		}
	}
	every := 10
	if s.Availability { // whose floor is low, and which has no other k
		every = 5
	}
	for percent := every; percent < 100; percent += every {
		share := float64(percent) / 100
		other, higher := s, s
		other.Fault.Cap = share
		if share >= s.Fault.Floor && share != s.Fault.Cap && other.Fault.Bad(s.Interval) > 0 {
			all = append(all, other)
		}
		higher.Fault.Floor, higher.Fault.Cap = share, max(share, s.Fault.Cap)
		if share > s.Fault.Floor && higher.Fault.Bad(s.Interval) > 0 {
			all = append(all, higher)
		}
	}
	return all
}

// feed gives the head and then all of the source to every lane. While the lanes
// judge one batch the next one is read.
func feed(lanes []*lane, head []Sample, from Source) error {
	workers := split(lanes, runtime.GOMAXPROCS(0))
	var buffers [2][]Sample
	var judging sync.WaitGroup
	defer judging.Wait()
	batch, end := head, false
	for i := 0; ; i++ {
		for _, mine := range workers {
			judging.Go(func() { judge(mine, batch) })
		}
		if end {
			break
		}
		next, err := readBatch(from, buffers[i%2][:0])
		judging.Wait()
		if lanes[0].err != nil {
			return lanes[0].err
		}
		if end = errors.Is(err, io.EOF); err != nil && !end {
			return err
		}
		batch, buffers[i%2] = next, next
	}
	judging.Wait()
	return lanes[0].err
}

// split deals the lanes out to n workers, less than that if there are not as many.
func split(lanes []*lane, n int) [][]*lane {
	workers := make([][]*lane, min(max(n, 1), len(lanes)))
	for i, l := range lanes {
		workers[i%len(workers)] = append(workers[i%len(workers)], l)
	}
	return workers
}

// judge gives a batch to some lanes.
func judge(lanes []*lane, batch []Sample) {
	for _, l := range lanes {
		for _, s := range batch {
			l.add(s)
		}
	}
}

// readBatch fills a batch. With io.EOF it gives what came before.
func readBatch(from Source, into []Sample) ([]Sample, error) {
	for len(into) < batchSize {
		s, err := from.Read()
		if err != nil {
			return into, err
		}
		into = append(into, s)
	}
	return into, nil
}

// newLane makes what judges by some settings.
func newLane(s Settings) (*lane, error) {
	var series *sigma.Series
	var err error
	if s.Availability {
		series, err = sigma.NewAvailability(s.Interval, s.Fault)
	} else if series, err = sigma.NewValue(s.Interval, s.Fault, s.Baseline); err == nil {
		err = reachable(s)
	}
	if err != nil {
		return nil, fmt.Errorf("%w%s", err, hint(s))
	}
	return &lane{settings: s, series: series, Outcome: Outcome{K: s.Baseline.K, Floor: s.Fault.Floor, Cap: s.Fault.Cap}}, nil
}

// reachable refuses what so few samples cannot reach.
func reachable(s Settings) error {
	b, every := s.Baseline, model.Duration(s.Interval)
	all, left := b.Holds(s.Interval), b.Keeps(s.Interval)
	if b.MinSamples > left {
		return fmt.Errorf("min_samples is %d: a window of %s holds %d samples every %s, and %d while a fault is kept out for %s", b.MinSamples, model.Duration(b.Window), all, every, left, model.Duration(b.Hold))
	}
	if b.K > 0 && b.K >= sigma.MaxK(all) { // Grubbs 1950
		return fmt.Errorf("k %v cannot be reached: of %d samples, those of a window of %s every %s, none is %.3f standard deviations off or more", b.K, all, model.Duration(b.Window), every, sigma.MaxK(all))
	}
	return nil
}

// hint says what would be enough for samples so far apart, if anything is.
func hint(s Settings) string {
	every := model.Duration(s.Interval)
	most := sigma.MaxSlots * s.Interval
	d := faultWindow(s)
	switch {
	case s.Interval >= time.Millisecond && s.Fault.Window > most:
		return fmt.Sprintf("; samples every %s need --fault.window=%s or less", every, model.Duration(most))
	case d == 0 && s.Fault.Window < s.Interval:
		return fmt.Sprintf("; samples every %s are too far apart for any fault window", every)
	case d == 0:
		return ""
	}
	var longer []string
	if d > s.Fault.Window {
		longer = append(longer, "--fault.window="+model.Duration(d).String())
	}
	if d := window(s); d > s.Baseline.Window {
		longer = append(longer, "--window="+model.Duration(d).String())
	}
	if longer == nil {
		return ""
	}
	return fmt.Sprintf("; samples every %s need %s or more", every, strings.Join(longer, " and "))
}

// faultWindow is the shortest one in which the fault can fire; 0: there is none.
func faultWindow(s Settings) time.Duration {
	f := s.Fault
	for n := 1; n <= 240; n++ {
		if f.Window = time.Duration(n) * s.Interval; f.Window >= time.Second && f.Window <= 24*time.Hour && f.Cap < 1 && f.Bad(s.Interval) > 0 {
			return f.Window
		}
	}
	return 0
}

// window is the shortest one of a baseline that k and min_samples can be reached
// in; 0: there is none.
func window(s Settings) time.Duration {
	hold := s.Baseline.Hold
	for n := 2; n < 1e5 && !s.Availability; n++ {
		s.Baseline.Window = max(time.Duration(n)*s.Interval, time.Minute)
		s.Baseline.Hold = min(hold, s.Baseline.Window/2)
		if reachable(s) == nil {
			return s.Baseline.Window
		}
	}
	return 0
}
