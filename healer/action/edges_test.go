package action

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/onefiveten/onefiveten/healer"
)

// oauth is the http_config of a step that needs a token first.
func oauth(t *testing.T, tokens string) Settings {
	t.Helper()
	return Settings{Clients: clients(t, "step", "oauth2: {client_id: me, client_secret: sesame, token_url: '"+tokens+"'}")}
}

// The library asks for a token without the context of the call.
func TestATokenThatNeverComesHoldsNoStepBeyondItsTime(t *testing.T) {
	var hits atomic.Int32
	target := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits.Add(1) }))
	defer target.Close()
	asked, release := make(chan struct{}), make(chan struct{})
	tokens := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { close(asked); <-release }))
	defer tokens.Close()
	defer close(release)
	e := caller(t, oauth(t, tokens.URL), target.URL, tokens.URL)
	a := post(target.URL)
	a.HTTP.Client = "step"
	ctx, cancel := context.WithCancelCause(t.Context())
	done := make(chan healer.Result, 1)
	go func() { done <- e.Do(ctx, a) }()
	<-asked
	cancel(timeoutError(5 * time.Second))
	select {
	case got := <-done:
		want := healer.Result{Outcome: healer.Transient, Cause: "nothing was sent: no end within 5s: context deadline exceeded"}
		if diff := cmp.Diff(want, got); diff != "" || hits.Load() > 0 {
			t.Errorf("%d requests, -want +got:\n%s", hits.Load(), diff)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("the step goes on after its time")
	}
}

func TestATokenIsAskedForAndSent(t *testing.T) {
	var seen string
	target := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen = r.Header.Get("Authorization") }))
	defer target.Close()
	tokens := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"access_token":"opensesame","token_type":"Bearer"}`)
	}))
	defer tokens.Close()
	a := post(target.URL)
	a.HTTP.Client = "step"
	if got := caller(t, oauth(t, tokens.URL), target.URL, tokens.URL).Do(t.Context(), a); got.Outcome != healer.OK || seen != "Bearer opensesame" {
		t.Errorf("got %+v with the header %q", got, seen)
	}
	got := caller(t, oauth(t, tokens.URL), target.URL).Do(t.Context(), a)
	if got.Outcome != healer.Failed || !strings.Contains(got.Cause, "not in http.allowed_hosts") {
		t.Errorf("with a token server that is not allowed: got %+v", got)
	}
}

func TestAProxyForTheTokenIsRefused(t *testing.T) {
	for _, proxy := range []string{"proxy_url: 'http://proxy:3128'", "proxy_from_environment: true"} {
		s := Settings{Clients: clients(t, "step", "oauth2: {client_id: me, client_secret: sesame, token_url: 'http://tokens:80', "+proxy+"}")}
		if _, err := New(s); err == nil || !strings.Contains(err.Error(), "a proxy is refused") {
			t.Errorf("%s: got %v, want it refused", proxy, err)
		}
	}
}

// What was called not sent can never be sent later.
func TestAWireThatWasShutCarriesNothing(t *testing.T) {
	near, far := net.Pipe()
	defer far.Close()
	w := &wire{}
	conn := countedConn{Conn: near, wire: w}
	w.ready.Store(true)
	if !w.shut() {
		t.Fatal("it has sent something")
	}
	if n, err := conn.Write([]byte("POST")); n > 0 || !errors.Is(err, errShut) {
		t.Errorf("wrote %d bytes, %v", n, err)
	}
	near.Close()
	if text, err := io.ReadAll(far); len(text) > 0 {
		t.Errorf("got %q, %v", text, err)
	}
	w = &wire{}
	w.ready.Store(true)
	_, _ = countedConn{Conn: near, wire: w}.Write([]byte("POST"))
	if w.shut() {
		t.Error("it may have sent something, and was shut as if it had not")
	}
}
