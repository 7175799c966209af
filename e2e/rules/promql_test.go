package rules_test

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/onefiveten/onefiveten/rules"
	"github.com/onefiveten/onefiveten/sigma"
)

// The differential test of DETECTION 6.4: random samples go through package sigma and
// through the rules of backend promql, and at every evaluation both must say the same.
// A window of 5m has buckets of sigma that are as long as the distance of two samples,
// so that both look at the same ones throughout; of one of 10m they do until it is
// full, and then whenever a bucket begins.

// scraped is a spec of backend promql: everything every 5s.
func scraped(observers ...string) rules.Spec {
	s := spec("shop", 5, 2, 5, 1, observers...)
	s.Backend = rules.PromQL
	s.Services[0].Signals[1].Baseline = sigma.Baseline{Window: time.Hour, K: 3, MinSamples: 30, Direction: sigma.Upper}
	return s
}

// differing is one set of figures that both judge by.
type differing struct {
	name           string
	baseline       sigma.Baseline
	window         time.Duration // of a fault
	cap            float64
	least          int
	phase          int // seconds from a scrape to the evaluation after it
	fails, strange float64
}

func differences() []differing {
	of := func(window time.Duration, k float64, least int, floor float64, d sigma.Direction) sigma.Baseline {
		return sigma.Baseline{Window: window, K: k, MinSamples: least, Floor: floor, Direction: d}
	}
	return []differing{
		{"defaults in a short window", of(5*time.Minute, 2, 10, 0, sigma.Upper), time.Minute, .25, 2, 0, .2, .2},
		{"below the mean, a floor", of(5*time.Minute, .9, 12, .02, sigma.Lower), 30 * time.Second, .3, 3, 2, .1, .3},
		{"on both sides", of(5*time.Minute, 1.2, 5, 0, sigma.Both), 45 * time.Second, .2, 1, 4, .3, .3},
		{"a floor above the deviation", of(5*time.Minute, .5, 10, .9, sigma.Both), 32 * time.Second, .1, 2, 3, .05, .4},
		{"buckets of two samples", of(10*time.Minute, 2, 10, 0, sigma.Upper), time.Minute, .5, 2, 1, .4, .1},
	}
}

// comparison is one promtool test of the two, and what the series of sigma hold.
type comparison struct {
	d      differing
	steps  int
	series []map[string]string
	checks []map[string]any
	judged, anomalies, faults,
	withheld int
}

const (
	every   = 5 * time.Second
	targets = 4
)

func (w *comparison) add(name, values string, labels ...string) {
	var set []string
	for i := 0; i < len(labels); i += 2 {
		set = append(set, labels[i]+"="+strconv.Quote(labels[i+1]))
	}
	w.series = append(w.series, map[string]string{"series": name + "{" + strings.Join(set, ",") + "}", "values": values})
}

// furnish adds what the exporter tells beside the results. The name of the set is
// that of the generated rules.
func (w *comparison) furnish(s rules.Spec) {
	always := func(v float64) string { return exact(v) + "x" + strconv.Itoa(w.steps*5) }
	limits := func(name string, v float64, signal string, more ...string) {
		w.add(name, always(v), append([]string{"service", "shop", "signal", signal, "rule_set", s.RuleSet("shop", signal)}, more...)...)
	}
	w.add("probe_stale_after_seconds", always(12), "observer", "a", "probe", "shop-nodes")
	w.add("onefiveten_service_info", always(1), "service", "shop", "owner", "team-shop", "severity", "page", "dimensions", "node")
	for _, g := range s.Services[0].Signals {
		w.add("onefiveten_signal_info", always(1), "service", "shop", "signal", g.Name, "mode", g.Mode)
		limits("onefiveten_fault_cap_ratio", w.d.cap, g.Name)
		limits("onefiveten_fault_min_anomalies", float64(w.d.least), g.Name)
	}
	b := w.d.baseline
	limits("onefiveten_baseline_min_samples", float64(b.MinSamples), "latency")
	limits("onefiveten_baseline_floor_seconds", b.Floor, "latency")
	if b.Direction != sigma.Lower {
		limits("onefiveten_baseline_k", b.K, "latency", "bound", "upper")
	}
	if b.Direction != sigma.Upper {
		limits("onefiveten_baseline_k", b.K, "latency", "bound", "lower")
	}
}

