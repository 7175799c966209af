package healer

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	incidentStates = []State{stateLocating, stateDeciding, stateWaiting, stateActing, stateRecovered, stateWithHuman, stateClosed}
	runStates      = []RunState{
		runAwaiting, runReady, runRunning, runVerifying, runUndoing, runHeld, runUnresolved,
		runSucceeded, runFailed, runCancelled, runRefused, runExpired, runSimulated,
	}
)

// The tables of HEALING 4, 11 and 12 as they stand there: "from: event → to".
const incidentText = `
locating: located → deciding
locating: look → locating
locating: self_recovered → recovered
locating: taken → with_human
locating: closed_by_person → closed
locating: plan_by_a_person → acting
deciding: act → acting
deciding: wait → waiting
deciding: not_applicable → deciding
deciding: look → deciding
deciding: hand_over → with_human
deciding: taken → with_human
deciding: self_recovered → recovered
deciding: closed_by_person → closed
deciding: plan_by_a_person → acting
waiting: look → deciding
waiting: max_wait → with_human
waiting: taken → with_human
waiting: self_recovered → recovered
waiting: closed_by_person → closed
waiting: plan_by_a_person → acting
acting: run_recovered → recovered
acting: run_not_enough → deciding
acting: run_failed → deciding
acting: run_void → deciding
acting: run_needless → recovered
acting: run_stopped → with_human
acting: run_refused → with_human
acting: run_skipped → deciding
acting: run_undecided → with_human
acting: run_held → acting
recovered: look → recovered
recovered: relapse → deciding
recovered: quiet → closed
recovered: closed_by_person → closed
recovered: release_failed → with_human
recovered: taken → with_human
recovered: plan_by_a_person → acting
with_human: proof_good → recovered
with_human: retry → deciding
with_human: plan_by_a_person → acting
with_human: reminder → with_human
with_human: taken → with_human
with_human: closed_by_person → closed`

const runText = `
awaiting_approval: yes → ready
awaiting_approval: no → refused
awaiting_approval: expires → expired
awaiting_approval: void → cancelled
ready: claimed → running
ready: guard_refuses → refused
ready: guard_waits → ready
ready: cancel → cancelled
running: steps_ok → verifying
running: rendered → simulated
running: step_failed_undo → undoing
running: step_failed → failed
running: in_doubt → verifying
running: kill → held
running: put_back_failed → unresolved
verifying: good → succeeded
verifying: bad_undo → undoing
verifying: bad → failed
verifying: bad_undo_unsafe → unresolved
verifying: cannot_tell → unresolved
verifying: lease_lost → verifying
undoing: undone → failed
undoing: undo_failed → unresolved
held: resume → verifying
held: abandon → unresolved
unresolved: resolve → failed`

const mitigationText = `
unknown: kept → held
unknown: undone → released
unknown: says_held → held
unknown: says_free → released
held: release → releasing
held: forgotten → released
releasing: put_back → released
releasing: reapplied → held
releasing: cancelled → held
releasing: says_held → held
releasing: says_free → released`

func linesOf(text string) []string {
	list := strings.Split(strings.TrimSpace(text), "\n")
	slices.Sort(list)
	return list
}

func TestTheTablesAreThoseOfThePage(t *testing.T) {
	var incidents, runs, mitigations []string
	for at, to := range incidentTable {
		incidents = append(incidents, string(at.from)+": "+string(at.on)+" → "+string(to))
	}
	for at, to := range runTable {
		runs = append(runs, string(at.from)+": "+string(at.on)+" → "+string(to))
	}
	for at, to := range mitTable {
		mitigations = append(mitigations, at.from+": "+string(at.on)+" → "+to)
	}
	for _, x := range []struct{ got, want []string }{{incidents, linesOf(incidentText)}, {runs, linesOf(runText)}, {mitigations, linesOf(mitigationText)}} {
		if slices.Sort(x.got); !slices.Equal(x.got, x.want) {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(x.got, "\n"), strings.Join(x.want, "\n"))
		}
	}
}

