package probe

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"
	"time"
)

// ICMP is the icmp block of a module: it sends echo requests. The keys after
// ttl are not in blackbox_exporter's schema.
type ICMP struct {
	IPProtocol         string `yaml:"preferred_ip_protocol,omitempty"` // empty: ip6
	IPProtocolFallback bool   `yaml:"ip_protocol_fallback"`
	SourceIPAddress    string `yaml:"source_ip_address,omitempty"`
	// PayloadSize is in bytes; 0 means 28, as the text of blackbox_exporter has.
	PayloadSize int `yaml:"payload_size,omitempty"`
	// DontFragment keeps routers from cutting IPv4 packets up; those of IPv6
	// never do.
	DontFragment bool `yaml:"dont_fragment,omitempty"`
	// TTL is the hop limit of the requests; 0 means 64.
	TTL int `yaml:"ttl,omitempty"`
	// Packets is how many requests a probe sends, PacketInterval apart. More
	// than one add the series about loss, round-trip times and jitter.
	Packets        int           `yaml:"packets,omitempty"`
	PacketInterval time.Duration `yaml:"packet_interval,omitempty"`
	// MaxLoss is up to which ratio of lost packets a probe succeeds, of those
	// that it sent before its deadline. One reply is always needed.
	MaxLoss float64 `yaml:"max_loss"`
}

// Limits and defaults of the block.
const (
	defaultTTL, defaultPayload = 64, 28
	maxPayload                 = 1<<16 - 1 - headerICMP // of IPv6; IPv4 has its header within
	maxPackets                 = 1000
)

// defaultICMP is the block that blackbox_exporter takes where none is written:
// one packet.
func defaultICMP() ICMP {
	return ICMP{IPProtocolFallback: true, TTL: defaultTTL, Packets: 1, PacketInterval: 100 * time.Millisecond, MaxLoss: 1}
}

// UnmarshalYAML sets the defaults.
func (i *ICMP) UnmarshalYAML(unmarshal func(any) error) error {
	*i = defaultICMP()
	type plain ICMP
	return unmarshal((*plain)(i))
}

// setDirectory makes the names of files relative to the folder dir.
func (*ICMP) setDirectory(string) {}

// checkICMP reports under paths inside the block.
func (m *Module) checkICMP(report func(path, text string)) {
	i := m.ICMP
	checkFamily(i.IPProtocol, report)
	if i.SourceIPAddress != "" {
		if _, err := netip.ParseAddr(i.SourceIPAddress); err != nil {
			report("source_ip_address", fmt.Sprintf("%q is no IP address", i.SourceIPAddress))
		}
	}
	if i.PayloadSize < 0 || i.PayloadSize > maxPayload {
		report("payload_size", fmt.Sprintf("want 0 to %d bytes, got %d", maxPayload, i.PayloadSize))
	}
	if i.TTL < 0 || i.TTL > 255 {
		report("ttl", fmt.Sprintf("want 1 to 255, got %d", i.TTL))
	}
	i.checkPackets(m.Timeout, report)
}

// checkPackets reports on the keys that blackbox_exporter does not have.
func (i *ICMP) checkPackets(timeout time.Duration, report func(path, text string)) {
	if i.Packets < 1 || i.Packets > maxPackets {
		report("packets", fmt.Sprintf("want 1 to %d, got %d", maxPackets, i.Packets))
	}
	if i.PacketInterval < time.Millisecond {
		report("packet_interval", fmt.Sprintf("want 1ms or more, got %s", i.PacketInterval))
	}
	if !(i.MaxLoss >= 0 && i.MaxLoss <= 1) {
		report("max_loss", fmt.Sprintf("want a ratio from 0 to 1, got %v", i.MaxLoss))
	}
	if i.Packets > 1 && i.Packets <= maxPackets && timeout > 0 && i.PacketInterval > timeout/time.Duration(i.Packets) {
		report("packets", fmt.Sprintf("%d packets, %s apart, do not fit the timeout of %s", i.Packets, i.PacketInterval, timeout))
	}
}

// icmpProber is an icmp block made ready.
type icmpProber struct {
	ICMP
	network *Network
	source  netip.Addr
	payload []byte // of every packet, but for its token
}

// useICMP makes p probe icmp.
func (p *Prober) useICMP(string) error {
	i := &icmpProber{ICMP: p.module.ICMP, network: p.network}
	i.source, _ = netip.ParseAddr(i.SourceIPAddress) // empty, or checked before
	i.source = i.source.Unmap()
	if i.TTL == 0 {
		i.TTL = defaultTTL
	}
	if i.PayloadSize == 0 {
		i.PayloadSize = defaultPayload
	}
	i.payload = make([]byte, i.PayloadSize)
	copy(i.payload[min(tokenSize, i.PayloadSize):], "probe-exporter: ping")
	p.probe = i.probe
	return nil
}

