package probe

import (
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/config"
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
	if text := a.Header.Get("Last-Modified"); text != "" {
		if modified, err := http.ParseTime(text); err == nil {
			x.add("probe_http_last_modified_timestamp_seconds", "Unix time in the header Last-Modified.", float64(modified.Unix()))
		}
	}
	switch {
	case a.TLS != nil:
		x.addTLS(*a.TLS)
	default:
		// Expiry matters most when it is the reason of the failure.
		x.addTLS(x.refused)
	}
}
