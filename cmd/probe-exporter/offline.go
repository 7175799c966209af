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

	"github.com/onefiveten/onefiveten/rules"
)

// rules writes all files or none, and removes the rules that an earlier
// configuration left behind: Prometheus would go on loading them.
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
	for _, name := range slices.Sorted(maps.Keys(files)) {
		path := filepath.Join(a.outputDir, filepath.FromSlash(name))
		if err := replace(path, files[name]); err != nil {
			return fmt.Errorf("writing rules: %w", err)
		}
		fmt.Fprintln(a.stdout, "wrote", path)
	}
	for _, path := range stale {
		if err := os.Remove(path); err != nil {
			return fmt.Errorf("removing old rules: %w", err)
		}
		fmt.Fprintln(a.stdout, "removed", path)
	}
	fmt.Fprintf(a.stdout, "\n%s", rules.Table(bounds))
	return nil
}

// stale finds rules and tests that this program wrote earlier, by their first
// line, and that are not among the files.
func (a *app) stale(files map[string][]byte) ([]string, error) {
	var old []string
	for _, pattern := range []string{rules.RulesGlob, rules.TestsFile} {
		found, err := filepath.Glob(filepath.Join(a.outputDir, filepath.FromSlash(pattern)))
		if err != nil {
			return nil, fmt.Errorf("looking for old rules: %w", err)
		}
		for _, path := range found {
			name, err := filepath.Rel(a.outputDir, path)
			if err != nil {
				return nil, fmt.Errorf("looking for old rules: %w", err)
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return nil, fmt.Errorf("looking for old rules: %w", err)
			}
			if _, kept := files[filepath.ToSlash(name)]; !kept && bytes.HasPrefix(text, []byte(`# Written by "probe-exporter rules"`)) {
				old = append(old, path)
			}
		}
	}
	return old, nil
}

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
