package healer

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onefiveten/onefiveten/healer/plan"
)

func TestAValueThatDoesNotFitIsRefusedBeforeAnyStep(t *testing.T) {
	for _, evil := range []string{`b"}) or vector(1) #`, "--config=/etc/shadow", "b;disable server", "../../admin", "$(reboot)", "b\nc"} {
		t.Run(evil, func(t *testing.T) {
			inShop(t, shopWith(t), func(s *shop) {
				s.set(func() { s.up[evil] = false })
				s.alert("FaultLocated", "scope", "node", "member", evil, "node", evil)
				s.wait(30 * time.Second)
				s.in(stateWithHuman, codeUnsafeValue)
				s.acts()
			})
		})
	}
	inShop(t, shopWith(t, "[/opt/restart, '{{ .Member.Labels.node }}']", "[/opt/restart, '{{ .Alert.Labels.owner }}']", "node: [drain, restart]", "node: [restart]"), func(s *shop) {
		s.set(func() { s.up["b"] = false })
		s.alert("FaultLocated", "scope", "node", "member", "b", "node", "b", "owner", "x y")
		s.wait(30 * time.Second)
		c := s.in(stateWithHuman, codeUnsafeValue)
		if got := c.Decisions[0].Target; got != "node:b" {
			t.Errorf("refused for target %q, a step does not fit", got)
		}
	})
}

func TestAConditionChoosesBetweenRungs(t *testing.T) {
	for value, want := range map[string][]string{
		"vip_up == 0": {"act act drain node:b"},
		"vip_up == 1": {"not_applicable when_false drain node:b", "act act restart node:b"},
	} {
		inShop(t, shopWith(t, "    release: manual", "    release: manual\n    when: ['"+value+"']"), func(s *shop) {
			s.breakNode("b")
			s.wait(20 * time.Second)
			s.decisions(want...)
		})
	}
}

func TestASwitchedOffPlanIsPassedOver(t *testing.T) {
	inShop(t, shopWith(t, "    release: manual", "    release: manual\n    enabled: false"), func(s *shop) {
		s.breakNode("b")
		s.wait(20 * time.Second)
		s.decisions("not_applicable disabled drain", "act act restart node:b")
	})
}

func TestARefusalGoesOnOnlyForTheCodesThatTheRungNames(t *testing.T) {
	book := shopWith(t, "node: [drain, restart], service: [restart-all]", "node: [{ plan: drain, on_refuse: { next: [too_many_members] } }, restart-all]")
	inShop(t, book, func(s *shop) {
		s.breakNode("a")
		s.breakNode("b")
		s.wait(20 * time.Second)
		s.decisions("refuse too_many_members drain", "act act restart-all service:web")
	})
}

func TestNoFiringTriggerIsNoReasonToAct(t *testing.T) {
	for name, x := range map[string]struct {
		change func(s *shop)
		want   Code
	}{
		"the service is bad":  {func(*shop) {}, codeNotFiring},
		"nobody can tell":     {func(s *shop) { s.blind = true }, codeCannotTell},
		"the service is good": {func(s *shop) { s.up["b"] = true }, codeSelfRecovered},
	} {
		t.Run(name, func(t *testing.T) {
			inShop(t, shopWith(t), func(s *shop) {
				s.breakNode("b")
				s.wait(5 * time.Second)
				s.resolve()
				s.set(func() { x.change(s) })
				s.wait(40 * time.Second)
				if got := s.incident().Incident.Reason; got != x.want {
					t.Errorf("%s, want %s\n%s", got, x.want, s.story())
				}
				s.acts()
			})
		})
	}
}

func TestAnAlertThatAlertmanagerNoLongerShowsWaitsWhileTheServiceIsGood(t *testing.T) {
	inShop(t, shopWith(t), func(s *shop) {
		s.breakNode("b")
		s.wait(5 * time.Second)
		s.set(func() {
			s.up["b"] = true
			clear(s.firing) // its "resolved" is still under way
		})
		s.wait(20 * time.Second)
		s.in(stateDeciding, "")
		s.wait(3 * time.Minute) // the reconciler closes what is gone
		s.in(stateRecovered, codeSelfRecovered)
		s.acts()
	})
}

