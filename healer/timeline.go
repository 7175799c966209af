package healer

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// moment is one line of an incident's story: an instant by name, a decision, a
// step, a proof, a mitigation. Text may hold words of others, quoted.
type moment struct {
	At   time.Time
	What string // instant, decision, run, step, proof, mitigation
	Text string
}

// timeline tells an incident in the order in which it happened, as far as it
// has come.
func timeline(c *Case) []moment {
	var list []moment
	add := func(at time.Time, what, format string, args ...any) {
		if !at.IsZero() {
			list = append(list, moment{At: at, What: what, Text: fmt.Sprintf(format, args...)})
		}
	}
	for _, i := range c.Instants {
		round := ""
		if i.Round > 0 {
			round = fmt.Sprintf(" (round %d)", i.Round)
		}
		add(i.At, "instant", "%s%s, by %s", i.Name, round, i.Source)
	}
	for _, x := range c.Decisions {
		add(x.At, "decision", "%s", decisionText(x))
	}
	for i := range c.Runs {
		runMoments(&c.Runs[i], add)
	}
	for _, m := range c.Mitigations {
		add(m.Since, "mitigation", "%s on %s may be in place from now on", m.Kind, m.Target)
		add(m.ReleasedAt, "mitigation", "%s on %s released by %s", m.Kind, m.Target, quoted(m.ReleasedBy))
	}
	slices.SortStableFunc(list, func(a, b moment) int { return a.At.Compare(b.At) })
	return list
}

// runMoments tells one run: its steps with their outcomes, and where the proof
// changed its answer.
func runMoments(r *Run, add func(at time.Time, what, format string, args ...any)) {
	if r.Purpose == purposePutBack {
		add(r.CreatedAt, "run", "put back %s, asked by %s", r.Target, quoted(r.AskedBy))
	}
	for _, s := range r.Steps {
		outcome := "in doubt: no outcome"
		if s.Outcome != "" {
			outcome = fmt.Sprintf("%s after %s", s.Outcome, s.FinishedAt.Sub(s.IntentAt))
		}
		add(s.IntentAt, "step", "%s %d try %d: %s: %s", s.Phase, s.N+1, s.Try, quoted(s.What), outcome)
	}
	for i, x := range r.Samples {
		if i == 0 || r.Samples[i-1].Answer != x.Answer {
			add(x.At, "proof", "proof answers %s", x.Answer)
		}
	}
	add(r.EndedAt, "run", "%s on %s ended %s", r.Plan, r.Target, r.State)
}

// decisionText says one decision in a line.
func decisionText(x Decision) string {
	text := fmt.Sprintf("%s (%s): %s", x.Verb, x.Code, meaning(x.Code))
	if x.Plan != "" {
		text = fmt.Sprintf("rung %d %s %s: %s", x.Rung+1, x.Plan, x.Target, text)
	}
	if x.Repeats > 0 {
		text += fmt.Sprintf(", %d times more until %s", x.Repeats, stamp(x.LastAt))
	}
	return text
}

// quoted keeps what others wrote in one line.
func quoted(text string) string {
	return "“" + strings.Join(strings.Fields(text), " ") + "”"
}
