package probe

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/common/config"
)

// DNS is the dns block of a module: it asks a name server.
type DNS struct {
	IPProtocol         string           `yaml:"preferred_ip_protocol,omitempty"` // empty: ip6
	IPProtocolFallback bool             `yaml:"ip_protocol_fallback"`
	DNSOverTLS         bool             `yaml:"dns_over_tls,omitempty"`
	TLSConfig          config.TLSConfig `yaml:"tls_config,omitempty"`
	SourceIPAddress    string           `yaml:"source_ip_address,omitempty"`
	TransportProtocol  string           `yaml:"transport_protocol,omitempty"` // udp or tcp; empty: udp
	QueryClass         string           `yaml:"query_class,omitempty"`        // empty: IN
	QueryName          string           `yaml:"query_name,omitempty"`
	QueryType          string           `yaml:"query_type,omitempty"` // empty: ANY
	RecursionDesired   bool             `yaml:"recursion_desired"`
	ValidRcodes        []string         `yaml:"valid_rcodes,omitempty"` // empty: NOERROR
	ValidateAnswer     recordRules      `yaml:"validate_answer_rrs,omitempty"`
	ValidateAuthority  recordRules      `yaml:"validate_authority_rrs,omitempty"`
	ValidateAdditional recordRules      `yaml:"validate_additional_rrs,omitempty"`
}

// defaultDNS is the block that blackbox_exporter takes where none is written.
func defaultDNS() DNS { return DNS{IPProtocolFallback: true, RecursionDesired: true} }

// UnmarshalYAML sets the defaults.
func (d *DNS) UnmarshalYAML(unmarshal func(any) error) error {
	*d = defaultDNS()
	type plain DNS
	return unmarshal((*plain)(d))
}

// setDirectory makes the names of files relative to the folder dir.
func (d *DNS) setDirectory(dir string) { d.TLSConfig.SetDirectory(dir) }

// check reports under paths inside the block.
func (d *DNS) check(report func(path, text string)) {
	checkFamily(d.IPProtocol, report)
	checkTLS(d.TLSConfig, under("tls_config", report))
	if d.SourceIPAddress != "" {
		if _, err := netip.ParseAddr(d.SourceIPAddress); err != nil {
			report("source_ip_address", fmt.Sprintf("%q is no IP address", d.SourceIPAddress))
		}
	}
	switch {
	case d.TransportProtocol != "" && d.TransportProtocol != "udp" && d.TransportProtocol != "tcp":
		report("transport_protocol", fmt.Sprintf("want udp or tcp, got %q", d.TransportProtocol))
	case d.DNSOverTLS && d.TransportProtocol != "tcp":
		report("transport_protocol", "want tcp with dns_over_tls")
	}
	d.checkQuery(report)
	for i, name := range d.ValidRcodes {
		if _, known := dns.StringToRcode[name]; !known {
			report(fmt.Sprintf("valid_rcodes[%d]", i), fmt.Sprintf("%q is no response code; want one such as NOERROR or NXDOMAIN", name))
		}
	}
}

// checkQuery wants a question that can be sent.
func (d *DNS) checkQuery(report func(path, text string)) {
	if _, known := dns.StringToClass[d.QueryClass]; !known && d.QueryClass != "" {
		report("query_class", fmt.Sprintf("%q is no class; want one such as IN or CH", d.QueryClass))
	}
	if _, known := dns.StringToType[d.QueryType]; !known && d.QueryType != "" {
		report("query_type", fmt.Sprintf("%q is no type of records; want one such as A, SOA or ANY", d.QueryType))
	}
	if d.QueryName == "" {
		report("query_name", "missing")
	} else if _, _, err := d.query(); err != nil {
		report("query_name", fmt.Sprintf("%q is no domain name", d.QueryName))
	}
}

