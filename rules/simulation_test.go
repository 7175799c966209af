package rules

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/onefiveten/onefiveten/sigma"
)

// world is what one fault is carried through, event by event, from its beginning at
// 0 to the webhook. It knows the settings and nothing of the formula.
type world struct {
	backend string
	probe   Probe
	query   *Query
	reach   time.Duration // how far back the expression reads

	prometheus Prometheus
	alerts     Alertmanager
	fault      sigma.Fault
}

// luck decides what the settings leave open. Without random numbers everything takes
// as long as it may.
type luck struct {
	random *rand.Rand
	slow   bool // with random phases alone

	// Phases: an instant of each part that comes again and again.
	source, sample, scrape, evaluation time.Duration
}

// upTo draws a length of time.
func upTo(r *rand.Rand, most time.Duration) time.Duration {
	return time.Duration(r.Int64N(int64(most) + 1))
}

// takes is how long something lasts that may last so long.
func (l luck) takes(most time.Duration) time.Duration {
	if l.random == nil || l.slow {
		return most
	}
	return upTo(l.random, most)
}

// reads is when something that lasts so long looks: at its begin in the worst case.
func (l luck) reads(lasts time.Duration) time.Duration {
	if l.random == nil || l.slow {
		return 0
	}
	return upTo(l.random, lasts)
}

// next is the first instant at or after t of what comes every interval.
func next(t, phase, every time.Duration) time.Duration {
	k := (t - phase) / every
	for at := phase + (k-1)*every; ; at += every {
		if at >= t {
			return at
		}
	}
}

// trace are the instants at which one part hands over to the next: whatever began
// just before them has missed it.
type trace struct {
	sampled time.Duration // what samples are taken of is bad
	turned  time.Duration // what is scraped shows it
	scraped time.Duration // the scrape that shows it began
	visible time.Duration // Prometheus can see it
	webhook time.Duration
}

// run carries the fault through.
func (w world) run(t testing.TB, l luck) trace {
	var tr trace
	interval, timeout := w.probe.Interval, w.probe.Timeout
	if q := w.query; q != nil {
		interval, timeout = q.Interval, q.Timeout
		scraped := next(0, l.source, q.Source)
		// The slowest expression shows what was so long ago.
		tr.sampled = max(scraped+l.takes(q.SourceTimeout), scraped+w.reach)
	}
	first := next(tr.sampled, l.sample, interval)
	scrape := time.Duration(w.prometheus.Scrape.Interval)
	if w.backend == PromQL {
		tr.turned = first + l.takes(timeout)
		tr.scraped = w.until(t, scrape, w.found(l, tr.turned), func(at time.Duration) time.Duration { return at })
	} else {
		tr.turned = w.until(t, interval, first, func(at time.Duration) time.Duration { return at + l.takes(timeout) })
		tr.scraped = w.found(l, tr.turned)
	}
	tr.visible = tr.scraped + l.takes(w.prometheus.Scrape.Wait())
	alert := w.alert(l, tr.scraped, tr.visible)
	a := w.alerts
	// The alert makes a group of its own, and the last peer sends it.
	flushed := alert + time.Duration(a.GroupWait) + time.Duration(a.Peers-1)*time.Duration(a.PeerTimeout)
	tr.webhook = flushed + l.takes(time.Duration(a.Webhook.Delay))
	return tr
}

// found is the scrape that finds what has been on the page since an instant. One that
// began before it may have looked late enough.
func (w world) found(l luck, since time.Duration) time.Duration {
	every := time.Duration(w.prometheus.Scrape.Interval)
	at := next(since, l.scrape, every)
	if at-every+l.reads(w.prometheus.Scrape.Wait()) >= since {
		return at - every
	}
	return at
}

// until feeds a series of sigma with good samples and, from the first bad instant on,
// bad ones, and gives the instant at which it turns to a fault. ends tells when the
// sample of an instant is there.
func (w world) until(t testing.TB, every, first time.Duration, ends func(at time.Duration) time.Duration) time.Duration {
	f := w.fault
	f.Floor = f.Cap // the worst that a history can make of the threshold
	series, err := sigma.NewAvailability(every, f)
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Unix(1e9, 0)
	for k := -f.Slots(every) - 2; k < f.Slots(every)+2; k++ {
		v := 0.
		if k >= 0 {
			v = 1
		}
		at := ends(first + time.Duration(k)*every)
		j, err := series.Add(begin.Add(at), v)
		if err != nil {
			t.Fatal(err)
		}
		if j.Fault {
			return at
		}
	}
	t.Fatalf("no fault of %+v every %s", f, every)
	return 0
}

