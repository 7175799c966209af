package healer

import (
	"testing"
	"time"
)

// dated is a World that knows when its runs were made, as the journal does.
type dated struct{ elsewhere }

func (w dated) PlanRuns(_, _ string, since time.Time) (list []Run, err error) {
	for _, r := range w.runs {
		if !r.CreatedAt.Before(since) {
			list = append(list, r)
		}
	}
	return list, nil
}

func TestNoLimitIsForgottenBecauseItIsLong(t *testing.T) {
	const day = 24 * time.Hour
	ran := func(incident string, made, ended time.Duration, state RunState) Run {
		r := Run{ID: "old", Incident: incident, Plan: "drain", Target: "node:b", Purpose: purposeRung, State: state, CreatedAt: now0.Add(-made)}
		if state != runUnresolved {
			r.EndedAt = now0.Add(-ended)
		}
		return r
	}
	for name, x := range map[string]struct {
		book []string
		run  Run
		want string
	}{
		"a cooldown of two days, after 30 hours":   {[]string{"first: 1m", "first: 48h", "max: 10m", "max: 96h"}, ran("other", 30*time.Hour, 30*time.Hour, runSucceeded), "refuse cooldown"},
		"a cooldown of two days, after three":      {[]string{"first: 1m", "first: 48h", "max: 10m", "max: 96h"}, ran("other", 3*day, 3*day, runSucceeded), "act act"},
		"a cooldown of ten days, after nine":       {[]string{"first: 1m", "first: 240h", "max: 10m", "max: 240h"}, ran("other", 9*day, 9*day, runSucceeded), "refuse cooldown"},
		"a run of two days that ended just now":    {nil, ran("other", 2*day, 10*time.Second, runFailed), "wait cooldown, looks again in 1m50s"},
		"a failure of yesterday lengthens nothing": {nil, ran("other", 25*time.Hour, 25*time.Hour, runFailed), "act act"},
		"an attempt of this incident, weeks ago":   {nil, ran("i", 20*day, 20*day, runFailed), "not_applicable attempts_spent"},
		"an attempt of another, weeks ago":         {nil, ran("before", 20*day, 20*day, runFailed), "act act"},
	} {
		s := newScene(t)
		s.desk.book = shopWith(t, x.book...)
		w := dated{elsewhere{runs: []Run{x.run}}}
		if x.run.Incident == "i" {
			s.c.Runs = w.runs
		}
		s.f.Chain = []string{"before"}
		s.c.World = w
		k := s.desk.choose(s.c, s.f)
		s.f.Rung = k.rungKey()
		r, err := s.desk.judge(s.c, k, s.f)
		got := string(r.Verb) + " " + string(r.Code)
		if !r.Next.IsZero() {
			got += ", looks again in " + r.Next.Sub(now0).String()
		}
		if got != x.want || err != nil {
			t.Errorf("%s: %s (%v), want %s", name, got, err, x.want)
		}
	}
}
