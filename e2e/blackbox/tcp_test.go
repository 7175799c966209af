package blackbox_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
)

// says writes a banner and waits for the end.
func says(text string) func(net.Conn) {
	return func(conn net.Conn) {
		io.WriteString(conn, text)
		silent(conn)
	}
}

// smtp speaks as far as mail servers do that are asked for TLS.
func (w *world) smtp(cert tls.Certificate) func(net.Conn) {
	return func(conn net.Conn) {
		io.WriteString(conn, "220 mail.test ESMTP ready\r\n")
		in := bufio.NewReader(conn)
		if !heard(in, "EHLO") {
			return
		}
		io.WriteString(conn, "250-mail.test\r\n250-STARTTLS\r\n250 HELP\r\n")
		if !heard(in, "STARTTLS") {
			return
		}
		io.WriteString(conn, "220 go ahead\r\n")
		secure := tls.Server(conn, w.server(cert))
		defer secure.Close()
		if secure.Handshake() != nil {
			return
		}
		if in = bufio.NewReader(secure); heard(in, "EHLO") {
			io.WriteString(secure, "250-mail.test\r\n250-AUTH PLAIN\r\n250 HELP\r\n")
			heard(in, "QUIT")
		}
	}
}

const mail = `{expect: "^220 ([^ ]+) ESMTP (.+)$"}, {send: "EHLO prober\r"}, {expect: "^250-STARTTLS"}, {send: "STARTTLS\r"}, {expect: "^220"}, {starttls: true}, {send: "EHLO prober\r"}, {expect: "^250-AUTH"}, {send: "QUIT\r"}`

// script is a block with steps.
func script(steps string, more ...string) string {
	return "{" + strings.Join(append([]string{"query_response: [" + steps + "]"}, more...), ", ") + "}"
}

// tcpCases are conversations over TCP, and connections that do not stand.
func tcpCases(w *world) (all []probeCase) {
	add := func(name, block, target, want string, shows ...string) *probeCase {
		all = append(all, probeCase{name: name, prober: "tcp", block: block, target: target, want: want, shows: shows})
		return &all[len(all)-1]
	}
	open := w.tcp(silent)
	add("a connection", "", open, "", "probe_failed_due_to_regex 0", "probe_failed_due_to_bytes 0")
	add("an empty block", "{}", open, "")
	add("nobody listens", "", w.closed(), "refused")
	add("no route", "", "192.0.2.1:80", "unreachable")
	add("closed at once", "", w.tcp(func(net.Conn) {}), "")
	add("IPv6", "", w.listen("tcp", "[::1]:0", silent), "", "probe_ip_protocol 6")
	add("a name with IPv4", "", "four.test:"+port(open), "", "probe_ip_protocol 4")
	add("a name with IPv4 without fallback", "{ip_protocol_fallback: false}", "four.test:"+port(open), "dns")
	add("a name with both", "{preferred_ip_protocol: ip4}", "both.test:"+port(open), "", "probe_ip_protocol 4")
	add("no such name", "", "nowhere.test:80", "dns")
	add("a name server that is silent", "", "silent.test:80", "dns").timeout = "1s"
	add("no port", "", "127.0.0.1", "internal")
	add("a port by name", "", "127.0.0.1:http", "") // the pages of another group, or nobody
	add("port 0", "", "127.0.0.1:0", "internal")
	add("a port out of range", "", "127.0.0.1:65536", "internal")
	add("too many colons", "", "::1:80", "internal")
	add("a source address", "{source_ip_address: 127.0.0.1}", open, "")
	add("a source address of another family", "{source_ip_address: '::1'}", open, "internal")
	add("a source address that is not ours", "{source_ip_address: 192.0.2.1}", open, "internal")
	add("hostname changes nothing", "", open, "").query = "hostname=host.test"
	add("a reset instead of a banner", script(`{send: hello}, {expect: "."}`), w.tcp(func(conn net.Conn) { heard(bufio.NewReader(conn), "hello"); reset(conn) }), "reset")
	conversations(w, "tcp", func(_ string, s func(net.Conn)) string { return w.tcp(s) }, add)
	secured(w, add)
	return all
}

