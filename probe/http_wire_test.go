package probe

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/andybalholm/brotli"
	"github.com/google/go-cmp/cmp"
)

func TestHTTP_UnpacksBrotliAsOthers(t *testing.T) {
	text := strings.Repeat("well ", 1000)
	site := web(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/plain" {
			io.WriteString(w, "not well")
			return
		}
		if r.Header.Get("Accept-Encoding") != "br" {
			t.Errorf("accepts %q", r.Header.Get("Accept-Encoding"))
		}
		b := brotli.NewWriter(w)
		io.WriteString(b, text)
		b.Close()
	})
	for _, name := range []string{"br", "BR"} {
		r := ask(t, "{prober: http, http: {compression: "+name+", fail_if_body_not_matches_regexp: ['^well .*well $']}}", site)
		wantSuccess(t, r)
		wantValue(t, r, "probe_http_uncompressed_body_length", float64(len(text)))
	}
	wantReason(t, ask(t, "{prober: http, http: {compression: br, body_size_limit: 1KB}}", site), Size, "larger than 1024 bytes")
	wantReason(t, ask(t, "{prober: http, http: {compression: br}}", site+"/plain"), Content, "decompressing the body as br")
}

func TestHTTP_AnEmptyBodyIsNotCompressed(t *testing.T) {
	site := web(t, func(http.ResponseWriter, *http.Request) {})
	for _, coding := range []string{"br", "gzip", "deflate"} {
		r := ask(t, "{prober: http, http: {compression: "+coding+"}}", site)
		wantReason(t, r, Content, "decompressing the body as "+coding)
	}
}

func TestHTTP_UnpacksNothingAfterTheDeadline(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	zeros := &counter{ctx: ctx, reader: strings.NewReader("abc")}
	if n, err := zeros.Read(make([]byte, 2)); n != 2 || err != nil {
		t.Errorf("got %d, %v", n, err)
	}
	cancel()
	if n, err := zeros.Read(make([]byte, 2)); n != 0 || err == nil {
		t.Errorf("got %d, %v", n, err)
	}
}

func TestHTTP_KeepsTheConnectionOfAnUpgrade(t *testing.T) {
	headers := "headers: {Connection: 'keep-alive, Upgrade', Upgrade: websocket, Sec-WebSocket-Version: '13', Sec-WebSocket-Key: x}, valid_status_codes: [101]"
	accept := func(w http.ResponseWriter, r *http.Request) {
		if r.Close || !strings.Contains(r.Header.Get("Connection"), "Upgrade") || r.ProtoMajor != 1 {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
		silent(conn) // a web socket stays open; what follows is not waited for
	}
	s, ca := secureSite(t, true, accept)
	site := web(t, accept)
	var asked []string
	proxy := relay(t, &asked)
	for _, c := range []struct{ more, target string }{{"", site}, {", tls_config: {ca_file: " + ca + "}", s.URL}, {", proxy_url: '" + proxy + "', tls_config: {ca_file: " + ca + "}", s.URL}} {
		r := ask(t, "{prober: http, http: {"+headers+c.more+"}}", c.target)
		wantSuccess(t, r)
		wantValue(t, r, "probe_http_status_code", 101)
	}
}

func TestHTTP_OffersNoProtocolWhenHTTP2IsOff(t *testing.T) {
	s, ca := secureSite(t, true, func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "%q", r.TLS.NegotiatedProtocol) })
	wantSuccess(t, ask(t, `{prober: http, http: {enable_http2: false, fail_if_body_not_matches_regexp: ['^""$'], tls_config: {ca_file: `+ca+`}}}`, s.URL))
	wantSuccess(t, ask(t, `{prober: http, http: {fail_if_body_not_matches_regexp: ['^"h2"$'], valid_http_versions: [HTTP/2.0], tls_config: {ca_file: `+ca+`}}}`, s.URL))
}

