package probe

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.yaml.in/yaml/v3"
)

func TestCEL_HoldsTheJSONBodyAgainstConditions(t *testing.T) {
	site := web(t, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, map[string]string{
			"/ok":     `{"state": "up", "load": 3, "big": 9007199254740993, "parts": [{"up": true}, {"up": false}], "none": null}`,
			"/list":   `[1, 2]`,
			"/text":   `well`,
			"/huge":   `{"state": 1e999}`,
			"/double": `{"state": "up"} {"state": "up"}`,
			"/empty":  ``,
		}[r.URL.Path])
	})
	const matches, not = "fail_if_body_json_matches_cel", "fail_if_body_json_not_matches_cel"
	for _, c := range []struct{ key, expression, path, want string }{
		{matches, "body.state == 'down'", "/ok", ""},
		{matches, "body.state == 'up'", "/ok", `body matches "body.state == 'up'"`},
		{not, "body.state == 'up' && body.load < 5 && body.none == null", "/ok", ""},
		{not, "body.load > 5", "/ok", `body does not match "body.load > 5"`},
		{not, "body.parts.all(p, p.up)", "/ok", "body does not match"},
		{not, "has(body.parts) && !has(body.more)", "/ok", ""},
		{not, "body.size() == 2 && body[1] == 2", "/list", ""},
		// As in blackbox_exporter all numbers are doubles.
		{not, "body.big == 9007199254740992.0", "/ok", ""},
		{not, "body.load == 3", "/ok", ""},
		{not, "body.load + 1 == 4", "/ok", "no such overload"},
		// What cannot be evaluated fails the probe whichever key it stands under.
		{matches, "body.gone == 1", "/ok", "no such key: gone"},
		{matches, "body.state", "/ok", "want a result of type bool, got string"},
		{not, "body", "/list", "want a result of type bool, got list"},
		{matches, "body.state == 'down'", "/list", ""},
		{matches, "false", "/text", "reading the body as JSON: invalid character"},
		{matches, "false", "/huge", "reading the body as JSON"},
		{matches, "false", "/double", "reading the body as JSON: invalid character '{' after top-level value"},
		{not, "true", "/empty", "reading the body as JSON: unexpected end of JSON input"},
	} {
		if c.path == "/list" && c.key == matches {
			c.want = "unsupported index type" // a key of a list
		}
		r := ask(t, fmt.Sprintf("{prober: http, http: {%s: %q}}", c.key, c.expression), site+c.path)
		if c.want == "" {
			wantSuccess(t, r)
			wantValue(t, r, "probe_failed_due_to_cel", 0)
		} else {
			wantReason(t, r, Content, c.want)
			wantValue(t, r, "probe_failed_due_to_cel", 1)
		}
		wantValue(t, r, "probe_failed_due_to_regex", 0)
	}
}

func TestCEL_SeriesIsThereOnlyWithACondition(t *testing.T) {
	for text, want := range map[string]bool{"fail_if_body_json_matches_cel: 'false'": true, "fail_if_body_json_not_matches_cel: 'true'": true, "method: GET": false} {
		r := ask(t, "{prober: http, http: {"+text+"}}", closedPort(t))
		if got, present := value(r, "probe_failed_due_to_cel"); present != want || got != 0 {
			t.Errorf("%s: present %v, value %v", text, present, got)
		}
	}
}

