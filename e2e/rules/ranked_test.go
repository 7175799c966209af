package rules_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/onefiveten/onefiveten/rules"
)

// fourSignals has four that page, of which the first two carry traffic.
func fourSignals() rules.Spec {
	s := paging()
	for _, name := range []string{"timeouts", "depth", "waits"} {
		s = with(s, asked(name, "page", "y", 5, 2))
	}
	return s
}

// loudest plays four faults at once, each of another node, found in another way and of
// another size: next to all failures are timeouts, no value is as far off as that of the
// depth, and of the waits one node is a little beyond its threshold.
func loudest(t *testing.T) *play {
	p := stage(t, time.Minute)
	well := func(labels string) valued {
		n := p.bad(labels, .28)
		n.fault = p.always("0")
		return n
	}
	p.values("node", "upper", p.failing("node=n1", .5, .01, 70), p.failing("node=n2", .06, .01, 10), p.failing("node=n3", .01, .01, 10), p.failing("node=n4", .01, .01, 10))
	p.judged("timeouts", "upper", p.failing("node=n1", .01, .01, 9000), p.failing("node=n2", .9, .01, 9000), p.failing("node=n3", .01, .01, 9000), p.failing("node=n4", .01, .01, 9000))
	p.judged("depth", "upper", p.bad("node=n1", 1), p.bad("node=n2", 1.1), p.bad("node=n3", 900), p.bad("node=n4", 1))
	p.judged("waits", "upper", well("node=n1"), well("node=n2"), well("node=n3"), p.bad("node=n4", .31))
	p.gives(30*time.Second, `count by (signal, scope, member) (ALERTS{alertname="FaultLocated"})`, map[string]float64{
		`{member="n1", scope="node", signal="errors"}`: 1, `{member="n2", scope="node", signal="timeouts"}`: 1,
		`{member="n3", scope="node", signal="depth"}`: 1, `{member="n4", scope="node", signal="waits"}`: 1,
	})
	return p
}

// TestPlaces_AreRankedWithinTheirSignal: ranked over all signals, the loudest would take
// the place of each other fault.
func TestPlaces_AreRankedWithinTheirSignal(t *testing.T) {
	for _, generation := range generations {
		t.Run(generation, func(t *testing.T) {
			t.Parallel()
			promtool := find(t, generation).Promtool
			if out, ok := run(t, promtool.Path, "test", "rules", loudest(t).file(write(t, fourSignals()))); !ok {
				t.Errorf("promtool %s:\n%s", promtool.Version, out)
			}
		})
	}
}

func TestPlaces_RankingOverAllSignalsIsSeen(t *testing.T) {
	for name, replaced := range map[string]*strings.Replacer{
		"shares and peers are of all":   strings.NewReplacer("(service, signal, feature)", "(service, feature)"),
		"the greatest lift is of all":   strings.NewReplacer(">= on (service, signal) group_left () (max by (service, signal) (", ">= on (service) group_left () (max by (service) ("),
		"bad nodes of all are too many": strings.NewReplacer("and on (service, signal) (\n            sum by (service, signal) (", "and on (service) (\n            sum by (service) ("),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := write(t, fourSignals())
			file := filepath.Join(dir, "rules", "onefiveten-page-node.yml")
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			mistaken := replaced.Replace(string(text))
			if mistaken == string(text) {
				t.Fatal("the rules no longer hold the text")
			}
			put(t, file, []byte(mistaken))
			if out, ok := run(t, find(t, generations[0]).Promtool.Path, "test", "rules", loudest(t).file(dir)); ok || !strings.Contains(out, "FAILED") {
				t.Errorf("nothing fails:\n%s", out)
			}
		})
	}
}
