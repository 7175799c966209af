package dropin_test

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// rules are what shops alert on, by the names that the community's collections
// of rules have made known, with windows for a scrape every second.
const rules = `groups:
- name: blackbox
  interval: 1s
  rules:
  - {alert: BlackboxProbeFailed, expr: 'probe_success == 0', labels: {severity: critical}}
  - {alert: BlackboxConfigurationReloadFailure, expr: 'blackbox_exporter_config_last_reload_successful != 1', labels: {severity: warning}}
  - {alert: BlackboxSlowProbe, expr: 'avg_over_time(probe_duration_seconds[4s]) > ` + dull + `', labels: {severity: warning}}
  - {alert: BlackboxProbeSlowHttp, expr: 'avg by (job, instance) (sum by (job, instance) (avg_over_time(probe_http_duration_seconds[4s]))) > ` + dull + `', labels: {severity: warning}}
  - {alert: BlackboxProbeSlowPing, expr: 'avg_over_time(probe_icmp_duration_seconds[4s]) > ` + dull + `', labels: {severity: warning}}
  - {alert: BlackboxProbeHttpFailure, expr: 'probe_http_status_code <= 199 or probe_http_status_code >= 400', labels: {severity: critical}}
  - {alert: BlackboxSslCertificateWillExpireSoon, expr: '0 <= (probe_ssl_earliest_cert_expiry - time()) / 86400 < 20', labels: {severity: warning}}
  - {alert: BlackboxSslCertificateExpired, expr: '(probe_ssl_earliest_cert_expiry - time()) / 86400 < 0', labels: {severity: critical}}
`

// dashboards are what the panels of well-known Grafana dashboards (7587, 13659,
// 18538) and of their kin ask; $instance is all.
func dashboards() []string {
	return []string{
		`probe_success{instance=~".+"}`, `avg_over_time(probe_success[4s]) * 100`, `count(probe_success == 1)`, `count(probe_success == 0)`,
		`avg by (instance) (probe_duration_seconds)`, `sum by (instance) (probe_http_duration_seconds)`,
		`probe_http_duration_seconds{phase="resolve"}`, `probe_http_duration_seconds{phase="connect"}`, `probe_http_duration_seconds{phase="tls"}`,
		`probe_http_duration_seconds{phase="processing"}`, `probe_http_duration_seconds{phase="transfer"}`,
		`probe_http_status_code`, `probe_http_version`, `probe_http_ssl == 1`, `probe_http_redirects`, `probe_http_content_length`,
		`probe_http_uncompressed_body_length`, `probe_failed_due_to_regex`,
		`probe_ssl_earliest_cert_expiry - time()`, `probe_ssl_last_chain_expiry_timestamp_seconds`, `probe_tls_version_info`, `probe_tls_cipher_info`,
		`probe_ssl_last_chain_info{subject=~".+", issuer=~".+", serialnumber=~".+", fingerprint_sha256=~".+"}`,
		`avg by (instance) (probe_dns_lookup_time_seconds)`, `probe_ip_protocol == 4`, `probe_ip_addr_hash`,
		`probe_icmp_duration_seconds{phase="rtt"}`, `probe_icmp_duration_seconds{phase="setup"}`, `probe_icmp_duration_seconds{phase="resolve"}`, `probe_icmp_reply_hop_limit`,
		`probe_dns_duration_seconds{phase="request"}`, `probe_dns_answer_rrs`, `probe_dns_authority_rrs`, `probe_dns_additional_rrs`, `probe_dns_query_succeeded`,
		`probe_grpc_duration_seconds{phase="check"}`, `probe_grpc_status_code`, `probe_grpc_ssl`, `probe_grpc_healthcheck_response{serving_status="SERVING"} == 1`,
	}
}

