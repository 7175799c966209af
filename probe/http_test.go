package probe

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"context"
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

func wantExposition(t *testing.T, r Result, want string) {
	t.Helper()
	if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(exposition(r.Samples), "\n")); diff != "" {
		t.Error(diff)
	}
}

func TestHTTP_ShowsEverySeriesOfASuccess(t *testing.T) {
	site := web(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Last-Modified", "Mon, 02 Jan 2006 15:04:05 GMT")
		io.WriteString(w, "hello")
	})
	r := ask(t, "{prober: http, http: {preferred_ip_protocol: ip4}}", site)
	wantSuccess(t, r)
	if r.Start.IsZero() || r.Duration <= 0 {
		t.Errorf("start %v, duration %v", r.Start, r.Duration)
	}
	wantExposition(t, r, `probe_dns_lookup_time_seconds S
probe_ip_protocol 4
probe_ip_addr_hash 3.668918509e+09
probe_resolved_address_info{address="127.0.0.1"} 1
probe_http_duration_seconds{phase="resolve"} S
probe_http_duration_seconds{phase="connect"} S
probe_http_duration_seconds{phase="tls"} 0
probe_http_duration_seconds{phase="processing"} S
probe_http_duration_seconds{phase="transfer"} S
probe_http_content_length 5
probe_http_uncompressed_body_length 5
probe_http_redirects 0
probe_http_ssl 0
probe_http_status_code 200
probe_http_version 1.1
probe_failed_due_to_regex 0
probe_http_last_modified_timestamp_seconds 1.136214245e+09
`)
}

func TestHTTP_ShowsEverySeriesOfAnEarlyFailure(t *testing.T) {
	r := ask(t, "{prober: http}", closedPort(t))
	wantReason(t, r, Refused, "connection refused")
	wantExposition(t, r, `probe_dns_lookup_time_seconds S
probe_ip_protocol 4
probe_ip_addr_hash 3.668918509e+09
probe_resolved_address_info{address="127.0.0.1"} 1
probe_http_duration_seconds{phase="resolve"} S
probe_http_duration_seconds{phase="connect"} 0
probe_http_duration_seconds{phase="tls"} 0
probe_http_duration_seconds{phase="processing"} 0
probe_http_duration_seconds{phase="transfer"} 0
probe_http_content_length 0
probe_http_uncompressed_body_length 0
probe_http_redirects 0
probe_http_ssl 0
probe_http_status_code 0
probe_http_version 0
probe_failed_due_to_regex 0
`)
	r = ask(t, "{prober: http}", "http://[::1")
	wantReason(t, r, Internal, "it is no URL; want http://host:port/path")
	wantExposition(t, r, `probe_http_content_length 0
probe_http_uncompressed_body_length 0
probe_http_redirects 0
probe_http_ssl 0
probe_http_status_code 0
probe_http_version 0
probe_failed_due_to_regex 0
`)
}

// secureSite is an HTTPS server with the module text that trusts it.
func secureSite(t testing.TB, http2 bool, handle http.HandlerFunc) (*httptest.Server, string) {
	t.Helper()
	s := httptest.NewUnstartedServer(handle)
	s.EnableHTTP2 = http2
	s.Config.ErrorLog = nil
	s.StartTLS()
	t.Cleanup(s.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return s, ca
}

func TestHTTP_ShowsTheHandshakeOverBothVersions(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		s, ca := secureSite(t, http2, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Proto) })
		r := ask(t, "{prober: http, http: {fail_if_not_ssl: true, tls_config: {ca_file: "+ca+"}}}", s.URL)
		wantSuccess(t, r)
		version := map[bool]string{false: "1.1", true: "2"}[http2]
		leaf := s.Certificate()
		wantExposition(t, r, `probe_dns_lookup_time_seconds S
probe_ip_protocol 4
probe_ip_addr_hash 3.668918509e+09
probe_resolved_address_info{address="127.0.0.1"} 1
probe_http_duration_seconds{phase="resolve"} S
probe_http_duration_seconds{phase="connect"} S
probe_http_duration_seconds{phase="tls"} S
probe_http_duration_seconds{phase="processing"} S
probe_http_duration_seconds{phase="transfer"} S
probe_http_content_length 8
probe_http_uncompressed_body_length 8
probe_http_redirects 0
probe_http_ssl 1
probe_http_status_code 200
probe_http_version `+version+`
probe_failed_due_to_regex 0
probe_ssl_earliest_cert_expiry S
probe_ssl_last_chain_expiry_timestamp_seconds S
`+fmt.Sprintf(`probe_ssl_last_chain_info{fingerprint_sha256=%q,subject="O=Acme Co",issuer="O=Acme Co",subjectalternative="example.com,*.example.com",serialnumber="%x"} 1
`, fingerprint(leaf.Raw), leaf.SerialNumber.Bytes())+`probe_tls_version_info{version="TLS 1.3"} 1
probe_tls_cipher_info{cipher="TLS_AES_128_GCM_SHA256"} 1
`)
		wantValue(t, r, "probe_ssl_earliest_cert_expiry", float64(leaf.NotAfter.Unix()))
		wantValue(t, r, "probe_ssl_last_chain_expiry_timestamp_seconds", float64(leaf.NotAfter.Unix()))
	}
}

