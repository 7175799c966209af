package probe

import (
	"fmt"
	"maps"
	"net/http"
	"net/textproto"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/prometheus/common/config"
	"github.com/prometheus/common/version"
	"golang.org/x/net/http/httpguts"
)

// HTTP is the http block of a module.
type HTTP struct {
	ValidStatusCodes            []int             `yaml:"valid_status_codes,omitempty"` // empty: 2xx
	ValidHTTPVersions           []string          `yaml:"valid_http_versions,omitempty"`
	IPProtocol                  string            `yaml:"preferred_ip_protocol,omitempty"` // empty: ip6
	IPProtocolFallback          bool              `yaml:"ip_protocol_fallback"`
	SkipResolvePhaseWithProxy   bool              `yaml:"skip_resolve_phase_with_proxy,omitempty"`
	NoFollowRedirects           *bool             `yaml:"no_follow_redirects,omitempty"` // older name of follow_redirects
	FailIfSSL                   bool              `yaml:"fail_if_ssl,omitempty"`
	FailIfNotSSL                bool              `yaml:"fail_if_not_ssl,omitempty"`
	Method                      string            `yaml:"method,omitempty"` // empty: GET
	Headers                     map[string]string `yaml:"headers,omitempty"`
	FailIfBodyMatchesRegexp     []pattern         `yaml:"fail_if_body_matches_regexp,omitempty"`
	FailIfBodyNotMatchesRegexp  []pattern         `yaml:"fail_if_body_not_matches_regexp,omitempty"`
	FailIfHeaderMatches         []headerMatch     `yaml:"fail_if_header_matches,omitempty"`
	FailIfHeaderNotMatches      []headerMatch     `yaml:"fail_if_header_not_matches,omitempty"`
	Body                        string            `yaml:"body,omitempty"`
	BodyFile                    string            `yaml:"body_file,omitempty"`
	Compression                 string            `yaml:"compression,omitempty"`     // of the answer
	BodySizeLimit               amount            `yaml:"body_size_limit,omitempty"` // uncompressed; 0: none
	EnableHTTP3                 later             `yaml:"enable_http3,omitempty"`
	FailIfBodyJSONMatchesCEL    *condition        `yaml:"fail_if_body_json_matches_cel,omitempty"`
	FailIfBodyJSONNotMatchesCEL *condition        `yaml:"fail_if_body_json_not_matches_cel,omitempty"`

	HTTPClientConfig config.HTTPClientConfig `yaml:",inline"`
}

// headerMatch is a rule about one header of the answer.
type headerMatch struct {
	Header       string  `yaml:"header"`
	Regexp       pattern `yaml:"regexp"`
	AllowMissing bool    `yaml:"allow_missing,omitempty"`
}

// defaultHTTP is the block that blackbox_exporter takes where none is written.
func defaultHTTP() HTTP {
	return HTTP{IPProtocolFallback: true, HTTPClientConfig: config.DefaultHTTPClientConfig}
}

// UnmarshalYAML sets the defaults and asks the client's part for its own rules,
// which inlining would leave out.
func (h *HTTP) UnmarshalYAML(unmarshal func(any) error) error {
	*h = defaultHTTP()
	type plain HTTP
	if err := unmarshal((*plain)(h)); err != nil {
		return err
	}
	if h.NoFollowRedirects != nil {
		h.HTTPClientConfig.FollowRedirects = !*h.NoFollowRedirects
	}
	h.Compression = strings.ToLower(h.Compression)
	for i, version := range h.ValidHTTPVersions {
		if version == "HTTP/2" { // as in the example of blackbox_exporter, where no answer is of it
			h.ValidHTTPVersions[i] = "HTTP/2.0"
		}
	}
	return h.HTTPClientConfig.Validate()
}

