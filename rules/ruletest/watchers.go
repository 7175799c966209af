package ruletest

import (
	"fmt"
	"slices"
	"time"
)

// Receiver is how the alerts about heal-receiver judge what it tells of itself.
type Receiver struct {
	Hold   time.Duration // how long it is held, deaf or mute before an alert says so
	Accept time.Duration // how long requests are refused before one does
	Held   time.Duration // how old a mitigation is when one does
	Keep   time.Duration // how long that alert outlasts it

	Recently, Lately time.Duration // ranges of the counters: of what is tried again, of what happens once
}

// gauge is one series of a program as the rules see it at each moment, in
// thousandths.
type gauge struct {
	name   string
	labels []label
	at     func(time.Duration) int64
}

// watcher is one case: what the programs show beside their healthy selves, from
// when to when that is bad, and which alert says so after how long. An empty alert
// is a case in which nobody is told.
type watcher struct {
	name, alert, summary string
	labels               []label // of the alert
	gauges               []gauge
	from, until          time.Duration
	wait, keep           time.Duration
}

// watchers are the cases of the alerts that watch both programs: they depend on no
// service and no severity class.
func (s Spec) watchers() []*scene {
	var scenes []*scene
	for _, w := range s.watched() {
		c := &scene{spec: s, known: map[string]bool{}, name: w.name}
		c.timing = timing{scrape: s.Scrape, scrapeTakes: s.ScrapeTakes, every: s.Every, step: divisor(s.Every, time.Second)}
		c.watch(w)
		scenes = append(scenes, c)
	}
	return scenes
}

// watch plays one case: silent before, firing at its minute, silent after.
func (c *scene) watch(w watcher) {
	fires := c.next(w.from) + c.next(w.wait)
	gone := c.next(w.until) + c.next(w.keep)
	c.end = gone + c.every
	for _, o := range c.spec.Observers {
		c.add("onefiveten_observer_info", []label{{"observer", o}}, c.constant("1", 0))
	}
	c.add("up", receiver(), c.constant("1", 0))
	for _, g := range append(w.gauges, well()...) { // the first of a name and labels is the one
		var values []int64
		for at := time.Duration(0); at <= c.end; at += c.step {
			values = append(values, g.at(at))
		}
		c.add(g.name, g.labels, notation(values))
	}
	c.expectAll(c.next(w.from) - c.step)
	if w.alert == "" {
		c.expectAll(c.next(w.from) + c.every)
		c.expectAll(c.end)
		return
	}
	if gone-c.every <= fires && c.err == nil {
		c.err = fmt.Errorf("it is bad from %s to %s, too short to be told", w.from, w.until)
	}
	service := ""
	if i := slices.IndexFunc(w.labels, func(l label) bool { return l.name == "service" }); i >= 0 {
		service = w.labels[i].value
	}
	one := firing{w.alert, service, 1}
	c.expectAll(fires - c.step)
	c.expectAll(fires, one)
	c.expectAll(gone-c.every, one)
	c.expectAll(gone)
	c.alert(fires, w.alert, w.labels, []label{{"summary", w.summary}})
}

// watched are all cases. What is bad is so for longer than the alert waits.
func (s Spec) watched() []watcher {
	if s.Reload == 0 {
		return nil
	}
	list := []watcher{s.reload("probe-exporter", "probe_exporter_config_last_reload_successful", exporter())}
	if r := s.Receiver; r != nil {
		list = append(list, s.reload("heal-receiver", "heal_config_last_reload_successful", receiver()), s.paused(*r), s.held(*r))
		list = append(list, s.failing(*r)...)
		list = append(list, s.counted(*r)...)
	}
	return list
}

// lasting is the end of what begins at the onset and must be told after a while.
func (s Spec) lasting(wait time.Duration) time.Duration { return onset + wait + 4*s.Every }

// turned is a gauge that shows something else for a while.
func turned(name string, labels []label, usual, bad int64, until time.Duration) gauge {
	return gauge{name, labels, func(at time.Duration) int64 {
		if at >= onset && at < until {
			return bad
		}
		return usual
	}}
}

// with adds labels to those of a scrape.
func with(base []label, more ...label) []label { return slices.Concat(base, more) }

// exporter are the labels that a scrape gives to probe-exporter's own metrics.
func exporter() []label { return []label{{"job", "probe-exporter"}, {"instance", "127.0.0.1:9115"}} }

