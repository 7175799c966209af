package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	"github.com/prometheus/exporter-toolkit/web"
	slgk "github.com/tjhop/slog-gokit"

	"github.com/onefiveten/onefiveten/config"
)

// listen binds every address before anything else begins, so that a taken port
// is told at once and a test may ask for port 0.
func (r *receiver) listen() ([]net.Listener, error) {
	if err := checkWebFile(*r.app.web.WebConfigFile); err != nil {
		return nil, err
	}
	if r.app.web.WebSystemdSocket != nil && *r.app.web.WebSystemdSocket {
		return nil, errors.New("--web.systemd-socket: known, not yet available")
	}
	var all []net.Listener
	var addresses []string
	for _, address := range *r.app.web.WebListenAddresses {
		l, err := net.Listen("tcp", address)
		if err != nil {
			closeAll(all)
			return nil, fmt.Errorf("listening on %s: %w", address, err)
		}
		all = append(all, l)
		if err := r.loopbackIfInsecure(l.Addr()); err != nil {
			closeAll(all)
			return nil, err
		}
		addresses = append(addresses, l.Addr().String())
	}
	r.app.bound(addresses)
	return all, nil
}

func (r *receiver) loopbackIfInsecure(a net.Addr) error {
	at, err := netip.ParseAddrPort(a.String())
	if r.app.insecure && (err != nil || !at.Addr().IsLoopback()) {
		return fmt.Errorf("--insecure.no-auth: got the address %s, want one of loopback: everybody could restart your services", a)
	}
	return nil
}

// webFile is what of the toolkit's web configuration is not for us.
type webFile struct {
	BasicAuthUsers map[string]string `yaml:"basic_auth_users"`
	RateLimit      any               `yaml:"rate_limit"`
	TLS            any               `yaml:"tls_server_config"`
	HTTP           any               `yaml:"http_server_config"`
}

// Check refuses what would break Alertmanager's notifications.
func (w *webFile) Check(report func(path, text string)) {
	if len(w.BasicAuthUsers) > 0 {
		report("basic_auth_users", "refused: it rejects every bearer token; name logins in auth.clients of heal-receiver.yml")
	}
	if w.RateLimit != nil {
		report("rate_limit", "refused: it answers 429 on every path, and Alertmanager does not send such a notification again")
	}
}

func checkWebFile(name string) error {
	if name == "" {
		return nil
	}
	if err := config.Load(name, &webFile{}); err != nil {
		return fmt.Errorf("--web.config.file: %w", err)
	}
	return nil
}

// serveOn serves until the server is shut down.
func (r *receiver) serveOn(listeners []net.Listener, server *http.Server) error {
	err := web.ServeMultiple(listeners, server, r.app.web, slogOf(r.logger))
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// slogOf is the one bridge to libraries that want slog.
func slogOf(l log.Logger) *slog.Logger { return slog.New(slgk.NewGoKitHandler(l, nil)) }

func newLogger(w io.Writer, least, format string) (log.Logger, error) {
	option, err := level.Parse(least)
	if err != nil {
		return nil, fmt.Errorf("--log.level: %w", err)
	}
	w = log.NewSyncWriter(w)
	l := log.NewLogfmtLogger(w)
	if format == "json" {
		l = log.NewJSONLogger(w)
	}
	return log.With(level.NewFilter(l, level.Allow(option)), "ts", log.DefaultTimestampUTC, "caller", log.DefaultCaller), nil
}

func closeAll(all []net.Listener) {
	for _, l := range all {
		_ = l.Close()
	}
}
