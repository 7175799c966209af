package probe

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
)

// nameServer answers on loopback over udp, tcp or, with settings, TLS.
func nameServer(t testing.TB, network string, settings *tls.Config, answer dns.HandlerFunc) string {
	t.Helper()
	started := make(chan struct{})
	s := &dns.Server{Handler: answer, NotifyStartedFunc: func() { close(started) }}
	var address net.Addr
	if network == "udp" {
		conn, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s.PacketConn, address = conn, conn.LocalAddr()
	} else {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if s.Listener, address = l, l.Addr(); settings != nil {
			s.Listener = tls.NewListener(l, settings)
		}
	}
	done := make(chan error, 1)
	go func() { done <- s.ActivateAndServe() }()
	<-started
	t.Cleanup(func() {
		s.Shutdown()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return address.String()
}

// records reads records as they stand in a zone file.
func records(t testing.TB, texts ...string) []dns.RR {
	t.Helper()
	var all []dns.RR
	for _, text := range texts {
		record, err := dns.NewRR(text)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, record)
	}
	return all
}

// zone answers with one record, or SOA, two of authority and three more.
func zone(t testing.TB) dns.HandlerFunc {
	soa := records(t, "example.com. 3600 IN SOA ns.example.com. noc.example.com. 1000 7200 3600 1209600 3600")
	a := records(t, "example.com. 3600 IN A 127.0.0.1")
	ns := records(t, "example.com. 7200 IN NS ns1.isp.net.", "example.com. 7200 IN NS ns2.isp.net.")
	extra := records(t, "ns1.isp.net. 7200 IN A 127.0.0.1", "ns1.isp.net. 7200 IN AAAA ::1", "ns2.isp.net. 7200 IN A 127.0.0.2")
	return func(w dns.ResponseWriter, query *dns.Msg) {
		m := new(dns.Msg).SetReply(query)
		m.Answer, m.Ns, m.Extra = a, ns, extra
		if query.Question[0].Qtype == dns.TypeSOA {
			m.Answer = soa
		}
		w.WriteMsg(m)
	}
}

// code answers with nothing but a response code.
func code(rcode int) dns.HandlerFunc {
	return func(w dns.ResponseWriter, query *dns.Msg) { w.WriteMsg(new(dns.Msg).SetRcode(query, rcode)) }
}

// datagrams answers each query by what is given for its bytes.
func datagrams(t testing.TB, answers func(query []byte) [][]byte) string {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		query := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(query)
			if err != nil {
				return
			}
			for _, answer := range answers(slices.Clone(query[:n])) {
				conn.WriteTo(answer, from)
			}
		}
	}()
	t.Cleanup(func() { conn.Close(); <-done })
	return conn.LocalAddr().String()
}

// framed reads one query of a stream.
func framed(conn net.Conn) []byte {
	length := make([]byte, 2)
	io.ReadFull(conn, length)
	query := make([]byte, binary.BigEndian.Uint16(length))
	io.ReadFull(conn, query)
	return query
}

// packed makes the answer to the bytes of a query, changed.
func packed(t testing.TB, query []byte, change func(*dns.Msg)) []byte {
	m := new(dns.Msg)
	if err := m.Unpack(query); err != nil {
		t.Error(err)
	}
	m.SetReply(m.Copy())
	change(m)
	raw, err := m.Pack()
	if err != nil {
		t.Error(err)
	}
	return raw
}

// block is a module that asks over a transport for example.com.
func block(transport, more string) string {
	return "{prober: dns, dns: {query_name: example.com, transport_protocol: " + transport + ", " + more + "}}"
}

// page shows the series of a result, with S for times above 0.
func page(r Result) string { return exposition(r.Samples) }

func TestDNS_ShowsEverySeriesOfASuccess(t *testing.T) {
	const want = `probe_dns_lookup_time_seconds S
probe_ip_protocol 4
probe_ip_addr_hash 3.668918509e+09
probe_resolved_address_info{address="127.0.0.1"} 1
probe_dns_duration_seconds{phase="resolve"} S
probe_dns_duration_seconds{phase="connect"} S
probe_dns_duration_seconds{phase="request"} S
probe_dns_answer_rrs 1
probe_dns_authority_rrs 2
probe_dns_additional_rrs 3
probe_dns_query_succeeded 1
`
	for _, transport := range []string{"udp", "tcp"} {
		address := nameServer(t, transport, nil, zone(t))
		r := ask(t, block(transport, ""), address)
		wantSuccess(t, r)
		if diff := cmp.Diff(want, page(r)); diff != "" {
			t.Errorf("%s: %s", transport, diff)
		}
		r = ask(t, block(transport, "query_type: SOA"), address)
		wantSuccess(t, r)
		if diff := cmp.Diff(want+"probe_dns_serial 1000\n", page(r)); diff != "" {
			t.Errorf("%s: %s", transport, diff)
		}
	}
}

