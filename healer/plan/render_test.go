package plan_test

import (
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/onefiveten/onefiveten/healer/plan"
)

func data(b *plan.Book, node string) plan.Data {
	d := plan.Data{
		Service: b.Services["web"],
		Member:  map[string]string{"node": node, "haproxy": "srv1"},
		Labels:  map[string]string{"alertname": "FaultLocated", "service": "web", "x": node},
	}
	d.Incident.ID, d.Run.ID, d.Run.Fence = "01J", "01K", 7
	return d
}

// refused wants a *plan.Refusal with that code.
func refused(t *testing.T, err error, code string) {
	t.Helper()
	var r *plan.Refusal
	if !errors.As(err, &r) || r.Code != code {
		t.Errorf("got %v, want a refusal %s", err, code)
	}
}

func TestAPlanRendersTargetStepsAndQueries(t *testing.T) {
	b := book(t, base)
	d := data(b, "web-1")
	for name, want := range map[string]string{"drain": "node:web-1", "restart": "node:web-1", "limit": "service:web"} {
		if got, err := b.Plans[name].Target(d); got != want || err != nil {
			t.Errorf("target of %s: got %q, %v, want %q", name, got, err, want)
		}
	}
	drain, err := b.Plans["drain"].Render(b.Plans["drain"].Steps, d)
	if err != nil || !slices.Equal(drain[0].Exec, []string{"/opt/hactl", "drain", "be_web/srv1"}) || drain[0].TransientCodes[0] != 75 {
		t.Errorf("drain: got %+v, %v", drain, err)
	}
	limit, err := b.Plans["limit"].Render(b.Plans["limit"].Steps, d)
	if err != nil {
		t.Fatal(err)
	}
	got := []string{limit[0].Method, limit[0].URL, string(limit[0].Body), limit[0].Client}
	want := []string{"PUT", "http://gateway:8080/limits/web?zone=z1", `{"rps":800,"why":"FaultLocated"}`, "limit/act/0"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("limit (-want +got):\n%s", diff)
	}
	q, err := b.Plans["restart"].Query(b.Plans["restart"].Verify.Query, d)
	if err != nil || q.Parts[0].Left != `probe_success{node="web-1",probe="node"}` {
		t.Errorf("query: got %+v, %v", q, err)
	}
	if b.Plans["limit"].Member || !b.Plans["drain"].Member {
		t.Error("drain is a member plan, limit a service plan")
	}
}

// everywhere puts one label of a member into each place that takes values.
const everywhere = `  all:
    kind: restart
    target: 'node:{{ .Member.Labels.node }}'
    values: VALUES
    steps:
      - { exec: [/opt/restart, '{{ .Member.Labels.node }}', '{{ .Alert.Labels.x }}'], timeout: 10s }
      - { http: { method: POST, url: 'http://gateway:8080/nodes/{{ .Member.Labels.node }}/x?n={{ .Member.Labels.node }}&y=1', body: [{ node: '{{ .Member.Labels.node }}' }] }, timeout: 10s }
    verify: { query: 'up{node="{{ .Member.Labels.node }}", job="a"} == 1 and max(probe_success{node=~"({{ .Member.Labels.node }}):80"}) > 0' }
`

func wide(t *testing.T, values string) (*plan.Book, *plan.Plan) {
	t.Helper()
	b := book(t, with(t, "scenarios:\n", strings.Replace(everywhere, "VALUES", values, 1)+"scenarios:\n"))
	return b, b.Plans["all"]
}

