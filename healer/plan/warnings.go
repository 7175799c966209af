package plan

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Warnings lists what is allowed but deserves a second look (HEALING 15), each
// line with its path, sorted.
func (b *Book) Warnings() []string {
	var out []string
	warn := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	if len(b.Escalate.To) == 0 {
		warn("escalate.to: nobody hears of incidents without a scenario")
	}
	if w := b.Watchdog.Within; w > 0 && w < watchdogLeast {
		warn("watchdog.within: got %s, want %s or more: our route sends Watchdog once a minute", w, watchdogLeast)
	}
	for name, p := range b.Plans {
		p.warnings(func(text string) { warn("plans.%s: %s", name, text) })
	}
	for i, s := range b.Scenarios {
		at := fmt.Sprintf("scenarios[%d]", i)
		if s.Owner == "" {
			warn("%s.owner: missing", at)
		}
		if s.inherits {
			warn("%s.escalate: missing, the top level's is taken", at)
		}
		for _, before := range b.Scenarios[:i] {
			if before.Enabled && before.shadows(s) {
				warn("%s: never chosen, %s matches all of it before", at, before.Name)
			}
		}
		for scope, rungs := range s.Ladders {
			b.ladderWarnings(s, scope, rungs, func(i int, text string) { warn("%s.ladders.%s[%d]: %s", at, scope, i, text) })
		}
	}
	slices.Sort(out)
	return out
}

// watchdogLeast lets one Watchdog in two be lost.
const watchdogLeast = 2 * time.Minute

// ladderWarnings judges the rungs of one scope together.
func (b *Book) ladderWarnings(s *Scenario, scope string, rungs []Rung, warn func(i int, text string)) {
	sum, stops := b.gather(), ""
	for i, r := range rungs {
		p := b.Plans[r.Plan]
		if stops != "" {
			warn(i, fmt.Sprintf("never reached, %s above it ends the ladder by its mode", stops))
		}
		if p.Mode != "auto" {
			stops = p.Name
		}
		if scope != "node" && p.Member {
			warn(i, fmt.Sprintf("%s treats a member, but scope %s locates none", p.Name, scope))
		}
		if sum += b.cost(s, r, 0).total(); sum > s.Targets.Recover {
			warn(i, unfit(p.Name, sum, s.Targets.Recover))
		}
	}
}

// warnings judges one plan by itself.
func (p *Plan) warnings(warn func(text string)) {
	replacing := p.Kind == "restart" || p.Kind == "rollback"
	if p.Mode == "auto" && !p.Member && replacing && !p.Rolling {
		warn("auto without rolling will ask instead of act (no_rolling)")
	}
	for _, s := range slices.Concat(p.Steps, p.Undo) {
		if !s.Idempotent && s.Timeout < 5*time.Second {
			warn(fmt.Sprintf("a step that is not idempotent has only %s: a slow answer is a doubt that is never repeated", s.Timeout))
		}
	}
	if text := wider(p); text != "" {
		warn(fmt.Sprintf("values also matches %q: it is wider than the default", text))
	}
	if needs := p.foreign(); len(needs) > 0 {
		warn("needs of the alert, which a rule of others may not have: " + strings.Join(needs, ", "))
	}
}

// foreign lists what the plan's templates take from the alert.
func (p *Plan) foreign() []string {
	var needs []string
	for _, t := range p.templates() {
		for _, r := range t.refs {
			if strings.HasPrefix(r.root, "Alert.") {
				needs = append(needs, r.String())
			}
		}
	}
	slices.Sort(needs)
	return slices.Compact(needs)
}

// templates lists all templates of a plan but the target.
func (p *Plan) templates() (all []tmpl) {
	pieces := slices.Clone(p.Verify.Query.pieces)
	for _, q := range p.When {
		pieces = append(pieces, q.pieces...)
	}
	for _, s := range slices.Concat(p.Steps, p.Undo) {
		all = append(append(all, s.argv...), leaves(s.body)...)
		pieces = append(pieces, s.url.pieces...)
	}
	for _, piece := range pieces {
		all = append(all, piece.tmpl)
	}
	return all
}

// leaves lists the templates of a body.
func leaves(node any) (all []tmpl) {
	switch n := node.(type) {
	case tmpl:
		return []tmpl{n}
	case []any:
		for _, item := range n {
			all = append(all, leaves(item)...)
		}
	case map[string]any:
		for _, item := range n {
			all = append(all, leaves(item)...)
		}
	}
	return all
}

// wider gives a text that the plan's pattern lets through and the default does
// not, found by trying every printable byte in three places and a long text.
func wider(p *Plan) string {
	tries := []string{"ä", "a\nb"}
	for c := byte(' '); c < 0x7f; c++ {
		tries = append(tries, string(c)+"a", "a"+string(c)+"a", "a"+string(c))
	}
	for _, text := range append(tries, strings.Repeat("a", 254)) {
		if p.Values.MatchString(text) && !serviceName.MatchString(text) {
			return text
		}
	}
	return ""
}
