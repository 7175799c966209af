package sigma

import (
	"math"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"
)

// steady is a value around 10, never twice the same in a row.
func steady(i int) float64 { return 10 + float64(i%5-2)/10 }

func TestBaseline_ForgetsWhatIsOlderThanTheWindow(t *testing.T) {
	s := values(t, time.Second, plainFault(.25), Baseline{Window: time.Hour, K: 3, MinSamples: 2})
	add(t, s, at(0), 1)
	add(t, s, at(1), 3)
	// The bucket of the first minute is the 60th closed one for the whole of
	// minute 60, and gone at minute 61.
	if j := add(t, s, at(3659), 100); j.Samples != 2 || j.Mean != 2 {
		t.Errorf("after 60m59s: got %d samples of mean %v, want 2 of 2", j.Samples, j.Mean)
	}
	if j := add(t, s, at(3660), 100); j.Samples != 1 || j.Mean != 100 {
		t.Errorf("after 61m: got %d samples of mean %v, want the one of 100", j.Samples, j.Mean)
	}
	if j := add(t, s, at(3660+7*24*3600), 100); j.Samples != 0 || j.Ready {
		t.Errorf("after a week of silence: got %d samples, want none", j.Samples)
	}
}

// A monstrous sample leaves no trace once its bucket is gone: with Welford and
// removal sigma would be wrong for ever.
func TestBaseline_MonsterLeavesNoTrace(t *testing.T) {
	for _, monster := range []float64{1e15, -1e99, 1e100} {
		s := values(t, time.Second, plainFault(.25), Baseline{Window: time.Hour, K: 3, MinSamples: 2, Hold: time.Minute})
		clean := values(t, time.Second, plainFault(.25), Baseline{Window: time.Hour, K: 3, MinSamples: 2, Hold: time.Minute})
		add(t, s, at(0), monster)
		for i := 60; i < 3800; i++ {
			got, want := add(t, s, at(float64(i)), steady(i)), add(t, clean, at(float64(i)), steady(i))
			if i >= 3660 && (got.Mean != want.Mean || got.StdDev != want.StdDev) {
				t.Fatalf("monster %v, second %d: got mean %v, sigma %v, want %v, %v", monster, i, got.Mean, got.StdDev, want.Mean, want.StdDev)
			}
		}
	}
}

func TestBaseline_LargeMeanKeepsASmallSigma(t *testing.T) {
	s := values(t, time.Second, plainFault(.25), Baseline{Window: time.Hour, K: 3, MinSamples: 2})
	var j Judgement
	for i := range 3600 {
		j = add(t, s, at(float64(i)), 1e9+float64(i%2)) // sigma .5
	}
	if math.Abs(j.StdDev-.5) > 1e-3 {
		t.Errorf("values of 1e9 and 1e9+1: got sigma %v, want .5", j.StdDev)
	}
}

// shift feeds an hour of steady values, then ones of 20, and gives for each
// minute after that the mean and whether the series is in fault.
func shift(t *testing.T, hold time.Duration, minutes int) (means []float64, faults []bool) {
	t.Helper()
	b := Baseline{Window: time.Hour, K: 3, MinSamples: 30, Hold: hold}
	s := values(t, 5*time.Second, plainFault(.25), b)
	for i := range 720 {
		add(t, s, at(float64(5*i)), steady(i))
	}
	for i := range minutes * 12 {
		j := add(t, s, at(float64(3600+5*i)), 20)
		if i%12 == 11 {
			means, faults = append(means, j.Mean), append(faults, j.Fault)
		}
	}
	return means, faults
}

