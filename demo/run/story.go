package run

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/onefiveten/onefiveten/demo/term"
)

// story tells what happens, each thing once, with the seconds since the fault.
type story struct {
	*house
	began  time.Time
	bound  time.Duration // proved, of detection
	looked time.Time     // the look before
	seen   map[string]bool
	ever   []alert // every alert that fired since the fault

	incident incident // as last read; empty before there is one
}

// event is one thing that happened.
type event struct {
	key  string
	at   time.Time
	word string
	text string
}

// begin starts the clocks: the fault is now.
func (h *house) begin() *story {
	return &story{house: h, began: time.Now(), seen: map[string]bool{}}
}

// tell prints one event.
func (s *story) tell(at time.Time, word, text string) {
	s.say.Line("  %7.1f s  %s %s", at.Sub(s.began).Seconds(), s.say.Paint(colourOf(word), fmt.Sprintf("%-11s", word)), text)
}

// colourOf gives the word of a line its colour: red for harm, green for a clock
// that stopped, dim for what stands beside the way.
func colourOf(word string) term.Colour {
	switch word {
	case "fault", "handed over":
		return term.Red
	case "detected", "located", "recovered", "released":
		return term.Green
	case "fired", "told", "customers":
		return term.Dim
	}
	return term.Bold
}

// until looks ten times a second and tells what is new, until enough is so.
func (s *story) until(ctx context.Context, limit time.Duration, enough func() bool) error {
	return within(ctx, limit, func(ctx context.Context) (bool, error) {
		if err := s.look(ctx); err != nil {
			return false, err
		}
		return enough(), nil
	})
}

// look reads Prometheus, heal-receiver and the people's mail once.
func (s *story) look(ctx context.Context) error {
	now := time.Now()
	firing, err := s.prometheus.firing(ctx)
	if err != nil {
		return err
	}
	all, err := s.receiver.incidents(ctx)
	if err != nil {
		return err
	}
	var events []event
	for _, a := range firing {
		if key := "alert " + a.String(); !s.seen[key] {
			s.ever = append(s.ever, a)
			events = append(events, event{key, s.firedAt(a), "fired", a.String()})
			events = append(events, firstBad(a)...)
		}
	}
	for n, l := range s.sink.letters() {
		events = append(events, event{fmt.Sprint("letter ", n), l.at, "told", l.text})
	}
	if len(all) > 0 {
		s.incident = all[0]
		events = append(events, s.ofIncident(all[0])...)
	}
	s.print(events)
	s.looked = now
	return nil
}

// firedAt is the evaluation that made the alert, or now for one that was
// pending before.
func (s *story) firedAt(a alert) time.Time {
	if a.ActiveAt.Before(s.looked) {
		return time.Now()
	}
	return a.ActiveAt
}

// firstBad is the start of the fault as the rules count it, from the annotation
// that heal-receiver reads, too.
func firstBad(a alert) []event {
	seconds, err := strconv.ParseFloat(a.Annotations["fault_start"], 64)
	if err != nil || a.Labels["alertname"] != "FaultDetected" {
		return nil
	}
	at := time.UnixMilli(int64(seconds * 1000))
	return []event{{"bad sample", at, "bad sample", "the first one, from which the rules count"}}
}

// print tells what was not told before, in the order in which it happened.
func (s *story) print(events []event) {
	slices.SortStableFunc(events, func(a, b event) int { return a.at.Compare(b.at) })
	for _, e := range events {
		if !s.seen[e.key] {
			s.seen[e.key] = true
			s.tell(e.at, e.word, e.text)
		}
	}
}

// ofIncident makes events of instants, decisions and runs.
func (s *story) ofIncident(i incident) []event {
	var events []event
	add := func(key string, at time.Time, word, format string, args ...any) {
		if !at.IsZero() {
			events = append(events, event{i.ID + " " + key, at, word, fmt.Sprintf(format, args...)})
		}
	}
	add("received", i.at("received"), "detected", "heal-receiver has accepted the first alert (proved bound %s, target %s)", term.Seconds(s.bound), term.Seconds(detectTarget))
	if i.Verdict.Scope != "" && i.Verdict.Scope != "unknown" {
		at := i.Verdict.At // it is made afresh at each choice
		if first := i.at("located"); !s.seen[i.ID+" located"] {
			at = first
		}
		s.seen[i.ID+" located"] = true
		add("located "+i.Verdict.place(), at, "located", "%s (target %s)", i.Verdict, term.Seconds(locateTarget))
	}
	for n, d := range i.Decisions {
		add(fmt.Sprint("decision ", n), d.At, "decided", "%s", d)
	}
	for _, r := range i.Runs {
		for n, st := range r.Steps {
			if st.Outcome != "" {
				add(fmt.Sprint(r.ID, " step ", n), st.FinishedAt, actWord(st.Phase), "%s: %s", st.What, st.Outcome)
			}
		}
		add(r.ID+" end", r.EndedAt, "verified", "%s", r)
	}
	switch i.State {
	case "recovered":
		add("recovered", lastOf(i, "recovered", "verified"), "recovered", "the proof of the service has held (target %s)", term.Seconds(recoverTarget))
	case "with_human":
		add("with human "+i.Reason, time.Now(), "handed over", "%s", "to people: "+i.Reason)
	}
	return events
}

// actWord names a step by its phase.
func actWord(phase string) string {
	if phase == "undo" {
		return "put back"
	}
	return "acted"
}

// lastOf is the latest of some instants.
func lastOf(i incident, names ...string) (at time.Time) {
	for _, name := range names {
		if t := i.at(name); t.After(at) {
			at = t
		}
	}
	return at
}

// place is where the fault lies.
func (v verdict) place() string {
	return strings.TrimSpace(v.Scope + " " + strings.Join(v.Members, ", "))
}

// String says where the fault lies and why.
func (v verdict) String() string {
	text := v.place()
	for _, e := range v.Evidence {
		text += "; " + e
	}
	return text
}

// String says what was chosen and why.
func (d decision) String() string {
	text := fmt.Sprintf("rung %d", d.Rung+1)
	if d.Plan != "" {
		text += ": " + d.Plan
	}
	if d.Target != "" {
		text += " on " + d.Target
	}
	text += " -> " + d.Verb
	if d.Code != d.Verb {
		text += " (" + d.Code + ")"
	}
	for _, name := range slices.Sorted(maps.Keys(d.Numbers)) {
		switch d.Numbers[name].(type) {
		case string, float64, bool: // what was asked of Prometheus in detail stands in the review
			text += fmt.Sprintf(" %s=%v", name, d.Numbers[name])
		}
	}
	return shorten(text, 150)
}

// shorten keeps a line on a screen; the whole stands in the review.
func shorten(text string, most int) string {
	if runes := []rune(oneLine(text)); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return oneLine(text)
}

// String says how a run ended and by which proof.
func (r healRun) String() string {
	good := 0
	for _, s := range r.Samples {
		if s.Answer == "good" {
			good++
		}
	}
	text := fmt.Sprintf("%s on %s has %s", r.Plan, r.Target, r.State)
	if r.Purpose == "put_back" {
		text = fmt.Sprintf("putting %s back has %s", r.Target, r.State)
	}
	if r.Reason != "" && r.Reason != "act" {
		text += " (" + r.Reason + ")"
	}
	return fmt.Sprintf("%s; %d of %d answers behind the fence were good", text, good, len(r.Samples))
}
