package healer

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/go-kit/log/level"
	"github.com/prometheus/client_golang/prometheus"
)

// metrics counts what this process does and shows the journal's figures at
// each scrape.
type metrics struct {
	engine *Engine

	alerts, decisions, runs, handedOver, missed, outboxFailures *prometheus.CounterVec
	stale, truncated, unmatched, unrouted                       prometheus.Counter
	clocks                                                      *prometheus.HistogramVec

	mu       sync.Mutex
	counted  map[string]bool // deadlines and orphans counted by this process
	counters []prometheus.Collector
}

// The figures of the journal, read at each scrape. heal_isolated is read by the
// rules: a member with it is out of rotation, and a restart of this process must not
// bring it back, hence it comes from the journal and not from memory.
var (
	descIncidents  = prometheus.NewDesc("heal_incidents", "Incidents by state.", []string{"state"}, nil)
	descEpisodes   = prometheus.NewDesc("heal_episodes_open", "Open episodes by source.", []string{"source"}, nil)
	descHeld       = prometheus.NewDesc("heal_mitigations_held", "What runs have left in place and nobody has released.", []string{"service", "kind"}, nil)
	descIsolated   = prometheus.NewDesc("heal_isolated", "1 for each isolated member; absent otherwise.", []string{"service", "node"}, nil)
	descFreeze     = prometheus.NewDesc("heal_change_freeze", "1 while an incident of the service is open.", []string{"cluster", "service"}, nil)
	descPending    = prometheus.NewDesc("heal_outbox_pending", "Messages to people that are not sent yet.", nil, nil)
	descInboxBytes = prometheus.NewDesc("heal_inbox_bytes", "Size of the kept notifications.", nil, nil)
	descBehind     = prometheus.NewDesc("heal_clock_behind_seconds", "How far the host's clock has jumped back: beyond 1s nothing is claimed.", nil, nil)
	descReadable   = prometheus.NewDesc("heal_journal_readable", "1 if the journal could be read for this scrape, else the figures that come from it are absent.", nil, nil)
	descHolds      = prometheus.NewDesc("heal_holds", "Holds in force, by kind.", []string{"kind"}, nil)
	descHeldSince  = prometheus.NewDesc("heal_mitigation_held_since_timestamp_seconds", "Since when the oldest that is held is in place; absent where none is.", []string{"service", "kind"}, nil)
	descSeen       = prometheus.NewDesc("heal_watchdog_last_seen_timestamp_seconds", "When a Watchdog of the source was received last; 0 = never.", []string{"source"}, nil)
	descOverdue    = prometheus.NewDesc("heal_watchdog_overdue", "1 while the Watchdog of the source is missed and people have been told.", []string{"source"}, nil)
	descAuditHead  = prometheus.NewDesc("heal_audit_head", "Number of the last entry of the audit trail, with its hash.", []string{"hash"}, nil)
)

// newMetrics makes the counters.
func newMetrics(e *Engine) *metrics {
	m := &metrics{engine: e, counted: map[string]bool{}}
	vec := func(name, help string, labels ...string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
		m.counters = append(m.counters, v)
		return v
	}
	one := func(name, help string) prometheus.Counter {
		v := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
		m.counters = append(m.counters, v)
		return v
	}
	m.alerts = vec("heal_alerts_total", "Alerts received, by source and status.", "source", "status")
	m.decisions = vec("heal_decisions_total", "Decisions, repeated ones too, by verb and reason code.", "decision", "code")
	m.runs = vec("heal_runs_total", "Runs that have ended or are unresolved.", "plan", "kind", "outcome")
	m.handedOver = vec("heal_handed_over_total", "Incidents handed over to people, by reason code.", "code")
	m.missed = vec("heal_clock_missed_total", "Targets missed, counted from the fault's start.", "stage")
	m.outboxFailures = vec("heal_outbox_failures_total", "Failed deliveries of messages.", "sink")
	m.stale = one("heal_alerts_stale_total", "Alerts older than what was known already.")
	m.truncated = one("heal_alerts_truncated_total", "Alerts that Alertmanager left out of its notifications.")
	m.unmatched = one("heal_episodes_unmatched_total", "Incidents opened by alerts that no scenario foresees.")
	m.unrouted = one("heal_episodes_unrouted_total", "Episodes without a service: kept, and never acted upon.")
	m.clocks = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "heal_clock_seconds",
		Help:    "The clocks of each round: stage detect, locate or recover; read from the fault's start or from detection.",
		Buckets: []float64{5, 10, 30, 60, 120, 300, 600, 1200, 3600},
	}, []string{"stage", "reading"})
	m.counters = append(m.counters, m.clocks)
	return m
}

