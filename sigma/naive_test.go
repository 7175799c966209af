package sigma

import (
	"encoding/binary"
	"math"
	"math/big"
	"slices"
	"testing"
	"time"
)

// naive is the specification once more, slowly: it keeps every sample and
// computes everything from all of them, with big numbers, each time.
type naive struct {
	interval time.Duration
	f        Fault
	b        *Baseline

	all      []past
	held     map[int64]int64 // bucket -> instant at which it counts, ns
	fault    bool
	episode  bool
	firstBad int64 // of the episode, ns

	count        int // what the last sample was judged by
	mean, stddev float64

	turned   bool // the fault began with the last sample
	good     int
	cleared  int // samples before this place are not in the fault window
	windows  []float64
	end      int64
	bad, n   int
	tainted  bool
	judgedAt bool
}

// past is a sample and whether it was judged, and an anomaly.
type past struct {
	ns           int64
	v            float64
	judged, away bool
	fault, out   bool // in fault after it, kept out of the season
}

func floored(a, b int64) int64 { return int64(math.Floor(float64(a/1e6) / float64(b/1e6))) }

// stats computes count, mean and sigma of what counts at the instant ns.
func (n *naive) stats(ns int64) (count int, mean, stddev float64) {
	size := int64(n.b.Window) / 60
	open := floored(ns, size)
	var list []*big.Float
	sum := new(big.Float).SetPrec(200)
	for _, p := range n.all {
		number := floored(p.ns, size)
		until, held := n.held[number]
		if number < open-60 || held && ns < until {
			continue
		}
		v := new(big.Float).SetPrec(200).SetFloat64(p.v)
		list, sum = append(list, v), sum.Add(sum, v)
	}
	if count = len(list); count == 0 {
		return 0, 0, 0
	}
	m := new(big.Float).SetPrec(200).Quo(sum, big.NewFloat(float64(count)))
	mean, _ = m.Float64()
	if count < 2 {
		return count, mean, 0
	}
	squares := new(big.Float).SetPrec(200)
	for _, v := range list {
		d := new(big.Float).SetPrec(200).Sub(v, m)
		squares.Add(squares, d.Mul(d, d))
	}
	stddev, _ = new(big.Float).Sqrt(squares.Quo(squares, big.NewFloat(float64(count-1)))).Float64()
	return count, mean, stddev
}

// add judges the sample with the thresholds that the series used, so that a
// difference in the last digit cannot make the two part.
func (n *naive) add(ns int64, v float64, anomaly, judged bool) (e, theta float64, fault bool) {
	n.all = append(n.all, past{ns: ns, v: v, judged: judged, away: anomaly})
	n.turned = false
	if !judged {
		n.fault, n.episode, n.good, n.cleared = false, false, 0, len(n.all)
		return 0, n.f.Floor, false
	}
	theta = n.theta(ns)
	e, bad := n.probability(ns)
	if anomaly {
		if !n.episode {
			n.firstBad = ns
		}
		n.good, n.episode = 0, true
	} else if n.good++; n.good >= n.f.Clear {
		n.episode = false
	}
	before := n.fault
	if n.episode && e > theta && bad >= n.f.MinAnomalies {
		n.fault = true
	}
	if n.fault && n.good >= n.f.Clear {
		n.fault, n.cleared, e = false, len(n.all), 0
	}
	n.turned = n.fault && !before
	n.n++
	n.tainted = n.tainted || before || n.fault
	if anomaly {
		n.bad++
	}
	return e, theta, n.fault
}

// hold notes which buckets are kept out: that of a sample in fault, and all since
// the first bad one when the fault turned on.
func (n *naive) hold(ns int64) {
	size, since := int64(n.b.Window)/60, ns
	if !n.fault || n.b.Hold == 0 {
		return
	}
	if n.turned {
		since = max(n.firstBad, ns-int64(n.f.Window))
	}
	for number := floored(since, size); number <= floored(ns, size); number++ {
		if _, ok := n.held[number]; !ok {
			begin, part := number*size, size/65534+1 // to that part of a bucket
			n.held[number] = begin + max(since-begin, 0)/part*part + int64(n.b.Hold)
		}
	}
}