func TestHTTP_JudgesAnswersOfHTTP2(t *testing.T) {
	s, ca := secureSite(t, true, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("X-State", "warm")
		w.Header().Add("X-State", "ok")
		if r.URL.Path == "/from" {
			http.Redirect(w, r, "/", http.StatusFound)
			return
		}
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, `{"got": %q, "method": %q}`, body, r.Method)
	})
	for _, c := range []struct{ http, path, want string }{
		{"method: POST, body: text, fail_if_body_json_not_matches_cel: \"body.got == 'text' && body.method == 'POST'\"", "/", ""},
		{"fail_if_header_not_matches: [{header: x-state, regexp: ^ok$}]", "/from", ""},
		{"fail_if_body_matches_regexp: [GET]", "/", "body matches"},
		{"fail_if_header_matches: [{header: X-State, regexp: warm}]", "/", "header X-State matches"},
		{"valid_status_codes: [204]", "/", "status is 200"},
		{"valid_http_versions: [HTTP/2]", "/", ""}, // as people write it
		{"valid_http_versions: [HTTP/1.0, HTTP/1.1]", "/", "version is HTTP/2.0"},
		{"body_size_limit: 4B", "/", "larger than 4 bytes"},
		{"fail_if_ssl: true", "/", "went over TLS"},
	} {
		r := ask(t, "{prober: http, http: {tls_config: {ca_file: "+ca+"}, "+c.http+"}}", s.URL+c.path)
		wantValue(t, r, "probe_http_version", 2)
		if got := fmt.Sprint(r.Err); (r.Err == nil) != (c.want == "") || !strings.Contains(got, c.want) && c.want != "" {
			t.Errorf("%s: got %s, want %s", c.http, got, c.want)
		}
	}
}

func TestHTTP_ReadsTheAnswerToABodyThatNobodyReads(t *testing.T) {
	early := serve(t, func(conn net.Conn) {
		readHeader(conn)
		io.WriteString(conn, "HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
		<-t.Context().Done() // the connection stays, and nothing more is read
	})
	large := filepath.Join(t.TempDir(), "large")
	if err := os.WriteFile(large, make([]byte, 16<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	module := "{prober: http, http: {method: POST, body_file: " + large + "}}"
	wantReason(t, ask(t, module, early), Status, "status is 413")
	// Who hangs up instead has reset the connection.
	wantReason(t, ask(t, module, serve(t, func(conn net.Conn) { readHeader(conn) })), Reset, "")
	// And who neither reads nor answers is left at the deadline.
	stuck := serve(t, func(net.Conn) { <-t.Context().Done() })
	wantReason(t, within(t, 200*time.Millisecond, module, stuck), Timeout, "")
}

func TestHTTP_NameInTLSIsThatOfTheHostHeader(t *testing.T) {
	s, ca := secureSite(t, false, nil)
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(s.URL, "https://"))
	s.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/relative":
			http.Redirect(w, r, "/", http.StatusFound)
		case "/whole":
			w.Header().Set("Location", "https://"+r.URL.Query().Get("to")+":"+port+"/")
			w.WriteHeader(http.StatusFound)
		default:
			fmt.Fprint(w, r.TLS.ServerName, " ", strings.TrimSuffix(r.Host, ":"+port))
		}
	})
	for _, c := range []struct{ module, host, path, want string }{
		{"", "example.com", "/", "example.com example.com"},
		{"headers: {Host: www.example.com}", "127.0.0.1", "/", "www.example.com www.example.com"},
		{"headers: {Host: 'www.example.com:8443'}", "127.0.0.1", "/", "www.example.com www.example.com:8443"},
		{"headers: {host: www.example.com}", "127.0.0.1", "/relative", "www.example.com www.example.com"},
		{"headers: {Host: www.example.com}", "example.com", "/relative", "www.example.com www.example.com"},
		// After a redirect to a whole URL the header is that of the URL, and the name, too.
		{"headers: {Host: www.example.com}", "example.com", "/whole?to=example.com", "example.com example.com"},
		{"headers: {Host: www.example.com}", "127.0.0.1", "/whole?to=127.0.0.1", "www.example.com 127.0.0.1"},
		{"headers: {Host: www.example.com}", "127.0.0.1", "/whole?to=EXAMPLE.com", "example.com EXAMPLE.com"},
		{"tls_config: {ca_file: CA, server_name: a.example.com}", "example.com", "/whole?to=example.com", "a.example.com example.com"},
		{"tls_config: {ca_file: CA, server_name: a.example.com}, headers: {Host: b.test}", "127.0.0.1", "/", "a.example.com b.test"},
	} {
		if !strings.Contains(c.module, "tls_config") {
			c.module = strings.TrimPrefix(c.module+", tls_config: {ca_file: CA}", ", ")
		}
		p := prober(t, "{prober: http, http: {fail_if_body_not_matches_regexp: ['^(?i)"+c.want+"$'], "+strings.ReplaceAll(c.module, "CA", ca)+"}}")
		p.resolver = answerDNS(t, map[string]netip.Addr{"EXAMPLE.com": netip.MustParseAddr("127.0.0.1"), "example.com": netip.MustParseAddr("127.0.0.1")}, nil)
		if r := p.Run(t.Context(), "https://"+c.host+":"+port+c.path); !r.Success {
			t.Errorf("%s, %s%s: %s, %v", c.module, c.host, c.path, r.Reason, r.Err)
		}
	}
}

