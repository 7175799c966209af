package probe

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// nasty is a server that means ill, and what a probe of it must come to.
type nasty struct {
	name   string
	module string
	scheme string // before the address
	on     string // network: tcp unless it is unix or udp
	talk   func(net.Conn)
	want   Reason
}

// Texts that servers of each protocol begin with.
const (
	httpOK     = "HTTP/1.1 200 OK\r\n"
	settings   = "\x00\x00\x00\x04\x00\x00\x00\x00\x00"         // the first frame of HTTP/2
	pingFrame  = "\x00\x00\x08\x06\x00\x00\x00\x00\x0012345678" // asks for an answer
	record     = "\x16\x03\x03\x3f\xff"                         // of TLS: a handshake message of 16 KiB less a byte
	serverHi   = "\x02\x00\x3f\x00"                             // begins a ServerHello of that length
	bigMessage = "\x02\xff\xff\xff"                             // … of 16 MiB
)

// resets hangs up with RST once the client has spoken, or at once when it is
// not one that speaks first.
func resets(waits bool) func(net.Conn) {
	return func(conn net.Conn) {
		if waits {
			conn.Read(make([]byte, 1<<10))
		}
		abort(conn)
	}
}

// abort ends a connection with RST, and one that knows none at once.
func abort(conn net.Conn) {
	if secured, ok := conn.(*tls.Conn); ok {
		conn = secured.NetConn()
	}
	if _, ok := conn.(*net.TCPConn); ok {
		reset(conn)
	}
	conn.Close()
}

// drips writes a text, then one byte after the other, slowly, without end.
func drips(begin, again string) func(net.Conn) {
	return func(conn net.Conn) {
		go io.Copy(io.Discard, conn)
		_, err := io.WriteString(conn, begin)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for i := 0; err == nil; i++ {
			<-tick.C
			_, err = conn.Write([]byte{again[i%len(again)]})
		}
	}
}

// floods writes a text, then another one as fast as it is taken, without end.
func floods(begin, again string) func(net.Conn) {
	chunk := []byte(strings.Repeat(again, 1+(16<<10)/len(again)))
	return func(conn net.Conn) {
		go io.Copy(io.Discard, conn)
		_, err := io.WriteString(conn, begin)
		for err == nil {
			_, err = conn.Write(chunk)
		}
	}
}

// stuffs is floods without reading: what the client answers piles up.
func stuffs(begin, again string) func(net.Conn) {
	chunk := []byte(strings.Repeat(again, 1+(16<<10)/len(again)))
	return func(conn net.Conn) {
		_, err := io.WriteString(conn, begin)
		for err == nil {
			_, err = conn.Write(chunk)
		}
	}
}

// frame is one of HTTP/2 (RFC 9113, section 4.1) on the first stream.
func frame(kind, flags byte, payload string) string {
	n := len(payload)
	return string([]byte{byte(n >> 16), byte(n >> 8), byte(n), kind, flags, 0, 0, 0, 1}) + payload
}

// fields are header fields as HPACK writes them plainly, 14 bytes each.
func fields(n int) string { return strings.Repeat("\x00\x01x\x0aaaaaaaaaaa", n) }

// encrypted makes a server one over TLS that agrees on a protocol.
func encrypted(pair tls.Certificate, protocol string, talk func(net.Conn)) func(net.Conn) {
	settings := &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: []string{protocol}}
	return func(conn net.Conn) {
		over := tls.Server(conn, settings)
		defer over.Close()
		if over.Handshake() == nil {
			talk(over)
		}
	}
}

