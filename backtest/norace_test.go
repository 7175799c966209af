//go:build !race

package backtest

const manyRows = 10_000_000
