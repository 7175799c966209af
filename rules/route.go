package rules

import (
	"go.yaml.in/yaml/v3"

	"github.com/onefiveten/onefiveten/rules/layout"
)

const routeHead = `Routes and receiver for heal-receiver: both belong into your Alertmanager
configuration, the receiver under "receivers:", the routes under "routes:" of your
top route: the first two before all of yours, the third after them. Nothing may
inhibit FaultDetected or FaultLocated: inhibition is global, and the receiver would
lose alerts or their end. People are spared by their own group_by: [service].
`

const aloneHead = `There is no heal-receiver (alertmanager.webhook.url is empty): every alert goes
to people. Both parts belong into your Alertmanager configuration, the route as
the first one under "routes:" of your top route, the receiver under "receivers:".
`

const exampleHead = `A whole Alertmanager configuration around these routes.
Loads in Alertmanager 0.25 and later.
People hear in one message of all that fires for a service. No inhibit rule does
that: inhibition is global, and what heals would lose alerts or their end.
`

// Watchdog is sent once a minute. Alertmanager repeats a notification at a tick of
// group_interval, and only when repeat_interval is over: the tick after 30s is too
// early, the one after 60s is not. Equal intervals would let the jitter of the clock
// decide, so repeat_interval is no multiple of the tick.
const (
	watchdogTick   = "30s"
	watchdogRepeat = "45s"
)

// routeFile is the part to copy into an existing configuration. It holds no inhibit
// rule, and none may be added: its head says why.
func (a Alertmanager) routeFile() ([]byte, error) {
	head := routeHead
	if !a.heals() {
		head = aloneHead
	}
	return layout.Encode(head, layout.Mapping(
		layout.Pair{Key: "route", Value: layout.Mapping(layout.Pair{Key: "routes", Value: layout.List(a.routes()...)})},
		layout.Pair{Key: "receivers", Value: layout.List(a.receiver())},
	))
}

// exampleFile is a configuration that loads as it stands (DETECTION 9).
func (a Alertmanager) exampleFile() ([]byte, error) {
	return layout.Encode(exampleHead, layout.Mapping(
		layout.Pair{Key: "route", Value: layout.Mapping(
			layout.Pair{Key: "receiver", Value: layout.Text("people")},
			layout.Pair{Key: "group_by", Value: layout.Inline(layout.List(layout.Text("service")))},
			layout.Pair{Key: "routes", Value: layout.List(a.routes()...)},
		)},
		layout.Pair{Key: "receivers", Value: layout.List(
			layout.Remark(layout.Mapping(layout.Pair{Key: "name", Value: layout.Text("people")}), "Your mail, chat or pager."),
			a.receiver(),
		)},
	))
}

// routes know no labels, time-outs or payloads: Alertmanager 0.25 must load them.
// The first one ends at its receiver, since Watchdog always fires and would page.
func (a Alertmanager) routes() []*yaml.Node {
	pulse := layout.Inline(layout.List(layout.Text(`alertname="`+watchdog+`"`), layout.Text(`heal="true"`)))
	if !a.heals() {
		return []*yaml.Node{layout.Remark(layout.Mapping(
			layout.Pair{Key: "receiver", Value: layout.Text("nobody")},
			layout.Pair{Key: "matchers", Value: pulse},
		), "Watchdog always fires, and no page says so. A dead man's check of your own\nbelongs here: the silence of this alert is the alarm.")}
	}
	return []*yaml.Node{
		layout.Remark(a.route(pulse, watchdogTick, watchdogRepeat),
			"Watchdog always fires: once a minute to heal-receiver, which tells people when it\nstays away, and to nobody else."),
		layout.Remark(a.route(layout.Inline(layout.List(layout.Text(`heal="true"`))), a.GroupInterval.String(), "1h",
			layout.Pair{Key: "continue", Value: layout.Plain("true")}),
			"What heals; it goes on to people."),
		layout.Remark(layout.Mapping(
			layout.Pair{Key: "matchers", Value: layout.Inline(layout.List(layout.Text(`heal="true"`)))},
			layout.Pair{Key: "group_by", Value: layout.Inline(layout.List(layout.Text("service")))},
		), "The last one. An alert that a route has taken falls no more to the receiver of the\ntop route by itself: this one gives it to that receiver if no other of yours does."),
	}
}

// route is one to heal-receiver: each alert is a group of its own.
func (a Alertmanager) route(matchers *yaml.Node, tick, repeat string, more ...layout.Pair) *yaml.Node {
	return layout.Mapping(append([]layout.Pair{
		{Key: "receiver", Value: layout.Text("heal")},
		{Key: "matchers", Value: matchers},
		{Key: "group_by", Value: layout.Inline(layout.List(layout.Text("...")))},
		{Key: "group_wait", Value: layout.Plain(a.GroupWait.String())},
		{Key: "group_interval", Value: layout.Plain(tick)},
		{Key: "repeat_interval", Value: layout.Plain(repeat)},
	}, more...)...)
}

// receiver follows no redirects: a redirected webhook would be lost without an
// error. max_alerts 0 means all: a truncated message loses the end of alerts.
func (a Alertmanager) receiver() *yaml.Node {
	if !a.heals() {
		return layout.Mapping(layout.Pair{Key: "name", Value: layout.Text("nobody")})
	}
	http := []layout.Pair{{Key: "follow_redirects", Value: layout.Plain("false")}}
	if a.Webhook.CredentialsFile != "" {
		http = append(http, layout.Pair{Key: "authorization", Value: layout.Mapping(layout.Pair{Key: "credentials_file", Value: layout.Text(a.Webhook.CredentialsFile)})})
	}
	return layout.Mapping(
		layout.Pair{Key: "name", Value: layout.Text("heal")},
		layout.Pair{Key: "webhook_configs", Value: layout.List(layout.Mapping(
			layout.Pair{Key: "url", Value: layout.Text(a.Webhook.URL)},
			layout.Pair{Key: "send_resolved", Value: layout.Plain("true")},
			layout.Pair{Key: "max_alerts", Value: layout.Plain("0")},
			layout.Pair{Key: "http_config", Value: layout.Mapping(http...)},
		))},
	)
}
