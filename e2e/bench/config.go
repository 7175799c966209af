package main

import (
	"fmt"
	"net"
	"strings"
	"time"
)

// How ours and its one probe are called: they decide when a target is probed.
const (
	observer  = "bench"
	probeName = "bench"
	asBench   = "--observer=" + observer
)

// modules are the same for both programs.
func (b *bench) modules(timeout time.Duration) string {
	return fmt.Sprintf(`modules:
  http: {prober: http, timeout: %[1]s, http: {preferred_ip_protocol: ip4}}
  https: {prober: http, timeout: %[1]s, http: {preferred_ip_protocol: ip4, fail_if_not_ssl: true, tls_config: {ca_file: %[2]q}}}
  tcp: {prober: tcp, timeout: %[1]s, tcp: {preferred_ip_protocol: ip4}}
`, timeout, b.ca())
}

// schedule is a configuration of ours that probes the targets by itself.
func (b *bench) schedule(module string, targets []string, interval, timeout time.Duration) string {
	var s strings.Builder
	s.WriteString(b.modules(timeout))
	fmt.Fprintf(&s, "prometheus: {scrape: {interval: 5s, timeout: 1s}, evaluation: {interval: 5s, delay: 1s}}\n")
	fmt.Fprintf(&s, "services: [{name: bench, owner: bench}]\nprobes:\n- {name: %s, service: bench, module: %s, role: entry, interval: %s, targets: [\n", probeName, module, interval)
	for _, target := range targets {
		fmt.Fprintf(&s, "  {url: %q},\n", target)
	}
	s.WriteString("]}\n")
	return s.String()
}

// named are n different targets of one kind, with the host written as name.
func named(kind, name string, addresses []string, n int) (module string, list []string) {
	scheme := map[string]string{plainHTTP: "http://", tlsHTTP1: "https://", tlsHTTP2: "https://"}[kind]
	for i := range n {
		_, port, _ := net.SplitHostPort(addresses[i%len(addresses)])
		target := scheme + net.JoinHostPort(name, port)
		if scheme != "" {
			target += fmt.Sprintf("/%d", i)
		}
		list = append(list, target)
	}
	return map[string]string{plainHTTP: "http", tlsHTTP1: "https", tlsHTTP2: "https", plainTCP: "tcp"}[kind], list
}
