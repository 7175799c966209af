package faults

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// hook is where Alertmanager sends its webhooks. It keeps of every alert that fires
// the first one.
type hook struct {
	server *http.Server
	addr   string

	mu      sync.Mutex
	firing  map[key]call
	unknown error // what came and could not be read
}

// key is whose alert it is.
type key struct{ alert, service string }

// call is the first webhook of one alert.
type call struct {
	at    time.Time         // it arrived
	fired time.Time         // the rule fired, by Prometheus
	notes map[string]string // annotations
}

// message is what Alertmanager sends, as far as it is read.
type message struct {
	Alerts []struct {
		Status      string            `json:"status"`
		Labels      map[string]string `json:"labels"`
		Annotations map[string]string `json:"annotations"`
		StartsAt    time.Time         `json:"startsAt"`
	} `json:"alerts"`
}

// newHook listens on loopback until close.
func newHook() (*hook, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("opening the receiver of webhooks: %w", err)
	}
	h := &hook{addr: l.Addr().String(), firing: map[key]call{}}
	h.server = &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	go h.server.Serve(l)
	return h, nil
}

// ServeHTTP notes the instant at which a request arrives, before it is read.
func (h *hook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	at := time.Now()
	var m message
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 10<<20)).Decode(&m)
	h.mu.Lock()
	defer h.mu.Unlock()
	if err != nil {
		h.unknown = fmt.Errorf("reading a webhook: %w", err)
		return
	}
	h.take(at, m)
}

// take keeps what is the first of its kind; the lock is held.
func (h *hook) take(at time.Time, m message) {
	for _, a := range m.Alerts {
		k := key{a.Labels["alertname"], a.Labels["service"]}
		if _, known := h.firing[k]; !known && a.Status == "firing" {
			h.firing[k] = call{at, a.StartsAt, a.Annotations}
		}
	}
}

// first is the first webhook of an alert.
func (h *hook) first(alert, service string) (c call, came bool, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	c, came = h.firing[key{alert, service}]
	return c, came, h.unknown
}

// seconds reads an annotation with unix seconds; zero where there are none.
func (c call) seconds(note string) time.Time {
	s, err := strconv.ParseFloat(c.notes[note], 64)
	if err != nil {
		return time.Time{}
	}
	return time.UnixMilli(int64(s * 1000))
}
