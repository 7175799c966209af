package healer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/onefiveten/onefiveten/healer/plan"
)

// joinOrphans gives every open episode without incident to the incident of its
// service, and opens one where a trigger asks for it.
func (e *Engine) joinOrphans(ctx context.Context) error {
	orphans, err := e.Store.Orphans(ctx)
	if err != nil || len(orphans) == 0 {
		return err
	}
	groups, order := map[string][]Episode{}, []string{}
	for _, x := range orphans {
		key := e.keyOf(x)
		if key == "" {
			e.metrics.unroutedEpisode(x.ID)
			continue
		}
		if groups[key] == nil {
			order = append(order, key)
		}
		groups[key] = append(groups[key], x)
	}
	recent, err := e.Store.Incidents(ctx, true, recentIncidents)
	if err != nil {
		return err
	}
	// One time for all questions of a pass: where Prometheus does not answer, the
	// faults are heard of all the same, one after the other.
	asking, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	var all error
	for _, key := range order {
		if err := e.joinGroup(ctx, asking, key, groups[key], recent); err != nil {
			all = errors.Join(all, fmt.Errorf("join the episodes of %s: %w", key, err))
		}
	}
	return all
}

// recentIncidents is how many incidents are read to find the open and the
// previous ones of a key.
const recentIncidents = 1000

// keyOf is the key of the incident that an episode belongs to; "" = no service.
func (e *Engine) keyOf(x Episode) string {
	cluster, service := e.home(x)
	if service == "" {
		return ""
	}
	return cluster + "/" + service
}

// home is the cluster and the service of an episode. Either may hold a slash.
func (e *Engine) home(x Episode) (cluster, service string) {
	return e.cluster(x.Source), e.Book().Map(x.Labels).Service
}

// cluster is that of a source.
func (e *Engine) cluster(source string) string {
	if name := e.Outside().Clusters[source]; name != "" {
		return name
	}
	return e.Book().Cluster
}

// joinGroup joins the orphans of one key. Alerts that are no trigger join an open
// incident and wait where there is none; that none was closed meanwhile is judged
// again inside the transaction. asking bounds what is asked of Prometheus.
func (e *Engine) joinGroup(ctx, asking context.Context, key string, group []Episode, recent []Incident) error {
	open := slices.ContainsFunc(recent, func(in Incident) bool { return in.Key == key && in.ClosedAt.IsZero() })
	trigger := slices.ContainsFunc(group, func(x Episode) bool { return x.Trigger })
	// An ObserverFault may come before the fault that it vetoes: it stays an orphan
	// until there is an incident to join.
	if !open && !trigger {
		return nil
	}
	cluster, service := e.home(group[0])
	fresh := Incident{ID: e.NewID(), Key: key, Cluster: cluster, Service: service, State: stateLocating, Severity: 3}
	ids := make([]string, 0, len(group))
	for _, x := range group {
		ids = append(ids, x.ID)
	}
	var readings []startReading
	if !open {
		before := e.previous(key, recent)
		fresh.Previous = before.ID
		if readings = relapsed(before, group); readings == nil {
			readings = e.startReadings(asking, service, group)
		}
	}
	var before figures
	var after *Case
	err := e.Store.Join(ctx, fresh, ids, func(c *Case) error {
		before, after = figuresOf(c), nil
		if err := e.desk().join(c, readings); err != nil {
			return err
		}
		e.desk().tellDue(c)
		after = c
		return nil
	})
	if errors.Is(err, errNothing) {
		return nil
	}
	if err == nil && after != nil {
		e.kept(before, after)
		e.kick()
	}
	return err
}

// relapsed reads the fault's start of a successor: its alerts fire since the
// fault before it, and only the proof tells when this one began.
func relapsed(before Incident, group []Episode) []startReading {
	handed := slices.ContainsFunc(group, func(x Episode) bool { return x.Trigger && x.OpenedAt.Before(before.ClosedAt) })
	if before.CloseReason != string(codeSuperseded) || !handed {
		return nil
	}
	return []startReading{{At: before.ClosedAt.Add(-watchFor), Source: startProof}}
}

// previous is the newest incident of the key that was closed a short time ago;
// none has no id.
func (e *Engine) previous(key string, recent []Incident) Incident {
	var newest Incident
	for _, in := range recent {
		if in.Key == key && in.ClosedAt.After(newest.ClosedAt) {
			newest = in
		}
	}
	if newest.ID == "" || time.Since(newest.ClosedAt) > e.Book().ReopenWithin {
		return Incident{}
	}
	return newest
}

