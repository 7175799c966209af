package healer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-kit/log/level"
)

// claimIncidents gives every incident that is due its turn, a few at once.
func (e *Engine) claimIncidents(ctx context.Context) error {
	e.tellClock(ctx)
	for ctx.Err() == nil {
		e.places <- struct{}{}
		id, claim, err := e.Store.ClaimIncident(ctx, e.Owner, e.Lease)
		if err != nil || id == "" {
			<-e.places
			return err
		}
		e.work.Go(func() {
			defer func() { <-e.places }()
			if err := e.turn(ctx, id, claim); err != nil && !errors.Is(err, ErrLost) && ctx.Err() == nil {
				level.Error(e.Logger).Log("msg", "an incident's turn failed; it comes again when its lease is over", "incident", id, "err", err)
			}
		})
	}
	return nil
}

// turn is one look at one claimed incident. The claim is let go with the change
// that the look makes.
func (e *Engine) turn(ctx context.Context, id string, claim Claim) error {
	c, err := e.Store.Read(ctx, id)
	if err != nil {
		return err
	}
	// Deciding asks much more of the world than a look, and has a time of its own.
	if c.Incident.State == stateDeciding {
		return e.decide(ctx, id, claim)
	}
	w := e.watch(ctx, c)
	return e.update(ctx, id, "", claim, func(c *Case) error {
		c.letGo()
		return e.desk().look(c, w)
	})
}

// kept samples of a watch: more than a streak needs.
const watchKept = 64

// watch asks the service's proof where a look needs it, and judges what it has
// answered since the incident came into its state.
func (e *Engine) watch(ctx context.Context, c *Case) watch {
	// While a trigger fires a good proof ends nothing, so it need not be asked; nor
	// beside a run that nobody knows the outcome of.
	in := c.Incident
	quiet := len(c.triggers(c.Now)) == 0
	if (in.State == stateLocating || in.State == stateWaiting || in.State == stateDeciding) && !quiet || c.live() != nil && in.State == stateWithHuman {
		return watch{}
	}
	s := e.Book().Services[in.Service]
	if s == nil {
		return watch{}
	}
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	answer, numbers := ask(ctx, e.prometheus(s), s.Healthy)
	e.mu.Lock()
	defer e.mu.Unlock()
	samples := append(e.watches[in.ID], Sample{At: c.Now, Answer: answer, Numbers: numbers})
	samples = samples[max(0, len(samples)-watchKept):]
	e.watches[in.ID] = samples
	return judgeWatch(samples)
}

// errAgain: the case has changed while the world was asked.
var errAgain = errors.New("the case has changed, ask again")

// factsHold is how long answers serve a decision: the time that asking may take,
// and as much again.
const factsHold = 2 * askWithin

// askAgain is the pause before a decision is tried anew: what has changed may go on
// changing.
const askAgain = 100 * time.Millisecond

