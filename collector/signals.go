package collector

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"
)

// query is one entry of "signals:" under the present settings. It does not
// change; its state does.
type query struct {
	service, name string
	expr          string
	interval      time.Duration
	timeout       time.Duration // of one evaluation
	phase         time.Duration
	most          int      // series in one answer
	dimensions    []string // of the service, sorted
	job, observer string   // of every series
	labels        *labels  // of the entry as a whole
	exposed       exposure
	traffic       string // how much each member carries; empty: nobody says
	rules         rules
	source        Source
	state         *queryState
}

// queryKey names an entry over reloads.
type queryKey struct{ service, name string }

// queryState is what outlives a reload: the series of a signal, and what its
// newest answers were.
type queryState struct {
	rules      rules // what the members were made for
	dimensions []string
	shown      atomic.Pointer[answered]

	mu      sync.Mutex // protects what follows
	query   *query     // under the newest settings
	last    time.Time  // of the newest sample
	reason  string     // of the failure of the newest query; empty: it was good
	beyond  bool       // it has been told that a value lies outside of the range
	lost    bool       // it has been told that the traffic is not known
	members map[string]*member
	past    pastState
}

// pastState says what becomes of a series that is met for the first time.
type pastState int

// A signal that begins anew waits for its past; where that cannot be read, it
// begins without and goes on waiting. One that has it waits no more.
const (
	noPast pastState = iota
	withheld
	beganCold
)

// member is one series of a signal, by its labels.
type member struct {
	pairs   []label // the dimensions, sorted
	labels  *labels // with those that all series have
	judged  judged
	verdict verdict
	seen    time.Time // the newest sample, as sigma was told
}

// answered is what the page says of one signal after one query. It is never
// changed once it is shown.
type answered struct {
	ended   bool      // a query has
	up      bool      // the newest one gave a usable answer
	lastRun float64   // when there was a usable answer, unix seconds; 0: never
	until   time.Time // verdicts are too old after it
	series  []shownMember
	traffic []amount // of the newest answer to that question
}

// shownMember is one series of the newest usable answer.
type shownMember struct {
	labels  *labels
	verdict verdict
}

// stale is the age at which a verdict has no vote any more.
func (q *query) stale() time.Duration { return 2*q.interval + q.timeout }

// key names the entry.
func (q *query) key() queryKey { return queryKey{q.service, q.name} }

// queries makes the entries that this observer evaluates, each with the state
// that it had before, and what must be done to put them in force.
func (c *Collector) queries(f force) (list []*query, all changes, err error) {
	if len(f.settings.Signals) > 0 && f.past == nil {
		return nil, changes{}, fmt.Errorf("signals: there is no Prometheus to ask, name one in prometheus.url")
	}
	before := map[queryKey]*query{}
	for _, q := range c.table.Load().queries {
		before[q.key()] = q
	}
	for _, entry := range f.settings.Signals {
		at := slices.IndexFunc(f.settings.Services, func(v Service) bool { return v.Name == entry.Service })
		if at < 0 {
			return nil, changes{}, fmt.Errorf("signal %q: there is no service %q", entry.Name, entry.Service)
		}
		if v := f.settings.Services[at]; slices.Contains(v.Observers, c.observer) {
			q, err := c.query(f, v, entry)
			if err != nil {
				return nil, changes{}, fmt.Errorf("signal %q of service %q: %w", entry.Name, entry.Service, err)
			}
			q.state = q.stateOf(before[q.key()])
			all.begin = append(all.begin, q.begin)
			if old := before[q.key()]; old == nil || old.state != q.state {
				all.jobs = append(all.jobs, q.pastOf(entry))
			}
			list = append(list, q)
		}
	}
	return list, all, nil
}

// query makes one entry and tries its rules.
func (c *Collector) query(f force, v Service, entry Query) (*query, error) {
	g := v.Signals[entry.Name]
	q := &query{
		service: v.Name, name: entry.Name, expr: entry.Expr, interval: time.Duration(entry.Interval),
		timeout: f.settings.Asking.Timeout, most: entry.MaxSeries, source: f.past, exposed: g.exposed(), traffic: entry.Traffic,
		dimensions: slices.Compact(slices.Sorted(slices.Values(v.Dimensions))),
		job:        f.settings.Job, observer: c.observer,
		labels: newLabels(label{"observer", c.observer}, label{"service", v.Name}, label{"signal", entry.Name}),
		rules:  f.settings.rules(v, entry.Name, entry.Expr, time.Duration(entry.Interval), f.proofs),
	}
	q.rules.baseline.Low, q.rules.baseline.High = entry.Range.Sigma()
	q.phase = phase(c.observer, q.service, q.name, q.interval)
	_, err := q.rules.fresh()
	return q, err
}

