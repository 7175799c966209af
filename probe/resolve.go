package probe

import (
	"fmt"
	"hash/fnv"
	"net"
	"net/netip"
	"time"
)

// address finds the address of a host in the wanted family ("" is ip6), or in
// the other one when that is allowed. It gives the time that this took also
// when it fails.
func (r *run) address(host, family string, fallback bool) (netip.Addr, time.Duration, error) {
	start := time.Now()
	if literal, err := netip.ParseAddr(host); err == nil {
		addr, err := choose([]netip.Addr{literal}, family, fallback)
		return addr, time.Since(start), err
	}
	// A resolver of its own: one that is shared answers equal questions of
	// several probes by a single lookup, and each probe is to make its own.
	resolver := net.Resolver{PreferGo: r.resolver.PreferGo, StrictErrors: r.resolver.StrictErrors, Dial: r.resolver.Dial}
	var found []netip.Addr
	var err error
	for _, network := range networks(family, fallback) {
		if found, err = resolver.LookupNetIP(r.ctx, network, host); err == nil {
			break
		}
	}
	took := time.Since(start)
	if err != nil {
		return netip.Addr{}, took, &failure{Unresolved, fmt.Errorf("resolving %q: %w", host, err)}
	}
	addr, err := choose(found, family, fallback)
	if err != nil {
		err = &failure{Unresolved, fmt.Errorf("resolving %q: %w", host, err)}
	}
	return addr, took, err
}

// networks are the lookups to make until one succeeds. Where IPv4 is preferred,
// IPv6 is asked for only when there is no IPv4: most such names have no other,
// and half of the questions are saved. The other way round it would make every
// name that has IPv4 alone, of which there are many, cost two round trips.
func networks(family string, fallback bool) []string {
	switch {
	case !fallback:
		return []string{wantedFamily(family)}
	case family == "ip4":
		return []string{"ip4", "ip6"}
	}
	return []string{"ip"}
}

// resolve is address with the series about it: those of a probe's own target.
func (r *run) resolve(host, family string, fallback bool) (netip.Addr, time.Duration, error) {
	addr, took, err := r.address(host, family, fallback)
	var protocol, hash float64
	if err == nil {
		r.addr = addr
		protocol, hash = 4, addrHash(addr)
		if addr.Is6() {
			protocol = 6
		}
	}
	r.add("probe_dns_lookup_time_seconds", "Seconds that resolving the name of the target took.", took.Seconds())
	r.add("probe_ip_protocol", "IP version of the probe, 4 or 6; 0 when the name did not resolve.", protocol)
	r.add("probe_ip_addr_hash", "FNV-1a hash (32 bit) of the probed IP address, to see it change.", hash)
	if err == nil {
		if r.explain {
			r.note("resolved", "host", host, "address", addr)
		}
		r.add("probe_resolved_address_info", "The IP address that was probed.", 1, Label{"address", addr.String()})
	}
	return addr, took, err
}

// wantedFamily is the family of the settings, with the default of
// blackbox_exporter.
func wantedFamily(family string) string {
	if family == "" {
		return "ip6"
	}
	return family
}

// choose gives the first address of the family, else the first of the other. The
// system has sorted them, the best first (RFC 6724); blackbox_exporter takes the
// last of the other family.
func choose(found []netip.Addr, family string, fallback bool) (netip.Addr, error) {
	var other netip.Addr
	for _, addr := range found {
		addr = addr.Unmap()
		if addr.Is4() == (wantedFamily(family) == "ip4") {
			return addr, nil
		}
		if !other.IsValid() {
			other = addr
		}
	}
	if !fallback || !other.IsValid() {
		return netip.Addr{}, &failure{Unresolved, fmt.Errorf("no address of family %s among %d, and no fallback", wantedFamily(family), len(found))}
	}
	return other, nil
}

// addrHash is FNV-1a over the 4 or 16 bytes of the address.
func addrHash(addr netip.Addr) float64 {
	h := fnv.New32a()
	h.Write(addr.AsSlice())
	return float64(h.Sum32())
}
