package blackbox_test

import (
	"net"
	"net/url"
	"strings"
)

// httpCases are probes over plain HTTP, through proxies, and of what is no HTTP.
func httpCases(w *world) (all []probeCase) {
	site := w.web("127.0.0.1:0", nil)
	add := func(name, block, target, want string, shows ...string) *probeCase {
		all = append(all, probeCase{name: name, prober: "http", block: block, target: target, want: want, shows: shows})
		return &all[len(all)-1]
	}
	simple(w, site, add)
	addresses(w, add)
	redirected(w, site, add)
	requested(w, site, add)
	bodies(w, site, add)
	headers(w, site, add)
	broken(w, add)
	authorized(w, site, add)
	proxied(w, site, add)
	documents(w, site, add)
	return all
}

// adder takes one more case: name, block, target, why it fails, what it shows.
type adder func(name, block, target, want string, shows ...string) *probeCase

func simple(w *world, site string, add adder) {
	add("200", "", site+"/ok", "", "probe_http_status_code 200", "probe_http_content_length 33", "probe_http_uncompressed_body_length 33", "probe_http_version 1.1")
	add("an empty block", "{}", site+"/ok", "")
	add("with a scheme", "", "http://"+site+"/ok", "")
	add("204", "", site+"/status/204", "", "probe_http_status_code 204")
	add("205", "", site+"/status/205", "")
	add("304", "", site+"/status/304", "status")
	add("404", "", site+"/status/404", "status", "probe_http_status_code 404", "probe_http_uncompressed_body_length 33")
	add("500", "", site+"/status/500", "status")
	add("a status of no meaning", "", site+"/status/799", "status", "probe_http_status_code 799")
	add("a valid 404", "{valid_status_codes: [200, 404]}", site+"/status/404", "")
	add("an invalid 200", "{valid_status_codes: [201]}", site+"/ok", "status")
	add("HTTP/1.1 wanted", `{valid_http_versions: ["HTTP/1.1"]}`, site+"/ok", "")
	add("HTTP/2 wanted", `{valid_http_versions: ["HTTP/2.0"]}`, site+"/ok", "protocol")
	add("TLS wanted", "{fail_if_not_ssl: true}", site+"/ok", "tls")
	add("TLS wanted of a bad status", "{fail_if_not_ssl: true}", site+"/status/500", "status")
	add("no TLS wanted", "{fail_if_ssl: true}", site+"/ok", "")
	add("nobody listens", "", w.closed(), "refused", "probe_http_status_code 0", "probe_http_content_length 0")
	add("nobody listens, TLS wanted", "{fail_if_not_ssl: true}", w.closed(), "refused")
	add("no route", "", "192.0.2.1", "unreachable")
	add("no route for IPv6", "", "[2001:db8::1]:80", "unreachable")
	add("slow header", "", site+"/slow/header", "timeout").timeout = "1s"
	add("slow body", "", site+"/slow/body", "timeout", "probe_http_status_code 200", "probe_http_uncompressed_body_length 33").timeout = "2s"
	add("slow body for an expression", "{fail_if_body_matches_regexp: [fox]}", site+"/slow/body", "timeout").timeout = "2s"
	add("aborted header", "", site+"/abort/header", "reset")
	add("aborted body", "", site+"/abort/body", "reset", "probe_http_content_length 100")
	add("hints before the answer", "", site+"/hints", "")
	add("the scrape ends before the server", "", site+"/slow/header", "timeout").header = "1.5"
	add("the module ends before the scrape", "", site+"/slow/header", "timeout").timeout = "1s"
	add("a scrape without a limit", "", site+"/ok", "").header = "0"
	late := add("a scrape that is over before it begins", "", site+"/slow/header", "timeout")
	late.timeout, late.header = "1s", "0.25"
	add("no time at all", "", site+"/ok", "timeout").header = "0.5"
}

