package plan

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/prometheus/alertmanager/matcher/parse"
	"github.com/prometheus/alertmanager/pkg/labels"
	"github.com/prometheus/common/model"
)

// Scopes that a ladder may stand for; later ones are refused by laterKeys.
var ladderScopes = []string{"node", "service", "unknown", "zone", "version"}

// scenarios compiles scenarios[] in their order, which decides.
func (c *compiler) scenarios() {
	names := c.unique("scenarios", name)
	for i, s := range c.s.Scenarios {
		names(i, s.Name)
		c.book.Scenarios = append(c.book.Scenarios, c.scenario(fmt.Sprintf("scenarios[%d]", i), s))
	}
}

// scenario compiles one. Contacts and clocks that it does not give are the top's.
func (c *compiler) scenario(at string, s scenarioSettings) *Scenario {
	out := &Scenario{
		Name: s.Name, Owner: s.Owner, Scope: cmp.Or(s.Scope, "located"), Ladders: map[string][]Rung{},
		Targets:  c.targets(at+".targets", s.Targets, c.book.Targets),
		Escalate: c.escalate(at+".escalate", s.Escalate, c.book.Escalate),
		Enabled:  s.Enabled == nil || *s.Enabled, inherits: s.Escalate == nil,
	}
	if len(s.Match) == 0 {
		c.report(at+".match", "missing: a scenario without matchers would take every fault")
	}
	for i, text := range s.Match {
		ms, err := parse.Matchers(text)
		if err != nil {
			c.report(fmt.Sprintf("%s.match[%d]", at, i), fmt.Sprintf("parsing matcher %q: %v", text, err))
		}
		if name := serviceNamed(ms); name != "" && c.book.Services[name] == nil {
			c.report(fmt.Sprintf("%s.match[%d]", at, i), fmt.Sprintf("no service is named %q", name))
		}
		out.match = append(out.match, ms...)
	}
	if s.Severity != "" {
		var known bool
		if out.Severity, known = severity(s.Severity); !known {
			c.report(at+".severity", fmt.Sprintf("got %q, want P1 to P5, page or ticket", s.Severity))
		}
	}
	if scopes := []string{"located", "node", "service", "zone", "version"}; !slices.Contains(scopes, out.Scope) {
		c.report(at+".scope", fmt.Sprintf("got %q, want one of %s", out.Scope, strings.Join(scopes, ", ")))
	}
	for _, scope := range slices.Sorted(maps.Keys(s.Ladders)) {
		out.Ladders[scope] = c.ladder(at+".ladders."+scope, scope, s.Ladders[scope])
	}
	c.firstRungs(at, out)
	return out
}

// serviceNamed gives the service that matchers name by equality, if any.
func serviceNamed(ms labels.Matchers) string {
	for _, m := range ms {
		if m.Name == "service" && m.Type == labels.MatchEqual {
			return m.Value
		}
	}
	return ""
}

// ladder compiles the rungs of one scope.
func (c *compiler) ladder(at, scope string, rungs []rungSettings) []Rung {
	if !slices.Contains(ladderScopes, scope) {
		c.report(at, fmt.Sprintf("no scope is named %q, want one of %s", scope, strings.Join(ladderScopes, ", ")))
	}
	out := make([]Rung, 0, len(rungs))
	for i, r := range rungs {
		here := fmt.Sprintf("%s[%d]", at, i)
		if _, known := c.s.Plans[r.Plan]; !known {
			c.report(here, fmt.Sprintf("no plan is named %q", r.Plan))
		}
		for j, code := range r.OnRefuse.Next {
			if !slices.Contains(nextCodes, code) && !slices.Contains(laterCodes, code) {
				c.report(fmt.Sprintf("%s.on_refuse.next[%d]", here, j), fmt.Sprintf("got %q, want one of %s", code, strings.Join(nextCodes, ", ")))
			}
		}
		out = append(out, Rung{r.Plan, r.OnRefuse.Next})
	}
	return out
}

// severity reads P1–P5, page (2) and ticket (4).
func severity(text string) (level int, known bool) {
	switch text {
	case "page":
		return 2, true
	case "ticket":
		return 4, true
	}
	if len(text) == 2 && text[0] == 'P' && text[1] >= '1' && text[1] <= '5' {
		return int(text[1] - '0'), true
	}
	return 3, false
}

// Map finds the words among the configured candidates: the first label that is
// present wins.
func (b *Book) Map(labels map[string]string) Mapped {
	first := func(candidates []string) string {
		for _, name := range candidates {
			if value := labels[name]; value != "" {
				return value
			}
		}
		return ""
	}
	m := Mapped{
		Service: first(b.labels.Service), Node: first(b.labels.Node),
		Scope: first(b.labels.Scope), Member: labels["member"],
	}
	m.Severity, _ = severity(first(b.labels.Severity))
	m.Member = cmp.Or(m.Member, m.Node)
	return m
}

// Scenario gives the first enabled scenario that matches, nil if none does.
// Matchers see the raw labels with the mapped service, node and scope and the
// raw severity laid over them, so service="web" also matches an alert that says
// app="web". The label heal_scenario may choose another one, if that matches.
func (b *Book) Scenario(labels map[string]string) *Scenario {
	set := model.LabelSet{}
	for name, value := range labels {
		set[model.LabelName(name)] = model.LabelValue(value)
	}
	m := b.Map(labels)
	for word, value := range map[string]string{"service": m.Service, "node": m.Node, "scope": m.Scope} {
		if value != "" {
			set[model.LabelName(word)] = model.LabelValue(value)
		}
	}
	var first *Scenario
	for _, s := range b.Scenarios {
		if !s.Enabled || !s.match.Matches(set) {
			continue
		}
		if s.Name == labels["heal_scenario"] {
			return s
		}
		if first == nil {
			first = s
		}
	}
	return first
}

// events are the alerts of our own rules that belong to an incident or to the
// watchers: they start nothing, even where a scenario takes every alert of its
// service (HEALING 4). A probe that is stale is no fault of what it probes.
var events = []string{
	"FaultNotLocated", "RecoveryOverdue", "ObserverFault", "ObserverDisagrees", "ProbeStale",
	"SignalStale", "ProbeExporterDown", "HealReceiverDown", "HealPaused", "HealFailing", "MitigationHeld",
	"ConfigReloadFailed", "NodeOutOfRotation", "Watchdog",
}

// Trigger tells whether an alert may start or carry action: our two rules, or
// any that a scenario foresees.
func (b *Book) Trigger(labels map[string]string) bool {
	switch name := labels["alertname"]; {
	case slices.Contains(events, name):
		return false
	case name == "FaultDetected" || name == "FaultLocated":
		return true
	}
	return b.Scenario(labels) != nil
}

// shadows tells whether whatever the other scenario matches is taken by this
// one: each of its matchers stands in the other, too. Regular expressions are
// compared as texts.
func (s *Scenario) shadows(other *Scenario) bool {
	return !slices.ContainsFunc(s.match, func(m *labels.Matcher) bool {
		return !slices.ContainsFunc(other.match, func(o *labels.Matcher) bool { return m.String() == o.String() })
	})
}
