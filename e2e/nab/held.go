package nab

import (
	"math"
	"math/rand/v2"
	"slices"
)

// The best threshold of all files is judged by the files that it was chosen on.
// What follows chooses it on others.

// FolderLeftOut is the score when the threshold for each folder is the best of all
// other folders. It is NaN where only one folder has windows, or none.
func (b *Board) FolderLeftOut(p Profile) float64 {
	var folders, labelled []string
	for _, f := range b.files {
		folders = append(folders, f.folder)
		if f.windows > 0 {
			labelled = append(labelled, f.folder)
		}
	}
	if slices.Sort(labelled); len(slices.Compact(labelled)) < 2 {
		return math.NaN()
	}
	var sum transfer
	slices.Sort(folders)
	for _, folder := range slices.Compact(folders) {
		in, out := b.split(func(k int) bool { return b.files[k].folder == folder })
		sum.add(p, out, in)
	}
	return sum.score()
}

// Halves is the score when the threshold for each half of the files is the best of
// the other half: mean and least of that many ways to halve them. The ways are the
// same for every detector. Both are NaN where only one file has windows, or none.
func (b *Board) Halves(p Profile, ways int) (mean, least float64) {
	labelled := 0
	for _, f := range b.files {
		labelled += min(f.windows, 1)
	}
	if labelled < 2 || ways < 1 {
		return math.NaN(), math.NaN()
	}
	least = math.Inf(1)
	for seed := range ways {
		drawn := b.half(uint64(seed))
		one, other := b.split(func(k int) bool { return drawn[k] })
		var sum transfer
		sum.add(p, one, other)
		sum.add(p, other, one)
		mean, least = mean+sum.score()/float64(ways), min(least, sum.score())
	}
	return mean, least
}

// half draws half of the files with windows, and half of those without.
func (b *Board) half(seed uint64) []bool {
	drawn := make([]bool, len(b.files))
	var before [2]int
	for _, k := range rand.New(rand.NewPCG(seed, 15)).Perm(len(b.files)) {
		kind := min(b.files[k].windows, 1)
		drawn[k] = before[kind]%2 == 0
		before[kind]++
	}
	return drawn
}

// split makes one board of the files that are meant and one of the others.
func (b *Board) split(in func(file int) bool) (yes, no *Board) {
	yes, no = &Board{places: b.places}, &Board{places: b.places}
	of := make([]*Board, len(b.files))
	for k, f := range b.files {
		if of[k] = no; in(k) {
			of[k] = yes
		}
		of[k].windows += f.windows
	}
	for _, row := range b.rows {
		to := of[row.file]
		to.rows = append(to.rows, row)
	}
	return yes, no
}

// transfer adds up what thresholds are worth on files that they were not chosen on.
type transfer struct{ raw, null, perfect float64 }

func (s *transfer) add(p Profile, chosen, judged *Board) {
	null, perfect := judged.limits(p)
	s.raw += judged.At(p, chosen.Best(p).Threshold).Raw
	s.null, s.perfect = s.null+null, s.perfect+perfect
}

func (s *transfer) score() float64 { return 100 * (s.raw - s.null) / (s.perfect - s.null) }