func TestARelapseThatIsNotLocatedYetWaitsForItsLocation(t *testing.T) {
	inShop(t, shopWith(t), func(s *shop) {
		s.breakNode("b")
		s.wait(time.Minute)
		s.in(stateRecovered, "")
		s.resolve()
		s.wait(30 * time.Second)
		s.set(func() { s.up["c"] = false })
		s.wait(40 * time.Second)
		s.in(stateDeciding, "")
		s.alert("FaultLocated", "signal", "availability", "scope", "node", "member", "c", "node", "c")
		s.wait(40 * time.Second)
		s.in(stateRecovered, "")
		s.acts("/opt/balancer drain b", "/opt/balancer drain c")
	})
	inShop(t, shopWith(t), func(s *shop) {
		s.breakNode("b")
		s.wait(time.Minute)
		s.resolve()
		s.set(func() { s.vip = new(bool) })
		s.wait(4 * time.Minute)
		s.in(stateDeciding, "")
		s.wait(2 * time.Minute)
		c := s.incident()
		if c.Incident.State != stateWithHuman || c.Incident.Reason != codeNotLocated && c.Incident.Reason != codeNotFiring {
			t.Errorf("a relapse that nobody locates is %s (%s)", c.Incident.State, c.Incident.Reason)
		}
		s.acts("/opt/balancer drain b")
	})
}

func TestWhatIsToldComesOnceAndInTime(t *testing.T) {
	inShop(t, shopWith(t, "to: [oncall] }\nescalate", "to: [oncall], tell: [located, verified, recover_deadline, 4m] }\nescalate",
		"for: 20s, within: 60s }\n    undo", "for: 20s, within: 8m }\n    undo"), func(s *shop) {
		s.set(func() { s.vip = new(bool) })
		s.breakNode("b")
		s.wait(3 * time.Minute)
		if got := s.said(); !slices.Equal(got, []string{"oncall tell located"}) {
			t.Errorf("after 3m people were told %v", got)
		}
		s.wait(2 * time.Minute) // acting all the time
		s.in(stateActing, codeAct)
		if got := s.said(); !slices.Equal(got, []string{"oncall tell located", "oncall tell 4m0s"}) {
			t.Errorf("after 5m people were told %v", got)
		}
		s.wait(6 * time.Minute)
		s.in(stateWithHuman, codeLadderEnd)
		s.set(func() { s.vip = nil })
		s.wait(time.Minute)
		s.in(stateRecovered, codeLadderEnd)
		want := []string{"oncall tell located", "oncall tell 4m0s", "oncall hand_over ladder_end", "oncall tell recover_deadline", "oncall tell verified"}
		if got := s.said(); !slices.Equal(got, want) {
			t.Errorf("at the end people were told %v", got)
		}
	})
}

func TestWhatIsHeldIsNamedOnceADay(t *testing.T) {
	d := desk{book: shopWith(t), id: func() string { return "id" }}
	for hours, want := range map[int]string{1: "", 23: "", 25: "i/held/m/1", 47: "i/held/m/1", 49: "i/held/m/2"} {
		c := &Case{
			Now: now0.Add(time.Duration(hours) * time.Hour), Incident: Incident{ID: "i", Service: "web", State: stateRecovered, NextAt: now0},
			Mitigations: []Mitigation{{ID: "m", Incident: "an earlier one", Service: "web", State: mitHeld, Since: now0, Target: "node:b", Kind: kindIsolate}},
		}
		if err := d.look(c, watch{}); err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, m := range c.Messages {
			got += m.Dedup
		}
		if got != want {
			t.Errorf("after %d hours people are told %q, want %q", hours, got, want)
		}
	}
}

