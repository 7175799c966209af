package probe

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

// namespace moves the test into a network namespace of its own, whose loopback
// interface is up and where the kernel answers no echo request. The thread of
// the test stays locked, so it ends with the test, and the namespace with both.
func namespace(t *testing.T) {
	t.Helper()
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatalf("making a network namespace (this test wants CAP_SYS_ADMIN): %v", err)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		t.Fatal(err)
	}
	lo.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo); err != nil {
		t.Fatal(err)
	}
	sysctl(t, "ipv4/icmp_echo_ignore_all", "1")
	sysctl(t, "ipv6/icmp/echo_ignore_all", "1")
}

// sysctl sets what is of the namespace of this thread.
func sysctl(t *testing.T, name, value string) {
	t.Helper()
	if err := os.WriteFile("/proc/sys/net/"+name, []byte(value), 0o644); err != nil {
		t.Fatal(err)
	}
}

// unprivileged takes CAP_NET_RAW from the thread of the test and lets groups
// open ping sockets.
func unprivileged(t *testing.T, groups string) {
	t.Helper()
	sysctl(t, "ipv4/ping_group_range", groups)
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		t.Fatal(err)
	}
	data[0].Effective &^= 1 << unix.CAP_NET_RAW
	data[0].Permitted &^= 1 << unix.CAP_NET_RAW
	if err := unix.Capset(&header, &data[0]); err != nil {
		t.Fatal(err)
	}
}

// request is an echo request as it arrived at a responder.
type request struct {
	src, dst net.IP
	hopLimit int
	whole    bool // not to be fragmented; of IPv4
	quote    []byte
	message  []byte
}

// answered is what a responder sends back.
type answered struct {
	src      net.IP // nil: the address that was asked
	hopLimit int
	message  []byte
}

// reply answers as the kernel does.
func (q request) reply() answered {
	message := append([]byte{}, q.message...)
	message[0] = map[byte]byte{echoRequest4: echoReply4, echoRequest6: echoReply6}[message[0]]
	return answered{hopLimit: 7, message: sum(message)}
}

// with changes a reply.
func (a answered) with(change func(a *answered)) answered {
	a.hopLimit = 99
	a.message = append([]byte{}, a.message...)
	change(&a)
	return a
}

// fault is an error about the request, which is quoted.
func (q request) fault(kind, code byte, rest uint32, quote []byte) answered {
	message := append([]byte{kind, code, 0, 0, 0, 0, 0, 0}, quote...)
	binary.BigEndian.PutUint32(message[4:], rest)
	return answered{hopLimit: 99, message: sum(message)}
}

// sum sets the checksum; for ICMPv6 the kernel sets another.
func sum(message []byte) []byte {
	message[2], message[3] = 0, 0
	binary.BigEndian.PutUint16(message[2:], checksum(message))
	return message
}

// line is the end of a responder at the network.
type line struct {
	conn  net.PacketConn
	read  func() (request, error)
	write func(a answered, to net.IP) error
}

// line4 listens to requests of ICMP.
func line4(t *testing.T) line {
	t.Helper()
	conn, err := net.ListenPacket("ip4:icmp", "0.0.0.0")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := ipv4.NewRawConn(conn)
	if err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, 1<<16)
	read := func() (request, error) {
		h, message, _, err := raw.ReadFrom(buffer)
		if err != nil {
			return request{}, err
		}
		quote := append([]byte{}, buffer[:h.Len+len(message)]...)
		return request{h.Src, h.Dst, h.TTL, h.Flags&ipv4.DontFragment != 0, quote, quote[h.Len:]}, nil
	}
	write := func(a answered, to net.IP) error {
		h := &ipv4.Header{Version: 4, Len: header4, TotalLen: header4 + len(a.message), TTL: a.hopLimit, Protocol: protocolICMP4, Src: a.src, Dst: to}
		return raw.WriteTo(h, a.message, nil)
	}
	return line{conn, read, write}
}

