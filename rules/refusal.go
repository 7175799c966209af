package rules

import (
	"fmt"
	"strconv"
	"time"

	"github.com/prometheus/common/model"
)

// mostTries is about how many values of a knob are tried for an advice.
const mostTries = 10_000

// knob is one setting that a bound can be shortened with: what it adds to the
// shortest bound, its present value, and how to try another.
type knob struct {
	name       string
	share, now time.Duration
	set        func(c *chain, v time.Duration)
}

// never explains a fault that no number of samples can show.
func (c chain) never() string {
	f := c.signal.Fault
	n := f.Slots(c.tick())
	return fmt.Sprintf("%s can never fire: a fault_window of %s holds %d whole intervals of %s, and cap %v with min_anomalies %d needs more bad samples: widen the window, or lower the cap or the interval",
		c.sampler(), span(f.Window), n, span(c.tick()), f.Cap, f.MinAnomalies)
}

// refusal says why m bad samples cannot be waited for; empty when they can.
func (c chain) refusal(m int) string {
	least := c.least()
	over := c.total(m) > c.target()
	switch {
	case c.twice():
		return fmt.Sprintf("probe %q runs every %s and is scraped every %s: backend promql judges what scrapes find, and would count one probe twice: %s",
			c.probe, span(c.interval), span(c.tick()), c.advice())
	case over && c.given && c.total(least) <= c.target():
		free := c
		free.signal.Fault.Cap = 0
		return fmt.Sprintf("cap %v lets %s take %s from fault to webhook, over the target of %s: it may be %v at most; leave it out to have it solved",
			c.signal.Fault.Cap, c.sampler(), span(c.total(m)), span(c.target()), free.solve())
	case over:
		return fmt.Sprintf("%s takes %s from fault to webhook at best, over the target of %s: %s",
			c.sampler(), span(c.total(least)), span(c.target()), c.advice()+c.patience(least))
	case c.slow():
		return fmt.Sprintf("probe %q runs every %s, and two bad samples take too much of the target of %s: shorten its interval to %s at most, or write min_anomalies: 1, and one lost packet is a fault",
			c.probe, span(c.interval), span(c.target()), span(c.target()/slowProbes))
	}
	return ""
}

// slow tells of a probe of which two bad samples take too much of the target. A
// query is no packet that may be lost: what keeps the target is quick enough.
func (c chain) slow() bool {
	return c.signal.Query == nil && c.interval*slowProbes > c.target() && c.signal.Fault.MinAnomalies > 1
}

// twice tells of scrapes that may find the same result more than once.
func (c chain) twice() bool { return c.scraped() && c.tick() < c.interval }

// patience names the other way out of a refusal. A signal of a query reads what
// others have scraped, over ranges that its meaning asks for: often a later alert
// is what is wanted.
func (c chain) patience(least int) string {
	if c.signal.Query == nil {
		return ""
	}
	seconds := (c.total(least) + time.Second - 1).Truncate(time.Second)
	return fmt.Sprintf("; or give the signal a target of its own: targets.detect of %s or more", span(seconds))
}

// met tells whether some cap meets the target.
func (c chain) met() bool {
	m := c.least()
	return m > 0 && !c.slow() && !c.twice() && c.total(m) <= c.target()
}

// advice tries ever smaller values of one setting, in whole seconds as people
// write them. It names the knob with the largest share and how far to turn it.
func (c chain) advice() string {
	var best knob
	for _, k := range c.knobs() {
		if k.share > best.share {
			best = k
		}
	}
	step := time.Second
	if best.now <= step {
		step = 100 * time.Millisecond
	}
	// Each knob is a part of the whole: none that is longer than the target helps.
	// Of targets of hours the steps are coarser, so that there are never many.
	from := min(best.now-1, c.target())
	step = max(step, (from / mostTries).Truncate(time.Second))
	for v := from.Truncate(step); v > 0; v -= step {
		try := c
		if best.set(&try, v); try.met() {
			return fmt.Sprintf("shorten %s from %s to %s or less", best.name, span(best.now), span(v))
		}
	}
	return fmt.Sprintf("shorten %s, now %s; that alone is not enough", best.name, span(best.now))
}