// alert is when the rule fires that reads a sample of the scrape, which is visible
// only later.
func (w world) alert(l luck, scraped, visible time.Duration) time.Duration {
	e := w.prometheus.Evaluation
	every, delay, offset := time.Duration(e.Interval), time.Duration(e.Delay), time.Duration(e.QueryOffset)
	for slot := next(scraped, l.evaluation, every); ; slot += every {
		// A group begins at its slot; the rule reads and sends when it is its turn.
		turn := slot + l.takes(delay)
		if l.random == nil || l.slow {
			turn = slot // missed by the least that it can be
		}
		if scraped <= slot-offset && visible <= turn {
			if l.random == nil || l.slow {
				return slot + delay
			}
			return turn
		}
	}
}

// corner searches the phases one after the other: each part comes just before what it
// waits for, and so sees it a whole interval later.
func (w world) corner(t testing.TB) time.Duration {
	const tiny = time.Microsecond
	l := luck{source: -tiny, sample: -tiny}
	l.sample = w.run(t, l).sampled - tiny
	l.scrape = w.run(t, l).turned - tiny
	tr := w.run(t, l)
	// What the rule waits for is there when it is visible and old enough.
	l.evaluation = max(tr.visible, tr.scraped+time.Duration(w.prometheus.Evaluation.QueryOffset)) - tiny
	return w.run(t, l).webhook
}

// draw is a run of random phases, and half of the times of random durations.
func (w world) draw(t testing.TB, r *rand.Rand) time.Duration {
	l := luck{random: r, slow: r.IntN(2) == 0}
	l.scrape, l.evaluation = upTo(r, time.Duration(w.prometheus.Scrape.Interval)), upTo(r, time.Duration(w.prometheus.Evaluation.Interval))
	if q := w.query; q != nil {
		l.source, l.sample = upTo(r, q.Source), upTo(r, q.Interval)
	} else {
		l.sample = upTo(r, w.probe.Interval)
	}
	return w.run(t, l).webhook
}

// setting is one row of the table that is simulated. Its bound was summed up by hand.
type setting struct {
	kind, name string
	spec       Spec
	cap        float64
	bound      float64 // seconds
}

// proved is the bound of a setting, whatever the targets are, and its world.
func (s setting) proved(t testing.TB) (Bound, world) {
	t.Helper()
	v := &s.spec.Services[0]
	v.Detect, v.Locate, v.Recover = time.Hour, time.Hour, time.Hour
	g := &v.Signals[0]
	g.Detect, g.Fault.Cap = 0, s.cap
	b := Prove(s.spec)[0]
	if b.Refusal != "" || b.Total != dur(s.bound) {
		t.Errorf("%s %s: got T %s, refusal %q, want %vs", s.kind, s.name, b.Total, b.Refusal, s.bound)
	}
	w := world{backend: s.spec.Backend, query: g.Query, prometheus: s.spec.Prometheus, alerts: s.spec.Alertmanager, fault: g.Fault}
	if g.Query == nil {
		w.probe = v.Probes[0]
	} else if reach, err := Reach(g.Query.Expr); err == nil {
		w.reach = reach
	}
	return b, w
}

// once is how much of a bound passes at the same time: the formula has the sum of what
// a scrape takes and of how far back its reader looks, and only the longer one counts.
func (w world) once() time.Duration {
	both := min(w.prometheus.Scrape.Wait(), time.Duration(w.prometheus.Evaluation.QueryOffset))
	if w.query != nil {
		both += min(w.query.SourceTimeout, w.reach)
	}
	return both
}

// far has everything that may stand between a rule and the webhook.
func far(s Spec) Spec {
	s.Prometheus.Evaluation.Delay = sec(2)
	s.Alertmanager.GroupWait, s.Alertmanager.Peers, s.Alertmanager.PeerTimeout, s.Alertmanager.Webhook.Delay = sec(5), 3, sec(15), sec(1.5)
	return s
}

// querying is a spec whose only signal is a query.
func querying(t timed, expr string, interval, timeout, source, sourceTimeout float64) Spec {
	s := shop(t)
	g := asked(page, expr, interval, timeout, source)
	g.Query.SourceTimeout = dur(sourceTimeout)
	s.Services[0].Signals, s.Services[0].Probes = []Signal{g}, nil
	return s
}

// offset makes the rules look so far into the past.
func offset(s Spec, seconds float64) Spec {
	s.Prometheus.Evaluation.QueryOffset = sec(seconds)
	return s
}

