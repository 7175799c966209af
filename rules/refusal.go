package rules

import (
	"fmt"
	"strings"
	"time"

	"github.com/onefiveten/onefiveten/sigma"
)

// never explains a fault that no number of samples can show.
func (c chain) never() string {
	f, what := c.signal.Fault, "floor"
	if c.given {
		what = "cap"
	}
	text := fmt.Sprintf("%s can never fire: a fault_window of %s holds %d whole intervals of %s, and %s %v with min_anomalies %d needs more bad samples in a row: ",
		c.sampler(), span(f.Window), f.Slots(c.tick()), span(c.tick()), what, f.Cap, f.MinAnomalies)
	if c.given && c.free().met() {
		return text + c.lowerCap()
	}
	return text + c.wider() + c.waysOut()
}

// wider names the least fault window that is enough by itself; empty where none is.
func (c chain) wider() string {
	try := c.free()
	for n := c.signal.Fault.Slots(c.tick()) + 1; !c.given && n <= sigma.MaxSlots; n++ {
		try.signal.Fault.Window = time.Duration(n) * c.tick()
		if try.met() {
			return fmt.Sprintf("widen fault_window from %s to %s; or ", span(c.signal.Fault.Window), span(try.signal.Fault.Window))
		}
		if try.least() > 0 {
			break
		}
	}
	return ""
}

// refusal says why m bad samples cannot be waited for; empty when they can. Each
// way out that it names is enough by itself, unless it says that it is not.
func (c chain) refusal(m int) string {
	over := c.total(m) > c.target()
	switch {
	case c.twice():
		return fmt.Sprintf("probe %q runs every %s and is scraped every %s: backend promql judges what scrapes find, and would count one probe twice: %s",
			c.probe, span(c.interval), span(c.tick()), c.waysOut())
	case over && c.given && c.free().met():
		return fmt.Sprintf("cap %v lets %s take %s from fault to webhook, over the target of %s: %s",
			c.signal.Fault.Cap, c.sampler(), span(c.total(m)), span(c.target()), c.lowerCap())
	case over:
		return fmt.Sprintf("%s takes %s from fault to webhook at best, over the target of %s: %s",
			c.sampler(), span(c.shortest()), span(c.target()), c.waysOut())
	case c.slow():
		return fmt.Sprintf("%s gives a sample every %s, and two bad ones take too much of the target of %s: %s; or write min_anomalies: 1, and one lost packet is a fault",
			c.sampler(), span(c.tick()), span(c.target()), c.waysOut())
	}
	return ""
}

// free is the chain with a cap that is to be solved.
func (c chain) free() chain {
	c.given, c.signal.Fault.Cap = false, 0
	return c
}

// fixed is the chain with the cap that was written by hand as the only one.
func (c chain) fixed() chain {
	c.signal.Fault.Floor = c.signal.Fault.Cap
	return c
}

// lowerCap names the largest cap that may be written by hand, one for all probes of
// the service.
func (c chain) lowerCap() string {
	highest := 1.
	for _, one := range c.spec.chains(c.service, c.signal) {
		if one = one.free(); one.met() {
			highest = min(highest, one.largest(capSteps-1))
		}
	}
	return fmt.Sprintf("it may be %v at most; leave it out to have it solved", highest)
}

// waysOut names what leads out of a refusal. Advice reckons with the least cap that
// there is. A cap that was written by hand allows no lower one: it is kept where
// something else is the reason and one setting mends it, and goes first otherwise.
func (c chain) waysOut() string {
	if c.given && c.total(c.least()) <= c.target() {
		if text, enough := c.fixed().advice(); enough {
			return text
		}
	}
	if c.given {
		return "leave the cap out, and " + c.free().waysOut()
	}
	text, enough := c.advice()
	switch later := c.later(); {
	case later == "" || c.signal.Query == nil && enough:
	case c.signal.Query == nil:
		text += "; or promise less: " + later
	default:
		// A signal of a query reads what others have scraped, over ranges that its
		// meaning asks for: often a later alert is what is wanted.
		text += "; or give the signal a target of its own: " + later
	}
	return text
}

