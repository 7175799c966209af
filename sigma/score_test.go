package sigma

import (
	"encoding/binary"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"
)

// slow is the definition once more, word by word: it keeps what it has seen and
// looks at all of it. Its constants are its own.
type slow struct {
	basic   bool // detector D
	zone    *time.Location
	samples []float64
	sums    []float64 // s of every sample, emitted or not
	short   float64
	long    float64
	ews     [6]slowEW
	off     [2]slowEW // levels of the distance to the hour
	onsets  []float64
	buckets map[int]*slowEW
	bins    [400]float64
}

// slowEW is ew(N) of the definition.
type slowEW struct{ n, c, m, v float64 }

func (e *slowEW) judge(y float64) float64 {
	if e.c < 2 || e.v == 0 && y == e.m {
		return 0
	}
	if e.v == 0 {
		return 1e6
	}
	return math.Abs(y-e.m) / math.Sqrt(e.v)
}

func (e *slowEW) add(y float64) {
	e.c++
	a := math.Max(1/e.c, 1/e.n)
	d := y - e.m
	e.m += a * d
	e.v = (1 - a) * (e.v + a*d*d)
}

func newSlow(zone *time.Location) *slow {
	s := &slow{zone: zone, off: [2]slowEW{{n: 10}, {n: 100}}, buckets: map[int]*slowEW{}}
	for i := range s.ews {
		s.ews[i].n = 8000
	}
	return s
}

// answer is what there is to compare: the score of D before the rule of the onset,
// the greatest of the 100 before, the score if this is an onset, and the z.
type answer struct {
	sum, before, score, rarity float64
	z                          map[Feature]float64
	n                          map[Feature]float64
}

func (s *slow) add(t time.Time, x float64) answer {
	n := float64(len(s.samples) + 1)
	believed := s.believed(x)
	s.short += math.Max(1/n, 1./10) * (believed - s.short)
	s.long += math.Max(1/n, 1./100) * (believed - s.long)
	judged := map[Feature]float64{ShortLevel: s.short, LongLevel: s.long}
	learned := maps.Clone(judged)
	b := s.bucket(t)
	if b.c > 6 {
		judged[InSeason], learned[InSeason] = x-b.m, believed-b.m
		s.off[0].add(believed - b.m)
		s.off[1].add(believed - b.m)
		for i, name := range []Feature{ShortInSeason, LongInSeason} {
			judged[name], learned[name] = s.off[i].m, s.off[i].m
		}
	} else {
		judged[PlainSample], learned[PlainSample] = x, believed
	}
	b.add(believed)
	a := answer{z: map[Feature]float64{}, n: map[Feature]float64{}}
	squares := 0.
	for i, name := range []Feature{ShortLevel, LongLevel, InSeason, ShortInSeason, LongInSeason, PlainSample} {
		if y, ok := judged[name]; ok && (i < 3 || !s.basic) {
			a.z[name], a.n[name] = s.ews[i].judge(y), math.Min(s.ews[i].c, 8000)
			squares += a.z[name] * a.z[name]
			s.ews[i].add(learned[name])
		}
	}
	far := math.Log(1 + math.Sqrt(squares))
	a.rarity = s.rarity(far)
	q := 0.
	if n >= 30 {
		q = math.Max(0, far-.5*math.Log(a.rarity))
	}
	if n > 30 && s.outside(x) {
		q += 3
	}
	if believed != x { // twice the range
		least, most := slices.Min(s.samples), slices.Max(s.samples)
		believed = math.Min(math.Max(x, least-(most-least)), most+(most-least))
	}
	s.samples = append(s.samples, believed)
	a.sum = q / (q + 3)
	if last := s.sums[max(0, len(s.sums)-100):]; len(last) > 0 {
		a.before = slices.Max(last)
	}
	s.sums = append(s.sums, a.sum)
	a.score = a.sum
	if !s.basic {
		q -= math.Log(s.repeated(a.sum))
		a.score = q / (q + 3)
	}
	return a
}

// repeated is the share of the onsets so far that were as strong, to a hundredth.
func (s *slow) repeated(sum float64) float64 {
	above := 0.
	for _, o := range s.onsets {
		if math.Floor(100*o) >= math.Floor(100*sum) {
			above++
		}
	}
	return (above + .5) / (float64(len(s.onsets)) + 1)
}

func (s *slow) bucket(t time.Time) *slowEW {
	t = t.In(s.zone)
	key := t.Hour()
	if t.Weekday() == time.Saturday || t.Weekday() == time.Sunday {
		key += 24
	}
	if s.buckets[key] == nil {
		s.buckets[key] = &slowEW{n: 8000. / 24}
	}
	return s.buckets[key]
}

