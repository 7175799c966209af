package main

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// asProgram makes the test binary the program itself, so that signals and
// sockets of systemd are tried on a process.
const asProgram = "PROBE_EXPORTER_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) == "" {
		os.Exit(m.Run())
	}
	if os.Getenv("LISTEN_FDS") != "" {
		os.Setenv("LISTEN_PID", fmt.Sprint(os.Getpid())) // as systemd does
	}
	main()
}

// program is a process of ours and its log.
type program struct {
	*exec.Cmd
	lines *bufio.Scanner
}

// launch begins a process and reads its log up to a line that fits.
func launch(t *testing.T, until string, prepare func(*exec.Cmd), args ...string) (*program, string) {
	t.Helper()
	p := &program{Cmd: exec.CommandContext(t.Context(), os.Args[0], args...)}
	p.Env = append(os.Environ(), asProgram+"=1")
	prepare(p.Cmd)
	log, err := p.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Process.Kill() })
	p.lines = bufio.NewScanner(log)
	return p, p.wait(t, until)
}

// wait reads the log up to a line that fits and gives what was captured.
func (p *program) wait(t *testing.T, until string) string {
	t.Helper()
	form := regexp.MustCompile(until)
	var all []string
	for p.lines.Scan() {
		all = append(all, p.lines.Text())
		if found := form.FindStringSubmatch(p.lines.Text()); found != nil {
			return found[len(found)-1]
		}
	}
	t.Fatalf("no line %q in\n%s", until, strings.Join(all, "\n"))
	return ""
}

// slow is a site whose answers wait; entered tells of a request.
func slow(t *testing.T) (host string, entered, release chan struct{}) {
	t.Helper()
	entered, release = make(chan struct{}, 1), make(chan struct{})
	host = site(t, func(w http.ResponseWriter, r *http.Request) {
		entered <- struct{}{}
		select {
		case <-release:
		case <-r.Context().Done():
		}
		fine(w, r)
	})
	return host, entered, release
}

// listening is the line of the log with the address.
const listening = `msg="Listening on" address=(\S+)`

