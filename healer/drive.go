package healer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/go-kit/log/level"

	"github.com/onefiveten/onefiveten/healer/plan"
)

// driver carries one run to its end, step after step, as long as the claim is
// its own. It keeps nothing that the journal does not have but the service's
// samples beside a narrower proof.
type driver struct {
	e            *Engine
	incident, id string
	claim        Claim
	until        time.Time // end of the lease by our own clock
	resumed      bool      // taken over from an owner that is gone

	plan    *plan.Plan
	service *plan.Service
	before  *Case    // of the incident that made what is put back, if that is another one
	watched []Sample // the service's proof beside a narrower one
	own     bool     // the narrower proof was good
}

// claimRuns takes over runs that nobody drives.
func (e *Engine) claimRuns(ctx context.Context) error {
	for ctx.Err() == nil {
		until := time.Now().Add(e.Lease)
		incident, run, claim, err := e.Store.ClaimRun(ctx, e.Owner, e.Lease)
		if err != nil || run == "" {
			return err
		}
		e.start(ctx, incident, run, claim, until, true)
	}
	return nil
}

// start drives a run beside everything else.
func (e *Engine) start(ctx context.Context, incident, run string, claim Claim, until time.Time, resumed bool) {
	v := &driver{e: e, incident: incident, id: run, claim: claim, until: until, resumed: resumed}
	e.work.Go(func() {
		err := v.drive(ctx)
		if err != nil && ctx.Err() == nil {
			level.Error(e.Logger).Log("msg", "a run is driven no further; whoever claims it next goes on", "run", run, "err", err)
		}
		e.kick()
	})
}

// drive goes on until the run waits for somebody else or has ended. Trouble of
// the store is tried again while the lease lasts.
func (v *driver) drive(ctx context.Context) error {
	for ctx.Err() == nil {
		done, err := v.once(ctx)
		switch {
		case done:
			return err
		case err == nil:
		case errors.Is(err, ErrLost), !time.Now().Before(v.until):
			return err
		default:
			level.Warn(v.e.Logger).Log("msg", "a step of a run met trouble and is tried again", "run", v.id, "err", err)
			pauseFor(ctx, time.Second)
		}
	}
	return nil
}

// once does the next thing of the run.
func (v *driver) once(ctx context.Context) (done bool, err error) {
	c, err := v.e.Store.Read(ctx, v.incident)
	if err != nil {
		return false, err
	}
	r := c.run(v.id)
	if r == nil {
		return true, fmt.Errorf("drive run %s: %w", v.id, ErrNotFound)
	}
	if v.plan == nil {
		if v.before, err = v.e.madeBefore(ctx, c, r); err != nil {
			return false, err
		}
		if v.plan, v.service, err = plan.FromText(r.PlanText); err != nil {
			return v.unreadable(ctx, r.State, err)
		}
	}
	if r.State.ended() || r.State == runUnresolved {
		return true, nil
	}
	// Deadlines are judged on waking up, before anything else is done.
	if !r.DueAt.After(c.Now) {
		return false, v.timeUp(ctx, r.State)
	}
	return v.proceed(ctx, c, r)
}

// proceed does what the state of a run asks for.
func (v *driver) proceed(ctx context.Context, c *Case, r *Run) (done bool, err error) {
	switch r.State {
	case runReady:
		return v.begin(ctx)
	case runRunning:
		return false, v.act(ctx, c, r)
	case runVerifying:
		return false, v.verify(ctx, c, r)
	case runUndoing:
		return false, v.undo(ctx, c, r)
	}
	return true, nil // awaiting approval and held wait for people or their timer
}

// unreadable ends a run whose kept plan this program does not understand, as if
// its time were up: nothing can be done or verified by it, and without an end
// its locks and its incident would wait for ever.
func (v *driver) unreadable(ctx context.Context, in RunState, cause error) (done bool, err error) {
	event, lives := timers[in]
	if !lives {
		return true, nil
	}
	level.Error(v.e.Logger).Log("msg", "the plan of a run cannot be read: the run is ended by people", "run", v.id, "state", string(in), "err", cause)
	return false, v.change(ctx, func(c *Case, r *Run) error {
		if r.State != in {
			return nil
		}
		return v.e.desk().conclude(c, r, event, c.Now.Add(runSlack), false, time.Time{})
	})
}

