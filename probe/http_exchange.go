package probe

import (
	"compress/flate"
	"compress/gzip"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
	"unicode"

	"github.com/andybalholm/brotli"
	"github.com/prometheus/common/config"
	"golang.org/x/net/idna"
	"golang.org/x/net/publicsuffix"
)

// The phases of an HTTP probe, each summed over all redirects.
const (
	resolvePhase = iota
	connectPhase
	tlsPhase
	processingPhase
	transferPhase
)

var phaseLabels = [...][]Label{
	resolvePhase:    {{"phase", "resolve"}},
	connectPhase:    {{"phase", "connect"}},
	tlsPhase:        {{"phase", "tls"}},
	processingPhase: {{"phase", "processing"}},
	transferPhase:   {{"phase", "transfer"}},
}

// maxRedirects is how many redirects are followed.
const maxRedirects = 10

// maxMatched bounds the body that regular expressions are matched against.
const maxMatched = 32 << 20

// exchange is one HTTP probe on its way: all requests that it takes.
type exchange struct {
	*run
	*httpProber
	origin    *url.URL   // the target
	first     string     // host (and port) of the target
	addr      netip.Addr // of the target; not valid when a proxy resolves it
	resolved  bool
	built     bool   // a request was made: the phases count
	requests  int    // that were made
	asked     string // host (and port) of the last request
	phases    [len(phaseLabels)]time.Duration
	connected time.Time // of the last request: the connection stands
	answered  time.Time // of the last request: its first byte is here
	redirects int
	answer    *http.Response
	length    int64               // of the body, uncompressed
	badMatch  bool                // a regular expression failed the probe
	badValue  bool                // a condition of CEL did
	refused   tls.ConnectionState // a handshake that failed
}

// probe is the whole of an HTTP probe: resolve, ask, follow, judge, report.
func (h *httpProber) probe(r *run) error {
	x := &exchange{run: r, httpProber: h}
	defer x.report()
	u, err := targetURL(r.target)
	if err != nil {
		return &failure{Internal, err}
	}
	x.origin, x.first = u, u.Host
	if !h.leavesResolving() {
		x.resolved = true
		x.addr, x.phases[resolvePhase], err = r.resolve(u.Hostname(), h.IPProtocol, h.IPProtocolFallback)
		if err != nil {
			return err
		}
	}
	req, err := h.request(r.ctx, u)
	if err != nil {
		return &failure{Internal, err}
	}
	client := http.Client{Transport: &watched{x, x.transport()}, CheckRedirect: x.redirected, Jar: &cookies{}}
	answer, err := client.Do(req)
	if err != nil {
		return x.unanswered(err)
	}
	x.answer = answer
	defer x.answer.Body.Close()
	return x.judge()
}

// leavesResolving tells whether a proxy looks the name of the target up. As in
// blackbox_exporter the option also counts where the environment names no proxy.
func (h *httpProber) leavesResolving() bool {
	client := h.HTTPClientConfig
	return h.SkipResolvePhaseWithProxy && (client.ProxyURL.URL != nil || client.ProxyFromEnvironment)
}

// unanswered gives the reason of a request that got no answer. The URL, which
// the client puts before its errors, may hold a secret, and is left out.
func (x *exchange) unanswered(err error) error {
	if quoted := (*url.Error)(nil); errors.As(err, &quoted) {
		err = quoted.Err
	}
	if x.redirects > 0 {
		err = fmt.Errorf("redirected to %s: %w", x.asked, err)
	}
	return fail(Protocol, err)
}

// watched is the way of every request of an exchange.
type watched struct {
	x    *exchange
	next http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (w *watched) RoundTrip(req *http.Request) (*http.Response, error) {
	x := w.x
	x.requests++
	x.built, x.asked = true, req.URL.Host
	if x.explain {
		x.note("asking", "method", req.Method, "url", shown(req.URL), "host", req.Host)
	}
	answer, err := w.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if x.explain {
		x.note("answered", "status", answer.StatusCode, "version", answer.Proto, "length", answer.ContentLength,
			"headers", strings.Join(slices.Sorted(maps.Keys(answer.Header)), " "))
	}
	if to := answer.Header.Get("Location"); to != "" && answer.StatusCode/100 == 3 {
		// The client would quote it, whatever secret it holds.
		if _, err := req.URL.Parse(to); err != nil {
			answer.Body.Close()
			return nil, &failure{Protocol, fmt.Errorf("status is %d, and the header Location is no URL", answer.StatusCode)}
		}
	}
	return answer, nil
}

// shown is a URL for people: without user, without the values of its query,
// which may be secret, and without its fragment, which is not sent.
func shown(u *url.URL) string {
	bare := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}
	for part := range strings.SplitSeq(u.RawQuery, "&") {
		name, _, valued := strings.Cut(part, "=")
		switch {
		case valued:
			part = name + "=..."
		case part != "" && strings.Count(u.RawQuery, "&") == 0:
			part = "..."
		}
		bare.RawQuery = strings.TrimPrefix(bare.RawQuery+"&"+part, "&")
	}
	return bare.String()
}