func TestHTTP_SpeaksOldVersionWhenHTTP2IsOff(t *testing.T) {
	s, ca := secureSite(t, true, func(http.ResponseWriter, *http.Request) {})
	r := ask(t, "{prober: http, http: {enable_http2: false, tls_config: {ca_file: "+ca+"}}}", s.URL)
	wantSuccess(t, r)
	wantValue(t, r, "probe_http_version", 1.1)
	r = ask(t, "{prober: http, http: {valid_http_versions: [HTTP/1.1], tls_config: {ca_file: "+ca+"}}}", s.URL)
	wantReason(t, r, Protocol, "version is HTTP/2.0, want one of HTTP/1.1")
}

func TestAHeaderWithoutEndIsGivenUpOverBothVersions(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		s, ca := secureSite(t, http2, func(w http.ResponseWriter, r *http.Request) {
			size := maxHeader / 20 // net/http takes ten times as much, which a proxy asks for
			if r.URL.Path == "/more" {
				size *= 11
			}
			for i := range 30 {
				w.Header().Set(fmt.Sprint("X-", i), strings.Repeat("x", size))
			}
		})
		r := ask(t, "{prober: http, http: {tls_config: {ca_file: "+ca+"}}}", s.URL)
		wantReason(t, r, Size, "header of the answer is")
		if http2 {
			continue
		}
		var asked []string
		r = ask(t, "{prober: http, http: {tls_config: {ca_file: "+ca+"}, proxy_url: '"+relay(t, &asked)+"'}}", s.URL+"/more")
		wantReason(t, r, Size, "header of the answer is")
	}
}

func TestHTTP_TellsTheExpiryOfACertificateThatItRefuses(t *testing.T) {
	s, ca := secureSite(t, false, func(http.ResponseWriter, *http.Request) {})
	for _, c := range []struct{ module, want string }{
		{"{prober: http}", "certificate signed by unknown authority"},
		{"{prober: http, http: {tls_config: {ca_file: " + ca + ", server_name: other.test}}}", "not other.test"},
		{"{prober: http, http: {headers: {Host: 'other.test:8443'}, tls_config: {ca_file: " + ca + "}}}", "not other.test"},
	} {
		r := ask(t, c.module, s.URL)
		wantReason(t, r, Certificate, c.want)
		wantValue(t, r, "probe_ssl_earliest_cert_expiry", float64(s.Certificate().NotAfter.Unix()))
		wantValue(t, r, "probe_tls_version_info", 1, "TLS 1.3")
		wantValue(t, r, "probe_http_ssl", 0)
		if _, ok := value(r, "probe_ssl_last_chain_expiry_timestamp_seconds"); ok {
			t.Error("there is no verified chain")
		}
	}
	r := ask(t, "{prober: http, http: {tls_config: {insecure_skip_verify: true}}}", s.URL)
	wantSuccess(t, r)
	wantValue(t, r, "probe_ssl_last_chain_expiry_timestamp_seconds", -62135596800)
}

func TestHTTP_NameOfProbeParameterIsHostAndServerName(t *testing.T) {
	s, ca := secureSite(t, false, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Host, " ", r.TLS.ServerName)
	})
	p, err := prober(t, "{prober: http, http: {fail_if_body_not_matches_regexp: ['^www.example.com www.example.com$'], tls_config: {ca_file: "+ca+"}}}").Named("www.example.com")
	if err != nil {
		t.Fatal(err)
	}
	wantSuccess(t, p.Run(t.Context(), s.URL))
}

