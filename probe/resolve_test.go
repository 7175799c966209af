package probe

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// resolverAt asks the name server at an address for everything.
func resolverAt(address string) *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", address)
	}}
}

// many answers with all of the records of the type that is asked for.
func many(t testing.TB, texts ...string) dns.HandlerFunc {
	all := records(t, texts...)
	return func(w dns.ResponseWriter, query *dns.Msg) {
		m := new(dns.Msg).SetReply(query)
		m.RecursionAvailable = true // else an answer without records is asked for again
		for _, record := range all {
			if record.Header().Rrtype == query.Question[0].Qtype {
				m.Answer = append(m.Answer, record)
			}
		}
		w.WriteMsg(m)
	}
}

func TestResolve_TellsTheAddressThatIsProbed(t *testing.T) {
	address := nameServer(t, "udp", nil, many(t, "shop.test. 1 IN A 127.0.0.1"))
	wantSuccess(t, ask(t, block("udp", ""), address))
	_, port, _ := net.SplitHostPort(serve(t, says("HTTP/1.1 200 OK\r\n\r\n")))
	for text, target := range map[string]string{"{prober: tcp}": "shop.test.:" + port, "{prober: http}": "http://shop.test.:" + port} {
		p := prober(t, text)
		p.resolver = resolverAt(address)
		r := p.Run(t.Context(), target)
		wantSuccess(t, r)
		wantValue(t, r, "probe_resolved_address_info", 1, "127.0.0.1")
		if r.Addr != netip.MustParseAddr("127.0.0.1") {
			t.Errorf("%s: address %v", text, r.Addr)
		}
		// It is told of a target that does not answer, too, not of one without address.
		wantValue(t, p.Run(t.Context(), "shop.test.:1"), "probe_resolved_address_info", 1, "127.0.0.1")
		p.resolver = answerDNS(t, nil, nil)
		if _, told := value(p.Run(t.Context(), target), "probe_resolved_address_info"); told {
			t.Errorf("%s: a name without address has one", text)
		}
	}
}

func TestResolve_TakesTheFirstOfSeveralAddresses(t *testing.T) {
	// All are of loopback, so that nothing sorts them.
	resolver := resolverAt(nameServer(t, "udp", nil, many(t, "a.test. 1 IN A 127.0.0.3", "a.test. 1 IN A 127.0.0.2", "a.test. 1 IN A 127.0.0.4")))
	for _, c := range []struct {
		family   string
		fallback bool
	}{{"ip4", true}, {"ip4", false}, {"", true}, {"ip6", true}} {
		r := &run{ctx: t.Context(), resolver: resolver}
		if addr, _, err := r.resolve("a.test.", c.family, c.fallback); err != nil || addr != netip.MustParseAddr("127.0.0.3") {
			t.Errorf("%+v: got %v, %v", c, addr, err)
		}
	}
}

// blackbox_exporter loses the zone where no fallback is allowed.
func TestResolve_KeepsTheZoneOfALiteral(t *testing.T) {
	for _, fallback := range []bool{true, false} {
		r := &run{ctx: t.Context(), resolver: net.DefaultResolver}
		addr, _, err := r.resolve("fe80::1%lo", "ip6", fallback)
		if err != nil || addr.Zone() != "lo" {
			t.Errorf("got %v, %v", addr, err)
		}
		result := Result{Samples: r.samples}
		wantValue(t, result, "probe_ip_protocol", 6)
		wantValue(t, result, "probe_resolved_address_info", 1, "fe80::1%lo")
		// The hash is that of the 16 bytes alone.
		wantValue(t, result, "probe_ip_addr_hash", addrHash(netip.MustParseAddr("fe80::1")))
	}
	r := &run{ctx: t.Context(), resolver: net.DefaultResolver}
	if addr, _, err := r.resolve("fe80::1%lo", "ip4", false); reasonOf(err, Internal) != Unresolved {
		t.Errorf("got %v, %v", addr, err)
	}
}

