package rules

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/onefiveten/onefiveten/sigma"
)

// TestSamples_WaitForTheVerdict is the table of DETECTION 6.1: (m-1)·P in
// seconds, or -1 for "can never fire".
func TestSamples_WaitForTheVerdict(t *testing.T) {
	caps := []float64{.05, .1, .2, .25, .5, .8}
	for _, row := range []struct {
		p, n int
		want []int
	}{
		{1, 61, []int{3, 6, 12, 15, 30, 48}},
		{2, 31, []int{2, 6, 12, 14, 30, 48}},
		{5, 13, []int{0, 5, 10, 15, 30, 50}},
		{10, 7, []int{0, 0, 10, 10, 30, 50}},
		{15, 5, []int{0, 0, 15, 15, 30, -1}},
		{20, 4, []int{0, 0, 0, 20, 40, -1}},
		{30, 3, []int{0, 0, 0, 0, 30, -1}},
	} {
		for i, c := range caps {
			s := shop(timed{float64(row.p), 1, 1, 1, 0})
			s.Services[0].Detect, s.Services[0].Locate = 5*time.Minute, 5*time.Minute
			s.Services[0].Signals[0].Fault = sigma.Fault{Window: time.Minute, Floor: 0, Cap: c, MinAnomalies: 1, Clear: 3}
			b := Prove(s)[0]
			got := (b.Bad - 1) * row.p
			if b.Bad == 0 {
				got = -1
			}
			if got != row.want[i] || b.Samples != row.n {
				t.Errorf("P %d, cap %v: got %d s with n %d, want %d s with n %d", row.p, c, got, b.Samples, row.want[i], row.n)
			}
			if never := strings.Contains(b.Refusal, "can never fire"); never != (row.want[i] == -1) {
				t.Errorf("P %d, cap %v: refusal %q", row.p, c, b.Refusal)
			}
		}
	}
}

// TestProve_SolvesForTheCap is the table of DETECTION 6.3.
func TestProve_SolvesForTheCap(t *testing.T) {
	for _, row := range []struct {
		timed
		m     int
		cap   float64
		total float64
	}{
		{timed{5, 2, 5, 1, 0}, 7, .5, 49},
		{timed{5, 2, 10, 2, 5}, 6, .46, 60},
		{timed{5, 2, 15, 5, 5}, 3, .23, 58},
		{timed{5, 2, 15, 10, 5}, 2, .15, 58},
		{timed{10, 3, 10, 2, 5}, 2, .28, 51},
	} {
		b := Prove(shop(row.timed))[0]
		if b.Bad != row.m || b.Cap != row.cap || b.Total != dur(row.total) || b.Refusal != "" {
			t.Errorf("%v: got m %d, cap %v, T %s, refusal %q, want %d, %v, %vs", row.timed, b.Bad, b.Cap, b.Total, b.Refusal, row.m, row.cap, row.total)
		}
	}
	s := shop(timed{5, 2, 5, 1, 0})
	if m := s.chains(s.Services[0], s.Services[0].Signals[0])[0].within(); m != 9 {
		t.Errorf("got m <= %d, want 9: of 60s 41s are left for samples every 5s after the first", m)
	}
}

func TestProve_CapIsTheLargestThatMeetsTheTarget(t *testing.T) {
	for _, row := range []timed{{5, 2, 10, 2, 5}, {5, 2, 15, 5, 5}, {10, 3, 10, 2, 5}, {3, 1, 7, 2, 0}, {1, .5, 14, 9, 5}} {
		s := shop(row)
		b := Prove(s)[0]
		s.Services[0].Signals[0].Fault.Cap = b.Cap + .01
		if next := Prove(s)[0]; b.Cap < .5 && next.Total <= time.Minute {
			t.Errorf("%v: cap %v was solved, but %v takes %s", row, b.Cap, b.Cap+.01, next.Total)
		}
		if b.Total > time.Minute || b.Cap > .5 {
			t.Errorf("%v: cap %v takes %s", row, b.Cap, b.Total)
		}
	}
}

