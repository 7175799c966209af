// Command bench compares probe-exporter with the released blackbox_exporter,
// program against program, on the same targets in one run, and its thresholds
// with those that a real Prometheus works out. It is given nothing but flags; it
// builds the programs, measures, and prints figures and ratios with the goal
// beside each, and how they were measured. What it finds is told, never judged:
// the exit code is 1 only when something could not be measured.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/onefiveten/onefiveten/demo/stack"
	"github.com/onefiveten/onefiveten/demo/term"
)

// bench is one run.
type bench struct {
	ours, theirs string // the programs
	prometheus   string // the real one
	dir          string // for files of this run
	rounds       int
	only         string // a part alone; empty: all
	generation   string // of the real servers that rules and faults are measured on: build or debian
	match        string // text in the name of what is compared
	say          *term.Printer
	isolated     bool // in namespaces of its own: with a name server and silent pings
}

func main() {
	b := &bench{say: term.New(os.Stdout)}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := b.part(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// part runs what this process is for: the targets, the measuring inside of the
// namespaces, or the whole.
func (b *bench) part(ctx context.Context, args []string) error {
	if len(args) > 0 && args[0] == "targets" {
		return serveTargets(ctx, args[1:])
	}
	inside := len(args) > 0 && args[0] == "inside"
	if inside {
		args = args[1:]
	}
	flags := flag.NewFlagSet("bench", flag.ExitOnError)
	flags.StringVar(&b.theirs, "blackbox", os.Getenv("BLACKBOX"), "blackbox_exporter to compare with; empty: the release is built")
	flags.StringVar(&b.ours, "ours", "", "probe-exporter to measure; empty: it is built")
	flags.StringVar(&b.prometheus, "prometheus", "", "Prometheus to compare thresholds with; empty: the release is built")
	flags.StringVar(&b.only, "only", "", "one part alone: overrun, lag, cpu, thresholds, scrape, nab, healthy, replays, rules or faults")
	flags.StringVar(&b.generation, "stack", "build", "Prometheus and Alertmanager of rules and faults: build or debian")
	flags.StringVar(&b.match, "match", "", "of the part cpu only what has this text in its name, such as \"TCP to localhost\"")
	flags.StringVar(&b.dir, "dir", "", "folder for files of the run; empty: one that is removed at the end")
	flags.IntVar(&b.rounds, "rounds", 5, "how often both programs take turns")
	flags.BoolVar(&b.isolated, "isolated", false, "")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if inside {
		return b.inside(ctx)
	}
	return b.outside(ctx)
}

// outside builds the programs and measures: in namespaces of its own where the
// system allows that, else without what needs them.
func (b *bench) outside(ctx context.Context) error {
	began := time.Now()
	if b.dir == "" {
		dir, err := os.MkdirTemp("", "bench-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		b.dir = dir
	}
	if !slices.Contains([]string{"nab", "healthy", "replays"}, b.only) { // those run nothing but this program
		if err := b.programs(ctx); err != nil {
			return err
		}
		if err := b.enter(ctx); err != nil {
			return err
		}
	}
	for _, p := range []part{{"scrape", b.scrape}, {"nab", b.nab}, {"healthy", b.healthy}, {"replays", b.replays}, {"rules", b.rules}, {"faults", b.faults}} {
		if err := b.measure(ctx, p); err != nil {
			return err
		}
	}
	load, _, _ := strings.Cut(loadAverage(), " ")
	b.say.Line("\nThe whole took %s. Load average of this machine at the end, others included: %s on %d CPUs.", time.Since(began).Round(time.Second), load, runtime.NumCPU())
	return nil
}

// loadAverage is what the kernel says about the last minutes.
func loadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// part is one thing that is measured.
type part struct {
	name string
	do   func(context.Context) error
}

// measure does a part that was asked for.
func (b *bench) measure(ctx context.Context, p part) error {
	if !b.wants(p.name) {
		return nil
	}
	if err := p.do(ctx); err != nil {
		return fmt.Errorf("measuring %s: %w", p.name, err)
	}
	return nil
}

// wants tells whether a part was asked for.
func (b *bench) wants(part string) bool { return b.only == "" || b.only == part }

// programs builds what was not given.
func (b *bench) programs(ctx context.Context) error {
	if b.theirs == "" && !slices.Contains([]string{"thresholds", "rules", "faults"}, b.only) {
		p, err := stack.Blackbox(ctx, stack.Options{Progress: b.say})
		if err != nil {
			return err
		}
		b.theirs = p.Path
	}
	if b.prometheus == "" && b.wants("thresholds") {
		p, err := stack.Find(ctx, stack.Options{Which: "build", Progress: b.say})
		if err != nil {
			return err
		}
		b.prometheus = p.Prometheus.Path
	}
	if b.ours != "" {
		return nil
	}
	root, err := root()
	if err != nil {
		return err
	}
	build := stack.Build{
		Folder: root, Packages: []string{"./cmd/probe-exporter"}, Into: filepath.Join(b.dir, "bin"), Env: []string{"CGO_ENABLED=0"},
		What: "building probe-exporter", Progress: b.say,
	}
	b.ours = filepath.Join(build.Into, "probe-exporter")
	return build.Do(ctx)
}

// root is the folder of the repository, above the working folder.
func root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for at := dir; ; at = filepath.Dir(at) {
		if _, err := os.Stat(filepath.Join(at, "house_test.go")); err == nil {
			return at, nil
		}
		if at == filepath.Dir(at) {
			return "", fmt.Errorf("looking for the repository above %s: there is none", dir)
		}
	}
}

// enter starts this program again in namespaces of its own: there a name server
// can listen on port 53, pings can be left without answer, and nobody else's
// traffic is about. Where they are not allowed it goes on without.
func (b *bench) enter(ctx context.Context) error {
	if err := b.again(ctx, true); !errors.Is(err, syscall.EPERM) && !errors.Is(err, syscall.ENOSPC) {
		return err
	}
	b.say.Line("No namespaces may be made here: without a name server of our own, and without pings that nobody answers.")
	return b.again(ctx, false)
}

// again is the call of this program that measures.
func (b *bench) again(ctx context.Context, isolated bool) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, self, "inside", "-ours="+b.ours, "-blackbox="+b.theirs, "-prometheus="+b.prometheus, "-dir="+b.dir,
		"-only="+b.only, "-match="+b.match, fmt.Sprintf("-rounds=%d", b.rounds), fmt.Sprintf("-isolated=%t", isolated))
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	if isolated {
		cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET | syscall.CLONE_NEWNS
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	return cmd.Run()
}

// inside measures every part that runs programs.
func (b *bench) inside(ctx context.Context) error {
	if b.isolated {
		if err := isolate(b.dir); err != nil {
			return err
		}
	}
	for _, p := range []part{{"overrun", b.overrun}, {"lag", b.lag}, {"cpu", b.cpu}, {"thresholds", b.thresholds}} {
		if err := b.measure(ctx, p); err != nil {
			return err
		}
	}
	return nil
}