func TestPeopleHearDirectlyThatTheJournalFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t, shopWith(t))
		s.kept = deadStore{s.store}
		s.open()
		s.wait(9 * time.Minute)
		if got := s.said(); !slices.Equal(got, []string{"duty tell journal"}) {
			t.Errorf("people were told %v", got)
		}
		s.shut()
	})
}

// deadStore cannot claim anything.
type deadStore struct{ *memory }

func (deadStore) ClaimIncident(context.Context, string, time.Duration) (string, Claim, error) {
	return "", Claim{}, errors.New("disk full")
}

func TestAnAtomicPlanThatWasCutShortNeverCountsAsSucceeded(t *testing.T) {
	// drain, restart, return: a good proof must not leave a drained node behind
	book := func(undo string) []string {
		return []string{
			"    steps: [{ exec: [/opt/restart, '{{ .Member.Labels.node }}'], timeout: 30s, idempotent: true }]\n",
			"    steps: [{ exec: [/opt/balancer, drain, '{{ .Member.Labels.node }}'], timeout: 9s }, { exec: [/opt/restart, '{{ .Member.Labels.node }}'], timeout: 9s }, { exec: [/opt/balancer, ready, '{{ .Member.Labels.node }}'], timeout: 9s }]\n    atomic: true\n" + undo,
			"node: [drain, restart]", "node: [restart]", "verify: { query: 'node_up{node=\"{{ .Member.Labels.node }}\"} == 1'", "verify: { healthy: service",
		}
	}
	for name, x := range map[string]struct {
		undo string
		want RunState
		acts []string
	}{
		"undone":                {"    undo: [{ exec: [/opt/balancer, ready, '{{ .Member.Labels.node }}'], timeout: 9s, idempotent: true }]\n", runFailed, []string{"/opt/balancer drain b", "/opt/restart b", "/opt/balancer ready b"}},
		"the undo could harm":   {"    undo: [{ exec: [/opt/balancer, ready, '{{ .Member.Labels.node }}'], timeout: 9s }]\n", runUnresolved, []string{"/opt/balancer drain b", "/opt/restart b"}},
		"there is nothing else": {"", runUnresolved, []string{"/opt/balancer drain b", "/opt/restart b"}},
	} {
		t.Run(name, func(t *testing.T) {
			inShop(t, shopWith(t, book(x.undo)...), func(s *shop) {
				s.answers["/opt/restart b"] = []func() Result{func() Result { return Result{Outcome: InDoubt, Cause: "no answer"} }}
				s.breakNode("b")
				s.wait(time.Minute)
				if got := s.incident().Runs[0].State; got != x.want {
					t.Errorf("the run is %s, want %s\n%s", got, x.want, s.story())
				}
				s.acts(x.acts...)
			})
		})
	}
}

func twoSteps(atomic string) []string {
	return []string{
		"    steps: [{ exec: [/opt/restart, '{{ .Member.Labels.node }}'], timeout: 30s, idempotent: true }]\n",
		"    steps: [{ exec: [/opt/restart, '{{ .Member.Labels.node }}'], timeout: 9s }, { exec: [/opt/restart, 'again-{{ .Member.Labels.node }}'], timeout: 9s }]\n    atomic: " + atomic + "\n",
		"node: [drain, restart]", "node: [restart]",
	}
}

func TestLaterStepsRunOnlyIfAtomicWhenTheFaultHasGone(t *testing.T) {
	for atomic, want := range map[string][]string{"true": {"/opt/restart b", "/opt/restart again-b"}, "false": {"/opt/restart b"}} {
		inShop(t, shopWith(t, twoSteps(atomic)...), func(s *shop) {
			s.answers["/opt/restart b"] = []func() Result{func() Result {
				s.set(func() { s.up["b"] = true })
				s.resolve()
				return Result{Outcome: OK}
			}}
			s.breakNode("b")
			s.wait(time.Minute)
			s.acts(want...)
			s.in(stateRecovered, "")
		})
	}
}

