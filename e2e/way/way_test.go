// Package way_test goes the whole way once, as `make demo` does: a real service
// is broken and healed on real servers of both generations.
package way_test

import (
	"os"
	"strings"
	"testing"

	"github.com/onefiveten/onefiveten/demo/run"
	"github.com/onefiveten/onefiveten/demo/shop"
	"github.com/onefiveten/onefiveten/e2e/program"
)

func TestMain(m *testing.M) {
	shop.Main() // the shop's nodes are this program again
	os.Exit(m.Run())
}

// programs are both, made once for all tests of this package.
func programs(t *testing.T) (exporter, receiver string) {
	t.Helper()
	exporter, err := program.Build(t.Context(), "probe-exporter")
	if err != nil {
		t.Fatal(err)
	}
	receiver, err = program.Build(t.Context(), "heal-receiver")
	if err != nil {
		t.Fatal(err)
	}
	return exporter, receiver
}

func TestWay_ADeadNodeIsDetectedLocatedHealedAndPutBack(t *testing.T) {
	exporter, receiver := programs(t)
	for _, generation := range []string{"build", "debian"} {
		t.Run(generation, func(t *testing.T) {
			var said strings.Builder
			report, err := run.Run(t.Context(), run.Options{Faults: []string{"crash"}, Which: generation, Out: &said, Exporter: exporter, Receiver: receiver})
			t.Log(said.String())
			if err != nil {
				t.Fatal(err)
			}
			o := report.Faults[0]
			if o.Scope != "node" || len(o.Members) != 1 || o.Members[0] != o.Broken {
				t.Errorf("located %s %v, want node %s", o.Scope, o.Members, o.Broken)
			}
			if len(o.Clocks) != 3 {
				t.Fatalf("got the clocks %v, want detect, locate and recover", o.Clocks)
			}
			for _, c := range o.Clocks {
				if c.Missed() {
					t.Errorf("the clock %s was missed: %s, bound %s, target %s", c.Stage, c.Took, c.Bound, c.Target)
				}
			}
			review, err := os.ReadFile(o.Review)
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range []string{"| recover | fault_start |", "drain-node", "**act**", "Nothing."} {
				if !strings.Contains(string(review), want) {
					t.Errorf("the review has no %q:\n%s", want, review)
				}
			}
		})
	}
}
