package ruletest

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/onefiveten/onefiveten/sigma"
)

// latencySpec is a service whose latency pages, judged by a baseline.
func latencySpec(b sigma.Baseline) Spec {
	s := shop(5, 2, 5, 1, .25)
	s.Services[0].Signals = []Signal{{"latency", "page"}}
	s.Proofs[0].Signal, s.Proofs[0].Baseline = "latency", b
	return s
}

// peakOf is the case of the daily peak.
func peakOf(t *testing.T, b sigma.Baseline) writtenTest {
	t.Helper()
	for _, test := range read(t, latencySpec(b)).Tests {
		if strings.Contains(test.Name, "daily peak") {
			return test
		}
	}
	t.Fatal("there is no case of a daily peak")
	return writtenTest{}
}

func TestDailyPeak_IsNormalToTheDefaultsAndToASeason(t *testing.T) {
	for name, b := range map[string]sigma.Baseline{
		"defaults": {Window: time.Hour, K: 3, MinSamples: 30, Direction: sigma.Upper, Hold: 30 * time.Minute},
		"both":     {Window: time.Hour, K: 3, MinSamples: 30, Direction: sigma.Both, Hold: 30 * time.Minute, Low: 0, High: 1},
		"season":   {Window: time.Hour, K: 3, MinSamples: 30, Direction: sigma.Upper, Hold: 30 * time.Minute, Season: sigma.Daily},
		"a week":   {Window: 7 * 24 * time.Hour, K: 3, MinSamples: 30, Direction: sigma.Upper, Hold: time.Hour},
	} {
		test := peakOf(t, b)
		if want := "a normal daily peak of latency: nothing fires"; test.Name != want {
			t.Errorf("%s: got %q, want %q", name, test.Name, want)
		}
		for _, c := range test.Checks {
			if len(c.Samples) > 0 {
				t.Errorf("%s: at %v fires %v", name, c.At, c.Samples)
			}
		}
	}
}

// On the steepest part of the day the value is about 1.7 standard deviations above
// the mean of the hour before it.
func TestDailyPeak_SaysWhenABaselineCallsItAFault(t *testing.T) {
	test := peakOf(t, sigma.Baseline{Window: time.Hour, K: .5, MinSamples: 30, Direction: sigma.Upper, Hold: 30 * time.Minute})
	if want := "a daily peak of latency is a fault to its baseline"; test.Name != want {
		t.Fatalf("got %q, want %q", test.Name, want)
	}
	if got := story(test); !strings.Contains(got, "FaultDetected shop 1, FaultLocated shop 1") {
		t.Errorf("got\n%s, want the alerts", got)
	}
}

func TestDailyPeak_StaysWithinTheRange(t *testing.T) {
	inf := math.Inf(1)
	for _, b := range []sigma.Baseline{{Low: 0, High: 1}, {Low: 0, High: inf}, {Low: -inf, High: 0}, {Low: 1000, High: inf}, {Low: -inf, High: 100}} {
		c := timing{probe: 5 * time.Second, daily: &b}
		for at := -day; at < day; at += 7 * time.Minute {
			if v := c.value(at); v <= b.Low || v >= b.High {
				t.Errorf("range %v to %v: got %v at %s", b.Low, b.High, v, at)
			}
		}
	}
}
