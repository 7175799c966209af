package main

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"time"
)

// scrape runs the benchmark of collector that holds a scrape of 5,000 targets
// with their default series against GaugeVec and promhttp.
func (b *bench) scrape(ctx context.Context) error {
	root, err := root()
	if err != nil {
		return err
	}
	var out []byte
	err = b.say.During(ctx, "scrape of 5,000 targets", nil, func(ctx context.Context) (err error) {
		cmd := exec.CommandContext(ctx, "go", "test", "-run=^$", "-bench=^BenchmarkScrape$", "-benchtime=1s", "./collector")
		cmd.Dir = root
		cmd.WaitDelay = 10 * time.Second
		out, err = cmd.CombinedOutput()
		return err
	})
	if err != nil {
		return fmt.Errorf("go test -bench BenchmarkScrape ./collector: %w\n%s", err, out)
	}
	ours, err := figure(out, `BenchmarkScrape/ours/text\S*\s+\d+\s+(\d+) ns/op`)
	if err != nil {
		return err
	}
	theirs, err := figure(out, `BenchmarkScrape/promhttp/text\S*\s+\d+\s+(\d+) ns/op`)
	if err != nil {
		return err
	}
	series, err := figure(out, `BenchmarkScrape/ours/text.*?(\d+) series`)
	if err != nil {
		return err
	}
	b.say.Line("\nScrape of 5,000 targets, %.0f series: ours %.1f ms, GaugeVec + promhttp %.1f ms   ratio %.3f   goal ≤ 0.1   %s",
		series, ours/1e6, theirs/1e6, ours/theirs, verdict(ours/theirs <= .1))
	b.say.Line("  Method: BenchmarkScrape of collector, the same series, text format, neither compressed.")
	return nil
}

// figure finds a number in what a benchmark printed.
func figure(out []byte, form string) (float64, error) {
	found := regexp.MustCompile(form).FindSubmatch(out)
	if found == nil {
		return 0, fmt.Errorf("the benchmark printed nothing like %s:\n%s", form, out)
	}
	return strconv.ParseFloat(string(found[1]), 64)
}
