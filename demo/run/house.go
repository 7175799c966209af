package run

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/onefiveten/onefiveten/demo/process"
	"github.com/onefiveten/onefiveten/demo/shop"
	"github.com/onefiveten/onefiveten/demo/stack"
	"github.com/onefiveten/onefiveten/demo/term"
)

const (
	startWithin = 30 * time.Second
	calmWithin  = 2 * time.Minute
)

// house is one running installation around one shop.
type house struct {
	*demo
	fault  fault
	dir    string
	files  files
	group  process.Group
	shop   *shop.Shop
	ways   map[string]*shop.Way // by observer, only where there are two
	sink   *sink
	people *customers

	prometheus, receiver api
}

// openHouse starts all parts and waits until each is ready.
func (d *demo) openHouse(ctx context.Context, f fault) (*house, error) {
	dir, err := os.MkdirTemp("", "onefiveten-demo-")
	if err != nil {
		return nil, err
	}
	h := &house{demo: d, fault: f, dir: dir, ways: map[string]*shop.Way{}}
	err = d.say.During(ctx, "starting all parts on 127.0.0.1", nil, h.open)
	if err != nil {
		h.close(ctx.Err() == nil)
		return nil, fmt.Errorf("starting the demo: %w", err)
	}
	return h, nil
}

// open starts everything in the order in which one part needs another's
// address: the shop, our files, the rules, the servers.
func (h *house) open(ctx context.Context) error {
	if err := h.openShop(ctx); err != nil {
		return err
	}
	if err := h.writeFiles(); err != nil {
		return err
	}
	if err := h.makeRules(ctx); err != nil {
		return err
	}
	for _, c := range h.commands() {
		if _, err := h.group.Start(ctx, startWithin, c); err != nil {
			return err
		}
	}
	return nil
}

// openShop opens what is broken later, and those who look at it.
func (h *house) openShop(ctx context.Context) (err error) {
	if h.shop, err = shop.Open(ctx, shop.Options{Command: h.nodes, Logs: h.path("logs")}); err != nil {
		return err
	}
	h.group.Add(h.shop.Close)
	if h.sink, err = openSink(); err != nil {
		return err
	}
	h.group.Add(h.sink.close)
	h.people = sendCustomers(h.shop.EntryURL())
	h.group.Add(h.people.close)
	if len(h.fault.observers) < 2 {
		return nil
	}
	for _, name := range h.fault.observers {
		if h.ways[name], err = shop.OpenWay(); err != nil {
			return err
		}
		h.group.Add(h.ways[name].Close)
	}
	return nil
}

// writeFiles reserves the ports and writes every configuration.
func (h *house) writeFiles() error {
	f := files{
		Dir: h.dir, Entry: h.shop.EntryURL(), Sink: h.sink.addr,
		Balancer: hostOf(h.shop.BalancerURL()), Supervisor: hostOf(h.shop.SupervisorURL()),
		OnCall: secret(), AlertmanagerToken: secret(),
	}
	for _, name := range h.shop.Nodes() {
		f.Nodes = append(f.Nodes, target{name, h.shop.NodeURL(name)})
	}
	for _, addr := range []*string{&f.Prometheus, &f.Alertmanager, &f.Receiver} {
		if err := h.reserve(addr); err != nil {
			return err
		}
	}
	for _, name := range h.fault.observers {
		o := observer{Name: name}
		if err := h.reserve(&o.Addr); err != nil {
			return err
		}
		if w := h.ways[name]; w != nil {
			o.Way = w.URL()
		}
		f.Observers = append(f.Observers, o)
	}
	h.files = f
	h.prometheus = api{base: "http://" + f.Prometheus}
	h.receiver = api{base: "http://" + f.Receiver, token: f.OnCall}
	return f.write()
}

// reserve takes a port for a server that is told its address before it starts.
func (h *house) reserve(addr *string) error {
	port, err := process.Reserve()
	if err != nil {
		return err
	}
	h.group.Add(port.Close)
	*addr = port.Addr()
	return nil
}

// hostOf is host:port of an address, as allowed_hosts wants it.
func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Host
}

// path is a file in the house's own folder.
func (h *house) path(names ...string) string {
	return filepath.Join(append([]string{h.dir}, names...)...)
}