// MarshalYAML writes the block with the values of all headers masked that may
// carry a secret: all but the few that never do. What OAuth sends is masked, too.
func (h HTTP) MarshalYAML() (any, error) {
	h.Headers = maps.Clone(h.Headers)
	for name := range h.Headers {
		switch textproto.CanonicalMIMEHeaderKey(name) {
		case "Host", "Accept", "Accept-Encoding", "Accept-Language", "Content-Type", "User-Agent":
		default:
			h.Headers[name] = "<secret>"
		}
	}
	if o := h.HTTPClientConfig.OAuth2; o != nil {
		masked := *o
		masked.EndpointParams = maps.Clone(o.EndpointParams) // which may be a password
		for name := range masked.EndpointParams {
			masked.EndpointParams[name] = "<secret>"
		}
		if u, err := url.Parse(o.TokenURL); err == nil && u.User != nil {
			masked.TokenURL = u.Redacted()
		}
		h.HTTPClientConfig.OAuth2 = &masked
	}
	type plain HTTP
	return plain(h), nil
}

// setDirectory makes the names of files relative to the folder dir.
func (h *HTTP) setDirectory(dir string) {
	h.BodyFile = config.JoinDir(dir, h.BodyFile)
	h.HTTPClientConfig.SetDirectory(dir)
	if o := h.HTTPClientConfig.OAuth2; o != nil { // whose key the library forgets
		o.ClientCertificateKeyFile = config.JoinDir(dir, o.ClientCertificateKeyFile)
	}
}

// check reports under paths inside the block.
func (h *HTTP) check(report func(path, text string)) {
	checkFamily(h.IPProtocol, report)
	if h.Body != "" && h.BodyFile != "" {
		report("body_file", "body is given too; want one of the two")
	}
	if h.Method != "" && !token(h.Method) {
		report("method", fmt.Sprintf("%q is no HTTP method", h.Method))
	}
	checkHeaders(h.Headers, under("headers", report))
	h.checkCompression(report)
	checkMatches("fail_if_header_matches", h.FailIfHeaderMatches, report)
	checkMatches("fail_if_header_not_matches", h.FailIfHeaderNotMatches, report)
	h.checkClient(report)
	h.checkVersions(report)
	if h.EnableHTTP3 {
		report("enable_http3", "HTTP/3 is known, not yet available; want false, which probes over HTTP/2 or HTTP/1.1")
	}
}

// checkClient reports what no request could be made with.
func (h *HTTP) checkClient(report func(path, text string)) {
	client := h.HTTPClientConfig
	if _, err := authorize(client, nil); err != nil {
		report("authorization", err.Error())
	}
	checkTLS(client.TLSConfig, under("tls_config", report))
	if o := client.OAuth2; o != nil {
		for key, ref := range map[string]string{"client_secret_ref": o.ClientSecretRef, "client_certificate_key_ref": o.ClientCertificateKeyRef} {
			if ref != "" {
				report("oauth2."+key, noManager(ref).Error())
			}
		}
		checkTLS(o.TLSConfig, under("oauth2.tls_config", report))
	}
	if client.HTTPHeaders == nil {
		return
	}
	for name, header := range client.HTTPHeaders.Headers {
		for _, value := range header.Values {
			checkHeaders(map[string]string{name: value}, under("http_headers", report))
		}
		for _, value := range header.Secrets {
			checkHeaders(map[string]string{name: string(value)}, under("http_headers", report))
		}
		if len(header.Files) > 0 {
			checkHeaders(map[string]string{name: ""}, under("http_headers", report))
		}
	}
}

// checkVersions wants at least one version that an answer can have: without one
// every probe would fail.
func (h *HTTP) checkVersions(report func(path, text string)) {
	if len(h.ValidHTTPVersions) > 0 && !slices.ContainsFunc(h.ValidHTTPVersions, possible) {
		report("valid_http_versions", fmt.Sprintf("want HTTP/1.0, HTTP/1.1 or HTTP/2.0, got %q; HTTP/3 is known, not yet available", h.ValidHTTPVersions))
	}
	if strings.Join(h.ValidHTTPVersions, "") == "HTTP/2.0" && !h.HTTPClientConfig.EnableHTTP2 {
		report("valid_http_versions", "HTTP/2.0 alone is valid, and enable_http2 is false")
	}
}

// possible tells whether an answer can have that version.
func possible(version string) bool {
	return slices.Contains([]string{"HTTP/1.0", "HTTP/1.1", "HTTP/2.0"}, version)
}

