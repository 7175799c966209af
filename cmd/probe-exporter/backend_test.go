package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestBackend_TheFlagStandsInThePlaceOfTheKey(t *testing.T) {
	for _, c := range []struct{ key, flag, want string }{
		{"", "", "page-node"}, {"", "--backend=promql", "page-node-availability-1m"}, {"backend: promql\n", "", "page-node-availability-1m"},
		{"backend: promql\n", "--backend=exporter", "page-node"},
	} {
		args := []string{}
		if c.flag != "" {
			args = append(args, c.flag)
		}
		_, out := rulesOf(t, c.key+ourHouse(), args...)
		files := tree(t, out)
		if want := "rules/onefiveten-" + c.want + ".yml"; !strings.Contains(strings.Join(files, " "), want) {
			t.Errorf("%q %q: got %q, want %s", c.key, c.flag, files, want)
		}
	}
	if code, _, stderr := call(t, "check", "--backend=thanos", "--config.file="+write(t, ourHouse())); code != 2 || !strings.Contains(stderr, `--backend: want exporter or promql, got "thanos"`) {
		t.Errorf("ended with %d: %s", code, stderr)
	}
}

func TestBackend_WhatHasNoMeaningIsToldWithTheOtherMistakes(t *testing.T) {
	file := write(t, `modules: {tcp: {prober: tcp, timeout: 1s}}
prometheus: {scrape: {interval: 5s, timeout: 1s}, evaluation: {interval: 10s}}
baselines: {default: {hold: 20m, window: 1h}}
probes:
- {name: p, service: shop, module: tcp, interval: 5s, targets: [{url: "h:1"}]}
services:
- name: shop
  owner: ""
  signals: {availability: {fault: {floor: .1}}, latency: {mode: page, score: true}}
`)
	code, _, stderr := call(t, "check", "--backend=promql", "--config.file="+file)
	var paths []string
	for line := range strings.Lines(stderr) {
		if parts := strings.SplitN(strings.TrimPrefix(line, file), ": ", 3); len(parts) == 3 && strings.HasPrefix(line, file+":") {
			paths = append(paths, parts[0]+" "+parts[1])
		}
	}
	want := []string{
		":2 prometheus.evaluation.interval", ":3 baselines.default.hold", ":8 services[0].owner",
		":9 services[0].signals.availability.fault.floor", ":9 services[0].signals.latency.mode", ":9 services[0].signals.latency.score",
	}
	if diff := cmp.Diff(want, paths); diff != "" || code != 1 {
		t.Errorf("ended with %d: %s\n%s", code, diff, stderr)
	}
}

// The exporter tells by what figures the rules judge, and the name of the rules that
// are meant: both ends must give a set the same name.
func TestBackend_TheExporterNamesTheRulesThatAreGenerated(t *testing.T) {
	file := write(t, "backend: promql\n"+ourHouse())
	s, err := load(files{file: file}, "")
	if err != nil {
		t.Fatal(err)
	}
	_, out := rulesOf(t, "backend: promql\n"+ourHouse())
	names := strings.Join(tree(t, out), " ")
	for _, p := range s.proofs() {
		if p.RuleSet == "" || !strings.Contains(names, filepath.ToSlash("rules/onefiveten-"+p.RuleSet+".yml")) {
			t.Errorf("%s: got %q, which is none of %s", p.Signal, p.RuleSet, names)
		}
	}
}
