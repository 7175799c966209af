package healer

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/onefiveten/onefiveten/healer/plan"
)

// ruling is what a guard says: the zero ruling allows.
type ruling struct {
	Verb    Verb
	Code    Code
	Next    time.Time // for wait
	Numbers map[string]any
}

// stage is one named guard of HEALING 7. One without a judge is not built yet:
// it allows, and says so.
type stage struct {
	Name  string
	judge func(d desk, c *Case, k *choice, f facts) (ruling, error)
}

// stages are the guards in the order in which they are judged: what decides
// whether the plan fits, then what needs no query, then what was asked, and the
// mode last.
func stages() []stage {
	return []stage{
		{"S14 target", judgeTarget},
		{"S13 already held", judgeHeld},
		{"S11 attempts", judgeAttempts},
		{"S1 holds", nil},
		{"S18 start-up grace", nil},
		{"S12 breaker", nil},
		{"S17 own hosts", nil},
		{"S3 lock", judgeLock},
		{"S4 in flight", judgeInFlight},
		{"S11 cooldown", judgeCooldown},
		{"S5 budget", nil},
		{"S7 storm", nil},
		{"S8 firing", judgeFiring},
		{"S8 muted", judgeMuted},
		{"S8 observer", judgeObserver},
		{"S8 blockers", nil},
		{"S8 corroboration", judgeConfirmed},
		{"S13 when", judgeWhen},
		{"S6 blast radius", judgeRolling},
		{"S15 evidence", nil},
		{"S2 demotion", nil},
		{"S2 mode", judgeMode},
	}
}

// GuardsNotBuilt names the guards that are not built yet and always allow. Mode auto
// needs the owner's word that the risk is taken.
func GuardsNotBuilt() []string {
	list := []string{"S6 blast radius"} // of its stage only no_rolling is built
	for _, s := range stages() {
		if s.judge == nil {
			list = append(list, s.Name)
		}
	}
	return list
}

// judge asks the guards in order; the first that does not allow decides.
func (d desk) judge(c *Case, k *choice, f facts) (ruling, error) {
	if k.Code != "" {
		return ruling{Verb: k.Verb, Code: k.Code, Numbers: k.Numbers}, nil
	}
	for _, s := range stages() {
		if s.judge == nil {
			continue
		}
		r, err := s.judge(d, c, k, f)
		if err != nil {
			return ruling{}, fmt.Errorf("judge guard %s of plan %s: %w", s.Name, k.Plan.Name, err)
		}
		if r.Verb != "" {
			return d.patience(c, k, r), nil
		}
	}
	return ruling{Verb: verbAct, Code: codeAct, Numbers: map[string]any{
		"members": len(f.Members), "healthy": f.Healthy, "confirmed": told(f.ConfirmedNumbers),
	}}, nil
}

// patience refuses a wait whose end is known to lie beyond max_wait.
func (d desk) patience(c *Case, _ *choice, r ruling) ruling {
	if r.Verb != verbWait || r.Next.IsZero() || !r.Next.After(c.Incident.WaitUntil) {
		return r
	}
	if r.Code == codeCooldown {
		r.Verb, r.Next = verbRefuse, time.Time{}
		return r
	}
	r.Next = c.Incident.WaitUntil
	return r
}

// judgeTarget renders all that the run would send.
func judgeTarget(_ desk, _ *Case, k *choice, _ facts) (ruling, error) {
	for _, steps := range [][]plan.Step{k.Plan.Steps, k.Plan.Undo} {
		if _, err := k.Plan.Render(steps, k.Data); err != nil {
			return refused(k, err), nil
		}
	}
	if k.Plan.Verify.Service {
		return ruling{}, nil
	}
	if _, err := k.Plan.Query(k.Plan.Verify.Query, k.Data); err != nil {
		return refused(k, err), nil
	}
	return ruling{}, nil
}

// refused is the ruling of a Refusal, for the target that was already known.
func refused(k *choice, err error) ruling {
	x := (&choice{}).refusal(err)
	x.Numbers["target"] = k.Target
	return ruling{Verb: x.Verb, Code: x.Code, Numbers: x.Numbers}
}

// judgeHeld: what is in place already would not help a second time. unknown counts
// as in place, since it may be.
func judgeHeld(_ desk, c *Case, k *choice, _ facts) (ruling, error) {
	if m := c.heldOn(k.Target, k.Plan.Kind); m != nil {
		return ruling{Verb: verbNotApplicable, Code: codeAlreadyHeld, Numbers: map[string]any{"mitigation": m.ID, "state": m.State, "since": stamp(m.Since)}}, nil
	}
	return ruling{}, nil
}

