package probe

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

// pinging makes a prober whose network is closed with the test.
func pinging(t testing.TB, text string) *Prober {
	t.Helper()
	p := prober(t, text)
	t.Cleanup(func() {
		if err := p.network.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// pings probes with a deadline that is far away.
func pings(t testing.TB, p *Prober, target string) Result {
	t.Helper()
	return pingsWithin(t, p, 30*time.Second, target)
}

func pingsWithin(t testing.TB, p *Prober, timeout time.Duration, target string) Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	return p.Run(ctx, target)
}

func TestICMP_EveryMistakeHasItsPath(t *testing.T) {
	var m Module
	if err := yaml.Unmarshal([]byte(`
prober: icmp
timeout: 1s
icmp: {preferred_ip_protocol: ip, source_ip_address: here, payload_size: -1, ttl: 256, packets: 11, max_loss: 1.5}
`), &m); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{
		`icmp.preferred_ip_protocol: want ip4 or ip6, got "ip"`,
		`icmp.source_ip_address: "here" is no IP address`,
		`icmp.payload_size: want 0 to 65527 bytes, got -1`,
		`icmp.ttl: want 1 to 255, got 256`,
		`icmp.max_loss: want a ratio from 0 to 1, got 1.5`,
		`icmp.packets: 11 packets, 100ms apart, do not fit the timeout of 1s`,
	}, mistakes(&m)); diff != "" {
		t.Error(diff)
	}
	for text, want := range map[string]string{
		"{packets: 0}":                         "icmp.packets: want 1 to 1000, got 0",
		"{packets: 1001, packet_interval: 1s}": "icmp.packets: want 1 to 1000, got 1001",
		"{packet_interval: 1us}":               "icmp.packet_interval: want 1ms or more, got 1µs",
		"{max_loss: .nan}":                     "icmp.max_loss: want a ratio from 0 to 1, got NaN",
		"{max_loss: -.1}":                      "icmp.max_loss: want a ratio from 0 to 1, got -0.1",
		"{payload_size: 65528}":                "icmp.payload_size: want 0 to 65527 bytes, got 65528",
		"{ttl: -1}":                            "icmp.ttl: want 1 to 255, got -1",
		"{packets: 10}":                        "",
		"{packets: 1, packet_interval: 1h}":    "",
		"{ttl: 0, payload_size: 0}":            "",
	} {
		m := Module{Prober: "icmp", Timeout: time.Second}
		if err := yaml.Unmarshal([]byte(text), &m.ICMP); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(mistakes(&m), "\n"); got != want {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
}

// mistakes lists what Check reports.
func mistakes(m *Module) (all []string) {
	m.Check(func(path, text string) { all = append(all, path+": "+text) })
	return all
}

func TestICMP_ShowsEverySeriesOfASuccess(t *testing.T) {
	for target, want := range map[string]string{"127.0.0.1": "4\nprobe_ip_addr_hash 3.668918509e+09", "::1": "6\nprobe_ip_addr_hash 1.751717746e+09"} {
		r := pings(t, pinging(t, "{prober: icmp}"), target)
		wantSuccess(t, r)
		wantExposition(t, r, `probe_dns_lookup_time_seconds S
probe_ip_protocol `+want+`
probe_resolved_address_info{address="`+target+`"} 1
probe_icmp_duration_seconds{phase="resolve"} S
probe_icmp_duration_seconds{phase="setup"} S
probe_icmp_duration_seconds{phase="rtt"} S
probe_icmp_reply_hop_limit 64
`)
	}
}

func TestICMP_ShowsEverySeriesOfANameThatDoesNotResolve(t *testing.T) {
	r := pings(t, pinging(t, "{prober: icmp, icmp: {preferred_ip_protocol: ip4, ip_protocol_fallback: false, packets: 2, packet_interval: 1ms}}"), "::1")
	wantReason(t, r, Unresolved, "no address of family ip4 among 1, and no fallback")
	wantExposition(t, r, `probe_dns_lookup_time_seconds S
probe_ip_protocol 0
probe_ip_addr_hash 0
probe_icmp_duration_seconds{phase="resolve"} 0
probe_icmp_duration_seconds{phase="setup"} 0
probe_icmp_duration_seconds{phase="rtt"} 0
probe_icmp_packets_sent 0
probe_icmp_packets_received 0
`)
}

func TestICMP_PausesBetweenPacketsAreNoLatency(t *testing.T) {
	r := pings(t, pinging(t, "{prober: icmp, icmp: {packets: 3, packet_interval: 30ms}}"), "127.0.0.1")
	wantSuccess(t, r)
	if r.Latency <= 0 || r.Latency > r.Duration-60*time.Millisecond {
		t.Errorf("got latency %v of a duration of %v, want it without the two pauses", r.Latency, r.Duration)
	}
}

func TestICMP_ShowsEverySeriesOfSeveralPackets(t *testing.T) {
	r := pings(t, pinging(t, "{prober: icmp, icmp: {packets: 3, packet_interval: 1ms}}"), "127.0.0.1")
	wantSuccess(t, r)
	wantExposition(t, r, `probe_dns_lookup_time_seconds S
probe_ip_protocol 4
probe_ip_addr_hash 3.668918509e+09
probe_resolved_address_info{address="127.0.0.1"} 1
probe_icmp_duration_seconds{phase="resolve"} S
probe_icmp_duration_seconds{phase="setup"} S
probe_icmp_duration_seconds{phase="rtt"} S
probe_icmp_reply_hop_limit 64
probe_icmp_packets_sent 3
probe_icmp_packets_received 3
probe_icmp_packet_loss_ratio 0
probe_icmp_rtt_seconds{stat="min"} S
probe_icmp_rtt_seconds{stat="mean"} S
probe_icmp_rtt_seconds{stat="max"} S
probe_icmp_rtt_seconds{stat="stddev"} S
probe_icmp_jitter_seconds S
`)
}

func TestICMP_NotesSayWhatWasSentAndHeard(t *testing.T) {
	r := pinging(t, "{prober: icmp}").Explain(t.Context(), "127.0.0.1")
	wantSuccess(t, r)
	var texts []string
	for _, n := range r.Notes {
		texts = append(texts, n.Text)
	}
	got := strings.Join(texts, ", ")
	if !strings.HasSuffix(got, "sending echo requests, reply") {
		t.Errorf("notes: %s", got)
	}
	if r := pings(t, pinging(t, "{prober: icmp}"), "127.0.0.1"); r.Notes != nil {
		t.Errorf("notes that nobody asked for: %v", r.Notes)
	}
}

func TestRTTs_OfKnownPackets(t *testing.T) {
	ms := time.Millisecond
	for _, c := range []struct {
		rtts                 rtts
		received             int
		shortest, longest    time.Duration
		mean, stddev, jitter float64
		hasJitter            bool
	}{
		{rtts{}, 0, 0, 0, 0, 0, 0, false},
		{rtts{0, 0}, 0, 0, 0, 0, 0, 0, false},
		{rtts{0, 5 * ms}, 1, 5 * ms, 5 * ms, .005, math.NaN(), 0, false},
		{rtts{50 * ms, 60 * ms, 70 * ms, 80 * ms, 90 * ms}, 5, 50 * ms, 90 * ms, .070, .0158113883, .010, true},
		{rtts{30 * ms, 10 * ms, 0, 20 * ms, 60 * ms}, 4, 10 * ms, 60 * ms, .030, .0216024690, .030, true}, // 20 and 40; none over the gap
		{rtts{30 * ms, 0, 10 * ms}, 2, 10 * ms, 30 * ms, .020, .0141421356, 0, false},
	} {
		if c.rtts.received() != c.received || c.rtts.shortest() != c.shortest || c.rtts.longest() != c.longest {
			t.Errorf("%v: received %d, from %v to %v", c.rtts, c.rtts.received(), c.rtts.shortest(), c.rtts.longest())
		}
		jitter, ok := c.rtts.jitter()
		if math.Abs(c.rtts.mean()-c.mean) > 1e-9 || math.Abs(jitter-c.jitter) > 1e-9 || ok != c.hasJitter {
			t.Errorf("%v: mean %v, jitter %v (%v)", c.rtts, c.rtts.mean(), jitter, ok)
		}
		if got := c.rtts.stddev(); c.received > 1 && math.Abs(got-c.stddev) > 1e-9 {
			t.Errorf("%v: standard deviation %v, want %v", c.rtts, got, c.stddev)
		}
	}
}

// broken is a receiver whose socket gives an error at every read.
type broken struct{ reads int }

func (b *broken) receive() (heard, bool, error) {
	b.reads++
	return heard{}, false, errors.New("broken")
}

func (*broken) identifier() uint16 { return 0 }

func TestICMP_ReadErrorDoesNotSpin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, b := newPinger(false, 0, 0), &broken{}
		p.readers.Go(func() { p.listen(b) })
		<-time.After(time.Minute) // of the bubble
		if err := p.close(); err != nil {
			t.Error(err)
		}
		if b.reads > 75 {
			t.Errorf("%d reads in a minute, want a growing pause of up to a second between", b.reads)
		}
	})
}