var injections = []string{
	`web1"}) or vector(1) #`, "--config=/etc/shadow", "x;disable server", "../../admin", "web\n1", "$(reboot)",
	"..", ".", "`id`", "a b", "'", `\`, "a/b", "a?b=c&d", "a#b", "%2e%2e", "\xff", "node\x00", "{{ .Run.ID }}", ".*", "a|b", "hole1x", "ä",
}

func TestInjectionsAreRefusedByTheDefaultPattern(t *testing.T) {
	b, p := wide(t, "''")
	for _, value := range append(injections, "") {
		if value == "hole1x" {
			continue // a harmless word
		}
		d := data(b, value)
		_, err := p.Target(d)
		code := "unsafe_value"
		if value == "" {
			code = "empty_target"
		}
		refused(t, err, code)
		for i := range p.Steps {
			_, err := p.Render(p.Steps[i:i+1], d)
			refused(t, err, "unsafe_value")
		}
		_, err = p.Query(p.Verify.Query, d)
		refused(t, err, "unsafe_value")
	}
}

func TestAWiderPatternCarriesValuesUnchanged(t *testing.T) {
	b, p := wide(t, "'(?s).*'")
	for _, value := range injections {
		d := data(b, value)
		if value == "\xff" || value == "node\x00" { // no label of Prometheus, no argument of a program
			_, err := p.Render(p.Steps, d)
			refused(t, err, "unsafe_value")
			continue
		}
		step, err := p.Render(p.Steps[:1], d)
		if want := []string{"/opt/restart", value, value}; err != nil || !slices.Equal(step[0].Exec, want) {
			t.Errorf("argv of %q: got %+v, %v", value, step, err)
		}
		q, err := p.Query(p.Verify.Query, d)
		if err != nil {
			t.Errorf("query of %q: %v", value, err)
			continue
		}
		checkQuery(t, p.Verify.Query, q, value)
		call, err := p.Render(p.Steps[1:], d)
		if value == ".." || value == "." || value == "../../admin" {
			refused(t, err, "unsafe_value")
			continue
		}
		if err != nil {
			t.Errorf("call of %q: %v", value, err)
			continue
		}
		checkCall(t, call[0], value)
	}
}

// checkQuery insists that the value stands in the query as one matcher value,
// read by Prometheus' own parser.
func checkQuery(t *testing.T, template, got plan.Query, value string) {
	t.Helper()
	if len(got.Parts) != len(template.Parts) || len(got.Selectors) != len(template.Selectors) || got.Range != template.Range {
		t.Errorf("query of %q has another structure: %+v", value, got)
		return
	}
	expr, err := parser.NewParser(parser.Options{}).ParseExpr(got.Text)
	if err != nil {
		t.Errorf("query of %q: %v", value, err)
		return
	}
	nodes, found := 0, 0
	parser.Inspect(expr, func(n parser.Node, _ []parser.Node) error {
		if n != nil {
			nodes++
		}
		if v, ok := n.(*parser.VectorSelector); ok {
			for _, m := range v.LabelMatchers {
				if m.Name == "node" && (m.Value == value || m.Matches(value+":80") && !m.Matches("other:80")) {
					found++
				}
			}
		}
		return nil
	})
	if found != 2 || nodes != 8 {
		t.Errorf("query of %q: got %d nodes, %d of 2 matchers: %s", value, nodes, found, got.Text)
	}
}

// checkCall insists that the value is one segment, one parameter, one leaf.
func checkCall(t *testing.T, got plan.Rendered, value string) {
	t.Helper()
	u, err := url.Parse(got.URL)
	if err != nil {
		t.Errorf("url of %q: %v", value, err)
		return
	}
	segments := strings.Split(u.EscapedPath(), "/")
	if u.Host != "gateway:8080" || len(segments) != 4 || segments[1] != "nodes" || segments[3] != "x" || u.Fragment != "" {
		t.Errorf("url of %q leads elsewhere: %s", value, got.URL)
		return
	}
	if segment, err := url.PathUnescape(segments[2]); segment != value || err != nil {
		t.Errorf("url of %q: got segment %q, %v", value, segment, err)
	}
	if q := u.Query(); len(q) != 2 || q.Get("n") != value || q.Get("y") != "1" {
		t.Errorf("url of %q: got parameters %v", value, q)
	}
	var body []map[string]string
	if err := json.Unmarshal(got.Body, &body); err != nil || len(body) != 1 || len(body[0]) != 1 || body[0]["node"] != value {
		t.Errorf("body of %q: got %s", value, got.Body)
	}
}

func FuzzValuesNeverChangeStructure(f *testing.F) {
	for _, value := range injections {
		f.Add(value)
	}
	var b *plan.Book
	var p *plan.Plan
	f.Fuzz(func(t *testing.T, value string) {
		if b == nil {
			b, p = wide(t, "'(?s).*'")
		}
		d := data(b, value)
		step, err := p.Render(p.Steps[:1], d)
		if err != nil {
			refused(t, err, "unsafe_value")
			return
		}
		if !slices.Equal(step[0].Exec, []string{"/opt/restart", value, value}) {
			t.Errorf("argv of %q: got %q", value, step[0].Exec)
		}
		if call, err := p.Render(p.Steps[1:], d); err == nil {
			checkCall(t, call[0], value)
		} else {
			refused(t, err, "unsafe_value")
		}
		if q, err := p.Query(p.Verify.Query, d); err == nil {
			checkQuery(t, p.Verify.Query, q, value)
		} else {
			refused(t, err, "unsafe_value")
		}
	})
}

func TestMissingLabelsAreErrorsNeverEmptyTexts(t *testing.T) {
	b := book(t, base)
	d := data(b, "web-1")
	d.Member = map[string]string{"haproxy": "srv1"}
	_, err := b.Plans["drain"].Target(d)
	refused(t, err, "empty_target")
	if want := `template "node:{{ .Member.Labels.node }}": .Member.Labels.node is missing`; err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
	_, err = b.Plans["restart"].Render(b.Plans["restart"].Steps, d)
	refused(t, err, "unsafe_value")
	_, err = b.Plans["restart"].Query(b.Plans["restart"].When[0], d)
	refused(t, err, "unsafe_value")
	d.Labels = nil
	_, err = b.Plans["limit"].Render(b.Plans["limit"].Steps, d)
	refused(t, err, "unsafe_value")
	_, err = b.Plans["limit"].Target(plan.Data{})
	refused(t, err, "empty_target")
}

func TestARefusalNamesTheValueCutShort(t *testing.T) {
	b := book(t, base)
	_, err := b.Plans["drain"].Target(data(b, `web1"}) or vector(1) #`))
	want := `template "node:{{ .Member.Labels.node }}": .Member.Labels.node is "web1\"}) or vector(1) #", which does not match the plan's values \A(?:[A-Za-z0-9][A-Za-z0-9._:-]{0,252})\z`
	if err.Error() != want {
		t.Errorf("got  %s\nwant %s", err, want)
	}
	_, err = b.Plans["drain"].Target(data(b, strings.Repeat("a", 5000)))
	refused(t, err, "unsafe_value")
	if len(err.Error()) > 400 {
		t.Errorf("got a text of %d bytes", len(err.Error()))
	}
}