func TestDNS_ShowsItsSeriesAlsoWhenItFailsEarly(t *testing.T) {
	const want = `probe_dns_lookup_time_seconds S
probe_ip_protocol 0
probe_ip_addr_hash 0
probe_dns_duration_seconds{phase="resolve"} 0
probe_dns_duration_seconds{phase="connect"} 0
probe_dns_duration_seconds{phase="request"} 0
probe_dns_answer_rrs 0
probe_dns_authority_rrs 0
probe_dns_additional_rrs 0
probe_dns_query_succeeded 0
`
	p := prober(t, block("udp", "query_type: SOA"))
	p.resolver = answerDNS(t, nil, nil)
	r := p.Run(t.Context(), "nowhere.test.")
	wantReason(t, r, Unresolved, `resolving "nowhere.test."`)
	if diff := cmp.Diff(want, page(r)); diff != "" {
		t.Error(diff)
	}
	_, after, _ := strings.Cut(want, "probe_ip_addr_hash 0\n")
	r = p.Run(t.Context(), "127.0.0.1:domain")
	wantReason(t, r, Internal, "target: the port is no number")
	if diff := cmp.Diff(after, page(r)); diff != "" {
		t.Error(diff)
	}
}

func TestDNS_AsksWhatTheModuleSays(t *testing.T) {
	queries := make(chan *dns.Msg, 1)
	address := nameServer(t, "udp", nil, func(w dns.ResponseWriter, query *dns.Msg) {
		queries <- query.Copy()
		w.WriteMsg(new(dns.Msg).SetReply(query))
	})
	for module, want := range map[string]string{
		"query_name: example.com": "example.com. IN ANY true",
		"query_name: .":           ". IN ANY true",
		"query_name: 'a\\.b.C'":   `a\.b.C. IN ANY true`,
		"query_name: '\\097.b'":   "a.b. IN ANY true",
		"query_name: id.server, query_class: CH, query_type: TXT, recursion_desired: false": "id.server. CH TXT false",
	} {
		wantSuccess(t, ask(t, "{prober: dns, dns: {"+module+"}}", address))
		asked := <-queries
		q := asked.Question[0]
		got := fmt.Sprint(q.Name, " ", dns.ClassToString[q.Qclass], " ", dns.TypeToString[q.Qtype], " ", asked.RecursionDesired)
		if got != want || len(asked.Question) != 1 || len(asked.Extra) != 0 {
			t.Errorf("%s: asked %s, want %s", module, got, want)
		}
	}
}

func TestDNS_AsksUnderANewIDFromANewSocketEachTime(t *testing.T) {
	type query struct {
		id   uint16
		from string
	}
	queries := make(chan query, 8)
	p := prober(t, block("udp", ""))
	address := nameServer(t, "udp", nil, func(w dns.ResponseWriter, m *dns.Msg) {
		queries <- query{m.Id, w.RemoteAddr().String()}
		w.WriteMsg(new(dns.Msg).SetReply(m))
	})
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if r := p.Run(t.Context(), address); !r.Success {
				t.Error(r.Err)
			}
		})
	}
	all.Wait()
	ids, from := map[uint16]bool{}, map[string]bool{}
	for range 8 {
		q := <-queries
		ids[q.id], from[q.from] = true, true
	}
	// Ids are random, and ports come free again: some may meet, but not all.
	if len(ids) < 2 || len(from) < 2 {
		t.Errorf("ids %v from %v", ids, from)
	}
}

func TestDNS_JudgesTheResponseCode(t *testing.T) {
	for _, c := range []struct {
		rcode int
		valid string
		want  string // empty: success
	}{
		{dns.RcodeSuccess, "", ""},
		{dns.RcodeSuccess, "valid_rcodes: []", ""},
		{dns.RcodeServerFailure, "", "response code is SERVFAIL, want NOERROR"},
		{dns.RcodeServerFailure, "valid_rcodes: [SERVFAIL, NXDOMAIN]", ""},
		{dns.RcodeNameError, "valid_rcodes: [SERVFAIL, NXDOMAIN]", ""},
		{dns.RcodeSuccess, "valid_rcodes: [SERVFAIL, NXDOMAIN]", "response code is NOERROR, want SERVFAIL or NXDOMAIN"},
		{13, "", "response code is 13, want NOERROR"},
	} {
		for _, transport := range []string{"udp", "tcp"} {
			r := ask(t, block(transport, c.valid), nameServer(t, transport, nil, code(c.rcode)))
			wantValue(t, r, "probe_dns_query_succeeded", 1)
			if c.want == "" {
				wantSuccess(t, r)
			} else {
				wantReason(t, r, Status, c.want)
			}
		}
	}
}

