// Package living compares what a running Prometheus and Alertmanager have in force
// with what was generated for them (DETECTION 10). It is given the generated rule
// files, the rule groups that are loaded, the text of Alertmanager's configuration
// and the alerts that have to reach heal-receiver; it gives findings, each with the
// key of probe-exporter's configuration that it belongs to, and how long an alert
// waits in its group. Nothing here asks a server or a clock.
//
// Where what stands:
//
//	rules.go    the rules that are loaded, against those of the files
//	route.go    Alertmanager's routing tree and its inhibit rules
//	series.go   what exporters have to expose, against what is there
//	relabel.go  alerts as Prometheus sends them
//	way.go      what of them stands between an alert and heal-receiver
package living

import (
	"cmp"
	"slices"
	"strings"
)

// Finding is one thing that is other than it should be. What is Broken breaks a
// promise; all else is advice.
type Finding struct {
	Broken bool
	Path   string // of a key of the configuration; empty: of the server as a whole
	Text   string
}

// findings collects them.
type findings []Finding

// wrong adds what breaks a promise, unwise what is advice.
func (f *findings) wrong(path, text string)  { *f = append(*f, Finding{true, path, text}) }
func (f *findings) unwise(path, text string) { *f = append(*f, Finding{false, path, text}) }

// merged collects what is said of several things, so that it is said once for all.
type merged struct {
	said  []Finding
	about map[Finding][]string
}

// say says something of one thing.
func (m *merged) say(thing string, f Finding) {
	if m.about == nil {
		m.about = map[Finding][]string{}
	}
	if _, known := m.about[f]; !known {
		m.said = append(m.said, f)
	}
	m.about[f] = append(m.about[f], thing)
}

// findings gives each once, with the things before it.
func (m *merged) findings() []Finding {
	for i, f := range m.said {
		things := slices.Sorted(slices.Values(m.about[f]))
		m.said[i].Text = strings.Join(slices.Compact(things), ", ") + ": " + f.Text
	}
	slices.SortStableFunc(m.said, func(a, b Finding) int { return cmp.Compare(a.Path, b.Path) })
	return m.said
}
