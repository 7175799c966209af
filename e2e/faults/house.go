package faults

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"github.com/onefiveten/onefiveten/demo/process"
	"github.com/onefiveten/onefiveten/demo/stack"
	"github.com/onefiveten/onefiveten/promapi"
)

// house is one running installation.
type house struct {
	Options
	stack      Stack
	plans      []plan
	servers    map[string]map[string]*server // by service and node
	hook       *hook
	ports      ports
	prometheus *promapi.Client
}

// ports are those of the parts.
type ports struct {
	prometheus, alertmanager *process.Port
	observers                [observers]*process.Port
}

// observer is the name of one probe-exporter.
func observer(i int) string { return string(rune('a' + i)) }

// open starts all parts, until the group ends.
func open(ctx context.Context, group *process.Group, o Options, s Stack, plans []plan) (*house, error) {
	h := &house{Options: o, stack: s, plans: plans, servers: map[string]map[string]*server{}}
	if err := h.openServers(group); err != nil {
		return nil, err
	}
	if err := h.reserve(group); err != nil {
		return nil, err
	}
	client, err := promapi.New(promapi.Settings{Name: "Prometheus", URL: h.ports.prometheus.URL(), Timeout: model.Duration(10 * time.Second)})
	if err != nil {
		return nil, err
	}
	group.Add(client.Close)
	h.prometheus = client
	if err := h.write(ctx); err != nil {
		return nil, err
	}
	for _, c := range h.commands() {
		if _, err := group.Start(ctx, warmUp, c); err != nil {
			return nil, err
		}
	}
	return h, nil
}

// openServers opens what will be broken and who is told.
func (h *house) openServers(group *process.Group) (err error) {
	for _, p := range h.plans {
		h.servers[p.service] = map[string]*server{}
		for _, n := range nodes() {
			s, err := newServer()
			if err != nil {
				return err
			}
			group.Add(s.close)
			h.servers[p.service][n] = s
		}
	}
	if h.hook, err = newHook(); err == nil {
		group.Add(func() { h.hook.server.Close() })
	}
	return err
}

// reserve takes a port for every part.
func (h *house) reserve(group *process.Group) error {
	all := []**process.Port{&h.ports.prometheus, &h.ports.alertmanager}
	for i := range h.ports.observers {
		all = append(all, &h.ports.observers[i])
	}
	for _, at := range all {
		port, err := process.Reserve()
		if err != nil {
			return err
		}
		group.Add(port.Close)
		*at = port
	}
	return nil
}