func (s *slow) rarity(far float64) float64 {
	bin := int(math.Min(399, math.Floor(20*far)))
	var above, all float64
	for k := range 400 {
		all += s.bins[k]
		if k >= bin {
			above += s.bins[k]
		}
	}
	p := (above + .5) / (all + 1)
	s.bins[bin]++
	if all+1 > 4000 {
		for k := range s.bins {
			s.bins[k] /= 2
		}
	}
	return p
}

func (s *slow) outside(x float64) bool {
	least, most := slices.Min(s.samples), slices.Max(s.samples)
	r := most - least
	return r > 0 && (x < least-.05*r || x > most+.05*r)
}

// believed is x, or 100 ranges beyond all samples before where it is farther off.
func (s *slow) believed(x float64) float64 {
	if s.basic || len(s.samples) < 30 {
		return x
	}
	least, most := slices.Min(s.samples), slices.Max(s.samples)
	r := most - least
	if r == 0 {
		return x
	}
	return math.Min(math.Max(x, least-100*r), most+100*r)
}

// same feeds one sample to both and compares all figures within slack. Where two
// scores differ by rounding alone, either may be the greater.
func same(t *testing.T, fast *Score, s *slow, when time.Time, v, slack float64) {
	t.Helper()
	f := fast.Add(when, v)
	sane(t, f)
	a := s.add(when, v)
	onset := a.sum > a.before
	if math.Abs(a.sum-a.before) < slack {
		onset = f.Score > 0
	}
	want := 0.
	if onset {
		want = a.score
		s.onsets = append(s.onsets, a.sum)
	}
	if math.Abs(f.Score-want) > slack || math.Abs(f.Rarity-a.rarity) > slack || (f.OnsetRarity > 0) != onset {
		t.Fatalf("sample %d, %v: got %+v, want score %v, rarity %v", len(s.samples), v, f, want, a.rarity)
	}
	far := 0.
	for _, z := range a.z {
		far = max(far, z)
	}
	if z, ok := a.z[f.Feature]; !ok || z < far*(1-slack) {
		t.Fatalf("sample %d: got feature %s of %v", len(s.samples), f.Feature, a.z)
	}
	if n := a.n[f.Feature]; n >= 2 && far < 1e6 && math.Abs(math.Abs(f.Distance)*math.Sqrt(n/(n-1))-far) > slack*far {
		t.Fatalf("sample %d: got distance %v of %v samples, want %v", len(s.samples), f.Distance, n, far)
	}
}

// sane refuses what a finding must never hold.
func sane(t *testing.T, f Finding) {
	t.Helper()
	for _, v := range []float64{f.Score, f.Rarity, f.Value, f.Mean, f.StdDev, f.Distance} {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			t.Fatalf("not a finite number in %+v", f)
		}
	}
	// The explanation is one: distance is (value - mean) / deviation, but for what
	// the sum with the mean of the hour rounds off.
	off, digits := f.Value-f.Mean, 1e-15*max(math.Abs(f.Value), math.Abs(f.Mean))
	switch explained := f.Distance * f.StdDev; {
	case f.StdDev == 0 && f.Distance != 0 && math.Abs(f.Distance) != surprise,
		f.StdDev > 0 && math.Abs(f.Distance) < farthest && math.Abs(explained-off) > 4*digits+1e-9*math.Abs(off):
		t.Fatalf("%v lie between value and mean, %v are told: %+v", off, explained, f)
	}
	known := slices.Contains(Features(), f.Feature)
	if f.OnsetRarity < 0 || f.OnsetRarity > 1 || f.Score < 0 || f.Score >= 1 || f.Rarity <= 0 || f.Rarity > 1 || f.StdDev < 0 || !known {
		t.Fatalf("impossible: %+v", f)
	}
}

// sequences are kinds of series: value by value.
func sequences(r *rand.Rand) map[string]func(i int) float64 {
	walk, flat := 0., 7.3
	return map[string]func(int) float64{
		"noise":        func(int) float64 { return 100 + 10*r.NormFloat64() },
		"heavy tail":   func(int) float64 { return math.Exp(2 * r.NormFloat64()) },
		"walk":         func(int) float64 { walk += r.NormFloat64(); return walk },
		"whole":        func(int) float64 { return float64(r.IntN(3)) },
		"daily":        func(i int) float64 { return 50*math.Sin(float64(i)*2*math.Pi/288) + r.NormFloat64() },
		"steps":        func(i int) float64 { return float64(i / 700 * 50) },
		"nearly flat":  func(i int) float64 { return flat + float64(i/1500) },
		"large mean":   func(int) float64 { return 1e9 + r.NormFloat64() },
		"monsters":     func(i int) float64 { return r.NormFloat64() * math.Pow(10, float64(i%1000/999*15)) },
		"all the same": func(int) float64 { return 5 },
	}
}

