// Package backtest tells what thresholds would have made of the past.
//
// It is given samples of one series in rising order of time, from a CSV file or
// from a range query, and the settings of sigma. It gives every sample with its
// figures, or a summary to decide from: alerts per day at several k, the longest
// alert, the share of time that was anomalous, the k for a wanted rate, and a
// plot. It keeps a fixed amount of memory however many samples there are.
//
// Semantics: DETECTION 11.
package backtest
