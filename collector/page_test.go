package collector

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-kit/log"
	"github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/onefiveten/onefiveten/config"
	"github.com/onefiveten/onefiveten/probe"
)

// httpLike answers with samples as package probe gives them.
func httpLike(context.Context, string) probe.Result {
	r := good(10 * time.Millisecond)
	r.Samples = []probe.Sample{
		{Name: "probe_http_status_code", Help: "Response HTTP status code", Value: 200},
		{Name: "probe_http_duration_seconds", Help: "Duration by phase", Labels: []probe.Label{{Name: "phase", Value: "connect"}}, Value: .001},
		{Name: "probe_http_duration_seconds", Help: "Duration by phase", Labels: []probe.Label{{Name: "phase", Value: "transfer"}}, Value: .0025},
	}
	return r
}

func refused(context.Context, string) probe.Result { return bad(probe.Refused) }

// common stands for the labels of every result in expected pages.
const common = `job="probe",instance="http://n1/",observer="a",probe="shop-nodes",service="shop",role="node",node="n1",zone="za"`

func short(page string) string { return strings.ReplaceAll(page, common, "COMMON") }

func TestPage_MinimalWhileFailing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{answer: httpLike}
		c := begun(t, shop, f)
		pass(5 * time.Second)
		f.set(refused)
		pass(5 * time.Second)
		if diff := cmp.Diff(minimalPage, short(text(t, c))); diff != "" {
			t.Errorf("the page differs (-want +got):\n%s", diff)
		}
	})
}

const fullShop = `
observers: [a]
expose: full
duration_buckets: [0.01, 0.1]
baselines: {default: {min_samples: 3, k: 2, floor: 0.005, direction: both}}
services:
- {name: shop, owner: team-shop}
probes:
- name: shop-nodes
  service: shop
  module: fake
  interval: 5s
  targets: [{url: "http://n1/", labels: {node: n1, zone: za}}]
`

func TestPage_FullAddsTheBaseline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{answer: httpLike}
		c := begun(t, fullShop, f)
		pass(5 * time.Second)
		if got := lines(text(t, c), `signal="latency"`, "role="); strings.Contains(got, "ksigma_fault") || strings.Contains(got, "threshold") {
			t.Errorf("a verdict on latency before min_samples:\n%s", got)
		}
		pass(10 * time.Second)
		f.set(func(context.Context, string) probe.Result { return good(50 * time.Millisecond) })
		pass(5 * time.Second)
		got := short(text(t, c))
		want := `ksigma_fault{COMMON,signal="latency"} 0
ksigma_fault_probability{COMMON,signal="latency"} 0.027777777777777776
ksigma_fault_probability_threshold{COMMON,signal="latency"} 0.55
ksigma_fault_start_timestamp_seconds{COMMON,signal="latency"} 946684816.876
ksigma_value{COMMON,signal="latency"} 0.05
ksigma_baseline_samples{COMMON,signal="latency"} 3
ksigma_mean{COMMON,signal="latency"} 0.01
ksigma_stddev{COMMON,signal="latency"} 0
ksigma_threshold{COMMON,signal="latency",bound="lower"} 0
ksigma_threshold{COMMON,signal="latency",bound="upper"} 0.02
ksigma_anomaly{COMMON,signal="latency"} 1
`
		if diff := cmp.Diff(want, lines(got, "ksigma", "COMMON", "latency")); diff != "" {
			t.Errorf("latency differs (-want +got):\n%s", diff)
		}
		want = `probe_run_duration_seconds_bucket{COMMON,le="0.01"} 3
probe_run_duration_seconds_bucket{COMMON,le="0.1"} 4
probe_run_duration_seconds_bucket{COMMON,le="+Inf"} 4
probe_run_duration_seconds_sum{COMMON} 0.08
probe_run_duration_seconds_count{COMMON} 4
`
		if diff := cmp.Diff(want, lines(got, "run_duration")); diff != "" {
			t.Errorf("the histogram differs (-want +got):\n%s", diff)
		}
		if got := lines(got, "ksigma_mean", `signal="availability"`); got != "" {
			t.Errorf("availability has a mean:\n%s", got)
		}
	})
}

