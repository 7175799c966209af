package rules

import (
	"fmt"
	"math"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"

	"github.com/onefiveten/onefiveten/sigma"
)

// anyOf draws one of some values.
func anyOf[T any](r *rand.Rand, values ...T) T { return values[r.IntN(len(values))] }

// seconds draws a length of time, most often a whole number of seconds.
func seconds(r *rand.Rand, most int) time.Duration {
	d := time.Duration(1+r.IntN(most)) * time.Second
	if r.IntN(4) == 0 {
		d -= time.Duration(r.IntN(900)) * time.Millisecond
	}
	return d
}

// anySpec draws a service with one signal, of probes or of a query, under one of the
// backends. It is one that the configuration takes but for its bound, which is often
// too long.
func anySpec(r *rand.Rand) Spec {
	s := shop(timed{5, 2, 5, 1, 0})
	s.Backend = anyOf(r, "", Exporter, PromQL)
	p, a := &s.Prometheus, &s.Alertmanager
	most := anyOf(r, 3, 15, 40)
	p.Scrape.Interval, p.Evaluation.Interval = model.Duration(seconds(r, most)+time.Second), model.Duration(seconds(r, most)+time.Second)
	p.Scrape.Timeout = anyOf(r, 0, min(p.Scrape.Interval, model.Duration(seconds(r, 15))))
	p.Evaluation.Delay = min(model.Duration(anyOf(r, 0, time.Second, seconds(r, 3))), p.Evaluation.Interval/2)
	p.Evaluation.QueryOffset = model.Duration(anyOf(r, 0, 0, 0, seconds(r, most)))
	a.GroupWait = model.Duration(anyOf(r, 0, 0, seconds(r, most)))
	a.Webhook.Delay = model.Duration(anyOf(r, 0, seconds(r, 10)))
	a.Peers = anyOf(r, 1, 1, 1, 1, 1, 2, 4)
	v := &s.Services[0]
	v.Detect = anyOf(r, 30*time.Second, time.Minute, time.Minute, 80*time.Second, 3*time.Minute, 5*time.Minute)
	v.Locate, v.Recover = time.Hour, time.Hour
	g := &v.Signals[0]
	g.Fault = sigma.Fault{
		Window: anyOf(r, time.Minute, time.Minute, 3*time.Minute, 10*time.Minute, seconds(r, 100)), Floor: anyOf(r, .05, .05, 0, .55, .125, .9),
		MinAnomalies: anyOf(r, 1, 2, 2, 2, 3, 6), Clear: 3,
	}
	if r.IntN(4) == 0 {
		g.Fault.Cap = g.Fault.Floor + (.99-g.Fault.Floor)*r.Float64()
	}
	probe := &v.Probes[0]
	probe.Interval = anyOf(r, time.Second, 5*time.Second, 15*time.Second, seconds(r, 60)+time.Second)
	probe.Timeout = anyOf(r, min(probe.Interval, seconds(r, 10)), seconds(r, 10))
	if r.IntN(10) == 0 { // two of its samples take most of the target
		probe.Interval, probe.Timeout = v.Detect*2/5, time.Second
		s.Backend, p.Scrape.Interval, p.Evaluation.Interval, p.Scrape.Timeout, p.Evaluation.Delay = "", sec(2), sec(2), sec(1), 0
	}
	if s.Backend == PromQL { // which takes no queries, and samples as often as it evaluates
		p.Evaluation.Interval, p.Evaluation.Delay = p.Scrape.Interval, min(p.Evaluation.Delay, p.Scrape.Interval/2)
	} else if r.IntN(3) == 0 {
		every := seconds(r, 60) + time.Second
		*g = asked(page, anyOf(r, "x", "x offset 10s", "rate(x[1m])", "rate(x[5m])"), every.Seconds(), min(every, 2*time.Second).Seconds(), min(every, seconds(r, 60)).Seconds())
		g.Detect = anyOf(r, 0, 3*time.Minute, 5*time.Minute)
	}
	return s
}

