package ruletest

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"

	"github.com/onefiveten/onefiveten/rules/layout"
	"github.com/onefiveten/onefiveten/sigma"
)

// label is a label or an annotation; the order is that of the file.
type label struct{ name, value string }

// scene is one promtool test: the series of some targets, and which alerts may
// fire when.
type scene struct {
	timing
	spec    Spec
	service Service
	signal  Signal      // the one that goes bad
	fault   sigma.Fault // as it is judged here
	proof   Proof
	end     time.Duration
	crowd   int           // observers that take part where there are more; 0 means two
	leaves  time.Duration // when the query leaves the configuration; 0 means never

	name   string
	input  []*yaml.Node
	checks []*yaml.Node
	alerts []*yaml.Node
	known  map[string]bool // series that are there already
	nodes  []seenAs        // of a value: what the first observer sees of them
	err    error           // the first thing that went wrong
}

// actor is one target as one observer sees it. Fate is that of the signal; node
// is the instance where it is empty.
type actor struct {
	observer, instance, role string
	fate
	node   string
	groups []label // labels of dimensions above node
}

// add gives the scene one series.
func (c *scene) add(name string, labels []label, values string) {
	var set []string
	for _, l := range labels {
		if l.value != "" {
			set = append(set, l.name+"="+quoted(l.value))
		}
	}
	id := name + "{" + strings.Join(set, ",") + "}"
	if c.known[id] {
		return
	}
	c.known[id] = true
	c.input = append(c.input, layout.Inline(layout.Mapping(layout.Pair{Key: "series", Value: layout.Text(id)}, layout.Pair{Key: "values", Value: layout.Text(values)})))
}

// constant is written as promtool counts: AxN is A and N repeats, and one step
// takes the mark that the series is stale. It holds from 0 to the end, or until a moment before that.
func (c *scene) constant(v string, until time.Duration) string {
	n := int(c.end / c.step)
	if until > 0 && until < c.end {
		return fmt.Sprintf("%sx%d stale", v, int(ceil(until, c.step)/c.step)-1)
	}
	return fmt.Sprintf("%sx%d", v, n)
}

// furnish adds the series that are not about one target: what rules join to
// verdicts, and what watches the watchers. An observer that is away from some
// moment on takes its own with it. Observers that do not take part are there all
// the same, or their absence would be an alert in every case.
func (c *scene) furnish(services []Service, away map[string]time.Duration) {
	for _, o := range c.spec.Observers {
		whole := func(v string) string { return c.constant(v, away[o]) }
		me := label{"observer", o}
		c.add("onefiveten_observer_info", []label{me}, whole("1"))
		if !slices.Contains(c.watching(), o) {
			continue
		}
		if !c.asking {
			c.add("probe_stale_after_seconds", []label{me, {"probe", c.proof.Probe}}, whole(seconds(c.stale())))
		}
		for _, v := range services {
			c.describe(v, me, whole)
		}
	}
	up := c.constant("1", 0)
	if gone := away["heal-receiver"]; gone > 0 {
		n := int(gone / c.step)
		up = fmt.Sprintf("1x%d 0x%d", n-1, int(c.end/c.step)-n)
	}
	c.add("up", receiver(), up)
}

// describe adds the info series of one service.
func (c *scene) describe(v Service, me label, whole func(string) string) {
	name := label{"service", v.Name}
	if c.asking {
		values := whole(seconds(c.stale()))
		if c.leaves > 0 {
			values = c.constant(seconds(c.stale()), c.leaves)
		}
		c.add("signal_stale_after_seconds", []label{me, name, {"signal", c.signal.Name}}, values)
	}
	c.add("onefiveten_service_info", []label{name, {"owner", v.Owner}, {"severity", v.Severity}, {"dimensions", strings.Join(v.Dimensions, ",")}, me}, whole("1"))
	for _, g := range v.Signals {
		c.add("onefiveten_signal_info", []label{name, {"signal", g.Name}, {"mode", g.Mode}, me}, whole("1"))
	}
	c.judgeBy(name, me, whole)
	if c.values {
		c.add("ksigma_signal_info", []label{me, name, {"signal", c.signal.Name}, {"direction", string(cmp.Or(c.worse, sigma.Upper))}}, whole("1"))
	}
	c.add("onefiveten_target_seconds", []label{name, {"stage", "locate"}, me}, whole(seconds(v.Locate)))
	c.add("onefiveten_target_seconds", []label{name, {"stage", "recover"}, me}, whole(seconds(v.Recover)))
	c.add("onefiveten_detect_bound_seconds", []label{name, {"signal", c.signal.Name}, me}, whole(seconds(c.proof.Bound)))
}

// watching names the observers that take part: two are enough for most cases.
func (c *scene) watching() []string {
	o := c.observers()
	return o[:min(len(o), cmp.Or(c.crowd, 2))]
}

// observers are all that watch the service.
func (c *scene) observers() []string {
	if len(c.service.Observers) > 0 {
		return c.service.Observers
	}
	return c.spec.Observers
}

// play adds a target of a service as every observer sees it alike, and returns
// what the last one of them shows.
func (c *scene) play(service, instance, role string, f fate) track {
	var tr track
	for _, o := range c.watching() {
		tr = c.playFor(service, actor{observer: o, instance: instance, role: role, fate: f})
	}
	return tr
}