func TestDNS_AnExtendedResponseCodeCounts(t *testing.T) {
	address := nameServer(t, "udp", nil, func(w dns.ResponseWriter, query *dns.Msg) {
		m := new(dns.Msg).SetReply(query)
		m.SetEdns0(1232, false)
		m.Rcode = dns.RcodeBadCookie
		w.WriteMsg(m)
	})
	wantReason(t, ask(t, block("udp", ""), address), Status, "response code is BADCOOKIE, want NOERROR")
	r := ask(t, block("udp", "valid_rcodes: [BADCOOKIE]"), address)
	wantSuccess(t, r)
	wantValue(t, r, "probe_dns_additional_rrs", 1)
}

func TestDNS_JudgesTheRecords(t *testing.T) {
	for _, c := range []struct{ rules, want string }{
		{"validate_answer_rrs: {fail_if_matches_regexp: ['10\\.0\\.'], fail_if_not_matches_regexp: ['IN\\tA', '127']}", ""},
		{"validate_answer_rrs: {fail_if_matches_regexp: [zz, 3600]}", `validate_answer_rrs: fail_if_matches_regexp: record "example.com.\t3600\tIN\tA\t127.0.0.1" matches "3600"`},
		{"validate_answer_rrs: {fail_if_not_matches_regexp: [7200]}", `fail_if_not_matches_regexp: record "example.com.\t3600\tIN\tA\t127.0.0.1" does not match "7200"`},
		{"validate_authority_rrs: {fail_if_not_matches_regexp: ['ns.*\\.isp\\.net']}", ""},
		{"validate_authority_rrs: {fail_if_matches_regexp: ['ns2']}", `validate_authority_rrs: fail_if_matches_regexp: record "example.com.\t7200\tIN\tNS\tns2.isp.net." matches "ns2"`},
		{"validate_additional_rrs: {fail_if_not_matches_regexp: ['^ns.*.isp']}", ""},
		{"validate_additional_rrs: {fail_if_not_matches_regexp: ['^ns1']}", `validate_additional_rrs: fail_if_not_matches_regexp: record "ns2.isp.net.`},
		{"validate_additional_rrs: {fail_if_none_matches_regexp: ['127.0.0.3', '127.0.0.2']}", ""},
		{"validate_additional_rrs: {fail_if_none_matches_regexp: ['127.0.0.3', x]}", `fail_if_none_matches_regexp: none of 3 records matches any of ["127.0.0.3" "x"]`},
	} {
		r := ask(t, block("udp", c.rules), nameServer(t, "udp", nil, zone(t)))
		wantValue(t, r, "probe_dns_query_succeeded", 1)
		if c.want == "" {
			wantSuccess(t, r)
		} else {
			wantReason(t, r, Content, c.want)
		}
	}
}

// The name says the opposite, but files are written for what
// blackbox_exporter does.
func TestDNS_FailIfAllMatchWantsAllToMatchAsBlackboxExporterDoes(t *testing.T) {
	address := nameServer(t, "udp", nil, zone(t))
	const rules = "validate_additional_rrs: {fail_if_all_match_regexp: ["
	wantSuccess(t, ask(t, block("udp", rules+"'isp', '7200']}"), address))
	wantReason(t, ask(t, block("udp", rules+"'isp', '127.0.0']}"), address), Content,
		`record "ns1.isp.net.\t7200\tIN\tAAAA\t::1" does not match "127.0.0"; want all records to match`)
}

func TestDNS_RulesForASectionWithoutRecords(t *testing.T) {
	address := nameServer(t, "udp", nil, code(dns.RcodeSuccess))
	for key, passes := range map[string]bool{
		"fail_if_matches_regexp": true, "fail_if_all_match_regexp": true, "fail_if_not_matches_regexp": false, "fail_if_none_matches_regexp": false,
	} {
		r := ask(t, block("udp", "validate_answer_rrs: {"+key+": [x]}"), address)
		if passes {
			wantSuccess(t, r)
		} else {
			wantReason(t, r, Content, "validate_answer_rrs: the section has no records, want some that match")
		}
	}
}

