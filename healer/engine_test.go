package healer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var background = context.Background()

func TestADeadNodeIsDrainedVerifiedAndPutBack(t *testing.T) {
	inShop(t, shopWith(t), func(s *shop) {
		s.breakNode("b")
		s.wait(5 * time.Second)
		s.in(stateLocating, "")
		s.acts()
		s.wait(7 * time.Second) // gather is over at 10s
		s.in(stateActing, codeAct)
		s.acts("/opt/balancer drain b")
		s.wait(30 * time.Second)
		c := s.in(stateRecovered, "")
		if c.Runs[0].State != runSucceeded || c.Mitigations[0].State != mitHeld {
			t.Fatalf("run %s, mitigation %s, want succeeded and held", c.Runs[0].State, c.Mitigations[0].State)
		}
		s.decisions("act act drain node:b")

		s.set(func() { s.up["b"] = true })
		s.resolve()
		if err := s.engine.Release(background, c.Mitigations[0].ID, "anna"); err != nil {
			t.Fatal(err)
		}
		s.wait(40 * time.Second)
		s.acts("/opt/balancer drain b", "/opt/balancer ready b")
		c = s.in(stateRecovered, "")
		if m := c.Mitigations[0]; m.State != mitReleased || m.ReleasedBy != "anna" {
			t.Fatalf("mitigation %s by %q, want released by anna", m.State, m.ReleasedBy)
		}
		s.wait(6 * time.Minute)
		s.in(stateClosed, codeQuiet)
	})
}

func TestAllNodesDownRestartsTheServiceAsAWhole(t *testing.T) {
	inShop(t, shopWith(t), func(s *shop) {
		s.set(func() { s.up = map[string]bool{"a": false, "b": false, "c": false} })
		s.alert("FaultDetected")
		s.alert("FaultLocated", "scope", "service")
		s.wait(time.Minute)
		s.in(stateRecovered, "")
		s.acts("/opt/restart web")
		s.decisions("act act restart-all service:web")
	})
}

func TestAPlanThatMayOnlyBeLookedAtNeverActs(t *testing.T) {
	for mode, want := range map[string]string{"observe": "would_act observe drain node:b", "dry_run": "would_act dry_run drain node:b"} {
		t.Run(mode, func(t *testing.T) {
			inShop(t, shopWith(t, "mode: auto", "mode: "+mode), func(s *shop) {
				s.breakNode("b")
				s.wait(time.Minute)
				c := s.in(stateWithHuman, Code(mode))
				s.acts()
				s.decisions(want)
				if mode == "dry_run" {
					if r := c.Runs[0]; r.State != runSimulated || r.Mode != "dry_run" || len(r.Locks)+len(r.Slots)+len(r.Steps) > 0 {
						t.Errorf("dry run left %+v", r)
					}
					if got := fmt.Sprint(c.Decisions[0].Numbers["steps"]); got != "[/opt/balancer drain b]" {
						t.Errorf("dry run would do %s", got)
					}
				}
				if got := s.said(); !slices.Equal(got[:1], []string{"oncall hand_over " + mode}) {
					t.Errorf("people were told %v", got)
				}
			})
		})
	}
}

func TestAFaultThatPrometheusDoesNotSeeIsNotActedUpon(t *testing.T) {
	inShop(t, shopWith(t), func(s *shop) {
		s.set(func() { s.forged = true })
		s.alert("FaultDetected")
		s.alert("FaultLocated", "scope", "node", "member", "b", "node", "b")
		s.wait(15 * time.Second)
		s.in(stateWithHuman, codeUncorroborated)
		s.acts()
	})
}

func TestRefusalsHandOverWithTheirCode(t *testing.T) {
	for name, x := range map[string]struct {
		book   []string
		change func(s *shop)
		labels []string
		want   Code
	}{
		"a name that is no member":        {labels: []string{"scope", "node", "member", "x", "node", "x"}, want: codeUnknownMember},
		"a scope without a name":          {labels: []string{"scope", "node"}, want: codeUnknownMember},
		"Prometheus does not answer":      {change: func(s *shop) { s.blind = true }, want: codeCannotTell},
		"no Alertmanager answers":         {change: func(s *shop) { s.mutedErr = errors.New("no peer answered") }, want: codeCannotTell},
		"Alertmanager shows no such":      {change: func(s *shop) { clear(s.firing) }, want: codeCannotTell},
		"a restart of all at once":        {book: []string{"rolling: true", "rolling: false"}, labels: []string{"scope", "service"}, want: codeNoRolling},
		"no ladder for it":                {labels: []string{"scope", "zone", "member", "z"}, want: codeLadderEnd},
		"a scope that nobody knows":       {labels: []string{"scope", "nonsense"}, want: codeLadderEnd},
		"a condition that cannot be told": {book: []string{"    release: manual", "    release: manual\n    when: ['nothing > 0']"}, want: codeCannotTell},
		"no scenario":                     {book: []string{`'service="web"'`, `'service="web"', 'signal="other"'`}, want: codeNoScenario},
	} {
		t.Run(name, func(t *testing.T) {
			inShop(t, shopWith(t, x.book...), func(s *shop) {
				s.set(func() { s.up["b"] = false })
				labels := x.labels
				if labels == nil {
					labels = []string{"scope", "node", "member", "b", "node", "b"}
				}
				s.alert("FaultLocated", labels...)
				if x.change != nil {
					s.wait(time.Second)
					s.set(func() { x.change(s) })
				}
				s.wait(30 * time.Second)
				s.in(stateWithHuman, x.want)
				s.acts()
			})
		})
	}
}

