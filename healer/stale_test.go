package healer

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// frozen is a journal whose process is stopped for a while, once, between the
// questions of a decision and the decision itself.
type frozen struct {
	*memory
	until func() bool // reports whether it is to be frozen now
	thaw  time.Duration
}

func (f *frozen) Update(ctx context.Context, incident, run string, by Claim, change func(*Case) error) error {
	if f.until() {
		<-time.After(f.thaw)
	}
	return f.memory.Update(ctx, incident, run, by, change)
}

func TestADecisionDoesNotRestOnOldAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t, shopWith(t))
		asked, done := false, false
		s.asked = func(query string) { s.set(func() { asked = asked || len(query) > 6 && query[:6] == "ALERTS" }) }
		s.kept = &frozen{memory: s.store, thaw: 12 * time.Second, until: func() (now bool) {
			s.set(func() {
				now = asked && !done
				if done = done || now; now { // all that was asked is no longer true
					s.muted = map[string]string{"FaultDetected": "silence:1", "FaultLocated": "silence:1"}
				}
			})
			return now
		}}
		s.open()
		defer s.shut()
		s.breakNode("b")
		s.wait(40 * time.Second)
		s.in(stateWaiting, codeSilenced)
		s.acts()
	})
}

// slowAlerts answers after a while and counts its readings.
type slowAlerts struct {
	takes    time.Duration
	readings int
}

func (a *slowAlerts) Alerts(context.Context) ([]Alert, bool, error) {
	a.readings++
	<-time.After(a.takes)
	return nil, true, nil
}

func TestDecisionsThatAskAtOnceShareTheReadingThatBeganAfterThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		am, shared, began := &slowAlerts{takes: 2 * time.Second}, (&Engine{}).reading("main"), time.Now()
		var all sync.WaitGroup
		for i := range turns {
			all.Go(func() {
				<-time.After(time.Duration(i) * time.Millisecond)
				if _, err := shared.alerts(t.Context(), am, shareFor); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if took := time.Since(began); took > 4*time.Second+10*time.Millisecond || am.readings > 2 {
			t.Errorf("%d decisions took %d readings and %s, want the one under way and one more", turns, am.readings, took)
		}
		if _, err := shared.alerts(t.Context(), am, 0); err != nil || am.readings > 3 {
			t.Errorf("an alert that came this moment: %d readings, %v", am.readings, err)
		}
	})
}
