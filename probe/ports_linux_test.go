package probe

import (
	"net"
	"testing"
)

// The kernel tells a connection that finds no free port of this machine like one
// to an address that is not there. The target must not be blamed for it.
func TestOpen_NoFreePortsAreOfThisMachine(t *testing.T) {
	namespace(t)
	sysctl(t, "ipv4/ip_local_port_range", "40000 40001")
	for _, address := range []string{"127.0.0.1", "::1"} {
		target := serveOn(t, "tcp", net.JoinHostPort(address, "50000"), silent)
		for {
			conn, err := net.Dial("tcp", target)
			if err != nil {
				break
			}
			defer conn.Close()
		}
		for _, module := range []string{"{prober: tcp}", "{prober: http}", "{prober: grpc}"} {
			wantReason(t, prober(t, module).Run(t.Context(), target), Internal, "cannot assign requested address")
		}
		for range 2 {
			// Of the same two, whatever the family.
			if conn, err := net.Dial("udp", net.JoinHostPort(address, "9")); err == nil {
				defer conn.Close()
			}
		}
		r := prober(t, "{prober: dns, dns: {query_name: example.org}}").Run(t.Context(), target)
		wantReason(t, r, Internal, "dial udp")
		wantReason(t, prober(t, "{prober: tcp}").Run(t.Context(), target), Internal, "no port of this machine is free")
	}
}

func TestOpen_NoAddressOfAFamilyIsUnreachable(t *testing.T) {
	namespace(t)
	sysctl(t, "ipv6/conf/all/disable_ipv6", "1")
	for _, module := range []string{"{prober: tcp}", "{prober: http}", "{prober: grpc}", "{prober: dns, dns: {query_name: example.org}}"} {
		wantReason(t, prober(t, module).Run(t.Context(), "[2001:db8::1]:80"), Unreachable, "cannot assign requested address")
	}
}
