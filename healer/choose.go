package healer

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/onefiveten/onefiveten/healer/plan"
)

// The names of our own alerts that mean more than any other alert.
const (
	alertLocated  = "FaultLocated"
	alertObserver = "ObserverFault"
	alertWatchdog = "Watchdog"
)

// eventAlerts belong to an incident and start nothing.
var eventAlerts = []string{"FaultNotLocated", "RecoveryOverdue", alertObserver, alertWatchdog}

// desk is what the pure steps need beside the case: the configuration and a
// source of ids.
type desk struct {
	book   *plan.Book
	id     func() string
	gather time.Duration // used where the book has none
	risk   bool          // mode auto may act although guards are not built
	// toldBefore reports whether a message was said by this process already; it
	// spares the audit trail what the store would drop. nil = never.
	toldBefore func(dedup string) bool
}

// facts are the answers of the world that a choice rests on, asked shortly
// before it. What was not asked is CannotTell or an error text.
type facts struct {
	Began time.Time // when asking began, by the wall clock: a process that is stopped must see that time has passed

	Members    []member
	MembersErr string

	Healthy        Answer // the service's own proof, once
	HealthyNumbers string

	Watch watch // the proof over time, watched while no trigger is open

	Confirmed        Answer // corroboration
	ConfirmedNumbers string

	When        Answer // all of the plan's conditions
	WhenNumbers string
	Rung        string // which plan and target When was asked for

	Muted    map[string]string // source/fingerprint → muted by, of what Alertmanager shows as firing
	Asked    map[string]bool   // sources that have answered
	MutedErr string            // a source whose peers do not answer

	Veto     string   // an ObserverFault that names no service
	Chain    []string // earlier incidents whose attempts count
	ChainErr string   // they cannot be read
	Taken    bool     // the store refused the claim: lock or slot was taken meanwhile
}

// choice is what is to be done next: scenario, verdict, rung, plan, member and
// target. If Code is set the choice ended there with it.
type choice struct {
	Scenario *plan.Scenario
	Verdict  Verdict
	Lead     *Episode // the leading trigger

	Rung    plan.Rung
	Plan    *plan.Plan
	Service *plan.Service
	Member  map[string]string
	Target  string
	Data    plan.Data

	Verb    Verb
	Code    Code
	Numbers map[string]any
}

// end finishes a choice early.
func (k *choice) end(v Verb, code Code, numbers map[string]any) *choice {
	k.Verb, k.Code, k.Numbers = v, code, numbers
	return k
}

// choose makes scenario, verdict and rung afresh (HEALING 5).
func (d desk) choose(c *Case, f facts) *choice {
	k := &choice{}
	k.Scenario, k.Lead = d.scenario(c, c.Now)
	if k.Scenario == nil {
		return k.end(verbRefuse, codeNoScenario, map[string]any{"triggers": names(c.triggers(c.Now))})
	}
	var code Code
	if k.Verdict, code = d.verdict(c, k.Scenario); code != "" {
		return k.end(verbRefuse, code, map[string]any{"verdict": k.Verdict.Evidence})
	}
	d.lead(c, k)
	ladder := k.Scenario.Ladders[string(k.Verdict.Scope)]
	if c.Incident.Rung >= len(ladder) {
		return d.ladderEnd(c, k, len(ladder))
	}
	k.Rung = ladder[c.Incident.Rung]
	k.Plan, k.Service = d.book.Plans[k.Rung.Plan], d.book.Services[c.Incident.Service]
	if k.Plan == nil || k.Service == nil {
		return k.end(verbNotApplicable, codeDisabled, map[string]any{"plan": k.Rung.Plan, "configured": false})
	}
	if !k.Plan.Enabled || !k.Service.Enabled {
		return k.end(verbNotApplicable, codeDisabled, map[string]any{"plan_enabled": k.Plan.Enabled, "service_enabled": k.Service.Enabled})
	}
	if k.Plan.Member {
		return d.chooseMember(c, k, f)
	}
	return d.aim(c, k, nil)
}

// ladderEnd says why there is no rung: nothing was located, or all were tried.
func (d desk) ladderEnd(c *Case, k *choice, rungs int) *choice {
	code := codeLadderEnd
	if k.Verdict.Scope == scopeUnknown && rungs == 0 {
		code = codeNotLocated
	}
	return k.end(verbRefuse, code, map[string]any{"scope": k.Verdict.Scope, "rung": c.Incident.Rung, "rungs": rungs})
}

// triggers are the trigger episodes that were open at an instant, oldest first.
func (c *Case) triggers(at time.Time) []*Episode {
	var open []*Episode
	for i := range c.Episodes {
		e := &c.Episodes[i]
		if e.Trigger && !e.OpenedAt.After(at) && (e.ClosedAt.IsZero() || e.ClosedAt.After(at)) {
			open = append(open, e)
		}
	}
	return open
}

