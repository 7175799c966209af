package plan

import (
	promconfig "github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"
)

// Settings are the keys of heal-receiver.yml but auth (HEALING 2). Check names
// every mistake in them, Compile makes them a Book.
type Settings struct {
	Cluster       string                 `yaml:"cluster"`
	Storage       storageSettings        `yaml:"storage"`
	Prometheus    []prometheusSettings   `yaml:"prometheus"`
	Alertmanagers []alertmanagerSettings `yaml:"alertmanagers"`
	Labels        labelSettings          `yaml:"labels"`
	Targets       targetSettings         `yaml:"targets"`

	Gather       *model.Duration `yaml:"gather"`
	MaxWait      *model.Duration `yaml:"max_wait"`
	QuietFor     *model.Duration `yaml:"quiet_for"`
	ReopenWithin *model.Duration `yaml:"reopen_within"`
	HeldMax      later           `yaml:"held_max"`

	Limits limitSettings `yaml:"limits"`
	Exec   struct {
		Programs []string `yaml:"programs"`
	} `yaml:"exec"`
	HTTP struct {
		AllowedHosts []string `yaml:"allowed_hosts"`
	} `yaml:"http"`

	Services  []serviceSettings          `yaml:"services"`
	Plans     map[string]planSettings    `yaml:"plans"`
	Scenarios []scenarioSettings         `yaml:"scenarios"`
	Escalate  escalateSettings           `yaml:"escalate"`
	Watchdog  watchdogSettings           `yaml:"watchdog"`
	Notify    map[string]contactSettings `yaml:"notify"`
	Include   later                      `yaml:"include"`
}

// storageSettings say where the journal is kept.
type storageSettings struct {
	SQLite   string `yaml:"sqlite"` // file; empty = in the state folder
	Postgres later  `yaml:"postgres"`
}

// prometheusSettings are one server. Each service names the one that serves its
// claims, guards and proofs; the first serves those that name none.
type prometheusSettings struct {
	Name       string                       `yaml:"name"`
	URL        string                       `yaml:"url"`
	HTTPConfig *promconfig.HTTPClientConfig `yaml:"http_config"`
	Timeout    *model.Duration              `yaml:"timeout"` // 2s
}

// alertmanagerSettings are one source with all its peers. Any reachable peer that
// says muted = muted, so all of them must be named.
type alertmanagerSettings struct {
	Name       string                       `yaml:"name"`
	Peers      []string                     `yaml:"peers"`
	Cluster    string                       `yaml:"cluster"` // overrides the top one
	HTTPConfig *promconfig.HTTPClientConfig `yaml:"http_config"`
}

// labelSettings are ordered candidates: the first label that is present wins.
type labelSettings struct {
	Service  []string `yaml:"service"`
	Node     []string `yaml:"node"`
	Scope    []string `yaml:"scope"`
	Severity []string `yaml:"severity"`
}

// targetSettings are the three clocks, by default 60s, 5m and 10m.
type targetSettings struct {
	Detect  *model.Duration `yaml:"detect"`
	Locate  *model.Duration `yaml:"locate"`
	Recover *model.Duration `yaml:"recover"`
}

// limitSettings stand at the top, in a service and in a plan. A narrower level
// adds a limit and never lifts one.
type limitSettings struct {
	InFlight     *int              `yaml:"in_flight" json:"in_flight,omitzero"`
	Cooldown     *cooldownSettings `yaml:"cooldown" json:"cooldown,omitzero"`
	Attempts     *int              `yaml:"attempts" json:"attempts,omitzero"`
	Budgets      later             `yaml:"budgets" json:"budgets,omitzero"`
	Storm        later             `yaml:"storm" json:"storm,omitzero"`
	Breaker      later             `yaml:"breaker" json:"breaker,omitzero"`
	Demote       later             `yaml:"demote" json:"demote,omitzero"`
	Blockers     later             `yaml:"blockers" json:"blockers,omitzero"`
	StartupGrace later             `yaml:"startup_grace" json:"startup_grace,omitzero"`
	NeverTouch   later             `yaml:"never_touch" json:"never_touch,omitzero"`
	KillFile     later             `yaml:"kill_file" json:"kill_file,omitzero"`
}

