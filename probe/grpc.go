package probe

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/common/config"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	health "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
)

// maxHealth bounds the answer of a health service, and its header, in bytes: a
// real one has 7.
const maxHealth = 64 << 10

// GRPC is the grpc block of a module: it asks the health service of gRPC
// (grpc.health.v1.Health/Check).
type GRPC struct {
	Service            string           `yaml:"service,omitempty"` // empty: the server as a whole
	TLS                bool             `yaml:"tls,omitempty"`
	TLSConfig          config.TLSConfig `yaml:"tls_config,omitempty"`
	IPProtocol         string           `yaml:"preferred_ip_protocol,omitempty"` // empty: ip6
	IPProtocolFallback bool             `yaml:"ip_protocol_fallback"`
	// Metadata goes with the request. Its values are masked where they are shown.
	Metadata map[string][]string `yaml:"metadata,omitempty"`
	// MetadataFiles name files with further values, which are read by each
	// probe; blanks and line ends around a value are left out.
	MetadataFiles map[string]string `yaml:"metadata_files,omitempty"`
}

// defaultGRPC is the block that is taken where none is written. In
// blackbox_exporter a missing block alone has no fallback.
func defaultGRPC() GRPC { return GRPC{IPProtocolFallback: true} }

// UnmarshalYAML sets the defaults.
func (g *GRPC) UnmarshalYAML(unmarshal func(any) error) error {
	*g = defaultGRPC()
	type plain GRPC
	return unmarshal((*plain)(g))
}

// MarshalYAML writes the block with all values of metadata masked.
func (g GRPC) MarshalYAML() (any, error) {
	g.Metadata = maps.Clone(g.Metadata)
	for key, values := range g.Metadata {
		g.Metadata[key] = slices.Repeat([]string{"<secret>"}, len(values))
	}
	type plain GRPC
	return plain(g), nil
}

// setDirectory makes the names of files relative to the folder dir.
func (g *GRPC) setDirectory(dir string) {
	g.MetadataFiles = maps.Clone(g.MetadataFiles)
	for key, file := range g.MetadataFiles {
		g.MetadataFiles[key] = config.JoinDir(dir, file)
	}
	g.TLSConfig.SetDirectory(dir)
}

// check reports under paths inside the block.
func (g *GRPC) check(report func(path, text string)) {
	checkFamily(g.IPProtocol, report)
	checkTLS(g.TLSConfig, under("tls_config", report))
	for key, values := range g.Metadata {
		for _, value := range append([]string{""}, values...) {
			if err := checkMetadata(key, value); err != nil {
				report("metadata."+key, err.Error())
				break
			}
		}
	}
	for key, file := range g.MetadataFiles {
		if err := checkMetadata(key, ""); err != nil {
			report("metadata_files."+key, err.Error())
		}
		if file == "" {
			report("metadata_files."+key, "want the name of a file")
		}
	}
}

// checkMetadata wants a pair that can be sent: the key is one of gRPC, in lower
// case or not, the value is printable unless the key says that it is binary.
// The error does not repeat the value.
func checkMetadata(key, value string) error {
	outside := func(c rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789.-_", c)
	}
	if key == "" || strings.ContainsFunc(strings.ToLower(key), outside) {
		return fmt.Errorf("%q is no key of metadata; want letters, digits, '.', '-' and '_'", key)
	}
	unprintable := func(c rune) bool { return c < ' ' || c > '~' }
	if !strings.HasSuffix(strings.ToLower(key), "-bin") && strings.ContainsFunc(value, unprintable) {
		return errors.New("the value is not printable ASCII, and the key does not end in -bin")
	}
	return nil
}

// checkGRPC is CheckTarget of grpc.
func checkGRPC(_ *Module, target string) error {
	u, err := targetURL(target)
	if err == nil && u.User != nil {
		err = errors.New("target: it holds a user, which every result would show and no server would see; want host or host:port")
	}
	return err
}

// grpcProber is a grpc block made ready.
type grpcProber struct {
	GRPC
	tls *tlsSource
}

// useGRPC makes p probe grpc. As in blackbox_exporter the server name is that of
// the module or of the target, whatever else is asked for.
func (p *Prober) useGRPC(string) error {
	g := &grpcProber{GRPC: p.module.GRPC, tls: &tlsSource{settings: p.module.GRPC.TLSConfig}}
	p.probe = g.probe
	return nil
}

// call is one gRPC probe on its way.
type call struct {
	*run
	*grpcProber
	resolved, checked time.Duration
	ran               bool // whether the check began
	code              codes.Code
	serving           health.HealthCheckResponse_ServingStatus
	told              bool                // whether serving is an answer
	state             tls.ConnectionState // of the handshake
}

