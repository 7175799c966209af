package probe

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestRun_PanicBecomesReasonInternal(t *testing.T) {
	p := prober(t, "{prober: tcp}")
	p.probe = func(r *run) error {
		r.add("before", "", 1)
		panic("out of order")
	}
	r := p.Run(t.Context(), "127.0.0.1:1")
	wantReason(t, r, Internal, "panic while probing: out of order")
	wantValue(t, r, "before", 1)
}

func TestRun_NeverOutlivesItsDeadline(t *testing.T) {
	drip := func(conn net.Conn) {
		readHeader(conn)
		conn.Write([]byte("HTTP/1.1 200 OK\r\n\r\n"))
		for { // an endless body
			if _, err := conn.Write(make([]byte, 512)); err != nil {
				return
			}
		}
	}
	for _, c := range []struct{ name, module, scheme string }{
		{"no answer", "{prober: http}", "http://"},
		{"no handshake", "{prober: http}", "https://"},
		{"no banner", "{prober: tcp, tcp: {query_response: [{expect: x}]}}", ""},
		{"no bytes", "{prober: tcp, tcp: {query_response: [{expect_bytes: x}]}}", ""},
		{"no TCP handshake", "{prober: tcp, tcp: {tls: true}}", ""},
	} {
		wantReason(t, within(t, 50*time.Millisecond, c.module, c.scheme+serve(t, silent)), Timeout, "")
	}
	r := within(t, 50*time.Millisecond, "{prober: http}", serve(t, drip))
	wantReason(t, r, Timeout, "reading the body")
	if r.Duration > 10*time.Second {
		t.Errorf("took %v", r.Duration)
	}
}

// TLS gives itself 5 s more for its last words, gRPC 10 s: a server that reads
// nothing would hold a probe for that long after its deadline.
func TestOpen_NoLibraryMovesTheDeadlineOfAProbe(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	r := &run{ctx: ctx}
	conn, release, err := r.open("tcp", serve(t, silent), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	for _, set := range []func(time.Time) error{conn.SetDeadline, conn.SetReadDeadline, conn.SetWriteDeadline} {
		if err := set(time.Unix(1, 0)); err != nil {
			t.Error(err)
		}
	}
	if _, err := conn.Write([]byte("x")); err != nil {
		t.Errorf("a deadline of others counts: %v", err)
	}
	cancel()
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("at the end of the probe: got %v", err)
	}
}

// A peer that goes on for ever must cost neither a descriptor nor a goroutine
// after the probe: its end of the connection sees the other one closed.
func TestEveryConnectionIsClosedAtTheEndOfItsProbe(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n"
	for _, c := range []struct{ module, begin, again string }{
		{"{prober: tcp}", "", ""},
		{"{prober: tcp, tcp: {tls: true}}", "", ""},
		{"{prober: tcp, tcp: {query_response: [{expect: never}]}}", "", "a line\n"},
		{"{prober: tcp, tcp: {query_response: [{expect_bytes: never}]}}", "nev", ""},
		{"{prober: http}", "", ""},
		{"{prober: http}", ok, "X: " + strings.Repeat("x", 1<<10) + "\r\n"},
		{"{prober: http}", ok + "\r\n", strings.Repeat("x", 1<<10)},
		{"{prober: http}", ok + "Transfer-Encoding: chunked\r\n\r\n0\r\n", "X: x\r\n"},
		{"{prober: http}", "", "HTTP/1.1 103 Early Hints\r\n\r\n"},
		{"{prober: http, http: {body_size_limit: 9B}}", ok + "\r\n", "ten bytes."},
		{"{prober: http}", "HTTP/1.1 302 Found\r\nLocation: /next\r\n\r\n", ""},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		closed := make(chan struct{})
		address := serve(t, func(conn net.Conn) {
			_, err := io.WriteString(conn, c.begin)
			for i := 0; err == nil && c.again != ""; i++ {
				if _, err = io.WriteString(conn, c.again); i == 100 {
					cancel()
				}
			}
			cancel()
			silent(conn)
			close(closed)
		})
		prober(t, c.module).Run(ctx, address)
		<-closed
	}
}

