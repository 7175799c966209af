package collector

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-kit/log"

	"github.com/onefiveten/onefiveten/sigma"
)

// quick is a service that recovers so fast that its hold may be short.
const quick = `
services: [{name: shop, owner: team-shop, targets: {detect: 10s, locate: 10s, recover: 10s}}]
probes:
- {name: p, service: shop, module: fake, interval: 10s, targets: [h]}
- {name: q, service: shop, module: fake, interval: 1m, targets: [h]}
- {name: none, module: fake, interval: 1h, targets: [h]}
`

func TestBaselines_WhatNoSampleCanReachIsAMistake(t *testing.T) {
	for written, want := range map[string]string{
		"window: 1h, min_samples: 30, hold: 30m":        "",
		"window: 1h, min_samples: 31, hold: 30m":        "min_samples: got 31, but while a fault is kept out for a hold of 30m a window of 1h holds only 30 samples every 1m: lower it, shorten hold, or lengthen the window",
		"window: 1h, min_samples: 45, hold: 15m":        "",
		"window: 1h, min_samples: 61, hold: 30m":        "min_samples: 61 can never be reached by the 60 samples that a window of 1h holds every 1m: lower it, or lengthen the window",
		"window: 1h, k: 7.6":                            "",
		"window: 1h, k: 7.7":                            "k: 7.7 can never be reached by the 60 samples that a window of 1h holds every 1m: at most 7.617; lower k, or lengthen the window",
		"window: 11m, k: 8, min_samples: 5, hold: 330s": "k: 8 can never be reached by the 11 samples that a window of 11m holds every 1m: at most 3.015; lower k, or lengthen the window", // the 66 of the other probe reach 8.001
		"window: 1h, hold: 31m":                         "hold: got 31m, want at most 30m, half of the window of 1h: a fault must leave something to judge it by; shorten hold, or lengthen the window",
	} {
		got := mistakes(fmt.Sprintf("baselines: {default: {%s}}%s", written, quick))
		if want != "" {
			want = "probe.yml:1: baselines.default." + want
		}
		if got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", written, got, want)
		}
	}
}

// A hold between what a service takes to recover and half of the window is one that
// can be written; where there is none, the window is what must change.
func TestBaselines_OneMistakeOfAHoldSaysWhatCanBeDone(t *testing.T) {
	slow := strings.Replace(quick, "recover: 10s", "recover: 10m", 1)
	const longer = `, want more than 15m: the recover target of service "shop" and 5m; the window of %s allows at most half of itself: want a window of more than 30m, and a hold between 15m and half of it`
	for written, want := range map[string]string{
		"window: 10m, min_samples: 5, k: 2, hold: 10m":   "got 10m" + fmt.Sprintf(longer, "10m"),
		"window: 20m, min_samples: 5, k: 2, hold: 10m":   "got 10m" + fmt.Sprintf(longer, "20m"),
		"window: 30m, min_samples: 5, k: 2, hold: 15m":   "got 15m" + fmt.Sprintf(longer, "30m"),
		"window: 31m, min_samples: 5, k: 2, hold: 930s":  "",
		"window: 31m, min_samples: 5, k: 2, hold: 15m":   `got 15m, want more than 15m: the recover target of service "shop" and 5m`,
		"window: 31m, min_samples: 5, k: 2, hold: 31m":   "got 31m, want at most 15m30s, half of the window of 31m: a fault must leave something to judge it by; shorten hold, or lengthen the window",
		"window: 2h, min_samples: 5, k: 2, hold: 15m30s": "",
	} {
		got := mistakes(fmt.Sprintf("baselines: {default: {%s}}%s", written, slow))
		if want != "" {
			want = "probe.yml:1: baselines.default.hold: " + want
		}
		if got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", written, got, want)
		}
	}
}

// Whoever has put the hold right need not learn of k and min_samples only then.
func TestBaselines_AWrongHoldHidesNoOtherMistake(t *testing.T) {
	want := []string{"hold: got 2h, want at most 30m", "k: 9 can never be reached", "min_samples: got 31, but while a fault is kept out for a hold of 30m"}
	got := strings.Split(mistakes("baselines: {default: {window: 1h, hold: 2h, k: 9, min_samples: 31}}"+quick), "\n")
	if len(got) != len(want) {
		t.Fatalf("got %d mistakes, want %d: %q", len(got), len(want), got)
	}
	for i, m := range got {
		if !strings.HasPrefix(m, "probe.yml:1: baselines.default."+want[i]) {
			t.Errorf("got %s, want %s", m, want[i])
		}
	}
}