func TestHTTP_TakesEveryFormOfTarget(t *testing.T) {
	site := web(t, func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		_, port, _ := net.SplitHostPort(r.Host)
		fmt.Fprint(w, strings.TrimSuffix(r.Host, ":"+port), " ", r.RequestURI, " ", user, password)
	})
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(site, "http://"))
	for _, c := range []struct{ target, want string }{
		{"127.0.0.1:PORT", "127.0.0.1 / "},
		{"shop.test:PORT/a/b?c=d&e", "shop.test /a/b\\?c=d&e "},
		{"http://shop.test:PORT/a%2Fb#part", "shop.test /a%2Fb "},
		{"http://Shop.TEST:PORT?q=1", "Shop.TEST /\\?q=1 "},
		{"http://me:secret@shop.test:PORT/", "shop.test / mesecret"},
		{"http://bücher.test:PORT/", "xn--bcher-kva.test / "},
		{"http://shop.test.:PORT/", "shop.test. / "},
	} {
		p := prober(t, "{prober: http, http: {fail_if_body_not_matches_regexp: ['^"+c.want+"$']}}")
		known := map[string]netip.Addr{}
		for _, name := range []string{"shop.test", "Shop.TEST", "xn--bcher-kva.test"} {
			known[name] = netip.MustParseAddr("127.0.0.1")
		}
		p.resolver = answerDNS(t, known, nil)
		if r := p.Run(t.Context(), strings.ReplaceAll(c.target, "PORT", port)); !r.Success {
			t.Errorf("%s: %s, %v", c.target, r.Reason, r.Err)
		}
	}
	for target, want := range map[string]string{"http://xn--a.test\u00ad\u2024": "is no name that can be looked up", "http://a b/": "it is no URL", "HTTP://127.0.0.1/": `scheme is "HTTP"; want http or https`, "tcp://127.0.0.1:80": `scheme is "tcp"`, "http://[::1": "it is no URL"} {
		wantReason(t, ask(t, "{prober: http}", target), Internal, want)
	}
}

