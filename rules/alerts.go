package rules

import "time"

// start is the annotation with the fault's first bad sample in unix seconds.
const start = `{{ with printf "onefiveten:fault_start_timestamp_seconds:min{service=%q,signal=%q}" $labels.service $labels.signal | query }}{{ . | first | value | printf "%.3f" }}{{ end }}`

// evidence is what speaks for where a fault was located: of values their size beside
// that of the others, else the share of the votes. A query that finds nothing leaves
// its part out.
func (t set) evidence() string {
	if t.values {
		return evidenceOfValues + `{{ else }}` + evidenceOfVotes + `{{ end }}`
	}
	return evidenceOfVotes
}

const (
	evidenceOfVotes = `{{ $all := printf "avg(onefiveten:member_fault:bool{service=%q,signal=%q,dimension=\"node\"})" $labels.service $labels.signal }}` +
		`{{ if ne $labels.scope "service" }}{{ humanizePercentage $value }} of {{ $labels.scope }} {{ $labels.member }} bad{{ with $all | query }}, {{ . | first | value | humanizePercentage }} of all nodes{{ end }}` +
		`{{ else }}{{ with $all | query }}{{ . | first | value | humanizePercentage }} of all nodes bad{{ end }}{{ end }}`

	// A group is asked for by its own label, a node by that of members: not every node
	// has a label node. Of a whole service nothing is found.
	evidenceOfValues = `{{ $of := printf "service=%q,signal=%q" $labels.service $labels.signal }}{{ $by := $labels.scope }}{{ if eq $by "node" }}{{ $by = "member" }}{{ end }}` +
		`{{ $place := printf "%s,dimension=%q,member=%q" $of $labels.scope $labels.member }}` +
		`{{ with printf "avg(onefiveten:member_value:avg{%s,feature=\"value\",%s=%q})" $of $by $labels.member | query }}` +
		`{{ $labels.signal }} {{ . | first | value | printf "%.3g" }} of {{ $labels.scope }} {{ $labels.member }}` +
		`{{ with printf "quantile(0.5, onefiveten:member_value:avg{%s,feature=\"value\",%s!=%q})" $of $by $labels.member | query }}, its peers {{ . | first | value | printf "%.3g" }}{{ end }}` +
		`{{ with printf "100 * max(onefiveten:member_excess:ratio{%s,feature=\"excess\"})" $place | query }}; {{ . | first | value | printf "%.0f %%" }} of the excess{{ end }}` +
		`{{ with printf "100 * max(onefiveten:member_excess:ratio{%s,feature=\"traffic\"})" $place | query }}, {{ . | first | value | printf "%.0f %%" }} of the traffic{{ end }}` +
		`{{ with printf "max(onefiveten:member_excess:ratio{%s,feature=\"z\"})" $place | query }}; {{ . | first | value | printf "%.1f" }} spreads off{{ end }}`
)

// bad names the members that are bad by the signal, five of them at most: what
// a person looks at first, above all while nothing is located.
const bad = `{{ range $i, $m := printf "onefiveten:member_fault:bool{service=%q,signal=%q} == 1" $labels.service $labels.signal | query | sortByLabel "member" }}` +
	`{{ if lt $i 5 }}{{ if $i }}, {{ end }}{{ $m.Labels.dimension }} {{ $m.Labels.member }}{{ else if eq $i 5 }} and others{{ end }}{{ end }}`

// alerts follow the records in the same group, for the same reason. Within
// FaultDetected and FaultLocated keep_firing_for bridges the restart of an
// exporter; the others may end and begin again, which costs people nothing.
func (t set) alerts(keep, differ, disagree time.Duration) []rule {
	return append(stageAlerts(t.class, t.evidence(), keep), ticketAlerts(keep, differ, disagree)...)
}

