package rules

import (
	"strings"
	"testing"
	"time"
)

// scraping is the spec under the backend that judges what scrapes find.
func scraping(s Spec) Spec {
	s.Backend = PromQL
	return s
}

// TestProve_ScrapesTakeTheSamplesOfPromQL is the row "promql, probe" of DETECTION 6.2:
// n and m are of the scrape interval, and so is the wait.
func TestProve_ScrapesTakeTheSamplesOfPromQL(t *testing.T) {
	for _, row := range []struct {
		timed
		n, m  int
		cap   float64
		total float64
		terms string
	}{
		{timed{5, 2, 10, 2, 0}, 7, 4, .5, 60, "P 5s, d_p 2s, (m-1)·S 30s, S 10s, d_s 2s, E 10s, d_e 1s"},
		{timed{5, 2, 5, 1, 0}, 13, 7, .5, 49, "P 5s, d_p 2s, (m-1)·S 30s, S 5s, d_s 1s, E 5s, d_e 1s"},
		{timed{1, .5, 5, 1, 5}, 13, 7, .5, 48.5, "P 1s, d_p 0.5s, (m-1)·S 30s, S 5s, d_s 1s, E 5s, d_e 1s, G 5s"},
	} {
		b := Prove(scraping(shop(row.timed)))[0]
		var terms []string
		for _, term := range b.Terms {
			if term.Length > 0 {
				terms = append(terms, term.Name+" "+span(term.Length))
			}
		}
		if got := strings.Join(terms, ", "); got != row.terms || b.Samples != row.n || b.Bad != row.m || b.Cap != row.cap || b.Total != dur(row.total) || b.Refusal != "" {
			t.Errorf("%v: got n %d, m %d, cap %v, T %s = %s, refusal %q, want %d, %d, %v, %vs = %s",
				row.timed, b.Samples, b.Bad, b.Cap, b.Total, got, b.Refusal, row.n, row.m, row.cap, row.total, row.terms)
		}
	}
}

func TestProve_RefusesScrapesThatCountAProbeTwice(t *testing.T) {
	s := shop(timed{10, 2, 5, 1, 0})
	if b := Prove(s)[0]; b.Refusal != "" {
		t.Fatalf("backend exporter refuses: %s", b.Refusal)
	}
	want := `probe "shop-nodes" runs every 10s and is scraped every 5s: backend promql judges what scrapes find, and would count one probe twice: shorten the interval of probe "shop-nodes" from 10s to 5s or less`
	if got := Prove(scraping(s))[0].Refusal; got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
	s.Services[0].Probes[0].Interval = 5 * time.Second
	if b := Prove(scraping(s))[0]; b.Refusal != "" {
		t.Errorf("every 5s: %s", b.Refusal)
	}
}

func TestCheck_KnowsTwoBackends(t *testing.T) {
	for backend, want := range map[string]string{"": "", Exporter: "", PromQL: "", "thanos": `backend: got "thanos", want exporter or promql`} {
		s, got := shop(timed{5, 2, 5, 1, 0}), ""
		s.Backend = backend
		s.Check(func(path, text string) { got += path + ": " + text })
		if got != want {
			t.Errorf("%q: got %q, want %q", backend, got, want)
		}
	}
}
