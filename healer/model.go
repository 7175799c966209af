package healer

import "time"

// Claim is the right to change an incident or a run: an owner, the number of
// the claim (the claim fence, which rises with each claim) and the end of the
// lease. The zero Claim is nobody's.
type Claim struct {
	Owner      string
	Fence      int64
	LeaseUntil time.Time
}

// Incident is one fault of one service with all that belongs to it
// (HEALING 4). Instants are the store's clock but FaultStart, which is the
// source's.
type Incident struct {
	ID, Key, Cluster, Service string

	OpenedAt         time.Time
	FaultStart       time.Time
	FaultStartSource string        // where FaultStart was read: annotation, startsAt …
	FaultStartError  time.Duration // its uncertainty

	State     State
	Reason    Code      // why it waits or is with a human
	NextAt    time.Time // when a worker looks again; zero = when its run ends
	WaitUntil time.Time // end of patience: the rung's (max_wait) until it acts, the next reminder's while with a human

	Scenario string
	Severity int // 1 (worst) to 5
	Scope    Scope
	Verdict  Verdict
	Rung     int // place in the ladder, from 0
	Round    int // 0 is the first fault, each relapse adds one

	Drill, Previous string // ids; empty = none

	AckedBy     string
	AckedAt     time.Time
	ClosedAt    time.Time
	CloseReason string

	Claim Claim
}

// Verdict says where a fault lies. Members are the member_by values that the
// alerts claim; Evidence is one line per reading that led there.
type Verdict struct {
	Scope      Scope     `json:"scope"`
	Members    []string  `json:"members,omitempty"`
	Confidence float64   `json:"confidence"`
	Evidence   []string  `json:"evidence,omitempty"`
	At         time.Time `json:"at"`
}

// Instant is one named moment of one round of an incident: fault_start,
// first_bad_sample, active, fired, received, located, planned, acted,
// recovered, verified, handed_over, acked or closed. Source names the clock
// or the reading.
type Instant struct {
	Round  int
	Name   string
	At     time.Time
	Source string
	Marked string // "maintenance" where the clock ran through one
}

// Episode is one unbroken firing of one fingerprint of one source. StartsAt is
// the source's clock, the rest is the store's.
type Episode struct {
	ID, Source, Fingerprint, Incident string

	Labels, Annotations map[string]string
	Trigger             bool // may start or carry action

	OpenedAt, StartsAt, SeenAt time.Time

	MutedBy     string // "" = not muted; else "silence:ID", "inhibited:FINGERPRINT", comma-joined
	ClosedAt    time.Time
	CloseReason string // resolved, gone, person
}

// Run is one execution of a plan for an incident on a target.
type Run struct {
	ID, Incident string

	Purpose  string // rung, manual, repair, put_back
	Plan     string
	Kind     string
	PlanHash string // SHA-256 of the plan, its service's part and the limits
	PlanText string // the plan in force when the run began, canonical JSON
	Target   string // type:name
	Member   map[string]string
	Attempt  int
	Mode     string // dry_run, approve, auto

	AskedBy, Overrides string

	State  RunState
	Reason Code
	Claim  Claim

	NotBefore, DueAt, CreatedAt time.Time
	FenceAt                     time.Time // the time fence: Prometheus' clock after the last step
	EndedAt                     time.Time

	Locks []string // targets locked while the run lives: its own and its service's
	Slots []Slot   // places taken in the in-flight caps while the run lives

	Steps   []Step
	Samples []Sample
}

// Slot is one place in an in-flight cap: scope "all" or "plan:NAME", at most Max
// of them taken at once. The store chooses the place.
type Slot struct {
	Scope string
	Max   int
}

// Step is one try of one step of a run: the intent, and after it the outcome.
// A step with an intent and no outcome is in doubt.
type Step struct {
	Phase  string // evidence, act, undo
	N, Try int    // from 0 and from 1
	Fence  int64  // claim fence of the intent
	What   string // the rendered action, for people

	IntentAt, FinishedAt time.Time
	Outcome              Outcome
	Output               string // at most 64 KiB
}

