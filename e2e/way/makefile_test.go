package way_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// caches asks the Makefile where Go's caches lie for somebody with this
// environment; empty = where Go has them.
func caches(t *testing.T, env ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "make", "-s", "-f", "Makefile", "-f", "-", "caches")
	cmd.Dir = "../.."
	cmd.Stdin = strings.NewReader("caches: ; @echo \"$$GOCACHE $$GOMODCACHE\"\n")
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH")}, env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
	return strings.TrimSpace(string(out))
}

func TestMakefile_WorksWithoutAHomeThatCanBeWritten(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	own := filepath.Join(root, ".cache", "go-build") + " " + filepath.Join(root, ".cache", "go-mod")
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	quiet := filepath.Join(home, ".config", "go", "telemetry") // else the go command goes on writing here after its end
	if err := os.MkdirAll(quiet, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(quiet, "mode"), []byte("off"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		env  []string
		want string
	}{
		"a home":                          {[]string{"HOME=" + home}, ""},
		"no home":                         {nil, own},
		"a home in which nothing is made": {[]string{"HOME=" + file}, own},
	} {
		if got := caches(t, c.env...); got != c.want {
			t.Errorf("%s: got the caches %q, want %q", name, got, c.want)
		}
	}
}