func TestPage_FaultWithItsStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		c := begun(t, shop, f)
		pass(60 * time.Second)
		f.set(func(ctx context.Context, _ string) probe.Result {
			start := time.Now()
			<-ctx.Done()
			return probe.Result{Reason: probe.Timeout, Start: start, Duration: time.Since(start)}
		})
		pass(8 * time.Second)
		// The second failed run has ended: it began at 1m6.876s, the first at 1m1.876s.
		want := `probe_last_run_timestamp_seconds{COMMON} 946684863.876
probe_last_success_timestamp_seconds{COMMON} 946684856.876
probe_first_failure_timestamp_seconds{COMMON} 946684861.876
`
		got := short(text(t, c))
		if diff := cmp.Diff(want, lines(got, "timestamp", "probe_")); diff != "" {
			t.Errorf("instants after one failure (-want +got):\n%s", diff)
		}
		if want := "ksigma_fault{COMMON,signal=\"availability\"} 0\n"; lines(got, "ksigma_fault{") != want {
			t.Errorf("after one failure: got %swant %s", lines(got, "ksigma_fault{"), want)
		}
		pass(5 * time.Second)
		got = short(text(t, c))
		want = `ksigma_fault{COMMON,signal="availability"} 1
ksigma_fault_probability{COMMON,signal="availability"} 0.16666666666666666
ksigma_fault_probability_threshold{COMMON,signal="availability"} 0.05
ksigma_fault_start_timestamp_seconds{COMMON,signal="availability"} 946684861.876
`
		if diff := cmp.Diff(want, lines(got, "ksigma", "COMMON", "availability")); diff != "" {
			t.Errorf("after two failures (-want +got):\n%s", diff)
		}
		f.set(nil)
		pass(15 * time.Second)
		got = lines(short(text(t, c)), "ksigma_fault", "COMMON", "availability")
		if !strings.Contains(got, `ksigma_fault{COMMON,signal="availability"} 0`) || !strings.Contains(got, `start_timestamp_seconds{COMMON,signal="availability"} 0`) {
			t.Errorf("after three good runs:\n%s", got)
		}
	})
}

func TestPage_CountersStandBeforeTheFirstRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := begun(t, shop, &fake{})
		got := lines(short(text(t, c)), "COMMON")
		if n := strings.Count(got, "probe_failures_total"); n != 12 {
			t.Errorf("got %d reasons, want 12:\n%s", n, got)
		}
		if strings.Contains(got, "probe_success") || strings.Contains(got, "ksigma") || strings.Contains(got, "timestamp") {
			t.Errorf("a result before the first run:\n%s", got)
		}
	})
}

