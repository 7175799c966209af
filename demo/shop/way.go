package shop

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"sync"
	"time"

	"github.com/onefiveten/onefiveten/demo/process"
)

// Way is the network between one observer and the shop: a forward HTTP proxy
// that can be cut and mended. It passes on to loopback addresses alone.
type Way struct {
	port  *process.Port
	proxy *httputil.ReverseProxy

	mu     sync.Mutex
	server *http.Server // nil while cut
	listen net.Listener
}

// OpenWay gives a way that is whole.
func OpenWay() (*Way, error) {
	port, err := process.Reserve()
	if err != nil {
		return nil, err
	}
	w := &Way{port: port}
	// Each request has a connection of its own: a mended way knows nothing of before.
	w.proxy = &httputil.ReverseProxy{
		Rewrite:   func(*httputil.ProxyRequest) {},
		Transport: &http.Transport{DisableKeepAlives: true, ResponseHeaderTimeout: 2 * time.Second},
		ErrorHandler: func(rw http.ResponseWriter, _ *http.Request, err error) {
			http.Error(rw, err.Error(), http.StatusBadGateway)
		},
	}
	if err := w.Mend(); err != nil {
		port.Close()
		return nil, err
	}
	return w, nil
}

// URL is the proxy's address.
func (w *Way) URL() string { return w.port.URL() }

// Cut ends all connections at once; new ones are refused.
func (w *Way) Cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.server != nil {
		w.listen.Close()
		w.server.Close()
		w.server = nil
	}
}

// Mend makes the way whole again.
func (w *Way) Mend() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.server != nil {
		return nil
	}
	l, err := net.Listen("tcp", w.port.Addr())
	if err != nil {
		return fmt.Errorf("opening the way %s: %w", w.port.Addr(), err)
	}
	w.listen = l
	w.server = &http.Server{Handler: http.HandlerFunc(w.pass), ReadHeaderTimeout: 5 * time.Second}
	go w.server.Serve(l)
	return nil
}

// pass refuses all that is not plain HTTP to a loopback address: this proxy is
// nobody's way out.
func (w *Way) pass(rw http.ResponseWriter, r *http.Request) {
	addr, err := netip.ParseAddrPort(r.URL.Host)
	if err != nil || !addr.Addr().IsLoopback() || r.URL.Scheme != "http" {
		http.Error(rw, fmt.Sprintf("this way leads to loopback addresses only, not to %q", r.URL.Host), http.StatusForbidden)
		return
	}
	w.proxy.ServeHTTP(rw, r)
}

// Close cuts the way and gives its port back.
func (w *Way) Close() {
	w.Cut()
	w.port.Close()
}