// cooldownSettings grow with failures, by default 15m, 2 and 4h.
type cooldownSettings struct {
	First  *model.Duration `yaml:"first" json:"first,omitzero"`
	Factor *float64        `yaml:"factor" json:"factor,omitzero"`
	Max    *model.Duration `yaml:"max" json:"max,omitzero"`
}

// serviceSettings describe one service: who owns it, where its members are found,
// how its health is told. Members is a query with one series per member, 1 or 0,
// whose labels are the only addresses that a target is made of.
type serviceSettings struct {
	Name        string            `yaml:"name" json:"name,omitzero"`
	Owner       string            `yaml:"owner" json:"owner,omitzero"`
	Prometheus  string            `yaml:"prometheus" json:"prometheus,omitzero"`
	DependsOn   later             `yaml:"depends_on" json:"depends_on,omitzero"`
	Members     string            `yaml:"members" json:"members,omitzero"`
	MemberBy    string            `yaml:"member_by" json:"member_by,omitzero"`
	Healthy     healthySettings   `yaml:"healthy" json:"healthy,omitzero"`
	Confirm     string            `yaml:"confirm" json:"confirm,omitzero"`
	BlastRadius later             `yaml:"blast_radius" json:"blast_radius,omitzero"`
	Params      map[string]string `yaml:"params" json:"params,omitzero"`
	Limits      limitSettings     `yaml:"limits" json:"limits,omitzero"`
	Enabled     *bool             `yaml:"enabled" json:"enabled,omitzero"`
}

// healthySettings are the proof of a service. Settle must be given where a
// recorded name hides the range of its rule.
type healthySettings struct {
	Query  string          `yaml:"query" json:"query,omitzero"`
	Settle *model.Duration `yaml:"settle" json:"settle,omitzero"`
}

// planSettings describe one emergency action. Mode is observe unless given, each
// is one member, atomic is true from two steps on, on_failure is undo where undo
// is given, values is the default pattern.
type planSettings struct {
	Kind      string            `yaml:"kind" json:"kind,omitzero"`
	Mode      string            `yaml:"mode" json:"mode,omitzero"`
	Approve   later             `yaml:"approve" json:"approve,omitzero"`
	Target    string            `yaml:"target" json:"target,omitzero"`
	Each      eachSettings      `yaml:"each" json:"each,omitzero"`
	When      []string          `yaml:"when" json:"when,omitzero"`
	Evidence  later             `yaml:"evidence" json:"evidence,omitzero"`
	Steps     []stepSettings    `yaml:"steps" json:"steps,omitzero"`
	Atomic    *bool             `yaml:"atomic" json:"atomic,omitzero"`
	Rolling   bool              `yaml:"rolling" json:"rolling,omitzero"`
	Verify    verifySettings    `yaml:"verify" json:"verify,omitzero"`
	Undo      []stepSettings    `yaml:"undo" json:"undo,omitzero"`
	OnFailure string            `yaml:"on_failure" json:"on_failure,omitzero"`
	Release   releaseSettings   `yaml:"release" json:"release,omitzero"`
	Values    string            `yaml:"values" json:"values,omitzero"`
	Params    map[string]string `yaml:"params" json:"params,omitzero"`
	Limits    limitSettings     `yaml:"limits" json:"limits,omitzero"`
	Enabled   *bool             `yaml:"enabled" json:"enabled,omitzero"`
}

// eachSettings say how many located members one rung treats.
type eachSettings struct {
	Max   *int   `yaml:"max" json:"max,omitzero"`
	Order string `yaml:"order" json:"order,omitzero"`
}

// stepSettings are one command or one call. The time-out holds for all retries
// together; without idempotent a doubt is never repeated.
type stepSettings struct {
	Exec           []string        `yaml:"exec" json:"exec,omitzero"`
	HTTP           *httpSettings   `yaml:"http" json:"http,omitzero"`
	Timeout        *model.Duration `yaml:"timeout" json:"timeout,omitzero"`
	Retries        int             `yaml:"retries" json:"retries,omitzero"`
	Idempotent     bool            `yaml:"idempotent" json:"idempotent,omitzero"`
	TransientCodes []int           `yaml:"transient_codes" json:"transient_codes,omitzero"`
	Output         bool            `yaml:"output" json:"output,omitzero"`
}

