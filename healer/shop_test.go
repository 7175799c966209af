package healer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-kit/log"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"

	"github.com/onefiveten/onefiveten/healer/plan"
)

// shopBook is a service of three nodes behind a balancer.
const shopBook = `cluster: shop
prometheus: [{ name: main, url: http://prometheus:9090 }]
alertmanagers: [{ name: main, peers: [http://am:9093] }]
gather: 10s
limits: { cooldown: { first: 1m, factor: 2, max: 10m } }
exec: { programs: [/opt/balancer, /opt/restart] }
services:
  - name: web
    members: 'min by (node) (node_up)'
    healthy: { query: 'vip_up == 1' }
plans:
  drain:
    kind: isolate
    mode: auto
    target: 'node:{{ .Member.Labels.node }}'
    steps: [{ exec: [/opt/balancer, drain, '{{ .Member.Labels.node }}'], timeout: 20s }]
    verify: { healthy: service, for: 20s, within: 60s }
    undo: [{ exec: [/opt/balancer, ready, '{{ .Member.Labels.node }}'], timeout: 20s, idempotent: true }]
    release: manual
  restart:
    kind: restart
    mode: auto
    target: 'node:{{ .Member.Labels.node }}'
    steps: [{ exec: [/opt/restart, '{{ .Member.Labels.node }}'], timeout: 30s, idempotent: true }]
    verify: { query: 'node_up{node="{{ .Member.Labels.node }}"} == 1', for: 20s, within: 60s }
  restart-all:
    kind: restart
    mode: auto
    rolling: true
    target: 'service:{{ .Service.Name }}'
    steps: [{ exec: [/opt/restart, '{{ .Service.Name }}'], timeout: 30s, idempotent: true }]
    verify: { healthy: service, for: 20s, within: 60s }
scenarios:
  - name: web-bad
    match: ['service="web"']
    severity: P1
    ladders: { node: [drain, restart], service: [restart-all], unknown: [] }
    escalate: { to: [oncall] }
escalate: { to: [duty] }
watchdog: { enabled: false }
notify:
  oncall: { webhook: { url: http://oncall/ } }
  duty: { webhook: { url: http://duty/ } }
`

