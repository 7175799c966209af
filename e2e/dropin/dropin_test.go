package dropin_test

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/onefiveten/onefiveten/demo/process"
	"github.com/onefiveten/onefiveten/demo/stack"
	"github.com/onefiveten/onefiveten/e2e/wait"
)

// upTo bounds every wait. It is no promise of a program: only a failing test
// waits so long.
const upTo = 2 * time.Minute

// generation is a Prometheus, and how it is told to take native histograms: by
// its command line, or by the job.
type generation struct{ path, flag, job string }

// generations are the two that must work.
func generations() map[string]generation {
	return map[string]generation{
		"build":  {path: builtPath, job: "scrape_native_histograms: true, "},
		"debian": {path: debianPath, flag: "--enable-feature=native-histograms"},
	}
}

// house is the shop with an exporter and a Prometheus that asks it.
type house struct {
	t          *testing.T
	dir        string
	shop       *shop
	exporter   *process.Port
	running    *process.Process
	prometheus prometheus
}

func newHouse(t *testing.T, g generation) *house {
	t.Helper()
	h := &house{t: t, dir: t.TempDir(), exporter: reserve(t)}
	h.shop = open(t, h.write)
	port := reserve(t)
	h.prometheus = prometheus{t, port.URL()}
	h.write("rules.yml", rules)
	h.write("blackbox.yml", h.shop.modules())
	h.write("targets.yml", h.shop.list())
	h.scrape(h.shop.classic(h.exporter.Addr()))
	parts := stack.Parts{Prometheus: stack.Program{Name: "prometheus", Path: os.Getenv(g.path)}}
	server := parts.PrometheusCommand(stack.Server{Config: h.file("prometheus.yml"), Data: h.file("data"), Addr: port.Addr(), Log: h.file("prometheus.log")})
	if g.flag != "" {
		server.Args = append(server.Args, g.flag)
	}
	h.start(server)
	return h
}

