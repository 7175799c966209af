package probe

import (
	"bufio"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

func fingerprint(raw []byte) string { return fmt.Sprintf("%x", sha256.Sum256(raw)) }

func TestTCP_ShowsEverySeriesOfASuccess(t *testing.T) {
	r := ask(t, "{prober: tcp}", serve(t, silent))
	wantSuccess(t, r)
	wantExposition(t, r, `probe_dns_lookup_time_seconds S
probe_ip_protocol 4
probe_ip_addr_hash 3.668918509e+09
probe_resolved_address_info{address="127.0.0.1"} 1
probe_tcp_duration_seconds{phase="resolve"} S
probe_tcp_duration_seconds{phase="connect"} S
probe_failed_due_to_regex 0
probe_failed_due_to_bytes 0
`)
}

func TestTCP_ShowsEverySeriesOfAFailedDial(t *testing.T) {
	r := ask(t, "{prober: tcp}", closedPort(t))
	wantReason(t, r, Refused, "connection refused")
	wantExposition(t, r, `probe_dns_lookup_time_seconds S
probe_ip_protocol 4
probe_ip_addr_hash 3.668918509e+09
probe_resolved_address_info{address="127.0.0.1"} 1
probe_tcp_duration_seconds{phase="resolve"} S
probe_tcp_duration_seconds{phase="connect"} S
`)
}

// converses answers line by line: after each line that it reads, the next text.
func converses(texts ...string) func(net.Conn) {
	return func(conn net.Conn) {
		lines := bufio.NewReader(conn)
		for i, text := range texts {
			if i > 0 {
				if _, err := lines.ReadString('\n'); err != nil {
					return
				}
			}
			io.WriteString(conn, text)
		}
	}
}

func TestTCP_ConversesInSteps(t *testing.T) {
	said := make(chan string, 1)
	irc := serve(t, func(conn net.Conn) {
		io.WriteString(conn, "noise\r\nPING :42 north\r\n")
		line, _ := bufio.NewReader(conn).ReadString('\n')
		said <- line
		io.WriteString(conn, ":ok\n\x00\x01\x02tail")
	})
	r := ask(t, `
prober: tcp
tcp:
  query_response:
  - {expect: '^PING :(\d+) (?P<side>\w+)$', send: 'PONG :${1}', labels: [{name: id, value: '$1'}, {name: side, value: '${side}ern'}]}
  - {expect: '^:ok$'}
  - {expect_bytes: "\0\x01\x02"}
  - {expect: '^tail$'}
`, irc)
	wantSuccess(t, r)
	if line := <-said; line != "PONG :42\n" {
		t.Errorf("sent %q", line)
	}
	wantExposition(t, r, `probe_dns_lookup_time_seconds S
probe_ip_protocol 4
probe_ip_addr_hash 3.668918509e+09
probe_resolved_address_info{address="127.0.0.1"} 1
probe_tcp_duration_seconds{phase="resolve"} S
probe_tcp_duration_seconds{phase="connect"} S
probe_tcp_duration_seconds{phase="query"} S
probe_failed_due_to_regex 0
probe_failed_due_to_bytes 0
probe_expect_info{id="42",side="northern"} 1
`)
}

func TestTCP_EveryReasonOfAFailure(t *testing.T) {
	secure, _ := secureSite(t, false, func(http.ResponseWriter, *http.Request) {})
	secureHost := strings.TrimPrefix(secure.URL, "https://")
	plain := serve(t, converses("220 hello\r\n"))
	for _, c := range []struct {
		tcp, target string
		want        Reason
		text        string
		regex, raw  float64
	}{
		{"query_response: [{expect: ^SSH}]", plain, Content, `query_response[0]: none of 1 lines matches "^SSH"`, 1, 0},
		{"query_response: [{expect: ^SSH}]", serve(t, converses("220 x\nrest")), Content, "none of 2 lines", 1, 0},
		{"query_response: [{expect_bytes: '221'}]", plain, Content, `bytes are "220", want "221"`, 0, 1},
		{"query_response: [{expect_bytes: '220 hello and more'}]", plain, Content, `bytes are "220 hello\r\n", want "220 hello and more"`, 0, 1},
		{"query_response: [{expect: x}]", serve(t, func(c net.Conn) { io.WriteString(c, strings.Repeat("a", maxLine+1)) }), Size, "line is longer than 65536 bytes", 0, 0},
		{"query_response: [{expect: ^220}, {expect: x}]", serve(t, converses("220\n")), Content, "query_response[1]", 1, 0},
		{"query_response: [{send: x}, {expect: y}]", serve(t, func(c net.Conn) {
			bufio.NewReader(c).ReadString('\n')
			reset(c)
		}), Reset, "query_response[1]", 0, 0},
		{"query_response: [{starttls: true}]", plain, TLS, "first record does not look like a TLS handshake", 0, 0},
		{"query_response: [{starttls: true}]", secureHost, Certificate, "unknown authority", 0, 0},
	} {
		r := ask(t, "{prober: tcp, tcp: {"+c.tcp+"}}", c.target)
		wantReason(t, r, c.want, c.text)
		wantValue(t, r, "probe_failed_due_to_regex", c.regex)
		wantValue(t, r, "probe_failed_due_to_bytes", c.raw)
	}
	for _, c := range []struct {
		tcp, target string
		want        Reason
		text        string
	}{
		{"", "127.0.0.1", Internal, "target: missing port in address; want host:port"},
		{"", "me:topsecret@127.0.0.1:1", Internal, "target: too many colons in address; want host:port"},
		{"", "127.0.0.1:0", Internal, `target: port is "0"; want a number from 1 to 65535`},
		{"", "127.0.0.1:no-such-service", Internal, `target: the port is no number; want one from 1 to 65535`},
		{"", "me:topsecret@127.0.0.1", Internal, `target: the port is no number; want one from 1 to 65535`},
		{"source_ip_address: 192.0.2.1", plain, Internal, "cannot assign requested address"},
		{"tls: true", secureHost, Certificate, "unknown authority"},
		{"tls: true", serve(t, hello("")), TLS, "TLS handshake: EOF"},
		{"tls: true, tls_config: {ca_file: /nowhere}", secureHost, Internal, "/nowhere"},
		{"preferred_ip_protocol: ip6, ip_protocol_fallback: false", plain, Unresolved, "no address of family ip6"},
	} {
		r := ask(t, "{prober: tcp, tcp: {"+c.tcp+"}}", c.target)
		wantReason(t, r, c.want, c.text)
		if _, ok := value(r, "probe_failed_due_to_regex"); ok {
			t.Errorf("%s: there was no connection to converse on", c.tcp)
		}
	}
}

func TestTCP_BindsToTheSourceAddress(t *testing.T) {
	from := make(chan string, 1)
	address := serve(t, func(c net.Conn) { from <- c.RemoteAddr().String() })
	wantSuccess(t, ask(t, "{prober: tcp, tcp: {source_ip_address: 127.0.0.2}}", address))
	if got := <-from; !strings.HasPrefix(got, "127.0.0.2:") {
		t.Errorf("came from %s", got)
	}
}

func TestTCP_ShowsTheHandshakeFromTheStartAndLater(t *testing.T) {
	s, ca := secureSite(t, false, func(http.ResponseWriter, *http.Request) {})
	config := &tls.Config{Certificates: s.TLS.Certificates}
	names := make(chan string, 1)
	late := serve(t, func(conn net.Conn) {
		io.WriteString(conn, "220 ready\r\n")
		bufio.NewReader(conn).ReadString('\n')
		io.WriteString(conn, "220 go\r\n")
		secured := tls.Server(conn, config)
		if secured.Handshake() == nil {
			names <- secured.ConnectionState().ServerName
			io.WriteString(secured, "250 secret\r\n")
		}
	})
	p, err := prober(t, `
prober: tcp
tcp:
  query_response: [{expect: ready, send: STARTTLS}, {expect: go}, {starttls: true}, {expect: secret}]
  tls_config: {ca_file: `+ca+`}
`).Named("example.com")
	if err != nil {
		t.Fatal(err)
	}
	r := p.Run(t.Context(), late)
	wantSuccess(t, r)
	if name := <-names; name != "example.com" {
		t.Errorf("asked for %q", name)
	}
	want := fmt.Sprintf(`probe_dns_lookup_time_seconds S
probe_ip_protocol 4
probe_ip_addr_hash 3.668918509e+09
probe_resolved_address_info{address="127.0.0.1"} 1
probe_tcp_duration_seconds{phase="resolve"} S
probe_tcp_duration_seconds{phase="connect"} S
probe_tcp_duration_seconds{phase="tls"} S
QUERYprobe_ssl_earliest_cert_expiry S
probe_ssl_last_chain_expiry_timestamp_seconds S
probe_ssl_last_chain_info{fingerprint_sha256=%q,subject="O=Acme Co",issuer="O=Acme Co",subjectalternative="example.com,*.example.com",serialnumber="%x"} 1
probe_tls_version_info{version="TLS 1.3"} 1
probe_tls_cipher_info{cipher="TLS_AES_128_GCM_SHA256"} 1
probe_failed_due_to_regex 0
probe_failed_due_to_bytes 0
`, fingerprint(s.Certificate().Raw), s.Certificate().SerialNumber.Bytes())
	wantExposition(t, r, strings.Replace(want, "QUERY", "probe_tcp_duration_seconds{phase=\"query\"} S\n", 1))
	r = ask(t, "{prober: tcp, tcp: {tls: true, tls_config: {ca_file: "+ca+"}}}", strings.TrimPrefix(s.URL, "https://"))
	wantSuccess(t, r)
	wantExposition(t, r, strings.Replace(want, "QUERY", "", 1))
}

func TestTCP_ServerNameOfTheModuleGoesFirst(t *testing.T) {
	s, ca := secureSite(t, false, func(http.ResponseWriter, *http.Request) {})
	p, err := prober(t, "{prober: tcp, tcp: {tls: true, tls_config: {ca_file: "+ca+", server_name: example.com}}}").Named("other.test")
	if err != nil {
		t.Fatal(err)
	}
	wantSuccess(t, p.Run(t.Context(), strings.TrimPrefix(s.URL, "https://")))
}

func TestTCP_PortMayBeTheNameOfAService(t *testing.T) {
	for _, target := range []string{"shop.test:http", "shop.test:https", "[::1]:ssh"} {
		_, port, err := hostPort(target)
		if want := map[string]uint16{"http": 80, "https": 443, "ssh": 22}[target[strings.LastIndex(target, ":")+1:]]; err != nil || port != want {
			t.Errorf("%s: got %d, %v", target, port, err)
		}
	}
}

func TestConverse_MistakesAreToldAtLoad(t *testing.T) {
	for _, block := range []string{"tcp", "unix"} {
		var m Module
		text := "{prober: BLOCK, BLOCK: {query_response: [{send: a}, {send: a, send_file: b}, {expect: a, expect_bytes: b}, {send: a, labels: [{name: a, value: b}]}]}}"
		if err := yaml.Unmarshal([]byte(strings.ReplaceAll(text, "BLOCK", block)), &m); err != nil {
			t.Fatal(err)
		}
		var got []string
		m.Check(func(path, text string) { got = append(got, path+": "+text) })
		m.Unwise(func(path, text string) { got = append(got, path+": "+text) })
		want := []string{
			block + ".query_response[1].send_file: send is given too; want one of the two",
			block + ".query_response[2].expect_bytes: expect is given too; want one of the two",
			block + ".query_response[3].labels: they have no effect without an expect to take their values from",
		}
		if !slices.Equal(got, want) {
			t.Errorf("got %q", got)
		}
	}
}

func TestTCP_ProbesTheOtherFamilyWhenThatIsAllowed(t *testing.T) {
	v6 := serveOn(t, "tcp", "[::1]:0", silent)
	for _, c := range []struct {
		tcp, target string
		protocol    float64
	}{
		{"", v6, 6}, {"preferred_ip_protocol: ip4", v6, 6}, {"preferred_ip_protocol: ip6, ip_protocol_fallback: false", v6, 6},
		{"source_ip_address: '::1'", v6, 6}, {"", serve(t, silent), 4},
	} {
		r := ask(t, "{prober: tcp, tcp: {"+c.tcp+"}}", c.target)
		wantSuccess(t, r)
		wantValue(t, r, "probe_ip_protocol", c.protocol)
	}
	wantReason(t, ask(t, "{prober: tcp, tcp: {preferred_ip_protocol: ip4, ip_protocol_fallback: false}}", v6), Unresolved, "no address of family ip4")
	wantReason(t, ask(t, "{prober: tcp, tcp: {source_ip_address: '::1'}}", serve(t, silent)), Internal, "are of different families")
}

// blackbox_exporter panics at the second handshake of a probe.
func TestTCP_LastOfSeveralHandshakesIsShown(t *testing.T) {
	s, ca := secureSite(t, false, func(http.ResponseWriter, *http.Request) {})
	outer := &tls.Config{Certificates: s.TLS.Certificates, MaxVersion: tls.VersionTLS12}
	inner := &tls.Config{Certificates: s.TLS.Certificates}
	twice := serve(t, func(conn net.Conn) {
		secured := tls.Server(tls.Server(conn, outer), inner)
		io.WriteString(secured, "250 inside\n")
		silent(secured)
	})
	r := ask(t, "{prober: tcp, tcp: {tls: true, query_response: [{starttls: true}, {expect: inside}], tls_config: {server_name: example.com, ca_file: "+ca+"}}}", twice)
	wantSuccess(t, r)
	wantValue(t, r, "probe_tls_version_info", 1, "TLS 1.3")
	if got := strings.Count(exposition(r.Samples), "probe_tls_version_info"); got != 1 {
		t.Errorf("%d versions", got)
	}
}

func BenchmarkTCP(b *testing.B) {
	p := prober(b, "{prober: tcp}")
	address := serve(b, silent)
	b.ReportAllocs()
	for b.Loop() {
		if r := p.Run(context.Background(), address); !r.Success {
			b.Fatal(r.Err)
		}
	}
}
