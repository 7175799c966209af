package action

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/config"

	"github.com/onefiveten/onefiveten/healer"
)

// clients makes one step's http_config from YAML.
func clients(t *testing.T, name, text string) map[string]*config.HTTPClientConfig {
	t.Helper()
	c, err := config.LoadHTTPConfig(text)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]*config.HTTPClientConfig{name: c}
}

// caller gives an Executor that may call the given URLs.
func caller(t *testing.T, settings Settings, urls ...string) *Executor {
	t.Helper()
	for _, u := range urls {
		_, host, _ := strings.Cut(u, "://")
		settings.Hosts = append(settings.Hosts, host)
	}
	e, err := New(settings)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func post(url string) healer.Action {
	return healer.Action{
		HTTP: &healer.Request{Method: "POST", URL: url, Body: []byte(`{"delta":2}`)}, Timeout: 30 * time.Second,
		Env:            map[string]string{"HEAL_FENCE": "7", "HEAL_RUN": "01RUN", "HEAL_INCIDENT": "01INC", "HEAL_ATTEMPT": "1"},
		IdempotencyKey: "01RUN/act/0",
	}
}

func TestACallCarriesItsClaimAndItsBody(t *testing.T) {
	var head http.Header
	var body []byte
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		head, body = r.Header.Clone(), must(io.ReadAll(r.Body))
		w.WriteHeader(http.StatusAccepted)
		io.WriteString(w, "scaled")
	}))
	defer server.Close()
	e := caller(t, Settings{Clients: clients(t, "add/act/0", "authorization: {credentials: sesame}")}, server.URL)
	a := post(server.URL + "/scale/search")
	a.HTTP.Client = "add/act/0"
	if diff := cmp.Diff(healer.Result{Outcome: healer.OK, Output: "scaled"}, e.Do(t.Context(), a)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	want := http.Header{
		"Accept-Encoding": nil, "Authorization": {"Bearer sesame"}, "Connection": {"close"},
		"Content-Length": {"11"}, "Content-Type": {"application/json"}, "Idempotency-Key": {"01RUN/act/0"},
		"User-Agent": {"onefiveten"}, "X-Heal-Attempt": {"1"}, "X-Heal-Fence": {"7"}, "X-Heal-Incident": {"01INC"}, "X-Heal-Run": {"01RUN"},
	}
	delete(want, "Accept-Encoding")
	if diff := cmp.Diff(want, head); diff != "" || string(body) != `{"delta":2}` {
		t.Errorf("got the body %s and the header -want +got:\n%s", body, diff)
	}
}

// nameless is no host name, since a label of it is too long: no resolver asks
// anybody for it.
var nameless = strings.Repeat("x", 64) + ".invalid"

func TestNoProxyOfTheEnvironmentIsUsed(t *testing.T) {
	var hits atomic.Int32
	proxy := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits.Add(1) }))
	defer proxy.Close()
	t.Setenv("HTTP_PROXY", proxy.URL)
	url := "http://" + nameless + ":80"
	got := caller(t, Settings{}, url, proxy.URL).Do(t.Context(), post(url))
	if hits.Load() > 0 || got.Outcome != healer.Transient || !strings.Contains(got.Cause, "lookup "+nameless) {
		t.Errorf("got %+v and %d requests to the proxy", got, hits.Load())
	}
}

func TestAStatusDecidesTheOutcome(t *testing.T) {
	var hits atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hits.Add(1)
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(map[string]int{"/200": 200, "/204": 204, "/302": 302, "/307": 307, "/404": 404, "/409": 409, "/429": 429, "/500": 500, "/503": 503}[r.URL.Path])
	}))
	defer server.Close()
	e := caller(t, Settings{Clients: clients(t, "following", "follow_redirects: true")}, server.URL)
	for _, test := range []struct {
		path string
		want healer.Result
	}{
		{"/200", healer.Result{Outcome: healer.OK}},
		{"/204", healer.Result{Outcome: healer.OK}},
		{"/302", healer.Result{Outcome: healer.Failed, Cause: `got 302 Found to "/elsewhere": redirects are not followed`}},
		{"/307", healer.Result{Outcome: healer.Failed, Cause: `got 307 Temporary Redirect to "/elsewhere": redirects are not followed`}},
		{"/404", healer.Result{Outcome: healer.Failed, Cause: "got 404 Not Found"}},
		{"/409", healer.Result{Outcome: healer.Transient, Cause: "got 409 Conflict, declared as without effect"}},
		{"/429", healer.Result{Outcome: healer.Failed, Cause: "got 429 Too Many Requests"}},
		{"/500", healer.Result{Outcome: healer.InDoubt, Cause: "got 500 Internal Server Error"}},
		{"/503", healer.Result{Outcome: healer.Transient, Cause: "got 503 Service Unavailable, declared as without effect"}},
	} {
		for _, client := range []string{"", "following"} {
			hits.Store(0)
			a := post(server.URL + test.path)
			a.HTTP.Client, a.TransientCodes = client, []int{409, 503}
			if diff := cmp.Diff(test.want, e.Do(t.Context(), a)); diff != "" || hits.Load() != 1 {
				t.Errorf("%s: %d requests, -want +got:\n%s", test.path, hits.Load(), diff)
			}
		}
	}
}

