// Command demo breaks a real service on this machine and shows how it is
// detected, located, healed and put back, with the seconds on each clock. It is
// given --fault, --keep and --stack (or FAULT, KEEP and STACK); it exits 1 when
// a clock is missed, the wrong place is named, or a part cannot be started, and
// as a shell counts it (128 and the signal's number) when it was ended before.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/onefiveten/onefiveten/demo/run"
	"github.com/onefiveten/onefiveten/demo/shop"
)

func main() {
	shop.Main() // the shop's nodes are this program again
	ctx := untilSignal()
	o, err := options(os.Args[1:])
	var report run.Report
	if err == nil {
		report, err = run.Run(ctx, o)
	}
	os.Exit(exitCode(err, report.Err() != nil, context.Cause(ctx)))
}

// signalled is the reason of an end by a signal.
type signalled struct{ syscall.Signal }

func (s signalled) Error() string { return s.String() }

// untilSignal gives a context that ends with the first signal that asks for the
// end: Ctrl-C, kill, or a terminal that is closed. A hang-up that was ignored
// from the start (nohup) stays ignored. A reader that goes away (SIGPIPE) must
// not kill: the write then fails, and the parts are ended in order.
func untilSignal() context.Context {
	wanted := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		wanted = append(wanted, syscall.SIGHUP)
	}
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	came := make(chan os.Signal, 1)
	signal.Notify(came, wanted...)
	ctx, cancel := context.WithCancelCause(context.Background())
	go func() {
		if s, ok := (<-came).(syscall.Signal); ok {
			cancel(signalled{s})
		}
	}()
	return ctx
}

// options reads flags; their defaults are the variables of "make demo".
func options(args []string) (run.Options, error) {
	o := run.Options{Out: os.Stdout}
	f := flag.NewFlagSet("demo", flag.ContinueOnError)
	fault := f.String("fault", os.Getenv("FAULT"), "crash, all-nodes, observer or all; comma-joined for several in turn")
	f.BoolVar(&o.Keep, "keep", os.Getenv("KEEP") != "" && os.Getenv("KEEP") != "0", "leave the stack up until Ctrl-C")
	f.StringVar(&o.Which, "stack", os.Getenv("STACK"), "build: ignore Prometheus and Alertmanager on PATH; debian: take Debian's packages")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("got argument %q, want flags alone", f.Arg(0))
	}
	if *fault != "" {
		o.Faults = strings.Split(*fault, ",")
	}
	return o, nil
}

// exitCode says what went wrong. The end by a signal is 128 and its number, as for
// any program; with --keep, after all was shown, it is the way to end.
func exitCode(err error, missed bool, end error) int {
	var by signalled
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.As(end, &by) && !missed:
		fmt.Fprintf(os.Stderr, "demo: ended (%s), every process is gone\n", by)
		return 128 + int(by.Signal)
	}
	fmt.Fprintf(os.Stderr, "demo: %v\n", err)
	if errors.Is(err, syscall.EPIPE) {
		return 128 + int(syscall.SIGPIPE)
	}
	return 1
}
