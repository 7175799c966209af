package blackbox_test

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// absent stands for a series that one of the programs does not have.
const absent = "absent"

// page is what a program answered, ready to be compared.
type page struct {
	status int
	body   string
	types  map[string]string  // by name of the family
	values map[string]float64 // by series
}

// read takes an answer apart. What is not 200 has no series.
func read(status int, body string) (page, error) {
	p := page{status: status, body: body, types: map[string]string{}, values: map[string]float64{}}
	if status != 200 {
		return p, nil
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(body))
	if err != nil {
		return p, fmt.Errorf("reading the page: %w\n%s", err, body)
	}
	for name, family := range families {
		p.types[name] = family.GetType().String()
		for _, m := range family.GetMetric() {
			p.values[series(name, m)] = value(m)
		}
	}
	return p, nil
}

// series is the name with the labels in their order.
func series(name string, m *dto.Metric) string {
	var labels []string
	for _, l := range m.GetLabel() {
		labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
	}
	if slices.Sort(labels); len(labels) == 0 {
		return name
	}
	return name + "{" + strings.Join(labels, ",") + "}"
}

// value is that of a gauge, a counter or an untyped one.
func value(m *dto.Metric) float64 {
	switch {
	case m.Gauge != nil:
		return m.Gauge.GetValue()
	case m.Counter != nil:
		return m.Counter.GetValue()
	}
	return m.Untyped.GetValue()
}

// difference is one thing in which the answers to one request differ.
type difference struct {
	name         string // of the case
	what         string // a series, "type of" a family, or "HTTP status"
	ours, theirs string
}

// String is one line for people.
func (d difference) String() string {
	return fmt.Sprintf("%s: %s: ours %s, theirs %s", d.name, d.what, d.ours, d.theirs)
}

// compare lists what differs, sorted by series.
func compare(name string, ours, theirs page) (all []difference) {
	note := func(what, a, b string) {
		if a != b {
			all = append(all, difference{name, what, a, b})
		}
	}
	note("HTTP status", strconv.Itoa(ours.status), strconv.Itoa(theirs.status))
	for family, kind := range theirs.types {
		if own, both := ours.types[family]; both {
			note("type of "+family, own, kind)
		}
	}
	both := maps.Clone(ours.values)
	maps.Copy(both, theirs.values)
	for what := range both {
		a, b := ours.show(what), theirs.show(what)
		if a == absent || b == absent || !timed(what) {
			note(what, a, b)
			continue
		}
		note(what, began(ours.values[what]), began(theirs.values[what]))
	}
	slices.SortFunc(all, func(a, b difference) int { return cmp.Compare(a.what, b.what) })
	return all
}

// show is a value as text.
func (p page) show(series string) string {
	if v, ok := p.values[series]; ok {
		return strconv.FormatFloat(v, 'g', -1, 64)
	}
	return absent
}

// named lists the series that begin so.
func (p page) named(prefix string) (all []string) {
	for what := range p.values {
		if strings.HasPrefix(what, prefix) {
			all = append(all, what)
		}
	}
	slices.Sort(all)
	return all
}

// timed tells whether a series is a span of time, which is never the same
// twice. Unix times of certificates and headers are no spans.
func timed(series string) bool {
	name, _, _ := strings.Cut(series, "{")
	return strings.HasSuffix(name, "_duration_seconds") || name == "probe_dns_lookup_time_seconds"
}

// began is all that is compared of a span: 0 is a phase that was not reached.
func began(seconds float64) string {
	switch {
	case seconds == 0:
		return "no time"
	case seconds > 0 && !math.IsInf(seconds, 0):
		return "some time"
	}
	return fmt.Sprintf("%g seconds", seconds)
}

// like tells whether text has the form of a pattern, in which * stands for
// anything.
func like(pattern, text string) bool {
	form := "^" + strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, "(?s:.*)") + "$"
	return regexp.MustCompile(form).MatchString(text)
}

func TestCompare_SeesEveryKindOfDifference(t *testing.T) {
	const theirs = `# TYPE probe_success gauge
probe_success 1
# TYPE probe_ip_protocol gauge
probe_ip_protocol 4
# TYPE probe_http_duration_seconds gauge
probe_http_duration_seconds{phase="tls"} 0.5
probe_http_duration_seconds{phase="connect"} 0
# TYPE probe_ssl_last_chain_info gauge
probe_ssl_last_chain_info{issuer="a",subject="b"} 1
`
	for name, c := range map[string]struct {
		ours string
		want []string
	}{
		"none":             {theirs, nil},
		"another duration": {strings.Replace(theirs, "0.5", "0.25", 1), nil},
		"another order":    {strings.Replace(theirs, `issuer="a",subject="b"`, `subject="b",issuer="a"`, 1), nil},
		"a value":          {strings.Replace(theirs, "protocol 4", "protocol 6", 1), []string{"probe_ip_protocol: ours 6, theirs 4"}},
		"a type":           {strings.Replace(theirs, "TYPE probe_ip_protocol gauge", "TYPE probe_ip_protocol counter", 1), []string{"type of probe_ip_protocol: ours COUNTER, theirs GAUGE"}},
		"a phase reached":  {strings.Replace(theirs, `"connect"} 0`, `"connect"} 3`, 1), []string{`probe_http_duration_seconds{phase="connect"}: ours some time, theirs no time`}},
		"a negative time":  {strings.Replace(theirs, "0.5", "-1", 1), []string{`probe_http_duration_seconds{phase="tls"}: ours -1 seconds, theirs some time`}},
		"a label": {strings.Replace(theirs, `issuer="a"`, `issuer="c"`, 1), []string{
			`probe_ssl_last_chain_info{issuer="a",subject="b"}: ours absent, theirs 1`, `probe_ssl_last_chain_info{issuer="c",subject="b"}: ours 1, theirs absent`,
		}},
		"nothing": {"", []string{
			`probe_http_duration_seconds{phase="connect"}: ours absent, theirs 0`, `probe_http_duration_seconds{phase="tls"}: ours absent, theirs 0.5`,
			"probe_ip_protocol: ours absent, theirs 4", `probe_ssl_last_chain_info{issuer="a",subject="b"}: ours absent, theirs 1`, "probe_success: ours absent, theirs 1",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			a, err := read(200, c.ours)
			if err != nil {
				t.Fatal(err)
			}
			b, err := read(200, theirs)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, d := range compare(name, a, b) {
				got = append(got, strings.TrimPrefix(d.String(), name+": "))
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
		})
	}
}
