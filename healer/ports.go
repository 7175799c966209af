package healer

import (
	"context"
	"errors"
	"time"
)

// What a Store answers when a write is refused.
var (
	// ErrLost: the claim is no longer ours; whoever gets it stops at once.
	ErrLost = errors.New("the claim was lost to another owner")
	// ErrTaken: a target lock or an in-flight slot is held by another run, or
	// the incident has an active run already.
	ErrTaken = errors.New("target, slot or incident is taken by another run")
	// ErrNotFound: no such row.
	ErrNotFound = errors.New("not found")
)

// Store is the journal (HEALING 13). Each method is one transaction; an error
// means that nothing of it was kept, but for an unknown outcome of a COMMIT,
// which the store resolves itself.
type Store interface {
	// Accept keeps the notification and applies its alerts to the episodes of
	// its source, sorted by fingerprint (HEALING 3). It opens no incident.
	Accept(ctx context.Context, n Notification) (Accepted, error)
	// Refuse keeps a body that could not be read, as "bad", cut to 64 KiB.
	Refuse(ctx context.Context, source string, body []byte, reason string) error
	// Reconcile applies one reading of all reachable peers of a source:
	// muted_by of what was seen, opens what was held back as stale but is
	// active and what is Routed though no webhook has brought it, and closes
	// ("gone") what was absent in this and the reading before it. A reading shows
	// the alerts of all receivers: what never came to us is not ours.
	Reconcile(ctx context.Context, source string, seen []Alert) error

	// Orphans are the open episodes without incident, oldest first.
	Orphans(ctx context.Context) ([]Episode, error)
	// Join gives the episodes to the open incident of the key, or to a new one
	// made from fresh (whose ID and Key are set) and then runs change on it. If
	// change returns an error nothing is kept, no new incident either.
	Join(ctx context.Context, fresh Incident, episodes []string, change func(*Case) error) error

	// ClaimIncident claims the most urgent incident that is due (next_at
	// reached, not owned or lease over), in the order of HEALING 4, and gives
	// its id and claim; "" when none is due.
	ClaimIncident(ctx context.Context, owner string, lease time.Duration) (string, Claim, error)
	// ClaimRun claims a live run that nobody drives (ready and not_before
	// reached; running, verifying or undoing with its lease over; due_at
	// passed), gives its incident and the run's id and claim.
	ClaimRun(ctx context.Context, owner string, lease time.Duration) (incident, run string, c Claim, err error)
	// Renew prolongs the lease of an incident (run "") or of a run.
	Renew(ctx context.Context, incident, run string, c Claim, lease time.Duration) error

	// Update loads the incident's case, runs change on it and keeps what
	// changed, with locks, slots and audit chain, in one transaction. by is the
	// claim under which it happens: it is checked against the run named run,
	// or else the incident; the zero Claim checks nothing (a person acts). If
	// change returns an error nothing is kept and Update returns it.
	Update(ctx context.Context, incident, run string, by Claim, change func(*Case) error) error

	// Read gives a case to look at; nothing is kept, and its World is nil.
	Read(ctx context.Context, incident string) (*Case, error)
	// Incidents lists incidents, newest first; open only, or with the closed ones.
	Incidents(ctx context.Context, closed bool, limit int) ([]Incident, error)
	// Mitigations lists what is not released, of one service or of all ("").
	Mitigations(ctx context.Context, service string) ([]Mitigation, error)
	// Audit lists entries after a number, in order; incident "" = of all.
	Audit(ctx context.Context, incident string, after int64, limit int) ([]Entry, error)

	// Pulses lists what is known of the Watchdog of each source. Accept keeps when
	// one was received.
	Pulses(ctx context.Context) ([]Pulse, error)
	// Pulse runs a step over the Watchdog of one source and keeps it with what it
	// says, in one transaction.
	Pulse(ctx context.Context, source string, step func(*Vigil)) error

	// DueMessages are those whose time has come.
	DueMessages(ctx context.Context, limit int) ([]Message, error)
	// Delivered marks a message sent, or with a cause its failed try and the next.
	Delivered(ctx context.Context, id string, cause error, next time.Time) error

	// Counts gives what the gauges need.
	Counts(ctx context.Context) (Counts, error)
	// Behind is how far the host's clock has jumped back behind the store's. Beyond
	// one second the store lets nothing be claimed until it has caught up.
	Behind() time.Duration
}

