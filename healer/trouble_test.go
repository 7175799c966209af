package healer

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestASlowPrometheusIsNoGapInTheProof(t *testing.T) {
	inShop(t, shopWith(t), func(s *shop) {
		s.breakNode("b")
		s.wait(15 * time.Second)
		s.in(stateActing, codeAct)
		s.set(func() { s.slow = 4 * time.Second })
		s.wait(80 * time.Second)
		c := s.in(stateRecovered, "")
		s.acts("/opt/balancer drain b") // and is not undone

		s.set(func() { s.vip = new(bool) }) // bad again, told just as slowly
		s.wait(time.Minute)
		if round := s.incident().Incident.Round; round != 1 {
			t.Errorf("a minute after the relapse of %s its round is %d\n%s", c.Incident.ID, round, s.story())
		}
	})
}

func TestAWaitThatEndsInASlowLookKeepsItsCode(t *testing.T) {
	for slow := range 24 {
		inShop(t, shopWith(t), func(s *shop) {
			s.set(func() {
				s.slow = time.Duration(slow) * 100 * time.Millisecond
				s.muted = map[string]string{"FaultDetected": "silence:1", "FaultLocated": "silence:1"}
			})
			s.breakNode("b")
			s.wait(3 * time.Minute)
			s.in(stateWithHuman, codeSilenced)
		})
	}
}

func TestAClockThatJumpedBackStopsAllAndPeopleHearOfIt(t *testing.T) {
	inShop(t, shopWith(t), func(s *shop) {
		behind := func(d time.Duration) {
			s.store.mu.Lock()
			defer s.store.mu.Unlock()
			s.store.behind = d
		}
		behind(time.Hour)
		s.breakNode("b")
		s.wait(time.Minute)
		s.acts()
		s.in(stateLocating, "")
		if got := s.said(); !slices.Equal(got, []string{"duty tell clock"}) {
			t.Errorf("people were told %v", got)
		}
		behind(0)
		s.wait(2 * time.Second)
		s.acts("/opt/balancer drain b")
	})
}

func TestAContactThatHangsKeepsNoOtherFromBeingTold(t *testing.T) {
	inShop(t, shopWith(t), func(s *shop) {
		s.set(func() { s.hangs = "duty" })
		now := time.Now()
		s.store.mu.Lock()
		for i := range 20 {
			s.store.Out = append(s.store.Out, &Message{ID: fmt.Sprint("hangs", i), Sink: "duty", Dedup: fmt.Sprint(i), Body: "{}", NextAt: now})
		}
		for i := range 3 {
			s.store.Out = append(s.store.Out, &Message{ID: fmt.Sprint("arrives", i), Sink: "oncall", Dedup: fmt.Sprint(i), Body: `{"kind":"tell"}`, NextAt: now})
		}
		s.store.mu.Unlock()
		s.wait(2 * time.Second)
		s.mu.Lock()
		var got []string
		for _, m := range s.sent {
			got = append(got, m.ID)
		}
		s.mu.Unlock()
		if !slices.Equal(got, []string{"arrives0", "arrives1", "arrives2"}) {
			t.Errorf("within 2s %v were told, want all, in order", got)
		}
		s.wait(15 * time.Second)
		s.store.mu.Lock()
		defer s.store.mu.Unlock()
		for _, m := range s.store.Out[:20] {
			if m.Tries == 0 || m.LastError == "" || !m.SentAt.IsZero() {
				t.Errorf("%s had %d tries (%s)", m.ID, m.Tries, m.LastError)
			}
		}
	})
}

func TestTheBackOffDoublesUpToAMinute(t *testing.T) {
	var got []string
	for tries := range 9 {
		got = append(got, backOff(tries).String())
	}
	if want := "1s 2s 4s 8s 16s 32s 1m0s 1m0s 1m0s"; strings.Join(got, " ") != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got := backOff(1 << 40); got != time.Minute {
		t.Errorf("after very many tries %s", got)
	}
}

func TestARunWhosePlanCannotBeReadAnyMoreIsForPeople(t *testing.T) {
	inShop(t, shopWith(t), func(s *shop) {
		s.acting(func(context.Context, Action) Result { return Result{Outcome: OK} })
		s.breakNode("b")
		s.wait(15 * time.Second)
		s.in(stateActing, codeAct)
		s.shut()
		s.store.mu.Lock()
		s.store.Rns[0].PlanText = `{"plan":"of a newer program"}`
		s.store.mu.Unlock()
		s.open()
		s.wait(time.Minute)
		c := s.in(stateWithHuman, codeUnresolved)
		if got := c.Runs[0].State; got != runUnresolved {
			t.Errorf("the run is %s", got)
		}
	})
}

