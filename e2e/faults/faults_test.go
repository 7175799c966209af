package faults

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"reflect"
	"slices"
	"syscall"
	"testing"
	"time"
)

func kinds() []Kind { return []Kind{{Name: "x"}, {Name: "y"}} }

func TestDraw_TheSameNumbersGiveTheSamePlanInTheOrderOfTime(t *testing.T) {
	all := draw(kinds(), 30, rand.New(rand.NewPCG(1, 2)))
	if again := draw(kinds(), 30, rand.New(rand.NewPCG(1, 2))); !reflect.DeepEqual(all, again) {
		t.Errorf("got %v, then %v", all, again)
	}
	if other := draw(kinds(), 30, rand.New(rand.NewPCG(1, 3))); reflect.DeepEqual(all, other) {
		t.Error("other random numbers gave the same plan")
	}
	if !slices.IsSortedFunc(all, func(a, b plan) int { return int(a.after - b.after) }) {
		t.Error("the plan goes back in time")
	}
}

func TestDraw_BreaksEachServiceOnceInEveryWay(t *testing.T) {
	services, hows := map[string]int{}, map[How]int{}
	for _, p := range draw(kinds(), 30, rand.New(rand.NewPCG(1, 2))) {
		services[p.service]++
		hows[p.how]++
		if p.after < 0 || p.after >= spread || !slices.Contains(nodes(), p.node) {
			t.Errorf("got %+v, want a node of %v within %s", p, nodes(), spread)
		}
	}
	for name, n := range services {
		if n != 1 {
			t.Errorf("%s is broken %d times, want once", name, n)
		}
	}
	if len(services) != 60 || len(hows) != len(ways()) {
		t.Errorf("got %d services and %v, want 60 and all of %v", len(services), hows, ways())
	}
}

func TestFault_OneThatIsNeverToldIsNotWithin(t *testing.T) {
	began := time.Now()
	for _, c := range []struct {
		told time.Time
		want bool
	}{{began.Add(10 * time.Second), true}, {began.Add(10*time.Second + 1), false}, {time.Time{}, false}} {
		if got := (Fault{Bound: 10 * time.Second, Began: began, Told: c.told}).Within(); got != c.want {
			t.Errorf("told at %s: got %t", c.told, got)
		}
	}
}

func newHookOf(t *testing.T) *hook {
	t.Helper()
	h, err := newHook()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.server.Close() })
	return h
}

func send(t *testing.T, h *hook, body string) {
	t.Helper()
	resp, err := http.Post("http://"+h.addr, "application/json", bytes.NewBufferString(body))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
}

func alert(status, service, start string) string {
	return fmt.Sprintf(`{"alerts": [{"status": %q, "labels": {"alertname": "FaultDetected", "service": %q}, "annotations": {"fault_start": %q}, "startsAt": "2026-01-02T03:04:05.5Z"}]}`, status, service, start)
}

func TestHook_KeepsTheFirstWebhookThatFires(t *testing.T) {
	h, before := newHookOf(t), time.Now()
	send(t, h, alert("resolved", "shop", "1"))
	if _, came, _ := h.first("FaultDetected", "shop"); came {
		t.Fatal("an alert that ended counts as one that fires")
	}
	send(t, h, alert("firing", "shop", "1800000000.250"))
	first, came, err := h.first("FaultDetected", "shop")
	if !came || err != nil || first.at.Before(before) {
		t.Fatalf("got %+v, %t, %v", first, came, err)
	}
	if got := first.seconds("fault_start"); !got.Equal(time.UnixMilli(1800000000250)) {
		t.Errorf("fault_start: got %s", got)
	}
	if got := first.seconds("none"); !got.IsZero() {
		t.Errorf("an annotation that is not there: got %s", got)
	}
	send(t, h, alert("firing", "shop", "1900000000"))
	if second, _, _ := h.first("FaultDetected", "shop"); !reflect.DeepEqual(first, second) {
		t.Errorf("got %+v, want the first one, %+v", second, first)
	}
	if _, came, _ := h.first("FaultDetected", "other"); came {
		t.Error("the alert of one service counts for another")
	}
}

func TestHook_TellsOfWhatItCannotRead(t *testing.T) {
	h := newHookOf(t)
	send(t, h, "{")
	if _, _, err := h.first("FaultDetected", "shop"); err == nil {
		t.Error("got no error of half a message")
	}
}

func TestServer_FailsInTheWayThatItIsBroken(t *testing.T) {
	for _, how := range ways() {
		t.Run(string(how), func(t *testing.T) {
			s, err := newServer()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(s.close)
			client := &http.Client{Timeout: 500 * time.Millisecond, Transport: &http.Transport{DisableKeepAlives: true}}
			if code, err := get(client, s); code != http.StatusOK {
				t.Fatalf("before: got %d, %v, want 200", code, err)
			}
			before := time.Now()
			if at := s.breaks(how); at.Before(before) || at.After(time.Now()) {
				t.Errorf("it broke at %s, want between %s and now", at, before)
			}
			code, err := get(client, s)
			var slow interface{ Timeout() bool }
			bad := map[How]bool{
				Refused: errors.Is(err, syscall.ECONNREFUSED),
				Hangs:   errors.As(err, &slow) && slow.Timeout(),
				Status:  code == http.StatusInternalServerError,
			}
			if !bad[how] {
				t.Errorf("got %d, %v", code, err)
			}
		})
	}
}

func get(client *http.Client, s *server) (code int, err error) {
	resp, err := client.Get(s.port.URL())
	if err != nil {
		return 0, err
	}
	resp.Body.Close()
	return resp.StatusCode, nil
}
