package collector

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-kit/log"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/onefiveten/onefiveten/promapi"
)

// queue is the smallest configuration of one signal. Its baseline judges from the
// third sample on.
const queue = `
observers: [a, b]
baselines: {default: {window: 1h, min_samples: 2, floor: 1}}
services:
- {name: shop, owner: team-shop, dimensions: [node, zone]}
signals:
- {name: queue, service: shop, expr: 'max by (node) (queue_length)', interval: 10s, unit: items}
`

// ofQueue are the proofs for it.
var ofQueue = []Proof{{Service: "shop", Signal: "availability", Cap: .25}, {Service: "shop", Signal: "latency", Cap: .6}, {Service: "shop", Signal: "queue", Cap: .6, Bound: 170 * time.Second}}

// lake is a Prometheus that answers as it is told.
type lake struct {
	mu     sync.Mutex
	answer func(ctx context.Context, query string) ([]promapi.Point, error)
	asked  []time.Time
	open   int
	most   int // open at once
}

func (l *lake) Query(ctx context.Context, query string) ([]promapi.Point, error) {
	if query == instantQuery { // it is asked for the past
		return nil, nil
	}
	l.mu.Lock()
	l.asked = append(l.asked, time.Now())
	l.open++
	l.most = max(l.most, l.open)
	answer := l.answer
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.open--
	}()
	return answer(ctx, query)
}

// Range remembers nothing.
func (l *lake) Range(context.Context, string, time.Time, time.Time, time.Duration) ([]promapi.Track, error) {
	return nil, nil
}

// says makes it answer with these values of nodes.
func (l *lake) says(nodes map[string]float64) {
	l.does(func(context.Context, string) ([]promapi.Point, error) { return points(nodes), nil })
}

// fails makes it answer with an error.
func (l *lake) fails(err error) {
	l.does(func(context.Context, string) ([]promapi.Point, error) { return nil, err })
}

func (l *lake) does(answer func(ctx context.Context, query string) ([]promapi.Point, error)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answer = answer
}

// times are the instants at which it was asked.
func (l *lake) times() []time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.asked)
}

// points are the values of nodes, in any order.
func points(nodes map[string]float64) (list []promapi.Point) {
	for node, v := range nodes {
		list = append(list, promapi.Point{Labels: map[string]string{"service": "shop", "node": node}, At: time.Now(), Value: v})
	}
	return list
}

// watched is a collector of signals that runs until the test ends.
func watched(t *testing.T, text string, l *lake) *Collector {
	t.Helper()
	c := New("a", log.NewNopLogger())
	if err := c.Apply(parse(t, text), (&fake{}).modules(), ofQueue, l); err != nil {
		t.Fatalf("Apply: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- c.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	synctest.Wait()
	return c
}

// failures gives the reasons that were counted, and how often.
func failures(c *Collector) map[string]int {
	all := map[string]int{}
	for _, reason := range queryReasons {
		if n := testutil.ToFloat64(c.own.queries.failures.WithLabelValues("shop", "queue", reason)); n > 0 {
			all[reason] = int(n)
		}
	}
	return all
}

func TestSignal_IsEvaluatedAtItsPhaseAndShownWithItsLabels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &lake{}
		l.says(map[string]float64{"n2": 7, "n1": 5})
		c := watched(t, queue, l)
		pass(35 * time.Second)
		asked := l.times()
		at := phase("a", "shop", "queue", 10*time.Second)
		if len(asked) < 3 || len(asked) > 4 {
			t.Fatalf("asked %d times in 35s, want every 10s", len(asked))
		}
		for _, x := range asked {
			if got := time.Duration(x.UnixNano() % int64(10*time.Second)); got != at {
				t.Errorf("asked at %v of the interval, want the phase %v", got, at)
			}
		}
		want := `ksigma_fault{job="probe",instance="n1",observer="a",service="shop",role="node",node="n1",signal="queue"} 0
ksigma_fault{job="probe",instance="n2",observer="a",service="shop",role="node",node="n2",signal="queue"} 0
`
		page := text(t, c)
		if diff := cmp.Diff(want, lines(page, "ksigma_fault{", "queue")); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		want = `ksigma_signal_info{service="shop",signal="queue",unit="items",direction="upper",k="3"} 1
onefiveten_signal_info{service="shop",signal="queue",mode="ticket"} 1
onefiveten_detect_bound_seconds{service="shop",signal="queue"} 170
signal_stale_after_seconds{observer="a",service="shop",signal="queue"} 22
signal_up{observer="a",service="shop",signal="queue"} 1
`
		var got strings.Builder
		for _, name := range []string{"ksigma_signal_info{", "onefiveten_signal_info{", "onefiveten_detect_bound_seconds{", "signal_stale_after_seconds{", "signal_up{"} {
			got.WriteString(lines(page, name, "queue"))
		}
		if diff := cmp.Diff(want, got.String()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		last := fmt.Sprintf(`signal_last_run_timestamp_seconds{observer="a",service="shop",signal="queue"} %s`, appendValue(nil, seconds(asked[len(asked)-1])))
		if got := lines(page, "signal_last_run"); got != last+"\n" {
			t.Errorf("got %s, want %s", got, last)
		}
		if n := testutil.ToFloat64(c.own.queries.series.WithLabelValues("shop", "queue")); n != 2 {
			t.Errorf("signal_series is %v, want 2", n)
		}
	})
}

