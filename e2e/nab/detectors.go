package nab

import (
	"math"
	"slices"
	"strconv"

	"github.com/onefiveten/onefiveten/sigma"
)

// Detector gives each row of a file a score of 0 to 1. It sees the rows in order
// and must not look ahead.
type Detector struct {
	Name  string
	Score func(rows []Row) []float64
}

// Detectors are those that are compared, plainest first.
func Detectors() []Detector {
	return []Detector{
		{"null", null},
		{"windowed Gaussian, as published", published},
		{"plain k-sigma: distance", distance},
		{"plain k-sigma: distance, onset only", plainOnsets},
		{"detector D", detectorD},
		{"sigma.Score", score},
	}
}

// Scores are those of a detector for all files.
func (d Detector) Scores(files []File) [][]float64 {
	var all [][]float64
	for i := range files {
		all = append(all, d.Score(files[i].Rows))
	}
	return all
}

// null says the same of every row.
func null(rows []Row) []float64 { return slices.Repeat([]float64{.5}, len(rows)) }

// score is what ships.
func score(rows []Row) []float64 { return scores(sigma.NewScore(nil), rows) }

// detectorD is what it was made from.
func detectorD(rows []Row) []float64 { return scores(sigma.NewBasicScore(nil), rows) }

func scores(s *sigma.Score, rows []Row) []float64 {
	all := make([]float64, len(rows))
	for i, r := range rows {
		all[i] = s.Add(r.Time, r.Value).Score
	}
	return all
}

// distance is plain k-sigma: how many standard deviations of all rows before a
// row is off their mean, z/(z+1) so that it stays below 1. Files that repeat one
// day hold equal distances; which is greater hangs on the order of operations,
// and with another one the onsets give up to .3 less.
func distance(rows []Row) []float64 {
	all := make([]float64, len(rows))
	var n, mean, variance float64
	for i, r := range rows {
		d := r.Value - mean
		switch {
		case n >= 2 && variance > 0:
			z := math.Abs(d) / math.Sqrt(variance)
			all[i] = z / (z + 1)
		case n >= 2 && d != 0:
			all[i] = 1e6 / (1e6 + 1)
		}
		n++
		mean += d / n
		variance = (1 - 1/n) * (variance + d*d/n)
	}
	return all
}

// plainOnsets is distance where it is greatest.
func plainOnsets(rows []Row) []float64 { return onsets(distance(rows)) }

// onsets leaves of the scores those that are greater than the 100 before.
func onsets(scores []float64) []float64 {
	all := make([]float64, len(scores))
	for i, s := range scores {
		if before := scores[max(0, i-100):i]; len(before) == 0 || s > slices.Max(before) {
			all[i] = s
		}
	}
	return all
}

// gaussian is the detector windowedGaussian of the benchmark: the share of a
// normal distribution that is nearer to the mean of a window of 6400 rows. The
// window slides by 100 rows at a time.
func gaussian(rows []Row) []float64 {
	const size, step = 6400, 100
	all := make([]float64, len(rows))
	var mean, stdDev float64
	first, end := 0, 0 // rows of the window
	for i, r := range rows {
		if i > 0 {
			all[i] = 1 - .5*math.Erfc(math.Abs(r.Value-mean)/stdDev/math.Sqrt2)
		}
		switch {
		case i < size:
			end = i + 1
		case i+1-end == step:
			first, end = first+step, i+1
		default:
			continue
		}
		if mean, stdDev = meanAndDeviation(rows[first:end]); stdDev == 0 {
			stdDev = 1e-6
		}
	}
	return all
}

// published rounds as the files of the benchmark do. Its scores owe much to that:
// what is beyond seven standard deviations is 1 there, and so all the same.
func published(rows []Row) []float64 {
	all := gaussian(rows)
	for i, s := range all {
		// What FormatFloat writes is a number.
		all[i], _ = strconv.ParseFloat(strconv.FormatFloat(s, 'g', 12, 64), 64)
	}
	return all
}

// meanAndDeviation are those of the textbook, with n as the divisor.
func meanAndDeviation(rows []Row) (mean, deviation float64) {
	for _, r := range rows {
		mean += r.Value
	}
	mean /= float64(len(rows))
	for _, r := range rows {
		deviation += (r.Value - mean) * (r.Value - mean)
	}
	return mean, math.Sqrt(deviation / float64(len(rows)))
}

// Line is a row of the table that Measure makes: one detector under one profile.
type Line struct {
	Detector, Profile string
	Result

	// The score with thresholds that were chosen on other files; NaN where there
	// are none: those of other folders, and those of the other half of the files,
	// mean and least of Ways.
	FolderLeftOut, Halves, LeastOfHalves float64
}

// Ways is in how many ways Measure halves the files.
const Ways = 20

// Measure scores every detector under every profile, three lines each.
func Measure(files []File) ([]Line, error) {
	var lines []Line
	for _, d := range Detectors() {
		b, err := NewBoard(files, d.Scores(files))
		if err != nil {
			return nil, err
		}
		for _, p := range Profiles() {
			l := Line{Detector: d.Name, Profile: p.Name, Result: b.Best(p), FolderLeftOut: b.FolderLeftOut(p)}
			l.Halves, l.LeastOfHalves = b.Halves(p, Ways)
			lines = append(lines, l)
		}
	}
	return lines, nil
}
