package probe

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/onefiveten/onefiveten/config"
)

// written is the name of a new file with that text.
func written(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestClient_SendsItsCredentialsFromEverySource(t *testing.T) {
	var got string
	site := web(t, func(_ http.ResponseWriter, r *http.Request) {
		got = fmt.Sprint(r.Header["Authorization"], r.Header["X-A"])
	})
	secret, user := written(t, "s3cret\n"), written(t, "user\n")
	for text, want := range map[string]string{
		"basic_auth: {username: user, password: s3cret}":                                "[Basic dXNlcjpzM2NyZXQ=] []",
		"basic_auth: {username_file: " + user + ", password_file: " + secret + "}":      "[Basic dXNlcjpzM2NyZXQ=] []",
		"basic_auth: {username: user}":                                                  "[Basic dXNlcjo=] []",
		"authorization: {credentials: s3cret}":                                          "[Bearer s3cret] []",
		"authorization: {type: Token, credentials_file: " + secret + "}":                "[Token s3cret] []",
		"bearer_token: s3cret":                                                          "[Bearer s3cret] []",
		"bearer_token_file: " + secret:                                                  "[Bearer s3cret] []",
		"http_headers: {x-a: {values: [b], secrets: [c], files: [" + secret + "]}}":     "[] [b c s3cret]",
		"headers: {X-A: a}, http_headers: {X-A: {values: [b]}}":                         "[] [a b]",
		"headers: {Authorization: mine}, basic_auth: {username: user, password: other}": "[mine] []",
	} {
		p := prober(t, "{prober: http, http: {"+text+"}}")
		for range 2 { // the second probe sends the same, and not twice as much
			if r := p.Run(t.Context(), site); !r.Success || got != want {
				t.Errorf("%s: got %s, want %s; %v", text, got, want, r.Err)
			}
		}
	}
}

func TestClient_ReadsAChangedSecretAtTheNextProbe(t *testing.T) {
	var got string
	site := web(t, func(_ http.ResponseWriter, r *http.Request) { got = r.Header.Get("Authorization") })
	file := written(t, "one")
	p := prober(t, "{prober: http, http: {authorization: {credentials_file: "+file+"}}}")
	for _, text := range []string{"one", "two"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		wantSuccess(t, p.Run(t.Context(), site))
		if got != "Bearer "+text {
			t.Errorf("got %q", got)
		}
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	r := p.Run(t.Context(), site)
	wantReason(t, r, Internal, "unable to read authorization credentials")
	wantValue(t, r, "probe_http_duration_seconds", 0, "connect")
}

func TestClient_SendsNoCredentialsInClearThatTheTargetGetsOverTLS(t *testing.T) {
	var got []string
	clear := web(t, func(_ http.ResponseWriter, r *http.Request) {
		got = append(got, fmt.Sprint(r.Header["Authorization"], r.Header["X-A"]))
	})
	s, ca := secureSite(t, false, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, clear, http.StatusFound) })
	var asked []string
	proxy := relay(t, &asked)
	for _, text := range []string{"basic_auth: {username: u, password: p}", "bearer_token: s", "http_headers: {X-A: {secrets: [s]}}"} {
		for _, more := range []string{"", ", proxy_url: '" + proxy + "'"} {
			got = nil
			wantSuccess(t, ask(t, "{prober: http, http: {"+text+more+", tls_config: {ca_file: "+ca+"}}}", s.URL))
			if diff := cmp.Diff([]string{"[] []"}, got); diff != "" {
				t.Errorf("%s%s: %s", text, more, diff)
			}
		}
	}
}

