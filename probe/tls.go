package probe

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/common/config"
)

// tlsSource builds the TLS configuration of a module once, and again when the
// file of its certificate authority changes. Client certificates are read anew
// at each handshake.
type tlsSource struct {
	settings config.TLSConfig

	mu      sync.Mutex
	built   *tls.Config
	changed time.Time // mtime of the ca_file that built was made of
	size    int64
}

// checkTLS reports what no handshake can be made with, under paths inside
// tls_config: secrets that nobody keeps, and certificates in the settings
// themselves that cannot be read. Those in files are read by each probe.
func checkTLS(c config.TLSConfig, report func(path, text string)) {
	for key, ref := range map[string]string{"ca_ref": c.CARef, "cert_ref": c.CertRef, "key_ref": c.KeyRef} {
		if ref != "" {
			report(key, noManager(ref).Error())
		}
	}
	if c.CARef+c.CertRef+c.KeyRef != "" {
		return
	}
	c.CAFile = ""
	if c.CertFile+c.KeyFile != "" { // one half alone cannot be tried
		c.Cert, c.Key, c.CertFile, c.KeyFile = "", "", "", ""
	}
	if _, err := config.NewTLSConfig(&c); err != nil {
		report("", err.Error())
	}
}

// client gives the configuration for one handshake with serverName.
func (s *tlsSource) client(serverName string, protocols ...string) (*tls.Config, error) {
	base, err := s.current()
	if err != nil {
		return nil, &failure{Internal, fmt.Errorf("tls_config: %w", err)}
	}
	// The name differs from target to target; the authorities are shared.
	own := base.Clone()
	own.NextProtos = protocols
	if serverName != "" {
		own.ServerName = serverName
	}
	return own, nil
}

// clientOr is client for a protocol that asks for serverName only when the
// module names no other.
func (s *tlsSource) clientOr(serverName string, protocols ...string) (*tls.Config, error) {
	if s.settings.ServerName != "" {
		serverName = ""
	}
	own, err := s.client(serverName, protocols...)
	if err == nil && own.ServerName == "" && !own.InsecureSkipVerify {
		return nil, &failure{Internal, errors.New("tls_config: there is no host name to verify; want server_name or insecure_skip_verify")}
	}
	return own, err
}

// current gives the configuration of the files as they are now. It costs one
// stat where an authority is named, and nothing elsewhere.
func (s *tlsSource) current() (*tls.Config, error) {
	var changed time.Time
	var size int64
	if s.settings.CAFile != "" {
		info, err := os.Stat(s.settings.CAFile)
		if err != nil {
			return nil, err
		}
		changed, size = info.ModTime(), info.Size()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.built != nil && changed.Equal(s.changed) && size == s.size {
		return s.built, nil
	}
	built, err := config.NewTLSConfig(&s.settings)
	if err != nil {
		return nil, err
	}
	s.built, s.changed, s.size = built, changed, size
	return built, nil
}

// handshake makes conn a TLS connection. The state is there also when the
// certificate was refused: with the certificates, without verified chains.
func handshake(conn net.Conn, c *tls.Config) (*tls.Conn, tls.ConnectionState, error) {
	secured := tls.Client(conn, c)
	err := secured.Handshake()
	state := secured.ConnectionState()
	if bad := untrusted(err); bad != nil {
		state.PeerCertificates = bad.UnverifiedCertificates
	}
	if err != nil {
		return nil, state, fail(TLS, fmt.Errorf("TLS handshake: %w", err))
	}
	return secured, state, nil
}

// secure is handshake with a note.
func (r *run) secure(conn net.Conn, c *tls.Config) (*tls.Conn, tls.ConnectionState, error) {
	secured, state, err := handshake(conn, c)
	if r.explain && err == nil {
		r.note("TLS handshake", "server_name", c.ServerName, "version", tls.VersionName(state.Version),
			"cipher", tls.CipherSuiteName(state.CipherSuite), "protocol", state.NegotiatedProtocol,
			"subject", state.PeerCertificates[0].Subject, "expires", earliest(state.PeerCertificates))
	}
	return secured, state, err
}

// untrusted is the refusal of a certificate within err, or nil.
func untrusted(err error) *tls.CertificateVerificationError {
	var bad *tls.CertificateVerificationError
	if errors.As(err, &bad) {
		return bad
	}
	return nil
}

// addTLS keeps the series of a handshake, as far as it came: without
// certificates there is nothing to tell.
func (r *run) addTLS(state tls.ConnectionState) {
	if len(state.PeerCertificates) == 0 {
		return
	}
	leaf := state.PeerCertificates[0]
	sum := sha256.Sum256(leaf.Raw)
	r.add("probe_ssl_earliest_cert_expiry", "Unix time at which the first certificate of the peer expires.",
		float64(earliest(state.PeerCertificates).Unix()))
	if state.HandshakeComplete {
		// Without verification there is no chain, and the zero time stands here.
		r.add("probe_ssl_last_chain_expiry_timestamp_seconds", "Unix time at which the last verified chain expires.",
			float64(lastChain(state.VerifiedChains).Unix()))
	}
	r.add("probe_ssl_last_chain_info", "The certificate of the peer itself.", 1,
		Label{"fingerprint_sha256", hex.EncodeToString(sum[:])},
		Label{"subject", leaf.Subject.String()},
		Label{"issuer", leaf.Issuer.String()},
		Label{"subjectalternative", strings.Join(leaf.DNSNames, ",")},
		Label{"serialnumber", hex.EncodeToString(leaf.SerialNumber.Bytes())})
	if state.Version != 0 {
		r.add("probe_tls_version_info", "TLS version that was agreed on.", 1, Label{"version", tls.VersionName(state.Version)})
	}
	if state.HandshakeComplete {
		r.add("probe_tls_cipher_info", "TLS cipher suite that was agreed on.", 1, Label{"cipher", tls.CipherSuiteName(state.CipherSuite)})
	}
}

// earliest is when the first of the certificates expires.
func earliest(certs []*x509.Certificate) time.Time {
	var first time.Time
	for _, cert := range certs {
		if first.IsZero() || cert.NotAfter.Before(first) {
			first = cert.NotAfter
		}
	}
	return first
}

// lastChain is when the chain that lasts longest expires: until then at least
// one chain holds.
func lastChain(chains [][]*x509.Certificate) time.Time {
	var last time.Time
	for _, chain := range chains {
		if expiry := earliest(chain); expiry.After(last) {
			last = expiry
		}
	}
	return last
}
