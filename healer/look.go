package healer

import (
	"time"

	"github.com/onefiveten/onefiveten/healer/plan"
)

// watch is what the proof of an incident's service has answered while nothing
// was done to it: streaks of good or bad, and where the newest one began.
type watch struct {
	Good, Bad bool // unbroken for the whole of watchFor
	Since     time.Time
}

// How an incident's proof is watched while no run verifies it. A look comes every
// look, and later by as long as the asking takes: that is no gap.
const (
	watchFor   = 20 * time.Second
	watchEvery = look + askWithin
)

// judgeWatch reads the samples of a watch, oldest first.
func judgeWatch(samples []Sample) watch {
	w := watch{Good: unbroken(samples, Good, watchFor, watchEvery), Bad: unbroken(samples, Bad, watchFor, watchEvery)}
	for i := len(samples) - 1; i >= 0 && samples[i].Answer == samples[len(samples)-1].Answer; i-- {
		w.Since = samples[i].At
	}
	return w
}

// targets are the clocks of the incident's scenario, else those of the book.
func (d desk) targets(c *Case) plan.Targets {
	if s := d.known(c.Incident.Scenario); s != nil {
		return s.Targets
	}
	return d.book.Targets
}

// escalate says who hears of the incident: as its scenario says, else the book.
func (d desk) escalate(c *Case) plan.Escalate {
	if s := d.known(c.Incident.Scenario); s != nil && len(s.Escalate.To) > 0 {
		return s.Escalate
	}
	return d.book.Escalate
}

// pause is the time between the first location and the first choice.
func (d desk) pause() time.Duration {
	if d.book.Gather > 0 {
		return d.book.Gather
	}
	return d.gather
}

// look is the timer of an incident that is neither deciding nor acting: it sees
// what has come and what has passed (HEALING 4).
func (d desk) look(c *Case, w watch) error {
	d.heard(c)
	switch c.Incident.State {
	case stateLocating:
		return d.lookLocating(c, w)
	case stateWaiting:
		return d.lookWaiting(c, w)
	case stateRecovered:
		return d.lookRecovered(c, w)
	case stateWithHuman:
		return d.lookWithHuman(c, w)
	}
	return nil
}

// lookLocating waits for the location, and then for its companions: of three bad
// members the first comes alone, and must not be treated as if it were the only one.
func (d desk) lookLocating(c *Case, w watch) error {
	if len(c.triggers(c.Now)) == 0 && w.Good {
		return d.recovered(c, onSelfRecovered, codeSelfRecovered, w.Since)
	}
	// Gathering holds beyond the locate deadline, too: a fault that was located late
	// has as many companions as any other.
	until := d.readyToChoose(c)
	if until.IsZero() {
		until = d.locateDeadline(c)
	}
	if !until.After(c.Now) {
		return d.toDeciding(c, onLocated, "")
	}
	return c.step(onLook, "", earliest(c.Now.Add(look), until), "")
}

// locateDeadline is when a fault of this round should have been located.
func (d desk) locateDeadline(c *Case) time.Time {
	return c.instant("fault_start").Add(d.targets(c).Locate)
}

// readyToChoose is when what is known has been gathered; zero while nothing is
// located. Triggers that fit no scenario wait for others as long.
func (d desk) readyToChoose(c *Case) time.Time {
	s, _ := d.scenario(c, c.Now)
	if s == nil {
		if received := c.instant("received"); !received.IsZero() {
			return received.Add(d.pause())
		}
		return time.Time{}
	}
	if s.Scope == string(scopeService) {
		return c.Now
	}
	if located := c.instant("located"); !located.IsZero() {
		return located.Add(d.pause())
	}
	return time.Time{}
}

// toDeciding begins a rung: it may wait for max_wait altogether.
func (d desk) toDeciding(c *Case, on event, why Code) error {
	if err := c.step(on, why, c.Now, ""); err != nil {
		return err
	}
	c.Incident.WaitUntil = c.Now.Add(d.book.MaxWait)
	return nil
}