// hour is the place of an instant in the calendar of the zone: its date and hour.
func (n *naive) hour(ns int64) (year, day, hour int, weekend bool) {
	t := time.Unix(0, ns).In(n.b.Zone)
	return t.Year(), t.YearDay(), t.Hour(), t.Weekday() == time.Saturday || t.Weekday() == time.Sunday
}

// like gives the samples of the hours like that of ns which are over, hour by hour.
func (n *naive) like(ns int64) (list [][]past) {
	year, day, hour, weekend := n.hour(ns)
	var last [2]int
	for _, p := range n.all {
		y, d, h, w := n.hour(p.ns)
		if h != hour || w != weekend || y == year && d == day {
			continue
		}
		if last != [2]int{y, d} {
			list, last = append(list, nil), [2]int{y, d}
		}
		list[len(list)-1] = append(list[len(list)-1], p)
	}
	return list
}

// usual computes the moments of those hours with big numbers, the newest first: an
// hour weighs 7/8 for each newer one with a sample. Weights are not rounded here.
func (n *naive) usual(ns int64) (count, mean, stddev float64) {
	weight, like := 1., n.like(ns)
	zero := func() *big.Float { return new(big.Float).SetPrec(200) }
	sum, squares, total := zero(), zero(), zero()
	for _, hour := range slices.Backward(like) {
		any := false
		for _, p := range hour {
			if !p.out {
				any = true
				w, v := zero().SetFloat64(weight), zero().SetFloat64(p.v)
				total.Add(total, w)
				sum.Add(sum, zero().Mul(w, v))
				squares.Add(squares, w.Mul(w, zero().Mul(v, v)))
			}
		}
		if any {
			weight *= 7. / 8
		}
	}
	if count, _ = total.Float64(); count == 0 {
		return 0, 0, 0
	}
	m := zero().Quo(sum, total)
	mean, _ = m.Float64()
	rest, _ := squares.Sub(squares, sum.Mul(sum, m)).Float64()
	if count <= 1 {
		return count, mean, 0
	}
	return count, mean, math.Sqrt(max(0, rest) / (count - 1))
}

// learn notes what a sample that was judged meant for the season.
func (n *naive) learn(ns int64) {
	p := &n.all[len(n.all)-1]
	p.fault = n.fault
	begin := len(n.all) - 1
	for begin > 0 && n.all[begin-1].fault {
		begin--
	}
	like := n.like(ns)
	again := len(like) > 0 && slices.ContainsFunc(like[len(like)-1], func(p past) bool { return p.fault })
	p.out = n.fault && !again && ns-n.all[begin].ns < int64(n.b.Hold)
}

func (n *naive) probability(ns int64) (e float64, bad int) {
	slots, count := int(n.f.Window/n.interval), 0
	for i := len(n.all) - 1; i >= n.cleared && count <= slots; i-- {
		p := n.all[i]
		if !p.judged || ns/1e6-p.ns/1e6 > n.f.Window.Milliseconds() {
			break
		}
		if count++; p.away {
			bad++
		}
	}
	return float64(bad) / float64(max(count, slots)), bad
}

func (n *naive) theta(ns int64) float64 {
	if !n.judgedAt {
		n.judgedAt, n.end = true, ns+int64(n.f.Window)
	}
	for ; ns >= n.end; n.end += int64(n.f.Window) {
		if !n.tainted && n.n > 0 && 2*n.n >= int(n.f.Window/n.interval) {
			n.windows = append(n.windows, float64(n.bad)/float64(n.n))
		}
		n.bad, n.n, n.tainted = 0, 0, false
	}
	last := n.windows[max(0, len(n.windows)-60):]
	if len(last) < 10 {
		return n.f.Floor
	}
	var mean, squares float64
	for _, e := range last {
		mean += e / float64(len(last))
	}
	for _, e := range last {
		squares += (e - mean) * (e - mean)
	}
	return min(max(mean+n.f.K*math.Sqrt(squares/float64(len(last)-1)), n.f.Floor), n.f.Cap)
}

// stays tells whether the sample of an episode is judged by what came before it.
func (n *naive) stays(ns int64) bool {
	return n.episode && float64(n.count) < 2*n.b.K*n.b.K*float64(n.f.Bad(n.interval)) && ns-n.firstBad < int64(n.b.Hold)
}

