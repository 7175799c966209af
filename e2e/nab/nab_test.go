package nab

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

func own(t testing.TB) []File {
	t.Helper()
	files, err := Own()
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func board(t testing.TB, files []File, scores [][]float64) *Board {
	t.Helper()
	b, err := NewBoard(files, scores)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func near(t *testing.T, what string, got, want, slack float64) {
	t.Helper()
	if !(math.Abs(got-want) <= slack) {
		t.Errorf("%s: got %.12g, want %.12g within %g", what, got, want, slack)
	}
}

// What is scored must not score itself.
func TestScorer_KnowsNothingOfSigma(t *testing.T) {
	for _, name := range []string{"corpus.go", "held.go", "score.go"} {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range file.Imports {
			if strings.Contains(spec.Path.Value, ".") { // not of the standard library
				t.Errorf("%s imports %s", name, spec.Path.Value)
			}
		}
	}
}

func TestOwn_IsTheTwentyEightFiles(t *testing.T) {
	files := own(t)
	rows, windows, labelled := 0, 0, 0
	for _, f := range files {
		rows, windows = rows+len(f.Rows), windows+len(f.Windows)
		if len(f.Windows) > 0 {
			labelled++
		}
	}
	if got, want := [4]int{len(files), rows, windows, labelled}, [4]int{28, 272544, 58, 23}; got != want {
		t.Errorf("files, rows, windows, files with windows: got %v, want %v", got, want)
	}
}

// The example of one window of ten rows, reckoned by hand.
func TestMarks_OfOneWindowOfTenRows(t *testing.T) {
	f := File{Rows: make([]Row, 40), Windows: []Window{{10, 19}}}
	all := marks(&f)
	near(t, "first row", all[10].worth, 1, 0)
	near(t, "last row", all[19].worth, 0.248241549775, 1e-12)
	near(t, "the row after it", .11*all[20].worth, -0.029793183037, 1e-12)
	near(t, "any row before the first window", .11*all[9].worth, -.11, 0)
	near(t, "the last row", all[39].worth, 2/(1+math.Exp(5*20/9.))-1, 1e-12)
	if all[10].window != 0 || all[19].window != 0 || all[9].window != -1 || all[20].window != -1 {
		t.Errorf("the window is rows 10 to 19, got %+v", all)
	}
}

func TestBoard_NothingIsZeroAndTheFirstRowsOfWindowsAreHundred(t *testing.T) {
	files := own(t)
	silent := board(t, files, Detector{Score: null}.Scores(files))
	best := board(t, files, perfect(files))
	for i, p := range Profiles() {
		want := []float64{-58, -58, -116}[i]
		if r := silent.Best(p); r.Score != 0 || r.Raw != want || r.Threshold != Nothing || r.TP+r.FP != 0 || r.FN != 24663 || r.TN != 229101 {
			t.Errorf("%s: null got %+v, want raw %v, score 0, 24663 + 229101 rows", p.Name, r, want)
		}
		if r := best.Best(p); math.Abs(r.Score-100) > 1e-12 || math.Abs(r.Raw-58) > 1e-12 || r.TP != 58 || r.FP != 0 {
			t.Errorf("%s: perfect got %+v, want score 100, raw 58, TP 58", p.Name, r)
		}
	}
}

// The results were made on these 28 files by other implementations; those of the
// rounded windowed Gaussian from the rows that the benchmark publishes.
func TestBoard_GivesThePublishedResults(t *testing.T) {
	files := own(t)
	for _, c := range []struct {
		name  string
		score func([]Row) []float64
		want  [3]Result // TP and FP 0: not known
		slack float64
	}{
		{"windowed Gaussian, rounded as published", published, [3]Result{
			{Score: 33.8902255778, Raw: -18.6873383298, Threshold: 1, TP: 240, FP: 247},
			{Score: 11.3628273667, Raw: -44.8191202546, Threshold: 1, TP: 240, FP: 247},
			{Score: 42.9706643070, Raw: -41.2310441059, Threshold: .999999999999, TP: 255, FP: 270},
		}, 1e-9},
		{"windowed Gaussian, full precision", gaussian, [3]Result{
			{Score: 36.4637063809, Raw: -15.7021005982, TP: 198, FP: 200}, {Score: 18.2458154978}, {Score: 44.0296030843},
		}, 1e-9},
		{"plain k-sigma", distance, [3]Result{{Score: 37.32}, {Score: 30.14}, {Score: 44.42}}, .005},
		{"plain k-sigma, onset only", plainOnsets, [3]Result{{Score: 42.78}, {Score: 32.73}, {Score: 49.21}}, .005},
		{"detector D", detectorD, [3]Result{
			{Score: 68.6253465, Raw: 21.6054019, Threshold: .640846, TP: 113, FP: 132},
			{Score: 56.3117635, Raw: 7.3216456},
			{Score: 75.0381270, Raw: 14.5663411},
		}, 1e-6},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := board(t, files, Detector{Score: c.score}.Scores(files))
			for i, p := range Profiles() {
				got, want := b.Best(p), c.want[i]
				near(t, p.Name, got.Score, want.Score, c.slack)
				if want.Raw != 0 {
					near(t, p.Name+", raw", got.Raw, want.Raw, c.slack)
				}
				if want.Threshold != 0 {
					near(t, p.Name+", threshold", got.Threshold, want.Threshold, 1e-6)
				}
				if want.TP != 0 && (got.TP != want.TP || got.FP != want.FP) {
					t.Errorf("%s: got TP %d, FP %d, want %d, %d", p.Name, got.TP, got.FP, want.TP, want.FP)
				}
			}
		})
	}
}