// conversations are the same over tcp and unix.
func conversations(w *world, name string, at func(name string, script func(net.Conn)) string, add adder) {
	n := 0
	serve := func(s func(net.Conn)) string { n++; return at(fmt.Sprint(name, n), s) }
	ssh := serve(says("SSH-2.0-OpenSSH_9.2 Debian\r\n"))
	add("a banner", script(`{expect: "^SSH-2.0-"}`), ssh, "")
	add("another banner", script(`{expect: "^220"}`), serve(func(conn net.Conn) { io.WriteString(conn, "SSH-2.0\r\n") }), "content", "probe_failed_due_to_regex 1")
	add("another banner and silence", script(`{expect: "^220"}`), ssh, "timeout", "probe_failed_due_to_regex 0").timeout = "1s"
	add("labels", script(`{expect: "^SSH-2.0-([^ -]+)(?: (.*))?$", labels: [{name: ssh_version, value: "${1}"}, {name: ssh_comments, value: "${2}"}]}`), ssh, "",
		`probe_expect_info{ssh_comments="Debian",ssh_version="OpenSSH_9.2"} 1`)
	add("labels of nothing", script(`{expect: "^SSH-2.0-([^ -]+)(?: (.*))?$", labels: [{name: none, value: "${9}"}, {name: fixed, value: "a\"b"}]}`), ssh, "")
	add("labels of an odd banner", script(`{expect: "(.*)", labels: [{name: banner, value: "$1"}]}`), serve(says("a \"quoted\" \\ banner\x01 ü\r\n")), "")
	add("labels of no match", script(`{expect: "^220 (.*)", labels: [{name: banner, value: "$1"}]}`), serve(func(conn net.Conn) { io.WriteString(conn, "421 busy\r\n") }), "content")
	add("the last line has no end", script(`{expect: "^END$"}`), serve(func(conn net.Conn) { io.WriteString(conn, "one\r\nEND") }), "")
	add("a line among many", script(`{expect: "^line 999$"}`), serve(says(lines(1000))), "")
	add("nothing but the end", script(`{expect: ".*"}`), serve(func(net.Conn) {}), "content")
	add("an empty line", script(`{expect: "^$"}`), serve(says("\r\n")), "")
	add("a line beyond 64 KiB", script(`{expect: "a"}`), serve(says(strings.Repeat("a", 70_000)+"\n")), "size")
	add("silence", script(`{expect: "."}`), serve(silent), "timeout", "probe_failed_due_to_regex 0").timeout = "1s"
	irc := func(conn net.Conn) {
		in := bufio.NewReader(conn)
		if heard(in, "NICK prober") && heard(in, "USER prober") {
			io.WriteString(conn, ":irc NOTICE hello\r\nPING :1234\r\n")
		}
		if heard(in, "PONG 1234") {
			io.WriteString(conn, ":irc 001 welcome\r\n")
		}
		silent(conn)
	}
	add("irc", script(`{send: "NICK prober"}, {send: "USER prober prober prober :prober"}, {expect: "PING :([^ ]+)", send: "PONG ${1}"}, {expect: "^:[^ ]+ 001"}`), serve(irc), "")
	echo := serve(func(conn net.Conn) { io.Copy(conn, conn) })
	add("an echo", script(`{send: "hello"}, {expect: "^hello$"}`), echo, "")
	add("an echo of bytes", script(`{send: "hello"}, {expect_bytes: "hello\n"}`), echo, "")
	add("other bytes", script(`{send: "hello"}, {expect_bytes: "world\n"}`), echo, "content", "probe_failed_due_to_bytes 1")
	add("bytes in the midst of more", script(`{send: "hello"}, {expect_bytes: "hell"}`), echo, "")
	add("bytes twice", script(`{expect_bytes: ab}, {expect_bytes: cd}`), serve(says("abcd")), "")
	add("bytes and no more", script(`{expect_bytes: abcdef}`), serve(func(conn net.Conn) { io.WriteString(conn, "abc") }), "content")
	add("no bytes at all", script(`{expect_bytes: abc}`), serve(func(net.Conn) {}), "content")
	add("silence for bytes", script(`{expect_bytes: abc}`), serve(silent), "timeout").timeout = "1s"
	add("binary", script(`{send: !!binary AAAACATSFi8=}, {expect_bytes: !!binary AAAA}`), serve(says("\x00\x00\x00")), "")
	add("lines, then bytes", script(`{expect: "^hello$"}, {expect_bytes: world}`), serve(says("hello\nworld")), "").timeout = "2s"
	add("bytes, then lines", script(`{expect_bytes: hello}, {expect: "^world$"}`), serve(says("helloworld\n")), "")
	add("a group in what is sent", script(`{expect: "^([a-z]+) ([a-z]+)$", send: "$2 ${1}x $$ $3"}, {expect: "^got two onex [$] $"}`),
		serve(func(conn net.Conn) {
			io.WriteString(conn, "one two\n")
			line, _ := bufio.NewReader(conn).ReadString('\n')
			io.WriteString(conn, "got "+line)
			silent(conn)
		}), "")
	add("STARTTLS", script(mail, "tls_config: {ca_file: "+w.ca+", server_name: host.test}"), serve(w.smtp(w.good)), "")
	add("STARTTLS expired", script(mail, "tls_config: {ca_file: "+w.ca+", server_name: host.test}"), serve(w.smtp(w.expired)), "certificate")
	add("STARTTLS not verified", script(mail, "tls_config: {insecure_skip_verify: true}"), serve(w.smtp(w.alone)), "")
	add("STARTTLS and a missing ca_file", script(mail, "tls_config: {ca_file: "+w.dir+"/none.pem}"), serve(w.smtp(w.good)), "internal")
	add("STARTTLS and no TLS", script(`{starttls: true}`, "tls_config: {insecure_skip_verify: true}"), serve(says("502 no\r\n")), "tls")
	add("STARTTLS and the end", script(`{starttls: true}`, "tls_config: {insecure_skip_verify: true}"), serve(hello), "tls")
}