// unwise reports versions that no answer can have beside one that some can.
func (h *HTTP) unwise(report func(path, text string)) {
	for i, version := range h.ValidHTTPVersions {
		if !possible(version) {
			report(fmt.Sprintf("valid_http_versions[%d]", i), fmt.Sprintf("no answer has the version %q; want HTTP/1.0, HTTP/1.1 or HTTP/2.0", version))
		}
	}
}

// token tells whether a text can be written as a method or as the name of a
// header (RFC 9110, section 5.6.2): the library knows.
func token(text string) bool {
	_, err := http.NewRequest(text, "http://host/", nil)
	return err == nil && text != ""
}

// checkHeaders wants headers that can be written: the library leaves out others
// in silence over HTTP/1. The message holds no value, which may be a secret.
func checkHeaders(headers map[string]string, report func(path, text string)) {
	for name, value := range headers {
		control := strings.ContainsFunc(value, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7F })
		switch {
		case !token(name):
			report(name, fmt.Sprintf("%q is no name of a header", name))
		case control:
			report(name, "the value holds a line end or another control character")
		case textproto.CanonicalMIMEHeaderKey(name) == "Host" && !sendable(value):
			report(name, "the value is no host")
		}
	}
}

// sendable tells whether a host can stand in a request. The library finds that
// out when the connection stands.
func sendable(host string) bool {
	ascii, err := httpguts.PunycodeHostPort(host)
	return err == nil && httpguts.ValidHostHeader(ascii) && !strings.ContainsAny(ascii, " /")
}

// checkMatches wants both halves of each rule: a rule without an expression
// would match everything.
func checkMatches(key string, matches []headerMatch, report func(path, text string)) {
	for i, match := range matches {
		if match.Header == "" {
			report(fmt.Sprintf("%s[%d].header", key, i), "missing")
		}
		if match.Regexp.Regexp == nil || match.Regexp.String() == "" {
			report(fmt.Sprintf("%s[%d].regexp", key, i), "missing")
		}
	}
}

// checkCompression wants the compression to be one that the request accepts.
func (h *HTTP) checkCompression(report func(path, text string)) {
	switch h.Compression {
	case "", "br", "gzip", "deflate", "identity":
	default:
		report("compression", fmt.Sprintf("want br, deflate, gzip or identity, got %q", h.Compression))
	}
	for _, name := range slices.Sorted(maps.Keys(h.Headers)) {
		if textproto.CanonicalMIMEHeaderKey(name) == "Accept-Encoding" && !accepts(h.Headers[name], h.Compression) {
			report("compression", fmt.Sprintf("%s is not accepted by the header %s: %s", h.Compression, name, h.Headers[name]))
		}
	}
}

// accepts tells whether a value of Accept-Encoding lets coding through
// (RFC 9110, section 12.5.3).
func accepts(header, coding string) bool {
	if coding == "" || strings.TrimSpace(header) == "" {
		return true
	}
	// identity needs no mention, but may be refused.
	any := coding == "identity"
	for item := range strings.SplitSeq(header, ",") {
		name, weight, _ := strings.Cut(item, ";")
		name = strings.ToLower(strings.TrimSpace(name))
		_, q, weighed := strings.Cut(weight, "=")
		value, err := strconv.ParseFloat(strings.TrimSpace(q), 64)
		refused := weighed && (err != nil || value == 0)
		switch name {
		case coding:
			return !refused
		case "*":
			any = !refused
		}
	}
	return any
}

// amount is an amount of data, written as 512, 64KB or 1.5MiB. As in
// blackbox_exporter KB and KiB are both 1024 bytes.
type amount int64

var bytesForm = regexp.MustCompile(`^([0-9]{1,15}(?:\.[0-9]{1,9})?)(?:([KMGT]?)i?B)?$`)

