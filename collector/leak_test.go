package collector

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-kit/log"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/onefiveten/onefiveten/config"
	"github.com/onefiveten/onefiveten/probe"
)

// open counts goroutines and descriptors of this process.
func open(t *testing.T) (goroutines, descriptors int) {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return runtime.NumGoroutine(), len(entries)
}

// treated listens and gives every connection to treat, until the function that
// it returns is called.
func treated(t *testing.T, treat func(net.Conn)) (address string, stop func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer conn.Close()
				treat(conn)
			})
		}
	})
	return l.Addr().String(), func() {
		l.Close()
		all.Wait()
	}
}

// readers are modules of real probers.
func readers(t *testing.T) map[string]Module {
	t.Helper()
	all := map[string]Module{}
	for name, text := range map[string]string{
		"http": "{prober: http, timeout: 1s, http: {preferred_ip_protocol: ip4}}",
		"tcp":  "{prober: tcp, timeout: 20ms, tcp: {preferred_ip_protocol: ip4, query_response: [{expect: never}]}}",
	} {
		var m probe.Module
		if err := config.Parse("blackbox.yml", []byte(text), &m); err != nil {
			t.Fatal(err)
		}
		p, err := probe.New(m, probe.NewNetwork())
		if err != nil {
			t.Fatal(err)
		}
		all[name] = Module{Probe: p.Run, Timeout: p.Timeout(), CheckTarget: m.CheckTarget}
	}
	return all
}

// Ten thousand runs against good, resetting, silent and absent servers, with
// reloads in between, leave nothing behind.
func TestRuns_LeaveNeitherGoroutinesNorDescriptors(t *testing.T) {
	const rounds, targets = 100, 100
	goroutines, descriptors := open(t)
	good := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { listed("[]")(w, r) }))
	resets, stopResets := treated(t, func(conn net.Conn) { _ = conn.(*net.TCPConn).SetLinger(0) })
	silent, stopSilent := treated(t, func(conn net.Conn) { _, _ = conn.Read(make([]byte, 1)) })
	gone, stopGone := treated(t, func(net.Conn) {})
	stopGone()

	dir := newFolder(t)
	settings := func(round int) Settings {
		var text strings.Builder
		fmt.Fprintf(&text, "observers: [a]\nservices: [{name: shop, owner: o}]\nprobes:\n")
		fmt.Fprintf(&text, "- {name: http, service: shop, module: http, interval: 5s, overlap: 1000, http_sd: {url: %q}, targets: [", good.URL)
		for i := range targets / 2 {
			fmt.Fprintf(&text, `{url: "%s/%d/%d"}, `, good.URL, i, i%2*(round%3)) // every other one is replaced
		}
		fmt.Fprintf(&text, "]}\n- {name: tcp, service: shop, module: tcp, interval: 5s, overlap: 1000, %s, targets: [", dir.sd("*.yml"))
		for _, address := range []string{resets, silent, gone} {
			fmt.Fprintf(&text, "{url: %q}, ", address)
		}
		text.WriteString("]}\n")
		var found strings.Builder
		for i := range targets/2 - 3 {
			fmt.Fprintf(&found, "- targets: ['127.0.0.%d:%s']\n", i+2, gone[strings.LastIndex(gone, ":")+1:])
		}
		dir.write("found.yml", found.String())
		return parse(t, text.String())
	}
	c, modules := New("a", log.NewNopLogger()), readers(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- c.Run(ctx) }()
	var plan slots
	for round := range rounds {
		if err := c.Apply(settings(round), modules, proved, nil); err != nil {
			t.Fatal(err)
		}
		now := time.Now()
		plan = c.schedule(plan, now)
		for i := range plan {
			plan[i].at = now
		}
		var runs sync.WaitGroup
		c.start(ctx, newCrew(ctx, &runs), plan, now)
		// Who looks meanwhile is in nobody's way.
		scrape(t, c, "")
		c.Failures()
		runs.Wait()
	}
	reasons := map[probe.Reason]bool{}
	for _, f := range c.Failures() {
		reasons[f.Result.Reason] = true
	}
	if !reasons[probe.Refused] || !reasons[probe.Reset] || !reasons[probe.Timeout] || len(reasons) != 3 {
		t.Errorf("got failures for %v, want refused, reset and timeout", reasons)
	}
	attempts := uint64(0)
	for _, target := range c.table.Load().targets {
		attempts += target.state.shown.Load().attempts
	}
	skipped := testutil.ToFloat64(c.own.skipped.WithLabelValues("tcp", skipOverlap)) + testutil.ToFloat64(c.own.skipped.WithLabelValues("http", skipOverlap))
	if len(plan) != targets || attempts < rounds*targets*7/10 || skipped != 0 {
		t.Errorf("got %d targets, %d attempts of them and %v skipped, want %d, nearly %d and none", len(plan), attempts, skipped, targets, rounds*targets)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	good.Close()
	stopResets()
	stopSilent()
	settled(t, goroutines, descriptors)
}

// settled waits until nothing more is open than there was: the ends of some
// connections take a moment.
func settled(t *testing.T, goroutines, descriptors int) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	late := time.After(20 * time.Second)
	for {
		g, d := open(t)
		if g <= goroutines && d <= descriptors {
			return
		}
		select {
		case <-tick.C:
		case <-late:
			all := make([]byte, 1<<20)
			t.Fatalf("got %d goroutines and %d descriptors, had %d and %d:\n%s", g, d, goroutines, descriptors, all[:runtime.Stack(all, true)])
		}
	}
}

// Each reload makes a client of its own; that of before must close what it holds.
func TestHTTPDiscovery_ClosesItsConnectionsWithTheReload(t *testing.T) {
	closed, asked := make(chan struct{}, 10), make(chan struct{}, 10)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		listed("[]")(w, r)
		asked <- struct{}{}
	}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateClosed {
			closed <- struct{}{}
		}
	}
	s.Start()
	defer s.Close()
	c := New("a", log.NewNopLogger())
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- c.Run(ctx) }()
	within := func(what string, event <-chan struct{}) {
		t.Helper()
		select {
		case <-event:
		case <-time.After(20 * time.Second):
			t.Fatalf("%s: nothing happens", what)
		}
	}
	for range 2 {
		if err := c.Apply(parse(t, discovering(`http_sd: {url: "`+s.URL+`"}`)), (&fake{}).modules(), proved, nil); err != nil {
			t.Fatal(err)
		}
		within("a reload asks the server", asked)
	}
	within("the connection of before is closed", closed)
	cancel()
	within("the end closes the last connection", closed)
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
