package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/alecthomas/kingpin/v2"

	"github.com/onefiveten/onefiveten/rules/lint"
)

// largestRules is the most that is read of a file of rules, in MiB.
const largestRules = 16

// unread is the check of a file that cannot be read.
const unread = "file"

// linting is what the command lint is given.
type linting struct {
	patterns []string
	json     bool
	options  lint.Options
	stdin    io.Reader // nil: that of the process
}

// Set, String and IsCumulative are kingpin.Value of the patterns. The library gives
// - as nothing.
func (n *linting) Set(text string) error {
	n.patterns = append(n.patterns, cmp.Or(text, "-"))
	return nil
}

func (n *linting) String() string     { return strings.Join(n.patterns, " ") }
func (n *linting) IsCumulative() bool { return true }

// defineLint declares the command.
func (a *app) defineLint(k *kingpin.Application) {
	n := &a.linting
	c := k.Command("lint", "Tell what in rule files of Prometheus, generated or not, is wrong or does not do what it seems to. Series that one of the files records are known in all.")
	c.Arg("file", "Rule file, pattern of such in quotes, or - for standard input.").Required().SetValue(n)
	declareDuration(c, "scrape-interval", "Time between two samples of series that no rule records; unknown by default, and what needs it is not looked at.", &n.options.Scrape)
	declareDuration(c, "evaluation-interval", "That of the server, for groups that name none; unknown by default.", &n.options.Evaluation)
	c.Flag("json", "Print the findings as JSON.").BoolVar(&n.json)
}

// lint prints the findings. Only an error is one of the program.
func (a *app) lint(ctx context.Context) error {
	files, found := a.linting.read(ctx)
	found = append(found, lint.Check(files, a.linting.options)...)
	wrong := slices.ContainsFunc(found, func(f lint.Finding) bool { return f.Severity == lint.Error })
	if err := a.printLint(found, len(files)); err != nil {
		return err
	}
	if wrong {
		return errTold
	}
	return nil
}

// read gives the files, each once, and what cannot be read as findings.
func (n *linting) read(ctx context.Context) (files []lint.File, found []lint.Finding) {
	seen := map[string]bool{}
	for _, pattern := range n.patterns {
		names, err := matching(pattern)
		if err != nil {
			found = append(found, unreadable(pattern, err))
		}
		for _, name := range names {
			if seen[filepath.Clean(name)] {
				continue
			}
			seen[filepath.Clean(name)] = true
			f, err := n.open(ctx, name)
			if err != nil {
				found = append(found, unreadable(name, err))
				continue
			}
			files = append(files, f)
		}
	}
	return files, found
}

// unreadable is the finding of a file that cannot be read. It names the file itself.
func unreadable(name string, err error) lint.Finding {
	var at *fs.PathError
	if errors.As(err, &at) {
		err = at.Err
	}
	text := "reading it: " + err.Error()
	if errors.Is(err, syscall.EISDIR) {
		text += "; want files, such as '" + filepath.Join(name, "*.yml") + "'"
	}
	return lint.Finding{File: name, Check: unread, Severity: lint.Error, Text: text}
}

// matching gives the names that a pattern stands for. What is there by that very
// name is no pattern.
func matching(pattern string) ([]string, error) {
	if _, err := os.Lstat(pattern); err == nil || pattern == "-" || !strings.ContainsAny(pattern, `*?[`) {
		return []string{pattern}, nil
	}
	names, err := filepath.Glob(pattern)
	if err == nil && len(names) == 0 {
		err = errors.New("no file has a name of this pattern")
	}
	return names, err
}

// open reads a file whole, but no endless one.
func (n *linting) open(ctx context.Context, name string) (lint.File, error) {
	from, shown := io.Reader(nil), name
	if name == "-" {
		from, shown = interruptible(ctx, cmp.Or[io.Reader](n.stdin, os.Stdin)), "standard input"
	} else {
		f, err := os.Open(name)
		if err != nil {
			return lint.File{}, err
		}
		defer f.Close() // nothing was written
		from = f
	}
	data, err := io.ReadAll(io.LimitReader(from, largestRules<<20+1))
	if err == nil && len(data) > largestRules<<20 {
		err = fmt.Errorf("it is larger than %d MiB", largestRules)
	}
	return lint.File{Name: shown, Data: data}, err
}

// linted is a finding as JSON.
type linted struct {
	File  string `json:"file"`
	Line  int    `json:"line,omitempty"`
	Group string `json:"group,omitempty"`
	Rule  string `json:"rule,omitempty"`
	Check string `json:"check"`
	Text  string `json:"text"`
}

// printLint writes the findings for people, or lists for programs, never null.
func (a *app) printLint(found []lint.Finding, files int) error {
	report := struct {
		Errors   []linted `json:"errors"`
		Warnings []linted `json:"warnings"`
	}{[]linted{}, []linted{}}
	for _, f := range found {
		into := &report.Warnings
		if f.Severity == lint.Error {
			into = &report.Errors
		}
		*into = append(*into, linted{f.File, f.Line, f.Group, f.Rule, f.Check, f.Text})
		if !a.linting.json {
			fmt.Fprintln(a.stdout, f)
		}
	}
	if !a.linting.json {
		fmt.Fprintf(a.stdout, "files: %d, errors: %d, warnings: %d\n", files, len(report.Errors), len(report.Warnings))
		return nil
	}
	w := json.NewEncoder(a.stdout)
	w.SetEscapeHTML(false)
	w.SetIndent("", "  ")
	if err := w.Encode(report); err != nil {
		return fmt.Errorf("writing the findings: %w", err)
	}
	return nil
}
