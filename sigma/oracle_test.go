package sigma

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
	_ "time/tzdata"
)

// oracle is DETECTION 4.2 to 4.6 read word by word. Unlike naive it judges by
// itself: thresholds, anomalies, readiness and every instant are its own. It
// keeps all samples and looks at all of them each time.
type oracle struct {
	interval time.Duration
	f        Fault
	b        *Baseline

	learned []heard   // what the baseline has seen
	faultAt time.Time // begin of the present fault, for the season; zero: there is none
	onsets  []onsetOf // of all faults
	window  []heard   // judged since the window was emptied last
	windows [][]heard // disjoint ones, since the first judged sample
	first   time.Time

	before []float64 // that the last sample was judged by

	inFault, inEpisode bool
	goodInARow         int
	firstBad, lastGood time.Time
}

type heard struct {
	at    time.Time
	v     float64
	bad   bool
	fault bool // before or after it the series was in fault
	apart bool // the season leaves it out

	hour, kind string // for the season
}

// onsetOf is the time of a fault before its gauge turned: from its first bad sample
// on, or from a fault window ago.
type onsetOf struct{ from, turned time.Time }

// bucketOf is the number of the bucket of an instant: buckets begin at 1970.
func (o *oracle) bucketOf(t time.Time) int64 {
	return int64(math.Floor(float64(t.UnixMilli()) / float64((o.b.Window / buckets).Milliseconds())))
}

// keptOut tells whether a bucket is kept out of the baseline at now: a fault was in
// it, and the hold since that was so first is not over.
func (o *oracle) keptOut(bucket int64, now time.Time) bool {
	size := o.b.Window / buckets
	begin := time.Unix(0, 0).Add(time.Duration(bucket) * size)
	var first time.Time
	touched := func(at time.Time) {
		if first.IsZero() || at.Before(first) {
			first = at
		}
	}
	for _, s := range o.learned {
		if s.fault && o.bucketOf(s.at) == bucket {
			touched(s.at)
		}
	}
	for _, x := range o.onsets {
		switch in := o.bucketOf(x.from); {
		case in == bucket:
			touched(x.from)
		case in < bucket && bucket <= o.bucketOf(x.turned):
			touched(begin)
		}
	}
	if first.IsZero() {
		return false
	}
	// The hold is exact to a 65,534th of a bucket, and a nanosecond.
	return now.Sub(begin.Add(first.Sub(begin).Truncate(size/65534+1))) < o.b.Hold
}

// normal gives the values that count at now.
func (o *oracle) normal(now time.Time) (values []float64) {
	out := map[int64]bool{}
	for _, s := range o.learned {
		k := o.bucketOf(s.at)
		if k < o.bucketOf(now)-buckets {
			continue
		}
		if _, known := out[k]; !known {
			out[k] = o.keptOut(k, now)
		}
		if !out[k] {
			values = append(values, s.v)
		}
	}
	return values
}

// hourIn is the date and hour of an instant in the zone of the season, and its kind.
func (o *oracle) hourIn(t time.Time) (hour, kind string) {
	zone := o.b.Zone
	if zone == nil {
		zone = time.UTC
	}
	t = t.In(zone)
	kind = "working day "
	if t.Weekday() == time.Saturday || t.Weekday() == time.Sunday {
		kind = "weekend "
	}
	return t.Format("2006-01-02 15"), kind + t.Format("15")
}

// likeNow gives the samples of the hours of the kind of now that are over, hour by
// hour.
func (o *oracle) likeNow(now time.Time) (list [][]heard) {
	present, kind := o.hourIn(now)
	before := ""
	for _, s := range o.learned {
		if s.kind != kind || s.hour == present {
			continue
		}
		if s.hour != before {
			list, before = append(list, nil), s.hour
		}
		list[len(list)-1] = append(list[len(list)-1], s)
	}
	return list
}

