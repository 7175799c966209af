package probe

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"context"
	"io"
	"maps"
	"net"
	"net/http"
	"net/textproto"
	"regexp"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/andybalholm/brotli"
)

// always are the series of every http probe whose target was asked.
var always = []string{
	"probe_dns_lookup_time_seconds", "probe_ip_protocol", "probe_ip_addr_hash", "probe_resolved_address_info",
	"probe_http_duration_seconds", "probe_http_duration_seconds", "probe_http_duration_seconds", "probe_http_duration_seconds", "probe_http_duration_seconds",
	"probe_http_content_length", "probe_http_uncompressed_body_length", "probe_http_redirects", "probe_http_ssl", "probe_http_status_code",
	"probe_http_version", "probe_failed_due_to_regex",
}

// FuzzHTTPAnswer: whatever bytes a real server answers with, the probe ends with
// a reason of the closed set and with the series that its module promises.
func FuzzHTTPAnswer(f *testing.F) {
	var text atomic.Pointer[[]byte]
	site := serve(f, func(conn net.Conn) {
		readHeader(conn)
		conn.Write(*text.Load())
		conn.(*net.TCPConn).CloseWrite()
		silent(conn)
	})
	modules := []string{
		"{prober: http, http: {follow_redirects: false}}",
		"{prober: http, http: {follow_redirects: false, body_size_limit: 1KB, valid_status_codes: [101, 200, 404], fail_if_body_matches_regexp: [x]}}",
		"{prober: http, http: {follow_redirects: false, compression: gzip, fail_if_header_not_matches: [{header: a, regexp: b, allow_missing: true}]}}",
		"{prober: http, http: {follow_redirects: false, compression: br, fail_if_body_json_matches_cel: 'body.a == 1'}}",
		"{prober: http, http: {follow_redirects: false, fail_if_body_json_not_matches_cel: 'body.a == 1', fail_if_body_not_matches_regexp: [a]}}",
	}
	for i, seed := range []string{
		"", "HTTP/1.1 200 OK\r\n\r\nok", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 404 No\r\n\r\n", "HTTP/1.1 302 Found\r\nLocation: /a\r\n\r\n",
		"HTTP/1.1 302 Found\r\nLocation: ://\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX: y\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{\"a\":1}", "HTTP/1.1 200 OK\r\nA: b\r\nSet-Cookie: a=b; Domain=..\r\nLast-Modified: Mon, 02 Jan 2006 15:04:05 GMT\r\n\r\n",
		"\x16\x03\x01", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nmore", "HTTP/9.9 999 ?\r\n\r\n",
	} {
		f.Add([]byte(seed), uint8(i))
	}
	var probers []*Prober
	for _, m := range modules {
		probers = append(probers, prober(f, m))
	}
	f.Fuzz(func(t *testing.T, bytes []byte, which uint8) {
		text.Store(&bytes)
		p := probers[int(which)%len(probers)]
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		r := p.Explain(ctx, site)
		if r.Success != (r.Reason == "") || r.Reason != "" && !slices.Contains(Reasons(), r.Reason) || r.Reason == Internal || r.Reason == Timeout {
			t.Fatalf("success %v, reason %q, %v", r.Success, r.Reason, r.Err)
		}
		wantSeries(t, p, r)
	})
}

// wantSeries compares the names of the series with those that are promised.
func wantSeries(t *testing.T, p *Prober, r Result) {
	t.Helper()
	want := slices.Clone(always)
	if p.module.HTTP.FailIfBodyJSONMatchesCEL != nil || p.module.HTTP.FailIfBodyJSONNotMatchesCEL != nil {
		want = append(want, "probe_failed_due_to_cel")
	}
	var got []string
	for _, s := range r.Samples {
		if s.Name != "probe_http_last_modified_timestamp_seconds" {
			got = append(got, s.Name)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("series %q, want %q", got, want)
	}
}

// FuzzHeaderRules: a rule about a header says the same as its definition, which
// is read off the documentation here.
func FuzzHeaderRules(f *testing.F) {
	f.Add("X-State", "ok", "warm", "^ok$", true)
	f.Add("x-state", "", "", "", false)
	f.Add("", "a", "b", "[", false)
	f.Fuzz(func(t *testing.T, name, first, second, text string, missing bool) {
		compiled, err := regexp.Compile(text)
		if err != nil {
			return
		}
		key := textproto.CanonicalMIMEHeaderKey(name)
		for _, header := range []http.Header{{}, {key: {first}}, {key: {first, second}}, {"Other": {first}}} {
			rule := headerMatch{Header: name, Regexp: pattern{compiled}, AllowMissing: missing}
			values := maps.Clone(header)[key]
			any := slices.ContainsFunc(values, compiled.MatchString)
			for bad, fails := range map[bool]bool{true: any, false: !any} {
				if len(values) == 0 {
					fails = !missing
				}
				if err := rule.judge(header, bad); (err != nil) != fails {
					t.Errorf("%+v, %v, bad %v: got %v", rule, header, bad, err)
				}
			}
		}
	})
}

// FuzzDecompress: whatever comes as a packed body, reading it ends, within the
// limit and with a reason that blames the body.
func FuzzDecompress(f *testing.F) {
	text := bytes.Repeat([]byte("well "), 100)
	for which, packer := range []func(w io.Writer) io.WriteCloser{
		func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) },
		func(w io.Writer) io.WriteCloser { c, _ := flate.NewWriter(w, 9); return c },
		func(w io.Writer) io.WriteCloser { return brotli.NewWriter(w) },
	} {
		var packed bytes.Buffer
		c := packer(&packed)
		c.Write(text)
		c.Close()
		f.Add(packed.Bytes(), uint8(which))
		f.Add(packed.Bytes()[:packed.Len()/2], uint8(which))
	}
	codings := []string{"gzip", "deflate", "br"}
	var probers []*httpProber
	for _, coding := range codings {
		p := prober(f, "{prober: http, http: {body_size_limit: 64KB, compression: "+coding+"}}")
		probers = append(probers, &httpProber{HTTP: p.module.HTTP, wires: newWires(), judges: newJudges()})
	}
	f.Fuzz(func(t *testing.T, packed []byte, which uint8) {
		x := &exchange{run: &run{ctx: t.Context()}, httpProber: probers[int(which)%len(probers)]}
		x.answer = &http.Response{Body: io.NopCloser(bytes.NewReader(packed))}
		err := x.judgeBody(true)
		if reason := reasonOf(err, ""); err != nil && reason != Content && reason != Size || x.length > 64<<10 {
			t.Errorf("reason %q, %d bytes, %v", reason, x.length, err)
		}
	})
}
