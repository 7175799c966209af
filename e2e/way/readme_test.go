package way_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/onefiveten/onefiveten/demo/process"
	"github.com/onefiveten/onefiveten/demo/stack"
	"github.com/onefiveten/onefiveten/rules"
)

// fence is a block of code in Markdown, inside a list or not.
var fence = regexp.MustCompile("(?ms)^ *```(\\w+)\\n(.*?)^ *```$")

// blocks gives the README's blocks of one language, without their indentation.
func blocks(t *testing.T, language string) []string {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, m := range fence.FindAllStringSubmatch(string(text), -1) {
		if m[1] != language {
			continue
		}
		lines := strings.Split(m[2], "\n")
		margin := len(lines[0]) - len(strings.TrimLeft(lines[0], " "))
		for n, line := range lines {
			lines[n] = line[min(margin, len(line)):]
		}
		all = append(all, strings.Join(lines, "\n"))
	}
	return all
}

// commands are the lines of all console blocks that people type.
func commands(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, block := range blocks(t, "console") {
		for line := range strings.Lines(block) {
			if typed, ok := strings.CutPrefix(strings.TrimSpace(line), "$ "); ok {
				typed, _, _ = strings.Cut(typed, " #")
				all = append(all, strings.TrimSpace(typed))
			}
		}
	}
	return all
}

// reader is somebody who types the README into a folder of their own: the
// repository's examples, its programs, and a state folder instead of
// /var/lib/heal-receiver.
type reader struct {
	t     *testing.T
	dir   string
	group process.Group
	urls  map[string]string // program -> address where it serves
}