// usual computes weight, mean and sigma of the hours that are like now: each
// sample weighs 7/8 for every further hour of its kind that was learned from.
func (o *oracle) usual(now time.Time) (n, mean, sigma float64) {
	var values, weights []float64
	var total float32 // weights have single precision
	for _, hour := range o.likeNow(now) {
		hour = slices.DeleteFunc(slices.Clone(hour), func(s heard) bool { return s.apart })
		if len(hour) == 0 {
			continue
		}
		before := float64(total)
		total = float32(before*7/8 + float64(len(hour)))
		for i := range weights {
			weights[i] *= (float64(total) - float64(len(hour))) / before // 7/8 but for rounding
		}
		for _, s := range hour {
			values, weights = append(values, s.v), append(weights, 1)
		}
	}
	if len(values) == 0 {
		return 0, 0, 0
	}
	var sum float64
	for i, v := range values {
		sum += weights[i]
		mean += weights[i] * v
	}
	mean /= sum
	for i, v := range values {
		sigma += weights[i] * (v - mean) * (v - mean)
	}
	if n = float64(total); n <= 1 {
		return n, mean, 0
	}
	return n, mean, math.Sqrt(sigma / (n - 1))
}

// apart tells whether the season leaves a sample out: the fault in which it lies
// is not older than the hold, and there was none in the last hour of that kind.
func (o *oracle) apart(at time.Time) bool {
	if !o.inFault {
		o.faultAt = time.Time{}
		return false
	}
	if o.faultAt.IsZero() {
		o.faultAt = at
	}
	if like := o.likeNow(at); len(like) > 0 && slices.ContainsFunc(like[len(like)-1], func(s heard) bool { return s.fault }) {
		return false
	}
	return at.Sub(o.faultAt) < o.b.Hold
}

// meanAndSigma are those of the textbook, with n-1.
func meanAndSigma(values []float64) (mean, sigma float64) {
	for _, v := range values {
		mean += v / float64(len(values))
	}
	for _, v := range values {
		sigma += (v - mean) * (v - mean)
	}
	if len(values) < 2 {
		return mean, 0
	}
	return mean, math.Sqrt(sigma / float64(len(values)-1))
}

// threshold is theta_e after some disjoint windows: it is made from those that
// are whole and without a fault.
func (o *oracle) threshold(closed [][]heard) float64 {
	var history []float64
	for _, w := range closed {
		bad, fault := 0, false
		for _, s := range w {
			fault = fault || s.fault
			if s.bad {
				bad++
			}
		}
		if !fault && len(w) > 0 && 2*len(w) >= int(o.f.Window/o.interval) {
			history = append(history, float64(bad)/float64(len(w)))
		}
	}
	history = history[max(0, len(history)-60):]
	if len(history) < 10 {
		return o.f.Floor
	}
	mean, sigma := meanAndSigma(history)
	return min(max(mean+o.f.K*sigma, o.f.Floor), o.f.Cap)
}

// judge gives what the specification says of one sample. Where the last digit of
// a sum decides, what the series said is taken.
func (o *oracle) judge(at time.Time, v float64, said Judgement) Judgement {
	want := Judgement{Ready: true, Anomaly: v != 0}
	if o.b != nil {
		want.Anomaly = false
		o.compare(at, v, said, &want)
	}
	if want.Ready {
		o.weigh(at, said.ThetaE, &want)
	} else {
		o.inFault, o.inEpisode, o.goodInARow, o.window = false, false, 0, nil
		want.ThetaE = o.f.Floor
	}
	if o.b != nil {
		hour, kind := o.hourIn(at)
		o.learned = append(o.learned, heard{at: at, v: v, fault: o.inFault, apart: o.apart(at), hour: hour, kind: kind})
	}
	want.Fault, want.LastGood = o.inFault, o.lastGood
	if o.inEpisode {
		want.FirstBad = o.firstBad
	}
	return want
}

func (o *oracle) compare(at time.Time, v float64, said Judgement, want *Judgement) {
	if !o.stays(at) {
		o.before = o.normal(at)
	}
	o.bands(at, o.before, said, want)
	if !want.Ready {
		return
	}
	lower, upper := want.Lower, want.Upper
	want.Anomaly = want.HasUpper && v > upper || want.HasLower && v < lower
	if near := slackOf(want.Mean, want.StdDev) + slackOf(want.SeasonMean, want.SeasonStdDev); want.HasUpper && math.Abs(v-upper) < near || want.HasLower && math.Abs(v-lower) < near {
		want.Anomaly = said.Anomaly
	}
}

