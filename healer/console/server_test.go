package console

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"golang.org/x/crypto/bcrypt"

	"github.com/onefiveten/onefiveten/healer"
)

// fakeHealer records what it is asked and answers err.
type fakeHealer struct {
	asked []string
	err   error
}

func (f *fakeHealer) note(what ...any) error {
	f.asked = append(f.asked, strings.TrimSuffix(fmt.Sprintln(what...), "\n"))
	return f.err
}

func (f *fakeHealer) Accept(_ context.Context, source string, body []byte) error {
	return f.note("accept", source, len(body))
}
func (f *fakeHealer) Ack(_ context.Context, i, who string) error   { return f.note("ack", i, who) }
func (f *fakeHealer) Take(_ context.Context, i, who string) error  { return f.note("take", i, who) }
func (f *fakeHealer) Retry(_ context.Context, i, who string) error { return f.note("retry", i, who) }

func (f *fakeHealer) Close(_ context.Context, i, who string) error { return f.note("close", i, who) }

func (f *fakeHealer) Abort(_ context.Context, r, who string) error { return f.note("abort", r, who) }

func (f *fakeHealer) Release(_ context.Context, m, who string) error {
	return f.note("release", m, who)
}

func (f *fakeHealer) Forget(_ context.Context, m, who string) error { return f.note("forget", m, who) }

func (f *fakeHealer) Resolve(_ context.Context, r, who string, changed bool) error {
	return f.note("resolve", r, who, changed)
}

func (f *fakeHealer) Review(_ context.Context, i string) (string, error) {
	return "# Incident " + i + "\n", f.err
}

// fakeStore answers the reads of the API; every other method is nil and would panic.
type fakeStore struct {
	healer.Store
	c *healer.Case
}

func (f fakeStore) Incidents(context.Context, bool, int) ([]healer.Incident, error) {
	return []healer.Incident{f.c.Incident}, nil
}

func (f fakeStore) Read(_ context.Context, id string) (*healer.Case, error) {
	if id != f.c.Incident.ID {
		return nil, fmt.Errorf("reading incident %s: %w", id, healer.ErrNotFound)
	}
	return f.c, nil
}

func (f fakeStore) Mitigations(context.Context, string) ([]healer.Mitigation, error) {
	return f.c.Mitigations, nil
}

func (f fakeStore) Audit(context.Context, string, int64, int) ([]healer.Entry, error) {
	return []healer.Entry{{Seq: 1, Event: "opened"}}, nil
}

type house struct {
	*httptest.Server
	healer *fakeHealer
	auth   *Auth
	dir    string
	reg    *prometheus.Registry
}

const (
	amToken  = "am-secret"
	opToken  = "op-secret"
	opUser   = "oncall"
	opPass   = "correct horse"
	nowMilli = 1_800_000_000_123
)