// knobs lists the settings of the bound. The two intervals of Prometheus are
// one knob: they are of one size nearly everywhere.
func (c chain) knobs() []knob {
	p, a := c.spec.Prometheus, c.spec.Alertmanager
	s, e := time.Duration(p.Scrape.Interval), time.Duration(p.Evaluation.Interval)
	return append(c.samplerKnobs(), []knob{
		{
			"prometheus.scrape.interval and prometheus.evaluation.interval", s + e, max(s, e),
			func(c *chain, v time.Duration) { c.spec.Prometheus = c.spec.Prometheus.faster(v) },
		},
		{
			"prometheus.scrape.timeout", p.Scrape.Wait(), p.Scrape.Wait(),
			func(c *chain, v time.Duration) { c.spec.Prometheus.Scrape.Timeout = model.Duration(v) },
		},
		{
			"prometheus.evaluation.delay", time.Duration(p.Evaluation.Delay), time.Duration(p.Evaluation.Delay),
			func(c *chain, v time.Duration) { c.spec.Prometheus.Evaluation.Delay = model.Duration(v) },
		},
		{
			"prometheus.evaluation.query_offset", time.Duration(p.Evaluation.QueryOffset), time.Duration(p.Evaluation.QueryOffset),
			func(c *chain, v time.Duration) { c.spec.Prometheus.Evaluation.QueryOffset = model.Duration(v) },
		},
		{
			"alertmanager.group_wait", time.Duration(a.GroupWait), time.Duration(a.GroupWait),
			func(c *chain, v time.Duration) { c.spec.Alertmanager.GroupWait = model.Duration(v) },
		},
		{
			"alertmanager.peer_timeout", time.Duration(a.Peers-1) * time.Duration(a.PeerTimeout), time.Duration(a.PeerTimeout),
			func(c *chain, v time.Duration) { c.spec.Alertmanager.PeerTimeout = model.Duration(v) },
		},
		{
			"alertmanager.webhook.delay", time.Duration(a.Webhook.Delay), time.Duration(a.Webhook.Delay),
			func(c *chain, v time.Duration) { c.spec.Alertmanager.Webhook.Delay = model.Duration(v) },
		},
	}...)
}

// samplerKnobs are those of the probe or of the query. The interval of a query is
// never below that of the scrape that it reads: they are one knob, too. Its timeout
// is none, since it is never above the interval.
func (c chain) samplerKnobs() []knob {
	waits := time.Duration(max(c.least(), 1)) * c.interval
	if q := c.signal.Query; q != nil {
		return []knob{
			{q.Path + ".interval and scrape_interval", c.source + waits, c.interval, func(c *chain, v time.Duration) {
				c.interval, c.timeout = v, min(v, c.timeout)
				c.source, c.sourceTimeout = min(v, c.source), min(v, c.sourceTimeout)
			}},
			{q.Path + ".scrape_timeout", c.sourceTimeout, c.sourceTimeout, func(c *chain, v time.Duration) { c.sourceTimeout = v }},
			{"the range in " + q.Path + ".expr", c.reach, c.reach, func(c *chain, v time.Duration) { c.reach = v }},
		}
	}
	return []knob{
		{fmt.Sprintf("the interval of probe %q", c.probe), waits, c.interval, func(c *chain, v time.Duration) {
			c.interval, c.timeout = v, min(v, c.timeout)
		}},
		{fmt.Sprintf("the timeout of the module of probe %q", c.probe), c.timeout, c.timeout, func(c *chain, v time.Duration) {
			c.timeout = v
		}},
	}
}

// faster is p with both intervals at most v.
func (p Prometheus) faster(v time.Duration) Prometheus {
	d := model.Duration(v)
	p.Scrape.Timeout = min(model.Duration(p.Scrape.Wait()), d)
	p.Scrape.Interval = min(p.Scrape.Interval, d)
	p.Evaluation.Interval = min(p.Evaluation.Interval, d)
	return p
}

// span writes a duration as seconds do in the tables: 49s, 10.2s.
func span(d time.Duration) string {
	return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) + "s"
}
