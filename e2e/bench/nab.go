package main

import (
	"context"
	"fmt"
	"math"
	"strings"

	"github.com/onefiveten/onefiveten/e2e/nab"
)

// published are the scores of detector D on the 28 files, by profile, and exactly
// how far another implementation may be from them.
func published() map[string]float64 {
	return map[string]float64{"standard": 68.6253465, "reward_low_FP_rate": 56.3117635, "reward_low_FN_rate": 75.0381270}
}

const exactly = 1e-6

// nab scores every detector on the files of the Numenta Anomaly Benchmark.
func (b *bench) nab(ctx context.Context) error {
	var lines []nab.Line
	var files []nab.File
	err := b.say.During(ctx, "score of the Numenta benchmark", nil, func(context.Context) (err error) {
		if files, err = nab.Files(); err == nil {
			lines, err = nab.Measure(files)
		}
		return err
	})
	if err != nil {
		return err
	}
	b.say.Line("\nNumenta Anomaly Benchmark, %d files: score by profile at the threshold that is best for it; 0 says nothing, 100 is perfect", len(files))
	b.say.Line("  %-36s %12s %12s %12s   %s", "detector", "standard", "low FP", "low FN", "thresholds")
	for _, d := range nab.Detectors() {
		scores, thresholds := row(lines, d.Name)
		b.say.Line("  %-36s %s   %s", d.Name, scores, thresholds)
	}
	b.tellPublished(lines)
	return nil
}

// row are the scores of a detector under every profile, and where they are had.
func row(lines []nab.Line, detector string) (scores, thresholds string) {
	var s, t []string
	for _, l := range lines {
		if l.Detector == detector {
			s, t = append(s, fmt.Sprintf("%12.7f", l.Score)), append(t, fmt.Sprintf("%.4f", l.Threshold))
		}
	}
	return strings.Join(s, " "), strings.Join(t, ", ")
}

// tellPublished holds the shipped score against the published figures.
func (b *bench) tellPublished(lines []nab.Line) {
	const shipped = "sigma.Score"
	apart := 0.
	for _, l := range lines {
		if l.Detector == shipped {
			apart = max(apart, math.Abs(l.Score-published()[l.Profile]))
		}
	}
	b.say.Line("  %s and detector D as published: greatest difference %.1g   goal ≤ %g   %s", shipped, apart, exactly, verdict(apart <= exactly))
	b.say.Line(`  Method: e2e/nab, a scorer of its own that knows nothing of sigma and is held against published results; detectors see
  the rows in order, once. One threshold for all files, as the benchmark's optimizer finds it. Constants are not tuned to
  these files; NAB=folder scores another part of the corpus.`)
}