// query makes the message that is sent, with the id 0, and its question as
// answers repeat it.
func (d *DNS) query() ([]byte, dns.Question, error) {
	class, kind := uint16(dns.ClassINET), dns.TypeANY
	if d.QueryClass != "" {
		class = dns.StringToClass[d.QueryClass]
	}
	if d.QueryType != "" {
		kind = dns.StringToType[d.QueryType]
	}
	m := dns.Msg{Question: []dns.Question{{Name: dns.Fqdn(d.QueryName), Qtype: kind, Qclass: class}}}
	m.RecursionDesired = d.RecursionDesired
	raw, err := m.Pack()
	if err != nil {
		return nil, dns.Question{}, err
	}
	// There and back: one name can be escaped in several ways.
	if err := m.Unpack(raw); err != nil {
		return nil, dns.Question{}, err
	}
	return raw, m.Question[0], nil
}

// checkNameServer is CheckTarget of dns.
func checkNameServer(m *Module, target string) error {
	host, _, err := m.DNS.server(target)
	if err != nil {
		return err
	}
	if _, err := netip.ParseAddr(host); err != nil && (host == "" || strings.ContainsAny(host, ":/@[] ")) {
		return errors.New("target: it is no host; want host or host:port")
	}
	return nil
}

// server takes a target apart: host, host:port, an IPv6 address or [address]:port.
func (d *DNS) server(target string) (host string, port uint16, err error) {
	host, service, err := net.SplitHostPort(target)
	switch {
	case err == nil:
		port, err = portNumber(service)
		return host, port, err
	case strings.HasPrefix(target, "[") && strings.HasSuffix(target, "]"):
		target = target[1 : len(target)-1]
	}
	if d.DNSOverTLS {
		return target, 853, nil
	}
	return target, 53, nil
}

// dnsProber is a dns block made ready.
type dnsProber struct {
	DNS
	source   netip.Addr
	tls      *tlsSource
	query    []byte // with two bytes of length before it, as TCP wants it
	question dns.Question
	rcodes   []int
}

// useDNS makes p probe dns. The name of /probe changes nothing.
func (p *Prober) useDNS(string) error {
	d := &dnsProber{DNS: p.module.DNS, tls: &tlsSource{settings: p.module.DNS.TLSConfig}}
	source, _ := netip.ParseAddr(d.SourceIPAddress) // empty, or checked before
	d.source = source.Unmap()
	raw, question, err := d.DNS.query()
	if err != nil {
		return fmt.Errorf("query_name: %w", err)
	}
	d.query, d.question = append(binary.BigEndian.AppendUint16(nil, uint16(len(raw))), raw...), question
	if len(d.ValidRcodes) == 0 {
		d.ValidRcodes = []string{"NOERROR"}
	}
	for _, name := range d.ValidRcodes {
		d.rcodes = append(d.rcodes, dns.StringToRcode[name])
	}
	p.probe = d.probe
	return nil
}

// inquiry is one DNS probe on its way.
type inquiry struct {
	*run
	*dnsProber
	host   string
	phases [3]time.Duration // of dnsPhases
	answer *dns.Msg         // nil until one came
	state  tls.ConnectionState
}

var dnsPhases = [...][]Label{{{"phase", "resolve"}}, {{"phase", "connect"}}, {{"phase", "request"}}}

// probe is the whole of a DNS probe: resolve, connect, ask, judge, report.
func (d *dnsProber) probe(r *run) error {
	k := &inquiry{run: r, dnsProber: d}
	defer k.report()
	host, port, err := d.server(r.target)
	if err != nil {
		return &failure{Internal, err}
	}
	k.host = host
	addr, took, err := r.resolve(host, d.IPProtocol, d.IPProtocolFallback)
	if err != nil {
		return err // the phase stays 0, as blackbox_exporter leaves it
	}
	k.phases[0] = took
	start := time.Now()
	conn, release, err := k.connect(netip.AddrPortFrom(addr, port))
	k.phases[1] = time.Since(start)
	if err != nil {
		return err
	}
	defer release()
	start = time.Now()
	k.answer, err = k.ask(conn)
	k.phases[2] = time.Since(start)
	if err != nil {
		return fail(Protocol, err)
	}
	k.explainAnswer()
	return k.judge()
}