func TestHTTP_RedirectsThatLeadNowhereAreOfTheServer(t *testing.T) {
	for location, want := range map[string]string{
		"http:///x":                    "without a host",
		"http://127.0.0.1:99999/":      "to a port that is not from 1 to 65535",
		"http://127.0.0.1:0/":          "to a port that is not from 1 to 65535",
		"ftp://127.0.0.1/":             `scheme "ftp"`,
		"http://topsecret:x@[::1":      "the header Location is no URL",
		"http://\u2024\u00ad.test/":    "redirected to a host that is no name",
		"http://me:topsecret@[::1%zz]": "the header Location is no URL",
	} {
		r := ask(t, "{prober: http}", serve(t, says("HTTP/1.1 302 Found\r\nLocation: "+location+"\r\n\r\n")))
		wantReason(t, r, Protocol, want)
		if strings.Contains(fmt.Sprint(r.Err), "topsecret") {
			t.Errorf("the error shows a secret: %v", r.Err)
		}
	}
	// Without one there is nothing to follow.
	r := ask(t, "{prober: http, http: {valid_status_codes: [301]}}", serve(t, says("HTTP/1.1 301 Moved\r\n\r\n")))
	wantSuccess(t, r)
	wantValue(t, r, "probe_http_redirects", 0)
}

func TestHTTP_OddAnswersAreAnswers(t *testing.T) {
	for text, want := range map[string]float64{"HTTP/1.1 000 Nothing\r\n\r\n": 0, "HTTP/1.1 999 ?\r\n\r\n": 999, "HTTP/1.0 600 \r\n\r\n": 600} {
		r := ask(t, "{prober: http}", serve(t, says(text)))
		wantReason(t, r, Status, "want 2xx")
		wantValue(t, r, "probe_http_status_code", want)
	}
}

func TestHTTP_TakesEveryFormOfLastModified(t *testing.T) {
	for text, want := range map[string]bool{
		"Mon, 02 Jan 2006 15:04:05 GMT": true, "Monday, 02-Jan-06 15:04:05 GMT": true, "Mon Jan  2 15:04:05 2006": true, "yesterday": false, "": false,
	} {
		r := ask(t, "{prober: http}", serve(t, says("HTTP/1.1 200 OK\r\nLast-Modified: "+text+"\r\n\r\n")))
		wantSuccess(t, r)
		if got, there := value(r, "probe_http_last_modified_timestamp_seconds"); there != want || there && got != 1136214245 {
			t.Errorf("%q: got %v (present: %v)", text, got, there)
		}
	}
}

func TestHTTP_MethodAfterEachRedirect(t *testing.T) {
	for code, want := range map[int]string{
		301: "POST text; GET ", 302: "POST text; GET ", 303: "POST text; GET ", 307: "POST text; POST text", 308: "POST text; POST text", 300: "POST text", 304: "POST text",
	} {
		var got []string
		site := web(t, func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			got = append(got, r.Method+" "+string(body))
			if r.URL.Path == "/" {
				w.Header().Set("Location", "/end")
				w.WriteHeader(code)
			}
		})
		file := filepath.Join(t.TempDir(), "body")
		if err := os.WriteFile(file, []byte("text"), 0o600); err != nil {
			t.Fatal(err)
		}
		r := ask(t, fmt.Sprintf("{prober: http, http: {method: POST, body_file: %s, valid_status_codes: [200, 300, 304]}}", file), site)
		wantSuccess(t, r)
		if strings.Join(got, "; ") != want {
			t.Errorf("%d: got %q, want %q", code, got, want)
		}
	}
}

func TestHTTP_CookiesStayWithTheirSite(t *testing.T) {
	var mu sync.Mutex
	var got []string
	handle := func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, r.Host[:strings.Index(r.Host, ":")]+" "+r.Header.Get("Cookie"))
		_, port, _ := net.SplitHostPort(r.Host)
		switch r.URL.Path {
		case "/":
			http.SetCookie(w, &http.Cookie{Name: "shop", Value: "1", Domain: "shop.co.uk"})
			http.SetCookie(w, &http.Cookie{Name: "all", Value: "1", Domain: "co.uk"})
			http.Redirect(w, r, "http://www.shop.co.uk:"+port+"/www", http.StatusFound)
		case "/www":
			http.Redirect(w, r, "http://other.co.uk:"+port+"/other", http.StatusFound)
		}
	}
	site := web(t, handle)
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(site, "http://"))
	p := prober(t, "{prober: http}")
	here := netip.MustParseAddr("127.0.0.1")
	p.resolver = answerDNS(t, map[string]netip.Addr{"shop.co.uk": here, "www.shop.co.uk": here, "other.co.uk": here}, nil)
	wantSuccess(t, p.Run(t.Context(), "http://shop.co.uk:"+port))
	if diff := cmp.Diff([]string{"shop.co.uk ", "www.shop.co.uk shop=1", "other.co.uk "}, got); diff != "" {
		t.Error(diff)
	}
}

