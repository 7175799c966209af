package rules

import (
	"cmp"
	"fmt"
	"time"

	"github.com/prometheus/common/model"
)

// Living is the timing of a system that runs, as far as it could be asked: what is
// nil was not told, and the configuration stands for it.
type Living struct {
	Scrape, ScrapeTimeout *time.Duration // S and d_s
	Evaluation, Delay     *time.Duration // E and d_e, as seen
	QueryOffset           *time.Duration // Q
	GroupWait             *time.Duration // G
	Peers                 *int           // of the cluster of Alertmanagers
}

// Told tells whether anything is known at all.
func (l Living) Told() bool { return l != Living{} }

// Again reckons the bounds once more with the timing that a system has in fact. The
// caps are those that were proved: the exporter and the rules run with them. What is
// over its target Broken tells. Refused, without a sum, is what the rules of backend
// promql cannot judge at that interval of scrapes.
func (s Spec) Again(l Living, proved []Bound) []Bound {
	s.Prometheus, s.Alertmanager = l.prometheus(s.Prometheus), l.alertmanager(s.Alertmanager)
	again := make([]Bound, len(proved))
	for i, b := range proved {
		c := b.chain
		if text := c.misread(s); text != "" {
			again[i] = Bound{Service: b.Service, Signal: b.Signal, Mode: b.Mode, Probe: b.Probe, Target: b.Target, Cap: b.Cap, Refusal: text, path: b.path, service: b.service, chain: c}
			continue
		}
		c.spec = s
		again[i] = c.bound()
		again[i].path, again[i].service = b.path, b.service
		if again[i].Bad > 0 {
			again[i].Refusal = ""
		}
	}
	return again
}

// misread tells that the windows of a signal hold other samples than were proved. Of
// backend promql they are ranges of so many scrapes: at another interval of these n
// and m would be others, and the divisor and the baseline of the rules would not.
func (c chain) misread(living Spec) string {
	was, now := c.spec.Prometheus.Scrape.Interval, living.Prometheus.Scrape.Interval
	if !c.scraped() || was == now {
		return ""
	}
	return fmt.Sprintf("%s is scraped every %s, and the windows of backend promql are written for scrapes every %s: no bound holds; make the two equal, and write the rules anew where prometheus.scrape.interval changes",
		c.sampler(), span(time.Duration(now)), span(time.Duration(was)))
}

// prometheus is p with what is known of the one that runs.
func (l Living) prometheus(p Prometheus) Prometheus {
	p.Scrape.Timeout = model.Duration(*cmp.Or(l.ScrapeTimeout, new(p.Scrape.Wait())))
	replace(&p.Scrape.Interval, l.Scrape)
	replace(&p.Evaluation.Interval, l.Evaluation)
	replace(&p.Evaluation.Delay, l.Delay)
	replace(&p.Evaluation.QueryOffset, l.QueryOffset)
	return p
}

// alertmanager is a with what is known of the one that runs.
func (l Living) alertmanager(a Alertmanager) Alertmanager {
	replace(&a.GroupWait, l.GroupWait)
	a.Peers = *cmp.Or(l.Peers, &a.Peers)
	return a
}

// replace takes what is known.
func replace(old *model.Duration, living *time.Duration) {
	if living != nil {
		*old = model.Duration(*living)
	}
}

// Broken tells of each bound that was kept as proved, and is over its target as the
// system runs, with the terms that have grown. Both lists are those of one spec; the
// path is that of the signal in the configuration.
func Broken(proved, living []Bound, report func(path, text string)) {
	for i, b := range living {
		was, who := proved[i], fmt.Sprintf("service %q, signal %s: as the system runs, ", b.Service, b.Signal)
		switch {
		case b.Refusal != "":
			report(b.path, who+b.Refusal)
		case b.Total > b.Target:
			report(b.path, who+fmt.Sprintf("a fault takes %s to the webhook, over the target of %s; proved were %s: %s",
				span(b.Total), span(b.Target), span(was.Total), grown(was, b)))
		}
	}
}

// grown names the terms of a bound that are longer now, the one that has grown most
// first.
func grown(was, now Bound) string {
	text, most := "", time.Duration(0)
	for i, t := range now.Terms {
		before := was.Terms[i].Length
		if t.Length <= before {
			continue
		}
		one := fmt.Sprintf("%s has grown from %s to %s", t.Name, span(before), span(t.Length))
		switch by := t.Length - before; {
		case text == "":
			text, most = one, by
		case by > most:
			text, most = one+", "+text, by
		default:
			text += ", " + one
		}
	}
	return text
}
