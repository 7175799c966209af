package healer

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// event is what happens to an incident (HEALING 4).
type event string

const (
	onLocated       event = "located"          // located and gathered, locate deadline passed, or the scenario's own scope
	onSelfRecovered event = "self_recovered"   // no trigger open and the proof good, before anything acted
	onTaken         event = "taken"            // by a person
	onClosed        event = "closed_by_person" // or superseded by its successor
	onAct           event = "act"              // a run was made
	onWait          event = "wait"
	onNextRung      event = "not_applicable"
	onHandOver      event = "hand_over" // refuse, ask, would_act, ladder end, no scenario, not decided
	onLook          event = "look"      // the next look is due
	onPatience      event = "max_wait"
	onRecovered     event = "run_recovered"    // the run succeeded and the service's proof is good
	onNotEnough     event = "run_not_enough"   // the run succeeded, the service's proof is not good
	onRunFailed     event = "run_failed"       //
	onRunVoid       event = "run_void"         // its approval no longer fits
	onRunNeedless   event = "run_needless"     // cancelled, since the service recovered by itself
	onRunStopped    event = "run_stopped"      // abort, or its patience was over
	onRunRefused    event = "run_refused"      // a guard refused it and the rung ends there
	onRunSkipped    event = "run_skipped"      // a guard refused it and the rung goes on for that code
	onRunUndecided  event = "run_undecided"    // expired, simulated, unresolved
	onRunHeld       event = "run_held"         //
	onRelapse       event = "relapse"          //
	onQuiet         event = "quiet"            //
	onReleaseFailed event = "release_failed"   // twice, unresolved or overdue
	onProofGood     event = "proof_good"       // and no run live or unresolved
	onRetry         event = "retry"            //
	onManualRun     event = "plan_by_a_person" //
	onReminder      event = "reminder"         //
)

// crossing is one cell of the table.
type crossing struct {
	from State
	on   event
}

// incidentTable is the state table of HEALING 4. What is not in it cannot
// happen.
var incidentTable = map[crossing]State{
	{stateLocating, onLocated}:       stateDeciding,
	{stateLocating, onLook}:          stateLocating,
	{stateLocating, onSelfRecovered}: stateRecovered,
	{stateLocating, onTaken}:         stateWithHuman,
	{stateLocating, onClosed}:        stateClosed,
	{stateLocating, onManualRun}:     stateActing,

	{stateDeciding, onAct}:           stateActing,
	{stateDeciding, onWait}:          stateWaiting,
	{stateDeciding, onNextRung}:      stateDeciding,
	{stateDeciding, onLook}:          stateDeciding,
	{stateDeciding, onHandOver}:      stateWithHuman,
	{stateDeciding, onTaken}:         stateWithHuman,
	{stateDeciding, onSelfRecovered}: stateRecovered,
	{stateDeciding, onClosed}:        stateClosed,
	{stateDeciding, onManualRun}:     stateActing,

	{stateWaiting, onLook}:          stateDeciding,
	{stateWaiting, onPatience}:      stateWithHuman,
	{stateWaiting, onTaken}:         stateWithHuman,
	{stateWaiting, onSelfRecovered}: stateRecovered,
	{stateWaiting, onClosed}:        stateClosed,
	{stateWaiting, onManualRun}:     stateActing,

	{stateActing, onRecovered}:    stateRecovered,
	{stateActing, onNotEnough}:    stateDeciding,
	{stateActing, onRunFailed}:    stateDeciding,
	{stateActing, onRunVoid}:      stateDeciding,
	{stateActing, onRunNeedless}:  stateRecovered,
	{stateActing, onRunStopped}:   stateWithHuman,
	{stateActing, onRunSkipped}:   stateDeciding,
	{stateActing, onRunRefused}:   stateWithHuman,
	{stateActing, onRunUndecided}: stateWithHuman,
	{stateActing, onRunHeld}:      stateActing,

	{stateRecovered, onLook}:          stateRecovered,
	{stateRecovered, onRelapse}:       stateDeciding,
	{stateRecovered, onQuiet}:         stateClosed,
	{stateRecovered, onClosed}:        stateClosed,
	{stateRecovered, onReleaseFailed}: stateWithHuman,
	{stateRecovered, onTaken}:         stateWithHuman,
	{stateRecovered, onManualRun}:     stateActing,

	{stateWithHuman, onProofGood}: stateRecovered,
	{stateWithHuman, onRetry}:     stateDeciding,
	{stateWithHuman, onManualRun}: stateActing,
	{stateWithHuman, onReminder}:  stateWithHuman,
	{stateWithHuman, onTaken}:     stateWithHuman,
	{stateWithHuman, onClosed}:    stateClosed,
}

