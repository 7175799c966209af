package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/json"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// The kinds of targets.
const (
	plainHTTP = "http"
	tlsHTTP1  = "https1"
	tlsHTTP2  = "https2"
	plainTCP  = "tcp"
)

// ports is how many ports each kind listens on. With one alone, connections that
// have ended would use up the pairs of ports.
var ports = map[string]int{plainHTTP: 8, tlsHTTP1: 8, tlsHTTP2: 8, plainTCP: 1000}

// targets are the servers that are probed, in a process of their own.
type targets struct {
	addresses map[string][]string
	counts    map[string]*atomic.Int64 // connections, by kind

	mu       sync.Mutex
	arrivals map[string][]int64 // unix nanoseconds, by path; nil: none are kept
}

// serveTargets listens until ctx ends, and tells on the control address where,
// and how many connections came.
func serveTargets(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("targets", flag.ExitOnError)
	control := flags.String("control", "", "address of the control server")
	ca := flags.String("ca", "", "file that takes the certificate")
	names := flags.Bool("names", false, "be the name server, too")
	if err := flags.Parse(args); err != nil {
		return err
	}
	pair, err := certificate(*ca)
	if err != nil {
		return err
	}
	t := &targets{addresses: map[string][]string{}, counts: map[string]*atomic.Int64{}}
	for kind := range ports {
		if err := t.listen(kind, pair); err != nil {
			return err
		}
	}
	if *names {
		conn, err := net.ListenPacket("udp", "127.0.0.1:53")
		if err != nil {
			return fmt.Errorf("being a name server: %w", err)
		}
		go serveNames(conn)
	}
	server := &http.Server{Addr: *control, Handler: t.control(), ReadHeaderTimeout: time.Minute}
	context.AfterFunc(ctx, func() { server.Close() })
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// control tells about the targets.
func (t *targets) control() http.Handler {
	answer := func(path string, value func() any) (string, func(http.ResponseWriter, *http.Request)) {
		return path, func(w http.ResponseWriter, _ *http.Request) {
			t.mu.Lock()
			defer t.mu.Unlock()
			json.NewEncoder(w).Encode(value())
		}
	}
	mux := http.NewServeMux()
	mux.HandleFunc(answer("/addresses", func() any { return t.addresses }))
	mux.HandleFunc(answer("/counts", func() any {
		now := map[string]int64{}
		for kind, n := range t.counts {
			now[kind] = n.Load()
		}
		return now
	}))
	// Each question empties the notes, the first one begins them.
	mux.HandleFunc(answer("/arrivals", func() any {
		seen := t.arrivals
		t.arrivals = map[string][]int64{}
		return seen
	}))
	return mux
}

// listen opens the ports of one kind.
func (t *targets) listen(kind string, pair tls.Certificate) error {
	t.counts[kind] = &atomic.Int64{}
	for range ports[kind] {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		t.addresses[kind] = append(t.addresses[kind], l.Addr().String())
		l = counted{l, t.counts[kind]}
		go t.serve(kind, l, pair)
	}
	return nil
}

// serve answers on one port.
func (t *targets) serve(kind string, l net.Listener, pair tls.Certificate) {
	if kind == plainTCP {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_, _ = io.Copy(io.Discard, conn) // until the prober hangs up
			}()
		}
	}
	server := &http.Server{Handler: t, ReadHeaderTimeout: time.Minute, TLSConfig: &tls.Config{Certificates: []tls.Certificate{pair}}}
	if kind == plainHTTP {
		_ = server.Serve(l)
		return
	}
	protocols := &http.Protocols{}
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(kind == tlsHTTP2)
	server.Protocols = protocols
	_ = server.ServeTLS(l, "", "")
}

// page is what every HTTP target answers with.
var page = []byte(strings.Repeat("all is well here\n", 30))

// ServeHTTP answers, and notes when it was asked if somebody wants to know.
func (t *targets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	now := time.Now().UnixNano()
	t.mu.Lock()
	if t.arrivals != nil {
		t.arrivals[r.URL.Path] = append(t.arrivals[r.URL.Path], now)
	}
	t.mu.Unlock()
	_, _ = w.Write(page)
}

// counted counts the connections that come.
type counted struct {
	net.Listener
	n *atomic.Int64
}

// Accept implements net.Listener.
func (c counted) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err == nil {
		c.n.Add(1)
	}
	return conn, err
}

// certificate makes an authority and a certificate by it (ECDSA P-256 both), and
// writes that of the authority into a file.
func certificate(file string) (tls.Certificate, error) {
	key := func() *ecdsa.PrivateKey {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			panic(err) // the system gives no random numbers
		}
		return k
	}
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bench authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "bench"}, DNSNames: []string{"localhost", dnsName},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: authority.NotBefore, NotAfter: authority.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	authorityKey, leafKey := key(), key()
	signed, err := x509.CreateCertificate(rand.Reader, authority, authority, authorityKey.Public(), authorityKey)
	if err != nil {
		return tls.Certificate{}, err
	}
	own, err := x509.CreateCertificate(rand.Reader, leaf, authority, leafKey.Public(), authorityKey)
	if err != nil {
		return tls.Certificate{}, err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: signed})
	return tls.Certificate{Certificate: [][]byte{own}, PrivateKey: leafKey}, os.WriteFile(file, text, 0o644)
}

// dnsName is the name that the name server of the bench knows.
const dnsName = "target.bench.example"

// serveNames is a name server that gives every name the address 127.0.0.1, until
// conn is closed.
func serveNames(conn net.PacketConn) {
	query := make([]byte, 1500)
	for {
		n, from, err := conn.ReadFrom(query)
		if err != nil {
			return
		}
		if answer := answerName(query[:n]); answer != nil {
			_, _ = conn.WriteTo(answer, from)
		}
	}
}

// answerName answers one question (RFC 1035, section 4): 127.0.0.1 for type A,
// no record for any other. Nil for what is no question.
func answerName(query []byte) []byte {
	const header, typeA = 12, 1
	end := header
	for end < len(query) && query[end] != 0 {
		end += int(query[end]) + 1
	}
	if end += 5; len(query) < header || end > len(query) {
		return nil
	}
	answer := append([]byte(nil), query[:end]...) // without EDNS
	answer[2], answer[3] = answer[2]|0x84, 0x80
	copy(answer[4:], []byte{0, 1, 0, 0, 0, 0, 0, 0})
	if binary.BigEndian.Uint16(query[end-4:]) == typeA {
		answer[7] = 1
		answer = append(answer, 0xC0, header, 0, typeA, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1)
	}
	return answer
}