func TestSignal_BeforeItsFirstAnswerSaysNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &lake{}
		l.fails(errors.New("no"))
		c := watched(t, queue, l)
		if got := lines(text(t, c), "queue"); strings.Contains(got, "signal_up") || strings.Contains(got, "last_run") || strings.Contains(got, "ksigma_fault") {
			t.Errorf("before the first query: got\n%s", got)
		}
		pass(10 * time.Second)
		page := text(t, c)
		if got := lines(page, "signal_up{"); !strings.HasSuffix(got, " 0\n") {
			t.Errorf("after a failure: got %q, want signal_up 0", got)
		}
		if got := lines(page, "last_run") + lines(page, "ksigma_fault", "queue"); got != "" {
			t.Errorf("after a failure: got\n%s", got)
		}
	})
}

// A queue that grows is a fault of the one node, and one that shrinks again ends it.
func TestSignal_JudgesEachSeriesByItsOwnPast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &lake{}
		l.says(map[string]float64{"n1": 5, "n2": 500})
		c := watched(t, strings.Replace(queue, "owner: team-shop", "owner: x, signals: {queue: {fault: {floor: .2, cap: .2}}}", 1), l)
		pass(10 * time.Minute)
		l.says(map[string]float64{"n1": 500, "n2": 500})
		pass(3 * time.Minute)
		page := text(t, c)
		fault := lines(page, "ksigma_fault{", "queue")
		if !strings.Contains(fault, `instance="n1",observer="a",service="shop",role="node",node="n1",signal="queue"} 1`) || !strings.Contains(fault, `node="n2",signal="queue"} 0`) {
			t.Errorf("got\n%s\nwant a fault of n1 alone", fault)
		}
		if got := lines(page, "ksigma_fault_start_timestamp_seconds{", "n1"); strings.HasSuffix(got, " 0\n") {
			t.Errorf("got %s, want the first anomaly", got)
		}
		l.says(map[string]float64{"n1": 5, "n2": 500})
		pass(time.Minute)
		if got := lines(text(t, c), "ksigma_fault{", "queue"); strings.Contains(got, "} 1") {
			t.Errorf("got\n%s\nwant no fault", got)
		}
	})
}

// element is one element of an answer, with labels by name and value.
func element(v float64, pairs ...string) promapi.Point {
	p := promapi.Point{Labels: map[string]string{}, Value: v}
	for i := 0; i < len(pairs); i += 2 {
		p.Labels[pairs[i]] = pairs[i+1]
	}
	return p
}

// say answers with these elements.
func say(list ...promapi.Point) func(context.Context, string) ([]promapi.Point, error) {
	return func(context.Context, string) ([]promapi.Point, error) { return list, nil }
}

