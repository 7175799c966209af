package healer_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/onefiveten/onefiveten/healer"
	"github.com/onefiveten/onefiveten/healer/plan"
)

func newSink(t *testing.T, c plan.Contact) healer.Sink {
	t.Helper()
	sink, err := healer.NewWebhook(c)
	if err != nil {
		t.Fatal(err)
	}
	return sink
}

func TestWebhook_PostsTheNoticeOnce(t *testing.T) {
	var got []string
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		got = append(got, r.Method, r.URL.Path, r.Header.Get("Content-Type"), r.Header.Get("Idempotency-Key"), string(body))
	}))
	defer server.Close()
	file := filepath.Join(t.TempDir(), "url")
	if err := os.WriteFile(file, []byte(server.URL+"/hook\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	m := healer.Message{ID: "01M", Sink: "desk", Body: `{"kind":"tell"}`}
	if err := newSink(t, plan.Contact{URLFile: file}).Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	want := []string{"POST", "/hook", "application/json", "01M", `{"kind":"tell"}`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what the contact got (-want +got):\n%s", diff)
	}
}

func TestWebhook_WhatIsNot2xxIsNotDeliveredAndTheURLStaysSecret(t *testing.T) {
	for code, want := range map[int]string{
		500: "send to desk: got 500 Internal Server Error, want 2xx: \"no\"",
		302: "send to desk: got 302 Found, want 2xx: \"no\"",
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(code)
			_, _ = io.WriteString(w, "no")
		}))
		err := newSink(t, plan.Contact{URL: server.URL + "/secret"}).Send(t.Context(), healer.Message{Sink: "desk"})
		server.Close()
		if err == nil || err.Error() != want {
			t.Errorf("answer %d: got error %v, want %s", code, err, want)
		}
		err = newSink(t, plan.Contact{URL: server.URL + "/secret"}).Send(t.Context(), healer.Message{Sink: "desk"})
		if err == nil || !strings.Contains(err.Error(), "connection refused") || strings.Contains(err.Error(), "secret") {
			t.Errorf("nobody listens: got error %v, want connection refused and not the URL", err)
		}
	}
	err := newSink(t, plan.Contact{URL: "http://secret\x00/"}).Send(t.Context(), healer.Message{Sink: "desk"})
	if err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("a URL that is none: got error %v, want one without the URL", err)
	}
}

func TestAContactWithoutAnAddressIsAMistakeAtLoad(t *testing.T) {
	file := filepath.Join(t.TempDir(), "url")
	_, err := healer.NewWebhook(plan.Contact{URLFile: file})
	if err == nil || !strings.Contains(err.Error(), "reading url_file: open "+file) {
		t.Errorf("a missing file: got error %v, want url_file named", err)
	}
	for _, text := range []string{"", "secret-token", "ftp://secret"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := healer.NewWebhook(plan.Contact{URLFile: file})
		if err == nil || !strings.Contains(err.Error(), "url_file "+file+": want one address in it") || strings.Contains(err.Error(), "secret") {
			t.Errorf("a file with %q: got error %v, want what belongs into it and not what it holds", text, err)
		}
	}
	if err := os.WriteFile(file, []byte("http://127.0.0.1:1/\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	sink := newSink(t, plan.Contact{URLFile: file})
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := sink.Send(t.Context(), healer.Message{Sink: "desk"}); err == nil || !strings.Contains(err.Error(), "reading url_file") {
		t.Errorf("a file that has gone: got error %v, want it named", err)
	}
}
