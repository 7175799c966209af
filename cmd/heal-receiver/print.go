package main

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/onefiveten/onefiveten/healer"
	"github.com/onefiveten/onefiveten/healer/console"
)

// table prints aligned columns; the first row is the head.
func table(w io.Writer, rows ...[]any) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		for i, cell := range row {
			if i > 0 {
				fmt.Fprint(t, "\t")
			}
			fmt.Fprint(t, cell)
		}
		fmt.Fprintln(t)
	}
	_ = t.Flush()
}

func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

func clock(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04:05.000")
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func printIncidents(w io.Writer, all []console.Incident) {
	rows := [][]any{{"INCIDENT", "SERVICE", "SEVERITY", "STATE", "REASON", "SCOPE", "SCENARIO", "FAULT START (UTC)", "ROUND"}}
	for _, i := range all {
		rows = append(rows, []any{i.ID, i.Service, fmt.Sprintf("P%d", i.Severity), i.State, dash(i.Reason), dash(i.Scope), dash(i.Scenario), clock(i.FaultStart), i.Round})
	}
	table(w, rows...)
}

func printMitigations(w io.Writer, all []console.Mitigation) {
	rows := [][]any{{"MITIGATION", "SERVICE", "TARGET", "KIND", "STATE", "SINCE (UTC)", "INCIDENT"}}
	for _, m := range all {
		rows = append(rows, []any{m.ID, m.Service, m.Target, m.Kind, m.State, clock(m.Since), m.Incident})
	}
	table(w, rows...)
}

// printIncident prints one incident whole: instants, decisions, runs.
func printIncident(w io.Writer, i console.Incident) {
	printIncidents(w, []console.Incident{i})
	if i.Verdict != nil {
		fmt.Fprintf(w, "\nverdict: %s %v (confidence %.2f)\n", i.Verdict.Scope, i.Verdict.Members, i.Verdict.Confidence)
		for _, e := range i.Verdict.Evidence {
			fmt.Fprintf(w, "  %s\n", e)
		}
	}
	rows := [][]any{{"\nINSTANT", "ROUND", "AT (UTC)", "AFTER FAULT START", "SOURCE"}}
	for _, n := range i.Instants {
		rows = append(rows, []any{n.Name, n.Round, clock(n.At), n.At.Sub(i.FaultStart).Round(time.Millisecond), n.Source})
	}
	table(w, rows...)
	printDecisions(w, i.Decisions)
	printRuns(w, i.Runs)
	if len(i.Mitigations) > 0 {
		fmt.Fprintln(w)
		printMitigations(w, i.Mitigations)
	}
}

func printDecisions(w io.Writer, all []console.Decision) {
	if len(all) == 0 {
		return
	}
	rows := [][]any{{"\nDECISION", "CODE", "RUNG", "PLAN", "TARGET", "AT (UTC)", "REPEATS", "NUMBERS"}}
	for _, d := range all {
		numbers, err := json.Marshal(d.Numbers)
		if err != nil || len(d.Numbers) == 0 {
			numbers = []byte("-")
		}
		rows = append(rows, []any{d.Verb, d.Code, d.Rung + 1, dash(d.Plan), dash(d.Target), clock(d.At), d.Repeats, string(numbers)})
	}
	table(w, rows...)
}

func printRuns(w io.Writer, all []console.Run) {
	for _, r := range all {
		fmt.Fprintf(w, "\nrun %s: %s %s of %s on %s, attempt %d, mode %s: %s %s\n", r.ID, r.Purpose, r.Plan, r.Kind, r.Target, r.Attempt, r.Mode, r.State, r.Reason)
		rows := [][]any{}
		for _, s := range r.Steps {
			rows = append(rows, []any{"  " + s.Phase, s.N + 1, "try " + fmt.Sprint(s.Try), s.What, clock(s.IntentAt), dash(s.Outcome)})
		}
		table(w, rows...)
		good := 0
		for _, s := range r.Samples {
			if s.Answer == "good" {
				good++
			}
		}
		if len(r.Samples) > 0 {
			fmt.Fprintf(w, "  proof: %d of %d evaluations good, time fence %s\n", good, len(r.Samples), clock(r.FenceAt))
		}
	}
}

// printSimulated prints what would be decided for one service.
func printSimulated(w io.Writer, s healer.Simulated) {
	if s.Service == "" {
		fmt.Fprint(w, "alerts without a service: kept, and nothing is decided; a Watchdog feeds the dead man's check\n\n")
		return
	}
	fmt.Fprintf(w, "service %s, scenario %s: %s %v\n", dash(s.Service), dash(s.Scenario), dash(string(s.Verdict.Scope)), s.Verdict.Members)
	var all []console.Decision
	for _, d := range console.View(&healer.Case{Decisions: s.Decisions}).Decisions {
		d.Run = ""
		all = append(all, d)
	}
	printDecisions(w, all)
	for _, step := range s.Steps {
		fmt.Fprintf(w, "  would do: %s\n", step)
	}
	fmt.Fprintf(w, "  then: %s %s\n\n", dash(string(s.State)), s.Reason)
}