// nasties are all protocols before all kinds of servers that mean ill. Datagrams
// come to a server as a connection of their own.
func nasties(t testing.TB) []nasty {
	site, ca := secureSite(t, true, func(http.ResponseWriter, *http.Request) {})
	pair, trust := site.TLS.Certificates[0], ", tls_config: {ca_file: "+ca+"}"
	const (
		http1  = "{prober: http}"
		limit  = "{prober: http, http: {body_size_limit: 1KB}}"
		line   = "{prober: tcp, tcp: {query_response: [{expect: never}]}}"
		raw    = "{prober: tcp, tcp: {query_response: [{expect_bytes: never}]}}"
		secure = "{prober: tcp, tcp: {tls: true}}"
		script = "{prober: unix, unix: {query_response: [{expect: never}]}}"
		stream = "{prober: dns, dns: {query_name: example.org, transport_protocol: tcp}}"
		dgram  = "{prober: dns, dns: {query_name: example.org}}"
		dot    = "{prober: dns, dns: {query_name: example.org, transport_protocol: tcp, dns_over_tls: true}}"
		health = "{prober: grpc}"
	)
	h2, rpc := "{prober: http, http: {preferred_ip_protocol: ip4"+trust+"}}", "{prober: grpc, grpc: {tls: true"+trust+"}}"
	over := func(protocol string, talk func(net.Conn)) func(net.Conn) { return encrypted(pair, protocol, talk) }
	endlessHeader := settings + frame(1, 0, fields(1000))
	more := frame(9, 0, fields(1000))
	return []nasty{
		{"http hangs", http1, "http://", "tcp", silent, Timeout},
		{"http resets", http1, "http://", "tcp", resets(true), Reset},
		{"http drips its header", http1, "http://", "tcp", drips(httpOK+"X: ", "x"), Timeout},
		{"http drips its body", http1, "http://", "tcp", drips(httpOK+"\r\n", "x"), Timeout},
		{"http drips chunks", http1, "http://", "tcp", drips(httpOK+"Transfer-Encoding: chunked\r\n\r\n", "1\r\nx\r\n"), Timeout},
		{"http sends an endless header", http1, "http://", "tcp", floods(httpOK, "X: x\r\n"), Size},
		{"http sends an endless line", http1, "http://", "tcp", floods(httpOK+"X: ", "x"), Size},
		{"http sends endless interim answers", http1, "http://", "tcp", floods("", "HTTP/1.1 103 Early Hints\r\n\r\n"), Protocol},
		{"http sends an endless body", http1, "http://", "tcp", floods(httpOK+"\r\n", "x"), Timeout},
		{"http sends an endless body beyond its limit", limit, "http://", "tcp", floods(httpOK+"\r\n", "x"), Size},
		{"http sends an endless trailer", http1, "http://", "tcp", floods(httpOK+"Transfer-Encoding: chunked\r\n\r\n0\r\n", "X: x\r\n"), Protocol},
		{"http sends no HTTP", http1, "http://", "tcp", floods("", "SSH-2.0-x\r\n"), Protocol},
		{"https hangs", http1, "https://", "tcp", silent, Timeout},
		{"https resets", http1, "https://", "tcp", resets(true), Reset},
		{"https drips its handshake", http1, "https://", "tcp", drips(record+serverHi, "\x00"), Timeout},
		{"https sends an endless handshake", http1, "https://", "tcp", floods(record+bigMessage, "\x00"), TLS},
		{"https sends no TLS", http1, "https://", "tcp", floods("", "x"), TLS},
		{"http2 hangs", h2, "https://", "tcp", over("h2", silent), Timeout},
		{"http2 resets", h2, "https://", "tcp", over("h2", resets(true)), Reset},
		{"http2 drips pings", h2, "https://", "tcp", over("h2", drips(settings, pingFrame)), Timeout},
		{"http2 sends endless pings", h2, "https://", "tcp", over("h2", floods(settings, pingFrame)), Size},
		{"http2 sends endless pings and reads nothing", h2, "https://", "tcp", over("h2", stuffs(settings+frame(1, 4, "\x88"), pingFrame)), Timeout},
		{"http2 sends an endless header", h2, "https://", "tcp", over("h2", floods(endlessHeader, more)), Size},
		{"http2 sends no HTTP/2", h2, "https://", "tcp", over("h2", floods("", "x")), Protocol},
		{"tcp hangs", line, "", "tcp", silent, Timeout},
		{"tcp resets", line, "", "tcp", resets(false), Reset},
		{"tcp drips a line", line, "", "tcp", drips("", "x"), Timeout},
		{"tcp drips lines", line, "", "tcp", drips("", "x\n"), Timeout},
		{"tcp sends an endless line", line, "", "tcp", floods("", "x"), Size},
		{"tcp sends endless lines", line, "", "tcp", floods("", "no\n"), Timeout},
		{"tcp sends other bytes without end", raw, "", "tcp", floods("", "x"), Content},
		{"tcp hangs up", line, "", "tcp", func(net.Conn) {}, Content},
		{"tls hangs", secure, "", "tcp", silent, Timeout},
		{"tls resets", secure, "", "tcp", resets(true), Reset},
		{"tls drips its handshake", secure, "", "tcp", drips(record+serverHi, "\x00"), Timeout},
		{"tls sends an endless handshake", secure, "", "tcp", floods(record+bigMessage, "\x00"), TLS},
		{"unix hangs", script, "", "unix", silent, Timeout},
		{"unix hangs up", script, "", "unix", func(net.Conn) {}, Content},
		{"unix drips a line", script, "", "unix", drips("", "x"), Timeout},
		{"unix sends an endless line", script, "", "unix", floods("", "x"), Size},
		{"dns over udp hangs", dgram, "", "udp", func(net.Conn) {}, Timeout},
		{"dns over udp sends noise", dgram, "", "udp", noise(100), Timeout},
		{"dns over udp sends a broken answer", dgram, "", "udp", cutShort, Protocol},
		{"dns over tcp hangs", stream, "", "tcp", silent, Timeout},
		{"dns over tcp resets", stream, "", "tcp", resets(true), Reset},
		{"dns over tcp drips", stream, "", "tcp", drips("\xff\xff", "\x00"), Timeout},
		{"dns over tcp sends without end", stream, "", "tcp", floods("", "\xff"), Protocol},
		{"dns over tls hangs", dot, "", "tcp", silent, Timeout},
		{"dns over tls resets", dot, "", "tcp", resets(true), Reset},
		{"grpc hangs", health, "", "tcp", silent, Timeout},
		{"grpc resets", health, "", "tcp", resets(true), Reset},
		{"grpc drips pings", health, "", "tcp", drips(settings, pingFrame), Timeout},
		{"grpc sends endless pings", health, "", "tcp", floods(settings, pingFrame), Timeout},
		{"grpc sends endless pings and reads nothing", health, "", "tcp", stuffs(settings, pingFrame), Timeout},
		{"grpc sends an endless header", health, "", "tcp", floods(endlessHeader, more), Protocol},
		{"grpc sends no HTTP/2", health, "", "tcp", floods("", "x"), Protocol},
		{"grpc over tls hangs", rpc, "", "tcp", over("h2", silent), Timeout},
		{"grpc over tls sends endless pings and reads nothing", rpc, "", "tcp", over("h2", stuffs(settings, pingFrame)), Timeout},
		{"grpc over tls resets", rpc, "", "tcp", over("h2", resets(true)), Reset},
	}
}

