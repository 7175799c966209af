package main

import (
	"testing"
	"time"

	"github.com/onefiveten/onefiveten/sigma"
)

func TestPast_EndsBeforeWhatIsMeasuredAndNeverGoesBack(t *testing.T) {
	for _, v := range variants() {
		for _, span := range spans {
			past := v.past(span)
			for i, at := range past[1:] {
				if !at.After(past[i]) {
					t.Fatalf("%s over %s: sample %d is at %s, the one before at %s", v.what, span, i+1, at, past[i])
				}
			}
			if last := past[len(past)-1]; !last.Before(measuredFrom()) {
				t.Errorf("%s over %s: the last sample is at %s, want before %s", v.what, span, last, measuredFrom())
			}
		}
	}
}

func TestFill_LeavesNoBucketEmptyAndHasAThreshold(t *testing.T) {
	values := newNoise()
	for _, v := range variants() {
		for _, span := range spans {
			all, _, err := v.fill(span, 1, values)
			if err != nil {
				t.Fatal(err)
			}
			j, err := all[0].series.Add(measuredFrom(), values.at(0, 0))
			if err != nil || !j.Ready || j.Samples < 3*buckets-1 {
				t.Errorf("%s over %s: %d samples, ready %t, %v", v.what, span, j.Samples, j.Ready, err)
			}
		}
	}
}

func TestMeasured_AreWholeBucketsOfEverySpan(t *testing.T) {
	for _, span := range spans {
		if took := measured * every; took%(span/buckets) != 0 {
			t.Errorf("%s: %s are measured, which is no multiple of a bucket of %s", span, took, span/buckets)
		}
	}
}

// What Prometheus would say of the same window is said by two passes over it.
func TestHistory_IsJudgedOverWholeWindow(t *testing.T) {
	h := history{name: "x", series: 3, span: time.Hour, end: time.Unix(1_800_000_000, 0).Truncate(time.Minute), values: newNoise()}
	j, err := h.judged(2)
	if err != nil {
		t.Fatal(err)
	}
	var want sigma.Moments
	for step := range 360 {
		want.Add(h.values.at(2, step))
	}
	if j.Samples != want.N || j.Mean-want.Mean > 1e-9 || want.Mean-j.Mean > 1e-9 {
		t.Errorf("got %d samples with mean %v, want %d with %v", j.Samples, j.Mean, want.N, want.Mean)
	}
}
