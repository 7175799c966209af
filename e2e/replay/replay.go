package replay

import (
	"time"

	"github.com/onefiveten/onefiveten/sigma"
)

// Seeds is how many times each fault is replayed.
const Seeds = 20

// contender is one column of the table.
type contender struct {
	name  string
	fresh func(sigma.Season) alerting
}

// contenders are the columns. limit is that of the score.
func contenders(limit float64) []contender {
	return []contender{
		{"plain k-sigma", func(sigma.Season) alerting { return newPlain() }},
		{"one-minute k-sigma", func(sigma.Season) alerting { return newMinute() }},
		{"ours", func(s sigma.Season) alerting { return newThreshold(s) }},
		{"ours with score", func(s sigma.Season) alerting { return newScored(s, limit) }},
		{"adaptive", func(sigma.Season) alerting { return newAdaptive() }},
		{"robust", func(sigma.Season) alerting { return newRobust() }},
	}
}

// Outcome is what one contender made of one replay.
type Outcome struct {
	False   int           // alerts before the fault, warm-up left out
	Healthy time.Duration // in which they were counted
	Found   bool
	Took    time.Duration // from the first sample of the fault to its alert
	Stopped bool          // it went silent before the fault was over
	After   time.Duration // from the first sample of the fault
	During  int           // alerts during the fault
}

// watched is a contender in the middle of a replay.
type watched struct {
	alerting
	Outcome
	was         bool
	onset, ends time.Duration
}

// see goes on with the samples.
func (w *watched) see(samples []Sample) {
	for _, s := range samples {
		is := w.alert(s)
		began, at := is && !w.was, s.At.Sub(begin())
		switch {
		case at >= warm && at < w.onset:
			w.Healthy += every
			if began {
				w.False++
			}
		case at >= w.onset && at < w.ends:
			w.fault(at-w.onset, began, is, w.was)
		}
		w.was = is
	}
}

// fault counts one sample of the fault. An alert from before it tells nothing of
// it: only one that begins does.
func (o *Outcome) fault(since time.Duration, began, is, was bool) {
	if began {
		o.During++
		if !o.Found {
			o.Found, o.Took = true, since
		}
	}
	if o.Found && !o.Stopped && was && !is {
		o.Stopped, o.After = true, since
	}
}

// Row is what every contender made of one fault: outcomes by column, then by seed.
type Row struct {
	Fault    Fault
	Outcomes [][]Outcome
}

// replays gives a row for each fault.
func replays(columns []contender, faults []Fault, seeds int) []Row {
	type job struct {
		on   int // place of the row
		list []Fault
		seed uint64
	}
	var jobs []job
	for on := 0; on < len(faults); {
		list := alike(faults[on:])
		for seed := range uint64(seeds) {
			jobs = append(jobs, job{on, list, seed})
		}
		on += len(list)
	}
	rows := make([]Row, len(faults))
	for i, outcomes := range parallel(jobs, func(j job) [][]Outcome { return replay(columns, j.list, j.seed) }) {
		for k, list := range outcomes {
			r := &rows[jobs[i].on+k]
			r.Fault = jobs[i].list[k]
			r.add(list)
		}
	}
	return rows
}

// alike gives the faults at the beginning of the list that share their past.
func alike(faults []Fault) []Fault {
	n := 1
	for n < len(faults) && faults[n].Base.Name == faults[0].Base.Name && faults[n].Past == faults[0].Past {
		n++
	}
	return faults[:n]
}

// add takes the outcomes of one seed, by column.
func (r *Row) add(outcomes []Outcome) {
	if r.Outcomes == nil {
		r.Outcomes = make([][]Outcome, len(outcomes))
	}
	for i, o := range outcomes {
		r.Outcomes[i] = append(r.Outcomes[i], o)
	}
}

// replay gives the outcomes of faults with one past and seed, by fault and column.
// Who can be forked goes through the past once.
func replay(columns []contender, faults []Fault, seed uint64) [][]Outcome {
	all := make([][]Outcome, len(faults))
	known := make([]watched, len(columns))
	for i, f := range faults {
		samples := f.samples(seed)
		past := f.onset(seed) / every
		for k, c := range columns {
			if known[k].alerting == nil {
				known[k] = watched{alerting: c.fresh(f.Base.season()), onset: f.onset(seed)}
				known[k].see(samples[:past])
			}
			w := known[k]
			w.alerting, known[k].alerting = fork(w.alerting)
			w.ends = w.onset + f.For
			w.see(samples[past:])
			all[i] = append(all[i], w.Outcome)
		}
	}
	return all
}

// fork gives two of one in the same state; the second is nil where that is not to
// be had, and the past has to be gone through again.
func fork(a alerting) (one, other alerting) {
	if f, ok := a.(interface{ fork() alerting }); ok {
		return a, f.fork()
	}
	return a, nil
}
