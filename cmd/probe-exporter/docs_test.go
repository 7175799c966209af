package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// typed is a block of a page: a command, and what it prints.
var typed = regexp.MustCompile("(?ms)^```console\n\\$ ([^\n]*)\n(.*?)^```$")

// What docs/BACKTEST.md shows is what the program prints; -update writes it anew.
func TestDocs_OfBacktestShowWhatIsPrinted(t *testing.T) {
	dir := shows(t, "BACKTEST.md", 3)
	if _, err := os.Stat(filepath.Join(dir, "latency.svg")); err != nil {
		t.Errorf("the plot: %v", err)
	}
}

// So is what docs/RULES.md shows.
func TestDocs_OfRulesShowWhatIsPrinted(t *testing.T) { shows(t, "RULES.md", 4) }

// shows types the commands of a page one after the other and holds what they print
// against what the page shows. It gives the folder in which they ran.
func shows(t *testing.T, name string, commands int) (dir string) {
	t.Helper()
	page := filepath.Join("..", "..", "docs", name)
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	dir = clone(t)
	shown := string(text)
	blocks := typed.FindAllStringSubmatch(shown, -1)
	for _, block := range blocks {
		got := typing(t, dir, block[1])
		if *update {
			shown = strings.Replace(shown, block[0], "```console\n$ "+block[1]+"\n"+got+"```", 1)
		} else if diff := cmp.Diff(strings.Split(block[2], "\n"), strings.Split(got, "\n")); diff != "" {
			t.Errorf("$ %s\n%s", block[1], diff)
		}
	}
	if len(blocks) != commands {
		t.Errorf("got %d blocks, want %d", len(blocks), commands)
	}
	if *update {
		if err := os.WriteFile(page, []byte(shown), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// clone is a folder with docs/ and bin/probe-exporter.
func clone(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	docs, err := filepath.Abs(filepath.Join("..", "..", "docs"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	for from, to := range map[string]string{docs: "docs", os.Args[0]: "bin/probe-exporter"} {
		if err := os.Symlink(from, filepath.Join(dir, to)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// typing is what a command prints, first on standard error.
func typing(t *testing.T, dir, command string) string {
	t.Helper()
	c := exec.CommandContext(t.Context(), "bash", "-c", command+"; test $? -le 1")
	var out, errs strings.Builder
	c.Dir, c.Env, c.Stdout, c.Stderr = dir, append(os.Environ(), asProgram+"=1"), &out, &errs
	if err := c.Run(); err != nil {
		t.Errorf("$ %s: %v\n%s%s", command, err, &errs, &out)
	}
	return errs.String() + out.String()
}
