package backtest

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/onefiveten/onefiveten/sigma"
)

// update rewrites testdata with what the room gives: go test -update.
var update = flag.Bool("update", false, "rewrite testdata")

// golden compares with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("%s: %s", name, diff)
	}
}

// made is a source of samples that a test has made.
type made struct {
	samples []Sample
	next    int
}

func (m *made) Read() (Sample, error) {
	if m.next == len(m.samples) {
		return Sample{}, io.EOF
	}
	m.next++
	return m.samples[m.next-1], nil
}

// begin is when the samples of tests begin.
var begin = time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)

// hours makes samples of a value every 30s for some hours: 20 and a little, and
// from the hours that are named on 15 minutes of an outage, labelled so.
func hours(n int, outages ...float64) []Sample {
	samples := make([]Sample, n*120)
	for i := range samples {
		s := Sample{At: begin.Add(time.Duration(i) * 30 * time.Second), Value: 20 + float64(i*7919%13)/10, Label: Normal}
		for _, from := range outages {
			if after := s.At.Sub(begin).Hours() - from; after >= 0 && after < .25 {
				s.Value, s.Label = s.Value+15, Faulty
			}
		}
		samples[i] = s
	}
	return samples
}

// half are settings for samples every 30s.
func half() Settings {
	s := value()
	s.Interval = 30 * time.Second
	return s
}