// probe is the whole of a gRPC probe: resolve, connect, ask, report.
func (g *grpcProber) probe(r *run) error {
	c := &call{run: r, grpcProber: g}
	defer c.report()
	host, port, err := g.server(r.target)
	if err != nil {
		return &failure{Internal, err}
	}
	var settings *tls.Config
	if g.TLS {
		if settings, err = g.tls.clientOr(host, "h2"); err != nil {
			return err
		}
	}
	header, err := g.header()
	if err != nil {
		return &failure{Internal, err}
	}
	addr, took, err := r.resolve(host, g.IPProtocol, g.IPProtocolFallback)
	if err != nil {
		return err
	}
	c.resolved, c.ran = took, true
	start := time.Now()
	defer func() { c.checked = time.Since(start) }()
	if err := c.check(netip.AddrPortFrom(addr, port), authority(host, port, settings), settings, header); err != nil {
		return c.failed(err)
	}
	return c.judge()
}

// server takes a target apart: host or host:port, with http:// or https:// or
// without, which makes no difference: the module says whether TLS is spoken.
func (g *GRPC) server(target string) (host string, port uint16, err error) {
	u, err := targetURL(target)
	if err != nil {
		return "", 0, err
	}
	if u.Port() != "" {
		port, err = portNumber(u.Port())
		return u.Hostname(), port, err
	}
	if g.TLS {
		return u.Hostname(), 443, nil
	}
	return u.Hostname(), 80, nil
}

// authority is the host that the request is for: as other clients of gRPC say
// it, with its port in clear, and the server name alone over TLS.
func authority(host string, port uint16, settings *tls.Config) string {
	if settings == nil {
		return net.JoinHostPort(host, strconv.Itoa(int(port)))
	}
	if name := settings.ServerName; strings.Contains(name, ":") {
		return "[" + name + "]"
	}
	return settings.ServerName
}

// header gives the metadata of a request, with the files as they are now.
func (g *GRPC) header() (metadata.MD, error) {
	header := metadata.MD{}
	for key, values := range g.Metadata {
		header.Append(key, values...)
	}
	for key, file := range g.MetadataFiles {
		text, err := readFile(file)
		if err != nil {
			return nil, fmt.Errorf("metadata_files.%s: %w", key, err)
		}
		value := strings.TrimSpace(string(text))
		if err := checkMetadata(key, value); err != nil {
			return nil, fmt.Errorf("metadata_files.%s: %s: %w", key, file, err)
		}
		header.Append(key, value)
	}
	return header, nil
}

// check connects, and asks the health service over the connection. What went
// wrong on the connection itself tells more than gRPC does.
func (c *call) check(to netip.AddrPort, authority string, settings *tls.Config, header metadata.MD) error {
	c.code = codes.Unavailable // until the server says better
	conn, release, err := c.dial(to, netip.Addr{})
	if err != nil {
		return err
	}
	defer release()
	if c.explain {
		c.note("connected", "local", conn.LocalAddr(), "remote", conn.RemoteAddr())
	}
	link := &link{Conn: conn, TransportCredentials: insecure.NewCredentials()}
	if settings != nil {
		if err := c.overTLS(link, settings); err != nil {
			return err
		}
	}
	client, err := grpc.NewClient("passthrough:///target", link.options(authority)...)
	if err != nil {
		return &failure{Internal, fmt.Errorf("preparing the request: %w", err)}
	}
	defer client.Close()
	request := &health.HealthCheckRequest{Service: c.Service}
	answer, err := health.NewHealthClient(client).Check(metadata.NewOutgoingContext(c.ctx, header), request)
	c.code = status.Code(err)
	if err != nil {
		return c.refused(err, link, header)
	}
	c.serving, c.told = answer.GetStatus(), true
	if c.explain {
		c.note("health", "service", c.Service, "status", c.serving)
	}
	return nil
}

// overTLS makes the connection a TLS one, on which HTTP/2 was agreed.
func (c *call) overTLS(l *link, settings *tls.Config) error {
	secured, state, err := c.secure(l.Conn, settings)
	c.state = state
	if err != nil {
		return err
	}
	if state.NegotiatedProtocol != "h2" {
		return &failure{Protocol, fmt.Errorf("TLS: the server agreed on protocol %q, want h2", state.NegotiatedProtocol)}
	}
	l.Conn = secured
	l.state = &state
	return nil
}

// refused gives an error of the call its reason: the server's own word is its
// status, all else is what became of the connection.
func (c *call) refused(err error, l *link, sent metadata.MD) error {
	said := status.Convert(err)
	message := withheld(said.Message(), sent)
	if c.explain {
		c.note("refused", "code", said.Code(), "message", shorten([]byte(message)))
	}
	broken, answered := l.outcome()
	err = fmt.Errorf("checking the health of service %q: %s: %s", c.Service, said.Code(), oneLine(message))
	switch {
	case said.Code() == codes.DeadlineExceeded, c.ctx.Err() != nil:
		return &failure{Timeout, err}
	case answered:
		return &failure{Status, err}
	case broken != nil:
		return &failure{reasonOf(broken, Protocol), err}
	}
	return &failure{Protocol, err}
}

// withheld is what a server says, without the metadata that was sent to it: one
// that refuses a token may repeat it.
func withheld(message string, sent metadata.MD) string {
	var words []string
	for _, values := range sent {
		for _, value := range values {
			words = append(append(words, value), strings.Fields(value)...)
		}
	}
	slices.SortFunc(words, func(a, b string) int { return len(b) - len(a) }) // a whole value before a part of it
	var pairs []string
	for _, word := range words {
		if len(word) >= 4 { // less tells nothing, and stands in many words
			pairs = append(pairs, word, "<secret>")
		}
	}
	return strings.NewReplacer(pairs...).Replace(message)
}

