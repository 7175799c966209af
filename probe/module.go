package probe

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Module says how to probe: one entry of modules: in blackbox_exporter's
// schema.
type Module struct {
	Prober string `yaml:"prober"`
	// Timeout bounds a probe; 0 leaves that to the caller. [Prober.Run] does
	// not apply it: the deadline of its context is the only one.
	Timeout time.Duration `yaml:"timeout,omitempty"`
	HTTP    HTTP          `yaml:"http,omitempty"`
	TCP     TCP           `yaml:"tcp,omitempty"`

	ICMP ICMP `yaml:"icmp,omitempty"`
	DNS  DNS  `yaml:"dns,omitempty"`
	GRPC GRPC `yaml:"grpc,omitempty"`
	Unix Unix `yaml:"unix,omitempty"`
}

// protocol is what a prober of that name does with a module.
type protocol struct {
	// check reports mistakes under paths inside the protocol's block.
	check func(m *Module, report func(path, text string))
	// target tells why a target of an own schedule could never be probed.
	target func(m *Module, target string) error
	// use makes p probe the protocol, asking for hostname if that is not empty.
	use func(p *Prober, hostname string) error
}

// protocols lists every prober by its name in a module.
func protocols() map[string]protocol {
	return map[string]protocol{
		"http": {func(m *Module, report func(path, text string)) { m.HTTP.check(report) }, checkURL, (*Prober).useHTTP},
		"tcp":  {func(m *Module, report func(path, text string)) { m.TCP.check(report) }, checkHostPort, (*Prober).useTCP},
		"icmp": {(*Module).checkICMP, anyTarget, (*Prober).useICMP},
		"dns":  {func(m *Module, report func(path, text string)) { m.DNS.check(report) }, checkNameServer, (*Prober).useDNS},
		"grpc": {func(m *Module, report func(path, text string)) { m.GRPC.check(report) }, checkGRPC, (*Prober).useGRPC},
		"unix": {func(m *Module, report func(path, text string)) { m.Unix.check(report) }, checkSocket, (*Prober).useUnix},
	}
}

// names lists the probers for messages.
func names() string {
	all := slices.Sorted(maps.Keys(protocols()))
	return strings.Join(all[:len(all)-1], ", ") + " or " + all[len(all)-1]
}

// UnmarshalYAML sets the defaults of all blocks, so that a missing block and an
// empty one mean the same.
func (m *Module) UnmarshalYAML(unmarshal func(any) error) error {
	m.HTTP, m.TCP, m.ICMP, m.DNS, m.GRPC, m.Unix = defaultHTTP(), defaultTCP(), defaultICMP(), defaultDNS(), defaultGRPC(), defaultUnix()
	type plain Module
	return unmarshal((*plain)(m))
}

// Check reports what the types cannot say. Paths begin within the module.
func (m *Module) Check(report func(path, text string)) {
	used, known := protocols()[m.Prober]
	switch {
	case known:
		used.check(m, under(m.Prober, report))
	case m.Prober == "":
		report("prober", "missing; want "+names())
	case m.Prober == "websocket":
		report("prober", fmt.Sprintf("%q is known, not yet available; want %s", m.Prober, names()))
	default:
		report("prober", fmt.Sprintf("unknown prober %q; want %s", m.Prober, names()))
	}
	if m.Timeout < 0 {
		report("timeout", fmt.Sprintf("want a positive duration, got %s", m.Timeout))
	}
}

// Unwise reports what is no mistake and has no effect: blackbox_exporter takes
// it, so that a file with it must load. Paths begin within the module.
func (m *Module) Unwise(report func(path, text string)) {
	switch m.Prober {
	case "http":
		m.HTTP.unwise(under("http", report))
	case "tcp":
		unwiseScript(m.TCP.QueryResponse, under("tcp", report))
	case "unix":
		unwiseScript(m.Unix.QueryResponse, under("unix", report))
	}
}

// CheckTarget tells why a target of an own schedule could never be probed by the
// module, or must not be: it stands in the label instance of every result, where
// a password would be seen by all. The error does not repeat the target.
func (m *Module) CheckTarget(target string) error {
	if used, known := protocols()[m.Prober]; known {
		return used.target(m, target)
	}
	return nil // Check speaks of the prober
}

// checkURL is CheckTarget of http.
func checkURL(_ *Module, target string) error {
	u, err := targetURL(target)
	if err == nil && u.User != nil {
		err = errors.New("target: the URL holds a user, which every result would show; want it in basic_auth of the module")
	}
	return err
}

// SetDirectory makes the names of files relative to the folder dir.
func (m *Module) SetDirectory(dir string) {
	m.HTTP.setDirectory(dir)
	m.TCP.setDirectory(dir)
	m.ICMP.setDirectory(dir)
	m.DNS.setDirectory(dir)
	m.GRPC.setDirectory(dir)
	m.Unix.setDirectory(dir)
}

// anyTarget is CheckTarget of a protocol that can probe whatever is written.
func anyTarget(*Module, string) error { return nil }

// under puts the name of a block before each path; the empty path is the block.
func under(prefix string, report func(path, text string)) func(path, text string) {
	return func(path, text string) { report(strings.TrimSuffix(prefix+"."+path, "."), text) }
}

// later notes that a key of a later version stands in the file. The value false
// asks for nothing and is let through.
type later bool

// UnmarshalYAML takes a value of any form.
func (l *later) UnmarshalYAML(n *yaml.Node) error {
	*l = later(n.Kind != yaml.ScalarNode || n.Value != "false")
	return nil
}

// checkFamily refuses every IP family but the two, which would otherwise mean
// IPv4 in silence.
func checkFamily(family string, report func(path, text string)) {
	if family != "" && family != "ip4" && family != "ip6" {
		report("preferred_ip_protocol", fmt.Sprintf("want ip4 or ip6, got %q", family))
	}
}

// pattern is a regular expression that is compiled when the file is read.
type pattern struct{ *regexp.Regexp }

// UnmarshalYAML compiles the text; an expression that does not compile is a
// mistake of the file.
func (r *pattern) UnmarshalYAML(unmarshal func(any) error) error {
	var text string
	if err := unmarshal(&text); err != nil {
		return err
	}
	compiled, err := regexp.Compile(text)
	if err != nil {
		return fmt.Errorf("regular expression %q: %w", text, err)
	}
	r.Regexp = compiled
	return nil
}

// MarshalYAML writes the expression as it was read.
func (r pattern) MarshalYAML() (any, error) {
	if r.Regexp == nil {
		return nil, nil
	}
	return r.String(), nil
}