func TestSignal_TheFirstLetsAProbeUnderWayEnd(t *testing.T) {
	host, entered, release := slow(t)
	p, address := launch(t, listening, func(*exec.Cmd) {}, "--config.file="+write(t, "modules: {http_2xx: {prober: http}}\n"), "--web.listen-address=127.0.0.1:0")
	answer := make(chan string, 1)
	go func() {
		resp, err := http.Get("http://" + address + "/probe?target=" + host)
		if err != nil {
			answer <- err.Error()
			return
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		answer <- fmt.Sprint(string(body), err)
	}()
	<-entered
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	p.wait(t, "msg=stopping")
	close(release)
	if got := <-answer; !strings.Contains(got, "probe_success 1\n") {
		t.Errorf("the answer was cut: %s", got)
	}
	if err := p.Wait(); err != nil {
		t.Errorf("ended with %v", err)
	}
}

func TestSignal_TheSecondEndsAtOnce(t *testing.T) {
	host, entered, release := slow(t)
	defer close(release)
	p, address := launch(t, listening, func(*exec.Cmd) {}, "--config.file="+write(t, "modules: {http_2xx: {prober: http}}\n"), "--web.listen-address=127.0.0.1:0")
	go http.Get("http://" + address + "/probe?target=" + host) //nolint:errcheck // it is cut
	<-entered
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	p.wait(t, "msg=stopping")
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	err := p.Wait()
	if status, ok := p.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGTERM {
		t.Errorf("ended with %v, want the signal", err)
	}
}

func TestServe_TakesTheSocketsOfSystemd(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	file, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	p, _ := launch(t, listening, func(c *exec.Cmd) {
		c.ExtraFiles, c.Env = []*os.File{file}, append(c.Env, "LISTEN_FDS=1")
	}, "--config.file="+write(t, "modules: {a: {prober: tcp}}\n"), "--web.systemd-socket")
	r := &running{t: t, url: "http://" + l.Addr().String()}
	if got := r.get("/-/ready"); got != "Ready\n" {
		t.Errorf("got %s", got)
	}
	if err := p.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(); err != nil {
		t.Errorf("ended with %v", err)
	}
}

// pair makes a certificate for 127.0.0.1 that signs itself, and its key.
func pair(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "probe-exporter"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	rewrite(t, filepath.Join(dir, "cert.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})))
	rewrite(t, filepath.Join(dir, "key.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})))
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}))
	return pool
}

func TestServe_TLSAndAPasswordByTheWebConfiguration(t *testing.T) {
	hash, err := bcrypt.GenerateFromPassword([]byte("word"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	dir := folder(t, map[string]string{
		"web.yml": "tls_server_config: {cert_file: cert.pem, key_file: key.pem}\nbasic_auth_users: {probe: " + string(hash) + "}\n", "probe.yml": "modules: {tcp: {prober: tcp}}\n",
	})
	pool := pair(t, dir)
	r := start(t, "--config.file="+filepath.Join(dir, "probe.yml"), "--web.config.file="+filepath.Join(dir, "web.yml"), "--web.route-prefix=/x")
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true, DisableKeepAlives: true}}
	for password, want := range map[string]int{"": 401, "wrong": 401, "word": 200} {
		req, err := http.NewRequest("GET", strings.Replace(r.url, "http:", "https:", 1)+"/x/probe?module=tcp&target=127.0.0.1:1", nil)
		if err != nil {
			t.Fatal(err)
		}
		if password != "" {
			req.SetBasicAuth("probe", password)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want || resp.ProtoMajor != 2 {
			t.Errorf("password %q: status %d by %s", password, resp.StatusCode, resp.Proto)
		}
	}
	if resp, err := http.Get(r.url + "/x/-/healthy"); err == nil {
		if resp.Body.Close(); resp.StatusCode != http.StatusBadRequest {
			t.Errorf("without TLS: status %d", resp.StatusCode)
		}
	}
}

func TestPrefix_AllPagesLieUnderIt(t *testing.T) {
	file := write(t, "modules: {tcp: {prober: tcp}}\n")
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for _, c := range []struct {
		args             []string
		prefix, location string
	}{
		{[]string{"--web.external-url=https://a.test:1/bb/x/"}, "/bb/x", "https://a.test:1/bb/x/"}, {[]string{"--web.route-prefix=bb/"}, "/bb", "/bb/"},
		{[]string{"--web.external-url=https://a.test/out", "--web.route-prefix=/in"}, "/in", "https://a.test/out/"}, {[]string{"--web.external-url=/only/path"}, "/only/path", "/only/path/"},
		{[]string{"--web.external-url=https://a.test/out", "--web.route-prefix=/"}, "", ""}, {nil, "", ""}, {[]string{"--web.route-prefix=/{odd}"}, "/{odd}", "/{odd}/"},
	} {
		r := start(t, append(c.args, "--config.file="+file)...)
		for _, page := range []string{"/", "/metrics", "/metrics/probes", "/probe?module=tcp&target=127.0.0.1:1", "/logs?id=0", "/failures", "/config", "/-/healthy", "/-/ready"} {
			r.get(c.prefix + page)
			if c.prefix == "" || page == "/" {
				continue
			}
			if code, _ := r.ask("GET", page); code != 404 {
				t.Errorf("%v: %s outside: status %d", c.args, page, code)
			}
		}
		if c.prefix == "" {
			continue
		}
		if code, _ := r.ask("GET", c.prefix+"x/metrics"); code != 404 {
			t.Errorf("%v: beside: status %d", c.args, code)
		}
		for path, want := range map[string]string{"/": c.location, c.prefix: c.prefix + "/"} {
			resp, err := client.Get(r.url + path)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if got := resp.Header.Get("Location"); resp.StatusCode != 302 || got != want {
				t.Errorf("%v: %s leads to %s with status %d, want %s", c.args, path, got, resp.StatusCode, want)
			}
		}
	}
}

func TestProfiles_AreServedOnlyWhenAskedFor(t *testing.T) {
	file := write(t, "modules: {tcp: {prober: tcp}}\n")
	for prefix, want := range map[string]int{"--web.enable-pprof": 200, "--no-web.enable-pprof": 404} {
		r := start(t, "--config.file="+file, prefix)
		for _, page := range []string{"/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/cmdline"} {
			if code, _ := r.ask("GET", page); code != want {
				t.Errorf("%s: %s: status %d", prefix, page, code)
			}
		}
	}
}

func TestUsage_EveryFlagOfBlackboxExporterIsThere(t *testing.T) {
	file := write(t, "modules: {tcp: {prober: tcp}}\n")
	all := []string{
		"--config.file=" + file, "--timeout-offset=0.25", "--log.prober=warn", "--config.enable-auto-reload", "--config.auto-reload-interval=60", "--history.limit=5",
		"--web.external-url=http://a.test/x", "--web.route-prefix=/y", "--no-web.systemd-socket", "--web.config.file=", "--log.level=WARN", "--log.format=json", "--no-config.check",
	}
	_, help, _ := call(t, "-h")
	for _, flag := range append(all, "--web.listen-address", "--version", "--help") {
		name, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(flag, "--"), "no-"), "=")
		if !strings.Contains(help, "--"+name) && !strings.Contains(help, "--[no-]"+name) {
			t.Errorf("--help does not name %s", name)
		}
	}
	start(t, all...).get("/y/-/healthy")
}