func TestHTTP_TakesUpAChangedAuthority(t *testing.T) {
	s, ca := secureSite(t, false, func(http.ResponseWriter, *http.Request) {})
	good, err := os.ReadFile(ca)
	if err != nil {
		t.Fatal(err)
	}
	p := prober(t, "{prober: http, http: {tls_config: {ca_file: "+ca+"}}}")
	wantSuccess(t, p.Run(t.Context(), s.URL))
	wantSuccess(t, p.Run(t.Context(), s.URL))
	if err := os.WriteFile(ca, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	wantReason(t, p.Run(t.Context(), s.URL), Internal, "unable to use specified CA cert")
	if err := os.Remove(ca); err != nil {
		t.Fatal(err)
	}
	wantReason(t, p.Run(t.Context(), s.URL), Internal, "no such file")
	if err := os.WriteFile(ca, good, 0o600); err != nil {
		t.Fatal(err)
	}
	wantSuccess(t, p.Run(t.Context(), s.URL))
}

func TestHTTP_EveryReasonOfAFailure(t *testing.T) {
	plain := web(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-State", "degraded")
		code, _ := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/"))
		w.WriteHeader(max(code, 200))
		io.WriteString(w, "not well")
	})
	secure, ca := secureSite(t, false, func(http.ResponseWriter, *http.Request) {})
	header := "HTTP/1.1 200 OK\r\nX: "
	for _, c := range []struct {
		http, target string
		want         Reason
		text         string
	}{
		{"", closedPort(t), Refused, "connection refused"},
		{"", serve(t, reset), Reset, ""},
		{"", serve(t, func(c net.Conn) { readHeader(c) }), Reset, "waiting for the answer: EOF"},
		{"", serve(t, says("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")), Reset, "reading the body: unexpected EOF"},
		{"", serve(t, says("HTTP/1.1 200 OK\r\n")), Reset, "reading the answer: unexpected EOF"},
		{"", "https://" + serve(t, hello("220 smtp\r\n")), TLS, "first record does not look like a TLS handshake"},
		{"", "https://" + serve(t, hello("")), TLS, "TLS handshake: EOF"},
		{"", serve(t, says("HTTP/1.1 302 Found\r\nLocation: ftp://127.0.0.1/\r\n\r\n")), Protocol, `scheme "ftp"`},
		{"", serve(t, says("HTTP/1.1 302 Found\r\nLocation: ://\r\n\r\n")), Protocol, "status is 302, and the header Location is no URL"},
		{"", strings.Replace(plain, "http:", "https:", 1), TLS, "first record does not look like a TLS handshake"},
		{"", serve(t, says("SSH-2.0-OpenSSH\r\n\r\n")), Protocol, "malformed HTTP"},
		{"", serve(t, says("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")), Protocol, "invalid byte in chunk length"},
		{"", serve(t, says(strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", 99))), Protocol, "more than 8 interim answers"},
		{"valid_http_versions: [HTTP/2.0]", plain, Protocol, "version is HTTP/1.1, want one of HTTP/2.0"},
		{"", plain + "/503", Status, "status is 503, want 2xx"},
		{"valid_status_codes: [200, 204]", plain + "/201", Status, "status is 201, want one of [200 204]"},
		{"fail_if_body_matches_regexp: [well]", plain, Content, `body matches "well"`},
		{"fail_if_body_not_matches_regexp: [^well]", plain, Content, `body does not match "^well"`},
		{"fail_if_header_matches: [{header: x-state, regexp: degr}]", plain, Content, `header x-state matches "degr"`},
		{"fail_if_header_not_matches: [{header: X-State, regexp: ok}]", plain, Content, `header X-State does not match "ok"`},
		{"fail_if_header_matches: [{header: X-None, regexp: a}]", plain, Content, "header X-None is missing"},
		{"compression: gzip", plain, Content, "decompressing the body as gzip"},
		{"compression: deflate", plain, Content, "flate: corrupt input"},
		{"body_size_limit: 3B", plain, Size, "body is larger than 3 bytes"},
		{"body_size_limit: 3B, fail_if_body_not_matches_regexp: [not]", plain, Size, "body is larger than 3 bytes"},
		{"", serve(t, says(header+strings.Repeat("a", maxHeader)+"\r\n\r\n")), Size, "header of the answer is larger than 1048576 bytes"},
		{"fail_if_not_ssl: true", plain, TLS, "did not go over TLS"},
		{"fail_if_ssl: true, tls_config: {ca_file: " + ca + "}", secure.URL, TLS, "went over TLS (fail_if_ssl)"},
		{"tls_config: {ca_file: /nowhere}", secure.URL, Internal, "tls_config: stat /nowhere: no such file"},
		{"body_file: /nowhere", plain, Internal, "body_file: open /nowhere: no such file"},
		{"", "http://", Internal, "the URL has no host"},
		{"", "http://me:topsecret@/", Internal, "target: the URL has no host"},
		{"", "http://me:topsecret@127.0.0.1:x/", Internal, `target: it is no URL; want http://host:port/path`},
		{"", "http://127.0.0.1:99999", Internal, `target: port is "99999"; want a number from 1 to 65535`},
		{"preferred_ip_protocol: ip6, ip_protocol_fallback: false", plain, Unresolved, "no address of family ip6"},
		{"basic_auth: {username: u, password_file: /nowhere}", plain, Internal, "unable to read basic auth password"},
	} {
		wantReason(t, ask(t, "{prober: http, http: {"+c.http+"}}", c.target), c.want, c.text)
	}
}

func TestHTTP_MatchersThatHold(t *testing.T) {
	site := web(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["X-State"] = []string{"warm", "ok"}
		w.WriteHeader(204)
	})
	for _, http := range []string{
		"valid_status_codes: [204]", "fail_if_body_not_matches_regexp: ['^$']", "fail_if_body_matches_regexp: [x]",
		"fail_if_header_matches: [{header: X-None, regexp: a, allow_missing: true}]", "fail_if_header_not_matches: [{header: x-state, regexp: ok}]",
		"fail_if_header_matches: [{header: X-State, regexp: cold}]", "valid_http_versions: [HTTP/1.0, HTTP/1.1]", "method: HEAD", "compression: identity",
	} {
		r := ask(t, "{prober: http, http: {"+http+"}}", site)
		wantSuccess(t, r)
		wantValue(t, r, "probe_failed_due_to_regex", 0)
	}
	r := ask(t, "{prober: http, http: {fail_if_body_matches_regexp: ['^$']}}", site)
	wantValue(t, r, "probe_failed_due_to_regex", 1)
}

func TestHTTP_DecompressesAndCountsWhatIsInside(t *testing.T) {
	text := strings.Repeat("well ", 1000)
	site := web(t, func(w http.ResponseWriter, r *http.Request) {
		var b bytes.Buffer
		var c io.WriteCloser = gzip.NewWriter(&b)
		if r.Header.Get("Accept-Encoding") == "deflate" {
			c, _ = flate.NewWriter(&b, 9)
		}
		io.WriteString(c, text)
		c.Close()
		w.Write(b.Bytes())
	})
	for _, http := range []string{"compression: gzip", "compression: deflate", "compression: gzip, headers: {accept-encoding: 'br, gzip'}"} {
		r := ask(t, "{prober: http, http: {"+http+", fail_if_body_not_matches_regexp: [^well]}}", site)
		wantSuccess(t, r)
		wantValue(t, r, "probe_http_uncompressed_body_length", float64(len(text)))
	}
	wantReason(t, ask(t, "{prober: http, http: {compression: gzip, body_size_limit: 1KB}}", site), Size, "larger than 1024 bytes")
}

func TestHTTP_SendsWhatTheModuleSays(t *testing.T) {
	file := filepath.Join(t.TempDir(), "body")
	if err := os.WriteFile(file, []byte("from a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	var got string
	site := web(t, func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = fmt.Sprintf("%s %s %s host=%s agent=%s auth=%s x=%s close=%v accept=%s", r.Method, r.URL, body, r.Host,
			r.UserAgent(), r.Header.Get("Authorization"), r.Header["X-A"], r.Close, r.Header.Get("Accept-Encoding"))
	})
	host := strings.TrimPrefix(site, "http://")
	for _, c := range []struct{ http, path, want string }{
		{"", "/a?b=c", "GET /a?b=c  host=HOST agent=Probe-Exporter (like Blackbox-Exporter) auth= x=[] close=true accept="},
		{"method: POST, body: text", "", "POST / text host=HOST agent=Probe-Exporter (like Blackbox-Exporter) auth= x=[] close=true accept="},
		{"method: PUT, body_file: " + file, "", "PUT / from a file host=HOST agent=Probe-Exporter (like Blackbox-Exporter) auth= x=[] close=true accept="},
		{"headers: {host: shop.test, user-agent: me, x-a: '1'}", "", "GET /  host=shop.test agent=me auth= x=[1] close=true accept="},
		{"basic_auth: {username: u, password: p}", "", "GET /  host=HOST agent=Probe-Exporter (like Blackbox-Exporter) auth=Basic dTpw x=[] close=true accept="},
		{"bearer_token: abc", "", "GET /  host=HOST agent=Probe-Exporter (like Blackbox-Exporter) auth=Bearer abc x=[] close=true accept="},
		{"authorization: {type: Key, credentials_file: " + file + "}", "", "GET /  host=HOST agent=Probe-Exporter (like Blackbox-Exporter) auth=Key from a file x=[] close=true accept="},
		{"http_headers: {X-A: {values: [a, b]}}", "", "GET /  host=HOST agent=Probe-Exporter (like Blackbox-Exporter) auth= x=[a b] close=true accept="},
		{"compression: identity", "", "GET /  host=HOST agent=Probe-Exporter (like Blackbox-Exporter) auth= x=[] close=true accept=identity"},
	} {
		wantSuccess(t, ask(t, "{prober: http, http: {"+c.http+"}}", site+c.path))
		if want := strings.ReplaceAll(c.want, "HOST", host); got != want {
			t.Errorf("%s:\n got %s\nwant %s", c.http, got, want)
		}
	}
}

func TestHTTP_FollowsTenRedirectsAndSumsTheirPhases(t *testing.T) {
	var cookies []string
	hop := func(w http.ResponseWriter, r *http.Request) {
		left, _ := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/"))
		if c, err := r.Cookie("seen"); err == nil {
			cookies = append(cookies, c.Value)
		}
		if left > 0 {
			http.SetCookie(w, &http.Cookie{Name: "seen", Value: strconv.Itoa(left)})
			http.Redirect(w, r, fmt.Sprintf("/%d", left-1), http.StatusFound)
		}
	}
	site := web(t, hop)
	r := ask(t, "{prober: http}", site+"/10")
	wantSuccess(t, r)
	wantValue(t, r, "probe_http_redirects", 10)
	if want := "10 9 8 7 6 5 4 3 2 1"; strings.Join(cookies, " ") != want {
		t.Errorf("cookies %v, want %s", cookies, want)
	}
	r = ask(t, "{prober: http}", site+"/11")
	wantReason(t, r, Status, "status is 302")
	wantValue(t, r, "probe_http_redirects", 11)
	for _, http := range []string{"follow_redirects: false", "no_follow_redirects: true"} {
		r = ask(t, "{prober: http, http: {valid_status_codes: [302], "+http+"}}", site+"/1")
		wantSuccess(t, r)
		wantValue(t, r, "probe_http_redirects", 1)
		wantValue(t, r, "probe_http_status_code", 302)
	}
}

func TestHTTP_SumsProcessingOverRedirects(t *testing.T) {
	const pause = 30 * time.Millisecond
	site := web(t, func(w http.ResponseWriter, r *http.Request) {
		<-time.After(pause)
		if r.URL.Path == "/" {
			http.Redirect(w, r, "/end", http.StatusFound)
		}
	})
	r := ask(t, "{prober: http}", site)
	wantSuccess(t, r)
	if got, _ := value(r, "probe_http_duration_seconds", "processing"); got < 2*pause.Seconds() {
		t.Errorf("processing %v s, want both requests", got)
	}
}

func TestHTTP_RedirectToAnotherHostLeavesNamesAndSecretsBehind(t *testing.T) {
	var auth, host string
	end, ca := secureSite(t, false, func(_ http.ResponseWriter, r *http.Request) { auth, host = r.Header.Get("Authorization"), r.Host })
	begin := web(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, end.URL, http.StatusFound) })
	// To the target the name is localhost, then it is 127.0.0.1: another host.
	target := strings.Replace(begin, "127.0.0.1", "localhost", 1)
	r := ask(t, "{prober: http, http: {preferred_ip_protocol: ip4, basic_auth: {username: u, password: p}, tls_config: {ca_file: "+ca+", server_name: wrong.test}}}", target)
	wantSuccess(t, r)
	wantValue(t, r, "probe_http_ssl", 1)
	if auth != "" || "https://"+host != end.URL {
		t.Errorf("the other host was sent %q as %q", auth, host)
	}
	// The other way the last request is in clear, so there is no certificate.
	clear := web(t, func(http.ResponseWriter, *http.Request) {})
	first, ca := secureSite(t, false, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, clear, http.StatusFound) })
	r = ask(t, "{prober: http, http: {tls_config: {ca_file: "+ca+"}}}", first.URL)
	wantSuccess(t, r)
	wantValue(t, r, "probe_http_ssl", 0)
	if _, ok := value(r, "probe_tls_version_info"); ok {
		t.Error("want no series of TLS")
	}
	wantReason(t, ask(t, "{prober: http}", web(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://"+closedPort(t), http.StatusFound)
	})), Refused, "refused")
}

