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
	"strings"
	"sync"
	"sync/atomic"
	"time"
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

// newWires gives the wires that the probes of one module take turns with.
func newWires() *sync.Pool { return &sync.Pool{New: func() any { return newWire() }} }

// RoundTrip sends one request over a new connection. It implements
// http.RoundTripper for the client that follows the redirects.
func (x *exchange) RoundTrip(req *http.Request) (*http.Response, error) {
	addr, err := x.hop(req.URL)
	if err != nil {
		return nil, err
	}
	var settings *tls.Config
	if req.URL.Scheme == "https" {
		if settings, err = x.tls.client(x.serverName(req), x.protocols(req)...); err != nil {
			x.built = x.requests > 1 // as in blackbox_exporter there is no request then
			return nil, err
		}
	}
	start := time.Now()
	conn, release, err := x.dial(addr, netip.Addr{})
	if err != nil {
		return nil, err
	}
	x.connected = time.Now()
	x.phases[connectPhase] += x.connected.Sub(start)
	if x.explain {
		x.note("connected", "address", conn.RemoteAddr().String(), "from", conn.LocalAddr().String())
	}
	if settings == nil {
		return x.http1(req, conn, release)
	}
	return x.overTLS(req, conn, release, settings)
}

// protocols are what is offered to the server: none means HTTP/1, as an upgrade
// to WebSocket does.
func (x *exchange) protocols(req *http.Request) []string {
	if !x.HTTPClientConfig.EnableHTTP2 || upgrades(req.Header) && strings.EqualFold(req.Header.Get("Upgrade"), "websocket") {
		return nil
	}
	return []string{"h2", "http/1.1"}
}

// upgrades tells whether a request asks for another protocol on its connection,
// which must not be closed then (RFC 9110, section 7.8).
func upgrades(header http.Header) bool {
	if header.Get("Upgrade") == "" {
		return false
	}
	for _, value := range header["Connection"] {
		for token := range strings.SplitSeq(value, ",") {
			if strings.EqualFold(strings.TrimSpace(token), "upgrade") {
				return true
			}
		}
	}
	return false
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
	if err != nil || port == 0 || u.Hostname() == "" { // of a redirect: the target was checked before
		return netip.AddrPort{}, &failure{Protocol, errors.New("redirected to a URL without a host, or to a port that is not from 1 to 65535")}
	}
	addr := x.addr
	if !x.home(u) {
		name, err := ascii(u.Hostname())
		if err != nil {
			return netip.AddrPort{}, &failure{Protocol, fmt.Errorf("redirected to a host that is no name: %w", err)}
		}
		var took time.Duration
		addr, took, err = x.address(name, x.IPProtocol, x.IPProtocolFallback)
		x.phases[resolvePhase] += took
		if err != nil {
			return netip.AddrPort{}, err
		}
		if x.explain {
			x.note("resolved another host", "host", name, "address", addr.String())
		}
	}
	return netip.AddrPortFrom(addr, uint16(port)), nil
}

// home tells whether a request goes to the host and port of the target.
func (x *exchange) home(u *url.URL) bool { return strings.EqualFold(u.Host, x.first) }

// serverName is the name that TLS asks for; empty leaves that of the settings.
// The names that a module sets are for the target only, not for redirects.
func (x *exchange) serverName(req *http.Request) string {
	host := req.URL.Hostname()
	_, err := netip.ParseAddr(host)
	switch {
	case !x.home(req.URL):
	case x.tls.settings.ServerName != "":
		return ""
	case req.Host != "": // none after a redirect to a whole URL
		host = hostOf(req.Host)
	case err == nil && x.host != "": // no certificate would be for the address
		host = hostOf(x.host)
	}
	if name, err := ascii(host); err == nil {
		return name
	}
	return host
}

// hostOf is a Host header without its port.
func hostOf(header string) string {
	if host, _, err := net.SplitHostPort(header); err == nil {
		return host
	}
	return strings.Trim(header, "[]")
}

