package healer

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-kit/log"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/expfmt"

	"github.com/onefiveten/onefiveten/healer/plan"
)

// changing is what differs from run to run, or with the plan's text.
var changing = regexp.MustCompile("`[0-9]{13}-[0-9]{3}`|plan hash `[0-9a-f]{64}`")

// update writes what is expected anew: go test ./healer -update.
var update = flag.Bool("update", false, "write the expected texts anew")

// expected insists on the whole text of a file.
func expected(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("got\n%s\n%s", got, diff)
	}
}

// exposition is what a scrape of a registry reads.
func exposition(t *testing.T, r prometheus.Gatherer) string {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, f := range families {
		if _, err := expfmt.MetricFamilyToText(&text, f); err != nil {
			t.Fatal(err)
		}
	}
	return text.String()
}

func TestTheReviewTellsTheWholeIncident(t *testing.T) {
	inShop(t, shopWith(t), func(s *shop) {
		s.set(func() { s.up["b"] = false })
		s.alert("FaultDetected", "signal", "availability")
		s.wait(3 * time.Second)
		s.alert("FaultLocated", "signal", "availability", "scope", "node", "member", "b", "node", "b")
		s.wait(time.Minute)
		c := s.in(stateRecovered, "")
		if err := s.engine.Ack(background, c.Incident.ID, "anna <script>`x`"); err != nil {
			t.Fatal(err)
		}
		got, err := s.engine.Review(background, c.Incident.ID)
		if err != nil {
			t.Fatal(err)
		}
		got = changing.ReplaceAllString(got, "`…`")
		expected(t, "testdata/review.md", got)
	})
}

