package contract_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/prometheus/common/model"

	"github.com/onefiveten/onefiveten/rules"
)

// Times of others: how often heal-receiver looks (HEALING 3); Prometheus' resend delay,
// and for how many of its sendings Alertmanager takes an alert to fire.
const (
	lookEach    = 5 * time.Second
	resendDelay = time.Minute
	lives       = 4
)

// sending is the generated route of Watchdog.
type sending struct{ tick, repeat time.Duration }

func watchdogRoute(t *testing.T) sending {
	t.Helper()
	files, _, err := rules.Generate(shop())
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		Route struct {
			Routes []struct {
				Matchers []string
				Tick     model.Duration `yaml:"group_interval"`
				Repeat   model.Duration `yaml:"repeat_interval"`
			}
		}
	}
	if err := yaml.Unmarshal(files[rules.RouteFile], &config); err != nil {
		t.Fatal(err)
	}
	first := config.Route.Routes[0]
	if !strings.Contains(fmt.Sprint(first.Matchers), "Watchdog") || first.Tick == 0 || first.Repeat == 0 {
		t.Fatalf("the first route is %+v, want that of Watchdog", first)
	}
	return sending{time.Duration(first.Tick), time.Duration(first.Repeat)}
}

// fate is what becomes of one notification.
type fate int

const (
	comes   fate = iota
	refused      // it fails: the next tick tries again
	dropped      // somebody between answers 200 and drops it
)

// arrive gives when notifications come that Alertmanager sends from first until end. A
// group is looked at every tick, and sends when it was sent longer ago than repeat.
func (s sending) arrive(first, end time.Duration, fates map[int]fate) (all []time.Duration) {
	last, sent := time.Duration(-1<<62), 0
	for now := first; now < end; now += s.tick {
		if now-last <= s.repeat {
			continue
		}
		f := fates[sent]
		sent++
		if f != refused {
			last = now
		}
		if f == comes {
			all = append(all, now)
		}
	}
	return all
}

// longest is the longest time without one.
func longest(arrivals []time.Duration) (gap time.Duration) {
	for i := 1; i < len(arrivals); i++ {
		gap = max(gap, arrivals[i]-arrivals[i-1])
	}
	return gap
}

// resends is how often Prometheus tells an Alertmanager of what fires: at the first
// evaluation after the delay is over.
func resends(e time.Duration) time.Duration { return resendDelay/e*e + e }

// What is lost now and then is no silence: two notifications in a row, or an
// Alertmanager that starts anew and waits until Prometheus tells it again.
func TestWatchdog_TheShippedTimesLetSomeBeLost(t *testing.T) {
	s, within := watchdogRoute(t), book(t).Watchdog.Within
	for name, c := range map[string]struct {
		fates map[int]fate
		gap   time.Duration
	}{
		"none":               {nil, time.Minute},
		"one refused":        {map[int]fate{5: refused}, 90 * time.Second},
		"one dropped":        {map[int]fate{5: dropped}, 2 * time.Minute},
		"two in a row":       {map[int]fate{5: dropped, 6: dropped}, 3 * time.Minute},
		"three, and refused": {map[int]fate{5: dropped, 6: dropped, 7: refused}, 3*time.Minute + 30*time.Second},
	} {
		if gap := longest(s.arrive(0, time.Hour, c.fates)); gap != c.gap || gap+lookEach >= within {
			t.Errorf("%s: %s without one, want %s, below %s with the look", name, gap, c.gap, within)
		}
	}
	for _, e := range []time.Duration{time.Second, 15 * time.Second, 30 * time.Second, time.Minute} {
		if r := resends(e); 2*r > lives*max(e, resendDelay) {
			t.Errorf("E = %s: sent each %s: one lost would end the alert after %s", e, r, lives*max(e, resendDelay))
		}
		for ends := range time.Duration(120) { // a start of Alertmanager at any second
			before := s.arrive(0, ends*time.Second+1, nil)
			gap := ends*time.Second + resends(e) - before[len(before)-1]
			if gap+lookEach >= within {
				t.Errorf("E = %s: Alertmanager starts anew after %ds: %s without one, want below %s", e, ends, gap, within)
			}
		}
	}
}

// How late people hear of a dead chain, from when it was cut: the numbers of HEALING 3.
func TestWatchdog_ADeadChainIsToldWithinWhatIsWritten(t *testing.T) {
	s, within := watchdogRoute(t), book(t).Watchdog.Within
	var behind, ahead time.Duration // of the cut: between Alertmanager and us, and before Alertmanager
	soonest := time.Duration(1 << 62)
	for cut := 10 * time.Minute; cut < 12*time.Minute; cut += 100 * time.Millisecond {
		until := func(end time.Duration) time.Duration {
			all := s.arrive(0, end, nil)
			return all[len(all)-1] + within + lookEach - cut
		}
		behind, soonest = max(behind, until(cut+1)), min(soonest, until(cut+1)-lookEach)
		ahead = max(ahead, until(cut+lives*resendDelay)) // at worst it was told in the moment of the cut
	}
	text, err := os.ReadFile("../../docs/HEALING.md")
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("between %s and %s after the cut; without Prometheus at most %s", spoken(soonest, time.Second), spoken(behind, time.Second), spoken(ahead, time.Second))
	if !strings.Contains(string(text), want) {
		t.Errorf("HEALING does not say %q", want)
	}
}

// spoken writes a time as the page does, rounded.
func spoken(d, to time.Duration) string { return model.Duration(d.Round(to)).String() }
