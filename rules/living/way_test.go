package living

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// routed is a configuration in which all is as it should be.
const routed = `route:
  receiver: people
  group_by: [service]
  routes:
  - {receiver: heal, matchers: ['alertname="Watchdog"'], group_by: ['...'], group_wait: 0s, group_interval: 30s, repeat_interval: 45s}
  - {receiver: heal, matchers: ['heal="true"'], group_by: ['...'], group_wait: 0s, group_interval: 15s, repeat_interval: 1h, continue: true}
  - receiver: people
receivers:
- name: people
- name: heal
  webhook_configs: [{url: 'http://h:9099/api/v1/alertmanager', http_config: {follow_redirects: false}}]
`

// promised is the way that routed keeps.
func promised() Way {
	labels := func(name string) map[string]string {
		return map[string]string{"alertname": name, "heal": "true", "severity": "page", "service": "shop"}
	}
	return Way{
		Webhook: "http://h:9099/api/v1/alertmanager", GroupInterval: 15 * time.Second,
		Alerts: []map[string]string{labels("FaultDetected"), labels("FaultLocated"), labels("Watchdog")}, Identity: []string{"alertname", "service"},
	}
}

func TestCheck_FollowsEveryAlertToTheReceiver(t *testing.T) {
	const both = "FaultDetected, FaultLocated: "
	never := func(to string) string {
		return "goes to " + to + `, and never to "heal", which leads to heal-receiver: put its route first, with continue: true`
	}
	for name, c := range map[string]struct {
		old, by string
		want    []string
		wait    string
	}{
		"as promised":              {"", "", nil, "0s"},
		"a masked address":         {"http://h:9099/api/v1/alertmanager", "<secret>", nil, "0s"},
		"an address in a file":     {"url: 'http://h:9099/api/v1/alertmanager'", "url_file: x", nil, "0s"},
		"a slash at its end":       {"/alertmanager'", "/alertmanager/'", nil, "0s"},
		"another address":          {"http://h:9099", "http://other:9099", []string{"error alertmanager.webhook.url: no receiver of Alertmanager has the webhook http://h:9099/api/v1/alertmanager: want that of the generated route.yml"}, "none"},
		"masked, of another name":  {"name: heal\n  webhook_configs: [{url: 'http://h:9099/api/v1/alertmanager'", "name: other\n  webhook_configs: [{url: <secret>", []string{"error alertmanager.webhook.url: no receiver of Alertmanager has the webhook http://h:9099/api/v1/alertmanager: want that of the generated route.yml"}, "none"},
		"no route":                 {`heal="true"`, `heal="1"`, []string{"error alertmanager.webhook.url: " + both + never(`"people"`)}, "none"},
		"cut off by one before it": {"  routes:\n", "  routes:\n  - {receiver: people, match: {severity: page}}\n", []string{"error alertmanager.webhook.url: FaultDetected, FaultLocated, Watchdog: " + never(`"people"`)}, "none"},
		"behind another":           {"  routes:\n", "  routes:\n  - {receiver: people, match_re: {severity: p.*e}, continue: true}\n", []string{"warning alertmanager.webhook.url: FaultDetected, FaultLocated, Watchdog: the route to heal-receiver is not the first one that it reaches: one above it that loses its continue cuts heal-receiver off"}, "0s"},
		"twice": {"  - receiver: people\n", "  - {receiver: heal, group_by: ['...'], group_wait: 5s, group_interval: 15s}\n", []string{
			"error alertmanager.group_wait: " + both + "waits for group_wait 5s, reckoned with 0s: the bounds are too short",
			"warning alertmanager.webhook.url: " + both + "reaches heal-receiver by 2 routes, and each notification comes as often"}, "5s"},
		"people are not told":  {"  - receiver: people\n", "", []string{"warning alertmanager.webhook.url: " + both + "only heal-receiver is told: without continue: true, or a route for people below, nobody else is"}, "0s"},
		"a default group_wait": {"group_wait: 0s, group_interval: 15s", "group_interval: 15s", []string{"error alertmanager.group_wait: " + both + "waits for group_wait 30s, reckoned with 0s: the bounds are too short"}, "30s"},
		"one from above":       {"group_by: [service]\n", "group_by: [service]\n  group_wait: 7s\n", nil, "0s"},
		"a short interval":     {"group_interval: 15s", "group_interval: 5s", []string{"warning alertmanager.group_interval: " + both + "has a group_interval of 5s: Alertmanager gives a delivery 10s whatever it says; want 10s or more"}, "0s"},
		"another interval":     {"group_interval: 15s", "group_interval: 1m", []string{"warning alertmanager.group_interval: " + both + "has a group_interval of 1m, configured is 15s: its end is told as much later or earlier"}, "0s"},
		"in groups": {"matchers: ['heal=\"true\"'], group_by: ['...']", "matchers: ['heal=\"true\"'], group_by: [service]", []string{
			"error alertmanager.group_wait: " + both + "its route groups by [service], without alertname: a second alert joins a group that is there and waits for its group_interval of 15s instead of group_wait 0s; want group_by: ['...']"}, "15s"},
		"in groups of one":    {"matchers: ['heal=\"true\"'], group_by: ['...']", "matchers: ['heal=\"true\"'], group_by: [service, alertname]", nil, "0s"},
		"repeated too seldom": {"repeat_interval: 1h", "repeat_interval: 2d", []string{"warning : " + both + "is repeated after 2d, with a group_interval of 15s: want 1h, which repairs what was lost and is no noise"}, "0s"},
		"a slow pulse":        {"repeat_interval: 45s", "repeat_interval: 5m", []string{"warning : Watchdog: comes every 5m, where a dead man's check counts on once a minute: want a route of its own, with a group_interval of 30s and a repeat_interval of 45s"}, "0s"},
		"muted at times": {"continue: true", "continue: true, mute_time_intervals: [night], active_time_intervals: [day]", []string{
			`error : ` + both + `mute_time_intervals of the route to "heal": night: in them heal-receiver gets nothing`,
			`error : ` + both + `active_time_intervals of the route to "heal": day: outside of them heal-receiver gets nothing`}, "0s"},
		"muted above": {"receiver: people\n  group_by", "receiver: people\n  mute_time_intervals: [x]\n  group_by", nil, "0s"}, // Alertmanager refuses it, and hands nothing down
		"inhibited": {"receivers:", "inhibit_rules: [{source_matchers: [a=b], target_matchers: ['alertname=~\"Fault.*\"', severity!=ticket]}, {name: x, target_match: {alertname: FaultLocated}}, {target_match_re: {severity: tick.*}}]\nreceivers:", []string{
			"error : " + both + "inhibit_rules[0] can mute it, and then neither it nor its end reaches heal-receiver: inhibition is global; group what people get instead",
			"error : FaultLocated: inhibit_rules[1] (x) can mute it, and then neither it nor its end reaches heal-receiver: inhibition is global; group what people get instead"}, "0s"},
		"a webhook that loses": {"http_config: {follow_redirects: false}", "send_resolved: false, max_alerts: 5", []string{
			`warning alertmanager.webhook.url: the webhook of receiver "heal" has max_alerts: 5: what is beyond them is lost, ends of alerts too; want 0`,
			`warning alertmanager.webhook.url: the webhook of receiver "heal" has send_resolved: false: heal-receiver is not told that a fault is over; want true`,
			`warning alertmanager.webhook.url: the webhook of receiver "heal" follows redirects: a redirected notification is lost and counted as sent; want http_config: {follow_redirects: false}`}, "0s"},
	} {
		text := strings.Replace(routed, c.old, c.by, 1)
		if text == routed && c.old != c.by {
			t.Errorf("%s: nothing is replaced", name)
		}
		am, err := Parse(text)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		found, wait := am.Check(promised())
		got := "none"
		if wait != nil {
			got = wait.String()
		}
		if diff := cmp.Diff(c.want, told(found)); diff != "" || got != c.wait {
			t.Errorf("%s: got G %s, want %s (-want +got):\n%s", name, got, c.wait, diff)
		}
	}
}

