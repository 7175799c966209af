package plan_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/onefiveten/onefiveten/healer/plan"
)

// Each case changes one text of base and names the mistake as a person sees it.
func TestCheckRefuses(t *testing.T) {
	for _, c := range []struct{ name, from, to, want string }{
		{"unknown key", "cluster: prod", "cluster: prod\nquite_for: 5m", `quite_for: unknown key; did you mean "quiet_for"?`},
		{"no cluster", "cluster: prod", "cluster: ''", "cluster: missing: it is the first part of the key of an incident"},
		{"unit", "cluster: prod", "cluster: prod\ngather: 10", `gather: want a duration with its unit, such as 30s or 5m, got "10"`},
		{"zero", "cluster: prod", "cluster: prod\nmax_wait: 0s", "max_wait: got 0s, want a duration above zero"},
		{"clocks", "cluster: prod", "cluster: prod\ntargets: { detect: 6m }", "targets: want detect <= locate <= recover, all from the fault's start, got 6m0s, 5m0s, 10m0s"},
		{"empty label", "cluster: prod", "cluster: prod\nlabels: { service: ['', app] }", "labels.service: an empty label name"},
		{"in flight", "cluster: prod", "cluster: prod\nlimits: { in_flight: 0 }", "limits.in_flight: got 0, want at least 1; enabled: false stops a plan"},
		{"factor", "cluster: prod", "cluster: prod\nlimits: { cooldown: { factor: .5 } }", "limits.cooldown.factor: got 0.5, want at least 1: a cooldown never shrinks with failures"},
		{"cooldown", "cluster: prod", "cluster: prod\nlimits: { cooldown: { first: 5h } }", "limits.cooldown: first 5h0m0s is longer than max 4h0m0s"},

		{"no prometheus", "  - { name: main, url: http://prometheus:9090 }", "  []", "prometheus: missing: the receiver proves everything by it"},
		{"base url", "http://prometheus:9090", "prometheus:9090", `prometheus[0].url: got "prometheus:9090", want http://host:port or https://…`},
		{"secret in url", "http://prometheus:9090", "http://u:secret@prometheus:9090", `prometheus[0].url: "http://u:xxxxx@prometheus:9090" holds credentials, a query or a fragment; credentials belong into http_config`},
		{"peers", "peers: [http://am:9093]", "peers: []", "alertmanagers[0].peers: missing: name every peer of this set"},
		{"program path", "/opt/hactl,", "hactl,", `exec.programs[0]: got "hactl", want an absolute path without . or ..`},
		{"host", "'gateway:8080'", "gateway", `http.allowed_hosts[0]: got "gateway", want host:port`},

		{"service prometheus", "  - name: web", "  - prometheus: other\n    name: web", `services[0].prometheus: no prometheus is named "other"`},
		{"service name", "  - name: web", "  - name: 'web site'", `services[0].name: got "web site" as a name, want letters, digits and ._- after a first letter or digit`},
		{"two services", "plans:", "  - { name: web, healthy: { query: 'up == 1' } }\nplans:", `services[1].name: the name "web" is taken by services[0]`},
		{"members", "'min by (node, haproxy) (probe_success{service=\"web\", probe=\"node\"})'", "'up[1m]'", `services[0].members: "up[1m]" is a range vector, want an instant vector`},
		{"no proof", "'min(probe_success{service=\"web\", probe=\"vip\"}) == 1'", "''", "services[0].healthy.query: missing: nothing else proves that the service is well"},
		{"proof not three-valued", "probe=\"vip\"}) == 1'", "probe=\"vip\"})'", `services[0].healthy.query: "min(probe_success{probe=\"vip\",service=\"web\"})" is no comparison, want an instant vector compared with a number, such as x == 1`},
		{"recorded proof", "'min(probe_success{service=\"web\", probe=\"vip\"}) == 1'", "'sli:errors:ratio1m < 0.01'", "services[0].healthy.settle: missing: a recorded name (with ':') hides the range of its rule, so say how long its samples look back"},
		{"template in proof", "probe=\"vip\"}) == 1'", "probe=\"{{ .Service.Name }}\"}) == 1'", `services[0].healthy.query: "min(probe_success{service=\"web\", probe=\"{{ .Service.Name }}\"}) == 1": no template may stand here`},
		{"member_by", "    params:", "    member_by: 'a-b'\n    params:", `services[0].member_by: got "a-b", want the name of a label`},
		{"params", "zone: z1", "zone: ''", "services[0].params.zone: want a name of letters, digits and _ with a text that is not empty"},

		{"kind", "kind: throttle", "kind: reboot", `plans.limit.kind: got "reboot", want one of rollback, isolate, restart, switchover, scale_out, throttle`},
		{"mode", "    mode: auto\n    target: 'node:{{ .Member.Labels.node }}'\n    when", "    mode: always\n    target: 'node:{{ .Member.Labels.node }}'\n    when", `plans.restart.mode: got "always", want one of observe, dry_run, approve, auto`},
		{"no alertmanagers", "  - { name: main, peers: [http://am:9093] }", "  []", "plans.drain.mode: auto needs alertmanagers: without them nobody can tell whether an alert is muted"},
		{"each", "    when: ['up", "    each: { max: 0 }\n    when: ['up", "plans.restart.each.max: got 0, want at least 1"},
		{"order", "    when: ['up", "    each: { order: random }\n    when: ['up", `plans.restart.each.order: got "random", want one of worst_first`},
		{"later each", "    when: ['up", "    each: { max: 2 }\n    when: ['up", "plans.restart.each.max: known, not yet available"},
		{"on_failure", "    when: ['up", "    on_failure: undo\n    when: ['up", "plans.restart.on_failure: undo is asked for, but there are no undo steps"},
		{"leaves something", "    verify: { healthy: service }\n    release: manual\nscenarios", "    verify: { healthy: service }\nscenarios", "plans.limit.release: missing: throttle leaves something in place, so say how it is taken back, or manual"},
		{"leaves nothing", "    when: ['up", "    release: manual\n    when: ['up", "plans.restart.release: restart leaves nothing in place that could be released"},
		{"release word", "    release: manual\nscenarios", "    release: never\nscenarios", `plans.limit.release: got "never", want manual or {repair, when, for, within}`},
		{"release without undo", "    release: manual\nscenarios", "    release: { when: 'up == 1' }\nscenarios", "plans.limit.undo: missing: a release other than manual puts back by undo"},
		{"values", "    when: ['up", "    values: '['\n    when: ['up", "plans.restart.values: compiling pattern \"[\": error parsing regexp: missing closing ]: `[`"},
		{"no steps", "    steps:\n      - { exec: [/opt/restart, '{{ .Member.Labels.node }}'], timeout: 10s, idempotent: true }", "    steps: []", "plans.restart.steps: missing: a plan without steps does nothing"},

		{"isolate of a service", "    kind: isolate\n    mode: auto\n    target: 'node:{{ .Member.Labels.node }}'", "    kind: isolate\n    mode: auto\n    target: 'service:{{ .Service.Name }}'", "plans.drain.target: isolate takes one member out, so its target must name .Member"},
		{"isolate proved by its member", "    verify: { healthy: service }\n    undo", "    verify: { query: 'up == 1' }\n    undo", "plans.drain.verify: isolate is proved by healthy: service alone: the member's own probe stays bad once it is drained"},
		{"alert in target", "target: 'service:{{ .Service.Name }}'", "target: 'service:{{ .Alert.Labels.service }}'", `plans.limit.target: template "service:{{ .Alert.Labels.service }}": .Alert.Labels.service may not stand here: a target is made of .Member, .Service and .Params alone`},
		{"run in target", "target: 'service:{{ .Service.Name }}'", "target: 'service:{{ .Run.ID }}'", `plans.limit.target: template "service:{{ .Run.ID }}": .Run.ID may not stand here: a target is made of .Member, .Service and .Params alone`},
		{"target type", "target: 'service:{{ .Service.Name }}'", "target: 'host:{{ .Service.Name }}'", `plans.limit.target: got "host:{{ .Service.Name }}", want type:name with one of node, pod, deployment, zone, version, service as type`},
		{"target type from a template", "target: 'service:{{ .Service.Name }}'", "target: '{{ .Params.zone }}:a'", `plans.limit.target: got "{{ .Params.zone }}:a", want type:name with one of node, pod, deployment, zone, version, service as type`},
		{"deployment", "target: 'service:{{ .Service.Name }}'", "target: 'deployment:checkout'", `plans.limit.target: target "deployment:checkout": want deployment:namespace/name`},

		{"verify both", "    verify: { healthy: service }\n    undo", "    verify: { healthy: service, query: 'up == 1' }\n    undo", "plans.drain.verify: want exactly one of healthy: service, query"},
		{"verify word", "    verify: { healthy: service }\n    undo", "    verify: { healthy: node }\n    undo", `plans.drain.verify.healthy: got "node", want service, or a query`},
		{"within", "for: 10s, within: 30s", "for: 21s, within: 30s", "plans.restart.verify.within: got 30s, want at least for + 2 × every = 31s: no streak could be complete"},
		{"recorded verify", "verify: { query: 'probe_success{probe", "verify: { query: 'a:b{probe", "plans.restart.verify.settle: missing: a recorded name (with ':') hides the range of its rule, so say how long its samples look back"},
		{"when", "} == 0']", "}']", `plans.restart.when[0]: "up{node=\"{{.Member.Labels.node}}\"}" is no comparison, want an instant vector compared with a number, such as x == 1`},
		{"template outside a matcher", "when: ['up{node=\"{{ .Member.Labels.node }}\"} == 0']", "when: ['up == {{ .Params.zone }}']", `plans.restart.when[0]: "up == {{ .Params.zone }}": a template may stand only inside the quoted value of a label matcher`},

		{"exec and http", "      - { exec: [/opt/restart, '{{ .Member.Labels.node }}'], timeout: 10s", "      - { timeout: 10s", "plans.restart.steps[0]: want exactly one of exec, http"},
		{"no timeout", "'{{ .Member.Labels.node }}'], timeout: 10s, idempotent", "'{{ .Member.Labels.node }}'], idempotent", "plans.restart.steps[0].timeout: missing: every step ends"},
		{"retries", "timeout: 10s, idempotent", "timeout: 10s, retries: -1, idempotent", "plans.restart.steps[0].retries: got -1, want 0 to 100"},
		{"exit code", "transient_codes: [75]", "transient_codes: [75, 503]", "plans.drain.steps[0].transient_codes[1]: got 503, want 1 to 255"},
		{"relative program", "exec: [/opt/restart,", "exec: [restart,", `plans.restart.steps[0].exec[0]: program "restart": want an absolute path`},
		{"unknown program", "exec: [/opt/restart,", "exec: [/opt/other,", `plans.restart.steps[0].exec[0]: program "/opt/other" is not in exec.programs`},
		{"template as program", "exec: [/opt/restart,", "exec: ['/opt/{{ .Params.zone }}',", `plans.restart.steps[0].exec[0]: "/opt/{{ .Params.zone }}": no template may stand here`},
		{"interpreter", "exec: [/opt/restart,", "exec: [/bin/sh, -c,", "plans.restart.steps[0].exec: sh with -c or -e would read a value as a program"},
		{"unknown host", "http://gateway:8080/limits", "http://gateway:8081/limits", "plans.limit.steps[0].http.url: gateway:8081 is not in http.allowed_hosts"},
		{"default port", "http://gateway:8080/limits", "https://gateway/limits", "plans.limit.steps[0].http.url: gateway:443 is not in http.allowed_hosts"},
		{"template as host", "http://gateway:8080/limits", "http://{{ .Params.zone }}:8080/limits", `plans.limit.steps[0].http.url: url "http://{{ .Params.zone }}:8080/limits/{{ .Service.Name }}?zone={{ .Params.zone }}": a template may stand in path and query alone`},
		{"template as user", "http://gateway:8080/limits", "http://{{ .Params.zone }}@gateway:8080/limits", `plans.limit.steps[0].http.url: url "http://{{ .Params.zone }}@gateway:8080/limits/{{ .Service.Name }}?zone={{ .Params.zone }}": a template may stand in path and query alone`},
		{"no host", "'http://gateway:8080/limits/", "'/limits/", `plans.limit.steps[0].http.url: url "/limits/{{ .Service.Name }}?zone={{ .Params.zone }}": want http://host:port/path or https://…`},
		{"url", "http://gateway:8080/limits/", "http://gateway:80 80/limits/", `plans.limit.steps[0].http.url: parsing url "http://gateway:80 80/limits/{{ .Service.Name }}?zone={{ .Params.zone }}": invalid port ":80 80" after host; scheme, host and port hold no template`},
		{"user in url", "http://gateway:8080/limits/", "http://u:p@gateway:8080/limits/", `plans.limit.steps[0].http.url: url "http://u:p@gateway:8080/limits/{{ .Service.Name }}?zone={{ .Params.zone }}": credentials belong into http_config`},
		{"fragment", "?zone={{ .Params.zone }}'", "#a'", `plans.limit.steps[0].http.url: url "http://gateway:8080/limits/{{ .Service.Name }}#a": a fragment is never sent`},
		{"dots", "8080/limits/", "8080/limits/%2e%2e/", `plans.limit.steps[0].http.url: url "http://gateway:8080/limits/%2e%2e/{{ .Service.Name }}?zone={{ .Params.zone }}": the path holds . or .. as a segment`},
		{"template in url", "8080/limits/", "8080/{{ .Node }}/", `plans.limit.steps[0].http.url: template "http://gateway:8080/{{ .Node }}/{{ .Service.Name }}?zone={{ .Params.zone }}": .Node is not known`},
		{"no base url", "http://prometheus:9090", "''", "prometheus[0].url: missing"},
		{"broken base url", "http://prometheus:9090", "'http://a b'", `prometheus[0].url: parsing the url: invalid character " " in host name`},
		{"method", "method: PUT", "method: put", `plans.limit.steps[0].http.method: got "put", want one of GET, HEAD, POST, PUT, PATCH, DELETE`},
		{"body of GET", "method: PUT", "method: GET", "plans.limit.steps[0].http.body: GET carries no body"},
		{"body leaf", "rps: 800", "rps: .nan", "plans.limit.steps[0].http.body.rps: NaN cannot be sent as JSON: put it into quotes"},
		{"body key", "rps: 800", "'{{ .Service.Name }}': 800", "plans.limit.steps[0].http.body.{{ .Service.Name }}: a key holds no template"},
		{"proxy", "method: PUT,", "http_config: { proxy_from_environment: true }, method: PUT,", "plans.limit.steps[0].http.http_config.proxy_from_environment: steps take no proxy from the environment; name it in proxy_url"},

		{"matcher", `'service="web"'`, `'service=="web"'`, `scenarios[0].match[0]: parsing matcher "service==\"web\"": 8:9: unexpected =: expected label value`},
		{"unknown service", `'service="web"'`, `'service="wbe"'`, `scenarios[0].match[0]: no service is named "wbe"`},
		{"no matcher", `match: ['service="web"']`, "match: []", "scenarios[0].match: missing: a scenario without matchers would take every fault"},
		{"unknown plan", "unknown: []", "unknown: [reboot]", `scenarios[0].ladders.unknown[0]: no plan is named "reboot"`},
		{"unknown scope", "unknown: []", "rack: []", `scenarios[0].ladders.rack: no scope is named "rack", want one of node, service, unknown, zone, version`},
		{"unknown code", "next: [cooldown]", "next: [lock]", `scenarios[0].ladders.node[0].on_refuse.next[0]: got "lock", want one of cooldown, too_many_members`},
		{"later code", "next: [cooldown]", "next: [breaker]", "scenarios[0].ladders.node[0].on_refuse.next[0]: known, not yet available"},
		{"rung key", "on_refuse: { next", "on_refuse: { nxt", `scenarios[0].ladders.node[0].on_refuse.nxt: unknown key; did you mean "next"?`},
		{"severity", "severity: P1", "severity: P6", `scenarios[0].severity: got "P6", want P1 to P5, page or ticket`},
		{"scope", "severity: P1", "severity: P1\n    scope: rack", `scenarios[0].scope: got "rack", want one of located, node, service, zone, version`},
		{"contact", "to: [oncall], tell", "to: [boss], tell", `scenarios[0].escalate.to[0]: no contact under notify is named "boss"`},
		{"tell", "tell: [located, 8m]", "tell: [later]", `scenarios[0].escalate.tell[0]: got "later", want a time after the fault's start such as 8m, or one of fault_start, first_bad_sample, active, fired, received, located, planned, acted, recovered, verified, handed_over, acked, closed, locate_deadline, recover_deadline`},
		{"first rung", "severity: P1", "severity: P1\n    targets: { recover: 2m, locate: 1m }", "scenarios[0].ladders.node[0]: plan drain would end 2m35s after the fault's start, the target is 2m0s: shorten time-outs or within, or raise targets.recover"},
		{"webhook", "{ url_file: oncall.url }", "{}", "notify.oncall.webhook: want exactly one of url, url_file"},
		{"no webhook", "{ webhook: { url_file: oncall.url } }", "{}", "notify.oncall: missing: webhook"},
		{"webhook url", "{ url_file: oncall.url }", "{ url: 'ftp://x' }", "notify.oncall.webhook.url: want http://host:port/path or https://…"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := parsed(with(t, c.from, c.to))
			if err == nil {
				t.Fatalf("got no mistake, want %s", c.want)
			}
			for _, line := range strings.Split(err.Error(), "\n") {
				if _, text, _ := strings.Cut(line, ": "); text == c.want {
					return
				}
			}
			t.Errorf("got\n%s\nwant\n%s", err, c.want)
		})
	}
}