func TestClient_GetsATokenByOAuthOncePerHost(t *testing.T) {
	var mu sync.Mutex
	var asked []string
	tokens := web(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		user, password, _ := r.BasicAuth()
		r.ParseForm()
		asked = append(asked, fmt.Sprint(user, " ", password, " ", r.PostForm.Encode(), " ", r.UserAgent()))
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"access_token":"abc","token_type":"Bearer"}`)
	})
	other := web(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "%q", r.Header["Authorization"]) })
	site := web(t, func(w http.ResponseWriter, r *http.Request) {
		to := map[string]string{"/": "/next", "/next": strings.Replace(other, "127.0.0.1", "localhost", 1)}
		if r.Header.Get("Authorization") != "Bearer abc" {
			t.Errorf("%s: authorization %q", r.URL.Path, r.Header.Get("Authorization"))
		}
		http.Redirect(w, r, to[r.URL.Path], http.StatusFound)
	})
	secret := written(t, "s3cret\n")
	for _, text := range []string{"client_secret: s3cret", "client_secret_file: " + secret} {
		asked = nil
		r := ask(t, "{prober: http, http: {headers: {User-Agent: me/1}, fail_if_body_not_matches_regexp: ['^\\[\\]$'], preferred_ip_protocol: ip4, oauth2: {client_id: us, "+text+
			", scopes: [a, b], endpoint_params: {tenant: x}, token_url: '"+tokens+"'}}}", site)
		wantSuccess(t, r)
		if diff := cmp.Diff([]string{"us s3cret grant_type=client_credentials&scope=a+b&tenant=x me/1"}, asked); diff != "" {
			t.Errorf("%s: %s", text, diff)
		}
		for _, phase := range []string{"connect", "processing", "transfer"} {
			if got, _ := value(r, "probe_http_duration_seconds", phase); got <= 0 {
				t.Errorf("phase %s: %v", phase, got)
			}
		}
	}
}

func TestClient_TokenServerThatFailsFailsTheProbeInTime(t *testing.T) {
	site := web(t, func(http.ResponseWriter, *http.Request) { t.Error("the target was asked without a token") })
	refuses := web(t, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "topsecret", http.StatusUnauthorized) })
	for target, want := range map[string]struct {
		reason Reason
		text   string
	}{
		"http://" + serve(t, silent): {Timeout, ""},
		"http://" + closedPort(t):    {Refused, "connection refused"},
		refuses:                      {Internal, "asking token_url for a token: cannot fetch token: 401 Unauthorized"},
	} {
		timeout := 30 * time.Second
		if want.reason == Timeout {
			timeout = 100 * time.Millisecond
		}
		r := within(t, timeout, "{prober: http, http: {oauth2: {client_id: us, client_secret: s, token_url: '"+target+"'}}}", site)
		wantReason(t, r, want.reason, want.text)
		if strings.Contains(fmt.Sprint(r.Err), "topsecret") {
			t.Errorf("the error repeats what the server says: %v", r.Err)
		}
	}
	wantReason(t, ask(t, "{prober: http, http: {oauth2: {client_id: us, client_secret_file: /nowhere, token_url: '"+refuses+"'}}}", site), Internal, "/nowhere")
}

func TestClient_ErrorsOfTheTokenServerDoNotQuoteItsURL(t *testing.T) {
	s, _ := secureSite(t, false, nil)
	key, err := x509.MarshalPKCS8PrivateKey(s.TLS.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	signs := "grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer', client_certificate_key_file: " +
		written(t, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})))
	for _, way := range []string{"client_secret: s", signs} {
		target := "http://me:topsecret@" + closedPort(t) + "/topsecret?key=topsecret"
		r := ask(t, "{prober: http, http: {oauth2: {client_id: us, "+way+", token_url: '"+target+"'}}}", serve(t, silent))
		wantReason(t, r, Refused, "asking token_url for a token: dial tcp 127.0.0.1:")
		if strings.Contains(fmt.Sprint(r.Err), "topsecret") {
			t.Errorf("%s: got %v", way, r.Err)
		}
	}
}

func TestClient_CertificateOfAnotherIsNotShownForThatOfTheTarget(t *testing.T) {
	other, _ := secureSite(t, false, func(http.ResponseWriter, *http.Request) {})
	for _, setting := range []string{
		"proxy_url: '" + other.URL + "'", "oauth2: {client_id: us, client_secret: s, token_url: '" + other.URL + "'}",
	} {
		r := ask(t, "{prober: http, http: {"+setting+"}}", "https://"+serve(t, silent))
		wantReason(t, r, Certificate, "x509")
		if expiry, ok := value(r, "probe_ssl_earliest_cert_expiry"); ok {
			t.Errorf("%s: the expiry is %v", setting, expiry)
		}
	}
}

func TestClient_SignsItsRequestForATokenWithAKey(t *testing.T) {
	s, _ := secureSite(t, false, nil)
	key, err := x509.MarshalPKCS8PrivateKey(s.TLS.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	file := written(t, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})))
	var got url.Values
	tokens := web(t, func(w http.ResponseWriter, r *http.Request) {
		r.ParseForm()
		got = r.PostForm
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"access_token":"abc","token_type":"Bearer"}`)
	})
	site := web(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Header.Get("Authorization")) })
	var m Module
	text := "{prober: http, http: {fail_if_body_not_matches_regexp: [Bearer abc], oauth2: {client_id: us, grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer', " +
		"client_certificate_key_file: " + filepath.Base(file) + ", token_url: '" + tokens + "'}}}"
	if err := yaml.Unmarshal([]byte(text), &m); err != nil {
		t.Fatal(err)
	}
	m.SetDirectory(filepath.Dir(file)) // relative to the configuration as every other file
	p, err := New(m, NewNetwork())
	if err != nil {
		t.Fatal(err)
	}
	wantSuccess(t, p.Run(t.Context(), site))
	if got.Get("assertion") == "" {
		t.Errorf("the server of tokens was sent %v", got)
	}
}