// Accepted says what became of a notification's alerts.
type Accepted struct {
	ID                               string // of the inbox row
	Opened, Closed, Refreshed, Stale int
}

// Counts are the journal's figures for gauges.
type Counts struct {
	Incidents    map[State]int
	EpisodesOpen map[string]int // by source
	Unrouted     int            // open episodes without a service
	Outbox       int            // messages not yet sent
	Holds        map[string]int // holds in force, by kind
	InboxBytes   int64
	AuditSeq     int64
	AuditHash    string
}

// Case is one incident with all that a step over it needs, loaded in one
// transaction. A change edits it in place: the store keeps the difference.
// Rows are added by appending (new Runs, Steps, Samples, Decisions, Instants,
// Mitigations, Messages, Entries); nothing is removed. A run that ended frees
// its locks and slots in the same transaction, one that became unresolved its
// slots alone: the store does it. The claim of the incident and of a run is
// kept as it stands in the Case after the change: clearing owner and lease lets
// it go, a new run is born with the claim of its maker. An open episode whose
// Incident was cleared is an orphan again (a superseded incident gives its
// episodes back). A message whose (sink, dedup) is known is dropped in silence.
type Case struct {
	Now      time.Time // the store's clock, to the millisecond
	Incident Incident

	Episodes    []Episode    // open and closed, oldest first
	Instants    []Instant    // of all rounds
	Runs        []Run        // of this incident, oldest first, with steps and samples
	Decisions   []Decision   // of this incident, oldest first
	Mitigations []Mitigation // of the incident's service that are not released, and all of this incident

	Messages []Message // to add
	Entries  []Entry   // to add

	World World
}

// World answers what a case needs to know of other incidents, inside the same
// transaction.
type World interface {
	// Lock gives the run that holds the lock of a target, or "".
	Lock(target string) (run string, err error)
	// Slots counts the places taken in a scope.
	Slots(scope string) (int, error)
	// PlanRuns are the runs of a plan on a target created since an instant,
	// of all incidents, newest first, without steps.
	PlanRuns(plan, target string, since time.Time) ([]Run, error)
}

// Action is one rendered step, ready to be carried out.
type Action struct {
	Exec []string // argv, program first; empty for HTTP
	HTTP *Request

	Timeout        time.Duration
	TransientCodes []int             // exit or status codes that surely changed nothing
	Env            map[string]string // HEAL_FENCE, HEAL_RUN, HEAL_INCIDENT, HEAL_ATTEMPT; as X-Heal-* headers on HTTP
	IdempotencyKey string            // run/phase/n
}

// Request is one HTTP call with its body already rendered. Client names the
// step's http_config: the plan and the step ("plan/phase/n").
type Request struct {
	Method, URL string
	Body        []byte
	Client      string
}

// Result is what became of an action: outcome, a cause for people and the
// captured output (at most 64 KiB a stream).
type Result struct {
	Outcome Outcome
	Cause   string
	Output  string
}

// Executor carries out one action. It never repeats and never judges more than
// one try; ctx ends with the lease.
type Executor interface {
	Do(ctx context.Context, a Action) Result
}

// Prometheus answers instant queries of one Prometheus-compatible API; promapi
// fits. Vector elements carry their labels without the metric name. time() is
// asked as a query, too.
type Prometheus interface {
	Query(ctx context.Context, query string) ([]Point, error)
}

// Point is one element of an instant vector (a scalar is one without labels).
type Point struct {
	Labels map[string]string
	At     time.Time
	Value  float64
}

// Alertmanagers reads every peer of one source.
type Alertmanagers interface {
	// Alerts merges what the reachable peers show: muted if any says so. settled
	// says that a peer among them has run long enough to have been told of all
	// that fires; if none has, an absent alert means nothing. It is an error if
	// none answers.
	Alerts(ctx context.Context) (alerts []Alert, settled bool, err error)
}

// Sink delivers one message to one contact.
type Sink interface {
	Send(ctx context.Context, m Message) error
}