// begin gives every counter whose labels are known a 0, so that the first failure
// is an increase and not a new series. A reload may bring more of them.
func (m *metrics) begin() {
	for _, stage := range []string{"detect", "locate", "recover"} {
		m.missed.WithLabelValues(stage)
	}
	for name := range m.engine.Outside().Sinks {
		m.outboxFailures.WithLabelValues(name)
	}
	for name, p := range m.engine.Book().Plans {
		m.runs.WithLabelValues(name, p.Kind, string(runFailed))
		m.runs.WithLabelValues(name, p.Kind, string(runUnresolved))
	}
	for _, code := range helpless {
		m.handedOver.WithLabelValues(string(code))
	}
}

// helpless are the codes of hand-overs at which the machine could not do its work,
// as against those where it was told not to. The rules name the same.
var helpless = []Code{codeCannotTell, codeDecideTimeout, codeEmptyTarget, codeUncorroborated, codeUnknownMember, codeUnresolved, codeUnsafeValue}

// Describe gives every metric of the engine (prometheus.Collector).
func (e *Engine) Describe(ch chan<- *prometheus.Desc) {
	for _, c := range e.metrics.counters {
		c.Describe(ch)
	}
	for _, d := range []*prometheus.Desc{descIncidents, descEpisodes, descHeld, descHeldSince, descIsolated, descFreeze, descHolds, descPending, descInboxBytes,
		descBehind, descReadable, descSeen, descOverdue, descAuditHead} {
		ch <- d
	}
}

// Collect reads the journal for the gauges (prometheus.Collector). Of a journal
// that cannot be read the gauges are absent, never old.
func (e *Engine) Collect(ch chan<- prometheus.Metric) {
	e.metrics.begin()
	for _, c := range e.metrics.counters {
		c.Collect(ch)
	}
	ctx, cancel := context.WithTimeout(context.Background(), askWithin)
	defer cancel()
	counts, err := e.Store.Counts(ctx)
	if err == nil {
		err = e.collectIncidents(ctx, ch)
	}
	if err == nil {
		err = e.collectHeld(ctx, ch)
	}
	if err == nil {
		err = e.collectWatchdogs(ctx, ch)
	}
	readable := 1.0
	if err != nil {
		readable = 0
	}
	ch <- prometheus.MustNewConstMetric(descReadable, prometheus.GaugeValue, readable)
	if err != nil {
		level.Error(e.Logger).Log("msg", "the journal cannot be read for metrics", "err", err)
		return
	}
	collectCounts(counts, ch)
	ch <- prometheus.MustNewConstMetric(descBehind, prometheus.GaugeValue, e.Store.Behind().Seconds())
}

// collectCounts shows the journal's own figures; states without an incident are 0.
func collectCounts(counts Counts, ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	for _, s := range []State{stateLocating, stateDeciding, stateWaiting, stateActing, stateRecovered, stateWithHuman, stateClosed} {
		gauge(descIncidents, float64(counts.Incidents[s]), string(s))
	}
	for source, n := range counts.EpisodesOpen {
		gauge(descEpisodes, float64(n), source)
	}
	for _, kind := range holdKinds {
		gauge(descHolds, float64(counts.Holds[kind]), kind)
	}
	gauge(descPending, float64(counts.Outbox))
	gauge(descInboxBytes, float64(counts.InboxBytes))
	gauge(descAuditHead, float64(counts.AuditSeq), counts.AuditHash)
}

// collectIncidents shows which services should not be changed now.
func (e *Engine) collectIncidents(ctx context.Context, ch chan<- prometheus.Metric) error {
	open, err := e.Store.Incidents(ctx, false, recentIncidents)
	if err != nil {
		return err
	}
	seen := map[[2]string]bool{}
	for _, in := range open {
		if key := [2]string{in.Cluster, in.Service}; !seen[key] {
			seen[key] = true
			ch <- prometheus.MustNewConstMetric(descFreeze, prometheus.GaugeValue, 1, in.Cluster, in.Service)
		}
	}
	return nil
}

// collectHeld shows what is in place. A member counts as isolated from the
// first intent to the verified release.
func (e *Engine) collectHeld(ctx context.Context, ch chan<- prometheus.Metric) error {
	held, err := e.Store.Mitigations(ctx, "")
	if err != nil {
		return err
	}
	byKind, since, isolated := map[[2]string]int{}, map[[2]string]time.Time{}, map[[2]string]bool{}
	for _, m := range held {
		if m.State == mitReleased {
			continue
		}
		key := [2]string{m.Service, m.Kind}
		if byKind[key]++; byKind[key] == 1 || m.Since.Before(since[key]) {
			since[key] = m.Since
		}
		if s := e.Book().Services[m.Service]; m.Kind == kindIsolate && s != nil && m.Member[s.MemberBy] != "" {
			isolated[[2]string{m.Service, m.Member[s.MemberBy]}] = true
		}
	}
	for key, n := range byKind {
		ch <- prometheus.MustNewConstMetric(descHeld, prometheus.GaugeValue, float64(n), key[0], key[1])
		ch <- prometheus.MustNewConstMetric(descHeldSince, prometheus.GaugeValue, seconds(since[key]), key[0], key[1])
	}
	for key := range isolated {
		ch <- prometheus.MustNewConstMetric(descIsolated, prometheus.GaugeValue, 1, key[0], key[1])
	}
	return nil
}

