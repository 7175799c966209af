package heal_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestHeal_DrainsVerifiesAndReleases(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.set(func() { w.bad["n2"] = true })
	w.eventually("the incident is recovered", func() bool { return w.state() == "recovered" })
	if diff := cmp.Diff([]string{"drain n2"}, w.called()); diff != "" {
		t.Errorf("what was done (-want +got):\n%s", diff)
	}
	i, _ := w.incident()
	if len(i.Mitigations) != 1 || i.Mitigations[0].State != "held" {
		t.Fatalf("mitigations: got %+v, want one held", i.Mitigations)
	}
	w.set(func() { w.bad["n2"] = false })
	w.command("mitigations", "release", i.Mitigations[0].ID)
	w.eventually("the mitigation is released", func() bool {
		i, _ := w.incident()
		return len(i.Mitigations) == 1 && i.Mitigations[0].State == "released"
	})
	if diff := cmp.Diff([]string{"drain n2", "ready n2"}, w.called()); diff != "" {
		t.Errorf("what was done (-want +got):\n%s", diff)
	}
}

func TestKill_BetweenAcceptAndActTheIncidentGoesOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, slowly)
	w.set(func() { w.bad["n2"] = true })
	w.eventually("the incident is open and gathers", func() bool { return w.state() == "locating" })
	w.heal.Kill()
	if n := len(w.called()); n != 0 {
		t.Fatalf("%d calls before the kill, want none: the test came too late", n)
	}
	w.startHeal()
	w.eventually("the incident is recovered", func() bool { return w.state() == "recovered" })
	if diff := cmp.Diff([]string{"drain n2"}, w.called()); diff != "" {
		t.Errorf("what was done (-want +got):\n%s", diff)
	}
}

// Between intent and result nobody can know whether the step happened: it is
// verified and never repeated.
func TestKill_BetweenIntentAndResultTheStepIsVerifiedNeverRepeated(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		effect bool
		state  string // of the run in the end
		calls  []string
	}{
		{"it took effect", true, "succeeded", []string{"drain n2"}},
		{"it took none", false, "failed", []string{"drain n2", "ready n2"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(o *options) {
				if !c.effect {
					o.verify = "20s"
				}
			})
			w.set(func() { w.bad["n2"], w.hang, w.effect = true, make(chan struct{}), c.effect })
			w.eventually("the step is under way", func() bool { return len(w.called()) == 1 })
			w.heal.Kill()
			w.release()
			w.startHeal()
			w.eventually("the run has ended "+c.state, func() bool {
				i, _ := w.incident()
				return len(i.Runs) == 1 && i.Runs[0].State == c.state
			})
			if diff := cmp.Diff(c.calls, w.called()); diff != "" {
				t.Errorf("what was done (-want +got):\n%s", diff)
			}
		})
	}
}

func TestForged_AnAlertThatPrometheusDoesNotSeeLeadsToNoAction(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var alerts []map[string]any
	for name, labels := range map[string]map[string]string{
		"FaultDetected": {},
		"FaultLocated":  {"scope": "node", "member": "n2", "node": "n2"},
	} {
		all := map[string]string{"alertname": name, "service": "shop", "heal": "true", "severity": "page", "signal": "availability"}
		for k, v := range labels {
			all[k] = v
		}
		alerts = append(alerts, map[string]any{"labels": all, "startsAt": time.Now(), "endsAt": time.Now().Add(time.Hour)})
	}
	// The entry is bad, so that nothing but the missing corroboration can stop it.
	w.set(func() { w.bad["n1"] = true })
	w.write("rules.yml", "groups: []\n")
	w.post(w.prometheus+"/-/reload", nil)
	w.post(w.alertmanager+"/api/v2/alerts", alerts)
	w.eventually("it is handed over as uncorroborated", func() bool {
		i, _ := w.incident()
		return i.State == "with_human" && i.decided("uncorroborated")
	})
	w.eventually("the desk is told", func() bool { return w.told("uncorroborated") })
	if n := len(w.called()); n != 0 {
		t.Errorf("%d actions were made, want none: %q", n, w.called())
	}
}

const ownInhibition = `inhibit_rules:
- {source_matchers: ['alertname="FaultLocated"'], target_matchers: ['alertname="FaultDetected"'], equal: [service]}
`

func TestOwnInhibition_DoesNotMuteTheIncident(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *options) { o.inhibit = ownInhibition })
	w.set(func() { w.bad["n2"] = true })
	w.eventually("the incident is recovered", func() bool { return w.state() == "recovered" })
	if diff := cmp.Diff([]string{"drain n2"}, w.called()); diff != "" {
		t.Errorf("what was done (-want +got):\n%s", diff)
	}
}

// A silence is the stop button that operators know. Placed while the incident
// gathers, it makes it wait; people are told at once.
func TestSilence_MakesTheIncidentWaitAndPeopleAreTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t, slowly)
	w.set(func() { w.bad["n2"] = true })
	w.eventually("the incident is open and gathers", func() bool { return w.state() == "locating" })
	w.post(w.alertmanager+"/api/v2/silences", map[string]any{
		"matchers":  []map[string]any{{"name": "service", "value": "shop", "isRegex": false, "isEqual": true}},
		"startsAt":  time.Now(),
		"endsAt":    time.Now().Add(time.Hour),
		"createdBy": "a person", "comment": "hands off",
	})
	w.eventually("it waits because of the silence", func() bool {
		i, _ := w.incident()
		return i.State == "waiting" && i.decided("silenced")
	})
	w.eventually("the desk is told", func() bool { return w.told("silenced") })
	w.stays(5*time.Second, "nothing is done", func() bool { return len(w.called()) == 0 })
}

func TestBadInput_IsAnsweredWithTheReason(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, c := range []struct {
		name, token, body, want string
	}{
		{"not JSON", "am-secret", "{", "400"},
		{"another version", "am-secret", `{"version":"3","alerts":[]}`, "400"},
		{"no alerts", "am-secret", `{"version":"4"}`, "400"},
		{"unknown fields are fine", "am-secret", `{"version":"4","alerts":[],"new":1}`, "200"},
		{"wrong token", "guess", `{}`, "401"},
		{"another role", "admin-secret", `{"version":"4","alerts":[]}`, "200"},
	} {
		if got := w.notify(c.token, c.body); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
	if got := w.notify("am-secret", fmt.Sprintf(`{"version":"4","alerts":[],"x":%q}`, slices.Repeat([]byte("x"), 4<<20))); got != "413" {
		t.Errorf("over 4 MiB: got %s, want 413", got)
	}
}
