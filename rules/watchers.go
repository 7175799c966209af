package rules

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// dwell is how long a watched part may be away: one missed scrape is no alert.
const dwell = 15 * time.Second

// watcherGroups watch the watchers. They read no recorded series, so they may
// be split where many observers make more rules than a group may hold.
func (s Spec) watcherGroups() []group {
	rules := slices.Concat(staleAlerts(), unansweredAlerts(s.unanswered()), s.chainAlerts())
	for i, o := range s.Observers {
		r := rule{
			alert: "ProbeExporterDown", wait: dwell,
			expr:        fmt.Sprintf("absent(onefiveten_observer_info{observer=%s})", quoted(o)),
			labels:      []label{{"severity", page}, {"observer", literal(o)}},
			annotations: []label{{"summary", `probe-exporter {{ $labels.observer }} is not scraped: its probes have no vote; start it, or look at its job in Prometheus`}},
		}
		if i == 0 {
			r.comment = "One for each expected observer: absent knows no names but those that it is given."
		}
		rules = append(rules, r)
	}
	var groups []group
	for i := 0; i < len(rules); i += mostRules {
		g := group{name: "onefiveten:watchers", rules: rules[i:min(i+mostRules, len(rules))]}
		if i == 0 {
			g.comment = "The watchers read no recorded series, so they stand in a group of their own."
		} else {
			g.name = fmt.Sprintf("onefiveten:watchers-%d", i/mostRules+1)
			g.comment = "More observers."
		}
		groups = append(groups, g)
	}
	return groups
}

// staleAlerts tell of probes that gave no verdict: missing data is neither a
// fault nor a recovery. Of no service there is neither anyway.
func staleAlerts() []rule {
	return []rule{{
		comment: "A probe that hangs goes on being scraped as healthy. Its age at scrape time tells.",
		alert:   "ProbeStale",
		expr: expression(`
			timestamp(probe_last_run_timestamp_seconds{service!=""}) - probe_last_run_timestamp_seconds
			>= on (observer, probe) group_left ()
			max by (observer, probe) (probe_stale_after_seconds)`, noWords()),
		labels:      []label{{"severity", ticket}, {"reason", "not_run"}},
		annotations: []label{{"summary", `probe {{ $labels.probe }} of {{ $labels.instance }} by {{ $labels.observer }} has not run for {{ $value }} s: look at the log of the observer`}},
	}, {
		comment: "Seen within 10m, now gone, and its observer gone too. A target that was removed is silent.",
		alert:   "ProbeStale",
		expr: expression(`
			group by (service, probe, instance, observer) (last_over_time(probe_last_run_timestamp_seconds{service!=""}[9m59s500ms]))
			unless on (service, probe, instance, observer) probe_last_run_timestamp_seconds
			unless on (observer) onefiveten_observer_info`, noWords()),
		wait:        dwell,
		labels:      []label{{"severity", ticket}, {"reason", "not_scraped"}},
		annotations: []label{{"summary", `probe {{ $labels.probe }} of {{ $labels.instance }} by {{ $labels.observer }} is not scraped: start the observer, or look at its job`}},
	}}
}

// unanswered is how long the first answer to a query may take: after that even the
// slowest one is stale. It is a multiple of E, at which Prometheus looks.
func (s Spec) unanswered() time.Duration {
	e, longest := time.Duration(s.Prometheus.Evaluation.Interval), dwell
	for _, v := range s.Services {
		for _, g := range v.Signals {
			if g.Query != nil {
				longest = max(longest, 2*g.Query.Interval+g.Query.Timeout)
			}
		}
	}
	return (longest + e - 1) / e * e
}

// unansweredAlerts tell of queries that gave no verdict, as staleAlerts do of
// probes. One that was never answered has no last run at all.
func unansweredAlerts(unanswered time.Duration) []rule {
	who := `signal {{ $labels.signal }} of {{ $labels.service }} by {{ $labels.observer }} `
	return []rule{{
		comment: "A query that fails, or whose answer cannot be used, leaves its last verdicts to grow old.",
		alert:   "SignalStale",
		expr: expression(`
			timestamp(signal_last_run_timestamp_seconds) - signal_last_run_timestamp_seconds
			>= on (observer, service, signal) group_left ()
			max by (observer, service, signal) (signal_stale_after_seconds)`, noWords()),
		labels:      []label{{"severity", ticket}, {"reason", "not_run"}},
		annotations: []label{{"summary", who + `has had no usable answer for {{ $value }} s: look at signal_failures_total by reason`}},
	}, {
		comment: "It waits as long as the slowest query may take for its first answer.",
		alert:   "SignalStale",
		expr: expression(`
			group by (service, signal, observer) (signal_stale_after_seconds)
			unless on (service, signal, observer) signal_last_run_timestamp_seconds`, noWords()),
		wait:        unanswered,
		labels:      []label{{"severity", ticket}, {"reason", "never_run"}},
		annotations: []label{{"summary", who + `has had no usable answer yet`}},
	}, {
		comment: "Seen within 10m, now gone, and its observer gone too. A signal that was removed is silent.",
		alert:   "SignalStale",
		expr: expression(`
			group by (service, signal, observer) (last_over_time(signal_last_run_timestamp_seconds[9m59s500ms]))
			unless on (service, signal, observer) signal_last_run_timestamp_seconds
			unless on (observer) onefiveten_observer_info`, noWords()),
		wait:        dwell,
		labels:      []label{{"severity", ticket}, {"reason", "not_scraped"}},
		annotations: []label{{"summary", who + `is not scraped`}},
	}}
}

// chainAlerts tell of what stands behind the rules. Watchdog and HealReceiverDown
// go together: a receiver that is not scraped may still act, one that hears nothing
// of Watchdog cannot.
func (s Spec) chainAlerts() []rule {
	rules := []rule{{
		comment:     "What a machine took out of rotation stays a ticket until it is back.",
		alert:       "NodeOutOfRotation",
		expr:        `max by (service, node) (` + isolated + `) == 1`,
		labels:      []label{{"severity", ticket}},
		annotations: []label{{"summary", `{{ $labels.node }} of {{ $labels.service }} is isolated: release it when it is repaired (heal-receiver mitigations)`}},
	}, {
		comment:     "The dead-man's switch: it always fires, and its silence is the alarm.",
		alert:       watchdog,
		expr:        `vector(1)`,
		labels:      []label{{"severity", "none"}, {"heal", "true"}},
		annotations: []label{{"summary", `the chain from rule to receiver is alive`}},
	}, reloadAlert("probe-exporter", "probe_exporter_config_last_reload_successful")}
	rules[2].comment = "A file that was changed and is not in force."
	if s.Alertmanager.heals() {
		rules = append(rules, receiverAlerts()...)
		rules = append(rules, reloadAlert("heal-receiver", "heal_config_last_reload_successful"))
	}
	return rules
}

// watchdog is the alert of the dead-man's switch, which has a route of its own.
const watchdog = "Watchdog"

// quoted writes a string as PromQL and the series notation of promtool read it.
func quoted(s string) string { return strconv.Quote(s) }

// literal keeps the braces of a name away from Prometheus' templates, which
// labels and annotations of rules pass through.
func literal(s string) string { return strings.ReplaceAll(s, "{{", `{{"{{"}}`) }