func TestRoute_WalksTheTreeAsAlertmanagerDoes(t *testing.T) {
	am, err := Parse(`route:
  receiver: root
  group_wait: 1s
  group_by: [a]
  routes:
  - match: {x: "1"}
    receiver: one
    continue: true
    group_wait: 2s
    group_by: ['...']
    routes:
    - {match_re: {y: 'b|c'}, receiver: inner, group_interval: 3m}
  - {matchers: ['x=~"1|2"', 'z!=q'], receiver: two, group_by: [c, b]}
  - {matchers: ['{x="1",y="b"}'], receiver: three}
  -
`)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ labels, want string }{
		{"", "root 1s 5m0s [a] false"},
		{"x=1", "one 2s 5m0s [...] true, two 1s 5m0s [b c] false"},
		{"x=1 y=b", "inner 2s 3m0s [...] true, two 1s 5m0s [b c] false"},
		{"x=1 y=bb", "one 2s 5m0s [...] true, two 1s 5m0s [b c] false"},
		{"x=1 y=b z=q", "inner 2s 3m0s [...] true, three 1s 5m0s [a] false"},
		{"x=2 z=q", "root 1s 5m0s [a] false"},
		{"x=12", "root 1s 5m0s [a] false"},
	} {
		var got []string
		for _, h := range am.Route(labelled(c.labels)) {
			alone := "false"
			if h.Alone {
				alone = "true"
			}
			got = append(got, strings.Join([]string{h.Receiver, h.Wait.String(), h.Interval.String(), "[" + strings.Join(h.GroupBy, " ") + "]", alone}, " "))
		}
		if text := strings.Join(got, ", "); text != c.want {
			t.Errorf("%s: got %s, want %s", c.labels, text, c.want)
		}
	}
}