func TestScore_IsTheDefinitionWordByWord(t *testing.T) {
	tokyo := time.FixedZone("nine hours ahead", 9*3600)
	for name, next := range sequences(rand.New(rand.NewPCG(3, 4))) {
		t.Run(name, func(t *testing.T) {
			fast, s := NewScore(tokyo), newSlow(tokyo)
			basic, d := NewBasicScore(tokyo), newSlow(tokyo)
			d.basic = true
			for i := range 4500 { // so that counts are halved
				v := next(i)
				same(t, fast, s, at(float64(i)*300), v, 1e-12)
				same(t, basic, d, at(float64(i)*300), v, 1e-12)
			}
		})
	}
}

func TestScore_CountsStayRightAfterManyHalves(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	var tree tail
	exact := newSlow(time.UTC)
	for i := range 80_000 { // after that 64 bits round, too
		far := math.Abs(r.NormFloat64())
		got, want := tree.rarity(far), exact.rarity(far)
		if i < 26_000 && got != want || math.Abs(got-want) > 2e-6*want {
			t.Fatalf("distance %d: got rarity %v, want %v", i, got, want)
		}
	}
}

// stepped is 1,000 samples of noise around 10 and the finding of one more.
func stepped(last float64) Finding {
	s, r := NewScore(nil), rand.New(rand.NewPCG(7, 8))
	for i := range 1000 {
		s.Add(at(float64(i)*60), 10+r.NormFloat64())
	}
	return s.Add(at(60_000), last)
}

func TestScore_NamesWhatIsFarthestOff(t *testing.T) {
	f := stepped(40)
	if f.Feature != InSeason || f.Value != 40 || math.Abs(f.Mean-10) > .5 || math.Abs(f.StdDev-1) > .1 {
		t.Errorf("got %+v, want a sample of 40 where its hour has 10 with a deviation of 1", f)
	}
	if math.Abs(f.Distance-(f.Value-f.Mean)/f.StdDev) > 1e-9 || !f.Outside || f.Score < .6 || f.Rarity > .001 {
		t.Errorf("got %+v, want the distance in deviations, out of the range, rare", f)
	}
	if f := stepped(-20); f.Distance > -20 || !f.Outside {
		t.Errorf("got %+v, want a distance below -20", f)
	}
	if f := stepped(10); f.Outside || f.Score > .5 || f.Rarity < .05 {
		t.Errorf("got %+v, want nothing special", f)
	}
}

func TestScore_DeviationIsThatOfASample(t *testing.T) {
	s := NewScore(nil)
	s.Add(at(0), 1)
	s.Add(at(1), 2)
	f := s.Add(at(2), 4)
	if f.Feature != PlainSample || f.Value != 4 || f.Mean != 1.5 || math.Abs(f.StdDev-math.Sqrt(.5)) > 1e-15 {
		t.Errorf("got %+v, want 4 against 1 and 2", f)
	}
}

func TestScore_OneHourIsNotMeasuredByAnother(t *testing.T) {
	s := NewScore(nil)
	daily := func(i int) float64 { // in use for one hour of every day
		if i/12%24 == 9 {
			return 100
		}
		return float64(i % 2)
	}
	greatest := 0.
	for i := range 288 * 10 {
		f := s.Add(start.Truncate(24*time.Hour).Add(time.Duration(i)*5*time.Minute), daily(i))
		if i > 288*8 {
			greatest = max(greatest, f.Score)
		}
	}
	f := s.Add(start.Truncate(24*time.Hour).Add(10*24*time.Hour+2*time.Hour), 100)
	if !strings.HasPrefix(string(f.Feature), string(InSeason)) || f.Distance < 3 || f.Score <= greatest {
		t.Errorf("100 at two o'clock: got %+v, at nine it was %v", f, greatest)
	}
}

func TestScore_ZoneDecidesTheHour(t *testing.T) {
	for zone, want := range map[*time.Location]int{
		nil: 23, time.UTC: 23, time.FixedZone("ahead", 3600): 24 + 0, time.FixedZone("behind", -1800): 22,
	} {
		s := NewScore(zone)
		s.Add(time.Date(2024, 3, 1, 23, 15, 0, 0, time.UTC), 1) // a Friday
		if n := s.hours.counts[want]; n != 1 {
			t.Errorf("%v: bucket %d holds %d samples, want 1", zone, want, n)
		}
	}
}

