package plan

import (
	"math"
	"time"

	promconfig "github.com/prometheus/common/config"
)

// Book is a whole configuration, checked and compiled. Nobody changes it.
type Book struct {
	Cluster       string
	SQLite        string   // file of the journal; empty = in the state folder
	Prometheus    []Server // the first serves every service that names none
	Alertmanagers []Server

	Targets Targets
	// Gather is the pause between the first location and the first choice;
	// zero = not configured: read from the living servers, 20s if unreadable.
	Gather                          time.Duration
	MaxWait, QuietFor, ReopenWithin time.Duration

	Limits    Limits // of everything together; nothing in it is zero
	Services  map[string]*Service
	Plans     map[string]*Plan
	Scenarios []*Scenario // in the order of the file
	Escalate  Escalate    // for incidents without a scenario
	Watchdog  Watchdog
	Contacts  map[string]Contact
	Clients   clients // of HTTP steps, by Step.Client

	Programs, Hosts []string // that steps may start and call

	labels labelSettings
	limits limitSettings
}

// clients are the http_config of each HTTP step, by the name that the step
// carries, "plan/phase/n". They follow the file: a kept plan takes those in force.
type clients map[string]*promconfig.HTTPClientConfig

// Server is one Prometheus, or one source of alerts with all its Alertmanagers.
type Server struct {
	Name       string
	Cluster    string   // of Alertmanagers: first part of the key of their incidents
	URLs       []string // one Prometheus; every peer of Alertmanager
	Timeout    time.Duration
	HTTPConfig promconfig.HTTPClientConfig
}

// Watchdog says when the Watchdog of a source is missed, and who hears of it.
type Watchdog struct {
	Within time.Duration // longest time without one; 0 = nobody watches
	To     []string      // contacts, all at once
	Remind time.Duration // between two words while it stays away
}

// Mapped are the words that a label set maps to; empty = no candidate present.
type Mapped struct {
	Service, Node, Scope string
	Severity             int    // 1 to 5: P1–P5, page = 2, ticket = 4, else 3
	Member               string // the label member, else Node
}

// Limit gives what binds a plan on a service: the longest cooldown after so
// many failures in 24h, and the smallest number of attempts per incident.
func (b *Book) Limit(p *Plan, s *Service, failures int) (cooldown time.Duration, attempts int) {
	attempts = b.Limits.Attempts
	for _, l := range []Limits{b.Limits, s.Limits, p.Limits} {
		cooldown = max(cooldown, l.Cooldown.after(failures))
		if l.Attempts > 0 {
			attempts = min(attempts, l.Attempts)
		}
	}
	return cooldown, attempts
}

// cooldown of one (plan, target): First after a run, times Factor for each
// failure, at most Max.
type cooldown struct {
	First, Max time.Duration
	Factor     float64
}

// after is the pause after a run when so many failures came before it in 24h:
// first × factor^failures, at most max.
func (c cooldown) after(failures int) time.Duration {
	grown := float64(c.First) * math.Pow(c.Factor, float64(max(failures, 0)))
	return time.Duration(min(grown, float64(c.Max)))
}
