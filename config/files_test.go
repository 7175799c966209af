package config_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"

	"github.com/onefiveten/onefiveten/config"
)

// Shared is embedded under a name that the YAML library sees.
type Shared = settings

// located are settings that are told where they stand.
type located struct {
	Shared `yaml:",inline"`
	Names  []string `yaml:"names"`
	places *config.Places
}

func (l *located) SetPlaces(p *config.Places) { l.places = p }

func TestParseAll_JoinsNamedThingsAndLists(t *testing.T) {
	var got located
	err := config.ParseAll([]config.Source{
		{File: "a.yml", Text: []byte("title: x\nmodules: {a: {prober: http}}\nprobes:\n- {name: one}\n")},
		{File: "b.yml", Text: []byte("modules:\nprobes:\n- {name: two}\n- {name: three}\n")},
		{File: "c.yml", Text: []byte("modules:\n  b: {prober: tcp, wait: 5s}\nprobes: [{name: four}]\nevery: 5s\n"), Only: []string{"modules", "probes", "every"}},
		{File: "d.yml"},
	}, &got)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]probe{{Name: "one"}, {Name: "two"}, {Name: "three"}, {Name: "four"}}, got.Probes); diff != "" {
		t.Error(diff)
	}
	want := map[string]module{"a": {Prober: "http", Fallback: true}, "b": {Prober: "tcp", Fallback: true, Wait: model.Duration(5 * time.Second)}}
	if diff := cmp.Diff(want, got.Modules); diff != "" {
		t.Error(diff)
	}
	for path, file := range map[string]string{"modules.a": "a.yml", "modules.b.wait": "c.yml", "probes[2]": "b.yml", "probes[3].name": "c.yml", "every": "c.yml", "none": "a.yml"} {
		if got := got.places.File(path); got != file {
			t.Errorf("%s: got %s, want %s", path, got, file)
		}
	}
	for path, written := range map[string]bool{"modules.b.wait": true, "modules.a.wait": false, "probes[3].name": true, "title": true, "every": true, "none": false} {
		if got.places.Written(path) != written {
			t.Errorf("%s: want written %v", path, written)
		}
	}
	if got := got.places.Mistake("probes[2].name", "x").String(); got != "b.yml:4: probes[1].name: x" {
		t.Errorf("got %s", got)
	}
}

func TestParseAll_MistakesStandInTheFileTheyAreIn(t *testing.T) {
	err := config.ParseAll([]config.Source{
		{File: "z.yml", Text: []byte("title: x\nnames: [a]\nmodules: {a: {prober: http}}\nprobes: [{name: a}, {}]\n")},
		{File: "a.yml", Text: []byte("title: y\nnames: [b]\nmodules:\n  a: {prober: tcp}\n  b: {probr: tcp}\nprobes:\n- {name: c}\n- {nmae: d, targets: [{url: nowhere}]}\n")},
		{File: "m.yml", Text: []byte("modules: {c: {}}\nprobes: {}\ncount: 3\nelse: 1\n"), Only: []string{"modules"}},
	}, new(located))
	want := `z.yml:4: probes[1].name: missing
a.yml:1: title: stands twice, first in z.yml:1
a.yml:2: names: stands twice, first in z.yml:2
a.yml:4: modules.a: stands twice, first in z.yml:3
a.yml:5: modules.b.probr: unknown key; did you mean "prober"?
a.yml:8: probes[1].name: missing
a.yml:8: probes[1].nmae: unknown key; did you mean "name"?
a.yml:8: probes[1].targets[0].url: want scheme://host
m.yml:1: modules.c: prober is missing
m.yml:2: probes: want only modules in this file
m.yml:3: count: want only modules in this file
m.yml:4: else: want only modules in this file`
	if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(fmt.Sprint(err), "\n")); diff != "" {
		t.Error(diff)
	}
}

func TestParseAll_AFileThatIsNoYAMLHidesNoMistakeOfAnother(t *testing.T) {
	err := config.ParseAll([]config.Source{
		{File: "a.yml", Text: []byte("titel: x\n")}, {File: "b.yml", Text: []byte("title: {\n")},
	}, new(located))
	want := "a.yml:1: titel: unknown key; did you mean \"title\"?\nb.yml:1: did not find expected node content"
	if fmt.Sprint(err) != want {
		t.Errorf("got %v", err)
	}
	if err := config.ParseAll([]config.Source{{File: "a.yml"}, {File: "b.yml"}}, 3); err == nil || err.Error() != "parsing a.yml, b.yml: want a pointer to a struct, got int" {
		t.Errorf("got %v", err)
	}
	if err := config.ParseAll(nil, new(located)); err == nil || err.Error() != ": title: missing" {
		t.Errorf("without a file: %v", err)
	}
}

// FuzzParseAll: whatever stands in two files, each mistake is one of a file that
// was given, and two files without mistakes hold what they hold alone.
func FuzzParseAll(f *testing.F) {
	for _, seed := range [][2]string{
		{"title: x\n", "probes: [{name: a}]\n"}, {"title: x\nprobes: [{name: a}]\n", "probes: [{}]\n"}, {"title: x\nprobes: &a [{name: a}]\n", "probes: *a\n"},
		{"modules: {a: {prober: x}}\ntitle: x\n", "modules: {a: {prober: y}}\n"}, {"title: x\nprobes:\n", "probes: ~\n"}, {"probes: {}\n", "probes: [{targets: [{url: a}]}]\n"},
		{"<<: {probes: [{name: a}]}\n", "<<: {probes: [{name: b}], title: x}\n"}, {"probes[0]: 1\n", "'a[9].b': {}\n"}, {"-", "]"},
	} {
		f.Add([]byte(seed[0]), []byte(seed[1]))
	}
	f.Fuzz(func(t *testing.T, a, b []byte) {
		var both, one, two located
		err := config.ParseAll([]config.Source{{File: "a", Text: a}, {File: "b", Text: b}}, &both)
		if err != nil {
			var all config.Mistakes
			if !errors.As(err, &all) || len(all) == 0 {
				t.Fatalf("want mistakes, got %v", err)
			}
			for _, m := range all {
				if m.File != "a" && m.File != "b" {
					t.Fatalf("of no file: %+v", m)
				}
			}
			return
		}
		_, _ = config.Parse("a", a, &one), config.Parse("b", b, &two)
		if len(both.Probes) != len(one.Probes)+len(two.Probes) || len(both.Modules) != len(one.Modules)+len(two.Modules) {
			t.Fatalf("got %+v\nof %+v\nand %+v", both, one, two)
		}
	})
}