func TestPage_OneBadSampleDoesNotCostThePage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{answer: func(context.Context, string) probe.Result {
			r := good(time.Millisecond)
			r.Samples = []probe.Sample{
				{Name: "probe_expect_info", Help: "Said\nby \\ the \"target\"", Value: 1, Labels: []probe.Label{
					{Name: "node", Value: "x"},
					{Name: "observer", Value: "y"},
					{Name: "banner", Value: "a\"b\\c\nd\xff"},
					{Name: "banner", Value: "twice"},
					{Name: "not-a-name", Value: "z"},
					{Name: "empty"},
				}},
				{Name: "probe_expect_info", Help: "Other help", Value: 2, Labels: []probe.Label{{Name: "banner", Value: "second"}}},
				{Name: "probe_expect_info", Help: "Other help", Value: 3, Labels: []probe.Label{{Name: "banner", Value: "second"}}},
				{Name: "probe_success", Help: "Ours", Value: 17},
				{Name: "onefiveten_service_info", Help: "Ours", Value: 17},
				{Name: "not a name", Value: 1},
				{Name: "probe_not_a_number", Help: "NaN", Value: math.NaN()},
				{Name: "probe_infinite", Help: "Inf", Value: math.Inf(-1)},
				{Name: "probe_zero_time", Help: "As blackbox_exporter has it", Value: -62135596800},
				{Name: "probe_small", Help: "Small", Value: 1.5e-9},
			}
			return r
		}}
		c := begun(t, shop, f)
		pass(5 * time.Second)
		want := `# HELP probe_expect_info Said\nby \\ the "target"
# TYPE probe_expect_info gauge
probe_expect_info{COMMON,banner="second"} 2
probe_expect_info{COMMON,exported_node="x",exported_observer="y",banner="a\"b\\c\nd?"} 1
# HELP probe_infinite Inf
# TYPE probe_infinite gauge
probe_infinite{COMMON} -Inf
# HELP probe_not_a_number NaN
# TYPE probe_not_a_number gauge
probe_not_a_number{COMMON} NaN
# HELP probe_small Small
# TYPE probe_small gauge
probe_small{COMMON} 1.5e-09
# HELP probe_zero_time As blackbox_exporter has it
# TYPE probe_zero_time gauge
probe_zero_time{COMMON} -62135596800
`
		got := short(text(t, c))
		if at := strings.Index(got, "# HELP probe_expect_info"); at < 0 || got[at:] != want {
			t.Errorf("got:\n%s\nwant at its end:\n%s", got, want)
		}
		if !strings.Contains(got, "probe_success{COMMON} 1\n") {
			t.Errorf("a prober has set probe_success:\n%s", got)
		}
	})
}

func TestPage_ManyTargetsShareAFamily(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{answer: func(_ context.Context, target string) probe.Result {
			r := good(time.Millisecond)
			r.Samples = []probe.Sample{{Name: "probe_ip_protocol", Help: "from " + target, Value: 4}}
			if target == "tcp" {
				r.Samples = []probe.Sample{{Name: "probe_failed_due_to_regex", Help: "Regex", Value: 0}, {Name: "probe_ip_protocol", Help: "IP", Value: 6}}
			}
			return r
		}}
		c := begun(t, strings.Replace(shop, `{url: "http://n1/", labels: {node: n1, zone: za}}`, `{url: h1}, {url: tcp}, {url: h2, labels: {zone: zb}}`, 1), f)
		pass(5 * time.Second)
		got := text(t, c)
		want := `probe_ip_protocol{job="probe",instance="h1",observer="a",probe="shop-nodes",service="shop",role="node"} 4
probe_ip_protocol{job="probe",instance="tcp",observer="a",probe="shop-nodes",service="shop",role="node"} 6
probe_ip_protocol{job="probe",instance="h2",observer="a",probe="shop-nodes",service="shop",role="node",zone="zb"} 4
`
		if diff := cmp.Diff(want, lines(got, "probe_ip_protocol")); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if n := strings.Count(got, "# TYPE probe_ip_protocol "); n != 1 {
			t.Errorf("got %d heads of probe_ip_protocol, want 1", n)
		}
	})
}

const protobuf = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"

// decode reads a protobuf page.
func decode(t *testing.T, w *httptest.ResponseRecorder) map[string]*dto.MetricFamily {
	t.Helper()
	d := expfmt.NewDecoder(w.Body, expfmt.ResponseFormat(w.Header()))
	all := map[string]*dto.MetricFamily{}
	for {
		var f dto.MetricFamily
		if err := d.Decode(&f); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatalf("decoding %s: %v", w.Header().Get("Content-Type"), err)
		}
		all[f.GetName()] = &f
	}
}

