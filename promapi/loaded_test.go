package promapi

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestRulesAreReadWhole holds what Prometheus 3 writes, and below it a server that
// tells less: what it does not tell is no 0.
func TestRulesAreReadWhole(t *testing.T) {
	client := askingFor(t, "/api/v1/rules", 200, `{"status":"success","data":{"groups":[
		{"name":"g","file":"/r/a.yml","rules":[
			{"state":"firing","name":"A","query":"up == 0","duration":15,"keepFiringFor":40,"labels":{"severity":"page"},"annotations":{"summary":"{{ $value }}"},"alerts":[{"labels":{},"state":"firing","activeAt":"2026-11-21T13:00:00Z","value":"1e+00"}],"health":"ok","evaluationTime":0.0004,"lastEvaluation":"2026-11-21T13:00:00Z","type":"alerting"},
			{"name":"a:b","query":"sum(up)","labels":{"x":"y"},"health":"err","lastError":"many-to-many","evaluationTime":0.0002,"lastEvaluation":"2026-11-21T13:00:00Z","type":"recording"}],
		 "interval":5,"limit":0,"evaluationTime":0.0577,"lastEvaluation":"2026-11-21T13:00:00Z"},
		{"name":"old","file":"b","interval":1.5,"rules":[{"name":"B","query":"1","type":"alerting"}]}],"groupNextToken":""}}`)
	got, err := client.Rules(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []Group{
		{
			File: "/r/a.yml", Name: "g", Interval: 5 * time.Second, EvaluationTime: 57700 * time.Microsecond, LastEvaluation: time.Date(2026, 11, 21, 13, 0, 0, 0, time.UTC), Limit: new(0),
			Rules: []Rule{
				{Alerting: true, Name: "A", Query: "up == 0", Labels: map[string]string{"severity": "page"}, Annotations: map[string]string{"summary": "{{ $value }}"}, For: new(15 * time.Second), KeepFiringFor: new(40 * time.Second), Health: "ok"},
				{Name: "a:b", Query: "sum(up)", Labels: map[string]string{"x": "y"}, Health: "err", Error: "many-to-many"},
			},
		},
		{File: "b", Name: "old", Interval: 1500 * time.Millisecond, Rules: []Rule{{Alerting: true, Name: "B", Query: "1"}}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestAnAnswerAboutRulesThatIsWrongIsAnError(t *testing.T) {
	if _, err := askingFor(t, "/api/v1/rules", 200, `{"status":"success","data":{}}`).Rules(t.Context()); err == nil || err.Error() != "asking main for its rules: reading the answer: it has no groups" {
		t.Errorf("got %v", err)
	}
	for groups, want := range map[string]string{
		`{"name":"g"}`: `group "g" has the interval 0, want seconds`,
		`{"name":"g","interval":1,"evaluationTime":-1}`:                                            `group "g": evaluationTime: got -1, want seconds`,
		`{"name":"g","interval":1,"queryOffset":1e9}`:                                              `group "g": queryOffset: got 1e+09, want seconds`,
		`{"name":"g","interval":1,"rules":[{"name":"a"}]}`:                                         `group "g": rule "a": got the type "", want alerting or recording`,
		`{"name":"g","interval":1,"rules":[{"name":"a","type":"alerting","duration":-1}]}`:         `group "g": rule "a": duration: got -1, want seconds`,
		`{"name":"g","interval":1,"rules":[{"name":"a","type":"alerting","keepFiringFor":1e300}]}`: `group "g": rule "a": keepFiringFor: got 1e+300, want seconds`,
	} {
		_, err := askingFor(t, "/api/v1/rules", 200, `{"status":"success","data":{"groups":[`+groups+`]}}`).Rules(t.Context())
		if err == nil || err.Error() != "asking main for its rules: reading the answer: "+want {
			t.Errorf("%s: got %v, want %s", groups, err, want)
		}
	}
}

func TestTheConfigurationInForceIsReadWithItsDefaults(t *testing.T) {
	for text, want := range map[string]Config{
		`global:\n  scrape_interval: 5s\n  evaluation_interval: 10s\n  rule_query_offset: 3s\n  external_labels: {dc: a}\nalerting:\n  alert_relabel_configs: [{action: labeldrop, regex: replica}]\n  alertmanagers: [{static_configs: [{targets: [a]}]}]\nscrape_configs: [{job_name: p, honor_labels: true}]\n`: {
			ScrapeInterval: 5 * time.Second, EvaluationInterval: 10 * time.Second, QueryOffset: 3 * time.Second,
			ExternalLabels: map[string]string{"dc": "a"}, AlertRelabels: "[{action: labeldrop, regex: replica}]\n", Alertmanagers: 1, Scrapes: []Scrape{{"p", true}},
		},
		`{}`: {ScrapeInterval: time.Minute, EvaluationInterval: time.Minute, Scrapes: []Scrape{}},
	} {
		got, err := askingFor(t, "/api/v1/status/config", 200, `{"status":"success","data":{"yaml":"`+text+`"}}`).Config(t.Context())
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%v\n%s", err, diff)
		}
	}
	_, err := askingFor(t, "/api/v1/status/config", 200, `{"status":"success","data":{"yaml":"global: secretive"}}`).Config(t.Context())
	if err == nil || err.Error() != "asking main for its configuration: reading the answer: the configuration of 17 bytes is no YAML of Prometheus" {
		t.Errorf("got %v", err)
	}
}

func TestFlagsAndAlertmanagersAreTold(t *testing.T) {
	flags, err := askingFor(t, "/api/v1/status/flags", 200, `{"status":"success","data":{"query.lookback-delta":"5m","rules.alert.resend-delay":"1m"}}`).Flags(t.Context())
	if err != nil || flags["query.lookback-delta"] != "5m" {
		t.Errorf("got %v, %v", flags, err)
	}
	all, err := askingFor(t, "/api/v1/alertmanagers", 200, `{"status":"success","data":{"activeAlertmanagers":[{"url":"http://a:9093/api/v2/alerts"}],"droppedAlertmanagers":[]}}`).Alertmanagers(t.Context())
	if diff := cmp.Diff([]string{"http://a:9093/api/v2/alerts"}, all); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	// A server of the same API that sends no alerts does not speak of Alertmanagers.
	_, err = askingFor(t, "/api/v1/alertmanagers", 200, `{"status":"success","data":{}}`).Alertmanagers(t.Context())
	if err == nil || err.Error() != "asking main for its Alertmanagers: reading the answer: it has no activeAlertmanagers" {
		t.Errorf("got %v", err)
	}
}

// alertmanager gives a reader of a server that answers with a body.
func alertmanager(t *testing.T, status int, body string) *Alertmanager {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/am/api/v2/status" {
			t.Errorf("asked for %s", r.URL.Path)
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(server.Close)
	a, err := NewAlertmanager(Settings{Name: "am", URL: server.URL + "/am/"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	return a
}

func TestTheStatusOfAnAlertmanagerIsRead(t *testing.T) {
	got, err := alertmanager(t, 200, `{"cluster":{"name":"01A","peers":[{"address":"10.0.0.1:9094","name":"01A"},{"address":"10.0.0.2:9094","name":"01B"}],"status":"ready"},"config":{"original":"route: {receiver: a}\n"},"uptime":"2026-11-21T13:00:00.5Z","versionInfo":{"version":"0.34.2"}}`).Status(t.Context())
	want := Status{Version: "0.34.2", Config: "route: {receiver: a}\n", Cluster: "ready", Peers: 2, Started: time.Date(2026, 11, 21, 13, 0, 0, 5e8, time.UTC)}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	for body, want := range map[string]string{
		`{}`:     "asking am for its status: reading the answer: it holds no configuration; is this the URL of an Alertmanager?",
		`<html>`: "is this the URL of an Alertmanager?",
	} {
		if _, err := alertmanager(t, 200, body).Status(t.Context()); err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%s: got %v", body, err)
		}
	}
	if _, err := alertmanager(t, 401, "").Status(t.Context()); err == nil || err.Error() != "asking am for its status: got 401 Unauthorized, want 200; want its user or token under http_config" {
		t.Errorf("of a server that wants a user: got %v", err)
	}
	if _, err := alertmanager(t, 404, "").Status(t.Context()); err == nil || err.Error() != "asking am for its status: got 404 Not Found, want 200; is this the URL of an Alertmanager?" {
		t.Errorf("got %v", err)
	}
	if _, err := NewAlertmanager(Settings{Name: "am", URL: "a:9093"}); err == nil || !strings.HasPrefix(err.Error(), `alertmanager "am": url: got "a:9093", want http://`) {
		t.Errorf("got %v", err)
	}
}

// FuzzWhatIsLoadedIsWholeOrAnError: whatever a server sends, what comes beside an
// error is empty, and no length of time is negative.
func FuzzWhatIsLoadedIsWholeOrAnError(f *testing.F) {
	f.Add([]byte(`{"status":"success","data":{"groups":[{"name":"g","interval":5,"evaluationTime":0.1,"rules":[{"name":"a","type":"alerting","duration":15,"keepFiringFor":40}]}]}}`))
	f.Add([]byte(`{"status":"success","data":{"yaml":"global: {scrape_interval: 5s, external_labels: {a: b}}"}}`))
	f.Add([]byte(`{"status":"success","data":{"activeAlertmanagers":[{"url":"http://a"}]}}`))
	f.Add([]byte(`{"config":{"original":"route: {}"},"cluster":{"peers":[{}]}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		groups, err := parseGroups(body)
		if err != nil && groups != nil {
			t.Errorf("got %v beside %v", groups, err)
		}
		for _, g := range groups {
			if g.Interval <= 0 || g.EvaluationTime < 0 || g.QueryOffset != nil && *g.QueryOffset < 0 {
				t.Errorf("got %+v", g)
			}
		}
		if c, err := parseConfig(body); err != nil && !cmp.Equal(c, Config{}) {
			t.Errorf("got %v beside %v", c, err)
		}
		if all, err := parseReceivers(body); err != nil && all != nil {
			t.Errorf("got %v beside %v", all, err)
		}
		if s, err := parseStatus(body); err != nil && s != (Status{}) || err == nil && s.Config == "" {
			t.Errorf("got %v beside %v", s, err)
		}
	})
}