func TestAStepThatCanNoLongerBeRenderedTakesBackWhatWasDone(t *testing.T) {
	book := shopWith(t, "steps: [{ exec: [/opt/balancer, drain, '{{ .Member.Labels.node }}'], timeout: 20s }]",
		"steps: [{ exec: [/opt/balancer, drain, '{{ .Member.Labels.node }}'], timeout: 20s }, { exec: [/opt/restart, '{{ .Alert.Annotations.host }}'], timeout: 20s }]",
		"verify: { healthy: service, for: 20s, within: 60s }\n    undo", "verify: { healthy: service, for: 20s, within: 60s }\n    values: '[a-z]+'\n    undo")
	inShop(t, book, func(s *shop) {
		host := func(name string) {
			s.store.mu.Lock()
			defer s.store.mu.Unlock()
			for _, x := range s.store.Eps {
				x.Annotations = map[string]string{"host": name}
			}
		}
		s.answers["/opt/balancer drain b"] = []func() Result{func() Result {
			host("b; reboot") // the rules have been changed in the middle of the run
			return Result{Outcome: OK}
		}}
		s.breakNode("b")
		host("b")
		s.wait(15 * time.Second)
		s.acts("/opt/balancer drain b", "/opt/balancer ready b", "/opt/restart b")
		if r := s.incident().Runs[0]; r.State != runFailed {
			t.Errorf("the run is %s", r.State)
		}
		if m := s.incident().Mitigations[0]; m.State != mitReleased {
			t.Errorf("the mitigation is %s", m.State)
		}
	})
}

func TestAnUnresolvedReleaseIsToldThoughPeopleHaveTakenTheIncident(t *testing.T) {
	inShop(t, shopWith(t), func(s *shop) {
		s.breakNode("b")
		s.wait(time.Minute)
		c := s.in(stateRecovered, "")
		s.answers["/opt/balancer ready b"] = []func() Result{func() Result { return Result{Outcome: Failed} }}
		hold := make(chan struct{})
		s.acting(func(ctx context.Context, a Action) Result { <-hold; return s.Do(ctx, a) })
		if err := s.engine.Release(background, c.Mitigations[0].ID, "anna"); err != nil {
			t.Fatal(err)
		}
		s.wait(time.Second)
		if err := s.engine.Take(background, c.Incident.ID, "anna"); err != nil {
			t.Fatal(err)
		}
		close(hold)
		s.wait(5 * time.Second)
		if r := s.incident().Runs[1]; r.State != runUnresolved {
			t.Fatalf("the release is %s", r.State)
		}
		if got := s.said(); !slices.Equal(got, []string{"oncall tell unresolved"}) {
			t.Errorf("people were told %v", got)
		}
	})
}

func TestAnObserverFaultOutlivesTheIncidentThatWasClosedOverIt(t *testing.T) {
	inShop(t, shopWith(t), func(s *shop) {
		s.alert("FaultDetected", "signal", "latency")
		s.alert("ObserverFault", "observer", "x")
		s.wait(5 * time.Second)
		first := s.incident().Incident.ID
		if err := s.engine.Close(background, first, "anna"); err != nil {
			t.Fatal(err)
		}
		s.breakNode("b")
		s.wait(30 * time.Second)
		if c := s.in(stateWaiting, codeObserverFault); c.Incident.ID == first {
			t.Error("the closed incident has come back")
		}
		s.acts()
	})
}

func TestDirectWordsComeOnceForEachTrouble(t *testing.T) {
	inShop(t, shopWith(t), func(s *shop) {
		for range 3 {
			s.engine.tellTrouble(background, troubleJournal, "no disk")
			s.engine.tellTrouble(background, codeClock, "no time")
		}
		if got := s.said(); !slices.Equal(got, []string{"duty tell journal", "duty tell clock"}) {
			t.Errorf("told %v", got)
		}
		s.wait(11 * time.Minute)
		s.engine.tellTrouble(background, troubleJournal, "no disk")
		if got := s.said(); len(got) != 3 {
			t.Errorf("11m later told %v in all", got)
		}
		var n notice
		if err := json.Unmarshal([]byte(s.sent[0].Body), &n); err != nil || n.Text != "no disk" || n.Cluster != "shop" {
			t.Errorf("%+v, %v", n, err)
		}
	})
}

func TestAnAbortBetweenIntentAndActStopsTheAct(t *testing.T) {
	inShop(t, shopWith(t), func(s *shop) {
		var aborted atomic.Bool
		s.store.updated = func(c *Case) {
			if len(c.Runs) > 0 && len(c.Runs[0].Steps) > 0 && aborted.CompareAndSwap(false, true) {
				if err := s.engine.Abort(background, c.Runs[0].ID, "anna"); err != nil {
					t.Error(err)
				}
			}
		}
		s.breakNode("b")
		s.wait(20 * time.Second)
		s.acts()
		s.wait(3 * time.Minute)
		s.in(stateWithHuman, codeTaken)
	})
}