func TestSecretsInHeadersStayWithTheTarget(t *testing.T) {
	var token, name []string
	see := func(r *http.Request) {
		token, name = append(token, r.Header.Get("X-Token")), append(name, r.Header.Get("X-Name"))
	}
	end := web(t, func(_ http.ResponseWriter, r *http.Request) { see(r) })
	begin := web(t, func(w http.ResponseWriter, r *http.Request) {
		see(r)
		to := map[string]string{"/": "/next", "/next": end}[r.URL.Path]
		http.Redirect(w, r, to, http.StatusFound)
	})
	var asked []string
	proxy := relay(t, &asked)
	// To the target the name is localhost, then it is 127.0.0.1: another host.
	target := strings.Replace(begin, "127.0.0.1", "localhost", 1)
	const headers = "preferred_ip_protocol: ip4, http_headers: {X-Token: {secrets: [topsecret]}, X-Name: {values: [probe]}}"
	for _, more := range []string{"", ", proxy_url: '" + proxy + "'"} {
		token, name = nil, nil
		wantSuccess(t, ask(t, "{prober: http, http: {"+headers+more+"}}", target))
		if want := []string{"topsecret", "topsecret", ""}; !slices.Equal(token, want) {
			t.Errorf("%s: tokens %q, want %q", more, token, want)
		}
		if want := []string{"probe", "probe", "probe"}; !slices.Equal(name, want) {
			t.Errorf("%s: names %q, want %q", more, name, want)
		}
	}
}

