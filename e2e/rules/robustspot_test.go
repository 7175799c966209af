package rules_test

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/onefiveten/onefiveten/rules"
)

// labelled is one fault of the RS data with its true cause. A combination of all
// attributes stands for a node.
type labelled struct {
	name  string
	cause []string // attribute=value
	fleet []carrier
}

// robustSpot reads testdata/rs.
func robustSpot(t *testing.T) []labelled {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", "rs", "cases.txt.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	unpacked, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var all []labelled
	for lines := bufio.NewScanner(unpacked); lines.Scan(); {
		what, rest, _ := strings.Cut(lines.Text(), "\t")
		if name, ok := strings.CutPrefix(what, "case "); ok {
			all = append(all, labelled{name: name, cause: strings.Fields(rest)})
			continue
		}
		var failed, requests, failedBefore, before float64
		if _, err := fmt.Sscan(rest, &failed, &requests, &failedBefore, &before); err != nil {
			t.Fatalf("%s: %v", lines.Text(), err)
		}
		c := &all[len(all)-1]
		leaf := carrier{node: what, groups: map[string]string{}, value: failed / requests, traffic: requests, judged: before > 0}
		if leaf.judged {
			leaf.mean = failedBefore / before
		}
		for _, pair := range strings.Fields(what) {
			attribute, value, _ := strings.Cut(pair, "=")
			leaf.groups[attribute] = value
		}
		c.fleet = append(c.fleet, leaf)
	}
	if len(all) != 45 {
		t.Fatalf("got %d cases, want 45", len(all))
	}
	return all
}

// mostPlayed are the combinations of the largest case that promtool can play: it
// takes 10,000 samples in a query, and has no flag for it.
const mostPlayed = 500

// attributes are the dimensions of the data beside node.
var attributes = []string{"bitrate", "cdn", "device", "gameid", "isp", "p2p", "platform"}

// test is the case as one test of promtool: the rules give each pair the lift, and
// name the places, that the formulas do.
func (c labelled) test(t *testing.T) map[string]any {
	t.Helper()
	p := stage(t, 0)
	p.ticks = 1
	var nodes []valued
	for i, leaf := range c.fleet {
		number := func(v float64) string { return p.always(strconv.FormatFloat(v, 'g', -1, 64)) }
		n := valued{labels: fmt.Sprintf("node=n%d %s", i, leaf.node), value: number(leaf.value), traffic: number(leaf.traffic)}
		if leaf.judged {
			n.fault, n.mean, n.threshold = p.always("1"), number(leaf.mean), number(leaf.mean+1)
		}
		nodes = append(nodes, n)
		c.fleet[i].node = fmt.Sprint("n", i)
	}
	p.values("bitrate,cdn,device,gameid,isp,node,p2p,platform", "upper", nodes...)
	_, lift := shares(c.fleet)
	want := map[string]float64{}
	for at, v := range lift {
		if at.dimension != "node" {
			want[fmt.Sprintf("{dimension=%q, member=%q}", at.dimension, at.member)] = v
		}
	}
	p.rounded(0, `max by (dimension, member) (onefiveten:member_lift:ratio{dimension!="node"})`, want)
	named := map[string]float64{}
	for _, at := range byExcess(c.fleet) {
		named[fmt.Sprintf("{dimension=%q, member=%q}", at.dimension, at.member)] = 1
	}
	if len(named) > 0 {
		p.gives(0, `group by (dimension, member) (onefiveten:member_candidate:ratio)`, named)
	}
	return map[string]any{"name": c.name, "interval": tick.String(), "input_series": p.series, "promql_expr_test": p.checks}
}

// The formulas find the true cause of nine of ten published faults, as DESIGN 8 asks:
// the first pair by lift is a part of it. That the rules find what the formulas do
// promtool shows for each pair of each case that it can hold, in both generations.
func TestExcess_FindsTheCausesOfRobustSpot(t *testing.T) {
	s := paging(attributes...)
	var tests []any
	first, named, right := 0, 0, 0
	all := robustSpot(t)
	for _, c := range all {
		_, lift := shares(c.fleet)
		maps.DeleteFunc(lift, func(p place, _ float64) bool { return p.dimension == "node" })
		top := slices.MaxFunc(slices.Collect(maps.Keys(lift)), func(a, b place) int { return int(math.Copysign(1, lift[a]-lift[b])) })
		if slices.Contains(c.cause, top.dimension+"="+top.member) {
			first++
		}
		for _, p := range byExcess(c.fleet) {
			named++
			if slices.Contains(c.cause, p.dimension+"="+p.member) || holds(c, p) {
				right++
			}
		}
		if len(c.fleet) <= mostPlayed {
			tests = append(tests, c.test(t))
		}
	}
	t.Logf("top-1 by lift: %d of %d; places named: %d, of which part of the true cause: %d; played by promtool: %d", first, len(all), named, right, len(tests))
	if len(tests)*2 < len(all) {
		t.Errorf("promtool plays %d of %d cases, want most: the rules are compared by them", len(tests), len(all))
	}
	if first*10 < len(all)*9 {
		t.Errorf("the true cause is first in %d of %d cases, want 90 %%", first, len(all))
	}
	for part := range slices.Chunk(tests, 9) { // each within the patience for one program
		dir := write(t, s)
		text, err := yaml.Marshal(map[string]any{"rule_files": []string{filepath.Join(dir, rules.RulesGlob)}, "evaluation_interval": tick.String(), "tests": part})
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, "rs.yml")
		put(t, file, text)
		for _, generation := range generations {
			promtool := find(t, generation).Promtool
			if out, ok := run(t, promtool.Path, "test", "rules", file); !ok {
				t.Errorf("promtool %s:\n%.4000s", promtool.Version, out)
			}
		}
	}
}

// holds tells whether a place is a node that the whole cause holds for.
func holds(c labelled, p place) bool {
	for _, leaf := range c.fleet {
		if p.dimension == "node" && leaf.node == p.member {
			return !slices.ContainsFunc(c.cause, func(pair string) bool {
				attribute, value, _ := strings.Cut(pair, "=")
				return leaf.groups[attribute] != value
			})
		}
	}
	return false
}
