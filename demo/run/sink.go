package run

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// sink plays the people: it takes what heal-receiver sends to its contacts.
type sink struct {
	server *http.Server
	addr   string

	mu   sync.Mutex
	mail []letter
}

// letter is one message to people.
type letter struct {
	at   time.Time
	text string
}

// openSink listens on a free port.
func openSink() (*sink, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &sink{addr: l.Addr().String()}
	s.server = &http.Server{Handler: http.HandlerFunc(s.take), ReadHeaderTimeout: 5 * time.Second}
	go s.server.Serve(l)
	return s, nil
}

// take answers 200 to everything: whatever comes has been delivered.
func (s *sink) take(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mail = append(s.mail, letter{time.Now(), words(body)})
}

// words are what a person would read of a message: its text, else all of it on
// one line.
func words(body []byte) string {
	var fields map[string]any
	if json.Unmarshal(body, &fields) == nil {
		for _, name := range []string{"text", "summary", "title"} {
			if text, ok := fields[name].(string); ok && text != "" {
				return oneLine(text)
			}
		}
	}
	return oneLine(string(body))
}

// oneLine joins what a message spreads over several lines.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// letters are what has come so far.
func (s *sink) letters() []letter {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]letter(nil), s.mail...)
}

func (s *sink) close() { s.server.Close() }