// by is the sum at a threshold word by word: for each window the best alarm in it
// or the price of having missed it, and every alarm outside.
func by(files []File, scores [][]float64, p Profile, threshold float64) (raw float64) {
	for k, f := range files {
		all := marks(&f)
		for _, w := range f.Windows {
			if w.Last < f.Probation() {
				continue
			}
			worth := -p.FN
			for i := max(w.First, f.Probation()); i <= w.Last; i++ {
				if scores[k][i] >= threshold {
					worth = max(worth, p.TP*all[i].worth)
				}
			}
			raw += worth
		}
		for i := f.Probation(); i < len(f.Rows); i++ {
			if all[i].window < 0 && scores[k][i] >= threshold {
				raw += p.FP * all[i].worth
			}
		}
	}
	return raw
}

func TestBoard_SweepIsTheSumAtEveryThreshold(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var files []File
		var scores [][]float64
		for range 1 + r.IntN(4) {
			f := File{Rows: make([]Row, 100+r.IntN(200))}
			for from := r.IntN(50); from+40 < len(f.Rows) && r.IntN(4) > 0; {
				w := Window{from + r.IntN(10), from + 12 + r.IntN(20)}
				f.Windows, from = append(f.Windows, w), w.Last+1+r.IntN(20)
			}
			s := make([]float64, len(f.Rows))
			for i := range s {
				s[i] = float64(r.IntN(20)) / 20
			}
			files, scores = append(files, f), append(scores, s)
		}
		b := board(t, files, scores)
		for _, p := range Profiles() {
			most := math.Inf(-1)
			for k := 0; k <= 44; k++ { // every score there is, and between
				threshold := float64(k) / 40
				want := by(files, scores, p, threshold)
				near(t, "raw", b.At(p, threshold).Raw, want, 1e-9)
				most = max(most, want)
			}
			best := b.Best(p)
			near(t, "best", best.Raw, most, 1e-9)
			if at := b.At(p, best.Threshold); at != best {
				t.Fatalf("at the best threshold: got %+v, want %+v", at, best)
			}
		}
	}
}

// In the benchmark's program a file all of whose scores reach the threshold ends
// the run (numenta/NAB#361).
func TestBoard_EveryRowMayBeAnAlarm(t *testing.T) {
	files := own(t)
	b := board(t, files, Detector{Score: func(rows []Row) []float64 { return slices.Repeat([]float64{1}, len(rows)) }}.Scores(files))
	for _, p := range Profiles() {
		got := b.At(p, .5)
		if got.TP != 24663 || got.FP != 229101 || got.FN+got.TN != 0 || got.Score > -1000 {
			t.Errorf("%s: got %+v, want an alarm at each of 24663 + 229101 rows", p.Name, got)
		}
	}
}

func TestBoard_ScoresAnySubsetByItsOwnWindows(t *testing.T) {
	for _, f := range own(t) {
		files := []File{f}
		b := board(t, files, Detector{Score: score}.Scores(files))
		for _, p := range Profiles() {
			r := b.Best(p)
			null, perfect := b.limits(p)
			if null != -p.FN*float64(len(f.Windows)) || perfect != float64(len(f.Windows)) {
				t.Errorf("%s: null %v, perfect %v for %d windows", f.Name, null, perfect, len(f.Windows))
			}
			if !(r.Score >= 0 && r.Score <= 100) {
				t.Errorf("%s, %s: got %+v", f.Name, p.Name, r)
			}
		}
	}
}