// look is the time between two looks at an incident that is not acting.
const look = 5 * time.Second

// step moves the incident over one event of the table. next is the time of the
// next look, wherever the new state has one; zero is soon. actor is "" for the
// machine. An event that the state does not know is a *Conflict and changes
// nothing.
func (c *Case) step(on event, why Code, next time.Time, actor string) error {
	in := &c.Incident
	to, known := incidentTable[crossing{in.State, on}]
	if !known {
		return &Conflict{
			Doing: string(on), On: "incident " + in.ID, Got: string(in.State),
			Want: knowing(openStates, func(s State) bool { return incidentTable[crossing{s, on}] != "" }),
		}
	}
	from := in.State
	in.State, in.Reason, in.NextAt = to, why, next
	if next.IsZero() {
		in.NextAt = c.Now
	}
	c.enter(from, to)
	if from != to {
		c.note(actor, "incident_"+string(to), why, in.NextAt, map[string]any{"from": from, "on": on, "round": in.Round, "rung": in.Rung})
	}
	return nil
}

// enter sets what belongs to the new state alone.
func (c *Case) enter(from, to State) {
	in := &c.Incident
	switch to {
	case stateClosed:
		in.NextAt, in.WaitUntil = time.Time{}, time.Time{}
		in.ClosedAt, in.CloseReason = c.Now, string(in.Reason)
		c.mark("closed", c.Now, "journal")
	case stateActing:
		in.NextAt, in.WaitUntil = time.Time{}, time.Time{}
	case stateRecovered:
		if from != to {
			in.WaitUntil = time.Time{}
		}
	case stateWithHuman:
		if from != to {
			in.AckedBy, in.AckedAt = "", time.Time{}
			c.mark("handed_over", c.Now, "journal")
		}
	}
}

// knowing lists the states that know an event, for people.
func knowing[S ~string](states []S, known func(S) bool) string {
	var list []string
	for _, s := range states {
		if known(s) {
			list = append(list, string(s))
		}
	}
	return strings.Join(list, " or ")
}

// openStates are those from which an incident goes on.
var openStates = []State{stateLocating, stateDeciding, stateWaiting, stateActing, stateRecovered, stateWithHuman}

// mark keeps an instant of the present round; the first of a name stands.
func (c *Case) mark(name string, at time.Time, source string) {
	if c.instant(name).IsZero() && !at.IsZero() {
		c.Instants = append(c.Instants, Instant{Round: c.Incident.Round, Name: name, At: at, Source: source})
	}
}

// instant gives a named moment of the present round, zero if it has not come.
func (c *Case) instant(name string) time.Time { return c.instantOf(c.Incident.Round, name) }

// instantOf gives a named moment of one round.
func (c *Case) instantOf(round int, name string) time.Time {
	for _, i := range c.Instants {
		if i.Round == round && i.Name == name {
			return i.At
		}
	}
	return time.Time{}
}

// machine is the actor of what nobody asked for.
const machine = "heal-receiver"

// note adds an entry to the audit trail. when is a next look, kept if not zero.
func (c *Case) note(actor, what string, why Code, when time.Time, body map[string]any) {
	if actor == "" {
		actor = machine
	}
	if !when.IsZero() {
		body["next_at"] = when.UTC().Format(time.RFC3339Nano)
	}
	c.Entries = append(c.Entries, Entry{At: c.Now, Incident: c.Incident.ID, Actor: actor, Event: what, Code: why, Body: asJSON(body)})
}

// noteRun is note for one run.
func (c *Case) noteRun(actor string, r *Run, what string, why Code, body map[string]any) {
	c.note(actor, what, why, time.Time{}, body)
	c.Entries[len(c.Entries)-1].Run = r.ID
}

// asJSON writes what a journal keeps as JSON. What cannot be written says so,
// since a missing word must not stop the change that it tells of.
func asJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		text, _ = json.Marshal(map[string]string{"unwritable": fmt.Sprint(err)})
	}
	return string(text)
}

// letGo gives the incident's claim back: the fence stays.
func (c *Case) letGo() {
	c.Incident.Claim.Owner, c.Incident.Claim.LeaseUntil = "", time.Time{}
}
