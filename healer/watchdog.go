package healer

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// What people are told of the Watchdog of a source.
const (
	watchdogSilent Code = "watchdog_silent"
	watchdogBack   Code = "watchdog_back"
)

// barks reports whether a Watchdog fires among alerts. One that is resolved says
// only that Prometheus has told an Alertmanager nothing for minutes, and another
// peer may know better.
func barks(alerts []Alert) bool {
	return slices.ContainsFunc(alerts, func(a Alert) bool { return a.Firing && a.Labels["alertname"] == alertWatchdog })
}

// attention is how long this process has listened to one source without a gap: it
// cannot tell a silence from its own absence, nor from a time in which a reload had
// not named the source yet.
type attention struct{ since, last time.Time }

// inattentive is the longest pause between two looks after which it was listening
// all the time. A host that was suspended, or whose clock was set forward, was not.
const inattentive = 6 * look

// at is the attention at a further look.
func (a attention) at(now time.Time) attention {
	if a.last.IsZero() || now.Before(a.last) || now.Sub(a.last) > inattentive {
		a.since = now
	}
	a.last = now
	return a
}

// listen judges the Watchdog of one source (HEALING 3). since is how long it has
// been listened for: so long at least it has its time to come.
func (d desk) listen(v *Vigil, since time.Time) {
	w, p := d.book.Watchdog, &v.Pulse
	missed := v.Now.Sub(latest(p.SeenAt, since))
	switch silent := !p.SilentAt.IsZero(); {
	case silent && !p.SeenAt.Before(p.SilentAt):
		d.announce(v, "tell", watchdogBack, back(v.Pulse))
		p.SilentAt, p.SaidAt = time.Time{}, time.Time{}
	case silent && v.Now.Sub(p.SaidAt) >= w.Remind:
		d.announce(v, "reminder", watchdogSilent, silence(*p))
		p.SaidAt = v.Now
	case !silent && missed >= w.Within:
		d.announce(v, "tell", watchdogSilent, silence(*p))
		p.SilentAt, p.SaidAt = v.Now, v.Now
	}
}

// silence says in words what is missing and where to look.
func silence(p Pulse) string {
	said := "never came"
	if !p.SeenAt.IsZero() {
		said = "came last at " + stamp(p.SeenAt)
	}
	return fmt.Sprintf("the Watchdog of Alertmanager %s %s: alerts may not arrive, and then nothing is healed; look at Prometheus, at Alertmanager, and at its route to heal-receiver", p.Source, said)
}

// back says in words that it comes again. Like silence it names its instants, since
// messages that could not be delivered at once may arrive in another order.
func back(p Pulse) string {
	return fmt.Sprintf("the Watchdog of Alertmanager %s is back: it came at %s, and had been missed since %s", p.Source, stamp(p.SeenAt), stamp(p.SilentAt))
}

// announce puts one message to each contact of the watchdog into the outbox. The
// audit trail keeps when a silence begins and ends, also where nobody is told.
func (d desk) announce(v *Vigil, kind string, code Code, text string) {
	w := d.book.Watchdog
	n := notice{Version: "1", Kind: kind, Code: string(code), Cluster: d.book.Cluster, At: v.Now.UTC(), Text: text, Severity: severityPage}
	for _, contact := range w.To {
		v.Messages = append(v.Messages, Message{
			ID: d.id(), Kind: kind, Sink: contact, Body: asJSON(n), CreatedAt: v.Now, NextAt: v.Now,
			Dedup: fmt.Sprintf("watchdog/%s/%s/%d", v.Pulse.Source, code, v.Now.UnixMilli()),
		})
	}
	if kind == "tell" {
		body := asJSON(map[string]any{"source": v.Pulse.Source, "text": text, "to": w.To})
		v.Entries = append(v.Entries, Entry{At: v.Now, Actor: machine, Event: string(code), Code: code, Body: body})
	}
}

// severityPage is the severity of what pages (HEALING 2).
const severityPage = 2

// listen looks at the Watchdog of every source. Only a look that says something
// writes.
func (e *Engine) listen(ctx context.Context) error {
	if e.Book().Watchdog.Within == 0 {
		return nil
	}
	known, err := e.pulses(ctx)
	if err != nil {
		return err
	}
	now := time.Now().Round(0).Add(e.Store.Behind())
	before := e.listens
	e.listens = map[string]attention{} // a source that has left is forgotten
	var all error
	for _, source := range slices.Sorted(maps.Keys(known)) {
		listens := before[source].at(now)
		if err := e.hear(ctx, known[source], listens); err != nil {
			listens = attention{} // who cannot write could not take notifications either
			all = errors.Join(all, fmt.Errorf("tell that the Watchdog of source %s is missed or back: %w", source, err))
		}
		e.listens[source] = listens
	}
	return all
}

// hear writes what there is to say of one source, if anything, and wakes who
// delivers it.
func (e *Engine) hear(ctx context.Context, known Pulse, listens attention) error {
	look := Vigil{Now: listens.last, Pulse: known}
	if e.desk().listen(&look, listens.since); look.Pulse == known {
		return nil
	}
	defer e.kick()
	return e.Store.Pulse(ctx, known.Source, func(v *Vigil) { e.desk().listen(v, listens.since) })
}

// pulses are those of the sources that are configured; one of which nothing is
// known has never been heard.
func (e *Engine) pulses(ctx context.Context) (map[string]Pulse, error) {
	list, err := e.Store.Pulses(ctx)
	if err != nil {
		return nil, fmt.Errorf("read when the Watchdog of each source was received: %w", err)
	}
	known := map[string]Pulse{}
	for source := range e.Outside().Alertmanagers {
		known[source] = Pulse{Source: source}
	}
	for _, p := range list {
		if _, configured := known[p.Source]; configured {
			known[p.Source] = p
		}
	}
	return known, nil
}
