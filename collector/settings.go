package collector

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"

	"github.com/onefiveten/onefiveten/sigma"
)

// Settings are the sections of probe-exporter's configuration that say what is
// probed, for whom, and when that is a fault (DETECTION 2).
type Settings struct {
	Observers []string            `yaml:"observers,omitempty"` // every expected observer; empty: the running one
	Baselines map[string]Baseline `yaml:"baselines,omitempty"` // "default" exists always
	Probes    []Probe             `yaml:"probes,omitempty"`
	Signals   []Query             `yaml:"signals,omitempty"`
	Services  []Service           `yaml:"services,omitempty"`
	Expose    string              `yaml:"expose,omitempty"`  // minimal (default) or full
	Backend   string              `yaml:"backend,omitempty"` // exporter (default) or promql
	Job       string              `yaml:"job,omitempty"`     // label job of results, default probe

	// Bounds of classic buckets in seconds, beside the native histogram. None: no
	// classic buckets.
	DurationBuckets []float64 `yaml:"duration_buckets,omitempty"`

	// What holds for every query. It stands in another section of the configuration.
	Asking Asking `yaml:"-"`

	// What holds where nothing is said, a file of its own; nil: DefaultWindows.
	Windows *Windows `yaml:"-"`
}

// Asking says how the Prometheus that signals come from may be asked.
type Asking struct {
	Timeout     time.Duration // of one query; 0: 2s
	Concurrency int           // queries that may be open at once; 0: 4
	Scrape      time.Duration // interval at which it scrapes /metrics/probes; 0: 15s
}

// Defaults of Asking.
const (
	defaultTimeout     = 2 * time.Second
	defaultConcurrency = 4
	defaultScrape      = 15 * time.Second
)

// scrapeTimeout is that of a Prometheus of which nothing is said.
const scrapeTimeout = 10 * time.Second

// SetDirectory makes the names of files relative to the folder dir.
func (s *Settings) SetDirectory(dir string) {
	for _, p := range s.Probes {
		p.FileSD.setDirectory(dir)
		p.HTTPSD.setDirectory(dir)
	}
}

// Baseline says what is normal for a value: sigma.Baseline with Prometheus
// durations. A Window or Hold of 0 is that of the severity of the service.
type Baseline struct {
	Window     model.Duration  `yaml:"window,omitempty"`
	K          float64         `yaml:"k,omitempty"`
	MinSamples int             `yaml:"min_samples,omitempty"`
	Floor      float64         `yaml:"floor,omitempty"`
	Direction  sigma.Direction `yaml:"direction,omitempty"`
	Season     sigma.Season    `yaml:"season,omitempty"`
	Timezone   string          `yaml:"timezone,omitempty"` // of the hours of the season, such as Asia/Shanghai; default UTC
	Hold       model.Duration  `yaml:"hold,omitempty"`

	zone *time.Location // of Timezone, once a collector has put the settings in force
}

// Probe is one entry of "probes:": a module, an interval and its targets.
type Probe struct {
	Name     string         `yaml:"name"`
	Service  string         `yaml:"service,omitempty"` // empty: of none, probed and never judged
	Module   string         `yaml:"module"`
	Role     string         `yaml:"role,omitempty"` // node (default) or entry, of the service
	Interval model.Duration `yaml:"interval,omitempty"`
	Overlap  int            `yaml:"overlap,omitempty"` // runs of one target that may be open at once
	Targets  TargetList     `yaml:"targets,omitempty"`
	FileSD   *FileSD        `yaml:"file_sd,omitempty"` // further targets
	HTTPSD   *HTTPSD        `yaml:"http_sd,omitempty"` // likewise
}

// Query is one entry of "signals:": an expression that gives one value for each
// member of a service.
type Query struct {
	Name           string         `yaml:"name"` // of the signal
	Service        string         `yaml:"service"`
	Expr           string         `yaml:"expr"`
	Traffic        string         `yaml:"traffic,omitempty"` // how much each member carries, such as requests per second; Expr is then a ratio of it
	Interval       model.Duration `yaml:"interval,omitempty"`
	ScrapeInterval model.Duration `yaml:"scrape_interval,omitempty"` // of what expr reads; default Interval
	ScrapeTimeout  model.Duration `yaml:"scrape_timeout,omitempty"`  // likewise; default 10s, or ScrapeInterval where that is shorter
	Baseline       string         `yaml:"baseline,omitempty"`        // a name in baselines
	Unit           string         `yaml:"unit,omitempty"`
	Range          Range          `yaml:"range,omitempty"`
	MaxSeries      int            `yaml:"max_series,omitempty"` // a longer answer is no answer
}

// Range is what a value can be at all. A threshold stays strictly inside of it.
type Range struct {
	Min *float64 `yaml:"min,omitempty"`
	Max *float64 `yaml:"max,omitempty"`
}