// stays tells whether the baseline is so small that an episode is judged by what
// came before it.
func (o *oracle) stays(at time.Time) bool {
	few := float64(len(o.before)) < 2*o.b.K*o.b.K*float64(o.f.Bad(o.interval))
	return o.inEpisode && few && at.Sub(o.firstBad) < o.b.Hold
}

// shown is a judgement as gauges show it: at the sample that turns the fault on, the
// bands are of what is left of the baseline, if that is enough.
func (o *oracle) shown(at time.Time, said, judged Judgement) Judgement {
	if o.b == nil || !judged.Turned || o.stays(at) {
		return judged
	}
	values := o.normal(at)
	if len(values) < o.b.MinSamples {
		return judged
	}
	judged.UpperBand, judged.LowerBand = OfWindow, OfWindow
	o.bands(at, values, said, &judged)
	return judged
}

// bands are the figures of a baseline that holds those values.
func (o *oracle) bands(at time.Time, values []float64, said Judgement, want *Judgement) {
	want.Samples = uint64(len(values))
	want.Mean, want.StdDev = meanAndSigma(values)
	if o.b.Season == Daily {
		want.SeasonSamples, want.SeasonMean, want.SeasonStdDev = o.usual(at)
	}
	if want.Ready = len(values) >= o.b.MinSamples; !want.Ready {
		return
	}
	want.HasUpper, want.HasLower = o.b.Direction != Lower, o.b.Direction != Upper && o.b.Direction != ""
	lower, upper := o.union(said, want)
	if want.HasUpper {
		want.Upper = upper
	}
	if want.HasLower {
		want.Lower = lower
	}
}

// union are the thresholds of the window and of the season, whichever is farther.
func (o *oracle) union(said Judgement, want *Judgement) (lower, upper float64) {
	lower, upper = o.band(want.Mean, want.StdDev)
	if o.b.Season != Daily || want.SeasonSamples < float64(o.b.MinSamples) {
		return lower, upper
	}
	least, most := o.band(want.SeasonMean, want.SeasonStdDev)
	near := (1 + o.b.K) * (slackOf(want.Mean, want.StdDev) + slackOf(want.SeasonMean, want.SeasonStdDev))
	farther := func(yes bool, by float64, said Band) Band {
		switch {
		case math.Abs(by) < near:
			return said
		case yes && by > 0:
			return OfSeason
		}
		return OfWindow
	}
	want.LowerBand, want.UpperBand = farther(want.HasLower, lower-least, said.LowerBand), farther(want.HasUpper, most-upper, said.UpperBand)
	return min(lower, least), max(upper, most)
}

// band are the thresholds of one mean and sigma.
func (o *oracle) band(mean, sigma float64) (lower, upper float64) {
	width := o.b.K * max(sigma, o.b.Floor)
	lower, upper = mean-width, mean+width
	if o.b.Low < o.b.High {
		least, most := math.Nextafter(o.b.Low, math.Inf(1)), math.Nextafter(o.b.High, math.Inf(-1))
		lower, upper = min(max(lower, least), most), min(max(upper, least), most)
	}
	return lower, upper
}

// weigh is DETECTION 4.4 to 4.6.
func (o *oracle) weigh(at time.Time, said float64, want *Judgement) {
	if o.first.IsZero() {
		o.first = at
	}
	k := int(at.Sub(o.first) / o.f.Window)
	for len(o.windows) <= k {
		o.windows = append(o.windows, nil)
	}
	if want.ThetaE = o.threshold(o.windows[:k]); math.Abs(want.ThetaE-said) < 1e-9 {
		want.ThetaE = said
	}
	if want.Anomaly {
		o.goodInARow = 0
		if !o.inEpisode {
			o.inEpisode, o.firstBad = true, at
		}
	} else {
		o.goodInARow++
		o.lastGood = at
		o.inEpisode = o.inEpisode && o.goodInARow < o.f.Clear
	}
	o.slide(heard{at: at, bad: want.Anomaly}, want)
	before := o.inFault
	if o.inEpisode && want.E > want.ThetaE && want.Anomalies >= o.f.MinAnomalies {
		o.inFault = true
	}
	if want.Turned = o.inFault && !before; want.Turned {
		from := o.firstBad
		if ago := at.Add(-o.f.Window); from.Before(ago) {
			from = ago
		}
		o.onsets = append(o.onsets, onsetOf{from, at})
	}
	if o.inFault && o.goodInARow >= o.f.Clear {
		o.inFault, o.window = false, nil
		want.E, want.Anomalies, want.InWindow = 0, 0, 0
	}
	o.windows[k] = append(o.windows[k], heard{at: at, bad: want.Anomaly, fault: before || o.inFault})
}

