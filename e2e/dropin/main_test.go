// Package dropin_test swaps blackbox_exporter for probe-exporter as people do:
// the same file, the same port, a Prometheus that is not told. Its targets page,
// its series and the alerts of an ordinary rule file must be as they were, in
// both generations of Prometheus; after that, the own schedule must raise the
// same alerts.
package dropin_test

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"testing"

	"github.com/onefiveten/onefiveten/demo/stack"
	"github.com/onefiveten/onefiveten/demo/term"
	"github.com/onefiveten/onefiveten/e2e/alone"
	"github.com/onefiveten/onefiveten/e2e/program"
)

// The environment of the test program within its own network names the programs:
// both exporters, and both generations of Prometheus.
const (
	oursPath   = "E2E_PROBE_EXPORTER"
	theirsPath = "E2E_BLACKBOX_EXPORTER"
	builtPath  = "E2E_PROMETHEUS_BUILD"
	debianPath = "E2E_PROMETHEUS_DEBIAN"
)

// TestMain runs the tests in a network of their own: a ping needs no leave there,
// and what is not local is surely unreachable.
func TestMain(m *testing.M) {
	code, err := 1, error(nil)
	if os.Getenv(oursPath) == "" {
		code, err = outside()
	} else if err = alone.RaiseLoopback(); err == nil {
		code = m.Run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e/dropin:", err)
	}
	os.Exit(code)
}

// outside makes the programs, which may need the network of the machine, and
// runs this test program again within its own.
func outside() (code int, err error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	say := term.New(os.Stderr)
	theirs, err := stack.Blackbox(ctx, stack.Options{Progress: say})
	if err != nil {
		return 1, err
	}
	built, err := stack.Find(ctx, stack.Options{Which: "build", Progress: say})
	if err != nil {
		return 1, err
	}
	debian, err := stack.Debian(ctx, stack.Options{Progress: say})
	if err != nil {
		return 1, err
	}
	ours, err := program.Build(ctx, "probe-exporter")
	if err != nil {
		return 1, err
	}
	return alone.Again(oursPath+"="+ours, theirsPath+"="+theirs.Path, builtPath+"="+built.Prometheus.Path, debianPath+"="+debian.Prometheus.Path)
}
