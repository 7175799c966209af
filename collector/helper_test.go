package collector

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-kit/log"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/onefiveten/onefiveten/config"
	"github.com/onefiveten/onefiveten/probe"
)

// shop is the smallest configuration of one service.
const shop = `
observers: [a]
services:
- {name: shop, owner: team-shop}
probes:
- name: shop-nodes
  service: shop
  module: fake
  interval: 5s
  targets: [{url: "http://n1/", labels: {node: n1, zone: za}}]
`

// proved are the proofs that a command would hand in.
var proved = []Proof{
	{Service: "shop", Signal: "availability", Cap: .25, Bound: 33 * time.Second},
	{Service: "shop", Signal: "latency", Cap: .6, Bound: 170 * time.Second},
}

// parse reads settings that must be without a mistake.
func parse(t testing.TB, text string) Settings {
	t.Helper()
	s, err := load(text)
	if err != nil {
		t.Fatalf("parsing: %v", err)
	}
	return s
}

func load(text string) (s Settings, err error) {
	err = config.Parse("probe.yml", []byte(text), &s)
	return s, err
}

// fake is a prober that answers as it is told.
type fake struct {
	mu      sync.Mutex
	answer  func(ctx context.Context, target string) probe.Result
	started []time.Time
	targets []string
}

func (f *fake) probe(ctx context.Context, target string) probe.Result {
	f.mu.Lock()
	f.started, f.targets = append(f.started, time.Now()), append(f.targets, target)
	answer := f.answer
	f.mu.Unlock()
	if answer == nil {
		return good(10 * time.Millisecond)
	}
	return answer(ctx, target)
}

func (f *fake) set(answer func(ctx context.Context, target string) probe.Result) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answer = answer
}

func (f *fake) runs() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.started)
}

func (f *fake) modules() map[string]Module {
	return map[string]Module{"fake": {Probe: f.probe, Timeout: 2 * time.Second}}
}

func good(d time.Duration) probe.Result {
	return probe.Result{Success: true, Start: time.Now(), Duration: d}
}

func bad(reason probe.Reason) probe.Result {
	return probe.Result{Reason: reason, Start: time.Now(), Duration: 5 * time.Millisecond}
}

// pass lets d go by in the bubble and everything that happens in it be done.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// begun is a collector that runs until the test ends.
func begun(t *testing.T, text string, f *fake) *Collector {
	t.Helper()
	c := New("a", log.NewNopLogger())
	if err := c.Apply(parse(t, text), f.modules(), proved, nil); err != nil {
		t.Fatalf("Apply: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- c.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	synctest.Wait()
	return c
}

func scrape(t testing.TB, h http.Handler, accept string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics/probes", nil)
	if accept != "" {
		r.Header.Set("Accept", accept)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// text is the page. It must be one that Prometheus reads and promlint likes.
func text(t testing.TB, c *Collector) string {
	t.Helper()
	got := readable(t, c)
	problems, err := promlint.New(strings.NewReader(got)).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("promlint: %v %v", problems, err)
	}
	return got
}

// readable is the page. It must be one that Prometheus reads.
func readable(t testing.TB, c *Collector) string {
	t.Helper()
	got := scrape(t, c, "").Body.String()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	if _, err := parser.TextToMetricFamilies(strings.NewReader(got)); err != nil {
		t.Errorf("the page does not parse: %v\n%s", err, got)
	}
	return got
}

// lines gives those lines of the page that contain each of the words.
func lines(page string, words ...string) string {
	var out strings.Builder
next:
	for line := range strings.Lines(page) {
		for _, w := range words {
			if !strings.Contains(line, w) {
				continue next
			}
		}
		if !strings.HasPrefix(line, "#") {
			out.WriteString(line)
		}
	}
	return out.String()
}
