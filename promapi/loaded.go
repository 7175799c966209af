package promapi

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"
)

// Group is one rule group that the server has loaded. What an older server does not
// tell is nil, or 0 where a group cannot have that.
type Group struct {
	File, Name     string
	Interval       time.Duration
	EvaluationTime time.Duration // of the last evaluation; 0 before the first
	LastEvaluation time.Time     // zero before the first
	Limit          *int
	QueryOffset    *time.Duration
	Rules          []Rule
}

// Rule is one rule as the server has it: it writes expressions in its own way.
type Rule struct {
	Alerting            bool // else it records
	Name, Query         string
	Labels, Annotations map[string]string // templates as they were written
	For                 *time.Duration
	KeepFiringFor       *time.Duration
	Health, Error       string // ok, unknown or err, and why
}

// Rules lists every group, in the server's order.
func (c *Client) Rules(ctx context.Context) ([]Group, error) {
	groups, err := read(ctx, c, "api/v1/rules", nil, parseGroups)
	if err != nil {
		return nil, fmt.Errorf("asking %s for its rules: %w", c.name, err)
	}
	return groups, nil
}

// loadedGroup is one group of the answer to the question for rules.
type loadedGroup struct {
	group
	Rules          []loadedRule `json:"rules"`
	Limit          *int         `json:"limit"`
	EvaluationTime float64      `json:"evaluationTime"` // seconds
	LastEvaluation time.Time    `json:"lastEvaluation"`
	QueryOffset    *float64     `json:"queryOffset"` // seconds
}

