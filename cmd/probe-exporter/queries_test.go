package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/onefiveten/onefiveten/promapi"
)

// queued is house with a signal that reads from the Prometheus at ASKED.
var queued = strings.NewReplacer(
	"prometheus: {", `prometheus: {url: "ASKED", `,
	"services:\n", "signals:\n- {name: queue, service: shop, expr: 'max by (node) (queue_length)', interval: 5s, unit: items}\nservices:\n",
).Replace(house)

func TestCheck_SignalsNeedSomebodyToAskInTime(t *testing.T) {
	for text, want := range map[string]string{
		strings.Replace(queued, `url: "ASKED", `, "", 1):                               "FILE:10: signals: there is nobody to ask: want prometheus.url\n",
		strings.Replace(queued, `url: "ASKED"`, `url: "http://h/", timeout: 6s`, 1):    "FILE:11: signals[0].interval: got 5s, want prometheus.timeout of 6s or more\n",
		strings.Replace(queued, `url: "ASKED"`, `url: "http://h/", timeout: 0s`, 1):    "FILE:4: prometheus.timeout: got 0s, want more than 0s\n",
		strings.Replace(queued, `url: "ASKED"`, `url: "http://h/", concurrency: 0`, 1): "FILE:4: prometheus.concurrency: got 0, want 1 to 1000\n",
	} {
		file := write(t, strings.ReplaceAll(text, "HOST", "127.0.0.1:1"))
		code, _, stderr := call(t, "check", "--config.file="+file)
		if code != 1 || !strings.Contains(strings.ReplaceAll(stderr, file, "FILE"), want) {
			t.Errorf("ended with %d: %s\nwant %s", code, stderr, want)
		}
	}
}

// answering is a Prometheus in which all is as the file says, and which gives a signal
// what it is told, with that status; its clock is ahead.
func answering(t *testing.T, file string, status int, answer string, ahead time.Duration) http.Handler {
	t.Helper()
	sys := runs(t, file)
	sys.ahead = ahead
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.FormValue("query") != "max by (node) (queue_length)":
			sys.answer(w, r)
		case status == 0:
			<-r.Context().Done() // nobody waits any more
		default:
			w.WriteHeader(status)
			fmt.Fprint(w, answer)
		}
	})
}

// holding is an answer with one series.
func holding(labels, value string) string {
	return fmt.Sprintf(`{"status":"success","data":{"resultType":"vector","result":[{"metric":{%s},"value":[1e9,%q]}]}}`, labels, value)
}

func TestCheck_AsksEachSignalOnce(t *testing.T) {
	for name, c := range map[string]struct {
		status         int // 0: it never answers
		answer         string
		ahead          time.Duration
		wrong, warning string
	}{
		"good":         {200, holding(`"node":"n1"`, "5"), 0, "", ""},
		"a bad query":  {422, `{"status":"error","errorType":"execution","error":"many-to-many from http://me:topsecret@store/"}`, 0, `FILE:11: signals[0].expr: asking http://127.0.0.1:`, ""},
		"labels":       {200, holding(`"pod":"p"`, "5"), 0, `FILE:11: signals[0].expr: got a series with the label "pod"`, ""},
		"away":         {503, "no", 0, "", `FILE:11: signals[0].expr: warning: asking http://127.0.0.1:`},
		"nothing":      {200, `{"status":"success","data":{"resultType":"vector","result":[]}}`, 0, "", "FILE:11: signals[0].expr: warning: it gives no series now"},
		"no number":    {200, holding("", "NaN"), 0, "", "FILE:11: signals[0].expr: warning: got the value NaN for {} now"},
		"no answer":    {0, "", 0, "", "no answer within 500ms"},
		"a fast clock": {200, holding("", "5"), 5 * time.Minute, "", "ahead of the one of this machine, want 1s at most"},
		"a slow clock": {200, holding("", "5"), -5 * time.Minute, "", "behind the one of this machine, want 1s at most"},
	} {
		// The hash is that of the text, and the address is a part of it.
		var answers http.Handler
		address := site(t, func(w http.ResponseWriter, r *http.Request) { answers.ServeHTTP(w, r) })
		file := write(t, strings.NewReplacer("HOST", "127.0.0.1:1", `url: "ASKED"`, `timeout: 500ms, url: "http://`+address+`"`).Replace(queued))
		answers = answering(t, file, c.status, c.answer, c.ahead)
		for _, as := range [][]string{{"check"}, {"--config.check", "--observer=a"}} {
			code, stdout, stderr := call(t, append(as, "--config.file="+file)...)
			stdout, stderr = strings.ReplaceAll(stdout, file, "FILE"), strings.ReplaceAll(stderr, file, "FILE")
			wrong, warning := c.wrong, c.warning
			if as[0] == "--config.check" { // it asks nobody
				wrong, warning = "", ""
			}
			if (code != 0) != (wrong != "") || !strings.Contains(stderr, wrong) || strings.Contains(stdout+stderr, "topsecret") {
				t.Errorf("%s: %s ended with %d: %s\nwant %s", name, as[0], code, stderr, wrong)
			}
			told := 0 // of what can be asked
			for _, line := range strings.Split(stdout, "\n") {
				if strings.Contains(line, "warning: ") && !strings.Contains(line, "prometheus.scrape.timeout: ") {
					told++
				}
			}
			if !strings.Contains(stdout, warning) || (told == 1) != (warning != "") || told > 1 {
				t.Errorf("%s: %s told %d warnings: %s\nwant %s", name, as[0], told, stdout, warning)
			}
		}
	}
}