// ping is one ICMP probe on its way.
type ping struct {
	*run
	*icmpProber
	pinger   *pinger
	socket   *socket
	to       envelope
	message  []byte
	answers  chan outcome
	keys     []waitKey   // of the packets, in their order
	sent     []time.Time // when each packet was
	rtts     rtts
	open     int              // packets without an answer
	hopLimit int              // of the last reply; 0 when it is not known
	lost     error            // why the first packet was lost of which that is known
	phases   [2]time.Duration // resolve, setup
}

// probe is the whole of an ICMP probe: resolve, set up, exchange, report.
func (i *icmpProber) probe(r *run) error {
	p := &ping{run: r, icmpProber: i}
	defer p.report()
	_, took, err := r.resolve(r.target, i.IPProtocol, i.IPProtocolFallback)
	if err != nil {
		return err
	}
	p.phases[0] = took
	start := time.Now()
	err = p.setUp()
	p.phases[1] = time.Since(start)
	if err != nil {
		return fail(Internal, err)
	}
	defer func() { p.pinger.forget(p.keys) }()
	p.exchange()
	if errors.Is(p.ctx.Err(), context.Canceled) {
		// Replies may have come before; the probe was not finished all the same.
		return &failure{Internal, fmt.Errorf("pinging %s: %w", p.addr, p.ctx.Err())}
	}
	return p.judge()
}

// setUp prepares all but the time and the number of a packet.
func (p *ping) setUp() (err error) {
	v6 := p.addr.Is6()
	if p.source.IsValid() && p.source.Is6() != v6 {
		return fmt.Errorf("source_ip_address is %s, which cannot reach %s", p.source, p.addr)
	}
	if p.pinger, p.socket, err = p.network.pinger(v6, p.DontFragment && !v6); err != nil {
		return err
	}
	if p.to, err = newEnvelope(p.addr, p.source, p.TTL); err != nil {
		return err
	}
	p.answers = make(chan outcome, p.Packets)
	p.keys = make([]waitKey, 0, p.Packets)
	p.sent = make([]time.Time, 0, p.Packets)
	p.rtts = make(rtts, 0, p.Packets)
	if p.explain {
		p.note("sending echo requests", "address", p.addr, "socket", p.socket.kind(), "packets", p.Packets, "payload", p.PayloadSize, "ttl", p.TTL)
	}
	return nil
}

// exchange sends the packets at their times and takes the answers, until every
// packet has one, the deadline comes, or nothing more is to be awaited.
func (p *ping) exchange() {
	p.send()
	next := time.NewTimer(p.untilNext())
	defer next.Stop()
	for p.open > 0 || len(p.keys) < p.Packets {
		select {
		case <-p.ctx.Done():
			p.drain()
			return
		case o := <-p.answers:
			p.take(o)
			if p.open > 0 && len(p.keys) == p.Packets { // how long to wait may have changed
				next.Reset(p.untilNext())
			}
		case <-next.C:
			if len(p.keys) == p.Packets {
				return
			}
			p.send()
			next.Reset(p.untilNext())
		}
	}
}

// untilNext is how long to wait for the time of the next packet. After the last
// one it is as long as replies are awaited once there was one: a second, or
// twice the longest round-trip time, as the common ping does; without a reply,
// as long as the probe may take.
func (p *ping) untilNext() time.Duration {
	switch n := len(p.keys); {
	case n < p.Packets:
		return time.Until(p.sent[0].Add(time.Duration(n) * p.PacketInterval))
	case p.rtts.received() > 0:
		return time.Until(p.sent[n-1].Add(max(time.Second, 2*p.rtts.longest())))
	}
	return forever
}

// forever is longer than any probe.
const forever = time.Duration(1<<63 - 1)

// send sends the next packet. One that cannot be sent is lost.
func (p *ping) send() {
	w := waiter{payload: p.payload, index: len(p.keys), answers: p.answers}
	for i, random := 0, rand.Uint64(); i < tokenSize; i++ {
		w.token[i] = byte(random >> (8 * i))
	}
	key, err := p.pinger.expect(p.addr, w)
	at := time.Now()
	if err == nil {
		p.message = echoRequest(p.message, p.addr.Is6(), p.socket.id, key.seq, w.token, p.payload)
		at, err = p.pinger.send(p.ctx, p.socket, p.message, p.to)
		err = p.explainSource(err)
	}
	p.keys, p.sent, p.rtts = append(p.keys, key), append(p.sent, at), append(p.rtts, 0)
	p.open++
	if err != nil {
		p.pinger.forget(p.keys[w.index:])
		p.take(outcome{index: w.index, err: fail(Unreachable, fmt.Errorf("sending to %s: %w", p.addr, err))})
	}
}

