package shop

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/onefiveten/onefiveten/demo/process"
)

const (
	nodeWord   = "shop-node"
	startLimit = 10 * time.Second
)

// Main serves one node and does not return when the program was started with
// the arguments "shop-node NAME ADDRESS"; else it does nothing. A program (or a
// TestMain) whose own path is the Command of a shop calls it first.
func Main() {
	if len(os.Args) != 4 || os.Args[1] != nodeWord {
		return
	}
	l, err := net.Listen("tcp", os.Args[3])
	if err == nil {
		err = http.Serve(l, goods(os.Args[2]))
	}
	fmt.Fprintf(os.Stderr, "node %s: %v\n", os.Args[2], err)
	os.Exit(1)
}

// Self is the Command that starts nodes from this very program.
func Self() ([]string, error) {
	path, err := os.Executable()
	return []string{path}, err
}

// goods is what a node serves.
func goods(name string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Node", name)
		fmt.Fprintf(w, "Welcome to the shop. You are served by %s.\n", name)
	})
	return mux
}

// node is one member: a fixed address, and something that lives there or not.
type node struct {
	name    string
	port    *process.Port
	command func() process.Command // nil = inside this process

	changing sync.Mutex // one start, kill or restart at a time
	mu       sync.Mutex // guards life and starts
	life     life       // nil before the first start
	starts   int
}

// life is one life of a node, from a start to its end.
type life interface {
	Kill()
	Done() <-chan struct{}
	Pid() int
	WaitReady(context.Context) error
}

// newNode keeps an address for the node; it does not start it.
func newNode(name string, o Options) (*node, error) {
	port, err := process.Reserve()
	if err != nil {
		return nil, err
	}
	n := &node{name: name, port: port}
	if len(o.Command) > 0 {
		args := append(slices.Clone(o.Command[1:]), nodeWord, name, port.Addr())
		c := process.Command{Name: "node " + name, Path: o.Command[0], Args: args, Ready: port.URL() + "/health"}
		if o.Logs != "" {
			c.Log = filepath.Join(o.Logs, name+".log")
		}
		n.command = func() process.Command { return c }
	}
	return n, nil
}

// find gives a node by its name; nil when there is none.
func find(nodes []*node, name string) *node {
	i := slices.IndexFunc(nodes, func(n *node) bool { return n.name == name })
	if i < 0 {
		return nil
	}
	return nodes[i]
}

// start begins a life and waits until the node answers; a running one is left
// as it is.
func (n *node) start(ctx context.Context) error {
	n.changing.Lock()
	defer n.changing.Unlock()
	return n.begin(ctx)
}

// begin is start with the lock held.
func (n *node) begin(ctx context.Context) error {
	if n.alive() {
		return nil
	}
	l, err := n.newLife()
	if err != nil {
		return err
	}
	n.mu.Lock()
	n.life = l
	n.starts++
	n.mu.Unlock()
	ctx, cancel := context.WithTimeoutCause(ctx, startLimit, fmt.Errorf("node %s does not answer within %s", n.name, startLimit))
	defer cancel()
	return l.WaitReady(ctx)
}

// newLife starts a process, or a server in this one.
func (n *node) newLife() (life, error) {
	if n.command != nil {
		return process.Start(n.command())
	}
	return startInside(n.name, n.port.Addr())
}

// kill ends the present life at once; a dead node is left as it is.
func (n *node) kill() {
	n.changing.Lock()
	defer n.changing.Unlock()
	n.end()
}

// end is kill with the lock held.
func (n *node) end() {
	n.mu.Lock()
	l := n.life
	n.mu.Unlock()
	if l != nil {
		l.Kill()
	}
}

// restart ends a life and begins the next in one change.
func (n *node) restart(ctx context.Context) error {
	n.changing.Lock()
	defer n.changing.Unlock()
	n.end()
	return n.begin(ctx)
}

// alive looks at the life itself: a node that died by itself is dead, too.
func (n *node) alive() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.life == nil {
		return false
	}
	select {
	case <-n.life.Done():
		return false
	default:
		return true
	}
}

// close ends the node for good.
func (n *node) close() {
	n.kill()
	n.port.Close()
}

// inside is a life in this process: a server that can be cut off at once.
type inside struct {
	server *http.Server
	listen net.Listener
	done   chan struct{}
}

// startInside listens before it returns: such a node is ready at once.
func startInside(name, addr string) (life, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	in := &inside{server: &http.Server{Handler: goods(name)}, listen: l, done: make(chan struct{})}
	go func() {
		defer close(in.done)
		_ = in.server.Serve(l)
	}()
	return in, nil
}

// Kill closes the listener itself, too: Serve may not have begun.
func (in *inside) Kill() {
	in.listen.Close()
	in.server.Close()
	<-in.done
}

func (in *inside) Done() <-chan struct{}           { return in.done }
func (in *inside) Pid() int                        { return os.Getpid() }
func (in *inside) WaitReady(context.Context) error { return nil }
