package rules

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"github.com/onefiveten/onefiveten/collector"
)

// young times k^2*m samples keep a step visible for m bad samples in a row, as in
// sigma: of n samples j that are alike lie sqrt(n/j) standard deviations above the
// mean. Nothing is kept out of a baseline of backend promql.
const young = 2

// scrapedSet is what one group of rules of backend promql stands for. Windows are
// ranges and no data, so that signals of other windows have rules of their own. The
// signals of a service share nothing, and both in one group would be too many rules.
type scrapedSet struct {
	set
	signal           string
	window, baseline time.Duration
}

// scrapedSetOf is that of a signal of a service.
func scrapedSetOf(v Service, g Signal) scrapedSet {
	t := scrapedSet{set: setOf(v), signal: g.Name, window: g.Fault.Window}
	if g.Name != availability {
		t.baseline = g.Baseline.Window
	}
	return t
}

// name is that of the set, the signal and its windows: page-node-latency-3m-1h.
func (t scrapedSet) name() string {
	name := t.set.name() + "-" + t.signal + "-" + model.Duration(t.window).String()
	if t.baseline > 0 {
		name += "-" + model.Duration(t.baseline).String()
	}
	return name
}

// RuleSet names the rules that judge a signal under backend promql. The exporter
// tells it with the figures by which they do.
func (s Spec) RuleSet(service, signal string) string {
	for _, v := range s.Services {
		for _, g := range v.Signals {
			if s.Backend == PromQL && v.Name == service && g.Name == signal {
				return scrapedSetOf(v, g).name()
			}
		}
	}
	return ""
}

// scrapedGroups has one file per set of backend promql in use.
func (s Spec) scrapedGroups() map[string][]group {
	files := map[string][]group{}
	for _, v := range s.Services {
		for _, g := range v.Signals {
			if t := scrapedSetOf(v, g); files[rulesFile(t.name())] == nil {
				files[rulesFile(t.name())] = []group{s.scrapedGroup(t)}
			}
		}
	}
	return files
}

// scrapedGroup gives the rules of one set. What follows the verdicts is what follows
// those of the exporter. A latency makes tickets alone, which have neither a clock
// nor a place.
func (s Spec) scrapedGroup(t scrapedSet) group {
	var rules []rule
	keep, differ := s.keep(t.class), s.differ()
	if t.signal == availability {
		rules = append(rules, probabilityRecord(), verdictRecord())
		rules = append(append(append(rules, t.memberRecords()...), t.locateRecords()...), t.alerts(keep, differ, differ)...)
	} else {
		rules = append(append(baselineRecords(), probabilityRecord(), verdictRecord()), t.memberRecords()...)
		rules = append(rules, ticketAlerts(keep, differ, differ)...)
	}
	for i, r := range rules {
		if r.alert == "FaultDetected" {
			rules[i].comment = "Detect. From the verdicts on nothing in this path has a range or a for."
		}
	}
	for i := range rules[:slices.IndexFunc(rules, func(r rule) bool { return r.record == verdicts })] {
		rules[i].labels = []label{{"signal", t.signal}}
	}
	g := group{name: "onefiveten:" + t.name(), comment: t.comment(), rules: rules}
	return g.filled(t.name(), t.words(time.Duration(s.Prometheus.Scrape.Interval), time.Duration(s.Prometheus.Evaluation.Interval), keep))
}

// comment says for whom the group is.
func (t scrapedSet) comment() string {
	text := fmt.Sprintf("The %s of services of severity %s, located by %s, judged over %s", t.signal, t.class, strings.Join(t.dimensions, ", "), model.Duration(t.window))
	if t.baseline > 0 {
		text += fmt.Sprintf(" against the %s before", model.Duration(t.baseline))
	}
	return text + "."
}

// words are what stands for the set in the expressions. Records of the exporter's
// gauges are the same here but for the start of an episode. Samples lie one tick
// apart, and so do evaluations where there is a latency.
func (t scrapedSet) words(tick, every, keep time.Duration) *strings.Replacer {
	gap, carry := carried(keep)
	slots := int(t.window / tick)
	source, anomalies := `probe_success{observer!="",service!=""}`, `count_over_time(<source>[<window>]) - sum_over_time(<source>[<window>])`
	if t.signal != availability {
		source, anomalies = `onefiveten:probe_anomaly:bool{rule_set="<set>"}`, `sum_over_time(<source>[<window>])`
	}
	plain := []string{
		"<set>", t.name(), "<class>", t.class, "<E>", model.Duration(every).String(), "<twice>", holding(2, every), "<gap>", gap.String(), "<carry>", carry.String(),
		"<dimensions>", strings.Join(t.dimensions, ","), "<by>", strings.Join(t.dimensions, ", "),
		"<slots>", fmt.Sprint(slots), "<window>", holding(slots+1, tick), "<baseline>", holding(int(t.baseline/tick), tick),
	}
	source = strings.NewReplacer(plain...).Replace(source)
	plain = append(plain, "<source>", source)
	anomalies = strings.NewReplacer(plain...).Replace(anomalies)
	return strings.NewReplacer(append(plain, "<anomalies>", anomalies,
		collector.KsigmaStart, `label_replace(probe_first_failure_timestamp_seconds{service!=""}, "signal", "availability", "", "")`)...)
}