// change is one change of the run under the claim.
func (v *driver) change(ctx context.Context, change func(c *Case, r *Run) error) error {
	// A stop of the process must not keep an outcome from being written.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeWithin)
	defer cancel()
	return v.e.update(ctx, v.incident, v.id, v.claim, func(c *Case) error {
		r := c.run(v.id)
		if r == nil {
			return ErrNotFound
		}
		return change(c, r)
	})
}

// storeWithin bounds one write of a driver that is being stopped.
const storeWithin = 10 * time.Second

// timeUp lets the run's own timer decide.
func (v *driver) timeUp(ctx context.Context, in RunState) error {
	return v.change(ctx, func(c *Case, r *Run) error {
		if r.State != in || r.DueAt.After(c.Now) {
			return nil
		}
		return v.e.desk().conclude(c, r, timers[r.State], c.Now.Add(v.proof(r).whole()), false, time.Time{})
	})
}

// begin turns a queued run into a running one, if the guards that hold for it
// allow.
func (v *driver) begin(ctx context.Context) (done bool, err error) {
	err = v.tryBegin(ctx, false)
	if errors.Is(err, ErrTaken) {
		err = v.tryBegin(ctx, true)
	}
	return err == nil && v.waiting(ctx), err
}

// waiting reports whether the run has been put back into the queue.
func (v *driver) waiting(ctx context.Context) bool {
	c, err := v.e.Store.Read(ctx, v.incident)
	return err == nil && c.run(v.id) != nil && c.run(v.id).State == runReady
}

// tryBegin is one try to begin. A wait gives the claim back and leaves a decision;
// without that every worker would meet the same head of the queue.
func (v *driver) tryBegin(ctx context.Context, taken bool) error {
	return v.change(ctx, func(c *Case, r *Run) error {
		if r.State != runReady {
			return nil
		}
		d := v.e.desk()
		k := &choice{Plan: v.plan, Service: v.service, Target: r.Target, Rung: plan.Rung{Plan: r.Plan}}
		why, err := judgeLock(d, c, k, facts{Taken: taken})
		if err == nil && why.Verb == "" {
			why, err = c.full(d.slots(k))
		}
		if err != nil {
			return err
		}
		if why.Verb != "" {
			d.record(c, k, why)
			r.NotBefore = why.Next
			r.Claim.Owner, r.Claim.LeaseUntil = "", time.Time{}
			return c.stepRun(r, runGuardWaits, why.Code, r.DueAt, "")
		}
		r.Locks, r.Slots = locks(r.Target, c.Incident.Service), d.slots(k)
		v.resumed = false
		return c.stepRun(r, runClaimed, codeManual, c.Now.Add(actTime(partOf(r, v.plan).act)), "")
	})
}

// act carries out the next step, or says how the steps have ended.
func (v *driver) act(ctx context.Context, c *Case, r *Run) error {
	x := partOf(r, v.plan)
	m := x.script(phaseAct).next(r, v.claim.Fence, c.Now)
	switch {
	case r.Reason == codeTaken:
		return v.conclude(ctx, runRunning, runDoubt, false)
	case m.Course == courseDone:
		return v.conclude(ctx, runRunning, runStepsOK, false)
	case m.Course == courseFailed, m.Course == courseNothing:
		return v.conclude(ctx, runRunning, x.means.afterFailure(m.Course), m.Course == courseNothing)
	case m.Course == courseDoubt, v.resumed && m.Try == 1 && r.begun():
		return v.conclude(ctx, runRunning, runDoubt, false)
	case m.N > 0 && m.Try == 1 && !v.plan.Atomic && r.Purpose != purposePutBack && len(c.triggers(c.Now)) == 0:
		return v.conclude(ctx, runRunning, runStepsOK, false) // the fault has gone: later steps are not needed
	}
	return v.step(ctx, c, r, phaseAct, m)
}

// undo takes back what was done, with the undo's own steps.
func (v *driver) undo(ctx context.Context, c *Case, r *Run) error {
	m := partOf(r, v.plan).script(phaseUndo).next(r, v.claim.Fence, c.Now)
	switch m.Course {
	case courseDo:
		return v.step(ctx, c, r, phaseUndo, m)
	case courseDone:
		return v.conclude(ctx, runUndoing, runUndone, true)
	}
	return v.conclude(ctx, runUndoing, runUndoFailed, false)
}