// A baseline that nobody has written, and one that judges nothing.
func TestBaselines_OnlyWhatIsJudgedMustBeReached(t *testing.T) {
	slow := strings.Replace(quick, "interval: 10s", "interval: 1h", 1)
	if got := mistakes(slow); strings.Count(got, "\n") != 1 || !strings.Contains(got, "baselines.default.min_samples: 30 can never be reached by the 1 samples that a window of 1h holds every 1h") {
		t.Errorf("the default at 1h: got\n%s\nwant a mistake of min_samples and one of k", got)
	}
	if got := mistakes("baselines: {other: {window: 2m, min_samples: 1000, hold: 1m}}" + quick); got != "" {
		t.Errorf("a baseline that no signal has: got %s", got)
	}
}

// A query feeds the baseline that its entry names, or its service, or else the
// default one, at its own interval.
func TestBaselines_QueriesAreFedAtTheirOwnInterval(t *testing.T) {
	for text, want := range map[string]string{
		"signals: [{name: queue, service: shop, expr: up, interval: 5m}]":                                                              "probe.yml:1: baselines.default.min_samples: 30 can never be reached by the 12 samples that a window of 1h holds every 5m: lower it, or lengthen the window",
		"signals: [{name: queue, service: shop, expr: up, interval: 45s, baseline: slow}]\nbaselines: {slow: {window: 1d, hold: 1h}}":  "",
		"signals: [{name: queue, service: shop, expr: up, interval: 45s, baseline: slow}]\nbaselines: {slow: {window: 20m, hold: 6m}}": "probe.yml:2: baselines.slow.min_samples: 30 can never be reached by the 26 samples that a window of 20m holds every 45s: lower it, or lengthen the window",
		"signals: [{name: queue, service: shop, expr: up, interval: 45s, baseline: slow}]\nbaselines: {slow: {window: 1d, hold: 5m}}":  `probe.yml:2: baselines.slow.hold: got 5m, want more than 5m10s: the recover target of service "shop" and 5m`,
	} {
		if got := mistakes(text + quick); got != want && !strings.HasPrefix(got, want+"\n") || want == "" && got != "" {
			t.Errorf("%s: got\n%s\nwant\n%s", text, got, want)
		}
	}
}

func TestBaselines_Season(t *testing.T) {
	for written, want := range map[string]string{
		"season: none":                            "",
		"season: daily":                           "",
		"season: daily, timezone: UTC":            "",
		"season: daily, timezone: Europe/Berlin":  "",
		"season: weekly":                          `season: got "weekly", want none or daily`,
		`season: ""`:                              `season: got "", want none or daily`,
		"season: daily, timezone: Europe/Atlanta": `timezone: got "Europe/Atlanta", want a name such as UTC or Asia/Shanghai: unknown time zone Europe/Atlanta`,
		"season: daily, timezone: Local":          `timezone: got "Local", want a name such as UTC or Asia/Shanghai: the hours of this machine need not be those of other observers`,
	} {
		got := mistakes(fmt.Sprintf("baselines: {default: {%s}}%s", written, quick))
		if want != "" {
			want = "probe.yml:1: baselines.default." + want
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", written, got, want)
		}
	}
}

func TestBaselines_ASeasonReachesTheMathematics(t *testing.T) {
	s := parse(t, "baselines: {default: {season: daily, timezone: Asia/Shanghai}}"+quick)
	got := s.Baselines["default"].Sigma()
	if got.Season != sigma.Daily || got.Zone == nil || got.Zone.String() != "Asia/Shanghai" {
		t.Errorf("got season %q in %v, want daily in Asia/Shanghai", got.Season, got.Zone)
	}
}

// A zone that is loaded twice is not equal to itself: a reload would begin every
// series anew.
func TestBaselines_AReloadKeepsAStateWithAZone(t *testing.T) {
	c := New("a", log.NewNopLogger())
	put := func(zone string) *judged {
		t.Helper()
		text := fmt.Sprintf("baselines: {default: {season: daily, timezone: %s}}%s", zone, strings.Replace(quick, "1m", "20s", 1))
		proofs := []Proof{{Service: "shop", Signal: availability, Cap: .5, Bound: time.Minute}, {Service: "shop", Signal: latency, Cap: .6, Bound: time.Minute}}
		modules := map[string]Module{"fake": {Probe: (&fake{}).probe, Timeout: time.Second}}
		if err := c.Apply(parse(t, text), modules, proofs, nil); err != nil {
			t.Fatal(err)
		}
		for _, target := range c.table.Load().targets {
			if target.probe == "p" {
				return &judged{series: target.state.signals[ofLatency].series, rules: target.state.signals[ofLatency].rules}
			}
		}
		t.Fatal("there is no target of probe p")
		return nil
	}
	first := put("Europe/Berlin")
	if again := put("Europe/Berlin"); again.series != first.series {
		t.Error("the same zone again: got another series, want the one before")
	}
	if other := put("Asia/Shanghai"); other.series == first.series || other.rules.baseline.Zone.String() != "Asia/Shanghai" {
		t.Errorf("another zone: got the series before, or hours of %v", other.rules.baseline.Zone)
	}
}
