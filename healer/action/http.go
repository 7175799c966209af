package action

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/common/config"

	"github.com/onefiveten/onefiveten/healer"
)

// errForbidden marks an address that a step may not speak to.
var errForbidden = errors.New("not allowed")

// normalHost reads host:port, as the configuration, a URL or the dialler names
// it, in the one form in which they are compared.
func normalHost(text string) (string, error) {
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		return "", fmt.Errorf("got %q, want host:port", text)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", fmt.Errorf("got %q, want a port from 1 to 65535", text)
	}
	if address, err := netip.ParseAddr(host); err == nil {
		if linkLocal(address) {
			return "", fmt.Errorf("got %q: link-local addresses are never called", text)
		}
		return net.JoinHostPort(address.String(), port), nil
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if !hostName.MatchString(host) {
		return "", fmt.Errorf("got %q, want a host name or an address before the port", text)
	}
	return net.JoinHostPort(host, port), nil
}

// hostName is a name in ASCII: any other is changed on the way to the dialler
// and would not be found among the allowed ones there.
var hostName = regexp.MustCompile(`^[a-z0-9_-]+(\.[a-z0-9_-]+)*$`)

// nat64 is the prefix behind which a gateway reaches any IPv4 address.
var nat64 = netip.MustParsePrefix("64:ff9b::/96")

// linkLocal tells whether an address is 169.254/16 or fe80::/10, in whichever
// dress: there lie the metadata services of clouds.
func linkLocal(a netip.Addr) bool {
	a = a.Unmap()
	if nat64.Contains(a) {
		sixteen := a.As16()
		a = netip.AddrFrom4([4]byte(sixteen[12:]))
	}
	return a.IsLinkLocalUnicast() || a.IsLinkLocalMulticast()
}

// checkClient refuses what would take the call past the checks of the dialled
// address.
func checkClient(c *config.HTTPClientConfig) error {
	if c == nil {
		return errors.New("is empty")
	}
	if proxied(c.ProxyConfig) || (c.OAuth2 != nil && proxied(c.OAuth2.ProxyConfig)) {
		return errors.New("a proxy is refused: whom it calls could not be checked against http.allowed_hosts")
	}
	return c.Validate()
}

func proxied(c config.ProxyConfig) bool {
	return c.ProxyFromEnvironment || (c.ProxyURL.URL != nil && c.ProxyURL.String() != "")
}

// client makes the client of one step. Connections are not kept: Go repeats a
// request by itself on one that was used before, even a POST, once it carries
// an Idempotency-Key. HTTP/2 repeats likewise.
func (e *Executor) client(settings config.HTTPClientConfig, name string) (*http.Client, error) {
	settings.EnableHTTP2 = false
	client, err := config.NewClientFromConfig(settings, name,
		config.WithDialContextFunc(e.dial), config.WithKeepAlivesDisabled(), config.WithHTTP2Disabled(),
		config.WithUserAgent("onefiveten"))
	if err != nil {
		return nil, err
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return client, nil
}

// dial connects to an allowed host and port, and to no address that is
// link-local, whatever the name resolves to.
func (e *Executor) dial(ctx context.Context, network, address string) (net.Conn, error) {
	normal, err := normalHost(address)
	if err != nil || !e.hosts[normal] {
		return nil, fmt.Errorf("dialling %s: %w: it is not in http.allowed_hosts", address, errForbidden)
	}
	conn, err := connect(ctx, network, address)
	if err != nil {
		return nil, err
	}
	if w, ok := ctx.Value(wireKey{}).(*wire); ok {
		return countedConn{Conn: conn, wire: w}, nil
	}
	return conn, conn.SetDeadline(time.Now().Add(tokenWithin))
}

// tokenWithin bounds the fetching of an OAuth 2.0 token, which has a connection
// of its own: the library asks without the context of the step, and without
// any end.
const tokenWithin = 30 * time.Second

// connect looks at every resolved address just before it is called, so that a
// name cannot lead elsewhere than it did when it was looked up.
func connect(ctx context.Context, network, address string) (net.Conn, error) {
	dialer := net.Dialer{Control: func(_, resolved string, _ syscall.RawConn) error {
		at, err := netip.ParseAddrPort(resolved)
		if err != nil || linkLocal(at.Addr()) {
			return fmt.Errorf("%w: %s is link-local", errForbidden, resolved)
		}
		return nil
	}}
	return dialer.DialContext(ctx, network, address)
}

// wire knows whether a byte of the request may have left: none has before the
// connection stands with its TLS (ready), nor before the first write after it.
type wire struct {
	ready atomic.Bool
	state atomic.Int32 // whichever of sent and shut comes first stays
}

// The states of a wire; 0 = open, and nothing was sent.
const (
	wireSent = iota + 1
	wireShut
)

// errShut is what a write on a wire meets that was shut before.
var errShut = errors.New("the time of the call was over")

// sent tells whether a byte may have left.
func (w *wire) sent() bool { return w.state.Load() == wireSent }

// shut lets no byte leave any more and tells true, unless one may have left.
func (w *wire) shut() bool {
	w.state.CompareAndSwap(0, wireShut)
	return !w.sent()
}

// watch lets the dialler and net/http report to the wire.
func (w *wire) watch(ctx context.Context) context.Context {
	ctx = context.WithValue(ctx, wireKey{}, w)
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { w.ready.Store(true) },
	})
}

