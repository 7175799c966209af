package replay

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The figures are from seeds: whoever changes sigma sees here what becomes of
// them, and writes them anew with make bench.
func TestDocument_HasTheReplaysOfThisCode(t *testing.T) {
	page := read(t, Document)
	if table := strings.TrimSpace(Replays(Normal())); !strings.Contains(page, table) {
		t.Errorf("%s has other replays than these, write them with make bench:\n%s", Document, table)
	}
	drawn, err := Drawings()
	if err != nil {
		t.Fatal(err)
	}
	for name, svg := range drawn {
		if read(t, filepath.Join(Pictures, name)) != string(svg) {
			t.Errorf("%s/%s is another picture than the code draws, write it with make bench", Pictures, name)
		}
		if len(svg) > 60<<10 {
			t.Errorf("%s has %d bytes, want 60 KiB at most", name, len(svg))
		}
		if !strings.Contains(page, "(images/"+name+")") {
			t.Errorf("%s does not show %s", Document, name)
		}
	}
	known, err := os.ReadDir(filepath.Join("../..", Pictures))
	if err != nil || len(known) != len(drawn) {
		t.Errorf("%s: got %d files, %v, want %d", Pictures, len(known), err, len(drawn))
	}
}

// read gives a file of the repository.
func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../..", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestDocument_HasAPlaceForEveryTable(t *testing.T) {
	page := read(t, Document)
	for _, mark := range []string{"replays", "noisy", "healthy", "limits", "false-faults"} {
		if _, err := replace(page, mark, ""); err != nil {
			t.Error(err)
		}
	}
}

func TestReplace_LeavesAllElse(t *testing.T) {
	page := "a\n<!-- bench:x -->\nold\n<!-- /bench -->\nb\n<!-- bench:y -->\n<!-- /bench -->\n"
	got, err := replace(page, "x", "\nnew\n")
	if want := "a\n<!-- bench:x -->\n\nnew\n\n<!-- /bench -->\nb\n<!-- bench:y -->\n<!-- /bench -->\n"; err != nil || got != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	if again, err := replace(got, "x", "\nnew\n"); err != nil || again != got {
		t.Errorf("written twice: got %q, %v", again, err)
	}
	for _, page := range []string{"", "<!-- bench:x -->\n"} {
		if _, err := replace(page, "x", "new"); err == nil || !strings.Contains(err.Error(), "<!--") {
			t.Errorf("%q: got error %v, want one that names the missing mark", page, err)
		}
	}
}
