// Package webhook_test captures what real Alertmanagers of both generations
// send and holds it against the payloads that heal-receiver's own tests read
// (healer/testdata/webhook). UPDATE=1 writes them anew from the newer one.
package webhook_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/onefiveten/onefiveten/demo/process"
	"github.com/onefiveten/onefiveten/demo/stack"
)

const fixtures = "../../healer/testdata/webhook"

// receiver keeps the bodies that Alertmanager posts.
type receiver struct {
	*httptest.Server
	bodies chan []byte
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{bodies: make(chan []byte, 100)}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			t.Errorf("reading what Alertmanager sent: %v", err)
		}
		r.bodies <- body
		w.WriteHeader(http.StatusOK)
	}))
	t.Cleanup(r.Close)
	return r
}

// until gives the first body that has what is wanted.
func (r *receiver) until(t *testing.T, want func(message) bool) []byte {
	t.Helper()
	deadline := time.After(3 * time.Minute)
	for {
		select {
		case body := <-r.bodies:
			var m message
			if err := json.Unmarshal(body, &m); err != nil {
				t.Fatalf("Alertmanager sent no JSON: %v\n%s", err, body)
			}
			if want(m) {
				return body
			}
		case <-deadline:
			t.Fatal("no such notification within 3m")
		}
	}
}

type message struct {
	Version         string `json:"version"`
	Status          string `json:"status"`
	TruncatedAlerts int    `json:"truncatedAlerts"`
	Alerts          []struct {
		Status string            `json:"status"`
		Labels map[string]string `json:"labels"`
	} `json:"alerts"`
}

func (m message) statuses() string {
	var all []string
	for _, a := range m.Alerts {
		all = append(all, a.Labels["instance"]+"="+a.Status)
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// start runs an Alertmanager that groups by alertname, so that messages mix.
func start(t *testing.T, parts stack.Parts, hook string, maxAlerts int) string {
	t.Helper()
	port, err := process.Reserve()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(port.Close)
	dir := t.TempDir()
	file := filepath.Join(dir, "alertmanager.yml")
	text := fmt.Sprintf(`route: {receiver: heal, group_by: [alertname], group_wait: 1s, group_interval: 1s, repeat_interval: 1h}
receivers:
- name: heal
  webhook_configs:
  - {url: %q, send_resolved: true, max_alerts: %d}
`, hook, maxAlerts)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var group process.Group
	t.Cleanup(group.Close)
	command := parts.AlertmanagerCommand(stack.Server{Config: file, Data: filepath.Join(dir, "data"), Addr: port.Addr(), Log: filepath.Join(dir, "am.log")})
	if _, err := group.Start(t.Context(), time.Minute, command); err != nil {
		t.Fatal(err)
	}
	return port.URL()
}

type alert struct {
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	StartsAt     time.Time         `json:"startsAt"`
	EndsAt       time.Time         `json:"endsAt"`
	GeneratorURL string            `json:"generatorURL"`
}

func post(t *testing.T, url string, ended bool, instances ...string) {
	t.Helper()
	var all []alert
	now := time.Now()
	for _, i := range instances {
		a := alert{Labels: map[string]string{"alertname": "FaultDetected", "service": "shop", "instance": i, "severity": "page"},
			Annotations: map[string]string{"summary": "shop: 1 members bad", "fault_start": "1800000000.250"},
			StartsAt:    now.Add(-10 * time.Second), EndsAt: now.Add(time.Hour), GeneratorURL: "http://prometheus/graph"}
		if ended {
			a.EndsAt = now
		}
		all = append(all, a)
	}
	body, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/api/v2/alerts", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(resp.Body)
		t.Fatalf("posting alerts: %s: %s", resp.Status, text)
	}
}

// shape is a payload without what differs from run to run and between versions:
// instants and addresses become their kind, and only the fields that
// heal-receiver reads are kept, so that a field that goes missing shows.
func shape(t *testing.T, body []byte) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(body, &m); err != nil {
		t.Fatal(err)
	}
	read := map[string]any{}
	for _, key := range []string{"version", "status", "truncatedAlerts", "alerts"} {
		read[key] = m[key]
	}
	alerts, _ := m["alerts"].([]any)
	for _, a := range alerts {
		fields := a.(map[string]any)
		for _, key := range []string{"startsAt", "endsAt"} {
			at, err := time.Parse(time.RFC3339Nano, fmt.Sprint(fields[key]))
			switch {
			case err != nil:
				t.Errorf("%s is %v, want RFC 3339", key, fields[key])
			case at.IsZero():
				fields[key] = "zero"
			default:
				fields[key] = "an instant"
			}
		}
	}
	return read
}

func compare(t *testing.T, name string, body []byte, update bool) {
	t.Helper()
	file := filepath.Join(fixtures, name)
	if update {
		if err := os.MkdirAll(fixtures, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, append(bytes.TrimSpace(body), '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	kept, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v (UPDATE=1 captures it anew)", err)
	}
	if diff := cmp.Diff(shape(t, kept), shape(t, body)); diff != "" {
		t.Errorf("%s is no longer what Alertmanager sends (-kept +sent):\n%s", name, diff)
	}
}

func TestWebhook_FixturesAreWhatRealAlertmanagersSend(t *testing.T) {
	for _, generation := range []string{"build", "debian"} {
		t.Run(generation, func(t *testing.T) {
			parts, err := stack.Find(t.Context(), stack.Options{Which: generation})
			if err != nil {
				t.Fatal(err)
			}
			update := os.Getenv("UPDATE") != "" && generation == "build"

			r := newReceiver(t)
			url := start(t, parts, r.URL, 0)
			post(t, url, false, "a")
			compare(t, "firing.json", r.until(t, func(m message) bool { return m.statuses() == "a=firing" }), update)
			post(t, url, false, "b")
			r.until(t, func(m message) bool { return m.statuses() == "a=firing b=firing" })
			post(t, url, true, "a")
			compare(t, "mixed.json", r.until(t, func(m message) bool { return m.statuses() == "a=resolved b=firing" }), update)
			post(t, url, true, "b")
			compare(t, "resolved.json", r.until(t, func(m message) bool { return m.statuses() == "b=resolved" }), update)

			r = newReceiver(t)
			url = start(t, parts, r.URL, 2)
			post(t, url, false, "a", "b", "c", "d")
			compare(t, "truncated.json", r.until(t, func(m message) bool { return m.TruncatedAlerts == 2 }), update)
		})
	}
}
