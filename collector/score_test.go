package collector

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/expfmt"

	"github.com/onefiveten/onefiveten/probe"
	"github.com/onefiveten/onefiveten/promapi"
	"github.com/onefiveten/onefiveten/sigma"
)

// scores are the lines of the score, without their labels but those of the score.
func scores(page string) map[string]string {
	all := map[string]string{}
	for line := range strings.Lines(lines(page, "ksigma_score")) {
		name, rest, _ := strings.Cut(line, "{")
		labels, value, _ := strings.Cut(rest, "} ")
		if _, feature, ok := strings.Cut(labels, `feature=`); ok {
			name += " of " + feature
		}
		all[name] = strings.TrimSpace(value)
	}
	return all
}

// The gauges say, minutes after the onset, what the score said at it.
func TestScore_OfASignalNamesTheFeatureThatWasFarthestOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, n := &lake{}, 0
		value := func() float64 { n++; return 100 + 5*math.Sin(float64(7*n)) }
		l.says(nil)
		answer := func(more float64) {
			l.does(func(ctx context.Context, q string) ([]promapi.Point, error) {
				return points(map[string]float64{"n1": value() + more}), nil
			})
		}
		answer(0)
		c := watched(t, strings.Replace(queue, "owner: team-shop", "owner: x, signals: {queue: {score: true}}", 1), l)
		pass(20 * time.Minute)
		answer(80)
		pass(2*time.Minute + 30*time.Second)
		v := c.table.Load().queries[0].state.shown.Load().series[0].verdict
		f := v.finding
		if f.Score < .5 || f.Feature == "" {
			t.Fatalf("got %+v, want an onset", f)
		}

		feature := fmt.Sprintf(` of "%s"`, f.Feature)
		number := func(v float64) string { return string(appendValue(nil, v)) }
		want := map[string]string{
			"ksigma_score": number(f.Score), "ksigma_score_rarity": number(f.Rarity),
			"ksigma_score_value" + feature: number(f.Value), "ksigma_score_mean" + feature: number(f.Mean),
			"ksigma_score_stddev" + feature: number(f.StdDev), "ksigma_score_distance" + feature: number(f.Distance),
		}
		if diff := cmp.Diff(want, scores(text(t, c))); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		// The onset leaves with the fault window.
		pass(3 * time.Minute)
		if got := scores(text(t, c))["ksigma_score"]; got != "0" {
			t.Errorf("after the fault window: got %s, want 0", got)
		}
		l.says(nil)
		pass(time.Minute)
		if got := scores(text(t, c)); len(got) != 0 {
			t.Errorf("of a series that is gone: got %v", got)
		}
	})
}

func TestScore_OfLatencyIsShownWhereItIsAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		n := 0
		f.set(func(context.Context, string) probe.Result { n++; return good(time.Duration(10+n%3) * time.Millisecond) })
		c := begun(t, strings.Replace(shop, "owner: team-shop", "owner: x, signals: {latency: {score: true}}", 1), f)
		pass(10 * time.Minute)
		page := text(t, c)
		if got := scores(page); len(got) != 6 {
			t.Errorf("got %v, want all six", got)
		}
		if got := lines(page, "ksigma_score_mean{"); !strings.Contains(got, `node="n1",zone="za",signal="latency",feature="`) {
			t.Errorf("got %s, want the labels of the target", got)
		}
		if got := lines(page, "ksigma_mean"); got != "" {
			t.Errorf("expose is minimal: got %s", got)
		}
		if got := lines(scrape(t, c, protobuf+";encoding=text").Body.String(), "ksigma_score"); got == "" {
			t.Error("protobuf has no score")
		}
	})
	synctest.Test(t, func(t *testing.T) {
		c := begun(t, "expose: full"+shop, &fake{})
		pass(5 * time.Minute)
		if got := scores(text(t, c)); len(got) != 0 {
			t.Errorf("nobody has asked for a score: got %v", got)
		}
	})
}

