package ruletest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"
)

// written is the file of tests as promtool reads it.
type written struct {
	RuleFiles []string       `yaml:"rule_files"`
	Every     model.Duration `yaml:"evaluation_interval"`
	Tests     []writtenTest
}

type writtenTest struct {
	Name     string
	Interval model.Duration
	Input    []struct{ Series, Values string } `yaml:"input_series"`
	Checks   []struct {
		Expr    string
		At      model.Duration `yaml:"eval_time"`
		Samples []struct {
			Labels string
			Value  float64
		} `yaml:"exp_samples"`
	} `yaml:"promql_expr_test"`
	Alerts []struct {
		At     model.Duration `yaml:"eval_time"`
		Alert  string         `yaml:"alertname"`
		Expect []struct {
			Labels      map[string]string `yaml:"exp_labels"`
			Annotations map[string]string `yaml:"exp_annotations"`
		} `yaml:"exp_alerts"`
	} `yaml:"alert_rule_test"`
}

// read gives the tests of a spec that must be accepted.
func read(t *testing.T, s Spec) written {
	t.Helper()
	data, err := Generate(s)
	if err != nil {
		t.Fatal(err)
	}
	d := yaml.NewDecoder(bytes.NewReader(data))
	d.KnownFields(true)
	var w written
	if err := d.Decode(&w); err != nil {
		t.Fatalf("%v\n%s", err, data)
	}
	return w
}

// pair is a service that two observers watch.
func pair() Spec {
	s := shop(5, 2, 5, 1, .25)
	s.Observers = []string{"a", "b"}
	return s
}

// story tells what a test expects, a line for each moment.
func story(test writtenTest) string {
	var out strings.Builder
	fmt.Fprintf(&out, "%s\n", test.Name)
	for _, c := range test.Checks {
		var all []string
		for _, s := range c.Samples {
			labels := strings.NewReplacer(`alertname=`, "", `service=`, "", `"`, "", "{", "", "}", "", ",", " ").Replace(s.Labels)
			all = append(all, strings.TrimSpace(fmt.Sprintf("%s %v", labels, s.Value)))
		}
		what := strings.ReplaceAll(c.Expr, "(ALERTS{alertstate=\"firing\"})", "(alerts)")
		if c.Expr == everything {
			what = "firing"
		}
		fmt.Fprintf(&out, "  %v %s: %s\n", c.At, what, strings.Join(all, ", "))
	}
	for _, a := range test.Alerts {
		fmt.Fprintf(&out, "  %v %s%v\n", a.At, a.Alert, a.Expect)
	}
	return out.String()
}

