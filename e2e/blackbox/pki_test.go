package blackbox_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"time"
)

// authority makes the certificates of the servers.
type authority struct {
	// Files for modules: the authority, and the certificate and key of a client.
	ca, clientCert, clientKey string

	roots *x509.CertPool

	good, expired, early, other, foreign, alone, chained, unchained, odd tls.Certificate
}

// issuer signs certificates.
type issuer struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// newAuthority makes a certificate for every case. They last for whole days, so
// that the tests end before any changes.
func newAuthority(w *world) *authority {
	const day = 24 * time.Hour
	root := w.issue(nil, w.template("Root", 300*day, func(c *x509.Certificate) { c.IsCA, c.SerialNumber = true, big.NewInt(1) }))
	between := w.issue(&root, w.template("Between", 200*day, func(c *x509.Certificate) { c.IsCA, c.SerialNumber = true, big.NewInt(2) }))
	stranger := w.issue(nil, w.template("Stranger", 300*day, func(c *x509.Certificate) { c.IsCA = true }))
	leaf := func(from *issuer, expires time.Duration, change func(*x509.Certificate), more ...issuer) tls.Certificate {
		made := w.issue(from, w.template("leaf", expires, change))
		chain := tls.Certificate{Certificate: [][]byte{made.cert.Raw}, PrivateKey: made.key}
		for _, m := range more {
			chain.Certificate = append(chain.Certificate, m.cert.Raw)
		}
		return chain
	}
	same := func(*x509.Certificate) {}
	a := &authority{roots: x509.NewCertPool()}
	a.roots.AddCert(root.cert)
	a.good = leaf(&root, 100*day, same)
	a.expired = leaf(&root, -day, same)
	a.early = leaf(&root, 100*day, func(c *x509.Certificate) { c.NotBefore = c.NotAfter.Add(-day) })
	a.other = leaf(&root, 100*day, func(c *x509.Certificate) { c.DNSNames, c.IPAddresses = []string{"other.test", "*.other.test"}, nil })
	a.foreign = leaf(&stranger, 100*day, same)
	a.alone = leaf(nil, 100*day, same)
	a.chained = leaf(&between, 250*day, same, between)
	a.unchained = leaf(&between, 250*day, same)
	a.odd = leaf(&root, 100*day, func(c *x509.Certificate) {
		c.Subject = pkix.Name{CommonName: `a "quoted", back\slashed` + "\nname", Organization: []string{"Ölmühle", "plus+equals="}, Country: []string{"DE"}}
		c.SerialNumber = new(big.Int).Lsh(big.NewInt(10), 64) // leading zeros and a zero byte at the end
	})
	a.ca = w.write("ca.pem", string(block("CERTIFICATE", root.cert.Raw)))
	client := w.issue(&root, w.template("client", 100*day, same))
	a.clientCert = w.write("client.pem", string(block("CERTIFICATE", client.cert.Raw)))
	key, err := x509.MarshalPKCS8PrivateKey(client.key)
	if err != nil {
		w.t.Fatal(err)
	}
	a.clientKey = w.write("client.key", string(block("PRIVATE KEY", key)))
	return a
}

// block is one block of a PEM file.
func block(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// template is a certificate for every name that the servers have, changed as
// the case wants.
func (w *world) template(name string, expires time.Duration, change func(*x509.Certificate)) *x509.Certificate {
	c := &x509.Certificate{
		Subject:      pkix.Name{CommonName: name, Organization: []string{"e2e"}},
		SerialNumber: big.NewInt(0x0a0b0c),
		NotBefore:    time.Now().Add(-400 * 24 * time.Hour),
		NotAfter:     time.Now().Add(expires),
		DNSNames:     []string{"localhost", "four.test", "six.test", "both.test", "host.test"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		KeyUsage:     x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},

		BasicConstraintsValid: true,
	}
	change(c)
	return c
}

// issue signs a certificate; one without an issuer signs itself.
func (w *world) issue(from *issuer, template *x509.Certificate) issuer {
	w.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		w.t.Fatal(err)
	}
	if from == nil {
		from = &issuer{template, key}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, from.cert, key.Public(), from.key)
	if err != nil {
		w.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		w.t.Fatal(err)
	}
	return issuer{cert, key}
}

// server is the TLS configuration of a server with a certificate.
func (w *world) server(cert tls.Certificate) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{cert}}
}