// simulated are first the five settings of DETECTION 13, then those of other terms.
func simulated() []setting {
	quick := shop(timed{1, .5, 1, .5, 0})
	quick.Prometheus.Evaluation.Delay = sec(.2)
	one := func(s Spec) Spec { return with(s, func(f *sigma.Fault) { f.MinAnomalies = 1 }) }
	return []setting{
		{"probe", "1, 1", one(quick), .25, 19.2},
		{"probe", "5, 5", one(shop(timed{5, 2, 5, 1, 0})), .25, 34},
		{"probe", "10, 15", one(shop(timed{10, 3, 15, 1, 0})), .25, 55},
		{"probe", "30, 15", one(shop(timed{30, 5, 15, 1, 0})), .25, 67},
		{"probe", "60, 60", one(shop(timed{60, 10, 60, 10, 0})), .25, 201},
		{"probe", "5, 10, all terms", far(shop(timed{5, 2, 10, 4, 0})), .1, 74.5},
		{"probe", "5, 5, query offset", offset(shop(timed{5, 2, 5, 1, 0}), 7), .5, 56},
		{"probe", "5, 5, latency", with(shop(timed{5, 2, 5, 1, 0}), func(f *sigma.Fault) { *f = slow().Fault }), .6, 129},
		{"query", "15, 5", querying(timed{0, 0, 5, 1, 0}, "x", 15, 2, 10, 1), .6, 145},
		{"query", "15, 5, reads back", querying(timed{0, 0, 5, 1, 0}, "x offset 7s", 15, 2, 10, 1), .6, 152},
		{"query", "15, 5, range", querying(timed{0, 0, 5, 1, 0}, "rate(x[1m])", 15, 2, 15, 10), .6, 219},
		{"query", "3, 3, all terms", far(querying(timed{0, 0, 3, 2, 0}, "x", 3, 2, 3, 2)), .6, 164.5},
		{"query", "3, 3, query offset", offset(querying(timed{0, 0, 3, 2, 0}, "x", 3, 2, 3, 2), 9), .6, 136},
		{"promql", "5, 5", scraping(shop(timed{5, 2, 5, 1, 0})), .25, 34},
		{"promql", "5, 15", scraping(shop(timed{5, 2, 15, 4, 0})), .25, 57},
		{"promql", "2, 10, all terms", far(scraping(shop(timed{2, 2, 10, 4, 0}))), .5, 96.5},
		{"promql", "5, 5, query offset", offset(scraping(shop(timed{5, 2, 5, 1, 0})), 7), .25, 41},
	}
}

// shortOf collects the terms without which a bound would be exceeded.
type shortOf map[string]bool

func (s shortOf) add(kind string, b Bound, took time.Duration) {
	for _, term := range b.Terms {
		if took > b.Total-term.Length {
			s[kind+" "+term.Name] = true
		}
	}
}

// all want every term of every kind.
func (s shortOf) all(t *testing.T) {
	t.Helper()
	ends := []string{"S", "d_s", "E", "d_e", "Q", "G", "p·PT", "t_wh"}
	for kind, begins := range map[string][]string{
		"probe":  {"P", "d_p", "(m-1)·P"},
		"promql": {"P", "d_p", "(m-1)·S"},
		"query":  {"S_src", "d_src", "R", "P_q", "d_q", "(m-1)·P_q"},
	} {
		for _, name := range slices.Concat(begins, ends) {
			if !s[kind+" "+name] {
				t.Errorf("%s: a bound short of %s is exceeded nowhere, so that nothing shows that it is needed", kind, name)
			}
		}
	}
}

// TestBound_IsNeverExceededAtRandomPhases carries 10^5 faults from their beginning to
// the webhook, at random phases, half of them with random durations, too. A bound that
// is short of any one term is exceeded.
func TestBound_IsNeverExceededAtRandomPhases(t *testing.T) {
	const runs = 100_000
	r, short, settings := rand.New(rand.NewPCG(1, 2)), shortOf{}, simulated()
	for _, one := range settings {
		b, w := one.proved(t)
		worst := time.Duration(0)
		for range (runs + len(settings) - 1) / len(settings) {
			worst = max(worst, w.draw(t, r))
		}
		gap := b.Total - worst
		t.Logf("%-6s %-18s bound %7s, worst %8.3fs, gap %.3fs", one.kind, one.name, span(b.Total), worst.Seconds(), gap.Seconds())
		if gap < 0 {
			t.Errorf("%s %s: took %s, bound %s", one.kind, one.name, worst, b.Total)
		}
		if most := w.once() + w.intervals()/5; gap > most {
			t.Errorf("%s %s: the worst draw is %s below the bound of %s: the phases are not drawn, or the bound is too long", one.kind, one.name, gap, b.Total)
		}
		short.add(one.kind, b, worst)
	}
	short.all(t)
}

