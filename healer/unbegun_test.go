package healer

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestARunThatNeverBeganHasNothingToUndoHoweverItsProofComesOut(t *testing.T) {
	for _, x := range []struct {
		name   string
		means  means
		answer Answer
		want   runEvent
	}{
		{"bad", means{Undo: true}, Bad, runBad},
		{"bad, atomic", means{Atomic: true, Undo: true, UndoIdempotent: true}, Bad, runBad},
		{"good, atomic, undo idempotent", means{Atomic: true, Undo: true, UndoIdempotent: true}, Good, runBad},
		{"good, atomic, undo not idempotent", means{Atomic: true, Undo: true}, Good, runBad},
		{"good, atomic, no undo", means{Atomic: true}, Good, runBad},
		{"good, one step", means{Undo: true}, Good, runGood},
		{"put back, good", means{PutBack: true, Undo: true, UndoIdempotent: true}, Good, runBad},
		{"cannot tell", means{Undo: true}, CannotTell, runCannotTell},
	} {
		if got := x.means.afterProof(x.answer, courseDo, false); got != x.want {
			t.Errorf("%s: %s, want %s", x.name, got, x.want)
		}
	}
}

func TestNoUndoRunsWithoutItsDo(t *testing.T) {
	book := shopWith(t,
		"    steps: [{ exec: [/opt/restart, '{{ .Member.Labels.node }}'], timeout: 30s, idempotent: true }]\n",
		"    steps: [{ exec: [/opt/balancer, drain, '{{ .Member.Labels.node }}'], timeout: 9s }, { exec: [/opt/restart, '{{ .Member.Labels.node }}'], timeout: 9s }]\n"+
			"    undo: [{ exec: [/opt/balancer, ready, '{{ .Member.Labels.node }}'], timeout: 9s, idempotent: true }]\n",
		"node: [drain, restart]", "node: [restart]", "verify: { query: 'node_up{node=\"{{ .Member.Labels.node }}\"} == 1'", "verify: { healthy: service")
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t, book)
		s.kept = &stoppingStore{memory: s.store, stop: func() { s.cancel() }}
		s.open()
		s.breakNode("b")
		s.wait(15 * time.Second)
		<-s.done // the process dies between the decision and the first step
		s.set(func() { s.up["b"] = true })
		s.wait(10 * time.Minute) // and stays away for longer than the run may take
		s.kept = s.store
		s.open(func(o *Options) { o.Owner = "next" })
		defer s.shut()
		s.resolve()
		s.wait(2 * time.Minute)
		s.acts()
		c := s.in(stateRecovered, codeSelfRecovered)
		if r := c.Runs[0]; r.State != runFailed || len(r.Steps) > 0 {
			t.Errorf("the run that never began is %s with %d steps, want failed without any", r.State, len(r.Steps))
		}
	})
}
