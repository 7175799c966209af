package main

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/onefiveten/onefiveten/config"
	"github.com/onefiveten/onefiveten/probe"
	"github.com/onefiveten/onefiveten/rules"
)

// FuzzLoad: whatever stands in a configuration, it is refused with mistakes, or
// it can be used for all: probers, proofs, warnings, and a page without secrets.
func FuzzLoad(f *testing.F) {
	example, err := os.ReadFile("../../docs/examples/probe-exporter.yml")
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{
		string(example), strings.ReplaceAll(house, "HOST", "127.0.0.1:1"), "", "modules:\n", "modules: {a: {prober: tcp, tcp: {query_response: [{expect: '^(a)', labels: [{name: b, value: $1}]}, {expect_bytes: x}]}}}\n",
		"modules: {a: {prober: http, http: {headers: {Authorization: topsecret}, valid_status_codes: [200], fail_if_body_matches_regexp: [a]}}}\n",
		"modules: {a: {prober: dns, dns: {query_name: a.test, query_type: SOA, valid_rcodes: [NXDOMAIN], validate_answer_rrs: {fail_if_matches_regexp: [a]}}}}\n",
		"modules: {a: {prober: grpc, grpc: {service: b, tls: true, metadata: {k: [v]}}}}\n", "modules: {a: {prober: icmp, icmp: {ttl: 3, payload_size: 9}}}\n",
		"modules: {a: {prober: unix}}\nprometheus: {url: 'http://a.test', http_config: {basic_auth: {username: u, password: topsecret}}}\n",
		"modules: {m: {prober: tcp, timeout: 1s}}\nprobes: [{name: p, module: m, interval: 60s, targets: ['a.test:1', {url: 'b.test:1', labels: {node: n}}, [c], ~]}]\n",
		"modules: {m: {prober: tcp}}\nprobes: [{name: p, module: m, targets: ['a.test:1']}]\nservices: [{name: '', owner: o}, {name: s, owner: o}]\n",
		"module_files: []\nprobes: [{name: a, service: b, module: c, file_sd: {files: [x]}, http_sd: {url: 'http://a.test'}}]\n",
	} {
		f.Add([]byte(seed))
	}
	network := probe.NewNetwork()
	f.Cleanup(func() { network.Close() })
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := parse(&sources{all: []config.Source{{File: "f.yml", Text: text}}}, "")
		if err != nil {
			var all config.Mistakes
			if !errors.As(err, &all) || len(all) == 0 {
				t.Fatalf("want mistakes, got %v", err)
			}
			return
		}
		if _, err := s.probers(network); err != nil {
			t.Fatalf("a module that passed is no prober: %v", err)
		}
		for _, b := range rules.Prove(s.spec()) {
			if b.Refusal != "" && b.Mode == "page" {
				t.Fatalf("a bound that cannot be kept passed: %+v", b)
			}
		}
		s.unwise(func() error { return nil })
		if _, err := s.shown(); err != nil {
			t.Fatalf("what was taken cannot be shown: %v", err)
		}
	})
}