// decide makes one decision over a claimed incident, within decideWithin.
func (e *Engine) decide(ctx context.Context, id string, claim Claim) error {
	deadline := time.Now().Add(decideWithin)
	taken := false
	for time.Now().Before(deadline) && ctx.Err() == nil {
		c, err := e.Store.Read(ctx, id)
		if err != nil {
			return err
		}
		w := e.watch(ctx, c) // before the facts, so that these are not the older for it
		f := e.facts(ctx, c)
		f.Taken, f.Watch = taken, w
		err = e.decideOnce(ctx, id, claim, f)
		if taken = errors.Is(err, ErrTaken); !taken && !errors.Is(err, errAgain) {
			return err
		}
		pauseFor(ctx, askAgain)
		// The claim must outlast the next round of asking.
		if err := e.Store.Renew(ctx, id, "", claim, e.Lease); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return e.update(ctx, id, "", claim, func(c *Case) error {
		c.letGo()
		return e.desk().handOver(c, onHandOver, codeDecideTimeout, "the case changed faster than the world could be asked", "")
	})
}

// decideOnce decides with the facts at hand, in one transaction, and starts the
// run that was born.
func (e *Engine) decideOnce(ctx context.Context, id string, claim Claim, f facts) error {
	d, run, until := e.desk(), "", time.Time{}
	err := e.update(ctx, id, "", claim, func(c *Case) (err error) {
		c.letGo()
		run = ""
		switch in := &c.Incident; {
		case in.State != stateDeciding:
			return nil
		case in.WaitUntil.IsZero():
			in.WaitUntil = c.Now.Add(d.book.MaxWait)
		case !in.WaitUntil.After(c.Now):
			return d.handOver(c, onHandOver, d.late(c, f), "no decision was made as long as max_wait allows", "")
		}
		// What was asked must belong to what is decided: an alert may have come or
		// gone while Prometheus was thinking, and the process may have been stopped.
		if d.choose(c, f).rungKey() != f.Rung || time.Now().Round(0).Sub(f.Began) > factsHold {
			return errAgain
		}
		until = time.Now().Add(e.Lease) // not later than the store's own end of it
		run, err = d.decide(c, f, maker{Owner: e.Owner, Lease: e.Lease})
		return err
	})
	if err == nil && run != "" {
		e.start(ctx, id, run, Claim{Owner: e.Owner, Fence: 1}, until, false)
	}
	if err != nil && !errors.Is(err, errAgain) && !errors.Is(err, ErrTaken) {
		return fmt.Errorf("decide over incident %s: %w", id, err)
	}
	return err
}

// late says why a rung's patience ended without a decision.
func (d desk) late(c *Case, f facts) Code {
	last := Decision{}
	if n := len(c.Decisions); n > 0 {
		last = c.Decisions[n-1]
	}
	switch {
	case last.Verb == verbWait && last.Round == c.Incident.Round && last.Rung == c.Incident.Rung:
		return last.Code // it waited until now, and only this look came late
	case c.Incident.Round > 0 && c.instant("located").IsZero():
		return codeNotLocated
	case len(c.triggers(c.Now)) == 0 && f.Healthy == Bad:
		return codeNotFiring
	}
	return codeDecideTimeout
}

// tellActing tells what is due of incidents that are acting: no worker looks at
// those until their run ends.
func (e *Engine) tellActing(ctx context.Context) error {
	open, err := e.Store.Incidents(ctx, false, recentIncidents)
	if err != nil {
		return err
	}
	for _, in := range open {
		if in.State != stateActing {
			continue
		}
		c, err := e.Store.Read(ctx, in.ID)
		if err != nil {
			return err
		}
		if e.desk().tellDue(c); len(c.Messages) > 0 {
			if err := e.update(ctx, in.ID, "", Claim{}, func(*Case) error { return nil }); err != nil {
				return err
			}
		}
	}
	return nil
}

// reconcileAll reads the Alertmanagers of all sources, one after the other: one
// that does not answer must not keep the rest from being read.
func (e *Engine) reconcileAll(ctx context.Context) error {
	var all error
	for source, am := range e.Outside().Alertmanagers {
		if err := e.reconcile(ctx, source, am); err != nil {
			all = errors.Join(all, fmt.Errorf("reconcile source %s: %w", source, err))
		}
	}
	e.kick()
	return all
}

// reconcile reads one source: what a webhook has not told.
func (e *Engine) reconcile(ctx context.Context, source string, am Alertmanagers) error {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	alerts, settled, err := am.Alerts(ctx)
	if err != nil {
		return err
	}
	if !settled {
		level.Info(e.Logger).Log("msg", "Alertmanager runs for too short a time to know what fires: not reconciled", "source", source)
		return nil
	}
	book := e.Book()
	for i := range alerts {
		alerts[i].Trigger = triggers(book.Trigger, alerts[i].Labels)
		alerts[i].Routed = e.routed(source, alerts[i].Receivers)
	}
	return e.Store.Reconcile(ctx, source, alerts)
}
