package rules

import (
	"cmp"
	"fmt"
	"math"
	"time"
)

// Bound is the longest time from the beginning of a total failure to the
// webhook, for one signal of one service by its slowest probe (DETECTION 6).
type Bound struct {
	Service, Signal, Mode string
	Probe                 string // the one that is slowest, or is refused; empty for a signal of a query
	Target, Total         time.Duration
	Terms                 []Term // their sum is Total
	Samples, Bad          int    // n and m: the fault window holds n, m in a row turn the gauge
	Cap                   float64
	Loss                  float64 // share of failing probes that is found within Target with 95 % probability; above 1: none
	Refusal               string  // why the target cannot be kept, and what to turn; empty when it is

	path    string        // of the signal, in the configuration
	service time.Duration // target of the service, which a signal of its own may exceed

	chain chain // with Cap
}

// Term is one addend of a bound.
type Term struct {
	Name   string // one of those that the legend of Table explains
	Length time.Duration
}

const (
	sure       = .95 // probability with which Bound.Loss is found
	capSteps   = 100 // a solved cap is a multiple of 1/capSteps
	mostTerms  = 14  // of a bound, those of a query
	slowProbes = 3   // P over target/slowProbes needs min_anomalies 1 (20s of 60s)
)

// Prove reckons the bound of every signal of every service, in the order of the
// spec. With several probes the cap is the one that all of them can keep.
// The spec must pass Check but for its bounds.
func Prove(s Spec) []Bound {
	var bounds []Bound
	for i, v := range s.Services {
		for _, g := range v.Signals {
			b := s.prove(v, g)
			b.service = v.Detect
			b.path = fmt.Sprintf("services[%d].signals.%s", i, g.Name)
			bounds = append(bounds, b)
		}
	}
	return bounds
}

// prove gives the bound of one signal by its slowest probe, at one cap for all.
func (s Spec) prove(v Service, g Signal) Bound {
	all := s.chains(v, g)
	if len(all) == 0 {
		return Bound{Service: v.Name, Signal: g.Name, Mode: g.Mode, Target: target(v, g), Refusal: "no probe watches the service: want a probe of it, or this signal left out, where entries of signals: watch it"}
	}
	if g.Fault.Cap == 0 {
		// A threshold has one cap, whichever probe gave the sample: the lowest
		// one keeps every probe within the target.
		g.Fault.Cap = 1
		for _, c := range all {
			g.Fault.Cap = min(g.Fault.Cap, c.solve())
		}
	}
	var worst Bound
	for i, c := range all {
		c.given = c.signal.Fault.Cap > 0
		c.signal.Fault.Cap = g.Fault.Cap
		if b := c.bound(); i == 0 || worse(b, worst) {
			worst = b
		}
	}
	return worst
}

// worse orders refused bounds before others, and slow ones before fast ones.
func worse(a, b Bound) bool {
	if (a.Refusal != "") != (b.Refusal != "") {
		return a.Refusal != ""
	}
	return a.Total > b.Total
}

// CheckBounds reports every refused bound under the path of its signal, and
// services without a signal that pages in time. It reports nothing while the
// intervals cannot be reckoned with, which Check does.
func (s Spec) CheckBounds(report func(path, text string)) {
	if !s.timed() {
		return
	}
	refused, kept := map[string]bool{}, map[string]bool{}
	for _, b := range Prove(s) {
		if b.Refusal != "" {
			report(b.path, b.Refusal)
			refused[b.Service] = refused[b.Service] || b.Mode == page
		} else if b.Mode == page {
			kept[b.Service] = kept[b.Service] || b.Total <= b.service
		}
	}
	for i, v := range s.Services {
		if !kept[v.Name] && !refused[v.Name] {
			report(fmt.Sprintf("services[%d].signals", i), fmt.Sprintf("no signal of mode page is found within the service's target of %s, want at least one", span(v.Detect)))
		}
	}
}

// target is that of the signal, else that of its service.
func target(v Service, g Signal) time.Duration { return cmp.Or(g.Detect, v.Detect) }

// chain is the way of one sample from a probe or a query to the webhook. Each
// part of it may have begun just before what it waits for: the worst case is the
// sum of all intervals and of the time that each part takes.
type chain struct {
	service Service
	signal  Signal
	spec    Spec
	given   bool // the cap was written by hand

	probe             string        // its name; empty: the samples are answers to signal.Query
	interval, timeout time.Duration // P and d_p, of a query P_q and d_q

	source, sourceTimeout, reach time.Duration // S_src, d_src and R of a query
}

// scraped tells whether what is judged is what scrapes find, and not every result
// of the probe.
func (c chain) scraped() bool { return c.spec.Backend == PromQL && c.signal.Query == nil }

// tick is how far the samples lie apart that are judged: P, P_q, or S where scrapes
// take them.
func (c chain) tick() time.Duration {
	if c.scraped() {
		return time.Duration(c.spec.Prometheus.Scrape.Interval)
	}
	return c.interval
}

// chains are the ways of one signal: one for each probe of the service, or the one
// of its query.
func (s Spec) chains(v Service, g Signal) []chain {
	if q := g.Query; q != nil {
		reach, _ := Reach(q.Expr) // Check has reported what cannot be read
		return []chain{{
			service: v, signal: g, spec: s, interval: q.Interval, timeout: q.Timeout,
			source: q.Source, sourceTimeout: q.SourceTimeout, reach: reach,
		}}
	}
	var all []chain
	for _, p := range v.Probes {
		all = append(all, chain{service: v, signal: g, spec: s, probe: p.Name, interval: p.Interval, timeout: p.Timeout})
	}
	return all
}

