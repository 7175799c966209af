package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// How often progress is told, and from when on a bar is shown.
const (
	barEvery  = 200 * time.Millisecond
	barAfter  = time.Second
	lineEvery = 10 * time.Second
)

// progress counts what was read. Size and points are 0 where they are not known.
type progress struct {
	size   int64 // bytes of the whole
	points int64 // samples of the whole, at most
	bytes  atomic.Int64
	rows   atomic.Int64
}

// part is how much of the whole has been read; false: nobody knows.
func (p *progress) part() (float64, bool) {
	switch {
	case p.size > 0:
		return min(float64(p.bytes.Load())/float64(p.size), 1), true
	case p.points > 0:
		return min(float64(p.rows.Load())/float64(p.points), 1), true
	}
	return 0, false
}

// line is one line of progress after some time.
func (p *progress) line(after time.Duration) string {
	rows := p.rows.Load()
	text := fmt.Sprintf("%d samples, %.0f a second", rows, float64(rows)/after.Seconds())
	part, known := p.part()
	if !known {
		return text
	}
	if part > 0 {
		left := time.Duration(float64(after) * (1 - part) / part)
		text += fmt.Sprintf(", %s left", left.Round(time.Second))
	}
	return fmt.Sprintf("%3.0f %%  %s", 100*part, text)
}

// bar is the line with a bar before it.
func (p *progress) bar(after time.Duration) string {
	const width = 30
	part, known := p.part()
	if !known {
		return p.line(after)
	}
	full := int(part * width)
	return "[" + strings.Repeat("=", full) + strings.Repeat(" ", width-full) + "] " + p.line(after)
}

// watch tells how far it is until it is stopped: as a bar, as lines, or not at all.
func (p *progress) watch(w io.Writer, bar, lines bool) (stop func()) {
	if !bar && !lines {
		return func() {}
	}
	every := lineEvery
	if bar {
		every = barEvery
	}
	done := make(chan struct{})
	var telling sync.WaitGroup
	telling.Go(func() {
		begin, drawn := time.Now(), false
		ticks := time.NewTicker(every)
		defer ticks.Stop()
		for {
			select {
			case <-done:
				if drawn {
					fmt.Fprint(w, "\r\x1b[K")
				}
				return
			case now := <-ticks.C:
				after := now.Sub(begin)
				switch {
				case !bar:
					fmt.Fprintf(w, "probe-exporter: %s\n", p.line(after))
				case after >= barAfter:
					drawn = true
					fmt.Fprintf(w, "\r\x1b[K%s", p.bar(after))
				}
			}
		}
	})
	return func() {
		close(done)
		telling.Wait()
	}
}

// shows tells whether there is a bar: on a terminal, unless the samples are
// printed there, too, or nobody wants it.
func (b *backtesting) shows(a *app) bool {
	if b.progressGiven && !b.progress {
		return false
	}
	return isTerminal(a.stderr) && (b.format == "summary" || !isTerminal(a.stdout))
}

// isTerminal takes every device of characters for one: on /dev/null a bar does no
// harm.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	about, err := f.Stat()
	return err == nil && about.Mode()&os.ModeCharDevice != 0
}

// counted counts what is read.
type counted struct {
	from io.Reader
	p    *progress
}

// Read is part of io.Reader.
func (c *counted) Read(b []byte) (int, error) {
	n, err := c.from.Read(b)
	c.p.bytes.Add(int64(n))
	return n, err
}

// checked ends with the context, between two reads.
type checked struct {
	ctx  context.Context
	from io.Reader
}

// Read is part of io.Reader.
func (c *checked) Read(b []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.from.Read(b)
}

// interruptible ends with the context, even while nothing comes: a read of
// standard input cannot be called off.
func interruptible(ctx context.Context, from io.Reader) io.Reader {
	r, w := io.Pipe()
	go func() {
		_, err := io.Copy(w, from)
		w.CloseWithError(err) // nil: io.EOF
	}()
	context.AfterFunc(ctx, func() { r.CloseWithError(ctx.Err()) })
	return r
}