func TestHTTP_OpensANewConnectionEachTime(t *testing.T) {
	var mu sync.Mutex
	from := map[string]bool{}
	handle := func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		from[r.RemoteAddr] = true
	}
	s, ca := secureSite(t, true, handle)
	for module, target := range map[string]string{
		"{prober: http}": web(t, handle), "{prober: http, http: {tls_config: {ca_file: " + ca + "}}}": s.URL,
		"{prober: http, http: {basic_auth: {username: u}}}": web(t, handle),
	} {
		clear(from)
		p := prober(t, module)
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				if r := p.Run(t.Context(), target); !r.Success {
					t.Error(r.Err)
				}
			})
		}
		all.Wait()
		if len(from) != 8 {
			t.Errorf("%s: %d connections for 8 probes", module, len(from))
		}
	}
}

func TestHTTP_TakesInterimAndEarlyAnswers(t *testing.T) {
	wantSuccess(t, ask(t, "{prober: http}", serve(t, says("HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\n\r\nok"))))
	// The server refuses a large body before it has read it.
	early := serve(t, func(conn net.Conn) {
		readHeader(conn)
		io.WriteString(conn, "HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
		conn.(*net.TCPConn).CloseWrite()
		io.Copy(io.Discard, conn)
	})
	wantReason(t, ask(t, "{prober: http, http: {method: POST, body: "+strings.Repeat("x", 1<<20)+"}}", early), Status, "status is 413")
}

func TestHTTP_LeavesARedirectWithoutReadingItsEndlessBody(t *testing.T) {
	end := web(t, func(http.ResponseWriter, *http.Request) {})
	endless := serve(t, func(conn net.Conn) {
		readHeader(conn)
		io.WriteString(conn, "HTTP/1.1 302 Found\r\nLocation: "+end+"\r\nTransfer-Encoding: chunked\r\n\r\n")
		for {
			if _, err := io.WriteString(conn, "400\r\n"+strings.Repeat("x", 1024)+"\r\n"); err != nil {
				return
			}
		}
	})
	wantSuccess(t, ask(t, "{prober: http}", endless))
}

// relay is a proxy for both plain requests and CONNECT. It notes what it was
// asked for.
func relay(t *testing.T, asked *[]string) string {
	t.Helper()
	return web(t, func(w http.ResponseWriter, r *http.Request) {
		*asked = append(*asked, r.Method+" "+r.URL.Host)
		if r.Method != http.MethodConnect {
			r.RequestURI = ""
			answer, err := http.DefaultTransport.RoundTrip(r)
			if err != nil {
				w.WriteHeader(http.StatusBadGateway)
				return
			}
			defer answer.Body.Close()
			maps.Copy(w.Header(), answer.Header)
			w.WriteHeader(answer.StatusCode)
			io.Copy(w, answer.Body)
			return
		}
		there, err := net.Dial("tcp", r.URL.Host)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		here, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer here.Close()
		defer there.Close()
		io.WriteString(here, "HTTP/1.1 200 OK\r\n\r\n")
		go io.Copy(there, here)
		io.Copy(here, there)
	})
}

func TestHTTP_GoesThroughAProxy(t *testing.T) {
	var asked []string
	proxy := relay(t, &asked)
	site := web(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Host, r.Header.Get("Authorization")) })
	host := strings.TrimPrefix(site, "http://")
	r := ask(t, "{prober: http, http: {proxy_url: '"+proxy+"', basic_auth: {username: u, password: p}, fail_if_body_not_matches_regexp: ['^127.*Basic dTpw$']}}", site)
	wantSuccess(t, r)
	for _, phase := range []string{"resolve", "connect", "processing", "transfer"} {
		if got, _ := value(r, "probe_http_duration_seconds", phase); got <= 0 {
			t.Errorf("phase %s: %v", phase, got)
		}
	}
	s, ca := secureSite(t, false, func(http.ResponseWriter, *http.Request) {})
	// The certificate is for example.com, so this also shows the server name.
	p, err := prober(t, "{prober: http, http: {proxy_url: '"+proxy+"', tls_config: {ca_file: "+ca+"}}}").Named("example.com")
	if err != nil {
		t.Fatal(err)
	}
	r = p.Run(t.Context(), s.URL)
	wantSuccess(t, r)
	wantValue(t, r, "probe_http_ssl", 1)
	r = ask(t, "{prober: http, http: {proxy_url: '"+proxy+"'}}", s.URL)
	wantReason(t, r, Certificate, "unknown authority")
	wantValue(t, r, "probe_ssl_earliest_cert_expiry", float64(s.Certificate().NotAfter.Unix()))
	secure := strings.TrimPrefix(s.URL, "https://")
	if diff := cmp.Diff([]string{"GET " + host, "CONNECT " + secure, "CONNECT " + secure}, asked); diff != "" {
		t.Error(diff)
	}
}

