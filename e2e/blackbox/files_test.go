package blackbox_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// checked runs a program's own check of a file and gives what it said when it
// refused the file.
func checked(t *testing.T, program, file string) (refused bool, said string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), upTo)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Getenv(program), "--config.file="+file, "--config.check")
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return err != nil, string(out)
}

// The files that blackbox_exporter ships and tests itself with.
func TestOracle_ItsFilesLoadAsTheyDoThere(t *testing.T) {
	folder := os.Getenv(sourcePath)
	files, err := filepath.Glob(filepath.Join(folder, "config", "testdata", "*.yml"))
	if err != nil || len(files) < 15 {
		t.Fatalf("looking for its test data in %s: %d files, %v", folder, len(files), err)
	}
	// Files of which ours refuses one part, by its own words, and why.
	intended := map[string]struct{ says, why string }{
		"blackbox.yml":      {"modules.http_3xx.http.", "HTTP/3 is not built yet, and a key that is ignored is a check that nobody makes"},
		"blackbox-good.yml": {"modules.grpc_health.prober", "a prober that does not exist is told when the file is read, not at each probe"},
	}
	for _, file := range append(files, filepath.Join(folder, "blackbox.yml"), filepath.Join(folder, "example.yml")) {
		name := filepath.Base(file)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			theirs, _ := checked(t, theirsPath, file)
			ours, said := checked(t, oursPath, file)
			if bad := strings.HasPrefix(name, "invalid-") || strings.HasPrefix(name, "blackbox-bad"); theirs != bad {
				t.Errorf("theirs refuses it: %v, want %v: the file is not what its name says", theirs, bad)
			}
			one, listed := intended[name]
			if !listed {
				if ours != theirs {
					t.Errorf("ours refuses it: %v, theirs: %v\n%s", ours, theirs, said)
				}
				return
			}
			t.Logf("intended: ours refuses %s: %s", one.says, one.why)
			if !ours || strings.Count(said, "modules.") != strings.Count(said, one.says) {
				t.Errorf("want it refused for %s and nothing else, got %v\n%s", one.says, ours, said)
			}
		})
	}
}

// What theirs takes and can never carry out is refused by ours when the file is
// read, with the path of the mistake.
func TestOracle_WhatCannotWorkIsRefusedWhenTheFileIsRead(t *testing.T) {
	for name, c := range map[string]struct{ module, says string }{
		"a prober that does not exist":      {"{prober: grpc_probe}", "prober"},
		"no prober":                         {"{timeout: 5s}", "prober"},
		"a family that is none":             {"{prober: tcp, tcp: {preferred_ip_protocol: ipv6}}", "tcp.preferred_ip_protocol"},
		"a source address that is none":     {"{prober: tcp, tcp: {source_ip_address: here}}", "tcp.source_ip_address"},
		"a source address of icmp":          {"{prober: icmp, icmp: {source_ip_address: here}}", "icmp.source_ip_address"},
		"more bytes than a packet takes":    {"{prober: icmp, icmp: {payload_size: 65600}}", "icmp.payload_size"},
		"a negative payload":                {"{prober: icmp, icmp: {payload_size: -1}}", "icmp.payload_size"},
		"a compression that does not exist": {"{prober: http, http: {compression: zip}}", "http.compression"},
		"a method that is none":             {"{prober: http, http: {method: 'G E T'}}", "http.method"},
		"a transport that does not exist":   {"{prober: dns, dns: {query_name: a, transport_protocol: sctp}}", "dns.transport_protocol"},
		"DoT over udp":                      {"{prober: dns, dns: {query_name: a, dns_over_tls: true}}", "dns."},
		"a DNS code that does not exist":    {"{prober: dns, dns: {query_name: a, valid_rcodes: [FINE]}}", "dns.valid_rcodes"},
		"a DNS expression that is none":     {"{prober: dns, dns: {query_name: a, validate_answer_rrs: {fail_if_matches_regexp: ['[']}}}", "dns.validate_answer_rrs"},
		"a label that is none":              {"{prober: tcp, tcp: {query_response: [{expect: a, labels: [{name: a-b, value: c}]}]}}", "tcp.query_response[0].labels[0].name"},
		"a negative timeout":                {"{prober: tcp, timeout: -5s}", "timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "blackbox.yml")
			if err := os.WriteFile(file, []byte("modules: {m: "+c.module+"}\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			if refused, said := checked(t, theirsPath, file); refused {
				t.Errorf("theirs refuses it too now, it belongs to another test\n%s", said)
			}
			if refused, said := checked(t, oursPath, file); !refused || !strings.Contains(said, "modules.m."+c.says) {
				t.Errorf("got refused %v, want it for modules.m.%s\n%s", refused, c.says, said)
			}
		})
	}
}

// What theirs refuses, ours refuses too.
func TestOracle_BothRefuseTheSameFiles(t *testing.T) {
	for name, text := range map[string]string{
		"no YAML":                 "modules: [",
		"an unknown key":          "module: {}",
		"an unknown key of http":  "modules: {m: {prober: http, http: {methods: GET}}}",
		"an unknown key of tls":   "modules: {m: {prober: tcp, tcp: {tls_config: {insecure: true}}}}",
		"a key twice":             "modules: {m: {prober: http}, m: {prober: tcp}}",
		"a text for a number":     "modules: {m: {prober: icmp, icmp: {ttl: many}}}",
		"a duration without unit": "modules: {m: {prober: http, timeout: five}}",
		"expect and expect_bytes": "modules: {m: {prober: tcp, tcp: {query_response: [{expect: a, expect_bytes: b}]}}}",
		"the same of unix":        "modules: {m: {prober: unix, unix: {query_response: [{expect: a, expect_bytes: b}]}}}",
		"an expression":           "modules: {m: {prober: unix, unix: {query_response: [{expect: '['}]}}}",
		"CEL":                     "modules: {m: {prober: http, http: {fail_if_body_json_matches_cel: 'body.'}}}",
		"two ways to authorize":   "modules: {m: {prober: http, http: {bearer_token: a, basic_auth: {username: b}}}}",
		"a TLS version":           "modules: {m: {prober: http, http: {tls_config: {min_version: TLS99}}}}",
		"a proxy that is no URL":  "modules: {m: {prober: http, http: {proxy_url: 'http://%zz'}}}",
		"HTTP/3 without its key":  "modules: {m: {prober: http, http: {valid_http_versions: ['HTTP/3.0']}}}",
		"a size":                  "modules: {m: {prober: http, http: {body_size_limit: much}}}",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "blackbox.yml")
			if err := os.WriteFile(file, []byte(text+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			if refused, said := checked(t, theirsPath, file); !refused {
				t.Errorf("theirs loads it: the file is not what its name says\n%s", said)
			}
			if refused, said := checked(t, oursPath, file); !refused || !strings.Contains(said, "blackbox.yml") {
				t.Errorf("got refused %v, want it with the name of the file\n%s", refused, said)
			}
		})
	}
}
