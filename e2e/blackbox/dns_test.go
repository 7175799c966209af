package blackbox_test

import (
	"net"
	"strings"

	"github.com/miekg/dns"
)

// zone answers the queries of the cases by their names, which say how.
func zone(reply dns.ResponseWriter, query *dns.Msg) {
	m := new(dns.Msg).SetReply(query)
	name := query.Question[0].Name
	add := func(section *[]dns.RR, texts ...string) {
		for _, text := range texts {
			*section = append(*section, record(name+" "+text))
		}
	}
	switch label, _, _ := strings.Cut(name, "."); label {
	case "a":
		add(&m.Answer, "300 IN A 192.0.2.1", "300 IN A 192.0.2.2")
	case "aaaa":
		add(&m.Answer, "300 IN AAAA 2001:db8::1")
	case "mx":
		add(&m.Answer, "300 IN MX 10 mail.example.")
		add(&m.Extra, "300 IN A 192.0.2.25")
	case "txt":
		add(&m.Answer, `300 IN TXT "v=spf1 -all" "more"`)
	case "soa":
		add(&m.Answer, "300 IN SOA ns.example. host.example. 2026112101 7200 3600 1209600 300")
	case "soas":
		add(&m.Answer, "300 IN SOA ns.example. host.example. 7 1 1 1 1", "300 IN SOA ns.example. host.example. 8 1 1 1 1")
	case "delegated":
		add(&m.Ns, "300 IN NS ns1.example.", "300 IN NS ns2.example.")
		add(&m.Extra, "300 IN A 192.0.2.53")
	case "recursive":
		if query.RecursionDesired {
			add(&m.Answer, "300 IN A 192.0.2.1")
		}
	case "chaos":
		if query.Question[0].Qclass == dns.ClassCHAOS {
			m.Answer = append(m.Answer, record(`chaos. 0 CH TXT "version"`))
		}
	case "nxdomain":
		m.Rcode = dns.RcodeNameError
		add(&m.Ns, "300 IN SOA ns.example. host.example. 1 1 1 1 1")
	case "servfail":
		m.Rcode = dns.RcodeServerFailure
	case "refused":
		m.Rcode = dns.RcodeRefused
	case "truncated":
		m.Truncated = true
		add(&m.Answer, "300 IN A 192.0.2.1")
	case "large":
		for range 200 {
			add(&m.Answer, "300 IN A 192.0.2.1")
		}
	case "otherid":
		m.Id++
	case "question": // no answer at all
		m = query
	case "silent":
		return
	}
	reply.WriteMsg(m)
}

// dnsCases ask name servers.
func dnsCases(w *world) (all []probeCase) {
	add := func(name, block, target, want string, shows ...string) *probeCase {
		all = append(all, probeCase{name: name, prober: "dns", block: block, target: target, want: want, shows: shows})
		return &all[len(all)-1]
	}
	udp := w.dns("udp", "127.0.0.1:0", zone)
	tcp := w.dns("tcp", "127.0.0.1:0", zone)
	questions(w, udp, tcp, add)
	validators(udp, add)
	transports(w, udp, tcp, add)
	return all
}

// ask is a block that asks for a name.
func ask(name, kind string, more ...string) string {
	return "{" + strings.Join(append([]string{"query_name: " + name + ".example", "query_type: " + kind}, more...), ", ") + "}"
}

