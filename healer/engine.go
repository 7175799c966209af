package healer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	"github.com/oklog/ulid/v2"

	"github.com/onefiveten/onefiveten/healer/plan"
)

// Options are what an Engine works with. Store, Book, Outside, Owner and Logger
// must be given.
type Options struct {
	Store      Store
	Book       func() *plan.Book // the configuration in force; a reload changes it between two calls
	Outside    func() Outside    // what belongs to it
	Logger     log.Logger
	Owner      string        // of claims: this process
	AcceptRisk bool          // mode auto may act although guards are not built
	Lease      time.Duration // of claims; 0 = 15s
	Gather     time.Duration // where the book has none; 0 = 20s
	NewID      func() string // nil = ULIDs
}

// Outside is everything that a configuration reaches. Nobody changes it: a
// reload gives another one.
type Outside struct {
	Prometheus    map[string]Prometheus    // by the name that services give
	Alertmanagers map[string]Alertmanagers // by source
	Clusters      map[string]string        // by source, where it is not the book's
	Sinks         map[string]Sink          // by contact
	Executor      Executor
}

// Engine does the work over time: it accepts, joins, decides, drives runs,
// reconciles and delivers. All state that matters is the store's; what an
// Engine remembers may be lost at any moment.
type Engine struct {
	Options
	metrics *metrics

	wakes  map[string]chan struct{} // by loop
	places chan struct{}            // of turns under way
	work   sync.WaitGroup

	mu       sync.Mutex                    // protects what follows
	told     map[string]bool               // dedups of messages said by this process
	watches  map[string][]Sample           // proofs of incidents on which no run works
	stops    map[string]context.CancelFunc // running step of a run, for abort
	cut      map[string]bool               // source/receiver whose messages were truncated
	shared   map[string]*sharedReading     // newest reading by source
	troubled map[Code]time.Time            // when people heard last of trouble that stops everything

	listens map[string]attention // by source; of one loop alone
}

// Times of the engine's own loops.
const (
	poll          = 250 * time.Millisecond // where nothing wakes a loop
	reconcileEach = 30 * time.Second
	askWithin     = 5 * time.Second // all guards that ask
	decideWithin  = 15 * time.Second
	turns         = 8 // incidents looked at at once
)

// NewEngine makes an Engine. It refuses plans of mode auto while guards are not
// built, unless the risk is accepted.
func NewEngine(o Options) (*Engine, error) {
	if o.Lease == 0 {
		o.Lease = 15 * time.Second
	}
	if o.Gather == 0 {
		o.Gather = 20 * time.Second
	}
	if o.NewID == nil {
		o.NewID = func() string { return ulid.Make().String() }
	}
	if o.Owner == "" {
		return nil, errors.New("make the engine: it has no owner to claim with")
	}
	if err := CheckRisk(o.Book(), o.AcceptRisk); err != nil {
		return nil, err
	}
	e := &Engine{Options: o, wakes: map[string]chan struct{}{}, places: make(chan struct{}, turns), told: map[string]bool{}, watches: map[string][]Sample{}, stops: map[string]context.CancelFunc{}, cut: map[string]bool{}, troubled: map[Code]time.Time{}}
	for _, loop := range []string{"join", "incidents", "runs", "outbox"} {
		e.wakes[loop] = make(chan struct{}, 1)
	}
	e.metrics = newMetrics(e)
	return e, nil
}

// CheckRisk refuses a book with plans of mode auto while guards are not built,
// unless the risk is accepted.
func CheckRisk(b *plan.Book, accepted bool) error {
	var auto []string
	for name, p := range b.Plans {
		if p.Mode == modeAuto && p.Enabled {
			auto = append(auto, name)
		}
	}
	if accepted || len(auto) == 0 {
		return nil
	}
	slices.Sort(auto)
	return fmt.Errorf("plans %s are of mode auto while guards %s are not built: take the risk with --accept-risk, or use dry_run",
		strings.Join(auto, ", "), strings.Join(GuardsNotBuilt(), ", "))
}

// Run works until ctx ends, then lets steps under way end and returns. Runs
// that a former process left behind are claimed when their lease is over.
func (e *Engine) Run(ctx context.Context) error {
	e.loop(ctx, "join", time.Second, e.joinOrphans)
	e.loop(ctx, "incidents", poll, e.claimIncidents)
	e.loop(ctx, "runs", poll, e.claimRuns)
	e.loop(ctx, "outbox", time.Second, e.deliver)
	e.loop(ctx, "deadlines", look, e.tellActing)
	e.loop(ctx, "watchdog", look, e.listen)
	e.loop(ctx, "audit", time.Hour, e.publishHead)
	e.loop(ctx, "reconcile", reconcileEach, e.reconcileAll)
	<-ctx.Done()
	e.work.Wait()
	return nil
}