// open starts the server and gives the target.
func (n nasty) open(t testing.TB) string {
	switch n.on {
	case "unix":
		return serveOn(t, "unix", filepath.Join(t.TempDir(), "s"), n.talk)
	case "udp":
		return answerDatagrams(t, n.talk)
	}
	return n.scheme + serve(t, n.talk)
}

// exchangeOf is one datagram that came, as a connection: what is written goes
// back to the sender.
type exchangeOf struct {
	net.PacketConn
	query []byte
	from  net.Addr
}

func (e *exchangeOf) Read(p []byte) (int, error)  { return copy(p, e.query), nil }
func (e *exchangeOf) Write(p []byte) (int, error) { return e.WriteTo(p, e.from) }
func (e *exchangeOf) RemoteAddr() net.Addr        { return e.from }

// answerDatagrams treats every datagram by talk.
func answerDatagrams(t testing.TB, talk func(net.Conn)) string {
	t.Helper()
	l, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		query := make([]byte, 1500)
		for {
			n, from, err := l.ReadFrom(query)
			if err != nil {
				return
			}
			talk(&exchangeOf{l, query[:n], from})
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l.LocalAddr().String()
}

// noise sends n datagrams that are no answer.
func noise(n int) func(net.Conn) {
	return func(conn net.Conn) {
		for range n {
			io.WriteString(conn, "noise")
		}
	}
}

// cutShort answers with the id of the query, and a record that ends too early.
func cutShort(conn net.Conn) {
	query := make([]byte, 1500)
	n, _ := conn.Read(query)
	query[2] |= 0x80
	query[7] = 1
	conn.Write(append(query[:n], "\xc0\x0c\x00\x01\x00"...))
}

// brief is enough for a server on loopback to begin, and short for one that
// never ends.
const brief = 60 * time.Millisecond

func TestRobust_EveryProtocolGivesTheReasonForEveryNastyServer(t *testing.T) {
	for _, n := range nasties(t) {
		t.Run(n.name, func(t *testing.T) {
			t.Parallel()
			timeout := 30 * time.Second
			if n.want == Timeout {
				timeout = brief
			}
			r := within(t, timeout, n.module, n.open(t))
			wantReason(t, r, n.want, "")
			if r.Err != nil && len(r.Err.Error()) > 2<<10 {
				t.Errorf("the error has %d bytes: %.200s…", len(r.Err.Error()), r.Err)
			}
			// The clock decides where it is to decide, and nowhere else. On a busy machine
			// everything takes its time.
			if most := 20 * time.Second; r.Duration > most {
				t.Errorf("took %v, want %v at most of the %v that it has", r.Duration, most, timeout)
			}
		})
	}
}

// mebibytes allocated by a probe and its server.
func mebibytes(probe func()) float64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	probe()
	runtime.ReadMemStats(&after)
	return float64(after.TotalAlloc-before.TotalAlloc) / (1 << 20)
}

