package ruletest

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/onefiveten/onefiveten/sigma"
)

// queued is a service with a signal of a query beside its probes: P_q 15, d_q 2,
// S_src 10, d_src 1, R 30; m is 7 of 13 at the cap of .5.
func queued(mode string) Spec {
	s := pair()
	s.Disagree, s.Unanswered = dur(50), dur(35)
	s.Services[0].Signals = append(s.Services[0].Signals, Signal{"queue", mode})
	s.Proofs = append(s.Proofs, Proof{
		Service: "shop", Signal: "queue", Interval: dur(15), Timeout: dur(2), Query: &Query{Source: dur(10), SourceTimeout: dur(1), Reach: dur(30)},
		Fault: sigma.Fault{Window: 3 * time.Minute, Floor: .5, Cap: .5, MinAnomalies: 3, K: 3, Clear: 3}, Bad: 7,
		Bound: dur(10 + 1 + 30 + 15 + 2 + 6*15 + 5 + 1 + 5 + 1),
	})
	return s
}

// told is the story of what is tested of the query alone.
func told(t *testing.T, s Spec) string {
	var got strings.Builder
	for _, test := range read(t, s).Tests {
		if strings.Contains(test.Name, "queue") {
			got.WriteString(story(test))
		}
	}
	return got.String()
}

func TestCases_SayWhatMustFireOfAQueryWhen(t *testing.T) {
	if diff := cmp.Diff(wantTicket, told(t, queued(ticket))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Sources are scraped at 5.011 s and then every 10 s, queries run at 5 s and then
// every 15 s: a fault at 60 s is scraped at 65.011 and read from 96.011 on, by the
// query of 110 s. The seventh one ends at 202 s, the scrape of 203.340 shows it.
const wantTicket = `worst phase of queue: the fault begins at 6.004s, fires at 165s, bound 160s
  6s4ms firing: 
  2m44s firing: 
  2m45s firing: SignalFault shop 1
  2m46s4ms firing: SignalFault shop 1
an exporter and heal-receiver are gone: both are told, nothing is a fault (by queue)
  1m19s firing: 
  1m25s firing: HealReceiverDown 1, ProbeExporterDown 1, SignalStale shop 1
  1m25s count by (reason) (ALERTS{alertname="SignalStale",alertstate="firing"}): reason=not_scraped 1
  1m25s count by (observer) (ALERTS{alertname="ProbeExporterDown",alertstate="firing"}): observer=a 1
  11m firing: HealReceiverDown 1, ProbeExporterDown 1, SignalStale shop 1
  11m5s firing: HealReceiverDown 1, ProbeExporterDown 1
one of two observers sees all bad: they disagree, and neither is suspect (by queue)
  4m14s firing: 
  4m15s firing: ObserverDisagrees shop 1
  4m15s count by (dimension, member) (onefiveten:member_fault:ratio): dimension=entry member=queue 1
a query is not answered: stale, not healthy, not a fault (by queue)
  1m24s firing: 
  1m25s firing: SignalStale shop 2
  10m firing: SignalStale shop 2
  1m25s count by (reason) (ALERTS{alertname="SignalStale",alertstate="firing"}): reason=not_run 2
  1m24s count by (signal) (onefiveten:vote:bool): signal=availability 6, signal=queue 6
  1m25s count by (signal) (onefiveten:vote:bool): signal=availability 6
a query is never answered: told when the slowest one would be stale (by queue)
  34s firing: 
  35s firing: SignalStale shop 2
  35s count by (reason) (ALERTS{alertname="SignalStale",alertstate="firing"}): reason=never_run 2
  35s count by (signal) (onefiveten:vote:bool): signal=availability 6
a query is removed: nothing is left of it, and nothing is told (by queue)
  1m50s firing: 
  1m50s count by (signal) (onefiveten:vote:bool): signal=availability 6
queue is a ticket and never more (by queue)
  3m24s firing: 
  3m25s firing: SignalFault shop 1
  3m25s SignalFault[{map[owner:team-shop service:shop severity:ticket signal:queue] map[bad:node n2 summary:shop: queue is beyond its threshold; members bad: 1]}]
`

func TestCases_ShowAQueryThatPagesTheWholeWay(t *testing.T) {
	s := queued("page")
	got := told(t, s)
	for _, want := range []string{
		"worst phase of queue: ", "healthy: ", "one node is down, ", "all nodes are down: ", "the only node is down: ", "an isolated node ",
		"a query is not answered: ", "a query is never answered: ", "a query is removed: ", "an exporter and heal-receiver are gone: ", "one of two observers sees all bad: ",
	} {
		if !strings.Contains("\n"+got, "\n"+want) {
			t.Errorf("no case %q", want)
		}
	}
	// promtool knows no d_e, no group_wait and no delivery.
	if !strings.HasPrefix(got, "worst phase of queue: the fault begins at 6.004s, fires at 165s, bound 160s\n") {
		t.Errorf("the worst phase is not 1 s and 4 ms below the bound:\n%s", got)
	}
	// Where the clocks ring before there is an alert, those that wait for them are left out.
	s.Services[0].Locate = time.Minute
	if got := told(t, s); strings.Contains(got, "one node is down") || !strings.Contains(got, "worst phase") {
		t.Errorf("with a locate target below the bound:\n%s", got)
	}
	// A query that is asked once in hours is not waited for.
	s.Unanswered = longest*s.Every + s.Every
	if got := told(t, s); strings.Contains(got, "answered") {
		t.Errorf("with a query that is asked rarely:\n%s", got)
	}
}

// A query sees the newest scrape that was over R before, and a probe what is there.
func TestToldBy_IsTheNewestScrapeThatIsOverAndRead(t *testing.T) {
	q := queued(ticket)
	tm := q.timing(q.Proofs[1])
	tm.sourceAt = dur(4)
	for at, want := range map[float64]float64{100: 64, 105: 74, 104.999: 64, 35: 4, 34.9: -6, 0: -36} {
		if got := tm.toldBy(dur(at)); got != dur(want) {
			t.Errorf("at %vs: got %s, want %vs", at, got, want)
		}
	}
	if probe := q.timing(q.Proofs[0]); probe.toldBy(dur(100)) != dur(100) {
		t.Errorf("a probe at 100s is told of %s", probe.toldBy(dur(100)))
	}
}

// The baseline of a healthy query is warm at 0, so that its verdicts are there, and
// a fault of any length that a case has stays one.
func TestFollow_AQueryHasABaselineThatAFaultDoesNotWear(t *testing.T) {
	s := queued(ticket)
	tm := s.timing(s.Proofs[1])
	end := 40 * time.Minute
	healthy, err := tm.follow(s.Proofs[1].Fault, fate{}, end)
	if err != nil {
		t.Fatal(err)
	}
	bad, err := tm.follow(s.Proofs[1].Fault, fate{bad: from(time.Minute)}, end)
	if err != nil {
		t.Fatal(err)
	}
	turned := tm.first(bad.fault, 1000, 0)
	for i := range healthy.fault {
		at := time.Duration(i) * tm.step
		if healthy.fault[i] != 0 || bad.fault[i] != 0 && at < turned || bad.fault[i] != 1000 && at >= turned {
			t.Fatalf("at %s: healthy %d, bad since a minute %d", at, healthy.fault[i], bad.fault[i])
		}
	}
	// The source shows it at 65.011 or 66.011, a query 30 s later, and then 7 of them.
	if turned < dur(60+30+6*15) || turned > dur(60)+s.Proofs[1].Bound {
		t.Errorf("turned at %s", turned)
	}
}