func TestICMP_NumbersOfWaitingPacketsAreNotUsedAgain(t *testing.T) {
	p := newPinger(false, 0, math.MaxUint16-1)
	target, other := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	seen := map[waitKey]bool{}
	for range 1 << 16 {
		key, err := p.expect(target, waiter{})
		if err != nil || seen[key] {
			t.Fatalf("%v: %v, seen %v", key, err, seen[key])
		}
		seen[key] = true
	}
	if _, err := p.expect(target, waiter{}); err == nil || err.Error() != "65536 echo requests to 192.0.2.1 wait for a reply already" {
		t.Errorf("one more: %v", err)
	}
	if _, err := p.expect(other, waiter{}); err != nil {
		t.Errorf("another target: %v", err)
	}
	free := waitKey{target, 7}
	p.forget([]waitKey{free})
	if key, err := p.expect(target, waiter{}); err != nil || key != free {
		t.Errorf("after one is free: %v, %v", key, err)
	}
}

func TestICMP_BlockIsReadAgainAsItIsWritten(t *testing.T) {
	for _, text := range []string{"{}", "{max_loss: 0, packets: 3, packet_interval: 20ms}", "{ip_protocol_fallback: false, ttl: 3, payload_size: 9, dont_fragment: true}"} {
		var block, again ICMP
		if err := yaml.Unmarshal([]byte(text), &block); err != nil {
			t.Fatal(err)
		}
		written, err := yaml.Marshal(block)
		if err != nil {
			t.Fatal(err)
		}
		if err := yaml.Unmarshal(written, &again); err != nil {
			t.Fatalf("%s: %v", written, err)
		}
		if diff := cmp.Diff(block, again); diff != "" {
			t.Errorf("%s: %s", written, diff)
		}
	}
	var m Module
	if err := yaml.Unmarshal([]byte("{prober: icmp}"), &m); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(defaultICMP(), m.ICMP); diff != "" {
		t.Errorf("without a block: %s", diff)
	}
}

