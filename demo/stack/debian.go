package stack

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// debian gives the pair from Debian's packages, which are fetched once.
func (f *finder) debian(ctx context.Context, p pair) ([2]Program, error) {
	unlock, err := f.lock(ctx)
	if err != nil {
		return [2]Program{}, err
	}
	defer unlock()
	found, err := f.unpacked(p)
	if err == nil {
		return found, nil
	}
	if err := f.fetch(ctx, p); err != nil {
		return [2]Program{}, err
	}
	return f.unpacked(p)
}

// debianName is the name of the package and of its server.
func (p pair) debianName() string {
	if len(p.aliases) > 0 {
		return p.aliases[0]
	}
	return p.names[0]
}

// wrap writes the script that starts a server of Debian's. These read their
// templates and pages from a fixed place in /usr/share, where nothing lies that
// was not installed: the script shows them the unpacked ones there, in a mount
// namespace that ends with the server.
func (f *finder) wrap(name string) error {
	root := filepath.Join(f.cache, "debian", "root", "usr")
	if _, err := os.Stat(filepath.Join(root, "bin", name)); err != nil {
		return err
	}
	text := fmt.Sprintf(`#!/bin/sh
user=
[ "$(id -u)" = 0 ] || user=--map-root-user
exec unshare $user --mount sh -c 'mount --bind "$0" /usr/share && exec "$@"' %s %s "$@"
`, quote(filepath.Join(root, "share")), quote(filepath.Join(root, "bin", name)))
	return os.WriteFile(filepath.Join(f.cache, "debian", name), []byte(text), 0o755)
}

// quote makes a path one word of a shell.
func quote(path string) string { return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'" }

// unpacked looks for the pair: the script of the server and the tool.
func (f *finder) unpacked(p pair) (found [2]Program, err error) {
	folder := filepath.Join(f.cache, "debian")
	if err := f.wrap(p.debianName()); err != nil {
		return found, err
	}
	paths := [2]string{filepath.Join(folder, p.debianName()), filepath.Join(folder, "root", "usr", "bin", p.names[1])}
	for n, name := range p.names {
		path := paths[n]
		if _, err := os.Stat(path); err != nil {
			return found, err
		}
		version, err := versionOf(path)
		if err != nil {
			return found, err
		}
		found[n] = Program{Name: name, Path: path, Version: version, From: "debian"}
	}
	return found, nil
}

// fetch downloads the package and unpacks it beside the others. Nothing is
// installed and no service is started.
func (f *finder) fetch(ctx context.Context, p pair) error {
	name := p.debianName()
	for _, tool := range []string{"apt-get", "dpkg-deb", "unshare"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("fetching Debian's package %s: no %s on PATH; this needs a Debian or Ubuntu machine (STACK=build needs only Go)", name, tool)
		}
	}
	packages := filepath.Join(f.cache, "debian", "packages")
	if err := os.MkdirAll(packages, 0o755); err != nil {
		return err
	}
	return f.say.During(ctx, "fetching Debian's "+name, nil, func(ctx context.Context) error {
		if err := download(ctx, packages, name); err != nil {
			return err
		}
		return unpack(ctx, packages, name, filepath.Join(f.cache, "debian", "root"))
	})
}

// download asks for the package, and once more after a fresh package list.
func download(ctx context.Context, folder, name string) error {
	first := run(ctx, folder, "apt-get", "-q", "download", name)
	if first == nil {
		return nil
	}
	if err := run(ctx, folder, "apt-get", "-q", "update"); err != nil {
		return fmt.Errorf("%w; and then: %w (run apt-get update as root once)", first, err)
	}
	return run(ctx, folder, "apt-get", "-q", "download", name)
}

// unpack lays the package's files below a folder; its scripts do not run.
func unpack(ctx context.Context, folder, name, into string) error {
	files, err := filepath.Glob(filepath.Join(folder, name+"_*.deb"))
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return fmt.Errorf("unpacking %s: no file %s_*.deb in %s", name, name, folder)
	}
	return run(ctx, folder, "dpkg-deb", "-x", files[len(files)-1], into)
}

// run runs one tool to its end; its last words are part of the error.
func run(ctx context.Context, folder, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = folder
	guard(cmd)
	out, err := cmd.CombinedOutput()
	if err == nil {
		return nil
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	last := strings.Join(lines[max(0, len(lines)-3):], "; ")
	return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), cause(ctx, err), last)
}
