package probe_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/onefiveten/onefiveten/config"
	"github.com/onefiveten/onefiveten/probe"
)

// file is what a command makes of modules.
type file struct {
	Modules map[string]probe.Module `yaml:"modules"`
}

func (f *file) SetDirectory(dir string) {
	for name, m := range f.Modules {
		m.SetDirectory(dir)
		f.Modules[name] = m
	}
}

func (f *file) Check(report func(path, text string)) {
	for name, m := range f.Modules {
		m.Check(func(path, text string) { report("modules."+name+"."+path, text) })
	}
}

func TestModule_FileOfBlackboxExporterLoads(t *testing.T) {
	var f file
	if err := config.Load("testdata/blackbox.yml", &f); err != nil {
		t.Fatal(err)
	}
	for name, m := range f.Modules {
		if _, err := probe.New(m, probe.NewNetwork()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	post, tcp, gzip := f.Modules["http_post_body_file"], f.Modules["tcp_connect_example"], f.Modules["http_gzip_with_accept_encoding"]
	if post.Timeout != 1500*time.Millisecond || post.HTTP.BodyFile != "testdata/body.txt" {
		t.Errorf("timeout %v, body %q", post.Timeout, post.HTTP.BodyFile)
	}
	if ca := f.Modules["http_custom_ca_example"].HTTP.HTTPClientConfig.TLSConfig.CAFile; ca != "testdata/certs/my_cert.crt" {
		t.Errorf("ca_file %q", ca)
	}
	if bearer := f.Modules["http_bearer"].HTTP.HTTPClientConfig.Authorization; bearer.CredentialsFile != "testdata/token" || bearer.Type != "Bearer" {
		t.Errorf("bearer token: %+v", bearer)
	}
	if f.Modules["http_gzip"].HTTP.BodySizeLimit != 10<<20 || gzip.HTTP.HTTPClientConfig.FollowRedirects {
		t.Errorf("limit %d, redirects %v", f.Modules["http_gzip"].HTTP.BodySizeLimit, gzip.HTTP.HTTPClientConfig.FollowRedirects)
	}
	for name, fallback := range map[string]bool{"http": post.HTTP.IPProtocolFallback, "tcp": tcp.TCP.IPProtocolFallback, "http2": post.HTTP.HTTPClientConfig.EnableHTTP2} {
		if !fallback {
			t.Errorf("%s: default is lost without a block", name)
		}
	}
	if p, err := probe.New(post, probe.NewNetwork()); err != nil || p.Timeout() != 1500*time.Millisecond {
		t.Errorf("timeout of the prober: %v, %v", p.Timeout(), err)
	}
}

func TestModule_EveryMistakeHasItsPath(t *testing.T) {
	err := config.Parse("b.yml", []byte(`modules:
  none: {}
  odd: {prober: smtp, timeout: -1s}
  ping: {prober: websocket}
  web:
    prober: http
    timeout: 5
    dns: {}
    http:
      preferred_ip_protocol: ipv6
      body: a
      body_file: b
      method: "BAD METHOD"
      valid_http_versions: [HTTP/4, "1.1"]
      enable_http3: true
      fail_if_body_json_matches_cel: x > 1
      fail_if_header_matches: [{header: a}, {regexp: a}]
      body_size_limit: much
  more:
    prober: http
    http:
      compression: zstd
      headers: {accept-encoding: gzip}
      fail_if_body_matches_regexp: ["("]
  auth:
    prober: http
    http: {basic_auth: {username: a}, bearer_token: b}
  ref:
    prober: http
    http: {authorization: {credentials_ref: vault}}
  typo:
    prober: http
    http: {valid_status_code: [200], tls_config: {ca_fil: x}}
  tcp:
    prober: tcp
    tcp:
      preferred_ip_protocol: "4"
      source_ip_address: here
      query_response:
      - {expect: a, expect_bytes: b}
      - {send: a, labels: [{name: x, value: y}]}
      - {expect: a, labels: [{name: 0-0, value: y}]}
      - {expect: a, labels: [{name: x, value: y}, {name: x, value: z}, {name: __name__, value: z}]}
`), new(file))
	want := `b.yml:2: modules.none.prober: missing; want dns, grpc, http, icmp, tcp or unix
b.yml:3: modules.odd.prober: unknown prober "smtp"; want dns, grpc, http, icmp, tcp or unix
b.yml:3: modules.odd.timeout: want a positive duration, got -1s
b.yml:4: modules.ping.prober: "websocket" is known, not yet available; want dns, grpc, http, icmp, tcp or unix
b.yml:7: modules.web.timeout: want a duration with its unit, such as 30s or 5m, got "5"
b.yml:10: modules.web.http.preferred_ip_protocol: want ip4 or ip6, got "ipv6"
b.yml:12: modules.web.http.body_file: body is given too; want one of the two
b.yml:13: modules.web.http.method: "BAD METHOD" is no HTTP method
b.yml:14: modules.web.http.valid_http_versions: want HTTP/1.0, HTTP/1.1 or HTTP/2.0, got ["HTTP/4" "1.1"]; HTTP/3 is known, not yet available
b.yml:15: modules.web.http.enable_http3: HTTP/3 is known, not yet available; want false, which probes over HTTP/2 or HTTP/1.1
b.yml:16: modules.web.http.fail_if_body_json_matches_cel: CEL expression "x > 1": undeclared reference to 'x' (line 1, column 1)
b.yml:17: modules.web.http.fail_if_header_matches[0].regexp: missing
b.yml:17: modules.web.http.fail_if_header_matches[1].header: missing
b.yml:18: modules.web.http.body_size_limit: want an amount of data such as 512B, 64KB or 10MB, got "much"
b.yml:22: modules.more.http.compression: want br, deflate, gzip or identity, got "zstd"
b.yml:22: modules.more.http.compression: zstd is not accepted by the header accept-encoding: gzip
b.yml:24: modules.more.http.fail_if_body_matches_regexp[0]: regular expression "(": error parsing regexp: missing closing ): ` + "`(`" + `
b.yml:27: modules.auth.http: at most one of basic_auth, oauth2, bearer_token & bearer_token_file must be configured
b.yml:30: modules.ref.http.authorization: secret "vault": there is no secret manager; name a file
b.yml:33: modules.typo.http.tls_config.ca_fil: unknown key; did you mean "ca_file"?
b.yml:33: modules.typo.http.valid_status_code: unknown key; did you mean "valid_status_codes"?
b.yml:37: modules.tcp.tcp.preferred_ip_protocol: want ip4 or ip6, got "4"
b.yml:38: modules.tcp.tcp.source_ip_address: "here" is no IP address
b.yml:40: modules.tcp.tcp.query_response[0].expect_bytes: expect is given too; want one of the two
b.yml:42: modules.tcp.tcp.query_response[2].labels[0].name: "0-0" is no label name
b.yml:43: modules.tcp.tcp.query_response[3].labels[1].name: label name "x" stands twice in labels
b.yml:43: modules.tcp.tcp.query_response[3].labels[2].name: label name "__name__" is reserved`
	got := fmt.Sprint(err)
	if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(got, "\n")); diff != "" {
		t.Error(diff)
	}
}

func TestAHeaderThatCannotBeSentIsAMistake(t *testing.T) {
	err := config.Parse("b.yml", []byte(`modules:
  m:
    prober: http
    http:
      headers:
        X Good: a
        "": a
        X-Lines: "topsecret\nb"
        Host: a/b
        X-Tab: "a\tb"
        X-Word: Grüße
`), new(file))
	want := `b.yml:5: modules.m.http.headers: "" is no name of a header
b.yml:6: modules.m.http.headers.X Good: "X Good" is no name of a header
b.yml:8: modules.m.http.headers.X-Lines: the value holds a line end or another control character
b.yml:9: modules.m.http.headers.Host: the value is no host`
	if got := fmt.Sprint(err); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestATargetThatCouldNeverBeProbedIsToldBefore(t *testing.T) {
	for _, c := range []struct{ prober, target, want string }{
		{"http", "127.0.0.1", ""},
		{"http", "shop.test:8080/health?from=http://x", ""},
		{"http", "https://[::1]:8443/", ""},
		{"http", "HTTP://shop.test/", `target: scheme is "HTTP"; want http or https`},
		{"http", "tcp://shop.test:80", `target: scheme is "tcp"; want http or https`},
		{"http", "http:///health", "target: the URL has no host"},
		{"http", "http://shop.test:0", `target: port is "0"; want a number from 1 to 65535`},
		{"http", "http://me:topsecret@shop.test", "target: the URL holds a user, which every result would show; want it in basic_auth of the module"},
		{"http", "topsecret@shop.test", "target: the URL holds a user, which every result would show; want it in basic_auth of the module"},
		{"http", "me:top/secret@shop.test:80", "target: it is no URL; want http://host:port/path"},
		{"http", "http://me:top?secret@shop.test", "target: it is no URL; want http://host:port/path"},
		{"icmp", "shop.test", ""},
		{"tcp", "shop.test:80", ""},
		{"tcp", "[::1]:80", ""},
		{"tcp", "shop.test", "target: missing port in address; want host:port"},
		{"tcp", "http://shop.test:80", "target: too many colons in address; want host:port"},
	} {
		got := ""
		if err := (&probe.Module{Prober: c.prober}).CheckTarget(c.target); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s %s: got %q, want %q", c.prober, c.target, got, c.want)
		}
	}
}

func TestSettingsOfTLSThatCannotWorkAreMistakes(t *testing.T) {
	for text, want := range map[string]string{
		"ca: no certificate":      "b.yml:1: modules.m.BLOCK.tls_config: ",
		"ca_ref: vault":           `b.yml:1: modules.m.BLOCK.tls_config.ca_ref: secret "vault": there is no secret manager; name a file`,
		"cert: a, key_ref: vault": `b.yml:1: modules.m.BLOCK.tls_config.key_ref: secret "vault": there is no secret manager; name a file`,
		"cert: a, key: b":         "b.yml:1: modules.m.BLOCK.tls_config: ",
		"ca_file: gone.pem":       "",
		"server_name: shop":       "",
	} {
		for _, block := range []string{"tcp", "http"} {
			err := config.Parse("b.yml", []byte("modules: {m: {prober: "+block+", "+block+": {tls_config: {"+text+"}}}}"), new(file))
			want := strings.Replace(want, "BLOCK", block, 1)
			if got := fmt.Sprint(err); (err != nil) != (want != "") || !strings.HasPrefix(got, want) && want != "" {
				t.Errorf("%s of %s: got %s, want %s", text, block, got, want)
			}
		}
	}
}

func TestModule_HidesSecretsWhenItIsShown(t *testing.T) {
	var f file
	if err := config.Load("testdata/blackbox.yml", &f); err != nil {
		t.Fatal(err)
	}
	shown, err := yaml.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"mysecret", "abc", "client_secret: b", "secret]", "example.com\n        Origin"} {
		if strings.Contains(string(shown), secret) {
			t.Errorf("%q is shown", secret)
		}
	}
	for _, text := range []string{"Host: vhost.example.com", "Origin: <secret>", "regexp: (\\*|example\\.com)", "expect: OK.*STARTTLS", "body_size_limit: 10485760"} {
		if !strings.Contains(string(shown), text) {
			t.Errorf("%q is not shown", text)
		}
	}
	// What is shown loads again.
	if err := config.Parse("shown.yml", shown, new(file)); err != nil {
		t.Error(err)
	}
}