// useless are answers that are of no use as a whole or in part.
var useless = map[string]struct {
	answer func(context.Context, string) ([]promapi.Point, error)
	reason string
	stays  bool // the verdicts of before, until they are stale
	part   bool // n1 is judged
}{
	"an error": {func(context.Context, string) ([]promapi.Point, error) { return nil, errors.New("got 503") }, queryFailed, true, false},
	"no answer": {func(ctx context.Context, _ string) ([]promapi.Point, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}, queryTimeout, true, false},
	"too many":              {say(element(5, "node", "n1"), element(1, "node", "n2"), element(1, "node", "n3"), element(1, "node", "n4")), queryMany, true, false},
	"nothing":               {say(), queryEmpty, false, false},
	"no number":             {say(element(math.NaN(), "node", "n1")), queryNumber, false, false},
	"no end":                {say(element(math.Inf(-1), "node", "n1")), queryNumber, false, false},
	"a label too many":      {say(element(5, "node", "n1", "pod", "p")), queryLabels, false, false},
	"another service":       {say(element(5, "node", "n1", "service", "till")), queryLabels, false, false},
	"no UTF-8":              {say(element(5, "node", "\xff")), queryLabels, false, false},
	"a long label":          {say(element(5, "node", strings.Repeat("x", maxTarget))), queryLabels, false, false},
	"two of one member":     {say(element(5, "node", "n1"), element(7, "node", "n1", "service", "shop")), queryLabels, false, false},
	"three of one member":   {say(element(5, "node", "n1"), element(5, "node", "n1"), element(5, "node", "n1", "zone", "")), queryLabels, false, false},
	"a part is no number":   {say(element(5, "node", "n1"), element(1e200, "node", "n2")), queryNumber, false, true},
	"a part has odd labels": {say(element(5, "pod", "p"), element(5, "node", "n1")), queryLabels, false, true},
}

func TestSignal_FailuresAreSeenAndNeverHealthy(t *testing.T) {
	for name, u := range useless {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, text := &lake{}, strings.Replace(queue, "unit: items", "max_series: 3", 1)
				l.says(map[string]float64{"n1": 5})
				c := watched(t, text, l)
				var told strings.Builder
				c.logger = log.NewLogfmtLogger(&told)
				pass(time.Minute)
				expect := func(when string, verdicts, up bool) {
					t.Helper()
					page := readable(t, c)
					if got := lines(page, "ksigma_fault{", "queue"); (got != "") != verdicts || strings.Contains(got, "} 1") {
						t.Errorf("%s: got verdicts\n%s, want some: %v", when, got, verdicts)
					}
					if got, want := lines(page, "signal_up{"), fmt.Sprintf("} %v\n", flag(up)); !strings.HasSuffix(got, want) {
						t.Errorf("%s: got %q, want it to end in %q", when, got, want)
					}
					series := 0.
					if verdicts {
						series = 1
					}
					if got := testutil.ToFloat64(c.own.queries.series.WithLabelValues("shop", "queue")); got != series {
						t.Errorf("%s: signal_series is %v, want %v", when, got, series)
					}
				}
				expect("before", true, true)
				l.does(u.answer)
				pass(13 * time.Second) // a query, and its time-out
				expect("at once", u.stays || u.part, u.part)
				n := failures(c)
				if len(n) != 1 || n[u.reason] == 0 {
					t.Errorf("counted %v, want %s alone", n, u.reason)
				}
				pass(30 * time.Second)
				expect("after a while", u.part, u.part)
				l.says(map[string]float64{"n1": 5})
				pass(13 * time.Second)
				expect("at the end", true, true)
				got := told.String()
				if strings.Count(got, "level=") != 2 || strings.Count(got, "level=warn") != 1 || !strings.Contains(got, "reason="+u.reason) || !strings.Contains(got, "service=shop signal=queue") {
					t.Errorf("the log is\n%s\nwant one line of the failure and one of its end", got)
				}
			})
		})
	}
}

