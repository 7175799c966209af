package healer

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/onefiveten/onefiveten/healer/plan"
)

// member is one unit of a service: its labels are the only addresses that a
// plan may use.
type member struct {
	Labels  map[string]string
	Healthy bool
}

// askMembers asks the members query of a service (HEALING 5): one series per
// member, 1 or 0. No data, an error, any other value or a series without labels
// is an error, which means cannot tell. Members are sorted by their labels.
func askMembers(ctx context.Context, p Prometheus, query string) ([]member, error) {
	points, err := p.Query(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("ask for the members by %s: %w", query, err)
	}
	if len(points) == 0 {
		return nil, fmt.Errorf("ask for the members by %s: got no series, want one per member", query)
	}
	members := make([]member, 0, len(points))
	for _, x := range points {
		if len(x.Labels) == 0 {
			return nil, fmt.Errorf("ask for the members by %s: got a series without labels, want one per member", query)
		}
		if x.Value != 0 && x.Value != 1 {
			return nil, fmt.Errorf("ask for the members by %s: got %s, want 0 or 1", query, show(x))
		}
		members = append(members, member{Labels: x.Labels, Healthy: x.Value == 1})
	}
	slices.SortFunc(members, func(a, b member) int { return strings.Compare(labelText(a.Labels), labelText(b.Labels)) })
	return members, nil
}

// corroborated asks whether Prometheus itself sees the fault of one trigger
// (HEALING 5): a firing ALERTS series of the alert's name with the given
// labels, those from which service and node were mapped; or, if confirm is not
// empty, that query. A sample other than 0 says yes (Good), none says no (Bad),
// an error or NaN is CannotTell. Without labels, or with an empty one, nothing
// is asked: the question would fit alerts of others.
func corroborated(ctx context.Context, p Prometheus, confirm, alertname string, mapped map[string]string) (Answer, string) {
	q := question{query: confirm, want: "!= 0", holds: func(v float64) bool { return v != 0 }, failed: Bad, empty: Bad, any: true}
	if confirm == "" {
		selector, err := alertSelector(alertname, mapped)
		if err != nil {
			q.broken = err.Error()
		}
		q.query = selector
	}
	return askAll(ctx, p, []question{q})
}

// alertSelector is the ALERTS series of one alert.
func alertSelector(alertname string, mapped map[string]string) (string, error) {
	if alertname == "" || len(mapped) == 0 {
		return "", errors.New("the alert has no name or no mapped label")
	}
	matchers := []*labels.Matcher{
		labels.MustNewMatcher(labels.MatchEqual, "alertname", alertname),
		labels.MustNewMatcher(labels.MatchEqual, "alertstate", "firing"),
	}
	for _, name := range slices.Sorted(maps.Keys(mapped)) {
		if mapped[name] == "" {
			return "", fmt.Errorf("the alert's label %q is empty", name)
		}
		matchers = append(matchers, labels.MustNewMatcher(labels.MatchEqual, name, mapped[name]))
	}
	return selectorText("ALERTS", matchers), nil
}

// comparisons are the operators of a three-valued query.
var comparisons = map[string]func(got, want float64) bool{
	"==": func(got, want float64) bool { return got == want },
	"!=": func(got, want float64) bool { return got != want },
	">":  func(got, want float64) bool { return got > want },
	"<":  func(got, want float64) bool { return got < want },
	">=": func(got, want float64) bool { return got >= want },
	"<=": func(got, want float64) bool { return got <= want },
}

// parts are the questions of a query's left sides.
func parts(q plan.Query) []question {
	questions := make([]question, 0, len(q.Parts))
	for _, x := range q.Parts {
		compare, known := comparisons[x.Op]
		one := question{
			query: x.Left, want: x.Op + " " + number(x.Right), failed: Bad, empty: CannotTell,
			holds: func(v float64) bool { return compare(v, x.Right) },
		}
		if !known || math.IsNaN(x.Right) {
			one.broken = "this is no comparison with a number"
		}
		questions = append(questions, one)
	}
	return questions
}

// lastRun is the end of the last completed run of a probe (DETECTION 3.4).
const lastRun = "probe_last_run_timestamp_seconds"

// notOnLastRun are labels that our series carry and lastRun does not; they are
// refused as configured labels (DETECTION 3.3). Leaving them out can only widen
// what must be fresh.
var notOnLastRun = []string{model.MetricNameLabel, "signal", "reason", "phase", "bound", "le", "quantile"}

// freshness are the questions whether a vector selector was sampled beyond the
// fence. A gauge of probe-exporter may be scraped anew without a new run, hence
// its last run is asked, too. blackbox_exporter's probe_success has no such
// series: only a selector that is surely ours must find it.
func freshness(selector string, fence time.Time) []question {
	seconds := float64(fence.UnixMilli()) / 1000
	fresh := question{
		query: "min(timestamp(" + selector + "))", want: "> " + number(seconds),
		failed: CannotTell, empty: CannotTell, why: "not beyond the time fence",
		holds: func(v float64) bool { return v > seconds },
	}
	expr, err := parser.NewParser(parser.Options{}).ParseExpr(selector)
	of, isSelector := expr.(*parser.VectorSelector)
	if err != nil || !isSelector {
		fresh.broken = fmt.Sprintf("%s is no vector selector: %v", selector, err)
		return []question{fresh}
	}
	maybe, surely := ownSchedule(of.LabelMatchers)
	if !maybe {
		return []question{fresh}
	}
	run := fresh
	run.query = "min(" + lastRunOf(of) + ")"
	if !surely {
		run.empty = Good
	}
	return []question{fresh, run}
}