// slide keeps the samples of the last fault window, at most one more than whole
// intervals fit, and computes e.
func (o *oracle) slide(s heard, want *Judgement) {
	slots := int(o.f.Window / o.interval)
	o.window = append(o.window, s)
	for len(o.window) > slots+1 || s.at.Sub(o.window[0].at) > o.f.Window {
		o.window = o.window[1:]
	}
	for _, x := range o.window {
		if want.InWindow++; x.bad {
			want.Anomalies++
		}
	}
	want.E = float64(want.Anomalies) / float64(max(want.InWindow, slots))
}

// slackOf is what two ways of summing may differ by.
func slackOf(mean, sigma float64) float64 { return 1e-9*(math.Abs(mean)+sigma) + 1e-300 }

// zone is the one of that name.
func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

// draw makes settings, and the oracle beside the series of them.
func draw(t *testing.T, r *rand.Rand) (*oracle, *Series) {
	t.Helper()
	pick := func(of ...time.Duration) time.Duration { return of[r.IntN(len(of))] }
	o := &oracle{interval: pick(time.Second, 2*time.Second, 5*time.Second, 15*time.Second)}
	seasonal := r.IntN(3) == 0
	if seasonal {
		o.interval = pick(7*time.Minute, 10*time.Minute, 20*time.Minute) // so that a few hundred samples are days
	}
	// A fault that can never fire is refused. Stamps of a window of more than 69m are
	// not exact.
	for o.f.Bad(o.interval) == 0 {
		top := .1 + .8*r.Float64()
		o.f = Fault{
			Window: o.interval * time.Duration(1+r.IntN(min(24, int(time.Hour/o.interval)))), Floor: top * r.Float64(), Cap: top,
			MinAnomalies: 1 + r.IntN(4), K: 4 * r.Float64(), Clear: 1 + r.IntN(5),
		}
	}
	if r.IntN(3) == 0 {
		return o, availability(t, o.interval, o.f)
	}
	o.b = &Baseline{
		Window: pick(time.Minute, 5*time.Minute, 20*time.Minute), K: 4 * r.Float64(), MinSamples: 2 + r.IntN(30), Floor: float64(r.IntN(2)) * r.Float64(),
		Direction: []Direction{"", Upper, Lower, Both}[r.IntN(4)],
	}
	o.b.Hold = min(o.b.Window/2, pick(0, time.Second, 40*time.Second, 3*time.Minute, time.Hour))
	if seasonal {
		o.b.Season, o.b.Window, o.b.MinSamples = Daily, pick(24*time.Hour, 60*time.Hour, 7*24*time.Hour), 2+r.IntN(6)
		o.b.Hold = min(o.b.Window/2, pick(0, time.Minute, 33*time.Minute, 3*time.Hour, 50*time.Hour))
		o.b.Zone = []*time.Location{nil, time.UTC, zone(t, "Europe/Berlin"), zone(t, "Australia/Lord_Howe"), zone(t, "America/St_Johns")}[r.IntN(5)]
	}
	if r.IntN(4) == 0 {
		o.b.Low, o.b.High = 6, 17
	}
	return o, values(t, o.interval, o.f, *o.b)
}

// sample makes the next step and value: mostly on time, at times late, after a
// gap, or not to be taken at all; noise with outages, steps and single peaks.
func sample(r *rand.Rand, o *oracle, i int) (step time.Duration, v float64) {
	step = o.interval + time.Duration(r.IntN(41)-20)*time.Millisecond
	switch r.IntN(60) {
	case 0:
		step = time.Duration(r.IntN(5000)) * time.Millisecond
	case 1:
		step += o.interval * time.Duration(r.IntN(80))
	case 2:
		step = o.f.Window // an edge of the window falls on a sample
	case 3:
		if r.IntN(8) == 0 {
			step += clock * time.Millisecond // the clock of the stamps begins again
		}
	}
	outage := i/37%5 == 4
	if o.b == nil {
		return step, flagOf(outage && r.IntN(4) > 0 || r.IntN(25) == 0)
	}
	v = 10 + r.NormFloat64()
	if outage || r.IntN(30) == 0 {
		v += []float64{8, -8}[i/185%2]
	}
	if i > 250 {
		v += 5
	}
	return step, v
}

