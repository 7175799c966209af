package collector

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Bounds of what is found: far more than one observer can probe, far less than
// what would end it.
const (
	maxList   = 16 << 20 // bytes of one file or answer
	maxFound  = 50_000   // targets of one list, and of all lists of a probe
	maxTarget = 4 << 10  // bytes of an address and its labels, which stand on every series
)

// Labels of Prometheus that say where a target lies. All others that begin with
// __ are for relabelling and are left out.
const (
	paramTarget = "__param_target" // instead of the address
	paramModule = "__param_module" // must be the module of the probe
)

// group is one entry of a list in Prometheus' format.
type group struct {
	Targets []string          `json:"targets" yaml:"targets"`
	Labels  map[string]string `json:"labels" yaml:"labels"`
}

// list is what one file or answer has said. It does not change.
type list struct {
	sum   [sha256.Size]byte // of its text
	found []candidate
	lost  tally
}

// tally counts targets by the reserved label that they were found with and that
// was left out.
type tally map[string]int

// add counts the targets of another one, too.
func (y tally) add(other tally) {
	for name, n := range other {
		y[name] += n
	}
}

// names gives the labels in their order, for people.
func (y tally) names() string { return strings.Join(slices.Sorted(maps.Keys(y)), ", ") }

// sum is the number of labels that were left out.
func (y tally) sum() (n int) {
	for _, of := range y {
		n += of
	}
	return n
}

// lists are those of a source, by file or URL.
type lists map[string]*list

// candidate is a target of a list that nobody has judged yet.
type candidate struct {
	Target
	module       string // that it asks for; empty: any
	group, place int    // where it stands, from 1
}

// newList reads a text; unmarshal is that of its format. It gives before again
// when nothing has changed.
func newList(text []byte, before *list, unmarshal func([]byte, *[]*group) error) (*list, error) {
	if len(text) > maxList {
		return nil, fmt.Errorf("more than %d MiB", maxList>>20)
	}
	sum := sha256.Sum256(text)
	if before != nil && before.sum == sum {
		return before, nil
	}
	var groups []*group
	if err := unmarshal(text, &groups); err != nil {
		return nil, err
	}
	if groups == nil {
		return nil, errors.New("got null, want a list, or [] for no targets")
	}
	found, lost, err := candidates(groups)
	return &list{sum, found, lost}, err
}

// format gives the reader for a file by the end of its name, as Prometheus does.
func format(name string) func([]byte, *[]*group) error {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".json":
		return unmarshalJSON
	case ".yml", ".yaml":
		return unmarshalYAML
	}
	return nil
}

// errEmpty is about a text that holds nothing. It may be a file that is being
// written: no targets at all are asked for in so many words.
var errEmpty = errors.New("it is empty, want [] for no targets")

// unmarshalJSON reads one list and nothing after it.
func unmarshalJSON(text []byte, into *[]*group) error {
	if !utf8.Valid(text) {
		return errors.New("want UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	switch err := d.Decode(into); {
	case errors.Is(err, io.EOF):
		return errEmpty
	case err != nil:
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the list")
	}
	return nil
}

// unmarshalYAML reads the list of the only document.
func unmarshalYAML(text []byte, into *[]*group) error {
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	switch err := d.Decode(into); {
	case errors.Is(err, io.EOF):
		return errEmpty
	case err != nil:
		return err
	}
	if err := d.Decode(&yaml.Node{}); !errors.Is(err, io.EOF) {
		return errors.New("a second document follows the list")
	}
	return nil
}

// candidates makes one of each address, in their order. It counts the labels that
// are left out since they are reserved.
func candidates(groups []*group) ([]candidate, tally, error) {
	var all []candidate
	lost := tally{}
	for i, g := range groups {
		if g == nil {
			return nil, nil, fmt.Errorf("group %d is null, want targets and labels", i+1)
		}
		if len(all)+len(g.Targets) > maxFound {
			return nil, nil, fmt.Errorf("more than %d targets", maxFound)
		}
		labels := g.labels(lost) // one map for all targets of the group: nobody changes it
		for j, address := range g.Targets {
			if instead := g.Labels[paramTarget]; instead != "" {
				address = instead
			}
			all = append(all, candidate{Target{URL: address, Labels: labels}, g.Labels[paramModule], i + 1, j + 1})
		}
	}
	return all, lost, nil
}

// labels gives the labels that targets of the group may carry. Lists that
// Prometheus reads, too, have others: those for its relabelling are of no use here,
// and a reserved one, such as job, is the exporter's own to set. Prefixed names
// are counted as one: there is no bound to them.
func (g *group) labels(lost tally) map[string]string {
	kept := make(map[string]string, len(g.Labels))
	for name, value := range g.Labels {
		switch {
		case strings.HasPrefix(name, "__") || value == "" || len(g.Targets) == 0:
		case strings.HasPrefix(name, exportedPrefix):
			lost[exportedPrefix+"…"] += len(g.Targets)
		case isReserved(name):
			lost[name] += len(g.Targets)
		default:
			kept[name] = value
		}
	}
	return kept
}

// lost counts the labels that all lists have left out.
func (l lists) lost() tally {
	all := tally{}
	for _, one := range l {
		all.add(one.lost)
	}
	return all
}

// admit gives the targets of a probe that can be probed: those of its settings
// and then those found, each address once. The others it gives by where they
// stand and why; it quotes no address, which may hold a password.
func (p Probe) admit(found lists, check func(string) error) (targets []Target, refused []string) {
	targets = slices.Clip(p.Targets)
	known := make(map[string]bool, len(targets))
	for _, t := range targets {
		known[t.URL] = true
	}
	for _, name := range slices.Sorted(maps.Keys(found)) {
		for _, x := range found[name].found {
			err := p.judge(x, check)
			switch {
			case err == nil && known[x.URL]:
				err = errors.New("it is a target of this probe already")
			case err == nil && len(targets)-len(p.Targets) == maxFound:
				err = fmt.Errorf("the probe has %d targets that were found already", maxFound)
			}
			if err != nil {
				refused = append(refused, fmt.Sprintf("%s: group %d, target %d: %s", name, x.group, x.place, cut(err.Error())))
				continue
			}
			known[x.URL] = true
			targets = append(targets, x.Target)
		}
	}
	return targets, refused
}

// judge tells why a candidate cannot be a target: for the first of the reasons
// that would be mistakes in the configuration.
func (p Probe) judge(x candidate, check func(string) error) (err error) {
	size := len(x.URL) + len(x.module)
	for name, value := range x.Labels {
		size += len(name) + len(value)
	}
	if size > maxTarget {
		return fmt.Errorf("address and labels have %d bytes, want %d at most", size, maxTarget)
	}
	p.checkTarget(func(path, text string) {
		if err == nil {
			err = fmt.Errorf("%s: %s", path, text)
		}
	}, x.Target)
	switch {
	case err != nil:
		return err
	case x.module != "" && x.module != p.Module:
		return fmt.Errorf("%s asks for module %q, the probe uses %q", paramModule, x.module, p.Module)
	case check != nil:
		return check(x.URL)
	}
	return nil
}
