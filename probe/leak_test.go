package probe

import (
	"context"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// leakProbes is how many probes must leave nothing behind.
const leakProbes = 10_000

// abreast is how many of them run at a time.
const abreast = 64

// descriptors counts the open files of this process.
func descriptors(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatalf("counting descriptors: %v", err)
	}
	return len(list)
}

// remains are the goroutines of probes, each by its stack: those of the test
// and of its servers are left out.
func remains() []string {
	all := make([]byte, 8<<20)
	all = all[:runtime.Stack(all, true)]
	return slices.DeleteFunc(strings.Split(string(all), "\n\n"), func(stack string) bool {
		return !strings.Contains(stack, "onefiveten/probe.(*") && !strings.Contains(stack, "net/http.(*http2ClientConn)") &&
			!strings.Contains(stack, "grpc/internal/transport.") && !strings.Contains(stack, "net.(*Resolver)") || strings.Contains(stack, "remains()")
	})
}

// settled waits until a count has come down to what it was, or time is up: what
// a library or the kernel ends in the background is no leak.
func settled(count func() int, before int) int {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	patience := time.After(10 * time.Second)
	for {
		now := count()
		if now <= before {
			return now
		}
		select {
		case <-patience:
			return now
		case <-tick.C:
		}
	}
}

func TestLeak_TenThousandProbesOfNastyServersLeaveNothing(t *testing.T) {
	all := nasties(t)
	all = append(all, nasty{name: "icmp", module: "{prober: icmp, icmp: {preferred_ip_protocol: ip4}}", want: Timeout})
	network := NewNetwork()
	probers, targets := make([]*Prober, len(all)), make([]string, len(all))
	for i, n := range all {
		probers[i] = prober(t, n.module)
		probers[i].network = network
		if targets[i] = "127.0.0.1"; n.talk != nil {
			targets[i] = n.open(t)
		}
	}
	// What is opened once, by libraries too, is no leak.
	for i := range all {
		once(t, probers[i], targets[i], all[i])
	}
	opened, running := descriptors(t), runtime.NumGoroutine()
	var next atomic.Int64
	var open sync.WaitGroup
	for range abreast {
		open.Go(func() {
			for n := next.Add(1); n <= leakProbes; n = next.Add(1) {
				i := int(n) % len(all)
				once(t, probers[i], targets[i], all[i])
			}
		})
	}
	open.Wait()
	if err := network.Close(); err != nil {
		t.Error(err)
	}
	if left := settled(func() int { return descriptors(t) }, opened); left > opened {
		t.Errorf("%d descriptors before %d probes, %d after", opened, leakProbes, left)
	}
	if left := settled(runtime.NumGoroutine, running); left > running {
		t.Errorf("%d goroutines before %d probes, %d after:\n%s", running, leakProbes, left, strings.Join(remains(), "\n\n"))
	}
}

// once probes and wants an end with a reason that fits. A machine under load may
// reach the deadline first; a ping of this machine may succeed, or not be allowed.
func once(t *testing.T, p *Prober, target string, n nasty) {
	ctx, cancel := context.WithTimeout(t.Context(), 25*time.Millisecond)
	defer cancel()
	r := p.Run(ctx, target)
	fits := r.Reason == n.want || r.Reason == Timeout || n.name == "icmp" && (r.Success || r.Reason == Internal)
	if !fits {
		t.Errorf("%s: got success %v, reason %q, error %v; want reason %s", n.name, r.Success, r.Reason, r.Err, n.want)
	}
}