func TestEveryStateIsReachedAndLeftAndEndStatesAreEnds(t *testing.T) {
	reached, left := map[string]bool{"locating": true, "running": true, "awaiting_approval": true, "unknown": true}, map[string]bool{}
	for at, to := range incidentTable {
		reached[string(to)], left[string(at.from)] = true, true
	}
	for at, to := range runTable {
		reached[string(to)], left[string(at.from)] = true, true
	}
	for at, to := range mitTable {
		reached[to], left[at.from] = true, true
	}
	var all, ends []string
	for _, s := range incidentStates {
		all = append(all, string(s))
	}
	for _, s := range runStates {
		all = append(all, string(s))
		if s.ended() {
			ends = append(ends, string(s))
		}
	}
	all, ends = append(all, mitUnknown, mitHeld, mitReleasing, mitReleased), append(ends, "closed", "released")
	for _, s := range all {
		if !reached[s] {
			t.Errorf("nothing leads to %s", s)
		}
		if left[s] == slices.Contains(ends, s) {
			t.Errorf("%s: left %v, an end %v", s, left[s], slices.Contains(ends, s))
		}
	}
}

func TestAnEventThatAStateDoesNotKnowChangesNothing(t *testing.T) {
	now := time.Unix(1000, 0)
	for _, s := range incidentStates {
		for _, on := range []event{onLocated, onAct, onLook, onQuiet, onRetry, onRunFailed, onRelapse, "nonsense"} {
			if _, known := incidentTable[crossing{s, on}]; known {
				continue
			}
			c := &Case{Now: now, Incident: Incident{ID: "i", State: s, NextAt: now}}
			err := c.step(on, codeTaken, now, "")
			var conflict *Conflict
			if !errors.As(err, &conflict) || c.Incident.State != s || c.Incident.Reason != "" || len(c.Entries) > 0 {
				t.Errorf("%s in %s: %v, state %s", on, s, err, c.Incident.State)
			}
		}
	}
}

func TestEveryStateButActingAndClosedHasATimer(t *testing.T) {
	now := time.Unix(1000, 0)
	for at, to := range incidentTable {
		c := &Case{Now: now, Incident: Incident{ID: "i", State: at.from, NextAt: now}}
		if err := c.step(at.on, "", time.Time{}, ""); err != nil {
			t.Fatal(err)
		}
		if want := to != stateActing && to != stateClosed; c.Incident.NextAt.IsZero() == want {
			t.Errorf("%s on %s leads to %s with next_at %v", at.from, at.on, to, c.Incident.NextAt)
		}
		if (to == stateClosed) == c.Incident.ClosedAt.IsZero() {
			t.Errorf("%s on %s leads to %s, closed at %v", at.from, at.on, to, c.Incident.ClosedAt)
		}
	}
	for _, s := range runStates {
		if _, timed := timers[s]; timed == (s.ended() || s == runUnresolved) {
			t.Errorf("run in %s: a timer %v", s, timed)
		}
		if on, timed := timers[s]; timed && runTable[runCrossing{s, on}] == "" {
			t.Errorf("the timer of %s is %s, which it does not know", s, on)
		}
	}
}

// Timers alone: nobody answers, nothing can be told.
func TestTimersAloneEndEveryRunWithAPersonOrAnEnd(t *testing.T) {
	now := time.Unix(1000, 0)
	d := desk{book: shopWith(t), id: func() string { return "id" }}
	for _, s := range runStates {
		r := Run{ID: "r", Plan: "restart", Kind: "restart", State: s, Claim: Claim{Owner: "x", LeaseUntil: now}, Purpose: purposeRung}
		c := &Case{Now: now, Incident: Incident{ID: "i", Service: "web", State: stateActing}, Runs: []Run{r}}
		for n := 0; !c.Runs[0].State.ended() && c.Runs[0].State != runUnresolved; n++ {
			if n > 5 {
				t.Fatalf("from %s timers go round in %s", s, c.Runs[0].State)
			}
			if err := d.conclude(c, &c.Runs[0], timers[c.Runs[0].State], now, false, time.Time{}); err != nil {
				t.Fatal(err)
			}
		}
		if got := c.Runs[0].State; got != s && got != runUnresolved && got != runCancelled && got != runExpired {
			t.Errorf("from %s timers alone lead to %s", s, got)
		}
		if c.Runs[0].State != s && c.Incident.State == stateActing {
			t.Errorf("the run went from %s to %s by itself and the incident still acts", s, c.Runs[0].State)
		}
	}
}

