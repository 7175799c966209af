package process

import (
	"fmt"
	"net"
	"strconv"
	"syscall"
)

// Port is a free TCP port of 127.0.0.1 that is kept free for whoever is told
// its address. It is bound but not listened on: nobody else is given it, a
// connection is refused, and a server that sets SO_REUSEADDR (each Go server
// does) can listen on it, end, and listen again.
type Port struct {
	fd   int
	port int
}

// Reserve takes a free port until Close.
func Reserve() (*Port, error) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("reserving a port: %w", err)
	}
	p := &Port{fd: fd}
	if err := p.bind(); err != nil {
		p.Close()
		return nil, fmt.Errorf("reserving a port: %w", err)
	}
	return p, nil
}

// bind takes the port and learns its number. SO_REUSEADDR is what lets a
// server listen on it while it stays ours.
func (p *Port) bind() error {
	if err := syscall.SetsockoptInt(p.fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		return err
	}
	if err := syscall.Bind(p.fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return err
	}
	name, err := syscall.Getsockname(p.fd)
	if err != nil {
		return err
	}
	inet, ok := name.(*syscall.SockaddrInet4)
	if !ok {
		return fmt.Errorf("got an address of type %T, want IPv4", name)
	}
	p.port = inet.Port
	return nil
}

// Addr is the address as host:port.
func (p *Port) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(p.port)) }

// URL is the address as http://host:port.
func (p *Port) URL() string { return "http://" + p.Addr() }

// Close gives the port back; a second call does nothing.
func (p *Port) Close() {
	if p.fd >= 0 {
		_ = syscall.Close(p.fd)
		p.fd = -1
	}
}