func TestScore_OnsetsCountForMoreTheRarerTheyAre(t *testing.T) {
	var o onsets
	for i := range 99 {
		o.rarity(float64(i%9) / 10) // eleven times 0 to .8
	}
	for _, c := range []struct{ score, want float64 }{{.9, .5}, {.8, 12.5}, {.805, 13.5}, {.4, 58.5}, {0, 103.5}} {
		n := float64(o.total) + 1
		if got := o.rarity(c.score); math.Abs(got-c.want/n) > 1e-15 {
			t.Errorf("%v: got %v, want %v of %v", c.score, got, c.want, n)
		}
	}
	for range 100_000 {
		o.rarity(.995)
	}
	if p := o.rarity(1 - 1e-16); o.total > 4000 || p < .9 || o.counts[0] > 0 {
		t.Errorf("after many more: rarity %v of %d, and %d of the weakest", p, o.total, o.counts[0])
	}
}

func TestScore_OnlyTheOnsetCounts(t *testing.T) {
	var o onset
	var all []float64
	r := rand.New(rand.NewPCG(9, 10))
	for i := range 5000 {
		v := math.Floor(20 * r.Float64())
		want := 0.
		if last := all[max(0, i-100):]; len(last) == 0 || v > slices.Max(last) {
			want = v
		}
		if got := o.first(v); got != want {
			t.Fatalf("score %d: got %v, want %v", i, got, want)
		}
		all = append(all, v)
	}
}

func TestScore_IsSilentForThirtySamplesAndOnWhatNeverChanges(t *testing.T) {
	s := NewScore(nil)
	for i := range 29 {
		if f := s.Add(at(float64(i)), float64(i*i*i)); f.Score != 0 {
			t.Errorf("sample %d: got %v", i+1, f.Score)
		}
	}
	s = NewScore(nil)
	for i := range 5000 {
		if f := s.Add(at(float64(i)*60), 1e-3); f.Score > .2 || f.Distance != 0 || f.StdDev != 0 {
			t.Fatalf("sample %d of a flat series: got %+v", i+1, f)
		}
	}
	if f := s.Add(at(5000*60), .1); f.Distance != surprise || f.Score < .8 {
		t.Errorf("the first change of a flat series: got %+v", f)
	}
}

// What is refused must leave no trace: the findings after it are the same.
func TestScore_IsNotPoisoned(t *testing.T) {
	clean, dirty := NewScore(nil), NewScore(nil)
	r := rand.New(rand.NewPCG(11, 12))
	for i := range 3000 {
		v := r.NormFloat64()
		for _, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), 1e101, -math.MaxFloat64} {
			if f := dirty.Add(at(float64(i-r.IntN(5000))), bad); f != (Finding{}) {
				t.Fatalf("%v: got %+v", bad, f)
			}
		}
		if a, b := clean.Add(at(float64(i)), v), dirty.Add(at(float64(i)), v); a != b {
			t.Fatalf("sample %d: got %+v, want %+v", i, b, a)
		}
	}
}

// A value of a counter that ran over must not hide all that comes after it: without
// a bound it is 385,000 samples until a sample 30 deviations off is seen again.
func TestScore_OneMonsterHidesLittle(t *testing.T) {
	for _, monster := range []float64{1e9, 1<<64 - 1, -1e15, limit} {
		s, r := NewScore(nil), rand.New(rand.NewPCG(13, 14))
		for i := range 2000 {
			sane(t, s.Add(at(float64(i)*15), 100+r.NormFloat64()))
		}
		if f := s.Add(at(2000*15), monster); f.Score < .8 || !f.Outside || math.Abs(f.Value-monster) > 1e-9*math.Abs(monster) {
			t.Errorf("%g: got %+v, want it told as it is", monster, f)
		}
		for i := range 10_000 {
			sane(t, s.Add(at(float64(2001+i)*15), 100+r.NormFloat64()))
		}
		f := s.Add(at(12_001*15), 130)
		if f.Score < .6 || math.Abs(f.Mean-100) > 1 || f.StdDev > 15 {
			t.Errorf("30 deviations, 10,000 samples after %g: got %+v", monster, f)
		}
	}
}

