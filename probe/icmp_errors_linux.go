package probe

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Raw sockets see the errors of ICMP as messages. To ping sockets the kernel
// gives them through the queue of errors (IP_RECVERR, ip(7)).

// wantErrors has errors put into the queue.
func (s *socket) wantErrors(fd int) error {
	if s.v6 {
		return setOption(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVERR, 1, "IPV6_RECVERR")
	}
	return setOption(fd, unix.IPPROTO_IP, unix.IP_RECVERR, 1, "IP_RECVERR")
}

// readEither reads from a ping socket: from the queue of errors, then what came
// in. It is not done when there is neither.
func (s *socket) readEither(fd uintptr) (done bool) {
	if s.readOnce(fd, unix.MSG_ERRQUEUE); s.got.err == nil {
		s.got.queued = true
		return true
	}
	// The error of a queued message comes a second time, in place of a message
	// that has come in meanwhile or has not.
	for range attempts {
		if s.readOnce(fd, 0); s.got.err == nil || s.got.err == unix.EAGAIN {
			break
		}
	}
	return s.got.err != unix.EAGAIN
}

// attempts is how often a call is made on a ping socket: it may give an error
// that belongs to another packet, once for each.
const attempts = 8

// queuedError reads a message from the queue of errors of a ping socket: the
// quoted request, the destination that this had, and what the kernel tells of
// the error in a control message.
func (s *socket) queuedError() (echoAnswer, bool) {
	for rest := s.extra[:s.got.extra]; len(rest) >= unix.CmsgLen(0); {
		header, data, next, err := unix.ParseOneSocketControlMessage(rest)
		if err != nil {
			break
		}
		rest = next
		if header.Level == unix.IPPROTO_IP && header.Type == unix.IP_RECVERR ||
			header.Level == unix.IPPROTO_IPV6 && header.Type == unix.IPV6_RECVERR {
			return parseQueued(s.v6, s.buffer[:s.got.message], sender(s.got.from), data)
		}
	}
	return echoAnswer{}, false
}

// parseQueued reads an error and the request that it is about. extended is a
// struct sock_extended_err, followed by the address of who found the error.
// Errors of this machine are not ok: who sends is told of them at once.
func parseQueued(v6 bool, request []byte, dst netip.Addr, extended []byte) (e echoAnswer, ok bool) {
	const length = 16
	if len(extended) < length || extended[4] != unix.SO_EE_ORIGIN_ICMP && extended[4] != unix.SO_EE_ORIGIN_ICMP6 {
		return echoAnswer{}, false
	}
	// The head of the message, as far as it is told.
	message := make([]byte, headerICMP)
	message[0], message[1] = extended[5], extended[6]
	binary.BigEndian.PutUint32(message[4:], binary.NativeEndian.Uint32(extended[8:]))
	text, known := errors4(message)
	kind := byte(echoRequest4)
	if v6 {
		text, known = errors6(message)
		kind = echoRequest6
	}
	if !known {
		return echoAnswer{}, false
	}
	e, ok = quoted(request, dst, kind)
	e.err = fmt.Errorf("%s says: %s", offender(v6, extended[length:]), text)
	return e, ok
}

// offender reads the address of a struct sockaddr_in or sockaddr_in6.
func offender(v6 bool, address []byte) string {
	switch {
	case v6 && len(address) >= 24:
		return netip.AddrFrom16([16]byte(address[8:24])).String()
	case !v6 && len(address) >= 8:
		return netip.AddrFrom4([4]byte(address[4:8])).String()
	}
	return "somebody"
}