// intervals are the sum of those whose phase is drawn.
func (w world) intervals() time.Duration {
	sum := time.Duration(w.prometheus.Scrape.Interval) + time.Duration(w.prometheus.Evaluation.Interval) + w.probe.Interval
	if w.query != nil {
		sum += w.query.Source + w.query.Interval
	}
	return sum
}

// TestBound_IsReachedByACornerSearch: with every phase at its end and everything as slow
// as it may be, the bound is what happens, but for what passes at the same time.
func TestBound_IsReachedByACornerSearch(t *testing.T) {
	short := shortOf{}
	for _, one := range simulated() {
		b, w := one.proved(t)
		took := w.corner(t)
		gap := b.Total - w.once() - took
		t.Logf("%-6s %-18s bound %7s, at once %3s, gap %s", one.kind, one.name, span(b.Total), span(w.once()), gap)
		if gap < 0 || gap > 10*time.Millisecond {
			t.Errorf("%s %s: the corner takes %s, the bound is %s, of which %s pass at the same time", one.kind, one.name, took, b.Total, w.once())
		}
		short.add(one.kind, b, took)
	}
	short.all(t)
}

// BenchmarkBound_RandomPhases draws 10^5 runs of each setting and tells how far below the
// bound the worst one stays.
func BenchmarkBound_RandomPhases(b *testing.B) {
	for _, one := range simulated() {
		b.Run(fmt.Sprintf("%s %s", one.kind, one.name), func(b *testing.B) {
			bound, w := one.proved(b)
			worst, r := time.Duration(0), rand.New(rand.NewPCG(1, 2))
			for range max(b.N, 100_000) {
				worst = max(worst, w.draw(b, r))
			}
			if worst > bound.Total {
				b.Errorf("took %s, bound %s", worst, bound.Total)
			}
			b.ReportMetric((bound.Total - worst).Seconds(), "s-below-bound")
		})
	}
}

// The failure rate that is told beside a bound is found by the series within the target
// with 95 %, and one that is clearly lower is not.
func TestLoss_IsTheFailureRateThatTheSeriesFinds(t *testing.T) {
	const draws, promised = 4000, .95 // as the legend of the table says
	r := rand.New(rand.NewPCG(9, 5))
	for name, s := range map[string]Spec{
		"5, 5": shop(timed{5, 2, 5, 1, 0}), "5, 10": shop(timed{5, 2, 10, 2, 5}), "10, 10": shop(timed{10, 3, 10, 2, 5}),
		"demo": demo(), "promql 2, 5": scraping(shop(timed{2, 1, 5, 1, 0})), "latency": with(floored(timed{5, 2, 5, 1, 0}), func(f *sigma.Fault) { f.Floor = .55 }),
	} {
		b := Prove(s)[0]
		if b.Refusal != "" || b.Loss > 1 {
			t.Fatalf("%s: %+v", name, b)
		}
		found := func(rate float64) float64 {
			n := 0
			for range draws {
				if b.finds(t, r, rate) {
					n++
				}
			}
			return float64(n) / draws
		}
		// Three standard deviations of so many draws are a hundredth.
		if share := found(b.Loss); share < promised-.01 {
			t.Errorf("%s: a failure rate of %v is found with %v, want %v", name, b.Loss, share, promised)
		}
		if share := found(b.Loss * .6); share > promised-.05 {
			t.Errorf("%s: a failure rate of %v is found with %v: that of the bound, %v, is too cautious", name, b.Loss*.6, share, b.Loss)
		}
	}
}

// finds draws one partial failure at the rate, and tells whether the series turns in time.
func (b Bound) finds(t *testing.T, r *rand.Rand, rate float64) bool {
	t.Helper()
	f := b.chain.signal.Fault
	f.Floor = f.Cap
	every := b.chain.tick()
	series, err := sigma.NewAvailability(every, f)
	if err != nil {
		t.Fatal(err)
	}
	// In the worst phase the first sample of the fault comes an interval after its begin,
	// and each one needs the rest of the way.
	left := b.Target - b.Total + time.Duration(b.Bad-1)*every
	for k := -b.Samples - 2; time.Duration(k)*every <= left; k++ {
		v := 0.
		if k >= 0 && r.Float64() < rate {
			v = 1
		}
		j, err := series.Add(time.Unix(1e9, 0).Add(time.Duration(k)*every), v)
		if err != nil {
			t.Fatal(err)
		}
		if j.Fault {
			return true
		}
	}
	return false
}
