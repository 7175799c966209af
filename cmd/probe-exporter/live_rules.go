package main

import (
	"context"
	"fmt"
	"math"
	"path"
	"time"

	"github.com/prometheus/common/model"

	"github.com/onefiveten/onefiveten/promapi"
	"github.com/onefiveten/onefiveten/rules"
	"github.com/onefiveten/onefiveten/rules/living"
)

// What Prometheus tells of its rule groups where it scrapes itself: how long one took
// at most within the last ten minutes, and how many evaluations it has missed.
const (
	slowest = `max by (rule_group) (max_over_time(prometheus_rule_group_last_duration_seconds{rule_group=~"(?s:.+;onefiveten:.+)"}[9m59s500ms]))`
	missed  = `sum by (rule_group) (increase(prometheus_rule_group_iterations_missed_total{rule_group=~"(?s:.+;onefiveten:.+)"}[9m59s500ms])) > 0`
)

// unasked tells of a question without an answer: what hangs on it is not known.
func (l *live) unasked(what string, err error) {
	l.unwise = append(l.unwise, l.where(what+" not looked at: "+err.Error()))
}

// rules compares those that are loaded with those that would be generated.
func (l *live) rules(ctx context.Context) {
	loaded, err := l.client.Rules(ctx)
	if err != nil {
		l.unasked("rules were", err)
		return
	}
	written, err := ourGroups(l.spec)
	if err != nil { // what loads can be generated
		l.wrong = append(l.wrong, l.where(err.Error()))
		return
	}
	took, err := l.client.Query(ctx, slowest)
	if err != nil {
		l.unasked("how long rules take was", err)
	}
	groups := loadedGroups(loaded, took)
	l.pace(written, groups)
	l.report(living.Compare(written, groups, time.Duration(l.spec.Prometheus.Evaluation.Delay)), l.where)
	l.late(ctx)
}

// ourGroups are the groups of the rules that belong to a spec.
func ourGroups(s rules.Spec) ([]living.Group, error) {
	files, _, err := rules.Generate(s)
	if err != nil {
		return nil, err
	}
	for name := range files {
		if ok, err := path.Match(rules.RulesGlob, name); err != nil || !ok {
			delete(files, name)
		}
	}
	return living.Written(files)
}

// loadedGroups gives the groups of a server the form in which they are compared.
// The slowest evaluations are named by file and group.
func loadedGroups(loaded []promapi.Group, took []promapi.Point) []living.Group {
	slow := map[string]time.Duration{}
	for _, p := range took {
		if !math.IsNaN(p.Value) && p.Value < math.MaxInt32 {
			slow[p.Labels["rule_group"]] = time.Duration(p.Value * float64(time.Second))
		}
	}
	groups := make([]living.Group, len(loaded))
	for i, g := range loaded {
		groups[i] = living.Group{
			File: g.File, Name: g.Name, Interval: g.Interval, Took: g.EvaluationTime, Slowest: slow[g.File+";"+g.Name],
			Evaluated: !g.LastEvaluation.IsZero(),
		}
		for _, r := range g.Rules {
			groups[i].Rules = append(groups[i].Rules, living.Rule{
				Alerting: r.Alerting, Name: r.Name, Expr: r.Query, Labels: r.Labels, Annotations: r.Annotations,
				For: r.For, Keep: r.KeepFiringFor, Health: r.Health, Error: r.Error,
			})
		}
	}
	return groups
}

// pace takes E and d_e of the groups that are ours. An offset of their own adds to
// that of the server.
func (l *live) pace(written, groups []living.Group) {
	ours := map[string]bool{}
	for _, g := range written {
		ours[g.Name] = true
	}
	for _, g := range groups {
		if ours[g.Name] {
			l.now.Evaluation, l.now.Delay = longer(l.now.Evaluation, g.Interval), longer(l.now.Delay, g.Took)
		}
	}
}

// late tells of evaluations that were missed. It is a warning: they are over, and
// what is slow now is seen by its own time.
func (l *live) late(ctx context.Context) {
	found, err := l.client.Query(ctx, missed)
	if err != nil {
		l.unasked("missed evaluations were", err)
		return
	}
	for _, p := range found {
		l.unwise = append(l.unwise, l.settings.places.Mistake("prometheus.evaluation.interval",
			fmt.Sprintf("the group %q has missed about %.0f evaluations in the last 10m: a fault at that time was told as many intervals later than the bound says", p.Labels["rule_group"], math.Ceil(p.Value))))
	}
}

// What Prometheus takes where no flag says otherwise.
const (
	resendDelay = time.Minute
	lookback    = 5 * time.Minute
)

// status looks at what Prometheus was started with.
func (l *live) status(ctx context.Context) {
	if c := l.config; c != nil {
		l.now.QueryOffset = &c.QueryOffset
		l.offset(c.QueryOffset, time.Duration(l.spec.Prometheus.Evaluation.QueryOffset))
	}
	if to, err := l.client.Alertmanagers(ctx); err != nil {
		l.unasked("to whom alerts are sent was", err)
	} else if l.sends = to; len(to) == 0 {
		l.wrong = append(l.wrong, l.where("alerts are sent to nobody: it has no Alertmanager that is active; want one under alerting.alertmanagers"))
	}
	flags, err := l.client.Flags(ctx)
	if err != nil {
		l.unasked("flags were", err)
		return
	}
	if d, known := flagged(flags, "rules.alert.resend-delay"); known && d > resendDelay {
		l.unwise = append(l.unwise, l.where(fmt.Sprintf("--rules.alert.resend-delay is %s: one alert that is lost on the way to Alertmanager comes so much later, where the bounds say %s", model.Duration(d), model.Duration(resendDelay))))
	}
	if d, known := flagged(flags, "query.lookback-delta"); known {
		l.lookback(d)
	}
}

// offset compares Q.
func (l *live) offset(got, want time.Duration) {
	m := l.settings.places.Mistake("prometheus.evaluation.query_offset", fmt.Sprintf("reckons with %s, rule_query_offset of Prometheus is %s", model.Duration(want), model.Duration(got)))
	switch {
	case got > want:
		m.Text += ": the bounds are too short"
		l.wrong = append(l.wrong, m)
	case got < want:
		m.Text += ": the bounds are longer than need be"
		l.unwise = append(l.unwise, m)
	}
}

// lookback looks at how long a series is seen after its last sample. Not until its
// next one, and votes come and go between scrapes; longer than usual, and a vote
// whose end was not seen counts on.
func (l *live) lookback(d time.Duration) {
	s := l.spec.Prometheus.Scrape
	between := time.Duration(s.Interval) + s.Wait()
	switch {
	case d < between:
		l.wrong = append(l.wrong, l.where(fmt.Sprintf("--query.lookback-delta is %s, and scrapes may lie %s apart: rules see no votes in between", model.Duration(d), between)))
	case d > lookback:
		l.unwise = append(l.unwise, l.where(fmt.Sprintf("--query.lookback-delta is %s: the last votes of an exporter count on for so long where Prometheus does not see its end; the default is %s", model.Duration(d), model.Duration(lookback))))
	}
}

// flagged reads a flag that is a length of time.
func flagged(flags map[string]string, name string) (time.Duration, bool) {
	d, err := model.ParseDuration(flags[name])
	return time.Duration(d), err == nil
}