// later is the least target that the chain meets as it stands, in whole seconds;
// empty when there is none.
func (c chain) later() string {
	if c.least() == 0 || c.twice() {
		return ""
	}
	least := c.shortest()
	if c.slow() {
		least = max(least, c.tick()*slowProbes)
	}
	return fmt.Sprintf("targets.detect of %s or more", span((least + time.Second - 1).Truncate(time.Second)))
}

// shortest is T with as few bad samples as any cap allows; where none is enough,
// with all that the window holds and one more.
func (c chain) shortest() time.Duration {
	m := c.least()
	if m == 0 {
		m = c.signal.Fault.Slots(c.tick()) + 1
	}
	return c.total(m)
}

// slow tells of a probe of which two bad samples take too much of the target. A
// query is no packet that may be lost: what keeps the target is quick enough.
func (c chain) slow() bool {
	return c.signal.Query == nil && c.tick()*slowProbes > c.target() && c.signal.Fault.MinAnomalies > 1
}

// twice tells of scrapes that may find the same result more than once.
func (c chain) twice() bool { return c.scraped() && c.tick() < c.interval }

// met tells whether some cap meets the target.
func (c chain) met() bool {
	m := c.least()
	return m > 0 && !c.slow() && !c.twice() && c.total(m) <= c.target()
}

// advice names the knob that helps most among those that are enough by themselves,
// and how far to turn it. Where none is enough it names the one that helps most.
func (c chain) advice() (text string, enough bool) {
	var best, most knob
	var turned int64
	for _, k := range c.knobs() {
		if k.help = c.help(k); k.help > most.help {
			most = k
		}
		if v, ok := c.turn(k); ok && (!enough || k.help > best.help) {
			best, turned, enough = k, v, true
		}
	}
	if !enough {
		return fmt.Sprintf("%s %s, now %s; that alone is not enough", most.verb, most.name, most.write(most.now)), false
	}
	text = fmt.Sprintf("%s %s from %s to %s", best.verb, best.name, best.write(best.now), best.write(turned))
	if c.below(best, turned) {
		text += " or less"
	}
	try := c
	if with := best.apply(&try, turned); len(with) > 0 {
		text += ", and " + strings.Join(with, " and ") + " with it"
	}
	return text, true
}

// help is how much shorter the shortest bound is when the knob alone is turned as
// far as it goes.
func (c chain) help(k knob) time.Duration {
	try := c
	k.set(&try, k.low)
	return c.shortest() - try.shortest()
}

// turn finds the largest value of a knob that is enough. Values are as people write
// them: whole seconds or hundredths, and tenths of a second where no whole one is.
func (c chain) turn(k knob) (v int64, ok bool) {
	if !k.ticks && !c.enough(k, k.low) {
		return 0, false // the bound only grows with it
	}
	if v, ok = c.turnBy(k, k.step); !ok && k.time {
		return c.turnBy(k, min(k.step, int64(tenth)))
	}
	return v, ok
}

// turnBy is turn by steps of one size. Of times of hours they are longer, so that
// there are never many.
func (c chain) turnBy(k knob, step int64) (v int64, ok bool) {
	from := k.now - 1
	if k.time { // none that is longer than the target helps
		from = min(from, int64(c.target()))
	}
	step = max(step, from/mostTries/step*step)
	for v := from / step * step; v >= k.low; v -= step {
		if c.enough(k, v) {
			return v, true
		}
	}
	return 0, false
}

// enough tells whether the target is met with the knob at v.
func (c chain) enough(k knob, v int64) bool {
	k.apply(&c, v)
	return c.met()
}

// below tells whether all values under one that is enough are enough, too: of an
// interval the number of samples that a window holds jumps. Between two jumps the
// bound grows with the interval, so that the ends are all that need be tried.
func (c chain) below(k knob, v int64) bool {
	if v <= k.low {
		return false
	}
	window := int64(c.signal.Fault.Window)
	for n := window/v + 1; k.ticks && n <= window/k.low; n++ {
		if !c.enough(k, window/n) {
			return false
		}
	}
	return c.enough(k, k.low)
}
