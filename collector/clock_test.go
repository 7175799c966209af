package collector

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onefiveten/onefiveten/probe"
	"github.com/onefiveten/onefiveten/promapi"
)

// What sigma is told must go on whatever the clock of the machine does, and must
// not forget the hours that the machine has slept.
func TestClock_NeverGoesBackAndFollowsAMachineThatHasSlept(t *testing.T) {
	c := &clock{origin: time.Now()}
	began, last := c.origin.Round(0), time.Time{}
	for _, s := range []struct {
		what            string
		ran, wall, want time.Duration
	}{
		{"at the beginning", 0, 0, 0},
		{"as ever", time.Minute, time.Minute, time.Minute},
		{"set right by half a minute", 2 * time.Minute, 150 * time.Second, 2 * time.Minute},
		{"set back by an hour", 3 * time.Minute, -57 * time.Minute, 3 * time.Minute},
		{"set right again", 4 * time.Minute, 4 * time.Minute, 4 * time.Minute},
		{"suspended for 8h", 5 * time.Minute, 8*time.Hour + 5*time.Minute, 8*time.Hour + 5*time.Minute},
		{"as ever after it", 6 * time.Minute, 8*time.Hour + 6*time.Minute, 8*time.Hour + 6*time.Minute},
		{"set back by 8h", 7 * time.Minute, 7 * time.Minute, 8*time.Hour + 7*time.Minute},
		{"suspended for 9h more", 8 * time.Minute, 9*time.Hour + 8*time.Minute, 9*time.Hour + 8*time.Minute},
	} {
		got := c.at(began.Add(s.wall), s.ran)
		if want := began.Add(s.want); !got.Equal(want) {
			t.Errorf("%s: got %s after the beginning, want %s", s.what, got.Sub(began), s.want)
		}
		if !last.IsZero() && !got.After(last) {
			t.Errorf("%s: it went back by %s", s.what, last.Sub(got))
		}
		last = got
	}
}

// A Prometheus whose clock differs knows the same past. Asked by our clock it would
// keep the newest half a minute to itself, or tell its last value again and again.
func TestFill_AClockThatDiffersHidesNothingOfAFaultUnderWay(t *testing.T) {
	for _, ahead := range []time.Duration{0, 30 * time.Second, -40 * time.Second, time.Hour} {
		t.Run(ahead.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fault := time.Now().Add(-20 * time.Second)
				p := &past{series: n1(), value: ill(fault), ahead: ahead, starts: startAt(n1()[0], seconds(fault.Add(-1234*time.Millisecond)))}
				f := &fake{}
				f.set(func(context.Context, string) probe.Result { return good(time.Second) })
				c, out := remembering(t, judgedShop, f, p)
				asked := p.questions()
				if got := asked[len(asked)-1].to.Sub(time.Now().Add(ahead)); got > 0 || got <= -5*time.Second {
					t.Errorf("asked up to %s after the present of Prometheus, want its newest", got)
				}
				pass(6 * time.Second) // the first run
				v := c.table.Load().targets[0].state.shown.Load().verdicts[ofLatency]
				if late := v.FirstBad.Sub(fault); late < 0 || late > 5*time.Second {
					t.Errorf("the first bad sample lies %s after the fault, want the interval at most", late)
				}
				if want := seconds(fault.Add(-1234 * time.Millisecond)); v.start != want {
					t.Errorf("got the start %v, want that of before, %v", v.start, want)
				}
				if told := strings.Count(out.String(), "the clock of Prometheus differs"); told != int(flag(ahead != 0)) {
					t.Errorf("told %d times of the clock:\n%s", told, out)
				}
			})
		})
	}
}

// When an answer took its time, only what the time cannot explain is a difference.
func TestJob_SkewIsWhatTheTimeOfTheQuestionDoesNotExplain(t *testing.T) {
	for _, c := range []struct{ ahead, want time.Duration }{
		{0, 0}, {time.Second, 0}, {2 * time.Second, 0}, {3 * time.Second, time.Second}, {-time.Minute, -time.Minute},
	} {
		synctest.Test(t, func(t *testing.T) {
			l := &lake{}
			j := &job{limit: time.Minute}
			got, err := j.skew(t.Context(), slow{l, c.ahead})
			if err != nil || got != c.want {
				t.Errorf("%s ahead of the question: got %s and %v, want %s", c.ahead, got, err, c.want)
			}
		})
	}
}

// slow is a Prometheus that takes 2s for an answer.
type slow struct {
	Source
	ahead time.Duration
}

func (s slow) Query(context.Context, string) ([]promapi.Point, error) {
	at := time.Now().Add(s.ahead)
	<-time.After(2 * time.Second)
	return []promapi.Point{{At: at}}, nil
}