func TestARunTakenOverBetweenTwoStepsIsVerifiedAndDoesNotGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t, shopWith(t, twoSteps("false")...))
		s.open()
		s.answers["/opt/restart b"] = []func() Result{func() Result {
			s.set(func() { s.up["b"] = true })
			s.cancel() // the step ends, and the process with it
			return Result{Outcome: OK}
		}}
		s.breakNode("b")
		s.wait(30 * time.Second)
		<-s.done
		s.open(func(o *Options) { o.Owner = "next" })
		defer s.shut()
		s.wait(90 * time.Second)
		s.acts("/opt/restart b")
		s.in(stateRecovered, "")
	})
}

func TestARunThatWasNeverBegunIsTakenOverAndActs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t, shopWith(t))
		s.kept = &stoppingStore{memory: s.store, stop: func() { s.cancel() }}
		s.open()
		s.breakNode("b")
		s.wait(15 * time.Second)
		<-s.done
		s.acts()
		s.kept = s.store
		s.open(func(o *Options) { o.Owner = "next" })
		defer s.shut()
		s.wait(time.Minute)
		s.acts("/opt/balancer drain b")
		s.in(stateRecovered, "")
	})
}

// stoppingStore stops the engine as soon as a run is born.
type stoppingStore struct {
	*memory
	stop func()
}

func (s *stoppingStore) Update(ctx context.Context, incident, run string, by Claim, change func(*Case) error) error {
	err := s.memory.Update(ctx, incident, run, by, change)
	if c, _ := s.Read(ctx, incident); len(c.Runs) > 0 {
		s.stop()
	}
	return err
}

func TestAClaimThatOthersWonWaitsForItsTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t, shopWith(t))
		s.kept = &racingStore{memory: s.store}
		s.open()
		defer s.shut()
		s.breakNode("b")
		s.wait(14 * time.Second)
		s.decisions("wait lock drain node:b")
		s.wait(10 * time.Second)
		s.acts("/opt/balancer drain b")
	})
}

// racingStore lets somebody else win the first claim.
type racingStore struct {
	*memory
	lost bool
}

func (s *racingStore) Update(ctx context.Context, incident, run string, by Claim, change func(*Case) error) error {
	return s.memory.Update(ctx, incident, run, by, func(c *Case) error {
		if err := change(c); err != nil || len(c.Runs) == 0 || s.lost {
			return err
		}
		s.lost = true
		return fmt.Errorf("take the lock: %w", ErrTaken)
	})
}

func TestADecisionThatNeverComesIsHandedOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t, shopWith(t))
		s.open()
		defer s.shut()
		n := 1
		s.asked = func(query string) { // the located node changes faster than it can be asked about
			if strings.HasPrefix(query, "ALERTS{") {
				<-time.After(time.Second)
				s.store.mu.Lock()
				defer s.store.mu.Unlock()
				for _, e := range s.store.Eps {
					if e.Labels["alertname"] == alertLocated {
						n++
						e.Labels = maps.Clone(e.Labels)
						e.Labels["node"], e.Labels["member"] = "abc"[n%3:n%3+1], "abc"[n%3:n%3+1]
					}
				}
			}
		}
		s.breakNode("b")
		s.wait(40 * time.Second)
		s.in(stateWithHuman, codeDecideTimeout)
		s.acts()
	})
}

func TestTheProofWaitsForTheFenceAsLongAsItMay(t *testing.T) {
	inShop(t, shopWith(t), func(s *shop) {
		s.set(func() { s.fenced = true })
		s.breakNode("b")
		s.wait(40 * time.Second)
		if r := s.in(stateActing, codeAct).Runs[0]; r.State != runVerifying || !r.FenceAt.IsZero() || len(r.Samples) > 0 {
			t.Errorf("without a fence the run is %s with %d samples", r.State, len(r.Samples))
		}
		s.set(func() { s.fenced = false })
		s.wait(40 * time.Second)
		s.in(stateRecovered, "")
	})
}