// connect makes the connection, over TCP with TLS where the module wants it.
func (k *inquiry) connect(addr netip.AddrPort) (net.Conn, func(), error) {
	if err := sameFamily(k.source, addr.Addr()); err != nil {
		return nil, nil, err
	}
	if k.TransportProtocol == "tcp" {
		conn, release, err := k.dial(addr, k.source)
		if err != nil || !k.DNSOverTLS {
			return conn, release, err
		}
		secured, err := k.startTLS(conn)
		if err != nil {
			release()
		}
		return secured, release, err
	}
	if !k.source.IsValid() {
		return k.open("udp", addr.String(), nil)
	}
	return k.open("udp", addr.String(), &net.UDPAddr{IP: k.source.AsSlice(), Zone: k.source.Zone()})
}

// startTLS turns the connection into a TLS one.
func (k *inquiry) startTLS(conn net.Conn) (net.Conn, error) {
	name := k.host
	if k.TLSConfig.ServerName != "" {
		name = ""
	}
	settings, err := k.tls.client(name)
	if err != nil {
		return nil, err
	}
	secured, state, err := handshake(conn, settings)
	k.state = state
	return secured, err
}

// ask sends the query under a new id and waits for the answer to it.
func (k *inquiry) ask(conn net.Conn) (*dns.Msg, error) {
	id, query := dns.Id(), slices.Clone(k.query)
	binary.BigEndian.PutUint16(query[2:], id)
	if k.explain {
		k.note("asking the name server", "address", conn.RemoteAddr().String(), "question", k.question.String(), "id", id)
	}
	stream := k.TransportProtocol == "tcp"
	if !stream {
		query = query[2:]
	}
	if _, err := conn.Write(query); err != nil {
		return nil, fmt.Errorf("sending the query: %w", err)
	}
	if stream {
		return k.fromStream(conn, id)
	}
	return k.fromDatagrams(conn, id)
}

// fromDatagrams waits for the answer to the query and passes over what is none:
// late answers to others and forgeries must not make a probe fail.
func (k *inquiry) fromDatagrams(conn net.Conn, id uint16) (*dns.Msg, error) {
	var passed int
	var last error
	buffer := make([]byte, dns.MinMsgSize+1)
	for {
		n, err := conn.Read(buffer)
		if err != nil && passed > 0 {
			return nil, fmt.Errorf("reading the answer: %w (passed over %d that were none, the last: %v)", err, passed, last)
		}
		if err != nil {
			return nil, fmt.Errorf("reading the answer: %w", err)
		}
		answer, err := k.parse(buffer[:n], id, dns.MinMsgSize)
		if !errors.As(err, new(stray)) {
			return answer, err
		}
		passed, last = passed+1, err
		if k.explain && passed <= maxNotes {
			k.note("passing over a datagram", "why", err.Error())
		}
	}
}

// fromStream reads one message, with its length before it (RFC 1035, section 4.2.2).
func (k *inquiry) fromStream(conn net.Conn, id uint16) (*dns.Msg, error) {
	var length [2]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		return nil, fmt.Errorf("reading the length of the answer: %w", err)
	}
	raw := make([]byte, binary.BigEndian.Uint16(length[:]))
	if n, err := io.ReadFull(conn, raw); err != nil {
		return nil, fmt.Errorf("reading the answer: %d of %d bytes: %w", n, len(raw), err)
	}
	return k.parse(raw, id, dns.MaxMsgSize)
}

// stray says why a message is no answer to the query.
type stray string

// Error gives what is wrong.
func (s stray) Error() string { return string(s) }

// parse reads the answer to the query of that id. The error is a stray for a
// message that does not belong to it.
func (d *dnsProber) parse(raw []byte, id uint16, limit int) (*dns.Msg, error) {
	const header, response = 12, 0x80
	switch {
	case len(raw) < header:
		return nil, stray(fmt.Sprintf("%d bytes are no message of DNS", len(raw)))
	case binary.BigEndian.Uint16(raw) != id:
		return nil, stray(fmt.Sprintf("the answer has the id %d, want %d", binary.BigEndian.Uint16(raw), id))
	case raw[2]&response == 0:
		return nil, stray("the message is a query, no answer")
	case len(raw) > limit:
		return nil, &failure{Protocol, fmt.Errorf("the answer is longer than %d bytes, which nobody asked for", limit)}
	}
	m := new(dns.Msg)
	if err := m.Unpack(raw); err != nil {
		return nil, &failure{Protocol, fmt.Errorf("reading %d bytes of answer: %w", len(raw), err)}
	}
	// Some servers leave the question out where they refuse it.
	if len(m.Question) > 0 && (len(m.Question) > 1 || !sameQuestion(m.Question[0], d.question)) {
		return nil, stray(fmt.Sprintf("the answer is to %q, want %q", m.Question[0].String(), d.question.String()))
	}
	return m, nil
}

