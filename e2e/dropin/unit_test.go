package dropin_test

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/onefiveten/onefiveten/demo/process"
)

// The unit of Debian's package starts its program with "--config.file FILE",
// reloads with SIGHUP and ends it with SIGTERM. The right to send pings belongs
// to the program's file there, and does not come with another one.
func TestDropin_ServesInDebiansUnitAndSaysWhatAPingLacks(t *testing.T) {
	t.Parallel()
	dir, port := t.TempDir(), reserve(t)
	file, log := filepath.Join(dir, "blackbox.yml"), filepath.Join(dir, "log")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("modules: {icmp: {prober: icmp, icmp: {preferred_ip_protocol: ip4}}}\n")
	setpriv, err := exec.LookPath("setpriv")
	if err != nil {
		t.Fatalf("looking for setpriv, which comes with unshare: %v", err)
	}
	var group process.Group
	defer group.Close()
	p, err := group.Start(t.Context(), time.Minute, process.Command{
		Name: "probe-exporter", Path: setpriv, Log: log, Ready: port.URL() + "/-/healthy",
		Args: []string{
			"--bounding-set=-net_raw", "--inh-caps=-net_raw", "--no-new-privs",
			os.Getenv(oursPath), "--config.file", file, "--web.listen-address=" + port.Addr(),
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	status, page := fetch(t, http.MethodGet, port.URL()+"/probe?module=icmp&target=127.0.0.1&debug=true")
	for _, want := range []string{"probe_success 0", `probe_failure_reason{reason="internal"} 1`, "CAP_NET_RAW", "net.ipv4.ping_group_range"} {
		if status != http.StatusOK || !strings.Contains(page, want) {
			t.Errorf("a ping without the right to: %d, no %q in\n%s", status, want, page)
		}
	}

	write("modules: {tcp: {prober: tcp}}\n")
	if err := syscall.Kill(p.Pid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	settled := func() bool {
		_, page := fetch(t, http.MethodGet, port.URL()+"/config")
		return strings.Contains(page, "prober: tcp")
	}
	deadline, tick := time.After(upTo), time.NewTicker(50*time.Millisecond)
	defer tick.Stop()
	for !settled() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("SIGHUP has loaded nothing:\n%s", process.Tail(log, 20))
		}
	}
	p.Stop(time.Minute)
	if err := p.Err(); err != nil {
		t.Errorf("after SIGTERM it ended with %v, want exit code 0:\n%s", err, process.Tail(log, 20))
	}
}
