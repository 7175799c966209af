// Package house_test keeps the rules of the whole repository: who may import
// whom, who is told the time, and that every package says what it is for. The
// floor plan is the table of docs/DESIGN.md, section 2; change both together.
package house_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"
)

const module = "github.com/onefiveten/onefiveten/"

// rooms lists every package, and the packages of this repository it may import.
var rooms = map[string][]string{
	"config":         {},
	"probe":          {},
	"sigma":          {},
	"promapi":        {},
	"collector":      {"probe", "sigma", "promapi"},
	"backtest":       {"sigma", "promapi"},
	"rules":          {"collector", "sigma", "rules/layout", "rules/ruletest"}, // of collector the names of the metrics alone
	"rules/ruletest": {"sigma", "rules/layout"},
	"rules/layout":   {},
	"rules/living":   {},
	"rules/lint":     {},
	"healer/plan":    {},
	"healer":         {"healer/plan"},
	"healer/action":  {"healer"},
	"healer/journal": {"healer"},
	"healer/console": {"healer", "healer/plan"},
	"cmd/probe-exporter": {
		"config", "probe", "promapi", "sigma", "collector", "rules", "rules/living", "rules/lint", "backtest"},
	"cmd/heal-receiver": {
		"config", "promapi", "healer", "healer/plan", "healer/action", "healer/journal", "healer/console"},
}

// only names the packages that may import a package from outside.
var only = map[string][]string{
	"os/exec":                            {"healer/action"},
	"github.com/alecthomas/kingpin/v2":   {"cmd/probe-exporter", "cmd/heal-receiver"},
	"github.com/prometheus/alertmanager": {"healer", "healer/plan", "rules/living"},
	"modernc.org/sqlite":                 {"healer/journal"},
	"github.com/tjhop/slog-gokit":        {"cmd/probe-exporter", "cmd/heal-receiver", "healer/console"},
}

// told names the files that are told the time and never ask for it: whole
// rooms, and the pure part of healer.
var told = []string{
	"sigma/*", "backtest/*", "rules/*", "rules/ruletest/*", "rules/layout/*", "rules/living/*", "rules/lint/*", "healer/plan/*",
	"healer/model.go", "healer/ports.go", "healer/words.go",
	"healer/incident.go", "healer/run.go", "healer/mitigation.go", "healer/choose.go", "healer/guards.go",
}

// positions tells the lines of what forEachFile parses.
var positions = token.NewFileSet()

