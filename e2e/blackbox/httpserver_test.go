package blackbox_test

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"crypto/tls"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"

	"github.com/andybalholm/brotli"
)

// body is what most pages hold.
const body = "<html>the quick brown fox</html>\n"

// packed is a body in a coding.
func packed(coding, text string) []byte {
	var b bytes.Buffer
	var w io.WriteCloser
	switch coding {
	case "gzip":
		w = gzip.NewWriter(&b)
	case "deflate":
		w, _ = flate.NewWriter(&b, flate.DefaultCompression)
	case "br":
		w = brotli.NewWriter(&b)
	default:
		return []byte(text)
	}
	io.WriteString(w, text)
	w.Close()
	return b.Bytes()
}

// pages are the answers of the HTTP servers that behave.
func (w *world) pages() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/ok", func(out http.ResponseWriter, _ *http.Request) { io.WriteString(out, body) })
	mux.HandleFunc("/status/{code}", func(out http.ResponseWriter, r *http.Request) {
		code, _ := strconv.Atoi(r.PathValue("code"))
		out.WriteHeader(code)
		if code >= 200 && code != 204 && code != 304 {
			io.WriteString(out, body)
		}
	})
	mux.HandleFunc("/empty", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/big", func(out http.ResponseWriter, _ *http.Request) {
		out.Header().Set("Content-Length", strconv.Itoa(5<<20))
		out.Write(bytes.Repeat([]byte("0123456789abcdef"), 5<<16))
	})
	mux.HandleFunc("/chunked", func(out http.ResponseWriter, _ *http.Request) {
		for range 3 {
			io.WriteString(out, body)
			out.(http.Flusher).Flush()
		}
	})
	mux.HandleFunc("/packed/{coding}", func(out http.ResponseWriter, r *http.Request) {
		coding := r.PathValue("coding")
		out.Header().Set("Content-Encoding", coding)
		out.Write(packed(coding, strings.Repeat(body, 100)))
	})
	mux.HandleFunc("/packed/{coding}/cut", func(out http.ResponseWriter, r *http.Request) {
		all := packed(r.PathValue("coding"), strings.Repeat(body, 100))
		out.Write(all[:len(all)/2])
	})
	mux.HandleFunc("/packed/{coding}/wished", func(out http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.Header.Get("Accept-Encoding"), r.PathValue("coding")) {
			out.Write(packed(r.PathValue("coding"), body))
			return
		}
		io.WriteString(out, body)
	})
	mux.HandleFunc("/json", func(out http.ResponseWriter, r *http.Request) { io.WriteString(out, r.URL.Query().Get("is")) })
	mux.HandleFunc("/header", func(out http.ResponseWriter, r *http.Request) {
		for name, values := range r.URL.Query() {
			for _, value := range values {
				out.Header().Add(name, value)
			}
		}
		io.WriteString(out, body)
	})
	mux.HandleFunc("/hints", func(out http.ResponseWriter, _ *http.Request) {
		out.Header().Set("Link", "</style.css>; rel=preload")
		out.WriteHeader(http.StatusEarlyHints)
		out.WriteHeader(http.StatusOK)
		io.WriteString(out, body)
	})
	w.redirects(mux)
	w.checks(mux)
	w.hangs(mux)
	return mux
}

// redirects lead elsewhere.
func (w *world) redirects(mux *http.ServeMux) {
	mux.HandleFunc("/to", func(out http.ResponseWriter, r *http.Request) {
		code, err := strconv.Atoi(r.URL.Query().Get("code"))
		if err != nil {
			code = http.StatusFound
		}
		if r.URL.Query().Has("url") {
			out.Header().Set("Location", r.URL.Query().Get("url"))
		}
		out.WriteHeader(code)
		io.WriteString(out, body)
	})
	mux.HandleFunc("/times/{n}", func(out http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.PathValue("n"))
		if n == 0 {
			io.WriteString(out, body)
			return
		}
		http.Redirect(out, r, fmt.Sprint("/times/", n-1), http.StatusFound)
	})
	mux.HandleFunc("/bake", func(out http.ResponseWriter, r *http.Request) {
		http.SetCookie(out, &http.Cookie{Name: "taste", Value: "sweet", Path: "/"})
		http.Redirect(out, r, "/eat", http.StatusSeeOther)
	})
	mux.HandleFunc("/eat", func(out http.ResponseWriter, r *http.Request) {
		c, err := r.Cookie("taste")
		pass(out, err == nil && c.Value == "sweet")
	})
}

// pass is 200 or 403.
func pass(out http.ResponseWriter, ok bool) {
	if !ok {
		out.WriteHeader(http.StatusForbidden)
	}
	io.WriteString(out, body)
}

