package main

import (
	"strings"
	"testing"
)

// intranet is a schedule without any service: HOST is an address.
const intranet = `modules:
  web: {prober: http, timeout: 500ms}
  tcp: {prober: tcp, timeout: 500ms}
probes:
- {name: intranet, module: web, interval: 1s, targets: ["http://HOST/", {url: "http://HOST/down", labels: {node: n1}}]}
- {name: port, module: tcp, role: entry, interval: 60s, targets: [HOST]}
`

func TestServe_ProbesOfNoServiceNeedModulesAndTargetsAlone(t *testing.T) {
	host := site(t, fine)
	e := start(t, "--observer=a", "--config.file="+write(t, strings.ReplaceAll(intranet, "HOST", host)))
	const of = `job="probe",instance="http://HOST/",observer="a",probe="intranet"} `
	page := e.eventually("/metrics/probes", strings.ReplaceAll("probe_success{"+of+"1\n", "HOST", host), `/down",observer="a",probe="intranet",node="n1"} 1`+"\n")
	for _, word := range []string{"service=", "role=", "ksigma_", "onefiveten_service_info", "onefiveten_detect_bound"} {
		if strings.Contains(page, word) {
			t.Errorf("%s is on the page, though there is no service:\n%s", word, page)
		}
	}
	for _, name := range []string{"probe_attempts_total{", "probe_run_duration_seconds_count{", "probe_last_run_timestamp_seconds{", "probe_http_status_code{", "probe_first_failure_timestamp_seconds{"} {
		if !strings.Contains(page, name+strings.ReplaceAll(of, "HOST", host)) {
			t.Errorf("there is no %s…} on the page:\n%s", name, page)
		}
	}
	if got := e.get("/config"); strings.Contains(got, "service") {
		t.Errorf("/config shows a service that nobody has named:\n%s", got)
	}
}

func TestCheck_OfNoServiceTellsOfNoBounds(t *testing.T) {
	file := write(t, strings.ReplaceAll(intranet, "HOST", "127.0.0.1:1"))
	prometheus := api(t, file, answers{
		targets: `{"scrapePool":"p","scrapeUrl":"http://a.test/metrics/probes","scrapeInterval":"1m","scrapeTimeout":"30s","health":"up"}`,
		config:  `[{job_name: p, honor_labels: true}]`,
	})
	code, stdout, stderr := call(t, "check", "--config.file="+file, "--prometheus.url="+prometheus)
	if code != 0 || stderr != "" || strings.Contains(stdout, "bound") || !strings.Contains(stdout, "no mistakes; 2 modules, 2 probes, 3 targets, 0 services\n") {
		t.Errorf("ended with %d: %s%s", code, stdout, stderr)
	}
	if code, stdout, stderr = call(t, "rules", "--config.file="+file, "--output.dir="+t.TempDir()); code != 0 || stdout != "no services: nothing is promised, no rules are written\n" {
		t.Errorf("rules ended with %d, want none: %s%s", code, stdout, stderr)
	}
}

// A plain address is looked at as any other.
func TestCheck_ATargetThatIsAnAddressAloneIsOneMistake(t *testing.T) {
	for target, want := range map[string]string{
		`"ftp://a.test"`:       `:5: probes[0].targets[0].url: target: scheme is "ftp"; want http or https`,
		`["http://a.test/"]`:   `:5: probes[0].targets[0]: got a list, want an address, or {url: …, labels: …}`,
		`{url: ["http://h/"]}`: `:5: probes[0].targets[0].url: want a text, got a list`,
	} {
		file := write(t, strings.NewReplacer(`"http://HOST/"`, target, "HOST", "127.0.0.1:1").Replace(intranet))
		if code, _, stderr := call(t, "check", "--config.file="+file); code != 1 || stderr != file+want+"\nprobe-exporter: "+file+" has mistakes: 1\n" {
			t.Errorf("%s: ended with %d: %s, want %s", target, code, stderr, want)
		}
	}
}
