package rules_test

import (
	"regexp"
	"slices"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/onefiveten/onefiveten/rules"
)

// A case that no mistake can fail shows nothing. Each is named by a mistake that is
// made elsewhere, of the same rules, and seen to fail it.
func TestMutations_CoverEveryCaseOfEachSpec(t *testing.T) {
	var scraped []mutation
	for _, m := range scrapedMutations {
		scraped = append(scraped, m.mutation)
	}
	for name, c := range map[string]struct {
		spec     rules.Spec
		mistakes []mutation
	}{
		"exporter": {queued("ticket", "a", "b", "c"), mutations},
		"groups":   {zones(), slices.Concat(groupMutations, zoneCaseMutations, mutations)},
		"values":   {valuedBy("upper", "zone"), slices.Concat(valueMutations, groupMutations, zoneCaseMutations, mutations)},
		"latency":  {slow(), slices.Concat(valueMutations, mutations)},
		"promql":   {scrapedOf(5, 2, 5, 1, "a", "b"), slices.Concat(scraped, mutations)},
	} {
		files, _, err := rules.Generate(c.spec)
		if err != nil {
			t.Fatal(err)
		}
		var written struct{ Tests []struct{ Name string } }
		if err := yaml.Unmarshal(files[rules.TestsFile], &written); err != nil {
			t.Fatal(err)
		}
		for _, test := range written.Tests {
			if !slices.ContainsFunc(c.mistakes, func(m mutation) bool { return regexp.MustCompile("^(?:" + m.fails + ")").MatchString(test.Name) }) {
				t.Errorf("%s: no mistake fails %q", name, test.Name)
			}
		}
	}
}
