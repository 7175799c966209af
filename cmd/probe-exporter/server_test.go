package main

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a listener whose connections wait for nobody but the other end.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	conn, open := <-p
	if !open {
		return nil, net.ErrClosed
	}
	return conn, nil
}

func (p pipes) Close() error   { close(p); return nil }
func (p pipes) Addr() net.Addr { return &net.TCPAddr{} }

// asking serves by handle and gives the connection of a client that has asked.
func asking(t *testing.T, handle http.HandlerFunc) net.Conn {
	t.Helper()
	server, listener := newServer(handle), make(pipes)
	go server.Serve(listener)
	here, there := net.Pipe()
	listener <- there
	t.Cleanup(func() {
		here.Close()
		server.Close()
	})
	if _, err := io.WriteString(here, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	return here
}

func TestAClientThatNeverReadsIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		left := make(chan error, 1)
		asking(t, func(w http.ResponseWriter, _ *http.Request) {
			for {
				if _, err := w.Write(make([]byte, 64<<10)); err != nil {
					left <- err
					return
				}
			}
		})
		<-left // or the bubble is stuck, and says so
	})
}

func TestAnAnswerThatTakesLongIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := asking(t, func(w http.ResponseWriter, _ *http.Request) {
			allow(w, 10*patience)
			<-time.After(10 * patience)
			io.WriteString(w, "late")
		})
		got := make([]byte, 4<<10)
		n, err := client.Read(got)
		if err != nil || !bytes.HasSuffix(got[:n], []byte("late")) {
			t.Errorf("got %q, %v", got[:n], err)
		}
	})
}
