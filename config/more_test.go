package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"

	"github.com/onefiveten/onefiveten/config"
)

// clock decodes itself from a text, as many types of the library do.
type clock struct{ time.Time }

func (c *clock) UnmarshalText(text []byte) (err error) {
	c.Time, err = time.Parse("15:04", string(text))
	return err
}

// forms are what rooms use more rarely.
type forms struct {
	At       clock                      `yaml:"at"`
	Codes    map[int]string             `yaml:"codes"`
	Raw      []byte                     `yaml:"raw"`
	Small    uint8                      `yaml:"small"`
	Pointer  *int                       `yaml:"pointer"`
	Twice    **model.Duration           `yaml:"twice"`
	Named    map[named]int              `yaml:"named"`
	Tagless  string                     // its key is the name in lower case
	Durable  map[string]*model.Duration `yaml:"durable"`
	Rest     map[string]int             `yaml:",inline"`
	hidden   string
	Excluded func() `yaml:"-"`
}

type named string

func TestParse_FillsRareForms(t *testing.T) {
	var got forms
	err := config.Parse("a.yml", []byte("at: 12:30\ncodes: {200: ok, 500: bad}\nsmall: 7\npointer: 3\ntwice: 5m\nnamed: {x: 1}\ntagless: y\ndurable: {a: 1s, b: null}\nother: 4\nmore: 5\n"), &got)
	if err != nil {
		t.Fatal(err)
	}
	if got.At.Hour() != 12 || got.Codes[500] != "bad" || got.Small != 7 || *got.Pointer != 3 || time.Duration(**got.Twice) != 5*time.Minute {
		t.Errorf("got %+v", got)
	}
	if got.Named["x"] != 1 || got.Tagless != "y" || time.Duration(*got.Durable["a"]) != time.Second || got.Durable["b"] != nil || got.hidden != "" {
		t.Errorf("got %+v", got)
	}
	if diff := cmp.Diff(map[string]int{"other": 4, "more": 5}, got.Rest); diff != "" {
		t.Error(diff)
	}
}

func TestParse_NamesMistakesOfRareForms(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"at: noon", `at: parsing time "noon" as "15:04": cannot parse "noon" as "15"`},
		{"small: 256", `small: want a whole number that is not negative, got "256"`},
		{"small: -1", `small: want a whole number that is not negative, got "-1"`},
		{"pointer: x", `pointer: want a whole number, got "x"`},
		{"twice: 1 day", `twice: want a duration with its unit, such as 30s or 5m, got "1 day"`},
		{"twice: {}", "twice: want a duration with its unit, such as 30s or 5m, got a mapping"},
		{"named: {x: y}", `named.x: want a whole number, got "y"`},
		{"named: {x: 1, x: 2}", "named.x: key stands twice, first in line 1"},
		{"codes: {a: b}", "codes: cannot unmarshal !!str `a` into int"},
		{"other: x", `other: want a whole number, got "x"`},
		{"durable: []", "durable: want a mapping, got a list"},
	} {
		err := config.Parse("a.yml", []byte(c.text), new(forms))
		if want := "a.yml:1: " + c.want; fmt.Sprint(err) != want {
			t.Errorf("%s:\n got %v\nwant %s", c.text, err, want)
		}
	}
}

func TestParse_NullKeepsTheDefault(t *testing.T) {
	three := 3
	got := forms{Small: 9, Tagless: "before", Pointer: &three, Named: map[named]int{"x": 1}}
	if err := config.Parse("a.yml", []byte("small:\ntagless: ~\npointer: null\nnamed:\n"), &got); err != nil {
		t.Fatal(err)
	}
	if got.Small != 9 || got.Tagless != "before" || got.Pointer != nil || got.Named != nil {
		t.Errorf("got %+v", got)
	}
}

func TestParse_EmptyListIsNotAbsent(t *testing.T) {
	var got struct {
		Empty  []int `yaml:"empty"`
		Absent []int `yaml:"absent"`
	}
	if err := config.Parse("a.yml", []byte("empty: []\n"), &got); err != nil || got.Empty == nil || got.Absent != nil {
		t.Errorf("got %#v, %v", got, err)
	}
}

