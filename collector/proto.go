package collector

import (
	"io"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
)

// protoSink writes protobuf, one family at a time.
type protoSink struct {
	enc    expfmt.Encoder
	family *family
	mf     dto.MetricFamily
	err    error
}

// newProtoSink writes in any of the forms of protobuf that were negotiated.
func newProtoSink(w io.Writer, format expfmt.Format) *protoSink {
	return &protoSink{enc: expfmt.NewEncoder(w, format)}
}

// begin ends the family before.
func (s *protoSink) begin(f *family) {
	s.flush()
	s.family = f
}

// sample keeps one series of the present family.
func (s *protoSink) sample(common, extra *labels, v float64) {
	m := &dto.Metric{Label: pairs(common, extra)}
	if s.family.kind == counter {
		m.Counter = &dto.Counter{Value: &v}
	} else {
		m.Gauge = &dto.Gauge{Value: &v}
	}
	s.mf.Metric = append(s.mf.Metric, m)
}

// histogram takes the native buckets from the living histogram, which may be
// one run ahead of the snapshot.
func (s *protoSink) histogram(common *labels, t *target, _ *snapshot) {
	m := &dto.Metric{}
	if err := t.state.native.Write(m); err != nil {
		s.err = err
		return
	}
	m.Label = pairs(common, nil)
	s.mf.Metric = append(s.mf.Metric, m)
}

// pairs joins labels without copying a text.
func pairs(common, extra *labels) []*dto.LabelPair {
	n := len(common.pairs)
	if extra != nil {
		n += len(extra.pairs)
	}
	all, list := make([]dto.LabelPair, n), make([]*dto.LabelPair, 0, n)
	for _, l := range []*labels{common, extra} {
		if l == nil {
			continue
		}
		for i := range l.pairs {
			p := &all[len(list)]
			p.Name, p.Value = &l.pairs[i].name, &l.pairs[i].value
			list = append(list, p)
		}
	}
	return list
}

// flush writes the family; one without a series is left out, as in text.
func (s *protoSink) flush() {
	if s.family == nil || len(s.mf.Metric) == 0 || s.err != nil {
		return
	}
	types := map[kind]dto.MetricType{gauge: dto.MetricType_GAUGE, counter: dto.MetricType_COUNTER, histogram: dto.MetricType_HISTOGRAM}
	s.mf.Name, s.mf.Help, s.mf.Type = &s.family.name, &s.family.help, types[s.family.kind].Enum()
	s.err = s.enc.Encode(&s.mf)
	s.mf.Metric = s.mf.Metric[:0]
}

// end writes the last family and gives the first error.
func (s *protoSink) end() error {
	s.flush()
	return s.err
}
