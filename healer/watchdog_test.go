package healer

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/onefiveten/onefiveten/healer/plan"
)

// heard are the words about the Watchdog that people got, in order, with the
// minute since a moment at which each was said.
func (s *shop) heard(since time.Time) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []string
	for _, m := range s.sent {
		if strings.HasPrefix(m.Dedup, "watchdog/") {
			list = append(list, fmt.Sprintf("%s %s %s", m.CreatedAt.Sub(since).Round(time.Minute), m.Kind, strings.Split(m.Dedup, "/")[2]))
		}
	}
	return strings.Join(list, ", ")
}

// bark sends the Watchdog every minute for a while.
func (s *shop) bark(times int) {
	s.t.Helper()
	for range times {
		s.alert("Watchdog", "service", "")
		s.wait(time.Minute)
	}
}

const (
	watching   = "escalate: { to: [duty] }\nwatchdog: { enabled: false }\n"
	impatience = "escalate: { to: [duty], remind: 10m }\nwatchdog: { within: 3m }\n"
)

func TestASilentWatchdogIsToldOnceAndAgainWhenItIsBack(t *testing.T) {
	inShop(t, shopWith(t, watching, impatience), func(s *shop) {
		began := time.Now()
		s.bark(10)
		if got := s.heard(began); got != "" {
			t.Fatalf("while it comes every minute people hear %s", got)
		}
		s.wait(25 * time.Minute) // the last one came at 9m
		s.bark(3)
		want := "12m0s tell watchdog_silent, 22m0s reminder watchdog_silent, 32m0s reminder watchdog_silent, 35m0s tell watchdog_back"
		if got := s.heard(began); got != want {
			t.Errorf("people heard\n%s, want\n%s", got, want)
		}
		events := ""
		for _, e := range s.store.Log {
			if strings.HasPrefix(e.Event, "watchdog_") {
				events += " " + e.Event
			}
		}
		if events != " watchdog_silent watchdog_back" {
			t.Errorf("the audit trail has%s", events)
		}
	})
}

// The grace of a start: nothing came yet, and it may have come before.
func TestAWatchdogThatNeverCameIsToldAfterTheGraceOfAStart(t *testing.T) {
	inShop(t, shopWith(t, watching, impatience), func(s *shop) {
		began := time.Now()
		s.wait(2*time.Minute + 50*time.Second)
		if got := s.heard(began); got != "" {
			t.Fatalf("within the grace people hear %s", got)
		}
		s.wait(15 * time.Second)
		if got := s.heard(began); got != "3m0s tell watchdog_silent" {
			t.Fatalf("people heard %q", got)
		}
		// What was said is the journal's to know: a restart says nothing twice.
		s.shut()
		s.open()
		s.wait(6 * time.Minute)
		if got := s.heard(began); got != "3m0s tell watchdog_silent" {
			t.Fatalf("after a restart people heard %q", got)
		}
		s.bark(1)
		if got := s.heard(began); got != "3m0s tell watchdog_silent, 9m0s tell watchdog_back" {
			t.Errorf("people heard %q", got)
		}
	})
}

func TestAReceiverThatWasAwayGivesTheWatchdogItsTime(t *testing.T) {
	inShop(t, shopWith(t, watching, impatience), func(s *shop) {
		began := time.Now()
		s.bark(1)
		s.shut()
		s.wait(time.Hour)
		s.open()
		s.wait(2 * time.Minute)
		s.bark(1)
		if got := s.heard(began); got != "" {
			t.Errorf("people heard %q of a silence in which nobody listened", got)
		}
	})
}

// Whoever cannot write takes no notification either: the silence is its own.
func TestAJournalThatFailsMakesNoSilence(t *testing.T) {
	inShop(t, shopWith(t, watching, impatience), func(s *shop) {
		began := time.Now()
		s.bark(1)
		trip := func(err error) {
			s.store.mu.Lock()
			defer s.store.mu.Unlock()
			s.store.trip = err
		}
		trip(errors.New("disk full"))
		s.wait(10 * time.Minute)
		trip(nil)
		s.wait(2 * time.Minute)
		s.bark(1)
		if got := s.heard(began); got != "" {
			t.Errorf("people heard %q", got)
		}
	})
}

