package healer

import (
	"fmt"
	"time"

	"github.com/onefiveten/onefiveten/healer/plan"
)

// part is what a run does in its phases: a put_back does the plan's undo, and
// its own undo is to apply the plan again.
type part struct {
	act, undo []plan.Step
	means     means
}

// partOf reads a run's part from its plan.
func partOf(r *Run, p *plan.Plan) part {
	x := part{act: p.Steps, undo: p.Undo, means: means{Atomic: p.Atomic, Undo: len(p.Undo) > 0 && p.OnFailure != "keep"}}
	if r.Purpose == purposePutBack {
		x = part{act: p.Undo, undo: p.Steps, means: means{Atomic: len(p.Undo) > 1, Undo: true, PutBack: true}}
	}
	// No undo at all is as harmless to repeat as can be.
	x.means.UndoIdempotent = true
	for _, s := range x.undo {
		x.means.UndoIdempotent = x.means.UndoIdempotent && s.Idempotent
	}
	return x
}

// script is the rules of one phase.
func (x part) script(phase string) script {
	steps := x.act
	if phase == phaseUndo {
		steps = x.undo
	}
	s := script{Phase: phase}
	for _, one := range steps {
		s.Steps = append(s.Steps, stepRule{Timeout: one.Timeout, Retries: one.Retries, Idempotent: one.Idempotent})
	}
	return s
}

// steps are the steps of one phase.
func (x part) steps(phase string) []plan.Step {
	if phase == phaseUndo {
		return x.undo
	}
	return x.act
}

// intent writes down that a step is about to be tried. From the first one on
// the run may have left something in place.
func (d desk) intent(c *Case, r *Run, phase string, m move, what string, due time.Time) {
	r.Steps = append(r.Steps, Step{Phase: phase, N: m.N, Try: m.Try, Fence: r.Claim.Fence, What: what, IntentAt: c.Now})
	r.DueAt = latest(r.DueAt, due) // a repetition by a new owner takes its time anew
	c.intend(r, d.id())
	if r.Purpose != purposePutBack {
		c.mark("acted", c.Now, "journal")
	}
	c.noteRun("", r, "step_intent", "", map[string]any{"phase": phase, "n": m.N, "try": m.Try, "what": what, "fence": r.Claim.Fence})
}

// outcome writes down what became of the try.
func (d desk) outcome(c *Case, r *Run, phase string, m move, res Result) error {
	for i := range r.Steps {
		s := &r.Steps[i]
		if s.Phase == phase && s.N == m.N && s.Try == m.Try {
			s.FinishedAt, s.Outcome, s.Output = c.Now, res.Outcome, res.Output
			if s.Outcome == "" {
				s.Outcome = InDoubt
			}
			c.noteRun("", r, "step_"+string(s.Outcome), "", map[string]any{"phase": phase, "n": m.N, "try": m.Try, "cause": res.Cause})
			return nil
		}
	}
	return fmt.Errorf("keep the outcome of step %s/%d try %d of run %s: %w", phase, m.N, m.Try, r.ID, ErrNotFound)
}

// conclude moves a run by an event and, where it ended or is unresolved, its
// mitigation and its incident with it. undone: nothing is left of it. good is
// the first sample of the streak that proves the service; zero = not proved.
func (d desk) conclude(c *Case, r *Run, on runEvent, due time.Time, undone bool, good time.Time) error {
	if err := c.stepRun(r, on, "", due, ""); err != nil {
		return err
	}
	if !r.State.ended() && r.State != runUnresolved {
		return nil
	}
	if err := c.settle(r, undone); err != nil {
		return err
	}
	if r.Purpose == purposePutBack {
		return d.concludePutBack(c, r)
	}
	return d.concludeRung(c, r, good)
}

// concludeRung moves the incident of a run of its ladder. A run that a person has
// stopped ends with people, however its proof came out. A rung that succeeded in
// something narrower than the service is done, and the ladder goes on.
func (d desk) concludeRung(c *Case, r *Run, good time.Time) error {
	if c.Incident.State != stateActing {
		return nil // people have moved it meanwhile: the run ends for itself
	}
	what := fmt.Sprintf("%s on %s ended %s", r.Plan, r.Target, r.State)
	switch r.State {
	case runUnresolved:
		return d.handOver(c, onRunUndecided, codeUnresolved, what+": what it did cannot be told", "")
	case runExpired:
		return d.handOver(c, onRunUndecided, codeApprovalExpired, what, "")
	case runRefused:
		return d.handOver(c, onRunRefused, r.Reason, what, "")
	}
	switch {
	case r.Reason == codeTaken:
		return d.handOver(c, onRunStopped, codeTaken, what+": it was stopped by a person", "")
	case r.State == runCancelled:
		return d.handOver(c, onRunStopped, r.Reason, what+": it could not begin in time", "")
	case r.State == runSucceeded && !good.IsZero():
		return d.recovered(c, onRecovered, "", good)
	case r.State == runSucceeded:
		c.Incident.Rung += d.pastRung(c, r)
		return d.toDeciding(c, onNotEnough, "")
	}
	c.Incident.Rung++
	return d.toDeciding(c, onRunFailed, "")
}

// pastRung says whether a rung is done with: not while located members of it
// have not been treated.
func (d desk) pastRung(c *Case, r *Run) int {
	p := d.book.Plans[r.Plan]
	if p == nil || !p.Member || p.Each < 2 {
		return 1
	}
	done := map[string]bool{}
	for _, x := range c.Runs {
		if x.Plan == r.Plan && x.Purpose == r.Purpose && x.counts() {
			done[x.Target] = true
		}
	}
	if len(done) < len(c.Incident.Verdict.Members) {
		return 0
	}
	return 1
}

// concludePutBack: a failed release leaves the mitigation in place, once; the
// second time, and when it cannot be told, people are asked. If people have
// taken the incident meanwhile they are told all the same.
func (d desk) concludePutBack(c *Case, r *Run) error {
	moved := c.Incident.State != stateRecovered
	switch {
	case moved && r.State == runUnresolved:
		d.say(c, "tell", string(codeUnresolved), "put_back/"+r.ID, "putting back "+r.Target+" cannot be told to have worked: resolve run "+r.ID)
	case r.State == runCancelled && r.Reason != codeTaken:
		d.say(c, "held", "", "put_back/"+r.ID, "putting back "+r.Target+" could not begin in time: it stays in place")
	case r.State == runUnresolved:
		return d.handOver(c, onReleaseFailed, codeUnresolved, "putting back "+r.Target+" cannot be told to have worked", "")
	case !moved && r.State == runFailed && d.failedReleases(c, r) > 1:
		return d.handOver(c, onReleaseFailed, codeReleaseOverdue, "putting back "+r.Target+" failed again: it stays in place", "")
	case r.State == runFailed:
		d.say(c, "held", "", "put_back/"+r.ID, "putting back "+r.Target+" made the service bad: it was applied again and stays in place")
	}
	return nil
}

// failedReleases counts the releases of a target that had to be taken back.
func (d desk) failedReleases(c *Case, r *Run) int {
	n := 0
	for _, x := range c.Runs {
		if x.Purpose == purposePutBack && x.Target == r.Target && x.Plan == r.Plan && x.State == runFailed {
			n++
		}
	}
	return n
}

// streakStart is the first sample of the newest unbroken run of good ones.
func streakStart(samples []Sample) time.Time {
	var at time.Time
	for i := len(samples) - 1; i >= 0 && samples[i].Answer == Good; i-- {
		at = samples[i].At
	}
	return at
}