func TestICMP_CanBeUsedHere(t *testing.T) {
	if err := CheckICMP(); err != nil {
		t.Error(err)
	}
}

func TestICMP_CancelledProbeEndsAsInternal(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := pinging(t, "{prober: icmp, icmp: {packets: 2, packet_interval: 1h}}").Run(ctx, "127.0.0.1")
	wantReason(t, r, Internal, "")
}

func TestICMP_ChecksumIsThatOfTheExampleInRFC1071(t *testing.T) {
	if got := checksum([]byte{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7}); got != ^uint16(0xddf2) {
		t.Errorf("got %x", got)
	}
	if got := checksum([]byte{0xff, 0xff, 0x01}); got != ^uint16(0x0100) {
		t.Errorf("odd length: got %x", got)
	}
}

// datagram4 is an IPv4 datagram of ICMP around a message.
func datagram4(message []byte) []byte {
	d := make([]byte, header4, header4+len(message))
	d[0], d[8], d[9] = 0x45, 64, protocolICMP4
	d[2], d[3] = byte((header4+len(message))>>8), byte(header4+len(message))
	copy(d[12:], []byte{192, 0, 2, 1, 192, 0, 2, 2})
	return append(d, message...)
}

// withSum sets the checksum of a message.
func withSum(message []byte) []byte {
	message[2], message[3] = 0, 0
	c := checksum(message)
	message[2], message[3] = byte(c>>8), byte(c)
	return message
}