// conclude moves the run by an event from the state that it was seen in.
func (v *driver) conclude(ctx context.Context, from RunState, on runEvent, undone bool) error {
	return v.change(ctx, func(c *Case, r *Run) error {
		if r.State != from {
			return nil
		}
		due := c.Now.Add(v.proof(r).whole())
		if on == runStepUndo {
			due = c.Now.Add(actTime(partOf(r, v.plan).undo))
		}
		return v.e.desk().conclude(c, r, on, due, undone, time.Time{})
	})
}

// step carries out one try of one step: intent, act, outcome.
func (v *driver) step(ctx context.Context, c *Case, r *Run, phase string, m move) error {
	rendered, err := v.render(c, r, phase)
	if err != nil {
		level.Error(v.e.Logger).Log("msg", "a step cannot be rendered", "run", v.id, "err", err)
		if phase == phaseUndo {
			return v.conclude(ctx, runUndoing, runUndoFailed, false)
		}
		course := courseFailed // what was done before must be taken back
		if !r.begun() {
			course = courseNothing
		}
		return v.conclude(ctx, runRunning, partOf(r, v.plan).means.afterFailure(course), !r.begun())
	}
	// What was refused a moment ago is likely to be refused again at once. The pause
	// lies within the step's time-out.
	if m.Try > 1 {
		pauseFor(ctx, min(200*time.Millisecond<<min(m.Try-2, 5), m.Timeout/2))
	}
	if ctx.Err() != nil {
		return nil
	}
	// The lease outlasts the step, so that nobody takes over what still works.
	if err := v.renew(ctx, m.Timeout+stepGrace); err != nil {
		return err
	}
	acting, done := v.stoppable(ctx)
	defer done()
	stated, state := false, r.State
	err = v.change(ctx, func(c *Case, r *Run) error {
		if stated = r.State == state && (phase == phaseUndo || r.Reason != codeTaken); stated {
			v.e.desk().intent(c, r, phase, m, whatOf(rendered[m.N]), c.Now.Add(m.Timeout+runSlack))
		}
		return nil
	})
	if err != nil || !stated {
		return err
	}
	v.resumed = false // from here on the steps are ours
	res := v.do(acting, r, phase, m, rendered[m.N])
	return v.keepOutcome(ctx, phase, m, res)
}

// keepOutcome writes the outcome, and again while the lease lasts: without it
// the step is in doubt.
func (v *driver) keepOutcome(ctx context.Context, phase string, m move, res Result) error {
	for {
		err := v.change(ctx, func(c *Case, r *Run) error { return v.e.desk().outcome(c, r, phase, m, res) })
		if err == nil || errors.Is(err, ErrLost) || !time.Now().Before(v.until) {
			return err
		}
		pauseFor(context.WithoutCancel(ctx), time.Second)
	}
}

// stoppable gives a step's context: it may be stopped by abort, and by nothing
// else than its own time-out and the end of the lease. It must be there before
// the intent is, so that no abort falls between the two.
func (v *driver) stoppable(ctx context.Context) (acting context.Context, done func()) {
	acting, cancel := context.WithDeadline(context.WithoutCancel(ctx), v.until)
	v.e.mu.Lock()
	v.e.stops[v.id] = cancel
	v.e.mu.Unlock()
	return acting, func() {
		v.e.mu.Lock()
		delete(v.e.stops, v.id)
		v.e.mu.Unlock()
		cancel()
	}
}

// do acts, if the lease is still ours on waking up and nobody has aborted the run.
func (v *driver) do(ctx context.Context, r *Run, phase string, m move, s plan.Rendered) Result {
	if ctx.Err() != nil || !time.Now().Before(v.until) {
		return Result{Outcome: InDoubt, Cause: "the lease was over, or the run aborted, before the step began"}
	}
	a := Action{
		Exec: s.Exec, Timeout: m.Timeout, TransientCodes: s.TransientCodes,
		IdempotencyKey: fmt.Sprintf("%s/%s/%d", v.id, phase, m.N),
		Env: map[string]string{
			"HEAL_FENCE": strconv.FormatInt(v.claim.Fence, 10), "HEAL_RUN": v.id,
			"HEAL_INCIDENT": v.incident, "HEAL_ATTEMPT": strconv.Itoa(r.Attempt),
		},
	}
	if len(s.Exec) == 0 {
		a.HTTP = &Request{Method: s.Method, URL: s.URL, Body: s.Body, Client: s.Client}
	}
	return v.e.Outside().Executor.Do(ctx, a)
}