// labelled reads "a=b c=d".
func labelled(text string) map[string]string {
	labels := map[string]string{}
	for _, one := range strings.Fields(text) {
		name, value, _ := strings.Cut(one, "=")
		labels[name] = value
	}
	return labels
}

func TestParse_QuotesNothingOfOthersButMatchers(t *testing.T) {
	for text, want := range map[string]string{
		"route: topsecret": "its 16 bytes are no YAML of Alertmanager",
		"receivers: []":    "it has no route",
		"route: {receiver: a, routes: [{receiver: b, matchers: ['a=~\"(\"']}]}": `the route to "b": matchers "a=~\"(\"": `,
		"route: {receiver: a, match_re: {a: '('}}":                              `the route to "a": match_re a: `,
		"{route: {receiver: a}, inhibit_rules: [{target_matchers: ['a']}]}":     `inhibit_rules[0]: matchers "a": `,
	} {
		if _, err := Parse(text); err == nil || !strings.HasPrefix(err.Error(), "reading Alertmanager's configuration: "+want) {
			t.Errorf("%s: got %v", text, err)
		}
	}
}

func TestSent_IsWhatPrometheusSends(t *testing.T) {
	alerts := []map[string]string{{"alertname": "A", "heal": "true"}, {"alertname": "B", "replica": "own"}}
	external := map[string]string{"replica": "1", "dc": "x"}
	sent, dropped, err := Sent(alerts, external, "- {action: labeldrop, regex: replica}\n- {action: drop, source_labels: [alertname], regex: B}\n")
	if diff := cmp.Diff([]map[string]string{{"alertname": "A", "heal": "true", "dc": "x"}}, sent); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if diff := cmp.Diff([]string{"error : B: alert_relabel_configs of Prometheus drop it: nobody is sent it"}, told(dropped)); diff != "" {
		t.Error(diff)
	}
	if sent, _, err = Sent(alerts, external, ""); err != nil || sent[1]["replica"] != "own" || len(alerts[0]) != 2 {
		t.Errorf("got %v, %v, want its own label, and the alerts that were given as they were", sent, err)
	}
	for text, want := range map[string]string{
		"topsecret": "they are no list of relabellings", "[null]": "they are no list of relabellings", "[{action: x}]": "they are no list",
		"[{action: hashmod}]": "entry 0: ",
	} {
		if _, _, err := Sent(alerts, nil, text); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "topsecret") {
			t.Errorf("%s: got %v", text, err)
		}
	}
}

