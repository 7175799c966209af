package probe

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
)

// maxLine bounds a line that an expect is matched against, in bytes.
const maxLine = 64 << 10

// TCP is the tcp block of a module.
type TCP struct {
	IPProtocol         string           `yaml:"preferred_ip_protocol,omitempty"` // empty: ip6
	IPProtocolFallback bool             `yaml:"ip_protocol_fallback"`
	SourceIPAddress    string           `yaml:"source_ip_address,omitempty"`
	QueryResponse      []queryResponse  `yaml:"query_response,omitempty"`
	TLS                bool             `yaml:"tls,omitempty"`
	TLSConfig          config.TLSConfig `yaml:"tls_config,omitempty"`
}

// queryResponse is one step of a conversation: what is expected, then what is
// sent, then whether TLS begins.
type queryResponse struct {
	// Expect skips lines until one matches.
	Expect pattern `yaml:"expect,omitempty"`
	// ExpectBytes are the very next bytes.
	ExpectBytes string `yaml:"expect_bytes,omitempty"`
	// Labels make probe_expect_info of the groups of Expect.
	Labels []Label `yaml:"labels,omitempty"`
	// Send is sent with a line end; groups of Expect are put in.
	Send     string `yaml:"send,omitempty"`
	StartTLS bool   `yaml:"starttls,omitempty"`
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
func (t *TCP) setDirectory(dir string) { t.TLSConfig.SetDirectory(dir) }

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
	for i, step := range t.QueryResponse {
		at := fmt.Sprintf("query_response[%d].", i)
		if step.Expect.Regexp != nil && step.ExpectBytes != "" {
			report(at+"expect_bytes", "expect is given too; want one of the two")
		}
		if len(step.Labels) > 0 && step.Expect.Regexp == nil {
			report(at+"labels", "want an expect to take their values from")
		}
		checkLabels(step.Labels, under(strings.TrimSuffix(at, "."), report))
	}
}

// checkLabels wants names that can stand on a page, each once: Prometheus would
// refuse the whole page for one that it keeps for itself or finds twice.
func checkLabels(labels []Label, report func(path, text string)) {
	for i, label := range labels {
		at := fmt.Sprintf("labels[%d].name", i)
		same := func(other Label) bool { return other.Name == label.Name }
		switch {
		case !model.LegacyValidation.IsValidLabelName(label.Name):
			report(at, fmt.Sprintf("%q is no label name", label.Name))
		case strings.HasPrefix(label.Name, "__"):
			report(at, fmt.Sprintf("label name %q is reserved", label.Name))
		case slices.IndexFunc(labels, same) < i:
			report(at, fmt.Sprintf("label name %q stands twice in labels", label.Name))
		}
	}
}

// tcpProber is a tcp block made ready.
type tcpProber struct {
	TCP
	source     netip.Addr
	serverName string // of /probe; that of the module goes before it
	tls        *tlsSource
}

// useTCP makes p probe tcp, with TLS asking for hostname when the module names
// no other.
func (p *Prober) useTCP(hostname string) error {
	t := &tcpProber{TCP: p.module.TCP, serverName: hostname, tls: &tlsSource{settings: p.module.TCP.TLSConfig}}
	t.source, _ = netip.ParseAddr(t.SourceIPAddress) // empty, or checked before
	p.probe = t.probe
	return nil
}

// talk is one TCP probe on its way.
type talk struct {
	*run
	*tcpProber
	host     string
	conn     net.Conn
	reader   *bufio.Reader
	phases   [4]time.Duration // of tcpPhases
	reached  [4]bool
	badMatch bool
	badBytes bool
	info     [][]Label
	state    tls.ConnectionState // of the last handshake
}

var tcpPhases = [...][]Label{{{"phase", "resolve"}}, {{"phase", "connect"}}, {{"phase", "tls"}}, {{"phase", "query"}}}

// probe is the whole of a TCP probe: resolve, connect, converse, report.
func (t *tcpProber) probe(r *run) error {
	host, port, err := hostPort(r.target)
	if err != nil {
		return &failure{Internal, err}
	}
	k := &talk{run: r, tcpProber: t, host: host}
	defer k.report()
	addr, took, err := r.resolve(host, t.IPProtocol, t.IPProtocolFallback)
	k.spent(0, took)
	if err != nil {
		return err
	}
	start := time.Now()
	conn, release, err := r.dial(netip.AddrPortFrom(addr, port), t.source)
	k.spent(1, time.Since(start))
	if err != nil {
		return err
	}
	defer release()
	k.conn = conn
	if t.TLS {
		if err := k.startTLS(); err != nil {
			// As for a connection that was never made: nothing was asked of it.
			k.conn = nil
			return err
		}
	}
	if len(t.QueryResponse) == 0 {
		return nil
	}
	return k.converse()
}

