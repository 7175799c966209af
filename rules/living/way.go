package living

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
)

// minFlush is the least time that Alertmanager gives a delivery, whatever
// group_interval says. A repetition after more than longestRepeat is too late to
// repair anything that was lost.
const (
	minFlush      = 10 * time.Second
	longestRepeat = 24 * time.Hour
)

// watchdog is the alert that always fires, and beat how far apart two of its
// notifications may be: it waits for nothing, so no bound depends on it.
const (
	watchdog = "Watchdog"
	beat     = 2 * time.Minute
)

// Way is what is promised of the way from Alertmanager to heal-receiver.
type Way struct {
	Webhook                  string // its address
	GroupWait, GroupInterval time.Duration
	Alerts                   []map[string]string // labels of those that have to arrive, alertname among them
	Identity                 []string            // names of the labels by which two of them differ
}

// Check looks whether every alert of the way arrives as promised, and gives the
// longest time that one waits in its group: G. That is nil where none arrives.
func (a *Alertmanager) Check(w Way) ([]Finding, *time.Duration) {
	hooks := a.webhooks(w.Webhook)
	if len(hooks) == 0 {
		return []Finding{{true, "alertmanager.webhook.url", fmt.Sprintf("no receiver of Alertmanager has the webhook %s: want that of the generated route.yml", w.Webhook)}}, nil
	}
	all := &merged{}
	var wait *time.Duration
	for _, alert := range w.Alerts {
		name := alert["alertname"]
		for _, by := range a.inhibitors(alert) {
			all.say(name, Finding{true, "", by + " can mute it, and then neither it nor its end reaches heal-receiver: inhibition is global; group what people get instead"})
		}
		say := func(f Finding) { all.say(name, f) }
		for _, hop := range a.arrives(alert, hooks, say) {
			if name == watchdog {
				hop.pulse(say)
				continue
			}
			g := hop.look(w, say)
			if wait == nil || g > *wait {
				wait = &g
			}
		}
	}
	return append(all.findings(), hookFindings(hooks)...), wait
}

// arrives gives the routes to heal-receiver that an alert reaches, and tells where
// there is none, more than one, or one that others depend on.
func (a *Alertmanager) arrives(alert map[string]string, hooks map[string][]webhook, say func(Finding)) []Hop {
	hops := a.Route(alert)
	var ours []Hop
	first := -1
	for i, h := range hops {
		if _, is := hooks[h.Receiver]; is {
			ours = append(ours, h)
			if first < 0 {
				first = i
			}
		}
	}
	const path = "alertmanager.webhook.url"
	switch {
	case len(ours) == 0:
		to := make([]string, len(hops))
		for i, h := range hops {
			to[i] = fmt.Sprintf("%q", h.Receiver)
		}
		say(Finding{true, path, fmt.Sprintf("goes to %s, and never to %s, which leads to heal-receiver: put its route first, with continue: true", strings.Join(to, " and "), receivers(hooks))})
	case len(ours) > 1:
		say(Finding{false, path, fmt.Sprintf("reaches heal-receiver by %d routes, and each notification comes as often", len(ours))})
	case first > 0:
		say(Finding{false, path, "the route to heal-receiver is not the first one that it reaches: one above it that loses its continue cuts heal-receiver off"})
	case len(hops) == 1 && alert["alertname"] != watchdog:
		say(Finding{false, path, "only heal-receiver is told: without continue: true, or a route for people below, nobody else is"})
	}
	return ours
}

// pulse looks at how often the alert that always fires is told again. Alertmanager
// repeats at the first tick of group_interval from repeat_interval on.
func (h Hop) pulse(say func(Finding)) {
	h.times(say)
	if every := (h.Repeat + h.Interval - 1) / max(h.Interval, 1) * h.Interval; every > beat {
		say(Finding{false, "", fmt.Sprintf("comes every %s, where a dead man's check counts on once a minute: want a route of its own, with a group_interval of 30s and a repeat_interval of 45s", human(every))})
	}
}

