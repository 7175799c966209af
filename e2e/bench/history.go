package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"net/http"
	"time"
)

// history are series that a Prometheus is given by remote write: the same values
// that ours judges.
type history struct {
	name   string // of the metric; each series has a label node
	series int
	span   time.Duration
	end    time.Time // of the window, which holds it not: an edge of its buckets
	values *noise
}

// atOnce is about how many samples are sent in one request.
const atOnce = 100_000

// start is the instant of the first sample, which lies in the window.
func (h history) start() time.Time { return h.end.Add(-h.span) }

// last is the instant of the last sample.
func (h history) last() time.Time { return h.end.Add(-every) }

// send writes everything, in the order of time.
func (h history) send(ctx context.Context, url string) error {
	return h.write(ctx, url, 0, int(h.span/every))
}

// write sends the steps from … to-1.
func (h history) write(ctx context.Context, url string, from, to int) error {
	some := max(atOnce/h.series, 1)
	for ; from < to; from += some {
		if err := post(ctx, url+"/api/v1/write", h.request(from, min(from+some, to))); err != nil {
			return fmt.Errorf("writing %s: %w", h.name, err)
		}
	}
	return nil
}

// The tags of the fields of remote write 1.0: number and kind, as protobuf writes
// them.
const (
	tagSeries, tagLabel, tagSample = 1<<3 | 2, 1<<3 | 2, 2<<3 | 2
	tagName, tagText               = 1<<3 | 2, 2<<3 | 2
	tagValue, tagTime              = 1<<3 | 1, 2 << 3
)

// request is a WriteRequest of remote write 1.0 with the steps from … to-1 of
// every series.
func (h history) request(from, to int) []byte {
	var all, one []byte
	for i := range h.series {
		one = field(one[:0], tagLabel, label("__name__", h.name))
		one = field(one, tagLabel, label("node", node(i)))
		for step := from; step < to; step++ {
			one = field(one, tagSample, sample(h.start().Add(time.Duration(step)*every), h.values.at(i, step)))
		}
		all = field(all, tagSeries, one)
	}
	return all
}

// node is the value of the label node of series i.
func node(i int) string { return fmt.Sprintf("node-%05d", i) }

func field(to []byte, tag byte, text []byte) []byte {
	return append(binary.AppendUvarint(append(to, tag), uint64(len(text))), text...)
}

func label(name, value string) []byte {
	return field(field(nil, tagName, []byte(name)), tagText, []byte(value))
}

func sample(at time.Time, v float64) []byte {
	b := binary.LittleEndian.AppendUint64([]byte{tagValue}, math.Float64bits(v))
	return binary.AppendUvarint(append(b, tagTime), uint64(at.UnixMilli()))
}

// snappy wraps a text in the block format of Snappy as one literal: nothing is
// compressed, since here nothing travels.
func snappy(text []byte) []byte {
	const literal = 63 << 2 // its length - 1 stands in the next four bytes
	b := binary.AppendUvarint(nil, uint64(len(text)))
	b = binary.LittleEndian.AppendUint32(append(b, literal), uint32(len(text)-1))
	return append(b, text...)
}

// post sends one request of remote write.
func post(ctx context.Context, url string, text []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(snappy(text)))
	if err != nil {
		return err
	}
	req.Header = http.Header{
		"Content-Encoding": {"snappy"}, "Content-Type": {"application/x-protobuf"}, "X-Prometheus-Remote-Write-Version": {"0.1.0"},
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if said, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode/100 != 2 {
		return fmt.Errorf("got %s, want 204: %w%s", resp.Status, err, said)
	}
	return nil
}