// line6 listens to requests of ICMPv6. The header of a quote is made up: the
// kernel does not give it.
func line6(t *testing.T) line {
	t.Helper()
	conn, err := net.ListenPacket("ip6:ipv6-icmp", "::")
	if err != nil {
		t.Fatal(err)
	}
	packets := ipv6.NewPacketConn(conn)
	if err := packets.SetControlMessage(ipv6.FlagHopLimit|ipv6.FlagDst, true); err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, 1<<16)
	read := func() (request, error) {
		n, control, src, err := packets.ReadFrom(buffer)
		if err != nil {
			return request{}, err
		}
		quote := make([]byte, header6, header6+n)
		quote[0], quote[6], quote[7] = 6<<4, protocolICMP6, byte(control.HopLimit)
		binary.BigEndian.PutUint16(quote[4:], uint16(n))
		copy(quote[8:], src.(*net.IPAddr).IP)
		copy(quote[24:], control.Dst)
		quote = append(quote, buffer[:n]...)
		return request{src.(*net.IPAddr).IP, control.Dst, control.HopLimit, false, quote, quote[header6:]}, nil
	}
	write := func(a answered, to net.IP) error {
		_, err := packets.WriteTo(a.message, &ipv6.ControlMessage{HopLimit: a.hopLimit, Src: a.src}, &net.IPAddr{IP: to})
		return err
	}
	return line{conn, read, write}
}

// respond answers echo requests in the namespace of the test. Their numbers
// count from 0.
func respond(t *testing.T, l line, answer func(n int, q request) []answered) {
	t.Helper()
	var done sync.WaitGroup
	done.Go(func() {
		for n := 0; ; {
			q, err := l.read()
			if err != nil {
				return
			}
			if q.message[0] != echoRequest4 && q.message[0] != echoRequest6 {
				continue
			}
			for _, a := range answer(n, q) {
				if a.src == nil {
					a.src = q.dst
				}
				if err := l.write(a, q.src); err != nil && !errors.Is(err, net.ErrClosed) {
					t.Errorf("answering: %v", err)
				}
			}
			n++
		}
	})
	t.Cleanup(func() { l.conn.Close(); done.Wait() })
}

// both runs a test for each IP family, each in a namespace of its own, once with raw sockets and
// once with ping sockets.
func both(t *testing.T, test func(t *testing.T, l line, target string)) {
	for _, raw := range []bool{true, false} {
		t.Run(map[bool]string{true: "raw", false: "ping"}[raw], func(t *testing.T) {
			t.Run("v4", func(t *testing.T) {
				namespace(t)
				l := line4(t)
				if !raw {
					unprivileged(t, "0 0")
				}
				test(t, l, "127.0.0.5")
			})
			t.Run("v6", func(t *testing.T) {
				namespace(t)
				l := line6(t)
				if !raw {
					unprivileged(t, "0 0")
				}
				test(t, l, "::1")
			})
		})
	}
}

func TestICMP_TakesNothingButTheReplyOfThisRequest(t *testing.T) {
	both(t, func(t *testing.T, l line, target string) {
		v6 := strings.Contains(target, ":")
		other := net.ParseIP("127.0.0.6")
		respond(t, l, func(_ int, q request) []answered {
			good := q.reply()
			set := func(at int) answered {
				return good.with(func(a *answered) { a.message[at] ^= 1; sum(a.message) })
			}
			all := []answered{
				set(1), set(4), set(7), set(headerICMP), set(len(good.message) - 1), // code, id, seq, token, payload
				good.with(func(a *answered) { a.message = sum(a.message[:len(a.message)-1]) }),
				good.with(func(a *answered) { a.message = sum(append(a.message, 0)) }),
			}
			if !v6 { // the kernel makes the checksum of IPv6, and has one address there
				all = append(all,
					good.with(func(a *answered) { a.message[2] ^= 1 }),
					good.with(func(a *answered) { a.src = other }))
			}
			return append(all, good)
		})
		r := pings(t, pinging(t, "{prober: icmp}"), target)
		wantSuccess(t, r)
		wantValue(t, r, "probe_icmp_reply_hop_limit", 7)
	})
}