// loop does one thing again and again: when it is woken, or after a while.
func (e *Engine) loop(ctx context.Context, name string, every time.Duration, do func(context.Context) error) {
	e.work.Go(func() {
		for ctx.Err() == nil {
			if err := do(ctx); err != nil && ctx.Err() == nil {
				level.Error(e.Logger).Log("msg", "a loop of the engine met trouble and tries again", "loop", name, "in", every, "err", err)
				if name == "incidents" || name == "runs" { // what they meet is the store's
					e.tellTrouble(ctx, troubleJournal, fmt.Sprintf("heal-receiver cannot use its journal and does nothing while this lasts: %v", err))
				}
			}
			select {
			case <-ctx.Done():
			case <-e.wakes[name]:
			case <-time.After(every):
			}
		}
	})
}

// kick wakes the loops, since something has changed.
func (e *Engine) kick() {
	for _, wake := range e.wakes {
		select {
		case wake <- struct{}{}:
		default:
		}
	}
}

// desk is what the pure steps are given.
func (e *Engine) desk() desk {
	return desk{book: e.Book(), id: e.NewID, gather: e.Gather, risk: e.AcceptRisk, toldBefore: e.toldBefore}
}

// toldBefore reports whether this process has said it already.
func (e *Engine) toldBefore(dedup string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.told[dedup]
}

// update is Store.Update with what belongs to every change: people are told
// what is due, figures are counted after the commit, and loops are woken. If
// the journal cannot be written, or does not answer in time, a hand-over is sent
// directly, best effort; not if it is this process that is being stopped.
func (e *Engine) update(ctx context.Context, incident, run string, by Claim, change func(*Case) error) error {
	var before figures
	var after *Case
	err := e.Store.Update(ctx, incident, run, by, func(c *Case) error {
		before, after = figuresOf(c), nil
		if err := change(c); err != nil {
			return err
		}
		e.desk().tellDue(c)
		after = c
		return nil
	})
	switch {
	case err == nil && after != nil:
		e.kept(before, after)
	case err != nil && after != nil && !errors.Is(ctx.Err(), context.Canceled) && !errors.Is(err, ErrLost) && !errors.Is(err, ErrTaken):
		e.sendDirectly(ctx, after.Messages)
	}
	return err
}

// kept follows a commit.
func (e *Engine) kept(before figures, c *Case) {
	e.mu.Lock()
	for _, m := range c.Messages {
		e.told[m.Dedup] = true
	}
	if before.state != c.Incident.State || len(e.watches[c.Incident.ID]) > 1000 {
		delete(e.watches, c.Incident.ID)
	}
	if c.Incident.State == stateClosed {
		for dedup := range e.told {
			if strings.HasPrefix(dedup, c.Incident.ID+"/") {
				delete(e.told, dedup)
			}
		}
	}
	e.mu.Unlock()
	e.metrics.count(before, c, e.desk())
	if before.state != c.Incident.State {
		level.Info(e.Logger).Log("msg", "incident has moved", "incident", c.Incident.ID, "service", c.Incident.Service,
			"from", string(before.state), "to", string(c.Incident.State), "reason", string(c.Incident.Reason))
		e.kick()
	} else if len(c.Messages) > 0 {
		e.kick()
	}
}

// prometheus is the one that serves a service.
func (e *Engine) prometheus(s *plan.Service) Prometheus {
	if s != nil {
		if p, known := e.Outside().Prometheus[s.Prometheus]; known {
			return p
		}
	}
	return nobody{}
}

// nobody is a Prometheus that cannot be asked: everything is cannot tell.
type nobody struct{}

// Query answers nothing but the reason.
func (nobody) Query(context.Context, string) ([]Point, error) {
	return nil, errors.New("no Prometheus is configured for this service")
}

// pauseFor waits, or until ctx ends.
func pauseFor(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// publishHead writes the head of the audit trail to the log, where it cannot be
// changed together with the journal.
func (e *Engine) publishHead(ctx context.Context) error {
	counts, err := e.Store.Counts(ctx)
	if err != nil {
		return err
	}
	level.Info(e.Logger).Log("msg", "head of the audit trail", "seq", counts.AuditSeq, "hash", counts.AuditHash)
	return nil
}