// checks answer 200 to the request that they want, and else 403.
func (w *world) checks(mux *http.ServeMux) {
	mux.HandleFunc("/is", func(out http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		ok := true
		for name, want := range r.URL.Query() {
			switch name {
			case "method":
				ok = ok && r.Method == want[0]
			case "body":
				ok = ok && string(text) == want[0]
			case "host":
				ok = ok && r.Host == want[0]
			case "length":
				ok = ok && strconv.FormatInt(r.ContentLength, 10) == want[0]
			default:
				ok = ok && strings.Join(r.Header.Values(name), "|") == want[0]
			}
		}
		pass(out, ok)
	})
	mux.HandleFunc("/sni/{name}", func(out http.ResponseWriter, r *http.Request) {
		pass(out, r.TLS != nil && r.TLS.ServerName == strings.TrimPrefix(r.PathValue("name"), "none"))
	})
	mux.HandleFunc("/agent", func(out http.ResponseWriter, r *http.Request) {
		pass(out, strings.HasPrefix(r.UserAgent(), "Blackbox-Exporter/"))
	})
	mux.HandleFunc("/token", func(out http.ResponseWriter, r *http.Request) {
		name, password, ok := r.BasicAuth()
		if !ok {
			name, password = r.FormValue("client_id"), r.FormValue("client_secret")
		}
		if name != "client" || password != "secret" {
			http.Error(out, `{"error":"invalid_client"}`, http.StatusUnauthorized)
			return
		}
		out.Header().Set("Content-Type", "application/json")
		io.WriteString(out, `{"access_token":"granted","token_type":"Bearer","expires_in":3600}`)
	})
}

// hangs never come to an end, or come to it the hard way.
func (w *world) hangs(mux *http.ServeMux) {
	mux.HandleFunc("/slow/header", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	mux.HandleFunc("/slow/body", func(out http.ResponseWriter, r *http.Request) {
		io.WriteString(out, body)
		out.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	mux.HandleFunc("/abort/header", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	mux.HandleFunc("/abort/body", func(out http.ResponseWriter, _ *http.Request) {
		out.Header().Set("Content-Length", "100")
		io.WriteString(out, body)
		out.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})
}

// web starts the pages on an address; with a certificate over TLS, with HTTP/2.
func (w *world) web(address string, settings *tls.Config) (addr string) {
	w.t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		w.t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(w.pages())
	s.Listener.Close()
	s.Listener, s.Config.ErrorLog = l, quiet()
	if settings == nil {
		s.Start()
	} else {
		s.TLS, s.EnableHTTP2 = settings, true
		s.StartTLS()
	}
	w.t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	return l.Addr().String()
}

// raw answers every request with these bytes, and then ends the connection.
func (w *world) raw(answer string) (addr string) {
	w.t.Helper()
	return w.tcp(func(conn net.Conn) {
		request(conn)
		io.WriteString(conn, answer)
	})
}

// request reads the header of a request.
func request(conn net.Conn) {
	in := bufio.NewReader(conn)
	for {
		if line, err := in.ReadString('\n'); err != nil || strings.TrimSpace(line) == "" {
			return
		}
	}
}

// proxy is a plain proxy. It wants the header Via-Test of who asks for a tunnel
// when that is set, and answers 403 to hosts that it shall not see.
func (w *world) proxy(only string, tunnel string) (addr string) {
	w.t.Helper()
	relay := func(out http.ResponseWriter, r *http.Request) {
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			http.Error(out, err.Error(), http.StatusBadGateway)
			return
		}
		defer resp.Body.Close()
		maps.Copy(out.Header(), resp.Header)
		out.WriteHeader(resp.StatusCode)
		io.Copy(out, resp.Body)
	}
	s := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		host := (&url.URL{Host: r.Host}).Hostname()
		switch {
		case only != "" && host != only, r.Method == http.MethodConnect && r.Header.Get("Via-Test") != tunnel:
			out.WriteHeader(http.StatusForbidden)
		case r.Method == http.MethodConnect:
			w.tunnel(out, r)
		default:
			r.RequestURI = ""
			relay(out, r)
		}
	}))
	s.Config.ErrorLog = quiet()
	w.t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	return s.Listener.Addr().String()
}

// tunnel joins the client with the host that it named.
func (w *world) tunnel(out http.ResponseWriter, r *http.Request) {
	far, err := net.Dial("tcp", r.Host)
	if err != nil {
		http.Error(out, err.Error(), http.StatusBadGateway)
		return
	}
	defer far.Close()
	near, _, err := out.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer near.Close()
	io.WriteString(near, "HTTP/1.1 200 Connection established\r\n\r\n")
	go func() { io.Copy(far, near); far.Close() }()
	io.Copy(near, far)
}
