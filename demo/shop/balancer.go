package shop

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"time"
)

// balancer passes requests to the nodes in rotation, one after the other. It
// does not look whether they live: that is what the probes are for.
type balancer struct {
	mu    sync.Mutex
	gates []*gate
	next  int
}

// gate is the balancer's view of one node.
type gate struct {
	name     string
	proxy    *httputil.ReverseProxy
	drained  bool
	requests int
	failures int
}

// newBalancer puts all nodes into rotation. Its time-outs are short: a dead node
// is to cost a customer an error, not a wait.
func newBalancer(nodes []*node) *balancer {
	b := &balancer{}
	transport := &http.Transport{
		DialContext:           (&net.Dialer{Timeout: 300 * time.Millisecond}).DialContext,
		ResponseHeaderTimeout: time.Second,
		IdleConnTimeout:       10 * time.Second,
	}
	for _, n := range nodes {
		g := &gate{name: n.name}
		to := &url.URL{Scheme: "http", Host: n.port.Addr()}
		g.proxy = &httputil.ReverseProxy{
			Rewrite:      func(r *httputil.ProxyRequest) { r.SetURL(to) },
			Transport:    transport,
			ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { b.failed(w, g) },
		}
		b.gates = append(b.gates, g)
	}
	return b
}

// users serves the entry.
func (b *balancer) users(w http.ResponseWriter, r *http.Request) {
	g := b.take()
	if g == nil {
		http.Error(w, "no node is in rotation", http.StatusServiceUnavailable)
		return
	}
	g.proxy.ServeHTTP(w, r)
}

// take gives the next node in rotation; nil when there is none.
func (b *balancer) take() *gate {
	b.mu.Lock()
	defer b.mu.Unlock()
	for range b.gates {
		g := b.gates[b.next%len(b.gates)]
		b.next++
		if !g.drained {
			g.requests++
			return g
		}
	}
	return nil
}

// failed answers for a node that did not. The request is not tried elsewhere:
// a fault must be seen by who is hurt by it.
func (b *balancer) failed(w http.ResponseWriter, g *gate) {
	b.mu.Lock()
	g.failures++
	b.mu.Unlock()
	http.Error(w, "node "+g.name+" does not answer", http.StatusBadGateway)
}

// admin is the balancer's API. Both changes may be repeated without harm.
func (b *balancer) admin(a *account) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("PUT /nodes/{name}/drain", a.note("drain", func(w http.ResponseWriter, r *http.Request) int { return b.set(w, r, true) }))
	mux.HandleFunc("PUT /nodes/{name}/ready", a.note("ready", func(w http.ResponseWriter, r *http.Request) int { return b.set(w, r, false) }))
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, b.status()) })
	return mux
}

// set takes a node out of rotation or back. The last one is never taken out.
func (b *balancer) set(w http.ResponseWriter, r *http.Request, drained bool) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	var g *gate
	left := 0
	for _, each := range b.gates {
		if each.name == r.PathValue("name") {
			g = each
		} else if !each.drained {
			left++
		}
	}
	switch {
	case g == nil:
		return answer(w, http.StatusNotFound, problem{fmt.Sprintf("no node %q", r.PathValue("name"))})
	case drained && !g.drained && left == 0:
		return answer(w, http.StatusConflict, problem{fmt.Sprintf("%s is the last node in rotation", g.name)})
	}
	g.drained = drained
	return answer(w, http.StatusOK, g.view())
}

// NodeInRotation is one node as the balancer's status shows it.
type NodeInRotation struct {
	Name     string `json:"name"`
	State    string `json:"state"` // ready or drained
	Requests int    `json:"requests"`
	Failures int    `json:"failures"`
}

// view is the status of one node; the balancer's lock is held.
func (g *gate) view() NodeInRotation {
	v := NodeInRotation{Name: g.name, State: "ready", Requests: g.requests, Failures: g.failures}
	if g.drained {
		v.State = "drained"
	}
	return v
}

// status is that of all nodes, in order.
func (b *balancer) status() []NodeInRotation {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []NodeInRotation
	for _, g := range b.gates {
		all = append(all, g.view())
	}
	return all
}

// Rotation is the balancer's status, read without going over HTTP.
func (s *Shop) Rotation() []NodeInRotation { return s.balancer.status() }
