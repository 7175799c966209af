package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"unicode"

	"golang.org/x/net/idna"
)

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

// request builds the first request.
func (h *httpProber) request(ctx context.Context, u *url.URL) (*http.Request, error) {
	text := h.Body
	if h.BodyFile != "" {
		content, err := readFile(h.BodyFile)
		if err != nil {
			return nil, fmt.Errorf("body_file: %w", err)
		}
		text = string(content)
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