func TestProve_RefusesAndNamesTheKnob(t *testing.T) {
	for name, c := range map[string]struct {
		spec Spec
		want string
	}{
		"intervals of Prometheus": {
			shop(timed{10, 3, 15, 5, 5}),
			`probe "shop-nodes" takes 64s from fault to webhook at best, over the target of 60s: shorten prometheus.scrape.interval and prometheus.evaluation.interval from 15s to 13s or less`,
		},
		"interval of the probe": {
			shop(timed{30, 5, 15, 5, 5}),
			`probe "shop-nodes" takes 106s from fault to webhook at best, over the target of 60s: shorten the interval of probe "shop-nodes" from 30s to 7s or less`,
		},
		"slow probe": {
			shop(timed{21, 1, 1, .5, 0}),
			`probe "shop-nodes" gives a sample every 21s, and two bad ones take too much of the target of 60s: shorten the interval of probe "shop-nodes" from 21s to 20s or less; or write min_anomalies: 1, and one lost packet is a fault`,
		},
		"cap by hand": {
			with(shop(timed{5, 2, 10, 2, 5}), func(f *sigma.Fault) { f.Cap = .5 }),
			`cap 0.5 lets probe "shop-nodes" take 65s from fault to webhook, over the target of 60s: it may be 0.46 at most; leave it out to have it solved`,
		},
		"never": {
			with(shop(timed{15, 2, 1, .5, 0}), func(f *sigma.Fault) { f.Cap = .8 }),
			`probe "shop-nodes" can never fire: a fault_window of 60s holds 4 whole intervals of 15s, and cap 0.8 with min_anomalies 2 needs more bad samples in a row: it may be 0.59 at most; leave it out to have it solved`,
		},
		"group_wait":  {shop(timed{1, .5, 1, .5, 59}), "shorten alertmanager.group_wait from 59s to 52s or less"},
		"years":       {shop(timed{1, .5, 1, .5, 3e9}), "shorten alertmanager.group_wait from 3000000000s to 52s or less"}, // without a try for each second of them
		"peers":       {peers(shop(timed{1, .5, 1, .5, 0}), 5), "shorten alertmanager.peer_timeout from 15s to 13s or less"},
		"two at once": {shop(timed{20, 20, 60, 30, 30}), "shorten prometheus.scrape.interval and prometheus.evaluation.interval, now 60s; that alone is not enough; or promise less: targets.detect of 241s or more"},
		"slow probe, cap by hand": {
			with(shop(timed{21, 1, 1, .5, 0}), func(f *sigma.Fault) { f.Cap = .4 }),
			`probe "shop-nodes" gives a sample every 21s, and two bad ones take too much of the target of 60s: shorten the interval of probe "shop-nodes" from 21s to 20s or less; or write min_anomalies: 1, and one lost packet is a fault`,
		},
		"two things, one of them a cap by hand": {
			with(shop(timed{5, 2, 10, 2, 30}), func(f *sigma.Fault) { f.Cap = .5 }),
			`probe "shop-nodes" takes 65s from fault to webhook at best, over the target of 60s: leave the cap out, and shorten alertmanager.group_wait from 30s to 25s or less`,
		},
		"floor": {
			with(floored(timed{10, 2, 15, 10, 0}), func(f *sigma.Fault) { f.Floor = .8 }),
			`probe "shop-nodes" takes 203s from fault to webhook at best, over the target of 180s: lower fault.floor from 0.8 to 0.68 or less`,
		},
		"min_anomalies": {
			with(floored(timed{20, 2, 15, 10, 0}), func(f *sigma.Fault) { f.Floor, f.MinAnomalies = .1, 8 }),
			`probe "shop-nodes" takes 203s from fault to webhook at best, over the target of 180s: shorten the interval of probe "shop-nodes" from 20s to 17s or less`,
		},
	} {
		if got := Prove(c.spec)[0].Refusal; got != c.want && (strings.HasPrefix(c.want, "probe") || !strings.HasSuffix(got, c.want)) {
			t.Errorf("%s:\n got %s\nwant %s", name, got, c.want)
		}
	}
}