func TestThreeBadMembersOneByOneAreTooManyAndNoneIsTreated(t *testing.T) {
	inShop(t, shopWith(t), func(s *shop) {
		for _, node := range []string{"a", "b", "c"} {
			s.breakNode(node)
			s.wait(2 * time.Second)
		}
		s.wait(20 * time.Second)
		c := s.in(stateWithHuman, codeTooManyMembers)
		s.acts()
		if got := fmt.Sprint(c.Decisions[0].Numbers); got != "map[located:3 max:1 members:[a b c]]" {
			t.Errorf("numbers %s", got)
		}
	})
}

func TestTwoMembersAreTreatedOneAfterTheOtherWhereThePlanAllowsIt(t *testing.T) {
	book := shopWith(t, "ladders: { node: [drain, restart]", "ladders: { node: [restart]")
	book.Plans["restart"].Each = 2 // the key comes in a later step, the steps know it already
	inShop(t, book, func(s *shop) {
		s.breakNode("b")
		s.breakNode("a")
		s.wait(3 * time.Minute)
		s.acts("/opt/restart a", "/opt/restart b")
		s.in(stateRecovered, "")
	})
}

func TestDifferentScopesAtOnceDisagree(t *testing.T) {
	inShop(t, shopWith(t), func(s *shop) {
		s.breakNode("b")
		s.alert("FaultLocated", "scope", "service")
		s.wait(15 * time.Second)
		s.in(stateWithHuman, codeVerdictDisagrees)
		s.acts()
	})
}