// sameQuestion compares as name servers do: case has no meaning in names.
func sameQuestion(a, b dns.Question) bool {
	return a.Qtype == b.Qtype && a.Qclass == b.Qclass && strings.EqualFold(a.Name, b.Name)
}

// judge tells whether the answer is what the module wants. As for
// blackbox_exporter one that the server has cut short is an answer.
func (k *inquiry) judge() error {
	if !slices.Contains(k.rcodes, k.answer.Rcode) {
		return &failure{Status, fmt.Errorf("response code is %s, want %s", rcodeName(k.answer.Rcode), strings.Join(k.ValidRcodes, " or "))}
	}
	if err := k.ValidateAnswer.judge(k.ctx, k.answer.Answer); err != nil {
		return fail(Content, fmt.Errorf("validate_answer_rrs: %w", err))
	}
	if err := k.ValidateAuthority.judge(k.ctx, k.answer.Ns); err != nil {
		return fail(Content, fmt.Errorf("validate_authority_rrs: %w", err))
	}
	if err := k.ValidateAdditional.judge(k.ctx, k.answer.Extra); err != nil {
		return fail(Content, fmt.Errorf("validate_additional_rrs: %w", err))
	}
	return nil
}

// rcodeName is the name of a response code, or its number.
func rcodeName(code int) string {
	if name, known := dns.RcodeToString[code]; known {
		return name
	}
	return fmt.Sprint(code)
}

// maxNotes bounds how many records of an answer are shown, and how many
// datagrams that are none: a name server may send them until the deadline.
const maxNotes = 50

// explainAnswer keeps notes of the answer.
func (k *inquiry) explainAnswer() {
	if !k.explain {
		return
	}
	m := k.answer
	k.note("the name server answers", "rcode", rcodeName(m.Rcode), "authoritative", m.Authoritative, "truncated", m.Truncated,
		"answer", len(m.Answer), "authority", len(m.Ns), "additional", len(m.Extra))
	for i, record := range slices.Concat(m.Answer, m.Ns, m.Extra) {
		if i == maxNotes {
			k.note("more records are not shown")
			return
		}
		k.note("record", "text", record.String())
	}
}

// report keeps the series of the probe, also of one that failed.
func (k *inquiry) report() {
	for phase, took := range k.phases {
		k.add("probe_dns_duration_seconds", "Seconds in each phase.", took.Seconds(), dnsPhases[phase]...)
	}
	var answers, authorities, additional, succeeded float64
	if m := k.answer; m != nil {
		answers, authorities, additional, succeeded = float64(len(m.Answer)), float64(len(m.Ns)), float64(len(m.Extra)), 1
	}
	k.add("probe_dns_answer_rrs", "Records in the answer section.", answers)
	k.add("probe_dns_authority_rrs", "Records in the authority section.", authorities)
	k.add("probe_dns_additional_rrs", "Records in the additional section.", additional)
	k.add("probe_dns_query_succeeded", "1 when an answer came, whatever it says.", succeeded)
	if k.answer != nil && k.question.Qtype == dns.TypeSOA {
		k.add("probe_dns_serial", "Serial number of the zone; 0 when the answer holds none.", serial(k.answer.Answer))
	}
	k.addTLS(k.state)
}

// serial is the serial number of the last SOA record, or 0.
func serial(records []dns.RR) float64 {
	var last float64
	for _, record := range records {
		if soa, ok := record.(*dns.SOA); ok {
			last = float64(soa.Serial)
		}
	}
	return last
}