func TestTimersAloneBringAnIncidentToAPersonOrAnEnd(t *testing.T) {
	d := desk{book: shopWith(t), id: func() string { return "id" }, risk: true}
	for _, from := range []State{stateLocating, stateDeciding, stateWaiting, stateRecovered, stateWithHuman} {
		for _, quiet := range []bool{false, true} {
			now := time.Unix(100000, 0)
			start := Instant{Name: "fault_start", At: now}
			c := &Case{
				Now: now, World: blank{}, Instants: []Instant{start, {Name: "verified", At: now}},
				Incident: Incident{ID: "i", Service: "web", State: from, NextAt: now, Severity: 3, WaitUntil: now.Add(time.Minute)},
			}
			if from != stateRecovered {
				c.Instants = c.Instants[:1]
			}
			if !quiet {
				c.Episodes = []Episode{{ID: "e", Trigger: true, OpenedAt: now, StartsAt: now, Labels: map[string]string{"alertname": "FaultDetected", "service": "web"}}}
			}
			for n := 0; n < 10_000 && c.Incident.State != stateWithHuman && c.Incident.State != stateClosed; n++ {
				if c.Now = latest(c.Now.Add(time.Second), c.Incident.NextAt); c.Incident.State == stateDeciding {
					if _, err := d.decide(c, facts{Healthy: CannotTell, MembersErr: "no answer"}, maker{Owner: "x"}); err != nil {
						t.Fatal(err)
					}
				} else if err := d.look(c, watch{}); err != nil {
					t.Fatal(err)
				}
			}
			want := stateWithHuman
			if from == stateRecovered {
				want = stateClosed
			}
			if from == stateRecovered && !quiet {
				want = stateRecovered // it stays while an alert fires, and does nothing
			}
			if c.Incident.State != want {
				t.Errorf("from %s (quiet %v) timers alone lead to %s, want %s", from, quiet, c.Incident.State, want)
			}
		}
	}
}

