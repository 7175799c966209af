package rules_test

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/onefiveten/onefiveten/rules"
)

// mutation is one deliberate mistake in the rules: in the rule that begins with
// the text under, old becomes new. The case named must fail.
type mutation struct{ name, rule, old, new, fails string }

const (
	one      = "one node is down"
	all      = "all nodes are down"
	single   = "the only node"
	entry    = "an entry alone"
	another  = "another node"
	restarts = "an exporter restarts"
	flaps    = "a fault comes back"
	hangs    = "a probe hangs"
	vanishes = "an exporter and heal-receiver"
	isolated = "an isolated node"
	putBack  = "a node that is put back"
	two      = "two services"
	cut      = "an observer is cut off"
	disagree = "one of two observers"
	mostly   = "one observer sees all bad"
	outvoted = "one of three observers"
	tickets  = "latency is a ticket"
	silent   = "a query is not answered"
	unheard  = "a query is never answered"
	lost     = "an exporter and heal-receiver are gone.*by queue"
	removed  = "a query is removed"
	differs  = "one of two observers sees all bad"
	queries  = "queue is a ticket"
	late     = "worst phase of queue"
	slowly   = "worst phase of latency"
	peak     = "a normal daily peak of"
	healthy  = "healthy"
	worst    = "worst phase of availability"
)

