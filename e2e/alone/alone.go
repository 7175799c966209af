// Package alone gives the tests of this module a network of their own. It is
// given a program that is to run there, and runs it again in new namespaces,
// where it is root: pings are allowed, what is not local is surely unreachable,
// and no packet leaves the machine.
package alone

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// Again runs this program again in namespaces of its own, with more in its
// environment, and gives its exit code. Whoever is not root becomes it there.
func Again(env ...string) (code int, err error) {
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

// RaiseLoopback is "ip link set lo up".
func RaiseLoopback() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("bringing lo up: %w", err)
	}
	defer unix.Close(fd)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return fmt.Errorf("bringing lo up: %w", err)
	}
	request.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request); err != nil {
		return fmt.Errorf("bringing lo up: %w", err)
	}
	return nil
}
