package console

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/onefiveten/onefiveten/healer"
)

// maxBody is the largest notification (HEALING 3).
const maxBody = 4 << 20

// maxAccepts bounds the notifications that are held in memory at once; others
// wait before they are read, for acceptWait at most, and are then overload.
const (
	maxAccepts = 32
	acceptWait = 10 * time.Second
)

// Healer is what the API asks the healer to do. who is the client's name. An
// operation that the incident's state forbids answers *healer.Conflict, an
// unknown id healer.ErrNotFound, a body that cannot be read *healer.BadNotification.
type Healer interface {
	Accept(ctx context.Context, source string, body []byte) error

	Ack(ctx context.Context, incident, who string) error
	Take(ctx context.Context, incident, who string) error
	Retry(ctx context.Context, incident, who string) error
	Close(ctx context.Context, incident, who string) error
	Abort(ctx context.Context, run, who string) error
	Resolve(ctx context.Context, run, who string, changed bool) error
	Release(ctx context.Context, mitigation, who string) error
	Forget(ctx context.Context, mitigation, who string) error

	Review(ctx context.Context, incident string) (string, error)
}

// Options are what the console needs.
type Options struct {
	Healer   Healer
	Store    healer.Store
	Auth     func() *Auth // in force; it may change between two requests
	Insecure bool         // no authentication at all; the caller has made sure of a loopback address
	Ready    func() error
	Reload   func() error
	Registry *prometheus.Registry
}

type server struct {
	Options
	guard         *guard
	accepting     chan struct{} // one entry for each notification in memory
	notifications *prometheus.CounterVec
	seconds       prometheus.Histogram
}

// New makes the handler of all paths, which answers 403 to what a browser sends
// for a page of another origin unless it only reads (GET, HEAD), and registers
// the console's own metrics on the registry.
func New(o Options) (http.Handler, error) {
	s := &server{
		Options: o, guard: newGuard(o.Auth, o.Insecure), accepting: make(chan struct{}, maxAccepts),
		notifications: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "heal_notifications_total", Help: "Webhook requests by source and answered status code.",
		}, []string{"source", "code"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "heal_accept_seconds", Help: "Time from a notification's arrival to its durable acceptance.",
			Buckets: []float64{.001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 5},
		}),
	}
	for _, c := range []prometheus.Collector{s.notifications, s.seconds} {
		if err := o.Registry.Register(c); err != nil {
			return nil, fmt.Errorf("registering the console's metrics: %w", err)
		}
	}
	for _, c := range o.Auth().Clients {
		if c.Source != "" {
			s.notifications.WithLabelValues(c.Source, "200")
		}
	}
	return s.routes(), nil
}

func (s *server) routes() http.Handler {
	mux := http.NewServeMux()
	handle := func(pattern string, role Role, h http.HandlerFunc) { mux.HandleFunc(pattern, s.guard.need(role, h)) }
	mux.HandleFunc("GET /metrics", s.metrics(promhttp.HandlerFor(s.Registry, promhttp.HandlerOpts{})))
	handle("GET /-/healthy", RoleOpen, func(w http.ResponseWriter, _ *http.Request) { say(w, "heal-receiver is healthy") })
	handle("GET /-/ready", RoleOpen, s.ready)
	handle("POST /-/reload", RoleAdmin, s.reload)
	mux.HandleFunc("POST /api/v1/alertmanager", s.notify)
	mux.HandleFunc("POST /api/v1/alertmanager/{$}", s.notify)
	handle("GET /api/v1/incidents", RoleRead, s.incidents)
	handle("GET /api/v1/incidents/{id}", RoleRead, s.incident)
	handle("GET /api/v1/runs/{id}", RoleRead, s.notYet)
	handle("GET /api/v1/mitigations", RoleRead, s.mitigations)
	handle("GET /api/v1/reviews/{incident}", RoleRead, s.review)
	handle("GET /api/v1/audit", RoleRead, s.audit)
	handle("POST /api/v1/incidents/{operation}", RoleRun, s.operate(map[string]operation{
		"ack": s.Healer.Ack, "take": s.Healer.Take, "retry": s.Healer.Retry, "close": s.Healer.Close,
	}))
	handle("POST /api/v1/runs/{operation}", RoleRun, s.operate(map[string]operation{
		"abort": s.Healer.Abort, "resolve": nil,
	}))
	handle("POST /api/v1/mitigations/{operation}", RoleRun, s.operate(map[string]operation{
		"release": s.Healer.Release, "forget": s.Healer.Forget,
	}))
	mux.HandleFunc("GET /api/v1/alertmanager", onlyPost)
	handle("GET /api/v1/{known}", RoleRead, s.notYet)
	return http.NewCrossOriginProtection().Handler(noRedirects(mux))
}