func addresses(w *world, add adder) {
	_, number, _ := net.SplitHostPort(w.web("127.0.0.1:0", nil))
	w.web("[::1]:"+number, nil) // both.test is alive on both
	w.web("127.0.0.1:80", nil)
	w.web("[::1]:80", nil)
	single := w.web("127.0.0.1:81", nil)
	add("the default port", "", "127.0.0.1/ok", "")
	add("the default port of IPv6", "", "[::1]/ok", "", "probe_ip_protocol 6")
	add("a name", "", "localhost:"+number+"/ok", "", "probe_ip_protocol 6")
	for _, host := range []string{"four.test", "six.test", "both.test", "127.0.0.1", "[::1]", "[::ffff:127.0.0.1]"} {
		for _, family := range []string{"", "preferred_ip_protocol: ip4", "preferred_ip_protocol: ip6"} {
			for _, strict := range []string{"", "ip_protocol_fallback: false"} {
				want := ""
				six := host == "six.test" || host == "[::1]"
				if strict != "" && (six && strings.HasSuffix(family, "4") || !six && host != "both.test" && !strings.HasSuffix(family, "4")) {
					want = "dns"
				}
				name := strings.TrimSpace(host + " " + strings.TrimPrefix(family, "preferred_ip_protocol: ") + " " + strict)
				add(name, "{"+strings.Trim(family+", "+strict, ", ")+"}", host+":"+number+"/ok", want)
			}
		}
	}
	add("preferred family is not alive", "", "both.test:"+port(single)+"/ok", "refused", "probe_ip_protocol 6")
	add("no such name", "", "nowhere.test", "dns", "probe_ip_protocol 0", "probe_ip_addr_hash 0")
	add("no such name without fallback", "{ip_protocol_fallback: false}", "nowhere.test", "dns")
	add("a name without addresses", "", "none.test", "dns")
	add("a name server that fails", "", "broken.test", "dns")
	add("a name server that is silent", "", "silent.test", "dns").timeout = "1s"
	add("no URL", "", "http://[::1", "internal")
	add("a host with a blank", "", "http://four .test/", "internal")
	add("a port that is none", "", "127.0.0.1:http", "internal")
	add("a port out of range", "", "127.0.0.1:99999", "internal")
	add("a path with blanks and letters", "", single+"/is?method=GET&x y=ö", "status")
	add("another scheme", "", "ftp://127.0.0.1", "internal")
	add("no host", "", "http://", "internal")
	add("only a path", "", "/ok", "internal")
	add("a fragment", "", single+"/ok#part", "")
	add("a URL with a user", "", "http://client:secret@"+single+"/is?Authorization=Basic+Y2xpZW50OnNlY3JldA%3D%3D", "")
}

func redirected(w *world, site string, add adder) {
	to := func(location string) string { return site + "/to?url=" + url.QueryEscape(location) }
	add("a relative redirect", "", to("/ok"), "", "probe_http_redirects 1", "probe_http_status_code 200")
	add("a redirect beside itself", "", to("ok"), "")
	add("an absolute redirect", "", to("http://"+site+"/ok"), "")
	add("a redirect to another name", "", to("http://localhost.:"+port(site)+"/ok"), "dns")
	add("a redirect to a name of the same", "", to("http://four.test:"+port(site)+"/ok"), "", "probe_ip_protocol 4")
	add("a redirect to nowhere", "", to("http://nowhere.test/ok"), "dns", "probe_http_redirects 1")
	add("a redirect to nobody", "", to("http://"+w.closed()+"/"), "refused")
	add("a redirect without a scheme", "", to("//"+site+"/ok"), "")
	add("a redirect to no scheme of ours", "", to("ftp://"+site+"/ok"), "protocol")
	add("a redirect to no URL", "", to("http://[::1"), "protocol")
	add("an empty redirect", "", to(""), "status")
	add("a redirect without a location", "", site+"/to", "status", "probe_http_status_code 302")
	add("ten redirects", "", site+"/times/10", "", "probe_http_redirects 10")
	add("eleven redirects", "", site+"/times/11", "status", "probe_http_redirects 11", "probe_http_status_code 302")
	add("eleven redirects, 302 is valid", "{valid_status_codes: [302]}", site+"/times/11", "")
	add("a cookie on the way", "", site+"/bake", "", "probe_http_redirects 1")
	add("a redirect not followed", "{follow_redirects: false}", to("/ok"), "status", "probe_http_redirects 1", "probe_http_status_code 302")
	add("a redirect not followed, 302 is valid", "{follow_redirects: false, valid_status_codes: [302]}", to("/ok"), "")
	add("a redirect not followed, by the older name", "{no_follow_redirects: true, valid_status_codes: [302]}", to("/ok"), "")
	add("a redirect followed, by the older name", "{no_follow_redirects: false}", to("/ok"), "")
	add("the body of a redirect not followed", "{follow_redirects: false, valid_status_codes: [302], fail_if_body_not_matches_regexp: [fox]}", to("/ok"), "")
	add("the header of a redirect not followed", "{follow_redirects: false, valid_status_codes: [302], fail_if_header_not_matches: [{header: Location, regexp: '^/ok$'}]}", to("/ok"), "")
	add("a redirect with a fragment", "", to("/ok#part"), "")
	for code, method := range map[string]string{"301": "GET", "302": "GET", "303": "GET", "307": "POST", "308": "POST"} {
		sent := map[string]string{"GET": "", "POST": "&body=data"}[method]
		add("POST redirected by "+code, "{method: POST, body: data}", to("/is?method="+method+sent)+"&code="+code, "", "probe_http_redirects 1")
		add("PUT of a file redirected by "+code, "{method: PUT, body_file: "+w.write("put.txt", "data")+"}", to("/ok")+"&code="+code, "")
	}
	add("HEAD redirected", "{method: HEAD}", to("/is?method=HEAD"), "")
	add("300 leads nowhere", "", to("/ok")+"&code=300", "status")
	add("credentials stay at home", "{http_headers: {X-Key: {secrets: [k]}}, basic_auth: {username: u, password: p}}", to("http://four.test:"+port(site)+"/is?Authorization=&X-Key="), "")
	add("Host is for the target", "{headers: {Host: host.test}}", to("/is?host=host.test"), "")
	add("Host is not for another", "{headers: {Host: host.test}}", to("http://four.test:"+port(site)+"/is?host=four.test:"+port(site)), "")
}