// wireKey is where a context keeps the wire of its call.
type wireKey struct{}

// countedConn tells the wire of each write.
type countedConn struct {
	net.Conn
	wire *wire
}

func (c countedConn) Write(p []byte) (int, error) {
	if c.wire.ready.Load() {
		c.wire.state.CompareAndSwap(0, wireSent)
	}
	if c.wire.state.Load() == wireShut {
		return 0, errShut
	}
	return c.Conn.Write(p)
}

// safeRequest judges a rendered call.
func (e *Executor) safeRequest(r healer.Request) error {
	u, err := url.Parse(r.URL)
	if err != nil {
		return fmt.Errorf("url: %w", err)
	}
	if u.User != nil {
		return fmt.Errorf("url %q: holds a user; credentials belong into http_config", u.Redacted())
	}
	host, err := hostOf(u)
	if err != nil {
		return fmt.Errorf("url %q: %w", r.URL, err)
	}
	if !e.hosts[host] {
		return fmt.Errorf("url %q: %s is not in http.allowed_hosts", r.URL, host)
	}
	if !method.MatchString(r.Method) {
		return fmt.Errorf("url %q: got the method %q, want one such as POST", r.URL, r.Method)
	}
	return nil
}

// method is an HTTP method as everybody writes it.
var method = regexp.MustCompile(`^[A-Z]{1,20}$`)

// hostOf gives the host and port that a URL leads to.
func hostOf(u *url.URL) (string, error) {
	port := u.Port()
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return "", fmt.Errorf("got the scheme %q, want http or https", u.Scheme)
	case port == "" && u.Scheme == "http":
		port = "80"
	case port == "":
		port = "443"
	}
	return normalHost(net.JoinHostPort(u.Hostname(), port))
}

// call makes one HTTP call.
func (e *Executor) call(ctx context.Context, a healer.Action) healer.Result {
	w := &wire{}
	ctx = w.watch(ctx)
	request, err := request(ctx, a)
	if err != nil {
		return failed("making the request: %v", err)
	}
	response, err := w.do(cmp.Or(e.clients[a.HTTP.Client], e.bare), request)
	if err != nil {
		return broken(ctx, err, w.sent())
	}
	defer response.Body.Close()
	var body keeper
	_, err = io.Copy(&body, io.LimitReader(response.Body, outputLimit+1))
	result := answered(ctx, response, err, a.TransientCodes)
	result.Output = body.String()
	if body.more > 0 {
		result.Output += "\n[the answer goes on]"
	}
	return result
}

