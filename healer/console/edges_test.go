package console

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/onefiveten/onefiveten/healer"
)

// put writes one of the house's credential files.
func (h *house) put(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(h.dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A password file that was cut to nothing, as by a full disk, lets nobody in.
func TestAnEmptyPasswordFileLetsNobodyIn(t *testing.T) {
	for _, text := range []string{"", "\n"} {
		h := newHouse(t, nil)
		h.put(t, "op.hash", text)
		for _, password := range []string{opPass, "guess", ""} {
			if code, _ := h.call(t, "POST", "/api/v1/incidents/01I:close", opUser+":"+password, ""); code == 200 || len(h.healer.asked) > 0 {
				t.Errorf("with the file %q the password %q is answered %d, and the healer was asked %q", text, password, code, h.healer.asked)
			}
		}
	}
}

// Alertmanager sends a notification that was answered with 503 again, and drops
// one that was answered with 401.
func TestACredentialThatCannotBeReadIsAnsweredWith503(t *testing.T) {
	for name, spoil := range map[string]func(file string) error{
		"it is gone":  os.Remove,
		"it is empty": func(file string) error { return os.Truncate(file, 0) },
		"it is a folder": func(file string) error {
			if err := os.Remove(file); err != nil {
				return err
			}
			return os.Mkdir(file, 0o700)
		},
	} {
		h := newHouse(t, nil)
		for _, file := range []string{"am.token", "op.hash"} {
			if err := spoil(filepath.Join(h.dir, file)); err != nil {
				t.Fatal(err)
			}
		}
		for _, who := range []string{amToken, opUser + ":" + opPass} {
			code, text := h.call(t, "POST", "/api/v1/alertmanager", who, "{}")
			if code != 503 || !strings.Contains(text, "auth.clients[") || strings.Contains(text, h.dir) {
				t.Errorf("%s, as %s: got %d %s, want 503 with the client's place and no path", name, who, code, text)
			}
		}
		if code, _ := h.call(t, "GET", "/api/v1/incidents", opToken, ""); code != 200 {
			t.Errorf("%s: the client whose file is good is answered %d, want 200", name, code)
		}
		if len(h.healer.asked) > 0 {
			t.Errorf("%s: the healer was asked %q", name, h.healer.asked)
		}
	}
}

// A tool that keeps the times of files (cp -p, rsync, an image that is built
// with fixed times) puts a new token of the same length there unseen.
func TestAReplacedTokenCountsAtOnceWhateverItsTimeAndSize(t *testing.T) {
	h := newHouse(t, nil)
	if code, _ := h.call(t, "GET", "/api/v1/incidents", opToken, ""); code != 200 {
		t.Fatalf("got %d, want 200", code)
	}
	file := filepath.Join(h.dir, "op.token")
	before, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	next := strings.ToUpper(opToken)
	h.put(t, "op.token", next)
	if err := os.Chtimes(file, before.ModTime(), before.ModTime()); err != nil {
		t.Fatal(err)
	}
	for token, want := range map[string]int{opToken: 401, next: 200} {
		if code, _ := h.call(t, "GET", "/api/v1/incidents", token, ""); code != want {
			t.Errorf("the token %s is answered %d, want %d", token, code, want)
		}
	}
}

// stalled is a server whose clients send no more of their bodies in time.
func stalled(h *house) *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := http.NewResponseController(w).SetReadDeadline(time.Unix(1, 0)); err != nil {
			panic(err)
		}
		h.Config.Handler.ServeHTTP(w, r)
	}))
}

// Alertmanager sends again what was answered with 503, and drops what was
// answered with 400.
func TestANotificationThatStallsIsAnsweredWith503(t *testing.T) {
	h := newHouse(t, nil)
	server := stalled(h)
	defer server.Close()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST /api/v1/alertmanager HTTP/1.1\r\nHost: heal\r\nAuthorization: Bearer %s\r\nContent-Length: 100\r\n\r\n", amToken)
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != 503 || !strings.Contains(string(text), "reading the notification") || len(h.healer.asked) > 0 {
		t.Errorf("got %s %s, and the healer was asked %q, want 503", response.Status, text, h.healer.asked)
	}
}

// Alertmanager drops what is answered with 3xx where it does not follow, and
// the mux would redirect each path that is not clean.
func TestNoPathIsAnsweredWithARedirect(t *testing.T) {
	h := newHouse(t, nil)
	for _, path := range []string{"//api/v1/alertmanager", "/api/v1//alertmanager", "/api/v1/./alertmanager", "/x/../api/v1/alertmanager", "/api/v1/incidents/../alertmanager/"} {
		for _, method := range []string{"POST", "GET"} {
			if code, text := h.call(t, method, path, amToken, "{}"); code != 404 || len(h.healer.asked) > 0 {
				t.Errorf("%s %s: got %d %s, and the healer was asked %q, want 404", method, path, code, text, h.healer.asked)
			}
		}
	}
}