func requested(w *world, site string, add adder) {
	for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS", "PATCH", "PURGE"} {
		add(method, "{method: "+method+"}", site+"/is?method="+method, "")
	}
	add("HEAD", "{method: HEAD}", site+"/ok", "", "probe_http_content_length 33", "probe_http_uncompressed_body_length 0")
	add("a body", "{method: POST, body: data}", site+"/is?body=data&length=4", "")
	add("a body with GET", "{body: data}", site+"/is?body=data&method=GET", "")
	file := w.write("body.txt", "from a file")
	add("a body from a file", "{method: POST, body_file: "+file+"}", site+"/is?body=from+a+file", "")
	add("a body from a file that is missing", "{method: POST, body_file: "+file+".missing}", site+"/ok", "internal")
	add("headers", "{headers: {X-One: a b, accept-language: de}}", site+"/is?X-One=a+b&Accept-Language=de", "")
	add("Host", "{headers: {host: host.test}}", site+"/is?host=host.test", "")
	add("hostname", "", site+"/is?host=host.test", "").query = "hostname=host.test"
	add("hostname that is the module's", "{headers: {Host: host.test}}", site+"/is?host=host.test", "").query = "hostname=host.test"
	add("an agent of the module", "{headers: {User-Agent: mine}}", site+"/is?User-Agent=mine", "")
	add("the agent", "", site+"/agent", "status")
	add("no encoding is asked for", "", site+"/is?Accept-Encoding=", "")
	add("http_headers", "{http_headers: {X-Two: {values: [a, b]}}}", site+"/is?X-Two=a%7Cb", "")
	add("http_headers from a file", "{http_headers: {X-Key: {files: ["+w.write("header.txt", "key\n")+"]}}}", site+"/is?X-Key=key", "")
	add("http_headers from a file that is missing", "{http_headers: {X-Key: {files: ["+w.dir+"/missing]}}}", site+"/ok", "internal")
}

