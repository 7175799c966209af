package healer

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/onefiveten/onefiveten/healer/plan"
)

// maker is who a run is born to: the claim that its driver starts with.
type maker struct {
	Owner string
	Lease time.Duration
}

// decide makes the next decision over an incident in deciding and carries it
// out on the case: the row, the state, and with act the run with its claim,
// locks and slots, all in the transaction that the case belongs to. It gives
// the id of a run that is to be driven, or "".
func (d desk) decide(c *Case, f facts, m maker) (string, error) {
	d.heard(c)
	if f.Watch.Good && len(c.triggers(c.Now)) == 0 {
		return "", d.recovered(c, onSelfRecovered, codeSelfRecovered, f.Watch.Since)
	}
	k := d.choose(c, f)
	if k.Scenario != nil {
		c.Incident.Scenario = k.Scenario.Name
	}
	if f.Healthy == Good && !d.firing(c, f) || d.notYet(c, k) {
		return "", c.step(onLook, "", c.Now.Add(look), "")
	}
	if len(c.triggers(c.Now)) == 0 {
		k.Code, k.Rung = "", plan.Rung{}
		r, err := judgeFiring(d, c, k, f)
		if err != nil {
			return "", err
		}
		return d.apply(c, k, r, m)
	}
	c.Incident.Verdict, c.Incident.Scope = k.Verdict, k.Verdict.Scope
	if k.Code == codeLadderEnd || k.Code == codeNotLocated {
		return "", d.handOver(c, onHandOver, k.Code, noRung(k.Verdict, k.Code), "")
	}
	r, err := d.judge(c, k, f)
	if err != nil {
		return "", err
	}
	return d.apply(c, k, r, m)
}

// noRung says why the ladder gives nothing. What others wrote is quoted.
func noRung(v Verdict, why Code) string {
	if v.Scope == scopeUnknown && why == codeLadderEnd && len(v.Evidence) > 0 {
		return fmt.Sprintf("no ladder can stand for where the fault was located: %q", v.Evidence)
	}
	return "no rung is left on the ladder of scope " + string(v.Scope)
}

// firing reports whether any trigger is open, and shown as firing where
// Alertmanager was asked. While none is and the proof is good for the moment,
// the fault may be over: the rung's patience bounds the look.
func (d desk) firing(c *Case, f facts) bool {
	return slices.ContainsFunc(c.triggers(c.Now), func(e *Episode) bool {
		_, active := f.Muted[e.Source+"/"+e.Fingerprint]
		return active || !f.Asked[e.Source]
	})
}

// notYet reports whether a relapse has not been located yet, or not all of it has
// been gathered: the proof is quicker than the rules, and of three bad members the
// first is located alone. The locate deadline of the round, or the gather, bounds it.
func (d desk) notYet(c *Case, k *choice) bool {
	in := &c.Incident
	if in.Round == 0 || k.Scenario == nil {
		return false
	}
	until := d.readyToChoose(c)
	if k.Verdict.Scope == scopeUnknown && k.Code != codeVerdictDisagrees {
		until = d.locateDeadline(c)
	}
	if !until.After(c.Now) {
		return false
	}
	in.WaitUntil = latest(in.WaitUntil, until.Add(look))
	return true
}

// apply records a ruling and does what it says.
func (d desk) apply(c *Case, k *choice, r ruling, m maker) (string, error) {
	row := d.record(c, k, r)
	switch r.Verb {
	case verbAct:
		return d.act(c, k, row, m)
	case verbWait:
		if r.Code == codeSilenced || r.Code == codeInhibited {
			d.tell(c, "muted", string(r.Code), "all alerts that the action rests on are "+string(r.Code)+": nothing is done while they are")
		}
		return "", c.step(onWait, r.Code, r.Next, "")
	case verbNotApplicable:
		return "", d.nextRung(c, r.Code)
	case verbWouldAct:
		return "", d.wouldAct(c, k, row, r)
	}
	if slices.Contains(k.Rung.Next, string(r.Code)) {
		return "", d.nextRung(c, r.Code)
	}
	return "", d.handOver(c, onHandOver, r.Code, meaning(r.Code), "")
}

// nextRung goes on with the ladder; the new rung has its own patience.
func (d desk) nextRung(c *Case, why Code) error {
	c.Incident.Rung++
	return d.toDeciding(c, onNextRung, why)
}

