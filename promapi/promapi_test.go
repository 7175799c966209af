package promapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"
)

// asked is one request as the server saw it.
type asked struct {
	Method, Path string
	Form         url.Values
	Auth         string
}

// serve answers every request with a status and a body and notes what came.
func serve(t *testing.T, status int, body string) (c *Client, log *[]asked) {
	t.Helper()
	log = &[]asked{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		*log = append(*log, asked{r.Method, r.URL.Path, r.Form, r.Header.Get("Authorization")})
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body) // who does not read it is the test
	}))
	t.Cleanup(server.Close)
	return client(t, Settings{Name: "main", URL: server.URL + "/prom/"}), log
}

func client(t *testing.T, s Settings) *Client {
	t.Helper()
	c, err := New(s)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// success wraps data as the API does.
func success(kind, result string) string {
	return `{"status":"success","data":{"resultType":"` + kind + `","result":` + result + `}}`
}

func TestAnInstantVectorIsReadAsPrometheusWritesIt(t *testing.T) {
	c, log := serve(t, 200, success("vector", `[`+
		`{"metric":{"__name__":"up","instance":"web1:9100","job":"node"},"value":[1795225504.724,"1"]},`+
		`{"metric":{},"value":[1795225504.724,"NaN"]},`+
		`{"metric":{"job":"b"},"value":[1795225504,"+Inf"]},`+
		`{"metric":{"job":"c"},"value":[1795225504,"-1.5e-07"]}]`))
	got, err := c.Query(t.Context(), `up{job=~"a+b"}`)
	if err != nil {
		t.Fatal(err)
	}
	at, whole := time.UnixMilli(1795225504724), time.Unix(1795225504, 0)
	want := []Point{
		{Labels: map[string]string{"instance": "web1:9100", "job": "node"}, At: at, Value: 1},
		{Labels: map[string]string{}, At: at, Value: math.NaN()},
		{Labels: map[string]string{"job": "b"}, At: whole, Value: math.Inf(1)},
		{Labels: map[string]string{"job": "c"}, At: whole, Value: -1.5e-7},
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateNaNs()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	sent := []asked{{Method: "GET", Path: "/prom/api/v1/query", Form: url.Values{"query": {`up{job=~"a+b"}`}, "timeout": {"2"}}}}
	if diff := cmp.Diff(sent, *log); diff != "" {
		t.Errorf("asked: -want +got:\n%s", diff)
	}
}

func TestAScalarIsOnePointWithoutLabels(t *testing.T) {
	c, _ := serve(t, 200, success("scalar", `[1795225504.724,"1795225504.724"]`))
	got, err := c.Query(t.Context(), "time()")
	want := []Point{{At: time.UnixMilli(1795225504724), Value: 1795225504.724}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("got %v, -want +got:\n%s", err, diff)
	}
}

func TestNoDataIsNoError(t *testing.T) {
	c, _ := serve(t, 200, success("vector", `[]`))
	if got, err := c.Query(t.Context(), "nosuch"); err != nil || got == nil || len(got) != 0 {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestInfosAreNoWarnings(t *testing.T) {
	c, _ := serve(t, 200, `{"status":"success","data":{"resultType":"vector","result":[]},"infos":["PromQL info: metric might not be a counter"]}`)
	if _, err := c.Query(t.Context(), "rate(up[1m])"); err != nil {
		t.Error(err)
	}
}

func TestWhateverIsNotTheWholeAnswerIsAnError(t *testing.T) {
	for _, test := range []struct {
		status     int
		body, want string
	}{
		{200, `{"status":"success","data":{"resultType":"vector","result":[]},"warnings":["store web is away","b"]}`, "the answer is not whole: store web is away; b"},
		{200, `{"status":"success","isPartial":true,"data":{"resultType":"vector","result":[]}}`, "the answer is not whole: isPartial is true"},
		{200, `{"status":"error","errorType":"timeout","error":"query timed out"}`, `got status "error", want "success": timeout: query timed out`},
		{400, `{"status":"error","errorType":"bad_data","error":"1:5: parse error"}`, "got 400 Bad Request, want 200: bad_data: 1:5: parse error"},
		{503, "Service Unavailable", "got 503 Service Unavailable, want 200"},
		{401, "Unauthorized", "got 401 Unauthorized, want 200; want its user or token under http_config"},
		{404, "404 page not found", "got 404 Not Found, want 200; is this the URL of a Prometheus API?"},
		{204, "", "got 204 No Content, want 200"},
		{200, "<html>login</html>", "reading the answer: invalid character '<' looking for beginning of value; is this the URL of a Prometheus API?"},
		{200, "", "reading the answer: unexpected end of JSON input; is this the URL of a Prometheus API?"},
		{200, "{}", `got status "", want "success": : `},
		{200, success("matrix", "[]"), `reading the answer: got the type "matrix", want vector or scalar`},
		{200, success("string", `[1,"text"]`), `reading the answer: got the type "string", want vector or scalar`},
		{200, success("vector", "null"), "reading the answer: a vector without result"},
		{200, success("scalar", "null"), "reading the answer: a scalar without value"},
		{200, success("vector", `[{"metric":{"job":"a"},"histogram":[1,{}]}]`), "reading the answer: map[job:a] has no number; a native histogram is none"},
		{200, success("vector", `[{"metric":{},"value":[1,2]}]`), "reading the sample [1,2]: its second element is no text"},
		{200, success("vector", `[{"metric":{},"value":["1","2"]}]`), `reading the sample ["1","2"]: its first element is no unix time`},
		{200, success("vector", `[{"metric":{},"value":[1e300,"2"]}]`), `reading the sample [1e300,"2"]: its first element is no unix time`},
		{200, success("vector", `[{"metric":{},"value":[1]}]`), "reading the sample [1]: got 1 elements, want 2"},
		{200, success("vector", `[{"metric":{},"value":[1,"one"]}]`), `reading the sample [1,"one"]: strconv.ParseFloat: parsing "one": invalid syntax`},
	} {
		c, log := serve(t, test.status, test.body)
		got, err := c.Query(t.Context(), "q")
		if want := "asking main for q: " + test.want; got != nil || err == nil || err.Error() != want {
			t.Errorf("got  %v, %v\nwant %s", got, err, want)
		}
		if len(*log) != 1 {
			t.Errorf("%s: asked %d times, want once", test.want, len(*log))
		}
	}
}

// Who asks again at leisure must know an expensive question from a wrong one.
func TestAQuestionThatTookTooLongIsToldFromAWrongOne(t *testing.T) {
	for _, test := range []struct {
		status int
		body   string
		kind   error // nil: of none
	}{
		{503, `{"status":"error","errorType":"timeout","error":"query timed out in expression evaluation"}`, ErrTimeout},
		{422, `{"status":"error","errorType":"timeout","error":"timeout exceeded"}`, ErrTimeout},
		{200, `{"status":"error","errorType":"timeout","error":"query timed out"}`, ErrTimeout},
		{504, "<html>Gateway Time-out</html>", ErrTimeout},
		{504, `{"status":"error","errorType":"server_error","error":"upstream"}`, ErrTimeout},
		{503, `{"status":"error","errorType":"unavailable","error":"starting"}`, nil},
		{503, "Service Unavailable", nil},
		{422, `{"status":"error","errorType":"execution","error":"many-to-many: timeout"}`, ErrQuestion},
		{400, `{"status":"error","errorType":"bad_data","error":"parse error"}`, ErrQuestion},
		{422, `{"status":"error","errorType":"422","error":"of VictoriaMetrics"}`, ErrQuestion},
		{400, "<html>Bad Request</html>", nil},
		{200, `{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"histogram":[1,{}]}]}}`, ErrQuestion},
		{404, "", nil},
		{200, "{}", nil},
	} {
		c, _ := serve(t, test.status, test.body)
		_, err := c.Query(t.Context(), "q")
		for _, kind := range []error{ErrTimeout, ErrQuestion} {
			if got := errors.Is(err, kind); err == nil || got != (kind == test.kind) {
				t.Errorf("%d %s: got %v, which is %q: %v", test.status, test.body, err, kind, got)
			}
		}
		if errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%d: it was answered in time: %v", test.status, err)
		}
	}
}

// counted is a listener that knows how many of its connections are open.
type counted struct {
	net.Listener
	opened chan struct{}
	closed chan struct{}
}

func (l counted) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.opened <- struct{}{}
	return leaving{c, l.closed}, nil
}

// leaving is a connection that tells of its end.
type leaving struct {
	net.Conn
	closed chan struct{}
}

func (c leaving) Close() error {
	c.closed <- struct{}{}
	return c.Conn.Close()
}

// Each reload makes a client: the one before must not keep its connections.
func TestAClosedClientLetsGoOfItsConnections(t *testing.T) {
	begun, end := make(chan struct{}), make(chan struct{})
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("query") == "slow" {
			close(begun)
			<-end
		}
		_, _ = io.WriteString(w, success("vector", "[]")) // who does not read it is the test
	}))
	l := counted{server.Listener, make(chan struct{}, 10), make(chan struct{}, 10)}
	server.Listener = l
	server.Start()
	defer server.Close()
	c := client(t, Settings{Name: "main", URL: server.URL, HTTPConfig: &config.HTTPClientConfig{
		BasicAuth: &config.BasicAuth{Username: "a", Password: "b"}, EnableHTTP2: true, FollowRedirects: true,
		HTTPHeaders: &config.Headers{Headers: map[string]config.Header{"X-Scope-OrgID": {Values: []string{"1"}}}},
	}})
	for range 3 {
		if _, err := c.Query(t.Context(), "q"); err != nil {
			t.Fatal(err)
		}
	}
	if len(l.opened) != 1 || len(l.closed) != 0 {
		t.Fatalf("%d connections were opened and %d closed, want one that is kept", len(l.opened), len(l.closed))
	}
	c.Close()
	<-l.closed
	// One that is in use ends with its answer.
	answered := make(chan error)
	go func() {
		_, err := c.Query(t.Context(), "slow")
		answered <- err
	}()
	<-begun
	c.Close()
	close(end)
	if err := <-answered; err != nil {
		t.Error(err)
	}
	<-l.closed
	// So does one of a question that somebody asks who has not heard of the end.
	if _, err := c.Query(t.Context(), "q"); err != nil {
		t.Error(err)
	}
	<-l.closed
	if len(l.opened) != 3 {
		t.Errorf("%d connections were opened, want 3", len(l.opened))
	}
}