// holdKinds are those that the journal can hold (HEALING 7, S1, S7, S12). Nothing
// sets one yet: the figures are read, and are 0.
var holdKinds = []string{"kill", "pause", "maintenance", "breaker", "storm"}

// collectWatchdogs shows of each configured source when its Watchdog came last.
func (e *Engine) collectWatchdogs(ctx context.Context, ch chan<- prometheus.Metric) error {
	known, err := e.pulses(ctx)
	if err != nil {
		return err
	}
	for source, p := range known {
		ch <- prometheus.MustNewConstMetric(descSeen, prometheus.GaugeValue, seconds(p.SeenAt), source)
		overdue := 0.0
		if !p.SilentAt.IsZero() && e.Book().Watchdog.Within > 0 {
			overdue = 1
		}
		ch <- prometheus.MustNewConstMetric(descOverdue, prometheus.GaugeValue, overdue, source)
	}
	return nil
}

// seconds are those of an instant since 1970; 0 for none.
func seconds(at time.Time) float64 {
	if at.IsZero() {
		return 0
	}
	return float64(at.UnixMilli()) / 1000
}

// accepted counts one notification.
func (m *metrics) accepted(source string, alerts []Alert, a Accepted, truncated uint64) {
	for _, x := range alerts {
		status := "resolved"
		if x.Firing {
			status = "firing"
		}
		m.alerts.WithLabelValues(source, status).Inc()
	}
	m.stale.Add(float64(a.Stale))
	m.truncated.Add(float64(truncated))
}

// once reports whether something is to be counted for the first time.
func (m *metrics) once(what string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.counted[what] {
		return false
	}
	// The memory is bounded: after a long storm something may be counted twice.
	if len(m.counted) > 100_000 { // a bound, not a memory: counting twice is the smaller harm
		m.counted = map[string]bool{}
	}
	m.counted[what] = true
	return true
}

// unroutedEpisode counts an episode without a service.
func (m *metrics) unroutedEpisode(id string) {
	if m.once("unrouted/" + id) {
		m.unrouted.Inc()
	}
}

// figures are what a change of a case is counted by.
type figures struct {
	state     State
	opened    bool
	repeats   int
	decisions int
	runs      map[string]RunState
	instants  int
}

// figuresOf notes how a case stands before a change, to count the difference.
func figuresOf(c *Case) figures {
	f := figures{state: c.Incident.State, opened: len(c.Instants) > 0, decisions: len(c.Decisions), runs: map[string]RunState{}, instants: len(c.Instants)}
	for _, d := range c.Decisions {
		f.repeats += d.Repeats
	}
	for _, r := range c.Runs {
		f.runs[r.ID] = r.State
	}
	return f
}

// count counts what a committed change has brought.
func (m *metrics) count(before figures, c *Case, d desk) {
	for _, x := range c.Decisions[min(before.decisions, len(c.Decisions)):] {
		m.decisions.WithLabelValues(string(x.Verb), string(x.Code)).Inc()
	}
	// A repetition is a decision as well, though it has no row of its own.
	if now := figuresOf(c); now.repeats > before.repeats && len(c.Decisions) > 0 {
		last := c.Decisions[len(c.Decisions)-1]
		m.decisions.WithLabelValues(string(last.Verb), string(last.Code)).Inc()
	}
	for _, r := range c.Runs {
		if before.runs[r.ID] != r.State && (r.State.ended() || r.State == runUnresolved) {
			m.runs.WithLabelValues(r.Plan, r.Kind, string(r.State)).Inc()
		}
	}
	if c.Incident.State == stateWithHuman && before.state != stateWithHuman {
		m.handedOver.WithLabelValues(string(c.Incident.Reason)).Inc()
	}
	if !before.opened && c.Incident.Scenario == "" {
		m.unmatched.Inc()
	}
	m.clock(before, c, d)
}

// clock observes the instants that have come, and counts missed targets once a
// round.
func (m *metrics) clock(before figures, c *Case, d desk) {
	targets := d.targets(c)
	for _, x := range c.Instants[min(before.instants, len(c.Instants)):] {
		for _, r := range readings(c, x.Round, targets) {
			if r.ends == x.Name {
				m.clocks.WithLabelValues(r.Stage, r.From).Observe(r.Took.Seconds())
			}
		}
	}
	for _, r := range readings(c, c.Incident.Round, targets) {
		if r.Missed && r.From == fromFaultStart && m.once(c.Incident.ID+"/"+strconv.Itoa(c.Incident.Round)+"/"+r.Stage) {
			m.missed.WithLabelValues(r.Stage).Inc()
		}
	}
}
