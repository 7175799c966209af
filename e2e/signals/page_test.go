package signals_test

import (
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
)

// page is what an application exposes: some gauges of three nodes, which move
// with each scrape. A test changes what it says.
type page struct {
	*httptest.Server

	mu      sync.Mutex
	scrapes int
	set     map[string]string // text in the place of a value, by series; gone: the series is not there
	more    []string          // lines beside
}

// gone in the place of a value leaves the series out.
const gone = "gone"

// gauges are those that every node has.
func gauges() []string {
	return []string{"queue_length", "cache_ratio", "workers", "shards", "paint"}
}

func newPage(t *testing.T) *page {
	t.Helper()
	p := &page{set: map[string]string{}}
	p.Server = httptest.NewServer(p)
	t.Cleanup(func() { p.CloseClientConnections(); p.Close() })
	return p
}

// ServeHTTP answers a scrape; any other path is a page that is well.
func (p *page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/metrics" {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.scrapes++
	w.Header().Set("Content-Type", "text/plain; version=0.0.4")
	for _, name := range gauges() {
		fmt.Fprintf(w, "# TYPE %s gauge\n", name)
		for n := 1; n <= 3; n++ {
			p.line(w, fmt.Sprintf("%s{node=\"n%d\"}", name, n), 100+5*math.Sin(float64(7*p.scrapes+n)))
		}
	}
	for _, line := range p.more {
		fmt.Fprintln(w, line)
	}
}

func (p *page) line(w io.Writer, series string, v float64) {
	switch text := p.set[series]; text {
	case "":
		fmt.Fprintln(w, series, v)
	case gone:
	default:
		fmt.Fprintln(w, series, text)
	}
}

// says changes the page: values by series, and lines beside.
func (p *page) says(set map[string]string, more ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.set, p.more = maps.Clone(set), more
}

// signals are the entries of the configuration, by name: the expression, and what
// is special about it.
func signals() map[string]string {
	return map[string]string{
		"queue":   `expr: 'max by (node) (queue_length)'`,
		"ratio":   `expr: 'max by (node) (cache_ratio)'`,
		"workers": `expr: 'max by (node) (workers)', traffic: 'max by (node) (cache_ratio)'`,
		"shards":  `expr: 'max by (node) (shards)', max_series: 4`,
		"paint":   `expr: 'max by (service, node) (paint)'`,
		"orders":  `expr: 'max by (node) (orders)'`, // nobody exposes it at first
	}
}

// signalNames are all of them.
func signalNames() []string { return slices.Sorted(maps.Keys(signals())) }
