package probe

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"
)

// Network is what all probers of a process share: the sockets that answers to
// pings come in by, one for each IP family. They are opened by the first probe
// that needs them: a process that may not open them can do without.
type Network struct {
	mu     sync.Mutex
	closed bool
	ping   map[bool]*pinger // by whether the family is IPv6
}

// NewNetwork gives a network with nothing open yet.
func NewNetwork() *Network { return &Network{ping: map[bool]*pinger{}} }

// Close closes what is open. Probers that use the network must have ended.
func (n *Network) Close() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed = true
	var all error
	for v6, p := range n.ping {
		all = errors.Join(all, p.close())
		delete(n.ping, v6)
	}
	return all
}

// pinger gives the pinger of a family and its socket for packets that must not
// be fragmented (whole) or for others.
func (n *Network) pinger(v6, whole bool) (*pinger, *socket, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return nil, nil, errors.New("the network is closed")
	}
	p := n.ping[v6]
	if p == nil {
		p = newPinger(v6, uint16(rand.Uint32()), uint16(rand.Uint32()))
	}
	s, err := p.socket(whole)
	if err != nil {
		return nil, nil, err
	}
	n.ping[v6] = p
	return p, s, nil
}

// CheckICMP tells whether this process may send echo requests of ICMP, by
// opening a socket of each IP family and closing it. The error says what is
// missing. A machine without IPv6 is no error.
func CheckICMP() error {
	n := NewNetwork()
	defer n.Close()
	if _, _, err := n.pinger(false, false); err != nil {
		return fmt.Errorf("icmp: %w", err)
	}
	if _, _, err := n.pinger(true, false); err != nil && !errors.Is(err, syscall.EAFNOSUPPORT) {
		return fmt.Errorf("icmp: %w", err)
	}
	return nil
}