// ownInterval is the longest interval + time-out of the probes whose series a
// query may read; zero where it reads none (HEALING 10, settle). A selector that
// is surely of probe-exporter must find them: without, nobody knows how old its
// newest sample may be.
func ownInterval(ctx context.Context, p Prometheus, q plan.Query) (longest time.Duration, err error) {
	for _, selector := range q.Selectors {
		expr, err := parser.NewParser(parser.Options{}).ParseExpr(selector)
		of, isSelector := expr.(*parser.VectorSelector)
		if err != nil || !isSelector {
			return 0, fmt.Errorf("read the schedule of %s: it is no vector selector", selector)
		}
		maybe, surely := ownSchedule(of.LabelMatchers)
		if !maybe {
			continue
		}
		query := "max((probe_interval_seconds + probe_timeout_seconds) and on (observer, probe) " + selector + ")"
		points, err := p.Query(ctx, query)
		switch {
		case err != nil:
			return 0, fmt.Errorf("read the schedule of %s: %w", selector, err)
		case len(points) == 0 && !surely:
			continue
		case len(points) != 1 || !(points[0].Value > 0 && points[0].Value < 1e6):
			return 0, fmt.Errorf("read the schedule of %s: %s gave %d samples, want one of seconds", selector, query, len(points))
		}
		longest = max(longest, time.Duration(points[0].Value*float64(time.Second)))
	}
	return longest, nil
}

// lastRunOf writes the selector of the last runs of what a selector reads, at
// the same offset.
func lastRunOf(of *parser.VectorSelector) string {
	matchers := slices.DeleteFunc(slices.Clone(of.LabelMatchers), func(m *labels.Matcher) bool {
		return slices.Contains(notOnLastRun, m.Name)
	})
	run := parser.VectorSelector{Name: lastRun, LabelMatchers: matchers, OriginalOffset: of.OriginalOffset}
	return run.String()
}

// ownSchedule says whether a selector may read series of probe-exporter's own
// schedule, and whether it can read no others.
func ownSchedule(matchers []*labels.Matcher) (maybe, surely bool) {
	for _, m := range matchers {
		switch {
		case m.Name == model.MetricNameLabel && m.Type == labels.MatchEqual:
			surely = surely || strings.HasPrefix(m.Value, "ksigma_")
			maybe = maybe || surely || strings.HasPrefix(m.Value, "probe_")
		case m.Name == model.MetricNameLabel:
			maybe = true
		}
	}
	for _, m := range matchers {
		if maybe && (m.Name == "probe" || m.Name == "observer") {
			surely = true
		}
	}
	return maybe, surely
}

// selectorText writes a vector selector.
func selectorText(metric string, matchers []*labels.Matcher) string {
	if len(matchers) == 0 {
		return metric
	}
	texts := make([]string, len(matchers))
	for i, m := range matchers {
		texts[i] = m.String()
	}
	return metric + "{" + strings.Join(texts, ",") + "}"
}

// shown is how many samples of a reading are kept.
const shown = 8

// ask puts the question and judges what comes.
func (q question) ask(ctx context.Context, p Prometheus) reading {
	r := reading{Query: q.query, Want: q.want, Answer: CannotTell, Why: q.broken}
	if q.broken != "" {
		return r
	}
	points, err := p.Query(ctx, q.query)
	if err != nil {
		r.Why = err.Error()
		return r
	}
	r.Count = len(points)
	if len(points) == 0 {
		r.Answer = q.empty
		r.Why = "no data"
		return r
	}
	return q.judge(r, points)
}

// judge compares every sample. NaN cannot be told, whatever the others say. Of
// the samples those that made the answer are kept first.
func (q question) judge(r reading, points []Point) reading {
	var good, bad []string
	r.Answer = Good
	for _, x := range points {
		switch {
		case math.IsNaN(x.Value):
			r.Answer, r.Why = CannotTell, "a sample is NaN"
			bad = append(bad, show(x))
		case !q.holds(x.Value):
			if r.Answer == Good {
				r.Answer, r.Why = q.failed, q.why
			}
			bad = append(bad, show(x))
		default:
			good = append(good, show(x))
		}
	}
	if q.any && r.Answer != CannotTell && len(good) > 0 {
		r.Answer, bad, good = Good, good, bad
	}
	r.Got = append(bad, good...)
	r.Got = r.Got[:min(len(r.Got), shown)]
	return r
}

// show writes one sample: its labels and its value.
func show(x Point) string {
	if len(x.Labels) == 0 {
		return number(x.Value)
	}
	return "{" + labelText(x.Labels) + "} " + number(x.Value)
}

// labelText writes labels sorted by name.
func labelText(set map[string]string) string {
	texts := make([]string, 0, len(set))
	for _, name := range slices.Sorted(maps.Keys(set)) {
		texts = append(texts, name+"="+strconv.Quote(set[name]))
	}
	return strings.Join(texts, ",")
}

func number(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