// TargetList are the targets that stand in the configuration itself.
type TargetList []Target

// Target is one address and the labels that its results carry.
type Target struct {
	URL    string            `yaml:"url"`
	Labels map[string]string `yaml:"labels,omitempty"`
}

// Service is what the 1-5-10 targets are promised for.
type Service struct {
	Name       string            `yaml:"name"`
	Owner      string            `yaml:"owner"`
	Severity   string            `yaml:"severity,omitempty"`
	Dimensions []string          `yaml:"dimensions,omitempty"`
	Observers  []string          `yaml:"observers,omitempty"` // who probes it; empty: all of Settings.Observers
	Targets    Times             `yaml:"targets,omitempty"`
	Signals    map[string]Signal `yaml:"signals,omitempty"`
}

// Times are the targets of the three clocks, from the beginning of a fault. Of a
// service those that are 0 are the ones of its severity.
type Times struct {
	Detect  model.Duration `yaml:"detect,omitempty"`
	Locate  model.Duration `yaml:"locate,omitempty"`
	Recover model.Duration `yaml:"recover,omitempty"`
}

// Signal is what a service says about one of its signals.
type Signal struct {
	Mode     string  `yaml:"mode,omitempty"`     // page or ticket
	Baseline string  `yaml:"baseline,omitempty"` // a name in baselines; not for availability
	Expose   string  `yaml:"expose,omitempty"`   // default: that of the settings
	Score    bool    `yaml:"score,omitempty"`    // how unusual each sample is, beside the threshold; not for availability
	Fault    Fault   `yaml:"fault,omitempty"`
	MaxCap   float64 `yaml:"-"` // the largest cap that a proof may choose; of the row of its kind
	Targets  struct {
		Detect model.Duration `yaml:"detect,omitempty"` // 0 means the service's
	} `yaml:"targets,omitempty"`
}

// Fault is sigma.Fault as it is written down. Complete fills what is nil, but
// for a Cap that is to be solved.
type Fault struct {
	Window       *model.Duration `yaml:"fault_window,omitempty"`
	Floor        *float64        `yaml:"floor,omitempty"`
	Cap          *float64        `yaml:"cap,omitempty"`
	MinAnomalies *int            `yaml:"min_anomalies,omitempty"`
	K            *float64        `yaml:"k_e,omitempty"`
	Clear        *int            `yaml:"clear,omitempty"`
}

// Words of the configuration.
const (
	roleNode     = "node"
	roleEntry    = "entry"
	page         = "page"
	ticket       = "ticket"
	minimal      = "minimal"
	full         = "full"
	exporter     = "exporter"
	baselineName = "default"
)

// UnmarshalYAML fills what is not written with its default. What a severity may
// fill later cannot be written as 0: it would not be told from what is not.
func (b *Baseline) UnmarshalYAML(unmarshal func(any) error) error {
	type plain Baseline
	*b = defaultBaseline()
	if err := unmarshal((*plain)(b)); err != nil {
		return err
	}
	return positive(unmarshal, "window", "hold")
}

// UnmarshalYAML fills what is not written with its default.
func (p *Probe) UnmarshalYAML(unmarshal func(any) error) error {
	type plain Probe
	*p = Probe{Role: roleNode, Interval: model.Duration(15 * time.Second), Overlap: 1}
	return unmarshal((*plain)(p))
}

// UnmarshalYAML fills what is not written with its default.
func (q *Query) UnmarshalYAML(unmarshal func(any) error) error {
	type plain Query
	*q = Query{Interval: model.Duration(15 * time.Second), MaxSeries: 1000}
	return unmarshal((*plain)(q))
}

// UnmarshalYAML keeps the place of each target in the list. The library leaves out
// those that are null: mistakes in the others would be told of their neighbours.
func (l *TargetList) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind != yaml.SequenceNode {
		return errors.New("want a list of targets")
	}
	*l = make(TargetList, len(n.Content))
	for i, item := range n.Content {
		if err := item.Decode(&(*l)[i]); err != nil {
			return err
		}
	}
	return nil
}

// UnmarshalYAML takes an address alone for a target without labels. A mapping
// gives labels that are not nil: Check must tell one without an address from what
// is no target at all and has been reported as that.
func (t *Target) UnmarshalYAML(n *yaml.Node) error {
	type plain Target
	switch n.Kind { //nolint:exhaustive // the rest is no target
	case yaml.ScalarNode:
		*t = Target{}
		return n.Decode(&t.URL)
	case yaml.MappingNode:
		*t = Target{Labels: map[string]string{}}
		return n.Decode((*plain)(t))
	}
	return errors.New("got a list, want an address, or {url: …, labels: …}")
}

