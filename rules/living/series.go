package living

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
)

// Series is one series as it is now.
type Series struct {
	Labels map[string]string
	Value  float64
}

// Fact is what exporters have to expose: at least one series with the labels Who, and
// all of those as they should be. Exporters tell them apart by instance.
type Fact struct {
	Metric string
	Path   string            // of what it tells of, in the configuration
	Who    map[string]string // labels that find it
	Labels map[string]string // others that it has to have
	Value  *float64          // nil: any
	Advice bool              // its absence breaks no promise yet
	Hint   string            // what to do when it is not there
}

// Missing compares what observers expose, by metric, with what is expected. Of an
// observer that is not there at all nothing else is told: seen are those that are.
func Missing(facts []Fact, got map[string][]Series, seen []string) []Finding {
	var f findings
	for _, fact := range facts {
		if o := fact.Who["observer"]; o != "" && !slices.Contains(seen, o) {
			continue
		}
		text := fact.differs(got[fact.Metric])
		switch {
		case text == "":
		case fact.Advice:
			f.unwise(fact.Path, text)
		default:
			f.wrong(fact.Path, text)
		}
	}
	return f
}

// differs tells what is wrong with a fact; empty when it is as expected.
func (f Fact) differs(among []Series) string {
	name, found := f.Metric+selector(f.Who), false
	for _, s := range among {
		if !has(s.Labels, f.Who) {
			continue
		}
		found = true
		name := name
		if by := s.Labels["instance"]; by != "" {
			name += " of " + by
		}
		for _, label := range slices.Sorted(maps.Keys(f.Labels)) {
			if got, want := s.Labels[label], f.Labels[label]; got != want {
				return fmt.Sprintf("%s has %s=%q, want %q: the exporter runs another configuration; reload it, or check that one", name, label, got, want)
			}
		}
		if f.Value != nil && !(math.Abs(s.Value-*f.Value) < .0005) {
			return fmt.Sprintf("%s is %v, want %v: the exporter runs another configuration; reload it, or check that one", name, s.Value, *f.Value)
		}
	}
	if found {
		return ""
	}
	return strings.TrimSuffix(name+" is not there: "+f.Hint, ": ")
}

// has tells whether labels hold all of some.
func has(labels, some map[string]string) bool {
	for name, value := range some {
		if labels[name] != value {
			return false
		}
	}
	return true
}

// selector is how PromQL writes labels.
func selector(labels map[string]string) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		all = append(all, fmt.Sprintf("%s=%q", name, labels[name]))
	}
	return "{" + strings.Join(all, ", ") + "}"
}

// Observers compares those that are expected with those that are seen.
func Observers(expected, seen []string) []Finding {
	var f findings
	others := "none is seen"
	if len(seen) > 0 {
		others = "seen: " + strings.Join(seen, ", ")
	}
	for _, o := range expected {
		if !slices.Contains(seen, o) {
			f.wrong("observers", fmt.Sprintf("%q gives no results, onefiveten_observer_info is not there; %s: start it and have it scraped, or name in observers those that there are", o, others))
		}
	}
	for _, o := range seen {
		if !slices.Contains(expected, o) {
			f.unwise("observers", fmt.Sprintf("%q gives results and is not listed: its votes count, and nobody misses it when it is gone", o))
		}
	}
	return f
}

// Hashes compares the configurations that observers run with each other, and with
// the one that is checked.
func Hashes(got []Series, checked string) []Finding {
	by := map[string][]string{}
	for _, s := range got {
		by[s.Labels["hash"]] = append(by[s.Labels["hash"]], s.Labels["observer"])
	}
	var f findings
	for _, hash := range slices.Sorted(maps.Keys(by)) {
		slices.Sort(by[hash])
		if who := strings.Join(slices.Compact(by[hash]), ", "); hash != checked {
			f.unwise("", fmt.Sprintf("%s runs a configuration of the hash %s, and this one has %s: reload it, or check that one", who, hash, checked))
		}
	}
	return f
}