// scenario is the first in the order of the book that matches an open trigger,
// and that trigger. While none is open the one chosen before stays.
func (d desk) scenario(c *Case, at time.Time) (*plan.Scenario, *Episode) {
	var best *plan.Scenario
	var lead *Episode
	for _, e := range c.triggers(at) {
		s := d.book.Scenario(e.Labels)
		if s != nil && (best == nil || slices.Index(d.book.Scenarios, s) < slices.Index(d.book.Scenarios, best)) {
			best, lead = s, e
		}
	}
	// What was foreseen does not become unforeseen by going quiet.
	if best == nil && len(c.triggers(at)) == 0 {
		best = d.known(c.Incident.Scenario)
	}
	return best, lead
}

// known finds a scenario by its name; nil if it has left the configuration.
func (d desk) known(name string) *plan.Scenario {
	for _, s := range d.book.Scenarios {
		if s.Name == name && s.Enabled {
			return s
		}
	}
	return nil
}

// claims are the open triggers that say where the fault lies: FaultLocated, or
// with a scope of the scenario's own every trigger that it matches.
func (d desk) claims(c *Case, s *plan.Scenario, at time.Time) []*Episode {
	own := s != nil && s.Scope != "" && s.Scope != "located"
	open := slices.DeleteFunc(c.triggers(at), func(e *Episode) bool {
		if own {
			return d.book.Scenario(e.Labels) != s
		}
		return e.Labels["alertname"] != alertLocated
	})
	if own {
		return open
	}
	all := slices.Clone(open)
	return slices.DeleteFunc(open, func(e *Episode) bool {
		return slices.ContainsFunc(all, func(later *Episode) bool { return d.supersedes(later, e) })
	})
}

// supersedes: at one evaluation the rules locate a fault of one signal in nodes, or
// in groups of nodes, or in the service as a whole. Where two of these fire, the
// older is only kept by keep_firing_for; the later one holds. Only instants of one
// source's clock are compared.
func (d desk) supersedes(later, e *Episode) bool {
	wide := func(x *Episode) int { return width(Scope(d.book.Map(x.Labels).Scope)) }
	return later.Source == e.Source && later.Labels["signal"] == e.Labels["signal"] && wide(later) != wide(e) && later.StartsAt.After(e.StartsAt)
}

// width orders scopes: nodes, groups of nodes by whatever label, the service.
func width(s Scope) int {
	switch s {
	case scopeNode:
		return 0
	case scopeService:
		return 2
	}
	return 1
}

// verdict says where the fault lies by the open claims. Claims of different
// scopes disagree.
func (d desk) verdict(c *Case, s *plan.Scenario) (Verdict, Code) {
	v := Verdict{Scope: scopeUnknown, At: c.Now}
	var scopes []Scope
	for _, e := range d.claims(c, s, c.Now) {
		mapped := d.book.Map(e.Labels)
		scope := Scope(mapped.Scope)
		if s.Scope != "" && s.Scope != "located" {
			scope = Scope(s.Scope)
		}
		if !slices.Contains(scopes, scope) {
			scopes = append(scopes, scope)
		}
		if scope != scopeService && mapped.Member != "" && !slices.Contains(v.Members, mapped.Member) {
			v.Members = append(v.Members, mapped.Member)
		}
		v.Evidence = append(v.Evidence, evidence(e, scope, mapped.Member))
	}
	slices.Sort(v.Members)
	if len(scopes) > 1 {
		return v, codeVerdictDisagrees
	}
	switch {
	case len(scopes) == 0 || scopes[0] == "" || scopes[0] == scopeUnknown:
	case slices.Contains([]Scope{scopeNode, scopeZone, scopeVersion, scopeService}, scopes[0]):
		v.Scope, v.Confidence = scopes[0], 1
	default: // located, but where no ladder reaches: the one of unknown is not meant for it
		return v, codeLadderEnd
	}
	return v, ""
}

// evidence is one line for one claim.
func evidence(e *Episode, scope Scope, member string) string {
	text := fmt.Sprintf("%s: scope %s", e.Labels["alertname"], scope)
	if member != "" {
		text += ", member " + member
	}
	if said := e.Annotations["evidence"]; said != "" {
		text += ": " + said
	}
	return text
}

// lead chooses the leading trigger: the first claim of the verdict, or else the
// first trigger of the scenario.
func (d desk) lead(c *Case, k *choice) {
	if claims := d.claims(c, k.Scenario, c.Now); len(claims) > 0 {
		k.Lead = claims[0]
	}
}

// leadOf finds the leading trigger as it was when a run was made, so that its
// steps are rendered alike to the end.
func (d desk) leadOf(c *Case, r *Run) *Episode {
	at := r.CreatedAt
	s, lead := d.scenario(c, at)
	claims := d.claims(c, s, at)
	if len(claims) > 0 {
		lead = claims[0]
	}
	if service := d.book.Services[c.Incident.Service]; service != nil && len(r.Member) > 0 {
		return d.claimOf(claims, r.Member[service.MemberBy], lead)
	}
	return lead
}

// claimOf finds the claim that names a member, or else the one given.
func (d desk) claimOf(claims []*Episode, member string, otherwise *Episode) *Episode {
	for _, e := range claims {
		if d.book.Map(e.Labels).Member == member {
			return e
		}
	}
	return otherwise
}

