package run

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sort"
	"strconv"
	"strings"
	"time"
)

// api asks one HTTP server; token is sent as a bearer if there is one.
type api struct {
	base, token string
}

var client = &http.Client{Timeout: 5 * time.Second}

// call gives the body of an answer of the 2xx family.
func (a api) call(ctx context.Context, method, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, a.base+path, nil)
	if err != nil {
		return nil, err
	}
	if a.token != "" {
		req.Header.Set("Authorization", "Bearer "+a.token)
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	if err != nil {
		return nil, fmt.Errorf("reading the answer to %s %s: %w", method, req.URL.Path, err)
	}
	if resp.StatusCode/100 != 2 {
		return nil, fmt.Errorf("%s %s answered %s: %.200s", method, req.URL.Path, resp.Status, strings.TrimSpace(string(body)))
	}
	return body, nil
}

// get reads a JSON answer.
func (a api) get(ctx context.Context, path string, into any) error {
	body, err := a.call(ctx, http.MethodGet, path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("reading %s: %w", path, err)
	}
	return nil
}

// point is one element of an instant vector of Prometheus.
type point struct {
	labels map[string]string
	value  float64
}

// query asks Prometheus.
func (a api) query(ctx context.Context, expr string) ([]point, error) {
	var answer struct {
		Data struct {
			Result []struct {
				Metric map[string]string `json:"metric"`
				Value  [2]any            `json:"value"`
			} `json:"result"`
		} `json:"data"`
	}
	if err := a.get(ctx, "/api/v1/query?query="+url.QueryEscape(expr), &answer); err != nil {
		return nil, err
	}
	var points []point
	for _, r := range answer.Data.Result {
		text, _ := r.Value[1].(string)
		v, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return nil, fmt.Errorf("reading the answer to %s: %w", expr, err)
		}
		points = append(points, point{r.Metric, v})
	}
	return points, nil
}

// alert is one of Prometheus' alerts.
type alert struct {
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	State       string            `json:"state"`
	ActiveAt    time.Time         `json:"activeAt"`
}

// String is the alert's name with the labels that tell two of them apart.
func (a alert) String() string {
	var parts []string
	for name, value := range a.Labels {
		switch name {
		case "alertname", "heal", "severity", "owner":
		default:
			parts = append(parts, name+"="+value)
		}
	}
	sort.Strings(parts)
	return a.Labels["alertname"] + "{" + strings.Join(parts, ", ") + "}"
}

// firing gives the alerts that fire, the Watchdog left out, which always does.
func (a api) firing(ctx context.Context) ([]alert, error) {
	var answer struct {
		Data struct {
			Alerts []alert `json:"alerts"`
		} `json:"data"`
	}
	if err := a.get(ctx, "/api/v1/alerts", &answer); err != nil {
		return nil, err
	}
	var all []alert
	for _, each := range answer.Data.Alerts {
		if each.State == "firing" && each.Labels["alertname"] != "Watchdog" {
			all = append(all, each)
		}
	}
	return all, nil
}

// What is read of heal-receiver's API (HEALING 14).
type (
	incident struct {
		ID          string       `json:"id"`
		State       string       `json:"state"`
		Reason      string       `json:"reason"`
		Scenario    string       `json:"scenario"`
		Scope       string       `json:"scope"`
		Verdict     verdict      `json:"verdict"`
		Instants    []instant    `json:"instants"`
		Decisions   []decision   `json:"decisions"`
		Runs        []healRun    `json:"runs"`
		Mitigations []mitigation `json:"mitigations"`
	}
	verdict struct {
		Scope    string    `json:"scope"`
		Members  []string  `json:"members"`
		Evidence []string  `json:"evidence"`
		At       time.Time `json:"at"`
	}
	instant struct {
		Round  int       `json:"round"`
		Name   string    `json:"name"`
		At     time.Time `json:"at"`
		Source string    `json:"source"`
	}
	decision struct {
		At      time.Time      `json:"at"`
		Rung    int            `json:"rung"`
		Plan    string         `json:"plan"`
		Target  string         `json:"target"`
		Verb    string         `json:"decision"`
		Code    string         `json:"code"`
		Numbers map[string]any `json:"numbers"`
		Run     string         `json:"run"`
	}
	healRun struct {
		ID      string    `json:"id"`
		Purpose string    `json:"purpose"`
		Plan    string    `json:"plan"`
		Kind    string    `json:"kind"`
		Target  string    `json:"target"`
		State   string    `json:"state"`
		Reason  string    `json:"reason"`
		EndedAt time.Time `json:"ended_at"`
		Steps   []step    `json:"steps"`
		Samples []sample  `json:"samples"`
	}
	step struct {
		Phase      string    `json:"phase"`
		N          int       `json:"n"`
		Try        int       `json:"try"`
		What       string    `json:"what"`
		FinishedAt time.Time `json:"finished_at"`
		Outcome    string    `json:"outcome"`
	}
	sample struct {
		At     time.Time `json:"at"`
		Answer string    `json:"answer"`
	}
	mitigation struct {
		ID     string `json:"id"`
		Target string `json:"target"`
		Kind   string `json:"kind"`
		State  string `json:"state"`
	}
)

// incidents gives all of them, newest first, each whole.
func (a api) incidents(ctx context.Context) ([]incident, error) {
	var list struct {
		Incidents []incident `json:"incidents"`
	}
	if err := a.get(ctx, "/api/v1/incidents", &list); err != nil {
		return nil, err
	}
	for n := range list.Incidents {
		if err := a.get(ctx, "/api/v1/incidents/"+list.Incidents[n].ID, &list.Incidents[n]); err != nil {
			return nil, err
		}
	}
	return list.Incidents, nil
}

// at is a named instant of the first round; zero when it has not come.
func (i incident) at(name string) time.Time {
	for _, each := range i.Instants {
		if each.Name == name && each.Round == 0 {
			return each.At
		}
	}
	return time.Time{}
}