// server answers each connection by f, which gets it after the whole request
// was read, or at once.
func rawServer(t *testing.T, read bool, f func(net.Conn)) (url string, connections *atomic.Int32) {
	t.Helper()
	listener := must(net.Listen("tcp", "127.0.0.1:0"))
	t.Cleanup(func() { listener.Close() })
	connections = new(atomic.Int32)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			connections.Add(1)
			if read {
				buffer := make([]byte, 4096)
				for text := ""; !strings.HasSuffix(text, `{"delta":2}`); {
					n, err := conn.Read(buffer)
					if err != nil {
						break
					}
					text += string(buffer[:n])
				}
			}
			f(conn)
		}
	}()
	return "http://" + listener.Addr().String(), connections
}

func TestACallThatBrokeAfterItsFirstByteIsInDoubtAndNeverRepeated(t *testing.T) {
	url, connections := rawServer(t, true, func(c net.Conn) { c.Close() })
	e := caller(t, Settings{}, url)
	want := healer.Result{Outcome: healer.InDoubt, Cause: "no answer, after the request had begun: EOF"}
	for range 3 {
		connections.Store(0)
		if diff := cmp.Diff(want, e.Do(t.Context(), post(url))); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		if n := connections.Load(); n != 1 {
			t.Errorf("got %d connections, want 1", n)
		}
	}
}

// TestAConnectionIsNeverUsedTwice: on a kept connection Go repeats a request
// by itself as soon as it carries an Idempotency-Key.
func TestAConnectionIsNeverUsedTwice(t *testing.T) {
	url, connections := rawServer(t, true, func(c net.Conn) {
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		t.Cleanup(func() { c.Close() })
	})
	e := caller(t, Settings{}, url)
	for i := range 3 {
		if got := e.Do(t.Context(), post(url)); got.Outcome != healer.OK || connections.Load() != int32(i+1) {
			t.Errorf("got %+v on connection %d, want %d", got, connections.Load(), i+1)
		}
	}
}

func TestATimeOutIsInDoubtOnlyOnceSomethingWasSent(t *testing.T) {
	begun := make(chan struct{}, 1)
	silent, _ := rawServer(t, true, func(c net.Conn) { begun <- struct{}{}; t.Cleanup(func() { c.Close() }) })
	mute, _ := rawServer(t, false, func(c net.Conn) { // takes connections, never says hello in TLS
		must(c.Read(make([]byte, 1)))
		begun <- struct{}{}
		t.Cleanup(func() { c.Close() })
	})
	mute = strings.Replace(mute, "http:", "https:", 1)
	e := caller(t, Settings{}, silent, mute)
	for _, test := range []struct {
		url  string
		want healer.Result
	}{
		{silent, healer.Result{Outcome: healer.InDoubt, Cause: "no answer, after the request had begun: no end within 5s: context deadline exceeded"}},
		{mute, healer.Result{Outcome: healer.Transient, Cause: "nothing was sent: no end within 5s: context deadline exceeded"}},
	} {
		ctx, cancel := context.WithCancelCause(t.Context())
		go func() { <-begun; cancel(timeoutError(5 * time.Second)) }()
		if diff := cmp.Diff(test.want, e.Do(ctx, post(test.url))); diff != "" {
			t.Errorf("%s: -want +got:\n%s", test.url, diff)
		}
		cancel(nil)
	}
}

func TestTheTimeOutOfACallIsKept(t *testing.T) {
	url, _ := rawServer(t, true, func(c net.Conn) { t.Cleanup(func() { c.Close() }) })
	a := post(url)
	a.Timeout = 200 * time.Millisecond
	got := caller(t, Settings{}, url).Do(t.Context(), a)
	if got.Outcome == healer.OK || !strings.Contains(got.Cause, "no end within 200ms") { // on a slow host it may not even have begun
		t.Errorf("got %+v", got)
	}
}