func TestPage_ProtobufSaysTheSameAndCarriesNativeHistograms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := begun(t, fullShop, &fake{answer: httpLike})
		pass(60 * time.Second)
		families := decode(t, scrape(t, c, protobuf+",text/plain;q=0.5"))
		h := families["probe_run_duration_seconds"].GetMetric()[0].GetHistogram()
		if h.GetSampleCount() != 12 || len(h.GetPositiveSpan()) == 0 || h.GetSchema() != 3 {
			t.Errorf("got histogram %v, want 12 runs in native buckets of schema 3", h)
		}
		// Written as text by the library, and both sorted, the pages are equal.
		var b bytes.Buffer
		for _, f := range families {
			if _, err := expfmt.MetricFamilyToText(&b, f); err != nil {
				t.Fatal(err)
			}
		}
		got, want := sortedLines(b.String()), sortedLines(text(t, c))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("protobuf differs from text (-text +protobuf):\n%s", diff)
		}
	})
}

// Classic buckets are asked for by duration_buckets; those who take protobuf get
// both forms in one histogram, with the same count and sum.
func TestPage_HistogramIsClassicOnRequestAndAlwaysNative(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		c := begun(t, "duration_buckets: [0.001, 0.02, 0.5]\n"+shop, f)
		for i, d := range []time.Duration{0, 500 * time.Microsecond, 20 * time.Millisecond, 30 * time.Millisecond, 7 * time.Second} {
			f.set(func(context.Context, string) probe.Result { return good(d) })
			if pass(5 * time.Second); f.runs() != i+1 {
				t.Fatalf("got %d runs, want %d", f.runs(), i+1)
			}
		}
		want := `probe_run_duration_seconds_bucket{COMMON,le="0.001"} 2
probe_run_duration_seconds_bucket{COMMON,le="0.02"} 3
probe_run_duration_seconds_bucket{COMMON,le="0.5"} 4
probe_run_duration_seconds_bucket{COMMON,le="+Inf"} 5
probe_run_duration_seconds_sum{COMMON} 7.0505
probe_run_duration_seconds_count{COMMON} 5
`
		if diff := cmp.Diff(want, lines(short(text(t, c)), "probe_run_duration_seconds")); diff != "" {
			t.Errorf("text (-want +got):\n%s", diff)
		}
		h := decode(t, scrape(t, c, protobuf))["probe_run_duration_seconds"].GetMetric()[0].GetHistogram()
		var classic []uint64
		for _, b := range h.GetBucket() {
			classic = append(classic, b.GetCumulativeCount())
		}
		if !slices.Equal(classic, []uint64{2, 3, 4}) || h.GetSampleCount() != 5 || math.Abs(h.GetSampleSum()-7.0505) > 1e-9 {
			t.Errorf("got classic buckets %v of %v", classic, h)
		}
		// Each native bucket reaches from 2^((i-1)/8) to 2^(i/8) seconds.
		native := map[float64]int64{}
		index, count, at := int32(0), int64(0), 0
		for _, span := range h.GetPositiveSpan() {
			index += span.GetOffset()
			for range span.GetLength() {
				count += h.GetPositiveDelta()[at]
				if at++; count > 0 {
					native[math.Exp2(float64(index)/8)] = count
				}
				index++
			}
		}
		for _, d := range []float64{.0005, .02, .03, 7} {
			bucket := math.Exp2(math.Ceil(math.Log2(d)*8) / 8)
			if native[bucket] != 1 || bucket/d > 1.1 {
				t.Errorf("%v s: got %v in the bucket up to %v", d, native, bucket)
			}
		}
		if h.GetSchema() != 3 || h.GetZeroCount() != 1 || len(native) != 4 {
			t.Errorf("got schema %d, %d in the zero bucket and %v, want 3, 1 and 4 buckets", h.GetSchema(), h.GetZeroCount(), native)
		}
	})
}