// playFor adds a target as one observer sees it: its verdict, the start of the
// episode and the age of its last run. A target has one last run, whatever the
// number of its signals; so has a query, whatever the number of its series.
func (c *scene) playFor(service string, a actor) track {
	tr, err := c.follow(c.fault, a.fate, c.end)
	if err != nil && c.err == nil {
		c.err = err
	}
	id := []label{{"job", "probe"}, {"instance", c.instance(a)}, {"observer", a.observer}, {"probe", c.proof.Probe}, {"service", service}, {"role", a.role}}
	if a.role == roleNode {
		id = append(id, label{"node", cmp.Or(a.node, a.instance)})
	}
	id = append(id, a.groups...)
	if c.scraped {
		c.show(id, tr)
		return tr
	}
	signal := append(id[:len(id):len(id)], label{"signal", c.signal.Name})
	c.add("ksigma_fault", signal, notation(tr.fault))
	c.add("ksigma_fault_start_timestamp_seconds", signal, notation(tr.start))
	c.tell(signal, a, tr)
	if c.asking {
		c.add("signal_last_run_timestamp_seconds", []label{{"observer", a.observer}, {"service", service}, {"signal", c.signal.Name}}, notation(tr.last))
	} else {
		c.add("probe_last_run_timestamp_seconds", id, notation(tr.last))
	}
	return tr
}

// instance is that of the answers to a query where a target has none: the name of
// the signal.
func (c *scene) instance(a actor) string {
	if c.asking && a.role == roleEntry {
		return c.signal.Name
	}
	return a.instance
}

// stale is the age at which a verdict has no vote any more.
func (c *scene) stale() time.Duration { return 2*c.probe + c.probeTakes }

// seen fails the scene when there is none: a check at a moment that never comes
// would pass, whatever the rules say. It is the first evaluation that finds values at v from a moment on.
func (c *scene) seen(values []int64, v int64, from time.Duration) time.Duration {
	at := c.first(values, v, from)
	if at < 0 && c.err == nil {
		c.err = fmt.Errorf("nothing to be seen from %s to %s", from, c.end)
	}
	return c.next(at)
}

// firing is how many alerts of one name fire for a service.
type firing struct {
	alert, service string
	count          int
}

// everything counts all alerts that fire, by name and service.
const everything = `count by (service, alertname) (ALERTS{alertstate="firing",alertname!="Watchdog"})`

// expect names all alerts that fire for the service at a moment.
func (c *scene) expect(at time.Duration, alerts ...string) {
	var all []firing
	for _, a := range alerts {
		all = append(all, firing{a, c.service.Name, 1})
	}
	c.expectAll(at, all...)
}

// expectAll names all alerts that fire at a moment, of whatever service.
func (c *scene) expectAll(at time.Duration, all ...firing) {
	var samples []*yaml.Node
	for _, f := range all {
		labels := fmt.Sprintf("{alertname=%s}", quoted(f.alert))
		if f.service != "" {
			labels = fmt.Sprintf("{alertname=%s,service=%s}", quoted(f.alert), quoted(f.service))
		}
		samples = append(samples, sample(labels, fmt.Sprint(f.count)))
	}
	c.query(at, everything, samples...)
}

// query expects an expression to give exactly these samples.
func (c *scene) query(at time.Duration, expr string, samples ...*yaml.Node) {
	if at > c.end && c.err == nil {
		c.err = fmt.Errorf("a check at %s, after the end at %s", at, c.end)
	}
	c.checks = append(c.checks, layout.Inline(layout.Mapping(
		layout.Pair{Key: "expr", Value: layout.Text(expr)},
		layout.Pair{Key: "eval_time", Value: layout.Plain(model.Duration(at).String())},
		layout.Pair{Key: "exp_samples", Value: layout.Inline(layout.List(samples...))},
	)))
}

// sample is one result of an expression.
func sample(labels, value string) *yaml.Node {
	return layout.Mapping(layout.Pair{Key: "labels", Value: layout.Text(labels)}, layout.Pair{Key: "value", Value: layout.Plain(value)})
}

// alert expects an alert with exactly these labels and annotations.
func (c *scene) alert(at time.Duration, name string, set, annotations []label) {
	c.alerts = append(c.alerts, layout.Mapping(
		layout.Pair{Key: "eval_time", Value: layout.Plain(model.Duration(at).String())},
		layout.Pair{Key: "alertname", Value: layout.Text(name)},
		layout.Pair{Key: "exp_alerts", Value: layout.List(layout.Mapping(
			layout.Pair{Key: "exp_labels", Value: layout.Inline(labels(set))},
			layout.Pair{Key: "exp_annotations", Value: labels(annotations)},
		))},
	))
}

// node writes the scene as one entry of "tests:".
func (c *scene) node() *yaml.Node {
	p := []layout.Pair{
		{Key: "name", Value: layout.Text(c.name)},
		{Key: "interval", Value: layout.Plain(model.Duration(c.step).String())},
		{Key: "input_series", Value: layout.List(c.input...)},
		{Key: "promql_expr_test", Value: layout.List(c.checks...)},
	}
	if len(c.alerts) > 0 {
		p = append(p, layout.Pair{Key: "alert_rule_test", Value: layout.List(c.alerts...)})
	}
	return layout.Mapping(p...)
}

// seconds writes a duration as a value.
func seconds(d time.Duration) string { return thousandths(d.Milliseconds()) }

// labels is a mapping in the order of the list.
func labels(ls []label) *yaml.Node {
	var p []layout.Pair
	for _, l := range ls {
		p = append(p, layout.Pair{Key: l.name, Value: layout.Text(l.value)})
	}
	return layout.Mapping(p...)
}

// quoted writes a string as PromQL and the series notation of promtool read it.
func quoted(s string) string { return strconv.Quote(s) }
