// Package check_test lets probe-exporter look at a real Prometheus and a real
// Alertmanager of both generations: where all is as written it has nothing to say,
// and each way of breaking the promise is told with its reason.
package check_test

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

// exporterPath names the program for the tests.
const exporterPath = "E2E_PROBE_EXPORTER"

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e/check:", err)
	}
	os.Exit(code)
}

// run makes the programs and tests with them.
func run(m *testing.M) (code int, err error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	for _, generation := range generations() {
		if _, err := stack.Find(ctx, stack.Options{Which: generation, Progress: term.New(os.Stderr)}); err != nil {
			return 1, err
		}
	}
	exporter, err := program.Build(ctx, "probe-exporter")
	if err != nil {
		return 1, err
	}
	os.Setenv(exporterPath, exporter)
	return m.Run(), nil
}

// generations are those of the stack.
func generations() []string { return []string{"build", "debian"} }
