package probe

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// pair is a certificate with its key, as texts.
type pair struct {
	cert, key string
	made      tls.Certificate
}

// certify makes a certificate of its own authority, for shop.test.
func certify(t testing.TB, name string, expires time.Time) pair {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	about := &x509.Certificate{
		SerialNumber: big.NewInt(0x0A0B), Subject: pkix.Name{CommonName: name}, DNSNames: []string{"shop.test"},
		NotBefore: time.Unix(0, 0), NotAfter: expires, IsCA: true, BasicConstraintsValid: true,
	}
	raw, err := x509.CreateCertificate(rand.Reader, about, about, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	p := pair{
		cert: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw})),
		key:  string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})),
	}
	if p.made, err = tls.X509KeyPair([]byte(p.cert), []byte(p.key)); err != nil {
		t.Fatal(err)
	}
	return p
}

// keep writes a text into a file.
func keep(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// secured is a server that tells the subject of the client's certificate.
func secured(t testing.TB, config *tls.Config) string {
	return serve(t, func(conn net.Conn) {
		s := tls.Server(conn, config)
		if s.Handshake() != nil {
			silent(conn) // to hang up on what is not read would take the alert back
			return
		}
		who := "nobody"
		if certs := s.ConnectionState().PeerCertificates; len(certs) > 0 {
			who = certs[0].Subject.CommonName
		}
		fmt.Fprintf(s, "%s asked for %q\n", who, s.ConnectionState().ServerName)
	})
}

// trusting is a module of tcp over TLS with settings.
func trusting(t testing.TB, expect string, settings map[string]any) *Prober {
	t.Helper()
	text, err := yaml.Marshal(map[string]any{"prober": "tcp", "tcp": map[string]any{
		"tls": true, "tls_config": settings, "query_response": []any{map[string]any{"expect": expect}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return prober(t, string(text))
}

// soon is a context with a deadline that is far away.
func soon(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestTLS_EveryOptionHasItsEffect(t *testing.T) {
	server, client := certify(t, "server", time.Now().Add(time.Hour)), certify(t, "client", time.Now().Add(time.Hour))
	config := &tls.Config{Certificates: []tls.Certificate{server.made}, ClientAuth: tls.RequestClientCert}
	open := secured(t, config)
	old := config.Clone()
	old.MaxVersion = tls.VersionTLS12
	demanding := config.Clone()
	demanding.ClientAuth = tls.RequireAnyClientCert
	const expect = `^nobody asked for "shop\.test"$`
	for _, c := range []struct {
		settings map[string]any
		at       string
		expect   string
		want     Reason
		version  string
	}{
		{map[string]any{"ca": server.cert, "server_name": "shop.test"}, open, expect, "", "TLS 1.3"},
		{map[string]any{"ca_file": keep(t, server.cert), "server_name": "shop.test"}, open, expect, "", "TLS 1.3"},
		{map[string]any{"ca": client.cert, "server_name": "shop.test"}, open, expect, Certificate, ""},
		{map[string]any{"ca": server.cert}, open, expect, Certificate, ""}, // asks for 127.0.0.1
		{map[string]any{"ca": server.cert, "server_name": "other.test"}, open, expect, Certificate, ""},
		{map[string]any{"insecure_skip_verify": true}, open, `^nobody asked for ""$`, "", "TLS 1.3"},
		{map[string]any{"insecure_skip_verify": true, "server_name": "other.test"}, open, `^nobody asked for "other\.test"$`, "", "TLS 1.3"},
		{map[string]any{"insecure_skip_verify": true, "max_version": "TLS12"}, open, "nobody", "", "TLS 1.2"},
		{map[string]any{"insecure_skip_verify": true, "min_version": "TLS13"}, open, "nobody", "", "TLS 1.3"},
		{map[string]any{"insecure_skip_verify": true, "min_version": "TLS13"}, secured(t, old), "nobody", TLS, ""},
		{map[string]any{"insecure_skip_verify": true, "cert": client.cert, "key": client.key}, open, "^client", "", "TLS 1.3"},
		{map[string]any{"insecure_skip_verify": true, "cert_file": keep(t, client.cert), "key_file": keep(t, client.key)}, open, "^client", "", "TLS 1.3"},
		{map[string]any{"insecure_skip_verify": true, "cert_file": keep(t, client.cert), "key": client.key}, open, "^client", "", "TLS 1.3"},
		{map[string]any{"insecure_skip_verify": true, "cert_file": keep(t, client.cert), "key": server.key}, open, "^client", Internal, ""},
		{map[string]any{"insecure_skip_verify": true, "cert_file": "/nowhere", "key": client.key}, open, "^client", Internal, ""},
		{map[string]any{"insecure_skip_verify": true, "max_version": "TLS12"}, secured(t, demanding), "nobody", TLS, ""},
	} {
		r := trusting(t, c.expect, c.settings).Run(soon(t), c.at)
		if r.Reason != c.want {
			t.Errorf("%v: reason %q, %v; want %q", c.settings, r.Reason, r.Err, c.want)
		}
		if c.version != "" {
			wantValue(t, r, "probe_tls_version_info", 1, c.version)
		}
	}
}

func TestTLS_FilesAreTakenUpWhenTheyChange(t *testing.T) {
	one, two := certify(t, "one", time.Now().Add(time.Hour)), certify(t, "two", time.Now().Add(time.Hour))
	at := secured(t, &tls.Config{Certificates: []tls.Certificate{two.made}, ClientAuth: tls.RequestClientCert})
	ca, cert, key := keep(t, one.cert), keep(t, one.cert), keep(t, one.key)
	p := trusting(t, `^two`, map[string]any{"ca_file": ca, "cert_file": cert, "key_file": key, "server_name": "shop.test"})
	replace := func(file, text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		later := time.Now().Add(time.Minute) // two writes within one tick of the file system's clock
		if err := os.Chtimes(file, later, later); err != nil {
			t.Fatal(err)
		}
	}
	wantReason(t, p.Run(soon(t), at), Certificate, "unknown authority")
	replace(ca, two.cert)
	wantReason(t, p.Run(soon(t), at), Content, "none of")
	replace(cert, two.cert)
	replace(key, two.key)
	wantSuccess(t, p.Run(soon(t), at))
	if err := os.Remove(ca); err != nil {
		t.Fatal(err)
	}
	wantReason(t, p.Run(soon(t), at), Internal, "tls_config: ")
	replace(ca, "no certificate")
	wantReason(t, p.Run(soon(t), at), Internal, "tls_config: ")
	replace(ca, two.cert)
	wantSuccess(t, p.Run(soon(t), at))
}

// Defect 9 of blackbox_exporter: the expiry is missing when it matters most.
func TestTLS_ExpiryIsShownOfEveryCertificateThatWasRefused(t *testing.T) {
	past := time.Now().Add(-time.Hour).Truncate(time.Second)
	expired, strange := certify(t, "expired", past), certify(t, "strange", past.Add(24*time.Hour))
	for _, c := range []struct {
		server   pair
		settings map[string]any
		text     string
	}{
		{expired, map[string]any{"ca": expired.cert, "server_name": "shop.test"}, "expired"},
		{strange, map[string]any{"server_name": "shop.test"}, "unknown authority"},
		{strange, map[string]any{"ca": strange.cert, "server_name": "other.test"}, "not other.test"},
	} {
		at := secured(t, &tls.Config{Certificates: []tls.Certificate{c.server.made}})
		r := trusting(t, "x", c.settings).Run(soon(t), at)
		wantReason(t, r, Certificate, c.text)
		wantValue(t, r, "probe_ssl_earliest_cert_expiry", float64(c.server.made.Leaf.NotAfter.Unix()))
		wantValue(t, r, "probe_ssl_last_chain_info", 1, fingerprint(c.server.made.Leaf.Raw))
		if _, ok := value(r, "probe_ssl_last_chain_expiry_timestamp_seconds"); ok {
			t.Errorf("%s: no chain was verified, but its expiry is told", c.text)
		}
	}
}

func TestTLS_LeafIsShownAsItsIssuerWroteIt(t *testing.T) {
	server := certify(t, `S "1", Inc`, time.Unix(4102444800, 0))
	r := trusting(t, "", map[string]any{"insecure_skip_verify": true}).Run(soon(t), secured(t, &tls.Config{Certificates: []tls.Certificate{server.made}}))
	wantSuccess(t, r)
	got := exposition(r.Samples)
	for _, want := range []string{
		"probe_ssl_last_chain_info{fingerprint_sha256=\"" + fingerprint(server.made.Leaf.Raw) + `",subject="CN=S \\\"1\\\"\\, Inc",issuer="CN=S \\\"1\\\"\\, Inc",subjectalternative="shop.test",serialnumber="0a0b"} 1`,
		"probe_ssl_earliest_cert_expiry S\nprobe_ssl_last_chain_expiry_timestamp_seconds -6.21355968e+10\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%s\nis not in\n%s", want, got)
		}
	}
}

func TestTLS_MistakesOutsideOfFilesAreToldAtLoad(t *testing.T) {
	pair := certify(t, "a", time.Now().Add(time.Hour))
	for text, want := range map[string]string{
		"ca: no, cert_file: a, key_file: b":           "tcp.tls_config: unable to use specified CA cert inline",
		"min_version: TLS13, max_version: TLS12":      "tcp.tls_config: tls_config.max_version must be greater than or equal to tls_config.min_version if both are specified",
		"min_version: TLS13, ca_file: a":              "",
		"min_version: TLS13, cert_file: a, key: b":    "",
		"ca_file: a, max_version: TLS10, cert_ref: v": `tcp.tls_config.cert_ref: secret "v": there is no secret manager; name a file`,
	} {
		var m Module
		if strings.Contains(text, "cert_ref") {
			text += ", key_file: b"
		}
		if err := yaml.Unmarshal([]byte("{prober: tcp, tcp: {tls_config: {"+text+"}}}"), &m); err != nil {
			t.Fatal(err)
		}
		got := ""
		m.Check(func(path, text string) { got += path + ": " + text })
		if got != want || strings.Contains(got, pair.key) {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
}

func BenchmarkTLS(b *testing.B) {
	s, ca := secureSite(b, false, func(http.ResponseWriter, *http.Request) {})
	p := prober(b, "{prober: tcp, tcp: {tls: true, tls_config: {ca_file: "+ca+"}}}")
	address := strings.TrimPrefix(s.URL, "https://")
	b.ReportAllocs()
	for b.Loop() {
		if r := p.Run(context.Background(), address); !r.Success {
			b.Fatal(r.Err)
		}
	}
}

// BenchmarkTLS_Ours is what a probe over TLS costs beside crypto/tls.
func BenchmarkTLS_Ours(b *testing.B) {
	pair := certify(b, "shop", time.Now().Add(time.Hour))
	source := &tlsSource{}
	source.settings.CAFile = keep(b, pair.cert)
	leaf := []*x509.Certificate{pair.made.Leaf}
	state := tls.ConnectionState{HandshakeComplete: true, PeerCertificates: leaf, VerifiedChains: [][]*x509.Certificate{leaf}, Version: tls.VersionTLS13, CipherSuite: tls.TLS_AES_128_GCM_SHA256}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := source.client("shop.test"); err != nil {
			b.Fatal(err)
		}
		r := run{samples: make([]Sample, 0, 8)}
		r.addTLS(state)
	}
}
