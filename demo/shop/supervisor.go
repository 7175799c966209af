package shop

import (
	"context"
	"fmt"
	"net/http"
)

// NodeLife is one node as the supervisor's status shows it.
type NodeLife struct {
	Name   string `json:"name"`
	State  string `json:"state"` // running or dead
	Pid    int    `json:"pid"`   // of the last life
	Starts int    `json:"starts"`
	URL    string `json:"url"`
}

// supervise is the supervisor's API. start and kill may be repeated without
// harm; restart ends a running node first and answers when the new one does.
func supervise(nodes []*node, a *account) http.Handler {
	mux := http.NewServeMux()
	for verb, change := range map[string]func(context.Context, *node) error{
		"kill":    func(_ context.Context, n *node) error { n.kill(); return nil },
		"start":   func(ctx context.Context, n *node) error { return n.start(ctx) },
		"restart": func(ctx context.Context, n *node) error { return n.restart(ctx) },
	} {
		mux.HandleFunc("POST /nodes/{name}/"+verb, a.note(verb, func(w http.ResponseWriter, r *http.Request) int {
			n := find(nodes, r.PathValue("name"))
			if n == nil {
				return answer(w, http.StatusNotFound, problem{fmt.Sprintf("no node %q", r.PathValue("name"))})
			}
			// A caller that goes away leaves the change whole.
			if err := change(context.WithoutCancel(r.Context()), n); err != nil {
				return answer(w, http.StatusInternalServerError, problem{err.Error()})
			}
			return answer(w, http.StatusOK, n.view())
		}))
	}
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, views(nodes)) })
	return mux
}

// view is the status of one node.
func (n *node) view() NodeLife {
	v := NodeLife{Name: n.name, State: "dead", URL: n.port.URL()}
	if n.alive() {
		v.State = "running"
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	v.Starts = n.starts
	if n.life != nil {
		v.Pid = n.life.Pid()
	}
	return v
}

// views is the status of all nodes, in order.
func views(nodes []*node) []NodeLife {
	var all []NodeLife
	for _, n := range nodes {
		all = append(all, n.view())
	}
	return all
}

// Lives is the supervisor's status, read without going over HTTP.
func (s *Shop) Lives() []NodeLife { return views(s.nodes) }
