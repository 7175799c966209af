package blackbox_test

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/onefiveten/onefiveten/demo/process"
)

// probeCase is one request to /probe, which both programs are asked.
type probeCase struct {
	name    string
	prober  string
	block   string // of the prober, in YAML's flow style; empty: none is written
	timeout string // of the module; empty: none
	target  string
	query   string // more parameters, as they stand in a URL
	header  string // X-Prometheus-Scrape-Timeout-Seconds
	// want is why ours fails, by its closed set; "any" where that is the kernel's
	// choice; empty: it succeeds. So does theirs, but for what is intended.
	want string
	// shows are series that both must have, so that a case is what it says.
	shows []string
}

// module is the module that the case needs, in YAML.
func (c probeCase) module() string {
	text := "prober: " + c.prober
	if c.timeout != "" {
		text += ", timeout: " + c.timeout
	}
	if c.block != "" {
		text += ", " + c.prober + ": " + c.block
	}
	return "{" + text + "}"
}

// upTo bounds every answer. It is no promise of a program: only a failing test
// waits so long.
const upTo = 2 * time.Minute

// pair is the two programs, running on one configuration.
type pair struct {
	ours, theirs string // base URLs
	files        string // folder of the configuration
}

// start runs both programs on a text of configuration.
func start(t *testing.T, config string) *pair {
	t.Helper()
	p := &pair{files: t.TempDir()}
	file := filepath.Join(p.files, "blackbox.yml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	var group process.Group
	t.Cleanup(group.Close)
	p.ours = run(t, &group, process.Command{Name: "probe-exporter", Path: os.Getenv(oursPath), Args: []string{"--config.file=" + file}})
	p.theirs = run(t, &group, process.Command{Name: "blackbox_exporter", Path: os.Getenv(theirsPath), Args: []string{"--config.file=" + file}})
	return p
}

// run starts one program on a port of its own and gives its base URL.
func run(t *testing.T, group *process.Group, c process.Command) string {
	t.Helper()
	port, err := process.Reserve()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(port.Close)
	c.Args = append(c.Args, "--web.listen-address="+port.Addr())
	c.Log, c.Ready = filepath.Join(t.TempDir(), c.Name+".log"), port.URL()+"/-/healthy"
	if _, err := group.Start(t.Context(), time.Minute, c); err != nil {
		t.Fatal(err)
	}
	return port.URL()
}

// get asks one program. The answer of a HEAD request has no body.
func get(ctx context.Context, base, path, header string) (page, error) {
	ctx, cancel := context.WithTimeout(ctx, upTo)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+path, nil)
	if err != nil {
		return page{}, err
	}
	if header != "" {
		req.Header.Set("X-Prometheus-Scrape-Timeout-Seconds", header)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return page{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return page{}, err
	}
	return read(resp.StatusCode, string(body))
}

// ask asks both programs at once.
func (p *pair) ask(t *testing.T, path, header string) (ours, theirs page) {
	t.Helper()
	var errs [2]error
	var both sync.WaitGroup
	both.Go(func() { ours, errs[0] = get(t.Context(), p.ours, path, header) })
	both.Go(func() { theirs, errs[1] = get(t.Context(), p.theirs, path, header) })
	both.Wait()
	for i, err := range errs {
		if err != nil {
			t.Fatalf("asking %s for %s: %v", []string{"ours", "theirs"}[i], path, err)
		}
	}
	return ours, theirs
}

// configuration names a module for each different one of the cases.
func configuration(cases []probeCase) (text string, names map[string]string) {
	names = map[string]string{}
	for _, c := range cases {
		names[c.module()] = ""
	}
	var b strings.Builder
	b.WriteString("modules:\n")
	for i, module := range slices.Sorted(maps.Keys(names)) {
		names[module] = fmt.Sprintf("m%d", i)
		fmt.Fprintf(&b, "  m%d: %s\n", i, module)
	}
	return b.String(), names
}

// path is the request of a case.
func (c probeCase) path(module string) string {
	text := "/probe?module=" + module + "&target=" + url.QueryEscape(c.target)
	if c.query != "" {
		text += "&" + c.query
	}
	return text
}

// judge compares the answers to one case.
func (c probeCase) judge(t *testing.T, found *ledger, ours, theirs page) {
	t.Helper()
	success := map[bool]string{true: "1", false: "0"}[c.want == ""]
	for _, d := range compare(c.name, ours, theirs) {
		if !found.intended(d) {
			t.Errorf("%s", d)
		}
	}
	if got := ours.show("probe_success"); got != success {
		t.Errorf("%s: ours answers probe_success %s, want %s\n%s", c.name, got, success, ours.body)
	}
	if got := theirs.show("probe_success"); got != success && !found.meant(c.name, "probe_success") {
		t.Errorf("%s: the oracle answers probe_success %s, want %s: the case is not what it says\n%s", c.name, got, success, theirs.body)
	}
	if reason := fmt.Sprintf("probe_failure_reason{reason=%q}", c.want); c.want != "" && c.want != "any" && ours.show(reason) != "1" {
		t.Errorf("%s: ours says %q, want the reason %s", c.name, ours.named("probe_failure_reason{"), c.want)
	}
	for _, want := range c.shows {
		cut := strings.LastIndex(want, " ")
		what, value := want[:cut], want[cut+1:]
		if got := theirs.show(what); got != value {
			t.Errorf("%s: theirs has %s %s, want %s: the case is not what it says\n%s", c.name, what, got, value, theirs.body)
		}
	}
}

func TestOracle_BothAnswerEveryProbeAlike(t *testing.T) {
	w := newWorld(t)
	found := newLedger()
	all := map[string][]probeCase{
		"http": httpCases(w), "tls": tlsCases(w), "tcp": tcpCases(w), "unix": unixCases(w), "icmp": icmpCases(w), "dns": dnsCases(w), "grpc": grpcCases(w),
	}
	t.Run("probe", func(t *testing.T) {
		for group, cases := range all {
			t.Run(group, func(t *testing.T) {
				t.Parallel()
				compareAll(t, found, group, cases)
			})
		}
	})
	total := 0
	for _, cases := range all {
		total += len(cases)
	}
	found.close(t, total)
}

// compareAll asks both programs for every case of a group.
func compareAll(t *testing.T, found *ledger, group string, cases []probeCase) {
	config, names := configuration(cases)
	p := start(t, config)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ours, theirs := p.ask(t, c.path(names[c.module()]), c.header)
			c.name = group + ": " + c.name
			c.judge(t, found, ours, theirs)
			found.count()
		})
	}
}
