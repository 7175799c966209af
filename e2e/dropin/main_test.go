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
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/onefiveten/onefiveten/demo/stack"
	"github.com/onefiveten/onefiveten/demo/term"
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
	} else if err = raise("lo"); err == nil {
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
	dir, err := os.MkdirTemp("", "e2e-dropin-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	ours := filepath.Join(dir, "probe-exporter")
	build := exec.CommandContext(ctx, "go", "build", "-o", ours, "./cmd/probe-exporter")
	build.Dir = "../.." // as it is shipped: with the root module's own versions
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return 1, fmt.Errorf("building probe-exporter: %w\n%s", err, out)
	}
	return enter(oursPath+"="+ours, theirsPath+"="+theirs.Path, builtPath+"="+built.Prometheus.Path, debianPath+"="+debian.Prometheus.Path)
}

// enter runs this program again in namespaces of its own. Whoever is not root
// becomes it there.
func enter(env ...string) (code int, err error) {
	again := exec.Command("/proc/self/exe", os.Args[1:]...)
	again.Env = append(os.Environ(), env...)
	again.Stdin, again.Stdout, again.Stderr = os.Stdin, os.Stdout, os.Stderr
	again.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	if os.Getuid() != 0 {
		again.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		again.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		again.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	runtime.LockOSThread() // Pdeathsig fires when the thread that started it ends
	if err := again.Start(); err != nil {
		return 1, fmt.Errorf("making a network namespace for the tests: %w; run them as root, or allow user namespaces", err)
	}
	again.Wait() // its exit code tells
	if code := again.ProcessState.ExitCode(); code >= 0 {
		return code, nil
	}
	return 1, fmt.Errorf("the tests ended with %s", again.ProcessState)
}

// raise brings a network interface up.
func raise(name string) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("bringing %s up: %w", name, err)
	}
	defer unix.Close(fd)
	request, err := unix.NewIfreq(name)
	if err != nil {
		return fmt.Errorf("bringing %s up: %w", name, err)
	}
	request.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request); err != nil {
		return fmt.Errorf("bringing %s up: %w", name, err)
	}
	return nil
}