// attemptsSince is how far back the attempts of earlier incidents are counted.
const attemptsSince = 7 * 24 * time.Hour

// judgeAttempts: a plan that had its attempts on a target in this incident, or in
// those shortly before it, is passed over. Counted is what may have acted: neither
// cancelled runs nor simulated ones, and of purposes only the ladder's own.
func judgeAttempts(d desk, c *Case, k *choice, f facts) (ruling, error) {
	if f.ChainErr != "" {
		return ruling{Verb: verbRefuse, Code: codeCannotTell, Numbers: map[string]any{"earlier_incidents": f.ChainErr}}, nil
	}
	since := c.Now.Add(-attemptsSince)
	runs, err := c.World.PlanRuns(k.Plan.Name, k.Target, since)
	if err != nil {
		return ruling{}, err
	}
	for _, r := range c.Runs { // an incident may last for longer than that
		if r.Plan == k.Plan.Name && r.Target == k.Target && r.CreatedAt.Before(since) {
			runs = append(runs, r)
		}
	}
	had := c.attempts(runs, f.Chain)
	_, most := d.book.Limit(k.Plan, k.Service, 0)
	if had < most {
		return ruling{}, nil
	}
	return ruling{Verb: verbNotApplicable, Code: codeAttemptsSpent, Numbers: map[string]any{"had": had, "attempts": most}}, nil
}

// attempts counts those among runs over all incidents of the chain: closing one and
// opening the next a minute later must not give a plan its attempts anew.
func (c *Case) attempts(runs []Run, chain []string) (had int) {
	for _, r := range runs {
		mine := r.Incident == c.Incident.ID || slices.Contains(chain, r.Incident)
		if mine && r.Purpose == purposeRung && r.counts() {
			had++
		}
	}
	return had
}

// locks are the targets that a run holds: its own and its service's.
func locks(target, service string) []string {
	list := []string{target, "service:" + service}
	slices.Sort(list)
	return slices.Compact(list)
}

// judgeLock: one run at a time on a target and on a service. The store judges it
// again as a constraint; here the reason is found, so that it can be told.
func judgeLock(_ desk, c *Case, k *choice, f facts) (ruling, error) {
	if f.Taken {
		return waits(c, codeLock, map[string]any{"taken": "by another run in the same moment"}), nil
	}
	return c.locked(k.Target)
}

// locked says whether another run holds one of a target's locks.
func (c *Case) locked(target string) (ruling, error) {
	for _, t := range locks(target, c.Incident.Service) {
		holder, err := c.World.Lock(t)
		if err != nil {
			return ruling{}, err
		}
		if holder != "" {
			code := codeLock
			if r := c.run(holder); r != nil && r.Purpose == purposePutBack {
				code = codeRunActive
			}
			return waits(c, code, map[string]any{"locked": t, "run": holder}), nil
		}
	}
	if r := c.live(); r != nil && r.State != runReady {
		return waits(c, codeRunActive, map[string]any{"run": r.ID, "state": r.State}), nil
	}
	return ruling{}, nil
}

// slots are the places that a run of the plan takes.
func (d desk) slots(k *choice) []Slot {
	list := []Slot{{Scope: "all", Max: d.book.Limits.InFlight}, {Scope: "plan:" + k.Plan.Name, Max: k.Plan.Limits.InFlight}}
	return slices.DeleteFunc(list, func(s Slot) bool { return s.Max <= 0 })
}

// judgeInFlight: no more runs at once than all the caps together allow.
func judgeInFlight(d desk, c *Case, k *choice, _ facts) (ruling, error) {
	return c.full(d.slots(k))
}

// full says whether one of the caps has no free place.
func (c *Case) full(slots []Slot) (ruling, error) {
	for _, s := range slots {
		taken, err := c.World.Slots(s.Scope)
		if err != nil {
			return ruling{}, err
		}
		if taken >= s.Max {
			return waits(c, codeInFlight, map[string]any{"scope": s.Scope, "taken": taken, "max": s.Max}), nil
		}
	}
	return ruling{}, nil
}

// failuresSince is the window whose failures make a cooldown grow.
const failuresSince = 24 * time.Hour

// countless failures make a cooldown as long as it may be.
const countless = 1 << 20

