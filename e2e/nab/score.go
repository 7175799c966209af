package nab

import (
	"fmt"
	"math"
	"slices"
)

// Profile weighs what a detector does (config/profiles.json of the benchmark).
type Profile struct {
	Name       string
	TP, FN, FP float64
}

// Profiles are the three of the benchmark.
func Profiles() []Profile {
	return []Profile{
		{"standard", 1, 1, .11},
		{"reward_low_FP_rate", 1, 1, .22},
		{"reward_low_FN_rate", 1, 2, .11},
	}
}

// Nothing is the threshold that no score reaches.
const Nothing = 1.1

// Result is what a detector gets at a threshold.
type Result struct {
	Threshold      float64
	Raw            float64 // sum of weights
	Score          float64 // 0: as a detector that says nothing, 100: a perfect one
	TP, FP, FN, TN int     // rows, not windows
}

// sigmoid is the value of a place relative to the end of a window: 1 far before,
// 0 at the end, -1 far after.
func sigmoid(p float64) float64 {
	if p > 3 {
		return -1
	}
	return 2/(1+math.Exp(5*p)) - 1
}

// mark is what an alarm at one row is worth, without the weight of the profile:
// in a window from 1 at its first row on down, outside from 0 to -1.
type mark struct {
	worth  float64
	window int // -1: outside
}

// marks walks through the windows of a file (nab/sweeper.py of the benchmark).
func marks(f *File) []mark {
	all := make([]mark, len(f.Rows))
	next, before := 0, -1
	for i := range all {
		if next < len(f.Windows) && i >= f.Windows[next].First {
			w := f.Windows[next]
			width := float64(w.Last - w.First + 1)
			all[i] = mark{sigmoid(-float64(w.Last-i+1)/width) / sigmoid(-1), next}
			if i == w.Last {
				before, next = next, next+1
			}
			continue
		}
		all[i] = mark{-1, -1}
		if before >= 0 {
			w := f.Windows[before]
			all[i].worth = sigmoid(float64(i-w.Last) / float64(w.Last-w.First))
		}
	}
	return all
}

// scored is a row that counts.
type scored struct {
	score, worth float64
	window       int // of all files; -1: outside
	file         int
}

// Board is a corpus with the scores of one detector for every row.
type Board struct {
	rows    []scored // highest score first
	files   []labels
	windows int // of the files of this board
	places  int // of windows: the greatest number of one and 1
}

// labels are what a board knows of a file.
type labels struct {
	folder  string
	windows int
}

// NewBoard takes the scores of every row of every file, each 0 to 1.
func NewBoard(files []File, scores [][]float64) (*Board, error) {
	if len(scores) != len(files) {
		return nil, fmt.Errorf("scoring %d files: got scores of %d", len(files), len(scores))
	}
	b := &Board{}
	for k := range files {
		if err := b.take(&files[k], scores[k]); err != nil {
			return nil, fmt.Errorf("scoring %s: %w", files[k].Name, err)
		}
	}
	slices.SortStableFunc(b.rows, func(x, y scored) int {
		switch {
		case x.score > y.score:
			return -1
		case x.score < y.score:
			return 1
		}
		return 0
	})
	return b, nil
}

func (b *Board) take(f *File, scores []float64) error {
	if len(scores) != len(f.Rows) {
		return fmt.Errorf("got %d scores for %d rows", len(scores), len(f.Rows))
	}
	probation := f.Probation()
	early := 0 // windows that are over before any row counts: they count for nothing
	for early < len(f.Windows) && f.Windows[early].Last < probation {
		early++
	}
	for i, m := range marks(f) {
		if !(scores[i] >= 0 && scores[i] <= 1) {
			return fmt.Errorf("row %d: got a score of %v, want 0 to 1", i+1, scores[i])
		}
		if i < probation {
			continue
		}
		r := scored{scores[i], m.worth, -1, len(b.files)}
		if m.window >= 0 {
			r.window = b.windows + m.window - early
		}
		b.rows = append(b.rows, r)
	}
	b.files = append(b.files, labels{f.Folder(), len(f.Windows) - early})
	b.windows += len(f.Windows) - early
	b.places = b.windows
	return nil
}

// sweep goes through every threshold there is, from Nothing on down, until visit
// says that it has seen enough.
func (b *Board) sweep(p Profile, visit func(Result) (more bool)) {
	best := make([]float64, b.places) // worth of each window so far; 0: not found
	missed, found, outside := b.windows, 0., 0.
	r := Result{Threshold: Nothing}
	for i := 0; ; {
		r.Raw = found*p.TP - float64(missed)*p.FN + outside*p.FP
		if !visit(r) || i == len(b.rows) {
			return
		}
		r.Threshold = b.rows[i].score
		for ; i < len(b.rows) && b.rows[i].score == r.Threshold; i++ {
			row := b.rows[i]
			if row.window < 0 {
				r.FP++
				outside += row.worth
				continue
			}
			r.TP++
			if best[row.window] == 0 {
				missed--
			}
			if row.worth > best[row.window] {
				found += row.worth - best[row.window]
				best[row.window] = row.worth
			}
		}
	}
}

// Best is the result at the threshold that is best for all files together, as the
// benchmark chooses it. Of equal ones it is the highest.
func (b *Board) Best(p Profile) Result {
	best := Result{Raw: math.Inf(-1)}
	b.sweep(p, func(r Result) bool {
		if r.Raw > best.Raw {
			best = r
		}
		return true
	})
	return b.finish(p, best)
}

// At is the result when every score that reaches the threshold is an alarm.
func (b *Board) At(p Profile, threshold float64) Result {
	var last Result
	b.sweep(p, func(r Result) bool {
		if r.Threshold < threshold && r.Threshold != Nothing {
			return false
		}
		last = r
		return true
	})
	last.Threshold = threshold
	return b.finish(p, last)
}

// finish counts the other rows and sets the raw sum between those of a detector
// that says nothing and of a perfect one.
func (b *Board) finish(p Profile, r Result) Result {
	inside := 0
	for _, row := range b.rows {
		if row.window >= 0 {
			inside++
		}
	}
	r.FN, r.TN = inside-r.TP, len(b.rows)-inside-r.FP
	null, perfect := b.limits(p)
	if perfect > null {
		r.Score = 100 * (r.Raw - null) / (perfect - null)
	}
	return r
}

// limits are the raw sums of a detector that says nothing and of a perfect one.
func (b *Board) limits(p Profile) (null, perfect float64) {
	return -p.FN * float64(b.windows), p.TP * float64(b.windows)
}
