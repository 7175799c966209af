package promapi

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// askingFor gives a client of a server that answers one path with a body.
func askingFor(t *testing.T, path string, status int, body string) *Client {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != path {
			t.Errorf("asked for %s", r.URL.Path)
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(server.Close)
	client, err := New(Settings{Name: "main", URL: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// TestTargetsOfARealPrometheusAreUnderstood holds what Prometheus 3 writes.
func TestTargetsOfARealPrometheusAreUnderstood(t *testing.T) {
	client := askingFor(t, "/api/v1/targets", 200, `{"status":"success","data":{"activeTargets":[{"discoveredLabels":{"__address__":"127.0.0.1:9115","__metrics_path__":"/metrics/probes","__scheme__":"http","__scrape_interval__":"5s","__scrape_timeout__":"1s","job":"probes"},"labels":{"instance":"127.0.0.1:9115","job":"probes"},"scrapePool":"probes","scrapeUrl":"http://127.0.0.1:9115/metrics/probes","globalUrl":"http://host:9115/metrics/probes","lastError":"","lastScrape":"2026-11-21T13:00:00.1Z","lastScrapeDuration":0.003,"health":"up","scrapeInterval":"5s","scrapeTimeout":"1s"},{"labels":{"job":"old"},"scrapePool":"old","scrapeUrl":"http://a/","lastError":"refused","health":"down"}],"droppedTargets":[],"droppedTargetCounts":{"probes":0}}}`)
	got, err := client.Targets(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []Target{
		{Job: "probes", URL: "http://127.0.0.1:9115/metrics/probes", Labels: map[string]string{"instance": "127.0.0.1:9115", "job": "probes"}, Interval: 5 * time.Second, Timeout: time.Second, Health: "up"},
		{Job: "old", URL: "http://a/", Labels: map[string]string{"job": "old"}, Health: "down", Error: "refused"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestAnAnswerAboutScrapesThatIsWrongIsAnError(t *testing.T) {
	for body, want := range map[string]string{
		`{"status":"success","data":{"activeTargets":[{"scrapeUrl":"http://a/","scrapeInterval":"soon"}]}}`: `asking main for its targets: reading the answer: target http://a/: not a valid duration string: "soon"`,
		`{"status":"success","data":[]}`: "asking main for its targets: reading the answer: json: cannot unmarshal array",
		`<html>`:                         "is this the URL of a Prometheus API?",
	} {
		if _, err := askingFor(t, "/api/v1/targets", 200, body).Targets(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", body, err)
		}
	}
	_, err := askingFor(t, "/api/v1/status/config", 200, `{"status":"success","data":{"yaml":"scrape_configs: secretive"}}`).Config(t.Context())
	if err == nil || err.Error() != "asking main for its configuration: reading the answer: the configuration of 25 bytes is no YAML of Prometheus" {
		t.Errorf("got %v", err)
	}
	_, err = askingFor(t, "/api/v1/status/config", 403, "").Config(t.Context())
	if err == nil || err.Error() != "asking main for its configuration: got 403 Forbidden, want 200" {
		t.Errorf("got %v", err)
	}
}

func FuzzAnAnswerIsTargetsOrAnError(f *testing.F) {
	f.Add([]byte(`{"status":"success","data":{"activeTargets":[{"scrapeInterval":"5s","scrapeTimeout":"1s"}]}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if targets, err := parseTargets(body); err != nil && targets != nil {
			t.Errorf("got %v beside %v", targets, err)
		}
	})
}