func run(t *testing.T, samples []Sample, s Settings) *Report {
	t.Helper()
	r, err := Run(&made{samples: samples}, s, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// again judges all samples by sigma alone, and counts by itself.
func again(t *testing.T, samples []Sample, s Settings) (alerts int, anomalies, judged uint64, longest time.Duration) {
	t.Helper()
	series, err := sigma.NewValue(s.Interval, s.Fault, s.Baseline)
	if err != nil {
		t.Fatal(err)
	}
	var since, last time.Time
	for _, x := range samples {
		j, err := series.Add(x.At, x.Value)
		if err != nil {
			continue
		}
		if j.Ready {
			judged++
		}
		if j.Anomaly {
			anomalies++
		}
		if j.Fault && since.IsZero() {
			alerts, since = alerts+1, x.At
		}
		if !j.Fault && !since.IsZero() {
			longest, since = max(longest, x.At.Sub(since)), time.Time{}
		}
		last = x.At
	}
	if !since.IsZero() {
		longest = max(longest, last.Sub(since))
	}
	return alerts, anomalies, judged, longest
}

func TestRun_GivesTheFiguresOfSigma(t *testing.T) {
	samples := hours(60, 5, 20.5, 59.9)
	for i := 0; i < len(samples); i += 301 { // single ones, so that k matters
		samples[i].Value += float64(i%5) / 3
	}
	samples[77].Value = math.NaN()
	samples[78].At = samples[76].At
	samples[500].At = samples[400].At
	r := run(t, samples, half())
	if len(r.ByK) != 9 || len(r.ByCap) != 3 || len(r.ByFloor) != 4 || r.Samples != uint64(len(samples)-3) {
		t.Fatalf("got %d k, %d caps, %d floors and %d samples, want 9, 3, 4 and %d", len(r.ByK), len(r.ByCap), len(r.ByFloor), r.Samples, len(samples)-3)
	}
	if want := (sigma.Refused{NotFinite: 1, OutOfOrder: 1, Duplicate: 1}); r.Refused != want {
		// The one of 76 again is a duplicate: that of 77 was refused.
		t.Errorf("got %+v, want %+v", r.Refused, want)
	}
	seen := map[uint64]bool{}
	for _, o := range slices.Concat(r.ByK, r.ByCap, r.ByFloor) {
		s := half()
		s.Baseline.K, s.Fault.Floor, s.Fault.Cap = o.K, o.Floor, o.Cap
		alerts, anomalies, judged, longest := again(t, samples, s)
		if o.Alerts != alerts || o.Anomalies != anomalies || o.Judged != judged || o.Longest != longest {
			t.Errorf("k %v, cap %v: got %+v, want %d alerts, %d of %d anomalous, longest %s", o.K, o.Cap, o, alerts, anomalies, judged, longest)
		}
		seen[o.Anomalies] = true
	}
	if len(seen) < 3 {
		t.Error("every k gives the same: this test shows nothing")
	}
}

func TestRun_FaultsAndLabels(t *testing.T) {
	samples := hours(12, 0, 3, 6.5, 11.9)
	for i := 8 * 120; i < 8*120+20; i++ { // an outage that nobody has labelled
		samples[i].Value += 15
	}
	for i := 9 * 120; i < 9*120+20; i++ { // a label without an outage
		samples[i].Label = Faulty
	}
	r := run(t, samples, half())
	if o := r.Own; o.Found != 3 || o.Missed != 1 || o.Unjudged != 1 || o.False != 1 || o.Alerts != 4 {
		t.Errorf("got %+v, want 3 found, 1 missed, 1 before there was a threshold, and 1 false of 4", o)
	}
	if len(r.Windows) != 5 || len(r.Faults) != 4 {
		t.Fatalf("got %+v and %+v", r.Windows, r.Faults)
	}
	w, f := r.Windows[1], r.Faults[0]
	if !w.Found || !w.Start.Equal(begin.Add(3*time.Hour)) || !w.End.Equal(w.Start.Add(15*time.Minute-30*time.Second)) || w.Delay != f.Start.Sub(w.Start) || w.Delay <= 0 || w.Delay > 3*time.Minute {
		t.Errorf("got %+v for the fault %+v", w, f)
	}
	if !f.FirstBad.Equal(w.Start) || f.E <= f.ThetaE || f.Open || f.Lasted < 10*time.Minute || f.Value < 35 || f.Mean > 22 {
		t.Errorf("got %+v", f)
	}
	if last := r.Faults[3]; !last.Open || !last.End.Equal(samples[len(samples)-1].At) {
		t.Errorf("got %+v, want one that lasts", last)
	}
}

func TestRun_AvailabilityHasCapsAndNoK(t *testing.T) {
	samples := hours(24, 3)
	for i := range samples {
		samples[i].Value = flagOf(samples[i].Label == Faulty || i%400 == 0)
	}
	s := Settings{Availability: true, Fault: sigma.Fault{Window: 5 * time.Minute, Floor: .05, Cap: .5, MinAnomalies: 2, K: 3, Clear: 3}}
	r := run(t, samples, s)
	if r.ByK != nil || len(r.ByCap) < 10 || r.Own.Alerts != 1 || r.Own.Judged != uint64(len(samples)) || r.Settings.Interval != 30*time.Second {
		t.Errorf("got %+v", r)
	}
}

func TestRun_TakesTheMedianOfTheFirstStepsForTheInterval(t *testing.T) {
	samples := hours(2)
	samples[3].At = samples[3].At.Add(400 * time.Millisecond)
	samples[50].At = samples[10].At // a step back
	for i := 60; i < len(samples); i++ {
		samples[i].At = samples[i].At.Add(time.Hour) // a gap
	}
	s := half()
	s.Interval = 0
	if r := run(t, samples, s); r.Settings.Interval != 30*time.Second {
		t.Errorf("got %s, want 30s", r.Settings.Interval)
	}
	// The time of a gap is not judged.
	if r := run(t, samples, s); r.Own.Time > 2*time.Hour {
		t.Errorf("got %s of judged time, want less than the 2h of samples", r.Own.Time)
	}
}

func TestRun_SaysWhatItCannotDo(t *testing.T) {
	one := half()
	one.Interval = 0
	short, wide, high, long := half(), half(), half(), half()
	short.Fault.Window = 20 * time.Second
	wide.Baseline.MinSamples = 200
	high.Baseline.K = 11
	long.Baseline.Hold = time.Hour
	far, never, certain, down := half(), half(), half(), half()
	far.Baseline.K, never.Baseline.MinSamples, certain.Fault.Cap = 1e9, 1e6, 1
	down.Availability = true
	rare, dense := half(), half()
	rare.Interval, dense.Interval = 24*time.Hour, 10*time.Millisecond
	backward, double, days := hours(1), hours(1), hours(1)
	slices.Reverse(backward)
	for i := range double {
		double[i].At = double[i/2*2].At
		days[i].At = time.Unix(0, int64(45000e9)+int64(float64(i)*30/86400*1e9))
	}
	for _, c := range []struct {
		what    string
		samples []Sample
		s       Settings
		want    string
	}{
		{"nothing", nil, half(), "there is no sample"},
		{"one", hours(1)[:1], one, "one sample does not tell the interval: give --interval"},
		{"short", hours(1), short, "fault window 20s is shorter than the interval 30s; samples every 30s need --fault.window=1m30s or more"},
		{"wide", hours(1), wide, "min_samples is 200: a window of 1h holds 120 samples every 30s, and 60 while a fault is kept out for 30m; samples every 30s need --window=2h10m30s or more"},
		{"high", hours(1), high, "k 11 cannot be reached: of 120 samples, those of a window of 1h every 30s, none is 10.863 standard deviations off or more; samples every 30s need --window=1h1m30s or more"},
		{"long", hours(1), long, "hold is 1h, want at most 30m, half of the window of 1h"},
		{"backward", backward, one, "100 of the first 101 samples are not later than the one before; want one series, sorted by time, the oldest first"},
		{"double", double, one, "50 of the first 101 samples are not later than the one before"},
		{"days", days, one, "; the first sample is of 1970-01-01 12:30:00: are its timestamps unix seconds?"},
		{"no number", []Sample{{At: begin, Value: math.NaN()}, {At: begin.Add(time.Second), Value: 1e101}}, half(), "no sample could be taken: 2 without a finite value up to 1e100"},
		{"a value", hours(1), down, "the value at 2026-03-02T00:00:00Z is 20, want 1 for a failed probe and 0 for a good one"},
		{"rare", hours(1), rare, "fault window 3m is shorter than the interval 1d; samples every 1d are too far apart for any fault window"},
		{"dense", hours(1), dense, "fault window 3m holds more than 3600 intervals of 10ms; samples every 10ms need --fault.window=36s or less"},
		{"far", hours(1), far, "k is 1e+09, want 0 to 1e6"},
		{"never", hours(1), never, "min_samples is 1000000: a window of 1h holds 120 samples every 30s, and 60 while a fault is kept out for 30m"},
		{"certain", hours(1), certain, "floor 0.55 and cap 1: want 0 <= floor <= cap < 1"},
	} {
		if _, err := Run(&made{samples: c.samples}, c.s, nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s:\n got %v\nwant %s", c.what, err, c.want)
		} else if hints := strings.Count(c.want, "need --"); strings.Count(err.Error(), "need --") != hints {
			t.Errorf("%s: got %v, which hints at what would not be enough", c.what, err)
		}
	}
	want := errors.New("enough")
	n := 0
	if _, err := Run(&made{samples: hours(40)}, half(), func(Row) error { n++; return want }); !errors.Is(err, want) || n != 1 {
		t.Errorf("got %v after %d rows, want that of the first row", err, n)
	}
	if _, err := Run(NewReader(strings.NewReader("1,1\n2,2\nx,3\n"), nil), half(), nil); err == nil || !strings.HasPrefix(err.Error(), "line 3: ") {
		t.Errorf("got %v", err)
	}
}

// What would be enough by the hint is enough.
func TestRun_TheHintIsTrue(t *testing.T) {
	s := value()
	s.Interval = 30 * time.Minute
	_, err := Run(&made{samples: hours(1)}, s, nil)
	var fault, window string
	if err == nil {
		t.Fatal("want an error")
	}
	if _, scan := fmt.Sscanf(err.Error()[strings.Index(err.Error(), "need "):], "need --fault.window=%s and --window=%s or more", &fault, &window); scan != nil {
		t.Fatalf("%v: %v", err, scan)
	}
	s.Fault.Window, _ = time.ParseDuration(fault)
	s.Baseline.Window, _ = time.ParseDuration(window)
	if _, err := Run(&made{samples: hours(1)}, s, nil); err != nil {
		t.Errorf("with %s and %s: %v", fault, window, err)
	}
	s.Baseline.Window -= s.Interval
	if _, err := Run(&made{samples: hours(1)}, s, nil); err == nil {
		t.Errorf("less than %s is enough, too", window)
	}
}

// A k of the table that cannot be is told there, and is not advised.
func TestRun_AKOfTheTableMayBeOutOfReach(t *testing.T) {
	s := half()
	s.Interval, s.Baseline.Window, s.Baseline.Hold, s.Baseline.MinSamples = time.Minute, 20*time.Minute, 5*time.Minute, 10
	s.Fault.Window = 10 * time.Minute
	r := run(t, hours(5), s)
	for _, o := range r.ByK {
		if refused := o.K >= sigma.MaxK(20); refused != (o.Refusal != "") {
			t.Errorf("k %v: refused as %q, want %v", o.K, o.Refusal, refused)
		}
	}
	if o, ok := r.KFor(Rate{0, time.Hour}); !ok || o.Refusal != "" {
		t.Errorf("got %+v, %v", o, ok)
	}
}

func TestReport_AdvisesTheLeastThatKeepsToTheRate(t *testing.T) {
	at := func(k, perDay float64) Outcome {
		return Outcome{K: k, Alerts: int(100 * perDay), Time: 100 * 24 * time.Hour}
	}
	r := &Report{ByK: []Outcome{at(2, 3), at(2.5, .5), at(3, .6), at(3.5, .04)}}
	for text, want := range map[string]float64{"1/20d": 3.5, "1/2d": 2.5, "4/d": 2, "0/d": 0, "1/30d": 0} {
		rate, err := ParseRate(text)
		if err != nil {
			t.Fatal(err)
		}
		if o, ok := r.KFor(rate); ok != (want > 0) || o.K != want {
			t.Errorf("%s: got k %v, %v, want %v", text, o.K, ok, want)
		}
	}
	// With labels only false alerts count against it.
	r.Labelled = true
	for i, wrong := range []int{200, 3, 0, 0} {
		r.ByK[i].False = wrong
	}
	if o, ok := r.KFor(Rate{1, 20 * 24 * time.Hour}); !ok || o.K != 2.5 {
		t.Errorf("with labels: got k %v, %v, want 2.5", o.K, ok)
	}
	for _, text := range []string{"", "1", "/d", "1/", "1/x", "-1/d", "NaN/d", "Inf/d", "1/0d", "1/20"} {
		if r, err := ParseRate(text); err == nil {
			t.Errorf("%q was taken for %v", text, r)
		}
	}
}

// The page of a report, and the rows in both formats, are what users see.
func TestReport_IsWhatPeopleRead(t *testing.T) {
	s := half()
	s.Baseline.Direction = sigma.Both
	samples := hours(30, 5, 20.5)
	var out bytes.Buffer
	rate, err := ParseRate("1/20d")
	if err != nil {
		t.Fatal(err)
	}
	if err := run(t, samples, s).WriteText(&out, Page{Name: "latency.csv", Wanted: rate}); err != nil {
		t.Fatal(err)
	}
	golden(t, "report.txt", out.String())
	out.Reset()
	for i := range samples {
		samples[i].Value, samples[i].Label = flagOf(samples[i].Value > 30), Unlabelled
	}
	shanghai := time.FixedZone("CST", 8*3600)
	down := Settings{Availability: true, Fault: sigma.Fault{Window: 5 * time.Minute, Floor: .05, Cap: .5, MinAnomalies: 2, K: 3, Clear: 3}}
	if err := run(t, samples, down).WriteText(&out, Page{Name: "up.csv", Zone: shanghai, Wanted: rate}); err != nil {
		t.Fatal(err)
	}
	golden(t, "availability.txt", out.String())
	out.Reset()
	if err := run(t, samples[:20], half()).WriteText(&out, Page{Name: "few.csv", Wanted: rate}); err != nil {
		t.Fatal(err)
	}
	golden(t, "few.txt", out.String())
}

func TestRows_AreWhatProgramsRead(t *testing.T) {
	samples := hours(2, 1.5)
	samples[0].At = samples[0].At.Add(125 * time.Millisecond)
	for _, c := range []struct {
		name, format string
		zone         *time.Location
		direction    sigma.Direction
	}{{"rows.csv", "csv", nil, sigma.Both}, {"lower.csv", "csv", nil, sigma.Lower}, {"rows.json", "json", time.FixedZone("", -3600), sigma.Both}} {
		s := half()
		s.Alone, s.Baseline.Direction = true, c.direction
		lines := strings.SplitAfter(printed(t, samples, s, c.format, c.zone), "\n")
		golden(t, c.name, rounded(strings.Join(append(lines[:3:3], lines[178:192]...), "")))
	}
	if _, err := NewRows(io.Discard, "xml", nil, false); err == nil {
		t.Error("want an error for another format")
	}
}

// printed is what is told of every sample.
func printed(t *testing.T, samples []Sample, s Settings, format string, zone *time.Location) string {
	t.Helper()
	var out bytes.Buffer
	rows, err := NewRows(&out, format, zone, s.Score)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Run(&made{samples: samples}, s, rows.Write); err != nil {
		t.Fatal(err)
	}
	if err := rows.Flush(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// A score is that of sigma, sample by sample, and the page tells the greatest and
// what was seen at the onset of each fault.
func TestScore_IsThatOfSigma(t *testing.T) {
	samples := hours(30, 5, 20.5)
	s := half()
	s.Score = true
	score := sigma.NewScore(nil)
	findings := map[time.Time]sigma.Finding{}
	greatest := 0.
	lines := strings.Split(printed(t, samples, s, "csv", nil), "\n")
	if lines[0] != strings.Join(Columns(true), ",") {
		t.Errorf("got %s", lines[0])
	}
	for i, x := range samples {
		f := score.Add(x.At, x.Value)
		findings[x.At], greatest = f, max(greatest, f.Score)
		if got := strings.Split(lines[i+1], ",")[7]; got != strconv.FormatFloat(f.Score, 'g', -1, 64) {
			t.Fatalf("%s: got %s, want %v", lines[i+1], got, f.Score)
		}
	}
	r := run(t, samples, s)
	if greatest == 0 || r.Scores[0].Score != greatest || len(r.Scores) != maxScores {
		t.Errorf("got %+v, want %d with %v first", r.Scores, maxScores, greatest)
	}
	for _, e := range r.Faults {
		best := sigma.Finding{}
		for at := e.FirstBad; !at.After(e.Start); at = at.Add(s.Interval) {
			if findings[at].Score >= best.Score {
				best = findings[at]
			}
		}
		if e.Finding != best || best.Feature == "" {
			t.Errorf("%s: got %+v, want %+v", e.Start, e.Finding, best)
		}
	}
	var out bytes.Buffer
	if err := r.WriteText(&out, Page{Name: "x", Wanted: Rate{1, time.Hour}}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"THETA_E  SCORE ", "\nMost unusual:\n", evidenceOf(r.Faults[0].Finding), evidenceOf(r.Scores[0].Finding)} {
		if !strings.Contains(strings.Join(strings.Fields(out.String()), " "), strings.Join(strings.Fields(want), " ")) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
}

// evidenceOf is a finding as the page tells it.
func evidenceOf(f sigma.Finding) string {
	return fmt.Sprintf("%.4g %s %.4g %.4g %.4g %.4g", f.Score, f.Feature, f.Value, f.Mean, f.StdDev, f.Distance)
}

// rounded leaves nine digits of each figure: the last ones depend on the order of
// a sum, and on the processor.
func rounded(text string) string {
	return regexp.MustCompile(`\d+\.\d{9,}`).ReplaceAllStringFunc(text, func(figure string) string {
		v, _ := strconv.ParseFloat(figure, 64)
		return strconv.FormatFloat(v, 'g', 9, 64)
	})
}

// What --format=csv prints is what a reader of CSV reads.
func TestRows_AreReadAgain(t *testing.T) {
	samples := hours(1)
	var out bytes.Buffer
	rows, err := NewRows(&out, "csv", nil, false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Run(&made{samples: samples}, half(), rows.Write); err != nil {
		t.Fatal(err)
	}
	if err := rows.Flush(); err != nil {
		t.Fatal(err)
	}
	text := ""
	for line := range strings.Lines(out.String()) {
		f := strings.Split(line, ",")
		text += f[0] + "," + f[1] + "\n"
	}
	for i, s := range all(t, NewReader(strings.NewReader(text), nil)) {
		if !s.At.Equal(samples[i].At) || s.Value != samples[i].Value {
			t.Fatalf("sample %d: got %v, want %v", i, s, samples[i])
		}
	}
}

// heap is what is alive now, in bytes.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// The live heap must not grow with the rows. Under the race detector there are
// fewer of them.
func TestRun_KeepsTheSameMemoryForAnyNumberOfRows(t *testing.T) {
	const bound = 4 << 20
	for name, c := range map[string]struct {
		alone bool
		rows  int
	}{"every sample": {true, manyRows}, "report": {false, min(manyRows, 1_000_000) / 2}} {
		t.Run(name, func(t *testing.T) {
			from, to := io.Pipe()
			go func() {
				_, err := io.Copy(to, generated(c.rows))
				to.CloseWithError(err)
			}()
			s := value()
			s.Alone, s.Score = c.alone, !c.alone
			rows, err := NewRows(io.Discard, "csv", nil, true)
			if err != nil {
				t.Fatal(err)
			}
			var plot Plot
			before, n, most := heap(), 0, uint64(0)
			r, err := Run(NewReader(from, nil), s, func(r Row) error {
				plot.Add(r)
				if n++; n%(c.rows/4) == 0 {
					most = max(most, heap())
				}
				return rows.Write(r)
			})
			if err != nil {
				t.Fatal(err)
			}
			if n != c.rows || r.Own.Alerts < c.rows/20000-1 {
				t.Errorf("got %d rows and %d faults, want %d and some", n, r.Own.Alerts, c.rows)
			}
			if most > before+bound {
				t.Errorf("%d rows hold %d bytes, want %d at most", c.rows, most-before, bound)
			}
		})
	}
}

// What makes a page worth little stands on it; a page of a good file has no such
// line.
func TestReport_NamesWhatIsSuspicious(t *testing.T) {
	every := half()
	every.Interval = time.Second
	shuffled := hours(3)
	for i := range shuffled {
		shuffled[i].At = begin.Add(time.Duration(i*7919%len(shuffled)) * 30 * time.Second)
	}
	early, up := hours(2), hours(2)
	for i := range early {
		early[i].At = time.Unix(int64(30*i), 0)
		up[i].Value = 1
	}
	down := Settings{Availability: true, Fault: sigma.Fault{Window: 5 * time.Minute, Floor: .05, Cap: .5, MinAnomalies: 2, K: 3, Clear: 3}}
	for _, c := range []struct {
		samples []Sample
		s       Settings
		want    []string
	}{
		{hours(2), half(), nil},
		{shuffled, half(), []string{"more samples are out of order or double than were taken; want one series, sorted by time, the oldest first"}},
		{hours(2), every, []string{"the interval is 1s, and the first samples are 30s apart"}},
		{early, half(), []string{"the first sample is of 1970-01-01 00:00:00: are its timestamps unix seconds?"}},
		{up, down, []string{"most probes have failed; of probe_success, which is 1 for a good one, take 1 - probe_success"}},
	} {
		if c.s.Interval == 0 {
			c.s.Interval = 30 * time.Second
		}
		var out bytes.Buffer
		if err := run(t, c.samples, c.s).WriteText(&out, Page{Wanted: Rate{1, time.Hour}}); err != nil {
			t.Fatal(err)
		}
		var got []string
		for line := range strings.Lines(out.String()) {
			if what, ok := strings.CutPrefix(line, "suspicious: "); ok {
				got = append(got, strings.TrimSpace(what))
			}
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Error(diff)
		}
	}
}

// What nobody has seen is in no figure: an alert that was on before a gap, and
// ends behind it, has not lasted for the whole of the gap.
func TestRun_AGapIsInNoFigure(t *testing.T) {
	samples := hours(6, 5.75)
	for i, s := range hours(6) {
		s.At = s.At.Add(10 * 24 * time.Hour)
		samples = append(samples, s)
		samples[i].Label = Unlabelled
	}
	r := run(t, samples, half())
	if len(r.Faults) != 1 || r.Own.Longest > 15*time.Minute || r.Faults[0].Lasted != r.Own.Longest || r.Own.InAlert > 16*time.Minute {
		t.Errorf("got %+v, %+v, want one alert of a quarter of an hour", r.Own, r.Faults)
	}
}