// TestCheck_AsksForTheTrafficBesideEachSignal: what is wrong with it would take the
// place of a fault away, and nobody would be told.
func TestCheck_AsksForTheTrafficBesideEachSignal(t *testing.T) {
	const traffic = "sum by (node) (rate(requests_total[1m]))"
	for name, c := range map[string]struct {
		status         int
		answer         string
		wrong, warning string
	}{
		"good":        {200, holding(`"node":"n1"`, "5"), "", ""},
		"a bad query": {422, `{"status":"error","errorType":"execution","error":"many-to-many"}`, "FILE:11: signals[0].traffic: asking http://127.0.0.1:", ""},
		"labels":      {200, holding(`"pod":"p"`, "5"), `FILE:11: signals[0].traffic: got a series with the label "pod"`, ""},
		"away":        {503, "no", "", "FILE:11: signals[0].traffic: warning: asking http://127.0.0.1:"},
		"nothing":     {200, `{"status":"success","data":{"resultType":"vector","result":[]}}`, "", "FILE:11: signals[0].traffic: warning: got 0 series, want 1 to max_series of 1000 now: faults are located without it"},
		"below 0":     {200, holding(`"node":"n1"`, "-1"), "", `FILE:11: signals[0].traffic: warning: got the value -1 for {`},
	} {
		var values http.Handler
		address := site(t, func(w http.ResponseWriter, r *http.Request) {
			if r.FormValue("query") != traffic {
				values.ServeHTTP(w, r)
				return
			}
			w.WriteHeader(c.status)
			fmt.Fprint(w, c.answer)
		})
		file := write(t, strings.NewReplacer(
			"HOST", "127.0.0.1:1", `url: "ASKED"`, `timeout: 500ms, url: "http://`+address+`"`, "timeout: 500ms}, eval", "timeout: 400ms}, eval",
			"unit: items", "unit: items, traffic: '"+traffic+"'",
		).Replace(queued))
		values = answering(t, file, 200, holding(`"node":"n1"`, ".5"), 0)
		code, stdout, stderr := call(t, "check", "--config.file="+file)
		stdout, stderr = strings.ReplaceAll(stdout, file, "FILE"), strings.ReplaceAll(stderr, file, "FILE")
		if (code != 0) != (c.wrong != "") || !strings.Contains(stderr, c.wrong) {
			t.Errorf("%s: ended with %d: %s\nwant %s", name, code, stderr, c.wrong)
		}
		if got := strings.Count(stdout, "warning: "); !strings.Contains(stdout, c.warning) || (got == 1) != (c.warning != "") || got > 1 {
			t.Errorf("%s: told %d warnings: %s\nwant %s", name, got, stdout, c.warning)
		}
	}
}