// turning is how each name in an advice is obeyed. It knows nothing of the knobs.
func turning(s *Spec, name string, v time.Duration) bool {
	service, probe, signal := &s.Services[0], &s.Services[0].Probes[0], &s.Services[0].Signals[0]
	d := model.Duration(v)
	switch name {
	case `the interval of probe "shop-nodes"`:
		probe.Interval = v
	case `the timeout of the module of probe "shop-nodes"`:
		probe.Timeout = v
	case "the timeout of its module":
		probe.Timeout = v
	case "prometheus.scrape.interval and prometheus.evaluation.interval":
		s.Prometheus.Scrape.Interval, s.Prometheus.Evaluation.Interval = min(s.Prometheus.Scrape.Interval, d), min(s.Prometheus.Evaluation.Interval, d)
	case "prometheus.scrape.timeout":
		s.Prometheus.Scrape.Timeout = d
	case "prometheus.evaluation.delay":
		s.Prometheus.Evaluation.Delay = d
	case "prometheus.evaluation.query_offset":
		s.Prometheus.Evaluation.QueryOffset = d
	case "alertmanager.group_wait":
		s.Alertmanager.GroupWait = d
	case "alertmanager.peer_timeout":
		s.Alertmanager.PeerTimeout = d
	case "alertmanager.webhook.delay":
		s.Alertmanager.Webhook.Delay = d
	case "signals[0].interval and scrape_interval":
		signal.Query.Interval, signal.Query.Source = v, min(v, signal.Query.Source)
	case "signals[0].scrape_timeout", "scrape_timeout":
		signal.Query.SourceTimeout = v
	case "prometheus.timeout":
		signal.Query.Timeout = v
	case "the range in signals[0].expr":
		signal.Query.Expr = "rate(x[" + d.String() + "])"
	case "fault_window":
		signal.Fault.Window = v
	case "targets.detect":
		if signal.Query != nil || signal.Detect > 0 {
			signal.Detect = v
		} else {
			service.Detect = v
		}
	default:
		return false
	}
	return true
}

// other is a copy of a spec that may be changed.
func other(s Spec) Spec {
	v := s.Services[0]
	v.Signals, v.Probes = append([]Signal(nil), v.Signals...), append([]Probe(nil), v.Probes...)
	if q := v.Signals[0].Query; q != nil {
		copied := *q
		v.Signals[0].Query = &copied
	}
	s.Services = []Service{v}
	return s
}

// exactly is the length of time that is written so, to the nanosecond.
func exactly(seconds float64) time.Duration { return time.Duration(math.Round(seconds * 1e9)) }

// following carries out one way out of a refusal on a copy of the spec, as a reader
// would. With less it takes another value where the advice allows it.
type following struct {
	turn, widen, capped, later *regexp.Regexp
}

func newFollowing() following {
	return following{
		turn:   regexp.MustCompile(`(?:shorten|lower) (.+) from (\S+) to ([0-9.]+)s?( or less)?(?:, and (.+) with it)?$`),
		widen:  regexp.MustCompile(`widen (fault_window) from \S+ to (\S+)s$`),
		capped: regexp.MustCompile(`it may be ([0-9.]+) at most$`),
		later:  regexp.MustCompile(`(targets.detect) of ([0-9.]+)s or more$`),
	}
}

func number(t *testing.T, text string) float64 {
	t.Helper()
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatalf("%q is no number", text)
	}
	return f
}

