package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	pconfig "github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"

	"github.com/onefiveten/onefiveten/collector"
	"github.com/onefiveten/onefiveten/config"
	"github.com/onefiveten/onefiveten/probe"
	"github.com/onefiveten/onefiveten/promapi"
	"github.com/onefiveten/onefiveten/rules"
	"github.com/onefiveten/onefiveten/sigma"
)

// settings are the whole configuration: the parts that the rooms declare.
type settings struct {
	Modules            map[string]probe.Module `yaml:"modules,omitempty"`
	ModuleFiles        []string                `yaml:"module_files,omitempty"` // patterns of files with more modules
	WindowsFile        string                  `yaml:"windows_file,omitempty"` // in the place of the windows that are built in
	Prometheus         prometheusSection       `yaml:"prometheus,omitempty"`
	Alertmanager       alertmanagerSection     `yaml:"alertmanager,omitempty"`
	collector.Settings `yaml:",inline"`

	observer string
	listed   bool   // the observer must stand in the list of expected ones
	hash     string // of the texts
	missing  []missing
	places   *config.Places
	override string // the backend of the command line; empty: none
	mended   bool   // Windows are not what their file says, which has mistakes
}

// prometheusSection is the section prometheus:: what the rules reckon with, and whom
// signals and check ask how.
type prometheusSection struct {
	URL              string                    `yaml:"url,omitempty"`
	HTTPConfig       *pconfig.HTTPClientConfig `yaml:"http_config,omitempty"`
	Timeout          model.Duration            `yaml:"timeout,omitempty"`     // of one question; default 2s
	Concurrency      int                       `yaml:"concurrency,omitempty"` // queries of signals that may be open at once; default 4
	rules.Prometheus `yaml:",inline"`
}

// alertmanagerSection is the section alertmanager:: what the rules reckon with, and
// whom check asks how. A question may take as long as one to Prometheus.
type alertmanagerSection struct {
	URL                string                    `yaml:"url,omitempty"`
	HTTPConfig         *pconfig.HTTPClientConfig `yaml:"http_config,omitempty"`
	rules.Alertmanager `yaml:",inline"`
}

// Defaults of prometheus.timeout and prometheus.concurrency.
const (
	defaultPatience    = model.Duration(2 * time.Second)
	defaultConcurrency = 4
)

// load reads the settings as the observer sees them. Without a name the first
// of the listed observers stands for all: what is checked and generated is the
// same for each.
func load(from files, observer string) (*settings, error) {
	read, err := from.read()
	if err != nil {
		return nil, err
	}
	return parse(read, observer)
}

// parse is load of files that have been read.
func parse(read *sources, observer string) (*settings, error) {
	s := &settings{
		Prometheus: prometheusSection{Prometheus: rules.DefaultPrometheus(), Timeout: defaultPatience, Concurrency: defaultConcurrency}, Alertmanager: alertmanagerSection{Alertmanager: rules.DefaultAlertmanager()},
		observer: observer, listed: observer != "", hash: read.hash(), missing: read.missing, override: read.backend,
	}
	windows, wrong := read.windowsInForce()
	s.Windows, s.mended = windows, wrong != nil
	if s.mended && len(windows.Severities) == 0 {
		return nil, wrong // of those that services name nothing is known
	} else if s.mended {
		s.Windows = windows.Mended()
	}
	if err := together(config.ParseAll(read.all, s), wrong); err != nil {
		return nil, s.unproved(err)
	}
	s.setDirectories()
	return s, nil
}

// together joins the mistakes of several files. Any other error stands alone.
func together(errs ...error) error {
	var all config.Mistakes
	for _, err := range errs {
		var some config.Mistakes
		if err != nil && !errors.As(err, &some) {
			return err
		}
		all = append(all, some...)
	}
	if len(all) == 0 {
		return nil
	}
	return all
}

// SetPlaces keeps where everything stands.
func (s *settings) SetPlaces(p *config.Places) { s.places = p }

// setDirectories makes the names of files relative to the file that they are in.
func (s *settings) setDirectories() {
	folder := func(path string) string { return filepath.Dir(s.places.File(path)) }
	for name, m := range s.Modules {
		m.SetDirectory(folder("modules." + name))
		s.Modules[name] = m
	}
	for i := range s.Probes {
		one := collector.Settings{Probes: s.Probes[i : i+1]}
		one.SetDirectory(folder(fmt.Sprintf("probes[%d]", i)))
		s.Probes[i] = one.Probes[0]
	}
	s.Prometheus.HTTPConfig.SetDirectory(folder("prometheus"))
	s.Alertmanager.HTTPConfig.SetDirectory(folder("alertmanager"))
}

