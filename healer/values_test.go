package healer

import (
	"context"
	"slices"
	"testing"
	"time"
)

// evils are values that would break out of what they stand in.
var evils = []string{
	`web1"}) or vector(1) #`, "--config=/etc/shadow", "x;disable server", "../../admin", "..", "$(reboot)", "`id`", "a b", "b\nc", `b"`, "b'", "{{ .Run.ID }}", "", "ü",
}

func TestAnEvilValueActsNowhereWhereverAPlanUsesIt(t *testing.T) {
	for where, pairs := range map[string][]string{
		"an argument": {"[/opt/restart, '{{ .Member.Labels.node }}']", "[/opt/restart, '{{ .Alert.Labels.owner }}']"},
		"a URL": {
			"exec: { programs", "http: { allowed_hosts: ['gw:80'] }\nexec: { programs",
			"{ exec: [/opt/restart, '{{ .Member.Labels.node }}'], timeout: 30s", "{ http: { method: PUT, url: 'http://gw:80/{{ .Alert.Labels.owner }}/x' }, timeout: 30s",
		},
		"a body": {
			"exec: { programs", "http: { allowed_hosts: ['gw:80'] }\nexec: { programs",
			"{ exec: [/opt/restart, '{{ .Member.Labels.node }}'], timeout: 30s", "{ http: { method: PUT, url: 'http://gw:80/x', body: { to: '{{ .Alert.Labels.owner }}' } }, timeout: 30s",
		},
		"the proof":   {`node_up{node="{{ .Member.Labels.node }}"} == 1`, `node_up{node="{{ .Alert.Labels.owner }}"} == 1`},
		"a condition": {"    kind: restart\n    mode: auto\n    target: 'node", "    kind: restart\n    when: ['node_up{node=\"{{ .Alert.Labels.owner }}\"} == 0']\n    mode: auto\n    target: 'node"},
	} {
		t.Run(where, func(t *testing.T) {
			for _, evil := range evils {
				inShop(t, shopWith(t, append(pairs, "node: [drain, restart]", "node: [restart]")...), func(s *shop) {
					s.set(func() { s.up["b"] = false })
					s.alert("FaultLocated", "scope", "node", "member", "b", "node", "b", "owner", evil)
					s.wait(30 * time.Second)
					c := s.incident()
					if c.Incident.State != stateWithHuman || !slices.Contains([]Code{codeUnsafeValue, codeCannotTell}, c.Incident.Reason) {
						t.Errorf("%q: the incident is %s (%s)", evil, c.Incident.State, c.Incident.Reason)
					}
					s.acts()
				})
			}
		})
	}
}

func TestAWiderPatternBringsAValueAsOneUnchangedArgument(t *testing.T) {
	for _, odd := range []string{"a b", "$(reboot)", "x;disable server", "b\nc", `b"'`, "-rf", "*"} {
		book := shopWith(t, "[/opt/restart, '{{ .Member.Labels.node }}']", "[/opt/restart, '{{ .Alert.Labels.owner }}']",
			"node: [drain, restart]", "node: [restart]", "    kind: restart\n    mode: auto\n    target: 'node", "    kind: restart\n    values: '(?s).+'\n    mode: auto\n    target: 'node")
		inShop(t, book, func(s *shop) {
			var asked [][]string
			s.acting(func(_ context.Context, a Action) Result {
				asked = append(asked, a.Exec)
				return Result{Outcome: OK}
			})
			s.set(func() { s.up["b"] = false })
			s.alert("FaultLocated", "scope", "node", "member", "b", "node", "b", "owner", odd)
			s.wait(12 * time.Second)
			if len(asked) != 1 || !slices.Equal(asked[0], []string{"/opt/restart", odd}) {
				t.Errorf("the program was given %q, want %q as one argument\n%v", asked, odd, s.decided())
			}
		})
	}
}

func TestAReloadInTheMiddleOfARunChangesNothingForIt(t *testing.T) {
	inShop(t, shopWith(t), func(s *shop) {
		changed := shopWith(t, "/opt/balancer, ready", "/opt/balancer, forget", "verify: { healthy: service, for: 20s, within: 60s }\n    undo", "verify: { healthy: service, for: 40s, within: 90s }\n    undo")
		s.answers["/opt/balancer drain b"] = []func() Result{func() Result {
			s.set(func() { s.book = changed })
			return Result{Outcome: Failed}
		}}
		s.breakNode("b")
		s.wait(15 * time.Second)
		s.acts("/opt/balancer drain b", "/opt/balancer ready b", "/opt/restart b")
		if runs := s.incident().Runs; runs[0].PlanHash == runs[1].PlanHash {
			t.Error("two plans have one hash")
		}
	})
	inShop(t, shopWith(t, "mode: auto", "mode: observe"), func(s *shop) {
		gone := shopWith(t, "- name: web\n", "- name: other\n", `'service="web"'`, `'service="other"'`)
		s.breakNode("b")
		s.wait(15 * time.Second)
		s.in(stateWithHuman, codeObserve)
		s.set(func() { s.book = gone })
		s.wait(6 * time.Minute)
		s.in(stateWithHuman, codeObserve) // a service that has left keeps its incident
	})
}

func TestPeopleAreRemindedUntilTheyAcknowledge(t *testing.T) {
	inShop(t, shopWith(t, "mode: auto", "mode: observe"), func(s *shop) {
		s.set(func() { s.vip = new(bool) })
		s.breakNode("b")
		s.wait(16 * time.Minute)
		want := []string{"oncall hand_over observe", "oncall reminder observe", "oncall tell recover_deadline", "oncall reminder observe", "oncall reminder observe"}
		if got := s.said(); !slices.Equal(got, want) {
			t.Errorf("in 16m people were told %v", got)
		}
		if err := s.engine.Ack(background, s.incident().Incident.ID, "anna"); err != nil {
			t.Fatal(err)
		}
		s.wait(20 * time.Minute)
		if got := s.said(); len(got) != len(want) {
			t.Errorf("after the ack people were told %v", got[len(want):])
		}
	})
}