// exact writes a number as both sides read it again.
func exact(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

// values are one series of a value at each evaluation; "" is none.
type values []string

// notation has one value a second: those of the reference stand where evaluations
// are, and one that is none ends what was there.
func (v values) notation(phase int) string {
	items := make([]string, 0, 2*len(v))
	for i, one := range v {
		switch {
		case i == 0 && phase > 0:
			continue // before time 0
		case i == 0 || phase > 0 && i == 1:
			if i == 1 {
				items = append(items, "_x"+strconv.Itoa(5-phase))
			}
		default:
			items = append(items, "_x4")
		}
		if one == "" {
			one = "stale"
		}
		items = append(items, one)
	}
	return strings.Join(items, " ")
}

// reference are the figures of sigma, one series each.
var figures = []struct{ name, record, more string }{
	{"mean", "onefiveten:probe_duration_seconds:mean", ""},
	{"stddev", "onefiveten:probe_duration_seconds:stddev", ""},
	{"upper", "onefiveten:probe_duration_seconds:threshold", `bound="upper"`},
	{"lower", "onefiveten:probe_duration_seconds:threshold", `bound="lower"`},
	{"anomaly", "onefiveten:probe_anomaly:bool", ""},
	{"latency_e", "onefiveten:fault_probability:ratio", `signal="latency"`},
	{"latency_fault", "onefiveten:ksigma_fault:fresh", `signal="latency"`},
	{"availability_e", "onefiveten:fault_probability:ratio", `signal="availability"`},
	{"availability_fault", "onefiveten:ksigma_fault:fresh", `signal="availability"`},
}

// target adds the samples of one target, and what sigma says of them.
func (w *comparison) target(t *testing.T, random *rand.Rand, name string) {
	t.Helper()
	fault := sigma.Fault{Window: w.d.window, Floor: w.d.cap, Cap: w.d.cap, MinAnomalies: w.d.least, Clear: 1 << 20}
	of, err := sigma.NewAvailability(every, fault)
	if err != nil {
		t.Fatal(err)
	}
	value, err := sigma.NewValue(every, fault, w.d.baseline)
	if err != nil {
		t.Fatal(err)
	}
	var success, duration, last values
	said := map[string]values{}
	for i := range w.steps {
		at := time.Duration(i) * every
		good, d := random.Float64() >= w.d.fails, .5+.05*random.NormFloat64()
		if random.Float64() < w.d.strange { // far off, on either side
			d *= []float64{.01, 3}[random.IntN(2)]
		}
		success, duration = append(success, map[bool]string{true: "1", false: "0"}[good]), append(duration, exact(d))
		last = append(last, exact((at - time.Duration(w.d.phase)*time.Second).Seconds()))
		figure := map[string]string{}
		if i > 0 || w.d.phase == 0 { // else the scrape lies before time 0
			w.judge(t, of, value, at, good, d, figure)
		}
		for _, f := range figures {
			said[f.name] = append(said[f.name], figure[f.name])
		}
	}
	id := []string{"job", "probe", "instance", name + ":8080", "observer", "a", "probe", "shop-nodes", "service", "shop", "role", "node", "node", name}
	w.add("probe_success", success.notation(w.d.phase), id...)
	w.add("probe_duration_seconds", duration.notation(w.d.phase), id...)
	w.add("probe_last_run_timestamp_seconds", last.notation(w.d.phase), id...)
	for _, f := range figures {
		w.add("reference", said[f.name].notation(0), "figure", f.name, "instance", name+":8080")
	}
}

// judge has sigma say what it says of the samples of one scrape. A signal whose
// sample is none says nothing new: what the rules say then is not compared.
func (w *comparison) judge(t *testing.T, of, value *sigma.Series, at time.Duration, good bool, d float64, figure map[string]string) {
	t.Helper()
	verdict := func(j sigma.Judgement) string {
		if j.E > j.ThetaE && j.Anomalies >= w.d.least {
			w.faults++
			return "1"
		}
		return "0"
	}
	x := 1.
	if good {
		x = 0
	}
	j, err := of.Add(time.Unix(0, 0).Add(at), x)
	if err != nil {
		t.Fatal(err)
	}
	figure["availability_e"], figure["availability_fault"] = exact(j.E), verdict(j)
	if !good {
		return
	}
	if j, err = value.Add(time.Unix(0, 0).Add(at), d); err != nil {
		t.Fatal(err)
	}
	if !j.Ready {
		w.withheld++
		return
	}
	w.judged++
	if j.Anomaly {
		w.anomalies++
	}
	figure["mean"], figure["stddev"], figure["anomaly"] = exact(j.Mean), exact(j.StdDev), map[bool]string{true: "1", false: "0"}[j.Anomaly]
	figure["latency_e"], figure["latency_fault"] = exact(j.E), verdict(j)
	if j.HasUpper {
		figure["upper"] = exact(j.Upper)
	}
	if j.HasLower {
		figure["lower"] = exact(j.Lower)
	}
}

// same tells whether both look at the same samples at an evaluation: until the window
// is full, and when a bucket of sigma begins.
func (w *comparison) same(i int) bool {
	at, bucket := time.Duration(i)*every, w.d.baseline.Window/60
	return at <= w.d.baseline.Window || at%bucket == 0
}

// compare has every figure compared at every evaluation at which sigma has one. What
// the rules say of a latency where sigma says nothing must be withheld, too, where the
// last run was a success.
func (w *comparison) compare() {
	for i := 1; i < w.steps; i++ {
		for _, f := range figures {
			if !strings.HasPrefix(f.name, "availability") && !w.same(i) {
				continue
			}
			got, want := f.record+"{"+f.more+"}", fmt.Sprintf(`reference{figure=%q}`, f.name)
			ran := ` and on (instance) (probe_success == 1)`
			if strings.HasPrefix(f.name, "availability") {
				ran = ""
			}
			w.checks = append(w.checks, map[string]any{
				"eval_time": (time.Duration(i) * every).String(), "exp_samples": []any{},
				"expr": fmt.Sprintf(`(abs(%s - on (instance) %s) > 1e-9) or ((%s%s) unless on (instance) %s) or (%s unless on (instance) %s)`, got, want, got, ran, want, want, got),
			})
		}
	}
}

// write makes the file of tests for the rules in dir.
func (w *comparison) write(t *testing.T, dir string) string {
	t.Helper()
	text, err := yaml.Marshal(map[string]any{
		"rule_files": []string{"rules/*.yml"}, "evaluation_interval": every.String(),
		"tests": []any{map[string]any{"interval": "1s", "input_series": w.series, "promql_expr_test": w.checks}},
	})
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "differs.yml")
	put(t, name, text)
	return name
}

