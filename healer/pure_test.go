package healer

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/onefiveten/onefiveten/healer/plan"
)

// now0 is the present of the pure tests.
var now0 = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func trigger(name string, at time.Time, labels ...string) Episode {
	e := Episode{
		ID: name, Source: "main", Fingerprint: name, Trigger: true, OpenedAt: at, StartsAt: at,
		Labels: map[string]string{"alertname": name, "service": "web"}, Annotations: map[string]string{},
	}
	for i := 0; i < len(labels); i += 2 {
		e.Labels[labels[i]] = labels[i+1]
	}
	return e
}

func TestTheFaultStartIsTheEarliestThatCanBeTrue(t *testing.T) {
	unix := func(d time.Duration) string { return fmt.Sprintf("%.3f", float64(now0.Add(d).UnixMilli())/1000) }
	for name, x := range map[string]struct {
		said     []string
		readings []startReading
		want     time.Duration
		source   string
		unsure   time.Duration
	}{
		"the annotation":            {said: []string{unix(-40 * time.Second)}, want: -40 * time.Second, source: "annotation"},
		"the earliest of two":       {said: []string{unix(-40 * time.Second), unix(-50 * time.Second)}, want: -50 * time.Second, source: "annotation"},
		"after startsAt":            {said: []string{unix(time.Second)}, source: "startsAt", unsure: time.Minute},
		"more than a day before":    {said: []string{unix(-25 * time.Hour)}, source: "startsAt", unsure: time.Minute},
		"no number":                 {said: []string{"<no value>"}, source: "startsAt", unsure: time.Minute},
		"NaN":                       {said: []string{"NaN"}, source: "startsAt", unsure: time.Minute},
		"infinite":                  {said: []string{"+Inf"}, source: "startsAt", unsure: time.Minute},
		"a reading":                 {said: []string{""}, readings: []startReading{{now0.Add(-9 * time.Second), "probe"}}, want: -9 * time.Second, source: "probe"},
		"the first reading that is": {said: []string{""}, readings: []startReading{{now0.Add(9 * time.Second), "probe"}, {now0.Add(-3 * time.Second), "ALERTS_FOR_STATE"}}, want: -3 * time.Second, source: "ALERTS_FOR_STATE"},
		"an annotation beats it":    {said: []string{unix(-4 * time.Second)}, readings: []startReading{{now0.Add(-9 * time.Second), "probe"}}, want: -4 * time.Second, source: "annotation"},
	} {
		var list []*Episode
		for _, said := range x.said {
			e := trigger("FaultDetected", now0)
			e.Annotations["fault_start"] = said
			list = append(list, &e)
		}
		at, source, unsure := faultStart(list, x.readings, time.Minute)
		if !at.Equal(now0.Add(x.want)) || source != x.source || unsure != x.unsure {
			t.Errorf("%s: %s by %s ± %s", name, at, source, unsure)
		}
	}
}

func TestBadNotificationsAreNamedAndUnknownFieldsAccepted(t *testing.T) {
	alert := `{"status":"firing","labels":{"alertname":"A"},"annotations":{},"startsAt":"2026-03-01T12:00:00Z","endsAt":"0001-01-01T00:00:00Z"`
	for body, want := range map[string]string{
		`{`:                             `reading the notification: got no JSON of a webhook message: unexpected end of JSON input`,
		`[]`:                            `reading the notification: got no JSON of a webhook message: json: cannot unmarshal array into Go value of type healer.envelope`,
		`{"version":"3","alerts":[]}`:   `reading the notification: got version "3", want "4"`,
		`{"alerts":[]}`:                 `reading the notification: got version "", want "4"`,
		`{"version":"4"}`:               `reading the notification: got no field "alerts", want a list`,
		`{"version":"4","alerts":[{}]}`: `reading the notification: alerts[0]: got no labels, want at least one`,
		`{"version":"4","alerts":[` + alert + `},{"labels":{"a":"b"}}]}`:                      `reading the notification: alerts[1]: got no startsAt, want an instant`,
		`{"version":"4","alerts":[` + strings.Replace(alert, "firing", "pending", 1) + `}]}`:  `reading the notification: alerts[0]: got status "pending", want firing or resolved`,
		`{"version":"4","alerts":[` + strings.Replace(alert, "firing", "resolved", 1) + `}]}`: `reading the notification: alerts[0]: got no endsAt of a resolved alert, want an instant`,
		`{"version":"4","alerts":[]}`: "",
		`{"version":"4","alerts":[` + alert + `,"new":{"x":1}}],"notification_reason":"x","truncatedAlerts":7}`: "",
	} {
		_, _, err := parseWebhook([]byte(body))
		got := ""
		if err != nil {
			got = err.Error()
		}
		var bad *BadNotification
		if got != want || (err != nil) != errors.As(err, &bad) {
			t.Errorf("%s\ngot  %s\nwant %s", body, got, want)
		}
	}
}