// A finding whose feature had no place on the page would take the score with it.
func TestScore_IsShownWhateverFeatureWasFarthestOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := begun(t, strings.Replace(shop, "owner: team-shop", "owner: x, signals: {latency: {score: true}}", 1), &fake{})
		s := c.table.Load().targets[0].state
		for _, feature := range []sigma.Feature{"short", "long", "season", "season_short", "season_long", "sample"} {
			p := *s.shown.Load()
			p.verdicts[ofLatency] = verdict{known: true, finding: sigma.Finding{Score: .9, Rarity: .001, Feature: feature, Value: 4, Mean: 2, StdDev: 1, Distance: 2}}
			s.shown.Store(&p)
			of := fmt.Sprintf(" of %q", feature)
			want := map[string]string{
				"ksigma_score": "0.9", "ksigma_score_rarity": "0.001",
				"ksigma_score_value" + of: "4", "ksigma_score_mean" + of: "2", "ksigma_score_stddev" + of: "1", "ksigma_score_distance" + of: "2",
			}
			if diff := cmp.Diff(want, scores(text(t, c))); diff != "" {
				t.Errorf("%s (-want +got):\n%s", feature, diff)
			}
		}
	})
}

func TestPeaks_TheGreatestOfTheWindowIsKept(t *testing.T) {
	const window = 5
	var p peaks
	given := []float64{0, 0, 3, 1, 2, 0, 0, 0, 0, 5, 4, 4, 0, 1, 0, 0, 0, 0, 0, 0, 0}
	at := time.Unix(0, 0)
	for i, score := range given {
		want := 0.
		for _, before := range given[max(0, i-window) : i+1] {
			want = max(want, before)
		}
		got := p.add(at.Add(time.Duration(i)), window, sigma.Finding{Score: score, Value: float64(i)})
		if got.Score != want || got.Score != given[int(got.Value)] {
			t.Errorf("at %d: got %+v, want the score %v", i, got, want)
		}
		if want == 0 && int(got.Value) != i {
			t.Errorf("at %d: got %+v, want the newest of equals", i, got)
		}
	}
}

func TestSeason_IsShownOnceThereWasSuchADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		text := "expose: full\nbaselines: {default: {season: daily, window: 4h}}" + shop
		c := begun(t, strings.Replace(text, "interval: 5s", "interval: 15s", 1), &fake{})
		pass(23 * time.Hour)
		if got := lines(readable(t, c), "ksigma_season"); got != "" {
			t.Errorf("on the first day: got\n%s", got)
		}
		pass(90 * time.Minute)
		page := readable(t, c)
		for _, name := range []string{"ksigma_season_mean{", "ksigma_season_stddev{", "ksigma_season_samples{"} {
			if got := lines(page, name); !strings.Contains(got, `signal="latency"`) {
				t.Errorf("on the second day: got %q for %s", got, name)
			}
		}
	})
}

// Targets and series of queries stand in one family each, in text and protobuf.
func TestPage_OfProbesAndQueriesIsOneInEveryForm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &lake{}
		l.says(map[string]float64{"n1": 5, "a\"b\\\n": 7})
		text := "expose: full" + strings.Replace(queue, "owner: team-shop", "owner: x, signals: {queue: {score: true}, latency: {score: true}}", 1) +
			"probes: [{name: p, service: shop, module: fake, interval: 10s, targets: [{url: h, labels: {node: n1}}]}]\n"
		c := watched(t, text, l)
		pass(10 * time.Minute)
		page := readable(t, c)
		for _, name := range []string{"ksigma_fault", "ksigma_value", "ksigma_threshold", "ksigma_score", "ksigma_score_mean"} {
			got := lines(page, name+"{")
			if strings.Count(page, "# TYPE "+name+" ") != 1 || !strings.Contains(got, `signal="latency"`) || strings.Count(got, `signal="queue"`) != 2 {
				t.Errorf("%s: got\n%s\nwant latency and two series of queue in one family", name, got)
			}
		}
		var b bytes.Buffer
		for _, f := range decode(t, scrape(t, c, protobuf)) {
			if _, err := expfmt.MetricFamilyToText(&b, f); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(sortedLines(page), sortedLines(b.String())); diff != "" {
			t.Errorf("protobuf differs from text (-text +protobuf):\n%s", diff)
		}
	})
}
