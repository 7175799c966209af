// Package shop is the service that the demo breaks: nodes behind a balancer
// that can drain them, and a supervisor that kills and restarts them. It is
// given names; it gives addresses on 127.0.0.1 and keeps an account of every
// change that anybody asked for, as a witness from outside.
package shop

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/onefiveten/onefiveten/demo/process"
)

// Options of a shop.
type Options struct {
	Nodes   []string // names; default n1, n2, n3
	Command []string // what starts a node as a process, see Main; empty = nodes inside this process
	Logs    string   // folder for the logs of node processes
}

// Shop is a running shop.
type Shop struct {
	group      process.Group
	nodes      []*node
	balancer   *balancer
	entry      string
	admin      string
	supervisor string
	account    account
}

// Call is one change that somebody asked for over one of the two APIs.
type Call struct {
	At     time.Time
	Change string // "drain n2", "restart n1"
	Run    string // the run of heal-receiver that asked; empty = a person
	Status int    // what was answered
}

// Open starts the nodes, the balancer and the supervisor, and waits until each
// node answers.
func Open(ctx context.Context, o Options) (*Shop, error) {
	if len(o.Nodes) == 0 {
		o.Nodes = []string{"n1", "n2", "n3"}
	}
	s := &Shop{}
	if err := s.open(ctx, o); err != nil {
		s.Close()
		return nil, fmt.Errorf("opening the shop: %w", err)
	}
	return s, nil
}

// open starts the nodes first: balancer and supervisor never know a shop
// without them.
func (s *Shop) open(ctx context.Context, o Options) error {
	for _, name := range o.Nodes {
		n, err := newNode(name, o)
		if err != nil {
			return err
		}
		s.nodes = append(s.nodes, n)
		s.group.Add(n.close)
		if err := n.start(ctx); err != nil {
			return err
		}
	}
	s.balancer = newBalancer(s.nodes)
	var err error
	if s.entry, err = s.serve(http.HandlerFunc(s.balancer.users)); err != nil {
		return err
	}
	if s.admin, err = s.serve(s.balancer.admin(&s.account)); err != nil {
		return err
	}
	s.supervisor, err = s.serve(supervise(s.nodes, &s.account))
	return err
}

// serve opens a listener of its own for one face of the shop.
func (s *Shop) serve(h http.Handler) (url string, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second}
	go server.Serve(l)
	s.group.Add(func() { server.Close() })
	return "http://" + l.Addr().String(), nil
}

// Close ends everything of the shop.
func (s *Shop) Close() { s.group.Close() }

// EntryURL is what users see.
func (s *Shop) EntryURL() string { return s.entry }

// BalancerURL is the balancer's API: GET /status, PUT /nodes/NAME/drain and
// PUT /nodes/NAME/ready.
func (s *Shop) BalancerURL() string { return s.admin }

// SupervisorURL is the supervisor's API: GET /status, POST /nodes/NAME/kill,
// /nodes/NAME/start and /nodes/NAME/restart.
func (s *Shop) SupervisorURL() string { return s.supervisor }

// NodeURL is where one node listens; empty for an unknown name.
func (s *Shop) NodeURL(name string) string {
	if n := find(s.nodes, name); n != nil {
		return n.port.URL()
	}
	return ""
}

// Nodes are the names, in order.
func (s *Shop) Nodes() []string {
	var names []string
	for _, n := range s.nodes {
		names = append(names, n.name)
	}
	return names
}

// Calls are the changes asked for so far, oldest first.
func (s *Shop) Calls() []Call { return s.account.list() }

// account notes calls.
type account struct {
	mu    sync.Mutex
	calls []Call
}

// list is a copy: the account goes on.
func (a *account) list() []Call {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.calls)
}

// note wraps a change: what it does is noted with what it answered.
func (a *account) note(verb string, change func(http.ResponseWriter, *http.Request) int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		call := Call{At: time.Now(), Change: verb + " " + r.PathValue("name"), Run: r.Header.Get("X-Heal-Run")}
		call.Status = change(w, r)
		a.mu.Lock()
		defer a.mu.Unlock()
		a.calls = append(a.calls, call)
	}
}

// answer writes JSON and gives the status back.
func answer(w http.ResponseWriter, status int, body any) int {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
	return status
}

type problem struct {
	Error string `json:"error"`
}