func TestRun_CancelledProbeEndsAtOnce(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	address := serve(t, func(conn net.Conn) {
		cancel()
		silent(conn)
	})
	wantReason(t, prober(t, "{prober: http}").Run(ctx, address), Internal, "")
}

func TestRun_DeadlineThatIsPastFailsWithoutConnection(t *testing.T) {
	wantReason(t, within(t, -time.Second, "{prober: tcp}", closedPort(t)), Timeout, "")
}

func TestNew_RefusesWhatCheckRefuses(t *testing.T) {
	if _, err := New(Module{Prober: "carrier pigeon"}, NewNetwork()); err == nil || err.Error() != `module of prober "carrier pigeon": prober: unknown prober "carrier pigeon"; want dns, grpc, http, icmp, tcp or unix` {
		t.Errorf("got %v", err)
	}
}

func TestReasonOf_ReadsErrorsOfTheNetwork(t *testing.T) {
	for _, c := range []struct {
		err  error
		want Reason
	}{
		{syscall.EHOSTUNREACH, Unreachable}, {syscall.ENETUNREACH, Unreachable}, {syscall.ECONNREFUSED, Refused},
		{syscall.ECONNRESET, Reset}, {syscall.EPIPE, Reset}, {syscall.ETIMEDOUT, Timeout},
		{context.DeadlineExceeded, Timeout}, {context.Canceled, Internal}, {errors.New("?"), Protocol},
		{syscall.EMFILE, Internal}, {syscall.ENFILE, Internal}, {syscall.ENOBUFS, Internal}, {syscall.ENOMEM, Internal},
	} {
		if got := reasonOf(&net.OpError{Op: "dial", Err: c.err}, Protocol); got != c.want {
			t.Errorf("%v: got %s, want %s", c.err, got, c.want)
		}
	}
}

func TestReasons_AreAllOfTheClosedSet(t *testing.T) {
	want := []Reason{"dns", "refused", "unreachable", "timeout", "reset", "tls", "certificate", "protocol", "status", "content", "size", "internal"}
	if got := Reasons(); !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
}

func TestDial_NamesANetworkThatIsNotThere(t *testing.T) {
	// TCP to the broadcast address has no route, so nothing is sent.
	wantReason(t, ask(t, "{prober: tcp}", "255.255.255.255:80"), Unreachable, "unreachable")
	wantReason(t, ask(t, "{prober: http}", "http://255.255.255.255"), Unreachable, "unreachable")
}

// answerDNS is a name server on loopback that knows the names given, by family.
func answerDNS(t *testing.T, v4, v6 map[string]netip.Addr) *net.Resolver {
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
			conn.WriteTo(answer(query[:n], v4, v6), from)
		}
	}()
	t.Cleanup(func() { conn.Close(); <-done })
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

// answer makes the Unresolved answer to a query of one question (RFC 1035, section 4).
func answer(query []byte, v4, v6 map[string]netip.Addr) []byte {
	var labels []string
	at := 12
	for query[at] != 0 {
		labels = append(labels, string(query[at+1:at+1+int(query[at])]))
		at += 1 + int(query[at])
	}
	kind := query[at+2]
	question := query[12 : at+5]
	addr := map[byte]map[string]netip.Addr{1: v4, 28: v6}[kind][strings.Join(labels, ".")]
	_, known4 := v4[strings.Join(labels, ".")]
	_, known6 := v6[strings.Join(labels, ".")]
	code, count := byte(3), byte(0)
	if known4 || known6 {
		code = 0
	}
	if addr.IsValid() {
		count = 1
	}
	out := append([]byte{query[0], query[1], 0x81, 0x80 | code, 0, 1, 0, count, 0, 0, 0, 0}, question...)
	if count == 1 {
		raw := addr.AsSlice()
		out = append(out, 0xC0, 12, 0, kind, 0, 1, 0, 0, 0, 60, 0, byte(len(raw)))
		out = append(out, raw...)
	}
	return out
}