func TestWhatIsNotLocatedInTimeIsHandedOver(t *testing.T) {
	inShop(t, shopWith(t), func(s *shop) {
		s.set(func() { s.up["b"] = false })
		s.alert("FaultDetected")
		s.wait(4*time.Minute + 50*time.Second)
		s.in(stateLocating, "")
		s.wait(20 * time.Second)
		s.in(stateWithHuman, codeNotLocated)
		s.wait(5 * time.Minute)
		want := []string{"oncall tell locate_deadline", "oncall hand_over not_located", "oncall tell recover_deadline", "oncall reminder not_located"}
		if got := s.said(); !slices.Equal(sorted(got), sorted(want)) {
			t.Errorf("people were told\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	})
}

func sorted(list []string) []string { return slices.Sorted(slices.Values(list)) }

func TestAFailedStepIsUndoneAndTheNextRungTried(t *testing.T) {
	inShop(t, shopWith(t), func(s *shop) {
		s.answers["/opt/balancer drain b"] = []func() Result{func() Result { return Result{Outcome: Failed, Cause: "exit status 1"} }}
		s.breakNode("b")
		s.wait(2 * time.Minute)
		s.acts("/opt/balancer drain b", "/opt/balancer ready b", "/opt/restart b")
		c := s.in(stateRecovered, "")
		if c.Runs[0].State != runFailed || c.Runs[1].State != runSucceeded || c.Mitigations[0].State != mitReleased {
			t.Errorf("runs %s, %s, mitigation %s", c.Runs[0].State, c.Runs[1].State, c.Mitigations[0].State)
		}
	})
}

func TestAProofThatStaysBadIsUndoneAndTheLadderEndsWithAPerson(t *testing.T) {
	inShop(t, shopWith(t), func(s *shop) {
		s.set(func() { s.vip = new(bool) })
		s.breakNode("b")
		s.wait(5 * time.Minute)
		s.acts("/opt/balancer drain b", "/opt/balancer ready b", "/opt/restart b")
		c := s.in(stateWithHuman, codeLadderEnd)
		if c.Runs[1].State != runSucceeded {
			t.Errorf("the restart proved its own node and is %s", c.Runs[1].State)
		}
	})
}

func TestATransientStepIsRepeatedAndIsNoAttempt(t *testing.T) {
	transient := func() Result { return Result{Outcome: Transient, Cause: "connection refused"} }
	book := shopWith(t, "drain, '{{ .Member.Labels.node }}'], timeout: 20s }", "drain, '{{ .Member.Labels.node }}'], timeout: 20s, retries: 2 }")
	inShop(t, book, func(s *shop) {
		s.answers["/opt/balancer drain b"] = []func() Result{transient, transient}
		s.breakNode("b")
		s.wait(time.Minute)
		s.acts("/opt/balancer drain b", "/opt/balancer drain b", "/opt/balancer drain b")
		s.in(stateRecovered, "")
	})
	inShop(t, book, func(s *shop) {
		s.answers["/opt/balancer drain b"] = []func() Result{transient, transient, transient}
		s.breakNode("b")
		s.wait(20 * time.Second)
		if c := s.incident(); c.Runs[0].State != runFailed || c.Mitigations[0].State != mitReleased {
			t.Errorf("run %s, mitigation %s: surely nothing was changed", c.Runs[0].State, c.Mitigations[0].State)
		}
		if slices.Contains(s.did, "/opt/balancer ready b") {
			t.Error("nothing was changed, and yet it was undone")
		}
	})
}

func TestInDoubtIsVerifiedNeverRepeated(t *testing.T) {
	for name, x := range map[string]struct {
		effect, blind bool
		state         RunState
		incident      State
		held          string
		acts          []string
	}{
		"the effect is there":     {effect: true, state: runSucceeded, incident: stateRecovered, held: mitHeld, acts: []string{"/opt/balancer drain b"}},
		"the effect is not there": {state: runFailed, incident: stateActing, held: mitReleased, acts: []string{"/opt/balancer drain b", "/opt/balancer ready b", "/opt/restart b"}},
		"nobody can tell":         {blind: true, state: runUnresolved, incident: stateWithHuman, held: mitUnknown, acts: []string{"/opt/balancer drain b"}},
	} {
		t.Run(name, func(t *testing.T) {
			inShop(t, shopWith(t), func(s *shop) {
				s.answers["/opt/balancer drain b"] = []func() Result{func() Result {
					s.set(func() {
						s.drained["b"] = x.effect
						s.blind = x.blind
					})
					return Result{Outcome: InDoubt, Cause: "no answer within 20s"}
				}}
				s.breakNode("b")
				s.wait(12*time.Second + 65*time.Second)
				if x.blind {
					s.wait(time.Minute)
				}
				s.acts(x.acts...)
				c := s.incident()
				if c.Runs[0].State != x.state || c.Incident.State != x.incident || c.Mitigations[0].State != x.held {
					t.Errorf("run %s, incident %s, mitigation %s\n%s", c.Runs[0].State, c.Incident.State, c.Mitigations[0].State, s.story())
				}
			})
		})
	}
}

func TestAnUnresolvedRunWaitsForAPerson(t *testing.T) {
	for changed, want := range map[bool]string{true: mitHeld, false: mitReleased} {
		inShop(t, shopWith(t), func(s *shop) {
			s.set(func() { s.fenced = true })
			s.breakNode("b")
			s.wait(4 * time.Minute)
			c := s.in(stateWithHuman, codeUnresolved)
			var conflict *Conflict
			if err := s.engine.Retry(background, c.Incident.ID, "anna"); !errors.As(err, &conflict) {
				t.Errorf("retry beside an unresolved run: %v", err)
			}
			if err := s.engine.Close(background, c.Incident.ID, "anna"); !errors.As(err, &conflict) {
				t.Errorf("close beside an unresolved run: %v", err)
			}
			if holder, _ := s.store.Lock("node:b"); holder != c.Runs[0].ID {
				t.Errorf("the lock of an unresolved run is held by %q", holder)
			}
			if err := s.engine.Resolve(background, c.Runs[0].ID, "anna", changed); err != nil {
				t.Fatal(err)
			}
			c = s.incident()
			if c.Runs[0].State != runFailed || c.Mitigations[0].State != want {
				t.Errorf("changed=%v: run %s, mitigation %s, want failed and %s", changed, c.Runs[0].State, c.Mitigations[0].State, want)
			}
			if holder, _ := s.store.Lock("node:b"); holder != "" {
				t.Errorf("the lock is still held by %q", holder)
			}
			s.wait(time.Minute)
			s.acts("/opt/balancer drain b")
		})
	}
}

func TestAnIntentWithoutOutcomeIsVerifiedAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t, shopWith(t))
		s.open()
		s.answers["/opt/balancer drain b"] = []func() Result{func() Result {
			s.set(func() { s.drained["b"] = true })
			s.store.mu.Lock()
			s.store.trip = errors.New("disk is gone")
			s.store.mu.Unlock()
			s.cancel()
			return Result{Outcome: OK}
		}}
		s.breakNode("b")
		s.wait(time.Minute)
		<-s.done
		s.store.mu.Lock()
		s.store.trip = nil
		s.store.mu.Unlock()
		if c := s.incident(); c.Runs[0].State != runRunning || c.Runs[0].Steps[0].Outcome != "" || c.Mitigations[0].State != mitUnknown {
			t.Fatalf("the dead process left run %s, outcome %q, mitigation %s", c.Runs[0].State, c.Runs[0].Steps[0].Outcome, c.Mitigations[0].State)
		}
		s.open(func(o *Options) { o.Owner = "next" })
		defer s.shut()
		s.wait(time.Minute)
		s.acts("/opt/balancer drain b")
		c := s.in(stateRecovered, "")
		if r := c.Runs[0]; r.State != runSucceeded || r.Claim.Fence != 2 {
			t.Errorf("run %s under fence %d, want succeeded under 2", r.State, r.Claim.Fence)
		}
	})
}