// Check asks each room about its part. What the rules say of a path is heard
// only where nobody has spoken of it yet: they see the same settings again. Of
// targets that hang on a severity that there is not they cannot tell.
func (s *settings) Check(report func(path, text string)) {
	// Here the files have been read and nothing has looked at the name yet.
	s.name()
	s.Backend = cmp.Or(s.override, s.Backend)
	s.Asking = collector.Asking{
		Timeout: time.Duration(s.Prometheus.Timeout), Concurrency: s.Prometheus.Concurrency, Scrape: time.Duration(s.Prometheus.Scrape.Interval),
	}
	tell := report
	report = func(path, text string) { tell(path, s.owned(path, text)) }
	heard := map[string]bool{}
	hear := func(path, text string) {
		heard[path] = true
		report(path, text)
	}
	for _, m := range s.missing {
		if m.wrong {
			hear(m.path, m.text)
		}
	}
	for name, m := range s.Modules {
		m.Check(func(path, text string) { hear("modules."+name+"."+path, text) })
	}
	s.checkDoubles(hear)
	s.CheckBackend(s.places.Written, hear)
	doubles := maps.Clone(heard)
	s.Settings.Check(func(path, text string) {
		if !doubles[path] {
			hear(path, text)
		}
	})
	s.CheckModules(s.modules(nil), hear)
	s.checkTargets(hear)
	s.Prometheus.check(hear)
	s.Alertmanager.check(hear)
	s.checkSignals(hear)
	if s.listed && len(s.Observers) > 0 && !slices.Contains(s.Observers, s.observer) {
		hear("observers", fmt.Sprintf("%q, the --observer of this exporter, is not listed: %s", s.observer, strings.Join(s.Observers, ", ")))
	}
	s.checkRules(heard, report)
}

// owned says of a default that it is one: nobody has written what is spoken of.
func (s *settings) owned(path, text string) string {
	if got, rest, found := strings.Cut(text, ", want "); found && !s.places.Written(path) {
		d, err := model.ParseDuration(strings.TrimPrefix(got, "got "))
		if err == nil && d > 0 {
			text = got + ", the default, want " + rest
		}
	}
	for _, section := range []string{"scrape", "evaluation"} {
		if strings.HasPrefix(path, "prometheus.") && !s.places.Written("prometheus."+section+".interval") {
			text = strings.Replace(text, "the "+section+" interval of", "the default "+section+" interval of", 1)
		}
	}
	return text
}

// check looks at how Prometheus is asked.
func (p prometheusSection) check(report func(path, text string)) {
	asked := promapi.Settings{Name: "prometheus", URL: p.URL, HTTPConfig: p.HTTPConfig, Timeout: p.Timeout}
	asked.Check(func(path, text string) {
		if path != "url" || p.URL != "" {
			report("prometheus."+path, config.Masked(text))
		}
	})
	if p.Timeout == 0 {
		report("prometheus.timeout", "got 0s, want more than 0s")
	}
	if p.Concurrency < 1 || p.Concurrency > 1000 {
		report("prometheus.concurrency", fmt.Sprintf("got %d, want 1 to 1000", p.Concurrency))
	}
}

// check looks at how the Alertmanager is asked.
func (a alertmanagerSection) check(report func(path, text string)) {
	asked := promapi.Settings{Name: "alertmanager", URL: a.URL, HTTPConfig: a.HTTPConfig}
	asked.Check(func(path, text string) {
		if path != "url" || a.URL != "" {
			report("alertmanager."+path, config.Masked(text))
		}
	})
}

// checkSignals wants somebody whom the signals can ask, and an answer before the
// next question.
func (s *settings) checkSignals(report func(path, text string)) {
	if len(s.Signals) > 0 && s.Prometheus.URL == "" {
		report("signals", "there is nobody to ask: want prometheus.url")
	}
	for i, q := range s.Signals {
		if d := s.Prometheus.Timeout; q.Interval > 0 && d > q.Interval {
			report(fmt.Sprintf("signals[%d].interval", i), fmt.Sprintf("got %s, want prometheus.timeout of %s or more", q.Interval, d))
		}
	}
}

// source is the Prometheus that signals are read from, nil where none is named, and
// what lets go of its connections.
func (s *settings) source() (source collector.Source, rest func(), err error) {
	if s.Prometheus.URL == "" {
		return nil, func() {}, nil
	}
	client, err := promapi.New(promapi.Settings{
		Name: config.Masked(s.Prometheus.URL), URL: s.Prometheus.URL, HTTPConfig: s.Prometheus.HTTPConfig, Timeout: s.Prometheus.Timeout,
	})
	if err != nil {
		return nil, nil, err
	}
	return discreet{client}, client.Close, nil
}

// discreet is a Prometheus whose errors, which end in the log, show no password of
// an address.
type discreet struct{ collector.Source }