func TestDNS_OverTLSShowsTheCertificate(t *testing.T) {
	s, ca := secureSite(t, false, func(http.ResponseWriter, *http.Request) {})
	address := nameServer(t, "tcp", s.TLS, zone(t))
	// The certificate is for 127.0.0.1, which is the default of the name.
	r := ask(t, block("tcp", "query_type: SOA, dns_over_tls: true, tls_config: {ca_file: "+ca+"}"), address)
	wantSuccess(t, r)
	_, got, _ := strings.Cut(page(r), "probe_dns_query_succeeded")
	want := fmt.Sprintf(` 1
probe_dns_serial 1000
probe_ssl_earliest_cert_expiry S
probe_ssl_last_chain_expiry_timestamp_seconds S
probe_ssl_last_chain_info{fingerprint_sha256=%q,subject="O=Acme Co",issuer="O=Acme Co",subjectalternative="example.com,*.example.com",serialnumber="%x"} 1
probe_tls_version_info{version="TLS 1.3"} 1
probe_tls_cipher_info{cipher="TLS_AES_128_GCM_SHA256"} 1
`, fingerprint(s.Certificate().Raw), s.Certificate().SerialNumber.Bytes())
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	wantSuccess(t, ask(t, block("tcp", "dns_over_tls: true, tls_config: {server_name: a.example.com, ca_file: "+ca+"}"), address))
	wantSuccess(t, ask(t, block("tcp", "dns_over_tls: true, tls_config: {insecure_skip_verify: true}"), address))
}

func TestDNS_ACertificateThatIsRefusedTellsItsExpiry(t *testing.T) {
	s, ca := secureSite(t, false, func(http.ResponseWriter, *http.Request) {})
	address := nameServer(t, "tcp", s.TLS, zone(t))
	for settings, text := range map[string]string{
		"": "unknown authority", "server_name: wrong.test, ca_file: " + ca: "not wrong.test",
	} {
		r := ask(t, block("tcp", "dns_over_tls: true, tls_config: {"+settings+"}"), address)
		wantReason(t, r, Certificate, text)
		wantValue(t, r, "probe_ssl_earliest_cert_expiry", float64(s.Certificate().NotAfter.Unix()))
		wantValue(t, r, "probe_dns_query_succeeded", 0)
		wantValue(t, r, "probe_dns_duration_seconds", 0, "request")
		if got, _ := value(r, "probe_dns_duration_seconds", "connect"); got <= 0 {
			t.Errorf("connect took %v s, want the handshake in it", got)
		}
	}
	r := ask(t, block("tcp", "dns_over_tls: true, tls_config: {ca_file: /nowhere/ca.pem}"), address)
	wantReason(t, r, Internal, "/nowhere/ca.pem")
	wantReason(t, ask(t, block("tcp", "dns_over_tls: true"), serve(t, hello("plain text"))), TLS, "TLS handshake")
}

func TestDNS_AServerThatWantsACertificateOfTheClientIsReasonTLS(t *testing.T) {
	s, ca := secureSite(t, false, func(http.ResponseWriter, *http.Request) {})
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		settings := s.TLS.Clone()
		settings.ClientAuth, settings.MaxVersion = tls.RequireAnyClientCert, version
		// It reads on: a reset could overtake what it says.
		address := serve(t, func(conn net.Conn) { tls.Server(conn, settings).Handshake(); silent(conn) })
		r := ask(t, block("tcp", "dns_over_tls: true, tls_config: {ca_file: "+ca+"}"), address)
		wantReason(t, r, TLS, "remote error: tls: ")
	}
}

func TestDNS_NamesTheReason(t *testing.T) {
	// A socket that is connected keeps its port, and takes nothing from others.
	kept, err := net.Dial("udp", "127.0.0.1:9")
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	wantReason(t, ask(t, block("udp", ""), kept.LocalAddr().String()), Refused, "reading the answer: ")
	wantReason(t, ask(t, block("tcp", ""), closedPort(t)), Refused, "refused")
	wantReason(t, ask(t, block("tcp", ""), serve(t, func(conn net.Conn) { framed(conn); reset(conn) })), Reset, "reading the length of the answer")
	wantReason(t, ask(t, block("udp", "source_ip_address: 192.0.2.1"), "127.0.0.1:53"), Internal, "bind")
	wantReason(t, ask(t, block("tcp", "source_ip_address: 192.0.2.1"), "127.0.0.1:53"), Internal, "bind")
	for _, transport := range []string{"udp", "tcp"} {
		wantReason(t, ask(t, block(transport, "source_ip_address: '::1'"), "127.0.0.1:53"), Internal, "source_ip_address ::1 and the address of the target, 127.0.0.1, are of different families")
		wantReason(t, ask(t, block(transport, "source_ip_address: '::ffff:127.0.0.1'"), "[::1]:53"), Internal, "are of different families")
	}
}

