package blackbox_test

import (
	"bufio"
	"context"
	"io"
	"log"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// world is every server that is probed. All are local and real.
type world struct {
	t   *testing.T
	dir string // of certificates and other files
	*authority
	end context.Context // ends with the tests: until then a silent server is silent
}

// newWorld starts what all protocols need: names and certificates.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), end: t.Context()}
	w.authority = newAuthority(w)
	w.serveNames()
	return w
}

// write makes a file that modules can name.
func (w *world) write(name, text string) (file string) {
	w.t.Helper()
	file = filepath.Join(w.dir, name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return file
}

// listen opens an address and hands every connection to a script, which ends
// with the connection.
func (w *world) listen(network, address string, script func(conn net.Conn)) (addr string) {
	w.t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		w.t.Fatal(err)
	}
	var open sync.WaitGroup
	open.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			open.Go(func() {
				defer conn.Close()
				stop := context.AfterFunc(w.end, func() { conn.Close() })
				defer stop()
				script(conn)
			})
		}
	})
	w.t.Cleanup(func() { l.Close(); open.Wait() })
	return l.Addr().String()
}

// tcp is listen on a free port of 127.0.0.1.
func (w *world) tcp(script func(conn net.Conn)) (addr string) {
	w.t.Helper()
	return w.listen("tcp", "127.0.0.1:0", script)
}

// silent holds a connection until the other side ends it.
func silent(conn net.Conn) { io.Copy(io.Discard, conn) }

// reset ends a connection so that the other side hears of an error.
func reset(conn net.Conn) {
	if c, ok := conn.(*net.TCPConn); ok {
		c.SetLinger(0)
	}
	conn.Close()
}

// hello reads the first message of a client that begins TLS, all of it: what is
// left unread turns the end of a connection into a reset.
func hello(conn net.Conn) {
	head := make([]byte, 5)
	if _, err := io.ReadFull(conn, head); err == nil {
		io.CopyN(io.Discard, conn, int64(head[3])<<8|int64(head[4]))
	}
}

// heard reads lines until one holds a part.
func heard(r *bufio.Reader, part string) bool {
	for {
		line, err := r.ReadString('\n')
		if strings.Contains(line, part) {
			return true
		}
		if err != nil {
			return false
		}
	}
}

// closed is an address at which nobody listens, over tcp or udp: low ports are
// given to nobody who has not asked for them.
func (w *world) closed() (addr string) { return "127.0.0.1:9" }

// port is that of an address.
func port(addr string) string {
	_, number, _ := net.SplitHostPort(addr)
	return number
}

// quiet takes what servers say of clients that end connections: most do here.
func quiet() *log.Logger { return log.New(io.Discard, "", 0) }