// What has failed for one reason and goes on failing for another is told again, once.
func TestSignal_AnotherReasonOfAFailureIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &lake{}
		l.says(map[string]float64{"n1": 5})
		c := watched(t, queue, l)
		var told strings.Builder
		c.logger = log.NewLogfmtLogger(&told)
		for _, answer := range []func(context.Context, string) ([]promapi.Point, error){
			func(context.Context, string) ([]promapi.Point, error) { return nil, errors.New("got 422") },
			say(),
			say(element(5, "pod", "p")),
			say(element(5, "node", "n1")),
		} {
			l.does(answer)
			pass(time.Minute)
		}
		var got []string
		for _, line := range strings.Split(strings.TrimSpace(told.String()), "\n") {
			_, reason, _ := strings.Cut(line, "reason=")
			reason, _, _ = strings.Cut(reason, " ")
			got = append(got, strings.Fields(line)[0]+" "+reason)
		}
		want := []string{"level=warn query", "level=warn empty", "level=warn labels", "level=info labels"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s\n%s", diff, &told)
		}
	})
}

func TestSignal_ASeriesThatVanishesLeavesThePageAndKeepsItsPast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &lake{}
		l.says(map[string]float64{"n1": 5, "n2": 5})
		c := watched(t, "expose: full"+queue, l)
		pass(10 * time.Minute)
		l.says(map[string]float64{"n1": 5})
		pass(11 * time.Second)
		page := readable(t, c)
		if got := lines(page, `node="n2"`); got != "" {
			t.Errorf("n2 is gone: got\n%s", got)
		}
		if got := lines(page, "ksigma_fault{", `node="n1"`); got == "" {
			t.Error("n1 is not judged")
		}
		pass(20 * time.Minute)
		l.says(map[string]float64{"n1": 5, "n2": 5})
		pass(11 * time.Second)
		if got := lines(readable(t, c), "ksigma_baseline_samples{", `node="n2"`); !strings.HasSuffix(got, "} 60\n") && !strings.HasSuffix(got, "} 59\n") {
			t.Errorf("n2 is back: got %q, want the baseline of before", got)
		}
		l.says(map[string]float64{"n1": 5})
		pass(61 * time.Minute)
		state := c.table.Load().queries[0].state
		if len(state.members) != 1 {
			t.Errorf("n2 was gone for longer than the baseline remembers: got %d states, want 1", len(state.members))
		}
	})
}

func TestSignal_StatesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, n := &lake{}, 0
		l.does(func(context.Context, string) ([]promapi.Point, error) {
			n++
			return points(map[string]float64{fmt.Sprint("a", n): 1, fmt.Sprint("b", n): 1, "stays": 1}), nil
		})
		c := watched(t, strings.Replace(queue, "unit: items", "max_series: 3", 1), l)
		pass(10 * time.Minute)
		state := c.table.Load().queries[0].state
		if len(state.members) != 6 {
			t.Errorf("got %d states, want 2 times max_series", len(state.members))
		}
		got := slices.Collect(maps.Keys(state.members))
		for _, want := range []string{"stays", fmt.Sprint("a", n), fmt.Sprint("b", n), fmt.Sprint("a", n-1), fmt.Sprint("b", n-1)} {
			if !slices.Contains(got, fmt.Sprintf("node=%q", want)) {
				t.Errorf("kept %v, want %s among them", got, want)
			}
		}
	})
}

func TestSignal_AScalarIsASeriesWithoutMembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &lake{}
		l.does(say(element(5)))
		c := watched(t, strings.Replace(queue, "'max by (node) (queue_length)'", "'scalar(x)'", 1), l)
		pass(time.Minute)
		want := `ksigma_fault{job="probe",instance="queue",observer="a",service="shop",role="entry",signal="queue"} 0` + "\n"
		if got := lines(text(t, c), "ksigma_fault{"); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		l.does(say(element(5, "zone", "z,1"), element(5, "zone", "z\"2\n", "node", "n")))
		pass(time.Minute)
		got := lines(readable(t, c), "ksigma_fault{")
		for _, want := range []string{
			`instance="z,1",observer="a",service="shop",role="entry",zone="z,1",signal="queue"`,
			`instance="n,z\"2\n",observer="a",service="shop",role="node",node="n",zone="z\"2\n",signal="queue"`,
		} {
			if !strings.Contains(got, want) {
				t.Errorf("got\n%s\nwant %s", got, want)
			}
		}
	})
}