func TestDNS_EndsAtItsDeadlineOverEveryTransport(t *testing.T) {
	quiet := datagrams(t, func([]byte) [][]byte { return nil })
	for module, address := range map[string]string{
		block("udp", ""):                         quiet,
		block("tcp", ""):                         serve(t, silent),
		block("tcp", "dns_over_tls: true"):       serve(t, silent),
		block("tcp", "valid_rcodes: [YXDOMAIN]"): serve(t, func(conn net.Conn) { conn.Write([]byte{0}); silent(conn) }),
		block("tcp", "query_type: A"):            serve(t, func(conn net.Conn) { conn.Write([]byte{1, 0, 1}); silent(conn) }),
	} {
		r := within(t, 50*time.Millisecond, module, address)
		wantReason(t, r, Timeout, "")
		wantValue(t, r, "probe_dns_query_succeeded", 0)
		if r.Duration > 10*time.Second {
			t.Errorf("%s took %v", module, r.Duration)
		}
	}
	wantReason(t, within(t, -time.Second, block("udp", ""), quiet), Timeout, "")
}

func TestDNS_ACancelledProbeEndsAtOnce(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	address := datagrams(t, func([]byte) [][]byte { cancel(); return nil })
	wantReason(t, prober(t, block("udp", "")).Run(ctx, address), Internal, "")
}

// strays are datagrams that do not answer a query.
func strays(t testing.TB, query []byte) [][]byte {
	wrongID := packed(t, query, func(m *dns.Msg) { m.Id++ })
	otherName := packed(t, query, func(m *dns.Msg) { m.Question[0].Name = "other.test." })
	otherType := packed(t, query, func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeMX })
	twice := packed(t, query, func(m *dns.Msg) { m.Question = append(m.Question, m.Question[0]) })
	return [][]byte{{}, []byte("garbage"), []byte(strings.Repeat("garbage", 200)), wrongID, otherName, otherType, twice, query}
}

func TestDNS_WaitsForItsOwnAnswer(t *testing.T) {
	address := datagrams(t, func(query []byte) [][]byte {
		return append(strays(t, query), packed(t, query, func(m *dns.Msg) { m.Question[0].Name = "eXample.COM." }))
	})
	wantSuccess(t, ask(t, block("udp", ""), address))
}

func TestDNS_AnswersToOthersAloneAreATimeout(t *testing.T) {
	address := datagrams(t, func(query []byte) [][]byte { return strays(t, query) })
	wantReason(t, within(t, 100*time.Millisecond, block("udp", ""), address), Timeout, "that were none, the last: ")
}

func TestDNS_AnAnswerThatCannotBeReadIsReasonProtocol(t *testing.T) {
	cut := func(t testing.TB, query []byte) []byte {
		raw := packed(t, query, func(m *dns.Msg) { m.Answer = records(t, "example.com. 1 IN A 127.0.0.1") })
		return raw[:len(raw)-1]
	}
	long := func(t testing.TB, query []byte) []byte {
		return packed(t, query, func(m *dns.Msg) {
			m.Answer = records(t, "example.com. 1 IN TXT "+strings.Repeat(`"`+strings.Repeat("x", 250)+`" `, 3))
		})
	}
	wantReason(t, ask(t, block("udp", ""), datagrams(t, func(query []byte) [][]byte { return [][]byte{cut(t, query)} })), Protocol, "bytes of answer: ")
	wantReason(t, ask(t, block("udp", ""), datagrams(t, func(query []byte) [][]byte { return [][]byte{long(t, query)} })), Protocol, "longer than 512 bytes")
	for want, answer := range map[string]func(query []byte) []byte{
		"bytes of answer: ":                 func(query []byte) []byte { return cut(t, query) },
		"0 bytes are no message of DNS":     func([]byte) []byte { return nil },
		"the message is a query, no answer": func(query []byte) []byte { return query },
		`the answer is to ";other.test.\tIN`: func(query []byte) []byte {
			return packed(t, query, func(m *dns.Msg) { m.Question[0].Name = "other.test." })
		},
		"the answer has the id ": func(query []byte) []byte { return packed(t, query, func(m *dns.Msg) { m.Id++ }) },
	} {
		address := serve(t, func(conn net.Conn) {
			raw := answer(framed(conn))
			conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(raw))), raw...))
		})
		r := ask(t, block("tcp", ""), address)
		wantReason(t, r, Protocol, want)
		wantValue(t, r, "probe_dns_query_succeeded", 0)
	}
	// Over TCP an answer may have any length.
	wantSuccess(t, ask(t, block("tcp", ""), serve(t, func(conn net.Conn) {
		raw := long(t, framed(conn))
		conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(raw))), raw...))
	})))
}