func reserve(t *testing.T) *process.Port {
	t.Helper()
	p, err := process.Reserve()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func (h *house) file(name string) string { return filepath.Join(h.dir, name) }

func (h *house) write(name, text string) string {
	h.t.Helper()
	if err := os.WriteFile(h.file(name), []byte(text), 0o600); err != nil {
		h.t.Fatal(err)
	}
	return h.file(name)
}

// scrape writes the configuration of Prometheus with these jobs.
func (h *house) scrape(jobs string) {
	h.t.Helper()
	h.write("prometheus.yml", "global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}\nrule_files: [rules.yml]\nscrape_configs:\n"+jobs)
}

func (h *house) start(c process.Command) *process.Process {
	h.t.Helper()
	var group process.Group
	h.t.Cleanup(group.Close)
	p, err := group.Start(h.t.Context(), time.Minute, c)
	if err != nil {
		h.t.Fatal(err)
	}
	return p
}

// stop ends the exporter that runs, so that nothing of it is taken for what comes
// after it.
func (h *house) stop() {
	h.t.Helper()
	h.running.Stop(time.Minute)
	h.eventually("the series of the exporter that has stopped end", func() string {
		return cmp.Diff([]string(nil), h.prometheus.present(`{__name__=~"probe_.+"}`))
	})
}

// run starts an exporter on the port of all.
func (h *house) run(name, program string, args ...string) {
	h.t.Helper()
	h.running = h.start(process.Command{Name: name, Path: os.Getenv(program), Log: h.file(name + ".log"), Ready: h.exporter.URL() + "/-/healthy",
		Args: append([]string{"--web.listen-address=" + h.exporter.Addr()}, args...)})
}

// eventually asks until nothing is wrong any more.
func (h *house) eventually(what string, wrong func() string) {
	h.t.Helper()
	wait.Until(h.t, what, upTo, wrong, func() string { return process.Tail(h.file(h.running.Name()+".log"), 20) })
}

// fires waits until these alerts fire, and no other.
func (h *house) fires(when string, want []string) {
	h.t.Helper()
	h.eventually("the alerts, "+when+" (- want, + fire)", func() string { return cmp.Diff(want, h.prometheus.alerts()) })
}

// seen is what people see of an exporter in Prometheus.
type seen struct{ page, probed, own []string }

// live goes through a day of the shop: as it stands at first, turned over, and
// with a mistake in the configuration.
func (h *house) live(more bool) seen {
	h.t.Helper()
	h.shop.turn(false)
	h.fires("at first", h.shop.alerts(more))
	h.eventually("every target is up", func() string {
		return cmp.Diff([]map[string]string(nil), h.prometheus.series("up == 0"))
	})
	was := seen{
		page: h.prometheus.page(), probed: h.prometheus.present(`{job=~"blackbox.*", __name__!~"ALERTS.*"}`),
		// The rest counts the connections of a library of theirs.
		// What the labels of a build say is another program's own.
		own: h.prometheus.present(`{job="exporter", __name__!~"net_conntrack_.+|.+_build_info"} or group by (__name__, job, instance) ({job="exporter", __name__="blackbox_exporter_build_info"})`),
	}
	for _, expr := range dashboards() {
		if len(h.prometheus.series(expr)) == 0 {
			h.t.Errorf("a panel of a dashboard is empty: %s", expr)
		}
	}
	h.shop.turn(true)
	h.fires("when servers have turned", h.shop.alerts(more))
	h.shop.turn(false)
	h.fires("when they have turned back", h.shop.alerts(more))
	h.reload("modules: {http_2xx: {prober: http, nonsense: 1}}\n", http.StatusInternalServerError)
	broken := append(h.shop.alerts(more), "BlackboxConfigurationReloadFailure "+h.exporter.Addr())
	slices.Sort(broken)
	h.fires("when the configuration has a mistake", broken)
	h.reload(h.shop.modules(), http.StatusOK)
	h.fires("when it has none again", h.shop.alerts(more))
	return was
}

// reload writes the configuration and has the exporter read it.
func (h *house) reload(text string, want int) {
	h.t.Helper()
	h.write("blackbox.yml", text)
	if status, body := fetch(h.t, http.MethodPost, h.exporter.URL()+"/-/reload"); status != want {
		h.t.Errorf("POST /-/reload: %d, want %d: %s", status, want, body)
	}
}

func TestDropin_NobodySeesTheSwap(t *testing.T) {
	for name, g := range generations() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, g)
			file := "--config.file=" + h.file("blackbox.yml")
			h.run("blackbox_exporter", theirsPath, file)
			theirs := h.live(false)
			h.stop()
			h.run("probe-exporter", oursPath, file)
			ours := h.live(true)
			if d := cmp.Diff(theirs.page, ours.page); d != "" {
				t.Errorf("the page of targets (- before, + after):\n%s", d)
			}
			if lost := missing(theirs.probed, ours.probed); len(lost) > 0 {
				t.Errorf("series of probes that are gone:\n%s", strings.Join(lost, "\n"))
			}
			if lost := missing(theirs.own, ours.own); len(lost) > 0 {
				t.Errorf("series of the exporter itself that are gone:\n%s", strings.Join(lost, "\n"))
			}
			if len(theirs.probed) < 200 {
				t.Errorf("%d series before: too few to tell anything", len(theirs.probed))
			}
			h.ownSchedule(g, file)
		})
	}
}

// missing gives what was there before and is no more.
func missing(before, after []string) (lost []string) {
	for _, one := range before {
		if _, found := slices.BinarySearch(after, one); !found {
			lost = append(lost, one)
		}
	}
	return lost
}

// ownSchedule goes on to what theirs does not have: the targets in the exporter's
// own file. The rules are not told either.
func (h *house) ownSchedule(g generation, file string) {
	h.t.Helper()
	h.stop()
	h.scrape(own(h.exporter.Addr(), g.job))
	h.write("blackbox.yml", h.shop.schedule())
	if status, body := fetch(h.t, http.MethodPost, h.prometheus.base+"/-/reload"); status != http.StatusOK {
		h.t.Fatalf("reloading Prometheus: %d: %s", status, body)
	}
	h.run("probe-exporter", oursPath, file, "--observer=a")
	h.fires("of the own schedule", h.shop.alerts(true))
	h.shop.turn(true)
	h.fires("of the own schedule, when servers have turned", h.shop.alerts(true))
	for _, expr := range dashboards() {
		if len(h.prometheus.series(expr)) == 0 {
			h.t.Errorf("a panel of a dashboard is empty with the own schedule: %s", expr)
		}
	}
	h.eventually("every target has a histogram that is native", func() string {
		return cmp.Diff(len(h.shop.targets()), len(h.prometheus.series(`histogram_quantile(0.9, rate(probe_run_duration_seconds[10s])) >= 0`)))
	})

	// A target leaves the file: nothing is reloaded.
	h.shop.closed = true
	h.write("targets.yml", h.shop.list())
	h.fires("when a target has left its file", h.shop.alerts(true))
	h.eventually("every other target has its result", func() string {
		return cmp.Diff(len(h.shop.targets()), len(h.prometheus.series("probe_success")))
	})
}
