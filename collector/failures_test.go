package collector

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/onefiveten/onefiveten/probe"
)

// failing answers with a failure that says how often it was asked.
func failing() func(context.Context, string) probe.Result {
	n := 0
	return func(context.Context, string) probe.Result {
		n++
		r := bad(probe.Status)
		r.Err, r.Addr = fmt.Errorf("status 503, answer %d", n), netip.MustParseAddr("10.0.0.1")
		r.Samples = []probe.Sample{
			{Name: "probe_http_duration_seconds", Help: "By phase", Labels: []probe.Label{{Name: "phase", Value: "connect"}}, Value: .25},
			{Name: "probe_http_duration_seconds", Help: "By phase", Labels: []probe.Label{{Name: "phase", Value: "transfer"}}, Value: .5},
		}
		return r
	}
}

func TestFailures_AreTheNewestOfEachTargetTheNewestFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		c := begun(t, shop, f)
		pass(10 * time.Second)
		if got := c.Failures(); len(got) != 0 {
			t.Errorf("got %v of a target that never failed", got)
		}
		f.set(failing())
		pass(25 * time.Second) // five failures
		f.set(nil)
		pass(10 * time.Second)
		got := c.Failures()
		if len(got) != keptFailures {
			t.Fatalf("got %d failures, want %d", len(got), keptFailures)
		}
		for i, want := range []string{"status 503, answer 5", "status 503, answer 4", "status 503, answer 3"} {
			if got[i].Result.Err.Error() != want {
				t.Errorf("failure %d: got %q, want %q", i, got[i].Result.Err, want)
			}
		}
		first := got[0]
		first.Result.Err = nil
		want := Failure{
			Probe: "shop-nodes", Service: "shop", Instance: "http://n1/", Labels: map[string]string{"node": "n1", "zone": "za"},
			Result: probe.Result{
				Reason: probe.Status, Start: first.Result.Start, Duration: 5 * time.Millisecond, Addr: netip.MustParseAddr("10.0.0.1"),
				Samples: failing()(t.Context(), "").Samples,
			},
		}
		if diff := cmp.Diff(want, first, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestFailures_VanishWithTheirTarget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{answer: failing()}
		c := begun(t, shop, f)
		pass(10 * time.Second)
		apply(t, c, f, shop, "zone: za", "zone: zb")
		if got := c.Failures(); len(got) != 2 || got[0].Labels["zone"] != "zb" {
			t.Errorf("after a reload with another label: got %+v, want both with the label", got)
		}
		apply(t, c, f, shop, "http://n1/", "http://n9/")
		if got := c.Failures(); len(got) != 0 {
			t.Errorf("got %+v of a target that is gone", got)
		}
	})
}

// An error may quote what a server has sent, and hold on to its certificates.
func TestFailures_KeepLittleOfAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		long := errors.New(strings.Repeat("ä\xff", 100000))
		f := &fake{answer: func(context.Context, string) probe.Result {
			return probe.Result{Reason: "a mood", Err: long, Start: time.Now()}
		}}
		c := begun(t, shop, f)
		pass(5 * time.Second)
		got := c.Failures()[0].Result
		if errors.Is(got.Err, long) || len(got.Err.Error()) > maxErrorText+8 || strings.ToValidUTF8(got.Err.Error(), "") != got.Err.Error() {
			t.Errorf("got %d bytes of %q", len(got.Err.Error()), got.Err)
		}
		if got.Reason != probe.Internal {
			t.Errorf("got reason %q, want internal for one out of the set", got.Reason)
		}
	})
}