func TestResolve_ChoosesTheFamilyAndTellsIt(t *testing.T) {
	v4 := map[string]netip.Addr{"both.test": netip.MustParseAddr("127.0.0.1"), "four.test": netip.MustParseAddr("127.0.0.1")}
	v6 := map[string]netip.Addr{"both.test": netip.MustParseAddr("::1")}
	resolver := answerDNS(t, v4, v6)
	// FNV-1a (32 bit) of 7f000001 and of 00..01, worked out by the definition.
	const hash4, hash6 = 3668918509, 1751717746
	for _, c := range []struct {
		host, family string
		fallback     bool
		protocol     float64
		hash         float64
	}{
		{"both.test.", "", true, 6, hash6}, {"both.test.", "ip6", false, 6, hash6},
		{"both.test.", "ip4", true, 4, hash4}, {"both.test.", "ip4", false, 4, hash4},
		{"four.test.", "", true, 4, hash4}, {"four.test.", "ip6", false, 0, 0},
		{"none.test.", "", true, 0, 0}, {"none.test.", "ip4", false, 0, 0},
		{"127.0.0.1", "", true, 4, hash4}, {"127.0.0.1", "ip6", false, 0, 0},
		{"::1", "ip4", true, 6, hash6}, {"::1", "ip4", false, 0, 0}, {"::ffff:127.0.0.1", "ip4", false, 4, hash4},
	} {
		r := &run{ctx: t.Context(), resolver: resolver}
		addr, _, err := r.resolve(c.host, c.family, c.fallback)
		if (err == nil) != (c.protocol > 0) || err != nil && reasonOf(err, Internal) != Unresolved {
			t.Errorf("%+v: %v, %v", c, addr, err)
		}
		result := Result{Samples: r.samples}
		wantValue(t, result, "probe_ip_protocol", c.protocol)
		if got, _ := value(result, "probe_ip_addr_hash"); c.protocol > 0 && got != c.hash || c.protocol == 0 && got != 0 {
			t.Errorf("%+v: hash %.0f", c, got)
		}
	}
}

func TestResolve_NameThatDoesNotResolveIsReasonDNS(t *testing.T) {
	for _, text := range []string{"{prober: http}", "{prober: tcp}"} {
		p := prober(t, text)
		p.resolver = answerDNS(t, nil, nil)
		r := p.Run(t.Context(), "nowhere.test.:80")
		wantReason(t, r, Unresolved, `resolving "nowhere.test.":`)
		for _, s := range r.Samples {
			if s.Name == "probe_http_duration_seconds" && s.Labels[0].Value != "resolve" {
				t.Errorf("unwanted phase %v", s.Labels)
			}
		}
		wantValue(t, r, "probe_ip_protocol", 0)
	}
}

func TestResolve_ResolverThatHangsIsReasonDNS(t *testing.T) {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	p := prober(t, "{prober: tcp}")
	p.resolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	wantReason(t, p.Run(ctx, "slow.test.:80"), Unresolved, "")
}

func TestNamed_ChangesTheNameThatIsAskedFor(t *testing.T) {
	if _, err := prober(t, "{prober: http, http: {headers: {host: a}}}").Named("b"); err == nil || err.Error() != `hostname "b" contradicts the header Host: a of the module` {
		t.Errorf("got %v", err)
	}
	if _, err := prober(t, "{prober: http, http: {headers: {host: a}}}").Named("a"); err != nil {
		t.Errorf("the same name: %v", err)
	}
	if _, err := prober(t, "{prober: tcp}").Named("b"); err != nil {
		t.Error(err)
	}
}

func TestSample_SeriesOfOneNameStandTogether(t *testing.T) {
	address := serve(t, says("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))
	for _, text := range []string{"{prober: http}", "{prober: tcp, tcp: {query_response: [{send: \"\\r\\n\\r\\n\"}, {expect: H}]}}"} {
		seen, last := map[string]bool{}, ""
		for _, s := range ask(t, text, address).Samples {
			if s.Name != last && seen[s.Name] || s.Help == "" {
				t.Errorf("%s: %+v stands apart or has no help", text, s)
			}
			seen[s.Name], last = true, s.Name
		}
	}
}