// UnmarshalYAML fills what is not written with its default.
func (v *Service) UnmarshalYAML(unmarshal func(any) error) error {
	type plain Service
	*v = Service{Dimensions: []string{roleNode}}
	return unmarshal((*plain)(v))
}

// UnmarshalYAML refuses a target of 0, which could not be told from one that is
// not written.
func (t *Times) UnmarshalYAML(unmarshal func(any) error) error {
	type plain Times
	if err := unmarshal((*plain)(t)); err != nil {
		return err
	}
	return positive(unmarshal, "detect", "locate", "recover")
}

// positive refuses durations of 0 under some keys of a mapping.
func positive(unmarshal func(any) error, keys ...string) error {
	var durations map[string]any
	if err := unmarshal(&durations); err != nil {
		return err
	}
	for _, key := range keys {
		if text, ok := durations[key].(string); ok {
			if d, err := model.ParseDuration(text); err == nil && d == 0 {
				return fmt.Errorf("%s: got %s, want more than 0s", key, text)
			}
		}
	}
	return nil
}

// defaultBaseline is the line of defaults in DETECTION 2 but for window and hold,
// which are those of the severity.
func defaultBaseline() Baseline {
	return Baseline{K: 3, MinSamples: 30, Direction: sigma.Upper, Season: sigma.NoSeason}
}

// Complete gives the settings with every default filled in, as the running
// observer sees them: each service names its observers and all of its signals,
// those of queries too, and of a service without a probe those alone that somebody
// has written.
// A nil Fault.Cap is left, for the proof to solve.
func (s Settings) Complete(observer string) Settings {
	if len(s.Observers) == 0 {
		s.Observers = []string{observer}
	}
	s.Windows = s.windows()
	s.Expose, s.Backend, s.Job = cmp.Or(s.Expose, minimal), cmp.Or(s.Backend, exporter), cmp.Or(s.Job, "probe")
	s.Baselines = maps.Clone(s.Baselines)
	if s.Baselines == nil {
		s.Baselines = map[string]Baseline{}
	}
	if _, ok := s.Baselines[baselineName]; !ok {
		s.Baselines[baselineName] = defaultBaseline()
	}
	s.Asking.Timeout = cmp.Or(s.Asking.Timeout, defaultTimeout)
	s.Asking.Concurrency = cmp.Or(s.Asking.Concurrency, defaultConcurrency)
	s.Asking.Scrape = cmp.Or(s.Asking.Scrape, defaultScrape)
	s.Services = slices.Clone(s.Services)
	for i := range s.Services {
		s.Services[i] = s.Services[i].complete(s)
	}
	return s
}

// windows are those that are in force.
func (s Settings) windows() *Windows {
	if s.Windows != nil {
		return s.Windows
	}
	return DefaultWindows()
}

// complete gives a service its targets, observers and every signal.
func (v Service) complete(s Settings) Service {
	v.Severity = cmp.Or(v.Severity, page)
	d := s.Windows.Severities[s.Windows.known(v.Severity)].Targets
	v.Targets = Times{cmp.Or(v.Targets.Detect, d.Detect), cmp.Or(v.Targets.Locate, d.Locate), cmp.Or(v.Targets.Recover, d.Recover)}
	if len(v.Observers) == 0 {
		v.Observers = s.Observers
	}
	v.Signals = maps.Clone(v.Signals)
	if v.Signals == nil {
		v.Signals = map[string]Signal{}
	}
	for _, name := range signalNames {
		if _, named := v.Signals[name]; named || !s.unprobed(v.Name) {
			v.Signals[name] = v.Signals[name].complete(name, v.Severity, s)
		}
	}
	for _, q := range s.Signals {
		if q.Service == v.Name && q.Name != availability && q.Name != latency {
			g := v.Signals[q.Name]
			g.Baseline = cmp.Or(g.Baseline, q.Baseline)
			v.Signals[q.Name] = g.complete(q.Name, v.Severity, s)
		}
	}
	return v
}

// unprobed tells of a service that is known by its queries alone: it has neither
// availability nor latency. One without either is a mistake, which the proof of its
// availability tells.
func (s Settings) unprobed(service string) bool {
	probed := slices.ContainsFunc(s.Probes, func(p Probe) bool { return p.Service == service })
	return !probed && slices.ContainsFunc(s.Signals, func(q Query) bool { return q.Service == service })
}

