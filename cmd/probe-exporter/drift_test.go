package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// rulesOf writes the rules of a configuration into a folder of their own.
func rulesOf(t *testing.T, text string, more ...string) (file, out string) {
	t.Helper()
	file, out = write(t, text), filepath.Join(t.TempDir(), "out [1]") // not a pattern
	if code, _, stderr := call(t, append([]string{"rules", "--config.file=" + file, "--output.dir=" + out}, more...)...); code != 0 {
		t.Fatal(stderr)
	}
	return file, out
}

// texts reads all files below a folder.
func texts(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, name := range tree(t, dir) {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		all[name] = string(text)
	}
	return all
}

// edit changes a text in a file, which must hold it.
func edit(t *testing.T, path, old, text string) {
	t.Helper()
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(before), old) {
		t.Fatalf("%s does not hold %q", path, old)
	}
	rewrite(t, path, strings.Replace(string(before), old, text, 1))
}

func ourHouse() string { return strings.ReplaceAll(house, "HOST", "127.0.0.1:1") }

func ticketHouse() string {
	return strings.Replace(ourHouse(), "owner: team-shop,", "owner: team-shop, severity: ticket,", 1)
}

func TestRulesCheck_FindsEveryKindOfDrift(t *testing.T) {
	const page, tests = "rules/onefiveten-page-node.yml", "tests/onefiveten_test.yml"
	remove := func(name string) func(t *testing.T, out string) {
		return func(t *testing.T, out string) {
			if err := os.Remove(filepath.Join(out, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, c := range map[string]struct {
		change func(t *testing.T, out string)
		now    string // the configuration, when it is another one
		args   []string
		want   []string
	}{
		"nothing": {},
		"a hand edit": {change: func(t *testing.T, out string) {
			edit(t, filepath.Join(out, page), "keep_firing_for: ", "keep_firing_for: 1")
		}, want: []string{page + ": different"}},
		"a trailing blank": {change: func(t *testing.T, out string) { edit(t, filepath.Join(out, "bounds.txt"), "\n", " \n") }, want: []string{"bounds.txt: different"}},
		"an emptied file":  {change: func(t *testing.T, out string) { rewrite(t, filepath.Join(out, "bounds.txt"), "") }, want: []string{"bounds.txt: different"}},
		"a stale set": {
			now:  ticketHouse(),
			want: []string{page + ": left over", "rules/onefiveten-ticket-node.yml: missing", tests + ": different"},
		},
		"a file that is gone":          {change: remove("alertmanager/route.yml"), want: []string{"alertmanager/route.yml: missing"}},
		"tests that are gone":          {change: remove(tests), want: []string{tests + ": missing"}},
		"tests that nobody wants":      {args: []string{"--no-tests"}, want: []string{tests + ": left over"}},
		"no tests, and none are there": {change: remove(tests), args: []string{"--no-tests"}},
		"a folder that is not there": {
			change: func(t *testing.T, out string) {
				if err := os.Rename(out, out+".moved"); err != nil {
					t.Fatal(err)
				}
			},
			want: []string{"alertmanager/alertmanager.example.yml: missing", "alertmanager/route.yml: missing", "bounds.txt: missing", page + ": missing", "rules/onefiveten-watchers.yml: missing", tests + ": missing"},
		},
		"a person's own files": {change: func(t *testing.T, out string) {
			rewrite(t, filepath.Join(out, "rules", "own.yml"), "groups: []\n")
			rewrite(t, filepath.Join(out, "notes.txt"), "mine\n")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			file, out := rulesOf(t, ourHouse())
			if c.change != nil {
				c.change(t, out)
			}
			if c.now != "" {
				rewrite(t, file, c.now)
			}
			parent := filepath.Dir(out)
			before := texts(t, parent)
			code, stdout, stderr := call(t, append([]string{"rules", "--check", "--config.file=" + file, "--output.dir=" + out}, c.args...)...)
			var got []string
			for line := range strings.Lines(stdout) {
				if name, ok := strings.CutPrefix(strings.TrimSpace(line), out+string(filepath.Separator)); ok {
					got = append(got, name)
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
			if drifted := len(c.want) > 0; (code == 1) != drifted || strings.Contains(stderr, "checking rules: ") != drifted || code > 1 {
				t.Errorf("ended with %d: %s%s", code, stdout, stderr)
			}
			if diff := cmp.Diff(before, texts(t, parent)); diff != "" {
				t.Errorf("files were touched: %s", diff)
			}
		})
	}
}

// The difference is one that patch(1) carries out: afterwards there is none.
func TestRulesDiff_IsWhatWritingWouldChange(t *testing.T) {
	file, out := rulesOf(t, ourHouse())
	rewrite(t, filepath.Join(out, "rules", "own.yml"), "groups: []\n")
	args := []string{"rules", "--diff", "--config.file=" + file, "--output.dir=" + out}
	if code, stdout, stderr := call(t, args...); code != 0 || stdout+stderr != "" {
		t.Fatalf("without a difference: ended with %d: %s%s", code, stdout, stderr)
	}
	rewrite(t, file, ticketHouse())
	edit(t, filepath.Join(out, "bounds.txt"), "60s", "59s")
	before := texts(t, out)
	code, stdout, stderr := call(t, args...)
	if code != 0 || stderr != "" {
		t.Fatalf("ended with %d: %s", code, stderr)
	}
	if diff := cmp.Diff(before, texts(t, out)); diff != "" {
		t.Errorf("files were touched: %s", diff)
	}
	var heads []string
	for line := range strings.Lines(stdout) {
		if strings.HasPrefix(line, "--- ") || strings.HasPrefix(line, "+++ ") {
			heads = append(heads, strings.TrimSpace(line))
		}
	}
	want := []string{
		"--- a/bounds.txt", "+++ b/bounds.txt",
		"--- a/rules/onefiveten-page-node.yml", "+++ /dev/null",
		"--- /dev/null", "+++ b/rules/onefiveten-ticket-node.yml",
		"--- a/tests/onefiveten_test.yml", "+++ b/tests/onefiveten_test.yml",
	}
	if diff := cmp.Diff(want, heads); diff != "" {
		t.Error(diff)
	}
	git := exec.CommandContext(t.Context(), "git", "apply", "-p1", "-")
	git.Dir, git.Stdin = out, strings.NewReader(stdout)
	if said, err := git.CombinedOutput(); err != nil {
		t.Fatalf("git apply: %v\n%s", err, said)
	}
	if code, stdout, stderr := call(t, append(args, "--check")...); code != 0 || stderr != "" {
		t.Errorf("after the patch: ended with %d: %s%s", code, stdout, stderr)
	}
}

func TestRulesDiff_AndCheckTogetherShowAndRefuse(t *testing.T) {
	file, out := rulesOf(t, ourHouse())
	edit(t, filepath.Join(out, "bounds.txt"), "60s", "59s")
	code, stdout, stderr := call(t, "rules", "--diff", "--check", "--config.file="+file, "--output.dir="+out)
	if code != 1 || !strings.Contains(stdout, "\n-shop     availability  page    shop-nodes  59s") || !strings.Contains(stdout, "\n+shop     availability  page    shop-nodes  60s") ||
		!strings.Contains(stdout, "bounds.txt: different\n") || !strings.Contains(stderr, "--diff") {
		t.Errorf("ended with %d: %s%s", code, stdout, stderr)
	}
}

// What is read only can be compared.
func TestRulesCheck_NeedsNoRightToWrite(t *testing.T) {
	file, out := rulesOf(t, ourHouse())
	for _, dir := range []string{filepath.Join(out, "rules"), out} {
		if err := os.Chmod(dir, 0o500); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.Chmod(dir, 0o700) })
	}
	if code, stdout, stderr := call(t, "rules", "--diff", "--check", "--config.file="+file, "--output.dir="+out); code != 0 {
		t.Errorf("ended with %d: %s%s", code, stdout, stderr)
	}
}

func TestRulesCheck_SaysWhatItCannotRead(t *testing.T) {
	file, out := rulesOf(t, ourHouse())
	bounds := filepath.Join(out, "bounds.txt")
	if err := os.Remove(bounds); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(bounds, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, flag := range []string{"--check", "--diff"} {
		code, _, stderr := call(t, "rules", flag, "--config.file="+file, "--output.dir="+out)
		if code != 1 || !strings.Contains(stderr, "read "+bounds) {
			t.Errorf("%s: ended with %d: %s", flag, code, stderr)
		}
	}
}

// A configuration without services promises nothing: rules of an earlier one would
// go on paging for what is gone, and watchers for a receiver that nobody has.
func TestRules_WithoutServicesAreNone(t *testing.T) {
	file, out := rulesOf(t, ourHouse())
	own := filepath.Join(out, "rules", "own.yml")
	rewrite(t, own, "groups: []\n")
	rewrite(t, file, "modules: {a: {prober: tcp}}\nprobes:\n- {name: p, module: a, targets: [{url: \"127.0.0.1:1\"}]}\n")
	args := []string{"rules", "--config.file=" + file, "--output.dir=" + out}
	if code, stdout, _ := call(t, append(args, "--check")...); code != 1 || strings.Count(stdout, ": left over\n") != 4 {
		t.Errorf("--check: ended with %d: %s", code, stdout)
	}
	code, stdout, stderr := call(t, args...)
	if code != 0 || stderr != "" || !strings.HasSuffix(stdout, "\nno services: nothing is promised, no rules are written\n") || strings.Count(stdout, "removed ") != 4 {
		t.Errorf("ended with %d: %s%s", code, stdout, stderr)
	}
	if diff := cmp.Diff([]string{"alertmanager/alertmanager.example.yml", "alertmanager/route.yml", "rules/own.yml"}, tree(t, out)); diff != "" {
		t.Error(diff)
	}
	if code, stdout, stderr := call(t, append(args, "--check")...); code != 0 {
		t.Errorf("--check: ended with %d: %s%s", code, stdout, stderr)
	}
	fresh := filepath.Join(t.TempDir(), "fresh")
	if code, _, stderr := call(t, "rules", "--config.file="+file, "--output.dir="+fresh); code != 0 {
		t.Error(stderr)
	}
	if _, err := os.Stat(fresh); err == nil {
		t.Error("a folder was made for nothing")
	}
}
