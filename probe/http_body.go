package probe

import (
	"compress/flate"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/andybalholm/brotli"
)

// maxMatched bounds the body that regular expressions are matched against.
const maxMatched = 32 << 20

// judgeBody reads the body to its end and, if the answer is valid so far, holds
// it against the regular expressions and the conditions.
func (x *exchange) judgeBody(valid bool) error {
	raw := &counter{ctx: x.ctx, reader: x.answer.Body}
	body, err := decompress(raw, x.Compression)
	if err != nil {
		return x.unreadable(err, raw.ended)
	}
	// The limit is on what comes out of the decompression: a few bytes of gzip
	// can stand for gigabytes.
	limited := &counter{ctx: x.ctx, reader: body, limit: int64(x.BodySizeLimit)}
	match := valid && (x.patterns() || x.conditions())
	var text []byte
	if match {
		// As in blackbox_exporter, a body that does not come counts as one that
		// does not match.
		x.badMatch, x.badValue = x.patterns(), !x.patterns()
		limited.limit = x.textLimit()
		text, err = io.ReadAll(limited)
	} else {
		err = x.discard(limited)
	}
	x.length = limited.count
	if err != nil {
		return x.unreadable(err, raw.ended)
	}
	if match {
		return x.judgeText(text)
	}
	return nil
}

// patterns tells whether the body is held against regular expressions.
func (h *httpProber) patterns() bool {
	return len(h.FailIfBodyMatchesRegexp)+len(h.FailIfBodyNotMatchesRegexp) > 0
}

// conditions tells whether the body is held against conditions of CEL.
func (h *httpProber) conditions() bool {
	return h.FailIfBodyJSONMatchesCEL != nil || h.FailIfBodyJSONNotMatchesCEL != nil
}

// textLimit bounds the body that is kept whole.
func (h *httpProber) textLimit() int64 {
	limit := int64(h.BodySizeLimit)
	switch {
	case limit == 0 && h.conditions():
		return maxJSON
	case limit == 0 || limit > maxMatched:
		return maxMatched
	}
	return limit
}

// unreadable gives the reason of a body that could not be read. One that came
// whole and yet does not unpack is content.
func (x *exchange) unreadable(err error, whole bool) error {
	if x.Compression == "" {
		return fail(Protocol, fmt.Errorf("reading the body: %w", err))
	}
	err = fmt.Errorf("decompressing the body as %s: %w", x.Compression, err)
	if whole && (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)) {
		return &failure{Content, err}
	}
	return fail(Content, err)
}

// judgeText holds the whole body against the regular expressions, and then
// against the conditions.
func (x *exchange) judgeText(text []byte) error {
	if x.patterns() {
		if err := x.judges.inTime(x.ctx, len(text), func() error { return x.matchText(text) }); err != nil {
			return err
		}
		x.badMatch = false
	}
	if x.conditions() {
		x.badValue = true
		err := x.judges.inTime(x.ctx, len(text), func() error {
			return judgeJSON(x.ctx, text, x.FailIfBodyJSONMatchesCEL, x.FailIfBodyJSONNotMatchesCEL)
		})
		if err != nil {
			return err
		}
		x.badValue = false
	}
	return nil
}

// matchText holds the body against the regular expressions. Any that must not
// match is enough to fail, and so is any that must and does not.
func (h *httpProber) matchText(text []byte) error {
	for _, expression := range h.FailIfBodyMatchesRegexp {
		if expression.Match(text) {
			return &failure{Content, fmt.Errorf("body matches %q", expression)}
		}
	}
	for _, expression := range h.FailIfBodyNotMatchesRegexp {
		if !expression.Match(text) {
			return &failure{Content, fmt.Errorf("body does not match %q", expression)}
		}
	}
	return nil
}

// quick is a body, in bytes, that any expression is held against in some
// milliseconds.
const quick = 64 << 10

// maxJudged is how many large bodies a module judges at a time, with those that
// were left at their deadline: of these, each probe would else leave one more,
// with its text.
const maxJudged = 8

// judges holds one entry for each large body that is judged.
type judges chan struct{}

// newJudges gives the judges of a module, who all are free.
func newJudges() judges { return make(judges, maxJudged) }

// inTime gives what judge finds, or the end of ctx when that comes first: a
// regular expression on a large body cannot be interrupted. It then goes on
// alone to its end, so judge must change nothing.
func (j judges) inTime(ctx context.Context, size int, judge func() error) error {
	if size <= quick {
		return judge()
	}
	select {
	case j <- struct{}{}:
	case <-ctx.Done():
		return fail(Timeout, fmt.Errorf("judging a body of %d bytes, after %d others of this module: %w", size, maxJudged, context.Cause(ctx)))
	}
	found := make(chan error, 1)
	go func() {
		defer func() { <-j }()
		defer func() {
			if p := recover(); p != nil {
				found <- &failure{Internal, fmt.Errorf("panic while judging the body: %v", p)}
			}
		}()
		found <- judge()
	}()
	select {
	case err := <-found:
		return err
	case <-ctx.Done():
		return fail(Timeout, fmt.Errorf("judging a body of %d bytes: %w", size, context.Cause(ctx)))
	}
}

// discard reads to the end with a buffer that is used again.
func (x *exchange) discard(body io.Reader) error {
	w := x.wires.Get().(*wire)
	defer x.wires.Put(w)
	for {
		switch _, err := body.Read(w.scratch); {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
	}
}

// decompress takes the module at its word: a body that is not compressed so is
// a failure, whatever its header says.
func decompress(body io.Reader, coding string) (io.Reader, error) {
	switch coding {
	case "br":
		return brotli.NewReader(body), nil
	case "gzip":
		return gzip.NewReader(body)
	case "deflate":
		return flate.NewReader(body), nil
	}
	return body, nil
}

// counter counts bytes and fails beyond limit, when there is one, or beyond the
// end of ctx: what is received and not yet unpacked may be gigabytes.
type counter struct {
	ctx          context.Context
	reader       io.Reader
	count, limit int64
	ended        bool // with io.EOF, not by an error
}

// Read implements io.Reader. A body of exactly the limit is within it.
func (c *counter) Read(p []byte) (int, error) {
	if c.ctx.Err() != nil {
		return 0, context.Cause(c.ctx)
	}
	n, err := c.reader.Read(p)
	c.count += int64(n)
	c.ended = c.ended || err == io.EOF
	if c.limit > 0 && c.count > c.limit {
		n -= int(c.count - c.limit)
		c.count = c.limit
		return n, &failure{Size, fmt.Errorf("body is larger than %d bytes; body_size_limit of the module sets the limit", c.limit)}
	}
	return n, err
}