func TestICMP_LateReplyAnswersNoLaterProbe(t *testing.T) {
	both(t, func(t *testing.T, l line, target string) {
		var first request
		respond(t, l, func(n int, q request) []answered {
			if n == 0 {
				first = q
				return nil
			}
			late := first.reply().with(func(*answered) {})
			renumbered := late.with(func(a *answered) { copy(a.message[4:8], q.message[4:8]); sum(a.message) })
			return []answered{late, renumbered, q.reply()}
		})
		p := pinging(t, "{prober: icmp}")
		wantReason(t, pingsWithin(t, p, 20*time.Millisecond, target), Timeout, "no reply by "+target+": context deadline exceeded")
		r := pings(t, p, target)
		wantSuccess(t, r)
		wantValue(t, r, "probe_icmp_reply_hop_limit", 7)
	})
}

func TestICMP_SecondReplyToAPacketCountsNothing(t *testing.T) {
	both(t, func(t *testing.T, l line, target string) {
		respond(t, l, func(n int, q request) []answered {
			if n == 1 {
				return []answered{q.fault(map[bool]byte{false: 3, true: 1}[strings.Contains(target, ":")], 1, 0, q.quote)}
			}
			return []answered{q.reply(), q.reply().with(func(*answered) {})}
		})
		r := pings(t, pinging(t, "{prober: icmp, icmp: {packets: 3, packet_interval: 1ms}}"), target)
		wantSuccess(t, r)
		wantValue(t, r, "probe_icmp_packets_received", 2)
		wantValue(t, r, "probe_icmp_reply_hop_limit", 7)
	})
}

func TestICMP_ErrorOfTheNetworkEndsTheProbe(t *testing.T) {
	for _, c := range []struct {
		v6         bool
		kind, code byte
		rest       uint32
		quoted     int // bytes of the request, 0 for all
		want       string
	}{
		{false, 3, 0, 0, 0, "network unreachable"},
		{false, 3, 1, 0, 8, "host unreachable"},
		{false, 3, 3, 0, 8, "port unreachable"},
		{false, 3, 4, 1400, 12, "the packet is too big for an MTU of 1400 and must not be fragmented"},
		{false, 3, 13, 0, 0, "communication prohibited"},
		{false, 3, 7, 0, 0, "destination unreachable (code 7)"},
		{false, 11, 0, 0, 0, "the hop limit was used up on the way"},
		{false, 11, 1, 0, 0, "fragments were lost on the way"},
		{false, 12, 0, 0, 0, "parameter problem (code 0)"},
		{true, 1, 0, 0, 0, "no route to destination"},
		{true, 1, 3, 0, 8, "address unreachable"},
		{true, 1, 9, 0, 0, "destination unreachable (code 9)"},
		{true, 2, 0, 1280, 0, "the packet is too big for an MTU of 1280"},
		{true, 3, 0, 0, 0, "the hop limit was used up on the way"},
		{true, 4, 1, 0, 0, "parameter problem (code 1)"},
	} {
		for _, raw := range []bool{true, false} {
			if !raw && !c.v6 && c.kind == exceeded4 && c.code == 1 {
				continue // the kernel keeps this one from ping sockets
			}
			t.Run(fmt.Sprintf("v6=%v,raw=%v,%d.%d", c.v6, raw, c.kind, c.code), func(t *testing.T) {
				namespace(t)
				open, header, target := line4, header4, "127.0.0.5"
				if c.v6 {
					open, header, target = line6, header6, "::1"
				}
				l := open(t)
				if !raw {
					unprivileged(t, "0 0")
				}
				respond(t, l, func(_ int, q request) []answered {
					if c.quoted > 0 {
						q.quote = q.quote[:header+c.quoted]
					}
					return []answered{q.fault(c.kind, c.code, c.rest, q.quote)}
				})
				r := pings(t, pinging(t, "{prober: icmp}"), target)
				wantReason(t, r, Unreachable, target+" says: "+c.want)
				if _, ok := value(r, "probe_icmp_reply_hop_limit"); ok {
					t.Error("an error is taken for a reply")
				}
			})
		}
	}
}