func TestDNS_AStreamThatEndsTooEarlyIsReasonReset(t *testing.T) {
	for text, want := range map[string]string{
		"": "reading the length of the answer: EOF", "\x00": "reading the length of the answer: unexpected EOF",
		"\x00\x20": "reading the answer: 0 of 32 bytes", "\x00\x20abc": "reading the answer: 3 of 32 bytes",
	} {
		r := ask(t, block("tcp", ""), serve(t, func(conn net.Conn) { framed(conn); io.WriteString(conn, text) }))
		wantReason(t, r, Reset, want)
	}
}

func TestDNS_ReadsOneAnswerOfAnEndlessStreamAndHangsUp(t *testing.T) {
	for _, sound := range []bool{true, false} {
		closed := make(chan struct{})
		address := serve(t, func(conn net.Conn) {
			defer close(closed)
			if query := framed(conn); sound {
				raw := packed(t, query, func(*dns.Msg) {})
				conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(raw))), raw...))
			}
			for {
				if _, err := conn.Write([]byte(strings.Repeat("\xff", 4096))); err != nil {
					return
				}
			}
		})
		r := ask(t, block("tcp", ""), address)
		if sound {
			wantSuccess(t, r)
		} else {
			wantReason(t, r, Protocol, "")
		}
		<-closed
	}
}

func TestDNS_ATruncatedAnswerIsAnAnswerAsInBlackboxExporter(t *testing.T) {
	address := datagrams(t, func(query []byte) [][]byte {
		return [][]byte{packed(t, query, func(m *dns.Msg) { m.Truncated = true })}
	})
	r := ask(t, block("udp", ""), address)
	wantSuccess(t, r)
	wantValue(t, r, "probe_dns_query_succeeded", 1)
}

func TestDNS_AServerMayRefuseWithoutRepeatingTheQuestion(t *testing.T) {
	address := datagrams(t, func(query []byte) [][]byte {
		return [][]byte{packed(t, query, func(m *dns.Msg) { m.Question, m.Rcode = nil, dns.RcodeRefused })}
	})
	wantReason(t, ask(t, block("udp", ""), address), Status, "response code is REFUSED")
	wantSuccess(t, ask(t, block("udp", "valid_rcodes: [REFUSED]"), address))
}

func TestDNS_SerialIsZeroWhenTheAnswerHoldsNone(t *testing.T) {
	r := ask(t, block("udp", "query_type: SOA"), nameServer(t, "udp", nil, code(dns.RcodeNameError)))
	wantReason(t, r, Status, "NXDOMAIN")
	wantValue(t, r, "probe_dns_serial", 0)
}

func TestDNS_AsksFromTheSourceAddress(t *testing.T) {
	for _, transport := range []string{"udp", "tcp"} {
		hosts := make(chan string, 1)
		address := nameServer(t, transport, nil, func(w dns.ResponseWriter, query *dns.Msg) {
			host, _, _ := net.SplitHostPort(w.RemoteAddr().String())
			hosts <- host
			w.WriteMsg(new(dns.Msg).SetReply(query))
		})
		wantSuccess(t, ask(t, block(transport, "source_ip_address: 127.0.0.9"), address))
		if from := <-hosts; from != "127.0.0.9" {
			t.Errorf("%s: asked from %s", transport, from)
		}
	}
}

func TestDNS_TakesTargetsWithAndWithoutPort(t *testing.T) {
	for _, c := range []struct {
		target, host string
		port, tls    uint16
	}{
		{"ns.test", "ns.test", 53, 853}, {"ns.test:5353", "ns.test", 5353, 5353}, {"127.0.0.1", "127.0.0.1", 53, 853},
		{"::1", "::1", 53, 853}, {"[::1]", "::1", 53, 853}, {"[::1]:54", "::1", 54, 54}, {"[fe80::1%lo]:53", "fe80::1%lo", 53, 53},
		// As in blackbox_exporter these are names, which nobody knows.
		{"tcp://ns.test:53", "tcp://ns.test:53", 53, 853}, {"", "", 53, 853},
	} {
		for _, secure := range []bool{false, true} {
			want := map[bool]uint16{false: c.port, true: c.tls}[secure]
			if host, port, err := (&DNS{DNSOverTLS: secure}).server(c.target); err != nil || host != c.host || port != want {
				t.Errorf("%q: got %q, port %d, %v", c.target, host, port, err)
			}
		}
	}
}