// lines are so many, numbered from 0.
func lines(count int) string {
	var b strings.Builder
	for i := range count {
		fmt.Fprintf(&b, "line %d\r\n", i)
	}
	return b.String()
}

// over speaks TLS from the beginning.
func (w *world) over(settings *tls.Config, script func(net.Conn)) func(net.Conn) {
	return func(conn net.Conn) {
		secure := tls.Server(conn, settings)
		defer secure.Close()
		if secure.Handshake() == nil {
			script(secure)
		}
	}
}

// secured are TCP probes over TLS.
func secured(w *world, add adder) {
	block := func(more ...string) string {
		return "{" + strings.Join(append(more, "tls: true", "tls_config: {ca_file: "+w.ca+"}"), ", ") + "}"
	}
	for name, c := range map[string]struct {
		cert tls.Certificate
		want string
	}{
		"good": {w.good, ""}, "expired": {w.expired, "certificate"}, "other name": {w.other, "certificate"}, "stranger": {w.foreign, "certificate"},
		"signed by itself": {w.alone, "certificate"}, "chain": {w.chained, ""}, "odd": {w.odd, ""},
	} {
		at := w.tcp(w.over(w.server(c.cert), silent))
		add("TLS "+name, block(), at, c.want)
		add("TLS "+name+", not verified", "{tls: true, tls_config: {insecure_skip_verify: true}}", at, "")
	}
	banner := w.tcp(w.over(w.server(w.good), says("* OK IMAP4rev1\r\n")))
	add("TLS and a banner", block(`query_response: [{expect: "OK (.*)", labels: [{name: banner, value: "$1"}]}]`), banner, "")
	add("TLS and another banner", block(`query_response: [{expect_bytes: BYE}]`), banner, "content")
	add("TLS of a name", block(), "four.test:"+port(banner), "")
	add("TLS with hostname", block(), banner, "").query = "hostname=host.test"
	add("TLS with hostname that is another", block(), banner, "certificate").query = "hostname=elsewhere.test"
	add("TLS with server_name before hostname", "{tls: true, tls_config: {ca_file: "+w.ca+", server_name: host.test}}", banner, "").query = "hostname=elsewhere.test"
	old := w.server(w.good)
	old.MaxVersion = tls.VersionTLS12
	add("TLS 1.2", block(), w.tcp(w.over(old, silent)), "", `probe_tls_version_info{version="TLS 1.2"} 1`)
	add("TLS 1.2 is too old", "{tls: true, tls_config: {ca_file: "+w.ca+", min_version: TLS13}}", w.tcp(w.over(old, silent)), "tls")
	asking := w.server(w.good)
	asking.ClientAuth, asking.ClientCAs = tls.RequireAndVerifyClientCert, w.roots
	add("TLS with a client certificate", "{tls: true, tls_config: {ca_file: "+w.ca+", cert_file: "+w.clientCert+", key_file: "+w.clientKey+"}}", w.tcp(w.over(asking, silent)), "")
	add("TLS to nobody", block(), w.closed(), "refused")
	add("TLS to silence", block(), w.tcp(silent), "timeout").timeout = "1s"
	add("TLS to plain text", block(), w.tcp(says("220 hello\r\n")), "tls")
	add("TLS to a reset", block(), w.tcp(func(conn net.Conn) { hello(conn); reset(conn) }), "reset")
	add("TLS with a missing ca_file", "{tls: true, tls_config: {ca_file: "+w.dir+"/none.pem}}", banner, "internal")
	add("a missing ca_file without TLS", "{tls_config: {ca_file: "+w.dir+"/none.pem}}", banner, "")
}

// unixCases are conversations over sockets in a folder.
func unixCases(w *world) (all []probeCase) {
	add := func(name, block, target, want string, shows ...string) *probeCase {
		all = append(all, probeCase{name: name, prober: "unix", block: block, target: target, want: want, shows: shows})
		return &all[len(all)-1]
	}
	at := func(name string, script func(net.Conn)) string {
		return w.listen("unix", filepath.Join(w.dir, name+".sock"), script)
	}
	open := at("open", silent)
	add("a connection", "", open, "", "probe_failed_due_to_regex 0", "probe_failed_due_to_bytes 0")
	add("no such socket", "", filepath.Join(w.dir, "none.sock"), "refused")
	add("no socket", "", w.write("plain", ""), "refused")
	add("a path too long", "", "/"+strings.Repeat("a", 200), "internal")
	add("hostname changes nothing", "", open, "").query = "hostname=host.test"
	for name, c := range map[string]struct {
		cert tls.Certificate
		want string
	}{"good": {w.good, ""}, "expired": {w.expired, "certificate"}} {
		add("TLS "+name, "{tls: true, tls_config: {ca_file: "+w.ca+", server_name: host.test}}", at("tls-"+name, w.over(w.server(c.cert), silent)), c.want)
	}
	add("TLS not verified", "{tls: true, tls_config: {insecure_skip_verify: true}}", at("tls", w.over(w.server(w.alone), silent)), "")
	add("TLS to silence", "{tls: true, tls_config: {insecure_skip_verify: true}}", open, "timeout").timeout = "1s"
	conversations(w, "talk", at, add)
	return all
}