func FuzzParseWebhook(f *testing.F) {
	f.Add([]byte(`{"version":"4","alerts":[{"status":"firing","labels":{"alertname":"A"},"startsAt":"2026-03-01T12:00:00Z"}]}`))
	f.Add([]byte(`{"version":"4","alerts":null}`))
	f.Add([]byte(`{"version":"4","alerts":[null]}`))
	f.Add([]byte(`{"version":"4","alerts":[{"status":"resolved","labels":{"":""},"startsAt":"0000-01-01T00:00:00Z"}],"truncatedAlerts":-1}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		alerts, _, err := parseWebhook(body)
		if err != nil {
			return
		}
		for _, a := range alerts {
			if a.Fingerprint == "" || len(a.Labels) == 0 || a.StartsAt.IsZero() || a.Firing && !a.EndsAt.IsZero() {
				t.Errorf("accepted %+v", a)
			}
		}
	})
}

// The fingerprint that Alertmanager gives to this label set.
func TestAMissingFingerprintIsComputedAsAlertmanagerDoes(t *testing.T) {
	body := `{"version":"4","alerts":[{"status":"resolved","labels":{"alertname":"Watchdog","severity":"none"},"startsAt":"2026-03-01T12:00:00Z","endsAt":"2026-03-01T12:01:00Z"}]}`
	alerts, _, err := parseWebhook([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	set := map[string]string{"alertname": "Watchdog", "severity": "none"}
	if alerts[0].Fingerprint != fingerprint(set) || len(alerts[0].Fingerprint) != 16 || alerts[0].EndsAt.IsZero() {
		t.Errorf("got %+v", alerts[0])
	}
}

func TestTheBothReadingsOfTheClocks(t *testing.T) {
	targets := plan.Targets{Detect: time.Minute, Locate: 5 * time.Minute, Recover: 10 * time.Minute}
	at := func(name string, d time.Duration) Instant { return Instant{Name: name, At: now0.Add(d)} }
	start := at("fault_start", 0)
	line := func(c *Case) (list []string) {
		for _, r := range readings(c, 0, targets) {
			list = append(list, fmt.Sprintf("%s from %s %s %s", r.Stage, r.From, r.Took, verdictOf(r)))
		}
		return list
	}
	for name, x := range map[string]struct {
		instants []Instant
		now      time.Duration
		want     []string
	}{
		"met": {[]Instant{start, at("fired", 20*time.Second), at("located", 40*time.Second), at("verified", 80*time.Second)}, time.Hour, []string{
			"detect from fault_start 20s met", "locate from fault_start 40s met", "recover from fault_start 1m20s met",
			"locate from detection 20s met", "recover from detection 1m0s met",
		}},
		"open": {[]Instant{start, at("fired", 20*time.Second)}, 4 * time.Minute, []string{
			"detect from fault_start 20s met", "locate from fault_start 4m0s open", "recover from fault_start 4m0s open",
			"locate from detection 3m40s open", "recover from detection 3m40s open",
		}},
		"open past the deadline is missed": {[]Instant{start, at("fired", 2*time.Minute)}, time.Hour, []string{
			"detect from fault_start 2m0s **missed**", "locate from fault_start 1h0m0s **missed**, still open", "recover from fault_start 1h0m0s **missed**, still open",
			"locate from detection 58m0s **missed**, still open", "recover from detection 58m0s **missed**, still open",
		}},
		"over before it was located": {[]Instant{start, at("fired", 20*time.Second), at("verified", 2*time.Minute)}, time.Hour, []string{
			"detect from fault_start 20s met", "locate from fault_start 2m0s open", "recover from fault_start 2m0s met",
			"locate from detection 1m40s open", "recover from detection 1m40s met",
		}},
	} {
		c := &Case{Now: now0.Add(x.now), Instants: x.instants}
		if diff := cmp.Diff(x.want, line(c)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestGuardsAreJudgedInTheOrderOfThePage(t *testing.T) {
	var list []string
	for _, s := range stages() {
		built := "built"
		if s.judge == nil {
			built = "not built"
		}
		list = append(list, s.Name+": "+built)
	}
	want := []string{
		"S14 target: built", "S13 already held: built", "S11 attempts: built", "S1 holds: not built", "S18 start-up grace: not built",
		"S12 breaker: not built", "S17 own hosts: not built", "S3 lock: built", "S4 in flight: built", "S11 cooldown: built", "S5 budget: not built",
		"S7 storm: not built", "S8 firing: built", "S8 muted: built", "S8 observer: built", "S8 blockers: not built", "S8 corroboration: built",
		"S13 when: built", "S6 blast radius: built", "S15 evidence: not built", "S2 demotion: not built", "S2 mode: built",
	}
	if diff := cmp.Diff(want, list); diff != "" {
		t.Error(diff)
	}
	if got := GuardsNotBuilt(); len(got) != 10 || got[0] != "S6 blast radius" {
		t.Errorf("not built: %v", got)
	}
}

func TestAutoNeedsTheRiskAccepted(t *testing.T) {
	b := shopWith(t)
	err := CheckRisk(b, false)
	want := "plans drain, restart, restart-all are of mode auto while guards S6 blast radius, S1 holds, S18 start-up grace, S12 breaker, S17 own hosts, S5 budget, S7 storm, S8 blockers, S15 evidence, S2 demotion are not built: take the risk with --accept-risk, or use dry_run"
	if err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
	if err := CheckRisk(b, true); err != nil {
		t.Error(err)
	}
	d := desk{book: b}
	r, _ := judgeMode(d, nil, &choice{Plan: b.Plans["drain"]}, facts{})
	if r.Verb != verbRefuse || r.Code != codeModeApprove {
		t.Errorf("auto without the risk accepted: %s %s", r.Verb, r.Code)
	}
}

func TestTheLabelThatWasMappedIsFoundByWhatTheBookPrefers(t *testing.T) {
	b := shopWith(t, "limits: {", "labels: { service: [svc, service], node: [node, instance] }\nlimits: {")
	e := &Engine{Options: Options{Book: func() *plan.Book { return b }, Outside: func() Outside { return Outside{} }}}
	x := Episode{Labels: map[string]string{"alertname": "A", "service": "web", "svc": "web", "instance": "b:1", "node": "b", "member": "b"}}
	if got := e.mappedLabels(x, true); !reflect.DeepEqual(got, map[string]string{"svc": "web", "node": "b", "member": "b"}) {
		t.Errorf("with a node and a member: %v", got)
	}
	delete(x.Labels, "svc")
	delete(x.Labels, "node")
	delete(x.Labels, "instance")
	if got := e.mappedLabels(x, true); !reflect.DeepEqual(got, map[string]string{"service": "web", "member": "b"}) {
		t.Errorf("with a member alone: %v", got)
	}
	if got := e.mappedLabels(x, false); !reflect.DeepEqual(got, map[string]string{"service": "web"}) {
		t.Errorf("the service alone: %v", got)
	}
}

func TestOneLabelMayNameServiceAndNode(t *testing.T) {
	b := shopWith(t, "limits: {", "labels: { service: [instance], node: [instance] }\nlimits: {")
	e := &Engine{Options: Options{Book: func() *plan.Book { return b }, Outside: func() Outside { return Outside{} }}}
	x := Episode{Labels: map[string]string{"alertname": "HostDown", "instance": "b"}}
	if got := e.mappedLabels(x, true); !reflect.DeepEqual(got, map[string]string{"instance": "b"}) {
		t.Errorf("got %v, want the one label and no empty one, which nothing would confirm", got)
	}
}

func TestTheNumbersOfADecisionAreJSON(t *testing.T) {
	if got := asJSON(map[string]any{"a": told(`[{"x":1}]`), "b": told("no JSON")}); got != `{"a":[{"x":1}],"b":"no JSON"}` {
		t.Error(got)
	}
	if got := asJSON(func() {}); !json.Valid([]byte(got)) {
		t.Errorf("what cannot be written: %s", got)
	}
}

func TestEveryCodeHasWords(t *testing.T) {
	for _, s := range stages() {
		if strings.TrimSpace(s.Name) == "" {
			t.Error("a stage without a name")
		}
	}
	for code, words := range meanings {
		if meaning(code) != words || words == "" {
			t.Errorf("%s has no words", code)
		}
	}
	if meaning("new") != "new" {
		t.Error("a code without words stands for itself")
	}
}