type loadedRule struct {
	Type        string            `json:"type"` // alerting or recording
	Name        string            `json:"name"`
	Query       string            `json:"query"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	Duration    *float64          `json:"duration"` // seconds
	Keep        *float64          `json:"keepFiringFor"`
	Health      string            `json:"health"`
	Error       string            `json:"lastError"`
}

// parseGroups reads every group with every rule.
func parseGroups(body []byte) ([]Group, error) {
	all, err := open[struct {
		Groups []loadedGroup `json:"groups"`
	}](body)
	if err != nil {
		return nil, err
	}
	if all.Groups == nil {
		return nil, errors.New("reading the answer: it has no groups")
	}
	groups := make([]Group, len(all.Groups))
	for i, g := range all.Groups {
		if groups[i], err = g.loaded(); err != nil {
			return nil, fmt.Errorf("reading the answer: %w", err)
		}
	}
	return groups, nil
}

// loaded gives a group its types.
func (g loadedGroup) loaded() (Group, error) {
	interval, err := g.interval()
	if err != nil {
		return Group{}, err
	}
	took, err := seconds(&g.EvaluationTime)
	if err != nil {
		return Group{}, fmt.Errorf("group %q: evaluationTime: %w", cut(g.Name), err)
	}
	offset, err := seconds(g.QueryOffset)
	if err != nil {
		return Group{}, fmt.Errorf("group %q: queryOffset: %w", cut(g.Name), err)
	}
	out := Group{
		File: g.File, Name: g.Name, Interval: interval, EvaluationTime: *took, LastEvaluation: g.LastEvaluation,
		Limit: g.Limit, QueryOffset: offset, Rules: make([]Rule, len(g.Rules)),
	}
	for i, r := range g.Rules {
		if out.Rules[i], err = r.loaded(); err != nil {
			return Group{}, fmt.Errorf("group %q: rule %q: %w", cut(g.Name), cut(r.Name), err)
		}
	}
	return out, nil
}

// loaded gives a rule its types.
func (r loadedRule) loaded() (Rule, error) {
	if r.Type != "alerting" && r.Type != "recording" {
		return Rule{}, fmt.Errorf("got the type %q, want alerting or recording", cut(r.Type))
	}
	wait, err := seconds(r.Duration)
	if err != nil {
		return Rule{}, fmt.Errorf("duration: %w", err)
	}
	keep, err := seconds(r.Keep)
	if err != nil {
		return Rule{}, fmt.Errorf("keepFiringFor: %w", err)
	}
	return Rule{
		Alerting: r.Type == "alerting", Name: r.Name, Query: r.Query, Labels: r.Labels, Annotations: r.Annotations,
		For: wait, KeepFiringFor: keep, Health: r.Health, Error: cut(r.Error),
	}, nil
}

// seconds reads a length of time that may not be told. Those of thirty years and
// more, which a time.Duration still holds, are refused.
func seconds(s *float64) (*time.Duration, error) {
	if s == nil {
		return nil, nil
	}
	if !(*s >= 0 && *s < 1e9) {
		return nil, fmt.Errorf("got %v, want seconds", *s)
	}
	d := time.Duration(math.Round(*s * float64(time.Second)))
	return &d, nil
}

// Config is what of the configuration in force tells how rules are evaluated and
// alerts are sent. Of a key that is not there the server's default holds: 1m for
// the intervals, 0s for QueryOffset.
type Config struct {
	ScrapeInterval     time.Duration
	EvaluationInterval time.Duration
	QueryOffset        time.Duration     // rule_query_offset; servers before 2.53 know none
	ExternalLabels     map[string]string // added to every alert
	AlertRelabels      string            // alert_relabel_configs: a list in YAML, empty for none
	Alertmanagers      int               // entries of alerting.alertmanagers
	Scrapes            []Scrape
}

// Config asks for the configuration in force.
func (c *Client) Config(ctx context.Context) (Config, error) {
	config, err := read(ctx, c, "api/v1/status/config", nil, parseConfig)
	if err != nil {
		return Config{}, fmt.Errorf("asking %s for its configuration: %w", c.name, err)
	}
	return config, nil
}

// configText is what is read of the text of the configuration. All other keys are
// let pass.
type configText struct {
	scrapeConfigs `yaml:",inline"`
	Global        struct {
		Scrape      model.Duration    `yaml:"scrape_interval"`
		Evaluation  model.Duration    `yaml:"evaluation_interval"`
		QueryOffset model.Duration    `yaml:"rule_query_offset"`
		External    map[string]string `yaml:"external_labels"`
	} `yaml:"global"`
	Alerting struct {
		Relabels      yaml.Node   `yaml:"alert_relabel_configs"`
		Alertmanagers []yaml.Node `yaml:"alertmanagers"`
	} `yaml:"alerting"`
}

// defaultInterval is that of scrapes and evaluations where none is written.
const defaultInterval = model.Duration(time.Minute)

// parseConfig reads the configuration. An error of the YAML library may quote what
// it has read, which is a configuration of others, and is left out.
func parseConfig(body []byte) (Config, error) {
	all, err := open[loaded](body)
	if err != nil {
		return Config{}, err
	}
	var t configText
	t.Global.Scrape, t.Global.Evaluation = defaultInterval, defaultInterval
	if err := yaml.Unmarshal([]byte(all.YAML), &t); err != nil {
		return Config{}, fmt.Errorf("reading the answer: the configuration of %d bytes is no YAML of Prometheus", len(all.YAML))
	}
	c := Config{
		ScrapeInterval: time.Duration(t.Global.Scrape), EvaluationInterval: time.Duration(t.Global.Evaluation),
		QueryOffset: time.Duration(t.Global.QueryOffset), ExternalLabels: t.Global.External,
		Alertmanagers: len(t.Alerting.Alertmanagers),
		Scrapes:       make([]Scrape, len(t.Scrapes)),
	}
	for i, s := range t.Scrapes {
		c.Scrapes[i] = Scrape{Job: s.Job, HonorLabels: s.HonorLabels}
	}
	if !t.Alerting.Relabels.IsZero() {
		text, err := yaml.Marshal(&t.Alerting.Relabels)
		if err != nil {
			return Config{}, errors.New("reading the answer: alert_relabel_configs are no YAML")
		}
		c.AlertRelabels = string(text)
	}
	return c, nil
}

// Flags asks for the flags of the command line with their values, defaults too.
func (c *Client) Flags(ctx context.Context) (map[string]string, error) {
	flags, err := read(ctx, c, "api/v1/status/flags", nil, open[map[string]string])
	if err != nil {
		return nil, fmt.Errorf("asking %s for its flags: %w", c.name, err)
	}
	return flags, nil
}

// Alertmanagers lists the URLs to which alerts are sent at present.
func (c *Client) Alertmanagers(ctx context.Context) ([]string, error) {
	all, err := read(ctx, c, "api/v1/alertmanagers", nil, parseReceivers)
	if err != nil {
		return nil, fmt.Errorf("asking %s for its Alertmanagers: %w", c.name, err)
	}
	return all, nil
}

// parseReceivers reads the active Alertmanagers. An answer that does not speak of
// them is none.
func parseReceivers(body []byte) ([]string, error) {
	all, err := open[struct {
		Active []struct {
			URL string `json:"url"`
		} `json:"activeAlertmanagers"`
	}](body)
	if err != nil {
		return nil, err
	}
	if all.Active == nil {
		return nil, errors.New("reading the answer: it has no activeAlertmanagers")
	}
	urls := make([]string, len(all.Active))
	for i, a := range all.Active {
		urls[i] = a.URL
	}
	return urls, nil
}