func with(s Spec, change func(*sigma.Fault)) Spec {
	change(&s.Services[0].Signals[0].Fault)
	return s
}

// floored is a service whose only signal has the window and the target of latency.
func floored(t timed) Spec {
	s := shop(t)
	s.Services[0].Detect = 3 * time.Minute
	return with(s, func(f *sigma.Fault) { f.Window, f.MinAnomalies = 3*time.Minute, 3 })
}

func peers(s Spec, n int) Spec {
	s.Alertmanager.Peers = n
	return s
}

func TestProve_OneBadSampleIsEnoughWhereItIsWritten(t *testing.T) {
	s := with(shop(timed{30, 5, 5, 1, 0}), func(f *sigma.Fault) { f.MinAnomalies = 1 })
	if b := Prove(s)[0]; b.Refusal != "" || b.Bad != 1 || b.Total != dur(47) {
		t.Errorf("got m %d, T %s, refusal %q, want 1, 47s and none", b.Bad, b.Total, b.Refusal)
	}
}

// TestProve_Demo holds the figures of DETECTION 12.
func TestProve_Demo(t *testing.T) {
	b := Prove(demo())[0]
	if b.Bad != 7 || b.Total != dur(10.2) {
		t.Errorf("got m %d and %s, want 7 and 10.2s", b.Bad, b.Total)
	}
	s := with(demo(), func(f *sigma.Fault) { f.Cap = .2 })
	if b := Prove(s)[0]; b.Total != dur(16.2) {
		t.Errorf("cap .2: got %s, want 16.2s", b.Total)
	}
	s = demo()
	s.Prometheus.Scrape.Interval, s.Prometheus.Evaluation.Interval = sec(2), sec(2)
	if b := Prove(s)[0]; b.Total != dur(12.2) {
		t.Errorf("S = E = 2: got %s, want 12.2s", b.Total)
	}
}

func TestProve_EveryTermIsInTheSum(t *testing.T) {
	s := demo()
	s.Prometheus.Evaluation.QueryOffset = sec(.3)
	s.Alertmanager.GroupWait, s.Alertmanager.Peers, s.Alertmanager.PeerTimeout = sec(.4), 3, sec(.6)
	s.Alertmanager.Webhook.Delay = sec(.7)
	b := Prove(s)[0]
	var got strings.Builder
	for _, term := range b.Terms {
		fmt.Fprintf(&got, "%s %s ", term.Name, span(term.Length))
	}
	if want := "P 1s d_p 0.5s (m-1)·P 6s S 1s d_s 0.5s E 1s d_e 0.2s Q 0.3s G 0.4s p·PT 1.2s t_wh 0.7s "; got.String() != want {
		t.Errorf("\n got %s\nwant %s", got.String(), want)
	}
	if b.Total != dur(12.8) {
		t.Errorf("got %s, want 12.8s", b.Total)
	}
}

func TestProve_SlowestProbeDecides(t *testing.T) {
	s := shop(timed{5, 2, 10, 2, 5})
	s.Services[0].Probes = append(s.Services[0].Probes, Probe{Name: "entry", Role: roleEntry, Interval: dur(10), Timeout: dur(3)})
	b := Prove(s)[0]
	// The entry alone would be solved to .28, the nodes alone to .46.
	if b.Probe != "entry" || b.Cap != .28 || b.Total != dur(51) {
		t.Errorf("got %s with cap %v and %s, want entry, .28, 51s", b.Probe, b.Cap, b.Total)
	}
	s.Services[0].Probes[1].Interval = dur(30)
	if b := Prove(s)[0]; b.Probe != "entry" || b.Refusal == "" {
		t.Errorf("got %s, refusal %q, want the refused entry", b.Probe, b.Refusal)
	}
}

