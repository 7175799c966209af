package collector

import (
	"cmp"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/onefiveten/onefiveten/probe"
)

const (
	keptFailures = 3   // failed runs that are kept of each target
	maxErrorText = 512 // bytes of an error that are kept
)

// Failure is one failed run of a target.
type Failure struct {
	Probe, Service, Instance string
	Labels                   map[string]string // as configured
	// Result is that of the prober. Its samples are those that the page took, in
	// the order of their names; its error is a text, cut short, and has no causes.
	Result probe.Result
}

// Failures gives the newest failed runs of every target, the newest first. The
// list is made when it is asked for.
func (c *Collector) Failures() []Failure {
	var list []Failure
	for _, t := range c.table.Load().targets {
		for _, f := range t.state.failed() {
			list = append(list, Failure{Probe: t.probe, Service: t.service, Instance: t.url, Labels: t.configured(), Result: f.result()})
		}
	}
	slices.SortStableFunc(list, func(a, b Failure) int { return b.Result.Start.Compare(a.Result.Start) })
	return list
}

// configured gives the labels that are not the exporter's own.
func (t *target) configured() map[string]string {
	all := map[string]string{}
	for _, p := range t.labels.pairs {
		if !slices.Contains(reserved, p.name) {
			all[p.name] = p.value
		}
	}
	return all
}

// failure is a failed run as it is kept: its samples share families and labels
// with the page, and of its error the text alone remains, since an error of TLS
// holds on to the certificates that it is about.
type failure struct {
	start    time.Time
	duration time.Duration
	reason   probe.Reason
	text     string
	addr     netip.Addr
	samples  []series
}

// keep remembers a failed run in place of the oldest one. The state is locked.
func (s *state) keep(r probe.Result, samples []series) {
	f := &failure{
		start: r.Start, duration: r.Duration, reason: probe.Reasons()[reasonIndex(r.Reason)],
		text: string(r.Reason), addr: r.Addr, samples: samples,
	}
	if r.Err != nil {
		f.text = cut(r.Err.Error())
	}
	s.failures[s.oldest] = f
	s.oldest = (s.oldest + 1) % keptFailures
}

// cut shortens a text that may hold what a server has sent.
func cut(text string) string {
	if len(text) > maxErrorText {
		text = text[:maxErrorText] + "…"
	}
	return strings.Clone(strings.ToValidUTF8(text, "?"))
}

// failed gives the failures that are kept.
func (s *state) failed() []*failure {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.failures[:]), func(f *failure) bool { return f == nil })
}

// result makes a result again of what was kept.
func (f *failure) result() probe.Result {
	r := probe.Result{Reason: f.reason, Err: errors.New(cmp.Or(f.text, "no error was given")), Start: f.start, Duration: f.duration, Addr: f.addr}
	for _, x := range f.samples {
		s := probe.Sample{Name: x.family.name, Help: x.family.help, Value: x.value}
		for _, p := range x.labels.pairs {
			s.Labels = append(s.Labels, probe.Label{Name: p.name, Value: p.value})
		}
		r.Samples = append(r.Samples, s)
	}
	return r
}