// record keeps a decision; the same one again raises a counter.
func (d desk) record(c *Case, k *choice, r ruling) *Decision {
	in := c.Incident
	if n := len(c.Decisions); n > 0 {
		last := &c.Decisions[n-1]
		same := last.Round == in.Round && last.Rung == in.Rung && last.Plan == k.Rung.Plan && last.Target == k.Target
		if same && last.Verb == r.Verb && last.Code == r.Code && r.Verb != verbAct && last.Run == "" {
			last.LastAt, last.Repeats, last.Numbers, last.NextAt = c.Now, last.Repeats+1, r.Numbers, r.Next
			return last
		}
	}
	c.Decisions = append(c.Decisions, Decision{
		ID: d.id(), At: c.Now, LastAt: c.Now, Round: in.Round, Rung: in.Rung, Plan: k.Rung.Plan, Target: k.Target,
		Verb: r.Verb, Code: r.Code, Numbers: r.Numbers, NextAt: r.Next,
	})
	c.note("", "decision_"+string(r.Verb), r.Code, r.Next, map[string]any{
		"plan": k.Rung.Plan, "target": k.Target, "round": in.Round, "rung": in.Rung, "numbers": r.Numbers,
	})
	return &c.Decisions[len(c.Decisions)-1]
}

// act makes the run of a decision, running from the start and claimed by its
// maker.
func (d desk) act(c *Case, k *choice, row *Decision, m maker) (string, error) {
	r := d.newRun(c, k, purposeRung)
	r.State, r.Mode, r.Claim = runRunning, modeAuto, Claim{Owner: m.Owner, Fence: 1, LeaseUntil: c.Now.Add(m.Lease)}
	r.DueAt = c.Now.Add(actTime(k.Plan.Steps))
	r.Locks, r.Slots = locks(k.Target, c.Incident.Service), d.slots(k)
	c.Runs = append(c.Runs, r)
	row.Run = r.ID
	c.mark("planned", c.Now, "journal")
	c.noteRun("", &c.Runs[len(c.Runs)-1], "run_"+string(runRunning), codeAct, map[string]any{
		"plan": r.Plan, "target": r.Target, "attempt": r.Attempt, "plan_hash": r.PlanHash,
	})
	return r.ID, c.step(onAct, codeAct, time.Time{}, "")
}

// newRun fills what every run has.
func (d desk) newRun(c *Case, k *choice, purpose string) Run {
	text, hash := d.book.Text(k.Plan, k.Service)
	attempt := 1
	for _, r := range c.Runs {
		if r.Plan == k.Plan.Name && r.Target == k.Target {
			attempt = max(attempt, r.Attempt+1)
		}
	}
	return Run{
		ID: d.id(), Incident: c.Incident.ID, Purpose: purpose, Plan: k.Plan.Name, Kind: k.Plan.Kind,
		PlanHash: hash, PlanText: text, Target: k.Target, Member: k.Member, Attempt: attempt, Mode: modeAuto,
		NotBefore: c.Now, CreatedAt: c.Now,
	}
}

// Slack of the timers, on top of what the work itself may take.
const (
	stepGrace = 10 * time.Second // a lease outlives its step by so much
	runSlack  = 30 * time.Second // to notice that a step or a proof is over, or its owner dead
)

// actTime is how long a phase may take altogether.
func actTime(steps []plan.Step) time.Duration {
	whole := runSlack
	for _, s := range steps {
		whole += s.Timeout + stepGrace
		if s.Idempotent && s.Retries > 0 { // one owner may die and the next repeat it
			whole += s.Timeout
		}
	}
	return whole
}

// wouldAct stops at a plan that may only be looked at. dry_run renders its
// steps and leaves a run that has ended; nothing is called.
func (d desk) wouldAct(c *Case, k *choice, row *Decision, r ruling) error {
	if r.Code != codeDryRun {
		return d.handOver(c, onHandOver, r.Code, "it would act: "+k.Plan.Name+" on "+k.Target, "")
	}
	run := d.newRun(c, k, purposeRung)
	run.Mode, run.State, run.Reason, run.EndedAt = "dry_run", runSimulated, codeDryRun, c.Now
	k.Data.Run.ID, k.Data.Run.Attempt = run.ID, run.Attempt
	rendered, err := k.Plan.Render(k.Plan.Steps, k.Data)
	if err != nil {
		return err
	}
	row.Numbers = map[string]any{"target": k.Target, "steps": whats(rendered)}
	row.Run = run.ID
	c.Runs = append(c.Runs, run)
	if err := c.step(onAct, codeDryRun, time.Time{}, ""); err != nil {
		return err
	}
	return d.handOver(c, onRunUndecided, codeDryRun, "it would act: "+k.Plan.Name+" on "+k.Target, "")
}

// whats writes rendered steps for people.
func whats(steps []plan.Rendered) []string {
	list := make([]string, 0, len(steps))
	for _, s := range steps {
		list = append(list, whatOf(s))
	}
	return list
}

// whatOf writes one rendered step for people: each argument quoted where it
// would not be one word.
func whatOf(s plan.Rendered) string {
	if len(s.Exec) == 0 {
		text := s.Method + " " + s.URL
		if len(s.Body) > 0 {
			text += " " + string(s.Body)
		}
		return text
	}
	words := make([]string, 0, len(s.Exec))
	for _, w := range s.Exec {
		if w == "" || strings.ContainsFunc(w, func(r rune) bool { return r <= ' ' || r == '"' || r > '~' }) {
			w = strconv.Quote(w)
		}
		words = append(words, w)
	}
	return strings.Join(words, " ")
}
