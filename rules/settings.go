package rules

import (
	"fmt"
	"net/url"
	"time"

	"github.com/prometheus/common/model"
)

const (
	notYet     = "known, not yet available"
	maxTick    = time.Minute      // the rules look back 2m for what they carried over
	minFlush   = 10 * time.Second // Alertmanager's MinTimeout
	scrapeWait = 10 * time.Second // Prometheus' default scrape_timeout
)

// Prometheus is what the section "prometheus:" of probe-exporter's configuration
// says of how the living Prometheus scrapes /metrics/probes and evaluates the
// rules. How it is asked stands beside it, and is nothing to the rules.
type Prometheus struct {
	Scrape     Scrape     `yaml:"scrape,omitempty"`
	Evaluation Evaluation `yaml:"evaluation,omitempty"`
}

// Scrape is the job that scrapes /metrics/probes. A Timeout of 0 is what
// Prometheus takes then: 10s, or Interval where that is shorter.
type Scrape struct {
	Interval model.Duration `yaml:"interval,omitempty"`
	Timeout  model.Duration `yaml:"timeout,omitempty"`
}

// Evaluation is the interval of the rule groups, the longest time until a group
// has reached its last rule, and the query offset of the server.
type Evaluation struct {
	Interval    model.Duration `yaml:"interval,omitempty"`
	Delay       model.Duration `yaml:"delay"`
	QueryOffset model.Duration `yaml:"query_offset,omitempty"`
}

// Alertmanager is what the section "alertmanager:" says of the route to
// heal-receiver and of what it adds to the way of an alert. How it is asked stands
// beside it, and is nothing to the rules.
type Alertmanager struct {
	GroupWait     model.Duration `yaml:"group_wait,omitempty"`
	GroupInterval model.Duration `yaml:"group_interval,omitempty"`
	Peers         int            `yaml:"peers,omitempty"`
	PeerTimeout   model.Duration `yaml:"peer_timeout"`
	Webhook       Webhook        `yaml:"webhook"`
}

// Webhook is heal-receiver as Alertmanager sees it. An empty URL means that there
// is none: no route leads to it, and no alert tells that it is away. CredentialsFile is written
// into the route as it stands, relative to Alertmanager's own configuration;
// empty means no authorization. Delay is the longest time of one delivery.
type Webhook struct {
	URL             string         `yaml:"url"`
	CredentialsFile string         `yaml:"credentials_file"`
	Delay           model.Duration `yaml:"delay,omitempty"`
}

// DefaultPrometheus gives the settings that hold where the file says nothing.
func DefaultPrometheus() Prometheus {
	return Prometheus{
		Scrape:     Scrape{Interval: model.Duration(15 * time.Second)},
		Evaluation: Evaluation{Interval: model.Duration(15 * time.Second), Delay: model.Duration(time.Second)},
	}
}

// DefaultAlertmanager gives the settings that hold where the file says nothing.
func DefaultAlertmanager() Alertmanager {
	return Alertmanager{
		GroupInterval: model.Duration(15 * time.Second),
		Peers:         1,
		PeerTimeout:   model.Duration(15 * time.Second),
		Webhook:       Webhook{URL: "http://127.0.0.1:9099/api/v1/alertmanager", CredentialsFile: "heal.token"},
	}
}

// Check reports every mistake under its path inside the section.
func (p Prometheus) Check(report func(path, text string)) {
	checkTick(report, "scrape.interval", p.Scrape.Interval)
	if t, i := time.Duration(p.Scrape.Timeout), time.Duration(p.Scrape.Interval); t < 0 || t > i && i > 0 {
		report("scrape.timeout", fmt.Sprintf("got %s, want 0s to the scrape interval of %s", p.Scrape.Timeout, p.Scrape.Interval))
	}
	p.Evaluation.check(report)
}

// check reports under paths inside "prometheus:".
func (e Evaluation) check(report func(path, text string)) {
	checkTick(report, "evaluation.interval", e.Interval)
	if e.Delay < 0 || e.Delay >= e.Interval && e.Interval > 0 {
		report("evaluation.delay", fmt.Sprintf("got %s, want less than the evaluation interval of %s: a group that takes longer misses its next evaluation", e.Delay, e.Interval))
	}
	if e.QueryOffset < 0 {
		report("evaluation.query_offset", fmt.Sprintf("got %s, want 0s or more", e.QueryOffset))
	}
}

// checkTick keeps an interval within what the ranges of the rules can bridge, and
// their edges between two samples.
func checkTick(report func(path, text string), path string, d model.Duration) {
	if time.Duration(d) < leastInterval || time.Duration(d) > maxTick {
		report(path, fmt.Sprintf("got %s, want %s to %s", d, model.Duration(leastInterval), model.Duration(maxTick)))
	}
}

// Wait is d_s, the scrape timeout that Prometheus uses.
func (s Scrape) Wait() time.Duration {
	if s.Timeout > 0 {
		return time.Duration(s.Timeout)
	}
	return min(scrapeWait, time.Duration(s.Interval))
}

// Check reports every mistake under its path inside the section.
func (a Alertmanager) Check(report func(path, text string)) {
	if a.GroupWait < 0 {
		report("group_wait", fmt.Sprintf("got %s, want 0s or more", a.GroupWait))
	}
	if time.Duration(a.GroupInterval) < minFlush {
		report("group_interval", fmt.Sprintf("got %s, want %s or more: Alertmanager gives a delivery no less", a.GroupInterval, model.Duration(minFlush)))
	}
	if a.Peers < 1 {
		report("peers", fmt.Sprintf("got %d, want 1 or more", a.Peers))
	}
	if a.PeerTimeout < 0 {
		report("peer_timeout", fmt.Sprintf("got %s, want 0s or more", a.PeerTimeout))
	}
	a.Webhook.check(report)
}

// check takes any address over HTTP; who listens there is not looked at.
func (w Webhook) check(report func(path, text string)) {
	u, err := url.Parse(w.URL)
	if w.URL != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
		report("webhook.url", fmt.Sprintf("got %q, want an address like http://127.0.0.1:9099/api/v1/alertmanager, or '' where there is no heal-receiver", w.URL))
	}
	if w.Delay < 0 {
		report("webhook.delay", fmt.Sprintf("got %s, want 0s or more", w.Delay))
	}
}
