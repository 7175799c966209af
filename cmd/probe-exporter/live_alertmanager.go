package main

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/onefiveten/onefiveten/config"
	"github.com/onefiveten/onefiveten/promapi"
	"github.com/onefiveten/onefiveten/rules"
	"github.com/onefiveten/onefiveten/rules/living"
)

// askAlertmanager looks at the way from Alertmanager to heal-receiver.
func (a *app) askAlertmanager(ctx context.Context, l *live) {
	s := l.settings
	address := cmp.Or(a.alertmanagerURL, s.Alertmanager.URL)
	if address == "" || len(s.Services) == 0 {
		return
	}
	where, silent := l.server("--alertmanager.url", a.alertmanagerURL, "alertmanager.url")
	client, err := promapi.NewAlertmanager(promapi.Settings{
		Name: config.Masked(address), URL: address, HTTPConfig: s.Alertmanager.HTTPConfig, Timeout: s.Prometheus.Timeout,
	})
	var status promapi.Status
	if err == nil {
		defer client.Close()
		status, err = client.Status(ctx)
	}
	if err != nil {
		*silent = append(*silent, where(err.Error()))
		return
	}
	l.known(address, where)
	l.peers(status.Peers)
	if err := l.way(status.Config, where); err != nil {
		l.wrong = append(l.wrong, where(err.Error()))
	}
}

// known tells of an Alertmanager to which Prometheus sends nothing. It may go by
// another name there.
func (l *live) known(address string, where func(text string) config.Mistake) {
	asked, err := url.Parse(address)
	if err != nil || len(l.sends) == 0 {
		return
	}
	if !slices.ContainsFunc(l.sends, func(to string) bool {
		u, err := url.Parse(to)
		return err == nil && u.Host == asked.Host
	}) {
		l.unwise = append(l.unwise, where(fmt.Sprintf("Prometheus sends alerts to %s, and not to %s: what is told of it holds for another one", strings.Join(l.sends, ", "), address)))
	}
}

// peers compares the members of the cluster. The last of them waits for all before
// it.
func (l *live) peers(got int) {
	if got < 1 { // one without a cluster tells of none
		got = 1
	}
	l.now.Peers = &got
	want := l.spec.Alertmanager.Peers
	m := l.settings.places.Mistake("alertmanager.peers", fmt.Sprintf("reckons with %d, the cluster has %d", want, got))
	switch {
	case got > want:
		m.Text += ": the bounds are too short"
		l.wrong = append(l.wrong, m)
	case got < want:
		m.Text += ": one is away, or the bounds are longer than need be"
		l.unwise = append(l.unwise, m)
	}
}

// way follows every alert that has to arrive through the routes.
func (l *live) way(text string, where func(text string) config.Mistake) error {
	if l.spec.Alertmanager.Webhook.URL == "" { // there is no heal-receiver
		return nil
	}
	am, err := living.Parse(text)
	if err != nil {
		return err
	}
	var external map[string]string
	relabels := ""
	if l.config != nil {
		external, relabels = l.config.ExternalLabels, l.config.AlertRelabels
	}
	alerts, dropped, err := living.Sent(l.spec.Alerts(), external, relabels)
	if err != nil {
		return err
	}
	c := l.spec.Alertmanager
	found, wait := am.Check(living.Way{
		Webhook: c.Webhook.URL, GroupWait: time.Duration(c.GroupWait), GroupInterval: time.Duration(c.GroupInterval),
		Alerts: alerts, Identity: l.spec.Identity(),
	})
	l.report(append(dropped, found...), where)
	l.now.GroupWait = wait
	return nil
}

// bounds reckons them again with the timing that was told.
func (l *live) bounds() {
	if !l.now.Told() || len(l.settings.Services) == 0 {
		return
	}
	proved := rules.Prove(l.spec)
	l.living = l.spec.Again(l.now, proved)
	rules.Broken(proved, l.living, func(path, text string) {
		l.wrong = append(l.wrong, l.settings.places.Mistake(path, text))
	})
}
