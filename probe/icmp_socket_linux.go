package probe

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// socketBuffer is what is asked for as buffers of a socket, in bytes: replies
// of thousands of targets may come before the reader runs. The kernel gives
// less to a process without CAP_NET_ADMIN (net.core.rmem_max).
const socketBuffer = 4 << 20

// socket is a raw socket or, where this is not allowed, a ping socket of ICMP.
type socket struct {
	file   *os.File
	conn   syscall.RawConn
	v6     bool
	raw    bool
	deaf   bool   // never receives: another one does
	id     uint16 // of the requests that it sends
	buffer []byte // of the reader, as the next two
	extra  []byte
	got    arrival
	read   func(fd uintptr) bool // keeps what it read in got
}

// arrival is what one call of recvmsg gave.
type arrival struct {
	message, extra int // bytes in the buffers
	from           unix.Sockaddr
	queued         bool // among the errors
	err            error
}

// openSocket opens a socket of one family: a raw one, which sends requests of
// that id, or else a ping socket, whose id the kernel chooses. Packets of a
// whole one must not be fragmented; if it is raw it only sends.
func openSocket(v6, whole bool, id uint16) (*socket, error) {
	s, err := newSocket(v6, whole, id, unix.SOCK_RAW)
	if !denied(err) {
		return s, err
	}
	s, other := newSocket(v6, whole, id, unix.SOCK_DGRAM)
	if denied(other) {
		return nil, fmt.Errorf("raw socket: %w; ping socket: %w; want the capability CAP_NET_RAW, or a group of this process in net.ipv4.ping_group_range", err, other)
	}
	return s, other
}

// denied tells whether a permission is missing.
func denied(err error) bool {
	return errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES)
}

// newSocket opens a socket of one kind with all its options.
func newSocket(v6, whole bool, id uint16, kind int) (*socket, error) {
	family, protocol := unix.AF_INET, unix.IPPROTO_ICMP
	if v6 {
		family, protocol = unix.AF_INET6, unix.IPPROTO_ICMPV6
	}
	fd, err := unix.Socket(family, kind|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	s := &socket{v6: v6, raw: kind == unix.SOCK_RAW, id: id}
	s.deaf = s.raw && whole
	if err := s.prepare(fd, whole); err != nil {
		unix.Close(fd)
		return nil, err
	}
	s.file = os.NewFile(uintptr(fd), s.kind())
	if s.conn, err = s.file.SyscallConn(); err != nil {
		s.file.Close()
		return nil, err
	}
	return s, nil
}

// prepare sets the options of a socket.
func (s *socket) prepare(fd int, whole bool) error {
	if err := s.filter(fd); err != nil {
		return err
	}
	if whole {
		// Unlike IP_PMTUDISC_DO, this sends to the limit of the own interface
		// however small an MTU was told before: each probe measures anew.
		if err := setOption(fd, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_PROBE, "IP_MTU_DISCOVER"); err != nil {
			return err
		}
	}
	enlarge(fd, unix.SO_SNDBUFFORCE, unix.SO_SNDBUF)
	if s.deaf {
		return nil
	}
	enlarge(fd, unix.SO_RCVBUFFORCE, unix.SO_RCVBUF)
	s.buffer, s.extra = make([]byte, 1<<16), make([]byte, 256)
	s.read = s.readEither
	if s.raw {
		s.read = func(fd uintptr) bool { s.readOnce(fd, 0); return s.got.err != unix.EAGAIN }
	}
	if err := setOption(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1, "SO_TIMESTAMPNS"); err != nil {
		return err
	}
	return s.name(fd)
}

// readOnce keeps what one call of recvmsg gives.
func (s *socket) readOnce(fd uintptr, flags int) {
	for {
		s.got = arrival{}
		s.got.message, s.got.extra, _, s.got.from, s.got.err = unix.Recvmsg(int(fd), s.buffer, s.extra, flags)
		if s.got.err != unix.EINTR {
			return
		}
	}
}

// name asks for the hop limit of what comes in, and for the id of a ping socket.
func (s *socket) name(fd int) error {
	level, option, text := unix.IPPROTO_IP, unix.IP_RECVTTL, "IP_RECVTTL"
	var any unix.Sockaddr = &unix.SockaddrInet4{}
	if s.v6 {
		level, option, text = unix.IPPROTO_IPV6, unix.IPV6_RECVHOPLIMIT, "IPV6_RECVHOPLIMIT"
		any = &unix.SockaddrInet6{}
	}
	if err := setOption(fd, level, option, 1, text); err != nil || s.raw {
		return err
	}
	if err := s.wantErrors(fd); err != nil {
		return err
	}
	if err := unix.Bind(fd, any); err != nil {
		return os.NewSyscallError("bind", err)
	}
	bound, err := unix.Getsockname(fd)
	if err != nil {
		return os.NewSyscallError("getsockname", err)
	}
	switch bound := bound.(type) {
	case *unix.SockaddrInet4:
		s.id = uint16(bound.Port)
	case *unix.SockaddrInet6:
		s.id = uint16(bound.Port)
	}
	return nil
}

// setOption sets one option of a socket.
func setOption(fd, level, option, value int, name string) error {
	if err := unix.SetsockoptInt(fd, level, option, value); err != nil {
		return fmt.Errorf("socket option %s: %w", name, os.NewSyscallError("setsockopt", err))
	}
	return nil
}

// enlarge makes a buffer as large as may be.
func enlarge(fd, force, ask int) {
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, force, socketBuffer) != nil {
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, ask, socketBuffer) // it works with any size
	}
}

