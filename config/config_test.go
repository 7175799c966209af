package config_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	pconfig "github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"

	"github.com/onefiveten/onefiveten/config"
)

// settings is what a command composes: every form that a room may use.
type settings struct {
	Title   string                    `yaml:"title"`
	Count   int                       `yaml:"count"`
	Share   float64                   `yaml:"share"`
	On      bool                      `yaml:"on"`
	Every   model.Duration            `yaml:"every"`
	Timeout time.Duration             `yaml:"timeout"`
	Probes  []probe                   `yaml:"probes"`
	Modules map[string]module         `yaml:"modules"`
	Client  *pconfig.HTTPClientConfig `yaml:"client"`
	Any     any                       `yaml:"any"`
	Node    yaml.Node                 `yaml:"node"`
	Tree    tree                      `yaml:"tree"`
	Hidden  string                    `yaml:"-"`
	Inline  `yaml:",inline"`

	dir string
}

// Inline is a part whose keys stand among those of its owner.
type Inline struct {
	Storage string `yaml:"storage"`
}

type probe struct {
	Name    string   `yaml:"name"`
	Targets []target `yaml:"targets"`
}

type target struct {
	URL    string            `yaml:"url"`
	Labels map[string]string `yaml:"labels"`
}

// module has a default and a rule of its own, in the old form of UnmarshalYAML.
type module struct {
	Prober   string         `yaml:"prober"`
	Fallback bool           `yaml:"fallback"`
	Level    level          `yaml:"level"`
	Wait     model.Duration `yaml:"wait"`
}

func (m *module) UnmarshalYAML(unmarshal func(any) error) error {
	m.Fallback = true
	type plain module
	if err := unmarshal((*plain)(m)); err != nil {
		return err
	}
	if m.Prober == "" {
		return errors.New("prober is missing")
	}
	return nil
}

type level int

func (l *level) UnmarshalYAML(n *yaml.Node) error {
	if n.Value != "high" {
		return fmt.Errorf("unknown level %q", n.Value)
	}
	*l = 3
	return nil
}

func (s *settings) SetDirectory(dir string) { s.dir = dir }

func (s *settings) Check(report func(path, text string)) {
	for i, p := range s.Probes {
		if p.Name == "" {
			report(fmt.Sprintf("probes[%d].name", i), "missing")
		}
		for j, t := range p.Targets {
			if !strings.Contains(t.URL, "://") {
				report(fmt.Sprintf("probes[%d].targets[%d].url", i, j), "want scheme://host")
			}
		}
	}
	if s.Title == "" {
		report("title", "missing")
	}
	if s.Every != 0 && s.Every < model.Duration(time.Second) {
		report("every", "shorter than 1s")
	}
}

func TestParse_FillsEveryForm(t *testing.T) {
	var got settings
	err := config.Parse("a.yml", []byte(`
title: 12
count: 3
share: .5
on: true
every: 1d
timeout: 1.5s
storage: here
probes:
- &one
  name: shop
  targets: [{url: "http://a", labels: {node: n1}}]
- {<<: *one, name: other}
modules:
  http.2xx: {prober: http, wait: 5s, level: high}
client:
  basic_auth: {username: u, password: p}
  tls_config: {server_name: x}
any: {a: [1]}
node: [1]
`), &got)
	if err != nil {
		t.Fatal(err)
	}
	one := []target{{URL: "http://a", Labels: map[string]string{"node": "n1"}}}
	want := settings{
		Title: "12", Count: 3, Share: .5, On: true, Every: model.Duration(24 * time.Hour), Timeout: 1500 * time.Millisecond,
		Probes:  []probe{{Name: "shop", Targets: one}, {Name: "other", Targets: one}},
		Modules: map[string]module{"http.2xx": {Prober: "http", Fallback: true, Level: 3, Wait: model.Duration(5 * time.Second)}},
		Inline:  Inline{Storage: "here"},
		Any:     map[string]any{"a": []any{1}},
	}
	if got.Node.Kind != yaml.SequenceNode || got.Client == nil || got.Client.BasicAuth.Password != "p" || !got.Client.FollowRedirects {
		t.Errorf("node %+v, client %+v", got.Node, got.Client)
	}
	got.Node, got.Client = yaml.Node{}, nil
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(settings{})); diff != "" {
		t.Error(diff)
	}
}

