package process_test

import (
	"errors"
	"net"
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/onefiveten/onefiveten/demo/process"
)

func TestPort_RefusesUntilSomebodyListensAndAgainAfterwards(t *testing.T) {
	p, err := process.Reserve()
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()

	for round := range 3 {
		if _, err := net.Dial("tcp", p.Addr()); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Fatalf("round %d: dialing a reserved port gave %v, want connection refused", round, err)
		}
		l, err := net.Listen("tcp", p.Addr())
		if err != nil {
			t.Fatalf("round %d: listening on the reserved port: %v", round, err)
		}
		server := &http.Server{Handler: http.NotFoundHandler()}
		go server.Serve(l)
		resp, err := http.Get(p.URL()) // leaves connections in TIME_WAIT, too
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		resp.Body.Close()
		server.Close()
	}
}

func TestPort_IsGivenToNobodyElse(t *testing.T) {
	p, err := process.Reserve()
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()

	for range 2000 { // listeners and the near ends of connections both draw from the same range
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if l.Addr().String() == p.Addr() {
			t.Fatalf("a listener was given the reserved %s", p.Addr())
		}
		l.Close()
		c, err := net.DialTimeout("tcp", server.Addr().String(), time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if c.LocalAddr().String() == p.Addr() {
			t.Fatalf("a connection was given the reserved %s", p.Addr())
		}
		c.Close()
		accepted, err := server.Accept()
		if err != nil {
			t.Fatal(err)
		}
		accepted.Close()
	}
}