func TestAllMistakesComeAtOnceWithTheirLines(t *testing.T) {
	text := with(t, "kind: throttle", "kind: reboot")
	text = strings.Replace(text, "cluster: prod", "clutser: prod", 1)
	text = strings.Replace(text, "exec: [/opt/restart,", "exec: [/opt/other,", 1)
	text = strings.Replace(text, "unknown: []", "unknown: [nothing]", 1)
	_, err := parsed(text)
	want := []string{
		"heal.yml:1: cluster: missing: it is the first part of the key of an incident",
		`heal.yml:1: clutser: unknown key; did you mean "cluster"?`,
		`heal.yml:32: plans.restart.steps[0].exec[0]: program "/opt/other" is not in exec.programs`,
		`heal.yml:35: plans.limit.kind: got "reboot", want one of rollback, isolate, restart, switchover, scale_out, throttle`,
		`heal.yml:50: scenarios[0].ladders.unknown[0]: no plan is named "nothing"`,
	}
	if diff := cmp.Diff(want, strings.Split(err.Error(), "\n")); diff != "" {
		t.Errorf("mistakes (-want +got):\n%s", diff)
	}
}

func TestCompileNamesTheMistakesOfCheck(t *testing.T) {
	s, _ := parsed(with(t, "kind: throttle", "kind: reboot"))
	s.Cluster = ""
	b, err := plan.Compile(s)
	want := "cluster: missing: it is the first part of the key of an incident\n" +
		`plans.limit.kind: got "reboot", want one of rollback, isolate, restart, switchover, scale_out, throttle`
	if b != nil || err == nil || err.Error() != want {
		t.Errorf("got %v and %v, want no book and\n%s", b, err, want)
	}
}

// Whatever the file says, check ends with mistakes or a book that can be used.
func FuzzCheck(f *testing.F) {
	f.Add(base)
	f.Add("plans: { a: }\nservices: [null]\nscenarios: [{ ladders: { node: [null, {}] } }]\nnotify: { a: null }")
	f.Add("plans: { a: { steps: [{ exec: [''] }, { http: {} }, { http: { url: '{{', body: { a: [1, 2.5, ~, x] } } }], undo: [null], verify: {} } }")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := parsed(text)
		if err != nil {
			return
		}
		b, err := plan.Compile(s)
		if err != nil {
			t.Fatalf("check found nothing, compile %v", err)
		}
		b.Warnings()
		if table, _ := b.Budget(0, 0); table == "" {
			t.Error("got no table")
		}
		for _, p := range b.Plans {
			for _, s := range b.Services {
				kept, _ := b.Text(p, s)
				if _, _, err := plan.FromText(kept); err != nil {
					t.Errorf("%s: %v", kept, err)
				}
			}
		}
	})
}
