// Package blackbox_test holds our probe-exporter against the released
// blackbox_exporter: both are given one configuration, one table of requests and
// the same local servers, and their answers are compared series by series. What
// may differ stands in the table of intended_test.go, each with its reason.
package blackbox_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/onefiveten/onefiveten/demo/stack"
	"github.com/onefiveten/onefiveten/demo/term"
	"github.com/onefiveten/onefiveten/e2e/alone"
	"github.com/onefiveten/onefiveten/e2e/program"
)

// The environment of the test program within its own network names the two
// programs that it compares, and the folder of blackbox_exporter's source.
const oursPath, theirsPath, sourcePath = "E2E_PROBE_EXPORTER", "E2E_BLACKBOX_EXPORTER", "E2E_BLACKBOX_SOURCE"

// TestMain runs the tests in a network of their own, which has a loopback and
// nothing else: names resolve as the tests say, what is not local is surely
// unreachable, pings are allowed, and no packet leaves the machine.
func TestMain(m *testing.M) {
	code, err := 1, error(nil)
	if os.Getenv(oursPath) == "" {
		code, err = outside()
	} else if err = inside(); err == nil {
		code = m.Run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e/blackbox:", err)
	}
	os.Exit(code)
}

// outside makes the programs, which may need the network of the machine, and
// runs this test program again within its own.
func outside() (code int, err error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	theirs, err := stack.Blackbox(ctx, stack.Options{Progress: term.New(os.Stderr)})
	if err != nil {
		return 1, err
	}
	ours, err := program.Build(ctx, "probe-exporter")
	if err != nil {
		return 1, err
	}
	list := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/prometheus/blackbox_exporter")
	list.Dir = "../../demo/stack/blackbox"
	list.Env = append(os.Environ(), "GOWORK=off")
	source, err := list.Output()
	if err != nil {
		return 1, fmt.Errorf("looking for the source of blackbox_exporter: %w", err)
	}
	return alone.Again(oursPath+"="+ours, theirsPath+"="+theirs.Path, sourcePath+"="+strings.TrimSpace(string(source)))
}

// inside furnishes the namespaces: a loopback that is up, and names that the
// server of names_test.go resolves. No file of the machine is touched.
func inside() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("keeping mounts to ourselves: %w", err)
	}
	dir, err := os.MkdirTemp("", "e2e-blackbox-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) // what is mounted stays
	for name, text := range map[string]string{
		"resolv.conf": "nameserver " + nameServer + "\noptions timeout:1 attempts:1\n",
		"hosts":       "127.0.0.1 localhost\n::1 localhost\n",
	} {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			return err
		}
		if err := unix.Mount(file, "/etc/"+name, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("mounting our own /etc/%s: %w", name, err)
		}
	}
	return alone.RaiseLoopback()
}
