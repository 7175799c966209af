package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// provedBounds are the bounds that "check --json" tells of, and its errors.
func provedBounds(t *testing.T, file string) (bounds []bound, errs []finding) {
	t.Helper()
	_, stdout, stderr := call(t, "check", "--json", "--config.file="+file)
	var got struct {
		Errors []finding
		Bounds []bound
	}
	if err := json.Unmarshal([]byte(stdout), &got); err != nil || stderr != "" {
		t.Fatalf("%v: %s%s", err, stdout, stderr)
	}
	return got.Bounds, got.Errors
}

// A bound is one number wherever it is told: on the page of the running program, in
// the findings, in the text of the bounds, and in the series and the annotation that
// the generated tests want.
func TestBounds_AreTheSameEverywhere(t *testing.T) {
	for _, backend := range []string{"exporter", "promql"} {
		t.Run(backend, func(t *testing.T) { sameEverywhere(t, ourHouse()+"backend: "+backend+"\n") })
	}
}

func sameEverywhere(t *testing.T, text string) {
	t.Helper()
	file, out := rulesOf(t, text)
	proved, errs := provedBounds(t, file)
	if len(proved) != 2 || len(errs) > 0 {
		t.Fatalf("got %d bounds, %v, want those of availability and latency", len(proved), errs)
	}
	r := start(t, "--config.file="+file, "--observer=a")
	page := r.eventually("/metrics/probes", "onefiveten_detect_bound_seconds{")
	all := texts(t, out)
	tests := all["tests/onefiveten_test.yml"]
	for _, b := range proved {
		value := fmt.Sprint(b.Bound)
		id := fmt.Sprintf(`onefiveten_detect_bound_seconds{service=%q,signal=%q`, b.Service, b.Signal)
		if want := id + `,observer="a"} ` + value + "\n"; !strings.Contains(page, want) && !strings.Contains(page, id+"} "+value+"\n") {
			t.Errorf("the page does not hold %s", want)
		}
		if !strings.Contains(all["bounds.txt"], "  "+value+"s  ") {
			t.Errorf("bounds.txt does not hold %ss:\n%s", value, all["bounds.txt"])
		}
		if found := valuesOf(tests, regexp.QuoteMeta(id)+`[^}]*\}', values: ([0-9.]+)`); !slices.Equal(found, []string{value}) {
			t.Errorf("series of %s in the tests: got %v, want %s alone", b.Signal, found, value)
		}
		sum := 0.
		for _, one := range b.Terms {
			sum += one.Seconds
		}
		if fmt.Sprintf("%.9f", sum) != fmt.Sprintf("%.9f", b.Bound) {
			t.Errorf("%s: the terms are %v together, the bound is %v", b.Signal, sum, b.Bound)
		}
	}
	if found := valuesOf(tests, `detect_bound_seconds: "?([0-9.]+)`); !slices.Equal(found, []string{fmt.Sprint(proved[0].Bound)}) {
		t.Errorf("annotations in the tests: got %v, want %v alone", found, proved[0].Bound)
	}
}

// valuesOf are the different values of the only group of a pattern.
func valuesOf(text, pattern string) []string {
	var all []string
	for _, found := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
		all = append(all, found[1])
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Where nothing is wrong but bounds, they are told with every term: they show why.
func TestCheck_ShowsTheTermsOfWhatItRefuses(t *testing.T) {
	text := strings.Replace(ourHouse(), "scrape: {interval: 1s, timeout: 500ms}", "scrape: {interval: 55s}", 1)
	file := write(t, text)
	bounds, errs := provedBounds(t, file)
	if len(errs) != 1 || len(bounds) != 2 || bounds[0].Refusal != errs[0].Text || bounds[1].Refusal != "" {
		t.Fatalf("got %+v, %+v, want one refused bound of two", errs, bounds)
	}
	if diff := cmp.Diff([]term{{"P", 1}, {"d_p", .5}, {"(m-1)·P", 6}, {"S", 55}, {"d_s", 10}}, bounds[0].Terms[:5]); diff != "" || bounds[0].Bound != 73.7 || bounds[0].LossFound != nil {
		t.Errorf("got %+v %s", bounds[0], diff)
	}
	code, stdout, stderr := call(t, "check", "--config.file="+file)
	if code != 1 || !strings.Contains(stdout, "73.7s") || !strings.Contains(stdout, "S 55s + d_s 10s") || !strings.Contains(stderr, file+":11: services[0].signals.availability: ") {
		t.Errorf("ended with %d: %s%s", code, stdout, stderr)
	}
	// Of other mistakes nobody knows what they make of the bounds.
	rewrite(t, file, text+"sevices: []\n")
	if bounds, errs := provedBounds(t, file); len(bounds) > 0 || len(errs) < 1 {
		t.Errorf("with a mistake beside it: got %+v, %+v", bounds, errs)
	}
	// A fault that can never fire has neither terms nor a rate.
	rewrite(t, file, strings.Replace(ourHouse(), "fault: {cap: .1}", "fault: {cap: .99, fault_window: 5s}", 1))
	if bounds, _ := provedBounds(t, file); len(bounds) != 2 || len(bounds[0].Terms) > 0 || bounds[0].LossFound != nil || !strings.Contains(bounds[0].Refusal, "can never fire") {
		t.Errorf("never: got %+v", bounds)
	}
	if code, _, _ := call(t, "rules", "--check", "--config.file="+file, "--output.dir="+filepath.Dir(file)); code != 1 {
		t.Errorf("rules --check of what is refused: ended with %d", code)
	}
}