// forEachFile parses every file of the root module that is not a test.
func forEachFile(t *testing.T, visit func(name, room string, f *ast.File)) {
	t.Helper()
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return skipped(name, d)
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(positions, name, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		visit(filepath.ToSlash(name), filepath.ToSlash(filepath.Dir(name)), f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// skipped leaves out what is another module or not ours to judge.
func skipped(name string, d fs.DirEntry) error {
	if name == "." {
		return nil
	}
	_, err := os.Stat(filepath.Join(name, "go.mod"))
	if err == nil || d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") {
		return filepath.SkipDir
	}
	return nil
}

func TestHouse_RoomsImportDownwardsOnly(t *testing.T) {
	forEachFile(t, func(name, room string, f *ast.File) {
		may, ok := rooms[room]
		if !ok {
			t.Errorf("%s: package %s is not on the floor plan", name, room)
		}
		for _, spec := range f.Imports {
			target, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if ours, ok := strings.CutPrefix(target, module); ok && !slices.Contains(may, ours) {
				t.Errorf("%s: %s must not import %s", name, room, ours)
			}
			for p := target; p != "." && p != "/"; p = path.Dir(p) {
				if who, ok := only[p]; ok && !slices.Contains(who, room) {
					t.Errorf("%s: only %v may import %s", name, who, target)
				}
			}
		}
	})
}

func TestHouse_EveryRoomSaysWhatItIsFor(t *testing.T) {
	documented := map[string]bool{}
	forEachFile(t, func(_, room string, f *ast.File) {
		documented[room] = documented[room] || f.Doc != nil
	})
	for room := range rooms {
		if !documented[room] {
			t.Errorf("package %s has no doc comment, or is gone", room)
		}
	}
}

// A room whose package comment lists its files lists all of them and no others: a
// stranger looks there first.
func TestHouse_ListsOfFilesAreRight(t *testing.T) {
	listed, there := map[string]string{}, map[string][]string{}
	forEachFile(t, func(name, room string, f *ast.File) {
		there[room] = append(there[room], path.Base(name))
		if _, list, found := strings.Cut(f.Doc.Text(), "Where what stands:"); found {
			listed[room] = list
		}
	})
	for room, list := range listed {
		var named []string
		for _, word := range strings.FieldsFunc(list, func(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune(",;:()", r) }) {
			if strings.HasSuffix(word, ".go") {
				named = append(named, word)
			}
		}
		for _, file := range there[room] {
			if file != "doc.go" && !slices.Contains(named, file) {
				t.Errorf("%s: the list of files in its package comment lacks %s", room, file)
			}
		}
		for _, file := range named {
			if !slices.Contains(there[room], file) {
				t.Errorf("%s: the list of files in its package comment has %s, which is not there", room, file)
			}
		}
	}
	if len(listed) == 0 {
		t.Error("no package comment has a list of files")
	}
}

func TestHouse_PureRoomsAreToldTheTime(t *testing.T) {
	forEachFile(t, func(name, _ string, f *ast.File) {
		if !slices.ContainsFunc(told, func(p string) bool { ok, _ := path.Match(p, name); return ok }) {
			return
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok && s.Sel.Name == "Now" {
				if x, ok := s.X.(*ast.Ident); ok && x.Name == "time" {
					t.Errorf("%s: is told the time, it does not ask", name)
				}
			}
			return true
		})
	})
}

// longest is how many lines a function may have.
const longest = 80

func TestHouse_FunctionsAreShort(t *testing.T) {
	var lines []int
	forEachFile(t, func(name, _ string, f *ast.File) {
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Body != nil {
				n := positions.Position(fn.End()).Line - positions.Position(fn.Pos()).Line + 1
				if lines = append(lines, n); n > longest {
					t.Errorf("%s: %s has %d lines, want %d at most", name, fn.Name.Name, n, longest)
				}
			}
		}
	})
	slices.Sort(lines)
	if p90 := lines[len(lines)*9/10]; p90 > 40 {
		t.Errorf("nine of ten functions have up to %d lines, want 40 at most", p90)
	}
}

func TestHouse_NoInitAndNoDefaultRegistry(t *testing.T) {
	forEachFile(t, func(name, _ string, f *ast.File) {
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				t.Errorf("%s: has an init function", name)
			}
		}
		ast.Inspect(f, func(n ast.Node) bool {
			s, ok := n.(*ast.SelectorExpr)
			if ok && slices.Contains([]string{"DefaultRegisterer", "DefaultGatherer", "MustRegister"}, s.Sel.Name) {
				if x, ok := s.X.(*ast.Ident); ok && x.Name == "prometheus" {
					t.Errorf("%s: uses the default registry (prometheus.%s)", name, s.Sel.Name)
				}
			}
			return true
		})
	})
}

func TestHouse_NoPackageLevelState(t *testing.T) {
	forEachFile(t, func(name, room string, f *ast.File) {
		vars := map[string]bool{}
		for _, d := range f.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.VAR {
				continue
			}
			for _, s := range g.Specs {
				for _, id := range s.(*ast.ValueSpec).Names {
					vars[id.Name] = true
				}
			}
		}
		ast.Inspect(f, func(n ast.Node) bool {
			a, ok := n.(*ast.AssignStmt)
			if !ok || a.Tok == token.DEFINE {
				return true
			}
			for _, l := range a.Lhs {
				root := l
				if ix, ok := root.(*ast.IndexExpr); ok {
					root = ix.X
				}
				if id, ok := root.(*ast.Ident); ok && id.Obj != nil && id.Obj.Kind == ast.Var && vars[id.Name] && id.Obj.Decl != nil {
					if _, top := id.Obj.Decl.(*ast.ValueSpec); top && f.Scope.Lookup(id.Name) == id.Obj {
						t.Errorf("%s: %s changes the package-level variable %s", name, room, id.Name)
					}
				}
			}
			return true
		})
	})
}
