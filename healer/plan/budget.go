package plan

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// guardTime is what the guards of one rung may take; gatherUnknown stands for
// a gather that is read from the living servers.
const (
	guardTime     = 5 * time.Second
	gatherUnknown = 20 * time.Second
)

// Budget prints the time budget of every ladder (HEALING 15):
//
//	D + gather + Σ rungs (5s guards + steps + settle + within + undo) ≤ targets.recover
//
// d is the proved bound of detection and location, own the interval plus
// timeout of series with their own schedule. The error names the ladders whose
// first rung does not fit; a later one that does not is marked in the table.
func (b *Book) Budget(d, own time.Duration) (table string, err error) {
	var out strings.Builder
	w := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "scenario\tladder\trung\tguards\tsteps\tsettle\twithin\tundo\tneeds\tsum\tof\t")
	var wrong []error
	for _, s := range b.Scenarios {
		for _, scope := range slices.Sorted(maps.Keys(s.Ladders)) {
			sum := d + b.gather()
			for i, r := range s.Ladders[scope] {
				c := b.cost(s, r, own)
				sum += c.total()
				mark := "fits"
				if sum > s.Targets.Recover {
					mark = "does not fit"
				}
				if mark != "fits" && i == 0 {
					wrong = append(wrong, fmt.Errorf("scenario %s, ladder %s: %s", s.Name, scope, unfit(r.Plan, sum, s.Targets.Recover)))
				}
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", s.Name, scope, r.Plan,
					guardTime, c.steps, c.settle, c.within, c.undo, c.total(), sum, s.Targets.Recover, mark)
			}
		}
	}
	fmt.Fprintf(w, "sums begin with %s for detection and location and %s to gather\n", d, b.gather())
	w.Flush()
	return out.String(), errors.Join(wrong...)
}

// unfit says what does not fit and which knobs there are.
func unfit(plan string, sum, target time.Duration) string {
	return fmt.Sprintf("plan %s would end %s after the fault's start, the target is %s: shorten time-outs or within, or raise targets.recover", plan, sum, target)
}

// gather is what the budget counts for it.
func (b *Book) gather() time.Duration {
	if b.Gather == 0 {
		return gatherUnknown
	}
	return b.Gather
}

// cost is the longest that one rung may take.
type cost struct{ steps, settle, within, undo time.Duration }

// total adds the guards.
func (c cost) total() time.Duration { return guardTime + c.steps + c.settle + c.within + c.undo }

// cost adds up one rung. A proof by the service settles as that service says; of
// several services that the scenario may be about, the slowest counts.
func (b *Book) cost(s *Scenario, r Rung, own time.Duration) (c cost) {
	p := b.Plans[r.Plan]
	if p == nil {
		return c
	}
	for _, step := range p.Steps {
		c.steps += step.Timeout
	}
	for _, step := range p.Undo {
		c.undo += step.Timeout
	}
	c.within = p.Verify.Within
	c.settle = settled(p.Verify.Settle, p.Verify.SettleGiven, own)
	if p.Verify.Service && !p.Verify.SettleGiven {
		c.settle = own
		for _, v := range b.servicesOf(s) {
			c.settle = max(c.settle, settled(v.Settle, v.SettleGiven, own))
		}
	}
	return c
}

// settled adds the own schedule unless a settle was given: then it holds as it is.
func settled(settle time.Duration, given bool, own time.Duration) time.Duration {
	if given {
		return settle
	}
	return settle + own
}

// servicesOf are those that a scenario can be about: the one that it names by
// equality, else all.
func (b *Book) servicesOf(s *Scenario) []*Service {
	if v := b.Services[serviceNamed(s.match)]; v != nil {
		return []*Service{v}
	}
	return slices.Collect(maps.Values(b.Services))
}

// firstRungs reports the ladders whose first rung cannot fit even if detection
// and location took no time.
func (c *compiler) firstRungs(at string, s *Scenario) {
	for _, scope := range slices.Sorted(maps.Keys(s.Ladders)) {
		for _, r := range s.Ladders[scope][:min(1, len(s.Ladders[scope]))] {
			if sum := c.book.gather() + c.book.cost(s, r, 0).total(); sum > s.Targets.Recover {
				c.report(at+".ladders."+scope+"[0]", unfit(r.Plan, sum, s.Targets.Recover))
			}
		}
	}
}
