package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	pconfig "github.com/prometheus/common/config"
	"github.com/prometheus/common/model"

	"github.com/onefiveten/onefiveten/backtest"
	"github.com/onefiveten/onefiveten/collector"
	"github.com/onefiveten/onefiveten/rules"
	"github.com/onefiveten/onefiveten/sigma"
)

// backtestSettings are what the samples are judged by, and what is asked of whom
// where there is no CSV.
type backtestSettings struct {
	backtest.Settings
	query, url string
	http       *pconfig.HTTPClientConfig
}

// Names of the signals that every probe has.
const (
	availabilitySignal = "availability"
	latencySignal      = "latency"
)

// backtestSettings takes the defaults or the signal of the configuration, and then
// what the flags say.
func (a *app) backtestSettings() (*backtestSettings, error) {
	b := &a.backtesting
	s := &backtestSettings{query: b.query, url: b.url}
	s.Settings = defaultBacktest(b.kind == availabilitySignal)
	if err := a.configured(s); err != nil {
		return nil, err
	}
	if err := b.adjust(&s.Settings); err != nil {
		return nil, err
	}
	if b.csv != "" {
		return s, nil
	}
	if b.intervalGiven && b.step > 0 && b.step != s.Interval {
		return nil, fmt.Errorf("--interval and --step: got %s and %s; the interval of a query is its step, give one of them", model.Duration(s.Interval), model.Duration(b.step))
	}
	if s.Interval = cmp.Or(b.step, s.Interval, 15*time.Second); s.query == "" {
		return nil, fmt.Errorf("--signal: %s has no expression: give a CSV or --query", b.signal)
	}
	if b.http != "" {
		var err error
		s.http, err = b.httpConfig()
		return s, err
	}
	return s, nil
}

// adjust makes the changes that the flags ask for.
func (b *backtesting) adjust(s *backtest.Settings) error {
	held := s.Baseline.Hold
	s.Baseline.Hold = -1
	before := s.Baseline
	for _, change := range b.changes {
		change(s)
	}
	before.Zone = s.Baseline.Zone // also that of timestamps
	if s.Availability && (b.score || s.Baseline != before) {
		return errors.New("availability has no baseline and no score, it is 0 or 1: leave out --score and the flags from --window to --range.max, or give --kind=value")
	}
	if s.Baseline.Hold < 0 { // a hold that nobody chose follows a shorter window
		s.Baseline.Hold = min(held, s.Baseline.Window/2)
	}
	if v := s.Baseline; b.rangeGiven && !(v.Low < v.High) {
		return fmt.Errorf("--range.min and --range.max: the range is %v to %v, want the least value below the greatest", v.Low, v.High)
	}
	return nil
}

// defaultBacktest is what holds of the windows that are built in for a signal of a
// query, or for availability. The cap is the highest that a proof would choose.
func defaultBacktest(availability bool) backtest.Settings {
	all := collector.Settings{
		Signals:  []collector.Query{{Name: "value", Service: "any"}},
		Services: []collector.Service{{Name: "any", Signals: map[string]collector.Signal{availabilitySignal: {}}}},
	}.Complete("any")
	name, s := "value", backtest.Settings{Availability: availability}
	if availability {
		name = availabilitySignal
	} else {
		s.Baseline = all.BaselineOf(all.Services[0], name).Sigma()
	}
	g := all.Services[0].Signals[name]
	s.Fault = g.Fault.Sigma()
	s.Fault.Cap = g.MaxCap
	return s
}

// configured reads the configuration where something of it is wanted: a signal, or
// whom to ask.
func (a *app) configured(s *backtestSettings) error {
	b := &a.backtesting
	if b.signal == "" && (b.csv != "" || b.url != "" && !a.files.given) {
		return nil
	}
	from := a.files.choose()
	if b.signal == "" && !exists(from.file) && from.dir == "" {
		return errors.New("--query: whom to ask? Give --prometheus.url, or a --config.file with prometheus.url")
	}
	c, err := load(from, a.observer)
	if err != nil {
		return err
	}
	if s.url == "" || s.url == c.Prometheus.URL {
		s.url, s.http = c.Prometheus.URL, c.Prometheus.HTTPConfig
	}
	if b.csv == "" && s.url == "" {
		return fmt.Errorf("%s has no prometheus.url: give --prometheus.url", from)
	}
	return b.take(c, s)
}

// take fills s with the signal that was named, if one was.
func (b *backtesting) take(c *settings, s *backtestSettings) error {
	if b.signal == "" {
		return nil
	}
	if err := c.signal(b.signal, s); err != nil {
		return fmt.Errorf("--signal: %w", err)
	}
	if kind := b.kind; kind != "" && s.Availability != (kind == availabilitySignal) {
		return fmt.Errorf("--kind: %s is no signal of that kind; leave it out", b.signal)
	}
	return nil
}

// signal fills s with what the configuration says of service/name.
func (s *settings) signal(named string, into *backtestSettings) error {
	service, name, _ := strings.Cut(named, "/")
	all := s.Complete(s.observer)
	i := slices.IndexFunc(all.Services, func(v collector.Service) bool { return v.Name == service })
	q := slices.IndexFunc(all.Signals, func(q collector.Query) bool { return q.Service == service && q.Name == name })
	known := i >= 0
	if known {
		_, known = all.Services[i].Signals[name]
	}
	if !known {
		return fmt.Errorf("%s is not in the configuration, which has: %s", named, strings.Join(s.signals(all), ", "))
	}
	said := all.Services[i].Signals[name]
	into.Settings = defaultBacktest(name == availabilitySignal)
	if q >= 0 {
		query := all.Signals[q]
		into.query, into.Interval = cmp.Or(into.query, query.Expr), time.Duration(query.Interval)
	}
	if !into.Availability {
		into.Baseline = all.BaselineOf(all.Services[i], name).Sigma()
	}
	if q >= 0 {
		into.Baseline.Low, into.Baseline.High = all.Signals[q].Range.Sigma()
	}
	s.fault(said.Fault, service, name, &into.Fault)
	return nil
}

// signals lists what --signal may name.
func (s *settings) signals(all collector.Settings) (names []string) {
	for _, v := range all.Services {
		for _, name := range []string{availabilitySignal, latencySignal} {
			if _, has := v.Signals[name]; has { // a service without a probe has neither
				names = append(names, v.Name+"/"+name)
			}
		}
	}
	for _, q := range all.Signals {
		names = append(names, q.Service+"/"+q.Name)
	}
	return names
}

// fault overlays what is written, and the cap that the proof has solved.
func (s *settings) fault(said collector.Fault, service, name string, into *sigma.Fault) {
	into.MinAnomalies, into.Clear = written(said.MinAnomalies, into.MinAnomalies), written(said.Clear, into.Clear)
	into.Window = time.Duration(written(said.Window, model.Duration(into.Window)))
	into.Floor, into.K = written(said.Floor, into.Floor), written(said.K, into.K)
	if said.Cap == nil {
		bounds := rules.Prove(s.spec())
		i := slices.IndexFunc(bounds, func(b rules.Bound) bool { return b.Service == service && b.Signal == name && b.Cap > 0 })
		if i >= 0 {
			into.Cap = bounds[i].Cap
			return
		}
	}
	into.Cap = max(written(said.Cap, into.Cap), into.Floor)
}

// written is what a key says, or the default of one that is not there.
func written[T any](said *T, otherwise T) T {
	if said == nil {
		return otherwise
	}
	return *said
}