// Outcome of a step (HEALING 9).
type Outcome string

// The outcomes of a step. The empty Outcome is an intent without result.
const (
	OK        Outcome = "ok"        // exit 0, 2xx
	Failed    Outcome = "failed"    // surely not done as asked
	Transient Outcome = "transient" // surely nothing was changed, may be repeated
	InDoubt   Outcome = "in_doubt"  // may or may not have happened: verify
)

// Answer is what a question that can fail is answered with (HEALING 2,
// three-valued queries).
type Answer string

// The three answers. CannotTell never leads to an action and never counts as
// a proof.
const (
	Good       Answer = "good"
	Bad        Answer = "bad"
	CannotTell Answer = "cannot_tell"
)

// Sample is one evaluation of a proof.
type Sample struct {
	At      time.Time
	Answer  Answer
	Numbers string // JSON: the values compared
}

// Decision is one judgement over one rung: what, why (a code of the closed
// list of HEALING 6) and the numbers compared.
type Decision struct {
	ID           string
	At, LastAt   time.Time
	Repeats      int
	Round, Rung  int
	Plan, Target string
	Verb         Verb
	Code         Code
	Numbers      map[string]any
	NextAt       time.Time // set for wait
	Run          string    // set for act and ask
}

// Mitigation is what a successful run leaves in place on a target until it is
// released.
type Mitigation struct {
	ID, Incident, Run, Service, Target, Kind string

	State         string // unknown, held, releasing, released
	Since         time.Time
	ReleaseManual bool
	ReleaseAt     time.Time
	Reisolated    bool
	Member        map[string]string // of the run that made it
	ReleasedAt    time.Time
	ReleasedBy    string
}

// Message is one word to one contact: a row of the outbox, delivered at least
// once. (Sink, Dedup) is unique: the second with the same pair is dropped.
type Message struct {
	ID, Incident, Kind, Sink, Dedup string

	Body                      string // JSON: a notice (tell.go)
	CreatedAt, NextAt, SentAt time.Time
	Tries                     int
	LastError                 string
}

// Entry is one row of the audit trail; the store numbers and chains it.
type Entry struct {
	Seq            int64
	At             time.Time
	Incident, Run  string
	Actor          string // "heal-receiver", "alertmanager", or a person's client name
	Event          string
	Code           Code
	Body           string // JSON
	PrevHash, Hash string
}

// Notification is one webhook request as it came, and its alerts.
type Notification struct {
	Source   string
	Body     []byte
	Alerts   []Alert
	Watchdog bool // a Watchdog fires among them; filled by the healer
}

// Pulse is what the journal knows of the Watchdog of one source. Zero = never.
type Pulse struct {
	Source   string
	SeenAt   time.Time // when it was received last
	SilentAt time.Time // since when it is overdue; zero = it is not
	SaidAt   time.Time // when people were told so last
}

// Vigil is one look at the Watchdog of one source. A step edits Pulse in place and
// adds what is to be said.
type Vigil struct {
	Now      time.Time // the store's clock
	Pulse    Pulse
	Messages []Message
	Entries  []Entry
}

// Alert is one alert of a notification, or one that a reading of Alertmanager's
// API showed. EndsAt is zero while it fires.
type Alert struct {
	Fingerprint         string
	Labels, Annotations map[string]string
	StartsAt, EndsAt    time.Time
	Firing              bool
	Trigger             bool // filled by the healer before the store sees it

	// Of a reading of the API alone.
	MutedBy   string   // who mutes it, comma-joined; "" = the peers say active
	Receivers []string // that it is sent to; none where a time interval mutes some of them
	Routed    bool     // filled by the healer: a receiver of ours, whose messages were cut short
}
