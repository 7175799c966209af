package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/http/pprof"
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

// drain is how long answers under way may take when the program ends: longer than
// probes that are asked for by a scrape, whose time-out is 10s unless told
// otherwise. A second signal ends the program at once.
const drain = 30 * time.Second

// exporter is the running program: the collector, the configuration in force,
// and what the pages tell of them.
type exporter struct {
	options
	logger    log.Logger
	collector *collector.Collector
	network   *probe.Network
	metrics   *metrics
	history   *history
	templates templates
	reloading sync.Mutex
	tried     string // fingerprint of the files at the last load, good or bad
	current   atomic.Pointer[state]
}

// options are what the command line says of a running program.
type options struct {
	files    files
	observer string
	offset   float64    // --timeout-offset, in seconds
	prober   log.Logger // of the probes of /probe, by --log.prober
	verbose  bool       // that log takes what is at debug
	kept     int        // --history.limit
	address  address
	profiles bool // --web.enable-pprof
}

// state is one configuration in force.
type state struct {
	settings *settings
	modules  map[string]*probe.Module
	probers  map[string]*probe.Prober
	tallies  map[string]*tally
	rest     func() // lets go of the connections to its Prometheus
}

// newExporter makes an exporter that has no configuration yet.
func newExporter(o options, logger log.Logger) *exporter {
	e := &exporter{
		options: o, logger: logger, collector: collector.New(o.observer, logger), network: probe.NewNetwork(),
		history: &history{limit: o.kept}, templates: newTemplates(),
	}
	e.metrics = newMetrics(e.collector.Metrics())
	return e
}

// reload puts the files in force. All that can fail comes first: after an error
// the configuration before is in force as if nothing had been asked.
func (e *exporter) reload() error {
	e.reloading.Lock()
	defer e.reloading.Unlock()
	return e.load()
}

// reloadChanged is reload if a file is not what it was when it was last tried: a
// mistake is told once, and again when somebody has touched it.
func (e *exporter) reloadChanged() {
	e.reloading.Lock()
	defer e.reloading.Unlock()
	if e.files.fingerprint() != e.tried {
		level.Info(e.logger).Log("msg", "the configuration has changed", "file", e.files)
		_ = e.load() // the log and the metric tell of a failure
	}
}

// load is reload for those who hold the lock.
func (e *exporter) load() error {
	err := e.take()
	if err != nil {
		e.metrics.successful.Store(0)
		level.Error(e.logger).Log("msg", "the configuration was not loaded", "file", e.files, "err", err)
		return err
	}
	s := e.current.Load().settings
	e.metrics.took(s, time.Now())
	named, sources := s.targets()
	level.Info(e.logger).Log("msg", "configuration loaded", "file", e.files, "hash", s.hash,
		"modules", len(s.Modules), "probes", len(s.Probes), "targets", named, "sources", sources, "services", len(s.Services))
	return nil
}

// take is the work of reload: read, make probers, prove, apply. Only the last
// step changes anything, and it does so as a whole.
func (e *exporter) take() error {
	read, err := e.files.read()
	if err != nil {
		e.tried = err.Error()
		return err
	}
	e.tried = read.hash()
	s, err := parse(read, e.observer)
	if err != nil {
		return err
	}
	probers, err := s.probers(e.network)
	if err != nil {
		return err
	}
	source, rest, err := s.source()
	if err != nil {
		return err
	}
	if err := e.collector.Apply(s.Settings, s.modules(probers), s.proofs(), source); err != nil {
		rest()
		return fmt.Errorf("applying %s: %w", e.files, err)
	}
	modules := make(map[string]*probe.Module, len(s.Modules))
	for name, m := range s.Modules {
		modules[name] = &m
	}
	before := e.current.Swap(&state{settings: s, modules: modules, probers: probers, tallies: e.metrics.asked.follow(s.Modules), rest: rest})
	if before != nil {
		before.rest() // nobody begins to ask it any more
	}
	return nil
}

