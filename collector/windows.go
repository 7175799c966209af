package collector

import (
	"cmp"
	_ "embed" // windows.yml
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"
)

// WindowsFile is the text of the windows that hold where the configuration names
// no file of its own.
//
//go:embed windows.yml
var WindowsFile string

// Windows are what holds where neither a service nor one of its signals says
// otherwise, as a file of their own (DETECTION 2).
type Windows struct {
	Signals    map[string]Row      `yaml:"signals"`    // availability, latency and query
	Severities map[string]Severity `yaml:"severities"` // by name
}

// Row is what holds for one kind of signal. nil is what is not written.
type Row struct {
	Mode         string          `yaml:"mode,omitempty"`
	Detect       *model.Duration `yaml:"detect,omitempty"` // target of the signal; nil: that of the service
	Window       *model.Duration `yaml:"fault_window,omitempty"`
	Floor        *float64        `yaml:"floor,omitempty"`
	MaxCap       *float64        `yaml:"max_cap,omitempty"` // the largest cap that a proof may choose
	MinAnomalies *int            `yaml:"min_anomalies,omitempty"`
	K            *float64        `yaml:"k_e,omitempty"`
	Clear        *int            `yaml:"clear,omitempty"`
}

// Severity is what the services of one class share.
type Severity struct {
	Targets  Times          `yaml:"targets"`
	Baseline Span           `yaml:"baseline"`
	Signals  map[string]Row `yaml:"signals,omitempty"` // over Windows.Signals, key by key
}

// Span is how far a baseline reaches, where it does not say so itself.
type Span struct {
	Window model.Duration `yaml:"window,omitempty"`
	Hold   model.Duration `yaml:"hold,omitempty"`
}

// Rows of Windows beside availability and latency.
const queryRow = "query"

// rowNames are the kinds of signals, each of which has a row.
func rowNames() []string { return []string{availability, latency, queryRow} }