func TestICMP_ErrorAboutAnotherPacketEndsNothing(t *testing.T) {
	both(t, func(t *testing.T, l line, target string) {
		kind, header := byte(3), header4
		if strings.Contains(target, ":") {
			kind, header = 1, header6
		}
		respond(t, l, func(_ int, q request) []answered {
			spoilt := func(at int) answered {
				quote := append([]byte{}, q.quote...)
				quote[at] ^= 1
				return q.fault(kind, 1, 0, quote)
			}
			return []answered{
				spoilt(header), spoilt(header + 4), spoilt(header + 7), spoilt(header + 8), // type, id, seq, token
				spoilt(header - 1), // destination
				spoilt(map[int]int{header4: 9, header6: 6}[header]), // protocol
				q.fault(kind, 1, 0, q.quote[:header+7]), q.fault(kind, 1, 0, nil),
				q.reply(),
			}
		})
		r := pings(t, pinging(t, "{prober: icmp}"), target)
		wantSuccess(t, r)
		wantValue(t, r, "probe_icmp_reply_hop_limit", 7)
	})
}

func TestICMP_PacketIsAsTheModuleWants(t *testing.T) {
	both(t, func(t *testing.T, l line, target string) {
		v6 := strings.Contains(target, ":")
		source := map[bool]string{false: "127.0.0.77", true: "::1"}[v6]
		seen := make(chan request, 1)
		respond(t, l, func(_ int, q request) []answered { seen <- q; return []answered{q.reply()} })
		p := pinging(t, "{prober: icmp, icmp: {ttl: 9, dont_fragment: true, payload_size: 1000, source_ip_address: \""+source+"\"}}")
		plain := pinging(t, "{prober: icmp}")
		plain.network = p.network
		if err := plain.useICMP(""); err != nil {
			t.Fatal(err)
		}
		for range 3 { // both kinds of packets in turn, from the same network
			wantSuccess(t, pings(t, p, target))
			if q := <-seen; q.hopLimit != 9 || q.whole == v6 || len(q.message) != 1008 || q.src.String() != source {
				t.Errorf("hop limit %d, whole %v, %d bytes, from %s", q.hopLimit, q.whole, len(q.message), q.src)
			}
			wantSuccess(t, pings(t, plain, target))
			if q := <-seen; q.hopLimit != 64 || len(q.message) != 36 {
				t.Errorf("without settings: hop limit %d, %d bytes", q.hopLimit, len(q.message))
			}
		}
	})
}

func TestICMP_SmallestPayloadsAreAnswered(t *testing.T) {
	both(t, func(t *testing.T, l line, target string) {
		respond(t, l, func(_ int, q request) []answered { return []answered{q.reply()} })
		for _, size := range []int{1, 7, 8, 9, 20000} {
			wantSuccess(t, pings(t, pinging(t, fmt.Sprintf("{prober: icmp, icmp: {payload_size: %d}}", size)), target))
		}
	})
}

func TestICMP_LossIsMeasuredAndJudged(t *testing.T) {
	namespace(t)
	respond(t, line4(t), func(n int, q request) []answered {
		if n%10 < 3 {
			return nil
		}
		return []answered{q.reply()}
	})
	const packets = "{prober: icmp, icmp: {packets: 10, packet_interval: 1ms, max_loss: %s}}"
	r := pings(t, pinging(t, fmt.Sprintf(packets, "0.3")), "127.0.0.5")
	wantSuccess(t, r)
	wantValue(t, r, "probe_icmp_packets_sent", 10)
	wantValue(t, r, "probe_icmp_packets_received", 7)
	wantValue(t, r, "probe_icmp_packet_loss_ratio", 0.3)
	r = pings(t, pinging(t, fmt.Sprintf(packets, "0.29")), "127.0.0.5")
	wantReason(t, r, Timeout, "no reply by 127.0.0.5 to 3 of 10 packets")
	wantValue(t, r, "probe_icmp_packet_loss_ratio", 0.3)
}

