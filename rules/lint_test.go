package rules

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/onefiveten/onefiveten/rules/lint"
)

// linted gives the findings of all rules that are generated from a spec.
func linted(t *testing.T, s Spec) []lint.Finding {
	t.Helper()
	var files []lint.File
	every, groups := time.Duration(s.Prometheus.Evaluation.Interval), s.groups()
	for _, name := range slices.Sorted(maps.Keys(groups)) {
		data, err := file(rulesHead, every, groups[name])
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, lint.File{Name: name, Data: data})
	}
	if len(files) < 2 {
		t.Fatalf("got %d rule files", len(files))
	}
	return lint.Check(files, lint.Options{Scrape: time.Duration(s.Prometheus.Scrape.Interval), Evaluation: every})
}

// What is generated, and what the documents show, has nothing that the lint of any
// rule file would tell.
func TestLint_FindsNothingInWhatIsGenerated(t *testing.T) {
	specs := map[string]Spec{"demo": demo(), "full": full(), "valued": valued(), "slow scrape": shop(timed{5, 2, 15, 10, 5}), "promql": scrapedShop("zone", "version")}
	specs["query"] = queued(timed{5, 2, 5, 1, 0}, asked(page, "rate(x[30s])", 15, 2, 15))
	specs["query"].Services[0].Signals[1].Detect = 15 * time.Minute
	for name, s := range specs {
		for _, f := range linted(t, s) {
			t.Errorf("%s: %s", name, f)
		}
	}
}

// Of the examples one file is there to show mistakes.
func TestLint_FindsNothingInTheExamplesButTheMistakes(t *testing.T) {
	names, err := filepath.Glob("../docs/examples/*.rules.yml")
	if err != nil || len(names) < 2 {
		t.Fatalf("got %v, %v, want the rules of docs/examples", names, err)
	}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		found := lint.Check([]lint.File{{Name: name, Data: data}}, lint.Options{Scrape: 15 * time.Second, Evaluation: 15 * time.Second})
		if mistakes := filepath.Base(name) == "mistakes.rules.yml"; mistakes != (len(found) > 0) {
			t.Errorf("%s: got %v", name, found)
		}
	}
}