// lookWaiting judges the rung anew at each look, and ends with the patience.
func (d desk) lookWaiting(c *Case, w watch) error {
	if len(c.triggers(c.Now)) == 0 && w.Good {
		return d.recovered(c, onSelfRecovered, codeSelfRecovered, w.Since)
	}
	if !c.Incident.WaitUntil.After(c.Now) {
		return d.handOver(c, onPatience, c.Incident.Reason, "it waited as long as max_wait allows", "")
	}
	return c.step(onLook, c.Incident.Reason, c.Now, "")
}

// lookRecovered watches whether the fault comes back. A drained node goes on firing:
// only the proof begins another round.
func (d desk) lookRecovered(c *Case, w watch) error {
	d.remindHeld(c)
	live := c.live()
	if w.Bad && live == nil {
		return d.relapse(c, w.Since)
	}
	if live == nil && d.quiet(c) {
		return c.step(onQuiet, codeQuiet, time.Time{}, "")
	}
	return c.step(onLook, c.Incident.Reason, c.Now.Add(look), "")
}

// quiet reports whether the incident may be closed: no open episode, no
// mitigation, and both for as long as quiet_for.
func (d desk) quiet(c *Case) bool {
	// Quiet begins with the last of: proof, resolved alert, released mitigation.
	since := c.instant("verified")
	for _, e := range c.Episodes {
		if e.ClosedAt.IsZero() {
			return false
		}
		since = latest(since, e.ClosedAt)
	}
	for _, m := range c.Mitigations {
		if m.State != mitReleased {
			return false
		}
		since = latest(since, m.ReleasedAt)
	}
	return !since.Add(d.book.QuietFor).After(c.Now)
}

// relapse begins the next round at the first bad sample. An incident that was
// recovered for longer than reopen_within gives its open episodes back instead,
// and they open its successor; without an open trigger there would be none.
func (d desk) relapse(c *Case, since time.Time) error {
	// An episode of a closed incident opens nothing. Given back it is an orphan, and
	// the joiner opens the successor of it, linked by previous.
	if c.Now.Sub(c.instant("verified")) > d.book.ReopenWithin && len(c.triggers(c.Now)) > 0 {
		for i := range c.Episodes {
			if c.Episodes[i].ClosedAt.IsZero() {
				c.Episodes[i].Incident = ""
			}
		}
		return c.step(onClosed, codeSuperseded, time.Time{}, "")
	}
	if err := d.toDeciding(c, onRelapse, ""); err != nil {
		return err
	}
	in := &c.Incident
	in.Round, in.Rung, in.Verdict, in.Scope = in.Round+1, 0, Verdict{}, ""
	c.mark("fault_start", since, "proof")
	c.mark("first_bad_sample", since, "proof")
	d.heard(c)
	c.note("", "relapse", "", time.Time{}, map[string]any{"round": in.Round, "since": stamp(since)})
	return nil
}

// lookWithHuman goes on watching and reminding: people may have healed it without
// a word to us.
func (d desk) lookWithHuman(c *Case, w watch) error {
	d.remindHeld(c)
	if w.Good && c.live() == nil {
		return d.recovered(c, onProofGood, c.Incident.Reason, w.Since)
	}
	next, in := c.Now.Add(look), &c.Incident
	if !in.WaitUntil.IsZero() && !in.WaitUntil.After(c.Now) {
		d.remind(c)
		in.WaitUntil = c.Now.Add(d.remindEvery(c))
	}
	return c.step(onReminder, in.Reason, next, "")
}

// recovered stops the clocks: the proof has held since its first good sample.
func (d desk) recovered(c *Case, on event, why Code, since time.Time) error {
	if err := c.step(on, why, c.Now.Add(look), ""); err != nil {
		return err
	}
	c.mark("recovered", since, "proof")
	c.mark("verified", c.Now, "proof")
	for i := range c.Runs { // what was queued for this fault is needless now
		r := &c.Runs[i]
		if (r.State == runReady || r.State == runAwaiting) && r.Purpose != purposePutBack {
			on := runCancel
			if r.State == runAwaiting {
				on = runVoid
			}
			if err := c.stepRun(r, on, codeSelfRecovered, time.Time{}, ""); err != nil {
				return err
			}
		}
	}
	return nil
}