// render renders the steps of a phase for this run.
func (v *driver) render(c *Case, r *Run, phase string) ([]plan.Rendered, error) {
	return v.plan.Render(partOf(r, v.plan).steps(phase), v.data(c, r))
}

// lead finds the trigger that the run's templates see: what puts back is rendered
// like what it puts back. Where nobody knows that any more there is none; a template
// that needs it is refused then, and people are asked.
func (v *driver) lead(c *Case, r *Run) *Episode {
	m := c.of(r)
	if r.Purpose != purposePutBack || m == nil {
		return v.e.desk().leadOf(c, r)
	}
	if v.before != nil {
		c = v.before
	}
	if made := c.run(m.Run); made != nil {
		return v.e.desk().leadOf(c, made)
	}
	return nil
}

// madeBefore reads the case of an earlier incident that has left in place what a run
// puts back; nil if it is this one's. Its alerts were closed with it or handed on to
// this one.
func (e *Engine) madeBefore(ctx context.Context, c *Case, r *Run) (*Case, error) {
	m := c.of(r)
	if r.Purpose != purposePutBack || m == nil || m.Incident == c.Incident.ID {
		return nil, nil
	}
	before, err := e.Store.Read(ctx, m.Incident)
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read incident %s, which left %s in place: %w", m.Incident, m.Target, err)
	}
	before.Episodes = append(before.Episodes, c.Episodes...)
	slices.SortStableFunc(before.Episodes, func(a, b Episode) int { return a.OpenedAt.Compare(b.OpenedAt) })
	return before, nil
}

// data is what the run's templates see.
func (v *driver) data(c *Case, r *Run) plan.Data {
	// Plan, service and member are those that the run began with; a reload meanwhile
	// changes nothing for it.
	x := data(c, v.service, r.Member, v.lead(c, r))
	x.Run.ID, x.Run.Attempt, x.Run.Fence = r.ID, r.Attempt, v.claim.Fence
	return x
}

// renew prolongs the lease.
func (v *driver) renew(ctx context.Context, lease time.Duration) error {
	lease = max(lease, v.e.Lease)
	until := time.Now().Add(lease)
	if err := v.e.Store.Renew(ctx, v.incident, v.id, v.claim, lease); err != nil {
		return fmt.Errorf("renew the lease of run %s: %w", v.id, err)
	}
	v.until = until
	return nil
}

// proof is what a run is verified by.
type proof struct {
	own, service plan.Query   // own is empty where the service's proof is the run's
	scheduled    []plan.Query // whose settle was not given: their own schedule is added
	streak       streak       // without From
}

// whole is how long the proof may take altogether.
func (p proof) whole() time.Duration { return runSlack + p.streak.Settle + p.streak.Within }

// proof reads what verifies the run. What isolates or puts back is always
// proved by the service: an isolated member's own probe stays bad.
func (v *driver) proof(r *Run) proof {
	y := v.plan.Verify
	p := proof{service: v.service.Healthy, streak: streak{For: y.For, Within: y.Within, Every: y.Every, Settle: y.Settle}}
	if y.Service && y.SettleGiven {
		return p
	}
	if !v.service.SettleGiven {
		p.scheduled = append(p.scheduled, v.service.Healthy)
	}
	if y.Service || r.Kind == kindIsolate || r.Purpose == purposePutBack {
		p.streak.Settle = v.service.Settle
		return p
	}
	p.own = y.Query
	if !y.SettleGiven {
		p.scheduled = append(p.scheduled, y.Query)
	}
	p.streak.Settle = max(y.Settle, v.service.Settle)
	return p
}

// schedule is what the schedules of the proofs' own series add to the settle:
// a run that began before the act may end long after it.
func (v *driver) schedule(ctx context.Context, c *Case, r *Run, p proof) (longest time.Duration, err error) {
	for _, q := range p.scheduled {
		one, err := v.plan.Query(q, v.data(c, r))
		if err != nil {
			return 0, err
		}
		every, err := ownInterval(ctx, v.e.prometheus(v.service), one)
		if err != nil {
			return 0, err
		}
		longest = max(longest, every)
	}
	return longest, nil
}

