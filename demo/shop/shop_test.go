package shop_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/onefiveten/onefiveten/demo/shop"
)

func TestMain(m *testing.M) {
	shop.Main() // nodes of these tests are this program again
	os.Exit(m.Run())
}

// open gives a shop of processes, or one inside this process.
func open(t *testing.T, processes bool) *shop.Shop {
	t.Helper()
	o := shop.Options{Logs: t.TempDir()}
	if processes {
		self, err := shop.Self()
		if err != nil {
			t.Fatal(err)
		}
		o.Command = self
	}
	s, err := shop.Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// both runs a test over both kinds of shop.
func both(t *testing.T, test func(t *testing.T, s *shop.Shop)) {
	for name, processes := range map[string]bool{"processes": true, "inside": false} {
		t.Run(name, func(t *testing.T) { test(t, open(t, processes)) })
	}
}

func call(t *testing.T, method, url string, header ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for n := 0; n+1 < len(header); n += 2 {
		req.Header.Set(header[n], header[n+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, strings.TrimSpace(string(body))
}

// served asks the entry n times: which node answered, or the status.
func served(t *testing.T, s *shop.Shop, n int) string {
	t.Helper()
	var all []string
	for range n {
		resp, err := http.Get(s.EntryURL())
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if who := resp.Header.Get("X-Node"); who != "" {
			all = append(all, who)
		} else {
			all = append(all, fmt.Sprint(resp.StatusCode))
		}
	}
	return strings.Join(all, " ")
}

func TestShop_ServesRoundRobin(t *testing.T) {
	both(t, func(t *testing.T, s *shop.Shop) {
		if got, want := served(t, s, 6), "n1 n2 n3 n1 n2 n3"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		for _, name := range s.Nodes() {
			if code, body := call(t, "GET", s.NodeURL(name)+"/health"); code != 200 || body != "ok" {
				t.Errorf("%s: got %d %q, want 200 ok", name, code, body)
			}
		}
	})
}

func TestShop_ADeadNodeHurtsUsersUntilItIsDrained(t *testing.T) {
	both(t, func(t *testing.T, s *shop.Shop) {
		if code, body := call(t, "POST", s.SupervisorURL()+"/nodes/n2/kill"); code != 200 {
			t.Fatalf("kill: %d %s", code, body)
		}
		if got, want := served(t, s, 6), "n1 502 n3 n1 502 n3"; got != want {
			t.Errorf("dead: got %s, want %s", got, want)
		}
		if code, body := call(t, "PUT", s.BalancerURL()+"/nodes/n2/drain"); code != 200 || body != `{"name":"n2","state":"drained","requests":2,"failures":2}` {
			t.Errorf("drain: got %d %s", code, body)
		}
		if got, want := served(t, s, 4), "n1 n3 n1 n3"; got != want {
			t.Errorf("drained: got %s, want %s", got, want)
		}
		if code, body := call(t, "POST", s.SupervisorURL()+"/nodes/n2/restart"); code != 200 {
			t.Fatalf("restart: %d %s", code, body)
		}
		if got, want := served(t, s, 2), "n1 n3"; got != want {
			t.Errorf("restarted, still drained: got %s, want %s", got, want)
		}
		call(t, "PUT", s.BalancerURL()+"/nodes/n2/ready")
		if got, want := served(t, s, 3), "n1 n2 n3"; got != want {
			t.Errorf("put back: got %s, want %s", got, want)
		}
	})
}

func TestShop_AKilledProcessRefusesAndIsSeenDead(t *testing.T) {
	s := open(t, true)
	pid := s.Lives()[0].Pid
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil { // not by the supervisor
		t.Fatal(err)
	}
	deadline := time.After(time.Minute)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for s.Lives()[0].State != "dead" {
		select {
		case <-deadline:
			t.Fatal("the supervisor never saw the death")
		case <-tick.C:
		}
	}
	if code, text := call(t, "GET", s.NodeURL("n1")); code != 0 || !strings.Contains(text, "connection refused") {
		t.Errorf("got %d %s, want connection refused", code, text)
	}
	if code, _ := call(t, "POST", s.SupervisorURL()+"/nodes/n1/start"); code != 200 {
		t.Errorf("start: got %d, want 200", code)
	}
	got := s.Lives()[0]
	if got.State != "running" || got.Starts != 2 || got.Pid == pid {
		t.Errorf("got %+v, want running, a second start and another process", got)
	}
}

func TestShop_ChangesMayBeRepeated(t *testing.T) {
	both(t, func(t *testing.T, s *shop.Shop) {
		for _, request := range []string{"PUT drain", "PUT drain", "PUT ready", "PUT ready"} {
			method, verb, _ := strings.Cut(request, " ")
			if code, body := call(t, method, s.BalancerURL()+"/nodes/n1/"+verb); code != 200 {
				t.Errorf("%s: got %d %s", request, code, body)
			}
		}
		for _, verb := range []string{"kill", "kill", "start", "start"} {
			if code, body := call(t, "POST", s.SupervisorURL()+"/nodes/n1/"+verb); code != 200 {
				t.Errorf("%s: got %d %s", verb, code, body)
			}
		}
		if got := s.Lives()[0]; got.Starts != 2 || got.State != "running" {
			t.Errorf("got %+v, want running after two starts", got)
		}
	})
}

func TestShop_RestartsAtOnceAreDoneOneAfterTheOther(t *testing.T) {
	both(t, func(t *testing.T, s *shop.Shop) {
		var all sync.WaitGroup
		for range 6 {
			all.Go(func() {
				if code, body := call(t, "POST", s.SupervisorURL()+"/nodes/n3/restart"); code != 200 {
					t.Errorf("got %d %s", code, body)
				}
			})
		}
		all.Wait()
		if got := s.Lives()[2]; got.Starts != 7 || got.State != "running" {
			t.Errorf("got %+v, want running after 7 starts", got)
		}
	})
}

func TestShop_RefusesWhatWouldHurt(t *testing.T) {
	s := open(t, false)
	for _, c := range []struct{ request, want string }{
		{"PUT " + s.BalancerURL() + "/nodes/n1/drain", "200"},
		{"PUT " + s.BalancerURL() + "/nodes/n2/drain", "200"},
		{"PUT " + s.BalancerURL() + "/nodes/n3/drain", `409 {"error":"n3 is the last node in rotation"}`},
		{"PUT " + s.BalancerURL() + "/nodes/n9/drain", `404 {"error":"no node \"n9\""}`},
		{"POST " + s.SupervisorURL() + "/nodes/n9/restart", `404 {"error":"no node \"n9\""}`},
		{"GET " + s.SupervisorURL() + "/nodes/n1/kill", "405 Method Not Allowed"},
		{"POST " + s.BalancerURL() + "/nodes//drain", "404"},
	} {
		method, url, _ := strings.Cut(c.request, " ")
		code, body := call(t, method, url)
		if got := fmt.Sprintf("%d %s", code, body); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s %s: got %s, want %s", method, url, got, c.want)
		}
	}
	if got, want := served(t, s, 2), "n3 n3"; got != want {
		t.Errorf("got %s, want the last one to serve on", got)
	}
}

func TestShop_WithoutNodesInRotationSaysSo(t *testing.T) {
	s := open(t, false)
	for _, name := range s.Nodes() {
		call(t, "POST", s.SupervisorURL()+"/nodes/"+name+"/kill")
	}
	if got, want := served(t, s, 3), "502 502 502"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestShop_IsAWitness(t *testing.T) {
	s := open(t, false)
	call(t, "PUT", s.BalancerURL()+"/nodes/n2/drain", "X-Heal-Run", "01RUN")
	call(t, "POST", s.SupervisorURL()+"/nodes/n9/restart")
	call(t, "GET", s.SupervisorURL()+"/status")
	var got []string
	for _, c := range s.Calls() {
		if c.At.IsZero() {
			t.Errorf("%+v: no time", c)
		}
		got = append(got, fmt.Sprintf("%s run=%q %d", c.Change, c.Run, c.Status))
	}
	want := "drain n2 run=\"01RUN\" 200\nrestart n9 run=\"\" 404"
	if strings.Join(got, "\n") != want {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), want)
	}
}

func TestShop_StatusOfBothFacesIsJSON(t *testing.T) {
	s := open(t, true)
	_, body := call(t, "GET", s.SupervisorURL()+"/status")
	var lives []shop.NodeLife
	if err := json.Unmarshal([]byte(body), &lives); err != nil || len(lives) != 3 || lives[1].URL != s.NodeURL("n2") || lives[1].Pid == 0 {
		t.Errorf("supervisor: got %s, %v", body, err)
	}
	_, body = call(t, "GET", s.BalancerURL()+"/status")
	want := `[{"name":"n1","state":"ready","requests":0,"failures":0},{"name":"n2","state":"ready","requests":0,"failures":0},{"name":"n3","state":"ready","requests":0,"failures":0}]`
	if body != want {
		t.Errorf("balancer: got %s, want %s", body, want)
	}
}

func TestOpen_ANodeThatDiesAtOnceIsAnError(t *testing.T) {
	_, err := shop.Open(context.Background(), shop.Options{Command: []string{"/bin/false"}, Logs: t.TempDir()})
	if err == nil || !strings.HasPrefix(err.Error(), "opening the shop: node n1 ended early with exit status 1") {
		t.Errorf("got %v, want the node and how it ended", err)
	}
}

func TestShop_CloseLeavesNoProcess(t *testing.T) {
	s := open(t, true)
	lives := s.Lives()
	s.Close()
	for _, l := range lives {
		if syscall.Kill(l.Pid, 0) == nil {
			t.Errorf("%s (process %d) is alive after Close", l.Name, l.Pid)
		}
	}
}

func through(t *testing.T, w *shop.Way, to string) (int, error) {
	t.Helper()
	proxy, err := url.Parse(w.URL())
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{Proxy: http.ProxyURL(proxy)}, Timeout: 5 * time.Second}
	defer client.CloseIdleConnections()
	resp, err := client.Get(to)
	if err != nil {
		return 0, err
	}
	resp.Body.Close()
	return resp.StatusCode, nil
}

func TestWay_CanBeCutAndMended(t *testing.T) {
	s := open(t, false)
	w, err := shop.OpenWay()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for round := range 2 {
		if code, err := through(t, w, s.NodeURL("n1")+"/health"); code != 200 {
			t.Fatalf("round %d, whole: got %d, %v", round, code, err)
		}
		w.Cut()
		w.Cut()
		if _, err := through(t, w, s.NodeURL("n1")+"/health"); err == nil || !strings.Contains(err.Error(), "connection refused") {
			t.Fatalf("round %d, cut: got %v, want connection refused", round, err)
		}
		if code, _ := call(t, "GET", s.NodeURL("n1")+"/health"); code != 200 {
			t.Fatalf("the node itself: got %d, want 200", code)
		}
		if err := w.Mend(); err != nil {
			t.Fatal(err)
		}
		if err := w.Mend(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWay_LeadsToLoopbackOnly(t *testing.T) {
	w, err := shop.OpenWay()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for _, to := range []string{"http://192.0.2.1/", "http://192.0.2.1:80/", "http://localhost.example:80/"} {
		if code, err := through(t, w, to); code != http.StatusForbidden {
			t.Errorf("%s: got %d, %v, want 403", to, code, err)
		}
	}
	if code, err := through(t, w, "http://127.0.0.1:1/"); code != http.StatusBadGateway {
		t.Errorf("a dead target: got %d, %v, want 502", code, err)
	}
}