func TestClient_TellsTheProxyWhatTheModuleSays(t *testing.T) {
	var got []string
	proxy := strings.TrimPrefix(web(t, func(w http.ResponseWriter, r *http.Request) {
		got = append(got, fmt.Sprint(r.Method, " ", r.Header.Get("Proxy-Authorization"), " ", r.Header["X-Proxy"]))
		w.WriteHeader(http.StatusForbidden)
	}), "http://")
	r := ask(t, "{prober: http, http: {proxy_url: 'http://me:pw@"+proxy+"', proxy_connect_header: {X-Proxy: [a, b]}}}", "https://127.0.0.1:9")
	wantReason(t, r, Protocol, "Forbidden")
	r = ask(t, "{prober: http, http: {proxy_url: 'http://me:pw@"+proxy+"', proxy_connect_header: {X-Proxy: [a]}}}", "http://127.0.0.1:9")
	wantReason(t, r, Status, "status is 403")
	if diff := cmp.Diff([]string{"CONNECT Basic bWU6cHc= [a b]", "GET Basic bWU6cHc= []"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestClient_GoesRoundTheProxyWhereItIsTold(t *testing.T) {
	var asked []string
	proxy := web(t, func(_ http.ResponseWriter, r *http.Request) { asked = append(asked, r.URL.Host) })
	site := web(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "direct") })
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(site, "http://"))
	t.Setenv("HTTP_PROXY", proxy)
	t.Setenv("NO_PROXY", "out.test")
	const from = "proxy_from_environment: true"
	for _, c := range []struct {
		client, host string
		skip, direct bool
	}{
		{"proxy_url: '" + proxy + "'", "shop.test", false, false},
		{"proxy_url: '" + proxy + "'", "shop.test", true, false},
		{"proxy_url: '" + proxy + "', no_proxy: shop.test", "shop.test", false, true}, // by its name although the address is known
		{"proxy_url: '" + proxy + "', no_proxy: shop.test", "shop.test", true, true},
		{"proxy_url: '" + proxy + "', no_proxy: other.test", "shop.test", true, false},
		{"proxy_url: '" + proxy + "', no_proxy: 127.0.0.0/8", "shop.test", false, true}, // by its address
		{from, "shop.test", true, false},
		{from, "out.test", true, true},
		{from, "out.test", false, true},
	} {
		asked = nil
		p := prober(t, fmt.Sprintf("{prober: http, http: {%s, skip_resolve_phase_with_proxy: %v}}", c.client, c.skip))
		here := netip.MustParseAddr("127.0.0.1")
		p.resolver = answerDNS(t, map[string]netip.Addr{"shop.test": here, "out.test": here}, nil)
		r := p.Run(t.Context(), "http://"+c.host+":"+port)
		wantSuccess(t, r)
		if direct, _ := value(r, "probe_http_uncompressed_body_length"); (direct > 0) != c.direct || (len(asked) == 0) != c.direct {
			t.Errorf("%s to %s: the proxy was asked for %v", c.client, c.host, asked)
		}
		if !c.direct && c.skip && asked[0] != c.host+":"+port {
			t.Errorf("%s: the proxy was asked for %v", c.client, asked)
		}
	}
}