// look compares one route with what was promised, and gives how long an alert may
// wait there.
func (h Hop) look(w Way, say func(Finding)) time.Duration {
	switch {
	case h.Wait > w.GroupWait:
		say(Finding{true, "alertmanager.group_wait", fmt.Sprintf("waits for group_wait %s, reckoned with %s: the bounds are too short", human(h.Wait), human(w.GroupWait))})
	case h.Wait < w.GroupWait:
		say(Finding{false, "alertmanager.group_wait", fmt.Sprintf("waits for group_wait %s, reckoned with %s: the bounds are longer than need be", human(h.Wait), human(w.GroupWait))})
	}
	switch {
	case h.Interval < minFlush:
		say(Finding{false, "alertmanager.group_interval", fmt.Sprintf("has a group_interval of %s: Alertmanager gives a delivery %s whatever it says; want %s or more", human(h.Interval), human(minFlush), human(minFlush))})
	case h.Interval != w.GroupInterval:
		say(Finding{false, "alertmanager.group_interval", fmt.Sprintf("has a group_interval of %s, configured is %s: its end is told as much later or earlier", human(h.Interval), human(w.GroupInterval))})
	}
	h.times(say)
	if h.Repeat > longestRepeat || h.Repeat < h.Interval {
		say(Finding{false, "", fmt.Sprintf("is repeated after %s, with a group_interval of %s: want 1h, which repairs what was lost and is no noise", human(h.Repeat), human(h.Interval))})
	}
	return h.grouping(w, say)
}

// times looks at when a route is silent.
func (h Hop) times(say func(Finding)) {
	if len(h.Mute) > 0 {
		say(Finding{true, "", fmt.Sprintf("mute_time_intervals of the route to %q: %s: in them heal-receiver gets nothing", h.Receiver, strings.Join(h.Mute, ", "))})
	}
	if len(h.Active) > 0 {
		say(Finding{true, "", fmt.Sprintf("active_time_intervals of the route to %q: %s: outside of them heal-receiver gets nothing", h.Receiver, strings.Join(h.Active, ", "))})
	}
}

// grouping wants each alert in a group of its own. One that joins a group which is
// there waits for that group's next flush.
func (h Hop) grouping(w Way, say func(Finding)) time.Duration {
	var missing []string
	for _, name := range w.Identity {
		if !h.Alone && !slices.Contains(h.GroupBy, name) {
			missing = append(missing, name)
		}
	}
	if len(missing) == 0 {
		return h.Wait
	}
	joined := max(h.Wait, h.Interval)
	say(Finding{joined > w.GroupWait, "alertmanager.group_wait", fmt.Sprintf("its route groups by [%s], without %s: a second alert joins a group that is there and waits for its group_interval of %s instead of group_wait %s; want group_by: ['...']",
		strings.Join(h.GroupBy, ", "), strings.Join(missing, ", "), human(h.Interval), human(h.Wait))})
	return joined
}

// hookFindings are what the webhooks themselves may lose.
func hookFindings(hooks map[string][]webhook) []Finding {
	var f findings
	for _, name := range slices.Sorted(maps.Keys(hooks)) {
		for _, h := range hooks[name] {
			at := fmt.Sprintf("the webhook of receiver %q ", name)
			if h.MaxAlerts > 0 {
				f.unwise("alertmanager.webhook.url", at+fmt.Sprintf("has max_alerts: %d: what is beyond them is lost, ends of alerts too; want 0", h.MaxAlerts))
			}
			if h.SendResolved != nil && !*h.SendResolved {
				f.unwise("alertmanager.webhook.url", at+"has send_resolved: false: heal-receiver is not told that a fault is over; want true")
			}
			if h.HTTP.Follow == nil || *h.HTTP.Follow {
				f.unwise("alertmanager.webhook.url", at+"follows redirects: a redirected notification is lost and counted as sent; want http_config: {follow_redirects: false}")
			}
		}
	}
	return f
}

// receivers names those that lead to heal-receiver.
func receivers(hooks map[string][]webhook) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(hooks)) {
		all = append(all, fmt.Sprintf("%q", name))
	}
	return strings.Join(all, " or ")
}

// human writes a duration as people do in the files of Alertmanager.
func human(d time.Duration) string { return model.Duration(d).String() }