// follow gives the specs that obey one way out; none for one that is not enough, and
// those that just do not obey it.
func (f following) follow(t *testing.T, r *rand.Rand, s Spec, way string) (obeyed, missed []Spec) {
	t.Helper()
	try := func(change func(s *Spec) bool) Spec {
		one := other(s)
		if !change(&one) {
			t.Fatalf("nobody knows how to %q", way)
		}
		return one
	}
	fault := func(s *Spec) *sigma.Fault { return &s.Services[0].Signals[0].Fault }
	if m := f.later.FindStringSubmatch(way); m != nil {
		n := exactly(number(t, m[2]))
		at := func(d time.Duration) Spec { return try(func(s *Spec) bool { return turning(s, m[1], d) }) }
		return []Spec{at(n), at(n + time.Second), at(2 * n)}, []Spec{at(n - time.Second)}
	}
	if m := f.capped.FindStringSubmatch(way); m != nil {
		n := number(t, m[1])
		at := func(c float64) Spec { return try(func(s *Spec) bool { fault(s).Cap = c; return true }) }
		if n < .99 && n >= .01 {
			missed = []Spec{at(max(n, s.Services[0].Signals[0].Fault.Floor) + .01)}
		}
		return []Spec{at(n)}, missed
	}
	if m := f.widen.FindStringSubmatch(way); m != nil {
		at := func(d time.Duration) Spec { return try(func(s *Spec) bool { return turning(s, m[1], d) }) }
		return []Spec{at(exactly(number(t, m[2])))}, nil
	}
	switch way {
	case "leave it out to have it solved":
		return []Spec{try(func(s *Spec) bool { fault(s).Cap = 0; return true })}, nil
	case "write min_anomalies: 1, and one lost packet is a fault":
		return []Spec{try(func(s *Spec) bool { fault(s).MinAnomalies = 1; return true })}, nil
	}
	m := f.turn.FindStringSubmatch(way)
	if m == nil {
		t.Fatalf("nobody can follow %q", way)
	}
	at := func(v float64) Spec {
		return try(func(s *Spec) bool {
			switch m[1] {
			case "fault.floor":
				fault(s).Floor = v
				return true
			case "fault.min_anomalies":
				fault(s).MinAnomalies = int(v)
				return true
			}
			known := turning(s, m[1], exactly(v))
			for name := range strings.SplitSeq(m[5], " and ") {
				known = known && (name == "" || turning(s, name, exactly(v)))
			}
			return known
		})
	}
	v := number(t, m[3])
	obeyed = []Spec{at(v)}
	// A timeout never stays above its interval: the configuration would not be taken.
	within := func(one Spec) Spec {
		p, g := &one.Services[0].Probes[0], &one.Services[0].Signals[0]
		one.Prometheus.Scrape.Timeout = min(one.Prometheus.Scrape.Timeout, one.Prometheus.Scrape.Interval)
		if before := s.Services[0].Probes[0]; before.Timeout <= before.Interval {
			p.Timeout = min(p.Timeout, p.Interval)
		}
		if q := g.Query; q != nil {
			q.Timeout, q.SourceTimeout = min(q.Timeout, q.Interval), min(q.SourceTimeout, q.Source)
		}
		return one
	}
	if m[4] != "" {
		for range 5 {
			if less := math.Ceil(v*r.Float64()*1000) / 1000; m[1] != "fault.min_anomalies" && (less >= 1 || !strings.Contains(m[1], "interval")) && less > 0 {
				if strings.Contains(m[1], "interval") && less <= time.Duration(s.Prometheus.Evaluation.Delay).Seconds() {
					continue // which the configuration refuses
				}
				obeyed = append(obeyed, within(at(less)))
			}
		}
	}
	return obeyed, nil
}