func seeds() [][]byte {
	ask := echoRequest(nil, false, 1, 2, [tokenSize]byte{}, make([]byte, 20))
	reply := withSum(append([]byte{echoReply4}, ask[1:]...))
	fault := withSum(append([]byte{unreachable4, 4, 0, 0, 0, 0, 5, 0}, datagram4(ask)...))
	ask6 := echoRequest(nil, true, 1, 2, [tokenSize]byte{}, make([]byte, 20))
	quote := append([]byte{6 << 4, 0, 0, 0, 0, 28, protocolICMP6, 64}, make([]byte, 32)...)
	fragment := append([]byte{6 << 4, 0, 0, 0, 0, 36, protocolFragment, 64}, make([]byte, 32)...)
	fragment = append(fragment, protocolICMP6, 0, 0, 0, 0, 0, 0, 0)
	return [][]byte{
		datagram4(reply), datagram4(fault), datagram4(ask),
		append([]byte{echoReply6}, ask6[1:]...),
		append([]byte{tooBig6, 0, 0, 0, 0, 0, 5, 0}, append(quote, ask6...)...),
		append([]byte{exceeded6, 0, 0, 0, 0, 0, 0, 0}, append(fragment, ask6...)...),
	}
}

func TestICMP_SeedsAreUnderstood(t *testing.T) {
	src := netip.MustParseAddr("2001:db8::1")
	for i, d := range seeds() {
		e, _, ok := parse4(d)
		if i >= 3 {
			e, ok = parse6(d, src)
		}
		if ok != (i != 2) || ok && (e.id != 1 || e.seq != 2 || len(e.payload) != 20) {
			t.Errorf("%d: %v, %+v", i, ok, e)
		}
	}
}

func FuzzICMP_IncomingIsNeverMisread(f *testing.F) {
	for _, d := range seeds() {
		f.Add(d)
	}
	src := netip.MustParseAddr("2001:db8::1")
	f.Fuzz(func(t *testing.T, d []byte) {
		if e, hopLimit, ok := parse4(d); ok {
			if !e.target.Is4() || hopLimit != int(d[8]) || len(e.payload) > len(d)-header4-headerICMP {
				t.Errorf("%x: %+v, hop limit %d", d, e, hopLimit)
			}
			wantNoMore(t, d, e)
		}
		if e, ok := parse6(d, src); ok {
			if !e.target.Is6() || e.err == nil && (e.target != src || d[0] != echoReply6) {
				t.Errorf("%x: %+v", d, e)
			}
			wantNoMore(t, d, e)
		}
	})
}

// wantNoMore wants what was read to stand in the message, and the error to be
// text.
func wantNoMore(t *testing.T, message []byte, e echoAnswer) {
	id := []byte{byte(e.id >> 8), byte(e.id), byte(e.seq >> 8), byte(e.seq)}
	if !strings.Contains(string(message), string(append(id, e.payload...))) {
		t.Errorf("%x: does not hold what was read, %+v", message, e)
	}
	if e.err != nil && strings.Contains(fmt.Sprint(e.err), "%!") {
		t.Errorf("%x: %v", message, e.err)
	}
}
