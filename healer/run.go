package healer

import "time"

// runEvent is what happens to a run (HEALING 12).
type runEvent string

const (
	runYes         runEvent = "yes"
	runNo          runEvent = "no"
	runExpires     runEvent = "expires"
	runVoid        runEvent = "void" // plan, target or verdict changed, self-recovery, abort
	runClaimed     runEvent = "claimed"
	runGuardNo     runEvent = "guard_refuses"
	runGuardWaits  runEvent = "guard_waits"
	runCancel      runEvent = "cancel" // self-recovery, abort, max_wait over
	runStepsOK     runEvent = "steps_ok"
	runRendered    runEvent = "rendered" // dry_run
	runStepUndo    runEvent = "step_failed_undo"
	runStepFailed  runEvent = "step_failed" // no undo, keep, or nothing was changed
	runDoubt       runEvent = "in_doubt"    // in doubt, lease lost, abort
	runKill        runEvent = "kill"
	runNotPutBack  runEvent = "put_back_failed"
	runGood        runEvent = "good"
	runBadUndo     runEvent = "bad_undo"
	runBad         runEvent = "bad"
	runBadUnsafe   runEvent = "bad_undo_unsafe" // in doubt or cut short, and the undo is not idempotent
	runCannotTell  runEvent = "cannot_tell"
	runLeaseLost   runEvent = "lease_lost"
	runUndone      runEvent = "undone"
	runUndoFailed  runEvent = "undo_failed"
	runResume      runEvent = "resume"
	runAbandon     runEvent = "abandon" // a person, held_max
	runPersonSays  runEvent = "resolve"
	purposeRung             = "rung"
	purposeManual           = "manual"
	purposePutBack          = "put_back"
	phaseAct                = "act"
	phaseUndo               = "undo"
)

// runCrossing is one cell of the table.
type runCrossing struct {
	from RunState
	on   runEvent
}

// runTable is the table of HEALING 12. What is not in it cannot happen.
var runTable = map[runCrossing]RunState{
	{runAwaiting, runYes}:     runReady,
	{runAwaiting, runNo}:      runRefused,
	{runAwaiting, runExpires}: runExpired,
	{runAwaiting, runVoid}:    runCancelled,

	{runReady, runClaimed}:    runRunning,
	{runReady, runGuardNo}:    runRefused,
	{runReady, runGuardWaits}: runReady,
	{runReady, runCancel}:     runCancelled,

	{runRunning, runStepsOK}:    runVerifying,
	{runRunning, runRendered}:   runSimulated,
	{runRunning, runStepUndo}:   runUndoing,
	{runRunning, runStepFailed}: runFailed,
	{runRunning, runDoubt}:      runVerifying,
	{runRunning, runKill}:       runHeld,
	{runRunning, runNotPutBack}: runUnresolved,

	{runVerifying, runGood}:       runSucceeded,
	{runVerifying, runBadUndo}:    runUndoing,
	{runVerifying, runBad}:        runFailed,
	{runVerifying, runBadUnsafe}:  runUnresolved,
	{runVerifying, runCannotTell}: runUnresolved,
	{runVerifying, runLeaseLost}:  runVerifying,

	{runUndoing, runUndone}:     runFailed,
	{runUndoing, runUndoFailed}: runUnresolved,

	{runHeld, runResume}:  runVerifying,
	{runHeld, runAbandon}: runUnresolved,

	{runUnresolved, runPersonSays}: runFailed,
}

// liveStates are those from which a run goes on.
var liveStates = []RunState{runAwaiting, runReady, runRunning, runVerifying, runUndoing, runHeld, runUnresolved}

// timers says which event the run's own timer (due_at) is, so that every live
// state ends without anybody. unresolved has none: the incident's reminders
// watch it.
var timers = map[RunState]runEvent{
	runAwaiting:  runExpires,
	runReady:     runCancel,
	runRunning:   runDoubt,
	runVerifying: runCannotTell,
	runUndoing:   runUndoFailed,
	runHeld:      runAbandon,
}

// ended reports whether a run has come to its end.
func (s RunState) ended() bool {
	switch s {
	case runSucceeded, runFailed, runCancelled, runRefused, runExpired, runSimulated:
		return true
	}
	return false
}

// stepRun moves a run over one event of the table; due is the timer of the new
// state where it lives. Locks and slots are the store's affair.
func (c *Case) stepRun(r *Run, on runEvent, why Code, due time.Time, actor string) error {
	to, known := runTable[runCrossing{r.State, on}]
	if !known {
		return &Conflict{Doing: string(on), On: "run " + r.ID, Got: string(r.State), Want: knowing(liveStates, func(s RunState) bool { return runTable[runCrossing{s, on}] != "" })}
	}
	from := r.State
	r.State, r.DueAt = to, due
	if why != "" {
		r.Reason = why
	}
	if to.ended() {
		r.EndedAt = c.Now
	}
	if to.ended() || to == runUnresolved {
		r.DueAt = time.Time{}
		r.Claim.Owner, r.Claim.LeaseUntil = "", time.Time{}
	}
	if from != to {
		c.noteRun(actor, r, "run_"+string(to), r.Reason, map[string]any{
			"from": from, "on": on, "plan": r.Plan, "target": r.Target, "fence": r.Claim.Fence,
		})
	}
	return nil
}

