package nab

import (
	"fmt"
	"math"
	"strings"
	"testing"
)

// perfect are scores of 1 at the first row of every window.
func perfect(files []File) (all [][]float64) {
	for _, f := range files {
		s := make([]float64, len(f.Rows))
		for _, w := range f.Windows {
			s[w.First] = 1
		}
		all = append(all, s)
	}
	return all
}

// Word by word: each part is a corpus of its own.
func TestFolderLeftOut_TakesTheThresholdOfAllOtherFolders(t *testing.T) {
	files := own(t)
	scores := Detector{Score: score}.Scores(files)
	whole := board(t, files, scores)
	for _, p := range Profiles() {
		raw, null, most := 0., 0., 0.
		for _, folder := range []string{"artificialNoAnomaly", "artificialWithAnomaly", "realKnownCause", "realTweets"} {
			var in, out []File
			var inScores, outScores [][]float64
			for i, f := range files {
				if strings.HasPrefix(f.Name, folder+"/") {
					in, inScores = append(in, f), append(inScores, scores[i])
				} else {
					out, outScores = append(out, f), append(outScores, scores[i])
				}
			}
			raw += by(in, inScores, p, board(t, out, outScores).Best(p).Threshold)
			for _, f := range in {
				null, most = null-p.FN*float64(len(f.Windows)), most+p.TP*float64(len(f.Windows))
			}
		}
		near(t, p.Name, whole.FolderLeftOut(p), 100*(raw-null)/(most-null), 1e-9)
	}
}

func TestHalves_ShareFilesWithWindowsEvenlyAndEachWayOnce(t *testing.T) {
	b := board(t, own(t), Detector{Score: null}.Scores(own(t)))
	ways := map[string]bool{}
	for seed := range uint64(Ways) {
		var drawn, left [2]int
		half := b.half(seed)
		for k, f := range b.files {
			if half[k] {
				drawn[min(f.windows, 1)]++
			} else {
				left[min(f.windows, 1)]++
			}
		}
		if drawn != [2]int{3, 12} || left != [2]int{2, 11} {
			t.Errorf("seed %d: got %v and %v of 5 files without windows and 23 with", seed, drawn, left)
		}
		one, other := b.split(func(k int) bool { return half[k] })
		if one.windows+other.windows != 58 || len(one.rows)+len(other.rows) != len(b.rows) {
			t.Errorf("seed %d: got %d + %d windows, want 58 together", seed, one.windows, other.windows)
		}
		ways[fmt.Sprint(half)] = true
	}
	if len(ways) != Ways {
		t.Errorf("got %d ways to halve the files, want %d", len(ways), Ways)
	}
}

// A threshold that parts all windows from all else is found on any of the files.
func TestHeldOut_NothingIsLostWhereFilesAreAlike(t *testing.T) {
	files := own(t)
	b := board(t, files, perfect(files))
	for _, p := range Profiles() {
		mean, least := b.Halves(p, 3)
		near(t, p.Name+", folders", b.FolderLeftOut(p), 100, 1e-9)
		near(t, p.Name+", halves", mean, 100, 1e-9)
		near(t, p.Name+", the least of halves", least, 100, 1e-9)
	}
}

func TestHeldOut_IsNoNumberWithoutOtherFiles(t *testing.T) {
	for name, files := range map[string][]File{"none": nil, "one with windows": own(t)[5:6], "none with windows": own(t)[:2]} {
		b := board(t, files, Detector{Score: null}.Scores(files))
		mean, least := b.Halves(Profiles()[0], Ways)
		if got := b.FolderLeftOut(Profiles()[0]); !math.IsNaN(got) || !math.IsNaN(mean) || !math.IsNaN(least) {
			t.Errorf("%s: got %v, %v, %v, want no numbers", name, got, mean, least)
		}
	}
}
