package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"

	"github.com/onefiveten/onefiveten/config"
	"github.com/onefiveten/onefiveten/healer/plan"
	"github.com/onefiveten/onefiveten/promapi"
)

// route is what of Alertmanager's routing tree tells how long a new group waits.
type route struct {
	Receiver  string          `yaml:"receiver"`
	GroupWait *model.Duration `yaml:"group_wait"`
	Routes    []route         `yaml:"routes"`
}

// alertmanagerFile is what of Alertmanager's configuration we read.
type alertmanagerFile struct {
	Route     route `yaml:"route"`
	Receivers []struct {
		Name     string `yaml:"name"`
		Webhooks []struct {
			URL     string `yaml:"url"`
			URLFile string `yaml:"url_file"`
		} `yaml:"webhook_configs"`
	} `yaml:"receivers"`
}

// defaultGroupWait is Alertmanager's own.
const defaultGroupWait = 30 * time.Second

// groupWait is the longest group_wait of a route to a webhook on our path, over
// all Alertmanagers. Newer ones mask URLs in their status, and of a url_file nobody
// is told: then a receiver counts that has heal in its name, as "probe-exporter check"
// has it.
func (r *receiver) groupWait(ctx context.Context) (time.Duration, error) {
	var longest time.Duration
	for _, server := range r.now.Load().book.Alertmanagers {
		text, err := alertmanagerConfig(ctx, server)
		if err != nil {
			return 0, fmt.Errorf("alertmanagers %s: %w", server.Name, err)
		}
		wait, err := groupWaitOf(text)
		if err != nil {
			return 0, fmt.Errorf("alertmanagers %s: %w", server.Name, err)
		}
		longest = max(longest, wait)
	}
	return longest, nil
}

// alertmanagerConfig asks the first peer that answers.
func alertmanagerConfig(ctx context.Context, s plan.Server) (string, error) {
	var causes []error
	for _, base := range s.URLs {
		status, err := statusOf(ctx, s, base)
		if err == nil {
			return status.Config, nil
		}
		causes = append(causes, err)
	}
	return "", errors.Join(causes...)
}

// statusOf asks one peer.
func statusOf(ctx context.Context, s plan.Server, base string) (promapi.Status, error) {
	client, err := promapi.NewAlertmanager(promapi.Settings{Name: config.Masked(base), URL: base, HTTPConfig: &s.HTTPConfig, Timeout: durationOf(s.Timeout)})
	if err != nil {
		return promapi.Status{}, err
	}
	defer client.Close()
	return client.Status(ctx)
}

// groupWaitOf finds the routes that end at our webhook.
func groupWaitOf(text string) (time.Duration, error) {
	var f alertmanagerFile
	if err := yaml.Unmarshal([]byte(text), &f); err != nil {
		return 0, fmt.Errorf("reading its configuration: %w", err)
	}
	ours := map[string]bool{}
	for _, r := range f.Receivers {
		for _, w := range r.Webhooks {
			masked := (w.URL == "<secret>" || w.URLFile != "") && strings.Contains(strings.ToLower(r.Name), "heal")
			ours[r.Name] = ours[r.Name] || strings.Contains(w.URL, "/api/v1/alertmanager") || masked
		}
	}
	longest, found := f.Route.longest(ours, defaultGroupWait, "")
	if !found {
		return 0, errors.New("no route leads to a webhook on /api/v1/alertmanager")
	}
	return longest, nil
}

// longest group_wait of the route and those below it that end at a receiver of
// ours. What a route leaves out it takes from above.
func (r route) longest(ours map[string]bool, wait time.Duration, receiver string) (time.Duration, bool) {
	if r.GroupWait != nil {
		wait = time.Duration(*r.GroupWait)
	}
	if r.Receiver != "" {
		receiver = r.Receiver
	}
	most, found := time.Duration(0), false
	if ours[receiver] {
		most, found = wait, true
	}
	for _, below := range r.Routes {
		if w, ok := below.longest(ours, wait, receiver); ok {
			most, found = max(most, w), true
		}
	}
	return most, found
}
