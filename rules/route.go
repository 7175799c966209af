package rules

import (
	"go.yaml.in/yaml/v3"

	"github.com/onefiveten/onefiveten/rules/layout"
)

const routeHead = `Route and receiver for heal-receiver: both belong into your Alertmanager
configuration, the route as the first one under "routes:". Nothing may inhibit
FaultDetected or FaultLocated: inhibition is global, and the receiver would lose
alerts or their end. People are spared by their own group_by: [service].
`

const exampleHead = `A whole Alertmanager configuration around the route to heal-receiver.
Loads in Alertmanager 0.25 and later.
`

// routeFile holds no inhibit rule, and none may be added: see its head. It is the part to copy into an existing configuration.
func (a Alertmanager) routeFile() ([]byte, error) {
	return layout.Encode(routeHead, layout.Mapping(
		layout.Pair{Key: "route", Value: layout.Mapping(layout.Pair{Key: "routes", Value: layout.List(a.route())})},
		layout.Pair{Key: "receivers", Value: layout.List(a.receiver())},
	))
}

// exampleFile is a configuration that loads as it stands (DETECTION 9).
func (a Alertmanager) exampleFile() ([]byte, error) {
	return layout.Encode(exampleHead, layout.Mapping(
		layout.Pair{Key: "route", Value: layout.Mapping(
			layout.Pair{Key: "receiver", Value: layout.Text("people")},
			layout.Pair{Key: "group_by", Value: layout.Inline(layout.List(layout.Text("service")))},
			layout.Pair{Key: "routes", Value: layout.List(a.route())},
		)},
		layout.Pair{Key: "receivers", Value: layout.List(
			layout.Remark(layout.Mapping(layout.Pair{Key: "name", Value: layout.Text("people")}), "Your mail, chat or pager."),
			a.receiver(),
		)},
	))
}

// route knows no labels, time-outs or payloads: Alertmanager 0.25 must load it.
func (a Alertmanager) route() *yaml.Node {
	return layout.Mapping(
		layout.Pair{Key: "receiver", Value: layout.Text("heal")},
		layout.Pair{Key: "matchers", Value: layout.Inline(layout.List(layout.Text(`heal="true"`)))},
		layout.Pair{Key: "group_by", Value: layout.Inline(layout.List(layout.Text("...")))},
		layout.Pair{Key: "group_wait", Value: layout.Plain(a.GroupWait.String())},
		layout.Pair{Key: "group_interval", Value: layout.Plain(a.GroupInterval.String())},
		layout.Pair{Key: "repeat_interval", Value: layout.Plain("1h")},
		layout.Pair{Key: "continue", Value: layout.Plain("true")},
	)
}

// receiver follows no redirects: a redirected webhook would be lost without an
// error. max_alerts 0 means all: a truncated message loses the end of alerts.
func (a Alertmanager) receiver() *yaml.Node {
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
