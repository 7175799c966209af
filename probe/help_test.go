package probe

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// timed are the series whose value is a time that no test can foretell.
var timed = map[string]bool{
	"probe_dns_lookup_time_seconds": true, "probe_http_duration_seconds": true, "probe_tcp_duration_seconds": true,
	"probe_icmp_duration_seconds": true, "probe_icmp_rtt_seconds": true, "probe_icmp_jitter_seconds": true,
	"probe_ssl_earliest_cert_expiry": true, "probe_ssl_last_chain_expiry_timestamp_seconds": true,
}

// exposition writes samples as a page of metrics does, with S for times that
// are above 0.
func exposition(samples []Sample) string {
	var b strings.Builder
	for _, s := range samples {
		b.WriteString(s.Name)
		for i, label := range s.Labels {
			fmt.Fprintf(&b, "%s%s=%q", map[bool]string{true: "{", false: ","}[i == 0], label.Name, label.Value)
		}
		if len(s.Labels) > 0 {
			b.WriteString("}")
		}
		if (timed[s.Name] || strings.HasSuffix(s.Name, "_duration_seconds")) && s.Value > 0 {
			b.WriteString(" S\n")
			continue
		}
		fmt.Fprintf(&b, " %v\n", s.Value)
	}
	return b.String()
}

// value gives the value of a series, and whether it is there.
func value(r Result, name string, labels ...string) (float64, bool) {
	for _, s := range r.Samples {
		if s.Name == name && (len(labels) == 0 || s.Labels[0].Value == labels[0]) {
			return s.Value, true
		}
	}
	return 0, false
}

func wantValue(t *testing.T, r Result, name string, want float64, labels ...string) {
	t.Helper()
	if got, ok := value(r, name, labels...); !ok || got != want {
		t.Errorf("%s%v: got %v (present: %v), want %v", name, labels, got, ok, want)
	}
}

// prober makes the prober of a module as it stands in a file.
func prober(t testing.TB, text string) *Prober {
	t.Helper()
	var m Module
	if err := yaml.Unmarshal([]byte(text), &m); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	p, err := New(m, NewNetwork())
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return p
}

// ask probes with a deadline that is far away.
func ask(t testing.TB, text, target string) Result {
	t.Helper()
	return within(t, 30*time.Second, text, target)
}

func within(t testing.TB, timeout time.Duration, text, target string) Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	return prober(t, text).Run(ctx, target)
}

func wantReason(t *testing.T, r Result, want Reason, text string) {
	t.Helper()
	if r.Success || r.Reason != want || !strings.Contains(fmt.Sprint(r.Err), text) {
		t.Errorf("got success %v, reason %q, error %v\nwant reason %q, error …%s…", r.Success, r.Reason, r.Err, want, text)
	}
}

func wantSuccess(t *testing.T, r Result) {
	t.Helper()
	if !r.Success || r.Reason != "" || r.Err != nil {
		t.Errorf("got success %v, reason %q, error %v", r.Success, r.Reason, r.Err)
	}
}

// serve starts a TCP server that treats every connection by talk.
func serve(t testing.TB, talk func(net.Conn)) string {
	t.Helper()
	return serveOn(t, "tcp", "127.0.0.1:0", talk)
}

// serveOn is serve on a network and address.
func serveOn(t testing.TB, network, address string, talk func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				talk(conn)
			}()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().String()
}

// says answers every request header with the same text.
func says(text string) func(net.Conn) {
	return func(conn net.Conn) {
		readHeader(conn)
		io.WriteString(conn, text)
	}
}

// readHeader reads up to the empty line.
func readHeader(conn net.Conn) string {
	var all []byte
	one := make([]byte, 1)
	for !strings.HasSuffix(string(all), "\r\n\r\n") {
		if _, err := conn.Read(one); err != nil {
			break
		}
		all = append(all, one...)
	}
	return string(all)
}

// hello reads what a client says first, answers and hangs up.
func hello(text string) func(net.Conn) {
	return func(conn net.Conn) {
		conn.Read(make([]byte, 64<<10))
		io.WriteString(conn, text)
	}
}

// silent accepts and says nothing until the other end hangs up.
func silent(conn net.Conn) { io.Copy(io.Discard, conn) }

// reset ends a connection with RST.
func reset(conn net.Conn) {
	conn.(*net.TCPConn).SetLinger(0)
	conn.Close()
}

// closedPort is an address where nobody listens, and nobody will while the test
// runs: it is the near end of a connection, which keeps it.
func closedPort(t testing.TB) string {
	t.Helper()
	conn, err := net.Dial("tcp", serve(t, silent))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn.LocalAddr().String()
}

func web(t testing.TB, handle http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(handle)
	t.Cleanup(s.Close)
	return s.URL
}