func TestTheTimelineTellsWhatHappenedInOrder(t *testing.T) {
	inShop(t, shopWith(t), func(s *shop) {
		s.breakNode("b")
		s.wait(time.Minute)
		var got []string
		for _, m := range timeline(s.in(stateRecovered, "")) {
			got = append(got, fmt.Sprintf("%s %s: %s", m.At.UTC().Format("04:05"), m.What, m.Text))
		}
		want := []string{
			"00:00 instant: fault_start, by startsAt",
			"00:00 instant: fired, by startsAt",
			"00:00 instant: received, by journal",
			"00:00 instant: located, by FaultLocated",
			"00:10 instant: planned, by journal",
			"00:10 instant: acted, by journal",
			"00:10 decision: rung 1 drain node:b: act (act): all guards allow",
			"00:10 step: act 1 try 1: “/opt/balancer drain b”: ok after 0s",
			"00:10 proof: proof answers cannot_tell",
			"00:10 mitigation: isolate on node:b may be in place from now on",
			"00:15 instant: recovered, by proof",
			"00:15 proof: proof answers good",
			"00:35 instant: verified, by proof",
			"00:35 run: drain on node:b ended succeeded",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}

func TestTextOfOthersStaysInACodeSpanOfOneLine(t *testing.T) {
	got := code("a`b\n# <!channel> @all [x](http://x) |")
	if got != "`a'b # <!channel> @all [x](http://x) |`" {
		t.Error(got)
	}
}

func TestTheMetricsOfAHealedNode(t *testing.T) {
	inShop(t, shopWith(t), func(s *shop) {
		s.alert("Watchdog", "service", "")
		s.breakNode("b")
		s.wait(time.Minute)
		m := s.in(stateRecovered, "").Mitigations[0]
		registry := prometheus.NewPedanticRegistry()
		if err := registry.Register(s.engine); err != nil {
			t.Fatal(err)
		}
		expected(t, "testdata/metrics.txt", exposition(t, registry))
		if n := testutil.CollectAndCount(s.engine, "heal_clock_seconds"); n != 5 {
			t.Errorf("%d clocks were read, want detect once, locate and recover twice", n)
		}
		s.set(func() { s.up["b"] = true })
		s.resolve()
		if err := s.engine.Release(background, m.ID, "anna"); err != nil {
			t.Fatal(err)
		}
		s.wait(10 * time.Second)
		if n := testutil.CollectAndCount(s.engine, "heal_isolated"); n != 1 {
			t.Error("while it is put back the member still counts as isolated")
		}
		s.wait(time.Minute)
		if n := testutil.CollectAndCount(s.engine, "heal_isolated"); n != 0 {
			t.Error("a released member must be absent, not 0")
		}
	})
}

func TestSimulateAnswersWhatWouldBeDecidedAndTouchesNothing(t *testing.T) {
	inShop(t, shopWith(t), func(s *shop) {
		s.set(func() { s.up["b"] = false })
		body := func(alerts ...map[string]string) []byte {
			list := []any{}
			for _, labels := range alerts {
				status := "firing"
				if labels["resolved"] != "" {
					status = "resolved"
					delete(labels, "resolved")
				}
				list = append(list, map[string]any{"status": status, "labels": labels, "startsAt": time.Now(), "endsAt": time.Now()})
			}
			text, err := json.Marshal(map[string]any{"version": "4", "alerts": list})
			if err != nil {
				t.Fatal(err)
			}
			return text
		}
		located := func(more ...string) map[string]string {
			set := map[string]string{"alertname": "FaultLocated", "service": "web", "scope": "node", "member": "b", "node": "b"}
			for i := 0; i < len(more); i += 2 {
				set[more[i]] = more[i+1]
			}
			return set
		}
		o := Options{Book: func() *plan.Book { return s.book }, Outside: s.outside, Logger: log.NewNopLogger()}
		simulate := func(bodies ...[]byte) (list []string) {
			got, err := Simulate(context.Background(), o, "main", bodies...)
			if err != nil {
				t.Fatal(err)
			}
			for _, x := range got {
				line := fmt.Sprintf("%s %s %v %s(%s)", x.Service, x.Scenario, x.Steps, x.State, x.Reason)
				for _, d := range x.Decisions {
					line += fmt.Sprintf(" %s/%s/%s", d.Verb, d.Code, d.Target)
				}
				list = append(list, line)
			}
			return list
		}
		for name, x := range map[string]struct{ got, want []string }{
			"a node":        {simulate(body(located())), []string{"web web-bad [/opt/balancer drain b] acting(act) act/act/node:b"}},
			"no such node":  {simulate(body(located("member", "x", "node", "x"))), []string{"web web-bad [] with_human(unknown_member) refuse/unknown_member/"}},
			"resolved":      {simulate(body(located()), body(located("resolved", "yes"))), nil},
			"no trigger":    {simulate(body(map[string]string{"alertname": "RecoveryOverdue", "service": "web"})), []string{"web  [] ()"}},
			"no service":    {simulate(body(map[string]string{"alertname": "Watchdog"})), []string{"  [] ()"}},
			"empty message": {simulate(body()), nil},
		} {
			if !slices.Equal(x.got, x.want) {
				t.Errorf("%s: %q, want %q", name, x.got, x.want)
			}
		}
		if _, err := Simulate(context.Background(), o, "main", []byte("{")); err == nil {
			t.Error("a body that is no message was simulated")
		}
		s.acts()
		if list, _ := s.store.Incidents(background, true, 10); len(list) > 0 {
			t.Error("simulate has opened an incident")
		}
	})
}

func TestAMessageSaysWhatPeopleNeed(t *testing.T) {
	inShop(t, shopWith(t, "mode: auto", "mode: observe"), func(s *shop) {
		s.breakNode("b")
		s.wait(15 * time.Second)
		body := regexp.MustCompile(`[0-9]{13}-[0-9]{3}`).ReplaceAllString(s.sent[0].Body, "ID")
		want := `{"version":"1","kind":"hand_over","code":"observe","text":"web: handed over to people (observe): it would act: drain on node:b",` +
			`"at":"2000-01-01T00:00:10Z","incident":"ID","cluster":"shop","service":"web","scenario":"web-bad","severity":1,"state":"with_human","round":0,` +
			`"scope":"node","members":["b"],"fault_start":"2000-01-01T00:00:00Z"}`
		if body != want {
			t.Errorf("got  %s\nwant %s", body, want)
		}
	})
}

func TestANotificationThatCannotBeReadIsKeptAsBad(t *testing.T) {
	inShop(t, shopWith(t), func(s *shop) {
		if err := s.engine.Accept(background, "main", []byte("{}")); err == nil || s.store.Bad != 1 {
			t.Errorf("%v, %d kept", err, s.store.Bad)
		}
	})
}

func TestAProofIsShownByItsQuestionsOnce(t *testing.T) {
	one := func(query, got string, answer Answer, why string) reading {
		return reading{Query: query, Want: "== 1", Got: []string{got}, Count: 1, Answer: answer, Why: why}
	}
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	p := &page{}
	reviewProof(p, []Sample{
		{At: at, Answer: Bad, Numbers: written([]reading{one("up", "0", Bad, "0 is not == 1")})},
		{At: at.Add(time.Second), Answer: Good, Numbers: written([]reading{one("up", "1", Good, "")})},
		{At: at.Add(2 * time.Second), Answer: Good, Numbers: written([]reading{one("up", "1", Good, ""), one("vip", "1", Good, "")})},
		{At: at.Add(3 * time.Second), Answer: CannotTell, Numbers: "a text of `another` shape"},
	})
	want := "  - proof asks A: `up` `== 1`\n" +
		"  - proof at 2026-01-01T00:00:00.000Z: bad; A `0` bad: `0 is not == 1`\n" +
		"  - proof at 2026-01-01T00:00:01.000Z: good; A `1`\n" +
		"  - proof asks A: `up` `== 1`\n" +
		"  - proof asks B: `vip` `== 1`\n" +
		"  - proof at 2026-01-01T00:00:02.000Z: good; A `1`; B `1`\n" +
		"  - proof at 2026-01-01T00:00:03.000Z: cannot_tell `a text of 'another' shape`\n"
	if diff := cmp.Diff(want, p.String()); diff != "" {
		t.Error(diff)
	}
	if letter(25) != "Z" || letter(26) != "Q27" {
		t.Errorf("got %s and %s, want Z and Q27", letter(25), letter(26))
	}
}
