package rules

import (
	"maps"
	"slices"
)

// example stands for the name of a member, which only the exporter knows.
const example = "example"

// Alerts gives labels of alerts that have to reach heal-receiver: every one that the
// rules can raise for each service and signal of mode page, with example for what is
// known only when it fires.
func (s Spec) Alerts() []map[string]string {
	promises := map[string]Promise{}
	for _, p := range Contract() {
		promises[p.Alert] = p
	}
	var all []map[string]string
	seen := map[string]bool{}
	for _, v := range s.Services {
		one := s
		one.Services = []Service{v}
		for _, r := range one.healing() {
			for _, alert := range s.raised(v, r, promises[r.alert]) {
				if key := keyOf(alert); !seen[key] {
					seen[key] = true
					all = append(all, alert)
				}
			}
		}
	}
	return all
}

// healing are the alerting rules with heal="true", in the order of the files.
func (s Spec) healing() []rule {
	var all []rule
	files := s.groups()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		for _, g := range files[name] {
			for _, r := range g.rules {
				if r.alert != "" && slices.Contains(r.labels, label{"heal", "true"}) {
					all = append(all, r)
				}
			}
		}
	}
	return all
}

// raised are the alerts of one rule for a service: one per signal, and per scope and
// observer where it has those labels.
func (s Spec) raised(v Service, r rule, p Promise) []map[string]string {
	base := map[string]string{"alertname": r.alert}
	for _, l := range r.labels {
		base[l.name] = l.value
	}
	values := map[string][]string{"service": {v.Name}, "owner": {v.Owner}, "signal": v.paging(), "scope": v.Dimensions, "observer": v.Observers}
	if len(v.Observers) == 0 {
		values["observer"] = s.Observers
	}
	all := []map[string]string{base}
	for _, name := range p.Labels {
		if options, dynamic := values[name]; dynamic && base[name] == "" {
			all = times(all, name, options)
		}
	}
	for _, alert := range all {
		if scope := alert["scope"]; slices.Contains(v.Dimensions, scope) {
			alert["member"], alert[scope] = example, example
		}
	}
	return all
}

// paging are the signals that can raise alerts for heal-receiver.
func (v Service) paging() []string {
	var all []string
	for _, g := range v.Signals {
		if g.Mode == page {
			all = append(all, g.Name)
		}
	}
	return all
}

// times gives each set of labels once with each value of another one.
func times(sets []map[string]string, name string, values []string) []map[string]string {
	var all []map[string]string
	for _, set := range sets {
		for _, v := range values {
			one := maps.Clone(set)
			one[name] = v
			all = append(all, one)
		}
	}
	return all
}

// keyOf writes labels so that equal ones are the same text.
func keyOf(labels map[string]string) string {
	text := ""
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		text += quoted(name) + quoted(labels[name])
	}
	return text
}

// Identity names the labels by which two alerts for heal-receiver differ. Owner and
// severity follow from the service and the alert.
func (s Spec) Identity() []string {
	all := []string{"alertname"}
	for _, p := range Contract() {
		all = append(append(all, p.Labels...), p.Sometimes...)
	}
	for _, v := range s.Services {
		all = append(all, v.Dimensions...)
	}
	slices.Sort(all)
	return slices.DeleteFunc(slices.Compact(all), func(name string) bool {
		return name == "owner" || name == "severity" || name == "heal"
	})
}
