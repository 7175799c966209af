package journal

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/onefiveten/onefiveten/healer"
)

// timed runs one operation b.N times and reports the median and the 99th
// percentile, in milliseconds.
func timed(b *testing.B, do func(i int)) {
	b.Helper()
	took := make([]time.Duration, 0, 1024)
	for i := 0; b.Loop(); i++ {
		begin := time.Now()
		do(i)
		took = append(took, time.Since(begin))
	}
	slices.Sort(took)
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	b.ReportMetric(ms(took[len(took)/2]), "p50-ms")
	b.ReportMetric(ms(took[len(took)*99/100]), "p99-ms")
}

// BenchmarkAccept is one notification of 20 alerts in 12 KB, of which a tenth
// is new each time.
func BenchmarkAccept(b *testing.B) {
	s := openTest(b, tempFile(b), time.Now)
	body := make([]byte, 12<<10)
	timed(b, func(i int) {
		alerts := make([]healer.Alert, 20)
		for k := range alerts {
			alerts[k] = firing(fmt.Sprintf("%016x", 2*i+k), 1)
		}
		if _, err := s.Accept(b.Context(), healer.Notification{Source: "main", Body: body, Alerts: alerts}); err != nil {
			b.Fatal(err)
		}
	})
}

// BenchmarkDecide is the transaction of decision, run, locks, slot, message
// and chain, and its end.
func BenchmarkDecide(b *testing.B) {
	s := openTest(b, tempFile(b), time.Now)
	h := &hand{at: time.Now()}
	id := ""
	timed(b, func(i int) {
		if i%10 == 0 { // a ladder of ten rungs, then the next incident
			b.StopTimer()
			id = incident(b, s, h, fmt.Sprint("s", i), func(i *healer.Incident) { i.State = "deciding" })
			b.StartTimer()
		}
		err := s.Update(b.Context(), id, "", healer.Claim{}, func(c *healer.Case) error {
			if n := len(c.Runs); n > 0 {
				endRun(c, n-1)
			}
			r := running(fmt.Sprint("R", i), fmt.Sprint("node:n", i), c.Now)
			r.Slots[0].Scope = id
			c.Runs = append(c.Runs, r)
			c.Decisions = append(c.Decisions, healer.Decision{Plan: r.Plan, Target: r.Target, Verb: "act", Code: "act", Run: r.ID})
			c.Messages = append(c.Messages, healer.Message{Kind: "tell", Sink: "ops", Dedup: r.ID})
			c.Entries = append(c.Entries, healer.Entry{Run: r.ID, Actor: "heal-receiver", Event: "decided"})
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	})
}
