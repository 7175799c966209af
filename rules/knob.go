package rules

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/common/model"

	"github.com/onefiveten/onefiveten/sigma"
)

// mostTries is about how many values of a knob are tried for an advice.
const mostTries = 10_000

const floorKnob = "fault.floor"

// tenth is the least step of a time that is told.
const tenth = 100 * time.Millisecond

// leastInterval is the shortest one that the configuration takes of a probe, a query,
// a scrape or an evaluation. Below it, ranges that end in 500ms would end on a sample.
const leastInterval = time.Second

// knob is one setting that a bound can be shortened with. Its values are whole
// numbers: nanoseconds, hundredths or samples.
type knob struct {
	verb, name     string
	now, low, step int64 // low is the least value that the configuration takes
	time, ticks    bool  // a length of time; one at which samples are taken
	help           time.Duration
	write          func(v int64) string
	set            func(c *chain, v int64)
	with           func(c *chain, v int64) []string // what must not stay above v
}

// apply turns the knob, and names what had to be turned with it.
func (k knob) apply(c *chain, v int64) []string {
	k.set(c, v)
	if k.with == nil {
		return nil
	}
	return k.with(c, v)
}

// length is a knob that is a length of time, in whole seconds or, where it is no
// longer than one, in tenths.
func length(name string, now, low time.Duration, set func(c *chain, v time.Duration)) knob {
	step := time.Second
	if now <= step {
		step = tenth
	}
	return knob{
		verb: "shorten", name: name, now: int64(now), low: int64(low), step: int64(step), time: true,
		write: func(v int64) string { return span(time.Duration(v)) },
		set:   func(c *chain, v int64) { set(c, time.Duration(v)) },
	}
}

// ticking is a knob that is the interval of samples.
func ticking(k knob, with func(c *chain, v time.Duration) []string) knob {
	k.ticks = true
	k.with = func(c *chain, v int64) []string { return with(c, time.Duration(v)) }
	return k
}

// knobs lists the settings of the bound that can be turned down at all.
func (c chain) knobs() []knob {
	all := slices.Concat(c.samplerKnobs(), c.faultKnobs(), c.chainKnobs())
	return slices.DeleteFunc(all, func(k knob) bool {
		// A floor does nothing where the cap is written by hand and stays.
		return k.now <= k.low || c.given && k.name == floorKnob
	})
}

// samplerKnobs are those of the probe or of the query. The interval of a query is
// never below that of the scrape that it reads: they are one knob. Its timeout is
// none, since it is that of all queries.
func (c chain) samplerKnobs() []knob {
	low := max(leastInterval, c.signal.Fault.Window/sigma.MaxSlots)
	if q := c.signal.Query; q != nil {
		return []knob{
			ticking(length(q.Path+".interval and scrape_interval", c.interval, low, func(c *chain, v time.Duration) {
				c.interval, c.source = v, min(v, c.source)
			}), func(c *chain, v time.Duration) (with []string) {
				return slices.Concat(lower(&c.sourceTimeout, v, "scrape_timeout"), lower(&c.timeout, v, "prometheus.timeout"))
			}),
			length(q.Path+".scrape_timeout", c.sourceTimeout, tenth, func(c *chain, v time.Duration) { c.sourceTimeout = v }),
			length("the range in "+q.Path+".expr", c.reach, time.Second, func(c *chain, v time.Duration) { c.reach = v }),
		}
	}
	overlaps := c.timeout > c.interval // then one probe need not end before the next
	return []knob{
		ticking(length(fmt.Sprintf("the interval of probe %q", c.probe), c.interval, low, func(c *chain, v time.Duration) { c.interval = v }),
			func(c *chain, v time.Duration) []string {
				if overlaps {
					return nil
				}
				return lower(&c.timeout, v, "the timeout of its module")
			}),
		length(fmt.Sprintf("the timeout of the module of probe %q", c.probe), c.timeout, tenth, func(c *chain, v time.Duration) { c.timeout = v }),
	}
}

