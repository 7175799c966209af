package healer

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/prometheus/alertmanager/template"
	"github.com/prometheus/common/model"
)

// envelope is Alertmanager's message, as far as anything of it decides. Unknown
// fields are accepted; status, group and common labels decide nothing.
type envelope struct {
	Version         string            `json:"version"`
	Receiver        string            `json:"receiver"` // read for what was truncated alone
	Alerts          *[]template.Alert `json:"alerts"`
	TruncatedAlerts uint64            `json:"truncatedAlerts"`
}

// Accept keeps a notification of a source and applies its alerts. nil means
// that it was committed. A body that is no notification is kept as bad and
// answered with *BadNotification; every other error is the storage's.
func (e *Engine) Accept(ctx context.Context, source string, body []byte) error {
	alerts, w, err := parseWebhook(body)
	if err != nil {
		if kept := e.Store.Refuse(ctx, source, body, err.Error()); kept != nil {
			return fmt.Errorf("keep a bad notification of source %s: %w", source, kept)
		}
		return err
	}
	book := e.Book()
	for i := range alerts {
		alerts[i].Trigger = triggers(book.Trigger, alerts[i].Labels)
	}
	accepted, err := e.Store.Accept(ctx, Notification{Source: source, Body: body, Alerts: alerts, Watchdog: barks(alerts)})
	if err != nil {
		return fmt.Errorf("keep a notification of source %s: %w", source, err)
	}
	e.metrics.accepted(source, alerts, accepted, w.TruncatedAlerts)
	if w.TruncatedAlerts > 0 {
		e.mu.Lock()
		e.cut[source+"/"+w.Receiver] = true
		e.mu.Unlock()
	}
	e.kick()
	return nil
}

// routed reports whether one of an alert's receivers is us, and our messages
// were cut short: only then may a reading of the API bring what no webhook did.
func (e *Engine) routed(source string, receivers []string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.ContainsFunc(receivers, func(name string) bool { return e.cut[source+"/"+name] })
}

// triggers says whether an alert may start or carry action: what the book says,
// but never an alert that only tells of an incident.
func triggers(book func(map[string]string) bool, labels map[string]string) bool {
	for _, name := range eventAlerts {
		if labels["alertname"] == name {
			return false
		}
	}
	return book(labels)
}

// parseWebhook reads Alertmanager's message of version "4".
func parseWebhook(body []byte) (alerts []Alert, w envelope, err error) {
	if err := json.Unmarshal(body, &w); err != nil {
		return nil, w, &BadNotification{Reason: fmt.Sprintf("got no JSON of a webhook message: %v", err)}
	}
	if w.Version != "4" {
		return nil, w, &BadNotification{Reason: fmt.Sprintf(`got version %q, want "4"`, w.Version)}
	}
	if w.Alerts == nil {
		return nil, w, &BadNotification{Reason: `got no field "alerts", want a list`}
	}
	for i, a := range *w.Alerts {
		one, reason := parseAlert(a)
		if reason != "" {
			return nil, w, &BadNotification{Reason: fmt.Sprintf("alerts[%d]: %s", i, reason)}
		}
		alerts = append(alerts, one)
	}
	return alerts, w, nil
}

// parseAlert reads one alert, or gives the reason why it is none. endsAt of a firing
// alert is a guess of Alertmanager's and is left out.
func parseAlert(a template.Alert) (Alert, string) {
	switch {
	case len(a.Labels) == 0:
		return Alert{}, "got no labels, want at least one"
	case a.StartsAt.IsZero():
		return Alert{}, "got no startsAt, want an instant"
	case a.Status != string(model.AlertFiring) && a.Status != string(model.AlertResolved):
		return Alert{}, fmt.Sprintf("got status %q, want firing or resolved", a.Status)
	case a.Status == string(model.AlertResolved) && a.EndsAt.IsZero():
		return Alert{}, "got no endsAt of a resolved alert, want an instant"
	}
	one := Alert{
		Fingerprint: a.Fingerprint, Labels: a.Labels, Annotations: a.Annotations, StartsAt: a.StartsAt,
		Firing: a.Status == string(model.AlertFiring),
	}
	if !one.Firing {
		one.EndsAt = a.EndsAt
	}
	if one.Fingerprint == "" {
		one.Fingerprint = fingerprint(a.Labels)
	}
	return one, ""
}

// fingerprint is the one that Alertmanager computes of a label set.
func fingerprint(labels map[string]string) string {
	set := make(model.LabelSet, len(labels))
	for name, value := range labels {
		set[model.LabelName(name)] = model.LabelValue(value)
	}
	return set.Fingerprint().String()
}
