package main

import (
	"testing"
	"time"

	"github.com/onefiveten/onefiveten/e2e/faults"
)

// told is a fault with a bound of 10 s that was told after some time; 0: never.
func told(after time.Duration) faults.Fault {
	f := faults.Fault{Service: "shop", Node: "n1", How: faults.Hangs, Bound: 10 * time.Second, Began: time.UnixMilli(0).UTC()}
	if after > 0 {
		f.Told = f.Began.Add(after)
		f.Sampled, f.Judged, f.Fired = f.Began.Add(after/4), f.Began.Add(after/2), f.Began.Add(3*after/4)
	}
	return f
}

func TestSummary_CountsWhatWasNeverToldAsLate(t *testing.T) {
	got := summary([]faults.Fault{told(8 * time.Second), told(0), told(12 * time.Second), told(4 * time.Second)})
	want := times{bound: 10 * time.Second, n: 4, within: 2, least: 4, p50: 8, p95: 12, most: 12}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := summary([]faults.Fault{told(0)}); got != (times{bound: 10 * time.Second, n: 1}) {
		t.Errorf("of one that was never told: got %+v", got)
	}
}

func TestSummary_P95IsExceededByOneInTwenty(t *testing.T) {
	var all []faults.Fault
	for i := range 40 {
		all = append(all, told(time.Duration(i+1)*100*time.Millisecond))
	}
	if got := summary(all); got.p95 != 3.8 {
		t.Errorf("got %g, want 3.8: of 40 two are greater", got.p95)
	}
}

func TestSteps_AreTheWholeWay(t *testing.T) {
	f := told(9 * time.Second)
	var sum time.Duration
	for _, s := range steps() {
		sum += s.of(f)
	}
	if sum != f.Took() {
		t.Errorf("the steps take %s, the way %s", sum, f.Took())
	}
}

func TestTimeline_ShowsWhereTheTimeWent(t *testing.T) {
	for _, c := range []struct {
		after time.Duration
		want  string
	}{
		{12 * time.Second, "n1 of shop (hangs) at 00:00:00.000, bound 10.0 s: first bad probe 3.00, both verdicts in Prometheus 6.00, FaultDetected fired 9.00, webhook 12.00"},
		{0, "n1 of shop (hangs) at 00:00:00.000, bound 10.0 s: first bad probe never, both verdicts in Prometheus never, FaultDetected fired never, webhook never"},
	} {
		if got := timeline(told(c.after)); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}