// TestRefusal_EveryWayOutLeadsOut follows each advice of thousands of random specs as
// a reader would: the bound is proved then. And a bound that is refused has no cap
// that would keep it.
func TestRefusal_EveryWayOutLeadsOut(t *testing.T) {
	r, f, refused, ways := rand.New(rand.NewPCG(5, 10)), newFollowing(), 0, map[string]int{}
	const runs = 2000
	for range runs {
		s := anySpec(r)
		b := Prove(s)[0]
		solves(t, s, b)
		if b.Refusal == "" {
			continue
		}
		refused++
		from := other(s)
		_, text, _ := strings.Cut(b.Refusal, ": ")
		for _, reason := range []string{"probe twice: ", "in a row: "} {
			if _, rest, found := strings.Cut(text, reason); found {
				text = rest
			}
		}
		text = strings.TrimPrefix(text, "or promise less: ")
		if rest, found := strings.CutPrefix(text, "leave the cap out, and "); found {
			text, from.Services[0].Signals[0].Fault.Cap = rest, 0
		}
		parts := strings.Split(text, "; ")
		for i, way := range parts {
			for _, lead := range []string{"or give the signal a target of its own: ", "or promise less: ", "or "} {
				way = strings.TrimPrefix(way, lead)
			}
			switch {
			case way == "that alone is not enough":
				ways[way]++
				notEnough(t, from, strings.TrimPrefix(parts[i-1], "or "), b.Refusal)
				continue
			case i+1 < len(parts) && parts[i+1] == "that alone is not enough":
				continue
			}
			ways[kindOf(way)]++
			obeyed, missed := f.follow(t, r, from, way)
			for _, one := range obeyed {
				if got := Prove(one)[0]; got.Refusal != "" {
					t.Fatalf("%s\nfollowed %q, and is refused again: %s", b.Refusal, way, got.Refusal)
				}
				one.CheckOnly(t, way)
			}
			for _, one := range missed {
				if got := Prove(one)[0]; got.Refusal == "" {
					t.Fatalf("%s\nless than %q would do: T %s, target %s", b.Refusal, way, got.Total, got.Target)
				}
			}
		}
	}
	if refused < runs/5 || refused > runs*9/10 {
		t.Errorf("refused %d of %d specs: the draw is too one-sided to show anything", refused, runs)
	}
	t.Logf("%d of %d refused, ways out: %v", refused, runs, ways)
	for _, kind := range []string{"shorten", "lower fault.floor", "targets.detect", "it may be", "leave it", "widen", "write", "that alone is not enough"} {
		if ways[kind] == 0 {
			t.Errorf("no refusal names %q", kind)
		}
	}
}

// kindOf is how an advice begins.
func kindOf(way string) string {
	for _, kind := range []string{"shorten", "lower fault.floor", "lower fault.min", "targets.detect", "it may be", "leave it", "widen", "write"} {
		if strings.HasPrefix(way, kind) {
			return kind
		}
	}
	return way
}

// CheckOnly holds that what follows an advice is a configuration that is taken.
func (s Spec) CheckOnly(t *testing.T, way string) {
	t.Helper()
	s.Services[0].Locate, s.Services[0].Recover = max(s.Services[0].Locate, s.Services[0].Detect), max(s.Services[0].Recover, s.Services[0].Detect)
	s.Check(func(path, text string) {
		// A signal with a later target of its own may leave the service without one in time.
		// And an advice about a bound is none about what the backend cannot judge.
		if !strings.Contains(text, "no signal of mode page is found within") && !strings.Contains(text, "backend promql") {
			t.Fatalf("followed %q, and %s: %s", way, path, text)
		}
	})
}

// solves holds the solved cap against all that there could be: the largest hundredth
// that meets the target, and where a bound is refused for its length there is none.
func solves(t *testing.T, s Spec, b Bound) {
	t.Helper()
	given := s.Services[0].Signals[0].Fault
	if given.Cap > 0 || strings.Contains(b.Refusal, "twice") || strings.Contains(b.Refusal, "two bad ones") {
		return
	}
	c := s.chains(s.Services[0], s.Services[0].Signals[0])[0]
	try := func(limit float64) bool {
		f := given
		f.Cap = limit
		m := f.Bad(c.tick())
		return m > 0 && c.total(m) <= c.target()
	}
	most := .5
	if s.Services[0].Signals[0].Query != nil {
		most = .6
	}
	for k := range capSteps {
		limit := float64(k) / capSteps
		if limit < given.Floor || limit == 0 {
			continue
		}
		met := try(limit)
		if met && b.Refusal != "" {
			t.Fatalf("cap %v is found within %s, and yet: %s", limit, b.Target, b.Refusal)
		}
		if met && limit <= most && limit > b.Cap {
			t.Fatalf("cap %v was solved, but %v is found in time, too", b.Cap, limit)
		}
	}
	if b.Refusal == "" && !try(b.Cap) {
		t.Fatalf("cap %v was solved and misses the target", b.Cap)
	}
	if tiny := max(given.Floor, 1e-9); b.Refusal != "" && try(tiny) {
		t.Fatalf("cap %v is found within %s, and yet: %s", tiny, b.Target, b.Refusal)
	}
}

