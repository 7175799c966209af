// Package faults breaks real services at random moments, and times the way of each
// fault through the real probe-exporter, Prometheus and Alertmanager to a webhook.
// It is given programs, a timing and how many faults; it gives the instants of every
// stage of each fault, with the bound that was proved for it. What it finds it does
// not judge.
package faults

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/onefiveten/onefiveten/demo/process"
	"github.com/onefiveten/onefiveten/demo/stack"
)

// Options are the programs, and a folder for the files of the run.
type Options struct {
	Exporter string
	Parts    stack.Parts
	Dir      string
}

// Stack is the timing of one Prometheus, and what it watches. Kinds of services are
// measured side by side.
type Stack struct {
	Backend               string        // exporter or promql
	Scrape, ScrapeTimeout time.Duration // S and d_s
	Evaluation, Delay     time.Duration // E and d_e
	Kinds                 []Kind
}

// Kind is how some services are watched: by two observers, at two nodes each.
type Kind struct {
	Name              string        // part of the names of its services
	Interval, Timeout time.Duration // P and d_p
	Floor, Cap        float64       // of θ_e; backend promql has no floor: 0
}

// Limits are floor and cap as a table shows them.
func (k Kind) Limits() string {
	if k.Floor > 0 {
		return fmt.Sprintf("%g/%g", k.Floor, k.Cap)
	}
	return fmt.Sprintf("-/%g", k.Cap)
}

// Fault is one fault and the instants of its way. All are of clocks of this machine.
type Fault struct {
	Kind, Service, Node string
	How                 How
	Bound               time.Duration // onefiveten_detect_bound_seconds

	Began   time.Time // the instant before the switch
	Sampled time.Time // the first bad probe began: the annotation fault_start
	Judged  time.Time // the last observer's verdict turned, as Prometheus stored it
	Fired   time.Time // the evaluation at which FaultDetected fired
	Told    time.Time // the webhook arrived; zero: it never did
}

// Took is the whole way, and Within whether it kept the bound. Of a fault that was
// never told the way has no end.
func (f Fault) Took() time.Duration { return f.Told.Sub(f.Began) }

// Within tells whether the fault was told in time.
func (f Fault) Within() bool { return !f.Told.IsZero() && f.Took() <= f.Bound }

const (
	observers = 2
	spread    = 15 * time.Second // over which faults begin
	warmUp    = time.Minute      // by which all is well
	overtime  = 30 * time.Second // beyond its bound a fault is waited for
	look      = 50 * time.Millisecond
)

// nodes of a service. One of them is broken.
func nodes() []string { return []string{"n1", "n2"} }

// plan is what will be broken, in the order of time.
type plan struct {
	kind          Kind
	service, node string
	how           How
	after         time.Duration // from the beginning of the measuring
}

// draw plans n faults of every kind, each of a service of its own, at random
// moments. The same random numbers give the same plan.
func draw(kinds []Kind, n int, random *rand.Rand) []plan {
	var all []plan
	for _, k := range kinds {
		for i := range n {
			all = append(all, plan{
				kind: k, service: fmt.Sprintf("%s-%02d", k.Name, i+1), node: nodes()[random.IntN(len(nodes()))],
				how: ways()[random.IntN(len(ways()))], after: time.Duration(random.Int64N(int64(spread))),
			})
		}
	}
	slices.SortFunc(all, func(a, b plan) int { return int(a.after - b.after) })
	return all
}

// Run starts the real parts, lets n services of every kind fail, each once, and
// gives the faults in the order in which they began.
func Run(ctx context.Context, o Options, s Stack, n int, random *rand.Rand) (all []Fault, err error) {
	var group process.Group
	defer group.Close()
	h, err := open(ctx, &group, o, s, draw(s.Kinds, n, random))
	if err != nil {
		return nil, err
	}
	if err := h.healthy(ctx); err != nil {
		return nil, err
	}
	if all, err = h.breakAll(ctx); err != nil {
		return nil, err
	}
	return all, h.stages(ctx, all)
}

// breakAll breaks what was planned at its moment, and waits for the webhooks.
func (h *house) breakAll(ctx context.Context) ([]Fault, error) {
	bounds, err := h.bounds(ctx)
	if err != nil {
		return nil, err
	}
	var all []Fault
	for began, i := time.Now(), 0; i < len(h.plans); i++ {
		p := h.plans[i]
		if err := until(ctx, began.Add(p.after)); err != nil {
			return nil, err
		}
		if err := h.silent(p.service); err != nil {
			return nil, err
		}
		all = append(all, Fault{
			Kind: p.kind.Name, Service: p.service, Node: p.node, How: p.how, Bound: bounds[p.service],
			Began: h.servers[p.service][p.node].breaks(p.how),
		})
	}
	for i := range all {
		if err := h.told(ctx, &all[i]); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// silent is no error while nobody has been told of a fault of a service.
func (h *house) silent(service string) error {
	_, early, err := h.hook.first("FaultDetected", service)
	if err == nil && early {
		err = fmt.Errorf("FaultDetected fired for %s, want it silent before the service is broken: on a machine that is too busy good probes end too late; measure again alone", service)
	}
	return err
}

// told waits for the webhook of a fault: until long after its bound.
func (h *house) told(ctx context.Context, f *Fault) error {
	for last := f.Began.Add(f.Bound + overtime); ; {
		c, came, err := h.hook.first("FaultDetected", f.Service)
		if err != nil {
			return err
		}
		if came {
			f.Told, f.Fired, f.Sampled = c.at, c.fired, c.seconds("fault_start")
			return nil
		}
		if time.Now().After(last) {
			return nil
		}
		if err := until(ctx, time.Now().Add(look)); err != nil {
			return err
		}
	}
}

// stages asks Prometheus when it knew the verdicts on each fault.
func (h *house) stages(ctx context.Context, all []Fault) error {
	for i := range all {
		f := &all[i]
		if f.Told.IsZero() {
			continue
		}
		of := fmt.Sprintf("%s{service=%q,node=%q,signal=\"availability\"}", h.stack.verdict(), f.Service, f.Node)
		tracks, err := h.prometheus.Range(ctx, fmt.Sprintf("timestamp(%[1]s) and %[1]s == 1", of), f.Began.Truncate(time.Millisecond), f.Told.Add(look).Truncate(time.Millisecond), look)
		if err != nil {
			return err
		}
		for _, t := range tracks {
			if at := time.UnixMilli(int64(t.Samples[0].Value * 1000)); at.After(f.Judged) {
				f.Judged = at
			}
		}
	}
	return nil
}

// verdict is the series with what an observer says of a node: its own gauge, or the
// record of the rules that judge it.
func (s Stack) verdict() string {
	if s.Backend == "promql" {
		return "onefiveten:ksigma_fault:fresh"
	}
	return "ksigma_fault"
}
