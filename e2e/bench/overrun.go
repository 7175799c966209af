package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/onefiveten/onefiveten/demo/process"
)

const (
	allowed  = 300 * time.Millisecond // timeout of the modules
	goal     = 50 * time.Millisecond
	patience = 3 * time.Second // after which a probe counts as endless
	abreast  = 10              // probes at a time
)

// silence is a way of a server to say nothing, or never to end.
type silence struct {
	what, module, target string
}

// overrun measures how much longer than allowed probes of every protocol take
// when nobody answers.
func (b *bench) overrun(ctx context.Context) error {
	var group process.Group
	defer group.Close()
	cases, err := b.silences(&group)
	if err != nil {
		return err
	}
	empty := "modules: {m: {prober: tcp}}\n"
	ours, err := b.start(ctx, &group, "ours", b.ours, empty, asBench)
	if err != nil {
		return err
	}
	theirs, err := b.start(ctx, &group, "theirs", b.theirs, empty)
	if err != nil {
		return err
	}
	var lines []string
	err = b.say.During(ctx, "end of probes at their deadline", nil, func(ctx context.Context) error {
		for _, c := range cases {
			mine, err := ours.overruns(ctx, c)
			if err != nil {
				return err
			}
			yours, err := theirs.overruns(ctx, c)
			if err != nil {
				return err
			}
			lines = append(lines, fmt.Sprintf("  %-34s %14s %14s   %s", c.what, mine, yours, mine.verdict()))
		}
		return nil
	})
	if err != nil {
		return err
	}
	b.say.Line("End of a probe after its deadline, greatest of %d at a time; goal ≤ %s", abreast, goal)
	b.say.Line("  %-34s %14s %14s", "nobody answers", "ours", "blackbox")
	b.say.Line("%s", strings.Join(lines, "\n"))
	b.say.Line("  Method: /probe of the real programs with timeout: %s, from the request to the end of the answer.", allowed)
	return nil
}

// overrun is the longest that a probe took beyond its time.
type overrun struct {
	by    time.Duration
	known bool // the program knows the protocol
}

// String is what the table shows.
func (o overrun) String() string {
	switch {
	case !o.known:
		return "not available"
	case o.by >= patience-allowed:
		return fmt.Sprintf("> %.0f ms", ms(o.by))
	}
	return fmt.Sprintf("%.1f ms", ms(o.by))
}

func (o overrun) verdict() string { return verdict(o.known && o.by <= goal) }

// overruns puts the module of a case in force and probes.
func (p *program) overruns(ctx context.Context, c silence) (overrun, error) {
	if err := p.reload(ctx, fmt.Sprintf("modules: {m: {timeout: %s, %s}}\n", allowed, c.module)); err != nil {
		if strings.Contains(err.Error(), "not yet available") {
			return overrun{}, nil
		}
		return overrun{}, fmt.Errorf("%s: %w", c.what, err)
	}
	var mu sync.Mutex
	var open sync.WaitGroup
	var errs []error
	var took []time.Duration
	for range abreast {
		open.Go(func() {
			one, err := p.endless(ctx, c.target)
			mu.Lock()
			defer mu.Unlock()
			took, errs = append(took, one), append(errs, err)
		})
	}
	open.Wait()
	if err := errors.Join(errs...); err != nil {
		return overrun{}, fmt.Errorf("%s: %w", c.what, err)
	}
	return overrun{slices.Max(took) - allowed, true}, nil
}

// endless times one probe that gets no answer. One that fails before its time
// was not silent enough to tell anything.
func (p *program) endless(ctx context.Context, target string) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	start := time.Now()
	page, err := p.get(ctx, http.DefaultClient, probePath("m", target), nil)
	took := time.Since(start)
	if errors.Is(err, context.DeadlineExceeded) {
		return took, nil
	}
	if err == nil && (took < allowed || !strings.Contains(string(page), "\nprobe_success 0\n")) {
		err = fmt.Errorf("%s ended after %s, want a failure at %s:\n%s", p.Name(), took, allowed, page)
	}
	return took, err
}

