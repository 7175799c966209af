package main

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/onefiveten/onefiveten/e2e/alone"
)

// isolate makes the new namespaces fit to measure in: loopback is up, names are
// asked of the name server of the targets, and nobody answers pings.
func isolate(dir string) error {
	if err := alone.RaiseLoopback(); err != nil {
		return err
	}
	if err := os.WriteFile("/proc/sys/net/ipv4/icmp_echo_ignore_all", []byte("1"), 0); err != nil {
		return fmt.Errorf("silencing pings: %w", err)
	}
	file := filepath.Join(dir, "resolv.conf")
	if err := os.WriteFile(file, []byte("nameserver 127.0.0.1\n"), 0o644); err != nil {
		return err
	}
	if err := syscall.Mount(file, "/etc/resolv.conf", "", syscall.MS_BIND, ""); err != nil {
		return fmt.Errorf("putting %s over /etc/resolv.conf: %w", file, err)
	}
	return nil
}