// hostPort takes a tcp target apart. The error does not repeat the target: what
// is written in the wrong form may hold a password.
func hostPort(target string) (host string, port uint16, err error) {
	host, service, err := net.SplitHostPort(target)
	if err != nil {
		if bad := (*net.AddrError)(nil); errors.As(err, &bad) {
			err = errors.New(bad.Err)
		}
		return "", 0, fmt.Errorf("target: %w; want host:port", err)
	}
	port, err = portNumber(service)
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

// spent adds to a phase, which is shown from then on.
func (k *talk) spent(phase int, took time.Duration) {
	k.phases[phase] += took
	k.reached[phase] = true
}

// startTLS turns the connection into a TLS one. What was read ahead in clear
// does not belong to it and is dropped.
func (k *talk) startTLS() error {
	start := time.Now()
	defer func() { k.spent(2, time.Since(start)) }()
	name := k.serverName
	switch {
	case k.TLSConfig.ServerName != "":
		name = ""
	case name == "":
		name = k.host
	}
	settings, err := k.tls.client(name)
	if err != nil {
		return err
	}
	secured, state, err := handshake(k.conn, settings)
	k.state = state
	if err != nil {
		return err
	}
	k.conn, k.reader = secured, nil
	return nil
}

// converse goes through the steps of query_response.
func (k *talk) converse() error {
	start, before := time.Now(), k.phases[2]
	defer func() { k.spent(3, time.Since(start)-(k.phases[2]-before)) }()
	for i, step := range k.QueryResponse {
		if err := k.step(step); err != nil {
			return fail(Protocol, fmt.Errorf("query_response[%d]: %w", i, err))
		}
	}
	return nil
}

// step does what one entry says, in the order of its fields.
func (k *talk) step(s queryResponse) error {
	if k.reader == nil {
		k.reader = bufio.NewReaderSize(k.conn, 1<<10)
	}
	send := []byte(s.Send)
	if s.Expect.Regexp != nil {
		line, match, err := k.expect(s.Expect)
		if err != nil {
			return err
		}
		send = s.Expect.Expand(nil, send, line, match)
		k.inform(s, line, match)
	}
	if s.ExpectBytes != "" {
		if err := k.expectBytes([]byte(s.ExpectBytes)); err != nil {
			return err
		}
	}
	if len(send) > 0 {
		if _, err := k.conn.Write(append(send, '\n')); err != nil {
			return fmt.Errorf("sending: %w", err)
		}
	}
	if s.StartTLS {
		return k.startTLS()
	}
	return nil
}

// expect reads lines until one matches. The end of the stream ends the last
// line, too.
func (k *talk) expect(want pattern) (line []byte, match []int, err error) {
	k.badMatch = false
	for count := 0; ; {
		line, err = k.line()
		if err == nil || len(line) > 0 {
			count++
		}
		if match = want.FindSubmatchIndex(line); match != nil && (err == nil || len(line) > 0) {
			return line, match, nil
		}
		if errors.Is(err, io.EOF) {
			k.badMatch = true
			return nil, nil, &failure{Content, fmt.Errorf("none of %d lines matches %q", count, want)}
		}
		if err != nil {
			return nil, nil, fmt.Errorf("expecting %q: %w", want, err)
		}
	}
}

// line reads one line without its end. With io.EOF it gives what is left.
func (k *talk) line() ([]byte, error) {
	var line []byte
	for {
		part, err := k.reader.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case len(line) > maxLine:
			return nil, &failure{Size, fmt.Errorf("line is longer than %d bytes", maxLine)}
		case errors.Is(err, bufio.ErrBufferFull):
		case err != nil && !errors.Is(err, io.EOF):
			return nil, err
		default:
			return bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r")), err
		}
	}
}

// expectBytes reads on where expect stopped: both share one buffer, so bytes
// that came with a line are not lost. It waits for all bytes, however they are
// cut into packets.
func (k *talk) expectBytes(want []byte) error {
	got := make([]byte, len(want))
	n, err := io.ReadFull(k.reader, got)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("expecting %d bytes: %w", len(want), err)
	}
	if k.badBytes = !bytes.Equal(got[:n], want); k.badBytes {
		return &failure{Content, fmt.Errorf("bytes are %q, want %q", got[:n], want)}
	}
	return nil
}

// inform keeps the labels of a step, once each.
func (k *talk) inform(s queryResponse, line []byte, match []int) {
	if len(s.Labels) == 0 {
		return
	}
	labels := make([]Label, len(s.Labels))
	for i, label := range s.Labels {
		value := s.Expect.Expand(nil, []byte(label.Value), line, match)
		labels[i] = Label{label.Name, strings.ToValidUTF8(string(value), "\uFFFD")}
	}
	if !slices.ContainsFunc(k.info, func(other []Label) bool { return slices.Equal(other, labels) }) {
		k.info = append(k.info, labels)
	}
}

// report keeps the series of the probe, also of one that failed.
func (k *talk) report() {
	for phase, took := range k.phases {
		if k.reached[phase] {
			k.add("probe_tcp_duration_seconds", "Seconds in each phase.", took.Seconds(), tcpPhases[phase]...)
		}
	}
	k.addTLS(k.state)
	if k.conn == nil {
		return
	}
	value := map[bool]float64{true: 1}
	k.add("probe_failed_due_to_regex", "1 when a regular expression made the probe fail.", value[k.badMatch])
	k.add("probe_failed_due_to_bytes", "1 when expect_bytes made the probe fail.", value[k.badBytes])
	for _, labels := range k.info {
		k.add("probe_expect_info", "What an expect with labels matched.", 1, labels...)
	}
}