// Query is that of the source.
func (d discreet) Query(ctx context.Context, query string) ([]promapi.Point, error) {
	points, err := d.Source.Query(ctx, query)
	return points, discreetly(err)
}

// Range is that of the source.
func (d discreet) Range(ctx context.Context, query string, from, to time.Time, step time.Duration) ([]promapi.Track, error) {
	tracks, err := d.Source.Range(ctx, query, from, to, step)
	return tracks, discreetly(err)
}

// maskedError is an error with another text.
type maskedError struct {
	error
	text string
}

// Error is the text.
func (e maskedError) Error() string { return e.text }

// Unwrap gives the error itself, for those who ask what kind it is.
func (e maskedError) Unwrap() error { return e.error }

// discreetly masks the addresses in the text of an error.
func discreetly(err error) error {
	if err == nil {
		return nil
	}
	return maskedError{err, config.Masked(err.Error())}
}

// checkDoubles reports names that stand in two files, with both.
func (s *settings) checkDoubles(report func(path, text string)) {
	probes, services, signals := map[string]string{}, map[string]string{}, map[string]map[string]string{}
	for i, p := range s.Probes {
		s.checkDouble(probes, fmt.Sprintf("probes[%d].name", i), p.Name, report)
	}
	for i, v := range s.Services {
		s.checkDouble(services, fmt.Sprintf("services[%d].name", i), v.Name, report)
	}
	for i, q := range s.Signals {
		if signals[q.Service] == nil {
			signals[q.Service] = map[string]string{}
		}
		s.checkDouble(signals[q.Service], fmt.Sprintf("signals[%d].name", i), q.Name, report)
	}
}

// checkDouble looks for one name among those before it.
func (s *settings) checkDouble(first map[string]string, path, name string, report func(path, text string)) {
	before, known := first[name]
	if !known {
		first[name] = path
		return
	}
	if file := s.places.File(before); file != s.places.File(path) {
		m := s.places.Mistake(before, "")
		report(path, fmt.Sprintf("name %q stands twice, first in %s:%d", name, file, m.Line))
	}
}

// checkTargets asks the module of each probe about its targets. Empty ones have
// been spoken of already.
func (s *settings) checkTargets(report func(path, text string)) {
	for i, p := range s.Probes {
		m, known := s.Modules[p.Module]
		for j, t := range p.Targets {
			if !known || t.URL == "" {
				continue
			}
			if err := m.CheckTarget(t.URL); err != nil {
				report(fmt.Sprintf("probes[%d].targets[%d].url", i, j), err.Error())
			}
		}
	}
}

// checkRules reports what the rules alone see. Bounds and timings of settings
// that are wrong anyway would mislead: they wait until the rest is right.
func (s *settings) checkRules(heard map[string]bool, report func(path, text string)) {
	spec, wait := s.spec(), map[string]bool{}
	if len(heard) > 0 || s.mended {
		spec.CheckBounds(func(path, text string) { wait[path+text] = true })
	}
	spec.Check(func(path, text string) {
		timing := strings.HasPrefix(path, "services[") && strings.Contains(path, "].probes[")
		service, targets := strings.CutSuffix(path, ".targets")
		if targets && heard[service+".severity"] {
			return
		}
		if !heard[path] && !wait[path+text] && !(timing && len(heard) > 0) {
			report(path, text)
		}
	})
}

// name gives the observer a name when the command line did not.
func (s *settings) name() {
	if s.observer != "" {
		return
	}
	if len(s.Observers) > 0 {
		s.observer = s.Observers[0]
		return
	}
	s.observer = hostname()
}

// hostname is the name of an observer that was not given one.
func hostname() string {
	if name, err := os.Hostname(); err == nil && name != "" {
		return name
	}
	return "probe-exporter"
}

// modules gives the modules to the collector, with the probers where they are
// made already.
func (s *settings) modules(probers map[string]*probe.Prober) map[string]collector.Module {
	all := make(map[string]collector.Module, len(s.Modules))
	for name, m := range s.Modules {
		one := collector.Module{Timeout: m.Timeout, CheckTarget: m.CheckTarget}
		if m.Prober == "icmp" && m.ICMP.Packets > 1 {
			one.Latency = collector.PhaseSeries{Name: "probe_icmp_duration_seconds", Phase: "rtt"}
		}
		if p := probers[name]; p != nil {
			one.Probe = p.Run
			// What can be marshalled is all of a module but the text of its secrets.
			text, _ := yaml.Marshal(m)
			one.Version = fmt.Sprintf("%x", sha256.Sum256(text))
		}
		all[name] = one
	}
	return all
}