func TestDNS_NamedChangesNothing(t *testing.T) {
	s, ca := secureSite(t, false, func(http.ResponseWriter, *http.Request) {})
	p, err := prober(t, block("tcp", "dns_over_tls: true, tls_config: {ca_file: "+ca+"}")).Named("wrong.test")
	if err != nil {
		t.Fatal(err)
	}
	wantSuccess(t, p.Run(t.Context(), nameServer(t, "tcp", s.TLS, zone(t))))
}

func TestDNS_ExplainsWhatItDoes(t *testing.T) {
	r := prober(t, block("udp", "query_type: SOA")).Explain(t.Context(), nameServer(t, "udp", nil, zone(t)))
	wantSuccess(t, r)
	var texts []string
	for _, n := range r.Notes {
		if len(n.Values)%2 != 0 {
			t.Errorf("%s: %v are no pairs", n.Text, n.Values)
		}
		texts = append(texts, n.Text)
	}
	if got := strings.Join(texts, ", "); got != "resolved, asking the name server, the name server answers"+strings.Repeat(", record", 6) {
		t.Errorf("notes: %s", got)
	}
	many := nameServer(t, "tcp", nil, func(w dns.ResponseWriter, query *dns.Msg) {
		m := new(dns.Msg).SetReply(query)
		m.Answer = slices.Repeat(records(t, "example.com. 1 IN A 127.0.0.1"), maxNotes+1)
		w.WriteMsg(m)
	})
	r = prober(t, block("tcp", "")).Explain(t.Context(), many)
	if last := r.Notes[len(r.Notes)-1].Text; last != "more records are not shown" {
		t.Errorf("last note: %s", last)
	}
	stray := datagrams(t, func(query []byte) [][]byte { return append(strays(t, query), packed(t, query, func(*dns.Msg) {})) })
	if r = prober(t, block("udp", "")).Explain(t.Context(), stray); !slices.ContainsFunc(r.Notes, func(n Note) bool { return n.Text == "passing over a datagram" }) {
		t.Errorf("notes: %v", r.Notes)
	}
}

// An answer over TCP may hold thousands of records, and expressions are slow.
func TestDNS_JudgesNothingAfterTheDeadline(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), -1)
	defer cancel()
	records := []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: "example.org."}}}
	never := []pattern{{regexp.MustCompile("never")}}
	for _, rules := range []recordRules{{FailIfMatches: never}, {FailIfAllMatch: never}, {FailIfNotMatches: never}, {FailIfNoneMatches: never}} {
		if err := rules.judge(ctx, records); reasonOf(err, Content) != Timeout || err.Error() != "judging 1 records: context deadline exceeded" {
			t.Errorf("%v: got %v", rules, err)
		}
		if err := rules.judgeAll(ctx, []string{"a"}); len(rules.FailIfAllMatch)+len(rules.FailIfNoneMatches) > 0 && reasonOf(err, Content) != Timeout {
			t.Errorf("%v, all: got %v", rules, err)
		}
	}
}

func TestDNS_NotesOfDatagramsThatAreNoAnswerAreBounded(t *testing.T) {
	stray := datagrams(t, func(query []byte) [][]byte {
		// What does not fit the buffer of the socket is lost; this does.
		return append(slices.Repeat([][]byte{{0}}, maxNotes+20), packed(t, query, func(*dns.Msg) {}))
	})
	r := prober(t, block("udp", "")).Explain(t.Context(), stray)
	wantSuccess(t, r)
	if got := strings.Count(noted(r), "passing over a datagram"); got != maxNotes {
		t.Errorf("%d notes, want %d", got, maxNotes)
	}
}