// stateOf gives the state of before, if that fits, or a new one.
func (q *query) stateOf(before *query) *queryState {
	if before != nil && before.state.rules == q.rules && slices.Equal(before.state.dimensions, q.dimensions) {
		return before.state
	}
	s := &queryState{rules: q.rules, dimensions: q.dimensions, members: map[string]*member{}, past: withheld}
	s.shown.Store(&answered{})
	return s
}

// begin puts the entry in force. Labels may have changed and the state stays:
// they are no part of it, and what is shown is written anew. Traffic comes with the
// next answer.
func (q *query) begin() {
	s := q.state
	s.mu.Lock()
	defer s.mu.Unlock()
	same := s.query == nil || s.query.job == q.job && s.query.traffic == q.traffic
	s.query = q
	if same {
		return
	}
	renamed := make(map[*labels]*labels, len(s.members))
	for _, m := range s.members {
		fresh := q.labelsOf(m.pairs)
		renamed[m.labels], m.labels = fresh, fresh
	}
	a := *s.shown.Load()
	a.series, a.traffic = slices.Clone(a.series), nil
	for i := range a.series {
		a.series[i].labels = renamed[a.series[i].labels]
	}
	s.shown.Store(&a)
}

// member finds the series of those labels, which may begin at the instant at, or
// makes it, without a past. The error says why no series of the signal can carry
// them. The state is locked.
func (s *queryState) member(labels map[string]string, at time.Time) (*member, error) {
	pairs, key, err := s.query.dimensionsOf(labels)
	if err != nil {
		return nil, err
	}
	if m, ok := s.members[key]; ok {
		return m, nil
	}
	fresh, err := s.rules.fresh()
	if err != nil {
		return nil, err
	}
	if s.past != noPast {
		fresh.past = newBacklog(s.rules)
		fresh.past.withheld = s.past == withheld
	}
	m := &member{pairs: pairs, labels: s.query.labelsOf(pairs), judged: fresh, seen: at}
	s.members[key] = m
	return m, nil
}

// dimensionsOf gives the labels that tell the series of the entry apart, and a
// text that is the same for the same ones. Whatever else a series carries would
// be lost, and two series become one.
func (q *query) dimensionsOf(labels map[string]string) (pairs []label, key string, err error) {
	size := 0
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		value := labels[name]
		size += len(name) + len(value)
		switch {
		case value == "": // is no label
		case name == "service" && value == q.service:
		case name == "service":
			return nil, "", fmt.Errorf("got a series of service %q, want %q", cut(value), q.service)
		case !slices.Contains(q.dimensions, name):
			return nil, "", fmt.Errorf("got a series with the label %q, want service and the dimensions %v alone: aggregate by them", cut(name), q.dimensions)
		case !utf8.ValidString(value):
			return nil, "", fmt.Errorf("got %q in the label %q, want a text in UTF-8", cut(value), name)
		default:
			pairs = append(pairs, label{name, value})
		}
	}
	if size > maxTarget {
		return nil, "", fmt.Errorf("the labels of a series have %d bytes, want %d at most", size, maxTarget)
	}
	return pairs, newLabels(pairs...).text, nil
}

// labelsOf gives the labels of a series (DETECTION 3.3). It stands in the place
// of a target: its instance are its dimensions, and one with a node is a node.
func (q *query) labelsOf(dimensions []label) *labels {
	instance, role := "", roleEntry
	for i, p := range dimensions {
		if i > 0 {
			instance += ","
		}
		instance += p.value
		if p.name == roleNode {
			role = roleNode
		}
	}
	if instance == "" {
		instance = q.name
	}
	pairs := []label{{"job", q.job}, {"instance", instance}, {"observer", q.observer}, {"service", q.service}, {"role", role}}
	return newLabels(append(append(pairs, dimensions...), label{"signal", q.name})...)
}

// forget drops series that were absent for longer than their baseline remembers
// and, of those that are too many, the longest absent. The state is locked.
func (s *queryState) forget(now time.Time) {
	window := s.rules.baseline.Window
	maps.DeleteFunc(s.members, func(_ string, m *member) bool { return now.Sub(m.seen) > window })
	surplus := len(s.members) - 2*s.query.most
	if surplus <= 0 {
		return
	}
	keys := slices.SortedFunc(maps.Keys(s.members), func(a, b string) int { return s.members[a].seen.Compare(s.members[b].seen) })
	for _, key := range keys[:surplus] {
		delete(s.members, key)
	}
}