// expiring is a context whose deadline comes when the test says so.
type expiring struct {
	context.Context
	done chan struct{}
}

func (e expiring) Done() <-chan struct{} { return e.done }

func (e expiring) Err() error {
	select {
	case <-e.done:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

func TestICMP_AwaitsNoLostPacketUntilTheDeadline(t *testing.T) {
	namespace(t)
	respond(t, line4(t), func(n int, q request) []answered {
		if n == 1 {
			return nil
		}
		return []answered{q.reply()}
	})
	// Were it so, the test would run into its own time-out.
	r := pingsWithin(t, pinging(t, "{prober: icmp, icmp: {packets: 2, packet_interval: 1ms}}"), time.Hour, "127.0.0.5")
	wantSuccess(t, r)
	wantValue(t, r, "probe_icmp_packet_loss_ratio", 0.5)
}

func TestICMP_NeedsOneReplyWhateverLossIsAllowed(t *testing.T) {
	namespace(t)
	ctx := expiring{t.Context(), make(chan struct{})}
	respond(t, line4(t), func(n int, _ request) []answered {
		if n == 2 {
			close(ctx.done)
		}
		return nil
	})
	r := pinging(t, "{prober: icmp, icmp: {packets: 3, packet_interval: 1ms, max_loss: 1}}").Run(ctx, "127.0.0.5")
	wantReason(t, r, Timeout, "no reply by 127.0.0.5 to 3 of 3 packets")
	r.Samples = r.Samples[len(r.Samples)-6:]
	wantExposition(t, r, `probe_icmp_duration_seconds{phase="resolve"} S
probe_icmp_duration_seconds{phase="setup"} S
probe_icmp_duration_seconds{phase="rtt"} 0
probe_icmp_packets_sent 3
probe_icmp_packets_received 0
probe_icmp_packet_loss_ratio 1
`)
}

func TestICMP_MissingRouteIsUnreachable(t *testing.T) {
	for _, raw := range []bool{true, false} {
		t.Run(fmt.Sprintf("raw=%v", raw), func(t *testing.T) {
			namespace(t)
			if !raw {
				unprivileged(t, "0 0")
			}
			for _, target := range []string{"192.0.2.1", "2001:db8::1"} {
				r := pings(t, pinging(t, "{prober: icmp}"), target)
				wantReason(t, r, Unreachable, "sending to "+target+": sendmsg: network is unreachable")
			}
			r := pings(t, pinging(t, "{prober: icmp, icmp: {packets: 3, packet_interval: 1ms}}"), "192.0.2.1")
			wantReason(t, r, Unreachable, "3 of 3 packets were lost: sending to 192.0.2.1: sendmsg: network is unreachable")
		})
	}
}

func TestICMP_PacketTooLargeForTheInterfaceIsToldAtOnce(t *testing.T) {
	both(t, func(t *testing.T, l line, target string) {
		respond(t, l, func(_ int, q request) []answered { return []answered{q.reply()} })
		p := pinging(t, "{prober: icmp, icmp: {payload_size: 65527}}")
		if !strings.Contains(target, ":") {
			wantReason(t, pings(t, p, target), Unreachable, "message too long")
		}
	})
}

func TestICMP_SourceAddressThatIsNotOursIsInternal(t *testing.T) {
	for _, raw := range []bool{true, false} {
		t.Run(fmt.Sprintf("raw=%v", raw), func(t *testing.T) {
			namespace(t)
			if !raw {
				unprivileged(t, "0 0")
			}
			r := pings(t, pinging(t, "{prober: icmp, icmp: {source_ip_address: 192.0.2.1}}"), "127.0.0.1")
			wantReason(t, r, Internal, "source_ip_address: listen udp 192.0.2.1:0: bind: cannot assign requested address")
			r = pings(t, pinging(t, "{prober: icmp, icmp: {source_ip_address: \"2001:db8::1\"}}"), "::1")
			wantReason(t, r, Internal, "cannot assign requested address")
			r = pings(t, pinging(t, "{prober: icmp, icmp: {source_ip_address: \"::1\"}}"), "127.0.0.1")
			wantReason(t, r, Internal, "source_ip_address is ::1, which cannot reach 127.0.0.1")
		})
	}
}

func TestICMP_MissingPermissionNamesItsCures(t *testing.T) {
	namespace(t)
	unprivileged(t, "1 0")
	const want = "raw socket: socket: operation not permitted; ping socket: socket: permission denied; want the capability CAP_NET_RAW, or a group of this process in net.ipv4.ping_group_range"
	r := pings(t, pinging(t, "{prober: icmp}"), "127.0.0.1")
	wantReason(t, r, Internal, want)
	wantReason(t, pings(t, pinging(t, "{prober: icmp}"), "::1"), Internal, want)
	if err := CheckICMP(); err == nil || err.Error() != "icmp: "+want {
		t.Errorf("CheckICMP: %v", err)
	}
	sysctl(t, "ipv4/ping_group_range", "0 0")
	if err := CheckICMP(); err != nil {
		t.Errorf("CheckICMP with ping sockets: %v", err)
	}
}

func TestICMP_ProbersOfOtherProtocolsNeedNoPermission(t *testing.T) {
	namespace(t)
	unprivileged(t, "1 0")
	wantSuccess(t, ask(t, "{prober: tcp}", serve(t, silent)))
	if p := prober(t, "{prober: icmp}"); p == nil {
		t.Error("no prober")
	}
}

// sockets counts the sockets of ICMP that this process has.
func sockets(t testing.TB) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, f := range all {
		fd, err := strconv.Atoi(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		protocol, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PROTOCOL)
		if err == nil && (protocol == unix.IPPROTO_ICMP || protocol == unix.IPPROTO_ICMPV6) {
			n++
		}
	}
	return n
}

func TestICMP_ThousandsOfTargetsShareOneSocket(t *testing.T) {
	before := sockets(t)
	p := pinging(t, "{prober: icmp}")
	var waiting sync.WaitGroup
	tokens := make(chan struct{}, 500)
	for i := range 4000 {
		tokens <- struct{}{}
		waiting.Go(func() {
			defer func() { <-tokens }()
			target := netip.AddrFrom4([4]byte{127, 1, byte(i >> 8), byte(i)}).String()
			if r := pings(t, p, target); !r.Success || r.Addr.String() != target {
				t.Errorf("%s: %v", target, r.Err)
			}
		})
	}
	waiting.Wait()
	if now := sockets(t); now != before+1 {
		t.Errorf("%d sockets, want %d and one", now, before)
	}
	if n := len(p.network.ping[false].waiting); n != 0 {
		t.Errorf("%d packets are still waited for", n)
	}
	wantSuccess(t, pings(t, p, "::1"))
	if now := sockets(t); now != before+2 {
		t.Errorf("%d sockets, want %d and one for each family", now, before)
	}
}

func TestICMP_ClosedNetworkLeavesNothingOpen(t *testing.T) {
	before, routines := sockets(t), runtime.NumGoroutine()
	for range 20 {
		p := prober(t, "{prober: icmp, icmp: {dont_fragment: true}}")
		for _, target := range []string{"127.0.0.1", "::1"} {
			wantSuccess(t, pings(t, p, target))
		}
		if err := p.network.Close(); err != nil {
			t.Error(err)
		}
		wantReason(t, pings(t, p, "127.0.0.1"), Internal, "the network is closed")
	}
	if now := sockets(t); now != before {
		t.Errorf("%d sockets, want %d", now, before)
	}
	if now := settled(runtime.NumGoroutine, routines); now > routines {
		t.Errorf("%d goroutines, want %d", now, routines)
	}
}

// Probers are made anew whenever the configuration is: nothing of the network may
// grow with that.
func TestICMP_ProbersThatAreMadeAnewShareTheSockets(t *testing.T) {
	before, routines := sockets(t), runtime.NumGoroutine()
	network := NewNetwork()
	defer network.Close()
	var open sync.WaitGroup
	for range 50 {
		for _, target := range []string{"127.0.0.1", "::1"} {
			m := prober(t, "{prober: icmp, icmp: {dont_fragment: true}}").module
			p, err := New(m, network)
			if err != nil {
				t.Fatal(err)
			}
			open.Go(func() { wantSuccess(t, pings(t, p, target)) })
		}
	}
	open.Wait()
	// For IPv4, one for packets that must not be fragmented, and one that listens.
	if now := sockets(t); now != before+3 {
		t.Errorf("%d sockets, want %d", now, before+3)
	}
	if now := settled(runtime.NumGoroutine, routines+2); now > routines+2 {
		t.Errorf("%d goroutines, want %d", now, routines+2)
	}
	for v6, p := range network.ping {
		if len(p.waiting) > 0 {
			t.Errorf("IPv6 %v: %d packets are waited for after their probes", v6, len(p.waiting))
		}
	}
}

func BenchmarkICMP(b *testing.B) {
	p := pinging(b, "{prober: icmp}")
	ctx, cancel := context.WithTimeout(b.Context(), time.Hour)
	defer cancel()
	var before, after unix.Rusage
	unix.Getrusage(unix.RUSAGE_SELF, &before)
	b.ReportAllocs()
	b.ResetTimer()
	for b.Loop() {
		if r := p.Run(ctx, "127.0.0.1"); !r.Success {
			b.Fatal(r.Err)
		}
	}
	unix.Getrusage(unix.RUSAGE_SELF, &after)
	spent := after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano()
	b.ReportMetric(float64(spent)/1e3/float64(b.N), "cpu-µs/op")
}

// passes runs a filter as the kernel does.
func passes(t testing.TB, program []bpf.Instruction, message []byte) bool {
	t.Helper()
	vm, err := bpf.NewVM(program)
	if err != nil {
		t.Fatal(err)
	}
	n, err := vm.Run(message)
	return err == nil && n > 0
}

func TestICMP_FilterKeepsOutWhatIsForOthers(t *testing.T) {
	for i, d := range seeds() {
		program := filter4
		if i >= 3 {
			program = filter6
		}
		if got := passes(t, program(1), d); got != (i != 2) {
			t.Errorf("%d: with the id of this network: passes %v", i, got)
		}
		if got := passes(t, program(9), d); got != (i == 5) {
			t.Errorf("%d: with another id: passes %v", i, got)
		}
	}
}

func FuzzICMP_FilterKeepsNoAnswerOut(f *testing.F) {
	for _, d := range seeds() {
		f.Add(d)
	}
	src := netip.MustParseAddr("2001:db8::1")
	f.Fuzz(func(t *testing.T, d []byte) {
		if e, _, ok := parse4(d); ok && !passes(t, filter4(e.id), d) {
			t.Errorf("%x: %+v does not pass", d, e)
		}
		if e, ok := parse6(d, src); ok && !passes(t, filter6(e.id), d) {
			t.Errorf("%x: %+v does not pass", d, e)
		}
	})
}

func FuzzICMP_QueuedErrorIsNeverMisread(f *testing.F) {
	ask := echoRequest(nil, false, 1, 2, [tokenSize]byte{}, make([]byte, 20))
	f.Add(false, ask, []byte{0, 0, 0, 0, 2, 3, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 127, 0, 0, 1})
	f.Add(true, ask, []byte{0, 0, 0, 0, 3, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	dst := netip.MustParseAddr("192.0.2.1")
	f.Fuzz(func(t *testing.T, v6 bool, request, extended []byte) {
		if e, ok := parseQueued(v6, request, dst, extended); ok {
			if e.err == nil || e.target != dst {
				t.Errorf("%x %x: %+v", request, extended, e)
			}
			wantNoMore(t, request, e)
		}
	})
}
