//go:build race

package backtest

// manyRows are fewer under the race detector, which makes each some ten times as
// dear.
const manyRows = 300_000
