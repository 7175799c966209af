package collector

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-kit/log"

	"github.com/onefiveten/onefiveten/probe"
)

// A value of the past stands for as many samples as there were live in its step:
// a window that was read holds what it would hold had it been seen.
func TestFill_ThePastWeighsAsMuchAsItDidLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		f.set(func(context.Context, string) probe.Result { return good(100 * time.Millisecond) })
		c, _ := remembering(t, judgedShop, f, &past{series: n1(), value: calm})
		pass(6 * time.Second) // the first run
		// 40 minutes of a sample every 5s, and what the open bucket of 40s adds to them.
		const least, most = 480, 480 + 8
		if got := gaugeOf(t, text(t, c), "ksigma_baseline_samples{"); got < least || got > most {
			t.Errorf("got %v samples of a window that was scraped every 15s, want %d to %d", got, least, most)
		}
	})
}

// A k that is the bound itself is out of reach, too: what is judged lies strictly
// beyond. Of 16 samples none lies more than 15/4 deviations off.
func TestBaselines_AKThatIsTheBoundItselfIsAMistake(t *testing.T) {
	for k, want := range map[string]string{
		"3.74": "",
		"3.75": "probe.yml:1: baselines.default.k: 3.75 can never be reached by the 16 samples that a window of 16m holds every 1m: at most 3.750; lower k, or lengthen the window",
	} {
		if got := mistakes(fmt.Sprintf("baselines: {default: {window: 16m, k: %s, min_samples: 5, hold: 330s}}%s", k, quick)); got != want {
			t.Errorf("k %s: got\n%s\nwant\n%s", k, got, want)
		}
	}
}

// A score takes three kilobytes of each series: none is made where none is shown.
func TestScore_IsMadeWhereItIsAskedForAlone(t *testing.T) {
	for more, want := range map[string]bool{"": false, ", signals: {latency: {score: true}}": true, ", signals: {latency: {score: false}}": false} {
		c := New("a", log.NewNopLogger())
		if err := c.Apply(parse(t, strings.Replace(shop, "owner: team-shop", "owner: x"+more, 1)), (&fake{}).modules(), proved, nil); err != nil {
			t.Fatal(err)
		}
		of := c.table.Load().targets[0].state.signals
		if got := of[ofLatency].score != nil; got != want || of[ofAvailability].score != nil {
			t.Errorf("with %q: got a score of latency %v, want %v, and of availability %v, want none", more, got, want, of[ofAvailability].score != nil)
		}
	}
}
