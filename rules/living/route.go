package living

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/alertmanager/matcher/parse"
	"github.com/prometheus/alertmanager/pkg/labels"
	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"
)

// What Alertmanager takes where a route says nothing.
const (
	defaultWait     = 30 * time.Second
	defaultInterval = 5 * time.Minute
	defaultRepeat   = 4 * time.Hour
)

// secret is what Alertmanager shows in the place of one.
const secret = "<secret>"

// Alertmanager is what of a configuration of Alertmanager stands between an alert
// and its receiver.
type Alertmanager struct {
	root      *route
	receivers []receiver
	inhibits  []inhibit
}

// configFile is what is read of the text. All other keys are let pass.
type configFile struct {
	Route     *route     `yaml:"route"`
	Receivers []receiver `yaml:"receivers"`
	Inhibits  []inhibit  `yaml:"inhibit_rules"`
}

// receiver is one entry of receivers with its webhooks.
type receiver struct {
	Name     string    `yaml:"name"`
	Webhooks []webhook `yaml:"webhook_configs"`
}

// webhook is one entry of webhook_configs.
type webhook struct {
	URL          string `yaml:"url"`
	URLFile      string `yaml:"url_file"`
	SendResolved *bool  `yaml:"send_resolved"` // default true
	MaxAlerts    uint64 `yaml:"max_alerts"`
	HTTP         struct {
		Follow *bool `yaml:"follow_redirects"` // default true
	} `yaml:"http_config"`
}

// condition are matchers in the three ways to write them.
type condition struct {
	Equal    map[string]string `yaml:"match"`
	Patterns map[string]string `yaml:"match_re"`
	Matchers []string          `yaml:"matchers"`

	all labels.Matchers
}

// route is one node of the routing tree.
type route struct {
	condition `yaml:",inline"`
	Receiver  string          `yaml:"receiver"`
	GroupBy   []string        `yaml:"group_by"`
	Wait      *model.Duration `yaml:"group_wait"`
	Interval  *model.Duration `yaml:"group_interval"`
	Repeat    *model.Duration `yaml:"repeat_interval"`
	Continue  bool            `yaml:"continue"`
	Mute      []string        `yaml:"mute_time_intervals"`
	Active    []string        `yaml:"active_time_intervals"`
	Routes    []*route        `yaml:"routes"`
}

// inhibit is one rule of inhibition, as far as it says whom it mutes.
type inhibit struct {
	Name     string            `yaml:"name"`
	Equal    map[string]string `yaml:"target_match"`
	Patterns map[string]string `yaml:"target_match_re"`
	Matchers []string          `yaml:"target_matchers"`

	target condition
}

// Hop is a route that an alert reaches, with what it has from the routes above it.
type Hop struct {
	Receiver               string
	GroupBy                []string // sorted; nil: all alerts in one group
	Alone                  bool     // group_by: ['...'], each alert in a group of its own
	Wait, Interval, Repeat time.Duration
	Mute, Active           []string // time intervals of this route alone
	Continue               bool
}

// Parse reads a configuration of Alertmanager. An error quotes nothing of it but
// matchers: it is of others, and may hold secrets.
func Parse(text string) (*Alertmanager, error) {
	var f configFile
	if err := yaml.Unmarshal([]byte(text), &f); err != nil {
		return nil, fmt.Errorf("reading Alertmanager's configuration: its %d bytes are no YAML of Alertmanager", len(text))
	}
	if f.Route == nil {
		return nil, errors.New("reading Alertmanager's configuration: it has no route")
	}
	if err := f.Route.compile(); err != nil {
		return nil, fmt.Errorf("reading Alertmanager's configuration: %w", err)
	}
	for i, r := range f.Inhibits {
		r.target = condition{Equal: r.Equal, Patterns: r.Patterns, Matchers: r.Matchers}
		if err := r.target.compile(); err != nil {
			return nil, fmt.Errorf("reading Alertmanager's configuration: inhibit_rules[%d]: %w", i, err)
		}
		f.Inhibits[i] = r
	}
	return &Alertmanager{root: f.Route, receivers: f.Receivers, inhibits: f.Inhibits}, nil
}

// compile reads the matchers of a route and of those below it.
func (r *route) compile() error {
	if err := r.condition.compile(); err != nil {
		return fmt.Errorf("the route to %q: %w", r.Receiver, err)
	}
	r.Routes = slices.DeleteFunc(r.Routes, func(r *route) bool { return r == nil })
	for _, below := range r.Routes {
		if err := below.compile(); err != nil {
			return err
		}
	}
	return nil
}