func TestParamsOfThePlanGoBeforeThoseOfTheService(t *testing.T) {
	b := book(t, with(t, "    release: manual\nscenarios", "    release: manual\n    params: { zone: z9 }\nscenarios"))
	steps, err := b.Plans["limit"].Render(b.Plans["limit"].Steps, data(b, "a"))
	if want := "http://gateway:8080/limits/web?zone=z9"; err != nil || steps[0].URL != want {
		t.Errorf("got %+v, %v, want %s", steps, err, want)
	}
}

// argument compiles a plan with one argument and renders it.
func argument(t *testing.T, template string) (string, error) {
	t.Helper()
	s, err := parsed(with(t, "exec: [/opt/restart, '{{ .Member.Labels.node }}']", "exec: [/opt/restart, '"+template+"']"))
	if err != nil {
		return "", err
	}
	b, err := plan.Compile(s)
	if err != nil {
		return "", err
	}
	d := data(b, "web-1")
	d.Annotations = map[string]string{"encoded": "LS1jb25maWc9L2V0Yy9zaGFkb3c=", "plus": "a+b", "a": "q"}
	steps, err := b.Plans["restart"].Render(b.Plans["restart"].Steps, d)
	if err != nil {
		return "", err
	}
	return steps[0].Exec[1], nil
}

func TestTemplatesTakeValuesFunctionsAndIf(t *testing.T) {
	for template, want := range map[string]string{
		"node={{ .Member.Labels.node | toUpper }}":                                           "node=WEB-1",
		`{{ reReplaceAll "-.*" "" .Member.Labels.node }}`:                                    "web",
		`{{ if eq .Member.Labels.node "web-1" }}one{{ else }}{{ .Member.Labels.no }}{{end}}`: "one",
		`{{ printf "%s/%d" .Incident.ID .Run.Fence }}`:                                       "01J/7",
		`{{ join "," (stringSlice .Service.Name .Params.zone) }}`:                            "web,z1",
		"a {{- /* no space */ -}} b":                                                         "ab",
		"plain {single} text":                                                                "plain {single} text",
	} {
		if got, err := argument(t, template); got != want || err != nil {
			t.Errorf("%s: got %q, %v, want %q", template, got, err, want)
		}
	}
}

