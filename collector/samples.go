package collector

import (
	"cmp"
	"slices"
	"strings"
	"sync"

	"github.com/prometheus/common/model"

	"github.com/onefiveten/onefiveten/probe"
)

// families knows every family that probers have given so far, so that each has
// one help text whatever the prober.
type families struct {
	mu     sync.RWMutex
	byName map[string]*family
	sorted []*family // replaced, never changed
	shared map[*family]map[string]*labels
}

// maxShared is how many sets of labels of one family are kept for all targets.
// Phases have few; addresses and certificates must not pile up.
const maxShared = 32

// get gives the family of a name, and nil for a name that is taken or no name.
func (f *families) get(name, help string) *family {
	f.mu.RLock()
	known, ok := f.byName[name]
	f.mu.RUnlock()
	if ok {
		return known
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if known, ok = f.byName[name]; ok {
		return known
	}
	if !model.LegacyValidation.IsValidMetricName(name) {
		return nil
	}
	known = &family{name: strings.Clone(name), help: strings.ToValidUTF8(help, "?"), kind: gauge}
	f.byName[known.name] = known
	at, _ := slices.BinarySearchFunc(f.sorted, known, byName)
	f.sorted = slices.Insert(slices.Clone(f.sorted), at, known)
	return known
}

// all gives every family in the order of their names.
func (f *families) all() []*family {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.sorted
}

// byName orders families as samples of a snapshot are ordered.
func byName(a, b *family) int { return cmp.Compare(a.name, b.name) }

// newFamilies knows the names that the page uses itself: a prober that gives
// one of them is not listened to.
func newFamilies() *families {
	f := &families{byName: map[string]*family{}, shared: map[*family]map[string]*labels{}}
	for _, own := range ownFamilies() {
		f.byName[own.name] = nil
		if own.kind == histogram {
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				f.byName[own.name+suffix] = nil
			}
		}
	}
	return f
}

// series makes what the prober gave ready to be written: sorted by family, no
// series twice, no label that would clash. Labels equal to those of before are
// shared with them.
func (f *families) series(t *target, before []series, given []probe.Sample) []series {
	list := make([]series, 0, len(given))
	for _, g := range given {
		known := f.get(g.Name, g.Help)
		if known == nil {
			continue
		}
		list = append(list, series{family: known, labels: f.labelsOf(t, known, g.Labels, before), value: g.Value})
	}
	slices.SortStableFunc(list, func(a, b series) int {
		return cmp.Or(byName(a.family, b.family), cmp.Compare(a.labels.text, b.labels.text))
	})
	return slices.CompactFunc(list, func(a, b series) bool {
		return a.family == b.family && a.labels.text == b.labels.text
	})
}

// labelsOf gives the labels of a sample. In nearly every run they are those of
// the run before, and then nothing is allocated.
func (f *families) labelsOf(t *target, known *family, given []probe.Label, before []series) *labels {
	if len(given) == 0 {
		return none
	}
	var room [8]label
	var scratch [256]byte
	pairs, text := t.clean(room[:0], given), scratch[:0]
	for _, p := range pairs {
		text = appendLabel(text, p)
	}
	for _, b := range before {
		if b.family == known && b.labels.text == string(text) {
			return b.labels
		}
	}
	return f.share(known, pairs, text)
}

// share gives labels that targets have in common: thousands of them have the
// same phases.
func (f *families) share(known *family, pairs []label, text []byte) *labels {
	f.mu.Lock()
	defer f.mu.Unlock()
	sets := f.shared[known]
	if l, ok := sets[string(text)]; ok {
		return l
	}
	for i, p := range pairs {
		pairs[i] = label{strings.Clone(p.name), strings.Clone(p.value)}
	}
	l := newLabels(pairs...)
	if sets == nil {
		sets = map[string]*labels{}
		f.shared[known] = sets
	}
	if len(sets) < maxShared {
		sets[l.text] = l
	}
	return l
}

// clean appends the labels that can be written. Names that the target's own
// labels carry get the prefix that Prometheus would give them; what is no label
// is left out, since one bad line would cost the whole page.
func (t *target) clean(pairs []label, given []probe.Label) []label {
	for _, g := range given {
		name := g.Name
		if t.carries(name) {
			name = "exported_" + name
		}
		double := slices.ContainsFunc(pairs, func(p label) bool { return p.name == name })
		valid := model.LegacyValidation.IsValidLabelName(name) && !strings.HasPrefix(name, "__")
		if double || !valid || g.Value == "" {
			continue
		}
		pairs = append(pairs, label{name, strings.ToValidUTF8(g.Value, "?")})
	}
	return pairs
}

// carries tells whether the target sets a label of that name itself.
func (t *target) carries(name string) bool {
	return slices.ContainsFunc(t.labels.pairs, func(p label) bool { return p.name == name })
}

// clashes tells whether labels repeat one that the target sets itself.
func (t *target) clashes(l *labels) bool {
	return slices.ContainsFunc(l.pairs, func(p label) bool { return t.carries(p.name) })
}