func TestAForeignErrorIsCut(t *testing.T) {
	c, _ := serve(t, 422, `{"status":"error","errorType":"execution","error":"`+strings.Repeat("x", 5000)+`"}`)
	_, err := c.Query(t.Context(), "q")
	if err == nil || len(err.Error()) > 1200 || !strings.HasSuffix(err.Error(), "x …") {
		t.Errorf("got %v", err)
	}
}

func TestGetBecomesPostWhereItIsNotTaken(t *testing.T) {
	for _, refused := range []int{http.StatusMethodNotAllowed, http.StatusRequestURITooLong} {
		var log []asked
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_ = r.ParseForm()
			log = append(log, asked{Method: r.Method, Path: r.URL.RequestURI(), Form: r.PostForm})
			if r.Method == http.MethodGet {
				w.WriteHeader(refused)
				return
			}
			_, _ = io.WriteString(w, success("vector", "[]")) // who does not read it is the test
		}))
		_, err := client(t, Settings{Name: "main", URL: server.URL, Timeout: model.Duration(1500 * time.Millisecond)}).Query(t.Context(), "up")
		server.Close()
		want := []asked{
			{Method: "GET", Path: "/api/v1/query?query=up&timeout=1.5", Form: url.Values{}},
			{Method: "POST", Path: "/api/v1/query", Form: url.Values{"query": {"up"}, "timeout": {"1.5"}}},
		}
		if diff := cmp.Diff(want, log); err != nil || diff != "" {
			t.Errorf("%d: got %v, -want +got:\n%s", refused, err, diff)
		}
	}
	c, log := serve(t, http.StatusMethodNotAllowed, "")
	if _, err := c.Query(t.Context(), "q"); err == nil || len(*log) != 2 {
		t.Errorf("got %v after %d requests, want an error after GET and POST", err, len(*log))
	}
}