func TestResolve_EachProbeLooksUpForItself(t *testing.T) {
	const probes = 4
	var mu sync.Mutex
	asked, all := 0, make(chan struct{})
	// Nobody is answered before all have asked: a lookup that probes share would
	// keep them waiting.
	address := nameServer(t, "udp", nil, func(w dns.ResponseWriter, query *dns.Msg) {
		mu.Lock()
		if asked++; asked == probes {
			close(all)
		}
		mu.Unlock()
		<-all
		many(t, "a.test. 1 IN A 127.0.0.1")(w, query)
	})
	p := prober(t, "{prober: tcp, tcp: {preferred_ip_protocol: ip4, ip_protocol_fallback: false}}")
	p.resolver = resolverAt(address)
	_, port, _ := net.SplitHostPort(serve(t, silent))
	var ended sync.WaitGroup
	for range probes {
		ended.Go(func() {
			if r := p.Run(t.Context(), "a.test.:"+port); !r.Success {
				t.Error(r.Err)
			}
		})
	}
	ended.Wait()
	wantSuccess(t, p.Run(t.Context(), "a.test.:"+port))
	mu.Lock()
	defer mu.Unlock()
	if asked != probes+1 {
		t.Errorf("%d queries for %d probes", asked, probes+1)
	}
}

func TestResolve_AsksForIPv6OnlyWhereThePreferredIPv4IsMissing(t *testing.T) {
	var mu sync.Mutex
	var asked []string
	const four, six = ". 1 IN A 127.0.0.1", ". 1 IN AAAA ::1"
	zones := map[string]dns.HandlerFunc{
		"four.test.": many(t, "four.test"+four), "both.test.": many(t, "both.test"+four, "both.test"+six), "six.test.": many(t, "six.test"+six), "none.test.": many(t),
	}
	p := prober(t, "{prober: tcp, tcp: {preferred_ip_protocol: ip4}}")
	p.resolver = resolverAt(nameServer(t, "udp", nil, func(w dns.ResponseWriter, query *dns.Msg) {
		mu.Lock()
		asked = append(asked, dns.TypeToString[query.Question[0].Qtype])
		mu.Unlock()
		zones[query.Question[0].Name](w, query)
	}))
	for name, want := range map[string][]string{"four.test.": {"A"}, "both.test.": {"A"}, "six.test.": {"A", "AAAA"}, "none.test.": {"A", "AAAA"}} {
		mu.Lock()
		asked = nil
		mu.Unlock()
		r := p.Run(t.Context(), name+":1")
		mu.Lock()
		if !slices.Equal(asked, want) || (r.Reason == Unresolved) != (name == "none.test.") {
			t.Errorf("%s: asked %v, want %v; %s: %v", name, asked, want, r.Reason, r.Err)
		}
		mu.Unlock()
	}
}

func TestResolve_EndsAtTheDeadlineWithReasonDNS(t *testing.T) {
	quiet := datagrams(t, func([]byte) [][]byte { return nil })
	for _, text := range []string{
		"{prober: tcp}", "{prober: http}", block("udp", ""), block("tcp", ""), block("udp", "ip_protocol_fallback: false"),
		"{prober: tcp, tcp: {ip_protocol_fallback: false}}",
	} {
		p := prober(t, text)
		p.resolver = resolverAt(quiet)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		r := p.Run(ctx, "slow.test.:80")
		cancel()
		wantReason(t, r, Unresolved, `resolving "slow.test.": `)
		if took, _ := value(r, "probe_dns_lookup_time_seconds"); took <= 0 || r.Duration > 5*time.Second {
			t.Errorf("%s: the lookup took %v s of %v", text, took, r.Duration)
		}
	}
}

func TestResolve_AServerThatRefusesOrFailsIsReasonDNS(t *testing.T) {
	for _, rcode := range []int{dns.RcodeServerFailure, dns.RcodeRefused, dns.RcodeNameError, dns.RcodeSuccess} {
		p := prober(t, "{prober: tcp}")
		p.resolver = resolverAt(nameServer(t, "udp", nil, code(rcode)))
		wantReason(t, p.Run(t.Context(), "gone.test.:80"), Unresolved, `resolving "gone.test."`)
	}
}

func BenchmarkResolve(b *testing.B) {
	for name, host := range map[string]string{"literal": "127.0.0.1", "name": "a.test."} {
		b.Run(name, func(b *testing.B) {
			resolver := resolverAt(nameServer(b, "udp", nil, many(b, "a.test. 1 IN A 127.0.0.1")))
			b.ReportAllocs()
			for b.Loop() {
				r := &run{ctx: b.Context(), resolver: resolver}
				if _, _, err := r.resolve(host, "ip4", true); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