func TestReadFile_FilesOfAModuleAreBoundedAndNeverWaitedFor(t *testing.T) {
	dir := t.TempDir()
	pipe, large, empty := filepath.Join(dir, "pipe"), filepath.Join(dir, "large"), filepath.Join(dir, "empty")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, size := range map[string]int64{large: maxFile + 1, empty: 0} {
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(name, size); err != nil {
			t.Fatal(err)
		}
	}
	site := web(t, func(http.ResponseWriter, *http.Request) {})
	for name, want := range map[string]string{pipe: "is no regular file", dir: "is no regular file", large: "is larger than 33554432 bytes"} {
		r := ask(t, "{prober: http, http: {method: POST, body_file: "+name+"}}", site)
		wantReason(t, r, Internal, want)
		if _, ok := value(r, "probe_http_duration_seconds", "connect"); ok {
			t.Errorf("%s: there is no request, and it has phases", name)
		}
		wantValue(t, r, "probe_ip_protocol", 4)
		r = ask(t, "{prober: tcp, tcp: {query_response: [{send_file: "+name+"}]}}", serve(t, silent))
		wantReason(t, r, Internal, "query_response[0]: send_file: "+name+" "+want)
		r = ask(t, "{prober: grpc, grpc: {metadata_files: {token: "+name+"}}}", "127.0.0.1:1")
		wantReason(t, r, Internal, "metadata_files.token: "+name+" "+want)
	}
	wantSuccess(t, ask(t, "{prober: http, http: {method: POST, body_file: "+empty+"}}", site))
}

func TestHTTP_PhaseResolveIsThereWhenSomethingWasResolved(t *testing.T) {
	site := web(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/from" {
			http.Redirect(w, r, "/", http.StatusFound)
		}
	})
	var asked []string
	proxy := relay(t, &asked)
	for _, c := range []struct {
		more, path string
		want       bool
	}{
		{"", "/", true}, {", proxy_url: '" + proxy + "'", "/", false}, {", proxy_url: '" + proxy + "'", "/from", true}, {", proxy_from_environment: true", "/", false},
	} {
		r := ask(t, "{prober: http, http: {skip_resolve_phase_with_proxy: true"+c.more+"}}", site+c.path)
		wantSuccess(t, r)
		if _, got := value(r, "probe_http_duration_seconds", "resolve"); got != c.want {
			t.Errorf("%s%s: phase resolve is there: %v", c.more, c.path, got)
		}
		if _, ok := value(r, "probe_dns_lookup_time_seconds"); ok != (c.more == "") {
			t.Errorf("%s: the target was resolved: %v", c.more, ok)
		}
		wantValue(t, r, "probe_http_status_code", 200)
	}
}

func TestHTTP_MissingFilesOfTLSLeaveNoRequest(t *testing.T) {
	var asked []string
	proxy := relay(t, &asked)
	for _, more := range []string{"", ", proxy_url: '" + proxy + "'"} {
		r := ask(t, "{prober: http, http: {tls_config: {ca_file: /nowhere}"+more+"}}", "https://"+closedPort(t))
		wantReason(t, r, Internal, "/nowhere")
		if _, ok := value(r, "probe_http_duration_seconds", "connect"); ok {
			t.Error("there is no request, and it has phases")
		}
	}
}

