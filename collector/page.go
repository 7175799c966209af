package collector

import (
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/common/expfmt"
)

// sink takes the page family by family: text or protobuf.
type sink interface {
	begin(f *family)
	sample(common, extra *labels, v float64)
	histogram(common *labels, t *target, p *snapshot)
	end() error
}

// view is one target as one scrape sees it.
type view struct {
	t    *target
	p    *snapshot
	next int // the first of p.samples that is not written yet
}

// answers is one signal of a query as one scrape sees it.
type answers struct {
	q     *query
	a     *answered
	fresh []shownMember
}

// buffers are kept between scrapes.
type buffers struct {
	views   []view
	answers []answers
	text    []byte
}

// ServeHTTP answers with /metrics/probes: text format 0.0.4, or protobuf for
// those who ask for it, which alone carries the native histograms. It never
// compresses: that costs more than all the rest of a scrape.
func (c *Collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "got "+r.Method+", want GET", http.StatusMethodNotAllowed)
		return
	}
	format := expfmt.NegotiateAccept(r.Header, formats()...)
	w.Header().Set("Content-Type", string(format))
	if r.Method == http.MethodHead {
		return
	}
	b := c.pool.Get().(*buffers)
	defer c.pool.Put(b)
	var s sink = &textSink{w: w, b: b.text[:0]}
	if format.FormatType() != expfmt.TypeTextPlain {
		s = newProtoSink(w, format)
	}
	// The client is gone when this fails; there is nobody to tell.
	_ = c.write(s, b)
	if t, ok := s.(*textSink); ok {
		b.text = t.b
	}
}

// formats are those that the page can be written in, text where none is asked for.
func formats() []expfmt.Format {
	var list []expfmt.Format
	for _, t := range []expfmt.FormatType{expfmt.TypeProtoDelim, expfmt.TypeProtoText, expfmt.TypeProtoCompact, expfmt.TypeTextPlain} {
		list = append(list, expfmt.NewFormat(t))
	}
	return list
}

// write gives the whole page, each target as it was at one instant.
func (c *Collector) write(s sink, b *buffers) error {
	tb := c.table.Load()
	// Each target is looked at once, so that its series fit together.
	views := b.views[:0]
	for _, t := range tb.targets {
		views = append(views, view{t: t, p: t.state.shown.Load()})
	}
	b.views = views
	b.answers = tb.answers(b.answers[:0])
	for i := range tb.info {
		f := &tb.info[i]
		s.begin(&f.family)
		for _, p := range f.points {
			s.sample(p.labels, nil, p.value)
		}
	}
	for i := range c.columns {
		col := &c.columns[i]
		s.begin(&col.family)
		col.write(s, views, b.answers)
	}
	// Asked for after the snapshots, so that no sample is of an unknown family.
	for _, f := range c.families.all() {
		s.begin(f)
		writeSamples(s, f, views)
	}
	clear(views) // the buffer must not keep targets alive
	clear(b.answers)
	return s.end()
}

// answers looks at each signal of a query once. Verdicts that are too old are no
// part of it: nobody knows whether they still hold.
func (tb *table) answers(list []answers) []answers {
	if len(tb.queries) == 0 {
		return list
	}
	now := time.Now()
	for _, q := range tb.queries {
		a := q.state.shown.Load()
		list = append(list, answers{q, a, a.fresh(now)})
	}
	return list
}

// write gives the family of every target, and then of every query.
func (col *column) write(s sink, views []view, all []answers) {
	if col.emit != nil {
		for _, v := range views {
			col.emit(s, v.t, v.p)
		}
	}
	if col.answer != nil {
		for i := range all {
			col.answer(s, &all[i])
		}
	}
}

// writeSamples writes one family of the probers. Samples are sorted by family.
// Those of a run from before a reload may carry a label that the target has got
// since: they are left out until the next run, since a name that stands twice
// would cost the whole page.
func writeSamples(s sink, f *family, views []view) {
	for i := range views {
		v := &views[i]
		for v.next < len(v.p.samples) && v.p.samples[v.next].family == f {
			x := v.p.samples[v.next]
			v.next++
			if v.p.of == v.t || !v.t.clashes(x.labels) {
				s.sample(v.t.labels, x.labels, x.value)
			}
		}
	}
}

// newPool keeps the buffers of scrapes, which are large and all alike.
func newPool() *sync.Pool { return &sync.Pool{New: func() any { return &buffers{} }} }