func newReader(t *testing.T) *reader {
	t.Helper()
	r := &reader{t: t, dir: t.TempDir(), urls: map[string]string{}}
	t.Cleanup(r.group.Close)
	exporter, receiver := programs(t)
	if err := os.Mkdir(filepath.Join(r.dir, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, made := range []string{exporter, receiver} {
		if err := os.Symlink(made, filepath.Join(r.dir, "bin", filepath.Base(made))); err != nil {
			t.Fatal(err)
		}
	}
	examples := filepath.Join(r.dir, "docs", "examples")
	if err := os.CopyFS(examples, os.DirFS("../../docs/examples")); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(examples, "heal-receiver.yml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(r.local(string(text))), 0o644); err != nil {
		t.Fatal(err)
	}
	return r
}

// local puts the state folder where the test may write.
func (r *reader) local(text string) string {
	return strings.ReplaceAll(text, "/var/lib/heal-receiver", filepath.Join(r.dir, "state"))
}

// serves tells whether a command is one that runs until it is ended.
func serves(words []string) bool {
	return strings.HasPrefix(words[0], "bin/") && len(words) > 1 && strings.HasPrefix(words[1], "--config.file=")
}

// serve starts a command on a free port and waits until it is ready.
func (r *reader) serve(words []string) {
	r.t.Helper()
	port, err := process.Reserve()
	if err != nil {
		r.t.Fatal(err)
	}
	r.group.Add(port.Close)
	name := filepath.Base(words[0])
	args := append([]string{"-c", `cd "$0" && exec "$@"`, r.dir}, words...)
	_, err = r.group.Start(r.t.Context(), time.Minute, process.Command{
		Name: name, Path: "/bin/sh", Log: filepath.Join(r.dir, name+".log"), Ready: port.URL() + "/-/ready",
		Args: append(args, "--web.listen-address="+port.Addr()),
	})
	if err != nil {
		r.t.Fatalf("%s: %v", strings.Join(words, " "), err)
	}
	r.urls[name] = port.URL()
}

// do types one command.
func (r *reader) do(command string) {
	r.t.Helper()
	words := strings.Fields(command)
	switch {
	case words[0] == "make":
		return // TestReadme_NamesTargetsOfTheMakefile
	case serves(words):
		r.serve(words)
		return
	case slices.Contains(words, "INCIDENT"): // there is none, and the receiver must be the one to say so
		out, err := r.shell(command)
		if err == nil || !strings.Contains(out, "INCIDENT") || !strings.Contains(out, "404") {
			r.t.Errorf("$ %s\n%v\n%s\nwant that there is no such incident", command, err, out)
		}
		return
	}
	if out, err := r.shell(command); err != nil {
		r.t.Errorf("$ %s\n%v\n%s", command, err, out)
	}
}

// shell runs a command; one that asks heal-receiver is told its address.
func (r *reader) shell(command string) (string, error) {
	if strings.Contains(command, "--token-file=") {
		command += " --url=" + r.urls["heal-receiver"]
	}
	cmd := exec.CommandContext(r.t.Context(), "bash", "-o", "pipefail", "-c", r.local(command))
	cmd.Dir = r.dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// Whoever types the README from top to bottom has what it says, and the
// configuration that it shows loads in Prometheus of both generations.
func TestReadme_ItsCommandsWorkInTheirOrderAndItsConfigurationLoads(t *testing.T) {
	r := newReader(t)
	for _, command := range commands(t) {
		r.do(command)
	}
	if len(r.urls) != 2 {
		t.Errorf("serving: got %v, want both programs", r.urls)
	}
	shown := blocks(t, "yaml")
	if len(shown) != 1 {
		t.Fatalf("got %d blocks of YAML, want the one for prometheus.yml: a new one needs a check here", len(shown))
	}
	if err := os.WriteFile(filepath.Join(r.dir, "prometheus.yml"), []byte(shown[0]), 0o644); err != nil {
		t.Fatal(err)
	}
	written, err := filepath.Glob(filepath.Join(r.dir, "rules.d", filepath.FromSlash(rules.RulesGlob)))
	if err != nil || len(written) < 2 {
		t.Fatalf("got the rule files %q (%v), want one for each rule set and the watchers", written, err)
	}
	for _, generation := range []string{"build", "debian"} {
		parts, err := stack.Find(t.Context(), stack.Options{Which: generation})
		if err != nil {
			t.Fatal(err)
		}
		out, err := exec.CommandContext(t.Context(), parts.Promtool.Path, "check", "config", filepath.Join(r.dir, "prometheus.yml")).CombinedOutput()
		if err != nil || !strings.Contains(string(out), fmt.Sprintf(": %d rule files found", len(written))) {
			t.Errorf("promtool %s check config: %v\n%s\nwant a valid file with the %d rule files that were written\n%s", parts.Promtool.Version, err, out, len(written), shown[0])
		}
		route := filepath.Join(r.dir, "rules.d", "alertmanager", "alertmanager.example.yml")
		if out, err := exec.CommandContext(t.Context(), parts.Amtool.Path, "check-config", route).CombinedOutput(); err != nil {
			t.Errorf("amtool %s check-config: %v\n%s", parts.Amtool.Version, err, out)
		}
	}
}

func TestReadme_NamesTargetsOfTheMakefile(t *testing.T) {
	makefile, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("(?:`|\\$ )make ([a-z0-9]+)").FindAllStringSubmatch(string(readme), -1) {
		if !regexp.MustCompile(`(?m)^` + m[1] + `:`).Match(makefile) {
			t.Errorf("the README says make %s, which the Makefile does not have", m[1])
		}
	}
}

// The proof counts with the scrape's interval and timeout: what the README tells
// Prometheus is what the example tells the generator.
func TestReadme_ScrapesAsTheExampleCounts(t *testing.T) {
	example, err := os.ReadFile("../../docs/examples/probe-exporter.yml")
	if err != nil {
		t.Fatal(err)
	}
	counted := regexp.MustCompile(`scrape: \{interval: (\w+), timeout: (\w+)\}`).FindStringSubmatch(string(example))
	if counted == nil {
		t.Fatal("the example has no line scrape: {interval: …, timeout: …}")
	}
	want := "scrape_interval: " + counted[1] + ", scrape_timeout: " + counted[2]
	if got := strings.Join(blocks(t, "yaml"), "\n"); !strings.Contains(got, want) {
		t.Errorf("got\n%s\nwant %s, as the example has it", got, want)
	}
}
