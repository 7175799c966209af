// Command demo breaks a real service on this machine and shows how it is
// detected, located, healed and put back, with the seconds on each clock. It is
// given --fault, --keep and --stack (or FAULT, KEEP and STACK); it exits 1 when
// a clock is missed, the wrong place is named, or a part cannot be started.
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
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	o, err := options(os.Args[1:])
	var report run.Report
	if err == nil {
		report, err = run.Run(ctx, o)
	}
	interrupted := ctx.Err() != nil
	stop()
	os.Exit(exitCode(err, report.Err() != nil, interrupted))
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

// exitCode says what went wrong. Ctrl-C is 130, as for any program; with --keep,
// after all was shown, it is the way to end.
func exitCode(err error, missed, interrupted bool) int {
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case interrupted && !missed:
		fmt.Fprintln(os.Stderr, "demo: interrupted, every process is ended")
		return 130
	}
	fmt.Fprintf(os.Stderr, "demo: %v\n", err)
	return 1
}
