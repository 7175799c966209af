package probe

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// Prober is a module made ready. It may probe many targets at a time.
type Prober struct {
	module   Module
	network  *Network
	probe    func(r *run) error
	resolver *net.Resolver
	wires    *sync.Pool // of *wire, those of all names that a module is asked for
	judges   judges
}

// New makes a module ready, on the network of the process. Files that the module
// names are read by each probe that needs them, so that a missing one is a
// failed probe (internal) and a new one is taken up.
func New(m Module, network *Network) (*Prober, error) {
	var first error
	m.Check(func(path, text string) {
		first = errors.Join(first, fmt.Errorf("%s: %s", path, text))
	})
	if first != nil {
		return nil, fmt.Errorf("module of prober %q: %w", m.Prober, first)
	}
	p := &Prober{module: m, network: network, resolver: net.DefaultResolver, wires: newWires(), judges: newJudges()}
	return p, protocols()[m.Prober].use(p, "")
}

// Named gives the prober that asks for hostname instead of the host of the
// target: as Host header and TLS server name of http, as TLS server name of tcp
// when the module sets none; of other protocols it changes nothing. It is an
// error when the module sets another Host.
func (p *Prober) Named(hostname string) (*Prober, error) {
	other := *p
	return &other, protocols()[p.module.Prober].use(&other, hostname)
}

// Timeout is the module's own timeout, 0 when it sets none.
func (p *Prober) Timeout() time.Duration { return p.module.Timeout }

// Run probes one target and returns at the deadline of ctx at the latest.
// A ctx that is cancelled ends the probe at once, with reason internal.
func (p *Prober) Run(ctx context.Context, target string) Result {
	return p.run(ctx, target, false)
}

// Explain is Run that also keeps notes of what it does, for people.
func (p *Prober) Explain(ctx context.Context, target string) Result {
	return p.run(ctx, target, true)
}

// run is one probe, with notes or without.
func (p *Prober) run(ctx context.Context, target string, explain bool) Result {
	r := &run{ctx: ctx, target: target, resolver: p.resolver, start: time.Now(), samples: make([]Sample, 0, 24), explain: explain}
	err := r.guard(p.probe)
	result := Result{Success: err == nil, Err: err, Start: r.start, Duration: time.Since(r.start), Addr: r.addr, Samples: r.samples, Notes: r.notes}
	result.Latency = cmp.Or(r.latency, result.Duration)
	if err != nil {
		result.Latency = 0
		result.Reason = reasonOf(err, Internal)
		if errors.Is(ctx.Err(), context.Canceled) {
			result.Reason = Internal
		}
		// Libraries take what the deadline has cut short for malformed.
		if result.Reason == Protocol && late(ctx) {
			result.Reason = Timeout
		}
	}
	return result
}

// late tells whether the deadline has come.
func late(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ok && !time.Now().Before(deadline)
}

// run is one probe on its way.
type run struct {
	ctx      context.Context
	target   string
	resolver *net.Resolver
	start    time.Time
	addr     netip.Addr    // of the target, once it is known
	latency  time.Duration // where it is another than the duration
	samples  []Sample
	explain  bool // whether notes are kept
	notes    []Note
}

// guard turns a panic of a protocol into a failure with reason internal.
func (r *run) guard(probe func(*run) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &failure{Internal, fmt.Errorf("panic while probing: %v", p)}
		}
	}()
	return probe(r)
}

// add keeps one sample.
func (r *run) add(name, help string, value float64, labels ...Label) {
	r.samples = append(r.samples, Sample{Name: name, Help: help, Labels: labels, Value: value})
}

// note keeps one line for people, values as pairs of a name and a value. Callers
// on the way of every probe ask r.explain first: to make the values costs.
func (r *run) note(text string, values ...any) {
	if r.explain {
		r.notes = append(r.notes, Note{After: time.Since(r.start), Text: text, Values: values})
	}
}

// dial opens a TCP connection from source, if that is valid: see open.
func (r *run) dial(addr netip.AddrPort, source netip.Addr) (net.Conn, func(), error) {
	if !source.IsValid() {
		return r.open("tcp", addr.String(), nil)
	}
	// Only then: a socket that is bound before it connects takes a port away
	// from all destinations, and DialTCP of net.Dialer always binds.
	return r.open("tcp", addr.String(), &net.TCPAddr{IP: source.AsSlice(), Zone: source.Zone()})
}

// undated is a context that ends at its deadline and does not tell it: who is
// told sets timers of their own, one more for each step of a probe.
type undated struct{ context.Context }

// Deadline implements context.Context.
func (undated) Deadline() (time.Time, bool) { return time.Time{}, false }

// open opens a connection that dies with the context. The function that it
// gives closes it and must be called.
func (r *run) open(network, address string, local net.Addr) (net.Conn, func(), error) {
	// No keep-alive messages: a probe is shorter than the first one.
	dialer := net.Dialer{KeepAlive: -1, LocalAddr: local}
	conn, err := dialer.DialContext(undated{r.ctx}, network, address)
	if err != nil {
		return nil, nil, fail(Unreachable, portless(err))
	}
	stop := context.AfterFunc(r.ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	return dated{conn}, func() { stop(); conn.Close() }, nil
}

// portless gives the error of a connection that cannot be opened the reason
// internal when all ports of this machine are in use. The kernel gives the same
// error where it has no address of that family; to connect a UDP socket, which
// sends nothing, tells the two apart.
func portless(err error) error {
	var call *net.OpError
	if !errors.Is(err, syscall.EADDRNOTAVAIL) || !errors.As(err, &call) || call.Addr == nil {
		return err
	}
	conn, other := net.Dial("udp", call.Addr.String())
	if other == nil {
		conn.Close()
	}
	if other == nil || errors.Is(other, syscall.EAGAIN) {
		return &failure{Internal, fmt.Errorf("no port of this machine is free: %w", err)}
	}
	return err
}

// dated is a connection whose deadline is that of its probe: TLS and gRPC set
// later ones for their last words, and would wait for a peer that reads nothing.
type dated struct{ net.Conn }

// The deadlines of others do not count.
func (dated) SetDeadline(time.Time) error      { return nil }
func (dated) SetReadDeadline(time.Time) error  { return nil }
func (dated) SetWriteDeadline(time.Time) error { return nil }
