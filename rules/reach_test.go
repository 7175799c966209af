package rules

import (
	"strings"
	"testing"
	"time"
)

func TestReach_IsTheLongestWayBack(t *testing.T) {
	const m = time.Minute
	for expr, want := range map[string]time.Duration{
		`queue_length`: 0,
		`max by (node) (queue_length{service="shop"})`:                        0,
		`rate(requests_total[1m])`:                                            m,
		`sum(rate(errors[5m])) / sum(rate(requests[1m]))`:                     5 * m,
		`queue_length offset 2m`:                                              2 * m,
		`rate(requests_total[5m] offset 1m)`:                                  6 * m,
		`queue_length - queue_length offset 1h`:                               60 * m,
		`max_over_time(rate(requests_total[5m])[30m:1m])`:                     35 * m,
		`max_over_time(rate(requests_total[5m] offset 2m)[30m:1m] offset 3m)`: 40 * m,
		`avg_over_time((a + rate(b[2m]))[10m:])`:                              12 * m,
		// What lies in the future is not there yet: a negative offset only takes back.
		`sum_over_time(queue_length[10m] offset -4m)`: 6 * m,
		`queue_length offset -4m`:                     0,
		// @ end() of an instant query is its own instant; a fixed one does not move.
		`rate(requests_total[1m] @ end())`:             m,
		`queue_length / max_over_time(old[1h] @ 1000)`: 0,
		`time() - max(last_backup_seconds)`:            0,
		`queue_length offset 200y`:                     farthest,
	} {
		if got, err := Reach(expr); err != nil || got != want {
			t.Errorf("%s: got %s, %v, want %s", expr, got, err, want)
		}
	}
}

func TestReach_RefusesWhatShowsNoFault(t *testing.T) {
	const still = "it reads no series as it is now, and so shows no fault; want one that reads a series, such as queue_length, without @"
	for expr, want := range map[string]string{
		`sum(`: "reading the expression: ", ``: "reading the expression: ",
		`vector(1)`: still, `vector(0) / vector(0)`: still, `time()`: still, `queue_length @ 1000`: still, `max_over_time(queue_length[5m:] @ 1000)`: still,
	} {
		if got, err := Reach(expr); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: got %s, %v, want %s", expr, got, err, want)
		}
	}
}

func FuzzReach(f *testing.F) {
	for _, expr := range []string{
		`rate(x[5m] offset 1m)`, `max_over_time(rate(x[5m])[30m:1m] offset 3m)`, `x @ 1`, `x offset -1w`,
		`sum_over_time(sum_over_time(x[100y] offset 200y)[200y:] offset 250y)`, `(`,
	} {
		f.Add(expr)
	}
	f.Fuzz(func(t *testing.T, expr string) {
		got, err := Reach(expr)
		if got < 0 || got > farthest || err != nil && got != 0 {
			t.Errorf("%q: got %s, %v", expr, got, err)
		}
	})
}
