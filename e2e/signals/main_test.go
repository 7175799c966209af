// Package signals_test reads signals of queries as people do: a page of an
// application, a real Prometheus that scrapes it and evaluates the generated
// rules, and the exporter as it is shipped, which asks that Prometheus. What
// cannot be read must be seen, and must never look healthy.
package signals_test

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"testing"

	"github.com/onefiveten/onefiveten/demo/stack"
	"github.com/onefiveten/onefiveten/demo/term"
	"github.com/onefiveten/onefiveten/e2e/program"
)

// The environment names the programs for the tests.
const (
	exporterPath   = "E2E_PROBE_EXPORTER"
	prometheusPath = "E2E_PROMETHEUS"
)

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e/signals:", err)
	}
	os.Exit(code)
}

// run makes the programs and tests with them.
func run(m *testing.M) (code int, err error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	parts, err := stack.Find(ctx, stack.Options{Which: "build", Progress: term.New(os.Stderr)})
	if err != nil {
		return 1, err
	}
	exporter, err := program.Build(ctx, "probe-exporter")
	if err != nil {
		return 1, err
	}
	os.Setenv(exporterPath, exporter)
	os.Setenv(prometheusPath, parts.Prometheus.Path)
	return m.Run(), nil
}