// silences opens the servers, until the group ends, and lists what to ask them.
func (b *bench) silences(group *process.Group) ([]silence, error) {
	mute, err := listenMute(group, "tcp", "127.0.0.1:0", nil)
	if err != nil {
		return nil, err
	}
	drip, err := listenMute(group, "tcp", "127.0.0.1:0", dripping)
	if err != nil {
		return nil, err
	}
	path, err := listenMute(group, "unix", filepath.Join(b.dir, "mute.sock"), nil)
	if err != nil {
		return nil, err
	}
	datagrams, err := muteDatagrams(group, "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	full, err := fullBacklog(group)
	if err != nil {
		return nil, err
	}
	const v4 = "preferred_ip_protocol: ip4"
	cases := []silence{
		{"http: no answer", "prober: http, http: {" + v4 + "}", "http://" + mute},
		{"http: a body that drips", "prober: http, http: {" + v4 + "}", "http://" + drip},
		{"https: no handshake", "prober: http, http: {" + v4 + "}", "https://" + mute},
		{"tcp: no connection", "prober: tcp, tcp: {" + v4 + "}", full},
		{"tcp: no banner", "prober: tcp, tcp: {" + v4 + ", query_response: [{expect: x}]}", mute},
		{"tcp: no handshake", "prober: tcp, tcp: {" + v4 + ", tls: true}", mute},
		{"tcp: no handshake after starttls", "prober: tcp, tcp: {" + v4 + ", query_response: [{starttls: true}]}", mute},
		{"dns over udp: no answer", "prober: dns, dns: {" + v4 + ", query_name: example.org}", datagrams},
		{"dns over tcp: no answer", "prober: dns, dns: {" + v4 + ", query_name: example.org, transport_protocol: tcp}", mute},
		{"dns over tls: no handshake", "prober: dns, dns: {" + v4 + ", query_name: example.org, transport_protocol: tcp, dns_over_tls: true}", mute},
		{"grpc: no answer", "prober: grpc, grpc: {" + v4 + "}", mute},
		{"grpc: no handshake", "prober: grpc, grpc: {" + v4 + ", tls: true}", mute},
		{"unix: no banner", "prober: unix, unix: {query_response: [{expect: x}]}", path},
	}
	if !b.isolated {
		return cases, nil
	}
	if _, err := muteDatagrams(group, "127.0.0.1:53"); err != nil {
		return nil, err
	}
	return append(cases,
		silence{"icmp: no reply", "prober: icmp, icmp: {" + v4 + "}", "127.0.0.1"},
		silence{"http: no name server answers", "prober: http, http: {" + v4 + "}", "http://" + dnsName}), nil
}

// listenMute takes connections and says nothing on them, or what talk says.
func listenMute(group *process.Group, network, address string, talk func(net.Conn)) (string, error) {
	l, err := net.Listen(network, address)
	if err != nil {
		return "", err
	}
	group.Add(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				if talk != nil {
					go talk(conn)
				}
				_, _ = io.Copy(io.Discard, conn) // until the prober hangs up
			}()
		}
	}()
	return l.Addr().String(), nil
}

// dripping sends a byte of a body now and then, without end.
func dripping(conn net.Conn) {
	_, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n")
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for err == nil {
		<-tick.C
		_, err = conn.Write([]byte("x"))
	}
}

// muteDatagrams takes datagrams and answers none.
func muteDatagrams(group *process.Group, address string) (string, error) {
	conn, err := net.ListenPacket("udp", address)
	if err != nil {
		return "", err
	}
	group.Add(func() { conn.Close() })
	return conn.LocalAddr().String(), nil
}

// fullBacklog is an address whose connections are never made: what it has room
// for waits already.
func fullBacklog(group *process.Group) (string, error) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	group.Add(func() { syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return "", err
	}
	if err := syscall.Listen(fd, 0); err != nil {
		return "", err
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		return "", err
	}
	address := fmt.Sprintf("127.0.0.1:%d", name.(*syscall.SockaddrInet4).Port)
	for range 8 {
		conn, err := net.DialTimeout("tcp", address, 100*time.Millisecond)
		if err != nil {
			break // it is full
		}
		group.Add(func() { conn.Close() })
	}
	return address, nil
}
