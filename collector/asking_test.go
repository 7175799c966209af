package collector

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-kit/log"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/onefiveten/onefiveten/promapi"
)

// entries are n signals of one service, asked every 15s for their own names.
func entries(t *testing.T, n int, asking Asking) Settings {
	t.Helper()
	var list, caps strings.Builder
	for i := range n {
		fmt.Fprintf(&list, "- {name: q%d, service: shop, expr: q%d, interval: 15s}\n", i, i)
		fmt.Fprintf(&caps, "q%d: {fault: {cap: .6}}, ", i)
	}
	text := queue[:strings.Index(queue, "- {name: queue")]
	s := parse(t, strings.Replace(text, "owner: team-shop", "owner: team-shop, signals: {"+caps.String()+"}", 1)+list.String())
	s.Asking = asking
	return s
}

// ended are the instants at which queries of each signal have ended, by the counter
// of the page, seen every step until d is over.
func ended(c *Collector, d, step time.Duration) map[string][]time.Time {
	all, before := map[string][]time.Time{}, map[string]float64{}
	for end := time.Now().Add(d); time.Now().Before(end); {
		pass(step)
		for _, q := range c.table.Load().queries {
			n := testutil.ToFloat64(c.own.queries.total.WithLabelValues("shop", q.name))
			for range int(n - before[q.name]) {
				all[q.name] = append(all[q.name], time.Now())
			}
			before[q.name] = n
		}
	}
	return all
}

// The bound of detection reckons with d_q from the planned instant to the answer,
// however many others are slow.
func TestSignals_EndAtTheirDeadlineThoughAllHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const places, patience, step = 4, 10 * time.Second, 10 * time.Millisecond
		l := &lake{}
		l.does(func(ctx context.Context, _ string) ([]promapi.Point, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		})
		c := New("a", log.NewNopLogger())
		if err := c.Apply(entries(t, 3*places, Asking{Concurrency: places, Timeout: patience}), nil, ofQueue, l); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		over := make(chan error)
		go func() { over <- c.Run(ctx) }()
		began := time.Now()
		all := ended(c, 2*time.Minute, step)
		cancel()
		<-over
		for _, q := range c.table.Load().queries {
			planned := next(began, q.phase, q.interval)
			if n := len(all[q.name]); n < 7 {
				t.Errorf("%s has ended %d times in 8 intervals", q.name, n)
			}
			for i, at := range all[q.name] {
				if late := at.Sub(planned.Add(time.Duration(i) * q.interval)); late < patience || late > patience+step {
					t.Errorf("%s ended %s after its planned instant, want d_q of %s", q.name, late, patience)
				}
			}
			if n := testutil.ToFloat64(c.own.queries.failures.WithLabelValues("shop", q.name, queryTimeout)); int(n) != len(all[q.name]) {
				t.Errorf("%s has %v failures by timeout, want all %d", q.name, n, len(all[q.name]))
			}
		}
		if asked := len(l.times()); l.most != places || asked == 0 || asked >= 8*3*places {
			t.Errorf("asked %d times, %d at once, want some of the %d and %d", asked, l.most, 8*3*places, places)
		}
	})
}

// Who waits for a place has the rest of its time, and who has waited in vain is told
// why.
func TestSignals_TheWaitForAPlaceIsAPartOfTheTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told bytes.Buffer
		l := &lake{}
		l.does(func(ctx context.Context, query string) ([]promapi.Point, error) {
			if query == "q0" {
				<-ctx.Done()
				return nil, context.Cause(ctx)
			}
			select {
			case <-time.After(900 * time.Millisecond):
				return points(map[string]float64{"n1": 5}), nil
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			}
		})
		c := New("a", log.NewLogfmtLogger(log.NewSyncWriter(&told)))
		if err := c.Apply(entries(t, 12, Asking{Concurrency: 1, Timeout: 2 * time.Second}), nil, ofQueue, l); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := c.Run(ctx); err != nil {
			t.Fatal(err)
		}
		up, waited := 0, 0
		for _, q := range c.table.Load().queries {
			if q.state.shown.Load().up {
				up++
			}
			if n := testutil.ToFloat64(c.own.queries.failures.WithLabelValues("shop", q.name, queryTimeout)); n > 0 && q.name != "q0" {
				waited++
			}
		}
		if up < 8 || waited == 0 || waited > 3 {
			t.Errorf("%d of 12 are up, and %d failed beside the one that hangs; want those that follow it within its time alone", up, waited)
		}
		if got := told.String(); !strings.Contains(got, "no answer within 2s, of which it waited") {
			t.Errorf("told\n%s", got)
		}
	})
}

// A turn that the process has slept through is nobody's failure.
func TestSignals_ATurnWhoseTimeIsOverIsSkipped(t *testing.T) {
	c := New("a", log.NewNopLogger())
	if err := c.Apply(parse(t, queue), nil, ofQueue, &lake{}); err != nil {
		t.Fatal(err)
	}
	q, now := c.table.Load().queries[0], time.Now()
	for late, want := range map[time.Duration]struct{ waiting, skipped int }{
		time.Second:                    {1, 0},
		2 * time.Second:                {0, 1},
		8 * time.Hour:                  {1, 2880},
		8*time.Hour + 3*time.Second:    {0, 2881},
		8*time.Hour + time.Second:      {1, 2880},
		10*time.Second + q.timeout - 1: {1, 1},
	} {
		skipped := c.own.queries.skipped.WithLabelValues("shop", "queue", skipLate)
		before := testutil.ToFloat64(skipped)
		a := &asking{c: c, busy: map[*queryState]bool{}, planned: []turn{{now.Add(-late), q}}}
		a.due(now)
		if got := int(testutil.ToFloat64(skipped) - before); len(a.waiting) != want.waiting || got != want.skipped {
			t.Errorf("%s late: %d wait and %d are skipped, want %d and %d", late, len(a.waiting), got, want.waiting, want.skipped)
		}
		if at, any := a.wake(); !any || !at.After(now) || at.After(now.Add(q.interval)) {
			t.Errorf("%s late: wakes at %s, want within the next interval", late, at.Sub(now))
		}
	}
}
