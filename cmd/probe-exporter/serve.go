package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/common/version"
	"github.com/prometheus/exporter-toolkit/web"

	"github.com/onefiveten/onefiveten/collector"
	"github.com/onefiveten/onefiveten/probe"
)

// patience is how long a client may take to receive an answer. One that asks and
// never reads would hold its connection, and the results it asked for, for ever.
const patience = time.Minute

// newServer bounds what a client can make the program wait for.
func newServer(routes http.Handler) *http.Server {
	return &http.Server{Handler: routes, ReadHeaderTimeout: 10 * time.Second, WriteTimeout: patience, IdleTimeout: 5 * time.Minute}
}

// allow gives an answer that takes the time d to be made that much more.
func allow(w http.ResponseWriter, d time.Duration) {
	// A writer without deadlines is not one of our server, and needs no more.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(d + patience))
}

// drain is how long answers under way may take when the program ends.
const drain = 10 * time.Second

// exporter is the running program: the collector, the configuration in force,
// and what the pages tell of them.
type exporter struct {
	configFile, observer string
	offset               float64 // --timeout-offset, in seconds
	logger               log.Logger
	collector            *collector.Collector
	metrics              *metrics
	reloading            sync.Mutex
	current              atomic.Pointer[state]
	draining             atomic.Bool
}

// state is one configuration in force.
type state struct {
	settings *settings
	probers  map[string]*probe.Prober
}

// newExporter makes an exporter that has no configuration yet.
func newExporter(configFile, observer string, offset float64, logger log.Logger) *exporter {
	e := &exporter{configFile: configFile, observer: observer, offset: offset, logger: logger, collector: collector.New(observer, logger)}
	e.metrics = newMetrics(e.collector.Metrics())
	return e
}

// reload puts the file in force. All that can fail comes first: after an error
// the configuration before is in force as if nothing had been asked.
func (e *exporter) reload() error {
	e.reloading.Lock()
	defer e.reloading.Unlock()
	err := e.take()
	if err != nil {
		e.metrics.successful.Store(0)
		level.Error(e.logger).Log("msg", "the configuration was not loaded", "file", e.configFile, "err", err)
		return err
	}
	s := e.current.Load().settings
	e.metrics.took(s, time.Now())
	level.Info(e.logger).Log("msg", "configuration loaded", "file", e.configFile, "hash", s.hash,
		"modules", len(s.Modules), "probes", len(s.Probes), "targets", s.targets(), "services", len(s.Services))
	return nil
}

// take is the work of reload: read, make probers, prove, apply. Only the last
// step changes anything, and it does so as a whole.
func (e *exporter) take() error {
	s, err := load(e.configFile, e.observer)
	if err != nil {
		return err
	}
	probers, err := s.probers()
	if err != nil {
		return err
	}
	if err := e.collector.Apply(s.Settings, s.modules(probers), s.proofs()); err != nil {
		return fmt.Errorf("applying %s: %w", e.configFile, err)
	}
	e.current.Store(&state{s, probers})
	return nil
}

// routes are all pages.
func (e *exporter) routes() (http.Handler, error) {
	landing, err := web.NewLandingPage(web.LandingConfig{
		Name: "probe-exporter", Description: "Observer " + e.observer, Version: version.Info(),
		Links: []web.LandingLinks{
			{Address: "/metrics/probes", Text: "Results", Description: "of the own schedule; scrape with honor_labels: true"},
			{Address: "/metrics", Text: "Metrics", Description: "of this process"},
			{Address: "/config", Text: "Configuration", Description: "in force"},
		},
	})
	if err != nil {
		return nil, fmt.Errorf("making the landing page: %w", err)
	}
	mux := http.NewServeMux()
	// A path with a method answers HEAD, too, and 405 to any other method.
	mux.Handle("GET /{$}", landing)
	mux.Handle("GET /metrics/probes", e.collector)
	mux.Handle("GET /metrics", promhttp.InstrumentMetricHandler(e.metrics.registry, promhttp.HandlerFor(e.metrics.registry, promhttp.HandlerOpts{})))
	mux.HandleFunc("GET /probe", e.probe)
	mux.HandleFunc("GET /config", e.config)
	mux.HandleFunc("GET /-/healthy", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "Healthy") })
	mux.HandleFunc("GET /-/ready", e.ready)
	mux.HandleFunc("POST /-/reload", e.askedToReload)
	return mux, nil
}