// A source that a reload brings has its time from then on, however long the process
// runs already; one that it takes away is nobody's silence.
func TestASourceThatAReloadBringsHasItsTime(t *testing.T) {
	inShop(t, shopWith(t, watching, impatience), func(s *shop) {
		s.set(func() { s.away = true })
		began := time.Now()
		s.wait(time.Hour)
		s.set(func() { s.away = false })
		s.wait(2*time.Minute + 50*time.Second)
		if got := s.heard(began); got != "" {
			t.Fatalf("within its time people hear %s", got)
		}
		s.wait(15 * time.Second)
		if got := s.heard(began); got != "1h3m0s tell watchdog_silent" {
			t.Errorf("people heard %q", got)
		}
	})
}

// The default lets notifications be lost: twice in a row, and the start of another
// Alertmanager that has to be told first.
func TestFewLostWatchdogsAreNoSilence(t *testing.T) {
	inShop(t, shopWith(t, watching, "escalate: { to: [duty] }\n"), func(s *shop) {
		began := time.Now()
		s.bark(3)
		for _, gap := range []time.Duration{2 * time.Minute, 3 * time.Minute, 4*time.Minute + 59*time.Second} {
			s.wait(gap - time.Minute) // bark waits for one itself
			s.bark(2)
		}
		if got := s.heard(began); got != "" {
			t.Errorf("people heard %q", got)
		}
	})
}

// A reload that shortens the time counts at once, and one that names others tells
// them from then on; who is told of the silence late is told of its end as well.
func TestAReloadOfTheWatchdogHoldsFromTheNextLookOn(t *testing.T) {
	patient := shopWith(t, watching, "escalate: { to: [duty], remind: 10m }\nwatchdog: { within: 1h }\n")
	other := shopWith(t, watching, "escalate: { to: [duty], remind: 10m }\nwatchdog: { within: 3m, to: [oncall] }\n")
	inShop(t, patient, func(s *shop) {
		began := time.Now()
		s.bark(1)
		s.wait(10 * time.Minute)
		if got := s.heard(began); got != "" {
			t.Fatalf("people heard %q", got)
		}
		s.set(func() { s.book = other })
		s.wait(look + time.Second)
		s.set(func() { s.book = patient })
		s.bark(1)
		var to []string
		for _, m := range s.sent {
			to = append(to, m.Sink)
		}
		if got := s.heard(began) + " " + strings.Join(to, ","); got != "11m0s tell watchdog_silent, 11m0s tell watchdog_back oncall,duty" {
			t.Errorf("people heard %q", got)
		}
	})
}

// What cannot be delivered is tried again, and may come after what was said later: each
// word names the instants of which it tells.
func TestASilenceThatCannotBeToldIsToldLaterWithItsInstants(t *testing.T) {
	inShop(t, shopWith(t, watching, impatience), func(s *shop) {
		began := time.Now()
		s.bark(1)
		s.set(func() { s.sinkErr = errors.New("refused") })
		s.wait(7 * time.Minute)
		s.bark(1)
		tried := len(s.sent)
		s.set(func() { s.sinkErr = nil })
		s.wait(time.Minute + 30*time.Second)
		var words string
		for _, m := range s.sent[tried:] {
			words += m.Body + "\n"
		}
		for _, want := range []string{"came last at " + stamp(began), "it came at " + stamp(began.Add(8*time.Minute)), "had been missed since " + stamp(began.Add(3*time.Minute))} {
			if strings.Count(words, want) != 1 {
				t.Errorf("people heard\n%swant once %q", words, want)
			}
		}
	})
}

// The duplicates of Alertmanager's peers, and what one of them says to be over, end
// no silence and begin none.
func TestPeersThatSayTheSameOrThatItIsOverChangeNothing(t *testing.T) {
	inShop(t, shopWith(t, watching, impatience), func(s *shop) {
		began := time.Now()
		for range 10 {
			s.alert("Watchdog", "service", "")
			s.alert("Watchdog", "service", "")
			s.resolve()
			s.wait(time.Minute)
		}
		if got := s.heard(began); got != "" {
			t.Fatalf("people heard %q", got)
		}
		for range 3 {
			s.resolve()
			s.wait(time.Minute)
		}
		if got := s.heard(began); got != "12m0s tell watchdog_silent" {
			t.Errorf("people heard %q", got)
		}
	})
}

func TestNobodyWatchesWhereItIsSwitchedOff(t *testing.T) {
	inShop(t, shopWith(t), func(s *shop) {
		s.wait(30 * time.Minute)
		if got := s.heard(time.Now()); got != "" {
			t.Errorf("people heard %q", got)
		}
	})
}

