package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-kit/log"
)

// living answers as Prometheus' rules API and as Alertmanager's status.
func living(t *testing.T, alerts string, status int, route string) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/api/v1/rules", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"status":"success","data":{"groups":[
			{"name":"slow","interval":60,"rules":[{"type":"alerting","name":"Watchdog"}]},
			{"name":"ours","interval":15,"rules":[%s]}]}}`, alerts)
	})
	mux.HandleFunc("/api/v2/status", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "/api/v1/rules")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]any{"config": map[string]string{"original": route}})
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

// What cannot be told takes the pause that is safe, never a shorter one.
func TestGather_IsReadFromTheLivingServersOrIsTheSafePause(t *testing.T) {
	const trigger = `{"type":"alerting","name":"FaultLocated"}`
	const route = "route: {receiver: heal, group_wait: 3s}\nreceivers: [{name: heal, webhook_configs: [{url: 'http://heal/api/v1/alertmanager'}]}]"
	for _, test := range []struct {
		name, alerts string
		status       int
		route, said  string
		want         time.Duration
	}{
		{"both are read", trigger, 200, route, "gather was read", 18 * time.Second},
		{"no group holds a trigger", "", 200, route, "no rule group", gatherUnreadable},
		{"no route leads to us", trigger, 200, "route: {receiver: people}", "no route leads", gatherUnreadable},
		{"the status leads elsewhere", trigger, 302, route, "it holds no configuration", gatherUnreadable},
		{"the status is refused", trigger, 403, route, "403 Forbidden", gatherUnreadable},
	} {
		_, file := folder(t, "observe")
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		url := living(t, test.alerts, test.status, test.route)
		changed := strings.NewReplacer("gather: 5s\n", "", "url: 'http://127.0.0.1:9'", "url: '"+url+"'", "peers: ['http://127.0.0.1:9']", "peers: ['"+url+"']").Replace(string(text))
		if err := os.WriteFile(file, []byte(changed), 0o600); err != nil {
			t.Fatal(err)
		}
		l, err := load(file, false)
		if err != nil {
			t.Fatal(err)
		}
		said := &output{}
		r := &receiver{logger: log.NewLogfmtLogger(said)}
		r.now.Store(l)
		if got := r.gather(t.Context()); got != test.want || !strings.Contains(said.String(), test.said) {
			t.Errorf("%s: got %s and said %s, want %s and %q", test.name, got, said, test.want, test.said)
		}
	}
}