// holding is a range that holds n samples which lie a tick apart. It ends half a
// second before the one more, where no sample lies while they come in time: Prometheus
// 2 counts one on the edge, and 3 does not. Ticks that are no whole seconds leave half
// of the least distance that samples and evaluations may have.
func holding(n int, tick time.Duration) string {
	a, b := tick, time.Second
	for b > 0 {
		a, b = b, a%b
	}
	return model.Duration(time.Duration(n)*tick - max(a/2, time.Millisecond)).String()
}

// verdicts is the record that all others follow, as of the exporter's gauges.
const verdicts = "onefiveten:ksigma_fault:fresh"

// fresh keeps what has a probe that ran in time, as record 1 of the exporter's gauges
// does.
const fresh = `on (observer, probe, instance)
				(
					timestamp(probe_last_run_timestamp_seconds) - probe_last_run_timestamp_seconds
					< on (observer, probe) group_left ()
					max by (observer, probe) (probe_stale_after_seconds)
				)`

// baselineRecords judge each recorded value of a success by those before it: offset
// <E> leaves out the one under test. The spread of the population becomes that of
// samples. The tolerance of the comparison is that of the sum of a mean: of a series
// that is flat, the mean may lie beside each of its values.
func baselineRecords() []rule {
	return append(momentRecords(), rule{
		comment: "d Beyond it a value is an anomaly. A bound that the direction does not have has no k.",
		record:  "onefiveten:probe_duration_seconds:threshold",
		expr:    thresholdArm("upper", "+") + "\n\t\t\tor" + thresholdArm("lower", "-"),
	}, rule{
		comment: "e Whether the value is one, strictly.",
		record:  "onefiveten:probe_anomaly:bool",
		expr: `
			(onefiveten:probe_duration_seconds:success{rule_set="<set>"} > ignoring (bound) (onefiveten:probe_duration_seconds:threshold{rule_set="<set>", bound="upper"} * 1.000000000001)) * 0 + 1
			or
			(onefiveten:probe_duration_seconds:success{rule_set="<set>"} < ignoring (bound) (onefiveten:probe_duration_seconds:threshold{rule_set="<set>", bound="lower"} * 0.999999999999)) * 0 + 1
			or
			(onefiveten:probe_duration_seconds:success{rule_set="<set>"} and onefiveten:probe_duration_seconds:mean{rule_set="<set>"}) * 0`,
	})
}

// momentRecords keep the values, and what they were before. That past is most of what
// the rules read, and each function over it reads all of it again: hence the record of
// how many there are, which two others need.
func momentRecords() []rule {
	const past = `onefiveten:probe_duration_seconds:success{rule_set="<set>"}[<baseline>] offset <E>`
	return []rule{{
		comment: "a The duration of each success, once for each evaluation.",
		record:  "onefiveten:probe_duration_seconds:success",
		expr: `
			probe_duration_seconds{observer!="",service!=""}
			and on (observer, probe, instance) (probe_success == 1)
			and ` + fresh + `
			and on (service) onefiveten_fault_cap_ratio{rule_set="<set>"}`,
	}, {
		comment: "n How many were before the present one.",
		record:  "onefiveten:probe_duration_seconds:count",
		expr:    `count_over_time(` + past + `)`,
	}, {
		comment: "b Their mean; absent until there are enough of them.",
		record:  "onefiveten:probe_duration_seconds:mean",
		expr: `
			avg_over_time(` + past + `)
			and (
				onefiveten:probe_duration_seconds:count{rule_set="<set>"}
				>= on (service) group_left () max by (service) (onefiveten_baseline_min_samples{rule_set="<set>"})
			)`,
	}, {
		comment: "c Their sample standard deviation.",
		record:  "onefiveten:probe_duration_seconds:stddev",
		expr: `
			stddev_over_time(` + past + `)
			* sqrt(
				onefiveten:probe_duration_seconds:count{rule_set="<set>"}
				/ clamp_min(onefiveten:probe_duration_seconds:count{rule_set="<set>"} - 1, 1)
			)
			and onefiveten:probe_duration_seconds:mean{rule_set="<set>"}`,
	}}
}