// The series of every protocol are on the page as their prober gives them.
func TestPage_TakesTheSeriesOfEveryProtocol(t *testing.T) {
	protocols := map[string]string{
		"icmp": `probe_icmp_duration_seconds{phase="resolve"} probe_icmp_duration_seconds{phase="setup"} probe_icmp_duration_seconds{phase="rtt"} probe_icmp_reply_hop_limit`,
		"dns":  `probe_dns_duration_seconds{phase="request"} probe_dns_answer_rrs probe_dns_authority_rrs probe_dns_additional_rrs probe_dns_query_succeeded probe_dns_serial`,
		"grpc": `probe_grpc_duration_seconds{phase="check"} probe_grpc_ssl probe_grpc_status_code probe_grpc_healthcheck_response{serving_status="SERVING"} probe_grpc_healthcheck_response{serving_status="NOT_SERVING"}`,
		"unix": `probe_failed_due_to_regex probe_failed_due_to_bytes probe_expect_info{banner="220"} probe_tls_version_info{version="TLS 1.3"} probe_ssl_last_chain_info{fingerprint_sha256="ab",subject="CN=a",issuer="CN=b",subjectalternative="a",serialnumber="1"}`,
		"all":  `probe_dns_lookup_time_seconds probe_ip_protocol probe_ip_addr_hash probe_resolved_address_info{address="::1"}`,
	}
	synctest.Test(t, func(t *testing.T) {
		f := &fake{answer: func(_ context.Context, target string) probe.Result {
			r := good(time.Millisecond)
			r.Samples = samplesOf(t, protocols[target])
			return r
		}}
		targets := "targets: ["
		for name := range protocols {
			targets += "{url: " + name + "}, "
		}
		c := begun(t, discovering(targets+"]"), f)
		pass(5 * time.Second)
		page := text(t, c)
		for name, all := range protocols {
			for line := range strings.FieldsSeq(strings.ReplaceAll(all, "TLS 1.3", "TLS_1.3")) {
				family, rest, _ := strings.Cut(strings.ReplaceAll(line, "TLS_1.3", "TLS 1.3"), "{")
				want := fmt.Sprintf(`%s{job="probe",instance="%s",observer="a",probe="shop-nodes",service="shop",role="node"`, family, name)
				if rest != "" {
					want += "," + strings.TrimSuffix(rest, "}")
				}
				if !strings.Contains(page, want+"} 1\n") || !strings.Contains(page, "# TYPE "+family+" gauge\n") {
					t.Errorf("no %q in\n%s", want, lines(page, family))
				}
			}
		}
	})
}

// Phases are the same for all targets, addresses differ: what is shared must not
// grow with them.
func TestSamples_LabelsAreSharedWithinABound(t *testing.T) {
	c := many(t, 2)
	one, two := c.table.Load().targets[0].state.shown.Load(), c.table.Load().targets[1].state.shown.Load()
	for i := range one.samples {
		if one.samples[i].labels != two.samples[i].labels {
			t.Errorf("two targets hold labels %s each", one.samples[i].labels.text)
		}
	}
	target := c.table.Load().targets[0]
	for i := range 1000 {
		r := httpResult()
		r.Samples = append(r.Samples, probe.Sample{Name: "probe_resolved_address_info", Help: "Address", Labels: []probe.Label{{Name: "address", Value: fmt.Sprint(i)}}, Value: 1})
		target.finish(c, r)
	}
	if got := len(c.families.shared[c.families.get("probe_resolved_address_info", "")]); got != maxShared {
		t.Errorf("got %d sets of labels of one family, want %d", got, maxShared)
	}
	if got := lines(text(t, c), "probe_resolved_address_info"); !strings.HasSuffix(got, `address="999"} 1`+"\n") || strings.Count(got, "\n") != 1 {
		t.Errorf("got %s, want the last address alone", got)
	}
}

// samplesOf reads series in the text format, each of the value 1.
func samplesOf(t *testing.T, series string) (all []probe.Sample) {
	t.Helper()
	text := strings.ReplaceAll(series, " probe_", " 1\nprobe_") + " 1\n"
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Errorf("%v in %s", err, text)
	}
	for name, f := range families {
		for _, m := range f.Metric {
			s := probe.Sample{Name: name, Help: "Help of " + name, Value: 1}
			for _, l := range m.Label {
				s.Labels = append(s.Labels, probe.Label{Name: l.GetName(), Value: l.GetValue()})
			}
			all = append(all, s)
		}
	}
	return all
}