// oneLine is the beginning of a message, which may hold a page that a server
// sent instead of an answer.
func oneLine(text string) string {
	const most = 300
	text = strings.Join(strings.Fields(strings.ToValidUTF8(text, "\uFFFD")), " ")
	if len(text) > most {
		return strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}

// failed sets the code of a probe that ran out of time: whether the connection
// or the call notices that first is chance.
func (c *call) failed(err error) error {
	if reasonOf(err, Internal) == Timeout {
		c.code = codes.DeadlineExceeded
	}
	return err
}

// judge wants the service to be serving.
func (c *call) judge() error {
	if c.serving != health.HealthCheckResponse_SERVING {
		return &failure{Status, fmt.Errorf("service %q is %s, want SERVING", c.Service, c.serving)}
	}
	return nil
}

// report keeps the series of the probe, also of one that failed.
func (c *call) report() {
	const name, help = "probe_grpc_duration_seconds", "Seconds in each phase; check is all from the connection to the answer."
	c.add(name, help, c.resolved.Seconds(), Label{"phase", "resolve"})
	if c.ran {
		c.add(name, help, c.checked.Seconds(), Label{"phase", "check"})
	}
	value := map[bool]float64{true: 1}
	c.add("probe_grpc_ssl", "1 when the connection was made over TLS.", value[c.state.HandshakeComplete])
	c.add("probe_grpc_status_code", "Status code of gRPC; 0 also when nothing was asked.", float64(c.code))
	if c.ran {
		for number := range int32(len(health.HealthCheckResponse_ServingStatus_name)) {
			known := health.HealthCheckResponse_ServingStatus(number)
			c.add("probe_grpc_healthcheck_response", "1 at the status that the health service told, out of all that there are.",
				value[c.told && c.serving == known], Label{"serving_status", known.String()})
		}
	}
	c.addTLS(c.state)
}

// link is the one connection of a probe, which gRPC is given ready made: it can
// neither look the name up again nor connect a second time, and what happens on
// it is known.
type link struct {
	net.Conn
	credentials.TransportCredentials // without TLS
	state                            *tls.ConnectionState

	mu       sync.Mutex
	taken    bool
	broken   error // what ended the connection
	answered bool  // whether the server told a status of gRPC
}

// options makes a gRPC client use the link, and nothing else of the machine:
// no proxy, no service configuration, no second attempt.
func (l *link) options(authority string) []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithContextDialer(l.take), grpc.WithTransportCredentials(l), grpc.WithAuthority(authority), grpc.WithStatsHandler(l),
		grpc.WithNoProxy(), grpc.WithDisableServiceConfig(), grpc.WithDisableRetry(), grpc.WithIdleTimeout(0), grpc.WithMaxHeaderListSize(maxHealth),
		grpc.WithUserAgent("Probe-Exporter"), grpc.WithReadBufferSize(4 << 10), grpc.WithWriteBufferSize(4 << 10),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxHealth)),
	}
}

// take gives the connection, once.
func (l *link) take(context.Context, string) (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.taken {
		return nil, errors.New("a probe makes one connection, and it is used up")
	}
	l.taken = true
	return l, nil
}

// Read notes why the connection ended.
func (l *link) Read(to []byte) (int, error) {
	n, err := l.Conn.Read(to)
	l.ended(err)
	return n, err
}

// Write notes why the connection ended: either side may see that first.
func (l *link) Write(text []byte) (int, error) {
	n, err := l.Conn.Write(text)
	l.ended(err)
	return n, err
}

// ended keeps the first error, but not that of this end closing.
func (l *link) ended(err error) {
	if err == nil || errors.Is(err, net.ErrClosed) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken == nil {
		l.broken = err
	}
}

// outcome tells what ended the connection, and whether the server answered.
func (l *link) outcome() (broken error, answered bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.broken, l.answered
}

// ClientHandshake tells gRPC what was agreed on: TLS is spoken already.
func (l *link) ClientHandshake(ctx context.Context, authority string, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	if l.state == nil {
		return l.TransportCredentials.ClientHandshake(ctx, authority, conn)
	}
	info := credentials.TLSInfo{State: *l.state}
	info.SecurityLevel = credentials.PrivacyAndIntegrity
	return conn, info, nil
}

// Info tells gRPC which scheme the request has.
func (l *link) Info() credentials.ProtocolInfo {
	if l.state == nil {
		return l.TransportCredentials.Info()
	}
	return credentials.ProtocolInfo{SecurityProtocol: "tls"}
}

// HandleRPC notes that the server told a status: gRPC makes one up for all else.
func (l *link) HandleRPC(_ context.Context, what stats.RPCStats) {
	if _, ok := what.(*stats.InTrailer); ok {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.answered = true
	}
}

// TagRPC, TagConn and HandleConn are not needed.
func (*link) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (*link) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (*link) HandleConn(context.Context, stats.ConnStats)                       {}