// sampler is what takes the samples, as the configuration names it.
func (c chain) sampler() string {
	if q := c.signal.Query; q != nil {
		return q.Path
	}
	return fmt.Sprintf("probe %q", c.probe)
}

// target is what the whole way may take.
func (c chain) target() time.Duration { return target(c.service, c.signal) }

// terms is the formula of DETECTION 6.2, with F = 0.
func (c chain) terms(m int) []Term {
	p, a := &c.spec.Prometheus, &c.spec.Alertmanager
	return append(
		c.sampled(m, make([]Term, 0, mostTerms)),
		Term{"S", time.Duration(p.Scrape.Interval)},
		Term{"d_s", p.Scrape.Wait()},
		Term{"E", time.Duration(p.Evaluation.Interval)},
		Term{"d_e", time.Duration(p.Evaluation.Delay)},
		Term{"Q", time.Duration(p.Evaluation.QueryOffset)},
		Term{"G", time.Duration(a.GroupWait)},
		Term{"p·PT", time.Duration(a.Peers-1) * time.Duration(a.PeerTimeout)},
		Term{"t_wh", time.Duration(a.Webhook.Delay)},
	)
}

// sampled is the part of the way up to the end of the m-th bad sample, or, where
// scrapes take the samples, to the end of the first one and the m-1 scrapes that
// follow the one that finds it. Before the first query that is told something bad
// lie the scrape of what it reads and the good past that its expression still reads.
func (c chain) sampled(m int, terms []Term) []Term {
	wait := time.Duration(m-1) * c.tick()
	switch {
	case c.signal.Query != nil:
		return append(
			terms,
			Term{"S_src", c.source}, Term{"d_src", c.sourceTimeout}, Term{"R", c.reach},
			Term{"P_q", c.interval}, Term{"d_q", c.timeout}, Term{"(m-1)·P_q", wait},
		)
	case c.scraped():
		return append(terms, Term{"P", c.interval}, Term{"d_p", c.timeout}, Term{"(m-1)·S", wait})
	}
	return append(terms, Term{"P", c.interval}, Term{"d_p", c.timeout}, Term{"(m-1)·P", wait})
}

// total is T for m bad samples in a row.
func (c chain) total(m int) time.Duration {
	var sum time.Duration
	for _, t := range c.terms(m) {
		sum += t.Length
	}
	return sum
}

// rest is T without the wait for further bad samples: what the target must leave
// even if the first one were enough.
func (c chain) rest() time.Duration { return c.total(1) }

// within is how many samples end early enough to be seen within the target.
func (c chain) within() int {
	left := c.target() - c.rest()
	if left < 0 {
		return 0
	}
	return int(left/c.tick()) + 1
}

// least is the smallest m that any cap allows; 0 when no number of samples does.
func (c chain) least() int {
	f := c.signal.Fault
	f.Cap = f.Floor
	return f.Bad(c.tick())
}

// solve gives the cap of DETECTION 6.3: the largest one that meets the target. Where
// none does it is the least that there is.
func (c chain) solve() float64 { return c.largest(c.most()) }

// largest is solve up to so many hundredths. Caps are hundredths, but for a window
// of so many samples that only less than one is small enough.
func (c chain) largest(hundredths int) float64 {
	f := c.signal.Fault
	meets := func(limit float64) bool {
		f.Cap = limit
		m := f.Bad(c.tick())
		return limit >= f.Floor && m > 0 && m <= c.within()
	}
	for k := hundredths; k >= 1; k-- {
		if limit := float64(k) / capSteps; meets(limit) {
			return limit
		}
	}
	least := max(f.Floor, 1./capSteps)
	if meets(least) {
		return least
	}
	if small := (float64(c.within()) - .5) / float64(f.Slots(c.tick())+1); meets(max(small, f.Floor)) {
		return max(small, f.Floor)
	}
	return least
}

// most is the largest solved cap in steps. Without one of its own it is .5, and .6
// of a signal that has a baseline.
func (c chain) most() int {
	most := c.signal.MaxCap
	if most == 0 && c.signal.Name == availability {
		most = .5
	}
	return int(math.Floor(cmp.Or(most, .6)*capSteps + 1e-9)) // .57 times 100 is 56.99…
}

// bound fills in all figures for the cap that the signal has by now.
func (c chain) bound() Bound {
	f := c.signal.Fault
	m := f.Bad(c.tick())
	b := Bound{
		Service: c.service.Name, Signal: c.signal.Name, Mode: c.signal.Mode, Probe: c.probe,
		Target: c.target(), Samples: f.Slots(c.tick()) + 1, Bad: m, Cap: f.Cap,
		chain: c,
	}
	if m == 0 {
		b.Refusal = c.never()
		return b
	}
	b.Terms, b.Total = c.terms(m), c.total(m)
	b.Refusal = c.refusal(m)
	// Samples that are older than the window no longer count; those that end too
	// late to be told within the target do not either.
	b.Loss = loss(min(c.within(), f.Slots(c.tick())), m)
	return b
}

// loss is the smallest failure rate, in hundredths, with which m of k
// independent probes fail with probability sure.
func loss(k, m int) float64 {
	// Hundredths are as exact as a failure rate is ever known.
	for q := 1; q < 100; q++ {
		if r := float64(q) / 100; atLeast(m, k, r) >= sure {
			return r
		}
	}
	if k >= m {
		return 1
	}
	return math.Inf(1)
}

// atLeast is the probability of m or more failures in k probes of failure rate q.
func atLeast(m, k int, q float64) float64 {
	// Terms of the binomial distribution, each from the one before.
	term, below := math.Pow(1-q, float64(k)), 0.
	for i := range m {
		below += term
		term *= float64(k-i) / float64(i+1) * q / (1 - q)
	}
	return 1 - below
}
