package collector

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// fewNamed is how many targets are named in a question. Of more, all of the probe
// are asked for.
const fewNamed = 50

// pastOf is the job for the targets of a probe whose latency waits for its past.
func (f force) pastOf(observer string, p Probe, plan plan, waiting map[string]*slotOfTarget, targets int) *job {
	who := "observer=" + strconv.Quote(observer) + ",probe=" + strconv.Quote(p.Name)
	width := targets
	if n := len(waiting); n <= fewNamed && n < targets {
		var names []string
		for name := range waiting {
			names = append(names, regexp.QuoteMeta(name))
		}
		slices.Sort(names)
		who += ",instance=~" + strconv.Quote(strings.Join(names, "|"))
		width = n
	}
	value := "probe_duration_seconds{" + who + "}"
	if l := plan.module.Latency; l.Name != "" {
		value = l.Name + "{" + who + ",phase=" + strconv.Quote(l.Phase) + "}"
	}
	j := newJob(&pastOfProbe{p.Name, waiting}, plan.rules[ofLatency], width)
	j.about = []any{"probe", p.Name}
	j.expr = fmt.Sprintf("max by (instance) (%s and on (observer, probe, instance) probe_success{%s} == 1)", value, who)
	j.starts = startsOf(who+`,signal="latency"`, "instance", j.rules)
	j.scrape, j.limit = f.settings.Asking.Scrape, f.settings.Asking.Timeout
	return j
}

// startsOf asks for the last word on the start of an episode, however long ago it
// was said: no longer than it can matter.
func startsOf(who, by string, r rules) string {
	ago := max(r.baseline.Hold, 2*r.fault.Window) + r.fault.Window
	return fmt.Sprintf("max by (%s) (last_over_time(%s{%s}[%dms]))", by, KsigmaStart, who, ago.Milliseconds())
}

// pastOfProbe are the targets of a probe that wait.
type pastOfProbe struct {
	probe   string
	waiting map[string]*slotOfTarget // by instance; never changed
}

// slotOfTarget is the latency of one target, and what it keeps until its past is
// there: the sign of the one that waits.
type slotOfTarget struct {
	state *state
	past  *backlog
}

func (o *pastOfProbe) waits(t *table) bool {
	any := false
	for url, slot := range o.waiting {
		if target := t.byKey[key{o.probe, url}]; target != nil && target.state == slot.state && slot.waits() {
			any = true
		}
	}
	return any
}

func (o *pastOfProbe) key(labels map[string]string) (string, bool) {
	_, ok := o.waiting[labels["instance"]]
	return labels["instance"], ok
}

func (o *pastOfProbe) first(key string) (time.Time, bool) {
	s := o.waiting[key].state
	s.mu.Lock()
	defer s.mu.Unlock()
	return o.waiting[key].past.first()
}

func (o *pastOfProbe) release() {
	for _, slot := range o.waiting {
		slot.change(func(of *judged, v verdict) verdict { return of.release(v) })
	}
}

func (o *pastOfProbe) settle(made map[string]*blank) (filled int) {
	for url, slot := range o.waiting {
		b := made[url]
		slot.change(func(of *judged, v verdict) verdict {
			if b == nil || of.warm(v) {
				v = of.release(v)
				of.past = nil
				return v
			}
			v, took := of.fill(b, v)
			filled += took
			return v
		})
	}
	return filled
}

// waits tells whether the past is still wanted, and ends it where the series has
// become ready by itself.
func (w *slotOfTarget) waits() bool {
	waits := false
	w.change(func(of *judged, v verdict) verdict {
		if waits = !of.warm(v); !waits {
			of.past = nil
		}
		return v
	})
	return waits
}

// change changes the series and its verdict, if it is still the one that waits.
func (w *slotOfTarget) change(f func(of *judged, v verdict) verdict) {
	s := w.state
	s.mu.Lock()
	defer s.mu.Unlock()
	of := &s.signals[ofLatency]
	if of.past != w.past {
		return
	}
	p := *s.shown.Load()
	p.verdicts[ofLatency] = f(of, p.verdicts[ofLatency])
	s.shown.Store(&p)
}

// pastOf is the job for an entry that begins anew.
func (q *query) pastOf(entry Query) *job {
	who := "observer=" + strconv.Quote(q.observer) + ",service=" + strconv.Quote(q.service) + ",signal=" + strconv.Quote(q.name)
	// Of a window there may be more series than at any instant of it.
	j := newJob(&pastOfQuery{q.state}, q.rules, 2*q.most)
	j.about = []any{"service", q.service, "signal", q.name}
	j.expr, j.starts = q.expr, startsOf(who, strings.Join(q.dimensions, ", "), q.rules)
	j.scrape, j.limit = entry.Scraped(), q.timeout
	j.width, j.unsure = q.most, true
	return j
}

// pastOfQuery are the series of a signal: those that it has, and others that the
// past alone knows.
type pastOfQuery struct{ state *queryState }

func (o *pastOfQuery) waits(t *table) bool {
	s := o.state
	s.mu.Lock()
	defer s.mu.Unlock()
	cold := 0
	for _, m := range s.members {
		if m.judged.past != nil && m.judged.warm(m.verdict) {
			m.judged.past = nil
		}
		if m.judged.past != nil {
			cold++
		}
	}
	if s.past == beganCold && len(s.members) > 0 && cold == 0 {
		s.past = noPast
	}
	return s.past != noPast && slices.ContainsFunc(t.queries, func(q *query) bool { return q.state == s })
}

func (o *pastOfQuery) key(labels map[string]string) (string, bool) {
	o.state.mu.Lock()
	defer o.state.mu.Unlock()
	_, key, err := o.state.query.dimensionsOf(labels)
	return key, err == nil
}

func (o *pastOfQuery) first(key string) (time.Time, bool) {
	o.state.mu.Lock()
	defer o.state.mu.Unlock()
	if m := o.state.members[key]; m != nil && m.judged.past != nil {
		return m.judged.past.first()
	}
	return time.Time{}, false
}

func (o *pastOfQuery) release() {
	s := o.state
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.past == withheld {
		s.past = beganCold
	}
	for _, m := range s.members {
		m.verdict = m.judged.release(m.verdict)
	}
	s.show()
}

func (o *pastOfQuery) settle(made map[string]*blank) (filled int) {
	s := o.state
	s.mu.Lock()
	defer s.mu.Unlock()
	s.past = noPast
	for key, m := range s.members {
		b := made[key]
		switch {
		case m.judged.past == nil:
		case b == nil || m.judged.warm(m.verdict):
			m.verdict = m.judged.release(m.verdict)
			m.judged.past = nil
		default:
			took := 0
			m.verdict, took = m.judged.fill(b, m.verdict)
			filled += took
		}
	}
	for key, b := range made {
		if s.members[key] != nil {
			continue
		}
		if m, err := s.member(b.labels, b.last); err == nil { // else the entry wants other labels by now
			m.judged, m.verdict = b.made, b.verdict
			filled++
		}
	}
	s.show()
	return filled
}

// show puts the verdicts of the series on the page again. The state is locked.
func (s *queryState) show() {
	newest := make(map[*labels]verdict, len(s.members))
	for _, m := range s.members {
		newest[m.labels] = m.verdict
	}
	a := *s.shown.Load()
	a.series = slices.Clone(a.series)
	for i, x := range a.series {
		if v, ok := newest[x.labels]; ok {
			a.series[i].verdict = v
		}
	}
	s.shown.Store(&a)
}
