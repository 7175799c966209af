package backtest

import (
	"io"
	"testing"
	"time"

	"github.com/onefiveten/onefiveten/sigma"
)

// BenchmarkRun is one row through the reader and every k and cap of a report, and
// through the settings alone as --format does.
func BenchmarkRun(b *testing.B) {
	for name, alone := range map[string]bool{"report": false, "alone": true} {
		b.Run(name, func(b *testing.B) {
			s := value()
			s.Alone = alone
			if _, err := Run(NewReader(generated(b.N+1), nil), s, nil); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}

// BenchmarkReader is the share of that which reading has.
func BenchmarkReader(b *testing.B) {
	r := NewReader(generated(b.N), nil)
	for range b.N {
		if _, err := r.Read(); err != nil {
			b.Fatal(err)
		}
	}
}

// value are the settings of a value every 5s with the defaults of signals.
func value() Settings {
	return Settings{
		Interval: 5 * time.Second,
		Fault:    sigma.Fault{Window: 3 * time.Minute, Floor: .55, Cap: .6, MinAnomalies: 3, K: 3, Clear: 3},
		Baseline: sigma.Baseline{Window: time.Hour, K: 3, MinSamples: 30, Direction: sigma.Upper, Hold: 30 * time.Minute},
	}
}

// generated gives rows of a value every 5s that is noise around 100.
func generated(rows int) io.Reader { return &rowsOf{left: rows, at: 1_700_000_000, state: 1} }