// A step of any size is learned: after it there is nothing unusual about the new
// level. A sample off that level is found once the step is forgotten, which of
// 1,000 deviations is within ten days at 15 s: what is remembered of its size falls
// to 1/e in 16,000 samples after the last hour that had not seen the new level.
func TestScore_RecoversFromAStepOfAnySize(t *testing.T) {
	for _, step := range []float64{20, -1e3, 1e6, 1e12} {
		s, r := NewScore(nil), rand.New(rand.NewPCG(17, 18))
		noise := math.Max(1, math.Abs(step)*1e-12) // 64 bits hold no more digits
		add := func(i int, v float64) Finding { return s.Add(at(float64(i)*15), v) }
		for i := range 3000 {
			add(i, 100+r.NormFloat64())
		}
		if f := add(3000, 100+step); f.Score < .75 {
			t.Errorf("step of %g: got %+v", step, f)
		}
		late, last := 0, 0
		for i := 3001; i < 3000+60_000; i++ {
			f := add(i, 100+step+noise*r.NormFloat64())
			sane(t, f)
			if f.Score > .85 && i > 3200 {
				late, last = late+1, i
			}
		}
		if late > 3 {
			t.Errorf("step of %g: %d strong scores, the last at sample %d", step, late, last)
		}
		if f := add(63_000, 100+step+40*noise); f.Score < .6 && math.Abs(step) <= 1e3 {
			t.Errorf("40 deviations on the level after a step of %g: got %+v", step, f)
		}
	}
}

func TestScore_TimesMayBeAnything(t *testing.T) {
	s := NewScore(nil)
	for i, when := range []time.Time{{}, time.Unix(math.MaxInt64, 0), time.Unix(math.MinInt64, 0), time.Unix(0, math.MaxInt64), start, start, start.Add(-time.Hour)} {
		sane(t, s.Add(when, float64(i)))
	}
}

// Neither the unit nor the zero point of a series changes what is unusual in it:
// powers of two leave every digit as it is.
func TestScore_UnitDoesNotMatter(t *testing.T) {
	for name, next := range sequences(rand.New(rand.NewPCG(15, 16))) {
		one, other := NewScore(nil), NewScore(nil)
		for i := range 2000 {
			v := next(i)
			a, b := one.Add(at(float64(i)*300), v), other.Add(at(float64(i)*300), -v*1024)
			if a.Score != b.Score || a.Rarity != b.Rarity || a.Feature != b.Feature || a.Distance != -b.Distance && a.Distance != b.Distance {
				t.Fatalf("%s, sample %d: got %+v, upside down in another unit %+v", name, i, a, b)
			}
		}
	}
}

func TestScore_SmallAndWithoutAllocations(t *testing.T) {
	if n := unsafe.Sizeof(Score{}); n > 3456 { // the next size that is allocated is 4096
		t.Errorf("got %d bytes, want 3456 at most", n)
	}
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	s, i := NewScore(zone), 0
	if n := testing.AllocsPerRun(10_000, func() { i++; s.Add(at(float64(i)), float64(i%7)) }); n != 0 {
		t.Errorf("got %v allocations per sample", n)
	}
}

// FuzzScore reads a stream of steps and values, as FuzzSeries does, and compares
// with the definition.
func FuzzScore(f *testing.F) {
	f.Add([]byte("a few bytes are a few samples, whatever they hold"))
	for kind := range uint8(4) {
		f.Add(stream(kind))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		fast, s, when := NewScore(nil), newSlow(time.UTC), start
		for n := 0; len(data) >= 11 && n < 400; n++ {
			when = when.Add(time.Duration(int16(binary.LittleEndian.Uint16(data))) * time.Second)
			v := math.Ldexp(float64(int64(binary.LittleEndian.Uint64(data[3:])))/(1<<63), int(data[2]%40)-20)
			same(t, fast, s, when, v, 1e-9)
			data = data[11:]
		}
	})
}

// FuzzScore_AnyInput gives any times and values at all.
func FuzzScore_AnyInput(f *testing.F) {
	f.Add(int64(0), 1.0, int64(-5), 1e100, int64(math.MaxInt64), -1e100)
	f.Add(int64(1), math.NaN(), int64(math.MinInt64), 5e-324, int64(2), 0.)
	f.Fuzz(func(t *testing.T, t1 int64, v1 float64, t2 int64, v2 float64, t3 int64, v3 float64) {
		s := NewScore(nil)
		for i := range int64(50) {
			for _, x := range []struct {
				at int64
				v  float64
			}{{t1, v1}, {t2, v2}, {t3, v3}, {t1 + i, v3}} {
				if f := s.Add(time.Unix(x.at, x.at), x.v); f != (Finding{}) {
					sane(t, f)
				}
			}
		}
	})
}

func BenchmarkScore(b *testing.B) {
	s, when := NewScore(nil), start
	for i := range 10_000 {
		when = when.Add(10 * time.Second)
		s.Add(when, steady(i))
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		when = when.Add(10 * time.Second)
		s.Add(when, steady(i))
	}
	b.ReportMetric(float64(unsafe.Sizeof(*s)), "B/series")
}