func questions(w *world, udp, tcp string, add adder) {
	add("A", ask("a", "A"), udp, "", "probe_dns_answer_rrs 2", "probe_dns_query_succeeded 1")
	add("AAAA", ask("aaaa", "AAAA"), udp, "", "probe_dns_answer_rrs 1")
	add("MX", ask("mx", "MX"), udp, "", "probe_dns_additional_rrs 1")
	add("TXT", ask("txt", "TXT"), udp, "")
	add("ANY, which is the default", "{query_name: a.example}", udp, "")
	add("a name with its last dot", "{query_name: a.example., query_type: A}", udp, "")
	add("SOA", ask("soa", "SOA"), udp, "", "probe_dns_serial 2.026112101e+09")
	add("two SOA", ask("soas", "SOA"), udp, "")
	add("SOA that has none", ask("none", "SOA"), udp, "", "probe_dns_serial 0")
	add("SOA of a failure", ask("servfail", "SOA"), udp, "status", "probe_dns_serial 0")
	add("SOA of nobody", ask("soa", "SOA"), w.closed(), "refused")
	add("no records", ask("none", "A"), udp, "", "probe_dns_answer_rrs 0")
	add("a delegation", ask("delegated", "A"), udp, "", "probe_dns_authority_rrs 2", "probe_dns_additional_rrs 1")
	add("recursion", ask("recursive", "A"), udp, "", "probe_dns_answer_rrs 1")
	add("no recursion", ask("recursive", "A", "recursion_desired: false"), udp, "", "probe_dns_answer_rrs 0")
	add("another class", "{query_name: chaos, query_class: CH, query_type: TXT}", udp, "", "probe_dns_answer_rrs 1")
	for _, code := range []string{"nxdomain", "servfail", "refused"} {
		add(code, ask(code, "A"), udp, "status", "probe_dns_query_succeeded 1")
		add(code+" is valid", ask(code, "A", "valid_rcodes: [NOERROR, "+strings.ToUpper(code)+"]"), udp, "")
		add(code+" is not among the valid", ask(code, "A", "valid_rcodes: [NOTAUTH]"), udp, "status")
	}
	add("success is not valid", ask("a", "A", "valid_rcodes: [NXDOMAIN]"), udp, "status")
	add("no code is valid", ask("a", "A", "valid_rcodes: []"), udp, "")
	add("truncated", ask("truncated", "A"), udp, "")
	add("large over udp", ask("large", "A"), udp, "protocol").timeout = "2s"
	add("large over tcp", ask("large", "A", "transport_protocol: tcp"), tcp, "", "probe_dns_answer_rrs 200")
	add("the query comes back", ask("question", "A"), udp, "timeout").timeout = "1s"
	add("another id over udp", ask("otherid", "A"), udp, "timeout").timeout = "1s"
	add("another id over tcp", ask("otherid", "A", "transport_protocol: tcp"), tcp, "protocol").timeout = "2s"
}

func validators(udp string, add adder) {
	rule := func(section, kind, expression string) string {
		return "validate_" + section + "_rrs: {" + kind + ": ['" + expression + "']}"
	}
	const first, both, none = `192\.0\.2\.1$`, `192\.0\.2\.`, `203\.0`
	for _, c := range []struct{ kind, expression, want string }{
		{"fail_if_matches_regexp", first, "content"}, {"fail_if_matches_regexp", none, ""},
		{"fail_if_not_matches_regexp", first, "content"}, {"fail_if_not_matches_regexp", both, ""},
		{"fail_if_none_matches_regexp", first, ""}, {"fail_if_none_matches_regexp", none, "content"},
		{"fail_if_all_match_regexp", both, ""}, {"fail_if_all_match_regexp", first, "content"},
	} {
		add(c.kind+" "+c.expression, ask("a", "A", rule("answer", c.kind, c.expression)), udp, c.want)
		add(c.kind+" "+c.expression+" of nothing", ask("none", "A", rule("answer", c.kind, c.expression)), udp,
			map[bool]string{true: "content"}[strings.Contains(c.kind, "not_m") || strings.Contains(c.kind, "none")])
	}
	add("the text of a record", ask("a", "A", `validate_answer_rrs: {fail_if_none_matches_regexp: ["^a.example.\t300\tIN\tA\t192.0.2.2$"]}`), udp, "")
	add("two expressions, one fails", ask("a", "A", "validate_answer_rrs: {fail_if_not_matches_regexp: ['192', 'IN\tAAAA']}"), udp, "content")
	add("two expressions that all match", ask("a", "A", "validate_answer_rrs: {fail_if_all_match_regexp: ['192', 'none']}"), udp, "content")
	add("two kinds", ask("a", "A", "validate_answer_rrs: {fail_if_matches_regexp: ['none'], fail_if_not_matches_regexp: ['192']}"), udp, "")
	add("authority", ask("delegated", "A", rule("authority", "fail_if_matches_regexp", "ns2")), udp, "content")
	add("authority that is well", ask("delegated", "A", rule("authority", "fail_if_not_matches_regexp", "ns[12]")), udp, "")
	add("authority that is missing", ask("a", "A", rule("authority", "fail_if_not_matches_regexp", "ns")), udp, "content")
	add("additional", ask("delegated", "A", rule("additional", "fail_if_matches_regexp", "192")), udp, "content")
	add("additional that is well", ask("mx", "MX", rule("additional", "fail_if_none_matches_regexp", "192")), udp, "")
}

