package ruletest

import (
	"fmt"
	"strconv"
	"time"
)

// worstPhase is the proof as a test: were any term of the bound missing, the alert
// would fire later than the bound says. It begins a total failure just after a
// probe began, or just after the scrape of what a query reads, which is told of it
// just too late. It lets the gauge turn just after a scrape and show just after an
// evaluation. The threshold of the fault probability stands at its cap.
func (c *scene) worstPhase() *scene {
	const moment = time.Millisecond
	c.fault.Floor = c.fault.Cap
	told := time.Duration(0) // after the fault began
	if c.asking {
		told = c.source - moment + c.sourceTakes + c.back
	}
	turns, shows := c.turns(told)
	began := c.warm() + c.next(shows+c.every) + moment - shows
	fires := began + shows - moment + c.every
	c.sourceAt = phase(began-moment, max(c.source, 1))
	c.probeAt = phase(began+told-moment, c.probe)
	c.scrapeAt = phase(began+turns-moment, c.scrape)
	c.end = began + max(c.proof.Bound, c.proof.Fault.Window) + c.every
	c.name = fmt.Sprintf("worst phase of %s: the fault begins at %s, fires at %s, bound %s",
		c.signal.Name, span(began), span(fires), span(c.proof.Bound))
	c.furnish([]Service{c.service}, nil)
	c.play(c.service.Name, "n1", roleNode, fate{})
	bad := c.play(c.service.Name, "n2", roleNode, fate{bad: from(began)})
	c.play(c.service.Name, "n3", roleNode, fate{})
	if at := c.seen(bad.fault, 1000, 0); c.err == nil && (at != fires || fires-began > c.proof.Bound) {
		c.err = fmt.Errorf("fires at %s, want %s and within %s of %s", at, fires, c.proof.Bound, began)
	}
	alerts := []string{"FaultDetected", "FaultLocated"}
	if c.signal.Mode == ticket {
		alerts = []string{"SignalFault"}
	}
	c.expect(began)
	c.expect(fires - min(c.every, time.Second))
	c.expect(fires, alerts...)
	c.expect(began+c.proof.Bound, alerts...)
	return c
}

const (
	onset     = time.Minute      // when the first fault of a case begins
	longCycle = 30 * time.Second // up to it a fault can be made to come back within 2m exactly
	coarse    = 5 * time.Second  // from this E on ten minutes are few enough evaluations
)

// stage fills the scene with a healthy service but for the targets named.
func (c *scene) stage(name string, lasts time.Duration, fates map[string]fate) (tracks map[string]track) {
	c.name = name
	c.end = c.next(lasts)
	c.furnish([]Service{c.service}, nil)
	tracks = map[string]track{}
	for _, n := range []string{"n1", "n2", "n3"} {
		tracks[n] = c.play(c.service.Name, n, roleNode, fates[n])
	}
	tracks["lb"] = c.play(c.service.Name, "lb", roleEntry, fates["lb"])
	return tracks
}

// reach is generous, since cases that last longer than they must cost little, and
// one that ends before its last check is an error. It is the longest time until a change shows in a case: bad samples at any
// threshold, or good ones.
func (c *scene) reach() time.Duration {
	if c.scraped { // bad samples count until they have left the window
		return c.proof.Bound + c.fault.Window + c.scrape + c.scrapeTakes + 2*c.every
	}
	return c.proof.Bound + time.Duration(c.fault.Clear+1)*c.probe + c.scrape + c.scrapeTakes + 2*c.every
}

// keep is keep_firing_for.
func (c *scene) keep() time.Duration { return c.service.Keep }

// overdue is the first evaluation at which a fault that began at start
// (thousandths) is as old as a target.
func (c *scene) overdue(start int64, target time.Duration) time.Duration {
	return c.next(time.Duration(start)*time.Millisecond + target)
}

// who are the labels of an alert of this scene.
func (c *scene) who(more ...label) []label {
	return append([]label{
		{"service", c.service.Name},
		{"owner", c.service.Owner},
		{"signal", c.signal.Name},
		{"severity", c.service.Severity},
		{"heal", "true"},
	}, more...)
}

// startOf reads the first bad sample of a track at a moment, and as an annotation.
func (c *scene) startOf(tr track, at time.Duration) (start int64, annotation label) {
	// A simulation that failed has no values, and its error is kept.
	if i := int(at / c.step); i < len(tr.start) {
		start = tr.start[i]
	}
	return start, label{"fault_start", fmt.Sprintf("%.3f", float64(start)/1000)}
}

// span writes a duration as seconds do in the tables: 49s, 10.2s.
func span(d time.Duration) string {
	return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) + "s"
}
