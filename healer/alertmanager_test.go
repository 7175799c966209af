package healer

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/config"
)

// peer serves one Alertmanager's list of alerts.
func peer(t *testing.T, status int, body string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || r.URL.Path != "/am/api/v2/alerts" && r.URL.Path != "/am/api/v2/status" {
			t.Errorf("got %s %s", r.Method, r.URL)
		}
		if r.URL.Path == "/am/api/v2/status" {
			return
		}
		w.Header().Set("Location", "/am/api/v2/alerts")
		w.WriteHeader(status)
		io.WriteString(w, body)
	}))
	t.Cleanup(server.Close)
	return server.URL + "/am/"
}

// readPeers reads one source.
func readPeers(t *testing.T, bases ...string) ([]Alert, error) {
	t.Helper()
	am, err := NewAlertmanagers(bases, config.DefaultHTTPClientConfig)
	if err != nil {
		t.Fatal(err)
	}
	list, _, err := am.Alerts(t.Context())
	return list, err
}

// shownAlert is one alert as the API writes it.
func shownAlert(fingerprint, start, status string) string {
	return `{"annotations":{"fault_start":"1790000000"},"endsAt":"2026-11-20T10:09:00.000Z","fingerprint":"` + fingerprint +
		`","receivers":[{"name":"heal"}],"startsAt":"` + start + `","status":` + status +
		`,"updatedAt":"2026-11-20T10:05:00.000Z","generatorURL":"http://prometheus/graph","labels":{"alertname":"FaultLocated","service":"web"}}`
}

const (
	active  = `{"inhibitedBy":[],"mutedBy":[],"silencedBy":[],"state":"active"}`
	earlier = "2026-11-20T09:59:59.250Z"
	later   = "2026-11-20T10:00:00.000Z"
)

// readAlert is the same alert as a reading gives it.
func readAlert(fingerprint, start, mutedBy string) Alert {
	at, _ := time.Parse(time.RFC3339, start)
	return Alert{
		Fingerprint: fingerprint, StartsAt: at, Firing: true, MutedBy: mutedBy,
		Labels: map[string]string{"alertname": "FaultLocated", "service": "web"}, Annotations: map[string]string{"fault_start": "1790000000"},
		Receivers: []string{"heal"},
	}
}