// ready is for load balancers: a program that is ending takes no new work.
func (e *exporter) ready(w http.ResponseWriter, _ *http.Request) {
	if e.draining.Load() {
		http.Error(w, "Draining", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "Ready")
}

// askedToReload answers with every mistake when the file is bad.
func (e *exporter) askedToReload(w http.ResponseWriter, _ *http.Request) {
	if err := e.reload(); err != nil {
		http.Error(w, fmt.Sprintf("the configuration was not loaded, the one before is in force:\n%v", err), http.StatusInternalServerError)
		return
	}
	fmt.Fprintln(w, "Reloaded")
}

// config answers with the configuration in force, which after a failed reload
// is not the one in the file.
func (e *exporter) config(w http.ResponseWriter, _ *http.Request) {
	text, err := e.current.Load().settings.shown()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Write(text)
}

// serve runs until ctx ends or a listener fails.
func (a *app) serve(ctx context.Context) error {
	if a.checkOnly {
		return a.check()
	}
	logger := newLogger(a.stderr, a.logFormat, a.logLevel)
	observer := a.observer
	if observer == "" {
		observer = hostname()
	}
	e := newExporter(a.configFile, observer, a.timeoutOffset, logger)
	level.Info(logger).Log("msg", "starting probe-exporter", "version", version.Info(), "observer", observer)
	if err := web.Validate(*a.web.WebConfigFile); err != nil {
		return fmt.Errorf("--web.config.file: %w", err)
	}
	if err := e.reload(); err != nil {
		return err
	}
	// Not before the first load: a process that has no configuration yet ends on
	// SIGHUP, as every process does.
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	return a.listen(ctx, e, hangup)
}

// listen opens the addresses and serves them. The schedule begins when they are
// open: an exporter that cannot be scraped probes nothing.
func (a *app) listen(ctx context.Context, e *exporter, hangup <-chan os.Signal) error {
	routes, err := e.routes()
	if err != nil {
		return err
	}
	server := newServer(routes)
	listeners, err := a.open()
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	served := make(chan error, 1)
	go func() {
		if listeners == nil {
			served <- web.ListenAndServe(server, a.web, bridge(e.logger))
			return
		}
		served <- web.ServeMultiple(listeners, server, a.web, bridge(e.logger))
	}()
	collecting := make(chan error, 1)
	go func() { collecting <- e.collector.Run(ctx) }()
	for {
		select {
		case <-hangup:
			// The log and the metric tell of a failure.
			_ = e.reload()
		case err := <-served:
			stop()
			return errors.Join(fmt.Errorf("serving: %w", err), <-collecting)
		case <-ctx.Done():
			return e.shut(server, collecting)
		}
	}
}

// shut lets answers under way end, and waits for open probes.
func (e *exporter) shut(server *http.Server, collecting <-chan error) error {
	e.draining.Store(true)
	level.Info(e.logger).Log("msg", "stopping")
	ctx, cancel := context.WithTimeout(context.Background(), drain)
	defer cancel()
	// First the answers, then the schedule: a scrape under way still finds it.
	err := server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = server.Close()
	}
	return errors.Join(err, <-collecting)
}

// open listens on the addresses of the flags. It gives none for those that
// exporter-toolkit opens by itself: systemd's sockets and vsock.
func (a *app) open() ([]net.Listener, error) {
	addresses := *a.web.WebListenAddresses
	if a.web.WebSystemdSocket != nil && *a.web.WebSystemdSocket {
		return nil, nil
	}
	for _, address := range addresses {
		if strings.HasPrefix(address, "vsock://") {
			return nil, nil
		}
	}
	var listeners []net.Listener
	var bound []string
	for _, address := range addresses {
		l, err := net.Listen("tcp", address)
		if err != nil {
			for _, opened := range listeners {
				opened.Close()
			}
			return nil, fmt.Errorf("--web.listen-address: %w", err)
		}
		listeners = append(listeners, l)
		bound = append(bound, l.Addr().String())
	}
	a.bound(bound)
	return listeners, nil
}