func TestTemplatesThatCannotBeJudgedAreRefusedAtLoad(t *testing.T) {
	for template, want := range map[string]string{
		`{{ index .Alert.Labels "x" }}`:                "index is not allowed: name the label itself, such as .Member.Labels.node",
		"{{ .Alert.Labels }}":                          ".Alert.Labels is not known",
		"{{ . }}":                                      ". is not allowed",
		"{{ $x := .Alert.Labels.x }}{{ $x }}":          "variables are not allowed",
		"{{ $.Alert.Labels.x }}":                       "$.Alert.Labels.x is not allowed",
		"{{ range .Alert.Labels }}x{{ end }}":          "is not allowed",
		"{{ with .Member }}{{ .Labels.x }}{{ end }}":   "is not allowed",
		`{{ define "a" }}x{{ end }}`:                   "define is not allowed",
		`{{ template "a" }}`:                           "is not allowed",
		`{{ block "a" . }}x{{ end }}`:                  "define is not allowed",
		"{{ (.Alert).Labels }}":                        "is not allowed",
		"{{ safeHtml .Member.Labels.node }}":           `function "safeHtml" not defined`,
		`{{ routeLabels "a" }}`:                        `function "routeLabels" not defined`,
		"{{ .Params.other }}":                          ".Params.other is not known",
		"{{ .Service.Owner }}":                         ".Service.Owner is not known",
		"{{ .Incident.Labels }}":                       ".Incident.Labels is not known",
		"{{ .Node }}":                                  ".Node is not known",
		"{{ .Member.Labels.node":                       "unclosed action",
		"{{ if .Alert.Labels }}x{{ end }}":             ".Alert.Labels is not known",
		"{{ if true }}x{{ else }}{{ index 1 }}{{end}}": "index is not allowed",
	} {
		_, err := argument(t, strings.ReplaceAll(template, "'", "''"))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", template, err, want)
		}
	}
}

func TestDecodedValuesAreJudgedAgain(t *testing.T) {
	for _, template := range []string{
		"{{ base64decode .Alert.Annotations.encoded }}", // --config=/etc/shadow
		"{{ urlUnescape .Alert.Annotations.plus }}",
	} {
		_, err := argument(t, template)
		refused(t, err, "unsafe_value")
	}
}

func TestATextThatTurnsOutEmptyIsRefused(t *testing.T) {
	for _, template := range []string{`{{ reReplaceAll ".*" "" .Member.Labels.node }}`, `{{ if eq .Service.Name "db" }}x{{ end }}`, `{{ trimSpace " " }}`} {
		_, err := argument(t, template)
		refused(t, err, "unsafe_value")
	}
}

func TestAFunctionThatFailsIsARefusal(t *testing.T) {
	for _, template := range []string{`{{ reReplaceAll "[" "" .Member.Labels.node }}`, "{{ .Member.Labels.node | len | toUpper }}"} {
		_, err := argument(t, template)
		refused(t, err, "unsafe_value")
	}
}

func TestAServicePlanHasNoMember(t *testing.T) {
	_, err := parsed(with(t, "rps: 800", "rps: '{{ .Member.Labels.node }}'"))
	want := "plans.limit.steps[0].http.body.rps: template \"{{ .Member.Labels.node }}\": .Member.Labels.node: a plan whose target names no member has none"
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestDeploymentsAreNamedWithTheirNamespace(t *testing.T) {
	text := with(t, "target: 'service:{{ .Service.Name }}'", "target: 'deployment:{{ .Params.zone }}/{{ .Params.backend }}'")
	b := book(t, text)
	if got, err := b.Plans["limit"].Target(data(b, "a")); got != "deployment:z1/be_web" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	b = book(t, strings.Replace(text, "backend: be_web", "backend: a/b", 1))
	_, err := b.Plans["limit"].Target(data(b, "a"))
	refused(t, err, "empty_target")
}