// FuzzDNSAnswer: whatever a server says, there is a result with a reason of the
// closed set and the series that are always there.
func FuzzDNSAnswer(f *testing.F) {
	p := prober(f, block("udp", `query_type: SOA, validate_answer_rrs: {fail_if_matches_regexp: [x], fail_if_not_matches_regexp: [SOA]},
		validate_additional_rrs: {fail_if_all_match_regexp: [a], fail_if_none_matches_regexp: [b]}`))
	d := &dnsProber{DNS: p.module.DNS, rcodes: []int{dns.RcodeSuccess}}
	raw, question, err := d.DNS.query()
	if err != nil {
		f.Fatal(err)
	}
	d.question = question
	f.Add(raw)
	f.Add([]byte{})
	f.Add(packed(f, raw, func(m *dns.Msg) { m.Question = nil }))
	for _, text := range []string{
		"example.com. 3600 IN SOA ns.example.com. noc.example.com. 1000 7200 3600 1209600 3600", "example.com. 1 IN A 127.0.0.1",
		`example.com. 1 IN TXT "\255" "b"`, "example.com. 1 IN SVCB 1 . alpn=h2 ipv4hint=127.0.0.1", "example.com. 1 IN NAPTR 1 1 \"\" \"\" \"\" .",
		"example.com. 1 IN LOC 52 0 0.000 N 4 0 0.000 E 0.00m", "example.com. 1 IN NSEC a.b A MX", "example.com. 1 IN TYPE65280 \\# 1 00",
	} {
		f.Add(packed(f, raw, func(m *dns.Msg) { m.Answer, m.Extra = records(f, text), records(f, text) }))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		p.probe = func(r *run) error {
			k := &inquiry{run: r, dnsProber: d}
			defer k.report()
			var err error
			if k.answer, err = k.parse(raw, 0, dns.MaxMsgSize); err != nil {
				return fail(Protocol, err)
			}
			k.explainAnswer()
			return k.judge()
		}
		r := p.Explain(t.Context(), "fuzz")
		if _, ok := value(r, "probe_dns_query_succeeded"); !ok || r.Success != (r.Reason == "") {
			t.Fatalf("success %v, reason %q, %v", r.Success, r.Reason, r.Err)
		}
		if !slices.Contains([]Reason{"", Protocol, Status, Content}, r.Reason) {
			t.Fatalf("reason %q, %v", r.Reason, r.Err)
		}
	})
}

// FuzzRecordRules: the rules hold for every record and every expression.
func FuzzRecordRules(f *testing.F) {
	f.Add("a", "a.test. 1 IN A 127.0.0.1\n")
	f.Add("^$", "")
	f.Add(`\t`, "a.test. 1 IN TXT \"x\"\nb.test. 1 IN TXT y\n")
	f.Fuzz(func(t *testing.T, expression, text string) {
		var want pattern
		if want.UnmarshalYAML(func(v any) error { *v.(*string) = expression; return nil }) != nil {
			return
		}
		var section []dns.RR
		var matched int
		for z := dns.NewZoneParser(strings.NewReader(text), ".", ""); ; {
			record, ok := z.Next()
			if !ok {
				break
			}
			if section = append(section, record); want.MatchString(record.String()) {
				matched++
			}
		}
		all, none, list := matched == len(section), matched == 0, []pattern{want}
		for _, c := range []struct {
			rules recordRules
			fails bool
		}{
			{recordRules{}, false}, {recordRules{FailIfMatches: list}, !none}, {recordRules{FailIfAllMatch: list}, !all},
			{recordRules{FailIfNotMatches: list}, !all || len(section) == 0}, {recordRules{FailIfNoneMatches: list}, none},
		} {
			if err := c.rules.judge(t.Context(), section); (err != nil) != c.fails {
				t.Errorf("%+v of %d records, %d match %q: %v", c.rules, len(section), matched, expression, err)
			}
		}
	})
}

func BenchmarkDNS(b *testing.B) {
	for _, transport := range []string{"udp", "tcp"} {
		b.Run(transport, func(b *testing.B) {
			address := nameServer(b, transport, nil, zone(b))
			p := prober(b, block(transport, "query_type: A, validate_answer_rrs: {fail_if_not_matches_regexp: ['127']}"))
			b.ReportAllocs()
			for b.Loop() {
				if r := p.Run(context.Background(), address); !r.Success {
					b.Fatal(r.Err)
				}
			}
		})
	}
}

// A connection that is only forgotten is closed by the garbage collector, too:
// it rests here.
func TestDNS_ClosesItsConnection(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	for module, begin := range map[string]string{block("tcp", ""): "\x00\x01x", block("tcp", "dns_over_tls: true"): "no TLS"} {
		closed := make(chan struct{})
		address := serve(t, func(conn net.Conn) {
			defer close(closed)
			io.WriteString(conn, begin)
			silent(conn)
		})
		ask(t, module, address)
		<-closed
	}
	from := make(chan net.Addr, 1)
	address := nameServer(t, "udp", nil, func(w dns.ResponseWriter, query *dns.Msg) {
		from <- w.RemoteAddr()
		w.WriteMsg(new(dns.Msg).SetReply(query))
	})
	wantSuccess(t, ask(t, block("udp", ""), address))
	conn, err := net.Dial("udp", (<-from).String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.Write([]byte("anybody there?"))
	conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("the socket of the probe is open after it: %v", err)
	}
}
