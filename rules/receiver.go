package rules

import (
	"fmt"
	"time"

	"github.com/prometheus/common/model"

	"github.com/onefiveten/onefiveten/rules/ruletest"
)

// How long what heal-receiver tells of itself must last before an alert says so.
// A counter is read over a window that two scrapes of 2m fit into.
const (
	heldLong   = time.Hour       // a mitigation that nobody has released is forgotten
	heldKeep   = 2 * time.Minute // a restart of the receiver does not end its ticket
	holdDwell  = time.Minute     // of a hold, and of what stops the receiver altogether
	acceptLong = 5 * time.Minute // of requests refused: Alertmanager repeats what a 5xx answered

	recently = 5*time.Minute - 500*time.Millisecond  // of what is tried again and again
	lately   = 15*time.Minute - 500*time.Millisecond // of what happens once
)

// handOvers are the codes of hand-overs at which the machine could not do its
// work, as against those where it was told not to (HEALING 6).
const handOvers = `cannot_tell|decide_timeout|empty_target|uncorroborated|unknown_member|unresolved|unsafe_value`

// heals tells whether there is a receiver: an address that was written as empty
// means that there is none, and that nobody is to be told of its absence.
func (a Alertmanager) heals() bool { return a.Webhook.URL != "" }

// watched is how the tests of the rules judge the receiver; nil is none.
func (a Alertmanager) watched() *ruletest.Receiver {
	if !a.heals() {
		return nil
	}
	return &ruletest.Receiver{Hold: holdDwell, Accept: acceptLong, Held: heldLong, Keep: heldKeep, Recently: recently, Lately: lately}
}

// receiverAlerts tell of a receiver that is away, held, or does its work badly.
func receiverAlerts() []rule {
	rules := []rule{{
		comment: "The other end.",
		alert:   "HealReceiverDown", wait: dwell,
		expr:        `absent(up{job="heal-receiver"} == 1)`,
		labels:      []label{{"severity", page}, {"job", "heal-receiver"}},
		annotations: []label{{"summary", `no heal-receiver is scraped: nothing heals; start it, or look at its job in Prometheus`}},
	}, {
		comment: "Somebody, or a guard, has stopped automation. Faults are still told to people.",
		alert:   "HealPaused", wait: holdDwell,
		expr:        `sum by (kind) (heal_holds) > 0`,
		labels:      []label{{"severity", ticket}},
		annotations: []label{{"summary", `automation is stopped by {{ $value }} of kind {{ $labels.kind }}: end the hold when its reason is over`}},
	}, {
		comment: "What a machine changed and nobody has put back.",
		alert:   "MitigationHeld", wait: dwell, keep: heldKeep,
		expr:   fmt.Sprintf("time() - min by (service, kind) (heal_mitigation_held_since_timestamp_seconds) >= %d", int(heldLong.Seconds())),
		labels: []label{{"severity", ticket}},
		annotations: []label{{"summary", `{{ $labels.kind }} of {{ $labels.service }} is in place for {{ humanizeDuration $value }}: ` +
			`release it, or record that it was put back (heal-receiver mitigations)`}},
	}}
	return append(rules, healFailing()...)
}

// healFailing has one rule for each way in which the receiver cannot do its work.
// People hear of the first three by no other way; the rest are tickets.
func healFailing() []rule {
	var rules []rule
	for _, f := range []struct {
		reason, severity, expr, summary string
		wait                            time.Duration
	}{
		{"message", page, `
			sum by (job, instance, sink) (increase(heal_outbox_failures_total[` + window(recently) + `])) > 0
			and on (job, instance) heal_outbox_pending > 0`,
			`messages of heal-receiver do not reach {{ $labels.sink }}: people may not hear of faults; look at notify.{{ $labels.sink }} and its log`, holdDwell},
		{"journal", page, `heal_journal_readable == 0`,
			`heal-receiver {{ $labels.instance }} cannot read its journal: nothing heals; look at its disk and its log`, holdDwell},
		{"clock", page, `heal_clock_behind_seconds > 1`,
			`the clock of heal-receiver {{ $labels.instance }} has jumped back by {{ humanizeDuration $value }}: nothing heals until it has caught up; look at its time service`, holdDwell},
		{"watchdog", page, `max by (source) (heal_watchdog_overdue) == 1`,
			`no Watchdog comes from Alertmanager {{ $labels.source }} to heal-receiver: nothing heals; look at its route, its webhook and the token`, dwell},
		{"accept", ticket, `sum by (source, code) (increase(heal_notifications_total{code=~"4..|5.."}[` + window(recently) + `])) > 0`,
			`heal-receiver answers {{ $labels.code }} to Alertmanager {{ $labels.source }}: look at its log and, for 401 and 403, at the token`, acceptLong},
		{"run", ticket, `sum by (plan, outcome) (increase(heal_runs_total{outcome=~"failed|unresolved"}[` + window(lately) + `])) > 0`,
			`a run of plan {{ $labels.plan }} is {{ $labels.outcome }}: look at the review of its incident; an unresolved one waits for heal-receiver resolve`, dwell},
		{"hand_over", ticket, `sum by (code) (increase(heal_handed_over_total{code=~"` + handOvers + `"}[` + window(lately) + `])) > 0`,
			`heal-receiver could not heal and has handed over with {{ $labels.code }}: look at the numbers of the decision (heal-receiver incidents)`, dwell},
	} {
		rules = append(rules, rule{
			alert: "HealFailing", wait: f.wait, expr: expression(f.expr, noWords()),
			labels: []label{{"severity", f.severity}, {"reason", f.reason}}, annotations: []label{{"summary", f.summary}},
		})
	}
	rules[0].comment = "The receiver is there and cannot do its work, by reason."
	return rules
}

// reloadAlert tells of a program that runs with an older configuration than its
// file: it would not start with the new one.
func reloadAlert(program, metric string) rule {
	return rule{
		alert: "ConfigReloadFailed", wait: holdDwell, expr: metric + ` == 0`,
		labels:      []label{{"severity", ticket}, {"program", program}},
		annotations: []label{{"summary", program + ` {{ $labels.instance }} refuses its configuration and goes on with the one before: look at its log, or run ` + program + ` check`}},
	}
}

// window writes a range as PromQL reads it.
func window(d time.Duration) string { return model.Duration(d).String() }