func TestParse_HintsAtTheNearestKeyOnly(t *testing.T) {
	for key, want := range map[string]string{
		"titel": `unknown key; did you mean "title"?`, "Title": `unknown key; did you mean "title"?`, "timeouts": `unknown key; did you mean "timeout"?`,
		"module": `unknown key; did you mean "modules"?`, "something_else": "unknown key", strings.Repeat("x", 70): "unknown key",
	} {
		err := config.Parse("a.yml", []byte("title: x\n"+key+": 1\n"), new(settings))
		if got := fmt.Sprint(err); got != "a.yml:2: "+key+": "+want {
			t.Errorf("%s: %s", key, got)
		}
	}
}

func TestParse_FindsMistakesBehindAnchors(t *testing.T) {
	err := config.Parse("a.yml", []byte(`title: x
modules:
  a: &a {prober: http, wiat: 1s}
  b: *a
  c: {<<: *a, level: low}
probes: &p
- {name: a}
- {nmae: b}
`), new(settings))
	want := `a.yml:3: modules.a.wiat: unknown key; did you mean "wait"?
a.yml:3: modules.b.wiat: unknown key; did you mean "wait"?
a.yml:3: modules.c.wiat: unknown key; did you mean "wait"?
a.yml:5: modules.c.level: unknown level "low"
a.yml:8: probes[1].name: missing
a.yml:8: probes[1].nmae: unknown key; did you mean "name"?`
	if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(fmt.Sprint(err), "\n")); diff != "" {
		t.Error(diff)
	}
}

// places reports what it is told to, to see the lines that are found.
type places struct {
	A map[string][]struct {
		B string `yaml:"b"`
	} `yaml:"a"`
	paths []string
}

func (p *places) Check(report func(path, text string)) {
	for _, path := range p.paths {
		report(path, "x")
	}
}

func TestParse_FindsTheLineOfAPathOrOfWhatIsAroundIt(t *testing.T) {
	p := &places{paths: []string{"a", "a.k.e.y", "a.k.e.y[0]", "a.k.e.y[0].b", "a.k.e.y[0].c.d[9]", "a.k.e.y[1].b", "a.none", "none", ""}}
	err := config.Parse("a.yml", []byte("# first\n\na:\n  k.e.y:\n  - b: x\n  -\n    b: y\n"), p)
	want := `a.yml:3: x
a.yml:3: a: x
a.yml:3: a.none: x
a.yml:3: none: x
a.yml:4: a.k.e.y: x
a.yml:5: a.k.e.y[0]: x
a.yml:5: a.k.e.y[0].b: x
a.yml:5: a.k.e.y[0].c.d[9]: x
a.yml:7: a.k.e.y[1].b: x`
	if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(fmt.Sprint(err), "\n")); diff != "" {
		t.Error(diff)
	}
}

func TestParse_TellsEachMistakeOnce(t *testing.T) {
	err := config.Parse("a.yml", []byte("a: {}\n"), &places{paths: []string{"a", "a", "a"}})
	if fmt.Sprint(err) != "a.yml:1: a: x" {
		t.Errorf("got %v", err)
	}
}

func TestMistake_LeavesOutWhatIsNotKnown(t *testing.T) {
	for want, m := range map[string]config.Mistake{
		"f: t": {File: "f", Text: "t"}, "f:3: t": {File: "f", Line: 3, Text: "t"}, "f: p: t": {File: "f", Path: "p", Text: "t"}, "f:3: p: t": {File: "f", Line: 3, Path: "p", Text: "t"},
	} {
		if got := m.String(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestLoad_RefusesAFileThatIsNoConfiguration(t *testing.T) {
	file := filepath.Join(t.TempDir(), "disk.img")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(64 << 20); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := config.Load(file, new(settings)); err == nil || !strings.HasSuffix(err.Error(), "disk.img is larger than 16 MiB") {
		t.Errorf("got %v", err)
	}
	if err := config.Load(t.TempDir(), new(settings)); err == nil || !strings.Contains(err.Error(), "is a directory") {
		t.Errorf("got %v", err)
	}
}
