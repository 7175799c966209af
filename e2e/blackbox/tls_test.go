package blackbox_test

import (
	"crypto/tls"
	"net"
	"net/url"
)

// tlsCases are HTTP probes over TLS. Those of the other protocols stand with
// them.
func tlsCases(w *world) (all []probeCase) {
	add := func(name, block, target, want string, shows ...string) *probeCase {
		all = append(all, probeCase{name: name, prober: "http", block: block, target: target, want: want, shows: shows})
		return &all[len(all)-1]
	}
	trusting(w, add)
	negotiated(w, add)
	elsewhere(w, add)
	return all
}

// trusted is a block that trusts the authority of the tests.
func (w *world) trusted(more string) string {
	if more != "" {
		more = ", " + more
	}
	return "{tls_config: {ca_file: " + w.ca + more + "}}"
}

func trusting(w *world, add adder) {
	const blind = "{tls_config: {insecure_skip_verify: true}}"
	for _, c := range []struct {
		name string
		cert tls.Certificate
		want string
	}{
		{"a good certificate", w.good, ""}, {"an expired certificate", w.expired, "certificate"}, {"a certificate of the future", w.early, "certificate"},
		{"a certificate of another name", w.other, "certificate"}, {"a certificate of a stranger", w.foreign, "certificate"},
		{"a certificate signed by itself", w.alone, "certificate"}, {"a chain", w.chained, ""}, {"a chain without its middle", w.unchained, "certificate"},
		{"odd names", w.odd, ""},
	} {
		addr := "https://" + w.web("127.0.0.1:0", w.server(c.cert)) + "/ok"
		add(c.name, w.trusted(""), addr, c.want)
		add(c.name+", not verified", blind, addr, "", "probe_ssl_last_chain_expiry_timestamp_seconds -6.21355968e+10")
	}
	good := w.web("127.0.0.1:0", w.server(w.good))
	add("an authority that is not known", "", "https://"+good+"/ok", "certificate")
	add("server_name", w.trusted("server_name: host.test"), "https://"+good+"/sni/host.test", "")
	add("server_name that is another", w.trusted("server_name: elsewhere.test"), "https://"+good+"/ok", "certificate")
	add("the name of the target", w.trusted(""), "https://four.test:"+port(good)+"/sni/four.test", "")
	add("an address has no name", w.trusted(""), "https://"+good+"/sni/none", "")
	add("Host is the name", "{headers: {Host: host.test}, tls_config: {ca_file: "+w.ca+"}}", "https://"+good+"/sni/host.test", "")
	add("Host with a port is the name", "{headers: {Host: 'host.test:443'}, tls_config: {ca_file: "+w.ca+"}}", "https://"+good+"/sni/host.test", "")
	add("server_name goes before Host", "{headers: {Host: host.test}, tls_config: {server_name: both.test, ca_file: "+w.ca+"}}", "https://"+good+"/sni/both.test", "")
	add("hostname is the name", w.trusted(""), "https://"+good+"/sni/host.test", "").query = "hostname=host.test"
	add("a ca_file that is missing", "{tls_config: {ca_file: "+w.dir+"/none.pem}}", "https://"+good+"/ok", "internal")
	add("a ca_file that is missing, without TLS", "{tls_config: {ca_file: "+w.dir+"/none.pem}}", w.web("127.0.0.1:0", nil)+"/ok", "")
	add("a ca_file that is none", "{tls_config: {ca_file: "+w.write("none", "no certificate")+"}}", "https://"+good+"/ok", "internal")
	add("a cert_file that is missing", "{tls_config: {ca_file: "+w.ca+", cert_file: "+w.dir+"/none.pem, key_file: "+w.clientKey+"}}", "https://"+good+"/ok", "internal")
	asking := w.server(w.good)
	asking.ClientAuth, asking.ClientCAs = tls.RequireAndVerifyClientCert, w.roots
	asked := "https://" + w.web("127.0.0.1:0", asking) + "/ok"
	add("a client certificate", w.trusted("cert_file: "+w.clientCert+", key_file: "+w.clientKey), asked, "")
	add("a client certificate that is missing", w.trusted(""), asked, "any")
}