func TestKeepLeavesInPlaceWhatFailed(t *testing.T) {
	inShop(t, shopWith(t, "    release: manual", "    on_failure: keep\n    release: manual"), func(s *shop) {
		s.answers["/opt/balancer drain b"] = []func() Result{func() Result { return Result{Outcome: Failed} }}
		s.breakNode("b")
		s.wait(20 * time.Second)
		c := s.incident()
		if c.Runs[0].State != runFailed || c.Mitigations[0].State != mitHeld || slices.Contains(s.did, "/opt/balancer ready b") {
			t.Errorf("run %s, mitigation %s", c.Runs[0].State, c.Mitigations[0].State)
		}
	})
}

func TestAnUndoThatFailsIsUnresolved(t *testing.T) {
	inShop(t, shopWith(t), func(s *shop) {
		s.answers["/opt/balancer drain b"] = []func() Result{func() Result { return Result{Outcome: Failed} }}
		s.answers["/opt/balancer ready b"] = []func() Result{func() Result { return Result{Outcome: InDoubt} }}
		s.breakNode("b")
		s.wait(20 * time.Second)
		c := s.in(stateWithHuman, codeUnresolved)
		if c.Runs[0].State != runUnresolved || c.Mitigations[0].State != mitUnknown {
			t.Errorf("run %s, mitigation %s", c.Runs[0].State, c.Mitigations[0].State)
		}
		s.acts("/opt/balancer drain b", "/opt/balancer ready b")
	})
}

func TestAReleaseThatCannotBeToldIsForPeople(t *testing.T) {
	for outcome, changed := range map[Outcome]bool{Failed: false, InDoubt: true} {
		t.Run(string(outcome), func(t *testing.T) {
			inShop(t, shopWith(t), func(s *shop) {
				s.answers["/opt/balancer ready b"] = []func() Result{func() Result { return Result{Outcome: outcome} }}
				s.breakNode("b")
				s.wait(time.Minute)
				c := s.in(stateRecovered, "")
				if err := s.engine.Release(background, c.Mitigations[0].ID, "anna"); err != nil {
					t.Fatal(err)
				}
				s.wait(90 * time.Second)
				c = s.in(stateWithHuman, codeUnresolved)
				if c.Runs[1].State != runUnresolved || c.Mitigations[0].State != mitReleasing {
					t.Fatalf("run %s, mitigation %s", c.Runs[1].State, c.Mitigations[0].State)
				}
				if err := s.engine.Resolve(background, c.Runs[1].ID, "anna", changed); err != nil {
					t.Fatal(err)
				}
				want := mitHeld
				if changed {
					want = mitReleased // what the run did was to put it back
				}
				if got := s.incident().Mitigations[0].State; got != want {
					t.Errorf("resolved with changed=%v the mitigation is %s, want %s", changed, got, want)
				}
			})
		})
	}
}

func TestAQueuedReleaseCanBeAborted(t *testing.T) {
	inShop(t, shopWith(t), func(s *shop) {
		s.breakNode("b")
		s.wait(time.Minute)
		s.store.mu.Lock()
		s.store.held["service:web"] = "other"
		s.store.mu.Unlock()
		if err := s.engine.Release(background, s.incident().Mitigations[0].ID, "anna"); err != nil {
			t.Fatal(err)
		}
		s.wait(10 * time.Second)
		r := s.incident().Runs[1]
		if err := s.engine.Abort(background, r.ID, "anna"); err != nil {
			t.Fatal(err)
		}
		c := s.incident()
		if c.Runs[1].State != runCancelled || c.Mitigations[0].State != mitHeld {
			t.Errorf("run %s, mitigation %s", c.Runs[1].State, c.Mitigations[0].State)
		}
		var conflict *Conflict
		if err := s.engine.Abort(background, r.ID, "anna"); !errors.As(err, &conflict) {
			t.Errorf("aborted twice: %v", err)
		}
		if err := s.engine.Resolve(background, r.ID, "anna", true); !errors.As(err, &conflict) {
			t.Errorf("resolved what is not unresolved: %v", err)
		}
		if err := s.engine.Abort(background, "nonsense", "anna"); !errors.Is(err, ErrNotFound) {
			t.Errorf("aborted nothing: %v", err)
		}
	})
}