func TestModule_MissingAndEmptyBlocksMeanTheSame(t *testing.T) {
	shown := func(text string) string {
		var f file
		if err := config.Parse("a.yml", []byte(text), &f); err != nil {
			t.Fatal(err)
		}
		out, err := yaml.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	for _, text := range []string{"modules: {a: {prober: http, http: {}}}", "modules: {a: {prober: http, http: , tcp: {}}}", "modules: {a: {tcp: ~, prober: http}}"} {
		if diff := cmp.Diff(shown("modules: {a: {prober: http}}"), shown(text)); diff != "" {
			t.Errorf("%s: %s", text, diff)
		}
	}
}

func TestModule_RefusesSecretsThatNobodyKeeps(t *testing.T) {
	for _, text := range []string{
		"basic_auth: {username_ref: x}", "basic_auth: {username: u, password_ref: x}", "authorization: {credentials_ref: x}",
	} {
		err := config.Parse("a.yml", []byte("modules: {a: {prober: http, http: {"+text+"}}}"), new(file))
		if want := `a.yml:1: modules.a.http.authorization: secret "x": there is no secret manager; name a file`; fmt.Sprint(err) != want {
			t.Errorf("%s: got %v", text, err)
		}
	}
}

func TestModule_ValueFalseOfALaterKeyAsksForNothing(t *testing.T) {
	if err := config.Parse("a.yml", []byte("modules: {a: {prober: http, http: {enable_http3: false}}}"), new(file)); err != nil {
		t.Error(err)
	}
	for _, text := range []string{"enable_http3: true", "enable_http3: yes"} {
		if err := config.Parse("a.yml", []byte("modules: {a: {prober: http, http: {"+text+"}}}"), new(file)); err == nil || !strings.Contains(err.Error(), "HTTP/3 is known, not yet available") {
			t.Errorf("%s: got %v", text, err)
		}
	}
}

// FuzzModule: whatever stands in a module, it is refused or makes a prober.
func FuzzModule(f *testing.F) {
	for _, seed := range []string{
		"prober: http", "{prober: http, http: {headers: {a: b}, compression: gzip}}", "{prober: tcp, tcp: {query_response: [{expect: '(', labels: [{}]}]}}",
		"{prober: http, http: {method: 'a b', body_size_limit: 1TB}}", "{prober: http, http: {bearer_token: a, proxy_url: '://'}}", "[]", "{prober: tcp, timeout: -1s}",
	} {
		f.Add([]byte("modules: {a: " + seed + "}"))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var got file
		if config.Parse("f.yml", text, &got) != nil {
			return
		}
		for name, m := range got.Modules {
			if _, err := probe.New(m, probe.NewNetwork()); err != nil {
				t.Errorf("%s passed Check, and then: %v", name, err)
			}
			if _, err := yaml.Marshal(m); err != nil {
				t.Errorf("%s cannot be shown: %v", name, err)
			}
		}
	})
}
