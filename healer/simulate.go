package healer

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/onefiveten/onefiveten/healer/plan"
)

// Simulated is what would be decided for one service: every decision up to the
// first that acts, waits or stops, and how the incident would stand then.
type Simulated struct {
	Service, Scenario string
	Verdict           Verdict
	Decisions         []Decision
	Steps             []string // what the run would do, rendered
	State             State
	Reason            Code
}

// Simulate feeds notifications of a source, in order, to the configuration and
// answers what would be decided once all is gathered. Nothing is kept and
// nothing is done: of Options it needs Book, Outside, whose Prometheus is
// asked as it is now, and Logger. Alertmanager is not asked, since it does not know
// these alerts. A body that cannot be read is a *BadNotification.
func Simulate(ctx context.Context, o Options, source string, bodies ...[]byte) ([]Simulated, error) {
	now := time.Now().Truncate(time.Millisecond)
	n := 0
	o.NewID = func() string { n++; return fmt.Sprintf("simulated-%d", n) }
	o.AcceptRisk, o.Store = true, nil
	e := &Engine{Options: o}
	episodes, err := e.imagine(now, source, bodies)
	if err != nil {
		return nil, err
	}
	outside := o.Outside()
	outside.Alertmanagers = map[string]Alertmanagers{source: imagined(episodes)} // the real one does not know these alerts
	e.Outside = func() Outside { return outside }
	groups := map[string][]Episode{}
	for _, x := range episodes {
		groups[e.keyOf(x)] = append(groups[e.keyOf(x)], x)
	}
	e.Store = shelf{orphans: groups[""]}
	var list []Simulated
	for _, key := range slices.Sorted(maps.Keys(groups)) {
		one, err := e.simulate(ctx, now, key, groups[key])
		if err != nil {
			return nil, fmt.Errorf("simulate %s: %w", key, err)
		}
		list = append(list, one)
	}
	return list, nil
}

// imagined is an Alertmanager that shows the imagined alerts, muted by nobody.
type imagined []Episode

// Alerts shows them all.
func (a imagined) Alerts(context.Context) (list []Alert, settled bool, err error) {
	for _, x := range a {
		list = append(list, Alert{Fingerprint: x.Fingerprint, Labels: x.Labels, StartsAt: x.StartsAt, Firing: true})
	}
	return list, true, nil
}

// shelf is a Store that holds nothing but orphans.
type shelf struct {
	Store
	orphans []Episode
}

// Orphans gives those that were imagined: an ObserverFault without service vetoes.
func (s shelf) Orphans(context.Context) ([]Episode, error) { return s.orphans, nil }

// blank is a World without other incidents.
type blank struct{}

func (blank) Lock(string) (string, error)                       { return "", nil }
func (blank) Slots(string) (int, error)                         { return 0, nil }
func (blank) PlanRuns(string, string, time.Time) ([]Run, error) { return nil, nil }

// imagine makes the open episodes that the notifications would leave.
func (e *Engine) imagine(now time.Time, source string, bodies [][]byte) ([]Episode, error) {
	open, order := map[string]Episode{}, []string{}
	for i, body := range bodies {
		alerts, _, err := parseWebhook(body)
		if err != nil {
			return nil, fmt.Errorf("notification %d: %w", i+1, err)
		}
		for _, a := range alerts {
			if !a.Firing {
				delete(open, a.Fingerprint)
				continue
			}
			if _, known := open[a.Fingerprint]; !known {
				order = append(order, a.Fingerprint)
			}
			open[a.Fingerprint] = Episode{
				ID: a.Fingerprint, Source: source, Fingerprint: a.Fingerprint, Labels: a.Labels, Annotations: a.Annotations,
				Trigger: triggers(e.Book().Trigger, a.Labels), OpenedAt: now, StartsAt: a.StartsAt, SeenAt: now,
			}
		}
	}
	var list []Episode
	for _, fp := range order {
		if x, still := open[fp]; still {
			list = append(list, x)
			delete(open, fp)
		}
	}
	return list, nil
}

// simulate lets the pure steps decide over an imagined incident.
func (e *Engine) simulate(ctx context.Context, now time.Time, key string, episodes []Episode) (Simulated, error) {
	cluster, service := e.home(episodes[0])
	c := &Case{
		Now: now, World: blank{}, Episodes: episodes,
		Incident: Incident{ID: "simulated", Key: key, Cluster: cluster, Service: service, State: stateLocating, Severity: 3},
	}
	if service == "" {
		return Simulated{}, nil // without a service nothing is ever done
	}
	d := e.desk()
	err := d.join(c, nil)
	if errors.Is(err, errNothing) {
		return Simulated{Service: service}, nil
	}
	if err == nil {
		err = d.toDeciding(c, onLocated, "")
	}
	run := ""
	for err == nil && c.Incident.State == stateDeciding && run == "" {
		run, err = d.decide(c, e.facts(ctx, c), maker{Owner: machine})
	}
	if err != nil {
		return Simulated{}, err
	}
	in := c.Incident
	one := Simulated{Service: service, Scenario: in.Scenario, Verdict: in.Verdict, Decisions: c.Decisions, State: in.State, Reason: in.Reason}
	if run != "" {
		one.Steps, err = d.rendered(c, c.run(run))
	}
	return one, err
}

// rendered writes what a run would do.
func (d desk) rendered(c *Case, r *Run) ([]string, error) {
	p, s, err := plan.FromText(r.PlanText)
	if err != nil {
		return nil, err
	}
	x := data(c, s, r.Member, d.leadOf(c, r))
	x.Run.ID, x.Run.Attempt, x.Run.Fence = r.ID, r.Attempt, r.Claim.Fence
	steps, err := p.Render(p.Steps, x)
	return whats(steps), err
}
