package probe

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// services is a gRPC server with a health service, which knows "shop" as
// serving and "closed" as not serving.
func services(t testing.TB, address string, options ...grpc.ServerOption) string {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	known := health.NewServer()
	known.SetServingStatus("shop", grpc_health_v1.HealthCheckResponse_SERVING)
	known.SetServingStatus("closed", grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	known.SetServingStatus("odd", grpc_health_v1.HealthCheckResponse_UNKNOWN)
	known.SetServingStatus("future", 7)
	s := grpc.NewServer(options...)
	grpc_health_v1.RegisterHealthServer(s, known)
	done := make(chan struct{})
	go func() { defer close(done); s.Serve(l) }()
	t.Cleanup(func() { s.Stop(); <-done })
	return l.Addr().String()
}

// secureServices is services over TLS, and the file of its authority.
func secureServices(t testing.TB) (*httptest.Server, string, string) {
	t.Helper()
	site, ca := secureSite(t, false, func(http.ResponseWriter, *http.Request) {})
	config := &tls.Config{Certificates: site.TLS.Certificates}
	return site, services(t, "127.0.0.1:0", grpc.Creds(credentials.NewTLS(config))), ca
}

func TestGRPC_ShowsEverySeriesOfASuccess(t *testing.T) {
	r := ask(t, "{prober: grpc, grpc: {service: shop}}", services(t, "127.0.0.1:0"))
	wantSuccess(t, r)
	wantExposition(t, r, `probe_dns_lookup_time_seconds S
probe_ip_protocol 4
probe_ip_addr_hash 3.668918509e+09
probe_resolved_address_info{address="127.0.0.1"} 1
probe_grpc_duration_seconds{phase="resolve"} S
probe_grpc_duration_seconds{phase="check"} S
probe_grpc_ssl 0
probe_grpc_status_code 0
probe_grpc_healthcheck_response{serving_status="UNKNOWN"} 0
probe_grpc_healthcheck_response{serving_status="SERVING"} 1
probe_grpc_healthcheck_response{serving_status="NOT_SERVING"} 0
probe_grpc_healthcheck_response{serving_status="SERVICE_UNKNOWN"} 0
`)
}

func TestGRPC_ShowsTheHandshake(t *testing.T) {
	site, address, ca := secureServices(t)
	leaf := site.Certificate()
	r := ask(t, "{prober: grpc, grpc: {tls: true, tls_config: {server_name: example.com, ca_file: "+ca+"}}}", "https://"+address+"/ignored")
	wantSuccess(t, r)
	wantExposition(t, r, fmt.Sprintf(`probe_dns_lookup_time_seconds S
probe_ip_protocol 4
probe_ip_addr_hash 3.668918509e+09
probe_resolved_address_info{address="127.0.0.1"} 1
probe_grpc_duration_seconds{phase="resolve"} S
probe_grpc_duration_seconds{phase="check"} S
probe_grpc_ssl 1
probe_grpc_status_code 0
probe_grpc_healthcheck_response{serving_status="UNKNOWN"} 0
probe_grpc_healthcheck_response{serving_status="SERVING"} 1
probe_grpc_healthcheck_response{serving_status="NOT_SERVING"} 0
probe_grpc_healthcheck_response{serving_status="SERVICE_UNKNOWN"} 0
probe_ssl_earliest_cert_expiry S
probe_ssl_last_chain_expiry_timestamp_seconds S
probe_ssl_last_chain_info{fingerprint_sha256=%q,subject="O=Acme Co",issuer="O=Acme Co",subjectalternative="example.com,*.example.com",serialnumber="%x"} 1
probe_tls_version_info{version="TLS 1.3"} 1
probe_tls_cipher_info{cipher="TLS_AES_128_GCM_SHA256"} 1
`, fingerprint(leaf.Raw), leaf.SerialNumber.Bytes()))
}

func TestGRPC_ShowsEverySeriesOfAFailure(t *testing.T) {
	const unresolved = `probe_dns_lookup_time_seconds S
probe_ip_protocol 0
probe_ip_addr_hash 0
probe_grpc_duration_seconds{phase="resolve"} 0
probe_grpc_ssl 0
probe_grpc_status_code 0
`
	wantExposition(t, ask(t, "{prober: grpc, grpc: {preferred_ip_protocol: ip6, ip_protocol_fallback: false}}", "127.0.0.1:1"), unresolved)
	_, rest, _ := strings.Cut(unresolved, "hash 0\n")
	wantExposition(t, ask(t, "{prober: grpc, grpc: {tls: true, tls_config: {ca_file: /nowhere}}}", "127.0.0.1:1"), rest)
	wantExposition(t, ask(t, "{prober: grpc}", closedPort(t)), `probe_dns_lookup_time_seconds S
probe_ip_protocol 4
probe_ip_addr_hash 3.668918509e+09
probe_resolved_address_info{address="127.0.0.1"} 1
probe_grpc_duration_seconds{phase="resolve"} S
probe_grpc_duration_seconds{phase="check"} S
probe_grpc_ssl 0
probe_grpc_status_code 14
probe_grpc_healthcheck_response{serving_status="UNKNOWN"} 0
probe_grpc_healthcheck_response{serving_status="SERVING"} 0
probe_grpc_healthcheck_response{serving_status="NOT_SERVING"} 0
probe_grpc_healthcheck_response{serving_status="SERVICE_UNKNOWN"} 0
`)
}

func TestGRPC_EveryReasonOfAFailure(t *testing.T) {
	plain := services(t, "127.0.0.1:0")
	_, secure, ca := secureServices(t)
	site, _ := secureSite(t, false, func(http.ResponseWriter, *http.Request) {})
	site.Config.ErrorLog = log.New(io.Discard, "", 0) // it is asked for what it does not speak
	other := serve(t, func(c net.Conn) { silent(tls.Server(c, &tls.Config{Certificates: site.TLS.Certificates})) })
	http2, authority := secureSite(t, true, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>\n"+strings.Repeat("x", 9000)) })
	missing, authority2 := secureSite(t, true, http.NotFound)
	denied := services(t, "127.0.0.1:0", grpc.UnaryInterceptor(func(context.Context, any, *grpc.UnaryServerInfo, grpc.UnaryHandler) (any, error) {
		return nil, status.Error(codes.Unauthenticated, "who are you")
	}))
	trust := func(ca string) string {
		return "tls: true, tls_config: {server_name: example.com, ca_file: " + ca + "}"
	}
	host := func(s *httptest.Server) string { return strings.TrimPrefix(s.URL, "https://") }
	for _, c := range []struct {
		grpc, target string
		want         Reason
		text         string
		code         codes.Code
		status       string
	}{
		{"service: closed", plain, Status, `service "closed" is NOT_SERVING, want SERVING`, codes.OK, "NOT_SERVING"},
		{"service: odd", plain, Status, `service "odd" is UNKNOWN, want SERVING`, codes.OK, "UNKNOWN"},
		{"service: future", plain, Status, `service "future" is 7, want SERVING`, codes.OK, ""},
		{"service: none", plain, Status, `checking the health of service "none": NotFound: unknown service`, codes.NotFound, ""},
		{"", denied, Status, "Unauthenticated: who are you", codes.Unauthenticated, ""},
		{"", services404(t), Status, "Unimplemented: unknown service grpc.health.v1.Health", codes.Unimplemented, ""},
		{"", closedPort(t), Refused, "connection refused", codes.Unavailable, ""},
		{"", serve(t, speaks("HTTP/1.1 400 Bad Request\r\n\r\n")), Protocol, "HTTP/1.1", codes.Unavailable, ""},
		{"", serve(t, speaks("220 mail.shop.test\r\n")), Protocol, "Unavailable", codes.Unavailable, ""},
		{"", serve(t, hello("")), Reset, "Unavailable", codes.Unavailable, ""},
		{"", serve(t, func(c net.Conn) { c.Read(make([]byte, 1)); reset(c) }), Reset, "Unavailable", codes.Unavailable, ""},
		{"", secure, Reset, "Unavailable", codes.Unavailable, ""},
		{"tls: true", serve(t, speaks("220 mail\r\n")), TLS, "TLS handshake", codes.Unavailable, ""},
		{"tls: true", secure, Certificate, "unknown authority", codes.Unavailable, ""},
		{"tls: true, tls_config: {server_name: other.test, ca_file: " + ca + "}", secure, Certificate, "other.test", codes.Unavailable, ""},
		{"tls: true, tls_config: {insecure_skip_verify: true}", host(site), TLS, "no application protocol", codes.Unavailable, ""},
		{"tls: true, tls_config: {insecure_skip_verify: true}", other, Protocol, `TLS: the server agreed on protocol "", want h2`, codes.Unavailable, ""},
		{trust(authority), host(http2), Protocol, "unexpected content-type", codes.Unknown, ""},
		{trust(authority2), host(missing), Protocol, "404", codes.Unimplemented, ""},
	} {
		r := ask(t, "{prober: grpc, grpc: {"+c.grpc+"}}", c.target)
		wantReason(t, r, c.want, c.text)
		wantValue(t, r, "probe_grpc_status_code", float64(c.code))
		if text := r.Err.Error(); len(text) > 500 || strings.Contains(text, "\n") {
			t.Errorf("the error is no short line: %q", text)
		}
		for _, s := range r.Samples {
			if s.Name == "probe_grpc_healthcheck_response" && (s.Value == 1) != (s.Labels[0].Value == c.status) {
				t.Errorf("%s: %v is %v", c.text, s.Labels, s.Value)
			}
		}
	}
	for target, text := range map[string]string{"": "the URL has no host", "127.0.0.1:0": `port is "0"`, "127.0.0.1:topsecret": "it is no URL"} {
		wantReason(t, ask(t, "{prober: grpc}", target), Internal, text)
	}
}

// Which side of a connection sees its end first is chance.
func TestGRPC_EndOfTheConnectionIsNotedByWritingToo(t *testing.T) {
	near, far := net.Pipe()
	far.Close()
	l := &link{Conn: near}
	if _, err := l.Write([]byte("x")); err == nil {
		t.Fatal("written")
	}
	if broken, _ := l.outcome(); !errors.Is(broken, io.ErrClosedPipe) {
		t.Errorf("got %v", broken)
	}
	near.Close()
	l.Read(make([]byte, 1))
	if broken, answered := l.outcome(); !errors.Is(broken, io.ErrClosedPipe) || answered {
		t.Errorf("got %v, %v", broken, answered)
	}
}

// services404 is a gRPC server without a health service.
func services404(t testing.TB) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	go s.Serve(l)
	t.Cleanup(s.Stop)
	return l.Addr().String()
}

// speaks says a text and waits for the other end to hang up.
func speaks(text string) func(net.Conn) {
	return func(conn net.Conn) {
		io.WriteString(conn, text)
		silent(conn)
	}
}

// Defect 1 of blackbox_exporter: a server that accepts and stays silent holds
// its probe for 20 s, whatever the deadline.
func TestGRPC_SilentServerEndsTheProbeAtItsDeadline(t *testing.T) {
	hangs := services(t, "127.0.0.1:0", grpc.UnaryInterceptor(func(ctx context.Context, _ any, _ *grpc.UnaryServerInfo, _ grpc.UnaryHandler) (any, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}))
	for text, target := range map[string]string{"{prober: grpc}": serve(t, silent), "{prober: grpc, grpc: {tls: true}}": serve(t, silent), "{prober: grpc, grpc: {service: a}}": hangs} {
		r := within(t, 50*time.Millisecond, text, target)
		wantReason(t, r, Timeout, "")
		wantValue(t, r, "probe_grpc_status_code", float64(codes.DeadlineExceeded))
		if r.Duration > 10*time.Second {
			t.Errorf("took %v", r.Duration)
		}
	}
}

// Defect 2 of blackbox_exporter: without a block there is no fallback to IPv4.
func TestGRPC_MissingBlockFallsBackAsAnEmptyOneDoes(t *testing.T) {
	address := services(t, "127.0.0.1:0")
	for _, text := range []string{"{prober: grpc}", "{prober: grpc, grpc: {}}", "{prober: grpc, grpc: {service: ''}}"} {
		wantSuccess(t, ask(t, text, address))
	}
}

// The other half of defect 1: blackbox_exporter looks the name up again.
func TestGRPC_DialsTheAddressThatWasResolvedAndSaysTheHost(t *testing.T) {
	said := make(chan string, 1)
	address := services(t, "127.0.0.2:0", grpc.UnaryInterceptor(func(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
		header, _ := metadata.FromIncomingContext(ctx)
		said <- strings.Join(header[":authority"], " ") + " " + strings.Join(header["user-agent"], " ")
		return handle(ctx, request)
	}))
	_, port, _ := net.SplitHostPort(address)
	p := prober(t, "{prober: grpc}")
	p.resolver = answerDNS(t, map[string]netip.Addr{"shop.test": netip.MustParseAddr("127.0.0.2")}, nil)
	r := p.Run(t.Context(), "shop.test.:"+port)
	wantSuccess(t, r)
	wantValue(t, r, "probe_resolved_address_info", 1, "127.0.0.2")
	if got, want := <-said, "shop.test.:"+port+" Probe-Exporter grpc-go/"; !strings.HasPrefix(got, want) {
		t.Errorf("said %q, want %q…", got, want)
	}
	if r.Addr.String() != "127.0.0.2" {
		t.Errorf("address %v", r.Addr)
	}
}

func TestGRPC_ExpiryOfARefusedCertificateIsShown(t *testing.T) {
	site, address, _ := secureServices(t)
	r := ask(t, "{prober: grpc, grpc: {tls: true}}", address)
	wantReason(t, r, Certificate, "unknown authority")
	wantValue(t, r, "probe_ssl_earliest_cert_expiry", float64(site.Certificate().NotAfter.Unix()))
	wantValue(t, r, "probe_grpc_ssl", 0)
	// A service that does not serve has a certificate, too.
	r = ask(t, "{prober: grpc, grpc: {service: none, tls: true, tls_config: {insecure_skip_verify: true}}}", address)
	wantReason(t, r, Status, "NotFound")
	wantValue(t, r, "probe_ssl_earliest_cert_expiry", float64(site.Certificate().NotAfter.Unix()))
	wantValue(t, r, "probe_grpc_ssl", 1)
}

// As in blackbox_exporter.
func TestGRPC_OtherHostnameChangesNothing(t *testing.T) {
	_, address, ca := secureServices(t)
	p, err := prober(t, "{prober: grpc, grpc: {tls: true, tls_config: {ca_file: "+ca+"}}}").Named("other.test")
	if err != nil {
		t.Fatal(err)
	}
	wantSuccess(t, p.Run(t.Context(), address)) // the certificate is good for 127.0.0.1
}

func TestGRPC_TargetsOfAllForms(t *testing.T) {
	for _, c := range []struct {
		target string
		tls    bool
		want   string
	}{
		{"shop.test", false, "shop.test:80"}, {"shop.test", true, "shop.test:443"}, {"https://shop.test", false, "shop.test:80"},
		{"http://shop.test:50051/path?x", true, "shop.test:50051"}, {"[::1]", false, "[::1]:80"}, {"[::1]:50051", false, "[::1]:50051"}, {"127.0.0.1", true, "127.0.0.1:443"},
	} {
		host, port, err := (&GRPC{TLS: c.tls}).server(c.target)
		if got := net.JoinHostPort(host, fmt.Sprint(port)); err != nil || got != c.want {
			t.Errorf("%s: got %s, %v; want %s", c.target, got, err, c.want)
		}
	}
	for _, c := range []struct{ name, want string }{{"shop.test", "shop.test"}, {"::1", "[::1]"}, {"127.0.0.1", "127.0.0.1"}} {
		if got := authority("other.test", 50051, &tls.Config{ServerName: c.name}); got != c.want {
			t.Errorf("authority for server name %s: %s", c.name, got)
		}
	}
	m := Module{Prober: "grpc"}
	if err := m.CheckTarget("me:topsecret@shop.test:50051"); err == nil || strings.Contains(err.Error(), "topsecret") {
		t.Errorf("a user in a target: %v", err)
	}
	if err := m.CheckTarget("shop.test:50051"); err != nil {
		t.Error(err)
	}
}

func TestGRPC_MetadataGoesWithTheRequest(t *testing.T) {
	said := make(chan metadata.MD, 1)
	address := services(t, "127.0.0.1:0", grpc.UnaryInterceptor(func(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
		header, _ := metadata.FromIncomingContext(ctx)
		said <- header
		return handle(ctx, request)
	}))
	dir := t.TempDir()
	text := "{prober: grpc, grpc: {metadata: {X-Shop: [one, two], raw-bin: [\"\\x01\"]}, metadata_files: {authorization: token}}}"
	var m Module
	if err := yaml.Unmarshal([]byte(text), &m); err != nil {
		t.Fatal(err)
	}
	m.SetDirectory(dir)
	p, err := New(m, NewNetwork())
	if err != nil {
		t.Fatal(err)
	}
	token := filepath.Join(dir, "token")
	wantReason(t, p.Run(t.Context(), address), Internal, "metadata_files.authorization: open "+token)
	for _, secret := range []string{"Bearer one\n", "Bearer two"} {
		if err := os.WriteFile(token, []byte(secret), 0o600); err != nil {
			t.Fatal(err)
		}
		wantSuccess(t, p.Run(t.Context(), address))
		got := <-said
		if fmt.Sprint(got["x-shop"], got["raw-bin"], got["authorization"]) != fmt.Sprintf("[one two] [\x01] [%s]", strings.TrimSpace(secret)) {
			t.Errorf("sent %v", got)
		}
	}
	if err := os.WriteFile(token, []byte("top\nsecret"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := p.Explain(t.Context(), address)
	wantReason(t, r, Internal, "metadata_files.authorization: "+token+": the value is not printable ASCII")
	if strings.Contains(fmt.Sprint(r.Err, r.Notes), "secret") {
		t.Errorf("%v, %v", r.Err, r.Notes)
	}
}

func TestGRPC_MetadataIsMaskedWhenItIsShown(t *testing.T) {
	p := prober(t, "{prober: grpc, grpc: {metadata: {authorization: [topsecret, topsecret]}, metadata_files: {other: file}}}")
	shown, err := yaml.Marshal(p.module)
	if err != nil || strings.Contains(string(shown), "topsecret") || strings.Count(string(shown), "<secret>") != 2 || !strings.Contains(string(shown), "other: file") {
		t.Errorf("%v, %s", err, shown)
	}
	if p.module.GRPC.Metadata["authorization"][0] != "topsecret" {
		t.Error("the module itself was masked")
	}
}

func TestGRPC_MetadataThatTheServerRepeatsIsNotShown(t *testing.T) {
	at := services(t, "127.0.0.1:0", grpc.UnaryInterceptor(func(ctx context.Context, _ any, _ *grpc.UnaryServerInfo, _ grpc.UnaryHandler) (any, error) {
		sent, _ := metadata.FromIncomingContext(ctx)
		_, token, _ := strings.Cut(sent.Get("authorization")[0], " ")
		return nil, status.Errorf(codes.Unauthenticated, "token %q of %q is not known", token, sent.Get("key"))
	}))
	p := prober(t, "{prober: grpc, grpc: {metadata: {authorization: [Bearer topsecret]}, metadata_files: {key: "+keep(t, "a big secret\n")+"}}}")
	r := p.Explain(t.Context(), at)
	wantReason(t, r, Status, `Unauthenticated: token "<secret>" of ["<secret>"] is not known`)
	if shown := fmt.Sprint(r.Err, r.Notes); strings.Contains(shown, "topsecret") || strings.Contains(shown, "big secret") || !strings.Contains(shown, "is not known") {
		t.Errorf("shown is %s", shown)
	}
}

func TestGRPC_MistakesAreToldAtLoad(t *testing.T) {
	for text, want := range map[string]string{
		"metadata: {'a b': [x]}":        `grpc.metadata.a b: "a b" is no key of metadata; want letters, digits, '.', '-' and '_'`,
		"metadata: {a: [\"top\\nx\"]}":  "grpc.metadata.a: the value is not printable ASCII, and the key does not end in -bin",
		"metadata_files: {'': x}":       `grpc.metadata_files: "" is no key of metadata; want letters, digits, '.', '-' and '_'`,
		"metadata_files: {a: ''}":       "grpc.metadata_files.a: want the name of a file",
		"preferred_ip_protocol: ipv6":   `grpc.preferred_ip_protocol: want ip4 or ip6, got "ipv6"`,
		"tls_config: {ca: no}":          "grpc.tls_config: unable to use specified CA cert inline",
		"metadata: {a: ['', x], b: []}": "",
	} {
		var m Module
		if err := yaml.Unmarshal([]byte("{prober: grpc, grpc: {"+text+"}}"), &m); err != nil {
			t.Fatal(err)
		}
		got := ""
		m.Check(func(path, text string) { got += path + ": " + text })
		if got != want {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
}

func TestGRPC_NotesTellEveryStep(t *testing.T) {
	site, address, ca := secureServices(t)
	p := prober(t, "{prober: grpc, grpc: {service: none, metadata: {a: [topsecret]}, tls: true, tls_config: {server_name: example.com, ca_file: "+ca+"}}}")
	r := p.Explain(t.Context(), address)
	want := fmt.Sprintf(`resolved host=127.0.0.1 address=127.0.0.1
connected local=LOCAL remote=%s
TLS handshake server_name=example.com version=TLS 1.3 cipher=TLS_AES_128_GCM_SHA256 protocol=h2 subject=O=Acme Co expires=%v
refused code=NotFound message="unknown service"
`, address, site.Certificate().NotAfter)
	got := noted(r)
	before, after, _ := strings.Cut(got, "local=")
	_, after, _ = strings.Cut(after, " ")
	if got = before + "local=LOCAL " + after; got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// Connections and goroutines of a client of gRPC end with its probe, whatever
// the server does.
func TestGRPC_NothingIsLeftOfManyProbes(t *testing.T) {
	good, bad, mute := services(t, "127.0.0.1:0"), serve(t, speaks("220 mail\r\n")), serve(t, silent)
	p := prober(t, "{prober: grpc}")
	before := runtime.NumGoroutine()
	for range 100 {
		p.Run(t.Context(), good)
		p.Run(t.Context(), bad)
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		p.Run(ctx, mute)
		cancel()
	}
	// The last ones are on their way out, on both sides.
	for start := time.Now(); runtime.NumGoroutine() > before && time.Since(start) < 20*time.Second; {
		runtime.Gosched()
	}
	if after := runtime.NumGoroutine(); after > before {
		t.Errorf("%d goroutines before, %d after", before, after)
	}
}

func BenchmarkGRPC(b *testing.B) {
	p := prober(b, "{prober: grpc}")
	address := services(b, "127.0.0.1:0")
	b.ReportAllocs()
	for b.Loop() {
		if r := p.Run(context.Background(), address); !r.Success {
			b.Fatal(r.Err)
		}
	}
}