func TestMissing_TellsWhatIsNotThereOrAnother(t *testing.T) {
	one := 1.
	facts := []Fact{
		{Metric: "m", Path: "p", Who: map[string]string{"s": "x"}, Labels: map[string]string{"k": "v"}, Hint: "no rule finds it"},
		{Metric: "m", Who: map[string]string{"s": "y"}, Value: &one},
		{Metric: "n", Who: map[string]string{"s": "x", "observer": "a"}, Advice: true},
		{Metric: "n", Who: map[string]string{"s": "x", "observer": "gone"}},
	}
	right := map[string][]Series{
		"m": {{labelled("s=x k=v instance=i1"), 7}, {labelled("s=x k=v instance=i2"), 7}, {labelled("s=y"), 1.0000001}},
		"n": {{labelled("s=x observer=a"), 0}},
	}
	if got := Missing(facts, right, []string{"a"}); got != nil {
		t.Errorf("got %v", got)
	}
	right["m"][1].Labels["k"], right["m"][2].Value, right["n"] = "w", 1.1, nil
	want := []string{
		`error p: m{s="x"} of i2 has k="w", want "v": the exporter runs another configuration; reload it, or check that one`,
		`error : m{s="y"} is 1.1, want 1: the exporter runs another configuration; reload it, or check that one`,
		`warning : n{observer="a", s="x"} is not there`,
	}
	if diff := cmp.Diff(want, told(Missing(facts, right, []string{"a"}))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := told(Missing(facts[:1], nil, nil)); !slices.Equal(got, []string{`error p: m{s="x"} is not there: no rule finds it`}) {
		t.Errorf("got %v", got)
	}
}

func TestObserversAndHashes_AreComparedWithThoseThatAreExpected(t *testing.T) {
	if got := told(append(Observers([]string{"a", "b"}, []string{"a", "c"}), Observers([]string{"a"}, nil)...)); !slices.Equal(got, []string{
		`error observers: "b" gives no results, onefiveten_observer_info is not there; seen: a, c: start it and have it scraped, or name in observers those that there are`,
		`warning observers: "c" gives results and is not listed: its votes count, and nobody misses it when it is gone`,
		`error observers: "a" gives no results, onefiveten_observer_info is not there; none is seen: start it and have it scraped, or name in observers those that there are`,
	}) {
		t.Errorf("got %q", got)
	}
	series := []Series{{labelled("observer=b hash=2"), 1}, {labelled("observer=a hash=2"), 1}, {labelled("observer=c hash=1"), 1}}
	if got := told(Hashes(series, "1")); !slices.Equal(got, []string{"warning : a, b runs a configuration of the hash 2, and this one has 1: reload it, or check that one"}) {
		t.Errorf("got %q", got)
	}
}

// FuzzRoute_EveryAlertReachesSomebodyOrTheConfigurationIsRefused: whatever a server
// tells, every alert has a route, and no wait is negative.
func FuzzRoute_EveryAlertReachesSomebodyOrTheConfigurationIsRefused(f *testing.F) {
	f.Add(routed, "FaultDetected")
	f.Add("route: {receiver: a, routes: [{match_re: {alertname: '.*'}, continue: true, routes: [{matchers: ['a!~\"b\"']}]}]}", "x")
	f.Add("route: &a {routes: [*a]}", "x")
	f.Add("route: {group_wait: -1s}\ninhibit_rules: [{target_matchers: ['\"ü\"=x']}]", "")
	f.Fuzz(func(t *testing.T, text, name string) {
		am, err := Parse(text)
		if err != nil {
			return
		}
		alert := map[string]string{"alertname": name, "heal": "true"}
		hops := am.Route(alert)
		if len(hops) == 0 {
			t.Error("an alert has no route")
		}
		w := promised()
		w.Alerts = append(w.Alerts, alert)
		if _, wait := am.Check(w); wait != nil && *wait < 0 {
			t.Errorf("got the wait %s", wait)
		}
	})
}

// FuzzSent_AnAlertIsSentOrSaidToBeDropped: whatever the relabelling is, an alert is
// not lost without a word.
func FuzzSent_AnAlertIsSentOrSaidToBeDropped(f *testing.F) {
	f.Add("", "FaultDetected")
	f.Add("[{source_labels: [alertname], regex: 'Fault(.*)', target_label: kind}]", "FaultDetected")
	f.Add("[{source_labels: [alertname], regex: x, action: drop}, {action: labeldrop, regex: alertname}]", "x")
	f.Add("[{action: hashmod, modulus: 0}]", "")
	f.Add("&a [*a]", "x")
	f.Fuzz(func(t *testing.T, text, name string) {
		sent, dropped, err := Sent([]map[string]string{{"alertname": name}}, map[string]string{"alertname": "other", "site": "s"}, text)
		if n := len(sent) + len(dropped); err == nil && n != 1 || err != nil && n != 0 {
			t.Errorf("sent %v, told %v, error %v", sent, dropped, err)
		}
		if text == "" && sent[0]["alertname"] != name {
			t.Errorf("got %v, want the label of the alert before the external one", sent)
		}
	})
}
