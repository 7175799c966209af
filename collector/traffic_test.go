package collector

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/onefiveten/onefiveten/promapi"
)

// carried is queue with a second question, and a baseline that is there at once.
var carried = strings.Replace(queue, "unit: items", "unit: items, traffic: 'sum by (node) (rate(requests_total[1m]))'", 1)

// answers makes it answer each question by itself.
func (l *lake) answers(value map[string]float64, traffic func(ctx context.Context) ([]promapi.Point, error)) {
	l.does(func(ctx context.Context, query string) ([]promapi.Point, error) {
		if strings.Contains(query, "requests_total") {
			return traffic(ctx)
		}
		return points(value), nil
	})
}

func TestTraffic_StandsBesideTheVerdicts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &lake{}
		l.answers(map[string]float64{"n1": 5, "n2": 7}, func(context.Context) ([]promapi.Point, error) {
			return points(map[string]float64{"n2": 30, "n1": 0, "n3": 2.5}), nil
		})
		c := watched(t, carried, l)
		pass(35 * time.Second)
		want := `signal_traffic{job="probe",instance="n1",observer="a",service="shop",role="node",node="n1",signal="queue"} 0
signal_traffic{job="probe",instance="n2",observer="a",service="shop",role="node",node="n2",signal="queue"} 30
signal_traffic{job="probe",instance="n3",observer="a",service="shop",role="node",node="n3",signal="queue"} 2.5
`
		if diff := cmp.Diff(want, sorted(lines(text(t, c), "signal_traffic{"))); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if got := failures(c); len(got) > 0 {
			t.Errorf("got failures %v, want none", got)
		}
	})
}

// sorted puts lines in order: those of traffic stand as they were answered.
func sorted(text string) string {
	return strings.Join(slices.Sorted(strings.Lines(text)), "")
}

// Whatever is wrong with it, the verdicts are as they would be without it.
func TestTraffic_ThatIsOfNoUseIsNoneAndNothingElse(t *testing.T) {
	one := func(labels map[string]string, v float64) ([]promapi.Point, error) {
		return append(points(map[string]float64{"n1": 1}), promapi.Point{Labels: labels, Value: v}), nil
	}
	for name, answer := range map[string]func(ctx context.Context) ([]promapi.Point, error){
		"an error":  func(context.Context) ([]promapi.Point, error) { return nil, errors.New("bad_data") },
		"no series": func(context.Context) ([]promapi.Point, error) { return nil, nil },
		"NaN": func(context.Context) ([]promapi.Point, error) {
			return one(map[string]string{"node": "n2"}, math.NaN())
		},
		"infinite": func(context.Context) ([]promapi.Point, error) {
			return one(map[string]string{"node": "n2"}, math.Inf(1))
		},
		"below 0":            func(context.Context) ([]promapi.Point, error) { return one(map[string]string{"node": "n2"}, -1) },
		"another label":      func(context.Context) ([]promapi.Point, error) { return one(map[string]string{"pod": "p"}, 1) },
		"another service":    func(context.Context) ([]promapi.Point, error) { return one(map[string]string{"service": "pay"}, 1) },
		"twice":              func(context.Context) ([]promapi.Point, error) { return one(map[string]string{"node": "n1"}, 1) },
		"no answer in time":  func(ctx context.Context) ([]promapi.Point, error) { <-ctx.Done(); return nil, ctx.Err() },
		"an answer too late": func(ctx context.Context) ([]promapi.Point, error) { <-ctx.Done(); return one(nil, 1) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &lake{}
				values := map[string]float64{"n1": 5, "n2": 7}
				l.answers(values, func(context.Context) ([]promapi.Point, error) {
					return points(map[string]float64{"n1": 1, "n2": 2}), nil
				})
				c := watched(t, carried, l)
				pass(35 * time.Second)
				l.answers(values, answer)
				pass(13 * time.Second)
				page := text(t, c)
				if got := lines(page, "signal_traffic{"); got != "" {
					t.Errorf("got\n%s", got)
				}
				if got := strings.Count(lines(page, "ksigma_fault{", "queue"), "\n"); got != 2 || lines(page, "signal_up{") == "" {
					t.Errorf("got %d verdicts, want 2:\n%s", got, page)
				}
				if got := failures(c); len(got) != 1 || got[queryTraffic] < 1 {
					t.Errorf("got failures %v, want those of traffic alone", got)
				}
				l.answers(values, func(context.Context) ([]promapi.Point, error) {
					return points(map[string]float64{"n1": 1, "n2": 2}), nil
				})
				pass(20 * time.Second)
				if got := strings.Count(lines(text(t, c), "signal_traffic{"), "\n"); got != 2 {
					t.Errorf("once it is well again: got %d series, want 2", got)
				}
			})
		})
	}
}

// A question about traffic that hangs holds up neither the verdict, which is there
// before it, nor the next one.
func TestTraffic_IsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &lake{}
		l.answers(map[string]float64{"n1": 5}, func(ctx context.Context) ([]promapi.Point, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		})
		c := watched(t, carried, l)
		pass(10*time.Second + time.Millisecond)
		asked := l.times()
		if got := lines(text(t, c), "signal_last_run"); !strings.HasSuffix(got, string(appendValue(nil, seconds(asked[0])))+"\n") {
			t.Errorf("got %q, want the instant of the first question, %v", got, seconds(asked[0]))
		}
		pass(30 * time.Second)
		if n := len(l.times()); n < 7 {
			t.Errorf("asked %d times in 40s, want both questions every 10s", n)
		}
	})
}

