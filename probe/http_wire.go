package probe

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/common/config"
)

// maxHeader bounds the header of an answer, in bytes.
const maxHeader = 1 << 20

// maxInterim bounds the 1xx answers before the real one.
const maxInterim = 8

// wire is what one HTTP/1 connection needs to read and write, used again.
type wire struct {
	in      io.LimitedReader
	reader  *bufio.Reader
	writer  *bufio.Writer
	scratch []byte
}

// newWire makes buffers that fit a header and read a body in few steps.
func newWire() *wire {
	return &wire{reader: bufio.NewReaderSize(nil, 4<<10), writer: bufio.NewWriterSize(nil, 1<<10), scratch: make([]byte, 8<<10)}
}

// RoundTrip sends one request over a new connection. It implements
// http.RoundTripper for the client that follows the redirects.
func (x *exchange) RoundTrip(req *http.Request) (*http.Response, error) {
	addr, err := x.hop(req.URL)
	if err != nil {
		return nil, err
	}
	start := time.Now()
	conn, release, err := x.dial(addr, netip.Addr{})
	if err != nil {
		return nil, err
	}
	x.connected = time.Now()
	x.phases[connectPhase] += x.connected.Sub(start)
	var answer *http.Response
	if req.URL.Scheme == "https" {
		answer, err = x.overTLS(req, conn, release)
	} else {
		answer, err = x.http1(req, conn, release)
	}
	if err != nil {
		release()
	}
	return answer, err
}

// hop finds the address of a request: the resolved one of the target, or that
// of another host to which it was redirected.
func (x *exchange) hop(u *url.URL) (netip.AddrPort, error) {
	if u.Scheme != "http" && u.Scheme != "https" {
		return netip.AddrPort{}, &failure{Protocol, fmt.Errorf("redirected to scheme %q, want http or https", u.Scheme)}
	}
	service := u.Port()
	if service == "" {
		service = map[bool]string{true: "443", false: "80"}[u.Scheme == "https"]
	}
	port, err := strconv.ParseUint(service, 10, 16)
	if err != nil {
		return netip.AddrPort{}, &failure{Internal, fmt.Errorf("port %q: %w", service, err)}
	}
	addr := x.addr
	if u.Host != x.first {
		var took time.Duration
		addr, took, err = x.address(u.Hostname(), x.IPProtocol, x.IPProtocolFallback)
		x.phases[resolvePhase] += took
	}
	return netip.AddrPortFrom(addr, uint16(port)), err
}

// serverName is the name that TLS asks for; empty leaves that of the settings.
// The names that a module sets are for the target only, not for redirects.
func (x *exchange) serverName(u *url.URL) string {
	if u.Host != x.first {
		return u.Hostname()
	}
	if x.tls.settings.ServerName != "" {
		return ""
	}
	if x.host == "" {
		return u.Hostname()
	}
	if host, _, err := net.SplitHostPort(x.host); err == nil {
		return host
	}
	return x.host
}

// overTLS makes the connection a TLS one and speaks what was agreed on.
func (x *exchange) overTLS(req *http.Request, conn net.Conn, release func()) (*http.Response, error) {
	protocols := []string{"h2", "http/1.1"}
	if !x.HTTPClientConfig.EnableHTTP2 {
		protocols = protocols[1:]
	}
	settings, err := x.tls.client(x.serverName(req.URL), protocols...)
	if err != nil {
		return nil, err
	}
	secured, state, err := handshake(conn, settings)
	if err != nil {
		x.refused = state
		return nil, err
	}
	start := x.connected
	x.connected = time.Now()
	x.phases[tlsPhase] += x.connected.Sub(start)
	var answer *http.Response
	if state.NegotiatedProtocol == "h2" {
		answer, err = x.http2(req, secured, release)
	} else {
		answer, err = x.http1(req, secured, release)
	}
	if answer != nil {
		answer.TLS = &state
	}
	return answer, err
}