// compile reads the matchers, whichever way they are written.
func (c *condition) compile() error {
	c.all = nil
	for _, name := range slices.Sorted(maps.Keys(c.Equal)) {
		c.all = append(c.all, &labels.Matcher{Type: labels.MatchEqual, Name: name, Value: c.Equal[name]})
	}
	for _, name := range slices.Sorted(maps.Keys(c.Patterns)) {
		m, err := labels.NewMatcher(labels.MatchRegexp, name, c.Patterns[name])
		if err != nil {
			return fmt.Errorf("match_re %s: %w", name, err)
		}
		c.all = append(c.all, m)
	}
	for _, text := range c.Matchers {
		all, err := matchers(text)
		if err != nil {
			return fmt.Errorf("matchers %q: %w", text, err)
		}
		c.all = append(c.all, all...)
	}
	return nil
}

// matchers reads a text as Alertmanager does: in the syntax of today, else in that
// of before 0.27.
func matchers(text string) (labels.Matchers, error) {
	all, err := parse.Matchers(text)
	if err == nil {
		return all, nil
	}
	old, oldErr := labels.ParseMatchers(text)
	if oldErr != nil {
		return nil, err
	}
	return old, nil
}

// matches tells whether an alert has what is wanted of it.
func (c *condition) matches(alert map[string]string) bool {
	for _, m := range c.all {
		if !m.Matches(alert[m.Name]) {
			return false
		}
	}
	return true
}

// Route gives the routes that an alert reaches, in their order: there is always one.
func (a *Alertmanager) Route(alert map[string]string) []Hop {
	return a.root.reached(alert, Hop{Wait: defaultWait, Interval: defaultInterval, Repeat: defaultRepeat})
}

// reached walks the tree as Alertmanager does: the first route below that matches
// takes the alert, and others after it where it says continue; where none does, the
// route itself. The matchers of the root are not asked: it may have none.
func (r *route) reached(alert map[string]string, above Hop) []Hop {
	own := r.under(above)
	var all []Hop
	for _, below := range r.Routes {
		if !below.matches(alert) {
			continue
		}
		all = append(all, below.reached(alert, own)...)
		if !below.Continue {
			break
		}
	}
	if len(all) == 0 {
		return []Hop{own}
	}
	return all
}

// under gives a route what it has from the one above. Its intervals of time are its
// own.
func (r *route) under(above Hop) Hop {
	own := above
	own.Mute, own.Active, own.Continue = r.Mute, r.Active, r.Continue
	if r.Receiver != "" {
		own.Receiver = r.Receiver
	}
	if len(r.GroupBy) > 0 {
		own.Alone = slices.Contains(r.GroupBy, "...")
		own.GroupBy = slices.Sorted(slices.Values(r.GroupBy))
	}
	for _, c := range []struct {
		into *time.Duration
		from *model.Duration
	}{{&own.Wait, r.Wait}, {&own.Interval, r.Interval}, {&own.Repeat, r.Repeat}} {
		if c.from != nil {
			*c.into = time.Duration(*c.from)
		}
	}
	return own
}

// inhibitors names the rules of inhibition that can mute an alert, by their place.
func (a *Alertmanager) inhibitors(alert map[string]string) []string {
	var all []string
	for i, r := range a.inhibits {
		if r.target.matches(alert) {
			name := fmt.Sprintf("inhibit_rules[%d]", i)
			if r.Name != "" {
				name += fmt.Sprintf(" (%s)", r.Name)
			}
			all = append(all, name)
		}
	}
	return all
}

// webhooks are the webhooks of each receiver that lead to an address. Newer
// versions mask addresses: where none is to be seen, those that may be it and
// whose receiver has heal in its name.
func (a *Alertmanager) webhooks(address string) map[string][]webhook {
	same, masked := map[string][]webhook{}, map[string][]webhook{}
	for _, r := range a.receivers {
		for _, w := range r.Webhooks {
			switch {
			case strings.TrimSuffix(w.URL, "/") == strings.TrimSuffix(address, "/"):
				same[r.Name] = append(same[r.Name], w)
			case (w.URL == secret || w.URLFile != "") && strings.Contains(strings.ToLower(r.Name), "heal"):
				masked[r.Name] = append(masked[r.Name], w)
			}
		}
	}
	if len(same) > 0 {
		return same
	}
	return masked
}