// noRedirects answers 404 where a ServeMux would redirect to the clean path: no
// notification may meet a 3xx.
func noRedirects(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if given := r.URL.Path; path.Clean("/"+given) != cmp.Or(strings.TrimSuffix(given, "/"), "/") {
			fail(w, http.StatusNotFound, fmt.Sprintf("no %s here: want the path without //, . and ..", given))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// metrics is open, or needs the role read, as the settings in force say.
func (s *server) metrics(page http.Handler) http.HandlerFunc {
	closed := s.guard.need(RoleRead, page.ServeHTTP)
	return func(w http.ResponseWriter, r *http.Request) {
		if s.Auth().Metrics == "read" {
			closed(w, r)
			return
		}
		page.ServeHTTP(w, r)
	}
}

// operation is one thing that a person asks for, on one id.
type operation func(ctx context.Context, id, who string) error

// operate serves "ID:VERB". resolve is the one verb with an argument.
func (s *server) operate(known map[string]operation) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		id, verb, _ := strings.Cut(r.PathValue("operation"), ":")
		do, ok := known[verb]
		if !ok || id == "" {
			fail(w, http.StatusNotFound, fmt.Sprintf("no operation %q here: want ID:VERB with one of %v", r.PathValue("operation"), verbs(known)))
			return
		}
		if verb == "resolve" {
			changed, err := strconv.ParseBool(answerOf(r.FormValue("changed")))
			if err != nil {
				fail(w, http.StatusBadRequest, "want changed=yes or changed=no: did the step happen?")
				return
			}
			do = func(ctx context.Context, id, who string) error { return s.Healer.Resolve(ctx, id, who, changed) }
		}
		if err := do(r.Context(), id, caller(r.Context()).Name); err != nil {
			fail(w, statusOf(err), err.Error())
			return
		}
		write(w, http.StatusOK, map[string]string{"id": id, "done": verb})
	}
}

func answerOf(s string) string {
	switch s {
	case "yes":
		return "true"
	case "no":
		return "false"
	}
	return ""
}

// statusOf maps the healer's errors to HTTP.
func statusOf(err error) int {
	var conflict *healer.Conflict
	var bad *healer.BadNotification
	switch {
	case errors.As(err, &bad):
		return http.StatusBadRequest
	case errors.As(err, &conflict):
		return http.StatusConflict
	case errors.Is(err, healer.ErrNotFound):
		return http.StatusNotFound
	}
	return http.StatusServiceUnavailable
}

// notify is the webhook (HEALING 3): 200 after the commit, 400, 401, 403, 413
// or 503, and never 3xx or 429.
func (s *server) notify(w http.ResponseWriter, r *http.Request) {
	source := "unknown"
	counted := &counter{ResponseWriter: w, code: http.StatusOK}
	timer := prometheus.NewTimer(s.seconds)
	s.guard.need(RoleNotify, func(w http.ResponseWriter, r *http.Request) {
		source = s.sourceOf(r)
		s.accept(w, r, source)
		timer.ObserveDuration()
	})(counted, r)
	s.notifications.WithLabelValues(source, strconv.Itoa(counted.code)).Inc()
}

// sourceOf names the source of a notification: its client's; without
// authentication the first client that notifies, else "default".
func (s *server) sourceOf(r *http.Request) string {
	if c := caller(r.Context()); c.Source != "" {
		return c.Source
	}
	for _, c := range s.Auth().Clients {
		if c.Source != "" {
			return c.Source
		}
	}
	return "default"
}

func (s *server) accept(w http.ResponseWriter, r *http.Request, source string) {
	wait, cancel := context.WithTimeout(r.Context(), acceptWait)
	defer cancel()
	select {
	case s.accepting <- struct{}{}:
		defer func() { <-s.accepting }()
	case <-wait.Done():
		fail(w, http.StatusServiceUnavailable, fmt.Sprintf("overload: %d notifications wait for the journal", maxAccepts))
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		fail(w, http.StatusRequestEntityTooLarge, fmt.Sprintf("the notification is over %d bytes: lower max_alerts or group more finely", maxBody))
		return
	}
	if err != nil { // the way is at fault and not the notification: it may come again
		fail(w, http.StatusServiceUnavailable, fmt.Sprintf("reading the notification: %v", err))
		return
	}
	// The client may hang up after we have begun to commit: the commit goes on.
	if err := s.Healer.Accept(context.WithoutCancel(r.Context()), source, body); err != nil {
		fail(w, statusOf(err), err.Error())
		return
	}
	write(w, http.StatusOK, map[string]string{"status": "accepted"})
}

type counter struct {
	http.ResponseWriter
	code int
}

func (c *counter) WriteHeader(code int) {
	c.code = code
	c.ResponseWriter.WriteHeader(code)
}

func (s *server) ready(w http.ResponseWriter, _ *http.Request) {
	if err := s.Ready(); err != nil {
		fail(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	say(w, "heal-receiver is ready")
}

func (s *server) reload(w http.ResponseWriter, _ *http.Request) {
	if err := s.Reload(); err != nil {
		fail(w, http.StatusInternalServerError, err.Error())
		return
	}
	say(w, "reloaded")
}

func (s *server) notYet(w http.ResponseWriter, r *http.Request) {
	known := map[string]bool{"holds": true, "plans": true, "events": true, "drills": true, "runs": true}
	name := strings.SplitN(strings.TrimPrefix(r.URL.Path, "/api/v1/"), "/", 2)[0]
	if !known[name] {
		fail(w, http.StatusNotFound, fmt.Sprintf("no %s here", r.URL.Path))
		return
	}
	fail(w, http.StatusNotImplemented, fmt.Sprintf("%s: known, not yet available", r.URL.Path))
}

func onlyPost(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Allow", http.MethodPost)
	fail(w, http.StatusMethodNotAllowed, fmt.Sprintf("got %s, want POST: this is the path of Alertmanager's webhook", r.Method))
}

func say(w http.ResponseWriter, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, text+"\n")
}

func fail(w http.ResponseWriter, code int, text string) {
	write(w, code, map[string]string{"error": text})
}

// write answers JSON. A client that has gone is nobody to tell.
func write(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(code)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(true)
	_ = enc.Encode(body)
}