func TestSignal_ASlotIsSkippedWhileTheQueryBeforeIsOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, end := &lake{}, make(chan struct{})
		defer close(end)
		l.does(func(context.Context, string) ([]promapi.Point, error) {
			select { // it does not heed its context
			case <-time.After(25 * time.Second):
			case <-end:
			}
			return points(map[string]float64{"n1": 5}), nil
		})
		c := watched(t, queue, l)
		pass(time.Minute + 29*time.Second)
		if n := len(l.times()); n != 3 || l.most != 1 {
			t.Errorf("asked %d times, %d at once, want 3 and 1", n, l.most)
		}
		if n := failures(c)[queryTimeout]; n != 3 {
			t.Errorf("got %v, want each answer too late", failures(c))
		}
		skipped := func(reason string) float64 {
			return testutil.ToFloat64(c.own.queries.skipped.WithLabelValues("shop", "queue", reason))
		}
		if n := skipped(skipOverlap); n < 5 || n > 6 || skipped(skipLate) != 0 {
			t.Errorf("skipped %v and late %v, want 2 for each query and none", n, skipped(skipLate))
		}
	})
}

func TestSignals_AreAskedAFewAtOnceTheFirstComeFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var entries, caps strings.Builder
		for i := range 20 {
			fmt.Fprintf(&entries, "- {name: q%d, service: shop, expr: x, interval: 15s}\n", i)
			fmt.Fprintf(&caps, "q%d: {fault: {cap: .6}}, ", i)
		}
		s := parse(t, strings.Replace(queue[:strings.Index(queue, "- {name: queue")], "owner: team-shop", "owner: team-shop, signals: {"+caps.String()+"}", 1)+entries.String())
		s.Asking = Asking{Concurrency: 3, Timeout: time.Second}
		l := &lake{}
		l.does(func(context.Context, string) ([]promapi.Point, error) {
			<-time.After(time.Second - time.Millisecond)
			return points(map[string]float64{"n1": 5}), nil
		})
		c := New("a", log.NewNopLogger())
		if err := c.Apply(s, nil, ofQueue, l); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- c.Run(ctx) }()
		pass(30 * time.Second)
		cancel()
		<-done
		if l.most != 3 {
			t.Errorf("%d were open at once, want 3", l.most)
		}
		for _, q := range c.table.Load().queries {
			if n := testutil.ToFloat64(c.own.queries.total.WithLabelValues("shop", q.name)); n < 1 || n > 2 {
				t.Errorf("%s was asked %v times, want each to have its turn", q.name, n)
			}
		}
		if len(l.times()) < 35 {
			t.Errorf("asked %d times in 30s, want nearly 40", len(l.times()))
		}
	})
}

func TestSignal_TwoObserversAskAtDifferentTimesAndSayWhoTheyAre(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		text := queue + "- {name: depth, service: till, expr: x}\n"
		text = strings.Replace(text, "signals:\n", "- {name: till, owner: o, observers: [b], signals: {depth: {fault: {cap: .6}}}}\nsignals:\n", 1)
		pages := map[string]string{}
		for _, name := range []string{"a", "b"} {
			l, c := &lake{}, New(name, log.NewNopLogger())
			l.says(map[string]float64{"n1": 5})
			if err := c.Apply(parse(t, text), nil, ofQueue, l); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			if err := c.Run(ctx); err != nil {
				t.Error(err)
			}
			cancel()
			pages[name] = readable(t, c)
		}
		if phase("a", "shop", "queue", 10*time.Second) == phase("b", "shop", "queue", 10*time.Second) {
			t.Error("both ask at one phase")
		}
		for name, page := range pages {
			if got := lines(page, "ksigma_fault{", `observer="`+name+`"`, `signal="queue"`); got == "" {
				t.Errorf("%s: got\n%s\nwant its own verdict", name, page)
			}
			if got := lines(page, "signal_stale_after_seconds", `service="till"`); (got != "") != (name == "b") {
				t.Errorf("%s: got %q for a service that b alone watches", name, got)
			}
		}
	})
}