// with changes texts of the shop's book, pairwise, and insists that each was
// there.
func shopWith(t *testing.T, pairs ...string) *plan.Book {
	t.Helper()
	text := shopBook
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			t.Fatalf("the shop's book does not hold %q", pairs[i])
		}
		text = strings.Replace(text, pairs[i], pairs[i+1], 1)
	}
	var s plan.Settings
	if err := yaml.Unmarshal([]byte(text), &s); err != nil {
		t.Fatal(err)
	}
	b, err := plan.Compile(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// shop is a fake world: nodes behind a balancer, a Prometheus that sees them, an
// Alertmanager and an executor. Actions change the nodes.
type shop struct {
	t *testing.T

	mu          sync.Mutex
	up          map[string]bool // by node
	drained     map[string]bool
	vip         *bool                      // overrides what the balancer makes of the nodes
	blind       bool                       // Prometheus does not answer
	fenced      bool                       // Prometheus does not tell its time
	sees        []map[string]string        // alerts that Prometheus sees, where it does not see all
	ahead       time.Duration              // the clock of who sends alerts
	annotations map[string]string          // of the alerts that come next
	forged      bool                       // Prometheus does not see any alert
	asked       func(query string)         // is told every query
	more        func(query string) []Point // answers what the shop does not know
	muted       map[string]string
	mutedErr    error
	readings    int  // of Alertmanager
	young       bool // Alertmanager was started a moment ago
	away        bool // and is no longer configured
	firing      map[string]Alert
	did         []string                   // what the executor was asked, in order
	answers     map[string][]func() Result // by first words of the action: one for each try
	sent        []Message
	sinkErr     error
	hangs       string        // a contact that never answers
	slow        time.Duration // what Prometheus takes for an answer

	store    *memory  // the fake journal, for what only a fake can be asked
	kept     Store    // what the engine works on: store, or a real one
	executor Executor // the shop, unless a test wants another
	engine   *Engine
	book     *plan.Book
	cancel   context.CancelFunc
	done     chan struct{}
}

func newShop(t *testing.T, book *plan.Book) *shop {
	s := &shop{
		t: t, up: map[string]bool{"a": true, "b": true, "c": true}, drained: map[string]bool{}, muted: map[string]string{},
		firing: map[string]Alert{}, answers: map[string][]func() Result{}, store: newMemory(), book: book,
	}
	s.kept = s.store
	return s
}

// open starts an engine on the shop's store.
func (s *shop) open(change ...func(*Options)) {
	s.t.Helper()
	n := 0
	s.set(func() { s.executor = s })
	o := Options{
		Store: s.kept, Book: s.inForce, Outside: s.outside, Logger: log.NewLogfmtLogger(s.t.Output()), Owner: "test", AcceptRisk: true,
		NewID: func() string {
			s.mu.Lock()
			defer s.mu.Unlock()
			n++
			return fmt.Sprintf("%013d-%03d", time.Now().UnixMilli(), n)
		},
	}
	for _, c := range change {
		c(&o)
	}
	e, err := NewEngine(o)
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.engine, s.cancel, s.done = e, cancel, make(chan struct{})
	done := s.done
	go func() {
		defer close(done)
		if err := e.Run(ctx); err != nil {
			s.t.Error(err)
		}
	}()
}

// inForce is the book, which a test may change.
func (s *shop) inForce() *plan.Book {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.book
}

// outside is what the shop's configuration reaches.
func (s *shop) outside() Outside {
	s.mu.Lock()
	defer s.mu.Unlock()
	alertmanagers := map[string]Alertmanagers{"main": shopAlerts{s}}
	if s.away {
		alertmanagers = nil
	}
	return Outside{
		Prometheus: map[string]Prometheus{"main": s}, Alertmanagers: alertmanagers,
		Sinks: map[string]Sink{"oncall": s, "duty": s}, Executor: s.executor,
	}
}

// acting lets something else than the shop carry out actions.
func (s *shop) acting(do executorFunc) { s.set(func() { s.executor = do }) }

// shut stops the engine as SIGTERM does.
func (s *shop) shut() {
	s.cancel()
	<-s.done
}

// Query answers as Prometheus would, of the shop as it is.
func (s *shop) Query(ctx context.Context, query string) ([]Point, error) {
	s.mu.Lock()
	slow := s.slow
	s.mu.Unlock()
	if slow > 0 {
		pauseFor(ctx, slow)
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	s.mu.Lock()
	asked := s.asked
	s.mu.Unlock()
	if asked != nil { // it may wait, and whoever waits for a mutex keeps a bubble's time from passing
		asked(query)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	at := func(v float64) []Point { return []Point{{At: now, Value: v}} }
	switch {
	case s.blind || s.fenced && query == "time()":
		return nil, errors.New("connection refused")
	case query == "time()":
		return at(float64(now.UnixMilli()) / 1000), nil
	case strings.HasPrefix(query, "min(timestamp("):
		return at(float64(now.UnixMilli()) / 1000), nil
	case query == "vip_up":
		return at(bit(s.vipUp())), nil
	case strings.HasPrefix(query, "min by (node)"):
		var list []Point
		for _, node := range slices.Sorted(maps.Keys(s.up)) {
			list = append(list, Point{Labels: map[string]string{"node": node}, At: now, Value: bit(s.up[node])})
		}
		return list, nil
	case strings.HasPrefix(query, `node_up{node="`):
		node, _, _ := strings.Cut(strings.TrimPrefix(query, `node_up{node="`), `"`)
		return at(bit(s.up[node])), nil
	case strings.HasPrefix(query, "ALERTS{"):
		if s.forged || s.sees != nil && !slices.ContainsFunc(s.sees, func(alert map[string]string) bool { return selects(query, alert) }) {
			return nil, nil
		}
		return at(1), nil
	}
	if s.more != nil {
		return s.more(query), nil
	}
	return nil, nil
}

// selects reports whether a selector of ALERTS finds a firing alert.
func selects(selector string, alert map[string]string) bool {
	matchers, err := parser.NewParser(parser.Options{}).ParseMetricSelector(selector)
	return err == nil && !slices.ContainsFunc(matchers, func(m *labels.Matcher) bool {
		return m.Name != model.MetricNameLabel && m.Name != "alertstate" && !m.Matches(alert[m.Name])
	})
}

// vipUp: the balancer serves an error as long as a bad node is in rotation.
func (s *shop) vipUp() bool {
	if s.vip != nil {
		return *s.vip
	}
	for node, up := range s.up {
		if !up && !s.drained[node] {
			return false
		}
	}
	return true
}

func bit(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

type shopAlerts struct{ s *shop }

// Alerts shows what fires.
func (a shopAlerts) Alerts(context.Context) ([]Alert, bool, error) {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	a.s.readings++
	var list []Alert
	for _, x := range a.s.firing {
		x.MutedBy = a.s.muted[x.Labels["alertname"]]
		list = append(list, x)
	}
	return list, !a.s.young, a.s.mutedErr
}

// Do carries an action out on the nodes, or answers as it was told to.
func (s *shop) Do(_ context.Context, a Action) Result {
	s.mu.Lock()
	words := strings.Join(a.Exec, " ")
	s.did = append(s.did, words)
	if list := s.answers[words]; len(list) > 0 {
		s.answers[words] = list[1:]
		s.mu.Unlock()
		return list[0]()
	}
	defer s.mu.Unlock()
	s.effect(words)
	return Result{Outcome: OK}
}

// effect is what an action does to the nodes.
func (s *shop) effect(words string) {
	program, rest, _ := strings.Cut(words, " ")
	verb, node, _ := strings.Cut(rest, " ")
	switch {
	case program == "/opt/balancer":
		s.drained[node] = verb == "drain"
	case rest == "web":
		for node := range s.up {
			s.up[node] = true
		}
	case program == "/opt/restart":
		s.up[rest] = true
	}
}

func (s *shop) Send(ctx context.Context, m Message) error {
	s.mu.Lock()
	hangs := s.hangs == m.Sink
	s.mu.Unlock()
	if hangs {
		<-ctx.Done()
		return ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sinkErr == nil {
		s.sent = append(s.sent, m)
	}
	return s.sinkErr
}

// alert fires one alert: Prometheus sees it, and the webhook brings it.
func (s *shop) alert(name string, labels ...string) {
	s.t.Helper()
	set := map[string]string{"alertname": name, "service": "web", "severity": "page", "heal": "true"}
	for i := 0; i < len(labels); i += 2 {
		set[labels[i]] = labels[i+1]
	}
	s.mu.Lock()
	a := Alert{Fingerprint: fingerprint(set), Labels: set, Annotations: s.annotations, StartsAt: time.Now().Add(s.ahead), Firing: true}
	s.firing[a.Fingerprint] = a
	s.mu.Unlock()
	s.post("firing", a)
}

// resolve ends every alert that fires.
func (s *shop) resolve() {
	s.t.Helper()
	s.mu.Lock()
	firing := slices.Collect(maps.Values(s.firing))
	clear(s.firing)
	s.mu.Unlock()
	for _, a := range firing {
		a.EndsAt = time.Now()
		s.post("resolved", a)
	}
}

func (s *shop) post(status string, a Alert) {
	s.t.Helper()
	body, err := json.Marshal(map[string]any{"version": "4", "status": status, "alerts": []any{map[string]any{
		"status": status, "labels": a.Labels, "annotations": a.Annotations, "startsAt": a.StartsAt, "endsAt": a.EndsAt, "fingerprint": a.Fingerprint,
	}}})
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.engine.Accept(context.Background(), "main", body); err != nil {
		s.t.Fatal(err)
	}
}

// breakNode takes a node down and lets the rules say so.
func (s *shop) breakNode(node string) {
	s.t.Helper()
	s.set(func() { s.up[node] = false })
	s.alert("FaultDetected", "signal", "availability")
	s.alert("FaultLocated", "signal", "availability", "scope", "node", "member", node, "node", node)
}

func (s *shop) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

// wait lets time pass.
func (s *shop) wait(d time.Duration) {
	<-time.After(d) // the bubble's time
	synctest.Wait()
}

// the newest incident, whole.
func (s *shop) incident() *Case {
	s.t.Helper()
	list, err := s.kept.Incidents(context.Background(), true, 1)
	if err != nil || len(list) == 0 {
		s.t.Fatalf("no incident: %v", err)
	}
	c, err := s.kept.Read(context.Background(), list[0].ID)
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

// in insists on the state and reason of the newest incident.
func (s *shop) in(state State, why Code) *Case {
	s.t.Helper()
	c := s.incident()
	if c.Incident.State != state || c.Incident.Reason != why {
		s.t.Fatalf("the incident is %s (%s), want %s (%s)\n%s", c.Incident.State, c.Incident.Reason, state, why, s.story())
	}
	return c
}

// acts insists on what was done, whole and in order.
func (s *shop) acts(want ...string) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Equal(s.did, want) {
		s.t.Fatalf("the executor was asked for\n%s\nwant\n%s", strings.Join(s.did, "\n"), strings.Join(want, "\n"))
	}
}

// decided gives the decisions of the newest incident as "verb code plan target".
func (s *shop) decided() []string {
	s.t.Helper()
	var list []string
	for _, d := range s.incident().Decisions {
		list = append(list, strings.TrimSpace(fmt.Sprintf("%s %s %s %s", d.Verb, d.Code, d.Plan, d.Target)))
	}
	return list
}

func (s *shop) decisions(want ...string) {
	s.t.Helper()
	if got := s.decided(); !slices.Equal(got, want) {
		s.t.Fatalf("decided\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// story is the audit trail, for failures.
func (s *shop) story() string {
	list, _ := s.kept.Audit(context.Background(), "", 0, 1000)
	var b strings.Builder
	for _, x := range list {
		fmt.Fprintf(&b, "%s %s %s %s %s\n", stamp(x.At), x.Actor, x.Event, x.Code, x.Body)
	}
	return b.String()
}

// said gives "kind code" of every message that was sent to a contact.
func (s *shop) said() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []string
	for _, m := range s.sent {
		var n notice
		if err := json.Unmarshal([]byte(m.Body), &n); err != nil {
			s.t.Fatal(err)
		}
		list = append(list, strings.TrimSpace(m.Sink+" "+n.Kind+" "+n.Code))
	}
	return list
}

// inShop runs a test in a bubble, with an open shop that is shut at the end.
func inShop(t *testing.T, book *plan.Book, test func(s *shop)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t, book)
		s.open()
		defer s.shut()
		test(s)
	})
}
