package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Who believes to have taken an incident over does not look whether automation
// goes on.
func TestOnlyTheReceiversOwnWordMakesAnOperationDone(t *testing.T) {
	login := http.NewServeMux()
	login.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/login", http.StatusFound) })
	login.HandleFunc("/login", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<h1>Who are you?</h1>") })
	for _, test := range []struct {
		name string
		http.Handler
		want string
	}{
		{"a proxy that wants a login", login, `302 Found to "/login": redirects are not followed`},
		{"another server", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<h1>It works!</h1>") }), "is heal-receiver there?"},
		{"a wrong path", http.NotFoundHandler(), "/api/v1/incidents/01I:take: 404 Not Found: 404 page not found; is --url the address of heal-receiver?"},
		{"no credential", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401) }), "; give --token-file, or --user with --password-file"},
		{"an answer about another", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"id":"01J","done":"take"}`) }), "is heal-receiver there?"},
	} {
		server := httptest.NewServer(test.Handler)
		code, out, errs := command(t, "--url="+server.URL, "incidents", "take", "01I")
		server.Close()
		if code != 1 || out != "" || !strings.Contains(errs, test.want) {
			t.Errorf("%s: got %d\n%s%s\nwant 1 with %q", test.name, code, out, errs, test.want)
		}
	}
}

// A review that is cut short by a full disk or a closed pipe must not look whole to a script.
func TestOutputThatCannotBeWrittenIsAnError(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/v1/reviews/01I" {
			io.WriteString(w, "# Incident")
			return
		}
		io.WriteString(w, `{"incidents":[]}`)
	}))
	defer server.Close()
	reader, cut, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer cut.Close()
	reader.Close()
	for _, args := range [][]string{{"review", "01I"}, {"incidents"}, {"incidents", "--json"}} {
		var errs output
		if code := run(t.Context(), append([]string{"--url=" + server.URL}, args...), cut, &errs); code != 1 || !strings.Contains(errs.String(), "broken pipe") {
			t.Errorf("%q: got %d %s, want 1 with the reason", args, code, errs.String())
		}
	}
}

func TestAnAddressToAskIsReadBeforeItIsAsked(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ flag, want string }{
		{"--url=127.0.0.1:9099", `--url: got "127.0.0.1:9099", want one such as http://127.0.0.1:9099`},
		{"--url=localhost:9099", `--url: got "localhost:9099", want one such as http://127.0.0.1:9099`},
		{"--url=", `--url: got "", want one such as http://127.0.0.1:9099`},
		{"--url=http:///x", `--url: got "http:///x", want one such as http://127.0.0.1:9099`},
		{"--url=http://heal/?a=b", `--url: got "http://heal/?a=b", want one such as http://127.0.0.1:9099`},
		{"--url=http://ann:sesame@127.0.0.1:1", "--url: holds a user; name it with --user and --password-file"},
		{"--url=http://ann:sesame@127.0.0.1:port", "--url: want one such as http://127.0.0.1:9099"},
		{"--token-file=" + empty, "--token-file: " + empty + " is empty"},
		{"--password-file=" + empty, "--password-file: " + empty + " is empty"},
	} {
		code, out, errs := command(t, test.flag, "incidents")
		if code != 1 || out != "" || !strings.Contains(errs, test.want) || strings.Contains(errs, "sesame") {
			t.Errorf("%s: got %d\n%s%s\nwant 1 with %s", test.flag, code, out, errs, test.want)
		}
	}
}

// Whoever sends or takes nothing must not hold a connection for ever: /metrics
// asks for no credential.
func TestEveryWaitOfTheServerForAClientEnds(t *testing.T) {
	s := newServer(http.NotFoundHandler())
	if s.ReadHeaderTimeout <= 0 || s.ReadTimeout <= 0 || s.WriteTimeout <= s.ReadTimeout || s.IdleTimeout <= 0 {
		t.Errorf("time-outs: header %s, request %s, answer %s, idle %s; want all, and the answer's longer than the request's",
			s.ReadHeaderTimeout, s.ReadTimeout, s.WriteTimeout, s.IdleTimeout)
	}
}