// UnmarshalYAML reads the amount.
func (b *amount) UnmarshalYAML(unmarshal func(any) error) error {
	var text string
	if err := unmarshal(&text); err != nil {
		return err
	}
	form := bytesForm.FindStringSubmatch(text)
	if form == nil {
		return fmt.Errorf("want an amount of data such as 512B, 64KB or 10MB, got %q", text)
	}
	number, err := strconv.ParseFloat(form[1], 64)
	if err != nil {
		return fmt.Errorf("reading the amount of data %q: %w", text, err)
	}
	// The place of the prefix is the power of 1024; none, "", is place 0.
	for range strings.Index(" KMGT", form[2]) {
		number *= 1024
	}
	if form[2] == "" && strings.Contains(form[1], ".") || number > 1<<60 {
		return fmt.Errorf("want a whole number of bytes below 1EiB, got %q", text)
	}
	*b = amount(number)
	return nil
}

// httpProber is an http block made ready.
type httpProber struct {
	HTTP
	host   string // Host header, when not that of the target
	header http.Header
	tls    *tlsSource
	wires  *sync.Pool // of *wire
	judges judges
}

// useHTTP makes p probe http, with the Host hostname when that is not empty.
func (p *Prober) useHTTP(hostname string) error {
	h := &httpProber{
		HTTP:   p.module.HTTP,
		host:   hostname,
		header: http.Header{"User-Agent": {userAgent()}},
		tls:    &tlsSource{settings: p.module.HTTP.HTTPClientConfig.TLSConfig},
		wires:  p.wires,
		judges: p.judges,
	}
	if h.Compression != "" {
		h.header.Set("Accept-Encoding", h.Compression)
	}
	if !sendable(hostname) {
		return fmt.Errorf("hostname %q is no host", hostname)
	}
	for _, name := range slices.Sorted(maps.Keys(h.Headers)) { // of two that differ in case the last counts
		value := h.Headers[name]
		if textproto.CanonicalMIMEHeaderKey(name) != "Host" {
			h.header.Set(name, value)
			continue
		}
		if hostname != "" && hostname != value {
			return fmt.Errorf("hostname %q contradicts the header Host: %s of the module", hostname, value)
		}
		h.host = value
	}
	p.probe = h.probe
	return nil
}

// userAgent tells sites who asks. Rules of theirs that let blackbox_exporter in
// by a part of its name go on to hold; the header User-Agent of a module goes
// before it.
func userAgent() string {
	return strings.TrimSuffix("Probe-Exporter/"+version.Version, "/") + " (like Blackbox-Exporter)"
}

// withoutSecrets is what another host than the target may see: http_headers
// without their secrets and files. The library leaves out the credentials of
// basic_auth and authorization itself.
func withoutSecrets(c config.HTTPClientConfig) config.HTTPClientConfig {
	if c.HTTPHeaders == nil {
		return c
	}
	open := map[string]config.Header{}
	for name, header := range c.HTTPHeaders.Headers {
		open[name] = config.Header{Values: header.Values}
	}
	c.HTTPHeaders = &config.Headers{Headers: open}
	return c
}

// authorize puts the headers that the client settings ask for around rt.
func authorize(c config.HTTPClientConfig, rt http.RoundTripper) (http.RoundTripper, error) {
	if a := c.Authorization; a != nil {
		credentials, err := secret(string(a.Credentials), a.CredentialsFile, a.CredentialsRef)
		if err != nil {
			return nil, err
		}
		rt = config.NewAuthorizationCredentialsRoundTripper(a.Type, credentials, rt)
	}
	if b := c.BasicAuth; b != nil {
		name, err := secret(b.Username, b.UsernameFile, b.UsernameRef)
		if err != nil {
			return nil, err
		}
		password, err := secret(string(b.Password), b.PasswordFile, b.PasswordRef)
		if err != nil {
			return nil, err
		}
		rt = config.NewBasicAuthRoundTripper(name, password, rt)
	}
	if c.HTTPHeaders != nil {
		rt = config.NewHeadersRoundTripper(c.HTTPHeaders, rt)
	}
	return rt, nil
}

// noManager says that a secret is named which only a secret manager could give.
func noManager(ref string) error {
	return fmt.Errorf("secret %q: there is no secret manager; name a file", ref)
}

// secret reads a credential at each request, so that a changed file counts.
func secret(text, file, ref string) (config.SecretReader, error) {
	switch {
	case ref != "":
		return nil, noManager(ref)
	case file != "":
		return config.NewFileSecret(file), nil
	case text != "":
		return config.NewInlineSecret(text), nil
	}
	return nil, nil
}