// stageAlerts are detect, locate and recover. They carry heal="true", which the
// route sends to heal-receiver, and the severity of the class. Figures that change are
// annotations: a label that changes makes a new alert, and a new episode.
func stageAlerts(class, evidence string, keep time.Duration) []rule {
	heal := []label{{"severity", class}, {"heal", "true"}}
	return []rule{{
		comment: "Detect. Nothing in this path has a range or a for.",
		alert:   "FaultDetected",
		expr:    `sum by (service, owner, signal) (onefiveten:fault_members:sum{rule_set="<set>", mode="page"}) > 0`,
		keep:    keep, labels: heal,
		annotations: []label{
			{"summary", `{{ $labels.service }} is in fault by {{ $labels.signal }}; members bad: {{ $value }}`},
			{"bad", bad},
			{"detect_bound_seconds", `{{ with printf "max(onefiveten_detect_bound_seconds{service=%q,signal=%q})" $labels.service $labels.signal | query }}{{ . | first | value }}{{ end }}`},
			{"fault_start", start},
		},
	}, {
		comment: "Locate: a member, or the service as a whole.",
		alert:   "FaultLocated",
		expr: `
			max by (service, owner, signal, scope, member, <by>) (
					label_replace(onefiveten:member_located:ratio{rule_set="<set>", mode="page"}, "scope", "$1", "dimension", "(.+)")
				or
					label_replace(onefiveten:service_located:sum{rule_set="<set>", mode="page"}, "scope", "service", "", "")
			)`,
		keep: keep, labels: heal,
		annotations: []label{
			{"summary", `{{ $labels.service }}: the fault is in {{ if eq $labels.scope "service" }}the service as a whole; members bad: {{ $value }}{{ else }}{{ $labels.scope }} {{ $labels.member }}{{ end }}`},
			{"evidence", evidence},
			{"fault_start", start},
		},
	}, {
		comment: "Locate: the target is over and nobody knows where, now and at the evaluation before: a place that changes is unknown for one.",
		alert:   "FaultNotLocated",
		expr: `
			(
				time() - min by (service, owner, signal) (onefiveten:fault_start_timestamp_seconds:min{rule_set="<set>", mode="page"})
				>= on (service) group_left () max by (service) (onefiveten_target_seconds{stage="locate"})
			)
			unless on (service, signal) last_over_time(onefiveten:member_located:ratio{rule_set="<set>"}[<twice>])
			unless on (service, signal) last_over_time(onefiveten:service_located:sum{rule_set="<set>"}[<twice>])`,
		labels: heal,
		annotations: []label{
			{"summary", `{{ $labels.service }}: no rule has located the fault for {{ $value | humanizeDuration }}; heal-receiver may know more`},
			{"bad", bad},
			{"fault_start", start},
		},
	}, {
		comment: "Recover: the target is over and the fault still lasts.",
		alert:   "RecoveryOverdue",
		expr: `
			time() - min by (service, owner, signal) (onefiveten:fault_start_timestamp_seconds:min{rule_set="<set>", mode="page"})
			>= on (service) group_left () max by (service) (onefiveten_target_seconds{stage="recover"})`,
		labels: heal,
		annotations: []label{
			{"summary", `{{ $labels.service }} has been in fault by {{ $labels.signal }} for {{ $value | humanizeDuration }}, longer than its target: a person has to take over`},
			{"bad", bad},
			{"fault_start", start},
		},
	}}
}

// ticketAlerts are for people. A disagreement of observers must last, since at
// the edge of every fault one sees it first. Of the alerts here ObserverFault is
// also for the receiver, which then leaves the service alone: were it too quick,
// each total outage could begin with a veto.
func ticketAlerts(keep, differ, disagree time.Duration) []rule {
	people := []label{{"severity", ticket}}
	return []rule{{
		comment: "A signal that may not page: people only, never automatic.",
		alert:   "SignalFault",
		expr:    `sum by (service, owner, signal) (onefiveten:fault_members:sum{rule_set="<set>", mode="ticket"}) > 0`,
		keep:    keep, labels: people,
		annotations: []label{{"summary", `{{ $labels.service }}: {{ $labels.signal }} is beyond its threshold; members bad: {{ $value }}`}, {"bad", bad}},
	}, {
		comment: "An observer that is cut off. It has lost its votes already.",
		alert:   "ObserverFault",
		expr:    `max by (service, signal, observer) (onefiveten:observer_suspect:bool{rule_set="<set>"}) == 1`,
		wait:    differ, labels: append(people[:1:1], label{"heal", "true"}),
		annotations: []label{{"summary", `observer {{ $labels.observer }} alone sees all of {{ $labels.service }} bad: suspect the observer`}},
	}, {
		comment: "A member that only some observers see bad.",
		alert:   "ObserverDisagrees",
		expr: `
			max by (service, owner, signal, member) (
				(onefiveten:member_fault:ratio{rule_set="<set>"} > 0)
				and (onefiveten:member_fault:ratio{rule_set="<set>"} <= 0.5)
			)`,
		wait: disagree, labels: people,
		annotations: []label{{"summary", `only {{ $value | humanizePercentage }} of the observers see {{ $labels.member }} of {{ $labels.service }} bad by {{ $labels.signal }}: look at its path from each of them`}},
	}}
}