// judgeCooldown: a plan rests after each run on a target, longer after failures.
// The pause counts from the end of a run, and from its beginning while it has none.
func judgeCooldown(d desk, c *Case, k *choice, _ facts) (ruling, error) {
	longest, _ := d.book.Limit(k.Plan, k.Service, countless)
	runs, err := c.World.PlanRuns(k.Plan.Name, k.Target, c.Now.Add(-max(attemptsSince, longest)))
	if err != nil {
		return ruling{}, err
	}
	failures, last := 0, time.Time{}
	for _, r := range runs {
		if r.Purpose == purposePutBack || !r.counts() {
			continue
		}
		at := latest(r.CreatedAt, r.EndedAt)
		if (r.State == runFailed || r.State == runUnresolved) && at.After(c.Now.Add(-failuresSince)) {
			failures++
		}
		last = latest(last, at)
	}
	pause, _ := d.book.Limit(k.Plan, k.Service, failures)
	if last.IsZero() || !last.Add(pause).After(c.Now) {
		return ruling{}, nil
	}
	return ruling{Verb: verbWait, Code: codeCooldown, Next: last.Add(pause), Numbers: map[string]any{
		"last": stamp(last), "cooldown_seconds": pause.Seconds(), "failures_24h": failures, "until": stamp(last.Add(pause)),
	}}, nil
}

// judgeFiring: without a firing trigger there is no reason to act, and a service
// that is not good all the same is a matter for people.
func judgeFiring(_ desk, c *Case, _ *choice, f facts) (ruling, error) {
	if len(c.triggers(c.Now)) > 0 {
		return ruling{}, nil
	}
	numbers := map[string]any{"triggers": 0, "healthy": f.Healthy, "proof": told(f.HealthyNumbers)}
	if f.Healthy == CannotTell {
		return ruling{Verb: verbRefuse, Code: codeCannotTell, Numbers: numbers}, nil
	}
	return ruling{Verb: verbRefuse, Code: codeNotFiring, Numbers: numbers}, nil
}

// judgeMuted lets an incident act while at least one of the triggers that the
// action rests on fires and is muted by nobody else.
func judgeMuted(d desk, c *Case, k *choice, f facts) (ruling, error) {
	// Any reachable peer that says muted means muted, and at least one must say
	// active: silence is the stop button that people know already.
	if f.MutedErr != "" && k.Plan.Mode == modeAuto {
		return ruling{Verb: verbRefuse, Code: codeCannotTell, Numbers: map[string]any{"alertmanager": f.MutedErr}}, nil
	}
	code, by, unknown := Code(""), []string{}, []string{}
	for _, e := range d.carriers(c, k) {
		mutedBy, shown := f.mutedBy(e)
		one := c.mutedByOthers(f, e, e.Fingerprint)
		switch {
		case !shown && k.Plan.Mode == modeAuto || one == codeCannotTell:
			unknown = append(unknown, e.Labels["alertname"])
		case one == "":
			return ruling{}, nil
		default:
			code, by = one, append(by, mutedBy)
		}
	}
	if code == "" {
		return ruling{Verb: verbRefuse, Code: codeCannotTell, Numbers: map[string]any{"alertmanager": "shows none of the triggers as active", "triggers": unknown}}, nil
	}
	return waits(c, code, map[string]any{"muted_by": by}), nil
}

// carriers are the triggers that an action rests on: those that locate what is acted
// upon, or all where nothing is located. Who silences one node's alert means that
// node, though the service's own alert still shows.
func (d desk) carriers(c *Case, k *choice) []*Episode {
	open := d.claims(c, k.Scenario, c.Now)
	if k.Member != nil {
		name := k.Member[k.Service.MemberBy]
		open = slices.DeleteFunc(open, func(e *Episode) bool { return d.book.Map(e.Labels).Member != name })
	}
	if len(open) == 0 {
		return c.triggers(c.Now)
	}
	return open
}

// mutedBy says who mutes an episode, and whether Alertmanager shows it at all.
// What it was not asked for is as the last reading left it.
func (f facts) mutedBy(e *Episode) (by string, shown bool) {
	if !f.Asked[e.Source] {
		return e.MutedBy, false
	}
	by, shown = f.Muted[e.Source+"/"+e.Fingerprint]
	return by, shown
}

// mutedByOthers says how an episode is muted. An alert that is inhibited only
// by episodes of its own incident is not muted, unless that inhibitor is: who
// mutes the one alert that still shows means to stop all of them. What no peer has
// judged, or is suppressed by nothing that is known, cannot be told. seen are the
// fingerprints on the way here, since two of ours may inhibit each other.
func (c *Case) mutedByOthers(f facts, e *Episode, seen ...string) (code Code) {
	mutedBy, _ := f.mutedBy(e)
	for _, one := range strings.Split(mutedBy, ",") {
		kind, who, _ := strings.Cut(strings.TrimSpace(one), ":")
		switch kind {
		case "":
		case "silence":
			code = codeSilenced
		case "inhibited":
			i := slices.IndexFunc(c.Episodes, func(x Episode) bool { return x.Source == e.Source && x.Fingerprint == who })
			switch {
			case i < 0:
				code = codeInhibited
			case !slices.Contains(seen, who):
				code = c.mutedByOthers(f, &c.Episodes[i], append(seen, who)...)
			}
		default:
			code = codeCannotTell
		}
		if code != "" {
			return code
		}
	}
	return ""
}

