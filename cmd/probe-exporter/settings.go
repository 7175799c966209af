package main

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/onefiveten/onefiveten/collector"
	"github.com/onefiveten/onefiveten/config"
	"github.com/onefiveten/onefiveten/probe"
	"github.com/onefiveten/onefiveten/rules"
)

// settings are the whole file: the parts that the rooms declare.
type settings struct {
	Modules            map[string]probe.Module `yaml:"modules,omitempty"`
	Prometheus         rules.Prometheus        `yaml:"prometheus,omitempty"`
	Alertmanager       rules.Alertmanager      `yaml:"alertmanager,omitempty"`
	collector.Settings `yaml:",inline"`

	observer string
	listed   bool   // the observer must stand in the list of expected ones
	hash     string // of the text of the file
}

// load reads the settings as the observer sees them. Without a name the first
// of the listed observers stands for all: what is checked and generated is the
// same for each.
func load(file, observer string) (*settings, error) {
	text, err := config.Read(file)
	if err != nil {
		return nil, err
	}
	s := &settings{
		Prometheus: rules.DefaultPrometheus(), Alertmanager: rules.DefaultAlertmanager(),
		observer: observer, listed: observer != "", hash: fmt.Sprintf("%x", sha256.Sum256(text))[:16],
	}
	if err := config.Parse(file, text, s); err != nil {
		return nil, err
	}
	for name, m := range s.Modules {
		m.SetDirectory(filepath.Dir(file))
		s.Modules[name] = m
	}
	s.Settings.SetDirectory(filepath.Dir(file))
	return s, nil
}

// Check asks each room about its part. What the rules say of a path is heard
// only where nobody has spoken of it yet: they see the same settings again.
func (s *settings) Check(report func(path, text string)) {
	// Here the file has been read and nothing has looked at the name yet.
	s.name()
	heard := map[string]bool{}
	hear := func(path, text string) {
		heard[path] = true
		report(path, text)
	}
	for name, m := range s.Modules {
		m.Check(func(path, text string) { hear("modules."+name+"."+path, text) })
	}
	s.Settings.Check(hear)
	s.CheckModules(s.modules(nil), hear)
	s.checkTargets(hear)
	if s.listed && len(s.Observers) > 0 && !slices.Contains(s.Observers, s.observer) {
		hear("observers", fmt.Sprintf("%q, the --observer of this exporter, is not listed: %s", s.observer, strings.Join(s.Observers, ", ")))
	}
	s.checkRules(heard, report)
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
	if len(heard) > 0 {
		spec.CheckBounds(func(path, text string) { wait[path+text] = true })
	}
	spec.Check(func(path, text string) {
		timing := strings.HasPrefix(path, "services[") && strings.Contains(path, "].probes[")
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

// probers makes every module ready.
func (s *settings) probers() (map[string]*probe.Prober, error) {
	all := make(map[string]*probe.Prober, len(s.Modules))
	for name, m := range s.Modules {
		p, err := probe.New(m, probe.NewNetwork())
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
	spec := rules.Spec{Prometheus: s.Prometheus, Alertmanager: s.Alertmanager, Observers: c.Observers}
	for _, v := range c.Services {
		one := rules.Service{
			Name: v.Name, Owner: v.Owner, Severity: v.Severity, Dimensions: v.Dimensions, Observers: v.Observers,
			Detect: time.Duration(v.Targets.Detect), Locate: time.Duration(v.Targets.Locate), Recover: time.Duration(v.Targets.Recover),
		}
		// A map has no order; the files that are written must have one.
		for name, g := range v.Signals {
			one.Signals = append(one.Signals, rules.Signal{
				Name: name, Mode: g.Mode, Detect: time.Duration(g.Targets.Detect), Fault: g.Fault.Sigma(),
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

// proofs are the caps and bounds that the rules have proved.
func (s *settings) proofs() []collector.Proof {
	var all []collector.Proof
	for _, b := range rules.Prove(s.spec()) {
		all = append(all, collector.Proof{Service: b.Service, Signal: b.Signal, Cap: b.Cap, Bound: b.Total})
	}
	return all
}

// shown is the file as /config shows it, every secret masked.
func (s *settings) shown() ([]byte, error) {
	text, err := yaml.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("writing the configuration: %w", err)
	}
	return []byte(config.Masked(string(text))), nil
}

// targets counts the targets of all probes.
func (s *settings) targets() (count int) {
	for _, p := range s.Probes {
		count += len(p.Targets)
	}
	return count
}