// What a limit ends may cost that limit and what growing to it takes, not more.
func TestRobust_EndlessAnswersTakeNoMoreMemoryThanTheirLimit(t *testing.T) {
	limits := map[string]float64{ // MiB
		"http sends an endless header":                24,
		"http sends an endless line":                  24,
		"http sends endless interim answers":          1,
		"http sends an endless body beyond its limit": 1,
		"http sends an endless trailer":               24,
		"http sends no HTTP":                          2,
		"https sends an endless handshake":            2,
		"http2 sends an endless header":               24,
		"tcp sends an endless line":                   2,
		"tcp sends other bytes without end":           1,
		"unix sends an endless line":                  2,
		"dns over tcp sends without end":              2,
		"grpc sends an endless header":                24,
	}
	for _, n := range nasties(t) {
		most, ok := limits[n.name]
		if !ok {
			continue
		}
		delete(limits, n.name)
		target, p := n.open(t), prober(t, n.module)
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		got := mebibytes(func() { wantReason(t, p.Run(ctx, target), n.want, "") })
		cancel()
		if got > most {
			t.Errorf("%s: allocated %.1f MiB, want %g at most", n.name, got, most)
		}
	}
	if len(limits) > 0 {
		t.Errorf("there are no such servers: %v", limits)
	}
}

func TestRobust_MatchedBodyIsBoundedThoughNobodySetALimit(t *testing.T) {
	target := serve(t, floods(httpOK+"\r\n", "x"))
	p := prober(t, "{prober: http, http: {fail_if_body_matches_regexp: [never]}}")
	var r Result
	got := mebibytes(func() { r = p.Run(t.Context(), target) })
	wantReason(t, r, Size, fmt.Sprint(maxMatched))
	if most := 8 * float64(maxMatched) / (1 << 20); got > most {
		t.Errorf("allocated %.1f MiB, want %g at most", got, most)
	}
}

func TestRobust_BodyThatUnpacksWithoutEndIsBounded(t *testing.T) {
	var bomb bytes.Buffer
	w := gzip.NewWriter(&bomb)
	if _, err := w.Write(make([]byte, 8<<20)); err != nil {
		t.Fatal(err)
	}
	w.Close()
	target := serve(t, says(httpOK+"\r\n"+bomb.String()))
	var r Result
	p := prober(t, "{prober: http, http: {compression: gzip, body_size_limit: 1MB, fail_if_body_matches_regexp: [never]}}")
	got := mebibytes(func() { r = p.Run(t.Context(), target) })
	wantReason(t, r, Size, "larger than 1048576 bytes")
	if got > 16 {
		t.Errorf("allocated %.1f MiB", got)
	}
}

// What has no limit but the deadline must not be kept: the server looks at the
// heap once the probe has swallowed much.
func TestRobust_WhatIsReadToNoEndIsNotKept(t *testing.T) {
	const much, most = 48 << 20, 12 << 20
	for _, c := range []struct{ module, begin, again string }{
		{"{prober: http}", httpOK + "\r\n", strings.Repeat("x", 16<<10)},
		{"{prober: http}", httpOK + "Transfer-Encoding: chunked\r\n\r\n", "4000\r\n" + strings.Repeat("x", 16<<10) + "\r\n"},
		{"{prober: tcp, tcp: {query_response: [{expect: never}]}}", "", strings.Repeat(strings.Repeat("x", 1<<10)+"\n", 16)},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		grown := make(chan uint64, 1)
		chunk := []byte(c.again)
		target := serve(t, func(conn net.Conn) {
			defer cancel()
			before := heap()
			io.WriteString(conn, c.begin)
			for sent := 0; sent < much; sent += len(chunk) {
				if _, err := conn.Write(chunk); err != nil {
					return
				}
			}
			grown <- max(heap(), before) - before
		})
		prober(t, c.module).Run(ctx, target)
		select {
		case got := <-grown:
			if got > most {
				t.Errorf("%s: after %d bytes the heap has grown by %d", c.module, much, got)
			}
		default:
			t.Errorf("%s: the probe ended before %d bytes", c.module, much)
		}
	}
}

// heap is what is in use.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestNasties_CoverEveryProtocolAndKind(t *testing.T) {
	all := nasties(t)
	for _, protocol := range []string{"http", "https", "http2", "tcp", "tls", "unix", "dns over udp", "dns over tcp", "dns over tls", "grpc", "grpc over tls"} {
		if !slices.ContainsFunc(all, func(n nasty) bool { return n.name == protocol+" hangs" }) {
			t.Errorf("no %s server hangs", protocol)
		}
	}
}
