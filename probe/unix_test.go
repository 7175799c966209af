package probe

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// socket starts a server at a unix socket that treats every connection by talk.
func socketPath(t testing.TB, talk func(net.Conn)) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	serveOn(t, "unix", path, talk)
	return path
}

func TestUnix_ShowsEverySeriesOfASuccess(t *testing.T) {
	path := socketPath(t, converses("OK redis 7\nnext\n"))
	r := ask(t, "{prober: unix}", path)
	wantSuccess(t, r)
	wantExposition(t, r, `probe_unix_duration_seconds{phase="connect"} S
probe_failed_due_to_regex 0
probe_failed_due_to_bytes 0
`)
	r = ask(t, "{prober: unix, unix: {query_response: [{expect: '^OK (.*)$', labels: [{name: what, value: $1}]}, {expect_bytes: next}]}}", path)
	wantSuccess(t, r)
	wantExposition(t, r, `probe_unix_duration_seconds{phase="connect"} S
probe_unix_duration_seconds{phase="query"} S
probe_failed_due_to_regex 0
probe_failed_due_to_bytes 0
probe_expect_info{what="redis 7"} 1
`)
}

func TestUnix_ShowsTheHandshakeFromTheStartAndLater(t *testing.T) {
	s, ca := secureSite(t, false, func(http.ResponseWriter, *http.Request) {})
	config := &tls.Config{Certificates: s.TLS.Certificates}
	begin := socketPath(t, func(conn net.Conn) {
		secured := tls.Server(conn, config)
		io.WriteString(secured, "250 secret\r\n")
		silent(secured)
	})
	later := socketPath(t, func(conn net.Conn) {
		readLine(conn)
		secured := tls.Server(conn, config)
		io.WriteString(secured, "250 secret\r\n")
		silent(secured)
	})
	const trust = "tls_config: {server_name: example.com, ca_file: "
	for _, c := range []struct{ unix, path string }{
		{"tls: true, query_response: [{expect: secret}], " + trust + ca + "}", begin},
		{"query_response: [{send: go, starttls: true}, {expect: secret}], " + trust + ca + "}", later},
		{"tls: true, query_response: [{expect: secret}], tls_config: {insecure_skip_verify: true}", begin},
	} {
		r := ask(t, "{prober: unix, unix: {"+c.unix+"}}", c.path)
		wantSuccess(t, r)
		wantValue(t, r, "probe_ssl_earliest_cert_expiry", float64(s.Certificate().NotAfter.Unix()))
		wantValue(t, r, "probe_tls_version_info", 1, "TLS 1.3")
		wantValue(t, r, "probe_ssl_last_chain_info", 1, fingerprint(s.Certificate().Raw))
		if _, ok := value(r, "probe_unix_duration_seconds", "tls"); !ok {
			t.Errorf("%s: no phase tls", c.unix)
		}
	}
}