// classic is the job of an exporter that is asked target by target, in its two
// forms: the module as a parameter of the job, and as a label of the target.
func (s *shop) classic(exporter string) string {
	var labelled []string
	for _, t := range s.targets() {
		if t.module != listed {
			labelled = append(labelled, fmt.Sprintf("{targets: [%q], labels: {__param_module: %s}}", t.url(), t.module))
		}
	}
	relabel := fmt.Sprintf(`  relabel_configs:
  - {source_labels: [__address__], target_label: __param_target}
  - {source_labels: [__param_target], target_label: instance}
  - {target_label: __address__, replacement: %q}
`, exporter)
	return "- job_name: blackbox\n  metrics_path: /probe\n  params: {module: [" + listed + "]}\n  file_sd_configs: [{files: [targets.yml]}]\n" + relabel +
		"- job_name: blackbox-modules\n  metrics_path: /probe\n  static_configs: [" + strings.Join(labelled, ", ") + "]\n" + relabel +
		fmt.Sprintf("- {job_name: exporter, static_configs: [{targets: [%q]}]}\n", exporter)
}

// own is the job of the own schedule, with what this generation of Prometheus
// wants beside it.
func own(exporter, more string) string {
	return fmt.Sprintf("- {job_name: probes, honor_labels: true, metrics_path: /metrics/probes, %sstatic_configs: [{targets: [%q]}]}\n", more, exporter)
}

// schedule is the configuration with the targets in it: most of them in place,
// those of the file where they are.
func (s *shop) schedule() string {
	const entry = "- {name: %[1]s, module: %[1]s, service: shop, interval: 1s, overlap: 6, %[2]s}\n"
	text := s.modules() + "services: [{name: shop, owner: team}]\nprobes:\n" + fmt.Sprintf(entry, listed, "file_sd: {files: [targets.yml], refresh: 1s}")
	static := map[string][]string{}
	for _, t := range s.targets() {
		static[t.module] = append(static[t.module], fmt.Sprintf("{url: %q}", t.url()))
	}
	delete(static, listed)
	for _, module := range slices.Sorted(maps.Keys(static)) {
		text += fmt.Sprintf(entry, module, "targets: ["+strings.Join(static[module], ", ")+"]")
	}
	return text
}

// prometheus asks a Prometheus.
type prometheus struct {
	t    *testing.T
	base string
}

// get reads the data of an answer.
func (p prometheus) get(path string, into any) {
	p.t.Helper()
	status, body := fetch(p.t, http.MethodGet, p.base+path)
	var answer struct{ Data json.RawMessage }
	if err := json.Unmarshal([]byte(body), &answer); status != http.StatusOK || err != nil {
		p.t.Fatalf("GET %s: %d, %v: %s", path, status, err, body)
	}
	if err := json.Unmarshal(answer.Data, into); err != nil {
		p.t.Fatalf("GET %s: %v: %s", path, err, body)
	}
}

// series are the labels of what an expression gives.
func (p prometheus) series(expr string) []map[string]string {
	p.t.Helper()
	var data struct {
		Result []struct{ Metric map[string]string }
	}
	p.get("/api/v1/query?query="+url.QueryEscape(expr), &data)
	var all []map[string]string
	for _, r := range data.Result {
		all = append(all, r.Metric)
	}
	return all
}

// alerts are those that fire, "name instance", sorted and each once: a target of
// two jobs has two.
func (p prometheus) alerts() []string {
	p.t.Helper()
	var all []string
	for _, labels := range p.series(`ALERTS{alertstate="firing"}`) {
		all = append(all, labels["alertname"]+" "+labels["instance"])
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// page is the page of targets as people see it: job, address, labels, health,
// and what went wrong.
func (p prometheus) page() []string {
	p.t.Helper()
	var data struct {
		ActiveTargets []struct {
			ScrapePool, ScrapeURL, Health, LastError string
			Labels, DiscoveredLabels                 map[string]string
		}
	}
	p.get("/api/v1/targets?state=active", &data)
	var all []string
	for _, t := range data.ActiveTargets {
		all = append(all, fmt.Sprintf("%s %s %v %v %s %q", t.ScrapePool, t.ScrapeURL, t.Labels, t.DiscoveredLabels, t.Health, t.LastError))
	}
	slices.Sort(all)
	return all
}

// present are the series of now, "name labels", sorted.
func (p prometheus) present(matcher string) []string {
	p.t.Helper()
	var all []string
	for _, labels := range p.series(matcher) {
		name := labels["__name__"]
		delete(labels, "__name__")
		all = append(all, fmt.Sprintf("%s %v", name, labels))
	}
	slices.Sort(all)
	return all
}

// fetch asks once, and reads the answer whatever its status.
func fetch(t *testing.T, method, address string) (status int, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}