// What ships has to be better than what it was made from, also where the threshold
// was chosen without the files that are judged. Both have the same constants.
func TestScore_IsBetterThanDetectorD(t *testing.T) {
	files := own(t)
	ours, theirs := Detector{Score: score}.Scores(files), Detector{Score: detectorD}.Scores(files)
	a, b := board(t, files, ours), board(t, files, theirs)
	for _, p := range Profiles() {
		if got, than := a.Best(p).Score, b.Best(p).Score; got < than+1 {
			t.Errorf("%s: got %.2f, want a point more than %.2f", p.Name, got, than)
		}
		if got, than := a.FolderLeftOut(p), b.FolderLeftOut(p); got <= than {
			t.Errorf("%s, a folder left out: got %.2f, want more than %.2f", p.Name, got, than)
		}
		got, _ := a.Halves(p, Ways)
		if than, _ := b.Halves(p, Ways); got <= than {
			t.Errorf("%s, halves: got %.2f, want more than %.2f", p.Name, got, than)
		}
	}
}

func TestNewBoard_RefusesScoresThatDoNotFit(t *testing.T) {
	files := []File{{Name: "a.csv", Rows: make([]Row, 2)}}
	for want, scores := range map[string][][]float64{
		"scoring 1 files: got scores of 0":                      nil,
		"scoring a.csv: got 1 scores for 2 rows":                {{0}},
		"scoring a.csv: row 2: got a score of 1.5, want 0 to 1": {{0, 1.5}},
		"scoring a.csv: row 1: got a score of NaN, want 0 to 1": {{math.NaN(), 0}},
	} {
		if _, err := NewBoard(files, scores); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestMeasure_HasEveryDetectorUnderEveryProfile(t *testing.T) {
	files := own(t)[:2]
	lines, err := Measure(files)
	if err != nil || len(lines) != len(Detectors())*len(Profiles()) {
		t.Errorf("got %d lines, %v", len(lines), err)
	}
}

func TestFiles_AreThoseOfTheFolderThatIsNamed(t *testing.T) {
	dir := t.TempDir()
	for name, text := range small() {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, text.Data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("NAB", dir)
	files, err := Files()
	if err != nil || len(files) != 1 || files[0].Name != "x/a.csv" || len(files[0].Rows) != 4 {
		t.Fatalf("got %+v, %v", files, err)
	}
	if got, want := files[0].Windows, []Window{{1, 3}}; !slices.Equal(got, want) {
		t.Errorf("the first of two rows of one time is meant: got %v, want %v", got, want)
	}
	if got, want := files[0].Rows[3], (Row{time.Date(2014, 1, 1, 0, 10, 0, 0, time.UTC), -2e3}); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
	t.Setenv("NAB", filepath.Join(dir, "no such folder"))
	if _, err := Files(); err == nil || !strings.Contains(err.Error(), "no such folder") {
		t.Errorf("a folder that is not there: got %v, want its name", err)
	}
}

// Labels of the whole corpus may stand beside some of its folders; a label may do
// without fractions of a second.
func TestRead_LeavesOutFoldersThatAreNotThere(t *testing.T) {
	fsys := small()
	fsys["labels/combined_windows.json"] = &fstest.MapFile{Data: []byte(`{"y/b.csv": [["2014-01-01 00:05:00.000000", "2014-01-01 00:10:00.000000"]],
		"x/a.csv": [["2014-01-01 00:00:00", "2014-01-01 00:00:00.000000"], ["2014-01-01 00:10:00", "2014-01-01 00:10:00"]]}`)}
	files, err := Read(fsys)
	if err != nil || len(files) != 1 || !slices.Equal(files[0].Windows, []Window{{0, 0}, {3, 3}}) {
		t.Errorf("got %+v, %v", files, err)
	}
}

// Times stand twice and go back, as they do where a clock is set: what counts is
// the order of the rows.
func TestRead_TimesMayStandTwiceAndGoBack(t *testing.T) {
	fsys := small()
	fsys["data/x/a.csv"] = &fstest.MapFile{Data: []byte("timestamp,value\r\n2014-01-01 00:10:00,1\r\n2014-01-01 00:05:00,2\r\n2014-01-01 00:05:00,3\r\n" +
		"2014-01-01 00:01:00,4\r\n2014-01-01 00:10:00,5\r\n2014-01-01 00:10:00,6\r\n")}
	files, err := Read(fsys)
	if err != nil || !slices.Equal(files[0].Windows, []Window{{1, 4}}) || len(files[0].Rows) != 6 {
		t.Errorf("got %+v, %v", files, err)
	}
}

// A window that is over before the first row that counts can neither be found nor
// missed. One that reaches beyond it is worth what its later rows are.
func TestBoard_WindowsInProbation(t *testing.T) {
	f := File{Name: "x/a.csv", Rows: make([]Row, 100), Windows: []Window{{2, 9}, {12, 20}, {50, 59}}}
	alarms := func(rows ...int) [][]float64 {
		s := make([]float64, 100)
		for _, i := range rows {
			s[i] = 1
		}
		return [][]float64{s}
	}
	p := Profiles()[0]
	for _, c := range []struct {
		alarms []int
		raw    float64
	}{
		{nil, -2}, {[]int{2, 5, 12}, -2}, {[]int{50}, 0}, {[]int{14, 50}, 0}, {[]int{15, 50}, 1 + marks(&f)[15].worth},
	} {
		got := board(t, []File{f}, alarms(c.alarms...)).At(p, 1)
		near(t, fmt.Sprint("alarms at ", c.alarms), got.Raw, c.raw, 1e-12)
		near(t, fmt.Sprint("score of alarms at ", c.alarms), got.Score, 100*(c.raw+2)/4, 1e-12)
		if got.TP+got.FN != 16 || got.FP+got.TN != 69 {
			t.Errorf("got %+v, want 16 rows in windows and 69 outside", got)
		}
	}
	f.Windows = f.Windows[:1]
	if got := board(t, []File{f}, alarms(3)).Best(p); got.Raw != 0 || got.Score != 0 || got.Threshold != Nothing {
		t.Errorf("no window counts: got %+v, want nothing", got)
	}
}

// small is a corpus of one file.
func small() fstest.MapFS {
	return fstest.MapFS{
		"labels/combined_windows.json": {Data: []byte(`{"x/a.csv": [["2014-01-01 00:05:00.000000", "2014-01-01 00:10:00.000000"]]}`)},
		"data/x/a.csv":                 {Data: []byte("timestamp,value\n2014-01-01 00:00:00,1\n2014-01-01 00:05:00,2\n2014-01-01 00:05:00,3\n2014-01-01 00:10:00,-2e3\n")},
	}
}

func TestRead_SaysWhatIsWrong(t *testing.T) {
	for _, c := range []struct{ name, from, to, want string }{
		{"labels/combined_windows.json", "[[", "[", "reading labels/combined_windows.json: "},
		{"labels/combined_windows.json", "00:10", "00:11", "reading data/x/a.csv: a window begins or ends at 2014-01-01 00:11:00"},
		{"labels/combined_windows.json", "x/a", "x/b", "reading data/x/b.csv: open data/x/b.csv"},
		{"labels/combined_windows.json", "x/a", "y/a", "reading data: of the 1 files in labels/combined_windows.json not even the folder is there"},
		{"labels/combined_windows.json", "]]", `], ["2014-01-01 00:05:00", "2014-01-01 00:10:00"]]`, "reading data/x/a.csv: a window begins or ends at 2014-01-01 00:05:00: from line 6 on"},
		{"labels/combined_windows.json", "00:05:00", "00:10:01", "reading data/x/a.csv: a window begins or ends at 2014-01-01 00:10:01"},
		{"data/x/a.csv", "00:00,1", "00:00", "reading data/x/a.csv: record on line 2"},
		{"data/x/a.csv", "timestamp", "time", "reading data/x/a.csv: its first line is not timestamp,value"},
		{"data/x/a.csv", ",3", ",three", "reading data/x/a.csv: line 4: "},
		{"data/x/a.csv", "00:10", "0:1", "reading data/x/a.csv: line 5: "},
		{"data/x/a.csv", ",3", ",3,3", "reading data/x/a.csv: record on line 4"},
	} {
		fsys := small()
		fsys[c.name] = &fstest.MapFile{Data: []byte(strings.Replace(string(fsys[c.name].Data), c.from, c.to, 1))}
		if _, err := Read(fsys); err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s with %s: got %v, want %s…", c.name, c.to, err, c.want)
		}
	}
}

func FuzzRead(f *testing.F) {
	s := small()
	f.Add(s["labels/combined_windows.json"].Data, s["data/x/a.csv"].Data)
	f.Fuzz(func(t *testing.T, labels, data []byte) {
		files, err := Read(fstest.MapFS{"labels/combined_windows.json": {Data: labels}, "data/x/a.csv": {Data: data}})
		if err != nil {
			return
		}
		for _, d := range Detectors() {
			if d.Name == "sigma.Score" || d.Name == "detector D" { // fuzzed in their own room
				continue
			}
			var scores [][]float64
			for _, file := range files {
				all := d.Score(file.Rows)
				for i, v := range all {
					if !(v >= 0 && v <= 1) { // values may overflow the plain ones
						all[i] = 0
					}
				}
				scores = append(scores, all)
			}
			board(t, files, scores).Best(Profiles()[0])
		}
	})
}

func TestUnpack_SaysWhenAnArchiveIsCutOff(t *testing.T) {
	fsys, err := unpack(packed)
	if err != nil {
		t.Fatal(err)
	}
	files, err := fs.Glob(fsys, "data/*/*.csv")
	if err != nil || len(files) != 28 {
		t.Errorf("got %d files, %v", len(files), err)
	}
	if _, err := unpack(packed[:len(packed)/2]); err == nil {
		t.Error("half an archive gave no error")
	}
	if _, err := unpack([]byte("no archive")); err == nil {
		t.Error("a text gave no error")
	}
}