func TestClient_ProxyThatIsSilentOrUnknownIsLeftInTime(t *testing.T) {
	r := within(t, 100*time.Millisecond, "{prober: http, http: {proxy_url: 'http://"+serve(t, silent)+"'}}", "https://127.0.0.1:9")
	wantReason(t, r, Timeout, "")
	p := prober(t, "{prober: http, http: {proxy_url: 'http://gone.test.:1'}}")
	p.resolver = answerDNS(t, nil, nil)
	wantReason(t, p.Run(t.Context(), "http://127.0.0.1:9"), Unresolved, "gone.test")
}

func TestClient_UsesEverySettingOfTLS(t *testing.T) {
	s, ca := secureSite(t, false, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%d %s %s", len(r.TLS.PeerCertificates), tls.VersionName(r.TLS.Version), r.TLS.ServerName)
	})
	s.TLS.ClientAuth = tls.RequestClientCert
	chain := s.TLS.Certificates[0]
	raw, err := x509.MarshalPKCS8PrivateKey(chain.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	cert := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: chain.Certificate[0]}))
	key := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}))
	certFile, keyFile := written(t, cert), written(t, key)
	var asked []string
	proxy := relay(t, &asked)
	for text, want := range map[string]string{
		"ca_file: " + ca:                                                         "0 TLS 1.3 ",
		fmt.Sprintf("ca: %q", cert):                                              "0 TLS 1.3 ",
		"insecure_skip_verify: true":                                             "0 TLS 1.3 ",
		"server_name: www.example.com, ca_file: " + ca:                           "0 TLS 1.3 www.example.com",
		"max_version: TLS12, ca_file: " + ca:                                     "0 TLS 1.2 ",
		"min_version: TLS13, ca_file: " + ca:                                     "0 TLS 1.3 ",
		"ca_file: " + ca + ", cert_file: " + certFile + ", key_file: " + keyFile: "1 TLS 1.3 ",
		fmt.Sprintf("ca_file: %s, cert: %q, key: %q", ca, cert, key):             "1 TLS 1.3 ",
		fmt.Sprintf("ca_file: %s, cert: %q, key_file: %s", ca, cert, keyFile):    "1 TLS 1.3 ",
		"ca_file: " + ca + ", cert_file: " + certFile + ", key_file: /nowhere":   "! /nowhere",
		"max_version: TLS11, min_version: TLS10, insecure_skip_verify: true":     "! protocol version not supported",
		"server_name: shop.test, ca_file: " + ca:                                 "! not shop.test",
	} {
		for _, more := range []string{"", ", proxy_url: '" + proxy + "'"} {
			failing, fails := strings.CutPrefix(want, "! ")
			r := ask(t, "{prober: http, http: {tls_config: {"+text+"}, fail_if_body_not_matches_regexp: ['^"+strings.TrimPrefix(want, "! ")+"$']"+more+"}}", s.URL)
			if r.Success == fails || fails && !strings.Contains(fmt.Sprint(r.Err), failing) {
				t.Errorf("%s%s: %s %v, want %s", text, more, r.Reason, r.Err, want)
			}
		}
	}
}

