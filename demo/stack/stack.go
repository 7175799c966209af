// Package stack provides the real parts around the demo: Prometheus with
// promtool and Alertmanager with amtool. It is given where to take them from
// (PATH, a build from their modules, Debian's packages) and gives their paths
// and the commands that start them. A part that cannot be had is an error with
// the reason and what to do.
package stack

import (
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/onefiveten/onefiveten/demo/term"
)

// Program is one part that was found.
type Program struct {
	Name    string
	Path    string
	Version string // as the program or its build tells it, without a leading v
	From    string // path, build or debian
}

// Parts are the four programs of the real servers.
type Parts struct {
	Prometheus, Promtool, Alertmanager, Amtool Program
}

// Options say where the parts come from.
type Options struct {
	// Which is empty (PATH first, what is missing there is built), "build"
	// (never PATH) or "debian" (Debian's packages, unpacked and not installed).
	Which string
	// Root is the folder of the repository; empty = looked for upwards from the
	// working folder.
	Root string
	// Progress shows what takes long; nil = silent.
	Progress *term.Printer
}

// pair is one upstream project: a server and its tool, taken together.
type pair struct {
	module  string    // its Go module
	folder  string    // of the nested module that builds it, under demo/stack
	names   [2]string // server and tool
	aliases []string  // other names of the server on PATH
	tags    string
	oldest  [2]int // what is on PATH must be this version or later
	usually string // how long a first build takes
}

// pairs are the two projects. The versions to build are pinned in the nested
// modules, not here.
func pairs() []pair {
	return []pair{
		{
			module: "github.com/prometheus/prometheus", folder: "prometheus", names: [2]string{"prometheus", "promtool"},
			tags: "remove_all_sd", oldest: [2]int{2, 42}, usually: "some minutes",
		},
		{
			module: "github.com/prometheus/alertmanager", folder: "alertmanager", names: [2]string{"alertmanager", "amtool"},
			aliases: []string{"prometheus-alertmanager"}, oldest: [2]int{0, 25}, usually: "a minute or so",
		},
	}
}

// Find gives the four programs. It builds or fetches what is missing, which
// may take minutes and shows its progress.
func Find(ctx context.Context, o Options) (Parts, error) {
	f, err := newFinder(o)
	if err != nil {
		return Parts{}, err
	}
	var take func(context.Context, pair) ([2]Program, error)
	switch o.Which {
	case "", "path":
		take = f.onPathOrBuilt
	case "build":
		take = f.built
	case "debian":
		take = f.debian
	default:
		return Parts{}, fmt.Errorf("finding the real servers: STACK is %q, want nothing, build or debian", o.Which)
	}
	var found [2][2]Program
	for n, p := range pairs() {
		if found[n], err = take(ctx, p); err != nil {
			return Parts{}, fmt.Errorf("finding %s and %s: %w", p.names[0], p.names[1], err)
		}
	}
	return Parts{found[0][0], found[0][1], found[1][0], found[1][1]}, nil
}

// Debian gives the parts of Debian's packages (the second generation that must
// work). They are fetched and unpacked into the cache, never installed.
func Debian(ctx context.Context, o Options) (Parts, error) {
	o.Which = "debian"
	return Find(ctx, o)
}

// All lists the programs: server and tool of each project.
func (p Parts) All() []Program {
	return []Program{p.Prometheus, p.Promtool, p.Alertmanager, p.Amtool}
}

// Root finds the repository's folder upwards from the working folder.
func Root() (string, error) {
	here, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for dir := here; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "demo", "stack", "prometheus", "go.mod")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("looking for the repository: no folder from %s upwards holds demo/stack/prometheus/go.mod; start it inside the repository", here)
		}
	}
}

// finder knows the folders.
type finder struct {
	root, cache string
	say         *term.Printer
}

