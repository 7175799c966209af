package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"github.com/onefiveten/onefiveten/config"
	"github.com/onefiveten/onefiveten/healer"
	"github.com/onefiveten/onefiveten/healer/console"
	"github.com/onefiveten/onefiveten/healer/plan"
)

// detectBudget is what `check` counts for detection and location where no
// bound is given: the target itself.
func detectBudget(b *plan.Book) time.Duration { return b.Targets.Detect }

// finding is one line of `check`.
type finding struct {
	Level string `json:"level"` // error or warning
	Text  string `json:"text"`
}

// check prints every finding and answers an error when one of them fails.
func (a *app) check(strict bool, bound time.Duration) error {
	book, findings := a.findings(bound)
	if a.json {
		return errors.Join(printJSON(a.stdout, findings), verdictOf(findings, strict))
	}
	for _, f := range findings {
		fmt.Fprintf(a.stdout, "%s: %s\n", f.Level, f.Text)
	}
	if book != nil {
		a.summary(book, bound)
	}
	return verdictOf(findings, strict)
}

func (a *app) findings(bound time.Duration) (*plan.Book, []finding) {
	out := []finding{}
	l, err := load(a.configFile, a.acceptRisk)
	if err != nil {
		for _, text := range each(err) {
			out = append(out, finding{"error", text})
		}
		return nil, out
	}
	for _, w := range l.book.Warnings() {
		out = append(out, finding{"warning", w})
	}
	for _, w := range unheard(l) {
		out = append(out, finding{"warning", w})
	}
	if _, err := l.book.Budget(cmp.Or(bound, detectBudget(l.book)), 0); err != nil {
		for _, text := range each(err) {
			out = append(out, finding{"error", text})
		}
	}
	return l.book, out
}

// unheard names the sources from which no client may bring anything: their Watchdog
// is missed for ever.
func unheard(l *loaded) (all []string) {
	for i, am := range l.book.Alertmanagers {
		if !slices.ContainsFunc(l.auth.Clients, func(c console.Client) bool { return c.Source == am.Name }) {
			all = append(all, fmt.Sprintf("alertmanagers[%d].name: no client of auth.clients has source %s: none of its alerts can arrive, and its Watchdog is missed for ever", i, am.Name))
		}
	}
	return all
}

// each takes a joined error and the mistakes of a file apart.
func each(err error) []string {
	var mistakes config.Mistakes
	if errors.As(err, &mistakes) {
		var out []string
		for _, m := range mistakes {
			out = append(out, m.String())
		}
		return out
	}
	return strings.Split(err.Error(), "\n")
}

// verdictOf is an error if a finding fails the check.
func verdictOf(all []finding, strict bool) error {
	failing := 0
	for _, f := range all {
		if f.Level == "error" || strict {
			failing++
		}
	}
	if failing > 0 {
		return fmt.Errorf("check: %d of %d findings must be mended", failing, len(all))
	}
	return nil
}

// summary prints what a person wants to know of a good configuration: the time
// budget of each ladder and the guards that are not built.
func (a *app) summary(b *plan.Book, bound time.Duration) {
	fmt.Fprintf(a.stdout, "%s: %d services, %d plans, %d scenarios\n\n", a.configFile, len(b.Services), len(b.Plans), len(b.Scenarios))
	if table, _ := b.Budget(cmp.Or(bound, detectBudget(b)), 0); len(b.Scenarios) > 0 {
		fmt.Fprintf(a.stdout, "time budget of each ladder:\n%s\n", table)
	}
	fmt.Fprintln(a.stdout, vigilance(b))
	fmt.Fprintf(a.stdout, "guards that are not built yet and always allow: %s\n", strings.Join(healer.GuardsNotBuilt(), ", "))
}

// vigilance says how the dead man's check watches.
func vigilance(b *plan.Book) string {
	var sources []string
	for _, am := range b.Alertmanagers {
		sources = append(sources, am.Name)
	}
	w := b.Watchdog
	switch {
	case w.Within == 0:
		return "dead man's check: off (watchdog.enabled)"
	case len(sources) == 0:
		return "dead man's check: off (no alertmanagers)"
	case len(w.To) == 0:
		return "dead man's check: on, but nobody is told (watchdog.to, escalate.to)"
	}
	return fmt.Sprintf("dead man's check: %s told when no Watchdog has come from %s for %s, again every %s",
		strings.Join(w.To, ", "), strings.Join(sources, ", "), model.Duration(w.Within), model.Duration(w.Remind))
}

// simulate prints the decisions over notifications; nothing is touched.
func (a *app) simulate(ctx context.Context, files []string) error {
	l, err := load(a.configFile, true)
	if err != nil {
		return err
	}
	var bodies [][]byte
	for _, name := range files {
		body, err := readBody(name)
		if err != nil {
			return fmt.Errorf("reading the notification: %w", err)
		}
		bodies = append(bodies, body)
	}
	logger, err := newLogger(a.stderr, a.logLevel, a.logFormat)
	if err != nil {
		return err
	}
	source := "simulated"
	if len(l.book.Alertmanagers) > 0 {
		source = l.book.Alertmanagers[0].Name
	}
	list, err := healer.Simulate(ctx, healer.Options{Book: func() *plan.Book { return l.book }, Outside: func() healer.Outside { return l.outside }, Logger: logger}, source, bodies...)
	if err != nil {
		return err
	}
	for _, s := range list {
		printSimulated(a.stdout, s)
	}
	fmt.Fprintf(a.stdout, "guards that are not built yet and always allow: %s\n", strings.Join(healer.GuardsNotBuilt(), ", "))
	return nil
}

func readBody(name string) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(io.LimitReader(os.Stdin, 16<<20))
	}
	return os.ReadFile(name)
}