func TestCases_SayWhatMustFireWhen(t *testing.T) {
	var got strings.Builder
	for _, test := range read(t, pair()).Tests {
		got.WriteString(story(test))
	}
	if diff := cmp.Diff(wantStory, got.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Probes begin at 1.666 s and then every 5 s, scrapes at 3.340 s: of a fault at
// 60 s the second bad probe ends at 68.666, the scrape of 73.340 shows it at
// 74.340, and the rules see it at 75 s.
const wantStory = `worst phase of availability: the fault begins at 7.003s, fires at 40s, bound 34s
  7s3ms firing: 
  39s firing: 
  40s firing: FaultDetected shop 1, FaultLocated shop 1
  41s3ms firing: FaultDetected shop 1, FaultLocated shop 1
healthy: only the dead-man's switch fires
  10s firing: 
  2m firing: 
  2m count by (alertname, heal) (alerts): Watchdog heal=true 1
one node is down, located, overdue, recovered
  1m14s firing: 
  1m15s firing: FaultDetected shop 1, FaultLocated shop 1
  1m20s count by (member) (onefiveten:member_located:ratio): member=n2 1
  6m5s firing: FaultDetected shop 1, FaultLocated shop 1
  11m4s firing: FaultDetected shop 1, FaultLocated shop 1
  11m5s firing: FaultDetected shop 1, FaultLocated shop 1, RecoveryOverdue shop 1
  12m24s firing: FaultDetected shop 1, FaultLocated shop 1, RecoveryOverdue shop 1
  12m25s firing: FaultDetected shop 1, FaultLocated shop 1
  12m54s firing: FaultDetected shop 1, FaultLocated shop 1
  12m55s firing: 
  1m15s FaultDetected[{map[heal:true owner:team-shop service:shop severity:page signal:availability] map[bad:node n2 detect_bound_seconds:34 fault_start:61.666 summary:shop is in fault by availability; members bad: 1]}]
  1m15s FaultLocated[{map[heal:true member:n2 node:n2 owner:team-shop scope:node service:shop severity:page signal:availability] map[evidence:100% of node n2 bad, 33.33% of all nodes fault_start:61.666 summary:shop: the fault is in node n2]}]
  11m5s RecoveryOverdue[{map[heal:true owner:team-shop service:shop severity:page signal:availability] map[bad:node n2 fault_start:61.666 summary:shop has been in fault by availability for 10m 3s, longer than its target: a person has to take over]}]
all nodes are down: the service as a whole
  1m14s firing: 
  1m15s firing: FaultDetected shop 1, FaultLocated shop 1
  1m15s FaultLocated[{map[heal:true owner:team-shop scope:service service:shop severity:page signal:availability] map[evidence:100% of all nodes bad fault_start:61.666 summary:shop: the fault is in the service as a whole; members bad: 3]}]
the only node is down: the service as a whole
  1m15s firing: FaultDetected shop 1, FaultLocated shop 1
  1m15s count by (scope) (ALERTS{alertname="FaultLocated"}): scope=service 1
an entry alone is down: not located in time; all nodes of another service are: located
  1m15s firing: FaultDetected shop-2 1, FaultLocated shop-2 1, FaultDetected shop 1
  6m4s firing: FaultDetected shop-2 1, FaultLocated shop-2 1, FaultDetected shop 1
  6m5s firing: FaultDetected shop-2 1, FaultLocated shop-2 1, FaultDetected shop 1, FaultNotLocated shop 1
  6m5s FaultNotLocated[{map[heal:true owner:team-shop service:shop severity:page signal:availability] map[bad:entry lb fault_start:61.666 summary:shop: no rule has located the fault for 5m 3s; heal-receiver may know more]}]
another node falls as the first is isolated: located an evaluation later
  2m25s count by (member) (ALERTS{alertname="FaultLocated",alertstate="firing"}): member=n2 1
  2m30s count by (member) (ALERTS{alertname="FaultLocated",alertstate="firing"}): member=n2 1, member=n3 1
  2m55s count by (member) (ALERTS{alertname="FaultLocated",alertstate="firing"}): member=n3 1
a probe hangs: stale, not healthy, not a fault; a removed target is silent
  1m14s firing: 
  1m15s firing: ProbeStale shop 2
  3m20s firing: ProbeStale shop 2
  1m15s count by (reason) (ALERTS{alertname="ProbeStale",alertstate="firing"}): reason=not_run 2
  1m14s count by (node) (onefiveten:vote:bool{signal="availability",node=~"n[12]"}): node=n1 2, node=n2 2
  1m15s count by (node) (onefiveten:vote:bool{signal="availability",node=~"n[12]"}): node=n1 2
an exporter and heal-receiver are gone: both are told, nothing is a fault
  1m19s firing: 
  1m25s firing: HealReceiverDown 1, ProbeExporterDown 1, ProbeStale shop 3
  1m25s count by (reason) (ALERTS{alertname="ProbeStale",alertstate="firing"}): reason=not_scraped 3
  1m25s count by (observer) (ALERTS{alertname="ProbeExporterDown",alertstate="firing"}): observer=a 1
  11m firing: HealReceiverDown 1, ProbeExporterDown 1, ProbeStale shop 3
  11m5s firing: HealReceiverDown 1, ProbeExporterDown 1
an isolated node leaves the fault and stays a ticket
  2m14s firing: FaultDetected shop 1, FaultLocated shop 1
  2m15s firing: FaultDetected shop 1, FaultLocated shop 1, NodeOutOfRotation shop 1
  2m44s firing: FaultDetected shop 1, FaultLocated shop 1, NodeOutOfRotation shop 1
  2m45s firing: NodeOutOfRotation shop 1
  2m55s firing: NodeOutOfRotation shop 1
  4m45s firing: NodeOutOfRotation shop 1
  5m firing: FaultDetected shop 1, FaultLocated shop 1
a node that is put back while it is bad is a fault at once
  2m54s firing: NodeOutOfRotation shop 1
  2m55s firing: FaultDetected shop 1, FaultLocated shop 1
two services at once: one node of the one, half of the other
  1m15s firing: FaultDetected shop 1, FaultLocated shop 1, FaultDetected shop-2 1, FaultLocated shop-2 1
  1m15s count by (service, scope, member, owner) (ALERTS{alertname="FaultLocated",alertstate="firing"}): member=n2 owner=team-shop scope=node shop 1, owner=team-shop-2 scope=service shop-2 1
an exporter restarts in a fault: the alert stays, and so does its clock
  2m30s firing: FaultDetected shop 1, FaultLocated shop 1
  2m35s firing: FaultDetected shop 1, FaultLocated shop 1
  2m40s firing: FaultDetected shop 1, FaultLocated shop 1
  2m35s onefiveten:fault_start_timestamp_seconds:min: onefiveten:fault_start_timestamp_seconds:minmode=page owner=team-shop rule_set=page-node shop signal=availability 61.666
  2m35s FaultDetected[{map[heal:true owner:team-shop service:shop severity:page signal:availability] map[bad:node n2 detect_bound_seconds:34 fault_start:61.666 summary:shop is in fault by availability; members bad: 1]}]
a fault comes back: within 2m the clock goes on, later it begins anew
  1m15s onefiveten:fault_start_timestamp_seconds:min: onefiveten:fault_start_timestamp_seconds:minmode=page owner=team-shop rule_set=page-node shop signal=availability 61.666
  2m25s onefiveten:fault_start_timestamp_seconds:min: 
  4m10s onefiveten:fault_start_timestamp_seconds:min: onefiveten:fault_start_timestamp_seconds:minmode=page owner=team-shop rule_set=page-node shop signal=availability 61.666
  7m25s onefiveten:fault_start_timestamp_seconds:min: onefiveten:fault_start_timestamp_seconds:minmode=page owner=team-shop rule_set=page-node shop signal=availability 431.666
an observer is cut off: suspected, and without a vote
  1m15s firing: 
  1m44s firing: 
  1m45s firing: ObserverFault shop 1
  3m5s firing: ObserverFault shop 1, FaultDetected shop 1, FaultLocated shop 1
  3m5s onefiveten:fault_start_timestamp_seconds:min: onefiveten:fault_start_timestamp_seconds:minmode=page owner=team-shop rule_set=page-node shop signal=availability 171.666
  1m45s ObserverFault[{map[heal:true observer:b service:shop severity:ticket signal:availability] map[summary:observer b alone sees all of shop bad: suspect the observer]}]
one of two observers sees a node bad: a ticket, not a fault
  1m44s firing: 
  1m45s firing: ObserverDisagrees shop 1
  1m45s ObserverDisagrees[{map[member:n2 owner:team-shop service:shop severity:ticket signal:availability] map[summary:only 50% of the observers see n2 of shop bad by availability: look at its path from each of them]}]
one observer sees all bad, another most of it: neither is suspect
  1m firing: 
  2m45s firing: FaultDetected shop 1, FaultLocated shop 1, ObserverDisagrees shop 1
`

// Which cases there are depends on the mode, on the observers and on the timing.
func TestCases_AreThoseThatTheSpecCanShow(t *testing.T) {
	names := func(s Spec) []string {
		var all []string
		for _, test := range read(t, s).Tests {
			name, _, _ := strings.Cut(test.Name, ":")
			all = append(all, strings.TrimSuffix(name, " (by latency)"))
		}
		return all
	}
	one := []string{
		"worst phase of availability", "healthy", "one node is down, located, overdue, recovered", "all nodes are down",
		"the only node is down", "an entry alone is down", "another node falls as the first is isolated", "a probe hangs",
		"an exporter and heal-receiver are gone", "an isolated node leaves the fault and stays a ticket",
		"a node that is put back while it is bad is a fault at once", "two services at once",
		"an exporter restarts in a fault", "a fault comes back",
	}
	two := append(slices.Clone(one), "an observer is cut off", "one of two observers sees a node bad", "one observer sees all bad, another most of it")
	odd := shop(7, 3, 11, 2, .25) // 77 s until probes and scrapes stand as at first
	tickets := shop(5, 2, 5, 1, .25)
	tickets.Services[0].Signals[0].Mode = ticket
	latency := pair()
	latency.Services[0].Signals = []Signal{{"latency", "page"}}
	latency.Proofs[0].Signal = "latency"
	three := pair()
	three.Observers = []string{"a", "b", "c"}
	far := pair()
	far.Services[0].Observers = []string{"b"}
	for name, c := range map[string]struct {
		spec Spec
		want []string
	}{
		"one observer":           {shop(5, 2, 5, 1, .25), one},
		"two observers":          {pair(), two},
		"three observers":        {three, append(slices.Clone(two), "one of three observers sees all well in a total outage")},
		"one of two is to watch": {far, one},
		"a long cycle":           {odd, one[:13]},
		"ticket":                 {tickets, []string{"worst phase of availability", "availability is a ticket and never more"}},
		"a signal with a value": {latency, slices.Concat([]string{"worst phase of latency",
			"an exporter restarts in a fault", "three of four nodes are bad, and one is far worse", "five of six nodes are bad, and one is far worse"}, two[1:12], two[13:])},
	} {
		if diff := cmp.Diff(c.want, names(c.spec)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// The rules are generic: a service of the same class and timing adds no test, one
// of another timing a worst phase, one of another class all cases.
func TestCases_AreToldOncePerClass(t *testing.T) {
	base := len(read(t, pair()).Tests)
	for name, c := range map[string]struct {
		change func(v *Service, p *Proof)
		want   int
	}{
		"same timing":  {func(*Service, *Proof) {}, base},
		"other timing": {func(_ *Service, p *Proof) { p.Timeout, p.Bound = dur(1), p.Bound-dur(1) }, base + 1},
		"other class":  {func(v *Service, _ *Proof) { v.Severity = ticket }, 2 * base},
	} {
		s := pair()
		v, p := s.Services[0], s.Proofs[0]
		v.Name, p.Service = "bill", "bill"
		c.change(&v, &p)
		s.Services, s.Proofs = append(s.Services, v), append(s.Proofs, p)
		if got := len(read(t, s).Tests); got != c.want {
			t.Errorf("%s: got %d tests, want %d", name, got, c.want)
		}
	}
}

func TestGenerate_NamesTheFilesAndTheInterval(t *testing.T) {
	s := shop(5, 2, 7.5, 1, .25)
	s.Files = []string{"../rules/a.yml", "../rules/b c.yml"}
	w := read(t, s)
	if diff := cmp.Diff(s.Files, w.RuleFiles); diff != "" {
		t.Errorf("files: %s", diff)
	}
	if got := w.Every.String(); got != "7s500ms" {
		t.Errorf("got an interval of %s, want 7s500ms", got)
	}
	// A step must hit every evaluation and every second.
	if got := w.Tests[0].Interval.String(); got != "500ms" {
		t.Errorf("got a step of %s, want 500ms", got)
	}
}

func TestGenerate_GivesTheSameBytesEveryTime(t *testing.T) {
	first, err := Generate(pair())
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if again, err := Generate(pair()); err != nil || !bytes.Equal(first, again) {
			t.Errorf("the bytes differ, %v", err)
		}
	}
}

// random is a spec of a timing that nobody would choose.
func random(r *rand.Rand) Spec {
	pick := func(of ...float64) float64 { return of[r.IntN(len(of))] }
	s := shop(pick(1, 1.5, 2, 3, 5, 7, 10, 13, 15), pick(.2, .5, 1, 2, 3, 5, 8), pick(1, 2, 3, 5, 7.5, 10, 11, 15, 30), pick(.3, .5, 1), pick(.05, .1, .2, .25, .3))
	s.Observers = []string{"a", "b", "c"}[:1+r.IntN(3)]
	return s
}

// What holds of every test, whatever the timing: promtool does not complain when
// a check cannot fail.
func TestTests_HoldTogetherAtEveryTiming(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 510))
	numbers := regexp.MustCompile(`^(-?[0-9.]+([+-][0-9.]+)?(x[0-9]+)?|stale|_x[0-9]+)$`)
	for range 25 {
		s := random(r)
		if s.Proofs[0].Bad == 0 {
			continue
		}
		for _, test := range read(t, s).Tests {
			at := fmt.Sprintf("%v %v %v: %s", s.Proofs[0].Interval, s.Every, len(s.Observers), test.Name)
			seen, end := map[string]bool{}, 0
			for _, in := range test.Input {
				if seen[in.Series] {
					t.Errorf("%s: %s is there twice", at, in.Series)
				}
				seen[in.Series] = true
				if _, err := parser.NewParser(parser.Options{}).ParseExpr(in.Series); err != nil {
					t.Errorf("%s: %v", at, err)
				}
				for item := range strings.FieldsSeq(in.Values) {
					if !numbers.MatchString(item) {
						t.Errorf("%s: %s has the values %q", at, in.Series, item)
					}
				}
				end = max(end, len(expand(t, in.Values)))
			}
			last, fires := time.Duration(0), 0
			for _, c := range test.Checks {
				if _, err := parser.NewParser(parser.Options{}).ParseExpr(c.Expr); err != nil {
					t.Errorf("%s: %v", at, err)
				}
				fires += len(c.Samples)
				last = max(last, time.Duration(c.At))
			}
			if fires == 0 {
				t.Errorf("%s: no check wants anything to fire", at)
			}
			if have := time.Duration(end-1) * time.Duration(test.Interval); last > have {
				t.Errorf("%s: a check at %v, the series end at %v", at, last, have)
			}
			whole(t, at, test)
		}
	}
}

// whole wants for each verdict the start and the age that the rules join to it.
func whole(t *testing.T, at string, test writtenTest) {
	t.Helper()
	has := map[string]int{}
	for _, in := range test.Input {
		has[in.Series] = len(expand(t, in.Values))
	}
	for series, n := range has {
		rest, ok := strings.CutPrefix(series, "ksigma_fault{")
		if !ok {
			continue
		}
		start := "ksigma_fault_start_timestamp_seconds{" + rest
		last := "probe_last_run_timestamp_seconds{" + regexp.MustCompile(`,signal="[^"]*"`).ReplaceAllString(rest, "")
		if has[start] != n || has[last] != n {
			t.Errorf("%s: %s has %d values, its start %d and its age %d", at, series, n, has[start], has[last])
		}
	}
}

// moments are the first and the last check of a test that wants an alert to fire.
func moments(test writtenTest, alert string) (first, last time.Duration) {
	first = -1
	for _, c := range test.Checks {
		for _, s := range c.Samples {
			if c.Expr == everything && strings.Contains(s.Labels, `alertname="`+alert+`"`) {
				if last = time.Duration(c.At); first < 0 {
					first = last
				}
			}
		}
	}
	return first, last
}

// What the cases expect is what DETECTION promises, at any timing: found within
// the bound, located at once, overdue at the target, silent again in time.
func TestCases_KeepThePromises(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 510))
	for range 25 {
		s := random(r)
		p, e := s.Proofs[0], s.Every
		if p.Bad == 0 {
			continue
		}
		shows := s.Scrape + s.ScrapeTakes + e // from the end of a probe to an alert
		for _, test := range read(t, s).Tests {
			at := fmt.Sprintf("%v %v %v: %s", p.Interval, p.Timeout, e, test.Name)
			first, last := moments(test, "FaultDetected")
			switch {
			case strings.HasPrefix(test.Name, "one node is down"):
				if first < onset || first > onset+p.Bound {
					t.Errorf("%s: detected at %v, want within %v of %v", at, first, p.Bound, onset)
				}
				if located, _ := moments(test, "FaultLocated"); located != first {
					t.Errorf("%s: located at %v, detected at %v", at, located, first)
				}
				overdue, over := moments(test, "RecoveryOverdue")
				if overdue < onset+s.Services[0].Recover || overdue > onset+p.Interval+s.Services[0].Recover+e {
					t.Errorf("%s: overdue at %v", at, overdue)
				}
				// The last moment of FaultDetected is the step before its end.
				if kept := last - over; kept < s.Services[0].Keep-e || kept > s.Services[0].Keep+e {
					t.Errorf("%s: kept for %v, want about %v", at, kept, s.Services[0].Keep)
				}
			case strings.HasPrefix(test.Name, "a probe hangs"):
				stale, _ := moments(test, "ProbeStale")
				if most := onset + 2*p.Interval + p.Timeout + shows + s.Scrape; first >= 0 || stale < onset || stale > most {
					t.Errorf("%s: stale at %v, want at %v at most, and no fault", at, stale, most)
				}
			case strings.HasPrefix(test.Name, "an exporter and heal-receiver are gone"):
				down, _ := moments(test, "ProbeExporterDown")
				if most := onset + 2*s.Scrape + shows + s.Dwell + 2*e; first >= 0 || down < onset+s.Dwell || down > most {
					t.Errorf("%s: down at %v, want at %v at most, and no fault", at, down, most)
				}
			case strings.HasPrefix(test.Name, "one of two observers"), strings.HasPrefix(test.Name, "healthy"):
				if first >= 0 {
					t.Errorf("%s: a fault at %v", at, first)
				}
			}
		}
	}
}

// What cannot be simulated is an error that names the test.
func TestGenerate_NamesTheTestThatIsAtOdds(t *testing.T) {
	for want, change := range map[string]func(s *Spec){
		`test "worst phase of availability: `:                               func(s *Spec) { s.Proofs[0].Fault.Clear = 0 },
		`there is no service "gone" with a signal "availability", of which`: func(s *Spec) { s.Proofs[0].Service = "gone" },
		`there is no service "shop" with a signal "latency", of which`:      func(s *Spec) { s.Proofs[0].Signal = "latency" },
		`clear is 0, want at least 1`:                                       func(s *Spec) { s.Proofs[0].Fault.Clear = 0 },
		`fires at 40s, want 35s and within 34s of 7.003s`:                   func(s *Spec) { s.Proofs[0].Bad-- },
	} {
		s := pair()
		change(&s)
		if data, err := Generate(s); err == nil || data != nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %d bytes and %v, want %s", len(data), err, want)
		}
	}
}
