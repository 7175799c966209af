package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/onefiveten/onefiveten/demo/stack"
	"github.com/onefiveten/onefiveten/e2e/faults"
)

const (
	faultsOf = 30 // of each kind
	stacksOf = 3  // that share them: in each one scrapes and evaluations have another phase
)

// timed is one running stack, and how it is told.
type timed struct {
	what string
	faults.Stack
}

// timings are the stacks that are broken. A floor as high as the cap is a threshold
// where a bad past can bring it at most: of that the bound is made.
func timings() []timed {
	demo := func(name string, floor float64) faults.Kind {
		return faults.Kind{Name: name, Interval: time.Second, Timeout: 500 * time.Millisecond, Floor: floor, Cap: .1}
	}
	return []timed{
		{"exporter P=1 d_p=.5 S=E=1 d_s=.5", faults.Stack{
			Backend: "exporter",
			Scrape:  time.Second, ScrapeTimeout: 500 * time.Millisecond, Evaluation: time.Second, Delay: 200 * time.Millisecond,
			Kinds: []faults.Kind{demo("fresh", .05), demo("worst", .1)},
		}},
		{"exporter P=2 d_p=1 S=E=2 d_s=.5", faults.Stack{
			Backend: "exporter",
			Scrape:  2 * time.Second, ScrapeTimeout: 500 * time.Millisecond, Evaluation: 2 * time.Second, Delay: 200 * time.Millisecond,
			Kinds: []faults.Kind{{Name: "worst", Interval: 2 * time.Second, Timeout: time.Second, Floor: .1, Cap: .1}},
		}},
		{"promql P=1 d_p=.5 S=E=1 d_s=.5", faults.Stack{
			Backend: "promql",
			Scrape:  time.Second, ScrapeTimeout: 500 * time.Millisecond, Evaluation: time.Second, Delay: 200 * time.Millisecond,
			Kinds: []faults.Kind{demo("promql", 0)},
		}},
	}
}

// faults breaks services on the real stack. Of all that is measured here this alone
// can be wrong: a bound is a promise, and a fault that was told later breaks it.
func (b *bench) faults(ctx context.Context) error {
	parts, err := stack.Find(ctx, stack.Options{Which: b.generation, Progress: b.say})
	if err != nil {
		return err
	}
	var lines []string
	var all []faults.Fault
	for i, t := range timings() {
		var found []faults.Fault
		err = b.say.During(ctx, "faults at "+t.what, nil, func(ctx context.Context) (err error) {
			found, err = b.breakStacks(ctx, parts, t.Stack, uint64(i))
			return err
		})
		if err != nil {
			break // what was found before is told all the same
		}
		for _, k := range t.Kinds {
			of := slices.DeleteFunc(slices.Clone(found), func(f faults.Fault) bool { return f.Kind != k.Name })
			lines = append(lines, faultLines(t.what, k, of)...)
			all = append(all, of...)
		}
	}
	return errors.Join(b.tellFaults(parts, lines, all), err)
}

// breakStacks breaks services of some stacks at the same time.
func (b *bench) breakStacks(ctx context.Context, parts stack.Parts, s faults.Stack, seed uint64) ([]faults.Fault, error) {
	var found [stacksOf][]faults.Fault
	var errs [stacksOf]error
	var open sync.WaitGroup
	for i := range stacksOf {
		open.Go(func() {
			dir, err := os.MkdirTemp(b.dir, "faults-")
			if err != nil {
				errs[i] = err
				return
			}
			random := rand.New(rand.NewPCG(seed, uint64(i)))
			found[i], errs[i] = faults.Run(ctx, faults.Options{Exporter: b.ours, Parts: parts, Dir: dir}, s, faultsOf/stacksOf, random)
		})
	}
	open.Wait()
	return slices.Concat(found[:]...), errors.Join(errs[:]...)
}

// faultLines are the rows of one kind.
func faultLines(what string, k faults.Kind, of []faults.Fault) []string {
	t := summary(of)
	lines := []string{fmt.Sprintf("  %-34s %-9s %6.1f %4d %6.1f %6.1f %6.1f %6.1f   %3.0f %%   %d of %d  %s", what, k.Limits(),
		t.bound.Seconds(), t.n, t.least, t.p50, t.p95, t.most, 100*t.most/t.bound.Seconds(), t.within, t.n, verdict(t.within == t.n))}
	var stages []string
	for _, s := range steps() {
		var took []float64
		for _, f := range of {
			if !f.Told.IsZero() && !f.Judged.IsZero() && !f.Sampled.IsZero() {
				took = append(took, s.of(f).Seconds())
			}
		}
		median, _, most := spread(took)
		stages = append(stages, fmt.Sprintf("%s %.1f (%.1f)", s.what, median, most))
	}
	return append(lines, "      "+strings.Join(stages, ", "))
}