// verify reads the time fence, and then evaluates the proof behind it.
func (v *driver) verify(ctx context.Context, c *Case, r *Run) error {
	p := v.proof(r)
	if r.FenceAt.IsZero() {
		return v.readFence(ctx, c, r, p)
	}
	// The run's timer was set when the fence was read, hence it tells from when on
	// the settle counts, after a restart as well.
	p.streak.From = r.DueAt.Add(-p.whole())
	// Evaluations that take longer than every leave nothing to wait for, and the lease
	// must outlast them all the same.
	wait := max(p.streak.Next(r.Samples).Sub(c.Now), 0)
	if err := v.renew(ctx, wait+v.e.Lease); err != nil {
		return err
	}
	if pauseFor(ctx, wait); ctx.Err() != nil {
		return nil
	}
	asked, due := time.Now(), p.streak.Next(r.Samples)
	own, service := v.evaluate(ctx, c, r, p)
	var watched []Sample
	proved := v.own
	err := v.change(ctx, func(c *Case, r *Run) error {
		if r.State != runVerifying {
			return nil
		}
		// An evaluation stands where it was asked: a slow answer is no gap.
		own.At = latest(c.Now.Add(-time.Since(asked).Truncate(time.Millisecond)), due)
		service.At = own.At
		r.Samples = append(r.Samples, own)
		watched = append(slices.Clone(v.watched), service)
		return v.judge(c, r, p, watched, &proved)
	})
	if err == nil {
		v.watched, v.own = watched, proved
	}
	return err
}

// readFence asks Prometheus for its own time, and then how long the series of
// the proof may still show what was before it. It is asked again until the run's
// timer is over.
func (v *driver) readFence(ctx context.Context, c *Case, r *Run, p proof) error {
	asking, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	fence, err := fenceNow(asking, v.e.prometheus(v.service))
	var schedule time.Duration
	if err == nil {
		schedule, err = v.schedule(asking, c, r, p)
	}
	if err != nil {
		level.Warn(v.e.Logger).Log("msg", "no time fence yet", "run", v.id, "err", err)
		if err := v.renew(ctx, 0); err != nil {
			return err
		}
		pauseFor(ctx, max(p.streak.Every, time.Second))
		return nil
	}
	return v.change(ctx, func(c *Case, r *Run) error {
		if r.State != runVerifying || !r.FenceAt.IsZero() {
			return nil
		}
		r.FenceAt, r.DueAt = fence, c.Now.Add(schedule+p.whole())
		c.noteRun("", r, "time_fence", "", map[string]any{"fence": stamp(fence), "settle_seconds": (schedule + p.streak.Settle).Seconds()})
		return nil
	})
}

// evaluate asks both proofs once, behind the fence.
func (v *driver) evaluate(ctx context.Context, c *Case, r *Run, p proof) (own, service Sample) {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	prom := v.e.prometheus(v.service)
	var asked sync.WaitGroup
	asked.Go(func() { service.Answer, service.Numbers = askFresh(ctx, prom, p.service, r.FenceAt) })
	if p.own.Text != "" {
		q, err := v.plan.Query(p.own, v.data(c, r))
		if err != nil {
			own = Sample{Answer: CannotTell, Numbers: asJSON(map[string]string{"why": err.Error()})}
		} else {
			own.Answer, own.Numbers = askFresh(ctx, prom, q, r.FenceAt)
		}
	}
	asked.Wait()
	if p.own.Text == "" {
		own = service
	}
	return own, service
}

// judge reads the samples, those of the service beside them. A narrower proof
// that was good stays proved and waits for the service's own until the window
// is over.
func (v *driver) judge(c *Case, r *Run, p proof, watched []Sample, proved *bool) error {
	answer, final := p.streak.Judge(c.Now, r.Samples)
	*proved = *proved || answer == Good
	if *proved {
		answer, final = Good, true
	}
	if !final {
		return nil
	}
	good := time.Time{}
	if healthy, _ := p.streak.Judge(c.Now, watched); healthy == Good {
		good = streakStart(watched)
	}
	if answer == Good && good.IsZero() && p.own.Text != "" && c.Now.Before(p.streak.End()) {
		return nil
	}
	if p.own.Text == "" && answer == Good {
		good = streakStart(r.Samples)
	}
	x := partOf(r, v.plan)
	on := x.means.afterProof(answer, x.script(phaseAct).standing(r), r.begun())
	return v.e.desk().conclude(c, r, on, c.Now.Add(actTime(x.undo)), !r.begun(), good)
}
