// Package blackbox_test holds our probe-exporter against the released
// blackbox_exporter: both are given one configuration, one table of requests and
// the same local servers, and their answers are compared series by series. What
// may differ stands in the table of intended.go, each with its reason.
package blackbox_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/onefiveten/onefiveten/demo/stack"
	"github.com/onefiveten/onefiveten/demo/term"
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
	dir, err := os.MkdirTemp("", "e2e-blackbox-")
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
	list := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/prometheus/blackbox_exporter")
	list.Dir = "../../demo/stack/blackbox"
	list.Env = append(os.Environ(), "GOWORK=off")
	source, err := list.Output()
	if err != nil {
		return 1, fmt.Errorf("looking for the source of blackbox_exporter: %w", err)
	}
	return enter(oursPath+"="+ours, theirsPath+"="+theirs.Path, sourcePath+"="+strings.TrimSpace(string(source)))
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
	return raise("lo")
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