// schemeForm is a scheme of a URL (RFC 3986, section 3.1), upper case too: a
// target of such a scheme would be taken for a host of that name.
var schemeForm = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9+.-]*$`)

// targetURL reads an http target; one without a scheme is http. The error does
// not repeat the target, which may hold a password.
func targetURL(target string) (*url.URL, error) {
	if scheme, _, found := strings.Cut(target, "://"); found && schemeForm.MatchString(scheme) && scheme != "http" && scheme != "https" {
		return nil, fmt.Errorf("target: scheme is %q; want http or https", scheme)
	}
	if !strings.HasPrefix(target, "http://") && !strings.HasPrefix(target, "https://") {
		target = "http://" + target
	}
	u, err := url.Parse(target)
	if err != nil { // which may quote a part of it
		return nil, errors.New("target: it is no URL; want http://host:port/path")
	}
	if u.Hostname() == "" {
		return nil, errors.New("target: the URL has no host")
	}
	if u.Port() != "" {
		if _, err := portNumber(u.Port()); err != nil {
			return nil, err
		}
	}
	name, err := ascii(u.Hostname())
	if err != nil {
		return nil, errors.New("target: the host is no name that can be looked up (IDNA)")
	}
	if name != u.Hostname() {
		u.Host = name + strings.TrimPrefix(u.Host, u.Hostname())
	}
	return u, nil
}

// ascii writes a host as it is looked up and certified: letters of all
// languages in their ASCII form (RFC 5891), all else as it is.
func ascii(host string) (string, error) {
	if !strings.ContainsFunc(host, func(c rune) bool { return c > unicode.MaxASCII }) {
		return host, nil
	}
	return idna.Lookup.ToASCII(host)
}

// maxBodyFile bounds what is sent of a body_file, in bytes.
const maxBodyFile = 32 << 20

// bodyFile reads the body_file anew for each probe. It does not wait for one who
// writes into a pipe of that name.
func bodyFile(name string) (string, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s is no regular file", name)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxBodyFile+1))
	if err == nil && len(text) > maxBodyFile {
		err = fmt.Errorf("%s is larger than %d bytes", name, maxBodyFile)
	}
	return string(text), err
}

// request builds the first request.
func (h *httpProber) request(ctx context.Context, u *url.URL) (*http.Request, error) {
	text := h.Body
	if h.BodyFile != "" {
		var err error
		if text, err = bodyFile(h.BodyFile); err != nil {
			return nil, fmt.Errorf("body_file: %w", err)
		}
	}
	var body io.Reader
	if text != "" {
		body = strings.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, h.Method, u.String(), body)
	if err != nil {
		return nil, errors.New("building the request: its method or its URL cannot be sent") // the error quotes the URL
	}
	req.Header = h.header
	if h.host != "" {
		req.Host = h.host
	}
	return req, nil
}

// transport is the exchange itself unless a proxy or OAuth asks for more than a
// plain connection.
func (x *exchange) transport() http.RoundTripper {
	client := x.HTTPClientConfig
	switch {
	case client.ProxyURL.URL != nil || client.ProxyFromEnvironment || client.OAuth2 != nil:
		return &relayed{x: x}
	case client.Authorization != nil || client.BasicAuth != nil || client.HTTPHeaders != nil:
		return (*authorized)(x)
	}
	return x
}

// authorized is an exchange that sends credentials.
type authorized exchange

// RoundTrip implements http.RoundTripper.
func (a *authorized) RoundTrip(req *http.Request) (*http.Response, error) {
	x := (*exchange)(a)
	rt, err := authorize(x.settings(req.URL), x)
	if err != nil {
		return nil, &failure{Internal, err}
	}
	// The transports of prometheus/common set headers on the map of the request
	// that they are given, and that of the first one is shared by all probes.
	own := *req
	own.Header = req.Header.Clone()
	return rt.RoundTrip(&own)
}

// settings are those of the client for a request: another host gets no secrets,
// and none goes in clear that the target would get over TLS.
func (x *exchange) settings(u *url.URL) config.HTTPClientConfig {
	c := x.HTTPClientConfig
	if x.away(u) {
		c = withoutSecrets(c)
	}
	if x.bared(u) {
		c.BasicAuth, c.Authorization, c.OAuth2 = nil, nil, nil
	}
	return c
}

// away tells whether a request leads to another host than that of the target, or
// to the same one but without the TLS that the target asks for.
func (x *exchange) away(u *url.URL) bool {
	return !strings.EqualFold(u.Hostname(), x.origin.Hostname()) || x.bared(u)
}

// bared tells whether a request goes in clear although the target asks for TLS.
func (x *exchange) bared(u *url.URL) bool { return x.origin.Scheme == "https" && u.Scheme != "https" }

// redirected counts a redirect and says whether it is followed.
func (x *exchange) redirected(to *http.Request, via []*http.Request) error {
	x.redirects = len(via)
	followed := x.HTTPClientConfig.FollowRedirects && x.redirects <= maxRedirects
	if x.explain {
		x.note("redirected", "url", shown(to.URL), "followed", followed)
	}
	if !followed {
		return http.ErrUseLastResponse
	}
	return nil
}

// judge holds the answer against the module. The first fault is the reason; the
// body is read whatever it is, for its length and the time that it takes.
func (x *exchange) judge() error {
	verdict := x.fault(nil, x.judgeStatus())
	if verdict == nil {
		verdict = x.fault(nil, x.judgeHeaders())
	}
	err := x.judgeBody(verdict == nil)
	x.phases[transferPhase] += time.Since(x.answered)
	if x.explain {
		x.note("read the body", "length", x.length)
	}
	verdict = x.fault(verdict, err)
	if versions := x.ValidHTTPVersions; len(versions) > 0 && !slices.Contains(versions, x.answer.Proto) {
		verdict = x.fault(verdict, &failure{Protocol, fmt.Errorf("version is %s, want one of %s", x.answer.Proto, strings.Join(versions, ", "))})
	}
	switch {
	case x.answer.TLS != nil && x.FailIfSSL:
		verdict = x.fault(verdict, &failure{TLS, errors.New("the last request went over TLS (fail_if_ssl)")})
	case x.answer.TLS == nil && x.FailIfNotSSL:
		verdict = x.fault(verdict, &failure{TLS, errors.New("the last request did not go over TLS (fail_if_not_ssl)")})
	}
	return verdict
}

// fault notes what a check found, and keeps the reason that came first.
func (x *exchange) fault(earlier, found error) error {
	if x.explain && found != nil {
		x.note("not as wanted", "why", found.Error())
	}
	if earlier != nil {
		return earlier
	}
	return found
}

// judgeStatus wants one of the valid codes, or any 2xx when none are named.
func (x *exchange) judgeStatus() error {
	code, valid := x.answer.StatusCode, x.ValidStatusCodes
	switch {
	case len(valid) == 0 && (code < 200 || code > 299):
		return &failure{Status, fmt.Errorf("status is %d, want 2xx", code)}
	case len(valid) > 0 && !slices.Contains(valid, code):
		return &failure{Status, fmt.Errorf("status is %d, want one of %d", code, valid)}
	}
	return nil
}

// judgeHeaders goes through the rules in the order of the file.
func (x *exchange) judgeHeaders() error {
	for _, rule := range x.FailIfHeaderMatches {
		if err := rule.judge(x.answer.Header, true); err != nil {
			x.badMatch = true
			return &failure{Content, err}
		}
	}
	for _, rule := range x.FailIfHeaderNotMatches {
		if err := rule.judge(x.answer.Header, false); err != nil {
			x.badMatch = true
			return &failure{Content, err}
		}
	}
	return nil
}

// judge gives an error when the header is missing without leave, or when a value
// matches although it must not (bad), or none matches.
func (m headerMatch) judge(header http.Header, bad bool) error {
	values := header.Values(m.Header)
	if len(values) == 0 {
		if m.AllowMissing {
			return nil
		}
		return fmt.Errorf("header %s is missing", m.Header)
	}
	switch matched := slices.ContainsFunc(values, m.Regexp.MatchString); {
	case matched && bad:
		return fmt.Errorf("header %s matches %q", m.Header, m.Regexp)
	case !matched && !bad:
		return fmt.Errorf("header %s does not match %q", m.Header, m.Regexp)
	}
	return nil
}

// judgeBody reads the body to its end and, if the answer is valid so far, holds
// it against the regular expressions and the conditions.
func (x *exchange) judgeBody(valid bool) error {
	raw := &counter{ctx: x.ctx, reader: x.answer.Body}
	body, err := decompress(raw, x.Compression)
	if err != nil {
		return x.unreadable(err, raw.ended)
	}
	// The limit is on what comes out of the decompression: a few bytes of gzip
	// can stand for gigabytes.
	limited := &counter{ctx: x.ctx, reader: body, limit: int64(x.BodySizeLimit)}
	match := valid && (x.patterns() || x.conditions())
	var text []byte
	if match {
		// As in blackbox_exporter, a body that does not come counts as one that
		// does not match.
		x.badMatch, x.badValue = x.patterns(), !x.patterns()
		limited.limit = x.textLimit()
		text, err = io.ReadAll(limited)
	} else {
		err = x.discard(limited)
	}
	x.length = limited.count
	if err != nil {
		return x.unreadable(err, raw.ended)
	}
	if match {
		return x.judgeText(text)
	}
	return nil
}

// patterns tells whether the body is held against regular expressions.
func (h *httpProber) patterns() bool {
	return len(h.FailIfBodyMatchesRegexp)+len(h.FailIfBodyNotMatchesRegexp) > 0
}

// conditions tells whether the body is held against conditions of CEL.
func (h *httpProber) conditions() bool {
	return h.FailIfBodyJSONMatchesCEL != nil || h.FailIfBodyJSONNotMatchesCEL != nil
}

// textLimit bounds the body that is kept whole.
func (h *httpProber) textLimit() int64 {
	limit := int64(h.BodySizeLimit)
	switch {
	case limit == 0 && h.conditions():
		return maxJSON
	case limit == 0 || limit > maxMatched:
		return maxMatched
	}
	return limit
}

// unreadable gives the reason of a body that could not be read. One that came
// whole and yet does not unpack is content.
func (x *exchange) unreadable(err error, whole bool) error {
	if x.Compression == "" {
		return fail(Protocol, fmt.Errorf("reading the body: %w", err))
	}
	err = fmt.Errorf("decompressing the body as %s: %w", x.Compression, err)
	if whole && (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)) {
		return &failure{Content, err}
	}
	return fail(Content, err)
}

// judgeText holds the whole body against the regular expressions, and then
// against the conditions.
func (x *exchange) judgeText(text []byte) error {
	if x.patterns() {
		if err := inTime(x.ctx, len(text), func() error { return x.matchText(text) }); err != nil {
			return err
		}
		x.badMatch = false
	}
	if x.conditions() {
		x.badValue = true
		err := inTime(x.ctx, len(text), func() error {
			return judgeJSON(x.ctx, text, x.FailIfBodyJSONMatchesCEL, x.FailIfBodyJSONNotMatchesCEL)
		})
		if err != nil {
			return err
		}
		x.badValue = false
	}
	return nil
}

// matchText holds the body against the regular expressions. Any that must not
// match is enough to fail, and so is any that must and does not.
func (h *httpProber) matchText(text []byte) error {
	for _, expression := range h.FailIfBodyMatchesRegexp {
		if expression.Match(text) {
			return &failure{Content, fmt.Errorf("body matches %q", expression)}
		}
	}
	for _, expression := range h.FailIfBodyNotMatchesRegexp {
		if !expression.Match(text) {
			return &failure{Content, fmt.Errorf("body does not match %q", expression)}
		}
	}
	return nil
}

// quick is a body, in bytes, that any expression is held against in some
// milliseconds.
const quick = 64 << 10

// inTime gives what judge finds, or the end of ctx when that comes first: a
// regular expression on a large body cannot be interrupted. It then goes on
// alone to its end, so judge must change nothing.
func inTime(ctx context.Context, size int, judge func() error) error {
	if size <= quick {
		return judge()
	}
	found := make(chan error, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				found <- &failure{Internal, fmt.Errorf("panic while judging the body: %v", p)}
			}
		}()
		found <- judge()
	}()
	select {
	case err := <-found:
		return err
	case <-ctx.Done():
		return fail(Timeout, fmt.Errorf("judging a body of %d bytes: %w", size, context.Cause(ctx)))
	}
}

// discard reads to the end with a buffer that is used again.
func (x *exchange) discard(body io.Reader) error {
	w := x.wires.Get().(*wire)
	defer x.wires.Put(w)
	for {
		switch _, err := body.Read(w.scratch); {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
	}
}

// decompress takes the module at its word: a body that is not compressed so is
// a failure, whatever its header says.
func decompress(body io.Reader, coding string) (io.Reader, error) {
	switch coding {
	case "br":
		return brotli.NewReader(body), nil
	case "gzip":
		return gzip.NewReader(body)
	case "deflate":
		return flate.NewReader(body), nil
	}
	return body, nil
}

// counter counts bytes and fails beyond limit, when there is one, or beyond the
// end of ctx: what is received and not yet unpacked may be gigabytes.
type counter struct {
	ctx          context.Context
	reader       io.Reader
	count, limit int64
	ended        bool // with io.EOF, not by an error
}

// Read implements io.Reader. A body of exactly the limit is within it.
func (c *counter) Read(p []byte) (int, error) {
	if c.ctx.Err() != nil {
		return 0, context.Cause(c.ctx)
	}
	n, err := c.reader.Read(p)
	c.count += int64(n)
	c.ended = c.ended || err == io.EOF
	if c.limit > 0 && c.count > c.limit {
		n -= int(c.count - c.limit)
		c.count = c.limit
		return n, &failure{Size, fmt.Errorf("body is larger than %d bytes", c.limit)}
	}
	return n, err
}

// cookies is a jar that is made at the first cookie: most probes get none.
type cookies struct{ jar http.CookieJar }

// SetCookies implements http.CookieJar.
func (c *cookies) SetCookies(u *url.URL, list []*http.Cookie) {
	if c.jar == nil {
		// It never fails; the jar lives for one probe only.
		c.jar, _ = cookiejar.New(&cookiejar.Options{PublicSuffixList: publicsuffix.List})
	}
	c.jar.SetCookies(u, list)
}

// Cookies implements http.CookieJar.
func (c *cookies) Cookies(u *url.URL) []*http.Cookie {
	if c.jar == nil {
		return nil
	}
	return c.jar.Cookies(u)
}

// report keeps the series of the probe, also of one that failed early.
func (x *exchange) report() {
	for phase, took := range x.phases {
		// The target was resolved here, or another host after a redirect may have.
		if phase == resolvePhase && (x.resolved || x.requests > 1) || phase != resolvePhase && x.built {
			x.add("probe_http_duration_seconds", "Seconds in each phase, summed over all redirects.", took.Seconds(), phaseLabels[phase]...)
		}
	}
	a, overTLS := x.answer, 0.0
	if a == nil {
		a = &http.Response{}
	}
	if a.TLS != nil {
		overTLS = 1
	}
	flag := map[bool]float64{true: 1}
	x.add("probe_http_content_length", "Length of the answer as its header says; -1 when it does not.", float64(a.ContentLength))
	x.add("probe_http_uncompressed_body_length", "Length of the body after decompression, in bytes.", float64(x.length))
	x.add("probe_http_redirects", "Number of redirects.", float64(x.redirects))
	x.add("probe_http_ssl", "1 when the last request went over TLS.", overTLS)
	x.add("probe_http_status_code", "Status of the answer; 0 without one.", float64(a.StatusCode))
	x.add("probe_http_version", "HTTP version of the answer; 0 without one.", float64(a.ProtoMajor)+float64(a.ProtoMinor)/10)
	x.add("probe_failed_due_to_regex", "1 when a regular expression made the probe fail.", flag[x.badMatch])
	if x.conditions() {
		x.add("probe_failed_due_to_cel", "1 when a condition on the JSON body made the probe fail.", flag[x.badValue])
	}
	if modified, err := http.ParseTime(a.Header.Get("Last-Modified")); err == nil {
		x.add("probe_http_last_modified_timestamp_seconds", "Unix time in the header Last-Modified.", float64(modified.Unix()))
	}
	switch {
	case a.TLS != nil:
		x.addTLS(*a.TLS)
	default:
		// Expiry matters most when it is the reason of the failure.
		x.addTLS(x.refused)
	}
}
