package rules

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// totals are the bounds as a table of people has them.
func totals(all []Bound) []string {
	var texts []string
	for _, b := range all {
		texts = append(texts, fmt.Sprintf("%s %s %s cap %v %v", b.Service, b.Signal, b.Total, b.Cap, b.Terms))
	}
	return texts
}

func TestAgain_WithWhatWasConfiguredIsWhatWasProved(t *testing.T) {
	for _, backend := range []string{Exporter, PromQL} {
		s := full()
		if s.Backend = backend; backend == PromQL {
			s = shop(timed{5, 2, 5, 1, 0})
			s.Backend = backend
		}
		proved := Prove(s)
		e, p, a := s.Prometheus.Evaluation, s.Prometheus.Scrape, s.Alertmanager
		same := Living{
			Scrape: new(time.Duration(p.Interval)), ScrapeTimeout: new(p.Wait()), Evaluation: new(time.Duration(e.Interval)), Delay: new(time.Duration(e.Delay)),
			QueryOffset: new(time.Duration(e.QueryOffset)), GroupWait: new(time.Duration(a.GroupWait)), Peers: &a.Peers,
		}
		for _, l := range []Living{{}, same} {
			again := s.Again(l, proved)
			if diff := cmp.Diff(totals(proved), totals(again)); diff != "" {
				t.Errorf("%s: (-want +got):\n%s", backend, diff)
			}
			Broken(proved, again, func(path, text string) { t.Errorf("%s: %s", path, text) })
		}
		if (Living{}).Told() || !same.Told() {
			t.Error("what nobody told is told, or the other way round")
		}
	}
}

// TestAgain_GrowsByWhatHasGrown: the samples stay, and so does the cap with which the
// exporter runs; all else adds up.
func TestAgain_GrowsByWhatHasGrown(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 5))
	s := full()
	proved := Prove(s)
	for range 300 {
		add := func(was time.Duration) (*time.Duration, time.Duration) {
			by := time.Duration(r.IntN(40)) * time.Second
			return new(was + by), by
		}
		var l Living
		var by [6]time.Duration
		l.Scrape, by[0] = add(time.Duration(s.Prometheus.Scrape.Interval))
		l.ScrapeTimeout, by[1] = add(s.Prometheus.Scrape.Wait())
		l.Evaluation, by[2] = add(time.Duration(s.Prometheus.Evaluation.Interval))
		l.Delay, by[3] = add(time.Duration(s.Prometheus.Evaluation.Delay))
		l.QueryOffset, by[4] = add(time.Duration(s.Prometheus.Evaluation.QueryOffset))
		l.GroupWait, by[5] = add(time.Duration(s.Alertmanager.GroupWait))
		peers := r.IntN(4)
		l.Peers = new(s.Alertmanager.Peers + peers)
		grown := time.Duration(peers) * time.Duration(s.Alertmanager.PeerTimeout)
		for _, d := range by {
			grown += d
		}
		again, over := s.Again(l, proved), map[string]bool{}
		Broken(proved, again, func(path, text string) { over[path] = strings.Contains(text, " has grown from ") })
		for i, b := range again {
			if b.Total != proved[i].Total+grown || b.Bad != proved[i].Bad || b.Cap != proved[i].Cap {
				t.Fatalf("%s %s: got %s with cap %v, want %s longer than %s with %v", b.Service, b.Signal, b.Total, b.Cap, grown, proved[i].Total, proved[i].Cap)
			}
			if over[b.path] != (b.Total > b.Target) {
				t.Errorf("%s: a bound of %s and a target of %s, told: %v", b.path, b.Total, b.Target, over)
			}
		}
	}
}

func TestBroken_NamesWhatHasGrownMostFirst(t *testing.T) {
	s := shop(timed{5, 2, 5, 1, 0})
	proved := Prove(s)
	var got []string
	Broken(proved, s.Again(Living{Scrape: new(8 * time.Second), GroupWait: new(30 * time.Second), Delay: new(time.Millisecond)}, proved), func(path, text string) {
		got = append(got, path+": "+text)
	})
	want := fmt.Sprintf(`services[0].signals.availability: service "shop", signal availability: as the system runs, a fault takes %s to the webhook, over the target of 60s; proved were %s: G has grown from 0s to 30s, S has grown from 5s to 8s`,
		span(proved[0].Total+33*time.Second-999*time.Millisecond), span(proved[0].Total))
	if !slices.Equal(got, []string{want}) {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

// TestAgain_WindowsOfPromQLHoldNoOtherScrapes: faster or slower, the rules that are
// loaded count other samples than were proved, and there is no bound to be told.
func TestAgain_WindowsOfPromQLHoldNoOtherScrapes(t *testing.T) {
	s := scraping(shop(timed{5, 2, 5, 1, 0}))
	proved := Prove(s)
	for _, scrape := range []float64{1, 4, 6, 120} {
		again := s.Again(Living{Scrape: new(dur(scrape)), GroupWait: new(time.Second)}, proved)
		for i, b := range again {
			if b.Total != 0 || b.Samples != 0 || len(b.Terms) != 0 || b.Refusal == "" || b.Service != proved[i].Service || b.Signal != proved[i].Signal {
				t.Errorf("every %vs: got %+v, want no figures of %s", scrape, b, proved[i].Signal)
			}
		}
		told := map[string]string{}
		Broken(proved, again, func(path, text string) { told[path] = text })
		want := fmt.Sprintf(`service "shop", signal availability: as the system runs, probe "shop-nodes" is scraped every %vs, and the windows of backend promql are written for scrapes every 5s: no bound holds; make the two equal, and write the rules anew where prometheus.scrape.interval changes`, scrape)
		if got := told["services[0].signals.availability"]; got != want || len(told) != len(proved) {
			t.Errorf("\n got %q\nwant %q", told, want)
		}
		if row := strings.Split(Rows(again), "\n")[1]; !strings.HasSuffix(strings.TrimSpace(row), "60s     -      -  -  0.5  -") {
			t.Errorf("got the row %q", row)
		}
	}
}