// Traffic that no verdict stands beside is as old as the verdicts.
func TestTraffic_GrowsOldWithTheVerdicts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &lake{}
		l.answers(map[string]float64{"n1": 5}, func(context.Context) ([]promapi.Point, error) { return points(map[string]float64{"n1": 1}), nil })
		c := watched(t, carried, l)
		pass(35 * time.Second)
		l.fails(errors.New("gone"))
		pass(15 * time.Second)
		if got := lines(text(t, c), "signal_traffic{"); got == "" {
			t.Error("while the verdicts hold: got none, want the last one")
		}
		pass(15 * time.Second)
		if got := lines(text(t, c), "signal_traffic{"); got != "" {
			t.Errorf("after the verdicts: got %s", got)
		}
	})
}

func TestTraffic_LeavesThePageWithItsQuestion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &lake{}
		l.answers(map[string]float64{"n1": 5}, func(context.Context) ([]promapi.Point, error) { return points(map[string]float64{"n1": 1}), nil })
		c := watched(t, carried, l)
		pass(35 * time.Second)
		if err := c.Apply(parse(t, queue), (&fake{}).modules(), ofQueue, l); err != nil {
			t.Fatal(err)
		}
		page := text(t, c)
		if got := lines(page, "signal_traffic{"); got != "" || lines(page, "ksigma_fault{", "queue") == "" {
			t.Errorf("got\n%s, want the verdicts alone", got)
		}
	})
}

// What locates a fault is there wherever a fault may page, and only there unless it
// is asked for.
func TestValues_AreShownWhereTheyMayPage(t *testing.T) {
	for mode, want := range map[string][]string{
		"{mode: page}":                 {KsigmaMean, KsigmaThreshold, KsigmaValue},
		"{mode: ticket}":               nil,
		"{mode: ticket, expose: full}": {"ksigma_anomaly", "ksigma_baseline_samples", KsigmaMean, "ksigma_stddev", KsigmaThreshold, KsigmaValue},
	} {
		synctest.Test(t, func(t *testing.T) {
			l := &lake{}
			l.says(map[string]float64{"n1": 5})
			c := watched(t, strings.Replace(queue, "dimensions: [node, zone]", "dimensions: [node, zone], signals: {queue: "+mode+"}", 1), l)
			pass(35 * time.Second)
			page := text(t, c)
			var got []string
			for _, name := range []string{"ksigma_anomaly", "ksigma_baseline_samples", KsigmaMean, "ksigma_stddev", KsigmaThreshold, KsigmaValue} {
				if lines(page, name+"{", "queue") != "" {
					got = append(got, name)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", mode, diff)
			}
		})
	}
}

func TestTraffic_MistakesInIt(t *testing.T) {
	for traffic, want := range map[string]string{
		"sum by (node) (x)": "",
		"1":                 "",
		"sum by (pod) (x)":  `probe.yml:6: signals[0].traffic: it leaves the labels pod, want service and the dimensions of the service alone: node, zone`,
		"sum(":              `probe.yml:6: signals[0].traffic: reading sum(: 1:5: parse error: unclosed left parenthesis`,
		"x[5m]":             `probe.yml:6: signals[0].traffic: got a range vector, want an instant vector or a scalar`,
	} {
		got := mistakes(strings.Replace(queue, "unit: items", "traffic: '"+traffic+"'", 1))
		if got != want {
			t.Errorf("%s:\n got %s\nwant %s", traffic, got, want)
		}
	}
	both := strings.Replace(carried, "min_samples: 2", "min_samples: 2, direction: both", 1)
	if got, want := mistakes(both), `probe.yml:6: signals[0].traffic: baseline "default" has the direction both, want upper or lower: what fails more than usual has one bad side; leave traffic out, or give the signal another baseline`; got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}

func TestCheckTraffic_TellsWhatNoOtherMomentMends(t *testing.T) {
	s := parse(t, carried)
	for name, c := range map[string]struct {
		points []promapi.Point
		want   string
	}{
		"well":    {points(map[string]float64{"n1": 1}), ""},
		"nothing": {nil, "unwise traffic: got 0 series, want 1 to max_series of 1000 now: faults are located without it"},
		"labels":  {[]promapi.Point{{Labels: map[string]string{"pod": "p"}}}, `wrong traffic: got a series with the label "pod", want service and the dimensions [node zone] alone: aggregate by them`},
		"below 0": {points(map[string]float64{"n1": -1}), `unwise traffic: got the value -1 for {node="n1"}, want 0 or more now: faults are located without it`},
	} {
		got := ""
		tell := func(kind string) func(path, text string) {
			return func(path, text string) { got += kind + " " + path + ": " + text }
		}
		s.CheckTraffic(0, c.points, tell("wrong"), tell("unwise"))
		if got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, c.want)
		}
	}
}