func TestParse_NamesAllMistakesAtOnce(t *testing.T) {
	const text = `title: [a]
count: many
share: high
on: 7
every: 5
timeout: soon
storrage: here
probes:
- targets:
  - url: nowhere
    lables: {}
    url: again
- naem: x
  targets: {}
modules:
  a: {prober: http, level: low, wait: 1}
  b: {fallback: true}
  c: http
  d:
    prober: http
    probr: http
client:
  basic_auth: {username: u, pasword: p}
  tls_config:
    insecure_skip_verify: maybe
Hidden: x
completely_different: 1
[a]: 1
---
title: two
`
	want := `a.yml:1: title: want a text, got a list
a.yml:2: count: want a whole number, got "many"
a.yml:3: share: want a number, got "high"
a.yml:4: on: want true or false, got "7"
a.yml:5: every: want a duration with its unit, such as 30s or 5m, got "5"
a.yml:6: timeout: want a duration with its unit, such as 30s or 5m, got "soon"
a.yml:7: storrage: unknown key; did you mean "storage"?
a.yml:9: probes[0].name: missing
a.yml:11: probes[0].targets[0].lables: unknown key; did you mean "labels"?
a.yml:12: probes[0].targets[0].url: key stands twice, first in line 10
a.yml:13: probes[1].naem: unknown key; did you mean "name"?
a.yml:13: probes[1].name: missing
a.yml:14: probes[1].targets: want a list, got a mapping
a.yml:16: modules.a.level: unknown level "low"
a.yml:16: modules.a.wait: want a duration with its unit, such as 30s or 5m, got "1"
a.yml:17: modules.b: prober is missing
a.yml:18: modules.c: want a mapping, got a plain value
a.yml:21: modules.d.probr: unknown key; did you mean "prober"?
a.yml:23: client.basic_auth.pasword: unknown key; did you mean "password"?
a.yml:25: client.tls_config.insecure_skip_verify: want true or false, got "maybe"
a.yml:26: Hidden: unknown key
a.yml:27: completely_different: unknown key
a.yml:28: want a text as key, got a list
a.yml:29: a second document begins here; want one document a file`
	err := config.Parse("a.yml", []byte(text), new(settings))
	if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(fmt.Sprint(err), "\n")); diff != "" {
		t.Error(diff)
	}
	var all config.Mistakes
	if !errors.As(err, &all) || all[0] != (config.Mistake{File: "a.yml", Line: 1, Path: "title", Text: "want a text, got a list"}) {
		t.Errorf("want Mistakes, got %#v", err)
	}
}

func TestParse_ClientSettingsKeepTheirOwnRules(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"client: {basic_auth: {username: u}, authorization: {credentials: c}}", "client: at most one of basic_auth, oauth2 & authorization must be configured"},
		{"client: {tls_config: {cert_file: x}}", `client.tls_config: exactly one of key or key_file must be configured when a client certificate is configured`},
		{"client: {tls_config: {min_version: TLS9}}", `client.tls_config.min_version: unknown TLS version: TLS9`},
		{"client: {http_headers: {X: {value: 1}}}", `client.http_headers.X.value: unknown key; did you mean "values"?`},
		{"client: {basic_auth: topsecret}", "client.basic_auth: want a mapping, got a plain value"},
		{"client: {authorization: Bearer topsecret}", "client.authorization: want a mapping, got a plain value"},
		{"client: {proxy_url: 'http://me:top@secret@host:x'}", `client.proxy_url: parse "http://<secret>@host:x": invalid port ":x" after host`},
		{"client: {proxy_url: [x]}", "client.proxy_url: cannot unmarshal !!seq into string"},
	} {
		err := config.Parse("a.yml", []byte("title: x\n"+c.text), new(settings))
		if want := "a.yml:2: " + c.want; fmt.Sprint(err) != want {
			t.Errorf("%s:\n got %v\nwant %s", c.text, err, want)
		}
	}
}

func TestParse_RefusesWhatIsNoSettings(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", "a.yml:1: title: missing"},
		{"# nothing\n", "a.yml:1: title: missing"},
		{"---\n", "a.yml:1: title: missing"},
		{"title:\n", "a.yml:1: title: missing"},
		{"- a\n", "a.yml:1: want a mapping, got a list"},
		{"plain text\n", `a.yml:1: want a mapping, got a plain value`},
		{"title: {\n", "a.yml:1: did not find expected node content"},
		{"title: *x\n", `a.yml: unknown anchor 'x' referenced`},
		{"title: x\n--- {\n", "a.yml:2: did not find expected node content"},
		{"title: x\nany: &a [*a]\n", "a.yml:2: any: anchor 'a' value contains itself"},
		{"title: x\ntree: {a: &a [{a: *a}]}\n", `a.yml:2: tree.a[0].a[0].a: anchor "a" contains itself`},
		{"title: x\n<<: 3\n", `a.yml:2: want a mapping to merge, got "3"`},
		{"title: x\ncount: " + strings.Repeat("9", 60), "a.yml:2: count: want a whole number, got a long text"},
	} {
		err := fmt.Sprint(config.Parse("a.yml", []byte(c.text), new(settings)))
		if !strings.Contains(err, c.want) {
			t.Errorf("%q:\n got %s\nwant %s", c.text, err, c.want)
		}
	}
}