// reload has a program refuse its file.
func (s Spec) reload(program, metric string, labels []label) watcher {
	until := s.lasting(s.Reload)
	return watcher{
		name: program + " refuses its configuration", alert: "ConfigReloadFailed", from: onset, until: until, wait: s.Reload,
		labels:  with(labels, label{"severity", ticket}, label{"program", program}),
		gauges:  []gauge{turned(metric, labels, 1000, 0, until)},
		summary: program + " 127.0.0.1:" + port(labels) + " refuses its configuration and goes on with the one before: look at its log, or run " + program + " check",
	}
}

// port is that of the instance among labels.
func port(labels []label) string { return labels[1].value[len("127.0.0.1:"):] }

// paused has a person stop automation.
func (s Spec) paused(r Receiver) watcher {
	until := s.lasting(r.Hold)
	return watcher{
		name: "automation is held", alert: "HealPaused", from: onset, until: until, wait: r.Hold,
		labels:  []label{{"kind", "pause"}, {"severity", ticket}},
		gauges:  []gauge{turned("heal_holds", with(receiver(), label{"kind", "pause"}), 0, 2000, until)},
		summary: "automation is stopped by 2 of kind pause: end the hold when its reason is over",
	}
}

// held has a mitigation stay in place, which began long before 0: a case that waited
// for it would take promtool longer than all others. The gauge is absent while nothing
// is held.
func (s Spec) held(r Receiver) watcher {
	since, until := onset-r.Held, onset+s.Dwell+4*s.Every
	fires := ceil(onset, s.Every) + ceil(s.Dwell, s.Every)
	return watcher{
		name: "a mitigation is held for long", alert: "MitigationHeld", from: onset, until: until, wait: s.Dwell, keep: r.Keep,
		labels: []label{{"service", "shop"}, {"kind", "isolate"}, {"severity", ticket}},
		gauges: []gauge{{
			"heal_mitigation_held_since_timestamp_seconds", with(receiver(), label{"service", "shop"}, label{"kind", "isolate"}),
			func(at time.Duration) int64 {
				if at < until {
					return since.Milliseconds()
				}
				return missing
			},
		}},
		summary: "isolate of shop is in place for " + humanized(fires-since) + ": release it, or record that it was put back (heal-receiver mitigations)",
	}
}

// failing are the ways in which a gauge tells that the receiver cannot do its work.
func (s Spec) failing(r Receiver) []watcher {
	var list []watcher
	for _, one := range []struct {
		name, reason, metric string
		more                 []label
		usual, bad           int64
		wait                 time.Duration
		alone                bool // the alert has the labels of more, not those of the scrape
		summary              string
	}{
		{"the journal cannot be read", "journal", "heal_journal_readable", nil, 1000, 0, r.Hold, false,
			"heal-receiver 127.0.0.1:9099 cannot read its journal: nothing heals; look at its disk and its log"},
		{"the clock of heal-receiver has jumped back", "clock", "heal_clock_behind_seconds", nil, 0, 90000, r.Hold, false,
			"the clock of heal-receiver 127.0.0.1:9099 has jumped back by 1m 30s: nothing heals until it has caught up; look at its time service"},
		{"no Watchdog comes to heal-receiver", "watchdog", "heal_watchdog_overdue", []label{{"source", "main"}}, 0, 1000, s.Dwell, true,
			"no Watchdog comes from Alertmanager main to heal-receiver: nothing heals; look at its route, its webhook and the token"},
	} {
		until, labels := s.lasting(one.wait), receiver()
		if one.alone {
			labels = one.more
		}
		list = append(list, watcher{
			name: one.name, alert: "HealFailing", from: onset, until: until, wait: one.wait, summary: one.summary,
			labels: with(labels, label{"severity", "page"}, label{"reason", one.reason}),
			gauges: []gauge{turned(one.metric, with(receiver(), one.more...), one.usual, one.bad, until)},
		})
	}
	return list
}

