package probe

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/prometheus/common/config"
)

// TCP is the tcp block of a module.
type TCP struct {
	IPProtocol         string           `yaml:"preferred_ip_protocol,omitempty"` // empty: ip6
	IPProtocolFallback bool             `yaml:"ip_protocol_fallback"`
	SourceIPAddress    string           `yaml:"source_ip_address,omitempty"`
	QueryResponse      []queryResponse  `yaml:"query_response,omitempty"`
	TLS                bool             `yaml:"tls,omitempty"`
	TLSConfig          config.TLSConfig `yaml:"tls_config,omitempty"`
}

// defaultTCP is the block that blackbox_exporter takes where none is written.
func defaultTCP() TCP { return TCP{IPProtocolFallback: true} }

// UnmarshalYAML sets the defaults.
func (t *TCP) UnmarshalYAML(unmarshal func(any) error) error {
	*t = defaultTCP()
	type plain TCP
	return unmarshal((*plain)(t))
}

// setDirectory makes the names of files relative to the folder dir.
func (t *TCP) setDirectory(dir string) {
	t.QueryResponse = scriptIn(dir, t.QueryResponse)
	t.TLSConfig.SetDirectory(dir)
}

// checkHostPort is CheckTarget of tcp.
func checkHostPort(_ *Module, target string) error {
	_, _, err := hostPort(target)
	return err
}

// check reports under paths inside the block.
func (t *TCP) check(report func(path, text string)) {
	checkFamily(t.IPProtocol, report)
	checkTLS(t.TLSConfig, under("tls_config", report))
	if t.SourceIPAddress != "" {
		if _, err := netip.ParseAddr(t.SourceIPAddress); err != nil {
			report("source_ip_address", fmt.Sprintf("%q is no IP address", t.SourceIPAddress))
		}
	}
	checkScript(t.QueryResponse, report)
}

// tcpProber is a tcp block made ready.
type tcpProber struct {
	TCP
	script
	source     netip.Addr
	serverName string // of /probe; that of the module goes before it
}

// useTCP makes p probe tcp, with TLS asking for hostname when the module names
// no other.
func (p *Prober) useTCP(hostname string) error {
	t := &tcpProber{TCP: p.module.TCP, serverName: hostname}
	t.script = script{steps: t.QueryResponse, family: "probe_tcp_duration_seconds", tls: &tlsSource{settings: t.TLSConfig}}
	source, _ := netip.ParseAddr(t.SourceIPAddress) // empty, or checked before
	t.source = source.Unmap()
	p.probe = t.probe
	return nil
}

// probe is the whole of a TCP probe: resolve, connect, converse, report.
func (t *tcpProber) probe(r *run) error {
	host, port, err := hostPort(r.target)
	if err != nil {
		return &failure{Internal, err}
	}
	k := &talk{run: r, script: &t.script, serverName: t.serverName}
	if k.serverName == "" {
		k.serverName = host
	}
	defer k.report()
	addr, took, err := r.resolve(host, t.IPProtocol, t.IPProtocolFallback)
	k.spent(resolving, took)
	if err != nil {
		return err
	}
	if err := sameFamily(t.source, addr); err != nil {
		return err
	}
	start := time.Now()
	conn, release, err := r.dial(netip.AddrPortFrom(addr, port), t.source)
	k.spent(connecting, time.Since(start))
	if err != nil {
		return err
	}
	defer release()
	return k.hold(conn, t.TLS)
}

// sameFamily tells when a source address, if there is one, cannot reach the
// address of a target: that is a mistake of the module.
func sameFamily(source, addr netip.Addr) error {
	if source.IsValid() && source.Is4() != addr.Is4() {
		return &failure{Internal, fmt.Errorf("source_ip_address %s and the address of the target, %s, are of different families", source, addr)}
	}
	return nil
}

// hostPort takes a tcp target apart; the port may be the name of a service that
// this machine knows. The error does not repeat the target: what is written in
// the wrong form may hold a password.
func hostPort(target string) (host string, port uint16, err error) {
	host, service, err := net.SplitHostPort(target)
	if err != nil {
		if bad := (*net.AddrError)(nil); errors.As(err, &bad) {
			err = errors.New(bad.Err)
		}
		return "", 0, fmt.Errorf("target: %w; want host:port", err)
	}
	port, err = portNumber(service)
	if err != nil {
		if known, unknown := net.LookupPort("tcp", service); unknown == nil && known > 0 {
			return host, uint16(known), nil
		}
	}
	return host, port, err
}

// portNumber reads the port of a target.
func portNumber(text string) (uint16, error) {
	number, err := strconv.ParseUint(text, 10, 16)
	if err != nil || number == 0 {
		if err != nil && !errors.Is(err, strconv.ErrRange) { // no number: it may be a part of a password
			return 0, errors.New("target: the port is no number; want one from 1 to 65535")
		}
		return 0, fmt.Errorf("target: port is %q; want a number from 1 to 65535", text)
	}
	return uint16(number), nil
}