func TestACallThatNeverBeganIsTransient(t *testing.T) {
	listener := must(net.Listen("tcp", "127.0.0.1:0"))
	refusing := listener.Addr().String()
	listener.Close()
	e := caller(t, Settings{}, "http://"+refusing, "http://"+nameless+":80", "https://"+refusing)
	for _, test := range []struct{ url, want string }{
		{"http://" + refusing, "nothing was sent: dial tcp " + refusing + ": connect: connection refused"},
		{"https://" + refusing, "nothing was sent: dial tcp " + refusing + ": connect: connection refused"},
		{"http://" + nameless, "nothing was sent: dial tcp: lookup " + nameless},
	} {
		got := e.Do(t.Context(), post(test.url))
		if got.Outcome != healer.Transient || !strings.HasPrefix(got.Cause, test.want) {
			t.Errorf("got  %+v\nwant %s…", got, test.want)
		}
	}
}

func TestATLSServerThatIsNoneIsTransient(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	url := strings.Replace(server.URL, "http:", "https:", 1)
	got := caller(t, Settings{}, url).Do(t.Context(), post(url))
	if got.Outcome != healer.Transient || got.Cause != "nothing was sent: http: server gave HTTP response to HTTPS client" {
		t.Errorf("got %+v", got)
	}
}

func TestARefusedCertificateHasFailed(t *testing.T) {
	hits := new(atomic.Int32)
	server := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits.Add(1) }))
	defer server.Close()
	strict := demanding(t, server.TLS)
	trusting := clients(t, "step", "tls_config: {insecure_skip_verify: true}")
	e := caller(t, Settings{Clients: trusting}, server.URL, strict)
	for _, test := range []struct{ url, client, want string }{
		{server.URL, "", "tls: failed to verify certificate: x509: certificate signed by unknown authority"},
		{strict, "step", "remote error: tls: certificate required"},
	} {
		a := post(test.url)
		a.HTTP.Client = test.client
		if got := e.Do(t.Context(), a); got.Outcome != healer.Failed || got.Cause != test.want {
			t.Errorf("got  %+v\nwant %s", got, test.want)
		}
	}
	a := post(server.URL)
	a.HTTP.Client = "step"
	if got := e.Do(t.Context(), a); got.Outcome != healer.OK || hits.Load() != 1 {
		t.Errorf("got %+v and %d requests", got, hits.Load())
	}
}

// demanding listens with a server's TLS settings, demands a certificate of the
// client, and reads on after it has refused one that came without: were the
// socket closed at once, a reset could overtake the alert.
func demanding(t *testing.T, settings *tls.Config) string {
	t.Helper()
	settings = settings.Clone()
	settings.ClientAuth = tls.RequireAnyClientCert
	listener := must(net.Listen("tcp", "127.0.0.1:0"))
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		_ = tls.Server(conn, settings).Handshake()
		_, _ = io.Copy(io.Discard, conn)
	}()
	t.Cleanup(func() { listener.Close(); <-done })
	return "https://" + listener.Addr().String()
}

// net/http meets the alert of a server while it writes, while it waits or
// while it reads, and words each differently.
func TestTheWordsOfNetHTTPAreLeftOutOfARefusal(t *testing.T) {
	alert := &net.OpError{Op: "remote error", Err: errors.New("tls: certificate required")}
	for _, err := range []error{
		&url.Error{Op: "Post", URL: "https://node-1", Err: alert},
		&url.Error{Op: "Post", URL: "https://node-1", Err: fmt.Errorf("readLoopPeekFailLocked: %w", alert)},
	} {
		got := broken(t.Context(), err, true)
		if want := failed("remote error: tls: certificate required"); got != want {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
	}
}

func TestAnAnswerIsKeptUpToItsLimit(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for range 1000 {
			if _, err := io.WriteString(w, strings.Repeat("x", 1<<10)); err != nil {
				return
			}
		}
	}))
	defer server.Close()
	want := healer.Result{Outcome: healer.OK, Output: strings.Repeat("x", 64<<10) + "\n[the answer goes on]"}
	if diff := cmp.Diff(want, caller(t, Settings{}, server.URL).Do(t.Context(), post(server.URL))); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestASuccessThatBreaksOffIsInDoubtAndARefusalStands(t *testing.T) {
	for _, test := range []struct {
		status string
		want   healer.Result
	}{
		{"200 OK", healer.Result{Outcome: healer.InDoubt, Cause: "got 200 OK, then: unexpected EOF", Output: "half"}},
		{"403 Forbidden", healer.Result{Outcome: healer.Failed, Cause: "got 403 Forbidden", Output: "half"}},
	} {
		url, _ := rawServer(t, true, func(c net.Conn) {
			io.WriteString(c, "HTTP/1.1 "+test.status+"\r\nContent-Length: 100\r\n\r\nhalf")
			c.Close()
		})
		if diff := cmp.Diff(test.want, caller(t, Settings{}, url).Do(t.Context(), post(url))); diff != "" {
			t.Errorf("%s: -want +got:\n%s", test.status, diff)
		}
	}
}