// The table of one look: what is known, how long it was listened, what is said.
func TestListen_SaysWhatHasChanged(t *testing.T) {
	now := time.UnixMilli(1_000_000_000).UTC()
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	d := desk{id: func() string { return "id" }, book: &plan.Book{Watchdog: plan.Watchdog{Within: 5 * time.Minute, To: []string{"a", "b"}, Remind: 10 * time.Minute}}}
	for name, c := range map[string]struct {
		pulse    Pulse
		listened time.Duration
		want     string
	}{
		"a moment before":                 {Pulse{SeenAt: ago(5*time.Minute - time.Millisecond)}, time.Hour, ""},
		"at the moment":                   {Pulse{SeenAt: ago(5 * time.Minute)}, time.Hour, "tell watchdog_silent"},
		"long ago, listened for a moment": {Pulse{SeenAt: ago(time.Hour)}, time.Minute, ""},
		"never":                           {Pulse{}, 5 * time.Minute, "tell watchdog_silent"},
		"never yet":                       {Pulse{}, 4 * time.Minute, ""},
		"said, not yet again":             {Pulse{SilentAt: ago(9 * time.Minute), SaidAt: ago(9 * time.Minute)}, time.Hour, ""},
		"said, and again":                 {Pulse{SilentAt: ago(40 * time.Minute), SaidAt: ago(10 * time.Minute)}, time.Hour, "reminder watchdog_silent"},
		"said, after a restart":           {Pulse{SilentAt: ago(40 * time.Minute), SaidAt: ago(10 * time.Minute)}, 0, "reminder watchdog_silent"},
		"back":                            {Pulse{SeenAt: ago(time.Second), SilentAt: ago(time.Minute), SaidAt: ago(time.Minute)}, time.Hour, "tell watchdog_back"},
		"back at that moment":             {Pulse{SeenAt: ago(time.Minute), SilentAt: ago(time.Minute), SaidAt: ago(time.Minute)}, time.Hour, "tell watchdog_back"},
	} {
		v := Vigil{Now: now, Pulse: c.pulse}
		d.listen(&v, ago(c.listened))
		got := ""
		if len(v.Messages) > 0 {
			got = v.Messages[0].Kind + " " + strings.Split(v.Messages[0].Dedup, "/")[2]
		}
		if got != c.want || len(v.Messages) != 0 && len(v.Messages) != 2 || (v.Pulse != c.pulse) != (c.want != "") {
			t.Errorf("%s: got %q in %d messages and %+v, want %q", name, got, len(v.Messages), v.Pulse, c.want)
		}
		again := Vigil{Now: now, Pulse: v.Pulse}
		if d.listen(&again, ago(c.listened)); len(again.Messages) > 0 {
			t.Errorf("%s: said twice", name)
		}
	}
}

func TestAttention_BeginsAnewAfterAGap(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(int64(s), 0) }
	var a attention
	for _, c := range []struct{ now, since int }{{100, 100}, {105, 100}, {135, 100}, {166, 166}, {170, 166}, {3770, 3770}, {3000, 3000}} {
		if a = a.at(at(c.now)); a.since != at(c.since) {
			t.Errorf("at %d it listens since %d, want %d", c.now, a.since.Unix(), c.since)
		}
	}
}

// What the rules locate beyond nodes is not acted upon: no ladder can be written
// for it yet, and people are told why.
func TestAScopeThatNoLadderKnowsIsHandedOver(t *testing.T) {
	for scope, want := range map[string]string{
		"zone": "the ladder of scope zone", "version": "the ladder of scope version",
		"rack": "scope rack, member za", "observer": "scope observer, member za", `a"b`: "member za",
	} {
		t.Run(scope, func(t *testing.T) {
			inShop(t, shopWith(t, "unknown: []", "unknown: [restart-all]"), func(s *shop) {
				s.set(func() { s.up["b"] = false })
				s.alert("FaultDetected")
				s.alert("FaultLocated", "scope", scope, "member", "za", "zone", "za")
				s.wait(time.Minute)
				c := s.in(stateWithHuman, codeLadderEnd)
				s.acts()
				if len(c.Runs) > 0 || len(s.sent) == 0 || !strings.Contains(s.sent[len(s.sent)-1].Body, want) {
					t.Errorf("runs %+v, messages %+v", c.Runs, s.sent)
				}
			})
		})
	}
}