// startReadings asks Prometheus when the fault began, where no annotation of
// our rules tells it: the first failure of the service's probes, else the
// moment at which the alert's condition became true.
func (e *Engine) startReadings(ctx context.Context, service string, group []Episode) []startReading {
	s := e.Book().Services[service]
	i := slices.IndexFunc(group, func(x Episode) bool { return x.Trigger })
	if s == nil || i < 0 || slices.ContainsFunc(group, func(x Episode) bool { return x.Trigger && !annotated(x).IsZero() }) {
		return nil
	}
	var list []startReading
	for _, source := range []string{"probe_first_failure_timestamp_seconds", "ALERTS_FOR_STATE"} {
		query := "min(" + source + "{service=" + strconv.Quote(service) + "} > 0)"
		if source == "ALERTS_FOR_STATE" {
			labels := e.mappedLabels(group[i], false)
			labels["alertname"] = group[i].Labels["alertname"]
			query = "min(" + source + "{" + labelText(labels) + "})"
		}
		points, err := e.prometheus(s).Query(ctx, query)
		if err == nil && len(points) == 1 && points[0].Value > 0 && points[0].Value < 1e11 {
			list = append(list, startReading{At: time.UnixMilli(int64(points[0].Value * 1000)), Source: source})
		}
	}
	return list
}

// mappedLabels are the labels from which an alert's service and scope, and with
// member the name of its member, were mapped: all that an action is aimed by. The
// label member and the one of the node are both asked for, since either may be
// the forged one. A name that no label gives stays empty, which nothing confirms.
func (e *Engine) mappedLabels(x Episode, member bool) map[string]string {
	book, found := e.Book(), map[string]string{}
	keep := func(read func(map[string]string) string) bool {
		name := winner(x.Labels, read)
		if name != "" {
			found[name] = x.Labels[name]
		}
		return name != ""
	}
	keep(func(l map[string]string) string { return book.Map(l).Service })
	keep(func(l map[string]string) string { return book.Map(l).Scope })
	if !member {
		return found
	}
	node := keep(func(l map[string]string) string { return book.Map(l).Node })
	named := keep(func(l map[string]string) string { return book.Map(l).Member })
	if !node && !named {
		found[""] = ""
	}
	return found
}

// winner finds the label that a mapping reads: of two that it knows the one
// that it prefers.
func winner(labels map[string]string, read func(map[string]string) string) string {
	best := ""
	for name := range labels {
		switch {
		case read(map[string]string{name: "x"}) != "x":
		case best == "" || read(map[string]string{name: "new", best: "old"}) == "new":
			best = name
		}
	}
	return best
}

// facts asks the world what the next choice over a case rests on, all within
// askWithin. What does not answer stays cannot tell.
func (e *Engine) facts(ctx context.Context, c *Case) facts {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	f := facts{Began: time.Now().Round(0), Healthy: CannotTell, Confirmed: CannotTell, When: CannotTell}
	s := e.Book().Services[c.Incident.Service]
	if s == nil {
		f.Rung = e.desk().choose(c, f).rungKey() // nothing can be asked, and nothing need be asked again
		return f
	}
	p := e.prometheus(s)
	var asked sync.WaitGroup
	asked.Go(func() { f.Members, f.MembersErr = e.members(ctx, p, s) })
	asked.Go(func() { f.Healthy, f.HealthyNumbers = ask(ctx, p, s.Healthy) })
	asked.Go(func() { e.muted(ctx, c, &f) })
	asked.Go(func() { f.Veto = e.veto(ctx, c) })
	asked.Go(func() { f.Chain, f.ChainErr = e.chain(ctx, c.Incident) })
	asked.Wait()
	// Only now is it known which plan and which member are to be asked about.
	k := e.desk().choose(c, f)
	f.Rung = k.rungKey()
	if k.Code != "" || k.Lead == nil {
		return f
	}
	asked.Go(func() { f.When, f.WhenNumbers = askWhen(ctx, p, k) })
	asked.Go(func() {
		f.Confirmed, f.ConfirmedNumbers = corroborated(ctx, p, s.Confirm, k.Lead.Labels["alertname"],
			e.mappedLabels(*k.Lead, k.Verdict.Scope == scopeNode || k.Member != nil))
	})
	asked.Wait()
	return f
}

