package ruletest

import (
	"testing"
	"time"
)

func TestCeil_IsTheNextMultiple(t *testing.T) {
	for _, c := range []struct{ at, unit, want time.Duration }{
		{0, 5, 0}, {1, 5, 5}, {5, 5, 5}, {-1, 5, 0}, {-5, 5, -5}, {-6, 5, -5},
	} {
		if got := ceil(c.at, c.unit); got != c.want {
			t.Errorf("%d to %d: got %d, want %d", c.at, c.unit, got, c.want)
		}
	}
	if got := divisor(7500*time.Millisecond, time.Second); got != 500*time.Millisecond {
		t.Errorf("of 7.5s and 1s: got %s, want 500ms", got)
	}
}

func TestPhase_IsNeverNegative(t *testing.T) {
	for _, c := range []struct{ at, unit, want time.Duration }{
		{0, 5, 0}, {7, 5, 2}, {5, 5, 0}, {-1, 5, 4}, {-5, 5, 0}, {-7, 5, 3},
	} {
		if got := phase(c.at, c.unit); got != c.want {
			t.Errorf("%d in %d: got %d, want %d", c.at, c.unit, got, c.want)
		}
	}
}

func TestDivisor_IsTheGreatestCommonOne(t *testing.T) {
	for _, c := range []struct{ a, b, want float64 }{{5, 1, 1}, {15, 10, 5}, {.5, 1, .5}, {7.5, 1, .5}, {1, .3, .1}, {0, 3, 3}} {
		if got := divisor(dur(c.a), dur(c.b)); got != dur(c.want) {
			t.Errorf("of %vs and %vs: got %s, want %vs", c.a, c.b, got, c.want)
		}
	}
}