func TestASlowServerIsGivenUp(t *testing.T) {
	begun, end := make(chan struct{}), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"status":"succ`) // who does not read it is the test
		w.(http.Flusher).Flush()
		select {
		case begun <- struct{}{}:
		default:
		}
		<-end
	}))
	defer server.Close()
	defer close(end)
	c := client(t, Settings{Name: "main", URL: server.URL, Timeout: model.Duration(100 * time.Millisecond)})
	_, err := c.Query(t.Context(), "q")
	if !errors.Is(err, context.DeadlineExceeded) || err.Error() != "asking main for q: no answer within 100ms: context deadline exceeded" {
		t.Errorf("got %v", err)
	}
	if !errors.Is(err, ErrTimeout) {
		t.Errorf("%v is not of the kind %v", err, ErrTimeout)
	}
	c = client(t, Settings{Name: "main", URL: server.URL, Timeout: model.Duration(time.Minute)})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-begun; cancel() }()
	if _, err := c.Query(ctx, "q"); !errors.Is(err, context.Canceled) || errors.Is(err, ErrTimeout) {
		t.Errorf("got %v", err)
	}
}

func TestAnAnswerBeyondTheLimitIsNotRead(t *testing.T) {
	body := success("vector", `[{"metric":{},"value":[1,"1"]}]`)
	c, _ := serve(t, 200, body)
	c.limit = int64(len(body))
	if _, err := c.Query(t.Context(), "q"); err != nil {
		t.Error(err)
	}
	c.limit--
	if _, err := c.Query(t.Context(), "q"); err == nil || !strings.HasSuffix(err.Error(), fmt.Sprintf("more than %d bytes; narrow the query", c.limit)) {
		t.Errorf("got %v", err)
	}
}