func TestCEL_SeesTheBodyThatRegularExpressionsHaveRead(t *testing.T) {
	site := web(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"up": true}`) })
	for _, c := range []struct {
		regexp, cel  string
		regex, value float64
	}{
		{"up", "body.up", 0, 0}, {"down", "!body.up", 1, 0}, {"up", "!body.up", 0, 1},
	} {
		r := ask(t, "{prober: http, http: {fail_if_body_not_matches_regexp: ["+c.regexp+"], fail_if_body_json_not_matches_cel: '"+c.cel+"'}}", site)
		wantValue(t, r, "probe_failed_due_to_regex", c.regex)
		wantValue(t, r, "probe_failed_due_to_cel", c.value)
		if r.Success != (c.regex+c.value == 0) {
			t.Errorf("%+v: success %v, %v", c, r.Success, r.Err)
		}
	}
	// What failed before is not evaluated.
	r := ask(t, "{prober: http, http: {valid_status_codes: [204], fail_if_body_json_matches_cel: 'true'}}", site)
	wantReason(t, r, Status, "status is 200")
	wantValue(t, r, "probe_failed_due_to_cel", 0)
}

func TestCEL_ABodyThatDoesNotComeCountsAsNotMatching(t *testing.T) {
	half := serve(t, says("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}"))
	for _, key := range []string{"fail_if_body_matches_regexp: [x]", "fail_if_body_json_matches_cel: 'false'"} {
		r := ask(t, "{prober: http, http: {"+key+"}}", half)
		wantReason(t, r, Reset, "unexpected EOF")
		series := map[bool]string{true: "probe_failed_due_to_cel", false: "probe_failed_due_to_regex"}[strings.Contains(key, "cel")]
		wantValue(t, r, series, 1)
	}
}

func TestCEL_ReadsLargeBodiesWhenTheModuleAllowsThem(t *testing.T) {
	site := web(t, func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, `{"pad": "`+strings.Repeat("x", maxJSON)+`", "up": true}`)
	})
	wantReason(t, ask(t, "{prober: http, http: {fail_if_body_json_not_matches_cel: body.up}}", site), Size, "body is larger than 4194304 bytes")
	wantSuccess(t, ask(t, "{prober: http, http: {body_size_limit: 8MB, fail_if_body_json_not_matches_cel: body.up}}", site))
}

// endless takes far longer than any probe on a list of some thousand values.
const endless = "body.all(a, body.all(b, body.all(c, a + b + c >= 0.0)))"

func compiled(t testing.TB, text string) *condition {
	t.Helper()
	c := new(condition)
	if err := yaml.Unmarshal(fmt.Appendf(nil, "%q", text), c); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCEL_EndsAtTheDeadline(t *testing.T) {
	list := "[" + strings.Repeat("1,", 1000) + "1]"
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	err := judgeJSON(ctx, []byte(list), nil, compiled(t, endless))
	if got := reasonOf(err, Internal); got != Timeout {
		t.Errorf("got %s, %v", got, err)
	}
	site := web(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, list) })
	r := within(t, 100*time.Millisecond, "{prober: http, http: {fail_if_body_json_not_matches_cel: '"+endless+"'}}", site)
	wantReason(t, r, Timeout, "deadline exceeded")
	wantValue(t, r, "probe_failed_due_to_cel", 1)
}

func TestCEL_CostIsBounded(t *testing.T) {
	// It is the cost of what is asked for; this is quick.
	text := `{"a": "` + strings.Repeat("x", 40_000) + `"}`
	err := judgeJSON(t.Context(), []byte(text), nil, compiled(t, "body.a.contains(body.a)"))
	if reasonOf(err, Internal) != Content || !strings.Contains(fmt.Sprint(err), "cost limit exceeded") {
		t.Errorf("got %v", err)
	}
}

func TestHTTP_LeavesALargeBodyAtTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start, held := time.Now(), make(chan struct{})
		err := newJudges().inTime(ctx, quick+1, func() error { <-held; return nil })
		if took := time.Since(start); took != time.Second || reasonOf(err, Internal) != Timeout {
			t.Errorf("after %v: %v", took, err)
		}
		close(held)
	})
	if err := newJudges().inTime(t.Context(), quick+1, func() error { panic("odd") }); reasonOf(err, Timeout) != Internal {
		t.Errorf("a panic is %v", err)
	}
	if err := newJudges().inTime(t.Context(), quick+1, func() error { return nil }); err != nil {
		t.Error(err)
	}
}

// A probe every few seconds, of a body that takes longer to judge, would take up
// all memory: each leaves its body behind.
func TestHTTP_LargeBodiesThatAreLeftAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		judges, held := newJudges(), make(chan struct{})
		var begun atomic.Int64
		hangs := func() error { begun.Add(1); <-held; return nil }
		for range 3 * maxJudged {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			start := time.Now()
			err := judges.inTime(ctx, quick+1, hangs)
			if took := time.Since(start); took != time.Second || reasonOf(err, Internal) != Timeout {
				t.Errorf("after %v: %v", took, err)
			}
			cancel()
		}
		if got := begun.Load(); got != maxJudged {
			t.Errorf("%d bodies are judged, want %d", got, maxJudged)
		}
		if err := judges.inTime(t.Context(), quick, func() error { return nil }); err != nil {
			t.Errorf("a small body waits: %v", err)
		}
		close(held)
		synctest.Wait()
		for range 2 * maxJudged {
			if err := judges.inTime(t.Context(), quick+1, hangs); err != nil {
				t.Error(err)
			}
		}
		if err := judges.inTime(t.Context(), quick+1, func() error { panic("odd") }); err == nil {
			t.Error("a panic is no error")
		}
		synctest.Wait()
		if len(judges) > 0 {
			t.Errorf("%d are not given back", len(judges))
		}
	})
}

func TestCEL_MistakesAreFoundWhenTheFileIsRead(t *testing.T) {
	for text, want := range map[string]string{
		"''":                      "Syntax error",
		"body ==":                 "Syntax error",
		"state == 'up'":           "undeclared reference to 'state'",
		"size(body)":              `CEL expression "size(body)": want one of type bool, got int`,
		"\"'a' + 1\"":             "found no matching overload",
		"[]":                      "cannot unmarshal",
		"body.state.matches('(')": "",
		"'1 == 1'":                "",
		"body":                    "",
	} {
		err := yaml.Unmarshal([]byte(text), new(condition))
		if got := fmt.Sprint(err); (err == nil) != (want == "") || !strings.Contains(got, want) && want != "" || strings.Contains(got, "\n |") {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}

// FuzzCEL: whatever the body is, an evaluation ends with a reason of the closed
// set.
func FuzzCEL(f *testing.F) {
	for _, body := range []string{"", "null", "[]", `{"a":{"b":[1,2,{"c":"d"}]}}`, `{"a":1e308}`, "[[[[[[[[1]]]]]]]]", `{"a":"` + "\xff" + `"}`} {
		f.Add([]byte(body))
	}
	bad := compiled(f, "body.a.b.exists(x, x == 1 || x.c == 'd') || body.a.size() > 3")
	good := compiled(f, "type(body) == map && body.all(k, body[k] != null) || body == body")
	f.Fuzz(func(t *testing.T, text []byte) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if reason := reasonOf(judgeJSON(ctx, text, bad, good), ""); reason != "" && reason != Content {
			t.Errorf("reason %q", reason)
		}
	})
}
