package main

import (
	"io"
	"net/http"
	"net/http/httptest"
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
