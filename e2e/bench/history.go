package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/prompb"
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

// request is the steps from … to-1 of every series.
func (h history) request(from, to int) *prompb.WriteRequest {
	all := &prompb.WriteRequest{Timeseries: make([]prompb.TimeSeries, h.series)}
	for i := range all.Timeseries {
		one := &all.Timeseries[i]
		one.Labels = []prompb.Label{{Name: "__name__", Value: h.name}, {Name: "node", Value: node(i)}}
		for step := from; step < to; step++ {
			at := h.start().Add(time.Duration(step) * every)
			one.Samples = append(one.Samples, prompb.Sample{Timestamp: at.UnixMilli(), Value: h.values.at(i, step)})
		}
	}
	return all
}

// node is the value of the label node of series i.
func node(i int) string { return fmt.Sprintf("node-%05d", i) }

// post sends one request of remote write.
func post(ctx context.Context, url string, all *prompb.WriteRequest) error {
	text, err := all.Marshal()
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(snappy.Encode(nil, text)))
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
	said, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode/100 != 2 {
		err = fmt.Errorf("got %s, want 204: %s", resp.Status, said)
	}
	return err
}