func TestOnlyAllowedAddressesAreCalled(t *testing.T) {
	e := caller(t, Settings{}, "http://gateway:8080", "http://10.0.0.1:80", "https://secure:443")
	for _, test := range []struct{ url, want string }{
		{"http://gateway/x", "gateway:80 is not in http.allowed_hosts"},
		{"http://gateway:8081/x", "gateway:8081 is not in http.allowed_hosts"},
		{"http://gateway.:8080@evil/x", "holds a user; credentials belong into http_config"},
		{"http://169.254.169.254/latest", "link-local addresses are never called"},
		{"http://[fe80::1]/", "link-local addresses are never called"},
		{"http://[::ffff:169.254.169.254]/", "link-local addresses are never called"},
		{"http://[64:ff9b::a9fe:a9fe]/", "link-local addresses are never called"},
		{"file:///etc/shadow", `got the scheme "file", want http or https`},
		{"http://%zz/", "invalid URL escape"},
		{"http:///x", "want a host name or an address before the port"},
		{"http://gate way:8080/", "invalid character"},
		{"http://gäte:8080/", "want a host name or an address before the port"},
	} {
		got := e.Do(t.Context(), post(test.url))
		if got.Outcome != healer.Failed || !strings.Contains(got.Cause, test.want) {
			t.Errorf("%s:\ngot  %+v\nwant …%s", test.url, got, test.want)
		}
	}
	for _, url := range []string{"http://GATEWAY.:8080/x", "http://10.0.0.1/", "https://secure/"} {
		if _, err := e.DryRun(post(url)); err != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
	a := post("http://gateway:8080/")
	a.HTTP.Method = "GET /x HTTP/1.1\r\nX: y"
	if got := e.Do(t.Context(), a); got.Outcome != healer.Failed || !strings.Contains(got.Cause, "got the method") {
		t.Errorf("got %+v", got)
	}
}

func TestTheDialledAddressIsCheckedAgain(t *testing.T) {
	e := caller(t, Settings{}, "http://gateway:8080")
	if _, err := e.dial(t.Context(), "tcp", "gateway:22"); !errors.Is(err, errForbidden) {
		t.Errorf("got %v, want it refused", err)
	}
	// A name that resolves to a link-local address reaches only the last check.
	if conn, err := connect(t.Context(), "tcp", "169.254.169.254:80"); conn != nil || !errors.Is(err, errForbidden) {
		t.Errorf("got %v, want it refused", err)
	}
}

func TestLinkLocalIsKnownInEveryDress(t *testing.T) {
	for text, want := range map[string]bool{
		"169.254.169.254": true, "fe80::1": true, "::ffff:169.254.0.1": true, "64:ff9b::a9fe:a9fe": true, "febf::1%eth0": true, "ff02::1": true,
		"127.0.0.1": false, "10.1.2.3": false, "2001:db8::1": false, "64:ff9b::a00:1": false, "fd00:ec2::254": false,
	} {
		if got := linkLocal(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s: got %t, want %t", text, got, want)
		}
	}
}

func TestCredentialsAreReadAnewFromTheirFile(t *testing.T) {
	var seen []string
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen = append(seen, r.Header.Get("Authorization")) }))
	defer server.Close()
	file := filepath.Join(t.TempDir(), "token")
	e := caller(t, Settings{Clients: clients(t, "step", "authorization: {credentials_file: "+file+"}")}, server.URL)
	a := post(server.URL)
	a.HTTP.Client = "step"
	if got := e.Do(t.Context(), a); got.Outcome != healer.Transient {
		t.Errorf("without its file: got %+v, want transient: nothing was sent", got)
	}
	for _, token := range []string{"one", "two"} {
		if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := e.Do(t.Context(), a); got.Outcome != healer.OK {
			t.Errorf("got %+v", got)
		}
	}
	if diff := cmp.Diff([]string{"Bearer one", "Bearer two"}, seen); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func FuzzANormalHostIsNormal(f *testing.F) {
	for _, seed := range []string{"gateway:8080", "[::1]:80", "A.b.:1", "[fe80::1%eth0]:80", ":80", "1.2.3.4:0", "x:y:z"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		once, err := normalHost(text)
		if err != nil {
			return
		}
		if twice, err := normalHost(once); err != nil || twice != once {
			t.Errorf("%q became %q, then %q, %v", text, once, twice, err)
		}
	})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
