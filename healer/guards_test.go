package healer

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// elsewhere is a World with answers of its own.
type elsewhere struct {
	locks map[string]string
	slots map[string]int
	runs  []Run
	err   error
}

func (w elsewhere) Lock(target string) (string, error)                { return w.locks[target], w.err }
func (w elsewhere) Slots(scope string) (int, error)                   { return w.slots[scope], w.err }
func (w elsewhere) PlanRuns(string, string, time.Time) ([]Run, error) { return w.runs, w.err }

// scene is a case in which every guard allows, for a test to spoil.
type scene struct {
	c    *Case
	f    facts
	w    *elsewhere
	desk desk
	plan string // of the only rung
}

func newScene(t *testing.T) *scene {
	at := now0.Add(-time.Minute)
	located := trigger(alertLocated, at, "scope", "node", "member", "b", "node", "b")
	key := located.Source + "/" + located.Fingerprint
	return &scene{
		plan: "drain", w: &elsewhere{}, desk: desk{book: shopWith(t), risk: true, id: func() string { return "id" }},
		c: &Case{Now: now0, Episodes: []Episode{located}, Incident: Incident{ID: "i", Service: "web", State: stateDeciding, WaitUntil: now0.Add(2 * time.Minute)}},
		f: facts{
			Members: []member{{Labels: map[string]string{"node": "a"}, Healthy: true}, {Labels: map[string]string{"node": "b"}}},
			Healthy: Bad, Confirmed: Good, When: Good, Asked: map[string]bool{"main": true}, Muted: map[string]string{key: ""},
		},
	}
}

// ruling says what the guards answer: "verb code, next look".
func (s *scene) ruling(t *testing.T) string {
	t.Helper()
	s.c.World = s.w
	for i, r := range s.desk.book.Scenarios[0].Ladders["node"] {
		if r.Plan == s.plan {
			s.c.Incident.Rung = i
		}
	}
	k := s.desk.choose(s.c, s.f)
	if s.f.Rung == "" {
		s.f.Rung = k.rungKey()
	}
	r, err := s.desk.judge(s.c, k, s.f)
	if err != nil {
		return "error " + err.Error()
	}
	text := string(r.Verb) + " " + string(r.Code)
	if !r.Next.IsZero() {
		text += fmt.Sprintf(", looks again in %s", r.Next.Sub(now0))
	}
	return text
}

