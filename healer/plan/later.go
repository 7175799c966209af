package plan

import (
	"fmt"
	"slices"
)

// asked is a key of a later step and whether the settings ask anything of it.
type asked struct {
	path string
	set  bool
}

// laterKeys is the one table of what a later step brings (HEALING 17). A key
// of it that is set is refused, never ignored.
func laterKeys(s *Settings) []asked {
	keys := []asked{
		{"storage.postgres", bool(s.Storage.Postgres)},
		{"held_max", bool(s.HeldMax)}, // with kill, S1
		{"include", bool(s.Include)},
	}
	keys = append(keys, laterLimits("limits", s.Limits)...)
	keys = append(keys, laterEscalate("escalate", s.Escalate)...)
	for i, v := range s.Services {
		at := fmt.Sprintf("services[%d].", i)
		keys = append(keys, laterLimits(at+"limits", v.Limits)...)
		keys = append(keys,
			asked{at + "depends_on", bool(v.DependsOn)},
			asked{at + "blast_radius", bool(v.BlastRadius)}, // S6
		)
	}
	for name, p := range s.Plans {
		keys = append(keys, laterPlan("plans."+name+".", p)...)
	}
	for i, c := range s.Scenarios {
		keys = append(keys, laterScenario(fmt.Sprintf("scenarios[%d].", i), c)...)
	}
	for name, n := range s.Notify {
		at := "notify." + name + "."
		keys = append(keys, asked{at + "slack", bool(n.Slack)}, asked{at + "feishu", bool(n.Feishu)}, asked{at + "template", bool(n.Template)})
	}
	return keys
}

// laterLimits are the guards that come later, at any of the three levels.
func laterLimits(at string, l limitSettings) []asked {
	return []asked{
		{at + ".budgets", bool(l.Budgets)},            // S5
		{at + ".storm", bool(l.Storm)},                // S7
		{at + ".breaker", bool(l.Breaker)},            // S12
		{at + ".demote", bool(l.Demote)},              // S2
		{at + ".blockers", bool(l.Blockers)},          // S8
		{at + ".startup_grace", bool(l.StartupGrace)}, // S18
		{at + ".never_touch", bool(l.NeverTouch)},     // S17
		{at + ".kill_file", bool(l.KillFile)},         // S1
	}
}

// laterPlan: without approvals there is no mode approve, and members are treated
// one at a time.
func laterPlan(at string, p planSettings) []asked {
	return append(laterLimits(at+"limits", p.Limits),
		asked{at + "mode", p.Mode == "approve"},
		asked{at + "approve", bool(p.Approve)},
		asked{at + "each.max", p.Each.Max != nil && *p.Each.Max > 1},
		asked{at + "evidence", bool(p.Evidence)}, // S15
		asked{at + "release", p.Release == "mapping"},
	)
}

// laterScenario: the verdict knows node and service so far, and of the codes that
// a ladder may pass over those of guards that are built.
func laterScenario(at string, c scenarioSettings) []asked {
	keys := []asked{
		{at + "scope", slices.Contains(laterScopes, c.Scope)},
		{at + "inject", bool(c.Inject)},
		{at + "revert", bool(c.Revert)},
	}
	for _, scope := range laterScopes {
		_, set := c.Ladders[scope]
		keys = append(keys, asked{at + "ladders." + scope, set})
	}
	for scope, rungs := range c.Ladders {
		for i, r := range rungs {
			for j, code := range r.OnRefuse.Next {
				path := fmt.Sprintf("%sladders.%s[%d].on_refuse.next[%d]", at, scope, i, j)
				keys = append(keys, asked{path, slices.Contains(laterCodes, code)})
			}
		}
	}
	if c.Escalate != nil {
		keys = append(keys, laterEscalate(at+"escalate", *c.Escalate)...)
	}
	return keys
}

// laterEscalate: the second contact and those after it hear when the one before
// has not answered within ack_within (S10).
func laterEscalate(at string, e escalateSettings) []asked {
	return []asked{{at + ".ack_within", bool(e.AckWithin)}, {at + ".to", len(e.To) > 1}}
}

// The closed lists, split into what is built and what is known. A ladder may go on
// after the codes marked † in HEALING 6.
var (
	laterScopes = []string{"zone", "version"}
	laterCodes  = []string{"budget_spent", "blast_radius", "never_touch", "breaker"}
	nextCodes   = []string{"cooldown", "too_many_members"}
)
