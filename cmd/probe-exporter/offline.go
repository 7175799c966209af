package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/rogpeppe/go-internal/diff"

	"github.com/onefiveten/onefiveten/rules"
)

// rules writes all files or none, and removes the rules that an earlier
// configuration left behind: Prometheus would go on loading them. With --diff or
// --check it writes nothing and tells what it would do.
func (a *app) rules() error {
	s, err := load(a.files.choose(), a.observer)
	if err != nil {
		return err
	}
	files, bounds, err := rules.Generate(s.spec())
	if err != nil {
		return err
	}
	if !a.tests {
		delete(files, rules.TestsFile)
	}
	stale, err := a.stale(files)
	if err != nil {
		return err
	}
	if a.diffFiles || a.checkFiles {
		return a.compareFiles(files, stale)
	}
	if err := a.writeFiles(files, stale); err != nil {
		return err
	}
	if len(bounds) == 0 {
		fmt.Fprintln(a.stdout, "no services: nothing is promised, no rules are written")
		return nil
	}
	fmt.Fprintf(a.stdout, "\n%s", rules.Table(bounds))
	return nil
}

// writeFiles puts the files in their place, in the order of their names, and
// removes the stale ones.
func (a *app) writeFiles(files map[string][]byte, stale []string) error {
	for _, name := range slices.Sorted(maps.Keys(files)) {
		path := a.output(name)
		if err := replace(path, files[name]); err != nil {
			return fmt.Errorf("writing rules: %w", err)
		}
		fmt.Fprintln(a.stdout, "wrote", path)
	}
	for _, name := range stale {
		path := a.output(name)
		if err := os.Remove(path); err != nil {
			return fmt.Errorf("removing old rules: %w", err)
		}
		fmt.Fprintln(a.stdout, "removed", path)
	}
	return nil
}

// output is where a generated file goes.
func (a *app) output(name string) string {
	return filepath.Join(a.outputDir, filepath.FromSlash(name))
}

// compareFiles tells what writing would change. Files that it would not touch are
// not looked at. Only with --check is a difference an error.
func (a *app) compareFiles(files map[string][]byte, stale []string) error {
	drifted := 0
	for _, name := range slices.Sorted(slices.Values(slices.AppendSeq(stale, maps.Keys(files)))) {
		there, err := os.ReadFile(a.output(name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("comparing rules: %w", err)
		}
		wanted, kept := files[name]
		d := drift{there: there, wanted: wanted, missing: err != nil, leftOver: !kept}
		if !d.missing && kept && bytes.Equal(there, wanted) {
			continue
		}
		drifted++
		a.printDrift(name, d)
	}
	switch {
	case drifted > 0 && a.checkFiles:
		return fmt.Errorf("checking rules: files in %s that are not as they would be written: %d; want them written again, which rules without --check and --diff does", a.outputDir, drifted)
	case a.checkFiles:
		fmt.Fprintf(a.stdout, "%s: all %d files are as they would be written\n", a.outputDir, len(files))
	}
	return nil
}

// drift is one file that is not as it would be written.
type drift struct {
	there, wanted     []byte
	missing, leftOver bool
}

// printDrift writes a difference that "patch -p1" can carry out in --output.dir, and
// for --check a line with the name.
func (a *app) printDrift(name string, d drift) {
	const nothing = "/dev/null" // what patch takes for no file, on every system
	from, to, word := "a/"+name, "b/"+name, "different"
	switch {
	case d.missing:
		from, word = nothing, "missing"
	case d.leftOver:
		to, word = nothing, "left over"
	}
	if a.diffFiles {
		_, _ = a.stdout.Write(diff.Diff(from, d.there, to, d.wanted))
	}
	if a.checkFiles {
		fmt.Fprintf(a.stdout, "%s: %s\n", a.output(name), word)
	}
}

// stale finds rules, tests and bounds that this program wrote earlier, by how they
// begin, and that are not among the files.
func (a *app) stale(files map[string][]byte) ([]string, error) {
	var old []string
	for _, pattern := range []string{rules.RulesGlob, rules.TestsFile, rules.BoundsFile} {
		found, err := fs.Glob(os.DirFS(a.outputDir), pattern)
		if err != nil {
			return nil, fmt.Errorf("looking for old rules: %w", err)
		}
		for _, name := range found {
			text, err := os.ReadFile(a.output(name))
			if err != nil {
				return nil, fmt.Errorf("looking for old rules: %w", err)
			}
			if _, kept := files[name]; !kept && (bytes.HasPrefix(text, []byte(rulesMark)) || name == rules.BoundsFile && bytes.HasPrefix(text, []byte(boundsMark))) {
				old = append(old, name)
			}
		}
	}
	return old, nil
}

// How files of this program begin. A file of another beginning is a person's own.
const (
	rulesMark  = `# Written by "probe-exporter rules"`
	boundsMark = "SERVICE "
)

// replace writes a file whole or not at all: Prometheus may read it meanwhile.
func replace(path string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	temporary := path + ".new"
	if err := os.WriteFile(temporary, text, 0o644); err != nil {
		return err
	}
	if err := os.Rename(temporary, path); err != nil {
		if gone := os.Remove(temporary); gone != nil && !errors.Is(gone, fs.ErrNotExist) {
			return errors.Join(err, gone)
		}
		return err
	}
	return nil
}