// thresholdArm is mean -+ k*max(sigma, floor) on one side.
func thresholdArm(bound, sign string) string {
	return strings.NewReplacer("<bound>", bound, "<sign>", sign).Replace(`
			label_replace(
				onefiveten:probe_duration_seconds:mean{rule_set="<set>"}
				<sign>
				(
						onefiveten:probe_duration_seconds:stddev{rule_set="<set>"}
						> on (service) group_left () max by (service) (onefiveten_baseline_floor_seconds{rule_set="<set>"})
					or
						onefiveten:probe_duration_seconds:stddev{rule_set="<set>"} * 0
						+ on (service) group_left () max by (service) (onefiveten_baseline_floor_seconds{rule_set="<set>"})
				)
				* on (service) group_left () max by (service) (onefiveten_baseline_k{rule_set="<set>", bound="<bound>"}),
				"bound", "<bound>", "", "")`)
}

// probabilityRecord is e of what is on the page now: what has left it, or has other
// labels since, is in the window for as long as that is.
func probabilityRecord() rule {
	return rule{
		comment: "f Fault probability: anomalies among the samples of the fault window, of as many as it should hold at least.",
		record:  "onefiveten:fault_probability:ratio",
		expr: `
			((<anomalies>) / clamp_min(count_over_time(<source>[<window>]), <slots>))
			and ignoring (rule_set, signal) probe_success
			and on (service) onefiveten_fault_cap_ratio{rule_set="<set>"}`,
	}
}

// verdictRecord is what the exporter would say, of probes that run. Both limits are
// figures of the service.
func verdictRecord() rule {
	return rule{
		comment: "1 Verdicts of probes that ran: more than the cap, and anomalies enough. Age is judged at scrape time, so S and E do not enter it.",
		record:  verdicts,
		expr: asMember(`
			(
				(
					onefiveten:fault_probability:ratio{rule_set="<set>"}
					> bool on (service) group_left () max by (service) (onefiveten_fault_cap_ratio{rule_set="<set>"})
				)
				* on (observer, probe, instance) group_left ()
				max by (observer, probe, instance) (
					(<anomalies>)
					>= bool on (service) group_left () max by (service) (onefiveten_fault_min_anomalies{rule_set="<set>"})
				)
				and ` + fresh + `
			)
			* on (service, signal) group_left (owner, mode)
			` + information),
	}
}

// checkScraped reports what the rules of backend promql cannot judge.
func (s Spec) checkScraped(report func(path, text string)) {
	if s.Backend != PromQL {
		return
	}
	values := func(v Service) bool {
		return slices.ContainsFunc(v.Signals, func(g Signal) bool { return g.Query == nil && g.Name != availability })
	}
	if scrape, e := s.Prometheus.Scrape.Interval, s.Prometheus.Evaluation.Interval; scrape != e && slices.ContainsFunc(s.Services, values) {
		report("prometheus.evaluation.interval", fmt.Sprintf("got %s, want the scrape interval of %s: backend promql takes one sample of a latency at each evaluation", e, scrape))
	}
	for i, v := range s.Services {
		for _, g := range v.Signals {
			if g.Query != nil {
				report(g.Query.Path, "backend promql judges probes alone: leave the entry out, or set backend: exporter")
			} else if g.Name != availability && g.Mode == page {
				report(fmt.Sprintf("services[%d].signals.%s.mode", i, g.Name), "got page, want ticket: under backend promql a latency has no start that clocks could run from")
			}
		}
	}
	s.checkYoung(report)
}

// checkYoung wants baselines in which a step cannot hide itself before it is a fault.
func (s Spec) checkYoung(report func(path, text string)) {
	tick := time.Duration(s.Prometheus.Scrape.Interval)
	if !s.timed() {
		return
	}
	for _, b := range Prove(s) {
		g := b.chain.signal
		if b.Signal == availability || b.Bad == 0 || g.Query != nil {
			continue
		}
		holds, least := g.Baseline.Holds(tick), int(math.Ceil(young*g.Baseline.K*g.Baseline.K*float64(b.Bad)))
		if holds < least {
			report(b.path+".baseline", fmt.Sprintf("its window of %s holds %d samples, and with k %v and m %d a step hides itself before it is a fault: backend promql keeps nothing out of it: want a window of %s or more, a lower k or a lower cap",
				model.Duration(g.Baseline.Window), holds, g.Baseline.K, b.Bad, model.Duration(time.Duration(least)*tick)))
		}
	}
}