func TestBaseline_FaultIsKeptOutForTheHoldThenIsTheNewNormal(t *testing.T) {
	means, faults := shift(t, 30*time.Minute, 70)
	if means[0] > 10.1 || !faults[0] {
		t.Errorf("minute 0: got mean %v, fault %v, want 10 and a fault", means[0], faults[0])
	}
	for m := 1; m < 30; m++ {
		if means[m] > 10.01 || !faults[m] {
			t.Errorf("minute %d, within the hold: got mean %v, fault %v, want 10 and a fault", m, means[m], faults[m])
		}
	}
	if means[31] <= 10.01 {
		t.Errorf("minute 31: got mean %v, want more: the first bucket counts again", means[31])
	}
	if faults[69] || means[69] < 15 {
		t.Errorf("minute 69: got mean %v, fault %v, want the new normal", means[69], faults[69])
	}
}

func TestBaseline_WithoutAHoldAFaultCountsAtOnce(t *testing.T) {
	means, faults := shift(t, 0, 20)
	if means[2] < 10.1 || faults[19] {
		t.Errorf("got mean %v after 2 minutes and fault %v after 20, want more than 10.1 and none", means[2], faults[19])
	}
}

// The hold is one of time, not of buckets: those of a week are hours long.
func TestBaseline_HoldEndsInsideALongBucket(t *testing.T) {
	b := Baseline{Window: 7 * 24 * time.Hour, K: 3, MinSamples: 30, Hold: 16 * time.Minute}
	s := values(t, time.Minute, Fault{Window: 3 * time.Minute, Floor: .1, Cap: .5, MinAnomalies: 2, K: 3, Clear: 3}, b)
	size := 7 * 24 * 60 / 60 // minutes of a bucket
	for i := range 2 * size {
		add(t, s, at(float64(60*i)), steady(i))
	}
	var before, after uint64
	for i := range 40 {
		j := add(t, s, at(float64(60*(2*size+i))), 20)
		if i == 10 {
			before = j.Samples
		}
		if i == 39 {
			after = j.Samples
		}
	}
	if before != uint64(2*size) || after != uint64(2*size+39) {
		t.Errorf("got %d samples in the hold and %d after it, want %d and %d", before, after, 2*size, 2*size+39)
	}
}

// A fault turns on late: what was bad before that would widen the band, and a fault
// of 4 sigma would end as soon as it has begun.
func TestBaseline_BadSamplesBeforeTheFaultAreKeptOutWithIt(t *testing.T) {
	f := Fault{Window: 3 * time.Minute, Floor: .55, Cap: .6, MinAnomalies: 3, K: 3, Clear: 3}
	found, lasted := 0, 0
	for seed := range uint64(40) {
		s, r := values(t, 15*time.Second, f, hour()), rand.New(rand.NewPCG(seed, 4))
		begin := at(float64(6000 + 15*(seed%4))) // in every part of a bucket
		var on, first time.Time
		for when := at(0); when.Before(begin.Add(time.Hour)); when = when.Add(15 * time.Second) {
			v := 100 + 5*r.NormFloat64()
			if !when.Before(begin) {
				v += 20
			}
			j := add(t, s, when, v)
			if on.IsZero() && j.Fault {
				on, first = when, j.FirstBad
			}
			if on.IsZero() || when.Equal(on) {
				continue
			}
			if out := when.Sub(first) < 30*time.Minute; j.Fault && out && math.Abs(j.Mean-100) > 2 {
				t.Fatalf("seed %d: %v after its first bad sample the mean is %v, want 100: the fault counts already", seed, when.Sub(first), j.Mean)
			}
			if !j.Fault {
				if found++; when.Sub(first) >= 20*time.Minute {
					lasted++
				}
				break
			}
		}
	}
	if found < 25 || 2*lasted < found {
		t.Errorf("of 40 steps of 4 sigma %d were found, and of these %d for 20 minutes at least, want more than half of both", found, lasted)
	}
}

