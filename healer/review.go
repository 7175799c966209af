package healer

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/onefiveten/onefiveten/healer/plan"
)

// Review writes the review of an incident in Markdown, as the function Review
// does.
func (e *Engine) Review(ctx context.Context, incident string) (string, error) {
	return Review(ctx, e.Store, e.Book(), incident)
}

// Review writes the review of an incident in Markdown: what was known, decided
// and done, the clocks, what is still held, and the part that people fill in.
// What others wrote stands in code spans: no link and no mention of it expands.
// It reads the store alone, which may be opened for reading only; the book
// gives the targets.
func Review(ctx context.Context, s Store, b *plan.Book, incident string) (string, error) {
	c, err := s.Read(ctx, incident)
	if err != nil {
		return "", fmt.Errorf("review incident %s: %w", incident, err)
	}
	entries, err := s.Audit(ctx, incident, 0, 10_000)
	if err != nil {
		return "", fmt.Errorf("review incident %s: read its audit trail: %w", incident, err)
	}
	counts, err := s.Counts(ctx)
	if err != nil {
		return "", fmt.Errorf("review incident %s: read the head of the audit trail: %w", incident, err)
	}
	return review(c, entries, counts, desk{book: b}.targets(c)), nil
}

// page is a Markdown text under construction.
type page struct{ strings.Builder }

// line adds one line.
func (p *page) line(format string, args ...any) { fmt.Fprintf(p, format+"\n", args...) }

// head begins a section.
func (p *page) head(title string) { p.line("\n## %s\n", title) }

// review is the whole text.
func review(c *Case, entries []Entry, counts Counts, targets plan.Targets) string {
	p := &page{}
	reviewHead(p, c)
	for round := 0; round <= c.Incident.Round; round++ {
		reviewRound(p, c, round, targets)
	}
	reviewVerdict(p, c)
	reviewTimeline(p, c)
	reviewDecisions(p, c)
	reviewRuns(p, c)
	reviewHeld(p, c)
	reviewSaid(p, entries)
	p.head("Audit trail")
	p.line("Head at the time of this review: entry %d, %s. Entries of this incident: %d.", counts.AuditSeq, code(counts.AuditHash), len(entries))
	p.head("For people to fill in")
	p.line("- Cause:\n- What went well, what did not:\n- Lessons:\n- Actions (what, owner, until when):")
	return p.String()
}

// reviewHead says what the incident is, how it stands and which alerts told of it.
// The uncertainty of the fault's start stands beside it: a clock is only as good as
// its beginning.
func reviewHead(p *page, c *Case) {
	in := c.Incident
	p.line("# Incident %s\n", code(in.ID))
	p.line("- Service: %s of cluster %s", code(in.Service), code(in.Cluster))
	p.line("- Scenario: %s, severity P%d", code(orNone(in.Scenario)), in.Severity)
	p.line("- State: %s%s", in.State, because(in.Reason))
	p.line("- Fault start: %s (by %s, uncertain by %s)", stamp(in.FaultStart), code(in.FaultStartSource), in.FaultStartError)
	if in.AckedBy != "" {
		p.line("- Acknowledged by %s at %s", code(in.AckedBy), stamp(in.AckedAt))
	}
	if !in.ClosedAt.IsZero() {
		p.line("- Closed at %s: %s", stamp(in.ClosedAt), code(in.CloseReason))
	}
	if in.Previous != "" {
		p.line("- Follows incident %s", code(in.Previous))
	}
	p.line("- Alerts:")
	for _, e := range c.Episodes {
		ended := "open"
		if !e.ClosedAt.IsZero() {
			ended = e.CloseReason + " " + stamp(e.ClosedAt)
		}
		summary := ""
		if text := e.Annotations["summary"]; text != "" {
			summary = ": " + code(text)
		}
		p.line("  - %s since %s, %s%s", code(e.Labels["alertname"]), stamp(e.StartsAt), ended, summary)
	}
}

// because gives a reason with its words, or nothing.
func because(why Code) string {
	if why == "" {
		return ""
	}
	return fmt.Sprintf(" (%s: %s)", why, meaning(why))
}

// orNone says so where there is nothing to say.
func orNone(text string) string {
	if text == "" {
		return "none"
	}
	return text
}