// step is a part of the way of a fault.
type step struct {
	what string
	of   func(faults.Fault) time.Duration
}

// steps are the parts in their order; their sum is the way.
func steps() []step {
	return []step{
		{"to the first bad probe", func(f faults.Fault) time.Duration { return f.Sampled.Sub(f.Began) }},
		{"to both verdicts in Prometheus", func(f faults.Fault) time.Duration { return f.Judged.Sub(f.Sampled) }},
		{"to the evaluation", func(f faults.Fault) time.Duration { return f.Fired.Sub(f.Judged) }},
		{"to the webhook", func(f faults.Fault) time.Duration { return f.Told.Sub(f.Fired) }},
	}
}

// times sums up the faults of one kind, in seconds. One that was never told counts
// in n alone.
type times struct {
	bound                 time.Duration // the least one
	n, within             int
	least, p50, p95, most float64
}

// summary sums up.
func summary(of []faults.Fault) (t times) {
	var took []float64
	for i, f := range of {
		if t.n++; i == 0 || f.Bound < t.bound {
			t.bound = f.Bound
		}
		if f.Within() {
			t.within++
		}
		if !f.Told.IsZero() {
			took = append(took, f.Took().Seconds())
		}
	}
	if len(took) == 0 {
		return t
	}
	t.p50, t.least, t.most = spread(took)
	slices.Sort(took)
	t.p95 = took[(len(took)*95+99)/100-1] // the least that 95 of 100 do not exceed
	return t
}

// tellFaults prints the table, and the way of every fault that was late. The error
// is that there is one.
func (b *bench) tellFaults(parts stack.Parts, lines []string, all []faults.Fault) error {
	b.say.Line("\nFrom the fault to the firing webhook, s: %d faults of each row at random moments", faultsOf)
	b.say.Line("  %-34s %-9s %6s %4s %6s %6s %6s %6s   %s   %s", "", "floor/cap", "bound", "n", "least", "p50", "p95", "max", "max/bound", "within")
	b.say.Line("%s", strings.Join(lines, "\n"))
	b.say.Line(`  Below each row its stages: median (greatest).
  Method: %d stacks share the faults of a row, since scrapes and evaluations keep their phase in each: %s
  and two probe-exporters, two nodes of each service, all on loopback; rules and route as generated. One node of each service is
  broken once, its port closed, its answers held back or turned to 500, by a plan of a seeded generator over 15 s. The clock
  starts before the switch and stops where the webhook comes in. With floor = cap the threshold stands where a bad past can
  bring it at most, which is what the bound reckons with; .05 is the default, and backend promql has no floor. d_e is .2. Repeat: cd e2e && go run ./bench -only faults
  (-stack debian for the older generation).`, stacksOf, parts)
	var late []faults.Fault
	for _, f := range all {
		if !f.Within() {
			late = append(late, f)
			b.say.Line("  LATE: %s", timeline(f))
		}
	}
	if len(late) > 0 {
		load, _, _ := strings.Cut(loadAverage(), " ")
		return fmt.Errorf("%d of %d faults were told after their bound, want none; see the way of each above. The load average is %s: where others use this machine, measure again alone", len(late), len(all), load)
	}
	return nil
}

// timeline is the way of one fault, in seconds since its beginning.
func timeline(f faults.Fault) string {
	since := func(at time.Time) string {
		if at.IsZero() {
			return "never"
		}
		return fmt.Sprintf("%.2f", at.Sub(f.Began).Seconds())
	}
	return fmt.Sprintf("%s of %s (%s) at %s, bound %.1f s: first bad probe %s, both verdicts in Prometheus %s, FaultDetected fired %s, webhook %s",
		f.Node, f.Service, f.How, f.Began.Format("15:04:05.000"), f.Bound.Seconds(), since(f.Sampled), since(f.Judged), since(f.Fired), since(f.Told))
}
