package main

import (
	"context"
	"net"
	"os"
	"testing"
	"time"

	"github.com/onefiveten/onefiveten/demo/process"
)

func TestSpread_IsMedianLeastAndGreatest(t *testing.T) {
	for _, c := range []struct {
		values                  []float64
		median, least, greatest float64
	}{
		{nil, 0, 0, 0}, {[]float64{3}, 3, 3, 3}, {[]float64{9, 1, 2}, 2, 1, 9}, {[]float64{4, 1, 2, 9}, 3, 1, 9},
	} {
		if m, l, g := spread(c.values); m != c.median || l != c.least || g != c.greatest {
			t.Errorf("%v: got %v, %v, %v", c.values, m, l, g)
		}
	}
}

func TestCPUTime_GrowsWithWork(t *testing.T) {
	before, err := cpuTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for after := before; after < before+5*time.Millisecond; {
		if after, err = cpuTime(os.Getpid()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAnswerName_IsUnderstoodByTheResolverOfGo(t *testing.T) {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { serveNames(conn); close(done) }()
	t.Cleanup(func() { conn.Close(); <-done })
	resolver := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
	found, err := resolver.LookupNetIP(t.Context(), "ip", dnsName+".")
	if err != nil || len(found) != 1 || found[0].String() != "127.0.0.1" {
		t.Errorf("got %v, %v", found, err)
	}
}

func TestAnswerName_LeavesWhatIsNoQuestion(t *testing.T) {
	for _, query := range []string{"", "short", "0123456789ab", "0123456789ab\x3fx", "0123456789ab\x01x\x00\x00"} {
		if answer := answerName([]byte(query)); answer != nil {
			t.Errorf("%q: got %q", query, answer)
		}
	}
}

func TestSince_IsBelowTheInterval(t *testing.T) {
	planned := since("http://127.0.0.1/0", 0)
	for _, c := range []struct{ at, want time.Duration }{
		{0, planned}, {lagInterval, planned}, {lagInterval - planned, 0}, {lagInterval - planned - 1, lagInterval - 1}, {time.Second - planned, time.Second},
	} {
		if got := since("http://127.0.0.1/0", int64(c.at)+int64(10*lagInterval)); got != c.want {
			t.Errorf("%s: got %s, want %s", c.at, got, c.want)
		}
	}
}

func TestFullBacklog_LetsNobodyConnect(t *testing.T) {
	var group process.Group
	t.Cleanup(group.Close)
	address, err := fullBacklog(&group)
	if err != nil {
		t.Fatal(err)
	}
	if conn, err := net.DialTimeout("tcp", address, 100*time.Millisecond); err == nil {
		conn.Close()
		t.Error("a connection was made")
	}
}

func TestVectorBytes_CountsTheSeriesOfTargetsAlone(t *testing.T) {
	page := "# TYPE up gauge\nup 1\n# TYPE probe_success gauge\nprobe_success{instance=\"a\"} 1\nprobe_success{instance=\"b\"} 0\n" +
		"# TYPE d histogram\nd_bucket{instance=\"a\",le=\"+Inf\"} 1\nd_sum{instance=\"a\"} 1\nd_count{instance=\"a\"} 1\n"
	_, series, err := vectorBytes([]byte(page))
	if err != nil || series != 3 {
		t.Errorf("got %d series, %v", series, err)
	}
}