// reviewRound writes the instants and the clocks of one round, both readings.
func reviewRound(p *page, c *Case, round int, targets plan.Targets) {
	p.head(fmt.Sprintf("Round %d: instants and clocks", round))
	var list []Instant
	for _, i := range c.Instants {
		if i.Round == round {
			list = append(list, i)
		}
	}
	slices.SortStableFunc(list, func(a, b Instant) int { return a.At.Compare(b.At) })
	start := c.instantOf(round, "fault_start")
	for _, i := range list {
		p.line("- %s %s (%+.1fs), by %s", stamp(i.At), i.Name, i.At.Sub(start).Seconds(), code(i.Source))
	}
	p.line("\n| clock | from | took | target | |\n|---|---|---|---|---|")
	for _, r := range readings(c, round, targets) {
		p.line("| %s | %s | %.1fs | %s | %s |", r.Stage, r.From, r.Took.Seconds(), r.Target, verdictOf(r))
	}
	p.line("\nThe readings from the fault's start decide.")
}

// verdictOf says how a clock ended. One that is open past its deadline is missed,
// so that a fault which never ends is not left out of the count.
func verdictOf(r clockReading) string {
	switch {
	case r.Missed && r.Open:
		return "**missed**, still open"
	case r.Missed:
		return "**missed**"
	case r.Open:
		return "open"
	}
	return "met"
}

// reviewVerdict says where the fault lay and which claims said so.
func reviewVerdict(p *page, c *Case) {
	v := c.Incident.Verdict
	p.head("Where the fault lay")
	if v.Scope == "" {
		p.line("Nothing was located.")
		return
	}
	p.line("Scope %s, confidence %.2f, at %s.\n", v.Scope, v.Confidence, stamp(v.At))
	for _, m := range v.Members {
		p.line("- member %s", code(m))
	}
	for _, line := range v.Evidence {
		p.line("- %s", code(line))
	}
}

// reviewTimeline tells the whole in the order in which it happened; the sections
// behind it say each thing with its numbers.
func reviewTimeline(p *page, c *Case) {
	p.head("In order")
	for _, m := range timeline(c) {
		p.line("- %s %s: %s", stamp(m.At), m.What, code(m.Text))
	}
}

// reviewDecisions lists every judgement, those that did not act too, each with the
// numbers compared: a refusal without its numbers teaches nobody anything.
func reviewDecisions(p *page, c *Case) {
	p.head("Decisions")
	if len(c.Decisions) == 0 {
		p.line("None was made.")
	}
	for _, x := range c.Decisions {
		p.line("- %s round %d: **%s** (%s: %s)%s", stamp(x.At), x.Round, x.Verb, x.Code, meaning(x.Code), onRung(x))
		if x.Repeats > 0 {
			p.line("  - the same %d times more until %s", x.Repeats, stamp(x.LastAt))
		}
		if len(x.Numbers) > 0 {
			p.line("  - numbers: %s", code(asJSON(x.Numbers)))
		}
	}
}

// onRung names the rung that a decision was about, counted from 1 as people do;
// without a plan there was none.
func onRung(x Decision) string {
	if x.Plan == "" {
		return ""
	}
	text := fmt.Sprintf(", rung %d, plan %s", x.Rung+1, code(x.Plan))
	if x.Target != "" {
		text += " on " + code(x.Target)
	}
	return text
}

// reviewRuns lists what was done: intents with their outcomes, both fences, and
// every sample of the proof.
func reviewRuns(p *page, c *Case) {
	p.head("Runs")
	if len(c.Runs) == 0 {
		p.line("Nothing was done.")
	}
	for i := range c.Runs {
		r := &c.Runs[i]
		p.line("- %s %s: %s on %s%s, mode %s%s: **%s**%s", stamp(r.CreatedAt), r.Purpose, code(r.Plan), code(r.Target),
			attemptOf(r), r.Mode, askedBy(r), r.State, because(r.Reason))
		p.line("  - run %s, plan hash %s", code(r.ID), code(r.PlanHash))
		for _, s := range r.Steps {
			p.line("  - step %s %d, try %d, claim fence %d at %s: %s: %s", s.Phase, s.N+1, s.Try, s.Fence, stamp(s.IntentAt), code(s.What), outcomeOf(s))
		}
		if !r.FenceAt.IsZero() {
			p.line("  - time fence %s", stamp(r.FenceAt))
		}
		reviewProof(p, r.Samples)
	}
}