// newFinder fills in what the options leave open.
func newFinder(o Options) (*finder, error) {
	if o.Root == "" {
		root, err := Root()
		if err != nil {
			return nil, err
		}
		o.Root = root
	}
	if o.Progress == nil {
		o.Progress = term.New(nil)
	}
	return &finder{root: o.Root, cache: filepath.Join(o.Root, ".cache", "stack"), say: o.Progress}, nil
}

// onPathOrBuilt takes both of the pair from PATH, or builds both.
func (f *finder) onPathOrBuilt(ctx context.Context, p pair) ([2]Program, error) {
	found, err := onPath(p)
	if err == nil {
		return found, nil
	}
	return f.build(ctx, p, err.Error())
}

// built ignores PATH.
func (f *finder) built(ctx context.Context, p pair) ([2]Program, error) {
	return f.build(ctx, p, "STACK=build")
}

// onPath looks for a pair that is new enough.
func onPath(p pair) (found [2]Program, err error) {
	for n, name := range p.names {
		names := []string{name}
		if n == 0 {
			names = append(names, p.aliases...)
		}
		path := first(names)
		if path == "" {
			return found, fmt.Errorf("no %s on PATH", strings.Join(names, " or "))
		}
		version, err := versionOf(path)
		if err != nil {
			return found, err
		}
		if old(version, p.oldest) {
			return found, fmt.Errorf("%s is version %s, want %d.%d or later", path, version, p.oldest[0], p.oldest[1])
		}
		found[n] = Program{Name: name, Path: path, Version: version, From: "path"}
	}
	return found, nil
}

// first gives the whole path of the first name that is on PATH.
func first(names []string) string {
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			if path, err = filepath.Abs(path); err == nil {
				return path
			}
		}
	}
	return ""
}

var versionWord = regexp.MustCompile(`, version ([0-9]\S*)`)

// versionOf asks the program; one that was built from its module does not know
// and is read instead.
func versionOf(path string) (string, error) {
	out, err := exec.Command(path, "--version").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s --version: %w", path, err)
	}
	if m := versionWord.FindSubmatch(out); m != nil {
		return string(m[1]), nil
	}
	version, err := moduleVersion(path)
	if err != nil {
		return "", fmt.Errorf("%s --version names no version and %w", path, err)
	}
	return version, nil
}

// moduleVersion reads the version that a program was built from.
func moduleVersion(path string) (string, error) {
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return "", err
	}
	if info.Main.Version == "" || info.Main.Version == "(devel)" {
		return "", errors.New("its build names none either")
	}
	return strings.TrimPrefix(info.Main.Version, "v"), nil
}

// old compares the first two numbers. Prometheus' module calls 3.15 "0.315".
func old(version string, oldest [2]int) bool {
	parts := strings.SplitN(version, ".", 3)
	if len(parts) < 2 {
		return true
	}
	major, err1 := strconv.Atoi(parts[0])
	minor, err2 := strconv.Atoi(parts[1])
	if err1 != nil || err2 != nil {
		return true
	}
	if oldest[0] > 0 && major == 0 && minor >= 100 {
		major, minor = minor/100, minor%100
	}
	if major != oldest[0] {
		return major < oldest[0]
	}
	return minor < oldest[1]
}

// released is the version by which people know a Prometheus: its module calls
// 3.15.0 "0.315.0".
func released(version string) string {
	if m := moduleNumber.FindStringSubmatch(version); m != nil {
		minor, _ := strconv.Atoi(m[2]) // two digits
		return fmt.Sprintf("%s.%d.%s", m[1], minor, m[3])
	}
	return version
}

var moduleNumber = regexp.MustCompile(`^0\.(\d)(\d\d)\.(\S+)$`)

// String names the servers with version and origin.
func (p Parts) String() string {
	return fmt.Sprintf("Prometheus %s (%s), Alertmanager %s (%s)", released(p.Prometheus.Version), p.Prometheus.From, p.Alertmanager.Version, p.Alertmanager.From)
}