// An episode may be much longer than what turned the fault on: of it no more than
// the fault window is kept out.
func TestBaseline_NoMoreThanAFaultWindowBeforeTheFaultIsKeptOut(t *testing.T) {
	f := Fault{Window: 3 * time.Minute, Floor: .55, Cap: .6, MinAnomalies: 3, K: 3, Clear: 4}
	s := values(t, 15*time.Second, f, hour())
	var before, j Judgement
	i := 0
	for ; !j.Fault && i < 400; i++ {
		v := steady(i)
		if i >= 300 && i%4 == 0 || i >= 348 {
			v = 50 // one of four for 12 minutes is an episode and no fault, then all
		}
		before, j = j, add(t, s, at(float64(15*i)), v)
	}
	if on := at(float64(15 * (i - 1))); !j.Fault || on.Sub(j.FirstBad) < 12*time.Minute {
		t.Fatalf("got %+v, want a fault in an episode of more than 12 minutes", j)
	}
	// 3 minutes touch 4 buckets of 4 samples. Before the fault two samples less were
	// in the baseline, unless the open bucket began with one of them.
	after := add(t, s, at(float64(15*i)), 50)
	if out := int(before.Samples) - int(after.Samples); out < 8 || out > 16 {
		t.Errorf("%d samples are kept out, want those of 3 to 4 minutes: before %d, then %d", out, before.Samples, after.Samples)
	}
}

// A fault window may be longer than that of the baseline: what is older than the
// latter is not there to be kept out, and nothing else is in its place.
func TestBaseline_AFaultOlderThanTheWindowKeepsOutWhatTheHoldTouches(t *testing.T) {
	f := Fault{Window: 15 * time.Minute, Floor: .1, Cap: .2, MinAnomalies: 370, K: 3, Clear: 3}
	b := Baseline{Window: 10 * time.Minute, K: 3, MinSamples: 10, Floor: .1, Direction: Both, Hold: 5 * time.Minute}
	o, s := &oracle{interval: 2 * time.Second, f: f, b: &b}, values(t, 2*time.Second, f, b)
	faults, v := 0, 20.
	for i := range 900 {
		when := at(7 + float64(2*i))
		x := steady(i)
		if i >= 330 {
			v *= 1.1 // so that all of it is an anomaly, for longer than the window
			x = v
		}
		got := add(t, s, when, x)
		compareWith(t, i, o, got, o.judge(when, x, got))
		faults += int(flagOf(got.Fault))
	}
	if faults < 150 {
		t.Errorf("got %d samples in fault, want it to last for the hold", faults)
	}
}

// A series whose normal has been forgotten in a long fault cannot say that the
// fault lasts: here half of the window, which the hold leaves, is too little.
func TestSeries_WithoutABaselineThereIsNoFault(t *testing.T) {
	s := values(t, 5*time.Second, plainFault(.25), Baseline{Window: time.Minute, K: 3, MinSamples: 9, Hold: 30 * time.Second})
	var j Judgement
	was := false
	for i := range 100 {
		v := steady(i)
		if i > 20 {
			v = 20
		}
		j = add(t, s, at(float64(5*i)), v)
		was = was || j.Fault
		if !j.Ready && (j.Fault || !j.FirstBad.IsZero() || j.E != 0) {
			t.Fatalf("sample %d: not ready, and yet %+v", i, j)
		}
	}
	if !was || j.Fault || !j.Ready || j.Mean != 20 {
		t.Errorf("got a fault at some time: %v, in the end %+v, want one, and then a new normal of 20", was, j)
	}
}

func TestSeries_WorksAround1970(t *testing.T) {
	s := values(t, time.Second, plainFault(.25), Baseline{Window: time.Minute, K: 3, MinSamples: 2, Hold: 30 * time.Second})
	for i := -200; i < 200; i++ {
		j := add(t, s, time.Unix(int64(i), 0), steady(i+200))
		if i > -100 && (j.Samples < 60 || j.Samples > 61 || math.Abs(j.Mean-10) > .1) {
			t.Fatalf("second %d: got %d samples of mean %v, want 60 of 10", i, j.Samples, j.Mean)
		}
	}
}