func TestEachGuardSaysItsOwnCode(t *testing.T) {
	mode := func(m string) func(*scene) {
		return func(s *scene) { s.desk.book.Plans["drain"].Mode = m }
	}
	rested := func(end time.Duration, state RunState, purpose string) Run {
		return Run{ID: "old", Incident: "other", Purpose: purpose, State: state, CreatedAt: now0.Add(end - time.Second), EndedAt: now0.Add(end)}
	}
	for name, x := range map[string]struct {
		spoil func(*scene)
		want  string
	}{
		"all allow":       {func(*scene) {}, "act act"},
		"plan is off":     {func(s *scene) { s.desk.book.Plans["drain"].Enabled = false }, "not_applicable disabled"},
		"service is off":  {func(s *scene) { s.desk.book.Services["web"].Enabled = false }, "not_applicable disabled"},
		"unsafe value":    {func(s *scene) { s.f.Members[1].Labels["node"] = "b"; s.c.Episodes[0].Labels["member"] = "b c" }, "refuse unknown_member"},
		"members unknown": {func(s *scene) { s.f.MembersErr = "time-out" }, "refuse cannot_tell"},
		"a name twice":    {func(s *scene) { s.f.Members[0].Labels["node"] = "b" }, "refuse unknown_member"},
		"held": {func(s *scene) {
			s.c.Mitigations = []Mitigation{{Target: "node:b", Kind: kindIsolate, State: mitUnknown}}
		}, "not_applicable already_held"},
		"held in another way": {func(s *scene) { s.c.Mitigations = []Mitigation{{Target: "node:b", Kind: "throttle", State: mitHeld}} }, "act act"},
		"held and released": {func(s *scene) {
			s.c.Mitigations = []Mitigation{{Target: "node:b", Kind: kindIsolate, State: mitReleased}}
		}, "act act"},
		"attempt here": {func(s *scene) {
			s.w.runs = []Run{{Incident: "i", Purpose: purposeRung, State: runFailed, CreatedAt: now0.Add(-time.Hour)}}
		}, "not_applicable attempts_spent"},
		"attempt of the predecessor": {func(s *scene) {
			s.f.Chain = []string{"before"}
			s.w.runs = []Run{{Incident: "before", Purpose: purposeRung, State: runFailed, CreatedAt: now0.Add(-time.Hour)}}
		}, "not_applicable attempts_spent"},
		"attempt that never began": {func(s *scene) {
			s.w.runs = []Run{{Incident: "i", Purpose: purposeRung, State: runCancelled, CreatedAt: now0}}
		}, "act act"},
		"attempt by a person": {func(s *scene) {
			s.w.runs = []Run{{Incident: "i", Purpose: purposeManual, State: runFailed, CreatedAt: now0.Add(-time.Hour)}}
		}, "act act"},
		"predecessor unreadable":     {func(s *scene) { s.f.ChainErr = "disk" }, "refuse cannot_tell"},
		"target locked":              {func(s *scene) { s.w.locks = map[string]string{"node:b": "r"} }, "wait lock, looks again in 5s"},
		"service locked":             {func(s *scene) { s.w.locks = map[string]string{"service:web": "r"} }, "wait lock, looks again in 5s"},
		"claim lost in the moment":   {func(s *scene) { s.f.Taken = true }, "wait lock, looks again in 5s"},
		"run of ours":                {func(s *scene) { s.c.Runs = []Run{{ID: "r", State: runVerifying}} }, "wait run_active, looks again in 5s"},
		"all slots taken":            {func(s *scene) { s.w.slots = map[string]int{"all": 1} }, "wait in_flight, looks again in 5s"},
		"slot of the plan taken":     {func(s *scene) { s.w.slots = map[string]int{"plan:drain": 1} }, "wait in_flight, looks again in 5s"},
		"cooldown that ends in time": {func(s *scene) { s.w.runs = []Run{rested(-50*time.Second, runSucceeded, purposeRung)} }, "wait cooldown, looks again in 10s"},
		"cooldown that does not": {func(s *scene) {
			s.w.runs = []Run{rested(-time.Second, runFailed, purposeRung), rested(-time.Hour, runFailed, purposeRung)}
		}, "refuse cooldown"},
		"cooldown is over":         {func(s *scene) { s.w.runs = []Run{rested(-time.Minute, runSucceeded, purposeRung)} }, "act act"},
		"a release does not count": {func(s *scene) { s.w.runs = []Run{rested(-time.Second, runSucceeded, purposePutBack)} }, "act act"},
		"patience ends before the look": {func(s *scene) {
			s.c.Incident.WaitUntil = now0.Add(2 * time.Second)
			s.f.Taken = true
		}, "wait lock, looks again in 2s"},
		"silenced":             {func(s *scene) { s.f.Muted["main/FaultLocated"] = "silence:1" }, "wait silenced, looks again in 5s"},
		"inhibited":            {func(s *scene) { s.f.Muted["main/FaultLocated"] = "inhibited:feed" }, "wait inhibited, looks again in 5s"},
		"not shown":            {func(s *scene) { clear(s.f.Muted) }, "refuse cannot_tell"},
		"not asked":            {func(s *scene) { s.f.Asked = nil }, "refuse cannot_tell"},
		"cannot be asked":      {func(s *scene) { s.f.MutedErr = "no peer" }, "refuse cannot_tell"},
		"observer without one": {func(s *scene) { s.f.Veto = "observer x" }, "wait observer_fault, looks again in 5s"},
		"observer of ours": {func(s *scene) {
			e := trigger(alertObserver, now0)
			e.Trigger = false
			s.c.Episodes = append(s.c.Episodes, e)
		}, "wait observer_fault, looks again in 5s"},
		"observer is well": {func(s *scene) {
			e := trigger(alertObserver, now0)
			e.Trigger, e.ClosedAt = false, now0
			s.c.Episodes = append(s.c.Episodes, e)
		}, "act act"},
		"uncorroborated":       {func(s *scene) { s.f.Confirmed = Bad }, "refuse uncorroborated"},
		"corroboration failed": {func(s *scene) { s.f.Confirmed = CannotTell }, "refuse cannot_tell"},
		"observed, unseen":     {func(s *scene) { mode("observe")(s); s.f.Confirmed = Bad }, "would_act observe"},
		"dry run":              {mode("dry_run"), "would_act dry_run"},
		"approve":              {mode("approve"), "refuse mode_approve"},
		"risk not taken":       {func(s *scene) { s.desk.risk = false }, "refuse mode_approve"},
		"the store fails":      {func(s *scene) { s.w.err = errors.New("disk") }, "error judge guard S11 attempts of plan drain: disk"},
		"two guards at once, the first decides": {func(s *scene) {
			s.w.locks, s.f.Confirmed = map[string]string{"node:b": "r"}, Bad
		}, "wait lock, looks again in 5s"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			x.spoil(s)
			if got := s.ruling(t); got != x.want {
				t.Errorf("got %s, want %s", got, x.want)
			}
		})
	}
}

func TestAnswersForAnotherPlanAreWorthNothing(t *testing.T) {
	s := newScene(t)
	s.desk.book = shopWith(t, "    release: manual", "    release: manual\n    when: ['vip_up == 0']")
	for when, want := range map[Answer]string{Good: "act act", Bad: "not_applicable when_false", CannotTell: "refuse cannot_tell"} {
		s.f.When, s.f.Rung = when, ""
		if got := s.ruling(t); got != want {
			t.Errorf("%s: %s, want %s", when, got, want)
		}
	}
	s.f.When, s.f.Rung = Good, "restart node:b"
	if got := s.ruling(t); got != "refuse cannot_tell" {
		t.Errorf("asked for another rung: %s", got)
	}
}

func TestTheGuardsThatAreNotBuiltAreNamed(t *testing.T) {
	got := strings.Join(GuardsNotBuilt(), ", ")
	want := "S6 blast radius, S1 holds, S18 start-up grace, S12 breaker, S17 own hosts, S5 budget, S7 storm, S8 blockers, S15 evidence, S2 demotion"
	if got != want {
		t.Errorf("got %s", got)
	}
}
