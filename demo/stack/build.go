package stack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"

	"github.com/onefiveten/onefiveten/demo/term"
)

// build gives the pair from the cache, or builds it into the cache when it is
// not there or its version is no longer the one of go.mod.
func (f *finder) build(ctx context.Context, p pair, why string) ([2]Program, error) {
	found, err := f.made(ctx, recipe{
		module: p.module, folder: p.folder, names: p.names[:], tags: p.tags, usually: p.usually,
		packages: []string{p.module + "/cmd/" + p.names[0], p.module + "/cmd/" + p.names[1]},
	}, why)
	if err != nil {
		return [2]Program{}, err
	}
	return [2]Program(found), nil
}

// recipe is what it takes to build programs of one upstream module.
type recipe struct {
	module, folder  string // as in pair
	names, packages []string
	tags            string
	env             []string // added to the environment
	usually         string   // how long a first build takes
}

// made gives the programs of a recipe from the cache, or builds them into it.
func (f *finder) made(ctx context.Context, r recipe, why string) ([]Program, error) {
	folder := filepath.Join(f.root, "demo", "stack", r.folder)
	want, err := required(filepath.Join(folder, "go.mod"), r.module)
	if err != nil {
		return nil, err
	}
	unlock, err := f.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if found, ok := f.cached(r.names, want); ok {
		return found, nil
	}
	f.say.Line("  %s v%s: %s; building from source, %s the first time", strings.Join(r.names, " and "), want, why, r.usually)
	b := Build{
		Folder: folder, Into: filepath.Join(f.cache, "bin"), Tags: r.tags, Env: r.env, Progress: f.say,
		What: "building " + strings.Join(r.names, ", "), Packages: r.packages,
	}
	if err := b.Do(ctx); err != nil {
		return nil, err
	}
	found, ok := f.cached(r.names, want)
	if !ok {
		return nil, fmt.Errorf("built into %s, but what lies there is not v%s; remove the folder and try again", b.Into, want)
	}
	return found, nil
}

// cached looks whether the cache holds the programs in the wanted version.
func (f *finder) cached(names []string, want string) (found []Program, ok bool) {
	for _, name := range names {
		path := filepath.Join(f.cache, "bin", name)
		version, err := moduleVersion(path)
		if err != nil || version != want {
			return nil, false
		}
		found = append(found, Program{Name: name, Path: path, Version: version, From: "build"})
	}
	return found, true
}

// required reads the version of a module out of a go.mod file.
func required(file, module string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	m := regexp.MustCompile(`(?m)^(?:require)?\s+` + regexp.QuoteMeta(module) + ` v(\S+)`).FindSubmatch(text)
	if m == nil {
		return "", fmt.Errorf("%s: requires no %s", file, module)
	}
	return string(m[1]), nil
}

// lock lets one build run at a time, over all processes that share the cache.
func (f *finder) lock(ctx context.Context) (unlock func(), err error) {
	if err := os.MkdirAll(f.cache, 0o755); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(filepath.Join(f.cache, "lock"), os.O_CREATE|os.O_RDWR|syscall.O_CLOEXEC, 0o644)
	if err != nil {
		return nil, err
	}
	free := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil
	if !free {
		err = f.say.During(ctx, "waiting for another build", nil, func(ctx context.Context) error { return waitLock(ctx, file) })
	}
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("waiting for the lock %s: %w", file.Name(), err)
	}
	return func() { file.Close() }, nil
}

// waitLock tries until the lock is free: a waiting flock could not be ended by
// a context.
func waitLock(ctx context.Context, file *os.File) error {
	return poll(ctx, func() (bool, error) {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return false, nil
		}
		return err == nil, err
	})
}

// Build is one run of "go build" with visible progress.
type Build struct {
	Folder   string   // of the module
	Packages []string // main packages
	Into     string   // folder that takes the programs, each whole or not at all
	Tags     string
	Env      []string // added to the environment
	What     string   // for people
	Progress *term.Printer
}

// Do builds. The compiler's output is part of the error. When ctx ends, the
// compiler and all its children end.
func (b Build) Do(ctx context.Context) error {
	if err := os.MkdirAll(b.Into, 0o755); err != nil {
		return err
	}
	fresh, err := os.MkdirTemp(b.Into, ".new-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(fresh)
	programs, scratch := filepath.Join(fresh, "bin"), filepath.Join(fresh, "tmp")
	for _, folder := range []string{programs, scratch} {
		if err := os.Mkdir(folder, 0o755); err != nil {
			return err
		}
	}
	args := []string{"build", "-v", "-trimpath", "-ldflags=-s -w", "-tags=" + b.Tags, "-o", programs + "/"}
	cmd := exec.CommandContext(ctx, "go", append(args, b.Packages...)...)
	cmd.Dir = b.Folder
	// The go command that is ended leaves its temporary folder: it must be ours.
	cmd.Env = append(append(os.Environ(), "GOWORK=off", "GOTMPDIR="+scratch), b.Env...)
	seen := &counter{}
	cmd.Stdout, cmd.Stderr = seen, seen
	guard(cmd)
	if err := b.Progress.During(ctx, b.What, seen.String, func(context.Context) error { return cmd.Run() }); err != nil {
		return fmt.Errorf("go build in %s: %w%s", b.Folder, cause(ctx, err), seen.tail())
	}
	return moveAll(programs, b.Into)
}

// moveAll puts fresh programs in the place of old ones. A running old one goes on
// undisturbed.
func moveAll(from, to string) error {
	files, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, f := range files {
		if err := os.Rename(filepath.Join(from, f.Name()), filepath.Join(to, f.Name())); err != nil {
			return err
		}
	}
	return nil
}

// guard puts a child and its children into one group that ends with ctx.
func guard(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}

// cause prefers "interrupted" over "signal: killed".
func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// counter keeps what "go build -v" says: package names and errors.
type counter struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write takes what the go command says.
func (c *counter) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.text.Write(b)
}

// String says how far the build is.
func (c *counter) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	lines := strings.Count(c.text.String(), "\n")
	if lines == 0 {
		return "reading modules"
	}
	return fmt.Sprintf("%d packages compiled", lines)
}

// tail is the end of it, where the errors are.
func (c *counter) tail() string {
	lines := strings.Split(strings.TrimSpace(c.text.String()), "\n")
	return "\n    " + strings.Join(lines[max(0, len(lines)-15):], "\n    ")
}