// counted are the ways that counters tell. What happens once is told until the
// range of the rule has forgotten it.
func (s Spec) counted(r Receiver) []watcher {
	step := divisor(s.Every, time.Second)
	until, refused := s.lasting(r.Hold), s.lasting(r.Accept)
	sink, code := label{"sink", "desk"}, label{"code", "cannot_tell"}
	from := []label{{"source", "main"}, {"code", "503"}}
	return []watcher{{
		name: "people cannot be reached", alert: "HealFailing", from: onset, until: until, wait: r.Hold,
		labels: with(receiver(), sink, label{"severity", "page"}, label{"reason", "message"}),
		gauges: []gauge{
			rising("heal_outbox_failures_total", with(receiver(), sink), onset, until, step),
			turned("heal_outbox_pending", receiver(), 0, 1000, until),
		},
		summary: "messages of heal-receiver do not reach desk: people may not hear of faults; look at notify.desk and its log",
	}, {
		name: "a message is delivered at the second try: nobody is told", from: onset, until: until,
		gauges: []gauge{
			rising("heal_outbox_failures_total", with(receiver(), sink), onset, onset+step, step),
			turned("heal_outbox_pending", receiver(), 0, 1000, onset+step),
		},
	}, {
		name: "notifications are refused", alert: "HealFailing", from: onset, until: refused - 2*step + r.Recently, wait: r.Accept,
		labels:  with(from, label{"severity", ticket}, label{"reason", "accept"}),
		gauges:  []gauge{rising("heal_notifications_total", with(receiver(), from...), onset, refused, step)},
		summary: "heal-receiver answers 503 to Alertmanager main: look at its log and, for 401 and 403, at the token",
	}, {
		name: "a run fails", alert: "HealFailing", from: onset, until: onset - step + r.Lately, wait: s.Dwell,
		labels:  []label{{"plan", "drain-node"}, {"outcome", "failed"}, {"severity", ticket}, {"reason", "run"}},
		gauges:  []gauge{rising("heal_runs_total", runs("failed"), onset, onset+step, step)},
		summary: "a run of plan drain-node is failed: look at the review of its incident; an unresolved one waits for heal-receiver resolve",
	}, {
		name: "an incident is handed over since nothing can be told", alert: "HealFailing", from: onset, until: onset - step + r.Lately, wait: s.Dwell,
		labels:  []label{code, {"severity", ticket}, {"reason", "hand_over"}},
		gauges:  []gauge{rising("heal_handed_over_total", with(receiver(), code), onset, onset+step, step)},
		summary: "heal-receiver could not heal and has handed over with cannot_tell: look at the numbers of the decision (heal-receiver incidents)",
	}}
}

// runs are the labels of the runs of one plan.
func runs(outcome string) []label {
	return with(receiver(), label{"plan", "drain-node"}, label{"kind", "isolate"}, label{"outcome", outcome})
}

// rising is a counter that goes up at each step of a while.
func rising(name string, labels []label, from, until, step time.Duration) gauge {
	return gauge{name, labels, func(at time.Duration) int64 {
		if at < from {
			return 0
		}
		return int64((min(at, until-step)-from)/step+1) * 1000
	}}
}

// well is what both programs show while all is well: holds end, runs succeed,
// notifications are taken, and incidents are handed over as the plans say.
func well() []gauge {
	steady := func(v int64) func(time.Duration) int64 { return func(time.Duration) int64 { return v } }
	busy := func(at time.Duration) int64 { return at.Milliseconds() }
	list := []gauge{
		{"probe_exporter_config_last_reload_successful", exporter(), steady(1000)},
		{"heal_config_last_reload_successful", receiver(), steady(1000)},
		{"heal_outbox_failures_total", with(receiver(), label{"sink", "desk"}), steady(0)},
		{"heal_outbox_pending", receiver(), steady(0)},
		{"heal_journal_readable", receiver(), steady(1000)},
		{"heal_clock_behind_seconds", receiver(), steady(1000)}, // claims go on up to 1s
		{"heal_watchdog_overdue", with(receiver(), label{"source", "main"}), steady(0)},
		{"heal_notifications_total", with(receiver(), label{"source", "main"}, label{"code", "200"}), busy},
		{"heal_runs_total", runs("succeeded"), busy},
		{"heal_runs_total", runs("failed"), steady(0)},
		{"heal_handed_over_total", with(receiver(), label{"code", "observe"}), busy},
		{"heal_handed_over_total", with(receiver(), label{"code", "cannot_tell"}), steady(0)},
		{"heal_mitigation_held_since_timestamp_seconds", with(receiver(), label{"service", "bill"}, label{"kind", "throttle"}), busy}, // renewed again and again
	}
	for _, kind := range []string{"kill", "pause", "maintenance", "breaker", "storm"} {
		list = append(list, gauge{"heal_holds", with(receiver(), label{"kind", kind}), steady(0)})
	}
	return list
}
