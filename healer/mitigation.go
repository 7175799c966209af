package healer

import (
	"slices"
	"time"
)

// The states of a mitigation. unknown, held and releasing all count as in place.
const (
	mitUnknown   = "unknown"
	mitHeld      = "held"
	mitReleasing = "releasing"
	mitReleased  = "released"
)

// kindIsolate is the kind whose target leaves rotation: always proved by the
// service, since the isolated member's own probe stays bad.
const kindIsolate = "isolate"

// leaves are the kinds of plans that leave something in place.
var leaves = []string{kindIsolate, "switchover", "scale_out", "throttle"}

// mitEvent is what happens to a mitigation (HEALING 11).
type mitEvent string

const (
	mitKept     mitEvent = "kept"      // the run succeeded, or failed and left it in place
	mitUndone   mitEvent = "undone"    // undo ok, or surely nothing was changed
	mitSaysHeld mitEvent = "says_held" // a person resolves the run, or a release
	mitSaysFree mitEvent = "says_free"
	mitRelease  mitEvent = "release"   // a person releases it
	mitPutBack  mitEvent = "put_back"  // undo ok and the service's proof good
	mitReapply  mitEvent = "reapplied" // the proof was bad, it is in place again
	mitCancel   mitEvent = "cancelled" // the release never began
	mitForget   mitEvent = "forgotten" // a person has put it back
)

// mitCrossing is one cell of the table.
type mitCrossing struct {
	from string
	on   mitEvent
}

// mitTable is the table of HEALING 11.
var mitTable = map[mitCrossing]string{
	{mitUnknown, mitKept}:       mitHeld,
	{mitUnknown, mitUndone}:     mitReleased,
	{mitUnknown, mitSaysHeld}:   mitHeld,
	{mitUnknown, mitSaysFree}:   mitReleased,
	{mitHeld, mitRelease}:       mitReleasing,
	{mitHeld, mitForget}:        mitReleased,
	{mitReleasing, mitPutBack}:  mitReleased,
	{mitReleasing, mitReapply}:  mitHeld,
	{mitReleasing, mitCancel}:   mitHeld,
	{mitReleasing, mitSaysHeld}: mitHeld,
	{mitReleasing, mitSaysFree}: mitReleased,
}

// stepMitigation moves a mitigation over one event of the table.
func (c *Case) stepMitigation(m *Mitigation, on mitEvent, actor string) error {
	to, known := mitTable[mitCrossing{m.State, on}]
	if !known {
		return &Conflict{Doing: string(on), On: "mitigation " + m.ID, Got: m.State, Want: knowing([]string{mitUnknown, mitHeld, mitReleasing}, func(s string) bool { return mitTable[mitCrossing{s, on}] != "" })}
	}
	from := m.State
	m.State = to
	m.Reisolated = m.Reisolated || on == mitReapply
	if to == mitReleased {
		m.ReleasedAt, m.ReleasedBy = c.Now, actor
		if actor == "" {
			m.ReleasedBy = machine
		}
	}
	c.note(actor, "mitigation_"+to, "", time.Time{}, map[string]any{
		"id": m.ID, "from": from, "on": on, "target": m.Target, "kind": m.Kind, "of_run": m.Run,
	})
	return nil
}

// mitigation finds one by its id; nil if the case has none.
func (c *Case) mitigation(id string) *Mitigation {
	for i := range c.Mitigations {
		if c.Mitigations[i].ID == id {
			return &c.Mitigations[i]
		}
	}
	return nil
}

// heldOn finds what is in place on a target, of one kind; nil = nothing.
func (c *Case) heldOn(target, kind string) *Mitigation {
	for i := range c.Mitigations {
		m := &c.Mitigations[i]
		if m.Target == target && m.Kind == kind && m.State != mitReleased {
			return m
		}
	}
	return nil
}

// of gives the mitigation that a run concerns: the one it made, or the one it
// puts back; nil = none.
func (c *Case) of(r *Run) *Mitigation {
	if !slices.Contains(leaves, r.Kind) {
		return nil
	}
	return c.heldOn(r.Target, r.Kind)
}

// intend writes the mitigation of a run with its first intent, as unknown:
// from then on it may be in place.
func (c *Case) intend(r *Run, id string) {
	// A second run on a target that is in place already would be refused by the
	// store: one mitigation per target and kind.
	if r.Purpose == purposePutBack || !slices.Contains(leaves, r.Kind) || c.of(r) != nil {
		return
	}
	c.Mitigations = append(c.Mitigations, Mitigation{
		ID: id, Incident: c.Incident.ID, Run: r.ID, Service: c.Incident.Service, Target: r.Target, Kind: r.Kind,
		State: mitUnknown, Since: c.Now, ReleaseManual: true, Member: r.Member,
	})
	c.noteRun("", r, "mitigation_"+mitUnknown, "", map[string]any{"id": id, "target": r.Target, "kind": r.Kind})
}

// settle moves the mitigation of a run that has ended. undone says that the
// undo was carried out, or that surely nothing was changed.
func (c *Case) settle(r *Run, undone bool) error {
	m := c.of(r)
	if m == nil || r.State == runUnresolved {
		return nil
	}
	if r.Purpose == purposePutBack {
		return c.settlePutBack(m, r)
	}
	if m.Run != r.ID || m.State != mitUnknown {
		return nil
	}
	if undone {
		return c.stepMitigation(m, mitUndone, "")
	}
	return c.stepMitigation(m, mitKept, "")
}

// settlePutBack moves what a release concerned: away, back in place, or as it was
// if the release never began.
func (c *Case) settlePutBack(m *Mitigation, r *Run) error {
	switch r.State {
	case runSucceeded:
		return c.stepMitigation(m, mitPutBack, r.AskedBy)
	case runFailed:
		return c.stepMitigation(m, mitReapply, "")
	}
	return c.stepMitigation(m, mitCancel, "")
}

// remaining lists what is not released.
func (c *Case) remaining() []*Mitigation {
	var held []*Mitigation
	for i := range c.Mitigations {
		if c.Mitigations[i].State != mitReleased {
			held = append(held, &c.Mitigations[i])
		}
	}
	return held
}
