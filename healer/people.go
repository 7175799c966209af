package healer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/onefiveten/onefiveten/healer/plan"
)

// Ack keeps who has heard of an incident; reminders stop.
func (e *Engine) Ack(ctx context.Context, incident, who string) error {
	return e.person(ctx, incident, "acknowledge", func(c *Case) error {
		in := &c.Incident
		if in.State == stateClosed {
			return &Conflict{Doing: "acknowledge", On: "incident " + in.ID, Got: string(in.State), Want: "an open incident"}
		}
		c.acked(who)
		c.note(who, "acked", in.Reason, time.Time{}, map[string]any{"state": in.State})
		return nil
	})
}

// acked keeps who answers for the incident now.
func (c *Case) acked(who string) {
	in := &c.Incident
	in.AckedBy, in.AckedAt = who, c.Now
	if in.State == stateWithHuman {
		in.WaitUntil = time.Time{}
	}
	c.mark("acked", c.Now, who)
}

// Take gives an incident to a person: the machine stops. While a run is active
// it is refused; Abort stops that.
func (e *Engine) Take(ctx context.Context, incident, who string) error {
	return e.person(ctx, incident, "take", func(c *Case) error {
		if err := e.desk().handOver(c, onTaken, codeTaken, "", who); err != nil {
			return err
		}
		c.acked(who)
		return nil
	})
}

// Retry gives an incident back to the machine, from the first rung: what has
// had its attempts is passed over. It is refused while a run is live, held or
// unresolved.
func (e *Engine) Retry(ctx context.Context, incident, who string) error {
	return e.person(ctx, incident, "retry", func(c *Case) error {
		if err := c.free("retry"); err != nil {
			return err
		}
		if err := c.step(onRetry, "", c.Now, who); err != nil {
			return err
		}
		c.Incident.Rung, c.Incident.WaitUntil = 0, c.Now.Add(e.Book().MaxWait)
		return nil
	})
}

// Close ends an incident. It is refused while a run is live or unresolved. Open
// episodes stay and open nothing, but for an ObserverFault, which goes on to
// veto; what is held stays held.
func (e *Engine) Close(ctx context.Context, incident, who string) error {
	return e.person(ctx, incident, "close", func(c *Case) error {
		if err := c.free("close"); err != nil {
			return err
		}
		if err := c.step(onClosed, "", time.Time{}, who); err != nil {
			return err
		}
		c.Incident.CloseReason = "closed by " + who
		for i := range c.Episodes { // it vetoes whatever comes next
			if e := &c.Episodes[i]; e.ClosedAt.IsZero() && e.Labels["alertname"] == alertObserver {
				e.Incident = ""
			}
		}
		return nil
	})
}

// free is an error while a run has not ended.
func (c *Case) free(doing string) error {
	if r := c.live(); r != nil {
		return &Conflict{
			Doing: doing, On: "incident " + c.Incident.ID, Got: fmt.Sprintf("waiting for run %s, which is %s", r.ID, r.State),
			Want: "no run that is live or unresolved (abort or resolve it first)",
		}
	}
	return nil
}

// person is one change that a person asks for.
func (e *Engine) person(ctx context.Context, incident, doing string, change func(*Case) error) error {
	err := e.update(ctx, incident, "", Claim{}, change)
	if err != nil {
		var conflict *Conflict
		if errors.As(err, &conflict) {
			return err
		}
		return fmt.Errorf("%s incident %s: %w", doing, incident, err)
	}
	e.kick()
	return nil
}

// Abort stops one run: its step is stopped, then it is verified, then people
// are told. One that has not begun is cancelled.
func (e *Engine) Abort(ctx context.Context, run, who string) error {
	incident, err := e.incidentOf(ctx, run)
	if err != nil {
		return err
	}
	err = e.person(ctx, incident, "abort a run of", func(c *Case) error {
		r := c.run(run)
		switch r.State {
		case runReady:
			r.Reason = codeTaken
			return e.desk().conclude(c, r, runCancel, time.Time{}, false, time.Time{})
		case runRunning, runVerifying, runUndoing:
			r.Reason = codeTaken
			c.noteRun(who, r, "abort", codeTaken, map[string]any{"state": r.State})
			return nil
		}
		return &Conflict{Doing: "abort", On: "run " + run, Got: string(r.State), Want: "ready, running, verifying or undoing"}
	})
	if err != nil {
		return err
	}
	// The row says it first: if the process dies now, the next owner stops as well.
	e.mu.Lock()
	stop := e.stops[run]
	e.mu.Unlock()
	if stop != nil {
		stop()
	}
	return nil
}

// incidentOf finds the open incident that a run belongs to.
func (e *Engine) incidentOf(ctx context.Context, run string) (string, error) {
	open, err := e.Store.Incidents(ctx, false, recentIncidents)
	if err != nil {
		return "", fmt.Errorf("find run %s: %w", run, err)
	}
	for _, in := range open {
		c, err := e.Store.Read(ctx, in.ID)
		if err != nil {
			return "", fmt.Errorf("find run %s: %w", run, err)
		}
		if c.run(run) != nil {
			return in.ID, nil
		}
	}
	return "", fmt.Errorf("find run %s among the open incidents: %w", run, ErrNotFound)
}

