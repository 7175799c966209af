package main

import "context"

// thresholds measures what a threshold costs: ours alone, and beside a real
// Prometheus that works the same out anew at each evaluation.
func (b *bench) thresholds(ctx context.Context) error {
	values := newNoise()
	ours, err := b.judgings(ctx, values)
	if err != nil {
		return err
	}
	b.tellJudging(ours)
	return nil
}
