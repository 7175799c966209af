package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	versioncollector "github.com/prometheus/client_golang/prometheus/collectors/version"

	"github.com/onefiveten/onefiveten/healer"
	"github.com/onefiveten/onefiveten/healer/console"
	"github.com/onefiveten/onefiveten/healer/journal"
	"github.com/onefiveten/onefiveten/healer/plan"
)

// receiver is one serving process.
type receiver struct {
	app     *app
	logger  log.Logger
	now     atomic.Pointer[loaded] // the configuration in force
	engine  *healer.Engine
	reloads sync.Mutex

	loadedOK prometheus.Gauge
	loadedAt prometheus.Gauge
}

// drainWithin bounds a graceful stop: requests and steps under way end within
// it. What does not is in doubt, and verified after the next start.
const drainWithin = 30 * time.Second

// serve runs the receiver until ctx ends.
func (a *app) serve(ctx context.Context) error {
	logger, err := newLogger(a.stderr, a.logLevel, a.logFormat)
	if err != nil {
		return err
	}
	r := &receiver{app: a, logger: logger}
	first, err := load(a.configFile, a.acceptRisk)
	if err != nil {
		return err
	}
	r.now.Store(first)
	store, err := openJournal(journalFile(first.book, a.stateDir))
	if err != nil {
		return err
	}
	defer store.Close()
	listeners, err := r.listen()
	if err != nil {
		return err
	}
	defer closeAll(listeners)
	handler, err := r.assemble(ctx, store)
	if err != nil {
		return err
	}
	return r.work(ctx, listeners, handler)
}

func openJournal(file string) (*journal.Store, error) {
	store, err := journal.Open(file, journal.Options{})
	if err != nil {
		return nil, fmt.Errorf("opening the journal: %w", err)
	}
	return store, nil
}

// assemble makes the engine and its face over one registry.
func (r *receiver) assemble(ctx context.Context, store healer.Store) (http.Handler, error) {
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("reading the host's name: %w", err)
	}
	r.engine, err = healer.NewEngine(healer.Options{
		Store: store, Logger: r.logger, Owner: fmt.Sprintf("%s/%d/%d", host, os.Getpid(), time.Now().UnixNano()), AcceptRisk: r.app.acceptRisk,
		Book:    func() *plan.Book { return r.now.Load().book },
		Outside: func() healer.Outside { return r.now.Load().outside },
		Gather:  r.gather(ctx),
	})
	if err != nil {
		return nil, err
	}
	registry := prometheus.NewRegistry()
	r.loadedOK = prometheus.NewGauge(prometheus.GaugeOpts{Name: "heal_config_last_reload_successful", Help: "1 if the newest load of the configuration worked, else the one before it is in force."})
	r.loadedAt = prometheus.NewGauge(prometheus.GaugeOpts{Name: "heal_config_last_reload_success_timestamp_seconds", Help: "When the configuration in force was loaded."})
	r.loadedOK.Set(1)
	r.loadedAt.SetToCurrentTime()
	for _, c := range []prometheus.Collector{r.engine, r.loadedOK, r.loadedAt, versioncollector.NewCollector("heal_receiver"),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})} {
		if err := registry.Register(c); err != nil {
			return nil, fmt.Errorf("registering metrics: %w", err)
		}
	}
	return console.New(console.Options{Healer: r.engine, Store: store, Registry: registry, Insecure: r.app.insecure,
		Auth:  func() *console.Auth { return r.now.Load().auth },
		Ready: func() error { _, err := store.Counts(ctx); return err }, Reload: r.reload})
}

// newServer bounds every wait for a client. The time for an answer begins with
// the request's header, so that it holds the reading of the body, too.
func newServer(handler http.Handler) *http.Server {
	return &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second,
		WriteTimeout: time.Minute, IdleTimeout: 2 * time.Minute}
}

// work serves and heals until ctx ends or serving breaks, then drains.
func (r *receiver) work(ctx context.Context, listeners []net.Listener, handler http.Handler) error {
	healing, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan error, 1)
	go func() { done <- r.engine.Run(healing) }()
	go r.reloadOnSignal(healing)
	server := newServer(handler)
	broken := make(chan error, 1)
	go func() { broken <- r.serveOn(listeners, server) }()
	var cause error
	select {
	case <-ctx.Done():
		level.Info(r.logger).Log("msg", "stopping: what is under way ends first", "within", drainWithin)
	case cause = <-broken:
	}
	drain, cancel := context.WithTimeout(context.Background(), drainWithin)
	defer cancel()
	err := server.Shutdown(drain)
	stop()
	select {
	case e := <-done:
		err = errors.Join(err, e)
	case <-drain.Done():
		level.Warn(r.logger).Log("msg", "a step did not end in time; it is in doubt and verified after the next start")
	}
	return errors.Join(cause, err)
}

func (r *receiver) reloadOnSignal(ctx context.Context) {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	for {
		select {
		case <-ctx.Done():
			return
		case <-hup:
			_ = r.reload() // it has logged what is wrong
		}
	}
}

// reload is all or nothing: a bad file leaves the old configuration in force
// and says so in a metric.
func (r *receiver) reload() error {
	r.reloads.Lock()
	defer r.reloads.Unlock()
	next, err := load(r.app.configFile, r.app.acceptRisk)
	if err == nil && journalFile(next.book, r.app.stateDir) != journalFile(r.now.Load().book, r.app.stateDir) {
		err = fmt.Errorf("moving the journal at reload: got %s, want %s as before: restart to move it",
			journalFile(next.book, r.app.stateDir), journalFile(r.now.Load().book, r.app.stateDir))
	}
	if err != nil {
		r.loadedOK.Set(0)
		level.Error(r.logger).Log("msg", "the new configuration is refused, the old one stays in force", "file", r.app.configFile, "err", err)
		return err
	}
	r.now.Store(next)
	r.loadedOK.Set(1)
	r.loadedAt.SetToCurrentTime()
	level.Info(r.logger).Log("msg", "the new configuration is in force", "file", r.app.configFile)
	return nil
}