// lower keeps a time at most at v, and names it where it was above.
func lower(d *time.Duration, v time.Duration, name string) []string {
	if *d <= v {
		return nil
	}
	*d = v
	return []string{name}
}

// faultKnobs are what asks for many samples.
func (c chain) faultKnobs() []knob {
	f, least := c.signal.Fault, int64(1)
	if c.signal.Query == nil {
		least = 2 // one lost packet would be a fault: nobody is talked into that
	}
	hundredths := func(v int64) string { return strconv.FormatFloat(float64(v)/capSteps, 'f', -1, 64) }
	return []knob{
		{
			// A floor that is no hundredth is told as it is.
			verb: "lower", name: floorKnob, now: int64(f.Floor*capSteps + 1 - 1e-9), step: 1,
			write: func(v int64) string {
				if float64(v) >= f.Floor*capSteps {
					return strconv.FormatFloat(f.Floor, 'f', -1, 64)
				}
				return hundredths(v)
			},
			set: func(c *chain, v int64) { c.signal.Fault.Floor = float64(v) / capSteps },
		},
		{
			verb: "lower", name: "fault.min_anomalies", now: int64(f.MinAnomalies), low: least, step: 1,
			write: func(v int64) string { return strconv.FormatInt(v, 10) },
			set:   func(c *chain, v int64) { c.signal.Fault.MinAnomalies = int(v) },
		},
	}
}

// chainKnobs are what comes after the samples. The two intervals of Prometheus are
// one knob: they are of one size nearly everywhere, and both stay above the delay
// of an evaluation.
func (c chain) chainKnobs() []knob {
	p, a := c.spec.Prometheus, c.spec.Alertmanager
	s, e := time.Duration(p.Scrape.Interval), time.Duration(p.Evaluation.Interval)
	both := ticking(length("prometheus.scrape.interval and prometheus.evaluation.interval", max(s, e), max(leastInterval, time.Duration(p.Evaluation.Delay)+tenth), func(c *chain, v time.Duration) {
		p := &c.spec.Prometheus
		p.Scrape.Interval, p.Evaluation.Interval = min(p.Scrape.Interval, model.Duration(v)), min(p.Evaluation.Interval, model.Duration(v))
	}), func(c *chain, v time.Duration) []string {
		return lower((*time.Duration)(&c.spec.Prometheus.Scrape.Timeout), v, "prometheus.scrape.timeout")
	})
	both.ticks = c.scraped()
	return []knob{
		both,
		length("prometheus.scrape.timeout", p.Scrape.Wait(), tenth, func(c *chain, v time.Duration) { c.spec.Prometheus.Scrape.Timeout = model.Duration(v) }),
		length("prometheus.evaluation.delay", time.Duration(p.Evaluation.Delay), 0, func(c *chain, v time.Duration) { c.spec.Prometheus.Evaluation.Delay = model.Duration(v) }),
		length("prometheus.evaluation.query_offset", time.Duration(p.Evaluation.QueryOffset), 0, func(c *chain, v time.Duration) { c.spec.Prometheus.Evaluation.QueryOffset = model.Duration(v) }),
		length("alertmanager.group_wait", time.Duration(a.GroupWait), 0, func(c *chain, v time.Duration) { c.spec.Alertmanager.GroupWait = model.Duration(v) }),
		length("alertmanager.peer_timeout", time.Duration(a.PeerTimeout), 0, func(c *chain, v time.Duration) { c.spec.Alertmanager.PeerTimeout = model.Duration(v) }),
		length("alertmanager.webhook.delay", time.Duration(a.Webhook.Delay), 0, func(c *chain, v time.Duration) { c.spec.Alertmanager.Webhook.Delay = model.Duration(v) }),
	}
}

// span writes a duration as seconds do in the tables: 49s, 10.2s.
func span(d time.Duration) string {
	return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) + "s"
}