func TestAnAnswerThatBreaksOffIsAnError(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		_, _ = io.WriteString(w, success("vector", "[]")) // who does not read it is the test
	}))
	defer server.Close()
	_, err := client(t, Settings{Name: "main", URL: server.URL}).Query(t.Context(), "q")
	if err == nil || err.Error() != "asking main for q: reading the answer: unexpected EOF" {
		t.Errorf("got %v", err)
	}
}

func TestAServerThatIsAwayIsNamedWithoutTheURL(t *testing.T) {
	_, err := client(t, Settings{Name: "main", URL: "http://127.0.0.1:1"}).Query(t.Context(), "q")
	if err == nil || err.Error() != "asking main for q: dial tcp 127.0.0.1:1: connect: connection refused" {
		t.Errorf("got %v", err)
	}
}

func TestRuleGroupsWithAlertsAreListed(t *testing.T) {
	text, err := os.ReadFile("testdata/rules.json")
	if err != nil {
		t.Fatal(err)
	}
	c, log := serve(t, 200, string(text))
	got, err := c.RuleGroups(t.Context())
	want := []RuleGroup{
		{File: "rules.yml", Name: "fast", Interval: 5 * time.Second, Alerts: []string{"FaultDetected"}},
		{File: "rules.yml", Name: "slow", Interval: 500 * time.Millisecond, Alerts: []string{"SelfUp"}},
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("got %v, -want +got:\n%s", err, diff)
	}
	if diff := cmp.Diff([]asked{{Method: "GET", Path: "/prom/api/v1/rules", Form: url.Values{"type": {"alert"}}}}, *log); diff != "" {
		t.Errorf("asked: -want +got:\n%s", diff)
	}
	for body, want := range map[string]string{
		`{"status":"success","data":{"groups":[{"name":"g","rules":[{"name":"A","type":"alerting"}]}]}}`: `group "g" has the interval 0, want seconds`,
		`{"status":"success","data":[]}`: "cannot unmarshal array",
		"no":                             "is this the URL of a Prometheus API?",
	} {
		c, _ := serve(t, 200, body)
		if _, err := c.RuleGroups(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	c, _ = serve(t, 500, "")
	if _, err := c.RuleGroups(t.Context()); err == nil || err.Error() != "asking main for its rules: got 500 Internal Server Error, want 200" {
		t.Errorf("got %v", err)
	}
}

func TestSettingsSpeakAsTheyAreToldTo(t *testing.T) {
	c, log := serve(t, 200, success("vector", "[]"))
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "prom.token"), []byte("sesame\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var s Settings
	text := "name: main\nurl: " + c.base.String() + "\ntimeout: 3s\nhttp_config: {authorization: {credentials_file: prom.token}}\n"
	if err := yaml.Unmarshal([]byte(text), &s); err != nil {
		t.Fatal(err)
	}
	s.SetDirectory(dir)
	s.Check(func(path, text string) { t.Errorf("%s: %s", path, text) })
	if _, err := client(t, s).Query(t.Context(), "q"); err != nil {
		t.Fatal(err)
	}
	want := []asked{{Method: "GET", Path: "/prom/api/v1/query", Form: url.Values{"query": {"q"}, "timeout": {"3"}}, Auth: "Bearer sesame"}}
	if diff := cmp.Diff(want, *log); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestAllMistakesOfAnEntryComeAtOnce(t *testing.T) {
	for text, want := range map[string]string{
		"{}":                                     "name: missing; services name their Prometheus by it\nurl: got \"\", want http://host:port or https://host:port\n",
		"{name: a, url: 'ftp://p', timeout: 1s}": "url: got \"ftp://p\", want http://host:port or https://host:port\n",
		"{name: a, url: 'http://p?x=1'}":         "url: got \"http://p?x=1\", want it without ? and #\n",
		"{name: a, url: 'http://p:x'}":           "url: parse \"http://p:x\": invalid port \":x\" after host\n",
		"{name: a, url: 'http://p/x'}":           "",
		"{name: a, url: 'HTTPS://p/x'}":          "",
		"{name: a, url: 'http:///x'}":            "url: got \"http:///x\", want http://host:port or https://host:port\n",
		"{name: a, url: '127.0.0.1:19090'}":      "url: got \"127.0.0.1:19090\", want http://host:port or https://host:port\n",
		"{name: a, url: 'me:topsecret@p:9090'}":  "url: got \"<secret>@p:9090\", want http://host:port or https://host:port\n",
		"{name: a, url: 'prom:9090'}":            "url: got \"prom:9090\", want http://host:port or https://host:port\n",
	} {
		var s Settings
		if err := yaml.Unmarshal([]byte(text), &s); err != nil {
			t.Fatal(err)
		}
		s.SetDirectory("/etc")
		var got strings.Builder
		s.Check(func(path, text string) { fmt.Fprintf(&got, "%s: %s\n", path, text) })
		if got.String() != want {
			t.Errorf("%s: got\n%swant\n%s", text, got.String(), want)
		}
	}
	got := ""
	(&Settings{Name: "a", URL: "http://p", Timeout: -1}).Check(func(path, _ string) { got += path })
	if got != "timeout" {
		t.Errorf("got %q, want the time-out refused", got)
	}
	if _, err := New(Settings{Name: "a", URL: "p"}); err == nil || err.Error() != `prometheus "a": url: got "p", want http://host:port or https://host:port` {
		t.Errorf("got %v", err)
	}
	broken := &config.HTTPClientConfig{TLSConfig: config.TLSConfig{CAFile: "/no/such/ca.pem"}}
	if _, err := New(Settings{Name: "a", URL: "http://p", HTTPConfig: broken}); err == nil || !strings.HasPrefix(err.Error(), `prometheus "a": http_config: `) {
		t.Errorf("got %v", err)
	}
}

func TestAnotherHostIsNotFollowed(t *testing.T) {
	var secret atomic.Bool
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		secret.Store(r.Header.Get("X-Token") != "")
	}))
	defer other.Close()
	to := strings.Replace(other.URL, "127.0.0.1", "localhost", 1)
	asked := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/loop/api/v1/query":
			http.Redirect(w, r, r.URL.String(), http.StatusFound)
		case "/api/v1/query":
			http.Redirect(w, r, "/moved", http.StatusFound)
		default:
			http.Redirect(w, r, to, http.StatusFound)
		}
	}))
	defer asked.Close()
	for path, want := range map[string]string{
		"":      "asking main for q: redirected to " + to + ", want it to stay at " + asked.URL,
		"/loop": "asking main for q: redirected more than 10 times",
	} {
		s := Settings{Name: "main", URL: asked.URL + path}
		if err := yaml.Unmarshal([]byte("http_config: {http_headers: {X-Token: {secrets: [sesame]}}}"), &s); err != nil {
			t.Fatal(err)
		}
		if _, err := client(t, s).Query(t.Context(), "q"); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
		if secret.Load() {
			t.Error("the secret went to another host")
		}
	}
}

