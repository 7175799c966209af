package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestExamples_OfTheDocumentationHaveNoMistake(t *testing.T) {
	for _, name := range []string{"blackbox.yml", "probe-exporter.yml", "probing.yml"} {
		var out, errs bytes.Buffer
		code := run(t.Context(), []string{"check", "--config.file=../../docs/examples/" + name}, &out, &errs)
		if code != 0 || !strings.Contains(out.String(), "no mistakes") {
			t.Errorf("check of %s: got exit code %d\n%s%s", name, code, &out, &errs)
		}
	}
}

// The blocks of docs/PROBING.md are meant to be copied.
func TestExamples_OfTheSwapLoad(t *testing.T) {
	page, err := os.ReadFile("../../docs/PROBING.md")
	if err != nil {
		t.Fatal(err)
	}
	blackbox, err := os.ReadFile("../../docs/examples/blackbox.yml")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "```yaml\n")
	block, _, found := strings.Cut(rest, "```")
	if !found || !strings.Contains(block, "blackbox.yml") {
		t.Fatalf("the first block of YAML is %q, want the configuration beside blackbox.yml", block)
	}
	dir := folder(t, map[string]string{"probe-exporter.yml": block, "blackbox.yml": string(blackbox)})
	code, stdout, stderr := call(t, "check", "--config.file="+filepath.Join(dir, "probe-exporter.yml"))
	if code != 0 || !strings.Contains(stdout, "no mistakes; 7 modules, 1 probes, 1 targets") {
		t.Errorf("got exit code %d\n%s%s", code, stdout, stderr)
	}
}