// Resolve ends an unresolved run by what a person has seen: whether it changed
// something. Its locks are freed, and what it may have left in place is held or
// released accordingly.
func (e *Engine) Resolve(ctx context.Context, run, who string, changed bool) error {
	incident, err := e.incidentOf(ctx, run)
	if err != nil {
		return err
	}
	return e.person(ctx, incident, "resolve a run of", func(c *Case) error {
		r := c.run(run)
		m := c.of(r)
		if err := c.stepRun(r, runPersonSays, "", time.Time{}, who); err != nil {
			return err
		}
		c.noteRun(who, r, "resolved", codeUnresolved, map[string]any{"changed": changed})
		if m == nil || m.Run != r.ID && r.Purpose != purposePutBack {
			return nil
		}
		// What a put_back changes is that the mitigation has gone.
		inPlace := changed != (r.Purpose == purposePutBack)
		if inPlace {
			return c.stepMitigation(m, mitSaysHeld, who)
		}
		return c.stepMitigation(m, mitSaysFree, who)
	})
}

// Forget records that a person has put a mitigation back.
func (e *Engine) Forget(ctx context.Context, mitigation, who string) error {
	incident, err := e.incidentHolding(ctx, mitigation)
	if err != nil {
		return err
	}
	return e.person(ctx, incident, "forget a mitigation of", func(c *Case) error {
		m := c.mitigation(mitigation)
		if m == nil {
			return ErrNotFound
		}
		return c.stepMitigation(m, mitForget, who)
	})
}

// incidentHolding finds the incident through which a mitigation is changed: the
// open one of its service, else the one that made it.
func (e *Engine) incidentHolding(ctx context.Context, mitigation string) (string, error) {
	held, err := e.Store.Mitigations(ctx, "")
	if err != nil {
		return "", fmt.Errorf("find mitigation %s: %w", mitigation, err)
	}
	i := slices.IndexFunc(held, func(m Mitigation) bool { return m.ID == mitigation })
	if i < 0 {
		return "", fmt.Errorf("find mitigation %s among those that are not released: %w", mitigation, ErrNotFound)
	}
	made, err := e.Store.Read(ctx, held[i].Incident)
	if err != nil {
		return "", fmt.Errorf("read incident %s, which made mitigation %s: %w", held[i].Incident, mitigation, err)
	}
	open, err := e.Store.Incidents(ctx, false, recentIncidents)
	if err != nil {
		return "", fmt.Errorf("find the incident of mitigation %s: %w", mitigation, err)
	}
	for _, in := range open {
		if in.Key == made.Incident.Key { // a service of that name may be in another cluster, too
			return in.ID, nil
		}
	}
	return held[i].Incident, nil
}

// Release puts a mitigation back: a queued run does the plan's undo and
// verifies the service; if that is bad the mitigation is applied again. It
// starts only while the incident is recovered.
func (e *Engine) Release(ctx context.Context, mitigation, who string) error {
	incident, err := e.incidentHolding(ctx, mitigation)
	if err != nil {
		return err
	}
	made, err := e.madeBy(ctx, incident, mitigation)
	if err != nil {
		return err
	}
	return e.person(ctx, incident, "release a mitigation of", func(c *Case) error {
		m := c.mitigation(mitigation)
		if m == nil {
			return ErrNotFound
		}
		if c.Incident.State != stateRecovered {
			return &Conflict{
				Doing: "release", On: "mitigation " + m.ID, Got: "in place while incident " + c.Incident.ID + " is " + string(c.Incident.State),
				Want: "a recovered incident (or put it back by hand and forget it)",
			}
		}
		if err := c.free("release a mitigation of"); err != nil {
			return err
		}
		if err := c.stepMitigation(m, mitRelease, who); err != nil {
			return err
		}
		c.Runs = append(c.Runs, e.putBack(c, made, who))
		r := &c.Runs[len(c.Runs)-1]
		c.noteRun(who, r, "run_"+string(runReady), codeManual, map[string]any{"purpose": r.Purpose, "plan": r.Plan, "target": r.Target})
		return nil
	})
}

// madeBy finds the run that made a mitigation and checks that it can be undone.
func (e *Engine) madeBy(ctx context.Context, incident, mitigation string) (Run, error) {
	c, err := e.Store.Read(ctx, incident)
	if err != nil {
		return Run{}, fmt.Errorf("read incident %s: %w", incident, err)
	}
	m := c.mitigation(mitigation)
	if m == nil {
		return Run{}, fmt.Errorf("find mitigation %s: %w", mitigation, ErrNotFound)
	}
	id := m.Run
	if c.run(id) == nil && m.Incident != incident {
		if c, err = e.Store.Read(ctx, m.Incident); err != nil {
			return Run{}, fmt.Errorf("read incident %s: %w", m.Incident, err)
		}
	}
	r := c.run(id)
	if r == nil {
		return Run{}, fmt.Errorf("find run %s of mitigation %s: %w", id, mitigation, ErrNotFound)
	}
	p, _, err := plan.FromText(r.PlanText)
	if err != nil {
		return Run{}, fmt.Errorf("read the plan of run %s: %w", r.ID, err)
	}
	if len(p.Undo) == 0 {
		return Run{}, &Conflict{
			Doing: "release", On: "mitigation " + mitigation, Got: "made by plan " + p.Name + " without undo",
			Want: "an undo (or put it back by hand and forget it)",
		}
	}
	return *r, nil
}

// putBack is the run that releases what another has made.
func (e *Engine) putBack(c *Case, made Run, who string) Run {
	attempt := 1
	for _, r := range c.Runs {
		if r.Plan == made.Plan && r.Target == made.Target {
			attempt = max(attempt, r.Attempt+1)
		}
	}
	return Run{
		ID: e.NewID(), Incident: c.Incident.ID, Purpose: purposePutBack, Plan: made.Plan, Kind: made.Kind, PlanHash: made.PlanHash,
		PlanText: made.PlanText, Target: made.Target, Member: made.Member, Attempt: attempt, Mode: modeAuto, AskedBy: who,
		State: runReady, NotBefore: c.Now, CreatedAt: c.Now, DueAt: c.Now.Add(e.Book().MaxWait),
	}
}