// against is a spec and random samples for the figures that both judge by.
func (d differing) against(t *testing.T, seed int) (rules.Spec, *comparison) {
	t.Helper()
	s := scraped("a")
	for i := range s.Services[0].Signals {
		g := &s.Services[0].Signals[i]
		g.Fault.Window, g.Fault.Floor, g.Fault.Cap, g.Fault.MinAnomalies = d.window, d.cap, d.cap, d.least
	}
	s.Services[0].Signals[1].Baseline = d.baseline
	w := &comparison{d: d, steps: 180}
	random := rand.New(rand.NewPCG(1, uint64(seed)))
	w.furnish(s)
	for i := range targets {
		w.target(t, random, fmt.Sprint("n", i+1))
	}
	w.compare()
	return s, w
}

func TestPromQL_SaysWhatSigmaSays(t *testing.T) {
	for n, d := range differences() {
		s, w := d.against(t, n)
		if w.judged == 0 || w.withheld == 0 || w.anomalies == 0 || w.faults == 0 || w.anomalies == w.judged {
			t.Fatalf("%s: got %d samples that were judged, %d that were not, %d anomalies, %d in fault: want some of each", d.name, w.judged, w.withheld, w.anomalies, w.faults)
		}
		for _, generation := range generations {
			t.Run(generation+"/"+d.name, func(t *testing.T) {
				t.Parallel()
				dir := write(t, s)
				promtool := find(t, generation).Promtool
				if out, ok := run(t, promtool.Path, "test", "rules", w.write(t, dir)); !ok {
					t.Errorf("promtool %s:\n%.3000s", promtool.Version, out)
				}
			})
		}
		t.Logf("%s: %d comparisons at %d evaluations of %d targets: %d samples judged, %d withheld, %d anomalies, %d in fault",
			d.name, len(w.checks), w.steps, targets, w.judged, w.withheld, w.anomalies, w.faults)
	}
}