func TestParse_MergesKeysAndListsOfThem(t *testing.T) {
	var got struct {
		Base  map[string]int `yaml:"base"`
		More  map[string]int `yaml:"more"`
		Union map[string]int `yaml:"union"`
	}
	err := config.Parse("a.yml", []byte("base: &b {a: 1, b: 1}\nmore: &m {b: 2, c: 2}\nunion: {<<: [*b, *m], a: 0}\n"), &got)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]int{"a": 0, "b": 1, "c": 2}, got.Union); diff != "" {
		t.Error(diff)
	}
}

func TestParse_BoundsAliases(t *testing.T) {
	bomb := "deep:\n  l0: &l0 {a: []}\n"
	for i := 1; i < 12; i++ {
		bomb += fmt.Sprintf("  l%d: &l%d {a: [%s]}\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*l%d, ", i-1), 9), ", "))
	}
	var into struct {
		Deep map[string]tree `yaml:"deep"`
	}
	err := config.Parse("a.yml", []byte(bomb), &into)
	if err == nil || !strings.Contains(err.Error(), "more than 262144 values") {
		t.Errorf("want a bound on aliases, got %.200v", err)
	}
}

// tree takes what an alias bomb is made of.
type tree struct {
	A []tree `yaml:"a"`
}

func TestParse_ChecksWhatIsRightBesideAMistake(t *testing.T) {
	var got struct {
		Modules map[string]module `yaml:"modules"`
		List    []module          `yaml:"list"`
	}
	err := config.Parse("a.yml", []byte("modules: {a: {prober: http, wait: x}}\nlist: [{prober: a, lvel: 1}, {prober: b}]\n"), &got)
	want := `a.yml:1: modules.a.wait: want a duration with its unit, such as 30s or 5m, got "x"
a.yml:2: list[0].lvel: unknown key; did you mean "level"?`
	if fmt.Sprint(err) != want {
		t.Errorf("got %v", err)
	}
	if diff := cmp.Diff(map[string]module{"a": {Prober: "http", Fallback: true}}, got.Modules); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]module{{Prober: "a", Fallback: true}, {Prober: "b", Fallback: true}}, got.List); diff != "" {
		t.Error(diff)
	}
}

func TestLoad_TellsTheFolderAndTheFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "probe.yml")
	if err := os.WriteFile(file, []byte("title: x\nevery: 1ms\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var got settings
	err := config.Load(file, &got)
	if want := file + ":2: every: shorter than 1s"; fmt.Sprint(err) != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if got.dir != filepath.Dir(file) {
		t.Errorf("directory %q", got.dir)
	}
	err = config.Load(file+".none", &got)
	if !errors.Is(err, os.ErrNotExist) || !strings.HasPrefix(err.Error(), "reading configuration: open ") {
		t.Errorf("missing file: %v", err)
	}
}

func TestParse_WantsAPointerToAStruct(t *testing.T) {
	var nilPointer *settings
	for _, into := range []any{settings{}, nilPointer, new(int), nil} {
		if err := config.Parse("a.yml", nil, into); err == nil || !strings.Contains(err.Error(), "want a pointer to a struct") {
			t.Errorf("%T: %v", into, err)
		}
	}
}

func TestSecret_IsNeverEmpty(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	for text, want := range map[string]string{"abc\n": "abc", " a b \r\n": "a b"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := config.Secret(file); err != nil || got != want {
			t.Errorf("%q: got %q, %v", text, got, err)
		}
	}
	if err := os.WriteFile(file, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := config.Secret(file); err == nil || !strings.HasSuffix(err.Error(), "the file is empty") {
		t.Errorf("empty secret: %v", err)
	}
	if _, err := config.Secret(file + ".none"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing secret: %v", err)
	}
}

// FuzzParse: whatever the text is, there are settings or mistakes, never a
// panic, and a text without mistakes reads the same through the YAML library.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"", "title: x\n", "probes: [{name: a, targets: [{url: b://c}]}]\n", "modules: {a: {prober: x, level: high}}\n",
		"title: x\nany: &a [*a]\n", "probes: &a [{targets: *a}]\n", "a: &a {title: x}\n<<: *a\n", "? [x]\n: y\n", "client: {basic_auth: {}}\n",
		"title: !!binary aGk=\n", "count: 0x1F\n", "every: 1y2w\n", "---\n---\n", "title: \"\\xff\"\n", "client: {http_headers: {a: {values: [x]}}}\n", "on: ~\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var ours, theirs settings
		err := config.Parse("f.yml", text, &ours)
		var all config.Mistakes
		if err != nil {
			if !errors.As(err, &all) || len(all) == 0 {
				t.Fatalf("want mistakes, got %v", err)
			}
			return
		}
		if err := yaml.Unmarshal(text, &theirs); err != nil {
			t.Fatalf("the YAML library refuses what was accepted: %v", err)
		}
		ours.Node, theirs.Node, ours.Client, theirs.Client = yaml.Node{}, yaml.Node{}, nil, nil
		if !reflect.DeepEqual(fmt.Sprintf("%+v", ours), fmt.Sprintf("%+v", theirs)) {
			t.Fatalf("ours %+v\ntheirs %+v", ours, theirs)
		}
	})
}
