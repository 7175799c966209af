package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/onefiveten/onefiveten/probe"
)

// unwiseRules has a warning at line 4, wrongRules an error at line 3.
const (
	unwiseRules = "groups:\n- name: a\n  rules:\n  - {alert: Low, expr: up}\n"
	wrongRules  = "groups:\n- name: b\n  rules: [{record: 'b:x', expr: 'sum(up'}]\n"
)

func TestLint_EndsByWhatItFinds(t *testing.T) {
	dir := t.TempDir()
	unwise, wrong, good := filepath.Join(dir, "a.yml"), filepath.Join(dir, "b.yml"), filepath.Join(dir, "c.yml")
	rewrite(t, unwise, unwiseRules)
	rewrite(t, wrong, wrongRules)
	rewrite(t, good, strings.Replace(unwiseRules, "up}", "up == 0}", 1))
	warning := unwise + `:4: "Low": warning: no comparison can make the expression empty: it fires as long as the series are there, whatever their values; want one such as == 1 or > 0 (comparison)` + "\n"
	failure := wrong + `:3: "b:x": error: parsing the expression: unclosed left parenthesis (syntax)` + "\n"
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{good}, 0, "files: 1, errors: 0, warnings: 0\n"},
		{[]string{unwise, good}, 0, warning + "files: 2, errors: 0, warnings: 1\n"},
		{[]string{filepath.Join(dir, "*.yml"), good}, 1, warning + failure + "files: 3, errors: 1, warnings: 1\n"},
		{[]string{unwise, filepath.Join(dir, "none.yml")}, 1, filepath.Join(dir, "none.yml") + ": error: reading it: no such file or directory (file)\n" + warning + "files: 1, errors: 1, warnings: 1\n"},
		{[]string{filepath.Join(dir, "*.json")}, 1, filepath.Join(dir, "*.json") + ": error: reading it: no file has a name of this pattern (file)\nfiles: 0, errors: 1, warnings: 0\n"},
		{[]string{dir}, 1, dir + ": error: reading it: is a directory; want files, such as '" + filepath.Join(dir, "*.yml") + "' (file)\nfiles: 0, errors: 1, warnings: 0\n"},
		{[]string{filepath.Join(dir, "[")}, 1, filepath.Join(dir, "[") + ": error: reading it: syntax error in pattern (file)\nfiles: 0, errors: 1, warnings: 0\n"},
	} {
		code, stdout, stderr := call(t, append([]string{"lint"}, c.args...)...)
		if code != c.code || stdout != c.want || stderr != "" {
			t.Errorf("%v: ended with %d, want %d: %s\ngot:\n%s\nwant:\n%s", c.args, code, c.code, stderr, stdout, c.want)
		}
	}
}

func TestLint_RefusesWrongUsage(t *testing.T) {
	for _, args := range [][]string{{"lint"}, {"lint", "--scrape-interval=15", "x"}, {"lint", "--nothing", "x"}} {
		code, stdout, stderr := call(t, args...)
		if code != 2 || stdout != "" || !strings.HasSuffix(stderr, ", try --help\n") {
			t.Errorf("%v: ended with %d: %s%s", args, code, stdout, stderr)
		}
	}
}

func TestLint_GivesListsToPrograms(t *testing.T) {
	file := write(t, unwiseRules)
	code, stdout, _ := call(t, "lint", "--json", file)
	var got struct{ Errors, Warnings []linted }
	if err := json.Unmarshal([]byte(stdout), &got); err != nil || code != 0 || got.Errors == nil || len(got.Warnings) != 1 {
		t.Fatalf("ended with %d, %v: %s", code, err, stdout)
	}
	if w := got.Warnings[0]; w.File != file || w.Line != 4 || w.Group != "a" || w.Rule != "Low" || w.Check != "comparison" || !strings.HasPrefix(w.Text, "no comparison") {
		t.Errorf("got %+v", w)
	}
	if code, stdout, _ := call(t, "lint", "--json", write(t, wrongRules)); code != 1 || !strings.Contains(stdout, `"warnings": []`) {
		t.Errorf("ended with %d: %s", code, stdout)
	}
}

func TestLint_ReadsStandardInputAndTheIntervals(t *testing.T) {
	var out, errs bytes.Buffer
	a := &app{stdout: &out, stderr: &errs, bound: func([]string) {}, ping: probe.CheckICMP}
	a.linting.stdin = strings.NewReader("groups:\n- name: a\n  rules:\n  - record: a:b\n    expr: |\n      max_over_time(a[1m])\n      + max_over_time(b[2m:])\n      + sum_over_time(c[2m:])\n")
	code := a.run(t.Context(), []string{"lint", "-", "--scrape-interval=30s", "--evaluation-interval=1m"})
	want := `standard input:6: "a:b": warning: max_over_time of 1m ends on a sample of a, which are 30s apart: Prometheus 3 holds 2 of them, Prometheus 2 3`
	also := `standard input:8: "a:b": warning: sum_over_time of 2m ends on a sample of the subquery, which are 1m apart: Prometheus 3 holds 2 of them, Prometheus 2 3`
	if lines := strings.Split(out.String(), "\n"); code != 0 || len(lines) != 4 || !strings.HasPrefix(lines[0], want) || !strings.HasPrefix(lines[1], also) {
		t.Errorf("ended with %d: %s%s", code, &errs, &out)
	}
}

func TestLint_AFileThatNobodyWroteByHandIsNotTakenIn(t *testing.T) {
	file := write(t, "")
	if err := os.Truncate(file, largestRules<<20+1); err != nil { // a hole: it takes no room
		t.Fatal(err)
	}
	code, stdout, _ := call(t, "lint", file)
	if want := file + ": error: reading it: it is larger than 16 MiB (file)\n"; code != 1 || !strings.HasPrefix(stdout, want) {
		t.Errorf("ended with %d: %s", code, stdout)
	}
}