func TestOneClientServesManyAtOnce(t *testing.T) {
	var hits atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hits.Add(1)
		_, _ = io.WriteString(w, success("scalar", `[1,"`+r.URL.Query().Get("query")+`"]`)) // who does not read it is the test
	}))
	defer server.Close()
	c := client(t, Settings{Name: "main", URL: server.URL, Timeout: model.Duration(time.Minute)})
	results := make(chan error)
	for i := range 50 {
		go func() {
			got, err := c.Query(context.Background(), fmt.Sprint(i))
			if err == nil && got[0].Value != float64(i) {
				err = fmt.Errorf("got %v, want %d", got, i)
			}
			results <- err
		}()
	}
	for range 50 {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	if hits.Load() != 50 {
		t.Errorf("got %d requests, want 50", hits.Load())
	}
}

// FuzzAnAnswerIsPointsOrAnError: whatever a server sends, there are either
// points with a real instant and no metric name, or an error.
func FuzzAnAnswerIsPointsOrAnError(f *testing.F) {
	f.Add([]byte(success("vector", `[{"metric":{"__name__":"up","job":"a"},"value":[1795225504.724,"1"]}]`)))
	f.Add([]byte(success("scalar", `[1,"NaN"]`)))
	f.Add([]byte(`{"status":"success","data":null}`))
	f.Add([]byte(`{"status":"success","warnings":[""]}`))
	f.Add([]byte(success("vector", `[null]`)))
	f.Fuzz(func(t *testing.T, body []byte) {
		points, err := parseVector(body)
		if err != nil && points != nil {
			t.Errorf("got %v beside %v", points, err)
		}
		for _, p := range points {
			if _, named := p.Labels["__name__"]; named || p.At.Year() > 6000 || p.At.Year() < -2000 {
				t.Errorf("got %+v", p)
			}
		}
		groups, err := parseRules(body)
		for _, g := range groups {
			if g.Interval <= 0 || len(g.Alerts) == 0 || err != nil {
				t.Errorf("got %+v beside %v", g, err)
			}
		}
	})
}