func bodies(w *world, site string, add adder) {
	add("an empty body", "", site+"/empty", "", "probe_http_content_length 0")
	add("a big body", "", site+"/big", "", "probe_http_uncompressed_body_length 5.24288e+06")
	add("a chunked body", "", site+"/chunked", "", "probe_http_content_length -1", "probe_http_uncompressed_body_length 99")
	add("a body within the limit", "{body_size_limit: 33B}", site+"/ok", "", "probe_http_uncompressed_body_length 33")
	add("a body beyond the limit", "{body_size_limit: 32B}", site+"/ok", "size", "probe_http_uncompressed_body_length 32")
	add("a big body beyond the limit", "{body_size_limit: 1MB}", site+"/big", "size", "probe_http_uncompressed_body_length 1.048576e+06")
	add("a body beyond the limit, matched", "{body_size_limit: 20B, fail_if_body_matches_regexp: [nothing]}", site+"/ok", "size")
	add("a body that matches", "{fail_if_body_matches_regexp: [cat, fox]}", site+"/ok", "content", "probe_failed_due_to_regex 1")
	add("a body that does not match", "{fail_if_body_matches_regexp: [cat, dog]}", site+"/ok", "")
	add("a body that matches as it must", "{fail_if_body_not_matches_regexp: [fox, quick]}", site+"/ok", "")
	add("a body that must match and does not", "{fail_if_body_not_matches_regexp: [fox, cat]}", site+"/ok", "content", "probe_failed_due_to_regex 1")
	add("a body is not matched after a bad status", "{fail_if_body_matches_regexp: [fox]}", site+"/status/500", "status", "probe_failed_due_to_regex 0")
	add("an empty body that must match", "{fail_if_body_not_matches_regexp: [.]}", site+"/empty", "content")
	add("a big body that matches", "{fail_if_body_not_matches_regexp: [0123$, f0]}", site+"/big", "content")
	add("an aborted body that matches", "{fail_if_body_matches_regexp: [cat]}", site+"/abort/body", "reset")
	for _, coding := range []string{"gzip", "deflate", "br"} {
		add(coding, "{compression: "+coding+"}", site+"/packed/"+coding, "", "probe_http_uncompressed_body_length 3300")
		add(coding+" matched", "{compression: "+coding+", fail_if_body_not_matches_regexp: ['(quick.*\\n.*){100}']}", site+"/packed/"+coding, "")
		add(coding+" cut off", "{compression: "+coding+"}", site+"/packed/"+coding+"/cut", "content")
		add(coding+" that is none", "{compression: "+coding+"}", site+"/ok", "content")
		add(coding+" beyond the limit", "{compression: "+coding+", body_size_limit: 1KB}", site+"/packed/"+coding, "size", "probe_http_uncompressed_body_length 1024")
		add(coding+" accepted", "{compression: "+coding+", headers: {Accept-Encoding: "+coding+"}}", site+"/packed/"+coding+"/wished", "")
		add(coding+" is not accepted by itself", "{compression: "+coding+"}", site+"/packed/"+coding+"/wished", "")
	}
	add("gzip of a bad status", "{compression: gzip}", site+"/status/500", "status")
	add("gzip of nothing", "{compression: gzip}", site+"/empty", "content")
	add("gzip of nothing, 204", "{compression: gzip}", site+"/status/204", "content")
	add("gzip of HEAD", "{compression: gzip, method: HEAD}", site+"/packed/gzip", "content")
	add("identity", "{compression: identity}", site+"/ok", "")
	add("gzip that nobody unpacks", "", site+"/packed/gzip", "")
}

func headers(w *world, site string, add adder) {
	page := site + "/header?X-One=first&X-One=second"
	rule := func(kind, header, expression, more string) string {
		return "{" + kind + ": [{header: " + header + ", regexp: '" + expression + "'" + more + "}]}"
	}
	for _, kind := range []string{"fail_if_header_matches", "fail_if_header_not_matches"} {
		verdict := func(matched bool) string {
			return map[bool]string{true: "content"}[matched == (kind == "fail_if_header_matches")]
		}
		add(kind+" the second value", rule(kind, "X-One", "^second$", ""), page, verdict(true))
		add(kind+" none", rule(kind, "X-One", "^third$", ""), page, verdict(false))
		add(kind+" by another spelling", rule(kind, "x-oNE", "first", ""), page, verdict(true))
		add(kind+" missing", rule(kind, "X-Two", ".*", ""), page, "content", "probe_failed_due_to_regex 1")
		add(kind+" missing, allowed", rule(kind, "X-Two", ".*", ", allow_missing: true"), page, "")
		add(kind+" empty value", rule(kind, "X-Two", "^$", ""), page+"&X-Two=", verdict(true))
		add(kind+" after a bad status", rule(kind, "X-Two", ".*", ""), site+"/status/500", "status")
	}
	add("a good header and a bad body", "{fail_if_header_matches: [{header: X-One, regexp: none}], fail_if_body_matches_regexp: [fox]}", page, "content")
	add("a bad header and a good body", "{fail_if_header_matches: [{header: X-One, regexp: first}], fail_if_body_matches_regexp: [cat]}", page, "content", "probe_failed_due_to_regex 1")
	for name, value := range map[string]string{
		"Last-Modified": "Sat, 21 Nov 2026 13:40:23 GMT", "Last-Modified by RFC 850": "Saturday, 21-Nov-26 13:40:23 GMT", "Last-Modified of asctime": "Sat Nov 21 13:40:23 2026",
	} {
		add(name, "", site+"/header?Last-Modified="+url.QueryEscape(value), "", "probe_http_last_modified_timestamp_seconds 1.795268423e+09")
	}
	add("Last-Modified that is none", "", site+"/header?Last-Modified=yesterday", "")
	add("Last-Modified before 1970", "", site+"/header?Last-Modified="+url.QueryEscape("Wed, 01 Jan 1969 00:00:00 GMT"), "")
	add("Last-Modified of a bad status", "", w.raw("HTTP/1.1 500 No\r\nLast-Modified: Sat, 21 Nov 2026 13:40:23 GMT\r\nContent-Length: 0\r\n\r\n"), "status", "probe_http_last_modified_timestamp_seconds 1.795268423e+09")
}