func TestWhoeverLostItsLeaseActsNoMore(t *testing.T) {
	book := shopWith(t, "    steps: [{ exec: [/opt/balancer, drain, '{{ .Member.Labels.node }}'], timeout: 20s }]",
		"    steps: [{ exec: [/opt/balancer, drain, '{{ .Member.Labels.node }}'], timeout: 20s }, { exec: [/opt/restart, '{{ .Member.Labels.node }}'], timeout: 20s }]")
	inShop(t, book, func(s *shop) {
		s.answers["/opt/balancer drain b"] = []func() Result{func() Result {
			s.store.mu.Lock() // another owner has taken the run meanwhile
			for _, r := range s.store.Rns {
				r.Claim = Claim{Owner: "other", Fence: r.Claim.Fence + 1, LeaseUntil: time.Now().Add(time.Hour)}
			}
			s.store.mu.Unlock()
			return Result{Outcome: OK}
		}}
		s.breakNode("b")
		s.wait(30 * time.Second)
		s.acts("/opt/balancer drain b")
		if c := s.incident(); c.Runs[0].State != runRunning || c.Runs[0].Steps[0].Outcome != "" {
			t.Errorf("the former owner still wrote: run %s, outcome %q", c.Runs[0].State, c.Runs[0].Steps[0].Outcome)
		}
	})
}

func TestSelfRecoveryEndsAnIncidentBeforeItActs(t *testing.T) {
	inShop(t, shopWith(t), func(s *shop) {
		s.set(func() { s.up["b"] = false })
		s.alert("FaultDetected")
		s.wait(20 * time.Second)
		s.set(func() { s.up["b"] = true })
		s.resolve()
		s.wait(40 * time.Second)
		s.in(stateRecovered, codeSelfRecovered)
		s.wait(6 * time.Minute)
		c := s.in(stateClosed, codeQuiet)
		if c.instant("verified").Sub(c.instant("recovered")) < watchFor {
			t.Error("the proof was not held for its time")
		}
		s.acts()
	})
}

func TestMutedByOthersWaitsAndPeopleAreTold(t *testing.T) {
	inShop(t, shopWith(t), func(s *shop) {
		s.set(func() { s.muted = map[string]string{"FaultDetected": "silence:1", "FaultLocated": "inhibited:feed"} })
		s.breakNode("b")
		s.wait(20 * time.Second)
		s.in(stateWaiting, codeInhibited)
		if got := s.said(); !slices.Equal(got, []string{"oncall tell inhibited"}) {
			t.Errorf("people were told %v", got)
		}
		s.acts()
		s.set(func() { s.muted["FaultLocated"] = "" })
		s.wait(time.Minute)
		s.in(stateRecovered, "")
		s.acts("/opt/balancer drain b")
	})
	inShop(t, shopWith(t), func(s *shop) {
		s.set(func() { s.muted = map[string]string{"FaultDetected": "silence:1", "FaultLocated": "silence:1"} })
		s.breakNode("b")
		s.wait(3 * time.Minute)
		s.in(stateWithHuman, codeSilenced)
		s.acts()
		c := s.incident()
		if len(c.Decisions) != 1 || c.Decisions[0].Repeats < 10 {
			t.Errorf("%d decisions, the first repeated %d times: want one row with a counter", len(c.Decisions), c.Decisions[0].Repeats)
		}
	})
}