func TestARealAnswerOfAlertmanagerIsRead(t *testing.T) {
	body, err := os.ReadFile("testdata/alertmanager_alerts.json")
	if err != nil {
		t.Fatal(err)
	}
	got, err := readPeers(t, peer(t, 200, string(body)))
	if err != nil {
		t.Fatal(err)
	}
	muted := map[string]string{}
	for _, a := range got {
		if !a.Firing || !a.EndsAt.IsZero() || a.StartsAt.IsZero() || a.Labels["service"] == "" {
			t.Errorf("got %+v", a)
		}
		muted[a.Labels["alertname"]] = a.MutedBy
	}
	want := map[string]string{
		"FaultLocated":  "",
		"FaultDetected": "inhibited:" + fingerprintOf(got, "FaultLocated"),
		"DiskFull":      "silence:" + silenceOf(t, got),
	}
	if diff := cmp.Diff(want, muted); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func fingerprintOf(alerts []Alert, name string) string {
	for _, a := range alerts {
		if a.Labels["alertname"] == name {
			return a.Fingerprint
		}
	}
	return "none of " + name
}

func silenceOf(t *testing.T, alerts []Alert) string {
	t.Helper()
	for _, a := range alerts {
		if id, silenced := strings.CutPrefix(a.MutedBy, "silence:"); silenced && len(id) == 36 {
			return id
		}
	}
	t.Errorf("got no silenced alert in %+v", alerts)
	return ""
}

func TestWhateverOnePeerCallsMutedIsMuted(t *testing.T) {
	silenced := `{"inhibitedBy":["bb","aa"],"silencedBy":["s-1"],"state":"suppressed"}`
	unjudged := `{"inhibitedBy":[],"silencedBy":[],"state":"unprocessed"}`
	for _, test := range []struct {
		name, one, two, want string
	}{
		{"active", active, active, ""},
		{"muted by all", silenced, silenced, "inhibited:aa,inhibited:bb,silence:s-1"},
		{"muted by one", active, silenced, "inhibited:aa,inhibited:bb,silence:s-1"},
		{"muted differently", `{"silencedBy":["s-2"],"state":"suppressed"}`, silenced, "inhibited:aa,inhibited:bb,silence:s-1,silence:s-2"},
		{"judged by nobody", unjudged, unjudged, "unprocessed"},
		{"judged by one", unjudged, active, ""},
		{"judged muted by one", silenced, unjudged, "inhibited:aa,inhibited:bb,silence:s-1"},
		{"suppressed without a cause", active, `{"state":"suppressed"}`, "suppressed"},
		{"muted by a time interval of a route", active, `{"mutedBy":["night"],"state":"active"}`, ""},
		{"says active and names a silence", active, `{"silencedBy":["s-3"],"state":"active"}`, "silence:s-3"},
	} {
		got, err := readPeers(t, peer(t, 200, "["+shownAlert("f1", later, test.one)+"]"), peer(t, 200, "["+shownAlert("f1", earlier, test.two)+"]"))
		want := []Alert{readAlert("f1", earlier, test.want)}
		if strings.Contains(test.two, "night") {
			want[0].Receivers = nil // of which of its receivers the interval is cannot be told
		}
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: got %v, -want +got:\n%s", test.name, err, diff)
		}
	}
}

func TestThePeersAlertsAreJoined(t *testing.T) {
	got, err := readPeers(t, peer(t, 200, "["+shownAlert("f3", later, active)+","+shownAlert("f1", later, active)+"]"), peer(t, 200, "["+shownAlert("f2", earlier, active)+"]"))
	want := []Alert{readAlert("f1", later, ""), readAlert("f2", earlier, ""), readAlert("f3", later, "")}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("got %v, -want +got:\n%s", err, diff)
	}
}

func TestOneReachablePeerIsEnough(t *testing.T) {
	good := peer(t, 200, "["+shownAlert("f1", later, active)+"]")
	for name, bad := range map[string]string{
		"away":           "http://127.0.0.1:1",
		"error":          peer(t, 500, "[]"),
		"redirect":       peer(t, 302, "[]"),
		"no JSON":        peer(t, 200, "<html>login</html>"),
		"null":           peer(t, 200, "null"),
		"cut":            peer(t, 200, `[{"fingerprint":"f1"`),
		"no fingerprint": peer(t, 200, "["+shownAlert("", later, active)+"]"),
		"no start":       peer(t, 200, "["+shownAlert("f1", "0001-01-01T00:00:00Z", active)+"]"),
		"unknown state":  peer(t, 200, "["+shownAlert("f1", later, `{"state":"sleeping"}`)+"]"),
	} {
		got, err := readPeers(t, bad, good)
		if diff := cmp.Diff([]Alert{readAlert("f1", later, "")}, got); err != nil || diff != "" {
			t.Errorf("%s: got %v, -want +got:\n%s", name, err, diff)
		}
		if got, err := readPeers(t, bad, bad); got != nil || err == nil || !strings.HasPrefix(err.Error(), "reading the alerts: none of 2 peers answered: ") {
			t.Errorf("%s: got %v, %v, want an error", name, got, err)
		}
	}
	if got, err := readPeers(t, peer(t, 200, "[]")); err != nil || len(got) != 0 {
		t.Errorf("no alert: got %v, %v", got, err)
	}
}