func TestARelapseWaitsForTheEndOfARelease(t *testing.T) {
	inShop(t, shopWith(t), func(s *shop) {
		s.breakNode("b")
		s.wait(time.Minute)
		if err := s.engine.Release(background, s.incident().Mitigations[0].ID, "anna"); err != nil {
			t.Fatal(err)
		}
		s.wait(50 * time.Second) // the node is back and bad; the proof has answered no for long
		if c := s.in(stateRecovered, ""); c.Incident.Round != 0 {
			t.Error("a relapse beside a release run")
		}
	})
}

func TestATakenIncidentConflictsWithARunUnderWay(t *testing.T) {
	inShop(t, shopWith(t), func(s *shop) {
		s.breakNode("b")
		s.wait(15 * time.Second)
		err := s.engine.Take(background, s.incident().Incident.ID, "anna")
		want := "taken incident " + s.incident().Incident.ID + ": it is acting, want locating or deciding or waiting or recovered or with_human"
		if err == nil || err.Error() != want {
			t.Errorf("got %v\nwant %s", err, want)
		}
	})
}

func TestWaitingEndsWhenTheServiceRecoversByItself(t *testing.T) {
	inShop(t, shopWith(t), func(s *shop) {
		s.set(func() { s.muted = map[string]string{"FaultDetected": "silence:1", "FaultLocated": "silence:1"} })
		s.breakNode("b")
		s.wait(20 * time.Second)
		s.in(stateWaiting, codeSilenced)
		s.set(func() { s.up["b"] = true })
		s.resolve()
		s.wait(40 * time.Second)
		s.in(stateRecovered, codeSelfRecovered)
		s.acts()
	})
}

func TestTheFaultStartIsReadFromPrometheusWhereNoAnnotationTellsIt(t *testing.T) {
	inShop(t, shopWith(t), func(s *shop) {
		s.wait(time.Minute)
		began := time.Now().Add(-17 * time.Second)
		s.more = func(query string) []Point {
			if query == `min(ALERTS_FOR_STATE{alertname="FaultDetected",service="web"})` {
				return []Point{{Value: float64(began.Unix())}}
			}
			return nil
		}
		s.set(func() { s.up["b"] = false })
		s.alert("FaultDetected")
		s.wait(2 * time.Second)
		in := s.incident().Incident
		if !in.FaultStart.Equal(began) || in.FaultStartSource != "ALERTS_FOR_STATE" {
			t.Errorf("the fault began at %s by %s, want %s", in.FaultStart, in.FaultStartSource, began)
		}
	})
}

func TestTwoServicesActOneAfterTheOther(t *testing.T) {
	book := shopWith(t, "plans:\n", "  - name: db\n    members: 'min by (node) (node_up)'\n    healthy: { query: 'vip_up == 1' }\nplans:\n", `match: ['service="web"']`, `match: ['service=~"web|db"']`)
	inShop(t, book, func(s *shop) {
		s.breakNode("b")
		s.alert("FaultLocated", "service", "db", "scope", "node", "member", "c", "node", "c")
		s.wait(20 * time.Second)
		list, err := s.store.Incidents(background, false, 10)
		if err != nil || len(list) != 2 {
			t.Fatalf("%d incidents, want one for each service", len(list))
		}
		if states := fmt.Sprint(list[0].State, list[1].State); !strings.Contains(states, "acting") || !strings.Contains(states, "waiting") {
			t.Errorf("the two incidents are %s, want one acting and one waiting: one run at a time", states)
		}
	})
}

