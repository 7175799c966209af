package probe_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/onefiveten/onefiveten/config"
	"github.com/onefiveten/onefiveten/probe"
)

const dnsModules = `modules:
  dns_udp:
    prober: dns
    timeout: 5s
    dns:
      query_name: www.example.com
      query_type: A
      valid_rcodes: [NOERROR]
      validate_answer_rrs:
        fail_if_matches_regexp: ['.*127.0.0.1']
        fail_if_all_match_regexp: ['.*10.0.0.1']
        fail_if_not_matches_regexp: ["www.example.com.\t300\tIN\tA\t127.0.0.1"]
        fail_if_none_matches_regexp: ['127.0.0.1']
      validate_authority_rrs: {fail_if_matches_regexp: ['.*127.0.0.1']}
      validate_additional_rrs: {fail_if_matches_regexp: ['.*127.0.0.1']}
  dns_soa:
    prober: dns
    dns: {query_name: example.com, query_type: SOA, query_class: IN, recursion_desired: false, ip_protocol_fallback: false}
  dns_tls:
    prober: dns
    dns:
      transport_protocol: tcp
      dns_over_tls: true
      preferred_ip_protocol: ip4
      source_ip_address: 127.0.0.1
      query_name: example.com
      tls_config: {ca_file: ca.pem, server_name: ns.example.com}
`

func TestDNS_ModulesOfBlackboxExporterLoad(t *testing.T) {
	var f file
	if err := config.Parse("b.yml", []byte(dnsModules), &f); err != nil {
		t.Fatal(err)
	}
	for name, m := range f.Modules {
		if _, err := probe.New(m, probe.NewNetwork()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	udp, soa, secure := f.Modules["dns_udp"].DNS, f.Modules["dns_soa"].DNS, f.Modules["dns_tls"]
	if !udp.IPProtocolFallback || !udp.RecursionDesired || soa.IPProtocolFallback || soa.RecursionDesired {
		t.Errorf("defaults are lost, or stay: %+v, %+v", udp, soa)
	}
	if secure.SetDirectory("/etc/probe"); secure.DNS.TLSConfig.CAFile != "/etc/probe/ca.pem" {
		t.Errorf("ca_file %q", secure.DNS.TLSConfig.CAFile)
	}
	shown, err := yaml.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	var again file
	if err := config.Parse("shown.yml", shown, &again); err != nil {
		t.Fatalf("what is shown does not load: %v\n%s", err, shown)
	}
	twice, err := yaml.Marshal(again)
	if diff := cmp.Diff(string(shown), string(twice)); diff != "" || err != nil {
		t.Error(diff, err)
	}
}

// blackbox_exporter finds most of these at each probe.
func TestDNS_EveryMistakeIsFoundWhenTheFileIsRead(t *testing.T) {
	err := config.Parse("b.yml", []byte(`modules:
  bad:
    prober: dns
    dns:
      preferred_ip_protocol: ipv6
      source_ip_address: here
      transport_protocol: sctp
      query_class: in
      query_type: AAAAA
      query_name: a..b
      valid_rcodes: [NOERROR, nxdomain]
      tls_config: {ca_ref: vault}
  long:
    prober: dns
    dns:
      query_name: example.test
      dns_over_tls: true
  expressions:
    prober: dns
    dns:
      query_name: a
      validate_answer_rrs: {fail_if_matches_regexp: [a, "("]}
      validate_authority_rrs: {fail_if_all_match_regexp: ["["], fail_if_not_matches_regexp: ["*"]}
      validate_additional_rrs: {fail_if_none_matches_regexp: [")"], fail_if_none_match_regexp: [a]}
  none: {prober: dns}
`), new(file))
	want := `b.yml:5: modules.bad.dns.preferred_ip_protocol: want ip4 or ip6, got "ipv6"
b.yml:6: modules.bad.dns.source_ip_address: "here" is no IP address
b.yml:7: modules.bad.dns.transport_protocol: want udp or tcp, got "sctp"
b.yml:8: modules.bad.dns.query_class: "in" is no class; want one such as IN or CH
b.yml:9: modules.bad.dns.query_type: "AAAAA" is no type of records; want one such as A, SOA or ANY
b.yml:10: modules.bad.dns.query_name: "a..b" is no domain name
b.yml:11: modules.bad.dns.valid_rcodes[1]: "nxdomain" is no response code; want one such as NOERROR or NXDOMAIN
b.yml:12: modules.bad.dns.tls_config.ca_ref: secret "vault": there is no secret manager; name a file
b.yml:15: modules.long.dns.transport_protocol: want tcp with dns_over_tls
b.yml:22: modules.expressions.dns.validate_answer_rrs.fail_if_matches_regexp[1]: regular expression "(": error parsing regexp
b.yml:23: modules.expressions.dns.validate_authority_rrs.fail_if_all_match_regexp[0]: regular expression "[": error parsing regexp
b.yml:23: modules.expressions.dns.validate_authority_rrs.fail_if_not_matches_regexp[0]: regular expression "*": error parsing regexp
b.yml:24: modules.expressions.dns.validate_additional_rrs.fail_if_none_match_regexp: unknown key; did you mean "fail_if_none_matches_regexp"?
b.yml:24: modules.expressions.dns.validate_additional_rrs.fail_if_none_matches_regexp[0]: regular expression ")": error parsing regexp
b.yml:25: modules.none.dns.query_name: missing`
	// What the library says of an expression is its own matter.
	got := strings.Split(regexp.MustCompile("(error parsing regexp): .*").ReplaceAllString(fmt.Sprint(err), "$1"), "\n")
	if diff := cmp.Diff(strings.Split(want, "\n"), got); diff != "" {
		t.Error(diff)
	}
}

// Any other text meant IPv4 there, in silence.
func TestAFamilyThatIsNoneIsAMistakeOfEveryBlock(t *testing.T) {
	for _, block := range []string{"http", "tcp", "dns"} {
		for _, family := range []string{"ipv6", "IP6", "4", "v4"} {
			err := config.Parse("b.yml", []byte("modules: {m: {prober: "+block+", "+block+": {preferred_ip_protocol: "+family+"}}}"), new(file))
			want := fmt.Sprintf("modules.m.%s.preferred_ip_protocol: want ip4 or ip6, got %q", block, family)
			if !strings.Contains(fmt.Sprint(err), want) {
				t.Errorf("got %v, want %s", err, want)
			}
		}
	}
}

func TestDNS_ATargetThatIsNoHostIsToldBefore(t *testing.T) {
	const none, noPort = "target: it is no host; want host or host:port", "target: the port is no number; want one from 1 to 65535"
	for target, want := range map[string]string{
		"ns.test": "", "ns.test:5353": "", "::1": "", "[::1]": "", "[::1]:53": "", "fe80::1%eth0": "", "_ns.test": "",
		"": none, ":53": none, "tcp://ns.test:53": none, "topsecret@ns.test": none,
		"ns.test/zone": none, "ns.test:53:53": none,
		"udp://ns.test": noPort, "me:topsecret@ns.test": noPort, "ns.test:domain": noPort, "ns.test:": noPort,
		"ns.test:0": `target: port is "0"; want a number from 1 to 65535`,
	} {
		got := ""
		if err := (&probe.Module{Prober: "dns"}).CheckTarget(target); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", target, got, want)
		}
	}
}
