package backtest

import (
	"bytes"
	"encoding/xml"
	"errors"
	"image/png"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/onefiveten/onefiveten/sigma"
)

// drawn is a plot of samples.
func drawn(t *testing.T, samples []Sample, s Settings, format string, zone *time.Location) string {
	t.Helper()
	var p Plot
	r, err := Run(&made{samples: samples}, s, func(r Row) error { p.Add(r); return nil })
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := p.Write(&out, format, "a < b & σ", r.Settings.Interval, zone); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestPlot_NamesThePartsThatThereAre(t *testing.T) {
	s := half()
	s.Baseline.Direction = sigma.Both
	parts := []string{"value (mean)", "least to greatest", "normal", "threshold", "anomaly", "fault", "labelled as faulty"}
	plain := hours(30)
	for i := range plain {
		plain[i].Label = Unlabelled
	}
	up := slices.Clone(plain)
	for i := range up {
		up[i].Value = flagOf(i%400 == 0)
	}
	for what, c := range map[string]struct {
		samples []Sample
		s       Settings
		there   int // of the parts
	}{
		"all": {hours(30, 5, 20.5), s, 7}, "healthy": {plain, s, 4}, "warm-up": {plain[:10], s, 2}, "one": {plain[:1], s, 2},
		"availability": {up, Settings{Availability: true, Fault: sigma.Fault{Window: 5 * time.Minute, Floor: .05, Cap: .5, MinAnomalies: 2, K: 3, Clear: 3}}, -1},
	} {
		svg := drawn(t, c.samples, c.s, "svg", nil)
		words := texts(t, svg)
		for i, part := range parts {
			if want := i < c.there; c.there >= 0 && strings.Contains(words, "|"+part+"|") != want {
				t.Errorf("%s: %q is named: %v, want %v", what, part, !want, want)
			}
		}
		if !strings.Contains(words, "|a < b & σ|") || !strings.Contains(words, "|2026") && !strings.Contains(words, "2026|") && !strings.Contains(words, "|2026-03-02|") {
			t.Errorf("%s: there is no title or no date: %s", what, words)
		}
	}
}

// texts are those of a picture, which must be XML.
func texts(t *testing.T, svg string) string {
	t.Helper()
	words := "|"
	for d := xml.NewDecoder(strings.NewReader(svg)); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return words
		}
		if err != nil {
			t.Fatal(err)
		}
		if text, ok := token.(xml.CharData); ok {
			if word := strings.TrimSpace(string(text)); word != "" {
				words += word + "|"
			}
		}
	}
}

func TestPlot_IsAPictureOf1200By500(t *testing.T) {
	picture, err := png.Decode(strings.NewReader(drawn(t, hours(30, 5), half(), "png", time.FixedZone("", 8*3600))))
	if err != nil {
		t.Fatal(err)
	}
	if b := picture.Bounds(); b.Dx() != 1200 || b.Dy() != 500 {
		t.Errorf("got %v", b)
	}
	colors := map[[3]uint32]int{}
	for y := range 500 {
		for x := range 1200 {
			r, g, b, _ := picture.At(x, y).RGBA()
			colors[[3]uint32{r >> 8, g >> 8, b >> 8}]++
		}
	}
	anomaly := paint().anomaly
	r, g, b, _ := anomaly.RGBA()
	if colors[[3]uint32{r >> 8, g >> 8, b >> 8}] < 10 {
		t.Error("no anomaly is to be seen")
	}
	if err := new(Plot).Write(io.Discard, "png", "x", time.Second, nil); err == nil || !strings.Contains(err.Error(), "there is no sample") {
		t.Errorf("got %v", err)
	}
	var p Plot
	p.Add(Row{Sample: Sample{At: begin}})
	if err := p.Write(io.Discard, "pdf", "x", time.Second, nil); err == nil || !strings.Contains(err.Error(), `"pdf", want svg or png`) {
		t.Errorf("got %v", err)
	}
}

// However samples lie in time, the bins hold all of them, in order, and their
// extremes.
func TestBins_HoldAllSamples(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		var b bins
		at := begin.Add(time.Duration(r.Int64N(1e18)))
		scale := []float64{1, 1e6, 1e9, 1e12, 1e14}[r.IntN(5)]
		least, most, n := 1e300, -1e300, 1+r.IntN(5000)
		for range n {
			at = at.Add(time.Duration(1 + r.Float64()*scale))
			v := r.NormFloat64()
			least, most = min(least, v), max(most, v)
			b.add(Row{Sample: Sample{At: at, Value: v}, Judgement: sigma.Judgement{Anomaly: v > 2}})
		}
		low, high, count, last := 1e300, -1e300, 0, -1.
		for _, piece := range b.pieces(1e18) {
			for _, one := range piece {
				if one.at < last || one.until < one.at || one.low > one.mean() || one.high < one.mean() || one.anomalies > 0 != (one.high > 2) {
					t.Fatalf("got %+v after %v", one, last)
				}
				low, high, count, last = min(low, one.low), max(high, one.high), count+int(one.n), one.until
			}
		}
		if low != least || high != most || count != n {
			t.Fatalf("%d samples from %v to %v: the bins hold %d from %v to %v", n, least, most, count, low, high)
		}
	}
}

func TestBins_PartWhereSamplesAreMissing(t *testing.T) {
	var b bins
	for i := range 1000 {
		at := begin.Add(time.Duration(i) * time.Minute)
		if i >= 500 {
			at = at.Add(5 * time.Hour)
		}
		b.add(Row{Sample: Sample{At: at}})
	}
	if got := b.pieces(600); len(got) != 2 || !seenAt(got[1][0].at, 500*60+5*3600) {
		t.Errorf("got %d pieces, want 2", len(got))
	}
}

func seenAt(got, want float64) bool { return got > want-1e-6 && got < want+1e-6 }

func TestDates_FewRisingAndNamed(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	for span := time.Second; span < 200*365*24*time.Hour; span += span / 7 {
		for _, from := range []time.Time{begin, begin.Add(26*24*time.Hour + 12345*time.Second)} { // near a change of the clock
			ticks := dates{from, berlin}.Ticks(0, span.Seconds())
			if len(ticks) < 1 || len(ticks) > mostTicks+2 {
				t.Fatalf("%s: got %d ticks", span, len(ticks))
			}
			last := -1.
			for _, tick := range ticks {
				if tick.Value <= last || tick.Value < 0 || tick.Value > span.Seconds() || strings.TrimSpace(tick.Label) == "" {
					t.Fatalf("%s: got %v after %v", span, tick, last)
				}
				last = tick.Value
			}
			if !strings.Contains(ticks[0].Label, "20") {
				t.Fatalf("%s: the first, %q, names no year", span, ticks[0].Label)
			}
		}
	}
}

func TestFigures_FewAndRound(t *testing.T) {
	for _, c := range [][2]float64{{0, 1}, {-12.3, 45.6}, {1e9, 1e9 + 3}, {0, 1e15}, {-1e-9, 1e-9}, {99.999, 100.001}} {
		ticks := figures{}.Ticks(c[0], c[1])
		if len(ticks) < 3 || len(ticks) > 12 {
			t.Errorf("%v: got %v", c, ticks)
		}
		for i := 1; i < len(ticks); i++ {
			if ticks[i].Label == ticks[i-1].Label {
				t.Errorf("%v: %q stands twice", c, ticks[i].Label)
			}
		}
	}
}