func TestARunWhoseStepsAreHTTPIsToldInWords(t *testing.T) {
	book := shopWith(t, "exec: { programs: [/opt/balancer, /opt/restart] }", "exec: { programs: [/opt/balancer, /opt/restart] }\nhttp: { allowed_hosts: ['gw:80'] }",
		"{ exec: [/opt/restart, '{{ .Service.Name }}'], timeout: 30s, idempotent: true }", "{ http: { method: PUT, url: 'http://gw:80/limits/{{ .Service.Name }}', body: { rps: 8 } }, timeout: 30s }")
	inShop(t, book, func(s *shop) {
		var asked Action
		s.acting(func(_ context.Context, a Action) Result {
			asked = a
			return Result{Outcome: OK}
		})
		s.set(func() { s.up["b"] = false })
		s.alert("FaultLocated", "scope", "service")
		s.wait(15 * time.Second)
		r := s.incident().Runs[0]
		if got := r.Steps[0].What; got != `PUT http://gw:80/limits/web {"rps":8}` {
			t.Errorf("in words: %s", got)
		}
		if h := asked.HTTP; h == nil || h.Method != "PUT" || h.URL != "http://gw:80/limits/web" || string(h.Body) != `{"rps":8}` || h.Client != "restart-all/act/0" {
			t.Errorf("asked for %+v", h)
		}
		if asked.IdempotencyKey != r.ID+"/act/0" || asked.Env["HEAL_FENCE"] != "1" || asked.Env["HEAL_RUN"] != r.ID || asked.Env["HEAL_ATTEMPT"] != "1" || asked.Timeout != 30*time.Second {
			t.Errorf("asked with %+v", asked)
		}
	})
}

func TestTheProofOfAProbesOwnScheduleWaitsForARunThatBeganBehindTheFence(t *testing.T) {
	const schedule = "max((probe_interval_seconds + probe_timeout_seconds) and on (observer, probe) "
	proof := func(query string) *plan.Book {
		return shopWith(t, "healthy: { query: 'vip_up == 1' }", "healthy: { query: '"+query+"' }")
	}
	for name, x := range map[string]struct {
		book    *plan.Book
		answer  []Point // to the question for the schedule
		recover time.Duration
		want    State
	}{
		"an interval of 30s and a time-out of 10s": {proof(`probe_success{role="entry"} == 1`), []Point{{Value: 40}}, 70 * time.Second, stateRecovered},
		"a probe of others":                        {proof(`probe_success{role="entry"} == 1`), nil, 35 * time.Second, stateRecovered},
		"a settle that was given":                  {proof("probe_success == 1', settle: '2s"), []Point{{Value: 40}}, 32 * time.Second, stateRecovered},
		"an interval that nobody knows":            {proof(`probe_success{probe="entry"} == 1`), nil, 100 * time.Second, stateWithHuman},
		"an interval that is no number":            {proof(`probe_success{probe="entry"} == 1`), []Point{{Value: math.NaN()}}, 100 * time.Second, stateWithHuman},
	} {
		t.Run(name, func(t *testing.T) {
			inShop(t, x.book, func(s *shop) {
				s.set(func() {
					s.more = func(query string) []Point {
						switch {
						case strings.HasPrefix(query, schedule):
							return x.answer
						case strings.HasPrefix(query, "min(probe_last_run_timestamp_seconds"):
							return []Point{{Value: float64(time.Now().UnixMilli()) / 1000}}
						}
						return []Point{{Value: bit(s.vipUp())}}
					}
				})
				s.breakNode("b")
				s.wait(x.recover - time.Second)
				s.in(stateActing, codeAct)
				s.wait(3 * time.Second)
				if got := s.incident().Incident.State; got != x.want {
					t.Errorf("the incident is %s, want %s\n%s", got, x.want, s.story())
				}
			})
		})
	}
}
