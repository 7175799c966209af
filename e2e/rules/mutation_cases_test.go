package rules_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/onefiveten/onefiveten/rules"
)

// caseMutations are for cases of a service with nodes alone that nothing else is there to
// fail, and zoneCaseMutations for those of one with zones.
var (
	caseMutations = []mutation{
		{"a whole service is never located", "record: onefiveten:service_located", "0.3 *", "3 *", "all nodes are down: the service"},
		{"a ticket is never told", "alert: SignalFault", "mode=\"ticket\"", "mode=\"none\"", "worst phase of latency"},
		{"all that is well is a ticket", "alert: SignalFault", "> 0", ">= 0", "a normal daily peak of latency"},
	}
	zoneCaseMutations = []mutation{
		{"a few nodes are none", "record: onefiveten:member_candidate", ">= 2", ">= 20", partly},
		{"one of two groups that are the same is named", "record: onefiveten:group_candidate", "\"dimension\", \"zone\"", "\"dimension\", \"none\"", "one az is one zone"},
	}
)

func TestMutations_OfOtherCasesEachFailTheirs(t *testing.T) {
	mutate(t, queued("ticket", "a", "b", "c"), caseMutations)
	mutate(t, zones(), zoneCaseMutations)
}

// caseName finds the cases of a file of tests; a zone stands for any dimension.
var (
	caseName = regexp.MustCompile(`(?m)^\s+(?:- )?name: '?(.+?)'?$`)
	anyGroup = regexp.MustCompile(`\baz`)
)

// A case that no mistake can make fail shows nothing.
func TestMutations_CoverEveryCase(t *testing.T) {
	found := 0
	for _, s := range []rules.Spec{queued("ticket", "a", "b", "c"), zones()} {
		files, _, err := rules.Generate(s)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range caseName.FindAllStringSubmatch(string(files[rules.TestsFile]), -1) {
			found++
			name := anyGroup.ReplaceAllString(m[1], "zone")
			if !slices.ContainsFunc(slices.Concat(mutations, groupMutations, caseMutations, zoneCaseMutations), func(one mutation) bool {
				return regexp.MustCompile(anyGroup.ReplaceAllString(one.fails, "zone")).MatchString(strings.ReplaceAll(name, "''", "'"))
			}) {
				t.Errorf("no mutation is there to fail %q", m[1])
			}
		}
	}
	if found < 40 {
		t.Errorf("%d cases were found, want all that are generated", found)
	}
}