func TestWhoSilencesTheInhibitorStopsWhatItInhibits(t *testing.T) {
	located := fingerprint(map[string]string{
		"alertname": "FaultLocated", "service": "web", "severity": "page", "heal": "true",
		"signal": "availability", "scope": "node", "member": "b", "node": "b",
	})
	inShop(t, shopWith(t), func(s *shop) {
		s.set(func() {
			s.muted = map[string]string{"FaultDetected": "inhibited:" + located, "FaultLocated": "silence:1"}
		})
		s.breakNode("b")
		s.wait(30 * time.Second)
		s.in(stateWaiting, codeSilenced)
		s.acts()
	})
}

func TestAnAlertThatNoPeerHasJudgedIsNotActive(t *testing.T) {
	for _, mutedBy := range []string{unprocessed, unexplained} {
		inShop(t, shopWith(t), func(s *shop) {
			s.set(func() { s.muted = map[string]string{"FaultDetected": mutedBy, "FaultLocated": mutedBy} })
			s.breakNode("b")
			s.wait(15 * time.Second)
			s.in(stateWithHuman, codeCannotTell)
			s.acts()
		})
	}
}

func TestAnAlertmanagerThatIsNoLongerConfiguredMutesNobodyKnowsWhat(t *testing.T) {
	inShop(t, shopWith(t), func(s *shop) {
		s.breakNode("b")
		s.set(func() { s.away = true })
		s.wait(15 * time.Second)
		s.in(stateWithHuman, codeCannotTell)
		s.acts()
	})
}

func TestAfterARestartOfAlertmanagerAnAbsentAlertIsNotGone(t *testing.T) {
	inShop(t, shopWith(t, "mode: auto", "mode: observe"), func(s *shop) {
		s.breakNode("b")
		s.wait(15 * time.Second)
		s.set(func() { s.young = true; clear(s.firing) })
		s.wait(3 * time.Minute)
		if e := s.incident().Episodes[0]; !e.ClosedAt.IsZero() {
			t.Errorf("the episode was closed (%s), though Alertmanager cannot know yet", e.CloseReason)
		}
		s.set(func() { s.young = false })
		s.wait(31 * time.Second)
		if e := s.incident().Episodes[0]; !e.ClosedAt.IsZero() {
			t.Errorf("the episode was closed (%s) by a single reading", e.CloseReason)
		}
		s.wait(31 * time.Second)
		if e := s.incident().Episodes[0]; e.CloseReason != "gone" {
			t.Errorf("the episode was closed as %q, want gone", e.CloseReason)
		}
	})
}

func TestAReadingOpensOnlyWhatIsOurs(t *testing.T) {
	inShop(t, shopWith(t, "mode: auto", "mode: observe"), func(s *shop) {
		var got []string
		s.store.reconciled = func(a Alert) {
			if a.Routed {
				got = append(got, a.Labels["alertname"])
			}
		}
		fires := func(name string, receivers ...string) {
			set := map[string]string{"alertname": name, "service": "web"}
			s.set(func() {
				s.firing[name] = Alert{Fingerprint: fingerprint(set), Labels: set, StartsAt: time.Now(), Firing: true, Receivers: receivers}
			})
		}
		fires("DiskFull", "mail")
		fires("FaultLocated", "heal", "mail")
		s.wait(30 * time.Second)
		if got != nil {
			t.Errorf("nothing was cut short, and %v is ours", got)
		}
		if err := s.engine.Accept(background, "main", []byte(`{"version":"4","receiver":"heal","truncatedAlerts":1,"alerts":[]}`)); err != nil {
			t.Fatal(err)
		}
		s.wait(30 * time.Second)
		if !slices.Equal(got, []string{"FaultLocated"}) {
			t.Errorf("%v is ours, want what the receiver heal is sent", got)
		}
	})
}

func TestAnAlertInhibitedByItsOwnIncidentStillActs(t *testing.T) {
	inShop(t, shopWith(t), func(s *shop) {
		located := fingerprint(map[string]string{
			"alertname": "FaultLocated", "service": "web", "severity": "page", "heal": "true",
			"signal": "availability", "scope": "node", "member": "b", "node": "b",
		})
		s.set(func() {
			s.muted = map[string]string{"FaultDetected": "inhibited:" + located, "FaultLocated": "inhibited:" + located}
		})
		s.breakNode("b")
		s.wait(15 * time.Second)
		s.acts("/opt/balancer drain b")
	})
}

func TestASuspectedObserverStopsTheIncidentsItNames(t *testing.T) {
	for name, labels := range map[string][]string{"its service": {"observer", "x"}, "no service": {"observer", "x", "service", ""}} {
		t.Run(name, func(t *testing.T) {
			inShop(t, shopWith(t), func(s *shop) {
				s.alert("ObserverFault", labels...)
				s.wait(2 * time.Second)
				if list, _ := s.store.Incidents(background, true, 1); len(list) > 0 {
					t.Fatal("an ObserverFault has opened an incident")
				}
				s.breakNode("b")
				s.wait(20 * time.Second)
				s.in(stateWaiting, codeObserverFault)
				s.acts()
			})
		})
	}
}