// TestAnswersOfARealPrometheusAreUnderstood holds what Prometheus 3 wrote to
// questions of every kind.
func TestAnswersOfARealPrometheusAreUnderstood(t *testing.T) {
	at := time.UnixMilli(1795225504777)
	for _, test := range []struct {
		query  string
		status int
		body   string
		want   []Point
		err    string
	}{
		{"1/0", 200, `{"status":"success","data":{"resultType":"scalar","result":[1795225504.777,"+Inf"]}}`, []Point{{At: at, Value: math.Inf(1)}}, ""},
		{"vector(1)", 200, `{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1795225504.777,"1"]}]}}`, []Point{{Labels: map[string]string{}, At: at, Value: 1}}, ""},
		{"nosuch", 200, `{"status":"success","data":{"resultType":"vector","result":[]}}`, []Point{}, ""},
		{`"text"`, 200, `{"status":"success","data":{"resultType":"string","result":[1795225504.764,"text"]}}`, nil, `reading the answer: got the type "string", want vector or scalar`},
		{"up[5s]", 200, `{"status":"success","data":{"resultType":"matrix","result":[]}}`, nil, `reading the answer: got the type "matrix", want vector or scalar`},
		{
			"up +", 400, `{"status":"error","errorType":"bad_data","error":"invalid parameter \"query\": 1:5: parse error: unexpected end of input"}`,
			nil, `got 400 Bad Request, want 200: bad_data: invalid parameter "query": 1:5: parse error: unexpected end of input`,
		},
		{
			"quantile(7, up)", 200, `{"status":"success","data":{"resultType":"vector","result":[]},"warnings":["PromQL warning: quantile value should be between 0 and 1, got 7 (1:10)"]}`,
			nil, "the answer is not whole: PromQL warning: quantile value should be between 0 and 1, got 7 (1:10)",
		},
	} {
		c, _ := serve(t, test.status, test.body)
		got, err := c.Query(t.Context(), test.query)
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s: -want +got:\n%s", test.query, diff)
		}
		if want := "asking main for " + test.query + ": " + test.err; (err != nil || test.err != "") && (err == nil || err.Error() != want) {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
}