func TestAnAnswerWithoutEndIsNotRead(t *testing.T) {
	am, err := NewAlertmanagers([]string{peer(t, 200, "["+shownAlert("f1", later, active)+"]")}, config.DefaultHTTPClientConfig)
	if err != nil {
		t.Fatal(err)
	}
	am.(*peers).limit = 100
	if _, _, err := am.Alerts(t.Context()); err == nil || !strings.HasSuffix(err.Error(), "the answer has more than 100 bytes") {
		t.Errorf("got %v", err)
	}
}

func TestAnAlertmanagerThatWasStartedAMomentAgoHasNotSettled(t *testing.T) {
	now := time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)
	young := func(uptime string, date time.Time) string {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Date", date.Format(http.TimeFormat))
			text := "[]"
			if r.URL.Path == "/api/v2/status" {
				text = `{"uptime":"` + uptime + `"}`
			}
			if _, err := io.WriteString(w, text); err != nil {
				t.Error(err)
			}
		}))
		t.Cleanup(server.Close)
		return server.URL
	}
	for name, test := range map[string]struct {
		peers []string
		want  bool
	}{
		"old":                 {[]string{young("2026-11-20T09:57:00.000Z", now)}, true},
		"young":               {[]string{young("2026-11-20T09:57:00.001Z", now)}, false},
		"young and old":       {[]string{young("2026-11-20T09:59:00Z", now), young("2026-11-19T00:00:00Z", now)}, true},
		"young and away":      {[]string{young("2026-11-20T09:59:00Z", now), "http://127.0.0.1:1"}, false},
		"by its own clock":    {[]string{young("1999-12-31T23:59:00Z", time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC))}, false},
		"does not say":        {[]string{young("", now)}, false},
		"has not started yet": {[]string{young("0001-01-01T00:00:00Z", now)}, false},
		"an error":            {[]string{peer(t, 500, "[]")}, false},
	} {
		am, err := NewAlertmanagers(test.peers, config.DefaultHTTPClientConfig)
		if err != nil {
			t.Fatal(err)
		}
		if _, got, _ := am.Alerts(t.Context()); got != test.want {
			t.Errorf("%s: settled %v, want %v", name, got, test.want)
		}
	}
}

func TestPeersMustBeURLs(t *testing.T) {
	for base, want := range map[string]string{
		"am-0:9093":       `peer: got "am-0:9093", want http://host:port or https://host:port`,
		"http://am 0":     `peer: parse "http://am 0": invalid character " " in host name`,
		"ftp://am-0":      `peer: got "ftp://am-0", want http://host:port or https://host:port`,
		"http://am-0/?x=": `peer: got "http://am-0/?x=", want http://host:port or https://host:port`,
	} {
		if _, err := NewAlertmanagers([]string{base}, config.DefaultHTTPClientConfig); err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
	if _, err := NewAlertmanagers(nil, config.DefaultHTTPClientConfig); err == nil {
		t.Error("no peer at all was accepted")
	}
}

func FuzzAnAlertmanagersAnswerIsReadWholeOrNotAtAll(f *testing.F) {
	f.Add("[" + shownAlert("f1", later, active) + "," + shownAlert("f2", earlier, `{"silencedBy":["s"],"state":"suppressed"}`) + "]")
	f.Add("[]")
	f.Add(`[{"fingerprint":"f","labels":{"a":"b"},"startsAt":"2026-11-20T10:00:00Z","status":{"state":"active"}},null]`)
	f.Fuzz(func(t *testing.T, body string) {
		alerts, err := parseAlerts([]byte(body))
		if err != nil {
			if alerts != nil {
				t.Errorf("got %v beside %v", alerts, err)
			}
			return
		}
		for _, a := range alerts {
			if a.Fingerprint == "" || len(a.Labels) == 0 || a.StartsAt.IsZero() || !a.Firing {
				t.Errorf("got %+v", a)
			}
		}
		twice := mergePeers([][]Alert{alerts, alerts})
		if len(twice) > len(alerts) {
			t.Errorf("got %d of %d alerts", len(twice), len(alerts))
		}
	})
}