// complete fills what a signal leaves open from the row of its kind.
func (g Signal) complete(name, severity string, s Settings) Signal {
	row := s.Windows.Row(s.Windows.known(severity), name)
	g.Mode = cmp.Or(g.Mode, row.Mode)
	g.Targets.Detect = cmp.Or(g.Targets.Detect, written(row.Detect))
	if name != availability {
		g.Baseline = cmp.Or(g.Baseline, baselineName)
	}
	g.Expose = cmp.Or(g.Expose, s.Expose)
	g.MaxCap = written(row.MaxCap)
	f, d := &g.Fault, row.Fault()
	f.Window, f.Floor = cmp.Or(f.Window, d.Window), cmp.Or(f.Floor, d.Floor)
	f.MinAnomalies, f.K, f.Clear = cmp.Or(f.MinAnomalies, d.MinAnomalies), cmp.Or(f.K, d.K), cmp.Or(f.Clear, d.Clear)
	if s.scraped() && f.Cap != nil { // the threshold is the cap; the floor is the least one that a proof may choose
		f.Floor = f.Cap
	}
	return g
}

// BaselineOf is what judges a signal of a service of completed settings: the named
// baseline, with window and hold of the severity where it says nothing of them.
func (s Settings) BaselineOf(v Service, signal string) Baseline {
	b, d := s.Baselines[v.Signals[signal].Baseline], s.Windows.Severities[s.Windows.known(v.Severity)].Baseline
	b.Window, b.Hold = cmp.Or(b.Window, d.Window), cmp.Or(b.Hold, d.Hold)
	if s.scraped() { // nothing is kept out of it
		b.Hold = 0
	}
	return b
}

// exposure is how much of a signal is shown; each includes what is before it.
type exposure int

const (
	inShort  exposure = iota
	toLocate          // of values that may page: by them the rules tell where the fault lies
	inFull
)

// exposed is what is shown of a signal that is complete.
func (g Signal) exposed() exposure {
	switch {
	case g.Expose == full:
		return inFull
	case g.Mode == page:
		return toLocate
	}
	return inShort
}

// Sigma gives a fault to the mathematics. What is nil becomes 0: after Complete
// that is a Cap which nobody wrote, and everything of a signal that is refused.
func (f Fault) Sigma() sigma.Fault {
	return sigma.Fault{
		Window: time.Duration(written(f.Window)), Floor: written(f.Floor), Cap: written(f.Cap),
		MinAnomalies: written(f.MinAnomalies), K: written(f.K), Clear: written(f.Clear),
	}
}

// written is what a setting says, 0 where it says nothing.
func written[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// Sigma gives a baseline that has passed Check to the mathematics. Its range is that
// of the signal.
func (b Baseline) Sigma() sigma.Baseline {
	zone := b.zone
	if zone == nil { // no collector has set it; Check has seen that there is such a zone
		zone, _ = location(b.Timezone)
	}
	return sigma.Baseline{
		Window: time.Duration(b.Window), K: b.K, MinSamples: b.MinSamples,
		Floor: b.Floor, Direction: b.Direction, Hold: time.Duration(b.Hold),
		Season: b.Season, Zone: zone,
	}
}

// Sigma gives the range to the mathematics: infinite where there is no end, and
// 0, 0 where there is no range at all.
func (r Range) Sigma() (low, high float64) {
	if r.Min == nil && r.Max == nil {
		return 0, 0
	}
	low, high = math.Inf(-1), math.Inf(1)
	if r.Min != nil {
		low = *r.Min
	}
	if r.Max != nil {
		high = *r.Max
	}
	return low, high
}

// Scraped is the time between two samples of what the expression reads.
func (q Query) Scraped() time.Duration { return time.Duration(cmp.Or(q.ScrapeInterval, q.Interval)) }

// ScrapeTakes is the longest time until such a sample is there: what is written, or
// what Prometheus takes where nothing is.
func (q Query) ScrapeTakes() time.Duration {
	return cmp.Or(time.Duration(q.ScrapeTimeout), min(scrapeTimeout, q.Scraped()))
}

// location is the zone of that name, nil (UTC) for none. That of the machine is no
// zone: observers on several machines would judge by different hours.
func location(name string) (*time.Location, error) {
	switch name {
	case "":
		return nil, nil
	case "Local":
		return nil, errors.New("the hours of this machine need not be those of other observers")
	}
	return time.LoadLocation(name)
}

// zones keeps one location for each name: two that are loaded for the same name
// are not equal, and a baseline whose zone has not changed must be.
type zones map[string]*time.Location

// settle gives the baselines their zones. Of a name that there is no more it
// gives the error.
func (z zones) settle(baselines map[string]Baseline) error {
	for name, b := range baselines {
		if _, known := z[b.Timezone]; !known {
			zone, err := location(b.Timezone)
			if err != nil {
				return fmt.Errorf("baseline %q: timezone %q: %w", name, b.Timezone, err)
			}
			z[b.Timezone] = zone
		}
		b.zone = z[b.Timezone]
		baselines[name] = b
	}
	return nil
}

// Timeout is the deadline of one run of p by a module of that timeout: the
// interval where the module has none.
func (p Probe) Timeout(module time.Duration) time.Duration {
	if module > 0 {
		return module
	}
	return time.Duration(p.Interval)
}
