package collector

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-kit/log"
	"github.com/prometheus/common/config"
	"github.com/prometheus/common/model"

	"github.com/onefiveten/onefiveten/promapi"
)

// vector is an answer of the API with the values of nodes.
func vector(values ...string) string {
	var list []string
	for i, v := range values {
		list = append(list, fmt.Sprintf(`{"metric":{"node":"n%d"},"value":[1e9,%q]}`, i+1, v))
	}
	return `{"status":"success","data":{"resultType":"vector","result":[` + strings.Join(list, ",") + `]}}`
}

// served is a Prometheus behind basic authentication that answers what it is told.
type served struct {
	*httptest.Server
	answer atomic.Pointer[http.HandlerFunc]
}

func newServed() *served {
	s := &served{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "probe" || password != "topsecret" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		(*s.answer.Load())(w, r)
	}))
	s.says(http.StatusOK, vector())
	return s
}

func (s *served) says(status int, body string) {
	s.does(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	})
}

func (s *served) does(h http.HandlerFunc) { s.answer.Store(&h) }

// client asks it with that password.
func (s *served) client(t *testing.T, password string) *promapi.Client {
	t.Helper()
	http := config.DefaultHTTPClientConfig
	http.BasicAuth = &config.BasicAuth{Username: "probe", Password: config.Secret(password)}
	c, err := promapi.New(promapi.Settings{Name: s.URL, URL: s.URL, HTTPConfig: &http, Timeout: model.Duration(250 * time.Millisecond)})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestSignal_OfARealAPITellsEveryFailure(t *testing.T) {
	s := newServed()
	defer s.Close()
	hang := func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-time.After(20 * time.Second):
		}
	}
	half := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		fmt.Fprint(w, vector("5")[:40])
	}
	say := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			fmt.Fprint(w, body)
		}
	}
	for name, a := range map[string]struct {
		answer http.HandlerFunc
		reason string
		stays  bool
	}{
		"no answer":      {hang, queryTimeout, true},
		"half an answer": {half, queryFailed, true},
		"503":            {say(503, `{"status":"error","errorType":"unavailable","error":"no"}`), queryFailed, true},
		"503 in time":    {say(503, `{"status":"error","errorType":"timeout","error":"query timed out"}`), queryTimeout, true},
		"422 in time":    {say(422, `{"status":"error","errorType":"timeout","error":"query timed out"}`), queryTimeout, true},
		"504":            {say(504, `<html>Gateway Time-out</html>`), queryTimeout, true},
		"422":            {say(422, `{"status":"error","errorType":"execution","error":"many-to-many"}`), queryFailed, true},
		"a page":         {say(200, "<html>"), queryFailed, true},
		"a part":         {say(200, strings.Replace(vector("5"), `"data"`, `"warnings":["a store is away"],"data"`, 1)), queryFailed, true},
		"a matrix":       {say(200, `{"status":"success","data":{"resultType":"matrix","result":[]}}`), queryFailed, true},
		"too many":       {say(200, vector("1", "2", "3", "4")), queryMany, true},
		"NaN":            {say(200, vector("NaN")), queryNumber, false},
		"nothing":        {say(200, vector()), queryEmpty, false},
		"odd labels":     {say(200, strings.Replace(vector("5"), `"node"`, `"pod"`, 1)), queryLabels, false},
	} {
		t.Run(name, func(t *testing.T) {
			var told bytes.Buffer
			c := New("a", log.NewLogfmtLogger(&told))
			text := strings.Replace(queue, "unit: items", "max_series: 3", 1)
			if err := c.Apply(parse(t, text), nil, ofQueue, s.client(t, "topsecret")); err != nil {
				t.Fatal(err)
			}
			q := c.table.Load().queries[0]
			q.state.past = noPast
			s.says(http.StatusOK, vector("5"))
			for range 4 {
				turn{time.Now(), q}.ask(t.Context(), c)
			}
			if got := lines(readable(t, c), "ksigma_fault{", "n1"); got == "" {
				t.Fatalf("the signal is not judged: %s", &told)
			}
			s.does(a.answer)
			turn{time.Now(), q}.ask(t.Context(), c)
			page := readable(t, c)
			if got := lines(page, "ksigma_fault{", "n1"); (got != "") != a.stays {
				t.Errorf("got %q, want a verdict of before: %v", got, a.stays)
			}
			if got := lines(page, "signal_up{"); !strings.HasSuffix(got, "} 0\n") {
				t.Errorf("got %q, want 0", got)
			}
			if n := failures(c); len(n) != 1 || n[a.reason] != 1 {
				t.Errorf("counted %v, want %s", n, a.reason)
			}
			if got := told.String(); !strings.Contains(got, "reason="+a.reason) || strings.Contains(got, "topsecret") {
				t.Errorf("told %s", got)
			}
		})
	}
}

func TestSignal_AWrongPasswordIsAFailure(t *testing.T) {
	s := newServed()
	defer s.Close()
	var told bytes.Buffer
	c := New("a", log.NewLogfmtLogger(&told))
	if err := c.Apply(parse(t, queue), nil, ofQueue, s.client(t, "othersecret")); err != nil {
		t.Fatal(err)
	}
	turn{time.Now(), c.table.Load().queries[0]}.ask(t.Context(), c)
	if n := failures(c); n[queryFailed] != 1 || !strings.Contains(told.String(), "401") || strings.Contains(told.String(), "othersecret") {
		t.Errorf("counted %v and told %s, want 401 and no password", n, &told)
	}
}

// Queries, reloads and an end in the middle of a query leave nothing behind.
func TestSignals_LeaveNeitherGoroutinesNorDescriptors(t *testing.T) {
	goroutines, descriptors := open(t)
	s := newServed()
	asked := make(chan struct{}, 1000)
	s.does(func(w http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		if len(asked)%2 == 0 {
			fmt.Fprint(w, vector("5"))
			return
		}
		<-r.Context().Done()
	})
	c := New("a", log.NewNopLogger())
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- c.Run(ctx) }()
	late := time.After(20 * time.Second)
	for i := range 3 {
		text := strings.Replace(queue, "interval: 10s, unit: items", fmt.Sprintf("interval: 1s, unit: u%d", i), 1)
		if err := c.Apply(parse(t, text), nil, ofQueue, s.client(t, "topsecret")); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			select {
			case <-asked:
			case <-late:
				t.Fatal("nobody asks")
			}
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	s.CloseClientConnections()
	s.Close()
	settled(t, goroutines, descriptors)
}
