package dropin_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
)

// target is one line of a scrape job, and the alerts that it is worth.
type target struct {
	module, address, path string

	alerts []string // of both programs
	more   []string // of ours alone, each intended
}

// url is the target as the scrape job has it.
func (t target) url() string { return t.address + t.path }

// shop is what is probed: servers of every protocol, good ones and bad ones.
// turn makes two of the good ones bad, and two of the bad ones good.
type shop struct {
	ca      string // file
	web     string
	fine    string // HTTPS
	soon    string // HTTPS, the certificate ends in 10 days
	expired string // HTTPS, it has ended
	names   string // DNS
	well    string // gRPC
	ill     string // gRPC, does not serve

	turned atomic.Bool
	closed bool // the web that is not there is no longer a target
	health [2]*health.Server
}

// nobody listens there, in a network that is all ours.
const nobody = "127.0.0.1:9"

// listed is the module whose targets stand in a file of their own.
const listed = "http_2xx"

// slow is what /slow takes, and dull what the rules call slow.
const (
	slow = 300 * time.Millisecond
	dull = "0.25"
)

func open(t *testing.T, write func(name, text string) string) *shop {
	t.Helper()
	s := &shop{}
	web := httptest.NewServer(s)
	t.Cleanup(web.Close)
	s.web = web.URL
	const day = 24 * time.Hour
	ca, key := issue(t, 300*day, nil, nil)
	s.ca = write("ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Raw})))
	for into, lasts := range map[*string]time.Duration{&s.fine: 100 * day, &s.soon: 10 * day, &s.expired: -day} {
		leaf, own := issue(t, lasts, ca, key)
		server := httptest.NewUnstartedServer(s)
		server.Config.ErrorLog = log.New(io.Discard, "", 0)
		server.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{leaf.Raw}, PrivateKey: own}}}
		server.StartTLS()
		t.Cleanup(server.Close)
		*into = server.URL
	}
	s.names = serveNames(t)
	s.health[0], s.well = serveHealth(t)
	s.health[1], s.ill = serveHealth(t)
	s.turn(false)
	return s
}

// issue makes a certificate for the loopback, signed by ca; without one, an
// authority.
func issue(t *testing.T, lasts time.Duration, ca *x509.Certificate, by *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	c := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: "shop"},
		NotBefore: now.Add(-1000 * time.Hour), NotAfter: now.Add(lasts),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"},
	}
	if ca == nil {
		c.IsCA, c.BasicConstraintsValid, ca, by = true, true, c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, ca, &key.PublicKey, by)
	if err != nil {
		t.Fatal(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return made, key
}

// ServeHTTP is every page of the web.
func (s *shop) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/slow":
		select {
		case <-time.After(slow):
		case <-r.Context().Done():
		}
	case "/good", "/bad":
		if (r.URL.Path == "/bad") != s.turned.Load() {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}
	io.WriteString(w, "a page\n")
}

// turn sets which of the servers that change are good.
func (s *shop) turn(over bool) {
	s.turned.Store(over)
	for i, h := range s.health {
		status := grpc_health_v1.HealthCheckResponse_SERVING
		if (i == 1) != over {
			status = grpc_health_v1.HealthCheckResponse_NOT_SERVING
		}
		h.SetServingStatus("", status)
	}
}

// serveNames answers every question about an address.
func serveNames(t *testing.T) (addr string) {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &dns.Server{PacketConn: conn, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		answer := new(dns.Msg)
		answer.SetReply(q)
		answer.Answer = append(answer.Answer, &dns.A{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 60}, A: net.IPv4(192, 0, 2, 1)})
		w.WriteMsg(answer)
	})}
	go server.ActivateAndServe()
	t.Cleanup(func() { server.Shutdown() })
	return conn.LocalAddr().String()
}

// serveHealth is a gRPC server with the service that tells its health.
func serveHealth(t *testing.T) (*health.Server, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h, server := health.NewServer(), grpc.NewServer()
	grpc_health_v1.RegisterHealthServer(server, h)
	go server.Serve(l)
	t.Cleanup(server.Stop)
	return h, l.Addr().String()
}

// modules is blackbox.yml.
func (s *shop) modules() string {
	return `modules:
  http_2xx:
    prober: http
    timeout: 5s
    http: {preferred_ip_protocol: ip4, tls_config: {ca_file: ` + s.ca + `}}
  http_any_certificate:
    prober: http
    http: {preferred_ip_protocol: ip4, tls_config: {insecure_skip_verify: true}}
  tcp_connect:
    prober: tcp
  tcp_tls:
    prober: tcp
    tcp: {tls: true, tls_config: {ca_file: ` + s.ca + `}}
  icmp:
    prober: icmp
    icmp: {preferred_ip_protocol: ip4}
  dns_a:
    prober: dns
    dns: {query_name: shop.test, query_type: A, preferred_ip_protocol: ip4}
  grpc_plain:
    prober: grpc
    grpc: {preferred_ip_protocol: ip4}
`
}

// targets lists what is probed, with the alerts that it is worth as the servers
// stand now.
func (s *shop) targets() []target {
	const failed, status, soon, ended = "BlackboxProbeFailed", "BlackboxProbeHttpFailure", "BlackboxSslCertificateWillExpireSoon", "BlackboxSslCertificateExpired"
	now, then := []string{failed, status}, []string(nil) // of what is bad at first, and of what turns bad
	ill, well := []string{failed}, []string(nil)
	if s.turned.Load() {
		now, then, ill, well = then, now, well, ill
	}
	all := []target{
		{"http_2xx", s.web, "/good", then, nil},
		{"http_2xx", s.web, "/bad", now, nil},
		{"http_2xx", s.web, "/slow", []string{"BlackboxSlowProbe", "BlackboxProbeSlowHttp"}, nil},
		{"http_2xx", s.fine, "/", nil, nil},
		{"http_2xx", s.soon, "/", []string{soon}, nil},
		// The date is told though it is why the probe fails: theirs is silent just then.
		{"http_2xx", s.expired, "/", []string{failed, status}, []string{ended}},
		{"http_any_certificate", s.expired, "/any", []string{ended}, nil},
		{"tcp_connect", strings.TrimPrefix(s.web, "http://"), "", nil, nil},
		{"tcp_connect", nobody, "", []string{failed}, nil},
		{"tcp_tls", strings.TrimPrefix(s.soon, "https://"), "", []string{soon}, nil},
		{"icmp", "127.0.0.1", "", nil, nil},
		{"icmp", "192.0.2.1", "", []string{failed}, nil},
		{"dns_a", s.names, "", nil, nil},
		{"dns_a", "127.0.0.1:53", "", []string{failed}, nil},
		{"grpc_plain", s.well, "", well, nil},
		{"grpc_plain", s.ill, "", ill, nil},
	}
	if !s.closed {
		all = append(all, target{"http_2xx", "http://" + nobody, "/", []string{failed, status}, nil})
	}
	return all
}

// list is the file of targets that Prometheus reads, and the own schedule after
// it.
func (s *shop) list() string {
	text := ""
	for _, t := range s.targets() {
		if t.module == listed {
			text += fmt.Sprintf("- targets: [%q]\n", t.url())
		}
	}
	return text
}

// alerts are those of all targets, "name instance", sorted. More are those that
// ours alone raises.
func (s *shop) alerts(more bool) []string {
	var all []string
	for _, t := range s.targets() {
		names := t.alerts
		if more {
			names = slices.Concat(names, t.more)
		}
		for _, name := range names {
			all = append(all, name+" "+t.url())
		}
	}
	slices.Sort(all)
	return all
}