var mutations = append(watcherMutations, []mutation{
	{"stale votes count longer", "record: onefiveten:ksigma_fault:fresh", "max by (observer, probe) (probe_stale_after_seconds)", "2 * max by (observer, probe) (probe_stale_after_seconds)", hangs},
	{"info series of all observers are joined", "record: onefiveten:ksigma_fault:fresh", "topk by (service) (1, ", "(", one},
	{"signal series of all observers are joined", "record: onefiveten:ksigma_fault:fresh", "topk by (service, signal) (1,", "(", one},
	{"queries are not judged", "record: onefiveten:ksigma_fault:fresh", "ksigma_fault{probe=\"\"}", "ksigma_fault{probe=\"none\"}", late},
	{"a query that is not answered votes", "record: onefiveten:ksigma_fault:fresh", "max by (observer, service, signal) (signal_stale_after_seconds)", "2 * max by (observer, service, signal) (signal_stale_after_seconds)", silent},
	{"the best probe of a node decides", "record: onefiveten:vote:bool", "max by", "min by", two},
	{"votes of services are mixed", "record: onefiveten:vote:bool", "max by (service, ", "max by (", one},
	{"who sees all bad is suspect where most is bad", "record: onefiveten:observer_suspect:bool", "< bool 0.5", "<= bool 1", mostly},
	{"queries make suspects", "record: onefiveten:observer_suspect:bool", "unless on (service, signal) signal_stale_after_seconds", "", differs},
	{"nobody is suspect", "record: onefiveten:observer_suspect:bool", "min by (service, signal, observer)", "0 * min by (service, signal, observer)", cut},
	{"most observers may be suspect", "record: onefiveten:observer_suspect:bool", "< bool 1", "< bool 2", outvoted},
	{"half of the observers may not be suspect", "record: onefiveten:observer_suspect:bool", "(0.5, min", "(1, min", cut},
	{"suspects vote", "record: onefiveten:member_fault:ratio", "unless on (service, signal, observer) (onefiveten:observer_suspect:bool{rule_set=\"page-node\"} == 1)", "", cut},
	{"a tie is bad", "record: onefiveten:member_fault:bool", "> bool 0.5", ">= bool 0.5", disagree},
	{"isolation is remembered too long", "record: onefiveten:member_fault:bool", "[1m59s500ms]", "[4m59s500ms]", isolated},
	{"isolation is forgotten too soon", "record: onefiveten:member_fault:bool", "[1m59s500ms]", "[59s500ms]", isolated},
	{"isolated nodes stay in the fault", "record: onefiveten:member_fault:bool", "== 1,", "== 2,", isolated},
	{"a receiver that is heard is not believed", "record: onefiveten:member_fault:bool", " unless on (job, instance) heal_incidents", "", putBack},
	{"up is taken for being heard", "record: onefiveten:member_fault:bool", "unless on (job, instance) heal_incidents", "unless on (job, instance) up", isolated},
	{"well members are counted", "record: onefiveten:fault_members:sum", "sum by", "count by", healthy},
	{"the start is carried too long", "record: onefiveten:fault_start", "[1m59s500ms]", "[4m59s500ms]", flaps},
	{"the start is carried too short", "record: onefiveten:fault_start", "[1m59s500ms]", "[44s500ms]", flaps},
	{"the start is not carried", "record: onefiveten:fault_start", "sum{rule_set=\"page-node\"} > bool 0 == 1)", "sum{rule_set=\"page-node\"} > 99)", restarts},
	{"suspects give the start", "record: onefiveten:fault_start", "unless on (service, signal, observer) (onefiveten:observer_suspect:bool{rule_set=\"page-node\"} == 1)", "", cut},
	{"half of the nodes may be candidates", "record: onefiveten:member_candidate", "0.3 *", "0.6 *", two},
	{"one bad node is too many", "record: onefiveten:member_candidate", "<= clamp_min", "< clamp_min", one},
	{"a single node is located", "record: onefiveten:member_candidate", ">= 2", ">= 1", single},
	{"located late", "record: onefiveten:member_located", "unless on", "and on", one},
	{"another member at once", "record: onefiveten:member_located", "and on (service, signal, dimension, member) (onefiveten:member_candidate:ratio{rule_set=\"page-node\"} offset 15s)", "", another},
	{"located only now and then", "record: onefiveten:member_located", "offset 15s", "offset 30s", one},
	{"the service is located beside the node", "record: onefiveten:service_located", "> clamp_min", ">= clamp_min", one},
	{"all nodes are no service", "record: onefiveten:service_located", "> 0", "> 4", all},
	{"a single node locates nothing", "record: onefiveten:service_located", ">= 2", ">= 1", single},
	{"one bad member is no fault", "alert: FaultDetected", "> 0", "> 1", worst},
	{"tickets page", "alert: FaultDetected", ", mode=\"page\"", "", tickets},
	{"the alert ends at once", "alert: FaultDetected", "keep_firing_for: 1m", "keep_firing_for: 15s", one},
	{"the alert waits", "alert: FaultDetected", "keep_firing_for: 1m", "for: 15s\n        keep_firing_for: 1m", worst},
	{"the alert never heals", "alert: FaultDetected", "heal: \"true\"", "heal: \"false\"", one},
	{"the start is not told", "alert: FaultDetected", "fault_start:", "fault_began:", one},
	{"the bound is not told", "alert: FaultDetected", "detect_bound_seconds:", "bound_seconds:", one},
	{"the scope is lost", "alert: FaultLocated", "\"scope\", \"$1\"", "\"level\", \"$1\"", one},
	{"locating takes as long as recovering", "alert: FaultNotLocated", "stage=\"locate\"", "stage=\"recover\"", entry},
	{"a located service is not located", "alert: FaultNotLocated", "last_over_time(onefiveten:service_located:sum{", "last_over_time(onefiveten:nothing{", entry},
	{"a located node is not located", "alert: FaultNotLocated", "last_over_time(onefiveten:member_located:ratio{", "last_over_time(onefiveten:nothing{", one},
	{"overdue too soon", "alert: RecoveryOverdue", "stage=\"recover\"", "stage=\"locate\"", one},
	{"overdue never", "alert: RecoveryOverdue", ">= on", "< on", one},
	{"pages are tickets", "alert: SignalFault", "mode=\"ticket\"", "mode=\"page\"", tickets},
	{"one bad member is no ticket", "alert: SignalFault", "> 0", "> 1", slowly},
	{"no bad member is a ticket", "alert: SignalFault", "> 0", ">= 0", peak},
	{"an observer is suspected at once", "alert: ObserverFault", "for: 45s", "for: 30s", cut},
	{"disagreement is tolerated", "alert: ObserverDisagrees", "<= 0.5", "< 0.5", disagree},
	{"agreement is a ticket", "alert: ObserverDisagrees", "> 0)", ">= 0)", healthy},
	{"a probe may hang longer", "alert: ProbeStale", "max by (observer, probe) (probe_stale_after_seconds)", "2 * max by (observer, probe) (probe_stale_after_seconds)", hangs},
	{"a removed target is stale", "observer) (last_over_time(probe", "unless on (observer) onefiveten_observer_info", "", hangs},
	{"a lost exporter is remembered too long", "observer) (last_over_time(probe", "[9m59s500ms]", "[14m59s500ms]", vanishes},
	{"a lost exporter is forgotten too soon", "observer) (last_over_time(probe", "[9m59s500ms]", "[4m59s500ms]", vanishes},
	{"a query may be silent longer", "alert: SignalStale", "max by (observer, service, signal) (signal_stale_after_seconds)", "2 * max by (observer, service, signal) (signal_stale_after_seconds)", silent},
	{"a query that was answered never was", "group by (service, signal, observer) (signal_stale", "unless on (service, signal, observer) signal_last_run_timestamp_seconds", "", queries},
	{"a first answer may not take its time", "group by (service, signal, observer) (signal_stale", "for: 45s", "for: 30s", unheard},
	{"a removed signal is stale", "observer) (last_over_time(signal", "unless on (observer) onefiveten_observer_info", "", removed},
	{"the queries of a lost exporter are remembered too long", "observer) (last_over_time(signal", "[9m59s500ms]", "[14m59s500ms]", lost},
	{"the queries of a lost exporter are forgotten too soon", "observer) (last_over_time(signal", "[9m59s500ms]", "[4m59s500ms]", lost},
	{"a lost receiver is up", "alert: HealReceiverDown", " == 1", "", vanishes},
	{"an isolated node is no ticket", "alert: NodeOutOfRotation", "== 1", "== 2", isolated},
	{"the ticket of an isolated node ends with the receiver", "alert: NodeOutOfRotation", " or last_over_time(heal_isolated[1m59s500ms])", "", isolated},
	{"the ticket of a node that is back stays", "alert: NodeOutOfRotation", " unless on (job, instance) heal_incidents", "", putBack},
	{"the watchdog does not reach the receiver", "alert: Watchdog", "heal: \"true\"", "heal: \"false\"", healthy},
	{"a lost exporter is not told", "alert: ProbeExporterDown", "absent(", "count(", healthy},
}...)

