// Package run is the demo itself: it is given the faults to show; it starts the
// shop, probe-exporter, Prometheus, Alertmanager and heal-receiver on loopback,
// breaks the shop, tells what happens with the seconds on each clock, and gives
// a report of what was kept and what was missed.
package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/onefiveten/onefiveten/demo/shop"
	"github.com/onefiveten/onefiveten/demo/stack"
	"github.com/onefiveten/onefiveten/demo/term"
)

// The faults.
const (
	Crash    = "crash"     // one node is killed: isolate it
	AllNodes = "all-nodes" // every node is killed: restart the service
	Observer = "observer"  // one of two observers is cut off: touch nothing
)

// Options of a run.
type Options struct {
	Faults []string // in turn; empty = crash, "all" = every one
	Which  string   // where Prometheus and Alertmanager come from, as stack.Options
	Keep   bool     // leave the last house up until ctx ends
	Root   string   // of the repository; empty = looked for
	Out    io.Writer

	// Nodes starts the shop's nodes, see shop.Main; empty = this program.
	Nodes []string
	// Exporter and Receiver are built programs; empty = they are built.
	Exporter, Receiver string
}

// Report says what became of each fault.
type Report struct {
	Faults []Outcome
}

// Outcome is one fault's part of the report.
type Outcome struct {
	Fault    string
	Broken   string   // what was broken: a node's name, "every node", an observer's name
	Scope    string   // located scope; empty where nothing was to be located
	Members  []string // located members
	Clocks   []Clock
	Calls    []shop.Call // every change of the shop, by the shop's own account
	Letters  []string    // what people were told
	Review   string      // file
	Problems []string    // what was missed or wrong; empty = all was well
}

// Clock is one of the three, counted from the fault.
type Clock struct {
	Stage  string        // detect, locate or recover
	Took   time.Duration // 0 = it was never reached
	Bound  time.Duration // proved bound; 0 = none
	Target time.Duration
}

// Missed says whether the clock was not reached in time.
func (c Clock) Missed() bool {
	return c.Took == 0 || c.Took > c.Target || c.Bound > 0 && c.Took > c.Bound
}

// Err joins all problems; nil when there are none.
func (r Report) Err() error {
	var all []error
	for _, o := range r.Faults {
		for _, p := range o.Problems {
			all = append(all, fmt.Errorf("%s: %s", o.Fault, p))
		}
	}
	return errors.Join(all...)
}

// Run shows the faults one after the other, each in a house of its own. The
// error is what kept the demo from running, or the problems of the report. It
// returns early when ctx ends or o.Out refuses a write, with every process ended.
func Run(ctx context.Context, o Options) (Report, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	say := term.New(o.Out)
	say.OnLost(func(err error) { cancel(fmt.Errorf("%w: %w", errLost, err)) })
	report, err := play(ctx, o, say)
	if cause := context.Cause(ctx); errors.Is(cause, errLost) {
		err = cause
	}
	return report, err
}

// errLost says that what happens can no longer be told.
var errLost = errors.New("writing what happens")

// play is Run with a printer.
func play(ctx context.Context, o Options, say *term.Printer) (Report, error) {
	faults, err := choose(o.Faults)
	if err != nil {
		return Report{}, err
	}
	d, err := prepare(ctx, o, say)
	if err != nil {
		return Report{}, err
	}
	var report Report
	for n, f := range faults {
		err := d.show(ctx, f, func(out Outcome) bool {
			report.Faults = append(report.Faults, out)
			last := n == len(faults)-1
			if last {
				d.table(report)
			}
			return last && o.Keep
		})
		if err != nil {
			return report, fmt.Errorf("%s: %w", f.name, err)
		}
	}
	return report, report.Err()
}

// fault is one way to break the shop and what must come of it.
type fault struct {
	name, title string
	observers   []string
	play        func(ctx context.Context, h *house, out *Outcome) error
}

// faults are all that can be shown, in the order of "all".
func faults() []fault {
	return []fault{
		{Crash, "one node of three is killed", []string{"a"}, playCrash},
		{AllNodes, "every node is killed", []string{"a"}, playAllNodes},
		{Observer, "one observer of two is cut off from a healthy shop", []string{"a", "b"}, playObserver},
	}
}

// choose finds faults by their names; none asked for is crash.
func choose(names []string) ([]fault, error) {
	if len(names) == 0 {
		names = []string{Crash}
	}
	var chosen []fault
	for _, name := range names {
		found := false
		for _, f := range faults() {
			if name == f.name || name == "all" {
				chosen, found = append(chosen, f), true
			}
		}
		if !found {
			return nil, fmt.Errorf("FAULT is %q, want crash, all-nodes, observer or all", name)
		}
	}
	return chosen, nil
}

