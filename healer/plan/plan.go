package plan

import (
	"regexp"
	"time"

	"github.com/prometheus/alertmanager/pkg/labels"
	promconfig "github.com/prometheus/common/config"
)

// Plan is one emergency action, ready to be rendered.
type Plan struct {
	Name    string
	Kind    string // rollback, isolate, restart, switchover, scale_out or throttle
	Mode    string // observe, dry_run or auto
	Member  bool   // a member plan: its target names a member; else a service plan
	Each    int    // members treated at most; more located ones refuse the rung
	When    []Query
	Steps   []Step
	Undo    []Step
	Atomic  bool // the remaining steps run although the fault has gone
	Rolling bool // the executor itself replaces members a few at a time
	Verify  Verify

	OnFailure string   // undo or keep
	Release   *release // nil: the kind leaves nothing in place

	Values  *regexp.Regexp // what a value from outside must match wholly
	Params  map[string]string
	Limits  Limits // of this plan alone, zero where it adds none; InFlight is never zero
	Enabled bool

	target tmpl
	source planSettings
}

// Step is one command or one HTTP call of a plan.
type Step struct {
	Timeout        time.Duration // for the step and its retries
	Retries        int
	Idempotent     bool
	TransientCodes []int  // exit or status codes that surely changed nothing
	Output         bool   // the role read sees what it printed
	Client         string // "plan/phase/n" for HTTP, empty for exec; names a Book's client

	argv   []tmpl
	method string // empty for exec
	url    urlTemplate
	body   any // a tree whose strings are tmpl
}

// Verify says how the effect of a plan is proved (HEALING 10).
type Verify struct {
	Service bool  // the service's own proof; Query is empty then
	Query   Query // something narrower
	For     time.Duration
	Within  time.Duration
	Every   time.Duration
	// Settle is what is added to the time fence before counting begins: as
	// configured, else the query's range. With Service it is zero unless the
	// plan gives its own: the Service's holds then. Unless SettleGiven, interval
	// + timeout of series with their own schedule come on top.
	Settle      time.Duration
	SettleGiven bool
}

// release says how a mitigation is taken back. Today only people start it.
type release struct{ Manual bool }

// Service is one service and how its health is told.
type Service struct {
	Name, Owner string
	Prometheus  string // name of the Prometheus that serves claim, guards and proof
	Members     string // PromQL: one series per member, 1 or 0; empty = no members
	MemberBy    string // label that a located name is looked up in
	Confirm     string // PromQL: a sample means that Prometheus sees the fault; empty = ALERTS
	Healthy     Query
	Settle      time.Duration // of Healthy: as configured, else its range
	SettleGiven bool          // see Verify
	Params      map[string]string
	Limits      Limits // of this service alone, zero where it adds none
	Enabled     bool

	source serviceSettings
}

// Limits bound the work of one level: everything, a service or a plan. Limits
// compose by all must allow; zero adds no limit.
type Limits struct {
	InFlight int // runs at once
	Attempts int // per incident, plan and target
	Cooldown cooldown
}

// Targets are the three clocks, counted from the fault's start.
type Targets struct{ Detect, Locate, Recover time.Duration }

// Scenario is a foreseen fault with a ladder of plans for each scope.
type Scenario struct {
	Name, Owner string
	Severity    int    // 1 to 5; 0 = from the alert's label
	Scope       string // located, or the scope that the alert itself states
	Targets     Targets
	Ladders     map[string][]Rung
	Escalate    Escalate
	Enabled     bool

	match    labels.Matchers
	inherits bool // escalate is the top level's
}

// Rung is one place in a ladder. Next are the codes of a refusal after which
// the ladder goes on instead of stopping.
type Rung struct {
	Plan string
	Next []string
}

// Escalate says who hears of an incident and when.
type Escalate struct {
	To     []string        // contacts that it is handed over to
	Tell   []string        // instants that are told: names of instants, locate_deadline, recover_deadline
	After  []time.Duration // told when so much has passed since the fault's start
	Remind time.Duration   // between reminders until acknowledged
}

// Contact is one receiver of messages: a webhook.
type Contact struct {
	URL        string // or
	URLFile    string // read again when it changes
	HTTPConfig promconfig.HTTPClientConfig
}

// Data is what templates see. Values of Member, Labels and Annotations come
// from outside and must match the plan's values.
type Data struct {
	Service     *Service
	Member      map[string]string // labels of the located member; nil for a service plan
	Labels      map[string]string // of the leading trigger
	Annotations map[string]string // of the leading trigger
	Incident    struct {
		ID, Scenario, Scope  string
		Severity, Round      int
		FaultStart, OpenedAt int64 // unix seconds
	}
	Run struct {
		ID      string
		Attempt int
		Fence   int64 // claim fence
	}
}

// Rendered is one step, ready to be carried out: Exec, or Method, URL and Body.
type Rendered struct {
	Step
	Exec        []string
	Method, URL string
	Body        []byte // JSON; nil = none
}

// Refusal is a no for one run with the code of HEALING 6: unsafe_value or
// empty_target.
type Refusal struct{ Code, Text string }

// Error gives the text for people.
func (r *Refusal) Error() string { return r.Text }
