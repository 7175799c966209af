package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/onefiveten/onefiveten/e2e/replay"
)

// probeDays are simulated of each kind of healthy service: 1 in 20 would be 21 false
// faults, give or take 5.
const probeDays = 420

// healthy counts false faults.
func (b *bench) healthy(ctx context.Context) error {
	var alarms, faults, limits string
	err := b.say.During(ctx, "healthy services", nil, func(context.Context) error {
		faults, alarms, limits = replay.Report(probeDays), replay.Alarms(), replay.Limits()
		return nil
	})
	if err != nil {
		return err
	}
	b.say.Line("\nFalse faults of healthy simulated services with the shipped defaults; goal ≤ %g per probe and day", replay.Goal)
	b.say.Line("%s", aligned(faults))
	b.say.Line("\nFalse alarms of every way of alerting on the same services")
	b.say.Line("%s", aligned(alarms))
	b.say.Line("\nAlerts on the score of healthy services, by its limit")
	b.say.Line("%s", aligned(limits))
	b.say.Line("  Method: package e2e/replay, seeds 0, 1, 2 …; sigma with the defaults of latency and of signals.")
	if err := b.scores(ctx); err != nil {
		return err
	}
	return b.document(map[string]string{"false-faults": faults, "healthy": alarms, "limits": limits})
}

// replays tells how soon faults are found.
func (b *bench) replays(ctx context.Context) error {
	tables := map[string]string{}
	err := b.say.During(ctx, "replays of faults", nil, func(context.Context) error {
		tables["replays"], tables["noisy"] = replay.Replays(replay.Normal()), replay.Replays(replay.LogNormalMemory())
		return nil
	})
	if err != nil {
		return err
	}
	b.say.Line("\nTime until a fault is found, median (longest), and alerts where there is none")
	b.say.Line("%s", aligned(tables["replays"]))
	b.say.Line("\nThe same on %s", replay.LogNormalMemory().Name)
	b.say.Line("%s", aligned(tables["noisy"]))
	b.say.Line("  Method: package e2e/replay; the bands of others are re-derived from their formulas and held against what their rule files did.")
	return b.document(tables)
}

// document keeps the tables, and the pictures, in the documentation.
func (b *bench) document(tables map[string]string) error {
	root, err := root()
	if err != nil {
		return err
	}
	if err := replay.Write(root, tables); err != nil {
		return err
	}
	b.say.Line("  Written into %s (%s) and %s.", replay.Document, strings.Join(slices.Sorted(maps.Keys(tables)), ", "), replay.Pictures)
	return nil
}

// aligned makes a table of Markdown one for a terminal: columns as wide as their
// widest cell, without the line below the heads.
func aligned(table string) string {
	var rows [][]string
	var widths []int
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
			if len(cells) > 1 {
				widths = append(widths, make([]int, max(0, i+1-len(widths)))...)
				widths[i] = max(widths[i], len([]rune(cells[i])))
			}
		}
		if !strings.HasPrefix(line, "|--") {
			rows = append(rows, cells)
		}
	}
	var text strings.Builder
	for _, cells := range rows {
		line := " "
		for i, cell := range cells {
			line += fmt.Sprintf(" %-*s ", widths[i], cell)
		}
		text.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return strings.TrimRight(text.String(), "\n")
}