func negotiated(w *world, add adder) {
	both := w.web("127.0.0.1:0", w.server(w.good))
	add("HTTP/2", w.trusted(""), "https://"+both+"/ok", "", "probe_http_version 2", "probe_http_content_length 33")
	add("HTTP/2 wanted", "{tls_config: {ca_file: "+w.ca+"}, valid_http_versions: ['HTTP/2.0']}", "https://"+both+"/ok", "")
	add("HTTP/2 off", "{tls_config: {ca_file: "+w.ca+"}, enable_http2: false}", "https://"+both+"/ok", "", "probe_http_version 1.1")
	add("HTTP/2: HEAD", "{tls_config: {ca_file: "+w.ca+"}, method: HEAD}", "https://"+both+"/ok", "", "probe_http_content_length 33")
	add("HTTP/2: POST", "{tls_config: {ca_file: "+w.ca+"}, method: POST, body: data}", "https://"+both+"/is?body=data", "")
	add("HTTP/2: a big body", w.trusted(""), "https://"+both+"/big", "")
	add("HTTP/2: a chunked body", w.trusted(""), "https://"+both+"/chunked", "", "probe_http_content_length -1")
	add("HTTP/2: gzip", "{tls_config: {ca_file: "+w.ca+"}, compression: gzip}", "https://"+both+"/packed/gzip", "")
	add("HTTP/2: hints", w.trusted(""), "https://"+both+"/hints", "")
	add("HTTP/2: slow header", w.trusted(""), "https://"+both+"/slow/header", "timeout").timeout = "2s"
	add("HTTP/2: slow body", w.trusted(""), "https://"+both+"/slow/body", "timeout").timeout = "2s"
	add("HTTP/2: aborted header", w.trusted(""), "https://"+both+"/abort/header", "protocol")
	add("HTTP/2: aborted body", w.trusted(""), "https://"+both+"/abort/body", "protocol")
	add("HTTP/2: Host", "{tls_config: {ca_file: "+w.ca+"}, headers: {Host: host.test}}", "https://"+both+"/is?host=host.test", "")
	add("HTTP/2: redirects", w.trusted(""), "https://"+both+"/times/3", "", "probe_http_redirects 3")
	add("HTTP/2: 500", w.trusted(""), "https://"+both+"/status/500", "status")
	add("no TLS wanted", "{tls_config: {ca_file: "+w.ca+"}, fail_if_ssl: true}", "https://"+both+"/ok", "tls", "probe_http_ssl 1")
	add("TLS wanted", "{tls_config: {ca_file: "+w.ca+"}, fail_if_not_ssl: true}", "https://"+both+"/ok", "")
	older := w.server(w.good)
	older.MaxVersion, older.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384}
	old := "https://" + w.web("127.0.0.1:0", older) + "/ok"
	add("TLS 1.2", w.trusted(""), old, "", `probe_tls_version_info{version="TLS 1.2"} 1`, `probe_tls_cipher_info{cipher="TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"} 1`)
	add("TLS 1.2 is too old", w.trusted("min_version: TLS13"), old, "tls")
	add("TLS 1.2 at most", w.trusted("max_version: TLS12"), "https://"+both+"/ok", "", `probe_tls_version_info{version="TLS 1.2"} 1`)
	oldest := w.server(w.good)
	oldest.MinVersion, oldest.MaxVersion = tls.VersionTLS10, tls.VersionTLS10
	add("TLS 1.0", w.trusted(""), "https://"+w.web("127.0.0.1:0", oldest)+"/ok", "tls")
	add("TLS 1.0 allowed", "{enable_http2: false, tls_config: {ca_file: "+w.ca+", min_version: TLS10}}", "https://"+w.web("127.0.0.1:0", oldest)+"/ok", "")
	add("no TLS behind it", w.trusted(""), "https://"+w.web("127.0.0.1:0", nil)+"/ok", "tls")
	add("TLS behind plain HTTP", "", both+"/ok", "status")
	add("silent before the handshake", w.trusted(""), "https://"+w.tcp(silent)+"/", "timeout").timeout = "1s"
	add("reset before the handshake", w.trusted(""), "https://"+w.tcp(func(conn net.Conn) { hello(conn); reset(conn) })+"/", "reset")
	add("closed before the handshake", w.trusted(""), "https://"+w.tcp(hello)+"/", "tls")
	add("garbage in the handshake", w.trusted(""), "https://"+w.tcp(func(conn net.Conn) { conn.Write([]byte("220 smtp\r\n")); silent(conn) })+"/", "tls")
	add("nobody listens", w.trusted(""), "https://"+w.closed()+"/", "refused")
	w.web("127.0.0.1:443", w.server(w.good))
	add("the default port", w.trusted(""), "https://127.0.0.1/ok", "")
}

func elsewhere(w *world, add adder) {
	plain := w.web("127.0.0.1:0", nil)
	secure := w.web("127.0.0.1:0", w.server(w.good))
	other := w.web("127.0.0.1:0", w.server(w.good))
	expired := w.web("127.0.0.1:0", w.server(w.expired))
	to := func(from, location string) string { return from + "/to?url=" + url.QueryEscape(location) }
	add("a redirect to https", w.trusted(""), to(plain, "https://"+secure+"/ok"), "", "probe_http_ssl 1", "probe_http_redirects 1")
	add("a redirect to https of another name", w.trusted(""), to(plain, "https://four.test:"+port(secure)+"/sni/four.test"), "")
	add("a redirect from https", w.trusted(""), to("https://"+secure, "http://"+plain+"/ok"), "", "probe_http_ssl 0")
	add("a redirect from https, TLS wanted", "{tls_config: {ca_file: "+w.ca+"}, fail_if_not_ssl: true}", to("https://"+secure, "http://"+plain+"/ok"), "tls")
	add("a redirect to another port", w.trusted(""), to("https://four.test:"+port(secure), "https://four.test:"+port(other)+"/ok"), "")
	add("a redirect to another name with server_name", w.trusted("server_name: host.test"), to("https://"+secure, "https://four.test:"+port(other)+"/sni/four.test"), "")
	add("a redirect to an expired certificate", w.trusted(""), to(plain, "https://"+expired+"/ok"), "certificate", "probe_http_redirects 1")
	add("a redirect from https not followed", "{tls_config: {ca_file: "+w.ca+"}, follow_redirects: false, valid_status_codes: [302]}", to("https://"+secure, "/ok"), "", "probe_http_ssl 1")
	add("a cookie over https", w.trusted(""), "https://"+secure+"/bake", "")
}
