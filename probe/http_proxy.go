package probe

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync"
	"time"

	"github.com/prometheus/common/config"
)

// relayed is an exchange through the client of prometheus/common, for proxies
// and OAuth: slower, since everything is built for each host that is asked.
type relayed struct {
	x      *exchange
	client http.RoundTripper // of the last request
	of     relayedTo         // whom the client is for
}

// relayedTo is what a client of prometheus/common is built for.
type relayedTo struct {
	serverName                string
	home, away, bared, direct bool // see the functions of these names
}

// RoundTrip implements http.RoundTripper.
func (p *relayed) RoundTrip(req *http.Request) (*http.Response, error) {
	x := p.x
	to := relayedTo{home: x.home(req.URL), away: x.away(req.URL), bared: x.bared(req.URL), direct: x.direct(req)}
	hop := req.Clone(req.Context())
	if to.home {
		to.serverName = cmp.Or(x.serverName(req), x.tls.settings.ServerName)
		x.pin(hop)
	}
	if err := p.build(to, x.settings(req.URL)); err != nil {
		x.built = x.requests > 1
		return nil, &failure{Internal, err}
	}
	times := &hopTimes{}
	answer, err := p.client.RoundTrip(hop.WithContext(httptrace.WithClientTrace(req.Context(), times.trace())))
	times.sum(x)
	if bad := untrusted(err); bad != nil && !ofHelper(err) {
		x.refused = tls.ConnectionState{PeerCertificates: bad.UnverifiedCertificates}
	}
	if err != nil {
		return nil, unspoken(err)
	}
	if x.explain && answer.TLS != nil {
		x.note("TLS handshake", "server_name", answer.TLS.ServerName, "version", tls.VersionName(answer.TLS.Version),
			"cipher", tls.CipherSuiteName(answer.TLS.CipherSuite), "protocol", answer.TLS.NegotiatedProtocol)
	}
	if answer.StatusCode == http.StatusSwitchingProtocols {
		answer.Body.Close() // it is the connection, and has no end
		answer.Body = http.NoBody
	}
	// The pinned request must not be seen by the client: its host is an address,
	// and every redirect would seem to lead to another host.
	answer.Request = req
	return answer, nil
}

// ofHelper tells whether an error is about the proxy or the server of tokens,
// whose certificates must not be shown for that of the target.
func ofHelper(err error) bool {
	var asking *url.Error
	var call *net.OpError
	return errors.As(err, &asking) || errors.As(err, &call) && call.Op == "proxyconnect"
}

// build makes the client anew unless it is for the same: a token that it got
// counts for all requests to one host.
func (p *relayed) build(to relayedTo, settings config.HTTPClientConfig) error {
	if p.client != nil && p.of == to {
		return nil
	}
	if to.direct {
		settings.ProxyConfig = config.ProxyConfig{}
	}
	settings.TLSConfig.ServerName = to.serverName
	rt, err := config.NewRoundTripperFromConfigWithContext(p.x.ctx, settings, "http_probe",
		config.WithKeepAlivesDisabled(), config.WithDialContextFunc(p.dial))
	p.client, p.of = rt, to
	return err
}

// direct tells whether no_proxy or the environment leaves the host of a request
// out. The client asks for the address, too, once that is pinned.
func (x *exchange) direct(req *http.Request) bool {
	settings := x.HTTPClientConfig.ProxyConfig
	choose := settings.Proxy()
	if choose == nil {
		return false
	}
	proxy, err := choose(req)
	return err == nil && proxy == nil
}

// dial opens the connections of the client, to the target, the proxy or the
// server of tokens. All end with the probe: the client asks for a token without
// a deadline.
func (p *relayed) dial(ctx context.Context, network, address string) (net.Conn, error) {
	x := p.x
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(x.ctx, cancel)()
	dialer := net.Dialer{KeepAlive: -1, Resolver: &net.Resolver{PreferGo: x.resolver.PreferGo, StrictErrors: x.resolver.StrictErrors, Dial: x.resolver.Dial}}
	conn, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		if x.ctx.Err() != nil {
			err = context.Cause(x.ctx)
		}
		if unknown := (*net.DNSError)(nil); errors.As(err, &unknown) {
			return nil, &failure{Unresolved, err}
		}
		return nil, fail(Unreachable, portless(err))
	}
	return &bound{dated{conn}, context.AfterFunc(x.ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })}, nil
}

// bound is a connection that a probe ends.
type bound struct {
	dated
	forget func() bool
}

// Close implements net.Conn.
func (b *bound) Close() error {
	b.forget()
	return b.Conn.Close()
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
	mu                                                                  sync.Mutex
	resolving, resolved, dialing, dialed, secureFrom, secure, got, byte time.Time

	peer string // of the connection
}

// trace notes the instants as the client passes them.
func (t *hopTimes) trace() *httptrace.ClientTrace {
	mark := func(instant *time.Time) {
		t.mu.Lock()
		defer t.mu.Unlock()
		*instant = time.Now()
	}
	return &httptrace.ClientTrace{
		ConnectStart:      func(string, string) { mark(&t.dialing) },
		DNSStart:          func(httptrace.DNSStartInfo) { mark(&t.resolving) },
		DNSDone:           func(httptrace.DNSDoneInfo) { mark(&t.resolved) },
		ConnectDone:       func(string, string, error) { mark(&t.dialed) },
		TLSHandshakeStart: func() { mark(&t.secureFrom) },
		TLSHandshakeDone:  func(tls.ConnectionState, error) { mark(&t.secure) },
		GotConn: func(c httptrace.GotConnInfo) {
			mark(&t.got)
			t.mu.Lock()
			defer t.mu.Unlock()
			t.peer = c.Conn.RemoteAddr().String()
		},
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
	if x.explain {
		x.note("connected", "address", t.peer)
	}
	x.phases[connectPhase] += t.dialed.Sub(t.dialing)
	if !t.secure.IsZero() {
		x.phases[tlsPhase] += t.secure.Sub(t.secureFrom)
	}
	x.answered = time.Now()
	if !t.byte.IsZero() {
		x.answered = t.byte
		x.phases[processingPhase] += t.byte.Sub(t.got)
	}
}
