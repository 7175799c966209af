package collector

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Whoever has nothing but series of a service in Prometheus has no availability
// and no latency of it, unless they ask for them.
func TestComplete_AServiceWithoutAProbeHasTheSignalsOfItsQueriesAlone(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"queries alone":              {queue, "queue"},
		"one is written":             {strings.Replace(queue, "owner: team-shop", "owner: team-shop, signals: {latency: {mode: page}}", 1), "latency queue"},
		"a probe, too":               {queue + "probes: [{name: p, service: shop, module: m, targets: [a]}]\n", "availability latency queue"},
		"one that finds its targets": {queue + "probes: [{name: p, service: shop, module: m, file_sd: {files: [x.yml]}}]\n", "availability latency queue"},
		"a probe of another":         {queue + "probes: [{name: p, module: m, targets: [a]}]\n", "queue"},
		"nothing at all":             {"services: [{name: shop, owner: o}]", "availability latency"},
	} {
		once := parse(t, c.text).Complete("a")
		for i, s := range []Settings{once, once.Complete("a")} {
			if got := strings.Join(slices.Sorted(maps.Keys(s.Services[0].Signals)), " "); got != c.want {
				t.Errorf("%s, completed %d times: got %s, want %s", name, i+1, got, c.want)
			}
		}
	}
}

func TestPage_TellsNothingOfSignalsThatAServiceDoesNotHave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &lake{}
		l.says(map[string]float64{"n1": 5})
		c := watched(t, "expose: full"+queue, l)
		pass(time.Minute)
		page := text(t, c)
		if got := lines(page, availability) + lines(page, latency); got != "" {
			t.Errorf("got\n%s", got)
		}
		for _, want := range []string{`ksigma_fault{`, `ksigma_signal_info{`, `onefiveten_signal_info{`, `onefiveten_detect_bound_seconds{`} {
			if lines(page, want, `signal="queue"`) == "" {
				t.Errorf("the page lacks %s of the query:\n%s", want, page)
			}
		}
		for _, want := range []string{"onefiveten_service_info{", "onefiveten_target_seconds{", "onefiveten_expected_observers{"} {
			if lines(page, want, `service="shop"`) == "" {
				t.Errorf("the page lacks %s of the service", want)
			}
		}
	})
}