// makeRules lets probe-exporter write rules, their tests and the route.
func (h *house) makeRules(ctx context.Context) error {
	first := h.files.Observers[0]
	cmd := exec.CommandContext(ctx, h.exporter, "rules", "--observer="+first.Name,
		"--config.file="+h.path(first.configName()), "--output.dir="+h.path("generated"))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("probe-exporter rules: %w\n%s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

// commands are the parts in the order of starting.
func (h *house) commands() []process.Command {
	var all []process.Command
	for _, o := range h.files.Observers {
		name := "probe-exporter-" + o.Name
		all = append(all, process.Command{
			Name: name, Path: h.exporter, Log: h.path("logs", name+".log"), Ready: "http://" + o.Addr + "/-/ready",
			Args: []string{"--config.file=" + h.path(o.configName()), "--observer=" + o.Name, "--web.listen-address=" + o.Addr},
		})
	}
	return append(all,
		h.parts.AlertmanagerCommand(stack.Server{Config: h.path("generated", "alertmanager", "alertmanager.example.yml"),
			Data: h.path("alertmanager"), Addr: h.files.Alertmanager, Log: h.path("logs", "alertmanager.log")}),
		h.parts.PrometheusCommand(stack.Server{Config: h.path("prometheus.yml"),
			Data: h.path("prometheus"), Addr: h.files.Prometheus, Log: h.path("logs", "prometheus.log")}),
		process.Command{
			Name: "heal-receiver", Path: h.demo.receiver, Log: h.path("logs", "heal-receiver.log"), Ready: "http://" + h.files.Receiver + "/-/ready",
			Args: []string{"--config.file=" + h.path("heal-receiver.yml"), "--accept-risk", "--web.listen-address=" + h.files.Receiver},
		},
	)
}

// waitCalm waits until everything is scraped, every fault probability is 0 and
// no alert fires.
func (h *house) waitCalm(ctx context.Context) error {
	series := len(h.fault.observers) * (len(h.files.Nodes) + 1)
	jobs := 2*len(h.fault.observers) + 1
	wanted := []struct {
		expr string
		want float64
	}{
		{"count(up == 1)", float64(jobs)},
		{`count(ksigma_fault_probability{signal="availability"} == 0)`, float64(series)},
		{`count(probe_success == 1)`, float64(series)},
		{`sum(onefiveten:fault_members:sum{service="shop"})`, 0},
	}
	lacks := "nothing was asked yet"
	calm := func(ctx context.Context) (bool, error) {
		for _, w := range wanted {
			points, err := h.prometheus.query(ctx, w.expr)
			if err != nil {
				lacks = err.Error()
				return false, nil
			}
			if len(points) != 1 || points[0].value != w.want {
				lacks = fmt.Sprintf("%s is %s, want %v", w.expr, valuesOf(points), w.want)
				return false, nil
			}
		}
		firing, err := h.prometheus.firing(ctx)
		if err != nil || len(firing) > 0 {
			lacks = fmt.Sprintf("alerts fire: %v %v", firing, err)
			return false, nil
		}
		return true, nil
	}
	err := h.say.During(ctx, "waiting: no fault, no alert", func() string { return lacks }, func(ctx context.Context) error {
		return within(ctx, calmWithin, calm)
	})
	if err != nil {
		return fmt.Errorf("waiting until all is calm: %w: %s; the logs lie in %s", err, lacks, h.path("logs"))
	}
	return nil
}

// valuesOf is for people who ask what is still missing.
func valuesOf(points []point) string {
	if len(points) == 0 {
		return "absent"
	}
	var all []string
	for _, p := range points {
		all = append(all, fmt.Sprint(p.value))
	}
	return strings.Join(all, ", ")
}

// errLate says that a bounded wait is over.
var errLate = errors.New("the time is over")

// within asks ten times a second until done or an error, for a bounded time.
func within(ctx context.Context, limit time.Duration, ask func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("%w: %s", errLate, limit))
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		if done, err := ask(ctx); done || err != nil && ctx.Err() == nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// review fetches and keeps the review of each incident; a fault that must not
// be touched may have none.
func (h *house) review(ctx context.Context, out *Outcome) error {
	all, err := h.receiver.incidents(ctx)
	if err != nil {
		return err
	}
	var text []string
	for _, i := range slices.Backward(all) {
		body, err := h.receiver.call(ctx, "GET", "/api/v1/reviews/"+i.ID)
		if err != nil {
			return err
		}
		text = append(text, string(body))
	}
	if len(text) == 0 {
		return nil
	}
	out.Review, err = h.keepReview(h.fault.name, strings.Join(text, "\n\n---\n\n"))
	return err
}

// stay leaves everything up until ctx ends.
func (h *house) stay(ctx context.Context) {
	h.say.Line("")
	h.say.Line("%s", h.say.Paint(term.Bold, "KEEP=1: all parts stay up until Ctrl-C"))
	rows := [][2]string{
		{"shop", h.shop.EntryURL()}, {"balancer", h.shop.BalancerURL() + "/status"}, {"supervisor", h.shop.SupervisorURL() + "/status"},
	}
	for _, o := range h.files.Observers {
		rows = append(rows, [2]string{"probe-exporter " + o.Name, "http://" + o.Addr + "/metrics/probes"})
	}
	rows = append(rows,
		[2]string{"Prometheus", h.prometheus.base + "/alerts"}, [2]string{"Alertmanager", "http://" + h.files.Alertmanager},
		[2]string{"heal-receiver", h.receiver.base + "/api/v1/incidents"},
		[2]string{"token of the on-call", h.path("oncall.token")}, [2]string{"token of Alertmanager", h.path("alertmanager.token")},
		[2]string{"configurations, logs", h.dir},
		[2]string{"try", quote(h.demo.receiver) + " incidents --url " + h.receiver.base + " --token-file " + quote(h.path("oncall.token"))},
	)
	for _, row := range rows {
		h.say.Line("  %-22s %s", row[0], row[1])
	}
	<-ctx.Done()
}

// quote makes a path one word of a shell.
func quote(path string) string { return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'" }

// close ends every part. The folder is kept when something went wrong.
func (h *house) close(keep bool) {
	h.group.Close()
	if !keep {
		os.RemoveAll(h.dir)
		return
	}
	h.say.Line("  logs and configurations are kept in %s", h.dir)
}