// sortedLines sorts the lines of a page and, in each, what is in braces; numbers
// are written in one form.
func sortedLines(page string) []string {
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(page))
	if err != nil {
		return []string{err.Error()}
	}
	var out []string
	for _, f := range families {
		for _, m := range f.Metric {
			slices.SortFunc(m.Label, func(a, b *dto.LabelPair) int { return strings.Compare(a.GetName(), b.GetName()) })
		}
		var b bytes.Buffer
		if _, err := expfmt.MetricFamilyToText(&b, f); err != nil {
			return []string{err.Error()}
		}
		out = append(out, strings.Split(b.String(), "\n")...)
	}
	slices.Sort(out)
	return out
}

func TestPage_Negotiation(t *testing.T) {
	c := New("a", nil)
	for accept, want := range map[string]string{
		"":           "text/plain; version=0.0.4; charset=utf-8",
		"text/plain": "text/plain; version=0.0.4; charset=utf-8",
		// What Prometheus 3 sends: it takes OpenMetrics, which we do not speak.
		"application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.5,*/*;q=0.1": "text/plain; version=0.0.4; charset=utf-8",
		protobuf: protobuf,
	} {
		got := scrape(t, c, accept).Header().Get("Content-Type")
		if got, _, _ := strings.Cut(got, "; escaping"); strings.ReplaceAll(got, " ", "") != strings.ReplaceAll(want, " ", "") {
			t.Errorf("Accept %q: got %q, want %q", accept, got, want)
		}
	}
	w := httptest.NewRecorder()
	c.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/metrics/probes", nil))
	if w.Code != http.StatusMethodNotAllowed || w.Body.String() != "got POST, want GET\n" {
		t.Errorf("POST: got %d %q", w.Code, w.Body)
	}
}

// broken is a client that goes away.
type broken struct{ *httptest.ResponseRecorder }

func (broken) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestPage_ClientThatGoesAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := begun(t, shop, &fake{})
		for _, accept := range []string{"", protobuf} {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
			r.Header.Set("Accept", accept)
			c.ServeHTTP(broken{httptest.NewRecorder()}, r)
		}
		text(t, c) // the next one gets its page
	})
}

// FuzzPage gives a prober that answers anything. The page must parse and say
// what the prober said.
func FuzzPage(f *testing.F) {
	f.Add("http://n1/", "probe_x", "help", "phase", "connect", 1.5)
	f.Add("a\"b\\c\nd", "probe_run_duration_seconds_sum", "\\n\n", "le", "\xff\x00", math.Inf(1))
	f.Add("\u2028", "a:b", "", "instance", "}", math.NaN())
	f.Add("x", "1", "# HELP", "__name__", "y", math.Copysign(0, -1))
	f.Fuzz(func(t *testing.T, url, name, help, labelName, labelValue string, v float64) {
		s := parse(t, shop)
		s.Probes[0].Targets[0].URL = url
		mistaken := false
		s.Check(func(string, string) { mistaken = true })
		if mistaken {
			return
		}
		c := New("a", log.NewNopLogger())
		if err := c.Apply(s, (&fake{}).modules(), proved, nil); err != nil {
			t.Fatal(err)
		}
		r := good(time.Millisecond)
		given := []probe.Label{{Name: labelName, Value: labelValue}}
		r.Samples = []probe.Sample{{Name: name, Help: help, Labels: given, Value: v}, {Name: name, Help: help, Labels: given, Value: 2}}
		for range 2 {
			c.table.Load().targets[0].finish(c, r)
		}
		page := scrape(t, c, "").Body.String()
		parser := expfmt.NewTextParser(model.LegacyValidation)
		families, err := parser.TextToMetricFamilies(strings.NewReader(page))
		if err != nil {
			t.Fatalf("%v\n%s", err, page)
		}
		if got := families["probe_success"].Metric[0].Label[1]; got.GetName() != "instance" || got.GetValue() != url {
			t.Errorf("got %v, want instance %q", got, url)
		}
		if c.families.byName[name] == nil {
			return // no name, or one of the page's own
		}
		m := families[name].GetMetric()
		if len(m) != 1 || m[0].GetGauge().GetValue() != v && !math.IsNaN(v) {
			t.Errorf("got %v, want one gauge of %v", m, v)
		}
	})
}