// A page of anywhere may let the browser of who sits at this host send forms to
// a loopback address; what a browser sends for a page says so.
func TestAForeignPageMayNotActThroughABrowser(t *testing.T) {
	h := newHouse(t, func(o *Options) { o.Insecure = true })
	for _, test := range []struct {
		name, value string
		want        int
	}{
		{"Sec-Fetch-Site", "cross-site", 403},
		{"Sec-Fetch-Site", "same-site", 403},
		{"Origin", "https://elsewhere.example", 403},
		{"Sec-Fetch-Site", "same-origin", 200},
		{"Origin", h.URL, 200},
	} {
		request, err := http.NewRequestWithContext(t.Context(), "POST", h.URL+"/api/v1/incidents/01I:close", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set(test.name, test.value)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if done := len(h.healer.asked) > 0; response.StatusCode != test.want || done != (test.want == 200) {
			t.Errorf("%s: %s: got %s, and the healer was asked %q, want %d", test.name, test.value, response.Status, h.healer.asked, test.want)
		}
		h.healer.asked = nil
	}
}

// slowHealer keeps every notification until it is let go.
type slowHealer struct {
	fakeHealer
	release chan struct{}
}

func (s *slowHealer) Accept(context.Context, string, []byte) error {
	<-s.release
	return nil
}

// While the disk stands still, what waits for it must not fill the memory.
func TestNotificationsBeyondWhatIsKeptAtOnceAreAnsweredWith503(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &slowHealer{release: make(chan struct{})}
		handler, err := New(Options{Healer: slow, Auth: func() *Auth { return &Auth{} }, Insecure: true, Registry: prometheus.NewPedanticRegistry()})
		if err != nil {
			t.Fatal(err)
		}
		notify := func() *httptest.ResponseRecorder {
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "POST", "/api/v1/alertmanager", strings.NewReader("{}")))
			return w
		}
		codes := make(chan int, maxAccepts)
		for range maxAccepts {
			go func() { codes <- notify().Code }()
		}
		synctest.Wait()
		if w := notify(); w.Code != 503 || !strings.Contains(w.Body.String(), "overload") {
			t.Errorf("the one too many: got %d %s, want 503", w.Code, w.Body)
		}
		close(slow.release)
		for range maxAccepts {
			if code := <-codes; code != 200 {
				t.Errorf("one that was kept: got %d, want 200", code)
			}
		}
		if w := notify(); w.Code != 200 {
			t.Errorf("once there is room: got %d %s, want 200", w.Code, w.Body)
		}
	})
}

// With one credential for two clients the roles and the name in the audit trail
// would be the other's; a login that no password fits locks a person out.
func TestACredentialIsOneClientsAndOfItsKind(t *testing.T) {
	h := newHouse(t, nil)
	h.put(t, "plain", opPass)
	h.put(t, "again.token", " "+amToken+"\n")
	h.auth.Clients = append(h.auth.Clients,
		Client{Name: "copy", Roles: []Role{RoleAdmin}, BearerFile: "again.token"},
		Client{Name: "twin", Roles: []Role{RoleRead}, Basic: &basicAuth{User: opUser, BcryptFile: "op.hash"}},
		Client{Name: "plain", Roles: []Role{RoleRead}, Basic: &basicAuth{User: "ann", BcryptFile: "plain"}},
	)
	var got []string
	h.auth.Check([]string{"main"}, func(path, text string) { got = append(got, path+": "+text) })
	want := []string{
		"clients[3].bearer_file: the token is that of clients[0], want one of its own",
		"clients[4].basic.user: oncall is the user of clients[2], want one of its own",
		"clients[5].basic.bcrypt_file: plain holds no bcrypt hash; make one with htpasswd -nB ann, and keep what follows the colon",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("mistakes (-want +got):\n%s", diff)
	}
}

// brokenStore is a journal whose disk has gone.
type brokenStore struct{ healer.Store }

var errGone = errors.New("disk I/O error")

func (brokenStore) Incidents(context.Context, bool, int) ([]healer.Incident, error) {
	return nil, errGone
}
func (brokenStore) Read(context.Context, string) (*healer.Case, error) { return nil, errGone }
func (brokenStore) Mitigations(context.Context, string) ([]healer.Mitigation, error) {
	return nil, errGone
}

func (brokenStore) Audit(context.Context, string, int64, int) ([]healer.Entry, error) {
	return nil, errGone
}

// An empty list would say that all is well.
func TestAJournalThatCannotBeReadIsNoEmptyList(t *testing.T) {
	h := newHouse(t, func(o *Options) { o.Store = brokenStore{} })
	h.healer.err = errGone
	for _, path := range []string{"incidents", "incidents/01I", "mitigations", "audit", "reviews/01I"} {
		if code, text := h.call(t, "GET", "/api/v1/"+path, opToken, ""); code != 503 || !strings.Contains(text, errGone.Error()) {
			t.Errorf("GET %s: got %d %s, want 503 with the reason", path, code, text)
		}
	}
}
