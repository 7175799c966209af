package rules_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/onefiveten/onefiveten/rules"
)

// The cases of the watchers, by the beginning of their names.
const (
	ours     = "probe-exporter refuses"
	theirs   = "heal-receiver refuses"
	paused   = "automation is held"
	held     = "a mitigation is held"
	mute     = "people cannot be reached"
	retried  = "a message is delivered at the second try"
	journal  = "the journal cannot be read"
	clock    = "the clock of heal-receiver"
	deaf     = "no Watchdog comes"
	refused  = "notifications are refused"
	failed   = "a run fails"
	helpless = "an incident is handed over"
)

// watcherMutations are those of the alerts that watch both programs.
var watcherMutations = []mutation{
	{"a refused file of ours is not told", "alert: ConfigReloadFailed", "== 0", "== 2", ours},
	{"a refused file of ours is told late", "alert: ConfigReloadFailed", "for: 1m", "for: 1m30s", ours},
	{"a good file of ours is told", "alert: ConfigReloadFailed", "== 0", "<= 1", ours},
	{"a refused file of the receiver is not told", "expr: heal_config_last_reload_successful", "== 0", "== 2", theirs},
	{"a refused file of the receiver is told at once", "expr: heal_config_last_reload_successful", "for: 1m", "for: 45s", theirs},
	{"a hold is not told", "alert: HealPaused", "> 0", "> 2", paused},
	{"no hold is told", "alert: HealPaused", "> 0", ">= 0", deaf},
	{"a hold is told late", "alert: HealPaused", "for: 1m", "for: 1m30s", paused},
	{"the kind of a hold is lost", "alert: HealPaused", "sum by (kind) (heal_holds)", "sum by (job) (heal_holds)", paused},
	{"a mitigation may be held for two hours", "alert: MitigationHeld", ">= 3600", ">= 7200", held},
	{"every mitigation is held for long", "alert: MitigationHeld", ">= 3600", ">= 0", held},
	{"the ticket of a mitigation stays", "alert: MitigationHeld", "keep_firing_for: 2m", "keep_firing_for: 3m", held},
	{"the ticket of a mitigation ends at once", "alert: MitigationHeld", "keep_firing_for: 2m", "keep_firing_for: 15s", held},
	{"a second try is an alarm", "alert: HealFailing", "and on (job, instance) heal_outbox_pending > 0", "", retried},
	{"a contact that fails is not named", "alert: HealFailing", "sum by (job, instance, sink)", "sum by (job, instance)", mute},
	{"a mute receiver is told late", "alert: HealFailing", "for: 1m", "for: 1m30s", mute},
	{"a journal that cannot be read is not told", "expr: heal_journal_readable", "== 0", "== 2", journal},
	{"a clock that may be claimed with is behind", "expr: heal_clock_behind_seconds", "> 1", ">= 1", deaf},
	{"a clock that is far behind is not told", "expr: heal_clock_behind_seconds", "> 1", "> 100", clock},
	{"a deaf receiver is not told", "max by (source) (heal_watchdog_overdue)", "== 1", "== 2", deaf},
	{"a deaf receiver is told late", "max by (source) (heal_watchdog_overdue)", "for: 15s", "for: 30s", deaf},
	{"what is taken is refused", "increase(heal_notifications_total", "4..|5..", "...", refused},
	{"only mistakes of others count", "increase(heal_notifications_total", "4..|5..", "4..", refused},
	{"what was refused is remembered too long", "increase(heal_notifications_total", "[4m59s500ms]", "[9m59s500ms]", refused},
	{"one refused request is an alarm", "increase(heal_notifications_total", "for: 5m", "for: 15s", refused},
	{"a run that succeeds fails", "increase(heal_runs_total", "failed|unresolved", "failed|unresolved|succeeded", failed},
	{"a run that fails succeeds", "increase(heal_runs_total", "failed|unresolved", "unresolved", failed},
	{"a run that failed is forgotten too soon", "increase(heal_runs_total", "[14m59s500ms]", "[4m59s500ms]", failed},
	{"a run that failed is remembered too long", "increase(heal_runs_total", "[14m59s500ms]", "[29m59s500ms]", failed},
	{"what cannot be told is no failure", "increase(heal_handed_over_total", "cannot_tell|", "", helpless},
	{"what was to be handed over is a failure", "increase(heal_handed_over_total", "cannot_tell|", "observe|cannot_tell|", helpless},
}

// A name that several rules share covers one of them: here each rule is looked at.
func TestMutations_CoverEveryWatcher(t *testing.T) {
	files, _, err := rules.Generate(queued("ticket", "a", "b", "c"))
	if err != nil {
		t.Fatal(err)
	}
	text := string(files["rules/onefiveten-watchers.yml"])
	for at, found := range ruleName.FindAllStringIndex(text, -1) {
		end := len(text)
		if all := ruleName.FindAllStringIndex(text, -1); at+1 < len(all) {
			end = all[at+1][0]
		}
		if rule := text[found[0]:end]; !slices.ContainsFunc(mutations, func(m mutation) bool {
			i := strings.Index(text, m.rule)
			return i >= found[0] && i < end && strings.Contains(rule, m.old)
		}) && !strings.Contains(rule, "ProbeExporterDown") { // of those the first stands for all
			t.Errorf("no mutation breaks\n%s", rule)
		}
	}
}
