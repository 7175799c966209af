package plan_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/onefiveten/onefiveten/healer/plan"
)

func TestTheKeptTextIsCanonicalAndWhole(t *testing.T) {
	b := book(t, base)
	text, hash := b.Text(b.Plans["limit"], b.Services["web"])
	want := `{"limits":{},"name":"limit","plan":{` +
		`"kind":"throttle","release":"manual",` +
		`"steps":[{"http":{"body":{"rps":800,"why":"{{ .Alert.Labels.alertname }}"},"method":"PUT","url":"http://gateway:8080/limits/{{ .Service.Name }}?zone={{ .Params.zone }}"},"timeout":"5s"}],` +
		`"target":"service:{{ .Service.Name }}","verify":{"healthy":"service"}},` +
		`"service":{"healthy":{"query":"min(probe_success{service=\"web\", probe=\"vip\"}) == 1"},"member_by":"node",` +
		`"members":"min by (node, haproxy) (probe_success{service=\"web\", probe=\"node\"})","name":"web","params":{"backend":"be_web","zone":"z1"},"prometheus":"main"}}`
	if text != want {
		t.Errorf("text (-want +got):\n%s", cmp.Diff(want, text))
	}
	if len(hash) != 64 || hash != strings.ToLower(hash) {
		t.Errorf("got hash %q, want 64 hex digits", hash)
	}
}

func TestAPlanRunsOnFromItsKeptText(t *testing.T) {
	b := book(t, base)
	for name, p := range b.Plans {
		text, _ := b.Text(p, b.Services["web"])
		again, service, err := plan.FromText(text)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		d := data(b, "web-1")
		want, _ := p.Render(p.Steps, d)
		d.Service = service
		got, err := again.Render(again.Steps, d)
		if err != nil || len(got) != 1 || got[0].URL != want[0].URL || string(got[0].Body) != string(want[0].Body) || got[0].Client != want[0].Client || !cmp.Equal(got[0].Exec, want[0].Exec) {
			t.Errorf("%s: got %+v, %v, want %+v", name, got, err, want)
		}
		if again.Verify.Within != p.Verify.Within || again.Member != p.Member || service.Healthy.Text != b.Services["web"].Healthy.Text || service.Prometheus != "main" {
			t.Errorf("%s: got %+v of %+v", name, again, service)
		}
		if second, _ := b.Text(again, service); second != text {
			t.Errorf("%s: the text of what was read differs (-first +second):\n%s", name, cmp.Diff(text, second))
		}
	}
}

func TestAPlanIsReadBackWithAServiceThatLacksItsParameters(t *testing.T) {
	b := book(t, with(t, "plans:\n", db+"plans:\n"))
	text, _ := b.Text(b.Plans["limit"], b.Services["db"])
	p, s, err := plan.FromText(text)
	if err != nil {
		t.Fatal(err)
	}
	d := data(b, "a")
	d.Service = s
	_, err = p.Render(p.Steps, d)
	refused(t, err, "unsafe_value")
}

func TestTheHashChangesWithPlanServiceAndLimitsAlone(t *testing.T) {
	hash := func(text string) string {
		b := book(t, text)
		_, h := b.Text(b.Plans["drain"], b.Services["web"])
		return h
	}
	was := hash(base)
	for _, change := range [][2]string{
		{"[/opt/hactl, drain,", "[/opt/hactl, drain, now,"},
		{"zone: z1", "zone: z2"},
		{"probe=\"vip\"", "probe=\"vip2\""},
		{"cluster: prod", "cluster: prod\nlimits: { attempts: 2 }"},
	} {
		if hash(with(t, change[0], change[1])) == was {
			t.Errorf("%s: the hash stays", change[1])
		}
	}
	for _, change := range [][2]string{
		{"[/opt/restart,", "[/opt/restart, now,"},
		{"severity: P1", "severity: P2"},
		{"cluster: prod", "cluster: prod # comment"},
		{"kind: isolate\n    mode: auto", "mode: auto\n    kind: isolate"},
	} {
		if hash(with(t, change[0], change[1])) != was {
			t.Errorf("%s: the hash changes", change[1])
		}
	}
}

func TestSecretsAreNotKept(t *testing.T) {
	b := book(t, with(t, "method: PUT,", "http_config: { authorization: { credentials: s3cret } }, method: PUT,"))
	text, _ := b.Text(b.Plans["limit"], b.Services["web"])
	if strings.Contains(text, "s3cret") {
		t.Errorf("the text holds the secret: %s", text)
	}
	if _, _, err := plan.FromText(text); err != nil {
		t.Error(err)
	}
}

func TestATextThatIsNoPlanIsAnError(t *testing.T) {
	for text, want := range map[string]string{
		"":                                      "reading the kept plan: EOF",
		"[]":                                    "reading the kept plan: json: cannot unmarshal array",
		`{"name":"a","plan":{"kind":"reboot"}}`: `got "reboot", want one of`,
	} {
		if _, _, err := plan.FromText(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
}

// Whatever stands in an argument comes back from the kept text as it was.
func FuzzKeptText(f *testing.F) {
	for _, text := range []string{"a", "2020-01-01", "yes", "~", "0x10", "\u2028", "\x7f", "a\nb\t", "<&>", "- a", "'", `"`, "1e3", " ", "😀", "!!int 3", "a: b"} {
		f.Add(text)
	}
	var b *plan.Book
	f.Fuzz(func(t *testing.T, arg string) {
		if b == nil {
			b = book(t, base)
		}
		quoted, err := json.Marshal(arg)
		if err != nil || strings.Contains(arg, "{{") || strings.ContainsRune(arg, 0) {
			return
		}
		text, _ := b.Text(b.Plans["restart"], b.Services["web"])
		text = strings.Replace(text, `"{{ .Member.Labels.node }}"]`, string(quoted)+"]", 1)
		p, s, err := plan.FromText(text)
		if err != nil {
			t.Fatalf("%q: %v", arg, err)
		}
		again, _ := b.Text(p, s)
		q, _, err := plan.FromText(again)
		if err != nil {
			t.Fatalf("%q: %v", arg, err)
		}
		want, err := p.Render(p.Steps, data(b, "a"))
		if err != nil {
			t.Fatal(err)
		}
		got, err := q.Render(q.Steps, data(b, "a"))
		if err != nil || got[0].Exec[1] != want[0].Exec[1] {
			t.Errorf("%q: got %+v, %v, want %q", arg, got, err, want[0].Exec[1])
		}
	})
}