// A Prometheus whose address holds a password is no reason to show that.
func TestSource_ErrorsShowNoPassword(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusUnprocessableEntity)
		fmt.Fprint(w, `{"status":"error","errorType":"execution","error":"from http://me:topsecret@store/"}`)
	}))
	defer server.Close()
	s := settings{Prometheus: prometheusSection{URL: strings.Replace(server.URL, "//", "//me:topsecret@", 1)}}
	source, _, err := s.source()
	if err != nil {
		t.Fatal(err)
	}
	_, err = source.Query(t.Context(), `up{instance="http://me:topsecret@h/"}`)
	_, past := source.Range(t.Context(), "up", time.Unix(0, 0), time.Unix(60, 0), time.Second)
	for _, err := range []error{err, past} {
		if err == nil || strings.Contains(err.Error(), "topsecret") || !strings.Contains(err.Error(), "execution") {
			t.Errorf("got %v, want the answer without the password", err)
		}
	}
}

// late answers when the time is over.
type late struct{}

func (late) Query(context.Context, string) ([]promapi.Point, error) {
	return nil, fmt.Errorf("queued http://me:topsecret@h/: %w", context.DeadlineExceeded)
}

func (late) Range(context.Context, string, time.Time, time.Time, time.Duration) ([]promapi.Track, error) {
	return nil, nil
}

func TestSource_AnErrorStaysWhatItIs(t *testing.T) {
	_, err := discreet{late{}}.Query(t.Context(), "up")
	if !errors.Is(err, context.DeadlineExceeded) || strings.Contains(err.Error(), "topsecret") {
		t.Errorf("got %v, want a time-out without the password", err)
	}
	if _, err := (discreet{late{}}).Range(t.Context(), "up", time.Time{}, time.Time{}, 0); err != nil {
		t.Errorf("got %v, want no error where there is none", err)
	}
}

func TestSource_WithoutAnAddressThereIsNone(t *testing.T) {
	if source, _, err := (&settings{}).source(); source != nil || err != nil {
		t.Errorf("got %v and %v, want none", source, err)
	}
}

// connected is a Prometheus without series that tells how many connections it has.
func connected(t *testing.T) (url string, changes chan int) {
	t.Helper()
	changes = make(chan int, 1000)
	var mu sync.Mutex
	open := 0
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		kind := "vector"
		if strings.HasSuffix(r.URL.Path, "_range") {
			kind = "matrix"
		}
		fmt.Fprintf(w, `{"status":"success","data":{"resultType":%q,"result":[]}}`, kind)
	}))
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		mu.Lock()
		defer mu.Unlock()
		switch s { //nolint:exhaustive // a connection is new once, and closed once
		case http.StateNew:
			open++
		case http.StateClosed:
			open--
		default:
			return
		}
		changes <- open
	}
	server.Start()
	t.Cleanup(server.Close)
	return server.URL, changes
}

// until waits for a number of connections.
func until(t *testing.T, changes <-chan int, want func(open int) bool) {
	t.Helper()
	late := time.After(30 * time.Second)
	for {
		select {
		case open := <-changes:
			if want(open) {
				return
			}
		case <-late:
			t.Fatal("the connections are not as they should be")
		}
	}
}

// A process that is reloaded every hour must not end with a thousand connections.
func TestReload_LetsGoOfTheConnectionsToThePrometheusOfBefore(t *testing.T) {
	site := site(t, fine)
	one, ofOne := connected(t)
	two, ofTwo := connected(t)
	text := strings.ReplaceAll(queued, "HOST", site)
	file := write(t, strings.ReplaceAll(text, "ASKED", one))
	r := start(t, "--config.file="+file, "--observer=a")
	until(t, ofOne, func(open int) bool { return open > 0 })
	rewrite(t, file, strings.ReplaceAll(text, "ASKED", two))
	if code, body := r.ask("POST", "/-/reload"); code != http.StatusOK {
		t.Fatalf("%d: %s", code, body)
	}
	until(t, ofOne, func(open int) bool { return open == 0 })
	until(t, ofTwo, func(open int) bool { return open > 0 })
	// A reload that fails holds none either, and the one in force goes on.
	rewrite(t, file, strings.ReplaceAll(strings.Replace(text, "observers: [a, b]", "observers: [b]", 1), "ASKED", one))
	if code, _ := r.ask("POST", "/-/reload"); code == http.StatusOK {
		t.Error("a file without this observer was taken")
	}
	r.eventually("/metrics", `signal_queries_total{service="shop",signal="queue"}`)
}
