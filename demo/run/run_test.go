package run

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/onefiveten/onefiveten/demo/shop"
	"github.com/onefiveten/onefiveten/demo/term"
)

func TestMain(m *testing.M) {
	shop.Main()
	os.Exit(m.Run())
}

func TestChoose(t *testing.T) {
	for given, want := range map[string]string{
		"": "crash", "crash": "crash", "observer,crash": "observer crash", "all": "crash all-nodes observer",
	} {
		var names []string
		if given != "" {
			names = strings.Split(given, ",")
		}
		chosen, err := choose(names)
		var got []string
		for _, f := range chosen {
			got = append(got, f.name)
		}
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%q: got %v, %v, want %s", given, got, err, want)
		}
	}
	_, err := choose([]string{"crash", "meteor"})
	if want := `FAULT is "meteor", want crash, all-nodes, observer or all`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestClock_Missed(t *testing.T) {
	for name, c := range map[string]struct {
		clock Clock
		want  bool
	}{
		"never reached": {Clock{Target: time.Minute}, true},
		"in time":       {Clock{Took: 9 * time.Second, Bound: 10 * time.Second, Target: time.Minute}, false},
		"over bound":    {Clock{Took: 11 * time.Second, Bound: 10 * time.Second, Target: time.Minute}, true},
		"over target":   {Clock{Took: 61 * time.Second, Target: time.Minute}, true},
	} {
		if got := c.clock.Missed(); got != c.want {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
}

func TestReport_ErrNamesEveryProblemWithItsFault(t *testing.T) {
	r := Report{Faults: []Outcome{{Fault: "crash"}, {Fault: "observer"}}}
	if err := r.Err(); err != nil {
		t.Fatalf("got %v, want none", err)
	}
	r.Faults[0].expect("scope", "service", "node")
	r.Faults[0].expect("same", "x", "x")
	r.Faults[1].clock("detect", 0, 0, time.Minute)
	want := "crash: scope: got \"service\", want \"node\"\nobserver: the clock \"detect\" was missed: never, bound 0s, target 1m0s"
	if err := r.Err(); err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

func TestTable_ShowsTheThreeClocks(t *testing.T) {
	said := &strings.Builder{}
	d := &demo{say: term.New(said)}
	d.table(Report{Faults: []Outcome{
		{Fault: Crash, Review: "review.md", Clocks: []Clock{
			{"detect", 7310 * time.Millisecond, 10200 * time.Millisecond, time.Minute},
			{"locate", 7310 * time.Millisecond, 0, 5 * time.Minute},
			{"recover", 0, 0, 10 * time.Minute},
		}},
		{Fault: Observer},
	}})
	want := `
  fault      clock          took  proved bound    target
  crash      detect        7.3 s        10.2 s      60 s   kept
  crash      locate        7.3 s             -     300 s   kept
  crash      recover       never             -     600 s   MISSED
  observer   nothing was touched, as it should be   kept
  review of crash: review.md
`
	if said.String() != want {
		t.Errorf("got\n%s\nwant\n%s", said, want)
	}
}

func TestFiles_DifferBetweenObserversInTheirWayAlone(t *testing.T) {
	f := files{
		Dir: t.TempDir(), Entry: "http://127.0.0.1:80", Nodes: []target{{"n1", "http://127.0.0.1:81"}, {"n2", "http://127.0.0.1:82"}},
		Observers:  []observer{{Name: "a", Addr: "127.0.0.1:91", Way: "http://127.0.0.1:71"}, {Name: "b", Addr: "127.0.0.1:92"}},
		Prometheus: "127.0.0.1:1", Alertmanager: "127.0.0.1:2", Receiver: "127.0.0.1:3", Sink: "127.0.0.1:4", Balancer: "127.0.0.1:5", Supervisor: "127.0.0.1:6",
		OnCall: "on-call-token", AlertmanagerToken: "am-token",
	}
	if err := f.write(); err != nil {
		t.Fatal(err)
	}
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(f.Dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	a, b := read("probe-exporter-a.yml"), read("probe-exporter-b.yml")
	if got := strings.Replace(a, "      proxy_url: http://127.0.0.1:71\n", "", 1); got != b || a == b {
		t.Errorf("a:\n%s\nb:\n%s", a, b)
	}
	for name, lines := range map[string][]string{
		"probe-exporter-b.yml": {
			`observers: [a, b]`,
			`  - {url: "http://127.0.0.1:82/health", labels: {node: n2}}`,
			`  webhook: {url: "http://127.0.0.1:3/api/v1/alertmanager", credentials_file: "` + f.Dir + `/alertmanager.token"}`,
		},
		"prometheus.yml": {`  static_configs: [{targets: ["127.0.0.1:91", "127.0.0.1:92"]}]`, `rule_files: ["` + f.Dir + `/generated/rules/*.yml"]`},
		"heal-receiver.yml": {
			`    target: 'node:{{ .Member.Labels.node }}'`,
			`    - {http: {method: PUT, url: 'http://127.0.0.1:5/nodes/{{ .Member.Labels.node }}/drain'}, timeout: 5s, retries: 1, idempotent: true}`,
			`    - {http: {method: POST, url: 'http://127.0.0.1:6/nodes/n2/restart'}, timeout: 15s, idempotent: true}`,
			`  people: {webhook: {url: "http://127.0.0.1:4/"}}`,
		},
	} {
		for _, line := range lines {
			if !strings.Contains(read(name), line+"\n") {
				t.Errorf("%s lacks the line\n%s\nin\n%s", name, line, read(name))
			}
		}
	}
	if got := read("oncall.token"); got != "on-call-token\n" {
		t.Errorf("got %q", got)
	}
	if info, err := os.Stat(filepath.Join(f.Dir, "oncall.token")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the token's file: got %v, %v, want mode 600", info.Mode(), err)
	}
}

// serve answers each path with JSON; what is missing is 404.
func serve(t *testing.T, answers map[string]any) api {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a, ok := answers[r.URL.Path]
		if !ok {
			http.Error(w, "no such thing", http.StatusNotFound)
			return
		}
		json.NewEncoder(w).Encode(a)
	}))
	t.Cleanup(s.Close)
	return api{base: s.URL, token: "secret"}
}

type object = map[string]any

func TestStory_TellsEachThingOnceInItsOrder(t *testing.T) {
	began := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	at := func(seconds float64) time.Time { return began.Add(time.Duration(seconds * float64(time.Second))) }
	alerts := []object{
		{"state": "firing", "activeAt": at(7), "labels": object{"alertname": "FaultDetected", "service": "shop", "signal": "availability", "owner": "team", "heal": "true", "severity": "page"},
			"annotations": object{"fault_start": fmt.Sprintf("%.3f", float64(at(0.4).UnixMilli())/1000)}},
		{"state": "pending", "activeAt": at(7), "labels": object{"alertname": "ObserverDisagrees"}},
		{"state": "firing", "activeAt": at(-60), "labels": object{"alertname": "Watchdog"}},
	}
	one := object{
		"id": "I1", "state": "recovered",
		"verdict": object{"scope": "node", "members": []string{"n2"}, "evidence": []string{"1 of 3 nodes bad"}},
		"instants": []object{
			{"round": 0, "name": "received", "at": at(7.25)}, {"round": 0, "name": "located", "at": at(7.3)},
			{"round": 0, "name": "recovered", "at": at(14)}, {"round": 0, "name": "verified", "at": at(19.5)},
			{"round": 1, "name": "verified", "at": at(99)},
		},
		"decisions": []object{{"at": at(12.5), "rung": 0, "plan": "drain-node", "target": "node:n2", "decision": "act", "code": "act", "numbers": object{"in_flight": 0, "attempts": 1, "confirmed": []string{"long"}}}},
		"runs": []object{{"id": "R1", "plan": "drain-node", "target": "node:n2", "state": "succeeded", "ended_at": at(19.4),
			"steps":   []object{{"phase": "act", "what": "PUT /nodes/n2/drain", "finished_at": at(12.6), "outcome": "ok"}, {"phase": "act", "what": "not yet", "outcome": ""}},
			"samples": []object{{"answer": "bad"}, {"answer": "good"}, {"answer": "good"}}}},
	}
	said := &strings.Builder{}
	h := &house{
		demo: &demo{say: term.New(said)}, sink: &sink{mail: []letter{{at(8), "shop: located in n2"}}},
		prometheus: serve(t, object{"/api/v1/alerts": object{"data": object{"alerts": alerts}}}),
		receiver:   serve(t, object{"/api/v1/incidents": object{"incidents": []object{{"id": "I1"}}}, "/api/v1/incidents/I1": one}),
	}
	s := &story{house: h, began: began, bound: 10200 * time.Millisecond, seen: map[string]bool{}}
	for range 2 {
		if err := s.look(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	want := `      0.4 s  bad sample  the first one, from which the rules count
      7.0 s  fired       FaultDetected{service=shop, signal=availability}
      7.2 s  detected    heal-receiver has accepted the first alert (proved bound 10.2 s, target 60 s)
      7.3 s  located     node n2; 1 of 3 nodes bad (target 300 s)
      8.0 s  told        shop: located in n2
     12.5 s  decided     rung 1: drain-node on node:n2 -> act attempts=1 in_flight=0
     12.6 s  acted       PUT /nodes/n2/drain: ok
     19.4 s  verified    drain-node on node:n2 has succeeded; 2 of 3 answers behind the fence were good
     19.5 s  recovered   the proof of the service has held (target 600 s)
`
	if said.String() != want {
		t.Errorf("got\n%s\nwant\n%s", said, want)
	}
	if got, want := s.since(lastOf(s.incident, "recovered", "verified")), 19500*time.Millisecond; got != want {
		t.Errorf("the third clock: got %s, want %s of the first round", got, want)
	}
}

func TestStory_TellsWhyPeopleHaveToTakeOver(t *testing.T) {
	said := &strings.Builder{}
	h := &house{
		demo: &demo{say: term.New(said)}, sink: &sink{},
		prometheus: serve(t, object{"/api/v1/alerts": object{}}),
		receiver: serve(t, object{"/api/v1/incidents": object{"incidents": []object{{"id": "I1"}}},
			"/api/v1/incidents/I1": object{"id": "I1", "state": "with_human", "reason": "verdict_disagrees"}}),
	}
	s := h.begin()
	if err := s.until(context.Background(), time.Minute, func() bool { return s.incident.State == "with_human" }); err != nil {
		t.Fatal(err)
	}
	if got := said.String(); !strings.HasSuffix(got, " s  handed over to people: verdict_disagrees\n") {
		t.Errorf("got %q", got)
	}
}

func TestStory_AnAPIThatRefusesIsAnErrorWithItsWords(t *testing.T) {
	h := &house{demo: &demo{say: term.New(nil)}, sink: &sink{}, prometheus: serve(t, object{"/api/v1/alerts": object{}}), receiver: serve(t, nil)}
	err := h.begin().until(context.Background(), time.Minute, func() bool { return true })
	if want := "GET /api/v1/incidents answered 404 Not Found: no such thing"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestWithin_EndsWithTheReason(t *testing.T) {
	never := func(context.Context) (bool, error) { return false, nil }
	if err := within(context.Background(), 30*time.Millisecond, never); !errors.Is(err, errLate) {
		t.Errorf("got %v, want that the time is over", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := within(ctx, time.Minute, never); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want that it was cancelled", err)
	}
}

func TestSink_KeepsWhatPeopleWouldRead(t *testing.T) {
	s, err := openSink()
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	for _, body := range []string{`{"text": "shop is\n bad"}`, `{"summary":"short"}`, `{"state": 1}`, `plain words`} {
		resp, err := http.Post("http://"+s.addr+"/", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	var got []string
	for _, l := range s.letters() {
		got = append(got, l.text)
	}
	if want := `shop is bad|short|{"state": 1}|plain words`; strings.Join(got, "|") != want {
		t.Errorf("got %s, want %s", strings.Join(got, "|"), want)
	}
}

func TestCustomers_CountWhatTheySee(t *testing.T) {
	broken := make(chan struct{})
	entry := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		select {
		case <-broken:
			http.Error(w, "broken", http.StatusBadGateway)
		default:
		}
	}))
	defer entry.Close()
	c := sendCustomers(entry.URL)
	wait := func(enough func(asked, failed int) bool) {
		t.Helper()
		err := within(context.Background(), time.Minute, func(context.Context) (bool, error) {
			asked, failed, _ := c.seen()
			return enough(asked, failed), nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	wait(func(asked, _ int) bool { return asked >= 2 })
	if _, failed, last := c.seen(); failed != 0 || !last.IsZero() {
		t.Errorf("well: got %d failed, the last at %s, want none", failed, last)
	}
	before := time.Now()
	close(broken)
	wait(func(_, failed int) bool { return failed >= 2 })
	c.close()
	if _, _, last := c.seen(); last.Before(before) {
		t.Errorf("got the last failure at %s, want one after %s", last, before)
	}
}

func TestAutomatic_ListsWhatRunsDidAlone(t *testing.T) {
	got := automatic([]shop.Call{{Change: "kill n2"}, {Change: "drain n2", Run: "R1"}, {Change: "restart n2"}, {Change: "ready n2", Run: "R2"}})
	if want := "drain n2, ready n2"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestDecision_LongNumbersAreCut(t *testing.T) {
	d := decision{Rung: 1, Verb: "refuse", Code: "cannot_tell", Numbers: object{"members": strings.Repeat("x", 300)}}
	got := []rune(d.String())
	if len(got) != 150 || got[149] != '…' || !strings.HasPrefix(string(got), "rung 2 -> refuse (cannot_tell) members=xxx") {
		t.Errorf("got %d runes: %s", len(got), string(got))
	}
}

func TestRun_RefusesBeforeAnythingIsStarted(t *testing.T) {
	for _, c := range []struct {
		o    Options
		want string
	}{
		{Options{Faults: []string{"meteor"}}, `FAULT is "meteor"`},
		{Options{Which: "snap"}, `STACK is "snap"`},
	} {
		if _, err := Run(context.Background(), c.o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: got %v, want %s", c.o, err, c.want)
		}
	}
}

func TestKeepReview_OutlivesTheHouse(t *testing.T) {
	d := &demo{root: t.TempDir()}
	file, err := d.keepReview(Crash, "# Review\n\n\n")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil || string(text) != "# Review\n" || !strings.HasSuffix(file, "-crash.md") {
		t.Errorf("got %q in %s, %v", text, file, err)
	}
	if fmt.Sprint(filepath.Dir(file)) != filepath.Join(d.root, ".cache", "demo") {
		t.Errorf("got %s, want it in the cache", file)
	}
}