// explainSource finds out whether sending went wrong because the source address
// is none of this machine: the kernel tells that like a missing route.
func (p *ping) explainSource(err error) error {
	if err == nil || !p.source.IsValid() {
		return err
	}
	conn, wrong := net.ListenUDP("udp", &net.UDPAddr{IP: p.source.AsSlice(), Zone: p.source.Zone()})
	if wrong != nil {
		return fmt.Errorf("source_ip_address: %w", wrong)
	}
	conn.Close()
	return err
}

// take keeps what came of a packet.
func (p *ping) take(o outcome) {
	p.open--
	if o.err != nil {
		if p.lost == nil {
			p.lost = fail(Unreachable, o.err)
		}
		if p.explain {
			p.note("packet is lost", "packet", o.index+1, "error", o.err)
		}
		return
	}
	p.rtts[o.index] = max(1, o.at.Sub(p.sent[o.index]))
	if o.hopLimit > 0 {
		p.hopLimit = o.hopLimit
	}
	if p.explain {
		p.note("reply", "packet", o.index+1, "rtt", p.rtts[o.index], "hop limit", o.hopLimit)
	}
}

// drain takes the answers that came before the deadline.
func (p *ping) drain() {
	for {
		select {
		case o := <-p.answers:
			p.take(o)
		default:
			return
		}
	}
}

// judge tells whether enough packets were answered.
func (p *ping) judge() error {
	sent, received := len(p.rtts), p.rtts.received()
	if received > 0 && p.loss() <= p.MaxLoss {
		if p.Packets > 1 {
			p.latency = time.Duration(p.rtts.mean() * float64(time.Second))
		}
		return nil
	}
	switch {
	case p.lost != nil && p.Packets == 1:
		return p.lost
	case p.lost != nil:
		return fail(Unreachable, fmt.Errorf("%d of %d packets were lost: %w", sent-received, sent, p.lost))
	case p.Packets == 1:
		return &failure{Timeout, fmt.Errorf("no reply by %s: %w", p.addr, context.DeadlineExceeded)}
	}
	return &failure{Timeout, fmt.Errorf("no reply by %s to %d of %d packets", p.addr, sent-received, sent)}
}

// loss is the ratio of packets without a reply.
func (p *ping) loss() float64 {
	return float64(len(p.rtts)-p.rtts.received()) / float64(max(1, len(p.rtts)))
}

// report keeps the series of the probe, also of one that failed.
func (p *ping) report() {
	const name, help = "probe_icmp_duration_seconds", "Seconds in each phase; rtt is the round-trip time, with several packets its mean, 0 without a reply."
	p.add(name, help, p.phases[0].Seconds(), Label{"phase", "resolve"})
	p.add(name, help, p.phases[1].Seconds(), Label{"phase", "setup"})
	p.add(name, help, p.rtts.mean(), Label{"phase", "rtt"})
	if p.hopLimit > 0 {
		p.add("probe_icmp_reply_hop_limit", "Hop limit (TTL) that was left of the last reply.", float64(p.hopLimit))
	}
	if p.Packets > 1 {
		p.reportPackets()
	}
}

// reportPackets keeps the series about several packets. What there are too few
// replies for is left out.
func (p *ping) reportPackets() {
	sent, received := len(p.rtts), p.rtts.received()
	p.add("probe_icmp_packets_sent", "Echo requests sent, with those that this machine could not deliver.", float64(sent))
	p.add("probe_icmp_packets_received", "Echo requests that were answered in time.", float64(received))
	if sent > 0 {
		p.add("probe_icmp_packet_loss_ratio", "Ratio of echo requests that were not answered, 0 to 1.", p.loss())
	}
	if received == 0 {
		return
	}
	const name, help = "probe_icmp_rtt_seconds", "Round-trip times over the packets of the probe; stddev with divisor n-1."
	p.add(name, help, p.rtts.shortest().Seconds(), Label{"stat", "min"})
	p.add(name, help, p.rtts.mean(), Label{"stat", "mean"})
	p.add(name, help, p.rtts.longest().Seconds(), Label{"stat", "max"})
	if received > 1 {
		p.add(name, help, p.rtts.stddev(), Label{"stat", "stddev"})
	}
	if jitter, ok := p.rtts.jitter(); ok {
		p.add("probe_icmp_jitter_seconds", "Mean absolute difference between the round-trip times of consecutive packets.", jitter)
	}
}

// zoneIndex gives the number of the interface that a zone names, 0 for none.
func zoneIndex(zone string) (uint32, error) {
	if zone == "" {
		return 0, nil
	}
	if number, err := strconv.ParseUint(zone, 10, 32); err == nil {
		return uint32(number), nil
	}
	in, err := net.InterfaceByName(zone)
	if err != nil {
		return 0, fmt.Errorf("zone %q: %w", zone, err)
	}
	return uint32(in.Index), nil
}
