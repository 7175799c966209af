package plan_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The figures of HEALING 15 for drain-node; restart-node is not asked there,
// so it needs no 120s for an approval: 5 + 60 + 7 + 90 = 162s, and no evidence.
func TestTheBudgetOfTheExampleIsThatOfThePage(t *testing.T) {
	b := book(t, cutKeys(t, exampleText(t)))
	got, err := b.Budget(71*time.Second, 7*time.Second)
	if err != nil {
		t.Error(err)
	}
	want := `
scenario          ladder   rung          guards  steps  settle  within  undo  needs  sum    of
web-node-bad      node     drain-node    5s      20s    7s      1m30s   20s   2m22s  3m43s  10m0s  fits
web-node-bad      node     restart-node  5s      1m0s   7s      1m30s   0s    2m42s  6m25s  10m0s  fits
checkout-release  service  k8s-undo      5s      1m0s   1m15s   1m30s   0s    3m50s  5m11s  10m0s  fits
checkout-release  service  k8s-restart   5s      30s    1m15s   1m30s   0s    3m20s  8m31s  10m0s  fits
search-overload   service  shed-load     5s      5s     1m15s   1m0s    5s    2m30s  3m51s  10m0s  fits
search-overload   service  add-capacity  5s      1m0s   1m15s   2m0s    1m0s  5m20s  9m11s  10m0s  fits
sums begin with 1m11s for detection and location and 10s to gather
`
	if diff := cmp.Diff(strings.TrimPrefix(want, "\n"), trimmed(got)); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
}

// trimmed takes the blanks from the ends of lines.
func trimmed(table string) string {
	lines := strings.Split(table, "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n")
}

func TestAFirstRungThatDoesNotFitIsAnErrorALaterOneAMark(t *testing.T) {
	b := book(t, base)
	table, err := b.Budget(8*time.Minute, 7*time.Second)
	want := "scenario web-bad, ladder node: plan drain would end 10m42s after the fault's start, the target is 10m0s: shorten time-outs or within, or raise targets.recover\n" +
		"scenario web-bad, ladder service: plan limit would end 10m7s after the fault's start, the target is 10m0s: shorten time-outs or within, or raise targets.recover"
	if err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
	if n := strings.Count(table, "does not fit"); n != 3 {
		t.Errorf("got %d rungs that do not fit, want 3:\n%s", n, table)
	}
	table, err = b.Budget(7*time.Minute, 0)
	if n := strings.Count(table, "does not fit"); n != 1 || err != nil {
		t.Errorf("got %d rungs that do not fit and %v, want the second rung alone:\n%s", n, err, table)
	}
}

func TestWarnings(t *testing.T) {
	if got := book(t, strings.Replace(base, "mode: auto\n    target: 'node:{{ .Member.Labels.node }}'\n    when", "mode: observe\n    target: 'node:{{ .Member.Labels.node }}'\n    when", 1)).Warnings(); len(got) != 1 {
		t.Errorf("base: got %q, want the label of the alert alone", got)
	}
	text := strings.NewReplacer(
		"timeout: 5s", "timeout: 3s",
		"kind: throttle", "kind: restart\n    mode: auto\n    values: '[a-z/]+'",
		"    release: manual\nscenarios", "scenarios",
		"    kind: isolate\n    mode: auto", "    kind: isolate\n    mode: dry_run",
		"    owner: team-web\n", "    targets: { recover: 5m30s }\n",
		"unknown: []", "unknown: [drain]",
		"plans:\n", db+"plans:\n",
		"escalate: { to: [oncall] }\nnotify", "  - { name: late, match: ['service=\"web\"', 'a=~\"b|c\"'], owner: x }\n  - { name: free, match: ['service=\"db\"'], owner: x }\nnotify",
	).Replace(base)
	want := []string{
		"escalate.to: nobody hears of incidents without a scenario",
		"plans.limit: a step that is not idempotent has only 3s: a slow answer is a doubt that is never repeated",
		"plans.limit: auto without rolling will ask instead of act (no_rolling)",
		"plans.limit: needs of the alert, which a rule of others may not have: .Alert.Labels.alertname",
		`plans.limit: values also matches "/a": it is wider than the default`,
		"scenarios[0].ladders.node[1]: never reached, drain above it ends the ladder by its mode",
		"scenarios[0].ladders.unknown[0]: drain treats a member, but scope unknown locates none",
		"scenarios[0].owner: missing",
		"scenarios[1].escalate: missing, the top level's is taken",
		"scenarios[1]: never chosen, web-bad matches all of it before",
		"scenarios[2].escalate: missing, the top level's is taken",
	}
	if diff := cmp.Diff(want, book(t, text).Warnings()); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
	tight := book(t, with(t, "    owner: team-web\n", "    owner: team-web\n    targets: { locate: 2m, recover: 3m }\n")).Warnings()
	if len(tight) != 2 || !strings.HasPrefix(tight[1], "scenarios[0].ladders.node[1]: plan restart would end 3m20s after") {
		t.Errorf("got %q, want a later rung that does not fit", tight)
	}
}