// The real prober, over a real socket.
func TestPage_RealProbe(t *testing.T) {
	status := http.StatusOK
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
	defer server.Close()
	var module probe.Module
	if err := config.Parse("blackbox.yml", []byte("{prober: http, timeout: 2s, http: {preferred_ip_protocol: ip4}}"), &module); err != nil {
		t.Fatal(err)
	}
	prober, err := probe.New(module, probe.NewNetwork())
	if err != nil {
		t.Fatal(err)
	}
	c := New("a", log.NewNopLogger())
	s := parse(t, strings.Replace(shop, "http://n1/", server.URL, 1))
	if err := c.Apply(s, map[string]Module{"fake": {Probe: prober.Run, Timeout: prober.Timeout()}}, proved, nil); err != nil {
		t.Fatal(err)
	}
	for _, status = range []int{http.StatusOK, http.StatusServiceUnavailable} {
		c.table.Load().targets[0].run(t.Context(), c, time.Now(), time.Now().Add(time.Hour))
	}
	got := strings.ReplaceAll(text(t, c), server.URL, "http://n1/")
	for _, want := range []string{
		"probe_success{COMMON} 0\n", "probe_http_status_code{COMMON} 503\n", "probe_attempts_total{COMMON} 2\n",
		"probe_failure_reason{COMMON,reason=\"status\"} 1\n", "probe_ip_protocol{COMMON} 4\n",
		"# TYPE probe_http_duration_seconds gauge\nprobe_http_duration_seconds{COMMON,phase=\"connect\"} ",
	} {
		if !strings.Contains(short(got), want) {
			t.Errorf("no %q in\n%s", want, short(got))
		}
	}
}

