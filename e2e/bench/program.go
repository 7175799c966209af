package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"github.com/onefiveten/onefiveten/demo/process"
)

// program is one running exporter, or the targets.
type program struct {
	*process.Process
	url    string
	config string // its file
}

// start runs a program with a configuration until the group ends.
func (b *bench) start(ctx context.Context, group *process.Group, name, path, config string, args ...string) (*program, error) {
	port, err := process.Reserve()
	if err != nil {
		return nil, err
	}
	group.Add(func() { port.Close() })
	p := &program{url: port.URL(), config: filepath.Join(b.dir, name+".yml")}
	if err := os.WriteFile(p.config, []byte(config), 0o644); err != nil {
		return nil, err
	}
	p.Process, err = group.Start(ctx, 30*time.Second, process.Command{
		Name: name, Path: path, Log: filepath.Join(b.dir, name+".log"), Ready: p.url + "/-/healthy",
		// One CPU for each: a prober is to be cheap, and so both are cheapest.
		Env:  []string{"GOMAXPROCS=1"},
		Args: append(args, "--config.file="+p.config, "--web.listen-address="+port.Addr()),
	})
	return p, err
}

// startTargets runs the targets until the group ends, and tells where they
// listen, by kind.
func (b *bench) startTargets(ctx context.Context, group *process.Group) (*program, map[string][]string, error) {
	port, err := process.Reserve()
	if err != nil {
		return nil, nil, err
	}
	group.Add(func() { port.Close() })
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	t := &program{url: port.URL()}
	t.Process, err = group.Start(ctx, 30*time.Second, process.Command{
		Name: "targets", Path: self, Log: filepath.Join(b.dir, "targets.log"), Ready: t.url + "/counts",
		Args: []string{"targets", "-control=" + port.Addr(), "-ca=" + b.ca(), fmt.Sprintf("-names=%t", b.isolated)},
	})
	if err != nil {
		return nil, nil, err
	}
	var addresses map[string][]string
	return t, addresses, t.ask(ctx, "/addresses", &addresses)
}

// ca is the file with the authority of the targets.
func (b *bench) ca() string { return filepath.Join(b.dir, "ca.pem") }

// ask reads JSON.
func (p *program) ask(ctx context.Context, path string, into any) error {
	text, err := p.get(ctx, http.DefaultClient, path, nil)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}

// get reads a page to its end.
func (p *program) get(ctx context.Context, client *http.Client, path string, header http.Header) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+path, nil)
	if err != nil {
		return nil, err
	}
	if header != nil {
		req.Header = header
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("GET %s: %s: %w%s", path, resp.Status, err, text)
	}
	if header != nil && resp.Header.Get("Content-Encoding") == "gzip" {
		return text, nil // as it came: unpacking would cost this machine more than the probe
	}
	return text, nil
}

// reload puts another configuration in force.
func (p *program) reload(ctx context.Context, config string) error {
	if err := os.WriteFile(p.config, []byte(config), 0o644); err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url+"/-/reload", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("reloading %s: %s: %s", p.Name(), resp.Status, text)
	}
	return nil
}

// asPrometheus are the headers that Prometheus 3 scrapes with.
func asPrometheus() http.Header {
	return http.Header{
		"Accept": {"application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5," +
			"text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"},
		"Accept-Encoding":                     {"gzip"},
		"User-Agent":                          {"Prometheus/3"},
		"X-Prometheus-Scrape-Timeout-Seconds": {"10"},
	}
}

// probePath is the address of one probe on demand.
func probePath(module, target string) string {
	return "/probe?" + url.Values{"module": {module}, "target": {target}}.Encode()
}

// cpuTime is what a process has used of the CPU until now, in the kernel and
// outside, all threads: the clock of clock_getcpuclockid(3), which counts what
// /proc/<pid>/stat shows, in nanoseconds.
func cpuTime(pid int) (time.Duration, error) {
	const sched = 2
	var now syscall.Timespec
	clock := uintptr(uint32(int32(^pid)<<3 | sched))
	if _, _, e := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, clock, uintptr(unsafe.Pointer(&now)), 0); e != 0 {
		return 0, fmt.Errorf("reading the CPU clock of process %d: %w", pid, e)
	}
	return time.Duration(now.Nano()), nil
}

// pin binds all threads of a process to one CPU; later ones inherit it.
func pin(pid, cpu int) error {
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return err
	}
	var mask [16]uint64
	mask[cpu/64] = 1 << (cpu % 64)
	for _, task := range tasks {
		id, err := strconv.Atoi(task.Name())
		if err != nil {
			return err
		}
		_, _, e := syscall.Syscall(syscall.SYS_SCHED_SETAFFINITY, uintptr(id), unsafe.Sizeof(mask), uintptr(unsafe.Pointer(&mask)))
		if e != 0 && e != syscall.ESRCH {
			return fmt.Errorf("binding thread %d to CPU %d: %w", id, cpu, e)
		}
	}
	return nil
}

// resident is the memory of a process in RAM, in bytes.
func resident(pid int) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	_, rest, found := strings.Cut(string(text), "VmRSS:")
	fields := strings.Fields(rest)
	if !found || len(fields) < 1 {
		return 0, fmt.Errorf("reading the memory of process %d: no VmRSS", pid)
	}
	kib, err := strconv.ParseFloat(fields[0], 64)
	return kib * 1024, err
}

// wait lets time pass.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// plain unpacks a page that came compressed.
func plain(page []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(page))
	if err != nil {
		return page, nil
	}
	return io.ReadAll(r)
}
