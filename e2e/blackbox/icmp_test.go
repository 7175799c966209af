package blackbox_test

import "fmt"

// icmpCases are pings, with raw sockets: the network of the tests is their own.
func icmpCases(*world) (all []probeCase) {
	add := func(name, block, target, want string, shows ...string) *probeCase {
		all = append(all, probeCase{name: name, prober: "icmp", block: block, target: target, want: want, shows: shows})
		return &all[len(all)-1]
	}
	add("IPv4", "", "127.0.0.1", "", "probe_icmp_reply_hop_limit 64", "probe_ip_protocol 4")
	add("IPv6", "", "::1", "", "probe_icmp_reply_hop_limit 64", "probe_ip_protocol 6")
	add("an empty block", "{}", "127.0.0.1", "")
	add("a name", "", "localhost", "", "probe_ip_protocol 6")
	add("a name, IPv4 preferred", "{preferred_ip_protocol: ip4}", "both.test", "", "probe_ip_protocol 4")
	add("a name without fallback", "{ip_protocol_fallback: false}", "four.test", "dns")
	add("a name with fallback", "", "four.test", "")
	add("no such name", "", "nowhere.test", "dns")
	add("a host and a port", "", "127.0.0.1:80", "dns")
	add("a URL", "", "http://127.0.0.1", "dns")
	add("another address of the loopback", "", "127.1.2.3", "")
	for _, size := range []int{1, 8, 28, 1472, 9000, 60000} {
		for _, host := range []string{"127.0.0.1", "::1"} {
			add(fmt.Sprintf("%d bytes to %s", size, host), fmt.Sprintf("{payload_size: %d}", size), host, "")
		}
	}
	add("hop limit of the request", "{ttl: 5}", "127.0.0.1", "", "probe_icmp_reply_hop_limit 64")
	add("hop limit of the request, IPv6", "{ttl: 5}", "::1", "", "probe_icmp_reply_hop_limit 64")
	add("hop limit 1", "{ttl: 1}", "127.0.0.1", "")
	add("hop limit 0", "{ttl: 0}", "127.0.0.1", "")
	add("hop limit 255", "{ttl: 255}", "127.0.0.1", "")
	add("don't fragment", "{dont_fragment: true}", "127.0.0.1", "", "probe_icmp_reply_hop_limit 64")
	add("don't fragment, IPv6", "{dont_fragment: true}", "::1", "")
	add("don't fragment, a hop limit and many bytes", "{dont_fragment: true, ttl: 9, payload_size: 1000}", "127.0.0.1", "")
	add("a source address", "{source_ip_address: 127.0.0.2}", "127.0.0.1", "")
	add("a source address of IPv6", "{source_ip_address: '::1'}", "::1", "")
	add("a source address that is not ours", "{source_ip_address: 192.0.2.1}", "127.0.0.1", "internal")
	add("no route", "", "192.0.2.1", "unreachable")
	add("no route for IPv6", "", "2001:db8::1", "unreachable")
	add("hostname changes nothing", "", "127.0.0.1", "").query = "hostname=host.test"
	add("a timeout of the module", "", "127.0.0.1", "").timeout = "5s"
	return all
}