// shows compares what gauges show of the last sample: where it turned the fault on,
// what counts now.
func (n *naive) shows(t *testing.T, ns int64, j, shown Judgement) {
	t.Helper()
	finite(t, shown)
	count, mean, stddev := n.count, n.mean, n.stddev
	if n.turned && !n.stays(ns) {
		if left, m, s := n.stats(ns); left >= n.b.MinSamples {
			count, mean, stddev = left, m, s
		}
	} else if j != shown {
		t.Fatalf("at %d: got %+v shown, want what was said, %+v", ns, shown, j)
	}
	slack := 1e-12*(math.Abs(mean)+stddev) + 1e-300
	if int(shown.Samples) != count || math.Abs(shown.Mean-mean) > slack || math.Abs(shown.StdDev-stddev) > 1e3*slack {
		t.Fatalf("at %d: got n %d, mean %v, sigma %v shown, want %d, %v, %v", ns, shown.Samples, shown.Mean, shown.StdDev, count, mean, stddev)
	}
}

// agree feeds one sample to both and compares everything.
func agree(t *testing.T, s *Series, n *naive, ns int64, v float64) {
	t.Helper()
	var count int
	var mean, stddev, weight, usual, spread float64
	if n.b != nil {
		if !n.stays(ns) {
			n.count, n.mean, n.stddev = n.stats(ns)
		}
		count, mean, stddev = n.count, n.mean, n.stddev
	}
	if n.b != nil && n.b.Season == Daily {
		weight, usual, spread = n.usual(ns)
	}
	j, err := s.Add(time.Unix(0, ns), v)
	if err != nil {
		t.Fatalf("Add(%d, %v): %v", ns, v, err)
	}
	finite(t, j)
	// Chan's formula loses about kappa*u of sigma; kappa is mean/sigma.
	slack := 1e-12*(math.Abs(mean)+stddev) + 1e-300
	if n.b != nil && (int(j.Samples) != count || math.Abs(j.Mean-mean) > slack || math.Abs(j.StdDev-stddev) > 1e3*slack) {
		t.Fatalf("at %d: got n %d, mean %v, sigma %v, want %d, %v, %v", ns, j.Samples, j.Mean, j.StdDev, count, mean, stddev)
	}
	// Weights have 24 bits.
	off := 1e-6 * (math.Abs(usual) + spread)
	if math.Abs(j.SeasonSamples-weight) > 1e-6*weight || math.Abs(j.SeasonMean-usual) > off || math.Abs(j.SeasonStdDev-spread) > off {
		t.Fatalf("at %d: got a season of n %v, mean %v, sigma %v, want %v, %v, %v", ns, j.SeasonSamples, j.SeasonMean, j.SeasonStdDev, weight, usual, spread)
	}
	e, theta, fault := n.add(ns, v, j.Anomaly, j.Ready)
	if n.b != nil {
		n.hold(ns)
	}
	if n.b != nil && n.b.Season == Daily {
		n.learn(ns)
	}
	if n.b != nil {
		n.shows(t, ns, j, s.Shown(j))
	}
	if j.Turned != n.turned {
		t.Fatalf("at %d: got turned %v, want %v", ns, j.Turned, n.turned)
	}
	if j.E != e || math.Abs(j.ThetaE-theta) > 1e-9 || j.Fault != fault {
		t.Fatalf("at %d, sample %d: got e %v, theta_e %v, fault %v, want %v, %v, %v", ns, len(n.all), j.E, j.ThetaE, j.Fault, e, theta, fault)
	}
	if !j.FirstBad.IsZero() != n.episode {
		t.Fatalf("at %d: got first bad %v, want an episode: %v", ns, j.FirstBad, n.episode)
	}
}

// finite refuses NaN and infinity in any figure.
func finite(t *testing.T, j Judgement) {
	t.Helper()
	for _, v := range []float64{j.Mean, j.StdDev, j.SeasonSamples, j.SeasonMean, j.SeasonStdDev, j.Upper, j.Lower, j.E, j.ThetaE} {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			t.Fatalf("not a finite number in %+v", j)
		}
	}
	if j.E < 0 || j.E > 1 || j.Fault && j.FirstBad.IsZero() || j.Anomaly && !j.Ready {
		t.Fatalf("impossible: %+v", j)
	}
}