func newHouse(t *testing.T, change func(*Options)) *house {
	t.Helper()
	h := &house{healer: &fakeHealer{}, dir: t.TempDir(), reg: prometheus.NewPedanticRegistry()}
	hash, err := bcrypt.GenerateFromPassword([]byte(opPass), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"am.token": amToken + "\n", "op.token": opToken, "op.hash": string(hash)} {
		if err := os.WriteFile(filepath.Join(h.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	h.auth = &Auth{Clients: []Client{
		{Name: "alertmanager", Roles: []Role{RoleNotify}, Source: "main", BearerFile: "am.token"},
		{Name: "desk", Roles: []Role{RoleRead, RoleRun}, BearerFile: "op.token"},
		{Name: "oncall", Roles: []Role{RoleAdmin}, Basic: &basicAuth{User: opUser, BcryptFile: "op.hash"}},
	}}
	h.auth.SetDirectory(h.dir)
	o := Options{
		Healer: h.healer, Store: fakeStore{c: testCase()}, Auth: func() *Auth { return h.auth }, Registry: h.reg,
		Ready: func() error { return nil }, Reload: func() error { return nil },
	}
	if change != nil {
		change(&o)
	}
	handler, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	h.Server = httptest.NewServer(handler)
	t.Cleanup(h.Close)
	return h
}

func (h *house) call(t *testing.T, method, path, bearer, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, h.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if user, pass, ok := strings.Cut(bearer, ":"); ok {
		req.SetBasicAuth(user, pass)
	} else if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	if method == http.MethodPost && strings.Contains(body, "=") {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func testCase() *healer.Case {
	at := time.UnixMilli(nowMilli)
	return &healer.Case{
		Incident: healer.Incident{
			ID: "01I", Key: "c/shop", Cluster: "c", Service: "shop", State: "recovered", Severity: 2, Scope: "node",
			OpenedAt: at, FaultStart: at.Add(-7 * time.Second), NextAt: at.Add(time.Second),
			Verdict: healer.Verdict{Scope: "node", Members: []string{"n2"}, Confidence: 1, At: at},
		},
		Instants:  []healer.Instant{{Name: "fired", At: at, Source: "alertmanager"}},
		Decisions: []healer.Decision{{ID: "01D", At: at, LastAt: at, Plan: "drain", Target: "node:n2", Verb: "act", Code: "act", Run: "01R"}},
		Runs: []healer.Run{{
			ID: "01R", Purpose: "rung", Plan: "drain", Kind: "isolate", Target: "node:n2", Attempt: 1, Mode: "auto", State: "succeeded",
			CreatedAt: at, FenceAt: at, EndedAt: at,
			Steps:   []healer.Step{{Phase: "act", Try: 1, What: "POST /drain/n2", IntentAt: at, FinishedAt: at, Outcome: healer.OK, Output: "secret"}},
			Samples: []healer.Sample{{At: at, Answer: healer.Good, Numbers: `{"min":1}`}},
		}},
		Mitigations: []healer.Mitigation{{ID: "01M", Incident: "01I", Run: "01R", Service: "shop", Target: "node:n2", Kind: "isolate", State: "held", Since: at, ReleaseManual: true}},
	}
}

func TestNotify_AnswersAsAlertmanagerNeeds(t *testing.T) {
	big := strings.Repeat("x", maxBody+1)
	for _, c := range []struct {
		name, method, path, bearer, body string
		err                              error
		code                             int
		has                              string
	}{
		{"accepted", "POST", "/api/v1/alertmanager", amToken, "{}", nil, 200, "accepted"},
		{"trailing slash is no redirect", "POST", "/api/v1/alertmanager/", amToken, "{}", nil, 200, "accepted"},
		{"bad body", "POST", "/api/v1/alertmanager", amToken, "{}", &healer.BadNotification{Reason: `got version "3", want "4"`}, 400, `version \"3\"`},
		{"no token", "POST", "/api/v1/alertmanager", "", "{}", nil, 401, "no valid credential"},
		{"wrong token", "POST", "/api/v1/alertmanager", "guess", "{}", nil, 401, "no valid credential"},
		{"another client's role", "POST", "/api/v1/alertmanager", opToken, "{}", nil, 403, "want notify"},
		{"too large", "POST", "/api/v1/alertmanager", amToken, big, nil, 413, "max_alerts"},
		{"storage trouble", "POST", "/api/v1/alertmanager", amToken, "{}", errors.New("disk full"), 503, "disk full"},
		{"other method", "GET", "/api/v1/alertmanager", amToken, "", nil, 405, ""},
		{"other path", "POST", "/api/v1/alertmanager/x", amToken, "{}", nil, 404, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHouse(t, nil)
			h.healer.err = c.err
			code, text := h.call(t, c.method, c.path, c.bearer, c.body)
			if code != c.code || !strings.Contains(text, c.has) {
				t.Errorf("%s %s: got %d %s, want %d with %q", c.method, c.path, code, text, c.code, c.has)
			}
			if code == 200 && !cmp.Equal(h.healer.asked, []string{"accept main 2"}) {
				t.Errorf("healer was asked %q, want one accept of source main", h.healer.asked)
			}
			if code != 200 && c.err == nil && len(h.healer.asked) != 0 {
				t.Errorf("a refused request reached the healer: %q", h.healer.asked)
			}
		})
	}
}

func TestNotify_CountsBySourceAndCode(t *testing.T) {
	h := newHouse(t, nil)
	h.call(t, "POST", "/api/v1/alertmanager", amToken, "{}")
	h.call(t, "POST", "/api/v1/alertmanager", "guess", "{}")
	want := `
# HELP heal_notifications_total Webhook requests by source and answered status code.
# TYPE heal_notifications_total counter
heal_notifications_total{code="200",source="main"} 1
heal_notifications_total{code="401",source="unknown"} 1
`
	if err := testutil.GatherAndCompare(h.reg, strings.NewReader(want), "heal_notifications_total"); err != nil {
		t.Error(err)
	}
}

func TestRoles_EachDoesItsOwnOnly(t *testing.T) {
	h := newHouse(t, nil)
	basic := opUser + ":" + opPass
	for _, c := range []struct {
		method, path string
		codes        map[string]int
	}{
		{"GET", "/-/healthy", map[string]int{"": 200}},
		{"GET", "/-/ready", map[string]int{"": 200}},
		{"GET", "/metrics", map[string]int{"": 200}},
		{"POST", "/-/reload", map[string]int{"": 401, amToken: 403, opToken: 403, basic: 200}},
		{"GET", "/api/v1/incidents", map[string]int{"": 401, amToken: 403, opToken: 200, basic: 200, opUser + ":no": 401}},
		{"GET", "/api/v1/audit", map[string]int{amToken: 403, opToken: 200}},
		{"POST", "/api/v1/incidents/01I:ack", map[string]int{"": 401, amToken: 403, opToken: 200, basic: 200}},
		{"POST", "/api/v1/mitigations/01M:release", map[string]int{amToken: 403, opToken: 200}},
		{"GET", "/api/v1/plans", map[string]int{opToken: 501}},
		{"GET", "/api/v1/nonsense", map[string]int{opToken: 404}},
	} {
		for who, want := range c.codes {
			if got, text := h.call(t, c.method, c.path, who, ""); got != want {
				t.Errorf("%s %s as %q: got %d %s, want %d", c.method, c.path, who, got, text, want)
			}
		}
	}
}

func TestMetrics_CanBeClosed(t *testing.T) {
	h := newHouse(t, func(o *Options) { o.Auth().Metrics = "read" })
	for who, want := range map[string]int{"": 401, amToken: 403, opToken: 200} {
		if got, _ := h.call(t, "GET", "/metrics", who, ""); got != want {
			t.Errorf("GET /metrics as %q: got %d, want %d", who, got, want)
		}
	}
}

func TestNoClients_EverythingIsRefused(t *testing.T) {
	h := newHouse(t, func(o *Options) { o.Auth = func() *Auth { return &Auth{} } })
	if code, text := h.call(t, "POST", "/api/v1/alertmanager", "", "{}"); code != 401 || !strings.Contains(text, "`auth.clients` is empty") {
		t.Errorf("got %d %s, want 401 with the reason", code, text)
	}
}

func TestInsecure_LetsEverythingThrough(t *testing.T) {
	h := newHouse(t, func(o *Options) { o.Insecure, o.Auth = true, func() *Auth { return &Auth{} } })
	if code, text := h.call(t, "POST", "/api/v1/alertmanager", "", "{}"); code != 200 {
		t.Errorf("got %d %s, want 200", code, text)
	}
	if want := []string{"accept default 2"}; !cmp.Equal(h.healer.asked, want) {
		t.Errorf("asked %q, want %q", h.healer.asked, want)
	}
}

func TestCredentialFile_IsReadAgainWhenItChanges(t *testing.T) {
	h := newHouse(t, nil)
	if err := os.WriteFile(filepath.Join(h.dir, "op.token"), []byte("another secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _ := h.call(t, "GET", "/api/v1/incidents", opToken, ""); code != 401 {
		t.Errorf("the old token is answered %d, want 401", code)
	}
	if code, _ := h.call(t, "GET", "/api/v1/incidents", "another secret", ""); code != 200 {
		t.Errorf("the new token is answered %d, want 200", code)
	}
}

func TestOperations_AskTheHealerInTheCallersName(t *testing.T) {
	for _, c := range []struct {
		path, body, asked string
		err               error
		code              int
	}{
		{"/api/v1/incidents/01I:ack", "", "ack 01I desk", nil, 200},
		{"/api/v1/incidents/01I:take", "", "take 01I desk", nil, 200},
		{"/api/v1/incidents/01I:retry", "", "retry 01I desk", &healer.Conflict{Doing: "retrying", On: "01I", Got: "acting", Want: "with_human"}, 409},
		{"/api/v1/incidents/01I:close", "", "close 01I desk", nil, 200},
		{"/api/v1/incidents/01X:close", "", "close 01X desk", fmt.Errorf("closing: %w", healer.ErrNotFound), 404},
		{"/api/v1/runs/01R:abort", "", "abort 01R desk", nil, 200},
		{"/api/v1/runs/01R:resolve", "changed=yes", "resolve 01R desk true", nil, 200},
		{"/api/v1/runs/01R:resolve", "changed=no", "resolve 01R desk false", nil, 200},
		{"/api/v1/runs/01R:resolve", "", "", nil, 400},
		{"/api/v1/runs/01R:resolve", "changed=1", "", nil, 400},
		{"/api/v1/mitigations/01M:release", "", "release 01M desk", nil, 200},
		{"/api/v1/mitigations/01M:forget", "", "forget 01M desk", nil, 200},
		{"/api/v1/mitigations/:forget", "", "", nil, 404},
		{"/api/v1/mitigations/01M:explode", "", "", nil, 404},
		{"/api/v1/incidents/01I:ack", "", "ack 01I desk", errors.New("database is locked"), 503},
	} {
		h := newHouse(t, nil)
		h.healer.err = c.err
		code, text := h.call(t, "POST", c.path, opToken, c.body)
		if code != c.code || strings.Join(h.healer.asked, "|") != c.asked {
			t.Errorf("POST %s %s: got %d %s, asked %q; want %d, %q", c.path, c.body, code, text, h.healer.asked, c.code, c.asked)
		}
	}
}

func TestIncident_IsShownWholeWithoutOutput(t *testing.T) {
	h := newHouse(t, nil)
	code, text := h.call(t, "GET", "/api/v1/incidents/01I", opToken, "")
	if code != 200 {
		t.Fatalf("got %d %s", code, text)
	}
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, []byte(text), "", " "); err != nil {
		t.Fatal(err)
	}
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile("testdata/incident.json", pretty.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/incident.json")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.TrimSpace(string(want)), strings.TrimSpace(pretty.String())); diff != "" {
		t.Errorf("testdata/incident.json (-want +got):\n%s", diff)
	}
	if strings.Contains(text, "secret") {
		t.Error("a step's output is shown to the role read")
	}
}

func TestLists_AndReview(t *testing.T) {
	h := newHouse(t, nil)
	for path, has := range map[string]string{
		"/api/v1/incidents?state=open&limit=5": `"incidents":[{"id":"01I"`,
		"/api/v1/mitigations":                  `"mitigations":[{"id":"01M"`,
		"/api/v1/reviews/01I":                  "# Incident 01I",
		"/api/v1/audit?incident=01I":           `"Event":"opened"`,
	} {
		if code, text := h.call(t, "GET", path, opToken, ""); code != 200 || !strings.Contains(text, has) {
			t.Errorf("GET %s: got %d %s, want 200 with %s", path, code, text, has)
		}
	}
	for _, limit := range []string{"0", "1001", "ten"} {
		if code, text := h.call(t, "GET", "/api/v1/incidents?limit="+limit, opToken, ""); code != 400 || !strings.Contains(text, "want a number from 1 to 1000") {
			t.Errorf("limit=%s: got %d %s, want 400 with the range", limit, code, text)
		}
	}
	if code, _ := h.call(t, "GET", "/api/v1/incidents/01X", opToken, ""); code != 404 {
		t.Errorf("an unknown incident is answered %d, want 404", code)
	}
}

func TestReady_SaysWhatIsMissing(t *testing.T) {
	h := newHouse(t, func(o *Options) { o.Ready = func() error { return errors.New("the journal is not open yet") } })
	if code, text := h.call(t, "GET", "/-/ready", "", ""); code != 503 || !strings.Contains(text, "journal") {
		t.Errorf("got %d %s, want 503 with the reason", code, text)
	}
}

func TestReload_AnswersAllMistakes(t *testing.T) {
	h := newHouse(t, func(o *Options) { o.Reload = func() error { return errors.New("heal.yml:3: plans: two mistakes") } })
	if code, text := h.call(t, "POST", "/-/reload", opUser+":"+opPass, ""); code != 500 || !strings.Contains(text, "heal.yml:3") {
		t.Errorf("got %d %s, want 500 with the mistakes", code, text)
	}
}