func TestARelapseIsTheNextRoundAndAttemptsGoOn(t *testing.T) {
	inShop(t, shopWith(t), func(s *shop) {
		s.breakNode("b")
		s.wait(time.Minute)
		s.in(stateRecovered, "")
		s.set(func() { s.drained["b"] = false }) // somebody puts it back behind our back
		s.wait(26 * time.Second)
		c := s.incident()
		if c.Incident.Round != 1 || c.instant("fault_start").IsZero() || c.instantOf(0, "verified").IsZero() {
			t.Fatalf("round %d after a relapse\n%s", c.Incident.Round, s.story())
		}
		s.wait(90 * time.Second)
		s.in(stateRecovered, "")
		s.decisions("act act drain node:b", "not_applicable already_held drain node:b", "act act restart node:b")
		s.acts("/opt/balancer drain b", "/opt/restart b")
	})
}

func TestALateRelapseOpensASuccessor(t *testing.T) {
	inShop(t, shopWith(t), func(s *shop) {
		s.breakNode("b")
		s.wait(time.Minute)
		first := s.in(stateRecovered, "")
		s.wait(31 * time.Minute)
		s.set(func() { s.drained["b"] = false })
		s.wait(25 * time.Second)
		second := s.incident()
		if second.Incident.ID == first.Incident.ID || second.Incident.Previous != first.Incident.ID {
			t.Fatalf("the successor is %+v", second.Incident)
		}
		if in := second.Incident; in.FaultStartSource != startProof || in.OpenedAt.Sub(in.FaultStart) > 25*time.Second {
			t.Errorf("its fault began at %s by %s, %s before it was opened", in.FaultStart, in.FaultStartSource, in.OpenedAt.Sub(in.FaultStart))
		}
		for _, x := range second.Instants {
			if x.At.Before(second.Incident.FaultStart) {
				t.Errorf("%s of the successor lies before its fault", x.Name)
			}
		}
		if old, _ := s.store.Read(background, first.Incident.ID); old.Incident.CloseReason != string(codeSuperseded) {
			t.Errorf("the old incident is %s (%s)", old.Incident.State, old.Incident.CloseReason)
		}
		s.wait(2 * time.Minute)
		s.in(stateRecovered, "")
		s.decisions("not_applicable already_held drain node:b", "act act restart node:b")
	})
}

func TestANewIncidentInheritsTheAttemptsOfItsPredecessor(t *testing.T) {
	inShop(t, shopWith(t), func(s *shop) {
		s.breakNode("b")
		s.wait(time.Minute)
		c := s.in(stateRecovered, "")
		s.set(func() { s.up["b"], s.drained["b"] = true, false })
		s.resolve()
		if err := s.engine.Forget(background, c.Mitigations[0].ID, "anna"); err != nil {
			t.Fatal(err)
		}
		s.wait(6 * time.Minute)
		s.in(stateClosed, codeQuiet)
		s.breakNode("b")
		s.wait(90 * time.Second)
		s.decisions("not_applicable attempts_spent drain node:b", "act act restart node:b")
	})
}

func TestAReleaseThatMakesTheServiceBadIsTakenBackOnce(t *testing.T) {
	inShop(t, shopWith(t), func(s *shop) {
		s.breakNode("b")
		s.wait(time.Minute)
		m := s.in(stateRecovered, "").Mitigations[0]
		release := func() {
			t.Helper()
			if err := s.engine.Release(background, m.ID, "anna"); err != nil {
				t.Fatal(err)
			}
			s.wait(10 * time.Second)
			if got := s.incident().Mitigations[0].State; got != mitReleasing {
				t.Fatalf("while it is put back the mitigation is %s", got)
			}
			s.wait(90 * time.Second)
		}
		release()
		c := s.incident()
		if m := c.Mitigations[0]; m.State != mitHeld || !m.Reisolated {
			t.Fatalf("after a bad release: %s, applied again %v\n%s", m.State, m.Reisolated, s.story())
		}
		s.in(stateRecovered, "")
		release()
		if !slices.Contains(s.said(), "oncall hand_over release_overdue") {
			t.Errorf("after the second bad release people were told %v", s.said())
		}
		s.acts("/opt/balancer drain b", "/opt/balancer ready b", "/opt/balancer drain b", "/opt/balancer ready b", "/opt/balancer drain b")
	})
}