// http1 writes the request and reads the header of the answer. An error while
// writing counts only when no answer came: a server may answer early.
func (x *exchange) http1(req *http.Request, conn net.Conn, release func()) (*http.Response, error) {
	w := x.wires.Get().(*wire)
	w.in = io.LimitedReader{R: conn, N: maxHeader}
	w.reader.Reset(&w.in)
	w.writer.Reset(conn)
	body := &wireBody{release: func() {
		release()
		w.in.R = nil
		x.wires.Put(w)
	}}
	// The request is the client's own and goes nowhere else, so it may be changed.
	req.Close = true
	writing := req.Write(w.writer)
	if writing == nil {
		writing = w.writer.Flush()
	}
	answer, err := x.readAnswer(req, w)
	if err != nil {
		body.release()
		body.release = func() {}
		if writing != nil {
			err = fmt.Errorf("sending the request: %w", writing)
		}
		return nil, fail(Protocol, err)
	}
	// The body has a limit of its own.
	w.in.N = math.MaxInt64
	body.ReadCloser, answer.Body = answer.Body, body
	return answer, nil
}

// readAnswer reads the header of the final answer and skips those before it
// (100 Continue, 103 Early Hints).
func (x *exchange) readAnswer(req *http.Request, w *wire) (*http.Response, error) {
	if _, err := w.reader.Peek(1); err != nil {
		return nil, fmt.Errorf("waiting for the answer: %w", err)
	}
	x.firstByte()
	for range maxInterim {
		answer, err := http.ReadResponse(w.reader, req)
		switch {
		case err != nil && w.in.N <= 0:
			return nil, &failure{Size, fmt.Errorf("header of the answer is larger than %d bytes", maxHeader)}
		case err != nil:
			return nil, fmt.Errorf("reading the answer: %w", err)
		case answer.StatusCode >= 200 || answer.StatusCode == http.StatusSwitchingProtocols:
			return answer, nil
		}
	}
	return nil, &failure{Protocol, fmt.Errorf("more than %d interim answers (1xx)", maxInterim)}
}

// firstByte ends the processing phase of a request.
func (x *exchange) firstByte() {
	x.answered = time.Now()
	x.phases[processingPhase] += x.answered.Sub(x.connected)
}

// http2 sends the request over a connection that agreed on HTTP/2.
func (x *exchange) http2(req *http.Request, conn net.Conn, release func()) (*http.Response, error) {
	// A transport for this connection alone: its pool could hand out another one.
	transport := http.Transport{
		DialTLSContext:     func(context.Context, string, string) (net.Conn, error) { return conn, nil },
		ForceAttemptHTTP2:  true,
		DisableCompression: true,

		MaxResponseHeaderBytes: maxHeader,
	}
	client, err := transport.NewClientConn(req.Context(), "https", conn.RemoteAddr().String())
	if err != nil {
		return nil, fail(Protocol, fmt.Errorf("beginning HTTP/2: %w", err))
	}
	var once sync.Once
	trace := httptrace.ClientTrace{GotFirstResponseByte: func() { once.Do(x.firstByte) }}
	answer, err := client.RoundTrip(req.WithContext(httptrace.WithClientTrace(req.Context(), &trace)))
	if err != nil {
		client.Close()
		return nil, fail(Protocol, err)
	}
	once.Do(x.firstByte)
	answer.Request = req
	answer.Body = &wireBody{ReadCloser: answer.Body, release: func() { client.Close(); release() }}
	return answer, nil
}

// wireBody is a body whose end closes its connection. It never reads on to
// the end of the body as that of net/http does.
type wireBody struct {
	io.ReadCloser
	release func()
	closed  bool
}

// Read implements io.Reader. After Close the buffers belong to another probe.
func (b *wireBody) Read(p []byte) (int, error) {
	if b.closed {
		return 0, errors.New("body is closed")
	}
	return b.ReadCloser.Read(p)
}

// Close ends the connection and gives the buffers back, once.
func (b *wireBody) Close() error {
	if !b.closed {
		b.closed = true
		b.release()
	}
	return nil
}

