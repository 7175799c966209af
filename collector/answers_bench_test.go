package collector

import (
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/go-kit/log"

	"github.com/onefiveten/onefiveten/promapi"
)

// broad is a signal of n series after some answers, and the next answer.
func broad(b *testing.B, n int, of string) (c *Collector, next func()) {
	b.Helper()
	c = New("a", log.NewNopLogger())
	text := of + strings.NewReplacer("unit: items", fmt.Sprintf("max_series: %d", n)).Replace(queue)
	if err := c.Apply(parse(b, text), nil, ofQueue, &lake{}); err != nil {
		b.Fatal(err)
	}
	s := c.table.Load().queries[0].state
	s.past = noPast
	list := make([]promapi.Point, n)
	for i := range list {
		list[i] = promapi.Point{Labels: map[string]string{"service": "shop", "node": fmt.Sprintf("node-%d.example.org", i), "zone": fmt.Sprint("z", i%3)}}
	}
	at := time.Now()
	next = func() {
		at = at.Add(10 * time.Second)
		for i := range list {
			list[i].Value = float64(i%100) + float64(at.UnixNano()%97)/97
		}
		s.take(c, answer{began: at, ended: at, points: list})
	}
	for range 5 {
		next()
	}
	if got := len(s.shown.Load().series); got != n {
		b.Fatalf("%d series are judged, want %d", got, n)
	}
	return c, next
}

// BenchmarkTake is one answer of ten thousand series.
func BenchmarkTake(b *testing.B) {
	const n = 10_000
	_, next := broad(b, n, "")
	b.ReportAllocs()
	for b.Loop() {
		next()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/series")
}

// BenchmarkStates is what the state of a series of a query takes, labels and all.
func BenchmarkStates(b *testing.B) {
	const n = 10_000
	var before, after runtime.MemStats
	for b.Loop() {
		runtime.GC()
		runtime.ReadMemStats(&before)
		c, _ := broad(b, n, "")
		runtime.GC()
		runtime.ReadMemStats(&after)
		runtime.KeepAlive(c)
	}
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/n, "B/series")
}

// BenchmarkPageOfQueries is a scrape of ten thousand series of one signal.
func BenchmarkPageOfQueries(b *testing.B) {
	for _, of := range []string{"", "expose: full"} {
		b.Run(of, func(b *testing.B) {
			c, _ := broad(b, 10_000, of)
			r, err := http.NewRequest(http.MethodGet, "/metrics/probes", nil)
			if err != nil {
				b.Fatal(err)
			}
			w := &sinkhole{header: http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				w.n = 0
				c.ServeHTTP(w, r)
			}
			b.ReportMetric(float64(w.n), "B/page")
		})
	}
}