func TestClient_SecretsAreMaskedWhenTheModuleIsShown(t *testing.T) {
	var m Module
	text := `{prober: http, http: {headers: {Cookie: topsecret, X-Token: topsecret, Accept: text/html}, http_headers: {X-A: {secrets: [topsecret]}},
		proxy_url: 'http://me:topsecret@proxy', proxy_connect_header: {X-P: [topsecret]}, oauth2: {client_id: us, client_secret: topsecret,
		token_url: 'https://me:topsecret@tokens/', endpoint_params: {password: topsecret}}}}`
	if err := yaml.Unmarshal([]byte(text), &m); err != nil {
		t.Fatal(err)
	}
	out, err := yaml.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	if shown := string(out); strings.Contains(shown, "topsecret") || !strings.Contains(shown, "Accept: text/html") {
		t.Errorf("shown:\n%s", shown)
	}
	if m.HTTP.HTTPClientConfig.OAuth2.EndpointParams["password"] != "topsecret" {
		t.Error("to show the module has changed it")
	}
}

func TestClient_MistakesAreFoundWhenTheFileIsRead(t *testing.T) {
	const oauth = "oauth2: {client_id: a, token_url: 'http://t', "
	for text, want := range map[string]string{
		oauth + "client_secret_ref: vault}":                          `oauth2.client_secret_ref: secret "vault": there is no secret manager; name a file`,
		oauth + "tls_config: {ca_ref: vault}}":                       `oauth2.tls_config.ca_ref: secret "vault": there is no secret manager; name a file`,
		"http_headers: {'X A': {values: [b]}}":                       `http_headers.X A: "X A" is no name of a header`,
		"http_headers: {'X A': {files: [b]}}":                        `http_headers.X A: "X A" is no name of a header`,
		`http_headers: {X-A: {secrets: ["top\nsecret"]}}`:            `http_headers.X-A: the value holds a line end or another control character`,
		"http_headers: {Authorization: {values: [b]}}":               `setting header "Authorization" is not allowed`,
		"proxy_connect_header: {A: [b]}":                             "proxy_connect_header is configured",
		"no_proxy: a":                                                "no_proxy is configured",
		"basic_auth: {username: a}, authorization: {credentials: a}": "at most one of basic_auth",
		"valid_http_versions: [HTTP/2.0], enable_http2: false":       "valid_http_versions: HTTP/2.0 alone is valid, and enable_http2 is false",
		"valid_http_versions: [HTTP/3.0]":                            "valid_http_versions: want HTTP/1.0, HTTP/1.1 or HTTP/2.0, got [\"HTTP/3.0\"]; HTTP/3 is known, not yet available",
		"valid_http_versions: [HTTP/1.0, HTTP/1.1, HTTP/2.0]":        "",
		"enable_http3: true, enable_http2: false":                    "enable_http3: HTTP/3 is known, not yet available; want false",
		"tls_config: {min_version: TLS13, max_version: TLS12}":       "tls_config: tls_config.max_version must be greater",
	} {
		err := config.Parse("b.yml", []byte("modules: {m: {prober: http, http: {"+text+"}}}"), new(checked))
		if shown := fmt.Sprint(err); (err == nil) != (want == "") || !strings.Contains(shown, want) && want != "" {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
}

// checked is a file of modules whose mistakes are reported.
type checked struct {
	Modules map[string]Module `yaml:"modules"`
}

func (c *checked) Check(report func(path, text string)) {
	for name, m := range c.Modules {
		m.Check(func(path, text string) { report("modules."+name+"."+path, text) })
	}
}
