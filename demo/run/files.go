package run

import (
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/template"
)

// files writes the configurations of one house into its folder.
type files struct {
	Dir       string
	Observers []observer
	Nodes     []target
	Entry     string // address that users see

	Prometheus, Alertmanager, Receiver, Sink, Balancer, Supervisor string // host:port

	OnCall, AlertmanagerToken string // secrets
}

// observer is one probe-exporter.
type observer struct {
	Name string
	Addr string // host:port
	Way  string // forward proxy that it probes through; empty = straight
}

// target is one node.
type target struct {
	Name, URL string
}

// ObserverNames is used by the template of the exporters.
func (f files) ObserverNames() string {
	var names []string
	for _, o := range f.Observers {
		names = append(names, o.Name)
	}
	return strings.Join(names, ", ")
}

// Path gives a file of the house, quoted for YAML.
func (f files) Path(name string) string { return strconv.Quote(filepath.Join(f.Dir, name)) }

// exporterFile differs between observers in the way alone. The timing is that
// of DETECTION 12.
const exporterFile = `modules:
  http_2xx:
    prober: http
    timeout: 500ms
    http:
      preferred_ip_protocol: ip4
{{- with .Way }}
      proxy_url: {{ . }}
{{- end }}
prometheus:
  scrape: {interval: 1s, timeout: 500ms}
  evaluation: {interval: 1s, delay: 200ms}
alertmanager:
  group_wait: 0s
  group_interval: 10s
  webhook: {url: "http://{{ .Receiver }}/api/v1/alertmanager", credentials_file: {{ .Path "alertmanager.token" }}}
observers: [{{ .ObserverNames }}]
probes:
- name: shop-nodes
  service: shop
  module: http_2xx
  role: node
  interval: 1s
  targets:
{{- range .Nodes }}
  - {url: "{{ .URL }}/health", labels: {node: {{ .Name }}}}
{{- end }}
- name: shop-entry
  service: shop
  module: http_2xx
  role: entry
  interval: 1s
  targets:
  - {url: "{{ .Entry }}"}
services:
- name: shop
  owner: team-shop
  severity: page
  dimensions: [node]
  targets: {detect: 60s, locate: 5m, recover: 10m}
  signals:
    availability: {mode: page, fault: {cap: 0.1}}
    latency: {mode: ticket}
`

const prometheusFile = `global: {scrape_interval: 1s, scrape_timeout: 500ms, evaluation_interval: 1s}
rule_files: [{{ .Path "generated/rules/*.yml" }}]
alerting:
  alertmanagers:
  - static_configs: [{targets: ["{{ .Alertmanager }}"]}]
scrape_configs:
- job_name: probes
  honor_labels: true
  metrics_path: /metrics/probes
  static_configs: [{targets: [{{ range $n, $o := .Observers }}{{ if $n }}, {{ end }}"{{ $o.Addr }}"{{ end }}]}]
- job_name: probe-exporter
  static_configs: [{targets: [{{ range $n, $o := .Observers }}{{ if $n }}, {{ end }}"{{ $o.Addr }}"{{ end }}]}]
- job_name: heal-receiver
  static_configs: [{targets: ["{{ .Receiver }}"]}]
`

const receiverFile = `cluster: demo
storage: {sqlite: {{ .Path "journal.db" }}}
prometheus:
- {name: main, url: "http://{{ .Prometheus }}"}
alertmanagers:
- {name: main, peers: ["http://{{ .Alertmanager }}"]}
auth:
  metrics: open
  clients:
  - {name: alertmanager, roles: [notify], source: main, bearer_file: {{ .Path "alertmanager.token" }}}
  - {name: oncall, roles: [read, run], bearer_file: {{ .Path "oncall.token" }}}
gather: 5s
http:
  allowed_hosts: ['{{ .Balancer }}', '{{ .Supervisor }}']
services:
- name: shop
  owner: team-shop
  members: 'min by (node) (probe_success{service="shop", role="node"})'
  member_by: node
  healthy: {query: 'min(probe_success{service="shop", role="entry"}) == 1'}
plans:
  drain-node:
    kind: isolate
    mode: auto
    target: 'node:{{ "{{" }} .Member.Labels.node {{ "}}" }}'
    steps:
    - {http: {method: PUT, url: 'http://{{ .Balancer }}/nodes/{{ "{{" }} .Member.Labels.node {{ "}}" }}/drain'}, timeout: 5s, retries: 1, idempotent: true}
    verify: {healthy: service, for: 5s, within: 30s, every: 1s}
    undo:
    - {http: {method: PUT, url: 'http://{{ .Balancer }}/nodes/{{ "{{" }} .Member.Labels.node {{ "}}" }}/ready'}, timeout: 5s, retries: 1, idempotent: true}
    release: manual
  restart-all:
    kind: restart
    mode: auto
    target: 'service:{{ "{{" }} .Service.Name {{ "}}" }}'
    rolling: true
    steps:
{{- range .Nodes }}
    - {http: {method: POST, url: 'http://{{ $.Supervisor }}/nodes/{{ .Name }}/restart'}, timeout: 15s, idempotent: true}
{{- end }}
    verify: {healthy: service, for: 5s, within: 30s, every: 1s}
scenarios:
- name: shop-node-bad
  match: ['service="shop"']
  owner: team-shop
  severity: P1
  ladders:
    node: [drain-node]
    service: [restart-all]
  escalate: {to: [people], tell: [located]}
escalate: {to: [people]}
notify:
  people: {webhook: {url: "http://{{ .Sink }}/"}}
`

// write makes all files but those that "probe-exporter rules" makes.
func (f files) write() error {
	for name, token := range map[string]string{"alertmanager.token": f.AlertmanagerToken, "oncall.token": f.OnCall} {
		if err := os.WriteFile(filepath.Join(f.Dir, name), []byte(token+"\n"), 0o600); err != nil {
			return err
		}
	}
	for name, text := range map[string]string{"prometheus.yml": prometheusFile, "heal-receiver.yml": receiverFile} {
		if err := f.render(name, text, f); err != nil {
			return err
		}
	}
	for _, o := range f.Observers {
		one := struct {
			files
			observer
		}{f, o}
		if err := f.render(o.configName(), exporterFile, one); err != nil {
			return err
		}
	}
	return nil
}

// configName is the file of one exporter's configuration.
func (o observer) configName() string { return "probe-exporter-" + o.Name + ".yml" }

// render fills one template; a field that is not there is an error.
func (f files) render(name, text string, data any) error {
	t, err := template.New(name).Option("missingkey=error").Parse(text)
	if err != nil {
		return err
	}
	var out strings.Builder
	if err := t.Execute(&out, data); err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	return os.WriteFile(filepath.Join(f.Dir, name), []byte(out.String()), 0o644)
}

// secret is a fresh token.
func secret() string { return rand.Text() }