// probers makes every module ready, on the network of the process.
func (s *settings) probers(network *probe.Network) (map[string]*probe.Prober, error) {
	all := make(map[string]*probe.Prober, len(s.Modules))
	for name, m := range s.Modules {
		p, err := probe.New(m, network)
		if err != nil {
			return nil, fmt.Errorf("module %q: %w", name, err)
		}
		all[name] = p
	}
	return all, nil
}

// spec is what rules and proofs are made from.
func (s *settings) spec() rules.Spec {
	c := s.Complete(s.observer)
	spec := rules.Spec{Backend: c.Backend, Prometheus: s.Prometheus.Prometheus, Alertmanager: s.Alertmanager.Alertmanager, Observers: c.Observers}
	for _, v := range c.Services {
		one := rules.Service{
			Name: v.Name, Owner: v.Owner, Severity: v.Severity, Dimensions: v.Dimensions, Observers: v.Observers,
			Detect: time.Duration(v.Targets.Detect), Locate: time.Duration(v.Targets.Locate), Recover: time.Duration(v.Targets.Recover),
		}
		// A map has no order; the files that are written must have one.
		for name, g := range v.Signals {
			one.Signals = append(one.Signals, rules.Signal{
				Name: name, Mode: g.Mode, Detect: time.Duration(g.Targets.Detect), Fault: g.Fault.Sigma(), MaxCap: g.MaxCap, Query: s.query(c, v.Name, name),
				Baseline: baseline(c, v, name),
			})
		}
		slices.SortFunc(one.Signals, func(a, b rules.Signal) int { return strings.Compare(a.Name, b.Name) })
		for _, p := range c.Probes {
			if p.Service == v.Name {
				one.Probes = append(one.Probes, rules.Probe{
					Name: p.Name, Role: p.Role, Interval: time.Duration(p.Interval), Timeout: p.Timeout(s.Modules[p.Module].Timeout),
				})
			}
		}
		spec.Services = append(spec.Services, one)
	}
	return spec
}

// baseline is that of a signal, with the range of what it can be; none of availability.
func baseline(c collector.Settings, v collector.Service, name string) sigma.Baseline {
	if v.Signals[name].Baseline == "" {
		return sigma.Baseline{}
	}
	b := c.BaselineOf(v, name).Sigma()
	for _, q := range c.Signals {
		if q.Service == v.Name && q.Name == name {
			b.Low, b.High = q.Range.Sigma()
		}
	}
	return b
}

// query is the timing of the entry that gives a service a signal; nil where none
// does.
func (s *settings) query(c collector.Settings, service, name string) *rules.Query {
	for i, q := range c.Signals {
		if q.Service == service && q.Name == name {
			return &rules.Query{
				Path: fmt.Sprintf("signals[%d]", i), Expr: q.Expr,
				Interval: time.Duration(q.Interval), Timeout: time.Duration(s.Prometheus.Timeout),
				Source: q.Scraped(), SourceTimeout: q.ScrapeTakes(),
			}
		}
	}
	return nil
}

// proofs are the caps and bounds that the rules have proved.
func (s *settings) proofs() []collector.Proof {
	var all []collector.Proof
	spec := s.spec()
	for _, b := range rules.Prove(spec) {
		all = append(all, collector.Proof{Service: b.Service, Signal: b.Signal, RuleSet: spec.RuleSet(b.Service, b.Signal), Cap: b.Cap, Bound: b.Total})
	}
	return all
}

// shown is the configuration as /config shows it, every secret masked: severity and
// targets of each service as they are in force. Where there are services, the
// windows in force follow as a document of their own, which could be a windows_file.
func (s *settings) shown() ([]byte, error) {
	full := *s
	full.Services = slices.Clone(s.Services)
	for i, v := range s.Complete(s.observer).Services {
		full.Services[i].Severity, full.Services[i].Targets = v.Severity, v.Targets
	}
	doc, err := shown(&full)
	if err != nil {
		return nil, err
	}
	text, err := yaml.Marshal(doc)
	if err != nil || len(s.Services) == 0 {
		return text, err
	}
	windows, err := yaml.Marshal(s.Windows)
	return slices.Concat(text, []byte("---\n"), windows), err
}

// targets counts the targets that the probes name, and the patterns of files and
// servers that name more.
func (s *settings) targets() (named, sources int) {
	for _, p := range s.Probes {
		named += len(p.Targets)
		if p.FileSD != nil {
			sources += len(p.FileSD.Files)
		}
		if p.HTTPSD != nil {
			sources++
		}
	}
	return named, sources
}

// hint points to the own schedule where there is none, which is how one who
// comes from blackbox_exporter begins. It is empty where there is one.
func (s *settings) hint() string {
	if len(s.Probes)+len(s.Signals) > 0 {
		return ""
	}
	return "Nothing is probed on the own schedule: probes: and services: in the configuration begin one, with thresholds, and alerts by the command rules."
}