func TestARunThatDoesNotAnswerGoesToVerifyNeverToTheNextStep(t *testing.T) {
	now := time.Unix(1000, 0)
	second := stepRule{Timeout: 10 * time.Second}
	for _, x := range []struct {
		name  string
		rule  stepRule
		tries []Step
		want  move
	}{
		{"nothing tried", stepRule{Timeout: 5 * time.Second}, nil, move{courseDo, 0, 1, 5 * time.Second}},
		{"ok", stepRule{Timeout: 5 * time.Second}, []Step{{Outcome: OK}}, move{courseDo, 1, 1, 10 * time.Second}},
		{"failed", stepRule{Timeout: 5 * time.Second, Retries: 3, Idempotent: true}, []Step{{Outcome: Failed}}, move{Course: courseFailed}},
		{"in doubt", stepRule{Timeout: 5 * time.Second, Retries: 3}, []Step{{Outcome: InDoubt}}, move{Course: courseDoubt}},
		{"in doubt, idempotent", stepRule{Timeout: 5 * time.Second, Retries: 1, Idempotent: true}, []Step{{Outcome: InDoubt}}, move{courseDo, 0, 2, 4 * time.Second}},
		{"in doubt, idempotent, spent", stepRule{Timeout: 5 * time.Second, Retries: 1, Idempotent: true}, []Step{{Outcome: InDoubt}, {Outcome: InDoubt}}, move{Course: courseDoubt}},
		{"in doubt, idempotent, no retries", stepRule{Timeout: 5 * time.Second, Idempotent: true}, []Step{{Outcome: InDoubt}}, move{Course: courseDoubt}},
		{"in doubt, idempotent, time over", stepRule{Timeout: time.Second, Retries: 1, Idempotent: true}, []Step{{Outcome: InDoubt}}, move{Course: courseDoubt}},
		{"intent of a dead owner", stepRule{Timeout: 5 * time.Second}, []Step{{Fence: 1}}, move{Course: courseDoubt}},
		{"intent of a dead owner, idempotent", stepRule{Timeout: time.Second, Retries: 1, Idempotent: true}, []Step{{Fence: 1}}, move{courseDo, 0, 2, time.Second}},
		{"transient", stepRule{Timeout: 5 * time.Second, Retries: 1}, []Step{{Outcome: Transient}}, move{courseDo, 0, 2, 4 * time.Second}},
		{"transient, spent", stepRule{Timeout: 5 * time.Second, Retries: 1}, []Step{{Outcome: Transient}, {Outcome: Transient}}, move{Course: courseNothing}},
		{"transient, time over", stepRule{Timeout: time.Second, Retries: 9}, []Step{{Outcome: Transient}}, move{Course: courseNothing}},
		{"transient after doubt", stepRule{Timeout: time.Second, Retries: 9, Idempotent: true}, []Step{{Outcome: InDoubt}, {Outcome: Transient}}, move{Course: courseFailed}},
	} {
		r := Run{}
		for i, s := range x.tries {
			s.Phase, s.Try, s.IntentAt = phaseAct, i+1, now.Add(-time.Second)
			r.Steps = append(r.Steps, s)
		}
		got := script{Phase: phaseAct, Steps: []stepRule{x.rule, second}}.next(&r, 2, now)
		if got != x.want {
			t.Errorf("%s: %+v, want %+v", x.name, got, x.want)
		}
	}
}

func TestTheEndOfAProofMeansWhatThePageSays(t *testing.T) {
	for _, x := range []struct {
		name   string
		means  means
		answer Answer
		at     course
		want   runEvent
	}{
		{"good", means{}, Good, courseDone, runGood},
		{"good though in doubt", means{}, Good, courseDoubt, runGood},
		{"good, atomic, cut short, undo idempotent", means{Atomic: true, Undo: true, UndoIdempotent: true}, Good, courseDoubt, runBadUndo},
		{"good, atomic, cut short, undo not idempotent", means{Atomic: true, Undo: true}, Good, courseDo, runBadUnsafe},
		{"good, atomic, cut short, no undo", means{Atomic: true, UndoIdempotent: true}, Good, courseDoubt, runBadUnsafe},
		{"good, atomic, whole", means{Atomic: true, Undo: true}, Good, courseDone, runGood},
		{"bad, no undo", means{UndoIdempotent: true}, Bad, courseDone, runBad},
		{"bad, undo not idempotent", means{Undo: true}, Bad, courseDone, runBadUndo},
		{"bad, in doubt, undo idempotent", means{Undo: true, UndoIdempotent: true}, Bad, courseDoubt, runBadUndo},
		{"bad, in doubt, undo not idempotent", means{Undo: true}, Bad, courseDoubt, runBadUnsafe},
		{"bad, in doubt, no undo", means{UndoIdempotent: true}, Bad, courseDoubt, runBad},
		{"cannot tell", means{Undo: true, UndoIdempotent: true}, CannotTell, courseDone, runCannotTell},
		{"put back, good", means{PutBack: true, Undo: true}, Good, courseDone, runGood},
		{"put back, good, in doubt", means{PutBack: true, Undo: true, UndoIdempotent: true}, Good, courseDoubt, runBadUnsafe},
		{"put back, bad", means{PutBack: true, Undo: true}, Bad, courseDone, runBadUndo},
	} {
		if got := x.means.afterProof(x.answer, x.at, true); got != x.want {
			t.Errorf("%s: %s, want %s", x.name, got, x.want)
		}
	}
	if got := (means{Undo: true}).afterProof(Bad, courseDo, false); got != runBad {
		t.Errorf("a run that never began: %s, want %s, it has nothing to undo", got, runBad)
	}
}