// judgeObserver: while the watcher itself is suspected its word starts nothing.
func judgeObserver(_ desk, c *Case, _ *choice, f facts) (ruling, error) {
	for _, e := range c.Episodes {
		if e.ClosedAt.IsZero() && e.Labels["alertname"] == alertObserver {
			return waits(c, codeObserverFault, map[string]any{"observer": e.Labels["observer"]}), nil
		}
	}
	if f.Veto != "" {
		return waits(c, codeObserverFault, map[string]any{"observer": f.Veto}), nil
	}
	return ruling{}, nil
}

// judgeConfirmed: Prometheus must see the fault, too. Anybody who reaches
// Alertmanager can post an alert; it has no authentication by default.
func judgeConfirmed(_ desk, _ *Case, k *choice, f facts) (ruling, error) {
	numbers := map[string]any{"prometheus": told(f.ConfirmedNumbers)}
	switch {
	case k.Plan.Mode != modeAuto || f.Confirmed == Good:
		return ruling{}, nil
	case f.Confirmed == Bad:
		return ruling{Verb: verbRefuse, Code: codeUncorroborated, Numbers: numbers}, nil
	}
	return ruling{Verb: verbRefuse, Code: codeCannotTell, Numbers: numbers}, nil
}

// judgeWhen judges the plan's own conditions. They were asked for one plan and
// target: answers for another are worth nothing.
func judgeWhen(_ desk, _ *Case, k *choice, f facts) (ruling, error) {
	if len(k.Plan.When) == 0 {
		return ruling{}, nil
	}
	numbers := map[string]any{"when": told(f.WhenNumbers)}
	switch {
	case f.Rung == k.rungKey() && f.When == Good:
		return ruling{}, nil
	case f.Rung == k.rungKey() && f.When == Bad:
		return ruling{Verb: verbNotApplicable, Code: codeWhenFalse, Numbers: numbers}, nil
	}
	return ruling{Verb: verbRefuse, Code: codeCannotTell, Numbers: numbers}, nil
}

// rungKey names what the conditions of a plan were asked for.
func (k *choice) rungKey() string {
	if k.Plan == nil {
		return ""
	}
	return k.Plan.Name + " " + k.Target
}

// judgeRolling: the members of a service plan are the symptom, hence restart and
// rollback of all need an executor that replaces a few at a time.
func judgeRolling(_ desk, _ *Case, k *choice, _ facts) (ruling, error) {
	p := k.Plan
	if p.Mode != modeAuto || p.Member || p.Rolling || (p.Kind != "restart" && p.Kind != "rollback") {
		return ruling{}, nil
	}
	return ruling{Verb: verbRefuse, Code: codeNoRolling, Numbers: map[string]any{"kind": p.Kind, "rolling": false}}, nil
}

// modeAuto is the one mode in which the machine acts by itself.
const modeAuto = "auto"

// judgeMode comes last: plans that may only be looked at are judged as if they
// acted, so that observing them shows what would be refused.
func judgeMode(d desk, _ *Case, k *choice, _ facts) (ruling, error) {
	if k.Plan.Mode == modeAuto && d.risk {
		return ruling{}, nil
	}
	switch k.Plan.Mode {
	case "dry_run":
		return ruling{Verb: verbWouldAct, Code: codeDryRun}, nil
	case "observe":
		return ruling{Verb: verbWouldAct, Code: codeObserve, Numbers: map[string]any{"target": k.Target}}, nil
	}
	return ruling{Verb: verbRefuse, Code: codeModeApprove, Numbers: map[string]any{"mode": k.Plan.Mode}}, nil
}

// waits is a wait that ends nobody knows when: it is looked at again soon.
func waits(c *Case, code Code, numbers map[string]any) ruling {
	return ruling{Verb: verbWait, Code: code, Next: c.Now.Add(look), Numbers: numbers}
}

// told keeps the JSON of an answer as it is, and any other text as text.
func told(text string) any {
	if json.Valid([]byte(text)) {
		return json.RawMessage(text)
	}
	return text
}

// stamp writes an instant for people and machines alike.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}