// broken are answers that are hardly HTTP, or none.
func broken(w *world, add adder) {
	many := strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 20)
	for _, c := range []struct{ name, answer, want string }{
		{"nothing", "", "reset"},
		{"no HTTP", "SSH-2.0-OpenSSH_9.2\r\n", "protocol"},
		{"binary", "\x00\x01\x02\x03\xff\xfe\r\n\r\n", "protocol"},
		{"half a status line", "HTTP/1.1 200", "reset"},
		{"half a header", "HTTP/1.1 200 OK\r\nContent-Le", "protocol"},
		{"half of the headers", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n", "reset"},
		{"HTTP/1.0", "HTTP/1.0 200 OK\r\n\r\n" + body, ""},
		{"HTTP/1.0 with a length", "HTTP/1.0 200 OK\r\nContent-Length: 33\r\n\r\n" + body, ""},
		{"HTTP/0.9", body, "protocol"},
		{"HTTP/3.7", "HTTP/3.7 200 OK\r\nContent-Length: 0\r\n\r\n", ""},
		{"HTTP/2.0 in the clear", "HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n", ""},
		{"no reason", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", ""},
		{"only line feeds", "HTTP/1.1 200 OK\nContent-Length: 33\n\n" + body, ""},
		{"no length", "HTTP/1.1 200 OK\r\n\r\n" + body, ""},
		{"a length too great", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + body, "reset"},
		{"a length too small", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n" + body, ""},
		{"a length that is none", "HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n" + body, "protocol"},
		{"a negative length", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n" + body, "protocol"},
		{"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 33\r\nContent-Length: 34\r\n\r\n" + body, "protocol"},
		{"length and chunks", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n21\r\n" + body + "\r\n0\r\n\r\n", ""},
		{"a chunk that is none", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n" + body, "protocol"},
		{"chunks without an end", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n21\r\n" + body + "\r\n", "reset"},
		{"chunks with a trailer", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-End\r\n\r\n21\r\n" + body + "\r\n0\r\nX-End: yes\r\n\r\n", ""},
		{"an encoding of no meaning", "HTTP/1.1 200 OK\r\nTransfer-Encoding: odd\r\n\r\n" + body, "protocol"},
		{"a header without a colon", "HTTP/1.1 200 OK\r\nnonsense\r\n\r\n", "protocol"},
		{"a header with a blank in its name", "HTTP/1.1 200 OK\r\nX Y: z\r\nContent-Length: 0\r\n\r\n", ""},
		{"a folded header", "HTTP/1.1 200 OK\r\nX-One: a\r\n b\r\nContent-Length: 0\r\n\r\n", ""},
		{"a status that is none", "HTTP/1.1 ok OK\r\n\r\n", "protocol"},
		{"a status of two digits", "HTTP/1.1 20 OK\r\n\r\n", "protocol"},
		{"status 000", "HTTP/1.1 000 OK\r\nContent-Length: 0\r\n\r\n", "status"},
		{"101", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n", "status"},
		{"100 before the answer", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", ""},
		{"100 five times", strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 5) + "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", ""},
		{"100 too often", many + "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "protocol"},
		{"204 with a body", "HTTP/1.1 204 No Content\r\nContent-Length: 33\r\n\r\n" + body, ""},
		{"a large header", "HTTP/1.1 200 OK\r\nX-Large: " + strings.Repeat("a", 500_000) + "\r\nContent-Length: 0\r\n\r\n", ""},
		{"an answer over TLS", "\x15\x03\x01\x00\x02\x02\x46", "protocol"},
	} {
		add("answer: "+c.name, "", w.raw(c.answer), c.want)
	}
	add("a reset", "", w.tcp(func(conn net.Conn) { request(conn); reset(conn) }), "reset")
	add("a reset in the header", "", w.tcp(func(conn net.Conn) { request(conn); conn.Write([]byte("HTTP/1.1 200 OK\r\n")); reset(conn) }), "reset")
	add("a silent server", "", w.tcp(silent), "timeout").timeout = "1s"
}

func authorized(w *world, site string, add adder) {
	basic := site + "/is?Authorization=Basic+dXNlcjpwYXNz"
	add("basic_auth", "{basic_auth: {username: user, password: pass}}", basic, "")
	add("basic_auth from a file", "{basic_auth: {username: user, password_file: "+w.write("password", "pass\n")+"}}", basic, "")
	add("basic_auth from a file that is missing", "{basic_auth: {username: user, password_file: "+w.dir+"/missing}}", basic, "internal")
	add("basic_auth that is wrong", "{basic_auth: {username: user, password: other}}", basic, "status")
	bearer := site + "/is?Authorization=Bearer+secret"
	add("bearer_token", "{bearer_token: secret}", bearer, "")
	add("bearer_token_file", "{bearer_token_file: "+w.write("token", "secret\n")+"}", bearer, "")
	add("authorization", "{authorization: {credentials: secret}}", bearer, "")
	add("authorization of another type", "{authorization: {type: Token, credentials: secret}}", site+"/is?Authorization=Token+secret", "")
	add("authorization kept for a redirect to itself", "{authorization: {credentials: secret}}", site+"/to?url="+url.QueryEscape("/is?Authorization=Bearer+secret"), "")
	add("authorization by a header", "{headers: {Authorization: Bearer secret}}", bearer, "")
	add("a header of Authorization and basic_auth", "{headers: {Authorization: Bearer secret}, basic_auth: {username: user, password: pass}}", bearer, "")
	oauth := func(secret string) string {
		return "{oauth2: {client_id: client, client_secret: " + secret + ", token_url: 'http://" + site + "/token'}}"
	}
	add("oauth2", oauth("secret"), site+"/is?Authorization=Bearer+granted", "")
	add("oauth2 refused", oauth("wrong"), site+"/ok", "internal")
}

func proxied(w *world, site string, add adder) {
	plain := w.proxy("", "")
	names := w.proxy("host.test", "")
	through := func(addr, more string) string { return "{proxy_url: 'http://" + addr + "'" + more + "}" }
	add("a proxy", through(plain, ""), site+"/ok", "", "probe_http_status_code 200")
	add("a proxy is given the name", through(w.proxy("four.test", ""), ""), "four.test:"+port(site)+"/ok", "")
	add("a proxy keeps the status", through(plain, ""), site+"/status/404", "status")
	add("a proxy and a redirect", through(plain, ""), site+"/times/2", "", "probe_http_redirects 2")
	add("a proxy that refuses", through(names, ""), site+"/ok", "status", "probe_http_status_code 403")
	add("a proxy that resolves", through(w.proxy("four.test", ""), ", skip_resolve_phase_with_proxy: true"), "four.test:"+port(site)+"/ok", "")
	add("a proxy that cannot resolve", through(plain, ", skip_resolve_phase_with_proxy: true"), "nowhere.test/ok", "status", "probe_http_status_code 502")
	add("a name that does not resolve before the proxy", through(plain, ""), "nowhere.test/ok", "dns")
	add("skip_resolve_phase_with_proxy without a proxy", "{skip_resolve_phase_with_proxy: true}", "four.test:"+port(site)+"/ok", "")
	add("no proxy for a host", through(names, ", no_proxy: '127.0.0.1'"), site+"/ok", "")
	add("a proxy that is not there", through(w.closed(), ""), site+"/ok", "refused")
	add("a proxy that is silent", through(w.tcp(silent), ""), site+"/ok", "timeout").timeout = "1s"
	add("a proxy of the environment, which names none", "{proxy_from_environment: true}", site+"/ok", "")
	secure := w.web("127.0.0.1:0", w.server(w.good))
	add("a tunnel", through(plain, ", tls_config: {ca_file: "+w.ca+"}"), "https://"+secure+"/ok", "", "probe_http_ssl 1")
	add("a tunnel to HTTP/2", through(plain, ", tls_config: {ca_file: "+w.ca+"}, valid_http_versions: ['HTTP/2.0']"), "https://"+secure+"/ok", "")
	add("a tunnel with a header", through(w.proxy("", "yes"), ", tls_config: {ca_file: "+w.ca+"}, proxy_connect_header: {Via-Test: ['yes']}"), "https://"+secure+"/ok", "")
	add("a tunnel that is refused", through(w.proxy("", "yes"), ", tls_config: {ca_file: "+w.ca+"}"), "https://"+secure+"/ok", "protocol")
	add("a tunnel to a bad certificate", through(plain, ""), "https://"+secure+"/ok", "certificate")
	add("a tunnel to nobody", through(plain, ""), "https://"+w.closed()+"/ok", "protocol")
}

// documents are bodies that CEL judges.
func documents(_ *world, site string, add adder) {
	const sample = `{"foo":"bar","n":3,"list":[1,2,3],"deep":{"on":true},"none":null}`
	add2 := func(name, key, expression, text, want string, shows ...string) {
		add("CEL "+name, "{"+key+": \""+expression+"\"}", site+"/json?is="+url.QueryEscape(text), want, shows...)
	}
	const must, mustNot = "fail_if_body_json_not_matches_cel", "fail_if_body_json_matches_cel"
	add2("matches as it must", must, "body.foo == 'bar' && body.list.size() == 3", sample, "", "probe_failed_due_to_cel 0")
	add2("must match and does not", must, "body.foo == 'baz'", sample, "content", "probe_failed_due_to_cel 1")
	add2("matches and must not", mustNot, "body.deep.on", sample, "content", "probe_failed_due_to_cel 1")
	add2("does not match as it must not", mustNot, "body.n > 3.0", sample, "")
	add2("compares an integer", must, "body.n == 3", sample, "")
	add2("of a missing key", must, "body.missing == 1", sample, "content", "probe_failed_due_to_cel 1")
	add2("of a missing key that must not match", mustNot, "body.missing == 1", sample, "content")
	add2("asks for a key", mustNot, "has(body.missing)", sample, "")
	add2("is no truth value", must, "body.foo", sample, "content")
	add2("of no JSON", must, "body.foo == 'bar'", body, "content", "probe_failed_due_to_cel 1")
	add2("of an empty body", must, "true", "", "content")
	add2("of a list", must, "body[1] == 'b'", `["a","b"]`, "")
	add2("of a text", must, "body == 'a'", `"a"`, "")
	add2("of null", must, "body == null", "null", "")
	add2("of more than one document", must, "true", "{} {}", "content")
	add2("with an expression of text", must, "body.foo.matches('^b.r$') && body.foo.startsWith('b')", sample, "")
	add2("of a great number", must, "body.n == 12345678901234567890.0", `{"n":12345678901234567890}`, "")
	add2("that fails while it is computed", must, "1 / (int(body.n) - 3) > 0", sample, "content")
	add("CEL after a bad status", "{"+must+": 'body.foo == 1'}", site+"/status/500", "status", "probe_failed_due_to_cel 0")
	add("CEL without an answer", "{"+must+": 'body.foo == 1'}", "127.0.0.1:1", "refused", "probe_failed_due_to_cel 0")
	add("CEL of both kinds", "{"+must+": 'body.n == 3', "+mustNot+": \"body.foo == 'bar'\"}", site+"/json?is="+url.QueryEscape(sample), "content")
	add("CEL after an expression that read the body", "{fail_if_body_matches_regexp: [cat], "+must+": 'body.n == 3'}", site+"/json?is="+url.QueryEscape(sample), "", "probe_failed_due_to_cel 1")
}