// run finds a run of the case; nil if there is none. The pointer is good until
// the next run is added.
func (c *Case) run(id string) *Run {
	for i := range c.Runs {
		if c.Runs[i].ID == id {
			return &c.Runs[i]
		}
	}
	return nil
}

// live finds the run that has not ended, unresolved ones too; nil = none.
func (c *Case) live() *Run {
	for i := range c.Runs {
		if !c.Runs[i].State.ended() {
			return &c.Runs[i]
		}
	}
	return nil
}

// stepRule is what the order of steps depends on.
type stepRule struct {
	Timeout    time.Duration
	Retries    int
	Idempotent bool
}

// script is what a run does in one phase, and how it may be taken back.
type script struct {
	Phase string
	Steps []stepRule
}

// course says how a phase stands.
type course string

// The ways in which a phase may stand.
const (
	courseDo      course = "do"      // try this step
	courseDone    course = "done"    // all steps are ok
	courseFailed  course = "failed"  // a step surely failed
	courseNothing course = "nothing" // it failed, and surely nothing was changed
	courseDoubt   course = "doubt"   // a step may or may not have happened
)

// move is the next thing of a phase: with courseDo the step, the number of the
// try and the time it may take.
type move struct {
	Course  course
	N, Try  int
	Timeout time.Duration
}

// next reads the steps of a run and says what comes now. fence is the claim
// under which it is asked: an intent of an older claim without outcome is in
// doubt, and whoever finds it may repeat it afresh if the step is idempotent.
func (s script) next(r *Run, fence int64, now time.Time) move {
	for n, rule := range s.Steps {
		tries := r.tries(s.Phase, n)
		if len(tries) == 0 {
			return move{Course: courseDo, N: n, Try: 1, Timeout: rule.Timeout}
		}
		last := tries[len(tries)-1]
		if last.Outcome == OK {
			continue
		}
		return rule.after(tries, n, last.Outcome == "" && last.Fence < fence, now)
	}
	return move{Course: courseDone}
}

// after says what follows the last, unsuccessful try of a step.
func (rule stepRule) after(tries []Step, n int, abandoned bool, now time.Time) move {
	last := tries[len(tries)-1]
	if last.Outcome == Failed {
		return move{Course: courseFailed, N: n}
	}
	left := rule.Timeout - now.Sub(tries[0].IntentAt)
	if abandoned {
		left = rule.Timeout
	}
	again := len(tries) <= rule.Retries && left > 0
	if again && (last.Outcome == Transient || rule.Idempotent) {
		return move{Course: courseDo, N: n, Try: len(tries) + 1, Timeout: left}
	}
	if last.Outcome != Transient {
		return move{Course: courseDoubt, N: n}
	}
	for _, t := range tries {
		if t.Outcome != Transient || n > 0 {
			return move{Course: courseFailed, N: n}
		}
	}
	return move{Course: courseNothing, N: n}
}

// standing says how a phase was left: done, cut short, failed, or in doubt. An
// intent without outcome is in doubt, whoever stated it.
func (s script) standing(r *Run) course {
	for n := range s.Steps {
		tries := r.tries(s.Phase, n)
		if len(tries) == 0 {
			return courseDo
		}
		switch tries[len(tries)-1].Outcome {
		case OK:
		case Failed, Transient:
			return courseFailed
		default:
			return courseDoubt
		}
	}
	return courseDone
}

// tries are the tries of one step, in order.
func (r *Run) tries(phase string, n int) []Step {
	var found []Step
	for _, s := range r.Steps {
		if s.Phase == phase && s.N == n {
			found = append(found, s)
		}
	}
	return found
}

// begun reports whether the run has stated any intent.
func (r *Run) begun() bool { return len(r.Steps) > 0 }

// means is what a run may do when its proof is not good.
type means struct {
	Atomic         bool
	Undo           bool // there is an undo and on_failure asks for it
	UndoIdempotent bool
	PutBack        bool
}

// afterProof says what the end of a proof means for a run (HEALING 9, 10). at
// is how its act phase stands: done, cut short, or in doubt. Whether an undo of
// a put_back happened cannot be told by the service's proof, hence one that is
// not done never counts as done. A run that never began has nothing to undo,
// be the proof good or bad; where it cannot be told, people look.
func (m means) afterProof(answer Answer, at course, begun bool) runEvent {
	cut := at != courseDone
	switch {
	case answer == CannotTell:
		return runCannotTell
	case !begun && (answer == Bad || m.PutBack || m.Atomic):
		return runBad
	case answer == Bad:
		return m.afterBad(m.Atomic && cut, at == courseDoubt)
	case m.PutBack && cut:
		return runBadUnsafe
	case m.Atomic && cut:
		return m.afterBad(true, at == courseDoubt)
	}
	return runGood
}

// afterBad says how a run that did not succeed is taken back. An undo after
// something that may not have happened must be harmless to do for nothing.
func (m means) afterBad(cutShort, doubt bool) runEvent {
	switch {
	case !m.Undo && cutShort:
		return runBadUnsafe
	case !m.Undo:
		return runBad
	case (doubt || cutShort) && !m.UndoIdempotent:
		return runBadUnsafe
	}
	return runBadUndo
}

// afterFailure says what a step that surely failed means for a run.
func (m means) afterFailure(at course) runEvent {
	switch {
	case m.PutBack:
		return runNotPutBack
	case at == courseNothing || !m.Undo:
		return runStepFailed
	}
	return runStepUndo
}
