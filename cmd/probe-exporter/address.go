package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// address is where the pages are found: under a prefix here, and under a URL for
// those outside.
type address struct {
	prefix   string // empty, or /x without a slash at its end
	external string // where / leads to when there is a prefix
}

// newAddress reads --web.external-url and --web.route-prefix. The prefix is the
// path of the URL unless it is given; / is none.
func newAddress(external, prefix string) (address, error) {
	if strings.Trim(external, `"'`) != external {
		return address{}, errors.New("--web.external-url: want it without quotes")
	}
	u, err := url.Parse(external)
	if err != nil {
		return address{}, fmt.Errorf("--web.external-url: want a URL such as https://example.org/probe-exporter: %w", bare(err))
	}
	if u.Scheme != "" && u.Scheme != "http" && u.Scheme != "https" || u.Opaque != "" {
		return address{}, errors.New("--web.external-url: want http://, https:// or a path")
	}
	if prefix == "" {
		prefix = u.Path
	}
	a := address{prefix: strings.TrimRight("/"+strings.Trim(prefix, "/"), "/")}
	a.external = a.prefix + "/"
	if external != "" {
		u.Path = strings.TrimRight(u.Path, "/") + "/"
		a.external = u.String()
	}
	return a, nil
}

// bare leaves the URL out of an error: it may hold a password.
func bare(err error) error {
	if outer := (*url.Error)(nil); errors.As(err, &outer) {
		return outer.Err
	}
	return err
}

// mount puts the pages under the prefix. Outside of it there is only /, which
// leads inside.
func (a address) mount(pages http.Handler) http.Handler {
	if a.prefix == "" {
		return pages
	}
	inside := http.StripPrefix(a.prefix, pages)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/":
			http.Redirect(w, r, a.external, http.StatusFound)
		case r.URL.Path == a.prefix:
			http.Redirect(w, r, a.prefix+"/", http.StatusFound)
		case strings.HasPrefix(r.URL.Path, a.prefix+"/"):
			inside.ServeHTTP(w, r)
		default:
			http.NotFound(w, r)
		}
	})
}