// What DETECTION 6.4 says against counters: the increase of one that begins at 0 is not
// extrapolated beyond where it was 0, that of the attempts is to the edge of the range,
// and neither counts the first of thirteen samples: six failures are another share.
func TestPromQL_TheIncreaseOfAYoungCounterIsNoCountOfFailures(t *testing.T) {
	w := &comparison{}
	id := []string{"instance", "n1:8080"}
	w.add("probe_success", "1x6 0x5", id...)
	w.add("failures_total", "0x6 1+1x5", id...)
	w.add("attempts_total", "1000+1x12", id...)
	for _, c := range []struct {
		expr string
		want float64
	}{
		{"(count_over_time(probe_success[1m4s500ms]) - sum_over_time(probe_success[1m4s500ms])) / count_over_time(probe_success[1m4s500ms])", 6. / 13},
		{"abs(increase(failures_total[1m4s500ms]) / increase(attempts_total[1m4s500ms]) - 6 / 13) > bool 0.001", 1},
	} {
		w.checks = append(w.checks, map[string]any{"eval_time": "1m", "expr": c.expr, "exp_samples": []any{map[string]any{"labels": `{instance="n1:8080"}`, "value": c.want}}})
	}
	text, err := yaml.Marshal(map[string]any{
		"rule_files": []string{}, "evaluation_interval": every.String(),
		"tests": []any{map[string]any{"interval": every.String(), "input_series": w.series, "promql_expr_test": w.checks}},
	})
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "increase.yml")
	put(t, name, text)
	for _, generation := range generations {
		promtool := find(t, generation).Promtool
		if out, ok := run(t, promtool.Path, "test", "rules", name); !ok {
			t.Errorf("promtool %s:\n%s", promtool.Version, out)
		}
	}
}

// A series that is flat has a deviation of 0: a mean that lies beside its values by
// the rounding of a sum must not make an anomaly of each.
func TestPromQL_AFlatSeriesHasNoAnomaly(t *testing.T) {
	s := scraped("a")
	w := &comparison{d: differing{baseline: s.Services[0].Signals[1].Baseline, cap: .55, least: 3}, steps: 200}
	w.furnish(s)
	for i, v := range []string{"0.1", "0.3", "0.0123456789", "1e-05", "7.7"} {
		id := []string{"job", "probe", "instance", fmt.Sprint("n", i), "observer", "a", "probe", "shop-nodes", "service", "shop", "role", "node", "node", fmt.Sprint("n", i)}
		w.add("probe_success", "1x1000", id...)
		w.add("probe_duration_seconds", v+"x1000", id...)
		w.add("probe_last_run_timestamp_seconds", "0+1x1000", id...)
	}
	w.checks = append(w.checks, map[string]any{"eval_time": "990s", "expr": "sum(sum_over_time(onefiveten:probe_anomaly:bool[15m]))", "exp_samples": []any{map[string]any{"labels": "{}", "value": 0}}})
	dir := write(t, s)
	name := w.write(t, dir)
	for _, generation := range generations {
		promtool := find(t, generation).Promtool
		if out, ok := run(t, promtool.Path, "test", "rules", name); !ok {
			t.Errorf("promtool %s:\n%s", promtool.Version, out)
		}
	}
}