// notEnough tries the values of a setting that is said not to be enough by itself.
func notEnough(t *testing.T, s Spec, way, refusal string) {
	t.Helper()
	const steps = 12
	name, now, _ := strings.Cut(way, ", now ")
	_, name, _ = strings.Cut(name, " ")
	for k := 1; k <= steps; k++ {
		one := other(s)
		switch name {
		case "fault.floor":
			one.Services[0].Signals[0].Fault.Floor *= float64(steps-k) / steps
		case "fault.min_anomalies":
			one.Services[0].Signals[0].Fault.MinAnomalies = max(2, one.Services[0].Signals[0].Fault.MinAnomalies-k)
		default:
			v := exactly(number(t, strings.TrimSuffix(now, "s"))) * time.Duration(k) / steps
			v = v.Truncate(100 * time.Millisecond) // as people write them
			if v <= time.Duration(s.Prometheus.Evaluation.Delay) && strings.Contains(name, "evaluation.interval") || v == 0 || v < time.Second && strings.Contains(name, "interval") {
				continue
			}
			if !turning(&one, name, v) {
				t.Fatalf("nobody knows %q", name)
			}
		}
		if one.chains(one.Services[0], one.Services[0].Signals[0])[0].met() {
			t.Fatalf("%s\nbut it is with %d/%d of it", refusal, k, steps)
		}
	}
}

// Of several probes each refusal leads a step further, and the way has an end.
func TestRefusal_OfSeveralProbesLeadsOutStepByStep(t *testing.T) {
	s := shop(timed{30, 5, 15, 5, 5})
	s.Services[0].Probes = append(s.Services[0].Probes,
		Probe{Name: "entry", Role: roleEntry, Interval: dur(40), Timeout: dur(3)}, Probe{Name: "far", Role: roleNode, Interval: dur(25), Timeout: dur(4)})
	interval := regexp.MustCompile(`shorten the interval of probe "(.+)" from \S+ to (\S+)s or less$`)
	for range s.Services[0].Probes {
		b := Prove(s)[0]
		m := interval.FindStringSubmatch(b.Refusal)
		if m == nil {
			t.Fatalf("got %q, want the interval of a probe", b.Refusal)
		}
		for i, p := range s.Services[0].Probes {
			if p.Name == m[1] {
				s.Services[0].Probes[i].Interval = exactly(number(t, m[2]))
			}
		}
	}
	if b := Prove(s)[0]; b.Refusal != "" {
		t.Errorf("all three were followed, and %s", b.Refusal)
	}
}

// A cap by hand is one for all probes: the one that is named keeps each of them.
func TestRefusal_TheCapThatItNamesIsForAllProbes(t *testing.T) {
	s := with(shop(timed{5, 2, 15, 5, 5}), func(f *sigma.Fault) { f.Cap = .5 })
	s.Services[0].Probes = append(s.Services[0].Probes, Probe{Name: "quick", Role: roleEntry, Interval: dur(1), Timeout: dur(1)})
	m := regexp.MustCompile(`it may be (\S+) at most`).FindStringSubmatch(Prove(s)[0].Refusal)
	if m == nil {
		t.Fatal(Prove(s)[0].Refusal)
	}
	highest := number(t, m[1])
	for _, c := range []struct {
		cap  float64
		kept bool
	}{{highest, true}, {highest + .01, false}} {
		s = with(s, func(f *sigma.Fault) { f.Cap = c.cap })
		if b := Prove(s)[0]; (b.Refusal == "") != c.kept {
			t.Errorf("cap %v: %s", c.cap, fmt.Sprintf("T %s, refusal %q", b.Total, b.Refusal))
		}
	}
}
