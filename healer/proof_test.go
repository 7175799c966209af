package healer

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/onefiveten/onefiveten/healer/plan"
)

// answerTable answers queries from a table; an unknown query answers nothing.
type answerTable map[string][]Point

var errSlow = errors.New("asking main: no answer within 2s")

func (a answerTable) Query(_ context.Context, query string) ([]Point, error) {
	points, known := a[query]
	if known && points == nil {
		return nil, errSlow
	}
	return points, nil
}

// values are the points of an instant vector, told apart by their node.
func values(vs ...float64) []Point {
	points := []Point{}
	for i, v := range vs {
		points = append(points, Point{Labels: map[string]string{"node": fmt.Sprintf("web%d", i+1)}, Value: v})
	}
	return points
}

func one(v float64) []Point { return []Point{{Value: v}} }

func oneQuestion(op string, right float64) plan.Query {
	return plan.Query{Parts: []plan.Part{{Left: "a", Op: op, Right: right}}}
}

func TestAQueryHoldsOnlyIfAllSamplesOfAllPartsHold(t *testing.T) {
	both := plan.Query{Parts: []plan.Part{{Left: "a", Op: "<", Right: 0.8}, {Left: "b", Op: ">", Right: 0.95}}}
	for _, test := range []struct {
		name  string
		query plan.Query
		world answerTable
		want  Answer
	}{
		{"one part holds", oneQuestion("==", 1), answerTable{"a": one(1)}, Good},
		{"one part does not", oneQuestion("==", 1), answerTable{"a": one(0)}, Bad},
		{"all samples hold", oneQuestion(">=", 1), answerTable{"a": values(1, 2, 3)}, Good},
		{"one sample does not", oneQuestion(">=", 1), answerTable{"a": values(1, 0.99, 3)}, Bad},
		{"infinite", oneQuestion("<", 1), answerTable{"a": one(math.Inf(1))}, Bad},
		{"no data", oneQuestion("==", 1), answerTable{}, CannotTell},
		{"NaN", oneQuestion("==", 1), answerTable{"a": one(math.NaN())}, CannotTell},
		{"NaN is not unequal", oneQuestion("!=", 1), answerTable{"a": one(math.NaN())}, CannotTell},
		{"NaN beside a no", oneQuestion("==", 1), answerTable{"a": values(0, math.NaN(), 1)}, CannotTell},
		{"an error", oneQuestion("==", 1), answerTable{"a": nil}, CannotTell},
		{"both parts hold", both, answerTable{"a": one(0.5), "b": one(1)}, Good},
		{"the first does not", both, answerTable{"a": one(0.9), "b": one(1)}, Bad},
		{"the second does not", both, answerTable{"a": one(0.5), "b": one(0.9)}, Bad},
		{"a no beside no data", both, answerTable{"a": one(0.9)}, CannotTell},
		{"no data beside a no", both, answerTable{"b": one(0.9)}, CannotTell},
		{"a yes beside an error", both, answerTable{"a": one(0.5), "b": nil}, CannotTell},
		{"no part at all", plan.Query{}, answerTable{}, CannotTell},
		{"an operator that is none", oneQuestion("=~", 1), answerTable{"a": one(1)}, CannotTell},
		{"compared with NaN", oneQuestion("!=", math.NaN()), answerTable{"a": one(1)}, CannotTell},
	} {
		if got, numbers := ask(t.Context(), test.world, test.query); got != test.want {
			t.Errorf("%s: got %s, want %s: %s", test.name, got, test.want, numbers)
		}
	}
}

func TestEveryOperatorComparesAsItReads(t *testing.T) {
	for op, want := range map[string]string{
		"==": "bad good bad", "!=": "good bad good", ">": "bad bad good", "<": "good bad bad", ">=": "bad good good", "<=": "good good bad",
	} {
		var got []string
		for _, v := range []float64{1, 2, 3} {
			answer, _ := ask(t.Context(), answerTable{"a": one(v)}, oneQuestion(op, 2))
			got = append(got, string(answer))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: got %v, want %s", op, got, want)
		}
	}
}

