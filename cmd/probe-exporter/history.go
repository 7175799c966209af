package main

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/onefiveten/onefiveten/probe"
)

// What one entry of the history may hold: texts come from targets, and a target
// must not be able to fill the memory.
const (
	maxNotes = 200
	maxText  = 1 << 10 // bytes of one text
)

// entry is one probe that /probe has answered. Nothing of it is written out
// before somebody asks for it.
type entry struct {
	id                       int64
	module, target, hostname string
	timeout                  time.Duration
	settings                 *probe.Module // in force at that time
	result                   probe.Result  // cut to size
}

// history keeps the newest probes and, apart from them, the newest failures that
// are no longer among these: successes must not push a failure out.
type history struct {
	limit int // of each; 0: nothing is kept

	mu             sync.Mutex // protects what follows
	next           int64
	recent, failed ring
}

// ring holds the newest entries, up to the limit of each push.
type ring struct {
	entries []*entry
	oldest  int
}

// push adds an entry and gives the one that had to leave for it.
func (r *ring) push(e *entry, limit int) (left *entry) {
	if len(r.entries) < limit {
		r.entries = append(r.entries, e)
		return nil
	}
	left, r.entries[r.oldest] = r.entries[r.oldest], e
	r.oldest = (r.oldest + 1) % limit
	return left
}

// list gives the entries, the newest first.
func (r *ring) list() []*entry {
	all := slices.Concat(r.entries[r.oldest:], r.entries[:r.oldest])
	slices.Reverse(all)
	return all
}

// add keeps a probe and gives it its number. The numbers go on where none is kept.
func (h *history) add(e *entry) {
	if h.limit > 0 {
		e.target, e.hostname, e.result = cut(e.target), cut(e.hostname), bounded(e.result)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	e.id = h.next
	h.next++
	if h.limit <= 0 {
		return
	}
	if left := h.recent.push(e, h.limit); left != nil && !left.result.Success {
		h.failed.push(left, h.limit)
	}
}

// list gives all that is kept, the newest first.
func (h *history) list() []*entry {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append(h.recent.list(), h.failed.list()...)
}

// find gives the newest entry that fits, or nil.
func (h *history) find(fits func(e *entry) bool) *entry {
	all := h.list()
	if i := slices.IndexFunc(all, fits); i >= 0 {
		return all[i]
	}
	return nil
}

// bounded is a result that holds no more than is shown of it, and nothing that
// it was cut out of.
func bounded(r probe.Result) probe.Result {
	if r.Err != nil {
		r.Err = errors.New(cut(r.Err.Error()))
	}
	if more := len(r.Notes) - maxNotes; more > 0 {
		last := probe.Note{After: r.Notes[maxNotes].After, Text: fmt.Sprintf("%d more notes were left out", more)}
		r.Notes = append(slices.Clone(r.Notes[:maxNotes]), last)
	}
	notes := make([]probe.Note, len(r.Notes))
	for i, n := range r.Notes {
		values := make([]any, len(n.Values))
		for j, v := range n.Values {
			values[j] = small(v)
		}
		notes[i] = probe.Note{After: n.After, Text: cut(n.Text), Values: values}
	}
	samples := make([]probe.Sample, len(r.Samples))
	for i, s := range r.Samples {
		labels := make([]probe.Label, len(s.Labels))
		for j, l := range s.Labels {
			labels[j] = probe.Label{Name: l.Name, Value: cut(l.Value)}
		}
		s.Labels = labels
		samples[i] = s
	}
	r.Notes, r.Samples = notes, samples
	return r
}

// small keeps values of a fixed size as they are and cuts the text of all others.
func small(v any) any {
	switch v := v.(type) {
	case nil, bool, int, int64, uint16, uint32, float64, time.Duration, netip.Addr, netip.AddrPort:
		return v
	case string:
		return cut(v)
	case []byte:
		return cut(string(v[:min(len(v), maxText+utf8.UTFMax)]))
	}
	return cut(fmt.Sprint(v))
}

// cut copies a text, so that what it is a part of can go, and shortens it.
func cut(text string) string {
	if len(text) <= maxText {
		return strings.Clone(text)
	}
	end := maxText
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + " …"
}
