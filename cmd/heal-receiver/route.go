package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	promconfig "github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"

	"github.com/onefiveten/onefiveten/healer/plan"
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
			URL string `yaml:"url"`
		} `yaml:"webhook_configs"`
	} `yaml:"receivers"`
}

// defaultGroupWait is Alertmanager's own.
const defaultGroupWait = 30 * time.Second

// groupWait is the longest group_wait of a route to a webhook on our path, over
// all Alertmanagers. Their status shows secrets masked and URLs, in newer
// versions, too: a receiver named like ours counts then.
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
	client, err := promconfig.NewClientFromConfig(s.HTTPConfig, "alertmanager")
	if err != nil {
		return "", err
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse } // http_config may hold secrets
	var causes []error
	for _, base := range s.URLs {
		text, err := statusOf(ctx, client, strings.TrimSuffix(base, "/")+"/api/v2/status")
		if err == nil {
			return text, nil
		}
		causes = append(causes, err)
	}
	return "", errors.Join(causes...)
}

func statusOf(ctx context.Context, client *http.Client, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	var status struct {
		Config struct {
			Original string `json:"original"`
		} `json:"config"`
	}
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: got %s, want 200", url, resp.Status)
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 16<<20)).Decode(&status); err != nil {
		return "", fmt.Errorf("%s: %w", url, err)
	}
	return status.Config.Original, nil
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
			ours[r.Name] = ours[r.Name] || strings.Contains(w.URL, "/api/v1/alertmanager") || w.URL == "<secret>" && strings.Contains(r.Name, "heal")
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