func TestSignal_StateSurvivesAReloadOfTheSameRules(t *testing.T) {
	for name, c := range map[string]struct {
		old, new string
		keeps    bool
	}{
		"nothing":    {"x", "x", true},
		"job":        {"observers:", "job: other\nobservers:", true},
		"expose":     {"observers:", "expose: full\nobservers:", true},
		"unit":       {"unit: items", "unit: jobs", true},
		"max_series": {"unit: items", "max_series: 7", true},
		"owner":      {"owner: team-shop", "owner: x, signals: {queue: {mode: page}}", true},
		"expr":       {"queue_length", "queue_size", false},
		"interval":   {"interval: 10s", "interval: 11s", false},
		"range":      {"unit: items", "range: {min: 0}", false},
		"baseline":   {"floor: 1", "floor: 2", false},
		"fault":      {"owner: team-shop", "owner: x, signals: {queue: {fault: {clear: 5}}}", false},
		"score":      {"owner: team-shop", "owner: x, signals: {queue: {score: true}}", false},
		"dimensions": {"dimensions: [node, zone]", "dimensions: [node]", false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &lake{}
				l.says(map[string]float64{"n1": 5})
				coll := watched(t, queue, l)
				pass(5 * time.Minute)
				before := coll.table.Load().queries[0].state
				text := strings.Replace(queue, c.old, c.new, 1)
				if err := coll.Apply(parse(t, text), nil, ofQueue, l); err != nil {
					t.Fatal(err)
				}
				page := readable(t, coll)
				if got := coll.table.Load().queries[0].state == before; got != c.keeps {
					t.Errorf("the state was kept: %v, want %v", got, c.keeps)
				}
				got := lines(page, "ksigma_fault{", "queue")
				if (got != "") != c.keeps || name == "job" && !strings.Contains(got, `job="other",instance="n1"`) {
					t.Errorf("right after the reload: got %q", got)
				}
				n := len(l.times())
				pass(time.Minute)
				if asked := len(l.times()) - n; asked < 5 || asked > 6 {
					t.Errorf("asked %d times in the minute after the reload, want one each interval", asked)
				}
				if got := lines(readable(t, coll), "ksigma_fault{", "queue"); got == "" || name == "job" && strings.Contains(got, `job="probe"`) {
					t.Errorf("a minute later: got %q", got)
				}
			})
		})
	}
}

func TestSignal_ThatIsGoneLeavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &lake{}
		l.does(func(context.Context, string) ([]promapi.Point, error) {
			<-time.After(time.Second)
			return points(map[string]float64{"n1": 5}), nil
		})
		c := watched(t, queue, l)
		for len(l.times()) < 5 {
			<-time.After(time.Millisecond)
		}
		// It is gone while a query is open.
		without := queue[:strings.Index(queue, "signals:\n- ")]
		if err := c.Apply(parse(t, without), nil, ofQueue, l); err != nil {
			t.Fatal(err)
		}
		n := len(l.times())
		pass(time.Minute)
		if len(l.times()) != n {
			t.Error("it is asked still")
		}
		if got := lines(readable(t, c), "queue"); got != "" {
			t.Errorf("the page holds\n%s", got)
		}
		if n := testutil.CollectAndCount(c.Metrics(), "signal_queries_total", "signal_failures_total", "signal_skipped_total", "signal_series", "signal_query_duration_seconds"); n != 0 {
			t.Errorf("%d series of its metrics are left", n)
		}
	})
}