func transports(w *world, udp, tcp string, add adder) {
	add("tcp", ask("a", "A", "transport_protocol: tcp"), tcp, "")
	add("tcp to nobody", ask("a", "A", "transport_protocol: tcp"), w.closed(), "refused")
	add("udp to nobody", ask("a", "A"), w.closed(), "refused")
	add("no route", ask("a", "A"), "192.0.2.1", "unreachable")
	add("silence", ask("silent", "A"), udp, "timeout").timeout = "1s"
	add("silence over tcp", ask("silent", "A", "transport_protocol: tcp"), tcp, "timeout").timeout = "1s"
	add("the default port", "{query_name: four.test, query_type: A}", "127.0.0.1", "")
	add("a name with IPv4", ask("a", "A"), "four.test:"+port(udp), "")
	add("a name with IPv4 without fallback", ask("a", "A", "ip_protocol_fallback: false"), "four.test:"+port(udp), "dns")
	add("IPv6", ask("a", "A"), w.dns("udp", "[::1]:0", zone), "", "probe_ip_protocol 6")
	add("IPv6 without a port", ask("a", "A", "transport_protocol: tcp"), "::1", "refused", "probe_ip_protocol 6")
	add("no such name", ask("a", "A"), "nowhere.test", "dns", "probe_dns_query_succeeded 0")
	add("a source address", ask("a", "A", "source_ip_address: 127.0.0.2"), udp, "")
	add("a source address over tcp", ask("a", "A", "source_ip_address: 127.0.0.2", "transport_protocol: tcp"), tcp, "")
	add("a source address that is not ours", ask("a", "A", "source_ip_address: 192.0.2.1"), udp, "internal")
	add("garbage over udp", ask("a", "A"), w.packets(func([]byte) []byte { return []byte("no dns at all") }), "timeout").timeout = "1s"
	add("garbage over tcp", ask("a", "A", "transport_protocol: tcp"), w.tcp(func(conn net.Conn) { conn.Read(make([]byte, 512)); conn.Write([]byte("\x00\x04spam")) }), "protocol")
	add("half an answer over tcp", ask("a", "A", "transport_protocol: tcp"), w.tcp(func(conn net.Conn) { conn.Read(make([]byte, 512)); conn.Write([]byte("\x01\x00half")) }), "reset")
	add("an end over tcp", ask("a", "A", "transport_protocol: tcp"), w.tcp(func(conn net.Conn) { conn.Read(make([]byte, 512)) }), "reset")
	add("a header that promises more", ask("a", "A"), w.packets(func(query []byte) []byte { return append(query[:2], "\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00"...) }), "")
	dot := w.dns("tcp-tls", "127.0.0.1:0", zone)
	over := func(more ...string) string {
		return ask("a", "A", append([]string{"transport_protocol: tcp", "dns_over_tls: true"}, more...)...)
	}
	add("DoT", over("tls_config: {ca_file: "+w.ca+"}"), dot, "", "probe_dns_answer_rrs 2")
	add("DoT of a name", over("tls_config: {ca_file: "+w.ca+"}"), "four.test:"+port(dot), "")
	add("DoT of another name", over("tls_config: {ca_file: "+w.ca+", server_name: elsewhere.test}"), dot, "certificate")
	add("DoT not verified", over("tls_config: {insecure_skip_verify: true}"), dot, "")
	add("DoT of an authority that is not known", over(), dot, "certificate")
	add("DoT to plain tcp", over("tls_config: {ca_file: "+w.ca+"}"), tcp, "timeout").timeout = "1s" // it waits two for what a query of that length would hold
	add("DoT with a missing ca_file", over("tls_config: {ca_file: "+w.dir+"/none.pem}"), dot, "internal")
	add("DoT at its default port", over("tls_config: {ca_file: "+w.ca+"}"), "127.0.0.1", "refused")
}

// packets answers every packet with another.
func (w *world) packets(answer func(query []byte) []byte) (addr string) {
	w.t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { conn.Close() })
	go func() {
		buffer := make([]byte, 4096)
		for {
			n, from, err := conn.ReadFrom(buffer)
			if err != nil {
				return
			}
			conn.WriteTo(answer(buffer[:n]), from)
		}
	}()
	return conn.LocalAddr().String()
}