// chooseMember looks the located names up among the members and picks the one
// to be treated now.
func (d desk) chooseMember(c *Case, k *choice, f facts) *choice {
	if f.MembersErr != "" {
		return k.end(verbRefuse, codeCannotTell, map[string]any{"members": f.MembersErr})
	}
	if len(k.Verdict.Members) == 0 {
		return k.end(verbRefuse, codeUnknownMember, map[string]any{"located": 0, "scope": k.Verdict.Scope})
	}
	if n := len(k.Verdict.Members); n > k.Plan.Each {
		return k.end(verbRefuse, codeTooManyMembers, map[string]any{"located": n, "max": k.Plan.Each, "members": k.Verdict.Members})
	}
	located, unknown := lookUp(k.Verdict.Members, f.Members, k.Service.MemberBy)
	if unknown != "" {
		return k.end(verbRefuse, codeUnknownMember, map[string]any{"located": unknown, "member_by": k.Service.MemberBy, "members": len(f.Members)})
	}
	// Members are treated one after the other: the first that was not tried yet, or
	// the last one, whose spent attempts then end the rung.
	first := *k
	for i, m := range located {
		try := first
		d.aim(c, &try, m.Labels)
		if i == 0 || (k.Code == "" && c.tried(k.Plan.Name, k.Target)) {
			*k = try
		}
	}
	return k
}

// lookUp finds each located name among the members, worst first: the unhealthy
// before the healthy, then by name. It names the first that is none of them or
// more than one.
func lookUp(located []string, members []member, by string) (found []member, unknown string) {
	for _, name := range located {
		var same []member
		for _, m := range members {
			if m.Labels[by] == name {
				same = append(same, m)
			}
		}
		if len(same) != 1 {
			return nil, name
		}
		found = append(found, same[0])
	}
	slices.SortStableFunc(found, func(a, b member) int { return cmp.Compare(rank(a), rank(b)) })
	return found, ""
}

// rank puts the unhealthy first.
func rank(m member) int {
	if m.Healthy {
		return 1
	}
	return 0
}

// tried reports whether this incident has had a run of the plan on the target.
func (c *Case) tried(plan, target string) bool {
	return slices.ContainsFunc(c.Runs, func(r Run) bool {
		return r.Plan == plan && r.Target == target && r.Purpose != purposePutBack && r.counts()
	})
}

// counts reports whether a run did or may have done something.
func (r *Run) counts() bool {
	switch r.State {
	case runCancelled, runRefused, runExpired, runSimulated, runAwaiting, runReady:
		return false
	}
	return true
}

// aim renders the target and everything that the run would send, so that no
// value that does not fit is found after the first step.
func (d desk) aim(c *Case, k *choice, member map[string]string) *choice {
	k.Member = member
	if member != nil {
		k.Lead = d.claimOf(d.claims(c, k.Scenario, c.Now), member[k.Service.MemberBy], k.Lead)
	}
	k.Data = data(c, k.Service, member, k.Lead)
	// Judged is what will be sent: the incident as this choice makes it, and for the run,
	// which is not born yet, values of its form.
	k.Data.Incident.Scenario, k.Data.Incident.Scope = k.Scenario.Name, string(k.Verdict.Scope)
	k.Data.Run.ID, k.Data.Run.Attempt, k.Data.Run.Fence = unborn, 1, 1
	target, err := k.Plan.Target(k.Data)
	if err != nil {
		return k.refusal(err)
	}
	if kind, name, _ := strings.Cut(target, ":"); kind == "" || name == "" {
		return k.end(verbRefuse, codeEmptyTarget, map[string]any{"target": target})
	}
	k.Target = target
	return k
}

// unborn stands for the id of a run while its plan is judged.
const unborn = "unborn"

// refusal turns a Refusal of a plan into the end of a choice.
func (k *choice) refusal(err error) *choice {
	code := codeUnsafeValue
	var r *plan.Refusal
	if errors.As(err, &r) {
		code = Code(r.Code)
	}
	return k.end(verbRefuse, code, map[string]any{"why": err.Error()})
}

// data is what templates see for an incident; the run's part comes later.
func data(c *Case, s *plan.Service, member map[string]string, lead *Episode) plan.Data {
	in := c.Incident
	x := plan.Data{Service: s, Member: member}
	if lead != nil {
		x.Labels, x.Annotations = lead.Labels, lead.Annotations
	}
	x.Incident.ID, x.Incident.Scenario, x.Incident.Scope = in.ID, in.Scenario, string(in.Scope)
	x.Incident.Severity, x.Incident.Round = in.Severity, in.Round
	x.Incident.FaultStart, x.Incident.OpenedAt = in.FaultStart.Unix(), in.OpenedAt.Unix()
	return x
}

// names lists the alerts of episodes, for people.
func names(episodes []*Episode) []string {
	list := make([]string, 0, len(episodes))
	for _, e := range episodes {
		list = append(list, e.Labels["alertname"])
	}
	return list
}