// An answer that comes in while a reload changes the rules is no answer to the new
// ones: what it counted would be said of series that nobody has judged yet.
func TestSignal_AnAnswerToRulesOfBeforeIsNotCounted(t *testing.T) {
	c := New("a", log.NewNopLogger())
	if err := c.Apply(parse(t, queue), nil, ofQueue, &lake{}); err != nil {
		t.Fatal(err)
	}
	old, now := c.table.Load().queries[0].state, time.Now()
	if err := c.Apply(parse(t, strings.Replace(queue, "floor: 1", "floor: 2", 1)), nil, ofQueue, &lake{}); err != nil {
		t.Fatal(err)
	}
	old.take(c, answer{began: now, ended: now, points: points(map[string]float64{"n1": 5})})
	if n := testutil.ToFloat64(c.own.queries.total.WithLabelValues("shop", "queue")); n != 0 {
		t.Errorf("counted %v queries, want none", n)
	}
	if n := testutil.ToFloat64(c.own.queries.series.WithLabelValues("shop", "queue")); n != 0 {
		t.Errorf("signal_series is %v, want 0", n)
	}
}

func TestSignal_EveryReasonIsThereFromTheBeginning(t *testing.T) {
	c := New("a", log.NewNopLogger())
	if err := c.Apply(parse(t, queue), nil, ofQueue, &lake{}); err != nil {
		t.Fatal(err)
	}
	if n := testutil.CollectAndCount(c.Metrics(), "signal_failures_total"); n != len(queryReasons) {
		t.Errorf("got %d reasons, want %d", n, len(queryReasons))
	}
	if n := testutil.CollectAndCount(c.Metrics(), "signal_skipped_total"); n != 2 {
		t.Errorf("got %d reasons to skip, want 2", n)
	}
}

func TestSignals_WithoutAPrometheusAreAnError(t *testing.T) {
	err := New("a", log.NewNopLogger()).Apply(parse(t, queue), nil, ofQueue, nil)
	if err == nil || !strings.Contains(err.Error(), "prometheus.url") {
		t.Errorf("got %v, want an error that says what to do", err)
	}
}

// A clock that is set back must not make sigma refuse what comes.
func TestSignal_SamplesFollowEachOther(t *testing.T) {
	c := New("a", log.NewNopLogger())
	l := &lake{}
	if err := c.Apply(parse(t, queue), nil, ofQueue, l); err != nil {
		t.Fatal(err)
	}
	s, at := c.table.Load().queries[0].state, time.Now()
	for range 5 { // at one instant
		s.take(c, answer{began: at, ended: at, points: points(map[string]float64{"n1": 5})})
	}
	if got := failures(c); len(got) != 0 || !s.shown.Load().up {
		t.Errorf("got %v, want every sample taken", got)
	}
}

// FuzzAnswers gives any labels and value. The page must stay one that Prometheus
// reads.
func FuzzAnswers(f *testing.F) {
	f.Add("node", "n1", 5.)
	f.Add("zone", "a\"b\\\n", math.NaN())
	f.Add("service", "shop", math.Inf(1))
	f.Add("le", "\xff", 1e200)
	f.Fuzz(func(t *testing.T, name, value string, v float64) {
		c := New("a", log.NewNopLogger())
		text := "expose: full" + strings.Replace(queue, "owner: team-shop", "owner: x, signals: {queue: {score: true}}", 1)
		if err := c.Apply(parse(t, text), nil, ofQueue, &lake{}); err != nil {
			t.Fatal(err)
		}
		s := c.table.Load().queries[0].state
		s.past = noPast // nobody reads it here
		for i := range 5 {
			at := time.Now().Add(time.Duration(i) * 10 * time.Second)
			s.take(c, answer{began: at, ended: at, points: []promapi.Point{element(v, name, value), element(1, "node", "other"), element(v+1, "zone", value)}})
			page := readable(t, c)
			if got := lines(page, "ksigma_fault{", `node="other"`); i > 2 && got == "" && value != "other" {
				t.Errorf("%q=%q %v: the other series is not judged:\n%s", name, value, v, page)
			}
		}
	})
}