func TestProve_LatencyIsATicketWithinItsOwnTarget(t *testing.T) {
	s := shop(timed{5, 2, 5, 1, 0})
	s.Services[0].Signals = append(s.Services[0].Signals, slow())
	if b := Prove(s)[1]; b.Cap != .6 || b.Bad != 23 || b.Total != dur(129) || b.Target != 3*time.Minute {
		t.Errorf("got cap %v, m %d, T %s, want .6, 23, 129s", b.Cap, b.Bad, b.Total)
	}
	s.Services[0].Probes[0].Interval = dur(10)
	s.Services[0].Signals[1].Detect = 100 * time.Second
	if b := Prove(s)[1]; b.Refusal == "" {
		t.Errorf("cap %v at T %s was not refused, but the floor of .55 cannot be met", b.Cap, b.Total)
	}
}

func TestLoss_IsWhatIsFoundWithinTheTarget(t *testing.T) {
	for _, c := range []struct {
		m    int
		want float64
	}{{2, .92}, {4, .51}} {
		if got := atLeast(c.m, 12, .3); math.Abs(got-c.want) > .006 {
			t.Errorf("m %d finds 30 %% loss with %.3f, want %v", c.m, got, c.want)
		}
	}
	// All of m samples must fail: .95 to the power of 1/m, rounded up.
	if got := loss(2, 2); got != .98 {
		t.Errorf("2 of 2: got %v, want .98", got)
	}
	if got := loss(1, 2); !math.IsInf(got, 1) {
		t.Errorf("2 of 1: got %v, want +Inf", got)
	}
	if got := loss(7, 7); got != 1 {
		t.Errorf("7 of 7: got %v, want 1", got)
	}
	for range 200 {
		k, m := 1+rand.IntN(40), 1+rand.IntN(40)
		if q := loss(k, m); q < 1 && (atLeast(m, k, q) < sure || atLeast(m, k, q-.01) >= sure) {
			t.Errorf("m %d of %d: %v is not the smallest", m, k, q)
		}
	}
}

func TestTable_ShowsEveryTermAndEveryRefusal(t *testing.T) {
	s := shop(timed{5, 2, 5, 1, 0})
	s.Services[0].Signals = append(s.Services[0].Signals, slow())
	other := shop(timed{30, 5, 0, 0, 0}).Services[0]
	other.Name = "far\taway"
	never := other
	never.Name, never.Signals = "never", with(shop(timed{5, 2, 5, 1, 0}), func(f *sigma.Fault) { f.Window = dur(30) }).Services[0].Signals
	s.Services = append(s.Services, other, never)
	want := `SERVICE      SIGNAL        MODE    PROBE       TARGET  BOUND  N   M   CAP   LOSS FOUND  TERMS
shop         availability  page    shop-nodes  60s     49s    13  7   0.5   91 %        P 5s + d_p 2s + (m-1)·P 30s + S 5s + d_s 1s + E 5s + d_e 1s
shop         latency       ticket  shop-nodes  180s    129s   37  23  0.6   81 %        P 5s + d_p 2s + (m-1)·P 110s + S 5s + d_s 1s + E 5s + d_e 1s
"far\taway"  availability  page    shop-nodes  60s     77s    3   2   0.05  -           P 30s + d_p 5s + (m-1)·P 30s + S 5s + d_s 1s + E 5s + d_e 1s
never        availability  page    shop-nodes  60s     never  2   -   0.05  -           
refused: service "far\taway", signal availability: probe "shop-nodes" takes 77s from fault to webhook at best, over the target of 60s: shorten the interval of probe "shop-nodes" from 30s to 20s or less
refused: service "never", signal availability: probe "shop-nodes" can never fire: a fault_window of 30s holds 1 whole intervals of 30s, and floor 0.05 with min_anomalies 2 needs more bad samples in a row: shorten the interval of probe "shop-nodes" from 30s to 15s or less

`
	got := Table(Prove(s))
	if got, _, _ := strings.Cut(got, "BOUND    "); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	for _, note := range []string{"one failed send (up to 10s)", "one lost send (1m and E)", "2P + d_p", "comes again"} {
		if !strings.Contains(got, note) {
			t.Errorf("the table does not mention %q", note)
		}
	}
}
