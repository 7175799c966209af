package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/onefiveten/onefiveten/config"
	"github.com/onefiveten/onefiveten/rules"
)

// errTold is an error that has been printed already.
var errTold = errors.New("told already")

// findings are what check tells of.
type findings struct {
	wrong  config.Mistakes
	unwise config.Mistakes
	living []rules.Bound // as the system runs; none where nobody was asked
}

// check prints what is wrong, what is unwise, and the bounds. Only what is wrong
// is an error.
func (a *app) check(ctx context.Context) error {
	from, observer := a.files.choose(), a.observer
	if a.checkOnly { // as the program would run here; by itself, check stands for all observers
		observer = a.runsAs()
	}
	s, err := load(from, observer)
	var f findings
	if err != nil {
		return a.refuse(err)
	}
	f.unwise = s.unwise(a.ping)
	if !a.checkOnly { // --config.check asks nobody
		a.compare(ctx, s, &f)
	}
	slices.SortStableFunc(f.unwise, func(a, b config.Mistake) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Path, b.Path))
	})
	if a.json {
		return a.printJSON(rules.Prove(s.spec()), f)
	}
	s.print(a.stdout, from, f)
	if len(f.wrong) > 0 {
		return f.wrong
	}
	return nil
}

// refuse tells what is wrong, and the bounds where nothing else is: they show why.
func (a *app) refuse(err error) error {
	var only unproved
	errors.As(err, &only)
	if !a.json {
		if len(only.bounds) > 0 {
			fmt.Fprint(a.stdout, rules.Table(only.bounds))
		}
		return err
	}
	var f findings
	if !errors.As(err, &f.wrong) {
		f.wrong = config.Mistakes{{Text: err.Error()}} // a file could not be read
	}
	return a.printJSON(only.bounds, f)
}

// unproved is the error of a configuration in which nothing is wrong but bounds.
type unproved struct {
	error
	bounds []rules.Bound
}

// Unwrap gives the mistakes.
func (u unproved) Unwrap() error { return u.error }

// unproved adds the bounds to an error where they are all that is wrong: with other
// mistakes they would mislead.
func (s *settings) unproved(err error) error {
	var wrong config.Mistakes
	if !errors.As(err, &wrong) {
		return err
	}
	spec, refused := s.spec(), map[string]bool{}
	spec.CheckBounds(func(path, _ string) { refused[path] = true })
	for _, m := range wrong {
		if !refused[m.Path] {
			return err
		}
	}
	return unproved{err, rules.Prove(spec)}
}

// print writes the findings for people. What is wrong goes where errors go.
func (s *settings) print(w io.Writer, from files, f findings) {
	found := "no mistakes"
	if len(f.wrong) > 0 {
		found = fmt.Sprintf("mistakes: %d", len(f.wrong))
	}
	named, sources := s.targets()
	targets := fmt.Sprintf("%d targets", named)
	if sources > 0 {
		targets += fmt.Sprintf(" and %d sources of targets", sources)
	}
	fmt.Fprintf(w, "%s: %s; %d modules, %d probes, %s, %d services\n", from, found, len(s.Modules), len(s.Probes), targets, len(s.Services))
	for _, m := range f.unwise {
		m.Text = "warning: " + m.Text
		fmt.Fprintln(w, m)
	}
	if hint := s.hint(); hint != "" {
		fmt.Fprintln(w, hint)
	}
	if len(s.Services) > 0 {
		fmt.Fprintf(w, "\n%s", rules.Table(rules.Prove(s.spec())))
	}
	if len(f.living) > 0 {
		fmt.Fprintf(w, "\nAs the system runs:\n%s", rules.Rows(f.living))
	}
}

// finding is a finding as JSON.
type finding struct {
	File string `json:"file,omitempty"`
	Line int    `json:"line,omitempty"`
	Path string `json:"path,omitempty"`
	Text string `json:"text"`
}

// bound is a proved bound as JSON. LossFound is the failure rate that is found
// within the target with 95 % probability; it is left out where none is. Refusal is
// empty where the target is kept.
type bound struct {
	Service   string   `json:"service"`
	Signal    string   `json:"signal"`
	Mode      string   `json:"mode"`
	Probe     string   `json:"probe"`
	Target    float64  `json:"target_seconds"`
	Bound     float64  `json:"bound_seconds"`
	Cap       float64  `json:"cap"`
	Terms     []term   `json:"terms"`
	Samples   int      `json:"samples"`
	Bad       int      `json:"bad"`
	LossFound *float64 `json:"loss_found,omitempty"`
	Refusal   string   `json:"refusal"`
}

// term is one addend of a bound as JSON.
type term struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"`
}

// shownBound is a bound as JSON has it: every term, also those of 0 seconds.
func shownBound(b rules.Bound) bound {
	shown := bound{
		Service: b.Service, Signal: b.Signal, Mode: b.Mode, Probe: b.Probe, Target: b.Target.Seconds(), Bound: b.Total.Seconds(),
		Cap: b.Cap, Terms: []term{}, Samples: b.Samples, Bad: b.Bad, Refusal: b.Refusal,
	}
	for _, t := range b.Terms {
		shown.Terms = append(shown.Terms, term{t.Name, t.Length.Seconds()})
	}
	if b.Loss > 0 && b.Loss <= 1 {
		shown.LossFound = &b.Loss
	}
	return shown
}

// printJSON writes the findings for programs: lists, never null.
func (a *app) printJSON(bounds []rules.Bound, f findings) error {
	report := struct {
		Errors   []finding `json:"errors"`
		Warnings []finding `json:"warnings"`
		Bounds   []bound   `json:"bounds"`
		Living   []bound   `json:"living_bounds"`
	}{listed(f.wrong), listed(f.unwise), reckoned(bounds), reckoned(f.living)}
	w := json.NewEncoder(a.stdout)
	w.SetEscapeHTML(false)
	w.SetIndent("", "  ")
	if err := w.Encode(report); err != nil {
		return fmt.Errorf("writing the findings: %w", err)
	}
	if len(f.wrong) > 0 {
		return errTold
	}
	return nil
}

// reckoned gives bounds the form that JSON has.
func reckoned(all []rules.Bound) []bound {
	list := make([]bound, len(all))
	for i, b := range all {
		list[i] = shownBound(b)
	}
	return list
}

// listed gives mistakes the form that JSON has.
func listed(all config.Mistakes) []finding {
	list := make([]finding, len(all))
	for i, m := range all {
		list[i] = finding(m)
	}
	return list
}
