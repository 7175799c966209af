package probe

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"slices"
	"syscall"
	"time"
)

// Result is what one probe found.
type Result struct {
	Success bool
	// Reason is empty after a success. Err says the same in words.
	Reason   Reason
	Err      error
	Start    time.Time
	Duration time.Duration
	// Latency is the time that the target took, of a success: Duration, but for
	// several pings their mean round-trip time. What lies between them and the
	// wait for lost ones is of the prober's making.
	Latency time.Duration
	// Addr is the address that was probed; not valid when the name did not
	// resolve, or where there is none (unix, a proxy that resolves).
	Addr netip.Addr
	// Samples are the series of the protocol, all gauges, those of one name
	// together. probe_success and probe_duration_seconds are not among them:
	// they are Success and Duration.
	Samples []Sample
	// Notes say what was done, in its order; only [Prober.Explain] keeps them.
	Notes []Note
}

// Note is one line of what a probe did. It holds no secret of the module.
type Note struct {
	After  time.Duration // since the start of the probe
	Text   string
	Values []any // pairs of a name, a string, and a value
}

// Sample is one value of one series.
type Sample struct {
	Name, Help string
	Labels     []Label
	Value      float64
}

// Label is one label of a series.
type Label struct {
	Name  string `yaml:"name"`
	Value string `yaml:"value"`
}

// Reason says why a probe failed, out of a closed set.
type Reason string

// The reasons. Each names the first thing that went wrong.
const (
	Unresolved  Reason = "dns"         // the name did not resolve, for whatever cause, or not to the wanted family
	Refused     Reason = "refused"     // nobody listens
	Unreachable Reason = "unreachable" // no route, host or network down
	Timeout     Reason = "timeout"     // the deadline came first, after the name was resolved
	Reset       Reason = "reset"       // the connection ended before the answer did
	TLS         Reason = "tls"         // the handshake failed, or TLS was used against the module's wish
	Certificate Reason = "certificate" // the certificate is not to be trusted
	Protocol    Reason = "protocol"    // the answer is malformed or of a version that the module refuses
	Status      Reason = "status"      // HTTP status, response code of DNS, status code or health (not SERVING) of gRPC
	Content     Reason = "content"     // header, body, banner or DNS record is not what the module wants
	Size        Reason = "size"        // more data than the module allows
	Internal    Reason = "internal"    // the probe itself: a bad target or file, no descriptors or ports left, a panic, an end of the program
)

// Reasons gives all reasons in a stable order, for series that are made before
// their first failure.
func Reasons() []Reason {
	return []Reason{Unresolved, Refused, Unreachable, Timeout, Reset, TLS, Certificate, Protocol, Status, Content, Size, Internal}
}

// failure is an error whose reason is known where it is made.
type failure struct {
	reason Reason
	err    error
}

// Error gives the text of the cause; the reason stands beside it in the result.
func (f *failure) Error() string { return f.err.Error() }

// Unwrap gives the cause.
func (f *failure) Unwrap() error { return f.err }

// fail gives err a reason, unless it already carries one or tells a better one
// itself: a deadline or a reset stays that wherever it strikes.
func fail(otherwise Reason, err error) error {
	var known *failure
	if err == nil || errors.As(err, &known) {
		return err
	}
	return &failure{reasonOf(err, otherwise), err}
}

// reasonOf reads the reason from an error of the network, or else gives
// otherwise.
func reasonOf(err error, otherwise Reason) Reason {
	var known *failure
	var timeout net.Error
	var file *fs.PathError
	is := func(targets ...error) bool {
		return slices.ContainsFunc(targets, func(target error) bool { return errors.Is(err, target) })
	}
	switch {
	case errors.As(err, &known):
		return known.reason
	case is(context.Canceled), errors.As(err, &file), ours(err):
		return Internal
	case untrusted(err) != nil:
		return Certificate
	case alert(err):
		return TLS
	case is(os.ErrDeadlineExceeded, context.DeadlineExceeded, syscall.ETIMEDOUT), errors.As(err, &timeout) && timeout.Timeout():
		return Timeout
	case is(syscall.ECONNREFUSED):
		return Refused
	case is(syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.EHOSTDOWN, syscall.ENETDOWN):
		return Unreachable
	case is(syscall.ECONNRESET, syscall.EPIPE, syscall.ECONNABORTED):
		return Reset
	case otherwise != TLS && is(io.EOF, io.ErrUnexpectedEOF):
		return Reset
	}
	return otherwise
}

// alert tells whether one end gave TLS up. Since TLS 1.3 a server that wants
// another certificate of the client says so after the handshake.
func alert(err error) bool {
	var call *net.OpError
	return errors.As(err, &call) && (call.Op == "remote error" || call.Op == "local error")
}

// ours tells whether this machine could not even open a socket, or not bind it
// to the source address of the module: nothing was asked of the target, which
// must not be blamed for it.
func ours(err error) bool {
	var call *os.SyscallError
	if errors.As(err, &call) && call.Syscall == "bind" {
		return true
	}
	// EAGAIN is what UDP is told when no port is free.
	return slices.ContainsFunc([]error{syscall.EAGAIN, syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM}, func(own error) bool {
		return errors.Is(err, own)
	})
}