// do makes the call and returns when the context has ended, also while the
// library still waits for a token: such a call is shut and left behind.
func (w *wire) do(client *http.Client, request *http.Request) (*http.Response, error) {
	type answer struct {
		response *http.Response
		err      error
	}
	answers := make(chan answer, 1)
	go func() {
		response, err := client.Do(request)
		answers <- answer{response, err}
	}()
	select {
	case <-request.Context().Done():
		if w.shut() {
			return nil, request.Context().Err()
		}
	case got := <-answers:
		return got.response, got.err
	}
	got := <-answers // at once: what has begun to send ends with its context
	return got.response, got.err
}

// request makes the request with the claim's headers.
func request(ctx context.Context, a healer.Action) (*http.Request, error) {
	var body io.Reader
	if a.HTTP.Body != nil {
		body = bytes.NewReader(a.HTTP.Body)
	}
	r, err := http.NewRequestWithContext(ctx, a.HTTP.Method, a.HTTP.URL, body)
	if err != nil {
		return nil, err
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	claim(r.Header, a)
	return r, nil
}

// claim writes HEAL_RUN as X-Heal-Run and its like, so that the other side can
// refuse a claim that is older than one it has seen.
func claim(header http.Header, a healer.Action) {
	for name, value := range a.Env {
		if rest, ours := strings.CutPrefix(name, "HEAL_"); ours {
			header.Set("X-Heal-"+strings.ReplaceAll(rest, "_", "-"), value)
		}
	}
	if a.IdempotencyKey != "" {
		header.Set("Idempotency-Key", a.IdempotencyKey)
	}
}

// answered gives the outcome of a status (HEALING 9). A success whose body
// breaks off is in doubt, since the server may have broken off, too.
func answered(ctx context.Context, response *http.Response, broke error, transient []int) healer.Result {
	code := response.StatusCode
	switch {
	case slices.Contains(transient, code):
		return healer.Result{Outcome: healer.Transient, Cause: fmt.Sprintf("got %s, declared as without effect", response.Status)}
	case code >= 200 && code < 300 && broke == nil:
		return healer.Result{Outcome: healer.OK}
	case code >= 200 && code < 300:
		return healer.Result{Outcome: healer.InDoubt, Cause: fmt.Sprintf("got %s, then: %v", response.Status, because(ctx, broke))}
	case code >= 300 && code < 400:
		return failed("got %s to %q: redirects are not followed", response.Status, response.Header.Get("Location"))
	case code >= 400 && code < 500:
		return failed("got %s", response.Status)
	default:
		return healer.Result{Outcome: healer.InDoubt, Cause: "got " + response.Status}
	}
}

// broken gives the outcome of a call without a status.
func broken(ctx context.Context, err error, sent bool) healer.Result {
	cause := because(ctx, err)
	if refusal := refusedCertificate(err); refusal != nil {
		return failed("%v", refusal)
	}
	switch {
	case errors.Is(err, errForbidden):
		return failed("%v", cause)
	case sent:
		return healer.Result{Outcome: healer.InDoubt, Cause: fmt.Sprintf("no answer, after the request had begun: %v", cause)}
	default:
		return healer.Result{Outcome: healer.Transient, Cause: fmt.Sprintf("nothing was sent: %v", cause)}
	}
}

// refusedCertificate gives the refusal when one side did not accept the
// certificate of the other. A server that refuses ours says so before it reads
// the request; where net/http meets that alert, it may wrap it in words of its
// own, which are left out.
func refusedCertificate(err error) error {
	var theirs *tls.CertificateVerificationError
	if errors.As(err, &theirs) {
		return theirs
	}
	var remote *net.OpError
	if errors.As(err, &remote) && remote.Op == "remote error" && strings.Contains(remote.Err.Error(), "certificate") {
		return remote
	}
	return nil
}

// because prefers the reason why ctx ended, and leaves out the URL that
// net/http repeats.
func because(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	var outer *url.Error
	if errors.As(err, &outer) {
		return outer.Err
	}
	return err
}
