package layout_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/onefiveten/onefiveten/rules/layout"
)

func TestEncode_KeepsOrderStyleAndComments(t *testing.T) {
	doc := layout.Mapping(
		layout.Pair{Key: "name", Value: layout.Text("b")},
		layout.Pair{Key: "after", Value: layout.Plain("1m")},
		layout.Pair{Key: "expr", Value: layout.Text("a\n> b\n")},
		layout.Pair{Key: "labels", Value: layout.Inline(layout.Mapping(
			layout.Pair{Key: "z", Value: layout.Text("true")}, layout.Pair{Key: "a", Value: layout.Text("{{ x }}")},
		))},
		layout.Pair{Key: "list", Value: layout.List(
			layout.Remark(layout.Mapping(layout.Pair{Key: "a", Value: layout.Plain("1")}), "Two\nlines. "),
			layout.Inline(layout.List(layout.Text("..."), layout.Text("~"), layout.Text("é"))),
			layout.List(),
		)},
	)
	want := `# Head,
# of two lines.
name: b
after: 1m
expr: |
  a
  > b
labels: {z: "true", a: '{{ x }}'}
list:
  # Two
  # lines.
  - a: 1
  - ['...', "~", é]
  - []
`
	got, err := layout.Encode("Head,\nof two lines.\n", doc)
	if diff := cmp.Diff(want, string(got)); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func TestEncode_WithoutAHead(t *testing.T) {
	if got, err := layout.Encode("", layout.Mapping()); string(got) != "{}\n" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

// FuzzText writes any text as a value and in a line of its own: it must come
// back as it was.
func FuzzText(f *testing.F) {
	for _, s := range []string{"", "~", "yes", "0x10", "1_000", "a: b", "- x", "# x", "a\nb", "a\n", " a ", "\t", "'", `"`, "{{ a }}", "\x00", "é", "\u2028", "---"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		doc := layout.Mapping(
			layout.Pair{Key: "a", Value: layout.Text(s)},
			layout.Pair{Key: "b", Value: layout.Inline(layout.List(layout.Text(s), layout.Text(s)))},
		)
		data, err := layout.Encode("", doc)
		if err != nil {
			t.Fatal(err)
		}
		var got struct {
			A string
			B []string
		}
		if err := yaml.Unmarshal(data, &got); err != nil {
			t.Fatalf("%q: %v\n%s", s, err, data)
		}
		if got.A != s || len(got.B) != 2 || got.B[0] != s || got.B[1] != s {
			t.Errorf("got %q, want %q, from\n%s", got, s, data)
		}
	})
}