func TestReleaseIsRefusedWhileTheFaultLasts(t *testing.T) {
	inShop(t, shopWith(t), func(s *shop) {
		s.breakNode("b")
		s.wait(15 * time.Second)
		m := s.in(stateActing, codeAct).Mitigations[0]
		var conflict *Conflict
		if err := s.engine.Release(background, m.ID, "anna"); !errors.As(err, &conflict) {
			t.Errorf("release while acting: %v", err)
		}
		if err := s.engine.Release(background, "nonsense", "anna"); !errors.Is(err, ErrNotFound) {
			t.Errorf("release of nothing: %v", err)
		}
	})
}

func TestARunThatCannotBeginInTimeIsCancelled(t *testing.T) {
	inShop(t, shopWith(t), func(s *shop) {
		s.breakNode("b")
		s.wait(time.Minute)
		m := s.in(stateRecovered, "").Mitigations[0]
		s.store.mu.Lock()
		s.store.held["node:b"] = "a run of another incident"
		s.store.mu.Unlock()
		if err := s.engine.Release(background, m.ID, "anna"); err != nil {
			t.Fatal(err)
		}
		s.wait(time.Minute)
		if r := s.incident().Runs[1]; r.State != runReady || r.Reason != codeLock {
			t.Errorf("the queued run is %s (%s), want ready (lock)", r.State, r.Reason)
		}
		s.wait(2 * time.Minute)
		c := s.incident()
		if c.Runs[1].State != runCancelled || c.Mitigations[0].State != mitHeld {
			t.Errorf("run %s, mitigation %s, want cancelled and held", c.Runs[1].State, c.Mitigations[0].State)
		}
		if got := s.said(); !slices.Equal(got, []string{"oncall held"}) {
			t.Errorf("who asked for it was told %v", got)
		}
		s.acts("/opt/balancer drain b")
	})
}

func TestABusyTargetOrAFullCapWaitsForItsTurn(t *testing.T) {
	for want, take := range map[Code]func(m *memory, on bool){
		codeLock: func(m *memory, on bool) {
			if delete(m.held, "service:web"); on {
				m.held["service:web"] = "other"
			}
		},
		codeInFlight: func(m *memory, on bool) {
			if delete(m.slots, "all"); on {
				m.slots["all"] = []string{"other"}
			}
		},
	} {
		t.Run(string(want), func(t *testing.T) {
			inShop(t, shopWith(t), func(s *shop) {
				taken := func(on bool) {
					s.store.mu.Lock()
					defer s.store.mu.Unlock()
					take(s.store, on)
				}
				taken(true)
				s.breakNode("b")
				s.wait(30 * time.Second)
				s.in(stateWaiting, want)
				s.acts()
				taken(false)
				s.wait(10 * time.Second)
				s.acts("/opt/balancer drain b")
			})
		})
	}
}

func TestACooldownBeyondThePatienceIsRefusedAtOnce(t *testing.T) {
	book := shopWith(t, "first: 1m", "first: 15m", "cooldown: {", "attempts: 5, cooldown: {", "max: 10m", "max: 30m")
	inShop(t, book, func(s *shop) {
		s.answers["/opt/balancer drain b"] = []func() Result{func() Result { return Result{Outcome: Failed} }}
		s.answers["/opt/restart b"] = []func() Result{func() Result { return Result{Outcome: Failed} }}
		s.breakNode("b")
		s.wait(time.Minute)
		c := s.in(stateWithHuman, codeLadderEnd)
		if err := s.engine.Retry(background, c.Incident.ID, "anna"); err != nil {
			t.Fatal(err)
		}
		s.wait(10 * time.Second)
		c = s.in(stateWithHuman, codeCooldown)
		if got := c.Decisions[len(c.Decisions)-1].Numbers["cooldown_seconds"]; got != 1800.0 {
			t.Errorf("a cooldown of %v s after one failure, want 1800", got)
		}
	})
}