func TestDuring_HoldsFromTheFirstMomentToBeforeTheLast(t *testing.T) {
	for name, c := range map[string]struct {
		during
		want string // at -1, 0, 1, 2, 3
	}{
		"never":   {nil, "-----"},
		"from":    {from(1), "--+++"},
		"between": {between(0, 2), "-++--"},
		"empty":   {between(2, 2), "-----"},
	} {
		got := ""
		for at := time.Duration(-1); at <= 3; at++ {
			if c.at(at) {
				got += "+"
			} else {
				got += "-"
			}
		}
		if got != c.want {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}
}

// Nothing may coincide: at one instant rounding would decide which came first.
func TestTiming_ProbesScrapesAndRulesDoNotCoincide(t *testing.T) {
	for _, s := range []Spec{shop(5, 2, 5, 1, .25), shop(1, .5, 1, .5, .25), shop(15, 2, 15, 10, .25), shop(7, 3, 11, 2, .25), shop(2, 1, 7.5, 1, .25)} {
		c := s.timing(s.Proofs[0])
		for at := c.scrapeAt; at < time.Hour; at += c.scrape {
			if phase(at-c.probeAt, c.probe) == 0 || phase(at-c.probeAt-c.probeTakes, c.probe) == 0 {
				t.Fatalf("P %s, S %s: a scrape at %s meets a probe", c.probe, c.scrape, at)
			}
			if phase(at+c.scrapeTakes, c.every) == 0 {
				t.Fatalf("S %s, E %s: a scrape at %s is visible as rules run", c.scrape, c.every, at)
			}
		}
	}
}

func TestTiming_FirstIsTheFirstMomentFromWhichAValueHolds(t *testing.T) {
	s := shop(5, 2, 5, 1, .25)
	c := s.timing(s.Proofs[0])
	values := []int64{0, 1000, 1000, 0, missing, 1000}
	for _, x := range []struct {
		v    int64
		from float64
		want time.Duration
	}{{1000, 0, dur(1)}, {1000, 1.5, dur(2)}, {1000, 3, dur(5)}, {0, 1, dur(3)}, {missing, 0, dur(4)}, {0, 4, -1}, {0, 60, -1}} {
		if got := c.first(values, x.v, dur(x.from)); got != x.want {
			t.Errorf("%d from %vs: got %s, want %s", x.v, x.from, got, x.want)
		}
	}
}

// example is P = S = E = 5, d_p = 2, d_s = 1 with a probe and a scrape at the
// phases of the worst case of DETECTION 7: the fault begins at 600.
func example(t *testing.T, f fate) track {
	t.Helper()
	s := shop(5, 2, 5, 1, .25)
	c := s.timing(s.Proofs[0])
	c.probeAt, c.scrapeAt = 0, dur(1)
	fault := s.Proofs[0].Fault
	fault.Floor = .25
	tr, err := c.follow(fault, f, dur(700))
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func TestFollow_WorstPhaseOfTheSpecification(t *testing.T) {
	tr := example(t, fate{bad: from(dur(600.001))})
	// m = 4: the probes of 605 to 620 fail; the last ends at 622. The scrape of
	// 621 has passed, that of 626 is visible at 627; rules at 630 see it.
	if got := notation(tr.fault); got != "0x626 1x73" {
		t.Errorf("fault: got %q", got)
	}
	// The episode is known after the first failure, which ends at 607.
	if got := notation(tr.start); got != "0x611 605x88" {
		t.Errorf("start: got %q", got)
	}
	// Good probes take no time, so the age at a scrape is 1s; bad ones take 2s,
	// and a scrape finds the end of the one before.
	if got := notation(tr.last[600:620]); got != "599+1x6 601+1x4 608+1x7" {
		t.Errorf("last run: got %q", got)
	}
}

func TestFollow_HangingKeepsTheGaugeAndAges(t *testing.T) {
	tr := example(t, fate{hangs: from(dur(600.001))})
	if got := notation(tr.fault); got != "0x700" {
		t.Errorf("fault: got %q", got)
	}
	// The last run ended at 600; an age is that at the scrape, 6 s before 606 at
	// the latest.
	for at, want := range map[int]int64{601: 1000, 606: 1000, 607: 6000, 612: 11_000, 617: 16_000, 650: 46_000} {
		if age := int64(at)*1000 - tr.last[at]; age != want {
			t.Errorf("age at %d is %d ms, want %d", at, age, want)
		}
	}
}

func TestFollow_AwayAndRemovedAreMissing(t *testing.T) {
	for name, f := range map[string]fate{
		"away":    {away: between(dur(600), dur(620))},
		"removed": {removed: between(dur(600), dur(620))},
	} {
		if got, want := notation(example(t, f).fault), "0x601 stale _x19 0x78"; got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

func TestFollow_RestartForgetsTheFault(t *testing.T) {
	tr := example(t, fate{bad: from(dur(500.001)), restart: dur(600.5), away: between(dur(600.5), dur(605.5))})
	// Lost at the scrape of 601. The first bad probe after it ends at 612, which
	// the scrape of 616 shows, and the fourth at 627.
	want := "0x526 1x74 stale _x14 0x14 1x68"
	got := notation(tr.fault)
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if at := int(tr.start[650] / 1000); at != 610 {
		t.Errorf("the new episode began at %d, want 610", at)
	}
}

func TestFollow_RecoversAfterClearGoodSamples(t *testing.T) {
	tr := example(t, fate{bad: between(dur(600.001), dur(641))})
	// The probes of 645, 650 and 655 are good; the scrape of 656 shows it at 657.
	if got := notation(tr.fault); got != "0x626 1x29 0x43" {
		t.Errorf("got %q", got)
	}
}

func TestFollow_RefusesWhatSigmaRefuses(t *testing.T) {
	s := shop(5, 2, 5, 1, .5)
	fault := s.Proofs[0].Fault
	fault.Clear = 0
	if _, err := s.timing(s.Proofs[0]).follow(fault, fate{}, time.Minute); err == nil {
		t.Error("a clear of 0 was taken")
	}
}

// Probes that overlap: each takes longer than the interval, and the state that
// is seen is still that of the newest that has ended.
func TestFollow_ProbesThatOverlapKeepTheirOrder(t *testing.T) {
	s := shop(2, 5, 5, 1, .2)
	c := s.timing(s.Proofs[0])
	c.probeAt, c.scrapeAt = 0, dur(1.5)
	tr, err := c.follow(s.Proofs[0].Fault, fate{bad: between(dur(60), dur(80))}, dur(120))
	if err != nil {
		t.Fatal(err)
	}
	// Bad from the probe of 60: two are a fault at the floor, the second ends at
	// 67 and the scrape of 71.5 is visible at 72.5. The last bad one ends at 83;
	// the third good one after it began at 84.
	if got := notation(tr.fault); got != "0x72 1x14 0x32" {
		t.Errorf("fault: got %q", got)
	}
	if got := tr.start[75]; got != 60_000 {
		t.Errorf("start: got %d, want that of the first bad probe", got)
	}
}

// What happens before 0 fills the windows: a fault at once is one of a service
// that has been healthy, not of one that has just begun.
func TestFollow_BeginsWithFullWindows(t *testing.T) {
	s := shop(5, 2, 5, 1, .25)
	c := s.timing(s.Proofs[0])
	results, err := c.probes(s.Proofs[0].Fault, fate{}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if n := s.Proofs[0].Fault.Slots(c.probe) + 1; len(results) < n {
		t.Errorf("got %d probes before 0, want %d at least", len(results), n)
	}
	tr, err := c.follow(s.Proofs[0].Fault, fate{}, 0)
	if err != nil || len(tr.fault) != 1 || tr.fault[0] != 0 || tr.last[0] >= 0 {
		t.Errorf("at 0: got %+v, %v, want a verdict of an earlier run", tr, err)
	}
}
