package probe

import (
	"context"
	"fmt"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// ip sets up the network of the namespace that the calling thread is in, one
// command of ip(8) a line.
func ip(t *testing.T, commands string) {
	t.Helper()
	for command := range strings.Lines(commands) {
		if out, err := exec.Command("ip", strings.Fields(command)...).CombinedOutput(); err != nil {
			t.Errorf("ip %s: %v: %s", command, err, out)
		}
	}
}

// router gives the namespace of the test a neighbour, 10.9.0.1 and
// 2001:db8:9::1, that forwards: what it is given for 10.8.0.0/16 and
// 2001:db8:8::/48 it would send back, in packets of up to 1300 bytes; 2001:db8:7::/48
// it calls unreachable. (Of IPv4, the kernel limits such messages by a rate.)
func router(t *testing.T) {
	t.Helper()
	thread, configure, done := make(chan int), make(chan struct{}), make(chan struct{})
	go func() { // the thread, and with it the namespace, ends with this
		defer close(done)
		runtime.LockOSThread()
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			t.Errorf("making a network namespace: %v", err)
		}
		thread <- unix.Gettid()
		<-configure
		sysctl(t, "ipv4/ip_forward", "1")
		sysctl(t, "ipv6/conf/all/forwarding", "1")
		sysctl(t, "ipv4/icmp_ratelimit", "0")
		sysctl(t, "ipv6/icmp/ratelimit", "0")
		ip(t, `link set v1 up
			addr add 10.9.0.1/24 dev v1
			route add 10.8.0.0/16 via 10.9.0.2 mtu 1300
			addr add 2001:db8:9::1/64 dev v1 nodad
			route add 2001:db8:8::/48 via 2001:db8:9::2 mtu 1300
			route add unreachable 2001:db8:7::/48`)
		thread <- 0
		<-configure
	}()
	ip(t, fmt.Sprintf(`link add v0 type veth peer name v1
		link set v1 netns %d
		link set v0 up
		addr add 10.9.0.2/24 dev v0
		addr add 2001:db8:9::2/64 dev v0 nodad`, <-thread))
	configure <- struct{}{}
	<-thread
	ip(t, `route add default via 10.9.0.1
		route add default via 2001:db8:9::1`)
	t.Cleanup(func() { close(configure); <-done })
}

// awaitLink probes until a neighbour answers: the kernel makes a new link ready
// at some time after the command.
func awaitLink(t *testing.T, target string) {
	t.Helper()
	p := pinging(t, "{prober: icmp, icmp: {packets: 2}}") // 100 ms apart
	var r Result
	for range 100 {
		if r = pingsWithin(t, p, 200*time.Millisecond, target); r.Success {
			return
		}
	}
	t.Fatalf("the link to %s is not ready: %v", target, r.Err)
}

func TestICMP_RouterOnTheWayEndsTheProbe(t *testing.T) {
	for _, raw := range []bool{true, false} {
		t.Run(fmt.Sprintf("raw=%v", raw), func(t *testing.T) {
			namespace(t)
			router(t)
			awaitLink(t, "10.9.0.1")
			awaitLink(t, "2001:db8:9::1")
			if !raw {
				unprivileged(t, "0 0")
			}
			for _, c := range []struct{ module, target, want string }{
				{"{ttl: 1}", "10.8.0.1", "10.9.0.1 says: the hop limit was used up on the way"},
				{"{ttl: 1}", "2001:db8:8::1", "2001:db8:9::1 says: the hop limit was used up on the way"},
				{"{}", "2001:db8:7::1", "2001:db8:9::1 says: no route to destination"},
				{"{dont_fragment: true, payload_size: 1400}", "10.8.0.1", "10.9.0.1 says: the packet is too big for an MTU of 1300 and must not be fragmented"},
				// Once more, though the kernel was told the MTU.
				{"{dont_fragment: true, payload_size: 1400}", "10.8.0.1", "10.9.0.1 says: the packet is too big for an MTU of 1300 and must not be fragmented"},
				{"{payload_size: 1400}", "2001:db8:8::1", "2001:db8:9::1 says: the packet is too big for an MTU of 1300"},
				{"{dont_fragment: true, payload_size: 1473}", "10.9.0.1", "sending to 10.9.0.1: sendmsg: message too long"},
			} {
				r := pings(t, pinging(t, "{prober: icmp, icmp: "+c.module+"}"), c.target)
				wantReason(t, r, Unreachable, c.want)
			}
			// What may be fragmented is, and what fits is not too large.
			wantSuccess(t, pings(t, pinging(t, "{prober: icmp, icmp: {payload_size: 3000}}"), "10.9.0.1"))
			wantSuccess(t, pings(t, pinging(t, "{prober: icmp, icmp: {payload_size: 3000}}"), "2001:db8:9::1"))
			wantSuccess(t, pings(t, pinging(t, "{prober: icmp, icmp: {dont_fragment: true, payload_size: 1472}}"), "10.9.0.1"))
		})
	}
}

func TestICMP_TargetsThatNobodyAnswersForHoldNoOtherProbeUp(t *testing.T) {
	namespace(t)
	ip(t, `link add v0 type veth peer name v1
		link set v0 up
		link set v1 up
		addr add 10.9.0.2/24 dev v0`)
	sysctl(t, "ipv4/neigh/v0/retrans_time_ms", "3600000") // the packet stays in the queue
	sysctl(t, "ipv4/icmp_echo_ignore_all", "0")
	p := pinging(t, "{prober: icmp}")
	wantSuccess(t, pings(t, p, "127.0.0.1"))
	p.network.ping[false].opened[false].conn.Control(func(fd uintptr) {
		if err := unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUF, 1); err != nil {
			t.Error(err)
		}
	})
	// Packets that wait for the address of a neighbour fill the buffer.
	var full Result
	for range 100 {
		if full = pingsWithin(t, p, 10*time.Millisecond, "10.9.0.77"); full.Reason == Internal {
			break
		}
	}
	wantReason(t, full, Internal, "sending to 10.9.0.77: the send buffer stays full: sendmsg: ")
	waiting := make(chan Result)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	go func() { waiting <- p.Run(ctx, "127.0.0.1") }()
	ip(t, "link set v0 down") // drops what waits
	wantSuccess(t, <-waiting)
}

func TestICMP_ZoneOfALinkLocalTarget(t *testing.T) {
	namespace(t)
	ip(t, "addr add fe80::2/64 dev lo nodad")
	sysctl(t, "ipv6/icmp/echo_ignore_all", "0")
	// Several packets: the kernel often loses the first one to an address this new.
	wantSuccess(t, pings(t, pinging(t, "{prober: icmp, icmp: {packets: 20, packet_interval: 50ms}}"), "fe80::2%lo"))
	wantReason(t, pings(t, pinging(t, "{prober: icmp}"), "fe80::2%nowhere"), Internal, `zone "nowhere": route ip+net: no such network interface`)
}