// FuzzSeries reads a stream of steps and values and compares the series with
// the naive one. Each step is 11 bytes: milliseconds, scale and mantissa.
func FuzzSeries(f *testing.F) {
	f.Add(uint8(0), []byte("a few bytes are a few samples, whatever they hold"))
	for kind := uint8(0); kind < 160; kind += 9 {
		f.Add(kind, stream(kind))
	}
	f.Fuzz(func(t *testing.T, kind uint8, data []byte) {
		interval := []time.Duration{time.Second, 5 * time.Second, 7 * time.Second, 30 * time.Second}[kind%4]
		fault := Fault{Window: time.Minute, Floor: .05, Cap: .25, MinAnomalies: 1 + int(kind>>2)%3, K: 3, Clear: 1 + int(kind>>4)%4}
		fault.MinAnomalies = min(fault.MinAnomalies, fault.Slots(interval)) // more could never be
		n := &naive{interval: interval, f: fault, held: map[int64]int64{}}
		s := availability(t, interval, fault)
		if kind < 128 {
			b := Baseline{Window: 5 * time.Minute, K: 2, MinSamples: 5, Direction: Both, Hold: time.Duration(kind>>3) * 10 * time.Second}
			if kind%5 < 2 {
				b.Season, b.Zone = Daily, zone(t, []string{"UTC", "Europe/Berlin", "Asia/Kathmandu"}[int(kind)/3%3])
			}
			n.b, s = &b, values(t, interval, fault, b)
		}
		ns := start.UnixNano()
		for ; len(data) >= 11 && len(n.all) < 300; data = data[11:] {
			step := int64(binary.LittleEndian.Uint16(data)) + 1
			if data[2] > 250 {
				step *= 1000 // a gap
			}
			ns += step * 1e6
			v := math.Ldexp(float64(int64(binary.LittleEndian.Uint64(data[3:])))/(1<<63), int(data[2]%40)-20)
			if n.b == nil {
				v = float64(data[3] & 1)
			}
			agree(t, s, n, ns, v)
		}
	})
}

// stream is a seed: noise with an outage in the middle and a step at the end.
func stream(kind uint8) []byte {
	var data []byte
	x := uint64(kind) + 1
	for i := range 300 {
		x = x*6364136223846793005 + 1442695040888963407
		step := []byte{0, 4 + byte(x>>60), kind%3 + 20}
		v := x>>2 | 1<<61
		if i > 150 && i < 180 || i > 250 {
			v = 3<<61 + x>>4
		}
		data = append(data, step...)
		data = binary.LittleEndian.AppendUint64(data, v)
	}
	return data
}

// FuzzSeries_AnyInput gives any times and values at all.
func FuzzSeries_AnyInput(f *testing.F) {
	f.Add(int64(0), 1.0, int64(1), math.NaN(), int64(-5), 1e308)
	f.Add(int64(math.MaxInt64), -1e100, int64(math.MinInt64), 1e100, int64(1), 5e-324)
	f.Add(int64(1e9), 1e100, int64(2e9), -1e100, int64(3e9), 1e100)
	f.Fuzz(func(t *testing.T, t1 int64, v1 float64, t2 int64, v2 float64, t3 int64, v3 float64) {
		b := Baseline{Window: time.Hour, K: 1e6, MinSamples: 2, Direction: Both, Hold: 30 * time.Minute, Season: Daily, Zone: zone(t, "Europe/Berlin")}
		for _, s := range []*Series{values(t, time.Second, plainFault(.25), b), availability(t, time.Second, plainFault(.25))} {
			for range 3 {
				for _, x := range []struct {
					ns int64
					v  float64
				}{{t1, v1}, {t2, v2}, {t3, v3}, {t1 + 1, v3}, {t2 + 1, v1}} {
					if j, err := s.Add(time.Unix(0, x.ns), x.v); err == nil {
						finite(t, j)
					}
				}
			}
		}
	})
}
