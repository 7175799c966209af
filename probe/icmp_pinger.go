package probe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// pinger sends the echo requests of one IP family for all targets of a process
// and hands every answer to the probe that waits for it.
//
// An answer is taken for a request when all of this is equal: the address (the
// sender of a reply; the destination that an error quotes), the identifier,
// which is random for each network, the sequence number, which no two waiting
// requests to one address share, and the payload, whose first bytes are random
// for each request. So a reply that comes late answers no later request, a
// second one answers nothing, and one by another address neither.
type pinger struct {
	v6      bool
	id      uint16 // of raw sockets; the kernel chooses those of ping sockets
	closing chan struct{}
	readers sync.WaitGroup
	// opened holds the sockets by whether their packets must not be fragmented:
	// this can only be set for a socket, not for a packet. On raw sockets, all
	// replies come in by the plain one. The mutex of Network guards it.
	opened map[bool]*socket

	mu      sync.Mutex // guards all that follows
	seq     uint16     // of the last request
	waiting map[waitKey]waiter
}

// waitKey is by what a waiting request is found.
type waitKey struct {
	target netip.Addr // without a zone
	seq    uint16
}

// waiter is a request that waits for its answer.
type waiter struct {
	token   [tokenSize]byte
	payload []byte         // but for the token, that of the request
	index   int            // of the packet within its probe
	answers chan<- outcome // with room for one answer to each packet
}

// outcome is what came of one packet.
type outcome struct {
	index    int
	at       time.Time
	hopLimit int   // that the reply arrived with; 0 when it is not known
	err      error // why there will be no reply
}

// tokenSize is how many bytes of a payload are random, where it has that many.
const tokenSize = 8

// newPinger gives a pinger with no socket yet, whose first sequence number
// follows seq.
func newPinger(v6 bool, id, seq uint16) *pinger {
	return &pinger{
		v6: v6, id: id, seq: seq,
		closing: make(chan struct{}), opened: map[bool]*socket{}, waiting: map[waitKey]waiter{},
	}
}

// socket gives the socket that sends packets which must not be fragmented
// (whole) or others, and opens it at the first time.
func (p *pinger) socket(whole bool) (*socket, error) {
	if whole {
		if _, err := p.socket(false); err != nil { // it listens for both
			return nil, err
		}
	}
	if s := p.opened[whole]; s != nil {
		return s, nil
	}
	s, err := openSocket(p.v6, whole, p.id)
	if err != nil {
		return nil, err
	}
	p.opened[whole] = s
	if !s.deaf {
		p.readers.Go(func() { p.listen(s) })
	}
	return s, nil
}

// close closes the sockets and waits for their readers.
func (p *pinger) close() error {
	close(p.closing)
	var all error
	for _, s := range p.opened {
		all = errors.Join(all, s.close())
	}
	p.readers.Wait()
	return all
}

// heard is a message that came in at a time.
type heard struct {
	echoAnswer
	hopLimit int // 0 when it is not known
	at       time.Time
}

// receiver is what a pinger listens to.
type receiver interface {
	// receive waits for a message that speaks about an echo request; a message
	// that does not is not ok.
	receive() (h heard, ok bool, err error)
	// identifier is that of the requests which this receiver hears the answers to.
	identifier() uint16
}

// listen hands out what comes in, until the pinger is closed. An error that
// stays is met again after a growing pause of up to a second: it costs no CPU.
func (p *pinger) listen(from receiver) {
	var pause time.Duration
	for {
		h, ok, err := from.receive()
		if err == nil {
			pause = 0
			if ok && h.id == from.identifier() {
				p.deliver(h)
			}
			continue
		}
		pause = min(max(2*pause, time.Millisecond), time.Second)
		select {
		case <-p.closing:
			return
		case <-time.After(pause):
		}
	}
}

// deliver gives a message to the one that waits for it, if there is one.
func (p *pinger) deliver(h heard) {
	key := waitKey{h.target.WithZone(""), h.seq}
	p.mu.Lock()
	w, ok := p.waiting[key]
	if ok = ok && w.wants(h.echoAnswer); ok {
		delete(p.waiting, key)
	}
	p.mu.Unlock()
	if ok {
		w.answers <- outcome{w.index, h.at, h.hopLimit, h.err}
	}
}

// wants tells whether the payload is that of the request, or as much of its
// random part as an error quotes.
func (w *waiter) wants(e echoAnswer) bool {
	random := min(len(w.payload), tokenSize)
	if e.err != nil {
		random = min(random, len(e.payload))
		return bytes.Equal(e.payload[:random], w.token[:random])
	}
	return len(e.payload) == len(w.payload) &&
		bytes.Equal(e.payload[:random], w.token[:random]) && bytes.Equal(e.payload[random:], w.payload[random:])
}

// expect makes w wait for the answer to a request and gives the sequence number
// that this must carry.
func (p *pinger) expect(target netip.Addr, w waiter) (waitKey, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for range 1 << 16 {
		p.seq++
		key := waitKey{target.WithZone(""), p.seq}
		if _, taken := p.waiting[key]; !taken {
			p.waiting[key] = w
			return key, nil
		}
	}
	return waitKey{}, fmt.Errorf("%d echo requests to %s wait for a reply already", 1<<16, target)
}

// forget ends the waiting of a probe.
func (p *pinger) forget(keys []waitKey) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, key := range keys {
		delete(p.waiting, key)
	}
}

// send sends one message. When the buffer of the socket is full, as it gets
// when many targets on a link do not answer to neighbour discovery, it tries
// again until ctx ends: only this probe waits, not the socket.
func (p *pinger) send(ctx context.Context, s *socket, message []byte, to envelope) (at time.Time, err error) {
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		at = time.Now()
		err = s.send(message, to)
		if !errors.Is(err, syscall.EAGAIN) && !errors.Is(err, syscall.ENOBUFS) {
			return at, err
		}
		select {
		case <-ctx.Done():
			return at, &failure{Internal, fmt.Errorf("the send buffer stays full: %w", err)}
		case <-time.After(pause):
		}
	}
}