func TestPeopleAckTakeRetryCloseAndAbort(t *testing.T) {
	inShop(t, shopWith(t, "mode: auto", "mode: observe"), func(s *shop) {
		s.breakNode("b")
		s.wait(20 * time.Second)
		id := s.in(stateWithHuman, codeObserve).Incident.ID
		s.wait(5*time.Minute + time.Second)
		if n := count(s.said(), "oncall reminder observe"); n != 1 {
			t.Errorf("%d reminders after 5m, want 1", n)
		}
		if err := s.engine.Ack(background, id, "anna"); err != nil {
			t.Fatal(err)
		}
		s.wait(20 * time.Minute)
		if n := count(s.said(), "oncall reminder observe"); n != 1 {
			t.Errorf("%d reminders after the acknowledgement, want no more", n)
		}
		if err := s.engine.Close(background, id, "anna"); err != nil {
			t.Fatal(err)
		}
		s.wait(time.Minute)
		c := s.incident()
		if c.Incident.ID != id || c.Incident.CloseReason != "closed by anna" {
			t.Errorf("closed as %q, and an open episode of a closed incident opens nothing", c.Incident.CloseReason)
		}
		var conflict *Conflict
		if err := s.engine.Take(background, id, "anna"); !errors.As(err, &conflict) {
			t.Errorf("take a closed incident: %v", err)
		}
	})
	inShop(t, shopWith(t), func(s *shop) {
		s.set(func() { s.up["b"] = false })
		s.alert("FaultDetected")
		s.wait(time.Second)
		id := s.incident().Incident.ID
		if err := s.engine.Take(background, id, "anna"); err != nil {
			t.Fatal(err)
		}
		s.breakNode("b")
		s.wait(10 * time.Minute)
		s.in(stateWithHuman, codeTaken)
		s.acts()
		if err := s.engine.Retry(background, id, "anna"); err != nil {
			t.Fatal(err)
		}
		s.wait(time.Minute)
		s.in(stateRecovered, "")
	})
}

func count(list []string, word string) (n int) {
	for _, x := range list {
		if x == word {
			n++
		}
	}
	return n
}

func TestAbortStopsTheStepVerifiesAndHandsOver(t *testing.T) {
	inShop(t, shopWith(t), func(s *shop) {
		stopped := make(chan struct{})
		s.acting(func(ctx context.Context, a Action) Result {
			s.set(func() { s.did = append(s.did, strings.Join(a.Exec, " ")) })
			if a.Exec[1] != "drain" {
				return Result{Outcome: OK}
			}
			<-ctx.Done()
			close(stopped)
			return Result{Outcome: InDoubt, Cause: "killed"}
		})
		s.breakNode("b")
		s.wait(15 * time.Second)
		r := s.in(stateActing, codeAct).Runs[0]
		if err := s.engine.Abort(background, r.ID, "anna"); err != nil {
			t.Fatal(err)
		}
		<-stopped
		s.wait(2 * time.Minute)
		c := s.in(stateWithHuman, codeTaken)
		if c.Runs[0].State != runFailed {
			t.Errorf("the aborted run is %s, want failed: its effect is not there, and it was undone", c.Runs[0].State)
		}
		s.acts("/opt/balancer drain b", "/opt/balancer ready b")
	})
}

type executorFunc func(ctx context.Context, a Action) Result

func (f executorFunc) Do(ctx context.Context, a Action) Result { return f(ctx, a) }

func TestMessagesAreDeliveredAgainUntilTheyArrive(t *testing.T) {
	inShop(t, shopWith(t, "mode: auto", "mode: observe"), func(s *shop) {
		s.set(func() { s.sinkErr = errors.New("connection refused") })
		s.breakNode("b")
		s.wait(2 * time.Minute)
		tries := s.store.Out[0].Tries
		if tries < 6 || tries > 9 {
			t.Errorf("%d tries in 2m, want 1s, 2s, 4s … 1m apart", tries)
		}
		s.set(func() { s.sinkErr = nil })
		s.wait(time.Minute)
		if got := s.said(); len(got) != 1 || s.store.Out[0].SentAt.IsZero() {
			t.Errorf("delivered %v", got)
		}
	})
}

func TestAHandOverThatCannotBeKeptIsSentDirectlyAndOnce(t *testing.T) {
	inShop(t, shopWith(t, "mode: auto", "mode: observe"), func(s *shop) {
		disk := func(err error) {
			s.store.mu.Lock()
			defer s.store.mu.Unlock()
			s.store.trip = err
		}
		s.asked = func(query string) {
			if strings.HasPrefix(query, "ALERTS{") {
				disk(errors.New("disk full"))
			}
		}
		s.breakNode("b")
		s.wait(time.Minute)
		if got := s.said(); !slices.Equal(got, []string{"oncall hand_over observe"}) {
			t.Errorf("people were told %v", got)
		}
		s.in(stateDeciding, "")
		s.set(func() { s.asked = nil })
		disk(nil)
		s.wait(20 * time.Second)
		s.in(stateWithHuman, codeObserve)
	})
}

func TestTheLocksOfARunAreItsTargetAndItsService(t *testing.T) {
	inShop(t, shopWith(t), func(s *shop) {
		s.breakNode("b")
		s.wait(15 * time.Second)
		r := s.in(stateActing, codeAct).Runs[0]
		if !slices.Equal(r.Locks, []string{"node:b", "service:web"}) || !slices.Equal(r.Slots, []Slot{{"all", 1}, {"plan:drain", 1}}) {
			t.Errorf("locks %v, slots %v", r.Locks, r.Slots)
		}
	})
}