// overTLS makes the connection a TLS one and speaks what was agreed on.
func (x *exchange) overTLS(req *http.Request, conn net.Conn, release func(), settings *tls.Config) (*http.Response, error) {
	metered := &meter{Conn: conn, left: math.MaxInt64}
	secured, state, err := x.secure(metered, settings)
	if err != nil {
		release()
		x.refused = state
		return nil, err
	}
	start := x.connected
	x.connected = time.Now()
	x.phases[tlsPhase] += x.connected.Sub(start)
	var answer *http.Response
	if state.NegotiatedProtocol == "h2" {
		answer, err = x.http2(req, secured, metered, release)
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
	// The request is the client's own and goes nowhere else, so it may be changed.
	req.Close = !upgrades(req.Header)
	sent := w.send(req)
	body := &wireBody{release: func() {
		release()
		sent.wait()
		w.in.R = nil
		x.wires.Put(w)
	}}
	answer, err := x.readAnswer(req, w)
	if err != nil {
		unsent := sent.failed()
		body.Close()
		if unsent != nil && reasonOf(err, Reset) == Reset {
			// The library hides what it was, and it was this.
			err = &failure{Reset, fmt.Errorf("sending the request: %w", unsent)}
		}
		return nil, fail(Protocol, err)
	}
	// The body has a limit of its own.
	w.in.N = math.MaxInt64
	body.ReadCloser, answer.Body = answer.Body, body
	return answer, nil
}

// maxAtOnce is how much is sent before the answer is looked for, in bytes. More
// may not fit on the way to a server that answers without reading it.
const maxAtOnce = 32 << 10

// sending is a request on its way.
type sending struct {
	done chan error // of a large one, until its end is known
	err  error
}

// send writes the request, a large one while the answer is read.
func (w *wire) send(req *http.Request) *sending {
	write := func() error {
		if err := req.Write(w.writer); err != nil {
			return err
		}
		return w.writer.Flush()
	}
	if req.ContentLength <= maxAtOnce {
		return &sending{err: write()}
	}
	s := &sending{done: make(chan error, 1)}
	go func() { s.done <- write() }()
	return s
}

// wait waits for the end.
func (s *sending) wait() {
	if s.done != nil {
		s.err = <-s.done
		s.done = nil
	}
}

// failed gives the error so far.
func (s *sending) failed() error {
	select {
	case s.err = <-s.done:
		s.done = nil
	default:
	}
	return s.err
}

// readAnswer reads the header of the final answer and skips those before it
// (100 Continue, 103 Early Hints).
func (x *exchange) readAnswer(req *http.Request, w *wire) (*http.Response, error) {
	if _, err := w.reader.Peek(1); err != nil {
		return nil, fmt.Errorf("waiting for the answer: %w", err)
	}
	x.firstByte(time.Now())
	for range maxInterim {
		answer, err := http.ReadResponse(w.reader, req)
		switch {
		case err != nil && w.in.N <= 0:
			return nil, &failure{Size, fmt.Errorf("header of the answer is larger than %d bytes", maxHeader)}
		case err != nil:
			return nil, fmt.Errorf("reading the answer: %w", err)
		case answer.StatusCode/100 != 1 || answer.StatusCode == http.StatusSwitchingProtocols:
			return answer, nil
		}
	}
	return nil, &failure{Protocol, fmt.Errorf("more than %d interim answers (1xx)", maxInterim)}
}

// firstByte ends the processing phase of a request.
func (x *exchange) firstByte(at time.Time) {
	x.answered = at
	x.phases[processingPhase] += at.Sub(x.connected)
}

// maxFields bounds a header of HTTP/2 once it is unpacked, in bytes. It is more
// than can come in maxHeader, but for a header that was packed to do harm.
const maxFields = 16 * maxHeader

// http2 sends the request over a connection that agreed on HTTP/2.
func (x *exchange) http2(req *http.Request, conn net.Conn, metered *meter, release func()) (*http.Response, error) {
	// A transport for this connection alone: its pool could hand out another one.
	transport := http.Transport{
		DialTLSContext:     func(context.Context, string, string) (net.Conn, error) { return conn, nil },
		ForceAttemptHTTP2:  true,
		DisableCompression: true,

		MaxResponseHeaderBytes: maxFields,
	}
	metered.left = maxHeader
	client, err := transport.NewClientConn(req.Context(), "https", conn.RemoteAddr().String())
	if err != nil {
		release()
		return nil, fail(Protocol, fmt.Errorf("beginning HTTP/2: %w", metered.tell(err)))
	}
	var first atomic.Int64 // the reader of the connection may outlive this function
	begin := time.Now()
	trace := httptrace.ClientTrace{GotFirstResponseByte: func() {
		metered.left = math.MaxInt64 // it is the reader who calls
		first.CompareAndSwap(0, int64(time.Since(begin)))
	}}
	answer, err := client.RoundTrip(req.WithContext(httptrace.WithClientTrace(req.Context(), &trace)))
	if took := first.Load(); took > 0 || err == nil {
		x.firstByte(begin.Add(time.Duration(took)))
	}
	if err != nil {
		client.Close()
		release()
		return nil, unspoken(metered.tell(err))
	}
	answer.Request = req
	answer.Body = &wireBody{ReadCloser: answer.Body, release: func() { client.Close(); release() }}
	return answer, nil
}

// meter is a connection that gives up after so many bytes. That the header was
// too large, the client of net/http does not tell from other mistakes.
type meter struct {
	net.Conn
	left  int64
	broke atomic.Pointer[error] // what ended the reading first
}

// Read implements net.Conn.
func (m *meter) Read(p []byte) (int, error) {
	if m.left <= 0 {
		return 0, &failure{Size, fmt.Errorf("header of the answer is larger than %d bytes, or more came before it", maxHeader)}
	}
	n, err := m.Conn.Read(p)
	m.left -= int64(n)
	if err != nil {
		m.broke.CompareAndSwap(nil, &err)
	}
	return n, err
}

// tell adds what broke the connection to an error that may not say it: that of
// net/http does not while HTTP/2 begins.
func (m *meter) tell(err error) error {
	if broke := m.broke.Load(); broke != nil && reasonOf(err, Protocol) == Protocol {
		return fmt.Errorf("%w: %w", err, *broke)
	}
	return err
}

// unspoken gives the reason of an exchange that the client of net/http gave up.
// Only the text of its errors tells that a header was too large, or that there
// was no token: what the server of tokens says beside that is not repeated, nor
// its URL, which may hold a secret.
func unspoken(err error) error {
	if quoted := (*url.Error)(nil); errors.As(err, &quoted) {
		return fail(Protocol, fmt.Errorf("asking token_url for a token: %w", quoted.Err))
	}
	if text, found := strings.CutPrefix(err.Error(), "oauth2: "); found {
		text, _, _ = strings.Cut(text, "\n")
		return &failure{Internal, errors.New("asking token_url for a token: " + text)}
	}
	for _, text := range []string{"response header list larger than advertised limit", "server response headers exceeded"} {
		if strings.Contains(err.Error(), text) {
			return &failure{Size, fmt.Errorf("header of the answer is too large: %w", err)}
		}
	}
	return fail(Protocol, err)
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