func TestSeries_SmallAndWithoutAllocations(t *testing.T) {
	f := Fault{Window: 3 * time.Minute, Floor: .55, Cap: .6, MinAnomalies: 3, K: 3, Clear: 3}
	s := values(t, 5*time.Second, f, hour())
	i := 0
	if n := testing.AllocsPerRun(1000, func() { add(t, s, at(float64(5*i)), steady(i)); i++ }); n != 0 {
		t.Errorf("Add allocates %v times, want 0", n)
	}
	if got := size(t, func() *Series { return values(t, 5*time.Second, f, hour()) }); got > 2560 {
		t.Errorf("a series with a baseline of 1h at 5s holds %d bytes, want 2560 at most", got)
	}
}

// A window of one second between samples is the largest of the usual ones.
func TestSeries_SmallAtOneSampleASecond(t *testing.T) {
	f := Fault{Window: 3 * time.Minute, Floor: .55, Cap: .6, MinAnomalies: 3, K: 3, Clear: 3}
	if got := size(t, func() *Series { return values(t, time.Second, f, hour()) }); got > 2560+16 { // 16 for what else the process allocates
		t.Errorf("a series with a baseline of 1h at 1s holds %d bytes, want 2560 at most", got)
	}
}

// With a season, and without what the score takes beside it.
func TestSeries_SmallWithASeason(t *testing.T) {
	f := Fault{Window: 3 * time.Minute, Floor: .55, Cap: .6, MinAnomalies: 3, K: 3, Clear: 3}
	b := hour()
	b.Season = Daily
	if got := size(t, func() *Series { return values(t, time.Second, f, b) }); got > 2560+1024+16 {
		t.Errorf("a series with a baseline of 1h at 1s and a season holds %d bytes, want 3584 at most", got)
	}
}

// size measures the heap that one series takes.
func size(t testing.TB, fresh func() *Series) uint64 {
	t.Helper()
	const n = 1000
	var keep [n]*Series
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range keep {
		keep[i] = fresh()
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(&keep)
	return (after.HeapAlloc - before.HeapAlloc) / n
}

func BenchmarkAdd(b *testing.B) {
	f := Fault{Window: 3 * time.Minute, Floor: .55, Cap: .6, MinAnomalies: 3, K: 3, Clear: 3}
	for _, season := range []Season{NoSeason, Daily} {
		for _, w := range []struct {
			name   string
			window time.Duration
		}{{"1h", time.Hour}, {"1d", 24 * time.Hour}, {"7d", 7 * 24 * time.Hour}} {
			base := hour()
			base.Window, base.Season, base.Zone = w.window, season, zone(b, "Europe/Berlin")
			b.Run("season="+string(season)+"/window="+w.name, func(b *testing.B) { adding(b, values(b, 10*time.Second, f, base)) })
		}
	}
	b.Run("availability", func(b *testing.B) { adding(b, availability(b, 10*time.Second, plainFault(.25))) })
}

// adding measures Add every 10s, once the window and a week of the season are full.
func adding(b *testing.B, s *Series) {
	when, i := start, 0
	next := func() {
		when = when.Add(10 * time.Second)
		i++
		v := 0.
		if s.baseline != nil {
			v = steady(i)
		}
		if _, err := s.Add(when, v); err != nil {
			b.Fatal(err)
		}
	}
	for range 8 * 24 * 360 {
		next()
	}
	b.ReportAllocs()
	for b.Loop() {
		next()
	}
}

// BenchmarkSize tells the heap that one series takes, without and with a season.
func BenchmarkSize(b *testing.B) {
	f := Fault{Window: 3 * time.Minute, Floor: .55, Cap: .6, MinAnomalies: 3, K: 3, Clear: 3}
	for b.Loop() {
	}
	seasonal := hour()
	seasonal.Season = Daily
	for _, p := range []time.Duration{time.Second, 5 * time.Second, 10 * time.Second, 15 * time.Second} {
		b.ReportMetric(float64(size(b, func() *Series { return values(b, p, f, hour()) })), "B/series@"+p.String())
		b.ReportMetric(float64(size(b, func() *Series { return values(b, p, f, seasonal) })), "B/seasonal@"+p.String())
	}
	b.ReportMetric(float64(size(b, func() *Series { return availability(b, 5*time.Second, plainFault(.25)) })), "B/availability@5s")
}