// routes are all pages, under the prefix of the command line.
func (e *exporter) routes() http.Handler {
	mux := http.NewServeMux()
	// A path with a method answers HEAD, too, and 405 to any other method.
	mux.HandleFunc("GET /{$}", e.landing)
	mux.Handle("GET /metrics/probes", e.collector)
	mux.Handle("GET /metrics", promhttp.InstrumentMetricHandler(e.metrics.registry, promhttp.HandlerFor(e.metrics.registry, promhttp.HandlerOpts{})))
	mux.HandleFunc("/probe", e.probe) // blackbox_exporter asks for no method
	mux.HandleFunc("GET /logs", e.logs)
	mux.HandleFunc("GET /failures", e.failures)
	mux.HandleFunc("GET /config", e.config)
	mux.HandleFunc("GET /-/healthy", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "Healthy") })
	// It listens from the first configuration until it ends: then nobody is answered.
	mux.HandleFunc("GET /-/ready", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "Ready") })
	mux.HandleFunc("POST /-/reload", e.askedToReload)
	if e.profiles {
		mux.HandleFunc("/debug/pprof/", pprof.Index)
		mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	}
	return e.address.mount(mux)
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
	plain(w)
	w.Write(text)
}

// serve runs until ctx ends or a listener fails.
func (a *app) serve(ctx context.Context) error {
	if err := web.Validate(*a.web.WebConfigFile); err != nil {
		return fmt.Errorf("--web.config.file: %w", err)
	}
	if a.checkOnly {
		return a.check(ctx)
	}
	e := a.exporter()
	level.Info(e.logger).Log("msg", "starting probe-exporter", "version", version.Info(), "observer", e.observer)
	if !a.files.given && e.files.file == theirFile {
		level.Info(e.logger).Log("msg", "there is no "+ownFile+": taking the file of blackbox_exporter", "file", theirFile)
	}
	if err := e.reload(); err != nil {
		return err
	}
	if module, err := e.current.Load().settings.cannotPing(a.ping); err != nil {
		level.Warn(e.logger).Log("msg", "no ping can be sent from here: probes by icmp will fail", "module", module, "err", err)
	}
	// Not before the first load: a process that has no configuration yet ends on
	// SIGHUP, as every process does.
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	return a.listen(ctx, e, hangup)
}

// runsAs is the name of the observer that serves.
func (a *app) runsAs() string { return cmp.Or(a.observer, hostname()) }

// exporter makes the program that the command line asks for.
func (a *app) exporter() *exporter {
	w := log.NewSyncWriter(a.stderr)
	o := options{
		files: a.files.choose(), observer: a.runsAs(), offset: a.timeoutOffset, address: a.address, profiles: a.profiles,
		prober: newLogger(w, a.logFormat, a.proberLevel), verbose: a.proberLevel == "debug",
		kept: int(min(a.historyLimit, math.MaxInt32)),
	}
	return newExporter(o, newLogger(w, a.logFormat, a.logLevel))
}

// listen opens the addresses and serves them. The schedule begins when they are
// open: an exporter that cannot be scraped probes nothing.
func (a *app) listen(ctx context.Context, e *exporter, hangup <-chan os.Signal) error {
	server := newServer(e.routes())
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
	changes, rest := a.watch()
	defer rest()
	for {
		select {
		case <-changes:
			e.reloadChanged()
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

// shut listens no more, lets answers under way end, and waits for open probes. The schedule has
// ended with its context; what it has found stays for a scrape under way.
func (e *exporter) shut(server *http.Server, collecting <-chan error) error {
	level.Info(e.logger).Log("msg", "stopping")
	ctx, cancel := context.WithTimeout(context.Background(), drain)
	defer cancel()
	err := server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		level.Warn(e.logger).Log("msg", "answers under way were cut", "waited", drain)
		err = server.Close()
	}
	return errors.Join(err, <-collecting, e.network.Close())
}

// watch gives the ticks at which the files are looked at, none unless they are
// asked for, and what ends them.
func (a *app) watch() (ticks <-chan time.Time, rest func()) {
	if !a.autoReload {
		return nil, func() {}
	}
	ticker := time.NewTicker(time.Duration(a.reloadSeconds) * time.Second)
	return ticker.C, ticker.Stop
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