// members asks for the members of a service; a service without the query has none,
// which cannot be told from not knowing them.
func (e *Engine) members(ctx context.Context, p Prometheus, s *plan.Service) ([]member, string) {
	if s.Members == "" {
		return nil, "the service has no members query"
	}
	list, err := askMembers(ctx, p, s.Members)
	if err != nil {
		return nil, err.Error()
	}
	return list, ""
}

// askWhen asks all conditions of a plan: good if all hold, bad if one does not,
// and cannot tell if one cannot be told.
func askWhen(ctx context.Context, p Prometheus, k *choice) (Answer, string) {
	whole, numbers := Good, []string{}
	for _, q := range k.Plan.When {
		one, err := k.Plan.Query(q, k.Data)
		if err != nil {
			return CannotTell, asJSON(map[string]string{"why": err.Error()})
		}
		answer, text := ask(ctx, p, one)
		numbers = append(numbers, text)
		if answer == CannotTell || answer == Bad && whole == Good {
			whole = answer
		}
	}
	return whole, "[" + strings.Join(numbers, ",") + "]"
}

// muted reads the Alertmanagers of the triggers' sources.
func (e *Engine) muted(ctx context.Context, c *Case, f *facts) {
	f.Muted, f.Asked = map[string]string{}, map[string]bool{}
	outside, newest := e.Outside().Alertmanagers, shareFor
	for _, x := range c.triggers(c.Now) {
		newest = min(newest, c.Now.Sub(x.OpenedAt))
	}
	for _, x := range c.triggers(c.Now) {
		am := outside[x.Source]
		if am == nil || f.Asked[x.Source] || f.MutedErr != "" {
			continue
		}
		alerts, err := e.reading(x.Source).alerts(ctx, am, newest)
		if err != nil {
			f.MutedErr = err.Error()
			continue
		}
		f.Asked[x.Source] = true // one reading serves all alerts of a source
		for _, a := range alerts {
			if a.Firing {
				f.Muted[x.Source+"/"+a.Fingerprint] = a.MutedBy
			}
		}
	}
}

// shareFor is how long one reading of an Alertmanager serves all decisions: in a
// storm each of them would read thousands of alerts.
const shareFor = time.Second

// sharedReading is the newest reading of one source.
type sharedReading struct {
	place chan struct{} // of one: held while it is read, so that others wait for the same answer
	began time.Time
	list  []Alert
	err   error
}

// reading gives the shared reading of a source.
func (e *Engine) reading(source string) *sharedReading {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.shared == nil {
		e.shared = map[string]*sharedReading{}
	}
	if e.shared[source] == nil {
		e.shared[source] = &sharedReading{place: make(chan struct{}, 1)}
	}
	return e.shared[source]
}

// alerts gives what the source shows, by a reading that began less than age before
// it was asked for: one from before an alert came would not show it. Of those that
// wait for a reading the first begins another, which serves all of them.
func (r *sharedReading) alerts(ctx context.Context, am Alertmanagers, age time.Duration) ([]Alert, error) {
	asked := time.Now()
	select {
	case r.place <- struct{}{}:
		defer func() { <-r.place }()
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for the reading of Alertmanager that is under way: %w", ctx.Err())
	}
	if r.began.IsZero() || asked.Sub(r.began) >= age {
		// The answer is for all who wait: it has a time of its own.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askWithin)
		defer cancel()
		r.began = time.Now()
		r.list, _, r.err = am.Alerts(ctx)
	}
	return r.list, r.err
}

// veto finds an ObserverFault that has not joined an incident: one of the cluster
// that names no service, or one of this service that came a moment ago.
func (e *Engine) veto(ctx context.Context, c *Case) string {
	orphans, err := e.Store.Orphans(ctx)
	if err != nil {
		return "the store cannot be asked: " + err.Error()
	}
	for _, x := range orphans {
		key := e.keyOf(x)
		switch {
		case x.Labels["alertname"] != alertObserver:
		case key == "" && e.cluster(x.Source) == c.Incident.Cluster:
			return "observer " + x.Labels["observer"] + ", no service named"
		case key == c.Incident.Key:
			return "observer " + x.Labels["observer"]
		}
	}
	return ""
}

// chain lists the earlier incidents whose attempts count: each was closed a
// short time before the next one opened.
func (e *Engine) chain(ctx context.Context, in Incident) (list []string, trouble string) {
	for id := in.Previous; id != "" && len(list) < 20; {
		list = append(list, id)
		c, err := e.Store.Read(ctx, id)
		if err != nil {
			return list, fmt.Sprintf("read incident %s: %v", id, err)
		}
		id = c.Incident.Previous
	}
	return list, ""
}