// severityName is what a label value, a file name and a rule set can hold.
var severityName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]{0,63}$`)

// DefaultWindows gives those of WindowsFile.
func DefaultWindows() *Windows {
	w := new(Windows)
	if err := yaml.Unmarshal([]byte(WindowsFile), w); err != nil {
		panic(fmt.Sprintf("windows.yml, a part of this program: %v", err))
	}
	return w
}

// Names lists the severities that services may have.
func (w *Windows) Names() []string { return slices.Sorted(maps.Keys(w.Severities)) }

// known is the severity itself where there is one of that name. Else another takes its
// place, so that a wrong name is one mistake, and not one for all that hangs on it.
func (w *Windows) known(severity string) string {
	if _, known := w.Severities[severity]; known || len(w.Severities) == 0 {
		return severity
	}
	if _, known := w.Severities[page]; known {
		return page
	}
	return w.Names()[0]
}

// Row is what holds for a signal of a service of that severity.
func (w *Windows) Row(severity, signal string) Row {
	if signal != availability && signal != latency {
		signal = queryRow
	}
	return w.Severities[severity].Signals[signal].over(w.Signals[signal])
}

// over fills what r does not write with what another row says.
func (r Row) over(d Row) Row {
	return Row{
		Mode: cmp.Or(r.Mode, d.Mode), Detect: cmp.Or(r.Detect, d.Detect), Window: cmp.Or(r.Window, d.Window),
		Floor: cmp.Or(r.Floor, d.Floor), MaxCap: cmp.Or(r.MaxCap, d.MaxCap),
		MinAnomalies: cmp.Or(r.MinAnomalies, d.MinAnomalies), K: cmp.Or(r.K, d.K), Clear: cmp.Or(r.Clear, d.Clear),
	}
}

// Fault is the row but for its cap, which is to be solved: a written one would be
// refused where probes are slow, though nobody has asked for it.
func (r Row) Fault() Fault {
	return Fault{Window: r.Window, Floor: r.Floor, MinAnomalies: r.MinAnomalies, K: r.K, Clear: r.Clear}
}

// Check reports every mistake under its path inside the file.
func (w *Windows) Check(report func(path, text string)) {
	r := reporter(report)
	w.checkRows(r)
	r.unless(len(w.Severities) > 0, "severities", "none, want at least one, such as page")
	for i, name := range w.Names() {
		at := r.under("severities.%s", name)
		at.unless(severityName.MatchString(name), "", "got the name %q, want letters, digits and _, a letter first, 64 at most", name)
		for _, other := range w.Names()[:i] {
			at.unless(!strings.EqualFold(name, other), "", "it differs from %q by capitals alone: their rules would be one file where names of files do not", other)
		}
		v := w.Severities[name]
		at = r.under("severities.%s.", name)
		v.Targets.checkWhole(at)
		v.checkBaseline(at.under("baseline."))
		w.checkOverlays(at, v)
	}
}

// Mended is what is right of windows in which Check has found mistakes: with it the
// rest of the configuration can be checked, too. Built-in rows, and the built-in
// severity page, stand in for those that are wrong.
func (w *Windows) Mended() *Windows {
	var paths []string
	w.Check(func(path, _ string) { paths = append(paths, path+".") })
	wrong := func(part, name string) bool {
		return slices.ContainsFunc(paths, func(path string) bool { return strings.HasPrefix(path, part+"."+name+".") })
	}
	built := DefaultWindows()
	m := &Windows{Signals: built.Signals, Severities: maps.Clone(w.Severities)}
	for name, row := range w.Signals {
		if !wrong("signals", name) {
			m.Signals[name] = row
		}
	}
	for name := range w.Severities {
		if wrong("severities", name) {
			m.Severities[name] = built.Severities[page]
		}
	}
	return m
}

// checkRows wants one whole row of each kind.
func (w *Windows) checkRows(r reporter) {
	for _, name := range rowNames() {
		row, known := w.Signals[name]
		if !known {
			r("signals", fmt.Sprintf("no row %s, want one for each of %s", name, inWords(rowNames())))
			continue
		}
		at := r.under("signals.%s.", name)
		for _, key := range row.missing() {
			at(key, "missing: want every key but detect")
		}
		row.check(at, row)
	}
	checkKinds(r, w.Signals)
}

// checkOverlays looks at what a severity changes of the rows, each merged with the
// one that it changes: a floor may lie above the cap of the other.
func (w *Windows) checkOverlays(r reporter, v Severity) {
	checkKinds(r, v.Signals)
	for _, name := range rowNames() {
		if row, changed := v.Signals[name]; changed {
			row.check(r.under("signals.%s.", name), row.over(w.Signals[name]))
		}
	}
}

// checkKinds refuses rows of what is no kind of signal.
func checkKinds(r reporter, rows map[string]Row) {
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		r.unless(slices.Contains(rowNames(), name), "signals."+name, "no such kind of signal, want %s", inWords(rowNames()))
	}
}

// missing are the keys of a row that somebody must write.
func (r Row) missing() (keys []string) {
	for _, k := range []struct {
		key   string
		there bool
	}{
		{"mode", r.Mode != ""}, {"fault_window", r.Window != nil}, {"floor", r.Floor != nil}, {"max_cap", r.MaxCap != nil},
		{"min_anomalies", r.MinAnomalies != nil}, {"k_e", r.K != nil}, {"clear", r.Clear != nil},
	} {
		if !k.there {
			keys = append(keys, k.key)
		}
	}
	return keys
}

// check looks at the keys that r writes, as they are in the whole row. What is
// wrong with the others has been told where they are written, and what is missing
// where the row begins.
func (r Row) check(report reporter, whole Row) {
	report.unless(r.Mode == "" || r.Mode == page || r.Mode == ticket, "mode", "got %q, want page or ticket", r.Mode)
	report.unless(r.Detect == nil || *r.Detect > 0, "detect", "got %s, want more than 0s; leave it out for the target of the service", written(r.Detect))
	absent := r.missing()
	f := whole.Fault()
	f.Cap = whole.MaxCap
	limit := written(f.Cap)
	f.check(func(path, text string) {
		path = strings.Replace(path, "cap", "max_cap", 1)
		above := path == "max_cap" && r.Floor != nil && limit > 0 && limit < 1
		if above || !slices.Contains(absent, path) {
			report(path, text)
		}
	}, nil)
}

// checkWhole wants all three targets, and then their order.
func (t Times) checkWhole(r reporter) {
	at := r.under("targets.")
	at.unless(t.Detect > 0, "detect", "missing")
	at.unless(t.Locate > 0, "locate", "missing")
	at.unless(t.Recover > 0, "recover", "missing")
	if min(t.Detect, t.Locate, t.Recover) > 0 {
		t.check(r)
	}
}

// check wants three targets in their order.
func (t Times) check(r reporter) {
	r.unless(t.Detect > 0 && t.Detect <= t.Locate && t.Locate <= t.Recover, "targets",
		"got detect %s, locate %s, recover %s, want 0 < detect <= locate <= recover", t.Detect, t.Locate, t.Recover)
}

// checkBaseline wants what a baseline of a service of this severity needs; targets
// that are wrong themselves ask for nothing.
func (v Severity) checkBaseline(r reporter) {
	b, least := v.Baseline, v.Targets.Recover+model.Duration(holdExtra)
	r.unless(time.Duration(b.Window) >= time.Minute, "window", "got %s, want 1m or more", b.Window)
	switch {
	case b.Hold <= 0:
		r("hold", fmt.Sprintf("got %s, want more than the recover target and 5m, and at most half of the window", b.Hold))
	case v.Targets.Recover > 0 && b.Hold <= least:
		r("hold", fmt.Sprintf("got %s, want more than %s: the recover target of %s and 5m", b.Hold, least, v.Targets.Recover))
	case b.Hold > b.Window/2:
		r("hold", fmt.Sprintf("got %s, want at most half of the window of %s: a fault must leave something to judge it by", b.Hold, b.Window))
	}
}

// inWords writes words as people do: a, b and c.
func inWords(words []string) string {
	n := max(len(words)-1, 0)
	return strings.Join(words[:n], ", ") + " and " + strings.Join(words[n:], "")
}
