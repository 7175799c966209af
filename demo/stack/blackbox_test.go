package stack

import (
	"debug/buildinfo"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/onefiveten/onefiveten/demo/term"
)

func TestBlackbox_IsTheReleaseWithItsOwnVersionsOfEverything(t *testing.T) {
	program, err := Blackbox(t.Context(), Options{Progress: term.New(os.Stderr)})
	if err != nil {
		t.Fatal(err)
	}
	if program.Name != "blackbox_exporter" || program.Version != "0.28.0" || program.From != "build" {
		t.Errorf("got %+v, want blackbox_exporter 0.28.0 from a build", program)
	}
	const module = "github.com/prometheus/blackbox_exporter"
	list := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.GoMod}}", module)
	list.Dir = "blackbox"
	file, err := list.Output()
	if err != nil {
		t.Fatalf("%s: %v", list, err)
	}
	upstream, err := os.ReadFile(strings.TrimSpace(string(file)))
	if err != nil {
		t.Fatal(err)
	}
	pinned := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^\s+(\S+) (v\S+)`).FindAllStringSubmatch(string(upstream), -1) {
		pinned[m[1]] = m[2]
	}
	info, err := buildinfo.ReadFile(program.Path)
	if err != nil {
		t.Fatal(err)
	}
	for _, dep := range info.Deps {
		if dep.Version != pinned[dep.Path] {
			t.Errorf("built with %s %s, want %s as its own go.mod says", dep.Path, dep.Version, pinned[dep.Path])
		}
	}
	if len(info.Deps) < 20 {
		t.Errorf("built with %d modules, want all of its go.mod", len(info.Deps))
	}
}