// relayed is an exchange through the client of prometheus/common, for proxies
// and OAuth: slower, since everything is built for each request.
type relayed exchange

// RoundTrip implements http.RoundTripper.
func (p *relayed) RoundTrip(req *http.Request) (*http.Response, error) {
	x := (*exchange)(p)
	settings := x.HTTPClientConfig
	if x.away(req.URL) {
		settings = withoutSecrets(settings)
	}
	settings.TLSConfig.ServerName = ""
	hop := req.Clone(req.Context())
	if req.URL.Host == x.first {
		settings.TLSConfig.ServerName = x.tls.settings.ServerName
		if name := x.serverName(req.URL); name != "" {
			settings.TLSConfig.ServerName = name
		}
		x.pin(hop)
	}
	rt, err := config.NewRoundTripperFromConfigWithContext(req.Context(), settings, "http_probe", config.WithKeepAlivesDisabled(),
		config.WithDialContextFunc((&net.Dialer{KeepAlive: -1}).DialContext))
	if err != nil {
		return nil, &failure{Internal, err}
	}
	times := &hopTimes{start: time.Now()}
	answer, err := rt.RoundTrip(hop.WithContext(httptrace.WithClientTrace(req.Context(), times.trace())))
	times.sum(x)
	if bad := untrusted(err); bad != nil {
		x.refused = tls.ConnectionState{PeerCertificates: bad.UnverifiedCertificates}
	}
	if err != nil {
		return nil, fail(Protocol, err)
	}
	// The pinned request must not be seen by the client: its host is an address,
	// and every redirect would seem to lead to another host.
	answer.Request = req
	return answer, nil
}

// pin replaces the host of a URL by the resolved address, so that proxy and
// client cannot choose another one.
func (x *exchange) pin(req *http.Request) {
	if !x.addr.IsValid() {
		return
	}
	if req.Host == "" {
		req.Host = req.URL.Host
	}
	host := x.addr.String()
	if x.addr.Is6() {
		host = "[" + host + "]"
	}
	if port := req.URL.Port(); port != "" {
		host += ":" + port
	}
	req.URL.Host = host
}

// hopTimes are the instants of one request through the client of net/http,
// which tells them from goroutines of its own.
type hopTimes struct {
	mu                                                                sync.Mutex
	start, resolving, resolved, dialed, secureFrom, secure, got, byte time.Time
}

// trace notes the instants as the client passes them.
func (t *hopTimes) trace() *httptrace.ClientTrace {
	mark := func(instant *time.Time) {
		t.mu.Lock()
		defer t.mu.Unlock()
		*instant = time.Now()
	}
	return &httptrace.ClientTrace{
		DNSStart:             func(httptrace.DNSStartInfo) { mark(&t.resolving) },
		DNSDone:              func(httptrace.DNSDoneInfo) { mark(&t.resolved) },
		ConnectDone:          func(string, string, error) { mark(&t.dialed) },
		TLSHandshakeStart:    func() { mark(&t.secureFrom) },
		TLSHandshakeDone:     func(tls.ConnectionState, error) { mark(&t.secure) },
		GotConn:              func(httptrace.GotConnInfo) { mark(&t.got) },
		GotFirstResponseByte: func() { mark(&t.byte) },
	}
}

// sum adds what was reached to the phases. Resolving counts for redirects only:
// before that it is the proxy that is looked up.
func (t *hopTimes) sum(x *exchange) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if x.redirects > 0 && !t.resolved.IsZero() {
		x.phases[resolvePhase] += t.resolved.Sub(t.resolving)
	}
	if t.got.IsZero() {
		return
	}
	begin := t.start
	if !t.resolved.IsZero() {
		begin = t.resolved
	}
	x.phases[connectPhase] += t.dialed.Sub(begin)
	if !t.secure.IsZero() {
		x.phases[tlsPhase] += t.secure.Sub(t.secureFrom)
	}
	if !t.byte.IsZero() {
		x.answered = t.byte
		x.phases[processingPhase] += t.byte.Sub(t.got)
	}
}