func TestUnix_EveryReasonOfAFailure(t *testing.T) {
	s, ca := secureSite(t, false, func(http.ResponseWriter, *http.Request) {})
	config := &tls.Config{Certificates: s.TLS.Certificates}
	secure := socketPath(t, func(conn net.Conn) { silent(tls.Server(conn, config)) })
	plain := socketPath(t, converses("220 hello\r\n"))
	gone := filepath.Join(t.TempDir(), "gone")
	datagrams := filepath.Join(t.TempDir(), "d")
	conn, err := net.ListenPacket("unixgram", datagrams)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	noSocket := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(noSocket, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	const verified = "tls: true, tls_config: {server_name: example.com"
	for _, c := range []struct {
		unix, path string
		want       Reason
		text       string
		connected  bool
	}{
		{"", gone, Refused, "no such file", false},
		{"", noSocket, Refused, "connection refused", false},
		{"", datagrams, Protocol, "wrong type", false},
		{"", plain + "/below", Internal, "not a directory", false},
		{"", "/" + strings.Repeat("long", 50), Internal, "invalid argument", false},
		{"query_response: [{expect: ^SSH}]", plain, Content, `none of 1 lines matches "^SSH"`, true},
		{"query_response: [{expect_bytes: abc}]", plain, Content, `bytes are "220", want "abc"`, true},
		{verified + "}", socketPath(t, speaks("220 hello\r\n")), TLS, "TLS handshake", false},
		{verified + "}", secure, Certificate, "unknown authority", false},
		{"tls: true, tls_config: {server_name: other.test, ca_file: " + ca + "}", secure, Certificate, "other.test", false},
		{verified + ", ca_file: /nowhere}", secure, Internal, "tls_config: ", false},
		{"query_response: [{starttls: true}], tls_config: {ca_file: /nowhere}", secure, Internal, "query_response[0]: tls_config: ", true},
		{"tls: true, tls_config: {ca_file: " + ca + "}", secure, Internal, "there is no host name to verify", false},
	} {
		r := ask(t, "{prober: unix, unix: {"+c.unix+"}}", c.path)
		wantReason(t, r, c.want, c.text)
		if _, ok := value(r, "probe_failed_due_to_regex"); ok != c.connected {
			t.Errorf("%s: probe_failed_due_to_regex present: %v", c.unix, ok)
		}
	}
}

// Defect 11 of blackbox_exporter: it panics.
func TestUnix_UnreadableFileOfTLSIsAFailedProbe(t *testing.T) {
	path := socketPath(t, silent)
	for _, file := range []string{"ca_file: /nowhere", "ca_file: /", "cert_file: /nowhere, key_file: /nowhere"} {
		r := ask(t, "{prober: unix, unix: {tls: true, tls_config: {insecure_skip_verify: true, "+file+"}}}", path)
		wantReason(t, r, Internal, "tls_config: ")
		if strings.Contains(r.Err.Error(), "panic") {
			t.Errorf("%s: %v", file, r.Err)
		}
	}
}

func TestUnix_ExpiryOfARefusedCertificateIsShown(t *testing.T) {
	s, _ := secureSite(t, false, func(http.ResponseWriter, *http.Request) {})
	config := &tls.Config{Certificates: s.TLS.Certificates}
	path := socketPath(t, func(conn net.Conn) { silent(tls.Server(conn, config)) })
	r := ask(t, "{prober: unix, unix: {tls: true, tls_config: {server_name: example.com}}}", path)
	wantReason(t, r, Certificate, "unknown authority")
	wantValue(t, r, "probe_ssl_earliest_cert_expiry", float64(s.Certificate().NotAfter.Unix()))
}

func TestUnix_EndsAtItsDeadline(t *testing.T) {
	path := socketPath(t, silent)
	for _, text := range []string{"query_response: [{expect: x}]", "query_response: [{expect_bytes: x}]", "tls: true, tls_config: {insecure_skip_verify: true}"} {
		wantReason(t, within(t, 50*time.Millisecond, "{prober: unix, unix: {"+text+"}}", path), Timeout, "")
	}
}

// As in blackbox_exporter.
func TestUnix_OtherHostnameChangesNothing(t *testing.T) {
	p, err := prober(t, "{prober: unix, unix: {tls: true}}").Named("example.com")
	if err != nil {
		t.Fatal(err)
	}
	wantReason(t, p.Run(t.Context(), socketPath(t, silent)), Internal, "there is no host name to verify")
}

func TestUnix_PathThatIsTooLongIsToldBefore(t *testing.T) {
	m := Module{Prober: "unix"}
	if err := m.CheckTarget("/run/shop.sock"); err != nil {
		t.Error(err)
	}
	if err := m.CheckTarget("/" + strings.Repeat("long", 50)); err == nil || !strings.HasPrefix(err.Error(), "target: the path of the socket has 201 bytes; want ") {
		t.Errorf("got %v", err)
	}
}