func flagOf(bad bool) float64 {
	if bad {
		return 1
	}
	return 0
}

// FuzzEveryFigureIsThatOfTheSpecification draws settings and samples from a seed
// and compares the whole judgement with the oracle's, sample by sample.
func FuzzEveryFigureIsThatOfTheSpecification(f *testing.F) {
	for seed := range uint64(60) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 110))
		o, s := draw(t, r)
		at := time.UnixMilli(r.Int64N(1<<41) - 1<<39).UTC() // before 1970, too
		samples := 400
		if o.b != nil && o.b.Season == Daily {
			samples = 700
			at = time.Date(2010+r.IntN(9), time.March+time.Month(7*r.IntN(2)), 24+r.IntN(8), r.IntN(24), 0, 0, 0, time.UTC) // near a change of the clock
		}
		for i := range samples {
			step, v := sample(r, o, i)
			if at = at.Add(max(step, time.Millisecond)); i > 0 && r.IntN(40) == 0 {
				refusals(t, s, at)
			}
			got, err := s.Add(at, v)
			if err != nil {
				t.Fatalf("sample %d at %s: %v", i, at, err)
			}
			want, shown := o.judge(at, v, got), s.Shown(got)
			compareWith(t, i, o, got, want)
			compareWith(t, i, o, shown, o.shown(at, shown, want))
		}
	})
}

// refusals are samples that leave no trace but in their counts.
func refusals(t *testing.T, s *Series, next time.Time) {
	t.Helper()
	before := s.Refused()
	last := time.Unix(0, s.last)
	for _, c := range []struct {
		at   time.Time
		v    float64
		want error
	}{
		{next, math.NaN(), ErrNotFinite}, {next, math.Inf(-1), ErrNotFinite}, {next, 2e100, ErrNotFinite},
		{last, 1, ErrDuplicate}, {last.Add(-time.Hour), 1, ErrOutOfOrder}, {time.Time{}, 1, ErrTime},
	} {
		if _, err := s.Add(c.at, c.v); !errors.Is(err, c.want) {
			t.Fatalf("Add(%s, %v): got %v, want %v", c.at, c.v, err, c.want)
		}
	}
	after := s.Refused()
	want := Refused{NotFinite: before.NotFinite + 3, Duplicate: before.Duplicate + 1, OutOfOrder: before.OutOfOrder + 1, Time: before.Time + 1}
	if after != want {
		t.Fatalf("refused: got %+v, want %+v", after, want)
	}
}

// compareWith wants everything that is counted to be equal, and everything that
// is summed to be equal but for the order of the sum.
func compareWith(t *testing.T, i int, o *oracle, got, want Judgement) {
	t.Helper()
	slack := slackOf(want.Mean, want.StdDev) + slackOf(want.SeasonMean, want.SeasonStdDev)
	if o.b != nil {
		slack *= 1 + o.b.K
	}
	near := func(a, b float64) bool { return math.Abs(a-b) <= slack }
	sums := near(got.Mean, want.Mean) && near(got.StdDev, want.StdDev) && near(got.Upper, want.Upper) && near(got.Lower, want.Lower) &&
		near(got.SeasonMean, want.SeasonMean) && near(got.SeasonStdDev, want.SeasonStdDev)
	counted := want
	counted.Mean, counted.StdDev, counted.Upper, counted.Lower = got.Mean, got.StdDev, got.Upper, got.Lower
	counted.SeasonMean, counted.SeasonStdDev = got.SeasonMean, got.SeasonStdDev
	if !sums || got != counted {
		t.Fatalf("%v %+v %+v: sample %d:\n got %+v\nwant %+v", o.interval, o.f, o.b, i, got, want)
	}
}