func TestHTTP_RefusesAHostnameThatCannotBeSent(t *testing.T) {
	p := prober(t, "{prober: http}")
	for name, fine := range map[string]bool{"shop.test": true, "shop.test:80": true, "[::1]:80": true, "bücher.test": true, "a b": false, "a/b": false, "a\r\nX: y": false, "a\x00": false} {
		if _, err := p.Named(name); (err == nil) != fine {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestHTTP_UserAgentNamesBoth(t *testing.T) {
	if got := userAgent(); !strings.HasPrefix(got, "Probe-Exporter") || !strings.Contains(got, "Blackbox-Exporter") {
		t.Errorf("got %q", got)
	}
}

// notes writes what a probe did, without times and ports.
func notes(r Result) string {
	var b strings.Builder
	for _, n := range r.Notes {
		b.WriteString(n.Text)
		for i := 0; i+1 < len(n.Values); i += 2 {
			fmt.Fprintf(&b, " %v=%v", n.Values[i], n.Values[i+1])
		}
		b.WriteString("\n")
	}
	return b.String()
}

func TestHTTP_NotesTellTheWayAndNoSecret(t *testing.T) {
	s, ca := secureSite(t, true, nil)
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(s.URL, "https://"))
	s.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Date"] = nil
		w.Header().Set("Set-Cookie", "topsecret=topsecret")
		if r.URL.Path == "/login" {
			w.Header().Set("Location", "https://you:topsecret@127.0.0.1:"+port+"/in?token=topsecret&b")
			w.WriteHeader(http.StatusFound)
			return
		}
		w.Header().Set("X-State", "topsecret")
		io.WriteString(w, "down")
	})
	p := prober(t, "{prober: http, http: {basic_auth: {username: me, password: topsecret}, headers: {X-Token: topsecret}, fail_if_body_matches_regexp: [down], tls_config: {ca_file: "+ca+"}}}")
	p.resolver = answerDNS(t, map[string]netip.Addr{"example.com": netip.MustParseAddr("127.0.0.1")}, nil)
	r := p.Explain(t.Context(), "https://me:topsecret@example.com:"+port+"/login?q=topsecret#topsecret")
	got := strings.ReplaceAll(notes(r), port, "PORT")
	var lines []string
	for line := range strings.Lines(got) {
		if before, _, found := strings.Cut(line, " from="); found {
			line = before + " from=...\n"
		}
		if before, _, found := strings.Cut(line, " version=TLS"); found {
			line = before + " ...\n"
		}
		lines = append(lines, line)
	}
	want := `resolved host=example.com address=127.0.0.1
asking method=GET url=https://example.com:PORT/login?q=... host=example.com:PORT
connected address=127.0.0.1:PORT from=...
TLS handshake server_name=example.com ...
answered status=302 version=HTTP/2.0 length=0 headers=Content-Length Location Set-Cookie
redirected url=https://127.0.0.1:PORT/in?token=...&b followed=true
asking method=GET url=https://127.0.0.1:PORT/in?token=...&b host=
resolved another host host=127.0.0.1 address=127.0.0.1
connected address=127.0.0.1:PORT from=...
TLS handshake server_name=127.0.0.1 ...
answered status=200 version=HTTP/2.0 length=4 headers=Content-Length Content-Type Set-Cookie X-State
read the body length=4
not as wanted why=body matches "down"
`
	if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(strings.Join(lines, ""), "\n")); diff != "" {
		t.Error(diff)
	}
	if strings.Contains(got+fmt.Sprint(r.Err), "topsecret") {
		t.Errorf("a secret is shown:\n%s%v", got, r.Err)
	}
	if r := p.Run(t.Context(), "https://example.com:"+port); r.Notes != nil {
		t.Errorf("notes that nobody asked for: %v", r.Notes)
	}
}

func TestShown_HidesWhatMayBeSecret(t *testing.T) {
	for text, want := range map[string]string{
		"http://a/b?c=d&e=&f": "http://a/b?c=...&e=...&f", "http://u:p@a/%2F#x": "http://a/%2F", "http://a?secret": "http://a?...", "http://a": "http://a", "http://a/?x=1?y=2": "http://a/?x=...",
	} {
		u, err := targetURL(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := shown(u); got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}
