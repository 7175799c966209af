package main

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestExamples_OfTheDocumentationHaveNoMistake(t *testing.T) {
	for _, name := range []string{"blackbox.yml", "probe-exporter.yml", "probing.yml", "zones.yml"} {
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

// The block of docs/DETECTION.md, section 2, loads without the lines that it marks,
// and each of these is refused still.
func TestExamples_OfDetectionLoadsButForWhatItMarks(t *testing.T) {
	page, err := os.ReadFile("../../docs/DETECTION.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "\n## 2. ")
	_, rest, _ = strings.Cut(rest, "```yaml\n")
	block, _, found := strings.Cut(rest, "```")
	if !found {
		t.Fatal("section 2 has no block of YAML")
	}
	var kept []string
	marked := map[string]bool{}
	for i, line := range strings.Split(block, "\n") {
		if strings.Contains(line, "not yet available") {
			marked[fmt.Sprintf("probe-exporter.yml:%d: ", i+1)] = true
			line = "" // so that the others stay where they are
		}
		kept = append(kept, line)
	}
	dir := folder(t, map[string]string{"probe-exporter.yml": strings.Join(kept, "\n")})
	code, stdout, stderr := call(t, "--config.check", "--observer=a", "--config.file="+filepath.Join(dir, "probe-exporter.yml"))
	if code != 0 || !strings.Contains(stdout, "no mistakes") {
		t.Errorf("without the marked lines: got exit code %d\n%s%s", code, stdout, stderr)
	}
	dir = folder(t, map[string]string{"probe-exporter.yml": block})
	_, _, stderr = call(t, "--config.check", "--observer=a", "--config.file="+filepath.Join(dir, "probe-exporter.yml"))
	for _, line := range strings.Split(strings.TrimSpace(stderr), "\n") {
		for at := range marked {
			if strings.Contains(line, at) && strings.Contains(line, "not yet available") {
				delete(marked, at)
			}
		}
	}
	if len(marked) > 0 {
		t.Errorf("these lines are marked and were taken: %v\n%s", slices.Sorted(maps.Keys(marked)), stderr)
	}
}
