package collector

import (
	"math"
	"testing"
	"time"

	"github.com/onefiveten/onefiveten/promapi"
	"github.com/onefiveten/onefiveten/sigma"
)

// scraped feeds a past of so many values, one each scrape, as range queries tell it:
// every step once more the last one that was scraped. It gives the verdict after it.
func scraped(t *testing.T, interval, scrape, step time.Duration, values int) (b *blank) {
	t.Helper()
	r := rules{
		interval: interval, fault: sigma.Fault{Window: 3 * time.Minute, Floor: .55, Cap: .6, MinAnomalies: 3, K: 3, Clear: 3},
		baseline: sigma.Baseline{Window: time.Hour, K: 3, MinSamples: 30, Hold: 30 * time.Minute},
	}
	made, err := r.fresh()
	if err != nil {
		t.Fatal(err)
	}
	b = &blank{made: made, every: max(interval, scrape)}
	begin := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	for at := time.Duration(0); at < time.Duration(values)*scrape; at += step {
		v := 1 + float64(at/scrape%3)/10
		b.take(told{begin.Add(at), promapi.Sample{At: begin.Add(at), Value: v}, step})
	}
	b.end()
	return b
}

// A probe that runs each second and is scraped every 15 leaves few values of its
// first minutes. Asked for second by second, each is told fifteen times: a
// threshold of three values would be one nobody has ever measured.
func TestFill_AFewValuesToldManyTimesAreNoThreshold(t *testing.T) {
	for _, c := range []struct {
		interval, scrape, step time.Duration
		values                 int
		ready                  bool
	}{
		{time.Second, 15 * time.Second, time.Second, 3, false},
		{time.Second, 15 * time.Second, time.Second, 29, false},
		{time.Second, 15 * time.Second, time.Second, 31, true},
		{5 * time.Second, 15 * time.Second, 15 * time.Second, 12, false},
		{5 * time.Second, 15 * time.Second, 15 * time.Second, 31, true},
		{5 * time.Second, 5 * time.Second, 5 * time.Second, 31, true},
	} {
		b := scraped(t, c.interval, c.scrape, c.step, c.values)
		if b.verdict.Ready != c.ready {
			t.Errorf("%d values, one every %s, told every %s: ready %v, want %v", c.values, c.scrape, c.step, b.verdict.Ready, c.ready)
		}
		if !c.ready && int(b.verdict.Samples) != c.values-1 {
			t.Errorf("%d values, one every %s, told every %s: %d samples before the last, want %d", c.values, c.scrape, c.step, b.verdict.Samples, c.values-1)
		}
	}
}

// After a gap that empties the window there are few again, and none of before is
// told late.
func TestFill_AfterAGapTheValuesAreFewAgain(t *testing.T) {
	b := scraped(t, 5*time.Second, 5*time.Second, 5*time.Second, 100)
	again := b.last.Add(2 * time.Hour)
	for n := range 29 {
		b.take(told{again.Add(time.Duration(n) * 5 * time.Second), promapi.Sample{Value: math.Sqrt(float64(n))}, 5 * time.Second})
	}
	if b.verdict.Samples < 90 || len(b.few) != 29 {
		t.Errorf("%d samples and %d that wait, want those of before the gap, and 29", b.verdict.Samples, len(b.few))
	}
	b.end()
	if b.verdict.Ready || b.verdict.Samples != 28 {
		t.Errorf("after the gap: ready %v by %d samples, want not, by 28", b.verdict.Ready, b.verdict.Samples)
	}
}