func TestTheNumbersSayWhatWasCompared(t *testing.T) {
	query := plan.Query{Parts: []plan.Part{
		{Left: "min by (node) (up)", Op: "==", Right: 1}, {Left: "ratio", Op: "<", Right: 0.01}, {Left: "gone", Op: ">", Right: 0}, {Left: "slow", Op: ">", Right: 0},
	}}
	many := values(1, 1, 0, 1, 1, 1, 1, 1, 1, 1)
	_, got := ask(t.Context(), answerTable{"min by (node) (up)": many, "ratio": one(math.NaN()), "slow": nil}, query)
	want := `[{"query":"min by (node) (up)","want":"== 1","samples":10,"got":["{node=\"web3\"} 0","{node=\"web1\"} 1","{node=\"web2\"} 1",` +
		`"{node=\"web4\"} 1","{node=\"web5\"} 1","{node=\"web6\"} 1","{node=\"web7\"} 1","{node=\"web8\"} 1"],"answer":"bad"},` +
		`{"query":"ratio","want":"< 0.01","samples":1,"got":["NaN"],"answer":"cannot_tell","why":"a sample is NaN"},` +
		`{"query":"gone","want":"> 0","samples":0,"answer":"cannot_tell","why":"no data"},` +
		`{"query":"slow","want":"> 0","samples":0,"answer":"cannot_tell","why":"asking main: no answer within 2s"}]`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestTheFenceIsPrometheusTime(t *testing.T) {
	got, err := fenceNow(t.Context(), answerTable{"time()": one(1790000000.1234)})
	if err != nil || !got.Equal(time.UnixMilli(1790000000123)) {
		t.Errorf("got %v, %v", got, err)
	}
	for name, world := range map[string]answerTable{
		"error": {"time()": nil}, "nothing": {}, "NaN": {"time()": one(math.NaN())}, "zero": {"time()": one(0)},
		"infinite": {"time()": one(math.Inf(1))}, "two": {"time()": values(1e9, 1e9)},
	} {
		if got, err := fenceNow(t.Context(), world); err == nil || !got.IsZero() {
			t.Errorf("%s: got %v, want an error", name, got)
		}
	}
}

func TestOnlySamplesBeyondTheFenceProve(t *testing.T) {
	fence := time.UnixMilli(1_000_500)
	const (
		own     = `probe_success{probe="vip",service="web"}`
		left    = `min(` + own + `)`
		stamp   = `min(timestamp(` + own + `))`
		run     = `min(probe_last_run_timestamp_seconds{probe="vip",service="web"})`
		black   = `probe_success{job="blackbox"}`
		foreign = `up{job="web"}`
	)
	query := func(selectors ...string) plan.Query {
		return plan.Query{Parts: []plan.Part{{Left: left, Op: "==", Right: 1}}, Selectors: selectors}
	}
	with := func(health []Point, world answerTable) answerTable {
		world[left] = health
		return world
	}
	for _, test := range []struct {
		name  string
		query plan.Query
		world answerTable
		want  Answer
	}{
		{"sampled and run anew", query(own), with(one(1), answerTable{stamp: one(1001), run: one(1000.501)}), Good},
		{"a fresh no", query(own), with(one(0), answerTable{stamp: one(1001), run: one(1000.501)}), Bad},
		{"scraped anew, run before", query(own), with(one(1), answerTable{stamp: one(1001), run: one(1000.5)}), CannotTell},
		{"a stale no", query(own), with(one(0), answerTable{stamp: one(1001), run: one(1000)}), CannotTell},
		{"not scraped since", query(own), with(one(1), answerTable{stamp: one(1000.5), run: one(1000.6)}), CannotTell},
		{"own series without its run", query(own), with(one(1), answerTable{stamp: one(1001)}), CannotTell},
		{"the run cannot be asked", query(own), with(one(1), answerTable{stamp: one(1001), run: nil}), CannotTell},
		{"the age cannot be asked", query(own), with(one(1), answerTable{stamp: nil, run: one(1001)}), CannotTell},
		{"no age", query(own), with(one(1), answerTable{run: one(1001)}), CannotTell},
		{"NaN for an age", query(own), with(one(1), answerTable{stamp: one(math.NaN()), run: one(1001)}), CannotTell},
		{"series of others", query(foreign), with(one(1), answerTable{`min(timestamp(up{job="web"}))`: one(1001)}), Good},
		{"stale series of others", query(foreign), with(one(1), answerTable{`min(timestamp(up{job="web"}))`: one(1000)}), CannotTell},
		{"blackbox_exporter has no last run", query(black), with(one(1), answerTable{`min(timestamp(probe_success{job="blackbox"}))`: one(1001)}), Good},
		{"every selector counts", query(own, foreign), with(one(1), answerTable{stamp: one(1001), run: one(1001)}), CannotTell},
		{"nothing to be fresh", query(), with(one(1), answerTable{}), CannotTell},
		{"a selector that is none", query("rate("), with(one(1), answerTable{}), CannotTell},
	} {
		if got, numbers := askFresh(t.Context(), test.world, test.query, fence); got != test.want {
			t.Errorf("%s: got %s, want %s: %s", test.name, got, test.want, numbers)
		}
	}
}

// samples makes evaluations five seconds apart from the 10th second on: g is
// good, b bad, ? cannot tell, a dot is none.
func samples(from time.Time, marks string) []Sample {
	var made []Sample
	for i, mark := range marks {
		at := from.Add(10*time.Second + time.Duration(i)*5*time.Second)
		switch mark {
		case 'g':
			made = append(made, Sample{At: at, Answer: Good})
		case 'b':
			made = append(made, Sample{At: at, Answer: Bad})
		case '?':
			made = append(made, Sample{At: at, Answer: CannotTell})
		}
	}
	return made
}

func TestAProofIsAnUnbrokenStreak(t *testing.T) {
	from := time.UnixMilli(1_790_000_000_000)
	// For 20s, one each 5s: five evaluations. Counting begins at 10s, ends at 60s.
	rule := streak{From: from, Settle: 10 * time.Second, For: 20 * time.Second, Within: 50 * time.Second, Every: 5 * time.Second}
	brief := rule
	brief.For = time.Second
	for _, test := range []struct {
		name  string
		rule  streak
		marks string
		at    int // seconds after from
		want  Answer
		final bool
	}{
		{"all good", rule, "ggggg", 30, Good, true},
		{"one is missing yet", rule, "gggg", 25, CannotTell, false},
		{"bad in between", rule, "gggbgggg", 45, CannotTell, false},
		{"good after bad", rule, "gggbggggg", 50, Good, true},
		{"cannot tell breaks the streak", rule, "ggg?gggg", 45, CannotTell, false},
		{"a gap breaks the streak", rule, "ggg.gggg", 45, CannotTell, false},
		{"bad at last", rule, "gggggb", 35, CannotTell, false},
		{"nothing yet", rule, "", 11, CannotTell, false},
		{"at least three", brief, "gg", 15, CannotTell, false},
		{"three", brief, "ggg", 20, Good, true},
		{"good up to the end", rule, "......ggggg", 60, Good, true},
		{"good too late", rule, "......bggggg", 65, Bad, true},
		{"bad at the end", rule, "bbbbbbbbbbb", 60, Bad, true},
		{"mixed at the end", rule, "gggggggbg?g", 60, Bad, true},
		{"one answer among unknown", rule, "??????g????", 60, Bad, true},
		{"unknown for the last for", rule, "ggbgbb?????", 60, CannotTell, true},
		{"never asked", rule, "", 60, CannotTell, true},
		{"not asked in the end", rule, "gggb", 60, CannotTell, true},
	} {
		got, final := test.rule.Judge(from.Add(time.Duration(test.at)*time.Second), samples(from, test.marks))
		if got != test.want || final != test.final {
			t.Errorf("%s: got %s, final %t, want %s, %t", test.name, got, final, test.want, test.final)
		}
	}
}

func TestEvaluationsBeforeTheSettleDoNotCount(t *testing.T) {
	from := time.UnixMilli(1_790_000_000_000)
	streak := streak{From: from, Settle: 20 * time.Second, For: 20 * time.Second, Within: 50 * time.Second, Every: 5 * time.Second}
	if got, final := streak.Judge(from.Add(30*time.Second), samples(from, "ggggg")); got != CannotTell || final {
		t.Errorf("got %s, final %t, want the first two left out", got, final)
	}
	if got, final := streak.Judge(from.Add(40*time.Second), samples(from, "ggggggg")); got != Good || !final {
		t.Errorf("got %s, final %t, want good", got, final)
	}
	if got, want := streak.End(), from.Add(70*time.Second); !got.Equal(want) {
		t.Errorf("got the end %v, want %v", got, want)
	}
}

func TestTheNextEvaluationComesEveryInterval(t *testing.T) {
	from := time.UnixMilli(1_790_000_000_000)
	streak := streak{From: from, Settle: 12 * time.Second, For: 20 * time.Second, Within: 50 * time.Second, Every: 5 * time.Second}
	for marks, want := range map[string]int{"": 12, "g": 15, "gb?": 25} {
		if got := streak.Next(samples(from, marks)); !got.Equal(from.Add(time.Duration(want) * time.Second)) {
			t.Errorf("%q: got %s after the fence, want %ds", marks, got.Sub(from), want)
		}
	}
}

// FuzzAProofIsNeverGoodWithoutItsEvaluations: whatever came, good needs the
// newest evaluations good for the whole of for, and nothing unknown is final
// before the end.
func FuzzAProofIsNeverGoodWithoutItsEvaluations(f *testing.F) {
	f.Add("ggggg", uint8(30))
	f.Add("gg?bg.ggggggg", uint8(70))
	f.Fuzz(func(t *testing.T, marks string, at uint8) {
		from := time.UnixMilli(1_790_000_000_000)
		streak := streak{From: from, Settle: 10 * time.Second, For: 20 * time.Second, Within: 50 * time.Second, Every: 5 * time.Second}
		now := from.Add(time.Duration(at) * time.Second)
		marks = strings.Map(func(r rune) rune {
			if strings.ContainsRune("gb?", r) {
				return r
			}
			return '.'
		}, marks)
		marks = marks[:min(len(marks), 11)]
		got, final := streak.Judge(now, samples(from, marks))
		if got == Good && !strings.HasSuffix(strings.TrimRight(marks, "."), "ggggg") {
			t.Errorf("%q is good", marks)
		}
		if final != (got == Good || !now.Before(streak.End())) {
			t.Errorf("%q at %ds: got %s, final %t", marks, at, got, final)
		}
	})
}