// demo is what all faults share: programs, folders and the printer.
type demo struct {
	say                *term.Printer
	root               string
	parts              stack.Parts
	nodes              []string
	exporter, receiver string
}

// prepare finds the real servers and builds our own two programs.
func prepare(ctx context.Context, o Options, say *term.Printer) (*demo, error) {
	d := &demo{say: say, root: o.Root, nodes: o.Nodes, exporter: o.Exporter, receiver: o.Receiver}
	var err error
	if d.root == "" {
		if d.root, err = stack.Root(); err != nil {
			return nil, err
		}
	}
	if len(d.nodes) == 0 {
		if d.nodes, err = shop.Self(); err != nil {
			return nil, err
		}
	}
	if d.parts, err = stack.Find(ctx, stack.Options{Which: o.Which, Root: d.root, Progress: d.say}); err != nil {
		return nil, err
	}
	d.say.Line("%s", d.say.Paint(term.Dim, "  "+d.parts.String()))
	return d, d.build(ctx)
}

// build makes probe-exporter and heal-receiver where no path was given.
func (d *demo) build(ctx context.Context) error {
	if d.exporter != "" && d.receiver != "" {
		return nil
	}
	into := filepath.Join(d.root, ".cache", "demo", "bin")
	b := stack.Build{
		Folder: d.root, Into: into, What: "building the two programs", Progress: d.say,
		Packages: []string{"./cmd/probe-exporter", "./cmd/heal-receiver"}, Env: []string{"CGO_ENABLED=0"},
	}
	if err := b.Do(ctx); err != nil {
		return err
	}
	d.exporter, d.receiver = filepath.Join(into, "probe-exporter"), filepath.Join(into, "heal-receiver")
	return nil
}

// show plays one fault in a fresh house. told is given the outcome, and says
// whether the house stays up until ctx ends.
func (d *demo) show(ctx context.Context, f fault, told func(Outcome) (stay bool)) (err error) {
	d.say.Line("")
	d.say.Line("%s", d.say.Paint(term.Bold, "FAULT="+f.name+": "+f.title))
	h, err := d.openHouse(ctx, f)
	if err != nil {
		return err
	}
	out := Outcome{Fault: f.name}
	defer func() { h.close(ctx.Err() == nil && (err != nil || len(out.Problems) > 0)) }()
	if err := h.waitCalm(ctx); err != nil {
		return err
	}
	if err := f.play(ctx, h, &out); err != nil {
		return err
	}
	out.Calls = h.shop.Calls()
	for _, l := range h.sink.letters() {
		out.Letters = append(out.Letters, l.text)
	}
	if err := h.review(ctx, &out); err != nil {
		return err
	}
	for _, p := range out.Problems {
		d.say.Line("  %s %s", d.say.Paint(term.Red, "problem:"), p)
	}
	if told(out) {
		h.stay(ctx)
	}
	return nil
}

// table prints the clocks of all faults.
func (d *demo) table(r Report) {
	d.say.Line("")
	d.say.Line("%s", d.say.Paint(term.Bold, fmt.Sprintf("  %-10s %-8s %10s %13s %9s", "fault", "clock", "took", "proved bound", "target")))
	for _, o := range r.Faults {
		for _, c := range o.Clocks {
			bound, verdict := "-", d.say.Paint(term.Green, "kept")
			if c.Bound > 0 {
				bound = term.Seconds(c.Bound)
			}
			if c.Missed() {
				verdict = d.say.Paint(term.Red, "MISSED")
			}
			d.say.Line("  %-10s %-8s %10s %13s %9s   %s", o.Fault, c.Stage, tookOf(c), bound, term.Seconds(c.Target), verdict)
		}
		if len(o.Clocks) == 0 && len(o.Problems) == 0 {
			d.say.Line("  %-10s %s   %s", o.Fault, "nothing was touched, as it should be", d.say.Paint(term.Green, "kept"))
		}
	}
	for _, o := range r.Faults {
		if o.Review != "" {
			d.say.Line("  review of %s: %s", o.Fault, o.Review)
		}
	}
}

// tookOf is a clock's time, or the word for one that never stopped.
func tookOf(c Clock) string {
	if c.Took == 0 {
		return "never"
	}
	return fmt.Sprintf("%.1f s", c.Took.Seconds())
}

// keepReview writes a review where it outlives the house.
func (d *demo) keepReview(fault, text string) (string, error) {
	folder := filepath.Join(d.root, ".cache", "demo")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return "", err
	}
	file := filepath.Join(folder, "review-"+time.Now().UTC().Format("20060102T150405Z")+"-"+fault+".md")
	return file, os.WriteFile(file, []byte(strings.TrimRight(text, "\n")+"\n"), 0o644)
}
