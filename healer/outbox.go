package healer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-kit/log/level"
)

// Delivery of messages: how many at once, how long one may take, and the pause
// after a failed one, which doubles.
const (
	deliverAtOnce = 50
	sendWithin    = 10 * time.Second
	firstPause    = time.Second
	longestPause  = time.Minute
)

// deliver sends every message that is due, at least once: to each contact in
// order, and to all contacts at once, so that one that hangs keeps no other from
// being told.
func (e *Engine) deliver(ctx context.Context) error {
	due, err := e.Store.DueMessages(ctx, deliverAtOnce)
	if err != nil {
		return err
	}
	bySink := map[string][]Message{}
	for _, m := range due {
		bySink[m.Sink] = append(bySink[m.Sink], m)
	}
	var sending sync.WaitGroup
	troubles := make(chan error, len(bySink))
	for _, list := range bySink {
		sending.Go(func() { troubles <- e.deliverTo(ctx, list) })
	}
	sending.Wait()
	close(troubles)
	var all error
	for err := range troubles {
		all = errors.Join(all, err)
	}
	if len(due) == deliverAtOnce {
		e.kick()
	}
	return all
}

// deliverTo sends messages to one contact. After one that failed the others are
// put off without a try: they would meet the same trouble, each for sendWithin.
func (e *Engine) deliverTo(ctx context.Context, list []Message) (all error) {
	var failed error
	for _, m := range list {
		if ctx.Err() != nil {
			return all
		}
		cause := failed
		if failed == nil {
			cause = e.send(ctx, m)
		}
		if cause != nil && failed == nil {
			e.metrics.outboxFailures.WithLabelValues(m.Sink).Inc()
			level.Warn(e.Logger).Log("msg", "a message was not delivered and is tried again", "sink", m.Sink, "kind", m.Kind, "tries", m.Tries+1, "err", cause)
			failed = fmt.Errorf("put off, since a message before it was not delivered: %w", cause)
		}
		// The store keeps next as it is given and compares it with its own clock, which is
		// this host's but never runs back.
		next := time.Now().Add(e.Store.Behind()).Add(backOff(m.Tries))
		if err := e.Store.Delivered(ctx, m.ID, cause, next); err != nil {
			all = errors.Join(all, fmt.Errorf("keep the delivery of message %s: %w", m.ID, err))
		}
	}
	return all
}

// send gives one message to its contact.
func (e *Engine) send(ctx context.Context, m Message) error {
	sink, known := e.Outside().Sinks[m.Sink]
	if !known {
		return fmt.Errorf("send to %q: no such contact in notify", m.Sink)
	}
	ctx, cancel := context.WithTimeout(ctx, sendWithin)
	defer cancel()
	return sink.Send(ctx, m)
}

// backOff is the pause after so many tries before: 1s, 2s, 4s … 1m.
func backOff(tries int) time.Duration {
	return min(firstPause<<min(tries, 10), longestPause)
}

// sendDirectly tells people of a hand-over that the journal could not keep. It
// is best effort and comes once for each message that this process knows of.
func (e *Engine) sendDirectly(ctx context.Context, messages []Message) {
	for _, m := range messages {
		key := "direct/" + m.Incident + "/" + m.Kind + "/" + m.Sink
		if m.Kind != "hand_over" || e.toldBefore(key) {
			continue
		}
		e.mu.Lock()
		e.told[key] = true
		e.mu.Unlock()
		if err := e.send(context.WithoutCancel(ctx), m); err != nil {
			level.Error(e.Logger).Log("msg", "a hand-over could neither be kept nor sent", "sink", m.Sink, "incident", m.Incident, "err", err)
		}
	}
}

// Trouble that stops everything: how often people hear of it, the code of the
// journal's, and how far the clock must be behind to be worth a word.
const (
	troubleEach         = 10 * time.Minute
	troubleJournal Code = "journal"
	clockBack           = 10 * time.Second
)

// tellTrouble tells people directly that nothing can be done: no intent can be
// written, and the outbox may be as dead as the rest.
func (e *Engine) tellTrouble(ctx context.Context, why Code, text string) {
	e.mu.Lock()
	last, before := e.troubled[why]
	quiet := before && time.Since(last) < troubleEach
	if !quiet {
		e.troubled[why] = time.Now()
	}
	e.mu.Unlock()
	if quiet {
		return
	}
	level.Error(e.Logger).Log("msg", text, "code", string(why))
	book := e.Book()
	n := notice{Version: "1", Kind: "tell", Code: string(why), Cluster: book.Cluster, At: time.Now().UTC(), Text: text}
	for _, contact := range book.Escalate.To {
		m := Message{Kind: n.Kind, Sink: contact, Body: asJSON(n), Dedup: string(why)}
		if err := e.send(context.WithoutCancel(ctx), m); err != nil {
			level.Error(e.Logger).Log("msg", "people could not be told of trouble that stops everything", "code", string(why), "sink", contact, "err", err)
		}
	}
}

// tellClock tells people that the clock stands still: while it does nothing is
// claimed, however long that takes.
func (e *Engine) tellClock(ctx context.Context) {
	if behind := e.Store.Behind(); behind > clockBack {
		e.tellTrouble(ctx, codeClock, fmt.Sprintf("the clock of heal-receiver has jumped back by %s: nothing is done until it has caught up", behind.Round(time.Second)))
	}
}