// reviewProof asks each question once, by a letter, and then gives every sample in
// one line: what differs from one to the next is what a reader looks for.
func reviewProof(p *page, samples []Sample) {
	var asked []string
	for _, x := range samples {
		var all []reading
		if err := json.Unmarshal([]byte(x.Numbers), &all); err != nil {
			p.line("  - proof at %s: %s %s", stamp(x.At), x.Answer, code(x.Numbers)) // of an older program
			continue
		}
		questions, got := make([]string, len(all)), make([]string, len(all))
		for i, r := range all {
			questions[i] = fmt.Sprintf("%s %s", code(r.Query), code(r.Want))
			got[i] = fmt.Sprintf("; %s %s%s", letter(i), code(strings.Join(r.Got, ", ")), unless(r))
		}
		if !slices.Equal(asked, questions) {
			for i, q := range questions {
				p.line("  - proof asks %s: %s", letter(i), q)
			}
			asked = questions
		}
		p.line("  - proof at %s: %s%s", stamp(x.At), x.Answer, strings.Join(got, ""))
	}
}

// letter names the question i: A to Z, then by its number.
func letter(i int) string {
	if i < 26 {
		return string(rune('A' + i))
	}
	return fmt.Sprintf("Q%d", i+1)
}

// unless says why a reading is not good.
func unless(r reading) string {
	if r.Answer == Good {
		return ""
	}
	return fmt.Sprintf(" %s: %s", r.Answer, code(r.Why))
}

// attemptOf counts the tries of a rung; what puts back is no try.
func attemptOf(r *Run) string {
	if r.Purpose == purposePutBack {
		return ""
	}
	return fmt.Sprintf(", attempt %d", r.Attempt)
}

// askedBy names the person who asked for a run.
func askedBy(r *Run) string {
	if r.AskedBy == "" {
		return ""
	}
	return ", asked by " + code(r.AskedBy)
}

// outcomeOf says how a step ended. An intent without outcome is a doubt, and reads
// like one.
func outcomeOf(s Step) string {
	if s.Outcome == "" {
		return "no outcome, in doubt"
	}
	return fmt.Sprintf("%s after %.1fs", s.Outcome, s.FinishedAt.Sub(s.IntentAt).Seconds())
}

// reviewHeld lists what is still in place first: it is work that is left to do.
func reviewHeld(p *page, c *Case) {
	p.head("What is still held")
	held := c.remaining()
	if len(held) == 0 {
		p.line("Nothing.")
	}
	for _, m := range held {
		p.line("- %s on %s, %s since %s (mitigation %s)", m.Kind, code(m.Target), m.State, stamp(m.Since), code(m.ID))
	}
	for _, m := range c.Mitigations {
		if m.State == mitReleased {
			p.line("- released: %s on %s at %s by %s", m.Kind, code(m.Target), stamp(m.ReleasedAt), code(m.ReleasedBy))
		}
	}
}

// reviewSaid lists what people were told and what they did, of the audit trail.
func reviewSaid(p *page, entries []Entry) {
	p.head("Told, handed over, done by people")
	some := false
	for _, x := range entries {
		kind, isSaid := strings.CutPrefix(x.Event, "said_")
		var body struct {
			Text string   `json:"text"`
			To   []string `json:"to"`
		}
		switch {
		case isSaid:
			// The body is our own, but a journal may be older than this program.
			_ = json.Unmarshal([]byte(x.Body), &body) // a body of another shape has no text to show
			p.line("- %s %s to %s: %s", stamp(x.At), kind, code(strings.Join(body.To, ", ")), code(body.Text))
		case x.Actor != machine:
			p.line("- %s %s by %s", stamp(x.At), x.Event, code(x.Actor))
		default:
			continue
		}
		some = true
	}
	if !some {
		p.line("Nothing.")
	}
}

// code puts what others wrote into a code span of one line, in which neither
// markup nor links nor mentions work.
func code(text string) string {
	text = strings.Join(strings.Fields(strings.ReplaceAll(text, "`", "'")), " ")
	if text == "" {
		text = "-"
	}
	return "`" + text + "`"
}
