//go:build !linux

package probe

import (
	"errors"
	"net/netip"
	"runtime"
)

// socket stands for what is not there: ICMP is probed on Linux alone.
type socket struct {
	deaf bool
	id   uint16
}

// envelope has nothing to hold.
type envelope struct{}

// openSocket says that ICMP is not there.
func openSocket(_, _ bool, _ uint16) (*socket, error) {
	return nil, errors.New("icmp is available on Linux alone, not on " + runtime.GOOS)
}

func (*socket) kind() string                { return "" }
func (*socket) identifier() uint16          { return 0 }
func (*socket) close() error                { return nil }
func (*socket) send([]byte, envelope) error { return errors.ErrUnsupported }
func (*socket) receive() (heard, bool, error) {
	return heard{}, false, errors.ErrUnsupported
}

func newEnvelope(_, _ netip.Addr, _ int) (envelope, error) {
	return envelope{}, errors.ErrUnsupported
}