// httpSettings are one call. Body is a tree whose texts are templates, sent as
// JSON.
type httpSettings struct {
	Method     string                       `yaml:"method" json:"method,omitzero"`
	URL        string                       `yaml:"url" json:"url,omitzero"`
	Body       any                          `yaml:"body" json:"body,omitzero"`
	HTTPConfig *promconfig.HTTPClientConfig `yaml:"http_config" json:"http_config,omitzero"`
}

// verifySettings are the proof of a plan: the service's own, or a query. By
// default for 20s, within 90s, every 5s.
type verifySettings struct {
	Healthy string          `yaml:"healthy" json:"healthy,omitzero"`
	Query   string          `yaml:"query" json:"query,omitzero"`
	For     *model.Duration `yaml:"for" json:"for,omitzero"`
	Within  *model.Duration `yaml:"within" json:"within,omitzero"`
	Every   *model.Duration `yaml:"every" json:"every,omitzero"`
	Settle  *model.Duration `yaml:"settle" json:"settle,omitzero"`
}

// scenarioSettings describe a foreseen fault. Match holds Alertmanager's matchers,
// all of which must hold.
type scenarioSettings struct {
	Name     string                    `yaml:"name"`
	Match    []string                  `yaml:"match"`
	Scope    string                    `yaml:"scope"`
	Owner    string                    `yaml:"owner"`
	Severity string                    `yaml:"severity"`
	Targets  targetSettings            `yaml:"targets"`
	Ladders  map[string][]rungSettings `yaml:"ladders"`
	Escalate *escalateSettings         `yaml:"escalate"`
	Inject   later                     `yaml:"inject"`
	Revert   later                     `yaml:"revert"`
	Enabled  *bool                     `yaml:"enabled"`
}

// escalateSettings say who hears of it. Tell holds names of instants and times
// after the fault's start.
type escalateSettings struct {
	To        []string        `yaml:"to"`
	Tell      []string        `yaml:"tell"`
	Remind    *model.Duration `yaml:"remind"`
	AckWithin later           `yaml:"ack_within"`
}

// watchdogSettings say when the Watchdog of a source is missed, and who hears of
// it: by default those of escalate, as often as it reminds.
type watchdogSettings struct {
	Within  *model.Duration `yaml:"within"` // 5m
	To      []string        `yaml:"to"`
	Remind  *model.Duration `yaml:"remind"`
	Enabled *bool           `yaml:"enabled"`
}

// contactSettings are one kind of contact each.
type contactSettings struct {
	Webhook  *webhookSettings `yaml:"webhook"`
	Slack    later            `yaml:"slack"`
	Feishu   later            `yaml:"feishu"`
	Template later            `yaml:"template"`
}

// webhookSettings hold the URL or the file that it stands in: it is often its own
// credential.
type webhookSettings struct {
	URL        string                       `yaml:"url"`
	URLFile    string                       `yaml:"url_file"`
	HTTPConfig *promconfig.HTTPClientConfig `yaml:"http_config"`
}

// later is a key whose work comes in a later step: true when anything is asked
// of it. An empty list or mapping asks for nothing.
type later bool

// UnmarshalYAML takes any shape: what the key may hold is not judged yet.
func (l *later) UnmarshalYAML(n *yaml.Node) error {
	*l = n.Kind == yaml.ScalarNode && n.ShortTag() != "!!null" || len(n.Content) > 0
	return nil
}

// releaseSettings is the word manual, or "mapping" for the form that comes in
// a later step.
type releaseSettings string

// UnmarshalYAML takes the word or the mapping.
func (r *releaseSettings) UnmarshalYAML(n *yaml.Node) error {
	*r = releaseSettings(n.Value)
	if n.Kind == yaml.MappingNode {
		*r = "mapping"
	}
	return nil
}

// rungSettings is a plan's name, or {plan, on_refuse: {next: [codes]}}.
type rungSettings struct {
	Plan     string `yaml:"plan"`
	OnRefuse struct {
		Next []string `yaml:"next"`
	} `yaml:"on_refuse"`
}

// UnmarshalYAML takes the name or the mapping.
func (r *rungSettings) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		return n.Decode(&r.Plan)
	}
	type mapping rungSettings
	return n.Decode((*mapping)(r))
}
