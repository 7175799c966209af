package faults

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/onefiveten/onefiveten/demo/process"
)

// How is a way of a server to fail.
type How string

// The ways. All of them make a probe of HTTP fail: at once, at its deadline, and by
// what is answered.
const (
	Refused How = "refused"
	Hangs   How = "hangs"
	Status  How = "status 500"
)

// ways are all of them.
func ways() []How { return []How{Refused, Hangs, Status} }

// server is a real HTTP service that can be broken. Its port stays its own while
// nobody listens there.
type server struct {
	port *process.Port

	mu      sync.Mutex
	how     How // empty: it is well
	serving *http.Server
}

// newServer listens on a free port of loopback until close.
func newServer() (*server, error) {
	port, err := process.Reserve()
	if err != nil {
		return nil, err
	}
	s := &server{port: port}
	l, err := net.Listen("tcp", port.Addr())
	if err != nil {
		port.Close()
		return nil, fmt.Errorf("opening a service to break: %w", err)
	}
	s.serving = &http.Server{Handler: s, ReadHeaderTimeout: time.Minute}
	go s.serving.Serve(l)
	return s, nil
}

// ServeHTTP answers as the server is by now.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	how := s.how
	s.mu.Unlock()
	switch how {
	case Hangs:
		<-r.Context().Done()
	case Status:
		w.WriteHeader(http.StatusInternalServerError)
	}
}

// breaks makes it fail, and gives the instant before that: whatever is asked later
// than it may fail, and nothing that was answered before has.
func (s *server) breaks(how How) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	began := time.Now()
	if s.how = how; how == Refused {
		s.serving.Close()
	}
	return began
}

// close ends it, and what hangs on it.
func (s *server) close() {
	s.serving.Close()
	s.port.Close()
}

// until lets time pass until an instant, or ctx ends.
func until(ctx context.Context, at time.Time) error {
	timer := time.NewTimer(time.Until(at))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