// change makes one mistake; it fails where the rules no longer hold the text.
func (m mutation) change(t *testing.T, text string) string {
	t.Helper()
	head, rest, found := strings.Cut(text, m.rule)
	mistaken := strings.Replace(rest, m.old, m.new, 1)
	// Only up to the next rule.
	end := len(rest)
	for _, next := range []string{"\n      - record:", "\n      - alert:"} {
		if i := strings.Index(rest, next); i >= 0 {
			end = min(end, i)
		}
	}
	if !found || !strings.Contains(rest, m.old) || strings.Index(rest, m.old) > end {
		t.Fatalf("the rule %q does not hold %q", m.rule, m.old)
	}
	return head + m.rule + mistaken
}

// ruleName finds the rules of a file by the line that begins each.
var ruleName = regexp.MustCompile(`(?m)^      - ((?:record|alert): \S+)$`)

func TestMutations_CoverEveryRule(t *testing.T) {
	files, _, err := rules.Generate(queued("ticket", "a", "b", "c"))
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for name, data := range files {
		for _, m := range ruleName.FindAllStringSubmatch(string(data), -1) {
			found++
			if !slices.ContainsFunc(mutations, func(one mutation) bool { return strings.HasPrefix(m[1], one.rule) }) {
				t.Errorf("%s: no mutation breaks %q", name, m[1])
			}
		}
	}
	if found < 20 {
		t.Errorf("%d rules were found in the files, want all that are generated", found)
	}
}

// TestMutations_EachFailsItsCase runs the case that is there for a mistake. Three
// observers, of which most cases take two; S = E = 15s: few evaluations.
func TestMutations_EachFailsItsCase(t *testing.T) {
	mutate(t, queued("ticket", "a", "b", "c"), mutations)
}

// mutate makes each mistake in the rules of a spec, and wants the case that is named
// to fail.
func mutate(t *testing.T, s rules.Spec, mistakes []mutation) {
	t.Helper()
	promtool := find(t, "build").Promtool
	files, _, err := rules.Generate(s)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mistakes {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			made := 0
			for name, data := range files {
				if strings.Contains(string(data), m.rule) && name != rules.TestsFile {
					data = []byte(m.change(t, string(data)))
					made++
				}
				put(t, filepath.Join(dir, name), data)
			}
			if made != 1 {
				t.Fatalf("the mistake was made in %d files, want 1", made)
			}
			check(t, promtool, dir)
			out, ok := run(t, promtool.Path, "test", "rules", "--run", m.fails, filepath.Join(dir, rules.TestsFile))
			if ok || !strings.Contains(out, "FAILED") {
				t.Errorf("the case %q does not see it:\n%s", m.fails, out)
			}
		})
	}
}