func TestHTTP_LeavesResolvingToTheProxy(t *testing.T) {
	var asked []string
	proxy := relay(t, &asked)
	p := prober(t, "{prober: http, http: {proxy_url: '"+proxy+"', skip_resolve_phase_with_proxy: true, valid_status_codes: [502]}}")
	p.resolver = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		t.Error("the name was looked up")
		return nil, io.EOF
	}}
	// The proxy is told the name; it finds nobody behind the closed port.
	_, port, _ := net.SplitHostPort(closedPort(t))
	r := p.Run(t.Context(), "http://localhost:"+port)
	wantSuccess(t, r)
	if _, ok := value(r, "probe_ip_protocol"); ok || asked[0] != "GET localhost:"+port {
		t.Errorf("asked %v, protocol known: %v", asked, ok)
	}
}

func TestHTTP_GetsItsTokenByOAuth(t *testing.T) {
	token := web(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"access_token":"abc","token_type":"Bearer"}`)
	})
	site := web(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			http.Redirect(w, r, "/end", http.StatusFound)
			return
		}
		io.WriteString(w, r.Header.Get("Authorization"))
	})
	r := ask(t, "{prober: http, http: {oauth2: {client_id: me, client_secret: s, token_url: '"+token+"'}, fail_if_body_not_matches_regexp: ['^Bearer abc$']}}", site)
	wantSuccess(t, r)
	wantValue(t, r, "probe_http_redirects", 1)
}

func TestHTTP_ProxyThatIsGoneIsRefused(t *testing.T) {
	r := ask(t, "{prober: http, http: {proxy_url: 'http://"+closedPort(t)+"'}}", "http://127.0.0.1:80")
	wantReason(t, r, Refused, "connection refused")
	wantReason(t, ask(t, "{prober: http, http: {proxy_url: 'http://x', tls_config: {ca_file: /nowhere}}}", "http://127.0.0.1"), Internal, "/nowhere")
}

func TestAccepts_ReadsWeightsOfCodings(t *testing.T) {
	for _, c := range []struct {
		header, coding string
		want           bool
	}{
		{"", "gzip", true}, {"gzip", "", true}, {"gzip", "gzip", true}, {"br, GZIP;q=0.1", "gzip", true}, {"gzip;q=0", "gzip", false},
		{"br", "gzip", false}, {"*", "gzip", true}, {"*;q=0", "gzip", false}, {"*;q=0, gzip", "gzip", true}, {"gzip;q=x", "gzip", false},
		{"br", "identity", true}, {"*;q=0", "identity", false}, {"identity;q=0", "identity", false},
	} {
		if got := accepts(c.header, c.coding); got != c.want {
			t.Errorf("%q of %q: got %v", c.coding, c.header, got)
		}
	}
}

func TestAmount_CountsIn1024(t *testing.T) {
	for text, want := range map[string]amount{"0": 0, "512": 512, "512B": 512, "64KB": 64 << 10, "1.5MiB": 3 << 19, "2GB": 2 << 30, "1TiB": 1 << 40} {
		var got amount
		if err := yaml.Unmarshal([]byte(text), &got); err != nil || got != want {
			t.Errorf("%s: got %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"-1", "1.5", "1XB", "KB", "1 KB", "999999999999999TB", "[]"} {
		if err := yaml.Unmarshal([]byte(text), new(amount)); err == nil {
			t.Errorf("%s is accepted", text)
		}
	}
}

// FuzzHTTP: whatever a server answers, there is a result with a reason of the
// closed set and the series that are always there.
func FuzzHTTP(f *testing.F) {
	for _, seed := range []string{
		"", "HTTP/1.1 200 OK\r\n\r\nok", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 404 No\r\n\r\n", "HTTP/1.1 302 Found\r\nLocation: /a\r\n\r\n",
		"HTTP/1.1 302 Found\r\nLocation: ://\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "HTTP/1.1 200 OK\r\nSet-Cookie: a=b; Domain=..\r\nLast-Modified: x\r\n\r\n", "\x16\x03\x01",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		// A redirect to elsewhere would leave this machine.
		if l := bytes.ToLower(text); bytes.Contains(l, []byte("location")) && bytes.Contains(l, []byte("//")) {
			return
		}
		here, there := net.Pipe()
		go func() {
			defer there.Close()
			readHeader(there)
			there.Write(text)
		}()
		p := prober(t, "{prober: http, http: {fail_if_body_matches_regexp: [x], no_follow_redirects: true}}")
		var h httpProber
		p.probe = func(r *run) error {
			u, _ := url.Parse("http://127.0.0.1/")
			h = httpProber{HTTP: p.module.HTTP, wires: newWires(), judges: newJudges()}
			x := &exchange{run: r, httpProber: &h, first: u.Host, built: true}
			defer x.report()
			req, err := http.NewRequest("GET", u.String(), nil)
			if err != nil {
				return err
			}
			x.answer, err = x.http1(req, here, func() { here.Close() })
			if err != nil {
				return err
			}
			defer x.answer.Body.Close()
			return x.judge()
		}
		r := p.Run(t.Context(), "fuzz")
		if _, ok := value(r, "probe_http_status_code"); !ok || r.Success != (r.Reason == "") || r.Reason == Internal {
			t.Fatalf("success %v, reason %q, %v", r.Success, r.Reason, r.Err)
		}
	})
}

func BenchmarkHTTP(b *testing.B) {
	p := prober(b, "{prober: http}")
	target := web(b, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") })
	b.ReportAllocs()
	for b.Loop() {
		if r := p.Run(context.Background(), target); !r.Success {
			b.Fatal(r.Err)
		}
	}
}

func BenchmarkHTTPS(b *testing.B) {
	s, ca := secureSite(b, false, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") })
	s.TLS.MinVersion = tls.VersionTLS13
	p := prober(b, "{prober: http, http: {tls_config: {ca_file: "+ca+"}}}")
	b.ReportAllocs()
	for b.Loop() {
		if r := p.Run(context.Background(), s.URL); !r.Success {
			b.Fatal(r.Err)
		}
	}
}

func TestHTTP_RedirectLoopEnds(t *testing.T) {
	var count int
	site := web(t, func(w http.ResponseWriter, r *http.Request) {
		count++
		http.Redirect(w, r, r.URL.Path, http.StatusTemporaryRedirect)
	})
	wantReason(t, ask(t, "{prober: http, http: {method: POST, body: again}}", site), Status, "status is 307")
	if count != maxRedirects+1 {
		t.Errorf("%d requests", count)
	}
}

func TestHTTP_SendsTheBodyAgainAfterARedirect(t *testing.T) {
	var bodies []string
	site := web(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		bodies = append(bodies, r.Method+" "+string(body))
		switch r.URL.Path {
		case "/":
			http.Redirect(w, r, "/kept", http.StatusPermanentRedirect)
		case "/kept":
			http.Redirect(w, r, "/changed", http.StatusSeeOther)
		}
	})
	wantSuccess(t, ask(t, "{prober: http, http: {method: POST, body: text}}", site))
	if diff := cmp.Diff([]string{"POST text", "POST text", "GET "}, bodies); diff != "" {
		t.Error(diff)
	}
}

func TestHTTP_RedirectToAnotherNameIsResolvedAnew(t *testing.T) {
	end := web(t, func(http.ResponseWriter, *http.Request) {})
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(end, "http://"))
	begin := web(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://"+r.URL.Query().Get("to")+":"+port+"/", http.StatusFound)
	})
	p := prober(t, "{prober: http}")
	p.resolver = answerDNS(t, map[string]netip.Addr{"end.test": netip.MustParseAddr("127.0.0.1")}, nil)
	r := p.Run(t.Context(), begin+"?to=end.test.")
	wantSuccess(t, r)
	if took, _ := value(r, "probe_http_duration_seconds", "resolve"); took <= 0 {
		t.Error("the second name took no time")
	}
	wantReason(t, p.Run(t.Context(), begin+"?to=gone.test."), Unresolved, `resolving "gone.test."`)
}

func TestHTTP_RedirectBehindAProxyLeavesSecretsBehind(t *testing.T) {
	var sent []string
	// A proxy that answers by itself.
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent = append(sent, r.Header.Get("Authorization"))
		switch {
		case strings.HasPrefix(r.URL.Host, "localhost"):
		case r.URL.Path == "/":
			http.Redirect(w, r, "/again", http.StatusFound)
		default:
			http.Redirect(w, r, "http://localhost:1/", http.StatusFound)
		}
	}))
	t.Cleanup(plain.Close)
	r := ask(t, "{prober: http, http: {proxy_url: '"+plain.URL+"', basic_auth: {username: u, password: p}}}", "http://127.0.0.1:9")
	wantSuccess(t, r)
	wantValue(t, r, "probe_http_redirects", 2)
	if diff := cmp.Diff([]string{"Basic dTpw", "Basic dTpw", ""}, sent); diff != "" {
		t.Error(diff)
	}
}

func TestHTTP_ReadsOldVersionsWithoutLength(t *testing.T) {
	r := ask(t, "{prober: http}", serve(t, says("HTTP/1.0 200 OK\r\n\r\nuntil the end")))
	wantSuccess(t, r)
	wantValue(t, r, "probe_http_version", 1)
	wantValue(t, r, "probe_http_content_length", -1)
	wantValue(t, r, "probe_http_uncompressed_body_length", 13)
}

func TestHTTP_TakesUpgradeAsAnAnswer(t *testing.T) {
	r := ask(t, "{prober: http, http: {valid_status_codes: [101]}}", serve(t, says("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")))
	wantSuccess(t, r)
	wantValue(t, r, "probe_http_status_code", 101)
}

func TestHTTP_BodyWithinTheLimitIsFine(t *testing.T) {
	site := web(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "12345") })
	for limit, want := range map[string]Reason{"4B": Size, "5B": "", "6B": ""} {
		for _, match := range []string{"", ", fail_if_body_matches_regexp: [x]"} {
			if r := ask(t, "{prober: http, http: {body_size_limit: "+limit+match+"}}", site); r.Reason != want {
				t.Errorf("limit %s%s: %q, %v", limit, match, r.Reason, r.Err)
			}
		}
	}
}

func TestHTTP_FirstFaultIsTheReason(t *testing.T) {
	site := web(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
		io.WriteString(w, "down")
	})
	r := ask(t, "{prober: http, http: {fail_if_not_ssl: true, valid_http_versions: [HTTP/2.0], body_size_limit: 1B, fail_if_body_matches_regexp: [down]}}", site)
	wantReason(t, r, Status, "status is 503")
	// Regular expressions are tried on answers that are valid so far.
	wantValue(t, r, "probe_failed_due_to_regex", 0)
}

func TestHTTP_ProbesOverIPv6(t *testing.T) {
	l, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Fatalf("this machine has no IPv6 on loopback: %v", err)
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Host) }))
	s.Listener.Close()
	s.Listener = l
	s.Start()
	t.Cleanup(s.Close)
	r := ask(t, "{prober: http, http: {fail_if_body_not_matches_regexp: ['^\\[::1\\]:']}}", s.URL)
	wantSuccess(t, r)
	wantValue(t, r, "probe_ip_protocol", 6)
	wantSuccess(t, ask(t, "{prober: tcp}", l.Addr().String()))
}