// minimalPage is everything that one target shows after a good run and a
// refused one.
const minimalPage = `# HELP probe_interval_seconds Time between two runs of the probe.
# TYPE probe_interval_seconds gauge
probe_interval_seconds{observer="a",probe="shop-nodes"} 5
# HELP probe_timeout_seconds Deadline of one run of the probe.
# TYPE probe_timeout_seconds gauge
probe_timeout_seconds{observer="a",probe="shop-nodes"} 2
# HELP probe_stale_after_seconds Age of its last run at which a result has no vote: two intervals and the timeout.
# TYPE probe_stale_after_seconds gauge
probe_stale_after_seconds{observer="a",probe="shop-nodes"} 12
# HELP ksigma_signal_info 1, with unit, direction and k of the signal.
# TYPE ksigma_signal_info gauge
ksigma_signal_info{service="shop",signal="availability",unit="failures",direction="upper"} 1
ksigma_signal_info{service="shop",signal="latency",unit="seconds",direction="upper",k="3"} 1
# HELP onefiveten_service_info 1, with owner, severity and dimensions of the service.
# TYPE onefiveten_service_info gauge
onefiveten_service_info{service="shop",owner="team-shop",severity="page",dimensions="node"} 1
# HELP onefiveten_signal_info 1, with the mode of the signal.
# TYPE onefiveten_signal_info gauge
onefiveten_signal_info{service="shop",signal="availability",mode="page"} 1
onefiveten_signal_info{service="shop",signal="latency",mode="ticket"} 1
# HELP onefiveten_target_seconds Target of the stage, from the beginning of a fault.
# TYPE onefiveten_target_seconds gauge
onefiveten_target_seconds{service="shop",stage="detect"} 60
onefiveten_target_seconds{service="shop",stage="locate"} 300
onefiveten_target_seconds{service="shop",stage="recover"} 600
# HELP onefiveten_detect_bound_seconds Proved longest time from a fault to the webhook.
# TYPE onefiveten_detect_bound_seconds gauge
onefiveten_detect_bound_seconds{service="shop",signal="availability"} 33
onefiveten_detect_bound_seconds{service="shop",signal="latency"} 170
# HELP onefiveten_expected_observers Observers that should watch the service.
# TYPE onefiveten_expected_observers gauge
onefiveten_expected_observers{service="shop"} 1
# HELP onefiveten_observer_info 1, with the name of the running observer.
# TYPE onefiveten_observer_info gauge
onefiveten_observer_info{observer="a"} 1
# HELP probe_success 1 if the last run was a success, else 0.
# TYPE probe_success gauge
probe_success{COMMON} 0
# HELP probe_duration_seconds Duration of the last run.
# TYPE probe_duration_seconds gauge
probe_duration_seconds{COMMON} 0.005
# HELP probe_last_run_timestamp_seconds End of the last run that was completed.
# TYPE probe_last_run_timestamp_seconds gauge
probe_last_run_timestamp_seconds{COMMON} 946684806.876
# HELP probe_last_success_timestamp_seconds End of the last run that was a success, 0: none was.
# TYPE probe_last_success_timestamp_seconds gauge
probe_last_success_timestamp_seconds{COMMON} 946684801.876
# HELP probe_first_failure_timestamp_seconds Start of the first failed run of the fault episode, 0: there is none.
# TYPE probe_first_failure_timestamp_seconds gauge
probe_first_failure_timestamp_seconds{COMMON} 946684806.876
# HELP probe_attempts_total Runs that were completed.
# TYPE probe_attempts_total counter
probe_attempts_total{COMMON} 2
# HELP probe_failures_total Runs that failed, by reason.
# TYPE probe_failures_total counter
probe_failures_total{COMMON,reason="dns"} 0
probe_failures_total{COMMON,reason="refused"} 1
probe_failures_total{COMMON,reason="unreachable"} 0
probe_failures_total{COMMON,reason="timeout"} 0
probe_failures_total{COMMON,reason="reset"} 0
probe_failures_total{COMMON,reason="tls"} 0
probe_failures_total{COMMON,reason="certificate"} 0
probe_failures_total{COMMON,reason="protocol"} 0
probe_failures_total{COMMON,reason="status"} 0
probe_failures_total{COMMON,reason="content"} 0
probe_failures_total{COMMON,reason="size"} 0
probe_failures_total{COMMON,reason="internal"} 0
# HELP probe_failure_reason 1 for the reason of the last run, while that is a failure.
# TYPE probe_failure_reason gauge
probe_failure_reason{COMMON,reason="refused"} 1
# HELP probe_run_duration_seconds Duration of the runs of a probe.
# TYPE probe_run_duration_seconds histogram
probe_run_duration_seconds_bucket{COMMON,le="+Inf"} 2
probe_run_duration_seconds_sum{COMMON} 0.015
probe_run_duration_seconds_count{COMMON} 2
# HELP ksigma_fault 1 if the signal is in fault, else 0.
# TYPE ksigma_fault gauge
ksigma_fault{COMMON,signal="availability"} 0
# HELP ksigma_fault_probability Anomalies among the samples of the fault window, a ratio from 0 to 1.
# TYPE ksigma_fault_probability gauge
ksigma_fault_probability{COMMON,signal="availability"} 0.08333333333333333
# HELP ksigma_fault_probability_threshold The ratio above which the signal is in fault.
# TYPE ksigma_fault_probability_threshold gauge
ksigma_fault_probability_threshold{COMMON,signal="availability"} 0.05
# HELP ksigma_fault_start_timestamp_seconds Start of the run that gave the first anomaly of the fault episode, 0: there is none.
# TYPE ksigma_fault_start_timestamp_seconds gauge
ksigma_fault_start_timestamp_seconds{COMMON,signal="availability"} 946684806.876
`
