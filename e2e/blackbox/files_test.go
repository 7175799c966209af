package blackbox_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// checked runs a program's own check of a file and gives what it said when it
// refused the file.
func checked(t *testing.T, program, file string) (refused bool, said string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), upTo)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Getenv(program), "--config.file="+file, "--config.check")
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return err != nil, string(out)
}

// The files that blackbox_exporter ships and tests itself with.
func TestOracle_ItsFilesLoadAsTheyDoThere(t *testing.T) {
	folder := os.Getenv(sourcePath)
	files, err := filepath.Glob(filepath.Join(folder, "config", "testdata", "*.yml"))
	if err != nil || len(files) < 15 {
		t.Fatalf("looking for its test data in %s: %d files, %v", folder, len(files), err)
	}
	// Files of which ours refuses one part, by its own words, and why.
	intended := map[string]struct{ says, why string }{
		"blackbox.yml":      {"modules.http_3xx.http.enable_http3", "HTTP/3 is not built yet, and a key that is ignored is a check that nobody makes"},
		"blackbox-good.yml": {"modules.grpc_health.prober", "a prober that does not exist is told when the file is read, not at each probe"},
	}
	for _, file := range append(files, filepath.Join(folder, "blackbox.yml"), filepath.Join(folder, "example.yml")) {
		name := filepath.Base(file)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			theirs, _ := checked(t, theirsPath, file)
			ours, said := checked(t, oursPath, file)
			if bad := strings.HasPrefix(name, "invalid-") || strings.HasPrefix(name, "blackbox-bad"); theirs != bad {
				t.Errorf("theirs refuses it: %v, want %v: the file is not what its name says", theirs, bad)
			}
			one, listed := intended[name]
			if !listed {
				if ours != theirs {
					t.Errorf("ours refuses it: %v, theirs: %v\n%s", ours, theirs, said)
				}
				return
			}
			t.Logf("intended: ours refuses %s: %s", one.says, one.why)
			if !ours || !strings.Contains(said, one.says) || strings.Count(said, "\n") > 2 {
				t.Errorf("want it refused for %s and nothing else, got %v\n%s", one.says, ours, said)
			}
		})
	}
}