// kind names the socket for people.
func (s *socket) kind() string {
	if s.raw {
		return "raw"
	}
	return "ping"
}

// identifier is the id of the requests whose answers come in here.
func (s *socket) identifier() uint16 { return s.id }

// close ends a receive that waits.
func (s *socket) close() error { return s.file.Close() }

// envelope is the destination of packets with their source address and their
// hop limit, as sendmsg takes it.
type envelope struct {
	to      unix.Sockaddr
	control []byte
}

// newEnvelope makes an envelope. source is of the same family or not valid.
func newEnvelope(to, source netip.Addr, hopLimit int) (envelope, error) {
	zone, err := zoneIndex(to.Zone())
	if err != nil {
		return envelope{}, err
	}
	if to.Is4() {
		e := envelope{&unix.SockaddrInet4{Addr: to.As4()}, controlMessage(unix.IPPROTO_IP, unix.IP_TTL, hopLimit)}
		if source.IsValid() {
			e.control = append(e.control, unix.PktInfo4(&unix.Inet4Pktinfo{Spec_dst: source.As4()})...)
		}
		return e, nil
	}
	e := envelope{&unix.SockaddrInet6{Addr: to.As16(), ZoneId: zone}, controlMessage(unix.IPPROTO_IPV6, unix.IPV6_HOPLIMIT, hopLimit)}
	if source.IsValid() {
		zone, err = zoneIndex(source.Zone())
		e.control = append(e.control, unix.PktInfo6(&unix.Inet6Pktinfo{Addr: source.As16(), Ifindex: zone})...)
	}
	return e, err
}

// controlMessage is a control message (cmsg(3)) with one number.
func controlMessage(level, kind, value int) []byte {
	data := make([]byte, unix.CmsgSpace(4), unix.CmsgSpace(4)+unix.CmsgSpace(unix.SizeofInet6Pktinfo))
	header := unix.CmsgLen(0)
	if header >= 16 {
		binary.NativeEndian.PutUint64(data, uint64(unix.CmsgLen(4)))
	} else {
		binary.NativeEndian.PutUint32(data, uint32(unix.CmsgLen(4)))
	}
	binary.NativeEndian.PutUint32(data[header-8:], uint32(level))
	binary.NativeEndian.PutUint32(data[header-4:], uint32(kind))
	binary.NativeEndian.PutUint32(data[header:], uint32(value))
	return data
}

// send sends a message and never waits.
func (s *socket) send(message []byte, e envelope) (err error) {
	closed := s.conn.Control(func(fd uintptr) {
		for range attempts {
			_, err = unix.SendmsgN(int(fd), message, e.control, e.to, unix.MSG_DONTWAIT)
			if err == nil || s.raw || err == unix.EAGAIN {
				return
			}
		}
	})
	if closed != nil {
		return closed
	}
	return os.NewSyscallError("sendmsg", err)
}

// receive is that of receiver. What it gives is valid until the next call.
func (s *socket) receive() (h heard, ok bool, err error) {
	if err := s.conn.Read(s.read); err != nil {
		return heard{}, false, err
	}
	if s.got.err != nil {
		return heard{}, false, os.NewSyscallError("recvmsg", s.got.err)
	}
	now := time.Now()
	message := s.buffer[:s.got.message]
	late, hopLimit := s.extras(now)
	switch {
	case s.got.queued:
		h.echoAnswer, ok = s.queuedError()
	case s.v6 && s.raw:
		h.echoAnswer, ok = parse6(message, sender(s.got.from))
	case s.v6:
		h.echoAnswer, ok = parseReply(message, sender(s.got.from), echoReply6)
	case s.raw:
		h.echoAnswer, hopLimit, ok = parse4(message)
	default:
		h.echoAnswer, ok = parseReply(message, sender(s.got.from), echoReply4)
	}
	h.hopLimit, h.at = hopLimit, now.Add(-late)
	return h, ok, nil
}

// sender gives the address that a message came from.
func sender(from unix.Sockaddr) netip.Addr {
	switch from := from.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrFrom4(from.Addr)
	case *unix.SockaddrInet6:
		return netip.AddrFrom16(from.Addr)
	}
	return netip.Addr{}
}

// extras reads how long before now the kernel had the message, and its hop
// limit, 0 for what is not told.
func (s *socket) extras(now time.Time) (late time.Duration, hopLimit int) {
	for rest := s.extra[:s.got.extra]; len(rest) >= unix.CmsgLen(0); {
		header, data, next, err := unix.ParseOneSocketControlMessage(rest)
		if err != nil {
			break
		}
		rest = next
		switch {
		case header.Level == unix.SOL_SOCKET && header.Type == unix.SCM_TIMESTAMPNS:
			late = max(0, now.Sub(kernelTime(data)))
		case len(data) >= 4 && (header.Level == unix.IPPROTO_IP && header.Type == unix.IP_TTL ||
			header.Level == unix.IPPROTO_IPV6 && header.Type == unix.IPV6_HOPLIMIT):
			hopLimit = int(binary.NativeEndian.Uint32(data))
		}
	}
	if late > time.Second { // rather a step of the clock than a reader so late
		late = 0
	}
	return late, hopLimit
}

// kernelTime reads a timespec, which has the word size of the machine.
func kernelTime(data []byte) time.Time {
	switch {
	case len(data) >= 16:
		return time.Unix(int64(binary.NativeEndian.Uint64(data)), int64(binary.NativeEndian.Uint64(data[8:])))
	case len(data) >= 8:
		return time.Unix(int64(int32(binary.NativeEndian.Uint32(data))), int64(binary.NativeEndian.Uint32(data[4:])))
	}
	return time.Time{}
}