// write makes the configurations; rules and route are those that probe-exporter
// generates.
func (h *house) write(ctx context.Context) error {
	for name, text := range map[string]string{"probe-exporter.yml": h.exporterFile(), "prometheus.yml": h.prometheusFile()} {
		if err := os.WriteFile(h.path(name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	cmd := exec.CommandContext(ctx, h.Exporter, "rules", "--observer="+observer(0), "--no-tests",
		"--config.file="+h.path("probe-exporter.yml"), "--output.dir="+h.path("generated"))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("probe-exporter rules: %w\n%s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

// path is a file of the run.
func (h *house) path(names ...string) string {
	return filepath.Join(append([]string{h.Dir}, names...)...)
}

// exporterFile is the configuration of both observers.
func (h *house) exporterFile() string {
	var names []string
	for i := range observers {
		names = append(names, observer(i))
	}
	var s strings.Builder
	s.WriteString("modules:\n")
	for _, k := range h.stack.Kinds {
		fmt.Fprintf(&s, "  %s: {prober: http, timeout: %s, http: {preferred_ip_protocol: ip4}}\n", k.Name, k.Timeout)
	}
	fmt.Fprintf(&s, `backend: %s
prometheus:
  scrape: {interval: %s, timeout: %s}
  evaluation: {interval: %s, delay: %s}
alertmanager:
  group_wait: 0s
  group_interval: 10s
  webhook: {url: "http://%s/", credentials_file: ""}
observers: [%s]
probes:
`, h.stack.Backend, h.stack.Scrape, h.stack.ScrapeTimeout, h.stack.Evaluation, h.stack.Delay, h.hook.addr, strings.Join(names, ", "))
	for _, p := range h.plans {
		fmt.Fprintf(&s, "- {name: %[1]s, service: %[1]s, module: %[2]s, role: node, interval: %[3]s, targets: [", p.service, p.kind.Name, p.kind.Interval)
		for _, n := range nodes() {
			fmt.Fprintf(&s, "{url: %q, labels: {node: %s}}, ", h.servers[p.service][n].port.URL(), n)
		}
		s.WriteString("]}\n")
	}
	s.WriteString("services:\n")
	for _, p := range h.plans {
		fmt.Fprintf(&s, "- {name: %s, owner: team, signals: {availability: {mode: page, fault: {%s}}}}\n", p.service, p.kind.fault())
	}
	return s.String()
}

// fault are the settings of θ_e.
func (k Kind) fault() string {
	if k.Floor > 0 {
		return fmt.Sprintf("floor: %g, cap: %g", k.Floor, k.Cap)
	}
	return fmt.Sprintf("cap: %g", k.Cap)
}

// prometheusFile scrapes both and evaluates what was generated.
func (h *house) prometheusFile() string {
	var list []string
	for _, p := range h.ports.observers {
		list = append(list, fmt.Sprintf("%q", p.Addr()))
	}
	return fmt.Sprintf(`global: {scrape_interval: %s, scrape_timeout: %s, evaluation_interval: %s}
rule_files: [%q]
alerting: {alertmanagers: [{static_configs: [{targets: [%q]}]}]}
scrape_configs:
- {job_name: probes, honor_labels: true, metrics_path: /metrics/probes, static_configs: [{targets: [%s]}]}
`, h.stack.Scrape, h.stack.ScrapeTimeout, h.stack.Evaluation, h.path("generated", "rules", "*.yml"), h.ports.alertmanager.Addr(), strings.Join(list, ", "))
}

// commands are the parts in the order of starting.
func (h *house) commands() []process.Command {
	var all []process.Command
	for i, p := range h.ports.observers {
		name := "probe-exporter-" + observer(i)
		all = append(all, process.Command{
			Name: name, Path: h.Exporter, Log: h.path(name + ".log"), Ready: p.URL() + "/-/ready",
			Args: []string{"--config.file=" + h.path("probe-exporter.yml"), "--observer=" + observer(i), "--web.listen-address=" + p.Addr()},
		})
	}
	return append(all,
		h.Parts.AlertmanagerCommand(stack.Server{Config: h.path("generated", "alertmanager", "alertmanager.example.yml"),
			Data: h.path("alertmanager"), Addr: h.ports.alertmanager.Addr(), Log: h.path("alertmanager.log")}),
		h.Parts.PrometheusCommand(stack.Server{Config: h.path("prometheus.yml"),
			Data: h.path("prometheus"), Addr: h.ports.prometheus.Addr(), Log: h.path("prometheus.log")}))
}

// healthy waits until every observer has told Prometheus of every node, and all of
// it is well, and until Prometheus has found Alertmanager: what fires before is lost,
// and sent again a minute later.
func (h *house) healthy(ctx context.Context) error {
	want := observers * len(nodes()) * len(h.plans)
	query := fmt.Sprintf(`count(%s{signal="availability"} == 0)`, h.stack.verdict())
	for last := time.Now().Add(warmUp); ; {
		points, err := h.prometheus.Query(ctx, query)
		if err != nil {
			return err
		}
		to, err := h.prometheus.Alertmanagers(ctx)
		if err != nil {
			return err
		}
		if len(points) == 1 && int(points[0].Value) == want && len(to) > 0 {
			return nil
		}
		if time.Now().After(last) {
			return fmt.Errorf("waiting for all to be well: %s gives %v, want %d; Prometheus sends alerts to %v; not within %s", query, points, want, to, warmUp)
		}
		if err := until(ctx, time.Now().Add(look)); err != nil {
			return err
		}
	}
}

// bounds are those that the exporters tell, by service.
func (h *house) bounds(ctx context.Context) (map[string]time.Duration, error) {
	points, err := h.prometheus.Query(ctx, `max by (service) (onefiveten_detect_bound_seconds{signal="availability"})`)
	if err != nil {
		return nil, err
	}
	all := map[string]time.Duration{}
	for _, p := range points {
		all[p.Labels["service"]] = time.Duration(p.Value * float64(time.Second)).Round(time.Millisecond)
	}
	if len(all) != len(h.plans) {
		return nil, fmt.Errorf("got bounds of %d services, want %d", len(all), len(h.plans))
	}
	return all, nil
}
